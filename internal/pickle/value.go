package pickle

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// Mapping is a Python dict or OrderedDict, in order of insertion. As in
// Python, a key that comes again keeps its place and takes the later value,
// and 1, 1.0, True and a numpy scalar 1 are one key. A NaN is found by nobody.
type Mapping struct {
	entries []entry
	index   map[any]int
}

type entry struct{ key, value any }

// Set implements gopickle's types.DictSetter; it is for the decoder alone.
func (m *Mapping) Set(key, value any) {
	id, ok := keyOf(key)
	if ok {
		if at, found := m.index[id]; found {
			m.entries[at].value = value
			return
		}
		if m.index == nil {
			m.index = make(map[any]int)
		}
		m.index[id] = len(m.entries)
	}
	m.entries = append(m.entries, entry{key, value})
}

// Len is the number of keys.
func (m *Mapping) Len() int { return len(m.entries) }

// Get gives the value of a key: a string, int, Scalar or any other value that
// Python would find the key by.
func (m *Mapping) Get(key any) (value any, ok bool) {
	id, ok := keyOf(key)
	if !ok {
		return nil, false
	}
	at, ok := m.index[id]
	if !ok {
		return nil, false
	}
	return m.entries[at].value, true
}

// All gives keys and values in order.
func (m *Mapping) All() iter.Seq2[any, any] {
	return func(yield func(any, any) bool) {
		for _, e := range m.entries {
			if !yield(e.key, e.value) {
				return
			}
		}
	}
}

// Keys gives the keys in order; a key that is no string is an error.
func (m *Mapping) Keys() ([]string, error) {
	keys := make([]string, len(m.entries))
	for i, e := range m.entries {
		s, err := String(e.key)
		if err != nil {
			return nil, fmt.Errorf("a key of a dict: %w", err)
		}
		keys[i] = s
	}
	return keys, nil
}

// Set is a Python set or frozenset; its members are in the file's order.
type Set struct{ members Mapping }

// Add implements gopickle's types.SetAdder; it is for the decoder alone.
func (s *Set) Add(v any) {
	if _, found := s.members.Get(v); !found {
		s.members.Set(v, nil)
	}
}

// Items gives the members.
func (s *Set) Items() []any {
	items := make([]any, 0, s.members.Len())
	for k := range s.members.All() {
		items = append(items, k)
	}
	return items
}

// Forms of keys that are told apart from strings and numbers.
type (
	noneKey  struct{}
	bytesKey string
	tupleKey string
	bigKey   string
)

// keyOf gives values that are equal in Python one comparable value. It is
// false for NaN and for what cannot be hashed; the preflight lets none of the
// latter become a key, and bounds the size and depth of tuples.
func keyOf(v any) (any, bool) {
	switch v := v.(type) {
	case nil:
		return noneKey{}, true
	case string:
		return v, true
	case []byte:
		return bytesKey(v), true
	case bool:
		if v {
			return int64(1), true
		}
		return int64(0), true
	case int:
		return int64(v), true
	case *big.Int:
		return bigIntKey(v), true
	case float64:
		return floatKey(v)
	case Scalar:
		switch v.dt.kind {
		case 'f':
			f, _ := v.dt.float(v.bits)
			return floatKey(f)
		case 'u':
			return bigIntKey(new(big.Int).SetUint64(v.bits)), true
		}
		n, ok := v.dt.int(v.bits)
		return n, ok
	case *types.Tuple:
		// Each part is written with its type and length, so that no two
		// tuples look alike.
		var b []byte
		for _, item := range *v {
			id, ok := keyOf(item)
			if !ok {
				return nil, false
			}
			part := fmt.Sprintf("%T %v", id, id)
			b = binary.AppendUvarint(b, uint64(len(part)))
			b = append(b, part...)
		}
		return tupleKey(b), true
	}
	return nil, false
}

func bigIntKey(v *big.Int) any {
	if v.IsInt64() {
		return v.Int64()
	}
	return bigKey(v.String())
}

func floatKey(f float64) (any, bool) {
	if math.IsNaN(f) {
		return nil, false
	}
	if f == math.Trunc(f) && !math.IsInf(f, 0) {
		n, _ := big.NewFloat(f).Int(nil)
		return bigIntKey(n), true
	}
	return f, true
}

// At follows path down from root. Each part is a key of a dict; a part that is
// a whole number is also tried as an integer key, and as an index of a list or
// tuple. The error names the path as far as it leads nowhere.
func At(root any, path ...string) (any, error) {
	v := root
	for i, part := range path {
		next, ok := child(v, part)
		if !ok {
			return nil, errorf(Unexpected, "no %s: %s has no such entry", strconv.Quote(strings.Join(path[:i+1], "/")), TypeName(v))
		}
		v = next
	}
	return v, nil
}

