package extract

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

const (
	classificationID = "253031330985650090"
	imputationID     = "940304421003085572"
)

func testRegistry(t testing.TB) *config.Registry {
	t.Helper()
	reg, err := config.LoadRegistry("../../configs/registry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// testRun describes a run directory of a test store. Zero values give a
// finished run of CatBoost with one pickle.
type testRun struct {
	id         string // two digits, repeated to a run id; longer ones are taken as they are
	name       string
	experiment string
	status     int // 0: FINISHED
	end        int // seconds; 0: none
	stage      string
	params     map[string]string // nil: as the name says; empty: none
	pickles    []string          // nil: metrics_<name>.pickle; below the run
	meta       string            // instead of the whole meta.yaml
	uri        string
}

const testName = "CATBOOST_eval-auc__simple1.0__SAITS__LOF"

func (r testRun) directory() string {
	id := r.id
	if len(id) == 2 {
		id = strings.Repeat(id, runIDDigits/2)
	}
	experiment := r.experiment
	if experiment == "" {
		experiment = classificationID
	}
	return experiment + "/" + id
}

func (r testRun) files() map[string]string {
	dir := r.directory()
	experiment, id, _ := strings.Cut(dir, "/")
	name := r.name
	if name == "" {
		name = testName
	}
	meta := r.meta
	if meta == "" {
		status := r.status
		if status == 0 {
			status = int(mlflow.Finished)
		}
		end := "null"
		if r.end != 0 {
			end = fmt.Sprint(r.end * 1000)
		}
		stage := r.stage
		if stage == "" {
			stage = "active"
		}
		uri := r.uri
		if uri == "" {
			uri = "file:///home/writer/mlruns/" + dir + "/artifacts"
		}
		meta = fmt.Sprintf("artifact_uri: %s\nend_time: %s\nexperiment_id: '%s'\nlifecycle_stage: %s\nrun_id: %s\nrun_name: '%s'\nrun_uuid: %s\nstart_time: 1\nstatus: %d\n",
			uri, end, experiment, stage, id, name, id, status)
	}
	files := map[string]string{dir + "/meta.yaml": meta, dir + "/params/unrelated": "x", dir + "/tags/mlflow.user": "x"}
	params := r.params
	if n, ok := parseName(name); ok && params == nil {
		params = map[string]string{paramModel: n.Classifier, paramFeatures: n.Featurization, paramImputed: n.Imputation, paramOutlier: n.Outlier}
	}
	for key, value := range params {
		files[dir+"/params/"+key] = value
	}
	pickles := r.pickles
	if pickles == nil {
		pickles = []string{"artifacts/metrics/metrics_" + name + ".pickle"}
	}
	for _, p := range pickles {
		files[dir+"/"+p] = "not looked at"
	}
	return files
}

func writeFiles(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func writeStore(t testing.TB, root string, runs ...testRun) {
	t.Helper()
	files := map[string]string{
		"0/meta.yaml":                    "experiment_id: '0'\nname: Default\n",
		imputationID + "/meta.yaml":      "experiment_id: '" + imputationID + "'\nname: PLR_Imputation\n",
		classificationID + "/meta.yaml":  "experiment_id: '" + classificationID + "'\nname: PLR_Classification\n",
		classificationID + "/stray.txt":  "x",
		classificationID + "/tags/other": "x",
	}
	for _, r := range runs {
		maps.Copy(files, r.files())
	}
	writeFiles(t, root, files)
}

func readIndex(t testing.TB, root string, o IndexOptions) (*Index, error) {
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
	return ReadIndex(t.Context(), store, testRegistry(t), o)
}

func mustIndex(t testing.TB, root string, o IndexOptions) *Index {
	t.Helper()
	x, err := readIndex(t, root, o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// nasty is a store with every verdict that an index can give.
var nasty = []struct {
	run     testRun
	verdict Verdict
	reason  string
	detail  string // part of the detail
}{
	{run: testRun{id: "01"}, verdict: Used},
	{run: testRun{id: "02", name: "Xgboost_eval-auc__simple1.0__CSDI__pupil-gt"}, verdict: Used},
	{run: testRun{id: "03", name: "ensemble-CATBOOST-tabm__simple1.0__CSDI__pupil-gt"}, verdict: Used},
	{run: testRun{id: "04", name: "FOREST_eval-auc__mine__yours__theirs"}, verdict: Used}, // free text: published as unregistered-1
	{run: testRun{id: "05", name: "TABM_eval-auc__simple1.0__CSDI__LOF", params: map[string]string{}}, verdict: Used},
	{run: testRun{id: "06", name: "TABM_eval-auc__simple1.0__SAITS__LOF", params: map[string]string{paramModel: "TabM", paramOutlier: "None", paramImputed: ""}}, verdict: Used},
	{run: testRun{id: "07", name: "TABM_eval-auc__simple1.0__SAITS__SubPCA", status: 1}, verdict: Used},
	{run: testRun{id: "08", name: "TABM_eval-auc__simple1.0__CSDI__SubPCA", pickles: []string{"artifacts/metrics/metrics.pickle", "artifacts/metrics/x.txt"}}, verdict: Used},
	{run: testRun{id: "09", name: "TABM_eval-auc__simple1.0__CSDI__PROPHET",
		pickles: []string{"artifacts/metrics/metrics_TABM_eval-auc__simple1.0__CSDI__PROPHET.pickle", "artifacts/metrics/a_older.pickle"}}, verdict: Used},
	{run: testRun{id: "0a", name: "TABM_eval-auc__simple1.0__pupil-gt__LOF", uri: "s3://bucket/1/x/artifacts"}, verdict: Used},

	{run: testRun{id: "10", meta: "run_id: [unclosed\n\tstatus: {"}, verdict: BadMeta, reason: ReasonMeta, detail: "not YAML"},
	{run: testRun{id: "11", meta: " "}, verdict: BadMeta, reason: ReasonMeta, detail: "meta.yaml"},
	{run: testRun{id: "backup of 01"}, verdict: BadMeta, reason: ReasonRunID, detail: "backup of 01"},
	{run: testRun{id: "12", params: map[string]string{paramModel: "XGBoost", paramOutlier: "SubPCA"}}, verdict: BadMeta, reason: ReasonDisagree,
		detail: `the run name says classifier "CatBoost", the param model_name "XGBoost"; the run name says outlier "LOF", the param anomaly_source "SubPCA"`},
	{run: testRun{id: "13", params: map[string]string{paramOutlier: "\xff"}}, verdict: BadMeta, reason: ReasonParams, detail: "UTF-8"},

	{run: testRun{id: "20", name: "MOMENT_finetune_pupil_gt"}, verdict: NotClassification, reason: ReasonName, detail: "MOMENT_finetune_pupil_gt"},
	{run: testRun{id: "21", name: "__SYNTHETIC_" + testName}, verdict: NotClassification, reason: ReasonName},
	{run: testRun{id: "22", name: "CATBOOST__SAITS"}, verdict: NotClassification, reason: ReasonName},
	{run: testRun{id: "23", meta: "run_uuid: " + strings.Repeat("23", 16) + "\nname: ''\n"}, verdict: NotClassification, reason: ReasonName},
	{run: testRun{id: "24", name: "MOMENT_pupil_gt", stage: "deleted"}, verdict: NotClassification, reason: ReasonName},

	{run: testRun{id: "30", name: "XGBOOST_eval-auc__simple1.0__SAITS__LOF"}, verdict: Excluded, reason: ReasonExcluded, detail: "drawn by hand"},
	{run: testRun{id: "31", name: "XGBOOST_eval-auc__simple1.0__SAITS__LOF", stage: "deleted"}, verdict: Excluded, reason: ReasonExcluded, detail: "drawn by hand"},
	{run: testRun{id: "32", meta: "- broken\n"}, verdict: Excluded, reason: ReasonExcluded, detail: "beyond repair; run 3232"},

	{run: testRun{id: "40", stage: "deleted", end: 99}, verdict: Deleted, reason: ReasonDeleted},
	{run: testRun{id: "41", stage: "deleted", status: 4}, verdict: Deleted, reason: ReasonDeleted},
	{run: testRun{id: "50", status: 4, end: 99}, verdict: Failed, reason: ReasonFailed},
	{run: testRun{id: "51", status: 5, params: map[string]string{paramModel: "XGBoost"}}, verdict: Failed, reason: ReasonKilled},

	{run: testRun{id: "60", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF", end: 7}, verdict: Superseded, reason: ReasonOlder, detail: strings.Repeat("62", 16)},
	{run: testRun{id: "61", name: "tabpfn_eval-other__simple1.0__SAITS__LOF", end: 8, pickles: []string{}}, verdict: Superseded, reason: ReasonOlder, detail: strings.Repeat("62", 16)},
	{run: testRun{id: "62", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF", end: 9}, verdict: Used},
	{run: testRun{id: "63", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF", end: 9}, verdict: Superseded, reason: ReasonSameTime, detail: strings.Repeat("62", 16)},
	{run: testRun{id: "64", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF", end: 99, status: 1}, verdict: Superseded, reason: ReasonUnfinished, detail: strings.Repeat("62", 16)},
	{run: testRun{id: "65", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF"}, verdict: Superseded, reason: ReasonOlder, detail: strings.Repeat("62", 16)},
	{run: testRun{id: "66", name: "TABPFN_eval-auc__simple1.0__SAITS__LOF", status: 2}, verdict: Superseded, reason: ReasonUnfinished, detail: strings.Repeat("62", 16)},

	{run: testRun{id: "70", name: "TABPFN_eval-auc__simple1.0__CSDI__LOF", pickles: []string{}}, verdict: NoArtifact, reason: ReasonNoPickle, detail: "nothing at"},
	{run: testRun{id: "71", name: "TABPFN_eval-auc__simple1.0__CSDI__PROPHET", pickles: []string{"artifacts/model/model.pickle"}}, verdict: NoArtifact, reason: ReasonNoPickle},
	{run: testRun{id: "72", name: "TABPFN_eval-auc__simple1.0__CSDI__SubPCA", pickles: []string{"artifacts/metrics/x.txt"}}, verdict: NoArtifact, reason: ReasonNoPickle},
	{run: testRun{id: "73", name: "TABPFN_eval-auc__simple1.0__TimesNet__SubPCA", status: 1, pickles: []string{}}, verdict: NoArtifact, reason: ReasonNoPickle},
	{run: testRun{id: "80", name: "TABPFN_eval-auc__simple1.0__SAITS__SubPCA", pickles: []string{"artifacts/metrics/a.pickle", "artifacts/metrics/b.pickle"}},
		verdict: AmbiguousArtifact, reason: ReasonManyPickles, detail: "a.pickle"},
}

var nastyOptions = IndexOptions{Exclude: []config.ExcludedRun{
	{Run: "XGBOOST_eval-auc__simple1.0__SAITS__LOF", Reason: "drawn by hand"},
	{Run: strings.Repeat("32", 16), Reason: "beyond repair"},
}}

func writeNasty(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	var runs []testRun
	for _, n := range nasty {
		runs = append(runs, n.run)
	}
	writeStore(t, root, runs...)
	// What is no run: reserved names, directories without meta.yaml, another
	// experiment's run, a deleted experiment.
	writeFiles(t, root, map[string]string{
		classificationID + "/models/m/meta.yaml":                           "x: 1\n",
		classificationID + "/" + strings.Repeat("ee", 16) + "/artifacts/x": "x",
		imputationID + "/" + strings.Repeat("dd", 16) + "/meta.yaml":       "run_name: SAITS_saits__LOF_impPLR_v0.1\n",
		".trash/1/meta.yaml": "name: PLR_Old\n",
		".trash/1/" + strings.Repeat("cc", 16) + "/meta.yaml":                "run_name: " + testName + "\n",
		"models/registered/meta.yaml":                                        "x: 1\n",
		classificationID + "/" + strings.Repeat("01", 16) + "/metrics/AUROC": "1 0.9 0\n",
	})
	return root
}

func TestVerdicts(t *testing.T) {
	x := mustIndex(t, writeNasty(t), nastyOptions)
	if len(x.Runs) != len(nasty) {
		t.Errorf("%d runs, want %d", len(x.Runs), len(nasty))
	}
	byID := map[string]IndexedRun{}
	for _, r := range x.Runs {
		byID[r.RunID] = r
	}
	for _, want := range nasty {
		_, id, _ := strings.Cut(want.run.directory(), "/")
		got, ok := byID[id]
		if !ok {
			t.Errorf("run %s is not in the index", want.run.id)
			continue
		}
		if got.Verdict != want.verdict || got.Reason != want.reason || !strings.Contains(got.Detail, want.detail) {
			t.Errorf("run %s: %s, %q, %q; want %s, %q, %q", want.run.id, got.Verdict, got.Reason, got.Detail, want.verdict, want.reason, want.detail)
		}
		if (got.Artifact != "") != (got.Verdict == Used) {
			t.Errorf("run %s: verdict %s with the artifact %q", want.run.id, got.Verdict, got.Artifact)
		}
		if got.Verdict == Used && got.Open != (want.run.status == 1) {
			t.Errorf("run %s: open %v", want.run.id, got.Open)
		}
	}
	if x.Experiment != classificationID || x.Format != IndexFormat || x.Synthetic {
		t.Errorf("index of experiment %q, format %q, synthetic %v", x.Experiment, x.Format, x.Synthetic)
	}
	if !slices.IsSortedFunc(x.Runs, func(a, b IndexedRun) int { return strings.Compare(a.RunID, b.RunID) }) {
		t.Error("the runs are not sorted by id")
	}
}

func TestConfigurations(t *testing.T) {
	x := mustIndex(t, writeNasty(t), nastyOptions)
	want := map[string]Configuration{
		"01": {"CatBoost", "simple1.0", "LOF", "SAITS"},
		"02": {"XGBoost", "simple1.0", "pupil-gt", "CSDI"},
		"03": {"ensemble-CatBoost-TabM", "simple1.0", "pupil-gt", "CSDI"},
		"04": {"FOREST", "mine", "theirs", "yours"},
		"09": {"TabM", "simple1.0", "PROPHET", "CSDI"},
		"50": {"CatBoost", "simple1.0", "LOF", "SAITS"},
		"10": {},
		"20": {},
	}
	for _, r := range x.Runs {
		if c, ok := want[r.RunID[:2]]; ok && isRunID(r.RunID) && c != r.Configuration {
			t.Errorf("run %s: configuration %+v, want %+v", r.RunID[:2], r.Configuration, c)
		}
	}
	for _, r := range x.Runs {
		if r.RunID == strings.Repeat("09", 16) && !strings.HasSuffix(r.Artifact, "/metrics_"+r.Name+".pickle") {
			t.Errorf("of several pickles %s was taken", r.Artifact)
		}
	}
}

func TestIndexErr(t *testing.T) {
	x := mustIndex(t, writeNasty(t), nastyOptions)
	err := x.Err()
	if err == nil {
		t.Fatal("a store with damaged runs is no error")
	}
	for _, want := range []string{"5 of ", strings.Repeat("10", 16), ReasonMeta, ReasonDisagree, ReasonRunID, "EXTRACTION.exclude_runs", "repair", "log of the step index"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	for _, private := range []string{"backup", "XGBoost", "SubPCA", "unclosed"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("error %q holds %q, which is text of the store", err, private)
		}
	}
	many := &Index{Experiment: "1"}
	for i := range 25 {
		many.Runs = append(many.Runs, IndexedRun{RunID: fmt.Sprintf("%032x", i), Verdict: Unreadable, Reason: ReasonArtifacts})
	}
	if err := many.Err(); err == nil || !strings.Contains(err.Error(), "25 of 25") || !strings.Contains(err.Error(), "and 15 more") {
		t.Errorf("error of many runs: %v", err)
	}
	x.Runs = slices.DeleteFunc(x.Runs, func(r IndexedRun) bool { return r.Verdict == BadMeta })
	if err := x.Err(); err != nil {
		t.Errorf("without damaged runs: %v", err)
	}
}

// A store cut down to what IndexInputs declares, the rest deleted and the files
// of which only names count emptied, gives the same index.
func TestIndexInputsAreAll(t *testing.T) {
	whole := writeNasty(t)
	writeFiles(t, whole, map[string]string{
		classificationID + "/tags/plr.synthetic":                                   "true",
		classificationID + "/" + strings.Repeat("23", 16) + "/tags/mlflow.runName": "TABPFN_eval-auc__simple1.0__pupil-gt__pupil-gt",
	})
	contents, names := IndexInputs(config.Stages())
	cut := t.TempDir()
	err := filepath.WalkDir(whole, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(whole, path)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		if matches(t, contents, rel) {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			writeFiles(t, cut, map[string]string{rel: string(data)})
		} else if matches(t, names, rel) {
			writeFiles(t, cut, map[string]string{rel: ""})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, b := mustIndex(t, whole, nastyOptions), mustIndex(t, cut, nastyOptions)
	if !a.Synthetic {
		t.Error("the tag of the experiment was not read")
	}
	reasons := func(x *Index) []string {
		var list []string
		for _, r := range x.Runs {
			list = append(list, fmt.Sprint(r.RunID, r.Name, r.Verdict, r.Reason, r.Artifact, r.Configuration, r.Open))
		}
		return list
	}
	if diff := cmp.Diff(reasons(a), reasons(b)); diff != "" {
		t.Errorf("index of the store and of its declared inputs (-whole +cut):\n%s", diff)
	}
}

func matches(t *testing.T, patterns []string, name string) bool {
	t.Helper()
	for _, p := range patterns {
		ok, err := doublestar.Match(p, name)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			return true
		}
	}
	return false
}

func TestExperimentIsChosen(t *testing.T) {
	two := t.TempDir()
	writeStore(t, two, testRun{id: "01"}, testRun{id: "02", experiment: imputationID})
	one := t.TempDir()
	writeStore(t, one, testRun{id: "01"})
	none := t.TempDir()
	writeStore(t, none, testRun{id: "01", name: "MOMENT_pupil_gt"})
	damaged := t.TempDir()
	writeStore(t, damaged, testRun{id: "01"})
	writeFiles(t, damaged, map[string]string{classificationID + "/meta.yaml": "name: [\n"})
	twins := t.TempDir()
	writeStore(t, twins, testRun{id: "01"})
	writeFiles(t, twins, map[string]string{
		"5/meta.yaml":        "name: PLR_Classification\n",
		".trash/6/meta.yaml": "name: PLR_Old\n",
	})
	for _, c := range []struct{ name, root, wanted, id, err string }{
		{"the only one", one, "", classificationID, ""},
		{"by id", two, imputationID, imputationID, ""},
		{"by name", two, "PLR_Classification", classificationID, ""},
		{"by id although names are shared", twins, "5", "5", ""},
		{"several", two, "", "", "several experiments hold classification runs: " + classificationID + ", " + imputationID},
		{"none", none, "", "", "no experiment holds classification runs; there are 0, " + classificationID},
		{"unknown", one, "PLR_Classify", "", `no experiment has the id or name "PLR_Classify"; there are 0, `},
		{"several of a name", twins, "PLR_Classification", "", "several experiments are called"},
		{"deleted", twins, "PLR_Old", "", "is deleted"},
		{"deleted, by id", twins, "6", "", "is deleted"},
		{"damaged", damaged, "", "", "experiment " + classificationID},
		{"damaged, by id", damaged, classificationID, "", "experiment " + classificationID},
	} {
		t.Run(c.name, func(t *testing.T) {
			x, err := readIndex(t, c.root, IndexOptions{Experiment: c.wanted})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), c.root) {
					t.Errorf("error %v; want it to name the store and say %q", err, c.err)
				}
				return
			}
			if err != nil || x.Experiment != c.id {
				t.Errorf("experiment %v, %v; want %s", x, err, c.id)
			}
		})
	}
}

func TestExclusionOfNoRun(t *testing.T) {
	root := t.TempDir()
	writeStore(t, root, testRun{id: "01"})
	_, err := readIndex(t, root, IndexOptions{Exclude: []config.ExcludedRun{{Run: "CATBOOST_eval-auc__simple1.0__SAITS__LOFF", Reason: "x"}}})
	if err == nil || !strings.Contains(err.Error(), "LOFF") || !strings.Contains(err.Error(), "EXTRACTION.exclude_runs") {
		t.Errorf("an exclusion that matches no run: %v", err)
	}
}

func TestArtifactsOutOfReach(t *testing.T) {
	outside := t.TempDir()
	writeFiles(t, outside, map[string]string{"artifacts/metrics/metrics.pickle": "x"})
	for _, c := range []struct {
		name, uri string
		files     map[string]string
		links     map[string]string // name → target
		pickles   []string
		verdict   Verdict
		reason    string
	}{
		{name: "outside the store", uri: outside + "/artifacts", pickles: []string{}, verdict: NoArtifact, reason: ReasonNoPickle},
		{name: "elsewhere in the store", uri: "STORE/kept/artifacts", pickles: []string{},
			files: map[string]string{"kept/artifacts/metrics/m.pickle": "x"}, verdict: NoArtifact, reason: ReasonNoPickle},
		{name: "experiment renumbered", uri: "file:///old/7/" + strings.Repeat("01", 16) + "/artifacts", pickles: []string{},
			files: map[string]string{"7/" + strings.Repeat("01", 16) + "/artifacts/metrics/m.pickle": "x"}, verdict: Used},
		{name: "link out of the store", links: map[string]string{"artifacts/metrics/latest.pickle": "/etc/hostname"}, verdict: Unreadable, reason: ReasonArtifactLeave},
		{name: "directory link out of the store", pickles: []string{}, links: map[string]string{"artifacts": outside + "/artifacts"}, verdict: Unreadable, reason: ReasonArtifactLeave},
		{name: "link within the store", pickles: []string{"artifacts/metrics/keep.txt", "m.pickle"}, links: map[string]string{"artifacts/metrics/latest.pickle": "../../m.pickle"}, verdict: Used},
		{name: "link to nothing", pickles: []string{"artifacts/metrics/keep.txt"}, links: map[string]string{"artifacts/metrics/latest.pickle": "gone"}, verdict: NoArtifact, reason: ReasonNoPickle},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			r := testRun{id: "01", pickles: c.pickles, uri: strings.Replace(c.uri, "STORE", root, 1)}
			writeStore(t, root, r)
			writeFiles(t, root, c.files)
			for name, target := range c.links {
				if err := os.Symlink(target, filepath.Join(root, r.directory(), name)); err != nil {
					t.Fatal(err)
				}
			}
			x := mustIndex(t, root, IndexOptions{})
			if got := x.Runs[0]; len(x.Runs) != 1 || got.Verdict != c.verdict || got.Reason != c.reason {
				t.Errorf("%s, %q, %q; want %s, %q", got.Verdict, got.Reason, got.Detail, c.verdict, c.reason)
			}
			if (x.Err() != nil) != (c.verdict == Unreadable) {
				t.Errorf("Err: %v", x.Err())
			}
		})
	}
}

// A name that no text can hold is a reason not to use that run, and no error of the
// index; what stands behind such a run is looked at in the same go.
func TestNamesOfFiles(t *testing.T) {
	root := t.TempDir()
	latin := "artifacts/metrics/metrics_\xe9.pickle"
	writeStore(t, root,
		testRun{id: "01", end: 4, pickles: []string{latin}},
		testRun{id: "02", end: 3, pickles: []string{`artifacts/metrics/a\b.pickle`}},
		testRun{id: "03", end: 2},
		testRun{id: "04", end: 1, pickles: []string{latin}},
		testRun{id: "05", name: "CATBOOST_eval-auc__simple1.0__SAITS__PROPHET"},
		testRun{id: "\xff folder"}, testRun{id: "\xfe folder"},
	)
	x := mustIndex(t, root, IndexOptions{})
	path := filepath.Join(t.TempDir(), "index.cbor")
	if err := Write(path, x); err != nil {
		t.Fatal(err)
	}
	x = new(Index)
	if err := Read(path, x); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range x.Runs {
		got[r.RunID] = strings.Join([]string{string(r.Verdict), r.Reason, r.Flaw}, "|")
	}
	id := func(two string) string { return strings.Repeat(two, runIDDigits/2) }
	want := map[string]string{
		id("01"):      "unreadable|" + ReasonFileName + "|",
		id("02"):      "superseded|" + ReasonOlder + "|" + ReasonFileName,
		id("03"):      "superseded|" + ReasonOlder + "|",
		id("04"):      "superseded|" + ReasonOlder + "|", // 03 would be used
		id("05"):      "used||",
		`\xff folder`: "bad_meta|" + ReasonRunID + "|",
		`\xfe folder`: "bad_meta|" + ReasonRunID + "|",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := x.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, said := range []string{"4 of 7 runs", "run " + id("01"), "run " + id("02"), "not UTF-8", "it is next"} {
		if !strings.Contains(err.Error(), said) {
			t.Errorf("the error does not say %q: %v", said, err)
		}
	}
}

// An experiment is of one flow.
func TestFlowOfClassification(t *testing.T) {
	root := t.TempDir()
	writeStore(t, root, testRun{id: "01"})
	name := mustExperiment(t, root).Name
	for _, wanted := range []string{"", classificationID} {
		for _, called := range []string{classificationID, name} {
			flows := []config.UpstreamFlow{{Stage: config.Imputing, Experiment: called, Named: true}}
			_, err := readIndex(t, root, IndexOptions{Experiment: wanted, Upstream: flows})
			if err == nil || !strings.Contains(err.Error(), "PREFECT.FLOW_NAMES.IMPUTATION names it, too") {
				t.Errorf("experiment %q, flow %q: %v", wanted, called, err)
			}
		}
	}
}

func mustExperiment(t *testing.T, root string) mlflow.Experiment {
	t.Helper()
	store, err := mlflow.OpenFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, err := store.Experiments(t.Context())
	at := slices.IndexFunc(all, func(e mlflow.Experiment) bool { return e.ID == classificationID })
	if err != nil || at < 0 {
		t.Fatalf("%d experiments, %v", len(all), err)
	}
	return all[at]
}

// Whatever runs a configuration has, exactly one of those that may stand for it
// is not superseded, and it is the best.
func TestSupersedeProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "runs")
		var runs []IndexedRun
		var rivals []rival
		for i := range n {
			open := rapid.Bool().Draw(t, "open")
			runs = append(runs, IndexedRun{
				RunID: fmt.Sprintf("%02d", i), Open: open,
				Configuration: Configuration{Outlier: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "outlier")},
			})
			rivals = append(rivals, rival{i, &mlflow.Run{ID: fmt.Sprintf("%02d", i), End: rapid.Int64Range(0, 3).Draw(t, "end")}})
		}
		order := rapid.Permutation(rivals).Draw(t, "order")
		supersede(runs, order)
		kept := map[Configuration]int{}
		for i, r := range runs {
			if r.Verdict == "" {
				if _, twice := kept[r.Configuration]; twice {
					t.Fatalf("two runs of %v are kept", r.Configuration)
				}
				kept[r.Configuration] = i
			}
		}
		for i, r := range runs {
			k, ok := kept[r.Configuration]
			if !ok {
				t.Fatalf("no run of %v is kept", r.Configuration)
			}
			if runs[k].Open && !r.Open {
				t.Fatalf("an open run is kept although run %d is finished", i)
			}
			if runs[k].Open == r.Open && rivals[i].run.End > rivals[k].run.End {
				t.Fatalf("run %d ended later than %d, which is kept", i, k)
			}
			if runs[k].Open == r.Open && rivals[i].run.End == rivals[k].run.End && i < k {
				t.Fatalf("run %d has the smaller id than %d, which is kept", i, k)
			}
		}
	})
}

// A store that fails says which it is, once.
func TestStoreIsNamedOnce(t *testing.T) {
	root := t.TempDir()
	writeStore(t, root, testRun{id: "01"})
	store, err := mlflow.OpenFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	_, _, err = chooseExperiment(t.Context(), store, IndexOptions{})
	_, upstream := findUpstream(t.Context(), store, nil)
	for _, err := range []error{err, upstream} {
		if err == nil || strings.Count(err.Error(), "tracking store "+root) != 1 {
			t.Errorf("error %v", err)
		}
	}
}

// A run that is used must say which runs came before it, or it is not used. Of one that
// another has taken the place of nobody asks.
func TestReferencesThatCannotBeRead(t *testing.T) {
	root := t.TempDir()
	stages := []config.UpstreamFlow{{Stage: config.Imputing, Experiment: imputationID}}
	bad := map[string]string{classificationReference(config.Imputing): "\xff"}
	writeStore(t, root,
		testRun{id: "01", end: 1, params: bad},
		testRun{id: "02", end: 2, params: map[string]string{classificationReference(config.Imputing): "None"}},
		testRun{id: "03", name: "TABM_eval-auc__simple1.0__SAITS__LOF", params: bad})
	x := mustIndex(t, root, IndexOptions{Upstream: stages})
	for i, want := range []IndexedRun{{Verdict: Superseded, Reason: ReasonOlder}, {Verdict: Used}, {Verdict: BadMeta, Reason: ReasonParams}} {
		r := x.Runs[i]
		if r.Verdict != want.Verdict || r.Reason != want.Reason || (r.Artifact != "") != (want.Verdict == Used) {
			t.Errorf("run %d is %s (%s) with the artifact %q, want %s (%s)", i+1, r.Verdict, r.Reason, r.Artifact, want.Verdict, want.Reason)
		}
	}
	if !strings.Contains(x.Runs[2].Detail, "UTF-8") || x.Err() == nil {
		t.Errorf("the detail is %q, the error %v", x.Runs[2].Detail, x.Err())
	}
	if diff := cmp.Diff(map[string]References{x.Runs[1].RunID: {config.Imputing: "None"}}, x.From); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	for i, r := range mustIndex(t, root, IndexOptions{}).Runs {
		if i > 0 && r.Verdict != Used {
			t.Errorf("run %d is %s though nobody asks what came before it", i+1, r.Verdict)
		}
	}
}
