package config

import (
	"fmt"
	"slices"
	"strings"
)

// Stages of the study before classification, in their order, as the public
// tables name them.
const (
	OutlierDetection = "outlier_detection"
	Imputing         = "imputation"
	Featurizing      = "featurization"
)

// Stages are all of them.
func Stages() []string { return []string{OutlierDetection, Imputing, Featurizing} }

// Flows are the flows of the study that a build takes part in: the first are
// experiments of the tracking store that it reads.
type Flows struct {
	Classification bool           // the runs with pickles; false: nothing is extracted
	Upstream       []UpstreamFlow // those of the stages before it that are tabulated, in the order of the stages
	Summarization  bool           // the report
	Deployment     bool           // the release bundle, with every build of everything
}

// UpstreamFlow is a stage before classification.
type UpstreamFlow struct {
	Stage      string // OutlierDetection, Imputing or Featurizing
	Experiment string // its id or name
	Named      bool   // the settings name it: a store without it is an error
}

// Stages are those of the upstream flows.
func (f Flows) Stages() []string {
	var stages []string
	for _, flow := range f.Upstream {
		stages = append(stages, flow.Stage)
	}
	return stages
}

// flowsFile is the section PREFECT of configs/defaults.yaml, named after what
// ran the study's flows.
type flowsFile struct {
	ProcessFlows struct {
		OutlierDetection bool `yaml:"OUTLIER_DETECTION"`
		Imputation       bool `yaml:"IMPUTATION"`
		Featurization    bool `yaml:"FEATURIZATION"`
		Classification   bool `yaml:"CLASSIFICATION"`
		Summarization    bool `yaml:"SUMMARIZATION"`
		Deployment       bool `yaml:"DEPLOYMENT"`
	} `yaml:"PROCESS_FLOWS"`
	FlowNames struct {
		OutlierDetection string `yaml:"OUTLIER_DETECTION"`
		Imputation       string `yaml:"IMPUTATION"`
		Featurization    string `yaml:"FEATURIZATION"`
	} `yaml:"FLOW_NAMES"`
}

// allFlows is what holds where a settings file says nothing: everything but what
// is for others to have.
func allFlows() flowsFile {
	var f flowsFile
	p := &f.ProcessFlows
	p.OutlierDetection, p.Imputation, p.Featurization, p.Classification, p.Summarization = true, true, true, true, true
	return f
}

// usualNames are what the study's own code calls the experiments.
var usualNames = map[string]string{
	OutlierDetection: "PLR_OutlierDetection", Imputing: "PLR_Imputation", Featurizing: "PLR_Featurization",
}

// exampleFlows are the ids of the experiments of the bundled example: with them a
// build knows which files to look at before any is unpacked.
var exampleFlows = map[string]string{
	OutlierDetection: "996740926475477194", Imputing: "940304421003085572", Featurizing: "143964216992376241",
}

// ExampleFlows are all upstream flows of the bundled example.
func ExampleFlows() []UpstreamFlow {
	var flows []UpstreamFlow
	for _, stage := range Stages() {
		flows = append(flows, UpstreamFlow{Stage: stage, Experiment: exampleFlows[stage], Named: true})
	}
	return flows
}

// flows are the settings of a study. The bundled example has the experiments that
// it has, whatever one's own are called. The other text is the id or name of the
// experiment of classification, "" if the store is to be searched for it.
func (f flowsFile) flows(study, classification string) (Flows, error) {
	flows := Flows{Classification: f.ProcessFlows.Classification, Summarization: f.ProcessFlows.Summarization, Deployment: f.ProcessFlows.Deployment}
	on := map[string]bool{
		OutlierDetection: f.ProcessFlows.OutlierDetection, Imputing: f.ProcessFlows.Imputation, Featurizing: f.ProcessFlows.Featurization,
	}
	if study == Example {
		flows.Upstream = slices.DeleteFunc(ExampleFlows(), func(flow UpstreamFlow) bool { return !on[flow.Stage] })
		return flows, nil
	}
	given := map[string]string{
		OutlierDetection: f.FlowNames.OutlierDetection, Imputing: f.FlowNames.Imputation, Featurizing: f.FlowNames.Featurization,
	}
	taken := map[string]string{}
	for _, stage := range Stages() {
		if !on[stage] {
			continue
		}
		flow := UpstreamFlow{Stage: stage, Experiment: first(given[stage], usualNames[stage]), Named: given[stage] != ""}
		if classification != "" && flow.Experiment == classification {
			return Flows{}, fmt.Errorf("PREFECT.FLOW_NAMES: %s names the experiment of classification, %q (MLFLOW.EXPERIMENT): name there the experiment of that stage, or switch it off in PREFECT.PROCESS_FLOWS", strings.ToUpper(stage), classification)
		}
		if other, ok := taken[flow.Experiment]; ok {
			return Flows{}, fmt.Errorf("PREFECT.FLOW_NAMES: %s and %s name the same experiment, %q", strings.ToUpper(other), strings.ToUpper(stage), flow.Experiment)
		}
		taken[flow.Experiment] = stage
		flows.Upstream = append(flows.Upstream, flow)
	}
	return flows, nil
}
