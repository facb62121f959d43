// Package render draws figures and writes LaTeX from sidecars.
//
// Everything it shows stands in the sidecar: it computes no statistic, asks no
// database and reads no file. How a figure is laid out follows from the kinds
// of its panels, so that a new figure of known kinds needs no code here.
package render

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
	"github.com/foundation-plr/pipeline/render/latex"
)

// PNG draws a figure at 300 dpi in its exact size. texts is every string in
// it, also the description and title that the file carries unseen.
func PNG(doc *sidecar.Document) (png []byte, texts []string, err error) {
	w, h, err := Size(doc)
	if err != nil {
		return nil, nil, err
	}
	c := canvas.NewPNG(w, h, house.DPI)
	rec := &canvas.Recorder{Next: c}
	if err := Draw(doc, rec); err != nil {
		return nil, nil, err
	}
	var notes []canvas.Note
	for _, n := range []canvas.Note{{Keyword: "Title", Text: doc.Title}, {Keyword: "Description", Text: doc.Alt}} {
		if n.Text != "" {
			notes = append(notes, n)
		}
	}
	if png, err = c.Bytes(notes...); err != nil {
		return nil, nil, fmt.Errorf("draw %s: %w", doc.ID, err)
	}
	texts = rec.Strings()
	for _, n := range notes {
		texts = append(texts, n.Text)
	}
	return png, texts, nil
}

// Texts is every string that a figure draws, in the order of drawing.
func Texts(doc *sidecar.Document) ([]string, error) {
	rec := new(canvas.Recorder)
	if err := Draw(doc, rec); err != nil {
		return nil, err
	}
	return rec.Strings(), nil
}

// TeX writes a table, or the macros of a document of numbers.
func TeX(doc *sidecar.Document) ([]byte, error) { return latex.Write(doc) }

// Size is a figure's width and height in millimetres.
func Size(doc *sidecar.Document) (width, height float64, err error) {
	if err := check(doc); err != nil {
		return 0, 0, err
	}
	switch plan(doc) {
	case stacked:
		// Few rows make a lower figure, not taller rows or a hole: 46 mm hold
		// what stands around rows of the greatest height.
		rows := 0
		for _, p := range doc.Panels {
			rows += len(p.Forest.Rows)
		}
		return house.PageWidth, min(130, 46+tallestRow*float64(rows)), nil
	case single:
		return house.PageWidth, 110, nil
	default:
		rows := (len(doc.Panels) + 1) / 2
		return house.PageWidth, float64(rows) * 75, nil
	}
}

type arrangement uint8

const (
	stacked arrangement = iota // forests over one x axis
	single                     // one heat map
	grid                       // two panels a row
)

func plan(doc *sidecar.Document) arrangement {
	if !slices.ContainsFunc(doc.Panels, func(p sidecar.Panel) bool { return p.Forest == nil }) {
		return stacked
	}
	if len(doc.Panels) == 1 && doc.Panels[0].Heatmap != nil {
		return single
	}
	return grid
}

func check(doc *sidecar.Document) error {
	if err := sidecar.Validate(doc); err != nil {
		return fmt.Errorf("draw: %w", err)
	}
	if doc.Schema != sidecar.FigureSchema {
		return fmt.Errorf("draw %s: it is no figure", doc.ID)
	}
	if doc.Style != house.Style {
		return fmt.Errorf("draw %s: style %q is not known: use %s", doc.ID, doc.Style, house.Style)
	}
	if plan(doc) == grid && len(doc.Panels) > 4 {
		return fmt.Errorf("draw %s: %d panels are more than a page of 170 mm holds", doc.ID, len(doc.Panels))
	}
	return nil
}

// Draw puts a figure on a canvas of the size that Size gives.
func Draw(doc *sidecar.Document, c canvas.Canvas) error {
	w, h, err := Size(doc)
	if err != nil {
		return err
	}
	moved := map[string]bool{}
	if plan(doc) == grid {
		// Which numbers have no room beside their plots shows when they are
		// set, and each of them makes the footer higher and the plots lower.
		for known := -1; known < len(moved); {
			known = len(moved)
			if err := compose(doc, &house.Page{Canvas: new(canvas.Recorder), Moved: moved}, w, h); err != nil {
				return err
			}
		}
	}
	return compose(doc, &house.Page{Canvas: c, Moved: moved}, w, h)
}

