package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
)

// asideDir is where a store keeps what it found in itself and cannot use: for
// people to look at, and for nothing else.
const asideDir = "damaged"

func (b *Blobs) aside() string { return filepath.Join(filepath.Dir(b.dir), asideDir) }

// setAside moves something out of the way, to the directory.
func setAside(path, to string, perm fs.FileMode) error {
	if _, mode, err := Lstat(to); err == nil && !mode.IsDir() {
		if err := os.Remove(to); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(to, perm); err != nil {
		return err
	}
	dst := filepath.Join(to, filepath.Base(path))
	for i := 2; ; i++ {
		if _, err := os.Lstat(dst); errors.Is(err, fs.ErrNotExist) {
			return os.Rename(path, dst)
		} else if err != nil {
			return err
		}
		dst = filepath.Join(to, filepath.Base(path)+"-"+strconv.Itoa(i))
	}
}

// noFile says that something is there which is neither a file nor a link to
// one.
func noFile(path string) bool {
	if _, _, err := Lstat(path); err != nil {
		return false
	}
	_, mode, err := FileStat(path)
	return err == nil && !mode.IsRegular() || err != nil && !errors.Is(err, fs.ErrPermission)
}

// mending lets one goroutine at a time move things out of the way: between a
// look at a damaged place and its mend another could have mended it, and a good
// directory would be moved.
var mending sync.Mutex

// makeDir makes a directory of the store with its parent, moving aside what is
// in their place and is none. A link to a directory is one: somebody may keep
// the contents on another disk.
func makeDir(dir string, perm fs.FileMode, aside string) error {
	if err := os.MkdirAll(dir, perm); err == nil {
		return nil
	}
	mending.Lock()
	defer mending.Unlock()
	for _, path := range [...]string{filepath.Dir(dir), dir} {
		// One look decides: what it saw to be no directory stays, because nobody
		// else moves it; what was not there another may make at any time.
		_, mode, err := Lstat(path)
		if err != nil || mode.IsDir() {
			continue
		}
		if mode&fs.ModeSymlink != 0 {
			if _, to, err := FileStat(path); err == nil && to.IsDir() {
				continue
			}
		}
		if err := setAside(path, aside, perm); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, perm)
}

// dirPerm is what a directory of files with these permissions may be accessed
// by.
func dirPerm(file fs.FileMode) fs.FileMode { return file | file>>2&0o111 }
