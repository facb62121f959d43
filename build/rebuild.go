package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/semaphore"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/store"
)

// Rebuilt is what came out when steps ran again.
type Rebuilt struct {
	Steps []RebuiltStep // sorted by name
}

// RebuiltStep is how one step ran again.
type RebuiltStep struct {
	Name    string
	State   RebuiltState
	Output  string      // for RebuiltOther: the first output that differs, or the ledger
	Found   *Difference // and where; nil if that could not be found out
	Reason  string      // for RebuiltOther without Found, RebuiltNot and RebuiltFailed
	Private bool        // the step handles private files
}

// RebuiltState is what running a step again has shown.
type RebuiltState string

const (
	RebuiltSame   RebuiltState = "same"              // everything came out as it is recorded
	RebuiltOther  RebuiltState = "not deterministic" // from the same inputs came something else
	RebuiltNot    RebuiltState = "stale"             // there is nothing to compare with: build first
	RebuiltFailed RebuiltState = "failed"            // though it succeeded before
)

// Difference is the first place where two versions of an output differ. Of a
// private output Was and Now are empty.
type Difference struct {
	Where    string // such as "$.rows[3]", "pixel (10, 4)", "line 7, column 1", "byte 42"
	Was, Now string
}

func (d *Difference) String() string { return (*difference.Found)(d).String() }

// Count returns how many steps ended in a state.
func (r *Rebuilt) Count(state RebuiltState) int {
	n := 0
	for _, s := range r.Steps {
		if s.State == state {
			n++
		}
	}
	return n
}

// Write prints every step that did not come out the same, and a summary.
func (r *Rebuilt) Write(w io.Writer) error {
	var b strings.Builder
	for _, s := range r.Steps {
		switch s.State {
		case RebuiltSame:
		case RebuiltOther:
			what := s.Reason
			if s.Found != nil {
				what = s.Found.String()
			}
			line(&b, "%s: %s makes another %s: %s", s.State, s.Name, s.Output, what)
		default:
			fmt.Fprintf(&b, "%s: %s: %s\n", s.State, s.Name, s.Reason)
		}
	}
	fmt.Fprintf(&b, "%s rebuilt: %d as recorded, %d not, %d failed", console.Plural(len(r.Steps)-r.Count(RebuiltNot), "step"), r.Count(RebuiltSame), r.Count(RebuiltOther), r.Count(RebuiltFailed))
	if n := r.Count(RebuiltNot); n > 0 {
		fmt.Fprintf(&b, "; %d stale, which a build brings up to date", n)
	}
	_, err := fmt.Fprintln(w, b.String())
	return err
}

// scratchDir is the directory in a cache where steps run again.
const scratchDir = "scratch"

