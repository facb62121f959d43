package targets

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// places are where, outside a file store, artifacts of the classification runs may lie.
// They are found as the graph is declared, because each is a root of its own: what the
// step that lists the runs, and those that read them, look at there are inputs.
type places struct {
	used []mlflow.Place // best first
	// refused are there, but must not or cannot be looked at; each says why.
	refused []mlflow.Place
	// said is the digest of what the store says of all its experiments' places, of whose
	// places these are and of what they are called by. A root's path is in no key: so no
	// step is fresh by a record of the same names in a place that counts for other runs.
	said string
}

// rootOfPlace names the roots of places, from 1. Their number says no more than which is
// looked at first, so that artifacts which moved with the store are where they were.
func rootOfPlace(place int) string {
	if place == 1 {
		return rootArtifacts
	}
	return rootArtifacts + "-" + strconv.Itoa(place)
}

// outside are the used places; none of a study whose places nobody has looked for.
func (s *study) outside() []mlflow.Place {
	if s.places == nil {
		return nil
	}
	return s.places.used
}

// findPlaces finds the places of the experiment whose runs will be listed.
func (s *study) findPlaces(ctx context.Context, store *mlflow.Files) (*places, error) {
	root := s.settings.ArtifactRoot
	if root != "" {
		switch info, err := os.Stat(root); {
		case err != nil:
			return nil, fmt.Errorf("PLR_ARTIFACT_ROOT (MLFLOW.ARTIFACT_ROOT): %w", err)
		case !info.IsDir():
			return nil, fmt.Errorf("PLR_ARTIFACT_ROOT (MLFLOW.ARTIFACT_ROOT): %s is not a directory", root)
		}
	}
	all, err := store.Experiments(ctx)
	if err != nil {
		return nil, err
	}
	e, found, err := extract.FindClassification(ctx, store, s.indexOptions(), func(e mlflow.Experiment) bool {
		return len(store.Places(e, root)) > 0
	})
	if err != nil {
		return nil, err
	}
	p := new(places)
	if found {
		if p, err = s.placesOf(store, e); err != nil {
			return nil, err
		}
	}
	if root != "" && !slices.ContainsFunc(p.used, func(place mlflow.Place) bool { return place.Given }) {
		s.say("warning: PLR_ARTIFACT_ROOT has no directory for artifacts of the classification experiment: it would be called by the experiment's id, or as the last part of its artifact_location")
	}
	said := []string{e.ID}
	for _, e := range all {
		if e.Lifecycle != mlflow.Deleted {
			said = append(said, strconv.Quote(e.ID), strconv.Quote(e.Location))
		}
	}
	for _, place := range p.used {
		given := ""
		if place.Given {
			given = filepath.Base(place.Dir) // as messages name it
		}
		said = append(said, strconv.FormatBool(place.Named), strconv.Quote(given))
	}
	p.said = digest([]byte(strings.Join(said, " ")))
	return p, nil
}

// placesOf finds the places of an experiment. A place that the user named and that
// cannot be used is an error.
func (s *study) placesOf(store *mlflow.Files, e mlflow.Experiment) (*places, error) {
	p := new(places)
	for _, place := range store.Places(e, s.settings.ArtifactRoot) {
		if place.Err == nil {
			place.Err = s.settings.CheckArtifacts(place.Dir)
		}
		switch {
		case place.Err == nil:
			p.used = append(p.used, place)
		case place.Given:
			return nil, fmt.Errorf("PLR_ARTIFACT_ROOT (MLFLOW.ARTIFACT_ROOT): %s cannot be used: %w", place.Dir, place.Err)
		default:
			p.refused = append(p.refused, place)
		}
	}
	return p, nil
}

// checkPlaces is the error of a store whose runs may lie in other places than those that
// the build has declared.
func (s *study) checkPlaces(ctx context.Context, store mlflow.Store, experiment string) error {
	files, ok := store.(*mlflow.Files)
	if !ok || s.places == nil {
		return nil
	}
	all, err := files.Experiments(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(e mlflow.Experiment) bool { return e.ID == experiment && e.Lifecycle != mlflow.Deleted })
	if i < 0 {
		return errChanged
	}
	now, err := s.placesOf(files, all[i])
	if err == nil && !slices.Equal(now.used, s.places.used) {
		err = errChanged
	}
	return err
}

// placeInputs are the names in the places that the step index looks at.
func (s *study) placeInputs() []build.Input {
	var inputs []build.Input
	for i := range s.outside() {
		for _, pattern := range extract.PlaceInputs() {
			inputs = append(inputs, build.Names(rootOfPlace(i+1), pattern))
		}
	}
	return inputs
}

// tellPlaces writes into the private log where artifacts were looked for. It is in no
// output: what is refused may be another on another machine.
func (s *study) tellPlaces(log *slog.Logger) {
	for _, place := range s.outside() {
		log.Info("artifacts outside the store are looked for", "in", place.Dir)
	}
	if s.places == nil {
		return
	}
	for _, place := range s.places.refused {
		log.Warn("artifacts outside the store are not looked for", "in", place.Dir, "reason", place.Err)
	}
}

// artifact is a file of a run, by its path as the index has it.
func (s *study) artifact(run *extract.IndexedRun, name string) build.Ref {
	if run.Place > 0 {
		return build.Ref{Root: rootOfPlace(run.Place), Path: name}
	}
	return build.Ref{Root: rootStore, Path: s.inStore(name)}
}
