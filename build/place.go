package build

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// stagingDir begins the name of the directory below a root where outputs are
// written before they are put in place: on the same file system, so that a
// rename does it, and one place per root and workspace, so that what a crash
// left behind is found and two workspaces may write below one root.
const stagingDir = ".build-staging"

// staging returns the staging directory of this workspace below a root.
func (o *Options) staging(home string) string {
	sum := blake3.Sum256([]byte(o.PublicCache))
	return filepath.Join(home, stagingDir+"-"+hex.EncodeToString(sum[:4]))
}

// home returns the innermost root that holds a path, so that what is written
// for a private root that lies inside a public one is staged in the former.
func (o *Options) home(abs string) string {
	var best string
	for _, r := range o.Roots {
		if len(r.Path) > len(best) && len(r.Only) == 0 && inside(abs, r.Path) {
			best = r.Path
		}
	}
	return best
}

func (s *session) dirPerm(abs string) fs.FileMode {
	if s.opt.private(abs) {
		return store.Private.Dir
	}
	return store.Public.Dir
}

// mkdir makes a directory with its parents, each with the permissions of its own
// tier: the public parents of a private root stay open to others.
func (o *Options) mkdir(abs string) error {
	if info, err := os.Stat(abs); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: abs, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if parent := filepath.Dir(abs); parent != abs {
		if err := o.mkdir(parent); err != nil {
			return err
		}
	}
	perm := store.Public.Dir
	if o.private(abs) {
		perm = store.Private.Dir
	}
	// Another step may have made it meanwhile.
	if err := os.Mkdir(abs, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// filePerm says who may read an output.
func (s *session) filePerm(abs string, exec bool) fs.FileMode {
	perm := store.Public.File
	if s.opt.private(abs) {
		perm = store.Private.File
	}
	if exec {
		perm |= perm >> 2 & 0o111 // for whom may read
	}
	return perm
}

// clearStaging removes what a crash left in the root of an output. The session
// holds the lock, so nobody is using it.
func (s *session) clearStaging(out string) error {
	home := s.opt.home(out)
	s.mu.Lock()
	done := s.staged[home]
	s.staged[home] = true
	s.mu.Unlock()
	if done {
		return nil
	}
	return removeAll(s.opt.staging(home))
}

// dropStaging removes the staging directories of the session.
func (s *session) dropStaging() error {
	var err error
	for home := range s.staged {
		err = errors.Join(err, removeAll(s.opt.staging(home)))
	}
	return err
}

// removeAll is os.RemoveAll that also removes what a step made read-only.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	werr := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return err
	})
	return errors.Join(werr, os.RemoveAll(dir))
}

// stage makes the places where a step writes its outputs, in their order, and
// returns what removes them.
func (s *session) stage(n *node) (paths []string, clean func() error, err error) {
	dirs := map[string]bool{}
	clean = func() error {
		var err error
		for dir := range dirs {
			err = errors.Join(err, removeAll(dir))
		}
		return err
	}
	for i, abs := range n.outs {
		home := s.opt.home(abs)
		if err := s.opt.mkdir(home); err != nil {
			return nil, clean, err
		}
		dir := filepath.Join(s.opt.staging(home), url.PathEscape(n.Name))
		if !dirs[dir] {
			dirs[dir] = true
			if err := removeAll(dir); err != nil {
				return nil, clean, err
			}
		}
		// A directory per output, so that equal names do not meet; the name
		// itself stays, for programs that go by its ending. A lone output needs
		// none: making directories is the dearest part of staging.
		if len(n.outs) > 1 {
			dir = filepath.Join(dir, strconv.Itoa(i))
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, clean, err
		}
		paths = append(paths, filepath.Join(dir, filepath.Base(abs)))
	}
	return paths, clean, nil
}

// collect looks at what a step left in staging. What it means is not asked yet, see
// mean.
func (s *session) collect(ctx context.Context, n *node, staging []string) ([]made, error) {
	outs := make([]made, len(n.Outputs))
	for i, o := range n.Outputs {
		// Not the view of the session: staging is no part of what it saw.
		v := newView(s.opt, func(bool) *store.Index { return nil })
		if _, mode, err := store.Lstat(staging[i]); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("output %s was not written", o)
		} else if err == nil && mode&fs.ModeSymlink != 0 {
			return nil, fmt.Errorf("output %s: it is a symbolic link", o)
		}
		m, err := v.output(ctx, o, staging[i])
		if err != nil {
			return nil, fmt.Errorf("output %s: %w", o, plainError(err))
		}
		outs[i] = *m
	}
	return outs, nil
}

