package house

import (
	"math"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Scale maps values to millimetres; on the page's y axis b lies above a.
type Scale struct {
	Lo, Hi float64 // values
	A, B   float64 // millimetres
}

// NewScale maps lo to a and hi to b.
func NewScale(lo, hi, a, b float64) Scale { return Scale{lo, hi, a, b} }

// At is where a value stands.
func (s Scale) At(v float64) float64 { return s.A + (v-s.Lo)/(s.Hi-s.Lo)*(s.B-s.A) }

// Holds says whether a value stands on the scale, or as good as.
func (s Scale) Holds(v float64) bool {
	slack := 1e-6 * (s.Hi - s.Lo)
	return v >= s.Lo-slack && v <= s.Hi+slack
}

// NiceStep is 1, 2 or 5 times a power of ten, the largest that gives at least
// n steps in the span, or nearly so.
func NiceStep(span float64, n int) float64 {
	raw := span / float64(n)
	p := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{5, 2} {
		if m*p <= raw*1.05 {
			return m * p
		}
	}
	return p
}

// Ticks are the multiples of a nice step within [lo, hi], with their labels.
func Ticks(lo, hi float64, n int) (at []float64, labels []string) {
	step := NiceStep(hi-lo, n)
	decimals := stepDecimals(step)
	for i := math.Ceil(lo/step - 1e-6); i*step <= hi+1e-6*step; i++ {
		at = append(at, i*step)
		labels = append(labels, Number(i*step, decimals))
	}
	return at, labels
}

func stepDecimals(step float64) int { return max(0, int(math.Ceil(-math.Log10(step)-1e-9))) }

// Widen gives the range of an axis for data from lo to hi: whole halves of the
// tick step, so that no mark lies on the edge by chance of the data.
func Widen(lo, hi float64, n int) (float64, float64) {
	if hi-lo < 1e-9 {
		pad := max(1e-3, math.Abs(lo)*0.05)
		lo, hi = lo-pad, hi+pad
	}
	half := NiceStep(hi-lo, n) / 2
	return math.Floor(lo/half+1e-9) * half, math.Ceil(hi/half-1e-9) * half
}

// Number prints with fixed decimals, a true minus, and no minus before zero.
func Number(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if digits, negative := strings.CutPrefix(s, "-"); negative {
		if strings.Trim(digits, "0.") == "" {
			return digits
		}
		return "−" + digits
	}
	return s
}

// interval prints limits with an en dash, or with "to" where a minus would
// meet it.
func interval(ci [2]float64, decimals int) string {
	lo, hi := Number(ci[0], decimals), Number(ci[1], decimals)
	if strings.HasPrefix(lo, "−") || strings.HasPrefix(hi, "−") {
		return lo + " to " + hi
	}
	return lo + "–" + hi
}

// ValueText is an estimate with its interval. Without an estimate it is a dash;
// the reason stands under the figure, where it has room.
func ValueText(v sidecar.Value, decimals int) string {
	switch v.Infinite() {
	case 1:
		return "∞"
	case -1:
		return "−∞"
	}
	if v.Estimate == nil {
		return "–"
	}
	s := Number(*v.Estimate, decimals)
	if v.CI != nil {
		s += " (" + interval(*v.CI, decimals) + ")"
	}
	return s
}
