//go:build unix

package metrics

import (
	"fmt"
	"math"
	"syscall"
	"testing"

	"github.com/foundation-plr/pipeline/metrics/logistic"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// simulated makes n subjects, of whom events are events, with logits of variance 1
// that are a shift apart; no two risks are equal.
func simulated(t testing.TB, n, events int, shift float64, seed uint64) *Sample {
	t.Helper()
	stream := resample.NewStream(seed, 0)
	outcomes, risks := make([]int, n), make([]float64, n)
	for i := range n {
		normal := math.Sqrt(-2*math.Log(1-stream.Float64())) * math.Cos(2*math.Pi*stream.Float64())
		if i < events {
			outcomes[i] = 1
			normal += shift
		}
		risks[i] = expit(normal - 1)
	}
	return mustSample(t, outcomes, risks)
}

// processorTime reports the processor time of a turn of b.Loop, which counts where
// other programs run too. Begin it before the loop and call it after.
func processorTime(b *testing.B) func() {
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
	}
	begin := now()
	return func() { b.ReportMetric((now()-begin)/float64(b.N), "cpu-ms/op") }
}

// fresh is s without its sort, so that a benchmark pays for it.
func fresh(s *Sample) *Sample {
	return &Sample{outcomes: s.outcomes, risks: s.risks, events: s.events}
}

// 1,000 replicates of AUROC, Brier and slope at n = 208.
func BenchmarkBootstrap208(b *testing.B) {
	s := readVectorSample(b, "plr_like_n208")
	b.ReportAllocs()
	done := processorTime(b)
	for b.Loop() {
		boot, err := NewBootstrap(fresh(s), StatisticAUROC, StatisticBrier, StatisticSlope)
		if err != nil {
			b.Fatal(err)
		}
		boot.Draw(1000, 1, Plain)
	}
	done()
}

// All measures of the overview with intervals of 1,000 replicates, and the curves
// with their bands, at n = 894.
func BenchmarkTable894(b *testing.B) {
	s := simulated(b, 894, 240, 1.5, 1)
	var thresholds []float64 // of a decision curve
	for k := range 50 {
		thresholds = append(thresholds, float64(k+1)/100)
	}
	done := processorTime(b)
	for b.Loop() {
		s := fresh(s)
		if _, err := Table(s, Options{Replicates: 1000, Seed: 1}); err != nil {
			b.Fatal(err)
		}
		if _, why := CalibrationCurve(s, LoessDirect, CurveGrid(s)); why != "" {
			b.Fatal(why)
		}
		if _, err := CalibrationBand(s, CurveGrid(s), 1000, 1); err != nil {
			b.Fatal(err)
		}
		if _, err := DecisionBand(s, thresholds, 1000, 1); err != nil {
			b.Fatal(err)
		}
	}
	done()
}

// One run of the study: 63 subjects, 1,000 refits, both estimands.
func BenchmarkRefits63(b *testing.B) {
	const refits = 1000
	risks := make([][]float64, refits)
	var outcomes []int
	for m := range risks {
		s := simulated(b, 63, 17, 1.5, uint64(m))
		outcomes, risks[m] = s.outcomes, s.risks
	}
	r, err := NewRefits(outcomes, risks)
	if err != nil {
		b.Fatal(err)
	}
	done := processorTime(b)
	for b.Loop() {
		if _, err := RefitTable(r, Options{Replicates: 1000}); err != nil {
			b.Fatal(err)
		}
	}
	done()
}

// A million rows, without ties and with the ties of big1e6.
func BenchmarkMillion(b *testing.B) {
	for _, data := range []struct {
		name string
		s    *Sample
	}{{"distinct", simulated(b, 1_000_000, 220_000, 1.5, 1)}, {"tied", million(b)}} {
		b.Run("AUROC/"+data.name, func(b *testing.B) {
			done := processorTime(b)
			for b.Loop() {
				AUROC(fresh(data.s))
			}
			done()
		})
		b.Run("slope/"+data.name, func(b *testing.B) {
			var f logistic.Fit
			done := processorTime(b)
			for b.Loop() {
				if v := slopeOf(&f, fresh(data.s)); v.undefined != "" {
					b.Fatal(v.undefined)
				}
			}
			done()
		})
	}
}

// How a bootstrap grows with the number of subjects.
func BenchmarkReplicate(b *testing.B) {
	for _, n := range []int{63, 894, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			boot, err := NewBootstrap(simulated(b, n, n/4, 1.5, 1), StatisticAUROC, StatisticAveragePrecision, StatisticBrier, StatisticLogLoss)
			if err != nil {
				b.Fatal(err)
			}
			t := boot.newTally()
			stream := resample.NewStream(1, 1)
			b.ReportAllocs()
			done := processorTime(b)
			for b.Loop() {
				t.draw(&stream, Stratified)
				t.measure()
			}
			done()
		})
	}
}
