package build

import (
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"sync"
)

// plan is the graph of one build: the declared steps, and those that have
// grown so far, with the edges between them.
type plan struct {
	g       *Graph
	nodes   []*node // sorted by name
	growing []*node // of them, those that further steps may grow from
	byName  map[string]*node
	mu      sync.RWMutex // held for writing while the plan grows

	owners map[string]owner // absolute path → who makes it
	paths  []string         // keys of owners, sorted
	dirs   map[string]owner // of above, while add looks at many paths of few directories

	programs map[string]program // by the name that commands use
}

// owner says which step makes a path, and as what.
type owner struct {
	n      *node
	out    int  // index in Outputs, or in Ledgers
	ledger bool // not an output
}

func (o owner) tree() bool { return !o.ledger && o.n.Outputs[o.out].Tree }

// node is a step with what the engine knows about its declaration.
type node struct {
	*Step
	ins     []input // sorted, without duplicates
	outs    []string
	ledgers []string // absolute paths
	code    string
	params  []param // without those of MakeParams
	grownBy *node
	command *command // of a step with a Command
	broken  error    // why it can only fail, though its declaration is sound

	deps    []*node // sorted by name
	mark    uint8   // of cycle
	private bool    // reads something private
	secret  bool    // reads or writes something private: so are its record and log
}

// input is a declared input, resolved as far as that can be done once.
type input struct {
	Input
	top  string   // the directory of its root; "" for OutputsOf
	glob *pattern // of Glob and Names
	who  owner    // of File: the step that makes it or a directory above it, if any
}

// abs returns the absolute path, or that of the root of a pattern. It is made when it
// is asked for: of a large store such paths take more memory than what they stand for.
func (in *input) abs() string {
	if in.glob != nil || in.kind == inOutputsOf {
		return in.top
	}
	return placeIn(in.top, in.pattern)
}

// placeIn returns the absolute path of something below a directory.
func placeIn(dir, path string) string {
	if path == "." || dir == string(filepath.Separator) {
		return filepath.Join(dir, filepath.FromSlash(path))
	}
	return dir + string(filepath.Separator) + filepath.FromSlash(path) // both are clean: nothing is left for Join
}

func newPlan(g *Graph) *plan {
	return &plan{g: g, byName: make(map[string]*node, len(g.steps)), owners: make(map[string]owner, len(g.steps)), programs: map[string]program{}}
}

// add checks steps and links them in. After an error the plan is not usable.
func (p *plan) add(steps []Step, by *node) error {
	if by != nil {
		steps = slices.Clone(steps) // somebody else's; declared ones are the graph's own
	}
	p.dirs = map[string]owner{}
	defer func() { p.dirs = nil }()
	drafts, errs := p.drafts(steps)
	for i := range steps {
		s, n := &steps[i], drafts[i]
		err := errs[i]
		if err == nil {
			err = p.take(n)
		}
		if err != nil {
			return err
		}
		if by != nil && !strings.HasPrefix(s.Name, by.Grows) {
			return fmt.Errorf("step %s grew %s, whose name does not begin with %q as declared", by.Name, s.Name, by.Grows)
		}
		if p.byName[s.Name] != nil {
			return fmt.Errorf("two steps are called %s", s.Name)
		}
		n.grownBy = by
		p.byName[s.Name] = n
		p.nodes = append(p.nodes, n)
		if s.Grow != nil {
			p.growing = append(p.growing, n)
		}
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return compare(a.Name, b.Name) })
	slices.Sort(p.paths)
	if err := p.checkNesting(); err != nil {
		return err
	}
	for _, n := range p.nodes {
		if err := p.link(n); err != nil {
			return err
		}
	}
	if path := p.cycle(); path != nil {
		return fmt.Errorf("the steps depend on each other in a circle: %s", strings.Join(path, " -> "))
	}
	for _, n := range p.nodes {
		if err := p.checkPrivacy(n); err != nil {
			return err
		}
	}
	return nil
}

