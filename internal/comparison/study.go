package comparison

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/compare"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// study holds the configurations on the common subjects, these in one order.
type study struct {
	all        []Configuration
	options    Options
	seed       uint64
	outcomes   []int // controls first
	controls   int
	blocks     map[string]block // by factor
	references []int            // of each configuration, the place of the ground truth; -1 without one
	of         map[string][]subjects
}

// subjects is what one configuration makes of the subjects under one estimand.
type subjects struct {
	refits   int64
	pairs    lanes // of each control, by event: as Refits.Pairs
	squares  []float64
	positive lanes // of each subject, by threshold
}

// lanes hold whole numbers, several in a word, so that weighted sums of them are one
// multiplication: parts of a word do not overflow.
type lanes struct {
	numbers int // of each member
	part    int // bits of a number
	perWord int // numbers in a word
	mask    uint64
	words   [][]uint64 // one for each member, of so many numbers
}

// newLanes makes room for numbers of members of which no weighted sum is above most.
func newLanes(members, numbers int, most int64) lanes {
	l := lanes{numbers: numbers, part: max(1, bits.Len64(uint64(most)))}
	l.perWord, l.mask = 64/l.part, 1<<l.part-1
	for range (numbers + l.perWord - 1) / l.perWord {
		l.words = append(l.words, make([]uint64, members))
	}
	return l
}

func (l *lanes) set(member, number, value int) {
	l.words[number/l.perWord][member] |= uint64(value) << (number % l.perWord * l.part)
}

// measure is a statistic of the comparison.
type measure struct {
	key    string
	lowest bool // a lower value is the better
	both   bool // it needs both outcomes
	pairs  bool // it needs all pairs of an event and a control
}

// group are measures that are computed together, those that may have no value after
// the others.
type group struct {
	measures []measure
	of       func(s *study, c *subjects) compare.Weighted
}

// newStudy is one that knows nothing of subjects yet.
func newStudy(all []Configuration, o Options) (*study, error) {
	if !(o.Margin > 0) {
		return nil, fmt.Errorf("a margin of %v: want one above 0", o.Margin)
	}
	s := &study{all: all, options: o, seed: resample.Seed(o.Seed, "comparison"), blocks: map[string]block{}, of: map[string][]subjects{}}
	for _, factor := range config.Factors() {
		s.blocks[factor] = newBlock(all, factor)
	}
	truth := map[[2]string]int{}
	model := func(c Configuration) [2]string {
		return [2]string{c.Methods[config.Classifier], c.Methods[config.Featurization]}
	}
	for k, c := range all {
		if !c.Truth {
			continue
		}
		if _, second := truth[model(c)]; second {
			truth[model(c)] = -1 // two ground truths are none
		} else {
			truth[model(c)] = k
		}
	}
	for _, c := range all {
		reference, ok := truth[model(c)]
		if !ok {
			reference = -1
		}
		s.references = append(s.references, reference)
	}
	return s, nil
}

// meet reads what the configurations make of the subjects.
func (s *study) meet() {
	orders := commonOrder(s.all)
	for _, i := range orders[0] {
		s.outcomes = append(s.outcomes, s.all[0].Outcomes[i])
		s.controls += 1 - s.all[0].Outcomes[i]
	}
	refitted := !slices.ContainsFunc(s.all, func(c Configuration) bool { return c.Refits == nil })
	for k, c := range s.all {
		s.of[metrics.MeanRisk] = append(s.of[metrics.MeanRisk], s.ofMean(c, orders[k]))
		if refitted {
			s.of[metrics.OverModels] = append(s.of[metrics.OverModels], s.ofRefits(c, orders[k]))
		}
	}
}

