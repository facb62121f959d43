package anova

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Centre is what Levene's test measures deviations from.
type Centre int

// Centres.
const (
	Median Centre = iota // Brown and Forsythe's form, robust; the default of R's car
	Mean                 // Levene's own
)

// Levene tests whether the variance of y is the same in all groups: the analysis
// of variance of the absolute deviations from the group's centre.
//
// Brown and Forsythe, Journal of the American Statistical Association 1974; 69:
// 364-367.
func Levene(y []float64, groups []string, centre Centre) (Effect, error) {
	if len(y) != len(groups) {
		return Effect{}, fmt.Errorf("%d observations but %d groups", len(y), len(groups))
	}
	by := map[string][]float64{}
	for i, g := range groups {
		by[g] = append(by[g], y[i])
	}
	at := map[string]float64{}
	for g, values := range by {
		slices.Sort(values)
		at[g] = stat.Mean(values, nil)
		if centre == Median {
			at[g] = resample.Quantile(values, 0.5)
		}
	}
	deviations := make([]float64, len(y))
	for i, g := range groups {
		deviations[i] = math.Abs(y[i] - at[g])
	}
	table, err := Fit(deviations, []Factor{{Name: "group", Levels: groups}}, []string{"group"}, TypeI)
	if err != nil {
		return Effect{}, err
	}
	return table.Effects[0], nil
}

// ShapiroWilk tests whether values, 3 to 5000 of them and not all equal, are of a
// normal distribution: W in (0, 1] and its p-value.
//
// Royston, Applied Statistics 1995; 44: 547-551 (algorithm AS R94).
func ShapiroWilk(values []float64) (w, p float64, err error) {
	n := len(values)
	if n < 3 || n > 5000 {
		return 0, 0, fmt.Errorf("%d values: Shapiro and Wilk's test has 3 to 5000", n)
	}
	x := slices.Clone(values)
	slices.Sort(x)
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, 0, fmt.Errorf("value %d: %v is not finite", i+1, v)
		}
	}
	span := x[n-1] - x[0]
	if span == 0 {
		return 0, 0, errors.New("all values are equal")
	}
	a := shapiroCoefficients(n)
	mean := stat.Mean(x, nil)
	var saa, sxx, sax float64
	for i, v := range x {
		d := (v - mean) / span
		saa += a[i] * a[i]
		sxx += d * d
		sax += a[i] * d
	}
	root := math.Sqrt(saa * sxx)
	short := (root - sax) * (root + sax) / (saa * sxx) // 1 - W without cancellation
	w = 1 - short
	size := float64(n)
	if n == 3 {
		p = 6 / math.Pi * (math.Asin(math.Sqrt(w)) - math.Pi/3)
		return w, max(0, p), nil
	}
	y, log := math.Log(short), math.Log(size)
	var m, s float64
	if n <= 11 {
		gamma := polynomial(size, -2.273, 0.459)
		if y >= gamma {
			return w, 1e-99, nil
		}
		y = -math.Log(gamma - y)
		m = polynomial(size, 0.544, -0.39978, 0.025054, -6.714e-4)
		s = math.Exp(polynomial(size, 1.3822, -0.77857, 0.062767, -0.0020322))
	} else {
		m = polynomial(log, -1.5861, -0.31082, -0.083751, 0.0038915)
		s = math.Exp(polynomial(log, -0.4803, -0.082676, 0.0030302))
	}
	return w, distuv.UnitNormal.CDF(-(y - m) / s), nil
}

// shapiroCoefficients are Royston's approximations, antisymmetric.
func shapiroCoefficients(n int) []float64 {
	a := make([]float64, n)
	set := func(i int, v float64) { a[i], a[n-1-i] = -v, v }
	if n == 3 {
		set(0, math.Sqrt(0.5))
		return a
	}
	half := n / 2
	m := make([]float64, half)
	var sum float64
	for i := range m {
		m[i] = distuv.UnitNormal.Quantile((float64(i+1) - 0.375) / (float64(n) + 0.25))
		sum += 2 * m[i] * m[i]
	}
	length, r := math.Sqrt(sum), 1/math.Sqrt(float64(n))
	a1 := polynomial(r, 0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056) - m[0]/length
	set(0, a1)
	from := 1
	factor := math.Sqrt((sum - 2*m[0]*m[0]) / (1 - 2*a1*a1))
	if n > 5 {
		a2 := polynomial(r, 0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633) - m[1]/length
		set(1, a2)
		from = 2
		factor = math.Sqrt((sum - 2*m[0]*m[0] - 2*m[1]*m[1]) / (1 - 2*a1*a1 - 2*a2*a2))
	}
	for i := from; i < half; i++ {
		set(i, -m[i]/factor)
	}
	return a
}

// polynomial returns c[0] + c[1] x + c[2] x² + ….
func polynomial(x float64, c ...float64) float64 {
	var v float64
	for i := len(c) - 1; i >= 0; i-- {
		v = v*x + c[i]
	}
	return v
}
