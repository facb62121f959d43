package schema

import (
	"slices"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// Types of columns.
const (
	integer = duckfile.Integer
	bigint  = duckfile.Bigint
	double  = duckfile.Double
	varchar = duckfile.Varchar
	boolean = duckfile.Boolean
)

// Names of the tables.
const (
	Essential     = "essential_metrics"
	Supplementary = "supplementary_metrics"
	Calibration   = "calibration_curves"
	Smooth        = "calibration_smooth"
	Histogram     = "probability_distributions"
	Decision      = "dca_curves"
	ROC           = "roc_curves"
	Predictions   = "predictions"
	Quantiles     = "risk_quantiles"
	Bootstrap     = "bootstrap_risks"
	Retention     = "retention_metrics"
	Distribution  = "distribution_stats"
	Stratos       = "stratos_metrics"
	Cells         = "common_cells"
	Means         = "method_means"
	Differences   = "paired_differences"
	Selected      = "selected"
	Runs          = "runs"
	Methods       = "methods"
	Checks        = "checks"
	Provenance    = "provenance"
	Meta          = "meta"
)

// Tables is the schema, in the order in which the file is written. Those that
// the Python reference has, too, keep its names and the order of its columns.
var Tables = slices.Concat([]Table{
	{Essential, []string{"config_id"}, []Column{
		{"config_id", integer, 0},
		{"outlier_method", varchar, 0},
		{"imputation_method", varchar, 0},
		{"classifier", varchar, 0},
		{"featurization", varchar, 0},
		{"source_name", varchar, 0},
		{"run_id", varchar, 0},
		{"mlflow_run_id", varchar, 0},
		{"auroc", double, Nullable | Unit},
		{"auroc_ci_lower", double, Nullable | Unit},
		{"auroc_ci_upper", double, Nullable | Unit},
		{"calibration_slope", double, Nullable},
		{"calibration_intercept", double, Nullable},
		{"o_e_ratio", double, Nullable | Natural | Infinite},
		{"brier", double, Nullable | Unit},
		{"net_benefit_5pct", double, Nullable},
		{"net_benefit_10pct", double, Nullable},
		{"net_benefit_15pct", double, Nullable},
		{"net_benefit_20pct", double, Nullable},
		{"n_test", integer, Natural},
		{"n_events", integer, Natural},
		{"prevalence", double, Unit},
		{"scaled_brier", double, Nullable},
		{"registered", boolean, 0},
	}},
	{Supplementary, []string{"config_id"}, []Column{
		{"config_id", integer, 0},
		{"f1_score", double, Nullable | Unit},
		{"accuracy", double, Nullable | Unit},
		{"aupr", double, Nullable | Unit},
		{"sensitivity", double, Nullable | Unit},
		{"specificity", double, Nullable | Unit},
		{"ppv", double, Nullable | Unit},
		{"npv", double, Nullable | Unit},
	}},
	{Calibration, []string{"config_id", "bin_index"}, []Column{
		{"curve_id", integer, 0},
		{"config_id", integer, 0},
		{"bin_index", integer, Natural},
		{"bin_midpoint", double, Unit},
		{"observed_proportion", double, Nullable | Unit},
		{"predicted_mean", double, Nullable | Unit},
		{"n_samples", integer, Natural},
	}},
	{Smooth, []string{"config_id", "point_index"}, []Column{
		{"config_id", integer, 0},
		{"point_index", integer, Natural},
		{"risk", double, Nullable | Unit},
		{"observed", double, Nullable}, // a local fit, which may leave [0, 1]
		{"lower", double, Nullable | Unit},
		{"upper", double, Nullable | Unit},
		{"level", double, Nullable | Unit},
		{"method", varchar, 0},
		{"undefined", varchar, Nullable},
	}},
	{Histogram, []string{"config_id", "outcome", "bin_index"}, []Column{
		{"dist_id", integer, 0},
		{"config_id", integer, 0},
		{"outcome", integer, Unit},
		{"bin_index", integer, Natural},
		{"bin_start", double, Unit},
		{"bin_end", double, Unit},
		{"count", integer, Natural},
	}},
	{Decision, []string{"config_id", "threshold"}, []Column{
		{"dca_id", integer, 0},
		{"config_id", integer, 0},
		{"threshold", double, Unit},
		{"net_benefit_model", double, 0},
		{"net_benefit_all", double, 0},
		{"net_benefit_none", double, 0},
		{"sensitivity", double, Nullable | Unit},
		{"specificity", double, Nullable | Unit},
	}},
	{ROC, []string{"config_id", "point_index"}, []Column{
		{"config_id", integer, 0},
		{"point_index", integer, Natural},
		{"threshold", double, Nullable | Unit},
		{"fpr", double, Unit},
		{"tpr", double, Unit},
	}},
	{Predictions, []string{"config_id", "subject_code"}, []Column{
		{"prediction_id", integer, 0},
		{"config_id", integer, 0},
		{"subject_code", varchar, 0},
		{"y_true", integer, Unit},
		{"y_prob", double, Unit},
	}},
	{Quantiles, []string{"config_id", "subject_code"}, []Column{
		{"config_id", integer, 0},
		{"subject_code", varchar, 0},
		{"q025", double, Unit},
		{"q25", double, Unit},
		{"q50", double, Unit},
		{"q75", double, Unit},
		{"q975", double, Unit},
		{"sd", double, Nullable | Unit},
	}},
	{Bootstrap, []string{"config_id", "replicate", "subject_code"}, []Column{
		{"config_id", integer, 0},
		{"replicate", integer, Natural},
		{"subject_code", varchar, 0},
		{"risk", double, Unit},
	}},
	{Retention, []string{"config_id", "retention_rate", "metric_name"}, []Column{
		{"retention_id", integer, 0},
		{"config_id", integer, 0},
		{"retention_rate", double, Unit},
		{"metric_name", varchar, 0},
		{"metric_value", double, Nullable},
	}},
	{Distribution, []string{"config_id"}, []Column{
		{"config_id", integer, 0},
		{"auroc", double, Nullable | Unit},
		{"median_cases", double, Nullable | Unit},
		{"median_controls", double, Nullable | Unit},
		{"mean_cases", double, Nullable | Unit},
		{"mean_controls", double, Nullable | Unit},
		{"n_cases", integer, Natural},
		{"n_controls", integer, Natural},
	}},
	{Stratos, []string{"config_id", "estimand", "measure"}, []Column{
		{"config_id", integer, 0},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"estimate", double, Nullable | Infinite},
		{"undefined", varchar, Nullable},
		{"ci_lower", double, Nullable},
		{"ci_upper", double, Nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, Nullable | Unit},
		{"spread_lower", double, Nullable},
		{"spread_upper", double, Nullable},
		{"spread_sd", double, Nullable | Natural},
		{"n_undefined", integer, Natural},
		{"domain", varchar, 0},
		{"tier", varchar, 0},
		{"n", integer, Natural},
		{"n_events", integer, Natural},
		{"note", varchar, Nullable},
	}},
	{Cells, []string{"factor", "config_id"}, []Column{
		{"factor", varchar, 0},
		{"config_id", integer, 0},
	}},
	{Means, []string{"factor", "method", "estimand", "measure"}, []Column{
		{"factor", varchar, 0},
		{"method", varchar, 0},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"n_configs", integer, Natural},
		{"n_cells", integer, Natural},
		{"estimate", double, Nullable},
		{"undefined", varchar, Nullable},
		{"ci_lower", double, Nullable},
		{"ci_upper", double, Nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, Nullable | Unit},
		{"n_undefined", integer, Natural},
		{"note", varchar, Nullable},
	}},
	{Differences, []string{"scope", "config_id", "factor", "method", "estimand", "measure"}, []Column{
		{"scope", varchar, 0},
		{"config_id", integer, Nullable},
		{"factor", varchar, Nullable},
		{"method", varchar, Nullable},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"n_configs", integer, Natural},
		{"estimate", double, Nullable},
		{"undefined", varchar, Nullable},
		{"ci_lower", double, Nullable},
		{"ci_upper", double, Nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, Nullable | Unit},
		{"n_undefined", integer, Natural},
		{"note", varchar, Nullable},
		{"margin", double, Nullable | Unit},
		{"equivalence_lower", double, Nullable},
		{"equivalence_upper", double, Nullable},
		{"equivalence_level", double, Nullable | Unit},
		{"p_equivalence", double, Nullable | Unit},
		{"verdict", varchar, 0},
	}},
	{Selected, []string{"scope", "classifier", "featurization", "estimand", "measure", "rank"}, []Column{
		{"scope", varchar, 0},
		{"classifier", varchar, Nullable},
		{"featurization", varchar, Nullable},
		{"estimand", varchar, 0},
		{"measure", varchar, 0},
		{"rank", integer, Natural},
		{"n_candidates", integer, Natural},
		{"config_id", integer, Nullable},
		{"naive", double, Nullable},
		{"corrected", double, Nullable},
		{"undefined", varchar, Nullable},
		{"ci_lower", double, Nullable},
		{"ci_upper", double, Nullable},
		{"ci_method", varchar, 0},
		{"ci_level", double, Nullable | Unit},
		{"n_undefined", integer, Natural},
		{"note", varchar, Nullable},
		{"share", double, Nullable | Unit},
	}},
	{Runs, []string{"run_id"}, []Column{
		{"run_id", varchar, 0},
		{"config_id", integer, Nullable},
		{"verdict", varchar, 0},
		{"reason", varchar, Nullable},
	}},
	{Methods, []string{"factor", "name"}, []Column{
		{"name", varchar, 0},
		{"factor", varchar, 0},
		{"category", varchar, 0},
		{"label", varchar, 0},
		{"registered", boolean, 0},
	}},
	{Checks, []string{"config_id", "check"}, []Column{
		{"config_id", integer, 0},
		{"check", varchar, 0},
		{"expected", double, Nullable},
		{"found", double, Nullable},
		{"tolerance", double, Natural},
		{"ok", boolean, 0},
	}},
}, ofStages, []Table{
	{Provenance, []string{"config_id"}, []Column{
		{"config_id", integer, 0},
		{"artifact_blake3_keyed", varchar, 0},
		{"bytes", bigint, Natural},
		{"reader_version", varchar, 0},
	}},
	{Meta, []string{"key"}, []Column{
		{"key", varchar, 0},
		{"value", varchar, 0},
	}},
})
