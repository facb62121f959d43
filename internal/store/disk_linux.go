package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// clone makes dst share the blocks of src until one of them is written to.
func clone(dst, src *os.File) bool {
	return unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) == nil
}

// syncDisk writes out the file system that holds the directory.
func syncDisk(dir *os.File) error { return unix.Syncfs(int(dir.Fd())) }
