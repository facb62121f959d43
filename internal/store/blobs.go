package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// Blobs holds contents by digest. Files of the workspace are never links to
// blobs: they share blocks where the file system can, and are copies where it
// cannot, so that editing an output does not change the cache.
type Blobs struct {
	dir  string
	perm Perm
	temp atomic.Int64 // names of blobs that are still being written
}

// path spreads blobs over 256 directories.
func (b *Blobs) path(sum Sum) string {
	name := sum.String()
	return filepath.Join(b.dir, name[:2], name)
}

// unfinished is where blobs are written before they get their name. A writer
// empties it when it opens the store.
func (b *Blobs) unfinished() string { return filepath.Join(b.dir, "unfinished") }

// Verify says whether the contents are there, undamaged.
func (b *Blobs) Verify(sum Sum, size int64) bool {
	st, mode, err := Lstat(b.path(sum))
	if err != nil || !mode.IsRegular() || st.Size != size {
		return false
	}
	got, _, err := Hash(b.path(sum))
	return err == nil && got == sum
}

// Put adds the contents of a file, whose digest the caller has computed. A
// damaged blob is replaced.
func (b *Blobs) Put(src string, sum Sum, size int64) (err error) {
	if b.Verify(sum, size) {
		b.use(sum)
		return nil
	}
	tmp, err := b.temporary()
	if err != nil {
		return err
	}
	if err := transfer(src, tmp, sum, b.perm.Blob); err != nil {
		return errors.Join(err, removeIfThere(tmp))
	}
	return b.name(tmp, sum)
}

// temporary returns where a blob can be written before it gets its name.
func (b *Blobs) temporary() (string, error) {
	if err := makeDir(b.unfinished(), b.perm.Dir, b.aside()); err != nil {
		return "", err
	}
	return filepath.Join(b.unfinished(), strconv.FormatInt(b.temp.Add(1), 10)), nil
}

// name makes a finished file the blob of its digest.
func (b *Blobs) name(tmp string, sum Sum) error {
	path := b.path(sum)
	if err := makeDir(filepath.Dir(path), b.perm.Dir, b.aside()); err != nil {
		return err
	}
	if _, mode, err := Lstat(path); err == nil && !mode.IsRegular() {
		if err := setAside(path, b.aside(), b.perm.Dir); err != nil {
			return err
		}
	}
	return os.Rename(tmp, path)
}

// Restore writes the contents to a new file.
func (b *Blobs) Restore(sum Sum, dst string, mode fs.FileMode) error {
	if err := transfer(b.path(sum), dst, sum, mode); err != nil {
		return errors.Join(err, removeIfThere(dst))
	}
	b.use(sum)
	return nil
}

// useTick is how exactly the last use of a blob is known. Collecting asks for
// no more, and writing it at every use would be a write for every read.
const useTick = time.Hour

// use notes, as the time of its file, that a blob was used. That is a hint of
// what to collect first: where it cannot be written, as in a cache of somebody
// else, the blob counts as older than it is, and nothing is lost by it.
func (b *Blobs) use(sum Sum) {
	now := time.Now()
	if info, err := os.Lstat(b.path(sum)); err == nil && now.Sub(info.ModTime()).Abs() > useTick {
		_ = os.Chtimes(b.path(sum), now, now)
	}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// transfer makes dst a file with the contents of src, and makes sure that
// these have the digest.
func transfer(src, dst string, sum Sum, mode fs.FileMode) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(dst, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	var got Sum
	if clone(out, in) {
		got, _, err = copyHash(nil, out)
	} else {
		got, _, err = copyHash(out, in)
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", src, err)
	}
	if got != sum {
		return fmt.Errorf("%s does not have the contents that it should have", src)
	}
	return out.Chmod(mode)
}

// SyncDisks writes out the file systems of the directories, each once.
func SyncDisks(dirs ...string) error {
	done := map[uint64]bool{}
	for _, dir := range dirs {
		st, _, err := FileStat(dir)
		if err != nil {
			return err
		}
		if done[st.Dev] {
			continue
		}
		done[st.Dev] = true
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(syncDisk(f), f.Close()); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	return nil
}
