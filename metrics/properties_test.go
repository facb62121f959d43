package metrics

import (
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// gridRisks draws risks k/64 in [0, 1], so that ties are common and 1-p is exact.
var gridRisks = rapid.Map(rapid.IntRange(0, 64), func(k int) float64 { return float64(k) / 64 })

// innerRisks draws risks whose logits exist, from the whole range of float64.
var innerRisks = rapid.OneOf(
	rapid.Float64Range(0.001, 0.999),
	rapid.Map(rapid.IntRange(1, 63), func(k int) float64 { return float64(k) / 64 }),
	rapid.SampledFrom([]float64{1e-300, 1e-16, 1e-8, 1 - 1e-8, math.Nextafter(1, 0)}),
)

func drawSample(t *rapid.T, risk *rapid.Generator[float64], least int) *Sample {
	n := rapid.IntRange(least, 40).Draw(t, "n")
	outcomes := rapid.SliceOfN(rapid.IntRange(0, 1), n, n).Draw(t, "outcomes")
	risks := rapid.SliceOfN(risk, n, n).Draw(t, "risks")
	s, err := NewSample(outcomes, risks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func remake(t *rapid.T, s *Sample, row func(i int) (int, float64)) *Sample {
	outcomes, risks := make([]int, s.N()), make([]float64, s.N())
	for i := range outcomes {
		outcomes[i], risks[i] = row(i)
	}
	changed, err := NewSample(outcomes, risks)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// kernel is 1, 1/2 or 0 as the event is ranked above, with or below the control.
func kernel(event, control float64) float64 {
	switch {
	case event > control:
		return 1
	case event == control:
		return 0.5
	}
	return 0
}

// naiveDeLong computes the AUROC and its variance from the matrix of pairs, by
// definition.
func naiveDeLong(outcomes []int, pair func(i, j int) float64) (auroc, variance float64) {
	var events, controls []int
	for i, y := range outcomes {
		if y == 1 {
			events = append(events, i)
		} else {
			controls = append(controls, i)
		}
	}
	n1, n0 := float64(len(events)), float64(len(controls))
	v10, v01 := make([]float64, len(events)), make([]float64, len(controls))
	for a, i := range events {
		for b, j := range controls {
			k := pair(i, j)
			v10[a] += k / n0
			v01[b] += k / n1
			auroc += k / n0 / n1
		}
	}
	for _, v := range v10 {
		variance += (v - auroc) * (v - auroc) / (n1 - 1) / n1
	}
	for _, v := range v01 {
		variance += (v - auroc) * (v - auroc) / (n0 - 1) / n0
	}
	return auroc, variance
}

func TestAUROCByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 4)
		if s.events < 2 || s.controls() < 2 {
			return
		}
		a, v := naiveDeLong(s.outcomes, func(i, j int) float64 { return kernel(s.risks[i], s.risks[j]) })
		got, variance := AUROC(s), DeLongVariance(s)
		if !agree(got.Value, a, closedForm) || !agree(variance.Value, v, closedForm) {
			t.Fatalf("AUROC %v, variance %v, want %v, %v", got.Value, variance.Value, a, v)
		}
		if i := got.Interval; i.Defined() && !(0 < i.Lower && i.Lower < a && a < i.Upper && i.Upper < 1) {
			t.Fatalf("interval %+v around %v", i, a)
		}
		var area float64
		roc := ROC(s)
		for k := 1; k < len(roc); k++ {
			area += (roc[k].FPR - roc[k-1].FPR) * (roc[k].TPR + roc[k-1].TPR) / 2
		}
		if !agree(area, a, closedForm) {
			t.Fatalf("area under the curve %v, want %v", area, a)
		}
	})
}

func TestAUROCInvariances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 0)
		a := AUROC(s)
		monotone := remake(t, s, func(i int) (int, float64) {
			return s.outcomes[i], math.Expm1(3*s.risks[i]) / math.Expm1(3.5)
		})
		if diff := cmp.Diff(a, AUROC(monotone)); diff != "" {
			t.Fatalf("a monotone map changes it:\n%s", diff)
		}
		// The complement: events become controls and risks their complements.
		both := remake(t, s, func(i int) (int, float64) { return 1 - s.outcomes[i], 1 - s.risks[i] })
		if got := AUROC(both); got.Undefined != a.Undefined || !agree(got.Value, a.Value, closedForm) ||
			!agree(got.Interval.Lower, a.Interval.Lower, closedForm) || !agree(got.Interval.Upper, a.Interval.Upper, closedForm) {
			t.Fatalf("AUROC of the complement %+v, want %+v", got, a)
		}
		reversed := remake(t, s, func(i int) (int, float64) { return s.outcomes[i], 1 - s.risks[i] })
		if got := AUROC(reversed); got.Undefined != a.Undefined || got.Defined() && !agree(got.Value, 1-a.Value, closedForm) {
			t.Fatalf("AUROC of reversed risks %+v, want 1 - %v", got, a.Value)
		}
	})
}

