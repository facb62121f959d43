package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/lock"
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
	v := verification{study: s, graph: graph, lock: doc}
	if against != nil {
		if info, err := os.Stat(*against); err != nil || !info.IsDir() {
			return usage("-against=%s: there is no such directory", *against)
		}
		v.against = *against
	}
	return v.results(ctx)
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

// verification compares results with the lock.
type verification struct {
	study   *study
	graph   *build.Graph // for what the cache holds
	lock    lock.Document
	against string // a directory that is said to hold the results that the lock speaks of, or ""
	kept    string // a directory that holds them as far as they were known, or ""
	// made says which results to compare; nil: all, and those that the lock
	// lacks or no step makes any longer.
	made func(build.Ref) bool

	tolerance                  difference.Tolerance
	scratch                    string // for contents out of the cache
	same, near, other, unknown int
}

// results compares everything and says what it has found.
func (v *verification) results(ctx context.Context) (err error) {
	s := v.study
	if here := build.Platform(); v.lock.Platform != here {
		v.tolerance = difference.Platforms
		fmt.Fprintf(s.stdout, "platform: %s was written on %s, this is %s; numbers may differ by %g of their size, colours by %d of 255\n",
			lockFile, v.lock.Platform, here, v.tolerance.Relative, v.tolerance.Channel)
	}
	if v.scratch, err = os.MkdirTemp("", "plr-verify-"); err != nil {
		return err
	}
	defer func() {
		if rerr := os.RemoveAll(v.scratch); err == nil {
			err = rerr
		}
	}()
	made := append(s.locked(), s.database())
	for _, name := range slices.Sorted(maps.Keys(v.lock.Contents)) {
		ref := build.Ref{Root: rootDatabase, Path: name}
		if err := v.result(ctx, ref, slices.Contains(made, ref), v.lock.Contents[name]); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.lock.Artifacts)) {
		ref := build.Ref{Root: rootResults, Path: name}
		if err := v.result(ctx, ref, slices.Contains(made, ref), v.lock.Artifacts[name]); err != nil {
			return err
		}
	}
	for _, ref := range made {
		in := v.lock.Artifacts
		if ref.Root == rootDatabase {
			in = v.lock.Contents
		}
		if in[ref.Path] == "" && (v.made == nil || v.made(ref)) {
			v.say(ref, "differs", "it is not in "+lockFile)
		}
	}
	text := fmt.Sprintf("%s: %d as locked", lockFile, v.same)
	if v.near > 0 {
		text += fmt.Sprintf(", %d equal within the tolerance", v.near)
	}
	fmt.Fprintf(s.stdout, "%s, %d not\n", text, v.other)
	if v.unknown > 0 {
		fmt.Fprintf(s.stdout, "of %s only the digest is known; what they were is compared where it is at hand: name a directory with the locked results (mage verify -against=DIR), or import them (mage cache:import)\n", console.Plural(v.unknown, "result"))
	}
	if v.other > 0 {
		return mg.Fatal(exitStale, fmt.Sprintf("results are not those of %s", lockFile))
	}
	return nil
}

// say reports a result that is not as the lock says.
func (v *verification) say(ref build.Ref, what, why string) {
	v.other++
	fmt.Fprintf(v.study.stdout, "%-8s %s: %s\n", what, ref.Path, v.study.gate.redact(why))
}

// result compares one result with what the lock says of it.
func (v *verification) result(ctx context.Context, ref build.Ref, made bool, want string) error {
	if v.made != nil && !v.made(ref) {
		return nil
	}
	name := v.study.place(ref)
	got, err := digestOf(ctx, ref, name)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		v.say(ref, "missing", "mage reproduce brings it back")
		return nil
	case errors.Is(err, checkpoint.ErrInUse):
		return fmt.Errorf("%s cannot be compared: %w", ref.Path, err)
	case err != nil:
		v.say(ref, "differs", err.Error())
		return nil
	case !made:
		v.say(ref, "differs", "it is in "+lockFile+" and no step makes it")
		return nil
	case got == want:
		v.same++
		return nil
	}
	original, why, err := v.original(ctx, ref, want)
	if err != nil {
		return err
	}
	if original == "" {
		v.unknown++
		v.say(ref, "differs", why)
		return nil
	}
	found, err := firstDifference(ctx, ref, original, name, v.tolerance)
	switch {
	case err != nil:
		v.say(ref, "differs", "where cannot be told: "+err.Error())
	case found != nil:
		v.say(ref, "differs", found.String())
	case v.tolerance == difference.Tolerance{}:
		v.say(ref, "differs", "its contents have another digest, in a way that the comparison does not see")
	default:
		v.near++
		fmt.Fprintf(v.study.stdout, "%-8s %s\n", "near", ref.Path)
	}
	return nil
}

