package build

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Drawing is the graph with what a build would do about each step.
type Drawing struct {
	Steps   []Drawn  `json:"steps"`             // sorted by name
	Unknown []string `json:"unknown,omitempty"` // see Report
}

// Drawn is one step of a drawing. Inputs, outputs and ledgers are as declared;
// private ones are left out where the private tier is not there.
type Drawn struct {
	Decision
	Needs     []string `json:"needs,omitempty"`      // steps
	GrownFrom string   `json:"grown_from,omitempty"` // a step
	Inputs    []string `json:"inputs,omitempty"`
	Outputs   []string `json:"outputs,omitempty"`
	Ledgers   []string `json:"ledgers,omitempty"`
}

// Use says that a step reads a file by one of its declared inputs.
type Use struct {
	Step  string `json:"step"`
	Input string `json:"input"`
}

// Draw returns the steps that match the goals, and all that these need, with
// their states; without goals, all steps.
func (g *Graph) Draw(ctx context.Context, goals ...string) (*Drawing, error) {
	d := &Drawing{Steps: []Drawn{}}
	redacted := !g.hasPrivate()
	err := g.survey(ctx, survey{goals: goals}, func(s *session, q *scheduler) error {
		for _, n := range s.plan.nodes {
			if !s.want[n] {
				continue
			}
			drawn := s.drawn(n, q.steps[n], redacted)
			if n.Grow != nil && drawn.Verdict != Fresh {
				d.Unknown = append(d.Unknown, n.Name)
			}
			d.Steps = append(d.Steps, drawn)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Uses returns the steps that read the file at a path (see Explain), sorted by
// name. A path that no step reads or makes is an *Unknown error.
func (g *Graph) Uses(ctx context.Context, path string) (uses []Use, err error) {
	err = g.survey(ctx, survey{}, func(s *session, q *scheduler) error {
		abs, ok := s.find(q, path)
		if !ok {
			return s.unknown(q, path)
		}
		uses = s.uses(q, abs)
		return nil
	})
	return uses, err
}

// Makes returns the step that makes the file at a path (see Explain), "" for a
// source. A path that no step reads or makes is an *Unknown error.
func (g *Graph) Makes(ctx context.Context, path string) (step string, err error) {
	err = g.survey(ctx, survey{}, func(s *session, q *scheduler) error {
		abs, ok := s.find(q, path)
		if !ok {
			return s.unknown(q, path)
		}
		if who, ok := s.plan.above(abs); ok {
			step = who.n.Name
		}
		return nil
	})
	return step, err
}

// uses returns the inputs and ledgers that hold a path.
func (s *session) uses(q *scheduler, abs string) []Use {
	var all []Use
	p := s.plan
	for _, n := range p.nodes {
		for i := range n.ins {
			if in := &n.ins[i]; p.reads(n, in, abs) {
				all = append(all, Use{n.Name, s.opt.Redact(in.String())})
				break
			}
		}
		for i, ledger := range n.ledgers {
			if ledger == abs {
				all = append(all, Use{n.Name, s.opt.Redact("ledger " + n.Ledgers[i].String())})
			}
		}
	}
	return all
}

// reads says whether a declared input stands for a path, among others.
func (p *plan) reads(n *node, in *input, abs string) bool {
	o := &p.g.opt
	switch in.kind {
	case inFile, inAbsent:
		at := in.abs()
		if at == abs {
			return true
		}
		who, ok := p.owners[at]
		return ok && who.tree() && inside(abs, at)
	case inGlob, inNames:
		if !inside(abs, in.abs()) || o.private(abs) && !o.private(in.abs()) {
			return false
		}
		if _, tree := p.owners[abs]; tree && p.owners[abs].tree() {
			// Some of what is in it may match.
			return in.glob.deeper(in.glob.walk(relative(in.abs(), abs)))
		}
		return in.glob.match(relative(in.abs(), abs))
	case inOutputsOf:
		who, ok := p.above(abs)
		return ok && !who.ledger && who.n != n && matchName(in.pattern, who.n.Name)
	}
	return false
}

// drawn is what people get to see of a step.
func (s *session) drawn(n *node, p *progress, redacted bool) Drawn {
	d := Drawn{Decision: s.decision(n, p)}
	d.Needs = d.needs
	if redacted && n.secret {
		d.Reasons = nil
	}
	if n.grownBy != nil {
		d.GrownFrom = n.grownBy.Name
	}
	for i := range n.ins {
		if in := &n.ins[i]; !redacted || !s.hidden(in) {
			d.Inputs = append(d.Inputs, s.opt.Redact(in.String()))
		}
	}
	for i, out := range n.Outputs {
		if !redacted || !s.opt.private(n.outs[i]) {
			d.Outputs = append(d.Outputs, s.opt.Redact(out.String()))
		}
	}
	for i, ref := range n.Ledgers {
		if !redacted || !s.opt.private(n.ledgers[i]) {
			d.Ledgers = append(d.Ledgers, s.opt.Redact(ref.String()))
		}
	}
	return d
}

// WriteJSON writes the drawing as one JSON document.
func (d *Drawing) WriteJSON(w io.Writer) error {
	return writeJSON(w, struct {
		Schema string `json:"schema"`
		*Drawing
	}{"build.graph/1", d})
}

// box is a node of the diagram: a step, or the steps that grew from one.
type box struct {
	label    string
	steps    int
	verdicts map[Verdict]int
	private  bool
	needs    map[string]bool // names of boxes
}

// urgent is the order in which the state of a box of several steps is chosen.
var urgent = []Verdict{CannotRun, WillRun, MayRun, WillRestore, Fresh}

// Mermaid writes the drawing as a Mermaid flowchart: an arrow from each step
// to those that need it, a state as a colour and in words, a dashed border for
// steps that handle private files. Many steps that grew from one are one box.
func (d *Drawing) Mermaid(w io.Writer) error {
	grown := map[string]int{}
	for i := range d.Steps {
		grown[d.Steps[i].GrownFrom]++
	}
	boxOf := map[string]string{}
	boxes := map[string]*box{}
	var order []string
	for i := range d.Steps {
		s := &d.Steps[i]
		name := s.Name
		if s.GrownFrom != "" && grown[s.GrownFrom] > maxAlike {
			// No step can have this name.
			name = s.GrownFrom + "*"
		}
		boxOf[s.Name] = name
		b := boxes[name]
		if b == nil {
			b = &box{label: s.Name, verdicts: map[Verdict]int{}, needs: map[string]bool{}}
			boxes[name] = b
			order = append(order, name)
		} else {
			b.label = commonPrefix(b.label, s.Name)
		}
		b.steps++
		b.verdicts[s.Verdict]++
		b.private = b.private || s.Private
	}
	for i := range d.Steps {
		s := &d.Steps[i]
		for _, need := range s.Needs {
			if from, to := boxOf[need], boxOf[s.Name]; from != "" && from != to {
				boxes[to].needs[from] = true
			}
		}
	}
	ids := map[string]string{}
	for i, name := range order {
		ids[name] = fmt.Sprintf("s%d", i)
	}
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, name := range order {
		x := boxes[name]
		var words []string
		for _, v := range urgent {
			if k := x.verdicts[v]; k > 0 && x.steps > 1 {
				words = append(words, fmt.Sprintf("%d %s", k, v))
			} else if k > 0 {
				words = append(words, string(v))
			}
		}
		label := x.label
		if x.steps > 1 {
			label += "*"
		}
		fmt.Fprintf(&b, "    %s[\"%s<br/>%s\"]\n", ids[name], mermaidText(label), strings.Join(words, ", "))
	}
	for _, name := range d.Unknown {
		fmt.Fprintf(&b, "    %sgrown[\"steps that are known when<br/>%s has run\"]\n", ids[name], mermaidText(name))
		fmt.Fprintf(&b, "    %s -.-> %sgrown\n", ids[name], ids[name])
	}
	for _, name := range order {
		for _, need := range order {
			if boxes[name].needs[need] {
				fmt.Fprintf(&b, "    %s --> %s\n", ids[need], ids[name])
			}
		}
	}
	for _, name := range order {
		x := boxes[name]
		i := slices.IndexFunc(urgent, func(v Verdict) bool { return x.verdicts[v] > 0 })
		fmt.Fprintf(&b, "    class %s %s\n", ids[name], class(urgent[i]))
		if x.private {
			fmt.Fprintf(&b, "    style %s stroke-dasharray: 4 3\n", ids[name])
		}
	}
	for _, name := range d.Unknown {
		fmt.Fprintf(&b, "    class %sgrown %s\n", ids[name], class(MayRun))
	}
	b.WriteString(mermaidClasses)
	_, err := io.WriteString(w, b.String())
	return err
}

// mermaidClasses are colours that are told apart without colour vision, too:
// they differ in lightness, and the state stands in words beside.
const mermaidClasses = `    classDef fresh fill:#ffffff,stroke:#555555,color:#000000
    classDef willRestore fill:#d9ecf7,stroke:#0072b2,color:#000000
    classDef willRun fill:#f4b183,stroke:#a04000,color:#000000
    classDef mayRun fill:#fdf0d5,stroke:#a04000,color:#000000
    classDef cannotRun fill:#7a1f1f,stroke:#000000,color:#ffffff
`

// class is the name of a verdict's class, which has no spaces.
func class(v Verdict) string {
	first, second, two := strings.Cut(string(v), " ")
	if !two {
		return first
	}
	return first + strings.ToUpper(second[:1]) + second[1:]
}

// mermaidText escapes what Mermaid reads as markup; names of steps hold no
// quotes.
func mermaidText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "#", "#35;", "`", "#96;").Replace(s)
}

func commonPrefix(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
