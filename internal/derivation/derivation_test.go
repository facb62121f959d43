package derivation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/disclosure"
)

// The ends of a smoothed curve are rounded inwards, so that it is of risks that
// occur; where they meet there is none.
func TestRoundedCurve(t *testing.T) {
	var all []Prediction
	for i := range 40 {
		all = append(all, Prediction{Outcome: (3 - i%3) / 3, Risk: 0.1234 + 0.01*float64(i)})
	}
	exact, _, err := Smoothed(all, disclosure.Privacy{})
	if err != nil {
		t.Fatal(err)
	}
	rounded, why, err := Smoothed(all, disclosure.Privacy{RoundRisks: 1})
	if err != nil || why != "" {
		t.Fatal(why, err)
	}
	if low, high := rounded[0].Risk, rounded[100].Risk; low != 0.2 || high != 0.5 {
		t.Errorf("from %v to %v, want 0.2 to 0.5 of %v to %v", low, high, exact[0].Risk, exact[100].Risk)
	}
	if points, why, err := Smoothed(all[:5], disclosure.Privacy{RoundRisks: 1}); why != "not_available" || points != nil || err != nil {
		t.Errorf("between 0.12 and 0.17: %d points, reason %q, error %v", len(points), why, err)
	}
}

// Whatever the order of equal deviations, a retention curve says only what the
// refits say.
func TestRetentionCurve(t *testing.T) {
	of := func(n int, sd func(i int) *float64) (all []Prediction) {
		for i := range n {
			all = append(all, Prediction{Code: fmt.Sprint(i), Outcome: i % 2, Risk: float64(1+i*7%n) / float64(n+1), SD: sd(i)})
		}
		return all
	}
	at := func(x float64) *float64 { return &x }
	rising := func(i int) *float64 { return at(float64(i) / 100) }

	curve, err := Retention(of(63, rising))
	if err != nil || len(curve) != 18 || curve[0].Rate != 10.0/63 || curve[1].Rate != 12.0/63 || curve[17].Rate != 1 {
		t.Errorf("%+v, error %v", curve, err)
	}
	// Ten subjects of alternating classes: the Brier score by hand.
	brier := 0.0
	for _, p := range of(63, rising)[:10] {
		brier += (float64(p.Outcome) - p.Risk) * (float64(p.Outcome) - p.Risk) / 10
	}
	if math.Abs(curve[0].Values[1]-brier) > 1e-15 {
		t.Errorf("Brier score %v, want %v", curve[0].Values[1], brier)
	}
	if few, _ := Retention(of(7, rising)); len(few) != 1 || few[0].Rate != 1 {
		t.Errorf("of seven subjects: %+v", few)
	}
	for name, sd := range map[string]func(int) *float64{"one refit": func(int) *float64 { return nil }, "equal": func(int) *float64 { return at(0.1) }} {
		all := of(40, sd)
		curve, err := Retention(all)
		if err != nil {
			t.Fatal(err)
		}
		for i, point := range curve {
			if last := i == len(curve)-1; math.IsNaN(point.Values[1]) == last {
				t.Errorf("%s: Brier score %v at the rate %v", name, point.Values[1], point.Rate)
			}
		}
		random := rand.New(rand.NewPCG(1, 2))
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		again, err := Retention(all)
		if diff := cmp.Diff(curve, again, cmp.AllowUnexported(Retained{}), cmpopts.EquateNaNs()); diff != "" || err != nil {
			t.Errorf("%s: shuffled: %s, error %v", name, diff, err)
		}
	}
	// One class among the first ten.
	curve, err = Retention(of(63, func(i int) *float64 { return at(float64(i%2)*10 + float64(i)/100) }))
	if err != nil || !math.IsNaN(curve[0].Values[0]) || !math.IsNaN(curve[0].Values[2]) || math.IsNaN(curve[0].Values[1]) || math.IsNaN(curve[0].Values[3]) {
		t.Errorf("one class: %+v, error %v", curve[0], err)
	}
}

// Risks of 0 and 1 with the means p and 1-p have one deviation on paper, and two by
// rounding.
func TestRetentionOfHardRisks(t *testing.T) {
	sd := func(ones int) *float64 {
		p := float64(ones) / 20
		sd := math.Sqrt((float64(ones)*(1-p)*(1-p) + float64(20-ones)*p*p) / 20)
		return &sd
	}
	above := *sd(9)
	if below := *sd(11); above == below {
		above = math.Nextafter(below, 1)
	}
	var all []Prediction
	for i := range 40 {
		p := Prediction{Code: fmt.Sprint(i), Outcome: i % 2, Risk: 0.05, SD: sd(1)}
		switch {
		case i >= 20:
			p.Risk, p.SD = 0.5, sd(10)
		case i >= 10:
			p.Risk, p.SD = 0.55, sd(11)
		case i >= 8:
			p.Risk, p.SD = 0.45, &above
		}
		all = append(all, p)
	}
	curve, err := Retention(all)
	if err != nil {
		t.Fatal(err)
	}
	for _, point := range curve {
		kept := int(math.Round(point.Rate * 40))
		if whole := kept == 20 || kept == 40; math.IsNaN(point.Values[1]) == whole {
			t.Errorf("%d of 40 kept: Brier score %v", kept, point.Values[1])
		}
	}
}
