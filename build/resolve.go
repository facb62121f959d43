package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
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
	found := make([]entryWriter, len(n.ins))
	errs := make([]error, len(n.ins))
	patterns := map[string][]int{} // by root: those of one are walked together
	for i := range n.ins {
		if n.ins[i].glob == nil {
			errs[i] = r.input(ctx, n, &n.ins[i], &found[i])
		} else {
			patterns[n.ins[i].root] = append(patterns[n.ins[i].root], i)
		}
	}
	for _, of := range patterns {
		r.match(ctx, n, of, found, errs)
	}
	for i, err := range errs {
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fmt.Errorf("input %s: %w", &n.ins[i], n.ins[i].plainError(err))
		}
	}
	groups := make([]group, len(n.ins))
	for i := range n.ins {
		groups[i] = group{n.ins[i].Input, found[i].list()}
	}
	return groups, nil
}

// plainError is [plainError], with the file of a pattern's many that it is about.
func (in *input) plainError(err error) error {
	plain := plainError(err)
	var pe *fs.PathError
	if in.glob == nil || !errors.As(err, &pe) {
		return plain
	}
	at := pe.Path
	if filepath.IsAbs(at) {
		if at, err = filepath.Rel(in.abs(), at); err != nil {
			return plain
		}
	}
	if !filepath.IsLocal(at) {
		return plain
	}
	return fmt.Errorf("%s: %w", filepath.ToSlash(at), plain)
}

// input finds what an input that is no pattern stands for.
func (r resolver) input(ctx context.Context, n *node, in *input, found *entryWriter) error {
	if in.kind == inOutputsOf {
		return r.outputsOf(ctx, n, in, found)
	}
	look := r.absent
	if in.kind == inFile {
		look = r.file
	}
	e, err := look(ctx, in)
	if err == nil {
		found.add(e)
	}
	return err
}

func (r resolver) file(ctx context.Context, in *input) (entry, error) {
	ref := Ref{in.root, in.pattern}
	who, at := in.who, in.abs()
	if who.n == nil || who.ledger && who.n.ledgers[who.out] == at {
		f, err := r.v.digest(ref, at)
		if err != nil {
			return entry{}, err
		}
		return r.count(ctx, in.as, place{ref: ref, abs: at}, f.sum, f.stat.Size)
	}
	if who.ledger {
		return entry{}, errMissing
	}
	abs := who.n.outs[who.out]
	if abs != at {
		return r.inTree(ctx, in, who)
	}
	m, err := r.made(ctx, who)
	if err != nil {
		return entry{}, err
	}
	if in.as == "" && m.tree {
		return entry{kind: kindTree, ref: ref, size: m.size, sum: m.sum}, nil
	}
	if m.tree {
		return entry{}, errors.New("a tree has no kind")
	}
	return r.count(ctx, in.as, place{ref: ref, abs: at}, m.sum, m.size)
}

