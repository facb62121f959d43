package resample

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// Method is how limits are made of replicates.
type Method string

// Methods of [Interval].
const (
	// Percentile takes quantiles of the replicates: within the range of the
	// statistic and invariant to monotone transformations; biased where the
	// statistic is.
	Percentile Method = "percentile"
	// Basic reflects these quantiles about the estimate. It may leave the range.
	Basic Method = "basic"
	// Normal is the estimate less the bootstrap bias, -+ z standard deviations.
	Normal Method = "normal"
	// BCa is the percentile method, corrected for bias and skewness: second-order
	// accurate. It needs the jackknife values.
	BCa Method = "bca"
	// StudentisedT is what [Studentised] makes.
	StudentisedT Method = "studentised"
)

// Interpolation is how a quantile between two replicates is found.
type Interpolation int

// Interpolations.
const (
	// Type7 is linear at (R-1)α.
	Type7 Interpolation = iota
	// NormalScale is that of R's boot (norm.inter): between the order statistics
	// around (R+1)α, on the scale of normal quantiles.
	NormalScale
)

// Bias is how BCa counts the replicates below the estimate.
type Bias int

// Biases.
const (
	// Midrank counts replicates equal to the estimate half, as SciPy does.
	Midrank Bias = iota
	// Below counts those strictly below it, as R's boot does. With discrete
	// statistics it shifts the interval down.
	Below
)

// Options are the choices of an interval.
type Options struct {
	Method        Method
	Level         float64 // coverage, in (0, 1)
	Interpolation Interpolation
	Bias          Bias
}

// Errors of intervals.
var (
	ErrNoReplicates = errors.New("fewer than two replicates")
	// ErrOneSided: all replicates lie on one side of the estimate, or the
	// correction leaves the scale, so that BCa has no limits.
	ErrOneSided = errors.New("bias correction is infinite: the replicates lie on one side of the estimate")
	// ErrNoVariation: the statistic does not vary.
	ErrNoVariation = errors.New("the replicates do not vary")
)

// Interval returns limits for estimate of replicates in increasing order, all
// finite. Jackknife holds the acceleration's leave-one-out values for BCa, in
// groups that are centred apart (strata; one group for a plain bootstrap), and
// is not used by other methods.
func Interval(sorted []float64, estimate float64, jackknife [][]float64, o Options) (lower, upper float64, err error) {
	if !(o.Level > 0 && o.Level < 1) {
		return 0, 0, fmt.Errorf("level %v is not in (0, 1)", o.Level)
	}
	if len(sorted) < 2 {
		return 0, 0, ErrNoReplicates
	}
	alpha := (1 - o.Level) / 2
	switch o.Method {
	case Percentile:
		return quantile(sorted, alpha, o.Interpolation), quantile(sorted, 1-alpha, o.Interpolation), nil
	case Basic:
		return 2*estimate - quantile(sorted, 1-alpha, o.Interpolation),
			2*estimate - quantile(sorted, alpha, o.Interpolation), nil
	case Normal:
		mean, sd := stat.MeanStdDev(sorted, nil)
		centre, half := 2*estimate-mean, -distuv.UnitNormal.Quantile(alpha)*sd
		return centre - half, centre + half, nil
	case BCa:
		if sorted[0] == sorted[len(sorted)-1] {
			return 0, 0, ErrNoVariation
		}
		a, err := Acceleration(jackknife)
		if err != nil {
			return 0, 0, err
		}
		lo, hi, err := correctedLevels(sorted, estimate, a, alpha, o.Bias)
		if err != nil {
			return 0, 0, err
		}
		return quantile(sorted, lo, o.Interpolation), quantile(sorted, hi, o.Interpolation), nil
	}
	return 0, 0, fmt.Errorf("method %q is none of percentile, basic, normal and bca", o.Method)
}

