package main

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/compare"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// configurations is how many equally good ones the best is selected among.
const configurations = 57

// best simulates studies whose configurations are all equally good, and counts how
// often the interval of the corrected best holds what they are.
func best(studies, replicates int, seed uint64) error {
	fmt.Println("| true AUROC | shared variance | apparent | corrected | covered | below | above | mean width | undefined |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, auroc := range []float64{0.8, 0.9} {
		shift := 2 * math.Erfinv(2*auroc-1)
		for _, shared := range []float64{0, 0.5, 0.8, 0.95} {
			c := count{truth: auroc}
			var apparent, corrected float64
			for i := range studies {
				samples, err := equals(seed, uint64(i), shift, shared)
				if err != nil {
					return err
				}
				p, err := compare.Resample(samples, metrics.StatisticAUROC, replicates, seed+uint64(i), metrics.Stratified)
				if err != nil {
					return err
				}
				b, err := p.Best(false)
				if err != nil {
					return err
				}
				c.add(p.CorrectedInterval(b, metrics.Level))
				apparent += b.Apparent / float64(studies)
				corrected += b.Corrected / float64(studies)
			}
			n := float64(c.defined)
			fmt.Printf("| %.1f | %.0f %% | %.3f | %.3f | %.1f %% | %.1f %% | %.1f %% | %.3f | %d |\n", auroc, 100*shared, apparent, corrected,
				100*(n-float64(c.low+c.high))/n, 100*float64(c.low)/n, 100*float64(c.high)/n, c.width/n, studies-c.defined)
		}
	}
	return nil
}

// equals draws the configurations of one study: normal logits, a part of whose
// variance is each subject's own in all of them.
func equals(seed, study uint64, shift, shared float64) ([]*metrics.Sample, error) {
	stream := resample.NewStream(seed, study)
	// A normal number from two uniform ones (Box and Muller).
	normal := func() float64 {
		return math.Sqrt(-2*math.Log(1-stream.Float64())) * math.Cos(2*math.Pi*stream.Float64())
	}
	outcomes, own := make([]int, subjects), make([]float64, subjects)
	for i := range outcomes {
		if i < events {
			outcomes[i] = 1
		}
		own[i] = math.Sqrt(shared)*normal() + shift*float64(outcomes[i])
	}
	var all []*metrics.Sample
	for range configurations {
		risks := make([]float64, subjects)
		for i := range risks {
			risks[i] = 1 / (1 + math.Exp(-own[i]-math.Sqrt(1-shared)*normal()))
		}
		s, err := metrics.NewSample(outcomes, risks)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}
