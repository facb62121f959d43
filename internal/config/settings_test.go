package config

import (
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// workspace makes a workspace with a settings file ("" for the project's own)
// and empty files.
func workspace(t *testing.T, settings string, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	if settings == "" {
		data, err := os.ReadFile("../../" + defaultsFile)
		if err != nil {
			t.Fatal(err)
		}
		settings = string(data)
	}
	for _, name := range append(files, defaultsFile) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		content := ""
		if name == defaultsFile {
			content = settings
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func environment(pairs ...string) func(string) string {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return env[name] }
}

func TestExampleByDefault(t *testing.T) {
	dir := workspace(t, "")
	got, err := Load(dir, environment())
	if err != nil {
		t.Fatal(err)
	}
	results := filepath.Join(dir, "data/synthetic/results")
	want := &Settings{
		Study:        Example,
		StudyWhy:     "Study: example (synthetic), because no tracking store is configured and there is no data/public/foundation_plr_results.db; set MLFLOW_TRACKING_URI for your own.",
		ConfigPath:   filepath.Join(dir, "configs/defaults.yaml"),
		RegistryPath: filepath.Join(dir, "configs/registry.yaml"),
		StorePath:    filepath.Join(dir, "data/synthetic/store/example/mlruns"),
		SourceDB:     filepath.Join(dir, "data/synthetic/store/example/SERI_PLR_GLAUCOMA.db"),
		Results:      results,
		PublicDB:     filepath.Join(results, "data/public/foundation_plr_results.db"),
		PrivateDir:   filepath.Join(results, "data/private"),
		Estimand:     OverModels,
		Thresholds:   []float64{0.05, 0.10, 0.15, 0.20},
		MID:          0.05,

		SubjectTables: true,

		Flows: flowsOf(t, Example),

		Jobs:        runtime.GOMAXPROCS(0),
		MemoryBytes: 512 << 20,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Settings{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	if l, err := got.Store(); l != (mlflow.Location{Kind: mlflow.Directory, Path: want.StorePath}) || err != nil {
		t.Errorf("Store() = %v, %v", l, err)
	}
}

// The settings file of the project says what holds when it says nothing.
func TestDefaultsAreTheBuiltIn(t *testing.T) {
	f := builtin()
	if err := readStrict("../../"+defaultsFile, &f); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(builtin(), f, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("built-in and configs/defaults.yaml (-built-in +file):\n%s", diff)
	}
	for _, empty := range []string{"", "# nothing\n", "MLFLOW:\nANALYSIS:\nBUILD:\n"} {
		s, err := Load(workspace(t, empty+"\n"), environment())
		if err != nil || s.Estimand != OverModels || s.MemoryBytes != 512<<20 || len(s.Thresholds) != 4 {
			t.Errorf("settings %q: %+v, %v", empty, s, err)
		}
	}
}

// Every key that a settings file may hold stands in configs/defaults.yaml.
func TestDefaultsNameEveryKey(t *testing.T) {
	data, err := os.ReadFile("../../" + defaultsFile)
	if err != nil {
		t.Fatal(err)
	}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for i := range typ.NumField() {
			field := typ.Field(i)
			if key := field.Tag.Get("yaml"); !strings.Contains(string(data), key+":") {
				t.Errorf("configs/defaults.yaml does not mention %s", key)
			}
			if field.Type.Kind() == reflect.Struct {
				look(field.Type)
			}
		}
	}
	look(reflect.TypeFor[file]())
}

const ownSettings = `STUDY: ""
MLFLOW:
  TRACKING_URI: stores/mlruns
  EXPERIMENT: PLR_Classification
PATHS:
  SOURCE_DB: in/source.db
  PUBLIC_DB: out/public.db
  PRIVATE_DIR: secret
EXTRACTION:
  exclude_runs:
    - {run: abc, reason: wrong split}
  demo_subjects: [H012, G003]
ANALYSIS:
  ESTIMAND: mean_risk
  THRESHOLDS: [0.01, 0.05, 0.1, 0.15, 0.2, 0.5]
  MID: 0.02
PRIVACY:
  ROUND_RISKS: 3
  BOOTSTRAP_RISKS: true
BUILD:
  JOBS: 3
  MEMORY: 1GiB
`

func TestOwnFromFile(t *testing.T) {
	dir := workspace(t, ownSettings)
	got, err := Load(dir, environment())
	if err != nil {
		t.Fatal(err)
	}
	want := &Settings{
		Study: Own, StudyWhy: "Study: own, because defaults.yaml names a tracking store.",
		ConfigPath: filepath.Join(dir, "configs/defaults.yaml"), RegistryPath: filepath.Join(dir, "configs/registry.yaml"),
		TrackingURI: "stores/mlruns", StorePath: filepath.Join(dir, "stores/mlruns"), Experiment: "PLR_Classification",
		SourceDB: filepath.Join(dir, "in/source.db"), PublicDB: filepath.Join(dir, "out/public.db"),
		PrivateDir: filepath.Join(dir, "secret"), Results: dir,
		Exclude: []ExcludedRun{{"abc", "wrong split"}}, DemoSubjects: []string{"H012", "G003"},
		Estimand: MeanRisk, Thresholds: []float64{0.01, 0.05, 0.1, 0.15, 0.2, 0.5}, MID: 0.02, SubjectTables: true, RoundRisks: 3, BootstrapRisks: true, Jobs: 3, MemoryBytes: 1 << 30,
		Flows: flowsOf(t, Own),
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Settings{})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestEnvironmentWins(t *testing.T) {
	dir := workspace(t, ownSettings)
	got, err := Load(dir, environment(
		"MLFLOW_TRACKING_URI", "file:///data/my%20runs", "PLR_SOURCE_DB", "/in/s.db", "PLR_PUBLIC_DB", "/out/p.db",
		"PLR_PRIVATE_DIR", "/secret", "JOBS", "7", "FORCE", "figure:*", "DRY_RUN", "1"))
	if err != nil {
		t.Fatal(err)
	}
	seen := []any{got.TrackingURI, got.StorePath, got.SourceDB, got.PublicDB, got.PrivateDir, got.Jobs, got.Force, got.DryRun, got.StudyWhy}
	want := []any{"file:///data/my%20runs", "/data/my runs", "/in/s.db", "/out/p.db", "/secret", 7, []string{"figure:*"}, true,
		"Study: own, because MLFLOW_TRACKING_URI is set."}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
	for value, force := range map[string][]string{"": nil, "0": nil, "1": {"*"}, "true": {"*"}, "run:*": {"run:*"}, "run:*,lock": {"run:*", "lock"}} {
		if s, err := Load(dir, environment("FORCE", value)); err != nil || !slices.Equal(s.Force, force) {
			t.Errorf("FORCE=%s gives %+v, %v", value, s, err)
		}
	}
	for _, name := range []string{"DRY_RUN", "FAIL_FAST", "NOWAIT", "AUDIT", "FROZEN", "LOG_FORMAT"} {
		if _, err := Load(dir, environment(name, "perhaps")); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=perhaps gives %v", name, err)
		}
	}
	other := workspace(t, "ANALYSIS: {ESTIMAND: mean_risk}\n")
	if err := os.Rename(filepath.Join(other, defaultsFile), filepath.Join(other, "mine.yaml")); err != nil {
		t.Fatal(err)
	}
	if s, err := Load(other, environment("PLR_CONFIG", "mine.yaml")); err != nil || s.Estimand != MeanRisk {
		t.Errorf("PLR_CONFIG: %+v, %v", s, err)
	}
}

func TestWhichStudy(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings string
		files    []string
		env      []string
		study    string
		why      string
	}{
		{name: "nothing", study: Example, why: "no tracking store"},
		{name: "STUDY=own", env: []string{"STUDY", "own"}, study: Own, why: "STUDY says so."},
		{name: "STUDY=example in spite of a URI", env: []string{"STUDY", "example", "MLFLOW_TRACKING_URI", "/x", "PLR_PRIVATE_DIR", "/p"}, study: Example,
			why: "STUDY says so; not used for the example: MLFLOW_TRACKING_URI, PLR_PRIVATE_DIR."},
		{name: "STUDY in the file", settings: "STUDY: own\n", study: Own, why: "STUDY in defaults.yaml says so."},
		{name: "the environment's STUDY wins", settings: "STUDY: own\n", env: []string{"STUDY", "example"}, study: Example, why: "STUDY says so."},
		{name: "URI", env: []string{"MLFLOW_TRACKING_URI", "/x"}, study: Own, why: "MLFLOW_TRACKING_URI is set."},
		{name: "URI that cannot be read", env: []string{"MLFLOW_TRACKING_URI", "http://x"}, study: Own, why: "MLFLOW_TRACKING_URI is set."},
		{name: "URI in the file", settings: "MLFLOW: {TRACKING_URI: x}\n", study: Own, why: "defaults.yaml names a tracking store."},
		{name: "public database", files: []string{publicFile}, study: Own, why: "its public database exists."},
		{name: "public database elsewhere", files: []string{"my.db"}, env: []string{"PLR_PUBLIC_DB", "my.db"}, study: Own, why: "PLR_PUBLIC_DB is set."},
		{name: "public database elsewhere, missing", env: []string{"PLR_PUBLIC_DB", "my.db"}, study: Own, why: "PLR_PUBLIC_DB is set."},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Load(workspace(t, c.settings, c.files...), environment(c.env...))
			if err != nil {
				t.Fatal(err)
			}
			if s.Study != c.study || !strings.Contains(s.StudyWhy, c.why) || !strings.Contains(s.StudyWhy, "Study: "+c.study) {
				t.Errorf("%s: %q; want %s and %q", s.Study, s.StudyWhy, c.study, c.why)
			}
			if c.study == Example && (s.TrackingURI != "" || !strings.Contains(s.StorePath, "synthetic") || !strings.Contains(s.PrivateDir, "synthetic")) {
				t.Errorf("the example takes the study's own places: %+v", s)
			}
		})
	}
}