// drafts checks each step by itself, many of them on all processors: a study grows
// hundreds at once, and everything waits for them.
func (p *plan) drafts(steps []Step) ([]*node, []error) {
	nodes, errs := make([]*node, len(steps)), make([]error, len(steps))
	draft := func(from, to int) {
		for i := from; i < to; i++ {
			nodes[i], errs[i] = p.draft(&steps[i])
		}
	}
	if len(steps) < parallelFiles {
		draft(0, len(steps))
		return nodes, errs
	}
	var wg sync.WaitGroup
	share := (len(steps) + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < len(steps); from += share {
		wg.Go(func() { draft(from, min(from+share, len(steps))) })
	}
	wg.Wait()
	return nodes, errs
}

// draft checks one step by itself. It changes nothing of the plan.
func (p *plan) draft(s *Step) (*node, error) {
	if err := checkName(s.Name); err != nil {
		return nil, err
	}
	fail := func(err error) (*node, error) { return nil, fmt.Errorf("step %s: %w", s.Name, err) }
	o := &p.g.opt
	switch {
	case s.Run == nil && s.Command == nil && s.each == nil:
		return fail(fmt.Errorf("it has nothing to run"))
	case s.Run != nil && s.Command != nil:
		return fail(fmt.Errorf("it has both Run and Command"))
	case s.Stdout != "" && s.Command == nil:
		return fail(fmt.Errorf("it has Stdout without Command"))
	}
	if s.MakeParams != nil && (s.Params != nil || s.Command != nil) {
		return fail(fmt.Errorf("it has both MakeParams and Params or Command"))
	}
	if s.Weigh != nil && s.Weight != 0 {
		return fail(fmt.Errorf("it has both Weight and Weigh"))
	}
	if s.Retries < 0 || s.Timeout < 0 {
		return fail(fmt.Errorf("retries and timeout may not be negative"))
	}
	if _, ok := o.Pools[s.Pool]; s.Pool != "" && !ok {
		return fail(fmt.Errorf("the pool %q is not among the options", s.Pool))
	}
	n := &node{Step: s}
	var err error
	if n.params, err = encodeParams(s.Params); err != nil {
		return fail(err)
	}
	if n.code, err = p.g.code(s); err != nil {
		return nil, err
	}
	n.ins = make([]input, 0, len(s.Inputs))
	for _, in := range s.Inputs {
		r, err := p.input(in)
		if err != nil {
			return fail(fmt.Errorf("input %s: %w", in, err))
		}
		n.ins = append(n.ins, r)
	}
	slices.SortFunc(n.ins, func(a, b input) int { return a.compare(b.Input) })
	n.ins = slices.CompactFunc(n.ins, func(a, b input) bool { return a.Input == b.Input })
	return n, nil
}

// take gives a drafted node its outputs.
func (p *plan) take(n *node) error {
	s := n.Step
	fail := func(err error) error { return fmt.Errorf("step %s: %w", s.Name, err) }
	for i, out := range s.Outputs {
		abs, err := p.claim(out.Ref, owner{n: n, out: i})
		if err != nil {
			return fail(fmt.Errorf("output %s: %w", out, err))
		}
		if out.Tree && out.Ref.Path == "." {
			return fail(fmt.Errorf("output %s: a tree needs a path below its root", out))
		}
		if err := p.checkKind(out.Kind); err != nil {
			return fail(fmt.Errorf("output %s: %w", out, err))
		}
		if out.Tree && out.Kind != "" {
			return fail(fmt.Errorf("output %s: a tree has no kind", out))
		}
		n.outs = append(n.outs, abs)
	}
	for i, ref := range s.Ledgers {
		abs, err := p.claim(ref, owner{n: n, out: i, ledger: true})
		if err != nil {
			return fail(fmt.Errorf("ledger %s: %w", ref, err))
		}
		n.ledgers = append(n.ledgers, abs)
	}
	if s.Command != nil {
		if err := p.useCommand(n); err != nil {
			return fail(err)
		}
	}
	return nil
}

func (p *plan) checkKind(kind string) error {
	if kind != "" && p.g.opt.Digests[kind] == nil {
		return fmt.Errorf("the kind %q is not among the digests of the options", kind)
	}
	return nil
}

// locate checks a ref and returns its absolute path.
func (p *plan) locate(ref Ref) (string, error) {
	root, ok := p.g.opt.Roots[ref.Root]
	if !ok {
		return "", fmt.Errorf("the root %q is not among the options", ref.Root)
	}
	if err := checkPath(ref.Path); err != nil {
		return "", err
	}
	// A pattern begins at the root itself, and matches none but its files.
	if len(root.Only) > 0 && ref.Path != "." && !slices.Contains(root.Only, ref.Path) {
		return "", fmt.Errorf("%q is not one of the files of the root %q", ref.Path, ref.Root)
	}
	return placeIn(root.Path, ref.Path), nil
}

func (p *plan) claim(ref Ref, who owner) (string, error) {
	abs, err := p.locate(ref)
	if err != nil {
		return "", err
	}
	if ref.Path == "." && !who.tree() {
		return "", fmt.Errorf("it is the root itself")
	}
	o := &p.g.opt
	if len(o.Roots[ref.Root].Only) > 0 {
		return "", fmt.Errorf("the root %q has no place for what steps make", ref.Root)
	}
	if inside(abs, o.PublicCache) || o.PrivateCache != "" && inside(abs, o.PrivateCache) || strings.Contains(abs+"/", "/"+stagingDir) {
		return "", fmt.Errorf("it lies in a directory of the engine")
	}
	if other, ok := p.owners[abs]; ok {
		if other.n == who.n {
			return "", fmt.Errorf("it is declared twice")
		}
		return "", fmt.Errorf("step %s makes it, too", other.n.Name)
	}
	p.owners[abs] = who
	p.paths = append(p.paths, abs)
	return abs, nil
}

func (p *plan) input(in Input) (input, error) {
	r := input{Input: in}
	if err := p.checkKind(in.as); err != nil {
		return r, err
	}
	if in.as != "" && (in.kind == inNames || in.kind == inAbsent) {
		return r, fmt.Errorf("names have no kind")
	}
	var err error
	switch in.kind {
	case inFile, inAbsent:
		_, err = p.locate(Ref{in.root, in.pattern})
		r.top = p.g.opt.Roots[in.root].Path
	case inGlob, inNames:
		if r.glob, err = compilePattern(in.pattern); err == nil {
			r.top, err = p.locate(Ref{in.root, "."})
		}
	case inOutputsOf:
		err = checkNamePattern(in.pattern)
	default:
		err = fmt.Errorf("it is none: use File, Glob, Names, Absent or OutputsOf")
	}
	return r, err
}

// checkNesting refuses outputs below other outputs.
func (p *plan) checkNesting() error {
	for _, path := range p.paths {
		if up, ok := p.over(path); ok {
			return fmt.Errorf("step %s makes %s, which lies inside what step %s makes", p.owners[path].n.Name, p.name(path), up.n.Name)
		}
	}
	return nil
}

// name prints an owned path by the ref that declared it.
func (p *plan) name(abs string) string {
	o := p.owners[abs]
	if o.ledger {
		return o.n.Ledgers[o.out].String()
	}
	return o.n.Outputs[o.out].String()
}

// above returns the owner of a path or of the nearest directory above it.
func (p *plan) above(abs string) (owner, bool) {
	for {
		if o, ok := p.owners[abs]; ok {
			return o, true
		}
		up := parent(abs)
		if up == abs {
			return owner{}, false
		}
		abs = up
	}
}

// named returns the nodes whose names match a pattern. Only those are looked at
// that begin as the pattern does: many steps may each ask for a few others.
func (p *plan) named(pattern string) []*node {
	prefix := literalPrefix(pattern)
	i, _ := slices.BinarySearchFunc(p.nodes, prefix, func(n *node, s string) int { return compare(n.Name, s) })
	var found []*node
	for _, n := range p.nodes[i:] {
		if !strings.HasPrefix(n.Name, prefix) {
			break
		}
		if matchName(pattern, n.Name) {
			found = append(found, n)
		}
	}
	return found
}

// parent is filepath.Dir of a clean absolute path.
func parent(abs string) string {
	return abs[:max(1, strings.LastIndexByte(abs, filepath.Separator))]
}

// over returns the owner of the nearest directory above a path.
func (p *plan) over(abs string) (owner, bool) {
	dir := parent(abs)
	if p.dirs == nil {
		return p.above(dir)
	}
	o, known := p.dirs[dir]
	if !known {
		o, _ = p.above(dir)
		p.dirs[dir] = o
	}
	return o, o.n != nil
}

// below returns the owned paths inside a directory.
func (p *plan) below(dir string) []string {
	prefix := dir + string(filepath.Separator)
	i := sort.SearchStrings(p.paths, prefix)
	j := i + sort.Search(len(p.paths)-i, func(k int) bool { return !strings.HasPrefix(p.paths[i+k], prefix) })
	return p.paths[i:j]
}

// makers returns the owners of paths that an input may read, without those of
// OutputsOf.
func (p *plan) makers(in *input) []owner {
	switch in.kind {
	case inFile, inAbsent:
		abs := in.abs()
		o, ok := p.owners[abs]
		if !ok {
			o, ok = p.over(abs)
		}
		if ok {
			return []owner{o}
		}
	case inGlob, inNames:
		base := filepath.Join(in.abs(), filepath.FromSlash(in.glob.base))
		if o, ok := p.above(base); ok {
			return []owner{o}
		}
		var all []owner
		for _, path := range p.below(base) {
			o := p.owners[path]
			at := in.glob.walk(relative(in.abs(), path))
			if in.glob.done(at) || o.tree() && in.glob.deeper(at) {
				all = append(all, o)
			}
		}
		return all
	}
	return nil
}

// relative returns the slash-separated path below a directory that holds it.
func relative(dir, abs string) string {
	if abs == dir {
		return "."
	}
	return filepath.ToSlash(strings.TrimPrefix(abs[len(dir):], string(filepath.Separator)))
}

// link finds the steps that n waits for, and whether it reads anything
// private.
func (p *plan) link(n *node) error {
	deps, private := []*node(nil), false
	o := &p.g.opt
	for i := range n.ins {
		in := &n.ins[i]
		if in.kind == inOutputsOf {
			if n.Grow != nil && mayGrow(n.Grows, in.pattern) {
				return fmt.Errorf("step %s: input %s: steps that grow from it may match: say in Grows what their names begin with, or narrow the pattern", n.Name, in)
			}
			for _, m := range p.named(in.pattern) {
				if m != n {
					deps = append(deps, m)
					for _, out := range m.outs {
						private = private || o.private(out)
					}
				}
			}
			for _, m := range p.growing {
				if m != n && m != n.grownBy && mayGrow(m.Grows, in.pattern) {
					deps = append(deps, m)
				}
			}
			continue
		}
		private = private || o.private(in.abs())
		if in.glob != nil {
			private = private || o.private(filepath.Join(in.abs(), filepath.FromSlash(in.glob.base)))
		}
		in.who = owner{}
		for _, who := range p.makers(in) {
			if in.kind == inFile {
				in.who = who
			}
			if in.kind == inAbsent {
				return fmt.Errorf("step %s: input %s: step %s makes it", n.Name, in, who.n.Name)
			}
			if who.n == n {
				return fmt.Errorf("step %s: input %s: the step makes it itself (a ledger is no input of its own step)", n.Name, in)
			}
			deps = append(deps, who.n)
		}
	}
	for _, abs := range n.ledgers {
		private = private || o.private(abs)
	}
	if by := n.grownBy; by != nil {
		deps = append(deps, by)
		// Of a Map, the declaration is made from what its input matches.
		private = private || by.each != nil && by.private
		// Its declaration was made from those outputs.
		for _, out := range by.outs {
			private = private || o.private(out)
		}
	}
	slices.SortFunc(deps, func(a, b *node) int { return compare(a.Name, b.Name) })
	n.deps = slices.Compact(deps)
	secret := private
	for _, out := range n.outs {
		secret = secret || o.private(out)
	}
	if n.private != private || n.secret != secret { // others may be reading it
		n.private, n.secret = private, secret
	}
	return nil
}

// checkPrivacy refuses public outputs, and public growth, of private steps.
func (p *plan) checkPrivacy(n *node) error {
	o := &p.g.opt
	if n.secret && o.PrivateCache == "" {
		return fmt.Errorf("step %s handles private files, but the options have no private cache", n.Name)
	}
	if !n.private || n.Declassifies {
		return nil
	}
	for i, out := range n.outs {
		if !o.private(out) {
			return fmt.Errorf("step %s reads private files and would write the public %s: only a step that is declared to declassify may do so", n.Name, n.Outputs[i])
		}
	}
	return nil
}

// cycle returns the names along a circle of dependencies, or nil.
func (p *plan) cycle() []string {
	const (
		open = 1
		done = 2
	)
	for _, n := range p.nodes {
		n.mark = 0
	}
	var stack, found []*node
	var visit func(n *node) bool
	visit = func(n *node) bool {
		switch n.mark {
		case done:
			return false
		case open:
			found = append(slices.Clone(stack[slices.Index(stack, n):]), n)
			return true
		}
		n.mark = open
		stack = append(stack, n)
		for _, d := range n.deps {
			if visit(d) {
				return true
			}
		}
		stack = stack[:len(stack)-1]
		n.mark = done
		return false
	}
	for _, n := range p.nodes {
		if visit(n) {
			names := make([]string, len(found))
			for i, n := range found {
				names[i] = n.Name
			}
			return names
		}
	}
	return nil
}

// closure returns the nodes that the goals need. A goal that matches no step
// is an error unless a step that may still grow it is part of the answer.
func (p *plan) closure(goals []string) (map[*node]bool, error) {
	want := make(map[*node]bool, len(p.nodes))
	var visit func(n *node)
	visit = func(n *node) {
		if want[n] {
			return
		}
		want[n] = true
		for _, d := range n.deps {
			visit(d)
		}
	}
	if len(goals) == 0 {
		for _, n := range p.nodes {
			want[n] = true
		}
		return want, nil
	}
	for _, goal := range goals {
		if err := checkNamePattern(goal); err != nil {
			return nil, err
		}
		known := false
		exact := literalPrefix(goal) == goal
		for _, n := range p.nodes {
			if matchName(goal, n.Name) {
				known = true
				visit(n)
			}
		}
		if exact && known {
			continue
		}
		for _, n := range p.nodes {
			if n.Grow != nil && mayGrow(n.Grows, goal) {
				known = true
				visit(n)
			}
		}
		if !known {
			return nil, fmt.Errorf("no step is called %q", goal)
		}
	}
	return want, nil
}