// Rebuild runs the steps that match the goals again, without goals all, each on
// its inputs as they stand, and compares what they make with what their records
// say. Steps that are stale have nothing to be compared with and do not run.
//
// What the steps make lands in a scratch directory of the cache of their tier and
// is removed; ledgers are copied there. Outputs, ledgers, records and history
// stay as they are. Meanwhile the caches are locked as by a build.
func (g *Graph) Rebuild(ctx context.Context, goals ...string) (done *Rebuilt, err error) {
	hold := &session{opt: &g.opt, con: g.opt.console()}
	defer func() { err = errors.Join(err, hold.close()) }()
	dirs, err := hold.holdScratch(ctx, g)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, dir := range dirs {
			err = errors.Join(err, removeAll(dir))
		}
	}()
	done = &Rebuilt{}
	err = g.survey(ctx, survey{goals: goals}, func(s *session, q *scheduler) error {
		var nodes []*node
		for _, n := range s.plan.nodes {
			asked := len(goals) == 0 || slices.ContainsFunc(goals, func(goal string) bool { return matchName(goal, n.Name) })
			if s.want[n] && asked && n.each == nil {
				nodes = append(nodes, n)
			}
		}
		done.Steps, err = s.rebuild(ctx, q, nodes)
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// holdScratch locks the caches that exist, so that no build changes what the
// steps read, and removes what a crash left in the scratch directories.
func (s *session) holdScratch(ctx context.Context, g *Graph) (dirs []string, err error) {
	for _, private := range []bool{false, true} {
		dir, perm := g.tierDir(private), store.Public
		if private {
			perm = store.Private
		}
		if dir == "" {
			continue
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue // nothing is recorded
		}
		lock, err := store.Acquire(ctx, dir, perm, s.me(), s.waiting)
		if err != nil {
			return nil, err
		}
		s.locks = append(s.locks, lock)
		dirs = append(dirs, filepath.Join(dir, scratchDir))
		if err := removeAll(filepath.Join(dir, scratchDir)); err != nil {
			return nil, fmt.Errorf("scratch directory: %w", err)
		}
	}
	return dirs, nil
}

// rebuild runs steps again, as many at once as the options allow.
func (s *session) rebuild(ctx context.Context, q *scheduler, nodes []*node) ([]RebuiltStep, error) {
	pools := map[string]*semaphore.Weighted{}
	for name, capacity := range s.opt.Pools {
		pools[name] = semaphore.NewWeighted(capacity)
	}
	steps := make([]RebuiltStep, len(nodes))
	next := make(chan int, len(nodes))
	for i := range nodes {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range s.opt.Jobs {
		wg.Go(func() {
			for i := range next {
				n := nodes[i]
				if pool := pools[n.Pool]; pool != nil {
					if pool.Acquire(ctx, q.weight(n)) != nil {
						return // the build was stopped, which is told below
					}
					steps[i] = s.again(ctx, q, n)
					pool.Release(q.weight(n))
				} else if ctx.Err() == nil {
					steps[i] = s.again(ctx, q, n)
				}
			}
		})
	}
	wg.Wait()
	if ctx.Err() != nil {
		return nil, fmt.Errorf("stopped: %w", context.Cause(ctx))
	}
	return steps, nil
}

// again runs one step again, if there is something to compare with.
func (s *session) again(ctx context.Context, q *scheduler, n *node) (r RebuiltStep) {
	r = RebuiltStep{Name: n.Name, Private: n.secret}
	defer func() { r.Output, r.Reason = s.opt.Redact(r.Output), s.opt.Redact(n.shown(r.Reason)) }()
	p := q.steps[n]
	told := s.decision(n, p)
	if told.Verdict != Fresh && told.Verdict != WillRestore {
		r.State, r.Reason = RebuiltNot, strings.Join(told.Reasons, "; ")
		return r
	}
	// A record may be whole while an input that another step makes is not in
	// place: it would be restored first.
	now, err := resolver{s: s, v: newView(s.opt, s.index), strict: true}.resolve(ctx, n)
	if err == nil {
		if what := diffInputs(p.dec.groups, now); len(what) > 0 {
			err = errors.New(first(what))
		}
	}
	if err != nil {
		r.State, r.Reason = RebuiltNot, err.Error()
		return r
	}
	other, err := s.rerunUntil(ctx, n, *p.dec)
	switch {
	case err != nil:
		r.State, r.Reason = RebuiltFailed, err.Error()
	case other != nil:
		r.State, r.Output, r.Found, r.Reason = RebuiltOther, other.output, other.found, other.reason
	case told.Verdict == WillRestore:
		r.State, r.Reason = RebuiltNot, strings.Join(told.Reasons, "; ")+"; rebuilt, it comes out as it was recorded"
	default:
		r.State = RebuiltSame
	}
	return r
}

// rerunUntil runs a step again, and once more after an error that may go away by
// itself, as a build does.
func (s *session) rerunUntil(ctx context.Context, n *node, d decision) (*another, error) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval = firstPause
	for try := 1; ; try++ {
		other, err := s.rerun(ctx, n, d)
		if err == nil || try > n.Retries || !isTransient(err) {
			return other, err
		}
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// another is an output that came out differently.
type another struct {
	output string
	found  *Difference
	reason string
}

// rerun runs a step in the scratch directory and compares what it makes with its
// record.
func (s *session) rerun(ctx context.Context, n *node, d decision) (other *another, err error) {
	dir := filepath.Join(s.tier(n.secret).Dir(), scratchDir, url.PathEscape(n.Name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	// What it says is not kept: no build has run.
	log := slog.New(slog.DiscardHandler)
	places := make([]string, len(n.outs))
	for i, abs := range n.outs {
		home := filepath.Join(dir, strconv.Itoa(i))
		if places[i] = filepath.Join(home, filepath.Base(abs)); n.Outputs[i].Tree {
			home = places[i]
		}
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, err
		}
	}
	t := s.task(ctx, n, &d, places, log)
	t.ranBefore = true
	if t.ledgers, err = s.copyLedgers(n, dir); err != nil {
		return nil, err
	}
	if err := call(ctx, n, t, log); err != nil {
		return nil, err
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	outs, err := s.collect(ctx, n, places)
	if err != nil {
		return nil, err
	}
	if err := s.mean(ctx, t, outs); err != nil {
		return nil, err
	}
	manifest, err := s.settleInputs(ctx, n, &d)
	if err != nil {
		return nil, err
	}
	if keyOf(manifest...) != d.key {
		return nil, errors.New("it changed a ledger in its place, not the copy that it was given: it must ask for the path")
	}
	for i := range outs {
		if outs[i].same(&d.rec.outs[i]) {
			continue
		}
		return s.whatDiffers(ctx, n, i, &d.rec.outs[i], &outs[i], places[i], dir)
	}
	return s.ledgersDiffer(ctx, n, t)
}

// copyLedgers gives a step copies of its ledgers to work on.
func (s *session) copyLedgers(n *node, dir string) (map[Ref]string, error) {
	copies := map[Ref]string{}
	for i, ref := range n.Ledgers {
		to := filepath.Join(dir, "ledger-"+strconv.Itoa(i), filepath.Base(n.ledgers[i]))
		if err := os.Mkdir(filepath.Dir(to), 0o700); err != nil {
			return nil, err
		}
		if err := copyFile(n.ledgers[i], to); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("ledger %s: %w", ref, plainError(err))
		}
		copies[ref] = to
	}
	return copies, nil
}

// ledgersDiffer finds the first ledger that a step would change, though it has
// run on it before.
func (s *session) ledgersDiffer(ctx context.Context, n *node, t *Task) (*another, error) {
	for i, ref := range n.Ledgers {
		was, _, errWas := store.Hash(n.ledgers[i])
		now, _, errNow := store.Hash(t.ledgers[ref])
		switch {
		case errors.Is(errWas, fs.ErrNotExist) && errors.Is(errNow, fs.ErrNotExist):
			continue
		case errWas != nil || errNow != nil:
			return nil, fmt.Errorf("ledger %s: %w", ref, errors.Join(errWas, errNow))
		case was == now:
			continue
		}
		found, err := s.place(ctx, ref, n.ledgers[i], n.ledgers[i], t.ledgers[ref])
		return &another{output: ref.String() + " (a ledger)", found: found, reason: "it is changed by running the step a second time"}, err
	}
	return nil, nil
}

// whatDiffers finds the place where an output differs from the recorded one.
func (s *session) whatDiffers(ctx context.Context, n *node, i int, was, now *made, place, dir string) (*another, error) {
	other := &another{output: n.Outputs[i].String(), reason: "it has another digest, and what was recorded is neither in place nor in the cache"}
	if was.exec != now.exec {
		other.reason = "it may be executed or not"
		return other, nil
	}
	ref, abs, sum := n.Outputs[i].Ref, n.outs[i], was.sum
	if was.tree {
		a, b, ok := differingFile(was.files, now.files)
		if !ok { // one has a file that the other has not
			other.reason = treeDifference(was.files, now.files)
			return other, nil
		}
		ref.Path += "/" + a.path
		other.output = ref.String()
		abs, sum = filepath.Join(abs, filepath.FromSlash(a.path)), a.sum
		place = filepath.Join(place, filepath.FromSlash(b.path))
	}
	original, err := s.original(n.outs[i], abs, sum, dir)
	if err != nil || original == "" {
		return other, err
	}
	if other.found, err = s.place(ctx, ref, abs, original, place); err != nil {
		return nil, err
	}
	if other.found == nil {
		other.reason = "its contents have another digest, in a way that the comparison does not see"
	}
	return other, nil
}

// differingFile returns the first file that two trees both have and that is not
// the same, if they have the same files.
func differingFile(was, now []treeFile) (a, b treeFile, ok bool) {
	if len(was) != len(now) {
		return a, b, false
	}
	for i := range was {
		if was[i].path != now[i].path {
			return a, b, false
		}
		if !ok && was[i] != now[i] {
			a, b, ok = was[i], now[i], true
		}
	}
	return a, b, ok
}

// original returns where contents are that were recorded: in place, or restored
// from the cache; "" if in neither.
func (s *session) original(out, abs string, sum store.Sum, dir string) (string, error) {
	if got, _, err := store.Hash(abs); err == nil && got == sum {
		return abs, nil
	}
	to := filepath.Join(dir, "original")
	err := s.blobs(out).Restore(sum, to, 0o600)
	if err != nil {
		return "", nil //nolint:nilerr // a cache may lack anything, or be damaged
	}
	return to, nil
}

// place compares two versions of a file. What is private stays so: of it the
// place is told and nothing that stands there.
func (s *session) place(ctx context.Context, ref Ref, abs, was, now string) (*Difference, error) {
	compare := s.opt.Compare
	if compare == nil {
		compare = func(_ context.Context, ref Ref, was, now string) (*Difference, error) {
			found, err := difference.Files(ref.Path, was, now, difference.Tolerance{})
			return (*Difference)(found), err
		}
	}
	found, err := compare(ctx, ref, was, now)
	if err != nil {
		return nil, fmt.Errorf("%s: where it differs cannot be told: %w", ref, err)
	}
	if found == nil {
		return nil, nil
	}
	shown := &Difference{Where: s.opt.Redact(found.Where)}
	if !s.opt.private(abs) {
		shown.Was, shown.Now = s.opt.Redact(found.Was), s.opt.Redact(found.Now)
	}
	return shown, nil
}

// Cached writes public contents with a digest to a new file, and says whether
// the cache had them, undamaged.
func (g *Graph) Cached(digest, to string) (bool, error) {
	sum, ok := store.ParseSum(digest)
	if !ok {
		return false, fmt.Errorf("%q is not a digest", digest)
	}
	st, err := store.OpenReader(g.opt.PublicCache, store.Public, safetyGap)
	if err != nil {
		return false, err
	}
	err = st.Blobs.Restore(sum, to, 0o600)
	return err == nil, st.Close()
}
