// Package house is the house style of figures: a page with its texts and lines,
// sizes, colours and the looks of categories, and axes. It knows no kind of figure.
package house

import (
	"image/color"
	"strings"

	"github.com/foundation-plr/pipeline/render/canvas"
)

// Page is a canvas with the house's habits. The first error of a text that the
// font cannot write is kept, so that drawing reads as drawing.
type Page struct {
	Canvas canvas.Canvas
	Err    error
	// Moved are the panels whose numbers stand under the figure, because the
	// column beside the plot has no room for them.
	Moved map[string]bool
}

// Typeset is how a text looks.
type Typeset struct {
	Face   canvas.Face
	Size   float64
	Color  color.NRGBA
	across canvas.Across
	Down   canvas.Down
	Rotate float64
}

// Label is a text of a size in black, centred on its height.
func Label(size float64, across canvas.Across) Typeset {
	return Typeset{Size: size, Color: Black, across: across, Down: canvas.Middle}
}

// Bold is the same in bold.
func (s Typeset) Bold() Typeset { s.Face = canvas.Bold; return s }

// Top is the same, hanging from its place.
func (s Typeset) Top() Typeset { s.Down = canvas.Top; return s }

// Text writes a text at a place.
func (p *Page) Text(x, y float64, s string, t Typeset) {
	if s == "" || p.Err != nil {
		return
	}
	if _, err := canvas.Measure(s, t.Face, t.Size); err != nil {
		p.Err = err
		return
	}
	p.Canvas.Text(canvas.Text{X: x, Y: y, S: s, Face: t.Face, Size: t.Size, Color: t.Color, Across: t.across, Down: t.Down, Rotate: t.Rotate})
}

// Width is how wide a text gets, in millimetres.
func (p *Page) Width(s string, t Typeset) float64 {
	w, err := canvas.Measure(s, t.Face, t.Size)
	if err != nil && p.Err == nil {
		p.Err = err
	}
	return w
}

// Fill fills an area.
func (p *Page) Fill(path canvas.Path, c color.NRGBA) { p.Canvas.Fill(path, c) }

// Stroke draws along a path; the width is in points.
func (p *Page) Stroke(path canvas.Path, c color.NRGBA, width float64, dash []float64) {
	p.Canvas.Stroke(path, canvas.Pen{Color: c, Width: width, Dash: dash})
}

// Line draws a straight line; the width is in points.
func (p *Page) Line(x0, y0, x1, y1 float64, c color.NRGBA, width float64, dash []float64) {
	p.Stroke(canvas.Polyline(false, canvas.Point{X: x0, Y: y0}, canvas.Point{X: x1, Y: y1}), c, width, dash)
}

// Wrap breaks a text into lines at spaces, but not within parentheses that fit
// on a line, and a single word that is too wide after a hyphen, a slash or an
// underscore; a word that still is stays whole.
func (p *Page) Wrap(s string, width float64, t Typeset) []string {
	var lines []string
	line := ""
	add := func(piece, gap string) {
		if line != "" && p.Width(line+gap+piece, t) > width {
			lines = append(lines, line)
			line, gap = "", ""
		}
		if line != "" {
			line += gap
		}
		line += piece
	}
	for _, word := range p.words(s, width, t) {
		if p.Width(word, t) <= width {
			add(word, " ")
			continue
		}
		gap := " "
		for _, piece := range splitAfterAny(word, "-/_") {
			add(piece, gap)
			gap = ""
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// words are what a line is made of: words, and short parentheses as one word.
func (p *Page) words(s string, width float64, t Typeset) []string {
	var out []string
	fields := strings.Fields(s)
	for i := 0; i < len(fields); i++ {
		word := fields[i]
		if strings.HasPrefix(word, "(") && !strings.Contains(word, ")") {
			for j := i + 1; j < len(fields); j++ {
				if !strings.Contains(fields[j], ")") {
					continue
				}
				if group := strings.Join(fields[i:j+1], " "); p.Width(group, t) <= width {
					word, i = group, j
				}
				break
			}
		}
		out = append(out, word)
	}
	return out
}

func splitAfterAny(s, marks string) []string {
	var out []string
	from := 0
	for i, r := range s {
		if strings.ContainsRune(marks, r) {
			out = append(out, s[from:i+1])
			from = i + 1
		}
	}
	if from < len(s) {
		out = append(out, s[from:])
	}
	return out
}

// LineHeight is the distance of baselines in millimetres.
func LineHeight(size float64) float64 { return size * 1.22 * canvas.MillimetresPerPoint }

// Spread moves the centres of labels that stand in a row as little as needed,
// so that neighbours of the given widths keep a gap and all stay in [lo, hi].
// at ascends. It returns false where the labels do not fit.
func Spread(at, widths []float64, gap, lo, hi float64) ([]float64, bool) {
	out := make([]float64, len(at))
	edge := lo
	for i := range at {
		out[i] = max(at[i], edge+widths[i]/2)
		edge = out[i] + widths[i]/2 + gap
	}
	edge = hi
	for i := len(at) - 1; i >= 0; i-- {
		out[i] = min(out[i], edge-widths[i]/2)
		edge = out[i] - widths[i]/2 - gap
	}
	return out, len(at) == 0 || edge+gap >= lo-1e-9
}
