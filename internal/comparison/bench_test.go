package comparison

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// The study's size: 542 configurations of 63 subjects, four thresholds, 1,000
// resamples; risks of few refits, whose number costs nothing here.
func BenchmarkStudy(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	var all []Configuration
	order := make([]int, 63)
	for i := range order {
		order[i] = i
	}
	saved := options
	options.Thresholds, options.Replicates = []float64{0.05, 0.1, 0.15, 0.2}, 1000
	defer func() { options = saved }()
	for k := range 542 {
		methods := [4]string{fmt.Sprint("c", k%5), "x", fmt.Sprint("o", k/5%11), fmt.Sprint("i", k/55)}
		if k/5%11 == 0 && k/55 == 0 {
			methods[2], methods[3] = "gt", "gt"
		}
		all = append(all, made(random, k+1, methods, 0.5, func(i int) string { return fmt.Sprint("s", i) }, order))
	}
	for b.Loop() {
		if _, err := Compare(all, options); err != nil {
			b.Fatal(err)
		}
	}
}
