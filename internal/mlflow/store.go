// Package mlflow reads MLflow file stores: experiments, runs, params, tags and
// the names of artifacts.
//
// It only ever reads: MLflow's own client makes directories in a store that it
// opens, this package makes none. It never leaves the store: a symbolic link
// that points outside is an error. It knows nothing of what the runs mean, of
// pickles or of subjects, and keeps nothing between calls.
package mlflow

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"
)

// Limits of the files that are read whole. A meta.yaml has 500 bytes and a
// param of MLflow at most 8,000 characters; what is far larger is no such file.
const (
	maxMeta  = 1 << 20
	maxValue = 1 << 20
)

// ErrLeaves is wrapped by errors about a symbolic link that leaves the store.
var ErrLeaves = errors.New("a symbolic link leaves the store")

// reserved are the names that MLflow uses inside an experiment beside runs.
var reserved = []string{"tags", "datasets", "traces", "models", ".trash"}

// trash holds deleted experiments, moved there whole.
const trash = ".trash"

// Store is an open file store. Its methods may be called by several
// goroutines. All paths that it takes and gives are slash paths below its root.
type Store struct {
	root  *os.Root
	path  string // absolute, as given
	real  string // absolute, links resolved
	trees fs.FS
}

// Open opens the store in the directory at location. The error says whether
// there is nothing, a file, or a directory that is no store.
func Open(location string) (*Store, error) {
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
	s := &Store{root: root, path: abs, real: resolved, trees: root.FS()}
	experiments, err := s.Experiments()
	if err == nil && len(experiments) == 0 {
		err = fmt.Errorf("tracking store %s: is a directory but no MLflow store: it holds no experiment (a directory named by a number with a meta.yaml)%s", abs, s.hint())
	}
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// hint says where the store probably is.
func (s *Store) hint() string {
	if s.isFile("meta.yaml") {
		return "; it looks like an experiment or a run of a store: give the store's own directory, above it"
	}
	if info, err := s.root.Stat("mlruns"); err == nil && info.IsDir() {
		return "; perhaps " + filepath.Join(s.path, "mlruns") + " is meant"
	}
	return ""
}

// Close releases the directory.
func (s *Store) Close() error { return s.root.Close() }

// Path returns the absolute path of the store's directory.
func (s *Store) Path() string { return s.path }

// read returns the content of a regular file below the root.
func (s *Store) read(name string, limit int64) ([]byte, error) {
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
func (s *Store) value(dir, key string) (string, bool, error) {
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
// A key with slashes is a file in subdirectories.
func (s *Store) values(dir string, keys []string) (map[string]string, error) {
	if len(keys) == 0 {
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
		if err != nil {
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

func (s *Store) isFile(name string) bool {
	info, err := s.root.Stat(filepath.FromSlash(name))
	return err == nil && info.Mode().IsRegular()
}

// list returns the names of the directories (and of links, which may be some)
// in a directory, sorted.
func (s *Store) list(dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.trees, dir)
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
