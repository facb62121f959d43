package checkpoint

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/zeebo/blake3"
)

// What does not fit into memory is sorted like what does, table after table.
func TestSorter(t *testing.T) {
	defer func(n int) { sortedAtOnce = n }(sortedAtOnce)
	sortedAtOnce = 16
	var s sorter
	random := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{0, 1, 15, 16, 17, 32, 333, 40, 0, 48} {
		var want, got []rowSum
		for range n {
			want = append(want, blake3.Sum256(fmt.Append(nil, random.IntN(n)))) // some twice
			if err := s.add(want[len(want)-1]); err != nil {
				t.Fatal(err)
			}
		}
		slices.SortFunc(want, compareSums)
		if err := s.drain(func(sum *rowSum) { got = append(got, *sum) }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(want, got) {
			t.Errorf("%d hashes are not in order", n)
		}
		if len(s.held) != 0 || s.n != 0 {
			t.Errorf("%d of %d hashes are left", len(s.held), s.n)
		}
	}
	if err := s.close(); err != nil {
		t.Error(err)
	}
}

// The digest is that of the rows which a table shows, in whatever pieces it is read
// and sorted, and wherever rows were deleted before them.
func TestDigestOfManyRows(t *testing.T) {
	defer func(n int) { sortedAtOnce = n }(sortedAtOnce)
	file := func(statements ...string) string {
		path := filepath.Join(t.TempDir(), "rows.db")
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close() //nolint:errcheck // the digest would differ
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	const rows = 3*rowsAtOnce + 1
	few := file(fmt.Sprintf("CREATE TABLE t AS SELECT i, i || ' and text' AS text FROM range(%d, %d) r(i)", rows, 2*rows))
	want, err := Digest(t.Context(), few)
	if err != nil {
		t.Fatal(err)
	}
	sortedAtOnce = 1000
	for name, path := range map[string]string{
		"sorted in pieces":   few,
		"in another order":   file(fmt.Sprintf("CREATE TABLE t AS SELECT i, i || ' and text' AS text FROM range(%d, %d) r(i) ORDER BY i DESC", rows, 2*rows)),
		"others are deleted": file(fmt.Sprintf("CREATE TABLE t AS SELECT i, i || ' and text' AS text FROM range(0, %d) r(i)", 2*rows), fmt.Sprintf("DELETE FROM t WHERE i < %d", rows)),
	} {
		if got, err := Digest(t.Context(), path); err != nil || got != want {
			t.Errorf("%s: digest %s, want %s; error %v", name, got, want, err)
		}
	}
}

// A query that takes more memory than there may be ends all the same, and leaves
// nothing behind.
func TestQueriesBeyondMemory(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	db, err := Open(t.Context(), sharedDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	const rows = 3_000_000 // of 60 bytes and more
	var n int
	query := fmt.Sprintf("SELECT count(*) FROM (SELECT DISTINCT 'a text that does not fit into a word ' || i FROM range(%d) r(i))", rows)
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil || n != rows {
		t.Errorf("%d of %d rows, error %v", n, rows, err)
	}
	var limit string
	if err := db.QueryRowContext(t.Context(), "SELECT current_setting('memory_limit')").Scan(&limit); err != nil || limit != "122.0 MiB" { // 128 MB
		t.Errorf("the limit is %s, error %v", limit, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("%d files are left in the temporary directory, error %v", len(left), err)
	}
}
