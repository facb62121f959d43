package metrics

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Bin is one group of a calibration curve. Bins of equal width hold the risks in
// [Lower, Upper), the last also at Upper; bins of quantiles those in (Lower,
// Upper], the first also at Lower. Predicted is the mean risk and Observed the
// share of events; both are NaN in an empty bin.
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
		bins[widthBin(bins, p)].add(s.outcomes[i], p)
	}
	finish(bins)
	return bins
}

// widthBin returns the number of the bin of equal width that holds p.
func widthBin(bins []Bin, p float64) int {
	n := len(bins)
	// The product may round to the other side of an edge.
	k := min(int(p*float64(n)), n-1)
	if p < bins[k].Lower {
		k--
	} else if k+1 < n && p >= bins[k].Upper {
		k++
	}
	return k
}

func (b *Bin) add(outcome int, risk float64) {
	b.N++
	b.Events += outcome
	b.Predicted += risk
}

func finish(bins []Bin) {
	for i := range bins {
		b := &bins[i]
		b.Predicted /= float64(b.N) // NaN in an empty bin
		b.Observed = float64(b.Events) / float64(b.N)
	}
}

// QuantileBins groups the subjects at the quantiles (type 7) 1/n, 2/n, … of
// their risks. Equal quantiles are one, so that there may be fewer than n bins;
// all risks equal are one bin. It is nil for n < 1 and without subjects.
func QuantileBins(s *Sample, n int) []Bin {
	if n < 1 || s.N() == 0 {
		return nil
	}
	order := s.byRisk()
	sorted := make([]float64, len(order))
	for i, row := range order {
		sorted[i] = s.risks[row]
	}
	edges := make([]float64, n+1)
	for i := range edges {
		edges[i] = resample.Quantile(sorted, float64(i)/float64(n))
	}
	edges = slices.Compact(edges)
	if len(edges) == 1 {
		edges = append(edges, edges[0])
	}
	bins := make([]Bin, len(edges)-1)
	for i := range bins {
		bins[i].Lower, bins[i].Upper = edges[i], edges[i+1]
	}
	k := 0
	for _, row := range order {
		for k < len(bins)-1 && s.risks[row] > bins[k].Upper {
			k++
		}
		bins[k].add(s.outcomes[row], s.risks[row])
	}
	// Interpolation leaves no bin empty but for rounding.
	bins = slices.DeleteFunc(bins, func(b Bin) bool { return b.N == 0 })
	finish(bins)
	return bins
}

// ExpectedCalibrationError returns the mean over subjects of |mean risk - share
// of events| in their bin: of [QuantileBins] as the STRATOS overview defines it,
// or of [CalibrationBins] as is common elsewhere. It depends on the bins, is
// biased upward in small samples, and conceals the direction.
//
// Naeini, Cooper and Hauskrecht, Proceedings of AAAI 2015: 2901-2907.
func ExpectedCalibrationError(s *Sample, bins []Bin) Result {
	return calibrationError(s, bins, func(sum, gap, share float64) float64 { return sum + share*gap })
}

// MaximumCalibrationError returns the largest |mean risk - share of events| of
// a bin, however few subjects it holds.
func MaximumCalibrationError(s *Sample, bins []Bin) Result {
	return calibrationError(s, bins, func(most, gap, _ float64) float64 { return max(most, gap) })
}

func calibrationError(s *Sample, bins []Bin, add func(v, gap, share float64) float64) Result {
	switch {
	case s.N() == 0:
		return newResult(s, undefined(Empty))
	case len(bins) == 0:
		return newResult(s, undefined(InvalidInput))
	}
	var v float64
	for _, b := range bins {
		if b.N > 0 {
			v = add(v, math.Abs(b.Predicted-b.Observed), float64(b.N)/float64(s.N()))
		}
	}
	return newResult(s, defined(v))
}

// HosmerLemeshow returns the test of observed against expected numbers of both
// outcomes in n quantile groups, with G-2 degrees of freedom as is custom, G
// the number of groups that there are. That is right where the model was fitted
// to these subjects; for risks from elsewhere it would be G, and p is too small.
// Its power depends on n and the groups are arbitrary; it says nothing of the
// size or direction of a miscalibration.
//
// Hosmer and Lemeshow, Communications in Statistics A 1980; 9: 1043-1069.
func HosmerLemeshow(s *Sample, n int) Test {
	bins := QuantileBins(s, n)
	switch {
	case s.N() == 0:
		return Test{Undefined: Empty}
	case n < 3:
		return Test{Undefined: InvalidInput}
	case len(bins) < 3:
		return Test{Undefined: TooFew}
	}
	var chi float64
	for _, b := range bins {
		size := float64(b.N)
		d := float64(b.Events) - size*b.Predicted
		for _, expected := range []float64{size * b.Predicted, size * (1 - b.Predicted)} {
			v := ratio(d*d, expected)
			if v.undefined != "" {
				return Test{Undefined: v.undefined}
			}
			chi += v.v
		}
	}
	df := float64(len(bins) - 2)
	t := Test{Statistic: chi, DF: df}
	if !math.IsInf(chi, 1) {
		t.P = mathext.GammaIncRegComp(df/2, chi/2)
	}
	if len(bins) < n {
		t.Note = "fewer groups than asked for: quantiles are tied"
	}
	return t
}
