package canvas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image/color"
	"image/png"
	"math"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
)

// PNG is a raster canvas on a white page.
type PNG struct {
	img    *vgimg.Canvas
	height float64
	dpi    int
	err    error
}

// NewPNG makes a page of the given size in millimetres; its pixels are the
// nearest whole number at dpi dots per inch.
func NewPNG(width, height float64, dpi int) *PNG {
	img := vgimg.NewWith(
		vgimg.UseWH(vg.Length(width)*vg.Millimeter, vg.Length(height)*vg.Millimeter),
		vgimg.UseDPI(dpi),
		vgimg.UseBackgroundColor(color.White),
	)
	return &PNG{img: img, height: height, dpi: dpi}
}

// Fill implements Canvas.
func (c *PNG) Fill(p Path, ink color.NRGBA) {
	c.img.SetColor(ink)
	c.img.Fill(c.path(p))
}

// Stroke implements Canvas.
func (c *PNG) Stroke(p Path, pen Pen) {
	c.img.SetColor(pen.Color)
	c.img.SetLineWidth(vg.Points(pen.Width))
	dash := make([]vg.Length, len(pen.Dash))
	for i, d := range pen.Dash {
		dash[i] = vg.Points(d)
	}
	c.img.SetLineDash(dash, 0)
	c.img.Stroke(c.path(p))
}

// Text implements Canvas. Glyphs are filled outlines: they stand where Measure
// says, at any rotation, and are not moved to whole pixels.
func (c *PNG) Text(t Text) {
	p, err := t.Outline()
	if err != nil {
		if c.err == nil {
			c.err = err
		}
		return
	}
	c.Fill(p, t.Color)
}

func (c *PNG) path(p Path) vg.Path {
	at := func(q Point) vg.Point {
		return vg.Point{X: vg.Length(q.X) * vg.Millimeter, Y: vg.Length(c.height-q.Y) * vg.Millimeter}
	}
	out := make(vg.Path, 0, len(p))
	for _, s := range p {
		switch s.Op {
		case Move:
			out.Move(at(s.Points[0]))
		case Line:
			out.Line(at(s.Points[0]))
		case Cubic:
			out.CubeTo(at(s.Points[0]), at(s.Points[1]), at(s.Points[2]))
		case Close:
			out.Close()
		}
	}
	return out
}

// Note is a text inside the file that no one sees on the page, such as its
// description for those who cannot see it. Keyword is Latin, at most 79 bytes.
type Note struct{ Keyword, Text string }

// Bytes gives the file: true colour, its resolution in a pHYs chunk, notes in
// uncompressed iTXt chunks, no clock.
func (c *PNG) Bytes(notes ...Note) ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	var b bytes.Buffer
	if err := png.Encode(&b, c.img.Image()); err != nil {
		return nil, fmt.Errorf("encode png: %w", err)
	}
	// Signature and IHDR have a fixed length; pHYs must stand before IDAT.
	const head = 8 + 4 + 4 + 13 + 4
	raw := b.Bytes()
	out := append(make([]byte, 0, len(raw)+64), raw[:head]...)
	perMetre := uint32(math.Round(float64(c.dpi) / 0.0254))
	phys := binary.BigEndian.AppendUint32(nil, perMetre)
	phys = binary.BigEndian.AppendUint32(phys, perMetre)
	out = appendChunk(out, "pHYs", append(phys, 1)) // 1: per metre
	for _, n := range notes {
		// Keyword, no compression, no language, no translated keyword.
		out = appendChunk(out, "iTXt", []byte(n.Keyword+"\x00\x00\x00\x00\x00"+n.Text))
	}
	return append(out, raw[head:]...), nil
}

func appendChunk(b []byte, kind string, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	at := len(b)
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[at:]))
}
