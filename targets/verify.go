package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/lock"
	"github.com/foundation-plr/pipeline/internal/verification"
)

// Verify holds the public results as they stand against pipeline.lock, and fails
// with 3 when anything differs. With rebuild it runs steps again instead, those
// that match step, and fails with 3 when one of them does not give what is
// recorded. Against is a directory with the results that the lock speaks of.
func Verify(ctx context.Context, rebuild *bool, step, against *string) error {
	switch {
	case wanted(rebuild) && against != nil:
		return usage("-against=DIR goes with the comparison with %s: leave -rebuild out", lockFile)
	case wanted(rebuild):
		return rebuildSteps(ctx, step)
	case step != nil:
		return usage("-step=GLOB goes with -rebuild")
	}
	s, graph, err := publicHalf(nil)
	if err != nil {
		return err
	}
	doc, err := s.readLock()
	if err != nil {
		return err
	}
	c := s.check(graph, doc)
	if against != nil {
		if info, err := os.Stat(*against); err != nil || !info.IsDir() {
			return usage("-against=%s: there is no such directory", *against)
		}
		c.Against = *against
	}
	return s.verify(ctx, c)
}

// rebuildSteps runs steps again into a scratch place.
func rebuildSteps(ctx context.Context, step *string) error {
	s, err := open()
	if err != nil {
		return err
	}
	p, err := everything(s)
	if err != nil {
		return err
	}
	var goals []string
	if step != nil {
		goals = []string{*step}
		if err := checkSteps("-step", goals, p.steps); err != nil {
			return err
		}
	}
	graph, err := s.graph(p.steps)
	if err != nil {
		return err
	}
	ctx, stop := build.Context(ctx)
	defer stop()
	done, err := graph.Rebuild(ctx, goals...)
	if err != nil {
		return errors.New(s.gate.redact(err.Error()))
	}
	if err := done.Write(s.stdout); err != nil {
		return err
	}
	switch {
	case done.Count(build.RebuiltFailed) > 0:
		return errors.New("steps that have succeeded before have failed")
	case done.Count(build.RebuiltOther) > 0:
		return mg.Fatal(exitStale, "steps are not deterministic")
	case done.Count(build.RebuiltNot) > 0:
		return mg.Fatal(exitStale, "what is stale could not be compared: mage reproduce, then verify again")
	}
	return nil
}

// readLock reads the lock of the study.
func (s *study) readLock() (lock.Document, error) {
	name := filepath.Join(s.settings.Results, lockFile)
	doc, err := lock.Read(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return doc, fmt.Errorf("there is no %s to compare with: mage reproduce writes it, or put back the one that was committed", name)
	case err != nil:
		return doc, fmt.Errorf("%w; put back the one that was committed, or let mage reproduce write it anew", err)
	case doc.Study != s.settings.Study:
		return doc, fmt.Errorf("%s is that of the study %q, and this is %q", name, doc.Study, s.settings.Study)
	}
	return doc, nil
}

// resultOf is a public result as the lock knows it.
func resultOf(ref build.Ref) verification.Result {
	return verification.Result{Path: ref.Path, Database: ref.Root == rootDatabase}
}

func refOf(r verification.Result) build.Ref {
	if r.Database {
		return build.Ref{Root: rootDatabase, Path: r.Path}
	}
	return build.Ref{Root: rootResults, Path: r.Path}
}

func (s *study) placeOf(r verification.Result) string { return s.place(refOf(r)) }

// check compares results with the lock. The graph knows what the cache holds.
func (s *study) check(graph *build.Graph, doc lock.Document) *verification.Check {
	c := &verification.Check{
		Lock: doc, Platform: build.Platform(),
		Place: s.placeOf, Copies: s.copiesIn, Cached: graph.Cached,
		Out: s.stdout, Redact: s.gate.redact,
	}
	for _, ref := range append(s.locked(), s.database()) {
		c.Made = append(c.Made, resultOf(ref))
	}
	return c
}

