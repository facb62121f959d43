package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/foundation-plr/pipeline/internal/store"
)

// errNotYet says that an input can be known only after an output was restored.
var errNotYet = errors.New("known only when its inputs are in place")

// resolver finds out what the inputs of a step are. Outputs of other steps are
// taken from what is known of those steps, so that a dry run can speak of files
// that are still to be restored; with strict set they are looked at on disk.
type resolver struct {
	s      *session
	v      *view
	strict bool
}

// resolve returns the inputs of a node, sorted, whose makers are all settled.
func (r resolver) resolve(ctx context.Context, n *node) ([]group, error) {
	p := r.s.plan
	p.mu.RLock()
	defer p.mu.RUnlock()
	groups := make([]group, len(n.ins))
	errs := make([]error, len(n.ins))
	next := make(chan int, len(n.ins))
	patterns := 0
	for i := range n.ins {
		next <- i
		if k := n.ins[i].kind; k == inGlob || k == inNames {
			patterns++
		}
	}
	close(next)
	find := func() {
		for i := range next {
			groups[i], errs[i] = r.input(ctx, n, &n.ins[i])
		}
	}
	if patterns < 2 {
		find()
	} else {
		// Walks wait for the file system, and all steps that a study will grow wait
		// for those of the step that lists its runs.
		var wg sync.WaitGroup
		for range min(patterns, runtime.GOMAXPROCS(0)) {
			wg.Go(find)
		}
		wg.Wait()
	}
	for i, err := range errs {
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("input %s: %w", &n.ins[i], plainError(err))
		}
	}
	return groups, nil
}

// input returns what an input stands for, sorted.
func (r resolver) input(ctx context.Context, n *node, in *input) (group, error) {
	var entries []entry
	var err error
	switch in.kind {
	case inFile:
		entries, err = r.file(ctx, in)
	case inAbsent:
		entries, err = r.absent(in)
	case inGlob, inNames:
		entries, err = r.match(ctx, in)
	case inOutputsOf:
		entries, err = r.outputsOf(ctx, n, in)
	}
	slices.SortFunc(entries, func(a, b entry) int { return compareRefs(a.ref, b.ref) })
	return group{in.Input, entries}, err
}

func (r resolver) file(ctx context.Context, in *input) ([]entry, error) {
	ref := Ref{in.root, in.pattern}
	who := in.who
	if who.n == nil || who.ledger && who.n.ledgers[who.out] == in.abs {
		f, err := r.v.digest(ref, in.abs)
		if err != nil {
			return nil, err
		}
		return r.count(ctx, in.as, place{ref: ref, abs: in.abs}, f.sum, f.stat.Size)
	}
	if who.ledger {
		return nil, errMissing
	}
	abs := who.n.outs[who.out]
	if abs != in.abs {
		return r.inTree(ctx, in, who)
	}
	m, err := r.made(ctx, who)
	if err != nil {
		return nil, err
	}
	if in.as == "" && m.tree {
		return []entry{{kind: kindTree, ref: ref, size: m.size, sum: m.sum}}, nil
	}
	if m.tree {
		return nil, errors.New("a tree has no kind")
	}
	return r.count(ctx, in.as, place{ref: ref, abs: in.abs}, m.sum, m.size)
}

// inTree returns one file of a tree that a step makes. A strict view looks at
// that file alone: the tree may hold thousands that the step does not read.
func (r resolver) inTree(ctx context.Context, in *input, who owner) ([]entry, error) {
	m, err := resolver{s: r.s, v: r.v}.made(ctx, who)
	if err != nil {
		return nil, err
	}
	at := place{ref: Ref{in.root, in.pattern}, abs: in.abs}
	f, found := m.find(relative(who.n.outs[who.out], in.abs))
	if !m.tree || !found {
		return nil, fmt.Errorf("step %s does not make it", who.n.Name)
	}
	if r.strict {
		now, err := r.v.digest(at.ref, at.abs)
		if err != nil {
			return nil, err
		}
		f.sum, f.size = now.sum, now.stat.Size
	}
	return r.count(ctx, in.as, at, f.sum, f.size)
}

