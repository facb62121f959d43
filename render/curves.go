package render

import (
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

// drawLines draws curves over one x axis, guides and verticals beneath them.
func drawLines(p *house.Page, panel sidecar.Panel, plot, side canvas.Rect) error {
	l := panel.Lines
	x := house.NewScale(l.XRange[0], l.XRange[1], plot.X, plot.Right())
	y := house.NewScale(l.YRange[0], l.YRange[1], plot.Bottom(), plot.Y)

	t := house.Label(house.SizeTiny, canvas.Centre)
	at, widths := make([]float64, len(l.Verticals)), make([]float64, len(l.Verticals))
	for i, v := range l.Verticals {
		if !x.Holds(v.Value) {
			return fmt.Errorf("vertical %s lies outside of the axis", v.Label)
		}
		at[i], widths[i] = x.At(v.Value), p.Width(v.Label, t)
		p.Line(at[i], plot.Y, at[i], plot.Bottom(), house.Grey(0xB0), house.LineThin, []float64{0.8, 1.6})
	}
	labels, ok := house.Spread(at, widths, 0.8, plot.X, side.Right())
	if !ok {
		return fmt.Errorf("labels of %d verticals do not fit side by side: shorten them", len(l.Verticals))
	}
	for i, v := range l.Verticals {
		p.Text(labels[i], plot.Y-1.1, v.Label, t)
	}

	// Guides of one name are one thing: treating everybody where pipelines
	// stand on test sets of different prevalence.
	guideDash := [][]float64{{2.5, 1.8}, {0.8, 1.4}, {5, 1.5, 0.8, 1.5}}
	var entries []entry
	for _, g := range l.Guides {
		k := slices.IndexFunc(entries, func(e entry) bool { return e.name == g.Label })
		if k < 0 {
			k = len(entries)
			entries = append(entries, entry{name: g.Label})
		}
		c := house.Look{Color: house.GuideGrey, Dash: guideDash[k%len(guideDash)]}
		p.Stroke(curve(g, false, x, y), c.Color, house.LineGuide, c.Dash)
		entries[k].key = lineKey(p, c, house.LineGuide)
	}
	names := make([]string, len(l.Curves))
	for i, c := range l.Curves {
		names[i] = c.Category
	}
	style := house.Looks(names)
	var series []entry
	// The first series lies on top.
	for i := len(l.Curves) - 1; i >= 0; i-- {
		p.Stroke(curve(l.Curves[i], l.Step, x, y), style[i].Color, house.LineData, style[i].Dash)
	}
	if l.ValueLabel != "" {
		series = append(series, entry{name: l.ValueLabel})
	}
	for i, c := range l.Curves {
		e := entry{key: lineKey(p, style[i], house.LineData), name: c.Label}
		if c.Value != nil {
			e.details = []string{house.ValueText(*c.Value, forestDecimals)}
		}
		series = append(series, e)
	}
	xAxis(p, plot, x, panel.X)
	yAxis(p, plot, y, panel.Y)
	return sideColumn(p, panel.ID, side, append(series, entries...))
}

// curve gives a curve's path on the page, cut at the edges of the plot.
func curve(c sidecar.Curve, step bool, x, y house.Scale) canvas.Path {
	points := make([]canvas.Point, 0, 2*len(c.X))
	for i := range c.X {
		q := canvas.Point{X: x.At(c.X[i]), Y: y.At(c.Y[i])}
		if step && i > 0 {
			// Up first: a ROC curve takes the events of a threshold before it
			// can reach the next false positive.
			last := points[len(points)-1]
			if last.X != q.X && last.Y != q.Y {
				points = append(points, canvas.Point{X: last.X, Y: q.Y})
			}
		}
		points = append(points, q)
	}
	return cut(points, canvas.Rect{X: x.A, Y: y.B, W: x.B - x.A, H: y.A - y.B})
}

// cut clips a polyline to a rectangle (Liang and Barsky, 1984).
func cut(points []canvas.Point, r canvas.Rect) canvas.Path {
	var p canvas.Path
	var pen canvas.Point
	open := false
	for i := 1; i < len(points); i++ {
		a, b := points[i-1], points[i]
		dx, dy := b.X-a.X, b.Y-a.Y
		t0, t1, inside := 0.0, 1.0, true
		for _, side := range [4][2]float64{{-dx, a.X - r.X}, {dx, r.Right() - a.X}, {-dy, a.Y - r.Y}, {dy, r.Bottom() - a.Y}} {
			d, q := side[0], side[1]
			switch {
			case d == 0:
				inside = inside && q >= -1e-9
			case d < 0:
				t0 = max(t0, q/d)
			default:
				t1 = min(t1, q/d)
			}
		}
		if !inside || t0 > t1 {
			open = false
			continue
		}
		from := canvas.Point{X: a.X + t0*dx, Y: a.Y + t0*dy}
		to := canvas.Point{X: a.X + t1*dx, Y: a.Y + t1*dy}
		if !open || from != pen {
			p.MoveTo(from.X, from.Y)
		}
		p.LineTo(to.X, to.Y)
		pen, open = to, t1 == 1
	}
	return p
}
