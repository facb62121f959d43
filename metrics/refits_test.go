package metrics

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

func mustRefits(t interface{ Fatal(...any) }, outcomes []int, risks ...[]float64) *Refits {
	r, err := NewRefits(outcomes, risks)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func find(t *testing.T, rows []Row, estimand, measure string) Row {
	t.Helper()
	for _, r := range rows {
		if r.Estimand == estimand && r.Measure == measure {
			return r
		}
	}
	t.Fatalf("no row %s, %s", estimand, measure)
	return Row{}
}

// rowsOf is the table of refits without the intervals that need resamples.
func rowsOf(t interface{ Fatal(...any) }, r *Refits, thresholds []float64) []Row {
	rows, err := RefitTable(r, Options{Thresholds: thresholds})
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRefitTableRows(t *testing.T) {
	r := mustRefits(t, []int{0, 1, 0, 1}, []float64{0.1, 0.4, 0.5, 0.8}, []float64{0.2, 0.3, 0.4, 0.9})
	type label struct{ Measure, Domain, Tier, Method string }
	want := []label{
		{"auroc", "discrimination", "recommended", DeLongLogit},
		{"brier", "overall", "not_essential", ""},
		{"scaled_brier", "overall", "not_essential", ""},
		{"cal_intercept_offset", "calibration", "not_essential", ProfileLikelihood},
		{"cal_slope", "calibration", "not_essential", ProfileLikelihood},
		{"oe_ratio", "calibration", "not_essential", LogScale},
		{"nb@0.05", "utility", "recommended", ""},
		{"nb@0.2", "utility", "recommended", ""},
		{"average_precision", "discrimination", "inadvisable", ""},
		{"logloss_mean", "overall", "not_essential", ""},
		{"class@0.05/sensitivity", "classification", "descriptive", WilsonScore},
		{"class@0.2/specificity", "classification", "descriptive", WilsonScore},
	}
	rows := rowsOf(t, r, []float64{0.05, 0.2})
	for _, estimand := range []string{OverModels, MeanRisk} {
		for _, w := range want {
			row := find(t, rows, estimand, w.Measure)
			if estimand == OverModels && w.Measure != "auroc" {
				w.Method = "" // only the AUROC has an interval over models without resamples
			}
			if got := (label{row.Measure, row.Domain, row.Tier, row.Interval.Method}); got != w {
				t.Errorf("%s: %+v, want %+v", estimand, got, w)
			}
			if w.Method == "" && row.Interval.Undefined != NotAvailable {
				t.Errorf("%s %s: interval %+v, want %s", estimand, w.Measure, row.Interval, NotAvailable)
			}
		}
	}
	for i, row := range rows {
		if (row.Spread != nil) != (row.Estimand == OverModels) {
			t.Errorf("row %d: spread %v under %s", i, row.Spread, row.Estimand)
		}
		if row.N != 4 || row.Events != 2 || row.Estimand == OverModels && !row.Defined() {
			t.Errorf("row %d: %+v", i, row.Result)
		}
	}
	// By hand: 3 and 3 of 4 pairs right; a median of two is their mean.
	if got := rows[0].Value; got != 0.75 {
		t.Errorf("mean AUROC %v, want 0.75", got)
	}
	oe := find(t, rows, OverModels, "oe_ratio")
	if want := (2/1.8 + 2/1.8) / 2; !agree(oe.Value, want, closedForm) || oe.Note != "median over 2 refits" {
		t.Errorf("median O:E %v (%s), want %v", oe.Value, oe.Note, want)
	}
	brier := find(t, rows, OverModels, "brier")
	a, b := (.01+.36+.25+.04)/4, (.04+.49+.16+.01)/4
	if !agree(brier.Value, (a+b)/2, closedForm) || !agree(brier.Spread.SD, math.Abs(a-b)/2, closedForm) ||
		!agree(brier.Spread.Lower, a+0.025*(b-a), closedForm) || !agree(brier.Spread.Upper, a+0.975*(b-a), closedForm) {
		t.Errorf("Brier %+v spread %+v of %v and %v", brier.Result, brier.Spread, a, b)
	}
}

// Refits without a slope are counted and left out of the median.
func TestUndefinedRefits(t *testing.T) {
	outcomes := []int{0, 1, 0, 1}
	overlap := []float64{0.1, 0.4, 0.5, 0.8}
	separated := []float64{0.1, 0.6, 0.2, 0.7}
	extreme := []float64{0, 0.6, 0.2, 0.7}
	zero := []float64{0, 0, 0, 0}

	rows := rowsOf(t, mustRefits(t, outcomes, overlap, separated, extreme, separated), nil)
	slope := find(t, rows, OverModels, "cal_slope")
	if want := CalibrationSlope(mustSample(t, outcomes, overlap)).Value; slope.Value != want || slope.Spread.NUndefined != 3 || slope.Spread.Undefined != TooFew {
		t.Errorf("slope %+v, spread %+v, want %v with 3 undefined", slope.Result, slope.Spread, want)
	}
	if slope.Note != "median over 4 refits, undefined in 3" {
		t.Errorf("note %q", slope.Note)
	}

	// All undefined: one reason, the same in any order of refits.
	for _, risks := range [][][]float64{{separated, extreme}, {extreme, separated}} {
		rows = rowsOf(t, mustRefits(t, outcomes, risks...), nil)
		slope = find(t, rows, OverModels, "cal_slope")
		if slope.Undefined != ExtremeRisk || slope.Spread.Undefined != ExtremeRisk || slope.Spread.NUndefined != 2 || slope.Interval.Undefined != ExtremeRisk {
			t.Errorf("slope %+v, spread %+v, want undefined: %s", slope.Result, slope.Spread, ExtremeRisk)
		}
	}

	// One refit has no spread, of whatever measure.
	for _, row := range rowsOf(t, mustRefits(t, outcomes, overlap), nil) {
		if row.Estimand == OverModels && (row.Spread.Undefined != TooFew || !strings.HasSuffix(row.Note, "over 1 refit")) {
			t.Errorf("%s of one refit: spread %+v, note %q", row.Measure, row.Spread, row.Note)
		}
	}

	// An infinite O:E keeps the median but has no spread.
	rows = rowsOf(t, mustRefits(t, outcomes, overlap, overlap, zero), nil)
	oe := find(t, rows, OverModels, "oe_ratio")
	if !agree(oe.Value, 2/1.8, closedForm) || oe.Spread.Undefined != ZeroDenominator || oe.Spread.NUndefined != 0 {
		t.Errorf("O:E %+v, spread %+v", oe.Result, oe.Spread)
	}

	// One class, or nobody: the same reason everywhere that needs two.
	for _, row := range rowsOf(t, mustRefits(t, []int{0, 0}, []float64{0.1, 0.4}), []float64{0.2}) {
		switch row.Measure {
		case "brier", "oe_ratio", "nb@0.2", "logloss_mean", "class@0.2/specificity":
			if !row.Defined() {
				t.Errorf("%s %s: %+v, want a value", row.Estimand, row.Measure, row.Result)
			}
		default:
			if row.Estimand == MeanRisk {
				break // tested by measure
			}
			if row.Undefined != OneClass {
				t.Errorf("%s %s: %+v, want undefined: %s", row.Estimand, row.Measure, row.Result, OneClass)
			}
		}
	}
	for _, row := range rowsOf(t, mustRefits(t, nil, []float64{}), []float64{0.2}) {
		if row.Undefined != Empty || row.Interval.Defined() {
			t.Errorf("%s %s: %+v, want undefined: %s", row.Estimand, row.Measure, row.Result, Empty)
		}
	}
}

func drawRefits(t *rapid.T, risk *rapid.Generator[float64]) *Refits {
	n := rapid.IntRange(1, 20).Draw(t, "n")
	outcomes := rapid.SliceOfN(rapid.IntRange(0, 1), n, n).Draw(t, "outcomes")
	risks := rapid.SliceOfN(rapid.SliceOfN(risk, n, n), 1, 6).Draw(t, "risks")
	return mustRefits(t, outcomes, risks...)
}

// The order of refits changes nothing, to the last bit: the median, the mean,
// the mean risk and all that is made of it.
func TestRefitOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRefits(t, rapid.Float64Range(0, 1))
		rows := rowsOf(t, r, []float64{0.1})
		shuffled := mustRefits(t, r.outcomes, rapid.Permutation(slices.Clone(r.risks)).Draw(t, "order")...)
		if diff := cmp.Diff(rows, rowsOf(t, shuffled, []float64{0.1})); diff != "" {
			t.Fatalf("the order of refits matters:\n%s", diff)
		}
	})
}

