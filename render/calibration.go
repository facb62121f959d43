package render

import (
	"fmt"
	"math"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

// Slopes, intercepts and O:E are read to two decimals.
const calibrationDecimals = 2

// drawCalibration draws observed rates against mean risks on [0, 1], and under
// them, over the same axis, how many rows each bin has.
func drawCalibration(p *house.Page, panel sidecar.Panel, plot, side canvas.Rect) error {
	groups := panel.Calibration.Groups
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Category
	}
	style := house.Looks(names)

	const row, air = 2.1, 1.2
	strip := row*float64(len(groups)) + air
	if strip > plot.H/2 {
		return fmt.Errorf("%d series leave no room for the plot", len(groups))
	}
	x := house.NewScale(0, 1, plot.X, plot.Right())
	y := house.NewScale(0, 1, plot.Bottom()-strip, plot.Y)
	p.Line(x.A, y.A, x.B, y.B, house.GuideGrey, house.LineGuide, []float64{2.5, 1.8})
	// The plot's lower edge divides it from the counts.
	p.Line(plot.X, y.A, plot.Right(), y.A, house.Black, house.LineThin, nil)

	most := 0
	for i := len(groups) - 1; i >= 0; i-- {
		for _, q := range groups[i].Points {
			p.Line(x.At(q.Predicted), y.At(q.Lower), x.At(q.Predicted), y.At(q.Upper), house.Translucent(style[i].Color, 0.5), house.LineGuide, nil)
			most = max(most, q.N)
		}
	}
	// No line joins the bins: it would give a bin of one row the look of a
	// trend. A mark's area grows with its rows.
	for i := len(groups) - 1; i >= 0; i-- {
		for _, q := range groups[i].Points {
			house.Mark(p, x.At(q.Predicted), y.At(q.Observed), max(0.9, 2.4*math.Sqrt(float64(q.N)/float64(most))), style[i])
		}
	}

	t := house.Label(house.SizeTiny, canvas.Centre)
	for i, g := range groups {
		mid := y.A + air + (float64(i)+0.5)*row
		house.Mark(p, plot.X-2.2, mid, 1.3, style[i])
		at, widths := make([]float64, len(g.Points)), make([]float64, len(g.Points))
		for j, q := range g.Points {
			at[j], widths[j] = x.At(q.Predicted), p.Width(strconv.Itoa(q.N), t)
		}
		at, ok := house.Spread(at, widths, 0.5, plot.X+0.5, plot.Right())
		if !ok {
			return fmt.Errorf("the counts of %d bins do not fit under the axis", len(g.Points))
		}
		for j, q := range g.Points {
			p.Text(at[j], mid, strconv.Itoa(q.N), t)
		}
	}
	nTitle := house.Label(house.SizeSmall, canvas.Centre)
	nTitle.Face = canvas.Italic
	p.Text(plot.X-6, y.A+air+row*float64(len(groups))/2, "n", nTitle)

	xAxis(p, plot, x, panel.X)
	yAxis(p, plot, y, panel.Y)
	entries := make([]entry, 0, len(groups)+1)
	for i, g := range groups {
		entries = append(entries, entry{markKey(p, style[i]), g.Label, []string{
			"Slope " + house.ValueText(g.Slope, calibrationDecimals),
			"Int. " + house.ValueText(g.Intercept, calibrationDecimals),
			"O:E " + house.ValueText(g.OE, calibrationDecimals),
		}})
	}
	entries = append(entries, entry{lineKey(p, house.Look{Color: house.GuideGrey, Dash: []float64{2.5, 1.8}}, house.LineGuide), "Ideal", nil})
	return sideColumn(p, panel.ID, side, entries)
}
