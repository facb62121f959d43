package metrics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// AUROC returns the area under the ROC curve, the concordance of events and
// controls: the share of pairs of an event and a control in which the event has
// the higher risk, ties counting half. Its interval is DeLong's on the logit
// scale ([DeLongLogit]); [AUROCInterval] has others.
//
// DeLong, DeLong and Clarke-Pearson, Biometrics 1988; 44: 837-845.
func AUROC(s *Sample) Result {
	v := auroc(s)
	r := newResult(s, v)
	if r.Defined() {
		r.Interval = AUROCInterval(s, DeLongLogit, Level)
	}
	return r
}

// auroc sums whole numbers, and so is exact but for one division.
func auroc(s *Sample) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	var controlsBelow, concordant int
	for _, t := range s.distinct() {
		concordant += t.events * (2*controlsBelow + t.controls)
		controlsBelow += t.controls
	}
	return defined(float64(concordant) / (2 * float64(s.events) * float64(s.controls())))
}

// DeLongVariance returns DeLong's variance of the AUROC; it has no interval.
// It is 0 where the classes are separated or all risks are equal, and
// undefined with fewer than two events or controls.
func DeLongVariance(s *Sample) Result {
	v := auroc(s)
	if v.undefined == "" {
		v = deLongVariance(s, v.v)
	}
	return newResult(s, v)
}

func deLongVariance(s *Sample, a float64) value {
	if s.events < 2 || s.controls() < 2 {
		return undefined(TooFew)
	}
	n1, n0 := float64(s.events), float64(s.controls())
	var controlsBelow, eventsBelow int
	var ofEvents, ofControls float64 // sums of squares of the placements about the AUROC
	// Placements that are all alike differ from the AUROC by rounding; as whole
	// numbers they do not.
	alike, ofEvent, ofControl := true, -1, -1
	for _, t := range s.distinct() {
		above := 2*controlsBelow + t.controls
		below := 2*(s.events-eventsBelow-t.events) + t.events
		if t.events > 0 {
			alike = alike && (ofEvent < 0 || ofEvent == above)
			ofEvent = above
		}
		if t.controls > 0 {
			alike = alike && (ofControl < 0 || ofControl == below)
			ofControl = below
		}
		d1, d0 := float64(above)/(2*n0)-a, float64(below)/(2*n1)-a
		ofEvents += float64(t.events) * (d1 * d1)
		ofControls += float64(t.controls) * (d0 * d0)
		controlsBelow += t.controls
		eventsBelow += t.events
	}
	if alike {
		return defined(0)
	}
	return defined(ofEvents/(n1-1)/n1 + ofControls/(n0-1)/n0)
}

// HanleyMcNeilSE returns the standard error of the AUROC by Hanley and McNeil's
// formula, which assumes exponential risks and knows of the data only the AUROC
// and the number of subjects. Prefer [DeLongVariance].
//
// Hanley and McNeil, Radiology 1982; 143: 29-36.
func HanleyMcNeilSE(s *Sample) Result {
	v := auroc(s)
	if v.undefined == "" {
		a, n1, n0 := v.v, float64(s.events), float64(s.controls())
		q1, q2 := a/(2-a), 2*a*a/(1+a)
		v = defined(math.Sqrt((a*(1-a) + (n1-1)*(q1-a*a) + (n0-1)*(q2-a*a)) / (n1 * n0)))
	}
	return newResult(s, v)
}

// SomersD returns Somers' D of outcome and risk, 2 AUROC - 1, in [-1, 1], with
// the interval of the AUROC transformed.
func SomersD(s *Sample) Result {
	r := AUROC(s)
	if r.Defined() {
		r.Value = 2*r.Value - 1
		r.Interval.Lower, r.Interval.Upper = 2*r.Interval.Lower-1, 2*r.Interval.Upper-1
	}
	if !r.Interval.Defined() {
		r.Interval.Lower, r.Interval.Upper = 0, 0
	}
	return r
}

