package history

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func newRun(t *testing.T, public, private string, now time.Time) *Run {
	t.Helper()
	r, err := New(public, private, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func add(t *testing.T, r *Run, private bool, events ...Event) {
	t.Helper()
	for _, e := range events {
		if err := r.Add(e, private); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, public, private, id string) *Build {
	t.Helper()
	b, err := Read(public, private, id)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func TestReadWhileItIsWritten(t *testing.T) {
	public, private := t.TempDir(), t.TempDir()
	r := newRun(t, public, private, noon)
	add(t, r, false,
		Event{Time: noon, Event: EventBegin, Format: Format, Target: "reproduce", Goals: []string{"figure:*"}, Process: &Process{1234, "abc"}},
		Event{At: 0.5, Event: EventAttempt, Step: "a", Attempt: 1},
		Event{At: 0.6, Event: EventAttempt, Step: "run:x", Attempt: 1, Private: true},
		Event{At: 0.7, Event: EventRetry, Step: "run:x", Attempt: 1, Private: true},
		Event{At: 0.8, Event: EventAttempt, Step: "run:x", Attempt: 2, Private: true},
		Event{At: 2, Event: EventStep, Step: "a", State: "ran", Unchanged: true, Begun: 0.4, Seconds: 1.6, Key: "k2", Was: "k1", Outputs: []Output{{"results:a", "2", "1"}}},
	)
	add(t, r, true, Event{At: 0.7, Event: EventRetry, Step: "run:x", Error: "locked", Private: true})
	// A line that is being written.
	f, err := os.OpenFile(filepath.Join(r.Dir(), eventsFile), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(`{"time":"2026-01`); err != nil {
		t.Fatal(err)
	}
	want := &Build{
		ID: r.ID(), Target: "reproduce", Goals: []string{"figure:*"}, State: Running, Begun: noon, Seconds: 2, Ran: 1, Unchanged: 1,
		Process: &Process{1234, "abc"},
		Steps: []Step{
			{Name: "a", State: "ran", Unchanged: true, Attempts: 1, Begun: 0.4, Seconds: 1.6, Key: "k2", Was: "k1", Outputs: []Output{{"results:a", "2", "1"}}},
			{Name: "run:x", State: Running, Private: true, Attempts: 2, Begun: 0.6, Errors: []string{"locked"}},
		},
	}
	if diff := cmp.Diff(want, read(t, public, private, r.ID())); diff != "" {
		t.Errorf("with the private tier (-want +got):\n%s", diff)
	}
	want.Steps[1].Errors = []string{""}
	if diff := cmp.Diff(want, read(t, public, "", r.ID())); diff != "" {
		t.Errorf("without it (-want +got):\n%s", diff)
	}

	if err := r.Finish(Summary{Target: "reproduce", State: Done, Begun: noon, Seconds: 3, Fresh: 7, Ran: 1, Steps: []Ended{{Name: "lost", State: "skipped"}}}); err != nil {
		t.Fatal(err)
	}
	got := read(t, public, private, r.ID())
	if got.State != Done || got.Process != nil || got.Seconds != 3 || got.Fresh == nil || *got.Fresh != 7 || len(got.Steps) != 3 {
		t.Errorf("when it has ended: %+v", got)
	}
}

// Whatever happens to a file of events, what is read of it was written.
func TestDamagedEvents(t *testing.T) {
	var whole []byte
	var events []Event
	for i := range 20 {
		e := Event{Time: noon, At: float64(i), Event: EventStep, Step: fmt.Sprintf("step:%d", i), State: "ran", Reason: "a \"reason\"\n<with> \u2028 all"}
		line, err := e.line()
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, line...)
		events = append(events, e)
	}
	if got, damaged := parseEvents(whole); damaged != 0 || !cmp.Equal(got, events) {
		t.Fatalf("undamaged: %d damaged\n%s", damaged, cmp.Diff(events, got))
	}
	rapid.Check(t, func(t *rapid.T) {
		data := bytes.Clone(whole)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			i := rapid.IntRange(0, len(data)-1).Draw(t, "at")
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				data[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			case 1:
				data = slices.Delete(data, i, min(len(data), i+rapid.IntRange(1, 300).Draw(t, "length")))
			case 2:
				data = slices.Insert(data, i, rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "bytes")...)
			}
			if len(data) == 0 {
				return
			}
		}
		got, damaged := parseEvents(data)
		for _, e := range got {
			if !slices.ContainsFunc(events, func(w Event) bool { return cmp.Equal(w, e) }) {
				t.Fatalf("an event that nobody wrote: %+v", e)
			}
		}
		if len(got) == len(events) && damaged == 0 && !bytes.HasPrefix(data, whole) && bytes.Count(data, []byte("\n")) == len(events) {
			t.Fatalf("damage was not noticed")
		}
	})
}

// A write that failed half way costs its own line only.
func TestTornLine(t *testing.T) {
	public := t.TempDir()
	r := newRun(t, public, "", noon)
	add(t, r, false, Event{Event: EventBegin, Format: Format, Target: "x"})
	if _, err := r.tiers[0].events.WriteString(`{"half`); err != nil {
		t.Fatal(err)
	}
	r.tiers[0].torn = true
	add(t, r, false, Event{Event: EventStep, Step: "a", State: "ran"})
	b := read(t, public, "", r.ID())
	if b.Damaged != 1 || b.Target != "x" || len(b.Steps) != 1 {
		t.Errorf("%+v", b)
	}
	if err := r.Add(Event{}, true); !errors.Is(err, errNoTier) {
		t.Errorf("a private event without a private tier: %v", err)
	}
}

func TestFind(t *testing.T) {
	tier := t.TempDir()
	if _, err := Find(tier, Last); err == nil || !strings.Contains(err.Error(), "no build in the history") {
		t.Errorf("empty history: %v", err)
	}
	for _, id := range []string{"20260102T120000.000Z-aaaaaa", "20260102T120000.000Z-aab000", "20260103T120000.000Z-cccccc", "notes"} {
		if err := os.MkdirAll(filepath.Join(tier, runsDir, id), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"last": "20260103T120000.000Z-cccccc", "last~0": "20260103T120000.000Z-cccccc", "last~2": "20260102T120000.000Z-aaaaaa",
		"20260103": "20260103T120000.000Z-cccccc", "ccc": "20260103T120000.000Z-cccccc", "aab": "20260102T120000.000Z-aab000",
		"20260102T120000.000Z-aaaaaa": "20260102T120000.000Z-aaaaaa",
		"aa":                          "! may be 20260102T120000.000Z-aaaaaa, 20260102T120000.000Z-aab000", "": "! no build", "x": "! no build",
		"last~3": "! holds 3 builds", "last~": "! is no build", "lastly": "! is no build", "last~-1": "! is no build", "last1": "! is no build",
		"notes": "! no build", "../runs": "! no build",
	} {
		got, err := Find(tier, name)
		message, fails := strings.CutPrefix(want, "! ")
		var unknown *UnknownError
		switch {
		case !fails && (err != nil || got != want):
			t.Errorf("%q: %q %v, want %q", name, got, err, want)
		case fails && (!errors.As(err, &unknown) || !strings.Contains(err.Error(), message)):
			t.Errorf("%q: %q %v, want an error with %q", name, got, err, message)
		}
	}
	if _, err := Read(tier, "", "../runs"); err == nil {
		t.Error("a path is read as an id")
	}
}

func TestLogs(t *testing.T) {
	public, private := t.TempDir(), t.TempDir()
	r := newRun(t, public, private, noon)
	for _, secret := range []bool{false, true} {
		for attempt := range 2 {
			f, err := r.Log("s:1", attempt+1, secret)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(f, "%v %d", secret, attempt+1)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, secret := range []bool{false, true} {
		got, err := ReadLog(public, private, r.ID(), &Step{Name: "s:1", Private: secret}, 2)
		if want := fmt.Sprintf("%v 2", secret); err != nil || string(got) != want {
			t.Errorf("log %q, %v, want %q", got, err, want)
		}
	}
	for _, tier := range []string{"", t.TempDir()} {
		if _, err := ReadLog(public, tier, r.ID(), &Step{Name: "s:1", Private: true}, 1); !errors.Is(err, ErrPrivateLog) {
			t.Errorf("a private log without its tier: %v", err)
		}
	}
	if LogName("a#2", 1) == LogName("a", 2) || LogName("a/b", 1) != "a%2Fb.log" {
		t.Errorf("names of logs: %s %s", LogName("a#2", 1), LogName("a", 2))
	}
}

func TestFilter(t *testing.T) {
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	l.Debug("d", "text", "level=ERROR in it")
	l.Info("i")
	log.WriteString("from a program: level=ERROR \n")
	l.Warn("w\nof two lines")
	l.Error("e")
	for level, want := range map[slog.Level]int{slog.LevelDebug: 5, slog.LevelInfo: 4, slog.LevelWarn: 2, slog.LevelError: 1} {
		if got := Filter(log.Bytes(), level); len(got) != want {
			t.Errorf("%s: %d lines, want %d: %q", level, len(got), want, got)
		}
	}
}

func TestProcess(t *testing.T) {
	me, err := Here()
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := me.Alive(); err != nil || !alive {
		t.Errorf("this process: %v %v", alive, err)
	}
	if alive, err := (&Process{me.PID, "another"}).Alive(); err != nil || alive {
		t.Errorf("one that had this number before: %v %v", alive, err)
	}
	if err := (&Process{me.PID, "another"}).Interrupt(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("it would have been sent a signal: %v", err)
	}
	for _, pid := range []int{-1, 0, 1} {
		if err := (&Process{pid, ""}).Interrupt(); err == nil {
			t.Errorf("process %d was sent a signal", pid)
		}
	}
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	start, err := startOf(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	child := &Process{cmd.Process.Pid, start}
	if err := child.Interrupt(); err != nil {
		t.Error(err)
	}
	for range 500 { // a zombie, which is not there any more
		if alive, err := child.Alive(); err != nil || !alive {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if alive, err := child.Alive(); err != nil || alive {
		t.Errorf("it did not end: %v %v", alive, err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "interrupt") {
		t.Errorf("it ended with %v", err)
	}
	if alive, err := child.Alive(); err != nil || alive {
		t.Errorf("it is there after its end: %v %v", alive, err)
	}
}
