package validation_test

import (
	"os"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

// What a database says of its privacy is held against what it holds. Damages that do
// not hide each other are done to one copy.
func TestValidatePrivacy(t *testing.T) {
	s := studytest.Shared(t)
	for _, c := range []struct {
		privacy disclosure.Privacy
		batches [][]struct{ damage, want string }
	}{
		{disclosure.Privacy{SubjectTables: true}, [][]struct{ damage, want string }{
			{
				{`UPDATE meta SET value = 'off' WHERE key = 'settings.subject_tables'`, "predictions config_id 1: has rows, which meta says are switched off (30 rows)"},
				{`INSERT INTO bootstrap_risks VALUES (1, 1, 'H001', 0.5)`, "bootstrap_risks config_id 1: has rows, which"},
			},
			{{`UPDATE meta SET value = '2' WHERE key = 'settings.round_risks'`, "roc_curves.threshold config_id 1: is not rounded"}},
			{
				{`UPDATE meta SET value = '9' WHERE key = 'settings.round_risks'`, "meta.value: settings.round_risks is not none or 1"},
				{`DELETE FROM meta WHERE key = 'settings.bootstrap_risks'`, "meta.key: settings.bootstrap_risks is missing"},
			},
		}},
		{disclosure.Privacy{SubjectTables: true, RoundRisks: 2}, [][]struct{ damage, want string }{{
			{`UPDATE predictions SET y_prob = 0.1234567 WHERE prediction_id = 1`, "predictions.y_prob config_id 1: is not rounded"},
			{`UPDATE predictions SET y_prob = round(1 - y_prob, 2) WHERE config_id = 2`, "stratos_metrics.estimate config_id 2: brier of the mean risk is not that of the predictions, rounding allowed for"},
			{`UPDATE stratos_metrics SET note = 'Jane Doe' WHERE config_id = 3 AND estimand = 'mean_risk' AND measure = 'brier'`, "stratos_metrics.note config_id 3: is not of the published form"},
			{`UPDATE distribution_stats SET median_cases = 0.01 WHERE config_id = 4`, "distribution_stats.median_cases config_id 4: is not that of the predictions, rounding allowed for"},
		}}},
		{disclosure.Privacy{}, [][]struct{ damage, want string }{{
			{`UPDATE stratos_metrics SET note = 'interval undefined: Jane' WHERE config_id = 3 AND estimand = 'mean_risk' AND measure = 'brier'`, "stratos_metrics.note config_id 3: is not of the published form"},
			{`UPDATE stratos_metrics SET ci_method = 'Jane Doe' WHERE config_id = 3 AND estimand = 'mean_risk' AND measure = 'auroc'`, "stratos_metrics.ci_method config_id 3: is not that"},
			{`UPDATE stratos_metrics SET domain = 'Jane Doe' WHERE config_id = 3 AND estimand = 'mean_risk' AND measure = 'auroc'`, "stratos_metrics.domain config_id 3: is not that"},
			{`UPDATE distribution_stats SET mean_cases = 0.01 WHERE config_id = 4`, "distribution_stats.mean_cases, mean_controls config_id 4: do not add up"},
			{`UPDATE distribution_stats SET n_cases = 11 WHERE config_id = 5`, "distribution_stats.n_cases, n_controls config_id 5: are not"},
			{`UPDATE distribution_stats SET auroc = 0.5 WHERE config_id = 6`, "distribution_stats.auroc config_id 6: is not that of the mean risk in stratos"},
			{`UPDATE probability_distributions SET count = count + 1 WHERE dist_id = 1`, "probability_distributions.count config_id 1: the counts do not add up"},
			{`UPDATE retention_metrics SET metric_value = 1.2 WHERE config_id = 5 AND metric_name = 'brier' AND retention_rate = 1`, "retention_metrics.metric_value config_id 5: cannot be so"},
			{`UPDATE retention_metrics SET metric_value = 0.01 WHERE config_id = 4 AND metric_name = 'brier' AND retention_rate = 1`, "retention_metrics.metric_value config_id 4: of all subjects is not"},
			{`DELETE FROM retention_metrics WHERE config_id = 6 AND retention_rate = 1`, "retention_metrics.retention_rate config_id 6: is 0, or does not end with 1"},
		}}},
		{disclosure.Privacy{SubjectTables: true, BootstrapRisks: true}, [][]struct{ damage, want string }{
			{
				{`UPDATE bootstrap_risks SET risk = 1 - risk WHERE config_id = 1 AND subject_code = 'H003'`, "bootstrap_risks.risk config_id 1: the mean, the median"},
				{`DELETE FROM bootstrap_risks WHERE config_id = 2 AND replicate = 3`, "bootstrap_risks.replicate config_id 2: the replicates are not"},
			},
			{{`UPDATE bootstrap_risks SET subject_code = 'Jane Doe' WHERE config_id = 1 AND subject_code = 'H003'`, "bootstrap_risks.risk config_id 1: the mean, the median"}},
		}},
	} {
		good, err := os.ReadFile(studytest.Written(t, studytest.Assemble(t, s, studytest.OptionsOf(c.privacy))))
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range c.batches {
			path := studytest.DatabaseOf(t, good)
			for _, d := range batch {
				studytest.Change(t, path, d.damage)
			}
			findings, err := studytest.Findings(t, path)
			var lines []string
			for _, f := range findings {
				lines = append(lines, f.String())
			}
			all := strings.Join(lines, "\n")
			for _, d := range batch {
				if err != nil || !strings.Contains(all, d.want) || strings.Contains(all, "Jane") {
					t.Errorf("%s: findings\n%s\nlack %q, error %v", d.damage, all, d.want, err)
				}
			}
		}
	}
}
