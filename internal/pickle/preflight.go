package pickle

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/nlpodyssey/gopickle/types"
)

// mode says how much of a pickle goes on the tape. Each is the remedy where
// the one before found that it cannot be true to the file.
type mode uint8

const (
	wantedOnly mode = iota // what the paths want
	everything             // all values, dtypes and most scalars ready-made
	literally              // all opcodes one by one
	modes
)

// errNotTrue ends a walk that dropped what turned out to be needed.
var errNotTrue = errorf(Damaged, "its values refer to each other in a way that no pickler writes")

// checker walks a pickle, interpreting each opcode on kinds instead of values,
// and writes what is wanted on the tape.
//
// Whether a value is wanted is guessed when its first opcode comes, from the
// dicts below it on the stack and the key in front of it; the opcode that puts
// it into its dict tells whether that was right. What is not wanted leaves a
// hole on the tape, and is checked like everything else. Every value on the
// stack and in the memo knows whether it is lost, that is, cannot be made from
// the tape, and an opcode that would put a lost value into one that is not ends
// the walk with errNotTrue: another must be made in the next mode.
type checker struct {
	src   *source
	limit Limits
	mode  mode
	paths *Paths

	op  byte
	pos int64 // of the opcode at hand

	stack []slot
	marks []mark
	base  int // height of the stack at the last mark, or 0: what lies below is out of reach
	memo  memo
	texts texts

	// The items of the tuple that the opcode before made, where it has few:
	// arguments and states are made right before they are used.
	tupled []abstract
	fresh  bool // tupled is on top of the stack
	dtypes []*dtype

	// While quiet, all values above place floor of the stack are parts of the
	// lost value there, and nothing is written.
	quiet        bool
	floor        int
	outsideMarks int // marks that were open when quiet began

	tape    tape
	fetched idSet
	puts    []put
	altered int // end of the tape when a value from the memo was last altered

	frameEnd int64 // where the frame that pos lies in ends
	cost     int64 // estimate of all values, were they all made
	kept     int64 // estimate of the values on the tape
	peak     int   // height of the stack
}

// slot is a value on the stack.
type slot struct {
	v  abstract
	at place // of the tape, where what makes it begins
}

type mark struct {
	height int // of the stack
	at     place
}

// put is a store into the memo that is on the tape.
type put struct {
	id int
	at uint32 // place of the opcode
}

// preflight walks every opcode of src. What it passes, gopickle can make from
// the tape without a panic, without an unknown global and within the limits.
func preflight(src *source, want *Paths, m mode, l Limits) (*checker, *Error) {
	c := newChecker(src, want, m, l)
	if err := src.rewind(); err != nil {
		return nil, err
	}
	if src.size == 0 {
		return nil, c.fail(Damaged, "the file is empty")
	}
	if err := src.fill(1); err != nil {
		return nil, err
	}
	if src.window()[0] != opProto {
		return nil, c.fail(Damaged, "does not begin like a pickle of protocol 2 to 5")
	}
	if err := c.walk(); err != nil {
		return nil, err
	}
	if err := c.stop(); err != nil {
		return nil, err
	}
	// Bytes after STOP are no part of the pickle, but of the file.
	return c, src.drain()
}

func newChecker(src *source, want *Paths, m mode, l Limits) *checker {
	c := &checker{src: src, limit: l, mode: m, paths: want, cost: src.size}
	if src.file == nil {
		c.kept = src.size
	}
	return c
}

