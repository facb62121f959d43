package build

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
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
	before  *view // nil, or see after

	mu    sync.RWMutex
	moved string           // the first file by name that was found with another Stat than before
	files map[string]*file // asked for, and not in settled
	// settled are the files whose digests stand in the index, as nearly all do: it has
	// what there is to know, and their paths would be most of what a build of a large
	// store keeps in memory.
	settled settledFiles
	dirs    map[pathKey]listing
	gone    map[string]uint32 // trees that were forgotten, and the how manieth time that was
	forgets uint32            // how many times a tree was
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

// pathKey stands for a path: two hashes of it with seeds of this process, which nobody
// knows beforehand. Of a million paths any two have one with a chance of 1 in 10^26.
type pathKey [2]uint64

var pathSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func keyOfPath(abs string) pathKey {
	return pathKey{maphash.String(pathSeeds[0], abs), maphash.String(pathSeeds[1], abs)}
}

// listing is what was found in a directory.
type listing struct {
	entries []dirEntry
	forgets uint32
}

// dirEntry is a name in a directory with the type of what stands there.
type dirEntry struct {
	name string
	mode fs.FileMode
}

func newView(o *Options, index func(private bool) *store.Index) *view {
	return &view{opt: o, index: index, files: map[string]*file{}, settled: newSettledFiles(0), dirs: map[pathKey]listing{}, gone: map[string]uint32{}}
}

// after returns a view of what was seen before, that looks at all of it again. Where the
// index has a file it keeps nothing of it but whether it has moved: what a step that
// lists a large store has read would be in memory twice.
func (v *view) after() *view {
	again := newView(v.opt, v.index)
	again.before = v
	return again
}

// compare holds a file that was looked at against what was seen before.
func (v *view) compare(abs string, now store.Stat) {
	// Another step may be looking at it for the first time just now. What cannot be read
	// any more is not taken to be the same.
	if was, known := v.before.stat(abs); known && was != now {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.moved == "" || abs < v.moved {
			v.moved = abs
		}
	}
}

// stat returns the Stat of a file that was found; none of one that the index has lost
// meanwhile.
func (v *view) stat(abs string) (store.Stat, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if f := v.files[abs]; f != nil {
		if !f.done.Load() || f.err != nil {
			return store.Stat{}, false
		}
		return f.stat, true
	}
	if at := v.settled.find(keyOfPath(abs)); at != nil && !v.forgotten(abs, at.since()) {
		in, _ := v.index(at.private()).At(at.in)
		return in.Stat, true
	}
	return store.Stat{}, false
}

// forgotten says that a tree which holds a path was forgotten since.
func (v *view) forgotten(abs string, since uint32) bool {
	if v.forgets == since {
		return false
	}
	for {
		if v.gone[abs] > since {
			return true
		}
		up := parent(abs)
		if up == abs {
			return false
		}
		abs = up
	}
}

var errPrivateLink = errors.New("it is a link to a private file, but it is not in a private root itself")

// file returns what is known of a path. Where that is nothing, it is what somebody has
// just seen, nil being nothing yet.
func (v *view) file(abs string, seen *file) *file {
	v.mu.Lock() // most files are asked for once, so to read first would be in vain
	defer v.mu.Unlock()
	f := v.find(abs)
	if f == nil {
		if f = seen; f == nil {
			f = new(file)
		}
		v.files[abs] = f
	}
	return f
}

// find returns what is known of a path, nil if nobody has asked for it.
func (v *view) find(abs string) *file {
	if f := v.files[abs]; f != nil {
		return f
	}
	at := v.settled.find(keyOfPath(abs))
	if at == nil || v.forgotten(abs, at.since()) {
		return nil
	}
	in, ok := v.index(at.private()).At(at.in)
	if !ok {
		return nil
	}
	f := &file{seen: true, stat: in.Stat, mode: at.mode(), sum: in.Sum}
	f.done.Store(true)
	return f
}

