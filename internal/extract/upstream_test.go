package extract

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

const (
	outlierID  = "996740926475477194"
	featuresID = "143964216992376241"
)

// testFlows are the flows of settings that say nothing.
func testFlows() []config.UpstreamFlow {
	return []config.UpstreamFlow{
		{Stage: config.OutlierDetection, Experiment: "PLR_OutlierDetection"},
		{Stage: config.Imputing, Experiment: "PLR_Imputation"},
		{Stage: config.Featurizing, Experiment: "PLR_Featurization"},
	}
}

// decimals compares numbers of which NaN equals itself.
var decimals = cmp.Comparer(func(a, b float64) bool {
	return a == b || math.IsNaN(float64(a)) && math.IsNaN(float64(b))
})

func readUpstream(t testing.TB, root string, flows []config.UpstreamFlow) (*Upstream, error) {
	t.Helper()
	store, err := mlflow.OpenFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	return ReadUpstream(t.Context(), store, testRegistry(t), flows)
}

func mustUpstream(t testing.TB, root string) *Upstream {
	t.Helper()
	u, err := readUpstream(t, root, testFlows())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// declaredUpstream are the inputs of all stages of the example, and of odd.
func declaredUpstream() []string {
	patterns := ExperimentInputs()
	for _, flow := range config.ExampleFlows() {
		patterns = append(patterns, UpstreamInputs(flow.Stage, flow.Experiment)...)
	}
	return patterns
}

// TestUpstreamOfExample reads the bundled store, unpacked no further than is
// declared, and compares with what stands in its files.
func TestUpstreamOfExample(t *testing.T) {
	root := t.TempDir()
	contents, names := IndexInputs(config.Stages())
	unpackDeclared(t, root, append(contents, declaredUpstream()...), names)
	u := mustUpstream(t, root)
	if named, err := readUpstream(t, root, config.ExampleFlows()); err != nil || !cmp.Equal(u, named, decimals) {
		t.Errorf("by the ids that builds use: %v", err)
	}
	experiments := []string{outlierID, imputationID, featuresID}
	found := map[string]map[string]UpstreamRun{}
	for i, stage := range u.Stages {
		if stage.Experiment != experiments[i] || stage.Stage != config.Stages()[i] || len(stage.Runs) != []int{11, 42, 46}[i] {
			t.Errorf("stage %s: experiment %s with %d runs", stage.Stage, stage.Experiment, len(stage.Runs))
		}
		found[stage.Stage] = map[string]UpstreamRun{}
		for _, run := range stage.Runs {
			found[stage.Stage][run.RunID] = run
			dir := filepath.Join(root, stage.Experiment, run.RunID)
			param := func(key string) string {
				data, err := os.ReadFile(filepath.Join(dir, "params", key))
				if err != nil && i > 0 {
					t.Error(err)
				}
				return string(data)
			}
			want := Configuration{Outlier: param("anomaly_source")}
			if i > 0 {
				want.Imputation = param("imputation_source")
			}
			if i > 1 {
				want.Featurization = param("featurization_method")
			}
			if run.Verdict != Used || run.Methods != want || len(run.From) != 0 {
				t.Errorf("run %s of %s: %+v, want %+v", run.RunID, stage.Stage, run, want)
			}
			if len(run.Metrics) != []int{3, 1, 0}[i] {
				t.Errorf("run %s of %s: metrics %v", run.RunID, stage.Stage, run.Metrics)
			}
			for _, m := range run.Metrics {
				key := map[string]string{"outlier_f1": "Outlier_f1", "outlier_f1_easy": "Outlier_f1__easy", "outlier_fp": "Outlier_fp", "imputation_mae": "Imputation_mae"}[m.Name]
				data, err := os.ReadFile(filepath.Join(dir, "metrics", key))
				if err != nil {
					t.Fatal(err)
				}
				var at, step int64
				var value float64
				if _, err := fmt.Sscan(string(data), &at, &value, &step); err != nil {
					t.Fatal(err)
				}
				if m.Value != value || m.Split != "" || m.Lower != nil || m.Upper != nil {
					t.Errorf("run %s, %s: %+v, want %v", run.RunID, key, m, value)
				}
			}
		}
	}
	// Every reference of a used run is None or a run that is there.
	index := mustIndex(t, root, IndexOptions{Upstream: config.ExampleFlows()})
	counts := map[string]int{}
	for _, run := range index.Runs {
		from, ok := index.From[run.RunID]
		if ok != (run.Verdict == Used) {
			t.Errorf("run %s, %s, has references: %v", run.RunID, run.Verdict, from)
		}
		for stage, id := range from {
			if _, ok := found[stage][id]; !ok && id != "None" {
				t.Errorf("run %s came from %q of %s, which is not there", run.RunID, id, stage)
			} else {
				counts[fmt.Sprint(stage, " ", ok)]++
			}
		}
	}
	want := map[string]int{"outlier_detection true": 41, "outlier_detection false": 11, "imputation true": 48, "imputation false": 4, "featurization true": 52}
	if diff := cmp.Diff(want, counts); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	if plain := mustIndex(t, root, IndexOptions{}); len(plain.From[index.Runs[0].RunID]) != 0 {
		t.Error("references that were not asked for")
	}
}

// odd is a store with all that runs of the stages can be like.
func odd(t *testing.T) string {
	root := t.TempDir()
	id := func(digits string) string { return strings.Repeat(digits, runIDDigits/2) }
	writeStore(t, root,
		testRun{id: "01"},
		testRun{id: "a0", experiment: outlierID, name: "free text", params: map[string]string{"anomaly_source": "LOF", "imputation_source": "not its own", "codes": "secret"}},
		testRun{id: "a1", experiment: outlierID, stage: "deleted", params: map[string]string{"anomaly_source": "LOF"}},
		testRun{id: "a2", experiment: outlierID, status: int(mlflow.Failed), params: map[string]string{"anomaly_source": "LOF"}},
		testRun{id: "a3", experiment: outlierID, status: int(mlflow.Killed), params: map[string]string{"anomaly_source": "LOF"}},
		testRun{id: "a4", experiment: outlierID, status: int(mlflow.Running), params: map[string]string{"model": "LOF"}},
		testRun{id: "a5", experiment: outlierID, meta: "name: [\n"},
		testRun{id: "a6", experiment: outlierID, params: map[string]string{"anomaly_source": "LOF"}},
		testRun{id: "a7", experiment: outlierID, params: map[string]string{"anomaly_source": "two\nlines"}},
		testRun{id: "somebody", experiment: outlierID, params: map[string]string{}},
		testRun{id: "b0", experiment: imputationID, params: map[string]string{"model": "SAITS", "anomaly_source": "None", "Outlier_run_id": id("a0"), "Imputation_run_id": id("b0"), "mlflow_run_outlier_detection": "None"}},
		testRun{id: "b1", experiment: imputationID, params: map[string]string{"model": "some software", "imputation_source": "my own", "anomaly_source": "LOF"}},
		testRun{id: "c0", experiment: featuresID, params: map[string]string{"feature_param": "simple1.0", "featurization_method": "embeddings", "Imputation_run_id": id("b0"), "Outlier_run_id": "free text"}},
		testRun{id: "c1", experiment: featuresID, params: map[string]string{"featurization_method": "handcrafted_features"}},
	)
	lof := outlierID + "/" + id("a0") + "/metrics/"
	writeFiles(t, root, map[string]string{
		outlierID + "/meta.yaml":                                             "name: PLR_OutlierDetection\n",
		featuresID + "/meta.yaml":                                            "name: PLR_Featurization\n",
		lof + "Outlier_f1":                                                   "1 0.5 0\n2 0.6 1\n",
		lof + "Outlier_fp":                                                   "1 nan 0\n",
		lof + "Outlier_recall":                                               "1 0.1 0\n", // not on the list
		lof + "test/f1__easy":                                                "1 0.9 0\n",
		lof + "test/f1__easy_CI_lo":                                          "1 0.8 0\n",
		lof + "test/f1__easy_CI_hi":                                          "1 0.95 0\n",
		lof + "outlier_train/accuracy":                                       "1 0.7 0\n",
		lof + "outlier_train/accuracy_lo":                                    "1 0.6 0\n",
		lof + "outlier_train/accuracy_hi":                                    "1 0.75 0\n",
		lof + "test/precision_CI_lo":                                         "1 0.1 0\n", // a bound of nothing
		lof + "test/fp":                                                      "1 0.2 0\n",
		lof + "test/fp_CI_lo":                                                "1 0.1 0\n", // half an interval
		lof + "outlier_test/fp":                                              "1 0.3 0\n", // the same metric by another key
		lof + "val/f1":                                                       "1 0.3 0\n",
		lof + "Imputation_mae":                                               "1 1e400 0\n",
		outlierID + "/" + id("a6") + "/metrics/test/f1":                      "no number",
		imputationID + "/" + id("b0") + "/metrics/test/mae":                  "1 0.25 0\n",
		imputationID + "/" + id("b0") + "/metrics/test/f1":                   "1 0.25 0\n", // of another stage
		featuresID + "/" + id("c0") + "/metrics/Outlier_f1__easy":            "1 0.125 0\n",
		featuresID + "/" + id("c0") + "/metrics/test/mae":                    "1 0.25 0\n",
		outlierID + "/" + id("a0") + "/artifacts/outlier_detection/x.pickle": "not looked at",
	})
	return root
}

func TestUpstreamRuns(t *testing.T) {
	u := mustUpstream(t, odd(t))
	dec := func(v float64) *float64 { return &v }
	id := func(digits string) string { return strings.Repeat(digits, runIDDigits/2) }
	want := []UpstreamStage{
		{config.OutlierDetection, outlierID, []UpstreamRun{
			{RunID: id("a0"), Verdict: Used, Methods: Configuration{Outlier: "LOF"}, Metrics: []UpstreamMetric{
				{Name: "imputation_mae", Value: math.Inf(1)},
				{Name: "outlier_f1", Value: 0.6},
				{Name: "outlier_fp", Value: math.NaN()},
				{Split: "test", Name: "outlier_f1_easy", Value: 0.9, Lower: dec(0.8), Upper: dec(0.95)},
				{Split: "test", Name: "outlier_fp", Value: 0.2},
				{Split: "train", Name: "outlier_accuracy", Value: 0.7, Lower: dec(0.6), Upper: dec(0.75)},
			}},
			{RunID: id("a1"), Verdict: Deleted, Reason: ReasonDeleted},
			{RunID: id("a2"), Verdict: Failed, Reason: ReasonFailed},
			{RunID: id("a3"), Verdict: Failed, Reason: ReasonKilled},
			{RunID: id("a4"), Verdict: Unfinished, Reason: ReasonRunning, Methods: Configuration{Outlier: "LOF"}},
			{RunID: id("a5"), Verdict: BadMeta, Reason: ReasonMeta},
			{RunID: id("a6"), Verdict: Unreadable, Reason: ReasonMetrics},
			{RunID: id("a7"), Verdict: Unreadable, Reason: ReasonParams},
			{RunID: "somebody", Verdict: BadMeta, Reason: ReasonRunID},
		}},
		{config.Imputing, imputationID, []UpstreamRun{
			{RunID: id("b0"), Verdict: Used, Methods: Configuration{Imputation: "SAITS"}, From: References{config.OutlierDetection: "None"},
				Metrics: []UpstreamMetric{{Split: "test", Name: "imputation_mae", Value: 0.25}}},
			{RunID: id("b1"), Verdict: Used, Methods: Configuration{Imputation: "my own", Outlier: "LOF"}},
		}},
		{config.Featurizing, featuresID, []UpstreamRun{
			{RunID: id("c0"), Verdict: Used, Methods: Configuration{Featurization: "simple1.0"},
				From: References{config.OutlierDetection: "free text", config.Imputing: id("b0")}, Metrics: []UpstreamMetric{{Name: "outlier_f1_easy", Value: 0.125}}},
			{RunID: id("c1"), Verdict: Used},
		}},
	}
	ignoring := cmp.Options{cmpopts.IgnoreFields(UpstreamRun{}, "Detail"), decimals}
	if diff := cmp.Diff(want, u.Stages, ignoring); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, run := range u.Stages[0].Runs {
		if run.Verdict == Unreadable && run.Detail == "" {
			t.Errorf("run %s does not say why", run.RunID)
		}
	}
	// What is written reads back, NaN and infinity too.
	path := filepath.Join(t.TempDir(), "upstream.cbor")
	if err := Write(path, u); err != nil {
		t.Fatal(err)
	}
	var read Upstream
	if err := Read(path, &read); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(u, &read, decimals); diff != "" {
		t.Errorf("written and read (-want +got):\n%s", diff)
	}
}

// A store cut down to what is declared of each stage gives the same, and no file
// that is declared for nothing is there.
func TestUpstreamInputsAreAll(t *testing.T) {
	whole := odd(t)
	declared := declaredUpstream()
	cut := t.TempDir()
	var left []string
	err := filepath.WalkDir(whole, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(whole, path)
		if err != nil {
			return err
		}
		if rel = filepath.ToSlash(rel); !matches(t, declared, rel) {
			left = append(left, rel)
			return nil
		}
		data, err := os.ReadFile(path)
		if err == nil {
			writeFiles(t, cut, map[string]string{rel: string(data)})
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(mustUpstream(t, whole), mustUpstream(t, cut), decimals, cmpopts.IgnoreFields(UpstreamRun{}, "Detail")); diff != "" {
		t.Errorf("the store and what is declared of it (-whole +cut):\n%s", diff)
	}
	for _, name := range []string{"params/codes", "params/unrelated", "metrics/Outlier_recall", "metrics/val/f1", "artifacts/outlier_detection/x.pickle"} {
		if name = outlierID + "/" + strings.Repeat("a0", runIDDigits/2) + "/" + name; !slices.Contains(left, name) {
			t.Errorf("%s is declared", name)
		}
	}
	for _, name := range left {
		if strings.HasPrefix(name, classificationID) && !matches(t, declared, name) {
			return
		}
	}
	t.Error("the classification runs are declared")
}

// The patterns are made apart from the keys, so that they can be read.
func TestMetricPatternsAreTheKeys(t *testing.T) {
	for _, stage := range config.Stages() {
		declared := UpstreamInputs(stage, "1")
		_, keys := upstreamKeys(stage)
		for _, key := range keys {
			if !matches(t, declared, "1/run/metrics/"+key) {
				t.Errorf("%s: %s is read and not declared", stage, key)
			}
		}
		// Whatever can be made of their parts and is no key is not declared.
		for _, dir := range []string{"", "test/", "outlier_train/", "val/", "outlier_"} {
			for _, quantity := range []string{"f1", "Outlier_f1", "outlier_f1", "mae", "Imputation_mae", "mre", "recall", "f", "f12"} {
				for _, variant := range []string{"", "__easy", "__medium", "__hard", "_easy"} {
					for _, ending := range []string{"", "_CI_lo", "_hi", "_CI", "x"} {
						key := dir + quantity + variant + ending
						if slices.Contains(keys, key) != matches(t, declared, "1/run/metrics/"+key) {
							t.Errorf("%s: %s is read: %v, and declared otherwise", stage, key, slices.Contains(keys, key))
						}
					}
				}
			}
		}
	}
}

func TestFlowsAreFound(t *testing.T) {
	one := t.TempDir()
	writeStore(t, one, testRun{id: "01"})
	damaged := t.TempDir()
	writeStore(t, damaged, testRun{id: "01"})
	writeFiles(t, damaged, map[string]string{"5/meta.yaml": "name: [\n"})
	linked := t.TempDir()
	writeStore(t, linked, testRun{id: "01"})
	if err := os.Symlink(filepath.Join(damaged, "5"), filepath.Join(linked, "7")); err != nil {
		t.Fatal(err)
	}
	twins := t.TempDir()
	writeStore(t, twins, testRun{id: "01"})
	writeFiles(t, twins, map[string]string{"5/meta.yaml": "name: PLR_Imputation\n", ".trash/6/meta.yaml": "name: PLR_Old\n"})
	for _, c := range []struct{ name, root, experiment, id, err string }{
		{"by its usual name", one, "", imputationID, ""},
		{"by id", twins, imputationID, imputationID, ""},
		{"by name", one, "Default", "0", ""},
		{"none", one, "PLR_Features", "", `no experiment has the id or name "PLR_Features" of PREFECT.FLOW_NAMES.IMPUTATION; there are 0, ` + classificationID + ", " + imputationID},
		{"deleted", twins, "PLR_Old", "", "is deleted"},
		{"several", twins, "", "", "several experiments are called \"PLR_Imputation\": 5, " + imputationID},
		{"damaged", damaged, "5", "", "experiment 5 of PREFECT.FLOW_NAMES.IMPUTATION cannot be read: repair its meta.yaml"},
		{"a link", linked, "7", "", "experiment 7 of PREFECT.FLOW_NAMES.IMPUTATION cannot be read: it is a link that leaves the store"},
	} {
		flow := config.UpstreamFlow{Stage: config.Imputing, Experiment: "PLR_Imputation"}
		if c.experiment != "" {
			flow = config.UpstreamFlow{Stage: config.Imputing, Experiment: c.experiment, Named: true}
		}
		u, err := readUpstream(t, c.root, []config.UpstreamFlow{flow})
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %q", c.name, err, c.err)
			}
		case err != nil || u.Stages[0].Experiment != c.id:
			t.Errorf("%s: %+v, %v", c.name, u, err)
		}
	}
	// An experiment that nobody names need not be there, unless one whose name
	// cannot be read may be it.
	absent := config.UpstreamFlow{Stage: config.Featurizing, Experiment: "PLR_Featurization"}
	u, err := readUpstream(t, one, []config.UpstreamFlow{absent})
	if err != nil || u.Stages[0].Experiment != "" || len(u.Stages[0].Runs) != 0 {
		t.Errorf("absent: %+v, %v", u, err)
	}
	if _, err := readUpstream(t, damaged, []config.UpstreamFlow{absent}); err == nil || !strings.Contains(err.Error(), "experiment 5 cannot be read and may be PLR_Featurization") {
		t.Errorf("perhaps damaged: %v", err)
	}
}

func TestPublishedMetricsAreWords(t *testing.T) {
	names, splits := UpstreamMetrics()
	if len(names) != 16 || !slices.Equal(splits, []string{"", "test", "train"}) {
		t.Errorf("%d names %v, splits %q", len(names), names, splits)
	}
	for _, name := range names {
		if !regexp.MustCompile("^(outlier|imputation)_[a-z0-9_]+$").MatchString(name) {
			t.Errorf("the name %q", name)
		}
	}
}
