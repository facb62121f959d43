package mlflow

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const (
	experiment = "253031330985650090"
	runID      = "0123456789abcdef0123456789abcdef"
)

// write makes files below root, with the directories above them.
func write(t testing.TB, root string, files map[string]string) {
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

func runMeta(id string, lines ...string) string {
	return fmt.Sprintf(`artifact_uri: file:///home/writer/mlruns/%s/%s/artifacts
end_time: 1738000009000
entry_point_name: ''
experiment_id: '%s'
lifecycle_stage: active
run_id: %s
run_name: a name
run_uuid: %s
source_type: 4
start_time: 1738000000000
status: 3
tags: []
user_id: writer
`, experiment, id, experiment, id, id) + strings.Join(lines, "\n")
}

const experimentMeta = "experiment_id: '" + experiment + "'\nlifecycle_stage: active\nname: PLR_Classification\n"

func open(t *testing.T, files map[string]string) (*Files, string) {
	t.Helper()
	root := t.TempDir()
	write(t, root, map[string]string{experiment + "/meta.yaml": experimentMeta})
	write(t, root, files)
	s, err := OpenFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, root
}

func onlyExperiment(t *testing.T, s *Files) Experiment {
	t.Helper()
	all, err := s.Experiments(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("experiments %v, %v; want one", all, err)
	}
	return all[0]
}

func onlyRun(t *testing.T, s *Files) Run {
	t.Helper()
	runs, err := s.Runs(t.Context(), onlyExperiment(t, s))
	if err != nil || len(runs) != 1 {
		t.Fatalf("runs %v, %v; want one", runs, err)
	}
	return runs[0]
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"file":                       "x",
		"empty/sub/x":                "x",
		"study/mlruns/0/meta.yaml":   "name: Default\n",
		"store/12/meta.yaml":         "name: x\n",
		"store/12/ab/meta.yaml":      "run_id: ab\n",
		"registry/models/meta.yaml":  "name: x\n",
		"numbers/12/not-a-meta.yaml": "x",
	})
	for _, c := range []struct{ path, want string }{
		{"missing", "does not exist"},
		{"file", "is a file"},
		{"file/below", "does not exist"},
		{"empty", "no MLflow store"},
		{"registry", "no MLflow store"},
		{"numbers", "no MLflow store"},
		{"study", "perhaps " + filepath.Join(dir, "study", "mlruns") + " is meant"},
		{"store/12", "give the store's own directory"},
		{"store/12/ab", "give the store's own directory"},
	} {
		path := filepath.Join(dir, c.path)
		_, err := OpenFiles(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("OpenFiles(%s): %v; want it to name the path and say %q", c.path, err, c.want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Error("Open made the directory that was missing")
	}
}

// A store is only ever read: names, times and contents are as before.
func TestNothingIsWritten(t *testing.T) {
	s, root := open(t, map[string]string{
		experiment + "/" + runID + "/meta.yaml": runMeta(runID),
	})
	for _, dir := range []string{experiment + "/" + runID, experiment, "."} {
		if err := os.Chmod(filepath.Join(root, dir), 0o500); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, dir), 0o700) })
	}
	before := tree(t, root)
	r := onlyRun(t, s)
	if _, err := s.Params(t.Context(), r); err != nil {
		t.Error(err)
	}
	if _, err := s.Artifacts(t.Context(), r, "metrics"); !errors.Is(err, ErrNoArtifacts) {
		t.Errorf("artifacts of a run without any: %v", err)
	}
	if diff := cmp.Diff(before, tree(t, root)); diff != "" {
		t.Errorf("the store changed (-before +after):\n%s", diff)
	}
}

