package pickle

import (
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/zeebo/blake3"
)

// File is what ReadFile read.
type File struct {
	Value  any    // as Decode gives it
	Digest string // hex of BLAKE3 over all bytes of the file
	Size   int64  // of the file, in bytes
	// Reads is how often the file was read: 1, or more where what is wanted
	// shares values with what is not, and was dropped at first.
	Reads int
}

// ReadFile reads the pickle in the regular file path; a symbolic link is
// followed. A directory, a pipe, a socket or a device is refused without being
// opened, and a file that changes while it is read is an error. The errors do
// not name the path: the caller knows it.
//
// Of the values only those that want names are made; see DecodePaths. The file
// is read in pieces and what is not wanted is dropped as soon as it is checked
// and its part of the digest computed.
func ReadFile(path string, want *Paths, l Limits) (*File, error) {
	before, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !before.Mode().IsRegular() {
		return nil, errorf(Refused, "not a regular file but %s", describe(before.Mode()))
	}
	// Should a pipe have taken the file's place since, opening must not wait
	// for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	opened, err := f.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	if !opened.Mode().IsRegular() || !os.SameFile(before, opened) {
		return nil, errorf(Unreadable, "another file took its place while it was opened")
	}
	file, failure := readOpened(f, opened, want, l.orDefault())
	if failure != nil {
		return nil, failure
	}
	return file, nil
}

// readOpened reads f, whose state was opened when reading began.
func readOpened(f *os.File, opened fs.FileInfo, want *Paths, l Limits) (*File, *Error) {
	size := opened.Size()
	if size > l.MaxFileBytes {
		return nil, errorf(TooLarge, "%d bytes, the limit is %d", size, l.MaxFileBytes)
	}
	window := windows.Get().(*[windowSize]byte)
	defer windows.Put(window)
	s := &source{file: f, buf: window[:], size: size}
	v, failure := decodeSource(s, want, l)
	// A file that changed is not to be called damaged.
	after, err := f.Stat()
	switch {
	case err != nil:
		return nil, unreadable(err)
	case after.Size() > size:
		return nil, errorf(Unreadable, "the file grew beyond its %d bytes while it was read", size)
	case after.Size() < size:
		return nil, errorf(Unreadable, "the file shrank from %d to %d bytes while it was read", size, after.Size())
	case !after.ModTime().Equal(opened.ModTime()):
		return nil, errorf(Unreadable, "the file was written to while it was read")
	case failure != nil:
		return nil, failure
	}
	return &File{Value: v, Digest: hex.EncodeToString(s.hash.Sum(nil)), Size: size, Reads: s.reads}, nil
}

// windowSize is what is read at once: enough for the hash to work at its full
// speed, and small enough to stay in the cache of a core.
const windowSize = 256 << 10

var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

// source is the bytes of a pickle: all in memory, or a window that moves over
// a file. A file's bytes go through the hash as they come in.
type source struct {
	file *os.File // nil: buf holds everything
	hash *blake3.Hasher
	buf  []byte

	from, to int   // what of buf was read and not yet used
	base     int64 // place of buf in the file
	reads    int   // how often rewind was called
	size     int64 // of the file
}

func fromMemory(data []byte) *source {
	return &source{buf: data, to: len(data), size: int64(len(data))}
}

// rewind goes back to the first byte.
func (s *source) rewind() *Error {
	s.base, s.from = 0, 0
	s.reads++
	if s.file == nil {
		return nil
	}
	s.to, s.hash = 0, blake3.New()
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return unreadable(err)
	}
	return nil
}

func (s *source) pos() int64 { return s.base + int64(s.from) }

// rest is how much of the file lies behind pos.
func (s *source) rest() int64 { return s.size - s.pos() }

// window is what of the rest is at hand.
func (s *source) window() []byte { return s.buf[s.from:s.to] }

// fill makes the window at least n bytes long, or as long as the rest. n must
// not be above windowSize.
func (s *source) fill(n int) *Error {
	n = int(min(int64(n), s.rest()))
	if s.to-s.from >= n {
		return nil
	}
	s.to = copy(s.buf, s.buf[s.from:s.to])
	s.base += int64(s.from)
	s.from = 0
	for s.to < n {
		// Never beyond the size that the file had: what grew is seen afterwards.
		room := s.buf[s.to:min(int64(len(s.buf)), s.size-s.base)]
		got, err := s.file.Read(room)
		s.hash.Write(room[:got]) //nolint:errcheck // it has none
		s.to += got
		if got == 0 || err != nil && !errors.Is(err, io.EOF) {
			return s.short(err)
		}
	}
	return nil
}

func (s *source) short(err error) *Error {
	if err == nil || errors.Is(err, io.EOF) {
		return errorf(Unreadable, "the file shrank from %d to %d bytes while it was read", s.size, s.base+int64(s.to))
	}
	return unreadable(err)
}

// take reads len(b) bytes, which the rest must hold.
func (s *source) take(b []byte) *Error {
	n := copy(b, s.window())
	s.from += n
	if n == len(b) {
		return nil
	}
	// The window is empty; read past it.
	b = b[n:]
	for len(b) > 0 {
		got, err := s.file.Read(b[:min(len(b), windowSize)])
		s.hash.Write(b[:got]) //nolint:errcheck // it has none
		s.base += int64(got)
		b = b[got:]
		if got == 0 || err != nil && !errors.Is(err, io.EOF) {
			return s.short(err)
		}
	}
	return nil
}

// each reads n bytes, which the rest must hold, piece by piece. f says how many
// of the bytes it used; it must use all but 3 of them, and all of the last.
func (s *source) each(n int64, f func(piece []byte, last bool) (int, *Error)) *Error {
	for n > 0 {
		if err := s.fill(int(min(n, int64(len(s.buf))))); err != nil {
			return err
		}
		piece := s.window()
		piece = piece[:min(int64(len(piece)), n)]
		used, err := f(piece, int64(len(piece)) == n)
		if err != nil {
			return err
		}
		s.from += used
		n -= int64(used)
	}
	return nil
}

// drain reads what is left.
func (s *source) drain() *Error {
	return s.each(s.rest(), func(piece []byte, _ bool) (int, *Error) { return len(piece), nil })
}

// unreadable keeps the system's cause but not the path in front of it.
func unreadable(err error) *Error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return &Error{Kind: Unreadable, Offset: -1, Detail: err.Error(), Err: err}
}

func describe(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}
