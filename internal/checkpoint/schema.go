// Package checkpoint writes, reads and validates the public DuckDB file, the
// one place where what is private becomes public: [Assemble] puts codes in the
// place of subjects, and [Write] hands nothing but coded rows to a child
// process that makes the file.
//
// It does not compute measures, does not decide which runs are used and does
// not know how codes are assigned. Figures and tables read the file through
// [Open] and know nothing of how it came about.
package checkpoint

import (
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// SchemaVersion is the value of schema_version in the table meta. It is raised
// when a reader of the old tables would misread the new ones.
const SchemaVersion = "1"

// Types of columns.
const (
	integer = duckfile.Integer
	bigint  = duckfile.Bigint
	double  = duckfile.Double
	varchar = duckfile.Varchar
	boolean = duckfile.Boolean
)

// trait is what Validate asks of a column beyond its type.
type trait uint8

const (
	nullable trait = 1 << iota // may be NULL: undefined, or not applicable
	unit                       // in [0, 1]
	natural                    // 0 or more
	infinite                   // may be ±Inf: a true limit
)

type column struct {
	name   string
	kind   duckfile.Kind
	traits trait
}

// table is one table of the file. The key is what a primary key would be; the
// file has none, because DuckDB's indexes make it 2.8 times larger.
type table struct {
	name    string
	key     []string
	columns []column
}

// Names of the tables that more than one file speaks of.
const (
	essentialTable     = "essential_metrics"
	supplementaryTable = "supplementary_metrics"
	calibrationTable   = "calibration_curves"
	smoothTable        = "calibration_smooth"
	histogramTable     = "probability_distributions"
	decisionTable      = "dca_curves"
	rocTable           = "roc_curves"
	predictionsTable   = "predictions"
	quantilesTable     = "risk_quantiles"
	bootstrapTable     = "bootstrap_risks"
	retentionTable     = "retention_metrics"
	distributionTable  = "distribution_stats"
	stratosTable       = "stratos_metrics"
	cellsTable         = "common_cells"
	meansTable         = "method_means"
	differencesTable   = "paired_differences"
	selectedTable      = "selected"
	runsTable          = "runs"
	methodsTable       = "methods"
	checksTable        = "checks"
	provenanceTable    = "provenance"
	metaTable          = "meta"
)

// tables is the schema, in the order in which the file is written. Those that
// the Python reference has, too, keep its names and the order of its columns.
var tables = slices.Concat([]table{
	{essentialTable, []string{"config_id"}, []column{
		{"config_id", integer, 0},
		{"outlier_method", varchar, 0},
		{"imputation_method", varchar, 0},
		{"classifier", varchar, 0},
		{"featurization", varchar, 0},
		{"source_name", varchar, 0},
		{"run_id", varchar, 0},
		{"mlflow_run_id", varchar, 0},
		{"auroc", double, nullable | unit},
		{"auroc_ci_lower", double, nullable | unit},
		{"auroc_ci_upper", double, nullable | unit},
		{"calibration_slope", double, nullable},
		{"calibration_intercept", double, nullable},
		{"o_e_ratio", double, nullable | natural | infinite},
		{"brier", double, nullable | unit},
		{"net_benefit_5pct", double, nullable},
		{"net_benefit_10pct", double, nullable},
		{"net_benefit_15pct", double, nullable},
		{"net_benefit_20pct", double, nullable},
		{"n_test", integer, natural},
		{"n_events", integer, natural},
		{"prevalence", double, unit},
		{"scaled_brier", double, nullable},
		{"registered", boolean, 0},
	}},
	{supplementaryTable, []string{"config_id"}, []column{
		{"config_id", integer, 0},
		{"f1_score", double, nullable | unit},
		{"accuracy", double, nullable | unit},
		{"aupr", double, nullable | unit},
		{"sensitivity", double, nullable | unit},
		{"specificity", double, nullable | unit},
		{"ppv", double, nullable | unit},
		{"npv", double, nullable | unit},
	}},
	{calibrationTable, []string{"config_id", "bin_index"}, []column{
		{"curve_id", integer, 0},
		{"config_id", integer, 0},
		{"bin_index", integer, natural},
		{"bin_midpoint", double, unit},
		{"observed_proportion", double, nullable | unit},
		{"predicted_mean", double, nullable | unit},
		{"n_samples", integer, natural},
	}},
	{smoothTable, []string{"config_id", "point_index"}, []column{
		{"config_id", integer, 0},
		{"point_index", integer, natural},
		{"risk", double, nullable | unit},
		{"observed", double, nullable}, // a local fit, which may leave [0, 1]
		{"lower", double, nullable | unit},
		{"upper", double, nullable | unit},
		{"level", double, nullable | unit},
		{"method", varchar, 0},
		{"undefined", varchar, nullable},
	}},
	{histogramTable, []string{"config_id", "outcome", "bin_index"}, []column{
		{"dist_id", integer, 0},
		{"config_id", integer, 0},
		{"outcome", integer, unit},
		{"bin_index", integer, natural},
		{"bin_start", double, unit},
		{"bin_end", double, unit},
		{"count", integer, natural},
	}},
	{decisionTable, []string{"config_id", "threshold"}, []column{
		{"dca_id", integer, 0},
		{"config_id", integer, 0},
		{"threshold", double, unit},
		{"net_benefit_model", double, 0},
		{"net_benefit_all", double, 0},
		{"net_benefit_none", double, 0},
		{"sensitivity", double, nullable | unit},
		{"specificity", double, nullable | unit},
	}},
	{rocTable, []string{"config_id", "point_index"}, []column{
		{"config_id", integer, 0},
		{"point_index", integer, natural},
		{"threshold", double, nullable | unit},
		{"fpr", double, unit},
		{"tpr", double, unit},
	}},
	{predictionsTable, []string{"config_id", "subject_code"}, []column{
		{"prediction_id", integer, 0},
		{"config_id", integer, 0},
		{"subject_code", varchar, 0},
		{"y_true", integer, unit},
		{"y_prob", double, unit},
	}},
	{quantilesTable, []string{"config_id", "subject_code"}, []column{
		{"config_id", integer, 0},
		{"subject_code", varchar, 0},
		{"q025", double, unit},
		{"q25", double, unit},
		{"q50", double, unit},
		{"q75", double, unit},
		{"q975", double, unit},
		{"sd", double, nullable | unit},
	}},
	{bootstrapTable, []string{"config_id", "replicate", "subject_code"}, []column{
		{"config_id", integer, 0},
		{"replicate", integer, natural},
		{"subject_code", varchar, 0},
		{"risk", double, unit},
	}},
	{retentionTable, []string{"config_id", "retention_rate", "metric_name"}, []column{
		{"retention_id", integer, 0},
		{"config_id", integer, 0},
		{"retention_rate", double, unit},
		{"metric_name", varchar, 0},
		{"metric_value", double, nullable},
	}},
	{distributionTable, []string{"config_id"}, []column{
		{"config_id", integer, 0},
		{"auroc", double, nullable | unit},
		{"median_cases", double, nullable | unit},
		{"median_controls", double, nullable | unit},
		{"mean_cases", double, nullable | unit},
		{"mean_controls", double, nullable | unit},
		{"n_cases", integer, natural},
		{"n_controls", integer, natural},
	}},
	{stratosTable, []string{"config_id", "estimand", "measure"}, []column{
		{"config_id", integer, 0},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"estimate", double, nullable | infinite},
		{"undefined", varchar, nullable},
		{"ci_lower", double, nullable},
		{"ci_upper", double, nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, nullable | unit},
		{"spread_lower", double, nullable},
		{"spread_upper", double, nullable},
		{"spread_sd", double, nullable | natural},
		{"n_undefined", integer, natural},
		{"domain", varchar, 0},
		{"tier", varchar, 0},
		{"n", integer, natural},
		{"n_events", integer, natural},
		{"note", varchar, nullable},
	}},
	{cellsTable, []string{"factor", "config_id"}, []column{
		{"factor", varchar, 0},
		{"config_id", integer, 0},
	}},
	{meansTable, []string{"factor", "method", "estimand", "measure"}, []column{
		{"factor", varchar, 0},
		{"method", varchar, 0},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"n_configs", integer, natural},
		{"n_cells", integer, natural},
		{"estimate", double, nullable},
		{"undefined", varchar, nullable},
		{"ci_lower", double, nullable},
		{"ci_upper", double, nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, nullable | unit},
		{"n_undefined", integer, natural},
		{"note", varchar, nullable},
	}},
	{differencesTable, []string{"scope", "config_id", "factor", "method", "estimand", "measure"}, []column{
		{"scope", varchar, 0},
		{"config_id", integer, nullable},
		{"factor", varchar, nullable},
		{"method", varchar, nullable},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"n_configs", integer, natural},
		{"estimate", double, nullable},
		{"undefined", varchar, nullable},
		{"ci_lower", double, nullable},
		{"ci_upper", double, nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, nullable | unit},
		{"n_undefined", integer, natural},
		{"note", varchar, nullable},
		{"margin", double, nullable | unit},
		{"equivalence_lower", double, nullable},
		{"equivalence_upper", double, nullable},
		{"equivalence_level", double, nullable | unit},
		{"p_equivalence", double, nullable | unit},
		{"verdict", varchar, 0},
	}},
	{selectedTable, []string{"scope", "classifier", "featurization", "estimand", "measure", "rank"}, []column{
		{"scope", varchar, 0},
		{"classifier", varchar, nullable},
		{"featurization", varchar, nullable},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"rank", integer, natural},
		{"n_candidates", integer, natural},
		{"config_id", integer, nullable},
		{"naive", double, nullable},
		{"corrected", double, nullable},
		{"undefined", varchar, nullable},
		{"ci_lower", double, nullable},
		{"ci_upper", double, nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, nullable | unit},
		{"n_undefined", integer, natural},
		{"note", varchar, nullable},
		{"share", double, nullable | unit},
	}},
	{runsTable, []string{"run_id"}, []column{
		{"run_id", varchar, 0},
		{"config_id", integer, nullable},
		{"verdict", varchar, 0},
		{"reason", varchar, nullable},
	}},
	{methodsTable, []string{"factor", "name"}, []column{
		{"name", varchar, 0},
		{"factor", varchar, 0},
		{"category", varchar, 0},
		{"label", varchar, 0},
		{"registered", boolean, 0},
	}},
	{checksTable, []string{"config_id", "check"}, []column{
		{"config_id", integer, 0},
		{"check", varchar, 0},
		{"expected", double, nullable},
		{"found", double, nullable},
		{"tolerance", double, natural},
		{"ok", boolean, 0},
	}},
}, upstreamTables, []table{
	{provenanceTable, []string{"config_id"}, []column{
		{"config_id", integer, 0},
		{"artifact_blake3_keyed", varchar, 0},
		{"bytes", bigint, natural},
		{"reader_version", varchar, 0},
	}},
	{metaTable, []string{"key"}, []column{
		{"key", varchar, 0},
		{"value", varchar, 0},
	}},
})

