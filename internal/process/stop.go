package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// Context returns a context that ends when this process is told to stop by SIGINT,
// SIGTERM or SIGHUP. A second signal kills the programs that [Run] runs and ends the
// process at once, with exit code 1.
//
// A program that was started by mage as its magefile is also told to stop by the
// death of mage, or of the go command that had started that: mage hands on no
// signal, so that to stop it would otherwise leave this process running.
//
// A SIGHUP that was ignored when the program began stays ignored, so that nohup
// works. Call stop when the work is done; until then the signals are handled
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
					if time.Since(told) > SameSignal {
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
	// SameSignal is within which time signals are one: timeout(1) sends to its
	// child and then to the child's group, and a shell to its jobs what they have
	// got from the terminal. People need longer to press a key twice.
	SameSignal = 200 * time.Millisecond
	// forceOrphan is twice what mage gives a target after an interrupt.
	forceOrphan = 10 * time.Second
)

// stopped is why the work was stopped. It is context.Canceled to those who ask.
type stopped struct{ why string }

func (s stopped) Error() string { return s.why }
func (s stopped) Unwrap() error { return context.Canceled }

// Why is the cause of the end of a context in words: mage, which cancels
// its own at an interrupt, has none.
func Why(ctx context.Context) error {
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
