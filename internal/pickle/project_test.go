package pickle

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nlpodyssey/gopickle/types"
	"pgregory.net/rapid"
)

// differ walks a value that was read whole, and the same value read for what
// node of paths wants, and says where the second lacks something.
func differ(whole, part any, paths *Paths, node int, where string, seen map[[2]any]bool) error {
	if node != wantWhole || where == "" {
		m, ok := whole.(*Mapping)
		if ok {
			p, ok := part.(*Mapping)
			if !ok {
				return fmt.Errorf("%s: %s instead of a dict", where, TypeName(part))
			}
			if len(m.entries) != len(p.entries) {
				return fmt.Errorf("%s: %d entries instead of %d", where, len(p.entries), len(m.entries))
			}
			for i, e := range m.entries {
				want := wantWhole
				if key, ok := e.key.(string); ok {
					want = paths.child(node, []byte(key))
				}
				if err := equal(e.key, p.entries[i].key, where, seen); err != nil {
					return err
				}
				below := fmt.Sprintf("%s/%v", where, e.key)
				var err error
				switch want {
				case unwanted:
				case wantWhole:
					err = equal(e.value, p.entries[i].value, below, seen)
				default:
					err = differ(e.value, p.entries[i].value, paths, want, below, seen)
				}
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	return equal(whole, part, where, seen)
}

// equal compares two values, which may contain themselves.
func equal(a, b any, where string, seen map[[2]any]bool) error {
	if reflect.TypeOf(a) != reflect.TypeOf(b) {
		return fmt.Errorf("%s: %s instead of %s", where, TypeName(b), TypeName(a))
	}
	var left, right []any
	switch a := a.(type) {
	case *types.List:
		left, right = *a, *b.(*types.List)
	case *types.Tuple:
		left, right = *a, *b.(*types.Tuple)
	case *Set:
		left, right = a.Items(), b.(*Set).Items()
	case *Mapping:
		for _, e := range a.entries {
			left = append(left, e.key, e.value)
		}
		for _, e := range b.(*Mapping).entries {
			right = append(right, e.key, e.value)
		}
	case *Array:
		b := b.(*Array)
		if a.DType != b.DType || !reflect.DeepEqual(a.Shape, b.Shape) || a.fortran != b.fortran || a.filled != b.filled ||
			string(a.raw) != string(b.raw) {
			return fmt.Errorf("%s: another array", where)
		}
		left, right = a.objects, b.objects
	case Scalar:
		b := b.(Scalar)
		if *a.dt != *b.dt || a.bits != b.bits {
			return fmt.Errorf("%s: another scalar", where)
		}
		return nil
	default:
		if fmt.Sprintf("%T %v", a, a) != fmt.Sprintf("%T %v", b, b) {
			return fmt.Errorf("%s: another %s", where, TypeName(a))
		}
		return nil
	}
	pair := [2]any{a, b}
	if seen[pair] {
		return nil
	}
	seen[pair] = true
	if len(left) != len(right) {
		return fmt.Errorf("%s: %d items instead of %d", where, len(right), len(left))
	}
	for i := range left {
		if err := equal(left[i], right[i], where+"/"+fmt.Sprint(i), seen); err != nil {
			return err
		}
	}
	return nil
}

// checkPaths reads data whole and for patterns: what is wanted must be the
// same, and what the preflight refuses must be refused either way.
func checkPaths(data []byte, patterns []string) error {
	paths := NewPaths(patterns...)
	whole, wholeErr := Decode(data, Limits{})
	part, partErr := DecodePaths(data, paths, Limits{})
	if e, ok := partErr.(*Error); ok && (e.Detail == detailPanic || e.Detail == detailDisagree) {
		return partErr
	}
	if wholeErr != nil {
		if e := wholeErr.(*Error); partErr == nil && e.Offset >= 0 {
			return fmt.Errorf("refused when read whole (%v), but not for %q", wholeErr, patterns)
		}
		return nil
	}
	if partErr != nil {
		return fmt.Errorf("read whole, but for %q: %w", patterns, partErr)
	}
	if paths == nil {
		return equal(whole, part, "", map[[2]any]bool{})
	}
	return differ(whole, part, paths, 0, "", map[[2]any]bool{})
}

// throughWindow reads data as from a file, through a window of the least size.
func throughWindow(t interface {
	Helper()
	Fatal(...any)
}, dir string, data []byte, paths *Paths) (any, *Error) {
	t.Helper()
	path := filepath.Join(dir, "window")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return decodeSource(&source{file: f, buf: make([]byte, longestHead), size: int64(len(data))}, paths, Limits{}.orDefault())
}

// pyValue is a value that pyWriter writes as Python's pickler does: what it
// meets again it fetches from the memo.
type pyValue struct {
	kind  string
	text  string     // of a str; what to write for all that are no containers
	items []*pyValue // of a dict: keys and values in turns
}

type pyWriter struct {
	b    strings.Builder
	memo map[any]int
	t    *rapid.T
}

func (w *pyWriter) memoize(key any) {
	w.b.WriteString("\x94")
	if key != nil {
		w.memo[key] = len(w.memo)
	} else {
		w.memo[new(int)] = len(w.memo)
	}
}

func (w *pyWriter) fetch(key any) bool {
	id, ok := w.memo[key]
	if !ok {
		return false
	}
	if id < 256 {
		w.b.WriteString("h" + string([]byte{byte(id)}))
	} else {
		w.b.WriteString("j" + le32(uint32(id)))
	}
	return true
}

func (w *pyWriter) str(s string) {
	if !w.fetch(s) {
		w.b.WriteString(text(s))
		w.memoize(s)
	}
}

func (w *pyWriter) global(module, name string) {
	if !w.fetch(module + "." + name + "()") {
		w.str(module)
		w.str(name)
		w.b.WriteString("\x93")
		w.memoize(module + "." + name + "()")
	}
}

func (w *pyWriter) dtype(name string) {
	if w.fetch("dtype " + name) {
		return
	}
	w.global("numpy", "dtype")
	w.str(name)
	w.b.WriteString("\x89\x88\x87")
	w.memoize(nil)
	w.b.WriteString("R")
	w.memoize("dtype " + name)
	w.b.WriteString("(K\x03")
	w.str("<")
	w.b.WriteString("NNN" + integer(1<<32-1) + integer(1<<32-1) + "K\x00t")
	w.memoize(nil)
	w.b.WriteString("b")
}

func (w *pyWriter) write(v *pyValue) {
	if w.fetch(v) {
		return
	}
	batch := func(items []*pyValue, n int, one, many string) {
		for len(items) > 0 {
			some := items[:min(len(items), 1000*n)]
			items = items[len(some):]
			if len(some) == n {
				for _, item := range some {
					w.write(item)
				}
				w.b.WriteString(one)
				continue
			}
			w.b.WriteString("(")
			for _, item := range some {
				w.write(item)
			}
			w.b.WriteString(many)
		}
	}
	switch v.kind {
	case "plain":
		w.b.WriteString(v.text)
	case "str":
		w.str(v.text)
	case "bytes":
		w.b.WriteString("C" + string([]byte{byte(len(v.text))}) + v.text)
		w.memoize(v)
	case "list":
		w.b.WriteString("]")
		w.memoize(v)
		batch(v.items, 1, "a", "e")
	case "dict", "ordered":
		if v.kind == "dict" {
			w.b.WriteString("}")
		} else {
			w.global("collections", "OrderedDict")
			w.b.WriteString(")R")
		}
		w.memoize(v)
		batch(v.items, 2, "s", "u")
	case "tuple":
		if len(v.items) > 3 {
			w.b.WriteString("(")
		}
		for _, item := range v.items {
			w.write(item)
		}
		if w.fetch(v) { // it contains itself, which Python undoes in this way
			w.t.Fatal("a tuple contains itself")
		}
		w.b.WriteString([]string{")", "\x85", "\x86", "\x87", "t"}[min(len(v.items), 4)])
		if len(v.items) > 0 {
			w.memoize(v)
		}
	case "scalar":
		w.global("numpy.core.multiarray", "scalar")
		w.dtype("f8")
		w.b.WriteString("C\x08" + v.text)
		w.memoize(nil)
		w.b.WriteString("\x86")
		w.memoize(nil)
		w.b.WriteString("R")
		w.memoize(v)
	case "array":
		w.global("numpy.core.numeric", "_frombuffer")
		w.b.WriteString("(\x96" + le64(uint64(len(v.text))) + v.text)
		w.memoize(nil)
		w.dtype("f8")
		w.b.WriteString("K" + string([]byte{byte(len(v.text) / 8)}) + "\x85")
		w.memoize(nil)
		w.str("C")
		w.b.WriteString("t")
		w.memoize(nil)
		w.b.WriteString("R")
		w.memoize(v)
	case "objects":
		w.global("numpy.core.multiarray", "_reconstruct")
		w.global("numpy", "ndarray")
		w.b.WriteString("K\x00\x85")
		w.memoize(nil)
		w.b.WriteString("C\x01b")
		w.memoize(nil)
		w.b.WriteString("\x87")
		w.memoize(nil)
		w.b.WriteString("R")
		w.memoize(v)
		w.b.WriteString("(K\x01K" + string([]byte{byte(len(v.items))}) + "\x85")
		w.memoize(nil)
		w.dtype("O8")
		w.b.WriteString("\x89]")
		w.memoize(nil)
		batch(v.items, 1, "a", "e")
		w.b.WriteString("t")
		w.memoize(nil)
		w.b.WriteString("b")
	}
}

var pyKeys = []string{"a", "b", "c", "d", "f8", "numpy"}

// drawValue makes a random value, now and then one that was made before.
func drawValue(t *rapid.T, depth int, made *[]*pyValue) *pyValue {
	if len(*made) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
		return rapid.SampledFrom(*made).Draw(t, "which")
	}
	kinds := []string{"plain", "str", "bytes", "scalar", "array"}
	if depth > 0 {
		kinds = []string{"dict", "dict", "dict", "ordered", "list", "tuple", "objects", "scalars", "str", "array", "scalar"}
	}
	v := &pyValue{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	switch v.kind {
	case "plain":
		v.text = rapid.SampledFrom([]string{"N", "\x88", "K\x01", "G\x3f\xf8\x00\x00\x00\x00\x00\x00", "\x8a\x00"}).Draw(t, "plain")
	case "str":
		v.text = rapid.SampledFrom(append([]string{"x", "y", strings.Repeat("long", 50)}, pyKeys...)).Draw(t, "text")
	case "bytes":
		v.text = rapid.SampledFrom([]string{"", "b", "12345678"}).Draw(t, "bytes")
	case "scalar":
		v.text = "1234567" + rapid.SampledFrom([]string{"a", "b"}).Draw(t, "scalar")
	case "array":
		v.text = strings.Repeat("87654321", rapid.IntRange(0, 30).Draw(t, "length"))
	case "scalars":
		v.kind = "list"
		for range rapid.IntRange(0, 1200).Draw(t, "count") {
			v.items = append(v.items, &pyValue{kind: "scalar", text: "abcdefgh"})
		}
	case "dict", "ordered":
		keys := rapid.SliceOfNDistinct(rapid.SampledFrom(pyKeys), 0, 4, rapid.ID).Draw(t, "keys")
		for _, key := range keys {
			v.items = append(v.items, &pyValue{kind: "str", text: key}, drawValue(t, depth-1, made))
		}
		if rapid.IntRange(0, 9).Draw(t, "odd key") == 0 {
			v.items = append(v.items, &pyValue{kind: "plain", text: "K\x07"}, drawValue(t, depth-1, made))
		}
	case "list", "tuple", "objects":
		for range rapid.IntRange(0, 5).Draw(t, "items") {
			v.items = append(v.items, drawValue(t, depth-1, made))
		}
	}
	*made = append(*made, v)
	// A list or dict can contain itself.
	if (v.kind == "list" || v.kind == "dict") && rapid.IntRange(0, 19).Draw(t, "cycle") == 0 {
		if v.kind == "dict" {
			v.items = append(v.items, &pyValue{kind: "str", text: "self"})
		}
		v.items = append(v.items, v)
	}
	return v
}

func drawPatterns(t *rapid.T) []string {
	part := rapid.SampledFrom(append([]string{"*", "self"}, pyKeys[:4]...))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(part, 1, 4).Draw(t, "parts"), "/")
	}), 1, 3).Draw(t, "patterns")
}

