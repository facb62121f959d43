package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// study writes a small graph of all kinds of edges: private sources, a grower,
// a declassifier, readers of what it makes.
func study(t *testing.T, runs int) *space {
	s := newSpace(t)
	var names []string
	for i := range runs {
		names = append(names, fmt.Sprintf("p%02d", i))
		s.write("private/src/"+names[i], fmt.Sprint(i))
	}
	s.write("private/list", strings.Join(names, " "))
	s.write("style", "plain")
	s.steps = []Step{
		{Name: "index", Inputs: []Input{File("private", "list")}, Outputs: []Output{Out("private", "index")}, Run: concat, Code: []string{"lister"},
			Grows: "run:", Grow: func(_ context.Context, t *Task) ([]Step, error) {
				b, err := os.ReadFile(t.Out(Ref{"private", "index"}))
				if err != nil {
					return nil, err
				}
				var steps []Step
				for _, name := range strings.Fields(string(b)) {
					steps = append(steps, Step{Name: "run:" + name, Inputs: []Input{File("private", "src/"+name)}, Outputs: []Output{Out("private", "runs/"+name)}, Code: []string{"reader"}, Run: concat})
				}
				return steps, nil
			}},
		{Name: "publish", Inputs: []Input{OutputsOf("run:*")}, Outputs: []Output{Out("work", "out/table")}, Declassifies: true, Code: []string{"writer"}, Params: map[string]any{"digits": 3}, Run: concat},
		{Name: "picture", Doc: "draw the table", Inputs: []Input{File("work", "out/table"), File("work", "style")}, Outputs: []Output{Out("work", "out/picture")}, Code: []string{"pen"}, Env: []string{"BUILD_TEST_PEN"}, Run: concat},
	}
	return s
}

