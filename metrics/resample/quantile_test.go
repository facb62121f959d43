package resample

import (
	"math"
	"testing"
)

func TestQuantile(t *testing.T) {
	inf := math.Inf(1)
	for _, test := range []struct {
		sorted  []float64
		p, want float64
	}{
		{[]float64{1, 2, 3, 4}, 0, 1},
		{[]float64{1, 2, 3, 4}, 1, 4},
		{[]float64{1, 2, 3, 4}, 0.5, 2.5},
		{[]float64{1, 2, 3, 4}, 0.25, 1.75},
		{[]float64{10, 20}, 0.975, 19.75},
		{[]float64{7}, 0.3, 7},
		{[]float64{1, 2, inf}, 0.5, 2},
		{[]float64{1, 2, inf}, 0.75, inf},
		{[]float64{1, inf, inf}, 0.75, inf},
		{[]float64{-inf, -inf, 1}, 0.25, -inf},
		{nil, 0.5, math.NaN()},
		{[]float64{1, 2}, -0.1, math.NaN()},
		{[]float64{1, 2}, 1.1, math.NaN()},
		{[]float64{1, 2}, math.NaN(), math.NaN()},
	} {
		got := Quantile(test.sorted, test.p)
		if got != test.want && !(math.IsNaN(got) && math.IsNaN(test.want)) {
			t.Errorf("Quantile(%v, %v) = %v, want %v", test.sorted, test.p, got, test.want)
		}
	}
}
