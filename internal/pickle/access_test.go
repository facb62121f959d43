package pickle

import (
	"encoding/hex"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/zeebo/blake3"
)

func decode(t *testing.T, body string) any {
	t.Helper()
	v, err := Decode([]byte(head+body+tail), Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func floatBytes(order string, values ...uint16) string {
	var b strings.Builder
	for _, v := range values {
		if order == ">" {
			b.WriteString(string([]byte{byte(v >> 8), byte(v)}))
		} else {
			b.WriteString(string([]byte{byte(v), byte(v >> 8)}))
		}
	}
	return b.String()
}

func TestArrayOrders(t *testing.T) {
	// In memory 1 2 3 4 5 6 as 2 x 3: C order reads along, Fortran's down.
	raw := func(order string) string { return floatBytes(order, 1, 2, 3, 4, 5, 6) }
	tests := []struct {
		name, body string
		want       []int64
	}{
		{"C", array(raw("<"), newDtype("i2"), shapeOf(2, 3), "C"), []int64{1, 2, 3, 4, 5, 6}},
		{"Fortran", array(raw("<"), newDtype("i2"), shapeOf(2, 3), "F"), []int64{1, 3, 5, 2, 4, 6}},
		{"Fortran, big-endian", array(raw(">"), newDtype("i2")+withState(">", -1), shapeOf(2, 3), "F"), []int64{1, 3, 5, 2, 4, 6}},
		{"Fortran in three dimensions", array(raw("<"), newDtype("u2"), shapeOf(1, 3, 2), "F"), []int64{1, 4, 2, 5, 3, 6}},
		{"no dimensions", array(floatBytes("<", 7), newDtype("i2"), ")", "C"), []int64{7}},
		{"empty", array("", newDtype("i2"), shapeOf(3, 0), "F"), []int64{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decode(t, tt.body)
			got, err := Ints(v)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Ints (-want +got):\n%s", diff)
			}
			floats, err := Floats(v)
			if err != nil {
				t.Fatal(err)
			}
			for i, f := range floats {
				if f != float64(tt.want[i]) {
					t.Errorf("Floats[%d] = %v, want %d", i, f, tt.want[i])
				}
			}
		})
	}
}

func TestHalf(t *testing.T) {
	bits := []uint16{0x0000, 0x8000, 0x3c00, 0xc000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x3555}
	want := []float64{0, math.Copysign(0, -1), 1, -2, math.Ldexp(1, -24), math.Ldexp(1023, -24), math.Ldexp(1, -14), 65504,
		math.Inf(1), math.Inf(-1), math.NaN(), 0.333251953125}
	got, err := Floats(decode(t, array(floatBytes("<", bits...), newDtype("f2"), shapeOf(uint32(len(bits))), "C")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !math.Signbit(got[1]) {
		t.Error("minus zero lost its sign")
	}
}

func TestIntegersThatDoNotFit(t *testing.T) {
	u8 := array(strings.Repeat("\xff", 8), newDtype("u8"), shapeOf(1), "C")
	if _, err := Ints(decode(t, u8)); err == nil {
		t.Error("2^64-1 came as an int64")
	}
	if _, err := Floats(decode(t, u8)); err == nil {
		t.Error("2^64-1 came as a float64")
	}
	for _, body := range []string{"\x8a\x09" + strings.Repeat("\x00", 8) + "\x40", scalar(newDtype("u8"), strings.Repeat("\xff", 8))} {
		v := decode(t, body)
		if _, err := Int(v); err == nil {
			t.Errorf("%s beyond int64 came as an int", TypeName(v))
		}
		if _, err := Float(v); err == nil {
			t.Errorf("%s beyond 2^53 came as a float", TypeName(v))
		}
	}
}

// nested is {"a": {"b": [10, (1.5, None)]}, numpy 1: "one"}.
func nested(t *testing.T) any {
	return decode(t, "}("+text("a")+"}"+text("b")+"](K\x0aG\x3f\xf8\x00\x00\x00\x00\x00\x00N\x86es"+
		scalar(newDtype("i8"), "\x01\x00\x00\x00\x00\x00\x00\x00")+text("one")+"u")
}

func TestAt(t *testing.T) {
	root := nested(t)
	tests := []struct {
		path []string
		want any
	}{
		{[]string{"a", "b", "0"}, 10},
		{[]string{"a", "b", "1", "0"}, 1.5},
		{[]string{"a", "b", "1", "1"}, nil},
		{[]string{"1"}, "one"},
	}
	for _, tt := range tests {
		got, err := At(root, tt.path...)
		if err != nil || got != tt.want {
			t.Errorf("At(%q) = %v, %v; want %v", tt.path, got, err, tt.want)
		}
	}
	if v, err := At(root); err != nil || v != root {
		t.Errorf("At without a path = %v, %v", v, err)
	}
	for want, path := range map[string][]string{
		`no "a/x": a dict has`:       {"a", "x", "y"},
		`no "a/b/2": a list has`:     {"a", "b", "2"},
		`no "a/b/-1": a list has`:    {"a", "b", "-1"},
		`no "a/b/1/1/z": None has`:   {"a", "b", "1", "1", "z"},
		`no "a/b/0/0": an int has`:   {"a", "b", "0", "0"},
		`no "2": a dict has no such`: {"2"},
	} {
		_, err := At(root, path...)
		var e *Error
		if !errors.As(err, &e) || e.Kind != Unexpected || !strings.Contains(err.Error(), want) {
			t.Errorf("At(%q): got %v, want an error with %q", path, err, want)
		}
	}
}

// TestAccessors asks every accessor for every type: exactly the fitting ones
// may answer, and none may panic.
func TestAccessors(t *testing.T) {
	f8 := "\x00\x00\x00\x00\x00\x00\xf8\x3f"
	values := map[string]struct {
		body string
		fits string
	}{
		"None":              {"N", ""},
		"bool":              {"\x88", "Bool"},
		"int":               {"K\x05", "Int Float"},
		"float":             {"G\x3f\xf8\x00\x00\x00\x00\x00\x00", "Float"},
		"str":               {text("x"), "String"},
		"bytes":             {binary1("x"), ""},
		"numpy float":       {scalar(newDtype("f8"), f8), "Float"},
		"numpy int":         {scalar(newDtype("i1"), "\x05"), "Int Float"},
		"numpy bool":        {scalar(newDtype("b1"), "\x01"), "Bool"},
		"numpy str":         {scalar(newDtype("U2"), "x\x00\x00\x00\x00\x00\x00\x00"), "String"},
		"list of floats":    {"]G\x3f\xf8\x00\x00\x00\x00\x00\x00a", "List Floats"},
		"tuple of ints":     {"K\x01\x85", "List Floats Ints"},
		"list of strings":   {"]" + text("x") + "a", "List Strings"},
		"empty list":        {"]", "List Floats Ints Strings"},
		"dict":              {"}", "Dict"},
		"set":               {"\x8f", ""},
		"array of floats":   {array(f8, newDtype("f8"), shapeOf(1), "C"), "AsArray Floats"},
		"array of ints":     {array("\x01", newDtype("i1"), shapeOf(1), "C"), "AsArray Floats Ints"},
		"array of text":     {array("x\x00\x00\x00", newDtype("U1"), shapeOf(1), "C"), "AsArray Strings"},
		"array of bytes":    {array("x", newDtype("S1"), shapeOf(1), "C"), "AsArray"},
		"array of str":      {reconstructed("(K\x01" + shapeOf(1) + newDtype("O8") + "\x89]" + text("x") + "atb"), "AsArray Strings"},
		"array of None":     {reconstructed("(K\x01" + shapeOf(1) + newDtype("O8") + "\x89]Natb"), "AsArray"},
		"array never built": {reconstructed(""), ""},
		"a class":           {"]" + ndarray + "a", "List"},
	}
	accessors := map[string]func(any) error{
		"Dict":    func(v any) error { _, err := Dict(v); return err },
		"AsArray": func(v any) error { _, err := AsArray(v); return err },
		"List":    func(v any) error { _, err := List(v); return err },
		"String":  func(v any) error { _, err := String(v); return err },
		"Int":     func(v any) error { _, err := Int(v); return err },
		"Float":   func(v any) error { _, err := Float(v); return err },
		"Bool":    func(v any) error { _, err := Bool(v); return err },
		"Floats":  func(v any) error { _, err := Floats(v); return err },
		"Ints":    func(v any) error { _, err := Ints(v); return err },
		"Strings": func(v any) error { _, err := Strings(v); return err },
	}
	for name, tt := range values {
		v := decode(t, tt.body)
		for accessor, ask := range accessors {
			err := ask(v)
			if fits := strings.Contains(" "+tt.fits+" ", " "+accessor+" "); fits != (err == nil) {
				t.Errorf("%s of %s: error %v", accessor, name, err)
			}
			var e *Error
			if err != nil && (!errors.As(err, &e) || e.Kind != Unexpected) {
				t.Errorf("%s of %s: error %v is not of the kind unexpected", accessor, name, err)
			}
		}
	}
}

func TestMapping(t *testing.T) {
	m, err := Dict(nested(t))
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := m.Get(1); !ok || v != "one" {
		t.Errorf("Get(1) = %v, %v", v, ok)
	}
	if _, ok := m.Get([]int{1}); ok {
		t.Error("a key that cannot be hashed was found")
	}
	if _, err := m.Keys(); err == nil {
		t.Error("Keys gave a key that is no string")
	}
	inner, err := Dict(decode(t, "}("+text("b")+"N"+text("a")+"Nu"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := inner.Keys()
	if diff := cmp.Diff([]string{"b", "a"}, keys); err != nil || diff != "" {
		t.Errorf("Keys: %v %s", err, diff)
	}
}

// TestErrorsHoldNoData makes errors of every accessor and of decoding next to
// a recognisable string.
func TestErrorsHoldNoData(t *testing.T) {
	secret := "Subject" + "Name"
	root := decode(t, "}"+text("k")+"]("+text(secret)+binary1(secret)+"es")
	list, err := At(root, "k")
	if err != nil {
		t.Fatal(err)
	}
	var errs []error
	for _, v := range []any{root, list} {
		for _, ask := range []func(any) error{
			func(v any) error { _, err := Floats(v); return err },
			func(v any) error { _, err := Ints(v); return err },
			func(v any) error { _, err := Strings(v); return err },
			func(v any) error { _, err := At(v, "k", "0", "x"); return err },
			func(v any) error { _, err := At(v, "0", "x"); return err },
		} {
			errs = append(errs, ask(v))
		}
	}
	for _, body := range []string{text(secret) + ")R", text(secret) + text(secret) + "b", "}" + text(secret) + "(Nu", "]" + text(secret), scalar(newDtype(secret), secret)} {
		_, err := Decode([]byte(head+body+tail), Limits{})
		errs = append(errs, err)
	}
	for i, err := range errs {
		if err == nil {
			t.Errorf("case %d gave no error", i)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error holds data: %v", err)
		}
	}
}

func TestReadFileKinds(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := syscall.Mkfifo(path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path("good"), []byte(head+"K\x07."), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("good", path("link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"good", "link"} {
		if v, err := ReadFile(path(name), nil, Limits{}); err != nil || v.Value != 7 {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
	for _, tt := range []struct {
		path string
		l    Limits
		kind Kind
		want string
	}{
		{dir, Limits{}, Refused, "a directory"},
		{path("pipe"), Limits{}, Refused, "a pipe"},
		{"/dev/null", Limits{}, Refused, "a device"},
		{path("absent"), Limits{}, Unreadable, "no such file"},
		{path("good"), Limits{MaxFileBytes: 4}, TooLarge, "5 bytes, the limit is 4"},
	} {
		done := make(chan error, 1)
		go func() { _, err := ReadFile(tt.path, nil, tt.l); done <- err }()
		select {
		case err := <-done:
			var e *Error
			if !errors.As(err, &e) || e.Kind != tt.kind || !strings.Contains(e.Error(), tt.want) {
				t.Errorf("got %v, want %s with %q", err, tt.kind, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), dir) {
				t.Errorf("the error names the path: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: still waiting", tt.want)
		}
	}
	if _, err := ReadFile(path("absent"), nil, Limits{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v does not say so to errors.Is", err)
	}
}

// TestChangedWhileRead changes a file between the look at its size and the
// reading, and its time stamp alone.
func TestChangedWhileRead(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"grew":       func(path string) error { return os.WriteFile(path, make([]byte, 200), 0o600) },
		"shrank":     func(path string) error { return os.Truncate(path, 50) },
		"written to": func(path string) error { return os.Chtimes(path, time.Time{}, time.Unix(1, 0)) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "f")
			if err := os.WriteFile(path, make([]byte, 100), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			opened, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			_, e := readOpened(f, opened, nil, Limits{}.orDefault())
			if e == nil || e.Kind != Unreadable || !strings.Contains(e.Detail, name) {
				t.Errorf("got %v, want that the file %s", e, name)
			}
		})
	}
}

// TestReadFileNames reads files whose names nobody would type, and one that
// nobody may read.
func TestReadFileNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"new\nline", "not \xff UTF-8", " ", "*?[a]"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(head+"K\x07."), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := ReadFile(path, nil, Limits{}); err != nil || f.Value != 7 {
			t.Errorf("%q: got %v, %v", name, f, err)
		}
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	var e *Error
	if _, err := ReadFile(filepath.Join(dir, "loop"), nil, Limits{}); !errors.As(err, &e) || e.Kind != Unreadable {
		t.Errorf("a link to itself: %v", err)
	}
	if os.Getuid() == 0 {
		return // may read everything
	}
	path := filepath.Join(dir, "closed")
	if err := os.WriteFile(path, nil, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path, nil, Limits{}); !errors.Is(err, os.ErrPermission) {
		t.Errorf("a file that nobody may read: %v", err)
	}
}

// TestReadFileDigest compares digests with those of all bytes, for what is
// kept, skipped, and behind the pickle, around the size of the window.
func TestReadFileDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, 5000, windowSize - 30, windowSize, windowSize + 1, 3*windowSize + 7} {
		long := "\x8e" + le64(uint64(n)) + strings.Repeat("b", n)
		data := []byte(head + "}(" + text("a") + long + text("c") + long + "X" + le32(uint32(n)) + strings.Repeat("é", n/2) + strings.Repeat("x", n%2) + "0u." + strings.Repeat("z", n))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, want := range []*Paths{nil, NewPaths("a"), NewPaths("none")} {
			f, err := ReadFile(path, want, Limits{})
			if err != nil {
				t.Fatalf("%d: %v", n, err)
			}
			sum := blake3.Sum256(data)
			if f.Digest != hex.EncodeToString(sum[:]) || f.Size != int64(len(data)) {
				t.Errorf("%d: another digest or size", n)
			}
			v, err := At(f.Value, "a")
			if err != nil {
				t.Fatal(err)
			}
			if b, ok := v.([]byte); ok != (want == nil || want.child(0, []byte("a")) == wantWhole) || ok && len(b) != n {
				t.Errorf("%d: a is %s of %d bytes", n, TypeName(v), len(b))
			}
		}
	}
}
