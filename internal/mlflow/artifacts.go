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
	"sync"
)

// ErrNoArtifacts is wrapped when a run has no artifact directory at any of the
// places where it may be.
var ErrNoArtifacts = errors.New("no artifact directory")

// Place is a directory outside a file store in which the artifacts of runs lie as
// RUN/artifacts.
type Place struct {
	Dir   string // absolute
	Named bool   // by artifact_location: it counts for the runs whose artifact_uri is there
	Given bool   // by the user: it counts for all, as artifact_uri may be of another machine
	Err   error  // why it cannot be looked at; then no store is to be opened with it
}

// Places returns the directories outside the store where artifacts of an
// experiment's runs may lie, best first: its artifact_location, and of those below
// root ("" is none) the one that is called as the last part of artifact_location is,
// and the one that is called by the experiment's id.
//
// What is no directory of this machine is none of them, nor is one within the store
// or within another, by its real path. Nothing in them is looked at.
func (s *Files) Places(e Experiment, root string) []Place {
	var places []Place
	known := []string{s.real}
	add := func(p Place) {
		info, err := os.Stat(p.Dir)
		if absent(err) || err == nil && !info.IsDir() {
			return
		}
		resolved := p.Dir
		if err == nil {
			resolved, err = filepath.EvalSymlinks(p.Dir)
		}
		if err == nil {
			var opened *os.File
			if opened, err = os.Open(p.Dir); err == nil {
				err = opened.Close()
			}
		}
		for i, other := range known {
			switch {
			case i > 0 && resolved == other:
				places[i-1].Given = true // that is not named twice
				return
			// The store may lie in a place: what is looked at there is called by runs.
			case holds(other, resolved), i > 0 && holds(resolved, other):
				return
			}
		}
		p.Err = err
		known, places = append(known, resolved), append(places, p)
	}
	named, err := artifactPath(e.Location)
	if err == nil && filepath.IsAbs(named) {
		add(Place{Dir: filepath.Clean(named), Named: true})
	}
	if root == "" {
		return places
	}
	if err != nil {
		named = e.Location // of a server or a cloud
	}
	for _, name := range []string{path.Base(filepath.ToSlash(named)), e.ID} {
		if !strings.HasPrefix(name, ".") {
			add(Place{Dir: filepath.Join(root, name), Given: true})
		}
	}
	return places
}

// holds says whether a directory is, or holds, another; both are clean.
func holds(dir, other string) bool {
	rel, err := filepath.Rel(dir, other)
	return err == nil && filepath.IsLocal(rel)
}

// openPlace is a place that a store was opened with.
type openPlace struct {
	Place
	mu   sync.Mutex
	root *os.Root // nil: nobody has looked there yet
}

func (p *openPlace) open() (*os.Root, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if p.root == nil {
		p.root, err = os.OpenRoot(p.Dir)
	}
	return p.root, err
}

func (p *openPlace) close() error {
	if p.root == nil {
		return nil
	}
	return p.root.Close()
}

// spot is where artifacts of a run may be: a slash path below a root.
type spot struct {
	open func() (*os.Root, error)
	at   string // the path of the root
	dir  string
	said string // as messages name it
}

