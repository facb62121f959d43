package pickle

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// kind is what the preflight knows of a value on the stack or in the memo.
type kind uint8

const (
	unset     kind = iota // a memo id that nothing was stored under
	atom                  // None, bool, int, float; ref is its weight
	str                   // ref is the offset of the opcode that pushed it
	byteStr               // ref is its weight
	byteArray             // from here on ref is unused unless it says otherwise
	list
	dict
	set
	frozenSet
	tuple       // of hashable values only; ref is its weight
	mutedTuple  // holds something that cannot be hashed; ref is its weight
	global      // ref is its code in the table of globals
	dtypeValue  // made by numpy.dtype
	arrayValue  // made by _frombuffer or _reconstruct
	scalarValue // made by scalar; ref is its weight
)

// abstract is a kind in the low byte and its ref above: the stack of a hostile
// file can be as long as the file.
type abstract uint64

func value(k kind, ref int) abstract { return abstract(ref)<<8 | abstract(k) }
func (a abstract) kind() kind        { return kind(a) }
func (a abstract) ref() int          { return int(a >> 8) }

// What values cost in memory, in bytes: Go's sizes on 64 bits, rounded up to
// its size classes. An estimate only has to be right within a small factor.
const (
	costSlot      = 32  // an interface in a slice that grows by doubling
	costMark      = 320 // gopickle's fresh stack of 16 slots, and the bookkeeping
	costBox       = 32  // a number, a slice header, a small struct behind an interface
	costContainer = 96  // an empty list with its first 4 slots, or a dict's header
	costEntry     = 192 // of a dict or set: key, value, and its place in the index
	costMemo      = 96  // of gopickle's memo, a map
	costArray     = 768 // with up to 64 lengths; its elements stay in the file's bytes
)

// weighs is the least weight of a value: weights count bytes that hashing or
// copying a key touches, and levels of tuples.
const weighs = 8

// maxKeyWeight bounds a key of a dict or member of a set. Keys can be used
// again by a fetch of two bytes, so hashing long ones costs more time than
// their size in the file lets expect. Measures' names and subjects' codes have
// some ten bytes.
const maxKeyWeight = 1024

// maxWeight keeps sums of weights from overflowing: a tuple can hold another
// twice, 50 levels deep.
const maxWeight = 1 << 40

// maxLong bounds an integer's bytes: converting takes quadratic time.
const maxLong = 1024

// plan is what the rewriting of a stream that passed needs to know.
type plan struct {
	fetched []uint64 // bit i: memo id i is fetched somewhere
	globals []uint8  // codes of GLOBAL and STACK_GLOBAL in order of appearance
	memory  int64    // the estimate, in bytes
}

func (p *plan) keep(id int) bool {
	return id>>6 < len(p.fetched) && p.fetched[id>>6]&(1<<(id&63)) != 0
}

func (p *plan) fetch(id int) {
	for len(p.fetched) <= id>>6 {
		p.fetched = append(p.fetched, 0)
	}
	p.fetched[id>>6] |= 1 << (id & 63)
}

// checker walks a pickle without making any of its values.
type checker struct {
	data  []byte
	pos   int // of the opcode at hand
	limit Limits

	stack []abstract
	marks []int // heights of the stack at open marks
	base  int   // the last of marks, or 0: what lies below is out of reach
	memo  []abstract
	memos int // ids in use

	frameEnd int // where the frame that pos lies in ends
	cost     int64
	peak     int // height of the stack

	plan plan
}

// preflight walks every opcode of data. What it passes, gopickle can decode
// without a panic, without an unknown global and within the memory limit.
func preflight(data []byte, l Limits) (*plan, *Error) {
	c := &checker{data: data, limit: l, cost: int64(len(data))}
	if len(data) == 0 {
		return nil, c.fail(Damaged, "the file is empty")
	}
	if data[0] != opProto {
		return nil, c.fail(Damaged, "does not begin like a pickle of protocol 2 to 5")
	}
	if err := c.walk(); err != nil {
		return nil, err
	}
	return c.stop()
}

