package rules

import (
	"fmt"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/compare"
)

// comparisonRules are what the tables of comparisons say of themselves.
var comparisonRules = func() (all []Rule) {
	reasons := quotedList(metrics.Reasons()) + ", " + quotedList(comparison.Reasons())
	for _, t := range []struct{ table, estimate string }{{schema.Means, "estimate"}, {schema.Differences, "estimate"}, {schema.Selected, "corrected"}} {
		add := func(column, message, where string) {
			all = append(all, Rule{Table: t.table, Column: column, Message: message, Query: "SELECT NULL FROM " + t.table + " WHERE " + where})
		}
		add(t.estimate, "is undefined without a reason, or has both a value and a reason", "("+t.estimate+" IS NULL) <> (undefined IS NOT NULL)")
		add("undefined", "is no reason that this version knows", "undefined NOT IN ("+reasons+")")
		add("estimand", "is neither over_models nor mean_risk", "estimand NOT IN ('"+metrics.OverModels+"', '"+metrics.MeanRisk+"')")
		add("ci_lower, ci_upper", "the interval is half given, upside down, or given without an estimate",
			"(ci_lower IS NULL) <> (ci_upper IS NULL) OR ci_lower > ci_upper OR (ci_lower IS NOT NULL AND "+t.estimate+" IS NULL)")
		add("ci_method", "a method without an interval, or an interval without a method and level", "(ci_lower IS NULL) <> (ci_method = '"+string(metrics.NotAvailable)+"') OR (ci_lower IS NULL) <> (ci_level IS NULL) OR ci_level <> 0.95")
		add("ci_method", "is none that this version knows", "ci_method NOT IN ("+quotedList([]string{string(metrics.NotAvailable), metrics.BootstrapBCa, compare.Recentred})+")")
		add("note", "is not of the published form, and so may be private",
			"note IS NOT NULL AND (ci_lower IS NOT NULL OR NOT starts_with(note, '"+extract.IntervalUndefined+"') OR note[length('"+extract.IntervalUndefined+"')+1:] NOT IN ("+quotedList(metrics.Reasons())+"))")
		add("n_undefined", "is more than there are resamples", fmt.Sprintf("n_undefined > %d", extract.Replicates))
		add("measure", "is not of stratos_metrics", "measure NOT IN (SELECT measure FROM stratos_metrics)")
	}
	d := func(column, message, where string) {
		all = append(all, Rule{Table: schema.Differences, Column: column, Message: message, Query: "SELECT config_id FROM paired_differences WHERE " + where})
	}
	d("scope", "is neither a configuration nor a method, or not what config_id, factor and method say",
		"scope NOT IN ('configuration', 'method') OR (scope = 'configuration') <> (config_id IS NOT NULL) OR (scope = 'method') <> (factor IS NOT NULL) OR (factor IS NULL) <> (method IS NULL)")
	d("verdict", "is none that this version knows", "verdict NOT IN ("+quotedList(comparison.Verdicts())+")")
	d("equivalence_lower, equivalence_upper", "the interval is half given, upside down, without a level or p, or of a measure without a margin",
		"(equivalence_lower IS NULL) <> (equivalence_upper IS NULL) OR equivalence_lower > equivalence_upper OR (equivalence_lower IS NULL) <> (p_equivalence IS NULL) OR (equivalence_lower IS NULL) <> (equivalence_level IS NULL) OR "+
			fmt.Sprintf("equivalence_level <> %v", comparison.EquivalenceLevel)+" OR (equivalence_lower IS NOT NULL AND (margin IS NULL OR estimate IS NULL))")
	d("verdict", "does not follow from the intervals and the margin",
		"verdict <> CASE WHEN margin IS NULL OR estimate IS NULL THEN 'not_judged' WHEN equivalence_lower > -margin AND equivalence_upper < margin THEN 'equivalent' "+
			"WHEN ci_lower > 0 THEN 'better' WHEN ci_upper < 0 THEN 'worse' ELSE 'inconclusive' END")
	d("estimate", "cannot be so", "measure IN ('auroc', 'brier') AND (abs(estimate) > 1 OR abs(ci_lower) > 1 OR abs(ci_upper) > 1)")
	all = append(all,
		Rule{Table: schema.Means, Column: "estimate", Message: "cannot be so",
			Query: "SELECT NULL FROM method_means WHERE estimate > 1 OR ci_upper > 1 OR (measure IN ('auroc', 'brier') AND (estimate < 0 OR ci_lower < 0))"},
		Rule{Table: schema.Selected, Column: "corrected", Message: "cannot be so",
			Query: "SELECT config_id FROM selected WHERE corrected > 1 OR ci_upper > 1 OR naive > 1 OR (measure IN ('auroc', 'brier') AND (corrected < 0 OR ci_lower < 0 OR naive < 0))"},
		Rule{Table: schema.Selected, Column: "scope", Message: "is none that this version knows, or not what classifier and featurization say",
			Query: "SELECT config_id FROM selected WHERE scope <> CASE WHEN classifier IS NULL AND featurization IS NULL THEN '" + comparison.OfAll + "' WHEN featurization IS NULL THEN '" + comparison.OfClassifier + "' WHEN classifier IS NOT NULL THEN '" + comparison.OfGrid + "' ELSE '' END"},
		Rule{Table: schema.Selected, Column: "config_id", Message: "has two ranks, or is none of the candidates",
			Query: "SELECT config_id FROM selected s WHERE config_id IS NOT NULL AND (config_id NOT IN (SELECT e.config_id FROM essential_metrics e WHERE registered AND e.classifier = coalesce(s.classifier, e.classifier) AND e.featurization = coalesce(s.featurization, e.featurization)) " +
				"OR 1 < (SELECT count(*) FROM selected t WHERE t.config_id = s.config_id AND (t.scope, t.classifier, t.featurization, t.estimand, t.measure) IS NOT DISTINCT FROM (s.scope, s.classifier, s.featurization, s.estimand, s.measure)))"},
		Rule{Table: schema.Selected, Column: "naive", Message: "is there without a configuration, or that without it",
			Query: "SELECT config_id FROM selected WHERE (naive IS NULL) <> (config_id IS NULL) OR (share IS NULL) <> (config_id IS NULL)"},
	)
	for _, t := range []struct{ table, factor, method string }{{schema.Means, "factor", "method"}, {schema.Differences, "factor", "method"}} {
		all = append(all, Rule{Table: t.table, Column: "factor, method", Message: "is not in the table methods",
			Query: fmt.Sprintf("SELECT NULL FROM %s WHERE %s IS NOT NULL AND (%[2]s, %s) NOT IN (SELECT (factor, name) FROM methods)", t.table, t.factor, t.method)})
	}
	all = append(all,
		Rule{Table: schema.Cells, Column: "factor", Message: "is none of the four factors",
			Query: "SELECT config_id FROM common_cells WHERE factor NOT IN (" + quotedList(config.Factors()) + ")"},
		Rule{Table: schema.Selected, Column: "classifier, featurization", Message: "is not in the table methods",
			Query: "SELECT config_id FROM selected WHERE (classifier IS NOT NULL AND classifier NOT IN (SELECT name FROM methods WHERE factor = 'classifier')) OR (featurization IS NOT NULL AND featurization NOT IN (SELECT name FROM methods WHERE factor = 'featurization'))"})
	return all
}()
