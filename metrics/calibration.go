package metrics

import "math"

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
		half := z * math.Sqrt((1-s.prevalence())/float64(s.events))
		r.Interval.Lower, r.Interval.Upper = v.v*math.Exp(-half), v.v*math.Exp(half)
	}
	return r
}

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

// CalibrationIntercept returns calibration in the large: the a of
// logit P = a + logit(risk), the slope held at 1. Below 0 the risks are too
// high. Its interval is of [ProfileLikelihood]. It is not the intercept of
// [JointCalibration].
//
// Steyerberg, Clinical Prediction Models, 2nd ed. 2019, chapter 15.
func CalibrationIntercept(s *Sample) Result {
	var w workspace
	v, se := w.intercept(s)
	r := newResult(s, v)
	if !r.Defined() {
		return r
	}
	ll, _, _ := logLikelihood(s.outcomes, w.logits, v.v, 1)
	r.Interval = profileInterval(v.v, se, ll, func(a float64) (float64, float64) {
		ll, score, _ := logLikelihood(s.outcomes, w.logits, a, 1)
		return ll, score
	})
	return r
}

// intercept returns the offset intercept and its standard error.
func (w *workspace) intercept(s *Sample) (v value, se float64) {
	if why := s.bothClasses(); why != "" {
		return undefined(why), 0
	}
	if why := w.logitScale(s); why != "" {
		return undefined(why), 0
	}
	a, information := shiftFit(s.outcomes, s.events, w.logits, 1, 0)
	return defined(a), 1 / math.Sqrt(information)
}

// CalibrationSlope returns the b of logit P = a + b logit(risk): below 1 the
// risks are too extreme. It has no finite value, and is undefined, where a
// threshold separates the classes, and none where all risks are equal. Its
// interval is of [ProfileLikelihood].
//
// Cox, Biometrika 1958; 45: 562-565.
func CalibrationSlope(s *Sample) Result {
	slope, _ := JointCalibration(s)
	return slope
}

// JointCalibration returns slope and intercept of logit P = a + b logit(risk),
// fitted together. This intercept depends on the slope and is not calibration
// in the large ([CalibrationIntercept]); it has no interval.
func JointCalibration(s *Sample) (slope, intercept Result) {
	var w workspace
	f, why := w.fitSlope(s)
	if why != "" {
		slope, intercept = newResult(s, undefined(why)), newResult(s, undefined(why))
		if why == NotAvailable {
			slope.Note = "the fit did not converge: but for nearly equal risks the classes are separated"
			intercept.Note = slope.Note
		}
		return slope, intercept
	}
	slope, intercept = newResult(s, defined(f.slope())), newResult(s, defined(f.intercept()))
	at := f.a
	limits := profileInterval(f.b, math.Sqrt(f.varB), f.ll, func(b float64) (float64, float64) {
		at, _ = shiftFit(s.outcomes, s.events, f.x, b, at)
		ll, _, scoreX := logLikelihood(s.outcomes, f.x, at, b)
		return ll, scoreX
	})
	limits.Lower /= f.scale
	limits.Upper /= f.scale
	slope.Interval = limits
	return slope, intercept
}

// slope returns the slope alone.
func (w *workspace) slope(s *Sample) value {
	f, why := w.fitSlope(s)
	if why != "" {
		return undefined(why)
	}
	return defined(f.slope())
}

// Bin is one group of a calibration curve: risks in [Lower, Upper), the last
// also at Upper. Predicted is the mean risk and Observed the share of events;
// both are NaN in an empty bin.
type Bin struct {
	Lower, Upper        float64
	Predicted, Observed float64
	N, Events           int
}

// CalibrationBins groups the subjects by risk into n bins of equal width on
// [0, 1], with edges i/n rounded to the nearest float64. It returns n bins,
// nil for n < 1.
func CalibrationBins(s *Sample, n int) []Bin {
	if n < 1 {
		return nil
	}
	bins := make([]Bin, n)
	for i := range bins {
		bins[i].Lower, bins[i].Upper = float64(i)/float64(n), float64(i+1)/float64(n)
	}
	for i, p := range s.risks {
		// The product may round to the other side of an edge.
		k := min(int(p*float64(n)), n-1)
		if p < bins[k].Lower {
			k--
		} else if k+1 < n && p >= bins[k].Upper {
			k++
		}
		bins[k].N++
		bins[k].Events += s.outcomes[i]
		bins[k].Predicted += p
	}
	for i := range bins {
		b := &bins[i]
		b.Predicted /= float64(b.N) // NaN in an empty bin
		b.Observed = float64(b.Events) / float64(b.N)
	}
	return bins
}
