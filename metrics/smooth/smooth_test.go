package smooth

import (
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func drawX(t *rapid.T, least int) []float64 {
	n := rapid.IntRange(least, 40).Draw(t, "n")
	x := rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 30), func(k int) float64 { return float64(k) / 30 }), n, n).Draw(t, "x")
	slices.Sort(x)
	return x
}

// A local quadratic fit of a quadratic is the quadratic, also between the rows,
// wherever a neighbourhood has three distinct values.
func TestLoessReproducesQuadratics(t *testing.T) {
	x, y := make([]float64, 50), make([]float64, 50)
	f := func(v float64) float64 { return 1 - 2*v + 3*v*v }
	for i := range x {
		x[i] = math.Pow(float64(i)/49, 1.7)
		y[i] = f(x[i])
	}
	l, err := NewLoess(x, y, 0.4)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []float64{0, 0.013, 0.3, 0.77, 1, 1.05} {
		fit, se := l.AtWithError(v)
		if math.Abs(fit-f(v)) > 1e-10 || se > 1e-9 {
			t.Errorf("fit %v (se %v) at %v, want %v", fit, se, v, f(v))
		}
	}
}

// The operator's weights sum to 1, so that a constant is itself, whatever the ties;
// and the fit of a negated outcome is the negated fit.
func TestLoessKeepsConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawX(t, 5)
		y := rapid.SliceOfN(rapid.IntRange(0, 1), len(x), len(x)).Draw(t, "y")
		ones, outcome, against := make([]float64, len(x)), make([]float64, len(x)), make([]float64, len(x))
		for i := range x {
			ones[i], outcome[i], against[i] = 1, float64(y[i]), 1-float64(y[i])
		}
		l, err := NewLoess(x, ones, DefaultSpan)
		if errors.Is(err, ErrConstant) || errors.Is(err, ErrTooFew) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := NewLoess(x, outcome, DefaultSpan)
		b, err2 := NewLoess(x, against, DefaultSpan)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		for _, v := range x {
			// Where few distinct values carry weight the fit extrapolates: rounding grows.
			if fit := l.At(v); math.Abs(fit-1) > 1e-7 {
				t.Fatalf("constant 1 is %v at %v", fit, v)
			}
			if sum := a.At(v) + b.At(v); math.Abs(sum-1) > 1e-6 {
				t.Fatalf("fits of y and 1-y sum to %v at %v", sum, v)
			}
		}
	})
}

func TestLowessReproducesLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := drawX(t, 3)
		y := make([]float64, len(x))
		for i, v := range x {
			y[i] = 2 - 3*v
		}
		l, err := NewLowess(x, y, LowessSpan, LowessDelta)
		if errors.Is(err, ErrConstant) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range x {
			// Where a neighbourhood has no spread the fit is its mean: still of the line.
			if math.Abs(l.At(v)-y[i]) > 1e-9 {
				t.Fatalf("%v at %v, want %v", l.At(v), v, y[i])
			}
		}
		if !math.IsNaN(l.At(x[0]-1)) || !math.IsNaN(l.At(x[len(x)-1]+1)) {
			t.Fatal("a value outside the range")
		}
	})
}

// At the maximum, residuals are orthogonal to the functions of the basis.
func TestSplineSolvesTheScore(t *testing.T) {
	n := 200
	x, y := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = 6*float64(i)/float64(n-1) - 3
		if (i*7919)%100 < 50+int(15*x[i]) {
			y[i] = 1
		}
	}
	for _, k := range []int{3, 4, 5} {
		s, err := FitSpline(x, y, k)
		if err != nil {
			t.Fatal(err)
		}
		score := make([]float64, k)
		b := make([]float64, k-1)
		for i, v := range x {
			r := y[i] - s.At(v)
			score[0] += r
			basis(v, s.Knots, b)
			for j, f := range b {
				score[j+1] += r * f
			}
		}
		for j, v := range score {
			if math.Abs(v) > 1e-9 {
				t.Errorf("%d knots: score %d is %v", k, j, v)
			}
		}
	}
}

// Knots are those of Hmisc's rcspline.eval: of few rows, and of many at the ends.
func TestKnotsOfHmisc(t *testing.T) {
	var few, ends []float64
	for i := range 40 {
		few = append(few, float64((i+1)*(i+1))/100)
	}
	for range 20 {
		ends = append(ends, -3)
	}
	for i := range 120 {
		ends = append(ends, -2+4*float64(i)/119)
	}
	for range 30 {
		ends = append(ends, 3)
	}
	for _, test := range []struct {
		x    []float64
		k    int
		want []float64
	}{
		{few, 3, []float64{0.25, 4.205, 12.96}},
		{few, 5, []float64{0.25, 1.37675, 4.205, 8.57225, 12.96}},
		{ends, 3, []float64{-2, 0, 2}},
		{ends, 5, []float64{-2, -1.769747899159664, 0, 1.769747899159664, 2}},
		{[]float64{1, 2, 2, 3, 4, 4, 5, 5, 5}, 3, []float64{2, 3, 4}},
		{[]float64{1, 2, 2, 3, 4, 4, 5, 5, 5}, 4, nil},
		{[]float64{1, 2, 3, 4, 5}, 3, nil},
	} {
		got, err := Knots(test.x, test.k)
		if (err == nil) != (test.want != nil) || test.want == nil && !errors.Is(err, ErrTooFew) ||
			!slices.EqualFunc(got, test.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }) {
			t.Errorf("%d knots of %v: %v (%v), want %v", test.k, test.x, got, err, test.want)
		}
	}
}

