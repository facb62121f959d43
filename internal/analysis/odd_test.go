package analysis

import (
	"database/sql/driver"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// replace puts a configuration with other test subjects in the place of x.
func (c tables) replace(t *testing.T, x tuple, outcomes []int, risks [][]float64) {
	t.Helper()
	id := c.configID(t, x)
	for name := range c {
		if name != "runs" && name != "methods" && name != "meta" {
			c.drop(name, func(row []driver.Value) bool { return row[0] == id })
		}
	}
	addConfiguration(t, func(table string, cells ...driver.Value) { c[table] = append(c[table], cells) }, id, x, outcomes, risks)
}

func named4() []tuple {
	return []tuple{
		{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"},
		{"CatBoost", "simple1.0", "ensemble-LOF-MOMENT-OneClassSVM-PROPHET-SubPCA-TimesNet-UniTS-gt-finetune", "CSDI"},
		{"CatBoost", "simple1.0", "MOMENT-gt-finetune", "SAITS"},
		{"CatBoost", "simple1.0", "LOF", "SAITS"},
	}
}

func outcomesOf(n, events int) []int {
	out := make([]int, n)
	for i := range events {
		out[i] = 1
	}
	return out
}

func wantCaption(t *testing.T, doc *sidecar.Document, with bool, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if strings.Contains(doc.Caption, p) != with {
			t.Errorf("%s: caption has %q: %v, want %v: %s", doc.ID, p, !with, with, doc.Caption)
		}
	}
}

// A prevalence beyond the thresholds stands in the caption alone.
func TestPrevalenceAboveTheThresholds(t *testing.T) {
	c := fixture(t)
	rng := rand.New(rand.NewPCG(7, 8))
	for _, x := range named4() {
		y := outcomesOf(50, 30)
		c.replace(t, x, y, drawnRisks(rng, y, 1))
	}
	doc := mustBuild(t, c.open(t), "fig_stratos_core", Options{})
	if v := doc.Panels[2].Lines.Verticals; len(v) != 0 {
		t.Errorf("verticals %v beyond the axis %v", v, doc.Panels[2].Lines.XRange)
	}
	wantCaption(t, doc, true, "prevalence 60.0%")
}

// Where prevalences differ, no line stands for one of them, and treating
// everybody is drawn for each.
func TestPrevalencesDiffer(t *testing.T) {
	c := fixture(t)
	rng := rand.New(rand.NewPCG(7, 8))
	for i, x := range named4()[:2] {
		y := outcomesOf(50, 10+i)
		c.replace(t, x, y, drawnRisks(rng, y, 1))
	}
	doc := mustBuild(t, c.open(t), "fig_stratos_core", Options{})
	l := doc.Panels[2].Lines
	if len(l.Verticals) != 0 || len(l.Guides) != 4 {
		t.Errorf("%d verticals and %d guides, want none and 3 of treating all with 1 of treating none", len(l.Verticals), len(l.Guides))
	}
	wantCaption(t, doc, true, "prevalence 20.0% to 27.0%", "not the same subjects")
}

// A pipeline whose test set has one outcome only is left out where both are
// needed; the others are drawn.
func TestOneClass(t *testing.T) {
	for _, events := range []int{0, 20} {
		c := fixture(t)
		y := outcomesOf(20, events)
		c.replace(t, named4()[1], y, drawnRisks(rand.New(rand.NewPCG(7, 8)), y, 1))
		c.drop("roc_curves", func(row []driver.Value) bool { return row[0] == c.configID(t, named4()[1]) })
		doc := mustBuild(t, c.open(t), "fig_stratos_core", Options{})
		p := doc.Panels
		if got := []int{len(p[0].Lines.Curves), len(p[1].Calibration.Groups), len(p[2].Lines.Curves), len(p[3].Risk.Groups)}; !slices.Equal(got, []int{3, 4, 4, 3}) {
			t.Errorf("%d events: %v series in the panels", events, got)
		}
		if !slices.ContainsFunc(doc.Warnings, func(s string) bool { return strings.Contains(s, "best_ensemble") && strings.Contains(s, "one outcome") }) {
			t.Errorf("warnings %q", doc.Warnings)
		}
		wantCaption(t, doc, true, "Not in a and d, because the test set holds one outcome only: Ensemble + CSDI.")
		if err := sidecar.Validate(doc); err != nil {
			t.Error(err)
		}
	}
}

func TestOneClassOnly(t *testing.T) {
	c := fixture(t)
	for _, row := range c["stratos_metrics"] {
		row[11] = int32(0)
		if row[2] == auroc {
			row[3], row[4], row[5], row[6], row[7] = nil, "one_class", nil, nil, "not_available"
		}
	}
	db := c.open(t)
	for _, id := range []string{"fig_stratos_core", "fig_forest_combined", "fig_heatmap_preprocessing", "tab_stratos_top10"} {
		wantError(t, db, id, "one outcome")
	}
	doc := mustBuild(t, db, "numbers", Options{})
	for _, n := range doc.Numbers {
		if strings.HasPrefix(n.Name, "best") && !strings.HasPrefix(n.Name, "bestEnsemble") && !strings.HasPrefix(n.Name, "bestSingleFm") && (n.Value == nil || n.Value.Undefined != "one_class") {
			t.Errorf("%+v, want undefined: nothing is best", n)
		}
	}
	mustBuild(t, db, "tab_all_configs", Options{})
}

// Without configurations that pass the filter there are still numbers and the
// list of all; the errors of the others say what there is.
func TestNothingInTheGrid(t *testing.T) {
	c := fixture(t)
	c.drop("essential_metrics", func(row []driver.Value) bool { return row[3] == "XGBoost" || row[4] != "simple1.0" })
	for _, row := range c["essential_metrics"] {
		row[4] = "MOMENT-embedding"
	}
	db := c.open(t)
	n := inFigures(t) + 1
	for _, id := range []string{"fig_forest_combined", "fig_heatmap_preprocessing", "tab_stratos_top10"} {
		wantError(t, db, id, "featurization simple1.0", "CatBoost on MOMENT-embedding", "other features", "registry.yaml")
	}
	wantError(t, db, "fig_stratos_core", "ground_truth", "CatBoost on MOMENT-embedding", "registry.yaml")
	got := map[string]sidecar.Number{}
	doc := mustBuild(t, db, "numbers", Options{})
	for _, x := range doc.Numbers {
		got[x.Name] = x
	}
	if x := got["bestName"]; x.Value == nil || x.Value.Undefined != notInStore {
		t.Errorf("bestName %+v", x)
	}
	if x := got["bestAUROC"]; x.Value.Undefined != notInStore || x.Value.IntervalUndefined == "" {
		t.Errorf("bestAUROC %+v", x)
	}
	if x := got["nTest"]; x.Count == nil || *x.Count != fixtureN || *got["nConfigsInFigures"].Count != 0 {
		t.Errorf("nTest %+v", x)
	}
	all := mustBuild(t, db, "tab_all_configs", Options{})
	if len(all.Table.Rows) != n {
		t.Errorf("%d rows, want %d", len(all.Table.Rows), n)
	}
}

// Test sets of equal size need not be of the same subjects.
func TestSubjectsDiffer(t *testing.T) {
	for _, differ := range []bool{false, true} {
		c := fixture(t)
		if differ {
			id := c.configID(t, named4()[3])
			for _, row := range c["predictions"] {
				if row[0] == id {
					row[1] = "Z" + row[1].(string)
				}
			}
		}
		db := c.open(t)
		for _, id := range allIDs() {
			wantCaption(t, mustBuild(t, db, id, Options{}), differ, "not the same subjects for all configurations")
		}
		forest := mustBuild(t, db, "fig_forest_combined", Options{})
		wantCaption(t, forest, !differ, "configurations share the test subjects")
		wantCaption(t, forest, differ, "their test subjects differ")
	}
}

// Captions name the intervals of each measure that has one.
func TestIntervalWords(t *testing.T) {
	c := fixture(t)
	db := c.open(t)
	wantCaption(t, mustBuild(t, db, "fig_stratos_core", Options{}), true,
		"CatBoost on handcrafted features", "slope and intercept (profile likelihood), O:E (log-scale normal)", "% of their outcome group")
	top := mustBuild(t, db, "tab_stratos_top10", Options{Estimand: metrics.MeanRisk})
	wantCaption(t, top, true, "AUROC (logit DeLong), slope and intercept (profile likelihood), O:E (log-scale normal); those of Brier, IPA and NB are in the database. ")
	wantCaption(t, top, false, "have none here")
	wantCaption(t, mustBuild(t, db, "tab_stratos_top10", Options{}), true, "AUROC with 95% intervals over test subjects (logit DeLong); none for slope, intercept and O:E; those of Brier, IPA and NB are in the database.")

	for _, row := range c["stratos_metrics"] {
		if row[2] == auroc {
			row[5], row[6], row[7], row[12] = nil, nil, "not_available", "interval undefined: zero_variance"
		}
	}
	db = c.open(t)
	for _, id := range allIDs() {
		doc := mustBuild(t, db, id, Options{})
		wantCaption(t, doc, false, "no interval is available")
		if id == "fig_forest_combined" {
			continue // its text says means, which never have one
		}
		if !strings.Contains(doc.Alt, ", no interval: zero variance") {
			t.Errorf("%s: the alternative text does not say that an interval is missing: %s", id, doc.Alt)
		}
	}
	wantCaption(t, mustBuild(t, db, "fig_heatmap_preprocessing", Options{}), true, ", no interval: zero variance")
}

func TestOneRefit(t *testing.T) {
	c := fixture(t)
	for _, row := range c["meta"] {
		if row[0] == "n_refits" {
			row[1] = "1"
		}
	}
	db := c.open(t)
	for _, id := range allIDs() {
		doc := mustBuild(t, db, id, Options{})
		wantCaption(t, doc, true, "1 refit on a half-size resample")
		wantCaption(t, doc, false, "1 refits", "bagged", "averaged over", "means over 1", "mean risk over")
	}
}

// A title says how many there are.
func TestTitleOfFewConfigurations(t *testing.T) {
	for n, want := range map[int]string{1: "STRATOS measures of the best configuration", 4: "STRATOS measures of the 4 best configurations", 0: "STRATOS measures of the ten best configurations"} {
		c := fixture(t)
		if n > 0 {
			var keep []driver.Value
			for _, x := range named4()[:n] {
				keep = append(keep, c.configID(t, x))
			}
			c.drop("essential_metrics", func(row []driver.Value) bool { return !slices.Contains(keep, row[0]) })
		}
		doc := mustBuild(t, c.open(t), "tab_stratos_top10", Options{})
		if doc.Title != want || strings.Contains(doc.Alt, "1 best") {
			t.Errorf("%d configurations: title %q, text %s", n, doc.Title, doc.Alt)
		}
	}
}

func TestSpokenWithoutNumber(t *testing.T) {
	for reason, want := range map[string]string{positiveInfinity: "infinite", negativeInfinity: "minus infinite", "one_class": "undefined (one outcome class only)"} {
		if got := spoken(sidecar.Value{Undefined: reason}, 2); got != want {
			t.Errorf("%s is spoken %q, want %q", reason, got, want)
		}
	}
}

// A database without risks of single subjects gives the same figures but for what
// they would show of subjects, and the captions say what is missing.
func TestNoSubjects(t *testing.T) {
	with := mustBuild(t, fixture(t).open(t), "fig_stratos_core", Options{})
	c := fixture(t)
	c["predictions"] = nil
	c["meta"] = append(c["meta"], []driver.Value{"settings.subject_tables", "off"})
	db := c.open(t)
	for _, id := range allIDs() {
		wantCaption(t, mustBuild(t, db, id, Options{}), false, "not the same subjects for all configurations")
	}
	wantCaption(t, mustBuild(t, db, "fig_forest_combined", Options{}), false, "share the test subjects")
	without := mustBuild(t, db, "fig_stratos_core", Options{})
	wantCaption(t, without, true, "The database holds no risks of single subjects, which d would show as strokes.")
	wantCaption(t, without, true, "in 10 equal bins of risk; discrimination slope")
	for i, g := range without.Panels[3].Risk.Groups {
		of := with.Panels[3].Risk.Groups[i]
		if len(g.ControlRisks)+len(g.EventRisks) != 0 {
			t.Errorf("%s: risks of subjects", g.Pipeline)
		}
		if d := *g.Discrimination.Estimate - *of.Discrimination.Estimate; d > 1e-12 || d < -1e-12 {
			t.Errorf("%s: discrimination slope off by %v", g.Pipeline, d)
		}
		for k := range g.Control {
			if g.Control[k] != of.Control[2*k]+of.Control[2*k+1] || g.Event[k] != of.Event[2*k]+of.Event[2*k+1] {
				t.Errorf("%s, bin %d: %d controls and %d events", g.Pipeline, k, g.Control[k], g.Event[k])
			}
		}
	}
	c["probability_distributions"] = c["probability_distributions"][1:]
	for i := range c["probability_distributions"] {
		c["probability_distributions"][i][3] = int32(1)
	}
	wantError(t, c.open(t), "fig_stratos_core", "probability_distributions", "extract")

	c = fixture(t)
	c["meta"] = append(c["meta"], []driver.Value{"settings.round_risks", "2"})
	wantCaption(t, mustBuild(t, c.open(t), "fig_stratos_core", Options{}), true, "the database holds 2 decimals")
}
