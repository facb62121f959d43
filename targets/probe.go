package targets

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// scratchDir, in the private directory, holds copies of databases while they are
// read and what tracking servers sent. All of it can be had again.
const scratchDir = "downloads"

// probe is what a tracking store that is no directory holds as the graph is
// declared. The engine sees files, and the state of such a store is in none: it is
// asked before every decision, like the version of a tool, and the digest of its
// index is a parameter of the step that writes the index.
type probe struct {
	digest string // of the index; "" if nothing is known of it
	base   string // see extract.Index
	// unreachable is why a server could not be asked. Then the digest is that of
	// the index of the last build.
	unreachable error
}

// probed are the places that the probe has looked at or keeps copies in, which
// the steps that ask the store again look at, too.
func (s *study) probed() []string {
	places := []string{filepath.Join(s.settings.PrivateDir, scratchDir)}
	if location, err := s.settings.Store(); err == nil && location.Kind == mlflow.Database {
		// Its log and journal lie beside it.
		places = append(places, location.Path, location.Path+"-wal", location.Path+"-shm", location.Path+"-journal")
	}
	if s.probe.base != "" {
		places = append(places, s.storeRoot())
	}
	return places
}

// openStore opens the tracking store.
func (s *study) openStore(ctx context.Context) (mlflow.Store, error) {
	location, err := s.settings.Store()
	if err != nil {
		return nil, err
	}
	return mlflow.Open(ctx, location, mlflow.Options{
		Getenv:       os.Getenv,
		Scratch:      filepath.Join(s.settings.PrivateDir, scratchDir),
		ArtifactRoot: s.settings.ArtifactRoot,
	})
}

// readIndex lists the runs of the tracking store.
func (s *study) readIndex(ctx context.Context, registry *config.Registry) (*extract.Index, error) {
	store, err := s.openStore(ctx)
	if err != nil {
		return nil, err
	}
	index, err := extract.ReadIndex(ctx, store, registry, extract.IndexOptions{
		Experiment: s.settings.Experiment,
		Exclude:    s.settings.Exclude,
	})
	return index, errors.Join(err, store.Close())
}

// ask probes a database or a tracking server, once. A server that does not answer
// is no error: that and what is known of it is in the probe.
func (s *study) ask() error {
	if s.probe != nil {
		return nil
	}
	// Mage's own context does not reach the places that declare steps.
	ctx, stop := build.Context(context.Background())
	defer stop()
	registry, err := config.LoadRegistry(s.settings.RegistryPath)
	if err != nil {
		return err
	}
	index, err := s.readIndex(ctx, registry)
	switch {
	case errors.Is(err, mlflow.ErrUnreachable):
		s.probe = &probe{unreachable: err}
		known := "nothing is known of its runs"
		data, readErr := os.ReadFile(filepath.Join(s.settings.PrivateDir, indexFile))
		switch {
		case readErr == nil:
			s.probe.digest = digest(data)
			known = "this goes by what it held at the last build"
		case !errors.Is(readErr, fs.ErrNotExist):
			return readErr
		}
		fmt.Fprintf(s.stdout, "warning: %s; %s\n", s.gate.redact(err.Error()), known)
		return nil
	case err != nil:
		return err
	}
	if err := s.checkBase(index.Base); err != nil {
		return err
	}
	s.probe, err = newProbe(index)
	return err
}

func newProbe(index *extract.Index) (*probe, error) {
	data, err := extract.EncodeJSON(index)
	return &probe{digest: digest(data), base: index.Base}, err
}

func digest(data []byte) string {
	sum := blake3.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkBase refuses artifacts whose common directory holds what a build writes:
// all below it is private.
func (s *study) checkBase(base string) error {
	if base == "" {
		return nil
	}
	for _, written := range []string{s.workspace, s.settings.Results, filepath.Dir(s.settings.PublicDB), s.settings.PrivateDir} {
		if rel, err := filepath.Rel(base, written); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("the artifacts of the tracking store have no directory in common but %s, which holds %s, too: "+
				"bring them together elsewhere and name the place in PLR_ARTIFACT_ROOT", base, written)
		}
	}
	return nil
}

// reached is the error of a build that needs a server which does not answer.
func (s *study) reached() error {
	if s.probe == nil || s.probe.unreachable == nil {
		return nil
	}
	return fmt.Errorf("%w; to begin from the public database as it is: mage reproduceFromCheckpoint", s.probe.unreachable)
}

// listed is readIndex for the step that writes the index: a store that was probed
// must still be what it was.
func (s *study) listed(ctx context.Context, registry *config.Registry) (*extract.Index, error) {
	index, err := s.readIndex(ctx, registry)
	if err != nil || s.probe == nil {
		return index, err
	}
	now, err := newProbe(index)
	if err != nil {
		return nil, err
	}
	if *now != *s.probe {
		return nil, errors.New("the tracking store changed while the build began; run it again")
	}
	return index, nil
}

// fetch brings the files of a run from its tracking server. All steps share its
// connections, which end with the program.
func (s *study) fetch(ctx context.Context, run extract.IndexedRun) (pickle, codes string, err error) {
	s.serving.Lock()
	if s.server == nil {
		s.server, err = s.openStore(ctx)
	}
	s.serving.Unlock()
	if err != nil {
		return "", "", err
	}
	return run.Fetch(ctx, s.server)
}
