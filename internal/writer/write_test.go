package writer_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
	"github.com/foundation-plr/pipeline/internal/writer"
)

func TestWrite(t *testing.T) {
	c := studytest.SharedRows(t)
	path := studytest.Written(t, c)
	again := studytest.Written(t, c)

	digest, err := duckfile.Digest(t.Context(), path)
	if err != nil || len(digest) != 64 {
		t.Fatalf("digest %q, error %v", digest, err)
	}
	if second, err := duckfile.Digest(t.Context(), again); err != nil || second != digest {
		t.Errorf("a second file of the same rows has another digest; error %v", err)
	}
	other := changed(c, schema.Essential, func(rows [][]any) { rows[0][8] = math.Nextafter(rows[0][8].(float64), 1) })
	if other, err := duckfile.Digest(t.Context(), studytest.Written(t, other)); err != nil || other == digest {
		t.Errorf("one bit of one number does not change the digest; error %v", err)
	}

	if version, err := duckfile.StorageVersion(path); err != nil || version != 64 {
		t.Errorf("storage version %d, error %v", version, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files where the database is; error %v", len(entries), err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	findings, err := studytest.Findings(t, path)
	if err != nil || len(findings) > 0 {
		t.Errorf("findings %v, error %v", findings, err)
	}
	if n := studytest.Query[int](t, path, `SELECT count(*) FROM metrics_aggregate WHERE AUROC_mean IS NOT NULL AND AUROC_std > 0 AND Brier_std > 0 AND split = 'test'`); n[0] != len(studytest.Configurations) {
		t.Errorf("the view has %d good rows", n[0])
	}

	seen := map[string]bool{}
	err = duckfile.Cells(t.Context(), path, duckfile.Visitor{Text: func(table, column, text string) error {
		seen[table+"."+column+"="+text] = true
		return nil
	}})
	for _, want := range []string{"predictions.subject_code=H001", "methods.name=unregistered-2", "stratos_metrics.name=note", "meta.value=mean_risk", "runs.run_id=other-7"} {
		if !seen[want] {
			t.Errorf("Cells does not visit %s", want)
		}
	}
	if err != nil || len(seen) < 200 {
		t.Errorf("%d texts visited, error %v", len(seen), err)
	}
	stop := errors.New("stop")
	if err := duckfile.Cells(t.Context(), path, duckfile.Visitor{Text: func(string, string, string) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("Cells: %v", err)
	}
}

// What a file is read back as must be what was written, each row in its place.
func TestWrittenReadsBack(t *testing.T) {
	c := studytest.Assemble(t, studytest.New(t, studytest.Original), studytest.Options())
	path := filepath.Join(t.TempDir(), "results.db")
	w, err := writer.Write(t.Context(), path, c.Each)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := duckfile.Digest(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Digest(t.Context(), path); err != nil || got != digest {
		t.Errorf("digest %q and not %q, error %v", got, digest, err)
	}
	bit := changed(c, schema.Predictions, func(rows [][]any) { rows[3][4] = math.Nextafter(rows[3][4].(float64), 1) })
	order := changed(c, schema.Predictions, func(rows [][]any) { rows[3], rows[4] = rows[4], rows[3] })
	for name, other := range map[string]studytest.Rows{"another bit": bit, "another order": order} {
		if _, err := w.Digest(t.Context(), studytest.Written(t, other)); err == nil || !strings.Contains(err.Error(), "table predictions does not read back as it was written") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Behind the writer's back: rows that are gone, and a table.
	for name, statement := range map[string]string{
		"fewer rows":  "DELETE FROM roc_curves WHERE config_id = 1",
		"one table":   "CREATE TABLE more (i INTEGER)",
		"no table":    "DROP TABLE checks",
		"other table": "ALTER TABLE checks RENAME TO cheques",
	} {
		path := studytest.Written(t, c)
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(name, err)
		}
		if _, err := w.Digest(t.Context(), path); err == nil || !strings.Contains(err.Error(), "written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the parent process has read through DuckDB is not in the file that the
// child writes.
func TestNothingOfTheParentsHeapIsInTheFile(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // in memory
	const canary = "CANARY-OF-THE-PARENT-PROCESS-"
	if _, err := db.Exec(`CREATE TABLE c AS SELECT '` + canary + `' || i AS t FROM range(200000) r(i)`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(DISTINCT t) FROM c`).Scan(&n); err != nil || n != 200000 {
		t.Fatal(n, err)
	}
	s := studytest.Shared(t)
	path := studytest.Written(t, studytest.SharedRows(t))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(canary[:12])) {
		t.Error("the file holds what the parent had in memory")
	}
	for name := range s.Codes {
		if bytes.Contains(data, []byte(name)) {
			t.Error("the file holds an original code")
		}
	}
	if !bytes.Contains(data, []byte("mean_risk")) {
		t.Error("the search finds not even what is there")
	}
}

func TestWriteFails(t *testing.T) {
	c := studytest.SharedRows(t)
	if _, err := writer.Write(t.Context(), filepath.Join(t.TempDir(), "a?b.db"), c.Each); err == nil || !strings.Contains(err.Error(), "question mark") {
		t.Errorf("question mark: %v", err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "results.db")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := writer.Write(cancelled, path, c.Each); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := writer.Write(t.Context(), filepath.Join(dir, "none", "x.db"), c.Each); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	c = changed(c, schema.Predictions, func(rows [][]any) { rows[3][4] = math.NaN() })
	if _, err := writer.Write(t.Context(), path, c.Each); err == nil || !strings.Contains(err.Error(), "predictions.y_prob") {
		t.Errorf("NaN: %v", err)
	}
	if old, _ := os.ReadFile(path); string(old) != "old" {
		t.Error("a failure replaced the file")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files left", len(entries))
	}
}

// changed returns the rows with others in one table.
func changed(r studytest.Rows, name string, change func(rows [][]any)) studytest.Rows {
	other := maps.Clone(r)
	other[name] = nil
	for _, row := range r[name] {
		other[name] = append(other[name], slices.Clone(row))
	}
	change(other[name])
	return other
}

// The file at the program's path may be another by the time the writer starts.
func TestWriterIsTheRunningProgram(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no name for the running program but its path")
	}
	me, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	program, out := filepath.Join(dir, "program"), filepath.Join(dir, "results.db")
	if err := os.WriteFile(program, me, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^TestWriteAsAReplacedProgram$", "-test.count=1")
	cmd.Env = append(os.Environ(), replacedEnv+"="+out)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if _, err := duckfile.Digest(t.Context(), out); err != nil {
		t.Error(err)
	}
}

const replacedEnv = "CHECKPOINT_TEST_REPLACED"

// TestWriteAsAReplacedProgram is the other half of the test before it.
func TestWriteAsAReplacedProgram(t *testing.T) {
	out := os.Getenv(replacedEnv)
	if out == "" {
		t.Skip("only in a copy of this program that TestWriterIsTheRunningProgram makes")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Write(t.Context(), out, studytest.Assemble(t, studytest.New(t, studytest.Original), studytest.Options()).Each); err != nil {
		t.Error(err)
	}
}
