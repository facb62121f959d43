package render

import (
	"bytes"
	"flag"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/canvas"
	"github.com/foundation-plr/pipeline/render/house"
)

var update = flag.Bool("update", false, "write the golden files")

var figures = []string{"fig_forest_combined", "fig_heatmap_preprocessing", "fig_stratos_core"}

func read(t *testing.T, id string) *sidecar.Document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := sidecar.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestGolden compares pictures at a third of the resolution. A build for
// another processor may round a few edges otherwise (fused multiply-add), so a
// pixel may differ by two of 255 steps, and no more than one in a thousand.
func TestGolden(t *testing.T) {
	for _, id := range figures {
		t.Run(id, func(t *testing.T) {
			doc := read(t, id)
			w, h, err := Size(doc)
			if err != nil {
				t.Fatal(err)
			}
			c := canvas.NewPNG(w, h, 100)
			if err := Draw(doc, c); err != nil {
				t.Fatal(err)
			}
			raw, err := c.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", id+".png")
			if *update {
				if err := os.WriteFile(path, raw, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, got := decode(t, file), decode(t, raw)
			if want.Bounds() != got.Bounds() {
				t.Fatalf("%v pixels, want %v", got.Bounds(), want.Bounds())
			}
			differ, worst := 0, 0
			b := want.Bounds()
			for y := b.Min.Y; y < b.Max.Y; y++ {
				for x := b.Min.X; x < b.Max.X; x++ {
					r0, g0, b0, _ := want.At(x, y).RGBA()
					r1, g1, b1, _ := got.At(x, y).RGBA()
					d := max(gap(r0, r1), gap(g0, g1), gap(b0, b1))
					if d > 0 {
						differ++
					}
					worst = max(worst, d)
				}
			}
			if worst > 2 || differ > b.Dx()*b.Dy()/1000 {
				t.Errorf("%d pixels differ, by up to %d of 255; look at the figure, then -update accepts it", differ, worst)
			}
		})
	}
}

func gap(a, b uint32) int {
	d := int(a>>8) - int(b>>8)
	return max(d, -d)
}

func decode(t *testing.T, raw []byte) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestPNGIsDeterministicAndOfExactSize(t *testing.T) {
	doc := read(t, "fig_forest_combined")
	first, texts, err := PNG(doc)
	if err != nil {
		t.Fatal(err)
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	second, _, err := PNG(read(t, "fig_forest_combined"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same sidecar gave other bytes on one processor")
	}
	if b := decode(t, first).Bounds(); b.Dx() != 2161 || b.Dy() != 1535 {
		t.Errorf("%v pixels, want 183 x 130 mm at 300 dpi: 2161 x 1535", b)
	}
	for _, want := range []string{doc.Alt, doc.Title, "SYNTHETIC DATA", "AUROC", "One-class SVM", "0.747"} {
		if !slices.Contains(texts, want) {
			t.Errorf("the texts lack %q", want)
		}
	}
	drawn, err := Texts(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(drawn, texts[:len(drawn)]) {
		t.Error("Texts and PNG disagree about what is drawn")
	}
}

// layout checks what a journal checks: nothing overlaps, nothing is cut off,
// and no type is smaller than 5 or larger than 7 pt but the panel letters.
func layout(t *testing.T, doc *sidecar.Document) *canvas.Recorder {
	t.Helper()
	rec := new(canvas.Recorder)
	if err := Draw(doc, rec); err != nil {
		t.Fatal(err)
	}
	w, h, err := Size(doc)
	if err != nil {
		t.Fatal(err)
	}
	if h > 170 || w != 183 {
		t.Errorf("%v x %v mm", w, h)
	}
	found, err := rec.Collisions(canvas.Rect{W: w, H: h})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range found {
		t.Error(s)
	}
	for _, x := range rec.Texts {
		letter := x.Face == canvas.Bold && len(x.S) == 1 && x.Size == house.SizeLetter
		if x.Size < 5 || x.Size > 7 && !letter {
			t.Errorf("%q is set in %v pt", x.S, x.Size)
		}
		if strings.Contains(x.S, "-0") || strings.Contains(x.S, "NaN") {
			t.Errorf("%q has no true minus or no number", x.S)
		}
	}
	return rec
}

func TestLayout(t *testing.T) {
	for _, id := range figures {
		t.Run(id, func(t *testing.T) {
			doc := read(t, id)
			marked := layout(t, doc)
			if !slices.Contains(marked.Strings(), "SYNTHETIC DATA") {
				t.Error("synthetic data without the mark")
			}
			doc.Synthetic = false
			if slices.Contains(layout(t, doc).Strings(), "SYNTHETIC DATA") {
				t.Error("a study's figure is marked as synthetic")
			}
		})
	}
}

// Harder data than the example's must not break the layout.
func TestLayoutUnderStress(t *testing.T) {
	for name, c := range map[string]struct {
		id     string
		change func(*sidecar.Document)
		want   []string // drawn
	}{
		"forest of close references": {"fig_forest_combined", func(d *sidecar.Document) {
			d.Panels[0].Forest.Reference = []sidecar.Reference{{Value: 0.93, Label: "Najjar et al. 2023: 0.93"}, {Value: 0.92, Label: "Ground truth, 0.920"}, {Value: 0.56, Label: "worst"}}
		}, []string{"worst"}},
		"forest with undefined": {"fig_forest_combined", func(d *sidecar.Document) {
			r := &d.Panels[0].Forest.Rows[1]
			r.Mean = sidecar.Value{Undefined: "too_few"}
			for i := range r.Points {
				r.Points[i].Value = sidecar.Value{Undefined: "one_class"}
			}
			p := &d.Panels[1].Forest.Rows[0].Points[0].Value
			p.CI, p.IntervalUndefined = nil, "zero_variance"
		}, []string{"Panel a: 3 of its values not drawn: one outcome class only.", "Panel a: 1 of its values not drawn: too few subjects.", "Panel b: 1 of its values without interval: zero variance."}},
		"forest of one row": {"fig_forest_combined", func(d *sidecar.Document) {
			for i := range d.Panels {
				d.Panels[i].Forest.Rows = d.Panels[i].Forest.Rows[:1]
			}
		}, nil},
		"forest of one value": {"fig_forest_combined", func(d *sidecar.Document) {
			d.Panels = d.Panels[1:]
			d.Panels[0].Forest.Rows = d.Panels[0].Forest.Rows[:1]
			v := 0.5
			d.Panels[0].Forest.Rows[0].Points[0].Value = sidecar.Value{Estimate: &v}
			d.Panels[0].Forest.Rows[0].Mean = sidecar.Value{Estimate: &v}
		}, []string{"0.500"}},
		"long caption": {"fig_stratos_core", func(d *sidecar.Document) {
			d.Caption = strings.Repeat(d.Caption+" ", 3)
		}, nil},
		"heat map with undefined and counts": {"fig_heatmap_preprocessing", func(d *sidecar.Document) {
			c := d.Panels[0].Heatmap.Cells
			c[0][1] = sidecar.HeatmapCell{N: 2, Value: sidecar.Value{Undefined: "separated"}}
			c[0][2].N = 12
			d.Panels[0].Heatmap.Rows[10].Mean = sidecar.Value{Undefined: "empty"}
		}, []string{"undef.", "n = 12", "Panel a: 1 of its values not drawn: outcomes perfectly separated.", "Panel a: 1 of its values not drawn: no subjects."}},
		"heat map with one very long name": {"fig_heatmap_preprocessing", func(d *sidecar.Document) {
			d.Panels[0].Heatmap.Columns[0].Label = "Unbreakablemethodname"
		}, nil},
		"two series of a category, undefined numbers": {"fig_stratos_core", func(d *sidecar.Document) {
			d.Panels[0].Lines.Curves[1].Category = "ground_truth"
			d.Panels[0].Lines.Curves[2].Value = &sidecar.Value{Undefined: "one_class"}
			d.Panels[1].Calibration.Groups[3].Slope = sidecar.Value{Undefined: "separated"}
			d.Panels[3].Risk.Groups[0].ControlRisks = d.Panels[3].Risk.Groups[0].ControlRisks[1:]
		}, []string{"–", "45 controls, 17 glaucoma"}},
		"no risks of single subjects": {"fig_stratos_core", func(d *sidecar.Document) {
			for i := range d.Panels[3].Risk.Groups {
				g := &d.Panels[3].Risk.Groups[i]
				g.ControlRisks, g.EventRisks = nil, nil
			}
		}, []string{"Control (n = 46)", "Glaucoma (n = 17)"}},
		"another estimand in a panel": {"fig_stratos_core", func(d *sidecar.Document) {
			d.Panels[2].Estimand = "over_models"
		}, []string{"(over models)"}},
		"everything undefined": {"fig_stratos_core", func(d *sidecar.Document) {
			for i := range d.Panels[1].Calibration.Groups {
				g := &d.Panels[1].Calibration.Groups[i]
				g.Slope, g.Intercept, g.OE = sidecar.Value{Undefined: "separated"}, sidecar.Value{Undefined: "extreme_risk"}, sidecar.Value{Undefined: "one_class"}
				d.Panels[3].Risk.Groups[i].Discrimination = sidecar.Value{Undefined: "one_class"}
			}
			v := 1.0
			d.Panels[0].Lines.Curves[1].Value = &sidecar.Value{Estimate: &v, IntervalUndefined: "zero_variance"}
		}, []string{"Slope –", "Int. –", "O:E –", "Discr. slope –",
			"Panel b: slope of all undefined (outcomes perfectly separated); intercept of all undefined (risks of exactly 0 or 1); O:E of all undefined (one outcome class only).",
			"Panel a: AUROC of Best ensemble without interval (zero variance)."}},
		"infinite O:E": {"fig_stratos_core", func(d *sidecar.Document) {
			d.Panels[1].Calibration.Groups[0].OE = sidecar.Value{Undefined: "positive_infinity"}
		}, []string{"O:E ∞"}},
		"wide intervals": {"fig_stratos_core", wide(1), []string{"Panel b, slope, intercept, O:E: Ground truth −12.34 (−123.45 to 123.45), −12.34"}},
		"very wide intervals": {"fig_stratos_core", wide(1e4),
			[]string{"Panel b, slope, intercept, O:E: Ground truth −123400.00 (−1234500.00 to 1234500.00), −123400.00"}},
		"small groups": {"fig_stratos_core", func(d *sidecar.Document) {
			g := &d.Panels[3].Risk.Groups[1]
			g.ControlRisks = g.ControlRisks[:1]
		}, []string{"1 control, 17 glaucoma"}},
		"treat all at several prevalences": {"fig_stratos_core", func(d *sidecar.Document) {
			l := d.Panels[2].Lines
			other := l.Guides[0]
			other.Y = slices.Clone(other.Y)
			for i := range other.Y {
				other.Y[i] -= 0.1
			}
			l.Guides = slices.Insert(l.Guides, 1, other)
			l.Verticals = nil
		}, []string{"Treat all"}},
		"three panels": {"fig_stratos_core", func(d *sidecar.Document) { d.Panels = d.Panels[:3] }, nil},
		"two panels":   {"fig_stratos_core", func(d *sidecar.Document) { d.Panels = d.Panels[1:3] }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			doc := read(t, c.id)
			c.change(doc)
			drawn := layout(t, doc).Strings()
			for _, want := range c.want {
				if !slices.ContainsFunc(drawn, func(s string) bool { return strings.HasPrefix(s, want) }) {
					t.Errorf("%q is not drawn", want)
				}
			}
		})
	}
}

// wide gives every number of panel b a minus and an interval of large limits.
func wide(factor float64) func(*sidecar.Document) {
	return func(d *sidecar.Document) {
		for i := range d.Panels[1].Calibration.Groups {
			v, ci := -12.34*factor, [2]float64{-123.45 * factor, 123.45 * factor}
			value := sidecar.Value{Estimate: &v, CI: &ci, CIMethod: "profile likelihood"}
			g := &d.Panels[1].Calibration.Groups[i]
			g.Slope, g.Intercept, g.OE = value, value, value
		}
	}
}

// Guides of one name have one entry and one dash.
func TestGuidesOfOneName(t *testing.T) {
	doc := read(t, "fig_stratos_core")
	l := doc.Panels[2].Lines
	l.Guides = slices.Insert(l.Guides, 1, l.Guides[0])
	texts, err := Texts(doc)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range texts {
		if s == "Treat all" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d entries for treating everybody, want 1", n)
	}
}

// A colour bar ends at 1 where all values are shares.
func TestColourBarEndsAtOne(t *testing.T) {
	doc := read(t, "fig_heatmap_preprocessing")
	for _, cells := range doc.Panels[0].Heatmap.Cells {
		for j := range cells {
			if e := cells[j].Value.Estimate; e != nil {
				*e = 1
			}
		}
	}
	texts, err := Texts(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range texts {
		if len(s) < 6 && strings.HasPrefix(s, "1.0") && strings.Trim(s, "1.0") != "" {
			t.Errorf("the colour bar says %s", s)
		}
	}
}

func TestDrawRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		id     string
		change func(*sidecar.Document)
		want   string
	}{
		"no panels":     {"fig_forest_combined", func(d *sidecar.Document) { d.Panels = nil }, "panels"},
		"no rows":       {"fig_forest_combined", func(d *sidecar.Document) { d.Panels[0].Forest.Rows = nil }, "no rows"},
		"no cells":      {"fig_heatmap_preprocessing", func(d *sidecar.Document) { d.Panels[0].Heatmap.Rows = nil }, "no rows"},
		"no curves":     {"fig_stratos_core", func(d *sidecar.Document) { d.Panels[0].Lines.Curves = nil }, "no curves"},
		"no bins":       {"fig_stratos_core", func(d *sidecar.Document) { d.Panels[1].Calibration.Groups[0].Points = nil }, "no bins"},
		"no events":     {"fig_stratos_core", func(d *sidecar.Document) { clear(d.Panels[3].Risk.Groups[0].Event) }, "0 events"},
		"style":         {"fig_stratos_core", func(d *sidecar.Document) { d.Style = "house/2" }, "house/2"},
		"character":     {"fig_stratos_core", func(d *sidecar.Document) { d.Panels[0].Title = "✓" }, "U+2713"},
		"huge caption":  {"fig_stratos_core", func(d *sidecar.Document) { d.Caption = strings.Repeat("word ", 2000) }, "shorten the caption"},
		"five panels":   {"fig_stratos_core", func(d *sidecar.Document) { p := d.Panels[0]; p.ID = "e"; d.Panels = append(d.Panels, p) }, "5 panels"},
		"off the axis":  {"fig_stratos_core", func(d *sidecar.Document) { d.Panels[2].Lines.Verticals[0].Value = 2 }, "outside"},
		"mixed kinds":   {"fig_forest_combined", func(d *sidecar.Document) { d.Panels[1] = mixed }, "cannot stand beside"},
		"nothing drawn": {"fig_heatmap_preprocessing", undefine, "no cell has a value"},
		"a table":       {"tab_stratos_top10", func(*sidecar.Document) {}, "no figure"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := read(t, c.id)
			c.change(doc)
			_, _, err := PNG(doc)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

var mixed = sidecar.Panel{ID: "b", Kind: "lines", Lines: &sidecar.Lines{XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1}, Curves: []sidecar.Curve{{X: []float64{0, 1}, Y: []float64{0, 1}}}}}

func undefine(d *sidecar.Document) {
	for _, cells := range d.Panels[0].Heatmap.Cells {
		for j := range cells {
			cells[j] = sidecar.HeatmapCell{N: 1, Value: sidecar.Value{Undefined: "one_class"}}
		}
	}
}

// A forest shows every configuration: as many marks as points, each in its
// category's colour and at its value.
func TestForestDrawsEveryConfiguration(t *testing.T) {
	doc := read(t, "fig_forest_combined")
	doc.Synthetic = false
	want := 0
	for _, p := range doc.Panels {
		for _, r := range p.Forest.Rows {
			want += len(r.Points)
		}
	}
	count := func(doc *sidecar.Document) int {
		c := new(counter)
		if err := Draw(doc, c); err != nil {
			t.Fatal(err)
		}
		return c.intervals
	}
	if got := count(doc); got != want+1 { // and the legend's
		t.Errorf("%d intervals are drawn for %d configurations", got, want)
	}
	doc.Panels[0].Forest.Rows[0].Points[0].Value.CI = nil
	if got := count(doc); got != want {
		t.Errorf("%d intervals are drawn after one was taken away from %d", got, want)
	}
}

// counter counts horizontal thin strokes, which are intervals.
type counter struct {
	canvas.Recorder
	intervals int
}

func (c *counter) Stroke(p canvas.Path, pen canvas.Pen) {
	if len(p) == 2 && p[0].Points[0].Y == p[1].Points[0].Y && pen.Width < house.LineAxis && pen.Width > 0.3 {
		c.intervals++
	}
}
