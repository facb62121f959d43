package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/history"
	"github.com/foundation-plr/pipeline/internal/store"
)

// firstPause is how long to wait after the first transient error; each further
// pause is half as long again, with jitter.
const firstPause = 200 * time.Millisecond

// execute runs a step, or restores its outputs, and puts them in place. The decision
// has the inputs that the step ran on.
func (s *session) execute(ctx context.Context, n *node, d *decision) (end StepResult) {
	defer func() {
		if end.err != nil {
			end.State = StateFailed
		}
	}()
	end.trail = &trail{key: d.key, was: s.last(n)}
	if d.verdict == WillRestore {
		end.State, end.Reason = StateRestored, first(d.reasons)
		if d.rec == nil {
			if end.err = s.recall(ctx, n, d); end.err != nil {
				return end
			}
		}
		if end.err = s.restore(n, *d); end.err != nil {
			return end
		}
		s.setResults(n, d.rec.outs)
		end.trail.now = d.rec
		if _, end.err = s.revive(n, d.rec); end.err == nil {
			end.err = s.commit(n, nil)
		}
		return end
	}
	end.State, end.Reason = StateRan, first(d.reasons)
	begin := time.Now()
	rec, err := s.attempts(ctx, n, d, &end)
	if err != nil {
		end.err = err
		return end
	}
	rec.elapsed = time.Since(begin)
	end.Unchanged = unchanged(end.trail.was, rec)
	end.trail.key, end.trail.now = rec.key, rec
	s.setResults(n, rec.outs)
	if err := s.commit(n, rec); err != nil {
		end.err = err
	}
	return end
}

func first(reasons []string) string {
	if len(reasons) == 0 {
		return ""
	}
	return reasons[0]
}

// unchanged says that a run gave what the last one gave.
func unchanged(last, now *record) bool {
	if last == nil || len(last.outs) != len(now.outs) || len(now.outs) == 0 {
		return false
	}
	for i := range now.outs {
		if !slices.ContainsFunc(last.outs, func(m made) bool { return m.same(&now.outs[i]) }) {
			return false
		}
	}
	return true
}

