package metrics

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/metrics/resample"
	"github.com/foundation-plr/pipeline/metrics/smooth"
)

// Calibration errors in resamples: those of the smoothed curve ([CalibrationErrors]
// with [LoessDirect]) and those of bins.

// curvePoints is the number of risks at which the curve of a resample is computed;
// between them it is interpolated. A loess with a span of 3/4 is so smooth that this
// changes the errors by less than a thousandth.
const curvePoints = 101

// ofLoess are the statistics of the loess curve by the names of its errors.
var ofLoess = map[string]Statistic{
	"ici": StatisticICI, "e50": StatisticE50, "e90": StatisticE90, "emax": StatisticEmax,
	"eci_stratos": StatisticECI, "eci_x100": StatisticECI100,
}

// OfSmoothedCurve reports whether a key of the table of measures is that of an error
// of a smoothed calibration curve.
func OfSmoothedCurve(measure string) bool {
	name, ok := strings.CutPrefix(measure, string(LoessDirect)+"_")
	_, known := ofLoess[name]
	return ok && known
}

// curveErrors are what a curve of a resample is summarised by.
type curveErrors struct {
	ici, e50, e90, emax, eci, eci100 float64
	undefined                        Reason
}

// StatisticICI and the others are errors of the loess curve. Their cost is that of
// the curve: 101 points times the distinct risks in a neighbourhood.
var (
	StatisticICI    = ofCurve("ici", func(e *curveErrors) value { return defined(e.ici) })
	StatisticE50    = ofCurve("e50", func(e *curveErrors) value { return defined(e.e50) })
	StatisticE90    = ofCurve("e90", func(e *curveErrors) value { return defined(e.e90) })
	StatisticEmax   = ofCurve("emax", func(e *curveErrors) value { return defined(e.emax) })
	StatisticECI    = ofCurve("eci_stratos", func(e *curveErrors) value { return defined(e.eci) })
	StatisticECI100 = ofCurve("eci_x100", func(e *curveErrors) value { return defined(e.eci100) })
)

func ofCurve(name string, of func(e *curveErrors) value) Statistic {
	st := statistic(string(LoessDirect)+"_"+name, func(t *tally, _ int) value {
		if t.errors.undefined != "" {
			return undefined(t.errors.undefined)
		}
		return of(&t.errors)
	})
	st.curve, st.biased, st.most = true, true, math.Inf(1) // the curve may leave [0, 1]
	return st
}

// smooth sets t.errors and t.curveAt to those of the curve of the resample.
func (t *tally) smooth() {
	e := &t.errors
	*e = curveErrors{}
	switch {
	case t.events == 0 || t.controls == 0:
		e.undefined = OneClass
		return
	case t.of.noCurve != "":
		e.undefined = t.of.noCurve
		return
	}
	for k, n := range t.controlsAt {
		t.rowsAt[k] = n + t.eventsAt[k]
	}
	if err := t.loess.Draw(t.rowsAt, t.eventsAt); err != nil {
		e.undefined = TooFew
		if errors.Is(err, smooth.ErrConstant) {
			e.undefined = ConstantRisk
		}
		return
	}
	if t.of.grid != nil {
		t.loess.At(t.of.grid, t.curveAt)
	}
	if !t.of.curve {
		return
	}
	x, rows, fit := t.loess.Curve(curvePoints)
	pi := t.events / t.n()
	var null float64
	t.gaps = t.gaps[:0]
	for k, p := range x {
		gap := math.Abs(fit[k] - p)
		e.ici += rows[k] * gap
		e.eci100 += rows[k] * gap * gap
		null += rows[k] * (pi - p) * (pi - p)
		t.gaps = append(t.gaps, weighted{gap, rows[k]})
	}
	slices.SortFunc(t.gaps, func(a, b weighted) int {
		switch {
		case a.v < b.v:
			return -1
		case a.v > b.v:
			return 1
		}
		return 0
	})
	q := quantiles{values: t.gaps, n: t.n()}
	e.e50, e.e90, e.emax = q.at(0.5), q.at(0.9), t.gaps[len(t.gaps)-1].v
	e.eci = e.eci100 / null // not 0: the risks differ
	e.ici /= t.n()
	e.eci100 *= 100 / t.n()
}

