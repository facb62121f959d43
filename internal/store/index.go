package store

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"io/fs"
	"math"
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

	// What the log held when it was opened stays as it was read: text is the
	// log, and files says where in it the newest entry of each file is.
	text  []byte
	files table
	live  int64 // about how large those entries are

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
	l, text, entries, err := openLog(filepath.Join(dir, "index"), indexHeader, perm.File, write)
	if err != nil {
		return nil, err
	}
	ix := &Index{log: l, gap: int64(gap), text: text, meanings: map[meaningKey]string{}, recent: map[string]indexed{}}
	ix.files = newTable(len(text) / typicalEntry)
	for _, e := range entries {
		ix.load(e)
	}
	if l.f == nil {
		return ix, nil
	}
	ix.clock = probe(filepath.Join(dir, "clock"), perm.File)
	if write && wasteful(l.size, ix.live) {
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
	if at, ok := ix.files.find(maphash.Bytes(seed, name), ix.named(name)); ok {
		if e := ix.entry(at); e.stat == st {
			return e.sum, true
		}
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
// called before anything was put.
func (ix *Index) compact() error {
	c := chunks{}
	ix.files.each(func(at uint32) {
		e := ix.entry(at)
		c.add(string(ix.name(at)), e.stat, e.sum)
	})
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
	typicalEntry = fixedSize + 24
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

// name and entry read what add wrote, at a place in the text that load has found
// to be good.
func (ix *Index) name(at uint32) []byte {
	n, k := binary.Uvarint(ix.text[at:])
	return ix.text[int(at)+k:][:n]
}

func (ix *Index) entry(at uint32) (e indexed) {
	n, k := binary.Uvarint(ix.text[at:])
	b := ix.text[int(at)+k+int(n):][:fixedSize]
	word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	e.stat = Stat{word(0), word(1), int64(word(2)), int64(word(3)), int64(word(4))}
	copy(e.sum[:], b[5*8:])
	return e
}

// named says of places whether a file of this name is there.
func (ix *Index) named(name []byte) func(at uint32) bool {
	return func(at uint32) bool { return bytes.Equal(ix.name(at), name) }
}

func encodeMeaning(k meaningKey, meaning string) []byte {
	b := []byte{entryMeaning}
	b = append(b, k.sum[:]...)
	b = binary.AppendUvarint(b, uint64(k.size))
	b = binary.AppendUvarint(b, uint64(len(k.kind)))
	b = append(b, k.kind...)
	return append(b, meaning...)
}

// load takes one entry of the log, a range of the text. What it cannot read it
// leaves out.
func (ix *Index) load(r span) {
	b := ix.text[r.from:r.to]
	if len(b) == 0 || r.to > math.MaxUint32-1 { // of which the table has no place
		return
	}
	kind, b := b[0], b[1:]
	switch kind {
	case entryFiles:
		for at := 0; at < len(b); {
			n, k := binary.Uvarint(b[at:])
			if k <= 0 || n > uint64(len(b)-at-k) || len(b)-at-k-int(n) < fixedSize {
				return
			}
			name := b[at+k:][:n]
			is := func(place uint32) bool { return bytes.Equal(ix.name(place), name) }
			if _, again := ix.files.put(maphash.Bytes(seed, name), uint32(r.from+1+at), is, ix.hash); !again {
				ix.live += int64(k + len(name) + fixedSize)
			}
			at += k + int(n) + fixedSize
		}
	case entryMeaning:
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

func (ix *Index) hash(at uint32) uint64 { return maphash.Bytes(seed, ix.name(at)) }
