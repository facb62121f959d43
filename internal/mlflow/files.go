package mlflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Limits of the files that are read whole. A meta.yaml has 500 bytes and a
// param of MLflow at most 8,000 characters; what is far larger is no such file.
const (
	maxMeta  = 1 << 20
	maxValue = 1 << 20
	// A metric has a line of some 40 bytes for each step.
	maxHistory = 1 << 28
)

// ErrLeaves is wrapped by errors about a symbolic link that leaves the store.
var ErrLeaves = errors.New("a symbolic link leaves the store")

// reserved are the names that MLflow uses inside an experiment beside runs.
var reserved = []string{"tags", "datasets", "traces", "models", ".trash"}

// trash holds deleted experiments, moved there whole.
const trash = ".trash"

// Files is an open file store. The directories of its experiments and runs are
// slash paths below its root. It never leaves its root, but for the places that it was
// opened with: a symbolic link that points outside is an error.
type Files struct {
	root   *os.Root
	path   string // absolute, as given
	real   string // absolute, links resolved
	trees  fs.FS
	places []*openPlace
}

// OpenFiles opens the store in the directory at location, with the places outside it
// that artifacts are looked for in, see [Files.Places]. The error says whether
// there is nothing, a file, or a directory that is no store.
func OpenFiles(location string, places ...Place) (*Files, error) {
	abs, err := filepath.Abs(location)
	if err != nil {
		return nil, fmt.Errorf("tracking store %s: %w", location, err)
	}
	info, err := os.Stat(abs)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("tracking store %s: %w; give the directory that holds the experiments (often called mlruns)", abs, fs.ErrNotExist)
	case err != nil:
		return nil, fmt.Errorf("tracking store: %w", err)
	case !info.IsDir() && isDatabase(abs):
		return nil, fmt.Errorf("tracking store %s: is a SQLite database; write sqlite:///%s", abs, abs)
	case !info.IsDir():
		return nil, fmt.Errorf("tracking store %s: is a file, not a directory; %s", abs, Accepted)
	}
	resolved, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, fmt.Errorf("tracking store: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("tracking store: %w", err)
	}
	s := &Files{root: root, path: abs, real: resolved, trees: root.FS()}
	for _, p := range places {
		s.places = append(s.places, &openPlace{Place: p})
	}
	experiments, err := s.Experiments(context.Background())
	if err == nil && len(experiments) == 0 {
		err = fmt.Errorf("tracking store %s: is a directory but no MLflow store: it holds no experiment (a directory named by a number with a meta.yaml)%s", abs, s.hint())
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// hint says where the store probably is.
func (s *Files) hint() string {
	if s.isFile("meta.yaml") {
		return "; it looks like an experiment or a run of a store: give the store's own directory, above it"
	}
	if info, err := s.root.Stat("mlruns"); err == nil && info.IsDir() {
		return "; perhaps " + filepath.Join(s.path, "mlruns") + " is meant"
	}
	return ""
}

// Close releases the directories.
func (s *Files) Close() error {
	err := s.root.Close()
	for _, p := range s.places {
		err = errors.Join(err, p.close())
	}
	return err
}

// String returns the absolute path of the store's directory.
func (s *Files) String() string { return s.path }

// Dirs returns the same, and the places that the store was opened with.
func (s *Files) Dirs() []string {
	dirs := []string{s.path}
	for _, p := range s.places {
		dirs = append(dirs, p.Dir)
	}
	return dirs
}

// read returns the content of a regular file below the root.
func (s *Files) read(name string, limit int64) ([]byte, error) {
	// Without O_NONBLOCK the open of a FIFO would wait for a writer for ever.
	f, err := s.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, leaving(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("longer than %d bytes", limit)}
	}
	return data, nil
}

// value reads a param or tag file: its whole content is the value. False
// means that there is none.
func (s *Files) value(dir, key string) (string, bool, error) {
	if !fs.ValidPath(key) || key == "." {
		return "", false, fmt.Errorf("%s: %q cannot be the name of a param or tag", dir, key)
	}
	name := path.Join(dir, key)
	data, err := s.read(name, maxValue)
	if absent(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if !utf8.Valid(data) {
		return "", false, &fs.PathError{Op: "read", Path: name, Err: errors.New("not UTF-8")}
	}
	return string(data), true, nil
}

// values reads the named files below dir, or all of them when none is named.
func (s *Files) values(dir string, keys []string) (map[string]string, error) {
	if len(keys) == 0 {
		var err error
		if keys, err = s.keys(dir); err != nil {
			return nil, err
		}
	}
	found := map[string]string{}
	for _, key := range keys {
		v, ok, err := s.value(dir, key)
		if err != nil {
			return nil, err
		}
		if ok {
			found[key] = v
		}
	}
	return found, nil
}

// keys lists the files below a directory of params, tags or metrics. A key with
// slashes is a file in subdirectories.
func (s *Files) keys(dir string) ([]string, error) {
	var keys []string
	err := fs.WalkDir(s.trees, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if name == dir && absent(err) {
				return fs.SkipAll
			}
			return leaving(err)
		}
		if !d.IsDir() {
			keys = append(keys, strings.TrimPrefix(name, dir+"/"))
		}
		return nil
	})
	return keys, err
}

func (s *Files) isFile(name string) bool {
	info, err := s.root.Stat(filepath.FromSlash(name))
	return err == nil && info.Mode().IsRegular()
}

