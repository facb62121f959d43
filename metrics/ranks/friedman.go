// Package ranks compares methods by ranks: Friedman's test over blocks, Nemenyi's
// comparisons with the studentised range for any number of methods and any level,
// the groups of a critical-difference diagram, Wilcoxon's tests and Cliff's delta.
//
// Blocks must be independent. Configurations judged on the same subjects are not:
// p-values over a grid of configurations describe the grid and nothing else.
package ranks

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mathext"

	"github.com/foundation-plr/pipeline/metrics"
)

// Friedman is a rank test of k methods over N complete blocks.
type Friedman struct {
	Blocks, Methods int
	Incomplete      int       // blocks left out because a method has no value (NaN)
	MeanRanks       []float64 // 1 is best; ties share the mean rank

	// ChiSquared is without tie correction, as Demšar gives it; Corrected divides by
	// 1 - Σ(t³-t)/(N k(k²-1)), as R and SciPy do, and is undefined where all values
	// of all blocks are equal.
	ChiSquared, Corrected metrics.Test
	// ImanDavenport is F_F = (N-1)χ²/(N(k-1)-χ²) of the uncorrected χ², with k-1 and
	// (k-1)(N-1) degrees of freedom; DF is the first.
	ImanDavenport metrics.Test
	DenominatorDF float64
}

// Direction says which values are good.
type Direction bool

// Directions.
const (
	HigherIsBetter Direction = true
	LowerIsBetter  Direction = false
)

// NewFriedman ranks the methods (second index) in each block (first index).
// Blocks with a NaN are left out and counted. At least two methods and two
// complete blocks are needed.
//
// Friedman, Journal of the American Statistical Association 1937; 32: 675-701.
// Iman and Davenport, Communications in Statistics A 1980; 9: 571-595.
func NewFriedman(values [][]float64, better Direction) (*Friedman, error) {
	if len(values) == 0 {
		return nil, errors.New("no blocks")
	}
	f := &Friedman{Methods: len(values[0])}
	if f.Methods < 2 {
		return nil, fmt.Errorf("%d methods: want two or more", f.Methods)
	}
	k := f.Methods
	f.MeanRanks = make([]float64, k)
	var ties float64
	for i, block := range values {
		if len(block) != k {
			return nil, fmt.Errorf("block %d has %d values, the first has %d", i+1, len(block), k)
		}
		if slices.ContainsFunc(block, math.IsNaN) {
			f.Incomplete++
			continue
		}
		f.Blocks++
		oriented := slices.Clone(block)
		if better == HigherIsBetter {
			for j := range oriented {
				oriented[j] = -oriented[j]
			}
		}
		r, t := midranks(oriented)
		ties += t
		for j, v := range r {
			f.MeanRanks[j] += v
		}
	}
	if f.Blocks < 2 {
		return nil, fmt.Errorf("%d complete blocks of %d: want two or more", f.Blocks, len(values))
	}
	n, m := float64(f.Blocks), float64(k)
	var spread float64 // Σ (R_j - (k+1)/2)²
	for j := range f.MeanRanks {
		f.MeanRanks[j] /= n
		d := f.MeanRanks[j] - (m+1)/2
		spread += d * d
	}
	chi := 12 * n / (m * (m + 1)) * spread
	f.ChiSquared = chiSquared(chi, m-1)
	if c := 1 - ties/(n*m*(m*m-1)); c > 0 {
		f.Corrected = chiSquared(chi/c, m-1)
	} else {
		f.Corrected = metrics.Test{Undefined: metrics.ZeroVariance}
	}
	f.DenominatorDF = (m - 1) * (n - 1)
	rest := n*(m-1) - chi
	if rest < 1e-12*n*m { // all blocks rank alike
		f.ImanDavenport = metrics.Test{Statistic: math.Inf(1), DF: m - 1}
	} else {
		ff := (n - 1) * chi / rest
		f.ImanDavenport = metrics.Test{Statistic: ff, DF: m - 1,
			P: mathext.RegIncBeta(f.DenominatorDF/2, (m-1)/2, f.DenominatorDF/(f.DenominatorDF+(m-1)*ff))}
	}
	return f, nil
}

func chiSquared(x, df float64) metrics.Test {
	return metrics.Test{Statistic: x, DF: df, P: mathext.GammaIncRegComp(df/2, x/2)}
}

// midranks returns the ranks of values, 1 the least, ties at their mean, and
// Σ(t³-t) over the ties.
func midranks(values []float64) (ranks []float64, ties float64) {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(values[a], values[b]) })
	ranks = make([]float64, len(values))
	for i := 0; i < len(order); {
		j := i
		for ; j < len(order) && values[order[j]] == values[order[i]]; j++ {
		}
		for _, at := range order[i:j] {
			ranks[at] = float64(i+j+1) / 2
		}
		t := float64(j - i)
		ties += t*t*t - t
		i = j
	}
	return ranks, ties
}

// CriticalDifference returns Nemenyi's: mean ranks that differ by as much or more
// differ at level alpha.
//
// Nemenyi, Distribution-free multiple comparisons, Princeton 1963. Demšar, Journal
// of Machine Learning Research 2006; 7: 1-30.
func (f *Friedman) CriticalDifference(alpha float64) (float64, error) {
	q, err := StudentisedRangeQuantile(alpha, f.Methods)
	if err != nil {
		return 0, err
	}
	return q / math.Sqrt2 * f.rankError(), nil
}

// rankError is the standard error of a difference of mean ranks, but for sqrt 2.
func (f *Friedman) rankError() float64 {
	k := float64(f.Methods)
	return math.Sqrt(k * (k + 1) / (6 * float64(f.Blocks)))
}

// Nemenyi returns the matrix of p-values of all pairs of methods, adjusted for
// their number.
func (f *Friedman) Nemenyi() [][]float64 {
	p := make([][]float64, f.Methods)
	for i := range p {
		p[i] = make([]float64, f.Methods)
		for j := range p[i] {
			d := math.Abs(f.MeanRanks[i] - f.MeanRanks[j])
			p[i][j] = StudentisedRangeTail(math.Sqrt2*d/f.rankError(), f.Methods)
		}
	}
	return p
}

// Groups returns the groups of a critical-difference diagram: the largest sets of
// methods, two or more, whose mean ranks differ by less than cd, as indexes by
// increasing rank, best first. Groups may overlap; none is part of another.
func (f *Friedman) Groups(cd float64) [][]int {
	order := make([]int, f.Methods)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(f.MeanRanks[a], f.MeanRanks[b]) })
	var groups [][]int
	end := 0
	for i := range order {
		j := i
		for j < len(order) && f.MeanRanks[order[j]]-f.MeanRanks[order[i]] < cd {
			j++
		}
		if j-i >= 2 && j > end {
			groups = append(groups, slices.Clone(order[i:j]))
		}
		end = max(end, j)
	}
	return groups
}
