package metrics

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/foundation-plr/pipeline/metrics/logistic"
)

// InputError says which row of the input cannot be measured. Its reason is
// [InvalidInput].
type InputError struct {
	Refit   int // 0-based; -1 where the input has no refits or the fault is not of one
	Row     int // 0-based; -1 where the fault is not of one row
	Problem string
}

func (e *InputError) Error() string {
	switch {
	case e.Row < 0 && e.Refit < 0:
		return "invalid input: " + e.Problem
	case e.Row < 0:
		return fmt.Sprintf("invalid input: refit %d: %s", e.Refit+1, e.Problem)
	case e.Refit < 0:
		return fmt.Sprintf("invalid input: row %d: %s", e.Row+1, e.Problem)
	}
	return fmt.Sprintf("invalid input: refit %d, row %d: %s", e.Refit+1, e.Row+1, e.Problem)
}

// Sample is a set of subjects with outcome and risk. The zero Sample has no rows.
type Sample struct {
	outcomes []int
	risks    []float64
	events   int

	ranked sync.Once // guards order and ties, which are made when first needed
	order  []int32   // rows by increasing risk
	ties   []tie

	logits struct { // what logitCases returns
		made  sync.Once
		cases logistic.Cases
		why   Reason
	}
}

// reset gives the subjects other risks. What was made of the ones before is lost, its
// memory is used again.
func (s *Sample) reset(risks []float64) {
	s.risks = risks
	s.ranked, s.logits.made = sync.Once{}, sync.Once{}
}

// tie is the set of rows that share a risk.
type tie struct {
	risk             float64
	events, controls int
}

// rank sorts the rows by risk, once for all measures of s.
func (s *Sample) rank() {
	s.ranked.Do(func() { s.order, s.ties = ranked(s.outcomes, s.risks, s.order, s.ties) })
}

// byRisk returns the rows of s by increasing risk, ties in the order of rows.
func (s *Sample) byRisk() []int32 {
	s.rank()
	return s.order
}

// distinct returns the distinct risks of s in increasing order, with the
// outcomes of the rows that hold them.
func (s *Sample) distinct() []tie {
	s.rank()
	return s.ties
}

// NewSample checks and copies outcomes (0 or 1) and risks (in [0,1]), which
// must be of equal length; no rows at all are a sample whose measures are
// undefined. The error is an [*InputError] that names the first bad row.
func NewSample(outcomes []int, risks []float64) (*Sample, error) {
	events, err := checkOutcomes(outcomes)
	if err != nil {
		return nil, err
	}
	if err := checkRisks(risks, len(outcomes), -1); err != nil {
		return nil, err
	}
	return &Sample{outcomes: slices.Clone(outcomes), risks: slices.Clone(risks), events: events}, nil
}

func checkOutcomes(outcomes []int) (events int, err error) {
	for i, y := range outcomes {
		if y != 0 && y != 1 {
			return 0, &InputError{Refit: -1, Row: i, Problem: fmt.Sprintf("outcome %d is neither 0 nor 1", y)}
		}
		events += y
	}
	return events, nil
}

// maxRows is what an int32 counts: rows are sorted as such, at half the memory
// of an int.
const maxRows = math.MaxInt32

func checkRisks(risks []float64, n, refit int) error {
	if n > maxRows {
		return &InputError{Refit: -1, Row: -1, Problem: fmt.Sprintf("%d rows are more than %d", n, maxRows)}
	}
	if len(risks) != n {
		return &InputError{Refit: refit, Row: -1, Problem: fmt.Sprintf("%d outcomes but %d risks", n, len(risks))}
	}
	for i, p := range risks {
		if !(p >= 0 && p <= 1) { // NaN fails too
			return &InputError{Refit: refit, Row: i, Problem: fmt.Sprintf("risk %v is not in [0, 1]", p)}
		}
	}
	return nil
}

// N returns the number of subjects.
func (s *Sample) N() int { return len(s.outcomes) }

// Events returns the number of subjects with outcome 1.
func (s *Sample) Events() int { return s.events }

// Outcomes returns the sample's own outcomes, which must not be changed.
func (s *Sample) Outcomes() []int { return s.outcomes }

// Risks returns the sample's own risks, which must not be changed.
func (s *Sample) Risks() []float64 { return s.risks }

// controls returns the number of subjects with outcome 0.
func (s *Sample) controls() int { return len(s.outcomes) - s.events }

// prevalence returns the share of events; NaN for an empty sample.
func (s *Sample) prevalence() float64 { return float64(s.events) / float64(s.N()) }

// bothClasses returns Empty or OneClass where s lacks a class.
func (s *Sample) bothClasses() Reason {
	switch {
	case s.N() == 0:
		return Empty
	case s.events == 0 || s.controls() == 0:
		return OneClass
	}
	return ""
}
