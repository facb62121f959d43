package pickle

import (
	"bytes"
	"regexp"
	"strconv"

	"github.com/nlpodyssey/gopickle/types"
)

// globalCode numbers what EXT1 of the rewritten stream can push. Zero is not
// used: pickles have no extension of that code.
type globalCode uint8

const (
	codeEmptyDict globalCode = iota + 1 // makes a value, as EMPTY_DICT does
	codeEmptySet
	codeFromBuffer
	codeReconstruct
	codeScalar
	codeDType
	codeNDArray
	codeEncode
	codeOrderedDict
)

// globalTable says what each code stands for. A function answers REDUCE; it
// must make the kind of value that the preflight expects of it.
var globalTable = map[globalCode]struct {
	name string
	call func(args []any) (any, error)
}{
	codeFromBuffer:  {"_frombuffer", fromBuffer},
	codeReconstruct: {"_reconstruct", reconstruct},
	codeScalar:      {"scalar", newScalar},
	codeDType:       {"numpy.dtype", newDType},
	codeNDArray:     {"numpy.ndarray", nil},
	codeEncode:      {"_codecs.encode", encode},
	codeOrderedDict: {"collections.OrderedDict", orderedDict},
}

// globalCodes is the list of allowed globals; numpy 2 renamed numpy.core.
var globalCodes = map[string]globalCode{
	"numpy.core.numeric._frombuffer":      codeFromBuffer,
	"numpy._core.numeric._frombuffer":     codeFromBuffer,
	"numpy.core.multiarray._reconstruct":  codeReconstruct,
	"numpy._core.multiarray._reconstruct": codeReconstruct,
	"numpy.core.multiarray.scalar":        codeScalar,
	"numpy._core.multiarray.scalar":       codeScalar,
	"numpy.dtype":                         codeDType,
	"numpy.ndarray":                       codeNDArray,
	"_codecs.encode":                      codeEncode,
	"collections.OrderedDict":             codeOrderedDict,
}

// callable is an allowed global on gopickle's stack.
type callable globalCode

// Call implements gopickle's types.Callable.
func (c callable) Call(args ...any) (any, error) {
	f := globalTable[globalCode(c)].call
	if f == nil {
		return nil, errorf(Refused, "calls %s, which is only expected as an argument", globalTable[globalCode(c)].name)
	}
	return f(args)
}

// extension is gopickle's GetExtension.
func extension(code int) (any, error) {
	switch c := globalCode(code); c {
	case codeEmptyDict:
		return new(Mapping), nil
	case codeEmptySet:
		return new(Set), nil
	default:
		return callable(c), nil
	}
}

// fromBuffer is numpy's _frombuffer(buffer, dtype, shape, order).
func fromBuffer(args []any) (any, error) {
	if len(args) != 4 {
		return nil, errorf(Damaged, "_frombuffer has %d arguments, not 4", len(args))
	}
	raw, ok1 := args[0].([]byte)
	dt, ok2 := args[1].(*dtype)
	order, ok3 := args[3].(string)
	if !ok1 || !ok2 || !ok3 || order != "C" && order != "F" {
		return nil, errorf(Damaged, "_frombuffer has arguments of other types than expected")
	}
	if dt.kind == 'O' {
		return nil, errorf(Refused, "an array of objects from a buffer")
	}
	a := new(Array)
	if err := a.fill(*dt, args[2], order == "F", raw, nil); err != nil {
		return nil, err
	}
	return a, nil
}

// reconstruct is numpy's _reconstruct(class, shape, dtype): an array whose
// contents come with the BUILD that follows.
func reconstruct(args []any) (any, error) {
	if len(args) != 3 {
		return nil, errorf(Damaged, "_reconstruct has %d arguments, not 3", len(args))
	}
	if c, ok := args[0].(callable); !ok || globalCode(c) != codeNDArray {
		return nil, errorf(Refused, "_reconstruct of something other than numpy.ndarray")
	}
	return new(Array), nil
}

