package targets

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/magefile/mage/mg"

	pipeline "github.com/foundation-plr/pipeline"
	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/console"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/fingerprint"
	"github.com/foundation-plr/pipeline/internal/mlflow"
	"github.com/foundation-plr/pipeline/internal/verification"
)

// Roots that steps name their files by.
const (
	rootWorkspace = "workspace" // the checkout: configuration, the example's archive
	rootResults   = "results"   // figures, tables, pipeline.lock
	rootDatabase  = "database"  // the directory of the public database
	rootPrivate   = "private"   // lookup, key, run records, traces
	rootStore     = "store"     // the tracking store
	rootArtifacts = "artifacts" // a directory of artifacts outside a file store, see rootOfPlace
	rootSource    = "source"    // the directory of the source database
)

// Exit codes beside 0 and 1.
const (
	exitUsage = 2
	exitStale = 3
)

// study is one study's settings and everything that its steps share.
type study struct {
	settings  *config.Settings
	code      func(packages []string) (string, error)
	gate      *gate
	stdout    io.Writer
	workspace string
	probe     *probe  // of a tracking store that is no directory, when it was asked
	places    *places // of one's own file store, when they were looked for

	serving sync.Mutex
	server  mlflow.Store // of fetch
}

// open reads the configuration of the current directory and says which study
// it is. It creates nothing.
func open() (*study, error) { return openTo(screen()) }

// openTo is open that says so elsewhere: where standard output is for a
// document that a program reads.
func openTo(stdout io.Writer) (*study, error) {
	s, err := openPart(stdout)
	if err != nil {
		return nil, err
	}
	return s, s.refusePart()
}

// openPart is openTo for the target that RUNS is for.
func openPart(stdout io.Writer) (*study, error) {
	collect()
	go ownCode() //nolint:errcheck // whoever needs it gets the error, too
	workspace, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(workspace, "configs")); err != nil {
		return nil, usage("no directory configs in %s: run from the root of the checkout", workspace)
	}
	settings, err := config.Load(workspace, os.Getenv)
	if err != nil {
		return nil, mg.Fatal(exitUsage, err.Error())
	}
	// Steps read it anew; here it is only asked whether it can be read.
	if _, err := config.LoadRegistry(settings.RegistryPath); err != nil {
		return nil, mg.Fatal(exitUsage, err.Error())
	}
	s := &study{
		settings:  settings,
		gate:      &gate{lookup: filepath.Join(settings.PrivateDir, lookupFile)},
		stdout:    console.Printer(stdout, os.Getenv),
		workspace: workspace,
	}
	guard.Store(s.gate)
	s.code = func(packages []string) (string, error) {
		code, err := ownCode()
		if err != nil {
			return "", err
		}
		full := make([]string, len(packages))
		for i, name := range packages {
			full[i] = pipeline.Module + "/" + name
		}
		return code.Digest(full, pipeline.Module+"/targets")
	}
	// Everything that is printed from now on passes the gate.
	if err := s.gate.check(); err != nil {
		return nil, err
	}
	s.say("%s", settings.StudyWhy)
	if !settings.Flows.Classification {
		s.say("Nothing is extracted, because %s.", classificationOff)
	}
	return s, nil
}

// ownCode is the sources of this program. Parsing them takes some milliseconds, most commands
// need it, and settings can be read meanwhile.
var ownCode = sync.OnceValues(func() (*fingerprint.Code, error) { return fingerprint.Read(pipeline.Sources) })

// say prints a line beside those of a build, in their form.
func (s *study) say(format string, args ...any) {
	s.console().Note(fmt.Sprintf(format, args...))
}

// console is the part of the options that says how lines are printed.
func (s *study) console() build.Options {
	o := build.Options{
		Redact:    s.gate.redact,
		Stdout:    s.stdout,
		LogFormat: s.settings.LogFormat,
		NoColor:   s.settings.NoColor,
	}
	o.Surroundings(os.Getenv)
	return o
}

// example says whether the study is the bundled, synthetic one.
func (s *study) example() bool { return s.settings.Study == config.Example }

