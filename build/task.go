package build

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Task is what a running step sees of the build. It gives access to what the
// step declared and to nothing else: asking for anything else returns a zero
// value and fails the step when it returns.
type Task struct {
	// Log is the step's own log file. That of a private step is private.
	Log *slog.Logger

	n         *node
	opt       *Options
	inputs    func() []*reading // in the order of the node, made when first asked for
	staging   []string          // of each output
	ledgers   map[Ref]string    // copies to work on; nil: the ledgers themselves
	ranBefore bool              // see RanBefore

	mu       sync.Mutex
	failed   error // why the inputs cannot be told
	misuse   []string
	digest   map[Ref]bool // that were asked for
	readBack map[Ref]func(ctx context.Context, path string) (string, error)
}

// RanBefore says whether a successful run of the step is on record, on whatever
// inputs: a step with ledgers can tell a first run by it from one whose ledgers
// were lost.
func (t *Task) RanBefore() bool { return t.ranBefore }

// Step returns the name of the step.
func (t *Task) Step() string { return t.n.Name }

// refs are the files of all inputs, but for those that must not be there.
func (t *Task) refs() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, g := range t.inputs() {
			for e := range g.list.all() {
				if g.holds(&e) && e.kind != kindAbsent && !yield(e) {
					return
				}
			}
		}
	}
}

// find returns an input by its ref, the one of a kind of meaning if there is one.
// Entries are sorted, so that a step that lists a study needs no table of all files.
func (t *Task) find(ref Ref) *entry {
	var found *entry
	for _, g := range t.inputs() {
		if !g.mayHold(ref) {
			continue
		}
		entries := g.listed()
		j, _ := slices.BinarySearchFunc(entries, ref, func(e entry, ref Ref) int { return compareRefs(e.ref, ref) })
		for ; j < len(entries) && entries[j].ref == ref; j++ {
			e := &entries[j]
			if g.holds(e) && e.kind != kindAbsent && (found == nil || found.kind != kindMeaning) {
				found = e
			}
		}
	}
	return found
}

// reading is an input of a task.
type reading struct {
	input  Input
	list   entryList
	listed func() []entry // the entries of list, made when a task asks for them: one that lists a study does not
}

func readingOf(g group) *reading {
	return &reading{g.input, g.entries, sync.OnceValue(g.entries.entries)}
}

// mayHold says that an input can stand for a ref, as far as its declaration tells.
func (g *reading) mayHold(ref Ref) bool {
	switch g.input.kind {
	case inFile, inAbsent:
		return ref == Ref{g.input.root, g.input.pattern}
	case inGlob, inNames:
		return ref.Root == g.input.root
	}
	return true
}

// files are the entries that a step can read, or asks for by name: those of a
// pattern but for what matches it and is no file.
func (g *reading) files() []entry {
	return slices.DeleteFunc(g.list.entries(), func(e entry) bool { return !g.holds(&e) })
}

// holds says that an entry is among the files.
func (g *reading) holds(e *entry) bool { return g.input.kind != inGlob || !e.kind.isName() }

func (t *Task) undeclared(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.misuse = append(t.misuse, fmt.Sprintf(format, args...))
}

func (t *Task) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
}

// maxMisuse is how much of what a step did not declare is named: a screen of it is
// enough to see what they have in common.
const maxMisuse = 20

// err reports what the step asked for without having declared it, a line each where
// there is more than one.
func (t *Task) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil || len(t.misuse) == 0 {
		return t.failed
	}
	slices.Sort(t.misuse)
	all := slices.Compact(t.misuse)
	if len(all) == 1 {
		return fmt.Errorf("the step asked for what it does not declare: %s", all[0])
	}
	var b strings.Builder
	for _, one := range all[:min(len(all), maxMisuse)] {
		b.WriteString("\n  " + one)
	}
	if more := len(all) - maxMisuse; more > 0 {
		fmt.Fprintf(&b, "\n  and %d more", more)
	}
	return fmt.Errorf("the step asked for what it does not declare:%s", &b)
}