func TestStores(t *testing.T) {
	dir := workspace(t, "")
	for _, c := range []struct {
		uri, want string
		kind      mlflow.Kind
	}{
		{"sqlite:///mlflow.db", filepath.Join(dir, "mlflow.db"), mlflow.Database},
		{"sqlite:////data/mlflow.db", "/data/mlflow.db", mlflow.Database},
		{"https://ada:secret@host:5000/x/", "https://host:5000/x", mlflow.Server},
		{"stores/mlruns", filepath.Join(dir, "stores/mlruns"), mlflow.Directory},
	} {
		s, err := Load(dir, environment("MLFLOW_TRACKING_URI", c.uri))
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Store()
		if err != nil || l.String() != c.want || l.Kind != c.kind || (s.StorePath != "") != (c.kind == mlflow.Directory) {
			t.Errorf("%s: Store() = %v of kind %v, %v, directory %q", c.uri, l, l.Kind, err, s.StorePath)
		}
	}
	for _, uri := range []string{"sqlite:///mlflow.db", "mlruns"} {
		s, err := Load(dir, environment("MLFLOW_TRACKING_URI", uri, "PLR_ARTIFACT_ROOT", "artifacts"))
		if err != nil || s.ArtifactRoot != filepath.Join(dir, "artifacts") || s.storeErr != nil {
			t.Errorf("%s: artifact root %q, %v, %v", uri, s.ArtifactRoot, err, s.storeErr)
		}
	}
}

