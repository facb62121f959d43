package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMeaning(t *testing.T) {
	s := newSpace(t)
	calls := 0
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		"words": func(_ context.Context, path string) (string, error) {
			calls++
			b, err := os.ReadFile(path)
			return strings.Join(strings.Fields(string(b)), " "), err
		},
	}
	s.write("in", "a b")
	s.steps = []Step{
		{Name: "copy", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "copied").As("words")}, Run: concat},
		{Name: "file", Inputs: []Input{File("work", "copied").As("words")}, Outputs: []Output{Out("work", "file")}, Run: func(ctx context.Context, t *Task) error {
			if got := t.Digest(Ref{"work", "copied"}); got != "words a b" && got != "words a c" {
				return fmt.Errorf("the digest is %q", got)
			}
			return concat(ctx, t)
		}},
		{Name: "of", Inputs: []Input{OutputsOf("copy")}, Outputs: []Output{Out("work", "of")}, Run: concat},
		{Name: "bytes", Inputs: []Input{File("work", "copied")}, Outputs: []Output{Out("work", "bytes")}, Run: concat},
	}
	s.expect("ran bytes; ran copy; ran file; ran of")
	s.expect("")
	s.write("in", "a  b")
	s.expect("ran bytes; ran copy unchanged")
	s.write("in", "a c")
	s.expect("ran bytes; ran copy; ran file; ran of")
	before := calls
	s.expect("")
	if calls != before {
		t.Errorf("meaning was computed %d times in a build that did nothing", calls-before)
	}
	s.remove("copied")
	s.says("copy will restore: output work:copied is missing")
	s.expect("restored copy")
}

// What an output means is asked while the gate searches it: whichever refuses, nothing
// is put in place, and the gate has the last word.
func TestMeaningAndGateRefuse(t *testing.T) {
	s := newSpace(t)
	var meaning, gate error
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		"words": func(context.Context, string) (string, error) { return "words", meaning },
	}
	s.opt.Gate = func(Ref, string) error { return gate }
	s.write("in", "a")
	s.steps = []Step{{Name: "copy", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "copied").As("words")}, Run: concat}}
	for _, test := range []struct {
		meaning, gate error
		want          string
	}{
		{errors.New("no words"), nil, "output work:copied: digest of its words contents: no words"},
		{nil, errors.New("a code"), "output work:copied may not become public: a code"},
		{errors.New("no words"), errors.New("a code"), "output work:copied may not become public: a code"},
	} {
		meaning, gate = test.meaning, test.gate
		s.fails("failed copy", test.want)
		if _, err := os.Lstat(s.dir + "/copied"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the output is there: %v", test.want, err)
		}
	}
	meaning, gate = nil, nil
	s.expect("ran copy")
}

// A step that says how its output is read back is asked in the place of the kind's
// function, once, and may find that it is not what it wrote.
func TestReadBack(t *testing.T) {
	s := newSpace(t)
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		"words": func(context.Context, string) (string, error) { return "", errors.New("asked all the same") },
	}
	s.write("in", "a")
	ref, asked := Ref{"work", "copied"}, 0
	var refusal error
	s.steps = []Step{{Name: "copy", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "copied").As("words"), Out("work", "plain")}, Run: func(ctx context.Context, t *Task) error {
		t.ReadBack(ref, func(_ context.Context, path string) (string, error) {
			asked++
			b, err := os.ReadFile(path)
			return string(b), errors.Join(err, refusal)
		})
		return concat(ctx, t)
	}}}
	refusal = errors.New("not what was written")
	s.fails("failed copy", "output work:copied: digest of its words contents: not what was written")
	if _, err := os.Lstat(s.dir + "/copied"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the output is there: %v", err)
	}
	refusal, asked = nil, 0
	s.expect("ran copy")
	if asked != 1 {
		t.Errorf("it was asked %d times", asked)
	}
	for _, ref = range []Ref{{"work", "plain"}, {"work", "in"}} {
		s.write("in", ref.Path)
		s.fails("failed copy", "the step asked for what it does not declare: output "+ref.String()+" with a kind")
	}
}

