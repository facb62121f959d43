package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/analysis"
)

// Reproduce builds everything.
func Reproduce(ctx context.Context) error { return run(ctx, everything) }

// Extract runs block 1 up to the public database and the traces.
func Extract(ctx context.Context) error {
	return runPart(ctx, func(s *study) (plan, error) {
		has, err := s.hasStore()
		if err != nil {
			return plan{}, err
		}
		if !s.settings.Flows.Classification {
			return plan{}, usage("%s: there is nothing to extract; set it to true, or make figures and tables of the database as it stands by mage analyze", classificationOff)
		}
		if !has {
			return plan{}, usage("no tracking store is configured: set MLFLOW_TRACKING_URI to an MLflow store, or STUDY=example for the bundled example")
		}
		if len(s.settings.Runs) > 0 {
			return s.partPlan()
		}
		return plan{steps: s.extraction(), private: true}, nil
	})
}

// Analyze runs block 2 on the public database as it stands, and says so when
// the database is known to be stale.
func Analyze(ctx context.Context) error {
	return run(ctx, func(s *study) (plan, error) {
		p, err := fromCheckpoint(s)
		if err == nil {
			err = s.warnOfStaleDatabase(ctx)
		}
		return p, err
	})
}

// ReproduceFromCheckpoint runs block 2 on an existing public database. It looks
// at nothing private.
func ReproduceFromCheckpoint(ctx context.Context) error { return run(ctx, fromCheckpoint) }

// Validate checks the public database as it stands: nothing is built or mended
// first.
func Validate(ctx context.Context) error {
	return run(ctx, func(s *study) (plan, error) {
		p, err := fromCheckpoint(s)
		if err == nil {
			err = s.warnOfStaleDatabase(ctx)
		}
		p.goals = []string{"validate"}
		return p, err
	})
}

// Figure draws one figure.
func Figure(ctx context.Context, name string) error {
	return page(ctx, "figure", name, analysis.Figures())
}

// Table writes one table, or numbers.
func Table(ctx context.Context, name string) error {
	return page(ctx, "table", name, analysis.Tables())
}

// Figures draws all figures.
func Figures(ctx context.Context) error { return pages(ctx, "figure:*") }

// Tables writes all tables.
func Tables(ctx context.Context) error { return pages(ctx, "table:*") }

// Clean removes public outputs that are as they were built, those of flows that are
// switched off now, too, and private files of earlier versions.
func Clean(ctx context.Context) error {
	s, err := open()
	if err != nil {
		return err
	}
	s.settings.Flows.Summarization, s.settings.Flows.Deployment = true, true
	p, err := everything(s)
	if err != nil {
		return err
	}
	graph, err := s.graph(p.steps)
	if err != nil {
		return err
	}
	cleaned, err := graph.Clean(ctx)
	if err != nil {
		return err
	}
	for _, kept := range cleaned.Kept {
		fmt.Fprintf(s.stdout, "kept     %s: it is not as a build left it\n", kept)
	}
	verb := "removed"
	if s.settings.DryRun {
		verb = "would be removed"
	}
	fmt.Fprintf(s.stdout, "public outputs: %d %s, %d kept\n", len(cleaned.Removed), verb, len(cleaned.Kept))
	former, err := s.removeFormer(s.settings.DryRun)
	if former > 0 {
		fmt.Fprintf(s.stdout, "private files of earlier versions, which nothing reads: %d %s\n", former, verb)
	}
	return err
}

// Test runs the tests of the module.
func Test(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "test", "./...")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go test ./...: %w", err)
	}
	return nil
}

// plan is the steps of a target and which of them it asks for; no goals are
// all.
type plan struct {
	steps   []build.Step
	goals   []string
	private bool // steps write private files
}

// run builds a plan of all runs.
func run(ctx context.Context, choose func(*study) (plan, error)) error {
	return runPart(ctx, func(s *study) (plan, error) {
		if err := s.refusePart(); err != nil {
			return plan{}, err
		}
		return choose(s)
	})
}

// runPart builds a plan that may be one of a part of the runs.
func runPart(ctx context.Context, choose func(*study) (plan, error)) (err error) {
	s, err := openPart(screen())
	if err != nil {
		return err
	}
	p, err := choose(s)
	if err != nil {
		return err
	}
	if p.private && !s.settings.DryRun {
		if err := s.reached(); err != nil {
			return err
		}
	}
	var held *frozen
	if s.settings.Frozen && !s.settings.DryRun {
		if held, err = s.freeze(ctx, &p); err != nil {
			return err
		}
		defer func() {
			if cerr := held.close(); err == nil {
				err = cerr
			}
		}()
	}
	if err := checkSteps("FORCE", s.settings.Force, p.steps); err != nil {
		return err
	}
	graph, err := s.graph(p.steps)
	if err != nil {
		return err
	}
	if p.private && !s.settings.DryRun {
		if err := s.closePrivate(); err != nil {
			return err
		}
		// Before anything is decided by the key.
		if err := s.ledgerFiles().Settle(); err != nil {
			return err
		}
	}
	ctx, stop := build.Context(ctx)
	defer stop()
	built, err := graph.Build(ctx, p.goals...)
	if err != nil {
		// A step's error is printed already, and this is mage's last line.
		return errors.New(s.gate.redact(err.Error()))
	}
	if err := errors.Join(s.sayRuns(ctx, built), s.sayWarnings(p.steps)); err != nil || held == nil {
		return err
	}
	return held.verify(ctx, s, graph, built)
}