func TestStoreErrors(t *testing.T) {
	for _, c := range []struct {
		env  []string
		want []string
	}{
		{[]string{"STUDY", "own"}, []string{"no tracking store is configured", "MLFLOW_TRACKING_URI", mlflow.Accepted}},
		{[]string{"MLFLOW_TRACKING_URI", "postgresql://ada:secret@host/mlflow"}, []string{"postgresql://…@host/mlflow", "start a tracking server", mlflow.Accepted}},
		{[]string{"MLFLOW_TRACKING_URI", "http://host", "PLR_ARTIFACT_ROOT", "/x"}, []string{"PLR_ARTIFACT_ROOT", "is for file stores and SQLite stores"}},
		{[]string{"MLFLOW_TRACKING_URI", "file://server/mlruns"}, []string{"server", mlflow.Accepted}},
	} {
		s, err := Load(workspace(t, ""), environment(c.env...))
		if err != nil {
			t.Fatal(err) // an analysis needs no store
		}
		l, err := s.Store()
		if err == nil || l.Kind != mlflow.Nowhere || s.StorePath != "" {
			t.Errorf("%v: Store() = %v, %v", c.env, l, err)
			continue
		}
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: the error %q holds a password", c.env, err)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: error %q lacks %q", c.env, err, want)
			}
		}
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct {
		name, settings string
		env            []string
		want           string
	}{
		{name: "keys for a list", settings: "EXTRACTION:\n  exclude_runs: {a: b}\n", want: "defaults.yaml:2: EXTRACTION.exclude_runs must be a list, and is keys with values"},
		{name: "text for a list", settings: "EXTRACTION:\n  demo_subjects: secret\n", want: "defaults.yaml:2: EXTRACTION.demo_subjects must be a list, and is a text"},
		{name: "text for a switch", settings: "PREFECT:\n  PROCESS_FLOWS:\n    IMPUTATION: maybe\n", want: "defaults.yaml:3: PREFECT.PROCESS_FLOWS.IMPUTATION must be true or false, and is \"maybe\""},
		{name: "misspelt key", settings: "EXTRACTION:\n  exclude_run: []\n", want: "defaults.yaml:2: unknown key EXTRACTION.exclude_run; the nearest known key is EXTRACTION.exclude_runs"},
		{name: "lower case group", settings: "mlflow: {}\n", want: "nearest known key is MLFLOW"},
		{name: "key of an entry", settings: "EXTRACTION: {exclude_runs: [{id: x}]}\n", want: "EXTRACTION.exclude_runs.run"},
		{name: "key twice", settings: "STUDY: own\nSTUDY: example\n", want: "STUDY"},
		{name: "wrong type", settings: "BUILD: {JOBS: many}\n", want: "many"},
		{name: "list for a group", settings: "BUILD: [1]\n", want: "defaults.yaml"},
		{name: "not YAML", settings: "BUILD: [1\n", want: "defaults.yaml"},
		{name: "decimals", settings: "PRIVACY: {ROUND_RISKS: 7}\n", want: "accepted are 1 to 6 decimals, and 0 for all"},
		{name: "decimals below", settings: "PRIVACY: {ROUND_RISKS: -1}\n", want: "accepted are 1 to 6 decimals, and 0 for all"},
		{name: "refits without subjects", settings: "PRIVACY: {SUBJECT_TABLES: false, BOOTSTRAP_RISKS: true}\n", want: "risks of single subjects"},
		{name: "estimand", settings: "ANALYSIS: {ESTIMAND: mean}\n", want: "accepted are over_models and mean_risk"},
		{name: "threshold of 1", settings: "ANALYSIS: {THRESHOLDS: [0.05, 0.1, 0.15, 0.2, 1]}\n", want: "entry 5 is 1"},
		{name: "threshold NaN", settings: "ANALYSIS: {THRESHOLDS: [.nan]}\n", want: "entry 1 is NaN"},
		{name: "thresholds descend", settings: "ANALYSIS: {THRESHOLDS: [0.05, 0.1, 0.2, 0.15]}\n", want: "entry 4 is 0.15"},
		{name: "no difference matters", settings: "ANALYSIS: {MID: 0}\n", want: "ANALYSIS.MID is 0"},
		{name: "threshold lacking", settings: "ANALYSIS: {THRESHOLDS: [0.05, 0.1, 0.2]}\n", want: "lacks 0.15"},
		{name: "exclusion without a reason", settings: "STUDY: own\nEXTRACTION: {exclude_runs: [{run: x}]}\n", want: "needs a run (id or name) and a reason"},
		{name: "exclusion twice", settings: "STUDY: own\nEXTRACTION: {exclude_runs: [{run: x, reason: a}, {run: x, reason: b}]}\n", want: "entries 1 and 2"},
		{name: "demo subject twice", settings: "STUDY: own\nEXTRACTION: {demo_subjects: [H001, H001]}\n", want: "H001 stands there twice"},
		{name: "no demo subject", settings: "STUDY: own\nEXTRACTION: {demo_subjects: [control]}\n", want: "entry 1 is no public code"},
		{name: "negative jobs", settings: "BUILD: {JOBS: -1}\n", want: "BUILD.JOBS"},
		{name: "memory", settings: "BUILD: {MEMORY: lots}\n", want: "MiB"},
		{name: "little memory", settings: "BUILD: {MEMORY: 1MB}\n", want: "64MiB"},
		{name: "study", settings: "STUDY: mine\n", want: "accepted are own, example"},
		{name: "STUDY", env: []string{"STUDY", "Own"}, want: `STUDY is "Own"`},
		{name: "JOBS=0", env: []string{"JOBS", "0"}, want: "JOBS"},
		{name: "JOBS", env: []string{"JOBS", "two"}, want: "whole number"},
		{name: "DRY_RUN", env: []string{"DRY_RUN", "perhaps"}, want: "accepted are 1 and 0"},
		{name: "no such file", env: []string{"PLR_CONFIG", "none.yaml"}, want: "none.yaml"},
		{name: "private directory is the workspace", env: []string{"STUDY", "own", "PLR_PRIVATE_DIR", "."}, want: "holds the workspace"},
		{name: "private directory above", env: []string{"STUDY", "own", "PLR_PRIVATE_DIR", "/"}, want: "holds the workspace"},
		{name: "private among figures", env: []string{"STUDY", "own", "PLR_PRIVATE_DIR", "figures/generated"}, want: "among the public files"},
		{name: "public inside private", env: []string{"STUDY", "own", "PLR_PUBLIC_DB", "data/private/x.db"}, want: "inside the private directory"},
		{name: "public over source", env: []string{"STUDY", "own", "PLR_PUBLIC_DB", "x.db", "PLR_SOURCE_DB", "./x.db"}, want: "are both"},
		{name: "public inside the store", env: []string{"MLFLOW_TRACKING_URI", "runs", "PLR_PUBLIC_DB", "runs/x.db"}, want: "only read"},
		{name: "private inside the store", env: []string{"MLFLOW_TRACKING_URI", "runs", "PLR_PRIVATE_DIR", "runs"}, want: "only read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load(workspace(t, c.settings), environment(c.env...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v; want it to say %q", err, c.want)
			}
		})
	}
	code := "PLR" + "1234"
	_, err := Load(workspace(t, "STUDY: own\nEXTRACTION: {demo_subjects: ["+code+"]}\n"), environment())
	if err == nil || strings.Contains(err.Error(), code) {
		t.Errorf("an original code among the demo subjects: %v", err)
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{"5": 5, "5B": 5, "5KB": 5000, "5KiB": 5120, "2MB": 2e6, "2MiB": 2 << 20, "3GB": 3e9, "3GiB": 3 << 30, "999999999GiB": 999999999 << 30} {
		if got, err := ParseSize(text); got != want || err != nil {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MB", "-1MB", "1.5GB", "1TB", "1 MB", "9999999999"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d", text, got)
		}
	}
}
