package metrics

import "math"

// PRPoint is a vertex of the precision-recall curve.
type PRPoint struct {
	Threshold, Recall, Precision float64
	TP, FP                       int
}

// PrecisionRecall returns precision and recall at each distinct risk in
// decreasing order. Between its points the curve is not linear. It is nil where
// s lacks a class.
func PrecisionRecall(s *Sample) []PRPoint {
	if s.bothClasses() != "" {
		return nil
	}
	ties := s.distinct()
	points := make([]PRPoint, 0, len(ties))
	var tp, fp int
	for i := len(ties) - 1; i >= 0; i-- {
		tp += ties[i].events
		fp += ties[i].controls
		points = append(points, PRPoint{
			Threshold: ties[i].risk, TP: tp, FP: fp,
			Recall:    float64(tp) / float64(s.events),
			Precision: float64(tp) / float64(tp+fp),
		})
	}
	return points
}

// AveragePrecision returns the mean precision over events, ties as one step:
// Σ (R_k - R_{k-1}) P_k over distinct risks, in (0, 1]. A model without
// information has the prevalence, so that it cannot be compared between
// populations. It is what scikit-learn calls average_precision_score and has no
// interval without a bootstrap.
func AveragePrecision(s *Sample) Result {
	return newResult(s, averagePrecision(s))
}

func averagePrecision(s *Sample) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	var sum float64
	tp, rows := 0, 0
	ties := s.distinct()
	for i := len(ties) - 1; i >= 0; i-- {
		tp += ties[i].events
		rows += ties[i].events + ties[i].controls
		sum += float64(ties[i].events) * float64(tp) / float64(rows)
	}
	return defined(sum / float64(s.events))
}

// prArea sums piece over the steps between neighbouring points of the
// precision-recall curve, from no positives on.
func prArea(s *Sample, piece func(tp, fp, events, controls float64) float64) Result {
	if why := s.bothClasses(); why != "" {
		return newResult(s, undefined(why))
	}
	var area, tp, fp float64
	ties := s.distinct()
	for i := len(ties) - 1; i >= 0; i-- {
		e, c := float64(ties[i].events), float64(ties[i].controls)
		if e > 0 {
			area += piece(tp, fp, e, c)
		}
		tp += e
		fp += c
	}
	return newResult(s, defined(area/float64(s.events)))
}

// AUPRC returns the area under the precision-recall curve with Davis and
// Goadrich's interpolation: between neighbouring points one event at a time,
// false positives in proportion, and trapezoids between those. It is the area
// that the STRATOS overview reports.
//
// Davis and Goadrich, Proceedings of ICML 2006: 233-240.
func AUPRC(s *Sample) Result {
	return prArea(s, func(tp, fp, e, c float64) float64 {
		precision := func(j float64) float64 {
			if tp+fp == 0 && j == 0 {
				j = 1 // no positives yet: the precision to come
			}
			return (tp + j) / (tp + j + fp + j*c/e)
		}
		var area float64
		last := precision(0)
		for j := 1.0; j <= e; j++ {
			next := precision(j)
			area += (last + next) / 2
			last = next
		}
		return area
	})
}

// AUPRCContinuous returns the integral of the same curve without steps.
//
// Keilwagen, Grosse and Grau, PLoS ONE 2014; 9: e92209.
func AUPRCContinuous(s *Sample) Result {
	return prArea(s, func(tp, fp, e, c float64) float64 {
		h := c / e
		a, b := 1+h, fp-h*tp
		if b == 0 {
			return e / a
		}
		// (e - (b/a) ln((a(tp+e)+b)/(a tp+b))) / a
		return (e - b/a*math.Log1p(a*e/(a*tp+b))) / a
	})
}

// AUPRCTrapezoid returns the area with straight lines between the points, from
// precision 1 at recall 0. Precision is not linear between them, and the area is
// too large; it is here to be compared with what others print.
func AUPRCTrapezoid(s *Sample) Result {
	return prArea(s, func(tp, fp, e, c float64) float64 {
		last := 1.0
		if tp+fp > 0 {
			last = tp / (tp + fp)
		}
		next := (tp + e) / (tp + e + fp + c)
		return e * (last + next) / 2
	})
}