// verify makes the check, and fails with 3 when anything differs.
func (s *study) verify(ctx context.Context, c *verification.Check) error {
	found, err := c.Run(ctx)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s: %d as locked", lockFile, found.Same)
	if found.Near > 0 {
		text += fmt.Sprintf(", %d equal within the tolerance", found.Near)
	}
	fmt.Fprintf(s.stdout, "%s, %d not\n", text, found.Other)
	if found.Unknown > 0 {
		fmt.Fprintf(s.stdout, "of %s only the digest is known; what they were is compared where it is at hand: name a directory with the locked results (mage verify -against=DIR), or import them (mage cache:import)\n", console.Plural(found.Unknown, "result"))
	}
	if found.Other > 0 {
		return mg.Fatal(exitStale, fmt.Sprintf("results are not those of %s", lockFile))
	}
	return nil
}

// place is where a public result is.
func (s *study) place(ref build.Ref) string {
	if ref.Root == rootDatabase {
		return filepath.Join(filepath.Dir(s.settings.PublicDB), filepath.FromSlash(ref.Path))
	}
	return filepath.Join(s.settings.Results, filepath.FromSlash(ref.Path))
}

// copiesIn are where a directory may hold a copy of a result: as the results do,
// or a database at its top.
func (s *study) copiesIn(dir string, r verification.Result) []string {
	top := filepath.Join(dir, filepath.FromSlash(r.Path))
	if !r.Database {
		return []string{top}
	}
	within := below(s.settings.Results, s.placeOf(r))
	if !filepath.IsLocal(filepath.FromSlash(within)) {
		return []string{top}
	}
	return []string{filepath.Join(dir, filepath.FromSlash(within)), top}
}

// compare is how the engine compares what steps make when they run again.
func compare(ctx context.Context, ref build.Ref, was, now string) (*build.Difference, error) {
	found, err := resultOf(ref).Difference(ctx, was, now, difference.Tolerance{})
	return (*build.Difference)(found), err
}

// frozen is a build that leaves pipeline.lock as it is and fails when its results
// are others.
type frozen struct {
	lock  lock.Document
	whole bool   // a build of these goals writes the lock
	kept  string // a directory with what the lock speaks of, as far as it was in place
}

// freeze takes the step that writes pipeline.lock out of a plan, and the one that
// packs a release: results are compared afterwards only. Results in place
// that the lock speaks of, such as those that were committed with it, are copied
// first: the build may replace them, and then shows how its own differ.
func (s *study) freeze(ctx context.Context, p *plan) (f *frozen, err error) {
	f = &frozen{}
	if f.lock, err = s.readLock(); err != nil {
		return nil, fmt.Errorf("FROZEN is set: %w", err)
	}
	writes := func(step build.Step) bool { return step.Name == stepLock }
	f.whole = len(p.goals) == 0 && slices.ContainsFunc(p.steps, writes)
	p.steps = slices.DeleteFunc(p.steps, func(step build.Step) bool { return writes(step) || step.Name == stepRelease })
	if f.kept, err = os.MkdirTemp("", "plr-frozen-"); err != nil {
		return nil, err
	}
	if err := verification.Keep(ctx, f.lock, s.placeOf, f.kept); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// verify compares what was built, all of it or what the steps of the build make.
func (f *frozen) verify(ctx context.Context, s *study, graph *build.Graph, built *build.Summary) error {
	c := s.check(graph, f.lock)
	c.Kept = f.kept
	if !f.whole {
		var names []string
		for _, step := range built.Steps {
			names = append(names, step.Name)
		}
		made := graph.Outputs(names...)
		c.Only = func(r verification.Result) bool { return slices.Contains(made, refOf(r)) }
	}
	return s.verify(ctx, c)
}

func (f *frozen) close() error { return os.RemoveAll(f.kept) }