// Path returns where an input or a ledger is: a file that the inputs name or
// match, a directory that holds such files or could, such as the root of a
// pattern. What the step may read there is what it declared. An undeclared
// ref gives "" and fails the step.
func (t *Task) Path(ref Ref) string {
	if copied, ok := t.ledgers[ref]; ok {
		return copied
	}
	if slices.Contains(t.n.Ledgers, ref) {
		return t.opt.abs(ref)
	}
	root, ok := t.opt.Roots[ref.Root]
	ok = ok && checkPath(ref.Path) == nil
	abs := t.opt.abs(ref)
	// What the declaration alone tells comes first: to list what a study holds takes
	// a while.
	for i := range t.n.ins { // no copies: who makes an input is the plan's, which may be growing
		if ok && t.n.ins[i].leadsTo(abs, root.Path) {
			return abs
		}
	}
	if t.find(ref) != nil {
		return abs
	}
	if ok {
		for e := range t.refs() {
			if e.ref.Root == ref.Root && strings.HasPrefix(e.ref.Path, ref.Path+"/") {
				return abs
			}
		}
	}
	t.undeclared("path %s", ref)
	return ""
}

// leadsTo says that a path is that of the input, or of a directory in which it is or
// which may hold what it matches, as the declaration tells; root is where that is.
func (in *input) leadsTo(abs, root string) bool {
	switch in.kind {
	case inFile:
		return inside(in.abs(), abs)
	case inGlob, inNames:
		base := filepath.Join(in.top, filepath.FromSlash(in.glob.base))
		return inside(base, abs) && inside(abs, root) || inside(abs, in.top) && in.glob.deeper(in.glob.walk(relative(in.top, abs)))
	}
	return false
}

// Files returns the files that stand behind a declared input, sorted: one for
// File, all that match for Glob and Names, the outputs for OutputsOf.
func (t *Task) Files(in Input) []Ref {
	inputs := t.inputs()
	at := slices.IndexFunc(inputs, func(g *reading) bool { return g.input == in })
	if at < 0 {
		t.undeclared("files of %s", in)
		return nil
	}
	entries := inputs[at].files()
	refs := make([]Ref, 0, len(entries))
	for _, e := range entries {
		if e.kind != kindAbsent {
			refs = append(refs, e.ref)
		}
	}
	return refs
}

// Out returns where to write an output. A file does not exist yet, its
// directory does; the directory of a tree exists and is empty. What is there
// when Run returns is put in place; nothing else that the step leaves is kept.
// In Grow it is the place of the finished output.
func (t *Task) Out(ref Ref) string {
	for i := range t.n.Outputs {
		if t.n.Outputs[i].Ref == ref {
			return t.staging[i]
		}
	}
	t.undeclared("output %s", ref)
	return ""
}

// ReadBack has an output with a kind read by digest when the step has ended, in the
// place of Options.Digests of that kind: who wrote a file can tell whether what is read
// is what was written. It gives the digest that Options.Digests would, or an error, which
// fails the step.
func (t *Task) ReadBack(ref Ref, digest func(ctx context.Context, path string) (string, error)) {
	if !slices.ContainsFunc(t.n.Outputs, func(o Output) bool { return o.Ref == ref && o.Kind != "" }) {
		t.undeclared("output %s with a kind", ref)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readBack == nil {
		t.readBack = map[Ref]func(context.Context, string) (string, error){}
	}
	t.readBack[ref] = digest
}

// reader is how an output with a kind is read when the step has ended.
func (t *Task) reader(o Output) func(ctx context.Context, path string) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if digest := t.readBack[o.Ref]; digest != nil {
		return digest
	}
	return t.opt.Digests[o.Kind]
}

// Digest returns the digest of an input that is in the step's key: hex of
// BLAKE3 over the bytes, or what Options.Digests gave for an input with a
// kind. If several inputs hold the file, the one with a kind counts.
func (t *Task) Digest(ref Ref) string {
	e := t.find(ref)
	if e == nil {
		t.undeclared("digest of %s", ref)
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.digest == nil {
		t.digest = map[Ref]bool{}
	}
	t.digest[ref] = true
	return e.text()
}

// asked says whether the digest of an input was asked for.
func (t *Task) asked(ref Ref) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.digest[ref]
}

// Param returns a declared parameter.
func (t *Task) Param(name string) any {
	params := t.n.Params
	if t.n.MakeParams != nil {
		params = t.n.MakeParams()
	}
	v, ok := params[name]
	if !ok {
		t.undeclared("parameter %s", name)
	}
	return v
}

// Env returns a declared environment variable, "" if it is not set.
func (t *Task) Env(name string) string {
	if !slices.Contains(t.n.Env, name) {
		t.undeclared("environment variable %s", name)
		return ""
	}
	return os.Getenv(name)
}
