package mlflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// held is what MLflow says that a store holds: see .ci/mlflow-store.py.
type held struct {
	Experiments []heldExperiment `json:"experiments"`
}

type heldExperiment struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Lifecycle string            `json:"lifecycle"`
	Tags      map[string]string `json:"tags"`
	Runs      []heldRun         `json:"runs"`
}

type heldRun struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Status    string            `json:"status"`
	Lifecycle string            `json:"lifecycle"`
	Start     int64             `json:"start"`
	End       int64             `json:"end"`
	Params    map[string]string `json:"params"`
	Tags      map[string]string `json:"tags"`
	Metrics   map[string]string `json:"metrics"`   // Python's repr
	Artifacts map[string]string `json:"artifacts"` // SHA-256 by name
}

// TestRealMLflow reads stores that real MLflow wrote, or serves, as MLflow itself
// reads them. PLR_MLFLOW_STORES names their list, which .ci/mlflow makes.
func TestRealMLflow(t *testing.T) {
	list := os.Getenv("PLR_MLFLOW_STORES")
	if list == "" {
		t.Skip("PLR_MLFLOW_STORES is not set: .ci/mlflow installs MLflow, writes stores and runs this")
	}
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 {
			t.Fatalf("%s: %q", list, line)
		}
		t.Run(fields[0], func(t *testing.T) { readReal(t, fields[1], fields[2], fields[3]) })
	}
}

