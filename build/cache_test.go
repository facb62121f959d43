package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/store"
)

// study declares the shape that matters to caches: a private step, one that
// declassifies, and public ones behind it.
//
//	secret ─► coded (private) ─► public.db ─► a.txt, b.txt ─► all.txt
func (s *space) study() {
	read := func(t *Task, ref Ref) string {
		b, err := os.ReadFile(t.Path(ref))
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	upper := func(from, to Ref) func(context.Context, *Task) error {
		return func(_ context.Context, t *Task) error {
			return os.WriteFile(t.Out(to), []byte(strings.ToUpper(read(t, from))+to.Path+"\n"), 0o600)
		}
	}
	secret, coded, db := Ref{"private", "secret"}, Ref{"private", "coded"}, Ref{"work", "data/public.db"}
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		// Contents but for the white space.
		"words": func(_ context.Context, path string) (string, error) {
			b, err := os.ReadFile(path)
			return strings.Join(strings.Fields(string(b)), " "), err
		},
	}
	s.opt.Gate = func(ref Ref, path string) error {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("TOP SECRET")) {
			err = errors.New("it holds a secret")
		}
		return err
	}
	s.steps = []Step{
		{Name: "code", Inputs: []Input{File("private", "secret")}, Outputs: []Output{Out("private", "coded")}, Run: upper(secret, coded)},
		{Name: "checkpoint", Inputs: []Input{File("private", "coded")}, Outputs: []Output{Out("work", "data/public.db").As("words")}, Declassifies: true, Run: upper(coded, db)},
	}
	s.steps = append(s.steps, s.analysis()...)
}

// analysis is the part of the study that needs nothing private.
func (s *space) analysis() []Step {
	var steps []Step
	for _, name := range []string{"a", "b"} {
		out := Ref{"work", "out/" + name + ".txt"}
		steps = append(steps, Step{
			Name: "figure:" + name, Params: map[string]any{"name": name},
			Inputs: []Input{File("work", "data/public.db").As("words")}, Outputs: []Output{Out("work", out.Path)},
			Run: func(_ context.Context, t *Task) error {
				b, err := os.ReadFile(t.Path(Ref{"work", "data/public.db"}))
				if err != nil {
					return err
				}
				return os.WriteFile(t.Out(out), append([]byte(name+": "), b...), 0o600)
			},
		})
	}
	return append(steps, Step{
		Name: "all", Inputs: []Input{Glob("work", "out/*.txt")}, Outputs: []Output{Out("work", "all.lock")},
		Run: func(_ context.Context, t *Task) error {
			var all []byte
			for _, f := range t.Files(Glob("work", "out/*.txt")) {
				b, err := os.ReadFile(t.Path(f))
				if err != nil {
					return err
				}
				all = append(all, b...)
			}
			return os.WriteFile(t.Out(Ref{"work", "all.lock"}), all, 0o600)
		},
	})
}

func newStudy(t *testing.T) *space {
	s := newSpace(t)
	s.study()
	s.write("private/secret", "some words\n")
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	return s
}

