package smooth

import (
	"fmt"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Spline is a logistic regression of a 0/1 outcome on a restricted cubic spline
// of the predictor: linear beyond the outer knots.
//
// Harrell, Regression Modeling Strategies, 2nd ed. 2015, section 2.4.
type Spline struct {
	Knots []float64
	Coef  []float64 // intercept, x, and one for each further basis function
}

// What places knots in R's Hmisc: the quantile of the first of three, and of the first
// of more; the number of rows below which the outer knots are the fifth lowest and the
// fifth highest row, as quantiles then say little; and the share of rows at the
// lowest or highest value from which the next value is an outer knot.
const (
	outerOf3    = 0.1
	outerOfMore = 0.05
	fewRows     = 100
	fifth       = 4
	tiedShare   = 0.05
)

// Knots returns k knots (3, 4 or 5) for x, in increasing order, where Hmisc puts
// them. Too few distinct values or quantiles are an error: Hmisc then takes fewer
// knots, and the curve would not be what its name says.
func Knots(x []float64, k int) ([]float64, error) {
	if k < 3 || k > 5 {
		return nil, fmt.Errorf("%d knots: want 3, 4 or 5", k)
	}
	if len(x) == 0 {
		return nil, ErrTooFew
	}
	if x[0] == x[len(x)-1] {
		return nil, ErrConstant
	}
	tied := fmt.Errorf("%w: values of the predictor are tied, so that it has no %d knots", ErrTooFew, k)
	distinct := slices.Compact(slices.Clone(x))
	switch inner := len(distinct) - 2; {
	case len(x) < 6 || inner < k:
		return nil, tied
	case inner == k:
		return distinct[1 : k+1], nil
	}
	// Where many rows share the lowest or the highest value alone, its neighbour is a
	// knot, and the others are those of the rows beyond.
	var first, last []float64
	most := 0
	counts := make([]int, len(distinct))
	for i, v := range distinct {
		from, _ := slices.BinarySearch(x, v)
		to := len(x)
		if i+1 < len(distinct) {
			to, _ = slices.BinarySearch(x, distinct[i+1])
		}
		if counts[i] = to - from; i > 0 && i+1 < len(distinct) {
			most = max(most, counts[i])
		}
	}
	share := func(count int) float64 { return float64(count) / float64(len(x)) }
	inside := x
	if share(most) < tiedShare {
		if share(counts[0]) >= tiedShare {
			first = distinct[1:2]
			inside = inside[counts[0]+counts[1]:]
		}
		if n := len(counts); share(counts[n-1]) >= tiedShare {
			last = distinct[n-2 : n-1]
			inside = inside[:len(inside)-counts[n-1]-counts[n-2]]
		}
	}
	outer := outerOfMore
	if k == 3 {
		outer = outerOf3
	}
	of := k - len(first) - len(last)
	begin := outer
	if of == 2 {
		begin = 0.5
	}
	var knots []float64
	if of == 1 {
		knots = []float64{resample.Quantile(inside, 0.5)}
	} else {
		for i := range of {
			knots = append(knots, resample.Quantile(inside, begin+float64(i)*(1-outer-begin)/float64(of-1)))
		}
		if n := len(inside); n < fewRows && n > fifth {
			if first == nil {
				knots[0] = inside[fifth]
			}
			if last == nil {
				knots[of-1] = inside[n-1-fifth]
			}
		}
	}
	knots = slices.Concat(first, knots, last)
	slices.Sort(knots)
	if len(slices.Compact(slices.Clone(knots))) < k || math.IsNaN(knots[0]) {
		return nil, tied
	}
	return knots, nil
}

// basis puts the functions of x, after the constant, into b.
func basis(x float64, knots, b []float64) {
	k := len(knots)
	last, before := knots[k-1], knots[k-2]
	scale := (last - knots[0]) * (last - knots[0])
	b[0] = x
	for j := range k - 2 {
		t := knots[j]
		b[j+1] = (cube(x-t) - cube(x-before)*(last-t)/(last-before) + cube(x-last)*(before-t)/(last-before)) / scale
	}
}

// cube is u³ where u is positive, else 0.
func cube(u float64) float64 {
	if u <= 0 {
		return 0
	}
	return u * u * u
}

// FitSpline fits a spline with k knots to x, in increasing order, and y.
func FitSpline(x, y []float64, k int) (*Spline, error) {
	if err := check(x, y); err != nil {
		return nil, err
	}
	knots, err := Knots(x, k)
	if err != nil {
		return nil, err
	}
	columns := make([][]float64, k) // the constant, and k-1 functions
	for j := range columns {
		columns[j] = make([]float64, len(x))
	}
	b := make([]float64, k-1)
	for i, v := range x {
		basis(v, knots, b)
		columns[0][i] = 1
		for j, f := range b {
			columns[j+1][i] = f
		}
	}
	coef, err := logistic(columns, y)
	if err != nil {
		return nil, err
	}
	return &Spline{Knots: knots, Coef: coef}, nil
}

// At returns the fitted probability at x.
func (s *Spline) At(x float64) float64 {
	b := make([]float64, len(s.Knots)-1)
	basis(x, s.Knots, b)
	eta := s.Coef[0]
	for j, f := range b {
		eta += s.Coef[j+1] * f
	}
	return 1 / (1 + math.Exp(-eta))
}

// Limits of Newton's method.
const (
	newtonLimit     = 100
	newtonDecrement = 1e-20 // squared length of the last step in standard errors
	// separatedAt is the deviance of a row below which it is taken to be fitted
	// perfectly: if a coefficient still grows then, it grows for ever.
	separatedAt = 1e-6
)

// logistic maximises the likelihood of y over coefficients of the columns by
// damped Newton. The columns are made orthonormal first, so that the nearly
// dependent functions of a spline cost no digits.
func logistic(columns [][]float64, y []float64) ([]float64, error) {
	n, k := len(y), len(columns)
	if n <= k {
		return nil, ErrTooFew
	}
	q, r, err := orthonormal(columns)
	if err != nil {
		return nil, err
	}
	theta := make([]float64, k) // coefficients of q
	eta, next := make([]float64, n), make([]float64, n)
	likelihood := func(eta []float64) (ll float64) {
		for i, e := range eta {
			ll -= math.Log1p(math.Exp(-math.Abs(e)))
			if e > 0 {
				ll -= (1 - y[i]) * e
			} else {
				ll += y[i] * e
			}
		}
		return ll
	}
	ll := likelihood(eta)
	weight, residual := make([]float64, n), make([]float64, n)
	for range newtonLimit {
		for i, e := range eta {
			against := math.Exp(-math.Abs(e))
			p, c := 1/(1+against), against/(1+against)
			if e < 0 {
				p, c = c, p
			}
			weight[i] = p * c
			residual[i] = y[i]*c - (1-y[i])*p
		}
		score := make([]float64, k)
		information := make([][]float64, k)
		for a := range k {
			information[a] = make([]float64, k)
			for i := range n {
				score[a] += q[a][i] * residual[i]
			}
			for b := range a + 1 {
				var sum float64
				for i := range n {
					sum += q[a][i] * weight[i] * q[b][i]
				}
				information[a][b], information[b][a] = sum, sum
			}
		}
		step, ok := solve(information, score)
		if !ok {
			return nil, ErrSeparated
		}
		var decrement float64
		for a := range k {
			decrement += step[a] * score[a]
		}
		if math.IsNaN(decrement) || ll > -separatedAt {
			return nil, ErrSeparated
		}
		for t := 1.0; ; t /= 2 {
			for i := range n {
				next[i] = eta[i]
				for a := range k {
					next[i] += t * step[a] * q[a][i]
				}
			}
			grown := likelihood(next)
			if decrement < 1e-6 || grown >= ll+t*decrement/4 || t < 1e-10 {
				for a := range k {
					theta[a] += t * step[a]
				}
				eta, next, ll = next, eta, grown
				break
			}
		}
		if decrement <= newtonDecrement {
			// Separation shows as a likelihood that has stopped growing while some
			// row's log-odds have not.
			for _, e := range eta {
				if math.Abs(e) > 700 {
					return nil, ErrSeparated
				}
			}
			return back(r, theta), nil
		}
	}
	return nil, ErrSeparated
}

// orthonormal returns q, r with columns = q r, by modified Gram-Schmidt, twice.
func orthonormal(columns [][]float64) (q, r [][]float64, err error) {
	k := len(columns)
	q, r = make([][]float64, k), make([][]float64, k)
	for a := range k {
		q[a], r[a] = slices.Clone(columns[a]), make([]float64, k)
		length := norm(q[a])
		for range 2 {
			for b := range a {
				var dot float64
				for i, v := range q[b] {
					dot += v * q[a][i]
				}
				r[b][a] += dot
				for i, v := range q[b] {
					q[a][i] -= dot * v
				}
			}
		}
		r[a][a] = norm(q[a])
		if !(r[a][a] > 1e-12*length) {
			return nil, nil, fmt.Errorf("%w: the spline's functions are dependent", ErrTooFew)
		}
		for i := range q[a] {
			q[a][i] /= r[a][a]
		}
	}
	return q, r, nil
}

func norm(v []float64) float64 {
	var s float64
	for _, x := range v {
		s += x * x
	}
	return math.Sqrt(s)
}

// back solves r x = v, r upper triangular.
func back(r [][]float64, v []float64) []float64 {
	x := slices.Clone(v)
	for a := len(x) - 1; a >= 0; a-- {
		for b := a + 1; b < len(x); b++ {
			x[a] -= r[a][b] * x[b]
		}
		x[a] /= r[a][a]
	}
	return x
}

// solve returns the solution of m x = v for a positive definite m, by Cholesky.
func solve(m [][]float64, v []float64) (x []float64, ok bool) {
	k := len(v)
	l := make([][]float64, k)
	for a := range k {
		l[a] = make([]float64, k)
		for b := range a + 1 {
			sum := m[a][b]
			for c := range b {
				sum -= l[a][c] * l[b][c]
			}
			if a != b {
				l[a][b] = sum / l[b][b]
				continue
			}
			if !(sum > 0) {
				return nil, false
			}
			l[a][a] = math.Sqrt(sum)
		}
	}
	x = slices.Clone(v)
	for a := range k {
		for b := range a {
			x[a] -= l[a][b] * x[b]
		}
		x[a] /= l[a][a]
	}
	for a := k - 1; a >= 0; a-- {
		for b := a + 1; b < k; b++ {
			x[a] -= l[b][a] * x[b]
		}
		x[a] /= l[a][a]
	}
	return x, true
}