func readReal(t *testing.T, uri, manifest, artifactRoot string) {
	var want held
	data, err := os.ReadFile(manifest)
	if err == nil {
		err = json.Unmarshal(data, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	l, err := ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	var before []string
	if l.Kind == Directory {
		before = tree(t, l.Path)
	}
	options := Options{Scratch: t.TempDir(), ArtifactRoot: artifactRoot}
	if l.Kind == Directory {
		options.Places = realPlaces(t, l.Path, artifactRoot)
	}
	s, err := Open(ctx, l, options)
	if err != nil {
		t.Fatal(err)
	}
	got, err := readAll(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	byID := func(h held) map[string]heldExperiment {
		all := map[string]heldExperiment{}
		for _, e := range h.Experiments {
			all[e.ID] = e
		}
		return all
	}
	runsByID := func(e heldExperiment) map[string]heldRun {
		all := map[string]heldRun{}
		for _, r := range e.Runs {
			all[r.ID] = r
		}
		return all
	}
	wanted, found := byID(want), byID(got)
	runs := 0
	for id, w := range wanted {
		g, ok := found[id]
		if !ok {
			t.Errorf("experiment %s (%s) is missing", id, w.Name)
			continue
		}
		runs += len(w.Runs)
		if diff := cmp.Diff(runsByID(w), runsByID(g)); diff != "" {
			t.Errorf("experiment %s (-MLflow +this package):\n%s", w.Name, diff)
		}
		w.Runs, g.Runs = nil, nil
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("experiment (-MLflow +this package):\n%s", diff)
		}
	}
	if len(found) != len(wanted) || runs < 9 {
		t.Errorf("%d experiments, MLflow says %d, with %d runs", len(found), len(wanted), runs)
	}
	if l.Kind == Directory {
		if diff := cmp.Diff(before, tree(t, l.Path)); diff != "" {
			t.Errorf("reading changed the store (-before +after):\n%s", diff)
		}
	}
}

// realPlaces are those of all experiments of a file store.
func realPlaces(t *testing.T, path, artifactRoot string) []Place {
	t.Helper()
	s, err := OpenFiles(path)
	if err != nil {
		t.Fatal(err)
	}
	experiments, err := s.Experiments(t.Context())
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	var places []Place
	for _, e := range experiments {
		places = append(places, s.Places(e, artifactRoot)...)
	}
	return places
}

// TestRealReplaced replaces an artifact of real servers by one of the same size.
// PLR_MLFLOW_REPLACE names their list: name, URL, the directory that the artifacts
// lie in, and whether that is the server's own.
func TestRealReplaced(t *testing.T) {
	list := os.Getenv("PLR_MLFLOW_REPLACE")
	if list == "" {
		t.Skip("PLR_MLFLOW_REPLACE is not set: .ci/mlflow installs MLflow, starts servers and runs this")
	}
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(fields) != 4 {
			t.Fatalf("%s: %q", list, line)
		}
		t.Run(fields[0], func(t *testing.T) { replaceReal(t, fields[1], fields[2], fields[3] == "own") })
	}
}

func replaceReal(t *testing.T, uri, dir string, own bool) {
	ctx := t.Context()
	l, err := ParseURI(uri)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(ctx, l, Options{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	run, a := anArtifact(t, s)
	file := filepath.Join(dir, run.Experiment, run.ID, "artifacts", filepath.FromSlash(a.Name))
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if a.Version, err = s.Version(ctx, run, a); (a.Version != "") != own || err != nil {
		t.Fatalf("version %q, %v", a.Version, err)
	}
	if _, err := s.Fetch(ctx, run, a); err != nil {
		t.Fatal(err)
	}
	changed := append([]byte{was[0] ^ 1}, was[1:]...)
	if err := os.WriteFile(file, changed, 0o644); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(file, was, 0o644); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.Fetch(ctx, run, a); errors.Is(err, ErrReplaced) != own {
		t.Errorf("fetched as it was: %v", err)
	}
	then := a.Version
	if a.Version, err = s.Version(ctx, run, a); (a.Version != then) != own || err != nil {
		t.Errorf("version %q then, %q now, %v", then, a.Version, err)
	}
	got, err := s.Fetch(ctx, run, a)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(got); err != nil || string(data) != string(changed) {
		t.Errorf("%d bytes that are not those of the artifact, %v", len(data), err)
	}
}

// anArtifact is some artifact of a run that is not deleted.
func anArtifact(t *testing.T, s Store) (Run, Artifact) {
	t.Helper()
	experiments, err := s.Experiments(t.Context())
	for _, e := range experiments {
		runs, rerr := s.Runs(t.Context(), e)
		err = errors.Join(err, rerr)
		for _, r := range runs {
			found, aerr := s.Artifacts(t.Context(), r, "metrics")
			if r.Lifecycle == Active && aerr == nil && len(found) > 0 {
				return r, found[0]
			}
		}
	}
	t.Fatalf("no run has an artifact: %v", err)
	return Run{}, Artifact{}
}

// readAll reads a store with everything in it.
func readAll(ctx context.Context, s Store) (held, error) {
	var all held
	experiments, err := s.Experiments(ctx)
	if err != nil {
		return all, err
	}
	for _, e := range experiments {
		if e.Err != nil {
			return all, e.Err
		}
		h := heldExperiment{ID: e.ID, Name: e.Name, Lifecycle: string(e.Lifecycle), Tags: map[string]string{}}
		if v, ok, err := s.ExperimentTag(ctx, e, "plr.synthetic"); err != nil {
			return all, err
		} else if ok {
			h.Tags["plr.synthetic"] = v
		}
		runs, err := s.Runs(ctx, e)
		if err != nil {
			return all, err
		}
		for _, r := range runs {
			run, err := readRealRun(ctx, s, r)
			if err != nil {
				return all, err
			}
			h.Runs = append(h.Runs, run)
		}
		all.Experiments = append(all.Experiments, h)
	}
	return all, nil
}

func readRealRun(ctx context.Context, s Store, r Run) (heldRun, error) {
	h := heldRun{ID: r.ID, Name: r.Name, Status: r.Status.String(), Lifecycle: string(r.Lifecycle), Start: r.Start, End: r.End, Metrics: map[string]string{}, Artifacts: map[string]string{}}
	if r.Err != nil {
		return h, r.Err
	}
	var err error
	if h.Params, err = s.Params(ctx, r); err != nil {
		return h, err
	}
	if h.Tags, err = s.Tags(ctx, r); err != nil {
		return h, err
	}
	metrics, err := s.Metrics(ctx, r)
	if err != nil {
		return h, err
	}
	for key, m := range metrics {
		h.Metrics[key] = repr(m.Value)
	}
	artifacts, err := s.Artifacts(ctx, r, "metrics")
	if errors.Is(err, ErrNoArtifacts) {
		return h, nil // as the comparison will tell, if there are some
	}
	if err != nil {
		return h, err
	}
	for _, a := range artifacts {
		if a.Version, err = s.Version(ctx, r, a); err != nil {
			return h, err
		}
		file, err := s.Fetch(ctx, r, a)
		if err != nil {
			return h, err
		}
		data, err := os.ReadFile(filepath.Clean(file))
		if err != nil {
			return h, err
		}
		if int64(len(data)) != a.Size {
			return h, fmt.Errorf("%s has %d bytes and was listed with %d", a.Name, len(data), a.Size)
		}
		sum := sha256.Sum256(data)
		h.Artifacts[a.Name] = hex.EncodeToString(sum[:])
	}
	return h, nil
}

// repr is Python's of the floats that the stores hold. MLflow's own client gives
// the largest double where it stored an infinity in SQLite.
func repr(v float64) string {
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 1):
		return "inf"
	case math.IsInf(v, -1):
		return "-inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}
