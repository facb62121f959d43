package report

import (
	"bytes"
	"database/sql"
	"image"
	"image/png"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

func ptr[T any](v T) *T { return &v }

// database has what a report asks for: two configurations, one of them of methods
// without a label, and a check that disagrees.
func database(t *testing.T, more ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	for _, statement := range append([]string{
		`CREATE TABLE meta (key VARCHAR, value VARCHAR)`,
		`INSERT INTO meta VALUES ('synthetic', 'false'), ('estimand', 'over_models'), ('n_subjects', '208'), ('n_control', '152'), ('n_event', '56'),
			('n_unlabelled', '5'), ('n_refits', '1000'), ('settings.round_risks', 'none')`,
		`CREATE TABLE essential_metrics (config_id INTEGER, outlier_method VARCHAR, imputation_method VARCHAR, classifier VARCHAR, featurization VARCHAR, n_test INTEGER, n_events INTEGER)`,
		`INSERT INTO essential_metrics VALUES (1, 'pupil-gt', 'SAITS', 'CatBoost', 'simple1.0', 63, 17), (2, 'unregistered-1', 'SAITS', 'CatBoost', 'simple1.0', 63, 17)`,
		`CREATE TABLE methods (name VARCHAR, factor VARCHAR, label VARCHAR)`,
		`INSERT INTO methods VALUES ('pupil-gt', 'outlier', 'Ground truth'), ('pupil-gt', 'imputation', 'Not this'), ('simple1.0', 'featurization', 'Handcrafted features')`,
		`CREATE TABLE runs (run_id VARCHAR, config_id INTEGER, verdict VARCHAR, reason VARCHAR)`,
		`INSERT INTO runs VALUES ('b2', 1, 'used', NULL), ('a1', 2, 'used', 'open run with a complete metrics pickle'), ('c3', NULL, 'failed', 'status FAILED'), ('d4', NULL, 'deleted', NULL)`,
		`CREATE TABLE checks (config_id INTEGER, "check" VARCHAR, expected DOUBLE, found DOUBLE, tolerance DOUBLE, ok BOOLEAN)`,
		`INSERT INTO checks VALUES (1, 'auroc_mean', 0.9, 0.9, 1e-6, true), (2, 'auroc_mean', NULL, 0.5, 1e-6, false), (1, 'brier_sd', 0.1, 0.1, 1e-6, true)`,
	}, more...) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// sources are a figure, a table and numbers.
func sources() []Source {
	return []Source{
		{KindFigure, "figures/generated/fig_x.png", "figures/generated/data/fig_x.json", &sidecar.Document{
			ID: "fig_x", Title: "A figure", Caption: "What <b>it</b> shows.", Section: "main", Alt: "Dots & lines.", Filter: "classifier CatBoost",
			Excluded: []sidecar.Excluded{{Reason: "other classifier", N: 3}},
		}},
		{KindTable, "outputs/latex/tab_x.tex", "outputs/latex/data/tab_x.json", &sidecar.Document{
			ID: "tab_x", Title: "A table", Section: "main", Filter: "classifier CatBoost",
			Excluded: []sidecar.Excluded{{Reason: "other classifier", N: 3}},
			Table: &sidecar.Table{
				Columns: []sidecar.Column{
					{ID: "m", Heading: "Method", Align: "l"}, {ID: "auroc", Heading: "AUROC", Group: "Discrimination", Align: "r", Decimals: 3},
					{ID: "slope", Heading: "Slope", Group: "Calibration", Align: "r", Decimals: 2}, {ID: "int", Heading: "Int.", Group: "Calibration", Align: "r", Decimals: 2},
				},
				Rows: []sidecar.Row{
					{Cells: []sidecar.Cell{{Text: "LOF"}, {Value: &sidecar.Value{Estimate: ptr(0.9274), CI: &[2]float64{0.8, 0.95}}, Strong: true},
						{Value: &sidecar.Value{Estimate: ptr(-0.001)}}, {Value: &sidecar.Value{Estimate: ptr(-1.25), CI: &[2]float64{-2, 1}}}}},
					{SpaceBefore: true, Cells: []sidecar.Cell{{Text: "SAITS"}, {Value: &sidecar.Value{Undefined: "one_class"}},
						{Value: &sidecar.Value{Undefined: sidecar.PositiveInfinity}}, {Value: &sidecar.Value{Estimate: ptr(1.0), IntervalUndefined: "zero_variance"}}}},
				},
			},
		}},
		{KindNumbers, "outputs/latex/numbers.tex", "outputs/latex/data/numbers.json", &sidecar.Document{
			ID: "numbers", Title: "Numbers", Caption: "Measures are means.", Section: "main", Estimand: "mean_risk",
			Numbers: []sidecar.Number{
				{Name: "bestAUROC", Value: &sidecar.Value{Estimate: ptr(0.9274), CI: &[2]float64{0.8, 0.95}, CIMethod: "logit DeLong"}, Decimals: 3, Meaning: "AUROC of the best"},
				{Name: "nRuns", Count: ptr(12345), Meaning: "runs"},
				{Name: "prevalencePct", Value: &sidecar.Value{Estimate: ptr(0.27)}, Decimals: 1, Percent: true, Meaning: "share"},
				{Name: "lofSlope", Value: &sidecar.Value{Undefined: "separated"}, Meaning: "slope"},
			},
		}},
	}
}

func summarized(t *testing.T) *Report {
	t.Helper()
	r, err := Summarize(t.Context(), database(t), []string{"runs: <odd>"}, sources())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSummarize(t *testing.T) {
	r := summarized(t)
	if got, want := r.Runs.String(), "2 of 4 runs used; deleted 1, failed 1"; got != want {
		t.Errorf("runs: %q, want %q", got, want)
	}
	wantRuns := []Run{
		{"a1", "used", "open run with a complete metrics pickle", &sidecar.Configuration{Outlier: "unregistered-1", Imputation: "SAITS", Classifier: "CatBoost", Featurization: "simple1.0"}, "unregistered-1 + SAITS + CatBoost + Handcrafted features"},
		{"b2", "used", "", &sidecar.Configuration{Outlier: "pupil-gt", Imputation: "SAITS", Classifier: "CatBoost", Featurization: "simple1.0"}, "Ground truth + SAITS + CatBoost + Handcrafted features"},
		{"c3", "failed", "status FAILED", nil, ""},
		{"d4", "deleted", "", nil, ""},
	}
	if diff := cmp.Diff(wantRuns, r.Runs.List); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	wantChecks := Checks{
		Counts: []CheckCount{{"auroc_mean", 1, 1}, {"brier_sd", 1, 0}},
		Disagree: []Check{{"auroc_mean", sidecar.Configuration{Outlier: "unregistered-1", Imputation: "SAITS", Classifier: "CatBoost", Featurization: "simple1.0"},
			"unregistered-1 + SAITS + CatBoost + Handcrafted features", nil, ptr(0.5), 1e-6}},
	}
	if diff := cmp.Diff(wantChecks, r.Checks); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(Subjects{208, 152, 56, 5, ptr(63), ptr(17)}, r.Subjects); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Grid{{"CatBoost", "Handcrafted features", 2}}, r.Configurations); diff != "" {
		t.Errorf("configurations (-want +got):\n%s", diff)
	}
	if r.Estimand != "mean_risk" || len(r.Numbers) != 4 || *r.Refits != 1000 || r.Settings[0] != (Setting{"round_risks", "none"}) {
		t.Errorf("%+v", r)
	}
}

func TestSummarizeRefuses(t *testing.T) {
	for name, c := range map[string]struct{ statement, want string }{
		"an unknown verdict":         {`UPDATE runs SET verdict = 'odd' WHERE run_id = 'c3'`, `the verdict "odd"`},
		"no mark of synthetic data":  {`DELETE FROM meta WHERE key = 'synthetic'`, "synthetic"},
		"another mark than sidecars": {`UPDATE meta SET value = 'true' WHERE key = 'synthetic'`, "fig_x.json and the database disagree"},
		"a count that is none":       {`UPDATE meta SET value = 'many' WHERE key = 'n_event'`, `n_event is "many"`},
		"no table of checks":         {`DROP TABLE checks`, "table checks"},
	} {
		_, err := Summarize(t.Context(), database(t, c.statement), nil, sources())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Test sets of different size are not counted as one.
func TestTestSetsDiffer(t *testing.T) {
	r, err := Summarize(t.Context(), database(t, `UPDATE essential_metrics SET n_test = 60 WHERE config_id = 1`, `DELETE FROM meta WHERE key = 'n_refits'`), nil, sources())
	if err != nil {
		t.Fatal(err)
	}
	if r.Subjects.Test != nil || r.Refits != nil {
		t.Errorf("%v test subjects, %v refits", r.Subjects.Test, r.Refits)
	}
	if _, err := Page(r, shown(t)); err != nil {
		t.Error(err)
	}
}

func TestEncode(t *testing.T) {
	r := summarized(t)
	encoded, err := Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, again); diff != "" {
		t.Errorf("(-encoded +decoded):\n%s", diff)
	}
	if runs, err := DecodeVerdicts(encoded); err != nil || runs.String() != r.Runs.String() {
		t.Errorf("verdicts: %q, %v", runs, err)
	}
	var keys []string
	for _, m := range regexp.MustCompile(`(?m)^ "([^"]+)":`).FindAllSubmatch(encoded, -1) {
		keys = append(keys, string(m[1]))
	}
	if !slices.IsSorted(keys) || !slices.Contains(keys, "schema") {
		t.Errorf("keys %q", keys)
	}
	if bytes.Contains(encoded, []byte(": null,\n \"documents\"")) || !bytes.Contains(encoded, []byte(`"runs: <odd>"`)) {
		t.Errorf("%s", encoded)
	}
	for _, bad := range []string{strings.Replace(string(encoded), Schema, "plr.report/0", 1), string(encoded) + "{}", `{"odd": 1}`} {
		if _, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%.40q is accepted", bad)
		}
		if _, err := DecodeVerdicts([]byte(bad)); err == nil {
			t.Errorf("verdicts of %.40q are accepted", bad)
		}
	}
}

func shown(t *testing.T) []Shown {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
		t.Fatal(err)
	}
	var all []Shown
	for _, s := range sources() {
		one := Shown{Kind: s.Kind, Doc: s.Doc, Digest: strings.Repeat("0a", 32)}
		if s.Kind == KindFigure {
			one.PNG = b.Bytes()
		}
		all = append(all, one)
	}
	return all
}

func TestPage(t *testing.T) {
	r := summarized(t)
	page, err := Page(r, shown(t))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{
		"2 configurations", "63 test subjects", "17 of them with glaucoma",
		"2</dd>", "152 controls, 56 with glaucoma", "5 subjects of the source without a label",
		"1,000 refits on half-size resamples", "estimand <code>mean_risk</code>", "There is no external validation.",
		"Validation noticed", "runs: &lt;odd&gt;", "1 check disagrees",
		"0.927 (0.800–0.950)", "−1.25 (−2.00 to 1.00)", ">0.00</td>", ">∞</td>", ">–</td>", // no minus before zero
		"–, undefined: ", "in AUROC (1).", "No interval: ", "in Int. (1).",
		"What &lt;b&gt;it&lt;/b&gt; shows.", `alt="Dots &amp; lines." width="4" height="3"`,
		"status FAILED", "deleted in MLflow", "open run with a complete metrics pickle",
		"<div>A figure</div><div>A table</div>", "3, other classifier",
		"12,345", "27.0", "logit DeLong interval", "undefined: ", strings.Repeat("0a", 32),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(text, "Synthetic example data") {
		t.Error("the page calls a study synthetic")
	}
	r.Synthetic = true
	if page, err = Page(r, shown(t)); err != nil || !strings.Contains(string(page), "Synthetic example data") {
		t.Errorf("the page does not call the example synthetic: %v", err)
	}
}

// Who cannot see the page, has no JavaScript or no network can read it.
func TestPageIsAccessible(t *testing.T) {
	page, err := Page(summarized(t), shown(t))
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, bad := range []string{"<script", "javascript:", "http://", "https://", "ZgotmplZ", "<no value>", "%!"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	count := func(pattern string) int { return len(regexp.MustCompile(pattern).FindAllString(text, -1)) }
	if n := count(`<h1>`); n != 1 {
		t.Errorf("%d headings of the first rank", n)
	}
	if images, alts := count(`<img `), count(`<img src="data:image/png;base64,[^"]+" alt="[^"]+"`); images != 1 || alts != images {
		t.Errorf("%d pictures, %d with a text", images, alts)
	}
	if headers, scopes := count(`<th[ >]`), count(`<th [^>]*scope="(col|row|colgroup)"`); headers == 0 || headers != scopes {
		t.Errorf("%d header cells, %d with a scope", headers, scopes)
	}
	if tables, captions := count(`<table`), count(`<caption><span><b>`); tables == 0 || tables != captions {
		t.Errorf("%d tables, %d captions", tables, captions)
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(` id="([^"]+)"`).FindAllStringSubmatch(text, -1) {
		ids[m[1]]++
	}
	for id, n := range ids {
		if n != 1 {
			t.Errorf("%d elements are called %q", n, id)
		}
	}
	for _, m := range regexp.MustCompile(`(?:href="#|aria-labelledby=")([^"]+)"`).FindAllStringSubmatch(text, -1) {
		if ids[m[1]] != 1 {
			t.Errorf("a link leads to %q, which is nowhere", m[1])
		}
	}
	for _, tag := range []string{"section", "table", "thead", "tbody", "tr", "figure", "div", "ul", "dl", "nav", "main", "p"} {
		if open, closed := count(`<`+tag+`[ >]`), count(`</`+tag+`>`); open != closed {
			t.Errorf("%d of %s begin, %d end", open, tag, closed)
		}
	}
}

func TestPageRefuses(t *testing.T) {
	r, all := summarized(t), shown(t)
	if _, err := Page(r, all[:2]); err == nil {
		t.Error("a page that lacks a document")
	}
	all[0].PNG = []byte("no picture")
	if _, err := Page(r, all); err == nil || !strings.Contains(err.Error(), "fig_x") {
		t.Errorf("a figure that is no picture: %v", err)
	}
}
