// Package logistic fits logistic regressions of one predictor by maximum likelihood:
// to counts at the distinct values of the predictor, so that its cost is theirs and
// not that of rows, and again to other counts at the same values. It knows nothing of
// risks, samples or measures.
package logistic

import (
	"errors"
	"math"
	"slices"
)

// Why a slope has no finite maximum-likelihood estimate, or none was found.
var (
	ErrOneClass  = errors.New("there are no events or no controls")
	ErrConstant  = errors.New("all values of the predictor are equal")
	ErrSeparated = errors.New("a value of the predictor separates events from controls")
	ErrNotFound  = errors.New("the likelihood's maximum was not found")
)

// The model is logit P(event) = a + b x. The log-likelihood is concave and
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

// Cases are the distinct values of a predictor, in increasing order, with the
// number of events and controls that have each. A resample is other numbers at
// the same values. The number of rows is of no consequence to cost.
type Cases struct {
	X                []float64
	Events, Controls []float64
}

// totals returns the number of events and controls.
func (c *Cases) totals() (events, controls float64) {
	for i := range c.X {
		events += c.Events[i]
		controls += c.Controls[i]
	}
	return events, controls
}

// LogLikelihood returns the log-likelihood at log-odds shift + scale*x, and the
// score: the sums of the residuals and of the residuals times x.
func (c *Cases) LogLikelihood(shift, scale float64) (ll, score, scoreX float64) {
	for i, x := range c.X {
		eta := shift + scale*x
		p, q, against := chances(eta)
		r := c.Events[i]*q - c.Controls[i]*p
		ll -= (c.Events[i] + c.Controls[i]) * math.Log1p(against)
		if eta > 0 {
			ll -= c.Controls[i] * eta
		} else {
			ll += c.Events[i] * eta
		}
		score += r
		scoreX += r * x
	}
	return ll, score, scoreX
}

