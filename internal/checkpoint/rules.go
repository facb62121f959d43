package checkpoint

import (
	"strings"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// copied is the tolerance of a number that one table says in another way, by a
// division: a few units in the last place.
const copied = "1e-12"

// contentRules are what the tables say about themselves and each other.
var contentRules = []rule{
	{table: schema.Essential, message: "there is no configuration", query: "SELECT NULL FROM essential_metrics HAVING count(*) = 0"},
	{table: schema.Essential, column: "classifier, featurization, outlier_method, imputation_method", message: "the configuration occurs more than once",
		query: "SELECT max(config_id) FROM essential_metrics GROUP BY classifier, featurization, outlier_method, imputation_method HAVING count(*) > 1"},
	{table: schema.Essential, column: "config_id", message: "is not the place of the configuration by name",
		query: "SELECT config_id FROM (SELECT config_id, row_number() OVER (ORDER BY classifier, featurization, outlier_method, imputation_method) AS place FROM essential_metrics) WHERE config_id <> place"},
	{table: schema.Essential, column: "prevalence", message: "is not n_events / n_test",
		query: "SELECT config_id FROM essential_metrics WHERE n_test = 0 OR abs(prevalence - n_events / n_test) > " + copied},
	{table: schema.Essential, column: "n_events", message: "is more than n_test", query: "SELECT config_id FROM essential_metrics WHERE n_events > n_test"},
	{table: schema.Essential, column: "auroc_ci_lower, auroc_ci_upper", message: "the range is half given or upside down",
		query: "SELECT config_id FROM essential_metrics WHERE (auroc_ci_lower IS NULL) <> (auroc_ci_upper IS NULL) OR auroc_ci_lower > auroc_ci_upper"},
	{table: schema.Essential, column: "run_id", message: "is not the run that the table runs has as used for the configuration",
		query: "SELECT e.config_id FROM essential_metrics e LEFT JOIN runs r ON r.config_id = e.config_id WHERE r.run_id IS NULL OR r.run_id <> e.run_id OR e.run_id <> e.mlflow_run_id"},
	{table: schema.Runs, column: "config_id", message: "a run has one without the verdict used, or that verdict without one",
		query: "SELECT config_id FROM runs WHERE (verdict = 'used') <> (config_id IS NOT NULL)"},
	{table: schema.Runs, column: "run_id", message: "is neither an id that MLflow drew nor one that stands for another, and so may be private",
		query: "SELECT config_id FROM runs WHERE NOT regexp_full_match(run_id, '" + disclosure.PublicRunForm.String() + "')"},
	{table: schema.Runs, column: "verdict", message: "is none that this version knows",
		query: "SELECT config_id FROM runs WHERE verdict NOT IN (" + quotedList(disclosure.Verdicts) + ")"},
	{table: schema.Runs, column: "reason", message: "is not of the published list, and so may be private",
		query: "SELECT config_id FROM runs WHERE reason NOT IN (" + quotedList(disclosure.Reasons) + ")"},

	{table: schema.Meta, column: "value", message: "the database holds a part of the runs, and is not for publication: extract all runs, without RUNS",
		query: "SELECT NULL FROM meta WHERE key = 'settings." + disclosure.ScopeSetting + "' AND value = '" + disclosure.ScopePart + "'"},

	{table: schema.Decision, column: "net_benefit_none", message: "is not 0", query: "SELECT config_id FROM dca_curves WHERE net_benefit_none <> 0"},

	{table: schema.ROC, column: "point_index", message: "the points are not numbered from 0",
		query: "SELECT config_id FROM roc_curves GROUP BY config_id HAVING min(point_index) <> 0 OR max(point_index) <> count(*) - 1"},

	{table: schema.Predictions, column: "subject_code", message: "is not of the form of a published code",
		query: "SELECT config_id FROM predictions WHERE NOT regexp_full_match(subject_code, '" + disclosure.CodeForm.String() + "')"},
	{table: schema.Predictions, column: "y_true", message: "does not agree with the letter of the code",
		query: "SELECT config_id FROM predictions WHERE (y_true = 1) <> starts_with(subject_code, 'G')"},
	{table: schema.Predictions, column: "y_true", message: "the subjects are not n_test, or the events not n_events",
		query: "SELECT config_id FROM essential_metrics JOIN (SELECT config_id, count(*) AS n, sum(y_true) AS events FROM predictions GROUP BY config_id) USING (config_id) WHERE n <> n_test OR events <> n_events"},

	{table: schema.Histogram, column: "count", message: "the counts do not add up to the subjects of the outcome",
		query: "SELECT config_id FROM essential_metrics JOIN (SELECT config_id, outcome, sum(count) AS n FROM probability_distributions GROUP BY ALL) USING (config_id) WHERE n <> CASE outcome WHEN 1 THEN n_events ELSE n_test - n_events END"},
	{table: schema.Distribution, column: "n_cases, n_controls", message: "are not the events and the others of n_test",
		query: "SELECT config_id FROM distribution_stats JOIN essential_metrics USING (config_id) WHERE n_cases <> n_events OR n_controls <> n_test - n_events"},
	{table: schema.Distribution, column: "auroc", message: "is not that of the mean risk in stratos_metrics",
		query: "SELECT config_id FROM distribution_stats d JOIN stratos_metrics s USING (config_id) WHERE estimand = '" + metrics.MeanRisk + "' AND measure = 'auroc' AND d.auroc IS DISTINCT FROM s.estimate"},
	{table: schema.Distribution, column: "mean_cases, mean_controls", message: "do not add up to the risk that o_e_ratio stands on",
		query: "SELECT config_id FROM distribution_stats JOIN essential_metrics USING (config_id) WHERE o_e_ratio < 'inf' AND abs((n_cases * coalesce(mean_cases, 0) + n_controls * coalesce(mean_controls, 0)) * o_e_ratio - n_events) > 1e-9 * n_test"},
	{table: schema.Retention, column: "retention_rate", message: "is 0, or does not end with 1",
		query: "SELECT config_id FROM retention_metrics GROUP BY config_id HAVING min(retention_rate) = 0 OR max(retention_rate) <> 1"},
	{table: schema.Retention, column: "metric_value", message: "cannot be so",
		query: "SELECT config_id FROM retention_metrics WHERE (metric_name IN ('auroc', 'brier') AND metric_value NOT BETWEEN 0 AND 1) OR metric_value > 1"},
	{table: schema.Retention, column: "metric_value", message: "of all subjects is not that of the mean risk in stratos_metrics",
		query: "SELECT r.config_id FROM retention_metrics r JOIN stratos_metrics s ON s.config_id = r.config_id AND s.estimand = '" + metrics.MeanRisk + "' AND s.measure = CASE r.metric_name WHEN 'net_benefit' THEN 'nb@0.15' ELSE r.metric_name END " +
			"WHERE retention_rate = 1 AND ((metric_value IS NULL) <> (estimate IS NULL) OR abs(metric_value - estimate) > 1e-9)"},
	{table: schema.Retention, column: "metric_name", message: "is none that this version knows",
		query: "SELECT config_id FROM retention_metrics WHERE metric_name NOT IN (" + quotedList(derivation.RetentionMeasures) + ")"},

	{table: schema.Stratos, column: "estimand", message: "is neither over_models nor mean_risk",
		query: "SELECT config_id FROM stratos_metrics WHERE estimand NOT IN ('" + metrics.OverModels + "', '" + metrics.MeanRisk + "')"},
	{table: schema.Stratos, column: "estimate", message: "is undefined without a reason, or has both a value and a reason",
		query: "SELECT config_id FROM stratos_metrics WHERE (estimate IS NULL) <> (undefined IS NOT NULL)"},
	{table: schema.Stratos, column: "undefined", message: "is no reason that this version knows",
		query: "SELECT config_id FROM stratos_metrics WHERE undefined NOT IN (" + quotedList(metrics.Reasons()) + ")"},
	{table: schema.Stratos, column: "ci_lower, ci_upper", message: "the interval is half given, upside down, or does not hold the estimate",
		// Where resamples are biased an interval of them may lie beside the estimate.
		query: "SELECT config_id FROM stratos_metrics WHERE (ci_lower IS NULL) <> (ci_upper IS NULL) OR ci_lower > ci_upper OR (ci_lower IS NOT NULL AND (estimate IS NULL OR (NOT starts_with(ci_method, 'bootstrap_') AND (estimate < ci_lower OR estimate > ci_upper))))"},
	{table: schema.Stratos, column: "ci_method", message: "a method without an interval, or an interval without a method and level",
		query: "SELECT config_id FROM stratos_metrics WHERE (ci_lower IS NULL) <> (ci_method = '" + string(metrics.NotAvailable) + "') OR (ci_lower IS NULL) <> (ci_level IS NULL)"},
	{table: schema.Stratos, column: "spread_lower, spread_upper", message: "the spread is half given, upside down, or given for the mean risk",
		query: "SELECT config_id FROM stratos_metrics WHERE (spread_lower IS NULL) <> (spread_upper IS NULL) OR spread_lower > spread_upper OR (estimand = '" + metrics.MeanRisk + "' AND spread_lower IS NOT NULL)"},
	{table: schema.Stratos, column: "n, n_events", message: "are not n_test and n_events of the configuration",
		query: "SELECT config_id FROM stratos_metrics s JOIN essential_metrics e USING (config_id) WHERE s.n <> e.n_test OR s.n_events <> e.n_events"},
	{table: schema.Provenance, column: "artifact_blake3_keyed", message: "is not a digest, and so may be private",
		query: "SELECT config_id FROM provenance WHERE NOT regexp_full_match(artifact_blake3_keyed, '" + disclosure.DigestForm.String() + "')"},
	{table: schema.Provenance, column: "reader_version", message: "is not of the published form, and so may be private",
		query: "SELECT config_id FROM provenance WHERE NOT regexp_full_match(reader_version, '" + disclosure.ReaderForm.String() + "')"},
	{table: schema.Provenance, column: "artifact_blake3_keyed", warning: true, message: "another configuration was read from an equal file: mistrust both",
		query: "SELECT config_id FROM provenance WHERE artifact_blake3_keyed IN (SELECT artifact_blake3_keyed FROM provenance GROUP BY ALL HAVING count(*) > 1)"},
	{table: schema.Checks, column: "ok", warning: true, message: "a number that the pickle holds is not the one recomputed from its predictions: mistrust the run",
		query: "SELECT config_id FROM checks WHERE NOT ok"},
}

func quotedList[T ~string](list []T) string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = duckfile.QuoteText(string(v))
	}
	return strings.Join(all, ", ")
}
