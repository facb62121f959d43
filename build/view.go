package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/foundation-plr/pipeline/internal/store"
)

// view is the file system as one build sees it: a file is looked at once, so
// that all decisions of a build speak of the same state. A second view of the
// same files, taken after a step has run, shows whether anything moved
// meanwhile. It does not know which files are inputs and which are outputs.
type view struct {
	opt   *Options
	index func(private bool) *store.Index // nil: nothing is remembered
	// changed names the files that are taken to have other contents than they
	// have; nil: none.
	changed func(abs string) bool

	mu    sync.RWMutex
	files map[string]*file
	dirs  map[string][]fs.DirEntry
}

// file is what is known of a path, once it was asked for.
type file struct {
	mu   sync.Mutex // held while it is looked at
	seen bool       // stat and mode are those of the path itself, a link or not
	done atomic.Bool
	stat store.Stat
	mode fs.FileMode
	sum  store.Sum
	err  error
}

func newView(o *Options, index func(private bool) *store.Index) *view {
	return &view{opt: o, index: index, files: map[string]*file{}, dirs: map[string][]fs.DirEntry{}}
}

// moved returns a file that this view found with another Stat than an earlier
// one did, "" if there is none: the first by name.
func (v *view) moved(before *view) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	before.mu.RLock()
	defer before.mu.RUnlock()
	first := ""
	for abs, now := range v.files {
		was := before.files[abs]
		// Another step may be looking at it for the first time just now.
		if was == nil || !was.done.Load() || !now.done.Load() || was.err != nil || now.err != nil {
			continue
		}
		if was.stat != now.stat && (first == "" || abs < first) {
			first = abs
		}
	}
	return first
}

var errPrivateLink = errors.New("it is a link to a private file, but it is not in a private root itself")

// file returns what is known of a path, nothing perhaps.
func (v *view) file(abs string) *file {
	v.mu.Lock() // most files are asked for once, so to read first would be in vain
	defer v.mu.Unlock()
	f := v.files[abs]
	if f == nil {
		f = new(file)
		v.files[abs] = f
	}
	return f
}

// peek returns the type of what stands at a path, a link not followed: rel is the
// path from an open directory, nil being none. Of what is no directory the view
// keeps what it saw, because that is hashed next, as a rule.
func (v *view) peek(dir *os.File, rel, abs string) (*file, fs.FileMode, error) {
	v.mu.RLock()
	f := v.files[abs]
	v.mu.RUnlock()
	if f != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.seen {
			return f, f.mode.Type(), nil
		}
	}
	st, mode, err := lookFrom(dir, rel, abs)
	// What was followed to its target is looked at again: that is rare.
	if err != nil || mode.IsDir() || f != nil {
		return f, mode.Type(), err
	}
	f = &file{stat: st, mode: mode, seen: true}
	v.mu.Lock()
	defer v.mu.Unlock()
	if first := v.files[abs]; first != nil {
		return first, mode.Type(), nil
	}
	v.files[abs] = f
	return f, mode.Type(), nil
}

func lookFrom(dir *os.File, rel, abs string) (store.Stat, fs.FileMode, error) {
	if dir == nil {
		return store.Lstat(abs)
	}
	return store.LstatAt(dir, filepath.FromSlash(rel))
}

// digest returns what is known of a regular file, reached through links or
// not.
func (v *view) digest(ref Ref, abs string) (*file, error) {
	f := v.file(abs)
	return f, v.settle(f, ref, abs)
}

