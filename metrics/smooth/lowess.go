package smooth

import "math"

// Lowess is Cleveland's local linear smoother without robustness iterations.
//
// Cleveland, Journal of the American Statistical Association 1979; 74: 829-836.
type Lowess struct {
	x, fit []float64 // distinct x, with the mean fit of rows that share it
}

// Defaults of R's lowess: the share of rows in a neighbourhood, and the part of
// the range of x within which points are interpolated and not fitted.
const (
	LowessSpan  = 2.0 / 3
	LowessDelta = 0.01
)

// NewLowess smooths y over x, in increasing order. Rows nearer than delta of the
// range to the last fitted one are interpolated.
func NewLowess(x, y []float64, span, delta float64) (*Lowess, error) {
	if err := check(x, y); err != nil {
		return nil, err
	}
	n := len(x)
	if n < 2 {
		return nil, ErrTooFew
	}
	if x[0] == x[n-1] {
		return nil, ErrConstant
	}
	l := &localLine{x: x, y: y, weights: make([]float64, n)}
	fits := l.fit(max(2, min(n, int(span*float64(n)+1e-7))), delta*(x[n-1]-x[0]))

	s := &Lowess{}
	for i := 0; i < n; {
		var sum float64
		j := i
		for ; j < n && x[j] == x[i]; j++ {
			sum += fits[j]
		}
		s.x, s.fit = append(s.x, x[i]), append(s.fit, sum/float64(j-i))
		i = j
	}
	return s, nil
}

// At returns the fit at v by linear interpolation, and NaN outside the range of x.
func (s *Lowess) At(v float64) float64 {
	lo, hi := 0, len(s.x)-1
	if !(v >= s.x[lo] && v <= s.x[hi]) {
		return math.NaN()
	}
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; s.x[mid] <= v {
			lo = mid
		} else {
			hi = mid
		}
	}
	switch v {
	case s.x[lo]:
		return s.fit[lo]
	case s.x[hi]:
		return s.fit[hi]
	}
	return s.fit[lo] + (s.fit[hi]-s.fit[lo])*((v-s.x[lo])/(s.x[hi]-s.x[lo]))
}

// localLine is the algorithm of clowess, with its rules at the edges.
type localLine struct {
	x, y, weights []float64
}

func (l *localLine) fit(nearest int, delta float64) []float64 {
	x, n := l.x, len(l.x)
	fits := make([]float64, n)
	left, right := 0, nearest-1
	last := -1 // the last row that was fitted
	for i := 0; ; {
		for right < n-1 && x[i]-x[left] > x[right+1]-x[i] {
			left++
			right++
		}
		fit, ok := l.at(x[i], left, right)
		if !ok {
			fit = l.y[i]
		}
		fits[i] = fit
		if last >= 0 && last < i-1 {
			span := x[i] - x[last]
			for j := last + 1; j < i; j++ {
				alpha := (x[j] - x[last]) / span
				fits[j] = alpha*fits[i] + (1-alpha)*fits[last]
			}
		}
		last = i
		// Rows within delta, and those equal to a fitted one, are skipped.
		cut := x[last] + delta
		for i = last + 1; i < n; i++ {
			if x[i] > cut {
				break
			}
			if x[i] == x[last] {
				fits[i] = fits[last]
				last = i
			}
		}
		i = max(last+1, i-1)
		if last >= n-1 {
			return fits
		}
	}
}

// at fits a line over the rows left … right, and those beyond that are as near,
// at v. It is not ok where no row has a weight.
func (l *localLine) at(v float64, left, right int) (fit float64, ok bool) {
	x, n := l.x, len(l.x)
	span := x[n-1] - x[0]
	h := max(v-x[left], x[right]-v)
	far, near := 0.999*h, 0.001*h
	var sum float64
	end := left
	for ; end < n; end++ {
		d := math.Abs(x[end] - v)
		l.weights[end] = 0
		if d <= far {
			w := 1.0
			if d > near {
				u := d / h
				w = 1 - u*u*u
				w = w * w * w
			}
			l.weights[end] = w
			sum += w
		} else if x[end] > v {
			break
		}
	}
	if sum <= 0 {
		return 0, false
	}
	var mean float64
	for i := left; i < end; i++ {
		l.weights[i] /= sum
		mean += l.weights[i] * x[i]
	}
	if h > 0 {
		b := v - mean
		var c float64
		for i := left; i < end; i++ {
			c += l.weights[i] * (x[i] - mean) * (x[i] - mean)
		}
		if math.Sqrt(c) > 0.001*span { // points are spread out enough for a slope
			b /= c
			for i := left; i < end; i++ {
				l.weights[i] *= b*(x[i]-mean) + 1
			}
		}
	}
	for i := left; i < end; i++ {
		fit += l.weights[i] * l.y[i]
	}
	return fit, true
}
