package compare

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/ranks"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

func agree(got, want, rtol float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+rtol*math.Abs(want)
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// list reads a number or a list of them.
type list []float64

func (l *list) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		return json.Unmarshal(data, (*[]float64)(l))
	}
	*l = make(list, 1)
	return json.Unmarshal(data, &(*l)[0])
}

func TestAdjustVectors(t *testing.T) {
	var file map[string]json.RawMessage
	readJSON(t, "p_adjust.json", &file)
	for name, raw := range file {
		if name == "tool" {
			continue
		}
		var set map[string]list
		if err := json.Unmarshal(raw, &set); err != nil {
			t.Fatal(err)
		}
		for key, how := range map[string]Adjustment{"BH": BH, "BY": BY, "holm": Holm, "hochberg": Hochberg, "hommel": Hommel, "bonferroni": Bonferroni} {
			got, err := Adjust(set["p"], how)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range set[key] {
				if !agree(got[i], want, 1e-12) {
					t.Errorf("%s %s: %v, want %v", name, how, got, set[key])
					break
				}
			}
		}
	}
	for _, bad := range [][]float64{{-0.1}, {1.1}, {math.NaN()}} {
		if _, err := Adjust(bad, BH); err == nil {
			t.Errorf("no error of %v", bad)
		}
	}
	if _, err := Adjust([]float64{0.1}, "none"); err == nil {
		t.Error("no error of an unknown adjustment")
	}
}

// noncentral are the limits of Cohen's d in the vectors' sets at which the noncentral t
// distribution is 0.975 and 0.025, by mpmath in 30 digits: the mean of Φ(ts - δ) over
// the density of s by quadrature, the root by the secant method.
var noncentral = map[string][2]float64{
	"ref_large":   {0.60758849669742737, 2.66192983282862255},
	"doc_example": {-1.89067655597759797, 0.662322906074677946},
	"unequal":     {-4.2967964219302395, -0.759854800559856101},
	"tooth":       {-0.0215100977503639801, 1.00642097608905896},
}

