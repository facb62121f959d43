package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// watched is a console that writes to a terminal and whose clock is moved by
// hand. Its own goroutine never comes to draw: a tick is a call.
type watched struct {
	*console
	term *terminal
	time time.Time
}

func watch(t *testing.T, width, height int, o Options) *watched {
	w := &watched{term: newTerminal(t, width, height), time: time.Unix(1e9, 0)}
	o.Stdout = w.term
	o.fill()
	w.console = newConsole(&o)
	w.display = &display{w: w.term, size: w.term.size}
	w.now = func() time.Time { return w.time }
	w.begun = w.time
	w.quit = make(chan struct{}) // as if it ran
	return w
}

func (w *watched) pass(d time.Duration) { w.time = w.time.Add(d) }

// start starts a step and returns its logger.
func (w *watched) start(name string, private bool) *slog.Logger {
	n := &node{Step: &Step{Name: name}, secret: private}
	w.began(n, 20, func() outlook { return outlook{left: 30 * time.Second} })
	return slog.New(w.listen(n, slog.NewTextHandler(io.Discard, nil)))
}

func (w *watched) stop(name string, state State, reason string) {
	w.step(&StepResult{Name: name, State: state, Reason: reason, Elapsed: 1500 * time.Millisecond})
}

func (w *watched) shows(t *testing.T, want string) {
	t.Helper()
	w.tick()
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), w.term.text()); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
}

func TestDisplay(t *testing.T) {
	w := watch(t, 80, 24, Options{})
	w.note("before")
	w.stop("old", StateFresh, "")
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
	w.stop("fit:longer", StateRan, "")
	w.shows(t, `
before
ran      fit:longer 1.5 s

  fit:a    2 s  warn: 50% done
[==>                  ] 2 of 20: 1 fresh, 1 ran, 0 failed; 2 s, about 30 s left
`)
	// What stays the same is not written again.
	writes := w.term.writes
	w.shows(t, w.term.text())
	if w.term.writes != writes {
		t.Error("the same frame was written twice")
	}
	// A failure comes with what was said last, and the bar does not wait for
	// what took longer than it was to.
	w.pass(2 * time.Minute)
	w.stop("fit:a", StateFailed, "no convergence")
	w.start("fit:b", false)
	w.console.asked = w.time.Add(-time.Hour)
	w.shows(t, `
before
ran      fit:longer 1.5 s
failed   fit:a: no convergence
         | epoch n=1
         | warn: 50% done

  fit:b    0 s
[====>                         ] 3 of 20: 1 fresh, 1 ran, 1 failed; 2m2s
`)
	// At the end nothing is left of it.
	w.end()
	w.note("summary")
	w.shows(t, `
before
ran      fit:longer 1.5 s
failed   fit:a: no convergence
         | epoch n=1
         | warn: 50% done
summary
`)
	if strings.Contains(w.term.everything(), "patient") {
		t.Error("a private step was heard")
	}
}

func TestDisplayInSmallWindows(t *testing.T) {
	w := watch(t, 38, 7, Options{})
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
	w.term.resize(20, 7)
	w.shows(t, `

  a-step-w…    0 s
  a-step-w…    0 s
  a-step-w…    0 s
  and 9 more
0 of 20: 0 fresh, …
`)
	// Where there is no room there is no display, but lines there are.
	w.term.resize(20, 3)
	w.stop("a-step-with-a-long-name-0", StateRestored, "")
	w.shows(t, "restored a-step-with\n-a-long-name-0 1.5 s\n")
	w.stop("a-step-with-a-long-name-1", StateRan, "")
	w.term.resize(100, 40)
	w.tick()
	if n := strings.Count(w.term.text(), "\n"); n != 4+1+maxNamed+1 {
		t.Errorf("%d lines:\n%s", n, w.term.text())
	}
	w.end()
	w.shows(t, "restored a-step-with\n-a-long-name-0 1.5 s\nran      a-step-with\n-a-long-name-1 1.5 s\n")
}

func TestInterruptedDisplay(t *testing.T) {
	w := watch(t, 80, 24, Options{})
	log := w.start("slow", false)
	log.Info("half way")
	w.tick()
	// The terminal and mage write where the cursor is.
	fmt.Fprint(w.term, "^Ccancelling mage targets\r\n")
	w.stopped = func() bool { return true }
	w.interrupted()
	want := "^Ccancelling mage targets\nstopping: waiting for 1 step to end: slow\n"
	w.shows(t, want)
	w.stop("slow", StateFailed, "context canceled")
	w.end()
	w.shows(t, want+"failed   slow: context canceled\n")
}

