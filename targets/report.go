package targets

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/analysis"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/report"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// The report, as a page and for programs.
var (
	reportRef  = build.Ref{Root: rootResults, Path: "outputs/report.html"}
	summaryRef = build.Ref{Root: rootResults, Path: "outputs/analysis_report.json"}
)

const (
	stepReport  = "report"
	stepSummary = "data:report"
)

// Report writes the report and brings all that it shows up to date.
func Report(ctx context.Context) error {
	return run(ctx, func(s *study) (plan, error) {
		if !s.settings.Flows.Summarization {
			return plan{}, usage("the report is switched off: set PREFECT.PROCESS_FLOWS.SUMMARIZATION to true in %s", filepath.Base(s.settings.ConfigPath))
		}
		p, err := everything(s)
		p.goals = []string{stepReport}
		return p, err
	})
}

// reportSummary asks the database what became of every run and sums up all figures and
// tables. It is to the report what a sidecar is to a figure: a change of the
// database that the report does not show ends here.
func (s *study) reportSummary() build.Step {
	db, all := s.database(), reported()
	inputs := append(s.readsDatabase(), build.File(rootResults, validationFile))
	for _, d := range all {
		inputs = append(inputs, build.File(d.sidecar.Root, d.sidecar.Path))
	}
	return build.Step{
		Name:    stepSummary,
		Doc:     "sum up runs, checks, figures and tables for programs",
		Inputs:  inputs,
		Outputs: []build.Output{build.Out(summaryRef.Root, summaryRef.Path)},
		Params:  map[string]any{"kinds": kindsOf(all)},
		Code:    []string{"internal/report", "internal/duckfile"},
		Run: func(ctx context.Context, t *build.Task) (err error) {
			warnings, err := readValidation(t.Path(build.Ref{Root: rootResults, Path: validationFile}))
			if err != nil {
				return err
			}
			var sources []report.Source
			for _, d := range all {
				doc, err := readDocument(t.Path(d.sidecar), d.sidecar)
				if err != nil {
					return err
				}
				sources = append(sources, report.Source{Kind: d.kind, File: d.page.Path, Sidecar: d.sidecar.Path, Doc: doc})
			}
			conn, err := duckfile.Open(ctx, t.Path(db))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, conn.Close()) }()
			summed, err := report.Summarize(ctx, conn, warnings, sources)
			if err != nil {
				return err
			}
			encoded, err := report.Encode(summed)
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(summaryRef), encoded, 0o644)
		},
	}
}

// reportedDocument is a figure or table as the report knows it.
type reportedDocument struct {
	kind          string
	sidecar, page build.Ref
}

// reported are all figures and tables, in the order of the report.
func reported() []reportedDocument {
	kinds := map[string]string{analysis.KindFigure: report.KindFigure, analysis.KindTable: report.KindTable, analysis.KindNumbers: report.KindNumbers}
	var all []reportedDocument
	for _, spec := range documents() {
		all = append(all, reportedDocument{kinds[spec.Kind], sidecarOf(spec), pageOf(spec)})
	}
	return all
}

// kindsOf stand in the key of a step: the names of its inputs do not say them.
func kindsOf(all []reportedDocument) []string {
	var kinds []string
	for _, d := range all {
		kinds = append(kinds, d.kind)
	}
	return kinds
}

// reportPage sets the page. It holds the pictures, so it reads them; of tables it
// names the digests, so it reads these, too.
func (s *study) reportPage() build.Step {
	all := reported()
	inputs := []build.Input{build.File(summaryRef.Root, summaryRef.Path)}
	for _, d := range all {
		inputs = append(inputs, build.File(d.sidecar.Root, d.sidecar.Path), build.File(d.page.Root, d.page.Path))
	}
	return build.Step{
		Name:    stepReport,
		Doc:     "write the report",
		Inputs:  inputs,
		Outputs: []build.Output{build.Out(reportRef.Root, reportRef.Path)},
		Params:  map[string]any{"kinds": kindsOf(all)},
		Code:    []string{"internal/report"},
		Run: func(_ context.Context, t *build.Task) error {
			summed, err := readReport(t.Path(summaryRef))
			if err != nil {
				return err
			}
			var shown []report.Shown
			for _, d := range all {
				doc, err := readDocument(t.Path(d.sidecar), d.sidecar)
				if err != nil {
					return err
				}
				one := report.Shown{Kind: d.kind, Doc: doc, Digest: t.Digest(d.page)}
				if d.kind == report.KindFigure {
					if one.PNG, err = os.ReadFile(t.Path(d.page)); err != nil {
						return err
					}
				}
				shown = append(shown, one)
			}
			page, err := report.Page(summed, shown)
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(reportRef), page, 0o644)
		},
	}
}

func readReport(name string) (*report.Report, error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	summed, err := report.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", summaryRef, err)
	}
	return summed, nil
}

func readDocument(name string, ref build.Ref) (*sidecar.Document, error) {
	encoded, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	doc, err := sidecar.Decode(encoded)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return doc, nil
}

// sayRuns says, at the end of a build, what became of the runs: from the report
// where the build has made sure of it, and from a database that was written just
// now where there is none.
func (s *study) sayRuns(ctx context.Context, built *build.Summary) error {
	if s.settings.DryRun {
		return nil
	}
	if !s.settings.Flows.Summarization {
		s.sayForgotten(summaryRef, reportRef)
	}
	done := func(name string, states ...build.State) bool {
		return slices.ContainsFunc(built.Steps, func(r build.StepResult) bool { return r.Name == name && slices.Contains(states, r.State) })
	}
	switch {
	case done(stepSummary, build.StateFresh, build.StateRan, build.StateRestored):
		encoded, err := os.ReadFile(s.place(summaryRef))
		if err != nil {
			return err
		}
		runs, err := report.DecodeVerdicts(encoded)
		if err != nil {
			return fmt.Errorf("%s: %w", summaryRef, err)
		}
		where := ""
		if done(stepReport, build.StateFresh, build.StateRan, build.StateRestored) {
			where = " (" + reportRef.Path + ")"
		}
		s.say("%s%s", runs, where)
	case done(stepCheckpoint, build.StateRan, build.StateRestored):
		giveBack() // the build is over
		db, err := duckfile.Open(ctx, s.settings.PublicDB)
		if err != nil {
			return err
		}
		runs, err := report.Verdicts(ctx, db)
		if err = errors.Join(err, db.Close()); err != nil {
			return err
		}
		s.say("%s", runs)
	}
	return nil
}

// sayForgotten warns of results of a flow that is switched off: no step keeps
// them up, and nothing else would say that they are old.
func (s *study) sayForgotten(refs ...build.Ref) {
	for _, ref := range refs {
		if _, err := os.Lstat(s.place(ref)); err == nil {
			s.say("warning: %s is of an earlier build, and no step keeps it up any longer (PREFECT.PROCESS_FLOWS in %s): remove it", ref.Path, filepath.Base(s.settings.ConfigPath))
		}
	}
}
