package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// told reports the states in which the origin says what it did.
func told(state string) bool {
	return state == disclosure.OriginFound || state == disclosure.OriginUnfinished
}

// upstream are the runs of the stages by id.
type upstream map[string]map[string]extract.UpstreamRun

// checkUpstream sees that the experiments are different ones.
func (a *assembler) checkUpstream(index *extract.Index) error {
	if a.options.Upstream == nil {
		return nil
	}
	taken := map[string]string{}
	for _, s := range a.options.Upstream.Stages {
		if disclosure.StageTables[s.Stage] == "" {
			return errors.New("there are runs of a stage that this version does not know")
		}
		if s.Experiment == "" {
			continue
		}
		if s.Experiment == index.Experiment {
			return fmt.Errorf("experiment %s is that of classification and that of the flow %s: correct PREFECT.FLOW_NAMES", s.Experiment, s.Stage)
		}
		if other, ok := taken[s.Experiment]; ok {
			return fmt.Errorf("experiment %s is that of the flows %s and %s: correct PREFECT.FLOW_NAMES", s.Experiment, other, s.Stage)
		}
		taken[s.Experiment] = s.Stage
	}
	return nil
}

// published is the name of a method as it is published; nil where there is none.
func (a *assembler) published(factor, name string) any {
	if name == "" {
		return nil
	}
	if _, ok := a.reg.Method(factor, name); ok {
		return name
	}
	return a.hidden[[2]string{factor, name}]
}

// upstreamColumns are the methods of a stage's table in the order of its columns.
var upstreamColumns = map[string][]string{
	config.OutlierDetection: {config.Outlier},
	config.Imputing:         {config.Imputation, config.Outlier},
	config.Featurizing:      {config.Featurization, config.Imputation, config.Outlier},
}

// addUpstream adds the runs of the stages and where the configurations, and these
// runs, came from.
func (a *assembler) addUpstream() error {
	if a.options.Upstream == nil {
		return nil
	}
	known := upstream{}
	for _, s := range a.options.Upstream.Stages {
		known[s.Stage] = map[string]extract.UpstreamRun{}
		nameless := 0
		for _, run := range s.Runs {
			id := run.RunID
			if !slices.Contains(disclosure.UpstreamVerdicts, run.Verdict) || run.Reason != "" && !slices.Contains(disclosure.UpstreamReasons, run.Reason) {
				return fmt.Errorf("a run of experiment %s has a verdict or a reason that is not of the published list", s.Experiment)
			}
			if !disclosure.RunIDForm.MatchString(id) {
				nameless++
				id = disclosure.OtherRun(nameless)
			}
			if _, ok := known[s.Stage][id]; ok {
				return fmt.Errorf("run %s occurs twice in experiment %s", id, s.Experiment)
			}
			known[s.Stage][id] = run
		}
	}
	for _, s := range a.options.Upstream.Stages {
		for _, id := range slices.Sorted(maps.Keys(known[s.Stage])) {
			a.addUpstreamRun(s.Stage, id, known[s.Stage][id])
		}
	}
	for i, c := range a.configs {
		for k, s := range a.options.Upstream.Stages {
			a.addOrigin(known, s.Stage, a.publishedRun(c.RunID), i+1, c.Configuration, c.from[k])
		}
	}
	for _, s := range a.options.Upstream.Stages {
		for _, id := range slices.Sorted(maps.Keys(known[s.Stage])) {
			run := known[s.Stage][id]
			for _, origin := range a.options.Upstream.Stages {
				if text := run.From[origin.Stage]; text != "" {
					a.addOrigin(known, origin.Stage, id, nil, run.Methods, text)
				}
			}
		}
	}
	return nil
}

