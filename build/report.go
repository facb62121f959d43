package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
)

// Report says what a build would do, and why.
type Report struct {
	Steps []Decision // sorted by name
	// Unknown are steps that will run, or be restored, before it is known
	// which further steps grow from them.
	Unknown []string

	jobs int
}

// Decision is the verdict about one step, with reasons in plain words.
type Decision struct {
	Name    string   `json:"step"`
	Doc     string   `json:"doc,omitempty"`
	Verdict Verdict  `json:"verdict"`
	Reasons []string `json:"reasons,omitempty"`
	Private bool     `json:"private,omitempty"` // the reasons may speak of private files
	// Seconds is how long the last recorded run took, 0 if there is none.
	Seconds float64 `json:"seconds,omitempty"`
	// Anyway says, in a report of IfChanged, that the verdict would be the
	// same without the change.
	Anyway bool `json:"anyway,omitempty"`

	needs []string
}

// Count returns how many steps have a verdict.
func (r *Report) Count(v Verdict) int {
	n := 0
	for _, d := range r.Steps {
		if d.Verdict == v {
			n++
		}
	}
	return n
}

// Fresh says that a build would do nothing.
func (r *Report) Fresh() bool { return r.Count(Fresh) == len(r.Steps) }

// Write prints every step that is not fresh with its reasons, and a summary.
func (r *Report) Write(w io.Writer) error {
	var b strings.Builder
	for _, d := range r.Steps {
		if d.Verdict != Fresh {
			line(&b, "%-12s %s: %s", d.Verdict, d.Name, strings.Join(d.Reasons, "; "))
		}
	}
	for _, name := range r.Unknown {
		fmt.Fprintln(&b, whatGrows(name))
	}
	fmt.Fprintln(&b, r.Summary())
	_, err := io.WriteString(w, b.String())
	return err
}

// line writes a line, whatever the names of files and parameters in it hold.
func line(b *strings.Builder, format string, args ...any) {
	b.WriteString(console.VisibleLine(fmt.Sprintf(format, args...)) + "\n")
}

func whatGrows(step string) string {
	return fmt.Sprintf("what grows from %s is known when it has run", step)
}

// Summary returns "540 fresh, 2 will run, 4 may run".
func (r *Report) Summary() string {
	text := fmt.Sprintf("%d fresh, %d will run", r.Count(Fresh), r.Count(WillRun))
	for _, v := range []Verdict{MayRun, WillRestore, CannotRun} {
		if n := r.Count(v); n > 0 {
			text += fmt.Sprintf(", %d %s", n, v)
		}
	}
	return text
}

// DryRun decides as Build does, Options.Force included, and does nothing. It
// writes nothing but digests of files to the index, and never waits for a
// lock.
func (g *Graph) DryRun(ctx context.Context, goals ...string) (*Report, error) {
	return g.look(ctx, goals, true)
}

// Status is DryRun without Options.Force.
func (g *Graph) Status(ctx context.Context, goals ...string) (*Report, error) {
	return g.look(ctx, goals, false)
}

