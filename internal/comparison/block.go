package comparison

import (
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
)

// block is a set of methods of one factor and of cells (what else a configuration is
// made of) in which every method has every cell: only then do means compare.
type block struct {
	factor  string
	cells   int
	methods []string
	members []int // configurations, by place
}

// newBlock finds it: methods are left out one after the other, each time the one
// without which most cells are common (of equals the last by name), and of all sets on
// the way that with most configurations counts (of equals the one with more methods).
// Fewer than two methods compare nothing.
func newBlock(all []Configuration, factor string) block {
	cellOf := make([]string, len(all))
	in := map[string]map[string]bool{} // methods by cell
	var methods []string
	for i, c := range all {
		var others []string
		for _, f := range config.Factors() {
			if f != factor {
				others = append(others, c.Methods[f])
			}
		}
		cellOf[i] = strings.Join(others, "\x00")
		if in[cellOf[i]] == nil {
			in[cellOf[i]] = map[string]bool{}
		}
		in[cellOf[i]][c.Methods[factor]] = true
		methods = append(methods, c.Methods[factor])
	}
	slices.Sort(methods)
	methods = slices.Compact(methods)
	hasAll := func(cell string, methods []string) bool {
		return !slices.ContainsFunc(methods, func(m string) bool { return !in[cell][m] })
	}
	common := func(methods []string) (n int) {
		for cell := range in {
			if hasAll(cell, methods) {
				n++
			}
		}
		return n
	}
	best := block{factor: factor}
	for len(methods) >= 2 {
		if n := common(methods); n*len(methods) > best.cells*len(best.methods) {
			best.cells, best.methods = n, slices.Clone(methods)
		}
		leave, most := 0, -1
		for k := range methods {
			if n := common(slices.Delete(slices.Clone(methods), k, k+1)); n >= most {
				leave, most = k, n
			}
		}
		methods = slices.Delete(methods, leave, leave+1)
	}
	for i, c := range all {
		if slices.Contains(best.methods, c.Methods[factor]) && hasAll(cellOf[i], best.methods) {
			best.members = append(best.members, i)
		}
	}
	return best
}