// made returns an output of a settled step.
func (r resolver) made(ctx context.Context, who owner) (*made, error) {
	m := r.s.result(who.n, who.out)
	if m == nil {
		return nil, fmt.Errorf("step %s has not made it", who.n.Name)
	}
	if !r.strict {
		return m, nil
	}
	now, err := r.v.output(ctx, who.n.Outputs[who.out], who.n.outs[who.out])
	if err != nil {
		return nil, err
	}
	now.kind, now.meaning = m.kind, m.meaning
	if now.sum != m.sum || now.size != m.size {
		now.meaning = "" // not computed again: it only has to differ
	}
	return now, nil
}

// output looks at an output on disk.
func (v *view) output(ctx context.Context, o Output, abs string) (*made, error) {
	m := &made{ref: o.Ref, tree: o.Tree, kind: o.Kind}
	if o.Tree {
		files, err := v.tree(ctx, o.Ref, abs)
		if err != nil {
			return nil, err
		}
		m.files = files
		m.sumTree()
		return m, nil
	}
	f, err := v.digest(o.Ref, abs)
	if err != nil {
		return nil, err
	}
	m.sum, m.size, m.exec = f.sum, f.stat.Size, f.mode&0o100 != 0
	return m, nil
}

// count turns a file into the entry that counts in the key.
func (r resolver) count(ctx context.Context, as string, at place, sum store.Sum, size int64) ([]entry, error) {
	if as == "" {
		return []entry{{kind: kindFile, ref: at.ref, size: size, sum: sum}}, nil
	}
	meaning, err := r.v.meaning(ctx, as, at, sum, size)
	if err != nil {
		return nil, err
	}
	return []entry{{kind: kindMeaning, ref: at.ref, meaning: as + " " + meaning}}, nil
}

// meaning returns the digest of meaning of a file with these contents.
func (v *view) meaning(ctx context.Context, kind string, at place, sum store.Sum, size int64) (string, error) {
	ix := v.index(v.opt.private(at.abs))
	if ix != nil {
		if m, ok := ix.Meaning(kind, sum, size); ok {
			return m, nil
		}
	}
	got, _, err := store.Hash(at.abs)
	if err == nil && v.changed != nil && v.changed(at.abs) && sum == other(got) {
		return "another", nil
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && got != sum {
		return "", errNotYet
	}
	if err != nil {
		return "", err
	}
	m, err := v.opt.Digests[kind](ctx, at.abs)
	if err != nil {
		return "", fmt.Errorf("digest of its %s contents: %w", kind, err)
	}
	if got, _, err := store.Hash(at.abs); err != nil || got != sum {
		return "", fmt.Errorf("digest of its %s contents: %w", kind, errors.Join(store.ErrMoved, err))
	}
	if ix != nil {
		ix.PutMeaning(kind, sum, size, m)
	}
	return m, nil
}

func (r resolver) absent(in *input) ([]entry, error) {
	_, _, err := store.Lstat(in.abs)
	if err == nil {
		return nil, errors.New("it exists and must not")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return []entry{{kind: kindAbsent, ref: Ref{in.root, in.pattern}}}, nil
}

func (r resolver) outputsOf(ctx context.Context, n *node, in *input) ([]entry, error) {
	var entries []entry
	for _, m := range r.s.plan.named(in.pattern) {
		if m == n {
			continue
		}
		for i := range m.Outputs {
			out, err := r.made(ctx, owner{n: m, out: i})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Outputs[i], plainError(err))
			}
			if in.as == "" || out.tree {
				entries = append(entries, out.entry())
				continue
			}
			e, err := r.count(ctx, in.as, place{ref: out.ref, abs: m.outs[i]}, out.sum, out.size)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Outputs[i], err)
			}
			entries = append(entries, e...)
		}
	}
	return entries, nil
}