// AUROCInterval returns an interval of the AUROC at level by [DeLongLogit],
// [DeLongWald] or [HanleyMcNeilWald]. At an AUROC of 0 or 1 DeLong's variance is
// 0 and there is none. At 0.9 with 17 events and 46 controls the logit interval
// covers 96.5 %, Wald's 90.8 %.
func AUROCInterval(s *Sample, method string, level float64) Interval {
	i := Interval{Method: method, Level: level}
	v := auroc(s)
	if v.undefined != "" {
		return Interval{Undefined: v.undefined}
	}
	a := v.v
	variance := deLongVariance(s, a)
	if method == HanleyMcNeilWald {
		if se := HanleyMcNeilSE(s); se.Defined() {
			variance = defined(se.Value * se.Value)
		}
	}
	switch {
	case !(level > 0 && level < 1):
		return Interval{Undefined: InvalidInput}
	case variance.undefined != "":
		i.Undefined = variance.undefined
	case variance.v == 0 || a == 0 || a == 1:
		i.Undefined = ZeroVariance
	case method == DeLongLogit:
		i.Lower, i.Upper = logitLimits(a, variance.v, level)
	case method == DeLongWald || method == HanleyMcNeilWald:
		half := normalQuantile(level) * math.Sqrt(variance.v)
		i.Lower, i.Upper = max(0, a-half), min(1, a+half)
	default:
		return Interval{Undefined: NotAvailable}
	}
	return i
}

// logitLimits are normal limits on the logit scale, by the delta method.
func logitLimits(a, variance, level float64) (lower, upper float64) {
	half := normalQuantile(level) * math.Sqrt(variance) / (a * (1 - a))
	return expit(logit(a) - half), expit(logit(a) + half)
}

// placements sets of, for each row, to twice the number of subjects of the other
// class that it is ranked right against (ties half). These are whole numbers, so
// that sums over rows and refits are exact and independent of order. Both
// classes must occur.
func placements(s *Sample, of []float64) {
	order := s.byRisk()
	var controlsBelow, eventsBelow int
	for _, t := range s.distinct() {
		ofEvent := float64(2*controlsBelow + t.controls)
		ofControl := float64(2*(s.events-eventsBelow-t.events) + t.events)
		for range t.events + t.controls {
			row := order[0]
			order = order[1:]
			if s.outcomes[row] == 1 {
				of[row] = ofEvent
			} else {
				of[row] = ofControl
			}
		}
		controlsBelow += t.controls
		eventsBelow += t.events
	}
}

// AUROCTest compares two AUROCs by DeLong's variances. Covariance is 0 for
// unpaired samples. The interval is of the difference A - B.
type AUROCTest struct {
	Test
	A, B                             float64
	VarianceA, VarianceB, Covariance float64
	Difference                       float64
	Interval                         Interval
}

