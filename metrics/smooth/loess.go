package smooth

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// DefaultSpan is the share of rows in a neighbourhood of [Loess]: R's default.
const DefaultSpan = 0.75

// Loess is a local quadratic regression of y on x with tricube weights over the
// nearest span of the rows.
//
// Cleveland and Devlin, Journal of the American Statistical Association 1988;
// 83: 596-610.
type Loess struct {
	x, y    []float64
	nearest int
	weights []float64 // of the rows in the last neighbourhood
	from    int       // its first row
	sigma   float64   // residual scale; NaN until computed
}

// NewLoess prepares a fit. X is in increasing order; ties are rows of their own.
// It keeps both slices. A neighbourhood holds floor(n span + 1e-5) rows, at least
// three.
func NewLoess(x, y []float64, span float64) (*Loess, error) {
	if err := check(x, y); err != nil {
		return nil, err
	}
	q := min(int(float64(len(x))*span+1e-5), len(x))
	switch {
	case q < 3:
		return nil, ErrTooFew
	case x[0] == x[len(x)-1]:
		return nil, ErrConstant
	}
	return &Loess{x: x, y: y, nearest: q, sigma: math.NaN()}, nil
}

// At returns the fit at v. It may leave the range of y.
func (l *Loess) At(v float64) float64 {
	l.operator(v)
	return l.fitted()
}

// fitted is the fit of the last operator.
func (l *Loess) fitted() float64 {
	var fit float64
	for i, w := range l.weights {
		fit += w * l.y[l.from+i]
	}
	return fit
}

// AtWithError returns the fit at v and its pointwise standard error: the residual
// scale times the length of the operator's row. The first call costs a fit at
// every row.
func (l *Loess) AtWithError(v float64) (fit, se float64) {
	if math.IsNaN(l.sigma) {
		l.sigma = l.residualScale()
	}
	l.operator(v)
	var square float64
	for _, w := range l.weights {
		square += w * w
	}
	return l.fitted(), l.sigma * math.Sqrt(square)
}

// residualScale returns sqrt(Σ r² / tr((I-L)(I-L)')), L the operator matrix,
// whose rows are made one at a time: the trace is n - 2 tr L + ||L||².
func (l *Loess) residualScale() float64 {
	n := len(l.x)
	trace := float64(n)
	var squares float64
	for i := 0; i < n; {
		l.operator(l.x[i])
		fit := l.fitted()
		var square float64
		for _, w := range l.weights {
			square += w * w
		}
		for v := l.x[i]; i < n && l.x[i] == v; i++ { // ties share the operator
			if k := i - l.from; k >= 0 && k < len(l.weights) {
				trace -= 2 * l.weights[k]
			}
			trace += square
			r := l.y[i] - fit
			squares += r * r
		}
	}
	return math.Sqrt(squares / trace)
}

// operator sets weights to the row of the operator matrix at v: the fit is their
// product with y.
func (l *Loess) operator(v float64) {
	// The nearest rows are contiguous: the first such that the row beyond the
	// window is not nearer than its first.
	n, q := len(l.x), l.nearest
	lo, hi := 0, n-q
	for lo < hi {
		mid := (lo + hi) / 2
		if v-l.x[mid] > l.x[mid+q]-v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	h := max(v-l.x[lo], l.x[lo+q-1]-v)
	if h == 0 { // more rows at v than a neighbourhood holds: their mean
		l.same(v)
		return
	}
	// Rows at .999 h and beyond have no weight, so that ties at h are of no
	// consequence; rows within .001 h have weight 1.
	far, near := 0.999*h, 0.001*h
	for lo < n && v-l.x[lo] >= far {
		lo++
	}
	end := lo
	l.weights = l.weights[:0]
	var sum, sumD float64
	for ; end < n && l.x[end]-v < far; end++ {
		d := (l.x[end] - v) / h
		w := 1.0
		if a := math.Abs(l.x[end] - v); a > near {
			u := a / h
			w = 1 - u*u*u
			w = w * w * w
		}
		l.weights = append(l.weights, w)
		sum += w
		sumD += w * d
	}
	l.from = lo
	if end == lo { // nobody is near: the window's edge alone, as at a gap
		l.alone(v)
		return
	}
	// Orthogonal polynomials in d: 1, d - m, (d - m)² - c(d - m) - s.
	mean := sumD / sum
	var s2, s3 float64
	for i, w := range l.weights {
		d := (l.x[lo+i]-v)/h - mean
		s2 += w * d * d
		s3 += w * d * d * d
	}
	if s2 <= rankTolerance*sum {
		l.deficient(v, h)
		return
	}
	slope, level := s3/s2, s2/sum
	var s4 float64
	for i, w := range l.weights {
		d := (l.x[lo+i]-v)/h - mean
		p := d*d - slope*d - level
		s4 += w * p * p
	}
	if s4 <= rankTolerance*sum {
		l.deficient(v, h)
		return
	}
	at := mean*mean + slope*mean - level // the quadratic at d = 0
	for i, w := range l.weights {
		d := (l.x[lo+i]-v)/h - mean
		l.weights[i] = w * (1/sum - mean*d/s2 + at*(d*d-slope*d-level)/s4)
	}
}

// rankTolerance is the squared length, relative to the weight, below which a
// column is taken to be no more than rounding of the others; the exact solution
// by singular values then decides.
const rankTolerance = 1e-14

// same gives equal weights to the rows at v.
func (l *Loess) same(v float64) {
	l.from = 0
	for l.x[l.from] != v {
		l.from++
	}
	var count int
	for i := l.from; i < len(l.x) && l.x[i] == v; i++ {
		count++
	}
	l.weights = l.weights[:0]
	for range count {
		l.weights = append(l.weights, 1/float64(count))
	}
}

// alone gives all weight to the rows nearest to v.
func (l *Loess) alone(v float64) {
	nearest := l.x[0]
	for _, x := range l.x {
		if math.Abs(x-v) < math.Abs(nearest-v) {
			nearest = x
		}
	}
	l.same(nearest)
}

// deficient replaces the kernel weights in l.weights by the operator of the
// least-squares solution of least norm, columns scaled to length 1: what R's
// loess returns with the warning "pseudoinverse used".
func (l *Loess) deficient(v, h float64) {
	n := len(l.weights)
	design := mat.NewDense(n, 3, nil)
	var norms [3]float64
	for i, w := range l.weights {
		d := (l.x[l.from+i] - v) / h
		root := math.Sqrt(w)
		for j, c := range []float64{root, root * d, root * d * d} {
			design.Set(i, j, c)
			norms[j] += c * c
		}
	}
	for j := range norms {
		norms[j] = math.Sqrt(norms[j])
		if norms[j] == 0 {
			norms[j] = 1
		}
	}
	design.Apply(func(_, j int, c float64) float64 { return c / norms[j] }, design)
	var svd mat.SVD
	if !svd.Factorize(design, mat.SVDThin) {
		l.alone(v)
		return
	}
	values := svd.Values(nil)
	var left, right mat.Dense
	svd.UTo(&left)
	svd.VTo(&right)
	const epsilon = 0x1p-52
	for i, w := range l.weights {
		var row float64
		for k, s := range values {
			if s > values[0]*100*epsilon {
				row += right.At(0, k) / s * left.At(i, k)
			}
		}
		l.weights[i] = row / norms[0] * math.Sqrt(w)
	}
}
