package canvas

import (
	"fmt"
	"image/color"
	"math"
	"sync"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansitalic"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	"golang.org/x/image/font"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
)

// Face is a style of Liberation Sans, whose widths are Arial's.
type Face uint8

// The faces.
const (
	Regular Face = iota
	Bold
	Italic
)

// Across says which part of a line stands at its X.
type Across uint8

// Left, Centre and Right stand at X.
const (
	Left Across = iota
	Centre
	Right
)

// Down says which height of a line stands at its Y.
type Down uint8

// The baseline, half of the capitals' height, or their top stands at Y.
// Descenders never count, so that a label is centred alike with and without.
const (
	Baseline Down = iota
	Middle
	Top
)

// Text is one line of text. Size is in points; Rotate is in degrees
// counter-clockwise around (X, Y).
type Text struct {
	X, Y   float64
	S      string
	Face   Face
	Size   float64
	Color  color.NRGBA
	Across Across
	Down   Down
	Rotate float64
}

// capHeight of Liberation Sans in parts of its size (1409 of 2048 units).
const capHeight = 1409.0 / 2048

// CapHeight is the height of capitals of a size in points, in millimetres.
func CapHeight(size float64) float64 { return capHeight * size * MillimetresPerPoint }

var faces = [...]func() (*sfnt.Font, error){
	Regular: sync.OnceValues(func() (*sfnt.Font, error) { return sfnt.Parse(liberationsansregular.TTF) }),
	Bold:    sync.OnceValues(func() (*sfnt.Font, error) { return sfnt.Parse(liberationsansbold.TTF) }),
	Italic:  sync.OnceValues(func() (*sfnt.Font, error) { return sfnt.Parse(liberationsansitalic.TTF) }),
}

// load gives a face and its units as the size at which sfnt works in whole units.
func load(face Face) (*sfnt.Font, fixed.Int26_6, error) {
	f, err := faces[face]()
	if err != nil {
		return nil, 0, fmt.Errorf("embedded font: %w", err)
	}
	return f, fixed.I(int(f.UnitsPerEm())), nil
}

// Measure gives a line's advance width in millimetres. There is no kerning, so
// that digits stay in columns. A character that the font lacks is an error.
func Measure(s string, face Face, size float64) (float64, error) {
	f, em, err := load(face)
	if err != nil {
		return 0, err
	}
	var b sfnt.Buffer
	var units float64
	for _, r := range s {
		g, err := glyph(f, &b, r)
		if err != nil {
			return 0, err
		}
		adv, err := f.GlyphAdvance(&b, g, em, font.HintingNone)
		if err != nil {
			return 0, fmt.Errorf("character %q: %w", r, err)
		}
		units += float64(adv)
	}
	return units / float64(em) * size * MillimetresPerPoint, nil
}

func glyph(f *sfnt.Font, b *sfnt.Buffer, r rune) (sfnt.GlyphIndex, error) {
	g, err := f.GlyphIndex(b, r)
	if err != nil {
		return 0, fmt.Errorf("character %q: %w", r, err)
	}
	if g == 0 {
		return 0, fmt.Errorf("liberation sans has no character %q (%U): use another in the label", r, r)
	}
	return g, nil
}

// Outline gives a line's glyphs as a path in their place on the page.
func (t Text) Outline() (Path, error) {
	width, err := Measure(t.S, t.Face, t.Size)
	if err != nil {
		return nil, err
	}
	f, em, err := load(t.Face)
	if err != nil {
		return nil, err
	}
	dx, dy := 0.0, 0.0
	switch t.Across {
	case Centre:
		dx = -width / 2
	case Right:
		dx = -width
	}
	switch t.Down {
	case Middle:
		dy = CapHeight(t.Size) / 2
	case Top:
		dy = CapHeight(t.Size)
	}
	sin, cos := math.Sincos(t.Rotate * math.Pi / 180)
	if t.Rotate == 90 {
		sin, cos = 1, 0 // exactly upright, or edges would blur
	}
	unit := t.Size * MillimetresPerPoint / float64(em)
	var b sfnt.Buffer
	var p Path
	pen := dx
	for _, r := range t.S {
		g, err := glyph(f, &b, r)
		if err != nil {
			return nil, err
		}
		at := func(q fixed.Point26_6) Point {
			x, y := pen+float64(q.X)*unit, dy+float64(q.Y)*unit
			return Point{t.X + x*cos + y*sin, t.Y - x*sin + y*cos}
		}
		adv, err := f.GlyphAdvance(&b, g, em, font.HintingNone)
		if err != nil {
			return nil, fmt.Errorf("character %q: %w", r, err)
		}
		segments, err := f.LoadGlyph(&b, g, em, nil)
		if err != nil {
			return nil, fmt.Errorf("character %q: %w", r, err)
		}
		var last Point
		for i, s := range segments {
			switch s.Op {
			case sfnt.SegmentOpMoveTo:
				if i > 0 {
					p.Close()
				}
				last = at(s.Args[0])
				p.MoveTo(last.X, last.Y)
			case sfnt.SegmentOpLineTo:
				last = at(s.Args[0])
				p.LineTo(last.X, last.Y)
			case sfnt.SegmentOpQuadTo:
				c, end := at(s.Args[0]), at(s.Args[1])
				p.CubicTo(
					Point{last.X + (c.X-last.X)*2/3, last.Y + (c.Y-last.Y)*2/3},
					Point{end.X + (c.X-end.X)*2/3, end.Y + (c.Y-end.Y)*2/3}, end)
				last = end
			case sfnt.SegmentOpCubeTo:
				last = at(s.Args[2])
				p.CubicTo(at(s.Args[0]), at(s.Args[1]), last)
			}
		}
		if len(segments) > 0 {
			p.Close()
		}
		pen += float64(adv) * unit
	}
	return p, nil
}

// Box is the upright rectangle around a line's ink; ok is false where there is
// none.
func (t Text) Box() (r Rect, ok bool, err error) {
	p, err := t.Outline()
	if err != nil {
		return Rect{}, false, err
	}
	r, ok = p.bounds()
	return r, ok, nil
}
