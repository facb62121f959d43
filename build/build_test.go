package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// space is a workspace with a graph that is declared anew for every build.
type space struct {
	t     *testing.T
	dir   string
	opt   Options
	steps []Step
	out   bytes.Buffer
}

func newSpace(t *testing.T) *space {
	s := &space{t: t, opt: testOptions(t)}
	s.dir = s.opt.Workspace
	s.opt.Stdout = &s.out
	s.opt.Jobs = 2
	s.opt.Code = func(p []string) (string, error) { return "code of " + strings.Join(p, " "), nil }
	return s
}

func (s *space) write(path, text string) {
	s.t.Helper()
	path = filepath.Join(s.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *space) read(path string) string {
	s.t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, path))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b)
}

func (s *space) remove(path string) {
	s.t.Helper()
	if err := os.RemoveAll(filepath.Join(s.dir, path)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *space) graph() *Graph {
	s.t.Helper()
	g, err := New(s.opt, s.steps)
	if err != nil {
		s.t.Fatal(err)
	}
	return g
}

// build returns the states of the steps that are not fresh, and the error.
func (s *space) build(goals ...string) (string, error) {
	s.t.Helper()
	s.out.Reset()
	sum, err := s.graph().Build(s.t.Context(), goals...)
	// Builds are told apart by the millisecond in which they began: of two in one
	// either may be the last.
	for ended := time.Now().UnixMilli(); time.Now().UnixMilli() == ended; {
		time.Sleep(100 * time.Microsecond)
	}
	var b strings.Builder
	if sum != nil {
		for _, r := range sum.Steps {
			if r.State != StateFresh {
				fmt.Fprintf(&b, "%s %s", r.State, r.Name)
				if r.Unchanged {
					b.WriteString(" unchanged")
				}
				b.WriteString("; ")
			}
		}
	}
	return strings.TrimSuffix(b.String(), "; "), err
}

// expect builds and compares what was done.
func (s *space) expect(want string, goals ...string) {
	s.t.Helper()
	got, err := s.build(goals...)
	if err != nil {
		s.t.Errorf("build: %v\n%s", err, s.out.String())
	}
	if got != want {
		s.t.Errorf("build did %q, want %q\n%s", got, want, s.out.String())
	}
}

func (s *space) fails(want, message string, goals ...string) {
	s.t.Helper()
	got, err := s.build(goals...)
	var failed *Failed
	if !errors.As(err, &failed) {
		s.t.Errorf("build: %v, want failed steps", err)
	}
	if got != want {
		s.t.Errorf("build did %q, want %q\n%s", got, want, s.out.String())
	}
	if !strings.Contains(s.out.String(), message) {
		s.t.Errorf("the console does not say %q:\n%s", message, s.out.String())
	}
}

// reasons returns the verdicts that are not fresh.
func (s *space) reasons(goals ...string) string {
	s.t.Helper()
	r, err := s.graph().DryRun(s.t.Context(), goals...)
	if err != nil {
		s.t.Fatal(err)
	}
	var lines []string
	for _, d := range r.Steps {
		if d.Verdict != Fresh {
			lines = append(lines, fmt.Sprintf("%s %s: %s", d.Name, d.Verdict, strings.Join(d.Reasons, "; ")))
		}
	}
	return strings.Join(lines, "\n")
}

func (s *space) says(want string) {
	s.t.Helper()
	if diff := cmp.Diff(want, s.reasons()); diff != "" {
		s.t.Errorf("dry run (-want +got):\n%s", diff)
	}
}

// concat writes the contents of all inputs to all outputs.
func concat(_ context.Context, t *Task) error {
	var b bytes.Buffer
	for _, in := range t.n.Inputs {
		for _, ref := range t.Files(in) {
			data, err := os.ReadFile(t.Path(ref))
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s", data)
		}
	}
	for _, out := range t.n.Outputs {
		if err := os.WriteFile(t.Out(out.Ref), b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return nil
}

func TestChain(t *testing.T) {
	s := newSpace(t)
	s.write("in", "hello\n")
	length := func(_ context.Context, t *Task) error {
		b, err := os.ReadFile(t.Path(Ref{"work", "a"}))
		if err != nil {
			return err
		}
		return os.WriteFile(t.Out(Ref{"work", "sub/b"}), []byte(fmt.Sprint(len(b))), 0o666)
	}
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Params: map[string]any{"n": 1}, Run: concat},
		{Name: "b", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "sub/b")}, Code: []string{"p"}, Run: length},
		{Name: "c", Inputs: []Input{File("work", "sub/b")}, Outputs: []Output{Out("work", "c")}, Run: concat},
	}
	s.says("a will run: never built\nb may run: depends on a\nc may run: depends on b")
	s.expect("ran a; ran b; ran c")
	if got := s.read("c"); got != "6" {
		t.Errorf("c holds %q", got)
	}
	s.says("")
	s.expect("")
	if !strings.HasPrefix(s.out.String(), "3 fresh, 0 ran, 0 unchanged, 0 failed in ") {
		t.Errorf("last line: %s", s.out.String())
	}

	s.write("in", "HELLO\n") // early cutoff
	s.says("a will run: input work:in changed\nb may run: depends on a\nc may run: depends on b")
	s.expect("ran a; ran b unchanged")

	s.remove("a")
	s.remove("c")
	s.says("a will restore: output work:a is missing\nc will restore: output work:c is missing")
	s.expect("restored a; restored c")
	if got := s.read("a"); got != "HELLO\n" {
		t.Errorf("a was restored as %q", got)
	}

	s.write("in", "hello\n") // as it was before
	s.expect("restored a")

	s.write("c", "mine")
	s.says("c will restore: output work:c is not as it was made")
	s.expect("restored c")
	if rescued, err := filepath.Glob(s.dir + "/.cache/rescued/*-c"); err != nil || len(rescued) != 1 {
		t.Errorf("rescued: %v, %v", rescued, err)
	} else if b, err := os.ReadFile(rescued[0]); err != nil || string(b) != "mine" {
		t.Errorf("rescued %q, %v", b, err)
	} else if !strings.Contains(s.out.String(), filepath.Base(rescued[0])) {
		t.Errorf("the console does not name the rescued file:\n%s", s.out.String())
	}

	s.steps[0].Params["n"] = 2
	s.says("a will run: parameter n changed\nb may run: depends on a\nc may run: depends on b")
	s.expect("ran a unchanged")
	s.opt.Code = func([]string) (string, error) { return "new", nil }
	s.says("b will run: code changed\nc may run: depends on b")
	s.expect("ran b unchanged")
	s.opt.Force = []string{"b"}
	s.says("b will run: forced\nc may run: depends on b")
	s.expect("ran b unchanged")
	if left, err := filepath.Glob(s.dir + "/" + stagingDir + "*"); err != nil || len(left) > 0 {
		t.Errorf("staging is left: %v, %v", left, err)
	}
}

