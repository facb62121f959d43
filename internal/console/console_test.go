package console

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/consoletest"
	"github.com/google/go-cmp/cmp"
)

// watched is a console that writes to a terminal and whose clock is moved by
// hand. Its own goroutine never comes to draw: a tick is a call.
type watched struct {
	*Console
	term *consoletest.Terminal
	time time.Time
}

func watch(t *testing.T, width, height int, s Settings) *watched {
	w := &watched{term: consoletest.New(t, width, height), time: time.Unix(1e9, 0)}
	s.Out, s.Now = w.term, time.Now
	if s.Redact == nil {
		s.Redact = func(text string) string { return text }
	}
	w.Console = New(s)
	w.display = &display{w: w.term, size: w.term.Size}
	w.now = func() time.Time { return w.time }
	w.begun = w.time
	w.quit = make(chan struct{}) // as if it ran
	return w
}

func (w *watched) pass(d time.Duration) { w.time = w.time.Add(d) }

// start starts a step and returns its logger.
func (w *watched) start(name string, private bool) *slog.Logger {
	w.Began(name, 20, func() Outlook { return Outlook{Left: 30 * time.Second} })
	return slog.New(w.Listen(name, private, slog.NewTextHandler(io.Discard, nil)))
}

func (w *watched) stop(name, state, reason string) {
	w.Ended(End{Step: name, State: state, Reason: reason, Elapsed: 1500 * time.Millisecond})
}

func (w *watched) shows(t *testing.T, want string) {
	t.Helper()
	w.tick()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), w.term.Text()); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
}

func TestDisplay(t *testing.T) {
	w := watch(t, 80, 24, Settings{})
	w.Note("before")
	w.stop("old", Fresh, "")
	log := w.start("fit:a", false)
	w.start("fit:longer", true).Info("name of a patient")
	log.Info("epoch", "n", 1)
	w.pass(2 * time.Second)
	w.shows(t, `
before

  fit:a         2 s  epoch n=1
  fit:longer    2 s
[=>                   ] 1 of 20: 1 fresh, 0 ran, 0 failed; 2 s, about 28 s left
`)
	log.With("stream", "stderr").Warn("\x1b[31m50%\x1b[0m\tdone\a")
	w.stop("fit:longer", Ran, "")
	w.shows(t, `
before
ran      fit:longer 1.5 s

  fit:a    2 s  warn: 50% done\u0007
[==>                  ] 2 of 20: 1 fresh, 1 ran, 0 failed; 2 s, about 30 s left
`)
	// What stays the same is not written again.
	writes := w.term.Writes()
	w.shows(t, w.term.Text())
	if w.term.Writes() != writes {
		t.Error("the same frame was written twice")
	}
	// A failure comes with what was said last, and the bar does not wait for
	// what took longer than it was to.
	w.pass(2 * time.Minute)
	w.stop("fit:a", Failed, "no convergence")
	w.start("fit:b", false)
	w.Console.asked = w.time.Add(-time.Hour)
	w.shows(t, `
before
ran      fit:longer 1.5 s
failed   fit:a: no convergence
         | epoch n=1
         | warn: 50% done\u0007

  fit:b    0 s
[====>                         ] 3 of 20: 1 fresh, 1 ran, 1 failed; 2m2s
`)
	// At the end nothing is left of it.
	w.Stop()
	w.Note("summary")
	w.shows(t, `
before
ran      fit:longer 1.5 s
failed   fit:a: no convergence
         | epoch n=1
         | warn: 50% done\u0007
summary
`)
	if strings.Contains(w.term.Everything(), "patient") {
		t.Error("a private step was heard")
	}
}