// With equal refits both estimands agree, and so does the AUROC's interval.
func TestEqualRefits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := drawSample(t, rapid.Float64Range(0, 1), 1)
		risks := make([][]float64, rapid.IntRange(1, 5).Draw(t, "refits"))
		for m := range risks {
			risks[m] = one.risks
		}
		r := mustRefits(t, one.outcomes, risks...)
		if diff := cmp.Diff(one.risks, r.Mean()); diff != "" {
			t.Fatalf("mean risk:\n%s", diff)
		}
		rows := rowsOf(t, r, []float64{0.1})
		for _, over := range rows {
			if over.Estimand == MeanRisk {
				break
			}
			k := slices.IndexFunc(rows, func(row Row) bool { return row.Estimand == MeanRisk && row.Measure == over.Measure })
			mean := rows[k]
			if over.Undefined != mean.Undefined || over.Defined() && !agree(over.Value, mean.Value, closedForm) {
				t.Fatalf("%s: %+v over models, %+v of the mean", over.Measure, over.Result, mean.Result)
			}
			if over.Measure == aurocKey {
				if diff := cmp.Diff(mean.Interval, over.Interval, cmpopts.EquateApprox(1e-12, 1e-12)); diff != "" {
					t.Fatalf("interval:\n%s", diff)
				}
			}
			if over.Spread.Undefined == "" && over.Spread.SD > 1e-15*(1+math.Abs(over.Value)) {
				t.Fatalf("%s: spread %+v", over.Measure, over.Spread)
			}
		}
	})
}

