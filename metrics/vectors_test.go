package metrics

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/racetest"
	"github.com/foundation-plr/pipeline/metrics/resample"
	"github.com/foundation-plr/pipeline/metrics/smooth"
)

// Relative tolerances of the vectors; the absolute one is 1e-12.
const (
	closedForm = 1e-12
	fitted     = 1e-10
	smoothed   = 1e-8
)

func agree(got, want, rtol float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+rtol*math.Abs(want)
}

// readVector reads a set of rows. A label that is no integer becomes one that
// is no outcome.
func readVector(t testing.TB, name string) (outcomes []int, risks []float64) {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, row := range rows[1:] {
		y, err := strconv.Atoi(row[0])
		if err != nil {
			y = -1
		}
		p, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		outcomes, risks = append(outcomes, y), append(risks, p)
	}
	return outcomes, risks
}

func readVectorSample(t testing.TB, name string) *Sample {
	t.Helper()
	s, err := NewSample(readVector(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func readJSON(t testing.TB, name string, v any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func number(v float64) Result { return Result{Value: v} }

func limit(r Result, lower bool) Result {
	switch {
	case !r.Interval.Defined():
		return Result{Undefined: r.Interval.Undefined}
	case lower:
		return number(r.Interval.Lower)
	}
	return number(r.Interval.Upper)
}

// keyed measures of a sample: those of the table of all measures, and those that
// only functions give, computed once for a sample.
type keyedMeasures struct {
	s     *Sample
	table map[string]Result
}

func measuresOf(t testing.TB, s *Sample) keyedMeasures {
	t.Helper()
	rows, err := Table(s, Options{All: true})
	if err != nil {
		t.Fatal(err)
	}
	m := keyedMeasures{s, map[string]Result{}}
	for _, row := range rows {
		if _, twice := m.table[row.Measure]; twice {
			t.Errorf("two rows have the key %s", row.Measure)
		}
		m.table[row.Measure] = row.Result
	}
	return m
}

// sameAs are keys of what another tool gives for a quantity that the table has.
var sameAs = map[string]string{
	"c_index_hmisc": "auroc", "auroc_ci95_delong_mid": "auroc", "auroc_ci90_delong_mid": "auroc", "auroc_sklearn": "auroc",
	"average_precision_vc":            "average_precision",
	"pauroc_fpr_0_0.2_mcclish":        "pauroc_spec_0.8_1_mcclish",
	"logloss_mean_unclipped":          "logloss_mean",
	"cal_intercept_offset_longdouble": "cal_intercept_offset", "cal_slope_longdouble": "cal_slope",
	"cal_slope_se_longdouble": "cal_slope_se", "cal_joint_intercept_longdouble": "cal_joint_intercept",
	"val.prob[Dxy]": "somers_dxy", "val.prob[C (ROC)]": "auroc", "val.prob[R2]": "r2_nagelkerke",
	"val.prob[Brier]": "brier", "val.prob[Emax]": "lowess_iter0_emax", "val.prob[E90]": "lowess_iter0_e90",
	"val.prob[Eavg]": "lowess_iter0_ici", "val.prob[S:z]": "spiegelhalter_z", "val.prob[S:p]": "spiegelhalter_p",
	"val.prob[U:Chi-sq]": "lrt_weak_calibration", "val.prob[U:p]": "lrt_weak_calibration_p",
}

// notCompared are keys that differ from ours for a reason.
var notCompared = map[string]string{
	"val.prob[D:p]": "not computed by the tool",
	"imbalanced_1pct_n5000/val.prob[C (ROC)]": "rms groups risks to multiples of 0.002 in large sets; pROC's AUROC is the definition",
	"imbalanced_1pct_n5000/val.prob[Dxy]":     "the same",
	"imbalanced_1pct_n5000/class@0.5/f1":      "the R code divides by a PPV of 0/0; F1 = 2TP/(2TP+FP+FN) is 0, as scikit-learn says",
}

// byKey computes what a key of the vectors names; ok is false for a key that the
// package has no measure for.
func (m keyedMeasures) byKey(t *testing.T, key string) (got Result, rtol float64, ok bool) {
	t.Helper()
	if other, same := sameAs[key]; same {
		key = other
	}
	rtol = closedForm
	switch {
	case strings.HasPrefix(key, "cal_") || strings.HasPrefix(key, "lrt_"):
		rtol = fitted
	case strings.HasPrefix(key, "loess_") || strings.HasPrefix(key, "lowess_") || strings.HasPrefix(key, "rcs"):
		rtol = smoothed
	}
	if r, known := m.table[key]; known {
		return r, rtol, true
	}
	s, lower := m.s, strings.Contains(key, "_lo")
	of := func(i Interval) (Result, float64, bool) { return limit(Result{Interval: i}, lower), rtol, true }
	switch key {
	case "auroc_ci95":
		return limit(AUROC(s), true), rtol, true
	case "auroc_ci95_delong_lo", "auroc_ci95_delong_hi":
		return of(AUROCInterval(s, DeLongWald, 0.95))
	case "auroc_ci90_delong_lo", "auroc_ci90_delong_hi":
		return of(AUROCInterval(s, DeLongWald, 0.90))
	case "oe_ci95_lo", "oe_ci95_hi":
		return of(OE(s).Interval)
	case "cal_intercept_offset_profile_lo95", "cal_intercept_offset_profile_hi95":
		return of(CalibrationIntercept(s).Interval)
	case "cal_slope_profile_lo95", "cal_slope_profile_hi95":
		return of(CalibrationSlope(s).Interval)
	case "val.prob[D:Chi-sq]":
		return number(QualityIndexes(s).DiscriminationTest.Statistic), fitted, true
	}

	if name, at, cut := strings.Cut(key, "_grid_"); cut && strings.HasPrefix(name, "loess") {
		what, i, _ := strings.Cut(at, "_")
		k, err := strconv.Atoi(i)
		if err != nil {
			t.Fatal(err)
		}
		sorted := slices.Sorted(slices.Values(s.risks))
		x := resample.Quantile(sorted, 0.05+0.1*float64(k-1))
		if what == "x" {
			return number(x), closedForm, true
		}
		points, why := CalibrationCurve(s, LoessDirect, []float64{x})
		switch {
		case why != "":
			return Result{Undefined: why}, rtol, true
		case what == "fit":
			return number(points[0].Observed), smoothed, true
		}
		return number(points[0].SE), smoothed, true
	}
	if how, rest, _ := strings.Cut(key, "_"); how == "rcs3" || how == "rcs5" {
		what, i, _ := strings.Cut(rest, "_")
		k, err := strconv.Atoi(i)
		if err != nil {
			t.Fatal(err)
		}
		var x, y []float64
		for _, row := range s.byRisk() {
			x, y = append(x, logit(s.risks[row])), append(y, float64(s.outcomes[row]))
		}
		fit, err := smooth.FitSpline(x, y, int(how[3]-'0'))
		if err != nil {
			t.Fatal(err)
		}
		if what == "knot" {
			return number(fit.Knots[k-1]), closedForm, true
		}
		return number(fit.Coef[k]), smoothed, true
	}
	if rest, cut := strings.CutPrefix(key, "calcurve_"); cut {
		bins := slices.DeleteFunc(CalibrationBins(s, 10), func(b Bin) bool { return b.N == 0 })
		if strings.HasPrefix(rest, "quantile") {
			bins = QuantileBins(s, 10)
		}
		parts := strings.Split(rest, "_")
		k, err := strconv.Atoi(parts[2])
		if err != nil || k >= len(bins) {
			t.Fatalf("%s: %v, %d bins", key, err, len(bins))
		}
		return number(map[string]float64{"true": bins[k].Observed, "pred": bins[k].Predicted, "n": float64(bins[k].N)}[parts[1]]), rtol, true
	}
	if what, rest, cut := strings.Cut(key, "@"); cut {
		at, suffix, _ := strings.Cut(rest, "_")
		at, name, _ := strings.Cut(at, "/")
		threshold, err := strconv.ParseFloat(at, 64)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		c := Classify(s, threshold)
		one := map[string]Result{"sens": c.Sensitivity(), "spec": c.Specificity(), "ppv": c.PPV(), "npv": c.NPV()}
		if what == "class" {
			what = name
		}
		count := map[string]int{"tp": c.TP, "fp": c.FP}
		if n, is := count[what]; is {
			return number(float64(n)), rtol, true
		}
		if what == "mcc" || what == "kappa" {
			return map[string]Result{"mcc": c.MCC(), "kappa": c.Kappa()}[what], rtol, true
		}
		r, known := one[what]
		if !known {
			return Result{}, 0, false
		}
		if strings.HasPrefix(suffix, "clopper") {
			n := map[string]int{"sens": c.TP, "spec": c.TN}[what]
			lo, hi := ClopperPearson(n, map[string]int{"sens": c.Events(), "spec": c.controls()}[what], 0.95)
			return limit(Result{Interval: Interval{Method: ExactBinomial, Lower: lo, Upper: hi}}, lower), rtol, true
		}
		return limit(r, lower), rtol, true
	}
	return Result{}, 0, false
}

func TestVectors(t *testing.T) {
	for _, name := range []string{"plr_like_n208", "imbalanced_1pct_n5000", "ties_grid_n300"} {
		t.Run(name, func(t *testing.T) {
			m := measuresOf(t, readVectorSample(t, name))
			var file struct{ Metrics map[string]any }
			readJSON(t, name, &file)
			for key, v := range file.Metrics {
				if notCompared[key] != "" || notCompared[name+"/"+key] != "" {
					continue
				}
				got, rtol, ok := m.byKey(t, key)
				want := math.NaN()
				switch v := v.(type) {
				case float64:
					want = v
				case string:
					if v != "Infinity" && v != "-Infinity" {
						if got.Defined() {
							t.Errorf("%s = %v, the tool says %s", key, got.Value, v)
						}
						continue
					}
					want, _ = strconv.ParseFloat(v, 64)
				}
				switch {
				case !ok:
					t.Errorf("%s has no measure", key)
				case !got.Defined() || !agree(got.Value, want, rtol):
					t.Errorf("%s = %v (%s), want %v, off by %g", key, got.Value, got.Undefined, want, got.Value-want)
				}
			}
		})
	}
}

// expectation is a number, "Infinity", "-Infinity" or {"undefined": reason}.
type expectation struct {
	value     float64
	undefined Reason
}

func (e *expectation) UnmarshalJSON(data []byte) error {
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case float64:
		e.value = v
	case string:
		f, err := strconv.ParseFloat(v, 64)
		e.value = f
		return err
	case map[string]any:
		why, ok := v["undefined"].(string)
		if !ok {
			return fmt.Errorf("no reason in %s", data)
		}
		e.undefined = Reason(why)
	default:
		return fmt.Errorf("cannot read %s", data)
	}
	return nil
}

func TestEdgeVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/edge_*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 22 {
		t.Fatalf("%d edge sets, want 22", len(files))
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			outcomes, risks := readVector(t, name)
			s, err := NewSample(outcomes, risks)
			var set struct{ Expected json.RawMessage }
			readJSON(t, name, &set)

			var whole struct{ Undefined Reason }
			if err := json.Unmarshal(set.Expected, &whole); err != nil {
				t.Fatal(err)
			}
			if whole.Undefined == InvalidInput {
				var input *InputError
				if !errors.As(err, &input) || input.Row < 0 {
					t.Errorf("error %v, want an InputError with a row", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if whole.Undefined != "" {
				for _, r := range everyMeasure(s) {
					if r.Undefined != whole.Undefined || r.Interval.Defined() {
						t.Errorf("got %+v, want undefined: %s", r, whole.Undefined)
					}
				}
				return
			}

			var expected map[string]expectation
			if err := json.Unmarshal(set.Expected, &expected); err != nil {
				t.Fatal(err)
			}
			m := measuresOf(t, s)
			for key, want := range expected {
				got, rtol, ok := m.byKey(t, key)
				switch {
				case !ok:
					t.Errorf("%s has no measure", key)
				case got.Undefined != want.undefined:
					t.Errorf("%s = %v, undefined %q, want %v, undefined %q", key, got.Value, got.Undefined, want.value, want.undefined)
				case got.Defined() && !agree(got.Value, want.value, rtol):
					t.Errorf("%s = %v, want %v", key, got.Value, want.value)
				}
			}
		})
	}
}

// everyMeasure returns all scalar measures of s.
func everyMeasure(s *Sample) []Result {
	rows, err := Table(s, Options{All: true, Thresholds: []float64{0.2}})
	if err != nil {
		panic(err) // of options alone
	}
	var all []Result
	for _, row := range rows {
		all = append(all, row.Result)
	}
	return all
}

func TestWilsonVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			X, N               int
			Wilson95, Wilson90 []float64
			WilsonCC95         []float64 `json:"wilson_cc95"`
			Clopper95          []float64
		}
	}
	readJSON(t, "wilson", &file)
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Cases {
		check := func(what string, of func(x, n int, level float64) (float64, float64), level float64, want []float64) {
			lower, upper := of(c.X, c.N, level)
			got := []float64{lower, upper}
			if !slices.EqualFunc(got, want, func(g, w float64) bool { return agree(g, w, closedForm) }) {
				t.Errorf("%s(%d, %d, %v) = %v, want %v", what, c.X, c.N, level, got, want)
			}
		}
		check("Wilson", Wilson, 0.95, c.Wilson95)
		check("Wilson", Wilson, 0.90, c.Wilson90)
		check("WilsonCorrected", WilsonCorrected, 0.95, c.WilsonCC95)
		check("ClopperPearson", ClopperPearson, 0.95, c.Clopper95)
	}
}

