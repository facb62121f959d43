package duckfile

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// holdEnv makes a child of the tests hold a database open for writing.
const holdEnv = "DUCKFILE_TEST_HOLD"

func TestMain(m *testing.M) {
	if path := os.Getenv(holdEnv); path != "" {
		if err := hold(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// file makes a file by statements and returns its path.
func file(t testing.TB, path string, statements ...string) string {
	t.Helper()
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(errors.Join(err, db.Close()))
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// wide has tables as wide and as many as those of a checkpoint: to read one, a page of
// each column is held.
var wide = func() []string {
	var columns []string
	for i := range 24 {
		columns = append(columns, fmt.Sprintf("hash(i + %d) / 1e19 AS x%[1]d, 'text ' || hash(i * %[1]d) AS t%[1]d", i))
	}
	const rows = "SELECT i, %s FROM range(5000) r(i)"
	statements := []string{"CREATE TABLE predictions AS " + fmt.Sprintf(rows, strings.Join(columns, ", "))}
	for i := range 20 {
		statements = append(statements, fmt.Sprintf("CREATE TABLE t%d AS ", i)+fmt.Sprintf(rows, strings.Join(columns[i:i+4], ", ")))
	}
	return statements
}()

// hold keeps the database open until its standard input ends.
func hold(path string) error {
	db, err := sql.Open("duckdb", path)
	if err != nil {
		return err
	}
	if err := db.Ping(); err != nil {
		return err
	}
	fmt.Println("holding")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // an error is the end that it waits for
	return db.Close()
}

// The gate and the digest read a file at once through one instance, and a file that has
// taken its place through another.
func TestScansShare(t *testing.T) {
	path := file(t, filepath.Join(t.TempDir(), "a.db"), wide...)
	open := func() *scan {
		s, err := openScan(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	count := func(s *scan) (n int) {
		if err := s.QueryRow("SELECT count(*) FROM predictions").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	a, b := open(), open()
	if a != b {
		t.Error("two instances for one file")
	}
	if err := a.close(); err != nil {
		t.Error(err)
	}
	rows := count(b) // open as long as somebody reads
	if err := os.Rename(file(t, path+".new", append(slices.Clone(wide), "DELETE FROM predictions WHERE i = 1")...), path); err != nil {
		t.Fatal(err)
	}
	d := open()
	if got := count(d); got != rows-1 || d == b {
		t.Errorf("%d rows in the new file, where the old has %d", got, rows)
	}
	if count(b) != rows {
		t.Error("who reads the old file reads another")
	}
	if err := errors.Join(b.close(), d.close()); err != nil {
		t.Error(err)
	}
	if len(scans.open) != 0 {
		t.Errorf("%d are still open", len(scans.open))
	}
}

// Of a large file the digest and the search wait for each other, and find what they find
// in a small one.
func TestLargeScansTakeTurns(t *testing.T) {
	path := file(t, filepath.Join(t.TempDir(), "a.db"), wide...)
	want, err := Digest(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func(size int64) { turnsFrom = size }(turnsFrom)
	turnsFrom = 1
	reading, err := openScan(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	end := reading.begin()
	read := make(chan string)
	var texts atomic.Int64
	go func() {
		got, err := Digest(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		read <- got
	}()
	go func() {
		err := Cells(t.Context(), path, Visitor{
			Text:  func(_, _, _ string) error { texts.Add(1); return nil },
			Bytes: func(_, _ string, _ []byte) error { return nil },
		})
		if err != nil {
			t.Error(err)
		}
		read <- ""
	}()
	select {
	case <-read:
		t.Error("one reads while another does")
	case <-time.After(50 * time.Millisecond):
	}
	end()
	got := <-read + <-read
	if got != want || texts.Load() == 0 {
		t.Errorf("digest %s and %d texts in turns, want %s", got, texts.Load(), want)
	}
	if err := reading.close(); err != nil || len(scans.open) != 0 {
		t.Errorf("%v, %d are still open", err, len(scans.open))
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	good := file(t, filepath.Join(t.TempDir(), "good.db"), wide...)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	copied := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := slices.Clone(data)
	binary.LittleEndian.PutUint64(newer[12:], 999)
	binary.LittleEndian.PutUint64(newer, headerChecksum(newer[8:4096]))
	damaged := slices.Clone(data)
	damaged[100] ^= 1
	copied("busy.db.wal", []byte("something"))
	for path, want := range map[string]string{
		filepath.Join(dir, "none.db"):         "no such file",
		dir:                                   "is not a file",
		copied("text.db", []byte("x,y\n1,2")): "not a DuckDB database",
		copied("empty.db", nil):               "not a DuckDB database",
		copied("newer.db", newer):             "COPY FROM DATABASE",
		copied("damaged.db", damaged):         "is damaged",
		copied("busy.db", data):               "write-ahead log",
	} {
		db, err := Open(t.Context(), path)
		if err == nil {
			t.Errorf("%s: opened", filepath.Base(path))
			_ = db.Close()
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
	}
	if _, err := Open(t.Context(), filepath.Join(dir, "none.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// headerChecksum is DuckDB's: the exclusive or of all words times a constant.
func headerChecksum(block []byte) uint64 {
	sum := uint64(5381)
	for ; len(block) >= 8; block = block[8:] {
		sum ^= binary.LittleEndian.Uint64(block) * 0xbf58476d1ce4e5b9
	}
	return sum
}

func TestOpenIsForReading(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a folder?threads=1&x='y'")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "it's.db")
	before, err := os.ReadFile(file(t, filepath.Join(t.TempDir(), "a.db"), wide...))
	if err == nil {
		err = os.WriteFile(path, before, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	var wait sync.WaitGroup
	for range 4 { // connections of one pool, and files opened twice
		wait.Go(func() {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close() //nolint:errcheck // read only
			if err := conn.QueryRowContext(t.Context(), `SELECT 1 FROM predictions LIMIT 1`).Scan(new(int)); err != nil {
				t.Error(err)
			}
			if _, err := Digest(t.Context(), path); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	for _, statement := range []string{
		`DELETE FROM predictions`, `CREATE TABLE x (a INTEGER)`,
		`COPY predictions TO '` + strings.ReplaceAll(filepath.Join(dir, "out.csv"), "'", "''") + `'`,
		`SELECT * FROM read_csv('/etc/passwd')`,
	} {
		if _, err := db.Exec(statement); err == nil {
			t.Errorf("%s: accepted", statement)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("reading changed the file")
	}
}

func TestOpenOfAFileInUse(t *testing.T) {
	path := file(t, filepath.Join(t.TempDir(), "a.db"), wide...)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(stdout).ReadString('\n'); err != nil || line != "holding\n" {
		t.Fatalf("the other process says %q, error %v", line, err)
	}
	_, err = Open(t.Context(), path)
	if want := fmt.Sprintf(" (process %d), which has it open for writing", cmd.Process.Pid); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if err := stdin.Close(); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