func tree(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		all = append(all, fmt.Sprint(path, info.Mode(), info.ModTime(), info.Size()))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestExperiments(t *testing.T) {
	s, root := open(t, map[string]string{
		"0/meta.yaml":           "experiment_id: 0\nname: Default\n", // legacy: a number, no stage
		"1/meta.yaml":           "name: [unclosed\n\t{",
		"2/meta.yaml":           "experiment_id: '3'\nname: copied\n",
		"4/no-meta.yaml":        "x",
		"models/meta.yaml":      "name: registry\n",
		"5":                     "a file",
		".trash/7/meta.yaml":    "experiment_id: '7'\nlifecycle_stage: deleted\nname: old\n",
		"tags-of-mine/meta.yml": "x",
		"0/tags/plr.synthetic":  "true",
	})
	if err := os.Symlink("/etc", filepath.Join(root, "8")); err != nil {
		t.Fatal(err)
	}
	all, err := s.Experiments(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%s %q %s %s damaged=%v", e.ID, e.Name, e.Lifecycle, e.Dir, e.Err != nil))
	}
	want := []string{
		`0 "Default" active 0 damaged=false`,
		`1 ""  1 damaged=true`,
		`2 "copied" active 2 damaged=true`,
		`253031330985650090 "PLR_Classification" active 253031330985650090 damaged=false`,
		`8 ""  8 damaged=true`,
		`7 "old" deleted .trash/7 damaged=false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("experiments (-want +got):\n%s", diff)
	}
	for _, e := range all {
		if e.ID == "8" && !errors.Is(e.Err, ErrLeaves) {
			t.Errorf("an experiment that is a link out of the store: %v", e.Err)
		}
	}
	if v, ok, err := s.ExperimentTag(t.Context(), all[0], "plr.synthetic"); v != "true" || !ok || err != nil {
		t.Errorf("experiment tag = %q, %v, %v", v, ok, err)
	}
	if v, ok, err := s.ExperimentTag(t.Context(), all[0], "absent"); v != "" || ok || err != nil {
		t.Errorf("absent experiment tag = %q, %v, %v", v, ok, err)
	}
}

func TestRunMeta(t *testing.T) {
	full := Run{
		ID: runID, Experiment: experiment, Name: "a name", Status: Finished, Lifecycle: Active,
		Start: 1738000000000, End: 1738000009000, Dir: experiment + "/" + runID,
		ArtifactURI: "file:///home/writer/mlruns/" + experiment + "/" + runID + "/artifacts",
	}
	with := func(change func(*Run)) Run { r := full; change(&r); return r }
	replace := func(old, new string) string { return strings.Replace(runMeta(runID), old, new, 1) }
	for _, c := range []struct {
		name, meta string
		files      map[string]string
		want       Run
		err        string
	}{
		{name: "as MLflow 2 writes it", meta: runMeta(runID), want: full},
		{name: "killed", meta: replace("status: 3", "status: 5"), want: with(func(r *Run) { r.Status = Killed })},
		{name: "running", meta: replace("status: 3", "status: 1"), want: with(func(r *Run) { r.Status = Running })},
		{name: "no end", meta: replace("end_time: 1738000009000", "end_time: null"), want: with(func(r *Run) { r.End = 0 })},
		{name: "deleted", meta: replace("stage: active", "stage: deleted") + "deleted_time: 5\n", want: with(func(r *Run) { r.Lifecycle = Deleted })},
		{name: "a number for the experiment", meta: replace("'"+experiment+"'", experiment), want: full},
		{name: "unknown keys of later versions", meta: runMeta(runID, "outputs: {a: [1, 2]}", "x: ~"), want: full},
		{
			name: "oldest", meta: "run_uuid: " + runID + "\nname: old\nstart_time: 7\n",
			want: Run{ID: runID, Experiment: experiment, Name: "old", Status: Running, Lifecycle: Active, Start: 7, Dir: full.Dir},
		},
		{
			name: "name in the tag", meta: "run_uuid: " + runID + "\nname: ''\nstatus: 3\n",
			files: map[string]string{"tags/mlflow.runName": "from the tag"},
			want:  Run{ID: runID, Experiment: experiment, Name: "from the tag", Status: Finished, Lifecycle: Active, Dir: full.Dir},
		},
		{name: "nothing but the directory's name", meta: "{}\n", want: Run{ID: runID, Experiment: experiment, Status: Running, Lifecycle: Active, Dir: full.Dir}},
		{name: "not YAML", meta: "run_id: [unclosed\n\tstatus: {", err: "not YAML"},
		{name: "empty", meta: "", err: "empty"},
		{name: "comment only", meta: "# nothing\n", err: "not "},
		{name: "a list", meta: "- run_id\n", err: "not a YAML mapping"},
		{name: "two documents", meta: "run_id: " + runID + "\n---\nrun_id: x\n", err: "not YAML"},
		{name: "key twice", meta: runMeta(runID, "status: 4"), err: "twice"},
		{name: "copied run", meta: runMeta("ffffffffffffffffffffffffffffffff"), err: "the directory is named"},
		{name: "moved run", meta: replace("'"+experiment+"'", "'1'"), err: "the run lies in"},
		{name: "unknown status", meta: replace("status: 3", "status: 9"), err: "none of 1 to 5"},
		{name: "status in words", meta: replace("status: 3", "status: FINISHED"), err: "no whole number"},
		{name: "unknown stage", meta: replace("stage: active", "stage: asleep"), err: "neither active nor deleted"},
		{name: "name is a list", meta: replace("run_name: a name", "run_name: [a]"), err: "no single value"},
		{name: "far too long", meta: runMeta(runID) + "# " + strings.Repeat("x", maxMeta), err: "longer than"},
		{name: "not UTF-8", meta: replace("a name", "a \xff name"), err: "not YAML"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{full.Dir + "/meta.yaml": c.meta}
			for name, content := range c.files {
				files[full.Dir+"/"+name] = content
			}
			s, _ := open(t, files)
			got := onlyRun(t, s)
			if c.err != "" {
				if got.Err == nil || !strings.Contains(got.Err.Error(), c.err) || !strings.Contains(got.Err.Error(), runID) {
					t.Errorf("error %v; want it to name the run and say %q", got.Err, c.err)
				}
				got.Err = nil
				c.want = Run{ID: runID, Experiment: experiment, Dir: full.Dir}
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreUnexported(Run{})); diff != "" {
				t.Errorf("run (-want +got):\n%s", diff)
			}
		})
	}
}

// PyYAML writes these ids without quotes, or with; to YAML 1.2 both are numbers.
func TestRunIDsThatLookLikeNumbers(t *testing.T) {
	for _, id := range []string{"12345678901234567890123456789012", "1234567890e123456789012345678901", "00000000000000000000000000000010"} {
		s, _ := open(t, map[string]string{experiment + "/" + id + "/meta.yaml": runMeta(id)})
		if r := onlyRun(t, s); r.Err != nil || r.ID != id {
			t.Errorf("run %s: %q, %v", id, r.ID, r.Err)
		}
	}
}

func TestRunsSkipsWhatIsNoRun(t *testing.T) {
	s, root := open(t, map[string]string{
		experiment + "/" + runID + "/meta.yaml": runMeta(runID),
		experiment + "/tags/meta.yaml":          "x: 1\n",
		experiment + "/datasets/meta.yaml":      "x: 1\n",
		experiment + "/traces/meta.yaml":        "x: 1\n",
		experiment + "/models/meta.yaml":        "x: 1\n",
		experiment + "/.trash/meta.yaml":        "x: 1\n",
		experiment + "/nometa/artifacts/x":      "x",
		experiment + "/stray.txt":               "x",
	})
	onlyRun(t, s)

	// A link to a run outside and a meta.yaml that is a pipe are runs with an error.
	outside := t.TempDir()
	write(t, outside, map[string]string{"meta.yaml": runMeta("leaves")})
	if err := os.Symlink(outside, filepath.Join(root, experiment, "leaves")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(root, experiment, "pipe"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, experiment, "pipe", "meta.yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	runs, err := s.Runs(t.Context(), onlyExperiment(t, s))
	if err != nil || len(runs) != 3 {
		t.Fatalf("runs %v, %v", runs, err)
	}
	if !errors.Is(runs[1].Err, ErrLeaves) {
		t.Errorf("link out of the store: %v", runs[1].Err)
	}
	if runs[2].Err == nil || !strings.Contains(runs[2].Err.Error(), "not a regular file") {
		t.Errorf("pipe: %v", runs[2].Err)
	}
}

func TestParamsAndTags(t *testing.T) {
	dir := experiment + "/" + runID
	s, root := open(t, map[string]string{
		dir + "/meta.yaml":             runMeta(runID),
		dir + "/params/model_name":     "CatBoost",
		dir + "/params/empty":          "",
		dir + "/params/lines":          "['a'\n 'b']",
		dir + "/params/nested/key/one": "1",
		dir + "/tags/mlflow.user":      "writer",
		dir + "/tags/a/b":              "c",
	})
	r := onlyRun(t, s)
	got, err := s.Params(t.Context(), r)
	want := map[string]string{"model_name": "CatBoost", "empty": "", "lines": "['a'\n 'b']", "nested/key/one": "1"}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("all params: %v (-want +got):\n%s", err, diff)
	}
	got, err = s.Params(t.Context(), r, "model_name", "nested/key/one", "absent", "nested", "model_name/below")
	want = map[string]string{"model_name": "CatBoost", "nested/key/one": "1"}
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory read as a param: %v, %v", got, err)
	}
	got, err = s.Params(t.Context(), r, "model_name", "nested/key/one", "absent", "model_name/below")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("named params: %v (-want +got):\n%s", err, diff)
	}
	if got, err := s.Tags(t.Context(), r); len(got) != 2 || got["a/b"] != "c" || err != nil {
		t.Errorf("tags = %v, %v", got, err)
	}
	if v, ok, err := s.tag(r, "mlflow.user"); v != "writer" || !ok || err != nil {
		t.Errorf("tag = %q, %v, %v", v, ok, err)
	}
	for _, key := range []string{"", ".", "..", "../params/model_name", "/etc/hostname", "a//b"} {
		if _, _, err := s.tag(r, key); err == nil {
			t.Errorf("the tag %q is no error", key)
		}
	}
	write(t, root, map[string]string{dir + "/params/latin1": "\xe4"})
	if _, err := s.Params(t.Context(), r, "latin1"); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("param that is not UTF-8: %v", err)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(root, dir, "params", "out")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Params(t.Context(), r, "out"); !errors.Is(err, ErrLeaves) {
		t.Errorf("param that is a link out of the store: %v", err)
	}
	if _, err := s.Params(t.Context(), r); err == nil {
		t.Error("all params with a link out of the store: no error")
	}
}

func TestMetrics(t *testing.T) {
	dir := experiment + "/" + runID + "/metrics/"
	s, root := open(t, map[string]string{
		experiment + "/" + runID + "/meta.yaml": runMeta(runID),
		dir + "AUROC":                           "1700000000000 0.5 0\n1700000000001 0.91 1\n1700000000000 0.7 0\n",
		dir + "x/nested":                        "1700000000000 1e-05 0\n",
		dir + "old":                             "1700000000000 0.25\n1700000000005 0.5\n", // no step
		dir + "new":                             "1700000000000 0.75 2 dataset digest\n",   // more fields
		dir + "inf":                             "1700000000000 inf 0\n",
		dir + "minus":                           "1700000000000 -inf 0\n",
		dir + "nan":                             "1700000000000 nan 0\n",
		dir + "huge":                            "1700000000000 1e999 0\n",
		dir + "same":                            "5 0.1 3\n5 0.3 3\n5 0.2 3\n", // then the largest value
		dir + "empty":                           "",
	})
	got, err := s.Metrics(t.Context(), onlyRun(t, s))
	want := map[string]Metric{
		"AUROC": {0.91, 1, 1700000000001}, "x/nested": {1e-05, 0, 1700000000000}, "old": {0.5, 0, 1700000000005},
		"new": {0.75, 2, 1700000000000}, "inf": {math.Inf(1), 0, 1700000000000}, "minus": {math.Inf(-1), 0, 1700000000000},
		"nan": {math.NaN(), 0, 1700000000000}, "huge": {math.Inf(1), 0, 1700000000000}, "same": {0.3, 3, 5},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateNaNs()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	got, err = s.Metrics(t.Context(), onlyRun(t, s), "AUROC", "x/nested", "absent", "absent/nested", "old/nested")
	if diff := cmp.Diff(map[string]Metric{"AUROC": want["AUROC"], "x/nested": want["x/nested"]}, got); diff != "" || err != nil {
		t.Errorf("named metrics: %v (-want +got):\n%s", err, diff)
	}
	for _, bad := range []string{"1700000000000\n", "x 0.5 0\n", "1 a 0\n", "1 0.5 b\n", "99999999999999999999 0.5 0\n", "1 0.5 99999999999999999999\n"} {
		write(t, root, map[string]string{dir + "AUROC": bad})
		if _, err := s.Metrics(t.Context(), onlyRun(t, s)); err == nil || !strings.Contains(err.Error(), "AUROC") || !strings.Contains(err.Error(), runID) {
			t.Errorf("the metric file %q: %v", bad, err)
		}
	}
}

func TestStatusStrings(t *testing.T) {
	want := []string{"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", "status 6"}
	for i, w := range want {
		if got := Status(i + 1).String(); got != w {
			t.Errorf("Status(%d) = %q, want %q", i+1, got, w)
		}
	}
}

// meta.yaml comes from other people's programs: no content may panic.
func FuzzMeta(f *testing.F) {
	for _, seed := range []string{runMeta(runID), "", "a: b", "- x", "a: &x [*x]", "run_id: [unclosed\n\tstatus: {", "? a\n: b", "!!binary x: y", "status: 99999999999999999999", "a: b: c", "a: 'x'\nb: []\nc: null\n", "a: /x/y z\n", "a: Null\n", "a: 0x1F\n", "a: b\n c\n", "a: b\na: b\n", "a: b -\n", "y: ''\n", "a: 1:2\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMeta(data)
		// What is read without a YAML parser is what that would have read.
		if slow, slowErr := yamlMeta(data); (err == nil) != (slowErr == nil) || !maps.Equal(m, slow) {
			t.Fatalf("%q gives %v, %v; to YAML it is %v, %v", data, m, err, slow, slowErr)
		}
		if err != nil {
			return
		}
		r := Run{ID: runID, Experiment: experiment}
		if err := r.fill(m); err == nil && (r.Status < Running || r.Status > Killed || r.Lifecycle != Active && r.Lifecycle != Deleted) {
			t.Errorf("%q gives %+v", data, r)
		}
	})
}
