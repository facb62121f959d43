// Package derivation computes what the public database holds of the coded risks of a
// configuration beyond the measures of its pickle: the retention curve, the smoothed
// calibration curve and the distribution of the classes. It is done when rows are made
// and again when a database is validated, in the same way.
//
// It knows neither rows nor files, and takes subjects by whatever codes they have.
package derivation

import (
	"cmp"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Prediction is what is known of one test subject: the mean risk over refits,
// and the standard deviation, nil where there are no two refits.
type Prediction struct {
	Code      string
	Outcome   int
	Risk      float64
	Quantiles []float64 // as extract.RiskQuantiles
	SD        *float64
	Place     int // in the record
}

// Distribution summarises the risks of one class: NaN where it has nobody.
type Distribution struct {
	Median, Mean float64
	N            int
}

// Sample is the outcomes and risks of subjects, in an order that does not depend on
// their codes: so do the last bits of sums.
func Sample(all []Prediction) (*metrics.Sample, error) {
	ordered := slices.SortedFunc(slices.Values(all), func(x, y Prediction) int {
		return cmp.Or(cmp.Compare(x.Outcome, y.Outcome), cmp.Compare(x.Risk, y.Risk))
	})
	var outcomes []int
	var risks []float64
	for _, p := range ordered {
		outcomes, risks = append(outcomes, p.Outcome), append(risks, p.Risk)
	}
	return metrics.NewSample(outcomes, risks)
}

// DistributionOf summarises the risks of the subjects with an outcome.
func DistributionOf(all []Prediction, outcome int) Distribution {
	var risks []float64
	for _, p := range all {
		if p.Outcome == outcome {
			risks = append(risks, p.Risk)
		}
	}
	// Sorted: the last bits of the mean do not depend on the codes.
	slices.Sort(risks)
	return Distribution{resample.Quantile(risks, 0.5), stat.Mean(risks, nil), len(risks)}
}

// ComparisonOptions are how configurations are compared: by the resamples that intervals
// of single ones come from. The margin is the least difference of the AUROC that matters.
func ComparisonOptions(thresholds []float64, margin float64) comparison.Options {
	return comparison.Options{Thresholds: thresholds, Margin: margin, Replicates: extract.Replicates, Seed: extract.ResampleSeed, MaxPairs: extract.MaxPairs}
}
