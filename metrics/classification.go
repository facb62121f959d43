package metrics

import (
	"math"
	"sort"

	"gonum.org/v1/gonum/mathext"
)

// Confusion is the classification of a sample at a threshold, a subject being
// positive where risk >= Threshold. Its methods are the measures of
// classification: all but [Confusion.Sensitivity] with Specificity and
// [Confusion.PPV] with NPV mix errors in proportions that no decision gives.
// Proportions have Wilson intervals; ratios intervals on the log scale where no
// cell is empty.
type Confusion struct {
	Threshold      float64
	TP, FP, TN, FN int
	why            Reason // the threshold is no number, or there are no subjects
}

// Classify counts the subjects of s on both sides of t. Any number is a
// threshold; NaN is [InvalidInput].
func Classify(s *Sample, t float64) Confusion {
	c := Confusion{Threshold: t}
	switch {
	case s.N() == 0:
		c.why = Empty
	case math.IsNaN(t):
		c.why = InvalidInput
	default:
		c.TP, c.FP = positives(s, t)
		c.FN, c.TN = s.events-c.TP, s.controls()-c.FP
	}
	return c
}

// positives counts the events and the controls with a risk of at least t.
func positives(s *Sample, t float64) (tp, fp int) {
	// Without a branch on the risk, of which a processor would guess many wrong.
	outcomes, all := s.outcomes[:len(s.risks)], 0
	for i, p := range s.risks {
		positive := 0
		if p >= t {
			positive = 1
		}
		all += positive
		tp += positive & outcomes[i]
	}
	return tp, all - tp
}

// N returns the number of subjects, Events that of events.
func (c Confusion) N() int      { return c.TP + c.FP + c.TN + c.FN }
func (c Confusion) Events() int { return c.TP + c.FN }

func (c Confusion) controls() int { return c.FP + c.TN }

// result makes a result of v, or of what is wrong with the classification.
func (c Confusion) result(v value) Result {
	r := Result{N: c.N(), Events: c.Events(), Value: v.v, Undefined: v.undefined}
	if c.why != "" {
		r.Value, r.Undefined = 0, c.why
	}
	r.Interval.Undefined = NotAvailable
	if !r.Defined() {
		r.Interval.Undefined = r.Undefined
	}
	return r
}

// ofBoth is a measure that needs both classes.
func (c Confusion) ofBoth(v func() value) Result {
	if c.Events() == 0 || c.controls() == 0 {
		return c.result(undefined(OneClass))
	}
	return c.result(v())
}

// proportion is x of n subjects; why says what n = 0 means.
func (c Confusion) proportion(x, n int, why Reason) Result {
	if n == 0 {
		return c.result(undefined(why))
	}
	r := c.result(defined(float64(x) / float64(n)))
	if r.Defined() {
		r.Interval = Interval{Method: WilsonScore, Level: Level}
		r.Interval.Lower, r.Interval.Upper = Wilson(x, n, Level)
	}
	return r
}

// Sensitivity returns TP/(TP+FN), the share of events that are positive.
func (c Confusion) Sensitivity() Result { return c.proportion(c.TP, c.Events(), OneClass) }

// Specificity returns TN/(TN+FP), the share of controls that are negative.
func (c Confusion) Specificity() Result { return c.proportion(c.TN, c.controls(), OneClass) }

// PPV returns TP/(TP+FP), the share of events among positives (precision). It
// depends on the prevalence.
func (c Confusion) PPV() Result { return c.proportion(c.TP, c.TP+c.FP, ZeroDenominator) }

// NPV returns TN/(TN+FN), the share of controls among negatives. It depends on
// the prevalence.
func (c Confusion) NPV() Result { return c.proportion(c.TN, c.TN+c.FN, ZeroDenominator) }

// Accuracy returns (TP+TN)/n.
func (c Confusion) Accuracy() Result { return c.proportion(c.TP+c.TN, c.N(), Empty) }

// BalancedAccuracy returns (sensitivity + specificity)/2.
func (c Confusion) BalancedAccuracy() Result {
	return c.ofBoth(func() value { return defined((c.sensitivity() + c.specificity()) / 2) })
}

// Youden returns sensitivity + specificity - 1, in [-1, 1].
func (c Confusion) Youden() Result {
	return c.ofBoth(func() value { return defined(c.sensitivity() + c.specificity() - 1) })
}

func (c Confusion) sensitivity() float64 { return float64(c.TP) / float64(c.Events()) }
func (c Confusion) specificity() float64 { return float64(c.TN) / float64(c.controls()) }

// DiagnosticOddsRatio returns TP TN/(FP FN), in [0, Inf], with Woolf's interval.
func (c Confusion) DiagnosticOddsRatio() Result {
	r := c.ofBoth(func() value {
		return ratio(float64(c.TP)*float64(c.TN), float64(c.FP)*float64(c.FN))
	})
	return c.logInterval(r, 1/float64(c.TP)+1/float64(c.FP)+1/float64(c.TN)+1/float64(c.FN))
}

