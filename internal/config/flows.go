package config

// Flows are the flows of the study that a build takes part in.
type Flows struct {
	Summarization bool // the report
	Deployment    bool // the release bundle, with every build of everything
}

// flowsFile is the section PREFECT of configs/defaults.yaml, named after what
// ran the study's flows.
type flowsFile struct {
	ProcessFlows struct {
		Summarization bool `yaml:"SUMMARIZATION"`
		Deployment    bool `yaml:"DEPLOYMENT"`
	} `yaml:"PROCESS_FLOWS"`
}

// allFlows is what holds where a settings file says nothing: everything but what
// is for others to have.
func allFlows() flowsFile {
	var f flowsFile
	f.ProcessFlows.Summarization = true
	return f
}

// flows are the settings of a study.
func (f flowsFile) flows() Flows {
	return Flows{Summarization: f.ProcessFlows.Summarization, Deployment: f.ProcessFlows.Deployment}
}