// mean fills in the digests of what staged outputs mean.
func (s *session) mean(ctx context.Context, t *Task, outs []made) (err error) {
	for i, o := range t.n.Outputs {
		if o.Kind == "" {
			continue
		}
		if outs[i].meaning, err = t.reader(o)(ctx, t.staging[i]); err != nil {
			return fmt.Errorf("output %s: digest of its %s contents: %w", o, o.Kind, err)
		}
	}
	return nil
}

// judge finds out what staged outputs mean and shows public ones to the gate. Either
// may have to read all of a database: both are done at once.
func (s *session) judge(ctx context.Context, t *Task, outs []made) error {
	var refused error
	var wait sync.WaitGroup
	wait.Go(func() {
		for i := range outs {
			if refused = s.gate(&outs[i], t.n.outs[i], t.staging[i]); refused != nil {
				return
			}
		}
	})
	err := s.mean(ctx, t, outs)
	wait.Wait()
	if refused != nil { // an original code weighs more than all else
		return refused
	}
	return err
}

// publish puts contents into the cache and then outputs in place.
func (s *session) publish(n *node, outs []made, staging []string) error {
	for i := range outs {
		m := &outs[i]
		if m.tree {
			continue
		}
		if err := s.blobs(n.outs[i]).Put(staging[i], m.sum, m.size); err != nil {
			return fmt.Errorf("output %s: cache: %w", n.Outputs[i], err)
		}
	}
	last := s.last(n)
	for i := range outs {
		if err := s.put(n, i, &outs[i], staging[i], last); err != nil {
			return fmt.Errorf("output %s: %w", n.Outputs[i], err)
		}
	}
	return nil
}

// gate refuses public outputs that must not be seen.
func (s *session) gate(m *made, abs, staging string) error {
	if s.opt.Gate == nil || s.opt.private(abs) {
		return nil
	}
	if !m.tree {
		if err := s.opt.Gate(m.ref, staging); err != nil {
			return fmt.Errorf("output %s may not become public: %w", m.ref, err)
		}
		return nil
	}
	for _, f := range m.files {
		ref := Ref{m.ref.Root, m.ref.Path + "/" + f.path}
		if err := s.opt.Gate(ref, filepath.Join(staging, filepath.FromSlash(f.path))); err != nil {
			return fmt.Errorf("output %s may not become public: %w", ref, err)
		}
	}
	return nil
}

// restore brings back from the cache what the decision found missing.
func (s *session) restore(n *node, d decision) (err error) {
	staging, clean, err := s.stage(n)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	defer func() { err = errors.Join(err, clean()) }()
	last := s.last(n)
	for _, i := range d.redo {
		m := &d.rec.outs[i]
		if err := s.blobs(n.outs[i]).Restore(m.sum, staging[i], 0o600); err != nil {
			return fmt.Errorf("output %s: %w", m.ref, err)
		}
		if err := s.gate(m, n.outs[i], staging[i]); err != nil {
			return err
		}
	}
	for _, i := range d.redo {
		if err := s.put(n, i, &d.rec.outs[i], staging[i], last); err != nil {
			return fmt.Errorf("output %s: %w", n.Outputs[i], err)
		}
	}
	return nil
}

// put moves one staged output to its place. What is there and neither equals
// it nor is known to be made by the engine is kept aside.
func (s *session) put(n *node, i int, m *made, staging string, last *record) error {
	abs := n.outs[i]
	if err := s.opt.mkdir(filepath.Dir(abs)); err != nil {
		return err
	}
	if m.tree {
		if err := s.openTree(abs, staging); err != nil {
			return err
		}
	} else if err := os.Chmod(staging, s.filePerm(abs, m.exec)); err != nil {
		return err
	}
	_, mode, err := store.Lstat(abs)
	// To forget what is below looks at all that is known: not for every file.
	defer s.view.forget(abs, m.tree || mode.IsDir())
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case m.tree && mode.IsDir():
		if err := s.rescueFiles(abs, m, last); err != nil {
			return err
		}
		// Two renames: a crash between them leaves no tree, which is stale.
		err := os.Rename(abs, staging+".old")
		if errors.Is(err, syscall.EXDEV) {
			if staging, err = s.stageNear(abs, staging); err == nil {
				err = os.Rename(abs, staging+".old")
			}
		}
		if err != nil {
			return err
		}
	case !m.tree && mode.IsRegular():
		if err := s.rescueFile(abs, m, last); err != nil {
			return err
		}
	default: // of another type
		if err := s.rescue(abs, "other"); err != nil {
			return err
		}
	}
	return s.rename(staging, abs)
}

// rename moves what is staged to its place, where nothing or a file is.
func (s *session) rename(staging, abs string) error {
	err := os.Rename(staging, abs)
	if errors.Is(err, syscall.EXDEV) {
		if staging, err = s.stageNear(abs, staging); err == nil {
			err = os.Rename(staging, abs)
		}
	}
	return err
}

