package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// Lstat returns the Stat and the type of a file, without following links. The
// error is an *fs.PathError.
func Lstat(path string) (Stat, fs.FileMode, error) {
	return statAt(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, "lstat")
}

// FileStat is Lstat through symbolic links.
func FileStat(path string) (Stat, fs.FileMode, error) {
	return statAt(unix.AT_FDCWD, path, 0, "stat")
}

// LstatAt is Lstat of a name in an open directory, which spares the way there.
func LstatAt(dir *os.File, name string) (Stat, fs.FileMode, error) {
	return statAt(int(dir.Fd()), name, unix.AT_SYMLINK_NOFOLLOW, "lstat")
}

func statAt(dir int, path string, flags int, op string) (Stat, fs.FileMode, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(dir, path, &st, flags)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Stat{}, 0, &fs.PathError{Op: op, Path: path, Err: err}
		}
		return statOf(&st), modeOf(&st), nil
	}
}

func modeOf(st *unix.Stat_t) fs.FileMode {
	mode := fs.FileMode(st.Mode) & fs.ModePerm
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return mode
	case unix.S_IFDIR:
		return mode | fs.ModeDir
	case unix.S_IFLNK:
		return mode | fs.ModeSymlink
	}
	return mode | fs.ModeIrregular
}

func fstat(f *os.File) (Stat, fs.FileMode, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstat(int(f.Fd()), &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Stat{}, 0, &fs.PathError{Op: "fstat", Path: f.Name(), Err: err}
		}
		return statOf(&st), modeOf(&st), nil
	}
}

// bufferSize is large enough that system calls are no part of the time, and
// small enough to stay in the processor's cache.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// ErrMoved says that a file changed while it was read.
var ErrMoved = errors.New("the file changes while it is read")

var errNotRegular = errors.New("it is not a regular file")

// moveRetries is how often a file that moves is read again.
const moveRetries = 3

// Hash returns the digest of a regular file and the Stat that goes with it:
// the same before, while and after it was read.
func Hash(path string) (Sum, Stat, error) {
	for try := 0; ; try++ {
		sum, st, err := hashOnce(path)
		if !errors.Is(err, ErrMoved) || try == moveRetries {
			return sum, st, err
		}
	}
}

func hashOnce(path string) (sum Sum, st Stat, err error) {
	st, mode, err := FileStat(path)
	if err != nil {
		return sum, st, err
	}
	if !mode.IsRegular() {
		return sum, st, &fs.PathError{Op: "hash", Path: path, Err: errNotRegular}
	}
	f, err := os.Open(path)
	if err != nil {
		return sum, st, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if open, _, err := fstat(f); err != nil || open != st {
		return sum, st, moved(path, err)
	}
	sum, n, err := copyHash(nil, f)
	if err != nil {
		return sum, st, err
	}
	if after, _, err := fstat(f); err != nil || after != st || n != st.Size {
		return sum, st, moved(path, err)
	}
	return sum, st, nil
}

func moved(path string, err error) error {
	if err != nil {
		return err
	}
	return &fs.PathError{Op: "hash", Path: path, Err: ErrMoved}
}

// copyHash reads to the end, writes it to w if there is one, and returns its
// digest and length.
func copyHash(w io.Writer, r io.Reader) (sum Sum, n int64, err error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	h := blake3.New()
	for {
		k, err := r.Read(*buf)
		if k > 0 {
			n += int64(k)
			if _, err := h.Write((*buf)[:k]); err != nil {
				return sum, n, fmt.Errorf("blake3: %w", err)
			}
			if w != nil {
				if _, err := w.Write((*buf)[:k]); err != nil {
					return sum, n, err
				}
			}
		}
		if err == io.EOF {
			h.Sum(sum[:0])
			return sum, n, nil
		}
		if err != nil {
			return sum, n, err
		}
	}
}
