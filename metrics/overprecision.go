package metrics

import (
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// The mean average precision over refits is no mean over subjects: each refit ranks
// them by itself, so that a resample needs a pass over the subjects of every refit.
// Several resamples are counted at once, in parts of a word, which makes a thousand
// resamples of 250 refits of 63 subjects cost some 8 ms.

// precisionRefits is how many refits take part in the resamples of the average
// precision, evenly spaced among all. What is averaged over refits hardly depends on
// which: in six simulated studies of a thousand refits and 63 subjects the limits moved
// by at most a sixtieth of the interval's width, less than half of what another seed
// of the 1,000 resamples moves them. The estimate is that of all refits.
const precisionRefits = 250

// precisionStride is the distance of the refits that are resampled.
func precisionStride(refits int) int { return (refits + precisionRefits - 1) / precisionRefits }

// precisionLimit is the product of refits, subjects and replicates beyond which the
// average precision over models is not resampled: it takes some seconds.
const precisionLimit = 10_000_000_000

// ranking is how a refit ranks the subjects, highest risk first.
type ranking struct {
	rows []int32 // all
	// Of each event, by rank: its row; how many subjects, and how many events, have a
	// risk as high or higher.
	events, subjects, among []int32
}

func newRanking(s *Sample) ranking {
	n := s.N()
	numbers := make([]int32, n+3*s.events)
	r := ranking{rows: numbers[:n], events: numbers[n:][:0:s.events], subjects: numbers[n+s.events:][:0:s.events], among: numbers[n+2*s.events:][:0]}
	order, ties := s.byRisk(), s.distinct()
	end := n
	for k := len(ties) - 1; k >= 0; k-- {
		begin := end - ties[k].events - ties[k].controls
		for i := begin; i < end; i++ {
			row := order[i]
			r.rows[n-end+i-begin] = row
			if s.outcomes[row] == 1 {
				r.events = append(r.events, row)
			}
		}
		end = begin
		for len(r.among) < len(r.events) {
			r.subjects, r.among = append(r.subjects, int32(n-begin)), append(r.among, int32(len(r.events)))
		}
	}
	return r
}

// precisions computes the mean average precision over rankings of n subjects in
// resamples.
type precisions struct {
	rankings []ranking
	bits     int       // of a part of a word, which holds a number up to n
	inverse  []float64 // of numbers up to n; 0 of 0
}

func newPrecisions(rankings []ranking, n int) *precisions {
	p := &precisions{rankings: rankings, bits: 8, inverse: make([]float64, n+1)}
	for n>>p.bits > 0 {
		p.bits *= 2
	}
	for k := 1; k <= n; k++ {
		p.inverse[k] = 1 / float64(k)
	}
	return p
}

// lanes is the number of resamples that are counted at once.
func (p *precisions) lanes() int { return 64 / p.bits }

// precisionState is the memory of one goroutine.
type precisionState struct {
	counts           [][]int32 // of each lane, of each row
	words            []uint64  // the same, of each row
	subjects, events []uint64  // by rank, cumulated from 0
}

func (p *precisions) newState() *precisionState {
	n := len(p.inverse) - 1
	s := &precisionState{words: make([]uint64, n), subjects: make([]uint64, n+1), events: make([]uint64, n+1)}
	for range p.lanes() {
		s.counts = append(s.counts, make([]int32, n))
	}
	return s
}

// measure returns the mean of each lane. Every lane must have drawn an event.
func (p *precisions) measure(s *precisionState, into []float64) {
	clear(s.words)
	var drawn [8]float64 // events
	for lane, counts := range s.counts {
		for row, c := range counts {
			s.words[row] |= uint64(c) << (lane * p.bits)
		}
		for _, row := range p.rankings[0].events {
			drawn[lane] += float64(counts[row])
		}
	}
	var sums [8]float64
	mask, words := uint64(1)<<p.bits-1, s.words
	bytewise := p.bits == 8
	var byByte [256]float64
	if bytewise {
		copy(byByte[:], p.inverse)
	}
	for k := range p.rankings {
		r := &p.rankings[k]
		var sum uint64
		subjects := s.subjects[:len(r.rows)+1]
		for i, row := range r.rows {
			sum += words[row]
			subjects[i+1] = sum
		}
		sum = 0
		events := s.events[:len(r.events)+1]
		for i, row := range r.events {
			sum += words[row]
			events[i+1] = sum
		}
		if bytewise {
			addPrecisions(r, words, events, subjects, &byByte, &sums)
			continue
		}
		for i, row := range r.events {
			w, tp, rows := words[row], events[r.among[i]], subjects[r.subjects[i]]
			for lane := range p.lanes() {
				sums[lane] += float64((w&mask)*(tp&mask)) * p.inverse[rows&mask]
				w, tp, rows = w>>p.bits, tp>>p.bits, rows>>p.bits
			}
		}
	}
	for lane := range into {
		into[lane] = sums[lane] / drawn[lane] / float64(len(p.rankings))
	}
}

// addPrecisions adds the events of a refit in eight lanes: the case of up to 255
// subjects, written out so that nothing is checked or counted for each of them.
func addPrecisions(r *ranking, words, events, subjects []uint64, inverse *[256]float64, sums *[8]float64) {
	one := func(w, tp, rows uint64) float64 {
		return float64(int32(uint8(w))*int32(uint8(tp))) * inverse[uint8(rows)]
	}
	s0, s1, s2, s3, s4, s5, s6, s7 := sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6], sums[7]
	among, before := r.among[:len(r.events)], r.subjects[:len(r.events)]
	for i, row := range r.events {
		w, tp, rows := words[row], events[among[i]], subjects[before[i]]
		s0 += one(w, tp, rows)
		s1 += one(w>>8, tp>>8, rows>>8)
		s2 += one(w>>16, tp>>16, rows>>16)
		s3 += one(w>>24, tp>>24, rows>>24)
		s4 += one(w>>32, tp>>32, rows>>32)
		s5 += one(w>>40, tp>>40, rows>>40)
		s6 += one(w>>48, tp>>48, rows>>48)
		s7 += one(w>>56, tp>>56, rows>>56)
	}
	*sums = [8]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}

