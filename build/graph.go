package build

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Graph is a set of steps that has been found sound. It holds no state of a
// build: Build, DryRun and Status may be called on it in turn.
type Graph struct {
	opt   Options
	steps []Step

	mu    sync.Mutex
	codes map[string]string // package list → digest

	first    *plan // made by New, for the first build
	programs programDigests
}

// New checks the options and the steps. A graph with a cycle, two steps of one
// name, two steps with one output, paths outside their root, invalid patterns,
// unknown roots, pools or kinds, or a step that would make private contents
// public is an error, before anything runs.
func New(o Options, steps []Step) (*Graph, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("build options: %w", err)
	}
	o.fill()
	g := &Graph{opt: o, steps: slices.Clone(steps), codes: map[string]string{}}
	var err error
	if g.first, err = g.plan(); err != nil {
		return nil, err
	}
	return g, nil
}

// plan returns the declared steps as nodes that a build may add to.
func (g *Graph) plan() (*plan, error) {
	g.mu.Lock()
	first := g.first
	g.first = nil
	g.mu.Unlock()
	if first != nil {
		return first, nil
	}
	p := newPlan(g)
	if err := p.add(g.steps, nil); err != nil {
		return nil, err
	}
	return p, nil
}

// code returns the digest of a step's packages.
func (g *Graph) code(s *Step) (string, error) {
	if len(s.Code) == 0 && (s.Run == nil || !g.opt.CodeOfAll) {
		return "", nil
	}
	if g.opt.Code == nil {
		return "", fmt.Errorf("step %s names packages, but the options have no Code function", s.Name)
	}
	packages := slices.Clone(s.Code)
	slices.Sort(packages)
	packages = slices.Compact(packages)
	id := strings.Join(packages, "\x00")
	g.mu.Lock()
	defer g.mu.Unlock()
	if d, ok := g.codes[id]; ok {
		return d, nil
	}
	d, err := g.opt.Code(packages)
	if err != nil {
		return "", fmt.Errorf("step %s: digest of its code: %w", s.Name, err)
	}
	if d == "" {
		return "", fmt.Errorf("step %s: the digest of its code is empty", s.Name)
	}
	g.codes[id] = d
	return d, nil
}

// Outputs returns what the declared steps that match the goals make, sorted.
// Without goals: all steps. Outputs of steps that are still to be grown are
// not known here.
func (g *Graph) Outputs(goals ...string) []Ref {
	var refs []Ref
	for i := range g.steps {
		s := &g.steps[i]
		if len(goals) > 0 && !slices.ContainsFunc(goals, func(goal string) bool { return matchName(goal, s.Name) }) {
			continue
		}
		for _, o := range s.Outputs {
			refs = append(refs, o.Ref)
		}
	}
	slices.SortFunc(refs, compareRefs)
	return refs
}

func compare(a, b string) int { return strings.Compare(a, b) }

func compareRefs(a, b Ref) int {
	if c := compare(a.Root, b.Root); c != 0 {
		return c
	}
	return compare(a.Path, b.Path)
}
