package score

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/racetest"
	"github.com/foundation-plr/pipeline/metrics"
)

const vectors = "../../metrics/testdata/"

// measured is a number, "Infinity" or "-Infinity" of JSON; NaN where there is
// none.
func measured(v any) float64 {
	switch v := v.(type) {
	case float64:
		return v
	case string:
		if f, err := strconv.ParseFloat(v, 64); err == nil {
			return f
		}
	}
	return math.NaN()
}

type scoreDocument struct {
	N, Events int
	Measures  map[string]map[string]any
}

func scoreJSON(t *testing.T, name string) (d scoreDocument, err error) {
	t.Helper()
	return documentOf(t, vectors+name+".csv")
}

// documentOf scores a file of the vectors' columns, without a bootstrap.
func documentOf(t *testing.T, file string) (d scoreDocument, err error) {
	t.Helper()
	scores, err := Of(t.Context(), file, "y_true", "y_prob", metrics.Options{Seed: 1, All: true})
	if scores == nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := scores.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &d); err != nil {
		t.Fatalf("%v, %s", err, out.Bytes())
	}
	return d, err
}

func readVectorFile(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(vectors + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}

// field says where the document has what a key of the vectors names.
func field(key string) (measure, part string) {
	suffixes := []struct{ suffix, part string }{{"_lo95", "ci_lower"}, {"_hi95", "ci_upper"}}
	for _, s := range suffixes {
		if base, cut := strings.CutSuffix(key, s.suffix); cut {
			base, _ = strings.CutSuffix(base, "_profile")
			if base, cut := strings.CutSuffix(base, "_wilson"); cut {
				for short, long := range map[string]string{"sens@": "sensitivity", "spec@": "specificity"} {
					if at, is := strings.CutPrefix(base, short); is {
						return "class@" + at + "/" + long, s.part
					}
				}
				return base, s.part
			}
			return base, s.part
		}
	}
	if name, at, cut := strings.Cut(key, "@"); cut && slices.Contains([]string{"tp", "fp", "mcc", "kappa"}, name) {
		return "class@" + at + "/" + name, "estimate"
	}
	switch key {
	case "oe_ci95_lo":
		return "oe_ratio", "ci_lower"
	case "oe_ci95_hi":
		return "oe_ratio", "ci_upper"
	}
	return key, "estimate"
}

func tolerance(key string) float64 {
	switch {
	case strings.HasPrefix(key, "cal_") || strings.HasPrefix(key, "lrt_"):
		return 1e-10
	case strings.HasPrefix(key, "loess_") || strings.HasPrefix(key, "lowess_") || strings.HasPrefix(key, "rcs"):
		return 1e-8
	}
	return 1e-12
}

func compareScore(t *testing.T, d scoreDocument, key string, want any) {
	t.Helper()
	measure, part := field(key)
	got := d.Measures[measure]
	if u, is := want.(map[string]any); is && key == "auroc_ci95" { // an interval is a part of its measure
		if auroc := d.Measures["auroc"]; auroc["ci_undefined"] != u["undefined"] {
			t.Errorf("interval of auroc = %v, want %v", auroc, want)
		}
		return
	} else if is {
		if got["undefined"] != u["undefined"] || len(got) != 1 {
			t.Errorf("%s = %v, want %v", key, got, want)
		}
		return
	}
	g, w := measured(got[part]), measured(want)
	if !(g == w || math.Abs(g-w) <= 1e-12+tolerance(key)*math.Abs(w)) {
		t.Errorf("%s = %v, want %v", key, got, want)
	}
}

// other are keys of the vectors that score does not print: points of curves,
// coefficients, what else tools print, intervals that are not the default.
func other(set, key string) bool {
	for _, part := range []string{"val.prob[", "_grid_", "_knot_", "_coef_", "calcurve_", "_delong_lo", "_delong_hi", "_delong_mid", "_clopper_",
		"c_index_hmisc", "auroc_sklearn", "average_precision_vc", "_longdouble", "_unclipped", "pauroc_fpr_0_0.2_mcclish"} {
		if strings.Contains(key, part) && !strings.HasPrefix(key, "val.prob[D]") && key != "val.prob[U]" && key != "val.prob[Q]" {
			return true
		}
	}
	// R divides by a PPV of 0/0 there; F1 is 2TP/(2TP+FP+FN).
	return set == "imbalanced_1pct_n5000" && key == "class@0.5/f1"
}

func TestScoreVectors(t *testing.T) {
	for _, set := range []string{"plr_like_n208", "imbalanced_1pct_n5000", "ties_grid_n300"} {
		t.Run(set, func(t *testing.T) {
			d, err := scoreJSON(t, set)
			if err != nil {
				t.Fatal(err)
			}
			var file struct{ Metrics map[string]any }
			readVectorFile(t, set, &file)
			compared := 0
			for key, want := range file.Metrics {
				if other(set, key) {
					continue
				}
				compared++
				// What a tool calls NaN is undefined here, with a reason.
				if math.IsNaN(measured(want)) {
					want = map[string]any{"undefined": d.Measures[key]["undefined"]}
				}
				compareScore(t, d, key, want)
			}
			if compared < 150 {
				t.Errorf("%d keys compared, want at least 150", compared)
			}
		})
	}
}

// A million rows: every key of big1e6.json, through a file.
func TestScoreMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("reads a million rows")
	}
	racetest.Skip(t, "a million rows go through the code that TestScoreVectors runs with it on few")
	var rows bytes.Buffer
	rows.WriteString("y_true,y_prob\n")
	state := uint64(20240607)
	next := func() uint64 { // splitmix64
		state += 0x9E3779B97F4A7C15
		v := state
		v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
		v = (v ^ v>>27) * 0x94D049BB133111EB
		return v ^ v>>31
	}
	for range 1_000_000 {
		k, y := 1+next()%9999, byte('0')
		if next()%1_000_000_000 < 6*k*k+20_000_000 {
			y = '1'
		}
		rows.Write(append(strconv.AppendFloat([]byte{y, ','}, float64(k)/10000, 'g', -1, 64), '\n'))
	}
	file := filepath.Join(t.TempDir(), "big1e6.csv")
	if err := os.WriteFile(file, rows.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := documentOf(t, file)
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		N, Events int
		Metrics   map[string]any
	}
	readVectorFile(t, "big1e6", &want)
	if d.N != 1_000_000 || d.Events != want.Events {
		t.Errorf("n %d, events %d, want %d", d.N, d.Events, want.Events)
	}
	for key, v := range want.Metrics {
		if other("big1e6", key) {
			continue
		}
		if exact, is := want.Metrics[key+"_longdouble"]; is {
			v = exact // R's glm stops one step short of the maximum
		} else if key == "cal_intercept_offset_se" {
			continue // of which there is no exact value
		}
		compareScore(t, d, key, v)
	}
}

func TestScoreEdgeVectors(t *testing.T) {
	files, err := filepath.Glob(vectors + "edge_*.json")
	if err != nil || len(files) != 22 {
		t.Fatalf("%d sets, %v, want 22", len(files), err)
	}
	for _, file := range files {
		set := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(set, func(t *testing.T) {
			d, err := scoreJSON(t, set)
			var edge struct{ Expected map[string]any }
			readVectorFile(t, set, &edge)
			whole, all := edge.Expected["undefined"]
			if refused := whole == "invalid_input"; refused != (err != nil) {
				t.Errorf("error %v, refused: %v", err, refused)
			}
			if !all {
				for key, want := range edge.Expected {
					compareScore(t, d, key, want)
				}
				return
			}
			if len(d.Measures) < 100 {
				t.Errorf("%d measures", len(d.Measures))
			}
			for key := range d.Measures {
				compareScore(t, d, key, edge.Expected)
			}
		})
	}
}
