package metrics

import (
	"errors"
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/metrics/logistic"
	"github.com/foundation-plr/pipeline/metrics/resample"
	"github.com/foundation-plr/pipeline/metrics/smooth"
)

// Statistic is a measure that the bootstrap computes in a resample, from one
// weighted pass over the sorted risks.
type Statistic struct {
	Key       string
	threshold float64 // NaN where there is none
	refit     bool    // needs the recalibration of the resample
	curve     bool    // needs its smoothed calibration curve
	biased    bool    // larger in resamples than in the sample: see Statistic.Method
	most      float64 // the largest value of a biased statistic; the least is 0
	of        func(t *tally, k int) value
}

// Method is how the table of measures makes an interval of the statistic: BCa, and
// for calibration errors the bias-corrected normal one. A resample is farther from
// calibrated than its sample, as the sample is than the population: percentiles can
// miss the estimate, and of BCa's quantiles too few replicates tell. docs/measures.md
// has how often the intervals hold the truth.
func (s Statistic) Method() resample.Method {
	if s.biased {
		return resample.Normal
	}
	return resample.BCa
}

// Statistics of the bootstrap, by the keys of the table of measures.
func statistic(key string, of func(t *tally, k int) value) Statistic {
	return Statistic{Key: key, threshold: math.NaN(), of: of}
}

// StatisticAUROC and the others are measures that [Bootstrap] can resample.
var (
	StatisticAUROC             = statistic("auroc", func(t *tally, _ int) value { return t.ofBoth(t.concordant / (2 * t.events * t.controls)) })
	StatisticAveragePrecision  = statistic("average_precision", func(t *tally, _ int) value { return t.ofBoth(t.precision / t.events) })
	StatisticBrier             = statistic("brier", func(t *tally, _ int) value { return defined(t.squares / t.n()) })
	StatisticScaledBrier       = statistic("scaled_brier", func(t *tally, _ int) value { return t.ofBoth(1 - t.squares*t.n()/(t.events*t.controls)) })
	StatisticLogLoss           = statistic("logloss_mean", func(t *tally, _ int) value { return defined(-t.logLikelihood / t.n()) })
	StatisticMcFadden          = statistic("r2_mcfadden", rSquaredOf(mcFadden))
	StatisticCoxSnell          = statistic("r2_coxsnell", rSquaredOf(coxSnell))
	StatisticNagelkerke        = statistic("r2_nagelkerke", rSquaredOf(nagelkerke))
	StatisticDiscrimination    = statistic("discrimination_slope", func(t *tally, _ int) value { return t.ofBoth(t.riskOfEvents/t.events - t.riskOfControls/t.controls) })
	StatisticMeanAbsoluteError = statistic("mape", func(t *tally, _ int) value { return defined((t.events - t.riskOfEvents + t.riskOfControls) / t.n()) })
	StatisticOE                = statistic("oe_ratio", func(t *tally, _ int) value { return ratio(t.events, t.riskOfEvents+t.riskOfControls) })
	StatisticIntercept         = Statistic{Key: "cal_intercept_offset", threshold: math.NaN(), refit: true, of: func(t *tally, _ int) value { return t.intercept() }}
	StatisticSlope             = Statistic{Key: "cal_slope", threshold: math.NaN(), refit: true, of: func(t *tally, _ int) value { return t.slope() }}
)

func rSquaredOf(of func(l, l0, n float64) float64) func(t *tally, _ int) value {
	return func(t *tally, _ int) value {
		return t.ofBoth(of(t.logLikelihood, nullLogLikelihood(t.events, t.controls), t.n()))
	}
}

// StatisticNetBenefit is the net benefit at threshold t in (0, 1).
func StatisticNetBenefit(t float64) Statistic {
	return at("nb@"+short(t), t, func(c *tally, k int) value {
		if why := decidable(1, t); why != "" {
			return undefined(why)
		}
		return defined((c.tp[k] - c.fp[k]*odds(t)) / c.n())
	})
}

// StatisticStandardisedNetBenefit is the standardised net benefit at t.
func StatisticStandardisedNetBenefit(t float64) Statistic {
	return at("snb@"+short(t), t, func(c *tally, k int) value {
		if why := decidable(1, t); why != "" {
			return undefined(why)
		}
		if c.events == 0 {
			return undefined(OneClass)
		}
		return defined((c.tp[k] - c.fp[k]*odds(t)) / c.events)
	})
}

