package build

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/history"
)

// past returns the history of the newest build.
func (s *space) past(private string) *history.Build {
	s.t.Helper()
	id, err := history.Find(s.opt.PublicCache, history.Last)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := history.Read(s.opt.PublicCache, private, id)
	if err != nil {
		s.t.Fatal(err)
	}
	if b.Damaged != 0 {
		s.t.Errorf("%d lines of events are damaged", b.Damaged)
	}
	return b
}

func (s *space) pastStep(name string) history.Step {
	s.t.Helper()
	for _, step := range s.past(s.opt.PrivateCache).Steps {
		if step.Name == name {
			return step
		}
	}
	s.t.Errorf("the history has no step %s", name)
	return history.Step{}
}

func TestTrail(t *testing.T) {
	s := newSpace(t)
	s.opt.Target = "reproduce"
	s.write("in", "1")
	s.write("other", "1")
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Run: concat},
		{Name: "b", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "b")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Out(Ref{"work", "b"}), []byte("always"), 0o666)
		}},
		{Name: "c", Inputs: []Input{File("work", "b"), File("work", "other")}, Outputs: []Output{Out("work", "c")}, Run: concat},
	}
	s.expect("ran a; ran b; ran c")
	first := s.past("")
	if first.Target != "reproduce" || first.State != history.Done || len(first.Steps) != 3 || *first.Fresh != 0 {
		t.Errorf("first build: %+v", first)
	}
	a1, b1 := s.pastStep("a"), s.pastStep("b")
	if a1.Was != "" || a1.Key == "" || len(a1.Outputs) != 1 || a1.Outputs[0].Was != "" || a1.Outputs[0].Now == "" || len(a1.Needs) != 0 {
		t.Errorf("a in the first build: %+v", a1)
	}
	if diff := cmp.Diff([]string{"a"}, b1.Needs); diff != "" || b1.Begun < a1.Begun+a1.Seconds {
		t.Errorf("what b waited for: %s; it began at %v, a ended at %v", diff, b1.Begun, a1.Begun+a1.Seconds)
	}

	s.expect("")
	if b := s.past(""); len(b.Steps) != 0 || *b.Fresh != 3 {
		t.Errorf("a build that did nothing: %+v", b)
	}

	s.write("in", "2")
	s.write("other", "2")
	s.expect("ran a; ran b unchanged; ran c")
	a2, b2, c2 := s.pastStep("a"), s.pastStep("b"), s.pastStep("c")
	if a2.Was != a1.Key || a2.Key == a1.Key || a2.Outputs[0].Was != a1.Outputs[0].Now || a2.Outputs[0].Now == a2.Outputs[0].Was {
		t.Errorf("a when its input had changed: %+v, before %+v", a2, a1)
	}
	if !b2.Unchanged || b2.Outputs[0].Now != b2.Outputs[0].Was {
		t.Errorf("b ran and changed nothing: %+v", b2)
	}
	if len(c2.Needs) != 1 {
		t.Errorf("c waited for %v", c2.Needs)
	}

	// Back to contents that are on record: b is fresh, yet on another key.
	s.write("in", "1")
	s.expect("restored a")
	if a := s.pastStep("a"); a.State != string(StateRestored) || a.Key != a1.Key || a.Was != a2.Key || a.Outputs[0].Now != a1.Outputs[0].Now {
		t.Errorf("a restored: %+v", a)
	}
	if b := s.pastStep("b"); b.State != string(StateFresh) || b.Key != b1.Key || b.Was != b2.Key {
		t.Errorf("b as it was before: %+v", b)
	}
}

// What waits for a fresh step waits for what that had to wait for.
func TestTrailBehindFreshSteps(t *testing.T) {
	s := newSpace(t)
	s.write("in", "1")
	s.write("other", "1")
	s.steps = []Step{
		{Name: "a", Inputs: []Input{File("work", "in")}, Outputs: []Output{Out("work", "a")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Out(Ref{"work", "a"}), []byte("always"), 0o666)
		}},
		{Name: "b", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "b")}, Run: concat},
		{Name: "c", Inputs: []Input{File("work", "b"), File("work", "other")}, Outputs: []Output{Out("work", "c")}, Run: concat},
	}
	s.expect("ran a; ran b; ran c")
	s.write("in", "2")
	s.write("other", "2")
	s.expect("ran a unchanged; ran c")
	if diff := cmp.Diff([]string{"a"}, s.pastStep("c").Needs); diff != "" {
		t.Errorf("what c waited for (-want +got):\n%s", diff)
	}
}