func TestDisplayInSmallWindows(t *testing.T) {
	w := watch(t, 38, 7, Settings{})
	for i := range 12 {
		w.start(fmt.Sprintf("a-step-with-a-long-name-%d", i), false).Info("日本語日本語日本語日本語日本語日本語")
	}
	w.shows(t, `

  a-step-with-a-lon…    0 s  日本語日本語日…
  a-step-with-a-lon…    0 s  日本語日本語日…
  a-step-with-a-lon…    0 s  日本語日本語日…
  and 9 more
0 of 20: 0 fresh, 0 ran, 0 failed; 0…
`)
	// Made narrower, the window breaks lines; none of them stays.
	w.term.Resize(20, 7)
	w.shows(t, `

  a-step-w…    0 s
  a-step-w…    0 s
  a-step-w…    0 s
  and 9 more
0 of 20: 0 fresh, …
`)
	// Where there is no room there is no display, but lines there are.
	w.term.Resize(20, 3)
	w.stop("a-step-with-a-long-name-0", Restored, "")
	w.shows(t, "restored a-step-with\n-a-long-name-0 1.5 s\n")
	w.stop("a-step-with-a-long-name-1", Ran, "")
	w.term.Resize(100, 40)
	w.tick()
	if n := strings.Count(w.term.Text(), "\n"); n != 4+1+maxNamed+1 {
		t.Errorf("%d lines:\n%s", n, w.term.Text())
	}
	w.Stop()
	w.shows(t, "restored a-step-with\n-a-long-name-0 1.5 s\nran      a-step-with\n-a-long-name-1 1.5 s\n")
}

func TestInterruptedDisplay(t *testing.T) {
	w := watch(t, 80, 24, Settings{})
	log := w.start("slow", false)
	log.Info("half way")
	w.tick()
	// The terminal and mage write where the cursor is.
	fmt.Fprint(w.term, "^Ccancelling mage targets\r\n")
	w.stopped = func() bool { return true }
	w.interrupted()
	want := "^Ccancelling mage targets\nstopping: waiting for 1 step to end: slow\n"
	w.shows(t, want)
	w.stop("slow", Failed, "context canceled")
	w.Stop()
	w.shows(t, want+"failed   slow: context canceled\n")
}

func TestNothingIsShownBeforeAStepRuns(t *testing.T) {
	w := watch(t, 80, 24, Settings{})
	w.quit = nil
	before := runtime.NumGoroutine()
	w.stop("a", Fresh, "")
	w.Stop()
	w.interrupted()
	if w.term.Everything() != "" || runtime.NumGoroutine() > before {
		t.Errorf("a fresh step costs %q and %d goroutines", w.term.Everything(), runtime.NumGoroutine()-before)
	}
}

func TestRedactedDisplay(t *testing.T) {
	w := watch(t, 80, 24, Settings{Redact: func(s string) string { return strings.ReplaceAll(s, "canary77", "[code]") }})
	log := w.start("a", false)
	// Neither colours nor where a line is cut may hide a code.
	log.Info("canary\x1b[1m77")
	w.tick()
	log.Info(strings.Repeat("x", 60) + " canary77")
	w.tick()
	w.stop("a", Failed, "canary77 is not there")
	w.Stop()
	if all := w.term.Everything(); strings.Contains(all, "canary") || !strings.Contains(all, "[code]") {
		t.Errorf("printed %q", all)
	}
}

