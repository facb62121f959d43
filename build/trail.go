package build

import (
	"fmt"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/history"
	"github.com/foundation-plr/pipeline/internal/store"
)

// trail is what a step leaves in the history beside its result.
type trail struct {
	begun time.Time
	key   store.Sum // zero if it was not decided
	was   *record   // of the last success before
	now   *record   // of this one; nil if it failed
}

// begin writes the first event of a build.
func (s *session) begin(goals []string) {
	e := history.Event{Event: history.EventBegin, Format: history.Format, Target: s.opt.Redact(s.opt.Target), Goals: goals}
	var err error
	if e.Process, err = history.Here(); err != nil {
		s.con.Note("the build cannot be cancelled from elsewhere: " + err.Error())
	}
	s.add(e, false)
	s.con.Print("", console.Line{Event: "begin", Target: s.opt.Target, Steps: len(s.want)})
}

// report tells console and history how a step ended.
func (s *session) report(n *node, r *StepResult, waited []*node) {
	s.con.Ended(console.End{Step: r.Name, State: string(r.State), Unchanged: r.Unchanged, Reason: n.shown(r.Reason), Log: r.LogPath, Elapsed: r.Elapsed})
	t := r.trail
	if t == nil {
		t = new(trail)
	}
	if r.State == StateFresh && t.was == nil {
		return
	}
	e := history.Event{
		Event: history.EventStep, State: string(r.State), Unchanged: r.Unchanged, Reason: r.Reason,
		Seconds: r.Elapsed.Seconds(), Outputs: t.outputs(),
	}
	for _, d := range waited {
		e.Needs = append(e.Needs, d.Name)
	}
	if !t.begun.IsZero() {
		e.Begun = t.begun.Sub(s.begun).Seconds()
	} else {
		e.Begun = time.Since(s.begun).Seconds()
	}
	if t.key != (store.Sum{}) {
		e.Key = t.key.String()
	}
	if t.was != nil {
		e.Was = t.was.key.String()
	}
	s.event(n, e)
}

// outputs are digests of what the step made and had made before.
func (t *trail) outputs() []history.Output {
	var outs []history.Output
	if t.now != nil {
		for i := range t.now.outs {
			m := &t.now.outs[i]
			outs = append(outs, history.Output{Name: m.ref.String(), Now: m.digest()})
		}
	}
	if t.was == nil {
		return outs
	}
	for i := range t.was.outs {
		m := &t.was.outs[i]
		name, found := m.ref.String(), false
		for j := range outs {
			if outs[j].Name == name {
				outs[j].Was, found = m.digest(), true
			}
		}
		if !found && t.now != nil {
			outs = append(outs, history.Output{Name: name, Was: m.digest()})
		}
	}
	return outs
}

// digest is what others can tell of an output.
func (m *made) digest() string {
	e := m.entry()
	return e.text()
}

// event adds an event of a step. Of a private step the public history gets
// name, state, order and duration; the rest goes into the private tier.
func (s *session) event(n *node, e history.Event) {
	e.Step, e.Private = n.Name, n.secret
	e.Reason, e.Error = s.opt.Redact(e.Reason), s.opt.Redact(e.Error)
	if n.secret {
		s.add(e, true)
		e.Reason, e.Error, e.Key, e.Was, e.Outputs = "", "", "", "", nil
	}
	// As in the logs of public steps: the history may be shared.
	e.Reason, e.Error = s.opt.withoutPlaces(e.Reason), s.opt.withoutPlaces(e.Error)
	s.add(e, false)
}

// add writes an event. A history that cannot be written is said once and stops
// nothing: no decision reads it.
func (s *session) add(e history.Event, private bool) {
	e.Time, e.At = s.opt.Now().UTC(), time.Since(s.begun).Seconds()
	if err := s.history.Add(e, private); err != nil {
		s.historyErr.Do(func() { s.con.Note("the run history cannot be written: " + err.Error()) })
	}
}

// finishHistory writes the summary and removes old builds.
func (s *session) finishHistory(sum *Summary, goals []string, state string) error {
	now := s.opt.Now().UTC()
	f := history.Summary{
		Target: s.opt.Redact(s.opt.Target), Goals: append([]string{}, goals...), State: state,
		Begun: now.Add(-sum.Elapsed), Finished: now, Seconds: sum.Elapsed.Seconds(),
		Fresh: sum.Fresh, Restored: sum.Restored, Ran: sum.Ran, Unchanged: sum.Unchanged, Failed: sum.Failed, Skipped: sum.Skipped,
	}
	for _, r := range sum.Steps {
		f.Saved += r.saved.Seconds()
		if r.State != StateFresh {
			f.Steps = append(f.Steps, history.Ended{Name: r.Name, State: string(r.State), Unchanged: r.Unchanged, Seconds: r.Elapsed.Seconds()})
		}
	}
	if err := s.history.Finish(f); err != nil {
		return fmt.Errorf("run history: %w", err)
	}
	for _, private := range []bool{false, true} {
		if st := s.tier(private); st != nil {
			if err := history.Prune(st.Dir(), keepRuns, now.Add(-keepAge)); err != nil {
				return fmt.Errorf("run history: %w", err)
			}
		}
	}
	return nil
}
