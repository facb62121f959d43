package verification

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/lock"
)

// space is a directory of results, a lock of them as they are, and a check.
type space struct {
	t     *testing.T
	dir   string
	check *Check
	out   bytes.Buffer
}

func newSpace(t *testing.T, files map[string]string) *space {
	t.Helper()
	s := &space{t: t, dir: t.TempDir()}
	s.check = &Check{
		Lock:     lock.Document{Platform: "here", Contents: map[string]string{}, Artifacts: map[string]string{}},
		Platform: "here",
		Place:    func(r Result) string { return filepath.Join(s.dir, r.Path) },
		Copies:   func(dir string, r Result) []string { return []string{filepath.Join(dir, r.Path)} },
		Cached:   func(string, string) (bool, error) { return false, nil },
		Out:      &s.out,
		Redact:   func(text string) string { return strings.ReplaceAll(text, "secret", "[code]") },
	}
	for name, text := range files {
		s.write(s.dir, name, text)
		s.locked(Result{Path: name})
	}
	return s
}

func (s *space) write(dir, name, text string) {
	s.t.Helper()
	to := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, []byte(text), 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// locked puts a result into the lock as it is in place.
func (s *space) locked(r Result) {
	s.t.Helper()
	digest, err := r.Digest(s.t.Context(), s.check.Place(r))
	if err != nil {
		s.t.Fatal(err)
	}
	in := s.check.Lock.Artifacts
	if r.Database {
		in = s.check.Lock.Contents
	}
	in[r.Path] = digest
	s.check.Made = append(s.check.Made, r)
}

func (s *space) database(name string, auroc float64) Result {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.RemoveAll(path); err != nil {
		s.t.Fatal(err)
	}
	db, err := sql.Open("duckdb", path)
	if err != nil {
		s.t.Fatal(err)
	}
	_, err = db.Exec("CREATE TABLE essential_metrics (config_id INTEGER PRIMARY KEY, auroc DOUBLE); INSERT INTO essential_metrics VALUES (1, ?)", auroc)
	if err := errors.Join(err, db.Close()); err != nil {
		s.t.Fatal(err)
	}
	return Result{Path: name, Database: true}
}

func (s *space) finds(want Counts, said ...string) {
	s.t.Helper()
	s.out.Reset()
	found, err := s.check.Run(s.t.Context())
	if err != nil {
		s.t.Error(err)
	}
	if diff := cmp.Diff(want, found); diff != "" {
		s.t.Errorf("counts (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(strings.Join(said, "\n"), strings.TrimSuffix(s.out.String(), "\n")); diff != "" {
		s.t.Errorf("said (-want +got):\n%s", diff)
	}
}

func TestResults(t *testing.T) {
	s := newSpace(t, map[string]string{"a.json": `{"n": 1}`, "b.txt": "secret\n", "sub/c.txt": "c"})
	s.finds(Counts{Same: 3})

	s.write(s.dir, "a.json", `{"n": 2}`)
	if err := os.Remove(filepath.Join(s.dir, "sub/c.txt")); err != nil {
		t.Fatal(err)
	}
	s.finds(Counts{Same: 1, Other: 2, Unknown: 1},
		"differs  a.json: it has another digest", "missing  sub/c.txt: mage reproduce brings it back")

	// Where it is known what a result was, the place is named.
	elsewhere := t.TempDir()
	s.check.Against = elsewhere
	s.finds(Counts{Same: 1, Other: 2, Unknown: 1},
		"differs  a.json: it has another digest, and there is no copy in "+elsewhere, "missing  sub/c.txt: mage reproduce brings it back")
	s.write(elsewhere, "a.json", `{"n": 3}`)
	s.finds(Counts{Same: 1, Other: 2, Unknown: 1},
		"differs  a.json: it has another digest, and "+filepath.Join(elsewhere, "a.json")+" is not what pipeline.lock speaks of, either",
		"missing  sub/c.txt: mage reproduce brings it back")
	s.write(elsewhere, "a.json", `{"n": 1}`)
	s.finds(Counts{Same: 1, Other: 2}, "differs  a.json: $.n: 1, now 2", "missing  sub/c.txt: mage reproduce brings it back")

	// What differs is said without codes.
	s.write(elsewhere, "b.txt", "secret\n")
	s.write(s.dir, "b.txt", "public\n")
	s.check.Only = func(r Result) bool { return r.Path == "b.txt" }
	s.finds(Counts{Other: 1}, `differs  b.txt: line 1, column 1: "[code]", now "public"`)
}

func TestCachedOriginal(t *testing.T) {
	s := newSpace(t, map[string]string{"a.json": `{"n": 1}`})
	digest := s.check.Lock.Artifacts["a.json"]
	s.check.Cached = func(asked, to string) (bool, error) {
		if asked != digest {
			t.Errorf("asked for %s, want %s", asked, digest)
		}
		return true, os.WriteFile(to, []byte(`{"n": 1}`), 0o600)
	}
	s.write(s.dir, "a.json", `{"n": 2}`)
	s.finds(Counts{Other: 1}, "differs  a.json: $.n: 1, now 2")
	broken := errors.New("broken")
	s.check.Cached = func(string, string) (bool, error) { return false, broken }
	if _, err := s.check.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("error %v, want the cache's", err)
	}
}

func TestSetOfResults(t *testing.T) {
	s := newSpace(t, map[string]string{"a": "a", "gone": "b"})
	for i, r := range s.check.Made {
		if r.Path == "gone" {
			s.check.Made[i].Path = "new"
		}
	}
	s.finds(Counts{Same: 1, Other: 2}, "differs  gone: it is in pipeline.lock and no step makes it", "differs  new: it is not in pipeline.lock")
	s.check.Only = func(r Result) bool { return r.Path == "a" }
	s.finds(Counts{Same: 1})
}

func TestOtherPlatform(t *testing.T) {
	s := newSpace(t, map[string]string{"a.json": `{"n": 1}`, "b.json": `{"n": 1}`})
	s.check.Lock.Platform = "there"
	s.check.Kept = t.TempDir()
	for _, name := range []string{"a.json", "b.json"} {
		s.write(s.check.Kept, name, `{"n": 1}`)
	}
	s.write(s.dir, "a.json", `{"n": 1.000000000000001}`)
	s.write(s.dir, "b.json", `{"n": 1.5}`)
	s.finds(Counts{Near: 1, Other: 1},
		fmt.Sprintf("platform: pipeline.lock was written on there, this is here; numbers may differ by %g of their size, colours by %d of 255",
			difference.Platforms.Relative, difference.Platforms.Channel),
		"near     a.json", "differs  b.json: $.n: 1, now 1.5")
}

func TestDatabase(t *testing.T) {
	s := newSpace(t, map[string]string{"a": "a"})
	s.locked(s.database("results.db", 0.75))
	s.check.Kept = t.TempDir()
	if err := Keep(t.Context(), s.check.Lock, s.check.Place, s.check.Kept); err != nil {
		t.Fatal(err)
	}
	s.finds(Counts{Same: 2})
	s.database("results.db", 0.5)
	s.finds(Counts{Same: 1, Other: 1}, "differs  results.db: table essential_metrics, row config_id=1, column auroc: 0.75, now 0.5")
	s.check.Kept = ""
	s.finds(Counts{Same: 1, Other: 1, Unknown: 1}, "differs  results.db: it has another digest")
}

// Only what is as the lock says is kept.
func TestKeep(t *testing.T) {
	s := newSpace(t, map[string]string{"sub/same": "a", "other": "b", "missing": "c"})
	s.write(s.dir, "other", "x")
	if err := os.Remove(filepath.Join(s.dir, "missing")); err != nil {
		t.Fatal(err)
	}
	kept := t.TempDir()
	if err := Keep(t.Context(), s.check.Lock, s.check.Place, kept); err != nil {
		t.Fatal(err)
	}
	var names []string
	if err := filepath.WalkDir(kept, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path[len(kept)+1:])
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sub/same"}, names); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}
