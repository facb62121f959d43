package build

import (
	"context"
	"errors"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/foundation-plr/pipeline/internal/consoletest"
	"github.com/google/go-cmp/cmp"
)

// onTerminal makes a real terminal the standard output of a space's builds. What
// is written to it arrives in the window.
func onTerminal(t *testing.T, s *space) *consoletest.Terminal {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	w := consoletest.New(t, 120, 20)
	setSize(t, theirs, w)
	s.opt.Stdout = theirs
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Reading ends with an error when the other side has been closed.
		_, _ = io.Copy(w, ours)
	}()
	t.Cleanup(func() {
		theirs.Close()
		ours.Close()
		<-done
	})
	return w
}

func setSize(t *testing.T, f *os.File, w *consoletest.Terminal) {
	t.Helper()
	width, height := w.Size()
	if err := pty.Setsize(f, &pty.Winsize{Cols: uint16(width), Rows: uint16(height)}); err != nil {
		t.Fatal(err)
	}
}

var times = regexp.MustCompile(`[0-9.]+ s\b`)

// ends compares what is left in the window, but for times.
func ends(t *testing.T, w *consoletest.Terminal, want string) {
	t.Helper()
	w.Await(`[0-9]+ fresh, [0-9]+ ran, [0-9]+ unchanged, .* in [0-9.]+ s\n`)
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), times.ReplaceAllString(w.Text(), "N s")); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
}

func TestBuildOnATerminal(t *testing.T) {
	s := newSpace(t)
	w := onTerminal(t, s)
	s.write("private/in", "1")
	slow, secret := make(chan struct{}), make(chan struct{}) // closed to let them end
	s.steps = []Step{
		{Name: "slow", Outputs: []Output{Out("work", "slow")}, Run: func(ctx context.Context, t *Task) error {
			t.Log.Info("half way")
			<-slow
			return concat(ctx, t)
		}},
		{Name: "secret", Inputs: []Input{File("private", "in")}, Outputs: []Output{Out("private", "out")}, Run: func(ctx context.Context, t *Task) error {
			t.Log.Info("name of a patient")
			<-secret
			return concat(ctx, t)
		}},
		{
			Name: "told", Inputs: []Input{File("work", "slow")}, Outputs: []Output{Out("work", "told")},
			Command: []string{"sh", "-c", "echo why >&2; test -e {out}"},
		},
	}
	go func() {
		defer close(slow)
		defer func() {
			close(secret)
			w.Await(`^ran +secret`) // before slow is let go, so that the order is known
		}()
		if !w.Await(`^\n  secret +\d+ s\n  slow +\d+ s  half way\n\[>? +\] 0 of 3: .* \d+ s\n$`) {
			return
		}
		w.Resize(30, 20)
		setSize(t, s.opt.Stdout.(*os.File), w)
		w.Await(`^\n  secret +\d+ s\n  slow +\d+ s  half…?[^\n]*\n0 of 3: [^\n]*\n$`)
		w.Resize(120, 20)
		setSize(t, s.opt.Stdout.(*os.File), w)
		w.Await(`\] 0 of 3: .* \d+ s\n$`)
	}()
	_, err := s.graph().Build(t.Context())
	if err == nil || err.Error() != "1 step failed: told" {
		t.Errorf("error %v", err)
	}
	w.Await(` in [0-9.]+ s\n$`)
	lines := strings.Split(times.ReplaceAllString(w.Text(), "N s"), "\n")
	want := []string{
		"ran      secret N s",
		"ran      slow N s",
		"failed   told: program sh: exit status 1: why",
		"         | run argv=sh -c echo why >&2; test -e STAGED",
		"         | why",
		"         log: LOG",
		"0 fresh, 2 ran, 0 unchanged, 1 failed in N s", "",
	}
	for i, re := range map[int]string{3: `(test -e) .*`, 5: `(log:) .*`} {
		if i < len(lines) {
			lines[i] = regexp.MustCompile(re).ReplaceAllString(lines[i], "$1 "+map[int]string{3: "STAGED", 5: "LOG"}[i])
		}
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
	if strings.Contains(w.Everything(), "patient") {
		t.Error("what a private step said was shown")
	}
}

func TestNothingToDoOnATerminal(t *testing.T) {
	s := newSpace(t)
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "a")}, Run: concat}}
	s.expect("ran a")
	w := onTerminal(t, s)
	s.expect("")
	ends(t, w, "1 fresh, 0 ran, 0 unchanged, 0 failed in N s\n")
	if all := w.Everything(); strings.Contains(all, "\x1b") {
		t.Errorf("a build that does nothing printed %q", all)
	}
}

func TestInterruptOnATerminal(t *testing.T) {
	s := newSpace(t)
	w := onTerminal(t, s)
	s.steps = []Step{{Name: "slow", Outputs: []Output{Out("work", "slow")}, Run: func(ctx context.Context, t *Task) error {
		t.Log.Info("half way")
		<-ctx.Done()
		return ctx.Err()
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		w.Await(`half way`)
	}()
	if _, err := s.graph().Build(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	w.Await(` in [0-9.]+ s\n$`)
	got := regexp.MustCompile(`(?m)^         log: .*\n`).ReplaceAllString(w.Text(), "")
	// Whether the step or the console hears of it first is open.
	got = strings.Replace(got, "stopping: waiting for 1 step to end: slow\n", "", 1)
	want := "failed   slow: context canceled\n0 fresh, 0 ran, 0 unchanged, 1 failed in N s\n"
	if diff := cmp.Diff(want, times.ReplaceAllString(got, "N s")); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
}

func TestPlainLinesOnATerminal(t *testing.T) {
	for name, set := range map[string]func(*Options){
		"plain":  func(o *Options) { o.Plain = true },
		"GitHub": func(o *Options) { o.GitHub = true },
		"JSON":   func(o *Options) { o.LogFormat = "json" },
	} {
		s := newSpace(t)
		w := onTerminal(t, s)
		set(&s.opt)
		s.steps = []Step{{Name: "slow", Outputs: []Output{Out("work", "slow")}, Run: func(ctx context.Context, t *Task) error {
			time.Sleep(300 * time.Millisecond) // a display would be drawn thrice
			return concat(ctx, t)
		}}}
		s.expect("ran slow")
		w.Await(` in [0-9.]+ s\b`)
		if all := w.Everything(); strings.Contains(all, "\x1b") {
			t.Errorf("%s: printed %q", name, all)
		}
	}
}
