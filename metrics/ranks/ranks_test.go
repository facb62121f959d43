package ranks

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/metrics"
)

func agree(got, want, rtol float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+rtol*math.Abs(want)
}

// R's qtukey and ptukey err by up to 3e-8.
const studentised = 1e-6

func TestFriedmanVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/friedman_nemenyi.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	// Demšar's published 9.28, 3.69 and ranks come out only when the tie that his
	// printed table has is broken; both tables are here.
	for _, name := range []string{"demsar_as_printed", "demsar_voting_untied", "synthetic_12x6", "all_equal_3x4"} {
		var set struct {
			Data       [][]float64
			Ranks      []float64                  `json:"average_ranks"`
			Chi        float64                    `json:"chi2_demsar_no_tie_correction"`
			FF         float64                    `json:"F_F_iman_davenport"`
			DF         []float64                  `json:"F_F_df"`
			FFP        float64                    `json:"F_F_p"`
			ChiP       float64                    `json:"chi2_p"`
			Corrected  struct{ Statistic, P any } `json:"friedman_test_tie_corrected"`
			CD05, CD10 float64
			Nemenyi    [][]float64 `json:"nemenyi_p"`
		}
		if err := json.Unmarshal(file[name], &set); err != nil {
			t.Fatal(err)
		}
		f, err := NewFriedman(set.Data, HigherIsBetter)
		if err != nil {
			t.Fatal(err)
		}
		cd05, err5 := f.CriticalDifference(0.05)
		cd10, err10 := f.CriticalDifference(0.10)
		if err5 != nil || err10 != nil {
			t.Fatal(err5, err10)
		}
		check := func(what string, got, want, rtol float64) {
			t.Helper()
			if !agree(got, want, rtol) {
				t.Errorf("%s: %s = %v, want %v", name, what, got, want)
			}
		}
		for j, r := range set.Ranks {
			check("rank", f.MeanRanks[j], r, 1e-12)
		}
		check("chi squared", f.ChiSquared.Statistic, set.Chi, 1e-12)
		check("p", f.ChiSquared.P, set.ChiP, 1e-12)
		check("F", f.ImanDavenport.Statistic, set.FF, 1e-12)
		check("df", f.ImanDavenport.DF, set.DF[0], 0)
		check("df", f.DenominatorDF, set.DF[1], 0)
		check("p of F", f.ImanDavenport.P, set.FFP, 1e-12)
		check("CD at .05", cd05, set.CD05, studentised)
		check("CD at .10", cd10, set.CD10, studentised)
		if want, is := set.Corrected.Statistic.(float64); is {
			check("corrected", f.Corrected.Statistic, want, 1e-12)
			check("corrected p", f.Corrected.P, set.Corrected.P.(float64), 1e-12)
		} else if f.Corrected.Undefined != metrics.ZeroVariance {
			t.Errorf("%s: corrected %+v, want undefined", name, f.Corrected)
		}
		for i, row := range f.Nemenyi() {
			for j, p := range row {
				if math.Abs(p-set.Nemenyi[i][j]) > studentised*set.Nemenyi[i][j]+1e-8 {
					t.Errorf("%s: p of %d and %d = %v, want %v", name, i, j, p, set.Nemenyi[i][j])
				}
			}
		}
	}
	var table map[string][]float64
	if err := json.Unmarshal(file["q_alpha_table"], &table); err != nil {
		t.Fatal(err)
	}
	for alpha, key := range map[float64]string{0.05: "q_0.05", 0.10: "q_0.10", 0.01: "q_0.01"} {
		for i, k := range table["k"] {
			q, err := StudentisedRangeQuantile(alpha, int(k))
			if err != nil || !agree(q/math.Sqrt2, table[key][i], studentised) {
				t.Errorf("q at %v of %v = %v (%v), want %v", alpha, k, q/math.Sqrt2, err, table[key][i])
			}
		}
	}
}

