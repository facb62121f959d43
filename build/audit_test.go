package build

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func auditSpace(t *testing.T) *space {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can say which files are opened")
	}
	s := newSpace(t)
	s.opt.Audit = true
	s.opt.Roots["out"] = Root{Path: filepath.Join(s.dir, "out")}
	s.write("in/a", "1")
	s.write("in/b", "2")
	s.write("in/deep/c", "3")
	s.write("secret", "4")
	return s
}

// doing is a step that reads in/a as declared and does something else as well.
func doing(and func(t *Task) error, inputs ...Input) Step {
	return Step{Name: "s", Inputs: append(inputs, File("work", "in/a")), Outputs: []Output{Out("out", "s")},
		Run: func(_ context.Context, t *Task) error {
			data, err := os.ReadFile(t.Path(Ref{"work", "in/a"}))
			if err != nil {
				return err
			}
			if err := and(t); err != nil {
				return err
			}
			return os.WriteFile(t.Out(Ref{"out", "s"}), data, 0o644)
		}}
}

// A step that reads, lists or writes what it does not declare fails, however it
// got at the path.
func TestAuditRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(s *space) func(t *Task) error
		says string
	}{
		"a file": {func(s *space) func(*Task) error {
			return func(*Task) error { _, err := os.ReadFile(filepath.Join(s.dir, "secret")); return err }
		}, "the contents of work:secret"},
		"a neighbour of an input": {func(s *space) func(*Task) error {
			return func(t *Task) error {
				_, err := os.ReadFile(filepath.Join(filepath.Dir(t.Path(Ref{"work", "in/a"})), "b"))
				return err
			}
		}, "the contents of work:in/b"},
		"by a program": {func(s *space) func(*Task) error {
			return func(t *Task) error { return t.Exec(context.Background(), "cat", "secret") }
		}, "the contents of work:secret"},
		"through a link": {func(s *space) func(*Task) error {
			if err := os.Symlink(s.dir, filepath.Join(s.dir, "link")); err != nil {
				s.t.Fatal(err)
			}
			return func(*Task) error { _, err := os.ReadFile(filepath.Join(s.dir, "link/secret")); return err }
		}, "the contents of work:secret"},
		"a directory": {func(s *space) func(*Task) error {
			return func(*Task) error { _, err := os.ReadDir(filepath.Join(s.dir, "in")); return err }
		}, "what is in the directory work:in"},
		"a file left elsewhere": {func(s *space) func(*Task) error {
			return func(*Task) error { return os.WriteFile(filepath.Join(s.dir, "more"), nil, 0o644) }
		}, "a place to write at, work:more"},
		"an input written to": {func(s *space) func(*Task) error {
			return func(*Task) error {
				f, err := os.OpenFile(filepath.Join(s.dir, "secret"), os.O_WRONLY, 0)
				if err != nil {
					return err
				}
				return f.Close()
			}
		}, "a place to write at, work:secret"},
	} {
		t.Run(name, func(t *testing.T) {
			s := auditSpace(t)
			s.steps = []Step{doing(c.do(s))}
			s.fails("failed s", c.says)
			// Nothing of it is kept.
			if _, err := os.Stat(filepath.Join(s.dir, "out/s")); err == nil {
				t.Error("the output was put in place")
			}
		})
	}
}

// What is declared may be read in every way that it can be declared.
func TestAuditAccepts(t *testing.T) {
	s := auditSpace(t)
	s.write("state/ledger", "x")
	s.steps = []Step{
		doing(func(t *Task) error {
			for _, name := range []string{"in/a", "in/b", "in/deep/c"} {
				if _, err := os.ReadFile(filepath.Join(s.dir, name)); err != nil {
					return err
				}
			}
			if _, err := os.ReadDir(filepath.Join(s.dir, "in/deep")); err != nil {
				return err
			}
			scratch := filepath.Join(filepath.Dir(t.Out(Ref{"out", "s"})), "scratch")
			return os.WriteFile(scratch, nil, 0o644)
		}, Glob("work", "in/**")),
		{Name: "tree", Outputs: []Output{OutTree("out", "t")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(filepath.Join(t.Out(Ref{"out", "t"}), "x"), []byte("x"), 0o644)
		}},
		{Name: "reads-tree", Inputs: []Input{File("out", "t")}, Outputs: []Output{Out("out", "r")}, Run: func(_ context.Context, t *Task) error {
			dir := t.Path(Ref{"out", "t"})
			entries, err := os.ReadDir(dir)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(filepath.Join(dir, entries[0].Name()))
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(Ref{"out", "r"}), data, 0o644)
		}},
		{Name: "ledger", Ledgers: []Ref{{"work", "state/ledger"}}, Run: func(_ context.Context, t *Task) error {
			abs := t.Path(Ref{"work", "state/ledger"})
			if err := os.WriteFile(abs+".new", []byte("x"), 0o644); err != nil {
				return err
			}
			return os.Rename(abs+".new", abs)
		}},
		{Name: "program", Inputs: []Input{File("work", "in/b")}, Outputs: []Output{Out("out", "p")}, Command: []string{"cat", "{in}"}, Stdout: "{out}"},
		{Name: "digest", Inputs: []Input{File("work", "secret")}, Outputs: []Output{Out("out", "d")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Out(Ref{"out", "d"}), []byte(t.Digest(Ref{"work", "secret"})), 0o644)
		}},
	}
	s.expect("ran digest; ran ledger; ran program; ran reads-tree; ran s; ran tree")
	if strings.Contains(s.out.String(), "audit:") {
		t.Errorf("something is said to be unread:\n%s", s.out.String())
	}
}

// An input that a step never opens is reported; the step is as good as before.
func TestAuditReportsUnread(t *testing.T) {
	s := auditSpace(t)
	s.steps = []Step{doing(func(*Task) error { return nil }, Glob("work", "in/deep/*"), File("work", "secret"), Glob("work", "none*"), Names("work", "in/*"))}
	s.expect("ran s")
	for _, want := range []string{
		"audit: step s declares and did not read input work:in/deep/*",
		"audit: step s declares and did not read input work:secret",
	} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("the console does not say %q:\n%s", want, s.out.String())
		}
	}
	if n := strings.Count(s.out.String(), "audit:"); n != 2 {
		t.Errorf("%d inputs are reported, want 2:\n%s", n, s.out.String())
	}
}