// walk goes on to the first STOP, or to the end of the data.
func (c *checker) walk() *Error {
	for c.pos < len(c.data) {
		op := c.data[c.pos]
		info := &opcodes[op]
		if info.name == "" {
			return c.fail(Damaged, "no opcode has the number 0x%02x", op)
		}
		if info.operand == refusedOp {
			return c.fail(Refused, "opcode %s %s", info.name, info.why)
		}
		body, next, ok := measure(c.data, c.pos)
		if !ok {
			return c.fail(Damaged, "the operand of %s does not end in the file", info.name)
		}
		if err := c.frame(op, body, next); err != nil {
			return err
		}
		if op == opStop {
			return nil
		}
		if err := c.step(op, body, next); err != nil {
			return err
		}
		c.peak = max(c.peak, len(c.stack))
		if c.total() > c.limit.MaxMemory {
			return c.fail(TooLarge, "its values would take more than %d bytes of memory", c.limit.MaxMemory)
		}
		c.pos = next
	}
	return nil
}

// total is the estimate so far. Places on the stack are used again and count
// by their peak; values and marks count whether or not they are dropped later.
func (c *checker) total() int64 {
	return c.cost + int64(c.peak)*costSlot
}

func (c *checker) fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Offset: int64(c.pos), Detail: fmt.Sprintf(format, args...)}
}

// damaged names the opcode at hand.
func (c *checker) damaged(what string) *Error {
	return c.fail(Damaged, "%s %s", opcodes[c.data[c.pos]].name, what)
}

// frame checks that frames follow one another and end between opcodes. They
// are of no use to a reader that has the whole file, but broken ones mean that
// the file is.
func (c *checker) frame(op byte, body, next int) *Error {
	if op == opFrame {
		if c.pos < c.frameEnd {
			return c.damaged("begins before the last one ended")
		}
		size := binary.LittleEndian.Uint64(c.data[body:])
		if size > uint64(len(c.data)-next) {
			return c.damaged("is longer than the rest of the file")
		}
		c.frameEnd = next + int(size)
		return nil
	}
	if c.pos < c.frameEnd && next > c.frameEnd {
		return c.damaged("does not end within its frame")
	}
	return nil
}

// stop ends the walk. What follows STOP is ignored, as Python does: a file can
// hold several pickles, or the rest of a longer one that was there before.
func (c *checker) stop() (*plan, *Error) {
	switch {
	case c.pos >= len(c.data):
		return nil, c.fail(Damaged, "the file ends before the pickle does")
	case len(c.marks) > 0:
		return nil, c.damaged("comes while a MARK is open")
	case len(c.stack) != 1:
		return nil, c.fail(Damaged, "STOP comes with %d values on the stack, not 1", len(c.stack))
	}
	switch c.stack[0].kind() {
	case global, dtypeValue:
		return nil, c.fail(Refused, "holds a type, not a value")
	}
	c.plan.memory = c.total()
	return &c.plan, nil
}