func TestTrailOfAttempts(t *testing.T) {
	for name, private := range map[string]string{"public": "work", "private": "private"} {
		t.Run(name, func(t *testing.T) {
			s := newSpace(t)
			s.write("in", "1")
			s.write("private/in", "1")
			tries := 0
			s.steps = []Step{{Name: "a", Inputs: []Input{File(private, "in")}, Retries: 2, Run: func(_ context.Context, t *Task) error {
				tries++
				t.Log.Info("try", "number", tries)
				if tries < 3 {
					return Transient(errors.New("patient locked"))
				}
				return nil
			}}}
			s.expect("ran a")
			a := s.pastStep("a")
			if diff := cmp.Diff([]string{"patient locked", "patient locked"}, a.Errors); diff != "" || a.Attempts != 3 {
				t.Errorf("%d attempts, errors (-want +got):\n%s", a.Attempts, diff)
			}
			id := s.past("").ID
			for i := range 3 {
				log, err := history.ReadLog(s.opt.PublicCache, s.opt.PrivateCache, id, &a, i+1)
				if err != nil || strings.Count(string(log), "msg=try") != 1 || strings.Contains(string(log), "trying again") != (i < 2) {
					t.Errorf("log of attempt %d: %v\n%s", i+1, err, log)
				}
			}
		})
	}
}

// Nothing that a private step was told, read or made is in the public tier,
// whatever becomes of it.
func TestTrailOfPrivateSteps(t *testing.T) {
	s := newSpace(t)
	s.opt.Jobs = 1
	s.write("private/of-patient", "1")
	s.opt.Digests = map[string]func(context.Context, string) (string, error){"patients": func(context.Context, string) (string, error) { return "patients-digest", nil }}
	s.steps = []Step{
		{Name: "fails", Inputs: []Input{File("private", "of-patient")}, Params: map[string]any{"patient": 1}, Run: func(context.Context, *Task) error { return errors.New("patient failed") }},
		{Name: "panics", Inputs: []Input{File("private", "of-patient")}, Run: func(context.Context, *Task) error { panic("patient") }},
		{Name: "tries", Inputs: []Input{File("private", "of-patient")}, Retries: 1, Run: func(context.Context, *Task) error { return Transient(errors.New("patient")) }},
		{Name: "lacks", Inputs: []Input{File("private", "not-of-patient")}, Run: nothing},
		{Name: "runs", Inputs: []Input{File("private", "of-patient")}, Outputs: []Output{Out("private", "patients").As("patients")}, Run: concat},
		{Name: "restored", Inputs: []Input{File("private", "patients")}, Outputs: []Output{Out("private", "patients2")}, Run: concat},
		{Name: "skipped", Inputs: []Input{OutputsOf("fails"), File("private", "patients")}, Run: nothing},
		{Name: "coded", Inputs: []Input{File("private", "patients")}, Outputs: []Output{Out("work", "coded")}, Declassifies: true, Run: concat},
	}
	keys := map[string]bool{}
	for round := range 3 {
		_, err := s.graph().Build(t.Context())
		var failed *Failed
		if !errors.As(err, &failed) {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, step := range s.past(s.opt.PrivateCache).Steps {
			if step.Key != "" {
				keys[step.Key] = true
			}
			for _, out := range step.Outputs {
				keys[out.Now] = true
			}
			if !step.Private {
				t.Errorf("%s counts as public", step.Name)
			}
		}
		s.remove("private/patients2")
		s.write("private/of-patient", strings.Repeat("1", round))
	}
	if len(keys) < 8 {
		t.Errorf("the private tier holds %d keys and digests", len(keys))
	}
	found := 0
	err := filepath.WalkDir(filepath.Join(s.opt.PublicCache, "runs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		found++
		data, err := os.ReadFile(path)
		for _, word := range []string{"patient", s.dir, "of-patient"} {
			if strings.Contains(string(data), word) {
				t.Errorf("%s holds %q:\n%s", path, word, data)
			}
		}
		for key := range keys {
			if strings.Contains(string(data), key) {
				t.Errorf("%s holds the digest %s", path, key)
			}
		}
		return err
	})
	if err != nil || found != 6 {
		t.Errorf("%d public files of three builds, want events and summary of each: %v", found, err)
	}
}
