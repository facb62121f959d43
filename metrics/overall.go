package metrics

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// Brier returns the mean squared difference of outcome and risk, in [0, 1]. It
// has no interval without a bootstrap.
func Brier(s *Sample) Result { return newResult(s, brier(s)) }

func brier(s *Sample) value {
	if s.N() == 0 {
		return undefined(Empty)
	}
	var sum float64
	for i, p := range s.risks {
		d := float64(s.outcomes[i]) - p
		sum += d * d
	}
	return defined(sum / float64(s.N()))
}

// ScaledBrier returns 1 - Brier/(π(1-π)) with π the prevalence: 1 is perfect, 0
// as good as the prevalence for everybody, below 0 worse than that. It is also
// called the index of prediction accuracy.
//
// Steyerberg et al., Epidemiology 2010; 21: 128-138.
func ScaledBrier(s *Sample) Result { return newResult(s, scaledBrier(s, brier(s))) }

func scaledBrier(s *Sample, brier value) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	pi := s.prevalence()
	return defined(1 - brier.v/(pi*(1-pi)))
}

// logChance is the log of the risk given to what happened: -Inf where a certain
// risk was wrong.
func logChance(outcome int, risk float64) float64 {
	if outcome == 1 {
		return math.Log(risk)
	}
	return math.Log1p(-risk)
}

// LogLikelihood returns Σ y ln p + (1-y) ln(1-p), at most 0: -Inf where a
// certain risk was wrong. Risks are not moved away from 0 and 1.
func LogLikelihood(s *Sample) Result { return newResult(s, logLikelihood(s)) }

func logLikelihood(s *Sample) value {
	if s.N() == 0 {
		return undefined(Empty)
	}
	var sum float64
	for i, p := range s.risks {
		sum += logChance(s.outcomes[i], p)
	}
	return defined(sum)
}

// NullLogLikelihood returns the log-likelihood of the prevalence for everybody:
// 0 for one class.
func NullLogLikelihood(s *Sample) Result {
	if s.N() == 0 {
		return newResult(s, undefined(Empty))
	}
	return newResult(s, defined(nullLogLikelihood(float64(s.events), float64(s.controls()))))
}

func nullLogLikelihood(events, controls float64) float64 {
	n := events + controls
	var l float64
	if events > 0 {
		l += events * math.Log(events/n)
	}
	if controls > 0 {
		l += controls * math.Log(controls/n)
	}
	return l
}

// LogLoss returns the mean negative log-likelihood (logarithmic score,
// cross-entropy), in [0, Inf]. scikit-learn's log_loss moves risks away from 0
// and 1 and is finite where this is not.
func LogLoss(s *Sample) Result {
	v := logLikelihood(s)
	v.v = -v.v / float64(s.N())
	if v.v == 0 {
		v.v = 0 // no -0
	}
	return newResult(s, v)
}

// McFadden returns 1 - l/l0, with l the log-likelihood of the risks as they are
// and l0 that of the prevalence: at most 1, below 0 for risks that are worse than
// the prevalence.
//
// McFadden, in Zarembka (ed.), Frontiers in Econometrics, 1974: 105-142.
func McFadden(s *Sample) Result { return newResult(s, rSquared(s, mcFadden)) }

// CoxSnell returns 1 - exp(2(l0-l)/n), whose largest value is below 1.
//
// Cox and Snell, Analysis of Binary Data, 2nd ed. 1989.
func CoxSnell(s *Sample) Result { return newResult(s, rSquared(s, coxSnell)) }

// Nagelkerke returns Cox and Snell's R² divided by its largest value. All of it
// is of the risks as they are, not of recalibrated ones.
//
// Nagelkerke, Biometrika 1991; 78: 691-692.
func Nagelkerke(s *Sample) Result { return newResult(s, rSquared(s, nagelkerke)) }

func rSquared(s *Sample, of func(l, l0, n float64) float64) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	l0 := nullLogLikelihood(float64(s.events), float64(s.controls()))
	return defined(of(logLikelihood(s).v, l0, float64(s.N())))
}

func mcFadden(l, l0, _ float64) float64   { return 1 - l/l0 }
func coxSnell(l, l0, n float64) float64   { return -math.Expm1(2 * (l0 - l) / n) }
func nagelkerke(l, l0, n float64) float64 { return coxSnell(l, l0, n) / -math.Expm1(2*l0/n) }

