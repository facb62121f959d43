package checkpoint

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/writer"
	"github.com/foundation-plr/pipeline/metrics"
)

// Write starts this test binary again.
func TestMain(m *testing.M) {
	if os.Getenv(writer.ChildEnv) == writer.ChildName {
		os.Exit(writer.RunChild(os.Stdin, os.Stderr))
	}
	os.Exit(m.Run())
}

// original makes an original code of the study's form. The sources hold none.
func original(i int) string { return fmt.Sprintf("%s%04d", "PLR", 1000+13*i) }

// study is a made-up study: what the pickles gave, and the codes.
type study struct {
	records []*extract.Record
	index   *extract.Index
	codes   map[string]string
}

func (s *study) code(original string) (string, bool) {
	code, ok := s.codes[original]
	return code, ok
}

const (
	testSubjects  = 30 // a third of them events
	trainSubjects = 12
	refits        = 5
)

var configurations = []extract.Configuration{
	{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "pupil-gt", Imputation: "pupil-gt"},
	{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "SAITS"},
	{Classifier: "XGBoost", Featurization: "simple1.0", Outlier: "private outlier B", Imputation: "SAITS"},
	{Classifier: "XGBoost", Featurization: "simple1.0", Outlier: "private outlier A", Imputation: "SAITS"},
	{Classifier: "LogisticRegression", Featurization: "simple1.0", Outlier: "anomaly", Imputation: "pupil-gt"},
	{Classifier: "ensemble-CatBoost-XGBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "SAITS"},
}

// newStudy makes a study whose subjects have the originals that name gives them
// and whose codes follow the subjects' own order.
func newStudy(t testing.TB, name func(i int) string) *study {
	t.Helper()
	return newStudyOf(t, name, configurations)
}

func newStudyOf(t testing.TB, name func(i int) string, configurations []extract.Configuration) *study {
	t.Helper()
	s := &study{codes: map[string]string{}, index: &extract.Index{Format: extract.IndexFormat, Experiment: "1", Synthetic: true}}
	next := map[int]int{}
	for i := range testSubjects + trainSubjects {
		y := outcomeOf(i)
		next[y]++
		s.codes[name(i)] = fmt.Sprintf("%c%03d", "HG"[y], next[y])
	}
	random := rand.New(rand.NewPCG(1, 2))
	for k, c := range configurations {
		r := &extract.Record{
			Head:     extract.Head{Format: extract.RecordFormat, RunID: fmt.Sprintf("%032x", 0xabc000-k), Configuration: c, Verdict: extract.Used, Refits: refits},
			Artifact: extract.Artifact{BLAKE3: fmt.Sprintf("%064x", k+1), Bytes: 3<<31 + int64(k)},
			RiskType: "float64", Scalars: map[string]extract.Scalar{},
		}
		risks := make([][]float64, refits)
		for i := range testSubjects {
			r.Subjects = append(r.Subjects, name(i))
			r.Outcomes = append(r.Outcomes, outcomeOf(i))
			for m := range refits {
				x := random.NormFloat64() + 1.2*float64(outcomeOf(i)) - 1
				risks[m] = append(risks[m], 1/(1+math.Exp(-x)))
			}
		}
		for i := range trainSubjects {
			r.Train = append(r.Train, name(testSubjects+i))
			r.TrainOutcomes = append(r.TrainOutcomes, outcomeOf(testSubjects+i))
		}
		measure(t, r, risks)
		s.records = append(s.records, r)
		s.index.Runs = append(s.index.Runs, extract.IndexedRun{RunID: r.RunID, Name: "some name", Verdict: extract.Used, Configuration: c})
	}
	for i, v := range []extract.Verdict{extract.Failed, extract.Superseded, extract.Superseded, extract.NoArtifact} {
		s.index.Runs = append(s.index.Runs, extract.IndexedRun{RunID: fmt.Sprintf("%032x", 0x123+i), Verdict: v, Reason: extract.ReasonOlder})
	}
	s.index.Runs = append(s.index.Runs,
		extract.IndexedRun{RunID: "somebody's folder", Verdict: extract.Excluded, Reason: extract.ReasonExcluded},
		extract.IndexedRun{RunID: fmt.Sprintf("%032x", 0xfff), Verdict: extract.Used, Open: true})
	s.records = append(s.records, &extract.Record{Head: extract.Head{Format: extract.RecordFormat, RunID: fmt.Sprintf("%032x", 0xfff), Verdict: extract.Unfinished, Reason: extract.ReasonIncomplete}})
	return s
}

func outcomeOf(i int) int { return b2i(i%3 == 0) }

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// measure fills a record as reading a pickle would.
func measure(t testing.TB, r *extract.Record, risks [][]float64) {
	t.Helper()
	if err := r.Measure(risks, extract.DefaultThresholds); err != nil {
		t.Fatal(err)
	}
	r.RefitRisks = risks
	for _, m := range r.Measures {
		name := map[string]string{"auroc": "AUROC", "brier": "Brier"}[m.Measure]
		if name != "" && m.Estimand == metrics.OverModels {
			r.Scalars[name] = extract.Scalar{N: refits, Mean: m.Estimate, SD: m.SpreadSD, Lower: m.SpreadLower, Upper: m.SpreadUpper}
			for i, x := range []*float64{m.Estimate, m.SpreadSD, m.SpreadLower, m.SpreadUpper} {
				what := []string{"_mean", "_sd", "_lower", "_upper"}[i]
				r.Checks = append(r.Checks, extract.Check{Name: m.Measure + what, Expected: x, Found: x, Tolerance: 1e-9, OK: true})
			}
		}
	}
	half := 0.5
	for _, name := range []string{"F1", "accuracy", "AUPR", "sensitivity", "specificity", "PPV", "NPV"} {
		r.Scalars[name] = extract.Scalar{N: refits, Mean: &half}
	}
}

func registry(t testing.TB) *config.Registry {
	t.Helper()
	reg, err := config.LoadRegistry(filepath.Join("..", "..", "configs", "registry.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// published is what a lookup says of the two names that the registry lacks.
func published(factor, name string) (string, bool) {
	n, ok := map[string]int{"private outlier A": 2, "private outlier B": 1}[name]
	return fmt.Sprint(disclosure.Unregistered, n), ok && factor == config.Outlier
}

// keyed stands for a keyed digest.
func keyed(digest string) (string, error) { return "ab" + digest[2:], nil }

// inMemory are records that nobody wrote.
type inMemory []*extract.Record

func (m inMemory) Len() int                              { return len(m) }
func (m inMemory) Head(i int) (*extract.Head, error)     { return &m[i].Head, nil }
func (m inMemory) Record(i int) (*extract.Record, error) { return m[i], nil }

// rowsByTable are the rows of a database, cells as the file has them.
type rowsByTable map[string][][]any

// Each gives the rows to a writer.
func (r rowsByTable) Each(add func(table string, cells ...any) error) error {
	for _, t := range schema.Tables {
		for _, row := range r[t.Name] {
			if err := add(t.Name, row...); err != nil {
				return err
			}
		}
	}
	return nil
}

// gather assembles a study and keeps its rows.
func gather(s *study, reg *config.Registry, o AssembleOptions) (rowsByTable, error) {
	c, err := Assemble(inMemory(s.records), s.index, s.code, reg, o)
	if err != nil {
		return nil, err
	}
	all := rowsByTable{}
	return all, c.Rows(func(table string, cells ...any) error {
		columns := schema.Named(table).Columns
		if len(cells) != len(columns) {
			return fmt.Errorf("%s: %d cells for %d columns", table, len(cells), len(columns))
		}
		row := make([]any, len(cells))
		for i, c := range columns {
			var ok bool
			if row[i], ok = c.Cell(cells[i]); !ok {
				return fmt.Errorf("%s.%s: a %T", table, c.Name, row[i])
			}
		}
		all[table] = append(all[table], row)
		return nil
	})
}

func options() AssembleOptions {
	return AssembleOptions{
		Published: published, KeyedDigest: keyed, Estimand: metrics.MeanRisk, Margin: 0.05, Unlabelled: 5,
		Privacy:  disclosure.Privacy{SubjectTables: true},
		Settings: map[string]string{"thresholds": "0.05 0.1 0.15 0.2"},
	}
}

func assemble(t testing.TB, s *study) rowsByTable {
	t.Helper()
	c, err := gather(s, registry(t), options())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func written(t testing.TB, c rowsByTable) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.db")
	if _, err := writer.Write(t.Context(), path, c.Each); err != nil {
		t.Fatal(err)
	}
	return path
}

// shared is the study of newStudy with its contents and the bytes of its database,
// each made once for all tests that change nothing of it. What a test changes it
// makes anew or copies.
var shared struct {
	study    *study
	content  rowsByTable
	database []byte
}

func sharedStudy(t testing.TB) *study {
	t.Helper()
	if shared.study == nil {
		shared.study = newStudy(t, original)
	}
	return shared.study
}

func sharedContent(t testing.TB) rowsByTable {
	t.Helper()
	if shared.content == nil {
		shared.content = assemble(t, sharedStudy(t))
	}
	return shared.content
}

// sharedDatabase is the name of a copy, which the test may change.
func sharedDatabase(t testing.TB) string {
	t.Helper()
	if shared.database == nil {
		data, err := os.ReadFile(written(t, sharedContent(t)))
		if err != nil {
			t.Fatal(err)
		}
		shared.database = data
	}
	return databaseOf(t, shared.database)
}

// databaseOf is the name of a database of these bytes.
func databaseOf(t testing.TB, database []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.db")
	if err := os.WriteFile(path, database, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// copy is a study of which codes, runs and records can be changed: their own values,
// and those of the slices that are named here.
func (s *study) copy() *study {
	index := *s.index
	index.Runs = slices.Clone(s.index.Runs)
	c := &study{codes: maps.Clone(s.codes), index: &index}
	for _, r := range s.records {
		r := *r
		r.Subjects, r.Outcomes = slices.Clone(r.Subjects), slices.Clone(r.Outcomes)
		r.Risks, r.Spreads = slices.Clone(r.Risks), slices.Clone(r.Spreads)
		r.Scalars = maps.Clone(r.Scalars)
		c.records = append(c.records, &r)
	}
	return c
}

func query[T any](t testing.TB, path, q string) (all []T) {
	t.Helper()
	db, err := duckfile.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	rows, err := db.QueryContext(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // read only
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAssemble(t *testing.T) {
	c := sharedContent(t)
	var names []string
	for i, row := range c[schema.Essential] {
		if row[0] != int32(i+1) {
			t.Errorf("row %d has config_id %v", i, row[0])
		}
		names = append(names, fmt.Sprint(row[3], " ", row[1], " ", row[5], " ", row[len(row)-1]))
	}
	hidden := []string{names[4], names[5]}
	want := []string{
		"CatBoost LOF CATBOOST_eval-auc__simple1.0__SAITS__LOF true",
		"CatBoost pupil-gt CATBOOST_eval-auc__simple1.0__pupil-gt__pupil-gt true",
		"LogisticRegression anomaly LogisticRegression_eval-roc_auc__simple1.0__pupil-gt__anomaly false",
		"XGBoost unregistered-1 XGBOOST_eval-auc__simple1.0__SAITS__unregistered-1 false",
		"XGBoost unregistered-2 XGBOOST_eval-auc__simple1.0__SAITS__unregistered-2 false",
		"ensemble-CatBoost-XGBoost LOF ensemble-CatBoost-XGBoost__simple1.0__SAITS__LOF false",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff, hidden)
	}
	if n := len(c[schema.Predictions]); n != len(configurations)*testSubjects {
		t.Errorf("%d predictions", n)
	}
	var codes []string
	for _, row := range c[schema.Predictions][:testSubjects] {
		codes = append(codes, row[2].(string))
	}
	if !slices.IsSortedFunc(codes, compareCodes) || codes[0] != "H001" {
		t.Errorf("subjects in the order %v", codes)
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
	s := sharedStudy(t)
	want := map[string][]string{config.Outlier: {"private outlier A", "private outlier B"}}
	if diff := cmp.Diff(want, extract.UnregisteredNames(configurations, nil, registry(t))); diff != "" {
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
		o := options()
		o.Published = c.published
		content, err := gather(s, registry(t), o)
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
		for _, r := range s.records {
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
	for name, spoil := range map[string]func(*study){
		"1 subjects of the runs have no code": func(s *study) { delete(s.codes, original(3)) },
		"1 subjects have a label":             func(s *study) { s.codes[original(3)], s.codes[original(4)] = "H900", "H901" },
		"has no record":                       func(s *study) { s.records = s.records[1:] },
		"not among the runs":                  func(s *study) { s.index.Runs[0].Verdict = extract.Failed },
		"has two records":                     func(s *study) { s.records = append(s.records, s.records[0]) },
		"another configuration":               func(s *study) { s.records[0].Configuration.Outlier = "LOF" },
		"the same configuration": func(s *study) {
			s.records[0].Configuration = s.records[1].Configuration
			s.index.Runs[0].Configuration = s.records[1].Configuration
		},
		"occurs twice":              func(s *study) { s.records[0].Subjects[1] = s.records[0].Subjects[2] },
		"the spread of risks of 29": func(s *study) { s.records[0].Spreads = s.records[0].Spreads[1:] },
		"which file it was":         func(s *study) { s.records[0].Artifact.BLAKE3 = "metrics.pickle" },
		"4 quantiles":               func(s *study) { s.records[0].Spreads[2].Quantiles = make([]float64, 4) },
		"is not in [0, 1]":          func(s *study) { s.records[0].Risks[1] = math.NaN() },
		"29 outcomes":               func(s *study) { s.records[0].Outcomes = s.records[0].Outcomes[1:] },
		"verdict unreadable":        func(s *study) { s.records[0].Verdict = extract.Unreadable },
		"exclude_runs":              func(s *study) { s.index.Runs[8].Verdict = extract.BadMeta },
		"none of the": func(s *study) {
			s.records = s.records[len(configurations):]
			s.index.Runs = s.index.Runs[len(configurations):]
		},
		"verdict that":           func(s *study) { s.index.Runs[8].Verdict = "lost" },
		"occurs twice in the in": func(s *study) { s.index.Runs = append(s.index.Runs, s.index.Runs[0]) },
	} {
		s := sharedStudy(t).copy()
		spoil(s)
		_, err := gather(s, registry(t), options())
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
	with := func(s *study) AssembleOptions {
		o := upstreamOptions(s)
		o.Upstream.Stages[2] = extract.UpstreamStage{Stage: config.Featurizing, Experiment: "4", Runs: []extract.UpstreamRun{
			{RunID: upstreamID(2, 0), Verdict: extract.Used, Methods: extract.Configuration{Featurization: "simple1.0"}},
		}}
		o.Privacy = disclosure.Privacy{SubjectTables: true, BootstrapRisks: true}
		return o
	}
	assemble := func(s *study, o AssembleOptions) rowsByTable {
		c, err := gather(s, registry(t), o)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	// One configuration more, and methods have cells in common.
	all := append(slices.Clone(configurations), extract.Configuration{Classifier: "CatBoost", Featurization: "simple1.0", Outlier: "LOF", Imputation: "pupil-gt"})
	s := newStudyOf(t, original, all)
	a := assemble(s, with(s))
	s = newStudyOf(t, func(i int) string { return original(500 - i) }, all)
	o := with(s)
	random := rand.New(rand.NewPCG(3, 4))
	random.Shuffle(len(s.records), func(i, j int) { s.records[i], s.records[j] = s.records[j], s.records[i] })
	random.Shuffle(len(s.index.Runs), func(i, j int) { s.index.Runs[i], s.index.Runs[j] = s.index.Runs[j], s.index.Runs[i] })
	for _, r := range s.records {
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
	b := assemble(s, o)
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

func TestWrite(t *testing.T) {
	c := sharedContent(t)
	path := written(t, c)
	again := written(t, c)

	digest, err := duckfile.Digest(t.Context(), path)
	if err != nil || len(digest) != 64 {
		t.Fatalf("digest %q, error %v", digest, err)
	}
	if second, err := duckfile.Digest(t.Context(), again); err != nil || second != digest {
		t.Errorf("a second file of the same rows has another digest; error %v", err)
	}
	other := changed(c, schema.Essential, func(rows [][]any) { rows[0][8] = math.Nextafter(rows[0][8].(float64), 1) })
	if other, err := duckfile.Digest(t.Context(), written(t, other)); err != nil || other == digest {
		t.Errorf("one bit of one number does not change the digest; error %v", err)
	}

	if version, err := duckfile.StorageVersion(path); err != nil || version != 64 {
		t.Errorf("storage version %d, error %v", version, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files where the database is; error %v", len(entries), err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}
	findings, err := findingsIn(t, path, registry(t))
	if err != nil || len(findings) > 0 {
		t.Errorf("findings %v, error %v", findings, err)
	}
	if n := query[int](t, path, `SELECT count(*) FROM metrics_aggregate WHERE AUROC_mean IS NOT NULL AND AUROC_std > 0 AND Brier_std > 0 AND split = 'test'`); n[0] != len(configurations) {
		t.Errorf("the view has %d good rows", n[0])
	}

	seen := map[string]bool{}
	err = duckfile.Cells(t.Context(), path, duckfile.Visitor{Text: func(table, column, text string) error {
		seen[table+"."+column+"="+text] = true
		return nil
	}})
	for _, want := range []string{"predictions.subject_code=H001", "methods.name=unregistered-2", "stratos_metrics.name=note", "meta.value=mean_risk", "runs.run_id=other-7"} {
		if !seen[want] {
			t.Errorf("Cells does not visit %s", want)
		}
	}
	if err != nil || len(seen) < 200 {
		t.Errorf("%d texts visited, error %v", len(seen), err)
	}
	stop := errors.New("stop")
	if err := duckfile.Cells(t.Context(), path, duckfile.Visitor{Text: func(string, string, string) error { return stop }}); !errors.Is(err, stop) {
		t.Errorf("Cells: %v", err)
	}
}

// What a file is read back as must be what was written, each row in its place.
func TestWrittenReadsBack(t *testing.T) {
	c := assemble(t, newStudy(t, original))
	path := filepath.Join(t.TempDir(), "results.db")
	w, err := writer.Write(t.Context(), path, c.Each)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := duckfile.Digest(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.Digest(t.Context(), path); err != nil || got != digest {
		t.Errorf("digest %q and not %q, error %v", got, digest, err)
	}
	bit := changed(c, schema.Predictions, func(rows [][]any) { rows[3][4] = math.Nextafter(rows[3][4].(float64), 1) })
	order := changed(c, schema.Predictions, func(rows [][]any) { rows[3], rows[4] = rows[4], rows[3] })
	for name, other := range map[string]rowsByTable{"another bit": bit, "another order": order} {
		if _, err := w.Digest(t.Context(), written(t, other)); err == nil || !strings.Contains(err.Error(), "table predictions does not read back as it was written") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Behind the writer's back: rows that are gone, and a table.
	for name, statement := range map[string]string{
		"fewer rows":  "DELETE FROM roc_curves WHERE config_id = 1",
		"one table":   "CREATE TABLE more (i INTEGER)",
		"no table":    "DROP TABLE checks",
		"other table": "ALTER TABLE checks RENAME TO cheques",
	} {
		path := written(t, c)
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(name, err)
		}
		if _, err := w.Digest(t.Context(), path); err == nil || !strings.Contains(err.Error(), "written") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What the parent process has read through DuckDB is not in the file that the
// child writes.
func TestNothingOfTheParentsHeapIsInTheFile(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // in memory
	const canary = "CANARY-OF-THE-PARENT-PROCESS-"
	if _, err := db.Exec(`CREATE TABLE c AS SELECT '` + canary + `' || i AS t FROM range(200000) r(i)`); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRow(`SELECT count(DISTINCT t) FROM c`).Scan(&n); err != nil || n != 200000 {
		t.Fatal(n, err)
	}
	s := sharedStudy(t)
	path := written(t, sharedContent(t))
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(canary[:12])) {
		t.Error("the file holds what the parent had in memory")
	}
	for name := range s.codes {
		if bytes.Contains(data, []byte(name)) {
			t.Error("the file holds an original code")
		}
	}
	if !bytes.Contains(data, []byte("mean_risk")) {
		t.Error("the search finds not even what is there")
	}
}

func TestWriteFails(t *testing.T) {
	c := sharedContent(t)
	if _, err := writer.Write(t.Context(), filepath.Join(t.TempDir(), "a?b.db"), c.Each); err == nil || !strings.Contains(err.Error(), "question mark") {
		t.Errorf("question mark: %v", err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "results.db")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := writer.Write(cancelled, path, c.Each); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := writer.Write(t.Context(), filepath.Join(dir, "none", "x.db"), c.Each); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	c = changed(c, schema.Predictions, func(rows [][]any) { rows[3][4] = math.NaN() })
	if _, err := writer.Write(t.Context(), path, c.Each); err == nil || !strings.Contains(err.Error(), "predictions.y_prob") {
		t.Errorf("NaN: %v", err)
	}
	if old, _ := os.ReadFile(path); string(old) != "old" {
		t.Error("a failure replaced the file")
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%d files left", len(entries))
	}
}

// changed returns the rows with others in one table.
func changed(r rowsByTable, name string, change func(rows [][]any)) rowsByTable {
	other := maps.Clone(r)
	other[name] = nil
	for _, row := range r[name] {
		other[name] = append(other[name], slices.Clone(row))
	}
	change(other[name])
	return other
}