// settle finds out what is to be known of a file.
func (v *view) settle(f *file, ref Ref, abs string) error {
	if f.done.Load() {
		return f.err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done.Load() {
		return f.err
	}
	f.err = v.look(f, ref, abs)
	if f.err == nil && v.changed != nil && v.changed(abs) {
		f.sum = other(f.sum)
	}
	f.done.Store(true)
	return f.err
}

// known says that what counts of a regular file is known without reading it, which
// it then is: it was settled before, or the index has it.
func (v *view) known(f *file, ref Ref, abs string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done.Load() {
		return f.err == nil
	}
	if !f.seen || !f.mode.IsRegular() || v.changed != nil {
		return false
	}
	ix := v.index(v.opt.private(abs))
	if ix == nil {
		return false
	}
	var room [256]byte
	sum, ok := ix.Get(ref.appendTo(room[:0]), f.stat)
	if ok {
		f.sum = sum
		f.done.Store(true)
	}
	return ok
}

// other is the digest of a file that is taken to have changed. It is the
// digest of nothing that exists.
func other(sum store.Sum) store.Sum {
	sum[0] ^= 0xff
	return sum
}

// look fills in what the file system and the index say of a file.
func (v *view) look(f *file, ref Ref, abs string) (err error) {
	private := v.opt.private(abs)
	if !f.seen {
		if f.stat, f.mode, err = store.Lstat(abs); err != nil {
			return err
		}
	}
	f.seen = f.mode&fs.ModeSymlink == 0
	if !f.seen {
		if f.stat, f.mode, err = store.FileStat(abs); err != nil {
			return err // a loop is told better than by checkLink
		}
		if err := v.checkLink(abs, private); err != nil {
			return err
		}
	}
	if !f.mode.IsRegular() {
		what := "not a regular file"
		if f.mode.IsDir() {
			what = "a directory"
		}
		return fmt.Errorf("it is %s", what)
	}
	var room [256]byte
	f.sum, f.stat, err = hash(v.index(private), ref.appendTo(room[:0]), abs, f.stat)
	return err
}

// hash returns the digest of a file with this Stat, from the index if it is
// there.
func hash(ix *store.Index, name []byte, abs string, st store.Stat) (store.Sum, store.Stat, error) {
	if ix == nil {
		return store.Hash(abs)
	}
	if sum, ok := ix.Get(name, st); ok {
		return sum, st, nil
	}
	sum, st, err := store.Hash(abs)
	if err == nil {
		ix.Put(string(name), st, sum)
	}
	return sum, st, err
}

// checkLink refuses links by which private contents would be read under a
// public name.
func (v *view) checkLink(abs string, private bool) error {
	if private {
		return nil
	}
	target, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return err
	}
	if v.opt.private(target) {
		return errPrivateLink
	}
	return nil
}

// place is a file by both its names.
type place struct {
	ref     Ref
	abs     string
	outside bool  // see kindFileOutside
	file    *file // what the view knows of it, if that was found already
}

// parallelFiles is from how many files on it pays to look at them at once.
const parallelFiles = 64

// digests looks at many files on all processors. The first error in the order
// of the files is returned.
func (v *view) digests(ctx context.Context, places []place) ([]*file, error) {
	files := make([]*file, len(places))
	errs := make([]error, len(places))
	look := func(from, to int) {
		for i := from; i < to && ctx.Err() == nil; i++ {
			files[i] = places[i].file
			if files[i] == nil {
				files[i] = v.file(places[i].abs)
			}
			errs[i] = v.settle(files[i], places[i].ref, places[i].abs)
		}
	}
	if len(places) < parallelFiles {
		look(0, len(places))
	} else {
		var wg sync.WaitGroup
		const chunk = parallelFiles / 4
		next := make(chan int, len(places)/chunk+1)
		for i := 0; i < len(places); i += chunk {
			next <- i
		}
		close(next)
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for i := range next {
					look(i, min(i+chunk, len(places)))
				}
			})
		}
		wg.Wait()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", places[i].ref, plainError(err))
		}
	}
	return files, nil
}