func TestPoolsAndJobs(t *testing.T) {
	s := newSpace(t)
	s.opt.Jobs = 4
	var weight, most, jobs, mostJobs atomic.Int64
	up := func(at, most *atomic.Int64, by int64) {
		now := at.Add(by)
		for was := most.Load(); now > was && !most.CompareAndSwap(was, now); was = most.Load() {
		}
	}
	for i := range 12 {
		w := int64(i%5) * 3 // 0, 3, 6, 9, 12: the last is above the capacity of 10
		step := Step{Name: fmt.Sprint("s", i), Pool: "memory", Weight: w}
		if i%2 == 1 { // as heavy as what it reads
			in := fmt.Sprint("in", i)
			s.write(in, strings.Repeat("x", int(w)))
			step.Weight, step.Inputs = 0, []Input{File("work", in)}
			step.Weigh = func(inputs int64) int64 {
				if inputs != w {
					t.Errorf("inputs of %d bytes, not %d", inputs, w)
				}
				return inputs
			}
		}
		step.Run = func(context.Context, *Task) error {
			w := min(max(w, 1), 10)
			up(&weight, &most, w)
			up(&jobs, &mostJobs, 1)
			time.Sleep(2 * time.Millisecond)
			weight.Add(-w)
			jobs.Add(-1)
			return nil
		}
		s.steps = append(s.steps, step)
	}
	if got, err := s.build(); err != nil || strings.Count(got, "ran") != 12 {
		t.Fatalf("%s, %v", got, err)
	}
	if most.Load() > 10 || mostJobs.Load() > 4 || mostJobs.Load() < 2 {
		t.Errorf("at most %d of the pool and %d steps ran at once", most.Load(), mostJobs.Load())
	}
}

func TestOrder(t *testing.T) {
	s := newSpace(t)
	s.opt.Jobs = 1
	var order []string
	for _, name := range []string{"c", "a", "b"} {
		s.steps = append(s.steps, Step{Name: name, Run: func(context.Context, *Task) error {
			order = append(order, name)
			if name == "b" {
				time.Sleep(5 * time.Millisecond)
			}
			return nil
		}})
	}
	s.expect("ran a; ran b; ran c")
	s.opt.Force = []string{"*"}
	s.expect("ran a; ran b; ran c") // without outputs there is nothing to be unchanged
	if got := strings.Join(order, ""); got[:3] != "abc" || got[3] != 'b' {
		t.Errorf("order %s: want by name, then the longest first", got)
	}
}

// What the end of the build waits for the longest is begun first, not the step
// that is the longest itself.
func TestCriticalPathFirst(t *testing.T) {
	s := newSpace(t)
	s.opt.Jobs = 1
	var order []string
	step := func(name string, long time.Duration, inputs ...Input) Step {
		return Step{Name: name, Inputs: inputs, Outputs: []Output{Out("work", name)}, Run: func(ctx context.Context, t *Task) error {
			order = append(order, name)
			time.Sleep(long)
			return os.WriteFile(t.Out(Ref{"work", name}), []byte(name), 0o644)
		}}
	}
	s.steps = []Step{
		step("alone", 40*time.Millisecond),
		step("begin", time.Millisecond),
		step("middle", 60*time.Millisecond, File("work", "begin")),
		step("end", 60*time.Millisecond, File("work", "middle")),
	}
	s.expect("ran alone; ran begin; ran end; ran middle")
	order = nil
	s.opt.Force = []string{"*"}
	s.expect("ran alone unchanged; ran begin unchanged; ran end unchanged; ran middle unchanged")
	if got := strings.Join(order, " "); got != "begin middle end alone" {
		t.Errorf("order %q: the longest path was not begun first", got)
	}
}

func TestRetries(t *testing.T) {
	s := newSpace(t)
	tries := 0
	s.steps = []Step{{Name: "a", Retries: 2, Outputs: []Output{Out("work", "a")}, Run: func(ctx context.Context, t *Task) error {
		if _, err := os.Lstat(t.Out(Ref{"work", "a"})); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("staging of the last attempt is left: %v", err)
		}
		if err := concat(ctx, t); err != nil {
			return err
		}
		if tries++; tries < 2 {
			return fmt.Errorf("opening: %w", Transient(errors.New("locked")))
		}
		return nil
	}}}
	s.expect("ran a")
	if tries != 2 {
		t.Errorf("%d attempts", tries)
	}
	tries = 0
	s.steps = []Step{{Name: "b", Retries: 2, Run: func(context.Context, *Task) error { tries++; return errors.New("for good") }}}
	s.fails("failed b", "for good")
	if tries != 1 {
		t.Errorf("%d attempts for an error that does not go away", tries)
	}
	s.steps = []Step{{Name: "slow", Timeout: time.Millisecond, Run: func(ctx context.Context, _ *Task) error { <-ctx.Done(); return ctx.Err() }}}
	s.fails("failed slow", "it took longer than 1ms")
}

