package compare

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Effect is the standardised difference of the means of two independent groups.
type Effect struct {
	// D is Cohen's d by the pooled standard deviation; Lower and Upper are its
	// limits by the noncentral t distribution.
	D, Lower, Upper float64
	// G is Hedges' g: D times J = Γ(v/2)/(sqrt(v/2) Γ((v-1)/2)), v = n1+n2-2, exactly
	// unbiased under normality. Elsewhere J is approximated by 1 - 3/(4v-1).
	G float64
	// Glass is the difference over the standard deviation of the second group.
	Glass float64
	// T and its p-value are of Welch's test, with DF degrees of freedom.
	T, DF, P float64
}

// EffectSize compares groups a and b, of two or more values each, that vary. A
// positive effect means that a is larger.
//
// Hedges, Journal of Educational Statistics 1981; 6: 107-128.
func EffectSize(a, b []float64, level float64) (Effect, error) {
	for k, group := range [][]float64{a, b} {
		if len(group) < 2 {
			return Effect{}, fmt.Errorf("group %d has %d values: want two or more", k+1, len(group))
		}
		for i, v := range group {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return Effect{}, fmt.Errorf("group %d, value %d: %v is not finite", k+1, i+1, v)
			}
		}
	}
	if !(level > 0 && level < 1) {
		return Effect{}, fmt.Errorf("level %v is not in (0, 1)", level)
	}
	n1, n2 := float64(len(a)), float64(len(b))
	m1, v1 := stat.MeanVariance(a, nil)
	m2, v2 := stat.MeanVariance(b, nil)
	df := n1 + n2 - 2
	pooled := math.Sqrt(((n1-1)*v1 + (n2-1)*v2) / df)
	if pooled == 0 {
		return Effect{}, fmt.Errorf("neither group varies: no standardised difference")
	}
	e := Effect{D: (m1 - m2) / pooled, Glass: (m1 - m2) / math.Sqrt(v2)}
	la, _ := math.Lgamma(df / 2)
	lb, _ := math.Lgamma((df - 1) / 2)
	e.G = e.D * math.Exp(la-lb) / math.Sqrt(df/2)
	size := math.Sqrt(n1 * n2 / (n1 + n2))
	alpha := (1 - level) / 2
	e.Lower = noncentrality(e.D*size, df, 1-alpha) / size
	e.Upper = noncentrality(e.D*size, df, alpha) / size
	s1, s2 := v1/n1, v2/n2
	e.T = (m1 - m2) / math.Sqrt(s1+s2)
	e.DF = (s1 + s2) * (s1 + s2) / (s1*s1/(n1-1) + s2*s2/(n2-1))
	e.P = mathext.RegIncBeta(e.DF/2, 0.5, e.DF/(e.DF+e.T*e.T))
	return e, nil
}

// noncentrality returns the noncentrality at which P(T <= t) is p.
func noncentrality(t, df, p float64) float64 {
	lo, hi := t-10, t+10
	for noncentralT(t, df, lo) < p {
		lo -= 10 + math.Abs(lo)
	}
	for noncentralT(t, df, hi) > p {
		hi += 10 + math.Abs(hi)
	}
	for range 200 {
		mid := lo + (hi-lo)/2
		if mid == lo || mid == hi {
			break
		}
		if noncentralT(t, df, mid) > p {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo + (hi-lo)/2
}

// noncentralT is P(T <= t): the mean of Φ(t s - δ) over s = sqrt(χ²/df), by the
// trapezoidal rule over ln s, which converges faster than any power of the step.
func noncentralT(t, df, delta float64) float64 {
	lg, _ := math.Lgamma(df / 2)
	// ln of the density of u = ln s: df u - df e^(2u)/2 + (df/2) ln(df/2) + ln 2 - lnΓ(df/2)
	constant := df/2*math.Log(df/2) + math.Ln2 - lg
	width := 12 / math.Sqrt(2*df) // standard deviations of u, nearly
	low := -width - 20/df         // the left tail falls like e^(df u)
	step := width / 200
	var sum float64
	for u := low; u <= width; u += step {
		s := math.Exp(u)
		sum += math.Exp(df*u-df*s*s/2+constant) * distuv.UnitNormal.CDF(t*s-delta)
	}
	return sum * step
}
