package compare

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Weighted computes statistics of one configuration in resamples, for measures that no
// [metrics.Sample] has, such as means over refits: values has an element for each
// statistic, and that one for each resample, all of which it sets. Values are NaN where
// they are undefined. It changes nothing else, and is called by many goroutines, each
// with a Drawn of its own.
type Weighted func(d *Drawn, values [][]float64)

// resampleBlock is the number of resamples whose best configurations are looked for at
// once.
const resampleBlock = 64

// ResampleWeighted is [Resample], stratified by outcome, of as many statistics as are
// said, which are functions of weights: one element for each. The error names the
// first configuration with a statistic that is undefined or infinite in the full
// sample.
func ResampleWeighted(outcomes []int, configurations []Weighted, statistics, replicates int, seed uint64) ([]*Paired, error) {
	if len(configurations) == 0 || statistics < 1 {
		return nil, errors.New("no configurations, or no statistics")
	}
	if replicates < 2 {
		return nil, fmt.Errorf("%d replicates: want two or more", replicates)
	}
	var strata [2][]int32
	within := make([]int, len(outcomes)) // place in its stratum
	for i, y := range outcomes {
		if y != 0 && y != 1 {
			return nil, fmt.Errorf("row %d: outcome %d is neither 0 nor 1", i+1, y)
		}
		within[i] = len(strata[y])
		strata[y] = append(strata[y], int32(i))
	}
	all := make([]*Paired, statistics)
	for s := range all {
		p := &Paired{estimates: make([]float64, len(configurations))}
		for range configurations {
			p.replicates = append(p.replicates, make([]float64, replicates))
			p.outOfBag = append(p.outOfBag, make([]float64, replicates))
			p.jackknife = append(p.jackknife, [][]float64{make([]float64, len(strata[0])), make([]float64, len(strata[1]))})
		}
		all[s] = p
	}
	// The full sample, those without one subject, the resamples, and what these leave
	// out, all in one row.
	n := len(outcomes)
	inBag := 1 + n
	outOfBag := inBag + replicates
	columns := outOfBag + replicates
	count := func(column int, counts []int32) {
		clear(counts)
		if column < inBag {
			for i := range counts {
				counts[i] = 1
			}
			if column > 0 {
				counts[column-1] = 0
			}
			return
		}
		stream := resample.NewStream(seed, uint64((column-inBag)%replicates))
		resample.DrawFrom(&stream, strata[0], counts)
		resample.DrawFrom(&stream, strata[1], counts)
		if column < outOfBag {
			return
		}
		for i, drawn := range counts {
			counts[i] = 0
			if drawn == 0 {
				counts[i] = 1
			}
		}
	}
	keep := func(p *Paired, c, column int, v float64) {
		switch {
		case column == 0:
			p.estimates[c] = v
		case column < inBag:
			p.jackknife[c][outcomes[column-1]][within[column-1]] = v
		case column < outOfBag:
			p.replicates[c][column-inBag] = v
		default:
			p.outOfBag[c][column-outOfBag] = v
		}
	}
	type state struct {
		d      *Drawn
		values [][]float64
	}
	drawn := newDraws(strata, n, columns)
	for from := 0; from < columns; from += drawn.n {
		drawn.draw(min(drawn.most, columns-from), func(k int, counts []int32) { count(from+k, counts) })
		// One configuration after the other: what it makes of the subjects is small, and
		// the replicates of all are not.
		resample.Each(len(configurations), func() state {
			one := state{d: drawn.reader()}
			for range statistics {
				one.values = append(one.values, make([]float64, drawn.n))
			}
			return one
		}, func(one state, c int) {
			configurations[c](one.d, one.values)
			for s, values := range one.values {
				for k, v := range values {
					keep(all[s], c, from+k, v)
				}
			}
		})
	}
	for _, p := range all {
		for c, estimate := range p.estimates {
			if math.IsNaN(estimate) || math.IsInf(estimate, 0) {
				return nil, fmt.Errorf("configuration %d: the statistic is undefined or infinite", c+1)
			}
		}
	}
	return all, nil
}

// Estimated holds results of configurations without any replicate: contrasts and
// ranks of them have estimates and no intervals.
func Estimated(results []float64) *Paired {
	p := &Paired{estimates: slices.Clone(results)}
	for range results {
		p.replicates, p.outOfBag, p.jackknife = append(p.replicates, nil), append(p.outOfBag, nil), append(p.jackknife, nil)
	}
	return p
}