// commonOrder gives for each configuration the places of its subjects in an order
// that is the same for all and not one of names: by outcome, by the mean risk in one
// configuration after the other, then by the ranks among refits.
func commonOrder(all []Configuration) [][]int {
	place := make([]map[string]int, len(all))
	for k, c := range all {
		place[k] = map[string]int{}
		for i, subject := range c.Subjects {
			place[k][subject] = i
		}
	}
	names := slices.SortedFunc(slices.Values(all[0].Subjects), func(a, b string) int {
		order := cmp.Compare(all[0].Outcomes[place[0][a]], all[0].Outcomes[place[0][b]])
		for k := 0; order == 0 && k < len(all); k++ {
			order = cmp.Compare(all[k].Risks[place[k][a]], all[k].Risks[place[k][b]])
		}
		for k := 0; order == 0 && k < len(all); k++ {
			if f := all[k].Refits; f != nil {
				order = cmp.Compare(f.Ranks[place[k][a]], f.Ranks[place[k][b]])
			}
		}
		return order
	})
	orders := make([][]int, len(all))
	for k := range all {
		for _, name := range names {
			orders[k] = append(orders[k], place[k][name])
		}
	}
	return orders
}

// newSubjects is what has been said of no subject yet.
func (s *study) newSubjects(c Configuration, refits int) subjects {
	x := subjects{refits: int64(refits)}
	n := len(s.outcomes)
	if c.Pairs <= s.options.MaxPairs {
		x.pairs = newLanes(s.controls, n-s.controls, int64(s.controls)*2*int64(refits))
	}
	x.positive = newLanes(n, len(s.options.Thresholds), int64(n)*int64(refits))
	return x
}

func (s *study) ofMean(c Configuration, order []int) subjects {
	x := s.newSubjects(c, 1)
	risk := func(place int) float64 { return c.Risks[order[place]] }
	for e := range x.pairs.numbers {
		for k := range s.controls {
			x.pairs.set(k, e, 1+cmp.Compare(risk(s.controls+e), risk(k)))
		}
	}
	for place, y := range s.outcomes {
		d := float64(y) - risk(place)
		x.squares = append(x.squares, d*d)
	}
	for k, t := range s.options.Thresholds {
		for place := range order {
			if risk(place) >= t {
				x.positive.set(place, k, 1)
			}
		}
	}
	return x
}

func (s *study) ofRefits(c Configuration, order []int) subjects {
	f := c.Refits
	x := s.newSubjects(c, f.N)
	// Pairs count events and controls apart, in the order of the subjects.
	within := make([]int, len(c.Outcomes))
	var seen [2]int
	for i, y := range c.Outcomes {
		within[i] = seen[y]
		seen[y]++
	}
	for e := range x.pairs.numbers {
		for k := range s.controls {
			x.pairs.set(k, e, f.Pairs[within[order[s.controls+e]]][within[order[k]]])
		}
	}
	for _, i := range order {
		x.squares = append(x.squares, f.Squares[i])
	}
	for k, of := range f.Positive {
		for place, i := range order {
			x.positive.set(place, k, of[i])
		}
	}
	return x
}

func (s *study) estimands() []string {
	if s.of[metrics.OverModels] == nil {
		return []string{metrics.MeanRisk}
	}
	return []string{metrics.OverModels, metrics.MeanRisk}
}

// groups are the statistics that are compared: those that are means over subjects or
// pairs of subjects of what refits give, so that both estimands have them.
func groups(thresholds []float64) []group {
	all := []group{
		{measures: []measure{{key: "auroc", both: true, pairs: true}}, of: (*study).auroc},
		{measures: []measure{{key: "brier", lowest: true}, {key: "scaled_brier", both: true}}, of: (*study).brier},
	}
	for from := 0; from < len(thresholds); from += togetherAtMost {
		part := thresholds[from:min(from+togetherAtMost, len(thresholds))]
		g := group{of: func(s *study, c *subjects) compare.Weighted { return s.netBenefit(c, from) }}
		for _, t := range part {
			g.measures = append(g.measures, measure{key: "nb@" + strconv.FormatFloat(t, 'f', -1, 64)})
		}
		all = append(all, g)
	}
	return all
}

// togetherAtMost bounds how many thresholds have their replicates in memory at once:
// those of one and 542 configurations take 9 MB.
const togetherAtMost = 2

