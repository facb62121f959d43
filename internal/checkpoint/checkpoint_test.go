package checkpoint_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
)

func TestMain(m *testing.M) { studytest.Main(m) }

func TestAssemble(t *testing.T) {
	c := studytest.SharedRows(t)
	var names []string
	for i, row := range c[schema.Essential] {
		if row[0] != int32(i+1) {
			t.Errorf("row %d has config_id %v", i, row[0])
		}
		names = append(names, fmt.Sprint(row[3], " ", row[1], " ", row[5], " ", row[len(row)-1]))
	}
	hidden := []string{names[4], names[5]}
	wantNames := []string{
		"CatBoost LOF CATBOOST_eval-auc__simple1.0__SAITS__LOF true",
		"CatBoost pupil-gt CATBOOST_eval-auc__simple1.0__pupil-gt__pupil-gt true",
		"LogisticRegression anomaly LogisticRegression_eval-roc_auc__simple1.0__pupil-gt__anomaly false",
		"XGBoost unregistered-1 XGBOOST_eval-auc__simple1.0__SAITS__unregistered-1 false",
		"XGBoost unregistered-2 XGBOOST_eval-auc__simple1.0__SAITS__unregistered-2 false",
		"ensemble-CatBoost-XGBoost LOF ensemble-CatBoost-XGBoost__simple1.0__SAITS__LOF false",
	}
	if diff := cmp.Diff(wantNames, names); diff != "" {
		t.Error(diff, hidden)
	}
	if n := len(c[schema.Predictions]); n != len(studytest.Configurations)*studytest.Subjects {
		t.Errorf("%d predictions", n)
	}
	// Controls come before events, each by number.
	var want, codes []string
	for _, class := range []struct {
		letter string
		n      int
	}{{"H", 20}, {"G", 10}} {
		for i := range class.n {
			want = append(want, fmt.Sprintf("%s%03d", class.letter, i+1))
		}
	}
	for _, row := range c[schema.Predictions][:studytest.Subjects] {
		codes = append(codes, row[2].(string))
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	meta := map[string]string{}
	for _, row := range c[schema.Meta] {
		meta[row[0].(string)] = row[1].(string)
	}
	for key, want := range map[string]string{
		"schema_version": "1", "synthetic": "true", "estimand": "mean_risk", "n_configs": "6", "n_runs": "12",
		"n_subjects": "42", "n_control": "28", "n_event": "14", "n_test": "30", "n_refits": "5", "n_unlabelled": "5", "n_unregistered": "2",
		"n_compared": "2", "settings.mid": "0.05",
		"runs.used": "6", "runs.superseded": "2", "runs.unfinished": "1", "runs.deleted": "0", "settings.thresholds": "0.05 0.1 0.15 0.2",
	} {
		if meta[key] != want {
			t.Errorf("meta %s is %q, want %q", key, meta[key], want)
		}
	}
	for _, tab := range schema.Tables {
		for _, row := range c[tab.Name] {
			for _, cell := range row {
				if text, ok := cell.(string); ok && (strings.Contains(text, "PLR") || strings.Contains(text, "private") || strings.Contains(text, "folder")) {
					t.Errorf("%s holds %q", tab.Name, text)
				}
			}
		}
	}
}

// What stands for a name that the registry lacks is the lookup's to say, so that
// it stays the same whatever runs come and go.
func TestUnregisteredNames(t *testing.T) {
	s := studytest.Shared(t)
	want := map[string][]string{config.Outlier: {"private outlier A", "private outlier B"}}
	if diff := cmp.Diff(want, extract.UnregisteredNames(studytest.Configurations, nil, studytest.Registry(t))); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct {
		published func(factor, name string) (string, bool)
		want      string // in the error; "" for none
	}{
		"gaps": {func(_, name string) (string, bool) {
			return map[string]string{"private outlier A": "unregistered-40", "private outlier B": "unregistered-9"}[name], true
		}, ""},
		"none":      {nil, "2 names of methods"},
		"one lacks": {func(_, name string) (string, bool) { return "unregistered-1", name == "private outlier A" }, "1 names of methods"},
		"both one":  {func(string, string) (string, bool) { return "unregistered-1", true }, "a number of its own"},
		"itself":    {func(_, name string) (string, bool) { return name, true }, "another form"},
	} {
		o := studytest.Options()
		o.Published = c.published
		content, err := studytest.Gather(t, s, o)
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "private outlier")) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
			continue
		}
		if err != nil {
			continue
		}
		found := map[string]string{}
		for _, row := range content[schema.Essential] {
			if outlier := row[1].(string); disclosure.IsUnregistered(outlier) {
				found[outlier] = row[6].(string)
			}
		}
		runs := map[string]string{}
		for _, r := range s.Records {
			if p, ok := c.published(config.Outlier, r.Configuration.Outlier); ok && p != "" && r.Verdict == extract.Used {
				runs[p] = r.RunID
			}
		}
		if diff := cmp.Diff(runs, found); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestAssembleRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*studytest.Study){
		"1 subjects of the runs have no code": func(s *studytest.Study) { delete(s.Codes, studytest.Original(3)) },
		"1 subjects have a label": func(s *studytest.Study) {
			s.Codes[studytest.Original(3)], s.Codes[studytest.Original(4)] = "H900", "H901"
		},
		"has no record":         func(s *studytest.Study) { s.Records = s.Records[1:] },
		"not among the runs":    func(s *studytest.Study) { s.Index.Runs[0].Verdict = extract.Failed },
		"has two records":       func(s *studytest.Study) { s.Records = append(s.Records, s.Records[0]) },
		"another configuration": func(s *studytest.Study) { s.Records[0].Configuration.Outlier = "LOF" },
		"the same configuration": func(s *studytest.Study) {
			s.Records[0].Configuration = s.Records[1].Configuration
			s.Index.Runs[0].Configuration = s.Records[1].Configuration
		},
		"occurs twice":              func(s *studytest.Study) { s.Records[0].Subjects[1] = s.Records[0].Subjects[2] },
		"the spread of risks of 29": func(s *studytest.Study) { s.Records[0].Spreads = s.Records[0].Spreads[1:] },
		"which file it was":         func(s *studytest.Study) { s.Records[0].Artifact.BLAKE3 = "metrics.pickle" },
		"4 quantiles":               func(s *studytest.Study) { s.Records[0].Spreads[2].Quantiles = make([]float64, 4) },
		"is not in [0, 1]":          func(s *studytest.Study) { s.Records[0].Risks[1] = math.NaN() },
		"29 outcomes":               func(s *studytest.Study) { s.Records[0].Outcomes = s.Records[0].Outcomes[1:] },
		"verdict unreadable":        func(s *studytest.Study) { s.Records[0].Verdict = extract.Unreadable },
		"exclude_runs":              func(s *studytest.Study) { s.Index.Runs[8].Verdict = extract.BadMeta },
		"none of the": func(s *studytest.Study) {
			s.Records = s.Records[len(studytest.Configurations):]
			s.Index.Runs = s.Index.Runs[len(studytest.Configurations):]
		},
		"verdict that":           func(s *studytest.Study) { s.Index.Runs[8].Verdict = "lost" },
		"occurs twice in the in": func(s *studytest.Study) { s.Index.Runs = append(s.Index.Runs, s.Index.Runs[0]) },
	} {
		s := studytest.Shared(t).Copy()
		spoil(s)
		_, err := studytest.Gather(t, s, studytest.Options())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		} else if strings.Contains(err.Error(), "PLR") {
			t.Errorf("%s: the error holds an original code", name)
		} else if strings.HasPrefix(err.Error(), "checkpoint: ") {
			t.Errorf("%s: the error begins with the name of the step, which the engine prints", name)
		}
	}
}