// inTree returns one file of a tree that a step makes. A strict view looks at
// that file alone: the tree may hold thousands that the step does not read.
func (r resolver) inTree(ctx context.Context, in *input, who owner) (entry, error) {
	m, err := resolver{s: r.s, v: r.v}.made(ctx, who)
	if err != nil {
		return entry{}, err
	}
	at := place{ref: Ref{in.root, in.pattern}, abs: in.abs()}
	f, found := m.find(relative(who.n.outs[who.out], at.abs))
	if !m.tree || !found {
		return entry{}, fmt.Errorf("step %s does not make it", who.n.Name)
	}
	if r.strict {
		now, err := r.v.digest(at.ref, at.abs)
		if err != nil {
			return entry{}, err
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
func (r resolver) count(ctx context.Context, as string, at place, sum store.Sum, size int64) (entry, error) {
	if as == "" {
		return entry{kind: kindFile, ref: at.ref, size: size, sum: sum}, nil
	}
	meaning, err := r.v.meaning(ctx, as, at, sum, size)
	if err != nil {
		return entry{}, err
	}
	return entry{kind: kindMeaning, ref: at.ref, meaning: as + " " + meaning}, nil
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

func (r resolver) absent(_ context.Context, in *input) (entry, error) {
	_, _, err := store.Lstat(in.abs())
	if err == nil {
		return entry{}, errors.New("it exists and must not")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return entry{}, err
	}
	return entry{kind: kindAbsent, ref: Ref{in.root, in.pattern}}, nil
}

func (r resolver) outputsOf(ctx context.Context, n *node, in *input, found *entryWriter) error {
	for _, m := range r.s.plan.named(in.pattern) {
		if m == n {
			continue
		}
		for i := range m.Outputs {
			out, err := r.made(ctx, owner{n: m, out: i})
			if err != nil {
				return fmt.Errorf("%s: %w", m.Outputs[i], plainError(err))
			}
			if in.as == "" || out.tree {
				found.add(out.entry())
				continue
			}
			e, err := r.count(ctx, in.as, place{ref: out.ref, abs: m.outs[i]}, out.sum, out.size)
			if err != nil {
				return fmt.Errorf("%s: %w", m.Outputs[i], err)
			}
			found.add(e)
		}
	}
	return nil
}

// match finds what the patterns of a node in one root stand for: on disk what no
// step makes, from the steps what they make. It tells their errors.
func (r resolver) match(ctx context.Context, n *node, patterns []int, found []entryWriter, errs []error) {
	var onDisk []*input
	var at []int // of onDisk in the node's inputs
	for _, i := range patterns {
		in := &n.ins[i]
		base := filepath.Join(in.abs(), filepath.FromSlash(in.glob.base))
		if errs[i] = r.ofSteps(ctx, in, base, &found[i]); errs[i] != nil {
			continue
		}
		if who, ok := r.s.plan.above(base); ok && !who.ledger {
			continue // all of it is made by a step
		}
		if !r.nothing(in, base) {
			onDisk, at = append(onDisk, in), append(at, i)
		}
	}
	if len(onDisk) == 0 {
		return
	}
	matched, err := r.walk(ctx, onDisk)
	var bad *walkError
	if errors.As(err, &bad) {
		errs[at[bad.pattern]] = bad.err
		return
	}
	if err != nil {
		errs[at[0]] = err
		return
	}
	for k, i := range at {
		found[i].append(&matched[k])
	}
}

// nothing says that there is nothing where a pattern could match, as one look
// tells: most steps of a study ask for a file that hardly any of them has. A link
// on the way to it is not followed out of a public root.
func (r resolver) nothing(in *input, base string) bool {
	if in.glob.base == "" || !r.v.opt.private(in.abs()) {
		return false
	}
	_, _, err := store.FileStat(base)
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// ofSteps finds what a pattern matches of what steps make.
func (r resolver) ofSteps(ctx context.Context, in *input, base string, found *entryWriter) error {
	root := r.s.opt.Roots[in.root]
	for _, who := range r.s.plan.makers(in) {
		if len(root.Only) > 0 && !root.holds(who.abs()) {
			continue
		}
		if err := r.owned(ctx, in, base, who, found); err != nil {
			return err
		}
	}
	return nil
}

// abs returns where the output or ledger is.
func (o owner) abs() string {
	if o.ledger {
		return o.n.ledgers[o.out]
	}
	return o.n.outs[o.out]
}

// owned finds what a pattern matches of one output or ledger.
func (r resolver) owned(ctx context.Context, in *input, base string, who owner, found *entryWriter) error {
	take := func(e entry, err error) error {
		if err == nil {
			found.add(e)
		}
		return err
	}
	if who.ledger {
		abs := who.n.ledgers[who.out]
		rel := relative(in.abs(), abs)
		if !in.glob.match(rel) {
			return nil
		}
		if in.kind == inNames {
			_, _, err := store.FileStat(abs)
			if err == nil {
				found.add(entry{kind: kindNamedFile, ref: Ref{in.root, rel}})
			} else if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
			return err
		}
		f, err := r.v.digest(Ref{in.root, rel}, abs)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return take(r.count(ctx, in.as, place{ref: Ref{in.root, rel}, abs: abs}, f.sum, f.stat.Size))
	}
	abs := who.n.outs[who.out]
	if !who.tree() {
		rel := relative(in.abs(), abs)
		if !in.glob.match(rel) {
			return nil
		}
		if in.kind == inNames {
			found.add(entry{kind: kindNamedFile, ref: Ref{in.root, rel}})
			return nil
		}
		m, err := r.made(ctx, who)
		if err != nil {
			return err
		}
		return take(r.count(ctx, in.as, place{ref: Ref{in.root, rel}, abs: abs}, m.sum, m.size))
	}
	// In a strict view only the files that match are looked at, not the whole
	// tree for every step that reads a part of it.
	m, err := resolver{s: r.s, v: r.v}.made(ctx, who)
	if err != nil {
		return err
	}
	// The tree may lie above the base of the pattern or below it.
	files := m.files
	if base != abs && inside(base, abs) {
		files = m.under(relative(abs, base))
	}
	up := relative(in.abs(), abs)
	if up == "." {
		up = ""
	} else {
		up += "/"
	}
	dirs := map[string]bool{}
	var at dirMatch
	for _, f := range files {
		rel := up + f.path
		if in.kind == inNames {
			for dir := rel; dir != "." && inside(filepath.Join(in.abs(), dir), abs) && !dirs[dir]; dir = path.Dir(dir) {
				dirs[dir] = true
				if in.glob.match(dir) {
					kind := kindNamedDir
					if dir == rel {
						kind = kindNamedFile
					}
					found.add(entry{kind: kind, ref: Ref{in.root, dir}})
				}
			}
			continue
		}
		if !at.match(in.glob, rel) {
			continue
		}
		if in.as == "" && !r.strict {
			found.add(entry{kind: kindFile, ref: Ref{in.root, rel}, size: f.size, sum: f.sum})
			continue
		}
		at := place{ref: Ref{in.root, rel}, abs: filepath.Join(abs, filepath.FromSlash(f.path))}
		if r.strict {
			now, err := r.v.digest(at.ref, at.abs)
			if err != nil {
				return err
			}
			f.sum, f.size = now.sum, now.stat.Size
		}
		if err := take(r.count(ctx, in.as, at, f.sum, f.size)); err != nil {
			return err
		}
	}
	return nil
}
