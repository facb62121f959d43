package extract

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"testing"
)

// Python values that pickler writes beside int, float64, string, []any and
// pyDict: what metrics pickles are made of.
type (
	pyNone  struct{}
	pyPair  struct{ key, value any }
	pyDict  []pyPair
	pyTuple []any
	// pyArray is a numpy array in C order; data is []float64, []float32 or []int64.
	pyArray struct {
		shape []int
		data  any
	}
	pyObjects []string // numpy array of str objects
	pyScalar  float64  // numpy float64
)

// pickler writes protocol 4 as CPython does, without memo and frames.
type pickler struct{ bytes.Buffer }

func writePickle(t *testing.T, path string, v any) {
	t.Helper()
	if err := os.WriteFile(path, encodePickle(v), 0o600); err != nil {
		t.Fatal(err)
	}
}

func encodePickle(v any) []byte {
	var p pickler
	p.WriteString("\x80\x04")
	p.value(v)
	p.WriteByte('.')
	return p.Bytes()
}

func (p *pickler) value(v any) {
	switch v := v.(type) {
	case pyNone:
		p.WriteByte('N')
	case bool:
		p.WriteByte(map[bool]byte{true: 0x88, false: 0x89}[v])
	case int:
		p.WriteByte('J')
		p.little(int32(v))
	case float64:
		p.WriteByte('G')
		p.big(math.Float64bits(v))
	case string:
		p.WriteByte('X')
		p.little(uint32(len(v)))
		p.WriteString(v)
	case []byte:
		p.WriteByte('B')
		p.little(uint32(len(v)))
		p.Write(v)
	case []any:
		p.WriteString("](")
		for _, item := range v {
			p.value(item)
		}
		p.WriteByte('e')
	case pyTuple:
		p.WriteByte('(')
		for _, item := range v {
			p.value(item)
		}
		p.WriteByte('t')
	case pyDict:
		p.WriteString("}(")
		for _, pair := range v {
			p.value(pair.key)
			p.value(pair.value)
		}
		p.WriteByte('u')
	case pyArray:
		var data bytes.Buffer
		must(binary.Write(&data, binary.LittleEndian, v.data))
		shape := pyTuple{}
		for _, n := range v.shape {
			shape = append(shape, n)
		}
		p.global("numpy.core.numeric", "_frombuffer")
		p.WriteByte('(')
		p.value(data.Bytes())
		p.dtype(map[string]string{"[]float64": "f8", "[]float32": "f4", "[]int64": "i8"}[fmt.Sprintf("%T", v.data)])
		p.value(shape)
		p.value("C")
		p.WriteString("tR")
	case pyObjects:
		items := []any{}
		for _, item := range v {
			items = append(items, item)
		}
		p.global("numpy.core.multiarray", "_reconstruct")
		p.WriteByte('(')
		p.global("numpy", "ndarray")
		p.value(pyTuple{0})
		p.value([]byte("b"))
		p.WriteString("tR(")
		p.value(1)
		p.value(pyTuple{len(v)})
		p.dtype("O8")
		p.value(false)
		p.value(items)
		p.WriteString("tb")
	case pyScalar:
		p.global("numpy.core.multiarray", "scalar")
		p.WriteByte('(')
		p.dtype("f8")
		p.value(binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(v))))
		p.WriteString("tR")
	default:
		panic(fmt.Sprintf("pickler: %T", v))
	}
}

func (p *pickler) dtype(name string) {
	p.global("numpy", "dtype")
	p.WriteByte('(')
	p.value(name)
	p.value(false)
	p.value(true)
	p.WriteString("tR(")
	if name == "O8" {
		p.value(3)
		p.value("|")
		p.value(pyNone{})
		p.value(pyNone{})
		p.value(pyNone{})
		p.value(-1)
		p.value(-1)
		p.value(63)
	} else {
		p.value(3)
		p.value("<")
		p.value(pyNone{})
		p.value(pyNone{})
		p.value(pyNone{})
		p.value(-1)
		p.value(-1)
		p.value(0)
	}
	p.WriteString("tb")
}

func (p *pickler) global(module, name string) {
	p.value(module)
	p.value(name)
	p.WriteByte(0x93)
}

func (p *pickler) little(v any) { must(binary.Write(p, binary.LittleEndian, v)) }
func (p *pickler) big(v any)    { must(binary.Write(p, binary.BigEndian, v)) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// with returns a copy with another value at a path of keys, without it for nil.
func (d pyDict) with(value any, path ...string) pyDict {
	out := pyDict{}
	for _, pair := range d {
		if pair.key == path[0] {
			if len(path) > 1 {
				pair.value = pair.value.(pyDict).with(value, path[1:]...)
			} else if value == nil {
				continue
			} else {
				pair.value = value
			}
		}
		out = append(out, pair)
	}
	return out
}
