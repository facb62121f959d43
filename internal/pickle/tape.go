package pickle

import (
	"encoding/binary"
	"io"
)

// tape is what gopickle reads in place of the file: what the preflight kept of
// it, rewritten.
//
//   - PROTO and FRAME are left out: nothing depends on them once checked.
//   - Storing into the memo is left out unless the entry is fetched: gopickle's
//     memo is a map, pickles fetch 210 of 1.5 million entries, and filling it
//     took two thirds of the time. All stores are LONG_BINPUT.
//   - Globals are extension codes of this package's own table: gopickle
//     resolves some names before it asks any hook.
//   - Dicts and sets become this package's: gopickle's keep duplicate keys and
//     panic on bytes as members.
//   - Texts, bytes, numpy's dtypes and most of its scalars are ready-made:
//     NEXT_BUFFER takes the next of values.
//   - A value that is not wanted is a hole, a skipped in values.
//   - An integer of no bytes, which is a valid zero, becomes BININT1 0.
type tape struct {
	ops    []byte
	values []any
}

// place is a position on the tape.
type place struct{ ops, values uint32 }

func (t *tape) end() place        { return place{uint32(len(t.ops)), uint32(len(t.values))} }
func (t *tape) write(ops ...byte) { t.ops = append(t.ops, ops...) }

func (t *tape) value(v any) {
	t.ops = append(t.ops, opNextBuffer)
	t.values = append(t.values, v)
}

// entry writes an opcode that takes a memo id.
func (t *tape) entry(op byte, id int) {
	t.ops = binary.LittleEndian.AppendUint32(append(t.ops, op), uint32(id))
}

// cut takes off what was written since end was at.
func (t *tape) cut(at place) {
	t.ops = t.ops[:at.ops]
	clear(t.values[at.values:])
	t.values = t.values[:at.values]
}

// hush begins to be quiet about the value at place floor.
func (c *checker) hush(floor, marks int) {
	c.quiet, c.floor, c.outsideMarks = true, floor, marks
}

// reach ends quiet where an opcode uses the value at place at or below. What
// it uses is lost, or the quiet would not be.
func (c *checker) reach(at int) {
	if c.quiet && at <= c.floor {
		c.quiet = false
	}
}

// guess says of a value that comes to place h of the stack whether it is
// unwanted, and if it is a dict, of which node; 0 is none, n+1 is node n.
func (c *checker) guess(h int) (lost bool, node int) {
	if h == 0 {
		if len(c.marks) > 0 {
			return false, 0
		}
		return false, 1
	}
	seen, found := false, unwanted
	look := func(d, k abstract) {
		if d.kind() != dict || d.lost() || k.kind() != str || k.lost() {
			return
		}
		want := wantWhole
		if d.partial() {
			key, _ := c.texts.get(k)
			want = c.paths.child(d.ref()-1, key)
		}
		switch {
		case found == unwanted:
			found = want
		case want != unwanted && want != found:
			found = wantWhole // either way it has what is wanted
		}
		seen = true
	}
	// It can be the one entry of the dict right below, or one of many of the
	// dict below the last mark.
	if h-2 >= c.base && !c.stack[h-2].v.full() {
		look(c.stack[h-2].v, c.stack[h-1].v)
	}
	// A callable among the latter is no value but waits for its arguments, which
	// can be strings.
	callable := func(at int) bool { return at > c.base && c.stack[at].v.kind() == global }
	if c.base > 0 && (h-c.base)%2 == 1 && !callable(h-2) && !callable(h-4) {
		look(c.stack[c.base-1].v, c.stack[h-1].v)
	}
	switch {
	case !seen || found == wantWhole:
		return false, 0
	case found == unwanted:
		return true, 0
	}
	return false, found + 1
}

