package render

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

const heatDecimals = 3

// drawHeatmap draws cells with their values, marginal means set off by a gap,
// and a colour bar.
func drawHeatmap(p *house.Page, doc *sidecar.Document, panel sidecar.Panel, body canvas.Rect) error {
	h := panel.Heatmap
	lo, hi := math.Inf(1), math.Inf(-1)
	empty, best := false, false
	see := func(v sidecar.Value) {
		if v.Estimate != nil {
			lo, hi = min(lo, *v.Estimate), max(hi, *v.Estimate)
		}
	}
	for _, cells := range h.Cells {
		for _, c := range cells {
			see(c.Value)
			empty = empty || c.N == 0
			best = best || c.Best
		}
	}
	if math.IsInf(lo, 0) {
		return fmt.Errorf("no cell has a value")
	}
	// A scale does not promise values that the measure cannot have.
	shares := lo >= 0 && hi <= 1
	if lo, hi = house.Widen(lo, hi, 6); shares {
		lo, hi = max(lo, 0), min(hi, 1)
	}

	// A letter tells panels apart; a lone panel without a title needs none.
	if panel.Title != "" {
		heading(p, doc, panel, body.X, body.Y)
		const head = 5.0
		body.Y, body.H = body.Y+head, body.H-head
	}

	const legend = 5.0
	body.H -= legend
	heatLegend(p, body, body.Bottom()+legend/2, empty, best)

	// Columns: axis title, row labels, cells, gap, means, gap, colour bar with
	// its ticks and title.
	const axisTitle, gap, barGap, barWidth, barText = 4.0, 1.4, 4.0, 3.2, 11.0
	rowLabel := house.Label(house.SizeLabel, canvas.Right)
	labels := p.Width("Mean", rowLabel)
	for _, r := range h.Rows {
		labels = max(labels, p.Width(r.Label, rowLabel))
	}
	x0 := body.X + axisTitle + labels + 1.5
	cellWidth := (body.Right() - barText - barWidth - barGap - gap - x0) / float64(len(h.Columns)+1)
	if cellWidth < 6.5 { // 0.000 in 5 pt and a little air
		return fmt.Errorf("%d columns do not fit on the page", len(h.Columns))
	}

	// Column labels stand above, in lines; where one is still too wide for its
	// column, all of them are turned upright.
	colLabel := house.Label(house.SizeLabel, canvas.Centre)
	lines := make([][]string, len(h.Columns))
	deepest, upright, longest := 1, false, 0.0
	for i, c := range h.Columns {
		lines[i] = p.Wrap(c.Label, cellWidth-0.8, colLabel)
		deepest = max(deepest, len(lines[i]))
		longest = max(longest, p.Width(c.Label, colLabel))
		for _, s := range lines[i] {
			upright = upright || p.Width(s, colLabel) > cellWidth-0.5
		}
	}
	labelHeight := float64(deepest)*house.LineHeight(house.SizeLabel) + 0.8
	if upright || labelHeight > longest {
		upright, labelHeight = true, longest+1.2
	}
	y0 := body.Y + axisTitle + labelHeight
	cellHeight := (body.Bottom() - 1 - gap - y0) / float64(len(h.Rows)+1)
	if cellHeight < 2.6 {
		return fmt.Errorf("%d rows do not fit on the page", len(h.Rows))
	}
	xs, ys := x0+cellWidth*float64(len(h.Columns)), y0+cellHeight*float64(len(h.Rows))
	right := xs + gap + cellWidth

	p.Text((x0+xs)/2, body.Y+0.4, panel.X, house.Label(house.SizeTitle, canvas.Centre).Top())
	title := house.Label(house.SizeTitle, canvas.Centre)
	title.Rotate = 90
	p.Text(body.X+canvas.CapHeight(house.SizeTitle)/2, (y0+ys)/2, panel.Y, title)

	color := house.NewScale(lo, hi, 0, 1)
	size := house.SizeLabel
	for size > house.SizeTiny && p.Width("0.0000", house.Label(size, canvas.Centre).Bold()) > cellWidth {
		size -= 0.5
	}
	cell := func(x, y float64, v sidecar.Value, n int, bold, counted bool) {
		mid := y + cellHeight/2
		box := canvas.Rectangle(canvas.Rect{X: x, Y: y, W: cellWidth, H: cellHeight})
		if v.Estimate == nil {
			p.Fill(box, house.Missing)
			s := "–"
			if n > 0 {
				s = "undef."
			}
			p.Text(x+cellWidth/2, mid, s, house.Label(house.SizeTiny, canvas.Centre))
			return
		}
		c := house.Sequential(color.At(*v.Estimate))
		p.Fill(box, c)
		t := house.Label(size, canvas.Centre)
		t.Color = house.InkOn(c)
		if bold {
			t = t.Bold()
		}
		if counted && n > 1 && cellHeight > 4.4 {
			p.Text(x+cellWidth/2, mid-1.05, house.Number(*v.Estimate, heatDecimals), t)
			t.Size = house.SizeTiny
			p.Text(x+cellWidth/2, mid+1.2, fmt.Sprintf("n = %d", n), t)
			return
		}
		p.Text(x+cellWidth/2, mid, house.Number(*v.Estimate, heatDecimals), t)
	}
	mean := func(x, y float64, a sidecar.HeatmapAxis) { cell(x, y, a.Mean, a.N, false, false) }

	for j, c := range h.Columns {
		x := x0 + cellWidth*float64(j)
		if upright {
			t := house.Label(house.SizeLabel, canvas.Left)
			t.Rotate = 90
			p.Text(x+cellWidth/2, y0-0.8, c.Label, t)
		} else {
			for k, s := range lines[j] {
				p.Text(x+cellWidth/2, y0-0.8-(float64(len(lines[j])-k)-0.5)*house.LineHeight(house.SizeLabel), s, colLabel)
			}
		}
		mean(x, ys+gap, c)
	}
	p.Text(xs+gap+cellWidth/2, y0-0.8-0.5*house.LineHeight(house.SizeLabel), "Mean", colLabel.Bold())
	p.Text(x0-1.5, ys+gap+cellHeight/2, "Mean", rowLabel.Bold())
	var boxes []canvas.Path
	for i, r := range h.Rows {
		y := y0 + cellHeight*float64(i)
		p.Text(x0-1.5, y+cellHeight/2, r.Label, rowLabel)
		for j, c := range h.Cells[i] {
			x := x0 + cellWidth*float64(j)
			cell(x, y, c.Value, c.N, c.Best, true)
			if c.Best {
				boxes = append(boxes, canvas.Rectangle(canvas.Rect{X: x, Y: y, W: cellWidth, H: cellHeight}))
			}
		}
		mean(xs+gap, y, r)
	}
	// Thin white lines keep neighbours of one colour apart and leave the
	// numbers alone.
	for i := range len(h.Rows) + 1 {
		y := y0 + cellHeight*float64(i)
		p.Line(x0, y, right, y, house.White, house.LineAxis, nil)
	}
	for j := range len(h.Columns) + 1 {
		x := x0 + cellWidth*float64(j)
		p.Line(x, y0, x, ys+gap+cellHeight, house.White, house.LineAxis, nil)
	}
	for _, b := range boxes {
		p.Stroke(b, house.White, 3, nil)
		p.Stroke(b, house.Black, 1.5, nil)
	}
	colorBar(p, h.Label, house.NewScale(lo, hi, ys, y0), canvas.Rect{X: right + barGap, Y: y0, W: barWidth, H: ys - y0}, body.Right())
	return nil
}

