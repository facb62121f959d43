package rules

import (
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// copied is the tolerance of a number that one table says in another way, by a
// division: a few units in the last place.
const copied = "1e-12"

// contentRules are what the tables say about themselves and each other.
var contentRules = []Rule{
	{Table: schema.Essential, Message: "there is no configuration", Query: "SELECT NULL FROM essential_metrics HAVING count(*) = 0"},
	{Table: schema.Essential, Column: "classifier, featurization, outlier_method, imputation_method", Message: "the configuration occurs more than once",
		Query: "SELECT max(config_id) FROM essential_metrics GROUP BY classifier, featurization, outlier_method, imputation_method HAVING count(*) > 1"},
	{Table: schema.Essential, Column: "config_id", Message: "is not the place of the configuration by name",
		Query: "SELECT config_id FROM (SELECT config_id, row_number() OVER (ORDER BY classifier, featurization, outlier_method, imputation_method) AS place FROM essential_metrics) WHERE config_id <> place"},
	{Table: schema.Essential, Column: "prevalence", Message: "is not n_events / n_test",
		Query: "SELECT config_id FROM essential_metrics WHERE n_test = 0 OR abs(prevalence - n_events / n_test) > " + copied},
	{Table: schema.Essential, Column: "n_events", Message: "is more than n_test", Query: "SELECT config_id FROM essential_metrics WHERE n_events > n_test"},
	{Table: schema.Essential, Column: "auroc_ci_lower, auroc_ci_upper", Message: "the range is half given or upside down",
		Query: "SELECT config_id FROM essential_metrics WHERE (auroc_ci_lower IS NULL) <> (auroc_ci_upper IS NULL) OR auroc_ci_lower > auroc_ci_upper"},
	{Table: schema.Essential, Column: "run_id", Message: "is not the run that the table runs has as used for the configuration",
		Query: "SELECT e.config_id FROM essential_metrics e LEFT JOIN runs r ON r.config_id = e.config_id WHERE r.run_id IS NULL OR r.run_id <> e.run_id OR e.run_id <> e.mlflow_run_id"},
	{Table: schema.Runs, Column: "config_id", Message: "a run has one without the verdict used, or that verdict without one",
		Query: "SELECT config_id FROM runs WHERE (verdict = 'used') <> (config_id IS NOT NULL)"},
	{Table: schema.Runs, Column: "run_id", Message: "is neither an id that MLflow drew nor one that stands for another, and so may be private",
		Query: "SELECT config_id FROM runs WHERE NOT regexp_full_match(run_id, '" + disclosure.PublicRunForm.String() + "')"},
	{Table: schema.Runs, Column: "verdict", Message: "is none that this version knows",
		Query: "SELECT config_id FROM runs WHERE verdict NOT IN (" + quotedList(disclosure.Verdicts) + ")"},
	{Table: schema.Runs, Column: "reason", Message: "is not of the published list, and so may be private",
		Query: "SELECT config_id FROM runs WHERE reason NOT IN (" + quotedList(disclosure.Reasons) + ")"},

	{Table: schema.Meta, Column: "value", Message: "the database holds a part of the runs, and is not for publication: extract all runs, without RUNS",
		Query: "SELECT NULL FROM meta WHERE key = 'settings." + disclosure.ScopeSetting + "' AND value = '" + disclosure.ScopePart + "'"},

	{Table: schema.Decision, Column: "net_benefit_none", Message: "is not 0", Query: "SELECT config_id FROM dca_curves WHERE net_benefit_none <> 0"},

	{Table: schema.ROC, Column: "point_index", Message: "the points are not numbered from 0",
		Query: "SELECT config_id FROM roc_curves GROUP BY config_id HAVING min(point_index) <> 0 OR max(point_index) <> count(*) - 1"},

	{Table: schema.Predictions, Column: "subject_code", Message: "is not of the form of a published code",
		Query: "SELECT config_id FROM predictions WHERE NOT regexp_full_match(subject_code, '" + disclosure.CodeForm.String() + "')"},
	{Table: schema.Predictions, Column: "y_true", Message: "does not agree with the letter of the code",
		Query: "SELECT config_id FROM predictions WHERE (y_true = 1) <> starts_with(subject_code, 'G')"},
	{Table: schema.Predictions, Column: "y_true", Message: "the subjects are not n_test, or the events not n_events",
		Query: "SELECT config_id FROM essential_metrics JOIN (SELECT config_id, count(*) AS n, sum(y_true) AS events FROM predictions GROUP BY config_id) USING (config_id) WHERE n <> n_test OR events <> n_events"},

	{Table: schema.Histogram, Column: "count", Message: "the counts do not add up to the subjects of the outcome",
		Query: "SELECT config_id FROM essential_metrics JOIN (SELECT config_id, outcome, sum(count) AS n FROM probability_distributions GROUP BY ALL) USING (config_id) WHERE n <> CASE outcome WHEN 1 THEN n_events ELSE n_test - n_events END"},
	{Table: schema.Distribution, Column: "n_cases, n_controls", Message: "are not the events and the others of n_test",
		Query: "SELECT config_id FROM distribution_stats JOIN essential_metrics USING (config_id) WHERE n_cases <> n_events OR n_controls <> n_test - n_events"},
	{Table: schema.Distribution, Column: "auroc", Message: "is not that of the mean risk in stratos_metrics",
		Query: "SELECT config_id FROM distribution_stats d JOIN stratos_metrics s USING (config_id) WHERE estimand = '" + metrics.MeanRisk + "' AND measure = 'auroc' AND d.auroc IS DISTINCT FROM s.estimate"},
	{Table: schema.Distribution, Column: "mean_cases, mean_controls", Message: "do not add up to the risk that o_e_ratio stands on",
		Query: "SELECT config_id FROM distribution_stats JOIN essential_metrics USING (config_id) WHERE o_e_ratio < 'inf' AND abs((n_cases * coalesce(mean_cases, 0) + n_controls * coalesce(mean_controls, 0)) * o_e_ratio - n_events) > 1e-9 * n_test"},
	{Table: schema.Retention, Column: "retention_rate", Message: "is 0, or does not end with 1",
		Query: "SELECT config_id FROM retention_metrics GROUP BY config_id HAVING min(retention_rate) = 0 OR max(retention_rate) <> 1"},
	{Table: schema.Retention, Column: "metric_value", Message: "cannot be so",
		Query: "SELECT config_id FROM retention_metrics WHERE (metric_name IN ('auroc', 'brier') AND metric_value NOT BETWEEN 0 AND 1) OR metric_value > 1"},
	{Table: schema.Retention, Column: "metric_value", Message: "of all subjects is not that of the mean risk in stratos_metrics",
		Query: "SELECT r.config_id FROM retention_metrics r JOIN stratos_metrics s ON s.config_id = r.config_id AND s.estimand = '" + metrics.MeanRisk + "' AND s.measure = CASE r.metric_name WHEN 'net_benefit' THEN 'nb@0.15' ELSE r.metric_name END " +
			"WHERE retention_rate = 1 AND ((metric_value IS NULL) <> (estimate IS NULL) OR abs(metric_value - estimate) > 1e-9)"},
	{Table: schema.Retention, Column: "metric_name", Message: "is none that this version knows",
		Query: "SELECT config_id FROM retention_metrics WHERE metric_name NOT IN (" + quotedList(derivation.RetentionMeasures) + ")"},

	{Table: schema.Stratos, Column: "estimand", Message: "is neither over_models nor mean_risk",
		Query: "SELECT config_id FROM stratos_metrics WHERE estimand NOT IN ('" + metrics.OverModels + "', '" + metrics.MeanRisk + "')"},
	{Table: schema.Stratos, Column: "estimate", Message: "is undefined without a reason, or has both a value and a reason",
		Query: "SELECT config_id FROM stratos_metrics WHERE (estimate IS NULL) <> (undefined IS NOT NULL)"},
	{Table: schema.Stratos, Column: "undefined", Message: "is no reason that this version knows",
		Query: "SELECT config_id FROM stratos_metrics WHERE undefined NOT IN (" + quotedList(metrics.Reasons()) + ")"},
	{Table: schema.Stratos, Column: "ci_lower, ci_upper", Message: "the interval is half given, upside down, or does not hold the estimate",
		// Where resamples are biased an interval of them may lie beside the estimate.
		Query: "SELECT config_id FROM stratos_metrics WHERE (ci_lower IS NULL) <> (ci_upper IS NULL) OR ci_lower > ci_upper OR (ci_lower IS NOT NULL AND (estimate IS NULL OR (NOT starts_with(ci_method, 'bootstrap_') AND (estimate < ci_lower OR estimate > ci_upper))))"},
	{Table: schema.Stratos, Column: "ci_method", Message: "a method without an interval, or an interval without a method and level",
		Query: "SELECT config_id FROM stratos_metrics WHERE (ci_lower IS NULL) <> (ci_method = '" + string(metrics.NotAvailable) + "') OR (ci_lower IS NULL) <> (ci_level IS NULL)"},
	{Table: schema.Stratos, Column: "spread_lower, spread_upper", Message: "the spread is half given, upside down, or given for the mean risk",
		Query: "SELECT config_id FROM stratos_metrics WHERE (spread_lower IS NULL) <> (spread_upper IS NULL) OR spread_lower > spread_upper OR (estimand = '" + metrics.MeanRisk + "' AND spread_lower IS NOT NULL)"},
	{Table: schema.Stratos, Column: "n, n_events", Message: "are not n_test and n_events of the configuration",
		Query: "SELECT config_id FROM stratos_metrics s JOIN essential_metrics e USING (config_id) WHERE s.n <> e.n_test OR s.n_events <> e.n_events"},
	{Table: schema.Provenance, Column: "artifact_blake3_keyed", Message: "is not a digest, and so may be private",
		Query: "SELECT config_id FROM provenance WHERE NOT regexp_full_match(artifact_blake3_keyed, '" + disclosure.DigestForm.String() + "')"},
	{Table: schema.Provenance, Column: "reader_version", Message: "is not of the published form, and so may be private",
		Query: "SELECT config_id FROM provenance WHERE NOT regexp_full_match(reader_version, '" + disclosure.ReaderForm.String() + "')"},
	{Table: schema.Provenance, Column: "artifact_blake3_keyed", Warning: true, Message: "another configuration was read from an equal file: mistrust both",
		Query: "SELECT config_id FROM provenance WHERE artifact_blake3_keyed IN (SELECT artifact_blake3_keyed FROM provenance GROUP BY ALL HAVING count(*) > 1)"},
	{Table: schema.Checks, Column: "ok", Warning: true, Message: "a number that the pickle holds is not the one recomputed from its predictions: mistrust the run",
		Query: "SELECT config_id FROM checks WHERE NOT ok"},
}

// smoothRules are what a smoothed curve must be whatever the predictions are.
var smoothRules = []Rule{
	{Table: schema.Smooth, Column: "point_index", Message: "the points are not numbered from 0 to 100, or there are more than the one that says why there is no curve",
		Query: "SELECT config_id FROM calibration_smooth GROUP BY config_id HAVING min(point_index) <> 0 OR max(point_index) <> count(*) - 1 OR count(*) <> CASE WHEN count(undefined) > 0 THEN 1 ELSE 101 END"},
	{Table: schema.Smooth, Column: "undefined", Message: "there is neither a curve nor a reason, or both",
		Query: "SELECT config_id FROM calibration_smooth WHERE (undefined IS NULL) <> (risk IS NOT NULL) OR (risk IS NULL) <> (observed IS NULL)"},
	{Table: schema.Smooth, Column: "undefined", Message: "is no reason that this version knows",
		Query: "SELECT config_id FROM calibration_smooth WHERE undefined NOT IN (" + quotedList(metrics.Reasons()) + ")"},
	{Table: schema.Smooth, Column: "lower, upper", Message: "the band is half given, upside down, has no level or does not hold the curve",
		Query: "SELECT config_id FROM calibration_smooth WHERE (lower IS NULL) <> (upper IS NULL) OR (lower IS NULL) <> (level IS NULL) OR lower > upper OR lower > greatest(observed, 0) OR upper < least(observed, 1) OR level <> 0.95 OR (lower IS NOT NULL AND observed IS NULL)"},
	{Table: schema.Smooth, Column: "method", Message: "is none that this version knows",
		Query: "SELECT config_id FROM calibration_smooth WHERE method <> '" + string(derivation.Smoother) + "'"},
	{Table: schema.Smooth, Column: "risk", Message: "the risks do not ascend in equal steps",
		Query: "SELECT config_id FROM (SELECT config_id, risk, point_index, first_value(risk) OVER w AS low, last_value(risk) OVER w AS high FROM calibration_smooth WHERE risk IS NOT NULL " +
			"WINDOW w AS (PARTITION BY config_id ORDER BY point_index ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) WHERE low > high OR abs(risk - low - (high - low) * point_index / 100) > 1e-9"},
}

// Contents holds the tables to what they say about themselves and each other, and to what
// the database says of its privacy.
func (c *Check) Contents(privacy disclosure.Privacy) error {
	var all []Rule
	for _, t := range schema.Tables {
		if t.Name == schema.Essential || !slices.ContainsFunc(t.Columns, func(c schema.Column) bool { return c.Name == "config_id" }) {
			continue
		}
		all = append(all, Rule{Table: t.Name, Column: "config_id", Message: "is not in " + schema.Essential,
			Query: "SELECT config_id FROM " + t.Name + " WHERE config_id IS NOT NULL AND config_id NOT IN (SELECT config_id FROM essential_metrics)"})
		if slices.Contains(subjectTables, t.Name) ||
			slices.Contains([]string{schema.Checks, schema.Runs, schema.ROC, schema.Lineage, schema.Cells, schema.Differences, schema.Selected}, t.Name) {
			continue // they have rules of their own
		}
		all = append(all, Rule{Table: t.Name, Column: "config_id", Message: "the configuration has no row",
			Query: "SELECT config_id FROM essential_metrics WHERE config_id NOT IN (SELECT config_id FROM " + t.Name + ")"})
	}
	for _, serial := range []struct{ table, column string }{
		{schema.Essential, "config_id"}, {schema.Calibration, "curve_id"}, {schema.Histogram, "dist_id"}, {schema.Decision, "dca_id"},
		{schema.Predictions, "prediction_id"}, {schema.Retention, "retention_id"},
	} {
		all = append(all, Rule{Table: serial.table, Column: serial.column, Message: "the numbers are not 1 to the number of rows",
			Query: fmt.Sprintf("SELECT NULL FROM %s HAVING count(*) > 0 AND (min(%[2]s) <> 1 OR max(%[2]s) <> count(*) OR count(DISTINCT %[2]s) <> count(*))", serial.table, serial.column)})
	}
	for _, column := range schema.Named(schema.Supplementary).Columns[1:] {
		all = append(all, Rule{Table: schema.Supplementary, Column: column.Name, Warning: true, Message: "is NULL for all configurations: the pickles lack it, or it was lost",
			Query: fmt.Sprintf("SELECT NULL FROM %s HAVING count(*) > 0 AND count(%s) = 0", schema.Supplementary, column.Name)})
	}
	for _, r := range slices.Concat(all, contentRules, upstreamRules(), smoothRules, comparisonRules, privacyRules(privacy)) {
		if err := c.Hold(r); err != nil {
			return err
		}
	}
	return nil
}
