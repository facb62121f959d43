package store

import "hash/maphash"

// Table finds places by the hashes of what is there. It holds four bytes where a
// map would hold key and value: of 100,000 files that is 1 MB instead of 14, and
// opening a cache is mostly the filling of its tables. The places are the caller's:
// elements of a list that only grows.
type Table struct {
	slots []uint32 // a place plus one, 0 where none is; as many as a power of two
	used  int
}

// seed is of the hashes of this process.
var seed = maphash.MakeSeed()

// NewTable returns a table with room for some places.
func NewTable(places int) Table {
	size := 16
	for 3*size < 4*places {
		size *= 2
	}
	return Table{slots: make([]uint32, size)}
}

// Find returns the place of a hash that is the right one.
func (t *Table) Find(hash uint64, right func(at uint32) bool) (at uint32, ok bool) {
	for i := hash; ; i++ {
		slot := t.slots[i&uint64(len(t.slots)-1)]
		if slot == 0 {
			return 0, false
		}
		if right(slot - 1) {
			return slot - 1, true
		}
	}
}

// Put adds a place, or takes it instead of the one that is right. The hashes of
// places are asked for when the table grows.
func (t *Table) Put(hash uint64, at uint32, right func(at uint32) bool, hashOf func(at uint32) uint64) (was uint32, replaced bool) {
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i] != 0; i = (i + 1) & mask {
		if was = t.slots[i] - 1; right(was) {
			t.slots[i] = at + 1
			return was, true
		}
	}
	t.slots[i] = at + 1
	t.used++
	if 4*t.used > 3*len(t.slots) {
		old := t.slots
		*t = NewTable(len(old))
		for _, slot := range old {
			if slot != 0 {
				t.Put(hashOf(slot-1), slot-1, func(uint32) bool { return false }, nil)
			}
		}
	}
	return 0, false
}
