package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/store"
)

// copyStep copies in to out of the root "work".
func copyStep(name, in, out string) Step {
	return Step{Name: name, Inputs: []Input{File("work", in)}, Outputs: []Output{Out("work", out)},
		Run: func(_ context.Context, t *Task) error {
			data, err := os.ReadFile(t.Path(Ref{"work", in}))
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(Ref{"work", out}), data, 0o644)
		}}
}

// An input that is changed and changed back while a step reads it has the same
// contents before and after, and yet the step may have read others.
func TestInputMovesAndMovesBack(t *testing.T) {
	s := newSpace(t)
	s.write("in", "A")
	moves := true
	step := copyStep("a", "in", "out")
	plain := step.Run
	step.Run = func(ctx context.Context, t *Task) error {
		if moves {
			s.write("in", "B")
			defer s.write("in", "A")
		}
		return plain(ctx, t)
	}
	s.steps = []Step{step}
	s.fails("failed a", "tainted: while the step ran input")
	moves = false
	s.expect("ran a")
	if got := s.read("out"); got != "A" {
		t.Errorf("the output is %q, want A", got)
	}
}

// What the index has of inputs is read from its file when it is asked for. Where that is
// lost while a step runs nobody can tell whether they are what they were.
func TestIndexLostMeanwhile(t *testing.T) {
	s := newSpace(t)
	s.write("in", "A")
	lose := false
	step := copyStep("a", "in", "out")
	plain := step.Run
	step.Run = func(ctx context.Context, t *Task) error {
		if lose {
			if err := os.Truncate(filepath.Join(s.opt.PublicCache, "index"), 0); err != nil {
				return err
			}
		}
		return plain(ctx, t)
	}
	s.steps = []Step{step}
	s.expect("ran a")
	time.Sleep(testGap + testGap/2) // nothing is remembered of what is young
	s.expect("")
	s.steps[0].Params, lose = map[string]any{"again": true}, true
	s.fails("failed a", "tainted: while the step ran input")
	lose = false
	s.expect("ran a unchanged")
}

// One private file may lie beside public ones: its root holds that file alone.
func TestRootOfOneFile(t *testing.T) {
	s := newSpace(t)
	s.write("secret.db", "PRIVATE")
	s.write("plain", "x")
	s.opt.Roots["source"] = Root{Path: s.dir, Private: true, Only: []string{"secret.db"}}
	var gated []string
	s.opt.Gate = func(ref Ref, path string) error {
		gated = append(gated, ref.String())
		return nil
	}
	declassify := copyStep("d", "plain", "public.db")
	declassify.Inputs = append(declassify.Inputs, File("source", "secret.db"))
	declassify.Declassifies = true
	s.steps = []Step{declassify, copyStep("e", "public.db", "figure")}
	s.expect("ran d; ran e")
	if got := strings.Join(gated, " "); got != "work:public.db work:figure" {
		t.Errorf("the gate saw %q", got)
	}
	// A pattern of the public root does not see the private file, and a public
	// step may not read it.
	leak := Step{Name: "f", Inputs: []Input{Glob("work", "*.db")}, Outputs: []Output{Out("work", "list")},
		Run: func(_ context.Context, t *Task) error {
			var names []string
			for _, ref := range t.Files(Glob("work", "*.db")) {
				names = append(names, ref.Path)
			}
			return os.WriteFile(t.Out(Ref{"work", "list"}), []byte(strings.Join(names, " ")), 0o644)
		}}
	s.steps = append(s.steps, leak)
	s.expect("ran f")
	if got := s.read("list"); got != "public.db" {
		t.Errorf("the pattern matched %q", got)
	}
	// A pattern of the root of one file matches that file alone.
	private := Step{Name: "p", Inputs: []Input{Glob("source", "*")}, Ledgers: nil, Outputs: []Output{Out("private", "list")},
		Run: func(_ context.Context, t *Task) error {
			files := t.Files(Glob("source", "*"))
			if len(files) != 1 || files[0].Path != "secret.db" {
				return fmt.Errorf("the pattern matched %v", files)
			}
			return os.WriteFile(t.Out(Ref{"private", "list"}), nil, 0o600)
		}}
	s.opt.Roots["private"] = Root{Path: filepath.Join(s.dir, "private"), Private: true}
	s.steps = append(s.steps, private)
	s.expect("ran p")
	for _, bad := range []Step{
		{Name: "g", Inputs: []Input{File("source", "plain")}, Outputs: []Output{Out("work", "g")}, Run: leak.Run},
		{Name: "g", Outputs: []Output{Out("source", "secret.db")}, Run: leak.Run},
		{Name: "g", Inputs: []Input{File("work", "secret.db")}, Outputs: []Output{Out("work", "g")}, Run: leak.Run},
	} {
		if _, err := New(s.opt, []Step{bad}); err == nil {
			t.Errorf("accepted %+v", bad.Inputs)
		}
	}
}