// million makes the sample of one million rows of big1e6.json. Risks are
// k/10000, so that each value is held by about a hundred rows.
func million(t testing.TB) *Sample {
	t.Helper()
	const n = 1_000_000
	state := uint64(20240607)
	next := func() uint64 { // splitmix64
		state += 0x9E3779B97F4A7C15
		v := state
		v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
		v = (v ^ v>>27) * 0x94D049BB133111EB
		return v ^ v>>31
	}
	outcomes, risks := make([]int, n), make([]float64, n)
	for i := range n {
		k := 1 + next()%9999
		risks[i] = float64(k) / 10000
		if next()%1_000_000_000 < 6*k*k+20_000_000 {
			outcomes[i] = 1
		}
	}
	return mustSample(t, outcomes, risks)
}

func TestMillionRows(t *testing.T) {
	if testing.Short() {
		t.Skip("sorts and fits a million rows")
	}
	racetest.Skip(t, "a million rows go through the code that TestVectors runs with it on few")
	s := million(t)
	var file struct {
		Events  int
		Metrics map[string]float64
	}
	readJSON(t, "big1e6", &file)
	if s.Events() != file.Events {
		t.Fatalf("%d events, want %d", s.Events(), file.Events)
	}
	m := measuresOf(t, s)
	slope := m.table["cal_slope"]
	for key, want := range file.Metrics {
		// R's glm is one step short of the maximum: the 80-bit values stand beside.
		if _, better := file.Metrics[key+"_longdouble"]; better || key == "cal_intercept_offset_se" {
			continue
		}
		got, rtol, ok := m.byKey(t, key)
		if !ok || !got.Defined() || !agree(got.Value, want, rtol) {
			t.Errorf("%s = %v (%s), want %v", key, got.Value, got.Undefined, want)
		}
	}
	for _, r := range []Result{slope, CalibrationIntercept(s), AUROC(s)} {
		if i := r.Interval; !i.Defined() || !(i.Lower < r.Value && r.Value < i.Upper) {
			t.Errorf("interval %+v around %v", i, r.Value)
		}
	}
}
