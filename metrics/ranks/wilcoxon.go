package ranks

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/foundation-plr/pipeline/metrics"
)

// exactTo is the number of differences up to which the signed-rank distribution is
// computed and not approximated.
const exactTo = 25

// SignedRank is Wilcoxon's test of paired differences about 0.
type SignedRank struct {
	metrics.Test     // Statistic is V, the sum of the ranks of positive differences
	N, Zeros     int // differences used, and zero ones dropped
	Exact        bool
}

// WilcoxonSignedRank tests a - b, two-sided. Zero differences are dropped. Up to 25
// differences without ties the distribution is exact; else it is normal with
// corrections for ties and continuity.
//
// Wilcoxon, Biometrics Bulletin 1945; 1: 80-83.
func WilcoxonSignedRank(a, b []float64) (SignedRank, error) {
	if len(a) != len(b) {
		return SignedRank{}, fmt.Errorf("%d and %d values are no pairs", len(a), len(b))
	}
	var w SignedRank
	var size, sign []float64
	for i := range a {
		d := a[i] - b[i]
		switch {
		case math.IsNaN(d):
			return SignedRank{}, fmt.Errorf("pair %d: (%v, %v) has no difference", i+1, a[i], b[i])
		case d == 0:
			w.Zeros++
		default:
			size, sign = append(size, math.Abs(d)), append(sign, d)
		}
	}
	w.N = len(size)
	if w.N == 0 {
		w.Undefined = metrics.ZeroVariance
		return w, nil
	}
	ranks, ties := midranks(size)
	for i, r := range ranks {
		if sign[i] > 0 {
			w.Statistic += r
		}
	}
	n := float64(w.N)
	if w.N <= exactTo && ties == 0 {
		w.Exact = true
		ways := signedRankWays(w.N)
		v := int(w.Statistic)
		var atMost, atLeast, all float64
		for s, c := range ways {
			all += c
			if s <= v {
				atMost += c
			}
			if s >= v {
				atLeast += c
			}
		}
		w.P = min(1, 2*min(atMost, atLeast)/all)
		return w, nil
	}
	d := w.Statistic - n*(n+1)/4
	sigma := math.Sqrt(n*(n+1)*(2*n+1)/24 - ties/48)
	w.P = min(1, 2*distuv.UnitNormal.CDF(-max(0, math.Abs(d)-0.5)/sigma))
	return w, nil
}

// signedRankWays returns in how many ways the ranks 1 … n sum to each number.
func signedRankWays(n int) []float64 {
	ways := make([]float64, n*(n+1)/2+1)
	ways[0] = 1
	for r := 1; r <= n; r++ {
		for s := len(ways) - 1; s >= r; s-- {
			ways[s] += ways[s-r]
		}
	}
	return ways
}

// CliffsDelta returns the probability that a value of a exceeds one of b less the
// reverse, in [-1, 1], and the Mann-Whitney count W of a over b (ties half). It is
// an error for no values, or NaN.
//
// Cliff, Psychological Bulletin 1993; 114: 494-509.
func CliffsDelta(a, b []float64) (delta, w float64, err error) {
	if len(a) == 0 || len(b) == 0 {
		return 0, 0, fmt.Errorf("%d and %d values: want one or more of both", len(a), len(b))
	}
	all := append(append([]float64{}, a...), b...)
	for i, v := range all {
		if math.IsNaN(v) {
			return 0, 0, fmt.Errorf("value %d is not a number", i+1)
		}
	}
	ranks, _ := midranks(all)
	for _, r := range ranks[:len(a)] {
		w += r
	}
	n := float64(len(a))
	w -= n * (n + 1) / 2
	return 2*w/(n*float64(len(b))) - 1, w, nil
}
