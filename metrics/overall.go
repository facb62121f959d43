package metrics

// Brier returns the mean squared difference of outcome and risk, in [0, 1]. It
// has no interval without a bootstrap.
func Brier(s *Sample) Result { return newResult(s, brier(s)) }

func brier(s *Sample) value {
	if s.N() == 0 {
		return undefined(Empty)
	}
	var sum float64
	for i, p := range s.risks {
		d := float64(s.outcomes[i]) - p
		sum += d * d
	}
	return defined(sum / float64(s.N()))
}

// ScaledBrier returns 1 - Brier/(π(1-π)) with π the prevalence: 1 is perfect, 0
// as good as the prevalence for everybody, below 0 worse than that.
//
// Steyerberg et al., Epidemiology 2010; 21: 128-138.
func ScaledBrier(s *Sample) Result { return newResult(s, scaledBrier(s, brier(s))) }

func scaledBrier(s *Sample, brier value) value {
	if why := s.bothClasses(); why != "" {
		return undefined(why)
	}
	pi := s.prevalence()
	return defined(1 - brier.v/(pi*(1-pi)))
}

// DiscriminationSlope returns the mean risk of events minus that of controls,
// in [-1, 1].
func DiscriminationSlope(s *Sample) Result {
	if why := s.bothClasses(); why != "" {
		return newResult(s, undefined(why))
	}
	var sum [2]float64
	for i, p := range s.risks {
		sum[s.outcomes[i]] += p
	}
	return newResult(s, defined(sum[1]/float64(s.events)-sum[0]/float64(s.controls())))
}