// StatisticClass is a measure of the classification at t that is a function of
// the four counts: balanced_accuracy, youden, kappa, f1 or mcc.
func StatisticClass(name string, t float64) (Statistic, error) {
	of := map[string]func(Confusion) Result{
		"balanced_accuracy": Confusion.BalancedAccuracy, "youden": Confusion.Youden,
		"kappa": Confusion.Kappa, "f1": Confusion.F1, "mcc": Confusion.MCC,
	}[name]
	if of == nil {
		return Statistic{}, fmt.Errorf("no statistic %q of a classification", name)
	}
	return at("class@"+short(t)+"/"+name, t, func(c *tally, k int) value {
		r := of(Confusion{Threshold: t, TP: int(c.tp[k]), FP: int(c.fp[k]), FN: int(c.events - c.tp[k]), TN: int(c.controls - c.fp[k])})
		return value{v: r.Value, undefined: r.Undefined}
	}), nil
}

func at(key string, t float64, of func(c *tally, k int) value) Statistic {
	return Statistic{Key: key, threshold: t, of: of}
}

// tally is what a weighted pass over the sorted risks gives of a resample. It is
// one goroutine's, and keeps its memory from one resample to the next.
type tally struct {
	counts                       []int32   // of each row
	numbers                      []float64 // of controls at each distinct risk, then of events
	eventsAt, controlsAt         []float64 // its halves
	eventsBelow, controlsBelow   []float64 // [k]: with the k lowest distinct risks
	events, controls             float64
	concordant, precision        float64
	squares, logLikelihood       float64
	riskOfEvents, riskOfControls float64
	tp, fp                       []float64 // of each statistic with a threshold
	fit                          logistic.Fit
	rows                         logistic.Cases // what fit is fitted to
	loess                        *smooth.Resampled
	rowsAt                       []float64 // events and controls at each distinct risk
	curveAt                      []float64 // the curve of the resample on the grid
	gaps                         []weighted
	errors                       curveErrors
	unbiased                     bool    // biased statistics are left out
	values                       []value // of the statistics
	of                           *Bootstrap
}

func (t *tally) n() float64 { return t.events + t.controls }

// ofBoth is v where the resample has both classes.
func (t *tally) ofBoth(v float64) value {
	if t.events == 0 || t.controls == 0 {
		return undefined(OneClass)
	}
	return defined(v)
}

func (t *tally) cases() (*logistic.Cases, Reason) {
	switch {
	case t.of.logits == nil:
		return nil, ExtremeRisk
	case t.events == 0 || t.controls == 0:
		return nil, OneClass
	}
	t.rows = logistic.Cases{X: t.of.logits, Events: t.eventsAt, Controls: t.controlsAt}
	return &t.rows, ""
}

func (t *tally) slope() value {
	c, why := t.cases()
	switch {
	case why != "":
	case t.of.start != nil:
		why = unfitted(t.fit.MaximiseFrom(t.of.start, c))
	default:
		why = unfitted(t.fit.Maximise(c))
	}
	if why != "" {
		return undefined(why)
	}
	b, _ := t.fit.Slope()
	return defined(b)
}

func (t *tally) intercept() value {
	c, why := t.cases()
	if why != "" {
		return undefined(why)
	}
	return defined(c.Shift(1, t.of.shift))
}

// Bootstrap resamples the subjects of one sample and computes all its statistics
// in each resample. The risks are sorted once; a resample costs one pass over
// the subjects and allocates nothing.
type Bootstrap struct {
	sample     *Sample
	statistics []Statistic
	positions  []int           // of the threshold of each statistic among the distinct risks
	at         []int32         // of each row, its place in the numbers of a tally
	squares    [2][]float64    // squared error of an event, a control, at each distinct risk
	logs       [2][]float64    // log chance, 0 where it is -Inf
	wrong      []int           // places in the numbers of a tally where it is
	logits     []float64       // nil where a risk is exactly 0 or 1
	start      *logistic.Start // the sample's recalibration; nil where it has none
	shift      float64
	strata     [2][]int32
	estimates  []value
	refit      bool
	curve      bool      // errors of the smoothed curve are among the statistics
	grid       []float64 // where the curve itself is wanted
	noCurve    Reason    // why the sample has no smoothed curve
}

// NewBootstrap prepares the bootstrap of statistics of s, which must have
// subjects.
func NewBootstrap(s *Sample, statistics ...Statistic) (*Bootstrap, error) {
	return newBootstrap(s, nil, statistics)
}

