package metrics

import "math"

// Recalibration is logistic regression of the outcome on the logit of the
// risk: logit P(event) = a + b logit(risk). The log-likelihood is concave and
// its third derivative is bounded by the second (|σ”| <= σ'), so a Newton step
// of size d leaves an error below d²/2. That is what the tolerances rest on.
const (
	// newtonStep ends an iteration in one parameter: (1e-8)²/2 is below the
	// rounding of a float64.
	newtonStep = 1e-8
	// newtonDecrement ends an iteration in two parameters by the squared length
	// of the step in standard errors.
	newtonDecrement = 1e-18
	// newtonLimit is far above what converges (5 to 40 steps).
	newtonLimit = 200
)

// logitScale puts the logits of s into w.logits. They exist only for risks
// strictly between 0 and 1.
func (w *workspace) logitScale(s *Sample) Reason {
	w.logits = grow(w.logits, s.N())
	for i, p := range s.risks {
		if p == 0 || p == 1 {
			return ExtremeRisk
		}
		w.logits[i] = logit(p)
	}
	return ""
}

// logLikelihood returns the log-likelihood of outcomes at log-odds
// shift + scale*x, and the score: the sums of the residuals and of the
// residuals times x.
func logLikelihood(outcomes []int, x []float64, shift, scale float64) (ll, score, scoreX float64) {
	for i, y := range outcomes {
		eta := shift + scale*x[i]
		r, against := residual(y, eta)
		if math.Abs(r) > 0.5 { // the unlikelier outcome came
			ll -= math.Abs(eta)
		}
		ll -= math.Log1p(against)
		score += r
		scoreX += r * x[i]
	}
	return ll, score, scoreX
}

// residual returns y - P(event) at log-odds eta, without cancellation in
// either tail, and the odds against the likelier outcome.
func residual(y int, eta float64) (residual, against float64) {
	sign := float64(2*y - 1)
	against = math.Exp(-math.Abs(eta))
	if sign*eta >= 0 {
		return sign * against / (1 + against), against
	}
	return sign / (1 + against), against
}

// information is what one outcome of residual r tells of the log-odds: p(1-p).
func information(r float64) float64 { return math.Abs(r) * (1 - math.Abs(r)) }

// shiftFit maximises the likelihood in the shift alone, at log-odds
// shift + scale*x. Both classes must occur. It also returns the total
// information.
func shiftFit(outcomes []int, events int, x []float64, scale, start float64) (shift, total float64) {
	// At lo no subject's log-odds exceed those of the prevalence, at hi none fall
	// below: the score has its one root between.
	prior := math.Log(float64(events) / float64(len(outcomes)-events))
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, v := range x {
		lo, hi = min(lo, prior-scale*v), max(hi, prior-scale*v)
	}
	shift = min(max(start, lo), hi)
	previous := hi - lo
	for range newtonLimit {
		var score float64
		total = 0
		for i, y := range outcomes {
			r, _ := residual(y, shift+scale*x[i])
			score += r
			total += information(r)
		}
		if score > 0 {
			lo = shift
		} else {
			hi = shift
		}
		// Where the likelihood is flat, Newton's steps do not shrink: bisect.
		next := shift + score/total
		newton := next >= lo && next <= hi && math.Abs(next-shift) <= previous/2 // false for NaN
		if !newton {
			next = lo + (hi-lo)/2
		}
		previous = math.Abs(next - shift)
		shift = next
		if previous == 0 || newton && previous <= newtonStep {
			break
		}
	}
	return shift, total
}

// slopeFit is a maximum-likelihood fit of a and b, with the scaled predictor
// it was made on: x = (logit - centre)/scale in [-1, 1].
type slopeFit struct {
	x             []float64
	centre, scale float64
	a, b          float64 // on the scale of x
	ll            float64
	varB          float64 // 1 / information of b with a maximised out
	mass, meanX   float64 // sum of p(1-p), and the mean of x weighted so
}

// slope returns b on the scale of the logits.
func (f *slopeFit) slope() float64 { return f.b / f.scale }

// intercept returns a at logit 0.
func (f *slopeFit) intercept() float64 { return f.a - f.b*f.centre/f.scale }