// make pushes what an opcode made of items, which it took off the stack. at is
// where the first of them begins on the tape, ops what makes it there.
func (c *checker) make(v abstract, cost int, items []slot, at place, ops ...byte) *Error {
	lost := c.quiet
	for _, item := range items {
		if item.v.partial() {
			return errNotTrue
		}
		lost = lost || item.v.lost()
	}
	c.spend(cost)
	switch {
	case c.quiet:
		v |= lostFlag
	case lost:
		if err := c.cut(at); err != nil {
			return err
		}
		c.tape.value(skipped{})
		v |= lostFlag
	default:
		c.tape.write(ops...)
	}
	c.stack = append(c.stack, slot{v, at})
	return nil
}

// cut takes off the tape what was written since at: the values that it makes
// are parts of a lost one.
func (c *checker) cut(at place) *Error {
	if c.altered > int(at.ops) {
		return errNotTrue
	}
	for n := len(c.puts); n > 0 && c.puts[n-1].at >= at.ops; n-- {
		c.memo.lose(c.puts[n-1].id)
		c.puts = c.puts[:n-1]
	}
	c.tape.cut(at)
	return nil
}

// drop is what becomes of items, which begin at place at of the tape, that go
// into a lost value.
func (c *checker) drop(into abstract, at place) *Error {
	// What came out of the memo can be a value that is not lost itself.
	if into.fetched() {
		return errNotTrue
	}
	if c.quiet {
		return nil
	}
	return c.cut(at)
}

// fits tells whether a value on the tape has what is wanted of the entry key
// of a partial dict.
func (c *checker) fits(into, key, v abstract) bool {
	want := wantWhole
	if key.kind() == str {
		text, _ := c.texts.get(key)
		want = c.paths.child(into.ref()-1, text)
	}
	switch want {
	case unwanted:
		return true
	case wantWhole:
		return !v.lost() && !v.partial()
	}
	return !v.lost() && (!v.partial() || v.ref() == want+1)
}

// fullBatch is how many entries picklers put into a dict at once; while they
// come so many at a time, there may be more.
const fullBatch = 1000

// write stores the value on top under a memo id of the tape.
func (c *checker) write(op byte, id int) {
	if c.mode == wantedOnly {
		c.puts = append(c.puts, put{id, uint32(len(c.tape.ops))})
	}
	c.tape.entry(op, id)
}

// player gives a tape to gopickle. It looks like a file to it, and never gives
// more than one opcode with its operand at a time.
type player struct {
	tape    *tape
	fetched *idSet

	op, pos, next int // the opcode at hand, what to read now, the next opcode
	value         int // the next of the tape's values
}

// ReadByte implements io.ByteReader.
func (p *player) ReadByte() (byte, error) {
	if p.pos == p.next && !p.advance() {
		return 0, io.EOF
	}
	b := p.tape.ops[p.pos]
	p.pos++
	return b, nil
}

// Read implements io.Reader.
func (p *player) Read(b []byte) (int, error) {
	if p.pos == p.next && !p.advance() {
		return 0, io.EOF
	}
	n := copy(b, p.tape.ops[p.pos:p.next])
	p.pos += n
	return n, nil
}

// buffer is gopickle's NextBuffer.
func (p *player) buffer() (any, error) {
	v := p.tape.values[p.value]
	p.value++
	return v, nil
}

// advance goes to the next opcode that gopickle is to see.
func (p *player) advance() bool {
	ops := p.tape.ops
	for p.next < len(ops) {
		p.op = p.next
		if ops[p.op] == opNextBuffer || ops[p.op] == opExt1 { // refused in files, so that operandSize knows no operand of them
			p.next += 1
			if ops[p.op] == opExt1 {
				p.next++
			}
		} else {
			head, n, _ := operandSize(ops[p.op:])
			p.next += head + int(n)
		}
		p.pos = p.op
		if ops[p.op] == opLongBinPut && !p.fetched.has(int(binary.LittleEndian.Uint32(ops[p.op+1:]))) {
			p.pos = p.next
			continue
		}
		return true
	}
	return false
}

// idSet is a set of memo ids.
type idSet []uint64

func (s idSet) has(id int) bool {
	return id>>6 < len(s) && s[id>>6]&(1<<(id&63)) != 0
}

func (s *idSet) add(id int) {
	for len(*s) <= id>>6 {
		*s = append(*s, 0)
	}
	(*s)[id>>6] |= 1 << (id & 63)
}
