package store

import (
	"encoding/binary"
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

	// What the log held when it was opened, the newest of each file. In the place
	// of names are their hashes, which takes half of the memory: where the Stat is
	// the same, so is the file, whatever it is called.
	files table     // by index of known
	known [][]known // knownChunk in each but the last
	live  int64     // about how large the entries of the log are that these were in

	mu       sync.RWMutex
	recent   map[string]indexed // since the index was opened
	meanings map[meaningKey]string
	pending  []string // names in recent that are not yet in the log
	pendingM []meaningKey
}

type indexed struct {
	stat Stat
	sum  Sum
}

// known is what was indexed of a file.
type known struct {
	name uint64 // its hash
	indexed
}

// knownChunk is how many files room is made for at once: to grow as slices do would
// take twice the memory for a while.
const knownChunk = 1 << 10

func (ix *Index) at(i uint32) *known { return &ix.known[i/knownChunk][i%knownChunk] }

// add keeps what is known of one more file, and returns its place.
func (ix *Index) add(k known) uint32 {
	last := len(ix.known) - 1
	if last < 0 || len(ix.known[last]) == knownChunk {
		ix.known = append(ix.known, make([]known, 0, knownChunk))
		last++
	}
	ix.known[last] = append(ix.known[last], k)
	return uint32(last*knownChunk + len(ix.known[last]) - 1)
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
	ix := &Index{gap: int64(gap), files: newTable(0), meanings: map[meaningKey]string{}, recent: map[string]indexed{}}
	path := filepath.Join(dir, "index")
	if info, err := os.Stat(path); err == nil { // so that the table need not grow, as a rule
		ix.files = newTable(int(min(info.Size(), maxEntry)) / typicalEntry)
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

// Get returns the digest of a file that has this Stat.
func (ix *Index) Get(name []byte, st Stat) (Sum, bool) {
	// What was read with the log needs no lock, and is right where its Stat is,
	// whatever has been put since.
	hash := maphash.Bytes(seed, name)
	if at, ok := ix.files.find(hash, ix.named(hash)); ok && ix.at(at).stat == st {
		return ix.at(at).sum, true
	}
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	e, ok := ix.recent[string(name)]
	return e.sum, ok && e.stat == st
}

// Put remembers the digest of a file, unless it is young.
func (ix *Index) Put(name string, st Stat, sum Sum) {
	if ix.Young(st) {
		return
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.recent[name] = indexed{st, sum}
	ix.pending = append(ix.pending, name)
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

// flushChunk bounds one entry of the log, so that damage to one loses little.
const flushChunk = 1 << 20

// Flush appends what is new to the log.
func (ix *Index) Flush() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	c := chunks{}
	for _, name := range ix.pending {
		e := ix.recent[name]
		c.add(name, e.stat, e.sum)
	}
	payloads := c.all()
	for _, k := range ix.pendingM {
		payloads = append(payloads, encodeMeaning(k, ix.meanings[k]))
	}
	ix.pending, ix.pendingM = nil, nil
	return ix.log.append(payloads...)
}

// compact writes a log without what others have taken the place of. It is
// called before anything was put. The log is read again for the names.
func (ix *Index) compact() error {
	c := chunks{}
	written := make([]bool, len(ix.known)*knownChunk)
	info, err := ix.log.in.Stat()
	if err != nil {
		return err
	}
	if _, err := ix.log.in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	_, err = scan(ix.log.in, info.Size(), indexHeader, func(_ span, payload []byte) {
		eachFile(payload, func(name []byte, e indexed, _ int) {
			hash := maphash.Bytes(seed, name)
			if at, ok := ix.files.find(hash, ix.named(hash)); ok && !written[at] && ix.at(at).indexed == e {
				written[at] = true
				c.add(string(name), e.stat, e.sum)
			}
		})
	})
	if err != nil {
		return err
	}
	payloads := c.all()
	for k, m := range ix.meanings {
		payloads = append(payloads, encodeMeaning(k, m))
	}
	return ix.log.rewrite(payloads)
}

// chunks are entries of the log that hold files: the length of a name and the
// name, what its Stat says in words of eight bytes, and its digest.
type chunks struct {
	full [][]byte
	last []byte
}

const (
	fixedSize = 5*8 + len(Sum{})
	// typicalEntry is about what a file takes of the log, to begin with a table
	// that need not grow.
	typicalEntry = fixedSize + 48
)

func (c *chunks) add(name string, st Stat, sum Sum) {
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
		c.full, c.last = append(c.full, c.last), nil
	}
}

func (c *chunks) all() [][]byte {
	if len(c.last) > 0 {
		c.full, c.last = append(c.full, c.last), nil
	}
	return c.full
}

// eachFile calls f with the files of an entry of the log, in their order, and with
// how many bytes each takes. What it cannot read it leaves out.
func eachFile(payload []byte, f func(name []byte, e indexed, size int)) {
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
		e := indexed{stat: Stat{word(0), word(1), int64(word(2)), int64(word(3)), int64(word(4))}, sum: Sum(fixed[5*8:])}
		f(b[k:size-fixedSize], e, size)
		b = b[size:]
	}
}

// named says of places whether a file is there whose name has this hash.
func (ix *Index) named(hash uint64) func(at uint32) bool {
	return func(at uint32) bool { return ix.at(at).name == hash }
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
		eachFile(b, func(name []byte, e indexed, size int) {
			hash := maphash.Bytes(seed, name)
			if at, again := ix.files.find(hash, ix.named(hash)); again {
				ix.at(at).indexed = e
				return
			}
			at := ix.add(known{hash, e}) // before the table grows, which asks for hashes
			ix.files.put(hash, at, func(uint32) bool { return false }, func(at uint32) uint64 { return ix.at(at).name })
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
