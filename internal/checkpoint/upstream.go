package checkpoint

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
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
	a.content.add(disclosure.StageTables[stage], append(cells, ok && method.Registered, string(run.Verdict), schema.Optional(run.Reason))...)
	for _, m := range run.Metrics {
		a.content.add(schema.UpstreamMetrics, stage, id, schema.Optional(m.Split), m.Name, decimalCell(&m.Value), decimalCell(m.Lower), decimalCell(m.Upper))
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
