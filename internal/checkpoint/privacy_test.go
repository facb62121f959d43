package checkpoint

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
)

func assembleWith(t *testing.T, s *study, p disclosure.Privacy) rowsByTable {
	t.Helper()
	o := options()
	o.Privacy = p
	c, err := gather(s, registry(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every choice of what is told of single subjects makes a database that passes.
func TestPrivacy(t *testing.T) {
	exact := sharedContent(t)
	subjects := map[string]bool{schema.Predictions: true, schema.Quantiles: true, schema.Bootstrap: true}
	for name, c := range map[string]struct {
		privacy                disclosure.Privacy
		predictions, bootstrap int
	}{
		"rounded":         {disclosure.Privacy{SubjectTables: true, RoundRisks: 2}, 6 * testSubjects, 0},
		"no subjects":     {disclosure.Privacy{}, 0, 0},
		"rounded, none":   {disclosure.Privacy{RoundRisks: 1}, 0, 0},
		"refits":          {disclosure.Privacy{SubjectTables: true, BootstrapRisks: true}, 6 * testSubjects, 2 * refits * testSubjects},
		"refits, rounded": {disclosure.Privacy{SubjectTables: true, BootstrapRisks: true, RoundRisks: 3}, 6 * testSubjects, 2 * refits * testSubjects},
		"six decimals":    {disclosure.Privacy{SubjectTables: true, RoundRisks: 6}, 6 * testSubjects, 0},
	} {
		content := assembleWith(t, sharedStudy(t), c.privacy)
		if n, m := len(content[schema.Predictions]), len(content[schema.Bootstrap]); n != c.predictions || m != c.bootstrap || len(content[schema.Quantiles]) != n {
			t.Errorf("%s: %d predictions, %d risks of refits", name, n, m)
		}
		// What is of no single subject does not depend on the choice.
		for _, tab := range schema.Tables {
			if subjects[tab.Name] || tab.Name == schema.Meta || tab.Name == schema.Smooth && c.privacy.RoundRisks > 0 {
				continue // the curve is between other risks then
			}
			opts := cmpopts.EquateApprox(0, 0)
			if c.privacy.RoundRisks > 0 {
				opts = cmpopts.EquateApprox(0, 0.5001*math.Pow10(-c.privacy.RoundRisks))
			}
			if diff := cmp.Diff(exact[tab.Name], content[tab.Name], opts); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
		}
		path := written(t, content)
		findings, err := findingsIn(t, path, registry(t))
		if err != nil || len(findings) > 0 {
			t.Errorf("%s: findings %v, error %v", name, findings, err)
		}
		if c.predictions == 0 {
			// No code of a subject is left anywhere.
			err := duckfile.Cells(t.Context(), path, duckfile.Visitor{Text: func(table, column, text string) error {
				if disclosure.CodeForm.MatchString(text) {
					t.Errorf("%s: a code in %s.%s", name, table, column)
				}
				return nil
			}})
			if err != nil {
				t.Error(err)
			}
		}
		if c.privacy.RoundRisks == 2 {
			// An exact risk of a subject is nowhere in the file.
			risks := map[float64]bool{}
			for _, row := range exact[schema.Predictions] {
				risks[row[4].(float64)] = true
			}
			for _, row := range exact[schema.Quantiles] {
				for _, cell := range row[2:] {
					risks[cell.(float64)] = true
				}
			}
			for _, tab := range schema.Tables {
				for _, row := range content[tab.Name] {
					for _, cell := range row {
						if x, ok := cell.(float64); ok && risks[x] {
							t.Errorf("%s holds the exact risk %v of a subject", tab.Name, x)
						}
					}
				}
			}
		}
	}
}

// What a database says of its privacy is held against what it holds. Damages that do
// not hide each other are done to one copy.
func TestValidatePrivacy(t *testing.T) {
	s := sharedStudy(t)
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
		good, err := os.ReadFile(written(t, assembleWith(t, s, c.privacy)))
		if err != nil {
			t.Fatal(err)
		}
		for _, batch := range c.batches {
			path := databaseOf(t, good)
			for _, d := range batch {
				change(t, path, d.damage)
			}
			findings, err := findingsIn(t, path, registry(t))
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

// One number has no range, and a pickle that gives one, of no width, must not stop the
// build.
func TestSingleRefit(t *testing.T) {
	s := newStudy(t, original)
	of := s.records[0]
	r := &extract.Record{
		Head: of.Head, Artifact: of.Artifact, RiskType: of.RiskType, Scalars: map[string]extract.Scalar{},
	}
	r.Subjects, r.Outcomes, r.Train, r.TrainOutcomes = of.Subjects, of.Outcomes, of.Train, of.TrainOutcomes
	measure(t, r, of.RefitRisks[:1])
	r.Checks = slices.DeleteFunc(r.Checks, func(c extract.Check) bool { return !strings.HasSuffix(c.Name, "_mean") })
	for _, name := range []string{"AUROC", "Brier"} {
		scalar := r.Scalars[name]
		scalar.SD, scalar.Lower, scalar.Upper = new(float64), scalar.Mean, scalar.Mean
		r.Scalars[name] = scalar
	}
	s.records[0] = r
	path := written(t, assemble(t, s))
	if n := query[int](t, path, "SELECT count(*) FROM essential_metrics WHERE mlflow_run_id = '"+r.RunID+"' AND auroc IS NOT NULL AND auroc_ci_lower IS NULL AND auroc_ci_upper IS NULL"); n[0] != 1 {
		t.Error("a single refit has a range")
	}
	findings, err := findingsIn(t, path, registry(t))
	if err != nil {
		t.Error(err)
	}
	for _, f := range findings {
		if strings.Contains(f.String(), "auroc") {
			t.Error(f)
		}
	}
}

// A record without the risks that are to be published is refused.
func TestBootstrapRisksAreNeeded(t *testing.T) {
	s := sharedStudy(t).copy()
	s.records[0].RefitRisks = nil
	o := options()
	o.Privacy.BootstrapRisks = true
	if _, err := gather(s, registry(t), o); err == nil || !strings.Contains(err.Error(), "not of all 5") {
		t.Errorf("error %v", err)
	}
}