// The same subjects under other originals, in another order, in records of
// another order give the same file contents, as long as they have the same codes.
func TestPermutedStudyGivesEqualContents(t *testing.T) {
	with := func(s *studytest.Study) checkpoint.AssembleOptions {
		o := studytest.UpstreamOptions(s)
		o.Upstream.Stages[2] = extract.UpstreamStage{Stage: config.Featurizing, Experiment: "4", Runs: []extract.UpstreamRun{
			{RunID: studytest.UpstreamID(2, 0), Verdict: extract.Used, Methods: extract.Configuration{Featurization: "simple1.0"}},
		}}
		o.Privacy = disclosure.Privacy{SubjectTables: true, BootstrapRisks: true}
		return o
	}
	// One configuration more, and methods have cells in common.
	all := append(slices.Clone(studytest.Configurations), extract.Configuration{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "pupil-gt"})
	s := studytest.NewOf(t, studytest.Original, all)
	a := studytest.Assemble(t, s, with(s))
	s = studytest.NewOf(t, func(i int) string { return studytest.Original(500 - i) }, all)
	o := with(s)
	random := rand.New(rand.NewPCG(3, 4))
	random.Shuffle(len(s.Records), func(i, j int) { s.Records[i], s.Records[j] = s.Records[j], s.Records[i] })
	random.Shuffle(len(s.Index.Runs), func(i, j int) { s.Index.Runs[i], s.Index.Runs[j] = s.Index.Runs[j], s.Index.Runs[i] })
	for _, r := range s.Records {
		random.Shuffle(len(r.Subjects), func(i, j int) {
			r.Subjects[i], r.Subjects[j] = r.Subjects[j], r.Subjects[i]
			r.Outcomes[i], r.Outcomes[j] = r.Outcomes[j], r.Outcomes[i]
			r.Risks[i], r.Risks[j] = r.Risks[j], r.Risks[i]
			r.Spreads[i], r.Spreads[j] = r.Spreads[j], r.Spreads[i]
			for m := range r.RefitRisks {
				r.RefitRisks[m][i], r.RefitRisks[m][j] = r.RefitRisks[m][j], r.RefitRisks[m][i]
			}
		})
		if r.Verdict == extract.Used {
			anew := &extract.Record{Head: extract.Head{Outcomes: r.Outcomes}}
			if err := anew.Measure(r.RefitRisks, extract.DefaultThresholds); err != nil {
				t.Fatal(err)
			}
			r.Paired = anew.Paired
		}
	}
	b := studytest.Assemble(t, s, o)
	for _, table := range schema.Tables {
		if len(a[table.Name]) == 0 {
			t.Errorf("table %s has no rows to compare: let newStudy give it some", table.Name)
		}
	}
	for _, tab := range schema.Tables {
		if diff := cmp.Diff(a[tab.Name], b[tab.Name]); diff != "" {
			t.Error(diff)
		}
	}
}
