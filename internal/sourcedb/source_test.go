package sourcedb

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// madeCode is an original code as the study writes them, made up at run time.
func madeCode(i int) string { return fmt.Sprintf("PLR%04d", 7000+i) }

// sourceSQL is the schema of a source database, as far as it is read.
const sourceSQL = `CREATE TABLE %s (time DOUBLE, pupil_gt DOUBLE, pupil_raw DOUBLE, outlier_mask INTEGER,
  Red DOUBLE, Blue DOUBLE, class_label VARCHAR, subject_code VARCHAR)`

// newSource writes a DuckDB file by the given statements.
func newSource(t *testing.T, statements ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "source ?#%20'.db")
	writeSource(t, path, statements...)
	return path
}

func writeSource(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	all := append([]string{"ATTACH " + quoteSQL(path) + " AS s", "USE s"}, statements...)
	for _, statement := range append(all, "USE memory", "DETACH s") {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// bothTables creates train and test.
func bothTables(more ...string) []string {
	return append([]string{fmt.Sprintf(sourceSQL, "train"), fmt.Sprintf(sourceSQL, "test")}, more...)
}

// insert adds points of one subject, the first masked of them outliers.
func insert(table string, subject, points, masked int, label string) string {
	if label != "NULL" {
		label = "'" + label + "'"
	}
	return fmt.Sprintf(`INSERT INTO %s SELECT i / 10, 5 - i / 100, CASE WHEN i < %d THEN NULL ELSE 5 + i / 100 END,
	  CAST(i < %d AS INTEGER), i %% 2, 0.5, %s, '%s' FROM range(%d) r(i)`, table, masked, masked, label, madeCode(subject), points)
}

func ptr[T any](v T) *T { return &v }

func TestReadSource(t *testing.T) {
	path := newSource(t, bothTables(
		insert("train", 2, 10, 3, "glaucoma"),
		insert("train", 1, 10, 0, "control"),
		insert("test", 3, 4, 4, "NULL"))...)
	before, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	source, err := Read(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	want := &Contents{Subjects: []Subject{
		{Original: madeCode(1), Table: "train", Outcome: ptr(0), Points: 10},
		{Original: madeCode(2), Table: "train", Outcome: ptr(1), Points: 10, Masked: 3},
		{Original: madeCode(3), Table: "test", Points: 4, Masked: 4},
	}}
	if diff := cmp.Diff(want, source); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if got := source.Unlabelled(); got != 1 {
		t.Errorf("unlabelled: %d, want 1", got)
	}
	if fraction, ok := source.Subjects[1].OutlierFraction(); !ok || fraction != 0.3 {
		t.Errorf("outlier fraction: %v %v, want 0.3", fraction, ok)
	}
	after, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	if len(after) != len(before) {
		t.Errorf("reading left %d files where there were %d", len(after), len(before))
	}
}

// A read-only folder and file are enough, and nothing is written to them.
func TestReadSourceLeavesTheFileAlone(t *testing.T) {
	path := newSource(t, bothTables(insert("train", 1, 5, 0, "control"))...)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(before) != string(after) {
		t.Error("reading changed the database")
	}
}

func TestReadSourceRefuses(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret.csv")
	if err := os.WriteFile(secret, []byte("subject_code\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	double := insert("train", 1, 3, 0, "control")
	for name, c := range map[string]struct {
		path string
		want string
	}{
		"missing":       {filepath.Join(t.TempDir(), "none.db"), "PLR_SOURCE_DB"},
		"directory":     {t.TempDir(), "not a regular file"},
		"text":          {text, "not a DuckDB database"},
		"no table":      {newSource(t, fmt.Sprintf(sourceSQL, "train")), "no table test"},
		"no column":     {newSource(t, bothTables("ALTER TABLE test DROP COLUMN Blue", "ALTER TABLE test DROP COLUMN class_label")...), "table test lacks the columns class_label, Blue"},
		"two labels":    {newSource(t, bothTables(double, insert("train", 1, 3, 0, "glaucoma"))...), "more than one class_label: 1"},
		"unknown label": {newSource(t, bothTables(insert("test", 1, 3, 0, "suspect"))...), "other than control and glaucoma: 1"},
		"both tables":   {newSource(t, bothTables(double, insert("test", 1, 3, 0, "control"))...), "in both train and test: 1"},
		"no code":       {newSource(t, bothTables("INSERT INTO train (time) VALUES (1)")...), "without a subject_code: 1"},
		"blank":         {newSource(t, bothTables("INSERT INTO train (time, subject_code) VALUES (1, 'A-1 '), (1, 'A-2' || chr(9))")...), "do not show: 2"},
		"mask":          {newSource(t, bothTables(double, "UPDATE train SET outlier_mask = 2")...), "outlier_mask other than 0 and 1: 1"},
		"mask text": {newSource(t, bothTables(double, "ALTER TABLE train ALTER outlier_mask TYPE VARCHAR",
			fmt.Sprintf("UPDATE train SET outlier_mask = '%s'", madeCode(1)))...), "another type than expected"},
		"view of a file": {newSource(t, bothTables(`DROP TABLE test`, fmt.Sprintf(
			`CREATE VIEW test AS SELECT 1 AS time, 1 AS pupil_gt, 1 AS pupil_raw, 0 AS outlier_mask, 1 AS Red, 1 AS Blue,
			 'control' AS class_label, subject_code FROM read_csv(%s)`, quoteSQL(secret)))...), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(t.Context(), c.path)
			if err == nil {
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Base(c.path)) {
				t.Errorf("error %q does not say %q and name the file", err, c.want)
			}
			if strings.Contains(err.Error(), madeCode(1)) || strings.Contains(err.Error(), "suspect") {
				t.Errorf("error %q quotes a cell", err)
			}
		})
	}
	if _, err := Read(t.Context(), filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing database is no fs.ErrNotExist: %v", err)
	}
}

// A file of DuckDB 2 or of one before 0.10 is recognised by the storage version
// in its header.
func TestReadSourceOfOtherDuckDB(t *testing.T) {
	path := newSource(t, bothTables(insert("train", 1, 5000, 0, "control"))...)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const headerSize, versionAt = 4096, 12
	for version, want := range map[uint64]string{69: "STORAGE_VERSION 'v1.0.0'", 999: "STORAGE_VERSION 'v1.0.0'", 51: "EXPORT DATABASE"} {
		binary.LittleEndian.PutUint64(data[versionAt:], version)
		binary.LittleEndian.PutUint64(data, duckdbChecksum(data[8:headerSize]))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(t.Context(), path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("version %d: error %v does not give the remedy %q", version, err, want)
		}
	}
	data[100] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), path); err == nil || !strings.Contains(err.Error(), "damaged DuckDB database") {
		t.Errorf("error %v does not say that the file is damaged", err)
	}
}

// duckdbChecksum is the checksum of a DuckDB block of whole 64-bit words.
func duckdbChecksum(block []byte) uint64 {
	sum := uint64(5381)
	for ; len(block) >= 8; block = block[8:] {
		sum ^= binary.LittleEndian.Uint64(block) * 0xbf58476d1ce4e5b9
	}
	return sum
}

// holdEnv makes this test binary hold a write lock on the database it names.
const holdEnv = "EXTRACT_TEST_HOLD_DATABASE"

func TestHoldDatabase(t *testing.T) {
	path := os.Getenv(holdEnv)
	if path == "" {
		t.Skip("runs only as a child of TestReadSourceLocked")
	}
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE more (i INTEGER)"); err != nil {
		t.Fatal(err)
	}
	fmt.Println("held")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
		t.Log("released")
	}
	os.Exit(0) // without closing: the log stays beside the file
}

func TestReadSourceLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "locked.db")
	writeSource(t, path, bothTables(insert("train", 1, 5, 0, "control"))...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestHoldDatabase$")
	holder.Env = append(os.Environ(), holdEnv+"="+path)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if line != "held\n" {
		t.Fatalf("the holder said %q: %v", line, err)
	}
	_, err = Read(t.Context(), path)
	if want := fmt.Sprintf("PID %d", holder.Process.Pid); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "close it there") {
		t.Errorf("error %v names neither the holder (%s) nor the remedy", err, want)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	_, err = Read(t.Context(), path)
	if err == nil || !strings.Contains(err.Error(), "CHECKPOINT") {
		t.Errorf("error %v does not speak of the log beside the file", err)
	}
	if _, err := os.Stat(path + ".wal"); err != nil {
		t.Errorf("reading removed the log: %v", err)
	}
}