// walk goes on to the first STOP, or to the end of the data.
func (c *checker) walk() *Error {
	for {
		c.pos = c.src.pos()
		rest := c.src.rest()
		if rest == 0 {
			return nil
		}
		if err := c.src.fill(longestHead); err != nil {
			return err
		}
		window := c.src.window()
		c.op = window[0]
		info := &opcodes[c.op]
		if info.name == "" {
			return c.fail(Damaged, "no opcode has the number 0x%02x", c.op)
		}
		if info.operand == refusedOp {
			return c.fail(Refused, "opcode %s %s", info.name, info.why)
		}
		head, size, ok := operandSize(window)
		if !ok || size > uint64(rest-int64(head)) {
			return c.fail(Damaged, "the operand of %s does not end in the file", info.name)
		}
		next := c.pos + int64(head) + int64(size)
		if err := c.frame(window[head:], next); err != nil {
			return err
		}
		if c.op == opStop {
			return nil
		}
		var err *Error
		if head+int(size) <= len(window) {
			if n := c.scalars(window); n > 0 {
				c.src.from += n
			} else {
				switch c.op {
				case opMemoize, opBinPut, opLongBinPut, opReduce, opBuild:
				default:
					c.fresh = false
				}
				body := window[head : head+int(size) : head+int(size)]
				err = c.step(body)
				c.src.from += head + int(size)
			}
		} else {
			c.src.from += head
			err = c.long(int64(size))
		}
		if err != nil {
			return err
		}
		if c.quiet && len(c.stack) <= c.floor+1 && len(c.marks) <= c.outsideMarks {
			// A callable is the first part of what it makes.
			c.quiet = len(c.stack) == c.floor+1 && c.stack[c.floor].v.kind() == global
		}
		c.peak = max(c.peak, len(c.stack))
		if err := c.bounded(); err != nil {
			return err
		}
	}
}

// bounded compares the estimates with their limits.
func (c *checker) bounded() *Error {
	if c.total() > c.limit.MaxMemory {
		return c.fail(TooLarge, "its values would take more than %d bytes of memory", c.limit.MaxMemory)
	}
	if c.held() > c.limit.MaxHeld {
		return c.fail(TooLarge, "reading it would take more than %d bytes of memory", c.limit.MaxHeld)
	}
	return nil
}

// total is the estimate so far. Places on the stack are used again and count
// by their peak; values and marks count whether or not they are dropped later.
func (c *checker) total() int64 {
	return c.cost + int64(c.peak)*costSlot
}

// held is the estimate of what reading takes in memory: values, tape, notes.
// Slices that grow by a quarter are there two and a quarter times, on average,
// until their former selves are collected.
func (c *checker) held() int64 {
	const slotSize, putSize, valueSize, grown = 16, 16, 16, 9.0 / 4 // a put has 8, but grows alongside the tape
	notes := c.peak*slotSize + len(c.puts)*putSize + len(c.tape.ops) + len(c.tape.values)*valueSize
	return c.kept + int64(c.peak)*costSlot + c.memo.size + c.texts.size + int64(float64(notes)*grown)
}

func (c *checker) spend(cost int) {
	c.cost += int64(cost)
	if !c.quiet {
		c.kept += int64(cost)
	}
}

func (c *checker) fail(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Offset: c.pos, Detail: fmt.Sprintf(format, args...)}
}

// damaged names the opcode at hand.
func (c *checker) damaged(what string) *Error {
	return c.fail(Damaged, "%s %s", opcodes[c.op].name, what)
}

// frame checks that frames follow one another and end between opcodes. They
// are of no use to a reader that knows the file's size, but broken ones mean
// that the file is.
func (c *checker) frame(body []byte, next int64) *Error {
	if c.op == opFrame {
		if c.pos < c.frameEnd {
			return c.damaged("begins before the last one ended")
		}
		size := binary.LittleEndian.Uint64(body)
		if size > uint64(c.src.size-next) {
			return c.damaged("is longer than the rest of the file")
		}
		c.frameEnd = next + int64(size)
		return nil
	}
	if c.pos < c.frameEnd && next > c.frameEnd {
		return c.damaged("does not end within its frame")
	}
	return nil
}