// A curve that is nearly separated has a maximum or none, in whatever order rows with
// equal risks come.
func TestOrderOfEqualRisks(t *testing.T) {
	outcomes := []int{1, 1, 0, 0, 0, 0, 0, 0, 0, 1}
	risks := []float64{0.01582718901028457, 0.99, 0.46484375, 0.290771484375, 0.9566094010455135, 0.7994587398134172, 0.024451543885262828, 0.5, 0.99, 0.3302001953125}
	var samples []*Sample
	for _, order := range [][]int{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {3, 8, 4, 6, 0, 5, 7, 2, 1, 9}} {
		var y []int
		var p []float64
		for _, row := range order {
			y, p = append(y, outcomes[row]), append(p, risks[row])
		}
		s, err := NewSample(y, p)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, s)
	}
	if diff := cmp.Diff(everyMeasure(samples[0]), everyMeasure(samples[1]), cmpopts.EquateApprox(1e-7, 1e-9)); diff != "" {
		t.Errorf("order matters:\n%s", diff)
	}
}

// No measure depends on the order of rows, beyond rounding.
func TestOrderIndependence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, rapid.Float64Range(0.01, 0.99), 0)
		rows := make([]int, s.N())
		for i := range rows {
			rows[i] = i
		}
		rows = rapid.Permutation(rows).Draw(t, "order")
		p := remake(t, s, func(i int) (int, float64) { return s.outcomes[rows[i]], s.risks[rows[i]] })
		if diff := cmp.Diff(everyMeasure(s), everyMeasure(p), cmpopts.EquateApprox(1e-7, 1e-9)); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
		if diff := cmp.Diff(ROC(s), ROC(p)); diff != "" {
			t.Fatalf("order matters to the ROC curve:\n%s", diff)
		}
	})
}

// Calibration is a property of both classes alike: exchanging them negates the
// intercept and keeps the slope.
func TestCalibrationOfTheComplement(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, rapid.Map(rapid.IntRange(1, 63), func(k int) float64 { return float64(k) / 64 }), 0)
		c := remake(t, s, func(i int) (int, float64) { return 1 - s.outcomes[i], 1 - s.risks[i] })
		a, b := CalibrationIntercept(s), CalibrationIntercept(c)
		if a.Undefined != b.Undefined || a.Defined() && (!agree(a.Value, -b.Value, 1e-9) ||
			!agree(a.Interval.Lower, -b.Interval.Upper, 1e-9) || !agree(a.Interval.Upper, -b.Interval.Lower, 1e-9)) {
			t.Fatalf("intercept %+v, of the complement %+v", a, b)
		}
		a, b = CalibrationSlope(s), CalibrationSlope(c)
		if diff := cmp.Diff(a, b, cmpopts.EquateApprox(1e-8, 1e-9), cmpopts.IgnoreFields(Result{}, "Events")); diff != "" {
			t.Fatalf("slope:\n%s", diff)
		}
	})
}

// plainLikelihood is the log-likelihood at a + b logit(risk), in plain form.
func plainLikelihood(s *Sample, a, b float64) (ll float64) {
	for i, p := range s.risks {
		eta := a + b*logit(p)
		if s.outcomes[i] == 0 {
			eta = -eta
		}
		ll -= math.Max(0, -eta) + math.Log1p(math.Exp(-math.Abs(eta)))
	}
	return ll
}

// plainScore returns observed minus expected events at a + b logit(risk).
func plainScore(s *Sample, a, b float64) (score, size float64) {
	for i, p := range s.risks {
		fitted := expit(a + b*logit(p))
		if s.outcomes[i] == 1 {
			fitted = expit(-a - b*logit(p))
			score += fitted
		} else {
			score -= fitted
		}
		size += fitted
	}
	return score, size
}

