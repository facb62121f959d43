package extract

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// indexWith reads the index of a store that is opened with places.
func indexWith(t testing.TB, root string, places ...mlflow.Place) *Index {
	t.Helper()
	store, err := mlflow.OpenFiles(root, places...)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ReadIndex(t.Context(), store, testRegistry(t), IndexOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	return x
}

// Artifacts outside the store are named by their place and their path there.
func TestIndexOfPlaces(t *testing.T) {
	base := t.TempDir()
	root, kept, given := filepath.Join(base, "store"), filepath.Join(base, "kept"), filepath.Join(base, "root/kept")
	id := func(two string) string { return strings.Repeat(two, runIDDigits/2) }
	run := func(two, outlier string) testRun {
		return testRun{id: two, name: strings.Replace(testName, "LOF", outlier, 1), pickles: []string{}, uri: filepath.Join(kept, id(two), "artifacts")}
	}
	beside := run("01", "LOF")
	beside.pickles = nil
	damaged := run("05", "MOMENT-gt-zeroshot")
	writeStore(t, root, beside, run("02", "PROPHET"), run("03", "OneClassSVM"), run("04", "UniTS-gt-finetune"), damaged)
	writeFiles(t, kept, map[string]string{
		id("01") + "/artifacts/metrics/m.pickle": "x",
		id("02") + "/artifacts/metrics/m.pickle": "x",
		id("05") + "/artifacts/metrics/m.pickle": "x",
	})
	writeFiles(t, given, map[string]string{id("02") + "/artifacts/metrics/n.pickle": "x", id("03") + "/artifacts/metrics/n.pickle": "x"})
	if err := os.Symlink("/etc/hostname", filepath.Join(kept, id("05"), "artifacts/metrics/latest.pickle")); err != nil {
		t.Fatal(err)
	}
	type found struct {
		Verdict  Verdict
		Place    int
		Artifact string
	}
	got := map[string]found{}
	x := indexWith(t, root, mlflow.Place{Dir: kept, Named: true}, mlflow.Place{Dir: given, Given: true})
	file := filepath.Join(t.TempDir(), "index.cbor")
	if err := Write(file, x); err != nil {
		t.Fatal(err)
	}
	if x.Base != root {
		t.Errorf("base %s", x.Base)
	}
	x = new(Index)
	if err := Read(file, x); err != nil {
		t.Fatal(err)
	}
	for _, r := range x.Runs {
		got[r.RunID] = found{r.Verdict, r.Place, r.Artifact}
	}
	want := map[string]found{
		id("01"): {Used, 0, classificationID + "/" + id("01") + "/artifacts/metrics/metrics_" + testName + ".pickle"},
		id("02"): {Used, 1, id("02") + "/artifacts/metrics/m.pickle"},
		id("03"): {Used, 2, id("03") + "/artifacts/metrics/n.pickle"},
		id("04"): {NoArtifact, 0, ""},
		id("05"): {Unreadable, 0, ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever happens in a place, the index is another one only where names are others, or
// stand for something else, that PlaceInputs declares. So it is in a run directory of the
// store, whose other files stay.
func TestArtifactNamesAreAll(t *testing.T) {
	id := strings.Repeat("01", runIDDigits/2)
	_, inStore := IndexInputs(config.Stages())
	for _, name := range []string{"", "/artifacts", "/artifacts/metrics", "/artifacts/metrics/x"} {
		if !matches(t, PlaceInputs(), id+name) || name != "" && !matches(t, inStore, "7/"+id+name) {
			t.Errorf("%q does not count", name)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		base := t.TempDir()
		root, kept := filepath.Join(base, "store"), filepath.Join(base, "kept")
		place := mlflow.Place{Dir: kept, Named: rapid.Bool().Draw(r, "named"), Given: rapid.Bool().Draw(r, "given")}
		uri := rapid.SampledFrom([]string{filepath.Join(kept, id, "artifacts"), "s3://bucket/" + id + "/artifacts"}).Draw(r, "artifact_uri")
		writeStore(t, root, testRun{id: "01", pickles: []string{}, uri: uri})
		writeFiles(t, base, map[string]string{"out/artifacts/metrics/m.pickle": "x", "out/metrics/m.pickle": "x", "out/m.pickle": "x"})
		if err := os.Mkdir(filepath.Join(base, "out/empty"), 0o700); err != nil {
			r.Fatal(err)
		}
		// fill puts something in the place of a path: nothing, a directory, or a link.
		var fill func(label, path string, deeper []string)
		fill = func(label, path string, deeper []string) {
			switch rapid.SampledFrom([]string{"nothing", "directory", "directory", "link", "link to nothing"}).Draw(r, label) {
			case "directory":
				if err := os.MkdirAll(path, 0o700); err != nil {
					r.Fatal(err)
				}
				if len(deeper) > 0 {
					fill(label+"/"+deeper[0], filepath.Join(path, deeper[0]), deeper[1:])
					return
				}
				for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"m.pickle", "metrics_" + testName + ".pickle", "notes.txt"}), rapid.ID).Draw(r, label+" holds") {
					writeFiles(t, path, map[string]string{name: rapid.StringN(0, 3, -1).Draw(r, "content")})
				}
			case "link":
				if err := os.Symlink(filepath.Join(base, "out", rapid.SampledFrom([]string{"", "artifacts", "metrics", "empty"}).Draw(r, "target")), path); err != nil {
					r.Fatal(err)
				}
			case "link to nothing":
				if err := os.Symlink("gone", path); err != nil {
					r.Fatal(err)
				}
			}
		}
		state := func(label string) (string, string) {
			beside := filepath.Join(root, classificationID, id, "artifacts")
			if err := errors.Join(os.RemoveAll(kept), os.RemoveAll(beside), os.Mkdir(kept, 0o700)); err != nil {
				r.Fatal(err)
			}
			fill(label+" beside", beside, []string{"metrics"})
			fill(label+" kept", filepath.Join(kept, id), []string{"artifacts", "metrics"})
			var declared []string
			for dir, patterns := range map[string][]string{root: inStore, kept: PlaceInputs()} {
				for _, pattern := range patterns {
					found, err := filepath.Glob(filepath.Join(dir, pattern))
					if err != nil {
						r.Fatal(err)
					}
					for _, name := range found {
						// As build.Names tells them apart.
						kind := "behind a link that leaves"
						if target, err := os.Readlink(name); err != nil || !filepath.IsAbs(target) {
							kind = "neither file nor directory"
							if info, err := os.Stat(name); err == nil {
								kind = info.Mode().Type().String()
							}
						}
						declared = append(declared, name+": "+kind)
					}
				}
			}
			slices.Sort(declared)
			index, err := json.Marshal(indexWith(t, root, place))
			if err != nil {
				r.Fatal(err)
			}
			return strings.Join(declared, "\n"), string(index)
		}
		before, was := state("before")
		after, is := state("after")
		if before == after && was != is {
			r.Fatalf("of the names\n%s\nit is once %s\nand once %s", before, was, is)
		}
	})
}

// FindClassification finds what ReadIndex chooses, where it is asked about that.
func TestFindClassification(t *testing.T) {
	two := t.TempDir()
	writeStore(t, two, testRun{id: "01"}, testRun{id: "02", experiment: imputationID})
	one := t.TempDir()
	writeStore(t, one, testRun{id: "01", name: "MOMENT_pupil_gt"}, testRun{id: "02"})
	none := t.TempDir()
	writeStore(t, none, testRun{id: "01", name: "MOMENT_pupil_gt"})
	damaged := t.TempDir()
	writeStore(t, damaged, testRun{id: "01"})
	writeFiles(t, damaged, map[string]string{classificationID + "/meta.yaml": "name: [\n"})
	twins := t.TempDir()
	writeStore(t, twins, testRun{id: "01"})
	writeFiles(t, twins, map[string]string{"5/meta.yaml": "name: PLR_Classification\n", ".trash/6/meta.yaml": "name: PLR_Old\n"})
	flow := []config.UpstreamFlow{{Stage: config.Imputing, Experiment: imputationID}}
	for _, c := range []struct {
		name, root string
		o          IndexOptions
		about      string // an id; "" is all
		want       string
	}{
		{name: "the only one", root: one, want: classificationID},
		{name: "asked about another", root: one, about: imputationID},
		{name: "asked about none", root: one, about: "none"},
		{name: "by id", root: two, o: IndexOptions{Experiment: imputationID}, want: imputationID},
		{name: "by name", root: one, o: IndexOptions{Experiment: "PLR_Classification"}, want: classificationID},
		{name: "by id although names are shared", root: twins, o: IndexOptions{Experiment: "5"}, want: "5"},
		{name: "several of a name", root: twins, o: IndexOptions{Experiment: "PLR_Classification"}},
		{name: "deleted", root: twins, o: IndexOptions{Experiment: "6"}},
		{name: "unknown", root: one, o: IndexOptions{Experiment: "PLR"}},
		{name: "none", root: none},
		{name: "damaged", root: damaged, o: IndexOptions{Experiment: classificationID}},
		{name: "one that is a flow's", root: two, o: IndexOptions{Experiment: imputationID, Upstream: flow}},
		{name: "several", root: two, want: classificationID}, // ReadIndex says that there are several
	} {
		t.Run(c.name, func(t *testing.T) {
			store, err := mlflow.OpenFiles(c.root)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			got, found, err := FindClassification(t.Context(), store, c.o, func(e mlflow.Experiment) bool { return c.about == "" || e.ID == c.about })
			if err != nil || found != (c.want != "") || got.ID != c.want {
				t.Errorf("%q, %v, %v; want %q", got.ID, found, err, c.want)
			}
			x, err := ReadIndex(t.Context(), store, testRegistry(t), c.o)
			if err == nil && (x.Experiment != c.want) && (c.about == "" || c.about == x.Experiment) {
				t.Errorf("ReadIndex chooses %s", x.Experiment)
			}
		})
	}
}
