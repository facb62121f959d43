package extract

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/metrics"
)

// classified are the pickle's measures of single refits that its risks give again:
// those of the classes that a classifier predicts, which are the events with a risk
// above one half, and the area under the precision-recall curve by trapezoids. The
// other scalars depend on settings of the training code that no pickle holds.
var classified = []struct {
	pickled, check string
	of             func(s *metrics.Sample, c metrics.Confusion) metrics.Result
}{
	{"AUPR", "aupr", func(s *metrics.Sample, _ metrics.Confusion) metrics.Result { return metrics.AUPRCTrapezoid(s) }},
	{"F1", "f1", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.F1() }},
	{"sensitivity", "sensitivity", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.Sensitivity() }},
	{"specificity", "specificity", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.Specificity() }},
	{"PPV", "ppv", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.PPV() }},
	{"NPV", "npv", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.NPV() }},
	{"accuracy", "accuracy", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.Accuracy() }},
	{"accuracy_balanced", "balanced_accuracy", func(_ *metrics.Sample, c metrics.Confusion) metrics.Result { return c.BalancedAccuracy() }},
}

// aboveHalf is the least risk of a predicted event.
var aboveHalf = math.Nextafter(0.5, 1)

// checkClassification compares the pickle's summaries of these with ours of the
// risks ([refit][subject]). One that is undefined in a refit is not compared: tools
// put 0, 1 or nothing in its place.
func (r *Record) checkClassification(risks [][]float64) error {
	values, undefined := make([][]float64, len(classified)), make([]bool, len(classified))
	refits, err := metrics.NewRefits(r.Outcomes, risks)
	if err != nil {
		return fmt.Errorf("predictions: %w", err)
	}
	for k := range values {
		values[k] = make([]float64, 0, len(risks))
	}
	refits.Each(func(s *metrics.Sample) {
		c := metrics.Classify(s, aboveHalf)
		for k, m := range classified {
			v := m.of(s, c)
			undefined[k] = undefined[k] || !v.Defined()
			values[k] = append(values[k], v.Value)
		}
	})
	for k, m := range classified {
		if pickled, ok := r.Scalars[m.pickled]; ok && !undefined[k] {
			r.checkSummary(m.check, pickled, summarise(values[k], len(risks)))
		}
	}
	return nil
}
