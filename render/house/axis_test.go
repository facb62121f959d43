package house

import (
	"image/color"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		lo, hi float64
		n      int
		want   []string
	}{
		{0, 1, 5, []string{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"}},
		{0.55, 1, 8, []string{"0.55", "0.60", "0.65", "0.70", "0.75", "0.80", "0.85", "0.90", "0.95", "1.00"}},
		{-0.05, 0.3, 5, []string{"−0.05", "0.00", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30"}},
		{0, 1000, 4, []string{"0", "200", "400", "600", "800", "1000"}},
	} {
		if _, got := Ticks(c.lo, c.hi, c.n); !slices.Equal(got, c.want) {
			t.Errorf("ticks(%v, %v, %d) = %q, want %q", c.lo, c.hi, c.n, got, c.want)
		}
	}
}

func TestTicksOfAnyRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lo := rapid.Float64Range(-1e3, 1e3).Draw(t, "lo")
		span := math.Pow(10, rapid.Float64Range(-3, 3).Draw(t, "log span"))
		n := rapid.IntRange(2, 8).Draw(t, "n")
		a, b := Widen(lo, lo+span, n)
		if x := (Scale{a, b, 0, 1}); a > lo+1e-6*span || b < lo+span-1e-6*span || !x.Holds(lo) || !x.Holds(lo+span) {
			t.Fatalf("widen(%v, %v) = %v, %v loses data", lo, lo+span, a, b)
		}
		at, labels := Ticks(a, b, n)
		if len(at) < n || len(at) > 3*n+3 {
			t.Fatalf("%d ticks for %d", len(at), n)
		}
		if len(slices.Compact(slices.Clone(labels))) != len(labels) {
			t.Fatalf("two ticks have one label: %q", labels)
		}
	})
}

func TestNumbersInWords(t *testing.T) {
	v := 0.5
	for _, c := range []struct{ got, want string }{
		{Number(-0.304, 2), "−0.30"},
		{Number(-0.001, 2), "0.00"},
		{interval([2]float64{0.85, 0.9404}, 3), "0.850–0.940"},
		{interval([2]float64{-0.2, 0.1}, 2), "−0.20 to 0.10"},
		{ValueText(sidecar.Value{Estimate: &v}, 2), "0.50"},
		{ValueText(sidecar.Value{Undefined: "constant_risk"}, 2), "–"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 12).Draw(t, "n")
		at := rapid.SliceOfN(rapid.Float64Range(0, 50), n, n).Draw(t, "at")
		slices.Sort(at)
		widths := rapid.SliceOfN(rapid.Float64Range(0.5, 3.5), n, n).Draw(t, "widths")
		out, ok := Spread(at, widths, 0.5, 0, 50)
		if !ok {
			t.Fatalf("%d labels of 3.5 mm at most do not fit in 50 mm", n)
		}
		for i := range out {
			if out[i]-widths[i]/2 < -1e-9 || out[i]+widths[i]/2 > 50+1e-9 {
				t.Fatalf("label %d leaves the row: %v", i, out)
			}
			if i > 0 && out[i]-widths[i]/2-out[i-1]-widths[i-1]/2 < 0.5-1e-9 {
				t.Fatalf("labels %d and %d meet: %v", i-1, i, out)
			}
		}
	})
	if _, ok := Spread([]float64{1, 2}, []float64{6, 6}, 0.5, 0, 10); ok {
		t.Error("12 mm fit in 10")
	}
	if out, _ := Spread([]float64{2, 8}, []float64{1, 1}, 0.5, 0, 10); out[0] != 2 || out[1] != 8 {
		t.Errorf("labels that do not meet were moved: %v", out)
	}
}

func contrast(a, b color.NRGBA) float64 {
	x, y := luminance(a), luminance(b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func TestCategoriesStandOut(t *testing.T) {
	shapes, dashes := map[shape]bool{}, map[int]bool{}
	for _, c := range Categories {
		// WCAG 2 asks 3:1 of graphics.
		for name, back := range map[string]color.NRGBA{"white": White, "band": Band} {
			least := 3.0
			if c.Name == "Foundation model" {
				least = 4
			}
			if got := contrast(c.Color, back); got < least {
				t.Errorf("%s on %s has %.2f:1, want %v", c.Name, name, got, least)
			}
		}
		shapes[c.Shape], dashes[len(c.Dash)] = true, true
	}
	if len(shapes) != len(Categories) {
		t.Error("two categories share a shape")
	}
	for _, name := range []string{"foundation_model", "Foundation model", "foundation-model"} {
		if Category(name).Name != "Foundation model" {
			t.Errorf("%q is not a foundation model", name)
		}
	}
	if Category("embedding").Name != "Other" {
		t.Error("an unknown category is not Other")
	}
	two := Looks([]string{"ensemble", "ensemble", "traditional"})
	if two[0].Shape == two[1].Shape || slices.Equal(two[0].Dash, two[1].Dash) || two[0].Color != two[1].Color {
		t.Errorf("two series of a category look alike or of other colour: %v", two)
	}
}

// Equal steps of the scale are equal steps for the eye, and cell text is
// readable on all of them.
func TestSequentialIsUniform(t *testing.T) {
	const n = 32
	var steps []float64
	for i := range n {
		a, b := oklab(Sequential(float64(i)/n)), oklab(Sequential(float64(i+1)/n))
		if b[0] <= a[0] {
			t.Fatalf("lightness falls at %d", i)
		}
		steps = append(steps, math.Sqrt(sq(b[0]-a[0])+sq(b[1]-a[1])+sq(b[2]-a[2])))
	}
	// 8 bits a channel round each end of a step by about 0.002.
	if lo, hi := slices.Min(steps), slices.Max(steps); hi-lo > 0.006 {
		t.Errorf("steps from %.4f to %.4f", lo, hi)
	}
	for i := range 256 {
		c := Sequential(float64(i) / 255)
		if got := contrast(c, InkOn(c)); got < 4.5 {
			t.Errorf("text on %v has %.2f:1", c, got)
		}
	}
	if Sequential(0) != rgb(0x00224E) || Sequential(1) != rgb(0xFDE737) {
		t.Errorf("ends are %v and %v", Sequential(0), Sequential(1))
	}
}

func sq(v float64) float64 { return v * v }
