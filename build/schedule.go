package build

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"
)

// progress is where a step stands in a session.
type progress struct {
	state stepState
	waits int // dependencies that are not settled
	dec   *decision
	cost  time.Duration // of the last run, once the outlook has asked for it
	begun time.Time     // of this run
	end   StepResult
	good  bool // settled, and its outputs are known

	order  int   // among the settled steps
	behind *node // of a fresh step: what it waited for the longest, if that did anything
}

// undecided is the decision about a step before there is one.
var undecided = new(decision)

// stepState is how far a step has come. Steps only move forward, except that
// queued and running are left out where nothing has to be done:
//
//	waiting -> ready -> deciding -> queued -> running -> settled
type stepState uint8

const (
	waiting stepState = iota
	ready
	deciding
	queued
	running
	settled
)

// event is the end of a decision or of a run.
type event struct {
	n     *node
	dec   *decision
	end   *StepResult
	grown []Step
	err   error // after a decision or a run that was good in itself
}

// scheduler moves the steps of a session forward. All of its state belongs to
// the goroutine of loop; goroutines that decide or run steps send what has ended.
type scheduler struct {
	s      *session
	events chan []event

	steps      map[*node]*progress
	dependants map[*node][]*node
	ready      []*node
	queue      []*node // steps to run, sorted by urgency if arranged
	arranged   bool
	ahead      map[*node]time.Duration // see path

	deciders int          // steps that are being decided
	thinkers int          // goroutines that decide
	thinking int          // of them, those that have something to do
	thoughts chan []*node // for them
	runners  int
	pools    map[string]int64
	stop     bool  // start nothing more
	fatal    error // the graph cannot be built on
	settled  int   // steps so far
}

// decidersPerCPU keeps processors busy while decisions wait for the disk or for
// the scheduler to take their result.
const decidersPerCPU = 4

func newScheduler(s *session) *scheduler {
	most := decidersPerCPU * runtime.GOMAXPROCS(0)
	q := &scheduler{s: s, events: make(chan []event, most), thoughts: make(chan []*node, most), pools: map[string]int64{}}
	q.steps = make(map[*node]*progress, len(s.want))
	q.arrange()
	return q
}

// arrange counts what every step waits for; anew after the graph has grown.
func (q *scheduler) arrange() {
	q.dependants = make(map[*node][]*node, len(q.s.want))
	q.ahead, q.arranged = map[*node]time.Duration{}, false
	var fresh []progress // made at once: there is one for each step
	for _, n := range q.s.plan.nodes {
		if !q.s.want[n] {
			continue
		}
		p := q.steps[n]
		if p == nil {
			if len(fresh) == 0 {
				fresh = make([]progress, len(q.s.want)-len(q.steps))
			}
			p, fresh = &fresh[0], fresh[1:]
			p.dec = undecided
			q.steps[n] = p
		}
		if p.state != waiting {
			continue
		}
		p.waits = 0
		for _, d := range n.deps {
			if dp := q.steps[d]; dp == nil || dp.state != settled {
				p.waits++
				q.dependants[d] = append(q.dependants[d], n)
			}
		}
		if p.waits == 0 {
			p.state = ready
			q.ready = append(q.ready, n)
		}
	}
}

// loop runs until nothing is left to do.
func (q *scheduler) loop(ctx context.Context) {
	defer close(q.thoughts)
	for {
		if ctx.Err() != nil {
			q.stop = true
		}
		q.startDecisions(ctx)
		q.startRuns(ctx)
		if q.deciders+q.runners == 0 {
			return
		}
		ended := q.next()
		if ended[0].dec != nil {
			q.thinking--
		}
		for _, e := range ended {
			q.handle(ctx, e)
		}
	}
}

// next waits for the next event. What has been done is meanwhile recorded once
// it is old enough: while one step runs for an hour, those that ended before it
// must not be lost.
func (q *scheduler) next() []event {
	for q.s.write {
		wait, pending := q.s.batchDue()
		if !pending {
			break
		}
		select {
		case e := <-q.events:
			return e
		case <-time.After(wait):
			if err := q.s.flush(); err != nil && q.fatal == nil {
				q.fatal, q.stop = err, true
			}
		}
	}
	return <-q.events
}

