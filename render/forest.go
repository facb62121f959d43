package render

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
)

// Measures of risk and discrimination are read to three decimals.
const forestDecimals = 3

// tallestRow in millimetres: in a taller one the eye loses the row.
const tallestRow = 9.0

// drawForests stacks forests over one x axis: rows of equal height throughout,
// their labels left, their means and numbers of configurations right.
func drawForests(p *page, doc *sidecar.Document, body canvas.Rect) error {
	lo, hi := math.Inf(1), math.Inf(-1)
	rows, twoLines := 0, false
	labelWidth, meanWidth, nWidth := 0.0, p.width("Mean", label(sizeLabel, canvas.Left).bold()), 0.0
	left := label(sizeLabel, canvas.Left)
	see := func(v float64) { lo, hi = min(lo, v), max(hi, v) }
	for _, panel := range doc.Panels {
		rows += len(panel.Forest.Rows)
		for _, ref := range panel.Forest.Reference {
			see(ref.Value)
		}
		for _, r := range panel.Forest.Rows {
			lines, t := rowLabel(p, r.Label)
			for _, s := range lines {
				labelWidth = max(labelWidth, p.width(s, t))
			}
			twoLines = twoLines || len(lines) > 1
			meanWidth = max(meanWidth, p.width(meanText(r.Mean), left))
			nWidth = max(nWidth, p.width(strconv.Itoa(r.N), left))
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
	lo, hi = widen(lo, hi, wanted)
	const gap, pad = 2.0, 1.0
	nWidth = max(nWidth, p.width("n", left))
	plot := canvas.Rect{X: body.X + labelWidth + gap}
	plot.W = body.Right() - (gap + meanWidth + 2*gap + nWidth + pad) - plot.X
	if plot.W < body.W/3 {
		return fmt.Errorf("row labels of %.0f mm leave no room for the plot: shorten them in the registry", labelWidth)
	}
	x := scale{lo, hi, plot.X, plot.Right()}

	body.H -= forestLegend(p, doc, body)

	const head, tickLength, between, labels = 5.6, 1.0, 3.6, 7.6
	fixed := labels + head*float64(len(doc.Panels)) + between*float64(len(doc.Panels)-1)
	rowHeight := min((body.H-fixed)/float64(rows), tallestRow)
	if rowHeight < 4.3 && twoLines || rowHeight < 2.6 { // lines of type and a little air
		return fmt.Errorf("%d rows do not fit on the page", rows)
	}
	y := body.Y
	ats, texts := ticks(lo, hi, wanted)
	for i, panel := range doc.Panels {
		titleRight := heading(p, doc, panel, body.X, y)
		colHead := label(sizeLabel, canvas.Right).bold()
		last := len(doc.Panels) - 1
		y += head
		const headY = 1.5 // above the rows
		p.text(body.Right()-pad-nWidth-2*gap, y-headY, "Mean", colHead)
		colHead.face = canvas.Italic
		p.text(body.Right()-pad, y-headY, "n", colHead)

		plot.Y, plot.H = y, rowHeight*float64(len(panel.Forest.Rows))
		for j, r := range panel.Forest.Rows {
			mid := y + (float64(j)+0.5)*rowHeight
			if j%2 == 0 {
				p.fill(canvas.Rectangle(canvas.Rect{X: plot.X, Y: mid - rowHeight/2, W: body.Right() - plot.X, H: rowHeight}), band)
			}
			lines, t := rowLabel(p, r.Label)
			for k, s := range lines {
				p.text(plot.X-gap, mid+(float64(k)-float64(len(lines)-1)/2)*lineHeight(t.size), s, t)
			}
			p.text(body.Right()-pad-nWidth-2*gap, mid, meanText(r.Mean), label(sizeLabel, canvas.Right))
			p.text(body.Right()-pad, mid, strconv.Itoa(r.N), label(sizeLabel, canvas.Right))
		}
		if err := references(p, panel.Forest.Reference, x, plot, titleRight+2); err != nil {
			return err
		}
		for j, r := range panel.Forest.Rows {
			forestRow(p, r, x, y+(float64(j)+0.5)*rowHeight, rowHeight)
		}
		y = plot.Bottom()
		p.line(plot.X, y, plot.Right(), y, black, lineAxis, nil)
		for k, v := range ats {
			p.line(x.at(v), y, x.at(v), y+tickLength, black, lineAxis, nil)
			if i == last {
				p.text(x.at(v), y+tickLength+0.8, texts[k], label(sizeLabel, canvas.Centre).top())
			}
		}
		if i == last {
			p.text((plot.X+plot.Right())/2, y+tickLength+4.0, panel.X, label(sizeTitle, canvas.Centre).top())
		}
		y += between
	}
	return nil
}

// rowLabel breaks a long label into two smaller lines, so that one name does
// not take the plot's room from all.
func rowLabel(p *page, s string) ([]string, typeset) {
	const widest = 32.0
	t := label(sizeLabel, canvas.Right)
	if p.width(s, t) <= widest {
		return []string{s}, t
	}
	small := label(sizeTiny, canvas.Right)
	if lines := p.wrap(s, widest, small); len(lines) == 2 {
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
	return number(*v.Estimate, forestDecimals)
}

// forestRow draws the configurations one under the other, so that no interval
// hides another, and their mean as a bar across all of them.
func forestRow(p *page, r sidecar.ForestRow, x scale, mid, height float64) {
	c := category(r.Category)
	size := min(1.15, height*0.26)
	step := 0.0
	if n := len(r.Points); n > 1 {
		step = min((height*0.86-size)/float64(n-1), 1.3*size)
	}
	top := mid - step*float64(len(r.Points)-1)/2
	for i, q := range r.Points {
		if q.Value.CI != nil {
			y := top + step*float64(i)
			p.line(x.at(q.Value.CI[0]), y, x.at(q.Value.CI[1]), y, translucent(c.color, 0.6), 0.5, nil)
		}
	}
	if r.Mean.Estimate != nil {
		at := x.at(*r.Mean.Estimate)
		p.line(at, mid-height*0.46, at, mid+height*0.46, white, 2.4, nil)
		p.line(at, mid-height*0.46, at, mid+height*0.46, black, 1.2, nil)
	}
	for i, q := range r.Points {
		if q.Value.Estimate != nil {
			mark(p, x.at(*q.Value.Estimate), top+step*float64(i), size, c)
		}
	}
}

// references draws lines across a panel with their labels above it, right of
// left.
func references(p *page, refs []sidecar.Reference, x scale, plot canvas.Rect, left float64) error {
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
	t := label(sizeSmall, canvas.Centre)
	at, widths := make([]float64, len(refs)), make([]float64, len(refs))
	for i, r := range refs {
		at[i], widths[i] = x.at(r.Value), p.width(r.Label, t)
	}
	labels, ok := spread(at, widths, 1.5, max(left, plot.X), plot.Right())
	if !ok {
		return fmt.Errorf("labels of %d reference lines do not fit side by side: shorten them", len(refs))
	}
	for i, r := range refs {
		if !x.holds(r.Value) {
			return fmt.Errorf("reference %s lies outside of the axis", r.Label)
		}
		p.line(at[i], plot.Y, at[i], plot.Bottom(), guideGrey, lineGuide, []float64{3, 2})
		p.text(labels[i], plot.Y-1.6, r.Label, t)
	}
	return nil
}

// forestLegend explains the marks on a line at the bottom of the body and
// returns the height it took.
func forestLegend(p *page, doc *sidecar.Document, body canvas.Rect) float64 {
	const h = 4.6
	methods := map[string]bool{}
	present := map[string]bool{}
	points := false
	for _, panel := range doc.Panels {
		for _, r := range panel.Forest.Rows {
			present[category(r.Category).name] = true
			for _, q := range r.Points {
				points = true
				if q.Value.CI != nil {
					methods[q.Value.CIMethod] = true
				}
			}
		}
	}
	var items []legendItem
	for _, c := range categories {
		if present[c.name] {
			items = append(items, legendItem{c.name, func(x, y float64) { mark(p, x+1, y, 1.7, c) }, 2})
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
			p.line(x, y, x+5, y, guideGrey, lineThin, nil)
			mark(p, x+2.5, y, 1.15, look{color: guideGrey, shape: disc})
		}, 5})
	}
	items = append(items, legendItem{"mean of configurations", func(x, y float64) {
		p.line(x+0.5, y-1.4, x+0.5, y+1.4, black, 1.2, nil)
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
func legendLine(p *page, items []legendItem, body canvas.Rect, y float64) {
	const keyGap = 1.0
	t := label(sizeLabel, canvas.Left)
	total := 0.0
	for _, it := range items {
		total += it.width + keyGap + p.width(it.text, t)
	}
	gap := 5.0
	if n := len(items) - 1; n > 0 {
		gap = min(gap, (body.W-total)/float64(n))
		total += gap * float64(n)
	}
	x := body.X + (body.W-total)/2
	for _, it := range items {
		it.key(x, y)
		p.text(x+it.width+keyGap, y, it.text, t)
		x += it.width + keyGap + p.width(it.text, t) + gap
	}
}