func (c *checker) step(op byte, body, next int) *Error {
	size := next - body
	switch op {
	case opProto:
		if c.pos != 0 {
			return c.damaged("occurs again within the pickle")
		}
		if v := c.data[body]; v < 2 || v > 5 {
			return c.fail(Refused, "protocol %d; 2 to 5 are supported", v)
		}
	case opFrame:

	case opNone, opNewTrue, opNewFalse:
		c.push(value(atom, weighs), 0)
	case opBinInt, opBinInt1, opBinInt2, opBinFloat:
		c.push(value(atom, weighs), costBox)
	case opLong1, opLong4:
		if size > maxLong {
			return c.fail(TooLarge, "an integer of %d bytes; the limit is %d", size, maxLong)
		}
		c.push(value(atom, weighs+size), costBox+2*size)
	case opShortBinUnicode, opBinUnicode, opBinUnicode8:
		if !validText(c.data[body:next]) {
			return c.damaged("is not UTF-8")
		}
		c.push(value(str, c.pos), costBox+2*size) // gopickle copies it twice
	case opShortBinBytes, opBinBytes, opBinBytes8:
		c.push(value(byteStr, weighs+size), costBox)
	case opByteArray8:
		c.push(value(byteArray, 0), costBox)
	case opEmptyTuple:
		c.push(value(tuple, weighs), costBox)
	case opEmptyList:
		c.push(value(list, 0), costContainer)
	case opEmptyDict:
		c.push(value(dict, 0), costContainer)
	case opEmptySet:
		c.push(value(set, 0), costContainer)

	case opMark:
		if len(c.marks) >= c.limit.MaxDepth {
			return c.fail(TooLarge, "more than %d marks are open", c.limit.MaxDepth)
		}
		c.marks = append(c.marks, len(c.stack))
		c.base = len(c.stack)
		c.cost += costMark
	case opPop:
		if len(c.stack) > c.base {
			c.stack = c.stack[:len(c.stack)-1]
		} else if _, err := c.popMark(); err != nil {
			return err
		}
	case opPopMark:
		if _, err := c.popMark(); err != nil {
			return err
		}

	case opTuple1:
		return c.tuple(1)
	case opTuple2:
		return c.tuple(2)
	case opTuple3:
		return c.tuple(3)
	case opTuple:
		items, err := c.popMark()
		if err != nil {
			return err
		}
		// gopickle's tuple keeps the stack of the mark, at least 16 slots.
		c.push(c.tupleOf(items), costBox+costSlot/2*max(16, 2*len(items)))
	case opFrozenSet:
		items, err := c.popMark()
		if err != nil {
			return err
		}
		if err := c.keys(items, 1); err != nil {
			return err
		}
		c.push(value(frozenSet, 0), costContainer+costSlot*max(16, len(items))+costEntry*len(items))

	case opAppend:
		return c.fill(list, 1, false)
	case opAppends:
		return c.fill(list, 1, true)
	case opSetItem:
		return c.fill(dict, 2, false)
	case opSetItems:
		return c.fill(dict, 2, true)
	case opAddItems:
		return c.fill(set, 1, true)

	case opMemoize:
		return c.put(c.memos)
	case opBinPut:
		return c.put(int(c.data[body]))
	case opLongBinPut:
		return c.put(int(binary.LittleEndian.Uint32(c.data[body:])))
	case opBinGet:
		return c.get(int(c.data[body]))
	case opLongBinGet:
		return c.get(int(binary.LittleEndian.Uint32(c.data[body:])))

	case opGlobal:
		module, name := splitLines(c.data[body:next])
		return c.global(module, name)
	case opStackGlobal:
		top, err := c.pop(2)
		if err != nil {
			return err
		}
		if top[0].kind() != str || top[1].kind() != str {
			return c.damaged("needs two strings")
		}
		return c.global(c.text(top[0]), c.text(top[1]))
	case opReduce:
		return c.reduce()
	case opBuild:
		top, err := c.pop(2)
		if err != nil {
			return err
		}
		if k := top[0].kind(); k != dtypeValue && k != arrayValue {
			return c.fail(Refused, "BUILD gives a state to something other than an array or dtype")
		}
		c.push(top[0], 0)
	default:
		// The table allows an opcode that this switch forgot.
		return c.fail(Refused, "opcode %s is not supported", opcodes[op].name)
	}
	return nil
}

func (c *checker) push(v abstract, cost int) {
	c.stack = append(c.stack, v)
	c.cost += int64(cost)
}

// pop takes n values off the stack, the deepest first. The result is valid
// until the next push.
func (c *checker) pop(n int) ([]abstract, *Error) {
	at := len(c.stack) - n
	if at < c.base {
		return nil, c.damaged("finds too few values on the stack")
	}
	top := c.stack[at:]
	c.stack = c.stack[:at]
	return top, nil
}

// popMark takes off what lies above the last mark, and the mark.
func (c *checker) popMark() ([]abstract, *Error) {
	if len(c.marks) == 0 {
		return nil, c.damaged("finds no MARK")
	}
	items := c.stack[c.base:]
	c.stack = c.stack[:c.base]
	c.marks = c.marks[:len(c.marks)-1]
	c.base = 0
	if n := len(c.marks); n > 0 {
		c.base = c.marks[n-1]
	}
	return items, nil
}

func (c *checker) tuple(n int) *Error {
	items, err := c.pop(n)
	if err != nil {
		return err
	}
	c.push(c.tupleOf(items), costBox+costSlot/2*n)
	return nil
}

func (c *checker) tupleOf(items []abstract) abstract {
	k, weight := tuple, weighs
	for _, v := range items {
		w, ok := c.hashable(v)
		if !ok {
			k = mutedTuple
		}
		weight = min(weight+w, maxWeight)
	}
	return value(k, weight)
}

// hashable gives the weight of a value and whether it can be a key.
func (c *checker) hashable(v abstract) (weight int, ok bool) {
	switch v.kind() {
	case atom, byteStr, tuple, scalarValue:
		return v.ref(), true
	case str:
		body, next, _ := measure(c.data, v.ref())
		return weighs + next - body, true
	case mutedTuple:
		return v.ref(), false
	}
	return weighs, false
}

