// Command coverage simulates how often the default intervals of package metrics hold
// the true value, for samples as small as the study's: 63 subjects, 17 of them
// events. It prints a Markdown table, which docs/measures.md holds.
//
//	go run ./bench/coverage [-samples 2000] [-replicates 1000] [-seed 1] [-best]
//
// With -best it simulates whole studies, of configurations that are all equally good,
// and the interval of the corrected best.
//
// Logits of the risks are normal with variance 1, a shift apart between controls and
// events: then the true values are integrals, and the slope and the intercept of the
// true risks are those of the normal model. Samples of a design have fixed numbers of
// events and controls, as the stratified bootstrap takes them.
package main

import (
	"flag"
	"fmt"
	"math"
	"os"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

const (
	subjects = 63
	events   = 17
)

// large is the size of the sample that stands for the population: its AUROC has a
// standard error of 0.0003.
const large = 1_000_000

func main() {
	samples := flag.Int("samples", 2000, "number of simulated samples")
	replicates := flag.Int("replicates", 1000, "resamples of each bootstrap interval")
	seed := flag.Uint64("seed", 1, "seed of the simulation")
	ofBest := flag.Bool("best", false, "simulate the best of many")
	flag.Parse()
	if *samples < 1 || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	simulate := run
	if *ofBest {
		simulate = best
	}
	if err := simulate(*samples, *replicates, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(samples, replicates int, seed uint64) error {
	fmt.Println("| true AUROC | measure | interval | true value | covered | below | above | mean width | undefined |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	for _, auroc := range []float64{0.7, 0.8, 0.9} {
		// AUROC = Φ(shift/√2).
		shift := 2 * math.Erfinv(2*auroc-1)
		population, right, err := draw(seed, math.MaxUint64, large, large*events/subjects, shift)
		if err != nil {
			return err
		}
		truth, err := table(population, 0, seed)
		if err != nil {
			return err
		}
		var counts []count
		ofCurve := curveErrors(population, right)
		for _, row := range truth {
			v := row.Value
			if known, is := ofCurve[row.Measure]; is {
				v = known // a loess of so many rows is not made, and would have errors of its own
			}
			counts = append(counts, count{truth: v})
		}
		for i := range samples {
			s, _, err := draw(seed, uint64(i), subjects, events, shift)
			if err != nil {
				return err
			}
			rows, err := table(s, replicates, seed+uint64(i))
			if err != nil {
				return err
			}
			for k, row := range rows {
				counts[k].add(row.Interval)
			}
		}
		for k, row := range truth {
			if c := counts[k]; c.defined > 0 {
				n := float64(c.defined)
				fmt.Printf("| %.1f | %s | %s | %.3f | %.1f %% | %.1f %% | %.1f %% | %.3f | %d |\n", auroc, row.Measure, c.method, c.truth,
					100*(n-float64(c.low+c.high))/n, 100*float64(c.low)/n, 100*float64(c.high)/n, c.width/n, samples-c.defined)
			}
		}
	}
	return nil
}

// kept are the measures of the table that have a default interval and a true value.
var kept = map[string]bool{
	"auroc": true, "average_precision": true, "oe_ratio": true, "cal_intercept_offset": true, "cal_slope": true,
	"brier": true, "scaled_brier": true, "logloss_mean": true, "r2_nagelkerke": true, "discrimination_slope": true,
	"class@0.2/sensitivity": true, "class@0.2/specificity": true, "class@0.2/ppv": true, "class@0.2/npv": true, "nb@0.2": true,
	"loess_direct_ici": true, "loess_direct_eci_stratos": true, "ece_quantile_g10": true,
}

// curveErrors are the errors of a population about its right risks, by their keys.
func curveErrors(s *metrics.Sample, right []float64) map[string]float64 {
	var sum, squares, null float64
	n := float64(s.N())
	prevalence := float64(s.Events()) / n
	for i, p := range s.Risks() {
		gap := right[i] - p
		sum += math.Abs(gap)
		squares += gap * gap
		null += (prevalence - p) * (prevalence - p)
	}
	return map[string]float64{"loess_direct_ici": sum / n, "loess_direct_eci_stratos": squares / null}
}

func table(s *metrics.Sample, replicates int, seed uint64) ([]metrics.Row, error) {
	rows, err := metrics.Table(s, metrics.Options{Thresholds: []float64{0.2}, Replicates: replicates, Seed: seed})
	if err != nil {
		return nil, err
	}
	var of []metrics.Row
	for _, row := range rows {
		if kept[row.Measure] {
			of = append(of, row)
		}
	}
	return of, nil
}

// count is what became of the intervals of one measure.
type count struct {
	truth              float64
	method             string
	defined, low, high int // low: the interval lies below the truth
	width              float64
}

func (c *count) add(i metrics.Interval) {
	if !i.Defined() {
		return
	}
	c.method = i.Method
	c.defined++
	c.width += i.Upper - i.Lower
	switch {
	case i.Upper < c.truth:
		c.low++
	case i.Lower > c.truth:
		c.high++
	}
}

// draw makes a sample of n subjects with the given number of events. The risk is the
// true one of the normal model but for its logit, which is stretched by a fifth and
// lowered by 0.2, so that the calibration to be found is not perfect. Right are the
// risks as they should be.
func draw(seed, replicate uint64, n, events int, shift float64) (_ *metrics.Sample, right []float64, err error) {
	stream := resample.NewStream(seed, replicate)
	outcomes, risks := make([]int, n), make([]float64, n)
	prior := math.Log(float64(events) / float64(n-events))
	for i := range n {
		x := math.Sqrt(-2*math.Log(1-stream.Float64())) * math.Cos(2*math.Pi*stream.Float64())
		if i < events {
			outcomes[i] = 1
			x += shift
		}
		// The odds of an event at x are the prior odds times exp(shift x - shift²/2).
		logit := prior + shift*x - shift*shift/2
		risks[i] = 1 / (1 + math.Exp(-1.2*logit+0.2))
		right = append(right, 1/(1+math.Exp(-logit)))
	}
	s, err := metrics.NewSample(outcomes, risks)
	return s, right, err
}
