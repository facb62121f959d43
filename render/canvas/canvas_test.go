package canvas

import (
	"bytes"
	"encoding/binary"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var ink = color.NRGBA{0, 0, 0, 255}

func TestMeasureIsArial(t *testing.T) {
	// Arial's and so Liberation's digits are 1139 of 2048 units wide.
	got, err := Measure("0123456789", Regular, 7)
	if err != nil {
		t.Fatal(err)
	}
	if want := 10 * 1139.0 / 2048 * 7 * 25.4 / 72; math.Abs(got-want) > 1e-9 {
		t.Errorf("got %v mm, want %v", got, want)
	}
}

func TestMissingCharacterIsNamed(t *testing.T) {
	_, err := Measure("a✓", Regular, 6)
	if err == nil || !strings.Contains(err.Error(), "U+2713") {
		t.Errorf("got %v, want an error naming U+2713", err)
	}
	c := NewPNG(10, 10, 72)
	c.Text(Text{X: 5, Y: 5, S: "✓", Size: 6, Color: ink})
	if _, err := c.Bytes(); err == nil {
		t.Error("a page with a character that could not be drawn was given out")
	}
}

func TestHouseCharactersExist(t *testing.T) {
	for _, face := range []Face{Regular, Bold, Italic} {
		if _, err := Measure("−–—×±≤≥≈·…°²³αβΔδηκλμρσχω“”‘’éüñ%→", face, 6); err != nil {
			t.Errorf("face %d: %v", face, err)
		}
	}
}

func TestTextStandsWhereItsAnchorSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Float64Range(5, 9).Draw(t, "size")
		x, y := rapid.Float64Range(20, 80).Draw(t, "x"), rapid.Float64Range(20, 80).Draw(t, "y")
		// H's ink has a side bearing of 0.08 em at most.
		slack := 0.1 * size * MillimetresPerPoint
		near := func(what string, got, want float64) {
			if math.Abs(got-want) > slack {
				t.Fatalf("%s at %v, want %v", what, got, want)
			}
		}
		box := func(text Text) Rect {
			b, ok, err := text.Box()
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			return b
		}
		base := Text{X: x, Y: y, S: "HOH", Size: size}
		b := box(base)
		near("left edge", b.X, x)
		near("baseline", b.Bottom(), y)
		base.Across, base.Down = Right, Top
		b = box(base)
		near("right edge", b.Right(), x)
		near("top", b.Y, y)
		base.Across, base.Down = Centre, Middle
		b = box(base)
		near("centre", b.X+b.W/2, x)
		near("middle", b.Y+b.H/2, y)
		base.Rotate = 90
		r := box(base)
		near("centre turned", r.X+r.W/2, x)
		near("middle turned", r.Y+r.H/2, y)
		near("turned height", r.H, b.W)
		// Upwards: turned by 90 degrees, a line that starts at Y ends above.
		up := box(Text{X: x, Y: y, S: "HOH", Size: size, Rotate: 90})
		near("start of an upward line", up.Bottom(), y)
	})
}

func TestCollisions(t *testing.T) {
	page := Rect{W: 50, H: 20}
	at := func(x, y float64, s string) Text { return Text{X: x, Y: y, S: s, Size: 6, Color: ink} }
	for name, c := range map[string]struct {
		texts []Text
		want  int
	}{
		"apart":    {[]Text{at(2, 10, "left"), at(25, 10, "right"), at(2, 15, "below")}, 0},
		"meet":     {[]Text{at(2, 10, "left"), at(4, 10, "right")}, 1},
		"off page": {[]Text{at(48, 10, "long text")}, 1},
		"spaces":   {[]Text{at(2, 10, " "), at(2, 10, "a")}, 0},
	} {
		r := Recorder{}
		for _, x := range c.texts {
			r.Text(x)
		}
		found, err := r.Collisions(page)
		if err != nil {
			t.Fatal(err)
		}
		if len(found) != c.want {
			t.Errorf("%s: got %q, want %d", name, found, c.want)
		}
	}
}

func TestPNGFile(t *testing.T) {
	c := NewPNG(25.4, 12.7, 300)
	// The lower right quarter in red.
	c.Fill(Rectangle(Rect{12.7, 6.35, 12.7, 6.35}), color.NRGBA{255, 0, 0, 255})
	raw, err := c.Bytes(Note{"Title", "Ä – b"})
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw)) // checks every chunk's sum
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); b.Dx() != 300 || b.Dy() != 150 {
		t.Errorf("page of %v pixels, want 300 x 150", b)
	}
	for _, q := range []struct {
		x, y int
		red  bool
	}{{10, 10, false}, {290, 10, false}, {10, 140, false}, {290, 140, true}, {151, 76, true}, {148, 73, false}} {
		_, g, _, _ := img.At(q.x, q.y).RGBA()
		if (g == 0) != q.red {
			t.Errorf("pixel %d, %d: red is %v, want %v", q.x, q.y, g == 0, q.red)
		}
	}
	i := bytes.Index(raw, []byte("pHYs"))
	if i < 0 || i > bytes.Index(raw, []byte("IDAT")) {
		t.Fatal("no pHYs chunk before IDAT")
	}
	if x, y := binary.BigEndian.Uint32(raw[i+4:]), binary.BigEndian.Uint32(raw[i+8:]); x != 11811 || y != 11811 || raw[i+12] != 1 {
		t.Errorf("resolution %d x %d unit %d, want 11811 per metre", x, y, raw[i+12])
	}
	if !bytes.Contains(raw, []byte("iTXtTitle\x00\x00\x00\x00\x00Ä – b")) {
		t.Error("no title in the file")
	}
	if bytes.Contains(raw, []byte("tIME")) {
		t.Error("the file holds a clock")
	}
}

func TestCircleIsRound(t *testing.T) {
	p := Circle(3, 4, 2)
	var last Point
	for _, s := range p {
		if s.Op == Cubic {
			for i := range 11 {
				u := float64(i) / 10
				b := func(a, c, d, e float64) float64 {
					return a*(1-u)*(1-u)*(1-u) + 3*c*u*(1-u)*(1-u) + 3*d*u*u*(1-u) + e*u*u*u
				}
				x, y := b(last.X, s.Points[0].X, s.Points[1].X, s.Points[2].X), b(last.Y, s.Points[0].Y, s.Points[1].Y, s.Points[2].Y)
				if r := math.Hypot(x-3, y-4); math.Abs(r-2) > 0.0006*2 {
					t.Fatalf("radius %v at %v", r, u)
				}
			}
			last = s.Points[2]
		} else if s.Op == Move {
			last = s.Points[0]
		}
	}
}
