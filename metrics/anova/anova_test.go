package anova

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
)

func agree(got, want, rtol float64) bool {
	return got == want || math.Abs(got-want) <= 1e-12+rtol*math.Abs(want)
}

func readData(t *testing.T) (y []float64, factors []Factor) {
	t.Helper()
	f, err := os.Open("testdata/anova_own.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	factors = []Factor{{Name: rows[0][0]}, {Name: rows[0][1]}, {Name: rows[0][2]}}
	for _, row := range rows[1:] {
		for k := range factors {
			factors[k].Levels = append(factors[k].Levels, row[k])
		}
		v, err := strconv.ParseFloat(row[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		y = append(y, v)
	}
	return y, factors
}

// The tables of R's anova and car's Anova, types I, II and III.
func TestVectors(t *testing.T) {
	y, factors := readData(t)
	data, err := os.ReadFile("testdata/anova_own.json")
	if err != nil {
		t.Fatal(err)
	}
	var file map[string]json.RawMessage
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	type row map[string]any
	check := func(what string, got Effect, want row) {
		t.Helper()
		for key, v := range map[string]float64{"Df": float64(got.DF), "Sum Sq": got.SS, "F value": got.F, "Pr(>F)": got.P} {
			w, is := want[key].(float64)
			if !is {
				continue // "NA" of residuals
			}
			if !agree(v, w, 1e-12) {
				t.Errorf("%s: %s = %v, want %v", what, key, v, w)
			}
			if key == "Pr(>F)" && math.Abs(v/w-1) > 1e-12 {
				t.Errorf("%s: p = %v, want %v", what, v, w)
			}
		}
	}
	for name, terms := range map[string][]string{
		"additive":             {"outlier", "imputation", "classifier"},
		"outlier_x_imputation": {"outlier", "imputation", "classifier", "outlier:imputation"},
		"oneway":               {"outlier"},
	} {
		var model map[string]json.RawMessage
		if err := json.Unmarshal(file[name], &model); err != nil {
			t.Fatal(err)
		}
		for which, key := range map[Type]string{TypeI: "type1", TypeII: "type2", TypeIII: "type3"} {
			if model[key] == nil {
				continue
			}
			var want map[string]row
			if err := json.Unmarshal(model[key], &want); err != nil {
				t.Fatal(err)
			}
			got, err := Fit(y, factors, terms, which)
			if err != nil {
				t.Fatal(err)
			}
			rows := append([]Effect{got.Residual}, got.Effects...)
			if got.Intercept != nil {
				rows = append(rows, *got.Intercept)
			}
			if len(rows) != len(want) {
				t.Errorf("%s %s: %d rows, want %d", name, key, len(rows), len(want))
			}
			for _, e := range rows {
				check(name+" "+key+" "+e.Term, e, want[e.Term])
			}
			for key, v := range map[string]float64{"ss_total_corrected": got.Total, "r2": got.R2} {
				var w float64
				if model[key] == nil {
					continue
				}
				if err := json.Unmarshal(model[key], &w); err != nil || !agree(v, w, 1e-12) {
					t.Errorf("%s: %s = %v, want %v", name, key, v, w)
				}
			}
			if name == "oneway" {
				var levene map[string]row
				var w, p float64
				for key, into := range map[string]any{"levene": &levene, "shapiro": &w, "shapiro_p": &p} {
					if err := json.Unmarshal(model[key], into); err != nil {
						t.Fatal(err)
					}
				}
				e, err := Levene(y, factors[0].Levels, Median)
				if err != nil {
					t.Fatal(err)
				}
				check("Levene", e, levene["group"])
				gotW, gotP, err := ShapiroWilk(got.Residuals)
				if err != nil || !agree(gotW, w, 1e-12) || !agree(gotP, p, 1e-12) {
					t.Errorf("Shapiro-Wilk %v, %v (%v), want %v, %v", gotW, gotP, err, w, p)
				}
			}
		}
	}
}

func TestEffectMeasures(t *testing.T) {
	// A balanced one-way layout: SS between 6, within 4, total 10.
	y := []float64{1, 2, 3, 3, 4, 5}
	group := Factor{"g", []string{"a", "a", "a", "b", "b", "b"}}
	got, err := Fit(y, []Factor{group}, []string{"g"}, TypeIII)
	if err != nil {
		t.Fatal(err)
	}
	e := got.Effects[0]
	for what, v := range map[string][2]float64{
		"SS": {e.SS, 6}, "F": {e.F, 6}, "eta2": {e.Eta2, 0.6}, "partial": {e.PartialEta2, 0.6},
		"omega2": {e.Omega2, 5.0 / 11}, "partial omega2": {e.PartialOmega2, 5.0 / 11}, "f": {e.CohensF(), math.Sqrt(1.5)},
	} {
		if !agree(v[0], v[1], 1e-12) {
			t.Errorf("%s = %v, want %v", what, v[0], v[1])
		}
	}
}

func TestRefusals(t *testing.T) {
	y := []float64{1, 2, 3, 4}
	a, b := Factor{"a", []string{"x", "x", "y", "y"}}, Factor{"b", []string{"u", "u", "v", "v"}}
	for _, test := range []struct {
		y       []float64
		factors []Factor
		terms   []string
		which   Type
		text    string
	}{
		{y, []Factor{a}, []string{"c"}, TypeI, `no factor "c"`},
		{y, []Factor{a}, nil, TypeI, "no terms"},
		{y, []Factor{a}, []string{"a"}, 4, "type 4"},
		{y, []Factor{a, b}, []string{"a", "b"}, TypeII, "not estimable"},
		{y, []Factor{{"a", []string{"x", "x", "x", "x"}}}, []string{"a"}, TypeI, "one level"},
		{y, []Factor{{"a", []string{"x"}}}, []string{"a"}, TypeI, "1 observations of 4"},
		{[]float64{1, math.NaN(), 3, 4}, []Factor{a}, []string{"a"}, TypeI, "observation 2"},
	} {
		if _, err := Fit(test.y, test.factors, test.terms, test.which); err == nil || !strings.Contains(err.Error(), test.text) {
			t.Errorf("error %v, want %q", err, test.text)
		}
	}
}

// Values of SciPy's shapiro and R's shapiro.test (AS R94).
func TestShapiroWilk(t *testing.T) {
	for _, test := range []struct {
		values []float64
		w, p   float64
	}{
		{[]float64{148, 154, 158, 160, 161, 162, 166, 170, 182, 195, 236}, 0.7888146948, 0.0067038140},
		{[]float64{1, 2, 4}, 0.9642857143, 0.6368868},
		{[]float64{0.1, 0.9, 0.2, 0.4, 0.6}, 0.9580215099, 0.7941432275},
	} {
		w, p, err := ShapiroWilk(test.values)
		if err != nil || math.Abs(w-test.w) > 1e-7 || math.Abs(p-test.p) > 1e-6 {
			t.Errorf("Shapiro-Wilk of %v = %v, %v (%v), want %v, %v", test.values, w, p, err, test.w, test.p)
		}
	}
	for _, bad := range [][]float64{{1, 2}, {1, 1, 1}, {1, 2, math.Inf(1)}} {
		if _, _, err := ShapiroWilk(bad); err == nil {
			t.Errorf("no error of %v", bad)
		}
	}
}
