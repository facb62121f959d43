// Package canvas is what figures are drawn on: a page in millimetres, its
// origin in the upper left corner, y growing downwards, with filled and
// stroked paths and with text in Liberation Sans.
//
// It knows neither plots nor data. Text reaches a canvas as text, not as
// glyphs, so that a vector canvas can keep it searchable; Measure and Outline
// make every canvas agree about its extent.
package canvas

import (
	"image/color"
	"math"
)

// MillimetresPerPoint turns sizes of type and widths of lines, which are in
// PostScript points, into the page's millimetres.
const MillimetresPerPoint = 25.4 / 72

// Canvas is a page that takes ink. What is drawn later lies on top.
type Canvas interface {
	// Fill paints a path's inside (non-zero winding).
	Fill(Path, color.NRGBA)
	// Stroke draws a path's line.
	Stroke(Path, Pen)
	// Text writes one line.
	Text(Text)
}

// Pen says how a line is drawn. Width and Dash (on, off, on, …) are in points;
// without Dash the line is solid. Ends are butt, corners round.
type Pen struct {
	Color color.NRGBA
	Width float64
	Dash  []float64
}

// Point is a place on the page in millimetres.
type Point struct{ X, Y float64 }

// Rect is an upright rectangle on the page in millimetres.
type Rect struct{ X, Y, W, H float64 }

// Right is the rectangle's right edge.
func (r Rect) Right() float64 { return r.X + r.W }

// Bottom is the rectangle's lower edge.
func (r Rect) Bottom() float64 { return r.Y + r.H }

// Overlaps says whether two rectangles share more than an edge.
func (r Rect) Overlaps(s Rect) bool {
	return r.X < s.Right() && s.X < r.Right() && r.Y < s.Bottom() && s.Y < r.Bottom()
}

// Contains says whether s lies inside r.
func (r Rect) Contains(s Rect) bool {
	return r.X <= s.X && r.Y <= s.Y && s.Right() <= r.Right() && s.Bottom() <= r.Bottom()
}

// Op is one step of a path.
type Op uint8

// Steps of a path and how many points each takes.
const (
	Move  Op = iota // 1
	Line            // 1
	Cubic           // 3: two controls and the end
	Close           // 0
)

// Segment is one step of a path with its points.
type Segment struct {
	Op     Op
	Points [3]Point
}

// Path is lines and curves on the page.
type Path []Segment

// MoveTo begins a new piece.
func (p *Path) MoveTo(x, y float64) {
	*p = append(*p, Segment{Op: Move, Points: [3]Point{{x, y}}})
}

// LineTo continues straight.
func (p *Path) LineTo(x, y float64) {
	*p = append(*p, Segment{Op: Line, Points: [3]Point{{x, y}}})
}

// CubicTo continues along a Bézier curve.
func (p *Path) CubicTo(a, b, end Point) {
	*p = append(*p, Segment{Op: Cubic, Points: [3]Point{a, b, end}})
}

// Close goes back to the beginning of the piece.
func (p *Path) Close() { *p = append(*p, Segment{Op: Close}) }

// Polyline joins points; closed adds the way back.
func Polyline(closed bool, points ...Point) Path {
	var p Path
	for i, q := range points {
		if i == 0 {
			p.MoveTo(q.X, q.Y)
		} else {
			p.LineTo(q.X, q.Y)
		}
	}
	if closed {
		p.Close()
	}
	return p
}

// Rectangle is r's outline.
func Rectangle(r Rect) Path {
	return Polyline(true, Point{r.X, r.Y}, Point{r.Right(), r.Y}, Point{r.Right(), r.Bottom()}, Point{r.X, r.Bottom()})
}

// Circle is made of four Bézier curves, which miss the true circle by less
// than 0.03 % of the radius.
func Circle(x, y, r float64) Path {
	const k = 0.5522847498307936 // 4/3 (√2 − 1)
	var p Path
	p.MoveTo(x+r, y)
	p.CubicTo(Point{x + r, y + k*r}, Point{x + k*r, y + r}, Point{x, y + r})
	p.CubicTo(Point{x - k*r, y + r}, Point{x - r, y + k*r}, Point{x - r, y})
	p.CubicTo(Point{x - r, y - k*r}, Point{x - k*r, y - r}, Point{x, y - r})
	p.CubicTo(Point{x + k*r, y - r}, Point{x + r, y - k*r}, Point{x + r, y})
	p.Close()
	return p
}

// bounds is the box around a path's points, controls included. ok is false
// for a path without any.
func (p Path) bounds() (r Rect, ok bool) {
	x0, y0, x1, y1 := math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)
	for _, s := range p {
		n := 1
		switch s.Op {
		case Cubic:
			n = 3
		case Close:
			n = 0
		}
		for _, q := range s.Points[:n] {
			x0, y0, x1, y1 = min(x0, q.X), min(y0, q.Y), max(x1, q.X), max(y1, q.Y)
		}
	}
	if x0 > x1 {
		return Rect{}, false
	}
	return Rect{x0, y0, x1 - x0, y1 - y0}, true
}
