package predictions

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestReadKeepsOrderAndDigits(t *testing.T) {
	want := &Set{Outcomes: []int{1, 0, 1}, Risks: []float64{0.30000000000000004, 5e-324, 1}}
	const text = "p'x,y\n0.30000000000000004,1\n5e-324,0\n1,1.0\n"
	// A name is neither SQL, a pattern, an option nor a partition.
	for _, name := range []string{"a.csv", "it's.csv", "y=0/a.csv", "*.csv", "a?b[c]d.csv", "[x].csv", "x') ; DROP TABLE y; --", "a.csv?threads=2"} {
		got, err := Read(context.Background(), write(t, name, text), "y", "p'x")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestPatternReadsOneFile(t *testing.T) {
	file := write(t, "*.csv", "y,p\n1,0.5\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(file), "other.csv"), []byte("y,p\n0,0.1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := Read(context.Background(), file, "y", "p")
	if err != nil || len(got.Risks) != 1 {
		t.Errorf("got %+v, %v, want one row", got, err)
	}
}

func TestParquet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "no extension")
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("COPY (SELECT * FROM (VALUES (true, 0.1::DOUBLE, 'x'), (false, 0.7, 'y')) AS v(y, p, other)) TO " + quoteText(file) + " (FORMAT parquet)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	got, err := Read(context.Background(), file, "y", "p")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&Set{Outcomes: []int{1, 0}, Risks: []float64{0.1, 0.7}}, got); diff != "" {
		t.Error(diff)
	}
}

// The columns of a Parquet file are told apart as it spells them: the file has two
// called p, and others with parts of that name.
func TestParquetNames(t *testing.T) {
	const file = "testdata/twice.parquet"
	for name, want := range map[string]*Set{
		"q": {Outcomes: []int{0, 1, 0, 1}, Risks: []float64{0.4, 0.3, 0.2, 0.1}},
		"Q": {Outcomes: []int{0, 1, 0, 1}, Risks: []float64{0.1, 0.6, 0.2, 0.7}},
	} {
		got, err := Read(t.Context(), file, "y", name)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	for name, want := range map[string]string{
		"p":    `twice.parquet has 2 columns "p", number 3 and number 5 among them: rename all but the one that is meant`,
		"p_1":  `has no column "p_1"; there are parts, y, p, list, p, q, Q`,
		"deep": `has no column "deep"`,
	} {
		if _, err := Read(t.Context(), file, "y", name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want it to say %q", name, err, want)
		}
	}
}

func TestFaultsNameRowAndColumn(t *testing.T) {
	for text, want := range map[string]string{
		"y,p\n0,0.1\n1,NaN\n":          "row 2, column p: NaN is not in [0, 1]",
		"y,p\n0,0.1\nNaN,0.2\n":        "row 2, column y: NaN is neither 0 nor 1",
		"y,p\n2,0.1\n":                 "row 1, column y: 2 is neither 0 nor 1",
		"y,p\n0,0.1\n1,\n":             "row 2, column p: there is no value",
		"y,p\n0,0.1\n1,high\n0,-1\n":   `row 2, column p: "high" is not a number; 1 more row has a fault`,
		"y,p\n0,-0.1\n1,2\n2,0\n":      "row 1, column p: -0.1 is not in [0, 1]; 2 more rows have faults",
		"#y,p,y\n#,0.1,0\n#,1.5,1\n":   "row 2, column p: 1.5 is not in [0, 1]",
		"y;p\n0;0,1\n":                 `row 1, column p: "0,1" is not a number`,
		"Y,p\n0,0.1\n":                 `has no column "y"; there are Y, p`,
		"":                             "is empty",
		"y,p\n0,0.1\n0,0.2,0.3,0.4\n1": `has no column "y"`,
	} {
		_, err := Read(context.Background(), write(t, "a.csv", text), "y", "p")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %s", text, err, want)
		}
	}
}

func TestHeaderAlone(t *testing.T) {
	got, err := Read(context.Background(), write(t, "a.csv", "y,p\n"), "y", "p")
	if err != nil || len(got.Outcomes) != 0 {
		t.Errorf("got %+v, %v, want no rows", got, err)
	}
}