// outputs returns the public files and their contents.
func (s *space) outputs() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, path := range []string{"data/public.db", "out/a.txt", "out/b.txt", "all.lock"} {
		b, err := os.ReadFile(filepath.Join(s.dir, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
		all[path] = string(b)
	}
	return all
}

// blob returns where the contents of an output are cached.
func (s *space) blob(path string) (file, digest string) {
	s.t.Helper()
	sum, _, err := store.Hash(filepath.Join(s.dir, path))
	if err != nil {
		s.t.Fatal(err)
	}
	tier := s.opt.PublicCache
	if strings.HasPrefix(path, "private/") {
		tier = s.opt.PrivateCache
	}
	return filepath.Join(tier, "blobs", sum.String()[:2], sum.String()), sum.String()
}

// overwrite changes a file of the cache, which may be read-only.
func (s *space) overwrite(path string, b []byte) {
	s.t.Helper()
	if err := os.Remove(path); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestCacheStat(t *testing.T) {
	s := newSpace(t)
	s.study()
	stat, err := s.graph().CacheStat(t.Context())
	if err != nil || len(stat.Tiers) != 0 {
		t.Errorf("of no cache: %+v, %v", stat, err)
	}
	if _, err := os.Stat(s.opt.PublicCache); err == nil {
		t.Error("looking at a cache made one")
	}
	s.write("private/secret", "words")
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	s.remove("out/a.txt")
	s.expect("restored figure:a")
	if stat, err = s.graph().CacheStat(t.Context()); err != nil {
		t.Fatal(err)
	}
	public, private := stat.Tiers[0], stat.Tiers[1]
	if public.Name != "public" || public.Blobs != 4 || public.Records != 3 || public.Steps != 3 || public.Bytes <= public.Stored || public.Stored == 0 {
		t.Errorf("public: %+v", public)
	}
	if private.Name != "private" || private.Blobs != 1 || private.Records != 2 {
		t.Errorf("private: %+v", private)
	}
	if rate, ok := stat.Recent.Rate(); stat.Recent.Builds != 2 || !ok || rate != 0.5 || stat.Recent.Restored != 1 || stat.Recent.Saved <= 0 || stat.Recent.Saved > stat.Work*(1+1e-9) { // sums in another order
		t.Errorf("recent: %+v", stat.Recent)
	}
}

func TestCacheVerify(t *testing.T) {
	s := newStudy(t)
	want := s.outputs()
	found, err := s.graph().CacheVerify(t.Context())
	if err != nil || found.Blobs != 5 || len(found.Damaged) != 0 {
		t.Fatalf("of a good cache: %+v, %v", found, err)
	}
	inPlace, digestA := s.blob("out/a.txt")
	gone, digestB := s.blob("out/b.txt")
	coded, digestC := s.blob("private/coded")
	for _, path := range []string{inPlace, gone, coded} {
		s.overwrite(path, []byte("rotten"))
	}
	s.remove("out/b.txt")
	if found, err = s.graph().CacheVerify(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := map[string]string{}
	for _, d := range found.Damaged {
		state[d.Name] = fmt.Sprint(d.Tier, " ", d.Mended)
	}
	if diff := cmp.Diff(map[string]string{digestA: "public true", digestB: "public false", digestC: "private true"}, state); diff != "" {
		t.Error(diff)
	}
	if b, err := os.ReadFile(filepath.Join(s.opt.PublicCache, "damaged", digestB)); err != nil || string(b) != "rotten" {
		t.Errorf("set aside: %q, %v", b, err)
	}
	s.remove("out/a.txt")
	s.expect("restored figure:a; ran figure:b unchanged")
	if diff := cmp.Diff(want, s.outputs()); diff != "" {
		t.Error(diff)
	}
	if found, err = s.graph().CacheVerify(t.Context()); err != nil || len(found.Damaged) != 0 {
		t.Errorf("a second time: %+v, %v", found, err)
	}

	records := filepath.Join(s.opt.PublicCache, "records")
	b, err := os.ReadFile(records)
	if err != nil {
		t.Fatal(err)
	}
	s.overwrite(records, b[:len(b)-3])
	if found, err = s.graph().CacheVerify(t.Context()); err != nil || len(found.Damaged) != 1 || found.Damaged[0].Name != "records" {
		t.Errorf("records cut: %+v, %v", found, err)
	}
}

func TestCacheClear(t *testing.T) {
	s := newStudy(t)
	want := s.outputs()
	for _, path := range []string{".cache/rescued/edited", "private/cache/rescued/edited", "private/lookup"} {
		s.write(path, "mine")
	}
	if freed, err := s.graph().CacheClear(t.Context(), false); err != nil || freed == 0 {
		t.Fatal(freed, err)
	}
	s.expect("ran all; ran figure:a; ran figure:b")
	if freed, err := s.graph().CacheClear(t.Context(), true); err != nil || freed == 0 {
		t.Fatal(freed, err)
	}
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	if diff := cmp.Diff(want, s.outputs()); diff != "" {
		t.Error(diff)
	}
	for _, path := range []string{".cache/rescued/edited", "private/cache/rescued/edited", "private/lookup"} {
		if s.read(path) != "mine" {
			t.Error(path)
		}
	}
	if runs, err := os.ReadDir(filepath.Join(s.opt.PublicCache, "runs")); err != nil || len(runs) != 3 {
		t.Errorf("%d builds in the history, %v", len(runs), err)
	}
}

// TestDamagedCacheCostsTimeOnly does to a cache what disks and people do, and
// holds that builds succeed and give what a clean build gives.
func TestDamagedCacheCostsTimeOnly(t *testing.T) {
	s := newStudy(t)
	r := rand.New(rand.NewPCG(1, 2))
	if testing.Short() {
		t.Skip("many builds")
	}
	for round := range 60 {
		secret := fmt.Sprintf("words %d\n", r.IntN(4))
		s.write("private/secret", secret)
		clean := newSpace(t)
		clean.study()
		clean.write("private/secret", secret)
		if _, err := clean.build(); err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(4) {
			s.damage(r)
		}
		for _, out := range []string{"data/public.db", "out/a.txt", "all.lock"} {
			if r.IntN(3) == 0 {
				s.remove(out)
			}
		}
		if did, err := s.build(); err != nil {
			t.Fatalf("round %d: %s: %v\n%s", round, did, err, s.out.String())
		}
		if diff := cmp.Diff(clean.outputs(), s.outputs()); diff != "" {
			t.Fatalf("round %d: %s", round, diff)
		}
		s.expect("")
		if _, err := s.graph().CacheVerify(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// damage changes one file of either cache.
func (s *space) damage(r *rand.Rand) {
	s.t.Helper()
	var files []string
	for _, dir := range []string{s.opt.PublicCache, s.opt.PrivateCache} {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if name := filepath.Base(path); err == nil && path != dir && name != "lock" && name != "runs" && !strings.Contains(path, "/runs/") {
				files = append(files, path)
			}
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.t.Fatal(err)
		}
	}
	if len(files) == 0 {
		return
	}
	path := files[r.IntN(len(files))]
	b, err := os.ReadFile(path)
	isDir := err != nil
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	must(os.RemoveAll(path))
	switch kind := r.IntN(6); {
	case kind == 0: // it is gone
	case kind == 1:
		must(os.MkdirAll(filepath.Join(path, "something"), 0o700))
	case kind == 2:
		must(os.Symlink("nowhere", path))
	case isDir || len(b) == 0:
		must(os.WriteFile(path, []byte("something"), 0o600))
	case kind == 3:
		must(os.WriteFile(path, b[:r.IntN(len(b))], 0o600))
	case kind == 4:
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		must(os.WriteFile(path, b, 0o600))
	default: // zeros, as a file system may leave them after a power cut
		must(os.WriteFile(path, append(b[:r.IntN(len(b))], make([]byte, 64)...), 0o600))
	}
}

// TestForeignCache holds that the cache of another workspace is believed only
// where keys agree.
func TestForeignCache(t *testing.T) {
	other := newSpace(t)
	other.study()
	other.write("private/secret", "other words\n")
	if _, err := other.build(); err != nil {
		t.Fatal(err)
	}
	s := newSpace(t)
	s.study()
	s.write("private/secret", "some words\n")
	for _, dirs := range [][2]string{{other.opt.PublicCache, s.opt.PublicCache}, {other.opt.PrivateCache, s.opt.PrivateCache}} {
		if err := os.CopyFS(dirs[1], os.DirFS(dirs[0])); err != nil {
			t.Fatal(err)
		}
	}
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	if got := s.read("out/a.txt"); !strings.Contains(got, "SOME WORDS") {
		t.Error(got)
	}
	s.write("private/secret", "other words\n")
	s.expect("restored all; restored checkpoint; restored code; restored figure:a; restored figure:b")
	if diff := cmp.Diff(other.outputs(), s.outputs()); diff != "" {
		t.Error(diff)
	}
}

func TestCacheGC(t *testing.T) {
	s := newStudy(t)
	now := time.Now()
	s.opt.Now = func() time.Time { return now }
	for _, words := range []string{"second", "third " + strings.Repeat("long ", 1000), "last"} {
		s.write("private/secret", words)
		s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	}
	collect := func(limit CacheLimit) *CacheCollected {
		t.Helper()
		c, err := s.graph().CacheGC(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := collect(CacheLimit{MaxSize: -1}); c.Blobs != 0 || c.Before != c.After {
		t.Errorf("without a limit: %+v", c)
	}
	if c := collect(CacheLimit{MaxSize: 1 << 30}); c.Blobs != 0 {
		t.Errorf("below the limit: %+v", c)
	}
	s.write(".cache/blobs/notes", "a stray is left to cache:verify")
	_, kept := s.blob("out/a.txt")
	orphan := strings.Repeat("ab", 32)
	s.write(".cache/blobs/ab/"+orphan, "nobody speaks of it")
	dry := collect(CacheLimit{MaxSize: 0, DryRun: true})
	if _, err := os.Stat(filepath.Join(s.dir, ".cache/blobs/ab", orphan)); err != nil {
		t.Error("a dry run removed it:", err)
	}
	// The long results go first: all steps take about as long.
	if len(dry.Results) != 15 || dry.Blobs != 16 || dry.Results[0].Bytes < 4000 || dry.Results[4].Bytes < 4000 || dry.Results[5].Bytes > 1000 {
		t.Errorf("dry run: %+v", dry)
	}
	some := collect(CacheLimit{MaxSize: dry.Before - 10_000})
	if len(some.Results) == 0 || len(some.Results) > 3 || some.After > dry.Before-10_000 {
		t.Errorf("a little less: %+v", some)
	}
	all := collect(CacheLimit{MaxSize: 0})
	if some.Blobs+all.Blobs != dry.Blobs || all.After >= some.After || all.Needed == 0 {
		t.Errorf("all but roots: %+v, dry %+v", all, dry)
	}
	if _, digest := s.blob("out/a.txt"); digest != kept {
		t.Error("an output changed")
	}
	// What the last build needs is still there, and nothing else.
	for _, path := range []string{"data/public.db", "out/a.txt", "all.lock"} {
		s.remove(path)
	}
	s.expect("restored all; restored checkpoint; restored figure:a")
	s.write("private/secret", "some words\n")
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
}

func TestCacheGCKeepsWhatIsNamed(t *testing.T) {
	s := newStudy(t)
	path, digest := s.blob("out/a.txt")
	s.write("private/secret", "other words")
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	if _, err := s.graph().CacheGC(t.Context(), CacheLimit{Keep: []string{"all"}}); err == nil {
		t.Error("a word is a digest")
	}
	if _, err := s.graph().CacheGC(t.Context(), CacheLimit{Keep: []string{digest}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	// Steps that are declared no longer are no roots.
	s.steps = slices.DeleteFunc(s.steps, func(st Step) bool { return st.Name == "figure:b" || st.Name == "all" })
	path, _ = s.blob("out/b.txt")
	if _, err := s.graph().CacheGC(t.Context(), CacheLimit{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a step of former times made is kept: %v", err)
	}
}

// TestCacheGCWithoutPrivateSteps holds that a graph that knows only the public
// half leaves the other alone.
func TestCacheGCWithoutPrivateSteps(t *testing.T) {
	s := newStudy(t)
	coded, _ := s.blob("private/coded")
	all := s.steps
	s.steps = s.analysis()
	if _, err := s.graph().CacheGC(t.Context(), CacheLimit{}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(coded); err != nil {
		t.Error(err)
	}
	s.steps = all
	s.remove("private/coded")
	s.remove("data/public.db")
	s.expect("restored checkpoint; restored code")
}

// TestWorth holds the order of collection: cheap per byte first, and old first.
func TestWorth(t *testing.T) {
	now := time.Now()
	slow := &result{elapsed: time.Hour, bytes: 1000, used: now}
	fast := &result{elapsed: time.Second, bytes: 1000, used: now}
	large := &result{elapsed: time.Hour, bytes: 1_000_000, used: now}
	old := &result{elapsed: time.Hour, bytes: 1000, used: now.Add(-2 * halfLife)}
	future := &result{elapsed: time.Hour, bytes: 1000, used: now.Add(halfLife)}
	if !(fast.worth(now) < slow.worth(now) && large.worth(now) < slow.worth(now)) {
		t.Error("seconds per byte do not count")
	}
	if got := old.worth(now) / slow.worth(now); got != 0.25 {
		t.Errorf("after two half-lives it is worth %g", got)
	}
	if future.worth(now) != slow.worth(now) {
		t.Error("a clock that runs ahead makes it worth more")
	}
}

// TestCacheTakesTheLock holds that what changes a cache waits for builds, and
// that what reads does not.
func TestCacheTakesTheLock(t *testing.T) {
	s := newStudy(t)
	s.opt.NoWait = true
	lock, err := store.Acquire(t.Context(), s.opt.PublicCache, store.Public, store.Holder{PID: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	g := s.graph()
	pack := filepath.Join(t.TempDir(), "pack")
	_, err = g.CacheStat(t.Context())
	_, gcErr := g.CacheGC(t.Context(), CacheLimit{DryRun: true})
	_, exportErr := g.CacheExport(t.Context(), pack)
	if err := errors.Join(err, gcErr, exportErr); err != nil {
		t.Error("a reader waits:", err)
	}
	for name, write := range map[string]func() error{
		"verify": func() error { _, err := g.CacheVerify(t.Context()); return err },
		"gc":     func() error { _, err := g.CacheGC(t.Context(), CacheLimit{}); return err },
		"clear":  func() error { _, err := g.CacheClear(t.Context(), true); return err },
		"import": func() error { _, err := g.CacheImport(t.Context(), pack, CacheImport{}); return err },
	} {
		var locked *store.LockedError
		if err := write(); !errors.As(err, &locked) {
			t.Errorf("%s does not wait: %v", name, err)
		}
	}
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	s.expect("")
}
