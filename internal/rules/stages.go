package rules

import (
	"maps"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// upstreamQuery is the runs of all stages in the same columns.
const upstreamQuery = `(SELECT 'outlier_detection' AS stage, run_id, verdict, outlier_method, CAST(NULL AS VARCHAR) AS imputation_method, CAST(NULL AS VARCHAR) AS featurization FROM outlier_runs
UNION ALL SELECT 'imputation', run_id, verdict, outlier_method, imputation_method, NULL FROM imputation_runs
UNION ALL SELECT 'featurization', run_id, verdict, outlier_method, imputation_method, featurization FROM featurization_runs)`

// upstreamRules are what the tables of the stages say about themselves, each other
// and the configurations.
func upstreamRules() []Rule {
	var all []Rule
	add := func(table, column, message, query string) {
		all = append(all, Rule{Table: table, Column: column, Message: message, Query: query})
	}
	warn := func(table, column, message, query string) {
		all = append(all, Rule{Table: table, Column: column, Message: message, Query: query, Warning: true, Runs: true})
	}
	factorOf := map[string]string{}
	for _, f := range FactorColumns {
		factorOf[f.Column] = f.Factor
	}
	for _, stage := range config.Stages() {
		t := schema.Named(disclosure.StageTables[stage])
		add(t.Name, "", "has rows, which "+schema.Meta+" says are switched off or absent",
			"SELECT NULL FROM "+t.Name+" WHERE NOT EXISTS (SELECT 1 FROM meta WHERE key = "+duckfile.QuoteText(disclosure.FlowKey(stage))+" AND value = "+duckfile.QuoteText(disclosure.On)+")")
		add(t.Name, "run_id", "is neither an id that MLflow drew nor one that stands for another, and so may be private",
			"SELECT NULL FROM "+t.Name+" WHERE NOT regexp_full_match(run_id, '"+disclosure.PublicRunForm.String()+"')")
		add(t.Name, "verdict", "is none that this version knows",
			"SELECT NULL FROM "+t.Name+" WHERE verdict NOT IN ("+quotedList(disclosure.UpstreamVerdicts)+")")
		add(t.Name, "reason", "is not of the published list, and so may be private",
			"SELECT NULL FROM "+t.Name+" WHERE reason NOT IN ("+quotedList(disclosure.UpstreamReasons)+")")
		add(t.Name, "reason", "stands beside the verdict used, or is missing beside another",
			"SELECT NULL FROM "+t.Name+" WHERE (verdict = 'used') <> (reason IS NULL)")
		for _, c := range t.Columns {
			if factor, ok := factorOf[c.Name]; ok {
				add(t.Name, c.Name, "is not in the table methods",
					"SELECT NULL FROM "+t.Name+" WHERE "+c.Name+" NOT IN (SELECT name FROM methods WHERE factor = "+duckfile.QuoteText(factor)+")")
			}
		}
		own := t.Columns[1].Name
		add(t.Name, "registered", "does not agree with the table methods",
			"SELECT NULL FROM "+t.Name+" WHERE registered <> coalesce((SELECT bool_and(m.registered) FROM methods m WHERE factor = "+duckfile.QuoteText(factorOf[own])+" AND name = "+own+"), false)")
		warn(t.Name, "verdict", "the run cannot be read: repair it in the store",
			"SELECT NULL, run_id FROM "+t.Name+" WHERE verdict IN ('bad_meta', 'unreadable')")
		add(schema.Lineage, "stage", "a configuration has no row of the stage "+stage+", or has one although the flow is off",
			"SELECT e.config_id FROM essential_metrics e LEFT JOIN lineage l ON l.config_id = e.config_id AND l.stage = "+duckfile.QuoteText(stage)+
				" WHERE (l.run_id IS NULL) <> NOT EXISTS (SELECT 1 FROM meta WHERE key = "+duckfile.QuoteText(disclosure.FlowKey(stage))+" AND value <> "+duckfile.QuoteText(disclosure.Off)+")")
	}
	names, splits := extract.UpstreamMetrics()
	stages := quotedList(config.Stages())
	add(schema.UpstreamMetrics, "metric", "is none that this version publishes, and so may be private",
		"SELECT NULL FROM upstream_metrics WHERE metric NOT IN ("+quotedList(names)+")")
	add(schema.UpstreamMetrics, "split", "is none that this version publishes, and so may be private",
		"SELECT NULL FROM upstream_metrics WHERE split NOT IN ("+quotedList(splits)+")")
	add(schema.UpstreamMetrics, "run_id", "is no run of the stage that says what it did",
		"SELECT NULL FROM upstream_metrics m LEFT JOIN "+upstreamQuery+" u USING (stage, run_id) WHERE u.run_id IS NULL OR u.verdict NOT IN ('used', 'unfinished')")
	warn(schema.UpstreamMetrics, "value", "it, or its ci_lower and ci_upper, cannot be so: mistrust the run",
		"SELECT NULL, run_id FROM upstream_metrics WHERE value < 0 OR ci_lower > ci_upper OR value > 1 AND (metric LIKE '%_f1%' OR metric LIKE '%_precision%' OR metric LIKE '%_accuracy%')")

	add(schema.Lineage, "stage", "is none that this version knows", "SELECT config_id FROM lineage WHERE stage NOT IN ("+stages+")")
	known := slices.Sorted(maps.Keys(disclosure.KnownOrigins))
	add(schema.Lineage, "state", "is none that this version knows", "SELECT config_id FROM lineage WHERE state NOT IN ("+quotedList(slices.Concat(known, disclosure.OtherOrigins))+")")
	add(schema.Lineage, "run_id", "is neither the run of the configuration nor, without one, a run of a stage before it",
		"SELECT l.config_id FROM lineage l LEFT JOIN essential_metrics e ON e.config_id = l.config_id AND e.run_id = l.run_id WHERE CASE WHEN l.config_id IS NOT NULL THEN e.run_id IS NULL ELSE l.run_id NOT IN (SELECT run_id FROM "+upstreamQuery+") END")
	var verdictsOf []string
	for _, state := range known {
		verdictsOf = append(verdictsOf, "l.state = "+duckfile.QuoteText(state)+" AND u.verdict IN ("+quotedList(disclosure.KnownOrigins[state])+")")
	}
	add(schema.Lineage, "from_run_id", "is not a run of the stage that is as the state says",
		"SELECT l.config_id FROM lineage l LEFT JOIN "+upstreamQuery+" u ON u.stage = l.stage AND u.run_id = l.from_run_id WHERE CASE WHEN l.state IN ("+quotedList(known)+") THEN NOT coalesce("+strings.Join(verdictsOf, " OR ")+", false) ELSE l.from_run_id IS NOT NULL END")
	var same []string
	for _, column := range []string{"outlier_method", "imputation_method", "featurization"} {
		same = append(same, "r."+column+" = u."+column)
	}
	add(schema.Lineage, "agrees", "does not follow from the methods of the two runs",
		"SELECT l.config_id FROM lineage l JOIN (SELECT run_id, outlier_method, imputation_method, featurization FROM essential_metrics UNION ALL SELECT run_id, outlier_method, imputation_method, featurization FROM "+upstreamQuery+" WHERE verdict IN ('used', 'unfinished')) r USING (run_id) "+
			"LEFT JOIN "+upstreamQuery+" u ON u.stage = l.stage AND u.run_id = l.from_run_id AND u.verdict IN ('used', 'unfinished') "+
			"WHERE agrees IS DISTINCT FROM list_bool_and(["+strings.Join(same, ", ")+"])")
	warn(schema.Lineage, "agrees", "the run that it came from is one of other methods than it says: mistrust the run",
		"SELECT config_id, run_id FROM lineage WHERE NOT agrees")
	warn(schema.Lineage, "state", "the run that it came from is not there as a finished one of its stage: see the state",
		"SELECT config_id, run_id FROM lineage WHERE state NOT IN ("+quotedList([]string{disclosure.OriginFound, disclosure.OriginNone, disclosure.OriginNotSaid, disclosure.OriginNoExperiment})+")")
	return all
}