func TestFailure(t *testing.T) {
	s := newSpace(t)
	s.write("in", "1")
	boom := true
	var log string
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Run: func(ctx context.Context, t *Task) error {
			t.Log.Info("working")
			if boom {
				return errors.New("no luck")
			}
			return concat(ctx, t)
		}},
		{Name: "b", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "b")}, Run: concat},
		{Name: "c", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "c")}, Run: concat},
		{Name: "d", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "d")}, Run: func(context.Context, *Task) error { panic("oh") }},
		{Name: "e", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "e")}, Run: nothing},
		{Name: "f", Inputs: []Input{File("work", "nowhere")}, Run: nothing},
	}
	s.fails("failed a; skipped b; ran c; failed d; failed e; failed f", "failed   a: no luck")
	for _, want := range []string{"the step panicked: oh", "output work:e was not written", "input work:nowhere: it does not exist"} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the console does not say %q:\n%s", want, s.out.String())
		}
	}
	if strings.Contains(s.out.String(), "goroutine") {
		t.Errorf("the console shows a stack:\n%s", s.out.String())
	}
	for line := range strings.Lines(s.out.String()) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "log: "); ok && strings.HasSuffix(path, "a.log") {
			log = s.read(path)
		}
	}
	if !strings.Contains(log, "working") || !strings.Contains(log, "no luck") {
		t.Errorf("log of a: %q", log)
	}
	boom = false
	s.steps = s.steps[:3]
	s.expect("ran a; ran b")
	boom = true
	s.write("in", "2")
	s.fails("failed a; skipped b; ran c", "no luck")
	if got := s.read("a") + s.read("b"); got != "11" {
		t.Errorf("the old outputs are %q", got)
	}
}

func TestInputMoves(t *testing.T) {
	s := newSpace(t)
	s.write("d/in", "1")
	edit := func() { s.write("d/in", "2") }
	s.steps = []Step{
		{Name: "a", Inputs: []Input{Glob("work", "d/*")}, Outputs: []Output{Out("work", "a")}, Run: func(ctx context.Context, t *Task) error {
			err := concat(ctx, t)
			edit()
			return err
		}},
		{Name: "b", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "b")}, Run: concat},
	}
	s.fails("failed a; skipped b", "tainted: while the step ran input work:d/in changed")
	edit = func() { s.write("d/more", "3") }
	s.fails("failed a; skipped b", "tainted: while the step ran input work:d/more added")
	edit = func() {}
	s.expect("ran a; ran b")
	if got := s.read("b"); got != "23" {
		t.Errorf("b holds %q", got)
	}
}

