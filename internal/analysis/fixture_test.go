package analysis

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

const fixtureSchema = `
CREATE TABLE essential_metrics(config_id INTEGER, outlier_method VARCHAR, imputation_method VARCHAR, classifier VARCHAR, featurization VARCHAR, auroc DOUBLE);
CREATE TABLE calibration_curves(config_id INTEGER, bin_index INTEGER, bin_midpoint DOUBLE, observed_proportion DOUBLE, predicted_mean DOUBLE, n_samples INTEGER);
CREATE TABLE dca_curves(config_id INTEGER, threshold DOUBLE, net_benefit_model DOUBLE, net_benefit_all DOUBLE, net_benefit_none DOUBLE);
CREATE TABLE roc_curves(config_id INTEGER, point_index INTEGER, threshold DOUBLE, fpr DOUBLE, tpr DOUBLE);
CREATE TABLE predictions(config_id INTEGER, subject_code VARCHAR, y_true INTEGER, y_prob DOUBLE);
CREATE TABLE probability_distributions(config_id INTEGER, outcome INTEGER, bin_index INTEGER, "count" INTEGER);
CREATE TABLE distribution_stats(config_id INTEGER, mean_cases DOUBLE, mean_controls DOUBLE);
CREATE TABLE stratos_metrics(config_id INTEGER, estimand VARCHAR, measure VARCHAR, estimate DOUBLE, undefined VARCHAR, ci_lower DOUBLE, ci_upper DOUBLE, ci_method VARCHAR, ci_level DOUBLE, n_undefined INTEGER, n INTEGER, n_events INTEGER, note VARCHAR);
CREATE TABLE selected(scope VARCHAR, classifier VARCHAR, featurization VARCHAR, estimand VARCHAR, measure VARCHAR, rank INTEGER, n_candidates INTEGER, naive DOUBLE, corrected DOUBLE, undefined VARCHAR, ci_lower DOUBLE, ci_upper DOUBLE, ci_method VARCHAR, ci_level DOUBLE);
CREATE TABLE runs(run_id VARCHAR, config_id INTEGER, verdict VARCHAR, reason VARCHAR);
CREATE TABLE methods(name VARCHAR, factor VARCHAR, category VARCHAR, label VARCHAR, registered BOOLEAN);
CREATE TABLE meta(key VARCHAR, value VARCHAR);
`

const (
	fixtureN      = 63
	fixtureEvents = 17
	fixtureRefits = 8
)

// inFigures is the number of the fixture's configurations that pass the filter.
func inFigures(t *testing.T) int { return len(fixtureTuples(t, testRegistry(t))) - 4 }

// tables is the content of a database: rows by table, cells as the appender
// takes them.
type tables map[string][][]driver.Value

