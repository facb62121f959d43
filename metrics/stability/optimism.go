package stability

import (
	"fmt"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Refit are the scores of a model fitted to one bootstrap resample of all n
// training subjects, by n draws: on that resample, on the original subjects, and
// on the subjects that it did not draw (NaN where that score has no value). A
// resample of fewer draws does not qualify: its optimism is that of a smaller
// model.
type Refit struct {
	InBag, Original, OutOfBag float64
}

// Corrected are estimates of the performance in new subjects of the same
// population.
type Corrected struct {
	Apparent float64
	Optimism float64 // mean of InBag - Original
	// OptimismCorrected is Apparent - Optimism.
	OptimismCorrected float64
	// OutOfBag is the mean of the OutOfBag scores, pessimistic: its models know
	// 63.2 % of the subjects. Point632 is .368 Apparent + .632 OutOfBag, and
	// Point632Plus weighs by the rate of overfitting.
	OutOfBag, Point632, Point632Plus float64
	// Lower and Upper are the percentiles of the InBag scores, shifted by the
	// optimism: an interval that ignores the variation of the optimism and tends to
	// be narrow.
	Lower, Upper float64
	Undefined    int // refits without an OutOfBag score
}

// Correct returns the corrected performance of a model with the given apparent
// score. NoInformation is the score of a model whose risks do not depend on the
// outcome: 0.5 for the AUROC; for the Brier score the mean over all pairs of a
// risk and an outcome. At least two refits are needed, with finite InBag and
// Original scores.
//
// Harrell, Lee and Mark, Statistics in Medicine 1996; 15: 361-387. Efron and
// Tibshirani, Journal of the American Statistical Association 1997; 92: 548-560.
// Noma, Shinozaki, Iba, Teramukai and Furukawa, Statistics in Medicine 2021; 40:
// 5691-5701 (shifted interval).
func Correct(apparent, noInformation float64, refits []Refit, level float64) (Corrected, error) {
	if len(refits) < 2 {
		return Corrected{}, fmt.Errorf("%d refits: want two or more", len(refits))
	}
	if !(level > 0 && level < 1) {
		return Corrected{}, fmt.Errorf("level %v is not in (0, 1)", level)
	}
	c := Corrected{Apparent: apparent}
	inBag := make([]float64, len(refits))
	var out float64
	for i, r := range refits {
		if d := r.InBag - r.Original; math.IsNaN(d) || math.IsInf(d, 0) {
			return Corrected{}, fmt.Errorf("refit %d: scores %v and %v are not finite", i+1, r.InBag, r.Original)
		}
		c.Optimism += (r.InBag - r.Original) / float64(len(refits))
		inBag[i] = r.InBag
		if math.IsNaN(r.OutOfBag) {
			c.Undefined++
		} else {
			out += r.OutOfBag
		}
	}
	c.OptimismCorrected = apparent - c.Optimism
	slices.Sort(inBag)
	alpha := (1 - level) / 2
	c.Lower = resample.Quantile(inBag, alpha) - c.Optimism
	c.Upper = resample.Quantile(inBag, 1-alpha) - c.Optimism
	c.OutOfBag, c.Point632, c.Point632Plus = math.NaN(), math.NaN(), math.NaN()
	if known := len(refits) - c.Undefined; known > 0 {
		c.OutOfBag = out / float64(known)
		c.Point632 = 0.368*apparent + 0.632*c.OutOfBag
		// The rate of overfitting, 0 … 1. A score beyond that of no information
		// counts as it, and one better than the apparent is no overfitting.
		bounded := c.OutOfBag
		if (noInformation-apparent)*(noInformation-bounded) < 0 {
			bounded = noInformation
		}
		var rate float64
		if d := noInformation - apparent; d != 0 {
			rate = min(1, max(0, (bounded-apparent)/d))
		}
		w := 0.632 / (1 - 0.368*rate)
		c.Point632Plus = (1-w)*apparent + w*bounded
	}
	return c, nil
}
