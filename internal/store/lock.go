package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Lock is the right to write to a store. It is the kernel's lock on a file, so
// it ends with the process and is never left behind.
type Lock struct {
	f      *flock.Flock
	holder string
}

// Holder is who has a lock.
type Holder struct {
	PID     int       `json:"pid"`
	Command string    `json:"command"`
	Since   time.Time `json:"since"`
}

// String describes the holder for people.
func (h Holder) String() string {
	if h.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("process %d (%s), since %s", h.PID, h.Command, h.Since.UTC().Format("2006-01-02 15:04:05 UTC"))
}

// LockedError says that somebody else writes to the store.
type LockedError struct{ Holder Holder }

func (e *LockedError) Error() string {
	return fmt.Sprintf("another build is running here: %s; wait for it or stop it", e.Holder)
}

// lockPoll is how often a waiting build looks again: unnoticeable to people,
// and nothing to the processor.
const lockPoll = 50 * time.Millisecond

// glances is how often a lock that is taken is tried again at once: it may only
// be that somebody looks, see Holding.
const glances = 3

// Holding says who writes to a store now. The answer is the kernel's, so it
// does not speak of a process that has gone; the holder is zero if it has not
// said yet who it is. It has the lock for readers for an instant.
func Holding(dir string) (h Holder, held bool, err error) {
	path := filepath.Join(dir, "lock")
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return Holder{}, false, nil
		}
		return Holder{}, false, fmt.Errorf("lock of %s: %w", dir, err)
	}
	l := &Lock{f: flock.New(path, flock.SetFlag(os.O_RDONLY)), holder: filepath.Join(dir, "lock.json")}
	free, err := l.f.TryRLock()
	if err != nil {
		return Holder{}, false, errors.Join(fmt.Errorf("lock of %s: %w", dir, err), l.f.Close())
	}
	if !free {
		h = l.who()
	}
	return h, !free, l.f.Close()
}

// Acquire takes the lock of a store. If another process has it, waiting is
// called once and says whether to wait; if not, the error is a *LockedError.
func Acquire(ctx context.Context, dir string, perm Perm, me Holder, waiting func(Holder) bool) (*Lock, error) {
	l := &Lock{
		f:      flock.New(filepath.Join(dir, "lock"), flock.SetPermissions(perm.File)),
		holder: filepath.Join(dir, "lock.json"),
	}
	ok, err := l.f.TryLock()
	for i := 0; i < glances && err == nil && !ok; i++ {
		time.Sleep(time.Millisecond)
		ok, err = l.f.TryLock()
	}
	if err == nil && !ok {
		holder := l.who()
		if !waiting(holder) {
			return nil, errors.Join(&LockedError{holder}, l.f.Close())
		}
		_, err = l.f.TryLockContext(ctx, lockPoll)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock of %s: %w", dir, err), l.f.Close())
	}
	b, err := json.Marshal(me)
	if err == nil {
		err = os.WriteFile(l.holder, append(b, '\n'), perm.File)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock of %s: %w", dir, err), l.f.Close())
	}
	return l, nil
}

// who reads who holds the lock. The answer is for people only: it may be
// missing or be that of the last holder.
func (l *Lock) who() Holder {
	var h Holder
	b, err := os.ReadFile(l.holder)
	if err != nil || json.Unmarshal(b, &h) != nil {
		return Holder{}
	}
	return h
}

// Release gives the lock back.
func (l *Lock) Release() error {
	return errors.Join(removeIfThere(l.holder), l.f.Close())
}