// keep holds on to a file that the index has by that alone, or, in a view that only
// tells what has moved, not at all.
func (v *view) keep(abs string, f *file, in store.Entry) {
	if in == 0 || !f.seen || v.changed != nil && v.changed(abs) {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.files[abs] != f { // it was forgotten meanwhile
		return
	}
	delete(v.files, abs)
	if v.before == nil {
		v.settled.put(settledAs(keyOfPath(abs), in, f.mode, v.opt.private(abs), v.forgets))
	}
}

// peek returns what stands at a path and its type, a link not followed: rel is the
// path from an open directory, nil being none. Of what nobody has asked for the view
// keeps nothing, see known.
func (v *view) peek(dir *os.File, rel, abs string) (*file, fs.FileMode, error) {
	v.mu.RLock()
	f := v.find(abs)
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
	return &file{stat: st, mode: mode, seen: true}, mode.Type(), nil
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
	f := v.file(abs, nil)
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
	var in store.Entry
	in, f.err = v.look(f, ref, abs)
	if f.err == nil && v.changed != nil && v.changed(abs) {
		f.sum = other(f.sum)
	}
	f.done.Store(true)
	if v.before != nil && f.err == nil {
		v.compare(abs, f.stat)
	}
	v.keep(abs, f, in)
	return f.err
}

// known says that what counts of a file which peek has seen is known without reading
// it, which it then is: the index has it. It returns the file as it was settled before,
// if it was.
func (v *view) known(seen *file, ref Ref, abs string) (f *file, ok bool) {
	seen.mu.Lock() // others may have it, too
	defer seen.mu.Unlock()
	if seen.done.Load() {
		return seen, seen.err == nil
	}
	if !seen.mode.IsRegular() || !seen.seen || v.changed != nil {
		return seen, false
	}
	private := v.opt.private(abs)
	ix := v.index(private)
	if ix == nil {
		return seen, false
	}
	var room [256]byte
	in, sum := ix.Get(ref.appendTo(room[:0]), seen.stat)
	if in == 0 {
		return seen, false
	}
	if v.before != nil {
		v.compare(abs, seen.stat)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if f = v.find(abs); f != nil { // somebody was faster, or is about to be
		return f, f.done.Load() && f.err == nil
	}
	if v.before == nil {
		v.settled.put(settledAs(keyOfPath(abs), in, seen.mode, private, v.forgets))
	}
	seen.sum = sum
	seen.done.Store(true)
	return seen, true
}

// other is the digest of a file that is taken to have changed. It is the
// digest of nothing that exists.
func other(sum store.Sum) store.Sum {
	sum[0] ^= 0xff
	return sum
}

// look fills in what the file system and the index say of a file.
func (v *view) look(f *file, ref Ref, abs string) (in store.Entry, err error) {
	private := v.opt.private(abs)
	if !f.seen {
		if f.stat, f.mode, err = store.Lstat(abs); err != nil {
			return 0, err
		}
	}
	f.seen = f.mode&fs.ModeSymlink == 0
	if !f.seen {
		if f.stat, f.mode, err = store.FileStat(abs); err != nil {
			return 0, err // a loop is told better than by checkLink
		}
		if err := v.checkLink(abs, private); err != nil {
			return 0, err
		}
	}
	if !f.mode.IsRegular() {
		what := "not a regular file"
		if f.mode.IsDir() {
			what = "a directory"
		}
		return 0, fmt.Errorf("it is %s", what)
	}
	var room [256]byte
	f.sum, f.stat, in, err = hash(v.index(private), ref.appendTo(room[:0]), abs, f.stat)
	return in, err
}

// hash returns the digest of a file with this Stat, from the index if it is there,
// and what the index has of it from now on, 0 being nothing.
func hash(ix *store.Index, name []byte, abs string, st store.Stat) (store.Sum, store.Stat, store.Entry, error) {
	if ix == nil {
		sum, st, err := store.Hash(abs)
		return sum, st, 0, err
	}
	if in, sum := ix.Get(name, st); in != 0 {
		return sum, st, in, nil
	}
	sum, st, err := store.Hash(abs)
	if err != nil {
		return sum, st, 0, err
	}
	return sum, st, ix.Put(name, st, sum), nil
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
			files[i] = v.file(places[i].abs, places[i].file)
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

// byPath puts a directory where the paths of what is in it come, beside others: they are
// then found in the order that lists of them have.
func byPath(a, b dirEntry) int {
	n := min(len(a.name), len(b.name))
	if c := compare(a.name[:n], b.name[:n]); c != 0 {
		return c
	}
	next := func(e dirEntry) byte { // one name begins with the other
		switch {
		case len(e.name) > n:
			return e.name[n]
		case e.mode.IsDir():
			return '/'
		}
		return 0
	}
	return int(next(a)) - int(next(b))
}

// list returns what is in a directory, sorted as its paths are; nothing if it does not
// exist.
func (v *view) list(dir string) ([]dirEntry, error) {
	key := keyOfPath(dir)
	v.mu.RLock()
	l, ok := v.dirs[key]
	ok = ok && !v.forgotten(dir, l.forgets)
	since := v.forgets
	v.mu.RUnlock()
	if ok {
		return l.entries, nil
	}
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l = listing{make([]dirEntry, len(found)), since}
	for i, e := range found {
		l.entries[i] = dirEntry{e.Name(), e.Type()}
	}
	slices.SortFunc(l.entries, byPath)
	if v.before == nil {
		v.mu.Lock()
		v.dirs[key] = l
		v.mu.Unlock()
	}
	return l.entries, nil
}

// forget makes the view look again at a path that the engine has changed. Of a
// directory, everything below is forgotten.
func (v *view) forget(abs string, tree bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.files, abs)
	v.settled.forget(keyOfPath(abs))
	for dir := filepath.Dir(abs); ; dir = filepath.Dir(dir) {
		delete(v.dirs, keyOfPath(dir))
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
	v.forgets++
	v.gone[abs] = v.forgets
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
			sum, st, _, err = hash(w.ix, []byte(name), abs, st)
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