// attempts runs a step until it succeeds or fails for good. Every attempt has a
// log of its own; end gets where the last one is.
func (s *session) attempts(ctx context.Context, n *node, d *decision, end *StepResult) (*record, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = firstPause
	for try := 1; ; try++ {
		s.event(n, history.Event{Event: history.EventAttempt, Attempt: try})
		begin := time.Now()
		rec, again, err := s.logged(ctx, n, d, try, end)
		if err == nil || !again {
			return rec, err
		}
		s.event(n, history.Event{Event: history.EventRetry, Attempt: try, Seconds: time.Since(begin).Seconds(), Error: err.Error()})
		s.con.Note(fmt.Sprintf("step %s: %v; trying again (attempt %d of %d)", n.Name, err, try+1, n.Retries+1))
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// logged makes an attempt with its log, and says whether to try again.
func (s *session) logged(ctx context.Context, n *node, d *decision, try int, end *StepResult) (rec *record, again bool, err error) {
	f, err := s.history.Log(n.Name, try, n.secret)
	if err != nil {
		return nil, false, fmt.Errorf("log: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("log: %w", cerr)
		}
	}()
	end.LogPath = f.Name()
	var to io.Writer = f
	if !n.secret {
		to = publicLog{f, s.opt}
	}
	h := slog.NewTextHandler(to, &slog.HandlerOptions{Level: slog.LevelDebug})
	log := slog.New(h)
	rec, err = s.attempt(ctx, n, d, slog.New(s.con.Listen(n.Name, n.secret, h)))
	switch {
	case err == nil:
	case try <= n.Retries && isTransient(err) && ctx.Err() == nil:
		log.Warn("the error may go away by itself; trying again", "error", err, "attempt", try)
		return nil, true, err
	default:
		log.Error("the step failed", "error", err)
	}
	return rec, false, err
}

// publicLog is the log of a step that reads nothing private: it lies in the
// cache that may be shared, so what a program or an error puts into it is
// redacted, and places on this machine go by the names of their roots.
type publicLog struct {
	w   io.Writer
	opt *Options
}

// Write gets one line at a time from the handler.
func (l publicLog) Write(line []byte) (int, error) {
	if _, err := io.WriteString(l.w, l.opt.withoutPlaces(l.opt.Redact(string(line)))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// withoutPlaces writes roots by their names instead of their paths, the longest
// path first.
func (o *Options) withoutPlaces(text string) string {
	names := make([]string, 0, len(o.Roots))
	for name := range o.Roots {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := len(o.Roots[b].Path) - len(o.Roots[a].Path); d != 0 {
			return d
		}
		return compare(a, b)
	})
	for _, name := range names {
		path := o.Roots[name].Path
		text = strings.ReplaceAll(text, path+string(filepath.Separator), name+":")
		text = strings.ReplaceAll(text, path, name+":")
	}
	return text
}

// attempt runs a step once, in staging, and puts in place what it made. The decision
// gets the inputs as they are after the run, which is as they were before.
func (s *session) attempt(ctx context.Context, n *node, d *decision, log *slog.Logger) (rec *record, err error) {
	if d.manifest == nil {
		if err := s.recall(ctx, n, d); err != nil {
			return nil, err
		}
		s.shed(n, d)
	}
	staging, clean, err := s.stage(n)
	if err != nil {
		return nil, fmt.Errorf("staging: %w", err)
	}
	defer func() { err = errors.Join(err, clean()) }()
	for i, out := range n.Outputs {
		if out.Tree {
			if err := os.Mkdir(staging[i], 0o700); err != nil {
				return nil, fmt.Errorf("staging: %w", err)
			}
		}
	}
	for _, abs := range n.ledgers {
		if err := s.opt.mkdir(filepath.Dir(abs)); err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
	}
	t := s.task(ctx, n, d, staging, log)
	t.ranBefore = s.last(n) != nil
	if err := s.audit.begin(); err != nil {
		return nil, err
	}
	if err := call(ctx, n, t, log); err != nil {
		return nil, err
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	unread, err := s.audit.end(t)
	if err != nil {
		return nil, err
	}
	for _, input := range unread {
		s.con.Note(fmt.Sprintf("audit: step %s declares and did not read input %s", n.Name, input))
	}
	// The work is done: it is kept even if the build is cancelled from now on.
	ctx = context.WithoutCancel(ctx)
	outs, err := s.collect(ctx, n, staging)
	if err != nil {
		return nil, err
	}
	encoded, err := s.settleInputs(ctx, n, d)
	if err != nil {
		return nil, err
	}
	if err := s.judge(ctx, t, outs); err != nil {
		return nil, err
	}
	if err := s.publish(n, outs, staging); err != nil {
		return nil, err
	}
	return &record{key: keyOf(encoded...), outs: outs, manifest: encoded}, nil
}

// settleInputs looks at the inputs again after the run, and returns the manifest that
// the step ran under: that of before, with the ledgers as they are now.
func (s *session) settleInputs(ctx context.Context, n *node, d *decision) (pieces, error) {
	v := s.view.after()
	now, err := resolver{s: s, v: v, strict: true}.resolve(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("tainted: after the run %w; nothing was recorded, build again", err)
	}
	m := *d.manifest
	m.inputs = now
	encoded := m.encode()
	if keyOf(encoded...) != d.key {
		return nil, fmt.Errorf("tainted: while the step ran %s; nothing was recorded, build again", s.whatMoved(ctx, n, now))
	}
	// Equal contents are not enough: a file may have been changed and changed
	// back while the step read it.
	if v.moved != "" {
		return nil, fmt.Errorf("tainted: while the step ran input %s was written; nothing was recorded, build again", s.con.Path(v.moved))
	}
	if len(n.ledgers) == 0 {
		return encoded, nil
	}
	for _, abs := range n.ledgers {
		s.view.forget(abs, false)
	}
	if m.ledgers, err = s.ledgers(s.view, n); err != nil {
		return nil, err
	}
	return m.encode(), nil
}

// whatMoved says how inputs differ from what the build has seen of them.
func (s *session) whatMoved(ctx context.Context, n *node, now []group) string {
	then, err := resolver{s: s, v: s.view}.resolve(ctx, n)
	if err != nil {
		return err.Error()
	}
	if what := diffInputs(then, now); len(what) > 0 {
		return what[0]
	}
	return "something came or went where it reads"
}

// call runs the step's function. Whatever way that ends, it is an error or
// success of the step and not the end of the build.
func call(ctx context.Context, n *node, t *Task, log *slog.Logger) error {
	if n.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, n.Timeout)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() {
		err := errors.New("the step ended its goroutine")
		defer func() {
			if p := recover(); p != nil {
				log.Error("the step panicked", "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("the step panicked: %v", p)
			}
			done <- err
		}()
		if n.command != nil {
			err = n.command.run(ctx, t)
		} else {
			err = n.Run(ctx, t)
		}
	}()
	err := <-done
	if err != nil && n.Timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("it took longer than %s: %w", n.Timeout, err)
	}
	return err
}

func (s *session) task(ctx context.Context, n *node, d *decision, outs []string, log *slog.Logger) *Task {
	t := &Task{Log: log, n: n, opt: s.opt, staging: outs}
	groups, whole := d.groups, !d.isBrief
	again := decision{verdict: d.verdict, key: d.key, isBrief: true}
	t.inputs = sync.OnceValue(func() []*reading {
		if !whole {
			if err := s.recall(ctx, n, &again); err != nil {
				t.fail(err)
			}
			groups = again.groups
		}
		inputs := make([]*reading, len(groups))
		for i, g := range groups {
			inputs[i] = readingOf(g)
		}
		return inputs
	})
	return t
}

// grow asks a step whose outputs are in place for further steps.
func (s *session) grow(ctx context.Context, n *node, d *decision) (steps []Step, err error) {
	if n.Grow == nil {
		return nil, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("growing further steps: it panicked: %v", p)
		}
	}()
	t := s.task(ctx, n, d, n.outs, slog.New(slog.DiscardHandler))
	if steps, err = n.Grow(ctx, t); err == nil {
		err = t.err()
	}
	if err != nil {
		return nil, fmt.Errorf("growing further steps: %w", err)
	}
	return steps, nil
}

// batch is what has been done and is not recorded yet.
type batch struct {
	records map[bool][]store.Record // by privacy
	dirs    map[string]bool         // that were written to
	count   int
	since   time.Time
}

// A batch is closed when it is large or old: syncing a file system costs some
// milliseconds, and more if others write to it, so it is not done per step;
// what a crash can cost is what was built since.
const (
	batchSize = 64
	batchAge  = 500 * time.Millisecond
)

// commit queues what must become durable: the outputs of a step, which are in
// place, and then its record, if there is a new one.
func (s *session) commit(n *node, rec *record) error {
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	b := &s.batch
	if b.dirs == nil {
		b.since = time.Now()
		b.records = map[bool][]store.Record{}
		b.dirs = map[string]bool{}
	}
	for _, abs := range append(slices.Clone(n.outs), n.ledgers...) {
		b.dirs[filepath.Dir(abs)] = true
		b.dirs[s.tier(s.opt.private(abs)).Dir()] = true
	}
	b.count++
	if rec != nil {
		b.records[n.secret] = append(b.records[n.secret], rec.stored(n.Name))
	}
	if b.count < batchSize && time.Since(b.since) < batchAge {
		return nil
	}
	return s.flushLocked()
}

// batchDue returns how long the batch may still wait, and whether there is one.
func (s *session) batchDue() (wait time.Duration, pending bool) {
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	if s.batch.dirs == nil {
		return 0, false
	}
	return max(0, batchAge-time.Since(s.batch.since)), true
}

// revive makes a record the newest of its step again, if a build finds it to
// be true: reasons are told against the newest. It returns the one that was the
// newest, nil if that is the same.
func (s *session) revive(n *node, rec *record) (was *record, err error) {
	if !s.write || n.each != nil {
		return nil, nil
	}
	if s.tier(n.secret).Records.IsLast(n.Name, rec.key) {
		return nil, nil
	}
	return s.last(n), s.commit(n, rec)
}

func (s *session) flush() error {
	s.batchMu.Lock()
	defer s.batchMu.Unlock()
	return s.flushLocked()
}

// flushLocked makes the outputs and blobs of a batch durable, then its
// records. If it fails the steps stay stale.
func (s *session) flushLocked() error {
	b := s.batch
	s.batch = batch{}
	if len(b.dirs) > 0 {
		dirs := make([]string, 0, len(b.dirs))
		for dir := range b.dirs {
			dirs = append(dirs, dir)
		}
		slices.Sort(dirs)
		if err := store.SyncDisks(dirs...); err != nil {
			return fmt.Errorf("the records of %s are not written: %w", console.Plural(b.count, "step"), err)
		}
	}
	for _, private := range []bool{false, true} {
		if recs := b.records[private]; len(recs) > 0 {
			if err := s.tier(private).Records.Append(recs); err != nil {
				return fmt.Errorf("the records of %s are not written: %w", console.Plural(len(recs), "step"), err)
			}
		}
	}
	return nil
}

func (s *session) lastElapsed(n *node) time.Duration {
	if rec := s.last(n); rec != nil {
		return rec.elapsed
	}
	return 0
}