// startDecisions hands out what is ready, several steps at a time while there are
// many: to hand over a step and to take back the decision takes as long as most
// decisions do. The last are handed out singly, so that all processors have
// something to do until the end.
func (q *scheduler) startDecisions(ctx context.Context) {
	for len(q.ready) > 0 && q.thinking < cap(q.thoughts) && !q.stop {
		share := 1 + len(q.ready)/(2*cap(q.thoughts))
		var steps []*node
		for len(steps) < share && len(q.ready) > 0 {
			n := q.ready[0]
			q.ready = q.ready[1:]
			p := q.steps[n]
			if bad := q.unsettled(n); bad != "" {
				q.settle(n, p, false, StepResult{State: StateSkipped, Reason: bad})
				continue
			}
			p.state = deciding
			steps = append(steps, n)
		}
		switch {
		case len(steps) == 0:
		case len(steps) == 1 && q.alone():
			q.deciders++
			q.handle(ctx, q.decideOne(ctx, steps[0]))
		default:
			q.decide(ctx, steps)
		}
	}
}

// alone says that nothing is under way that loop could be needed for, so that it
// may as well decide the only ready step itself.
func (q *scheduler) alone() bool {
	_, pending := q.s.batchDue()
	return q.thinking == 0 && q.runners == 0 && len(q.ready) == 0 && !pending
}

// decide hands steps to a goroutine that has decided some before, if there is
// one: a new one for each would spend much of its time growing its stack.
func (q *scheduler) decide(ctx context.Context, steps []*node) {
	q.deciders += len(steps)
	q.thinking++
	if q.thinkers < q.thinking {
		q.thinkers++
		go func() {
			for steps := range q.thoughts {
				events := make([]event, len(steps))
				for i, n := range steps {
					events[i] = q.decideOne(ctx, n)
				}
				q.events <- events
			}
		}()
	}
	q.thoughts <- steps // there is room for all that may be under way
}

func (q *scheduler) decideOne(ctx context.Context, n *node) event {
	d := q.s.decide(ctx, n)
	e := event{n: n, dec: &d}
	if d.verdict == Fresh {
		q.s.setResults(n, d.rec.outs)
		if d.was, e.err = q.s.revive(n, d.rec); e.err == nil {
			if q.s.write { // nobody will ask, and that of a step that lists a study is large
				d.rec.manifest = nil
			}
			e.grown, e.err = q.s.grow(ctx, n, &d)
		}
	}
	return e
}

// unsettled names what keeps a step from being decided though nothing is left
// to wait for.
func (q *scheduler) unsettled(n *node) string {
	for _, d := range n.deps {
		if p := q.steps[d]; !p.good {
			if q.s.write {
				return "needs " + d.Name
			}
			return "depends on " + d.Name
		}
	}
	return ""
}

// startRuns starts what fits, the most urgent first. Runs start when all that
// can be decided is decided, so that the order depends on the graph and not on
// how fast files were hashed. A step that waits for its pool is not overtaken
// by steps of the same pool: a heavy one would wait for ever.
func (q *scheduler) startRuns(ctx context.Context) {
	if q.deciders > 0 || q.stop {
		return
	}
	if !q.arranged && len(q.queue) > 1 {
		slices.SortFunc(q.queue, q.urgency)
		q.arranged = true
	}
	full := map[string]bool{}
	for i := 0; i < len(q.queue) && q.runners < q.s.opt.Jobs; {
		n := q.queue[i]
		weight := q.weight(n)
		if n.Pool != "" && (full[n.Pool] || q.pools[n.Pool]+weight > q.s.opt.Pools[n.Pool]) {
			full[n.Pool] = true
			i++
			continue
		}
		if i == 0 {
			q.queue = q.queue[1:] // as a rule; the rest of a long queue stays where it is
		} else {
			q.queue = slices.Delete(q.queue, i, i+1)
		}
		q.pools[n.Pool] += weight
		q.runners++
		p := q.steps[n]
		p.state, p.begun = running, time.Now()
		q.s.con.Began(n.Name, len(q.steps), q.outlook)
		d := *p.dec
		p.dec = d.brief() // nobody but the run asks for more
		go func() {
			begin := time.Now()
			end := q.s.execute(ctx, n, &d)
			end.Elapsed, end.trail.begun = time.Since(begin), begin
			e := event{n: n, end: &end}
			if end.err == nil {
				e.grown, e.err = q.s.grow(ctx, n, &d)
			}
			q.events <- []event{e}
		}()
	}
}