// original returns where a result is as the lock speaks of it, or why it is not
// known.
func (v *verification) original(ctx context.Context, ref build.Ref, want string) (name, why string, err error) {
	why = "it has another digest"
	for _, dir := range []string{v.kept, v.against} {
		if dir == "" {
			continue
		}
		not := "there is no copy in " + dir
		for _, candidate := range v.study.copiesIn(dir, ref) {
			got, err := digestOf(ctx, ref, candidate)
			switch {
			case ctx.Err() != nil:
				return "", "", ctx.Err()
			case err == nil && got == want:
				return candidate, "", nil
			case err == nil:
				not = fmt.Sprintf("%s is not what %s speaks of, either", candidate, lockFile)
			case !errors.Is(err, fs.ErrNotExist):
				not = fmt.Sprintf("%s: %v", candidate, err)
			}
		}
		if dir == v.against {
			why += ", and " + not
		}
	}
	// The cache knows contents by the digest of their bytes.
	if ref.Root == rootDatabase {
		return "", why, nil
	}
	name = filepath.Join(v.scratch, strconv.Itoa(v.same+v.near+v.other))
	there, err := v.graph.Cached(want, name)
	if err != nil || !there {
		return "", why, err
	}
	return name, "", nil
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
func (s *study) copiesIn(dir string, ref build.Ref) []string {
	top := filepath.Join(dir, filepath.FromSlash(ref.Path))
	if ref.Root != rootDatabase {
		return []string{top}
	}
	within := below(s.settings.Results, s.place(ref))
	if !filepath.IsLocal(filepath.FromSlash(within)) {
		return []string{top}
	}
	return []string{filepath.Join(dir, filepath.FromSlash(within)), top}
}

// digestOf is what the lock holds of a result: the digest of the contents of a
// database, that of the bytes of all else. Errors name no path.
func digestOf(ctx context.Context, ref build.Ref, name string) (string, error) {
	if ref.Root == rootDatabase {
		digest, err := checkpoint.Digest(ctx, name)
		return contentsOfDatabase + " " + digest, err
	}
	digest, err := lock.Digest(name)
	var inPath *fs.PathError
	if errors.As(err, &inPath) && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("it cannot be read: %w", inPath.Err)
	}
	return digest, err
}

// firstDifference compares two versions of a public result.
func firstDifference(ctx context.Context, ref build.Ref, was, now string, t difference.Tolerance) (*build.Difference, error) {
	if ref.Root == rootDatabase {
		found, err := checkpoint.Compare(ctx, was, now, t.Near)
		return (*build.Difference)(found), err
	}
	found, err := difference.Files(path.Base(ref.Path), was, now, t)
	return (*build.Difference)(found), err
}

// compare is how the engine compares what steps make when they run again.
func compare(ctx context.Context, ref build.Ref, was, now string) (*build.Difference, error) {
	return firstDifference(ctx, ref, was, now, difference.Tolerance{})
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
	for path, want := range f.lock.Contents {
		err = errors.Join(err, f.keep(ctx, s, build.Ref{Root: rootDatabase, Path: path}, want))
	}
	for path, want := range f.lock.Artifacts {
		err = errors.Join(err, f.keep(ctx, s, build.Ref{Root: rootResults, Path: path}, want))
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *frozen) keep(ctx context.Context, s *study, ref build.Ref, want string) error {
	// What cannot be read is not what the lock speaks of; the build deals with it.
	if got, err := digestOf(ctx, ref, s.place(ref)); err != nil || got != want {
		return ctx.Err()
	}
	data, err := os.ReadFile(s.place(ref))
	if err != nil {
		return err
	}
	to := filepath.Join(f.kept, filepath.FromSlash(ref.Path))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}

// verify compares what was built, all of it or what the steps of the build make.
func (f *frozen) verify(ctx context.Context, s *study, graph *build.Graph, built *build.Summary) error {
	v := verification{study: s, graph: graph, lock: f.lock, kept: f.kept}
	if !f.whole {
		var names []string
		for _, step := range built.Steps {
			names = append(names, step.Name)
		}
		made := graph.Outputs(names...)
		v.made = func(ref build.Ref) bool { return slices.Contains(made, ref) }
	}
	return v.results(ctx)
}

func (f *frozen) close() error { return os.RemoveAll(f.kept) }
