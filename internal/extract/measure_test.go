package extract

import (
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/metrics"
)

// A spread that is missing beside a number is explained in the note.
func TestSpreadWithoutNumber(t *testing.T) {
	for name, c := range map[string]struct {
		risks   [][]float64
		measure string
		want    string
	}{
		"one refit":    {[][]float64{{0.1, 0.4, 0.5, 0.8}}, "auroc", "mean over 1 refit; spread undefined: too_few"},
		"infinite O:E": {[][]float64{{0.1, 0.4, 0.5, 0.8}, {0.1, 0.4, 0.5, 0.8}, {0, 0, 0, 0}}, "oe_ratio", "median over 3 refits; spread undefined: zero_denominator"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Record{Outcomes: []int{0, 1, 0, 1}, Scalars: map[string]Scalar{}}
			if err := r.measure(c.risks, DefaultThresholds); err != nil {
				t.Fatal(err)
			}
			for _, m := range r.Measures {
				if m.Estimand == metrics.OverModels && m.Measure == c.measure {
					if m.Estimate == nil || m.SpreadSD != nil || m.Note != c.want {
						t.Errorf("%+v, want the note %q", m, c.want)
					}
				}
				if m.Undefined != "" && strings.Contains(m.Note, "spread") {
					t.Errorf("%s has no number and a note on its spread: %s", m.Measure, m.Note)
				}
			}
		})
	}
}

// The reference's deviation of 0 over one refit does not disagree with ours,
// which is undefined.
func TestScalarsOfOneRefit(t *testing.T) {
	r := &Record{Outcomes: []int{0, 1, 0, 1}}
	if err := r.measure([][]float64{{0.1, 0.4, 0.5, 0.8}}, nil); err != nil {
		t.Fatal(err)
	}
	mean, zero := 0.75, 0.0
	r.Scalars = map[string]Scalar{"AUROC": {Mean: &mean, SD: &zero, Lower: &mean, Upper: &mean}}
	r.checkScalars()
	for _, c := range r.Checks {
		if !c.OK {
			t.Errorf("%+v", c)
		}
	}
	if len(r.Checks) != 1 {
		t.Errorf("%d checks, want one of the mean", len(r.Checks))
	}
}
