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
	// newtonError ends an iteration in two parameters: a step that changes
	// log-odds by d at most, and is l standard errors long, leaves an error below
	// d l/2 standard errors.
	newtonError = 1e-16
	// newtonNear is the squared length in standard errors from which on a full step
	// is right: the likelihood grows by less than it can be computed with. So it is
	// where no log-odds change by more than newtonSafe: the likelihood then grows by
	// at least (1 - (e^d-1-d)/d²) of the squared length, 0.28 of it at d = 1.
	newtonNear = 1e-4
	newtonSafe = 1
	// newtonLimit is far above what converges (5 to 40 steps).
	newtonLimit = 200
)

// cases are the distinct values of a predictor, in increasing order, with the
// number of events and controls that have each. A resample is other numbers at
// the same values. The number of rows is of no consequence to cost.
type cases struct {
	x                []float64
	events, controls []float64
}

// totals returns the number of events and controls.
func (c *cases) totals() (events, controls float64) {
	for i := range c.x {
		events += c.events[i]
		controls += c.controls[i]
	}
	return events, controls
}

// logitCases returns the logits of s, which exist only for risks strictly
// between 0 and 1, where s has both classes.
func logitCases(s *Sample) (*cases, Reason) {
	if why := s.bothClasses(); why != "" {
		return nil, why
	}
	ties := s.distinct()
	if ties[0].risk == 0 || ties[len(ties)-1].risk == 1 {
		return nil, ExtremeRisk
	}
	c := &cases{
		x:        make([]float64, len(ties)),
		events:   make([]float64, len(ties)),
		controls: make([]float64, len(ties)),
	}
	for i, t := range ties {
		c.x[i] = logit(t.risk)
		c.events[i], c.controls[i] = float64(t.events), float64(t.controls)
	}
	return c, ""
}

// logLikelihood returns the log-likelihood at log-odds shift + scale*x, and the
// score: the sums of the residuals and of the residuals times x.
func (c *cases) logLikelihood(shift, scale float64) (ll, score, scoreX float64) {
	for i, x := range c.x {
		eta := shift + scale*x
		p, q, against := chances(eta)
		r := c.events[i]*q - c.controls[i]*p
		ll -= (c.events[i] + c.controls[i]) * math.Log1p(against)
		if eta > 0 {
			ll -= c.controls[i] * eta
		} else {
			ll += c.events[i] * eta
		}
		score += r
		scoreX += r * x
	}
	return ll, score, scoreX
}

// chances returns P(event), P(control) without cancellation in either tail, and
// the odds against the likelier of them.
func chances(eta float64) (p, q, against float64) {
	against = math.Exp(-math.Abs(eta))
	likelier := 1 / (1 + against)
	if eta >= 0 {
		return likelier, against * likelier, against
	}
	return against * likelier, likelier, against
}

