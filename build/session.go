package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/history"
	"github.com/foundation-plr/pipeline/internal/store"
)

// session is one build, dry run or status of a graph.
type session struct {
	opt   *Options
	plan  *plan
	goals []string
	want  map[*node]bool

	write bool // a build: it may change outputs and records
	force bool // Options.Force counts

	view       *view
	tiers      [2]atomic.Pointer[store.Store] // public, private
	locks      []*store.Lock
	con        *console.Console
	history    *history.Run // of a build
	audit      *audit       // with Options.Audit
	begun      time.Time
	historyErr sync.Once

	mu      sync.Mutex
	results map[*node][]made // of settled steps whose outputs are known
	staged  map[string]bool  // directories with a staging directory in use

	batchMu sync.Mutex
	batch   batch
}

// safetyGap is shorter in tests.
var safetyGap = store.SafetyGap

func tierIndex(private bool) int {
	if private {
		return 1
	}
	return 0
}

// open prepares a session over the closure of the goals.
func (g *Graph) open(ctx context.Context, goals []string, write, force bool) (*session, error) {
	s := &session{
		opt: &g.opt, goals: goals, write: write, force: force,
		staged: map[string]bool{}, begun: time.Now(),
		con: g.opt.console(),
	}
	s.view = newView(&g.opt, s.index)
	var err error
	if s.plan, err = g.plan(); err != nil {
		return nil, err
	}
	if s.want, err = s.plan.closure(goals); err != nil {
		return nil, err
	}
	s.results = make(map[*node][]made, len(s.want))
	s.view.settled = newSettledFiles(2 * len(s.want)) // an input and an output, as a rule
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *session) start(ctx context.Context) error {
	if err := s.openTier(ctx, false); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	if !s.write {
		return nil
	}
	var err error
	if s.history, err = history.New(s.opt.PublicCache, s.opt.PrivateCache, s.opt.Now()); err != nil {
		return fmt.Errorf("run history: %w", err)
	}
	s.audit, err = newAudit(s.opt)
	return err
}

// prepare opens what the wanted steps need, and removes what a crash left
// where they will write. It is called again when the graph has grown.
func (s *session) prepare(ctx context.Context) error {
	for _, n := range s.plan.nodes {
		if !s.want[n] {
			continue
		}
		if n.secret {
			if err := s.openTier(ctx, true); err != nil {
				return err
			}
		}
		if !s.write {
			continue
		}
		for _, out := range n.outs {
			if err := s.clearStaging(out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *session) openTier(ctx context.Context, private bool) error {
	at := &s.tiers[tierIndex(private)]
	if at.Load() != nil {
		return nil
	}
	dir, perm := s.opt.PublicCache, store.Public
	if private {
		dir, perm = s.opt.PrivateCache, store.Private
	}
	var st *store.Store
	var err error
	if s.write {
		if err := s.opt.mkdir(filepath.Dir(dir)); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		if err := store.Create(dir, perm); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		lock, err := store.Acquire(ctx, dir, perm, s.me(), s.waiting)
		if err != nil {
			return err
		}
		s.locks = append(s.locks, lock)
		if err := removeAll(filepath.Join(dir, scratchDir)); err != nil { // of a Rebuild that was killed
			return fmt.Errorf("scratch directory: %w", err)
		}
		if st, err = store.Open(dir, perm, safetyGap); err != nil {
			return err
		}
	} else if st, err = store.OpenReader(dir, perm, safetyGap); err != nil {
		return err
	}
	at.Store(st)
	return nil
}

// Exclusive calls a function while nothing else is built here: it holds the locks
// of both tiers, as a build does.
func (g *Graph) Exclusive(ctx context.Context, do func() error) (err error) {
	s := &session{opt: &g.opt, write: true, con: g.opt.console()}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, private := range []bool{false, true} {
		if g.tierDir(private) == "" {
			continue
		}
		if err := s.openTier(ctx, private); err != nil {
			return err
		}
	}
	return do()
}

func (s *session) me() store.Holder {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	return store.Holder{PID: os.Getpid(), Command: s.opt.Redact(strings.Join(args, " ")), Since: s.opt.Now().UTC().Truncate(time.Second)}
}

func (s *session) waiting(h store.Holder) bool {
	if s.opt.NoWait {
		return false
	}
	s.con.Note("waiting for another build: " + h.String())
	return true
}

// tier returns the store of a tier, nil if the session has no use for it.
func (s *session) tier(private bool) *store.Store { return s.tiers[tierIndex(private)].Load() }

func (s *session) index(private bool) *store.Index {
	if st := s.tier(private); st != nil {
		return st.Index
	}
	return nil
}

// blobs returns where the contents of an output are cached: with the file's
// own privacy, not that of its step.
func (s *session) blobs(abs string) *store.Blobs {
	return s.tier(s.opt.private(abs)).Blobs
}

// result returns what is known of an output of a settled step.
func (s *session) result(n *node, i int) *made {
	s.mu.Lock()
	defer s.mu.Unlock()
	outs := s.results[n]
	if i >= len(outs) {
		return nil
	}
	return &outs[i]
}

func (s *session) setResults(n *node, outs []made) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[n] = outs
}

// close writes what is left, the last records before anything else, and gives
// the locks back.
func (s *session) close() error {
	var err error
	if s.write {
		err = errors.Join(s.flush(), s.dropStaging(), s.audit.close())
	}
	for i := range s.tiers {
		if st := s.tiers[i].Swap(nil); st != nil {
			err = errors.Join(err, st.Close())
		}
	}
	for i := len(s.locks) - 1; i >= 0; i-- {
		err = errors.Join(err, s.locks[i].Release())
	}
	s.locks = nil
	return err
}
