package resample

import (
	"math"
	"slices"
	"sync"
)

const (
	// sortFrom and sortTo are the numbers of values between which [Sort] distributes
	// them: below there is nothing to gain, above the buckets leave the nearest cache.
	sortFrom, sortTo = 64, 1 << 14
	// sortBuckets is how many buckets there are for a value, and sortMoves how often
	// one may have to be moved afterwards, on average, before comparing is the faster.
	sortBuckets, sortMoves = 2, 8
)

// sorting is memory for a sort, kept between sorts.
type sorting struct {
	values []float64
	bucket []uint16 // of each value
	counts []uint16 // of each bucket, then where it begins
}

var sortings = sync.Pool{New: func() any { return new(sorting) }}

// Sort sorts values, none of which is NaN, in increasing order. Replicates of a
// statistic lie so evenly that almost all come to their places by their size alone:
// a thousand take a quarter of the time of a sort that compares.
func Sort(values []float64) {
	n := len(values)
	if n < sortFrom || n > sortTo {
		slices.Sort(values)
		return
	}
	least, most := values[0], values[0]
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	buckets := sortBuckets * n
	// Products and differences are rounded alike for all: who is less has no later bucket.
	scale := float64(buckets-1) / (most - least)
	if !(scale > 0 && scale < math.Inf(1)) || math.IsInf(most-least, 0) { // equal, infinite or almost so
		slices.Sort(values)
		return
	}
	s := sortings.Get().(*sorting)
	defer sortings.Put(s)
	s.values = append(s.values[:0], values...)
	s.bucket = slices.Grow(s.bucket[:0], n)[:n]
	s.counts = slices.Grow(s.counts[:0], buckets)[:buckets]
	clear(s.counts)
	for i, v := range s.values {
		b := uint16(int((v - least) * scale))
		s.bucket[i] = b
		s.counts[b]++
	}
	var at uint16
	for b, count := range s.counts {
		s.counts[b], at = at, at+count
	}
	for i, v := range s.values {
		place := &s.counts[s.bucket[i]]
		values[*place] = v
		*place++
	}
	for i, moves := 1, 0; i < n; i++ {
		v := values[i]
		at := i
		for ; at > 0 && values[at-1] > v; at-- {
			values[at] = values[at-1]
		}
		values[at] = v
		if moves += i - at; moves > sortMoves*n {
			slices.Sort(values)
			return
		}
	}
}
