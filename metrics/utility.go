package metrics

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// odds is the weight of a false positive against a true positive at threshold t.
func odds(t float64) float64 { return t / (1 - t) }

// NetBenefit returns the net benefit at threshold t in (0, 1): true positives
// less false positives weighted by the odds of t, per subject; at most the
// prevalence, without lower bound. At t = 1 the odds have no value. It depends on
// the prevalence ([Confusion.AtPrevalence] gives it at another).
//
// Vickers and Elkin, Medical Decision Making 2006; 26: 565-574.
func NetBenefit(s *Sample, t float64) Result { return newResult(s, netBenefit(s, t)) }

func netBenefit(s *Sample, t float64) value {
	if why := decidable(s.N(), t); why != "" {
		return undefined(why)
	}
	tp, fp := positives(s, t)
	return defined(benefit(s.N(), tp, fp, t))
}

// ofClasses is the net benefit of a classification of n subjects at t.
func ofClasses(n int, c *Confusion, t float64) value {
	if why := decidable(n, t); why != "" {
		return undefined(why)
	}
	return defined(benefit(n, c.TP, c.FP, t))
}

// NetBenefitAll returns the net benefit of treating everybody at threshold t
// in (0, 1). It falls below 0 where t exceeds the prevalence.
func NetBenefitAll(s *Sample, t float64) Result {
	if why := decidable(s.N(), t); why != "" {
		return newResult(s, undefined(why))
	}
	return newResult(s, defined(benefit(s.N(), s.events, s.controls(), t)))
}

// StandardisedNetBenefit returns the net benefit divided by the prevalence, its
// largest possible value: at most 1, without lower bound.
//
// Kerr, Brown, Zhu and Janes, Journal of Clinical Oncology 2016; 34: 2534-2540.
func StandardisedNetBenefit(s *Sample, t float64) Result {
	v := netBenefit(s, t)
	if v.undefined == "" && s.events == 0 {
		v = undefined(OneClass)
	}
	v.v /= s.prevalence()
	return newResult(s, v)
}

// InterventionsAvoided returns the net reduction in interventions per subject
// against treating everybody, (NB - NB of all)/odds, at threshold t in (0, 1).
func InterventionsAvoided(s *Sample, t float64) Result {
	v := netBenefit(s, t)
	if v.undefined == "" {
		v.v = (v.v - benefit(s.N(), s.events, s.controls(), t)) / odds(t)
	}
	return newResult(s, v)
}

// decidable says why n subjects have no net benefit at t.
func decidable(n int, t float64) Reason {
	switch {
	case n == 0:
		return Empty
	case t == 1:
		return ZeroDenominator
	case !(t > 0 && t < 1):
		return InvalidInput
	}
	return ""
}

func benefit(n, tp, fp int, t float64) float64 {
	return float64(tp)/float64(n) - float64(fp)/float64(n)*odds(t)
}

// DecisionPoint is a decision curve at one threshold. Treating nobody has net
// benefit 0 at all of them. A number is NaN where it is undefined.
type DecisionPoint struct {
	Threshold                float64
	Model, All               float64 // net benefit
	Sensitivity, Specificity float64
}

// DecisionCurve returns the decision curve at the given thresholds, in their
// order; [DecisionBand] gives its band.
func DecisionCurve(s *Sample, thresholds []float64) []DecisionPoint {
	ties := s.distinct()
	eventsBelow := make([]int, len(ties)+1) // [k]: with the k lowest risks
	controlsBelow := make([]int, len(ties)+1)
	for k, t := range ties {
		eventsBelow[k+1] = eventsBelow[k] + t.events
		controlsBelow[k+1] = controlsBelow[k] + t.controls
	}
	points := make([]DecisionPoint, len(thresholds))
	for i, t := range thresholds {
		nan := math.NaN()
		points[i] = DecisionPoint{Threshold: t, Model: nan, All: nan, Sensitivity: nan, Specificity: nan}
		if math.IsNaN(t) {
			continue
		}
		k := below(ties, t)
		fn, tn := eventsBelow[k], controlsBelow[k]
		if s.events > 0 {
			points[i].Sensitivity = float64(s.events-fn) / float64(s.events)
		}
		if s.controls() > 0 {
			points[i].Specificity = float64(tn) / float64(s.controls())
		}
		if decidable(s.N(), t) == "" {
			points[i].Model = benefit(s.N(), s.events-fn, s.controls()-tn, t)
			points[i].All = benefit(s.N(), s.events, s.controls(), t)
		}
	}
	return points
}

// DecisionBand returns pointwise 95 % intervals of the net benefit of the model at
// the given thresholds, by percentiles of a stratified subject bootstrap. A point
// without a net benefit, or at which it does not vary, says why.
func DecisionBand(s *Sample, thresholds []float64, replicates int, seed uint64) ([]Interval, error) {
	if replicates < 2 {
		return nil, fmt.Errorf("%d replicates: want two or more", replicates)
	}
	statistics := make([]Statistic, len(thresholds))
	for i, t := range thresholds {
		statistics[i] = StatisticNetBenefit(t)
	}
	b, err := NewBootstrap(s, statistics...)
	if err != nil {
		return nil, err
	}
	drawn := b.Draw(replicates, seed, Stratified)
	band := make([]Interval, len(thresholds))
	for i := range band {
		band[i] = drawn.Interval(i, nil, resample.Options{Method: resample.Percentile, Level: Level})
	}
	return band, nil
}

// ExpectedCost returns the least cost per subject, over all thresholds, of
// costFN for each false negative and costFP for each false positive; calling
// nobody positive is among the thresholds. The threshold is chosen on these
// subjects, so that the value is optimistic.
//
// Drummond and Holte, Machine Learning 2006; 65: 95-130.
func ExpectedCost(s *Sample, costFN, costFP float64) Result {
	switch {
	case s.N() == 0:
		return newResult(s, undefined(Empty))
	case !(costFN >= 0 && costFP >= 0) || math.IsInf(costFN, 0) || math.IsInf(costFP, 0):
		return newResult(s, undefined(InvalidInput))
	}
	fn, fp := 0, s.controls()
	least := costFP * float64(fp) // everybody positive
	for _, t := range s.distinct() {
		fn += t.events
		fp -= t.controls
		least = min(least, costFN*float64(fn)+costFP*float64(fp))
	}
	return newResult(s, defined(least/float64(s.N())))
}