// checkSteps refuses a pattern that no step can match: it would be obeyed by
// doing nothing.
func checkSteps(from string, patterns []string, steps []build.Step) error {
	for _, pattern := range patterns {
		if !doublestar.ValidatePattern(pattern) {
			return usage("%s: %q is not a valid pattern of step names", from, pattern)
		}
		known := func(step build.Step) bool {
			return doublestar.MatchUnvalidated(pattern, step.Name) || step.Grows != "" && strings.HasPrefix(pattern, step.Grows)
		}
		if !slices.ContainsFunc(steps, known) {
			var names []string
			for _, step := range steps {
				names = append(names, step.Name)
			}
			slices.Sort(names)
			return usage("%s: no step of this target is called %q; there are %s, and run:ID for each run", from, pattern, strings.Join(names, ", "))
		}
	}
	return nil
}

// sayWarnings repeats, at the end of every build, what validation noticed and
// did not stop at: a warning that stands in a log only is read by nobody.
func (s *study) sayWarnings(steps []build.Step) error {
	validated := func(step build.Step) bool { return step.Name == stepValidate }
	if s.settings.DryRun || !slices.ContainsFunc(steps, validated) {
		return nil
	}
	warnings, err := s.validationWarnings()
	if err != nil || len(warnings) == 0 {
		return err
	}
	s.say("warning: validation noticed (%d in all, in %s): %s", len(warnings), validationFile, warnings[0])
	return nil
}

// everything is both blocks, or the second where there is no tracking store to
// begin from.
func everything(s *study) (plan, error) {
	has, err := s.hasStore()
	if err != nil {
		return plan{}, err
	}
	if !has {
		return fromCheckpoint(s)
	}
	return plan{steps: append(s.extraction(), s.analyses()...), private: true}, nil
}

// fromCheckpoint is block 2 with the public database as a source.
func fromCheckpoint(s *study) (plan, error) {
	_, err := os.Stat(s.settings.PublicDB)
	switch {
	case err == nil:
		return plan{steps: s.analyses()}, nil
	case !errors.Is(err, fs.ErrNotExist):
		return plan{}, err
	case !s.settings.Flows.Classification:
		return plan{}, usage("%s, and there is no public database at %s: set it to true, or put the database there", classificationOff, s.settings.PublicDB)
	case s.example() || s.settings.TrackingURI != "":
		return plan{}, fmt.Errorf("there is no public database at %s yet: mage extract makes it", s.settings.PublicDB)
	}
	return plan{}, s.noStore()
}

// noStore is the error of a study that has nothing to begin from.
func (s *study) noStore() error {
	return fmt.Errorf("no tracking store is configured and there is no public database at %s: "+
		"set MLFLOW_TRACKING_URI to an MLflow store, put the database there, or set STUDY=example for the bundled example",
		s.settings.PublicDB)
}

// warnOfStaleDatabase says so when the store, as it is now, would give another
// database. Where there is no store nothing is known.
func (s *study) warnOfStaleDatabase(ctx context.Context) error {
	if has, err := s.hasStore(); err != nil || !has {
		return err
	}
	graph, err := s.graph(s.extraction())
	if err != nil {
		return err
	}
	report, err := graph.Status(ctx, stepCheckpoint)
	if err != nil {
		return err
	}
	if !report.Fresh() {
		s.say("warning: %s is stale against its tracking store and is used as it stands; mage extract brings it up to date", filepath.Base(s.settings.PublicDB))
	}
	return nil
}

// pages builds the steps of one kind.
func pages(ctx context.Context, pattern string) error {
	return run(ctx, func(s *study) (plan, error) {
		p, err := everything(s)
		p.goals = []string{pattern}
		return p, err
	})
}

// page builds one of the documents by its name.
func page(ctx context.Context, kind, name string, known []analysis.Spec) error {
	ids := make([]string, len(known))
	for i, spec := range known {
		ids[i] = spec.ID
	}
	if !slices.Contains(ids, name) {
		return usage("there is no %s %q; there are %s", kind, name, strings.Join(ids, ", "))
	}
	return pages(ctx, kind+":"+name)
}