func newBootstrap(s *Sample, grid []float64, statistics []Statistic) (*Bootstrap, error) {
	if s.N() == 0 {
		return nil, &InputError{Refit: -1, Row: -1, Problem: "no subjects to resample"}
	}
	ties := s.distinct()
	b := &Bootstrap{sample: s, statistics: statistics, grid: grid, at: make([]int32, s.N())}
	k := 0
	for _, row := range s.byRisk() {
		for s.risks[row] != ties[k].risk {
			k++
		}
		b.at[row] = int32(s.outcomes[row]*len(ties) + k)
	}
	for row, y := range s.outcomes {
		b.strata[y] = append(b.strata[y], int32(row))
	}
	for y := range 2 {
		b.squares[y], b.logs[y] = make([]float64, len(ties)), make([]float64, len(ties))
		for k, t := range ties {
			d := float64(y) - t.risk
			b.squares[y][k], b.logs[y][k] = d*d, logChance(y, t.risk)
			if math.IsInf(b.logs[y][k], 0) {
				b.logs[y][k] = 0
				b.wrong = append(b.wrong, y*len(ties)+k)
			}
		}
	}
	for _, st := range statistics {
		k := 0
		if !math.IsNaN(st.threshold) {
			k = below(ties, st.threshold)
		}
		b.positions = append(b.positions, k)
		b.refit, b.curve = b.refit || st.refit, b.curve || st.curve
	}
	if ties[0].risk > 0 && ties[len(ties)-1].risk < 1 {
		b.logits = make([]float64, len(ties))
		for k, t := range ties {
			b.logits[k] = logit(t.risk)
		}
	}
	if b.refit {
		if c, why := logitCases(s); why == "" {
			b.shift = c.Shift(1, 0)
			b.start, _ = logistic.NewStart(c) // no error: its resamples may have a slope all the same
		}
	}
	if len(ties)*s.N() > loessLimit {
		b.noCurve = NotAvailable
	}
	t := b.newTally()
	for row := range t.counts {
		t.counts[row] = 1
	}
	t.measure()
	b.estimates = t.values
	return b, nil
}

func (b *Bootstrap) newTally() *tally {
	k := len(b.sample.distinct())
	numbers := make([]float64, 2*k)
	t := &tally{
		of: b, counts: make([]int32, b.sample.N()),
		numbers: numbers, eventsAt: numbers[k:], controlsAt: numbers[:k],
		eventsBelow: make([]float64, k+1), controlsBelow: make([]float64, k+1),
		tp: make([]float64, len(b.statistics)), fp: make([]float64, len(b.statistics)),
		values: make([]value, len(b.statistics)),
	}
	if b.curve || b.grid != nil {
		risks := make([]float64, k)
		for i, tie := range b.sample.distinct() {
			risks[i] = tie.risk
		}
		t.loess, _ = smooth.NewResampled(risks, smooth.DefaultSpan) // risks are in order
		t.rowsAt, t.curveAt = make([]float64, k), make([]float64, len(b.grid))
	}
	return t
}

// draw sets counts to a resample.
func (t *tally) draw(stream *resample.Stream, scheme Scheme) {
	if scheme == Plain {
		resample.Draw(stream, t.counts)
		return
	}
	clear(t.counts)
	resample.DrawFrom(stream, t.of.strata[0], t.counts)
	resample.DrawFrom(stream, t.of.strata[1], t.counts)
}

// measure computes the statistics of the rows as often as counts says.
func (t *tally) measure() {
	b := t.of
	// No branch depends on the draw: a processor would guess half of them wrong.
	clear(t.numbers)
	numbers, at := t.numbers, b.at[:len(t.counts)]
	for row, c := range t.counts {
		numbers[at[row]] += float64(c)
	}
	t.tallyRisks()
	if t.loess != nil && !t.unbiased {
		t.smooth()
	}
	for k := range b.statistics {
		st := &b.statistics[k]
		if st.biased && t.unbiased {
			t.values[k] = undefined(NotAvailable)
			continue
		}
		if !math.IsNaN(st.threshold) {
			below := b.positions[k]
			t.tp[k] = t.events - t.eventsBelow[below]
			t.fp[k] = t.controls - t.controlsBelow[below]
		}
		t.values[k] = st.of(t, k)
	}
}

