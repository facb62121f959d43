package render

import (
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

// Widths and heights around a plot in a tile of the grid, in millimetres. They
// are the same in all tiles, so that the axes of a row and of a column align.
const (
	tileLeft   = 10.5 // axis title and tick labels
	tileSide   = 28.0 // legend and numbers, beside the plot and never in it
	tileTop    = 6.0  // letter, title, labels of verticals
	tileBottom = 8.2
	tileGap    = 4.0
)

// drawGrid draws panels two a row.
func drawGrid(p *house.Page, doc *sidecar.Document, body canvas.Rect) error {
	rows := (len(doc.Panels) + 1) / 2
	w := (body.W - tileGap) / 2
	h := (body.H - tileGap*float64(rows-1)) / float64(rows)
	for i, panel := range doc.Panels {
		tile := canvas.Rect{X: body.X + float64(i%2)*(w+tileGap), Y: body.Y + float64(i/2)*(h+tileGap), W: w, H: h}
		plot := canvas.Rect{X: tile.X + tileLeft, Y: tile.Y + tileTop, W: w - tileLeft - tileSide, H: h - tileTop - tileBottom}
		if plot.H < 20 {
			return fmt.Errorf("caption and notes leave %.0f mm for each plot: shorten the caption", plot.H)
		}
		side := canvas.Rect{X: plot.Right() + 2.5, Y: plot.Y, W: tile.Right() - plot.Right() - 2.5, H: plot.H}
		heading(p, doc, panel, tile.X, tile.Y)
		var err error
		switch {
		case panel.Lines != nil:
			err = drawLines(p, panel, plot, side)
		case panel.Calibration != nil:
			err = drawCalibration(p, panel, plot, side)
		case panel.Risk != nil:
			err = drawRisk(p, panel, plot, side)
		default:
			err = fmt.Errorf("a %s cannot stand beside other panels", panel.Kind)
		}
		if err != nil {
			return fmt.Errorf("panel %s: %w", panel.ID, err)
		}
	}
	return nil
}

// xAxis draws the lower edge of a plot with ticks, their labels and its title.
func xAxis(p *house.Page, plot canvas.Rect, x house.Scale, title string) {
	p.Line(plot.X, plot.Bottom(), plot.Right(), plot.Bottom(), house.Black, house.LineAxis, nil)
	ats, texts := house.Ticks(x.Lo, x.Hi, 5)
	for i, v := range ats {
		p.Line(x.At(v), plot.Bottom(), x.At(v), plot.Bottom()+1, house.Black, house.LineAxis, nil)
		p.Text(x.At(v), plot.Bottom()+1.7, texts[i], house.Label(house.SizeLabel, canvas.Centre).Top())
	}
	p.Text((plot.X+plot.Right())/2, plot.Bottom()+5, title, house.Label(house.SizeTitle, canvas.Centre).Top())
}

// yAxis draws the left edge over the scale's extent.
func yAxis(p *house.Page, plot canvas.Rect, y house.Scale, title string) {
	// Down to the middle of the x axis's line, so that the corner is whole.
	p.Line(plot.X, y.B, plot.X, max(y.A, y.B)+house.LineAxis/2*canvas.MillimetresPerPoint, house.Black, house.LineAxis, nil)
	ats, texts := house.Ticks(y.Lo, y.Hi, 5)
	for i, v := range ats {
		p.Line(plot.X, y.At(v), plot.X-1, y.At(v), house.Black, house.LineAxis, nil)
		p.Text(plot.X-1.6, y.At(v), texts[i], house.Label(house.SizeLabel, canvas.Right))
	}
	yTitle(p, plot, (y.A+y.B)/2, title)
}

func yTitle(p *house.Page, plot canvas.Rect, mid float64, title string) {
	t := house.Label(house.SizeTitle, canvas.Centre)
	t.Rotate = 90
	p.Text(plot.X-tileLeft+canvas.CapHeight(house.SizeTitle)/2+0.3, mid, title, t)
}

// entry is a series in the column beside a plot: a key, its name, and numbers.
type entry struct {
	key     func(x, y float64) // draws around (x + keyWidth/2, y)
	name    string
	details []string
}

const keyWidth = 5.0

// columnStyle is how closely the column beside a plot is set: the size of
// names, the gap after an entry, and how far its numbers are indented.
type columnStyle struct{ size, gap, indent float64 }

var columnStyles = []columnStyle{
	{house.SizeSmall, 0.9, keyWidth + 1},
	{house.SizeTiny, 0.5, keyWidth + 1},
	{house.SizeTiny, 0.5, 1},
}

// sideColumn writes entries top down, closer together if need be. Numbers that
// do not fit even so go under the figure: the panel is noted in p.moved, and
// the figure must be laid out anew with its footer.
func sideColumn(p *house.Page, panel string, side canvas.Rect, entries []entry) error {
	if p.Moved[panel] {
		entries = slices.Clone(entries)
		for i := range entries {
			entries[i].details = nil
		}
	}
	for _, style := range columnStyles {
		lines, bottom := setColumn(p, side, entries, style)
		// The axis title's height below the plot is free beside it.
		if bottom > side.Bottom()+tileBottom {
			continue
		}
		for _, l := range lines {
			if l.key != nil {
				l.key(side.X, l.y)
			}
			p.Text(l.x, l.y, l.text, l.style)
		}
		return nil
	}
	if p.Moved[panel] || !slices.ContainsFunc(entries, func(e entry) bool { return len(e.details) > 0 }) {
		return fmt.Errorf("the names of %d series do not fit beside the plot: name fewer pipelines in the registry", len(entries))
	}
	p.Moved[panel] = true
	return nil
}

// columnLine is a line of a column; key is that of an entry's first line.
type columnLine struct {
	x, y  float64
	text  string
	style house.Typeset
	key   func(x, y float64)
}

// setColumn breaks entries into lines and says where the column ends.
func setColumn(p *house.Page, side canvas.Rect, entries []entry, style columnStyle) (lines []columnLine, bottom float64) {
	y := side.Y
	name, small := house.Label(style.size, canvas.Left), house.Label(house.SizeTiny, canvas.Left)
	step := house.LineHeight(style.size)
	for _, e := range entries {
		for i, s := range p.Wrap(e.name, side.W-keyWidth-1, name) {
			l := columnLine{side.X + keyWidth + 1, y + step/2, s, name, nil}
			if i == 0 {
				l.key = e.key
			}
			lines = append(lines, l)
			y += step
		}
		for _, d := range e.details {
			for _, s := range p.Wrap(d, side.W-style.indent, small) {
				lines = append(lines, columnLine{side.X + style.indent, y + step/2, s, small, nil})
				y += house.LineHeight(house.SizeTiny)
			}
		}
		y += style.gap
	}
	return lines, y
}

func lineKey(p *house.Page, c house.Look, width float64) func(x, y float64) {
	return func(x, y float64) { p.Line(x, y, x+keyWidth, y, c.Color, width, c.Dash) }
}

func markKey(p *house.Page, c house.Look) func(x, y float64) {
	return func(x, y float64) {
		x += keyWidth / 2
		p.Line(x, y-1.3, x, y+1.3, house.Translucent(c.Color, 0.5), house.LineGuide, nil)
		house.Mark(p, x, y, 1.5, c)
	}
}
