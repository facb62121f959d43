package pickle

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// ReadFile reads the pickle in the regular file path; a symbolic link is
// followed. A directory, a pipe, a socket or a device is refused without being
// opened, and a file that changes while it is read is an error. The errors do
// not name the path: the caller knows it.
func ReadFile(path string, l Limits) (any, error) {
	l = l.orDefault()
	data, err := readRegular(path, l.MaxFileBytes)
	if err != nil {
		return nil, err
	}
	return Decode(data, l)
}

func readRegular(path string, limit int64) ([]byte, error) {
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
	return readAll(f, opened, limit)
}

// readAll reads f, whose state was opened when reading began.
func readAll(f *os.File, opened fs.FileInfo, limit int64) ([]byte, error) {
	size := opened.Size()
	if size > limit {
		return nil, errorf(TooLarge, "%d bytes, the limit is %d", size, limit)
	}
	// One byte more than expected, so that growth shows.
	data := make([]byte, size+1)
	n, err := io.ReadFull(f, data)
	switch {
	case err == nil:
		return nil, errorf(Unreadable, "the file grew beyond its %d bytes while it was read", size)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, unreadable(err)
	case int64(n) != size:
		return nil, errorf(Unreadable, "the file shrank from %d to %d bytes while it was read", size, n)
	}
	after, err := f.Stat()
	if err != nil {
		return nil, unreadable(err)
	}
	if after.Size() != size || !after.ModTime().Equal(opened.ModTime()) {
		return nil, errorf(Unreadable, "the file was written to while it was read")
	}
	return data[:n], nil
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
