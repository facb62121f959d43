package render

import (
	"fmt"
	"math"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
)

// Slopes, intercepts and O:E are read to two decimals.
const calibrationDecimals = 2

// drawCalibration draws observed rates against mean risks on [0, 1], and under
// them, over the same axis, how many rows each bin has.
func drawCalibration(p *page, panel sidecar.Panel, plot, side canvas.Rect) error {
	groups := panel.Calibration.Groups
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Category
	}
	style := looks(names)

	const row, air = 2.1, 1.2
	strip := row*float64(len(groups)) + air
	if strip > plot.H/2 {
		return fmt.Errorf("%d series leave no room for the plot", len(groups))
	}
	x := scale{0, 1, plot.X, plot.Right()}
	y := scale{0, 1, plot.Bottom() - strip, plot.Y}
	p.line(x.a, y.a, x.b, y.b, guideGrey, lineGuide, []float64{2.5, 1.8})
	// The plot's lower edge divides it from the counts.
	p.line(plot.X, y.a, plot.Right(), y.a, black, lineThin, nil)

	most := 0
	for i := len(groups) - 1; i >= 0; i-- {
		for _, q := range groups[i].Points {
			p.line(x.at(q.Predicted), y.at(q.Lower), x.at(q.Predicted), y.at(q.Upper), translucent(style[i].color, 0.5), lineGuide, nil)
			most = max(most, q.N)
		}
	}
	// No line joins the bins: it would give a bin of one row the look of a
	// trend. A mark's area grows with its rows.
	for i := len(groups) - 1; i >= 0; i-- {
		for _, q := range groups[i].Points {
			mark(p, x.at(q.Predicted), y.at(q.Observed), max(0.9, 2.4*math.Sqrt(float64(q.N)/float64(most))), style[i])
		}
	}

	t := label(sizeTiny, canvas.Centre)
	for i, g := range groups {
		mid := y.a + air + (float64(i)+0.5)*row
		mark(p, plot.X-2.2, mid, 1.3, style[i])
		at, widths := make([]float64, len(g.Points)), make([]float64, len(g.Points))
		for j, q := range g.Points {
			at[j], widths[j] = x.at(q.Predicted), p.width(strconv.Itoa(q.N), t)
		}
		at, ok := spread(at, widths, 0.5, plot.X+0.5, plot.Right())
		if !ok {
			return fmt.Errorf("the counts of %d bins do not fit under the axis", len(g.Points))
		}
		for j, q := range g.Points {
			p.text(at[j], mid, strconv.Itoa(q.N), t)
		}
	}
	nTitle := label(sizeSmall, canvas.Centre)
	nTitle.face = canvas.Italic
	p.text(plot.X-6, y.a+air+row*float64(len(groups))/2, "n", nTitle)

	xAxis(p, plot, x, panel.X)
	yAxis(p, plot, y, panel.Y)
	entries := make([]entry, 0, len(groups)+1)
	for i, g := range groups {
		entries = append(entries, entry{markKey(p, style[i]), g.Label, []string{
			"Slope " + valueText(g.Slope, calibrationDecimals),
			"Int. " + valueText(g.Intercept, calibrationDecimals),
			"O:E " + valueText(g.OE, calibrationDecimals),
		}})
	}
	entries = append(entries, entry{lineKey(p, look{color: guideGrey, dash: []float64{2.5, 1.8}}, lineGuide), "Ideal", nil})
	return sideColumn(p, panel.ID, side, entries)
}