// whole returns the mean where every subject is drawn once.
func (p *precisions) whole() float64 {
	s := p.newState()
	for _, counts := range s.counts {
		for row := range counts {
			counts[row] = 1
		}
	}
	var mean [1]float64
	p.measure(s, mean[:])
	return mean[0]
}

// bootstrap returns the stratified resamples of a seed, which [resample.NewStream]
// numbers, and the values with one subject left out, by stratum.
func (p *precisions) bootstrap(strata [2][]int32, seed uint64, replicates int) (values []float64, left [][]float64) {
	lanes := p.lanes()
	values = make([]float64, replicates)
	resample.Each((replicates+lanes-1)/lanes, p.newState, func(s *precisionState, block int) {
		begin := block * lanes
		for lane, counts := range s.counts {
			clear(counts)
			stream := resample.NewStream(seed, uint64(begin+lane))
			resample.DrawFrom(&stream, strata[0], counts)
			resample.DrawFrom(&stream, strata[1], counts)
		}
		p.measure(s, values[begin:min(begin+lanes, replicates)])
	})
	for _, rows := range strata {
		group := make([]float64, len(rows))
		resample.Each((len(rows)+lanes-1)/lanes, p.newState, func(s *precisionState, block int) {
			begin := block * lanes
			end := min(begin+lanes, len(rows))
			for lane, counts := range s.counts {
				for row := range counts {
					counts[row] = 1
				}
				counts[rows[min(begin+lane, end-1)]] = 0
			}
			p.measure(s, group[begin:end])
		})
		left = append(left, group)
	}
	return values, left
}