// correctedLevels returns the quantile levels of BCa.
func correctedLevels(sorted []float64, estimate, a, alpha float64, bias Bias) (lo, hi float64, err error) {
	below, _ := slices.BinarySearch(sorted, estimate)
	share := float64(below)
	if bias == Midrank {
		at := below
		for at < len(sorted) && sorted[at] == estimate {
			at++
		}
		share += float64(at-below) / 2
	}
	z0 := distuv.UnitNormal.Quantile(share / float64(len(sorted)))
	if math.IsInf(z0, 0) {
		return 0, 0, ErrOneSided
	}
	level := func(z float64) float64 {
		return distuv.UnitNormal.CDF(z0 + (z0+z)/(1-a*(z0+z)))
	}
	z := distuv.UnitNormal.Quantile(alpha)
	lo, hi = level(z), level(-z)
	if !(lo <= hi) { // the acceleration turned the scale around
		return 0, 0, ErrOneSided
	}
	return lo, hi, nil
}

// Acceleration returns BCa's a = Σ U³ / (6 (Σ U²)^1.5) with U the mean of the
// jackknife values of a group less each of them. It is an error where they are
// not finite or do not vary.
func Acceleration(jackknife [][]float64) (float64, error) {
	var second, third float64
	for _, group := range jackknife {
		mean := stat.Mean(group, nil)
		for _, v := range group {
			u := mean - v
			second += u * u
			third += u * u * u
		}
	}
	if !(second > 0) || math.IsInf(second, 0) {
		return 0, ErrNoVariation
	}
	return third / (6 * math.Pow(second, 1.5)), nil
}

func quantile(sorted []float64, p float64, how Interpolation) float64 {
	if how == NormalScale {
		return normalScale(sorted, p)
	}
	return Quantile(sorted, p)
}

// normalScale is boot's norm.inter. Beyond the first and last order statistic it
// returns them, as boot does with a warning.
func normalScale(sorted []float64, p float64) float64 {
	r := len(sorted)
	// Distance within which boot takes (R+1)α for a whole number: none, but 40*0.025
	// must be one.
	const whole = 1e-10
	rank := float64(r+1) * p
	k := int(rank)
	if math.Abs(rank-math.Round(rank)) < whole {
		k = int(math.Round(rank))
		return sorted[min(max(k, 1), r)-1]
	}
	if k == 0 {
		return sorted[0]
	}
	if k >= r {
		return sorted[r-1]
	}
	z := distuv.UnitNormal.Quantile
	at, low, high := z(p), z(float64(k)/float64(r+1)), z(float64(k+1)/float64(r+1))
	return sorted[k-1] + (at-low)/(high-low)*(sorted[k]-sorted[k-1])
}

// Studentised returns the bootstrap-t interval of an estimate with standard
// error se, of replicates (estimate, standard error) in any order: second-order
// accurate, and sensible where a standard error exists and the statistic has no
// bounds, as slope and intercept or a logit. Replicates without a positive
// standard error are an error.
func Studentised(replicates, errs []float64, estimate, se, level float64, how Interpolation) (lower, upper float64, err error) {
	if !(level > 0 && level < 1) {
		return 0, 0, fmt.Errorf("level %v is not in (0, 1)", level)
	}
	if len(replicates) != len(errs) {
		return 0, 0, fmt.Errorf("%d replicates but %d standard errors", len(replicates), len(errs))
	}
	if len(replicates) < 2 {
		return 0, 0, ErrNoReplicates
	}
	if !(se > 0) {
		return 0, 0, ErrNoVariation
	}
	t := make([]float64, len(replicates))
	for i, r := range replicates {
		if !(errs[i] > 0) {
			return 0, 0, fmt.Errorf("replicate %d has standard error %v", i+1, errs[i])
		}
		t[i] = (r - estimate) / errs[i]
	}
	slices.Sort(t)
	alpha := (1 - level) / 2
	return estimate - se*quantile(t, 1-alpha, how), estimate - se*quantile(t, alpha, how), nil
}