func TestEffectSizeVectors(t *testing.T) {
	var file map[string]json.RawMessage
	readJSON(t, "effect_sizes.json", &file)
	for name, raw := range file {
		if name == "tool" {
			continue
		}
		var set struct {
			A, B  []float64
			D     float64    `json:"cohens_d"`
			CI    [2]float64 `json:"cohens_d_ci95"`
			G     float64    `json:"hedges_g_exact"`
			Cliff float64    `json:"cliffs_delta"`
			W     float64    `json:"wilcox_W"`
			T     float64    `json:"t_welch"`
			DF    float64    `json:"t_welch_df"`
			P     float64    `json:"t_welch_p"`
		}
		if err := json.Unmarshal(raw, &set); err != nil {
			t.Fatal(err)
		}
		e, err := EffectSize(set.A, set.B, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		delta, w, err := ranks.CliffsDelta(set.A, set.B)
		if err != nil {
			t.Fatal(err)
		}
		for what, v := range map[string][3]float64{
			"d": {e.D, set.D, 1e-12}, "g": {e.G, set.G, 1e-12}, "t": {e.T, set.T, 1e-12}, "df": {e.DF, set.DF, 1e-12},
			"p": {e.P, set.P, 1e-12}, "delta": {delta, set.Cliff, 1e-12}, "W": {w, set.W, 1e-12},
			// effectsize's optimiser stops a few units of the seventh digit short.
			"effectsize's lower": {e.Lower, set.CI[0], 2e-6}, "effectsize's upper": {e.Upper, set.CI[1], 4e-7},
			"lower": {e.Lower, noncentral[name][0], 1e-12}, "upper": {e.Upper, noncentral[name][1], 1e-12},
		} {
			if !agree(v[0], v[1], v[2]) {
				t.Errorf("%s: %s = %v, want %v", name, what, v[0], v[1])
			}
		}
	}
}

// The central t distribution is the noncentral one at 0; and SciPy's nct.cdf.
func TestNoncentralT(t *testing.T) {
	for _, test := range []struct{ t, df, delta, want float64 }{
		{2, 3, 0, 0.9303370157205785}, {2, 1, 0, 0.8524163823495667}, {1, 8, 2, 0.15844033984856382}, {-3, 5, -1, 0.08373824402719357}, {5, 200, 4, 0.8325046182405019},
	} {
		if got := noncentralT(test.t, test.df, test.delta); !agree(got, test.want, 1e-9) {
			t.Errorf("P(T <= %v; %v, %v) = %v, want %v", test.t, test.df, test.delta, got, test.want)
		}
	}
}

// grid makes configurations of which number k is better the larger k/steps is.
func grid(t *testing.T, configurations, n, events int, signal func(c int) float64, seed uint64) []*metrics.Sample {
	t.Helper()
	outcomes := make([]int, n)
	for i := range events {
		outcomes[i] = 1
	}
	var all []*metrics.Sample
	for c := range configurations {
		stream := resample.NewStream(seed, uint64(c))
		risks := make([]float64, n)
		for i := range risks {
			noise := math.Sqrt(-2*math.Log(1-stream.Float64())) * math.Cos(2*math.Pi*stream.Float64())
			risks[i] = 1 / (1 + math.Exp(-noise-signal(c)*float64(outcomes[i])))
		}
		s, err := metrics.NewSample(outcomes, risks)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	return all
}

func TestPairedBootstrap(t *testing.T) {
	samples := grid(t, 4, 120, 50, func(c int) float64 { return []float64{2, 2, 0.5, 1}[c] }, 1)
	p, err := Resample(append(samples, samples[0]), metrics.StatisticAUROC, 400, 3, metrics.Stratified)
	if err != nil {
		t.Fatal(err)
	}
	percentile := resample.Options{Method: resample.Percentile, Level: 0.95}
	d, err := p.Difference(0, 2)
	if err != nil {
		t.Fatal(err)
	}
	want := metrics.AUROC(samples[0]).Value - metrics.AUROC(samples[2]).Value
	if i := d.Interval(percentile); !agree(d.Estimate, want, 1e-12) || !i.Defined() || !(i.Lower > 0 && i.Lower < want && want < i.Upper) {
		t.Errorf("difference %v (want %v) with %+v", d.Estimate, want, i)
	}
	// DeLong's standard error is that of the same difference.
	test, err := metrics.CompareAUROCs(samples[0], samples[2])
	if err != nil {
		t.Fatal(err)
	}
	if se := math.Sqrt(test.VarianceA + test.VarianceB - 2*test.Covariance); math.Abs(d.SD/se-1) > 0.15 {
		t.Errorf("standard error %v, DeLong's %v", d.SD, se)
	}
	if i := d.Interval(resample.Options{Method: resample.BCa, Level: 0.95}); !i.Defined() || !(i.Lower > 0) {
		t.Errorf("BCa %+v", i)
	}
	same, err := p.Difference(0, 4)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := same.Equivalence(DefaultMargin, 0.05); err != nil || same.Estimate != 0 || same.SD != 0 || !e.Equivalent || e.P > 0.01 {
		t.Errorf("a configuration is not equivalent to itself: %+v, %v", e, err)
	}
	if e, err := d.Equivalence(DefaultMargin, 0.05); err != nil || e.Equivalent || e.P < 0.5 {
		t.Errorf("a worse configuration is equivalent: %+v, %v", e, err)
	}

	means, cells, err := p.MethodMeans([]string{"x", "y", "y", "x", "z"}, []string{"1", "1", "2", "2", "1"})
	if err != nil || cells != 1 || len(means) != 3 || means[2].Method != "z" || !agree(means[0].Estimate, p.Estimates()[0], 1e-12) {
		t.Errorf("means %+v over %d cells, %v", means, cells, err)
	}
	if _, _, err := p.MethodMeans([]string{"x", "y", "y", "y", "y"}, []string{"1", "2", "2", "2", "2"}); err == nil {
		t.Error("no error without a common cell")
	}
}

// Of equally good configurations the best looks better than it is, and the
// corrected value does not.
func TestBestIsCorrected(t *testing.T) {
	const truth = 0.7602499389065233 // Φ(1/√2), the AUROC of a shift by 1
	var apparent, corrected float64
	const studies = 30
	for study := range studies {
		samples := grid(t, 30, 63, 17, func(int) float64 { return 1 }, uint64(study))
		p, err := Resample(samples, metrics.StatisticAUROC, 100, 1, metrics.Stratified)
		if err != nil {
			t.Fatal(err)
		}
		b, err := p.Best(false)
		if err != nil || b.Reason != "" {
			t.Fatal(b, err)
		}
		apparent += b.Apparent / studies
		corrected += b.Corrected / studies
	}
	if apparent < truth+0.08 || math.Abs(corrected-truth) > 0.03 {
		t.Errorf("apparent %v, corrected %v, truth %v", apparent, corrected, truth)
	}
}

func TestResampleRefuses(t *testing.T) {
	a, err1 := metrics.NewSample([]int{0, 1, 0}, []float64{0.1, 0.2, 0.3})
	b, err2 := metrics.NewSample([]int{0, 1, 1}, []float64{0.1, 0.2, 0.3})
	one, err3 := metrics.NewSample([]int{0, 0, 0}, []float64{0.1, 0.2, 0.3})
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	for text, samples := range map[string][]*metrics.Sample{
		"no configurations":       nil,
		"configuration 2, row 3":  {a, b},
		"auroc is undefined (one": {one},
	} {
		if _, err := Resample(samples, metrics.StatisticAUROC, 10, 1, metrics.Plain); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q", err, text)
		}
	}
}

func TestSpecifications(t *testing.T) {
	in := func(lo, hi float64) metrics.Interval { return metrics.Interval{Lower: lo, Upper: hi, Method: "x"} }
	c, err := Specifications([]float64{3, 1, 2}, []metrics.Interval{in(2.5, 4), in(0, 3), {Undefined: metrics.TooFew}}, 1.5)
	if err != nil || c.Order[0] != 1 || c.Median != 2 || !agree(c.Above, 2.0/3, 1e-12) || c.Clear != 0.5 || c.WithInterval != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := Specifications([]float64{math.NaN()}, nil, 0); err == nil {
		t.Error("no error of NaN")
	}
}
