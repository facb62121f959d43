package house

import (
	"image/color"
	"math"
	"strings"

	"github.com/foundation-plr/pipeline/render/canvas"
)

// Style is the name of the house style. A sidecar that
// asks for another is refused.
const Style = "house/1"

// Journals take 89 or 183 mm wide figures of at most 170 mm height, text of
// 5–7 pt, panel letters of 8–9 pt bold, and 300 dpi or more.
const (
	PageWidth = 183.0
	Margin    = 2.0

	SizeLetter = 9.0
	SizeTitle  = 7.0
	SizeLabel  = 6.0
	SizeSmall  = 5.5
	SizeTiny   = 5.0

	LineAxis  = 0.6
	LineData  = 1.0
	LineThin  = 0.4
	LineGuide = 0.6

	DPI = 300
)

// Grey is a grey of a lightness.
func Grey(v uint8) color.NRGBA { return color.NRGBA{v, v, v, 255} }

func rgb(hex uint32) color.NRGBA {
	return color.NRGBA{uint8(hex >> 16), uint8(hex >> 8), uint8(hex), 255}
}

// Translucent is a colour that lets some of what is below it through.
func Translucent(c color.NRGBA, alpha float64) color.NRGBA {
	c.A = uint8(math.Round(alpha * 255))
	return c
}

var (
	Black     = Grey(0)
	White     = Grey(255)
	Band      = Grey(0xF3) // behind every second row
	GuideGrey = Grey(0x6B)
	Missing   = Grey(0xE9) // a cell without a configuration
	Control   = rgb(0x0072B2)
	Event     = rgb(0xD55E00)
)

// shape is a mark's form: colour is never the only difference.
type shape uint8

const (
	diamond shape = iota
	square
	Disc
	triangle
	ring
	cross
)

// Look is how a category or a series is drawn.
type Look struct {
	Name  string // as the legend says it
	Color color.NRGBA
	Shape shape
	Dash  []float64
}

// Categories are in the order of legends. Colours are from Okabe and Ito's
// palette, which people with colour-vision deficiencies tell apart; its purple
// is darkened to 4:1 on the row bands, and its sky blue and orange are not
// used, because lines in them have only 2.3:1 on white.
var Categories = []Look{
	{"Ground truth", rgb(0x000000), diamond, nil},
	{"Ensemble", rgb(0x0072B2), square, []float64{4, 1.8}},
	{"Foundation model", rgb(0xB04F8A), Disc, []float64{1.1, 1.3}},
	{"Deep learning", rgb(0x009E73), triangle, []float64{5, 1.5, 1.1, 1.5}},
	{"Traditional", rgb(0xD55E00), ring, []float64{8, 2}},
	{"Other", rgb(0x6B6B6B), cross, []float64{2.5, 1, 1.1, 1, 1.1, 1}},
}

// Category gives the look of a category as the registry writes it: case,
// hyphens and underscores do not count, and what is not known is "Other".
func Category(name string) Look {
	plain := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", " ", "_", " ").Replace(strings.TrimSpace(s)))
	}
	for _, c := range Categories {
		if plain(c.Name) == plain(name) {
			return c
		}
	}
	return Categories[len(Categories)-1]
}

// Looks gives each series of a panel its own look: the category's, and from a
// category's second series on its colour with the next free shape and dash.
func Looks(names []string) []Look {
	seen := map[string]int{}
	out := make([]Look, len(names))
	for i, name := range names {
		c := Category(name)
		if n := seen[c.Name]; n > 0 {
			other := Categories[(int(c.Shape)+n)%len(Categories)]
			c.Shape, c.Dash = other.Shape, other.Dash
		}
		seen[Category(name).Name]++
		out[i] = c
	}
	return out
}