// stop ends the walk. What follows STOP is ignored, as Python does: a file can
// hold several pickles, or the rest of a longer one that was there before.
func (c *checker) stop() *Error {
	switch {
	case c.src.rest() == 0:
		return c.fail(Damaged, "the file ends before the pickle does")
	case len(c.marks) > 0:
		return c.damaged("comes while a MARK is open")
	case len(c.stack) != 1:
		return c.fail(Damaged, "STOP comes with %d values on the stack, not 1", len(c.stack))
	}
	root := c.stack[0].v
	switch root.kind() {
	case global, dtypeValue:
		return c.fail(Refused, "holds a type, not a value")
	}
	if root.lost() || root.partial() && root.ref() != 1 {
		return errNotTrue
	}
	c.tape.write(opStop)
	return nil
}

func (c *checker) step(body []byte) *Error {
	size := len(body)
	switch c.op {
	case opProto:
		if c.pos != 0 {
			return c.damaged("occurs again within the pickle")
		}
		if v := body[0]; v < 2 || v > 5 {
			return c.fail(Refused, "protocol %d; 2 to 5 are supported", v)
		}
	case opFrame:

	case opNone:
		c.pushPlain(simple(weighs, isNone, 0), 0, c.op)
	case opNewTrue:
		c.pushPlain(simple(weighs, isTrue, 0), 0, c.op)
	case opNewFalse:
		c.pushPlain(simple(weighs, isFalse, 0), 0, c.op)
	case opBinInt:
		c.pushPlain(simple(weighs, isInt, binary.LittleEndian.Uint32(body)), costBox, c.op, body...)
	case opBinInt1:
		c.pushPlain(simple(weighs, isInt, uint32(body[0])), costBox, c.op, body...)
	case opBinInt2:
		c.pushPlain(simple(weighs, isInt, uint32(binary.LittleEndian.Uint16(body))), costBox, c.op, body...)
	case opBinFloat:
		c.pushPlain(simple(weighs, isOther, 0), costBox, c.op, body...)
	case opLong1, opLong4:
		if size > maxLong {
			return c.fail(TooLarge, "an integer of %d bytes; the limit is %d", size, maxLong)
		}
		v := simple(weighs+size, isOther, 0)
		switch {
		case size == 0:
			c.pushPlain(v, costBox, opBinInt1, 0)
		case c.push(v, costBox+2*size):
			c.tape.write(opLong4)
			c.tape.ops = binary.LittleEndian.AppendUint32(c.tape.ops, uint32(size))
			c.tape.write(body...)
		}
	case opShortBinUnicode, opBinUnicode, opBinUnicode8:
		if !validText(body) {
			return c.damaged("is not UTF-8")
		}
		if c.push(value(str, c.texts.add(body, size)), costBox+2*size) {
			c.tape.value(string(body))
		}
	case opShortBinBytes, opBinBytes, opBinBytes8:
		if c.push(value(byteStr, weighs+size), costBox) {
			c.tape.value(c.own(body))
		}
	case opByteArray8:
		if c.push(value(byteArray, 0), costBox) {
			c.tape.value(c.own(body))
		}
	case opEmptyTuple:
		c.pushPlain(value(tuple, weighs), costBox, c.op)
	case opEmptyList:
		c.pushPlain(value(list, 0), costContainer, c.op)
	case opEmptyDict:
		c.pushPlain(value(dict, 0), costContainer, opExt1, byte(codeEmptyDict))
	case opEmptySet:
		c.pushPlain(value(set, 0), costContainer, opExt1, byte(codeEmptySet))

	case opMark:
		return c.mark()
	case opPop:
		if len(c.stack) == c.base {
			return c.popMark()
		}
		at := len(c.stack) - 1
		c.reach(at)
		c.stack = c.stack[:at]
		if !c.quiet {
			c.tape.write(opPop)
		}
	case opPopMark:
		return c.popMark()

	case opTuple1, opTuple2, opTuple3:
		n := int(c.op) - opTuple1 + 1
		items, err := c.take(n)
		if err != nil {
			return err
		}
		c.noteTuple(items)
		return c.make(c.tupleOf(items), costBox+costSlot/2*n, items, items[0].at, c.op)
	case opTuple:
		items, at, err := c.takeMark()
		if err != nil {
			return err
		}
		c.noteTuple(items)
		// gopickle's tuple keeps the stack of the mark, at least 16 slots.
		return c.make(c.tupleOf(items), costBox+costSlot/2*max(16, 2*len(items)), items, at, c.op)
	case opFrozenSet:
		items, at, err := c.takeMark()
		if err != nil {
			return err
		}
		if err := c.keys(items, 1); err != nil {
			return err
		}
		return c.make(value(frozenSet, 0), costContainer+costSlot*max(16, len(items))+costEntry*len(items), items, at, opTuple, opBinPersID)

	case opAppend:
		return c.add(list, 1, false)
	case opAppends:
		return c.add(list, 1, true)
	case opSetItem:
		return c.add(dict, 2, false)
	case opSetItems:
		return c.add(dict, 2, true)
	case opAddItems:
		return c.add(set, 1, true)

	case opMemoize:
		return c.put(c.memo.count)
	case opBinPut:
		return c.put(int(body[0]))
	case opLongBinPut:
		return c.put(int(binary.LittleEndian.Uint32(body)))
	case opBinGet:
		return c.get(int(body[0]))
	case opLongBinGet:
		return c.get(int(binary.LittleEndian.Uint32(body)))

	case opGlobal:
		module, name := splitLines(body)
		code, err := c.global(module, name)
		if err != nil {
			return err
		}
		c.pushPlain(value(global, int(code)), 2, opExt1, byte(code))
	case opStackGlobal:
		names, err := c.take(2)
		if err != nil {
			return err
		}
		if names[0].v.kind() != str || names[1].v.kind() != str {
			return c.damaged("needs two strings")
		}
		module, _ := c.texts.get(names[0].v)
		name, _ := c.texts.get(names[1].v)
		code, err := c.global(string(module), string(name))
		if err != nil {
			return err
		}
		return c.make(value(global, int(code)), 2, names, names[0].at, opPop, opPop, opExt1, byte(code))
	case opReduce:
		err := c.reduce()
		c.fresh = false
		return err
	case opBuild:
		err := c.build()
		c.fresh = false
		return err
	default:
		// The table allows an opcode that this switch forgot.
		return c.fail(Refused, "opcode %s is not supported", opcodes[c.op].name)
	}
	return nil
}

