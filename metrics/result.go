package metrics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat/distuv"
)

// Level is the coverage of every interval of this package.
const Level = 0.95

// z is the standard normal quantile of a two-sided interval at Level.
var z = distuv.UnitNormal.Quantile(0.5 + Level/2)

// normalQuantile returns the half width, in standard errors, of a two-sided
// normal interval at level.
func normalQuantile(level float64) float64 {
	if level == Level {
		return z
	}
	return distuv.UnitNormal.Quantile(0.5 + level/2)
}

// Reason says why a value or an interval is undefined. The empty Reason means
// that it is defined.
type Reason string

// Reasons, in the order of precedence used when refits are undefined for
// different ones.
const (
	Empty                      Reason = "empty"                         // no rows
	InvalidInput               Reason = "invalid_input"                 // NaN, label not 0/1, risk outside [0,1], threshold outside its range
	OneClass                   Reason = "one_class"                     // the number of events or of controls is a divisor and is 0
	TooFew                     Reason = "too_few"                       // fewer than two of a class where a variance is needed
	ExtremeRisk                Reason = "extreme_risk"                  // a risk of exactly 0 or 1 where logits are needed
	ConstantRisk               Reason = "constant_risk"                 // all risks equal: no slope
	Separated                  Reason = "separated"                     // complete or quasi separation: no finite slope
	ZeroVariance               Reason = "zero_variance"                 // no variation, so no interval
	ZeroDenominator            Reason = "zero_denominator"              // 0/0
	TooManyUndefinedReplicates Reason = "too_many_undefined_replicates" // more than 1 % of resamples
	NotAvailable               Reason = "not_available"                 // not computed for this measure and estimand
)

var reasons = []Reason{
	Empty, InvalidInput, OneClass, TooFew, ExtremeRisk, ConstantRisk, Separated,
	ZeroVariance, ZeroDenominator, TooManyUndefinedReplicates, NotAvailable,
}

// Reasons are all reasons, in this order.
func Reasons() []Reason { return slices.Clone(reasons) }

// Methods of intervals, as they are reported.
const (
	DeLongLogit       = "delong_logit"       // DeLong's variance, normal on the logit scale
	DeLongWald        = "delong_wald"        // DeLong's variance, normal, cut to [0, 1]
	HanleyMcNeilWald  = "hanley_mcneil_wald" // Hanley and McNeil's variance, normal, cut to [0, 1]
	LogScale          = "log"                // normal on the log scale
	ProfileLikelihood = "profile_likelihood" // roots of the profile likelihood ratio
	Wald              = "wald"               // estimate -+ z standard errors
	WilsonScore       = "wilson"             // Wilson's score interval of a proportion
	ExactBinomial     = "clopper_pearson"    // Clopper and Pearson's interval of a proportion
	BootstrapBCa      = "bootstrap_bca"      // stratified subject bootstrap, bias-corrected and accelerated
	// BootstrapBiasCorrected is the estimate less the bias that the stratified subject
	// bootstrap shows, -+ z of its standard deviations, cut to the range of the measure.
	BootstrapBiasCorrected = "bootstrap_bias_corrected"
	BootstrapPercentile    = "bootstrap_percentile" // stratified subject bootstrap, quantiles of type 7
)

// Interval is a sampling interval. It has limits only where [Interval.Defined]
// says so; Method then names how they were made.
type Interval struct {
	Lower, Upper float64
	Level        float64
	Method       string
	Undefined    Reason
}

// Defined reports whether i has limits.
func (i Interval) Defined() bool { return i.Method != "" && i.Undefined == "" }

// WaldInterval returns estimate -+ z se at level.
func WaldInterval(estimate, se, level float64) Interval {
	i := Interval{Method: Wald, Level: level}
	half := normalQuantile(level) * se
	switch {
	case !(half > 0):
		i.Undefined = ZeroVariance
	case math.IsInf(half, 0):
		i.Undefined = NotAvailable
	default:
		i.Lower, i.Upper = estimate-half, estimate+half
	}
	return i
}

// Test is a test of a hypothesis: the statistic, its degrees of freedom (0 for
// a normal statistic) and the p-value, which have a meaning only where
// Undefined is empty.
type Test struct {
	Statistic, DF, P float64
	Undefined        Reason
	Note             string
}

// Defined reports whether t has a statistic.
func (t Test) Defined() bool { return t.Undefined == "" }

// chiSquared is a test whose statistic has df degrees of freedom. A likelihood
// ratio of equal models may be below 0 by rounding.
func chiSquared(statistic, df float64) Test {
	statistic = max(statistic, 0)
	return Test{Statistic: statistic, DF: df, P: mathext.GammaIncRegComp(df/2, statistic/2)}
}

// Result is one measure of one sample. Value has a meaning only where
// Undefined is empty; it may be ±Inf, never NaN.
type Result struct {
	Value     float64
	Undefined Reason
	Interval  Interval
	N, Events int
	Note      string
}

// Defined reports whether r has a value.
func (r Result) Defined() bool { return r.Undefined == "" }

// Number is the value, NaN where r has none.
func (r Result) Number() float64 {
	if !r.Defined() {
		return math.NaN()
	}
	return r.Value
}

// newResult begins a result of s. Its interval is not available until a
// measure sets one.
func newResult(s *Sample, v value) Result {
	r := Result{N: s.N(), Events: s.Events(), Undefined: v.undefined}
	r.Interval.Undefined = NotAvailable
	if r.Defined() {
		r.Value = v.v
	} else {
		r.Interval.Undefined = v.undefined
	}
	return r
}

// value is a measure without its interval, as the refits need it.
type value struct {
	v         float64
	undefined Reason
}

// orNaN is the number, NaN where it is undefined.
func (v value) orNaN() float64 {
	if v.undefined != "" {
		return math.NaN()
	}
	return v.v
}

func defined(v float64) value    { return value{v: v} }
func undefined(why Reason) value { return value{undefined: why} }

// ratio is a/b with 0/0 undefined and x/0 infinite.
func ratio(a, b float64) value {
	if a == 0 && b == 0 {
		return undefined(ZeroDenominator)
	}
	return defined(a / b)
}

// expit is the inverse of [logit], accurate in both tails.
func expit(x float64) float64 {
	if x >= 0 {
		return 1 / (1 + math.Exp(-x))
	}
	e := math.Exp(x)
	return e / (1 + e)
}

// logit needs no other form near 1: there 1-p is exact.
func logit(p float64) float64 { return math.Log(p / (1 - p)) }

// grow returns a slice of length n, reusing the memory of b.
func grow(b []float64, n int) []float64 {
	return slices.Grow(b[:0], n)[:n]
}