// PySetState implements gopickle's types.PyStateSettable: the state is
// (version, shape, dtype, is Fortran, bytes or list of objects).
func (a *Array) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() != 5 {
		return errorf(Damaged, "an array's state is no tuple of 5")
	}
	version, ok1 := t.Get(0).(int)
	dt, ok2 := t.Get(2).(*dtype)
	fortran, ok3 := t.Get(3).(bool)
	if !ok1 || !ok2 || !ok3 {
		return errorf(Damaged, "an array's state has other types than expected")
	}
	if version != 1 {
		return errorf(Refused, "an array's state of version %d; 1 is supported", version)
	}
	if a.filled {
		return errorf(Damaged, "an array gets its state a second time")
	}
	var raw []byte
	var objects *types.List
	if dt.kind == 'O' {
		objects, ok = t.Get(4).(*types.List)
	} else {
		raw, ok = t.Get(4).([]byte)
	}
	if !ok {
		return errorf(Damaged, "an array's contents do not fit its dtype")
	}
	return a.fill(*dt, t.Get(1), fortran, raw, objects)
}

// maxDimensions is numpy 2's; numpy 1 had 32.
const maxDimensions = 64

// maxEmptyLength bounds each dimension of an array without elements, which
// its bytes do not bound: whoever makes room by the shape must be safe.
const maxEmptyLength = 1 << 20

func (a *Array) fill(dt dtype, shape any, fortran bool, raw []byte, objects *types.List) error {
	dims, ok := shape.(*types.Tuple)
	if !ok || dims.Len() > maxDimensions {
		return errorf(Damaged, "an array's shape is no tuple of up to %d lengths", maxDimensions)
	}
	have := len(raw)
	size := dt.size
	if objects != nil {
		have, size = objects.Len(), 1
	}
	a.Shape = make([]int, dims.Len())
	n, empty := 1, false
	for i := range a.Shape {
		d, ok := dims.Get(i).(int)
		if !ok || d < 0 {
			return errorf(Damaged, "an array's shape holds something other than a length")
		}
		a.Shape[i] = d
		empty = empty || d == 0
		// More elements than bytes would need elements of no size.
		if d > 0 && n > have/d {
			n = have + 1
		} else {
			n *= d
		}
	}
	if empty {
		n = 0
		for _, d := range a.Shape {
			if d > maxEmptyLength {
				return errorf(TooLarge, "an array without elements has a length above %d", maxEmptyLength)
			}
		}
	}
	if size == 0 && n > 0 {
		return errorf(Refused, "an array of elements without a size")
	}
	if n > have || n*size != have {
		return errorf(Damaged, "an array's contents do not fill its shape")
	}
	a.DType, a.dt = dt.String(), dt
	a.fortran, a.raw, a.n = fortran, raw, n
	if objects != nil {
		// The list is in C order whatever the state says of Fortran's.
		a.fortran = false
		a.objects = (*objects)[:n:n]
	}
	a.filled = true
	return nil
}

// newScalar is numpy's scalar(dtype, bytes). A str_ or bytes_ becomes a string
// or []byte, as Python treats them; every other becomes a Scalar.
func newScalar(args []any) (any, error) {
	if len(args) != 2 {
		return nil, errorf(Damaged, "scalar has %d arguments, not 2", len(args))
	}
	dt, ok1 := args[0].(*dtype)
	raw, ok2 := args[1].([]byte)
	if !ok1 || !ok2 {
		return nil, errorf(Damaged, "scalar has arguments of other types than expected")
	}
	if dt.kind == 'O' {
		return nil, errorf(Refused, "a scalar of dtype O")
	}
	if len(raw) != dt.size {
		return nil, errorf(Damaged, "a scalar's bytes do not fit its dtype")
	}
	switch dt.kind {
	case 'U':
		return dt.text(raw)
	case 'S':
		return bytes.TrimRight(raw, "\x00"), nil
	}
	return Scalar{dt, dt.bits(raw)}, nil
}

// dtype is numpy's, of the kinds that are supported: f, i, u, b (bool), U, S
// and O. Pickles use it through a reference from before its BUILD.
type dtype struct {
	kind   byte
	size   int // bytes of an element; 4 a character for U; 8 for O
	big    bool
	filled bool
}

var dtypeName = regexp.MustCompile(`^[<>|=]?([A-Za-z?])(\d{0,9})$`)

