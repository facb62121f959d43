package mlflow

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gofrs/flock"
	_ "modernc.org/sqlite" // the driver called sqlite
)

// database is a store in SQLite.
type database struct {
	path         string // absolute, as given
	artifactRoot string
	db           *sql.DB
	columns      map[string]map[string]bool // by table
	dispose      func() error               // removes the copy that db reads, if it is one

	mu      sync.Mutex
	metrics map[string]map[string]map[string]Metric // by experiment, run, key
}

const (
	// busyTimeout is how long a reader waits for a server that is just writing.
	// MLflow's transactions take milliseconds; a bulk deletion takes seconds.
	busyTimeout = 10 * time.Second
	// copyTries is how often a copy is begun anew because the database changed
	// meanwhile.
	copyTries = 20
	// sqliteInfinity is what MLflow writes in SQLite for an infinity.
	sqliteInfinity = math.MaxFloat64
)

// sqliteMagic begins every SQLite database. Bytes 18 and 19 are 2 in one that
// keeps a write-ahead log (sqlite.org/fileformat2.html, 1.3).
const sqliteMagic = "SQLite format 3\x00"

// needed are the columns without which a database is no store of MLflow.
var needed = map[string][]string{
	"experiments": {"experiment_id", "name"},
	"runs":        {"run_uuid", "experiment_id"},
}

// openDatabase opens the database at a path to be read. Nothing is created
// beside it: one with a write-ahead log, or with the journal of a writer that
// died, cannot be read without, so it is copied to Options.Scratch first.
func openDatabase(ctx context.Context, location string, o Options) (*database, error) {
	abs, err := filepath.Abs(location)
	if err != nil {
		return nil, fmt.Errorf("tracking store %s: %w", location, err)
	}
	fail := func(err error) (*database, error) { return nil, fmt.Errorf("tracking store %s: %w", abs, err) }
	info, err := os.Stat(abs)
	switch {
	case absent(err):
		return fail(fmt.Errorf("%w; give the path of the SQLite database, a relative one after three slashes, an absolute one makes four", fs.ErrNotExist))
	case err != nil:
		return nil, fmt.Errorf("tracking store: %w", err)
	case info.IsDir():
		return fail(errors.New("is a directory, not a SQLite database; give the directory itself for a file store"))
	case !info.Mode().IsRegular():
		return fail(errors.New("is not a regular file"))
	case !isDatabase(abs):
		return fail(errors.New("is not a SQLite database"))
	}
	s := &database{path: abs, artifactRoot: o.ArtifactRoot, dispose: func() error { return nil }, metrics: map[string]map[string]map[string]Metric{}}
	// SQLite keeps log and journal beside the file itself, not beside a link to it.
	readable, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return fail(err)
	}
	mode := "ro"
	copied, err := mustCopy(readable)
	if err == nil && copied {
		// The copy may be written: opening it folds the log in.
		mode = "rw"
		readable, s.dispose, err = copyDatabase(ctx, readable, o.Scratch)
	}
	if err != nil {
		return fail(err)
	}
	if s.db, err = sql.Open("sqlite", dataSource(readable, mode)); err == nil {
		s.db.SetMaxOpenConns(1)
		err = s.readColumns(ctx)
	}
	if err != nil {
		return fail(errors.Join(explainSQLite(err), s.Close()))
	}
	return s, nil
}

// dataSource is the driver's name of a file: a URI, so that no character of the
// path has a meaning of its own.
func dataSource(path, mode string) string {
	u := url.URL{Scheme: "file", Path: path}
	return u.String() + fmt.Sprintf("?mode=%s&_pragma=busy_timeout(%d)&_pragma=query_only(1)", mode, busyTimeout.Milliseconds())
}

// isDatabase says whether a file begins like a SQLite database.
func isDatabase(path string) bool {
	head, err := readHead(path, len(sqliteMagic))
	return err == nil && string(head) == sqliteMagic
}

// mustCopy says whether a database cannot be read where it is without writing
// beside it.
func mustCopy(path string) (bool, error) {
	head, err := readHead(path, 20)
	if err != nil {
		return false, err
	}
	if head[18] == 2 || head[19] == 2 {
		return true, nil
	}
	// A journal with content belongs to a transaction that goes on or that was
	// cut off. In the second case only a writer can undo it.
	info, err := os.Stat(path + "-journal")
	if absent(err) {
		return false, nil
	}
	return err == nil && info.Size() > 0, err
}

