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
	digest   string            // of the index; "" if nothing is known of it
	upstream string            // digest of what the flows before classification hold; the same
	base     string            // see extract.Index
	files    []mlflow.Download // that its used runs have on a server
	// unreachable is why a server could not be asked. Then the digest is that of
	// the index of the last build.
	unreachable error
}

// probed are the places that the probe has looked at or keeps copies in, which
// the steps that ask the store again look at, too.
func (s *study) probed() []string {
	places := []string{s.downloads()}
	if s.probe == nil {
		return places
	}
	if location, err := s.settings.Store(); err == nil && location.Kind == mlflow.Database {
		file, err := filepath.EvalSymlinks(location.Path)
		if err != nil {
			file = location.Path // it is not there; who reads it says so
		}
		// Its log and journal lie beside it, not beside a link to it.
		places = append(places, location.Path, file, file+"-wal", file+"-shm", file+"-journal")
	}
	if s.probe.base != "" {
		places = append(places, s.storeRoot())
	}
	return places
}

// downloads is the directory of copies and of what tracking servers sent.
func (s *study) downloads() string { return filepath.Join(s.settings.PrivateDir, scratchDir) }

// prune removes the downloads that no used run of the tracking store has. It
// wants the lock of a build.
func (s *study) prune(wanted []mlflow.Download, dry bool) (mlflow.Pruned, error) {
	if s.example() {
		return mlflow.Pruned{}, nil
	}
	location, err := s.settings.Store()
	if err != nil {
		return mlflow.Pruned{}, err
	}
	pruned, err := mlflow.Prune(s.downloads(), location, wanted, dry)
	if err != nil {
		return pruned, fmt.Errorf("downloads that are of no use any more: %w", err)
	}
	return pruned, nil
}

// openStore opens the tracking store.
func (s *study) openStore(ctx context.Context) (mlflow.Store, error) {
	location, err := s.settings.Store()
	if err != nil {
		return nil, err
	}
	return mlflow.Open(ctx, location, mlflow.Options{
		Getenv:       os.Getenv,
		Scratch:      s.downloads(),
		ArtifactRoot: s.settings.ArtifactRoot,
		Places:       s.outside(),
	})
}

// indexOf lists the runs of a tracking store.
func (s *study) indexOf(ctx context.Context, store mlflow.Store, registry *config.Registry) (*extract.Index, error) {
	return extract.ReadIndex(ctx, store, registry, s.indexOptions())
}

func (s *study) indexOptions() extract.IndexOptions {
	return extract.IndexOptions{
		Experiment: s.settings.Experiment,
		Exclude:    s.settings.Exclude,
		Upstream:   s.settings.Flows.Upstream,
	}
}

// withStore opens the tracking store for a while.
func (s *study) withStore(ctx context.Context, read func(mlflow.Store) error) error {
	store, err := s.openStore(ctx)
	if err != nil {
		return err
	}
	return errors.Join(read(store), store.Close())
}

// listedOnce is a store that is asked once for the runs of an experiment: a
// server sends them page by page, and they belong together.
type listedOnce struct {
	mlflow.Store
	runs map[string][]mlflow.Run
}

// Runs lists the runs of an experiment like [mlflow.Store.Runs].
func (o listedOnce) Runs(ctx context.Context, e mlflow.Experiment) ([]mlflow.Run, error) {
	if found, ok := o.runs[e.ID]; ok {
		return found, nil
	}
	found, err := o.Store.Runs(ctx, e)
	if err == nil {
		o.runs[e.ID] = found
	}
	return found, err
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
	var index *extract.Index
	stages := new(extract.Upstream)
	err = s.withStore(ctx, func(store mlflow.Store) error {
		store = listedOnce{store, map[string][]mlflow.Run{}}
		var err error
		if index, err = s.indexOf(ctx, store, registry); err == nil && s.tabulates() {
			stages, err = extract.ReadUpstream(ctx, store, registry, s.settings.Flows.Upstream)
		}
		return err
	})
	switch {
	case errors.Is(err, mlflow.ErrUnreachable):
		s.probe = &probe{unreachable: err}
		known := "nothing is known of its runs"
		for _, last := range []struct {
			name string
			sum  *string
		}{{indexFile, &s.probe.digest}, {upstreamFile, &s.probe.upstream}} {
			data, readErr := os.ReadFile(filepath.Join(s.settings.PrivateDir, last.name))
			switch {
			case readErr == nil:
				*last.sum = digest(data)
				known = "this goes by what it held at the last build"
			case !errors.Is(readErr, fs.ErrNotExist):
				return readErr
			}
		}
		fmt.Fprintf(s.stdout, "warning: %s; %s\n", s.gate.redact(err.Error()), known)
		return nil
	case err != nil:
		return err
	}
	if err := s.checkBase(index.Base); err != nil {
		return err
	}
	if n := index.Unversioned(); n > 0 {
		s.say("warning: for %d runs the tracking server gives no lasting ETag: a file that was replaced by one of the same size counts as fresh; "+
			"FORCE='run:*' mage extract downloads and reads all of them again", n)
	}
	s.probe = &probe{base: index.Base, files: index.Downloads()}
	if s.probe.digest, err = encoded(index); err != nil || !s.tabulates() {
		return err
	}
	s.probe.upstream, err = encoded(stages)
	return err
}

// encoded is the digest of the file that would hold a value.
func encoded(v any) (string, error) {
	hash := blake3.New()
	err := extract.Encode(hash, v)
	return hex.EncodeToString(hash.Sum(nil)), err
}

func digest(data []byte) string {
	sum := blake3.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// checkBase refuses artifacts whose common directory holds what a build writes, or lies
// among it.
func (s *study) checkBase(base string) error {
	if base == "" {
		return nil
	}
	if err := s.settings.CheckArtifacts(base); err != nil {
		return fmt.Errorf("the artifacts of the tracking store have no directory in common but %s, and %w: "+
			"bring them together elsewhere and name the place in PLR_ARTIFACT_ROOT", base, err)
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
