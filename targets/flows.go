package targets

import (
	"context"
	"errors"
	"slices"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// upstreamFile holds what the runs of the flows before classification say.
const upstreamFile = "upstream.cbor"

// anyExperiment is the pattern of the directories of experiments.
const anyExperiment = "[0-9]*"

// classificationOff is why there is nothing to extract.
const classificationOff = "PREFECT.PROCESS_FLOWS.CLASSIFICATION is false"

// tabulates says whether runs of a flow before classification are read.
func (s *study) tabulates() bool { return len(s.settings.Flows.Upstream) > 0 }

// flowPlaces are the ids of the experiments of the flows, "" where the store has
// none: a study has hundreds of classification runs, and none of their metrics
// need be looked at. Where they cannot be told the step says why, and any may be it.
func (s *study) flowPlaces() []string {
	flows := s.settings.Flows.Upstream
	if s.example() {
		return examplePlaces(flows)
	}
	unknown := slices.Repeat([]string{anyExperiment}, len(flows))
	store, err := mlflow.OpenFiles(s.settings.StorePath)
	if err != nil {
		return unknown
	}
	found, err := extract.FindUpstream(context.Background(), store, flows)
	if errors.Join(err, store.Close()) != nil {
		return unknown
	}
	return found
}

// examplePlaces are the ids that the example's flows are named by.
func examplePlaces(flows []config.UpstreamFlow) []string {
	ids := make([]string, len(flows))
	for i, flow := range flows {
		ids[i] = flow.Experiment
	}
	return ids
}

// flowPatterns are the files that the flows are read of, below the store.
func flowPatterns(flows []config.UpstreamFlow, places []string) []string {
	patterns := extract.ExperimentInputs()
	for i, flow := range flows {
		if places[i] != "" {
			patterns = append(patterns, extract.UpstreamInputs(flow.Stage, places[i])...)
		}
	}
	slices.Sort(patterns)
	return slices.Compact(patterns)
}

// exampleFlowPatterns are those of every flow of the example, whichever are on.
func exampleFlowPatterns() []string {
	flows := config.ExampleFlows()
	return flowPatterns(flows, examplePlaces(flows))
}

// readsUpstream are the inputs of a step that reads what the flows said: none
// where all are off.
func (s *study) readsUpstream() []build.Input {
	if !s.tabulates() {
		return nil
	}
	return []build.Input{build.File(rootPrivate, upstreamFile)}
}

// readUpstream reads what the step upstream wrote; nil where all flows are off.
func (s *study) readUpstream(t *build.Task) (*extract.Upstream, error) {
	if !s.tabulates() {
		return nil, nil
	}
	read := new(extract.Upstream)
	return read, extract.Read(t.Path(build.Ref{Root: rootPrivate, Path: upstreamFile}), read)
}