// list returns what is in a directory, sorted by name; nothing if it does not
// exist.
func (v *view) list(dir string) ([]fs.DirEntry, error) {
	v.mu.RLock()
	entries, ok := v.dirs[dir]
	v.mu.RUnlock()
	if ok {
		return entries, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	v.mu.Lock()
	v.dirs[dir] = entries
	v.mu.Unlock()
	return entries, nil
}

// forget makes the view look again at a path that the engine has changed. Of a
// directory, everything below is forgotten.
func (v *view) forget(abs string, tree bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.files, abs)
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		delete(v.dirs, dir)
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if !tree {
		return
	}
	for path := range v.files {
		if inside(path, abs) {
			delete(v.files, path)
		}
	}
	for path := range v.dirs {
		if inside(path, abs) {
			delete(v.dirs, path)
		}
	}
}

// treeFile is one file of a tree, by its path below it.
type treeFile struct {
	path string
	size int64
	sum  store.Sum
}

// tree lists a directory with digests, sorted by path. Empty directories do not
// count; anything but files and directories is an error, since a digest could
// not stand for it.
func (v *view) tree(ctx context.Context, ref Ref, abs string) ([]treeFile, error) {
	if _, mode, err := store.Lstat(abs); err != nil {
		return nil, err
	} else if !mode.IsDir() {
		return nil, errors.New("it is not a directory")
	}
	w := treeWalk{ix: v.index(v.opt.private(abs)), changed: v.changed, ctx: ctx, name: ref.String() + "/", free: make(chan struct{}, runtime.GOMAXPROCS(0))}
	w.dir(w.name, abs)
	w.wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if w.err != nil {
		return nil, fmt.Errorf("%s in it: %w", w.errAt, plainError(w.err))
	}
	slices.SortFunc(w.files, func(a, b treeFile) int { return compare(a.path, b.path) })
	return w.files, nil
}

// treeWalk reads a tree with all processors. It does not remember files in the
// view: trees are looked at as a whole, by the decision about their step.
type treeWalk struct {
	ix      *store.Index
	changed func(abs string) bool // see view
	ctx     context.Context
	name    string // of the tree, with a slash
	free    chan struct{}
	wg      sync.WaitGroup

	mu    sync.Mutex
	files []treeFile
	err   error  // the one of the first path
	errAt string // its path
}

func (w *treeWalk) fail(name string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at := strings.TrimPrefix(name, w.name); w.err == nil || at < w.errAt {
		w.err, w.errAt = err, at
	}
}

// dir reads a directory; its name ends in a slash.
func (w *treeWalk) dir(name, abs string) {
	files, err := w.read(name, abs)
	if err != nil {
		w.fail(name, err)
		return
	}
	w.mu.Lock()
	w.files = append(w.files, files...)
	w.mu.Unlock()
}

func (w *treeWalk) read(name, abs string) (files []treeFile, err error) {
	dir, err := os.Open(abs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	files = make([]treeFile, 0, len(entries))
	for _, e := range entries {
		if err := w.ctx.Err(); err != nil {
			return nil, err
		}
		base := e.Name()
		name, abs := name+base, abs+string(filepath.Separator)+base
		if e.IsDir() {
			select {
			case w.free <- struct{}{}:
				w.wg.Go(func() {
					w.dir(name+"/", abs)
					<-w.free
				})
			default:
				w.dir(name+"/", abs)
			}
			continue
		}
		st, mode, err := store.LstatAt(dir, base)
		if err == nil && !mode.IsRegular() {
			err = errors.New("it is neither a file nor a directory")
		}
		var sum store.Sum
		if err == nil {
			sum, st, err = hash(w.ix, []byte(name), abs, st)
		}
		if err != nil {
			w.fail(name, err)
			continue
		}
		if w.changed != nil && w.changed(abs) {
			sum = other(sum)
		}
		files = append(files, treeFile{name[len(w.name):], st.Size, sum})
	}
	return files, nil
}

// plainError drops the operation and the absolute path of a file error, which
// say nothing beside the ref and depend on the machine.
func plainError(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errMissing
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

var errMissing = errors.New("it does not exist")
