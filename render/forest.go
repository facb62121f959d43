package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

// Measures of risk and discrimination are read to three decimals.
const forestDecimals = 3

// tallestRow in millimetres: in a taller one the eye loses the row.
const tallestRow = 9.0

// drawForests stacks forests over one x axis: rows of equal height throughout,
// their labels left, their means and numbers of configurations right.
func drawForests(p *house.Page, doc *sidecar.Document, body canvas.Rect) error {
	lo, hi := math.Inf(1), math.Inf(-1)
	rows, twoLines := 0, false
	labelWidth, meanWidth, nWidth := 0.0, p.Width("Mean", house.Label(house.SizeLabel, canvas.Left).Bold()), 0.0
	left := house.Label(house.SizeLabel, canvas.Left)
	see := func(v float64) { lo, hi = min(lo, v), max(hi, v) }
	for _, panel := range doc.Panels {
		rows += len(panel.Forest.Rows)
		for _, ref := range panel.Forest.Reference {
			see(ref.Value)
		}
		for _, r := range panel.Forest.Rows {
			lines, t := rowLabel(p, r.Label)
			for _, s := range lines {
				labelWidth = max(labelWidth, p.Width(s, t))
			}
			twoLines = twoLines || len(lines) > 1
			meanWidth = max(meanWidth, p.Width(meanText(r.Mean), left))
			nWidth = max(nWidth, p.Width(strconv.Itoa(r.N), left))
			for _, v := range append([]sidecar.Value{r.Mean}, values(r)...) {
				if v.Estimate != nil {
					see(*v.Estimate)
				}
				if v.CI != nil {
					see(v.CI[0])
					see(v.CI[1])
				}
			}
		}
	}
	if math.IsInf(lo, 0) {
		return fmt.Errorf("no configuration of any panel has a value")
	}
	const wanted = 8 // ticks over the width
	lo, hi = house.Widen(lo, hi, wanted)
	const gap, pad = 2.0, 1.0
	nWidth = max(nWidth, p.Width("n", left))
	plot := canvas.Rect{X: body.X + labelWidth + gap}
	plot.W = body.Right() - (gap + meanWidth + 2*gap + nWidth + pad) - plot.X
	if plot.W < body.W/3 {
		return fmt.Errorf("row labels of %.0f mm leave no room for the plot: shorten them in the registry", labelWidth)
	}
	x := house.NewScale(lo, hi, plot.X, plot.Right())

	body.H -= forestLegend(p, doc, body)

	const head, tickLength, between, labels = 5.6, 1.0, 3.6, 7.6
	fixed := labels + head*float64(len(doc.Panels)) + between*float64(len(doc.Panels)-1)
	rowHeight := min((body.H-fixed)/float64(rows), tallestRow)
	if rowHeight < 4.3 && twoLines || rowHeight < 2.6 { // lines of type and a little air
		return fmt.Errorf("%d rows do not fit on the page", rows)
	}
	y := body.Y
	ats, texts := house.Ticks(lo, hi, wanted)
	for i, panel := range doc.Panels {
		titleRight := heading(p, doc, panel, body.X, y)
		colHead := house.Label(house.SizeLabel, canvas.Right).Bold()
		last := len(doc.Panels) - 1
		y += head
		const headY = 1.5 // above the rows
		p.Text(body.Right()-pad-nWidth-2*gap, y-headY, "Mean", colHead)
		colHead.Face = canvas.Italic
		p.Text(body.Right()-pad, y-headY, "n", colHead)

		plot.Y, plot.H = y, rowHeight*float64(len(panel.Forest.Rows))
		for j, r := range panel.Forest.Rows {
			mid := y + (float64(j)+0.5)*rowHeight
			if j%2 == 0 {
				p.Fill(canvas.Rectangle(canvas.Rect{X: plot.X, Y: mid - rowHeight/2, W: body.Right() - plot.X, H: rowHeight}), house.Band)
			}
			lines, t := rowLabel(p, r.Label)
			for k, s := range lines {
				p.Text(plot.X-gap, mid+(float64(k)-float64(len(lines)-1)/2)*house.LineHeight(t.Size), s, t)
			}
			p.Text(body.Right()-pad-nWidth-2*gap, mid, meanText(r.Mean), house.Label(house.SizeLabel, canvas.Right))
			p.Text(body.Right()-pad, mid, strconv.Itoa(r.N), house.Label(house.SizeLabel, canvas.Right))
		}
		if err := references(p, panel.Forest.Reference, x, plot, titleRight+2); err != nil {
			return err
		}
		for j, r := range panel.Forest.Rows {
			forestRow(p, r, x, y+(float64(j)+0.5)*rowHeight, rowHeight)
		}
		y = plot.Bottom()
		p.Line(plot.X, y, plot.Right(), y, house.Black, house.LineAxis, nil)
		for k, v := range ats {
			p.Line(x.At(v), y, x.At(v), y+tickLength, house.Black, house.LineAxis, nil)
			if i == last {
				p.Text(x.At(v), y+tickLength+0.8, texts[k], house.Label(house.SizeLabel, canvas.Centre).Top())
			}
		}
		if i == last {
			p.Text((plot.X+plot.Right())/2, y+tickLength+4.0, panel.X, house.Label(house.SizeTitle, canvas.Centre).Top())
		}
		y += between
	}
	return nil
}

// rowLabel breaks a long label into two smaller lines, so that one name does
// not take the plot's room from all.
func rowLabel(p *house.Page, s string) ([]string, house.Typeset) {
	const widest = 32.0
	t := house.Label(house.SizeLabel, canvas.Right)
	if p.Width(s, t) <= widest {
		return []string{s}, t
	}
	small := house.Label(house.SizeTiny, canvas.Right)
	if lines := p.Wrap(s, widest, small); len(lines) == 2 {
		return lines, small
	}
	return []string{s}, t
}

