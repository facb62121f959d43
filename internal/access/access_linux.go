package access

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Log is what has happened in the directories that it watches since it was last
// asked.
type Log struct {
	fd   int // an inotify instance
	ours func(name string) bool
	stop chan struct{}
	done chan struct{}

	mu    sync.Mutex
	dirs  map[int32]string // by watch
	noted []Event
	err   error
}

// accessMask: that a directory was listed shows in reads of it, that a file was
// read in its being opened, because a mapped file is never read.
const accessMask = unix.IN_OPEN | unix.IN_ACCESS | unix.IN_CREATE | unix.IN_MOVED_TO | unix.IN_CLOSE_WRITE | unix.IN_ONLYDIR

// drainEvery is short enough that the kernel's queue, of 16,384 events unless
// the machine says otherwise, does not overflow meanwhile.
const drainEvery = 5 * time.Millisecond

// Open returns a log that watches nothing yet. What is made under a name that is
// ours is not noted.
func Open(ours func(name string) bool) (a *Log, err error) {
	a = &Log{ours: ours}
	if a.fd, err = unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC); err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	a.dirs = map[int32]string{}
	a.stop, a.done = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(a.done)
		tick := time.NewTicker(drainEvery)
		defer tick.Stop()
		for {
			select {
			case <-a.stop:
				return
			case <-tick.C:
				a.mu.Lock()
				a.drain()
				a.mu.Unlock()
			}
		}
	}()
	return a, nil
}

// Close ends the log.
func (a *Log) Close() error {
	close(a.stop)
	<-a.done
	return unix.Close(a.fd)
}

// Watch listens to a directory; again, if it is there already.
func (a *Log) Watch(dir string) error {
	wd, err := unix.InotifyAddWatch(a.fd, dir, accessMask)
	switch {
	case errors.Is(err, unix.ENOSPC):
		return errors.New("there are more directories than the kernel watches at once: raise fs.inotify.max_user_watches")
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	a.mu.Lock()
	a.dirs[int32(wd)] = dir
	a.mu.Unlock()
	return nil
}

// Take returns what has happened since the last call. The kernel queues an
// event before the call that caused it returns, so nothing is missing.
func (a *Log) Take() ([]Event, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.drain()
	noted, err := a.noted, a.err
	a.noted, a.err = nil, nil
	return noted, err
}

// drain reads the queue until it is empty.
func (a *Log) drain() {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(a.fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return
		case err != nil:
			a.err = fmt.Errorf("inotify: %w", err)
			return
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd := int32(binary.NativeEndian.Uint32(b))
			mask := binary.NativeEndian.Uint32(b[4:])
			length := int(binary.NativeEndian.Uint32(b[12:]))
			name := strings.TrimRight(string(b[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+length]), "\x00")
			b = b[unix.SizeofInotifyEvent+length:]
			a.note(wd, mask, name)
		}
	}
}

func (a *Log) note(wd int32, mask uint32, name string) {
	switch {
	case mask&unix.IN_Q_OVERFLOW != 0:
		a.err = errors.New("more happened at once than the kernel can note: raise fs.inotify.max_queued_events")
		return
	case mask&unix.IN_IGNORED != 0:
		delete(a.dirs, wd)
		return
	}
	dir, known := a.dirs[wd]
	if !known {
		return
	}
	path := filepath.Join(dir, name)
	add := func(k Kind) { a.noted = append(a.noted, Event{path, k}) }
	isDir := mask&unix.IN_ISDIR != 0
	switch {
	case mask&(unix.IN_CREATE|unix.IN_MOVED_TO) != 0:
		if !a.ours(name) {
			add(Created)
		}
	case mask&unix.IN_CLOSE_WRITE != 0:
		add(Written)
	case mask&unix.IN_OPEN != 0 && !isDir:
		add(Opened)
	case mask&unix.IN_ACCESS != 0 && isDir && name == "": // a parent that is watched tells the same
		add(Listed)
	}
}