// LRPositive returns sensitivity/(1 - specificity), with the interval of Simel,
// Samsa and Matchar, Journal of Clinical Epidemiology 1991; 44: 763-770.
func (c Confusion) LRPositive() Result {
	r := c.ofBoth(func() value {
		return ratio(c.sensitivity(), float64(c.FP)/float64(c.controls()))
	})
	return c.logInterval(r, 1/float64(c.TP)-1/float64(c.Events())+1/float64(c.FP)-1/float64(c.controls()))
}

// LRNegative returns (1 - sensitivity)/specificity, with an interval as
// [Confusion.LRPositive] has.
func (c Confusion) LRNegative() Result {
	r := c.ofBoth(func() value {
		return ratio(float64(c.FN)/float64(c.Events()), c.specificity())
	})
	return c.logInterval(r, 1/float64(c.FN)-1/float64(c.Events())+1/float64(c.TN)-1/float64(c.controls()))
}

// logInterval gives r a normal interval on the log scale with the given variance.
func (c Confusion) logInterval(r Result, variance float64) Result {
	if !r.Defined() {
		return r
	}
	switch {
	case math.IsInf(variance, 0) || math.IsNaN(variance) || math.IsInf(r.Value, 0) || r.Value == 0:
		r.Interval.Undefined = ZeroDenominator
	case variance <= 0:
		r.Interval.Undefined = ZeroVariance
	default:
		half := z * math.Sqrt(variance)
		r.Interval = Interval{Method: LogScale, Level: Level, Lower: r.Value * math.Exp(-half), Upper: r.Value * math.Exp(half)}
	}
	return r
}

// Kappa returns Cohen's kappa, (accuracy - e)/(1 - e) with e the agreement
// expected of independent margins.
//
// Cohen, Educational and Psychological Measurement 1960; 20: 37-46.
func (c Confusion) Kappa() Result {
	if c.N() == 0 {
		return c.result(undefined(Empty))
	}
	// (a - e)/(1 - e) = 2(TP TN - FP FN) / (P1 N0' + N0 P1'), margins as in the
	// definition: without the cancellation of 1 - e.
	tp, fp, tn, fn := float64(c.TP), float64(c.FP), float64(c.TN), float64(c.FN)
	return c.result(ratio(2*(tp*tn-fp*fn), (tp+fp)*(fp+tn)+(tp+fn)*(fn+tn)))
}

// F1 returns 2TP/(2TP+FP+FN), the harmonic mean of sensitivity and PPV. It is
// improper and ignores true negatives: of all measures here the one to avoid.
func (c Confusion) F1() Result {
	if c.N() == 0 {
		return c.result(undefined(Empty))
	}
	return c.result(ratio(2*float64(c.TP), float64(2*c.TP+c.FP+c.FN)))
}

// MCC returns Matthews' correlation of outcome and class, in [-1, 1]. It is
// 0/0 where all subjects are of one predicted class.
//
// Matthews, Biochimica et Biophysica Acta 1975; 405: 442-451.
func (c Confusion) MCC() Result {
	return c.ofBoth(func() value {
		tp, fp, tn, fn := float64(c.TP), float64(c.FP), float64(c.TN), float64(c.FN)
		return ratio(tp*tn-fp*fn, math.Sqrt((tp+fp)*(tn+fn))*math.Sqrt((tp+fn)*(tn+fp)))
	})
}

// Adjusted are the values that depend on prevalence, at another prevalence than
// the sample's, with sensitivity and specificity unchanged.
type Adjusted struct {
	Prevalence                float64
	PPV, NPV                  Result
	NetBenefit, NetBenefitAll Result
	StandardisedNetBenefit    Result
}

// AtPrevalence returns what Bayes' theorem makes of sensitivity and specificity
// at the given prevalence in (0, 1), which assumes that they are the same there.
func (c Confusion) AtPrevalence(prevalence float64) Adjusted {
	a := Adjusted{Prevalence: prevalence}
	of := func(v func() value) Result {
		if c.why == "" && !(prevalence > 0 && prevalence < 1) {
			return c.result(undefined(InvalidInput))
		}
		return c.ofBoth(v)
	}
	var tp, fp, tn, fn float64 // shares
	if c.Events() > 0 && c.controls() > 0 {
		tp, tn = c.sensitivity()*prevalence, c.specificity()*(1-prevalence)
		fn, fp = float64(c.FN)/float64(c.Events())*prevalence, float64(c.FP)/float64(c.controls())*(1-prevalence)
	}
	a.PPV = of(func() value { return ratio(tp, tp+fp) })
	a.NPV = of(func() value { return ratio(tn, tn+fn) })
	benefit := func(tp, fp float64) value {
		if why := decidable(c.N(), c.Threshold); why != "" {
			return undefined(why)
		}
		return defined(tp - fp*odds(c.Threshold))
	}
	a.NetBenefit = of(func() value { return benefit(tp, fp) })
	a.NetBenefitAll = of(func() value { return benefit(prevalence, 1-prevalence) })
	a.StandardisedNetBenefit = of(func() value {
		v := benefit(tp, fp)
		v.v /= prevalence
		return v
	})
	return a
}