func values(r sidecar.ForestRow) []sidecar.Value {
	out := make([]sidecar.Value, len(r.Points))
	for i, q := range r.Points {
		out[i] = q.Value
	}
	return out
}

func meanText(v sidecar.Value) string {
	if v.Estimate == nil {
		return "–"
	}
	return house.Number(*v.Estimate, forestDecimals)
}

// forestRow draws the configurations one under the other, so that no interval
// hides another, and their mean as a bar across all of them.
func forestRow(p *house.Page, r sidecar.ForestRow, x house.Scale, mid, height float64) {
	c := house.Category(r.Category)
	size := min(1.15, height*0.26)
	step := 0.0
	if n := len(r.Points); n > 1 {
		step = min((height*0.86-size)/float64(n-1), 1.3*size)
	}
	top := mid - step*float64(len(r.Points)-1)/2
	for i, q := range r.Points {
		if q.Value.CI != nil {
			y := top + step*float64(i)
			p.Line(x.At(q.Value.CI[0]), y, x.At(q.Value.CI[1]), y, house.Translucent(c.Color, 0.6), 0.5, nil)
		}
	}
	if r.Mean.Estimate != nil {
		at := x.At(*r.Mean.Estimate)
		p.Line(at, mid-height*0.46, at, mid+height*0.46, house.White, 2.4, nil)
		p.Line(at, mid-height*0.46, at, mid+height*0.46, house.Black, 1.2, nil)
	}
	for i, q := range r.Points {
		if q.Value.Estimate != nil {
			house.Mark(p, x.At(*q.Value.Estimate), top+step*float64(i), size, c)
		}
	}
}

// references draws lines across a panel with their labels above it, right of
// left.
func references(p *house.Page, refs []sidecar.Reference, x house.Scale, plot canvas.Rect, left float64) error {
	refs = slices.Clone(refs)
	slices.SortStableFunc(refs, func(a, b sidecar.Reference) int {
		switch {
		case a.Value < b.Value:
			return -1
		case a.Value > b.Value:
			return 1
		}
		return 0
	})
	t := house.Label(house.SizeSmall, canvas.Centre)
	at, widths := make([]float64, len(refs)), make([]float64, len(refs))
	for i, r := range refs {
		at[i], widths[i] = x.At(r.Value), p.Width(r.Label, t)
	}
	labels, ok := house.Spread(at, widths, 1.5, max(left, plot.X), plot.Right())
	if !ok {
		return fmt.Errorf("labels of %d reference lines do not fit side by side: shorten them", len(refs))
	}
	for i, r := range refs {
		if !x.Holds(r.Value) {
			return fmt.Errorf("reference %s lies outside of the axis", r.Label)
		}
		p.Line(at[i], plot.Y, at[i], plot.Bottom(), house.GuideGrey, house.LineGuide, []float64{3, 2})
		p.Text(labels[i], plot.Y-1.6, r.Label, t)
	}
	return nil
}

// forestLegend explains the marks on a line at the bottom of the body and
// returns the height it took.
func forestLegend(p *house.Page, doc *sidecar.Document, body canvas.Rect) float64 {
	const h = 4.6
	methods := map[string]bool{}
	present := map[string]bool{}
	points := false
	for _, panel := range doc.Panels {
		for _, r := range panel.Forest.Rows {
			present[house.Category(r.Category).Name] = true
			for _, q := range r.Points {
				points = true
				if q.Value.CI != nil {
					methods[q.Value.CIMethod] = true
				}
			}
		}
	}
	var items []legendItem
	for _, c := range house.Categories {
		if present[c.Name] {
			items = append(items, legendItem{c.Name, func(x, y float64) { house.Mark(p, x+1, y, 1.7, c) }, 2})
		}
	}
	if points {
		text := "configuration"
		if len(methods) > 0 {
			names := make([]string, 0, len(methods))
			for m := range methods {
				names = append(names, m)
			}
			slices.Sort(names)
			text += " with " + level(doc) + strings.TrimSpace(strings.Join(names, ", ")+" interval")
		}
		items = append(items, legendItem{text, func(x, y float64) {
			p.Line(x, y, x+5, y, house.GuideGrey, house.LineThin, nil)
			house.Mark(p, x+2.5, y, 1.15, house.Look{Color: house.GuideGrey, Shape: house.Disc})
		}, 5})
	}
	items = append(items, legendItem{"mean of configurations", func(x, y float64) {
		p.Line(x+0.5, y-1.4, x+0.5, y+1.4, house.Black, 1.2, nil)
	}, 1})
	legendLine(p, items, body, body.Bottom()-h/2)
	return h
}

// legendItem is a key of the given width and its text.
type legendItem struct {
	text  string
	key   func(x, y float64)
	width float64
}

// legendLine centres items on one line at y, closer together if need be.
func legendLine(p *house.Page, items []legendItem, body canvas.Rect, y float64) {
	const keyGap = 1.0
	t := house.Label(house.SizeLabel, canvas.Left)
	total := 0.0
	for _, it := range items {
		total += it.width + keyGap + p.Width(it.text, t)
	}
	gap := 5.0
	if n := len(items) - 1; n > 0 {
		gap = min(gap, (body.W-total)/float64(n))
		total += gap * float64(n)
	}
	x := body.X + (body.W-total)/2
	for _, it := range items {
		it.key(x, y)
		p.Text(x+it.width+keyGap, y, it.text, t)
		x += it.width + keyGap + p.Width(it.text, t) + gap
	}
}