// The interval of the mean AUROC is DeLong's with the kernel averaged over refits.
func TestAveragedKernel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRefits(t, gridRisks)
		row := rowsOf(t, r, nil)[0]
		if r.events < 2 || len(r.outcomes)-r.events < 2 {
			if row.Interval.Defined() {
				t.Fatalf("interval %+v without two of a class", row.Interval)
			}
			return
		}
		a, v := naiveDeLong(r.outcomes, func(i, j int) (k float64) {
			for _, p := range r.risks {
				k += kernel(p[i], p[j]) / float64(r.Len())
			}
			return k
		})
		if !agree(row.Value, a, closedForm) {
			t.Fatalf("mean AUROC %v, want %v", row.Value, a)
		}
		if !row.Interval.Defined() {
			if v > 1e-15 && a*(1-a) > 1e-12 {
				t.Fatalf("no interval (%s) at AUROC %v, variance %v", row.Interval.Undefined, a, v)
			}
			return
		}
		half := 1.959963984540054 * math.Sqrt(v) / (a * (1 - a))
		if lower, upper := expit(logit(a)-half), expit(logit(a)+half); !agree(row.Interval.Lower, lower, 1e-9) || !agree(row.Interval.Upper, upper, 1e-9) {
			t.Fatalf("interval %+v, want %v to %v", row.Interval, lower, upper)
		}
	})
}

// A mean is rounded once: subjects whose refits give the same risks in another
// order stay tied, where a running sum would part them.
func TestMeanKeepsTies(t *testing.T) {
	risks := [][]float64{{0.1, 0.3}, {0.2, 0.2}, {0.3, 0.1}}
	var running [2]float64
	for _, r := range risks {
		running[0] += r[0]
		running[1] += r[1]
	}
	if running[0] == running[1] {
		t.Fatal("the example does not part the running sums")
	}
	mean := mustRefits(t, []int{0, 1}, risks...).Mean()
	if mean[0] != mean[1] || mean[0] != 0.2 {
		t.Errorf("means %v, want 0.2 twice", mean)
	}
	high := math.Nextafter(1, 0)
	many := make([][]float64, 1000)
	for m := range many {
		many[m] = []float64{high, 0.05}
	}
	if got := mustRefits(t, []int{0, 1}, many...).Mean(); got[0] != high || got[1] != 0.05 {
		t.Errorf("mean of equal risks %v, want them unchanged", got)
	}
}

