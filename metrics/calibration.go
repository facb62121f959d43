package metrics

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/foundation-plr/pipeline/metrics/logistic"
)

// OE returns the ratio of observed to expected events: below 1 the risks are
// too high. Its interval ([LogScale]) takes the expected number as fixed, with
// standard error sqrt((1-π)/n1) of the logarithm.
//
// Debray et al., BMJ 2017; 356: i6460.
func OE(s *Sample) Result {
	v := oe(s)
	r := newResult(s, v)
	if !r.Defined() {
		return r
	}
	r.Interval = Interval{Method: LogScale, Level: Level}
	switch {
	case s.events == 0:
		r.Interval.Undefined = OneClass
	case math.IsInf(v.v, 0):
		r.Interval.Undefined = ZeroDenominator
	case s.controls() == 0:
		r.Interval.Undefined = ZeroVariance
	default:
		half := z * oeLogSE(s)
		r.Interval.Lower, r.Interval.Upper = v.v*math.Exp(-half), v.v*math.Exp(half)
	}
	return r
}

// oeLogSE is the standard error of the logarithm of O:E.
func oeLogSE(s *Sample) float64 { return math.Sqrt((1 - s.prevalence()) / float64(s.events)) }

func oe(s *Sample) value {
	if s.N() == 0 {
		return undefined(Empty)
	}
	var expected float64
	for _, p := range s.risks {
		expected += p
	}
	return ratio(float64(s.events), expected)
}

// Recalibration is the logistic recalibration of a sample: three models of
// logit P = a + b logit(risk) and the likelihood-ratio tests between them.
// Results with a value have profile-likelihood intervals (the joint intercept a
// Wald interval); [WaldInterval] makes the others of the standard errors, which
// come from the information at the maximum.
type Recalibration struct {
	// Intercept is calibration in the large: a with b held at 1. Below 0 the
	// risks are too high.
	Intercept   Result
	InterceptSE float64
	// Slope is b with a free: below 1 the risks are too extreme.
	Slope   Result
	SlopeSE float64
	// JointIntercept is the a fitted together with the slope. It depends on the
	// slope and is not calibration in the large.
	JointIntercept   Result
	JointInterceptSE float64

	// Weak tests a = 0 and b = 1 together (Cox's test of weak calibration, 2
	// degrees of freedom), InTheLarge a = 0 at b = 1, and SlopeTest b = 1 with a
	// free (1 degree each). Weak is the sum of the other two.
	Weak, InTheLarge, SlopeTest Test
}

// Recalibrate fits the recalibration of s. The intercept exists where both
// classes do and no risk is exactly 0 or 1; the slope further needs risks that
// differ and that no threshold separates.
//
// Cox, Biometrika 1958; 45: 562-565. Miller, Langefeld, Tierney, Hui and
// McDonald, Medical Decision Making 1993; 13: 49-58. Steyerberg, Clinical
// Prediction Models, 2nd ed. 2019, chapter 15.
func Recalibrate(s *Sample) Recalibration { return recalibrate(s, Level) }

func recalibrate(s *Sample, level float64) (r Recalibration) {
	c, why := logitCases(s)
	if why != "" {
		r.Intercept = newResult(s, undefined(why))
		r.Slope, r.JointIntercept = r.Intercept, r.Intercept
		t := Test{Undefined: why}
		r.Weak, r.InTheLarge, r.SlopeTest = t, t, t
		return r
	}
	asIs, _, _ := c.LogLikelihood(0, 1)

	a := c.Shift(1, 0)
	shifted, _, _ := c.LogLikelihood(a, 1)
	r.InterceptSE = 1 / math.Sqrt(c.Information(a))
	r.Intercept = newResult(s, defined(a))
	z := normalQuantile(level)
	r.Intercept.Interval = profileInterval(level)(c.ShiftLimits(a, r.InterceptSE, z))
	r.InTheLarge = chiSquared(2*(shifted-asIs), 1)

	var f logistic.Fit
	if err := f.Maximise(c); err != nil {
		why := unfitted(err)
		r.Slope, r.JointIntercept = newResult(s, undefined(why)), newResult(s, undefined(why))
		if why == NotAvailable {
			r.Slope.Note = unconverged
			r.JointIntercept.Note = r.Slope.Note
		}
		r.Weak, r.SlopeTest = Test{Undefined: why}, Test{Undefined: why}
		return r
	}
	f.Settle()
	var b, joint float64
	b, r.SlopeSE = f.Slope()
	joint, r.JointInterceptSE = f.Intercept()
	r.Slope, r.JointIntercept = newResult(s, defined(b)), newResult(s, defined(joint))
	r.JointIntercept.Interval = WaldInterval(joint, r.JointInterceptSE, level)
	r.Slope.Interval = profileInterval(level)(f.SlopeLimits(z))
	best := f.LogLikelihood()
	r.Weak = chiSquared(2*(best-asIs), 2)
	r.SlopeTest = chiSquared(2*(best-shifted), 1)
	return r
}

