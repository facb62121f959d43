package store

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// appendLog is a file of check-summed entries that grows at its end. After a
// header of headerSize bytes, which says kind and version, each entry is its
// length, a checksum and its bytes. What follows the first bad entry is lost
// and cut off by the next writer; a file of another version is an empty one.
type appendLog struct {
	path   string
	header string
	perm   fs.FileMode

	in    *os.File // as it was found, nil: there was none
	f     *os.File // nil: not writable
	owner bool     // may be rewritten
	size  int64    // of the good part
	end   int64    // where in the file ends what was appended last; others may have appended, too
	lost  int64    // what was there beside the good part when the log was opened
}

const (
	headerSize = 16
	entryHead  = 8
	// maxEntry is far above any entry; a length beyond it is damage.
	maxEntry = 1 << 30
)

// castagnoli is computed by an instruction of the processor. The length is
// part of the sum: otherwise a run of zeros, which is what a file system may
// leave after a power cut, would be a sequence of good empty entries.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(head []byte, parts ...[]byte) uint32 {
	sum := crc32.Checksum(head, castagnoli)
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}

// span is where the payload of an entry is in the file of a log.
type span struct {
	at   int64
	size uint32
}

const (
	// scanBuffer is large enough that system calls are no part of the time.
	scanBuffer = 64 << 10
	// wholeEntry is up to what size an entry is read in one piece to be looked at.
	// The index has none that is larger, and of records the beginning is enough.
	wholeEntry = 2 << 20
)

// scan reads a log from its beginning and calls each with the good entries in
// turn: the payload, or the beginning of one that is larger than wholeEntry, which
// the next call overwrites. It returns the size of the good part.
func scan(f io.Reader, length int64, header string, each func(s span, payload []byte)) (size int64, err error) {
	r := bufio.NewReaderSize(f, int(min(scanBuffer, length+1)))
	head := make([]byte, headerSize)
	if _, err := io.ReadFull(r, head); err != nil || string(head) != header {
		return 0, ended(err)
	}
	size = headerSize
	head = head[:entryHead]
	var large []byte
	for size+entryHead <= length {
		if _, err := io.ReadFull(r, head); err != nil {
			return size, ended(err)
		}
		n := binary.LittleEndian.Uint32(head)
		if n > maxEntry || int64(n) > length-size-entryHead {
			break
		}
		sum := crc32.Checksum(head[:4], castagnoli)
		s := span{size + entryHead, n}
		var payload []byte
		if int64(n) <= int64(r.Size()) {
			// In place, as nearly all are.
			if payload, err = r.Peek(int(n)); err != nil {
				return size, ended(err)
			}
			sum = crc32.Update(sum, castagnoli, payload)
		} else {
			front := int(min(n, wholeEntry))
			if cap(large) < front {
				large = make([]byte, front)
			}
			payload = large[:front]
			if _, err := io.ReadFull(r, payload); err != nil {
				return size, ended(err)
			}
			sum = crc32.Update(sum, castagnoli, payload)
			for left := int(n) - front; left > 0; {
				piece, err := r.Peek(min(left, r.Size()))
				if err != nil {
					return size, ended(err)
				}
				sum = crc32.Update(sum, castagnoli, piece)
				left -= len(piece)
				if _, err := r.Discard(len(piece)); err != nil {
					return size, err
				}
			}
		}
		if sum != binary.LittleEndian.Uint32(head[4:]) {
			break
		}
		each(s, payload)
		if int64(n) <= int64(r.Size()) {
			if _, err := r.Discard(int(n)); err != nil {
				return size, err
			}
		}
		size += entryHead + int64(n)
	}
	return size, nil
}

// ended takes the end of a file for the end of what is good in it.
func ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// reader is the file that has all that was found and was appended since.
func (l *appendLog) reader() (*os.File, error) {
	switch {
	case l.owner && l.f != nil:
		return l.f, nil
	case l.in != nil:
		return l.in, nil
	}
	return nil, fs.ErrClosed
}

// read returns the payload of an entry that scan found to be good, or as much of its
// beginning as is asked for. It is checked again, all of it: somebody may have written
// over it since.
func (l *appendLog) read(s span, most int) ([]byte, error) {
	from, err := l.reader()
	if err != nil {
		return nil, err
	}
	b := make([]byte, entryHead+min(int(s.size), most))
	if _, err := from.ReadAt(b, s.at-entryHead); err != nil {
		return nil, err
	}
	sum := checksum(b[:4], b[entryHead:])
	if behind := int64(s.size) - int64(len(b)-entryHead); behind > 0 {
		rest := checksummer(sum)
		if n, err := io.Copy(&rest, io.NewSectionReader(from, s.at+int64(len(b)-entryHead), behind)); err != nil || n < behind {
			return nil, errors.Join(io.ErrUnexpectedEOF, err)
		}
		sum = uint32(rest)
	}
	if binary.LittleEndian.Uint32(b) != s.size || sum != binary.LittleEndian.Uint32(b[4:]) {
		return nil, fmt.Errorf("the entry at %d is damaged", s.at)
	}
	return b[entryHead:], nil
}

// checksummer goes on with a checksum.
type checksummer uint32

func (c *checksummer) Write(b []byte) (int, error) {
	*c = checksummer(crc32.Update(uint32(*c), castagnoli, b))
	return len(b), nil
}

func newLog(path, header string, perm fs.FileMode) *appendLog {
	return &appendLog{path: path, header: header, perm: perm}
}

