package pickle

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nlpodyssey/gopickle/types"
)

// FuzzDecode checks that anything at all is either a value or an *Error, that
// the preflight foresaw all that gopickle cannot do, and that no accessor
// panics on what came out.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/features/*.pkl")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no features: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 4096 { // long ones slow the fuzzer down
			f.Add(data)
		}
	}
	for _, body := range []string{
		"}(" + text("a") + "K\x01" + text("a") + "K\x03u",
		"\x8f(N\x85" + binary1("b") + "\x90",
		"(N\x85\x91",
		"Nq\x020K\x07\x94h\x01h\x02\x87",
		"\x8a\x00\x8b" + le32(0) + "\x86",
		array("12345678", newDtype("f8"), shapeOf(1), "F"),
		array("1234", newDtype("i2")+withState(">", -1), shapeOf(1, 2), "F"),
		reconstructed("(K\x01" + shapeOf(1) + newDtype("O8") + "\x89]" + text("x") + "atb"),
		scalar(newDtype("U1"), "x\x00\x00\x00"),
		"c_codecs\nencode\n" + text("x") + text("latin1") + "\x86R",
		"\x95" + le64(2) + "N.",
		"\x96" + le64(32<<30),
		"\xff",
	} {
		f.Add([]byte(head + body + tail))
	}
	limits := Limits{MaxFileBytes: 1 << 20, MaxMemory: 64 << 20, MaxDepth: 100}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := Decode(data, limits)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error of type %T", err)
			}
			if e.Detail == detailPanic || e.Detail == detailDisagree {
				t.Fatalf("the preflight let pass what cannot be decoded: %v", err)
			}
			return
		}
		budget := 10_000
		walk(v, &budget)
	})
}

// FuzzPaths checks that reading for paths, given one a line, gives the values
// that reading whole gives, and refuses what that refuses.
func FuzzPaths(f *testing.F) {
	files, err := filepath.Glob("testdata/features/*.pkl")
	if err != nil || len(files) == 0 {
		f.Fatalf("no features: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 4096 {
			f.Add(data, "a/b")
		}
	}
	shared := "}(" + text("a") + "](" + newDtype("f8") + "\x94" + withState("<", -1) + "N\x85\x94e" + text("b") + "}" + text("c") + "h\x00su"
	f.Add([]byte(head+shared+tail), "b")
	f.Add([]byte(head+shared+tail), "a\nb/c")
	f.Add([]byte(head+"}("+text("a")+"]\x94"+text("b")+"h\x00K\x01aus."), "b")
	f.Add([]byte(head+"}("+text("a")+"]\x94"+text("b")+"h\x00K\x01au."), "a")
	f.Add([]byte(head+"}("+text("a")+"}\x94"+text("k")+"Ns"+text("b")+"h\x00u."), "a/*\nb")
	f.Add([]byte(head+"}("+text("a")+"]\x94"+text("b")+"N0h\x00K\x01a0Nu."), "a")
	f.Fuzz(func(t *testing.T, data []byte, patterns string) {
		if len(patterns) > 100 || len(data) > 1<<20 {
			return
		}
		if err := checkPaths(data, strings.Split(patterns, "\n")); err != nil {
			t.Fatal(err)
		}
	})
}

// walk asks every accessor of everything that budget allows.
func walk(v any, budget *int) {
	if *budget--; *budget < 0 {
		return
	}
	_ = TypeName(v)
	_, _ = Int(v)
	_, _ = Float(v)
	_, _ = Bool(v)
	_, _ = String(v)
	_, _ = Floats(v)
	_, _ = Ints(v)
	_, _ = Strings(v)
	_, _ = At(v, "0", "a", "1")
	switch v := v.(type) {
	case *types.List:
		for _, item := range *v {
			walk(item, budget)
		}
	case *types.Tuple:
		for _, item := range *v {
			walk(item, budget)
		}
	case *Mapping:
		_, _ = v.Keys()
		for k, item := range v.All() {
			_, _ = v.Get(k)
			walk(k, budget)
			walk(item, budget)
		}
	case *Set:
		for _, item := range v.Items() {
			walk(item, budget)
		}
	case *Array:
		items, _ := v.Objects()
		for _, item := range items {
			walk(item, budget)
		}
	}
}