// The range of two is |difference| of normal variables, with variance 2.
func TestRangeOfTwo(t *testing.T) {
	for _, q := range []float64{1e-6, 0.1, 1, 2.77, 10, 40} {
		want := math.Erfc(q / 2)
		if got := StudentisedRangeTail(q, 2); math.Abs(got/want-1) > 1e-11 {
			t.Errorf("tail of two at %v = %v, want %v", q, got, want)
		}
	}
	for _, alpha := range []float64{0.999, 0.5, 1e-3, 1e-12} {
		for _, k := range []int{2, 7, 100, 5000} {
			q, err := StudentisedRangeQuantile(alpha, k)
			if back := StudentisedRangeTail(q, k); err != nil || math.Abs(back/alpha-1) > 1e-9 {
				t.Errorf("quantile of %d at %v: %v, whose tail is %v", k, alpha, q, back)
			}
		}
	}
}

func TestFriedmanIncompleteAndRefused(t *testing.T) {
	nan := math.NaN()
	f, err := NewFriedman([][]float64{{1, 2, 3}, {nan, 1, 2}, {1, 2, 3}}, LowerIsBetter)
	if err != nil || f.Incomplete != 1 || f.Blocks != 2 || !slices.Equal(f.MeanRanks, []float64{1, 2, 3}) {
		t.Errorf("%+v, %v", f, err)
	}
	if !math.IsInf(f.ImanDavenport.Statistic, 1) || f.ImanDavenport.P != 0 {
		t.Errorf("F of blocks that agree = %+v", f.ImanDavenport)
	}
	for _, bad := range [][][]float64{nil, {{1}, {2}}, {{1, 2}}, {{1, 2}, {1}}, {{1, 2}, {1, nan}}} {
		if _, err := NewFriedman(bad, HigherIsBetter); err == nil {
			t.Errorf("no error of %v", bad)
		}
	}
}

func TestGroups(t *testing.T) {
	f := &Friedman{Methods: 5, MeanRanks: []float64{3, 1, 1.5, 4.9, 2.2}}
	for _, test := range []struct {
		cd   float64
		want [][]int
	}{
		{1, [][]int{{1, 2}, {2, 4}, {4, 0}}},
		{1.6, [][]int{{1, 2, 4}, {2, 4, 0}}},
		{0.1, nil},
		{9, [][]int{{1, 2, 4, 0, 3}}},
	} {
		if diff := cmp.Diff(test.want, f.Groups(test.cd)); diff != "" {
			t.Errorf("groups at %v:\n%s", test.cd, diff)
		}
	}
}

// Wilcoxon's own example (depression, in R's documentation), the exact tail of all
// positive differences, and the normal form by its formula.
func TestWilcoxon(t *testing.T) {
	x := []float64{1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30}
	y := []float64{0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29}
	w, err := WilcoxonSignedRank(x, y)
	if err != nil || w.Statistic != 40 || !w.Exact || !agree(w.P, 0.0390625, 1e-12) {
		t.Errorf("%+v, %v; want V = 40, p = 0.03906", w, err)
	}
	w, err = WilcoxonSignedRank([]float64{1, 2, 3, 5}, []float64{1, 0, 0, 1})
	if err != nil || w.Zeros != 1 || w.N != 3 || !agree(w.P, 0.25, 1e-12) {
		t.Errorf("%+v, %v", w, err)
	}
	w, err = WilcoxonSignedRank([]float64{1, 1, -1, 2}, []float64{0, 0, 0, 0})
	z := (8 - 5 - 0.5) / math.Sqrt(4*5*9/24.0-24/48.0)
	if want := math.Erfc(z / math.Sqrt2); err != nil || w.Exact || !agree(w.P, want, 1e-12) {
		t.Errorf("%+v, %v; want p = %v", w, err, want)
	}
	if w, err := WilcoxonSignedRank([]float64{1}, []float64{1}); err != nil || w.Undefined != metrics.ZeroVariance {
		t.Errorf("%+v, %v", w, err)
	}
	if _, err := WilcoxonSignedRank([]float64{1, math.NaN()}, []float64{1, 2}); err == nil {
		t.Error("no error of NaN")
	}
}
