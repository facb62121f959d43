package build

import (
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/console"
)

// Explanation is how a file or a step came about: its step and all that this
// one depends on.
type Explanation struct {
	// What is the step, or the ref of the file, that was asked for.
	What string `json:"what"`
	// Made says that a step makes it; else it is a source. A ledger is both
	// made and a source of its step.
	Made bool `json:"made"`
	// Readers are the steps that read the file.
	Readers []string `json:"readers,omitempty"`
	// Steps are the step itself and all that it depends on, each before what
	// it depends on. None for a source.
	Steps []Account `json:"steps"`
	// Redacted says that what is private has been left out, because the
	// private tier is not there.
	Redacted bool `json:"redacted,omitempty"`

	// Focus names steps that Write prints even where it prints only some of
	// their kind.
	Focus []string `json:"-"`
}

// Account is what the engine knows of one step.
type Account struct {
	Drawn
	// Key is the digest of all that the step depends on; "" while that is not
	// known because something upstream is stale.
	Key   string `json:"key,omitempty"`
	Reads []Read `json:"reads"`
	// Makes is what the step made when it last ran, or will make.
	Makes []FileState `json:"makes"`
	Keeps []FileState `json:"keeps,omitempty"` // ledgers, as they are
	// Changes are, for a stale step, the differences from its last record.
	Changes []Change `json:"changes,omitempty"`
}

// Read is one declared input and the files that it stands for: null while they
// are not known because something upstream is stale.
type Read struct {
	Input string      `json:"input"`
	Files []FileState `json:"files"`
}

// FileState is one file of a step. Digest is that of its contents, or of their
// meaning where that is what counts; "" where there is no such file.
type FileState struct {
	Ref    string `json:"ref"`
	Size   int64  `json:"size,omitempty"`
	Digest string `json:"digest,omitempty"`
	As     string `json:"as,omitempty"`    // the kind of meaning that Digest is of
	Maker  string `json:"maker,omitempty"` // the step that makes it; "" for a source
}

// Unknown is the error about a name that nothing in the graph has.
type Unknown struct {
	What    string
	Nearest []string
	Known   []string // all that would have been understood, sorted
}

func (e *Unknown) Error() string {
	text := fmt.Sprintf("nothing is called %q", e.What)
	if len(e.Nearest) > 0 {
		text += "; the nearest names are " + strings.Join(e.Nearest, ", ")
	}
	return text
}

