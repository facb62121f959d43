package render

import (
	"image/color"
	"strings"

	"github.com/foundation-plr/pipeline/render/canvas"
)

// page is a canvas with the house's habits. The first error of a text that the
// font cannot write is kept, so that drawing reads as drawing.
type page struct {
	c   canvas.Canvas
	err error
	// moved are the panels whose numbers stand under the figure, because the
	// column beside the plot has no room for them.
	moved map[string]bool
}

// typeset is how a text looks.
type typeset struct {
	face   canvas.Face
	size   float64
	color  color.NRGBA
	across canvas.Across
	down   canvas.Down
	rotate float64
}

func label(size float64, across canvas.Across) typeset {
	return typeset{size: size, color: black, across: across, down: canvas.Middle}
}

func (s typeset) bold() typeset { s.face = canvas.Bold; return s }

func (s typeset) top() typeset { s.down = canvas.Top; return s }

func (p *page) text(x, y float64, s string, t typeset) {
	if s == "" || p.err != nil {
		return
	}
	if _, err := canvas.Measure(s, t.face, t.size); err != nil {
		p.err = err
		return
	}
	p.c.Text(canvas.Text{X: x, Y: y, S: s, Face: t.face, Size: t.size, Color: t.color, Across: t.across, Down: t.down, Rotate: t.rotate})
}

func (p *page) width(s string, t typeset) float64 {
	w, err := canvas.Measure(s, t.face, t.size)
	if err != nil && p.err == nil {
		p.err = err
	}
	return w
}

func (p *page) fill(path canvas.Path, c color.NRGBA) { p.c.Fill(path, c) }

func (p *page) stroke(path canvas.Path, c color.NRGBA, width float64, dash []float64) {
	p.c.Stroke(path, canvas.Pen{Color: c, Width: width, Dash: dash})
}

func (p *page) line(x0, y0, x1, y1 float64, c color.NRGBA, width float64, dash []float64) {
	p.stroke(canvas.Polyline(false, canvas.Point{X: x0, Y: y0}, canvas.Point{X: x1, Y: y1}), c, width, dash)
}

// wrap breaks a text into lines at spaces, but not within parentheses that fit
// on a line, and a single word that is too wide after a hyphen, a slash or an
// underscore; a word that still is stays whole.
func (p *page) wrap(s string, width float64, t typeset) []string {
	var lines []string
	line := ""
	add := func(piece, gap string) {
		if line != "" && p.width(line+gap+piece, t) > width {
			lines = append(lines, line)
			line, gap = "", ""
		}
		if line != "" {
			line += gap
		}
		line += piece
	}
	for _, word := range p.words(s, width, t) {
		if p.width(word, t) <= width {
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
func (p *page) words(s string, width float64, t typeset) []string {
	var out []string
	fields := strings.Fields(s)
	for i := 0; i < len(fields); i++ {
		word := fields[i]
		if strings.HasPrefix(word, "(") && !strings.Contains(word, ")") {
			for j := i + 1; j < len(fields); j++ {
				if !strings.Contains(fields[j], ")") {
					continue
				}
				if group := strings.Join(fields[i:j+1], " "); p.width(group, t) <= width {
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

// lineHeight is the distance of baselines in millimetres.
func lineHeight(size float64) float64 { return size * 1.22 * canvas.MillimetresPerPoint }

// spread moves the centres of labels that stand in a row as little as needed,
// so that neighbours of the given widths keep a gap and all stay in [lo, hi].
// at ascends. It returns false where the labels do not fit.
func spread(at, widths []float64, gap, lo, hi float64) ([]float64, bool) {
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
