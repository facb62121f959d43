package metrics

import (
	"math"
	"testing"
)

// Values that follow from the definitions.
func TestScaledBrierFacts(t *testing.T) {
	for _, test := range []struct {
		outcomes []int
		risks    []float64
		want     float64
	}{
		{[]int{0, 0, 0, 1, 1, 1}, []float64{0, 0, 0, 1, 1, 1}, 1},
		{[]int{0, 0, 1, 1}, []float64{0.5, 0.5, 0.5, 0.5}, 0},
		{[]int{0, 0, 1, 1}, []float64{0.2, 0.3, 0.7, 0.8}, 0.74},
		{[]int{0, 0, 1, 1}, []float64{0.9, 0.9, 0.1, 0.1}, -2.24},
	} {
		r := ScaledBrier(mustSample(t, test.outcomes, test.risks))
		if !r.Defined() || !agree(r.Value, test.want, closedForm) {
			t.Errorf("scaled Brier of %v = %+v, want %v", test.risks, r, test.want)
		}
		if r.Interval.Undefined != NotAvailable {
			t.Errorf("interval %+v, want none without a bootstrap", r.Interval)
		}
	}
}

func TestNetBenefit(t *testing.T) {
	for _, test := range []struct {
		outcomes []int
		risks    []float64
		t, want  float64
	}{
		{[]int{0, 0, 0, 0, 1, 1, 1, 1}, []float64{0, 0, 0, 0, 1, 1, 1, 1}, 0.5, 0.5},
		{[]int{0, 0, 0, 0, 1, 1}, []float64{1, 1, 1, 1, 1, 1}, 0.2, 1. / 6},
		{[]int{0, 0, 1, 1}, []float64{0, 0, 0, 0}, 0.5, 0},
		{[]int{0, 0, 0, 0, 0, 0, 0, 0, 0, 1}, []float64{.9, .9, .9, .9, .9, .9, .9, .9, .9, .1}, 0.5, -0.9},
	} {
		if r := NetBenefit(mustSample(t, test.outcomes, test.risks), test.t); !agree(r.Value, test.want, closedForm) || !r.Defined() {
			t.Errorf("net benefit of %v at %v = %+v, want %v", test.risks, test.t, r, test.want)
		}
	}
	s := mustSample(t, []int{0, 1}, []float64{0.2, 0.6})
	for threshold, why := range map[float64]Reason{
		0: InvalidInput, -0.1: InvalidInput, 1.5: InvalidInput, math.Inf(1): InvalidInput, 1: ZeroDenominator,
	} {
		for _, r := range []Result{NetBenefit(s, threshold), NetBenefitAll(s, threshold)} {
			if r.Undefined != why {
				t.Errorf("net benefit at %v = %+v, want undefined: %s", threshold, r, why)
			}
		}
	}
	for _, r := range []Result{NetBenefit(s, math.NaN()), NetBenefitAll(s, math.NaN()), Classify(s, math.NaN()).Sensitivity(), Classify(s, math.NaN()).Specificity()} {
		if r.Undefined != InvalidInput {
			t.Errorf("at NaN: %+v, want undefined: %s", r, InvalidInput)
		}
	}
}

func TestOEEdges(t *testing.T) {
	none := []int{0, 0}
	zero := []float64{0, 0}
	for _, test := range []struct {
		outcomes  []int
		risks     []float64
		value     float64
		undefined Reason
		interval  Reason
	}{
		{none, zero, 0, ZeroDenominator, ZeroDenominator},
		{[]int{0, 1}, zero, math.Inf(1), "", ZeroDenominator},
		{none, []float64{0.1, 0.4}, 0, "", OneClass},
		{[]int{1, 1}, []float64{0.1, 0.4}, 4, "", ZeroVariance},
		{[]int{0, 1}, []float64{0.1, 0.4}, 2, "", ""},
	} {
		r := OE(mustSample(t, test.outcomes, test.risks))
		if r.Undefined != test.undefined || r.Interval.Undefined != test.interval || r.Defined() && !agree(r.Value, test.value, closedForm) {
			t.Errorf("O:E of %v, %v = %+v, want %+v", test.outcomes, test.risks, r, test)
		}
	}
}