// auroc is a quotient of whole numbers: it has no order of summation.
func (s *study) auroc(c *subjects) compare.Weighted {
	pairs := &c.pairs
	return func(d *compare.Drawn, values [][]float64) {
		sums := d.Work
		clear(sums)
		events := d.Counts[s.controls:]
		for _, words := range pairs.words {
			above := d.Sum(0, words)
			for number := range min(pairs.perWord, len(events)) {
				counts, by := events[number][:len(above)], number*pairs.part&63
				for r, word := range above {
					sums[r] += int64(counts[r]) * int64(word>>by&pairs.mask)
				}
			}
			events = events[min(pairs.perWord, len(events)):]
		}
		controls, all := d.All[0], d.All[1]
		for r, sum := range sums {
			values[0][r] = float64(sum) / float64(2*c.refits*all[r]*controls[r])
		}
	}
}

// brier gives the Brier score, and its scaled form where that is asked for. Squares are
// added in the order of the subjects: who does not count adds nothing, to the last bit.
func (s *study) brier(c *subjects) compare.Weighted {
	return func(d *compare.Drawn, values [][]float64) {
		sums := values[0]
		clear(sums)
		squares, weights := c.squares, d.Weights
		for ; len(squares) >= 4; squares, weights = squares[4:], weights[4:] {
			w0, w1, w2, w3 := weights[0][:len(sums)], weights[1][:len(sums)], weights[2][:len(sums)], weights[3][:len(sums)]
			q0, q1, q2, q3 := squares[0], squares[1], squares[2], squares[3]
			for r, sum := range sums {
				sum += w0[r] * q0
				sum += w1[r] * q1
				sum += w2[r] * q2
				sum += w3[r] * q3
				sums[r] = sum
			}
		}
		for i, square := range squares {
			for r, weight := range weights[i][:len(sums)] {
				sums[r] += weight * square
			}
		}
		for r, sum := range sums {
			events, controls := float64(d.All[1][r]), float64(d.All[0][r])
			n := events + controls
			brier := sum / n
			values[0][r] = brier
			if len(values) > 1 {
				values[1][r] = 1 - brier*n*n/(events*controls) // NaN or infinite where a class is missing
			}
		}
	}
}

// netBenefit gives that at some thresholds, from one on.
func (s *study) netBenefit(c *subjects, first int) compare.Weighted {
	positive := &c.positive
	return func(d *compare.Drawn, values [][]float64) {
		controls, events := d.All[0], d.All[1]
		word, number := first/positive.perWord, first%positive.perWord
		for i := 0; i < len(values); word, number = word+1, 0 {
			fp, tp := d.Sum(0, positive.words[word]), d.Sum(1, positive.words[word])
			for by := number * positive.part; number < positive.perWord && i < len(values); number++ {
				t := s.options.Thresholds[first+i]
				for r := range values[i] {
					n := float64(c.refits) * float64(controls[r]+events[r])
					values[i][r] = (float64(tp[r]>>by&positive.mask) - float64(fp[r]>>by&positive.mask)*t/(1-t)) / n
				}
				by += positive.part
				i++
			}
		}
	}
}

// margin is that of a measure, 0 where it has none.
func (s *study) margin(key string) float64 {
	if key == "auroc" {
		return s.options.Margin
	}
	return 0
}

// undefined is why a measure has no value in any configuration.
func (s *study) undefined(m measure) metrics.Reason {
	switch pairs := s.all[0].Pairs; {
	case m.both && pairs == 0:
		return metrics.OneClass
	case m.pairs && pairs > s.options.MaxPairs:
		return metrics.NotAvailable
	}
	return ""
}

// resample computes the first measures of a group of all configurations in the
// resamples.
func (s *study) resample(estimand string, g group, measures int) ([]*compare.Paired, error) {
	weighted := make([]compare.Weighted, len(s.all))
	for k := range s.all {
		weighted[k] = g.of(s, &s.of[estimand][k])
	}
	return compare.ResampleWeighted(s.outcomes, weighted, measures, s.options.Replicates, s.seed)
}