// CompareAUROCs tests whether two sets of risks for the same subjects have the
// same AUROC, with DeLong's covariance; the statistic is normal. Where the two
// curves order the pairs alike the statistic is 0 and p is 1. It is an error,
// naming the row, where the outcomes of a and b differ.
func CompareAUROCs(a, b *Sample) (AUROCTest, error) {
	if a.N() != b.N() {
		return AUROCTest{}, &InputError{Refit: -1, Row: -1, Problem: fmt.Sprintf("%d and %d subjects are no pairs", a.N(), b.N())}
	}
	for i, y := range a.outcomes {
		if b.outcomes[i] != y {
			return AUROCTest{}, &InputError{Refit: -1, Row: i, Problem: fmt.Sprintf("outcomes %d and %d are not of the same subject", y, b.outcomes[i])}
		}
	}
	t, ok := beginAUROCTest(a, b)
	if !ok {
		return t, nil
	}
	n1, n0 := float64(a.events), float64(a.controls())
	pa, pb := make([]float64, a.N()), make([]float64, b.N())
	placements(a, pa)
	placements(b, pb)
	var ofEvents, ofControls float64
	for i, y := range a.outcomes {
		if y == 1 {
			ofEvents += (pa[i]/(2*n0) - t.A) * (pb[i]/(2*n0) - t.B)
		} else {
			ofControls += (pa[i]/(2*n1) - t.A) * (pb[i]/(2*n1) - t.B)
		}
	}
	t.Covariance = ofEvents/(n1-1)/n1 + ofControls/(n0-1)/n0
	variance := t.VarianceA + t.VarianceB - 2*t.Covariance
	// Equal curves: the variance of the difference is 0 up to rounding.
	if t.Difference == 0 && variance <= 1e-14*(t.VarianceA+t.VarianceB) {
		t.P = 1
		t.Interval = Interval{Undefined: ZeroVariance}
		return t, nil
	}
	if !(variance > 0) {
		t.Undefined = ZeroVariance
		t.Interval = Interval{Undefined: ZeroVariance}
		return t, nil
	}
	se := math.Sqrt(variance)
	t.Statistic = t.Difference / se
	t.P = 2 * distuv.UnitNormal.CDF(-math.Abs(t.Statistic))
	t.Interval = WaldInterval(t.Difference, se, Level)
	t.Interval.Method = DeLongWald
	return t, nil
}

// CompareUnpairedAUROCs tests whether the AUROCs of two independent samples are
// the same; the statistic has Student's t distribution with Satterthwaite's
// degrees of freedom.
func CompareUnpairedAUROCs(a, b *Sample) AUROCTest {
	t, ok := beginAUROCTest(a, b)
	if !ok {
		return t
	}
	variance := t.VarianceA + t.VarianceB
	if variance == 0 {
		t.Undefined = ZeroVariance
		t.Interval = Interval{Undefined: ZeroVariance}
		return t
	}
	se := math.Sqrt(variance)
	t.Statistic = t.Difference / se
	va, vb := t.VarianceA, t.VarianceB
	t.DF = variance * variance / (va*va/float64(a.N()-1) + vb*vb/float64(b.N()-1))
	t.P = studentTail(t.Statistic, t.DF)
	half := se * distuv.StudentsT{Sigma: 1, Nu: t.DF}.Quantile(0.5+Level/2)
	t.Interval = Interval{Method: DeLongWald, Level: Level, Lower: t.Difference - half, Upper: t.Difference + half}
	return t
}

// studentTail returns the two-sided p-value of t with df degrees of freedom,
// accurate in the tail.
func studentTail(t, df float64) float64 {
	return mathext.RegIncBeta(df/2, 0.5, df/(df+t*t))
}

func beginAUROCTest(a, b *Sample) (t AUROCTest, ok bool) {
	va, vb := auroc(a), auroc(b)
	for _, of := range []struct {
		s *Sample
		v value
	}{{a, va}, {b, vb}} {
		why := of.v.undefined
		if why == "" {
			why = deLongVariance(of.s, of.v.v).undefined
		}
		if why != "" {
			t.Undefined = why
			t.Interval.Undefined = why
			return t, false
		}
	}
	t.A, t.B, t.Difference = va.v, vb.v, va.v-vb.v
	t.VarianceA, t.VarianceB = deLongVariance(a, va.v).v, deLongVariance(b, vb.v).v
	return t, true
}

// ROCPoint is a vertex of the ROC curve: the shares of controls and of events
// with a risk of at least Threshold.
type ROCPoint struct {
	Threshold, FPR, TPR float64
}