// Explain looks for a step by its name and for a file by its path: a ref
// ("root:path"), absolute, relative to the workspace or to a root, or the last
// element of the path of an output. If nothing has that name the error is an
// *Unknown. Grown steps are known only when the steps that they grow from are
// fresh.
func (g *Graph) Explain(ctx context.Context, what string) (*Explanation, error) {
	e := &Explanation{What: what, Steps: []Account{}, Redacted: !g.hasPrivate()}
	err := g.survey(ctx, survey{}, func(s *session, q *scheduler) error {
		n := s.plan.byName[what]
		if n == nil {
			abs, ok := s.find(q, what)
			if !ok {
				return s.unknown(q, what)
			}
			hidden := e.Redacted && g.opt.private(abs)
			if !hidden {
				e.What = g.opt.Redact(s.refOf(abs).String())
			}
			for _, u := range s.uses(q, abs) {
				e.Readers = append(e.Readers, u.Step)
			}
			if who, ok := s.plan.above(abs); ok {
				n, e.Made = who.n, true
			}
		} else {
			e.Made = true
		}
		if n != nil {
			for _, m := range chain(n) {
				e.Steps = append(e.Steps, s.account(m, q.steps[m], e.Redacted))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// hasPrivate says whether the private tier is there. Whoever has only what was
// published sees nothing of it, not even names of files.
func (g *Graph) hasPrivate() bool {
	if g.opt.PrivateCache == "" {
		return false
	}
	info, err := os.Stat(g.opt.PrivateCache)
	return err == nil && info.IsDir()
}

// chain returns a node and all that it depends on, each before what it depends
// on: by the length of the longest way there, then by name.
func chain(n *node) []*node {
	var order []*node
	seen := map[*node]bool{}
	var visit func(n *node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, d := range n.deps {
			visit(d)
		}
		order = append(order, n)
	}
	visit(n)
	slices.Reverse(order)
	depth := map[*node]int{}
	for _, m := range order {
		for _, d := range m.deps {
			depth[d] = max(depth[d], depth[m]+1)
		}
	}
	slices.SortStableFunc(order, func(a, b *node) int {
		if depth[a] != depth[b] {
			return depth[a] - depth[b]
		}
		return compare(a.Name, b.Name)
	})
	return order
}

// account returns what is known of a node.
func (s *session) account(n *node, p *progress, redacted bool) Account {
	a := Account{Drawn: s.drawn(n, p, redacted), Reads: []Read{}, Makes: []FileState{}}
	hide := redacted && n.secret
	d := p.dec
	if d.manifest != nil && !hide {
		a.Key = d.key.String()
	}
	groups := make(map[Input]entryList, len(d.groups))
	for _, g := range d.groups {
		groups[g.input] = g.entries
	}
	for i := range n.ins {
		in := &n.ins[i]
		if redacted && s.hidden(in) {
			continue
		}
		r := Read{Input: s.opt.Redact(in.String())}
		entries, known := groups[in.Input]
		if known {
			r.Files = []FileState{}
		}
		for e := range entries.all() {
			if redacted && s.opt.private(s.opt.abs(e.ref)) {
				continue
			}
			r.Files = append(r.Files, s.file(e))
		}
		a.Reads = append(a.Reads, r)
	}
	last := s.lastWhole(n)
	rec := d.rec
	if rec == nil {
		rec = last
	}
	for i, out := range n.Outputs {
		f := FileState{Ref: s.opt.Redact(out.String()), Maker: n.Name}
		if redacted && s.opt.private(n.outs[i]) {
			continue
		}
		if rec != nil {
			if j := slices.IndexFunc(rec.outs, func(m made) bool { return m.ref == out.Ref && m.tree == out.Tree }); j >= 0 {
				f.Size, f.Digest = rec.outs[j].size, rec.outs[j].sum.String()
			}
		}
		a.Makes = append(a.Makes, f)
	}
	if d.manifest == nil {
		return a
	}
	for e := range d.manifest.ledgers.all() {
		if !redacted || !s.opt.private(s.opt.abs(e.ref)) {
			a.Keeps = append(a.Keeps, s.file(e))
		}
	}
	if last != nil && !hide {
		if then, err := decodeManifest(last.manifest.joined()); err == nil {
			for _, c := range changes(then, d.manifest) {
				c.Name, c.Then, c.Now = s.opt.Redact(c.Name), s.opt.Redact(c.Then), s.opt.Redact(c.Now)
				a.Changes = append(a.Changes, c)
			}
		}
	}
	return a
}

// hidden says whether an input speaks of private files.
func (s *session) hidden(in *input) bool {
	if in.kind != inOutputsOf {
		return s.opt.private(in.abs())
	}
	return slices.ContainsFunc(s.plan.nodes, func(m *node) bool {
		return matchName(in.pattern, m.Name) && slices.ContainsFunc(m.outs, s.opt.private) ||
			m.Grow != nil && mayGrow(m.Grows, in.pattern) && m.secret
	})
}

func (s *session) file(e entry) FileState {
	f := FileState{Ref: s.opt.Redact(e.ref.String()), Size: e.size, Digest: e.text()}
	if e.kind == kindMeaning {
		f.As, f.Digest, _ = strings.Cut(f.Digest, " ")
	}
	if who, ok := s.plan.above(s.opt.abs(e.ref)); ok {
		f.Maker = who.n.Name
	}
	return f
}

// find returns the path that a person means: one that steps make or read, or
// the one output with that last element.
func (s *session) find(q *scheduler, what string) (abs string, ok bool) {
	for _, abs := range s.opt.places(what) {
		if _, ok := s.plan.owners[abs]; ok {
			return abs, true
		}
		if len(s.uses(q, abs)) == 0 {
			continue
		}
		if _, err := os.Lstat(abs); err == nil {
			return abs, true
		}
	}
	for _, made := range s.plan.paths {
		if path.Base(s.refOf(made).Path) == what {
			if ok {
				return "", false // two: neither can be meant
			}
			abs, ok = made, true
		}
	}
	return abs, ok
}

// refOf returns the ref of a path: that by which a step declares it, or that of
// the innermost root which holds it.
func (s *session) refOf(abs string) Ref {
	if o, ok := s.plan.owners[abs]; ok {
		if o.ledger {
			return o.n.Ledgers[o.out]
		}
		return o.n.Outputs[o.out].Ref
	}
	best := Ref{Path: abs}
	depth := -1
	for name, root := range s.opt.Roots {
		if root.holds(abs) && (len(root.Path) > depth || len(root.Path) == depth && name < best.Root) {
			best, depth = Ref{name, relative(root.Path, abs)}, len(root.Path)
		}
	}
	return best
}

// unknown is the error about a name, with what would have been understood.
func (s *session) unknown(q *scheduler, what string) error {
	redacted := !s.plan.g.hasPrivate()
	e := &Unknown{What: what}
	for _, n := range s.plan.nodes {
		e.Known = append(e.Known, n.Name)
	}
	for _, abs := range s.plan.paths {
		if redacted && s.opt.private(abs) {
			continue
		}
		ref := s.refOf(abs)
		e.Known = append(e.Known, s.opt.Redact(ref.Path), s.opt.Redact(path.Base(ref.Path)))
	}
	for _, n := range s.plan.nodes {
		for _, in := range n.ins {
			if in.kind == inFile && !(redacted && s.opt.private(in.abs())) {
				e.Known = append(e.Known, s.opt.Redact(in.pattern))
			}
		}
		p := q.steps[n]
		if p == nil {
			continue
		}
		for _, g := range p.dec.groups {
			for f := range g.entries.all() {
				if _, made := s.plan.above(s.opt.abs(f.ref)); !made && !(redacted && s.opt.private(s.opt.abs(f.ref))) {
					e.Known = append(e.Known, s.opt.Redact(f.ref.Path))
				}
			}
		}
	}
	slices.Sort(e.Known)
	e.Known = slices.Compact(e.Known)
	e.Nearest = Nearest(what, e.Known)
	return e
}

// maxAlike is how many steps grown from one are printed one by one, and
// maxFiles how many files of one input.
const (
	maxAlike = 4
	maxFiles = 3
)

// Write prints the explanation for people. Of many steps that grew from one
// step it prints the first that are not fresh and those in Focus, and counts
// the others; WriteJSON leaves nothing out.
func (e *Explanation) Write(w io.Writer) error {
	var b strings.Builder
	if len(e.Steps) == 0 {
		fmt.Fprintf(&b, "%s: a source that no step makes\n", e.What)
	} else if e.What != e.Steps[0].Name {
		fmt.Fprintf(&b, "%s: made by %s\n", e.What, e.Steps[0].Name)
	}
	if len(e.Readers) > 0 {
		fmt.Fprintf(&b, "  read by  %s\n", list(e.Readers, maxAlike))
	}
	alike := map[string]int{}
	for i := range e.Steps {
		if by := e.Steps[i].GrownFrom; by != "" {
			alike[by]++
		}
	}
	shown := map[string]int{}
	left := map[string]map[Verdict]int{}
	var order []string
	for i := range e.Steps {
		a := &e.Steps[i]
		by := a.GrownFrom
		if by != "" && alike[by] > maxAlike && i > 0 && !slices.Contains(e.Focus, a.Name) && (a.Verdict == Fresh || shown[by] == maxAlike) {
			if left[by] == nil {
				left[by] = map[Verdict]int{}
				order = append(order, by)
			}
			left[by][a.Verdict]++
			continue
		}
		if by != "" {
			shown[by]++
		}
		a.write(&b)
	}
	for _, by := range order {
		var parts []string
		n := 0
		for _, v := range []Verdict{Fresh, WillRestore, WillRun, MayRun, CannotRun} {
			if k := left[by][v]; k > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", k, v))
				n += k
			}
		}
		fmt.Fprintf(&b, "\nand %s more that grew from %s: %s\n", console.Plural(n, "step"), by, strings.Join(parts, ", "))
	}
	if e.Redacted && slices.ContainsFunc(e.Steps, func(a Account) bool { return a.Private }) {
		fmt.Fprintf(&b, "\nThe private tier is not here: private files and what is known of them are left out.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (a *Account) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s  %s", a.Name, a.Verdict)
	if a.Seconds > 0 {
		fmt.Fprintf(b, ", %.2f s when it last ran", a.Seconds)
	}
	b.WriteByte('\n')
	if a.Doc != "" {
		line(b, "  %s", a.Doc)
	}
	for _, r := range a.Reasons {
		if !slices.ContainsFunc(a.Changes, func(c Change) bool { return c.String() == r }) || a.Verdict == Fresh {
			line(b, "  why      %s", r)
		}
	}
	for _, c := range a.Changes {
		line(b, "  changed  %s%s", c, c.values())
	}
	for _, r := range a.Reads {
		switch {
		case len(r.Files) == 1 && r.Files[0].Digest != "":
			line(b, "  reads    %s", r.Files[0].text())
		case len(r.Files) == 0 && r.Files != nil:
			line(b, "  reads    %s: no file", r.Input)
		case len(r.Files) < 2:
			line(b, "  reads    %s", r.Input)
		default:
			line(b, "  reads    %s: %s", r.Input, console.Plural(len(r.Files), "file"))
			if len(r.Files) <= maxFiles {
				for _, f := range r.Files {
					line(b, "           %s", f.text())
				}
			}
		}
	}
	for _, f := range a.Keeps {
		f.Maker = ""
		line(b, "  keeps    %s", f.text())
	}
	for _, f := range a.Makes {
		f.Maker = ""
		line(b, "  makes    %s", f.text())
	}
}

// values prints what a change went from and to, shortened.
func (c Change) values() string {
	switch c.Field {
	case fieldEngine, fieldToolchain, fieldTool, fieldOutput:
		return ""
	}
	switch {
	case c.Then == "" && c.Now == "":
		return ""
	case c.Then == "":
		return ": " + short(c.Now)
	case c.Now == "":
		return ": was " + short(c.Then)
	case short(c.Then) == short(c.Now):
		return ""
	}
	return ": " + short(c.Then) + " -> " + short(c.Now)
}

// text is a file in one line.
func (f FileState) text() string {
	t := f.Ref
	if f.Digest != "" {
		t += "  " + short(f.Digest)
	}
	if f.As != "" {
		t += " of its " + f.As
	}
	if f.Maker != "" {
		t += "  from " + f.Maker
	}
	return t
}

// short cuts digests to what tells them apart, and other texts to a line.
func short(s string) string {
	const digest, line = 12, 120
	hex := !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("0123456789abcdef", r) })
	switch {
	case hex && len(s) == 64:
		return s[:digest]
	case len(s) > line:
		return strings.ToValidUTF8(s[:line], "") + "…"
	}
	return s
}

func list(names []string, most int) string {
	if more := len(names) - most; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// WriteJSON writes the explanation as one JSON document.
func (e *Explanation) WriteJSON(w io.Writer) error {
	return writeJSON(w, struct {
		Schema string `json:"schema"`
		*Explanation
	}{"build.explain/1", e})
}
