package mlflow

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func makeDirs(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		name, location, root string // BASE stands for the directory that holds the store
		dirs                 []string
		files                map[string]string
		links                map[string]string
		want                 []Place
	}{
		{name: "none is said"},
		{name: "a path", location: "BASE/kept", dirs: []string{"kept"}, want: []Place{{Dir: "kept", Named: true}}},
		{name: "a path with a slash at its end", location: "BASE/kept/", dirs: []string{"kept"}, want: []Place{{Dir: "kept", Named: true}}},
		{name: "a URI", location: "file://BASE/kept%20here", dirs: []string{"kept here"}, want: []Place{{Dir: "kept here", Named: true}}},
		{name: "not there", location: "BASE/kept"},
		{name: "a file", location: "BASE/kept", files: map[string]string{"kept": "x"}},
		{name: "below a file", location: "BASE/kept/there", files: map[string]string{"kept": "x"}},
		{name: "relative", location: "./kept", dirs: []string{"kept"}},
		{name: "of a host", location: "file://host/BASE/kept", dirs: []string{"kept"}},
		{name: "in a cloud", location: "s3://bucket/kept", dirs: []string{"kept"}},
		{name: "the experiment in the store", location: "BASE/store/" + experiment},
		{name: "the store", location: "BASE/store"},
		{name: "in the store through a link", location: "BASE/former/" + experiment, links: map[string]string{"former": "store"}},
		{name: "holds the store", location: "BASE", want: []Place{{Dir: ".", Named: true}}},
		{name: "a link", location: "BASE/kept", dirs: []string{"there"}, links: map[string]string{"kept": "there"}, want: []Place{{Dir: "kept", Named: true}}},

		{name: "a root without", root: "BASE/root", dirs: []string{"root/other"}},
		{name: "below a root by id", root: "BASE/root", dirs: []string{"root/" + experiment}, want: []Place{{Dir: "root/" + experiment, Given: true}}},
		{name: "below a root by the location's name", location: "/nowhere/kept/", root: "BASE/root", dirs: []string{"root/kept", "root/other"},
			want: []Place{{Dir: "root/kept", Given: true}}},
		{name: "below a root by the name of a place in a cloud", location: "s3://bucket/kept", root: "BASE/root", dirs: []string{"root/kept"},
			want: []Place{{Dir: "root/kept", Given: true}}},
		{name: "below a root by the id that a server has", location: "mlflow-artifacts:/" + experiment, root: "BASE/root", dirs: []string{"root/" + experiment},
			want: []Place{{Dir: "root/" + experiment, Given: true}}},
		{name: "all", location: "BASE/kept", root: "BASE/root", dirs: []string{"kept", "root/kept", "root/" + experiment},
			want: []Place{{Dir: "kept", Named: true}, {Dir: "root/kept", Given: true}, {Dir: "root/" + experiment, Given: true}}},
		{name: "one by two names", location: "BASE/root/" + experiment, root: "BASE/root", dirs: []string{"root/" + experiment},
			want: []Place{{Dir: "root/" + experiment, Named: true, Given: true}}},
		{name: "one through a link", location: "BASE/kept", root: "BASE/root", dirs: []string{"kept", "root"}, links: map[string]string{"root/" + experiment: "../kept"},
			want: []Place{{Dir: "kept", Named: true, Given: true}}},
		{name: "one in another", location: "BASE/root/" + experiment + "/kept", root: "BASE/root", dirs: []string{"root/" + experiment + "/kept"},
			want: []Place{{Dir: "root/" + experiment + "/kept", Named: true}}},
		{name: "the store as a root", root: "BASE/store"},
		{name: "a location that leads up", location: "s3://bucket/..", root: "BASE/root", dirs: []string{"root"}},
		{name: "a location without a name", location: "s3://", root: "BASE/root", dirs: []string{"root"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			here := func(text string) string { return strings.Replace(text, "BASE", base, 1) }
			write(t, base, map[string]string{"store/" + experiment + "/meta.yaml": experimentMeta + "artifact_location: '" + here(c.location) + "'\n"})
			write(t, base, c.files)
			for _, dir := range c.dirs {
				makeDirs(t, filepath.Join(base, dir))
			}
			for name, target := range c.links {
				if err := os.Symlink(target, filepath.Join(base, name)); err != nil {
					t.Fatal(err)
				}
			}
			t.Chdir(base)
			s, err := OpenFiles(filepath.Join(base, "store"))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			before := tree(t, base)
			got := s.Places(onlyExperiment(t, s), here(c.root))
			for i := range c.want {
				c.want[i].Dir = filepath.Join(base, c.want[i].Dir)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, tree(t, base)); diff != "" {
				t.Errorf("looking changed something:\n%s", diff)
			}
		})
	}
}

