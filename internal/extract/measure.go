package extract

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// DefaultThresholds are the risks at which classification and net benefit are
// measured.
var DefaultThresholds = []float64{0.05, 0.10, 0.15, 0.20}

// Replicates is the number of resamples of subjects behind an interval that needs
// them, ResampleSeed the seed that they are drawn from. Replicate r of a sample of
// n controls and m events draws the same places in every run, of subjects in the
// order of [ownOrder]: neither the order of runs or subjects nor the number of
// processors is in a number.
const (
	Replicates   = 1000
	ResampleSeed = 1
)

// MeasureOptions are the choices of the table of measures: the thresholds are the
// study's, the rest is fixed.
func MeasureOptions(thresholds []float64) metrics.Options {
	return metrics.Options{Thresholds: thresholds, Replicates: Replicates, Seed: ResampleSeed}
}

// calibrationBins groups the mean risk as the study's calibration curves do.
const calibrationBins = 10

// notAvailable stands for the method of an interval that does not exist.
const notAvailable = "not_available"

// decisionGrid is 0.01 … 0.50 by 0.01, every threshold the float64 nearest its
// decimal number.
func decisionGrid() []float64 {
	const n = 50
	grid := make([]float64, n)
	for i := range grid {
		grid[i] = float64(i+1) / 100
	}
	return grid
}

// Measure fills what is computed from the outcomes of a record and from risks
// ([refit][subject], like Outcomes).
func (r *Record) Measure(risks [][]float64, thresholds []float64) error {
	given, err := metrics.NewRefits(r.Outcomes, risks)
	if err != nil {
		return fmt.Errorf("predictions: %w", err)
	}
	// What is summed or drawn is so in an order of its own, not in that of the
	// pickle: permuting the subjects of a store must not change a last bit.
	order, ranks := ownOrder(r.Outcomes, given.Mean(), risks)
	outcomes, ordered := reorder(r.Outcomes, order), make([][]float64, len(risks))
	for m := range risks {
		ordered[m] = reorder(risks[m], order)
	}
	refits, err := metrics.NewRefits(outcomes, ordered)
	if err != nil {
		return fmt.Errorf("predictions: %w", err)
	}
	means := refits.Mean()
	sample, err := metrics.NewSample(outcomes, means)
	if err != nil {
		return fmt.Errorf("mean risks: %w", err)
	}
	r.Refits, r.Risks, r.Spreads = refits.Len(), make([]float64, len(order)), make([]Spread, len(order))
	for place, i := range order {
		r.Risks[i], r.Spreads[i] = means[place], newSpread(ordered, place)
	}
	rows, err := metrics.RefitTable(refits, MeasureOptions(thresholds))
	if err != nil {
		return fmt.Errorf("measures: %w", err)
	}
	for _, row := range rows {
		r.Measures = append(r.Measures, newMeasure(row))
	}
	r.Paired = newPaired(r.Outcomes, risks, thresholds, ranks)
	for _, p := range metrics.ROC(sample) {
		r.ROC = append(r.ROC, ROCPoint{Threshold: finite(p.Threshold), FPR: p.FPR, TPR: p.TPR})
	}
	for _, b := range metrics.CalibrationBins(sample, calibrationBins) {
		r.Bins = append(r.Bins, Bin{
			Lower: b.Lower, Upper: b.Upper, Predicted: finite(b.Predicted), Observed: finite(b.Observed),
			N: b.N, Events: b.Events,
		})
	}
	for _, p := range metrics.DecisionCurve(sample, decisionGrid()) {
		r.Decision = append(r.Decision, NetBenefit{
			Threshold: p.Threshold, Model: p.Model, All: p.All,
			Sensitivity: finite(p.Sensitivity), Specificity: finite(p.Specificity),
		})
	}
	slope, intercept := metrics.JointCalibration(sample)
	if slope.Defined() && intercept.Defined() {
		r.Joint = Joint{Slope: finite(slope.Value), Intercept: finite(intercept.Value)}
	} else {
		r.Joint.Undefined = string(slope.Undefined)
	}
	return nil
}

// ownOrder sorts subjects by outcome, by mean risk and by their risks in one refit
// after the other. The ranks are the places of the subjects in it, one for all
// that are equal in everything and so can change places. The mean comes first: of
// measures of the mean risk the published predictions then give the same order.
func ownOrder(outcomes []int, means []float64, risks [][]float64) (order, ranks []int) {
	order, ranks = make([]int, len(outcomes)), make([]int, len(outcomes))
	for i := range order {
		order[i] = i
	}
	compare := func(a, b int) int {
		c := cmp.Or(cmp.Compare(outcomes[a], outcomes[b]), cmp.Compare(means[a], means[b]))
		for m := 0; c == 0 && m < len(risks); m++ {
			c = cmp.Compare(risks[m][a], risks[m][b])
		}
		return c
	}
	slices.SortFunc(order, compare)
	for place, i := range order {
		ranks[i] = place
		if place > 0 && compare(order[place-1], i) == 0 {
			ranks[i] = ranks[order[place-1]]
		}
	}
	return order, ranks
}

func reorder[T any](values []T, order []int) []T {
	ordered := make([]T, len(order))
	for place, i := range order {
		ordered[place] = values[i]
	}
	return ordered
}

