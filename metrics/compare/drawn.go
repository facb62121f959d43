package compare

import "github.com/foundation-plr/pipeline/metrics/resample"

// Drawn are resamples of the same subjects, which are indexes into the outcomes of
// [ResampleWeighted]. It belongs to one goroutine.
type Drawn struct {
	Counts  [][]int32   // by subject and resample: how often it counts
	Weights [][]float64 // the same
	All     [2][]int64  // by outcome and resample: how often subjects with it count together
	Work    []int64     // one a resample, for the statistic to use

	of     *draws
	sums   [2][]uint64
	tables [together]table
}

// Sum returns for each resample the sum of the words of the subjects with an outcome,
// each as often as it counts; words are by subject. It stands until the next call for
// this outcome.
//
// Of a resample it knows the counts of four subjects as one byte, and what that byte
// stands for is looked up in a table that all resamples share: an addition in the place
// of four multiplications.
func (d *Drawn) Sum(outcome int, words []uint64) []uint64 {
	sums := d.sums[outcome]
	clear(sums)
	quads := d.of.quads[outcome]
	for ; len(quads) >= together; quads = quads[together:] {
		for k := range together {
			d.tables[k].set(&quads[k], words)
		}
		t0, t1, t2, t3 := &d.tables[0], &d.tables[1], &d.tables[2], &d.tables[3]
		b0, b1, b2, b3 := quads[0].counts[:len(sums)], quads[1].counts[:len(sums)], quads[2].counts[:len(sums)], quads[3].counts[:len(sums)]
		for r := range sums {
			sums[r] += t0[b0[r]] + t1[b1[r]] + t2[b2[r]] + t3[b3[r]]
		}
	}
	for k := range quads {
		d.tables[0].set(&quads[k], words)
		t, b := &d.tables[0], quads[k].counts[:len(sums)]
		for r := range sums {
			sums[r] += t[b[r]]
		}
	}
	for _, m := range d.of.beyond[outcome] {
		sums[m.resample] += uint64(m.count) * words[m.subject]
	}
	return sums
}

const (
	// perByte is how many counts a byte holds, countBits those of each, and mostInByte
	// the largest: one subject in fifty is drawn more often.
	perByte, countBits = 4, 2
	mostInByte         = 1<<countBits - 1
	// together is how many bytes of a resample are looked up before the sum is put back.
	together = 4
)

// table holds the weighted sum of four words for each byte of counts.
type table [1 << (perByte * countBits)]uint64

func (t *table) set(q *quad, words []uint64) {
	t[0] = 0
	n := 1
	for _, subject := range q.members {
		for i := n; i < n<<countBits; i++ {
			t[i] = t[i-n] + words[subject]
		}
		n <<= countBits
	}
}

// quad are up to four subjects with their counts, a byte for each resample.
type quad struct {
	members []int32
	counts  []uint8
}

// more is what a subject counts in a resample beyond what its byte says.
type more struct{ resample, subject, count int32 }

// draws are resamples as they are drawn.
type draws struct {
	most, n int // resamples that there is room for, and that there are
	strata  [2][]int32
	counts  [][]int32
	weights [][]float64
	all     [2][]int64
	quads   [2][]quad
	beyond  [2][]more
}

// drawnBytes bounds the memory of the resamples that are drawn at once.
var drawnBytes = 8 << 20

// newDraws makes room for resamples of subjects, at most so many.
func newDraws(strata [2][]int32, subjects, most int) *draws {
	const each = 4 + 8 + 1 // of a subject in a resample: count, weight, share of a byte
	d := &draws{strata: strata, most: min(most, max(resampleBlock, drawnBytes/(each*subjects)))}
	for range subjects {
		d.counts, d.weights = append(d.counts, make([]int32, d.most)), append(d.weights, make([]float64, d.most))
	}
	for outcome, members := range strata {
		d.all[outcome] = make([]int64, d.most)
		for from := 0; from < len(members); from += perByte {
			d.quads[outcome] = append(d.quads[outcome], quad{members[from:min(from+perByte, len(members))], make([]uint8, d.most)})
		}
	}
	return d
}

// draw takes n resamples, of each what count says of the subjects.
func (d *draws) draw(n int, count func(k int, counts []int32)) {
	d.n = n
	resample.Each(n, func() []int32 { return make([]int32, len(d.counts)) }, func(counts []int32, k int) {
		count(k, counts)
		for i, count := range counts {
			d.counts[i][k] = count
		}
	})
	for outcome, quads := range d.quads {
		d.beyond[outcome] = d.beyond[outcome][:0]
		all := d.all[outcome][:d.n]
		clear(all)
		for _, q := range quads {
			into := q.counts[:d.n]
			clear(into)
			for place, subject := range q.members {
				weights := d.weights[subject][:d.n]
				for k, count := range d.counts[subject][:d.n] {
					weights[k] = float64(count)
					all[k] += int64(count)
					if count > mostInByte {
						d.beyond[outcome] = append(d.beyond[outcome], more{int32(k), subject, count - mostInByte})
						count = mostInByte
					}
					into[k] |= uint8(count) << (place * countBits)
				}
			}
		}
	}
}

// reader is a Drawn for another goroutine.
func (d *draws) reader() *Drawn {
	r := &Drawn{of: d, Work: make([]int64, d.n)}
	for i := range d.counts {
		r.Counts, r.Weights = append(r.Counts, d.counts[i][:d.n]), append(r.Weights, d.weights[i][:d.n])
	}
	for outcome := range r.All {
		r.All[outcome], r.sums[outcome] = d.all[outcome][:d.n], make([]uint64, d.n)
	}
	return r
}
