package pickle

import "encoding/binary"

// kind is what the preflight knows of a value on the stack or in the memo.
type kind uint8

const (
	unset     kind = iota // a memo id that nothing was stored under
	atom                  // None, bool, int, float; ref is made by simple
	str                   // ref is its place in texts
	byteStr               // ref is its weight
	byteArray             // from here on ref is unused unless it says otherwise
	list
	dict // ref is 1 more than its node of the paths if it is partial, else 0
	set
	frozenSet
	tuple       // of hashable values only; ref is its weight
	mutedTuple  // holds something that cannot be hashed; ref is its weight
	global      // ref is its code in the table of globals
	dtypeValue  // made by numpy.dtype; ref is 1 more than its place in the checker's list, 0 for none
	arrayValue  // made by _frombuffer or _reconstruct
	scalarValue // made by scalar; ref is its weight
)

// abstract is a kind in the low byte, flags in the next 4 bits and its ref
// above: the stack of a hostile file can be as long as the file.
type abstract uint64

const (
	lostFlag    abstract = 1 << 8  // cannot be made from the tape
	fetchedFlag abstract = 1 << 9  // came out of the memo: other places may hold the same value
	fullFlag    abstract = 1 << 10 // a dict on the stack that has all its entries, as far as one can tell
)

func value(k kind, ref int) abstract { return abstract(ref)<<12 | abstract(k) }
func (a abstract) kind() kind        { return kind(a) }
func (a abstract) ref() int          { return int(a >> 12) }
func (a abstract) lost() bool        { return a&lostFlag != 0 }
func (a abstract) fetched() bool     { return a&fetchedFlag != 0 }

func (a abstract) full() bool { return a&fullFlag != 0 }

// partial tells whether it is a dict of which the tape has only some entries.
func (a abstract) partial() bool { return a.kind() == dict && a.ref() != 0 && !a.lost() }

// form says more of an atom.
type form uint8

const (
	isNone form = iota
	isTrue
	isFalse
	isInt // of up to 32 bits, which are known
	isOther
)

// simple is an atom: its weight in 16 bits, its form in 4, the bits of an int
// above.
func simple(weight int, f form, bits uint32) abstract {
	return value(atom, weight|int(f)<<16|int(bits)<<20)
}

func (a abstract) weight() int { return a.ref() & 0xffff }
func (a abstract) form() form  { return form(a.ref() >> 16 & 0xf) }
func (a abstract) int() int    { return int(int32(a.ref() >> 20)) }

// What values cost in memory, in bytes: Go's sizes on 64 bits, rounded up to
// its size classes. An estimate only has to be right within a small factor.
const (
	costSlot      = 32  // an interface in a slice that grows by doubling
	costMark      = 320 // gopickle's fresh stack of 16 slots, and the bookkeeping
	costBox       = 32  // a number, a slice header, a small struct behind an interface
	costContainer = 96  // an empty list with its first 4 slots, or a dict's header
	costEntry     = 192 // of a dict or set: key, value, and its place in the index
	costMemo      = 96  // of gopickle's memo, a map
	costArray     = 768 // with up to 64 lengths; its elements are counted as bytes
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

// memo is what is stored under ids. Most entries of a study's pickles are
// parts of scalars, three each; they are kept as runs.
type memo struct {
	pages []*memoPage // by id; a page of nothing is nil
	runs  []memoRun   // by their first id
	count int         // ids in use
	top   int         // 1 more than the highest id in use
	size  int64       // in memory, in bytes
}

// memoPage is small because the parts of scalars leave gaps in it.
type memoPage [1 << memoPageBits]abstract

const memoPageBits = 5

// memoRun is entries in groups of three that are the same in every group.
type memoRun struct {
	first, groups int
	of            [3]abstract
}

func (m *memo) get(id int) abstract {
	if at := id >> memoPageBits; at < len(m.pages) && m.pages[at] != nil {
		if v := m.pages[at][id&(1<<memoPageBits-1)]; v != 0 {
			return v
		}
	}
	if r := m.run(id); r != nil {
		return r.of[(id-r.first)%3]
	}
	return 0
}

func (m *memo) run(id int) *memoRun {
	low, high := 0, len(m.runs)
	for low < high {
		middle := (low + high) / 2
		if m.runs[middle].first > id {
			high = middle
		} else {
			low = middle + 1
		}
	}
	if low == 0 || id >= m.runs[low-1].first+3*m.runs[low-1].groups {
		return nil
	}
	return &m.runs[low-1]
}

// set stores under an id that is not in use.
func (m *memo) set(id int, v abstract) {
	m.put(id, v)
	m.count++
	m.top = max(m.top, id+1)
}

func (m *memo) put(id int, v abstract) {
	at := id >> memoPageBits
	if at >= len(m.pages) {
		m.size += 16 * int64(at+1-len(m.pages)) // a pointer, and room to grow
		m.pages = append(m.pages, make([]*memoPage, at+1-len(m.pages))...)
	}
	if m.pages[at] == nil {
		m.pages[at] = new(memoPage)
		m.size += 8 << memoPageBits
	}
	m.pages[at][id&(1<<memoPageBits-1)] = v
}

// repeat stores groups of three under the next ids; none above may be in use.
func (m *memo) repeat(groups int, of [3]abstract) {
	if n := len(m.runs); n > 0 && of[2].lost() {
		last := &m.runs[n-1]
		if last.of == of && last.first+3*last.groups == m.count {
			last.groups += groups
			m.count += 3 * groups
			m.top = m.count
			return
		}
	}
	m.runs = append(m.runs, memoRun{m.count, groups, of})
	m.size += 96 // twice a run, as slices grow
	m.count += 3 * groups
	m.top = m.count
}

// lose says that what is stored under id is on the tape no more. If it is part
// of a run, so is all of that: a run that is on the tape is one piece there.
func (m *memo) lose(id int) {
	if r := m.run(id); r != nil {
		r.of[2] |= lostFlag
		return
	}
	m.put(id, m.get(id)|lostFlag)
}

// regain says that what is stored under id is on the tape again.
func (m *memo) regain(id int) { m.put(id, m.get(id)&^lostFlag) }

// texts holds the beginning of strings, for keys and names.
type texts struct {
	pages [][]byte
	size  int64
}

// maxText is how much of a string is held. No key may be longer.
const maxText = maxKeyWeight

const textPage = 64 << 10

// add gives the place of a string of length bytes that begins with text.
func (t *texts) add(text []byte, length int) int {
	text = text[:min(len(text), maxText)]
	last := len(t.pages) - 1
	if last < 0 || len(t.pages[last])+4+len(text) > textPage {
		t.pages = append(t.pages, make([]byte, 0, textPage))
		t.size += textPage
		last++
	}
	at := len(t.pages[last])
	page := binary.LittleEndian.AppendUint32(t.pages[last], uint32(min(length, 1<<32-1)))
	t.pages[last] = append(page, text...)
	return last<<16 | at
}

// length is that of the whole string.
func (t *texts) length(v abstract) int {
	return int(binary.LittleEndian.Uint32(t.pages[v.ref()>>16][v.ref()&0xffff:]))
}

// get gives the beginning of a string and whether that is all of it; for
// anything but a string it is nothing.
func (t *texts) get(v abstract) (text []byte, whole bool) {
	if v.kind() != str {
		return nil, false
	}
	n := t.length(v)
	at := v.ref()&0xffff + 4
	return t.pages[v.ref()>>16][at : at+min(n, maxText)], n <= maxText
}
