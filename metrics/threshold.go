package metrics

import (
	"math"
	"sort"
)

// NetBenefit returns the net benefit at threshold t in (0, 1): true positives
// less false positives weighted by the odds of t, per subject. At t = 1 the
// odds have no value.
//
// Vickers and Elkin, Medical Decision Making 2006; 26: 565-574.
func NetBenefit(s *Sample, t float64) Result { return newResult(s, netBenefit(s, t)) }

func netBenefit(s *Sample, t float64) value {
	if why := decidable(s, t); why != "" {
		return undefined(why)
	}
	tp, fp := positives(s, t)
	return defined(benefit(s.N(), tp, fp, t))
}

// NetBenefitAll returns the net benefit of treating everybody at threshold t
// in (0, 1). It falls below 0 where t exceeds the prevalence.
func NetBenefitAll(s *Sample, t float64) Result {
	if why := decidable(s, t); why != "" {
		return newResult(s, undefined(why))
	}
	return newResult(s, defined(benefit(s.N(), s.events, s.controls(), t)))
}

// decidable says why s has no net benefit at t.
func decidable(s *Sample, t float64) Reason {
	switch {
	case s.N() == 0:
		return Empty
	case t == 1:
		return ZeroDenominator
	case !(t > 0 && t < 1):
		return InvalidInput
	}
	return ""
}

func benefit(n, tp, fp int, t float64) float64 {
	return float64(tp)/float64(n) - float64(fp)/float64(n)*t/(1-t)
}

// positives counts the events and the controls with a risk of at least t.
func positives(s *Sample, t float64) (tp, fp int) {
	for i, p := range s.risks {
		if p >= t {
			tp += s.outcomes[i]
			fp += 1 - s.outcomes[i]
		}
	}
	return tp, fp
}

// Sensitivity returns the share of events with a risk of at least t, with
// Wilson's interval.
func Sensitivity(s *Sample, t float64) Result {
	tp, _ := positives(s, t)
	return proportion(s, t, tp, s.events)
}

// Specificity returns the share of controls with a risk below t, with
// Wilson's interval.
func Specificity(s *Sample, t float64) Result {
	_, fp := positives(s, t)
	return proportion(s, t, s.controls()-fp, s.controls())
}

func proportion(s *Sample, t float64, x, n int) Result {
	switch {
	case s.N() == 0:
		return newResult(s, undefined(Empty))
	case math.IsNaN(t):
		return newResult(s, undefined(InvalidInput))
	case n == 0:
		return newResult(s, undefined(OneClass))
	}
	r := newResult(s, defined(float64(x)/float64(n)))
	r.Interval = Interval{Method: WilsonScore, Level: Level}
	r.Interval.Lower, r.Interval.Upper = Wilson(x, n, Level)
	return r
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

// DecisionPoint is a decision curve at one threshold. Treating nobody has net
// benefit 0 at all of them. A number is NaN where it is undefined.
type DecisionPoint struct {
	Threshold                float64
	Model, All               float64 // net benefit
	Sensitivity, Specificity float64
}

// DecisionCurve returns the decision curve at the given thresholds, in their
// order.
func DecisionCurve(s *Sample, thresholds []float64) []DecisionPoint {
	var w workspace
	order := w.ascending(s)
	eventsBelow := make([]int, len(order)+1) // [k]: among the k lowest risks
	for k, row := range order {
		eventsBelow[k+1] = eventsBelow[k] + s.outcomes[row]
	}
	points := make([]DecisionPoint, len(thresholds))
	for i, t := range thresholds {
		nan := math.NaN()
		points[i] = DecisionPoint{Threshold: t, Model: nan, All: nan, Sensitivity: nan, Specificity: nan}
		if math.IsNaN(t) {
			continue
		}
		below := sort.Search(len(order), func(k int) bool { return s.risks[order[k]] >= t })
		fn := eventsBelow[below]
		tn := below - fn
		if s.events > 0 {
			points[i].Sensitivity = float64(s.events-fn) / float64(s.events)
		}
		if s.controls() > 0 {
			points[i].Specificity = float64(tn) / float64(s.controls())
		}
		if decidable(s, t) == "" {
			points[i].Model = benefit(s.N(), s.events-fn, s.controls()-tn, t)
			points[i].All = benefit(s.N(), s.events, s.controls(), t)
		}
	}
	return points
}
