package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/access"
)

// An audit notes which files below the roots are opened while a step runs, by
// its own code or by programs that it starts, and holds that against what the
// step declares. The file system itself is asked, so that it does not matter
// how a file is read. Files of anything else that runs meanwhile are noted, too,
// which is why a build with Options.Audit runs one step at a time. Not seen are
// questions that open nothing: whether a file exists, how large it is.
type audit struct {
	opt      *Options
	accesses *access.Log
	program  string // the running one, which may start itself anew
}

// newAudit begins to listen; nil without Options.Audit.
func newAudit(o *Options) (*audit, error) {
	if !o.Audit {
		return nil, nil
	}
	a := &audit{opt: o}
	var err error
	if a.program, err = os.Executable(); err == nil {
		a.accesses, err = access.Open(func(name string) bool { return strings.HasPrefix(name, stagingDir) })
	}
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return a, nil
}

func (a *audit) close() error {
	if a == nil {
		return nil
	}
	return a.accesses.Close()
}

// begin listens to all directories that exist now and forgets what was noted.
func (a *audit) begin() error {
	if a == nil {
		return nil
	}
	for _, root := range a.opt.Roots {
		err := filepath.WalkDir(root.Path, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case !d.IsDir():
				return nil
			case a.ours(path) || d.Name() == ".git":
				return fs.SkipDir
			case len(root.Only) > 0 && path != root.Path:
				return fs.SkipDir
			}
			return a.accesses.Watch(path)
		})
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	_, err := a.accesses.Take()
	return err
}

// ours says that a directory belongs to the engine.
func (a *audit) ours(dir string) bool {
	return dir == a.opt.PublicCache || dir == a.opt.PrivateCache || strings.HasPrefix(filepath.Base(dir), stagingDir)
}

// end compares what was noted since begin with what the task may do. It returns
// the inputs that nothing was opened of, which is no error: a step may have had
// no reason to.
func (a *audit) end(t *Task) (unread []string, err error) {
	if a == nil {
		return nil, nil
	}
	noted, err := a.accesses.Take()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	declared := t.reads()
	own := map[string]bool{} // that the step made itself
	used := map[string]bool{}
	for _, e := range noted {
		path := e.Path
		if slices.ContainsFunc(t.n.Probed, func(probed string) bool { return inside(path, real(probed)) }) {
			continue
		}
		switch e.Kind {
		case access.Created:
			own[path] = true
		case access.Written:
			if !own[path] && !besideLedger(t.n, path) {
				t.undeclared("a place to write at, %s", a.opt.refOf(path))
			}
		case access.Opened:
			used[path] = true
			if !own[path] && !declared[path] && !t.holds(path) && !besideLedger(t.n, path) && !a.isProgram(t, path) {
				t.undeclared("the contents of %s", a.opt.refOf(path))
			}
		case access.Listed:
			if !own[path] && !t.mayList(path) {
				t.undeclared("what is in the directory %s", a.opt.refOf(path))
			}
		}
	}
	// What a step makes beside its outputs is written elsewhere, too.
	for path := range own {
		if _, err := os.Lstat(path); err == nil && !besideLedger(t.n, path) {
			t.undeclared("a place to write at, %s", a.opt.refOf(path))
		}
	}
	return t.unread(used), t.err()
}

// isProgram says that a file is run and not read: its version is in the key
// where the step names it.
func (a *audit) isProgram(t *Task, path string) bool {
	if path == a.program {
		return true
	}
	names := make([]string, 0, len(t.n.Tools)+1)
	for name := range t.n.Tools {
		names = append(names, name)
	}
	if t.n.command != nil {
		names = append(names, t.n.Command[0])
	}
	return slices.ContainsFunc(names, func(name string) bool {
		program, err := t.opt.program(name)
		return err == nil && real(program) == path
	})
}

// besideLedger says that a path is a ledger, or a file next to one whose name
// holds the ledger's: its former version, or the one that is about to take its
// place.
func besideLedger(n *node, path string) bool {
	return slices.ContainsFunc(n.ledgers, func(ledger string) bool {
		dir, name := filepath.Split(ledger)
		return filepath.Dir(path) == real(filepath.Clean(dir)) && strings.Contains(filepath.Base(path), name)
	})
}

// real resolves links: events have the names of real directories.
func real(path string) string {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	return path
}

// reads returns the files that the step declares, by their real paths.
func (t *Task) reads() map[string]bool {
	files := map[string]bool{}
	for e := range t.refs() {
		abs := t.opt.abs(e.ref)
		files[abs], files[real(abs)] = true, true
	}
	return files
}

// holds says that a file lies in a tree that the step declares.
func (t *Task) holds(path string) bool {
	for e := range t.refs() {
		if e.kind == kindTree && inside(path, real(t.opt.abs(e.ref))) {
			return true
		}
	}
	return false
}

// mayList says that the names in a directory are among what the step declares.
func (t *Task) mayList(dir string) bool {
	if t.holds(dir) {
		return true
	}
	for i := range t.n.ins {
		in := &t.n.ins[i]
		if in.glob == nil {
			continue
		}
		base := real(filepath.Join(in.abs(), filepath.FromSlash(in.glob.base)))
		if inside(dir, base) {
			return true
		}
	}
	return false
}

// unread returns the inputs of which nothing was used: neither opened nor, by
// its digest, asked for.
func (t *Task) unread(used map[string]bool) []string {
	var names []string
	for _, g := range t.inputs() {
		in := g.input
		if in.kind == inNames || in.kind == inAbsent {
			continue
		}
		entries := g.files()
		if len(entries) == 0 {
			continue
		}
		read := slices.ContainsFunc(entries, func(e entry) bool {
			abs := real(t.opt.abs(e.ref))
			if t.asked(e.ref) || used[abs] {
				return true
			}
			if e.kind == kindTree {
				for path := range used {
					if inside(path, abs) {
						return true
					}
				}
			}
			return false
		})
		if !read {
			names = append(names, in.String())
		}
	}
	slices.Sort(names)
	return names
}
