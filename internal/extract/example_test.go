package extract

import (
	"archive/tar"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/foundation-plr/pipeline/internal/pickle"
	"github.com/foundation-plr/pipeline/internal/sourcedb"
	"github.com/foundation-plr/pipeline/metrics"
)

// The bundled example and what others computed from it.
const (
	exampleArchive  = "../../data/synthetic/example.tar.zst"
	expectedDir     = "../../testdata/expected"
	classification  = "mlruns/253031330985650090/"
	exampleSource   = "SERI_PLR_GLAUCOMA.db"
	examplePickles  = 54 // run directories with a metrics pickle
	exampleConfigs  = 53 // of them, what the reference extracts
	exampleSubjects = 213
	exampleControls = 152
	exampleEvents   = 56
)

// example is the part of the example that this package reads: the source
// database, and by run id the files below artifacts/.
type example struct {
	dir     string
	metrics map[string]string // run id → slash path of the metrics pickle below dir
}

func unpackExample(t *testing.T) example {
	t.Helper()
	file, err := os.Open(exampleArchive)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("the example archive is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stream, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	e := example{dir: t.TempDir(), metrics: map[string]string{}}
	for archive := tar.NewReader(stream); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return e
		}
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean(header.Name)
		rest, inRun := strings.CutPrefix(name, classification)
		run, rest, _ := strings.Cut(rest, "/")
		isMetrics := inRun && strings.HasPrefix(rest, "artifacts/metrics/") && strings.HasSuffix(rest, ".pickle")
		isCodes := inRun && strings.HasPrefix(rest, "artifacts/dict_arrays/") && strings.HasSuffix(rest, ".pickle")
		if header.Typeflag != tar.TypeReg || !isMetrics && !isCodes && path.Base(name) != exampleSource {
			continue
		}
		if isMetrics {
			e.metrics[run] = name
		}
		if path.Base(name) == exampleSource {
			name = exampleSource
		}
		target := filepath.Join(e.dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(target, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// records reads every metrics pickle of the example.
func (e example) records(t *testing.T) map[string]*Record {
	t.Helper()
	records := map[string]*Record{}
	var mu sync.Mutex
	var readers sync.WaitGroup
	for run, artifact := range e.metrics {
		readers.Go(func() {
			indexed := IndexedRun{RunID: run, Name: "n", Artifact: artifact}
			file, err := pickle.ReadFile(filepath.Join(e.dir, filepath.FromSlash(artifact)), Wanted, DefaultLimits)
			if err != nil {
				t.Error(err)
				return
			}
			if file.Reads != 1 {
				t.Errorf("was read %d times: what is dropped is not what is not wanted", file.Reads)
			}
			record, err := ReadRun(filepath.Join(e.dir, filepath.FromSlash(artifact)), indexed, RunOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			records[run] = record
		})
	}
	readers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return records
}

// table is a CSV file with a header.
type table struct {
	name   string
	column map[string]int
	rows   [][]string
}

func readTable(t *testing.T, name string) table {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(expectedDir, name))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tab := table{name: name, column: map[string]int{}, rows: rows[1:]}
	for i, column := range rows[0] {
		tab.column[column] = i
	}
	return tab
}

func (tab table) text(t *testing.T, row []string, column string) string {
	t.Helper()
	i, ok := tab.column[column]
	if !ok {
		t.Fatalf("%s has no column %s", tab.name, column)
	}
	return row[i]
}

// number is nil for an empty cell and for NaN.
func (tab table) number(t *testing.T, row []string, column string) *float64 {
	t.Helper()
	cell := tab.text(t, row, column)
	if cell == "" {
		return nil
	}
	x, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		t.Fatal(err)
	}
	return finite(x)
}

// compare says that |got - want| <= absolute + relative·|want|, or both undefined.
func compare(t *testing.T, what string, got, want *float64, absolute, relative float64) {
	t.Helper()
	switch {
	case got == nil && want == nil:
	case got == nil || want == nil:
		t.Errorf("%s: got %v, want %v", what, show(got), show(want))
	case !(math.Abs(*got-*want) <= absolute+relative*math.Abs(*want)):
		t.Errorf("%s: got %v, want %v (difference %g)", what, *got, *want, *got-*want)
	}
}

func show(x *float64) any {
	if x == nil {
		return "undefined"
	}
	return *x
}

func TestExample(t *testing.T) {
	e := unpackExample(t)
	records := e.records(t)
	if len(records) != examplePickles {
		t.Fatalf("%d pickles, want %d", len(records), examplePickles)
	}
	t.Run("truth", func(t *testing.T) { compareTruth(t, records) })
	t.Run("stratos", func(t *testing.T) { compareStratos(t, records) })
	t.Run("reference", func(t *testing.T) { compareReference(t, records) })
	t.Run("checks", func(t *testing.T) {
		without := 0
		for run, record := range records {
			// One run has a refit that predicts no event and so has no PPV.
			switch n := len(record.Checks); n {
			case 37:
				without++
			case 41:
			default:
				t.Errorf("%s: %d checks, want 41", run, n)
			}
			for _, c := range record.Checks {
				if !c.OK {
					t.Errorf("%s: %s: expected %v, found %v", run, c.Name, show(c.Expected), show(c.Found))
				}
			}
		}
		if without != 1 {
			t.Errorf("%d runs without a check of the PPV, want 1", without)
		}
	})
	t.Run("json", func(t *testing.T) {
		for run, record := range records {
			file := filepath.Join(t.TempDir(), "run.json")
			if err := Write(file, record); err != nil {
				t.Fatal(err)
			}
			var back Record
			if err := Read(file, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(record, &back); diff != "" {
				t.Fatalf("%s changed on its way through JSON (-want +got):\n%s", run, diff)
			}
		}
	})
	t.Run("subjects", func(t *testing.T) { e.compareSubjects(t, records) })
	t.Run("codes", func(t *testing.T) { e.compareCodes(t, records) })
}

// compareTruth: what plain Python reads from the pickles.
func compareTruth(t *testing.T, records map[string]*Record) {
	tab := readTable(t, "truth.csv")
	seen := 0
	for _, row := range tab.rows {
		run := tab.text(t, row, "run_id")
		record := records[run]
		if record == nil {
			if tab.text(t, row, "AUROC_mean") != "" {
				t.Errorf("%s was not read", run)
			}
			continue
		}
		seen++
		for _, name := range scalarNames {
			scalar := record.Scalars[name]
			compare(t, run+" "+name+" mean", scalar.Mean, tab.number(t, row, name+"_mean"), 1e-12, 0)
			compare(t, run+" "+name+" std", scalar.SD, tab.number(t, row, name+"_std"), 1e-12, 0)
			compare(t, run+" "+name+" lower", scalar.Lower, tab.number(t, row, name+"_ci_lo"), 1e-12, 0)
			compare(t, run+" "+name+" upper", scalar.Upper, tab.number(t, row, name+"_ci_hi"), 1e-12, 0)
		}
		dtype := tab.text(t, row, "y_pred_proba_dtype")
		counts := fmt.Sprintln(record.Refits, len(record.Outcomes), sum(record.Outcomes), record.RiskType)
		if want := fmt.Sprintln(tab.text(t, row, "iterations"), tab.text(t, row, "n_test"), tab.text(t, row, "n_events"), dtype); counts != want {
			t.Errorf("%s: refits, subjects, events and type are %s, want %s", run, counts, want)
		}
		// What our measures make of the risks must be the same numbers, as far
		// as the training code computed them in float64.
		tolerance := 1e-12
		if record.RiskType == float32Name {
			tolerance = 1e-7
		}
		for _, pair := range [][2]string{{"AUROC", "auroc"}, {"Brier", "brier"}} {
			m := record.find(t, metrics.OverModels, pair[1])
			compare(t, run+" recomputed "+pair[0], m.Estimate, tab.number(t, row, pair[0]+"_mean"), tolerance, 0)
			compare(t, run+" recomputed SD of "+pair[0], m.SpreadSD, tab.number(t, row, pair[0]+"_std"), tolerance, 0)
			compare(t, run+" recomputed lower "+pair[0], m.SpreadLower, tab.number(t, row, pair[0]+"_ci_lo"), tolerance, 0)
			compare(t, run+" recomputed upper "+pair[0], m.SpreadUpper, tab.number(t, row, pair[0]+"_ci_hi"), tolerance, 0)
		}
		compare(t, run+" Brier of the mean risk", record.find(t, metrics.MeanRisk, "brier").Estimate, tab.number(t, row, "brier_of_mean"), tolerance, 0)
	}
	if seen != examplePickles {
		t.Errorf("compared %d runs, want %d", seen, examplePickles)
	}
}

func sum(xs []int) int {
	total := 0
	for _, x := range xs {
		total += x
	}
	return total
}

func (r *Record) find(t *testing.T, estimand, measure string) Measure {
	t.Helper()
	for _, m := range r.Measures {
		if m.Estimand == estimand && m.Measure == measure {
			return m
		}
	}
	t.Fatalf("%s has no %s %s", r.RunID, estimand, measure)
	return Measure{}
}

// compareStratos: both estimands by definition, computed independently.
func compareStratos(t *testing.T, records map[string]*Record) {
	tab := readTable(t, "stratos.csv")
	for _, row := range tab.rows {
		run := tab.text(t, row, "run_id")
		m := records[run].find(t, tab.text(t, row, "estimand"), tab.text(t, row, "measure"))
		what := fmt.Sprint(run, " ", m.Estimand, " ", m.Measure)
		const absolute, relative = 1e-13, 1e-9 // some true values are 0
		compare(t, what, m.Estimate, tab.number(t, row, "estimate"), absolute, relative)
		if !strings.HasPrefix(m.Method, "bootstrap_") { // the table has intervals of formulas only
			compare(t, what+" lower", m.Lower, tab.number(t, row, "ci_lower"), absolute, relative)
			compare(t, what+" upper", m.Upper, tab.number(t, row, "ci_upper"), absolute, relative)
		}
		compare(t, what+" spread lower", m.SpreadLower, tab.number(t, row, "spread_lower"), absolute, relative)
		compare(t, what+" spread upper", m.SpreadUpper, tab.number(t, row, "spread_upper"), absolute, relative)
		compare(t, what+" spread SD", m.SpreadSD, tab.number(t, row, "spread_sd"), absolute, relative)
		if cell := tab.text(t, row, "n_undefined"); cell != "" && cell != fmt.Sprint(m.NUndefined) {
			t.Errorf("%s: undefined in %d refits, want %s", what, m.NUndefined, cell)
		}
		if (m.Lower == nil) != (m.Method == notAvailable) {
			t.Errorf("%s: limits %v by the method %q", what, show(m.Lower), m.Method)
		}
	}
	if want := examplePickles * 20; len(tab.rows) != want {
		t.Errorf("compared %d measures, want %d", len(tab.rows), want)
	}
}

// compareReference: the tables of the reference's database, where the meaning
// of a column is kept. They hold float32.
func compareReference(t *testing.T, records map[string]*Record) {
	const absolute = 1e-6
	byConfig := map[string]*Record{}
	essential := readTable(t, "csv/essential_metrics.csv")
	for _, row := range essential.rows {
		run := essential.text(t, row, "run_id")
		r := records[run]
		byConfig[essential.text(t, row, "config_id")] = r
		for column, got := range map[string]*float64{
			"auroc":             r.Scalars["AUROC"].Mean,
			"auroc_ci_lower":    r.Scalars["AUROC"].Lower,
			"auroc_ci_upper":    r.Scalars["AUROC"].Upper,
			"brier":             r.Scalars["Brier"].Mean,
			"o_e_ratio":         r.find(t, metrics.MeanRisk, "oe_ratio").Estimate,
			"net_benefit_5pct":  r.find(t, metrics.MeanRisk, "nb@0.05").Estimate,
			"net_benefit_10pct": r.find(t, metrics.MeanRisk, "nb@0.1").Estimate,
			"net_benefit_15pct": r.find(t, metrics.MeanRisk, "nb@0.15").Estimate,
			"net_benefit_20pct": r.find(t, metrics.MeanRisk, "nb@0.2").Estimate,
		} {
			compare(t, run+" "+column, got, essential.number(t, row, column), absolute, 0)
		}
		// The reference's optimiser stops this far from the maximum; an intercept
		// near 0 makes a relative difference meaningless.
		compare(t, run+" calibration_slope", r.Joint.Slope, essential.number(t, row, "calibration_slope"), 0, 7.6e-4)
		compare(t, run+" calibration_intercept", r.Joint.Intercept, essential.number(t, row, "calibration_intercept"), 1.8e-3, 0)
	}
	if len(byConfig) != exampleConfigs {
		t.Errorf("the reference extracted %d configurations, want %d", len(byConfig), exampleConfigs)
	}
	supplementary := readTable(t, "csv/supplementary_metrics.csv")
	for _, row := range supplementary.rows {
		r := byConfig[supplementary.text(t, row, "config_id")]
		for column, name := range map[string]string{"f1_score": "F1", "aupr": "AUPR", "ppv": "PPV", "npv": "NPV"} {
			compare(t, r.RunID+" "+column, r.Scalars[name].Mean, supplementary.number(t, row, column), absolute, 0)
		}
	}
	decision := readTable(t, "csv/dca_curves.csv")
	position := map[*Record]int{}
	for _, row := range decision.rows {
		r := byConfig[decision.text(t, row, "config_id")]
		p := r.Decision[position[r]]
		position[r]++
		what := fmt.Sprint(r.RunID, " threshold ", p.Threshold)
		if p.Threshold != float64(position[r])/100 {
			t.Errorf("%s at place %d", what, position[r])
		}
		compare(t, what, &p.Threshold, decision.number(t, row, "threshold"), absolute, 0)
		compare(t, what+" net benefit", &p.Model, decision.number(t, row, "net_benefit_model"), absolute, 0)
		capped := math.Max(p.All, 0) // ours is not capped
		compare(t, what+" net benefit of all", &capped, decision.number(t, row, "net_benefit_all"), absolute, 0)
		compare(t, what+" sensitivity", p.Sensitivity, decision.number(t, row, "sensitivity"), absolute, 0)
		compare(t, what+" specificity", p.Specificity, decision.number(t, row, "specificity"), absolute, 0)
	}
	risks := readTable(t, "csv/predictions.csv")
	position = map[*Record]int{}
	for _, row := range risks.rows {
		r := byConfig[risks.text(t, row, "config_id")]
		i := position[r]
		position[r]++
		what := fmt.Sprint(r.RunID, " subject in row ", i)
		compare(t, what, &r.Risks[i], risks.number(t, row, "y_prob"), absolute, 0)
		if got, want := fmt.Sprint(r.Outcomes[i]), risks.text(t, row, "y_true"); got != want {
			t.Errorf("%s: outcome %s, want %s", what, got, want)
		}
	}
	curve := readTable(t, "csv/calibration_curves.csv")
	position = map[*Record]int{}
	for _, row := range curve.rows {
		r := byConfig[curve.text(t, row, "config_id")]
		i := position[r]
		position[r]++
		what := fmt.Sprint(r.RunID, " calibration point ", i)
		compare(t, what, r.Calibration.Grid[i], curve.number(t, row, "bin_midpoint"), absolute, 0)
		compare(t, what+" observed", r.Calibration.Observed[i], curve.number(t, row, "observed_proportion"), absolute, 0)
	}
	for table, n := range map[string][2]int{
		"supplementary_metrics": {len(supplementary.rows), 1}, "dca_curves": {len(decision.rows), 50},
		"predictions": {len(risks.rows), 63}, "calibration_curves": {len(curve.rows), 10},
	} {
		if n[0] != exampleConfigs*n[1] {
			t.Errorf("%s has %d rows, want %d", table, n[0], exampleConfigs*n[1])
		}
	}
}

func (e example) compareSubjects(t *testing.T, records map[string]*Record) {
	source, err := sourcedb.Read(t.Context(), filepath.Join(e.dir, exampleSource))
	if err != nil {
		t.Fatal(err)
	}
	var list []*Head
	for _, record := range records {
		list = append(list, &record.Head)
	}
	for name, from := range map[string]*sourcedb.Contents{"with the source database": source, "from pickles alone": nil} {
		subjects, err := subjects(list, from)
		if err != nil {
			t.Fatal(err)
		}
		var controls, events int
		for _, s := range subjects {
			switch {
			case s.Outcome == nil:
			case *s.Outcome == 0:
				controls++
			default:
				events++
			}
		}
		unlabelled := 0
		if from != nil {
			unlabelled = exampleSubjects - exampleControls - exampleEvents
		}
		got := fmt.Sprint(controls, events, Unlabelled(subjects))
		if want := fmt.Sprint(exampleControls, exampleEvents, unlabelled); got != want {
			t.Errorf("%s: controls, events and unlabelled are %s, want %s", name, got, want)
		}
	}
}

// compareCodes: the other file names the same subjects.
func (e example) compareCodes(t *testing.T, records map[string]*Record) {
	compared := 0
	for run, artifact := range e.metrics {
		file := filepath.Join(e.dir, filepath.FromSlash(CodesArtifact(artifact)))
		if _, err := os.Stat(file); err != nil {
			continue
		}
		compared++
		who, err := readCodes(file, "", pickle.DefaultLimits)
		if err != nil {
			t.Fatal(err)
		}
		r := records[run]
		if !cmp.Equal(who.test, r.Subjects) || !cmp.Equal(who.train, r.Train) ||
			!cmp.Equal(who.testOutcomes, r.Outcomes) || !cmp.Equal(who.trainOutcomes, r.TrainOutcomes) {
			t.Errorf("%s: its two files name different subjects or labels", run)
		}
	}
	if compared == 0 {
		t.Error("no run has the other file")
	}
}
