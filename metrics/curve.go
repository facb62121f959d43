package metrics

import (
	"errors"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics/resample"
	"github.com/foundation-plr/pipeline/metrics/smooth"
)

// Smoother is how a calibration curve is smoothed; see package smooth.
type Smoother string

// Smoothers.
const (
	LoessDirect Smoother = "loess_direct" // local quadratic regression, span 0.75, every point evaluated
	LowessIter0 Smoother = "lowess_iter0" // local linear regression, span 2/3, without robustness iterations
	Spline3     Smoother = "rcs3"         // logistic regression on a restricted cubic spline of the logit, 3 knots
	Spline5     Smoother = "rcs5"         // the same with 5 knots
)

// smallClass is the number of events, and of controls, below which smoothed
// curves say little. Van Calster et al., BMC Medicine 2019; 17: 230 ask for 200.
const smallClass = 100

const smallNote = "fewer than 100 events or controls: a smoothed curve is imprecise"

// CurvePoint is a smoothed calibration curve at one risk. The limits are a
// pointwise 95 % band, cut to [0, 1]; SE, Lower and Upper are NaN where the
// smoother has none. Observed is the fit as it is and may leave [0, 1].
type CurvePoint struct {
	Risk, Observed, SE float64
	Lower, Upper       float64
}

// curve is a smoother fitted to a sample.
type curve struct {
	at     func(risk float64) float64
	withSE func(risk float64) (fit, se float64) // nil where there is none
}

// loessLimit is the product of rows and distinct risks beyond which the direct
// loess, whose cost it is, is not fitted at every row: 10,000 times 10,000 take
// about half a second.
const loessLimit = 100_000_000

const loessNote = "a direct loess of so many rows and distinct risks would take too long: use a spline"

func fitCurve(s *Sample, how Smoother) (c curve, why Reason, note string) {
	if s.N() == 0 {
		return c, Empty, ""
	}
	if s.events == 0 || s.controls() == 0 {
		return c, OneClass, ""
	}
	ties := s.distinct()
	if len(ties) == 1 {
		return c, ConstantRisk, ""
	}
	x, y := make([]float64, 0, s.N()), make([]float64, 0, s.N())
	// Equal risks in the order of outcomes, not of rows: where a fit is nearly separated
	// the rounding of its sums decides whether it has a maximum.
	for _, t := range ties {
		for i := range t.controls + t.events {
			outcome := 0.0
			if i >= t.controls {
				outcome = 1
			}
			x, y = append(x, t.risk), append(y, outcome)
		}
	}
	if s.events < smallClass || s.controls() < smallClass {
		note = smallNote
	}
	var err error
	switch how {
	case LoessDirect:
		if len(ties)*s.N() > loessLimit {
			return c, NotAvailable, loessNote
		}
		var l *smooth.Loess
		if l, err = smooth.NewLoess(x, y, smooth.DefaultSpan); err == nil {
			c = curve{at: l.At, withSE: l.AtWithError}
		}
	case LowessIter0:
		var l *smooth.Lowess
		if l, err = smooth.NewLowess(x, y, smooth.LowessSpan, smooth.LowessDelta); err == nil {
			c = curve{at: l.At}
		}
	case Spline3, Spline5:
		if ties[0].risk == 0 || ties[len(ties)-1].risk == 1 {
			return c, ExtremeRisk, ""
		}
		for i, p := range x {
			x[i] = logit(p)
		}
		knots := 3
		if how == Spline5 {
			knots = 5
		}
		var l *smooth.Spline
		if l, err = smooth.FitSpline(x, y, knots); err == nil {
			c = curve{at: func(p float64) float64 { return l.At(logit(p)) }}
		}
	default:
		return c, InvalidInput, ""
	}
	switch {
	case err == nil:
		return c, "", note
	case errors.Is(err, smooth.ErrTooFew):
		return c, TooFew, err.Error()
	case errors.Is(err, smooth.ErrSeparated):
		return c, Separated, err.Error()
	case errors.Is(err, smooth.ErrConstant):
		return c, ConstantRisk, err.Error()
	}
	return c, NotAvailable, err.Error()
}

