package metrics

import (
	"fmt"
	"math"
	"slices"
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

func checkRisks(risks []float64, n, refit int) error {
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

// workspace holds the buffers of repeated measurements, so that a thousand
// refits allocate once. The zero workspace is ready to use.
type workspace struct {
	order                []int
	placements           []float64
	logits, x, residuals []float64
}

// ascending returns the rows of s by increasing risk. The order within ties is
// of no consequence to any measure.
func (w *workspace) ascending(s *Sample) []int {
	w.order = w.order[:0]
	for i := range s.risks {
		w.order = append(w.order, i)
	}
	p := s.risks
	slices.SortFunc(w.order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	return w.order
}

// grow returns a slice of length n, reusing the memory of b.
func grow(b []float64, n int) []float64 {
	return slices.Grow(b[:0], n)[:n]
}

// Quantile returns the quantile of type 7 (linear interpolation at h =
// (n-1)p, the default of R and numpy) of values in increasing order, p in
// [0,1]. It is NaN for no values or p outside [0,1].
//
// Hyndman and Fan, The American Statistician 1996; 50: 361-365.
func Quantile(sorted []float64, p float64) float64 {
	if len(sorted) == 0 || !(p >= 0 && p <= 1) {
		return math.NaN()
	}
	h := p * float64(len(sorted)-1)
	i := int(h)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	a, b, g := sorted[i], sorted[i+1], h-float64(i)
	if g == 0 || a == b { // also keeps Inf - Inf out
		return a
	}
	return a + g*(b-a)
}
