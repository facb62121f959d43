package store

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"io"
	"sort"
	"sync"
)

// digests finds what the log of an index has of files, by their names. It holds some
// twenty bytes of each, whatever the name: all else stays in the log, where it is read
// when it is asked for. Of the files of a large store it would be a third of the memory
// of a build.
type digests struct {
	log     *appendLog
	windows sync.Pool // of *window, for who reads

	places Table        // by number of an entry
	found  [][]position // foundChunk in each but the last

	// Positions count on where the log ended when it was opened, and others may have
	// appended to it since.
	stretches []stretch // in their order
	pending   []byte    // what follows the last one and is not in the log yet
	from      int64     // where it begins
}

// Entry is a file in an index as it was when it was put there, counted from 1; 0 is none.
type Entry uint32

func entryAt(at uint32) Entry { return Entry(at + 1) }

// position is where an entry of a file is.
type position struct {
	hash  uint32  // of the name
	check [3]byte // of all of the entry
	at    [5]byte // of its beginning
}

func (p *position) offset() int64 {
	return int64(binary.LittleEndian.Uint32(p.at[:])) | int64(p.at[4])<<32
}

// stretch is a part of what was put since the index was opened.
type stretch struct {
	from   int64  // where it begins, as positions count
	at     int64  // and in the file of the log
	unsent []byte // what could not be written
}

// foundChunk is how many files room is made for at once: to grow as slices do would
// take twice the memory for a while.
const foundChunk = 1 << 10

func (d *digests) position(e Entry) *position {
	at := e - 1
	return &d.found[at/foundChunk][at%foundChunk]
}

// find returns the newest entry of a name and what it says, 0 if there is none.
func (d *digests) find(name []byte, hash uint64, w *window) (Entry, Indexed) {
	var in Indexed
	at, ok := d.places.Find(uint64(uint32(hash)), func(at uint32) (same bool) {
		in, same = d.of(entryAt(at), name, uint32(hash), w)
		return same
	})
	if !ok {
		return 0, Indexed{}
	}
	return entryAt(at), in
}

// of says whether an entry is of a name, and if so, what it says.
func (d *digests) of(e Entry, name []byte, hash uint32, w *window) (Indexed, bool) {
	if d.position(e).hash != hash {
		return Indexed{}, false
	}
	its, in, ok := d.read(e, w)
	return in, ok && bytes.Equal(its, name)
}

// newest says whether an entry that is at an offset is the newest of its name.
func (d *digests) newest(hash uint64, offset int64) bool {
	_, ok := d.places.Find(uint64(uint32(hash)), func(at uint32) bool { return d.position(entryAt(at)).offset() == offset })
	return ok
}

// put takes an entry in the place of what was known of its file, which somebody may be
// looking at. It says whether there was something.
func (d *digests) put(name, entry []byte, hash uint64, at int64, w *window) (e Entry, again bool) {
	p := position{hash: uint32(hash)}
	var room [8]byte
	binary.LittleEndian.PutUint64(room[:], uint64(at))
	copy(p.at[:], room[:])
	binary.LittleEndian.PutUint64(room[:], maphash.Bytes(seed, entry))
	copy(p.check[:], room[:])
	last := len(d.found) - 1
	if last < 0 || len(d.found[last]) == foundChunk {
		d.found = append(d.found, make([]position, 0, foundChunk))
		last++
	}
	d.found[last] = append(d.found[last], p) // before the table grows, which asks for hashes
	e = entryAt(uint32(last*foundChunk + len(d.found[last]) - 1))
	same := func(at uint32) bool {
		_, same := d.of(entryAt(at), name, p.hash, w)
		return same
	}
	_, again = d.places.Put(uint64(p.hash), uint32(e)-1, same, func(at uint32) uint64 { return uint64(d.position(entryAt(at)).hash) })
	return e, again
}

// read returns an entry, its name for as long as the window is not used again. What is
// not there any more as it was found is none.
func (d *digests) read(e Entry, w *window) (name []byte, in Indexed, ok bool) {
	p := d.position(e)
	at := p.offset()
	var b []byte
	if at >= d.from {
		b = d.pending[at-d.from:]
	} else {
		i := sort.Search(len(d.stretches), func(i int) bool { return d.stretches[i].from > at })
		if i > 0 {
			s := d.stretches[i-1]
			if at -= s.from; s.unsent != nil {
				b = s.unsent[at:]
			} else {
				at += s.at
			}
		}
	}
	var size int
	if b != nil {
		name, in, size = decodeFile(b)
	} else if b = w.read(d.log, at, typicalEntry); b != nil {
		if name, in, size = decodeFile(b); size > len(b) {
			if b = w.read(d.log, at, size); b != nil {
				name, in, size = decodeFile(b)
			}
		}
	}
	if size == 0 || size > len(b) {
		return nil, Indexed{}, false
	}
	var sum [8]byte
	binary.LittleEndian.PutUint64(sum[:], maphash.Bytes(seed, b[:size]))
	// The check alone is too little for an index that was written over: one of a large store
	// is asked for a million entries, by their place alone.
	if !bytes.Equal(sum[:len(p.check)], p.check[:]) || uint32(maphash.Bytes(seed, name)) != p.hash {
		return nil, Indexed{}, false
	}
	return name, in, true
}

// window is a part of the log that was read: what is looked for one after another
// was put one after another, as a rule.
type window struct {
	at int64
	b  []byte
}

// windowSize is for some eighty files. More would be read in vain where they are not in
// that order.
const windowSize = 8 << 10

// read returns what is in the log from a place on, at least so much unless it ends
// before; nil if that cannot be read.
func (w *window) read(log *appendLog, at int64, least int) []byte {
	if skip := at - w.at; skip >= 0 && skip+int64(least) <= int64(len(w.b)) {
		return w.b[skip:]
	}
	f, err := log.reader()
	if err != nil {
		return nil
	}
	if size := max(least, windowSize); cap(w.b) < size {
		w.b = make([]byte, size)
	}
	w.b = w.b[:cap(w.b)]
	n, err := f.ReadAt(w.b, at)
	if err != nil && err != io.EOF {
		n = 0
	}
	w.at, w.b = at, w.b[:n]
	return w.b
}

// encodeFile appends a file: the length of its name and the name, what its Stat says in
// words of eight bytes, and its digest.
func encodeFile(b, name []byte, in Indexed) []byte {
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	for _, v := range [...]uint64{in.Stat.Dev, in.Stat.Ino, uint64(in.Stat.Size), uint64(in.Stat.Mtime), uint64(in.Stat.Ctime)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, in.Sum[:]...)
}

const (
	fixedSize = 5*8 + len(Sum{})
	// typicalEntry is about what a file takes of the log at most.
	typicalEntry = fixedSize + 128
)

// decodeFile reads the file that b begins with, and says how many bytes that takes: if it
// is more than there are, that is all it says, and 0 if it is no file.
func decodeFile(b []byte) (name []byte, in Indexed, size int) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > wholeEntry {
		return nil, in, 0
	}
	size = k + int(n) + fixedSize
	if size > len(b) {
		return nil, in, size
	}
	fixed := b[size-fixedSize : size]
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(fixed[8*i:]) }
	in = Indexed{Stat: Stat{word(0), word(1), int64(word(2)), int64(word(3)), int64(word(4))}, Sum: Sum(fixed[5*8:])}
	return b[k : size-fixedSize], in, size
}
