package pickle

import (
	"encoding/binary"
	"iter"
	"math"
	"strconv"
	"unicode/utf8"
)

// Array is a numpy array. DType is numpy's name with the byte order in front
// ("<f8", ">i4", "|b1", "<U5", "|S3", "|O"); Shape has a length for each
// dimension, none for an array of no dimensions, which has one element. Both
// are for reading only. The elements come in C order, last index fastest,
// whatever order and byte order they are kept in.
type Array struct {
	DType string
	Shape []int

	dt      dtype
	n       int
	fortran bool
	raw     []byte
	objects []any // in C order
	filled  bool
}

func (d dtype) String() string {
	order := "<"
	if d.big {
		order = ">"
	}
	switch {
	case d.kind == 'O':
		return "|O"
	case d.kind == 'S', d.size == 1:
		order = "|"
	}
	n := d.size
	if d.kind == 'U' {
		n /= 4
	}
	return order + string(rune(d.kind)) + strconv.Itoa(n)
}

// Len is the number of elements.
func (a *Array) Len() int { return a.n }

// elements gives the bytes of each element with its place in C order.
func (a *Array) elements() iter.Seq2[int, []byte] {
	size := a.dt.size
	return func(yield func(int, []byte) bool) {
		if !a.fortran || len(a.Shape) < 2 {
			for i := range a.n {
				if !yield(i, a.raw[i*size:(i+1)*size]) {
					return
				}
			}
			return
		}
		index := make([]int, len(a.Shape))
		stride := make([]int, len(a.Shape))
		step := 1
		for k, d := range a.Shape {
			stride[k] = step
			step *= d
		}
		at := 0
		for i := range a.n {
			if !yield(i, a.raw[at*size:(at+1)*size]) {
				return
			}
			for k := len(index) - 1; k >= 0; k-- {
				index[k]++
				at += stride[k]
				if index[k] < a.Shape[k] {
					break
				}
				at -= index[k] * stride[k]
				index[k] = 0
			}
		}
	}
}

// Floats gives the elements of an array of floats, integers or bools as
// float64. Integers beyond 2^53 in size are an error: they would be rounded.
func (a *Array) Floats() ([]float64, error) {
	if !a.dt.numeric() {
		return nil, errorf(Unexpected, "an array of dtype %s where numbers are expected", a.dtypeText())
	}
	out := make([]float64, a.n)
	for i, raw := range a.elements() {
		f, ok := a.dt.float(a.dt.bits(raw))
		if !ok {
			return nil, errorf(Unexpected, "an array of dtype %s holds an integer beyond 2^53, expected floats", a.DType)
		}
		out[i] = f
	}
	return out, nil
}

// Ints gives the elements of an array of integers or bools; those that int64
// cannot hold are an error.
func (a *Array) Ints() ([]int64, error) {
	if !a.dt.numeric() || a.dt.kind == 'f' {
		return nil, errorf(Unexpected, "an array of dtype %s where integers are expected", a.dtypeText())
	}
	out := make([]int64, a.n)
	for i, raw := range a.elements() {
		n, ok := a.dt.int(a.dt.bits(raw))
		if !ok {
			return nil, errorf(Unexpected, "an array of dtype %s holds an integer beyond int64", a.DType)
		}
		out[i] = n
	}
	return out, nil
}

// Strings gives the elements of an array of text: dtype U, or O with nothing
// but strings in it.
func (a *Array) Strings() ([]string, error) {
	switch a.dt.kind {
	case 'U':
		out := make([]string, a.n)
		for i, raw := range a.elements() {
			s, err := a.dt.text(raw)
			if err != nil {
				return nil, err
			}
			out[i] = s
		}
		return out, nil
	case 'O':
		return stringsOf(a.objects)
	}
	return nil, errorf(Unexpected, "an array of dtype %s where text is expected", a.dtypeText())
}

// Objects gives the elements of an array of dtype O; the slice is the array's own.
func (a *Array) Objects() ([]any, error) {
	if a.dt.kind != 'O' {
		return nil, errorf(Unexpected, "an array of dtype %s where objects are expected", a.dtypeText())
	}
	return a.objects, nil
}

// dtypeText names the dtype, also of an array that never got its state.
func (a *Array) dtypeText() string {
	if !a.filled {
		return "none (it was never given its contents)"
	}
	return a.DType
}

func (d dtype) numeric() bool {
	switch d.kind {
	case 'f', 'i', 'u', 'b':
		return true
	}
	return false
}

// bits gives a number's bytes as an unsigned integer.
func (d dtype) bits(raw []byte) uint64 {
	order := binary.ByteOrder(binary.LittleEndian)
	if d.big {
		order = binary.BigEndian
	}
	switch d.size {
	case 1:
		return uint64(raw[0])
	case 2:
		return uint64(order.Uint16(raw))
	case 4:
		return uint64(order.Uint32(raw))
	}
	return order.Uint64(raw)
}

// float gives the number that bits stand for; false if float64 cannot hold it.
func (d dtype) float(bits uint64) (float64, bool) {
	if d.kind == 'f' {
		switch d.size {
		case 2:
			return half(uint16(bits)), true
		case 4:
			return float64(math.Float32frombits(uint32(bits))), true
		}
		return math.Float64frombits(bits), true
	}
	n, ok := d.int(bits)
	if !ok || n > 1<<53 || n < -1<<53 {
		return 0, false
	}
	return float64(n), true
}

// int gives the integer or bool that bits stand for; false if int64 cannot
// hold it or it is no integer.
func (d dtype) int(bits uint64) (int64, bool) {
	switch d.kind {
	case 'i':
		unused := 64 - 8*d.size
		return int64(bits<<unused) >> unused, true
	case 'u':
		return int64(bits), bits <= math.MaxInt64
	case 'b':
		if bits != 0 {
			return 1, true
		}
		return 0, true
	}
	return 0, false
}

// half converts IEEE 754 binary16.
func half(h uint16) float64 {
	sign := 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	exponent, fraction := int(h>>10&0x1f), float64(h&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(fraction+1024, exponent-25)
}

// text decodes an element of dtype U: UCS-4, filled up with NULs. A lone
// surrogate becomes the three bytes that Python's "surrogatepass" writes.
func (d dtype) text(raw []byte) (string, error) {
	units := len(raw) / 4
	for units > 0 && d.unit(raw, units-1) == 0 {
		units--
	}
	b := make([]byte, 0, units)
	for i := range units {
		r := d.unit(raw, i)
		switch {
		case r > utf8.MaxRune:
			return "", errorf(Damaged, "text of dtype U holds a number that is no character")
		case r >= 0xd800 && r <= 0xdfff:
			b = append(b, 0xed, 0x80|byte(r>>6&0x3f), 0x80|byte(r&0x3f))
		default:
			b = utf8.AppendRune(b, rune(r))
		}
	}
	return string(b), nil
}

func (d dtype) unit(raw []byte, i int) uint32 {
	if d.big {
		return binary.BigEndian.Uint32(raw[4*i:])
	}
	return binary.LittleEndian.Uint32(raw[4*i:])
}

// Scalar is a numpy scalar: a float, an integer or a bool of a given width.
type Scalar struct {
	dt   *dtype
	bits uint64
}

// DType is numpy's name of the scalar's type without byte order: "f8", "f4",
// "i8", "b1".
func (s Scalar) DType() string {
	return string(rune(s.dt.kind)) + strconv.Itoa(s.dt.size)
}
