package pickle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/nlpodyssey/gopickle/types"
)

// canon writes a value as the canonical text that canon.py writes of the same
// value in Python. It returns an error for values that canon.py would call
// unsupported, and for anything nested more than 60 deep.
func canon(v any, depth int) ([]string, error) {
	if depth > 60 {
		return nil, fmt.Errorf("too deep")
	}
	in := strings.Repeat(" ", depth)
	one := func(format string, args ...any) ([]string, error) {
		return []string{in + fmt.Sprintf(format, args...)}, nil
	}
	many := func(head string, items []any) ([]string, error) {
		lines := []string{in + head}
		for _, item := range items {
			more, err := canon(item, depth+1)
			if err != nil {
				return nil, err
			}
			lines = append(lines, more...)
		}
		return lines, nil
	}
	switch v := v.(type) {
	case nil:
		return one("none")
	case bool:
		return one("bool %d", map[bool]int{false: 0, true: 1}[v])
	case int:
		return one("int %d", v)
	case *big.Int:
		return one("int %d", v)
	case float64:
		return one("f8 %016x", math.Float64bits(v))
	case string:
		return one("str %x", v)
	case []byte:
		return one("bytes %x", v)
	case Scalar:
		switch v.dt.kind {
		case 'f':
			return one("f%d %0*x", v.dt.size, 2*v.dt.size, v.bits)
		case 'b':
			b, err := Bool(v)
			if err != nil {
				return nil, err
			}
			return canon(b, depth)
		case 'u':
			return one("int %d", v.bits)
		}
		n, err := Int(v)
		if err != nil {
			return nil, err
		}
		return one("int %d", n)
	case *types.List:
		return many(fmt.Sprintf("list %d", v.Len()), *v)
	case *types.Tuple:
		return many(fmt.Sprintf("tuple %d", v.Len()), *v)
	case *Mapping:
		var items []any
		for k, value := range v.All() {
			items = append(items, k, value)
		}
		return many(fmt.Sprintf("dict %d", v.Len()), items)
	case *Set:
		var members []string
		for _, item := range v.Items() {
			lines, err := canon(item, depth+1)
			if err != nil {
				return nil, err
			}
			members = append(members, strings.Join(lines, "\n"))
		}
		slices.Sort(members)
		lines, err := one("set %d", len(members))
		return append(lines, members...), err
	case *Array:
		return canonArray(v, in, depth, many)
	}
	return nil, fmt.Errorf("no canonical text of %T", v)
}

func canonArray(a *Array, in string, depth int, many func(string, []any) ([]string, error)) ([]string, error) {
	dims := make([]string, len(a.Shape))
	for i, d := range a.Shape {
		dims[i] = fmt.Sprint(d)
	}
	shape := "(" + strings.Join(dims, ", ") + ")"
	if len(dims) == 1 {
		shape = "(" + dims[0] + ",)"
	}
	switch a.dt.kind {
	case 'O':
		items, err := a.Objects()
		if err != nil {
			return nil, err
		}
		return many("array |O "+shape, items)
	case 'U':
		texts, err := a.Strings()
		if err != nil {
			return nil, err
		}
		items := make([]any, len(texts))
		for i, s := range texts {
			items[i] = s
		}
		return many("array U "+shape, items)
	case 'S':
		items := make([]any, a.Len())
		for i, raw := range a.elements() {
			items[i] = []byte(strings.TrimRight(string(raw), "\x00"))
		}
		return many("array S "+shape, items)
	}
	digest := sha256.New()
	for _, raw := range a.elements() {
		raw = slices.Clone(raw)
		if a.dt.big {
			slices.Reverse(raw)
		}
		digest.Write(raw)
	}
	return []string{fmt.Sprintf("%sarray %c%d %s %s", in, a.dt.kind, a.dt.size, shape, hex.EncodeToString(digest.Sum(nil)))}, nil
}