// fitSlope maximises the likelihood in a and b by damped Newton.
func (w *workspace) fitSlope(s *Sample) (slopeFit, Reason) {
	if why := s.bothClasses(); why != "" {
		return slopeFit{}, why
	}
	if why := w.logitScale(s); why != "" {
		return slopeFit{}, why
	}
	var lowest, highest [2]float64 // by outcome
	for y := range lowest {
		lowest[y], highest[y] = math.Inf(1), math.Inf(-1)
	}
	for i, y := range s.outcomes {
		lowest[y], highest[y] = min(lowest[y], w.logits[i]), max(highest[y], w.logits[i])
	}
	lo, hi := min(lowest[0], lowest[1]), max(highest[0], highest[1])
	switch {
	case lo == hi:
		return slopeFit{}, ConstantRisk
	case highest[0] <= lowest[1] || highest[1] <= lowest[0]:
		return slopeFit{}, Separated
	}

	f := slopeFit{centre: lo + (hi-lo)/2, scale: (hi - lo) / 2}
	w.x = grow(w.x, s.N())
	for i, v := range w.logits {
		w.x[i] = (v - f.centre) / f.scale
	}
	f.x = w.x
	f.a = math.Log(float64(s.events) / float64(s.controls()))
	f.ll, _, _ = logLikelihood(s.outcomes, f.x, f.a, 0)
	w.residuals = grow(w.residuals, s.N())
	for range newtonLimit {
		// The step is taken in a at the weighted mean of x, where a and b do not
		// correlate, and in b.
		var score, sumX float64
		f.mass = 0
		for i, y := range s.outcomes {
			r, _ := residual(y, f.a+f.b*f.x[i])
			w.residuals[i] = r
			score += r
			f.mass += information(r)
			sumX += information(r) * f.x[i]
		}
		f.meanX = sumX / f.mass
		var scoreB, informationB float64
		for i, r := range w.residuals {
			d := f.x[i] - f.meanX
			scoreB += r * d
			informationB += information(r) * d * d
		}
		f.varB = 1 / informationB
		stepB := scoreB * f.varB
		stepA := score/f.mass - stepB*f.meanX
		decrement := score*score/f.mass + scoreB*scoreB*f.varB
		if !(decrement < math.Inf(1)) { // no information left: NaN or Inf
			return slopeFit{}, NotAvailable
		}
		if decrement <= newtonDecrement {
			f.a, f.b = f.a+stepA, f.b+stepB
			f.ll, _, _ = logLikelihood(s.outcomes, f.x, f.a, f.b)
			return f, ""
		}
		f.step(s.outcomes, stepA, stepB, decrement)
	}
	return slopeFit{}, NotAvailable
}

// step moves f by a Newton step, halved until the likelihood grows by a fair
// part of what the step promises. Close to the maximum the growth is below
// rounding and the full step is right.
func (f *slopeFit) step(outcomes []int, stepA, stepB, decrement float64) {
	const near = 1e-4 // squared distance in standard errors
	for t := 1.0; ; t /= 2 {
		a, b := f.a+t*stepA, f.b+t*stepB
		ll, _, _ := logLikelihood(outcomes, f.x, a, b)
		if decrement < near || ll >= f.ll+t*decrement/4 || t < 1e-10 {
			f.a, f.b, f.ll = a, b, ll
			return
		}
	}
}

// profileInterval returns the values of a parameter at which the log-likelihood
// with the others maximised out, and its slope, given by profile, lie z²/2
// below its maximum ll at best.
func profileInterval(best, se, ll float64, profile func(v float64) (ll, slope float64)) Interval {
	i := Interval{Method: ProfileLikelihood, Level: Level}
	// Where the likelihood is flat around its maximum the standard error says
	// nothing of the limits, and so large a start would cost all digits.
	const reach = 10 // log-odds: predictors lie in [-1, 1]
	distance := min(z*se, reach)
	var below, above bool
	i.Lower, below = profileLimit(best, -distance, ll, profile)
	i.Upper, above = profileLimit(best, distance, ll, profile)
	if !below || !above {
		i.Lower, i.Upper, i.Undefined = 0, 0, NotAvailable
	}
	return i
}

// profileLimit finds one limit: it doubles distance until best + distance lies
// outside, and approaches the limit from there by Newton's method. The drop of
// a concave likelihood is convex, so that no step crosses the limit, but for
// rounding.
func profileLimit(best, distance, ll float64, profile func(v float64) (ll, slope float64)) (limit float64, ok bool) {
	inside, outside := best, math.NaN()
	v := best + distance
	for range newtonLimit {
		l, slope := profile(v)
		over := ll - l - z*z/2
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
