package pickle

import (
	"bytes"
	"encoding/binary"
	"iter"
	"math"
	"regexp"
	"strconv"
	"unicode/utf8"

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
	dt.used = true
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
	dt.used = true
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
	dt.used = true
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
	used   bool // something was made with it, or may have been
}

// needsInit is the one of numpy's flags of a dtype that is not about objects; U has
// it. With others numpy takes the elements for pointers.
const needsInit = 0x08

var dtypeName = regexp.MustCompile(`^[<>|=]?([A-Za-z?])(\d{0,9})$`)

// newDType is numpy.dtype(name, align, copy). Picklers always ask for a copy: only
// that takes the byte order that BUILD gives, numpy's own object ignores it.
func newDType(args []any) (any, error) {
	if len(args) != 3 {
		return nil, errorf(Damaged, "numpy.dtype has %d arguments, not 3", len(args))
	}
	name, ok := args[0].(string)
	if !ok {
		return nil, errorf(Refused, "numpy.dtype of something other than a name")
	}
	if args[2] != true && args[2] != 1 {
		return nil, errorf(Refused, "numpy.dtype that is no copy")
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
	_, ok4 := t.Get(6).(int)
	flags, ok5 := t.Get(7).(int)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return errorf(Damaged, "a dtype's state has other types than expected")
	}
	if version != 3 && version != 4 {
		return errorf(Refused, "a dtype's state of version %d; 3 and 4 are supported", version)
	}
	if t.Get(2) != nil || t.Get(3) != nil || t.Get(4) != nil {
		return errorf(Refused, "a structured dtype")
	}
	// Of texts and bytes numpy takes the size from here, of others from the name.
	if flexible := d.kind == 'U' || d.kind == 'S'; size != d.size && (flexible || size != -1) {
		return errorf(Damaged, "a dtype's state gives another size than its name")
	}
	if flags&^needsInit != 0 && d.kind != 'O' {
		return errorf(Damaged, "a dtype's state has flags of another dtype")
	}
	if d.filled {
		return errorf(Damaged, "a dtype gets its state a second time")
	}
	// To numpy, what was made before would change its byte order or not, as it
	// was made.
	if d.used {
		return errorf(Damaged, "a dtype gets its state after it was used")
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

// scalarTail ends what makes a scalar: MEMOIZE of its bytes, the arguments, and
// the call, each stored.
var scalarTail = []byte{opMemoize, opTuple2, opMemoize, opReduce, opMemoize}

// scalars takes, all at once, what makes numpy's scalars of one dtype one after
// the other, and gives the number of its bytes; 0 if window does not begin with
// that. A study's pickles hold half a million of them, nine tenths of their
// opcodes: fetch the callable, fetch the dtype, the bytes, the tail.
func (c *checker) scalars(window []byte) int {
	if c.mode == literally || c.op != opBinGet && c.op != opLongBinGet || c.memo.top != c.memo.count {
		return 0
	}
	if c.pos < c.frameEnd {
		window = window[:min(int64(len(window)), c.frameEnd-c.pos)]
	}
	calleeID, n := fetchAt(window)
	callee := c.memo.get(calleeID)
	if n == 0 || callee.kind() != global || globalCode(callee.ref()) != codeScalar {
		return 0
	}
	dtypeID, m := fetchAt(window[n:])
	of := c.memo.get(dtypeID)
	if m == 0 || of.kind() != dtypeValue {
		return 0
	}
	dt := c.dtypes[of.ref()-1]
	head := n + m + 2
	length := head + dt.size + len(scalarTail)
	if !dt.numeric() || len(window) < length || window[head-2] != opShortBinBytes || int(window[head-1]) != dt.size {
		return 0
	}
	if !c.quiet && c.mode == wantedOnly {
		// Entries of a dict take their turns with keys.
		if lost, node := c.guess(len(c.stack)); lost || node > 0 {
			return 0
		}
		if len(c.stack) > c.base && c.stack[len(c.stack)-1].v.lost() {
			return 0
		}
	}
	count := 0
	for at := 0; at+length <= len(window); at += length {
		one := window[at : at+length]
		if !bytes.Equal(one[:head], window[:head]) || !bytes.Equal(one[head+dt.size:], scalarTail) {
			break
		}
		count++
	}
	if count == 0 {
		return 0
	}
	c.fetch(calleeID)
	c.fetch(dtypeID)
	data := value(byteStr, weighs+dt.size)
	args := c.tupleOf([]slot{{v: of}, {v: data}})
	made := value(scalarValue, args.ref())
	first := c.memo.count
	c.cost += int64(count) * int64(costBox+3*costSlot/2+costBox+costSlot+costBox+args.ref())
	if c.quiet {
		made |= lostFlag
		at := c.tape.end()
		for range count {
			c.stack = append(c.stack, slot{made, at})
		}
	} else {
		c.kept += int64(count) * (costBox + costSlot)
		if c.mode == wantedOnly {
			c.puts = append(c.puts, put{first + 2, uint32(len(c.tape.ops))})
		}
		for i := range count {
			c.stack = append(c.stack, slot{made, c.tape.end()})
			at := i*length + head
			c.tape.value(Scalar{dt, dt.bits(window[at : at+dt.size])})
			c.tape.entry(opLongBinPut, first+3*i+2)
		}
	}
	// The bytes and arguments of a scalar are never on the tape.
	c.memo.repeat(count, [3]abstract{data | lostFlag, args | lostFlag, made})
	c.peak = max(c.peak, len(c.stack)+2)
	return count * length
}

// fetchAt reads an opcode that fetches from the memo; n is its length, or 0.
func fetchAt(b []byte) (id, n int) {
	switch {
	case len(b) >= 2 && b[0] == opBinGet:
		return int(b[1]), 2
	case len(b) >= 5 && b[0] == opLongBinGet:
		return int(binary.LittleEndian.Uint32(b[1:])), 5
	}
	return 0, 0
}

// noted gives the items of the tuple on top of the stack as far as they
// matter to a dtype; false if they are not known.
func (c *checker) noted() ([]any, bool) {
	if !c.fresh || c.mode == literally {
		return nil, false
	}
	items := make([]any, len(c.tupled))
	for i, v := range c.tupled {
		switch v.kind() {
		case atom:
			switch v.form() {
			case isTrue, isFalse:
				items[i] = v.form() == isTrue
			case isInt:
				items[i] = v.int()
			case isOther:
				return nil, false
			}
		case str:
			text, whole := c.texts.get(v)
			if !whole {
				return nil, false
			}
			items[i] = string(text)
		default:
			items[i] = skipped{} // of a type that a dtype has no use for
		}
	}
	return items, true
}