func TestSplineIsLinearBeyondItsKnots(t *testing.T) {
	knots := []float64{0, 1, 3, 4}
	at := func(x float64) []float64 { b := make([]float64, 3); basis(x, knots, b); return b }
	for _, x := range []float64{-5, 4.5, 9} {
		l, m, r := at(x-0.5), at(x), at(x+0.5)
		if x == 4.5 {
			l = at(4)
		}
		for j := range m {
			if d := l[j] - 2*m[j] + r[j]; math.Abs(d) > 1e-12 {
				t.Errorf("function %d bends by %v at %v", j, d, x)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	line := []float64{0, 1, 2, 3, 4, 5, 6, 7}
	step := []float64{0, 0, 0, 0, 1, 1, 1, 1}
	same := []float64{1, 1, 1, 1, 1, 1, 1, 1}
	loess := func(x, y []float64) error { _, err := NewLoess(x, y, DefaultSpan); return err }
	lowess := func(x, y []float64) error { _, err := NewLowess(x, y, LowessSpan, LowessDelta); return err }
	spline := func(x, y []float64) error { _, err := FitSpline(x, y, 3); return err }
	for name, test := range map[string]struct {
		err, want error
		text      string
	}{
		"loess of equal x":      {loess(same, step), ErrConstant, ""},
		"lowess of equal x":     {lowess(same, step), ErrConstant, ""},
		"spline of equal x":     {spline(same, step), ErrConstant, ""},
		"loess of few":          {loess(line[:3], step[:3]), ErrTooFew, ""},
		"lowess of one":         {lowess(line[:1], step[:1]), ErrTooFew, ""},
		"spline of tied knots":  {spline([]float64{0, 1, 1, 1, 1, 1, 1, 1}, step), ErrTooFew, ""},
		"spline of separated":   {spline(line, step), ErrSeparated, ""},
		"spline of one outcome": {spline(line, same), ErrSeparated, ""},
		"x out of order":        {loess([]float64{1, 0}, []float64{0, 1}), nil, "row 2"},
		"NaN":                   {lowess([]float64{0, math.NaN()}, []float64{0, 1}), nil, "row 2"},
		"lengths":               {spline(line, step[:2]), nil, "8 predictors but 2 outcomes"},
		"a strange number":      {func() error { _, err := FitSpline(line, step, 9); return err }(), nil, "9 knots"},
	} {
		if test.err == nil || test.want != nil && !errors.Is(test.err, test.want) || !strings.Contains(test.err.Error(), test.text) {
			t.Errorf("%s: error %v", name, test.err)
		}
	}
}

// The loess of a resample is that of its rows, one by one.
func TestResampledIsLoess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.SampledFrom([]int{3, 20, 200}).Draw(t, "steps") // many ties, or none
		distinct := map[float64]bool{}
		for range rapid.IntRange(3, 40).Draw(t, "values") {
			distinct[float64(rapid.IntRange(0, steps).Draw(t, "x"))/float64(steps)] = true
		}
		x := slices.Sorted(maps.Keys(distinct))
		rows, sums := make([]float64, len(x)), make([]float64, len(x))
		var rowX, rowY []float64
		for k := range x {
			rows[k] = float64(rapid.IntRange(0, 3).Draw(t, "rows"))
			sums[k] = float64(rapid.IntRange(0, int(rows[k])).Draw(t, "sum"))
			for i := range int(rows[k]) {
				y := 0.0
				if float64(i) < sums[k] {
					y = 1
				}
				rowX, rowY = append(rowX, x[k]), append(rowY, y)
			}
		}
		r, err := NewResampled(x, DefaultSpan)
		if err != nil {
			t.Fatal(err)
		}
		l, want := NewLoess(rowX, rowY, DefaultSpan)
		if err := r.Draw(rows, sums); !errors.Is(err, want) {
			t.Fatalf("error %v, want %v", err, want)
		}
		if want != nil {
			return
		}
		fit := make([]float64, len(x))
		r.At(x, fit)
		for k, v := range x {
			if w := l.At(v); math.Abs(fit[k]-w) > 1e-7*(1+math.Abs(w)) {
				t.Fatalf("fit at %v is %v, want %v", v, fit[k], w)
			}
		}
		drawn, count, curve := r.Curve(100)
		k := 0
		for i, v := range drawn {
			for x[k] != v {
				k++
			}
			if curve[i] != fit[k] || count[i] != rows[k] {
				t.Fatalf("curve at %v is %v, want %v", v, curve[i], fit[k])
			}
		}
	})
}

// Between the points that are computed the curve is a straight line.
func TestResampledInterpolates(t *testing.T) {
	n := 1000
	x, rows, sums := make([]float64, n), make([]float64, n), make([]float64, n)
	for k := range x {
		x[k] = math.Sqrt(float64(k+1) / float64(n))
		rows[k] = 1
		sums[k] = math.Round(math.Mod(x[k]*97, 1)*0.5 + x[k]/2)
	}
	r, err := NewResampled(x, DefaultSpan)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Draw(rows, sums); err != nil {
		t.Fatal(err)
	}
	exact := make([]float64, n)
	r.At(x, exact)
	_, _, fit := r.Curve(101)
	for k := range x {
		if d := math.Abs(fit[k] - exact[k]); d > 1e-3 || (k == 0 || k == n-1) && d > 0 {
			t.Fatalf("curve at %v is %v, want %v", x[k], fit[k], exact[k])
		}
	}
}
