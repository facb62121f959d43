package config

import "fmt"

// Stages of the study before classification, in their order, as the public
// tables name them.
const (
	OutlierDetection = "outlier_detection"
	Imputing         = "imputation"
	Featurizing      = "featurization"
)

// Stages are all of them.
func Stages() []string { return []string{OutlierDetection, Imputing, Featurizing} }

// Flows are the flows of the study, each an experiment of the tracking store,
// that a build reads.
type Flows struct {
	Classification bool           // the runs with pickles; false: nothing is extracted
	Upstream       []UpstreamFlow // those of the stages before it that are tabulated, in the order of the stages
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
	} `yaml:"PROCESS_FLOWS"`
	FlowNames struct {
		OutlierDetection string `yaml:"OUTLIER_DETECTION"`
		Imputation       string `yaml:"IMPUTATION"`
		Featurization    string `yaml:"FEATURIZATION"`
	} `yaml:"FLOW_NAMES"`
}

func allFlows() flowsFile {
	var f flowsFile
	p := &f.ProcessFlows
	p.OutlierDetection, p.Imputation, p.Featurization, p.Classification = true, true, true, true
	return f
}

// flows are the settings of a study. The bundled example has the experiments that
// it has, whatever one's own are called.
func (f flowsFile) flows(study string) (Flows, error) {
	flows := Flows{Classification: f.ProcessFlows.Classification}
	taken := map[string]string{}
	for _, stage := range []struct {
		key, name      string // in the settings; of the stage
		on             bool
		given, unnamed string
	}{
		{"OUTLIER_DETECTION", OutlierDetection, f.ProcessFlows.OutlierDetection, f.FlowNames.OutlierDetection, "PLR_OutlierDetection"},
		{"IMPUTATION", Imputing, f.ProcessFlows.Imputation, f.FlowNames.Imputation, "PLR_Imputation"},
		{"FEATURIZATION", Featurizing, f.ProcessFlows.Featurization, f.FlowNames.Featurization, "PLR_Featurization"},
	} {
		if !stage.on {
			continue
		}
		flow := UpstreamFlow{Stage: stage.name, Experiment: stage.unnamed}
		if stage.given != "" && study == Own {
			flow.Experiment, flow.Named = stage.given, true
		}
		if other, ok := taken[flow.Experiment]; ok {
			return Flows{}, fmt.Errorf("PREFECT.FLOW_NAMES: %s and %s name the same experiment, %q", other, stage.key, flow.Experiment)
		}
		taken[flow.Experiment] = stage.key
		flows.Upstream = append(flows.Upstream, flow)
	}
	return flows, nil
}
