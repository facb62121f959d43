package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Context returns the context to build with in a program: it ends when the
// program is told to stop by SIGINT, SIGTERM or SIGHUP. Then nothing more is
// started, programs of steps are told to end, what has been done is recorded,
// and Build returns. A second signal kills these programs and ends the process
// at once, with exit code 1; nothing that was recorded is lost by that, either.
//
// A program that was started by mage as its magefile is also told to stop by the
// death of mage, or of the go command that had started that: mage hands on no
// signal, so that to stop it would otherwise leave the build running.
//
// A SIGHUP that was ignored when the program began stays ignored, so that nohup
// works. Call stop when the build is done; until then the signals are handled
// here alone.
func Context(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	signals := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !nohup {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, cancel := context.WithCancelCause(parent)
	got := make(chan os.Signal, 2)
	signal.Notify(got, signals...)
	done := make(chan struct{})
	go func() {
		var gone <-chan time.Time
		if startedByMage() {
			ticker := time.NewTicker(lookForParent)
			defer ticker.Stop()
			gone = ticker.C
		}
		var force <-chan time.Time
		var told time.Time
		for {
			select {
			case <-done:
				return
			case sig := <-got:
				name := signalName(sig)
				if !told.IsZero() {
					if time.Since(told) > sameSignal {
						stopAtOnce("a second signal, " + name)
					}
					continue
				}
				told = time.Now()
				cancel(stopped{"it got " + name})
				// Mage ends the program at a second SIGINT, whatever still runs:
				// from now on signals are not for it any more. (Reset would do,
				// but between it and Notify the same signal sent twice kills.)
				signal.Ignore(signals...)
				signal.Notify(got, signals...)
			case <-gone:
				if born.alive() {
					continue
				}
				told, gone = time.Now(), nil
				cancel(stopped{"mage, which had started it, is gone"})
				force = time.After(forceOrphan) // nobody is there to send a second signal
			case <-force:
				stopAtOnce("mage is gone, and steps did not end within " + forceOrphan.String())
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(got)
		close(done)
		cancel(context.Canceled)
	})
}

const (
	// lookForParent is how often it is asked whether mage is still there: soon
	// enough for people, and nothing to the processor.
	lookForParent = 250 * time.Millisecond
	// sameSignal is within which time signals are one: timeout(1) sends to its
	// child and then to the child's group, and a shell to its jobs what they have
	// got from the terminal. People need longer to press a key twice.
	sameSignal = 200 * time.Millisecond
	// forceOrphan is twice what mage gives a target after an interrupt.
	forceOrphan = 10 * time.Second
)

// stopped is why a build was stopped. It is context.Canceled to those who ask.
type stopped struct{ why string }

func (s stopped) Error() string { return s.why }
func (s stopped) Unwrap() error { return context.Canceled }

// whyStopped is the cause of the end of a context in words: mage, which cancels
// its own at an interrupt, has none.
func whyStopped(ctx context.Context) error {
	if cause := context.Cause(ctx); cause != context.Canceled { //nolint:errorlint // that value and no other
		return cause
	}
	return stopped{"it was interrupted"}
}

func signalName(sig os.Signal) string {
	switch sig {
	case syscall.SIGINT:
		return "SIGINT"
	case syscall.SIGTERM:
		return "SIGTERM"
	}
	return "SIGHUP"
}

// stopAtOnce ends the process, and before it what it has started.
func stopAtOnce(why string) {
	allGroups.kill()
	fmt.Fprintf(os.Stderr, "stopped at once: %s\n", why)
	os.Exit(1)
}

// groups are the process groups of programs that run. Go kills none of them when
// the process ends.
type groups struct {
	mu   sync.RWMutex
	all  map[*processes]bool
	list sync.Mutex // of all
}

var allGroups = groups{all: map[*processes]bool{}}

// start starts a program and notes its group: a program that is started while
// all are killed is killed, too, or is not started any more.
func (g *groups) start(start func() (*processes, error)) (*processes, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	p, err := start()
	if err == nil {
		g.list.Lock()
		g.all[p] = true
		g.list.Unlock()
	}
	return p, err
}

func (g *groups) ended(p *processes) {
	g.list.Lock()
	defer g.list.Unlock()
	delete(g.all, p)
}

// kill kills what runs and lets nothing be started from now on.
func (g *groups) kill() {
	g.mu.Lock()
	g.list.Lock()
	defer g.list.Unlock()
	for p := range g.all {
		p.signal(syscall.SIGKILL)
	}
}

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
