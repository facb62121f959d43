package render

import (
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
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
func drawGrid(p *page, doc *sidecar.Document, body canvas.Rect) error {
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
func xAxis(p *page, plot canvas.Rect, x scale, title string) {
	p.line(plot.X, plot.Bottom(), plot.Right(), plot.Bottom(), black, lineAxis, nil)
	ats, texts := ticks(x.lo, x.hi, 5)
	for i, v := range ats {
		p.line(x.at(v), plot.Bottom(), x.at(v), plot.Bottom()+1, black, lineAxis, nil)
		p.text(x.at(v), plot.Bottom()+1.7, texts[i], label(sizeLabel, canvas.Centre).top())
	}
	p.text((plot.X+plot.Right())/2, plot.Bottom()+5, title, label(sizeTitle, canvas.Centre).top())
}

// yAxis draws the left edge over the scale's extent.
func yAxis(p *page, plot canvas.Rect, y scale, title string) {
	// Down to the middle of the x axis's line, so that the corner is whole.
	p.line(plot.X, y.b, plot.X, max(y.a, y.b)+lineAxis/2*canvas.MillimetresPerPoint, black, lineAxis, nil)
	ats, texts := ticks(y.lo, y.hi, 5)
	for i, v := range ats {
		p.line(plot.X, y.at(v), plot.X-1, y.at(v), black, lineAxis, nil)
		p.text(plot.X-1.6, y.at(v), texts[i], label(sizeLabel, canvas.Right))
	}
	yTitle(p, plot, (y.a+y.b)/2, title)
}

func yTitle(p *page, plot canvas.Rect, mid float64, title string) {
	t := label(sizeTitle, canvas.Centre)
	t.rotate = 90
	p.text(plot.X-tileLeft+canvas.CapHeight(sizeTitle)/2+0.3, mid, title, t)
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
	{sizeSmall, 0.9, keyWidth + 1},
	{sizeTiny, 0.5, keyWidth + 1},
	{sizeTiny, 0.5, 1},
}

// sideColumn writes entries top down, closer together if need be. Numbers that
// do not fit even so go under the figure: the panel is noted in p.moved, and
// the figure must be laid out anew with its footer.
func sideColumn(p *page, panel string, side canvas.Rect, entries []entry) error {
	if p.moved[panel] {
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
			p.text(l.x, l.y, l.text, l.style)
		}
		return nil
	}
	if p.moved[panel] || !slices.ContainsFunc(entries, func(e entry) bool { return len(e.details) > 0 }) {
		return fmt.Errorf("the names of %d series do not fit beside the plot: name fewer pipelines in the registry", len(entries))
	}
	p.moved[panel] = true
	return nil
}

// columnLine is a line of a column; key is that of an entry's first line.
type columnLine struct {
	x, y  float64
	text  string
	style typeset
	key   func(x, y float64)
}

// setColumn breaks entries into lines and says where the column ends.
func setColumn(p *page, side canvas.Rect, entries []entry, style columnStyle) (lines []columnLine, bottom float64) {
	y := side.Y
	name, small := label(style.size, canvas.Left), label(sizeTiny, canvas.Left)
	step := lineHeight(style.size)
	for _, e := range entries {
		for i, s := range p.wrap(e.name, side.W-keyWidth-1, name) {
			l := columnLine{side.X + keyWidth + 1, y + step/2, s, name, nil}
			if i == 0 {
				l.key = e.key
			}
			lines = append(lines, l)
			y += step
		}
		for _, d := range e.details {
			for _, s := range p.wrap(d, side.W-style.indent, small) {
				lines = append(lines, columnLine{side.X + style.indent, y + step/2, s, small, nil})
				y += lineHeight(sizeTiny)
			}
		}
		y += style.gap
	}
	return lines, y
}

func lineKey(p *page, c look, width float64) func(x, y float64) {
	return func(x, y float64) { p.line(x, y, x+keyWidth, y, c.color, width, c.dash) }
}

func markKey(p *page, c look) func(x, y float64) {
	return func(x, y float64) {
		x += keyWidth / 2
		p.line(x, y-1.3, x, y+1.3, translucent(c.color, 0.5), lineGuide, nil)
		mark(p, x, y, 1.5, c)
	}
}