// DiscriminationSlope returns the mean risk of events minus that of controls,
// in [-1, 1]. It depends on calibration and is no proper measure.
//
// Yates, Organizational Behavior and Human Performance 1982; 30: 132-156.
func DiscriminationSlope(s *Sample) Result {
	if why := s.bothClasses(); why != "" {
		return newResult(s, undefined(why))
	}
	var sum [2]float64
	for i, p := range s.risks {
		sum[s.outcomes[i]] += p
	}
	return newResult(s, defined(sum[1]/float64(s.events)-sum[0]/float64(s.controls())))
}

// MeanAbsoluteError returns the mean of |y - p|, which the STRATOS overview
// calls MAPE. It is improper: it is least for risks of 0 and 1. It is not the
// mean absolute prediction error of Riley's instability.
func MeanAbsoluteError(s *Sample) Result {
	if s.N() == 0 {
		return newResult(s, undefined(Empty))
	}
	var sum float64
	for i, p := range s.risks {
		sum += math.Abs(float64(s.outcomes[i]) - p)
	}
	return newResult(s, defined(sum/float64(s.N())))
}

// Decomposition is Murphy's of the Brier score over groups of risks, with the
// terms within groups: Brier = Reliability - Resolution + Uncertainty +
// WithinVariance - 2 WithinCovariance. The first three alone are the Brier score
// only where all risks of a group are equal.
//
// Stephenson, Coelho and Jolliffe, Weather and Forecasting 2008; 23: 752-757.
type Decomposition struct {
	Reliability, Resolution, Uncertainty float64
	WithinVariance, WithinCovariance     float64
	Undefined                            Reason
}

// DecomposeBrier decomposes the Brier score of s over groups of equal width.
func DecomposeBrier(s *Sample, groups int) Decomposition {
	if s.N() == 0 {
		return Decomposition{Undefined: Empty}
	}
	if groups < 1 {
		return Decomposition{Undefined: InvalidInput}
	}
	bins := CalibrationBins(s, groups)
	n, pi := float64(s.N()), s.prevalence()
	d := Decomposition{Uncertainty: pi * (1 - pi)}
	for _, b := range bins {
		if b.N > 0 {
			gap, from := b.Predicted-b.Observed, b.Observed-pi
			d.Reliability += float64(b.N) * (gap * gap) / n
			d.Resolution += float64(b.N) * (from * from) / n
		}
	}
	for i, p := range s.risks {
		b := bins[widthBin(bins, p)]
		within := p - b.Predicted
		d.WithinVariance += within * within / n
		d.WithinCovariance += (float64(s.outcomes[i]) - b.Observed) * within / n
	}
	return d
}

// Quality is Harrell's partition of a likelihood ratio index: Discrimination of
// the risks against the prevalence, Unreliability of the risks against the
// recalibrated ones, and Quality, their difference, each a likelihood ratio less
// its expectation under no effect and divided by n, with its test. They are the
// D, U and Q of val.prob in R's rms.
//
// Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 10.9.
type Quality struct {
	Discrimination, Unreliability, Quality Result
	DiscriminationTest, UnreliabilityTest  Test
}

// QualityIndexes returns Harrell's indexes of s.
func QualityIndexes(s *Sample) (q Quality) {
	r := Recalibrate(s)
	q.UnreliabilityTest = r.Weak
	q.Unreliability = newResult(s, undefined(r.Weak.Undefined))
	if r.Weak.Defined() {
		q.Unreliability = newResult(s, defined((r.Weak.Statistic-2)/float64(s.N())))
	}
	lr := rSquared(s, func(l, l0, _ float64) float64 { return 2 * (l - l0) })
	q.Discrimination = newResult(s, lr)
	q.DiscriminationTest.Undefined = lr.undefined
	if lr.undefined == "" {
		q.Discrimination = newResult(s, defined((lr.v-1)/float64(s.N())))
		q.DiscriminationTest = Test{Statistic: lr.v, DF: 1, P: 1}
		if lr.v > 0 {
			q.DiscriminationTest.P = mathext.GammaIncRegComp(0.5, lr.v/2)
		}
	}
	q.Quality = q.Unreliability
	if q.Quality.Defined() {
		q.Quality = q.Discrimination
	}
	if q.Quality.Defined() {
		q.Quality = newResult(s, defined(q.Discrimination.Value-q.Unreliability.Value))
	}
	return q
}