func TestNothingIsShownBeforeAStepRuns(t *testing.T) {
	s := newSpace(t)
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "a")}, Run: concat}}
	s.expect("ran a")
	w := watch(t, 80, 24, s.opt)
	w.quit = nil
	before := runtime.NumGoroutine()
	w.stop("a", StateFresh, "")
	w.end()
	w.interrupted()
	if w.term.everything() != "" || runtime.NumGoroutine() > before {
		t.Errorf("a fresh step costs %q and %d goroutines", w.term.everything(), runtime.NumGoroutine()-before)
	}
}

func TestRedactedDisplay(t *testing.T) {
	w := watch(t, 80, 24, Options{Redact: func(s string) string { return strings.ReplaceAll(s, "canary77", "[code]") }})
	log := w.start("a", false)
	// Neither colours nor where a line is cut may hide a code.
	log.Info("canary\x1b[1m77")
	w.tick()
	log.Info(strings.Repeat("x", 60) + " canary77")
	w.tick()
	w.stop("a", StateFailed, "canary77 is not there")
	w.end()
	if all := w.term.everything(); strings.Contains(all, "canary") || !strings.Contains(all, "[code]") {
		t.Errorf("printed %q", all)
	}
}

func TestSilenceIsBroken(t *testing.T) {
	w := watch(t, 80, 24, Options{})
	w.display = nil
	w.start("a", false)
	w.pass(40 * time.Second)
	w.start("b", false)
	if w.tick(); w.term.everything() != "" {
		t.Errorf("printed %q", w.term.everything())
	}
	w.pass(20 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s\n")
	w.pass(59 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s\n")
	w.stop("b", StateRan, "")
	w.pass(59 * time.Second)
	w.shows(t, "running  a 60 s, b 20 s\nran      b 1.5 s\n")
	w.pass(time.Second)
	w.shows(t, "running  a 60 s, b 20 s\nran      b 1.5 s\nrunning  a 2m59s\n")
	w.end()
}

func TestWorkflowCommands(t *testing.T) {
	s := newSpace(t)
	s.opt.GitHub = true
	s.write("private/in", "1")
	s.steps = []Step{
		{Name: "a:b", Outputs: []Output{Out("work", "a")}, Run: func(_ context.Context, t *Task) error {
			t.Log.Info("::set-output name=x::1")
			t.Log.Info("##[add-mask]x")
			return errors.New("one,\ntwo: 100%")
		}},
		{Name: "c", Inputs: []Input{File("private", "in")}, Run: func(_ context.Context, t *Task) error {
			t.Log.Info("patient")
			return errors.New("three")
		}},
		{Name: "d", Outputs: []Output{Out("work", "d")}, Run: concat},
	}
	s.opt.Jobs = 1
	s.fails("failed a:b; failed c; ran d", "three")
	got := strings.Split(s.out.String(), "\n")
	want := []string{
		"::error title=step a%3Ab failed::a:b: one,%0Atwo: 100%25",
		"::group::what a:b said last",
		"| ::set-output name=x::1",
		"## [add-mask]x",
		"::endgroup::",
		"log: .cache/",
		"::error title=step c failed::c: three",
		"log: private/",
		"ran      d ",
		"1 ran", "",
	}
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), s.out.String())
	}
	for i, line := range got[:len(got)-2] {
		if !strings.HasPrefix(line, want[i]) {
			t.Errorf("line %d is %q, want %q", i+1, line, want[i])
		}
	}
	// JSON lines are for another reader.
	s.opt.LogFormat = "json"
	s.fails("failed a:b; failed c", "three")
	if strings.Contains(s.out.String(), "::error") || strings.Contains(s.out.String(), "\n::") {
		t.Errorf("printed %s", s.out.String())
	}
}