// bestShift maximises the likelihood in a by bisection.
func bestShift(s *Sample, b float64) float64 {
	lo, hi := -1e6, 1e6
	for range 200 {
		mid := lo + (hi-lo)/2
		if score, _ := plainScore(s, mid, b); score > 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// The intercept balances observed and expected events, and its limits lie at
// the right drop of the likelihood, whatever the risks.
func TestInterceptByDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, innerRisks, 2)
		r := CalibrationIntercept(s)
		if s.bothClasses() != "" {
			return
		}
		if !r.Defined() || !r.Interval.Defined() {
			t.Fatalf("%+v, want a value and an interval", r)
		}
		if score, size := plainScore(s, r.Value, 1); math.Abs(score) > 1e-9*size {
			t.Fatalf("score %v of %v at %v", score, size, r.Value)
		}
		best := plainLikelihood(s, r.Value, 1)
		for _, limit := range []float64{r.Interval.Lower, r.Interval.Upper} {
			if drop := 2 * (best - plainLikelihood(s, limit, 1)); !agree(drop, z*z, 1e-9) {
				t.Fatalf("drop %v at %v of %+v, want %v", drop, limit, r, z*z)
			}
		}
		if !(r.Interval.Lower < r.Value && r.Value < r.Interval.Upper) {
			t.Fatalf("%+v", r)
		}
	})
}

// Slope and intercept maximise the likelihood, and the slope's limits lie at
// the right drop of the profile likelihood.
func TestSlopeByDefinition(t *testing.T) {
	defined := 0
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, innerRisks, 2)
		slope, intercept := JointCalibration(s)
		switch slope.Undefined {
		case OneClass, ConstantRisk, Separated:
			return
		}
		if !slope.Defined() || !slope.Interval.Defined() {
			t.Fatalf("%+v, want a value and an interval", slope)
		}
		defined++
		best := plainLikelihood(s, intercept.Value, slope.Value)
		slack := 1e-11 * (1 + math.Abs(best))
		if better := plainLikelihood(s, bestShift(s, slope.Value), slope.Value); better > best+slack {
			t.Fatalf("likelihood %v at intercept %v, %v at another", best, intercept.Value, better)
		}
		width := slope.Interval.Upper - slope.Interval.Lower
		for _, b := range []float64{slope.Value - width/1000, slope.Value + width/1000} {
			if better := plainLikelihood(s, bestShift(s, b), b); better > best+slack {
				t.Fatalf("likelihood %v at slope %v, %v at %v", best, slope.Value, better, b)
			}
		}
		for _, limit := range []float64{slope.Interval.Lower, slope.Interval.Upper} {
			drop := 2 * (best - plainLikelihood(s, bestShift(s, limit), limit))
			if !agree(drop, z*z, 1e-8) {
				t.Fatalf("drop %v at %v of %+v, want %v", drop, limit, slope, z*z)
			}
		}
	})
	if defined == 0 {
		t.Error("no sample had a slope")
	}
}

func TestDecisionCurveByThreshold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 0)
		thresholds := rapid.SliceOf(rapid.OneOf(gridRisks, rapid.Float64Range(-0.5, 1.5))).Draw(t, "thresholds")
		for i, p := range DecisionCurve(s, thresholds) {
			for what, pair := range map[string]struct {
				got  float64
				want Result
			}{
				"net benefit": {p.Model, NetBenefit(s, thresholds[i])},
				"treat all":   {p.All, NetBenefitAll(s, thresholds[i])},
				"sensitivity": {p.Sensitivity, Classify(s, thresholds[i]).Sensitivity()},
				"specificity": {p.Specificity, Classify(s, thresholds[i]).Specificity()},
			} {
				if pair.want.Defined() == math.IsNaN(pair.got) || pair.want.Defined() && pair.got != pair.want.Value {
					t.Fatalf("%s at %v = %v, want %+v", what, p.Threshold, pair.got, pair.want)
				}
			}
		}
	})
}

// Of samples as small as can be, in every combination of outcomes and some risks, no
// result is NaN, and limits that are said to be there are.
func TestTinySamples(t *testing.T) {
	risks := []float64{0, 0.25, 0.5, 1}
	var each func(outcomes []int, p []float64)
	each = func(outcomes []int, p []float64) {
		if len(p) == 3 {
			return
		}
		for _, y := range []int{0, 1} {
			for _, risk := range risks {
				y, p := append(slices.Clone(outcomes), y), append(slices.Clone(p), risk)
				o := Options{Replicates: 5, All: true, Thresholds: []float64{0.25}}
				rows, err := Table(mustSample(t, y, p), o)
				if err != nil {
					t.Fatal(err)
				}
				reversed := slices.Clone(p)
				slices.Reverse(reversed)
				over, err := RefitTable(mustRefits(t, y, p, reversed), o)
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range append(rows, over...) {
					i := row.Interval
					if row.Defined() && math.IsNaN(row.Value) || i.Defined() && !(i.Lower <= i.Upper) {
						t.Errorf("outcomes %v, risks %v: %+v", y, p, row)
					}
				}
				each(y, p)
			}
		}
	}
	each(nil, nil)
}
