package extract

import "slices"

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
	controls := make([]float64, len(of[0]))
	for _, refit := range risks {
		for c, j := range of[0] {
			controls[c] = refit[j]
		}
		for e, row := range p.Pairs {
			// Without branches: a processor would guess many of them wrong.
			risk, row := refit[of[1][e]], row[:len(controls)]
			for c, other := range controls {
				var above, atLeast int
				if risk > other {
					above = 1
				}
				if risk >= other {
					atLeast = 1
				}
				row[c] += above + atLeast
			}
		}
		for i, y := range outcomes {
			d := float64(y) - refit[i]
			p.Squares[i] += d * d
		}
		for k, t := range thresholds {
			counts := p.Positive[k][:len(refit)]
			for i, risk := range refit {
				positive := 0
				if risk >= t {
					positive = 1
				}
				counts[i] += positive
			}
		}
	}
	for i := range p.Squares {
		p.Squares[i] /= float64(len(risks))
	}
	return p
}