// match finds what a pattern stands for: on disk what no step makes, from the
// steps what they make.
func (r resolver) match(ctx context.Context, in *input) ([]entry, error) {
	base := filepath.Join(in.abs, filepath.FromSlash(in.glob.base))
	var entries []entry
	root := r.s.opt.Roots[in.root]
	for _, who := range r.s.plan.makers(in) {
		if len(root.Only) > 0 && !root.holds(who.abs()) {
			continue
		}
		e, err := r.owned(ctx, in, base, who)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e...)
	}
	if who, ok := r.s.plan.above(base); ok && !who.ledger {
		return entries, nil // all of it is made by a step
	}
	w := walker{r: r, in: in}
	if err := w.walk(in.abs, "", in.glob.start(), false); err != nil {
		return nil, err
	}
	if in.kind == inNames {
		return append(entries, w.names...), nil
	}
	files, err := r.v.digests(ctx, w.files)
	if err != nil {
		return nil, err
	}
	entries = slices.Grow(append(entries, w.names...), len(files))
	for i, f := range files {
		if in.as == "" {
			kind := kindFile
			if w.files[i].outside {
				kind = kindFileOutside
			}
			entries = append(entries, entry{kind: kind, ref: w.files[i].ref, size: f.stat.Size, sum: f.sum})
			continue
		}
		e, err := r.count(ctx, in.as, w.files[i], f.sum, f.stat.Size)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.files[i].ref, err)
		}
		entries = append(entries, e...)
	}
	return entries, nil
}

// abs returns where the output or ledger is.
func (o owner) abs() string {
	if o.ledger {
		return o.n.ledgers[o.out]
	}
	return o.n.outs[o.out]
}

// owned returns what a pattern matches of one output or ledger.
func (r resolver) owned(ctx context.Context, in *input, base string, who owner) ([]entry, error) {
	if who.ledger {
		abs := who.n.ledgers[who.out]
		rel := relative(in.abs, abs)
		if !in.glob.match(rel) {
			return nil, nil
		}
		f, err := r.v.digest(Ref{in.root, rel}, abs)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if in.kind == inNames {
			return []entry{{kind: kindNamedFile, ref: Ref{in.root, rel}}}, nil
		}
		return r.count(ctx, in.as, place{ref: Ref{in.root, rel}, abs: abs}, f.sum, f.stat.Size)
	}
	abs := who.n.outs[who.out]
	if !who.tree() {
		rel := relative(in.abs, abs)
		if !in.glob.match(rel) {
			return nil, nil
		}
		if in.kind == inNames {
			return []entry{{kind: kindNamedFile, ref: Ref{in.root, rel}}}, nil
		}
		m, err := r.made(ctx, who)
		if err != nil {
			return nil, err
		}
		return r.count(ctx, in.as, place{ref: Ref{in.root, rel}, abs: abs}, m.sum, m.size)
	}
	// In a strict view only the files that match are looked at, not the whole
	// tree for every step that reads a part of it.
	m, err := resolver{s: r.s, v: r.v}.made(ctx, who)
	if err != nil {
		return nil, err
	}
	// The tree may lie above the base of the pattern or below it.
	files := m.files
	if base != abs && inside(base, abs) {
		files = m.under(relative(abs, base))
	}
	up := relative(in.abs, abs)
	if up == "." {
		up = ""
	} else {
		up += "/"
	}
	var entries []entry
	dirs := map[string]bool{}
	var at dirMatch
	for _, f := range files {
		rel := up + f.path
		if in.kind == inNames {
			for dir := rel; dir != "." && inside(filepath.Join(in.abs, dir), abs) && !dirs[dir]; dir = path.Dir(dir) {
				dirs[dir] = true
				if in.glob.match(dir) {
					kind := kindNamedDir
					if dir == rel {
						kind = kindNamedFile
					}
					entries = append(entries, entry{kind: kind, ref: Ref{in.root, dir}})
				}
			}
			continue
		}
		if !at.match(in.glob, rel) {
			continue
		}
		if in.as == "" && !r.strict {
			entries = append(entries, entry{kind: kindFile, ref: Ref{in.root, rel}, size: f.size, sum: f.sum})
			continue
		}
		at := place{ref: Ref{in.root, rel}, abs: filepath.Join(abs, filepath.FromSlash(f.path))}
		if r.strict {
			now, err := r.v.digest(at.ref, at.abs)
			if err != nil {
				return nil, err
			}
			f.sum, f.size = now.sum, now.stat.Size
		}
		e, err := r.count(ctx, in.as, at, f.sum, f.size)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e...)
	}
	return entries, nil
}