// TestPathsOfValues reads what a pickler writes of random values that share
// parts across every boundary.
func TestPathsOfValues(t *testing.T) {
	dir := t.TempDir()
	reads := [modes]int{}
	rapid.Check(t, func(t *rapid.T) {
		var made []*pyValue
		root := drawValue(t, rapid.IntRange(1, 5).Draw(t, "depth"), &made)
		w := &pyWriter{memo: map[any]int{}, t: t}
		w.write(root)
		data := []byte(head + w.b.String() + tail)
		patterns := drawPatterns(t)
		if err := checkPaths(data, patterns); err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		paths := NewPaths(patterns...)
		for m := wantedOnly; m < modes; m++ {
			if _, err := preflight(fromMemory(data), paths, m, Limits{}.orDefault()); err == nil {
				reads[m]++
				break
			}
		}
		if whole, err := Decode(data, Limits{}); err == nil {
			part, failure := throughWindow(t, dir, data, paths)
			if failure != nil {
				t.Fatalf("%q through a window: %v", data, failure)
			}
			if err := differ(whole, part, paths, 0, "", map[[2]any]bool{}); err != nil {
				t.Fatalf("%q through a window: %v", data, err)
			}
		}
	})
	t.Logf("read for the paths, whole, opcode by opcode: %v", reads)
	if !testing.Short() && (reads[wantedOnly] == 0 || reads[everything] == 0) {
		t.Error("one of the ways to read was never taken")
	}
}

