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
)

// Relative tolerances of the vectors; the absolute one is 1e-12.
const (
	closedForm = 1e-12
	fitted     = 1e-10
)

func agree(got, want, rtol float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+rtol*math.Abs(want)
}

// readVector reads a set of rows. A label that is no integer becomes one that
// is no outcome.
func readVector(t *testing.T, name string) (outcomes []int, risks []float64) {
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

func readVectorSample(t *testing.T, name string) *Sample {
	t.Helper()
	s, err := NewSample(readVector(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

func readJSON(t *testing.T, name string, v any) {
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

// measureByKey computes what a key of the vectors names; ok is false for
// measures that the package does not have.
func measureByKey(t *testing.T, s *Sample, key string) (got Result, rtol float64, ok bool) {
	t.Helper()
	lower := strings.HasSuffix(key, "_lo95") || strings.HasSuffix(key, "_lo")
	switch key {
	case "auroc", "c_index_hmisc", "auroc_ci95_delong_mid":
		return AUROC(s), closedForm, true
	case "auroc_delong_var":
		return DeLongVariance(s), closedForm, true
	case "auroc_ci95":
		return limit(AUROC(s), true), closedForm, true
	case "somers_dxy":
		return number(2*AUROC(s).Value - 1), closedForm, true
	case "brier":
		return Brier(s), closedForm, true
	case "scaled_brier":
		return ScaledBrier(s), closedForm, true
	case "discrimination_slope":
		return DiscriminationSlope(s), closedForm, true
	case "oe_ratio":
		return OE(s), closedForm, true
	case "oe_ci95_lo", "oe_ci95_hi":
		return limit(OE(s), lower), closedForm, true
	case "cal_intercept_offset":
		return CalibrationIntercept(s), fitted, true
	case "cal_intercept_offset_profile_lo95", "cal_intercept_offset_profile_hi95":
		return limit(CalibrationIntercept(s), lower), fitted, true
	case "cal_intercept_offset_se":
		var w workspace
		_, se := w.intercept(s)
		return number(se), fitted, true
	case "cal_slope":
		return CalibrationSlope(s), fitted, true
	case "cal_slope_profile_lo95", "cal_slope_profile_hi95":
		return limit(CalibrationSlope(s), lower), fitted, true
	case "cal_joint_intercept":
		_, intercept := JointCalibration(s)
		return intercept, fitted, true
	case "cal_slope_se", "cal_joint_intercept_se":
		var w workspace
		f, why := w.fitSlope(s)
		if why != "" {
			return Result{Undefined: why}, fitted, true
		}
		if key == "cal_slope_se" {
			return number(math.Sqrt(f.varB) / f.scale), fitted, true
		}
		d := -f.centre/f.scale - f.meanX
		return number(math.Sqrt(1/f.mass + d*d*f.varB)), fitted, true
	}

	measure, rest, at := strings.Cut(key, "@")
	if !at {
		return Result{}, 0, false
	}
	at1, name, _ := strings.Cut(rest, "/")
	at1, suffix, _ := strings.Cut(at1, "_")
	threshold := s.prevalence()
	if at1 != "prev" {
		var err error
		if threshold, err = strconv.ParseFloat(at1, 64); err != nil {
			return Result{}, 0, false // expected_cost@9:1
		}
	}
	switch measure + "@/" + name + suffix {
	case "nb@/", "class@/nb":
		return NetBenefit(s, threshold), closedForm, true
	case "nb_all@/", "class@/nb_all":
		return NetBenefitAll(s, threshold), closedForm, true
	case "class@/sensitivity":
		return Sensitivity(s, threshold), closedForm, true
	case "class@/specificity":
		return Specificity(s, threshold), closedForm, true
	case "class@/tp", "class@/fp", "class@/tn", "class@/fn":
		tp, fp := positives(s, threshold)
		count := map[string]int{"tp": tp, "fp": fp, "tn": s.controls() - fp, "fn": s.events - tp}
		return number(float64(count[name])), closedForm, true
	case "sens@/wilson_lo95", "sens@/wilson_hi95":
		return limit(Sensitivity(s, threshold), lower), closedForm, true
	case "spec@/wilson_lo95", "spec@/wilson_hi95":
		return limit(Specificity(s, threshold), lower), closedForm, true
	}
	return Result{}, 0, false
}

func TestVectors(t *testing.T) {
	for _, name := range []string{"plr_like_n208", "imbalanced_1pct_n5000", "ties_grid_n300"} {
		t.Run(name, func(t *testing.T) {
			s := readVectorSample(t, name)
			var file struct{ Metrics map[string]any }
			readJSON(t, name, &file)
			compared := 0
			for key, v := range file.Metrics {
				want, isNumber := v.(float64)
				got, rtol, ok := measureByKey(t, s, key)
				if !ok || !isNumber {
					continue
				}
				compared++
				if !got.Defined() || !agree(got.Value, want, rtol) {
					t.Errorf("%s = %v (%s), want %v, off by %g", key, got.Value, got.Undefined, want, got.Value-want)
				}
			}
			// The number of keys that the package has measures for: a renamed key
			// must not drop out of the comparison.
			if want := 77; compared != want {
				t.Errorf("compared %d keys, want %d", compared, want)
			}
		})
	}
}

// The bins of the curve agree with those of scikit-learn, and through them the
// expected and maximum calibration errors that are made of such bins.
func TestCalibrationBinsVectors(t *testing.T) {
	for _, name := range []string{"plr_like_n208", "imbalanced_1pct_n5000", "ties_grid_n300"} {
		s := readVectorSample(t, name)
		var file struct{ Metrics map[string]any }
		readJSON(t, name, &file)
		check := func(key string, got float64) {
			t.Helper()
			want, ok := file.Metrics[key].(float64)
			if !ok || !agree(got, want, closedForm) {
				t.Errorf("%s: %s = %v, want %v", name, key, got, file.Metrics[key])
			}
		}
		for _, n := range []int{3, 10, 15} {
			var ece, mce float64
			for _, b := range CalibrationBins(s, n) {
				if b.N > 0 {
					gap := math.Abs(b.Predicted - b.Observed)
					ece += float64(b.N) / float64(s.N()) * gap
					mce = max(mce, gap)
				}
			}
			check(fmt.Sprintf("ece_width_b%d", n), ece)
			check(fmt.Sprintf("mce_width_b%d", n), mce)
		}
		i := 0 // the tool leaves empty bins out
		for _, b := range CalibrationBins(s, 10) {
			if b.N > 0 {
				check(fmt.Sprintf("calcurve_uniform10_n_%02d", i), float64(b.N))
				check(fmt.Sprintf("calcurve_uniform10_pred_%02d", i), b.Predicted)
				check(fmt.Sprintf("calcurve_uniform10_true_%02d", i), b.Observed)
				i++
			}
		}
		if extra, ok := file.Metrics[fmt.Sprintf("calcurve_uniform10_n_%02d", i)]; ok {
			t.Errorf("%s: bin %d with %v rows is missing", name, i, extra)
		}
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
			compared := 0
			for key, want := range expected {
				got, rtol, ok := measureByKey(t, s, key)
				if !ok {
					continue
				}
				compared++
				switch {
				case got.Undefined != want.undefined:
					t.Errorf("%s = %v, undefined %q, want %v, undefined %q", key, got.Value, got.Undefined, want.value, want.undefined)
				case got.Defined() && !agree(got.Value, want.value, rtol):
					t.Errorf("%s = %v, want %v", key, got.Value, want.value)
				}
			}
			if compared < 17 {
				t.Errorf("compared %d keys, want at least 17", compared)
			}
		})
	}
}

// everyMeasure returns all scalar measures of s.
func everyMeasure(s *Sample) []Result {
	slope, intercept := JointCalibration(s)
	return []Result{
		AUROC(s), DeLongVariance(s), Brier(s), ScaledBrier(s), DiscriminationSlope(s), OE(s),
		CalibrationIntercept(s), CalibrationSlope(s), slope, intercept,
		NetBenefit(s, 0.2), NetBenefitAll(s, 0.2), Sensitivity(s, 0.2), Specificity(s, 0.2),
	}
}

func TestWilsonVectors(t *testing.T) {
	var file struct {
		Cases []struct {
			X, N               int
			Wilson95, Wilson90 []float64
		}
	}
	readJSON(t, "wilson", &file)
	if len(file.Cases) == 0 {
		t.Fatal("no cases")
	}
	for _, c := range file.Cases {
		for level, want := range map[float64][]float64{0.95: c.Wilson95, 0.90: c.Wilson90} {
			lower, upper := Wilson(c.X, c.N, level)
			got := []float64{lower, upper}
			if !slices.EqualFunc(got, want, func(g, w float64) bool { return agree(g, w, closedForm) }) {
				t.Errorf("Wilson(%d, %d, %v) = %v, want %v", c.X, c.N, level, got, want)
			}
		}
	}
}

// million makes the sample of one million rows of big1e6.json. Risks are
// k/10000, so that each value is held by about a hundred rows.
func million(t *testing.T) *Sample {
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
	s := million(t)
	var file struct {
		Events  int
		Metrics map[string]float64
	}
	readJSON(t, "big1e6", &file)
	if s.Events() != file.Events {
		t.Fatalf("%d events, want %d", s.Events(), file.Events)
	}
	slope, joint := JointCalibration(s)
	for key, got := range map[string]Result{
		"auroc":                           AUROC(s),
		"auroc_delong_var":                DeLongVariance(s),
		"brier":                           Brier(s),
		"oe_ratio":                        OE(s),
		"nb@0.05":                         NetBenefit(s, 0.05),
		"nb@0.5":                          NetBenefit(s, 0.5),
		"cal_intercept_offset_longdouble": CalibrationIntercept(s),
		"cal_slope_longdouble":            slope,
		"cal_joint_intercept_longdouble":  joint,
	} {
		want, ok := file.Metrics[key]
		if !ok || !got.Defined() || !agree(got.Value, want, 1e-10) {
			t.Errorf("%s = %v (%s), want %v", key, got.Value, got.Undefined, want)
		}
	}
	for _, r := range []Result{slope, CalibrationIntercept(s), AUROC(s)} {
		if i := r.Interval; !i.Defined() || !(i.Lower < r.Value && r.Value < i.Upper) {
			t.Errorf("interval %+v around %v", i, r.Value)
		}
	}
}