// weight is the share of its pool that a step takes.
func (q *scheduler) weight(n *node) int64 {
	weight := n.Weight
	if n.Weigh != nil {
		weight = n.Weigh(q.steps[n].dec.inputs)
	}
	return min(max(weight, 1), max(q.s.opt.Pools[n.Pool], 1))
}

func (q *scheduler) handle(ctx context.Context, e event) {
	p := q.steps[e.n]
	if e.dec != nil {
		q.deciders--
		p.dec = e.dec
		q.decided(ctx, e, p)
		return
	}
	q.runners--
	q.pools[e.n.Pool] -= q.weight(e.n)
	p.dec = undecided // nobody will ask
	q.finish(ctx, e, p, *e.end)
}

func (q *scheduler) decided(ctx context.Context, e event, p *progress) {
	n, d := e.n, p.dec
	switch {
	case d.verdict == Fresh:
		if q.s.write {
			p.dec = undecided
		}
		q.finish(ctx, e, p, StepResult{State: StateFresh, trail: &trail{key: d.key, was: d.was, now: d.rec}})
	case d.verdict == CannotRun:
		q.finish(ctx, e, p, StepResult{State: StateFailed, err: d.err})
	case !q.s.write:
		known := d.verdict == WillRestore && n.Grow == nil
		if known {
			q.s.setResults(n, d.rec.outs)
		}
		q.settle(n, p, known, StepResult{})
	case d.verdict == MayRun:
		q.finish(ctx, e, p, StepResult{State: StateFailed, err: errors.New(strings.Join(d.reasons, ", "))})
	default:
		if len(q.queue) >= wholeDecisions {
			p.dec = d.brief()
			p.dec.manifest = nil
		}
		p.state = queued
		q.queue = append(q.queue, n)
		q.arranged = false
	}
}

// wholeDecisions is how many steps may wait to run with all that was found out about
// them; of others that is found out again, which takes microseconds. Less in tests.
var wholeDecisions = 64

// path is how long a step and what has to follow it took the last time: the
// longest way from its beginning to the end of the build. What was never run
// counts nothing.
func (q *scheduler) path(n *node) time.Duration {
	if d, known := q.ahead[n]; known {
		return d
	}
	var after time.Duration
	for _, m := range q.dependants[n] {
		after = max(after, q.path(m))
	}
	d := q.s.lastElapsed(n) + after
	q.ahead[n] = d
	return d
}

// urgency puts first what the end of the build waits for the longest, then goes
// by name.
func (q *scheduler) urgency(a, b *node) int {
	if x, y := q.path(a), q.path(b); x != y {
		if x > y {
			return -1
		}
		return 1
	}
	return compare(a.Name, b.Name)
}

// finish takes the end of a step with the steps that grew from it.
func (q *scheduler) finish(ctx context.Context, e event, p *progress, end StepResult) {
	if end.err == nil && e.err != nil {
		end.State, end.err = StateFailed, e.err
	}
	if end.err == nil && len(e.grown) > 0 {
		if err := q.s.extend(ctx, e.n, e.grown); err != nil {
			end.State, end.err = StateFailed, fmt.Errorf("growing further steps: %w", err)
			q.fatal = err
			q.stop = true
		}
	}
	if end.err != nil {
		end.Reason = end.err.Error()
		if q.s.opt.FailFast && q.s.write {
			q.stop = true
		}
	}
	if len(e.grown) > 0 && q.fatal == nil {
		q.close(e.n, p, end.err == nil, end)
		q.arrange() // others may wait for more than they did
		return
	}
	q.settle(e.n, p, end.err == nil, end)
}

