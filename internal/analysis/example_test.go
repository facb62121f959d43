package analysis

import (
	"context"
	"database/sql"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/foundation-plr/pipeline/internal/archive"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
	"github.com/foundation-plr/pipeline/internal/racetest"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/internal/writer"
	"github.com/foundation-plr/pipeline/metrics"
)

// The test program is the writer of the checkpoint too.
func TestMain(m *testing.M) {
	if os.Getenv(writer.ChildEnv) == writer.ChildName {
		os.Exit(writer.RunChild(os.Stdin, os.Stderr))
	}
	os.Exit(m.Run())
}

// wanted says whether anything here reads a file of the archive.
func wanted(name string) bool {
	contents, _ := extract.IndexInputs(config.Stages())
	return slices.ContainsFunc(append(contents, extract.Artifacts()...), func(pattern string) bool {
		return doublestar.MatchUnvalidated("mlruns/"+pattern, name)
	})
}

// example makes a checkpoint of the bundled store, with codes in the order of
// first occurrence, and returns it with the runs of its configurations.
func example(t *testing.T, reg *config.Registry) (*sql.DB, map[extract.Configuration]string) {
	t.Helper()
	ctx := context.Background()
	dir := t.TempDir()
	unpacked := filepath.Join(dir, "example")
	if err := archive.Unpack(ctx, "../../data/synthetic/example.tar.zst", unpacked, archive.DefaultLimits, wanted); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(unpacked, "mlruns")
	store, err := mlflow.OpenFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	index, err := extract.ReadIndex(t.Context(), store, reg, extract.IndexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var records extract.RecordFiles
	runs := map[extract.Configuration]string{}
	codes := map[string]string{}
	counts := map[int]int{}
	for _, run := range index.Runs {
		if run.Verdict != extract.Used {
			continue
		}
		o := extract.RunOptions{CodesPath: filepath.Join(root, filepath.FromSlash(extract.CodesArtifact(run.Artifact)))}
		r, err := extract.ReadRun(filepath.Join(root, filepath.FromSlash(run.Artifact)), run, o)
		if err != nil {
			t.Fatal(err)
		}
		// The run step takes it from the engine.
		r.Artifact = extract.Artifact{BLAKE3: fmt.Sprintf("%064x", len(records)), Bytes: 1}
		for i, s := range slices.Concat(r.Subjects, r.Train) {
			if _, ok := codes[s]; !ok {
				y := slices.Concat(r.Outcomes, r.TrainOutcomes)[i]
				counts[y]++
				codes[s] = fmt.Sprintf("%c%03d", "HG"[y], counts[y])
			}
		}
		file := filepath.Join(dir, r.RunID+".cbor")
		if err := extract.Write(file, r); err != nil {
			t.Fatal(err)
		}
		records = append(records, file)
		runs[r.Configuration] = r.RunID
	}
	content, err := checkpoint.Assemble(records, index, func(s string) (string, bool) { c, ok := codes[s]; return c, ok }, reg,
		checkpoint.AssembleOptions{
			Estimand: metrics.OverModels, Margin: 0.05, Privacy: disclosure.Privacy{SubjectTables: true},
			KeyedDigest: func(digest string) (string, error) { return digest, nil },
		})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "public.db")
	if _, err := writer.Write(ctx, path, content.Rows); err != nil {
		t.Fatal(err)
	}
	db, err := duckfile.Open(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db, runs
}

type measureKey struct{ run, estimand, measure string }

// independent reads what was computed from the store's refits by definition
// and without this module.
func independent(t *testing.T) map[measureKey][3]float64 {
	t.Helper()
	f, err := os.Open("../../testdata/expected/stratos.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[measureKey][3]float64{}
	for _, r := range rows[1:] {
		var x [3]float64
		for i := range x {
			x[i] = math.NaN()
			if s := r[3+i]; s != "" {
				if x[i], err = strconv.ParseFloat(s, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		out[measureKey{r[0], r[1], r[2]}] = x
	}
	return out
}

// The documents of the bundled example, through the real reader and writer,
// show the numbers that were computed without them.
func TestExample(t *testing.T) {
	racetest.Skip(t, "the whole program builds the same documents of the same store with it, in .ci/run")
	reg := testRegistry(t)
	db, runs := example(t, reg)
	want := independent(t)
	compared := 0
	// check compares v and its interval, if it has one.
	check := func(where string, c extract.Configuration, estimand, measure string, v sidecar.Value) {
		t.Helper()
		x, ok := want[measureKey{runs[c], estimand, measure}]
		if !ok {
			t.Errorf("%s: nothing is expected for %s of %+v", where, measure, c)
			return
		}
		got := [3]float64{math.NaN(), x[1], x[2]}
		if v.Estimate != nil {
			got[0] = *v.Estimate
		}
		switch {
		case v.CI != nil && math.IsNaN(x[1]): // intervals of resamples are not among what is expected
			if v.CIMethod != "BCa bootstrap" {
				t.Errorf("%s: an interval of %s of %+v by %s, for which none is expected", where, measure, c, v.CIMethod)
			}
		case v.CI != nil:
			got[1], got[2] = v.CI[0], v.CI[1]
		case measure == auroc && !math.IsNaN(x[1]):
			t.Errorf("%s: no interval for the AUROC of %+v", where, c)
		}
		for i := range got {
			if !(math.Abs(got[i]-x[i]) <= 1e-9*math.Max(1, math.Abs(x[i]))) && !(math.IsNaN(got[i]) && math.IsNaN(x[i])) {
				t.Errorf("%s: %s of %+v is %v, want %v", where, measure, c, got, x)
			}
		}
		compared++
	}
	docs := map[string]*sidecar.Document{}
	for _, id := range allIDs() {
		doc, err := Build(context.Background(), db, id, reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := sidecar.Validate(doc); err != nil {
			t.Error(err)
		}
		if err := sidecar.Lint(doc); err != nil {
			t.Error(err)
		}
		if !doc.Synthetic {
			t.Errorf("%s: the example's mark is lost", id)
		}
		docs[id] = doc
	}
	grid := func(outlier, imputation string) extract.Configuration {
		return extract.Configuration{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: outlier, Imputation: imputation}
	}

	h := docs["fig_heatmap_preprocessing"].Panels[0].Heatmap
	if len(h.Rows) != 11 || len(h.Columns) != 8 {
		t.Errorf("heat map of %d by %d methods, the registry has 11 by 8", len(h.Rows), len(h.Columns))
	}
	cells := 0
	for i, line := range h.Cells {
		for j, cell := range line {
			if cell.N > 0 {
				cells++
				check("heat map", grid(h.Rows[i].Method, h.Columns[j].Method), metrics.OverModels, auroc, cell.Value)
			}
		}
	}
	points := 0
	for _, r := range docs["fig_forest_combined"].Panels[0].Forest.Rows {
		points += r.N
	}
	if cells != 40 || points != cells {
		t.Errorf("%d cells and %d points, the example has 40 registered pairs with CatBoost", cells, points)
	}
	if len(docs["tab_all_configs"].Table.Rows) != len(runs) {
		t.Errorf("%d rows for %d configurations", len(docs["tab_all_configs"].Table.Rows), len(runs))
	}

	core := docs["fig_stratos_core"]
	number := map[string]sidecar.Number{}
	for _, n := range docs["numbers"].Numbers {
		number[n.Name] = n
	}
	for _, p := range reg.Pipelines() {
		c := grid(p.Outlier, p.Imputation)
		prefix, err := macroName(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		_, there := runs[c]
		warned := slices.ContainsFunc(docs["numbers"].Warnings, func(w string) bool { return strings.Contains(w, "("+p.Name+")") })
		if warned == there {
			t.Errorf("%s: in the store %v, warned %v", p.Name, there, warned)
		}
		if !there {
			continue
		}
		for _, r := range reported {
			check("numbers", c, metrics.OverModels, r.measure, *number[prefix+r.name].Value)
		}
		for i, curve := range core.Panels[0].Lines.Curves {
			if curve.Pipeline == p.Name {
				g := core.Panels[1].Calibration.Groups[i]
				check("ROC", c, metrics.MeanRisk, auroc, *curve.Value)
				check("calibration", c, metrics.MeanRisk, slope, g.Slope)
				check("calibration", c, metrics.MeanRisk, intercept, g.Intercept)
				check("calibration", c, metrics.MeanRisk, oe, g.OE)
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d values compared", compared)
	}
	for name, n := range map[string]int{"nSubjects": 208, "nControl": 152, "nEvents": 56, "nTest": 63, "nTestEvents": 17, "nRuns": 55, "nRunsUsed": 52, "nRunsFailed": 1, "nRunsDeleted": 1, "nRunsSuperseded": 1} {
		if got := number[name].Count; got == nil || *got != n {
			t.Errorf("%s is not %d: %+v", name, n, number[name])
		}
	}
}
