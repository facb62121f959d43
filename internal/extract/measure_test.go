package extract

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
			r := &Record{Head: Head{Outcomes: []int{0, 1, 0, 1}}, Scalars: map[string]Scalar{}}
			if err := r.Measure(c.risks, DefaultThresholds); err != nil {
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
	r := &Record{Head: Head{Outcomes: []int{0, 1, 0, 1}}}
	if err := r.Measure([][]float64{{0.1, 0.4, 0.5, 0.8}}, nil); err != nil {
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

// Of equal values numpy has a mean that rounding parts from them, a deviation of
// 1e-16 and so a range; what differs by more is no rounding.
func TestScalarsOfEqualRefits(t *testing.T) {
	values, off, tiny := make([]float64, 20), 0.6, 1.1102230246251565e-16
	for i := range values {
		values[i] = 46.0 / 63
	}
	ours := summarise(values, len(values))
	r := &Record{Head: Head{Refits: len(values)}}
	r.checkSummary("equal", Scalar{Mean: &values[0], SD: &tiny, Lower: &values[0], Upper: &values[0]}, ours)
	r.checkSummary("other", Scalar{Mean: &values[0], SD: &tiny, Lower: &off, Upper: &values[0]}, ours)
	if len(r.Checks) != 8 {
		t.Fatalf("%d checks, want mean, deviation and both limits of two", len(r.Checks))
	}
	for _, c := range r.Checks {
		if c.OK == (c.Name == "other_lower") {
			t.Errorf("%s: expected %v, found %v, agree: %t", c.Name, c.Expected, c.Found, c.OK)
		}
	}
}

// The quantiles are those of numpy's default, the deviation divides by n.
func TestSpreadOfRisks(t *testing.T) {
	r := &Record{Head: Head{Outcomes: []int{0, 1}}}
	if err := r.Measure([][]float64{{0.1, 0.3}, {0.4, 0.3}, {0.2, 0.3}, {0.9, 0.3}}, nil); err != nil {
		t.Fatal(err)
	}
	sd := 0.3082207001484488 // numpy.std([.1, .4, .2, .9])
	zero := 0.0
	want := []Spread{{[]float64{0.1075, 0.175, 0.3, 0.525, 0.8625}, &sd}, {[]float64{0.3, 0.3, 0.3, 0.3, 0.3}, &zero}}
	if diff := cmp.Diff(want, r.Spreads, cmpopts.EquateApprox(0, 1e-15)); diff != "" {
		t.Error(diff)
	}
	if err := r.Measure([][]float64{{0.1, 0.3}}, nil); err != nil || r.Spreads[0].SD != nil {
		t.Errorf("of one refit: %+v, error %v", r.Spreads, err)
	}
}

// Permuting the subjects of a pickle permutes what belongs to subjects and
// changes no bit of anything else.
func TestPermutedSubjects(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const n, refits = 40, 7
	outcomes, risks := make([]int, n), make([][]float64, refits)
	for i := range outcomes {
		outcomes[i] = i % 3 % 2
	}
	for m := range risks {
		for range n {
			risks[m] = append(risks[m], random.Float64())
		}
	}
	a, b := &Record{Head: Head{Outcomes: outcomes}}, &Record{}
	order := random.Perm(n)
	permuted := make([][]float64, refits)
	for _, i := range order {
		b.Outcomes = append(b.Outcomes, outcomes[i])
		for m := range risks {
			permuted[m] = append(permuted[m], risks[m][i])
		}
	}
	for r, with := range map[*Record][][]float64{a: risks, b: permuted} {
		if err := r.Measure(with, DefaultThresholds); err != nil {
			t.Fatal(err)
		}
	}
	for place, i := range order {
		if b.Risks[place] != a.Risks[i] || !cmp.Equal(b.Spreads[place], a.Spreads[i]) {
			t.Errorf("subject %d has another risk or spread in place %d", i, place)
		}
		if b.Paired.Ranks[place] != a.Paired.Ranks[i] || b.Paired.Squares[place] != a.Paired.Squares[i] || b.Paired.Positive[1][place] != a.Paired.Positive[1][i] {
			t.Errorf("subject %d is another one in place %d, as comparisons see it", i, place)
		}
	}
	a.Outcomes, a.Risks, a.Spreads, b.Outcomes, b.Risks, b.Spreads = nil, nil, nil, nil, nil, nil
	a.Paired, b.Paired = Paired{}, Paired{}
	if diff := cmp.Diff(a, b); diff != "" {
		t.Error(diff)
	}
}

// What comparisons are made of gives the measures over refits: the kernel the
// AUROC, the squares the Brier score, the positives the net benefit.
func TestPaired(t *testing.T) {
	outcomes := []int{0, 1, 0, 1, 0}
	risks := [][]float64{{0.1, 0.4, 0.5, 0.5, 0.1}, {0.2, 0.3, 0.4, 0.9, 0.2}}
	r := &Record{Head: Head{Outcomes: outcomes}}
	if err := r.Measure(risks, []float64{0.4}); err != nil {
		t.Fatal(err)
	}
	want := Paired{
		Ranks:      []int{0, 3, 2, 4, 0}, // the first and the last are equal in everything
		Pairs:      [][]int{{4, 0, 4}, {4, 3, 4}},
		Squares:    []float64{0.025, 0.425, 0.205, 0.13, 0.025},
		Thresholds: []float64{0.4},
		Positive:   [][]int{{0, 1, 2, 2, 0}},
	}
	if diff := cmp.Diff(want, r.Paired, cmpopts.EquateApprox(0, 1e-15)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for measure, want := range map[string]float64{
		"auroc": 19.0 / 24, "brier": (0.025 + 0.425 + 0.205 + 0.13 + 0.025) / 5, "nb@0.4": (1.5 - 1*0.4/0.6) / 5,
	} {
		if m := r.find(t, metrics.OverModels, measure); math.Abs(*m.Estimate-want) > 1e-15 {
			t.Errorf("%s over models is %v, and %v of what comparisons take", measure, *m.Estimate, want)
		}
	}
}

// Pairs of large test sets are not counted one by one.
func TestPairedOfManyPairs(t *testing.T) {
	const n = 500
	outcomes, risks := make([]int, n), [][]float64{make([]float64, n)}
	for i := range outcomes {
		outcomes[i], risks[0][i] = i%2, float64(i)/n
	}
	if p := newPaired(outcomes, risks, []float64{0.5}, make([]int, n)); p.Pairs != nil || len(p.Squares) != n || p.Positive[0][n-1] != 1 {
		t.Errorf("%d rows of pairs, %d squares", len(p.Pairs), len(p.Squares))
	}
}

// Classes are compared, too: an event is predicted above one half. What is undefined
// in a refit is not, because nobody knows what the pickle has in its place.
func TestClassificationChecks(t *testing.T) {
	risks := [][]float64{{0.1, 0.6, 0.5, 0.8}, {0.6, 0.4, 0.2, 0.9}}
	half, quarter, low, high, wrong := 0.75, 0.25, 0.5125, 0.9875, 0.9
	r := &Record{Head: Head{Outcomes: []int{0, 1, 0, 1}, Refits: 2}, Scalars: map[string]Scalar{
		"sensitivity": {N: 2, Mean: &half, SD: &quarter, Lower: &low, Upper: &high},
		"specificity": {N: 2, Mean: &wrong, SD: &quarter, Lower: &low, Upper: &high},
	}}
	if err := r.checkClassification(risks); err != nil {
		t.Fatal(err)
	}
	if len(r.Checks) != 8 {
		t.Errorf("%d checks", len(r.Checks))
	}
	for _, c := range r.Checks {
		if c.OK != (c.Name != "specificity_mean") {
			t.Errorf("%s: expected %v, found %v, %v", c.Name, show(c.Expected), show(c.Found), c.OK)
		}
	}
	r.Checks, r.Scalars = nil, map[string]Scalar{"PPV": {N: 2, Mean: &half}}
	if err := r.checkClassification([][]float64{risks[0], {0.1, 0.2, 0.3, 0.4}}); err != nil || len(r.Checks) != 0 {
		t.Errorf("checks of a refit that predicts no event: %+v, %v", r.Checks, err)
	}
}
