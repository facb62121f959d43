package checkpoint_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

// Every choice of what is told of single subjects makes a database that passes.
func TestPrivacy(t *testing.T) {
	exact := studytest.SharedRows(t)
	subjects := map[string]bool{schema.Predictions: true, schema.Quantiles: true, schema.Bootstrap: true}
	for name, c := range map[string]struct {
		privacy                disclosure.Privacy
		predictions, bootstrap int
	}{
		"rounded":         {disclosure.Privacy{SubjectTables: true, RoundRisks: 2}, 6 * studytest.Subjects, 0},
		"no subjects":     {disclosure.Privacy{}, 0, 0},
		"rounded, none":   {disclosure.Privacy{RoundRisks: 1}, 0, 0},
		"refits":          {disclosure.Privacy{SubjectTables: true, BootstrapRisks: true}, 6 * studytest.Subjects, 2 * studytest.Refits * studytest.Subjects},
		"refits, rounded": {disclosure.Privacy{SubjectTables: true, BootstrapRisks: true, RoundRisks: 3}, 6 * studytest.Subjects, 2 * studytest.Refits * studytest.Subjects},
		"six decimals":    {disclosure.Privacy{SubjectTables: true, RoundRisks: 6}, 6 * studytest.Subjects, 0},
	} {
		content := studytest.Assemble(t, studytest.Shared(t), studytest.OptionsOf(c.privacy))
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
		path := studytest.Written(t, content)
		findings, err := studytest.Findings(t, path)
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

// One number has no range, and a pickle that gives one, of no width, must not stop the
// build.
func TestSingleRefit(t *testing.T) {
	s := studytest.New(t, studytest.Original)
	of := s.Records[0]
	r := &extract.Record{
		Head: of.Head, Artifact: of.Artifact, RiskType: of.RiskType, Scalars: map[string]extract.Scalar{},
	}
	r.Subjects, r.Outcomes, r.Train, r.TrainOutcomes = of.Subjects, of.Outcomes, of.Train, of.TrainOutcomes
	studytest.Measure(t, r, of.RefitRisks[:1])
	r.Checks = slices.DeleteFunc(r.Checks, func(c extract.Check) bool { return !strings.HasSuffix(c.Name, "_mean") })
	for _, name := range []string{"AUROC", "Brier"} {
		scalar := r.Scalars[name]
		scalar.SD, scalar.Lower, scalar.Upper = new(float64), scalar.Mean, scalar.Mean
		r.Scalars[name] = scalar
	}
	s.Records[0] = r
	path := studytest.Written(t, studytest.Assemble(t, s, studytest.Options()))
	if n := studytest.Query[int](t, path, "SELECT count(*) FROM essential_metrics WHERE mlflow_run_id = '"+r.RunID+"' AND auroc IS NOT NULL AND auroc_ci_lower IS NULL AND auroc_ci_upper IS NULL"); n[0] != 1 {
		t.Error("a single refit has a range")
	}
	findings, err := studytest.Findings(t, path)
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
	s := studytest.Shared(t).Copy()
	s.Records[0].RefitRisks = nil
	o := studytest.Options()
	o.Privacy.BootstrapRisks = true
	if _, err := studytest.Gather(t, s, o); err == nil || !strings.Contains(err.Error(), "not of all 5") {
		t.Errorf("error %v", err)
	}
}
