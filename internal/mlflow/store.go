// Package mlflow reads MLflow tracking stores: experiments, runs, params, tags,
// metrics and artifacts of file stores, SQLite databases and tracking servers.
//
// It only ever reads: MLflow's own client makes directories in a store that it
// opens, this package makes none, and what it needs to write (a copy of a
// database that is in use, artifacts that a server sends) goes into a directory
// that its caller names. It knows nothing of what the runs mean, of pickles or
// of subjects. No error holds a password or a token.
package mlflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/cenkalti/backoff/v5"
)

// Store is a tracking store, whatever keeps it. Its methods may be called by
// several goroutines.
type Store interface {
	// String says which store it is, as messages name it: a path or a URL
	// without user and password.
	String() string
	// Dirs are the directories below which all artifacts lie, that of a file store
	// first; none if they may lie anywhere or are on a server.
	Dirs() []string
	// Experiments lists the experiments, active ones before deleted ones.
	Experiments(ctx context.Context) ([]Experiment, error)
	// Runs lists the runs of an experiment by id, deleted ones too.
	Runs(ctx context.Context, e Experiment) ([]Run, error)
	// Params returns the named params of a run, or all of them when none is
	// named. A param that the run lacks is not in the map; "" is a value.
	Params(ctx context.Context, r Run, names ...string) (map[string]string, error)
	// Tags returns the named tags of a run like Params.
	Tags(ctx context.Context, r Run, names ...string) (map[string]string, error)
	// Metrics returns the latest values of the named metrics of a run, or of all
	// of them when none is named. A metric that the run lacks is not in the map.
	Metrics(ctx context.Context, r Run, names ...string) (map[string]Metric, error)
	// ExperimentTag returns a tag of an experiment; false means that it has none.
	ExperimentTag(ctx context.Context, e Experiment, key string) (string, bool, error)
	// Artifacts lists the files in one directory of a run's artifacts (not
	// below it), sorted by name. A directory that does not exist has none.
	// Where a run has no artifacts at all the error wraps ErrNoArtifacts.
	Artifacts(ctx context.Context, r Run, dir string) ([]Artifact, error)
	// Version is what tells, without a look at its bytes, that an artifact of a
	// server is not the one that it was: another version means that. It is ""
	// where the server says nothing that would, and for a file of this machine.
	Version(ctx context.Context, r Run, a Artifact) (string, error)
	// Fetch returns the path of an artifact on this machine. What has to come
	// from a server is downloaded, unless it already was. An artifact that is not
	// of the version that it is asked for by is an error that wraps ErrReplaced.
	Fetch(ctx context.Context, r Run, a Artifact) (string, error)
	Close() error
}

// Options are what a store needs besides its place. The zero value does for
// file stores.
type Options struct {
	// Getenv gives the MLFLOW_TRACKING_ variables of a server's credentials and
	// TLS settings; nil is none.
	Getenv func(string) string
	// Scratch is a private directory for copies of databases that are in use
	// and for artifacts that a server sends. It is made when it is needed.
	Scratch string
	// ArtifactRoot is the directory where the artifacts of a database's runs
	// lie as EXPERIMENT/RUN/artifacts, for a store that was moved or whose
	// artifacts a server keeps; "" is none.
	ArtifactRoot string
	// Places are the directories outside a file store that its artifacts are looked
	// for in, see [Files.Places].
	Places []Place

	wait func() backoff.BackOff // between tries of a request; nil is as it should be
}

// Open opens a store. The error says what is not there, or what it is instead.
func Open(ctx context.Context, l Location, o Options) (Store, error) {
	switch l.Kind {
	case Directory:
		return opened(OpenFiles(l.Path, o.Places...))
	case Database:
		return opened(openDatabase(ctx, l.Path, o))
	case Server:
		return opened(openServer(ctx, l, o))
	}
	return nil, errors.New("no tracking store")
}

// opened keeps a nil pointer from becoming a Store that is not nil.
func opened[S Store](s S, err error) (Store, error) {
	if err != nil {
		return nil, err
	}
	return s, nil
}

