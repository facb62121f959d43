package store

import (
	"encoding/binary"
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

	mu       sync.RWMutex
	files    map[string]indexed
	meanings map[meaningKey]string
	pending  map[string]indexed // not yet in the log
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
	l, entries, err := openLog(filepath.Join(dir, "index"), indexHeader, perm.File, write)
	if err != nil {
		return nil, err
	}
	ix := &Index{log: l, gap: int64(gap), meanings: map[meaningKey]string{}, pending: map[string]indexed{}}
	ix.files = make(map[string]indexed, l.size/120)
	for _, e := range entries {
		ix.load(e)
	}
	if l.f == nil {
		return ix, nil
	}
	ix.clock = probe(filepath.Join(dir, "clock"), perm.File)
	if write {
		live := int64(0)
		for name := range ix.files {
			live += int64(len(name)) + 80
		}
		if wasteful(l.size, live) {
			return ix, ix.compact()
		}
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
func (ix *Index) Get(name string, st Stat) (Sum, bool) {
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if e, ok := ix.pending[name]; ok {
		return e.sum, e.stat == st
	}
	e, ok := ix.files[name]
	return e.sum, ok && e.stat == st
}

// Put remembers the digest of a file, unless it is young.
func (ix *Index) Put(name string, st Stat, sum Sum) {
	if ix.Young(st) {
		return
	}
	ix.mu.Lock()
	defer ix.mu.Unlock()
	ix.pending[name] = indexed{st, sum}
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
	payloads := encodeFiles(ix.pending)
	for _, k := range ix.pendingM {
		payloads = append(payloads, encodeMeaning(k, ix.meanings[k]))
	}
	for name, e := range ix.pending {
		ix.files[name] = e
	}
	clear(ix.pending)
	ix.pendingM = nil
	return ix.log.append(payloads...)
}

func (ix *Index) compact() error {
	payloads := encodeFiles(ix.files)
	for k, m := range ix.meanings {
		payloads = append(payloads, encodeMeaning(k, m))
	}
	return ix.log.rewrite(payloads)
}

func encodeFiles(files map[string]indexed) [][]byte {
	var payloads [][]byte
	b := []byte{entryFiles}
	for name, e := range files {
		b = binary.AppendUvarint(b, uint64(len(name)))
		b = append(b, name...)
		for _, v := range [...]uint64{e.stat.Dev, e.stat.Ino, uint64(e.stat.Size), uint64(e.stat.Mtime), uint64(e.stat.Ctime)} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
		b = append(b, e.sum[:]...)
		if len(b) > flushChunk {
			payloads = append(payloads, b)
			b = []byte{entryFiles}
		}
	}
	if len(b) > 1 {
		payloads = append(payloads, b)
	}
	return payloads
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
	kind, b := b[0], b[1:]
	switch kind {
	case entryFiles:
		// One string for all the names of the entry: thousands of small ones
		// would be most of the time of opening.
		text := string(b)
		const fixed = 5*8 + len(Sum{})
		for at := 0; at < len(b); {
			n, k := binary.Uvarint(b[at:])
			if k <= 0 || n > uint64(len(b)-at-k) || len(b)-at-k-int(n) < fixed {
				return
			}
			name := text[at+k : at+k+int(n)]
			at += k + int(n)
			word := func(i int) uint64 { return binary.LittleEndian.Uint64(b[at+8*i:]) }
			e := indexed{stat: Stat{word(0), word(1), int64(word(2)), int64(word(3)), int64(word(4))}}
			copy(e.sum[:], b[at+40:])
			at += fixed
			ix.files[name] = e
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