// tablePlaces are the places of tables in the schema by their names.
var tablePlaces = func() map[string]int {
	places := map[string]int{}
	for i, t := range tables {
		places[t.name] = i
	}
	return places
}()

// tableNamed finds a table by one of the names above.
func tableNamed(name string) table { return tables[tablePlaces[name]] }

// views are tables of the reference that say nothing of their own. The standard
// deviations of metrics_aggregate are those over refits, as there.
var views = []struct{ name, ddl string }{
	{"cohort_metrics", `CREATE VIEW cohort_metrics AS
SELECT CAST(row_number() OVER (ORDER BY retention_id) AS INTEGER) AS cohort_id, config_id,
  retention_rate AS cohort_fraction, metric_name, metric_value
FROM retention_metrics WHERE metric_name <> 'net_benefit'
ORDER BY retention_id`},
	{"metrics_aggregate", `CREATE VIEW metrics_aggregate AS
SELECT e.run_id, e.source_name, 'test' AS split, e.classifier, e.featurization, e.imputation_method, e.outlier_method,
  e.auroc AS AUROC_mean, a.spread_sd AS AUROC_std, e.auroc_ci_lower AS AUROC_ci_lo, e.auroc_ci_upper AS AUROC_ci_hi,
  e.brier AS Brier_mean, b.spread_sd AS Brier_std, s.sensitivity AS sensitivity_mean, s.specificity AS specificity_mean
FROM essential_metrics e
LEFT JOIN supplementary_metrics s ON s.config_id = e.config_id
LEFT JOIN stratos_metrics a ON a.config_id = e.config_id AND a.estimand = 'over_models' AND a.measure = 'auroc'
LEFT JOIN stratos_metrics b ON b.config_id = e.config_id AND b.estimand = 'over_models' AND b.measure = 'brier'
ORDER BY e.config_id`},
}

func (t table) ddl() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + duckfile.Quote(t.name) + " (")
	for i, c := range t.columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(duckfile.Quote(c.name) + " " + string(c.kind))
	}
	b.WriteString(")")
	return b.String()
}

// Key names the columns that tell the rows of a table apart, nil for a table that is not
// of this schema.
func Key(name string) []string {
	if place, known := tablePlaces[name]; known {
		return tables[place].key
	}
	return nil
}
