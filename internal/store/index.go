package store

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"io"
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
	live  int64 // about how large the entries of the log are that are the newest of their files

	mu       sync.RWMutex
	files    digests
	meanings map[meaningKey]string
	pendingM []meaningKey
	failed   error // to write what was put, for Flush
}

// Indexed is what is remembered of a file.
type Indexed struct {
	Stat Stat
	Sum  Sum
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
	path := filepath.Join(dir, "index")
	ix, err := readIndex(path, perm, gap, write)
	if err != nil || ix.log.f == nil {
		return ix, err
	}
	if write && wasteful(ix.log.size, ix.live) {
		if err := errors.Join(ix.compact(), ix.log.close()); err != nil {
			return nil, err
		}
		if ix, err = readIndex(path, perm, gap, write); err != nil {
			return nil, err
		}
	}
	ix.clock = probe(filepath.Join(dir, "clock"), perm.File)
	return ix, nil
}

func readIndex(path string, perm Perm, gap time.Duration, write bool) (*Index, error) {
	ix := &Index{gap: int64(gap), meanings: map[meaningKey]string{}}
	ix.files.places = NewTable(0)
	ix.files.from = math.MaxInt64 // all is in the log
	ix.files.windows.New = func() any { return new(window) }
	ix.log = newLog(path, indexHeader, perm.File)
	ix.files.log = ix.log
	w := new(window)
	if err := ix.log.open(write, func(s span, payload []byte) { ix.load(s, payload, w) }); err != nil {
		return nil, err
	}
	ix.files.from = ix.log.size
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

// Get returns what is remembered of a file that has this Stat, and its digest; 0 if
// nothing is.
func (ix *Index) Get(name []byte, st Stat) (Entry, Sum) {
	w := ix.files.windows.Get().(*window)
	defer ix.files.windows.Put(w)
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	if e, in := ix.files.find(name, maphash.Bytes(seed, name), w); in.Stat == st {
		return e, in.Sum
	}
	return 0, Sum{}
}

// At returns what an entry says. False means that it cannot be read any more.
func (ix *Index) At(e Entry) (Indexed, bool) {
	w := ix.files.windows.Get().(*window)
	defer ix.files.windows.Put(w)
	ix.mu.RLock()
	defer ix.mu.RUnlock()
	_, in, ok := ix.files.read(e, w)
	return in, ok
}

// Put remembers the digest of a file, unless it is young: then it returns 0.
func (ix *Index) Put(name []byte, st Stat, sum Sum) Entry {
	if ix.Young(st) {
		return 0
	}
	w := ix.files.windows.Get().(*window)
	defer ix.files.windows.Put(w)
	ix.mu.Lock()
	defer ix.mu.Unlock()
	d := &ix.files
	if len(d.pending) == 0 {
		d.pending = append(d.pending, entryFiles)
	}
	n := len(d.pending)
	d.pending = encodeFile(d.pending, name, Indexed{st, sum})
	e, _ := d.put(name, d.pending[n:], maphash.Bytes(seed, name), d.from+int64(n), w)
	if len(d.pending) > flushChunk { // the names of a large store are not for the memory
		ix.failed = errors.Join(ix.failed, ix.write())
	}
	return e
}

// write puts the pending files into the log. Where that fails they stay here.
func (ix *Index) write() error {
	d := &ix.files
	if len(d.pending) == 0 {
		return nil
	}
	err := ix.log.append(payload{d.pending})
	s := stretch{from: d.from, at: ix.log.end - int64(len(d.pending))}
	d.from += int64(len(d.pending))
	if err != nil || ix.log.f == nil {
		s.unsent, d.pending = d.pending, nil
	}
	d.stretches = append(d.stretches, s)
	d.pending = d.pending[:0]
	return err
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
var flushChunk = 256 << 10

// Flush appends what is new to the log.
func (ix *Index) Flush() error {
	ix.mu.Lock()
	defer ix.mu.Unlock()
	err := errors.Join(ix.failed, ix.write())
	var payloads []payload
	for _, k := range ix.pendingM {
		payloads = append(payloads, payload{encodeMeaning(k, ix.meanings[k])})
	}
	ix.pendingM, ix.failed = nil, nil
	return errors.Join(err, ix.log.append(payloads...))
}

// compact writes a log without what others have taken the place of. It is
// called before anything was put, and nothing can be found afterwards.
func (ix *Index) compact() error {
	info, err := ix.log.in.Stat()
	if err != nil {
		return err
	}
	if _, err := ix.log.in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	d := &ix.files
	return ix.log.rewrite(func(yield func(payload, error) bool) {
		more := true
		last := []byte{entryFiles}
		flush := func() {
			if len(last) > 1 && more {
				more = yield(payload{last}, nil)
			}
			last = last[:1]
		}
		_, err := scan(ix.log.in, info.Size(), indexHeader, func(s span, b []byte) {
			eachFile(b, func(at int, name, entry []byte) {
				if d.newest(maphash.Bytes(seed, name), s.at+int64(at)) {
					last = append(last, entry...)
				}
				if len(last) > flushChunk {
					flush()
				}
			})
		})
		flush()
		for k, m := range ix.meanings {
			more = more && yield(payload{encodeMeaning(k, m)}, nil)
		}
		if err != nil && more {
			yield(nil, err)
		}
	}, func(span, payload) {})
}

// eachFile calls f with the files of an entry of the log, in their order: with where
// each begins, and its bytes. What it cannot read it leaves out.
func eachFile(payload []byte, f func(at int, name []byte, entry []byte)) {
	if len(payload) == 0 || payload[0] != entryFiles {
		return
	}
	for at := 1; at < len(payload); {
		name, _, size := decodeFile(payload[at:])
		if size == 0 || size > len(payload)-at {
			return
		}
		f(at, name, payload[at:at+size])
		at += size
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
func (ix *Index) load(s span, b []byte, w *window) {
	if len(b) == 0 {
		return
	}
	switch b[0] {
	case entryFiles:
		eachFile(b, func(at int, name, entry []byte) {
			if _, again := ix.files.put(name, entry, maphash.Bytes(seed, name), s.at+int64(at), w); !again {
				ix.live += int64(len(entry))
			}
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
