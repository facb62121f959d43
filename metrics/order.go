package metrics

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sync"
)

const (
	// radixFrom is the number of rows from which sorting by digits beats comparing:
	// below it, clearing the counters costs more than the sort.
	radixFrom = 2048
	digitBits = 11
	digits    = 3
	// mostMoves is how often rows may have to be moved, on average, after the sort
	// by digits before it is given up for a sort by comparisons.
	mostMoves = 4
)

// records is memory for a sort, kept between sorts: fresh memory for a million
// rows costs as much as a pass over them.
var records = sync.Pool{New: func() any { return new([]uint64) }}

// ranked sorts the rows by increasing risk, ties in the order of rows, and collects
// the distinct risks. No risk is NaN or negative.
//
// The bits of numbers that are not negative sort as the numbers do. As many of the
// leading ones as tell the risks apart stand in a word with the row and the outcome;
// what they leave undecided a pass over the nearly sorted rows puts right.
//
// Order and ties are memory that is used again; nil where there is none.
func ranked(outcomes []int, risks []float64, order []int32, ties []tie) ([]int32, []tie) {
	n := len(risks)
	if n == 0 {
		return nil, nil
	}
	words, spare := records.Get().(*[]uint64), records.Get().(*[]uint64)
	*words, *spare = slices.Grow((*words)[:0], n)[:n], slices.Grow((*spare)[:0], n)[:n]
	defer func() { records.Put(words); records.Put(spare) }()

	least, most := ^uint64(0), uint64(0)
	for _, p := range risks {
		b := bitsOf(p)
		least, most = min(least, b), max(most, b)
	}
	rowBits := bits.Len(uint(n - 1))
	width := 63 - rowBits
	if n >= radixFrom {
		width = min(width, digits*digitBits)
	}
	shift := max(0, bits.Len64(most-least)-width)
	for i, p := range risks {
		(*words)[i] = ((bitsOf(p)-least)>>shift<<rowBits|uint64(i))<<1 | uint64(outcomes[i])
	}
	if n >= radixFrom {
		radix(*words, *spare, rowBits+1)
		words, spare = spare, words // three passes end there
	} else {
		slices.Sort(*words)
	}

	// Risks in their order, as bits.
	sorted, mask, moves := *spare, uint64(1)<<rowBits-1, mostMoves*n
	for i, w := range *words {
		b := bitsOf(risks[w>>1&mask])
		at := i
		for ; at > 0 && sorted[at-1] > b; at-- {
			sorted[at], (*words)[at] = sorted[at-1], (*words)[at-1]
			moves--
		}
		sorted[at], (*words)[at] = b, w
		if moves < 0 {
			break
		}
	}
	if moves < 0 {
		slices.SortFunc(*words, func(a, b uint64) int {
			if c := cmp.Compare(bitsOf(risks[a>>1&mask]), bitsOf(risks[b>>1&mask])); c != 0 {
				return c
			}
			return cmp.Compare(a>>1&mask, b>>1&mask)
		})
		for i, w := range *words {
			sorted[i] = bitsOf(risks[w>>1&mask])
		}
	}

	order = slices.Grow(order[:0], n)[:n]
	distinct := 1
	for i, b := range sorted[1:] {
		if b != sorted[i] {
			distinct++
		}
	}
	ties = slices.Grow(ties[:0], distinct)[:distinct]
	clear(ties)
	k := 0
	for i, w := range *words {
		order[i] = int32(w >> 1 & mask)
		if i > 0 && sorted[i] != sorted[i-1] {
			k++
		}
		t := &ties[k]
		y := int(w & 1)
		t.risk = math.Float64frombits(sorted[i])
		t.events += y
		t.controls += 1 - y
	}
	return order, ties
}

func bitsOf(p float64) uint64 { return math.Float64bits(p) &^ (1 << 63) } // -0 is 0

// radix sorts words by three digits from a bit on, least significant first, into
// other.
func radix(words, other []uint64, from int) {
	const mask = 1<<digitBits - 1
	var counts [digits][1 << digitBits]int32
	for _, w := range words {
		w >>= from
		counts[0][w&mask]++
		counts[1][w>>digitBits&mask]++
		counts[2][w>>(2*digitBits)&mask]++
	}
	for d := range digits {
		var at int32
		for v := range counts[d] {
			counts[d][v], at = at, at+counts[d][v]
		}
		place, by := &counts[d], from+d*digitBits
		for _, w := range words {
			v := w >> by & mask
			other[place[v]] = w
			place[v]++
		}
		words, other = other, words
	}
}
