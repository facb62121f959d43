// Package studytest is a made-up study for tests of what makes, writes and checks a
// database: what reading its pickles would give, its rows and its database.
package studytest

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/metrics"
)

// Original makes an original code of the study's form. The sources hold none.
func Original(i int) string { return fmt.Sprintf("%s%04d", "PLR", 1000+13*i) }

// Study is a made-up study: what the pickles gave, and the codes.
type Study struct {
	Records []*extract.Record
	Index   *extract.Index
	Codes   map[string]string
}

// Code is the code of a subject.
func (s *Study) Code(original string) (string, bool) {
	code, ok := s.Codes[original]
	return code, ok
}

// Copy is a study of which codes, runs and records can be changed: their own values,
// and those of the slices that are named here.
func (s *Study) Copy() *Study {
	index := *s.Index
	index.Runs = slices.Clone(s.Index.Runs)
	c := &Study{Codes: maps.Clone(s.Codes), Index: &index}
	for _, r := range s.Records {
		r := *r
		r.Subjects, r.Outcomes = slices.Clone(r.Subjects), slices.Clone(r.Outcomes)
		r.Risks, r.Spreads = slices.Clone(r.Risks), slices.Clone(r.Spreads)
		r.Scalars = maps.Clone(r.Scalars)
		c.Records = append(c.Records, &r)
	}
	return c
}

// Subjects of the test set and of the training set, and refits of every run.
const (
	Subjects = 30 // a third of them events
	Trained  = 12
	Refits   = 5
)

// Configurations are those of the runs that are used, in the order of the records.
var Configurations = []extract.Configuration{
	{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "pupil-gt", Imputation: "pupil-gt"},
	{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "SAITS"},
	{Classifier: "XGBoost", Featurization: "simple1.0", Outlier: "private outlier B", Imputation: "SAITS"},
	{Classifier: "XGBoost", Featurization: "simple1.0", Outlier: "private outlier A", Imputation: "SAITS"},
	{Classifier: "LogisticRegression", Featurization: "simple1.0", Outlier: "anomaly", Imputation: "pupil-gt"},
	{Classifier: "ensemble-CatBoost-XGBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "SAITS"},
}

// New makes a study whose subjects have the originals that name gives them
// and whose codes follow the subjects' own order.
func New(t testing.TB, name func(i int) string) *Study {
	t.Helper()
	return NewOf(t, name, Configurations)
}

// NewOf is New with other configurations.
func NewOf(t testing.TB, name func(i int) string, configurations []extract.Configuration) *Study {
	t.Helper()
	s := &Study{Codes: map[string]string{}, Index: &extract.Index{Format: extract.IndexFormat, Experiment: "1", Synthetic: true}}
	next := map[int]int{}
	for i := range Subjects + Trained {
		y := outcomeOf(i)
		next[y]++
		s.Codes[name(i)] = fmt.Sprintf("%c%03d", "HG"[y], next[y])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for k, c := range configurations {
		r := &extract.Record{
			Head:     extract.Head{Format: extract.RecordFormat, RunID: fmt.Sprintf("%032x", 0xabc000-k), Configuration: c, Verdict: extract.Used, Refits: Refits},
			Artifact: extract.Artifact{BLAKE3: fmt.Sprintf("%064x", k+1), Bytes: 3<<31 + int64(k)},
			RiskType: "float64", Scalars: map[string]extract.Scalar{},
		}
		risks := make([][]float64, Refits)
		for i := range Subjects {
			r.Subjects = append(r.Subjects, name(i))
			r.Outcomes = append(r.Outcomes, outcomeOf(i))
			for m := range Refits {
				x := random.NormFloat64() + 1.2*float64(outcomeOf(i)) - 1
				risks[m] = append(risks[m], 1/(1+math.Exp(-x)))
			}
		}
		for i := range Trained {
			r.Train = append(r.Train, name(Subjects+i))
			r.TrainOutcomes = append(r.TrainOutcomes, outcomeOf(Subjects+i))
		}
		Measure(t, r, risks)
		s.Records = append(s.Records, r)
		s.Index.Runs = append(s.Index.Runs, extract.IndexedRun{RunID: r.RunID, Name: "some name", Verdict: extract.Used, Configuration: c})
	}
	for i, v := range []extract.Verdict{extract.Failed, extract.Superseded, extract.Superseded, extract.NoArtifact} {
		s.Index.Runs = append(s.Index.Runs, extract.IndexedRun{RunID: fmt.Sprintf("%032x", 0x123+i), Verdict: v, Reason: extract.ReasonOlder})
	}
	s.Index.Runs = append(s.Index.Runs,
		extract.IndexedRun{RunID: "somebody's folder", Verdict: extract.Excluded, Reason: extract.ReasonExcluded},
		extract.IndexedRun{RunID: fmt.Sprintf("%032x", 0xfff), Verdict: extract.Used, Open: true})
	s.Records = append(s.Records, &extract.Record{Head: extract.Head{Format: extract.RecordFormat, RunID: fmt.Sprintf("%032x", 0xfff), Verdict: extract.Unfinished, Reason: extract.ReasonIncomplete}})
	return s
}

// outcomeOf is 1 for every third subject.
func outcomeOf(i int) int {
	if i%3 == 0 {
		return 1
	}
	return 0
}

// Measure fills a record as reading a pickle would.
func Measure(t testing.TB, r *extract.Record, risks [][]float64) {
	t.Helper()
	if err := r.Measure(risks, extract.DefaultThresholds); err != nil {
		t.Fatal(err)
	}
	r.RefitRisks = risks
	for _, m := range r.Measures {
		name := map[string]string{"auroc": "AUROC", "brier": "Brier"}[m.Measure]
		if name != "" && m.Estimand == metrics.OverModels {
			r.Scalars[name] = extract.Scalar{N: Refits, Mean: m.Estimate, SD: m.SpreadSD, Lower: m.SpreadLower, Upper: m.SpreadUpper}
			for i, x := range []*float64{m.Estimate, m.SpreadSD, m.SpreadLower, m.SpreadUpper} {
				what := []string{"_mean", "_sd", "_lower", "_upper"}[i]
				r.Checks = append(r.Checks, extract.Check{Name: m.Measure + what, Expected: x, Found: x, Tolerance: 1e-9, OK: true})
			}
		}
	}
	half := 0.5
	for _, name := range []string{"F1", "accuracy", "AUPR", "sensitivity", "specificity", "PPV", "NPV"} {
		r.Scalars[name] = extract.Scalar{N: Refits, Mean: &half}
	}
}
