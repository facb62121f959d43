package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/analysis"
	"github.com/foundation-plr/pipeline/internal/provenance"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Status says what is fresh and what is stale, and about how long it would
// take, and fails with 3 when anything is stale. With ifChanged it says what
// would be if that file changed.
func Status(ctx context.Context, asJSON *bool, ifChanged *string) error {
	_, graph, p, err := survey(asJSON)
	if err != nil {
		return err
	}
	var report *build.Report
	if ifChanged != nil {
		if report, err = graph.IfChanged(ctx, *ifChanged); err != nil {
			return unknown(err, *ifChanged, nil)
		}
	} else if report, err = graph.Status(ctx, p.goals...); err != nil {
		return err
	}
	if wanted(asJSON) {
		err = report.WriteJSON(screen())
	} else if err = report.Write(screen()); err == nil && report.Count(build.WillRun) > 0 {
		_, err = fmt.Fprintln(screen(), duration(report))
	}
	switch {
	case err != nil || report.Fresh():
		return err
	case ifChanged != nil:
		return mg.Fatal(exitStale, "not everything would be fresh")
	}
	return mg.Fatal(exitStale, "not everything is fresh; mage reproduce brings it up to date")
}

// duration says about how long a build would take.
func duration(report *build.Report) string {
	text := "to run: " + report.Estimate().String()
	if len(report.Unknown) > 0 {
		text += "; without what grows from " + strings.Join(report.Unknown, ", ")
	}
	return text
}

// Explain says how a step, a file, a figure, a table, a number, a run or a
// configuration of the database came about: everything that it depends on, with states and digests.
func Explain(ctx context.Context, what string, asJSON *bool) error {
	s, graph, _, err := survey(asJSON)
	if err != nil {
		return err
	}
	answer := &answer{Schema: "plr.explain/1"}
	at := what
	if answer.Number, err = s.number(ctx, what); err != nil {
		return err
	}
	var misnamed *provenance.NameError
	switch answer.Row, err = s.provenance().Row(ctx, what); {
	case errors.As(err, &misnamed):
		return usage("%v", misnamed)
	case err != nil:
		return err
	}
	switch i := slices.IndexFunc(documents(), func(spec analysis.Spec) bool { return spec.ID == what }); {
	case answer.Number != nil:
		at = pageOf(numbersSpec()).String()
	case answer.Row != nil:
		at = s.database().String()
	case i >= 0:
		at = pageOf(documents()[i]).String()
	}
	var unknownName *build.Unknown
	if answer.Row != nil && len(answer.Row.Runs) == 1 {
		// The step that read it, which who has the public side alone does not have.
		answer.Chain, err = graph.Explain(ctx, provenance.RunPrefix+answer.Row.Runs[0].Run)
	}
	if answer.Chain == nil && (err == nil || errors.As(err, &unknownName)) {
		answer.Chain, err = graph.Explain(ctx, at)
	}
	if err != nil {
		return unknown(err, what, s.names())
	}
	if answer.Number != nil {
		for _, run := range answer.Number.Runs {
			answer.Chain.Focus = append(answer.Chain.Focus, provenance.RunPrefix+run.Run)
		}
	}
	if wanted(asJSON) {
		return printJSON(answer)
	}
	if answer.Number != nil {
		if err := answer.Number.Write(screen(), s.gate.redact); err != nil {
			return err
		}
	}
	if answer.Row != nil {
		if err := answer.Row.Write(screen(), s.gate.redact); err != nil {
			return err
		}
	}
	return answer.Chain.Write(screen())
}

// Graph prints the steps as a Mermaid diagram, or only those that read a file
// or the one that makes it.
func Graph(ctx context.Context, asJSON *bool, uses, makes *string) error {
	// The diagram is for a program, too.
	diagram := true
	_, graph, p, err := survey(&diagram)
	switch {
	case err != nil:
		return err
	case uses != nil && makes != nil:
		return usage("-uses and -makes are two questions: ask one at a time")
	case uses != nil:
		return printUses(ctx, graph, *uses, wanted(asJSON))
	case makes != nil:
		return printMaker(ctx, graph, *makes, wanted(asJSON))
	}
	drawing, err := graph.Draw(ctx, p.goals...)
	if err != nil {
		return err
	}
	if wanted(asJSON) {
		return drawing.WriteJSON(screen())
	}
	return drawing.Mermaid(screen())
}