// shiftFit maximises the likelihood in the shift alone, at log-odds
// shift + scale*x. Both classes must occur. It also returns the total
// information.
func (c *cases) shiftFit(scale, start float64) (shift, total float64) {
	// At lo no subject's log-odds exceed those of the prevalence, at hi none fall
	// below: the score has its one root between.
	events, controls := c.totals()
	prior := math.Log(events / controls)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, x := range c.x {
		if c.events[i]+c.controls[i] > 0 {
			lo, hi = min(lo, prior-scale*x), max(hi, prior-scale*x)
		}
	}
	shift = min(max(start, lo), hi)
	previous := hi - lo
	for range newtonLimit {
		var score float64
		total = 0
		for i, x := range c.x {
			p, q, _ := chances(shift + scale*x)
			score += c.events[i]*q - c.controls[i]*p
			total += (c.events[i] + c.controls[i]) * (p * q)
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

// slopeFit is a maximum-likelihood fit of a and b on the predictor
// x = (logit - centre)/scale in [-1, 1]. The zero slopeFit is ready to use, and
// to use again: it keeps its memory.
type slopeFit struct {
	on                   cases // x scaled
	centre, scale        float64
	a, b                 float64 // on the scale of x
	varB                 float64 // 1 / information of b with a maximised out
	mass, meanX          float64 // sum of p(1-p), and the mean of x weighted so
	residuals, knowledge []float64
}

// slope returns b on the scale of the logits, and its standard error.
func (f *slopeFit) slope() (b, se float64) { return f.b / f.scale, math.Sqrt(f.varB) / f.scale }

// intercept returns a at logit 0, and its standard error.
func (f *slopeFit) intercept() (a, se float64) {
	at := -f.centre/f.scale - f.meanX
	return f.a - f.b*f.centre/f.scale, math.Sqrt(1/f.mass + at*at*f.varB)
}

// overlap says why the slope of c has no finite maximum, and otherwise returns
// the range of x.
func (c *cases) overlap() (lo, hi float64, why Reason) {
	var lowest, highest [2]float64 // by outcome
	for y := range lowest {
		lowest[y], highest[y] = math.Inf(1), math.Inf(-1)
	}
	for i, x := range c.x { // increasing
		if c.controls[i] > 0 {
			lowest[0], highest[0] = min(lowest[0], x), x
		}
		if c.events[i] > 0 {
			lowest[1], highest[1] = min(lowest[1], x), x
		}
	}
	lo, hi = min(lowest[0], lowest[1]), max(highest[0], highest[1])
	switch {
	case math.IsInf(lowest[0], 1) || math.IsInf(lowest[1], 1):
		return lo, hi, OneClass
	case lo == hi:
		return lo, hi, ConstantRisk
	case highest[0] <= lowest[1] || highest[1] <= lowest[0]:
		return lo, hi, Separated
	}
	return lo, hi, ""
}

// fit maximises the likelihood of c in a and b by damped Newton. It starts at
// the intercept and slope given, on the scale of the logits, or where there is
// no slope.
func (f *slopeFit) fit(c *cases, start ...float64) Reason {
	lo, hi, why := c.overlap()
	if why != "" {
		return why
	}
	f.centre, f.scale = lo+(hi-lo)/2, (hi-lo)/2
	f.on.x, f.on.events, f.on.controls = f.on.x[:0], f.on.events[:0], f.on.controls[:0]
	for i, x := range c.x {
		if c.events[i]+c.controls[i] > 0 {
			f.on.x = append(f.on.x, (x-f.centre)/f.scale)
			f.on.events = append(f.on.events, c.events[i])
			f.on.controls = append(f.on.controls, c.controls[i])
		}
	}
	f.residuals, f.knowledge = grow(f.residuals, len(f.on.x)), grow(f.knowledge, len(f.on.x))
	if len(start) == 2 {
		f.b = start[1] * f.scale
		f.a = start[0] + start[1]*f.centre
	} else {
		events, controls := f.on.totals()
		f.a, f.b = math.Log(events/controls), 0
	}

	ll := math.NaN() // at a and b, where a step was checked
	for range newtonLimit {
		stepA, stepB, decrement := f.step()
		if !(decrement < math.Inf(1)) { // no information left: NaN or Inf
			if len(start) == 2 { // a poor start, at most
				return f.fit(c)
			}
			return NotAvailable
		}
		change := math.Abs(stepA) + math.Abs(stepB) // x lies in [-1, 1]
		if decrement < newtonNear || change <= newtonSafe {
			f.a, f.b = f.a+stepA, f.b+stepB
			if change*math.Sqrt(decrement) <= newtonError {
				return ""
			}
			ll = math.NaN()
			continue
		}
		if math.IsNaN(ll) {
			ll, _, _ = f.on.logLikelihood(f.a, f.b)
		}
		// The step is halved until the likelihood grows by a fair part of what the
		// step promises.
		for t := 1.0; ; t /= 2 {
			a, b := f.a+t*stepA, f.b+t*stepB
			next, _, _ := f.on.logLikelihood(a, b)
			if next >= ll+t*decrement/4 || t < 1e-10 {
				f.a, f.b, ll = a, b, next
				break
			}
		}
	}
	return NotAvailable
}

// step returns Newton's step from a and b and its squared length in standard
// errors. It is taken in a at the weighted mean of x, where a and b do not
// correlate, and in b.
func (f *slopeFit) step() (stepA, stepB, decrement float64) {
	var score, sumX float64
	f.mass = 0
	n := len(f.on.x)
	events, controls := f.on.events[:n], f.on.controls[:n]
	for i, x := range f.on.x {
		// As chances has it, which is too large to be inlined.
		eta := f.a + f.b*x
		against := math.Exp(-math.Abs(eta))
		p := 1 / (1 + against)
		q := against * p
		if eta < 0 {
			p, q = q, p
		}
		r := events[i]*q - controls[i]*p
		k := (events[i] + controls[i]) * (p * q)
		f.residuals[i], f.knowledge[i] = r, k
		score += r
		f.mass += k
		sumX += k * x
	}
	f.meanX = sumX / f.mass
	var scoreB, informationB float64
	for i, x := range f.on.x {
		d := x - f.meanX
		scoreB += f.residuals[i] * d
		informationB += f.knowledge[i] * d * d
	}
	f.varB = 1 / informationB
	stepB = scoreB * f.varB
	stepA = score/f.mass - stepB*f.meanX
	return stepA, stepB, score*score/f.mass + scoreB*scoreB*f.varB
}

// profileInterval returns the values of a parameter at which the log-likelihood
// with the others maximised out, and its slope, given by profile, lie drop
// below its maximum ll at best.
func profileInterval(best, se, ll, level float64, profile func(v float64) (ll, slope float64)) Interval {
	i := Interval{Method: ProfileLikelihood, Level: level}
	z := normalQuantile(level)
	// Where the likelihood is flat around its maximum the standard error says
	// nothing of the limits, and so large a start would cost all digits.
	const reach = 10 // log-odds: predictors lie in [-1, 1]
	distance := min(z*se, reach)
	var below, above bool
	i.Lower, below = profileLimit(best, -distance, ll-z*z/2, profile)
	i.Upper, above = profileLimit(best, distance, ll-z*z/2, profile)
	if !below || !above {
		i.Lower, i.Upper, i.Undefined = 0, 0, NotAvailable
	}
	return i
}

// profileLimit finds where profile falls to floor: it doubles distance until
// best + distance lies outside, and approaches the limit from there by Newton's
// method. The drop of a concave likelihood is convex, so that no step crosses
// the limit, but for rounding.
func profileLimit(best, distance, floor float64, profile func(v float64) (ll, slope float64)) (limit float64, ok bool) {
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
