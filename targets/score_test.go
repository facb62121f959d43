package targets

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// scoreOf runs score on a file and reads its document.
func scoreOf(t *testing.T, file string) (doc struct {
	N, Events int
	Measures  map[string]map[string]any
}, err error) {
	t.Helper()
	yes, none := true, 0
	var out bytes.Buffer
	err = score(t.Context(), &out, file, ScoreFlags{All: &yes, JSON: &yes, Bootstrap: &none})
	if jerr := json.Unmarshal(out.Bytes(), &doc); jerr != nil {
		t.Fatalf("%s: %v\n%s", file, jerr, out.String())
	}
	return doc, err
}

const vectors = "../metrics/testdata"

// The document has the numbers that R and Python give for the same file. That
// the measures are right is tested where they are made; this is about the way of
// a number from a file to the document, so the widest of the tolerances there
// will do.
func TestScoreGivesTheVectors(t *testing.T) {
	for _, name := range []string{"plr_like_n208", "imbalanced_1pct_n5000", "ties_grid_n300"} {
		text, err := os.ReadFile(filepath.Join(vectors, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			N, Events float64
			Metrics   map[string]any // a number, "Infinity" or "NaN"
		}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		got, err := scoreOf(t, filepath.Join(vectors, name+".csv"))
		if err != nil {
			t.Fatal(err)
		}
		if float64(got.N) != want.N || float64(got.Events) != want.Events {
			t.Errorf("%s: %d subjects and %d events, want %v and %v", name, got.N, got.Events, want.N, want.Events)
		}
		compared := 0
		for key, number := range want.Metrics {
			m, ok := got.Measures[key]
			// F1 is 2TP / (2TP + FP + FN), which is 0 where R goes by a precision
			// that is undefined.
			if !ok || number == "NaN" && strings.HasSuffix(key, "/f1") {
				continue
			}
			compared++
			if number == "NaN" {
				if m["undefined"] == nil {
					t.Errorf("%s: %s is %v, want it undefined", name, key, m)
				}
				continue
			}
			estimate, finite := m["estimate"].(float64)
			want, ok := number.(float64)
			if finite != ok || ok && math.Abs(estimate-want) > 1e-12+1e-8*math.Abs(want) || !ok && m["estimate"] != number {
				t.Errorf("%s: %s is %v, want %v", name, key, m, number)
			}
		}
		if compared < 100 {
			t.Errorf("%s: only %d measures have the key of a vector", name, compared)
		}
	}
}

// What is undefined has its reason, and a file that is refused has it for all.
func TestScoreOfEdges(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(vectors, "edge_*.csv"))
	if err != nil || len(files) != 22 {
		t.Fatalf("%d edge sets, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".csv")
		text, err := os.ReadFile(filepath.Join(vectors, name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var set struct{ Expected map[string]any }
		if err := json.Unmarshal(text, &set); err != nil {
			t.Fatal(err)
		}
		got, err := scoreOf(t, file)
		if whole, ok := set.Expected["undefined"].(string); ok {
			if whole == "invalid_input" && (err == nil || !strings.Contains(err.Error(), "row ")) {
				t.Errorf("%s: error %v, want one that names the row", name, err)
			}
			for key, m := range got.Measures {
				if m["undefined"] != whole {
					t.Errorf("%s: %s is %v, want undefined: %s", name, key, m, whole)
				}
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		compared := 0
		for key, want := range set.Expected {
			m, ok := got.Measures[key]
			if !ok {
				continue
			}
			compared++
			switch want := want.(type) {
			case float64:
				if v, ok := m["estimate"].(float64); !ok || math.Abs(v-want) > 1e-12+1e-8*math.Abs(want) {
					t.Errorf("%s: %s is %v, want %v", name, key, m, want)
				}
			case string: // "Infinity"
				if m["estimate"] != want {
					t.Errorf("%s: %s is %v, want %v", name, key, m, want)
				}
			case map[string]any:
				if m["undefined"] != want["undefined"] {
					t.Errorf("%s: %s is %v, want %v", name, key, m, want)
				}
			}
		}
		if compared < 30 {
			t.Errorf("%s: only %d measures have the key of the set", name, compared)
		}
	}
}