func TestSilenceIsBroken(t *testing.T) {
	w := watch(t, 80, 24, Settings{})
	w.display = nil
	w.start("a", false)
	w.pass(40 * time.Second)
	w.start("b", false)
	if w.tick(); w.term.Everything() != "" {
		t.Errorf("printed %q", w.term.Everything())
	}
	w.pass(20 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s; 0 of 20 steps, about 10 s left\n")
	w.pass(59 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s; 0 of 20 steps, about 10 s left\n")
	w.stop("b", Ran, "")
	w.pass(59 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s; 0 of 20 steps, about 10 s left\nran      b 1.5 s\n")
	w.pass(time.Second)
	w.shows(t, "running  a 60 s, b 20 s; 0 of 20 steps, about 10 s left\nran      b 1.5 s\nrunning  a 2m59s; 1 of 20 steps\n")
	w.Stop()
}

func TestListener(t *testing.T) {
	var heard []string
	var file bytes.Buffer
	log := slog.New(listener{Handler: slog.NewTextHandler(&file, nil), hear: func(s string) { heard = append(heard, s) }})
	log.Debug("quiet")
	log.With("a", 1).WithGroup("g").With("b", 2).Info("said", "c", "x y", "stack", "one\ntwo")
	log.Error("bad", slog.Group("h", "d", 3), attrStream, "stdout")
	want := []string{"said a=1 g.b=2 g.c=x y", "error: bad h=[d=3]"}
	if diff := cmp.Diff(want, heard); diff != "" {
		t.Errorf("heard (-want +got):\n%s", diff)
	}
	if got := file.String(); !strings.Contains(got, `a=1 g.b=2 g.c="x y"`) || !strings.Contains(got, "h.d=3 stream=stdout") {
		t.Errorf("logged %s", got)
	}
}

// TestPace: how many steps a second there are is said of those that had something
// to do, since the first of them, once it means something.
func TestPace(t *testing.T) {
	w := watch(t, 100, 24, Settings{})
	w.stop("old", Fresh, "")
	w.pass(time.Hour)
	run := func(took time.Duration, want string) {
		t.Helper()
		w.start("a", false)
		w.pass(took)
		w.stop("a", Ran, "")
		if got := w.pace(); got != want {
			t.Errorf("pace %q, want %q", got, want)
		}
	}
	run(500*time.Millisecond, "")
	run(500*time.Millisecond, "")
	run(time.Second, ", 1.5 a second")
	run(2*time.Minute, ", 2.0 a minute")
}

// TestDisplayInTheBackground: nothing is drawn into what somebody types.
func TestDisplayInTheBackground(t *testing.T) {
	w := watch(t, 60, 24, Settings{})
	w.start("a", false)
	w.tick()
	w.display.size = func() (width, height int) { return 0, 0 }
	before := len(w.term.Everything())
	w.tick()
	w.stop("a", Ran, "")
	w.start("b", false)
	w.tick()
	w.Stop()
	if got := w.term.Everything()[before:]; got != "ran      a 1.5 s\n" {
		t.Errorf("printed %q", got)
	}
}

// TestProgressOfPrograms: a program that writes over its line is seen to get on.
func TestProgressOfPrograms(t *testing.T) {
	w := watch(t, 60, 24, Settings{})
	log := w.start("a", false)
	out := &Lines{Log: log, Stream: "stderr"}
	for _, c := range []struct{ print, shown string }{
		{"begin\n", "begin"},
		{"\r10%", "begin"}, // it may be the beginning of 100%
		{"\r20%\r30", "20%"},
		{"%", "20%"},
		{"\r40%\r", "40%"},
		{"done\n", "done"},
		{"more", "done"},
	} {
		if _, err := io.WriteString(out, c.print); err != nil {
			t.Fatal(err)
		}
		w.shows(t, "\n\n  a    0 s  "+c.shown+"\n0 of 20: 0 fresh, 0 ran, 0 failed; 0 s, about 30 s left\n")
	}
}

func TestWithoutControls(t *testing.T) {
	for in, want := range map[string]string{
		"plain\nlines":                   "plain\nlines",
		"a\x1b[1;31mred\x1b[0m\x1b[2Kb":  "aredb",
		"\x1b]0;title\aa\x1b]8;;u\x1b\\": "a",
		"10%\r20%\r\nend\t.":             "10% 20%\nend .",
		"a\x1b(Bb\x1b7\x00\u009b2J":      "ab2J",
		"cut \x1b[":                      "cut ",
	} {
		if got := withoutControls(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
}

// TestWindowSize: what has no size is no terminal, whatever kind of device it is.
func TestWindowSize(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if windowSize(null) != nil || windowSize(new(bytes.Buffer)) != nil {
		t.Error("a window where there is none")
	}
}

func TestLines(t *testing.T) {
	var b strings.Builder
	log := slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}}))
	l := &Lines{Log: log, Stream: "stdout"}
	long := strings.Repeat("y", 2*maxLine+5)
	for _, part := range []string{"one\r\ntw", "o\n\n\nbad\xff\n", long + "\n", long[:7], long[:maxLine], "end"} {
		if n, err := io.WriteString(l, part); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
	}
	l.Flush()
	got := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	want := []string{"msg=one", "msg=two", `msg="bad�"`, "msg=" + long[:maxLine], "msg=" + long[:maxLine], "msg=yyyyy", "msg=" + long[:maxLine], "msg=yyyyyyyend"}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		for i := range got {
			t.Logf("%d: %.60s (%d)", i, got[i], len(got[i]))
		}
		t.Error("the log is not as it should be")
	}
}