// stageNear copies what is staged to a staging directory beside its place: a
// directory of outputs may be a link to another disk, or mounted.
func (s *session) stageNear(abs, staging string) (near string, err error) {
	dir := filepath.Dir(abs)
	own := filepath.Join(s.opt.staging(dir), filepath.Base(abs))
	if err := removeAll(own); err != nil { // left by a crash
		return "", err
	}
	near = filepath.Join(own, "new")
	if err := os.MkdirAll(own, 0o700); err != nil {
		return "", err
	}
	s.mu.Lock()
	s.staged[dir] = true
	s.mu.Unlock()
	return near, filepath.WalkDir(staging, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(near, relative(staging, path))
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			err = os.Mkdir(to, 0o700)
		} else {
			err = copyFile(path, to)
		}
		if err != nil {
			return err
		}
		return os.Chmod(to, info.Mode().Perm())
	})
}

// openTree gives the files of a tree the permissions of their tier.
func (s *session) openTree(abs, staging string) error {
	return filepath.WalkDir(staging, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, s.dirPerm(abs))
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, s.filePerm(abs, info.Mode()&0o100 != 0))
	})
}

// rescueFile keeps an edited output. Contents that the cache holds, or that
// the engine itself recorded, are not lost by being overwritten.
func (s *session) rescueFile(abs string, m *made, last *record) error {
	sum, st, err := store.Hash(abs)
	if err != nil {
		return err
	}
	if sum == m.sum || s.blobs(abs).Verify(sum, st.Size) {
		return nil
	}
	if last != nil && slices.ContainsFunc(last.outs, func(o made) bool { return o.ref == m.ref && o.sum == sum }) {
		return nil
	}
	return s.rescue(abs, sum.String()[:12])
}

// rescueFiles keeps the files of a tree that are neither in the new one nor in
// the recorded one.
func (s *session) rescueFiles(abs string, m *made, last *record) error {
	known := map[store.Sum]bool{}
	for _, f := range m.files {
		known[f.sum] = true
	}
	if last != nil {
		for i := range last.outs {
			for _, f := range last.outs[i].files {
				known[f.sum] = true
			}
		}
	}
	return filepath.WalkDir(abs, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return s.rescue(path, "other")
		}
		sum, _, err := store.Hash(path)
		if err != nil || known[sum] {
			return err
		}
		return s.rescue(path, sum.String()[:12])
	})
}

// rescue moves a file aside and says where: into the private tier if there is
// one, because nobody has looked at what was written into it.
func (s *session) rescue(abs, prefix string) error {
	st := s.tier(true)
	if st == nil {
		st = s.tier(false)
		if s.opt.Gate != nil {
			if err := s.opt.Gate(s.opt.refOf(abs), abs); err != nil {
				return fmt.Errorf("it was edited and may not be kept in the public cache: %w; move it away", err)
			}
		}
	}
	dir := filepath.Join(st.Dir(), "rescued")
	if err := os.MkdirAll(dir, store.Private.Dir); err != nil {
		return err
	}
	to := filepath.Join(dir, prefix+"-"+filepath.Base(abs))
	for i := 2; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		}
		to = filepath.Join(dir, fmt.Sprintf("%s-%d-%s", prefix, i, filepath.Base(abs)))
	}
	if err := moveAside(abs, to); err != nil {
		return fmt.Errorf("it was edited and cannot be kept aside: %w", err)
	}
	s.con.Note(fmt.Sprintf("%s was not as the build left it; it is kept as %s", s.con.Path(abs), s.con.Path(to)))
	return nil
}

// refOf names a path by the innermost root that holds it.
func (o *Options) refOf(abs string) Ref {
	home := o.home(abs)
	names := make([]string, 0, len(o.Roots))
	for name := range o.Roots {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if r := o.Roots[name]; r.Path == home && len(r.Only) == 0 {
			return Ref{name, relative(home, abs)}
		}
	}
	return Ref{Path: abs}
}

func copyFile(from, to string) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, store.Private.File)
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, r); err != nil {
		return errors.Join(err, w.Close())
	}
	return errors.Join(w.Sync(), w.Close())
}

// moveAside renames, or copies where the other place is on another file system,
// and closes the file to others.
func moveAside(from, to string) error {
	err := os.Rename(from, to)
	if errors.Is(err, syscall.EXDEV) {
		info, serr := os.Lstat(from)
		switch {
		case serr != nil:
			return serr
		case info.IsDir():
			err = os.CopyFS(to, os.DirFS(from))
		case info.Mode().IsRegular():
			err = copyFile(from, to)
		}
		if err == nil {
			err = removeAll(from)
		}
	}
	if err != nil {
		return err
	}
	info, err := os.Lstat(to)
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	return os.Chmod(to, store.Private.File)
}