// ROC returns the ROC curve: one point for each distinct risk in decreasing
// order, after the point (0, 0) at threshold +Inf; the last point is (1, 1).
// It is nil where s lacks a class.
func ROC(s *Sample) []ROCPoint {
	if s.bothClasses() != "" {
		return nil
	}
	ties := s.distinct()
	points := make([]ROCPoint, 1, len(ties)+1)
	points[0].Threshold = math.Inf(1)
	var tp, fp int
	for i := len(ties) - 1; i >= 0; i-- {
		tp += ties[i].events
		fp += ties[i].controls
		points = append(points, ROCPoint{
			Threshold: ties[i].risk,
			FPR:       float64(fp) / float64(s.controls()),
			TPR:       float64(tp) / float64(s.events),
		})
	}
	return points
}

// Focus says which axis of the ROC curve a partial area is limited on.
type Focus int

// Focuses of [PartialAUROC].
const (
	HighSpecificity Focus = iota // specificity in [from, 1]
	HighSensitivity              // sensitivity in [from, 1]
)

// PartialAUROC returns the part of the area under the ROC curve over which the
// specificity (area under the curve) or the sensitivity (area to the right of
// it) is at least from, in [0, 1-from]. Where standardised it is McClish's
// (1 + (A-m)/(M-m))/2, with m the area of an uninformative and M of a perfect
// model: 1/2 and 1 for these. It has no clear focus and is not a threshold's
// performance.
//
// McClish, Medical Decision Making 1989; 9: 190-195.
func PartialAUROC(s *Sample, focus Focus, from float64, standardised bool) Result {
	switch why := s.bothClasses(); {
	case why != "":
		return newResult(s, undefined(why))
	case !(from >= 0 && from < 1):
		return newResult(s, undefined(InvalidInput))
	}
	roc := ROC(s)
	// The integral of v over u in [0, width], linear between vertices.
	width := 1 - from
	u := func(k int) (float64, float64) { return roc[k].FPR, roc[k].TPR }
	last := len(roc) - 1
	if focus == HighSensitivity {
		u = func(k int) (float64, float64) { return 1 - roc[last-k].TPR, 1 - roc[last-k].FPR }
	}
	var area float64
	for k := 1; k <= last; k++ {
		u0, v0 := u(k - 1)
		u1, v1 := u(k)
		if u0 >= width {
			break
		}
		if u1 > width {
			v1 = v0 + (v1-v0)*(width-u0)/(u1-u0)
			u1 = width
		}
		area += (u1 - u0) * (v0 + v1) / 2
	}
	if standardised {
		least := width * width / 2
		area = (1 + (area-least)/(width-least)) / 2
	}
	return newResult(s, defined(area))
}

// Optimum is the point of the ROC curve with the largest Youden index.
type Optimum struct {
	Threshold, Sensitivity, Specificity, Youden float64
	Undefined                                   Reason
}

// YoudenOptimum returns the threshold at which sensitivity + specificity is
// largest, the lowest of several; it lies midway between neighbouring risks, as
// pROC reports it, and is -Inf or +Inf where everybody or nobody is best called
// positive. Chosen on the data that it is judged on, it is optimistic, and it
// weighs errors as no decision does: a threshold should come from the decision.
func YoudenOptimum(s *Sample) Optimum {
	if why := s.bothClasses(); why != "" {
		return Optimum{Undefined: why}
	}
	ties := s.distinct()
	best, fn, tn := -1, 0, 0
	o := Optimum{Threshold: math.Inf(-1), Sensitivity: 1}
	top := 0 // Youden index times n1 n0: whole numbers compare exactly
	for k, t := range ties {
		fn += t.events
		tn += t.controls
		if j := tn*s.events - fn*s.controls(); j > top {
			top, best = j, k
			o.Sensitivity = float64(s.events-fn) / float64(s.events)
			o.Specificity = float64(tn) / float64(s.controls())
		}
	}
	switch {
	case best == len(ties)-1:
		o.Threshold = math.Inf(1)
	case best >= 0:
		o.Threshold = (ties[best].risk + ties[best+1].risk) / 2
	}
	o.Youden = o.Sensitivity + o.Specificity - 1
	return o
}
