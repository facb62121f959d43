package metrics

import (
	"cmp"
	"math"
	"slices"
)

// radixFrom is the number of rows from which sorting by digits of 11 bits
// beats comparing: below it, clearing the counters costs more than the sort.
const radixFrom = 2048

// keyed is a risk as the bits of its float64 and the row that holds it. Bits of
// numbers that are not negative sort as the numbers do.
type keyed struct {
	bits uint64
	row  int32
}

// sorted returns risks and rows by increasing risk, ties in the order of rows. No
// risk is NaN or negative.
func sorted(risks []float64) []keyed {
	keys := make([]keyed, len(risks))
	for i, p := range risks {
		keys[i] = keyed{math.Float64bits(math.Abs(p)), int32(i)} // -0 is 0
	}
	if len(keys) >= radixFrom {
		return radix(keys)
	}
	slices.SortFunc(keys, func(a, b keyed) int {
		if a.bits != b.bits {
			return cmp.Compare(a.bits, b.bits)
		}
		return cmp.Compare(a.row, b.row)
	})
	return keys
}

// radix sorts by 11 bits at a time, least significant first, and leaves out
// digits in which all keys agree.
func radix(keys []keyed) []keyed {
	const (
		bits   = 11
		digits = 6 // 66 bits hold a float64
		mask   = 1<<bits - 1
	)
	var counts [digits][1 << bits]int32
	for _, k := range keys {
		for d := range digits {
			counts[d][k.bits>>(bits*d)&mask]++
		}
	}
	other := make([]keyed, len(keys))
	for d := range digits {
		if counts[d][keys[0].bits>>(bits*d)&mask] == int32(len(keys)) {
			continue
		}
		var at int32
		for v := range counts[d] {
			counts[d][v], at = at, at+counts[d][v]
		}
		for _, k := range keys {
			v := k.bits >> (bits * d) & mask
			other[counts[d][v]] = k
			counts[d][v]++
		}
		keys, other = other, keys
	}
	return keys
}
