package metrics

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRiskCoverage(t *testing.T) {
	// Errors in rows 2 and 4; by increasing uncertainty: 1, 2, 3, 4.
	s := mustSample(t, []int{1, 0, 0, 1}, []float64{0.9, 0.8, 0.4, 0.45})
	u, err := UncertaintyOf(s, NearThreshold, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	sel, err := Select(s, u, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	got := sel.RiskCoverage()
	// (0 + 1/2 + 1/3 + 2/4)/4, and errors last: (1/3 + 2/4)/4
	area, least := (0.5+1.0/3+0.5)/4, (1.0/3+0.5)/4
	if !agree(got.AURC.Value, area, closedForm) || !agree(got.Optimum.Value, least, closedForm) || !agree(got.Excess.Value, area-least, closedForm) {
		t.Errorf("%+v, want %v, %v", got, area, least)
	}
	kept, err := sel.Retention([]float64{0.1, 0.5, 1}, 2)
	if err != nil {
		t.Fatal(err)
	}
	if k := kept[0]; k.Kept != 2 || k.Coverage != 0.5 || k.Rate != 0.1 || k.Errors != 1 || k.Accuracy.Value != 0.5 || k.Prevalence != 0.5 {
		t.Errorf("%+v: the subjects really kept are to be reported", k)
	}
	if k := kept[2]; k.Kept != 4 || k.Errors != 2 || k.AUROC.Undefined != "" {
		t.Errorf("%+v", k)
	}
	for text, bad := range map[string]func() error{
		"4 subjects but 1":     func() error { _, err := Select(s, []float64{1}, 0.5); return err },
		"row 2":                func() error { _, err := Select(s, []float64{1, math.NaN(), 0, 0}, 0.5); return err },
		"threshold":            func() error { _, err := Select(s, u, math.NaN()); return err },
		"rate of retention 0 ": func() error { _, err := sel.Retention([]float64{0}, 1); return err },
		"at least 0":           func() error { _, err := sel.Retention([]float64{1}, 0); return err },
		`rule "x"`:             func() error { _, err := UncertaintyOf(s, "x", 0.5); return err },
	} {
		if err := bad(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
	none, err := Select(&Sample{}, nil, 0.5)
	if err != nil || none.RiskCoverage().AURC.Undefined != Empty {
		t.Errorf("%v", err)
	}
}

// No order of the subjects has a smaller area than the optimum.
func TestRiskCoverageOptimum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 1)
		u := rapid.SliceOfN(rapid.Float64Range(0, 1), s.N(), s.N()).Draw(t, "uncertainty")
		sel, err := Select(s, u, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		if c := sel.RiskCoverage(); c.Excess.Value < -1e-12 {
			t.Fatalf("%+v", c)
		}
	})
}