// CurveGrid returns the risks at which curves are drawn: 101 equally spaced ones
// from the 1st to the 99th percentile of the risks of s, beyond which there are
// too few subjects to smooth. It is nil without subjects.
func CurveGrid(s *Sample) []float64 {
	if s.N() == 0 {
		return nil
	}
	sorted := slices.Clone(s.risks)
	slices.Sort(sorted)
	lo, hi := resample.Quantile(sorted, 0.01), resample.Quantile(sorted, 0.99)
	const points = 101
	grid := make([]float64, points)
	for i := range grid {
		grid[i] = lo + (hi-lo)*float64(i)/(points-1)
	}
	return grid
}

// CalibrationCurve returns the smoothed calibration curve of s at the given
// risks, with the pointwise band of the loess smoother's residual scale;
// [CalibrationBand] has that of the bootstrap. Where it does not exist
// the reason says why.
func CalibrationCurve(s *Sample, how Smoother, grid []float64) ([]CurvePoint, Reason) {
	c, why, _ := fitCurve(s, how)
	if why != "" {
		return nil, why
	}
	points := make([]CurvePoint, len(grid))
	for i, p := range grid {
		nan := math.NaN()
		points[i] = CurvePoint{Risk: p, SE: nan, Lower: nan, Upper: nan}
		if c.withSE == nil {
			points[i].Observed = c.at(p)
			continue
		}
		fit, se := c.withSE(p)
		points[i].Observed, points[i].SE = fit, se
		points[i].Lower = min(1, max(0, fit-z*se))
		points[i].Upper = min(1, max(0, fit+z*se))
	}
	return points, ""
}

// CurveErrors summarise |f(p) - p| over subjects, f the smoothed calibration
// curve. They are biased upward and conceal the direction. A percentile bootstrap can
// miss them altogether: those of the loess have an interval that corrects for bias
// ([StatisticICI]), which [Table] computes.
type CurveErrors struct {
	ICI  Result // mean: the integrated calibration index
	E50  Result // median
	E90  Result // 90th percentile (type 7)
	Emax Result // largest
	// ECI is the estimated calibration index in two definitions that share the
	// name: relative to a model of the prevalence, Σ(f-p)²/Σ(π-p)², as the STRATOS
	// overview has it; and 100 times the mean of (f-p)², as Van Hoorde et al. had.
	ECI, ECI100 Result
}

// CalibrationErrors returns the errors of s about its curve.
//
// Austin and Steyerberg, Statistics in Medicine 2019; 38: 4051-4065 (ICI, E50,
// E90). Van Hoorde et al., Journal of Biomedical Informatics 2015; 54: 283-293
// (ECI).
func CalibrationErrors(s *Sample, how Smoother) CurveErrors {
	c, why, note := fitCurve(s, how)
	if why != "" {
		r := newResult(s, undefined(why))
		r.Note = note
		return CurveErrors{r, r, r, r, r, r}
	}
	pi := s.prevalence()
	gaps := make([]float64, 0, s.N())
	var sum, squares, null float64
	for _, t := range s.distinct() {
		gap := math.Abs(c.at(t.risk) - t.risk)
		count := t.events + t.controls
		for range count {
			gaps = append(gaps, gap)
		}
		sum += float64(count) * gap
		squares += float64(count) * gap * gap
		null += float64(count) * (pi - t.risk) * (pi - t.risk)
	}
	slices.Sort(gaps)
	n := float64(s.N())
	result := func(v value) Result {
		r := newResult(s, v)
		r.Note = note
		return r
	}
	return CurveErrors{
		ICI:    result(defined(sum / n)),
		E50:    result(defined(resample.Quantile(gaps, 0.5))),
		E90:    result(defined(resample.Quantile(gaps, 0.9))),
		Emax:   result(defined(gaps[len(gaps)-1])),
		ECI:    result(ratio(squares, null)),
		ECI100: result(defined(100 * squares / n)),
	}
}