// Sequential runs from dark blue over grey to yellow, in equal steps of
// lightness and of distance: a straight line in Oklab (B. Ottosson, "A
// perceptual color space for image processing", 2020). Both ends and the grey
// between them lie on the axis that people with red-green deficiencies see.
// t is in [0, 1].
func Sequential(t float64) color.NRGBA {
	t = min(max(t, 0), 1)
	a, b := oklab(rgb(0x00224E)), oklab(rgb(0xFDE737))
	var mix [3]float64
	for i := range mix {
		mix[i] = a[i] + t*(b[i]-a[i])
	}
	return fromOklab(mix)
}

func linear(v uint8) float64 {
	s := float64(v) / 255
	if s <= 0.04045 {
		return s / 12.92
	}
	return math.Pow((s+0.055)/1.055, 2.4)
}

func gamma(v float64) uint8 {
	v = min(max(v, 0), 1)
	if v <= 0.0031308 {
		v *= 12.92
	} else {
		v = 1.055*math.Pow(v, 1/2.4) - 0.055
	}
	return uint8(math.Round(v * 255))
}

func oklab(c color.NRGBA) [3]float64 {
	r, g, b := linear(c.R), linear(c.G), linear(c.B)
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	return [3]float64{
		0.2104542553*l + 0.7936177850*m - 0.0040720468*s,
		1.9779984951*l - 2.4285922050*m + 0.4505937099*s,
		0.0259040371*l + 0.7827717662*m - 0.8086757660*s,
	}
}

func fromOklab(c [3]float64) color.NRGBA {
	cube := func(v float64) float64 { return v * v * v }
	l := cube(c[0] + 0.3963377774*c[1] + 0.2158037573*c[2])
	m := cube(c[0] - 0.1055613458*c[1] - 0.0638541728*c[2])
	s := cube(c[0] - 0.0894841775*c[1] - 1.2914855480*c[2])
	return color.NRGBA{
		gamma(+4.0767416621*l - 3.3077115913*m + 0.2309699292*s),
		gamma(-1.2684380046*l + 2.6097574011*m - 0.3413193965*s),
		gamma(-0.0041960863*l - 0.7034186147*m + 1.7076147010*s),
		255,
	}
}

// luminance is the relative luminance of WCAG 2.
func luminance(c color.NRGBA) float64 {
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// InkOn is black or white, whichever stands out more: their contrasts are equal
// at a luminance of √(1.05·0.05) − 0.05 = 0.18.
func InkOn(c color.NRGBA) color.NRGBA {
	if luminance(c) < 0.18 {
		return White
	}
	return Black
}

// Mark draws a category's shape of about the given diameter in millimetres.
func Mark(p *Page, x, y, size float64, l Look) {
	r := size / 2
	pt := func(dx, dy float64) canvas.Point { return canvas.Point{X: x + dx, Y: y + dy} }
	switch l.Shape {
	case diamond:
		r *= 1.25
		p.Fill(canvas.Polyline(true, pt(0, -r), pt(r, 0), pt(0, r), pt(-r, 0)), l.Color)
	case square:
		r *= 0.9
		p.Fill(canvas.Polyline(true, pt(-r, -r), pt(r, -r), pt(r, r), pt(-r, r)), l.Color)
	case Disc:
		p.Fill(canvas.Circle(x, y, r), l.Color)
	case triangle:
		r *= 1.2
		p.Fill(canvas.Polyline(true, pt(0, -r), pt(0.87*r, 0.5*r), pt(-0.87*r, 0.5*r)), l.Color)
	case ring:
		w := 0.22 * size
		c := canvas.Circle(x, y, r-w/2)
		p.Fill(c, White)
		p.Stroke(c, l.Color, w/canvas.MillimetresPerPoint, nil)
	case cross:
		r *= 0.85
		w := 0.22 * size / canvas.MillimetresPerPoint
		p.Stroke(canvas.Polyline(false, pt(-r, -r), pt(r, r)), l.Color, w, nil)
		p.Stroke(canvas.Polyline(false, pt(-r, r), pt(r, -r)), l.Color, w, nil)
	}
}