// runNameTag was the only place of a run's name before MLflow 1.30.
const runNameTag = "mlflow.runName"

// Status is what MLflow says of a run's life. A run whose process died stays
// Running for ever.
type Status int

// The numbers are MLflow's (protos/service.proto).
const (
	Running   Status = 1
	Scheduled Status = 2
	Finished  Status = 3
	Failed    Status = 4
	Killed    Status = 5
)

func (s Status) String() string {
	switch s {
	case Running:
		return "RUNNING"
	case Scheduled:
		return "SCHEDULED"
	case Finished:
		return "FINISHED"
	case Failed:
		return "FAILED"
	case Killed:
		return "KILLED"
	}
	return "status " + strconv.Itoa(int(s))
}

// Lifecycle says whether an experiment or a run has been deleted. Deleted runs
// keep their directory and artifacts.
type Lifecycle string

// Lifecycle stages.
const (
	Active  Lifecycle = "active"
	Deleted Lifecycle = "deleted"
)

// Experiment is a collection of runs.
type Experiment struct {
	ID        string
	Name      string // unique in a file store only; elsewhere in a workspace
	Lifecycle Lifecycle
	Dir       string // in a file store: slash path below its root
	Location  string // in a file store: artifact_location, as written when it was made
	Err       error  // why its metadata cannot be used; then Name is empty and Lifecycle may be

	tags map[string]string // outside of file stores
}

// Run is one run of an experiment.
type Run struct {
	ID          string // in a file store the name of its directory
	Experiment  string // id
	Name        string // "" if it has none; not unique
	Status      Status
	Lifecycle   Lifecycle
	Start, End  int64  // Unix time in milliseconds, 0 if absent
	ArtifactURI string // as written when the run was made; the store may have moved since
	Dir         string // in a file store: slash path below its root
	Err         error  // why its metadata cannot be used; then only ID, Experiment and Dir hold

	data *runData // outside of file stores
}

// runData is what a database or a server tells of a run together with it.
type runData struct {
	params, tags map[string]string
	metrics      map[string]Metric // nil: not asked for yet
}

// Metric is the latest value of a metric: that of the largest step, then time,
// then value. It may be NaN or infinite.
type Metric struct {
	Value float64
	Step  int64
	Time  int64 // Unix time in milliseconds
}

// later says whether MLflow would call m the latest value rather than o.
func (m Metric) later(o Metric) bool {
	return cmp.Or(cmp.Compare(m.Step, o.Step), cmp.Compare(m.Time, o.Time), cmp.Compare(m.Value, o.Value)) > 0
}

// Artifact is a file among a run's artifacts.
type Artifact struct {
	Name    string // slash path below the run's artifacts
	File    string // where it lies on this machine; "" if it is on a server
	Size    int64  // bytes; -1 if the server does not say
	Version string // see [Store.Version]; "" is any
}

// chosen returns the named values, or all when none is named.
func chosen[V any](values map[string]V, names []string) map[string]V {
	found := map[string]V{}
	if len(names) == 0 {
		maps.Copy(found, values)
	}
	for _, name := range names {
		if v, ok := values[name]; ok {
			found[name] = v
		}
	}
	return found
}

// parseStatus reads a status as databases and servers write it. Runs that have
// none are running.
func parseStatus(text string) (Status, error) {
	if text == "" {
		return Running, nil
	}
	for s := Running; s <= Killed; s++ {
		if s.String() == text {
			return s, nil
		}
	}
	return 0, fmt.Errorf("has the status %q, which MLflow does not know", text)
}

// parseLifecycle reads a lifecycle stage; before there were any, all was active.
func parseLifecycle(text string) (Lifecycle, error) {
	switch Lifecycle(text) {
	case "":
		return Active, nil
	case Active:
		return Active, nil // not the text, which is a part of a file that need not stay
	case Deleted:
		return Deleted, nil
	}
	return "", fmt.Errorf("has the lifecycle_stage %q, which is neither active nor deleted", text)
}
