package derivation

import (
	"fmt"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/metrics"
)

// Smoother is how the published calibration curve is smoothed, and smoothedPoints
// at how many risks.
const (
	Smoother       = metrics.LoessDirect
	smoothedPoints = 101
)

// Smoothed is the smoothed calibration curve of mean risks at equally spaced
// ones, from the first to the 99th percentile, or why there is none. Its ends are
// rounded as risks are, inwards: of few subjects a percentile is the risk of one.
func Smoothed(all []Prediction, privacy disclosure.Privacy) ([]metrics.CurvePoint, metrics.Reason, error) {
	sample, err := Sample(all)
	if err != nil {
		return nil, "", err
	}
	grid := metrics.CurveGrid(sample)
	if n := len(grid); n > 0 {
		if n != smoothedPoints {
			return nil, "", fmt.Errorf("the grid of the smoothed calibration curve has %d points, not %d", n, smoothedPoints)
		}
		low, high := privacy.Rounded(grid[0]), privacy.Rounded(grid[n-1])
		if low < grid[0] {
			low = privacy.Rounded(low + 2*privacy.HalfUnit())
		}
		if high > grid[n-1] {
			high = privacy.Rounded(high - 2*privacy.HalfUnit())
		}
		if low > high { // they are nearer than what is left of a risk
			return nil, metrics.NotAvailable, nil
		}
		if privacy.RoundRisks > 0 {
			for i := range grid {
				grid[i] = low + (high-low)*float64(i)/float64(n-1)
			}
		}
	}
	points, why := metrics.CalibrationCurve(sample, Smoother, grid)
	return points, why, nil
}