// A place that is there and cannot be looked at says so; to root a link to itself is one,
// and no mode of a directory.
func TestPlaceOutOfReach(t *testing.T) {
	base := t.TempDir()
	kept := filepath.Join(base, "kept")
	if err := os.Symlink("kept", kept); err != nil {
		t.Fatal(err)
	}
	write(t, base, map[string]string{"store/" + experiment + "/meta.yaml": experimentMeta + "artifact_location: " + kept + "\n"})
	s, err := OpenFiles(filepath.Join(base, "store"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := s.Places(onlyExperiment(t, s), "")
	want := []Place{{Dir: kept, Named: true, Err: syscall.ELOOP}}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("places (-want +got):\n%s", diff)
	}
}

// Artifacts are looked for in the order of the places, and only in those that the store
// was opened with.
func TestArtifactsInPlaces(t *testing.T) {
	const dir = experiment + "/" + runID
	const there = runID + "/artifacts/metrics/"
	for _, c := range []struct {
		name   string
		uri    string // BASE stands for the directory that holds the store
		places []Place
		files  []string // empty ones hold no pickle
		want   string
		err    error
		said   []string // of the error; BASE is not, unless it is the store's text
	}{
		{name: "where artifact_uri says", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}}, files: []string{"kept/" + there + "a.pickle"}, want: "kept/" + there + "a.pickle"},
		{name: "where a URI says", uri: "file://BASE/k%65pt/" + runID + "/artifacts/", places: []Place{{Dir: "kept", Named: true}}, files: []string{"kept/" + there + "a.pickle"}, want: "kept/" + there + "a.pickle"},
		{name: "not opened with it", uri: "BASE/kept/" + runID + "/artifacts", files: []string{"kept/" + there + "a.pickle"}, err: ErrNoArtifacts,
			said: []string{"artifact_uri (BASE/kept/" + runID + "/artifacts) names no place that is looked at", "PLR_ARTIFACT_ROOT"}},
		{name: "beside meta.yaml first", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}},
			files: []string{"store/" + dir + "/artifacts/metrics/b.pickle", "kept/" + there + "a.pickle"}, want: "store/" + dir + "/artifacts/metrics/b.pickle"},
		{name: "nothing beside meta.yaml", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}},
			files: []string{"store/" + dir + "/artifacts/model/m", "kept/" + there + "a.pickle"}, want: "kept/" + there + "a.pickle"},
		{name: "another place of the run", uri: "BASE/other/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}},
			files: []string{"kept/" + there + "a.pickle", "other/" + there + "a.pickle"}, err: ErrNoArtifacts,
			said: []string{"artifact_uri (BASE/other/" + runID + "/artifacts) names no place that is looked at"}},
		{name: "of another run there", uri: "BASE/kept/0000/artifacts", places: []Place{{Dir: "kept", Named: true}}, files: []string{"kept/0000/artifacts/metrics/a.pickle"}, err: ErrNoArtifacts},
		{name: "deeper there", uri: "BASE/kept/deep/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}}, files: []string{"kept/deep/" + there + "a.pickle"}, err: ErrNoArtifacts},
		{name: "a place of the user", uri: "s3://bucket/x/" + runID + "/artifacts", places: []Place{{Dir: "root/x", Given: true}}, files: []string{"root/x/" + there + "a.pickle"}, want: "root/x/" + there + "a.pickle"},
		{name: "a place of the user, without artifact_uri", places: []Place{{Dir: "root/x", Given: true}}, files: []string{"root/x/" + there + "a.pickle"}, want: "root/x/" + there + "a.pickle"},
		{name: "artifact_uri before the place of the user", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}, {Dir: "root/x", Given: true}},
			files: []string{"kept/" + there + "a.pickle", "root/x/" + there + "b.pickle"}, want: "kept/" + there + "a.pickle"},
		{name: "the place of the user where artifact_uri has none", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}, {Dir: "root/x", Given: true}},
			files: []string{"kept/" + runID + "/artifacts/model/m", "root/x/" + there + "b.pickle"}, want: "root/x/" + there + "b.pickle"},
		{name: "the place of the user rather than elsewhere in the store", uri: "BASE/store/kept/" + runID + "/artifacts", places: []Place{{Dir: "root/kept", Given: true}},
			files: []string{"store/kept/" + there + "a.pickle", "root/kept/" + there + "b.pickle"}, want: "root/kept/" + there + "b.pickle"},
		{name: "nothing anywhere", uri: "BASE/kept/" + runID + "/artifacts", places: []Place{{Dir: "kept", Named: true}, {Dir: "root/x", Given: true}}, err: ErrNoArtifacts,
			said: []string{"nothing at " + dir + "/artifacts, BASE/kept/" + runID + "/artifacts, PLR_ARTIFACT_ROOT/x/" + runID + "/artifacts"}},
		{name: "nothing, and a cloud", uri: "s3://ada:secret@bucket/x/" + runID + "/artifacts", places: []Place{{Dir: "root/x", Given: true}}, err: ErrNoArtifacts,
			said: []string{"PLR_ARTIFACT_ROOT/x/" + runID + "/artifacts; artifact_uri is s3://…@bucket/x/", "artifacts at s3: come through a tracking server"}},
		{name: "a place of the user that artifact_uri is in", uri: "BASE/root/x/" + runID + "/artifacts", places: []Place{{Dir: "root/x", Given: true}}, err: ErrNoArtifacts,
			said: []string{"PLR_ARTIFACT_ROOT/x/" + runID + "/artifacts, and artifact_uri ("}},
		{name: "a place that went", uri: "BASE/gone/" + runID + "/artifacts", places: []Place{{Dir: "gone", Named: true}}, err: ErrNoArtifacts},
	} {
		t.Run(c.name, func(t *testing.T) {
			base := t.TempDir()
			here := func(text string) string { return strings.Replace(text, "BASE", base, 1) }
			meta := ""
			if c.uri != "" {
				meta = "artifact_uri: '" + here(c.uri) + "'\n"
			}
			write(t, base, map[string]string{"store/" + experiment + "/meta.yaml": experimentMeta, "store/" + dir + "/meta.yaml": meta + "run_name: x\n"})
			for _, name := range c.files {
				write(t, base, map[string]string{name: "x"})
			}
			for i := range c.places {
				c.places[i].Dir = filepath.Join(base, c.places[i].Dir)
			}
			s, err := OpenFiles(filepath.Join(base, "store"), c.places...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			dirs := []string{filepath.Join(base, "store")}
			for _, p := range c.places {
				dirs = append(dirs, p.Dir)
			}
			if got := s.Dirs(); !slices.Equal(got, dirs) {
				t.Errorf("directories %v, want %v", got, dirs)
			}
			before := tree(t, base)
			got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics")
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			for _, said := range c.said {
				if !strings.Contains(err.Error(), here(said)) {
					t.Errorf("the error does not say %q: %v", here(said), err)
				}
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), base+"/root") && !strings.Contains(c.uri, "/root")) {
				t.Errorf("the error says too much: %v", err)
			}
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("found %v", got)
			case c.want != "" && (len(got) != 1 || got[0].File != filepath.Join(base, c.want) || got[0].Size != 1):
				t.Errorf("found %v, want %s", got, c.want)
			}
			if diff := cmp.Diff(before, tree(t, base)); diff != "" {
				t.Errorf("looking changed something:\n%s", diff)
			}
		})
	}
}