// newDType is numpy.dtype(name, align, copy).
func newDType(args []any) (any, error) {
	if len(args) != 3 {
		return nil, errorf(Damaged, "numpy.dtype has %d arguments, not 3", len(args))
	}
	name, ok := args[0].(string)
	if !ok {
		return nil, errorf(Refused, "numpy.dtype of something other than a name")
	}
	m := dtypeName.FindStringSubmatch(name)
	if m == nil {
		return nil, errorf(Refused, "a dtype whose name has another form than a letter and a size")
	}
	size := 0
	if m[2] != "" {
		var err error
		if size, err = strconv.Atoi(m[2]); err != nil {
			return nil, errorf(Damaged, "a dtype's size is no number")
		}
	}
	dt := &dtype{kind: m[1][0], size: size, big: name[0] == '>'}
	switch dt.kind {
	case 'f':
		ok = size == 2 || size == 4 || size == 8
	case 'i', 'u':
		ok = size == 1 || size == 2 || size == 4 || size == 8
	case 'b':
		ok = size == 1
	case 'O':
		ok = size == 8 || m[2] == ""
		dt.size = 8
	case 'U':
		dt.size = 4 * size
	case 'S':
	default:
		ok = false
	}
	if !ok {
		shown := m[1]
		if len(m[2]) <= 3 { // a longer number is no size that numpy knows for these
			shown += m[2]
		}
		return nil, errorf(Refused, "dtype %s, which is not supported (f2 f4 f8, i1 to i8, u1 to u8, bool, U, S and O are)", shown)
	}
	return dt, nil
}

// PySetState implements gopickle's types.PyStateSettable: the state is
// (version, byte order, subdtype, names, fields, size, alignment, flags), in
// version 4 with metadata at the end.
func (d *dtype) PySetState(state any) error {
	t, ok := state.(*types.Tuple)
	if !ok || t.Len() < 8 || t.Len() > 9 {
		return errorf(Damaged, "a dtype's state is no tuple of 8 or 9")
	}
	version, ok1 := t.Get(0).(int)
	order, ok2 := t.Get(1).(string)
	size, ok3 := t.Get(5).(int)
	if !ok1 || !ok2 || !ok3 {
		return errorf(Damaged, "a dtype's state has other types than expected")
	}
	if version != 3 && version != 4 {
		return errorf(Refused, "a dtype's state of version %d; 3 and 4 are supported", version)
	}
	if t.Get(2) != nil || t.Get(3) != nil || t.Get(4) != nil {
		return errorf(Refused, "a structured dtype")
	}
	if size != -1 && size != d.size {
		return errorf(Damaged, "a dtype's state gives another size than its name")
	}
	if d.filled {
		return errorf(Damaged, "a dtype gets its state a second time")
	}
	switch order {
	case "<", "|", "=":
		d.big = false
	case ">":
		d.big = true
	default:
		return errorf(Damaged, "a dtype's byte order is none of < > | =")
	}
	d.filled = true
	return nil
}

// encode is _codecs.encode(text, "latin1"), which protocol 2 writes bytes with.
func encode(args []any) (any, error) {
	if len(args) != 2 {
		return nil, errorf(Damaged, "_codecs.encode has %d arguments, not 2", len(args))
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, errorf(Damaged, "_codecs.encode of something other than a string")
	}
	if args[1] != "latin1" {
		return nil, errorf(Refused, "_codecs.encode to another encoding than latin1")
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if r > 0xff {
			return nil, errorf(Damaged, "_codecs.encode to latin1 of a character that it lacks")
		}
		b = append(b, byte(r))
	}
	return b, nil
}

func orderedDict(args []any) (any, error) {
	if len(args) != 0 {
		return nil, errorf(Refused, "collections.OrderedDict with arguments")
	}
	return new(Mapping), nil
}

// shownName bounds the name of a global in an error.
const shownName = 80

var longNumber = regexp.MustCompile(`[0-9]{4,}`)

// cleanName makes the name of a global fit for an error text. The file chose
// it freely, so it could hold anything: what no identifier has is replaced, as
// are numbers long enough to be a subject's.
func cleanName(name string) string {
	b := []byte(name[:min(len(name), shownName)])
	for i, x := range b {
		switch {
		case x >= 'a' && x <= 'z', x >= 'A' && x <= 'Z', x >= '0' && x <= '9', x == '_', x == '.':
		default:
			b[i] = '?'
		}
	}
	b = longNumber.ReplaceAll(b, []byte("#"))
	if len(name) > shownName {
		b = append(b, "..."...)
	}
	return strconv.Quote(string(b))
}