// tallyRisks makes the sums over distinct risks.
func (t *tally) tallyRisks() {
	b := t.of
	var events, controls, concordant, squares, logs, ofEvents, ofControls float64
	for k, tie := range b.sample.distinct() {
		e, c := t.eventsAt[k], t.controlsAt[k]
		concordant += e * (2*controls + c)
		squares += e*b.squares[1][k] + c*b.squares[0][k]
		ofEvents += e * tie.risk
		ofControls += c * tie.risk
		logs += e*b.logs[1][k] + c*b.logs[0][k]
		events += e
		controls += c
		t.eventsBelow[k+1], t.controlsBelow[k+1] = events, controls
	}
	// A certain risk that was wrong: 0 times -Inf is NaN, so these are apart.
	for _, w := range b.wrong {
		if t.numbers[w] > 0 {
			logs = math.Inf(-1)
		}
	}
	var precision float64
	for k, e := range t.eventsAt {
		tp := events - t.eventsBelow[k]
		rows := tp + controls - t.controlsBelow[k] // at least e
		precision += e * tp / max(rows, 1)
	}
	t.events, t.controls, t.concordant, t.precision = events, controls, concordant, precision
	t.squares, t.logLikelihood, t.riskOfEvents, t.riskOfControls = squares, logs, ofEvents, ofControls
}

// Scheme says how subjects are drawn.
type Scheme int

// Schemes.
const (
	// Stratified draws events and controls apart, so that each resample has as
	// many of both as the sample.
	Stratified Scheme = iota
	// Plain draws subjects.
	Plain
)

// Replicates are the statistics of the resamples of a bootstrap.
type Replicates struct {
	of     *Bootstrap
	scheme Scheme
	values [][]float64 // by statistic, in the order of replicates; NaN where undefined
}

// Draw resamples the subjects, on all processors. Replicate r depends on the
// seed and r alone.
func (b *Bootstrap) Draw(replicates int, seed uint64, scheme Scheme) *Replicates {
	r := b.newReplicates(replicates, scheme)
	resample.Each(replicates, b.newTally, func(t *tally, rep int) {
		stream := resample.NewStream(seed, uint64(rep))
		t.draw(&stream, scheme)
		t.measure()
		r.set(rep, t.values)
	})
	return r
}

// DrawSplit is [Bootstrap.Draw] with the same resamples, and beside them the
// statistics of the subjects that each did not draw, once each.
func (b *Bootstrap) DrawSplit(replicates int, seed uint64, scheme Scheme) (in, out *Replicates) {
	in, out = b.newReplicates(replicates, scheme), b.newReplicates(replicates, scheme)
	resample.Each(replicates, b.newTally, func(t *tally, rep int) {
		stream := resample.NewStream(seed, uint64(rep))
		t.draw(&stream, scheme)
		t.measure()
		in.set(rep, t.values)
		for row, c := range t.counts {
			t.counts[row] = 0
			if c == 0 {
				t.counts[row] = 1
			}
		}
		t.measure()
		out.set(rep, t.values)
	})
	return in, out
}

// Estimate returns statistic k of the sample, without an interval.
func (b *Bootstrap) Estimate(k int) Result { return newResult(b.sample, b.estimates[k]) }

// Given computes the statistics of resamples given as 0-based rows, one slice a
// replicate. The error names the replicate with a row that the sample does not
// have.
func (b *Bootstrap) Given(rows [][]int) (*Replicates, error) {
	r := b.newReplicates(len(rows), Plain)
	t := b.newTally()
	for rep, drawn := range rows {
		clear(t.counts)
		for _, row := range drawn {
			if row < 0 || row >= b.sample.N() {
				return nil, &InputError{Refit: -1, Row: -1, Problem: fmt.Sprintf("replicate %d draws row %d of %d", rep+1, row+1, b.sample.N())}
			}
			t.counts[row]++
		}
		t.measure()
		r.set(rep, t.values)
	}
	return r, nil
}

func (b *Bootstrap) newReplicates(n int, scheme Scheme) *Replicates {
	r := &Replicates{of: b, scheme: scheme, values: make([][]float64, len(b.statistics))}
	for k := range r.values {
		r.values[k] = make([]float64, n)
	}
	return r
}

func (r *Replicates) set(rep int, values []value) {
	for k, v := range values {
		r.values[k][rep] = v.orNaN()
	}
}

// Values returns the replicates of statistic k, NaN where it is undefined.
func (r *Replicates) Values(k int) []float64 { return r.values[k] }

// Undefined returns the number of replicates in which statistic k is undefined.
func (r *Replicates) Undefined(k int) int {
	var n int
	for _, v := range r.values[k] {
		if math.IsNaN(v) {
			n++
		}
	}
	return n
}

// mostUndefined is the share of replicates that may be undefined: the limits
// would otherwise be those of another statistic.
const mostUndefined = 0.01

// jackknifeGroups is the number of subjects above which BCa's acceleration
// deletes groups of them instead of one: it is then of the order of 1/sqrt(n),
// and its error far below that of a thousand replicates.
const jackknifeGroups = 2000

