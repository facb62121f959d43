package build

import (
	"context"
	"strings"
	"testing"
)

func nothing(context.Context, *Task) error { return nil }

func testOptions(t testing.TB) Options {
	t.Helper()
	dir := t.TempDir()
	return Options{
		Workspace: dir,
		Roots: map[string]Root{
			"work":    {Path: dir},
			"private": {Path: dir + "/private", Private: true},
		},
		PublicCache:  dir + "/.cache",
		PrivateCache: dir + "/private/cache",
		Pools:        map[string]int64{"memory": 10},
	}
}

func TestNewRefuses(t *testing.T) {
	step := func(name string, in []Input, out ...Output) Step {
		return Step{Name: name, Inputs: in, Outputs: out, Run: nothing}
	}
	file := func(path string) []Input { return []Input{File("work", path)} }
	for _, tt := range []struct {
		name  string
		steps []Step
		want  string
	}{
		{"cycle", []Step{step("a", file("z"), Out("work", "x")), step("b", file("x"), Out("work", "y")), step("c", file("y"), Out("work", "z"))}, "a -> c -> b -> a"},
		{"cycle through a glob", []Step{step("a", []Input{Glob("work", "d/*.x")}, Out("work", "e/y")), step("b", file("e/y"), Out("work", "d/1.x"))}, "a -> b -> a"},
		{"cycle through a tree", []Step{step("a", []Input{Glob("work", "d/**/*.x")}, Out("work", "e/y")), step("b", file("e/y"), OutTree("work", "d/sub"))}, "a -> b -> a"},
		{"cycle through steps", []Step{step("a:1", []Input{OutputsOf("b:*")}), step("b:1", []Input{OutputsOf("a:*")})}, "a:1 -> b:1 -> a:1"},
		{"own growth", []Step{{Name: "a", Inputs: []Input{OutputsOf("*:1")}, Grows: "a:", Grow: func(context.Context, *Task) ([]Step, error) { return nil, nil }, Run: nothing}}, "steps that grow from it may match"},
		{"own output", []Step{step("a", file("x"), Out("work", "x"))}, "makes it itself"},
		{"one output twice", []Step{step("a", nil, Out("work", "x")), step("b", nil, Out("work", "x"))}, "step a makes it, too"},
		{"one output by two roots", []Step{step("a", nil, Out("work", "private/x")), step("b", nil, Out("private", "x"))}, "step a makes it, too"},
		{"output in a tree", []Step{step("a", nil, OutTree("work", "d")), step("b", nil, Out("work", "d/e/x"))}, "lies inside what step a makes"},
		{"output in a file", []Step{step("a", nil, Out("work", "d")), step("b", nil, Out("work", "d/x"))}, "lies inside what step a makes"},
		{"one ledger twice", []Step{{Name: "a", Ledgers: []Ref{{"private", "l"}}, Run: nothing}, {Name: "b", Ledgers: []Ref{{"private", "l"}}, Run: nothing}}, "step a makes it, too"},
		{"two steps of one name", []Step{step("a", nil), step("a", nil)}, "two steps are called a"},
		{"escape", []Step{step("a", nil, Out("work", "../x"))}, "leaves its root"},
		{"absolute", []Step{step("a", nil, Out("work", "/x"))}, "leaves its root"},
		{"unclean", []Step{step("a", nil, Out("work", "d//x"))}, `write "d/x"`},
		{"unknown root", []Step{step("a", nil, Out("no", "x"))}, `root "no"`},
		{"unknown pool", []Step{{Name: "a", Pool: "p", Run: nothing}}, `pool "p"`},
		{"unknown kind", []Step{step("a", []Input{File("work", "x").As("k")})}, `kind "k"`},
		{"bad glob", []Step{step("a", []Input{Glob("work", "[")})}, "not a valid glob"},
		{"glob leaves its root", []Step{step("a", []Input{Glob("work", "../*")})}, "leaves its root"},
		{"bad step pattern", []Step{step("a", []Input{OutputsOf("[")})}, "not a valid glob"},
		{"bad name", []Step{step("a b", nil)}, "may not hold"},
		{"no run", []Step{{Name: "a"}}, "nothing to run"},
		{"in the cache", []Step{step("a", nil, Out("work", ".cache/x"))}, "directory of the engine"},
		{"in staging", []Step{step("a", nil, Out("work", stagingDir+"/x"))}, "directory of the engine"},
		{"absent and made", []Step{step("a", nil, Out("work", "x")), step("b", []Input{Absent("work", "x")})}, "step a makes it"},
		{"private to public", []Step{step("a", []Input{File("private", "x")}, Out("work", "y"))}, "declared to declassify"},
		{"private by another root", []Step{step("a", file("private/x"), Out("work", "y"))}, "declared to declassify"},
		{"private by glob base", []Step{step("a", []Input{Glob("work", "private/*")}, Out("work", "y"))}, "declared to declassify"},
		{"private ledger to public", []Step{{Name: "a", Ledgers: []Ref{{"private", "l"}}, Outputs: []Output{Out("work", "y")}, Run: nothing}}, "declared to declassify"},
		{"private through steps", []Step{step("a", nil, Out("private", "x")), step("b", []Input{OutputsOf("a")}, Out("work", "y"))}, "step b reads private files"},
		{"parameter that is no data", []Step{{Name: "a", Run: nothing, Params: map[string]any{"f": func() {}}}}, "not plain data"},
		{"parameter with a hidden part", []Step{{Name: "a", Run: nothing, Params: map[string]any{"f": struct{ x int }{1}}}}, "would not be in the key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := New(testOptions(t), tt.steps)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestNewAccepts(t *testing.T) {
	steps := []Step{
		{Name: "a", Outputs: []Output{Out("private", "x")}, Run: nothing},
		{Name: "b", Inputs: []Input{File("private", "x")}, Outputs: []Output{Out("work", "y")}, Declassifies: true, Run: nothing},
		{Name: "c", Inputs: []Input{File("work", "y"), Glob("work", "{a,b}/**/*.csv"), Names("work", "*.txt"), Absent("work", "no")}, Outputs: []Output{OutTree("work", "t")}, Run: nothing},
		{Name: "d", Inputs: []Input{Glob("work", "t/*/x")}, Run: nothing, Pool: "memory", Weight: 99, Params: map[string]any{"n": 1, "m": map[string][]float64{"x": {1, 2}}}},
	}
	g, err := New(testOptions(t), steps)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Outputs("a", "c"); len(got) != 2 || got[0].String() != "private:x" || got[1].String() != "work:t" {
		t.Errorf("outputs of a and c: %v", got)
	}
}