// open reads the log and calls each with its entries. With write it is cut to its
// good part and can be appended to; without it can be appended to if it exists and
// is all good. Something that is no file has no good part.
func (l *appendLog) open(write bool, each func(s span, payload []byte)) error {
	if len(l.header) != headerSize {
		return fmt.Errorf("log header %q is not of %d bytes", l.header, headerSize)
	}
	l.owner = write
	var err error
	if noFile(l.path) {
		l.lost = 1
		if write {
			err = setAside(l.path, filepath.Join(filepath.Dir(l.path), asideDir), dirPerm(l.perm))
		}
	} else {
		err = l.load(each)
	}
	if err != nil {
		return errors.Join(err, l.close())
	}
	switch {
	case write:
		l.f, err = os.OpenFile(l.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, l.perm)
		if err == nil && l.lost > 0 {
			err = l.f.Truncate(l.size)
		}
		if err == nil && l.size == 0 {
			err = l.write([]byte(l.header))
		}
		if err != nil {
			return errors.Join(err, l.close())
		}
	case l.lost == 0 && l.size > 0:
		// A cache that may not be written to is still good for reading, and so is one
		// that was rewritten just now.
		f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			break
		}
		if !sameFile(f, l.in) {
			return f.Close()
		}
		l.f = f
	}
	return nil
}

func sameFile(a, b *os.File) bool {
	first, err := a.Stat()
	second, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(first, second)
}

// load reads what there is.
func (l *appendLog) load(each func(s span, payload []byte)) (err error) {
	l.in, err = os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	info, err := l.in.Stat()
	if err != nil {
		return err
	}
	l.size, err = scan(l.in, info.Size(), l.header, each)
	l.lost = info.Size() - l.size
	return err
}

// payload is the bytes of an entry, in parts.
type payload [][]byte

func (p payload) len() int {
	size := 0
	for _, part := range p {
		size += len(part)
	}
	return size
}

// oneWrite is how much is written at once, about. An entry that is not larger goes
// out by one write: others may append to the index, whose entries are all small. A larger
// one is of records, which only who holds the lock of the cache appends. Less in tests.
var oneWrite = 1 << 20

// entryWriter writes entries.
type entryWriter struct {
	w       io.Writer
	b       []byte // not written yet
	written int64
}

func (e *entryWriter) add(p payload) error {
	size := p.len()
	if err := checkSize(size); err != nil {
		return err
	}
	if len(e.b) > 0 && len(e.b)+entryHead+size > oneWrite {
		if err := e.flush(nil); err != nil {
			return err
		}
	}
	var head [entryHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(size))
	binary.LittleEndian.PutUint32(head[4:], checksum(head[:4], p...))
	e.b = append(e.b, head[:]...)
	for _, part := range p {
		if len(e.b)+len(part) <= oneWrite {
			e.b = append(e.b, part...)
			continue
		}
		if err := e.flush(part); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was not yet, and then more.
func (e *entryWriter) flush(more []byte) error {
	for _, part := range [][]byte{e.b, more} {
		if len(part) == 0 {
			continue
		}
		n, err := e.w.Write(part)
		if e.written += int64(n); err != nil {
			return err
		}
	}
	e.b = e.b[:0]
	return nil
}

func checkSize(size int) error {
	if size > maxEntry {
		return fmt.Errorf("an entry of %d bytes is too long for a log", size)
	}
	return nil
}

// append adds entries.
func (l *appendLog) append(payloads ...payload) error {
	if l.f == nil || len(payloads) == 0 {
		return nil
	}
	for _, p := range payloads { // all or none
		if err := checkSize(p.len()); err != nil {
			return err
		}
	}
	w := entryWriter{w: l.f}
	var err error
	for _, p := range payloads {
		if err = w.add(p); err != nil {
			break
		}
	}
	if err == nil {
		err = w.flush(nil)
	}
	// Of a file that is appended to this is the end of what was written last.
	end, failed := l.f.Seek(0, io.SeekCurrent)
	switch {
	case err == nil:
		l.size += w.written
		l.end, err = end, failed
	case l.owner && w.written > 0:
		// What was written in part would hide all that follows.
		err = errors.Join(err, failed, l.f.Truncate(end-w.written))
	}
	return err
}

func (l *appendLog) write(b []byte) error {
	n, err := l.f.Write(b)
	if err == nil {
		l.size += int64(n)
	}
	return err
}

// sync makes sure that what was appended survives a power cut.
func (l *appendLog) sync() error {
	if l.f == nil {
		return nil
	}
	return l.f.Sync()
}

// rewrite replaces the log by one with these entries, and calls each with them as they
// are now. An error among them leaves the log as it was.
func (l *appendLog) rewrite(entries iter.Seq2[payload, error], each func(s span, p payload)) error {
	tmp, err := os.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, l.perm)
	if err != nil {
		return err
	}
	size := int64(headerSize)
	if _, err = tmp.Write([]byte(l.header)); err == nil {
		w := entryWriter{w: tmp}
		for p, bad := range entries {
			if err = bad; err == nil {
				err = w.add(p)
			}
			if err != nil {
				break
			}
			each(span{size + entryHead, uint32(p.len())}, p)
			size += entryHead + int64(p.len())
		}
		if err == nil {
			err = w.flush(nil)
		}
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err == nil {
		err = os.Rename(tmp.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, tmp.Close())
	}
	old := l.f
	l.f, l.size = tmp, size
	return closeFile(old)
}

func (l *appendLog) close() error {
	f, in := l.f, l.in
	l.f, l.in = nil, nil
	return errors.Join(closeFile(f), closeFile(in))
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// compactAbove is the size below which a log is never worth rewriting.
const compactAbove = 256 << 10

// wasteful says that a log is three times as large as what is alive in it.
func wasteful(size, live int64) bool { return size > compactAbove && size > 3*live }
