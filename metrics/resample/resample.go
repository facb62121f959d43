// Package resample draws bootstrap resamples and makes intervals of what was
// measured in them. It knows nothing of what is measured.
//
// # Draws
//
// A replicate is the number of times that each row was drawn: statistics that
// can be weighted need neither a copy of the rows nor a sort. The generator is
// counter-based (Philox 4x32-10): replicate r of a seed is the same whether
// replicates run in order, in parallel or one alone. [Seed] makes the seed of a
// named step from one seed of an analysis.
//
// # Intervals
//
// [Interval] makes percentile, basic, normal and BCa intervals of replicates;
// [Studentised] those of replicates with their own standard errors. Quantiles
// of replicates are of type 7 (R's and numpy's default, and what SciPy's BCa
// uses) or interpolated on the normal scale between the order statistics
// (R+1)α, as R's boot does. The two differ by less than the Monte Carlo error
// of a thousand replicates.
//
// # Cost
//
// A draw costs n random numbers (about 4 ns each). [Each] runs replicates on
// all processors, and what a replicate yields does not depend on that.
package resample

import (
	"hash/fnv"
	"math/bits"
	"runtime"
	"sync"
)

// Seed derives the seed of a named step from the seed of an analysis, so that
// steps do not share their resamples by accident and share them by name.
func Seed(seed uint64, step string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(step)) // never fails
	// Finalised like splitmix64: FNV leaves similar names with similar bits.
	v := seed ^ h.Sum64()
	v = (v ^ v>>30) * 0xBF58476D1CE4E5B9
	v = (v ^ v>>27) * 0x94D049BB133111EB
	return v ^ v>>31
}

// Stream is the sequence of random numbers of one replicate of a seed. The
// same seed and replicate give the same sequence. It is not for cryptography.
//
// Salmon et al., Parallel random numbers: as easy as 1, 2, 3. SC 2011.
type Stream struct {
	key   [2]uint32
	block uint64
	rep   uint64
	out   [4]uint32
	left  int
}

// NewStream returns the stream of a replicate.
func NewStream(seed, replicate uint64) Stream {
	return Stream{key: [2]uint32{uint32(seed), uint32(seed >> 32)}, rep: replicate}
}

// Uint32 returns the next number, uniform on all uint32.
func (s *Stream) Uint32() uint32 {
	if s.left == 0 {
		s.refill()
	}
	s.left--
	return s.out[3-s.left]
}

func (s *Stream) refill() {
	s.out = philox([4]uint32{uint32(s.block), uint32(s.block >> 32), uint32(s.rep), uint32(s.rep >> 32)}, s.key)
	s.block++
	s.left = 4
}

// Float64 returns the next number, uniform on [0, 1).
func (s *Stream) Float64() float64 {
	hi, lo := uint64(s.Uint32()), uint64(s.Uint32())
	return float64((hi<<32|lo)>>11) / (1 << 53)
}

// Intn returns the next number, uniform on [0, n), for 0 < n <= 2^32-1.
//
// Lemire, ACM Transactions on Modeling and Computer Simulation 2019; 29: 3.
func (s *Stream) Intn(n int) int {
	bound := uint32(n)
	hi, lo := bits.Mul32(s.Uint32(), bound)
	if lo < bound {
		for least := -bound % bound; lo < least; {
			hi, lo = bits.Mul32(s.Uint32(), bound)
		}
	}
	return int(hi)
}

// philox is the bijection Philox 4x32 with ten rounds.
func philox(c [4]uint32, k [2]uint32) [4]uint32 {
	for range 10 {
		h0, l0 := bits.Mul32(0xD2511F53, c[0])
		h1, l1 := bits.Mul32(0xCD9E8D57, c[2])
		c = [4]uint32{h1 ^ c[1] ^ k[0], l1, h0 ^ c[3] ^ k[1], l0}
		k[0] += 0x9E3779B9
		k[1] += 0xBB67AE85
	}
	return c
}

// Draw sets counts to how often each row is drawn in a plain resample of
// len(counts) draws with replacement.
func Draw(s *Stream, counts []int32) {
	clear(counts)
	var drawn [draws]uint32
	for left := len(counts); left > 0; left -= draws {
		part := drawn[:min(left, draws)]
		s.indexes(len(counts), part)
		for _, i := range part {
			counts[i]++
		}
	}
}

// DrawFrom adds to counts a resample of the given rows: as many draws with
// replacement as there are rows. A stratified resample is one call for each
// stratum, after clearing counts.
func DrawFrom(s *Stream, rows []int32, counts []int32) {
	var drawn [draws]uint32
	for left := len(rows); left > 0; left -= draws {
		part := drawn[:min(left, draws)]
		s.indexes(len(rows), part)
		for _, i := range part {
			counts[rows[i]]++
		}
	}
}

// draws is how many draws are made at once.
const draws = 64

// indexes sets each element to what [Stream.Intn] returns next, without a call for
// each.
func (s *Stream) indexes(n int, into []uint32) {
	bound := uint32(n)
	for len(into) > 0 {
		if s.left == 0 {
			s.refill()
		}
		out := s.out[4-s.left:]
		k := min(len(out), len(into))
		for i, v := range out[:k] {
			hi, lo := bits.Mul32(v, bound)
			if lo < bound { // it may have to be drawn again
				s.left -= i
				into[i] = uint32(s.Intn(n))
				into, k = into[i+1:], 0
				break
			}
			into[i] = hi
		}
		into = into[k:]
		s.left -= k
	}
}

// Each calls do for every replicate 0 … replicates-1, on all processors. State
// is what one goroutine reuses from replicate to replicate, made by begin.
// Where results are stored by replicate, they do not depend on the number of
// processors.
func Each[State any](replicates int, begin func() State, do func(state State, replicate int)) {
	workers := min(runtime.GOMAXPROCS(0), replicates)
	// Blocks are small enough to even out and, where there are many replicates, large
	// enough that the lock costs nothing.
	block := max(1, min(16, replicates/max(1, 8*workers)))
	var (
		wait sync.WaitGroup
		lock sync.Mutex
		next int
	)
	for range workers {
		wait.Go(func() {
			state := begin()
			for {
				lock.Lock()
				from := next
				next += block
				lock.Unlock()
				if from >= replicates {
					return
				}
				for r := from; r < min(from+block, replicates); r++ {
					do(state, r)
				}
			}
		})
	}
	wait.Wait()
}
