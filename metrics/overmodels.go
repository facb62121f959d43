package metrics

import (
	"fmt"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics/logistic"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// RefitTable returns the measures of a refitted model under both estimands.
//
// [OverModels]: means over refits of AUROC, average precision, Brier score and
// scaled Brier score, log loss, and at each threshold net benefit, sensitivity and
// specificity; medians of slope, offset intercept and O:E, which have heavy tails
// and no sampling interval. The mean AUROC has DeLong's interval with the kernel of
// pairs averaged over refits; the others are means over subjects of what refits give
// each on average, which are resampled (stratified, BCa). Average precision is no
// such mean: up to 250 refits, evenly spaced, are measured in every resample, at the
// cost of their product with the number of subjects; the others shift all resamples
// alike. Refits in which a measure is undefined are counted in the spread.
//
// [MeanRisk]: the table of measures ([Table]) of the mean risk.
func RefitTable(r *Refits, o Options) ([]Row, error) {
	mean := &Sample{outcomes: r.outcomes, risks: r.Mean(), events: r.events}
	ofMean, err := Table(mean, o)
	if err != nil {
		return nil, err
	}
	if len(o.Thresholds) == 0 {
		o.Thresholds = DefaultThresholds
	}
	rows := overModels(r, o)
	for _, row := range ofMean {
		row.Estimand = MeanRisk
		rows = append(rows, row)
	}
	return rows, nil
}

// share is a measure over models that is a sum over subjects of what each has on
// average over refits, divided by the number of subjects in the strata.
type share struct {
	row    int
	of     []float64 // by subject
	strata [2]bool   // that count: controls, events
}

func overModels(r *Refits, o Options) []Row {
	first := r.sample(0)
	// Of each threshold, how the refit that is measured classifies.
	classes := make([]Confusion, len(o.Thresholds))
	list := measures(classes, o.Thresholds)
	simple := func(name, domain, tier string, of func(s *Sample) value) measure {
		return measure{name: name, domain: domain, tier: tier, ofRefit: func(_ *logistic.Fit, s *Sample) value { return of(s) }}
	}
	list = append(list,
		simple("average_precision", Discrimination, Inadvisable, averagePrecision),
		simple("logloss_mean", Overall, NotEssential, func(s *Sample) value { return plain(LogLoss(s)) }))
	// As Confusion's, without the interval.
	proportion := func(c *Confusion, x, n int) value {
		switch {
		case c.why != "":
			return undefined(c.why)
		case n == 0:
			return undefined(OneClass)
		}
		return defined(float64(x) / float64(n))
	}
	for k, t := range o.Thresholds {
		c := &classes[k]
		list = append(list,
			simple("class@"+short(t)+"/sensitivity", Classification, Descriptive, func(*Sample) value { return proportion(c, c.TP, c.Events()) }),
			simple("class@"+short(t)+"/specificity", Classification, Descriptive, func(*Sample) value { return proportion(c, c.TN, c.controls()) }))
	}
	n := len(r.outcomes)
	var rankings []ranking
	stride := precisionStride(r.Len())
	ranks := o.Replicates > 0 && first.bothClasses() == "" &&
		float64(r.Len()/stride)*float64(n)*float64(o.Replicates) <= precisionLimit
	refit := 0
	rows := r.summarise(list, func(s *Sample) {
		if ranks && refit%stride == 0 {
			rankings = append(rankings, newRanking(s))
		}
		refit++
		for k, t := range o.Thresholds {
			classes[k] = Classify(s, t)
		}
	})

	// overRefits is the mean over refits of each subject's sum of terms.
	overRefits := func(sums []float64) []float64 {
		for i := range sums {
			sums[i] /= float64(r.Len())
		}
		return sums
	}
	both := [2]bool{true, true}
	var shares []share
	add := func(key string, strata [2]bool, of func() []float64) {
		k := slices.IndexFunc(rows, func(row Row) bool { return row.Measure == key })
		if rows[k].Defined() && !math.IsInf(rows[k].Value, 0) {
			shares = append(shares, share{k, overRefits(of()), strata})
		}
	}
	add("brier", both, func() []float64 {
		sums := make([]float64, n)
		for _, risks := range r.risks {
			for i, p := range risks {
				d := float64(r.outcomes[i]) - p
				sums[i] += d * d
			}
		}
		return sums
	})
	if first.bothClasses() == "" {
		pi := first.prevalence()
		// Of stratified resamples the prevalence is that of the sample.
		unit := pi * (1 - pi)
		add("scaled_brier", both, func() []float64 {
			sums := make([]float64, n)
			for _, risks := range r.risks {
				for i, p := range risks {
					d := float64(r.outcomes[i]) - p
					sums[i] += 1 - d*d/unit
				}
			}
			return sums
		})
	}
	add("logloss_mean", both, func() []float64 {
		sums := make([]float64, n)
		for _, risks := range r.risks {
			for i, p := range risks {
				sums[i] -= logChance(r.outcomes[i], p)
			}
		}
		return sums
	})
	for _, t := range o.Thresholds {
		positive := r.positive(t)
		// The refits in which a control is positive each take the odds away.
		taken := make([]float64, r.Len()+1)
		for k := range r.Len() {
			taken[k+1] = taken[k] - odds(t)
		}
		of := func(term func(i, positive int) float64) func() []float64 {
			return func() []float64 {
				sums := make([]float64, n)
				for i, k := range positive {
					sums[i] = term(i, k)
				}
				return sums
			}
		}
		add("nb@"+short(t), both, of(func(i, k int) float64 {
			if r.outcomes[i] == 1 {
				return float64(k)
			}
			return taken[k]
		}))
		add("class@"+short(t)+"/sensitivity", [2]bool{false, true}, of(func(_, k int) float64 { return float64(k) }))
		add("class@"+short(t)+"/specificity", [2]bool{true, false}, of(func(_, k int) float64 { return float64(r.Len() - k) }))
	}
	if o.Replicates > 0 {
		strata := r.strata()
		resampleShares(r, o, rows, shares, strata)
		k := slices.IndexFunc(rows, func(row Row) bool { return row.Measure == StatisticAveragePrecision.Key })
		if rows[k].Defined() {
			resamplePrecision(&rows[k], o, rankings, strata)
		}
	}
	return rows
}

// positive counts for each subject the refits with a risk of at least t.
func (r *Refits) positive(t float64) []int {
	counts := make([]int, len(r.outcomes))
	for _, risks := range r.risks {
		risks := risks[:len(counts)]
		for i, p := range risks {
			positive := 0
			if p >= t {
				positive = 1
			}
			counts[i] += positive
		}
	}
	return counts
}

// strata are the rows of controls and of events.
func (r *Refits) strata() (rows [2][]int32) {
	for i, y := range r.outcomes {
		rows[y] = append(rows[y], int32(i))
	}
	return rows
}

// resamplePrecision gives the row of the average precision its interval; without
// rankings there are too many subjects for one.
func resamplePrecision(row *Row, o Options, rankings []ranking, strata [2][]int32) {
	switch {
	case rankings == nil:
		row.Note += noteSeparator + tooLongNote
		return
	case len(strata[0]) < 2 || len(strata[1]) < 2:
		row.Interval = Interval{Undefined: TooFew}
		return
	}
	p := newPrecisions(rankings, len(strata[0])+len(strata[1]))
	values, left := p.bootstrap(strata, resample.Seed(o.Seed, "over_models"), o.Replicates)
	// The refits that are not resampled shift all values alike.
	shift := row.Value - p.whole()
	for _, values := range append(left, values) {
		for i := range values {
			values[i] += shift
		}
	}
	row.Interval = bcaInterval(values, row.Value, left)
}

// bcaInterval is BCa's of replicates in any order, which it sorts.
func bcaInterval(replicates []float64, estimate float64, left [][]float64) Interval {
	resample.Sort(replicates)
	lower, upper, err := resample.Interval(replicates, estimate, left, resample.Options{Method: resample.BCa, Level: Level})
	if err != nil {
		return Interval{Undefined: reasonOf(err)}
	}
	return Interval{Lower: lower, Upper: upper, Level: Level, Method: BootstrapBCa}
}

// plain is a result without its interval.
func plain(r Result) value { return value{v: r.Value, undefined: r.Undefined} }

// resampleShares gives the rows of shares their intervals.
func resampleShares(r *Refits, o Options, rows []Row, shares []share, strata [2][]int32) {
	replicates := make([][]float64, len(shares))
	for k := range replicates {
		replicates[k] = make([]float64, o.Replicates)
	}
	size := func(sh share) (n float64) {
		for y, counts := range sh.strata {
			if counts {
				n += float64(len(strata[y]))
			}
		}
		return n
	}
	seed := resample.Seed(o.Seed, "over_models")
	resample.Each(o.Replicates, func() []int32 { return make([]int32, len(r.outcomes)) }, func(counts []int32, rep int) {
		stream := resample.NewStream(seed, uint64(rep))
		clear(counts)
		resample.DrawFrom(&stream, strata[0], counts)
		resample.DrawFrom(&stream, strata[1], counts)
		for k, sh := range shares {
			var sum float64
			for y, in := range sh.strata {
				if in {
					for _, row := range strata[y] {
						sum += float64(counts[row]) * sh.of[row]
					}
				}
			}
			replicates[k][rep] = sum / size(sh)
		}
	})
	for k, sh := range shares {
		// A sum over subjects: leaving one out shifts it by its term, but for a factor
		// that the acceleration does not see.
		var left [][]float64
		for y, in := range sh.strata {
			if in {
				group := make([]float64, 0, len(strata[y]))
				for _, row := range strata[y] {
					group = append(group, -sh.of[row])
				}
				left = append(left, group)
			}
		}
		rows[sh.row].Interval = bcaInterval(replicates[k], rows[sh.row].Value, left)
	}
}

// summarise returns the rows of measures over models. Each is called for every
// refit, while it is ranked; it may be nil.
func (r *Refits) summarise(list []measure, each func(s *Sample)) []Row {
	rows := make([]Row, 0, len(list))
	over := make([]overRefits, len(list))
	placed := make([]float64, len(r.outcomes)) // placements, summed over refits
	var w logistic.Fit
	ofRefit := make([]float64, len(r.outcomes))
	r.Each(func(s *Sample) {
		if each != nil {
			each(s)
		}
		for k := range list {
			v := list[k].ofRefit(&w, s)
			over[k].add(v)
			if list[k].name == aurocKey && v.undefined == "" {
				placements(s, ofRefit)
				for i, c := range ofRefit {
					placed[i] += c
				}
			}
		}
	})
	first := r.sample(0)
	for k, m := range list {
		v, spread := over[k].summary(m.median)
		row := Row{Estimand: OverModels, Measure: m.name, Domain: m.domain, Tier: m.tier,
			Result: newResult(first, v), Spread: spread}
		row.Note = note(m.median, r.Len(), spread.NUndefined)
		if m.name == aurocKey && row.Defined() {
			row.Interval = meanAUROCInterval(first, v.v, placed, r.Len())
		}
		rows = append(rows, row)
	}
	return rows
}

func note(median bool, refits, undefined int) string {
	how := "mean"
	if median {
		how = "median"
	}
	text := fmt.Sprintf("%s over %d refits", how, refits)
	if refits == 1 {
		text = how + " over 1 refit"
	}
	if undefined > 0 {
		text += fmt.Sprintf(", undefined in %d", undefined)
	}
	return text
}
