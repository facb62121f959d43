package validation_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/racetest"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

func TestValidateUpstream(t *testing.T) {
	racetest.Skip(t, "TestUpstream of the checkpoint validates a database with upstream runs with it")
	s := studytest.Shared(t).Copy()
	good, err := os.ReadFile(studytest.Written(t, studytest.Assemble(t, s, studytest.UpstreamOptions(s))))
	if err != nil {
		t.Fatal(err)
	}
	type damage struct{ sql, want string }
	for _, group := range [][]damage{
		{
			{`UPDATE outlier_runs SET outlier_method = 'Jane Doe' WHERE outlier_method = 'LOF'`, "outlier_runs.outlier_method: is not in the table methods"},
			{`UPDATE imputation_runs SET registered = false`, "imputation_runs.registered: does not agree"},
			{`UPDATE outlier_runs SET run_id = 'Jane Doe' WHERE verdict = 'bad_meta'`, "outlier_runs.run_id: is neither an id"},
			{`UPDATE outlier_runs SET reason = 'Jane Doe' WHERE verdict = 'deleted'`, "outlier_runs.reason: is not of the published list"},
			{`UPDATE upstream_metrics SET metric = 'Jane Doe' WHERE split = 'test'`, "upstream_metrics.metric: is none that this version publishes"},
		},
		{
			{`UPDATE outlier_runs SET reason = NULL WHERE verdict = 'deleted'`, "outlier_runs.reason: stands beside the verdict used, or is missing"},
			{`UPDATE meta SET value = 'off' WHERE key = 'flows.imputation'`, "imputation_runs: has rows, which meta says are switched off"},
			{`UPDATE lineage SET stage = 'Jane Doe' WHERE config_id IS NULL`, "lineage.stage: is none that this version knows"},
			{`UPDATE lineage SET from_run_id = run_id WHERE config_id = 2`, "lineage.from_run_id config_id 2: is not a run of the stage"},
			{`UPDATE upstream_metrics SET split = 'Jane Doe' WHERE split = 'test'`, "upstream_metrics.split: is none that this version publishes"},
		},
		{
			{`UPDATE outlier_runs SET verdict = 'lost' WHERE verdict = 'deleted'`, "outlier_runs.verdict: is none that this version knows"},
			{`UPDATE meta SET value = 'Jane' WHERE key = 'flows.imputation'`, "meta.value: flows.imputation is not on or off or absent"},
			{`UPDATE lineage SET state = 'Jane Doe' WHERE config_id = 2`, "lineage.state config_id 2: is none that this version knows"},
			{`UPDATE lineage SET from_run_id = NULL WHERE config_id = 1`, "lineage.from_run_id config_id 1: is not a run of the stage"},
			{`UPDATE upstream_metrics SET stage = 'Jane Doe'`, "upstream_metrics.run_id: is no run of the stage"},
		},
		{
			{`DELETE FROM meta WHERE key = 'flows.featurization'`, "meta.key: flows.featurization is missing"},
			{`DELETE FROM lineage WHERE config_id = 2 AND stage = 'imputation'`, "lineage.stage config_id 2: a configuration has no row of the stage imputation"},
			{`UPDATE lineage SET state = 'deleted' WHERE config_id = 1`, "lineage.from_run_id config_id 1: is not a run of the stage"},
			{`UPDATE lineage SET agrees = true WHERE config_id = 4`, "lineage.agrees config_id 4: does not follow"},
			{`UPDATE lineage SET run_id = repeat('0', 32) WHERE config_id IS NULL AND state = 'found'`, "lineage.run_id: is neither the run of the configuration"},
			{`UPDATE upstream_metrics SET run_id = (SELECT run_id FROM outlier_runs WHERE verdict = 'deleted') WHERE value = 0.5`, "upstream_metrics.run_id: is no run of the stage that says"},
		},
		{
			{`UPDATE lineage SET agrees = NULL WHERE config_id = 1`, "lineage.agrees config_id 1: does not follow"},
			{`UPDATE upstream_metrics SET value = 1.5 WHERE value = 0.5`, "warning: upstream_metrics.value run " + studytest.UpstreamID(0, 0) + ": it, or its ci_lower and ci_upper, cannot be so"},
			{`UPDATE upstream_metrics SET split = 'test' WHERE split IS NULL`, "upstream_metrics.stage, run_id, split, metric: occurs more than once"},
		},
		{
			{`UPDATE lineage SET run_id = from_run_id WHERE config_id = 1`, "lineage.run_id config_id 1: is neither the run of the configuration"},
		},
	} {
		path := studytest.DatabaseOf(t, good)
		for _, c := range group {
			studytest.Change(t, path, c.sql)
		}
		findings, err := studytest.Findings(t, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range group {
			if !slices.ContainsFunc(findings, func(f rules.Finding) bool { return strings.HasPrefix(f.String(), c.want) }) {
				t.Errorf("%s: findings %v, want %q", c.sql, findings, c.want)
			}
		}
		if strings.Contains(fmt.Sprint(findings), "Jane") {
			t.Error("a finding quotes the database")
		}
	}
}
