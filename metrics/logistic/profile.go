package logistic

import "math"

// ShiftLimits are the values of the shift, at scale 1, at which the log-likelihood
// lies z²/2 below its maximum, which is at shift; se is about its standard error.
func (c *Cases) ShiftLimits(shift, se, z float64) (lower, upper float64, ok bool) {
	best, _, _ := c.LogLikelihood(shift, 1)
	return limits(shift, se, best, z, func(a float64) (float64, float64) {
		ll, score, _ := c.LogLikelihood(a, 1)
		return ll, score
	})
}

// SlopeLimits are the values of b at which the log-likelihood, with a maximised out,
// lies z²/2 below its maximum. The fit must be settled.
func (f *Fit) SlopeLimits(z float64) (lower, upper float64, ok bool) {
	at := f.a
	lower, upper, ok = limits(f.b, math.Sqrt(f.varB), f.LogLikelihood(), z, func(b float64) (float64, float64) {
		at = f.on.Shift(b, at)
		ll, _, scoreX := f.on.LogLikelihood(at, b)
		return ll, scoreX
	})
	return lower / f.scale, upper / f.scale, ok
}

// limits returns the values of a parameter at which the log-likelihood with the
// others maximised out, and its slope, given by profile, lie z²/2 below its maximum
// ll at best.
func limits(best, se, ll, z float64, profile func(v float64) (ll, slope float64)) (lower, upper float64, ok bool) {
	// Where the likelihood is flat around its maximum the standard error says
	// nothing of the limits, and so large a start would cost all digits.
	const reach = 10 // log-odds: predictors lie in [-1, 1]
	distance := min(z*se, reach)
	lower, below := limit(best, -distance, ll-z*z/2, profile)
	upper, above := limit(best, distance, ll-z*z/2, profile)
	if !below || !above {
		return 0, 0, false
	}
	return lower, upper, true
}

// limit finds where profile falls to floor: it doubles distance until
// best + distance lies outside, and approaches the limit from there by Newton's
// method. The drop of a concave likelihood is convex, so that no step crosses
// the limit, but for rounding.
func limit(best, distance, floor float64, profile func(v float64) (ll, slope float64)) (limit float64, ok bool) {
	inside, outside := best, math.NaN()
	v := best + distance
	for range newtonLimit {
		l, slope := profile(v)
		over := floor - l
		if over < 0 {
			inside = v
		} else {
			outside = v
		}
		if math.IsNaN(outside) {
			distance *= 2
			v = best + distance
			continue
		}
		next := v + over/slope
		if !((next-inside)*(next-outside) <= 0) { // NaN, or beyond
			next = inside + (outside-inside)/2
		}
		step := math.Abs(next - v)
		v = next
		if step <= newtonStep*math.Abs(v-best) {
			return v, true
		}
	}
	return 0, false
}