func (a *assembler) addUpstreamRun(stage, id string, run extract.UpstreamRun) {
	cells := []any{id}
	for _, factor := range upstreamColumns[stage] {
		cells = append(cells, a.published(factor, run.Methods.Of(factor)))
	}
	own := upstreamColumns[stage][0]
	method, ok := a.reg.Method(own, run.Methods.Of(own))
	a.content.add(disclosure.StageTables[stage], append(cells, ok && method.Registered, string(run.Verdict), optional(run.Reason))...)
	for _, m := range run.Metrics {
		a.content.add(schema.UpstreamMetrics, stage, id, optional(m.Split), m.Name, decimalCell(&m.Value), decimalCell(m.Lower), decimalCell(m.Upper))
	}
}

// decimalCell is a number of the store; NaN is undefined.
func decimalCell(d *float64) any {
	if d == nil || math.IsNaN(float64(*d)) {
		return nil
	}
	return float64(*d)
}

// addOrigin adds where a run came from. id and config are its own, methods what it
// says it is made of, and text is what it says of its origin in the stage.
func (a *assembler) addOrigin(known upstream, stage, id string, config any, methods extract.Configuration, text string) {
	state, from := a.origin(known, stage, text)
	var fromID, agrees any
	if from != nil {
		fromID = text
		if told(state) {
			agrees = agreement(methods, from.Methods, upstreamColumns[stage])
		}
	}
	a.content.add(schema.Lineage, id, stage, config, fromID, state, agrees)
}

// origin finds the run that a param names.
func (a *assembler) origin(known upstream, stage, text string) (state string, from *extract.UpstreamRun) {
	switch {
	case text == "":
		return disclosure.OriginNotSaid, nil
	case text == "None":
		return disclosure.OriginNone, nil
	case !disclosure.RunIDForm.MatchString(text):
		return disclosure.OriginNotAnID, nil
	}
	if run, ok := known[stage][text]; ok {
		for state, verdicts := range disclosure.KnownOrigins {
			if slices.Contains(verdicts, run.Verdict) {
				return state, &run
			}
		}
	}
	for _, runs := range known {
		if _, ok := runs[text]; ok {
			return disclosure.OriginOtherStage, nil
		}
	}
	if a.flows()[disclosure.FlowKey(stage)] == disclosure.Absent {
		return disclosure.OriginNoExperiment, nil
	}
	return disclosure.OriginNotInStore, nil
}

// agreement compares the methods that both name; nil where there is none.
func agreement(run, from extract.Configuration, factors []string) any {
	var agrees any
	for _, factor := range factors {
		a, b := run.Of(factor), from.Of(factor)
		if a != "" && b != "" {
			agrees = a == b && agrees != false
		}
	}
	return agrees
}

// flows is what the table meta says of them.
func (a *assembler) flows() map[string]string {
	said := map[string]string{}
	for _, stage := range config.Stages() {
		said[disclosure.FlowKey(stage)] = disclosure.Off
	}
	if a.options.Upstream != nil {
		for _, s := range a.options.Upstream.Stages {
			said[disclosure.FlowKey(s.Stage)] = disclosure.On
			if s.Experiment == "" {
				said[disclosure.FlowKey(s.Stage)] = disclosure.Absent
			}
		}
	}
	return said
}

// upstreamQuery is the runs of all stages in the same columns.
const upstreamQuery = `(SELECT 'outlier_detection' AS stage, run_id, verdict, outlier_method, CAST(NULL AS VARCHAR) AS imputation_method, CAST(NULL AS VARCHAR) AS featurization FROM outlier_runs
UNION ALL SELECT 'imputation', run_id, verdict, outlier_method, imputation_method, NULL FROM imputation_runs
UNION ALL SELECT 'featurization', run_id, verdict, outlier_method, imputation_method, featurization FROM featurization_runs)`

// upstreamRules are what the tables of the stages say about themselves, each other
// and the configurations.
func upstreamRules() []rule {
	var all []rule
	add := func(table, column, message, query string) {
		all = append(all, rule{table: table, column: column, message: message, query: query})
	}
	warn := func(table, column, message, query string) {
		all = append(all, rule{table: table, column: column, message: message, query: query, warning: true, runs: true})
	}
	factorOf := map[string]string{"outlier_method": config.Outlier, "imputation_method": config.Imputation, "featurization": config.Featurization}
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
