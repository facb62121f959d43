package process

import (
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// What the process was born with, asked as early as can be.
var (
	nohup = signal.Ignored(syscall.SIGHUP)
	born  = family()
)

// ancestry is the parent of this process and, if that was started by the go
// command, the parent of the parent.
type ancestry struct{ parent, grandparent int }

func family() ancestry {
	a := ancestry{parent: os.Getppid()}
	// The names of others are known on Linux only. Elsewhere the go command
	// counts for nothing: a shell that ends is no reason to stop.
	if up, _, err := parentOf(a.parent); err == nil {
		if _, name, err := parentOf(up); err == nil && name == "go" {
			a.grandparent = up
		}
	}
	return a
}

// alive says whether the parents are those of the beginning.
func (a ancestry) alive() bool {
	if os.Getppid() != a.parent {
		return false
	}
	if a.parent == 1 {
		// It was too late to see the parent go, unless mage is the first process
		// of a container.
		_, name, err := parentOf(1)
		return err != nil || name == "mage" || name == "go"
	}
	if a.grandparent == 0 {
		return true
	}
	up, _, err := parentOf(a.parent)
	return errors.Is(err, errUnknownParent) || err == nil && up == a.grandparent
}

var errUnknownParent = errors.New("the parents of other processes are not known here")

// startedByMage says whether this program is one that mage has compiled for
// itself: mage starts these from its cache and lets nobody know.
func startedByMage() bool {
	exe, err := os.Executable()
	if err != nil {
		return false
	}
	cache := os.Getenv("MAGEFILE_CACHE")
	if cache == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return false
		}
		cache = filepath.Join(home, ".magefile")
	}
	is, err := os.Stat(filepath.Dir(exe))
	if err != nil {
		return false
	}
	want, err := os.Stat(cache)
	return err == nil && os.SameFile(is, want)
}