// The log of a public step may be shared: it holds neither what Redact takes out
// nor where the roots are on this machine.
func TestPublicLog(t *testing.T) {
	s := newSpace(t)
	s.write("in", "A")
	s.opt.Redact = func(text string) string { return strings.ReplaceAll(text, "CODE", "[code]") }
	step := copyStep("a", "in", "out")
	plain := step.Run
	step.Run = func(ctx context.Context, t *Task) error {
		t.Log.Info("reading CODE", "file", t.Path(Ref{"work", "in"}))
		return plain(ctx, t)
	}
	s.steps = []Step{step}
	sum, err := s.graph().Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(sum.Steps[0].LogPath)
	if err != nil {
		t.Fatal(err)
	}
	if log := string(text); strings.Contains(log, "CODE") || strings.Contains(log, s.dir) || !strings.Contains(log, "[code]") || !strings.Contains(log, "work:in") {
		t.Errorf("the log says %s", log)
	}
}

// Clean removes what steps of the graph make and nothing else: not a source
// that an earlier graph made, not in a dry run.
func TestCleanKeepsSources(t *testing.T) {
	s := newSpace(t)
	s.write("in", "A")
	s.steps = []Step{copyStep("make", "in", "database"), copyStep("draw", "database", "figure")}
	s.expect("ran draw; ran make")
	s.steps = s.steps[1:]
	s.opt.DryRun = true
	cleaned, err := s.graph().Clean(t.Context())
	if err != nil || len(cleaned.Removed) != 1 || s.read("figure") != "A" {
		t.Errorf("a dry run: %+v, %v", cleaned, err)
	}
	s.opt.DryRun = false
	if cleaned, err = s.graph().Clean(t.Context()); err != nil || len(cleaned.Removed) != 1 {
		t.Errorf("clean: %+v, %v", cleaned, err)
	}
	if got := s.read("database"); got != "A" {
		t.Errorf("the source is %q", got)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "figure")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the figure is still there: %v", err)
	}
}

// What has ended is recorded while a later step still runs.
func TestRecordsDoNotWaitForALongStep(t *testing.T) {
	s := newSpace(t)
	s.write("in", "A")
	recorded := false
	long := copyStep("b", "a", "b")
	plain := long.Run
	long.Run = func(ctx context.Context, task *Task) error {
		deadline := time.Now().Add(10 * time.Second)
		for time.Now().Before(deadline) && !recorded {
			time.Sleep(50 * time.Millisecond)
			st, err := store.OpenReader(s.opt.PublicCache, store.Public, 0)
			if err != nil {
				return err
			}
			_, recorded = st.Records.Last("a")
			if err := st.Close(); err != nil {
				return err
			}
		}
		return plain(ctx, task)
	}
	s.steps = []Step{copyStep("a", "in", "a"), long}
	s.expect("ran a; ran b")
	if !recorded {
		t.Error("the record of a was not written while b ran")
	}
}

// What a step has made is known of it as such even where its record is longer than what
// is read of one as a rule: nothing of it is kept aside as if somebody had edited it.
func TestLongRecordOfOutputs(t *testing.T) {
	s := newSpace(t)
	s.steps = []Step{{Name: "t", Outputs: []Output{OutTree("work", "tree")}, Run: func(_ context.Context, t *Task) error {
		for i := range 30 {
			name := filepath.Join(t.Out(Ref{"work", "tree"}), fmt.Sprint(i))
			if err := os.WriteFile(name, fmt.Append(nil, t.n.Params, i), 0o666); err != nil {
				return err
			}
		}
		return nil
	}}}
	for again := range 3 {
		s.steps[0].Params = map[string]any{"again": again}
		s.expect("ran t")
	}
	if kept, err := filepath.Glob(filepath.Join(s.opt.PublicCache, "rescued", "*")); err != nil || len(kept) > 0 {
		t.Errorf("kept aside: %v, %v", kept, err)
	}
}