// keys checks every step-th of items, from the first, as a key.
func (c *checker) keys(items []abstract, step int) *Error {
	for i := 0; i < len(items); i += step {
		weight, ok := c.hashable(items[i])
		if !ok {
			return c.damaged("has a key that cannot be hashed")
		}
		if weight > maxKeyWeight {
			return c.fail(TooLarge, "a key of more than %d bytes", maxKeyWeight)
		}
	}
	return nil
}

// fill adds items to a container of kind k, in groups of n: the top n values,
// or all above the last mark.
func (c *checker) fill(k kind, n int, all bool) *Error {
	var items []abstract
	var err *Error
	if all {
		items, err = c.popMark()
	} else {
		items, err = c.pop(n)
	}
	if err != nil {
		return err
	}
	if len(items)%n != 0 {
		return c.damaged("has a key without a value")
	}
	if len(c.stack) <= c.base {
		return c.damaged("finds no container on the stack")
	}
	if c.stack[len(c.stack)-1].kind() != k {
		return c.damaged("finds another kind of container on the stack")
	}
	if k == list {
		c.cost += int64(len(items)) * costSlot
		return nil
	}
	c.cost += int64(len(items)/n) * costEntry
	return c.keys(items, n)
}

func (c *checker) put(id int) *Error {
	if len(c.stack) <= c.base {
		return c.damaged("finds nothing on the stack to store")
	}
	// Picklers number their entries from 0 or 1, so an id beyond the count of
	// bytes read is no id, and would make a table of up to 4 billion.
	if id > c.pos {
		return c.damaged("uses an id that cannot have come up")
	}
	for len(c.memo) <= id {
		c.memo = append(c.memo, 0)
		c.cost += costSlot / 2
	}
	if c.memo[id].kind() != unset {
		return c.damaged("stores under an id that is in use")
	}
	c.memo[id] = c.stack[len(c.stack)-1]
	c.memos++
	return nil
}

func (c *checker) get(id int) *Error {
	if id >= len(c.memo) || c.memo[id].kind() == unset {
		return c.damaged("fetches a memo entry that was never stored")
	}
	if !c.plan.keep(id) {
		c.plan.fetch(id)
		c.cost += costMemo
	}
	c.push(c.memo[id], 0)
	return nil
}

// text gives the string that a str stands for.
func (c *checker) text(v abstract) string {
	body, next, _ := measure(c.data, v.ref())
	return string(c.data[body:next])
}

func (c *checker) global(module, name string) *Error {
	code, ok := globalCodes[module+"."+name]
	if !ok {
		return c.fail(Refused, "names %s, which is not on the list of allowed globals", cleanName(module+"."+name))
	}
	c.plan.globals = append(c.plan.globals, uint8(code))
	c.push(value(global, int(code)), 2)
	return nil
}

// reduce calls a global: all that are allowed make one known kind of value.
func (c *checker) reduce() *Error {
	top, err := c.pop(2)
	if err != nil {
		return err
	}
	callee, args := top[0], top[1]
	if callee.kind() != global {
		return c.fail(Refused, "REDUCE calls something that is no global")
	}
	if k := args.kind(); k != tuple && k != mutedTuple {
		return c.damaged("has arguments that are no tuple")
	}
	switch code := globalCode(callee.ref()); code {
	case codeFromBuffer, codeReconstruct:
		c.push(value(arrayValue, 0), costArray)
	case codeScalar:
		c.push(value(scalarValue, args.ref()), costBox+args.ref())
	case codeDType:
		c.push(value(dtypeValue, 0), costArray)
	case codeEncode:
		// A fetched text can be encoded again and again, and each is a copy.
		c.push(value(byteStr, args.ref()), costBox+2*args.ref())
	case codeOrderedDict:
		c.push(value(dict, 0), costContainer)
	default:
		return c.fail(Refused, "calls %s, which is only expected as an argument", globalTable[code].name)
	}
	return nil
}

// validText tells whether b is UTF-8 as Python's "surrogatepass" reads it:
// strings may hold lone surrogates.
func validText(b []byte) bool {
	if utf8.Valid(b) {
		return true
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			if len(b) < 3 || b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || b[2] < 0x80 || b[2] > 0xbf {
				return false
			}
			n = 3
		}
		b = b[n:]
	}
	return true
}

func splitLines(b []byte) (module, name string) {
	for i, x := range b {
		if x == '\n' {
			return string(b[:i]), string(b[i+1 : len(b)-1])
		}
	}
	return "", ""
}