// hasStore says whether block 1 can run: a reader who has only the public
// database starts from it. A tracking URI that is configured and cannot be used
// is an error, before anything is begun.
func (s *study) hasStore() (bool, error) {
	switch {
	case !s.settings.Flows.Classification:
		return false, nil
	case s.example():
		return true, nil
	case s.settings.TrackingURI == "":
		return false, nil
	}
	location, err := s.settings.Store()
	switch {
	case err != nil:
	case location.Kind == mlflow.Directory:
		var store *mlflow.Files
		if store, err = mlflow.OpenFiles(location.Path); err == nil {
			if s.places == nil {
				s.places, err = s.findPlaces(context.Background(), store)
			}
			err = errors.Join(err, store.Close())
		}
	default:
		err = s.ask()
	}
	if err != nil {
		return false, usage("%s", s.gate.redact(err.Error()))
	}
	return true, nil
}

// roots are the directories that steps name their files by.
func (s *study) roots() map[string]build.Root {
	roots := map[string]build.Root{
		rootWorkspace: {Path: s.workspace},
		rootResults:   {Path: s.settings.Results},
		rootDatabase:  {Path: filepath.Dir(s.settings.PublicDB)},
		rootPrivate:   {Path: s.settings.PrivateDir, Private: true},
	}
	if root := s.storeRoot(); root != "" {
		roots[rootStore] = build.Root{Path: root, Private: true}
	}
	for i, place := range s.outside() {
		roots[rootOfPlace(i+1)] = build.Root{Path: place.Dir, Private: true}
	}
	if s.settings.SourceDB != "" && !s.example() {
		// That one file: it may lie beside public ones.
		name := filepath.Base(s.settings.SourceDB)
		roots[rootSource] = build.Root{Path: filepath.Dir(s.settings.SourceDB), Private: true, Only: []string{name, name + logSuffix}}
	}
	return roots
}

// graph is the engine's view of the steps.
func (s *study) graph(steps []build.Step) (*build.Graph, error) {
	options := s.console()
	options.Workspace = s.workspace
	options.Roots = s.roots()
	options.PublicCache = filepath.Join(s.workspace, ".cache")
	options.PrivateCache = filepath.Join(s.settings.PrivateDir, "cache")
	options.Code = s.code
	options.Digests = contents
	options.Compare = compare
	options.Gate = s.gate.file
	options.Jobs = s.settings.Jobs
	options.Pools = map[string]int64{poolMemory: s.settings.MemoryBytes}
	options.Force = s.settings.Force
	options.DryRun = s.settings.DryRun
	options.FailFast = s.settings.FailFast
	options.NoWait = s.settings.NoWait
	options.Audit = s.settings.Audit
	options.Target = asked()
	return build.New(options, allRetried(steps))
}

// contents are the digests of what a file means where its bytes do not say it.
var contents = map[string]func(context.Context, string) (string, error){
	contentsOfDatabase: duckfile.Digest,
	contentsOfRelease:  releaseDigest,
}

// contentsOfDatabase is the kind of input of readers of the public database:
// schema and ordered rows, because the bytes of a DuckDB file are not a
// function of its contents.
const contentsOfDatabase = verification.Contents

// closePrivate makes the private directory, or closes one that is there to
// others: its own mode, the files in it and those in its folders of ledgers and
// records. A directory inside a checkout is kept out of git.
func (s *study) closePrivate() error {
	private := s.settings.PrivateDir
	if err := os.MkdirAll(filepath.Dir(private), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(private, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	ignore := filepath.Join(private, ".gitignore")
	if _, err := os.Lstat(ignore); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(ignore, []byte("*\n"), 0o600); err != nil {
			return err
		}
	}
	for _, dir := range []string{private, filepath.Join(private, "runs"), filepath.Join(private, partDir)} {
		if err := closeDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// closeDir takes the rights of others from a directory and the files in it.
func closeDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range append(entries, nil) {
		name, mode := dir, fs.FileMode(0o700)
		if e != nil {
			name, mode = filepath.Join(dir, e.Name()), 0o600
		}
		info, err := os.Lstat(name)
		if err != nil {
			return err
		}
		if e != nil && !info.Mode().IsRegular() {
			continue
		}
		if info.Mode().Perm()&0o077 != 0 {
			if err := os.Chmod(name, mode); err != nil {
				return fmt.Errorf("%s is open to others and cannot be closed: %w", name, err)
			}
		}
	}
	return nil
}

// usage is an error of whoever called: exit code 2.
func usage(format string, args ...any) error {
	return mg.Fatal(exitUsage, fmt.Sprintf(format, args...))
}