// readHead reads the first n bytes of a file; fewer are zeros.
func readHead(path string, n int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	head := make([]byte, n)
	if _, err := io.ReadFull(f, head); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return head, nil
}

// copyDatabase copies a database with its log or journal into a directory of
// its own below scratch. dispose removes it.
func copyDatabase(ctx context.Context, source, scratch string) (copied string, dispose func() error, err error) {
	if scratch == "" {
		return "", nil, errors.New("is in use, and there is no directory to copy it to")
	}
	if err := os.MkdirAll(scratch, 0o700); err != nil {
		return "", nil, err
	}
	dir, release, err := copyDir(scratch)
	if err != nil {
		return "", nil, err
	}
	dispose = func() error { return errors.Join(os.RemoveAll(dir), release()) }
	copied = filepath.Join(dir, "mlflow.db")
	for range copyTries {
		var before, after [3]fileState
		if before, err = statesOf(source); err != nil {
			break
		}
		for i, suffix := range suffixes {
			if err = copyFile(source+suffix, copied+suffix, before[i].exists); err != nil {
				break
			}
		}
		if err == nil {
			if after, err = statesOf(source); err == nil && before == after {
				return copied, dispose, nil
			}
		}
		if err != nil && !absent(err) { // a log that a checkpoint removed meanwhile
			break
		}
		select {
		case <-ctx.Done():
			return "", nil, errors.Join(ctx.Err(), dispose())
		case <-time.After(busyTimeout / copyTries):
		}
	}
	if err == nil || absent(err) {
		err = errors.New("changes faster than it can be copied; try again, or stop the tracking server meanwhile")
	}
	return "", nil, errors.Join(err, dispose())
}

// copyPrefix begins the names of directories with copies. A file in them is locked
// as long as their maker lives, so that one which a killed process left is known.
const (
	copyPrefix = "copy-"
	copyLock   = "lock"
)

func isCopy(name string) bool { return strings.HasPrefix(name, copyPrefix) }

// copyDir makes a directory for a copy and locks it.
func copyDir(scratch string) (dir string, release func() error, err error) {
	for {
		if dir, err = os.MkdirTemp(scratch, copyPrefix); err != nil {
			return "", nil, err
		}
		lock := flock.New(filepath.Join(dir, copyLock))
		locked, err := lock.TryLock()
		if err == nil && locked {
			// Between the two somebody may have taken it for abandoned.
			if _, err := os.Stat(dir); err == nil {
				return dir, lock.Close, nil
			}
		}
		if absent(err) {
			err = nil
		}
		if err := errors.Join(err, lock.Close(), os.RemoveAll(dir)); err != nil {
			return "", nil, fmt.Errorf("directory for a copy: %w", err)
		}
	}
}

// whenAbandoned calls a function if the maker of a copy is gone.
func whenAbandoned(dir string, do func() error) error {
	lock := flock.New(filepath.Join(dir, copyLock))
	locked, err := lock.TryLock()
	if err == nil && locked {
		err = do()
	}
	if absent(err) {
		err = nil // it has just been disposed of
	}
	return errors.Join(err, lock.Close())
}

// suffixes of the files that a database consists of.
var suffixes = [3]string{"", "-wal", "-journal"}

// fileState tells whether a file changed: a write shows in size, time or one of
// the counters in the heads of databases and logs, which are there for that.
type fileState struct {
	exists bool
	size   int64
	time   time.Time
	head   [100]byte
}

func statesOf(source string) (states [3]fileState, err error) {
	for i, suffix := range suffixes {
		info, err := os.Stat(source + suffix)
		if absent(err) {
			continue
		}
		if err != nil {
			return states, err
		}
		head, err := readHead(source+suffix, len(states[i].head))
		if err != nil {
			return states, err
		}
		states[i] = fileState{true, info.Size(), info.ModTime(), [100]byte(head)}
	}
	return states, nil
}

