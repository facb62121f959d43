package metrics

import (
	"fmt"
	"math"
	"slices"
)

// Uncertainty is a named rule that says how uncertain the class of a subject is.
type Uncertainty string

// Rules of uncertainty.
const (
	// NearThreshold is -|p - t|: the nearer to the threshold, the more uncertain.
	NearThreshold Uncertainty = "near_threshold"
	// RiskEntropy is the entropy of the risk, largest at 1/2.
	RiskEntropy Uncertainty = "entropy"
	// RiskVariance is p(1-p), which orders subjects as the entropy does.
	RiskVariance Uncertainty = "variance"
)

// UncertaintyOf returns the uncertainty of each subject of s by rule, for the
// threshold t.
func UncertaintyOf(s *Sample, rule Uncertainty, t float64) ([]float64, error) {
	of := map[Uncertainty]func(p float64) float64{
		NearThreshold: func(p float64) float64 { return -math.Abs(p - t) },
		RiskEntropy:   Entropy,
		RiskVariance:  func(p float64) float64 { return p * (1 - p) },
	}[rule]
	if of == nil {
		return nil, fmt.Errorf("uncertainty rule %q is none of %s, %s and %s", rule, NearThreshold, RiskEntropy, RiskVariance)
	}
	u := make([]float64, s.N())
	for i, p := range s.risks {
		u[i] = of(p)
	}
	return u, nil
}

// Entropy is the entropy of an event of probability p in nats: 0 at 0 and 1,
// ln 2 at 1/2.
func Entropy(p float64) float64 {
	var h float64
	if p > 0 {
		h -= p * math.Log(p)
	}
	if p < 1 {
		h -= (1 - p) * math.Log1p(-p)
	}
	return h
}

// Selection is the classification of a sample by increasing uncertainty.
type Selection struct {
	sample    *Sample
	order     []int
	threshold float64
	errors    []int // [k]: among the k+1 most certain subjects
}

// Select orders the subjects by increasing uncertainty, one number a subject,
// ties in the order of rows, and classifies them at threshold t. Uncertainty that
// is not a number is an error that names the row.
func Select(s *Sample, uncertainty []float64, t float64) (*Selection, error) {
	if len(uncertainty) != s.N() {
		return nil, &InputError{Refit: -1, Row: -1, Problem: fmt.Sprintf("%d subjects but %d uncertainties", s.N(), len(uncertainty))}
	}
	if math.IsNaN(t) {
		return nil, &InputError{Refit: -1, Row: -1, Problem: "the threshold is not a number"}
	}
	order := make([]int, s.N())
	for i := range order {
		if math.IsNaN(uncertainty[i]) {
			return nil, &InputError{Refit: -1, Row: i, Problem: "the uncertainty is not a number"}
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case uncertainty[a] < uncertainty[b]:
			return -1
		case uncertainty[a] > uncertainty[b]:
			return 1
		}
		return 0
	})
	sel := &Selection{sample: s, order: order, threshold: t, errors: make([]int, s.N())}
	wrong := 0
	for k, row := range order {
		if (s.risks[row] >= t) != (s.outcomes[row] == 1) {
			wrong++
		}
		sel.errors[k] = wrong
	}
	return sel, nil
}

// RiskCoverage is the area under the risk-coverage curve: the mean over k of the
// share of errors among the k most certain subjects. Optimum is its least value
// with as many errors, all last; Excess is their difference.
//
// Geifman, Uziel and El-Yaniv, ICLR 2019.
type RiskCoverage struct {
	AURC, Optimum, Excess Result
}

// RiskCoverage returns the areas of the selection.
func (sel *Selection) RiskCoverage() RiskCoverage {
	n := len(sel.order)
	if n == 0 {
		r := newResult(sel.sample, undefined(Empty))
		return RiskCoverage{r, r, r}
	}
	var area, least float64
	for k, e := range sel.errors {
		area += float64(e) / float64(k+1)
	}
	e := sel.errors[n-1]
	for j := 1; j <= e; j++ {
		least += float64(j) / float64(n-e+j)
	}
	area, least = area/float64(n), least/float64(n)
	of := func(v float64) Result { return newResult(sel.sample, defined(v)) }
	return RiskCoverage{of(area), of(least), of(area - least)}
}

// Retained are the subjects kept at a rate of retention. Kept is their number:
// max(least, floor(rate n)), at most n, and Coverage is Kept/n, which is not the
// nominal Rate. Each subset has its own prevalence, so that the scaled Brier
// score and net benefit of different rates do not compare.
type Retained struct {
	Rate, Coverage, Prevalence float64
	Kept, Errors               int
	Accuracy                   Result
	AUROC, Brier, ScaledBrier  Result
	NetBenefit                 Result
}

// Retention returns what is kept at each rate in (0, 1], at least `least`
// subjects. Measures without a value in a subset say why.
func (sel *Selection) Retention(rates []float64, least int) ([]Retained, error) {
	n := len(sel.order)
	if least < 1 {
		return nil, fmt.Errorf("at least %d subjects kept: want 1 or more", least)
	}
	out := make([]Retained, 0, len(rates))
	for _, rate := range rates {
		if !(rate > 0 && rate <= 1) {
			return nil, fmt.Errorf("rate of retention %v is not in (0, 1]", rate)
		}
		// 0.3 n is a whole number where it is one on paper.
		k := min(n, max(least, int(math.Floor(rate*float64(n)*(1+0x1p-50)))))
		kept := &Sample{outcomes: make([]int, k), risks: make([]float64, k)}
		for i, row := range sel.order[:k] {
			kept.outcomes[i], kept.risks[i] = sel.sample.outcomes[row], sel.sample.risks[row]
			kept.events += kept.outcomes[i]
		}
		r := Retained{
			Rate: rate, Kept: k, Coverage: float64(k) / float64(n), Prevalence: kept.prevalence(),
			Accuracy: Classify(kept, sel.threshold).Accuracy(),
			AUROC:    AUROC(kept), Brier: Brier(kept), ScaledBrier: ScaledBrier(kept),
			NetBenefit: NetBenefit(kept, sel.threshold),
		}
		if k > 0 {
			r.Errors = sel.errors[k-1]
		}
		out = append(out, r)
	}
	return out, nil
}
