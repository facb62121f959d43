package metrics

import (
	"bufio"
	"encoding/csv"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// readNumbers reads lines of numbers.
func readNumbers(t testing.TB, name, separator string, skip int) [][]float64 {
	t.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	var all [][]float64
	for lines.Scan() {
		if skip > 0 {
			skip--
			continue
		}
		var row []float64
		for _, field := range strings.Split(strings.TrimSpace(lines.Text()), separator) {
			v, err := strconv.ParseFloat(field, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			row = append(row, v)
		}
		all = append(all, row)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func givenRows(t testing.TB) [][]int {
	var rows [][]int
	for _, line := range readNumbers(t, "boot_plr_like_n208.indices.txt", " ", 0) {
		drawn := make([]int, len(line))
		for i, v := range line {
			drawn[i] = int(v)
		}
		rows = append(rows, drawn)
	}
	return rows
}

// With the resamples of R's boot, each statistic of each replicate is R's, and so
// are the intervals: boot's by its own interpolation and its count of replicates
// strictly below the estimate, SciPy's BCa by type 7 and midranks.
func TestBootstrapVectors(t *testing.T) {
	s := readVectorSample(t, "plr_like_n208")
	statistics := []Statistic{
		StatisticAUROC, StatisticBrier, StatisticScaledBrier, StatisticSlope, StatisticIntercept, StatisticOE, StatisticNetBenefit(0.1),
	}
	b, err := NewBootstrap(s, statistics...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Given(givenRows(t))
	if err != nil {
		t.Fatal(err)
	}
	want := readNumbers(t, "boot_plr_like_n208.replicates.txt", ",", 1)
	if len(want) != 300 {
		t.Fatalf("%d replicates", len(want))
	}
	for rep, row := range want {
		for k, w := range row {
			rtol := closedForm
			if statistics[k].refit {
				rtol = fitted
			}
			if v := got.Values(k)[rep]; !agree(v, w, rtol) {
				t.Fatalf("replicate %d: %s = %v, want %v", rep+1, statistics[k].Key, v, w)
			}
		}
	}

	var file struct {
		Stats map[string]struct {
			T0     float64
			Type7  [2]float64 `json:"pct_type7_95"`
			A      float64    `json:"jackknife_acceleration"`
			Normal [2]float64 `json:"boot_ci_normal"`
			Basic  [2]float64 `json:"boot_ci_basic"`
			Perc   [2]float64 `json:"boot_ci_perc"`
			BCa    [2]float64 `json:"boot_ci_bca_jackL"`
			SciPy  *struct {
				CI [2]float64 `json:"ci95"`
			} `json:"scipy_bca"`
		}
	}
	readJSON(t, "boot_plr_like_n208", &file)
	jackknife := b.Jackknife(Plain)
	for k, name := range []string{"auroc", "brier", "scaled_brier", "cal_slope", "cal_intercept_offset", "oe", "nb10"} {
		st, known := file.Stats[name]
		if !known {
			t.Fatalf("no %s", name)
		}
		// R's numbers are printed with 15 digits, and its fits end at 1e-14.
		const printed = 1e-10
		if a, err := resample.Acceleration(jackknife[k]); err != nil || !agree(a, st.A, 1e-8) {
			t.Errorf("%s: acceleration %v (%v), want %v", name, a, err, st.A)
		}
		check := func(what string, o resample.Options, want [2]float64, rtol float64) {
			t.Helper()
			o.Level = 0.95
			i := got.Interval(k, jackknife, o)
			if !i.Defined() || !agree(i.Lower, want[0], rtol) || !agree(i.Upper, want[1], rtol) {
				t.Errorf("%s: %s %+v, want %v", name, what, i, want)
			}
		}
		boot := func(m resample.Method) resample.Options {
			return resample.Options{Method: m, Interpolation: resample.NormalScale, Bias: resample.Below}
		}
		check("normal", boot(resample.Normal), st.Normal, printed)
		check("basic", boot(resample.Basic), st.Basic, printed)
		check("percentile", boot(resample.Percentile), st.Perc, printed)
		check("BCa", boot(resample.BCa), st.BCa, printed)
		check("percentile of type 7", resample.Options{Method: resample.Percentile}, st.Type7, printed)
		if st.SciPy != nil {
			check("SciPy's BCa", resample.Options{Method: resample.BCa}, st.SciPy.CI, printed)
		}
	}
}

func TestGivenRefusesRows(t *testing.T) {
	b, err := NewBootstrap(mustSample(t, []int{0, 1}, []float64{0.1, 0.2}), StatisticBrier)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Given([][]int{{0, 1}, {0, 2}}); err == nil || !strings.Contains(err.Error(), "replicate 2 draws row 3 of 2") {
		t.Errorf("error %v", err)
	}
}

// Weights are repetitions: a statistic of a resample is that of the sample made
// of the drawn rows.
func TestWeightsAreRepetitions(t *testing.T) {
	statistics := []Statistic{
		StatisticAUROC, StatisticAveragePrecision, StatisticBrier, StatisticScaledBrier, StatisticLogLoss, StatisticMcFadden,
		StatisticCoxSnell, StatisticNagelkerke, StatisticDiscrimination, StatisticMeanAbsoluteError, StatisticOE,
		StatisticIntercept, StatisticSlope, StatisticNetBenefit(0.25), StatisticStandardisedNetBenefit(0.5),
		StatisticECEQuantile(10), StatisticECEQuantile(5), StatisticECEWidth(3), StatisticECEWidth(10), StatisticMCEWidth(10),
		StatisticICI, StatisticE50, StatisticE90, StatisticEmax, StatisticECI, StatisticECI100,
	}
	for _, name := range []string{"balanced_accuracy", "youden", "kappa", "f1", "mcc"} {
		st, err := StatisticClass(name, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		statistics = append(statistics, st)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 1)
		rows := rapid.SliceOfN(rapid.IntRange(0, s.N()-1), s.N(), s.N()).Draw(t, "rows")
		again := remake(t, s, func(i int) (int, float64) { return s.outcomes[rows[i]], s.risks[rows[i]] })
		b, err := NewBootstrap(s, statistics...)
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Given([][]int{rows})
		if err != nil {
			t.Fatal(err)
		}
		table, err := Table(again, Options{All: true, Thresholds: []float64{0.25, 0.5}})
		if err != nil {
			t.Fatal(err)
		}
		for k, st := range statistics {
			at := slices.IndexFunc(table, func(r Row) bool { return r.Measure == st.Key })
			want, v := table[at].Result, got.Values(k)[0]
			// A sample with a risk of 0 or 1 has no logits in any resample.
			if st.refit && b.logits == nil && want.Undefined != ExtremeRisk {
				continue
			}
			tolerance := 1e-9
			if st.curve { // where risks lie close together a loess loses digits
				tolerance = 1e-6
			}
			if want.Defined() == math.IsNaN(v) || want.Defined() && !agree(v, want.Value, tolerance) {
				t.Fatalf("%s of the resample %v, of its rows %+v", st.Key, v, want)
			}
		}
	})
}

// A replicate depends on the seed and its number, and not on how many processors
// or which statistics there are.
func TestReplicatesAreReproducible(t *testing.T) {
	s := readVectorSample(t, "ties_grid_n300")
	draw := func(scheme Scheme, n int, statistics ...Statistic) []float64 {
		b, err := NewBootstrap(s, statistics...)
		if err != nil {
			t.Fatal(err)
		}
		return b.Draw(n, 7, scheme).Values(0)
	}
	for _, scheme := range []Scheme{Plain, Stratified} {
		first := draw(scheme, 100, StatisticBrier)
		if diff := cmp.Diff(first, draw(scheme, 300, StatisticBrier, StatisticSlope, StatisticAUROC)[:100]); diff != "" {
			t.Errorf("replicates differ:\n%s", diff)
		}
		if slices.Max(first) == slices.Min(first) {
			t.Error("replicates do not vary")
		}
	}
}

func TestBootstrapDoesNotAllocate(t *testing.T) {
	b, err := NewBootstrap(readVectorSample(t, "plr_like_n208"), StatisticAUROC, StatisticBrier, StatisticSlope, StatisticNetBenefit(0.1))
	if err != nil {
		t.Fatal(err)
	}
	y := b.newTally()
	stream := resample.NewStream(1, 2)
	if n := testing.AllocsPerRun(20, func() {
		resample.Draw(&stream, y.counts)
		y.measure()
	}); n > 0.5 { // the first may grow buffers
		t.Errorf("%v allocations for a replicate", n)
	}
}

func TestTableIntervals(t *testing.T) {
	s := readVectorSample(t, "plr_like_n208")
	rows, err := Table(s, Options{Replicates: 200, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	byBootstrap := 0
	for _, r := range rows {
		i := r.Interval
		if i.Method == BootstrapBCa {
			byBootstrap++
		}
		if i.Defined() && !(i.Lower <= r.Value && r.Value <= i.Upper) {
			t.Errorf("%s: %v is outside %+v", r.Measure, r.Value, i)
		}
	}
	if byBootstrap < 20 {
		t.Errorf("%d intervals by bootstrap", byBootstrap)
	}
	for _, o := range []Options{{Thresholds: []float64{1}}, {Replicates: 1}, {Costs: []Cost{{-1, 1}}}} {
		if _, err := Table(s, o); err == nil {
			t.Errorf("no error of %+v", o)
		}
	}
}

func TestDeLongVectors(t *testing.T) {
	f, err := os.Open("testdata/delong_own.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []int
	risks := make([][]float64, 3)
	for _, row := range rows[1:] {
		y, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		outcomes = append(outcomes, y)
		for k := range risks {
			p, err := strconv.ParseFloat(row[k+1], 64)
			if err != nil {
				t.Fatal(err)
			}
			risks[k] = append(risks[k], p)
		}
	}
	type pair struct{ AUC1, AUC2, Var1, Var2, Cov, Z, P, D, DF float64 }
	var file struct {
		AB       pair `json:"a_vs_b"`
		AC       pair `json:"a_vs_c"`
		BC       pair `json:"b_vs_c"`
		AA       pair `json:"a_vs_a"`
		Unpaired pair
	}
	readJSON(t, "delong_own", &file)
	sample := func(k, from, to int) *Sample { return mustSample(t, outcomes[from:to], risks[k][from:to]) }
	n := len(outcomes)
	for _, test := range []struct {
		a, b int
		want pair
	}{{0, 1, file.AB}, {0, 2, file.AC}, {1, 2, file.BC}, {0, 0, file.AA}} {
		got, err := CompareAUROCs(sample(test.a, 0, n), sample(test.b, 0, n))
		if err != nil || !got.Defined() {
			t.Fatal(got, err)
		}
		for what, v := range map[string][2]float64{
			"A": {got.A, test.want.AUC1}, "B": {got.B, test.want.AUC2}, "VarianceA": {got.VarianceA, test.want.Var1},
			"VarianceB": {got.VarianceB, test.want.Var2}, "Covariance": {got.Covariance, test.want.Cov},
			"z": {got.Statistic, test.want.Z}, "p": {got.P, test.want.P},
		} {
			if math.Abs(v[0]-v[1]) > 1e-12*math.Abs(v[1]) {
				t.Errorf("%d against %d: %s = %v, want %v", test.a, test.b, what, v[0], v[1])
			}
		}
	}
	got := CompareUnpairedAUROCs(sample(0, 0, 120), sample(1, 120, n))
	if !agree(got.Statistic, file.Unpaired.D, closedForm) || !agree(got.DF, file.Unpaired.DF, closedForm) || !agree(got.P, file.Unpaired.P, closedForm) {
		t.Errorf("unpaired %+v, want %+v", got, file.Unpaired)
	}
	flipped := slices.Clone(outcomes)
	flipped[4] = 1 - flipped[4]
	if _, err := CompareAUROCs(sample(0, 0, n), mustSample(t, flipped, risks[1])); err == nil || !strings.Contains(err.Error(), "row 5") {
		t.Errorf("error %v, want one that names row 5", err)
	}
}

// The intervals of calibration errors contain their estimates, do not leave their
// range, and are no percentiles.
func TestCalibrationErrorIntervals(t *testing.T) {
	s := readVectorSample(t, "plr_like_n208")
	rows, err := Table(s, Options{Replicates: 400, Seed: 1, All: true})
	if err != nil {
		t.Fatal(err)
	}
	var seen int
	for _, row := range rows {
		smoothed := strings.HasPrefix(row.Measure, string(LoessDirect))
		if !smoothed && !strings.HasPrefix(row.Measure, "ece_") && !strings.HasPrefix(row.Measure, "mce_") {
			continue
		}
		seen++
		switch i := row.Interval; {
		case !i.Defined():
			if i.Undefined != NotAvailable || smoothed {
				t.Errorf("%s: %+v", row.Measure, row)
			}
		case i.Method != BootstrapBiasCorrected || i.Lower < 0 || i.Lower > row.Value || i.Upper < row.Value:
			t.Errorf("%s: interval %+v around %v", row.Measure, i, row.Value)
		}
	}
	if seen != 14 {
		t.Errorf("%d calibration errors, want 14", seen)
	}

	// Perfectly calibrated in the sample: every resample is farther from it.
	risks := []float64{0.25, 0.25, 0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75}
	b, err := NewBootstrap(mustSample(t, []int{0, 0, 0, 1, 0, 1, 0, 1, 1, 1}, risks), StatisticECEWidth(4))
	if err != nil {
		t.Fatal(err)
	}
	drawn := b.Draw(400, 1, Stratified)
	if i := drawn.Interval(0, nil, resample.Options{Method: resample.Normal, Level: Level}); b.Estimate(0).Value != 0 || i.Defined() && !(i.Lower == 0 && i.Upper >= 0) {
		t.Errorf("interval %+v of %v", i, b.Estimate(0).Value)
	}
	if i := drawn.Interval(0, nil, resample.Options{Method: resample.Percentile, Level: Level}); i.Undefined != NotAvailable {
		t.Errorf("a calibration error has percentiles: %+v", i)
	}
	if i := biasCorrected([]float64{0.2, 0.3, 0.4}, 0.1, -0.2, 0.3, 1, Level); i.Undefined != NotAvailable {
		t.Errorf("an estimate below all replicates has the interval %+v", i)
	}
}

func TestCalibrationBand(t *testing.T) {
	s := readVectorSample(t, "plr_like_n208")
	grid := CurveGrid(s)
	band, err := CalibrationBand(s, grid, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	points, why := CalibrationCurve(s, LoessDirect, grid)
	if why != "" {
		t.Fatal(why)
	}
	var width, normal float64
	for i, p := range points {
		b := band[i]
		observed := min(1, max(0, p.Observed))
		if b.Method != BootstrapPercentile || !(b.Lower <= observed && observed <= b.Upper) || b.Lower < 0 || b.Upper > 1 {
			t.Errorf("band %+v around %v at %v", b, p.Observed, p.Risk)
		}
		width += b.Upper - b.Lower
		normal += p.Upper - p.Lower
	}
	// The band of the residual scale takes all outcomes to vary alike.
	if ratio := width / normal; ratio < 0.7 || ratio > 1.4 {
		t.Errorf("the band is %v times as wide as that of the residual scale", ratio)
	}
	again, err := CalibrationBand(s, grid[50:51], 300, 1)
	if err != nil || again[0] != band[50] {
		t.Errorf("band of one point %+v (%v), among others %+v", again, err, band[50])
	}
	for _, bad := range []func() ([]Interval, error){
		func() ([]Interval, error) { return CalibrationBand(s, []float64{0.2, 0.1}, 300, 1) },
		func() ([]Interval, error) { return CalibrationBand(s, []float64{math.NaN()}, 300, 1) },
		func() ([]Interval, error) { return CalibrationBand(s, grid, 1, 1) },
	} {
		if _, err := bad(); err == nil {
			t.Error("no error")
		}
	}
	for why, s := range map[Reason]*Sample{
		OneClass:     mustSample(t, []int{0, 0, 0, 0}, []float64{0.1, 0.2, 0.3, 0.4}),
		ConstantRisk: mustSample(t, []int{0, 0, 1, 1}, []float64{0.1, 0.1, 0.1, 0.1}),
		TooFew:       mustSample(t, []int{0, 1}, []float64{0.1, 0.2}),
	} {
		if band, err := CalibrationBand(s, []float64{0.1}, 10, 1); err != nil || band[0].Undefined != why {
			t.Errorf("band %+v (%v), want %s", band, err, why)
		}
	}
}

func TestDecisionBand(t *testing.T) {
	s := readVectorSample(t, "plr_like_n208")
	thresholds := []float64{0.05, 0.2, 0.5, 1}
	band, err := DecisionBand(s, thresholds, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range DecisionCurve(s, thresholds[:3]) {
		if b := band[i]; b.Method != BootstrapPercentile || !(b.Lower < p.Model && p.Model < b.Upper) {
			t.Errorf("band %+v around %v", b, p.Model)
		}
	}
	if band[3].Undefined != ZeroDenominator {
		t.Errorf("band at 1: %+v", band[3])
	}
	if _, err := DecisionBand(s, thresholds, 1, 1); err == nil {
		t.Error("no error of one replicate")
	}
}
