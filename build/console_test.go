package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/google/go-cmp/cmp"
)

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
		var v console.Line
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
	expect := func(want console.Outlook) {
		t.Helper()
		got := q.outlook()
		got.Left = got.Left.Round(time.Second)
		if got != want {
			t.Errorf("outlook %+v, want %+v", got, want)
		}
	}
	expect(console.Outlook{Unknown: 4})
	at("a").cost, at("b:1").cost, at("c").cost = 10*time.Second, 3*time.Second, 5*time.Second
	expect(console.Outlook{Left: 10 * time.Second, Unknown: 1}) // a is the longest chain
	at("b:2").cost = 20 * time.Second
	expect(console.Outlook{Left: 25 * time.Second}) // b:2 and c are
	s.opt.Jobs, ses.opt.Jobs = 1, 1
	expect(console.Outlook{Left: 38 * time.Second}) // all of them, one after the other
	at("b:2").state, at("b:2").begun = running, time.Now().Add(-15*time.Second)
	expect(console.Outlook{Left: 23 * time.Second})
	at("a").state, at("a").begun = running, time.Now().Add(-time.Hour)
	expect(console.Outlook{Left: 13 * time.Second})
	// What never ran is like its kind.
	at("b:2").state, at("b:2").end = settled, StepResult{State: StateRan, Elapsed: 7 * time.Second}
	at("b:1").cost = 0
	expect(console.Outlook{Left: 12 * time.Second})
	at("c").dec = &decision{verdict: WillRestore}
	expect(console.Outlook{Left: 7 * time.Second})
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
