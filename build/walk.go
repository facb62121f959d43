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
	"syscall"

	"github.com/foundation-plr/pipeline/internal/store"
)

// walker reads the directories of a root as far as one of some patterns can match:
// a step that lists a study has a handful of patterns for thousands of
// directories, each of which is looked at once for all of them.
type walker struct {
	ctx   context.Context
	r     resolver
	v     *view
	top   string   // the directory of the root
	dir   *os.File // it, if it can be opened: looks from there are shorter
	ins   []*input // the patterns
	only  *Root    // a root of single files
	aside []string // what is not for patterns, see [Options.aside]
	// owners make something below the root; nil: nobody does.
	owners map[string]owner

	found  []entryWriter // of each pattern
	unread [][]match     // of each pattern, what comes behind what was found
	branch bool          // it reads a part of a directory that several share
	kinds  *sync.Mutex   // held for a digest of meaning: those may take what only one at a time may
}

// match is what a pattern matches on disk: an entry, or a file that is to be read.
type match struct {
	entry entry
	file  place
}

// maxUnread is how many matches of a pattern wait to be read together: enough for all
// processors, and few beside the files of a large store.
const maxUnread = 4 * parallelFiles

// walkError is an error with the pattern that led to it.
type walkError struct {
	pattern int
	err     error
}

func (e *walkError) Error() string { return e.err.Error() }
func (e *walkError) Unwrap() error { return e.err }

// walk finds what patterns of one root match. An error is a *walkError.
func (r resolver) walk(ctx context.Context, ins []*input) ([]entryWriter, error) {
	p, o := r.s.plan, r.v.opt
	w := walker{ctx: ctx, r: r, v: r.v, top: ins[0].top, ins: ins, found: make([]entryWriter, len(ins)), unread: make([][]match, len(ins)), kinds: new(sync.Mutex)}
	w.aside = o.aside(ins[0].root, w.top)
	if w.top == string(filepath.Separator) || len(p.below(w.top)) > 0 {
		w.owners = p.owners
	}
	if root := o.Roots[ins[0].root]; len(root.Only) > 0 {
		w.only = &root
	}
	at := make([]positions, len(ins))
	for i, in := range ins {
		at[i] = in.glob.start()
	}
	if dir, err := os.Open(w.top); err == nil { // else by paths, which say what is wrong
		w.dir = dir
		defer dir.Close() //nolint:errcheck // nothing was written
	}
	if err := w.walk(w.top, at, false); err != nil {
		return nil, err
	}
	return w.found, w.readAll()
}

// fail blames the first pattern that is still in play.
func (w *walker) fail(at []positions, err error) error {
	return &walkError{max(0, slices.IndexFunc(at, func(p positions) bool { return p != 0 })), err}
}

// below is the path of something in the root as its ref has it.
func (w *walker) below(abs string) string {
	return filepath.ToSlash(abs[len(strings.TrimSuffix(w.top, string(filepath.Separator)))+1:])
}

func join(dir, name string) string {
	if strings.HasSuffix(dir, string(filepath.Separator)) {
		return dir + name
	}
	return dir + string(filepath.Separator) + name
}

// walk visits a directory; outside says that the way there led outside the root.
func (w *walker) walk(dir string, at []positions, outside bool) error {
	if names, ok := w.literals(at); ok {
		for _, name := range names {
			abs := join(dir, name)
			f, mode, err := w.v.peek(w.dir, w.below(abs), abs)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				continue
			}
			if err != nil {
				return w.fail(at, err)
			}
			if err := w.visit(dir, name, abs, mode, f, at, outside); err != nil {
				return err
			}
		}
		return nil
	}
	entries, err := w.v.list(dir)
	if err != nil {
		return w.fail(at, err)
	}
	if len(entries) >= parallelFiles && !w.branch {
		return w.spread(dir, entries, slices.Clone(at), outside)
	}
	return w.visitAll(dir, entries, at, outside)
}