func copyFile(from, to string, exists bool) (err error) {
	if !exists {
		if err := os.Remove(to); err != nil && !absent(err) {
			return err
		}
		return nil
	}
	in, err := os.OpenFile(from, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// explainSQLite turns SQLite's reasons for not reading a file into what to do.
func explainSQLite(err error) error {
	switch text := err.Error(); {
	case strings.Contains(text, "SQLITE_BUSY"), strings.Contains(text, "database is locked"):
		return fmt.Errorf("another process has been writing it for more than %s; try again when it is done", busyTimeout)
	case strings.Contains(text, "SQLITE_NOTADB"), strings.Contains(text, "file is not a database"):
		return errors.New("is not a SQLite database, or is encrypted")
	case strings.Contains(text, "SQLITE_CORRUPT"), strings.Contains(text, "malformed"):
		return errors.New("is a damaged SQLite database; restore it from a backup")
	}
	return err
}

func (s *database) readColumns(ctx context.Context) error {
	rows, err := s.db.QueryContext(ctx, `SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'`)
	if err != nil {
		return err
	}
	defer rows.Close()
	s.columns = map[string]map[string]bool{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return err
		}
		if s.columns[table] == nil {
			s.columns[table] = map[string]bool{}
		}
		s.columns[table][column] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, table := range []string{"experiments", "runs"} {
		if s.columns[table] == nil {
			return fmt.Errorf("is a SQLite database but no MLflow store: it has no table %s", table)
		}
		for _, column := range needed[table] {
			if !s.columns[table][column] {
				return fmt.Errorf("its table %s has no column %s", table, column)
			}
		}
	}
	return nil
}

// text selects a column as text, "" where it is NULL or where the schema, being
// older, does not have it.
func (s *database) text(table, column string) string {
	if !s.columns[table][column] {
		return "''"
	}
	return "coalesce(CAST(" + column + " AS TEXT), '')"
}

// integer selects a column of whole numbers, 0 where there is none.
func (s *database) integer(table, column string) string {
	if !s.columns[table][column] {
		return "0"
	}
	return "coalesce(CAST(" + column + " AS INTEGER), 0)"
}

// each calls fn for every row of a query.
func each(ctx context.Context, in interface {
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}, fn func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := in.QueryContext(ctx, query, args...)
	if err != nil {
		return explainSQLite(err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return explainSQLite(err)
	}
	return nil
}

// String returns the absolute path of the database.
func (s *database) String() string { return s.path }

// Dirs returns none: every experiment has an artifact directory of its own.
func (s *database) Dirs() []string { return nil }

// Close closes the database and removes the copy, if it was copied.
func (s *database) Close() error {
	var err error
	if s.db != nil {
		err = s.db.Close()
	}
	return errors.Join(err, s.dispose())
}

func (s *database) Experiments(ctx context.Context) ([]Experiment, error) {
	var found []Experiment
	err := each(ctx, s.db, func(scan func(...any) error) error {
		var e Experiment
		var stage string
		if err := scan(&e.ID, &e.Name, &stage); err != nil {
			return err
		}
		if e.Lifecycle, e.Err = parseLifecycle(stage); e.Err != nil {
			e.Err = fmt.Errorf("experiment %s %w", e.ID, e.Err)
		}
		found = append(found, e)
		return nil
	}, "SELECT CAST(experiment_id AS TEXT), "+s.text("experiments", "name")+", "+s.text("experiments", "lifecycle_stage")+" FROM experiments ORDER BY 1")
	if err != nil {
		return nil, fmt.Errorf("tracking store %s: list experiments: %w", s.path, err)
	}
	tags := map[string]map[string]string{}
	if s.columns["experiment_tags"] != nil {
		err = each(ctx, s.db, func(scan func(...any) error) error {
			var id, key, value string
			err := scan(&id, &key, &value)
			put(tags, id, key, value)
			return err
		}, "SELECT CAST(experiment_id AS TEXT), key, coalesce(value, '') FROM experiment_tags")
		if err != nil {
			return nil, fmt.Errorf("tracking store %s: tags of experiments: %w", s.path, err)
		}
	}
	for i := range found {
		found[i].tags = tags[found[i].ID]
	}
	slices.SortStableFunc(found, activeFirst)
	return found, nil
}

// activeFirst orders experiments like [Store.Experiments].
func activeFirst(a, b Experiment) int {
	switch {
	case a.Lifecycle == b.Lifecycle || a.Lifecycle != Deleted && b.Lifecycle != Deleted:
		return 0
	case a.Lifecycle == Deleted:
		return 1
	}
	return -1
}

func put(values map[string]map[string]string, id, key, value string) {
	if values[id] == nil {
		values[id] = map[string]string{}
	}
	values[id][key] = value
}

// Runs reads the runs with their params and tags in one transaction, so that
// they belong together whatever a server writes meanwhile.
func (s *database) Runs(ctx context.Context, e Experiment) ([]Run, error) {
	fail := func(err error) ([]Run, error) {
		return nil, fmt.Errorf("tracking store %s: list the runs of experiment %s: %w", s.path, e.ID, err)
	}
	columns := []string{"run_uuid"}
	for _, column := range []string{"name", "status", "lifecycle_stage", "artifact_uri"} {
		columns = append(columns, s.text("runs", column))
	}
	for _, column := range []string{"start_time", "end_time"} {
		columns = append(columns, s.integer("runs", column))
	}
	tx, err := s.db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fail(explainSQLite(err))
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	var runs []Run
	err = each(ctx, tx, func(scan func(...any) error) error {
		r := Run{Experiment: e.ID, data: &runData{}}
		var status, stage string
		if err := scan(&r.ID, &r.Name, &status, &stage, &r.ArtifactURI, &r.Start, &r.End); err != nil {
			return err
		}
		r.judge(status, stage)
		runs = append(runs, r)
		return nil
	}, "SELECT "+strings.Join(columns, ", ")+" FROM runs WHERE CAST(experiment_id AS TEXT) = ? ORDER BY run_uuid", e.ID)
	if err != nil {
		return fail(err)
	}
	all := map[string]*runData{}
	for _, r := range runs {
		all[r.ID] = r.data
	}
	for _, table := range []string{"params", "tags"} {
		if s.columns[table] == nil {
			continue
		}
		err := each(ctx, tx, func(scan func(...any) error) error {
			var id, key, value string
			if err := scan(&id, &key, &value); err != nil {
				return err
			}
			data := all[id]
			values := &data.params
			if table == "tags" {
				values = &data.tags
			}
			if *values == nil {
				*values = map[string]string{}
			}
			(*values)[key] = value
			return nil
		}, "SELECT v.run_uuid, v.key, coalesce(v.value, '') FROM runs AS r JOIN "+table+" AS v ON v.run_uuid = r.run_uuid WHERE CAST(r.experiment_id AS TEXT) = ?", e.ID)
		if err != nil {
			return fail(fmt.Errorf("%s: %w", table, err))
		}
	}
	for i := range runs {
		r := &runs[i]
		if r.Name == "" {
			r.Name = r.data.tags[runNameTag]
		}
		if !utf8.ValidString(r.Name) {
			*r = Run{ID: r.ID, Experiment: r.Experiment, data: r.data, Err: fmt.Errorf("run %s has a name that is not UTF-8", r.ID)}
		}
	}
	return runs, nil
}

// judge takes a run's status and stage as databases and servers write them.
func (r *Run) judge(status, stage string) {
	var errs [2]error
	r.Status, errs[0] = parseStatus(status)
	r.Lifecycle, errs[1] = parseLifecycle(stage)
	if err := errors.Join(errs[:]...); err != nil {
		*r = Run{ID: r.ID, Experiment: r.Experiment, data: r.data, Err: fmt.Errorf("run %s %w", r.ID, err)}
	}
}

func (s *database) Params(_ context.Context, r Run, names ...string) (map[string]string, error) {
	return texts(r, "params", chosen(r.data.params, names))
}

func (s *database) Tags(_ context.Context, r Run, names ...string) (map[string]string, error) {
	return texts(r, "tags", chosen(r.data.tags, names))
}

// texts refuses values that are no text: SQLite keeps whatever it is given.
func texts(r Run, of string, values map[string]string) (map[string]string, error) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if !utf8.ValidString(values[key]) {
			return nil, fmt.Errorf("run %s: %s: %s: not UTF-8", r.ID, of, key)
		}
	}
	return values, nil
}

func (s *database) ExperimentTag(_ context.Context, e Experiment, key string) (string, bool, error) {
	v, ok := e.tags[key]
	return v, ok, nil
}

// Metrics reads, the first time that it is asked for one run, those of its
// whole experiment.
func (s *database) Metrics(ctx context.Context, r Run, names ...string) (map[string]Metric, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, known := s.metrics[r.Experiment]
	if !known {
		all = map[string]map[string]Metric{}
		if s.columns["latest_metrics"] != nil {
			if err := s.readMetrics(ctx, r.Experiment, all); err != nil {
				return nil, fmt.Errorf("tracking store %s: metrics of experiment %s: %w", s.path, r.Experiment, err)
			}
		}
		s.metrics[r.Experiment] = all
	}
	return chosen(all[r.ID], names), nil
}

func (s *database) readMetrics(ctx context.Context, experiment string, all map[string]map[string]Metric) error {
	return each(ctx, s.db, func(scan func(...any) error) error {
		var id, key string
		var m Metric
		var value sql.NullFloat64
		var nan bool
		if err := scan(&id, &key, &value, &m.Time, &m.Step, &nan); err != nil {
			return err
		}
		m.Value = unclamped(value.Float64)
		if nan || !value.Valid {
			m.Value = math.NaN()
		}
		if all[id] == nil {
			all[id] = map[string]Metric{}
		}
		all[id][key] = m
		return nil
	}, "SELECT m.run_uuid, m.key, m.value, coalesce(m.timestamp, 0), "+
		prefixed(s.integer("latest_metrics", "step"), "step")+", "+prefixed(s.integer("latest_metrics", "is_nan"), "is_nan")+
		" FROM runs AS r JOIN latest_metrics AS m ON m.run_uuid = r.run_uuid WHERE CAST(r.experiment_id AS TEXT) = ?", experiment)
}

// prefixed names the table of a column that [database.integer] selects.
func prefixed(expression, column string) string {
	return strings.Replace(expression, "("+column+" ", "(m."+column+" ", 1)
}

// unclamped undoes what MLflow does to infinities in SQLite.
func unclamped(v float64) float64 {
	switch v {
	case sqliteInfinity:
		return math.Inf(1)
	case -sqliteInfinity:
		return math.Inf(-1)
	}
	return v
}

// artifactPlaces are the directories where the artifacts of a run may be, best
// first: the place that artifact_uri names; where that ends in
// EXPERIMENT/RUN/artifacts, the same below the artifact root, beside the
// database, and in the directories there that MLflow makes.
func (s *database) artifactPlaces(r Run) []string {
	beside := filepath.Dir(s.path)
	var places []string
	add := func(dir string) {
		if dir = filepath.Clean(dir); !slices.Contains(places, dir) {
			places = append(places, dir)
		}
	}
	if named, err := artifactPath(r.ArtifactURI); err == nil {
		if !filepath.IsAbs(named) {
			named = filepath.Join(beside, named) // relative to where MLflow ran
		}
		add(named)
	}
	if tail, ok := tailOf(r); ok {
		tail = filepath.FromSlash(tail)
		if s.artifactRoot != "" {
			add(filepath.Join(s.artifactRoot, tail))
		}
		for _, dir := range []string{"mlruns", "mlartifacts", "."} {
			add(filepath.Join(beside, dir, tail))
		}
	}
	return places
}

// tailOf is the end of artifact_uri, EXPERIMENT/RUN/artifacts, by which a store
// that was moved is found again.
func tailOf(r Run) (string, bool) {
	parts := strings.Split(strings.TrimRight(r.ArtifactURI, "/"), "/")
	n := len(parts)
	if n < 3 || parts[n-1] != "artifacts" || parts[n-2] != r.ID || parts[n-3] == "" || strings.HasPrefix(parts[n-3], ".") {
		return "", false
	}
	tail := path.Join(parts[n-3:]...)
	return tail, filepath.IsLocal(tail)
}

func (s *database) Artifacts(_ context.Context, r Run, dir string) ([]Artifact, error) {
	places := s.artifactPlaces(r)
	exists := false
	for _, place := range places {
		// OpenRoot would wait for the writer of a FIFO.
		if info, err := os.Stat(place); err == nil && !info.IsDir() {
			continue
		}
		root, err := os.OpenRoot(place)
		if absent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, err)
		}
		exists = true
		found, err := listArtifacts(root, place, ".", dir)
		if err := errors.Join(err, root.Close()); err != nil {
			return nil, fmt.Errorf("run %s: artifacts: %w", r.ID, err)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	if exists {
		return nil, nil
	}
	return nil, fmt.Errorf("run %s: %w: artifact_uri is %s, and nothing is at %s%s",
		r.ID, ErrNoArtifacts, withoutUser(r.ArtifactURI), cmp.Or(strings.Join(places, ", "), "any place that it names"), remoteHint(r.ArtifactURI))
}

// Version returns "": what the file holds can be seen.
func (s *database) Version(context.Context, Run, Artifact) (string, error) { return "", nil }

// Fetch returns where the artifact lies.
func (s *database) Fetch(_ context.Context, _ Run, a Artifact) (string, error) { return a.File, nil }
