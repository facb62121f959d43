package metrics

import (
	"path/filepath"
	"strings"
	"testing"
)

// Every note of the tables is one of the known, whatever the set.
func TestKnownNotes(t *testing.T) {
	files, err := filepath.Glob("testdata/edge_*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d edge sets, error %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		outcomes, risks := readVector(t, strings.TrimSuffix(filepath.Base(file), ".json"))
		r, err := NewRefits(outcomes, [][]float64{risks, risks})
		if err != nil {
			continue // the sets of bad input
		}
		rows, err := RefitTable(r, Options{Replicates: 50})
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range rows {
			seen[row.Note] = true
			if !KnownNote(row.Note) {
				t.Errorf("%s: %s %s has the note %q", file, row.Estimand, row.Measure, row.Note)
			}
		}
	}
	if len(seen) < 4 {
		t.Errorf("the sets show only the notes %v", seen)
	}
	for _, free := range []string{"Jane Doe", smallNote + noteSeparator + "Jane Doe", "mean over 0 refits", "undefined in 3 of 50 resamples of Jane"} {
		if KnownNote(free) {
			t.Errorf("%q is taken for a note", free)
		}
	}
}
