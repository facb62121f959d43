// Package smooth fits smooth curves of an outcome over a predictor, as
// calibration curves need them: local quadratic regression ([Loess]), Cleveland's
// robust-free lowess ([Lowess]) and logistic regression on a restricted cubic
// spline ([FitSpline]).
//
// # Which one
//
// Loess evaluates every point directly, as R's loess does with
// surface="direct" and statistics="exact". R's default interpolates between the
// vertices of a k-d tree and differs in the third digit. Lowess is R's lowess
// with iter=0: its robustness iterations take the rare outcome of a 0/1 variable
// for outliers and would draw a line at 0. The spline is the reproducible one: no
// tuning but the number of knots.
//
// # Cost
//
// A loess fit costs O(n) at each point, lowess O(n) at about a hundred points,
// the spline O(n) for each step of Newton's method (5 to 10).
package smooth

import (
	"errors"
	"fmt"
	"math"
)

// Errors of the fits.
var (
	ErrTooFew    = errors.New("too few rows for the curve")
	ErrConstant  = errors.New("all values of the predictor are equal")
	ErrSeparated = errors.New("the outcome is separated: the fit has no finite maximum")
)

// check holds what the smoothers ask of x and y: finite, of equal length, x in
// increasing order.
func check(x, y []float64) error {
	if len(x) != len(y) {
		return fmt.Errorf("%d predictors but %d outcomes", len(x), len(y))
	}
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) || math.IsNaN(y[i]) || math.IsInf(y[i], 0) {
			return fmt.Errorf("row %d: (%v, %v) is not finite", i+1, v, y[i])
		}
		if i > 0 && v < x[i-1] {
			return fmt.Errorf("row %d: predictor %v is below the one before", i+1, v)
		}
	}
	return nil
}