// CalibrationBand returns pointwise 95 % intervals of the loess curve at the given
// risks, which must not decrease, by percentiles of a stratified subject bootstrap,
// cut to [0, 1]. Unlike the band of [CalibrationCurve] it does not take all outcomes
// to vary alike. A point without an interval says why. Its cost is that of a fit at
// every risk in every resample.
func CalibrationBand(s *Sample, risks []float64, replicates int, seed uint64) ([]Interval, error) {
	if replicates < 2 {
		return nil, fmt.Errorf("%d replicates: want two or more", replicates)
	}
	statistics := make([]Statistic, len(risks))
	for i, p := range risks {
		if !(p >= 0 && p <= 1) || i > 0 && p < risks[i-1] {
			return nil, fmt.Errorf("risk %v at place %d: want risks in [0, 1] that do not decrease", p, i+1)
		}
		statistics[i] = statistic("curve@"+short(p), func(t *tally, k int) value {
			if t.errors.undefined != "" {
				return undefined(t.errors.undefined)
			}
			return defined(t.curveAt[k])
		})
	}
	b, err := newBootstrap(s, risks, statistics)
	if err != nil {
		return nil, err
	}
	drawn := b.Draw(replicates, seed, Stratified)
	band := make([]Interval, len(risks))
	for i := range band {
		band[i] = drawn.Interval(i, nil, resample.Options{Method: resample.Percentile, Level: Level})
		if band[i].Defined() {
			band[i].Lower, band[i].Upper = min(1, max(0, band[i].Lower)), min(1, max(0, band[i].Upper))
		}
	}
	return band, nil
}

// weighted is a number that some rows have.
type weighted struct{ v, rows float64 }

// quantiles are those of type 7 of n rows, in increasing order of their values, asked
// for in increasing order.
type quantiles struct {
	values []weighted
	n      float64
	k      int
	before float64 // rows before values[k]
}

func (q *quantiles) at(p float64) float64 {
	h := p * (q.n - 1)
	i := math.Floor(h)
	for q.before+q.values[q.k].rows <= i {
		q.before += q.values[q.k].rows
		q.k++
	}
	pair := [2]float64{q.values[q.k].v, q.values[q.k].v}
	if q.before+q.values[q.k].rows <= i+1 && q.k+1 < len(q.values) {
		pair[1] = q.values[q.k+1].v
	}
	return resample.Quantile(pair[:], h-i)
}

// StatisticECEQuantile is the expected calibration error of n groups at quantiles of
// the risks of the resample ([QuantileBins]).
func StatisticECEQuantile(n int) Statistic {
	st := statistic("ece_quantile_g"+short(float64(n)), func(t *tally, _ int) value {
		return defined(t.quantileError(n))
	})
	st.biased, st.most = true, 1
	return st
}

func (t *tally) quantileError(n int) float64 {
	ties := t.of.sample.distinct()
	t.gaps = t.gaps[:0]
	for k, c := range t.controlsAt {
		if rows := c + t.eventsAt[k]; rows > 0 {
			t.gaps = append(t.gaps, weighted{ties[k].risk, rows})
		}
	}
	q := quantiles{values: t.gaps, n: t.n()}
	before := q.at(0)
	var sum, expected, observed float64
	k := 0
	for i := 1; i <= n; i++ {
		edge := q.at(float64(i) / float64(n))
		if edge == before && i < n {
			continue // equal quantiles are one; who is at the lowest is in the next group
		}
		before = edge
		for ; k < len(ties) && (ties[k].risk <= edge || i == n); k++ {
			expected += (t.controlsAt[k] + t.eventsAt[k]) * ties[k].risk
			observed += t.eventsAt[k]
		}
		sum += math.Abs(expected - observed)
		expected, observed = 0, 0
	}
	return sum / t.n()
}

// StatisticECEWidth and StatisticMCEWidth are the expected and the maximum
// calibration error of n bins of equal width ([CalibrationBins]).
func StatisticECEWidth(n int) Statistic { return ofWidth("ece_width_b", n, false) }

// StatisticMCEWidth is the maximum calibration error of n bins of equal width.
func StatisticMCEWidth(n int) Statistic { return ofWidth("mce_width_b", n, true) }

func ofWidth(name string, n int, most bool) Statistic {
	st := statistic(name+short(float64(n)), func(t *tally, _ int) value {
		ties := t.of.sample.distinct()
		var sum, largest float64
		for k, bin := 0, 1; bin <= n; bin++ {
			var expected, observed, rows float64
			// The last edge belongs to the last bin.
			for ; k < len(ties) && (ties[k].risk < float64(bin)/float64(n) || bin == n); k++ {
				rows += t.controlsAt[k] + t.eventsAt[k]
				expected += (t.controlsAt[k] + t.eventsAt[k]) * ties[k].risk
				observed += t.eventsAt[k]
			}
			gap := math.Abs(expected - observed)
			sum += gap
			if rows > 0 {
				largest = max(largest, gap/rows)
			}
		}
		if most {
			return defined(largest)
		}
		return defined(sum / t.n())
	})
	st.biased, st.most = true, 1
	return st
}
