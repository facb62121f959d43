// Package nearest finds the names that a misspelt one most likely stands for. It does
// not know what they name.
package nearest

import (
	"cmp"
	"slices"
)

// most is how many names are offered for one that nothing has.
const most = 3

// Names returns the names, at most three, that a misspelt one most likely stands for,
// the likeliest first: those that the fewest letters inserted, removed or exchanged
// lead to. Names that share less than half of their letters with it are not offered.
func Names(name string, among []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	for _, other := range among {
		if d := Distance(name, other); 2*d <= max(len(name), len(other)) {
			all = append(all, candidate{other, d})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	all = slices.Compact(all)
	var names []string
	for _, c := range all[:min(len(all), most)] {
		names = append(names, c.name)
	}
	return names
}

// Distance is Levenshtein's, over bytes.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