// own gives bytes of the window a life of their own.
func (c *checker) own(body []byte) []byte {
	if c.src.file == nil {
		return body
	}
	c.kept += int64(len(body))
	return slices.Clone(body)
}

// long is step for an operand that the window does not hold, of size bytes.
func (c *checker) long(size int64) *Error {
	var keep, isText bool
	switch c.op {
	case opBinUnicode, opBinUnicode8:
		isText = true
		if err := c.src.fill(maxText); err != nil {
			return err
		}
		keep = c.push(value(str, c.texts.add(c.src.window()[:maxText], int(size))), costBox+2*int(size))
	case opBinBytes, opBinBytes8:
		keep = c.push(value(byteStr, min(weighs+int(size), maxWeight)), costBox)
	case opByteArray8:
		keep = c.push(value(byteArray, 0), costBox)
	default: // an integer
		return c.fail(TooLarge, "an integer of %d bytes; the limit is %d", size, maxLong)
	}
	if !keep {
		return c.src.each(size, func(piece []byte, last bool) (int, *Error) {
			if !isText {
				return len(piece), nil
			}
			if !last {
				piece = wholeRunes(piece)
			}
			if !validText(piece) {
				return 0, c.damaged("is not UTF-8")
			}
			return len(piece), nil
		})
	}
	c.kept += size
	if err := c.bounded(); err != nil {
		return err
	}
	b := make([]byte, size)
	if err := c.src.take(b); err != nil {
		return err
	}
	if !isText {
		c.tape.value(b)
		return nil
	}
	if !validText(b) {
		return c.damaged("is not UTF-8")
	}
	c.tape.value(string(b))
	return nil
}