// literals are the only names that can come next, sorted, or false if the
// directory has to be read.
func (w *walker) literals(at []positions) (names []string, ok bool) {
	alive := 0
	for i, in := range w.ins {
		if at[i] == 0 {
			continue
		}
		alive++
		if names, ok = in.glob.literals(names, at[i]); !ok {
			return nil, false
		}
	}
	if alive > 1 || len(names) > 1 {
		slices.Sort(names)
		names = slices.Compact(names)
	}
	return names, true
}

func (w *walker) visitAll(dir string, entries []dirEntry, at []positions, outside bool) error {
	for _, e := range entries {
		if err := w.visit(dir, e.name, "", e.mode, nil, at, outside); err != nil {
			return err
		}
	}
	return nil
}

// spread visits what is in a large directory on all processors. What is found is
// in the order in which one would find it, and the error the first one's.
func (w *walker) spread(dir string, entries []dirEntry, at []positions, outside bool) error {
	if err := w.readAll(); err != nil { // what comes before
		return err
	}
	const chunk = parallelFiles / 4
	parts := make([][]entryWriter, (len(entries)+chunk-1)/chunk)
	errs := make([]error, len(parts))
	var mu sync.Mutex
	taken := 0 // parts, which follow each other; the others are few
	take := func(i int, found []entryWriter, err error) {
		mu.Lock()
		defer mu.Unlock()
		parts[i], errs[i] = found, err
		for ; taken < len(parts) && parts[taken] != nil && errs[taken] == nil; taken++ {
			for k := range parts[taken] {
				w.found[k].append(&parts[taken][k])
			}
			parts[taken] = nil
		}
	}
	next := make(chan int, len(parts))
	for i := range parts {
		next <- i
	}
	close(next)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				part := *w
				part.branch, part.found, part.unread = true, make([]entryWriter, len(w.ins)), make([][]match, len(w.ins))
				err := part.visitAll(dir, entries[i*chunk:min((i+1)*chunk, len(entries))], at, outside)
				if err == nil {
					err = part.readAll()
				}
				take(i, part.found, err)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// visit takes what stands in a directory: its name, its path or "" if nobody has
// made that yet, its type, and what the view knows of it, if it has looked.
func (w *walker) visit(dir, name, abs string, mode fs.FileMode, f *file, before []positions, outside bool) error {
	var room [8]positions // as many as a step has, as a rule
	at := room[:0]
	var any positions
	for i, in := range w.ins {
		next := in.glob.step(before[i], name)
		at = append(at, next)
		any |= next
	}
	if any == 0 || strings.HasPrefix(name, stagingDir) {
		return nil
	}
	if abs == "" {
		abs = join(dir, name)
	}
	if w.only != nil && !w.only.holds(abs) || w.foreign(abs) {
		return nil
	}
	link := mode&fs.ModeSymlink != 0
	if link {
		_, target, err := store.FileStat(abs)
		switch {
		case err == nil:
			mode = target.Type()
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ELOOP):
			mode = fs.ModeIrregular // a link to nothing is a name
		default:
			return w.fail(at, err)
		}
		leaves, err := w.leaves(abs)
		if err != nil {
			return w.fail(at, err)
		}
		outside = outside || leaves
	}
	further := false
	for i, in := range w.ins {
		if at[i] == 0 {
			continue
		}
		if in.glob.done(at[i]) {
			if err := w.take(i, abs, mode, f, outside); err != nil {
				return err
			}
		}
		further = further || in.glob.deeper(at[i])
	}
	if !mode.IsDir() || !further {
		return nil
	}
	if link {
		into, err := w.follow(dir, abs)
		if err != nil {
			return w.fail(at, err)
		}
		if !into {
			return nil
		}
	}
	return w.walk(abs, at, outside)
}

// take notes what a pattern matches.
func (w *walker) take(i int, abs string, mode fs.FileMode, f *file, outside bool) error {
	in := w.ins[i]
	ref := Ref{in.root, w.below(abs)}
	switch {
	case in.kind == inNames:
		kind := kindNamedOther
		switch {
		case outside:
			kind = kindNamedOutside
		case mode.IsDir():
			kind = kindNamedDir
		case mode.IsRegular():
			kind = kindNamedFile
		}
		return w.put(i, match{entry: entry{kind: kind, ref: ref}})
	case mode.IsRegular():
		known := false
		if f != nil {
			f, known = w.v.known(f, ref, abs)
		}
		at := place{ref, abs, outside, f}
		if known && in.as == "" {
			return w.put(i, match{entry: fileEntry(at, f)})
		}
		return w.put(i, match{file: at})
	case !mode.IsDir():
		// A pipe, a device, a link to nothing: a step that meets one may say so.
		return w.put(i, match{entry: entry{kind: kindNamedOther, ref: ref}})
	}
	return nil
}