func TestTree(t *testing.T) {
	s := newSpace(t)
	s.write("names", "x\nd/y\n")
	s.steps = []Step{
		{Name: "unpack", Inputs: []Input{File("work", "names")}, Outputs: []Output{OutTree("work", "tree")}, Run: func(_ context.Context, t *Task) error {
			b, err := os.ReadFile(t.Path(Ref{"work", "names"}))
			if err != nil {
				return err
			}
			for _, name := range strings.Fields(string(b)) {
				path := filepath.Join(t.Out(Ref{"work", "tree"}), name)
				if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
					return err
				}
				if err := os.WriteFile(path, []byte(name), 0o666); err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "deep", Inputs: []Input{Glob("work", "tree/d/*")}, Outputs: []Output{Out("work", "deep")}, Run: concat},
		{Name: "file", Inputs: []Input{File("work", "tree/x")}, Outputs: []Output{Out("work", "file")}, Run: concat},
		{Name: "names", Inputs: []Input{Names("work", "tree/**")}, Outputs: []Output{Out("work", "listed")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Out(Ref{"work", "listed"}), []byte(fmt.Sprint(t.Files(Names("work", "tree/**")))), 0o666)
		}},
	}
	s.expect("ran deep; ran file; ran names; ran unpack")
	if got := s.read("deep") + " " + s.read("file") + " " + s.read("listed"); got != "d/y x [work:tree work:tree/d work:tree/d/y work:tree/x]" {
		t.Errorf("outputs: %s", got)
	}
	s.expect("")
	s.write("names", "x\nd/y\nd/z")
	s.expect("ran deep; ran names; ran unpack")
	s.remove("tree/x")
	s.says("deep may run: depends on unpack\nfile may run: depends on unpack\nnames may run: depends on unpack\nunpack will run: output work:tree/ is not as it was made: 0 files changed, 0 added, 1 missing")
	s.expect("ran unpack unchanged")
	s.write("tree/d/mine", "by hand")
	s.expect("ran unpack unchanged")
	if rescued, err := filepath.Glob(s.dir + "/.cache/rescued/*-mine"); err != nil || len(rescued) != 1 {
		t.Errorf("rescued: %v, %v", rescued, err)
	}
	s.remove("tree")
	s.expect("ran unpack unchanged")
	s.expect("")
}

func TestGrow(t *testing.T) {
	s := newSpace(t)
	s.write("list", "p q")
	s.write("p", "1")
	s.write("q", "2")
	s.write("r", "3")
	s.steps = []Step{
		{Name: "index", Inputs: []Input{File("work", "list")}, Outputs: []Output{Out("work", "index")}, Run: concat, Grows: "run:",
			Grow: func(_ context.Context, t *Task) ([]Step, error) {
				b, err := os.ReadFile(t.Out(Ref{"work", "index"}))
				if err != nil {
					return nil, err
				}
				var steps []Step
				for _, name := range strings.Fields(string(b)) {
					steps = append(steps, Step{Name: "run:" + name, Inputs: []Input{File("work", name)}, Outputs: []Output{Out("work", "runs/"+name)}, Run: concat})
				}
				return steps, nil
			}},
		{Name: "all", Inputs: []Input{OutputsOf("run:*")}, Outputs: []Output{Out("work", "all")}, Run: concat},
		{Name: "other", Inputs: []Input{File("work", "p")}, Outputs: []Output{Out("work", "other")}, Run: concat},
	}
	s.expect("ran other", "other")
	s.expect("ran all; ran index; ran run:p; ran run:q", "all")
	if got := s.read("all"); got != "12" {
		t.Errorf("all holds %q", got)
	}
	s.expect("")
	s.write("q", "5")
	s.says("all may run: depends on run:q\nrun:q will run: input work:q changed")
	s.expect("ran all; ran run:q")
	s.write("list", "q r")
	s.expect("ran all; ran index; ran run:r")
	if got := s.read("all"); got != "53" {
		t.Errorf("all holds %q", got)
	}
	s.write("list", "q r p")
	s.expect("ran index", "run:p") // what p made is still there
	s.remove("runs/p")
	s.expect("restored run:p", "run:*")
	s.expect("ran all")
	if _, err := s.build("nothing"); err == nil || !strings.Contains(err.Error(), `no step is called "nothing"`) {
		t.Errorf("unknown goal: %v", err)
	}
	s.steps = append(s.steps, Step{Name: "blind", Inputs: []Input{File("work", "runs/q")}, Run: nothing})
	if got, err := s.build(); err == nil || !strings.Contains(s.out.String(), `blind must have OutputsOf("run:q")`) {
		t.Errorf("blind reader: %s, %v\n%s", got, err, s.out.String())
	}
}