// Equal refits are their mean: point estimates and, over subjects, the intervals
// agree with those of the mean risk.
func TestRefitTableOfEqualRefits(t *testing.T) {
	s := simulated(t, 80, 30, 1, 3)
	r, err := NewRefits(s.outcomes, [][]float64{s.risks, s.risks, s.risks})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := RefitTable(r, Options{Replicates: 400, Thresholds: []float64{0.2}})
	if err != nil {
		t.Fatal(err)
	}
	ofMean := map[string]Row{}
	for _, row := range rows {
		if row.Estimand == MeanRisk {
			ofMean[row.Measure] = row
		}
	}
	over := 0
	for _, row := range rows {
		if row.Estimand != OverModels {
			continue
		}
		over++
		want, ok := ofMean[row.Measure]
		if !ok || !agree(row.Value, want.Value, 1e-10) {
			t.Errorf("%s: %v over models, %v of the mean risk", row.Measure, row.Value, want.Value)
		}
		switch i := row.Interval; {
		case row.Measure == "auroc":
			if !agree(i.Lower, want.Interval.Lower, 1e-10) || !agree(i.Upper, want.Interval.Upper, 1e-10) {
				t.Errorf("auroc: %+v, want %+v", i, want.Interval)
			}
		case i.Method == BootstrapBCa:
			width := want.Interval.Upper - want.Interval.Lower
			if math.Abs(i.Lower-want.Interval.Lower) > 0.2*width || math.Abs(i.Upper-want.Interval.Upper) > 0.2*width {
				t.Errorf("%s: %+v, of the mean risk %+v", row.Measure, i, want.Interval)
			}
		}
	}
	if over != 11 {
		t.Errorf("%d rows over models", over)
	}
}

// The mean average precision in a resample is the mean of the refits', for any
// number of subjects that a part of a word has to count.
func TestPrecisionOverModels(t *testing.T) {
	for _, n := range []int{12, 63, 300} {
		stream := resample.NewStream(9, uint64(n))
		const refits, replicates = 5, 21
		outcomes, risks := make([]int, n), make([][]float64, refits)
		for i := range n / 3 {
			outcomes[3*i] = 1
		}
		for m := range risks {
			for i := range n {
				risks[m] = append(risks[m], float64(stream.Intn(n/2)+outcomes[i])/float64(n)) // ties
			}
		}
		r, err := NewRefits(outcomes, risks)
		if err != nil {
			t.Fatal(err)
		}
		var rankings []ranking
		want, wantLeft := make([]float64, replicates), [2][]float64{make([]float64, n-n/3), make([]float64, n/3)}
		for m := range risks {
			s := r.sample(m)
			rankings = append(rankings, newRanking(s))
			b, err := NewBootstrap(s, StatisticAveragePrecision)
			if err != nil {
				t.Fatal(err)
			}
			for rep, v := range b.Draw(replicates, 3, Stratified).Values(0) {
				want[rep] += v / refits
			}
			for y, group := range b.Jackknife(Stratified)[0] {
				for i, v := range group {
					wantLeft[y][i] += v / refits
				}
			}
		}
		got, left := newPrecisions(rankings, n).bootstrap(r.strata(), 3, replicates)
		near := func(got, want []float64) bool {
			return slices.EqualFunc(got, want, func(g, w float64) bool { return agree(g, w, 1e-13) })
		}
		if !near(got, want) || !near(left[0], wantLeft[0]) || !near(left[1], wantLeft[1]) {
			t.Errorf("n %d: replicates %v, want %v; left out %v, want %v", n, got, want, left, wantLeft)
		}

		rows, err := RefitTable(r, Options{Replicates: 200, Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		k := slices.IndexFunc(rows, func(row Row) bool { return row.Measure == "average_precision" })
		if i := rows[k].Interval; i.Method != BootstrapBCa || !(i.Lower < rows[k].Value && rows[k].Value < i.Upper) {
			t.Errorf("n %d: interval %+v around %v", n, i, rows[k].Value)
		}
	}
}
