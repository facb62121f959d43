package mlflow

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

var (
	// ErrNoArtifacts is wrapped when a run has no artifact directory at any of
	// the places where it may be.
	ErrNoArtifacts = errors.New("no artifact directory")
	// ErrOutside is wrapped when a run has none there either and its
	// artifact_uri names a place outside the store. Nobody looks at that place:
	// what is there would be an input that no build knows of.
	ErrOutside = errors.New("artifact_uri names a place outside the store")
)

// ArtifactDirs returns the artifact directories of a run that exist, best
// first, as slash paths below the root:
//
//  1. artifacts/ beside the run's meta.yaml,
//  2. the place that artifact_uri names,
//  3. where artifact_uri ends in <experiment>/<run>/artifacts, that place below
//     the root.
//
// So a store that was moved is read where it is now; MLflow itself lists
// nothing for it and says nothing. The second place counts only inside the
// store. When none exists the error wraps ErrOutside or ErrNoArtifacts and
// names the places, each once.
func (s *Files) ArtifactDirs(r Run) ([]string, error) {
	beside := path.Join(r.Dir, "artifacts")
	tried := []string{beside}
	try := func(dir string) {
		if !slices.Contains(tried, dir) {
			tried = append(tried, dir)
		}
	}
	inside, outside := false, false
	if named, err := artifactPath(r.ArtifactURI); err == nil && filepath.IsAbs(named) {
		var below string
		if below, inside = s.below(named); inside {
			try(below)
		}
		outside = !inside
	}
	parts := strings.Split(strings.TrimRight(r.ArtifactURI, "/"), "/")
	if n := len(parts); n >= 3 && parts[n-1] == "artifacts" && parts[n-2] == r.ID && isNumber(parts[n-3]) {
		try(path.Join(parts[n-3:]...))
		outside = false // where the store was before it was moved
	}
	var dirs []string
	for _, dir := range tried {
		info, err := s.root.Stat(filepath.FromSlash(dir))
		switch {
		case absent(err):
		case err != nil:
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, leaving(err))
		case info.IsDir():
			dirs = append(dirs, dir)
		}
	}
	places := strings.Join(tried, ", ")
	switch {
	case len(dirs) > 0:
		return dirs, nil
	case outside:
		return nil, fmt.Errorf("run %s: nothing at %s, and %w (%s), which is not looked at: copy the artifacts beside the run's meta.yaml",
			r.ID, places, ErrOutside, withoutUser(r.ArtifactURI))
	case inside || r.ArtifactURI == "":
		return nil, fmt.Errorf("run %s: %w: nothing at %s", r.ID, ErrNoArtifacts, places)
	}
	return nil, fmt.Errorf("run %s: %w: nothing at %s (artifact_uri: %s)",
		r.ID, ErrNoArtifacts, places, withoutUser(r.ArtifactURI))
}

// below returns a path of this machine as a slash path below the root.
func (s *Files) below(name string) (string, bool) {
	for _, root := range []string{s.path, s.real} {
		rel, err := filepath.Rel(root, filepath.Clean(name))
		if err == nil && filepath.IsLocal(rel) {
			return filepath.ToSlash(rel), true
		}
	}
	return "", false
}

// Artifacts lists the files in one directory of a run's artifacts (not below
// it), sorted: of the first artifact directory that holds any there.
// Directories, pipes, devices and links to nothing are no files; a link that
// leaves the store is an error that wraps ErrLeaves.
func (s *Files) Artifacts(_ context.Context, r Run, dir string) ([]Artifact, error) {
	places, err := s.ArtifactDirs(r)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		found, err := listArtifacts(s.root, s.path, place, dir)
		if err != nil {
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, nil
}

// Version returns "": what the file holds can be seen.
func (s *Files) Version(context.Context, Run, Artifact) (string, error) { return "", nil }

// Fetch returns where the artifact lies.
func (s *Files) Fetch(_ context.Context, _ Run, a Artifact) (string, error) { return a.File, nil }

// listArtifacts lists one directory of the artifacts at place, a slash path
// below root, whose own path is at.
func listArtifacts(root *os.Root, at, place, dir string) ([]Artifact, error) {
	entries, err := readDir(root, path.Join(place, dir))
	if absent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, leaving(err)
	}
	var found []Artifact
	for _, e := range entries {
		name := filepath.FromSlash(path.Join(place, dir, e.Name()))
		info, err := root.Stat(name)
		switch {
		case absent(err):
		case err != nil:
			return nil, leaving(err)
		case info.Mode().IsRegular():
			found = append(found, Artifact{Name: path.Join(dir, e.Name()), File: filepath.Join(at, name), Size: info.Size()})
		}
	}
	return found, nil
}