// Shift maximises the likelihood in the shift alone, at log-odds
// shift + scale*x. Both classes must occur.
func (c *Cases) Shift(scale, start float64) (shift float64) {
	// At lo no subject's log-odds exceed those of the prevalence, at hi none fall
	// below: the score has its one root between.
	events, controls := c.totals()
	prior := math.Log(events / controls)
	lo, hi := math.Inf(1), math.Inf(-1)
	for i, x := range c.X {
		if c.Events[i]+c.Controls[i] > 0 {
			lo, hi = min(lo, prior-scale*x), max(hi, prior-scale*x)
		}
	}
	shift = min(max(start, lo), hi)
	previous := hi - lo
	var buffer [2][block]float64
	for range newtonLimit {
		var score, total, skew float64
		for from := 0; from < len(c.X); from += block {
			xs := c.X[from:min(from+block, len(c.X))]
			events, controls := c.Events[from:][:len(xs)], c.Controls[from:][:len(xs)]
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

// Information returns the information on the shift at log-odds shift + x.
func (c *Cases) Information(shift float64) (total float64) {
	for i, x := range c.X {
		p, q, _ := chances(shift + x)
		total += (c.Events[i] + c.Controls[i]) * (p * q)
	}
	return total
}

// Fit is a maximum-likelihood fit of a and b on the predictor
// x = (logit - centre)/scale in [-1, 1]. The zero Fit is ready to use, and
// to use again: it keeps its memory.
type Fit struct {
	on            Cases // x scaled
	centre, scale float64
	a, b          float64    // on the scale of x
	varB          float64    // 1 / information of b with a maximised out
	mass, meanX   float64    // sum of p(1-p), and the mean of x weighted so
	skew          [4]float64 // sums of p(1-p)(1-2p) times powers of x about that mean
}

// Slope returns b on the scale of the logits, and its standard error.
func (f *Fit) Slope() (b, se float64) { return f.b / f.scale, math.Sqrt(f.varB) / f.scale }

// Intercept returns a at logit 0, and its standard error.
func (f *Fit) Intercept() (a, se float64) {
	at := -f.centre/f.scale - f.meanX
	return f.a - f.b*f.centre/f.scale, math.Sqrt(1/f.mass + at*at*f.varB)
}

// overlap says why the slope of c has no finite maximum, and otherwise returns
// the range of x. From both ends it looks no further than it must.
func (c *Cases) overlap() (lo, hi float64, err error) {
	lowest, highest := [2]int{-1, -1}, [2]int{-1, -1} // by outcome
	for y, of := range [][]float64{c.Controls, c.Events} {
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
		return 0, 0, ErrOneClass
	}
	first, last := min(lowest[0], lowest[1]), max(highest[0], highest[1])
	lo, hi = c.X[first], c.X[last]
	switch {
	case lo == hi:
		return lo, hi, ErrConstant
	// Values that are given as distinct may be equal.
	case c.X[highest[0]] <= c.X[lowest[1]] || c.X[highest[1]] <= c.X[lowest[0]]:
		return lo, hi, ErrSeparated
	}
	return lo, hi, nil
}

// sampleFrom is the number of values from which a fit begins at that of every
// sixteenth of them: four standard errors away at most times, where two steps
// remain.
const sampleFrom, sampleEvery = 20_000, 16

// Maximise maximises the likelihood of c in a and b by damped Newton.
func (f *Fit) Maximise(c *Cases) error {
	lo, hi, err := c.overlap()
	if err != nil {
		return err
	}
	events, controls := c.totals()
	a, b := math.Log(events/controls), 0.0 // at logit 0; no slope
	if len(c.X) >= sampleFrom {
		part := &Cases{}
		for i := 0; i < len(c.X); i += sampleEvery {
			part.X, part.Events, part.Controls = append(part.X, c.X[i]), append(part.Events, c.Events[i]), append(part.Controls, c.Controls[i])
		}
		var of Fit
		if of.Maximise(part) == nil { // else it is too small a part
			b, _ = of.Slope()
			a, _ = of.Intercept()
		}
	}
	f.centre, f.scale = lo+(hi-lo)/2, (hi-lo)/2
	f.keep(c, func(x float64) float64 { return (x - f.centre) / f.scale })
	f.a, f.b = a+b*f.centre, b*f.scale
	f.meanX = f.centreOfMass()
	return f.maximise(nil)
}

// Start is a maximum that fits to other counts at the same values begin at.
type Start struct {
	fit     Fit
	chances chancesAt // at its maximum
}

// NewStart is the maximum of c.
func NewStart(c *Cases) (*Start, error) {
	s := new(Start)
	if err := s.fit.Maximise(c); err != nil {
		return nil, err
	}
	n := len(s.fit.on.X)
	s.chances = chancesAt{make([]float64, n), make([]float64, n)}
	chancesOf(s.fit.on.X, s.fit.a, s.fit.b, s.chances.p, s.chances.q)
	return s, nil
}

// MaximiseFrom is Maximise for other numbers of events and controls at the values of
// the start, all of which somebody has there, from there on. The first step needs no
// chances but the start's.
func (f *Fit) MaximiseFrom(s *Start, c *Cases) error {
	if _, _, err := c.overlap(); err != nil {
		return err
	}
	from := &s.fit
	f.centre, f.scale = from.centre, from.scale
	f.a, f.b, f.meanX = from.a, from.b, from.meanX
	f.on.X, f.on.Events, f.on.Controls = append(f.on.X[:0], from.on.X...), append(f.on.Events[:0], c.Events...), append(f.on.Controls[:0], c.Controls...)
	if f.maximise(&s.chances) != nil {
		return f.Maximise(c) // a poor start, at most
	}
	return nil
}

// Settle computes the information at the maximum: that of the last step was before
// it. Standard errors and limits are exact then.
func (f *Fit) Settle() { f.step(nil) }

// LogLikelihood is that of the fit.
func (f *Fit) LogLikelihood() float64 {
	ll, _, _ := f.on.LogLikelihood(f.a, f.b)
	return ll
}

// keep copies to f.on the values of c that somebody has, scaled.
func (f *Fit) keep(c *Cases, scaled func(float64) float64) {
	n := len(c.X)
	f.on.X, f.on.Events, f.on.Controls = slices.Grow(f.on.X[:0], n)[:n], slices.Grow(f.on.Events[:0], n)[:n], slices.Grow(f.on.Controls[:0], n)[:n]
	events, controls := c.Events[:n], c.Controls[:n]
	k := 0
	for i, x := range c.X {
		// What nobody has is overwritten by the next: a processor would guess half of
		// the branches of a resample wrong.
		f.on.X[k], f.on.Events[k], f.on.Controls[k] = x, events[i], controls[i]
		kept := 0
		if events[i]+controls[i] > 0 {
			kept = 1
		}
		k += kept
	}
	f.on.X, f.on.Events, f.on.Controls = f.on.X[:k], f.on.Events[:k], f.on.Controls[:k]
	if scaled != nil {
		for i, x := range f.on.X {
			f.on.X[i] = scaled(x)
		}
	}
}

// centreOfMass is the mean of x over all subjects.
func (f *Fit) centreOfMass() float64 {
	var sum, sumX float64
	for i, x := range f.on.X {
		w := f.on.Events[i] + f.on.Controls[i]
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
func (f *Fit) maximise(known *chancesAt) error {
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
			return ErrNotFound
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
			return nil
		}
	}
	return ErrNotFound
}

// shorten takes half a step, or a quarter, and so on.
func (f *Fit) shorten(stepA, stepB, decrement float64) {
	const shortest = 1e-10
	ll, _, _ := f.on.LogLikelihood(f.a, f.b)
	for t := 0.5; ; t /= 2 {
		a, b := f.a+t*stepA, f.b+t*stepB
		if next, _, _ := f.on.LogLikelihood(a, b); next >= ll+t*decrement/4 || t < shortest {
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
func (f *Fit) step(known *chancesAt) (stepA, stepB, decrement float64) {
	var score, scoreX, mass, first, second, skew0, skew1, skew2, skew3 float64
	var buffer [2][block]float64
	mean := f.meanX
	for from := 0; from < len(f.on.X); from += block {
		xs := f.on.X[from:min(from+block, len(f.on.X))]
		events, controls := f.on.Events[from:][:len(xs)], f.on.Controls[from:][:len(xs)]
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
func (f *Fit) corrected(stepA, stepB float64) (float64, float64) {
	s, u := f.skew, stepA+stepB*f.meanX // the change of log-odds at the mean of x
	b := stepB - (u*u*s[1]+2*u*stepB*s[2]+stepB*stepB*s[3])*f.varB/2
	u -= (u*u*s[0] + 2*u*stepB*s[1] + stepB*stepB*s[2]) / f.mass / 2
	return u - b*f.meanX, b
}
