package checkpoint

import (
	"cmp"
	"math"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// The grid of the reference's retention curves: rates of 5 % to 100 % by 5 %,
// at least ten subjects, net benefit at 15 %.
const (
	retentionSteps     = 20
	retainedAtLeast    = 10
	retentionThreshold = 0.15
)

// sameDeviation is by how much the deviations of two subjects may differ that are the
// same on paper: those of risks of 0 and 1 with the means p and 1-p do so by rounding.
const sameDeviation = 1e-12

// retentionMeasures are the names in retention_metrics, in their order.
var retentionMeasures = []string{"auroc", "brier", "scaled_brier", "net_benefit"}

// prediction is what is known of one test subject: the mean risk over refits,
// and the standard deviation, nil where there are no two refits.
type prediction struct {
	code      string
	outcome   int
	risk      float64
	quantiles []float64 // as extract.RiskQuantiles
	sd        *float64
	place     int // in the record
}

// retained is a point of a retention curve: the measures of the subjects that
// the refits agree most on. NaN is undefined.
type retained struct {
	rate   float64 // the share really kept
	values []float64
}

// retentionCurve measures ever more of the subjects, from those with the
// smallest standard deviation over refits. Rates that keep the same subjects
// are one point. A measure that needs both classes is undefined where one is
// missing; all are where subjects of equal deviation are torn apart, because
// then it is chance who is kept.
func retentionCurve(all []prediction) ([]retained, error) {
	ordered := slices.Clone(all)
	deviation := func(p prediction) float64 {
		if p.sd == nil {
			return 0 // equal for all: nothing tells them apart
		}
		return *p.sd
	}
	// Risks and outcomes after the deviation: the last bits of the sums do not
	// depend on the codes.
	slices.SortFunc(ordered, func(x, y prediction) int {
		return cmp.Or(cmp.Compare(deviation(x), deviation(y)), cmp.Compare(x.risk, y.risk), cmp.Compare(x.outcome, y.outcome))
	})
	n := len(ordered)
	var outcomes []int
	var risks []float64
	for _, p := range ordered {
		outcomes, risks = append(outcomes, p.outcome), append(risks, p.risk)
	}
	var curve []retained
	last := 0
	for i := 1; i <= retentionSteps; i++ {
		k := min(n, max(retainedAtLeast, n*i/retentionSteps))
		if k == last {
			continue
		}
		last = k
		point := retained{rate: float64(k) / float64(n), values: []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}}
		if k == n || deviation(ordered[k])-deviation(ordered[k-1]) > sameDeviation {
			sample, err := metrics.NewSample(outcomes[:k], risks[:k])
			if err != nil {
				return nil, err
			}
			for j, r := range []metrics.Result{
				metrics.AUROC(sample), metrics.Brier(sample), metrics.ScaledBrier(sample), metrics.NetBenefit(sample, retentionThreshold),
			} {
				point.values[j] = r.Number()
			}
		}
		curve = append(curve, point)
	}
	return curve, nil
}

// distribution summarises the risks of one class: NaN where it has nobody.
type distribution struct {
	median, mean float64
	n            int
}

func distributionOf(all []prediction, outcome int) distribution {
	var risks []float64
	for _, p := range all {
		if p.outcome == outcome {
			risks = append(risks, p.risk)
		}
	}
	// Sorted: the last bits of the mean do not depend on the codes.
	slices.Sort(risks)
	return distribution{resample.Quantile(risks, 0.5), stat.Mean(risks, nil), len(risks)}
}

// defined is a cell: NULL for NaN.
func defined(x float64) any {
	if math.IsNaN(x) {
		return nil
	}
	return x
}
