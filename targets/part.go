package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/writer"
)

// partDir, in the private directory, holds the checkpoint of a part of the runs.
const partDir = "scratch"

// refusePart is the error of a target that has no meaning for a part of the runs.
func (s *study) refusePart() error {
	if len(s.settings.Runs) == 0 {
		return nil
	}
	return usage("RUNS chooses a part of the runs, which is for mage extract only: unset it")
}

// chosen says whether RUNS asks for a run; without RUNS every run is.
func (s *study) chosen(run extract.IndexedRun) bool {
	return len(s.settings.Runs) == 0 || slices.ContainsFunc(s.settings.Runs, func(pattern string) bool {
		return doublestar.MatchUnvalidated(pattern, run.RunID) || doublestar.MatchUnvalidated(pattern, run.Name)
	})
}

// partOf is the index of the chosen runs. Their verdicts are those that they have
// among all.
func (s *study) partOf(whole *extract.Index) (*extract.Index, error) {
	part := *whole
	part.Runs = slices.DeleteFunc(slices.Clone(whole.Runs), func(run extract.IndexedRun) bool { return !s.chosen(run) })
	if len(part.Runs) == 0 {
		return nil, fmt.Errorf("none of the %d runs has an id or a name that RUNS matches", len(whole.Runs))
	}
	return &part, nil
}

// partialExtraction is block 1 for the runs that RUNS chooses, into a private
// checkpoint of its own. Its index and its run steps are those of the whole, which
// so has less to do afterwards. It gives no codes: a part would give them in
// another order than the whole, and a code is given for ever.
func (s *study) partialExtraction() []build.Step {
	steps := []build.Step{s.index(), s.partialCheckpoint()}
	if s.tabulates() {
		steps = append(steps, s.upstream())
	}
	if s.example() {
		steps = append(steps, s.unpack())
	}
	return steps
}

func (s *study) partialCheckpoint() build.Step {
	out := build.Ref{Root: rootPrivate, Path: path.Join(partDir, path.Base(s.database().Path))}
	params := s.assemblyParams()
	params["runs"] = s.settings.Runs
	return build.Step{
		Name:    "scratch",
		Doc:     "write a private database of the runs that RUNS chooses",
		Inputs:  s.readsRecords(),
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Params:  params,
		Code:    []string{"internal/checkpoint", "internal/writer", "anonymize"},
		Run: func(ctx context.Context, t *build.Task) error {
			a, err := s.readAssembly(t)
			if err != nil {
				return err
			}
			part, err := s.partOf(a.index)
			if err != nil {
				return err
			}
			a.options.Settings = map[string]string{disclosure.ScopeSetting: disclosure.ScopePart}
			content, err := checkpoint.Assemble(a.records, part, a.codes.Code, a.registry, a.options)
			if err != nil {
				return fmt.Errorf("%w; a part takes its codes from the lookup: extract all runs once (without RUNS) to give new ones", err)
			}
			written, err := writer.Write(ctx, t.Out(out), content.Rows)
			if err != nil {
				return err
			}
			_, err = written.Digest(ctx, t.Out(out))
			return err
		},
	}
}

// partPlan is the plan of a part. It needs the lookup that the whole has made.
func (s *study) partPlan() (plan, error) {
	for _, ledger := range s.ledgers() {
		file := filepath.Join(s.settings.PrivateDir, ledger.Path)
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return plan{}, fmt.Errorf("RUNS: there is no %s yet, from which a part takes its codes: extract all runs once, without RUNS", file)
		} else if err != nil {
			return plan{}, err
		}
	}
	return plan{steps: s.partialExtraction(), private: true}, nil
}