// put keeps what a pattern matches in the order in which it was found.
func (w *walker) put(i int, m match) error {
	if m.entry.kind != 0 && len(w.unread[i]) == 0 {
		w.found[i].add(m.entry)
		return nil
	}
	w.unread[i] = append(w.unread[i], m)
	if len(w.unread[i]) < maxUnread {
		return nil
	}
	return w.read(i)
}

func (w *walker) readAll() error {
	for i := range w.unread {
		if err := w.read(i); err != nil {
			return err
		}
	}
	return nil
}

// read finds out what counts of the files that a pattern matches.
func (w *walker) read(i int) error {
	var places []place
	for _, m := range w.unread[i] {
		if m.entry.kind == 0 {
			places = append(places, m.file)
		}
	}
	files, err := w.v.digests(w.ctx, places)
	if err != nil {
		return &walkError{i, err}
	}
	for _, m := range w.unread[i] {
		if m.entry.kind == 0 {
			if m.entry, err = w.counted(w.ins[i].as, m.file, files[0]); err != nil {
				return &walkError{i, err}
			}
			files = files[1:]
		}
		w.found[i].add(m.entry)
	}
	w.unread[i] = w.unread[i][:0]
	return nil
}

// counted is the entry of a file on disk.
func (w *walker) counted(as string, at place, f *file) (entry, error) {
	if as == "" {
		return fileEntry(at, f), nil
	}
	w.kinds.Lock()
	defer w.kinds.Unlock()
	e, err := w.r.count(w.ctx, as, at, f.sum, f.stat.Size)
	if err != nil {
		return e, fmt.Errorf("%s: %w", at.ref, err)
	}
	return e, nil
}

// fileEntry is a file whose bytes count.
func fileEntry(at place, f *file) entry {
	kind := kindFile
	if at.outside {
		kind = kindFileOutside
	}
	return entry{kind: kind, ref: at.ref, size: f.stat.Size, sum: f.sum}
}

// leaves says whether a link is absolute or leads out of the root.
func (w *walker) leaves(abs string) (bool, error) {
	text, err := os.Readlink(abs)
	if err != nil || filepath.IsAbs(text) {
		return true, err
	}
	target, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return false, nil // it leads to nothing
	}
	root, err := filepath.EvalSymlinks(w.top)
	return err == nil && !inside(target, root), err
}

// foreign says that a path is not for patterns of this root.
func (w *walker) foreign(abs string) bool {
	if w.owners != nil {
		if _, ok := w.owners[abs]; ok {
			return true
		}
	}
	return len(w.aside) > 0 && slices.Contains(w.aside, abs)
}

// aside are the paths below a root that patterns of it pass by, beside what steps
// make: a cache, or a private root below a public one.
func (o *Options) aside(name, top string) []string {
	paths := []string{o.PublicCache, o.PrivateCache}
	for other, root := range o.Roots {
		switch {
		case !root.Private:
		case len(root.Only) > 0 && other != name:
			for _, file := range root.Only {
				paths = append(paths, filepath.Join(root.Path, file))
			}
		case len(root.Only) == 0 && !inside(top, root.Path):
			paths = append(paths, root.Path)
		}
	}
	return slices.DeleteFunc(paths, func(abs string) bool { return abs == "" || !inside(abs, top) })
}

// follow says whether to go on through a link to a directory: not if that
// directory holds the link, which would go on for ever.
func (w *walker) follow(dir, abs string) (bool, error) {
	if err := w.v.checkLink(abs, w.v.opt.private(w.top)); err != nil {
		return false, fmt.Errorf("%s: %w", w.below(abs), err)
	}
	here, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	there, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return false, err
	}
	return !inside(here, there), nil
}
