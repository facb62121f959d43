package extract

import (
	"cmp"
	"slices"
)

// MaxPairs is the number of pairs of an event and a control up to which they are
// counted one by one: what a comparison of configurations keeps and does for each
// resample grows with it. The study has 782.
const MaxPairs = 50_000

// Paired is what a comparison with other configurations on the same subjects
// needs of the refits: by subject or pair of subjects, so that a resample of
// subjects is a weighted sum. Its counts are whole numbers, which have no last
// bits to lose.
type Paired struct {
	// Ranks are the places of the subjects, like Record.Subjects, by outcome, mean
	// risk and risks; subjects that are equal in all of them share one.
	Ranks []int `json:"ranks"`
	// Pairs counts for each event (first index) and control (second), both in the
	// order of Record.Subjects, the refits in which the event's risk is the higher,
	// twice, and those in which both are equal, once: over 2 × refits this is the
	// kernel of the AUROC, averaged over refits. It is empty beyond MaxPairs.
	Pairs [][]int `json:"pairs"`
	// Squares are the means over refits of (outcome - risk)², like Record.Subjects.
	Squares []float64 `json:"squares"`
	// Positive counts for each threshold the refits in which a subject's risk is at
	// or above it.
	Thresholds []float64 `json:"thresholds"`
	Positive   [][]int   `json:"positive"`
}

func newPaired(outcomes []int, risks [][]float64, thresholds []float64, ranks []int) Paired {
	p := Paired{Ranks: ranks, Squares: make([]float64, len(outcomes)), Thresholds: slices.Clone(thresholds)}
	var of [2][]int
	for i, y := range outcomes {
		of[y] = append(of[y], i)
	}
	if len(of[0])*len(of[1]) <= MaxPairs {
		for range of[1] {
			p.Pairs = append(p.Pairs, make([]int, len(of[0])))
		}
	}
	for range thresholds {
		p.Positive = append(p.Positive, make([]int, len(outcomes)))
	}
	for _, refit := range risks {
		for e, row := range p.Pairs {
			for c, j := range of[0] {
				row[c] += 1 + cmp.Compare(refit[of[1][e]], refit[j])
			}
		}
		for i, y := range outcomes {
			d := float64(y) - refit[i]
			p.Squares[i] += d * d
		}
		for k, t := range thresholds {
			for i := range outcomes {
				if refit[i] >= t {
					p.Positive[k][i]++
				}
			}
		}
	}
	for i := range p.Squares {
		p.Squares[i] /= float64(len(risks))
	}
	return p
}
