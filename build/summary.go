package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/history"
	"github.com/foundation-plr/pipeline/internal/process"
)

// What the history keeps: some weeks of work, few enough builds to be listed at
// once, and nothing that is older than the question what has changed since the
// paper was sent in.
const (
	keepRuns = 200
	keepAge  = 365 * 24 * time.Hour
)

// Build brings the outputs of the steps that match the goals, and of all that
// these need, up to date; without goals, of all steps. It prints a line for
// each step that did something, and a summary. If steps failed the error is a
// *Failed, and the summary is there nevertheless.
func (g *Graph) Build(ctx context.Context, goals ...string) (sum *Summary, err error) {
	begin := time.Now()
	if g.opt.DryRun {
		return g.dryBuild(ctx, begin, goals)
	}
	s, err := g.open(ctx, goals, true, true)
	if err != nil {
		return nil, err
	}
	s.begin(goals)
	q := newScheduler(s)
	leave := s.con.Follow(ctx)
	q.loop(ctx)
	leave()
	s.con.Stop()
	err = s.flush() // records before history
	sum = &Summary{HistoryDir: s.history.Dir(), Steps: make([]StepResult, 0, len(s.want))}
	failed := &Failed{}
	for _, n := range s.plan.nodes {
		if !s.want[n] {
			continue
		}
		p := q.steps[n]
		if p == nil || p.state != settled {
			sum.add(StepResult{Name: n.Name, State: StateSkipped, Reason: "the build was stopped", Private: n.secret})
			continue
		}
		if p.end.State == StateFailed {
			failed.Steps = append(failed.Steps, n.Name)
		}
		sum.add(p.end)
	}
	failed.Skipped = sum.Skipped
	sum.Elapsed = time.Since(begin)
	state := history.Done
	switch {
	case ctx.Err() != nil:
		state = history.Stopped
	case err != nil || len(failed.Steps) > 0:
		state = history.Failed
	}
	err = errors.Join(err, s.finishHistory(sum, goals, state), s.close())
	s.con.Print(sum.String(), console.Line{Event: "summary", Text: sum.String(), Seconds: sum.Elapsed.Seconds(), State: state, Counts: map[string]int{
		string(StateFresh): sum.Fresh, string(StateRestored): sum.Restored, string(StateRan): sum.Ran, "unchanged": sum.Unchanged,
		string(StateFailed): sum.Failed, string(StateSkipped): sum.Skipped,
	}})
	switch {
	case err != nil:
	case ctx.Err() != nil:
		err = fmt.Errorf("the build was stopped, %s not done: %w", console.Plural(sum.Skipped, "step"), process.Why(ctx))
	case len(failed.Steps) > 0:
		err = failed
	}
	return sum, err
}

func (g *Graph) dryBuild(ctx context.Context, begin time.Time, goals []string) (*Summary, error) {
	rep, err := g.DryRun(ctx, goals...)
	if err != nil {
		return nil, err
	}
	if err := g.printDry(rep); err != nil {
		return nil, err
	}
	return &Summary{Fresh: rep.Count(Fresh), Elapsed: time.Since(begin)}, nil
}

// printDry prints what a build would do.
func (g *Graph) printDry(rep *Report) error {
	if g.opt.LogFormat != "json" {
		return rep.Write(g.opt.Stdout)
	}
	con := g.opt.console()
	counts := map[string]int{}
	for i := range rep.Steps {
		d := &rep.Steps[i]
		counts[string(d.Verdict)]++
		if d.Verdict != Fresh {
			con.Print("", console.Line{Event: "decision", Step: d.Name, Verdict: string(d.Verdict), Reasons: d.Reasons})
		}
	}
	for _, name := range rep.Unknown {
		con.Note(whatGrows(name))
	}
	con.Print("", console.Line{Event: "summary", Text: rep.Summary(), Counts: counts})
	return nil
}