func (g *Graph) look(ctx context.Context, goals []string, force bool) (*Report, error) {
	rep := new(Report)
	err := g.survey(ctx, survey{goals: goals, force: force}, func(s *session, q *scheduler) error {
		rep.fill(s, q)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rep, nil
}

// survey says how to look at a graph.
type survey struct {
	goals   []string
	force   bool                  // Options.Force counts
	changed func(abs string) bool // these files are taken to have other contents than they have
}

// survey decides the steps as a build would, does nothing about them, and hands
// over what it found.
func (g *Graph) survey(ctx context.Context, how survey, read func(*session, *scheduler) error) (err error) {
	s, err := g.open(ctx, how.goals, false, how.force)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	s.view.changed = how.changed
	q := newScheduler(s)
	q.loop(ctx)
	if q.fatal != nil {
		return q.fatal
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return read(s, q)
}

func (r *Report) fill(s *session, q *scheduler) {
	r.jobs = s.opt.Jobs
	r.Steps = []Decision{}
	for _, n := range s.plan.nodes {
		if !s.want[n] {
			continue
		}
		d := s.decision(n, q.steps[n])
		if n.Grow != nil && d.Verdict != Fresh {
			r.Unknown = append(r.Unknown, n.Name)
		}
		r.Steps = append(r.Steps, d)
	}
}

// decision is what people get to see of a decision.
func (s *session) decision(n *node, p *progress) Decision {
	d := Decision{Name: n.Name, Doc: n.Doc, Verdict: p.dec.verdict, Reasons: p.dec.reasons, Private: n.secret}
	if p.dec.rec != nil {
		d.Seconds = p.dec.rec.elapsed.Seconds()
	} else {
		d.Seconds = s.lastElapsed(n).Seconds()
	}
	for _, dep := range n.deps {
		d.needs = append(d.needs, dep.Name)
	}
	switch {
	case p.end.err != nil:
		d.Verdict, d.Reasons = CannotRun, []string{p.end.err.Error()}
	case p.end.State == StateSkipped:
		d.Verdict, d.Reasons = MayRun, []string{p.end.Reason}
	}
	// The same decision may be told more than once.
	d.Reasons = slices.Clone(d.Reasons)
	for i, reason := range d.Reasons {
		d.Reasons[i] = s.opt.Redact(n.shown(reason))
	}
	return d
}

// shown is what people get to see of a text about a step.
func (n *node) shown(text string) string {
	if n.Redact == nil {
		return text
	}
	return n.Redact(text)
}

// State is how a step of a build ended.
type State string

const (
	StateFresh    State = console.Fresh
	StateRestored State = console.Restored // outputs came out of the cache
	StateRan      State = console.Ran
	StateFailed   State = console.Failed
	StateSkipped  State = console.Skipped // something that it needs failed, or the build was stopped
)

// StepResult is what a build did about a step.
type StepResult struct {
	Name      string
	State     State
	Unchanged bool   // it ran, and its outputs are what they were
	Reason    string // why it ran, failed or was skipped
	Private   bool   // the reason may speak of private files
	Elapsed   time.Duration
	LogPath   string // absolute, of the last attempt; "" if it did not run

	err   error
	saved time.Duration // that it had taken when it ran, if it did not have to
	trail *trail        // until it is told
}

// Summary is what a build did. Ran counts all steps that ran, Unchanged those
// of them whose outputs came out as they had been.
type Summary struct {
	Fresh, Restored, Ran, Unchanged, Failed, Skipped int

	Elapsed    time.Duration
	Steps      []StepResult // sorted by name
	HistoryDir string
}

// String returns "542 fresh, 1 ran, 0 unchanged, 0 failed in 0.9 s".
func (s *Summary) String() string {
	text := fmt.Sprintf("%d fresh, %d ran, %d unchanged, %d failed", s.Fresh, s.Ran, s.Unchanged, s.Failed)
	if s.Restored > 0 {
		text += fmt.Sprintf(", %d restored", s.Restored)
	}
	if s.Skipped > 0 {
		text += fmt.Sprintf(", %d skipped", s.Skipped)
	}
	return text + " in " + console.Seconds(s.Elapsed)
}

func (s *Summary) add(r StepResult) {
	s.Steps = append(s.Steps, r)
	s.count(&r)
}

func (s *Summary) count(r *StepResult) {
	switch r.State {
	case StateFresh:
		s.Fresh++
	case StateRestored:
		s.Restored++
	case StateRan:
		s.Ran++
		if r.Unchanged {
			s.Unchanged++
		}
	case StateFailed:
		s.Failed++
	case StateSkipped:
		s.Skipped++
	}
}

// Failed is the error of a build in which steps failed. Each failure has been
// printed with its log already.
type Failed struct {
	Steps   []string
	Skipped int
}

func (e *Failed) Error() string {
	const most = 3
	names := e.Steps
	if len(names) > most {
		names = append(names[:most:most], "…")
	}
	text := fmt.Sprintf("%s failed: %s", console.Plural(len(e.Steps), "step"), strings.Join(names, ", "))
	if e.Skipped > 0 {
		text += fmt.Sprintf(" (%s skipped)", console.Plural(e.Skipped, "step"))
	}
	return text
}
