package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// flowsOf are those of a settings file that says nothing of them.
func flowsOf(t *testing.T, study string) Flows {
	t.Helper()
	flows, err := allFlows().flows(study, "")
	if err != nil {
		t.Fatal(err)
	}
	return flows
}

func TestFlows(t *testing.T) {
	outliers := UpstreamFlow{Stage: OutlierDetection, Experiment: "PLR_OutlierDetection"}
	imputation := UpstreamFlow{Stage: Imputing, Experiment: "PLR_Imputation"}
	features := UpstreamFlow{Stage: Featurizing, Experiment: "PLR_Featurization"}
	for _, c := range []struct {
		name, settings string
		want           Flows
	}{
		{"nothing said", "STUDY: own\n", Flows{Classification: true, Summarization: true, Upstream: []UpstreamFlow{outliers, imputation, features}}},
		{"some off", "STUDY: own\nPREFECT: {PROCESS_FLOWS: {IMPUTATION: false, CLASSIFICATION: false}}\n", Flows{Summarization: true, Upstream: []UpstreamFlow{outliers, features}}},
		{"summed up and deployed", "STUDY: own\nPREFECT: {PROCESS_FLOWS: {SUMMARIZATION: false, DEPLOYMENT: true}}\n",
			Flows{Classification: true, Deployment: true, Upstream: []UpstreamFlow{outliers, imputation, features}}},
		{"named", "STUDY: own\nPREFECT: {FLOW_NAMES: {IMPUTATION: '7', FEATURIZATION: Features}}\n",
			Flows{Classification: true, Summarization: true, Upstream: []UpstreamFlow{outliers, {Imputing, "7", true}, {Featurizing, "Features", true}}}},
		{"names of one's own are not the example's", "STUDY: example\nPREFECT: {FLOW_NAMES: {IMPUTATION: '7'}, PROCESS_FLOWS: {FEATURIZATION: false}}\n",
			Flows{Classification: true, Summarization: true, Upstream: ExampleFlows()[:2]}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Load(workspace(t, c.settings), environment())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, s.Flows); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	_, err := Load(workspace(t, "STUDY: own\nPREFECT: {FLOW_NAMES: {IMPUTATION: PLR_OutlierDetection}}\n"), environment())
	if err == nil || !strings.Contains(err.Error(), `OUTLIER_DETECTION and IMPUTATION name the same experiment, "PLR_OutlierDetection"`) {
		t.Errorf("two flows of one experiment: %v", err)
	}
	_, err = Load(workspace(t, "STUDY: own\nMLFLOW: {EXPERIMENT: '7'}\nPREFECT: {FLOW_NAMES: {IMPUTATION: '7'}}\n"), environment())
	if err == nil || !strings.Contains(err.Error(), `IMPUTATION names the experiment of classification, "7"`) {
		t.Errorf("a flow of the classification's experiment: %v", err)
	}
}
