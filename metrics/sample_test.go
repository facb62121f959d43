package metrics

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func mustSample(t testing.TB, outcomes []int, risks []float64) *Sample {
	t.Helper()
	s, err := NewSample(outcomes, risks)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestInputErrors(t *testing.T) {
	sample := func(outcomes []int, risks []float64) error {
		_, err := NewSample(outcomes, risks)
		return err
	}
	refits := func(outcomes []int, risks ...[]float64) error {
		_, err := NewRefits(outcomes, risks)
		return err
	}
	for _, test := range []struct {
		err        error
		refit, row int
		text       string
	}{
		{sample([]int{0, 2}, []float64{0.1, 0.2}), -1, 1, "row 2: outcome 2 is neither 0 nor 1"},
		{sample([]int{0, 1, 1}, []float64{0.1, 0.2, math.NaN()}), -1, 2, "row 3: risk NaN"},
		{sample([]int{0, 1}, []float64{-0.1, 0.2}), -1, 0, "row 1: risk -0.1 is not in [0, 1]"},
		{sample([]int{0, 1}, []float64{0.1, math.Nextafter(1, 2)}), -1, 1, "row 2: risk 1.0"},
		{sample([]int{0, 1}, []float64{0.1}), -1, -1, "2 outcomes but 1 risks"},
		{refits([]int{0, 1}), -1, -1, "no refits"},
		{refits([]int{0, -1}, []float64{0, 1}), -1, 1, "row 2: outcome -1"},
		{refits([]int{0, 1}, []float64{0, 1}, []float64{0, math.Inf(1)}), 1, 1, "refit 2, row 2: risk +Inf"},
		{refits([]int{0, 1}, []float64{0, 1}, []float64{0, 1, 0}), 1, -1, "refit 2: 2 outcomes but 3 risks"},
	} {
		var input *InputError
		if !errors.As(test.err, &input) {
			t.Errorf("error %v, want an InputError: %s", test.err, test.text)
			continue
		}
		if input.Refit != test.refit || input.Row != test.row || !strings.Contains(input.Error(), test.text) {
			t.Errorf("error %+v %q, want refit %d, row %d and %q", *input, input, test.refit, test.row, test.text)
		}
	}
}

func TestSampleIsACopy(t *testing.T) {
	outcomes, risks := []int{0, 1, 1}, []float64{0.1, 0.2, 0.3}
	s := mustSample(t, outcomes, risks)
	outcomes[0], risks[0] = 1, 1
	if s.N() != 3 || s.Events() != 2 || s.Outcomes()[0] != 0 || s.Risks()[0] != 0.1 {
		t.Errorf("the sample changed with its input: %v", s)
	}
}
