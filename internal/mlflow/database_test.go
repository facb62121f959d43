package mlflow

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// The tables that are read, as MLflow 3.17 makes them: with a workspace, and
// with columns in the order that its migrations left.
const newSchema = `
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256),
  lifecycle_stage VARCHAR(32), creation_time BIGINT, last_update_time BIGINT, workspace VARCHAR(63) DEFAULT 'default' NOT NULL, UNIQUE (workspace, name));
CREATE TABLE experiment_tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(5000), experiment_id INTEGER NOT NULL);
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20), source_name VARCHAR(500),
  entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9), start_time BIGINT, end_time BIGINT, source_version VARCHAR(50),
  lifecycle_stage VARCHAR(20), artifact_uri VARCHAR(200), experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE params ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL, run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE latest_metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, step BIGINT NOT NULL, is_nan BOOLEAN NOT NULL, run_uuid VARCHAR(32) NOT NULL);
`

// The same of MLflow 1.0, before deleted times, steps and NaN.
const oldSchema = `
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL, artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, status VARCHAR(20), start_time BIGINT, end_time BIGINT, artifact_uri VARCHAR(200), experiment_id INTEGER);
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(250), run_uuid VARCHAR(32) NOT NULL);
CREATE TABLE latest_metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT, run_uuid VARCHAR(32) NOT NULL);
`