// push puts a value on the stack and says whether it is to be written on the
// tape. If not, what stands for it there is written.
func (c *checker) push(v abstract, cost int) bool {
	at := c.tape.end()
	lost := c.quiet
	if !lost && c.mode == wantedOnly {
		var node int
		lost, node = c.guess(len(c.stack))
		if v.kind() == dict && node > 0 {
			v = value(dict, node)
		}
	}
	c.spend(cost)
	if !lost {
		c.stack = append(c.stack, slot{v, at})
		return true
	}
	if !c.quiet {
		c.hush(len(c.stack), len(c.marks))
		c.tape.value(skipped{})
	}
	c.stack = append(c.stack, slot{v | lostFlag, at})
	return false
}

func (c *checker) pushPlain(v abstract, cost int, op byte, operand ...byte) {
	if c.push(v, cost) {
		c.tape.write(op)
		c.tape.write(operand...)
	}
}

func (c *checker) mark() *Error {
	if len(c.marks) >= c.limit.MaxDepth {
		return c.fail(TooLarge, "more than %d marks are open", c.limit.MaxDepth)
	}
	top := len(c.stack) - 1
	if !c.quiet && top >= c.base && c.stack[top].v.lost() {
		// What follows goes into the lost value, but for odd keys of dicts.
		c.hush(top, len(c.marks))
	}
	c.marks = append(c.marks, mark{len(c.stack), c.tape.end()})
	c.base = len(c.stack)
	c.spend(costMark)
	if !c.quiet {
		c.tape.write(opMark)
	}
	return nil
}

func (c *checker) popMark() *Error {
	if _, _, err := c.takeMark(); err != nil {
		return err
	}
	if !c.quiet {
		c.tape.write(opPopMark)
	}
	return nil
}

// take takes n values off the stack, the deepest first. The result is valid
// until the next push.
func (c *checker) take(n int) ([]slot, *Error) {
	at := len(c.stack) - n
	if at < c.base {
		return nil, c.damaged("finds too few values on the stack")
	}
	c.reach(at)
	items := c.stack[at:]
	c.stack = c.stack[:at]
	return items, nil
}

// takeMark takes off what lies above the last mark, and the mark. It also
// gives the place of the mark on the tape.
func (c *checker) takeMark() ([]slot, place, *Error) {
	if len(c.marks) == 0 {
		return nil, place{}, c.damaged("finds no MARK")
	}
	last := c.marks[len(c.marks)-1]
	c.marks = c.marks[:len(c.marks)-1]
	c.reach(c.base)
	items := c.stack[c.base:]
	c.stack = c.stack[:c.base]
	c.base = 0
	if n := len(c.marks); n > 0 {
		c.base = c.marks[n-1].height
	}
	return items, last.at, nil
}

func (c *checker) tupleOf(items []slot) abstract {
	k, weight := tuple, weighs
	for _, item := range items {
		if item.v.kind() == dtypeValue && item.v.ref() > 0 {
			c.dtypes[item.v.ref()-1].used = true // by whatever the tuple is for
		}
		w, ok := c.hashable(item.v)
		if !ok {
			k = mutedTuple
		}
		weight = min(weight+w, maxWeight)
	}
	return value(k, weight)
}

// noteTuple keeps the items of a tuple for the opcode that comes next.
func (c *checker) noteTuple(items []slot) {
	c.fresh = len(items) <= longestState
	if c.fresh {
		c.tupled = c.tupled[:0]
		for _, item := range items {
			c.tupled = append(c.tupled, item.v)
		}
	}
}

// longestState is the length of the longest tuple whose items count: the
// state of a dtype.
const longestState = 9

// hashable gives the weight of a value and whether it can be a key.
func (c *checker) hashable(v abstract) (weight int, ok bool) {
	switch v.kind() {
	case atom:
		return v.weight(), true
	case byteStr, tuple, scalarValue:
		return v.ref(), true
	case str:
		return weighs + c.texts.length(v), true
	case mutedTuple:
		return v.ref(), false
	}
	return weighs, false
}