// judge adds all that is said of one measure: p are its replicates, nil where it has
// no value for the given reason.
func (s *study) judge(r *Result, m Measured, lowest bool, p *compare.Paired, why metrics.Reason) error {
	none := Value{Undefined: string(why)}
	if err := s.means(r, m, p, none); err != nil {
		return err
	}
	if err := s.differences(r, m, p, none); err != nil {
		return err
	}
	for _, id := range r.Left {
		r.Differences = append(r.Differences, Difference{
			Scope: OfConfiguration, ID: id, Measured: m, Margin: s.margin(m.Measure), Value: Value{Undefined: OtherSubjects}, Verdict: NotJudged,
		})
	}
	return s.selections(r, m, lowest, p, none)
}

// job is a row that a contrast fills; rows are filled on all processors. The contrast
// is another row's afterwards.
type job struct {
	weights map[int]float64
	fill    func(Value, *compare.Contrast) error
}

func run(p *compare.Paired, jobs []job) error {
	errs := make([]error, len(jobs))
	resample.Each(len(jobs), func() *compare.Contrast { return new(compare.Contrast) }, func(c *compare.Contrast, k int) {
		if errs[k] = c.Set(p, jobs[k].weights); errs[k] != nil {
			return
		}
		v := Value{Estimate: c.Estimate, Omitted: c.Undefined()}
		v.Interval = c.Interval(resample.Options{Method: resample.BCa, Level: metrics.Level})
		errs[k] = jobs[k].fill(v, c)
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// methodsOf are the methods of a factor with the places of their configurations.
func (s *study) methodsOf(factor string) (names []string, of map[string][]int) {
	of = map[string][]int{}
	for k, c := range s.all {
		of[c.Methods[factor]] = append(of[c.Methods[factor]], k)
	}
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, of
}

func (s *study) means(r *Result, m Measured, p *compare.Paired, none Value) error {
	var jobs []job
	for _, factor := range config.Factors() {
		block := s.blocks[factor]
		names, of := s.methodsOf(factor)
		for _, name := range names {
			mean := Mean{Factor: factor, Method: name, Measured: m, Configurations: len(of[name])}
			weights := map[int]float64{}
			for _, k := range block.members {
				if s.all[k].Methods[factor] == name {
					weights[k] = 1 / float64(block.cells)
				}
			}
			mean.Cells = len(weights)
			switch {
			case len(weights) == 0:
				mean.Value = Value{Undefined: NoCommonCells}
			case p == nil:
				mean.Value = none
			default:
				at := len(r.Means)
				jobs = append(jobs, job{weights, func(v Value, _ *compare.Contrast) error { r.Means[at].Value = v; return nil }})
			}
			r.Means = append(r.Means, mean)
		}
	}
	return run(p, jobs)
}

func (s *study) differences(r *Result, m Measured, p *compare.Paired, none Value) error {
	var jobs []job
	add := func(d Difference, weights map[int]float64, why string) {
		d.Measured, d.Margin, d.Verdict = m, s.margin(m.Measure), NotJudged
		switch {
		case why != "":
			d.Value = Value{Undefined: why}
		case p == nil:
			d.Value = none
		default:
			at := len(r.Differences)
			jobs = append(jobs, job{weights, func(v Value, c *compare.Contrast) error { return r.Differences[at].judge(v, c) }})
		}
		r.Differences = append(r.Differences, d)
	}
	for k, c := range s.all {
		d := Difference{Scope: OfConfiguration, ID: c.ID}
		switch reference := s.references[k]; reference {
		case -1:
			add(d, nil, NoReference)
		case k:
			add(d, nil, Itself)
		default:
			d.Configurations = 1
			add(d, map[int]float64{k: 1, reference: -1}, "")
		}
	}
	for _, factor := range []string{config.Outlier, config.Imputation} {
		names, _ := s.methodsOf(factor)
		for _, name := range names {
			d := Difference{Scope: OfMethod, Factor: factor, Method: name}
			var members []int
			inBlock := false
			for _, k := range s.blocks[factor].members {
				if s.all[k].Methods[factor] == name {
					inBlock = true
					if s.references[k] >= 0 {
						members = append(members, k)
					}
				}
			}
			weights := map[int]float64{}
			for _, k := range members {
				weights[k] += 1 / float64(len(members))
				weights[s.references[k]] -= 1 / float64(len(members))
			}
			d.Configurations = len(members)
			switch {
			case !inBlock:
				add(d, nil, NoCommonCells)
			case len(members) == 0:
				add(d, nil, NoReference)
			default:
				add(d, weights, "")
			}
		}
	}
	return run(p, jobs)
}

// judge fills a difference and says what it means.
func (d *Difference) judge(v Value, c *compare.Contrast) error {
	d.Value = v
	if d.Margin == 0 {
		return nil
	}
	e, err := c.Equivalence(d.Margin, (1-EquivalenceLevel)/2)
	if err != nil {
		return err
	}
	d.Equivalence, d.P = e.Interval, e.P
	d.Verdict = VerdictOf(e.Interval, v.Interval, d.Margin)
	return nil
}

// VerdictOf is the verdict on a difference by its interval of 90 %, that of 95 % and
// the margin.
func VerdictOf(equivalence, interval metrics.Interval, margin float64) string {
	switch {
	case equivalence.Defined() && equivalence.Lower > -margin && equivalence.Upper < margin:
		return Equivalent
	case interval.Defined() && interval.Lower > 0:
		return Better
	case interval.Defined() && interval.Upper < 0:
		return Worse
	}
	return Inconclusive
}

func (s *study) selections(r *Result, m Measured, lowest bool, p *compare.Paired, none Value) error {
	type candidates struct {
		Selection
		among []int
		ranks int
	}
	var groups []candidates
	add := func(scope, classifier, featurization string, ranks int) {
		g := candidates{Selection: Selection{Scope: scope, Classifier: classifier, Featurization: featurization, Measured: m}, ranks: ranks}
		for k, c := range s.all {
			if (classifier == "" || c.Methods[config.Classifier] == classifier) && (featurization == "" || c.Methods[config.Featurization] == featurization) {
				g.among = append(g.among, k)
			}
		}
		if len(g.among) > 0 {
			g.Candidates = len(g.among)
			groups = append(groups, g)
		}
	}
	add(OfAll, "", "", Ranks)
	classifiers, _ := s.methodsOf(config.Classifier)
	featurizations, _ := s.methodsOf(config.Featurization)
	for _, classifier := range classifiers {
		add(OfClassifier, classifier, "", 1)
	}
	for _, classifier := range classifiers {
		for _, featurization := range featurizations {
			add(OfGrid, classifier, featurization, 1)
		}
	}
	low, high := bounds(m.Measure)
	for _, g := range groups {
		if p == nil {
			g.Rank, g.Corrected = 1, none
			r.Selected = append(r.Selected, g.Selection)
			continue
		}
		top, err := p.Top(g.ranks, lowest, g.among...)
		if err != nil {
			return err
		}
		for rank, b := range top {
			one := g.Selection
			one.Rank, one.ID, one.Naive = rank+1, s.all[b.Configuration].ID, b.Apparent
			one.Corrected = Value{Estimate: b.Corrected, Undefined: string(b.Reason), Omitted: b.Undefined}
			if selected := s.options.Replicates - b.Undefined; selected > 0 {
				one.Share = float64(b.Wins[b.Configuration]) / float64(selected)
			}
			if one.Corrected.Undefined == "" {
				i := p.CorrectedInterval(b, metrics.Level)
				i.Lower, i.Upper = max(i.Lower, low), min(i.Upper, high) // as a Wald interval is cut
				one.Corrected.Interval = i
			}
			r.Selected = append(r.Selected, one)
		}
	}
	return nil
}

// bounds are what a measure can be.
func bounds(key string) (low, high float64) {
	switch key {
	case "auroc", "brier":
		return 0, 1
	}
	return math.Inf(-1), 1
}
