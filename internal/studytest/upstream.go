package studytest

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
)

// UpstreamID is the id of a made-up run of a stage.
func UpstreamID(stage, i int) string { return fmt.Sprintf("%032x", 0xf000*(stage+1)+i) }

// newUpstream makes the stages before the configurations of New, and lets these
// name their origins: each is found but for what the comments say.
func newUpstream(s *Study) *extract.Upstream {
	dec := func(v float64) *float64 { return &v }
	outlier := func(i int, name string) extract.UpstreamRun {
		return extract.UpstreamRun{RunID: UpstreamID(0, i), Verdict: extract.Used, Methods: extract.Configuration{Outlier: name}, Metrics: []extract.UpstreamMetric{
			{Name: "outlier_f1", Value: math.NaN()},
			{Split: "test", Name: "outlier_f1", Value: 0.5, Lower: dec(0.25), Upper: dec(0.75)},
		}}
	}
	running := outlier(2, "private outlier A")
	running.Verdict, running.Reason = extract.Unfinished, extract.ReasonRunning
	u := &extract.Upstream{Format: extract.UpstreamFormat, Stages: []extract.UpstreamStage{
		{Stage: config.OutlierDetection, Experiment: "2", Runs: []extract.UpstreamRun{
			outlier(0, "LOF"), outlier(1, "private outlier C"), running, outlier(3, ""),
			{RunID: UpstreamID(0, 4), Verdict: extract.Deleted, Reason: extract.ReasonDeleted},
			{RunID: UpstreamID(0, 5), Verdict: extract.Unreadable, Reason: extract.ReasonMetrics, Detail: "private"},
			{RunID: "somebody's folder", Verdict: extract.BadMeta, Reason: extract.ReasonRunID, Detail: "private"},
		}},
		{Stage: config.Imputing, Experiment: "3", Runs: []extract.UpstreamRun{
			{RunID: UpstreamID(1, 0), Verdict: extract.Used, Methods: extract.Configuration{Imputation: "SAITS", Outlier: "LOF"},
				From: extract.References{config.OutlierDetection: UpstreamID(0, 0)}, Metrics: []extract.UpstreamMetric{{Name: "imputation_mae", Value: math.Inf(1)}}},
			{RunID: UpstreamID(1, 1), Verdict: extract.Used, Methods: extract.Configuration{Imputation: "CSDI", Outlier: "LOF"},
				From: extract.References{config.OutlierDetection: "private text"}},
		}},
		{Stage: config.Featurizing}, // the store has none
	}}
	s.Index.From = map[string]extract.References{}
	for i, from := range []extract.References{
		0: {config.OutlierDetection: "None", config.Imputing: "None"},
		1: {config.OutlierDetection: UpstreamID(0, 0), config.Imputing: UpstreamID(1, 0), config.Featurizing: UpstreamID(7, 7)},
		2: {config.OutlierDetection: UpstreamID(0, 3), config.Imputing: UpstreamID(1, 1)}, // says no method; another
		3: {config.OutlierDetection: UpstreamID(0, 2), config.Imputing: UpstreamID(0, 0)}, // unfinished; of another stage
		4: {config.OutlierDetection: UpstreamID(0, 4), config.Imputing: "private text"},   // deleted
		5: {config.OutlierDetection: UpstreamID(0, 5), config.Imputing: UpstreamID(7, 7)}, // unreadable; not there
	} {
		s.Index.From[s.Records[i].RunID] = from
	}
	return u
}

// UpstreamOptions are those of a study with its upstream runs.
func UpstreamOptions(s *Study) checkpoint.AssembleOptions {
	o := Options()
	o.Upstream = newUpstream(s)
	o.Published = func(factor, name string) (string, bool) {
		if name == "private outlier C" && factor == config.Outlier {
			return "unregistered-3", true
		}
		return Published(factor, name)
	}
	return o
}