// Top is [Paired.Best] for the first ranks: element r is the configuration that is
// better than all but r others, and what "take the one of that rank" yields in
// subjects that it did not see. There are as many elements as ranks, or as
// configurations if these are fewer.
func (p *Paired) Top(ranks int, lowest bool, among ...int) ([]Best, error) {
	if len(among) == 0 {
		for k := range p.estimates {
			among = append(among, k)
		}
	}
	for _, k := range among {
		if k < 0 || k >= len(p.estimates) {
			return nil, fmt.Errorf("configuration %d of %d", k+1, len(p.estimates))
		}
	}
	ranks = min(ranks, len(among))
	if ranks < 1 {
		return nil, fmt.Errorf("%d ranks: want one or more", ranks)
	}
	best := make([]Best, ranks)
	scores := make([][]float64, ranks)
	apparent := newPodiums(ranks, 1)
	for _, k := range among {
		apparent.add(k, p.estimates[k:k+1], lowest)
	}
	for r := range best {
		k := apparent.at(0)[r].configuration
		best[r] = Best{Configuration: int(k), Apparent: p.estimates[k], Wins: map[int]int{}}
	}
	replicates := len(p.replicates[0])
	selected := newPodiums(ranks, replicates)
	resample.Each((replicates+resampleBlock-1)/resampleBlock, func() struct{} { return struct{}{} }, func(_ struct{}, block int) {
		from := block * resampleBlock
		to := min(from+resampleBlock, replicates)
		part := selected.part(from, to)
		for _, k := range among {
			part.add(k, p.replicates[k][from:to], lowest)
		}
	})
	for rep := range replicates {
		first := selected.at(rep)
		for r := range best {
			if r >= len(first) {
				best[r].Undefined++
				continue
			}
			k := int(first[r].configuration)
			score := p.outOfBag[k][rep]
			if math.IsNaN(score) || math.IsInf(score, 0) {
				best[r].Undefined++
				continue
			}
			best[r].Wins[k]++
			scores[r] = append(scores[r], score)
		}
	}
	for r := range best {
		b := &best[r]
		n := float64(len(scores[r]))
		if n < 2 {
			b.Reason = metrics.TooManyUndefinedReplicates
			continue
		}
		for _, v := range scores[r] {
			b.Corrected += v
		}
		b.Corrected /= n
		var squares float64
		for _, v := range scores[r] {
			squares += (v - b.Corrected) * (v - b.Corrected)
		}
		b.SD = math.Sqrt(squares / (n - 1))
	}
	return best, nil
}

// place is a configuration and its statistic on a podium.
type place struct {
	value         float64
	configuration int32
}

// podiums hold, for each of several resamples, the configurations with the best
// statistics, the best first, equal ones in the order in which they were added.
type podiums struct {
	ranks  int
	places []place // as many for each resample as there are ranks
	taken  []int
}

func newPodiums(ranks, resamples int) *podiums {
	return &podiums{ranks: ranks, places: make([]place, ranks*resamples), taken: make([]int, resamples)}
}

// part is that of some of the resamples.
func (p *podiums) part(from, to int) *podiums {
	return &podiums{ranks: p.ranks, places: p.places[from*p.ranks : to*p.ranks], taken: p.taken[from:to]}
}

// at is the podium of a resample.
func (p *podiums) at(resample int) []place { return p.places[resample*p.ranks:][:p.taken[resample]] }

// add shows the statistics of a configuration, one a resample, NaN where undefined.
func (p *podiums) add(configuration int, values []float64, lowest bool) {
	sign := 1.0
	if lowest {
		sign = -1
	}
	if p.ranks == 1 {
		places := p.places[:len(values)]
		for i, v := range values {
			if sign*v > sign*places[i].value || p.taken[i] == 0 && !math.IsNaN(v) {
				places[i], p.taken[i] = place{v, int32(configuration)}, 1
			}
		}
		return
	}
	for i, v := range values {
		n, places := p.taken[i], p.places[i*p.ranks:][:p.ranks]
		switch {
		case n == len(places):
			if !(sign*v > sign*places[n-1].value) { // nearly always
				continue
			}
			n--
		case math.IsNaN(v):
			continue
		default:
			p.taken[i]++
		}
		for ; n > 0 && sign*v > sign*places[n-1].value; n-- {
			places[n] = places[n-1]
		}
		places[n] = place{v, int32(configuration)}
	}
}

// Recentred is the method of [Paired.CorrectedInterval].
const Recentred = "bootstrap_recentred"

// CorrectedInterval places the spread of the configurations that resamples select,
// each about its own statistic in the full sample, about the corrected statistic, by
// percentiles: resample after resample of one of them after the other. The apparent
// best alone varies too little, because it is near the end of the scale by luck.
// Limits may leave the range of the statistic.
//
// It is after the location-shifted intervals of Noma, Shinozaki, Iba, Teramukai and
// Furukawa, Statistics in Medicine 2021; 40: 5691-5701. docs/measures.md says how
// often it holds the truth.
func (p *Paired) CorrectedInterval(b Best, level float64) metrics.Interval {
	if b.Reason != "" {
		return metrics.Interval{Undefined: b.Reason}
	}
	if float64(b.Undefined) > mostUndefined*float64(len(p.replicates[0])) {
		return metrics.Interval{Undefined: metrics.TooManyUndefinedReplicates}
	}
	selected := slices.Sorted(maps.Keys(b.Wins))
	deviations := make([]float64, 0, len(p.replicates[0]))
	for r := range p.replicates[0] {
		k := selected[r%len(selected)]
		if d := p.replicates[k][r] - p.estimates[k]; !math.IsNaN(d) && !math.IsInf(d, 0) {
			deviations = append(deviations, d)
		}
	}
	resample.Sort(deviations)
	lower, upper, err := resample.Interval(deviations, 0, nil, resample.Options{Method: resample.Percentile, Level: level})
	switch {
	case errors.Is(err, resample.ErrNoReplicates):
		return metrics.Interval{Undefined: metrics.TooFew}
	case err != nil:
		return metrics.Interval{Undefined: metrics.InvalidInput}
	case lower == upper:
		return metrics.Interval{Undefined: metrics.ZeroVariance}
	}
	return metrics.Interval{Lower: b.Corrected + lower, Upper: b.Corrected + upper, Level: level, Method: Recentred}
}
