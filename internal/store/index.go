package store

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Stat is what a file system says about a file without reading it. Times are
// in nanoseconds since 1970.
type Stat struct {
	Dev, Ino           uint64
	Size, Mtime, Ctime int64
}

// Index remembers the digest of a file for as long as its Stat stays the same,
// and digests of meaning by digests of bytes. It is safe for concurrent use.
//
// It saves reading files; it never decides anything. A file that changes twice
// within one tick of the file system's clock can have one Stat and two
// contents, so digests of files that were young when they were hashed are not
// remembered.
type Index struct {
	log   *appendLog
	gap   int64
	clock int64 // of the file system, when the index was opened; 0: unknown

	// What the log held when it was opened, the newest of each file. Nothing of it
	// changes any more, so it is read without a lock.
	read digests
	live int64 // about how large the entries of the log are that these were in

	mu       sync.RWMutex
	recent   digests // since the index was opened
	pending  chunks  // of recent, what is not yet in the log
	meanings map[meaningKey]string
	pendingM []meaningKey
	failed   error // to write what was put, for Flush
}

// Indexed is what is remembered of a file. It does not change.
type Indexed struct {
	Stat Stat
	Sum  Sum
}

// digests are what is known of files, by hashes of their names. Names themselves
// would take twice the memory: where the Stat is the same, so is the file, whatever
// it is called.
type digests struct {
	places Table     // by index of known
	known  [][]known // knownChunk in each but the last; they stay where they are
}

// known is what was indexed of a file.
type known struct {
	name uint64 // its hash
	Indexed
}

// knownChunk is how many files room is made for at once: to grow as slices do would
// take twice the memory for a while.
const knownChunk = 1 << 10

func (d *digests) at(i uint32) *known { return &d.known[i/knownChunk][i%knownChunk] }

// find returns what is known of a file, nil if nothing is.
func (d *digests) find(name uint64) *known {
	if at, ok := d.places.Find(name, d.named(name)); ok {
		return d.at(at)
	}
	return nil
}

// named says of places whether a file is there whose name has this hash.
func (d *digests) named(name uint64) func(at uint32) bool {
	return func(at uint32) bool { return d.at(at).name == name }
}

// put keeps what is known of a file, beside what was known of it before, which
// somebody may be looking at.
func (d *digests) put(name uint64, e Indexed) *known {
	last := len(d.known) - 1
	if last < 0 || len(d.known[last]) == knownChunk {
		d.known = append(d.known, make([]known, 0, knownChunk))
		last++
	}
	d.known[last] = append(d.known[last], known{name, e}) // before the table grows, which asks for hashes
	at := uint32(last*knownChunk + len(d.known[last]) - 1)
	d.places.Put(name, at, d.named(name), func(at uint32) uint64 { return d.at(at).name })
	return d.at(at)
}

type meaningKey struct {
	kind string
	sum  Sum
	size int64
}

const (
	indexHeader = "digest-index  1\n"

	entryFiles   = 1
	entryMeaning = 2
)

// SafetyGap is how old a file must be before its Stat is believed. It is the
// coarsest tick of a file system in use (FAT has 2 s, HFS+ and old ext3 have
// 1 s, today's ext4 and XFS some milliseconds), and what the go command waits
// for the same reason. "Old" is by the clock that stamped a probe in the cache
// when the index was opened, which is the file system's own where cache and
// files share one: a clock that was set back, or one that runs ahead on a file
// server, makes files young, which costs time only.
const SafetyGap = 2 * time.Second

