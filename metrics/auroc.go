package metrics

import (
	"math"

	"gonum.org/v1/gonum/stat"
)

// AUROC returns the area under the ROC curve: the share of pairs of an event
// and a control in which the event has the higher risk, ties counting half.
// Its interval is DeLong's on the logit scale ([DeLongLogit]).
//
// DeLong, DeLong and Clarke-Pearson, Biometrics 1988; 44: 837-845.
func AUROC(s *Sample) Result {
	var w workspace
	v := w.auroc(s)
	r := newResult(s, v)
	if r.Defined() {
		r.Interval = deLongLogit(s, v.v, w.placements, 1)
	}
	return r
}

// DeLongVariance returns DeLong's variance of the AUROC; it has no interval.
// It is 0 where the classes are separated or all risks are equal, and
// undefined with fewer than two events or controls.
func DeLongVariance(s *Sample) Result {
	var w workspace
	v := w.auroc(s)
	if v.undefined == "" {
		v = deLongVariance(s, w.placements, 1)
	}
	return newResult(s, v)
}

// auroc computes the AUROC and leaves in w.placements, for each row, twice the
// number of subjects of the other class that it is ranked right against (ties
// half). These are whole numbers, so that sums over rows and refits are exact
// and independent of order.
func (w *workspace) auroc(s *Sample) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	order := w.ascending(s)
	w.placements = grow(w.placements, s.N())
	var controlsBelow, eventsBelow, concordant int
	for i := 0; i < len(order); {
		j, events := i, 0
		for ; j < len(order) && s.risks[order[j]] == s.risks[order[i]]; j++ {
			events += s.outcomes[order[j]]
		}
		controls := j - i - events
		ofEvent := 2*controlsBelow + controls
		ofControl := 2*(s.events-eventsBelow-events) + events
		for _, row := range order[i:j] {
			if s.outcomes[row] == 1 {
				w.placements[row] = float64(ofEvent)
			} else {
				w.placements[row] = float64(ofControl)
			}
		}
		concordant += events * ofEvent
		controlsBelow += controls
		eventsBelow += events
		i = j
	}
	return defined(float64(concordant) / (2 * float64(s.events) * float64(s.controls())))
}

// deLongVariance returns the variance of the mean AUROC over refits from
// placements summed over them. With the kernel of pairs averaged over refits,
// K = mean of psi(p_i, p_j), its row and column means are these placements
// divided by 2 n0 (2 n1) and the number of refits.
func deLongVariance(s *Sample, placements []float64, refits int) value {
	if s.events < 2 || s.controls() < 2 {
		return undefined(TooFew)
	}
	ofEvents := make([]float64, 0, s.events)
	ofControls := make([]float64, 0, s.controls())
	for i, y := range s.outcomes {
		if y == 1 {
			ofEvents = append(ofEvents, placements[i])
		} else {
			ofControls = append(ofControls, placements[i])
		}
	}
	n1, n0 := float64(s.events), float64(s.controls())
	events := stat.Variance(ofEvents, nil) / (4 * n0 * n0) / n1
	controls := stat.Variance(ofControls, nil) / (4 * n1 * n1) / n0
	return defined((events + controls) / float64(refits) / float64(refits))
}

// deLongLogit returns the interval of a (mean) AUROC a.
func deLongLogit(s *Sample, a float64, placements []float64, refits int) Interval {
	i := Interval{Method: DeLongLogit, Level: Level}
	variance := deLongVariance(s, placements, refits)
	switch {
	case variance.undefined != "":
		i.Undefined = variance.undefined
	case variance.v == 0 || a == 0 || a == 1:
		i.Undefined = ZeroVariance
	default:
		half := z * math.Sqrt(variance.v) / (a * (1 - a))
		i.Lower, i.Upper = expit(logit(a)-half), expit(logit(a)+half)
	}
	return i
}

// ROCPoint is a vertex of the ROC curve: the shares of controls and of events
// with a risk of at least Threshold.
type ROCPoint struct {
	Threshold, FPR, TPR float64
}

// ROC returns the ROC curve: one point for each distinct risk in decreasing
// order, after the point (0, 0) at threshold +Inf; the last point is (1, 1).
// It is nil where s lacks a class.
func ROC(s *Sample) []ROCPoint {
	if s.bothClasses() != "" {
		return nil
	}
	var w workspace
	order := w.ascending(s)
	points := []ROCPoint{{Threshold: math.Inf(1)}}
	var tp, fp int
	for i := len(order) - 1; i >= 0; {
		threshold := s.risks[order[i]]
		for ; i >= 0 && s.risks[order[i]] == threshold; i-- {
			tp += s.outcomes[order[i]]
			fp += 1 - s.outcomes[order[i]]
		}
		points = append(points, ROCPoint{
			Threshold: threshold,
			FPR:       float64(fp) / float64(s.controls()),
			TPR:       float64(tp) / float64(s.events),
		})
	}
	return points
}