func TestCancel(t *testing.T) {
	s := newSpace(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.opt.Jobs = 1
	s.steps = []Step{
		{Name: "a", Outputs: []Output{Out("work", "a")}, Run: func(ctx context.Context, t *Task) error { cancel(); return concat(ctx, t) }},
		{Name: "b", Inputs: []Input{File("work", "a")}, Run: nothing},
	}
	sum, err := s.graph().Build(ctx)
	if !errors.Is(err, context.Canceled) || sum.Ran != 1 || sum.Skipped != 1 {
		t.Errorf("%v, %v", sum, err)
	}
	s.expect("ran b") // what was done is kept
}

func TestFailFast(t *testing.T) {
	s := newSpace(t)
	s.opt.Jobs, s.opt.FailFast = 1, true
	s.steps = []Step{
		{Name: "a", Run: func(context.Context, *Task) error { return errors.New("no") }},
		{Name: "b", Run: nothing},
	}
	s.fails("failed a; skipped b", "no")
}

func TestLock(t *testing.T) {
	s := newSpace(t)
	inside, leave := make(chan bool), make(chan bool)
	s.steps = []Step{{Name: "a", Run: func(context.Context, *Task) error { inside <- true; <-leave; return nil }}}
	first := make(chan error)
	g := s.graph()
	go func() { _, err := g.Build(t.Context()); first <- err }()
	<-inside
	if r, err := s.graph().Status(t.Context()); err != nil || r.Count(WillRun) != 1 {
		t.Errorf("status while a build runs: %v, %v", r, err)
	}
	s.opt.NoWait = true
	if _, err := s.graph().Build(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("another build is running here: process %d", os.Getpid())) {
		t.Errorf("a second build did not wait: %v", err)
	}
	s.opt.NoWait = false
	second := make(chan error)
	s.opt.Stdout = &strings.Builder{}
	g = s.graph()
	go func() { _, err := g.Build(t.Context()); second <- err }()
	time.Sleep(20 * time.Millisecond)
	leave <- true
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-second; err != nil { // it finds the step fresh
		t.Error(err)
	}
	if text := s.opt.Stdout.(*strings.Builder).String(); !strings.Contains(text, "waiting for another build: process") || !strings.Contains(text, "1 fresh, 0 ran") {
		t.Errorf("the second build said %q", text)
	}
}

func TestLooksWriteNothing(t *testing.T) {
	s := newSpace(t)
	s.write("in", "1")
	s.write("private/p", "1")
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Run: concat},
		{Name: "b", Inputs: []Input{File("private", "p")}, Outputs: []Output{Out("private", "b")}, Run: concat},
	}
	list := func() string {
		var paths []string
		err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if name := filepath.Base(path); name != "index" && name != "clock" {
				paths = append(paths, fmt.Sprint(path, info.Size(), info.ModTime(), info.Mode()))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(paths, "\n")
	}
	look := func() {
		t.Helper()
		before := list()
		if _, err := s.graph().Status(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := s.graph().DryRun(t.Context()); err != nil {
			t.Error(err)
		}
		if after := list(); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	}
	look()
	s.expect("ran a; ran b")
	look()
	s.remove("a")
	s.write("private/p", "2")
	look()
}

func TestGlobsOnDisk(t *testing.T) {
	s := newSpace(t)
	for _, path := range []string{"s/a.x", "s/b.y", "s/.h.x", "s/d/c.x", "s/d/e/f.x", "private/p.x", "elsewhere/l.x"} {
		s.write(path, path+"\n")
	}
	for link, to := range map[string]string{"s/loop": "..", "s/d/self": ".", "s/to": "../elsewhere", "s/dead": "nowhere", "s/l.x": "a.x"} {
		if err := os.Symlink(to, filepath.Join(s.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	files := func(in Input) string {
		s.t.Helper()
		var got string
		s.steps = []Step{{Name: "a", Inputs: []Input{in}, Run: func(_ context.Context, t *Task) error {
			for _, ref := range t.Files(in) {
				got += ref.Path + " "
			}
			return nil
		}}}
		s.opt.Force = []string{"*"}
		if _, err := s.build(); err != nil {
			return s.out.String()
		}
		return strings.TrimSpace(got)
	}
	for _, tt := range []struct {
		in   Input
		want string
	}{
		{Glob("work", "s/*.x"), "s/.h.x s/a.x s/l.x"},
		{Glob("work", "s/**/*.x"), "s/.h.x s/a.x s/d/c.x s/d/e/f.x s/l.x s/to/l.x"},
		{Glob("work", "s/{a,b}.?"), "s/a.x s/b.y"},
		{Glob("work", "s/*/c.x"), "s/d/c.x"},
		// A choice of names, of which some are there, links or directories.
		{Glob("work", "s/{a.x,b.y,l.x,dead,d,none}"), "s/a.x s/b.y s/l.x"},
		{Glob("work", "s/{d,to,a.x}/{c.x,l.x,e}"), "s/d/c.x s/to/l.x"},
		{Glob("work", "s/d/{..,c.x}"), "s/d/c.x"},
		{Glob("work", "s/{a.x,a.x,{b.y,none}}"), "s/a.x s/b.y"},
		{Names("work", "s/{dead,d,none}"), "s/d s/dead"},
		{Glob("work", "**/p.x"), ""},
		{Glob("private", "**/*.x"), "p.x"},
		{Glob("work", "s/none/*"), ""},
		{Glob("work", "s/a.x/*"), ""},
		{Names("work", "s/*"), "s/.h.x s/a.x s/b.y s/d s/dead s/l.x s/loop s/to"},
	} {
		if got := files(tt.in); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.in, got, tt.want)
		}
	}
	if err := os.Symlink("../private", s.dir+"/s/hidden"); err != nil {
		t.Fatal(err)
	}
	if got := files(Glob("work", "s/**")); !strings.Contains(got, errPrivateLink.Error()) {
		t.Errorf("a link into a private root: %q", got)
	}
	if err := os.Symlink("../private/p.x", s.dir+"/s/p.x"); err != nil {
		t.Fatal(err)
	}
	if got := files(File("work", "s/p.x")); !strings.Contains(got, errPrivateLink.Error()) {
		t.Errorf("a link to a private file: %q", got)
	}
	if got := files(Absent("work", "s/a.x")); !strings.Contains(got, "it exists and must not") {
		t.Errorf("absence of a file that is there: %q", got)
	}
	if got := files(File("work", "s")); !strings.Contains(got, "it is a directory") {
		t.Errorf("a directory as a file: %q", got)
	}
}

func TestClean(t *testing.T) {
	s := newSpace(t)
	s.write("in", "1")
	s.write("private/p", "2")
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a"), Out("work", "b")}, Run: concat},
		{Name: "p", Inputs: []Input{File("private", "p")}, Outputs: []Output{Out("private", "kept"), Out("work", "coded")}, Declassifies: true, Run: concat},
		{Name: "t", Outputs: []Output{OutTree("work", "tree")}, Run: func(_ context.Context, t *Task) error {
			for _, name := range []string{"x", "y"} {
				if err := os.WriteFile(filepath.Join(t.Out(Ref{"work", "tree"}), name), []byte(name), 0o666); err != nil {
					return err
				}
			}
			return nil
		}},
	}
	s.expect("ran a; ran p; ran t")
	s.write("b", "mine")
	s.write("tree/y", "mine")
	c, err := s.graph().Clean(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(c.Removed, c.Kept); got != "[work:a work:coded] [work:b work:tree/y]" {
		t.Errorf("removed and kept: %s", got)
	}
	if got := s.read("b") + s.read("tree/y") + s.read("private/kept") + s.read("in"); got != "minemine21" {
		t.Errorf("what is left: %s", got)
	}
	s.expect("restored a; restored p; ran t unchanged")
}

func TestHistory(t *testing.T) {
	s := newSpace(t)
	s.opt.LogFormat = "json"
	s.write("private/name-of-patient", "1")
	s.steps = []Step{
		{Name: "pub", Outputs: []Output{Out("work", "pub")}, Run: concat},
		{Name: "priv", Inputs: []Input{File("private", "name-of-patient")}, Run: func(context.Context, *Task) error { return errors.New("patient") }},
	}
	sum, err := s.graph().Build(t.Context())
	var failed *Failed
	if !errors.As(err, &failed) || err.Error() != "1 step failed: priv" {
		t.Errorf("error %v", err)
	}
	for line := range strings.Lines(s.out.String()) {
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, name := range []string{"events.jsonl", "summary.json", "logs/pub.log"} {
		b, err := os.ReadFile(filepath.Join(sum.HistoryDir, name))
		if err != nil || strings.Contains(string(b), "patient") {
			t.Errorf("%s: %v\n%s", name, err, b)
		}
	}
	if _, err := os.Stat(filepath.Join(sum.HistoryDir, "logs/priv.log")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the log of a private step is public: %v", err)
	}
	for _, r := range sum.Steps {
		if r.Name == "priv" {
			if b, err := os.ReadFile(r.LogPath); err != nil || !strings.Contains(string(b), "patient") || !inside(r.LogPath, s.dir+"/private") {
				t.Errorf("log of the private step: %s %v %s", r.LogPath, err, b)
			}
		}
	}
}

func TestExecutableOutput(t *testing.T) {
	s := newSpace(t)
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "run")}, Run: func(_ context.Context, t *Task) error {
		return os.WriteFile(t.Out(Ref{"work", "run"}), []byte("#!/bin/sh\n"), 0o700)
	}}}
	s.expect("ran a")
	s.remove("run")
	s.expect("restored a")
	if info, err := os.Stat(s.dir + "/run"); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if err := os.Chmod(s.dir+"/run", 0o644); err != nil {
		t.Fatal(err)
	}
	s.expect("restored a")
	s.expect("")
}

