package logistic

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// An exp that is written out is held to Go's.
func TestChances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Float64Range(-40, 40).Draw(t, "a")
		b := rapid.Float64Range(0, 60).Draw(t, "b")
		xs := []float64{-1, -0.5, -1e-9, 0, 0.25, 1}
		p, q := make([]float64, len(xs)), make([]float64, len(xs))
		chancesOf(xs, a, b, p, q)
		for i, x := range xs {
			wantP, wantQ, _ := chances(a + b*x)
			for _, c := range []struct{ got, want float64 }{{p[i], wantP}, {q[i], wantQ}} {
				// An exp is as exact as its argument, which has up to 100 units of e^-53.
				if math.Abs(c.got-c.want) > 8e-16*(1+math.Abs(a+b*x))*c.want {
					t.Fatalf("at %v: %v, want %v", a+b*x, c.got, c.want)
				}
			}
		}
	})
	p, q := make([]float64, 2), make([]float64, 2)
	if chancesOf([]float64{-1, 1}, 0, 1e4, p, q); p[0] != 0 || p[1] != 1 || q[0] != 1 || q[1] != 0 {
		t.Errorf("far out: %v, %v", p, q)
	}
}

// drawn are counts in which no value separates the classes.
func drawn(t *rapid.T) *Cases {
	n := rapid.IntRange(2, 40).Draw(t, "n")
	c := &Cases{}
	x := rapid.Float64Range(-5, 5).Draw(t, "first")
	for range n {
		c.X = append(c.X, x)
		c.Events = append(c.Events, float64(rapid.IntRange(0, 9).Draw(t, "events")))
		c.Controls = append(c.Controls, float64(rapid.IntRange(0, 9).Draw(t, "controls")))
		x += rapid.Float64Range(1e-3, 2).Draw(t, "step")
	}
	for _, of := range [][]float64{c.Events, c.Controls} {
		of[0], of[n-1] = of[0]+1, of[n-1]+1
	}
	return c
}

// score is the slope of the log-likelihood in standard errors of a fit.
func (f *Fit) score(c *Cases) float64 {
	b, seB := f.Slope()
	a, seA := f.Intercept()
	_, score, scoreX := c.LogLikelihood(a, b)
	return math.Abs(score)*seA + math.Abs(scoreX)*seB
}

func TestMaximum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		var f Fit
		if err := f.Maximise(c); err != nil {
			t.Fatal(err)
		}
		f.Settle()
		if s := f.score(c); s > 1e-7 {
			t.Fatalf("the score at the maximum is %g", s)
		}
		a, _ := f.Intercept()
		b, seB := f.Slope()
		if ll, _, _ := c.LogLikelihood(a, b); math.Abs(ll-f.LogLikelihood()) > 1e-9*(1+math.Abs(ll)) {
			t.Fatalf("log-likelihood %v, and %v on the values as given", f.LogLikelihood(), ll)
		}
		const z = 1.96
		lower, upper, ok := f.SlopeLimits(z)
		if !ok || !(lower < b && b < upper) {
			t.Fatalf("limits %v to %v of %v, %v", lower, upper, b, ok)
		}
		for _, limit := range []float64{lower, upper} {
			ll, _, _ := c.LogLikelihood(c.Shift(limit, a), limit)
			if drop := f.LogLikelihood() - ll; math.Abs(drop-z*z/2) > 1e-6 {
				t.Fatalf("the likelihood drops by %v at the limit %v, want %v (standard error %v)", drop, limit, z*z/2, seB)
			}
		}
	})
}

func TestShift(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		a := c.Shift(1, rapid.Float64Range(-3, 3).Draw(t, "start"))
		se := 1 / math.Sqrt(c.Information(a))
		if _, score, _ := c.LogLikelihood(a, 1); math.Abs(score)*se > 1e-9 {
			t.Fatalf("the score at the maximum is %g", score)
		}
		const z = 1.96
		lower, upper, ok := c.ShiftLimits(a, se, z)
		best, _, _ := c.LogLikelihood(a, 1)
		if !ok || !(lower < a && a < upper) {
			t.Fatalf("limits %v to %v of %v, %v", lower, upper, a, ok)
		}
		for _, limit := range []float64{lower, upper} {
			if ll, _, _ := c.LogLikelihood(limit, 1); math.Abs(best-ll-z*z/2) > 1e-6 {
				t.Fatalf("the likelihood drops by %v at %v", best-ll, limit)
			}
		}
	})
}

// From a start the maximum is the same as without.
func TestMaximiseFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawn(t)
		for i := range c.X { // a start is of values that somebody has
			c.Events[i]++
		}
		start, err := NewStart(c)
		if err != nil {
			t.Fatal(err)
		}
		other := drawn(t)
		again := &Cases{X: c.X, Events: make([]float64, len(c.X)), Controls: make([]float64, len(c.X))}
		for i := range c.X {
			again.Events[i], again.Controls[i] = other.Events[i%len(other.X)], other.Controls[i%len(other.X)]
		}
		var f, g Fit
		errF, errG := f.MaximiseFrom(start, again), g.Maximise(again)
		if !errors.Is(errF, errG) {
			t.Fatalf("from a start: %v, without: %v", errF, errG)
		}
		if errF != nil {
			return
		}
		bF, se := f.Slope()
		bG, _ := g.Slope()
		if math.Abs(bF-bG) > 1e-9*(se+math.Abs(bG)) {
			t.Fatalf("slope from a start %v, without %v", bF, bG)
		}
	})
}

func TestNoMaximum(t *testing.T) {
	for _, test := range []struct {
		events, controls []float64
		want             error
	}{
		{[]float64{0, 0, 0}, []float64{1, 2, 3}, ErrOneClass},
		{[]float64{1, 2, 3}, []float64{0, 0, 0}, ErrOneClass},
		{[]float64{0, 2, 0}, []float64{0, 3, 0}, ErrConstant},
		{[]float64{0, 0, 2}, []float64{3, 1, 0}, ErrSeparated},
		{[]float64{0, 1, 2}, []float64{3, 1, 0}, ErrSeparated}, // quasi
		{[]float64{2, 1, 0}, []float64{0, 1, 3}, ErrSeparated},
		{[]float64{1, 1, 2}, []float64{3, 1, 1}, nil},
	} {
		var f Fit
		if err := f.Maximise(&Cases{X: []float64{-1, 0, 2}, Events: test.events, Controls: test.controls}); !errors.Is(err, test.want) {
			t.Errorf("events %v, controls %v: %v, want %v", test.events, test.controls, err, test.want)
		}
	}
}

// Two values are a saturated model: it is known what comes out.
func TestSaturated(t *testing.T) {
	var f Fit
	if err := f.Maximise(&Cases{X: []float64{1, 3}, Events: []float64{2, 9}, Controls: []float64{6, 3}}); err != nil {
		t.Fatal(err)
	}
	f.Settle()
	low, high := math.Log(2.0/6), math.Log(9.0/3)
	b, seB := f.Slope()
	a, _ := f.Intercept()
	wantSE := math.Sqrt(1.0/2+1.0/6+1.0/9+1.0/3) / 2
	if math.Abs(b-(high-low)/2) > 1e-12 || math.Abs(a-(low-(high-low)/2)) > 1e-12 || math.Abs(seB-wantSE) > 1e-12 {
		t.Errorf("a %v, b %v with %v, want %v, %v with %v", a, b, seB, low-(high-low)/2, (high-low)/2, wantSE)
	}
}
