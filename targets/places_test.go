package targets

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// placedStore is a store with one classification run whose artifacts lie in an
// artifact_location; it returns the study and what writes the metadata anew.
func placedStore(t *testing.T) (s *study, locate func(location string)) {
	t.Helper()
	const experiment, run = "253", "0123456789abcdef0123456789abcdef"
	const name = "CATBOOST_eval-auc__simple1.0__SAITS__LOF"
	base := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"one", "two"} {
		write(filepath.Join(base, dir, run, "artifacts/metrics/metrics_"+name+".pickle"), dir)
	}
	locate = func(location string) {
		location = filepath.Join(base, location)
		write(filepath.Join(base, "mlruns", experiment, "meta.yaml"), "name: PLR_Classification\nartifact_location: "+location+"\n")
		write(filepath.Join(base, "mlruns", experiment, run, "meta.yaml"), "status: 3\nrun_name: "+name+"\nartifact_uri: "+location+"/"+run+"/artifacts\n")
	}
	locate("one")
	work := filepath.Join(base, "work")
	if err := os.MkdirAll(filepath.Join(work, "configs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(work, "configs/defaults.yaml"), "STUDY: own\n")
	registry, err := os.ReadFile("../configs/registry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write(filepath.Join(work, "configs/registry.yaml"), string(registry))
	getenv := func(name string) string {
		return map[string]string{"MLFLOW_TRACKING_URI": filepath.Join(base, "mlruns")}[name]
	}
	settings, err := config.Load(work, getenv)
	if err != nil {
		t.Fatal(err)
	}
	return &study{settings: settings, gate: new(gate), stdout: io.Discard, workspace: work}, locate
}

func has(t *testing.T, s *study) {
	t.Helper()
	if ok, err := s.hasStore(); err != nil || !ok {
		t.Fatalf("%v, %v", ok, err)
	}
}

// A store whose artifacts are in another place than when the build began is not read.
func TestPlacesThatChange(t *testing.T) {
	for name, change := range map[string]func(s *study, locate func(string)){
		"nothing":             func(*study, func(string)) {},
		"the location":        func(_ *study, locate func(string)) { locate("two") },
		"no location":         func(_ *study, locate func(string)) { locate("three") },
		"the location, early": nil,
		"the place goes": func(s *study, _ func(string)) {
			if err := os.RemoveAll(s.outside()[0].Dir); err != nil {
				t.Fatal(err)
			}
		},
		"the experiment goes": func(s *study, _ func(string)) {
			here := filepath.Join(s.settings.StorePath, "253")
			if err := errors.Join(os.MkdirAll(filepath.Join(s.settings.StorePath, ".trash"), 0o755), os.Rename(here, filepath.Join(s.settings.StorePath, ".trash/253"))); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, locate := placedStore(t)
			if change == nil { // there was none, and now there is
				locate("three")
				has(t, s)
				if len(s.outside()) > 0 {
					t.Fatalf("places %v", s.outside())
				}
				locate("one")
			} else {
				has(t, s)
				if got := s.outside(); len(got) != 1 || filepath.Base(got[0].Dir) != "one" {
					t.Fatalf("places %v", got)
				}
				change(s, locate)
			}
			files, err := mlflow.OpenFiles(s.settings.StorePath, s.outside()...)
			if err != nil {
				t.Fatal(err)
			}
			defer files.Close()
			err = s.checkPlaces(context.Background(), files, "253")
			if want := name != "nothing"; errors.Is(err, errChanged) != want || !want && err != nil {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A step that lists the runs is of what the store said of places when it was declared:
// the place itself stands in no key.
func TestPlacesInTheKey(t *testing.T) {
	s, locate := placedStore(t)
	said := map[string]bool{}
	for _, location := range []string{"one", "two", "three"} {
		locate(location)
		s.places = nil
		has(t, s)
		said[s.places.said] = true
		params := s.index().Params
		if params["places"] != s.places.said {
			t.Errorf("parameters %v", params)
		}
	}
	if len(said) != 3 {
		t.Errorf("%d digests of three locations", len(said))
	}
	// What is below it is private, and its names count.
	locate("one")
	s.places = nil
	has(t, s)
	inputs := ""
	for _, in := range s.index().Inputs {
		inputs += in.String() + "\n"
	}
	if root := s.roots()[rootArtifacts]; !root.Private || filepath.Base(root.Path) != "one" {
		t.Errorf("root %+v", root)
	}
	contains(t, inputs, "names of artifacts:"+strings.Repeat("?", 32)+"/artifacts/metrics/*")
}

// The files of a run are those of its place.
func TestFilesOfPlaces(t *testing.T) {
	s, _ := placedStore(t)
	for place, root := range []string{"store", "artifacts", "artifacts-2"} {
		run := &extract.IndexedRun{Place: place, Artifact: "x/artifacts/metrics/metrics_[a].pickle"}
		if got := s.pickleOf(run).String(); got != root+":"+run.Artifact {
			t.Errorf("pickle %s", got)
		}
		if got := s.codesOf(run).String(); got != root+`:x/artifacts/dict_arrays/dictArrays_\[a\].pickle` {
			t.Errorf("codes %s", got)
		}
	}
}

// The step that lists the runs fails when their place is not the one that was declared,
// although the names there are the same, and does not become fresh by the record of it.
func TestIndexOfAnotherPlace(t *testing.T) {
	s, locate := placedStore(t)
	s.code = func([]string) (string, error) { return "code", nil }
	var said strings.Builder
	s.stdout = &said
	declared := func() *build.Graph {
		t.Helper()
		s.places = nil
		has(t, s)
		graph, err := s.graph([]build.Step{s.index()})
		if err != nil {
			t.Fatal(err)
		}
		return graph
	}
	build := func(graph *build.Graph) error {
		said.Reset()
		_, err := graph.Build(t.Context(), "index")
		return err
	}
	for _, location := range []string{"one", "two"} {
		locate(location)
		if err := build(declared()); err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
	}
	locate("two")
	graph := declared()
	locate("one") // as it was once
	if err := build(graph); err == nil {
		t.Errorf("no error:\n%s", said.String())
	}
	contains(t, said.String(), errChanged.Error())
	if err := build(declared()); err != nil {
		t.Error(err)
	}
	contains(t, said.String(), "1 fresh, 0 ran")
}

// What was listed of a place that the store names is not believed of one that the user
// names, which counts for other runs.
func TestIndexOfAGivenPlace(t *testing.T) {
	s, _ := placedStore(t)
	s.code = func([]string) (string, error) { return "code", nil }
	base := filepath.Dir(s.workspace)
	meta := filepath.Join(base, "mlruns/253/0123456789abcdef0123456789abcdef/meta.yaml")
	text, err := os.ReadFile(meta)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(meta, []byte(strings.Replace(string(text), "/one/", "/elsewhere/", 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	verdict := func() extract.Verdict {
		t.Helper()
		s.places = nil
		has(t, s)
		graph, err := s.graph([]build.Step{s.index()})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := graph.Build(t.Context(), "index"); err != nil {
			t.Fatal(err)
		}
		var index extract.Index
		if err := extract.Read(filepath.Join(s.settings.PrivateDir, indexFile), &index); err != nil {
			t.Fatal(err)
		}
		return index.Runs[0].Verdict
	}
	if got := verdict(); got != extract.NoArtifact || len(s.outside()) != 1 {
		t.Errorf("%s in %v", got, s.outside())
	}
	// The same place, called by the user.
	s.settings.ArtifactRoot = base
	if got := verdict(); got != extract.Used || len(s.outside()) != 1 {
		t.Errorf("%s in %v", got, s.outside())
	}
	s.settings.ArtifactRoot = ""
	if got := verdict(); got != extract.NoArtifact {
		t.Errorf("%s in %v", got, s.outside())
	}
	// The same names in a place of the user.
	s.settings.ArtifactRoot = filepath.Join(base, "root")
	if err := errors.Join(os.Mkdir(s.settings.ArtifactRoot, 0o755), os.Rename(filepath.Join(base, "one"), filepath.Join(base, "root/one"))); err != nil {
		t.Fatal(err)
	}
	if got := verdict(); got != extract.Used || len(s.outside()) != 1 {
		t.Errorf("%s in %v", got, s.outside())
	}
}

// A place that holds what a build writes, or lies among it, is not looked at, and the
// store is read all the same.
func TestPlacesAmongResults(t *testing.T) {
	for _, location := range []string{"", "work", "work/data", "work/data/private/kept", "work/figures", "work/outputs/kept", "work/.cache"} {
		t.Run(location, func(t *testing.T) {
			s, locate := placedStore(t)
			locate(location)
			if err := os.MkdirAll(filepath.Join(filepath.Dir(s.workspace), location), 0o755); err != nil {
				t.Fatal(err)
			}
			has(t, s)
			if len(s.outside()) > 0 || len(s.places.refused) != 1 || s.places.refused[0].Err == nil {
				t.Errorf("used %v, refused %v", s.outside(), s.places.refused)
			}
		})
	}
	// What a link leads to counts.
	s, locate := placedStore(t)
	locate("link")
	if err := os.Symlink("work", filepath.Join(filepath.Dir(s.workspace), "link")); err != nil {
		t.Fatal(err)
	}
	has(t, s)
	if len(s.outside()) > 0 {
		t.Errorf("used %v", s.outside())
	}

	s, locate = placedStore(t)
	locate("work/artifacts")
	if err := os.MkdirAll(filepath.Join(s.workspace, "artifacts"), 0o755); err != nil {
		t.Fatal(err)
	}
	has(t, s)
	if len(s.outside()) != 1 {
		t.Errorf("beside the results: used %v, refused %v", s.outside(), s.places.refused)
	}
}