func TestDryRunOption(t *testing.T) {
	s := newSpace(t)
	s.opt.DryRun = true
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "a")}, Run: concat}}
	s.expect("")
	if got := s.out.String(); got != "will run     a: never built\n0 fresh, 1 will run\n" {
		t.Errorf("dry run printed %q", got)
	}
	if _, err := os.Lstat(s.opt.PublicCache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dry run made a cache: %v", err)
	}
}

// What is done to the files of a project by hand excludes builds, and they it.
func TestExclusive(t *testing.T) {
	s := newStudy(t)
	s.opt.NoWait = true
	g := s.graph()
	called := 0
	err := g.Exclusive(t.Context(), func() error {
		called++
		_, err := g.Build(t.Context())
		if err == nil || !strings.Contains(err.Error(), "another build is running here") {
			t.Errorf("a build meanwhile: error %v", err)
		}
		err = g.Exclusive(t.Context(), func() error { called++; return nil })
		if err == nil || !strings.Contains(err.Error(), "another build is running here") {
			t.Errorf("another meanwhile: error %v", err)
		}
		return nil
	})
	if err != nil || called != 1 {
		t.Errorf("called %d times, error %v", called, err)
	}
	failed := errors.New("failed")
	if err := g.Exclusive(t.Context(), func() error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	if _, err := g.Build(t.Context()); err != nil {
		t.Error("a build afterwards:", err)
	}
}

// TestNamesOverLedger holds that who looks at names alone does not mind what is written
// into a file meanwhile.
func TestNamesOverLedger(t *testing.T) {
	s := newSpace(t)
	rewrite := func() { s.write("led/l", "one") }
	s.steps = []Step{
		{Name: "ledger", Ledgers: []Ref{{"work", "led/l"}}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Path(Ref{"work", "led/l"}), []byte("one"), 0o600)
		}},
		{Name: "names", Inputs: []Input{Names("work", "led/*")}, Outputs: []Output{Out("work", "names")}, Run: func(_ context.Context, t *Task) error {
			rewrite()
			return os.WriteFile(t.Out(Ref{"work", "names"}), []byte("names"), 0o600)
		}},
	}
	s.expect("ran ledger; ran names")
}