// close settles a step.
func (q *scheduler) close(n *node, p *progress, good bool, end StepResult) {
	end.Name, end.Private = n.Name, n.secret
	p.state, p.good, p.end = settled, good, end
	if q.s.write {
		q.settled++
		p.order = q.settled
		waited := q.waited(n)
		if end.State == StateFresh && len(waited) > 0 {
			p.behind = waited[0]
		}
		q.s.report(n, &p.end, waited)
	}
	if t := end.trail; t != nil {
		if t.now != nil && (end.State == StateFresh || end.State == StateRestored) {
			p.end.saved = t.now.elapsed
		}
		p.end.trail = nil // with the records in it
	}
	if q.s.write && n.grownBy != nil {
		n.Run, n.MakeParams, n.Redact, n.Inputs = nil, nil, nil, nil // with all that they hold; the step is the plan's own
		if !slices.ContainsFunc(q.s.plan.growing, func(m *node) bool { p := q.steps[m]; return p == nil || p.state != settled }) {
			n.ins = nil // to link steps that grow is all that they would be needed for
		}
	}
}

// waited names the steps of this build that a step had to wait for, the last to
// end first. A fresh one costs nothing: in its place stands what it had to wait
// for itself the longest.
func (q *scheduler) waited(n *node) []*node {
	var on []*node
	var seen map[*node]bool
	for _, d := range n.deps {
		p := q.steps[d]
		if p == nil || p.state != settled {
			continue
		}
		if p.end.State == StateFresh {
			d = p.behind
		}
		if d != nil && !seen[d] {
			if seen == nil {
				seen = map[*node]bool{}
			}
			seen[d] = true
			on = append(on, d)
		}
	}
	slices.SortFunc(on, func(a, b *node) int { return q.steps[b].order - q.steps[a].order })
	return on
}

// settle settles a step and lets go those that waited for nothing else.
func (q *scheduler) settle(n *node, p *progress, good bool, end StepResult) {
	q.close(n, p, good, end)
	for _, m := range q.dependants[n] {
		mp := q.steps[m]
		if mp.waits--; mp.waits == 0 && mp.state == waiting {
			mp.state = ready
			q.ready = append(q.ready, m)
		}
	}
	delete(q.dependants, n)
}

// extend adds grown steps to the plan. Steps that read what a grown step makes
// must have waited for the step that it grew from: otherwise the order in
// which things happen would decide what they read.
func (s *session) extend(ctx context.Context, by *node, steps []Step) error {
	p := s.plan
	p.mu.Lock()
	defer p.mu.Unlock()
	waited := p.downstream(by)
	before := slices.Clone(p.nodes)
	if err := p.add(steps, by); err != nil {
		return err
	}
	for _, n := range before {
		if waited[n] {
			continue
		}
		for _, d := range n.deps {
			if d.grownBy == by {
				return fmt.Errorf("step %s reads what step %s makes, which grows from %s: %s must have OutputsOf(%q) or an output of %s among its inputs",
					n.Name, d.Name, by.Name, n.Name, d.Name, by.Name)
			}
		}
	}
	var err error
	if s.want, err = p.closure(s.goals); err != nil {
		return err
	}
	return s.prepare(ctx)
}

// downstream returns the steps that depend on a step, directly or not.
func (p *plan) downstream(of *node) map[*node]bool {
	reach := map[*node]bool{of: true}
	known := map[*node]bool{}
	var visit func(n *node) bool
	visit = func(n *node) bool {
		if known[n] || reach[n] {
			return reach[n]
		}
		known[n] = true
		for _, d := range n.deps {
			if visit(d) {
				reach[n] = true
			}
		}
		return reach[n]
	}
	for _, n := range p.nodes {
		visit(n)
	}
	delete(reach, of)
	return reach
}