// profileInterval makes an interval of limits of a profile likelihood.
func profileInterval(level float64) func(lower, upper float64, ok bool) Interval {
	return func(lower, upper float64, ok bool) Interval {
		i := Interval{Lower: lower, Upper: upper, Method: ProfileLikelihood, Level: level}
		if !ok {
			i.Undefined = NotAvailable
		}
		return i
	}
}

// unfitted is the reason why there is no fit; "" where there is one.
func unfitted(err error) Reason {
	switch err {
	case nil:
		return ""
	case logistic.ErrOneClass:
		return OneClass
	case logistic.ErrConstant:
		return ConstantRisk
	case logistic.ErrSeparated:
		return Separated
	}
	return NotAvailable
}

// logitCases returns the logits of s, which exist only for risks strictly
// between 0 and 1, where s has both classes. They are made once and must not be
// changed.
func logitCases(s *Sample) (*logistic.Cases, Reason) {
	s.logits.made.Do(func() { s.logits.why = setLogits(&s.logits.cases, s) })
	if s.logits.why != "" {
		return nil, s.logits.why
	}
	return &s.logits.cases, ""
}

func setLogits(c *logistic.Cases, s *Sample) Reason {
	if why := s.bothClasses(); why != "" {
		return why
	}
	ties := s.distinct()
	if ties[0].risk == 0 || ties[len(ties)-1].risk == 1 {
		return ExtremeRisk
	}
	n := len(ties)
	c.X, c.Events, c.Controls = grow(c.X, n), grow(c.Events, n), grow(c.Controls, n)
	for i, t := range ties {
		c.X[i] = logit(t.risk)
		c.Events[i], c.Controls[i] = float64(t.events), float64(t.controls)
	}
	return ""
}

// CalibrationIntercept returns calibration in the large, which is the Intercept
// of [Recalibrate].
func CalibrationIntercept(s *Sample) Result { return Recalibrate(s).Intercept }

// CalibrationSlope returns the Slope of [Recalibrate].
func CalibrationSlope(s *Sample) Result { return Recalibrate(s).Slope }

// JointCalibration returns the Slope and the JointIntercept of [Recalibrate].
func JointCalibration(s *Sample) (slope, intercept Result) {
	r := Recalibrate(s)
	return r.Slope, r.JointIntercept
}

// interceptOf and slopeOf return estimates alone, for refits.
func interceptOf(s *Sample) value {
	c, why := logitCases(s)
	if why != "" {
		return undefined(why)
	}
	return defined(c.Shift(1, 0))
}

func slopeOf(f *logistic.Fit, s *Sample) value {
	c, why := logitCases(s)
	if why == "" {
		why = unfitted(f.Maximise(c))
	}
	if why != "" {
		return undefined(why)
	}
	b, _ := f.Slope()
	return defined(b)
}

// Spiegelhalter tests whether the Brier score is what calibrated risks would
// give: z = Σ(y-p)(1-2p) / sqrt(Σ(1-2p)²p(1-p)), two-sided. It misses
// miscalibration that cancels, and risks of 0, 1/2 and 1 do not enter the
// variance.
//
// Spiegelhalter, Statistics in Medicine 1986; 5: 421-433.
func Spiegelhalter(s *Sample) Test {
	if s.N() == 0 {
		return Test{Undefined: Empty}
	}
	var sum, variance float64
	for i, p := range s.risks {
		sum += (float64(s.outcomes[i]) - p) * (1 - 2*p)
		variance += (1 - 2*p) * (1 - 2*p) * p * (1 - p)
	}
	v := ratio(sum, math.Sqrt(variance))
	if v.undefined != "" {
		return Test{Undefined: v.undefined}
	}
	return Test{Statistic: v.v, P: 2 * distuv.UnitNormal.CDF(-math.Abs(v.v))}
}
