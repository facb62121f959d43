package difference

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
)

// maxPixels bounds what is decoded, so that a damaged header cannot ask for
// memory without end: a poster of a square metre at 400 dots an inch.
const maxPixels = 1 << 28

// comparePNG compares two pictures pixel by pixel, row by row from the top. The
// second result is false if one of them is no picture.
func comparePNG(was, now []byte, t Tolerance) (found *Found, whole bool) {
	a, err := decodePNG(was)
	if err != nil {
		return nil, false
	}
	b, err := decodePNG(now)
	if err != nil {
		return nil, false
	}
	if sa, sb := a.Bounds().Size(), b.Bounds().Size(); sa != sb {
		size := func(p image.Point) string { return fmt.Sprintf("%d by %d pixels", p.X, p.Y) }
		return &Found{"size", size(sa), size(sb)}, true
	}
	// A channel has 16 bits here.
	allowed := int(t.Channel) * 0x101
	from, other := a.Bounds().Min, b.Bounds().Min
	size := a.Bounds().Size()
	for y := range size.Y {
		for x := range size.X {
			ca := color.NRGBA64Model.Convert(a.At(from.X+x, from.Y+y)).(color.NRGBA64)
			cb := color.NRGBA64Model.Convert(b.At(other.X+x, other.Y+y)).(color.NRGBA64)
			if ca == cb || near(ca, cb, allowed) {
				continue
			}
			return &Found{fmt.Sprintf("pixel (%d, %d)", x, y), colour(ca), colour(cb)}, true
		}
	}
	return nil, true
}

func decodePNG(data []byte) (image.Image, error) {
	c, err := png.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if c.Width > maxPixels/max(c.Height, 1) {
		return nil, fmt.Errorf("it has more than %d pixels", maxPixels)
	}
	return png.Decode(bytes.NewReader(data))
}

func near(a, b color.NRGBA64, allowed int) bool {
	for _, c := range [][2]uint16{{a.R, b.R}, {a.G, b.G}, {a.B, b.B}, {a.A, b.A}} {
		if d := int(c[0]) - int(c[1]); d > allowed || -d > allowed {
			return false
		}
	}
	return true
}

func colour(c color.NRGBA64) string {
	text := fmt.Sprintf("#%02x%02x%02x", c.R>>8, c.G>>8, c.B>>8)
	if c.A != 0xffff {
		text += fmt.Sprintf("%02x", c.A>>8)
	}
	return text
}