// Reasons have an order: a missing class comes before logits that do not
// exist, and those before a missing slope.
func TestReasonPrecedence(t *testing.T) {
	for _, test := range []struct {
		outcomes []int
		risks    []float64
		want     Reason
	}{
		{[]int{0, 0}, []float64{0, 1}, OneClass},
		{[]int{0, 1}, []float64{1, 1}, ExtremeRisk},
		{[]int{0, 1}, []float64{0, 1}, ExtremeRisk},
		{[]int{0, 1}, []float64{0.4, 0.4}, ConstantRisk},
		{[]int{0, 1, 0, 1}, []float64{0.2, 0.4, 0.4, 0.4}, Separated},
		{[]int{1, 0, 1, 0}, []float64{0.2, 0.4, 0.4, 0.4}, Separated},
		{[]int{0, 0, 1}, []float64{0.2, 0.4, 0.3}, ""},
	} {
		if r := CalibrationSlope(mustSample(t, test.outcomes, test.risks)); r.Undefined != test.want {
			t.Errorf("slope of %v, %v = %+v, want undefined: %q", test.outcomes, test.risks, r, test.want)
		}
	}
}

// Classes that overlap by one part in 10^12 are not separated: the slope is
// large but finite.
func TestSlopeOfNearlySeparated(t *testing.T) {
	s := mustSample(t,
		[]int{0, 0, 0, 0, 1, 1, 1, 1},
		[]float64{0.05, 0.1, 0.2, 0.5 + 1e-12, 0.5, 0.7, 0.8, 0.9})
	r := CalibrationSlope(s)
	if !r.Defined() || !r.Interval.Defined() || r.Value < 10 || math.IsInf(r.Value, 0) {
		t.Fatalf("slope %+v, want a large finite one with its interval", r)
	}
	if !(r.Interval.Lower < r.Value && r.Value < r.Interval.Upper) {
		t.Errorf("the interval %+v does not hold %v", r.Interval, r.Value)
	}
}

func TestROC(t *testing.T) {
	s := mustSample(t, []int{0, 1, 0, 1, 1}, []float64{0.1, 0.4, 0.4, 0.4, 1})
	want := []ROCPoint{{math.Inf(1), 0, 0}, {1, 0, 1. / 3}, {0.4, 0.5, 1}, {0.1, 1, 1}}
	got := ROC(s)
	if len(got) != len(want) {
		t.Fatalf("ROC = %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("point %d = %v, want %v", i, got[i], want[i])
		}
	}
	if got := ROC(mustSample(t, []int{1, 1}, []float64{0.1, 0.4})); got != nil {
		t.Errorf("ROC of one class = %v, want none", got)
	}
}

func TestCalibrationBinEdges(t *testing.T) {
	for n := 1; n <= 200; n++ {
		for i := 0; i <= n; i++ {
			edge := float64(i) / float64(n)
			for p, want := range map[float64]int{edge: min(i, n-1), math.Nextafter(edge, -1): max(i-1, 0)} {
				if p < 0 {
					continue
				}
				bins := CalibrationBins(mustSample(t, []int{1}, []float64{p}), n)
				if bins[want].N != 1 || bins[want].Predicted != p || bins[want].Observed != 1 {
					t.Fatalf("risk %v is not in bin %d of %d: %v", p, want, n, bins)
				}
			}
		}
	}
	if got := CalibrationBins(&Sample{}, 0); got != nil {
		t.Errorf("no bins asked for, got %v", got)
	}
	for _, b := range CalibrationBins(&Sample{}, 3) {
		if b.N != 0 || !math.IsNaN(b.Predicted) || !math.IsNaN(b.Observed) {
			t.Errorf("empty bin %+v, want NaN", b)
		}
	}
}

func TestWilsonRefuses(t *testing.T) {
	for _, test := range []struct {
		events, n int
		level     float64
	}{{0, 0, 0.95}, {-1, 3, 0.95}, {4, 3, 0.95}, {1, 3, 0}, {1, 3, 1}, {1, 3, math.NaN()}} {
		if lower, upper := Wilson(test.events, test.n, test.level); !math.IsNaN(lower) || !math.IsNaN(upper) {
			t.Errorf("Wilson(%+v) = %v, %v, want NaN", test, lower, upper)
		}
	}
}

func TestDecisionCurveWithoutAClass(t *testing.T) {
	got := DecisionCurve(mustSample(t, []int{0, 0}, []float64{0.1, 0.4}), []float64{0.2, math.NaN()})
	if p := got[0]; !math.IsNaN(p.Sensitivity) || p.Specificity != 0.5 || p.Model != -0.125 || p.All != -0.25 {
		t.Errorf("point %+v", p)
	}
	if p := got[1]; !math.IsNaN(p.Sensitivity) || !math.IsNaN(p.Specificity) || !math.IsNaN(p.Model) || !math.IsNaN(p.All) {
		t.Errorf("point at NaN %+v, want NaN throughout", p)
	}
}
