package mlflow

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// below are the places of artifacts below a store's root.
func below(t *testing.T, s *Files, found []Artifact) []string {
	t.Helper()
	var paths []string
	for _, a := range found {
		rel, err := filepath.Rel(s.String(), a.File)
		if err != nil || !strings.HasSuffix(filepath.ToSlash(rel), "/"+a.Name) || a.Size != 1 {
			t.Errorf("artifact %+v, %v", a, err)
		}
		paths = append(paths, filepath.ToSlash(rel))
	}
	return paths
}

func TestArtifactPlaces(t *testing.T) {
	dir := experiment + "/" + runID
	elsewhere := t.TempDir()
	write(t, elsewhere, map[string]string{"artifacts/metrics/metrics_x.pickle": "x"})
	for _, c := range []struct {
		name  string
		uri   string // STORE stands for the store's directory
		files []string
		want  []string
		err   error
	}{
		{name: "beside meta.yaml, store moved", uri: "file:///home/writer/mlruns/" + dir + "/artifacts",
			files: []string{dir + "/artifacts/metrics/a.pickle"}, want: []string{dir + "/artifacts/metrics/a.pickle"}},
		{name: "beside meta.yaml first", uri: "STORE/1/" + runID + "/artifacts",
			files: []string{dir + "/artifacts/metrics/a.pickle", "1/" + runID + "/artifacts/metrics/b.pickle"},
			want:  []string{dir + "/artifacts/metrics/a.pickle"}},
		{name: "artifact_uri inside the store", uri: "file://STORE/7/other/artifacts",
			files: []string{"7/other/artifacts/metrics/b.pickle"}, want: []string{"7/other/artifacts/metrics/b.pickle"}},
		{name: "empty directory beside meta.yaml", uri: "STORE/7/other/artifacts",
			files: []string{dir + "/artifacts/metrics/", "7/other/artifacts/metrics/b.pickle"}, want: []string{"7/other/artifacts/metrics/b.pickle"}},
		{name: "in no run directory of the store", uri: "STORE/other/artifacts", files: []string{"other/artifacts/metrics/b.pickle"}, err: ErrNoArtifacts},
		{name: "deep in the store", uri: "STORE/7/deep/other/artifacts", files: []string{"7/deep/other/artifacts/metrics/b.pickle"}, err: ErrNoArtifacts},
		{name: "in another directory of a run", uri: "STORE/7/other/kept", files: []string{"7/other/kept/metrics/b.pickle"}, err: ErrNoArtifacts},
		{name: "end of artifact_uri below the root", uri: "s3://bucket/mlruns/1/" + runID + "/artifacts",
			files: []string{"1/" + runID + "/artifacts/metrics/c.pickle"}, want: []string{"1/" + runID + "/artifacts/metrics/c.pickle"}},
		{name: "end of artifact_uri of another run", uri: "s3://bucket/mlruns/1/0000/artifacts",
			files: []string{"1/0000/artifacts/metrics/c.pickle"}, err: ErrNoArtifacts},
		{name: "outside the store", uri: elsewhere + "/artifacts", err: ErrNoArtifacts},
		{name: "outside, with one beside meta.yaml", uri: elsewhere + "/artifacts", files: []string{dir + "/artifacts/metrics/a.pickle"},
			want: []string{dir + "/artifacts/metrics/a.pickle"}},
		{name: "dots in artifact_uri", uri: "STORE/../" + filepath.Base(elsewhere) + "/none/artifacts", err: ErrNoArtifacts},
		{name: "outside the store, where nothing is", uri: elsewhere + "/none/artifacts", err: ErrNoArtifacts},
		{name: "inside the store, where nothing is", uri: "STORE/" + dir + "/artifacts", err: ErrNoArtifacts},
		{name: "a scheme without places", uri: "s3://bucket/mlruns/" + dir + "/artifacts", err: ErrNoArtifacts},
		{name: "nowhere", uri: "", err: ErrNoArtifacts},
		{name: "no such directory of artifacts", uri: "", files: []string{dir + "/artifacts/model/m.pickle"}},
		{name: "sorted, not below, no directories", uri: "",
			files: []string{dir + "/artifacts/metrics/b.pickle", dir + "/artifacts/metrics/a.pickle", dir + "/artifacts/metrics/deep/c.pickle"},
			want:  []string{dir + "/artifacts/metrics/a.pickle", dir + "/artifacts/metrics/b.pickle"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, root := open(t, nil)
			uri := strings.Replace(c.uri, "STORE", root, 1)
			write(t, root, map[string]string{dir + "/meta.yaml": "artifact_uri: '" + uri + "'\n"})
			for _, name := range c.files {
				if strings.HasSuffix(name, "/") {
					if err := os.MkdirAll(filepath.Join(root, name), 0o700); err != nil {
						t.Fatal(err)
					}
					continue
				}
				write(t, root, map[string]string{name: "x"})
			}
			got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics")
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil && !strings.Contains(err.Error(), dir+"/artifacts") {
				t.Errorf("error %q does not name the place beside meta.yaml", err)
			}
			if err != nil && strings.Count(err.Error(), " "+dir+"/artifacts") != 1 {
				t.Errorf("error %q names a place twice", err)
			}
			if diff := cmp.Diff(c.want, below(t, s, got)); diff != "" {
				t.Errorf("artifacts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestArtifactLinks(t *testing.T) {
	dir := experiment + "/" + runID
	metrics := dir + "/artifacts/metrics"
	link := func(t *testing.T, root, target, name string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	newStore := func(t *testing.T) (*Files, string) {
		return open(t, map[string]string{dir + "/meta.yaml": runMeta(runID), metrics + "/a.pickle": "x"})
	}
	t.Run("inside the store", func(t *testing.T) {
		s, root := newStore(t)
		link(t, root, "a.pickle", metrics+"/b.pickle")
		link(t, root, "gone.pickle", metrics+"/c.pickle")
		if err := syscall.Mkfifo(filepath.Join(root, metrics, "d.pickle"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics")
		if diff := cmp.Diff([]string{metrics + "/a.pickle", metrics + "/b.pickle"}, below(t, s, got)); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
	t.Run("file outside", func(t *testing.T) {
		s, root := newStore(t)
		link(t, root, "/etc/hostname", metrics+"/b.pickle")
		if got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics"); !errors.Is(err, ErrLeaves) {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("directory outside", func(t *testing.T) {
		s, root := open(t, map[string]string{dir + "/meta.yaml": runMeta(runID)})
		link(t, root, "../../../..", dir+"/artifacts")
		if got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics"); !errors.Is(err, ErrLeaves) {
			t.Errorf("%v, %v", got, err)
		}
	})
	t.Run("the store itself", func(t *testing.T) {
		_, root := newStore(t)
		alias := filepath.Join(t.TempDir(), "alias")
		if err := os.Symlink(root, alias); err != nil {
			t.Fatal(err)
		}
		s, err := OpenFiles(alias)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if got, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics"); len(got) != 1 || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	})
}

// A FIFO in the place of a directory is no directory, and nobody waits for what it
// would give.
func TestPipesForDirectories(t *testing.T) {
	pipe := func(parts ...string) {
		t.Helper()
		name := filepath.Join(parts...)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), syscall.Mkfifo(name, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s, root := open(t, map[string]string{experiment + "/" + runID + "/meta.yaml": runMeta(runID)})
	pipe(root, trash)
	pipe(root, experiment, runID, "artifacts", "metrics")
	if found, err := s.Artifacts(t.Context(), onlyRun(t, s), "metrics"); len(found) != 0 || err != nil {
		t.Errorf("a file store: %v, %v", found, err)
	}

	dir := t.TempDir()
	path := filepath.Join(dir, "mlflow.db")
	pipe(dir, "artifacts")
	makeDatabase(t, path, newSchema, "INSERT INTO experiments VALUES (1, 'x', '', 'active', 1, 1, 'default')", addRun(runID, "x", "FINISHED", "active", filepath.Join(dir, "artifacts")))
	d := openSQLite(t, path, Options{})
	runs, err := d.Runs(t.Context(), Experiment{ID: "1"})
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	if found, err := d.Artifacts(t.Context(), runs[0], "metrics"); !errors.Is(err, ErrNoArtifacts) {
		t.Errorf("a database: %v, %v", found, err)
	}
}