func openIndex(dir string, perm Perm, gap time.Duration, write bool) (*Index, error) {
	ix := &Index{gap: int64(gap), read: digests{places: NewTable(0)}, recent: digests{places: NewTable(0)}, meanings: map[meaningKey]string{}}
	path := filepath.Join(dir, "index")
	if info, err := os.Stat(path); err == nil { // so that the table need not grow, as a rule
		ix.read.places = NewTable(int(min(info.Size(), maxEntry)) / typicalEntry)
	}
	var err error
	if ix.log, err = openLog(path, indexHeader, perm.File, write, func(_ span, payload []byte) { ix.load(payload) }); err != nil {
		return nil, err
	}
	if ix.log.f == nil {
		return ix, nil
	}
	ix.clock = probe(filepath.Join(dir, "clock"), perm.File)
	if write && wasteful(ix.log.size, ix.live) {
		return ix, ix.compact()
	}
	return ix, nil
}

// probe asks the file system for the time. Without an answer every file is
// young.
func probe(path string, perm fs.FileMode) int64 {
	if err := os.WriteFile(path, []byte("t"), perm); err != nil {
		return 0
	}
	st, _, err := Lstat(path)
	if err != nil {
		return 0
	}
	return st.Mtime
}

// Young says that a file may have changed since without a trace in its Stat.
func (ix *Index) Young(st Stat) bool {
	limit := ix.clock - ix.gap
	return st.Mtime >= limit || st.Ctime >= limit
}

// Get returns what is remembered of a file that has this Stat, nil if nothing is.
func (ix *Index) Get(name []byte, st Stat) *Indexed {
	// What was read with the log is right where its Stat is, whatever has been put
	// since.
	hash := maphash.Bytes(seed, name)
	if k := ix.read.find(hash); k != nil && k.Stat == st {
		return &k.Indexed
	}
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if k := ix.recent.find(hash); k != nil && k.Stat == st {
		return &k.Indexed
	}
	return nil
}

// Put remembers the digest of a file, unless it is young: then it returns nil.
func (ix *Index) Put(name []byte, st Stat, sum Sum) *Indexed {
	if ix.Young(st) {
		return nil
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	k := ix.recent.put(maphash.Bytes(seed, name), Indexed{st, sum})
	ix.pending.add(name, st, sum)
	if len(ix.pending.full) > 0 { // the names of a large store are not for the memory
		ix.failed = errors.Join(ix.failed, ix.log.append(ix.pending.full...))
		ix.pending.full = nil
	}
	return &k.Indexed
}

// Meaning returns the digest of meaning of contents.
func (ix *Index) Meaning(kind string, sum Sum, size int64) (string, bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	m, ok := ix.meanings[meaningKey{kind, sum, size}]
	return m, ok
}

// PutMeaning remembers a digest of meaning.
func (ix *Index) PutMeaning(kind string, sum Sum, size int64, meaning string) {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	k := meaningKey{kind, sum, size}
	ix.meanings[k] = meaning
	ix.pendingM = append(ix.pendingM, k)
}

// Lost returns how many bytes of the file could not be read when it was
// opened.
func (ix *Index) Lost() int64 { return ix.log.lost }

// flushChunk bounds one entry of the log, so that damage to one loses little, and
// with it what is kept of names before it is written.
const flushChunk = 256 << 10

// Flush appends what is new to the log.
func (ix *Index) Flush() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	payloads := ix.pending.all()
	for _, k := range ix.pendingM {
		payloads = append(payloads, payload{encodeMeaning(k, ix.meanings[k])})
	}
	failed := ix.failed
	ix.pending, ix.pendingM, ix.failed = chunks{}, nil, nil
	return errors.Join(failed, ix.log.append(payloads...))
}

// compact writes a log without what others have taken the place of. It is
// called before anything was put. The log is read again for the names.
func (ix *Index) compact() error {
	c := chunks{}
	written := make([]bool, len(ix.read.known)*knownChunk)
	info, err := ix.log.in.Stat()
	if err != nil {
		return err
	}
	if _, err := ix.log.in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = scan(ix.log.in, info.Size(), indexHeader, func(_ span, payload []byte) {
		eachFile(payload, func(name []byte, e Indexed, _ int) {
			hash := maphash.Bytes(seed, name)
			if at, ok := ix.read.places.Find(hash, ix.read.named(hash)); ok && !written[at] && ix.read.at(at).Indexed == e {
				written[at] = true
				c.add(name, e.Stat, e.Sum)
			}
		})
	})
	if err != nil {
		return err
	}
	payloads := c.all()
	for k, m := range ix.meanings {
		payloads = append(payloads, payload{encodeMeaning(k, m)})
	}
	return ix.log.rewrite(payloads)
}

