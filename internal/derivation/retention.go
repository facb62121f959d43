package derivation

import (
	"cmp"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics"
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

// RetentionMeasures are the names in retention_metrics, in their order.
var RetentionMeasures = []string{"auroc", "brier", "scaled_brier", "net_benefit"}

// Retained is a point of a retention curve: the measures of the subjects that
// the refits agree most on. NaN is undefined.
type Retained struct {
	Rate   float64 // the share really kept
	Values []float64
}

// Retention measures ever more of the subjects, from those with the
// smallest standard deviation over refits. Rates that keep the same subjects
// are one point. A measure that needs both classes is undefined where one is
// missing; all are where subjects of equal deviation are torn apart, because
// then it is chance who is kept.
func Retention(all []Prediction) ([]Retained, error) {
	ordered := slices.Clone(all)
	deviation := func(p Prediction) float64 {
		if p.SD == nil {
			return 0 // equal for all: nothing tells them apart
		}
		return *p.SD
	}
	// Risks and outcomes after the deviation: the last bits of the sums do not
	// depend on the codes.
	slices.SortFunc(ordered, func(x, y Prediction) int {
		return cmp.Or(cmp.Compare(deviation(x), deviation(y)), cmp.Compare(x.Risk, y.Risk), cmp.Compare(x.Outcome, y.Outcome))
	})
	n := len(ordered)
	var outcomes []int
	var risks []float64
	for _, p := range ordered {
		outcomes, risks = append(outcomes, p.Outcome), append(risks, p.Risk)
	}
	var curve []Retained
	last := 0
	for i := 1; i <= retentionSteps; i++ {
		k := min(n, max(retainedAtLeast, n*i/retentionSteps))
		if k == last {
			continue
		}
		last = k
		point := Retained{Rate: float64(k) / float64(n), Values: []float64{math.NaN(), math.NaN(), math.NaN(), math.NaN()}}
		if k == n || deviation(ordered[k])-deviation(ordered[k-1]) > sameDeviation {
			sample, err := metrics.NewSample(outcomes[:k], risks[:k])
			if err != nil {
				return nil, err
			}
			for j, r := range []metrics.Result{
				metrics.AUROC(sample), metrics.Brier(sample), metrics.ScaledBrier(sample), metrics.NetBenefit(sample, retentionThreshold),
			} {
				point.Values[j] = r.Number()
			}
		}
		curve = append(curve, point)
	}
	return curve, nil
}
