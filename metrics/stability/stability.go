// Package stability describes what refits of a model make of one subject's risk:
// the uncertainty of risks over bootstrap models, Riley's instability, quantiles
// of each subject, and the correction of apparent performance for optimism.
//
// Nothing here is a sampling interval: refits vary with the training subjects,
// not with those that they are judged on. Of refits on half-size resamples it
// says how unstable models of that smaller size are, which is more than the model
// fitted to all subjects is.
package stability

import (
	"fmt"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Risks are the risks that each of several models gives to the same subjects.
type Risks struct {
	byModel [][]float64
	mean    []float64
}

// NewRisks checks risks (first index the model, second the subject; in [0,1]). It
// keeps the slices. The error names the model and the subject.
func NewRisks(risks [][]float64) (*Risks, error) {
	if len(risks) == 0 {
		return nil, &metrics.InputError{Refit: -1, Row: -1, Problem: "no models"}
	}
	// The outcome is of no consequence to how risks are checked and averaged.
	r, err := metrics.NewRefits(make([]int, len(risks[0])), risks)
	if err != nil {
		return nil, err
	}
	return &Risks{byModel: risks, mean: r.Mean()}, nil
}

// Mean returns the mean risk of each subject.
func (r *Risks) Mean() []float64 { return slices.Clone(r.mean) }

// of returns the risks of one subject, reusing buffer.
func (r *Risks) of(subject int, buffer []float64) []float64 {
	buffer = buffer[:0]
	for _, risks := range r.byModel {
		buffer = append(buffer, risks[subject])
	}
	return buffer
}

// Uncertainty splits the entropy of a subject's mean risk, in nats: Total is the
// entropy of the mean, Expected the mean of the entropies (what remains when the
// model is known), MutualInformation their difference, at least 0: what the
// models disagree about. SD is the standard deviation of the risks (divisor the
// number of models).
//
// Depeweg, Hernandez-Lobato, Doshi-Velez and Udluft, ICML 2018: 1184-1193.
type Uncertainty struct {
	Total, Expected, MutualInformation, SD float64
}

// Uncertainty returns that of each subject.
func (r *Risks) Uncertainty() []Uncertainty {
	out := make([]Uncertainty, len(r.mean))
	for i, mean := range r.mean {
		var expected, square float64
		for _, risks := range r.byModel {
			expected += metrics.Entropy(risks[i])
			square += (risks[i] - mean) * (risks[i] - mean)
		}
		b := float64(len(r.byModel))
		u := Uncertainty{Total: metrics.Entropy(mean), Expected: expected / b, SD: math.Sqrt(square / b)}
		// Entropy is concave: below 0 by rounding only, where models agree.
		u.MutualInformation = max(0, u.Total-u.Expected)
		out[i] = u
	}
	return out
}

// Quantiles returns for each subject the quantiles (type 7) of its risks at the
// given levels in [0, 1].
func (r *Risks) Quantiles(levels ...float64) ([][]float64, error) {
	for _, q := range levels {
		if !(q >= 0 && q <= 1) {
			return nil, fmt.Errorf("quantile level %v is not in [0, 1]", q)
		}
	}
	out := make([][]float64, len(r.mean))
	var buffer []float64
	for i := range out {
		buffer = r.of(i, buffer)
		slices.Sort(buffer)
		for _, q := range levels {
			out[i] = append(out[i], resample.Quantile(buffer, q))
		}
	}
	return out, nil
}

// Reference says which risk instability is measured from.
type Reference string

// References.
const (
	// OriginalModel is the risk of the model fitted to all training subjects:
	// Riley's definition.
	OriginalModel Reference = "original_model"
	// MeanOfModels is the mean risk over the refits, where the original model is
	// not at hand.
	MeanOfModels Reference = "mean_of_models"
)

// Rule says which side of a threshold a risk equal to it is on.
type Rule string

// Rules of classification.
const (
	AtLeast Rule = "at_least" // positive where risk >= t, as everywhere in package metrics
	Above   Rule = "above"    // positive where risk > t, as R's pminternal has it
)

// Instability is that of one subject.
type Instability struct {
	Risk float64 // the reference risk
	// MAPE is the mean absolute prediction error: the mean of |risk of a refit -
	// reference|. It is not the STRATOS overview's MAPE.
	MAPE float64
	// CII is the classification instability index: the share of refits that class
	// the subject otherwise than the reference does.
	CII float64
	// Lower and Upper are the 2.5 and 97.5 % quantiles (type 7) of the refits.
	Lower, Upper float64
}

// Instabilities are those of all subjects, with the reference that they are from.
type Instabilities struct {
	Reference  Reference
	BySubject  []Instability
	MeanMAPE   float64
	MeanCII    float64
	Threshold  float64
	Classified Rule
}

// Instability returns the instability of each subject at threshold t. Original
// are the risks of the original model; nil takes the mean of the refits, and says
// so.
//
// Riley and Collins, Biometrical Journal 2023; 65: 2200302.
func (r *Risks) Instability(original []float64, t float64, rule Rule) (Instabilities, error) {
	out := Instabilities{Reference: OriginalModel, Threshold: t, Classified: rule}
	if original == nil {
		out.Reference, original = MeanOfModels, r.mean
	}
	if len(original) != len(r.mean) {
		return Instabilities{}, &metrics.InputError{Refit: -1, Row: -1, Problem: fmt.Sprintf("%d subjects but %d risks of the original model", len(r.mean), len(original))}
	}
	var positive func(p float64) bool
	switch rule {
	case AtLeast:
		positive = func(p float64) bool { return p >= t }
	case Above:
		positive = func(p float64) bool { return p > t }
	default:
		return Instabilities{}, fmt.Errorf("classification rule %q is neither %s nor %s", rule, AtLeast, Above)
	}
	if math.IsNaN(t) {
		return Instabilities{}, &metrics.InputError{Refit: -1, Row: -1, Problem: "the threshold is not a number"}
	}
	var buffer []float64
	b, n := float64(len(r.byModel)), float64(len(original))
	for i, p := range original {
		if !(p >= 0 && p <= 1) {
			return Instabilities{}, &metrics.InputError{Refit: -1, Row: i, Problem: fmt.Sprintf("risk %v of the original model is not in [0, 1]", p)}
		}
		buffer = r.of(i, buffer)
		s := Instability{Risk: p}
		var other int
		for _, q := range buffer {
			s.MAPE += math.Abs(q-p) / b
			if positive(q) != positive(p) {
				other++
			}
		}
		s.CII = float64(other) / b
		slices.Sort(buffer)
		s.Lower, s.Upper = resample.Quantile(buffer, 0.025), resample.Quantile(buffer, 0.975)
		out.BySubject = append(out.BySubject, s)
		out.MeanMAPE += s.MAPE / n
		out.MeanCII += s.CII / n
	}
	return out, nil
}