func (s *space) explain(what string) *Explanation {
	s.t.Helper()
	e, err := s.graph().Explain(s.t.Context(), what)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func text(t *testing.T, e *Explanation) string {
	t.Helper()
	var b strings.Builder
	if err := e.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestExplainChain(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	e := s.explain("out/picture")
	var order []string
	for _, a := range e.Steps {
		order = append(order, a.Name+" "+string(a.Verdict))
	}
	if diff := cmp.Diff([]string{"picture fresh", "publish fresh", "run:p00 fresh", "run:p01 fresh", "index fresh"}, order); diff != "" {
		t.Errorf("chain (-want +got):\n%s", diff)
	}
	if !e.Made || e.What != "work:out/picture" || e.Redacted {
		t.Errorf("explanation of %s: made %t, redacted %t", e.What, e.Made, e.Redacted)
	}
	// The files are the ones on disk, with the digests that they have.
	table := e.Steps[0].Reads[0].Files[0]
	if table.Ref != "work:out/table" || table.Maker != "publish" || table.Size != 2 || table.Digest != e.Steps[1].Makes[0].Digest || len(table.Digest) != 64 {
		t.Errorf("input of picture: %+v, made as %+v", table, e.Steps[1].Makes)
	}
	pickle := e.Steps[2].Reads[0].Files[0]
	if pickle.Ref != "private:src/p00" || pickle.Maker != "" || pickle.Digest == "" {
		t.Errorf("input of run:p00: %+v", pickle)
	}
	// Whatever names the file means the same.
	for _, what := range []string{"picture", "work:out/picture", filepath.Join(s.dir, "out/picture"), "./out/picture"} {
		if diff := cmp.Diff(e.Steps, s.explain(what).Steps, cmp.AllowUnexported(Decision{})); diff != "" {
			t.Errorf("%s is explained otherwise than out/picture:\n%s", what, diff)
		}
	}
	want := `work:out/picture: made by picture

picture  fresh, N s when it last ran
  draw the table
  reads    work:out/table  DIGEST  from publish
  reads    work:style  DIGEST
  makes    work:out/picture  DIGEST

publish  fresh, N s when it last ran
  reads    outputs of run:*: 2 files
           private:runs/p00  DIGEST  from run:p00
           private:runs/p01  DIGEST  from run:p01
  makes    work:out/table  DIGEST

run:p00  fresh, N s when it last ran
  reads    private:src/p00  DIGEST
  makes    private:runs/p00  DIGEST

run:p01  fresh, N s when it last ran
  reads    private:src/p01  DIGEST
  makes    private:runs/p01  DIGEST

index  fresh, N s when it last ran
  reads    private:list  DIGEST
  makes    private:index  DIGEST
`
	got := regexp.MustCompile(`\b[0-9a-f]{12}\b`).ReplaceAllString(text(t, e), "DIGEST")
	got = regexp.MustCompile(`[0-9.]+ s when`).ReplaceAllString(got, "N s when")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("explanation (-want +got):\n%s", diff)
	}
}

func TestExplainSource(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	e := s.explain("private/src/p01")
	if e.Made || len(e.Steps) != 0 || !slices.Equal(e.Readers, []string{"run:p01"}) || e.What != "private:src/p01" {
		t.Errorf("explanation of a source: %+v", e)
	}
	if got := text(t, e); got != "private:src/p01: a source that no step makes\n  read by  run:p01\n" {
		t.Error(got)
	}
}

func TestExplainStale(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	was := s.explain("picture").Steps[0]
	s.write("style", "bold")
	t.Setenv("BUILD_TEST_PEN", "do not show this")
	code := s.opt.Code
	s.opt.Code = func(p []string) (string, error) {
		if p[0] == "pen" {
			return "new pen", nil
		}
		return code(p)
	}
	s.steps[2].Params = map[string]any{"colour": "red"}
	a := s.explain("picture").Steps[0]
	if a.Verdict != WillRun || a.Key == was.Key {
		t.Errorf("picture: %s, key %s, was %s", a.Verdict, a.Key, was.Key)
	}
	want := []Change{
		{Field: "code", How: "changed", Then: "code of pen", Now: "new pen"},
		{Field: "parameter", Name: "colour", How: "added", Now: `"red"`},
		{Field: "environment variable", Name: "BUILD_TEST_PEN", How: "changed", Then: "not set", Now: "set"},
		{Field: "input", Name: "work:style", How: "changed", Then: was.Reads[1].Files[0].Digest, Now: a.Reads[1].Files[0].Digest},
	}
	if diff := cmp.Diff(want, a.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	got := text(t, s.explain("picture"))
	for _, want := range []string{
		"  changed  code changed: code of pen -> new pen\n",
		"  changed  input work:style changed: " + want[3].Then[:12] + " -> " + want[3].Now[:12] + "\n",
		"  changed  environment variable BUILD_TEST_PEN changed: not set -> set\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the explanation lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "do not show") {
		t.Errorf("the value of an environment variable is shown:\n%s", got)
	}
	// The reasons of status are the same changes.
	if diff := cmp.Diff(tell(a.Changes), a.Reasons); diff != "" {
		t.Errorf("reasons and changes differ:\n%s", diff)
	}
	// What is downstream of something stale has no changes yet.
	s.write("private/src/p00", "other")
	a = s.explain("picture").Steps[0]
	if a.Verdict != MayRun || a.Key != "" || len(a.Changes) != 0 || !slices.Equal(a.Reasons, []string{"depends on publish"}) {
		t.Errorf("picture below a stale step: %+v", a)
	}
}

// TestCodeOfOneStep is what status says after an upgrade of the program: which
// steps it will rebuild, and that the code is why.
func TestCodeOfOneStep(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	code := s.opt.Code
	s.opt.Code = func(p []string) (string, error) {
		d, err := code(p)
		if slices.Contains(p, "reader") {
			d += " of the next version"
		}
		return d, err
	}
	s.says("picture may run: depends on publish\npublish may run: depends on run:p00\nrun:p00 will run: code changed\nrun:p01 will run: code changed")
	s.expect("ran run:p00 unchanged; ran run:p01 unchanged")
}

func TestExplainMany(t *testing.T) {
	s := study(t, 12)
	if _, err := s.build(); err != nil {
		t.Fatal(err)
	}
	e := s.explain("picture")
	e.Focus = []string{"run:p07"}
	got := text(t, e)
	if !strings.Contains(got, "\nrun:p07  fresh") || strings.Contains(got, "\nrun:p06 ") || !strings.Contains(got, "\nand 11 steps more that grew from index: 11 fresh\n") {
		t.Errorf("focus on run:p07:\n%s", got)
	}
	for i := range 6 {
		s.write(fmt.Sprintf("private/src/p%02d", i), "other")
	}
	got = text(t, s.explain("picture"))
	if !strings.Contains(got, "\nrun:p03  will run") || strings.Contains(got, "\nrun:p04 ") || !strings.Contains(got, "\nand 8 steps more that grew from index: 6 fresh, 2 will run\n") {
		t.Errorf("six stale runs:\n%s", got)
	}
}

// TestExplainRedacted looks with the eyes of someone who has only what was
// published, and the program.
func TestExplainRedacted(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	private := map[string]bool{}
	for _, a := range s.explain("picture").Steps {
		for _, r := range a.Reads {
			for _, f := range r.Files {
				if strings.HasPrefix(f.Ref, "private:") {
					private[f.Ref], private[f.Digest] = true, true
				}
			}
		}
	}
	if len(private) != 8 { // each run makes what it reads
		t.Fatalf("%d private refs and digests", len(private))
	}
	s.remove("private")
	e := s.explain("picture")
	d, err := s.graph().Draw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, write := range []func() error{
		func() error { return e.Write(&b) }, func() error { return e.WriteJSON(&b) },
		func() error { return d.Mermaid(&b) }, func() error { return d.WriteJSON(&b) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	_, unknown := s.graph().Explain(t.Context(), "priv")
	got := b.String() + unknown.Error()
	if strings.Contains(got, "private:") || strings.Contains(got, "src/") {
		t.Errorf("a private path is shown:\n%s", got)
	}
	for secret := range private {
		if strings.Contains(got, secret) || len(secret) == 64 && strings.Contains(got, secret[:12]) {
			t.Errorf("%s is shown", secret)
		}
	}
	if !e.Redacted || !strings.Contains(got, "private files and what is known of them are left out") {
		t.Errorf("nothing says that something was left out:\n%s", got)
	}
	if !strings.Contains(got, "work:out/table") || !strings.Contains(got, "index") {
		t.Errorf("the public side is not shown:\n%s", got)
	}
	if e, err := s.graph().Explain(t.Context(), "private/index"); err != nil || e.What != "private/index" {
		t.Errorf("a private path that somebody guessed: %+v, %v", e, err)
	}
}

func TestUnknownName(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	for what, want := range map[string][]string{
		"pictur":      {"picture", "out/picture"},
		"out/tabel":   {"out/table"},
		"run:p02":     {"run:p00", "run:p01", "runs/p00"},
		"src/p03":     {"src/p00", "src/p01"},
		"zzzzzzzzzzz": nil,
		"":            nil,
		"../x":        nil,
	} {
		_, err := s.graph().Explain(t.Context(), what)
		var unknown *Unknown
		if !errors.As(err, &unknown) {
			t.Errorf("%q: %v", what, err)
			continue
		}
		if diff := cmp.Diff(want, unknown.Nearest); diff != "" {
			t.Errorf("%q (-want +got):\n%s", what, diff)
		}
		for _, err := range []error{second(s.graph().Uses(t.Context(), what)), second(s.graph().Makes(t.Context(), what))} {
			if !errors.As(err, &unknown) {
				t.Errorf("%q: %v", what, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestUsesAndMakes(t *testing.T) {
	s := study(t, 2)
	s.steps = append(s.steps,
		Step{Name: "tree", Inputs: []Input{Names("private", "src/*")}, Outputs: []Output{OutTree("private", "tree")}, Run: func(_ context.Context, t *Task) error {
			return os.WriteFile(filepath.Join(t.Out(Ref{"private", "tree"}), "leaf"), nil, 0o600)
		}},
		Step{Name: "leaves", Inputs: []Input{Glob("private", "tree/*")}, Outputs: []Output{Out("private", "leaves")}, Run: concat})
	if _, err := s.build(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct{ uses, makes string }{
		"out/table":         {"picture by work:out/table", "publish"},
		"table":             {"picture by work:out/table", "publish"},
		"out/picture":       {"", "picture"},
		"style":             {"picture by work:style", ""},
		"private/src/p01":   {"run:p01 by private:src/p01; tree by names of private:src/*", ""},
		"private/runs/p01":  {"publish by outputs of run:*", "run:p01"},
		"private/tree/leaf": {"leaves by private:tree/*", "tree"},
		"private/tree":      {"leaves by private:tree/*", "tree"},
	} {
		uses, err := s.graph().Uses(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, u := range uses {
			all = append(all, u.Step+" by "+u.Input)
		}
		makes, err := s.graph().Makes(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(all, "; "); got != want.uses || makes != want.makes {
			t.Errorf("%s: read by %q, want %q; made by %q, want %q", path, got, want.uses, makes, want.makes)
		}
	}
}

func TestIfChanged(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	ask := func(paths ...string) (string, *Report) {
		t.Helper()
		r, err := s.graph().IfChanged(t.Context(), paths...)
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, d := range r.Steps {
			if d.Verdict != Fresh {
				line := d.Name + " " + string(d.Verdict) + ": " + strings.Join(d.Reasons, "; ")
				if d.Anyway {
					line += " (anyway)"
				}
				lines = append(lines, line)
			}
		}
		return strings.Join(lines, "\n"), r
	}
	for path, want := range map[string]string{
		"style":           "picture will run: input work:style changed",
		"private/src/p01": "picture may run: depends on publish\npublish may run: depends on run:p01\nrun:p01 will run: input private:src/p01 changed",
		"private/src":     "picture may run: depends on publish\npublish may run: depends on run:p00\nrun:p00 will run: input private:src/p00 changed\nrun:p01 will run: input private:src/p01 changed",
		"out/picture":     "picture will restore: output work:out/picture is not as it was made",
		"out/table":       "publish will restore: output work:out/table is not as it was made",
	} {
		got, r := ask(path)
		if got != want {
			t.Errorf("if %s changed:\n%s\nwant:\n%s", path, got, want)
		}
		if e := r.Estimate(); (e.AtMost == 0) != strings.HasPrefix(path, "out/") || e.Unrecorded != 0 {
			t.Errorf("if %s changed: %+v", path, e)
		}
	}
	s.expect("") // nothing has really changed, and nothing has been remembered of it
	s.write("style", "bold")
	got, _ := ask("private/src/p00")
	if want := "picture may run: depends on publish\npublish may run: depends on run:p00\nrun:p00 will run: input private:src/p00 changed"; got != want {
		t.Errorf("got:\n%s", got)
	}
	s.write("private/src/p01", "other")
	if got, _ = ask("style"); !strings.Contains(got, "run:p01 will run: input private:src/p01 changed (anyway)") {
		t.Errorf("got:\n%s", got)
	}
	var unknown *Unknown
	if _, err := s.graph().IfChanged(t.Context(), "stile"); !errors.As(err, &unknown) || !slices.Contains(unknown.Nearest, "style") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestIfMeaningChanged holds that a changed file whose meaning counts is taken
// to mean something else.
func TestIfMeaningChanged(t *testing.T) {
	s := newSpace(t)
	s.write("db", "rows")
	s.opt.Digests = map[string]func(context.Context, string) (string, error){"rows/1": func(_ context.Context, path string) (string, error) {
		b, err := os.ReadFile(path)
		return strings.TrimSpace(string(b)), err
	}}
	s.steps = []Step{
		{Name: "read", Inputs: []Input{File("work", "db").As("rows/1")}, Outputs: []Output{Out("work", "out")}, Run: concat},
	}
	s.expect("ran read")
	r, err := s.graph().IfChanged(t.Context(), "db")
	if err != nil {
		t.Fatal(err)
	}
	if d := r.Steps[0]; d.Verdict != WillRun || !slices.Equal(d.Reasons, []string{"input work:db changed"}) {
		t.Errorf("%+v", d)
	}
	s.expect("")
}

func TestEstimate(t *testing.T) {
	step := func(name string, v Verdict, seconds float64, needs ...string) Decision {
		return Decision{Name: name, Verdict: v, Seconds: seconds, needs: needs}
	}
	r := &Report{jobs: 2, Steps: []Decision{
		step("a", WillRun, 4), step("b", WillRun, 4), step("c", WillRun, 4),
		step("d", MayRun, 10, "a"), step("e", MayRun, 1, "d"), step("f", Fresh, 100), step("g", MayRun, 0, "e"),
	}}
	// Three times four on two processors; then the chain a, d, e is longest.
	if e := r.Estimate(); e.Will.Seconds() != 6 || e.AtMost.Seconds() != 15 || e.Unrecorded != 1 {
		t.Errorf("estimate %+v", e)
	}
	if got := r.Estimate().String(); got != "between 6.0 s and 15.0 s, without 1 step that never ran" {
		t.Error(got)
	}
}

func TestStatusJSON(t *testing.T) {
	s := study(t, 2)
	s.expect("ran index; ran picture; ran publish; ran run:p00; ran run:p01")
	s.write("style", "bold")
	r, err := s.graph().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Schema string
		Fresh  bool
		Count  map[string]int
		Steps  []struct {
			Step, Verdict string
			Reasons       []string
			Seconds       float64
		}
	}
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got.Schema != "build.status/1" || got.Fresh || got.Count["fresh"] != 4 || got.Count["will run"] != 1 || len(got.Steps) != 5 {
		t.Errorf("%+v", got)
	}
	if p := got.Steps[1]; p.Step != "picture" || p.Verdict != "will run" || !slices.Equal(p.Reasons, []string{"input work:style changed"}) || p.Seconds == 0 {
		t.Errorf("%+v", p)
	}
}

func TestMermaid(t *testing.T) {
	s := study(t, 12)
	draw := func() string {
		t.Helper()
		d, err := s.graph().Draw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := d.Mermaid(&b); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(b.String(), mermaidClasses)
	}
	want := `flowchart LR
    s0["index<br/>will run"]
    s1["picture<br/>may run"]
    s2["publish<br/>may run"]
    s0grown["steps that are known when<br/>index has run"]
    s0 -.-> s0grown
    s2 --> s1
    s0 --> s2
    class s0 willRun
    style s0 stroke-dasharray: 4 3
    class s1 mayRun
    class s2 mayRun
    class s0grown mayRun
`
	if diff := cmp.Diff(want, draw()); diff != "" {
		t.Errorf("before the first build (-want +got):\n%s", diff)
	}
	if _, err := s.build(); err != nil {
		t.Fatal(err)
	}
	s.write("private/src/p00", "other")
	want = `flowchart LR
    s0["index<br/>fresh"]
    s1["picture<br/>may run"]
    s2["publish<br/>may run"]
    s3["run:p*<br/>1 will run, 11 fresh"]
    s2 --> s1
    s0 --> s2
    s3 --> s2
    s0 --> s3
    class s0 fresh
    style s0 stroke-dasharray: 4 3
    class s1 mayRun
    class s2 mayRun
    style s2 stroke-dasharray: 4 3
    class s3 willRun
    style s3 stroke-dasharray: 4 3
`
	if diff := cmp.Diff(want, draw()); diff != "" {
		t.Errorf("with one stale run (-want +got):\n%s", diff)
	}
}

// The name of a file cannot make a line of its own, and nothing in it is obeyed.
func TestNamesStayInTheirLines(t *testing.T) {
	s := newSpace(t)
	strange := "src/a\x1b[2J\u202e\nfresh    everything"
	s.write(strange, "1")
	s.steps = []Step{{Name: "all", Inputs: []Input{Glob("work", "src/**")}, Outputs: []Output{Out("work", "out/all")}, Code: []string{"reader"}, Run: concat}}
	s.expect("ran all")
	s.write(strange, "2")
	rep, err := s.graph().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var status strings.Builder
	if err := rep.Write(&status); err != nil {
		t.Fatal(err)
	}
	explained := text(t, s.explain("all"))
	for _, shown := range []string{status.String(), explained} {
		if strings.ContainsAny(shown, "\x1b\u202e") || strings.Contains(shown, "\nfresh ") || !strings.Contains(shown, `a\u001b[2J\u202e`) {
			t.Errorf("it is shown as:\n%s", shown)
		}
	}
}