func testRegistry(t *testing.T) *config.Registry {
	t.Helper()
	reg, err := config.LoadRegistry("../../configs/registry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// tuple is a configuration of the fixture.
type tuple struct{ classifier, featurization, outlier, imputation string }

// fixtureTuples are registered pairs with CatBoost, the named pipelines among
// them but for deep_learning, and 4 that the filter leaves out.
func fixtureTuples(t *testing.T, reg *config.Registry) []tuple {
	var out []tuple
	has := func(x tuple) bool { return slices.Contains(out, x) }
	for _, p := range reg.Pipelines() {
		if p.Name != "deep_learning" {
			out = append(out, tuple{p.Classifier, p.Featurization, p.Outlier, p.Imputation})
		}
	}
	registered := func(factor string) (names []string) {
		for _, m := range reg.Methods(factor) {
			if m.Registered {
				names = append(names, m.Name)
			}
		}
		return names
	}
	for i, o := range registered("outlier") {
		for j, m := range registered("imputation") {
			x := tuple{"CatBoost", "simple1.0", o, m}
			deep := o == "TimesNet-gt" && m == "TimesNet"
			if (i+2*j)%3 == 0 && !deep && !has(x) {
				out = append(out, x)
			}
		}
	}
	out = append(out,
		tuple{"XGBoost", "simple1.0", "LOF", "SAITS"},
		tuple{"XGBoost", "simple1.0", "pupil-gt", "pupil-gt"},
		tuple{"CatBoost", "MOMENT-embedding", "LOF", "SAITS"},
		tuple{"CatBoost", "simple1.0", "anomaly", "SAITS"},
	)
	slices.SortFunc(out, func(a, b tuple) int {
		return cmp.Or(cmp.Compare(a.classifier, b.classifier), cmp.Compare(a.featurization, b.featurization),
			cmp.Compare(a.outlier, b.outlier), cmp.Compare(a.imputation, b.imputation))
	})
	return out
}

// made is the content that makeFixture made. Its measures take a second, and most
// tests want it.
var made struct {
	once sync.Once
	tables
}

// fixture is a copy of the content, for a test to change.
func fixture(t *testing.T) tables {
	t.Helper()
	made.once.Do(func() { made.tables = makeFixture(t) })
	if made.tables == nil {
		t.Fatal("there is no fixture: the first test that wanted one says why")
	}
	c := tables{}
	for name, rows := range made.tables {
		for _, row := range rows {
			c[name] = append(c[name], slices.Clone(row))
		}
	}
	return c
}

// makeFixture makes a database's content with package metrics, from drawn risks.
func makeFixture(t *testing.T) tables {
	t.Helper()
	reg := testRegistry(t)
	c := tables{}
	add := func(table string, cells ...driver.Value) { c[table] = append(c[table], cells) }
	for _, f := range config.Factors() {
		for _, m := range reg.Methods(f) {
			add("methods", m.Name, m.Factor, m.Category, m.Label, m.Registered)
		}
	}
	outcomes := make([]int, fixtureN)
	for i := range fixtureEvents {
		outcomes[i] = 1
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for i, x := range fixtureTuples(t, reg) {
		id := int32(i + 1)
		addConfiguration(t, add, id, x, outcomes, drawnRisks(rng, outcomes, 1+rng.Float64()))
		add("runs", fmt.Sprintf("run%03d", i), id, "used", "")
	}
	add("runs", "run900", nil, "failed", "status")
	add("runs", "run901", nil, "deleted", "lifecycle")
	add("runs", "run902", nil, "superseded", "later")
	for _, kv := range [][2]string{
		{"schema_version", "1"}, {"synthetic", "true"}, {"estimand", metrics.OverModels}, {"n_refits", strconv.Itoa(fixtureRefits)},
		{"n_subjects", "208"}, {"n_control", "152"}, {"n_event", "56"},
	} {
		add("meta", kv[0], kv[1])
	}
	return c
}

// drawnRisks are refits whose logits differ by shift between the classes.
func drawnRisks(rng *rand.Rand, outcomes []int, shift float64) [][]float64 {
	risks := make([][]float64, fixtureRefits)
	base := make([]float64, len(outcomes))
	for i, y := range outcomes {
		base[i] = rng.NormFloat64() - 1.5 + shift*float64(y)
	}
	for m := range risks {
		for i := range outcomes {
			risks[m] = append(risks[m], 1/(1+math.Exp(-base[i]-0.5*rng.NormFloat64())))
		}
	}
	return risks
}

func addConfiguration(t *testing.T, add func(string, ...driver.Value), id int32, x tuple, outcomes []int, risks [][]float64) {
	t.Helper()
	refits, err := metrics.NewRefits(outcomes, risks)
	if err != nil {
		t.Fatal(err)
	}
	// The compatibility column is wrong on purpose: no document may read it.
	add("essential_metrics", id, x.outlier, x.imputation, x.classifier, x.featurization, -7.0)
	rows, err := metrics.RefitTable(refits, metrics.Options{Thresholds: []float64{0.05, 0.1, 0.15, 0.2}, Replicates: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		var estimate, lower, upper, level driver.Value
		method := string(metrics.NotAvailable)
		if r.Defined() {
			estimate = r.Value
		}
		if r.Interval.Defined() {
			lower, upper, level, method = r.Interval.Lower, r.Interval.Upper, r.Interval.Level, r.Interval.Method
		}
		var undefined int32
		if r.Spread != nil {
			undefined = int32(r.Spread.NUndefined)
		}
		var reason driver.Value
		if r.Undefined != "" {
			reason = string(r.Undefined)
		}
		add("stratos_metrics", id, r.Estimand, r.Measure, estimate, reason, lower, upper, method, level, undefined, int32(r.N), int32(r.Events), r.Note)
	}
	mean := refits.Mean()
	for i, p := range mean {
		code := fmt.Sprintf("H%03d", i+1)
		if outcomes[i] == 1 {
			code = fmt.Sprintf("G%03d", i+1)
		}
		add("predictions", id, code, int32(outcomes[i]), p)
	}
	sample, err := metrics.NewSample(outcomes, mean)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range metrics.ROC(sample) {
		var threshold driver.Value
		if !math.IsInf(p.Threshold, 1) {
			threshold = p.Threshold
		}
		add("roc_curves", id, int32(i), threshold, p.FPR, p.TPR)
	}
	for i, b := range metrics.CalibrationBins(sample, 10) {
		var predicted, observed driver.Value
		if b.N > 0 {
			predicted, observed = b.Predicted, b.Observed
		}
		add("calibration_curves", id, int32(i), (b.Lower+b.Upper)/2, observed, predicted, int32(b.N))
		add("probability_distributions", id, int32(0), int32(i), int32(b.N-b.Events))
		add("probability_distributions", id, int32(1), int32(i), int32(b.Events))
	}
	sums, counts := [2]float64{}, [2]float64{}
	for i, y := range sample.Outcomes() {
		sums[y] += sample.Risks()[i]
		counts[y]++
	}
	add("distribution_stats", id, sums[1]/counts[1], sums[0]/counts[0])
	var thresholds []float64
	for i := range 50 {
		thresholds = append(thresholds, float64(i+1)/100)
	}
	for _, p := range metrics.DecisionCurve(sample, thresholds) {
		add("dca_curves", id, p.Threshold, p.Model, p.All, 0.0)
	}
}

// open writes the content into a database in memory.
func (c tables) open(t *testing.T) *sql.DB {
	t.Helper()
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec(fixtureSchema); err != nil {
		t.Fatal(err)
	}
	conn, err := connector.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	names := make([]string, 0, len(c))
	for name := range c {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a, err := duckdb.NewAppenderFromConn(conn, "", name)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range c[name] {
			if err := a.AppendRow(row...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// drop removes the rows of a table for which where holds.
func (c tables) drop(table string, where func(row []driver.Value) bool) {
	c[table] = slices.DeleteFunc(c[table], where)
}

// configID finds a configuration by its factor tuple.
func (c tables) configID(t *testing.T, x tuple) int32 {
	t.Helper()
	for _, r := range c["essential_metrics"] {
		if r[1] == x.outlier && r[2] == x.imputation && r[3] == x.classifier && r[4] == x.featurization {
			return r[0].(int32)
		}
	}
	t.Fatalf("the fixture has no %v", x)
	return 0
}

func mustBuild(t *testing.T, db *sql.DB, id string, o Options) *sidecar.Document {
	t.Helper()
	doc, err := Build(context.Background(), db, id, testRegistry(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// wantError builds and expects a refusal that says all of parts.
func wantError(t *testing.T, db *sql.DB, id string, parts ...string) {
	t.Helper()
	_, err := Build(context.Background(), db, id, testRegistry(t), Options{})
	if err == nil {
		t.Fatalf("%s: built, want an error with %q", id, parts)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: error %q does not say %q", id, err, p)
		}
	}
}
