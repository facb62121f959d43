package stability

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func agree(got, want float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+1e-12*math.Abs(want)
}

func mustRisks(t testing.TB, risks ...[]float64) *Risks {
	t.Helper()
	r, err := NewRisks(risks)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUncertainty(t *testing.T) {
	u := mustRisks(t, []float64{0, 0.5, 1}, []float64{1, 0.5, 1}).Uncertainty()
	// Models that contradict each other, that know nothing, and that are sure.
	want := []Uncertainty{
		{math.Ln2, 0, math.Ln2, 0.5},
		{math.Ln2, math.Ln2, 0, 0},
		{0, 0, 0, 0},
	}
	for i, w := range want {
		g := u[i]
		if !agree(g.Total, w.Total) || !agree(g.Expected, w.Expected) || !agree(g.MutualInformation, w.MutualInformation) || !agree(g.SD, w.SD) {
			t.Errorf("subject %d: %+v, want %+v", i, g, w)
		}
	}
}

func TestUncertaintyAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, n := rapid.IntRange(1, 10).Draw(t, "models"), rapid.IntRange(1, 5).Draw(t, "subjects")
		risks := make([][]float64, b)
		for m := range risks {
			risks[m] = rapid.SliceOfN(rapid.Float64Range(0, 1), n, n).Draw(t, "risks")
		}
		r, err := NewRisks(risks)
		if err != nil {
			t.Fatal(err)
		}
		for i, u := range r.Uncertainty() {
			if u.MutualInformation < 0 || u.Total > math.Ln2+1e-15 || math.Abs(u.Total-u.Expected-u.MutualInformation) > 1e-12 {
				t.Fatalf("subject %d: %+v", i, u)
			}
		}
	})
}

func TestInstability(t *testing.T) {
	r := mustRisks(t, []float64{0.2, 0.5}, []float64{0.6, 0.5}, []float64{0.4, 0.5}, []float64{0.8, 0.5})
	got, err := r.Instability([]float64{0.3, 0.5}, 0.5, AtLeast)
	if err != nil {
		t.Fatal(err)
	}
	if s := got.BySubject[0]; got.Reference != OriginalModel || !agree(s.MAPE, 0.25) || s.CII != 0.5 || !agree(s.Lower, 0.215) || !agree(s.Upper, 0.785) {
		t.Errorf("%+v", got)
	}
	if s := got.BySubject[1]; s.MAPE != 0 || s.CII != 0 || !agree(got.MeanMAPE, 0.125) || !agree(got.MeanCII, 0.25) {
		t.Errorf("%+v", got)
	}
	// Of risks at the threshold the rule decides: here the mean, 0.5, is above or not.
	above, err := r.Instability(nil, 0.5, Above)
	if err != nil || above.Reference != MeanOfModels || above.BySubject[0].CII != 0.5 || above.BySubject[0].Risk != 0.5 {
		t.Errorf("%+v, %v", above, err)
	}
	for text, bad := range map[string]func() error{
		"2 subjects but 1":   func() error { _, err := r.Instability([]float64{0.1}, 0.5, Above); return err },
		"row 2: risk 2":      func() error { _, err := r.Instability([]float64{0.1, 2}, 0.5, Above); return err },
		`rule "x"`:           func() error { _, err := r.Instability(nil, 0.5, "x"); return err },
		"not a number":       func() error { _, err := r.Instability(nil, math.NaN(), Above); return err },
		"no models":          func() error { _, err := NewRisks(nil); return err },
		"refit 2, row 1":     func() error { _, err := NewRisks([][]float64{{0.1}, {1.1}}); return err },
		"level 2 is not in":  func() error { _, err := r.Quantiles(2); return err },
		"0 refits":           func() error { _, err := Correct(1, 0.5, nil, 0.95); return err },
		"refit 2: scores":    func() error { _, err := Correct(1, 0.5, []Refit{{}, {InBag: math.NaN()}}, 0.95); return err },
		"level 1 is not in ": func() error { _, err := Correct(1, 0.5, []Refit{{}, {}}, 1); return err },
	} {
		if err := bad(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

func TestQuantiles(t *testing.T) {
	q, err := mustRisks(t, []float64{0.4, 0}, []float64{0.2, 1}, []float64{0.3, 0.5}).Quantiles(0, 0.25, 1)
	if err != nil || !slices.EqualFunc(q[0], []float64{0.2, 0.25, 0.4}, agree) || !slices.EqualFunc(q[1], []float64{0, 0.25, 1}, agree) {
		t.Errorf("%v, %v", q, err)
	}
}

func TestCorrect(t *testing.T) {
	refits := []Refit{{0.9, 0.8, 0.7}, {0.95, 0.75, math.NaN()}, {0.85, 0.85, 0.75}}
	c, err := Correct(0.88, 0.5, refits, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	rate := (0.88 - 0.725) / (0.88 - 0.5)
	w := 0.632 / (1 - 0.368*rate)
	for what, v := range map[string][2]float64{
		"optimism": {c.Optimism, 0.1}, "corrected": {c.OptimismCorrected, 0.78}, "out of bag": {c.OutOfBag, 0.725},
		".632": {c.Point632, 0.368*0.88 + 0.632*0.725}, ".632+": {c.Point632Plus, (1-w)*0.88 + w*0.725},
		"lower": {c.Lower, 0.775}, "upper": {c.Upper, 0.825}, "undefined": {float64(c.Undefined), 1},
	} {
		if !agree(v[0], v[1]) {
			t.Errorf("%s = %v, want %v", what, v[0], v[1])
		}
	}
	// Without overfitting .632+ is .632; at no information it is the out-of-bag.
	c, err = Correct(0.7, 0.5, []Refit{{0.7, 0.7, 0.7}, {0.7, 0.7, 0.7}}, 0.95)
	if err != nil || !agree(c.Point632Plus, 0.7) {
		t.Errorf("%+v, %v", c, err)
	}
	c, err = Correct(0.9, 0.5, []Refit{{0.9, 0.5, 0.4}, {0.9, 0.5, 0.4}}, 0.95)
	if err != nil || !agree(c.Point632Plus, 0.5) {
		t.Errorf("%+v, %v", c, err)
	}
}