// TestPathsOfPrograms does the same with opcodes that no pickler puts in such
// an order.
func TestPathsOfPrograms(t *testing.T) {
	limits := Limits{}.orDefault()
	more := append([]string{
		"}", "}", "}\x94", text("a"), text("b"), text("a") + "\x94", "}" + text("a") + "]s", "](NNe", "](", "}(", "s", "s", "u", "e", "a",
	}, snippets...)
	read := 0
	rapid.Check(t, func(t *rapid.T) {
		program := head + "}"
		state := func(p string) *checker {
			c := newChecker(fromMemory([]byte(p)), nil, literally, limits)
			if c.walk() != nil {
				return nil
			}
			return c
		}
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(more)-1), 10, 100).Draw(t, "snippets") {
			// The dict at the bottom stays.
			if c := state(program + more[i]); c != nil && len(c.stack) > 0 {
				program += more[i]
			}
		}
		// Take everything into the dict at the bottom, or drop it.
		for range 1000 {
			c := state(program)
			switch {
			case len(c.stack) == 1 && len(c.marks) == 0:
			case state(program+"u") != nil && c.base > 0:
				program += "u"
				continue
			case state(program+"s") != nil:
				program += "s"
				continue
			default:
				program += "0"
				continue
			}
			break
		}
		if _, err := Decode([]byte(program+tail), Limits{}); err == nil {
			read++
		}
		if err := checkPaths([]byte(program+tail), drawPatterns(t)); err != nil {
			t.Fatalf("%q: %v", program+tail, err)
		}
	})
	if read == 0 {
		t.Error("no program was read")
	}
	t.Logf("%d programs were read", read)
}