func child(v any, part string) (any, bool) {
	n, err := strconv.Atoi(part)
	isNumber := err == nil
	switch v := v.(type) {
	case *Mapping:
		if value, ok := v.Get(part); ok {
			return value, true
		}
		if isNumber {
			return v.Get(n)
		}
	case *types.List, *types.Tuple:
		items, err := List(v)
		if err == nil && isNumber && n >= 0 && n < len(items) {
			return items[n], true
		}
	}
	return nil, false
}

// TypeName names the type of a value in Python's words, for errors.
func TypeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		return "a bool"
	case int, *big.Int:
		return "an int"
	case float64:
		return "a float"
	case string:
		return "a str"
	case []byte:
		return "bytes"
	case *types.List:
		return "a list"
	case *types.Tuple:
		return "a tuple"
	case *Mapping:
		return "a dict"
	case *Set:
		return "a set"
	case *Array:
		return "an array of dtype " + v.dtypeText()
	case Scalar:
		return "a numpy scalar of dtype " + v.DType()
	case skipped:
		return "a value that was not asked for"
	}
	return "a value of another type"
}

func wrong(v any, expected string) *Error {
	return errorf(Unexpected, "%s where %s is expected", TypeName(v), expected)
}

// Dict gives v as a dict.
func Dict(v any) (*Mapping, error) {
	if m, ok := v.(*Mapping); ok {
		return m, nil
	}
	return nil, wrong(v, "a dict")
}

// AsArray gives v as an array.
func AsArray(v any) (*Array, error) {
	if a, ok := v.(*Array); ok && a.filled {
		return a, nil
	}
	return nil, wrong(v, "an array")
}

// List gives the items of a list or tuple; the slice is the value's own.
func List(v any) ([]any, error) {
	switch v := v.(type) {
	case *types.List:
		return *v, nil
	case *types.Tuple:
		return *v, nil
	}
	return nil, wrong(v, "a list")
}

// String gives a str or numpy str_. Lone surrogates stand as the three bytes
// of Python's "surrogatepass".
func String(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", wrong(v, "a str")
}

// Int gives a Python int or numpy integer; one that does not fit is an error.
func Int(v any) (int, error) {
	switch n := v.(type) {
	case int:
		return n, nil
	case *big.Int:
		if n.IsInt64() {
			return int(n.Int64()), nil
		}
	case Scalar:
		if n.dt.kind == 'i' || n.dt.kind == 'u' {
			if i, ok := n.dt.int(n.bits); ok {
				return int(i), nil
			}
		}
	}
	return 0, wrong(v, "an int of 64 bits")
}

// Float gives a Python float or int or a numpy float or integer; NaN and
// infinities are values. Integers beyond 2^53 are an error.
func Float(v any) (float64, error) {
	switch f := v.(type) {
	case float64:
		return f, nil
	case int:
		if f <= 1<<53 && f >= -1<<53 {
			return float64(f), nil
		}
	case Scalar:
		if f.dt.kind != 'b' {
			if x, ok := f.dt.float(f.bits); ok {
				return x, nil
			}
		}
	}
	return 0, wrong(v, "a float")
}

// Bool gives a Python or numpy bool.
func Bool(v any) (bool, error) {
	switch b := v.(type) {
	case bool:
		return b, nil
	case Scalar:
		if b.dt.kind == 'b' {
			return b.bits != 0, nil
		}
	}
	return false, wrong(v, "a bool")
}

// Floats gives the numbers of an array, list or tuple.
func Floats(v any) ([]float64, error) {
	if a, ok := v.(*Array); ok {
		return a.Floats()
	}
	return each(v, Float)
}

// Ints gives the integers of an array, list or tuple.
func Ints(v any) ([]int64, error) {
	if a, ok := v.(*Array); ok {
		return a.Ints()
	}
	return each(v, func(v any) (int64, error) {
		n, err := Int(v)
		return int64(n), err
	})
}

// Strings gives the texts of an array, list or tuple.
func Strings(v any) ([]string, error) {
	if a, ok := v.(*Array); ok {
		return a.Strings()
	}
	return each(v, String)
}

func stringsOf(items []any) ([]string, error) {
	out := make([]string, len(items))
	for i, item := range items {
		s, err := String(item)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i+1, err)
		}
		out[i] = s
	}
	return out, nil
}

func each[T any](v any, convert func(any) (T, error)) ([]T, error) {
	items, err := List(v)
	if err != nil {
		return nil, err
	}
	out := make([]T, len(items))
	for i, item := range items {
		if out[i], err = convert(item); err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
	}
	return out, nil
}