// A place is not left through a link, and a link within it is followed.
func TestLinksInPlaces(t *testing.T) {
	for name, target := range map[string]string{"pickle": "/etc/hostname", "directory": "../../../other", "within": "a.pickle"} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			metrics := filepath.Join(base, "kept", runID, "artifacts/metrics")
			write(t, base, map[string]string{
				"store/" + experiment + "/meta.yaml":               experimentMeta,
				"store/" + experiment + "/" + runID + "/meta.yaml": "artifact_uri: " + filepath.Dir(metrics) + "\n",
				"other/a.pickle": "x",
			})
			makeDirs(t, filepath.Dir(metrics))
			link := metrics
			if name != "directory" {
				write(t, metrics, map[string]string{"a.pickle": "x"})
				link = filepath.Join(metrics, "b.pickle")
			}
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			s, err := OpenFiles(filepath.Join(base, "store"), Place{Dir: filepath.Join(base, "kept"), Named: true})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics")
			if name == "within" {
				if len(got) != 2 || err != nil {
					t.Errorf("%v, %v", got, err)
				}
			} else if !errors.Is(err, ErrLeaves) {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// AnyRun reads no more runs than it needs.
func TestAnyRun(t *testing.T) {
	other := strings.Repeat("f", 32)
	s, _ := open(t, map[string]string{experiment + "/" + runID + "/meta.yaml": runMeta(runID), experiment + "/" + other + "/meta.yaml": runMeta(other)})
	for want, asked := range map[string]int{runID: 1, other: 2, "none": 2} {
		n := 0
		found, err := s.AnyRun(onlyExperiment(t, s), func(r Run) bool { n++; return r.ID == want })
		if found != (want != "none") || n != asked || err != nil {
			t.Errorf("%s: %v after %d runs, %v", want, found, n, err)
		}
	}
}