// colorBar draws the scale bottom up, in steps finer than 300 dpi shows.
func colorBar(p *house.Page, title string, y house.Scale, bar canvas.Rect, right float64) {
	const steps = 256
	for i := range steps {
		t := (float64(i) + 0.5) / steps
		// Each step reaches a little under the next, or seams would show.
		step := canvas.Rect{X: bar.X, Y: max(bar.Y, bar.Bottom()-bar.H*float64(i+2)/steps), W: bar.W}
		step.H = bar.Bottom() - bar.H*float64(i)/steps - step.Y
		p.Fill(canvas.Rectangle(step), house.Sequential(t))
	}
	p.Stroke(canvas.Rectangle(bar), house.Black, house.LineThin, nil)
	ats, texts := house.Ticks(y.Lo, y.Hi, 4)
	for i, v := range ats {
		p.Line(bar.Right(), y.At(v), bar.Right()+0.8, y.At(v), house.Black, house.LineAxis, nil)
		p.Text(bar.Right()+1.4, y.At(v), texts[i], house.Label(house.SizeLabel, canvas.Left))
	}
	t := house.Label(house.SizeTitle, canvas.Centre)
	t.Rotate = 90
	p.Text(right-canvas.CapHeight(house.SizeTitle)/2, bar.Y+bar.H/2, title, t)
}

func heatLegend(p *house.Page, body canvas.Rect, y float64, empty, best bool) {
	var items []legendItem
	if best {
		items = append(items, legendItem{"best cell", func(x, y float64) {
			p.Stroke(canvas.Rectangle(canvas.Rect{X: x, Y: y - 1.2, W: 3.6, H: 2.4}), house.Black, 1.5, nil)
		}, 3.6})
	}
	if empty {
		items = append(items, legendItem{"no configuration", func(x, y float64) {
			p.Fill(canvas.Rectangle(canvas.Rect{X: x, Y: y - 1.2, W: 3.6, H: 2.4}), house.Missing)
			p.Line(x+1.3, y, x+2.3, y, house.Black, house.LineThin, nil)
		}, 3.6})
	}
	legendLine(p, items, body, y)
}
