package build

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rows is a step for each CSV file and one over all.
func rows() []Step {
	return []Step{
		Map("rows", Glob("work", "data/**/*.csv"), func(f Ref) Step {
			return Step{Inputs: []Input{File(f.Root, f.Path)}, Outputs: []Output{Out("work", "out/"+strings.ReplaceAll(f.Path, "/", "_"))}, Run: concat}
		}),
		{Name: "all", Inputs: []Input{OutputsOf("rows:*")}, Outputs: []Output{Out("work", "all")}, Run: concat},
	}
}

func TestMap(t *testing.T) {
	s := newSpace(t)
	s.steps = rows()
	s.expect("ran all") // of nothing
	s.write("data/a.csv", "1")
	s.write("data/sub/b.csv", "2")
	s.write("data/other", "3")
	// What grows is known before anything has run.
	s.says("all may run: depends on rows:a.csv\nrows:a.csv will run: never built\nrows:sub:b.csv will run: never built")
	s.expect("ran all; ran rows:a.csv; ran rows:sub:b.csv")
	if got := s.read("all"); got != "12" {
		t.Errorf("all holds %q", got)
	}
	s.expect("")
	s.write("data/a.csv", "4")
	s.says("all may run: depends on rows:a.csv\nrows:a.csv will run: input work:data/a.csv changed")
	s.expect("ran all; ran rows:a.csv")
	s.write("data/c.csv", "5")
	s.expect("ran all; ran rows:c.csv", "all")
	s.remove("data/a.csv")
	s.says("all will run: input work:out/data_a.csv removed")
	s.expect("ran all")
	if got := s.read("all"); got != "52" {
		t.Errorf("all holds %q", got)
	}
	// Nothing can be forced where nothing runs.
	s.opt.Force = []string{"rows"}
	s.expect("")
	s.opt.Force = nil
	s.write("data/sub/b.csv", "6")
	s.expect("ran rows:sub:b.csv", "rows:sub:*")
}

// Steps for files that other steps make are known when those have run.
func TestMapOverOutputs(t *testing.T) {
	s := newSpace(t)
	s.write("data/a.csv", "1")
	s.write("data/b.csv", "2")
	s.steps = append(rows(), Map("up", OutputsOf("rows:*"), func(f Ref) Step {
		return Step{Name: "up:" + filepath.Base(f.Path), Inputs: []Input{File(f.Root, f.Path)}, Outputs: []Output{Out("work", "up/"+filepath.Base(f.Path))}, Run: concat}
	}), Step{Name: "last", Inputs: []Input{OutputsOf("up:*")}, Outputs: []Output{Out("work", "last")}, Run: concat})
	s.expect("ran all; ran last; ran rows:a.csv; ran rows:b.csv; ran up:data_a.csv; ran up:data_b.csv")
	s.write("data/c.csv", "3")
	s.expect("ran all; ran last; ran rows:c.csv; ran up:data_c.csv")
	if got := s.read("last"); got != "123" {
		t.Errorf("last holds %q", got)
	}
	s.expect("")
}

func TestMapIsPrivate(t *testing.T) {
	s := newSpace(t)
	s.write("private/x", "1")
	step := func(f Ref) Step {
		return Step{Outputs: []Output{Out("work", filepath.Base(f.Path))}, Run: nothing}
	}
	s.steps = []Step{Map("m", Glob("private", "*"), step)}
	s.fails("failed m", "only a step that is declared to declassify")
}

func TestNameAfter(t *testing.T) {
	long := strings.Repeat("x", 100)
	for _, tt := range [][3]string{
		{"", "a.csv", "m:a.csv"},
		{"data", "data/a.csv", "m:a.csv"},
		{"data", "data/sub/a b.csv", "m:sub:a%20b.csv"},
		{"data", "data/a:b*é.csv", "m:a%3Ab%2A%C3%A9.csv"},
	} {
		if got := nameAfter("m", tt[0], tt[1]); got != tt[2] {
			t.Errorf("%q of %q is %q, want %q", tt[1], tt[0], got, tt[2])
		}
	}
	a, b := nameAfter("m", "", long+"a"), nameAfter("m", "", long+"b")
	if a == b || len(a) != maxName || checkName(a) != nil {
		t.Errorf("long names are %q and %q", a, b)
	}
}

func TestWorkspace(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "in"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	o, err := Workspace(dir)
	if err != nil {
		t.Fatal(err)
	}
	o.Stdout = nil
	ran := 0
	step := Step{Name: "a", Inputs: in("in"), Outputs: []Output{Out(Work, "out")}, Run: func(ctx context.Context, t *Task) error {
		ran++
		return concat(ctx, t)
	}}
	build := func() {
		t.Helper()
		g, err := New(o, []Step{step})
		if err == nil {
			_, err = g.Build(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	build()
	build()
	if ran != 1 {
		t.Errorf("the step ran %d times, want once", ran)
	}
	// Another program: what a function does may be something else.
	o.Code = func([]string) (string, error) { return "another", nil }
	build()
	if ran != 2 {
		t.Error("another program made nothing stale")
	}
	for name, bad := range map[string]string{"JOBS": "0", "DRY_RUN": "perhaps", "LOG_FORMAT": "xml", "FORCE": "{"} {
		t.Setenv(name, bad)
		o, err := Workspace(dir)
		if err == nil {
			_, err = New(o, nil)
		}
		if err == nil {
			t.Errorf("%s=%s is accepted", name, bad)
		}
		t.Setenv(name, "")
	}
	for name, value := range map[string]string{"JOBS": "3", "FORCE": "a:*,b", "FAIL_FAST": "yes", "NOWAIT": "on", "DRY_RUN": "true", "LOG_FORMAT": "json", "NO_COLOR": "1"} {
		t.Setenv(name, value)
	}
	o, err = Workspace(dir)
	if err != nil || o.Jobs != 3 || strings.Join(o.Force, " ") != "a:* b" || !o.FailFast || !o.NoWait || !o.DryRun || !o.NoColor || o.LogFormat != "json" {
		t.Errorf("%+v %v", o, err)
	}
	t.Setenv("FORCE", "no")
	if o, err = Workspace(dir); err != nil || len(o.Force) != 0 {
		t.Errorf("FORCE=no: %v %v", o.Force, err)
	}
	if _, err := Workspace(filepath.Join(dir, "none")); err == nil {
		t.Error("a directory that is not there is accepted")
	}
}

func TestExecutable(t *testing.T) {
	d, err := Executable()
	if err != nil || len(d) != 64 {
		t.Errorf("%q %v", d, err)
	}
}