// Jackknife returns the statistics with one subject (or, of more than 2000
// subjects, one of 2000 groups of them) left out, one slice for each stratum and
// statistic: [statistic][stratum][left out]. Undefined is NaN.
func (b *Bootstrap) Jackknife(scheme Scheme) [][][]float64 { return b.jackknife(scheme, false) }

// jackknife leaves out calibration errors, whose intervals need none, where it is for
// intervals alone: NaN stands in their place.
func (b *Bootstrap) jackknife(scheme Scheme, unbiased bool) [][][]float64 {
	out := make([][][]float64, len(b.statistics))
	strata := [][]int32{b.strata[0], b.strata[1]}
	if scheme == Plain {
		all := make([]int32, b.sample.N())
		for i := range all {
			all[i] = int32(i)
		}
		strata = [][]int32{all}
	}
	groups := (b.sample.N() + jackknifeGroups - 1) / jackknifeGroups // subjects in a group
	for h, rows := range strata {
		n := (len(rows) + groups - 1) / groups
		for k := range out {
			out[k] = append(out[k], make([]float64, n))
		}
		begin := func() *tally {
			t := b.newTally()
			t.unbiased = unbiased
			for row := range t.counts {
				t.counts[row] = 1
			}
			return t
		}
		resample.Each(n, begin, func(t *tally, g int) {
			for i := g; i < len(rows); i += n {
				t.counts[rows[i]] = 0
			}
			t.measure()
			for k, v := range t.values {
				out[k][h][g] = v.orNaN()
			}
			for i := g; i < len(rows); i += n {
				t.counts[rows[i]] = 1
			}
		})
	}
	return out
}

// Interval returns the interval of statistic k of its replicates. Jackknife is
// that of [Bootstrap.Jackknife], used by BCa alone. Calibration errors have the
// interval of [resample.Normal] alone.
func (r *Replicates) Interval(k int, jackknife [][][]float64, o resample.Options) Interval {
	v := r.of.estimates[k]
	st := r.of.statistics[k]
	switch {
	case v.undefined != "":
		return Interval{Undefined: v.undefined}
	case math.IsInf(v.v, 0):
		return Interval{Undefined: ZeroDenominator}
	case st.biased && o.Method != resample.Normal:
		return Interval{Undefined: NotAvailable}
	}
	finite := make([]float64, 0, len(r.values[k]))
	for _, x := range r.values[k] {
		if !math.IsNaN(x) && !math.IsInf(x, 0) {
			finite = append(finite, x)
		}
	}
	if len(finite) < 2 {
		return Interval{Undefined: TooFew}
	}
	if float64(len(r.values[k])-len(finite)) > mostUndefined*float64(len(r.values[k])) {
		return Interval{Undefined: TooManyUndefinedReplicates}
	}
	resample.Sort(finite)
	if finite[0] == finite[len(finite)-1] {
		return Interval{Undefined: ZeroVariance}
	}
	var left [][]float64
	if o.Method == resample.BCa {
		left = jackknife[k]
		for _, group := range left {
			for _, x := range group {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					return Interval{Undefined: TooFew} // the statistic hangs on one subject
				}
			}
		}
	}
	lower, upper, err := resample.Interval(finite, v.v, left, o)
	if err != nil {
		return Interval{Undefined: reasonOf(err)}
	}
	if st.biased {
		return biasCorrected(finite, v.v, lower, upper, st.most, o.Level)
	}
	return Interval{Lower: lower, Upper: upper, Level: o.Level, Method: "bootstrap_" + string(o.Method)}
}

// biasCorrected is the interval of a calibration error, normal limits cut to what the
// error can be. Where the estimate is not among its replicates, or the bias alone is
// longer than the interval, the replicates tell of the bias and not of the estimate:
// there is none.
func biasCorrected(sorted []float64, estimate, lower, upper, most, level float64) Interval {
	if estimate < sorted[0] || estimate > sorted[len(sorted)-1] || estimate < lower || estimate > upper {
		return Interval{Undefined: NotAvailable}
	}
	return Interval{Lower: max(0, lower), Upper: min(most, upper), Level: level, Method: BootstrapBiasCorrected}
}

// reasonOf is why replicates have no interval: they do not vary, or BCa has none of
// replicates that lie on one side of the estimate.
func reasonOf(err error) Reason {
	if errors.Is(err, resample.ErrNoVariation) {
		return ZeroVariance
	}
	return NotAvailable
}
