package resample

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// The known answers of Random123 for philox4x32-10.
func TestPhiloxKnownAnswers(t *testing.T) {
	const all = math.MaxUint32
	for _, test := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[4]uint32{all, all, all, all}, [2]uint32{all, all}, [4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := philox(test.counter, test.key); got != test.want {
			t.Errorf("philox(%x, %x) = %x, want %x", test.counter, test.key, got, test.want)
		}
	}
}

func TestStreamsAreUniformAndApart(t *testing.T) {
	const n, draws = 7, 70_000
	var counts [n]float64
	s := NewStream(1, 0)
	for range draws {
		counts[s.Intn(n)]++
	}
	var chi float64
	for _, c := range counts {
		chi += (c - draws/n) * (c - draws/n) / (draws / n)
	}
	if chi > 30 { // p of 4e-5 with 6 degrees of freedom
		t.Errorf("counts %v", counts)
	}
	first := func(seed, replicate uint64) uint32 { s := NewStream(seed, replicate); return s.Uint32() }
	if first(1, 0) == first(1, 1) || first(1, 0) == first(2, 0) || Seed(1, "a") == Seed(1, "b") || Seed(1, "a") == Seed(2, "a") {
		t.Error("streams are not apart")
	}
	u := NewStream(3, 3)
	for range 1000 {
		if v := u.Float64(); !(v >= 0 && v < 1) {
			t.Fatal(v)
		}
	}
}

func TestDraws(t *testing.T) {
	counts := make([]int32, 10)
	s := NewStream(1, 1)
	Draw(&s, counts)
	var sum int32
	for _, c := range counts {
		sum += c
	}
	if sum != 10 {
		t.Errorf("%d draws", sum)
	}
	clear(counts)
	DrawFrom(&s, []int32{2, 5, 7}, counts)
	if got := counts[2] + counts[5] + counts[7]; got != 3 || slices.Max(counts) < 1 {
		t.Errorf("stratum counts %v", counts)
	}
}

func TestEachRunsAllOnce(t *testing.T) {
	done := make([]int32, 1000)
	Each(len(done), func() int { return 0 }, func(_, r int) { done[r]++ })
	for r, n := range done {
		if n != 1 {
			t.Fatalf("replicate %d ran %d times", r, n)
		}
	}
}

func TestIntervalErrors(t *testing.T) {
	line := []float64{1, 2, 3, 4, 5}
	one := [][]float64{{1, 2, 3}}
	for _, test := range []struct {
		sorted   []float64
		estimate float64
		jack     [][]float64
		o        Options
		want     error
	}{
		{line, 3, one, Options{Method: BCa, Level: 0.95}, nil},
		{line, 0, one, Options{Method: BCa, Level: 0.95}, ErrOneSided},
		{line, 9, one, Options{Method: BCa, Level: 0.95}, ErrOneSided},
		{line, 3, [][]float64{{1, 1}}, Options{Method: BCa, Level: 0.95}, ErrNoVariation},
		{[]float64{1, 1}, 1, one, Options{Method: BCa, Level: 0.95}, ErrNoVariation},
		{[]float64{1}, 1, one, Options{Method: Percentile, Level: 0.95}, ErrNoReplicates},
	} {
		if _, _, err := Interval(test.sorted, test.estimate, test.jack, test.o); !errors.Is(err, test.want) {
			t.Errorf("%+v: error %v, want %v", test, err, test.want)
		}
	}
	for _, o := range []Options{{Method: Percentile}, {Method: "none", Level: 0.9}} {
		if _, _, err := Interval(line, 3, one, o); err == nil {
			t.Errorf("no error of %+v", o)
		}
	}
}

// Replicates whose standard errors are all alike make the basic interval.
func TestStudentisedIsBasicWithoutVariation(t *testing.T) {
	replicates, errs := []float64{1, 4, 2, 5, 3}, []float64{2, 2, 2, 2, 2}
	lower, upper, err := Studentised(replicates, errs, 3.2, 2, 0.9, Type7)
	if err != nil {
		t.Fatal(err)
	}
	wantLower, wantUpper, err := Interval([]float64{1, 2, 3, 4, 5}, 3.2, nil, Options{Method: Basic, Level: 0.9})
	if err != nil || math.Abs(lower-wantLower)+math.Abs(upper-wantUpper) > 1e-12 {
		t.Errorf("(%v, %v), want (%v, %v), %v", lower, upper, wantLower, wantUpper, err)
	}
	if _, _, err := Studentised(replicates, []float64{1, 1, 1, 1, 0}, 3, 1, 0.9, Type7); err == nil {
		t.Error("no error of a standard error of 0")
	}
}

// Draws made at once are those made one by one, also where some are rejected.
func TestDrawsAreThoseOfIntn(t *testing.T) {
	for _, n := range []int{1, 2, 3, 63, 64, 65, 200, 3 << 30} {
		one, many := NewStream(5, 7), NewStream(5, 7)
		one.Uint32() // not at the beginning of a block
		many.Uint32()
		for _, size := range []int{1, 3, 64, 129} {
			got := make([]uint32, size)
			many.indexes(n, got)
			for i, v := range got {
				if want := one.Intn(n); int(v) != want {
					t.Fatalf("draw %d of %d below %d is %d, want %d", i, size, n, v, want)
				}
			}
		}
	}
}