func TestLedger(t *testing.T) {
	s := newSpace(t)
	s.write("private/in", "a b")
	ledger := Ref{"private", "ledger"}
	s.steps = []Step{
		{Name: "assign", Inputs: []Input{File("private", "in")}, Ledgers: []Ref{ledger}, Run: func(_ context.Context, t *Task) error {
			in, err := os.ReadFile(t.Path(Ref{"private", "in"}))
			if err != nil {
				return err
			}
			old, err := os.ReadFile(t.Path(ledger))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			known := strings.Fields(string(old))
			for _, word := range strings.Fields(string(in)) {
				if !slices.Contains(known, word) {
					known = append(known, word)
				}
			}
			return os.WriteFile(t.Path(ledger), []byte(strings.Join(known, " ")), 0o600)
		}},
		{Name: "use", Inputs: []Input{File("private", "ledger")}, Outputs: []Output{Out("private", "use")}, Run: concat},
	}
	s.expect("ran assign; ran use")
	s.expect("")
	s.write("private/in", "b c")
	s.expect("ran assign; ran use")
	if got := s.read("private/use"); got != "a b c" {
		t.Errorf("use holds %q", got)
	}
	s.expect("")
	s.write("private/in", "c b")
	s.expect("ran assign")
	s.write("private/ledger", "c")
	s.says("assign will run: ledger private:ledger changed\nuse may run: depends on assign")
	s.expect("ran assign; ran use")
	s.opt.Force = []string{"*"}
	s.expect("ran assign; ran use unchanged")
	if got := s.read("private/ledger"); got != "c b" {
		t.Errorf("ledger holds %q", got)
	}
}

func TestGateAndPrivacy(t *testing.T) {
	s := newSpace(t)
	const secret = "top secret"
	s.write("private/in", secret)
	s.opt.Redact = func(text string) string { return strings.ReplaceAll(text, secret, "[…]") }
	s.opt.Gate = func(ref Ref, path string) error {
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), secret) {
			err = errors.New("it holds a secret")
		}
		return err
	}
	s.steps = []Step{
		{Name: "hush", Inputs: []Input{File("private", "in")}, Outputs: []Output{Out("private", "out")}, Run: func(ctx context.Context, t *Task) error {
			t.Log.Info(secret)
			return concat(ctx, t)
		}},
		{Name: "leak", Inputs: []Input{File("private", "out")}, Outputs: []Output{Out("work", "public")}, Declassifies: true, Run: concat},
		{Name: "tell", Inputs: []Input{File("private", "out")}, Run: func(context.Context, *Task) error { return errors.New(secret) }},
	}
	s.fails("ran hush; failed leak; failed tell", "output work:public may not become public: it holds a secret")
	if _, err := os.Lstat(s.dir + "/public"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the public output is there: %v", err)
	}
	if strings.Contains(s.out.String(), secret) {
		t.Errorf("the console tells:\n%s", s.out.String())
	}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || inside(path, s.dir+"/private") || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		for _, word := range []string{secret, "private/in", "private:in"} {
			if strings.Contains(string(b), word) {
				t.Errorf("%s holds %q", path, word)
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	for _, path := range []string{"private/out", "private/cache/records"} {
		if info, err := os.Stat(filepath.Join(s.dir, path)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
	// The gate closes: what the cache would bring back is refused, too.
	s.steps = s.steps[:2]
	s.write("private/in", "harmless")
	s.expect("ran hush; ran leak")
	s.remove("public")
	s.opt.Gate = func(Ref, string) error { return errors.New("closed") }
	s.fails("failed leak", "may not become public: closed")
}

func TestUndeclared(t *testing.T) {
	s := newSpace(t)
	s.write("in", "1")
	s.steps = []Step{{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Run: func(ctx context.Context, t *Task) error {
		t.Path(Ref{"work", "other"})
		t.Param("p")
		t.Env("HOME")
		return concat(ctx, t)
	}}}
	s.fails("failed a", "the step asked for what it does not declare:\n  environment variable HOME\n  parameter p\n  path work:other\n")
	s.steps[0].Run = func(_ context.Context, t *Task) error {
		for i := range maxMisuse + 7 {
			t.Param(fmt.Sprintf("p%02d", i))
		}
		return nil
	}
	s.fails("failed a", "\n  parameter p18\n  parameter p19\n  and 7 more\n")
	s.steps[0].Run = func(_ context.Context, t *Task) error {
		t.Param("p")
		return nil
	}
	s.fails("failed a", "the step asked for what it does not declare: parameter p\n")
}