func compose(doc *sidecar.Document, p *house.Page, w, h float64) error {
	body := canvas.Rect{X: house.Margin, Y: house.Margin, W: w - 2*house.Margin, H: h - 2*house.Margin}
	if doc.Synthetic {
		body = syntheticMark(p, body)
	}
	body, err := footer(p, doc, body)
	if err == nil {
		switch plan(doc) {
		case stacked:
			err = drawForests(p, doc, body)
		case single:
			err = drawHeatmap(p, doc, doc.Panels[0], body)
		default:
			err = drawGrid(p, doc, body)
		}
	}
	if err = errors.Join(p.Err, err); err != nil {
		return fmt.Errorf("draw %s: %w", doc.ID, err)
	}
	return nil
}

// syntheticMark says what the data are not, in a strip of its own at the top.
func syntheticMark(p *house.Page, body canvas.Rect) canvas.Rect {
	const text, h = "SYNTHETIC DATA", 3.6
	t := house.Label(house.SizeLabel, canvas.Centre).Bold()
	w := p.Width(text, t) + 4
	box := canvas.Rect{X: body.Right() - w, Y: body.Y, W: w, H: h}
	p.Stroke(canvas.Rectangle(box), house.Black, house.LineAxis, nil)
	p.Text(box.X+w/2, box.Y+h/2, text, t)
	body.Y, body.H = body.Y+h+1, body.H-h-1
	return body
}

// footer writes the caption and what could not be shown under the figure.
func footer(p *house.Page, doc *sidecar.Document, body canvas.Rect) (canvas.Rect, error) {
	notes := undefinedNotes(doc)
	for _, panel := range doc.Panels {
		if p.Moved[panel.ID] {
			notes = append(notes, movedNote(panel))
		}
	}
	// A quarter of the page: beyond it the text is no footnote any more. Notes
	// come from the data, so they may take more where the caption alone fits,
	// as long as it leaves room for the plots.
	const most, mostWithNotes = 1.0 / 4, 1.0 / 3
	var lines []string
	for _, size := range []float64{house.SizeSmall, house.SizeTiny} {
		t := house.Label(size, canvas.Left)
		lines = p.Wrap(doc.Caption, body.W, t)
		caption := len(lines)
		for _, s := range notes {
			lines = append(lines, p.Wrap(s, body.W, t)...)
		}
		if len(lines) == 0 {
			return body, nil
		}
		step := house.LineHeight(size)
		height := func(n int) float64 { return float64(n)*step + 1 }
		limit := most
		if size == house.SizeTiny {
			limit = mostWithNotes
		}
		if height(caption) > body.H*most || height(len(lines)) > body.H*limit {
			continue
		}
		for i, s := range lines {
			p.Text(body.X, body.Bottom()-(float64(len(lines)-i)-0.5)*step, s, t)
		}
		body.H -= height(len(lines))
		return body, nil
	}
	return body, fmt.Errorf("caption and notes take %d lines: shorten the caption", len(lines))
}

// heading writes a panel's letter and title with its top at y.
func heading(p *house.Page, doc *sidecar.Document, panel sidecar.Panel, x, y float64) (right float64) {
	mid := y + canvas.CapHeight(house.SizeLetter)/2
	letter := house.Label(house.SizeLetter, canvas.Left).Bold()
	p.Text(x, mid, panel.ID, letter)
	title := house.Label(house.SizeTitle, canvas.Left).Bold()
	tx := x + p.Width(panel.ID, letter) + 1.8
	// On one baseline with the larger letter.
	base := mid + canvas.CapHeight(house.SizeLetter)/2
	title.Down = canvas.Baseline
	p.Text(tx, base, panel.Title, title)
	tx += p.Width(panel.Title, title)
	if s := otherEstimand(doc, panel); s != "" {
		plain := house.Label(house.SizeLabel, canvas.Left)
		plain.Down = canvas.Baseline
		p.Text(tx+1.2, base, s, plain)
		tx += 1.2 + p.Width(s, plain)
	}
	return tx
}

// otherEstimand says which estimand a panel shows if it is not the document's
// and the panel's title does not say it.
func otherEstimand(doc *sidecar.Document, panel sidecar.Panel) string {
	words := strings.ReplaceAll(panel.Estimand, "_", " ")
	if words == "" || panel.Estimand == doc.Estimand || strings.Contains(panel.Title, words) {
		return ""
	}
	return "(" + words + ")"
}

// level is the confidence level that a document states, in per cent, or "".
func level(doc *sidecar.Document) string {
	var v float64
	switch l := doc.Params["level"].(type) {
	case float64:
		v = l
	case interface{ Float64() (float64, error) }:
		f, err := l.Float64()
		if err != nil {
			return ""
		}
		v = f
	}
	if v <= 0 || v >= 1 {
		return ""
	}
	return fmt.Sprintf("%g%% ", math.Round(v*1e4)/100)
}
