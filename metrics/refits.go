package metrics

import (
	"math"

	"gonum.org/v1/gonum/stat"

	"github.com/foundation-plr/pipeline/metrics/logistic"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Estimands: what a measure of a refitted model is a measure of.
const (
	OverModels = "over_models" // the measure of each refit, summarised over refits
	MeanRisk   = "mean_risk"   // the measure of the mean risk over refits
)

// Refits is one set of subjects with the risks that each refit of a model
// gives them.
type Refits struct {
	outcomes []int
	risks    [][]float64
	events   int
}

// NewRefits checks outcomes (0 or 1) and risks (in [0,1], first index the
// refit, second the subject as in outcomes). It keeps both slices: they must
// not be changed afterwards. The error is an [*InputError].
func NewRefits(outcomes []int, risks [][]float64) (*Refits, error) {
	if len(risks) == 0 {
		return nil, &InputError{Refit: -1, Row: -1, Problem: "no refits"}
	}
	events, err := checkOutcomes(outcomes)
	if err != nil {
		return nil, err
	}
	for m := range risks {
		if err := checkRisks(risks[m], len(outcomes), m); err != nil {
			return nil, err
		}
	}
	return &Refits{outcomes: outcomes, risks: risks, events: events}, nil
}

// Len returns the number of refits.
func (r *Refits) Len() int { return len(r.risks) }

// sample returns the subjects with the risks of refit m, sharing memory.
func (r *Refits) sample(m int) *Sample {
	return &Sample{outcomes: r.outcomes, risks: r.risks[m], events: r.events}
}

// Each calls measure with the sample of each refit, in their order, which has that of
// the next thereafter.
func (r *Refits) Each(measure func(s *Sample)) {
	s := r.sample(0)
	for _, risks := range r.risks {
		s.reset(risks)
		measure(s)
	}
}

// Mean returns the mean risk of each subject over refits. It is rounded once,
// so that it does not depend on the order of refits: subjects with the same
// risks in another order stay tied, and a risk that no refit changes stays
// what it is.
func (r *Refits) Mean() []float64 {
	n := float64(r.Len())
	means := make([]float64, len(r.outcomes))
	for i := range means {
		var sum, rest float64 // their exact sum is that of the risks (Knuth's TwoSum)
		for _, risks := range r.risks {
			p := risks[i]
			t := sum + p
			u := t - sum
			rest += (sum - (t - u)) + (p - u)
			sum = t
		}
		mean := sum / n
		means[i] = mean + (math.FMA(-mean, n, sum)+rest)/n
	}
	return means
}

// Spread describes how a measure varies over refits: the 2.5 and 97.5 %
// quantiles (type 7) and the standard deviation (divisor n) of the refits in
// which it is defined. It shows the variation of training, not the sampling of
// subjects, and is never a confidence interval. The numbers are finite unless
// Undefined is set; fewer than two refits with a value are [TooFew].
type Spread struct {
	Lower, Upper, SD float64
	NUndefined       int // refits in which the measure is undefined
	Undefined        Reason
}

// overRefits holds one measure in every refit.
type overRefits struct {
	defined   []float64
	undefined map[Reason]int
}

func (o *overRefits) add(v value) {
	if v.undefined == "" {
		o.defined = append(o.defined, v.v)
		return
	}
	if o.undefined == nil {
		o.undefined = make(map[Reason]int)
	}
	o.undefined[v.undefined]++
}

func (o *overRefits) nUndefined() int {
	var n int
	for _, k := range o.undefined {
		n += k
	}
	return n
}

// summary returns the mean or median of the refits with a value, and their
// spread. Without any, the reason is the first of [reasons] that occurs.
func (o *overRefits) summary(median bool) (value, *Spread) {
	spread := &Spread{NUndefined: o.nUndefined()}
	if len(o.defined) == 0 {
		for _, why := range reasons {
			if o.undefined[why] > 0 {
				spread.Undefined = why
				return undefined(why), spread
			}
		}
	}
	resample.Sort(o.defined)
	if len(o.defined) < 2 {
		spread.Undefined = TooFew // one refit does not vary; a deviation of 0 would say that it cannot
	} else if math.IsInf(o.defined[0], 0) || math.IsInf(o.defined[len(o.defined)-1], 0) {
		spread.Undefined = ZeroDenominator // only a ratio is infinite
	} else {
		spread.Lower, spread.Upper = resample.Quantile(o.defined, 0.025), resample.Quantile(o.defined, 0.975)
		spread.SD = deviation(o.defined)
	}
	if median {
		return defined(resample.Quantile(o.defined, 0.5)), spread
	}
	return defined(stat.Mean(o.defined, nil)), spread
}

// deviation returns the standard deviation (divisor n) of sorted finite
// values. Squares of a ratio of tiny risks overflow, so huge values are scaled
// by a power of two.
func deviation(sorted []float64) float64 {
	_, exponent := math.Frexp(max(math.Abs(sorted[0]), math.Abs(sorted[len(sorted)-1])))
	if exponent < 500 {
		return stat.PopStdDev(sorted, nil)
	}
	scaled := make([]float64, len(sorted))
	for i, v := range sorted {
		scaled[i] = math.Ldexp(v, -exponent)
	}
	return math.Ldexp(stat.PopStdDev(scaled, nil), exponent)
}

// Row is one measure under one estimand, with its domain and tier. Spread is nil
// under [MeanRisk].
type Row struct {
	Estimand, Measure, Domain, Tier string
	Result
	Spread *Spread
}

// measure is one row of the table of measures over refits: how one refit is
// measured and how refits are summarised.
type measure struct {
	name, domain, tier string
	median             bool // over refits: heavy-tailed measures have no useful mean
	ofRefit            func(w *logistic.Fit, s *Sample) value
}

const aurocKey = "auroc"

// measures are those of a refit; classes are how it classifies at each threshold.
func measures(classes []Confusion, thresholds []float64) []measure {
	const recommended, notEssential = Recommended, NotEssential
	list := []measure{
		{name: aurocKey, domain: Discrimination, tier: recommended,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return auroc(s) }},
		{name: "brier", domain: Overall, tier: notEssential,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return brier(s) }},
		{name: "scaled_brier", domain: Overall, tier: notEssential,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return scaledBrier(s, brier(s)) }},
		{name: "cal_intercept_offset", domain: Calibration, tier: notEssential, median: true,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return interceptOf(s) }},
		{name: "cal_slope", domain: Calibration, tier: notEssential, median: true,
			ofRefit: slopeOf},
		{name: "oe_ratio", domain: Calibration, tier: notEssential, median: true,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return oe(s) }},
	}
	for k, t := range thresholds {
		c := &classes[k]
		list = append(list, measure{
			name: "nb@" + short(t), domain: Utility, tier: recommended,
			ofRefit: func(_ *logistic.Fit, s *Sample) value { return ofClasses(s.N(), c, t) },
		})
	}
	return list
}

// meanAUROCInterval returns DeLong's interval, on the logit scale, of the mean
// AUROC a over refits, of placements summed over them. With the kernel of pairs
// averaged over refits, K = mean of psi(p_i, p_j), its row and column means are
// these placements divided by 2 n0 (2 n1) and the number of refits.
func meanAUROCInterval(s *Sample, a float64, placed []float64, refits int) Interval {
	i := Interval{Method: DeLongLogit, Level: Level}
	if s.events < 2 || s.controls() < 2 {
		i.Undefined = TooFew
		return i
	}
	var of [2][]float64
	for row, y := range s.outcomes {
		of[y] = append(of[y], placed[row])
	}
	m, n1, n0 := float64(refits), float64(s.events), float64(s.controls())
	variance := stat.Variance(of[1], nil)/(4*n0*n0)/n1 + stat.Variance(of[0], nil)/(4*n1*n1)/n0
	variance /= m * m
	if variance == 0 || a == 0 || a == 1 {
		i.Undefined = ZeroVariance
		return i
	}
	i.Lower, i.Upper = logitLimits(a, variance, Level)
	return i
}
