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
	// newtonStepThird does where steps are corrected for the third derivative, as
	// below: 2/3 of (4e-6)³ is below that rounding.
	newtonStepThird = 4e-6
	// newtonError ends an iteration in two parameters: a step that changes
	// log-odds by d at most, and is l standard errors long, leaves an error below
	// d l/2 standard errors, and one that was corrected for the third derivative
	// one below d² l.
	newtonError = 1e-16
	// newtonThird is the change of log-odds up to which steps are corrected: the
	// correction is then at most an eighth of the step. The fourth derivative is
	// bounded by the second too (|σ”'| <= σ'), so that the error of a corrected
	// step is below d² l/6, and that of correcting along the uncorrected step below
	// d² l/2.
	newtonThird = 0.25
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
// between 0 and 1, where s has both classes. They are made once and must not be
// changed.
func logitCases(s *Sample) (*cases, Reason) {
	s.logits.made.Do(func() { s.logits.why = s.logits.cases.set(s) })
	if s.logits.why != "" {
		return nil, s.logits.why
	}
	return &s.logits.cases, ""
}

func (c *cases) set(s *Sample) Reason {
	if why := s.bothClasses(); why != "" {
		return why
	}
	ties := s.distinct()
	if ties[0].risk == 0 || ties[len(ties)-1].risk == 1 {
		return ExtremeRisk
	}
	n := len(ties)
	c.x, c.events, c.controls = grow(c.x, n), grow(c.events, n), grow(c.controls, n)
	for i, t := range ties {
		c.x[i] = logit(t.risk)
		c.events[i], c.controls[i] = float64(t.events), float64(t.controls)
	}
	return ""
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

// block is the number of values whose chances are computed at once: they stay in
// the nearest cache.
const block = 128

// chancesAt are P(event) and P(control) at some values.
type chancesAt struct{ p, q []float64 }

// Of exp(y) = 2^(k/64) e^r: the powers for k below 64, and what makes k and r of y.
// ln 2 is in two parts, of which k times the first is exact.
const (
	powers     = 64
	perPower   = powers / math.Ln2
	powerHi    = 6.93147180369123816490e-01 / powers
	powerLo    = 1.90821492927058770002e-10 / powers
	roundToInt = 0x1.8p52 // added to a number it leaves an integer in the low bits
)

var powerOf2 = func() (t [powers]uint64) {
	for k := range t {
		t[k] = math.Float64bits(math.Exp2(float64(k) / powers))
	}
	return t
}()

// chancesOf sets p and q to P(event) and P(control) at log-odds a + b x, for x in
// increasing order, to 3 units in the last place in either tail. An exp without a call and
// without branches lets a processor work at several values at a time.
func chancesOf(xs []float64, a, b float64, p, q []float64) {
	p, q = p[:len(xs)], q[:len(xs)]
	// Beyond e^±700 a chance is 0 for all that follows; exp would leave its range.
	const far = 700
	if !(math.Abs(a+b*xs[0]) < far && math.Abs(a+b*xs[len(xs)-1]) < far) {
		for i, x := range xs {
			p[i], q[i], _ = chances(a + b*x)
		}
		return
	}
	for i, x := range xs {
		y := -(a + b*x)
		z := y*perPower + roundToInt
		k := math.Float64bits(z)
		n := z - roundToInt
		r := y - n*powerHi - n*powerLo // at most ln 2/128: five terms leave 3e-17
		e := 1 + r*(1+r*(1.0/2+r*(1.0/6+r*(1.0/24+r*(1.0/120)))))
		e *= math.Float64frombits(powerOf2[k%powers] + k/powers<<52)
		likely := 1 / (1 + e)
		p[i], q[i] = likely, e*likely
	}
}

// shiftFit maximises the likelihood in the shift alone, at log-odds
// shift + scale*x. Both classes must occur.
func (c *cases) shiftFit(scale, start float64) (shift float64) {
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
	var buffer [2][block]float64
	for range newtonLimit {
		var score, total, skew float64
		for from := 0; from < len(c.x); from += block {
			xs := c.x[from:min(from+block, len(c.x))]
			events, controls := c.events[from:][:len(xs)], c.controls[from:][:len(xs)]
			p, q := buffer[0][:len(xs)], buffer[1][:len(xs)]
			chancesOf(xs, shift, scale, p, q)
			for i := range xs {
				score += events[i]*q[i] - controls[i]*p[i]
				k := (events[i] + controls[i]) * (p[i] * q[i])
				total += k
				skew += k * (q[i] - p[i])
			}
		}
		if score > 0 {
			lo = shift
		} else {
			hi = shift
		}
		// Where the likelihood is flat, Newton's steps do not shrink: bisect.
		step := score / total
		enough := newtonStep
		if math.Abs(step) <= newtonThird {
			step -= step * step * skew / total / 2 // Chebyshev's correction
			enough = newtonStepThird
		}
		next := shift + step
		newton := next >= lo && next <= hi && math.Abs(next-shift) <= previous/2 // false for NaN
		if !newton {
			next = lo + (hi-lo)/2
		}
		previous = math.Abs(next - shift)
		shift = next
		if previous == 0 || newton && previous <= enough {
			break
		}
	}
	return shift
}

// information returns the information on the shift at log-odds shift + x.
func (c *cases) information(shift float64) (total float64) {
	for i, x := range c.x {
		p, q, _ := chances(shift + x)
		total += (c.events[i] + c.controls[i]) * (p * q)
	}
	return total
}

// slopeFit is a maximum-likelihood fit of a and b on the predictor
// x = (logit - centre)/scale in [-1, 1]. The zero slopeFit is ready to use, and
// to use again: it keeps its memory.
type slopeFit struct {
	on            cases // x scaled
	centre, scale float64
	a, b          float64    // on the scale of x
	varB          float64    // 1 / information of b with a maximised out
	mass, meanX   float64    // sum of p(1-p), and the mean of x weighted so
	skew          [4]float64 // sums of p(1-p)(1-2p) times powers of x about that mean
}

// slope returns b on the scale of the logits, and its standard error.
func (f *slopeFit) slope() (b, se float64) { return f.b / f.scale, math.Sqrt(f.varB) / f.scale }

// intercept returns a at logit 0, and its standard error.
func (f *slopeFit) intercept() (a, se float64) {
	at := -f.centre/f.scale - f.meanX
	return f.a - f.b*f.centre/f.scale, math.Sqrt(1/f.mass + at*at*f.varB)
}

// overlap says why the slope of c has no finite maximum, and otherwise returns
// the range of x. From both ends it looks no further than it must.
func (c *cases) overlap() (lo, hi float64, why Reason) {
	lowest, highest := [2]int{-1, -1}, [2]int{-1, -1} // by outcome
	for y, of := range [][]float64{c.controls, c.events} {
		for i, count := range of {
			if count > 0 {
				lowest[y] = i
				break
			}
		}
		for i := len(of) - 1; i >= 0; i-- {
			if of[i] > 0 {
				highest[y] = i
				break
			}
		}
	}
	if lowest[0] < 0 || lowest[1] < 0 {
		return 0, 0, OneClass
	}
	first, last := min(lowest[0], lowest[1]), max(highest[0], highest[1])
	lo, hi = c.x[first], c.x[last]
	switch {
	case lo == hi:
		return lo, hi, ConstantRisk
	// Distinct risks may have equal logits, so that it is these that count.
	case c.x[highest[0]] <= c.x[lowest[1]] || c.x[highest[1]] <= c.x[lowest[0]]:
		return lo, hi, Separated
	}
	return lo, hi, ""
}

// sampleFrom is the number of values from which a fit begins at that of every
// sixteenth of them: four standard errors away at most times, where two steps
// remain.
const sampleFrom, sampleEvery = 20_000, 16

// fit maximises the likelihood of c in a and b by damped Newton.
func (f *slopeFit) fit(c *cases) Reason {
	lo, hi, why := c.overlap()
	if why != "" {
		return why
	}
	events, controls := c.totals()
	a, b := math.Log(events/controls), 0.0 // at logit 0; no slope
	if len(c.x) >= sampleFrom {
		part := &cases{}
		for i := 0; i < len(c.x); i += sampleEvery {
			part.x, part.events, part.controls = append(part.x, c.x[i]), append(part.events, c.events[i]), append(part.controls, c.controls[i])
		}
		var of slopeFit
		if of.fit(part) == "" { // else it is too small a part
			b, _ = of.slope()
			a, _ = of.intercept()
		}
	}
	f.centre, f.scale = lo+(hi-lo)/2, (hi-lo)/2
	f.keep(c, func(x float64) float64 { return (x - f.centre) / f.scale })
	f.a, f.b = a+b*f.centre, b*f.scale
	f.meanX = f.centreOfMass()
	return f.maximise(nil)
}

// refit maximises the likelihood of other numbers of events and controls at the
// values that from was fitted to, from there on. Chances are those of the values
// at the maximum of from: the first step needs no others.
func (f *slopeFit) refit(from *slopeFit, at *chancesAt, c *cases) Reason {
	if _, _, why := c.overlap(); why != "" {
		return why
	}
	f.centre, f.scale = from.centre, from.scale
	f.a, f.b, f.meanX = from.a, from.b, from.meanX
	f.on.x, f.on.events, f.on.controls = append(f.on.x[:0], from.on.x...), append(f.on.events[:0], c.events...), append(f.on.controls[:0], c.controls...)
	if f.maximise(at) != "" {
		return f.fit(c) // a poor start, at most
	}
	return ""
}

// keep copies to f.on the values of c that somebody has, scaled.
func (f *slopeFit) keep(c *cases, scaled func(float64) float64) {
	n := len(c.x)
	f.on.x, f.on.events, f.on.controls = grow(f.on.x, n), grow(f.on.events, n), grow(f.on.controls, n)
	events, controls := c.events[:n], c.controls[:n]
	k := 0
	for i, x := range c.x {
		// What nobody has is overwritten by the next: a processor would guess half of
		// the branches of a resample wrong.
		f.on.x[k], f.on.events[k], f.on.controls[k] = x, events[i], controls[i]
		kept := 0
		if events[i]+controls[i] > 0 {
			kept = 1
		}
		k += kept
	}
	f.on.x, f.on.events, f.on.controls = f.on.x[:k], f.on.events[:k], f.on.controls[:k]
	if scaled != nil {
		for i, x := range f.on.x {
			f.on.x[i] = scaled(x)
		}
	}
}

// centreOfMass is the mean of x over all subjects.
func (f *slopeFit) centreOfMass() float64 {
	var sum, sumX float64
	for i, x := range f.on.x {
		w := f.on.events[i] + f.on.controls[i]
		sum += w
		sumX += w * x
	}
	return sumX / sum
}

// maximise goes on from a and b. Known are the chances there, or nil; with them f.on
// may have values that nobody has.
//
// A full step is right where that is certain, or where the next is at most half as
// long; otherwise it is halved until the likelihood grows by a fair part of what it
// promises.
func (f *slopeFit) maximise(known *chancesAt) Reason {
	var was struct{ a, b, meanX, stepA, stepB, decrement float64 } // before a step on trial
	trial := false
	for range newtonLimit {
		stepA, stepB, decrement := f.step(known)
		if known != nil {
			f.keep(&f.on, nil)
			known = nil
		}
		if trial && !(decrement <= was.decrement/4) { // squared lengths; NaN too
			f.a, f.b, f.meanX = was.a, was.b, was.meanX
			f.shorten(was.stepA, was.stepB, was.decrement)
			trial = false
			continue
		}
		if !(decrement < math.Inf(1)) { // no information left: NaN or Inf
			return NotAvailable
		}
		change := math.Abs(stepA) + math.Abs(stepB) // x lies in [-1, 1]
		trial = decrement >= newtonNear && change > newtonSafe
		was.a, was.b, was.meanX, was.stepA, was.stepB, was.decrement = f.a, f.b, f.meanX, stepA, stepB, decrement
		left := change * math.Sqrt(decrement)
		if change <= newtonThird {
			stepA, stepB = f.corrected(stepA, stepB)
			left *= change
		}
		f.a, f.b = f.a+stepA, f.b+stepB
		if left <= newtonError {
			return ""
		}
	}
	return NotAvailable
}

// shorten takes half a step, or a quarter, and so on.
func (f *slopeFit) shorten(stepA, stepB, decrement float64) {
	const shortest = 1e-10
	ll, _, _ := f.on.logLikelihood(f.a, f.b)
	for t := 0.5; ; t /= 2 {
		a, b := f.a+t*stepA, f.b+t*stepB
		if next, _, _ := f.on.logLikelihood(a, b); next >= ll+t*decrement/4 || t < shortest {
			f.a, f.b = a, b
			return
		}
	}
}

// step returns Newton's step from a and b and its squared length in standard
// errors. It is taken in a at the weighted mean of x, where a and b do not
// correlate, and in b. Known are the chances at a and b, nil where they are to be
// computed.
//
// Moments are taken about the mean of x of the step before, which hardly moves.
func (f *slopeFit) step(known *chancesAt) (stepA, stepB, decrement float64) {
	var score, scoreX, mass, first, second, skew0, skew1, skew2, skew3 float64
	var buffer [2][block]float64
	mean := f.meanX
	for from := 0; from < len(f.on.x); from += block {
		xs := f.on.x[from:min(from+block, len(f.on.x))]
		events, controls := f.on.events[from:][:len(xs)], f.on.controls[from:][:len(xs)]
		p, q := buffer[0][:len(xs)], buffer[1][:len(xs)]
		if known != nil {
			p, q = known.p[from:][:len(xs)], known.q[from:][:len(xs)]
		} else {
			chancesOf(xs, f.a, f.b, p, q)
		}
		for i, x := range xs {
			r := events[i]*q[i] - controls[i]*p[i]
			k := (events[i] + controls[i]) * (p[i] * q[i])
			skew := k * (q[i] - p[i])
			d := x - mean
			score += r
			scoreX += r * d
			mass += k
			k *= d
			first += k
			second += k * d
			skew0 += skew
			skew *= d
			skew1 += skew
			skew *= d
			skew2 += skew
			skew3 += skew * d
		}
	}
	// To the mean that these weights have.
	by := first / mass
	f.mass, f.meanX, f.varB = mass, mean+by, 1/(second-by*first)
	f.skew = [4]float64{
		skew0, skew1 - by*skew0, skew2 - 2*by*skew1 + by*by*skew0,
		skew3 - 3*by*skew2 + 3*by*by*skew1 - by*by*by*skew0,
	}
	scoreX -= by * score
	stepB = scoreX * f.varB
	stepA = score/mass - stepB*f.meanX
	return stepA, stepB, score*score/mass + scoreX*scoreX*f.varB
}

// corrected is a step of Newton's with the third derivative of the likelihood
// along it (Chebyshev's method).
func (f *slopeFit) corrected(stepA, stepB float64) (float64, float64) {
	s, u := f.skew, stepA+stepB*f.meanX // the change of log-odds at the mean of x
	b := stepB - (u*u*s[1]+2*u*stepB*s[2]+stepB*stepB*s[3])*f.varB/2
	u -= (u*u*s[0] + 2*u*stepB*s[1] + stepB*stepB*s[2]) / f.mass / 2
	return u - b*f.meanX, b
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