// spots are the artifact directories that a run may have, best first:
//
//  1. artifacts/ beside the run's meta.yaml,
//  2. the place that artifact_uri names, if that is of a run directory of the store
//     or in a place that artifact_location names, too,
//  3. where artifact_uri ends in <experiment>/<run>/artifacts, that place below
//     the store's root; then those of the run in places that the user gave.
//
// So a store that was moved is read where it is now; MLflow itself lists nothing for
// it and says nothing. Elsewhere says that artifact_uri is none of the spots.
func (s *Files) spots(r Run) (all []spot, elsewhere bool) {
	add := func(one spot) {
		if !slices.ContainsFunc(all, func(known spot) bool { return known.at == one.at && known.dir == one.dir }) {
			all = append(all, one)
		}
	}
	inStore := func(dir string) {
		add(spot{func() (*os.Root, error) { return s.root, nil }, s.path, dir, dir})
	}
	inStore(path.Join(r.Dir, "artifacts"))
	own := path.Join(r.ID, "artifacts")
	elsewhere = r.ArtifactURI != ""
	if named, err := artifactPath(r.ArtifactURI); err == nil && filepath.IsAbs(named) {
		if below, ok := s.below(named); ok && ofRun(below) {
			inStore(below)
			elsewhere = false
		}
		for _, p := range s.places {
			if p.Named && filepath.Clean(named) == filepath.Join(p.Dir, filepath.FromSlash(own)) {
				add(spot{p.open, p.Dir, own, withoutUser(r.ArtifactURI)})
				elsewhere = false
			}
		}
	}
	parts := strings.Split(strings.TrimRight(r.ArtifactURI, "/"), "/")
	if n := len(parts); n >= 3 && parts[n-1] == "artifacts" && parts[n-2] == r.ID && isNumber(parts[n-3]) {
		inStore(path.Join(parts[n-3:]...))
	}
	for _, p := range s.places {
		if p.Given {
			// Where that is stands in no file of the store: it may be another tomorrow.
			add(spot{p.open, p.Dir, own, path.Join("PLR_ARTIFACT_ROOT", filepath.Base(p.Dir), own)})
		}
	}
	return all, elsewhere
}

// ofRun says whether a slash path below the root is artifacts/ in a run directory.
// Nobody looks for artifacts elsewhere in the store: a change there would be noticed by
// nobody who goes by what stands where runs do.
func ofRun(dir string) bool {
	parts := strings.Split(dir, "/")
	return len(parts) == 3 && isNumber(parts[0]) && parts[2] == "artifacts"
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
// leaves the store, or the place outside it, is an error that wraps ErrLeaves. When
// the run has no artifact directory the error wraps ErrNoArtifacts, names the places
// that were looked at, each once, and says what to do.
func (s *Files) Artifacts(_ context.Context, r Run, dir string) ([]Artifact, error) {
	exists := false
	all, elsewhere := s.spots(r)
	for _, one := range all {
		root, err := one.open()
		if absent(err) {
			continue
		}
		var info os.FileInfo
		if err == nil {
			info, err = root.Stat(filepath.FromSlash(one.dir))
		}
		switch {
		case absent(err):
			continue
		case err != nil:
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, leaving(err))
		case !info.IsDir():
			continue
		}
		exists = true
		found, err := listArtifacts(root, one.at, one.dir, dir)
		if err != nil {
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	if exists {
		return nil, nil
	}
	said := make([]string, len(all))
	for i, one := range all {
		said[i] = one.said
	}
	return nil, fmt.Errorf("run %s: %w: nothing at %s%s", r.ID, ErrNoArtifacts, strings.Join(said, ", "), s.remedy(r, elsewhere))
}

// remedy says what to do about a run without artifacts.
func (s *Files) remedy(r Run, elsewhere bool) string {
	if !elsewhere {
		return ""
	}
	if hint := remoteHint(r.ArtifactURI); hint != "" {
		return "; artifact_uri is " + withoutUser(r.ArtifactURI) + hint
	}
	// Short, because a large store may have a hundred thousand such runs.
	return fmt.Sprintf(", and artifact_uri (%s) names no place that is looked at: copy the artifacts beside meta.yaml, or set PLR_ARTIFACT_ROOT",
		withoutUser(r.ArtifactURI))
}

// remoteHint says how artifacts that are not on this machine are read; "" where they
// are.
func remoteHint(uri string) string {
	m := scheme.FindStringSubmatch(uri)
	if m == nil || strings.EqualFold(m[1], "file") {
		return ""
	}
	return "; artifacts at " + strings.ToLower(m[1]) + ": come through a tracking server (give its http URL), or from its artifact directory (PLR_ARTIFACT_ROOT)"
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