// chunks are entries of the log that hold files: the length of a name and the
// name, what its Stat says in words of eight bytes, and its digest.
type chunks struct {
	full []payload
	last []byte
}

const (
	fixedSize = 5*8 + len(Sum{})
	// typicalEntry is about what a file takes of the log, to begin with a table
	// that need not grow.
	typicalEntry = fixedSize + 48
)

func (c *chunks) add(name []byte, st Stat, sum Sum) {
	b := c.last
	if len(b) == 0 {
		b = append(b, entryFiles)
	}
	b = binary.AppendUvarint(b, uint64(len(name)))
	b = append(b, name...)
	for _, v := range [...]uint64{st.Dev, st.Ino, uint64(st.Size), uint64(st.Mtime), uint64(st.Ctime)} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	c.last = append(b, sum[:]...)
	if len(c.last) > flushChunk {
		c.full, c.last = append(c.full, payload{c.last}), nil
	}
}

func (c *chunks) all() []payload {
	if len(c.last) > 0 {
		c.full, c.last = append(c.full, payload{c.last}), nil
	}
	return c.full
}

// eachFile calls f with the files of an entry of the log, in their order, and with
// how many bytes each takes. What it cannot read it leaves out.
func eachFile(payload []byte, f func(name []byte, e Indexed, size int)) {
	if len(payload) == 0 || payload[0] != entryFiles {
		return
	}
	for b := payload[1:]; len(b) > 0; {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > uint64(len(b)-k) || len(b)-k-int(n) < fixedSize {
			return
		}
		size := k + int(n) + fixedSize
		fixed := b[size-fixedSize : size]
		word := func(i int) uint64 { return binary.LittleEndian.Uint64(fixed[8*i:]) }
		e := Indexed{Stat: Stat{word(0), word(1), int64(word(2)), int64(word(3)), int64(word(4))}, Sum: Sum(fixed[5*8:])}
		f(b[k:size-fixedSize], e, size)
		b = b[size:]
	}
}

func encodeMeaning(k meaningKey, meaning string) []byte {
	b := []byte{entryMeaning}
	b = append(b, k.sum[:]...)
	b = binary.AppendUvarint(b, uint64(k.size))
	b = binary.AppendUvarint(b, uint64(len(k.kind)))
	b = append(b, k.kind...)
	return append(b, meaning...)
}

// load takes one entry of the log. What it cannot read it leaves out.
func (ix *Index) load(b []byte) {
	if len(b) == 0 {
		return
	}
	switch b[0] {
	case entryFiles:
		eachFile(b, func(name []byte, e Indexed, size int) {
			hash := maphash.Bytes(seed, name)
			if k := ix.read.find(hash); k != nil {
				k.Indexed = e // nobody has seen it yet
				return
			}
			ix.read.put(hash, e)
			ix.live += int64(size)
		})
	case entryMeaning:
		b = b[1:]
		var k meaningKey
		if len(b) < len(k.sum) {
			return
		}
		b = b[copy(k.sum[:], b):]
		size, i := binary.Uvarint(b)
		if i <= 0 {
			return
		}
		n, j := binary.Uvarint(b[i:])
		if j <= 0 || n > uint64(len(b)-i-j) {
			return
		}
		k.size = int64(size)
		k.kind = string(b[i+j : i+j+int(n)])
		ix.meanings[k] = string(b[i+j+int(n):])
	}
}
