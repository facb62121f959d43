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

// Weighted is a statistic of one configuration as a function of how often each
// subject counts, for measures that no [metrics.Sample] has, such as means over
// refits. It is NaN where it is undefined, changes nothing, and is called by many
// goroutines.
type Weighted func(counts []int32) float64

// resampleBlock is the number of resamples that are drawn at once.
const resampleBlock = 16

// ResampleWeighted is [Resample], stratified by outcome, of statistics that are
// functions of weights. The error names the first configuration whose statistic is
// undefined or infinite in the full sample.
func ResampleWeighted(outcomes []int, configurations []Weighted, replicates int, seed uint64) (*Paired, error) {
	if len(configurations) == 0 {
		return nil, errors.New("no configurations")
	}
	if replicates < 2 {
		return nil, fmt.Errorf("%d replicates: want two or more", replicates)
	}
	var strata [2][]int32
	for i, y := range outcomes {
		if y != 0 && y != 1 {
			return nil, fmt.Errorf("row %d: outcome %d is neither 0 nor 1", i+1, y)
		}
		strata[y] = append(strata[y], int32(i))
	}
	p := &Paired{}
	all := make([]int32, len(outcomes))
	for i := range all {
		all[i] = 1
	}
	for c, of := range configurations {
		estimate := of(all)
		if math.IsNaN(estimate) || math.IsInf(estimate, 0) {
			return nil, fmt.Errorf("configuration %d: the statistic is undefined or infinite", c+1)
		}
		p.estimates = append(p.estimates, estimate)
		p.replicates = append(p.replicates, make([]float64, replicates))
		p.outOfBag = append(p.outOfBag, make([]float64, replicates))
		var left [][]float64
		for _, rows := range strata {
			group := make([]float64, 0, len(rows))
			for _, row := range rows {
				all[row] = 0
				group = append(group, of(all))
				all[row] = 1
			}
			left = append(left, group)
		}
		p.jackknife = append(p.jackknife, left)
	}
	// What a configuration needs is looked at once for several resamples: that of all
	// of them together does not stay in a processor's cache.
	blocks := (replicates + resampleBlock - 1) / resampleBlock
	n := len(outcomes)
	resample.Each(blocks, func() []int32 { return make([]int32, resampleBlock*n) }, func(counts []int32, block int) {
		begin := block * resampleBlock
		size := min(resampleBlock, replicates-begin)
		clear(counts)
		for k := range size {
			stream, of := resample.NewStream(seed, uint64(begin+k)), counts[k*n:][:n]
			resample.DrawFrom(&stream, strata[0], of)
			resample.DrawFrom(&stream, strata[1], of)
		}
		for c, of := range configurations {
			for k := range size {
				p.replicates[c][begin+k] = of(counts[k*n:][:n])
			}
		}
		for i, drawn := range counts {
			counts[i] = 0
			if drawn == 0 {
				counts[i] = 1
			}
		}
		for c, of := range configurations {
			for k := range size {
				p.outOfBag[c][begin+k] = of(counts[k*n:][:n])
			}
		}
	})
	return p, nil
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
	first := make([]int, 0, ranks+1)
	// pick sets first to the best configurations, equal ones in their order.
	pick := func(of func(k int) float64) {
		first = first[:0]
		for _, k := range among {
			v := of(k)
			if math.IsNaN(v) {
				continue
			}
			at := len(first)
			for at > 0 && (lowest && v < of(first[at-1]) || !lowest && v > of(first[at-1])) {
				at--
			}
			if at < ranks {
				first = slices.Insert(first, at, k)
				first = first[:min(len(first), ranks)]
			}
		}
	}
	pick(func(k int) float64 { return p.estimates[k] })
	for r := range best {
		best[r] = Best{Configuration: first[r], Apparent: p.estimates[first[r]], Wins: map[int]int{}}
	}
	for rep := range p.replicates[0] {
		pick(func(k int) float64 { return p.replicates[k][rep] })
		for r := range best {
			if r >= len(first) || math.IsNaN(p.outOfBag[first[r]][rep]) || math.IsInf(p.outOfBag[first[r]][rep], 0) {
				best[r].Undefined++
				continue
			}
			best[r].Wins[first[r]]++
			scores[r] = append(scores[r], p.outOfBag[first[r]][rep])
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
	slices.Sort(deviations)
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
