package resample

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSort(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for name, draw := range map[string]func() float64{
		"normal": random.NormFloat64,
		"tied":   func() float64 { return math.Round(10*random.NormFloat64()) / 10 },
		"narrow": func() float64 { return 0.7 + random.Float64()/1000 },
		"wide":   func() float64 { return math.Exp(700 * (2*random.Float64() - 1)) },
		"skewed": func() float64 { return math.Exp(5 * random.NormFloat64()) },
		"odd": func() float64 {
			return []float64{math.Inf(1), math.Inf(-1), 0, math.SmallestNonzeroFloat64, -math.MaxFloat64, 1}[random.IntN(6)]
		},
	} {
		for _, n := range []int{0, 1, sortFrom - 1, sortFrom, 1000, sortTo, sortTo + 1} {
			values := make([]float64, n)
			for i := range values {
				values[i] = draw()
			}
			want := slices.Sorted(slices.Values(values))
			Sort(values)
			if !slices.Equal(values, want) {
				t.Errorf("%d %s values are not sorted", n, name)
			}
		}
	}
}

func BenchmarkSort(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	const n, sets = 1000, 200 // so many that no processor remembers which way branches went
	values, sorted := make([]float64, n*sets), make([]float64, n)
	for i := range values {
		values[i] = random.NormFloat64()
	}
	for name, sort := range map[string]func([]float64){"by size": Sort, "slices": func(v []float64) { slices.Sort(v) }} {
		b.Run(name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				copy(sorted, values[i%sets*n:][:n])
				sort(sorted)
			}
		})
	}
}