// list returns the names of the directories (and of links, which may be some)
// in a directory, sorted.
func (s *Files) list(dir string) ([]string, error) {
	entries, err := readDir(s.root, dir)
	if err != nil {
		return nil, leaving(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// readDir lists a directory below root, sorted by name. Something else in its
// place is an error that satisfies absent: the open of a FIFO does not wait for a
// writer.
func readDir(root *os.Root, dir string) ([]fs.DirEntry, error) {
	f, err := root.OpenFile(filepath.FromSlash(dir), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading only
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// absent reports whether an error says that there is no such file. A file in
// the place of a directory above it is the same.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// leaving turns os.Root's refusal, which has no exported error, into ErrLeaves.
func leaving(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) && pe.Err.Error() == "path escapes from parent" {
		return &fs.PathError{Op: pe.Op, Path: filepath.ToSlash(pe.Path), Err: ErrLeaves}
	}
	return err
}

// Experiments lists the experiments by id, deleted ones (in .trash) last. One
// whose meta.yaml is damaged is listed with its Err. What has no number for a
// name or no meta.yaml is no experiment.
func (s *Files) Experiments(context.Context) ([]Experiment, error) {
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
	e.Location, err = m.text("artifact_location")
	errs = append(errs, err)
	e.Lifecycle, err = m.lifecycle()
	return errors.Join(append(errs, err)...)
}

// Runs lists the runs of an experiment by id. A directory without meta.yaml is
// no run; a run whose meta.yaml is damaged, or leaves the store through a
// link, is listed with its Err.
func (s *Files) Runs(_ context.Context, e Experiment) ([]Run, error) {
	var runs []Run
	_, err := s.AnyRun(e, func(r Run) bool {
		runs = append(runs, r)
		return false
	})
	return runs, err
}

// AnyRun says whether a function holds for a run of an experiment. It reads runs as
// Runs does, until it has found one.
func (s *Files) AnyRun(e Experiment, is func(Run) bool) (bool, error) {
	names, err := s.list(e.Dir)
	if err != nil {
		return false, fmt.Errorf("tracking store %s: list the runs of experiment %s: %w", s.path, e.ID, err)
	}
	for _, id := range names {
		if isReserved(id) {
			continue
		}
		if r, ok := s.run(e, id); ok && is(r) {
			return true, nil
		}
	}
	return false, nil
}

func (s *Files) run(e Experiment, id string) (Run, bool) {
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
		if r.Name, ok, err = s.tag(r, runNameTag); err == nil && !ok {
			r.Name, err = m.text("name") // before there were tags
		}
	}
	if err != nil {
		r = Run{ID: r.ID, Experiment: r.Experiment, Dir: r.Dir, Err: fmt.Errorf("run %s: %w", id, err)}
	}
	// Both are parts of the text of the file, which is five times as long.
	r.Name, r.ArtifactURI = strings.Clone(r.Name), strings.Clone(r.ArtifactURI)
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
func (s *Files) Params(_ context.Context, r Run, names ...string) (map[string]string, error) {
	values, err := s.values(path.Join(r.Dir, "params"), names)
	if err != nil {
		return nil, fmt.Errorf("run %s: params: %w", r.ID, err)
	}
	return values, nil
}

// Tags returns the named tags of a run like Params.
func (s *Files) Tags(_ context.Context, r Run, names ...string) (map[string]string, error) {
	values, err := s.values(path.Join(r.Dir, "tags"), names)
	if err != nil {
		return nil, fmt.Errorf("run %s: tags: %w", r.ID, err)
	}
	return values, nil
}

func (s *Files) tag(r Run, key string) (string, bool, error) {
	v, ok, err := s.value(path.Join(r.Dir, "tags"), key)
	if err != nil {
		return "", false, fmt.Errorf("run %s: tag: %w", r.ID, err)
	}
	return v, ok, nil
}

// Metrics returns the latest values of the named metrics of a run, or of all of
// them when none is named. An empty file is no metric: MLflow leaves one when it
// is interrupted.
func (s *Files) Metrics(_ context.Context, r Run, names ...string) (map[string]Metric, error) {
	fail := func(err error) (map[string]Metric, error) {
		return nil, fmt.Errorf("run %s: metrics: %w", r.ID, err)
	}
	dir := path.Join(r.Dir, "metrics")
	keys := names
	if len(names) == 0 {
		var err error
		if keys, err = s.keys(dir); err != nil {
			return fail(err)
		}
	}
	metrics := map[string]Metric{}
	for _, key := range keys {
		name := path.Join(dir, key)
		data, err := s.read(name, maxHistory)
		if len(names) > 0 && absent(err) {
			continue
		}
		if err != nil {
			return fail(err)
		}
		m, ok, err := latest(string(data))
		if err != nil {
			return fail(&fs.PathError{Op: "read", Path: name, Err: err})
		}
		if ok {
			metrics[key] = m
		}
	}
	return metrics, nil
}

// latest reads a metric file: lines of a time, a value and a step, which old
// ones lack; newer versions of MLflow may write more after it.
func latest(history string) (Metric, bool, error) {
	var best Metric
	found := false
	for line := range strings.Lines(history) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) == 1 {
			return Metric{}, false, fmt.Errorf("the line %q is no time, value and step", strings.TrimSpace(line))
		}
		var m Metric
		var err error
		if m.Time, err = strconv.ParseInt(fields[0], 10, 64); err == nil {
			m.Value, err = strconv.ParseFloat(fields[1], 64)
		}
		// A number too large for a double is infinite, as in Python.
		if math.IsInf(m.Value, 0) {
			err = nil
		}
		if err == nil && len(fields) > 2 {
			m.Step, err = strconv.ParseInt(fields[2], 10, 64)
		}
		if err != nil {
			return Metric{}, false, fmt.Errorf("the line %q is no time, value and step", strings.TrimSpace(line))
		}
		if !found || m.later(best) {
			best, found = m, true
		}
	}
	return best, found, nil
}

// ExperimentTag returns a tag of an experiment; false means that it has none.
func (s *Files) ExperimentTag(_ context.Context, e Experiment, key string) (string, bool, error) {
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