// makeDatabase makes a database of statements and returns it open for writing.
func makeDatabase(t *testing.T, path string, statements ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", (&fileURI{path}).String())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

type fileURI struct{ path string }

func (u *fileURI) String() string {
	return strings.Replace(dataSource(u.path, "rwc"), "&_pragma=query_only(1)", "", 1)
}

func openSQLite(t *testing.T, path string, o Options) Store {
	t.Helper()
	s, err := Open(t.Context(), Location{Kind: Database, Path: path}, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addRun(id, name, status, stage, uri string) string {
	return fmt.Sprintf(`INSERT INTO runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id)
		VALUES ('%s', '%s', '%s', 1738000000000, 1738000009000, '%s', '%s', 1)`, id, name, status, stage, uri)
}

func TestDatabase(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a % ? # place")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "mlflow.db")
	other := strings.Repeat("ab", 16)
	db := makeDatabase(t, path, newSchema,
		"INSERT INTO experiments VALUES (0, 'Default', '/x/0', 'active', 1, 1, 'default'), (1, 'PLR_Classification', '/x/1', 'active', 1, 1, 'default'), (2, 'gone', '/x/2', 'deleted', 1, 1, 'default'), (3, 'gone', '/x/3', NULL, 1, 1, 'other'), (4, 'odd', '', 'asleep', 1, 1, 'default')",
		"INSERT INTO experiment_tags VALUES ('plr.synthetic', 'true', 1)",
		addRun(runID, "a name", "FINISHED", "active", "/x/1/"+runID+"/artifacts"),
		addRun(other, "", "RUNNING", "deleted", ""),
		addRun("cc", "", "ASLEEP", "active", ""),
		"INSERT INTO params VALUES ('model_name', 'CatBoost', '"+runID+"'), ('a/b', '', '"+runID+"')",
		"INSERT INTO tags VALUES ('mlflow.runName', 'from the tag', '"+other+"')",
		"INSERT INTO latest_metrics VALUES ('AUROC', 0.91, 5, 1, 0, '"+runID+"'), ('nan', 0, 5, 0, 1, '"+runID+"'), ('inf', 1.7976931348623157e308, 5, 0, 0, '"+runID+"'), ('ninf', -1.7976931348623157e308, 5, 0, 0, '"+runID+"')",
	)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := tree(t, dir)
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(dir, 0o700) })
	s := openSQLite(t, path, Options{})
	ctx := t.Context()
	all, err := s.Experiments(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s %s %s damaged=%v", e.ID, e.Name, e.Lifecycle, e.Err != nil))
	}
	want := []string{"0 Default active damaged=false", "1 PLR_Classification active damaged=false", "3 gone active damaged=false", "4 odd  damaged=true", "2 gone deleted damaged=false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("experiments (-want +got):\n%s", diff)
	}
	if v, ok, err := s.ExperimentTag(ctx, all[1], "plr.synthetic"); v != "true" || !ok || err != nil {
		t.Errorf("experiment tag %q, %v, %v", v, ok, err)
	}
	runs, err := s.Runs(ctx, all[1])
	if err != nil || len(runs) != 3 {
		t.Fatalf("%v, %v", runs, err)
	}
	wanted := []Run{
		{ID: runID, Experiment: "1", Name: "a name", Status: Finished, Lifecycle: Active, Start: 1738000000000, End: 1738000009000, ArtifactURI: "/x/1/" + runID + "/artifacts"},
		{ID: other, Experiment: "1", Name: "from the tag", Status: Running, Lifecycle: Deleted, Start: 1738000000000, End: 1738000009000},
		{ID: "cc", Experiment: "1"},
	}
	if runs[2].Err == nil || !strings.Contains(runs[2].Err.Error(), `"ASLEEP"`) {
		t.Errorf("a run of an unknown status: %v", runs[2].Err)
	}
	runs[2].Err = nil
	if diff := cmp.Diff(wanted, runs, cmpopts.IgnoreUnexported(Run{})); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	if params, err := s.Params(ctx, runs[0]); err != nil || !cmp.Equal(params, map[string]string{"model_name": "CatBoost", "a/b": ""}) {
		t.Errorf("params %v, %v", params, err)
	}
	if params, err := s.Params(ctx, runs[0], "a/b", "absent"); err != nil || !cmp.Equal(params, map[string]string{"a/b": ""}) {
		t.Errorf("named params %v, %v", params, err)
	}
	metrics, err := s.Metrics(ctx, runs[0])
	wantMetrics := map[string]Metric{"AUROC": {0.91, 1, 5}, "nan": {math.NaN(), 0, 5}, "inf": {math.Inf(1), 0, 5}, "ninf": {math.Inf(-1), 0, 5}}
	if diff := cmp.Diff(wantMetrics, metrics, cmpopts.EquateNaNs()); diff != "" || err != nil {
		t.Errorf("metrics: %v (-want +got):\n%s", err, diff)
	}
	if metrics, err := s.Metrics(ctx, runs[0], "AUROC", "absent"); err != nil || !cmp.Equal(metrics, map[string]Metric{"AUROC": {0.91, 1, 5}}) {
		t.Errorf("named metrics %v, %v", metrics, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("the place of the database changed (-before +after):\n%s", diff)
	}
}

// SQLite keeps bytes that are no text in columns of text.
func TestDatabaseOfBytes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlflow.db")
	tagged := strings.Repeat("ab", 16)
	makeDatabase(t, path, newSchema, "INSERT INTO experiments VALUES (1, 'x', '', 'active', 1, 1, 'default')",
		addRun(runID, "x", "FINISHED", "active", ""), addRun(tagged, "", "FINISHED", "active", ""), addRun("cc", "", "FINISHED", "active", ""),
		"UPDATE runs SET name = x'ff00' WHERE run_uuid = '"+runID+"'",
		"INSERT INTO tags VALUES ('mlflow.runName', CAST(x'ff' AS TEXT), '"+tagged+"'), ('odd', x'ff', 'cc')",
		"INSERT INTO params VALUES ('good', 'é', 'cc'), ('odd', x'c3', 'cc')")
	s := openSQLite(t, path, Options{})
	runs, err := s.Runs(t.Context(), Experiment{ID: "1"})
	if err != nil || len(runs) != 3 {
		t.Fatalf("%v, %v", runs, err)
	}
	for _, r := range runs {
		if (r.ID == "cc") != (r.Err == nil) || r.Name != "" || r.Err != nil && !strings.Contains(r.Err.Error(), "not UTF-8") {
			t.Errorf("run %s: name %q, %v", r.ID, r.Name, r.Err)
		}
		if r.ID != "cc" {
			continue
		}
		if got, err := s.Params(t.Context(), r, "good"); got["good"] != "é" || err != nil {
			t.Errorf("params %v, %v", got, err)
		}
		if _, err := s.Params(t.Context(), r, "good", "odd"); err == nil || !strings.Contains(err.Error(), "params: odd: not UTF-8") {
			t.Errorf("a param of bytes: %v", err)
		}
		if _, err := s.Tags(t.Context(), r); err == nil || !strings.Contains(err.Error(), "tags: odd: not UTF-8") {
			t.Errorf("a tag of bytes: %v", err)
		}
	}
}

func TestOldDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mlflow.db")
	makeDatabase(t, path, oldSchema,
		"INSERT INTO experiments VALUES (1, 'old', '/x/1', NULL)",
		"INSERT INTO runs VALUES ('"+runID+"', NULL, 7, NULL, NULL, 1)",
		"INSERT INTO tags VALUES ('mlflow.runName', 'from the tag', '"+runID+"')",
		"INSERT INTO latest_metrics VALUES ('AUROC', 0.5, 5, '"+runID+"')",
	)
	s := openSQLite(t, path, Options{})
	all, err := s.Experiments(t.Context())
	if err != nil || len(all) != 1 || all[0].Lifecycle != Active {
		t.Fatalf("%v, %v", all, err)
	}
	runs, err := s.Runs(t.Context(), all[0])
	want := []Run{{ID: runID, Experiment: "1", Name: "from the tag", Status: Running, Lifecycle: Active, Start: 7}}
	if diff := cmp.Diff(want, runs, cmpopts.IgnoreUnexported(Run{})); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	if metrics, err := s.Metrics(t.Context(), runs[0]); err != nil || metrics["AUROC"] != (Metric{0.5, 0, 5}) {
		t.Errorf("metrics %v, %v", metrics, err)
	}
	if params, err := s.Params(t.Context(), runs[0]); err != nil || len(params) != 0 {
		t.Errorf("params %v, %v", params, err)
	}
}

func TestDatabaseErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{"text": "not a database", "short": "SQL", "damaged.db": sqliteMagic + strings.Repeat("\xff", 200)})
	makeDatabase(t, filepath.Join(dir, "empty.db"), "CREATE TABLE other (x)")
	makeDatabase(t, filepath.Join(dir, "lacks.db"), "CREATE TABLE experiments (experiment_id, name)", "CREATE TABLE runs (run_uuid)")
	for _, c := range []struct{ path, want string }{
		{"missing.db", "does not exist"},
		{".", "is a directory"},
		{"text", "is not a SQLite database"},
		{"short", "is not a SQLite database"},
		{"damaged.db", "SQLite database"},
		{"empty.db", "no MLflow store: it has no table experiments"},
		{"lacks.db", "its table runs has no column experiment_id"},
	} {
		path := filepath.Join(dir, c.path)
		_, err := Open(t.Context(), Location{Kind: Database, Path: path}, Options{Scratch: t.TempDir()})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want it to name the path and say %q", c.path, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("opening made the database that was missing")
	}
	if _, err := OpenFiles(filepath.Join(dir, "empty.db")); err == nil || !strings.Contains(err.Error(), "write sqlite:///") {
		t.Errorf("a database given as a directory: %v", err)
	}
}

// A server keeps its log open: the database is read through a copy, which ends
// with the store, and what stands in the log only is seen.
func TestDatabaseInUse(t *testing.T) {
	dir, scratch := t.TempDir(), filepath.Join(t.TempDir(), "scratch")
	path := filepath.Join(dir, "mlflow.db")
	makeDatabase(t, path, "PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0", newSchema,
		"INSERT INTO experiments VALUES (1, 'in the log', '', 'active', 1, 1, 'default')")
	before := tree(t, dir)
	s, err := Open(t.Context(), Location{Kind: Database, Path: path}, Options{Scratch: scratch})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Experiments(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "in the log" {
		t.Errorf("%v, %v", all, err)
	}
	// The log lies beside the file, not beside a link to it.
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if all, err := openSQLite(t, link, Options{Scratch: t.TempDir()}).Experiments(t.Context()); err != nil || len(all) != 1 {
		t.Errorf("through a link: %v, %v", all, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, tree(t, dir)); diff != "" {
		t.Errorf("the place of the database changed (-before +after):\n%s", diff)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) != 0 {
		t.Errorf("left of the copy: %v, %v", left, err)
	}
	if _, err := Open(t.Context(), Location{Kind: Database, Path: path}, Options{}); err == nil || !strings.Contains(err.Error(), "no directory to copy it to") {
		t.Errorf("without a directory for the copy: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Location{Kind: Database, Path: path}, Options{Scratch: scratch}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// The journal of a writer that died holds what its half-done transaction
// overwrote: what is read is the state before.
func TestDatabaseOfADeadWriter(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "live", "mlflow.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	db := makeDatabase(t, path, newSchema, "INSERT INTO experiments VALUES (1, 'before', '', 'active', 1, 1, 'default')", "PRAGMA cache_size = 2")
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback() //nolint:errcheck // the writer is never done
	if _, err := tx.Exec("UPDATE experiments SET name = 'half done'"); err != nil {
		t.Fatal(err)
	}
	// More than its cache holds, so that it writes before it commits.
	if _, err := tx.Exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO tags SELECT 'k' || i, hex(randomblob(100)), 'x' FROM n"); err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-journal"} {
		data, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, map[string]string{"dead/mlflow.db" + suffix: string(data)})
	}
	s := openSQLite(t, filepath.Join(dir, "dead", "mlflow.db"), Options{Scratch: t.TempDir()})
	all, err := s.Experiments(t.Context())
	if err != nil || len(all) != 1 || all[0].Name != "before" {
		t.Errorf("%v, %v; want the state before the transaction", all, err)
	}
}

func TestDatabaseArtifacts(t *testing.T) {
	tail := "1/" + runID + "/artifacts"
	for _, c := range []struct {
		name, uri, file, want string // ROOT is the directory of the database, OUT another
		err                   string
	}{
		{name: "where artifact_uri says", uri: "OUT/" + tail, file: "OUT/" + tail, want: "OUT/" + tail},
		{name: "a file: URI", uri: "file://OUT/" + tail, file: "OUT/" + tail, want: "OUT/" + tail},
		{name: "relative to where MLflow ran", uri: "./mlruns/" + tail, file: "ROOT/mlruns/" + tail, want: "ROOT/mlruns/" + tail},
		{name: "moved, under the artifact root", uri: "/gone/mlruns/" + tail, file: "OUT/root/" + tail, want: "OUT/root/" + tail},
		{name: "moved, mlruns beside the database", uri: "file:///gone/" + tail, file: "ROOT/mlruns/" + tail, want: "ROOT/mlruns/" + tail},
		{name: "a server's, beside the database", uri: "mlflow-artifacts:/" + tail, file: "ROOT/mlartifacts/" + tail, want: "ROOT/mlartifacts/" + tail},
		{name: "a server's, under the artifact root", uri: "mlflow-artifacts:/" + tail, file: "OUT/root/" + tail, want: "OUT/root/" + tail},
		{name: "a server's, nowhere", uri: "mlflow-artifacts:/" + tail, err: "give its http URL"},
		{name: "in a cloud", uri: "s3://user:secret@bucket/" + tail, err: "come through a tracking server"},
		{name: "nowhere", uri: "/gone/" + tail, err: "nothing is at /gone/" + tail},
		{name: "of another run", uri: "/gone/1/ffff/artifacts", file: "ROOT/mlruns/1/ffff/artifacts", err: "nothing is at /gone/1/ffff/artifacts"},
		{name: "no place at all", uri: "", err: "any place"},
		{name: "leaves by dots", uri: "/gone/../" + runID + "/artifacts", err: "nothing is at"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			place := strings.NewReplacer("ROOT", dir, "OUT", out).Replace
			path := filepath.Join(dir, "mlflow.db")
			makeDatabase(t, path, newSchema, "INSERT INTO experiments VALUES (1, 'x', '', 'active', 1, 1, 'default')", addRun(runID, "x", "FINISHED", "active", place(c.uri)))
			if c.file != "" {
				write(t, place(c.file), map[string]string{"metrics/b.pickle": "x", "metrics/a.pickle": "x", "metrics/deep/c.pickle": "x"})
			}
			s := openSQLite(t, path, Options{ArtifactRoot: filepath.Join(out, "root")})
			runs, err := s.Runs(t.Context(), Experiment{ID: "1"})
			if err != nil || len(runs) != 1 {
				t.Fatalf("%v, %v", runs, err)
			}
			found, err := s.Artifacts(t.Context(), runs[0], "metrics")
			if c.err != "" {
				if !errors.Is(err, ErrNoArtifacts) || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%v; want ErrNoArtifacts that says %q", err, c.err)
				}
				return
			}
			want := []Artifact{{Name: "metrics/a.pickle", File: filepath.Join(place(c.want), "metrics", "a.pickle"), Size: 1}, {Name: "metrics/b.pickle", File: filepath.Join(place(c.want), "metrics", "b.pickle"), Size: 1}}
			if diff := cmp.Diff(want, found); diff != "" || err != nil {
				t.Fatalf("%v (-want +got):\n%s", err, diff)
			}
			if file, err := s.Fetch(t.Context(), runs[0], found[0]); file != want[0].File || err != nil {
				t.Errorf("Fetch = %s, %v", file, err)
			}
			if found, err := s.Artifacts(t.Context(), runs[0], "absent"); len(found) != 0 || err != nil {
				t.Errorf("a directory that is not there: %v, %v", found, err)
			}
			if err := os.Symlink("/etc/hostname", filepath.Join(place(c.want), "metrics", "out.pickle")); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Artifacts(t.Context(), runs[0], "metrics"); !errors.Is(err, ErrLeaves) {
				t.Errorf("a link that leaves the artifacts: %v", err)
			}
		})
	}
}
