package mlflow

import (
	"errors"
	"fmt"
	"path"
	"strconv"
)

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

// Experiment is a directory of runs.
type Experiment struct {
	ID        string
	Name      string
	Lifecycle Lifecycle
	Dir       string // slash path below the store's root
	Err       error  // why meta.yaml cannot be used; then Name is empty and Lifecycle may be
}

// Run is a run directory with a meta.yaml.
type Run struct {
	ID          string // the name of its directory
	Experiment  string // id
	Name        string // "" if it has none; not unique
	Status      Status
	Lifecycle   Lifecycle
	Start, End  int64  // Unix time in milliseconds, 0 if absent
	ArtifactURI string // as written when the run was made; the store may have moved since
	Dir         string // slash path below the store's root
	Err         error  // why meta.yaml cannot be used; then only ID, Experiment and Dir hold
}

// Experiments lists the experiments by id, deleted ones (in .trash) last. One
// whose meta.yaml is damaged is listed with its Err. What has no number for a
// name or no meta.yaml is no experiment.
func (s *Store) Experiments() ([]Experiment, error) {
	var found []Experiment
	for _, dir := range []string{".", trash} {
		names, err := s.list(dir)
		if dir == trash && absent(err) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("tracking store %s: list experiments: %w", s.path, err)
		}
		for _, id := range names {
			if !isNumber(id) {
				continue
			}
			e := Experiment{ID: id, Dir: path.Join(dir, id)}
			m, err := s.meta(e.Dir)
			if absent(err) {
				continue
			}
			if err == nil {
				err = e.fill(m)
			}
			if err != nil {
				e.Err = fmt.Errorf("experiment %s: %w", id, err)
			}
			if dir == trash {
				e.Lifecycle = Deleted
			}
			found = append(found, e)
		}
	}
	return found, nil
}

func (e *Experiment) fill(m meta) error {
	var errs []error
	id, err := m.text("experiment_id")
	if err == nil && id != "" && id != e.ID {
		err = fmt.Errorf("meta.yaml has experiment_id %q, the directory is named %q", id, e.ID)
	}
	errs = append(errs, err)
	e.Name, err = m.text("name")
	errs = append(errs, err)
	e.Lifecycle, err = m.lifecycle()
	return errors.Join(append(errs, err)...)
}

// Runs lists the runs of an experiment by id. A directory without meta.yaml is
// no run; a run whose meta.yaml is damaged, or leaves the store through a
// link, is listed with its Err.
func (s *Store) Runs(e Experiment) ([]Run, error) {
	names, err := s.list(e.Dir)
	if err != nil {
		return nil, fmt.Errorf("tracking store %s: list the runs of experiment %s: %w", s.path, e.ID, err)
	}
	var runs []Run
	for _, id := range names {
		if isReserved(id) {
			continue
		}
		r, ok := s.run(e, id)
		if ok {
			runs = append(runs, r)
		}
	}
	return runs, nil
}

func (s *Store) run(e Experiment, id string) (Run, bool) {
	r := Run{ID: id, Experiment: e.ID, Dir: path.Join(e.Dir, id)}
	m, err := s.meta(r.Dir)
	if absent(err) {
		return Run{}, false
	}
	if err == nil {
		err = r.fill(m)
	}
	if err == nil && r.Name == "" {
		// The tag was the only place of the name before MLflow 1.30.
		var ok bool
		if r.Name, ok, err = s.Tag(r, "mlflow.runName"); err == nil && !ok {
			r.Name, err = m.text("name") // before there were tags
		}
	}
	if err != nil {
		r = Run{ID: r.ID, Experiment: r.Experiment, Dir: r.Dir, Err: fmt.Errorf("run %s: %w", id, err)}
	}
	return r, true
}

// fill takes the fields of a meta.yaml. Absent ones have the meaning that they
// had when MLflow did not write them yet.
func (r *Run) fill(m meta) error {
	var errs []error
	for _, key := range []string{"run_id", "run_uuid"} {
		id, err := m.text(key)
		if err == nil && id != "" && id != r.ID {
			err = fmt.Errorf("meta.yaml has %s %q, the directory is named %q", key, id, r.ID)
		}
		errs = append(errs, err)
	}
	experiment, err := m.text("experiment_id")
	if err == nil && experiment != "" && experiment != r.Experiment {
		err = fmt.Errorf("meta.yaml has experiment_id %q, the run lies in %q", experiment, r.Experiment)
	}
	errs = append(errs, err)
	r.Name, err = m.text("run_name")
	errs = append(errs, err)
	r.ArtifactURI, err = m.text("artifact_uri")
	errs = append(errs, err)
	r.Lifecycle, err = m.lifecycle()
	errs = append(errs, err)
	status, err := m.integer("status", int64(Running))
	if err == nil && (status < int64(Running) || status > int64(Killed)) {
		err = fmt.Errorf("meta.yaml has status %d, which is none of 1 to 5", status)
	}
	r.Status = Status(status)
	errs = append(errs, err)
	r.Start, err = m.integer("start_time", 0)
	errs = append(errs, err)
	r.End, err = m.integer("end_time", 0)
	return errors.Join(append(errs, err)...)
}

// Params returns the named params of a run, or all of them when none is named.
// A param that the run lacks is not in the map; "" is a value.
func (s *Store) Params(r Run, names ...string) (map[string]string, error) {
	values, err := s.values(path.Join(r.Dir, "params"), names)
	if err != nil {
		return nil, fmt.Errorf("run %s: params: %w", r.ID, err)
	}
	return values, nil
}

// Tags returns the named tags of a run like Params.
func (s *Store) Tags(r Run, names ...string) (map[string]string, error) {
	values, err := s.values(path.Join(r.Dir, "tags"), names)
	if err != nil {
		return nil, fmt.Errorf("run %s: tags: %w", r.ID, err)
	}
	return values, nil
}

// Tag returns a tag of a run; false means that it has none.
func (s *Store) Tag(r Run, key string) (string, bool, error) {
	v, ok, err := s.value(path.Join(r.Dir, "tags"), key)
	if err != nil {
		return "", false, fmt.Errorf("run %s: tag: %w", r.ID, err)
	}
	return v, ok, nil
}

// ExperimentTag returns a tag of an experiment; false means that it has none.
func (s *Store) ExperimentTag(e Experiment, key string) (string, bool, error) {
	v, ok, err := s.value(path.Join(e.Dir, "tags"), key)
	if err != nil {
		return "", false, fmt.Errorf("experiment %s: tag: %w", e.ID, err)
	}
	return v, ok, nil
}

// isNumber reports whether name can be the id of an experiment: digits only.
func isNumber(name string) bool {
	for i := range len(name) {
		if name[i] < '0' || name[i] > '9' {
			return false
		}
	}
	return name != ""
}

func isReserved(name string) bool {
	for _, r := range reserved {
		if name == r {
			return true
		}
	}
	return false
}
