package smooth

import "math"

// Resampled fits the loess of resamples of rows: of how many rows, and of what sum
// of y, each distinct value of x has. What is the same for all rows at a value is
// computed once. It keeps its memory from one resample to the next.
//
// A fit at one value costs the distinct values in its neighbourhood, where [Loess]
// costs the rows.
type Resampled struct {
	all       []float64 // distinct, increasing
	span      float64
	x         []float64 // those of the resample
	rows, sum []float64 // at each
	expanded  []float64 // x of each row
	of        []int32   // of each row, its place in x
	nearest   int
	weights   []float64
	exact     *Loess // of the resample; nil until needed
	at, fit   []float64
}

// NewResampled prepares resamples of rows at the distinct values x, in increasing
// order. It keeps x.
func NewResampled(x []float64, span float64) (*Resampled, error) {
	if err := check(x, x); err != nil {
		return nil, err
	}
	return &Resampled{all: x, span: span}, nil
}

// Draw sets the resample: the number of rows at each value, and their sums of y.
func (r *Resampled) Draw(rows, sums []float64) error {
	r.x, r.rows, r.sum = r.x[:0], r.rows[:0], r.sum[:0]
	r.expanded, r.of, r.exact = r.expanded[:0], r.of[:0], nil
	for k, x := range r.all {
		if rows[k] == 0 {
			continue
		}
		for range int(rows[k]) {
			r.expanded, r.of = append(r.expanded, x), append(r.of, int32(len(r.x)))
		}
		r.x, r.rows, r.sum = append(r.x, x), append(r.rows, rows[k]), append(r.sum, sums[k])
	}
	n := len(r.expanded)
	r.nearest = min(int(float64(n)*r.span+1e-5), n)
	switch {
	case r.nearest < 3:
		return ErrTooFew
	case len(r.x) == 1:
		return ErrConstant
	}
	return nil
}

// At sets fit to the curve of the resample at the values v, in increasing order.
func (r *Resampled) At(v, fit []float64) {
	from := 0
	for i, x := range v {
		fit[i], from = r.one(x, from)
	}
}

// Curve returns the distinct values of the resample, the numbers of rows at each and
// the curve there. Where there are more values than points, so many of them, equally
// far apart by rank, are computed, and what lies between is interpolated. What is
// returned is valid until the next call.
func (r *Resampled) Curve(points int) (x, rows, fit []float64) {
	last := len(r.x) - 1
	if last < points {
		r.fit = resize(r.fit, len(r.x))
		r.At(r.x, r.fit)
		return r.x, r.rows, r.fit
	}
	r.at, r.fit = r.at[:0], resize(r.fit, len(r.x)+points)
	place := func(i int) int { return i * last / (points - 1) }
	for i := range points {
		r.at = append(r.at, r.x[place(i)])
	}
	vertices := r.fit[len(r.x):]
	r.At(r.at, vertices)
	for i := range points - 1 {
		begin, end := r.at[i], r.at[i+1]
		slope := (vertices[i+1] - vertices[i]) / (end - begin)
		for k := place(i); k < place(i+1); k++ {
			r.fit[k] = vertices[i] + (r.x[k]-begin)*slope
		}
	}
	r.fit[last] = vertices[points-1]
	return r.x, r.rows, r.fit[:len(r.x)]
}

func resize(b []float64, n int) []float64 {
	if cap(b) < n {
		return make([]float64, n)
	}
	return b[:n]
}

// one returns the fit at v, whose neighbourhood begins at row from or later, and
// where it begins; see [Loess].
func (r *Resampled) one(v float64, from int) (fit float64, begin int) {
	n, q := len(r.expanded), r.nearest
	for from < n-q && v-r.expanded[from] > r.expanded[from+q]-v {
		from++
	}
	h := max(v-r.expanded[from], r.expanded[from+q-1]-v)
	k := int(r.of[from])
	if h == 0 {
		return r.sum[k] / r.rows[k], from
	}
	far, near, scale := 0.999*h, 0.001*h, 1/h
	for k < len(r.x) && v-r.x[k] >= far {
		k++
	}
	r.weights = r.weights[:0]
	var weight, first float64
	end := k
	for ; end < len(r.x) && r.x[end]-v < far; end++ {
		d := r.x[end] - v
		w := r.rows[end]
		if a := math.Abs(d); a > near {
			u := a * scale
			u = 1 - u*u*u
			w *= u * u * u
		}
		r.weights = append(r.weights, w)
		weight += w
		first += w * (d * scale)
	}
	mean := first / weight
	var s2, s3, s4, y0, y1, y2 float64
	sums, rows, xs := r.sum[k:end], r.rows[k:end], r.x[k:end]
	for i, w := range r.weights {
		d := (xs[i]-v)*scale - mean
		y := w * sums[i] / rows[i]
		y0 += y
		y *= d
		y1 += y
		y2 += y * d
		w *= d * d
		s2 += w
		w *= d
		s3 += w
		s4 += w * d
	}
	// In orthogonal polynomials: 1, d, d² - slope d - level.
	slope, level := s3/s2, s2/weight
	rest := s4 - slope*s3 - level*s2
	// Of a quadratic that is hardly determined cancellation leaves nothing; NaN, where
	// nobody is near, comes here too.
	const cancelled = 1e-7
	if !(s2 > rankTolerance*weight && rest > cancelled*s4) {
		if r.exact == nil {
			y := make([]float64, 0, n)
			for _, k := range r.of {
				y = append(y, r.sum[k]/r.rows[k])
			}
			r.exact = &Loess{x: r.expanded, y: y, nearest: q, sigma: math.NaN()}
		}
		return r.exact.At(v), from
	}
	at := mean*mean + slope*mean - level
	return y0/weight - mean*y1/s2 + at*(y2-slope*y1-level*y0)/rest, from
}