func TestJSONLines(t *testing.T) {
	s := newSpace(t)
	s.opt.LogFormat, s.opt.Target, s.opt.Jobs = "json", "all", 1
	s.opt.Now = func() time.Time { return time.Unix(1e9, 0) }
	s.steps = []Step{
		{Name: "a", Outputs: []Output{Out("work", "a")}, Run: concat},
		{Name: "b", Inputs: []Input{File("work", "a")}, Run: func(context.Context, *Task) error { return errors.New("no") }},
	}
	s.fails("ran a; failed b", `"error":"no"`)
	var got []string
	for line := range strings.Lines(s.out.String()) {
		var v consoleLine
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if v.Time != "2001-09-09T01:46:40Z" {
			t.Errorf("time %s", v.Time)
		}
		if v.Event == "step" && v.Seconds <= 0 {
			t.Errorf("no duration in %s", line)
		}
		got = append(got, fmt.Sprint(v.Event, " ", v.Target, v.Steps, v.Step, " ", v.State, v.Error, v.Counts))
	}
	want := []string{
		"begin all2 map[]", "start 0a map[]", "step 0a ranmap[]", "start 0b map[]", "step 0b failednomap[]",
		"summary 0 failedmap[failed:1 fresh:0 ran:1 restored:0 skipped:0 unchanged:0]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	s.opt.DryRun = true
	s.expect("")
	for line := range strings.Lines(s.out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a dry run printed %s", line)
		}
	}
	if !strings.Contains(s.out.String(), `"verdict":"will run"`) {
		t.Errorf("a dry run printed %s", s.out.String())
	}
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

// TestDisplayInTheBackground: nothing is drawn into what somebody types.
func TestDisplayInTheBackground(t *testing.T) {
	w := watch(t, 60, 24, Options{})
	w.start("a", false)
	w.tick()
	w.display.size = func() (width, height int) { return 0, 0 }
	before := len(w.term.everything())
	w.tick()
	w.stop("a", StateRan, "")
	w.start("b", false)
	w.tick()
	w.end()
	if got := w.term.everything()[before:]; got != "ran      a 1.5 s\n" {
		t.Errorf("printed %q", got)
	}
}

// TestProgressOfPrograms: a program that writes over its line is seen to get on.
func TestProgressOfPrograms(t *testing.T) {
	w := watch(t, 60, 24, Options{})
	log := w.start("a", false)
	out := &lines{log: log, stream: "stderr"}
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

// TestOutlook holds what is left of a build against what its steps took.
func TestOutlook(t *testing.T) {
	s := newSpace(t)
	for _, name := range []string{"a", "b:1", "b:2", "c"} {
		step := Step{Name: name, Outputs: []Output{Out("work", strings.ReplaceAll(name, ":", "-"))}, Run: concat}
		if name == "c" {
			step.Inputs = []Input{OutputsOf("b:*")}
		}
		s.steps = append(s.steps, step)
	}
	ses, err := s.graph().open(t.Context(), nil, false, false)
	if err != nil {
		t.Fatal(err)
	}
	defer ses.close()
	q := newScheduler(ses)
	at := func(name string) *progress { return q.steps[ses.plan.byName[name]] }
	expect := func(want outlook) {
		t.Helper()
		got := q.outlook()
		got.left = got.left.Round(time.Second)
		if got != want {
			t.Errorf("outlook %+v, want %+v", got, want)
		}
	}
	expect(outlook{unknown: 4})
	at("a").cost, at("b:1").cost, at("c").cost = 10*time.Second, 3*time.Second, 5*time.Second
	expect(outlook{left: 10 * time.Second, unknown: 1}) // a is the longest chain
	at("b:2").cost = 20 * time.Second
	expect(outlook{left: 25 * time.Second}) // b:2 and c are
	s.opt.Jobs, ses.opt.Jobs = 1, 1
	expect(outlook{left: 38 * time.Second}) // all of them, one after the other
	at("b:2").state, at("b:2").begun = running, time.Now().Add(-15*time.Second)
	expect(outlook{left: 23 * time.Second})
	at("a").state, at("a").begun = running, time.Now().Add(-time.Hour)
	expect(outlook{left: 13 * time.Second})
	// What never ran is like its kind.
	at("b:2").state, at("b:2").end = settled, StepResult{State: StateRan, Elapsed: 7 * time.Second}
	at("b:1").cost = 0
	expect(outlook{left: 12 * time.Second})
	at("c").dec = &decision{verdict: WillRestore}
	expect(outlook{left: 7 * time.Second})
}

func TestSurroundings(t *testing.T) {
	for _, c := range []struct {
		env  string
		want Options
	}{
		{"TERM=xterm", Options{}},
		{"", Options{Plain: true, NoColor: true}},
		{"TERM=dumb", Options{Plain: true, NoColor: true}},
		{"TERM=xterm CI=true", Options{Plain: true}},
		{"TERM=xterm CI=false GITHUB_ACTIONS=false", Options{}},
		{"TERM=xterm CI=1 GITHUB_ACTIONS=true", Options{Plain: true, GitHub: true}},
	} {
		var got Options
		got.Surroundings(func(name string) string {
			for _, v := range strings.Fields(c.env) {
				if value, ok := strings.CutPrefix(v, name+"="); ok {
					return value
				}
			}
			return ""
		})
		if got.Plain != c.want.Plain || got.NoColor != c.want.NoColor || got.GitHub != c.want.GitHub {
			t.Errorf("%s: plain %v, no colour %v, GitHub %v", c.env, got.Plain, got.NoColor, got.GitHub)
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
