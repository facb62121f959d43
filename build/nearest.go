package build

import "slices"

// maxNearest is how many names are offered for one that nothing has.
const maxNearest = 3

// Nearest returns the names, at most three, that a misspelt one most likely
// stands for, the likeliest first: those that the fewest letters inserted,
// removed or exchanged lead to. Names that share less
// than half of their letters with it are not offered.
func Nearest(name string, among []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var all []candidate
	for _, other := range among {
		if d := distance(name, other); 2*d <= max(len(name), len(other)) {
			all = append(all, candidate{other, d})
		}
	}
	slices.SortFunc(all, func(a, b candidate) int {
		if a.distance != b.distance {
			return a.distance - b.distance
		}
		return compare(a.name, b.name)
	})
	all = slices.Compact(all)
	var names []string
	for _, c := range all[:min(len(all), maxNearest)] {
		names = append(names, c.name)
	}
	return names
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
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
