package checkpoint_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

func TestUpstream(t *testing.T) {
	s := studytest.Shared(t).Copy()
	c := studytest.Assemble(t, s, studytest.UpstreamOptions(s))
	rows := func(table string) (all []string) {
		for _, row := range c[table] {
			all = append(all, strings.ReplaceAll(fmt.Sprint(row...), "<nil>", "-"))
		}
		return all
	}
	run := func(i int) string { return s.Records[i].RunID }
	line := func(cells ...any) string { return strings.ReplaceAll(fmt.Sprint(cells...), "<nil>", "-") }
	for table, want := range map[string][]string{
		schema.OutlierRuns: {
			line(studytest.UpstreamID(0, 0), "LOF", true, "used", nil),
			line(studytest.UpstreamID(0, 1), "unregistered-3", false, "used", nil),
			line(studytest.UpstreamID(0, 2), "unregistered-2", false, "unfinished", extract.ReasonRunning),
			line(studytest.UpstreamID(0, 3), nil, false, "used", nil),
			line(studytest.UpstreamID(0, 4), nil, false, "deleted", extract.ReasonDeleted),
			line(studytest.UpstreamID(0, 5), nil, false, "unreadable", extract.ReasonMetrics),
			line("other-1", nil, false, "bad_meta", extract.ReasonRunID),
		},
		schema.ImputationRuns: {
			line(studytest.UpstreamID(1, 0), "SAITS", "LOF", true, "used", nil),
			line(studytest.UpstreamID(1, 1), "CSDI", "LOF", true, "used", nil),
		},
		schema.FeaturizationRuns: nil,
		schema.Lineage: {
			// In the order of config_id.
			line(run(1), config.OutlierDetection, 1, studytest.UpstreamID(0, 0), "found", true),
			line(run(1), config.Imputing, 1, studytest.UpstreamID(1, 0), "found", true),
			line(run(1), config.Featurizing, 1, nil, "no_experiment", nil),
			line(run(0), config.OutlierDetection, 2, nil, "none", nil),
			line(run(0), config.Imputing, 2, nil, "none", nil),
			line(run(0), config.Featurizing, 2, nil, "not_said", nil),
			line(run(4), config.OutlierDetection, 3, studytest.UpstreamID(0, 4), "deleted", nil),
			line(run(4), config.Imputing, 3, nil, "not_an_id", nil),
			line(run(4), config.Featurizing, 3, nil, "not_said", nil),
			line(run(2), config.OutlierDetection, 4, studytest.UpstreamID(0, 3), "found", nil),
			line(run(2), config.Imputing, 4, studytest.UpstreamID(1, 1), "found", false),
			line(run(2), config.Featurizing, 4, nil, "not_said", nil),
			line(run(3), config.OutlierDetection, 5, studytest.UpstreamID(0, 2), "unfinished", true),
			line(run(3), config.Imputing, 5, nil, "other_stage", nil),
			line(run(3), config.Featurizing, 5, nil, "not_said", nil),
			line(run(5), config.OutlierDetection, 6, studytest.UpstreamID(0, 5), "unreadable", nil),
			line(run(5), config.Imputing, 6, nil, "not_in_store", nil),
			line(run(5), config.Featurizing, 6, nil, "not_said", nil),
			line(studytest.UpstreamID(1, 0), config.OutlierDetection, nil, studytest.UpstreamID(0, 0), "found", true),
			line(studytest.UpstreamID(1, 1), config.OutlierDetection, nil, nil, "not_an_id", nil),
		},
	} {
		if diff := cmp.Diff(want, rows(table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
	if got := rows(schema.UpstreamMetrics); len(got) != 9 || got[0] != line(config.OutlierDetection, studytest.UpstreamID(0, 0), nil, "outlier_f1", nil, nil, nil) ||
		got[1] != line(config.OutlierDetection, studytest.UpstreamID(0, 0), "test", "outlier_f1", 0.5, 0.25, 0.75) || !strings.Contains(got[8], "+Inf") {
		t.Errorf("metrics %q", got)
	}
	// Nothing that is free text in the store is published.
	for _, table := range schema.Tables {
		for _, row := range c[table.Name] {
			if text := fmt.Sprint(row...); strings.Contains(text, "private") || strings.Contains(text, "folder") || strings.Contains(text, studytest.UpstreamID(7, 7)) {
				t.Errorf("%s holds %q", table.Name, text)
			}
		}
	}
	findings, err := studytest.Findings(t, studytest.Written(t, c))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range findings {
		said = append(said, f.String())
	}
	const gone = "the run that it came from is not there as a finished one of its stage: see the state"
	want := []string{
		"warning: outlier_runs.verdict run " + studytest.UpstreamID(0, 5) + ": the run cannot be read: repair it in the store",
		"warning: outlier_runs.verdict run other-1: the run cannot be read: repair it in the store",
		"warning: lineage.agrees config_id 4 run " + run(2) + ": the run that it came from is one of other methods than it says: mistrust the run",
		"warning: lineage.state run " + studytest.UpstreamID(1, 1) + ": " + gone,
		"warning: lineage.state config_id 3 run " + run(4) + ": " + gone + " (2 rows)",
		"warning: lineage.state config_id 5 run " + run(3) + ": " + gone + " (2 rows)",
		"warning: lineage.state config_id 6 run " + run(5) + ": " + gone + " (2 rows)",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// The order in which the store lists runs does not matter.
func TestUpstreamInAnotherOrder(t *testing.T) {
	s := studytest.Shared(t).Copy()
	want := studytest.Assemble(t, s, studytest.UpstreamOptions(s))
	o := studytest.UpstreamOptions(s)
	for _, stage := range o.Upstream.Stages {
		slices.Reverse(stage.Runs)
	}
	got, err := studytest.Gather(t, s, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range schema.Tables {
		if diff := cmp.Diff(want[table.Name], got[table.Name]); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFlowsThatAreOff(t *testing.T) {
	s := studytest.Shared(t).Copy()
	o := studytest.UpstreamOptions(s)
	o.Upstream.Stages = o.Upstream.Stages[1:2] // imputation alone
	o.Published = studytest.Published          // and no name of another stage
	c, err := studytest.Gather(t, s, o)
	if err != nil {
		t.Fatal(err)
	}
	if n, m := len(c[schema.OutlierRuns]), len(c[schema.Lineage]); n != 0 || m != len(studytest.Configurations) {
		t.Errorf("%d outlier runs, %d origins", n, m)
	}
	path := studytest.Written(t, c)
	for key, want := range map[string]string{"flows.outlier_detection": "off", "flows.imputation": "on", "flows.featurization": "off"} {
		if got := studytest.Query[string](t, path, "SELECT value FROM meta WHERE key = '"+key+"'"); !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %v, want %s", key, got, want)
		}
	}
	findings, err := studytest.Findings(t, path)
	for _, f := range findings {
		if !f.Warning {
			t.Error(f)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func TestUpstreamIsRefused(t *testing.T) {
	for want, spoil := range map[string]func(*extract.Upstream){
		"is that of classification":   func(u *extract.Upstream) { u.Stages[0].Experiment = "1" },
		"is that of the flows":        func(u *extract.Upstream) { u.Stages[1].Experiment = "2" },
		"occurs twice":                func(u *extract.Upstream) { u.Stages[0].Runs[1].RunID = u.Stages[0].Runs[0].RunID },
		"not of the published list":   func(u *extract.Upstream) { u.Stages[0].Runs[4].Reason = "private" },
		"does not know":               func(u *extract.Upstream) { u.Stages[0].Stage = "private" },
		"nor have a number in the lo": func(u *extract.Upstream) { u.Stages[1].Runs[0].Methods.Imputation = "private imputation" },
	} {
		s := studytest.Shared(t).Copy()
		o := studytest.UpstreamOptions(s)
		spoil(o.Upstream)
		_, err := studytest.Gather(t, s, o)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "private") {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