// keys checks every step-th of items, from the first, as a key.
func (c *checker) keys(items []slot, step int) *Error {
	for i := 0; i < len(items); i += step {
		weight, ok := c.hashable(items[i].v)
		if !ok {
			return c.damaged("has a key that cannot be hashed")
		}
		if weight > maxKeyWeight {
			return c.fail(TooLarge, "a key of more than %d bytes", maxKeyWeight)
		}
	}
	return nil
}

// add puts items into a container of kind k, in groups of n: the top n values,
// or all above the last mark.
func (c *checker) add(k kind, n int, all bool) *Error {
	var items []slot
	var at place
	var err *Error
	if all {
		items, at, err = c.takeMark()
	} else if items, err = c.take(n); err == nil {
		at = items[0].at
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
	into := c.stack[len(c.stack)-1].v
	if into.kind() != k {
		return c.damaged("finds another kind of container on the stack")
	}
	if k == list {
		c.spend(len(items) * costSlot)
	} else {
		c.spend(len(items) / n * costEntry)
		if err := c.keys(items, n); err != nil {
			return err
		}
	}
	if into.lost() {
		return c.drop(into, at)
	}
	for i, item := range items {
		if into.partial() && i%2 == 1 {
			if !c.fits(into, items[i-1].v, item.v) {
				return errNotTrue
			}
		} else if item.v.lost() || item.v.partial() {
			return errNotTrue
		}
	}
	c.tape.write(c.op)
	if into.fetched() {
		c.altered = len(c.tape.ops)
	}
	if k == dict && len(items)/n < fullBatch {
		c.stack[len(c.stack)-1].v |= fullFlag
	}
	return nil
}

func (c *checker) put(id int) *Error {
	if len(c.stack) <= c.base {
		return c.damaged("finds nothing on the stack to store")
	}
	// Picklers number their entries from 0 or 1, so an id beyond the count of
	// bytes read is no id, and would make a table of up to 4 billion.
	if int64(id) > c.pos {
		return c.damaged("uses an id that cannot have come up")
	}
	if c.memo.get(id).kind() != unset {
		return c.damaged("stores under an id that is in use")
	}
	top := c.stack[len(c.stack)-1].v
	c.cost += int64(max(0, id+1-c.memo.top)) * (costSlot / 2)
	c.memo.set(id, top&^fullFlag)
	if !c.quiet && !top.lost() {
		c.write(opLongBinPut, id)
	}
	return nil
}

func (c *checker) get(id int) *Error {
	v := c.memo.get(id)
	if v.kind() == unset {
		return c.damaged("fetches a memo entry that was never stored")
	}
	c.fetch(id)
	at := c.tape.end()
	if v.partial() {
		if !c.quiet {
			return errNotTrue
		}
		v = value(dict, 0)
	}
	if !c.quiet {
		lost := false
		if c.mode == wantedOnly {
			lost, _ = c.guess(len(c.stack))
		}
		switch {
		case lost:
			c.hush(len(c.stack), len(c.marks))
			c.tape.value(skipped{})
		case v.kind() == global:
			v &^= lostFlag
			c.tape.write(opExt1, byte(v.ref()))
		case v.kind() == dtypeValue && v.ref() > 0:
			v &^= lostFlag
			c.tape.value(c.dtypes[v.ref()-1])
		case !v.lost():
			c.tape.entry(opLongBinGet, id)
		default:
			text, whole := c.texts.get(v)
			switch {
			case v.kind() == str && whole:
				v &^= lostFlag
				c.memo.regain(id)
				c.tape.value(string(text))
				c.write(opLongBinPut, id)
			case c.mode != wantedOnly:
				return errNotTrue
			default:
				c.tape.value(skipped{})
			}
		}
	}
	if c.quiet {
		v |= lostFlag
	}
	c.stack = append(c.stack, slot{v | fetchedFlag, at})
	return nil
}

// fetch notes that a memo entry is used.
func (c *checker) fetch(id int) {
	if !c.fetched.has(id) {
		c.fetched.add(id)
		c.spend(costMemo)
	}
}

func (c *checker) global(module, name string) (globalCode, *Error) {
	code, ok := globalCodes[module+"."+name]
	if !ok {
		return 0, c.fail(Refused, "names %s, which is not on the list of allowed globals", cleanName(module+"."+name))
	}
	return code, nil
}

// reduce calls a global: all that are allowed make one known kind of value.
func (c *checker) reduce() *Error {
	top, err := c.take(2)
	if err != nil {
		return err
	}
	callee, args, at := top[0].v, top[1].v, top[0].at
	if callee.kind() != global {
		return c.fail(Refused, "REDUCE calls something that is no global")
	}
	if k := args.kind(); k != tuple && k != mutedTuple {
		return c.damaged("has arguments that are no tuple")
	}
	switch code := globalCode(callee.ref()); code {
	case codeFromBuffer, codeReconstruct:
		return c.make(value(arrayValue, 0), costArray, top, at, c.op)
	case codeScalar:
		return c.make(value(scalarValue, args.ref()), costBox+args.ref(), top, at, c.op)
	case codeDType:
		if c.mode == literally {
			return c.make(value(dtypeValue, 0), costArray, top, at, c.op)
		}
		items, ok := c.noted()
		if !ok {
			return errNotTrue
		}
		dt, failure := newDType(items)
		if failure != nil {
			return c.because(failure)
		}
		c.dtypes = append(c.dtypes, dt.(*dtype))
		if err := c.make(value(dtypeValue, len(c.dtypes)), costArray, top, at, opPop, opPop, opNextBuffer); err != nil {
			return err
		}
		if !c.stack[len(c.stack)-1].v.lost() {
			c.tape.values = append(c.tape.values, dt)
		}
		return nil
	case codeEncode:
		// A fetched text can be encoded again and again, and each is a copy.
		return c.make(value(byteStr, args.ref()), costBox+2*args.ref(), top, at, c.op)
	case codeOrderedDict:
		if err := c.make(value(dict, 0), costContainer, top, at, c.op); err != nil {
			return err
		}
		made := &c.stack[len(c.stack)-1]
		if c.mode == wantedOnly && !made.v.lost() {
			if _, node := c.guess(len(c.stack) - 1); node > 0 {
				made.v = value(dict, node)
			}
		}
		return nil
	default:
		return c.fail(Refused, "calls %s, which is only expected as an argument", globalTable[code].name)
	}
}

// because gives an error of a hook the place where it arose.
func (c *checker) because(err error) *Error {
	failure := *err.(*Error)
	failure.Offset = c.pos
	return &failure
}

// build gives an array or dtype its state.
func (c *checker) build() *Error {
	state, err := c.take(1)
	if err != nil {
		return err
	}
	if len(c.stack) <= c.base {
		return c.damaged("finds too few values on the stack")
	}
	into := c.stack[len(c.stack)-1].v
	switch into.kind() {
	case dtypeValue:
		if c.mode == literally {
			break
		}
		// It is the same dtype wherever it was or will be fetched.
		items, ok := c.noted()
		if !ok {
			return errNotTrue
		}
		if failure := c.dtypes[into.ref()-1].PySetState(types.NewTupleFromSlice(items)); failure != nil {
			return c.because(failure)
		}
		if !c.quiet {
			c.tape.write(opPop)
		}
		return nil
	case arrayValue:
	default:
		return c.fail(Refused, "BUILD gives a state to something other than an array or dtype")
	}
	switch {
	case into.lost():
		return c.drop(into, state[0].at)
	case state[0].v.lost() || state[0].v.partial():
		return errNotTrue
	}
	c.tape.write(c.op)
	if into.fetched() {
		c.altered = len(c.tape.ops)
	}
	return nil
}