// walker reads directories as far as a pattern can match.
type walker struct {
	r     resolver
	in    *input
	files []place // of Glob
	names []entry // of Names; of Glob, what matches and is neither file nor directory
}

// walk visits a directory; outside says that the way there led outside the root.
func (w *walker) walk(dir, rel string, at positions, outside bool) error {
	if names, ok := w.in.glob.literals(at); ok {
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			mode, err := w.r.v.kind(dir + string(filepath.Separator) + name)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
				continue
			}
			if err != nil {
				return err
			}
			if err := w.visit(dir, rel, name, mode, at, outside); err != nil {
				return err
			}
		}
		return nil
	}
	entries, err := w.r.v.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := w.visit(dir, rel, e.Name(), e.Type(), at, outside); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) visit(dir, rel, name string, mode fs.FileMode, at positions, outside bool) error {
	in := w.in
	at = in.glob.step(at, name)
	if at == 0 {
		return nil
	}
	abs := dir + string(filepath.Separator) + name
	if root := w.r.v.opt.Roots[in.root]; len(root.Only) > 0 && !root.holds(abs) {
		return nil
	}
	if strings.HasPrefix(name, stagingDir) || w.foreign(abs) {
		return nil
	}
	if rel != "" {
		name = rel + "/" + name
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
			return err
		}
		leaves, err := w.leaves(abs)
		if err != nil {
			return err
		}
		outside = outside || leaves
	}
	if in.glob.done(at) {
		ref := Ref{in.root, name}
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
			w.names = append(w.names, entry{kind: kind, ref: ref})
		case mode.IsRegular():
			w.files = append(w.files, place{ref, abs, outside})
		case !mode.IsDir():
			// A pipe, a device, a link to nothing: a step that meets one may say so.
			w.names = append(w.names, entry{kind: kindNamedOther, ref: ref})
		}
	}
	if !mode.IsDir() || !in.glob.deeper(at) {
		return nil
	}
	if link {
		into, err := w.follow(dir, abs)
		if err != nil || !into {
			return err
		}
	}
	return w.walk(abs, name, at, outside)
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
	root, err := filepath.EvalSymlinks(w.in.abs)
	return err == nil && !inside(target, root), err
}

// foreign says that a path is not for patterns of this root: steps make it, or
// it is a cache or a private root below a public one.
func (w *walker) foreign(abs string) bool {
	p := w.r.s.plan
	if _, ok := p.owners[abs]; ok {
		return true
	}
	o := w.r.v.opt
	if abs == o.PublicCache || abs == o.PrivateCache {
		return true
	}
	for name, root := range o.Roots {
		switch {
		case !root.Private:
		case len(root.Only) > 0 && w.in.root != name && root.holds(abs):
			return true
		case len(root.Only) == 0 && root.Path == abs && !inside(w.in.abs, root.Path):
			return true
		}
	}
	return false
}

// follow says whether to go on through a link to a directory: not if that
// directory holds the link, which would go on for ever.
func (w *walker) follow(dir, abs string) (bool, error) {
	if err := w.r.v.checkLink(abs, w.r.v.opt.private(w.in.abs)); err != nil {
		return false, fmt.Errorf("%s: %w", relative(w.in.abs, abs), err)
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
