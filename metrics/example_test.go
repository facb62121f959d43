package metrics_test

import (
	"fmt"
	"log"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Ten subjects with their predicted risks.
var (
	outcomes = []int{0, 0, 0, 0, 0, 0, 1, 0, 1, 1}
	risks    = []float64{0.05, 0.1, 0.12, 0.2, 0.25, 0.4, 0.45, 0.6, 0.7, 0.9}
)

func sample() *metrics.Sample {
	s, err := metrics.NewSample(outcomes, risks)
	if err != nil {
		log.Fatal(err)
	}
	return s
}

func ExampleAUROC() {
	a := metrics.AUROC(sample())
	fmt.Printf("%.3f (%.3f to %.3f, %s)\n", a.Value, a.Interval.Lower, a.Interval.Upper, a.Interval.Method)
	// Output: 0.952 (0.521 to 0.997, delong_logit)
}

// An undefined measure says why.
func ExampleResult() {
	s, err := metrics.NewSample([]int{0, 0, 1, 1}, []float64{0.1, 0.2, 0.8, 0.9})
	if err != nil {
		log.Fatal(err)
	}
	slope := metrics.CalibrationSlope(s)
	fmt.Println(slope.Defined(), slope.Undefined)
	fmt.Println(metrics.AUROC(s).Interval.Undefined)
	// Output:
	// false separated
	// zero_variance
}

func ExampleNewSample() {
	_, err := metrics.NewSample([]int{0, 1}, []float64{0.2, 1.2})
	fmt.Println(err)
	// Output: invalid input: row 2: risk 1.2 is not in [0, 1]
}

func ExampleClassify() {
	c := metrics.Classify(sample(), 0.3)
	fmt.Printf("TP %d, FP %d, TN %d, FN %d\n", c.TP, c.FP, c.TN, c.FN)
	s := c.Specificity()
	fmt.Printf("specificity %.3f (%.3f to %.3f)\n", s.Value, s.Interval.Lower, s.Interval.Upper)
	fmt.Printf("PPV %.3f, at a prevalence of 5 %% %.3f\n", c.PPV().Value, c.AtPrevalence(0.05).PPV.Value)
	// Output:
	// TP 3, FP 2, TN 5, FN 0
	// specificity 0.714 (0.359 to 0.918)
	// PPV 0.600, at a prevalence of 5 % 0.156
}

func ExampleTable() {
	rows, err := metrics.Table(sample(), metrics.Options{Thresholds: []float64{0.2}})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range rows {
		if r.Tier == metrics.Recommended {
			fmt.Printf("%-12s %.3f\n", r.Measure, r.Value)
		}
	}
	// Output:
	// auroc        0.952
	// nb@0.2       0.200
	// nb_all@0.2   0.125
	// snb@0.2      0.667
}

func ExampleBootstrap() {
	b, err := metrics.NewBootstrap(sample(), metrics.StatisticBrier, metrics.StatisticNetBenefit(0.2))
	if err != nil {
		log.Fatal(err)
	}
	replicates := b.Draw(1000, resample.Seed(1, "example"), metrics.Stratified)
	i := replicates.Interval(0, nil, resample.Options{Method: resample.Percentile, Level: 0.95})
	fmt.Printf("Brier %.3f (%.2f to %.2f)\n", b.Estimate(0).Value, i.Lower, i.Upper)
	// Output: Brier 0.105 (0.04 to 0.18)
}

func ExampleCompareAUROCs() {
	other, err := metrics.NewSample(outcomes, []float64{0.2, 0.1, 0.3, 0.2, 0.6, 0.5, 0.4, 0.5, 0.3, 0.8})
	if err != nil {
		log.Fatal(err)
	}
	test, err := metrics.CompareAUROCs(sample(), other)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("difference %.3f, p = %.2f\n", test.Difference, test.P)
	// Output: difference 0.262, p = 0.16
}