// newSpread summarises the risks of one subject over refits.
func newSpread(risks [][]float64, subject int) Spread {
	all := make([]float64, len(risks))
	for m := range risks {
		all[m] = risks[m][subject]
	}
	resample.Sort(all)
	var s Spread
	for _, p := range RiskQuantiles {
		s.Quantiles = append(s.Quantiles, resample.Quantile(all, p))
	}
	switch n := len(all); {
	case n < 2:
	case all[0] == all[n-1]: // rounding must not make a spread of it
		s.SD = new(float64)
	default:
		sd := stat.PopStdDev(all, nil)
		s.SD = &sd
	}
	return s
}

func newMeasure(row metrics.Row) Measure {
	m := Measure{
		Estimand: row.Estimand, Measure: row.Measure, Undefined: string(row.Undefined),
		Method: notAvailable, Domain: row.Domain, Tier: row.Tier, N: row.N, Events: row.Events, Note: row.Note,
	}
	if row.Defined() {
		m.Estimate = finite(row.Value)
		switch {
		case math.IsInf(row.Value, 1):
			m.Infinite = 1
		case math.IsInf(row.Value, -1):
			m.Infinite = -1
		}
	}
	if row.Interval.Defined() {
		m.Lower, m.Upper = finite(row.Interval.Lower), finite(row.Interval.Upper)
		m.Method, m.Level = row.Interval.Method, row.Interval.Level
	} else if why := row.Interval.Undefined; row.Defined() && why != metrics.NotAvailable {
		m.Note = joinNotes(m.Note, IntervalUndefined+string(why))
	}
	if s := row.Spread; s != nil {
		m.NUndefined = s.NUndefined
		if s.Undefined == "" {
			m.SpreadLower, m.SpreadUpper, m.SpreadSD = finite(s.Lower), finite(s.Upper), finite(s.SD)
		} else if row.Defined() { // else the reason is the value's own
			m.Note = joinNotes(m.Note, SpreadUndefined+string(s.Undefined))
		}
	}
	return m
}

// What a note says before the reason why a measure that has a value has no interval,
// or no spread over refits.
const (
	IntervalUndefined = "interval undefined: "
	SpreadUndefined   = "spread undefined: "
)

func joinNotes(notes ...string) string {
	notes = slices.DeleteFunc(notes, func(note string) bool { return note == "" })
	return strings.Join(notes, "; ")
}

// finite is nil for NaN and infinities, which JSON lacks.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// Tolerances of the checks, absolute. A classifier that predicts in float32
// left summaries that were partly computed in float32.
const (
	toleranceFloat64 = 1e-9
	toleranceFloat32 = 1e-6
)

func (r *Record) tolerance() float64 {
	if r.RiskType == float32Name {
		return toleranceFloat32
	}
	return toleranceFloat64
}

// checkScalars compares the pickle's summaries of AUROC and Brier with ours.
func (r *Record) checkScalars() {
	for _, pair := range []struct{ pickled, measure string }{{"AUROC", "auroc"}, {"Brier", "brier"}} {
		scalar, ok := r.Scalars[pair.pickled]
		if !ok {
			continue
		}
		for _, m := range r.Measures {
			if m.Estimand != metrics.OverModels || m.Measure != pair.measure {
				continue
			}
			r.checkSummary(pair.measure, scalar, Scalar{Mean: m.Estimate, SD: m.SpreadSD, Lower: m.SpreadLower, Upper: m.SpreadUpper})
		}
	}
}

// checkSummary compares the pickle's summary of a measure with ours.
func (r *Record) checkSummary(name string, pickled, ours Scalar) {
	r.check(name+"_mean", pickled.Mean, ours.Mean)
	// Of one refit the reference gives a deviation of 0, which says nothing.
	if r.Refits < 2 && pickled.SD != nil && *pickled.SD == 0 {
		return
	}
	r.check(name+"_sd", pickled.SD, ours.SD)
	// The reference gives equal values no range at all.
	if pickled.Lower == nil && pickled.Upper == nil && pickled.SD != nil && *pickled.SD == 0 {
		return
	}
	// It takes for unequal what the rounding of its mean parts from it.
	if ours.SD != nil && *ours.SD == 0 {
		ours.Lower, ours.Upper = ours.Mean, ours.Mean
	}
	r.check(name+"_lower", pickled.Lower, ours.Lower)
	r.check(name+"_upper", pickled.Upper, ours.Upper)
}

// checkMeanRisks compares the pickle's mean risk of every subject with ours.
func (r *Record) checkMeanRisks(pickled []float64) {
	var largest float64
	for i, p := range pickled {
		largest = math.Max(largest, math.Abs(p-r.Risks[i])) // NaN if one is
	}
	r.check("mean_risk_difference", finite(0), finite(largest))
}

// check records a comparison; two undefined numbers agree.
func (r *Record) check(name string, expected, found *float64) {
	c := Check{Name: name, Expected: expected, Found: found, Tolerance: r.tolerance()}
	if expected == nil || found == nil {
		c.OK = expected == found
	} else {
		c.OK = math.Abs(*expected-*found) <= c.Tolerance
	}
	r.Checks = append(r.Checks, c)
}