// TestMeaningsOneAtATime holds that a step with many files of a kind has the meaning of
// one computed after that of another: what computes it may take a whole machine.
func TestMeaningsOneAtATime(t *testing.T) {
	s := newSpace(t)
	var at, most, calls atomic.Int64
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		"words": func(context.Context, string) (string, error) {
			if now := at.Add(1); now > most.Load() {
				most.Store(now)
			}
			time.Sleep(time.Millisecond)
			at.Add(-1)
			calls.Add(1)
			return "words", nil
		},
	}
	const files = 2 * parallelFiles // so many that their directories are read by all processors
	for i := range files {
		s.write(fmt.Sprintf("d/%d/x", i), fmt.Sprint(i))
	}
	s.steps = []Step{{Name: "a", Inputs: []Input{Glob("work", "d/*/x").As("words")}, Outputs: []Output{Out("work", "a")}, Run: func(_ context.Context, t *Task) error {
		return os.WriteFile(t.Out(Ref{"work", "a"}), []byte("a"), 0o600)
	}}}
	s.expect("ran a")
	if calls.Load() < files || most.Load() != 1 {
		t.Errorf("%d meanings, %d of them at once", calls.Load(), most.Load())
	}
}

// TestWalkOrder holds that what is in directories is found in the order of paths,
// whatever stands beside them.
func TestWalkOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching("[ab.!-]{1,3}"), 0, 6, rapid.ID).Draw(t, "names")
		var found []dirEntry
		var want []string
		path := func(e dirEntry) string {
			if e.mode.IsDir() {
				return e.name + "/x"
			}
			return e.name
		}
		for _, name := range names {
			e := dirEntry{name: name}
			if rapid.Bool().Draw(t, "dir") {
				e.mode = fs.ModeDir
			}
			found, want = append(found, e), append(want, path(e))
		}
		slices.SortFunc(found, byPath)
		slices.Sort(want)
		for i, e := range found {
			if path(e) != want[i] {
				t.Fatalf("%v, want %q", found, want)
			}
		}
	})
}