func printUses(ctx context.Context, graph *build.Graph, name string, asJSON bool) error {
	uses, err := graph.Uses(ctx, name)
	switch {
	case err != nil:
		return unknown(err, name, nil)
	case asJSON:
		return printJSON(append([]build.Use{}, uses...))
	case len(uses) == 0:
		_, err = fmt.Fprintf(screen(), "no step reads %s\n", name)
		return err
	}
	for _, use := range uses {
		if _, err := fmt.Fprintf(screen(), "%s  by %s\n", use.Step, use.Input); err != nil {
			return err
		}
	}
	return nil
}

func printMaker(ctx context.Context, graph *build.Graph, name string, asJSON bool) error {
	step, err := graph.Makes(ctx, name)
	switch {
	case err != nil:
		return unknown(err, name, nil)
	case asJSON:
		return printJSON(map[string]string{"step": step})
	case step == "":
		_, err = fmt.Fprintf(screen(), "no step makes %s: it is a source\n", name)
	default:
		_, err = fmt.Fprintln(screen(), step)
	}
	return err
}

// survey opens the study and its whole graph. Where a program reads the output
// nothing else is printed there.
func survey(asJSON *bool) (*study, *build.Graph, plan, error) {
	notes := os.Stdout
	if wanted(asJSON) {
		notes = os.Stderr
	}
	s, err := openTo(notes)
	if err != nil {
		return nil, nil, plan{}, err
	}
	p, err := everything(s)
	if err != nil {
		return nil, nil, plan{}, err
	}
	graph, err := s.graph(p.steps)
	return s, graph, p, err
}

func wanted(flag *bool) bool { return flag != nil && *flag }

func printJSON(v any) error {
	e := json.NewEncoder(screen())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// unknown turns the error about a name into one of the caller, with the nearest
// of all names that could have been given.
func unknown(err error, what string, more []string) error {
	var u *build.Unknown
	if !errors.As(err, &u) {
		return err
	}
	u.What = what
	u.Nearest = build.Nearest(what, append(slices.Clone(more), u.Known...))
	return usage("%v", u)
}

// provenance is where answers about rows and numbers are.
func (s *study) provenance() *provenance.Study {
	return &provenance.Study{
		Database: s.settings.PublicDB,
		Index:    filepath.Join(s.settings.PrivateDir, indexFile),
		Record:   func(run string) string { return filepath.Join(s.settings.PrivateDir, "runs", run+recordSuffix) },
		Key:      s.key,
		Redact:   s.gate.redact,
	}
}

// answer is what explain -json prints.
type answer struct {
	Schema string             `json:"schema"`
	Number *provenance.Number `json:"number,omitempty"`
	Row    *provenance.Row    `json:"row,omitempty"`
	Chain  *build.Explanation `json:"chain"`
}

// numbersSpec is the document of the macros.
func numbersSpec() analysis.Spec {
	tables := analysis.Tables()
	return tables[slices.IndexFunc(tables, func(spec analysis.Spec) bool { return spec.Kind == analysis.KindNumbers })]
}

// number returns the number that is meant by "numbers.tex:PLRbestAUROC", or by
// the name of the macro alone; nil if no number is meant.
func (s *study) number(ctx context.Context, what string) (*provenance.Number, error) {
	spec := numbersSpec()
	file, macro, found := strings.Cut(what, ":"+provenance.MacroPrefix)
	switch {
	case found:
		page := pageOf(spec)
		if name := filepath.ToSlash(file); name != spec.ID && name != page.Path && path.Base(name) != path.Base(page.Path) {
			return nil, nil
		}
	default:
		if macro, found = strings.CutPrefix(strings.TrimPrefix(what, `\`), provenance.MacroPrefix); !found {
			return nil, nil
		}
	}
	doc, err := s.readSidecar(spec)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the numbers are not built yet: mage table %s makes them", spec.ID)
	}
	if err != nil {
		return nil, err
	}
	n := s.provenance().Number(ctx, doc, sidecarOf(spec).String(), macro)
	if n == nil {
		return nil, unknown(&build.Unknown{}, what, provenance.Macros(doc, strings.TrimSuffix(what, provenance.MacroPrefix+macro)))
	}
	return n, nil
}

// names are what explain understands beside the names of the graph.
func (s *study) names() []string {
	var names []string
	for _, spec := range documents() {
		names = append(names, spec.ID)
	}
	if doc, err := s.readSidecar(numbersSpec()); err == nil {
		names = append(names, provenance.Macros(doc, "")...)
	}
	return names
}

func (s *study) readSidecar(spec analysis.Spec) (*sidecar.Document, error) {
	return readDocument(s.place(sidecarOf(spec)), sidecarOf(spec))
}
