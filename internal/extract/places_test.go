package extract

import (
	"os"
	"path/filepath"
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
	x := indexWith(t, root, mlflow.Place{Dir: kept}, mlflow.Place{Dir: given, Given: true})
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

// Whatever happens to the files of a place, the index is another one only where the names
// are others that PlaceInputs declares.
func TestPlaceInputsAreAll(t *testing.T) {
	id := strings.Repeat("01", runIDDigits/2)
	names := []string{"m.pickle", "metrics_" + testName + ".pickle", "notes.txt"}
	rapid.Check(t, func(r *rapid.T) {
		base := t.TempDir()
		root, kept := filepath.Join(base, "store"), filepath.Join(base, "kept")
		writeStore(t, root, testRun{id: "01", pickles: []string{}, uri: filepath.Join(kept, id, "artifacts")})
		state := func(label string) (string, []byte) {
			if err := os.RemoveAll(kept); err != nil {
				r.Fatal(err)
			}
			writeFiles(t, kept, map[string]string{"beside/artifacts/metrics/m.pickle": "x"})
			for _, dir := range []string{id + "/artifacts/metrics", id + "/artifacts/dict_arrays", id + "/metrics", "other/artifacts/metrics"} {
				for _, name := range rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID).Draw(r, label+" "+dir) {
					writeFiles(t, kept, map[string]string{dir + "/" + name: rapid.StringN(0, 3, -1).Draw(r, "content")})
				}
			}
			declared, err := filepath.Glob(filepath.Join(kept, PlaceInputs()))
			if err != nil {
				r.Fatal(err)
			}
			// Which of the directories above are there is in the private detail alone.
			x := indexWith(t, root, mlflow.Place{Dir: kept})
			x.Runs[0].Detail = ""
			index, err := Encode(x)
			if err != nil {
				r.Fatal(err)
			}
			return strings.Join(declared, "\n"), index
		}
		before, was := state("before")
		after, is := state("after")
		if before == after && string(was) != string(is) {
			r.Fatalf("another index of the same names %q", before)
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
