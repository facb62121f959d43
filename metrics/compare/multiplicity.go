package compare

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// Adjustment is how p-values are adjusted for their number.
type Adjustment string

// Adjustments. Bonferroni, Holm, Hochberg and Hommel control the chance of any
// false rejection (the last two under independence or positive dependence), BH and
// BY the expected share of false rejections (BY under any dependence).
const (
	Bonferroni Adjustment = "bonferroni"
	Holm       Adjustment = "holm"
	Hochberg   Adjustment = "hochberg"
	Hommel     Adjustment = "hommel"
	BH         Adjustment = "bh"
	BY         Adjustment = "by"
)

// Adjust returns the adjusted p-values in the order of p, as R's p.adjust gives
// them. Numbers outside [0, 1] are an error that names them.
//
// Benjamini and Hochberg, Journal of the Royal Statistical Society B 1995; 57:
// 289-300. Hommel, Biometrika 1988; 75: 383-386.
func Adjust(p []float64, how Adjustment) ([]float64, error) {
	m := len(p)
	order := make([]int, m)
	for i, v := range p {
		if !(v >= 0 && v <= 1) {
			return nil, fmt.Errorf("p-value %d: %v is not in [0, 1]", i+1, v)
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[a], p[b]) })
	sorted := make([]float64, m)
	for i, at := range order {
		sorted[i] = p[at]
	}
	adjusted := make([]float64, m)
	harmonic := 1.0
	if how == BY {
		harmonic = 0
		for i := range m {
			harmonic += 1 / float64(i+1)
		}
	}
	switch how {
	case Bonferroni:
		for i, v := range sorted {
			adjusted[i] = min(1, float64(m)*v)
		}
	case Holm: // step down
		var most float64
		for i, v := range sorted {
			most = max(most, min(1, float64(m-i)*v))
			adjusted[i] = most
		}
	case Hochberg, BH, BY: // step up
		least := 1.0
		for i := m - 1; i >= 0; i-- {
			factor := float64(m - i)
			if how != Hochberg {
				factor = harmonic * float64(m) / float64(i+1)
			}
			least = min(least, factor*sorted[i])
			adjusted[i] = least
		}
	case Hommel:
		adjusted = hommel(sorted)
	default:
		return nil, fmt.Errorf("adjustment %q is none of bonferroni, holm, hochberg, hommel, bh and by", how)
	}
	out := make([]float64, m)
	for i, at := range order {
		out[at] = adjusted[i]
	}
	return out, nil
}

func hommel(p []float64) []float64 {
	n := len(p)
	if n == 0 {
		return nil
	}
	least := math.Inf(1)
	for i, v := range p {
		least = min(least, float64(n)*v/float64(i+1))
	}
	q, best := make([]float64, n), make([]float64, n)
	for i := range q {
		q[i], best[i] = least, least
	}
	for m := n - 1; m >= 2; m-- {
		split := n - m + 1 // the m-1 largest begin here
		least := math.Inf(1)
		for i := split; i < n; i++ {
			least = min(least, float64(m)*p[i]/float64(i-split+2))
		}
		for i := range split {
			q[i] = min(float64(m)*p[i], least)
		}
		for i := split; i < n; i++ {
			q[i] = q[split-1]
		}
		for i := range best {
			best[i] = max(best[i], q[i])
		}
	}
	for i := range best {
		best[i] = max(best[i], p[i])
	}
	return best
}
