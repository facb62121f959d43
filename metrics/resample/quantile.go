package resample

import "math"

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