// Wilson returns the score interval of the proportion events/n at level in
// (0, 1). Both limits are NaN unless 0 <= events <= n and n > 0.
//
// Wilson, Journal of the American Statistical Association 1927; 22: 209-212.
func Wilson(events, n int, level float64) (lower, upper float64) {
	if n <= 0 || events < 0 || events > n || !(level > 0 && level < 1) {
		return math.NaN(), math.NaN()
	}
	z, x, size := normalQuantile(level), float64(events), float64(n)
	p, z2 := x/size, z*z
	centre := (p + z2/(2*size)) / (1 + z2/size)
	half := z / (1 + z2/size) * math.Sqrt(p*(1-p)/size+z2/(4*size*size))
	lower, upper = centre-half, centre+half
	// The limits at the ends are exact; the formula is an ulp off.
	if events == 0 {
		lower = 0
	}
	if events == n {
		upper = 1
	}
	return lower, upper
}

// WilsonCorrected returns Wilson's interval with continuity correction, as R's
// prop.test makes it.
//
// Newcombe, Statistics in Medicine 1998; 17: 857-872 (method 4).
func WilsonCorrected(events, n int, level float64) (lower, upper float64) {
	if n <= 0 || events < 0 || events > n || !(level > 0 && level < 1) {
		return math.NaN(), math.NaN()
	}
	z, x, size := normalQuantile(level), float64(events), float64(n)
	p := x / size
	// R takes min(1/2, |x - n/2|) as the correction: none at exactly one half.
	correct := math.Min(0.5, math.Abs(x-size/2))
	limit := func(sign float64) float64 {
		shift := p + sign*correct/size
		z22 := z * z / (2 * size)
		return (shift + z22 + sign*z*math.Sqrt(shift*(1-shift)/size+z22/(2*size))) / (1 + 2*z22)
	}
	lower, upper = max(0, limit(-1)), min(1, limit(1))
	if events == 0 {
		lower = 0
	}
	if events == n {
		upper = 1
	}
	return lower, upper
}

// ClopperPearson returns the exact interval of the proportion events/n at level
// in (0, 1), conservative. Both limits are NaN unless 0 <= events <= n and n > 0.
//
// Clopper and Pearson, Biometrika 1934; 26: 404-413.
func ClopperPearson(events, n int, level float64) (lower, upper float64) {
	if n <= 0 || events < 0 || events > n || !(level > 0 && level < 1) {
		return math.NaN(), math.NaN()
	}
	x, size, alpha := float64(events), float64(n), (1-level)/2
	lower, upper = 0, 1
	if events > 0 {
		lower = betaQuantile(x, size-x+1, alpha)
	}
	if events < n {
		// 1 - quantile of the mirrored distribution: exact near 1.
		upper = 1 - betaQuantile(size-x, x+1, alpha)
		if x < size/2 { // and near 0
			upper = betaUpper(x+1, size-x, alpha)
		}
	}
	return lower, upper
}

// betaQuantile solves RegIncBeta(a, b, x) = p by Newton's method, from the
// inverse of the library, which is good to 1e-11 only.
func betaQuantile(a, b, p float64) float64 {
	return betaRoot(a, b, mathext.InvRegIncBeta(a, b, p), func(x float64) float64 {
		return mathext.RegIncBeta(a, b, x)/p - 1
	}, p)
}

// betaUpper solves RegIncBeta(b, a, 1-x) = p, the quantile of the upper tail.
func betaUpper(a, b, p float64) float64 {
	return betaRoot(a, b, 1-mathext.InvRegIncBeta(b, a, p), func(x float64) float64 {
		return 1 - mathext.RegIncBeta(b, a, 1-x)/p
	}, p)
}

// betaRoot polishes a root x of f, whose slope is that of the beta distribution
// divided by p.
func betaRoot(a, b, x float64, f func(x float64) float64, p float64) float64 {
	norm := logBeta(a, b)
	for range 20 {
		density := math.Exp((a-1)*math.Log(x)+(b-1)*math.Log1p(-x)-norm) / p
		step := f(x) / density
		next := x - step
		if !(next > 0 && next < 1) {
			break
		}
		x = next
		if math.Abs(step) <= 1e-15*x {
			break
		}
	}
	return x
}

func logBeta(a, b float64) float64 {
	la, _ := math.Lgamma(a)
	lb, _ := math.Lgamma(b)
	lab, _ := math.Lgamma(a + b)
	return la + lb - lab
}

// below returns the number of the distinct risks of s below t.
func below(ties []tie, t float64) int {
	return sort.Search(len(ties), func(k int) bool { return ties[k].risk >= t })
}
