package analysis

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/google/go-cmp/cmp"
)

func allIDs() []string {
	var ids []string
	for _, s := range append(Figures(), Tables()...) {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestSpecs(t *testing.T) {
	want := []string{"fig_stratos_core", "fig_forest_combined", "fig_heatmap_preprocessing", "numbers", "tab_stratos_top10", "tab_all_configs"}
	if diff := cmp.Diff(want, allIDs()); diff != "" {
		t.Error(diff)
	}
	for _, s := range append(Figures(), Tables()...) {
		if s.Title == "" || s.Stem == "" || s.Kind == "" {
			t.Errorf("%+v lacks a field", s)
		}
	}
}

// Every document must be complete, and hold nothing that another numbering of
// configurations or subjects would change.
func TestDocuments(t *testing.T) {
	db := fixture(t).open(t)
	digest := regexp.MustCompile(`^[0-9a-f]{64}$`)
	for _, id := range allIDs() {
		doc := mustBuild(t, db, id, Options{})
		if !doc.Synthetic || !strings.HasPrefix(doc.Alt, syntheticMark) {
			t.Errorf("%s: not marked as synthetic", id)
		}
		for _, part := range []string{"8 refits on half-size resamples", "No external validation", "63 test subjects, 17 events"} {
			if !strings.Contains(doc.Caption, part) {
				t.Errorf("%s: caption does not say %q: %s", id, part, doc.Caption)
			}
		}
		if strings.Contains(doc.Caption+doc.Alt, "  ") || strings.Contains(doc.Caption+doc.Alt, "%!") {
			t.Errorf("%s: badly put together: %s | %s", id, doc.Caption, doc.Alt)
		}
		if len(doc.Queries) == 0 || doc.Filter == "" {
			t.Errorf("%s: no queries or no filter", id)
		}
		for _, q := range doc.Queries {
			if !digest.MatchString(q.BLAKE3) || !strings.Contains(q.SQL, "ORDER BY") {
				t.Errorf("%s: query %q: digest %q", id, q.SQL, q.BLAKE3)
			}
			selected, _, _ := strings.Cut(q.SQL, " FROM ")
			for _, banned := range []string{"config_id", "subject_code", "e.auroc", "e.brier"} {
				if strings.Contains(selected, banned) {
					t.Errorf("%s: a query selects %s: %s", id, banned, q.SQL)
				}
			}
		}
		if err := sidecar.Validate(doc); err != nil {
			t.Error(err)
		}
		if err := sidecar.Lint(doc); err != nil {
			t.Error(err)
		}
		encoded, err := sidecar.Encode(doc)
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := sidecar.Decode(encoded)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		again, err := sidecar.Encode(decoded)
		if err != nil || !bytes.Equal(encoded, again) {
			t.Errorf("%s: does not survive encoding: %v", id, err)
		}
		if id != "numbers" && strings.HasPrefix(id, "tab") != (doc.Table != nil) {
			t.Errorf("%s: wrong content", id)
		}
	}
}

// The same content in another physical order, with other config_ids and other
// subject codes, gives the same documents to the byte.
func TestDeterministic(t *testing.T) {
	one := fixture(t)
	two := fixture(t)
	for _, table := range []string{"essential_metrics", "stratos_metrics", "roc_curves", "calibration_curves", "dca_curves", "predictions"} {
		for _, row := range two[table] {
			row[0] = 1000 - row[0].(int32)
		}
	}
	for _, row := range two["predictions"] {
		row[1] = "X" + row[1].(string)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, name := range []string{"essential_metrics", "stratos_metrics", "roc_curves", "calibration_curves", "dca_curves", "predictions", "runs", "methods", "meta"} {
		rows := two[name]
		rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	}
	db1, db2 := one.open(t), two.open(t)
	for _, estimand := range []string{metrics.OverModels, metrics.MeanRisk} {
		for _, id := range allIDs() {
			a, b := mustBuild(t, db1, id, Options{Estimand: estimand}), mustBuild(t, db2, id, Options{Estimand: estimand})
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("%s, %s:\n%s", id, estimand, diff)
			}
		}
	}
}

// A digest changes with any number that a query returns, and with no other.
func TestQueryDigest(t *testing.T) {
	reg := testRegistry(t)
	base := fixture(t)
	before := mustBuild(t, base.open(t), "fig_forest_combined", Options{})

	other := fixture(t)
	xgb := other.configID(t, tuple{"XGBoost", "simple1.0", "LOF", "SAITS"})
	for _, row := range other["stratos_metrics"] {
		if row[0] == xgb && row[3] != nil {
			row[3] = row[3].(float64) / 2
		}
	}
	for _, row := range other["methods"] {
		if row[0] == "TabPFN" {
			row[3] = "Another label"
		}
	}
	if diff := cmp.Diff(before, mustBuild(t, other.open(t), "fig_forest_combined", Options{})); diff != "" {
		t.Errorf("numbers that are not shown changed the document:\n%s", diff)
	}

	changed := fixture(t)
	id := changed.configID(t, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"})
	for _, row := range changed["stratos_metrics"] {
		if row[0] == id && row[1] == metrics.OverModels && row[2] == auroc {
			row[3] = math.Nextafter(row[3].(float64), 1)
		}
	}
	after, err := Build(context.Background(), changed.open(t), "fig_forest_combined", reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if digestOf(t, before, "a, b") == digestOf(t, after, "a, b") {
		t.Error("the digest of panel a, b did not change with its numbers")
	}
	if digestOf(t, before, "excluded") != digestOf(t, after, "excluded") {
		t.Error("the digest of the excluded changed")
	}
}

func digestOf(t *testing.T, doc *sidecar.Document, panel string) string {
	t.Helper()
	for _, q := range doc.Queries {
		if q.Panel == panel {
			return q.BLAKE3
		}
	}
	t.Fatalf("%s has no query of panel %q", doc.ID, panel)
	return ""
}

// expected reads one measure from the fixture itself.
func expected(t *testing.T, c tables, x tuple, estimand, measure string) (estimate float64, ci *[2]float64) {
	t.Helper()
	id := c.configID(t, x)
	for _, r := range c["stratos_metrics"] {
		if r[0] == id && r[1] == estimand && r[2] == measure {
			if r[5] != nil {
				ci = &[2]float64{r[5].(float64), r[6].(float64)}
			}
			return r[3].(float64), ci
		}
	}
	t.Fatalf("the fixture has no %s of %v", measure, x)
	return 0, nil
}

func TestForest(t *testing.T) {
	c := fixture(t)
	for _, estimand := range []string{metrics.OverModels, metrics.MeanRisk} {
		doc := mustBuild(t, c.open(t), "fig_forest_combined", Options{Estimand: estimand})
		wantExcluded := []sidecar.Excluded{{Reason: "method not registered", N: 1}, {Reason: "other classifier", N: 2}, {Reason: "other features", N: 1}}
		if diff := cmp.Diff(wantExcluded, doc.Excluded); diff != "" {
			t.Error(diff)
		}
		if len(doc.Panels) != 2 || len(doc.Warnings) != 0 {
			t.Fatalf("%d panels, warnings %v", len(doc.Panels), doc.Warnings)
		}
		for _, p := range doc.Panels {
			n := 0
			for i, r := range p.Forest.Rows {
				n += r.N
				if i > 0 && *r.Mean.Estimate > *p.Forest.Rows[i-1].Mean.Estimate {
					t.Errorf("panel %s: row %d is better than the one above", p.ID, i)
				}
				if r.Mean.CI != nil || r.Mean.IntervalUndefined == "" || r.N != len(r.Points) {
					t.Errorf("panel %s: row %+v", p.ID, r)
				}
				sum := 0.0
				for _, q := range r.Points {
					sum += *q.Value.Estimate
					if q.Value.CI == nil || q.Value.CIMethod != "logit DeLong" {
						t.Errorf("panel %s: a dot without its interval: %+v", p.ID, q)
					}
				}
				if got := sum / float64(r.N); math.Abs(got-*r.Mean.Estimate) > 1e-15 {
					t.Errorf("panel %s: mean %v of %s, dots give %v", p.ID, *r.Mean.Estimate, r.Label, got)
				}
			}
			if n != inFigures(t) {
				t.Errorf("panel %s shows %d configurations, want %d", p.ID, n, inFigures(t))
			}
		}
		gt := tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"}
		want, _ := expected(t, c, gt, estimand, auroc)
		if ref := doc.Panels[0].Forest.Reference; len(ref) != 1 || ref[0].Value != want {
			t.Errorf("reference %v, want %v", ref, want)
		}
		// One dot against the fixture, with its interval.
		want, ci := expected(t, c, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"}, estimand, auroc)
		for _, r := range doc.Panels[0].Forest.Rows {
			for _, q := range r.Points {
				if r.Method == "LOF" && q.Label == "SAITS" && (*q.Value.Estimate != want || *q.Value.CI != *ci) {
					t.Errorf("%s: LOF + SAITS is %+v, want %v %v", estimand, q.Value, want, *ci)
				}
			}
		}
	}
}

func TestForestTiesByName(t *testing.T) {
	c := fixture(t)
	for _, row := range c["stratos_metrics"] {
		if row[2] == auroc {
			row[3], row[5], row[6] = 0.8, 0.7, 0.9
		}
	}
	doc := mustBuild(t, c.open(t), "fig_forest_combined", Options{})
	var names []string
	for _, r := range doc.Panels[0].Forest.Rows {
		names = append(names, r.Method)
	}
	if !slices.IsSorted(names) {
		t.Errorf("equal means are not in the order of names: %v", names)
	}
}

func TestForestWithoutAUROC(t *testing.T) {
	c := fixture(t)
	for _, x := range fixtureTuples(t, testRegistry(t)) {
		if x.outlier != "SubPCA" || x.classifier != "CatBoost" {
			continue
		}
		id := c.configID(t, x)
		for _, row := range c["stratos_metrics"] {
			if row[0] == id && row[2] == auroc {
				row[3], row[4], row[5], row[6], row[7] = nil, "one_class", nil, nil, "not_available"
			}
		}
	}
	doc := mustBuild(t, c.open(t), "fig_forest_combined", Options{})
	if len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0], "SubPCA") {
		t.Errorf("warnings %q", doc.Warnings)
	}
	for _, r := range doc.Panels[0].Forest.Rows {
		if r.Method == "SubPCA" {
			t.Error("a method without an AUROC has a row")
		}
	}
	all := mustBuild(t, c.open(t), "tab_all_configs", Options{})
	last := all.Table.Rows[len(all.Table.Rows)-1]
	if v := last.Cells[5].Value; v.Estimate != nil || v.Undefined != "one_class" {
		t.Errorf("the last row has AUROC %+v, want it undefined", v)
	}
}

func TestHeatmap(t *testing.T) {
	c := fixture(t)
	doc := mustBuild(t, c.open(t), "fig_heatmap_preprocessing", Options{})
	h := doc.Panels[0].Heatmap
	if len(h.Rows) != 11 || len(h.Columns) != 8 || len(h.Cells) != 11 {
		t.Fatalf("%d by %d", len(h.Rows), len(h.Columns))
	}
	filled, boxed := 0, 0
	best := 0.0
	for i, line := range h.Cells {
		sum, n := 0.0, 0
		for j, cell := range line {
			if cell.N == 0 {
				if cell.Value.Estimate != nil || cell.Value.Undefined == "" || cell.Best {
					t.Errorf("empty cell %d %d: %+v", i, j, cell)
				}
				continue
			}
			want, _ := expected(t, c, tuple{"CatBoost", "simple1.0", h.Rows[i].Method, h.Columns[j].Method}, metrics.OverModels, auroc)
			if *cell.Value.Estimate != want {
				t.Errorf("cell %d %d is %v, want %v", i, j, *cell.Value.Estimate, want)
			}
			filled++
			n++
			sum += want
			best = max(best, want)
		}
		if n != h.Rows[i].N || math.Abs(sum/float64(n)-*h.Rows[i].Mean.Estimate) > 1e-15 {
			t.Errorf("margin of row %d is %+v, cells give %v of %d", i, h.Rows[i], sum/float64(n), n)
		}
	}
	for _, line := range h.Cells {
		for _, cell := range line {
			if cell.Best {
				boxed++
				if *cell.Value.Estimate != best {
					t.Error("the box is not on the best cell")
				}
			}
		}
	}
	if filled != inFigures(t) || boxed != 1 {
		t.Errorf("%d cells filled, %d boxed; want %d and 1", filled, boxed, inFigures(t))
	}
	for _, s := range []string{doc.Caption, doc.Alt} {
		if !strings.Contains(s, "selected on the test set, not corrected") {
			t.Errorf("does not say how the best was selected: %s", s)
		}
	}
}

func TestStratosCore(t *testing.T) {
	c := fixture(t)
	doc := mustBuild(t, c.open(t), "fig_stratos_core", Options{})
	if doc.Estimand != metrics.MeanRisk {
		t.Errorf("estimand %s, curves are of the mean risk", doc.Estimand)
	}
	if len(doc.Warnings) != 1 || !strings.Contains(doc.Warnings[0], "deep_learning") {
		t.Errorf("warnings %q, want one on deep_learning", doc.Warnings)
	}
	if len(doc.Panels) != 4 {
		t.Fatalf("%d panels", len(doc.Panels))
	}
	gt := tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"}
	roc, cal, dca, risk := doc.Panels[0].Lines, doc.Panels[1].Calibration, doc.Panels[2].Lines, doc.Panels[3].Risk
	if len(roc.Curves) != 4 || len(cal.Groups) != 4 || len(dca.Curves) != 4 || len(risk.Groups) != 4 {
		t.Fatalf("%d, %d, %d, %d pipelines, want 4 each", len(roc.Curves), len(cal.Groups), len(dca.Curves), len(risk.Groups))
	}
	if !roc.Step {
		t.Error("no risks are tied, yet the ROC is not drawn in steps")
	}
	want, ci := expected(t, c, gt, metrics.MeanRisk, auroc)
	if v := roc.Curves[0].Value; roc.Curves[0].Pipeline != "ground_truth" || *v.Estimate != want || *v.CI != *ci {
		t.Errorf("legend of the first curve %+v, want %v %v", roc.Curves[0].Series, want, *ci)
	}
	for _, g := range cal.Groups {
		n := 0
		for _, p := range g.Points {
			n += p.N
			if p.N == 0 || p.Lower > p.Observed || p.Upper < p.Observed {
				t.Errorf("%s: bin %+v", g.Pipeline, p)
			}
		}
		if n != fixtureN || g.Slope.CI == nil || g.OE.Estimate == nil || g.Intercept.Estimate == nil {
			t.Errorf("%s: %d subjects in bins, slope %+v", g.Pipeline, n, g.Slope)
		}
	}
	if len(dca.Guides) != 2 || len(dca.Curves[0].X) != 50 || dca.Curves[0].X[0] != 0.01 || dca.Curves[0].X[49] != 0.5 {
		t.Errorf("%d guides, curve over %v", len(dca.Guides), dca.Curves[0].X)
	}
	for _, curve := range dca.Curves {
		for _, y := range curve.Y {
			if y < dca.YRange[0] || y > dca.YRange[1] {
				t.Errorf("%s leaves the panel: %v not in %v", curve.Pipeline, y, dca.YRange)
			}
		}
	}
	if len(dca.Verticals) != 1 || dca.Verticals[0].Value != 17.0/63 {
		t.Errorf("verticals %v, want the prevalence", dca.Verticals)
	}
	if len(risk.Edges) != 21 {
		t.Errorf("%d edges", len(risk.Edges))
	}
	for _, g := range risk.Groups {
		sum := 0
		for i := range g.Control {
			sum += g.Control[i] + g.Event[i]
		}
		mean := func(xs []float64) (m float64) {
			for _, x := range xs {
				m += x / float64(len(xs))
			}
			return m
		}
		slope := mean(g.EventRisks) - mean(g.ControlRisks)
		if sum != fixtureN || len(g.EventRisks) != fixtureEvents || math.Abs(slope-*g.Discrimination.Estimate) > 1e-12 ||
			!slices.IsSorted(g.EventRisks) || !slices.IsSorted(g.ControlRisks) {
			t.Errorf("%s: %d counted, slope %v, risks give %v", g.Pipeline, sum, g.Discrimination, slope)
		}
	}
	if !strings.Contains(doc.Caption, "prevalence 27.0%") {
		t.Errorf("net benefit without prevalence: %s", doc.Caption)
	}
}

// An event and a control of one risk make a slanted piece of the ROC curve.
func TestStratosCoreTies(t *testing.T) {
	c := fixture(t)
	gt := tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"}
	id := c.configID(t, gt)
	for name := range c {
		if name != "runs" && name != "methods" && name != "meta" {
			c.drop(name, func(row []driver.Value) bool { return row[0] == id })
		}
	}
	outcomes := make([]int, fixtureN)
	risks := [][]float64{make([]float64, fixtureN)}
	for i := range fixtureN {
		risks[0][i] = float64(1+i%7) / 10
		if i < fixtureEvents {
			outcomes[i] = 1
		}
	}
	addConfiguration(t, func(table string, cells ...driver.Value) { c[table] = append(c[table], cells) }, id, gt, outcomes, risks)
	doc := mustBuild(t, c.open(t), "fig_stratos_core", Options{})
	if doc.Panels[0].Lines.Step {
		t.Error("steps would draw another area than the AUROC beside the curve")
	}
}

func TestTop10(t *testing.T) {
	c := fixture(t)
	doc := mustBuild(t, c.open(t), "tab_stratos_top10", Options{})
	rows := doc.Table.Rows
	if len(rows) != 18 {
		t.Fatalf("%d rows, want 10 and the 8 named pipelines of the fixture", len(rows))
	}
	headings := []string{"#", "Outlier", "Imputation", "AUROC (95% CI)", "Slope", "Int.", "O:E", "Brier", "IPA", "NB 15%"}
	for i, col := range doc.Table.Columns {
		if col.Heading != headings[i] {
			t.Errorf("column %d is %q, want %q", i, col.Heading, headings[i])
		}
	}
	for i, r := range rows {
		if len(r.Cells) != 10 || r.SpaceBefore != (i == 10) {
			t.Errorf("row %d: %d cells, space %v", i, len(r.Cells), r.SpaceBefore)
		}
		if i < 10 && r.Cells[0].Text != fmt.Sprint(i+1) {
			t.Errorf("row %d has the place %q", i, r.Cells[0].Text)
		}
		if i > 0 && i < 10 && *r.Cells[3].Value.Estimate > *rows[i-1].Cells[3].Value.Estimate {
			t.Errorf("row %d is better than the one above", i)
		}
	}
	if !rows[0].Cells[3].Strong || rows[0].Cells[4].Strong {
		t.Error("best AUROC not strong, or a slope is")
	}
	// A named pipeline's place agrees with the ranking of all.
	gt := tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"}
	own, _ := expected(t, c, gt, metrics.OverModels, auroc)
	place := 1
	for _, x := range fixtureTuples(t, testRegistry(t)) {
		if x.classifier == "CatBoost" && x.featurization == "simple1.0" && x.outlier != "anomaly" {
			if v, _ := expected(t, c, x, metrics.OverModels, auroc); v > own {
				place++
			}
		}
	}
	if got := rows[10].Cells; got[1].Text != "Ground truth" || got[0].Text != fmt.Sprint(place) {
		t.Errorf("first named pipeline %q has place %s, want %d", got[1].Text, got[0].Text, place)
	}
	if v := rows[10].Cells[4].Value; v.CI != nil || v.IntervalUndefined != "not_available" {
		t.Errorf("slope over models has an interval: %+v", v)
	}
	for _, part := range []string{"selected on the test set, not corrected", "prevalence 27.0%", "medians"} {
		if !strings.Contains(doc.Caption, part) {
			t.Errorf("caption does not say %q: %s", part, doc.Caption)
		}
	}
}

func TestAllConfigs(t *testing.T) {
	doc := mustBuild(t, fixture(t).open(t), "tab_all_configs", Options{})
	if len(doc.Table.Rows) != inFigures(t)+4 || !doc.Table.Long {
		t.Errorf("%d rows, long %v", len(doc.Table.Rows), doc.Table.Long)
	}
	marked := 0
	for i, r := range doc.Table.Rows {
		if i > 0 && *r.Cells[5].Value.Estimate > *doc.Table.Rows[i-1].Cells[5].Value.Estimate {
			t.Errorf("row %d is better than the one above", i)
		}
		if r.Cells[1].Text == "Anomaly mask*" {
			marked++
		}
	}
	if marked != 1 || !strings.Contains(doc.Caption, "1 configuration with one") {
		t.Errorf("%d marked: %s", marked, doc.Caption)
	}
}

func TestNumbers(t *testing.T) {
	c := fixture(t)
	doc := mustBuild(t, c.open(t), "numbers", Options{})
	letters := regexp.MustCompile(`^[A-Za-z]+$`)
	got := map[string]sidecar.Number{}
	for _, n := range doc.Numbers {
		kinds := 0
		for _, set := range []bool{n.Text != "", n.Count != nil, n.Value != nil} {
			if set {
				kinds++
			}
		}
		_, twice := got[n.Name]
		if twice || kinds != 1 || !letters.MatchString(n.Name) || n.Meaning == "" {
			t.Errorf("%+v: twice %v, %d kinds", n, twice, kinds)
		}
		// Where it comes from is said, and is among the document's queries.
		if !slices.ContainsFunc(doc.Queries, func(q sidecar.Query) bool { return q.Panel == n.Query }) {
			t.Errorf("%s comes from the query %q", n.Name, n.Query)
		}
		got[n.Name] = n
	}
	for name, want := range map[string]int{
		"nConfigs": inFigures(t) + 4, "nConfigsInFigures": inFigures(t), "nRuns": inFigures(t) + 7, "nRunsUsed": inFigures(t) + 4, "nRunsFailed": 1, "nRunsUnreadable": 0,
		"nSubjects": 208, "nControl": 152, "nEvents": 56, "nTest": 63, "nTestEvents": 17,
	} {
		if n := got[name]; n.Count == nil || *n.Count != want {
			t.Errorf("%s is %+v, want %d", name, n, want)
		}
	}
	if n := got["prevalencePct"]; *n.Value.Estimate != 56.0/208 || !n.Percent {
		t.Errorf("prevalence %+v", n)
	}
	gt := tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"}
	for name, measure := range map[string]string{"AUROC": auroc, "Slope": slope, "OE": oe, "Brier": brier, "ScaledBrier": scaledBrier, "NBFive": nb5, "NBTen": nb10, "NBFifteen": nb15, "NBTwenty": nb20} {
		want, ci := expected(t, c, gt, metrics.OverModels, measure)
		n := got["groundTruth"+name]
		if *n.Value.Estimate != want || (ci == nil) != (n.Value.CI == nil) {
			t.Errorf("groundTruth%s is %+v, want %v %v", name, n.Value, want, ci)
		}
		n = got["deepLearning"+name]
		if n.Value == nil || n.Value.Estimate != nil || n.Value.Undefined != "not_in_store" || n.Value.IntervalUndefined == "" {
			t.Errorf("deepLearning%s is %+v, want it undefined", name, n.Value)
		}
	}
	if n := got["groundTruthAUROC"]; n.Configuration == nil || *n.Configuration != (sidecar.Configuration{Outlier: gt.outlier, Imputation: gt.imputation, Classifier: gt.classifier, Featurization: gt.featurization}) {
		t.Errorf("groundTruthAUROC is of %+v, want %+v", n.Configuration, gt)
	}
	if n := got["nRuns"]; n.Query != "runs" || n.Configuration != nil {
		t.Errorf("nRuns: query %q, of %+v", n.Query, n.Configuration)
	}
	best := got["bestAUROC"].Configuration
	if want, _ := expected(t, c, tuple{best.Classifier, best.Featurization, best.Outlier, best.Imputation}, metrics.OverModels, auroc); want != *got["bestAUROC"].Value.Estimate {
		t.Errorf("bestAUROC is %v, and that of its configuration %v", *got["bestAUROC"].Value.Estimate, want)
	}
	if n := got["bestAUROC"]; !strings.Contains(n.Meaning, "selected on the test set, not corrected") {
		t.Errorf("best: %s", n.Meaning)
	}
	heat := mustBuild(t, c.open(t), "fig_heatmap_preprocessing", Options{})
	for _, line := range heat.Panels[0].Heatmap.Cells {
		for _, cell := range line {
			if cell.Best && *cell.Value.Estimate != *got["bestAUROC"].Value.Estimate {
				t.Error("heat map and numbers disagree on the best")
			}
		}
	}
}

func TestMacroName(t *testing.T) {
	for in, want := range map[string]string{"ground_truth": "groundTruth", "best_single_fm": "bestSingleFm", "lof": "lof"} {
		if got, err := macroName(in); got != want || err != nil {
			t.Errorf("macroName(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "_", "model2", "é"} {
		if got, err := macroName(in); err == nil {
			t.Errorf("macroName(%q) = %q, want an error", in, got)
		}
	}
	if _, err := macroName("a b"); err == nil {
		t.Error("a space passed")
	}
}

func TestMacrosOfOneName(t *testing.T) {
	db := fixture(t).open(t)
	i := slices.IndexFunc(makers, func(m maker) bool { return m.ID == "numbers" })
	p := testRegistry(t).Pipelines()[0]
	q := p
	p.Name, q.Name = "one_two", "oneTwo"
	if _, err := build(context.Background(), db, makers[i], []config.Pipeline{p, q}, Options{Estimand: metrics.OverModels}); err == nil || !strings.Contains(err.Error(), "oneTwo") {
		t.Errorf("two pipelines of one macro name: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	t.Run("unknown document", func(t *testing.T) {
		wantError(t, fixture(t).open(t), "fig_none", "fig_none", "fig_forest_combined")
	})
	t.Run("unknown estimand", func(t *testing.T) {
		if _, err := Build(context.Background(), fixture(t).open(t), "numbers", testRegistry(t), Options{Estimand: "both"}); err == nil {
			t.Error("built")
		}
	})
	t.Run("empty database", func(t *testing.T) {
		c := fixture(t)
		for _, name := range []string{"essential_metrics", "stratos_metrics"} {
			c[name] = nil
		}
		db := c.open(t)
		for _, id := range allIDs() {
			wantError(t, db, id, id, "extract")
		}
	})
	t.Run("no schema", func(t *testing.T) {
		db := tables{}.open(t)
		if _, err := db.Exec("DROP TABLE stratos_metrics"); err != nil {
			t.Fatal(err)
		}
		for _, id := range allIDs() {
			wantError(t, db, id, "extract")
		}
	})
	t.Run("nothing passes the filter", func(t *testing.T) {
		c := fixture(t)
		for _, row := range c["essential_metrics"] {
			row[3] = "XGBoost"
		}
		wantError(t, c.open(t), "fig_heatmap_preprocessing", "other classifier", fmt.Sprintf("%d with", inFigures(t)+3), "extract")
	})
	t.Run("no named pipeline", func(t *testing.T) {
		c := fixture(t)
		for _, p := range testRegistry(t).Pipelines() {
			if p.Name != "deep_learning" {
				id := c.configID(t, tuple{p.Classifier, p.Featurization, p.Outlier, p.Imputation})
				c.drop("essential_metrics", func(row []driver.Value) bool { return row[0] == id })
			}
		}
		wantError(t, c.open(t), "fig_stratos_core", "ground_truth", "extract")
	})
	drops := []struct{ name, id, table, says string }{
		{"curve missing", "fig_stratos_core", "roc_curves", "roc_curves"},
		{"bins missing", "fig_stratos_core", "calibration_curves", "calibration_curves"},
		{"decision curve missing", "fig_stratos_core", "dca_curves", "dca_curves"},
		{"predictions missing", "fig_stratos_core", "predictions", "predictions"},
		{"measures missing", "tab_all_configs", "stratos_metrics", "stratos_metrics has no"},
	}
	for _, d := range drops {
		t.Run(d.name, func(t *testing.T) {
			c := fixture(t)
			id := c.configID(t, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"})
			c.drop(d.table, func(row []driver.Value) bool { return row[0] == id })
			wantError(t, c.open(t), d.id, d.says, "extract")
		})
	}
	t.Run("curve of other risks", func(t *testing.T) {
		c := fixture(t)
		id := c.configID(t, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"})
		for _, row := range c["stratos_metrics"] {
			if row[0] == id && row[1] == metrics.MeanRisk && row[2] == auroc {
				row[3] = row[3].(float64) - 0.001
			}
		}
		wantError(t, c.open(t), "fig_stratos_core", "area under the ROC curve", "traditional")
	})
	t.Run("one prediction less", func(t *testing.T) {
		c := fixture(t)
		id := c.configID(t, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"})
		first := true
		c.drop("predictions", func(row []driver.Value) bool {
			drop := row[0] == id && first
			first = first && !drop
			return drop
		})
		wantError(t, c.open(t), "fig_stratos_core", "predictions", "62", "63")
	})
	t.Run("a configuration twice", func(t *testing.T) {
		c := fixture(t)
		a := c.configID(t, tuple{"CatBoost", "simple1.0", "LOF", "SAITS"})
		for _, name := range []string{"essential_metrics", "stratos_metrics"} {
			for _, row := range c[name] {
				if row[0] == a {
					twin := slices.Clone(row)
					twin[0] = int32(999)
					c[name] = append(c[name], twin)
				}
			}
		}
		wantError(t, c.open(t), "fig_forest_combined", "more than one auroc")
	})
	t.Run("no reason", func(t *testing.T) {
		c := fixture(t)
		for _, row := range c["stratos_metrics"] {
			row[3], row[4] = nil, nil
		}
		wantError(t, c.open(t), "tab_all_configs", "neither a number nor a reason")
	})
	t.Run("no synthetic mark", func(t *testing.T) {
		c := fixture(t)
		c.drop("meta", func(row []driver.Value) bool { return row[0] == "synthetic" })
		wantError(t, c.open(t), "numbers", "synthetic")
	})
	t.Run("unknown verdict", func(t *testing.T) {
		c := fixture(t)
		c["runs"][0][2] = "lost"
		wantError(t, c.open(t), "numbers", `"lost"`)
	})
	t.Run("method without a name", func(t *testing.T) {
		c := fixture(t)
		c.drop("methods", func(row []driver.Value) bool { return row[0] == "XGBoost" })
		wantError(t, c.open(t), "tab_all_configs", "XGBoost")
	})
}

// Infinite estimates and intervals without limits keep their reasons.
func TestUndefinedValues(t *testing.T) {
	c := fixture(t)
	id := c.configID(t, tuple{"CatBoost", "simple1.0", "pupil-gt", "pupil-gt"})
	for _, row := range c["stratos_metrics"] {
		if row[0] != id || row[1] != metrics.OverModels {
			continue
		}
		switch row[2] {
		case oe:
			row[3] = math.Inf(1)
		case slope:
			row[3], row[4], row[9] = nil, "separated", int32(8)
		case auroc:
			row[3], row[5], row[6], row[7], row[12] = 1.0, nil, nil, "not_available", "mean of 8 refits; interval undefined: zero_variance"
		case brier:
			row[5], row[6], row[7] = nil, 0.5, metrics.DeLongLogit
		}
	}
	doc := mustBuild(t, c.open(t), "numbers", Options{})
	got := map[string]sidecar.Number{}
	for _, n := range doc.Numbers {
		got[n.Name] = n
	}
	if v := got["groundTruthOE"].Value; v.Estimate != nil || v.Undefined != "positive_infinity" {
		t.Errorf("O:E %+v", v)
	}
	if n := got["groundTruthSlope"]; n.Value.Undefined != "separated" || !strings.Contains(n.Meaning, "undefined in 8 refits") {
		t.Errorf("slope %+v", n)
	}
	if v := got["groundTruthAUROC"].Value; *v.Estimate != 1 || v.CI != nil || v.IntervalUndefined != "zero_variance" {
		t.Errorf("AUROC %+v", v)
	}
	if v := got["groundTruthBrier"].Value; v.Estimate == nil || v.CI != nil || v.IntervalUndefined != "infinite_limit" {
		t.Errorf("Brier %+v", v)
	}
	if v := got["bestEnsembleSlope"].Value; v.CI != nil || v.IntervalUndefined != "not_available" {
		t.Errorf("slope %+v", v)
	}
	top := mustBuild(t, c.open(t), "tab_stratos_top10", Options{})
	if !strings.Contains(top.Caption, "Undefined and left out of the medians: slope in 8 refits of 1 configuration") {
		t.Errorf("caption: %s", top.Caption)
	}
}

func TestTestSetsOfDifferentSize(t *testing.T) {
	c := fixture(t)
	x := tuple{"CatBoost", "simple1.0", "SubPCA", "CSDI"}
	add := func(table string, cells ...driver.Value) { c[table] = append(c[table], cells) }
	outcomes := make([]int, 50)
	for i := range 10 {
		outcomes[i] = 1
	}
	for _, y := range fixtureTuples(t, testRegistry(t)) {
		if y == x {
			t.Fatalf("the fixture has %v already", x)
		}
	}
	addConfiguration(t, add, 500, x, outcomes, drawnRisks(rand.New(rand.NewPCG(5, 6)), outcomes, 1))
	doc := mustBuild(t, c.open(t), "numbers", Options{})
	for _, n := range doc.Numbers {
		if n.Name == "nTest" && (n.Value == nil || n.Value.Undefined != varies) {
			t.Errorf("nTest %+v", n)
		}
	}
	if !strings.Contains(doc.Caption, "50 to 63 test subjects, 10 to 17 events") || len(doc.Warnings) != 2 {
		t.Errorf("caption %s, warnings %v", doc.Caption, doc.Warnings)
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"0.50": fixed(0.5, 2), "−0.30": fixed(-0.3, 2), "0.00": fixed(-0.001, 2), "1,234,567": thousands(1234567), "999": thousands(999),
		"a, b and c": list([]string{"a", "b", "c"}), "a": list([]string{"a"}), "handcrafted features": lowerFirst("Handcrafted features"), "MOMENT embedding": lowerFirst("MOMENT embedding"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
