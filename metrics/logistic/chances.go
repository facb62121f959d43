package logistic

import "math"

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
