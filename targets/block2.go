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

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/analysis"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/lock"
	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/internal/validation"
	"github.com/foundation-plr/pipeline/render"
)

// Where public files land below the results.
const (
	figuresDir     = "figures/generated"
	latexDir       = "outputs/latex"
	validationFile = "outputs/validation.json"
	lockFile       = lock.Name

	stepValidate = "validate"
	stepLock     = "lock"
)

// documents are all figures and tables.
func documents() []analysis.Spec { return append(analysis.Figures(), analysis.Tables()...) }

// sidecarOf and pageOf are the two files of a figure or table.
func sidecarOf(spec analysis.Spec) build.Ref {
	dir := latexDir
	if spec.Kind == analysis.KindFigure {
		dir = figuresDir
	}
	return build.Ref{Root: rootResults, Path: path.Join(dir, "data", spec.Stem+".json")}
}

func pageOf(spec analysis.Spec) build.Ref {
	if spec.Kind == analysis.KindFigure {
		return build.Ref{Root: rootResults, Path: path.Join(figuresDir, spec.Stem+".png")}
	}
	return build.Ref{Root: rootResults, Path: path.Join(latexDir, spec.Stem+".tex")}
}

// analyses is block 2: from the public database to figures, tables, report,
// lock and, where it is switched on, the release.
// What made the database is not asked.
func (s *study) analyses() []build.Step {
	steps := []build.Step{s.validate()}
	for _, spec := range documents() {
		steps = append(steps, s.data(spec), s.page(spec))
	}
	if s.settings.Flows.Summarization {
		steps = append(steps, s.reportSummary(), s.reportPage())
	}
	steps = append(steps, s.lock())
	if s.settings.Flows.Deployment {
		steps = append(steps, s.release())
	}
	return steps
}

// readsDatabase is the input of steps that read the public database: they
// depend on what is in it.
func (s *study) readsDatabase() []build.Input {
	db := s.database()
	return []build.Input{
		build.File(db.Root, db.Path).As(contentsOfDatabase),
		build.Glob(db.Root, literally(db.Path+logSuffix)),
	}
}

// validate checks the database; everything that reads it waits for that. It
// depends on the bytes of the file: what must not be in it can stand outside of
// the tables, too.
func (s *study) validate() build.Step {
	db := s.database()
	registry := build.Ref{Root: rootWorkspace, Path: registryFile}
	out := build.Ref{Root: rootResults, Path: validationFile}
	return build.Step{
		Name:    stepValidate,
		Doc:     "check the public database",
		Inputs:  append(withLog(db), build.File(registry.Root, registry.Path)),
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Code:    []string{"internal/validation"},
		Run: func(ctx context.Context, t *build.Task) error {
			names, err := readRegistry(t)
			if err != nil {
				return err
			}
			if err := s.gate.file(db, t.Path(db)); err != nil {
				return err
			}
			verdict, err := validation.Validate(ctx, t.Path(db), names)
			if err != nil {
				return err
			}
			wrong, warnings := []string{}, []string{}
			for _, finding := range verdict.Findings {
				if finding.Warning {
					warnings = append(warnings, finding.String())
					t.Log.Warn(finding.String())
				} else {
					wrong = append(wrong, finding.String())
					t.Log.Error(finding.String())
				}
			}
			if len(wrong) > 0 {
				return fmt.Errorf("the public database %s is not valid; findings: %d, the first: %s", s.settings.PublicDB, len(wrong), wrong[0])
			}
			return writeJSON(t.Out(out), validated{
				Schema: "plr.validation/1", Valid: true, Warnings: warnings,
				Recomputed: verdict.Recomputed, CurvesRecomputed: verdict.Curves,
			})
		},
	}
}

// validated is the file that the step leaves, which exists only for a database
// without findings.
type validated struct {
	Schema   string   `json:"schema"`
	Valid    bool     `json:"valid"`
	Warnings []string `json:"warnings"`
	// Of how many configurations measures of the mean risk were computed again with
	// their intervals, and of how many also those of errors of the smoothed curve.
	Recomputed       int `json:"configurations_recomputed"`
	CurvesRecomputed int `json:"curve_intervals_recomputed"`
}

// validationWarnings reads that file; where there is none there are none.
func (s *study) validationWarnings() ([]string, error) {
	warnings, err := readValidation(filepath.Join(s.settings.Results, filepath.FromSlash(validationFile)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return warnings, err
}

// readValidation reads the warnings of a validated database.
func readValidation(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var v validated
	if err := json.Unmarshal(text, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", validationFile, err)
	}
	if !v.Valid {
		return nil, fmt.Errorf("%s says that the database is not valid: mage validate says why", validationFile)
	}
	return v.Warnings, nil
}

// data queries the database for the numbers of one figure or table.
func (s *study) data(spec analysis.Spec) build.Step {
	db := s.database()
	out := sidecarOf(spec)
	return build.Step{
		Name: "data:" + spec.ID,
		Doc:  "query the numbers of " + spec.Title,
		Inputs: append(s.readsDatabase(),
			build.File(rootResults, validationFile),
			build.File(rootWorkspace, registryFile),
		),
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Params:  map[string]any{"estimand": s.settings.Estimand},
		Code:    []string{"internal/analysis", "internal/duckfile"},
		Run: func(ctx context.Context, t *build.Task) (err error) {
			conn, err := duckfile.Open(ctx, t.Path(db))
			if err != nil {
				return err
			}
			defer func() {
				if closed := conn.Close(); err == nil {
					err = closed
				}
			}()
			names, err := readRegistry(t)
			if err != nil {
				return err
			}
			doc, err := analysis.Build(ctx, conn, spec.ID, names, analysis.Options{Estimand: s.settings.Estimand})
			if err != nil {
				return err
			}
			for _, warning := range doc.Warnings {
				t.Log.Warn(warning)
			}
			if err := sidecar.Lint(doc); err != nil {
				return err
			}
			encoded, err := sidecar.Encode(doc)
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(out), encoded, 0o644)
		},
	}
}

// page draws or typesets one sidecar.
func (s *study) page(spec analysis.Spec) build.Step {
	in, out := sidecarOf(spec), pageOf(spec)
	figure := spec.Kind == analysis.KindFigure
	kind, verb := "table:", "write "
	if figure {
		kind, verb = "figure:", "draw "
	}
	return build.Step{
		Name:    kind + spec.ID,
		Doc:     verb + spec.Title,
		Inputs:  []build.Input{build.File(in.Root, in.Path)},
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Code:    []string{"render"},
		Run: func(_ context.Context, t *build.Task) error {
			encoded, err := os.ReadFile(t.Path(in))
			if err != nil {
				return err
			}
			doc, err := sidecar.Decode(encoded)
			if err != nil {
				return fmt.Errorf("%s: %w", in, err)
			}
			var drawn []byte
			if figure {
				var texts []string
				if drawn, texts, err = render.PNG(doc); err != nil {
					return err
				}
				// The gate cannot read glyphs, so it reads what they spell.
				if err := s.gate.texts(out, texts); err != nil {
					return err
				}
			} else if drawn, err = render.TeX(doc); err != nil {
				return err
			}
			return os.WriteFile(t.Out(out), drawn, 0o644)
		},
	}
}

// locked are the public outputs whose bytes pipeline.lock holds digests of.
func (s *study) locked() []build.Ref {
	files := []build.Ref{{Root: rootResults, Path: validationFile}}
	if s.settings.Flows.Summarization {
		files = append(files, summaryRef, reportRef)
	}
	for _, spec := range documents() {
		files = append(files, sidecarOf(spec), pageOf(spec))
	}
	return files
}

// lock writes the digest of every public output.
func (s *study) lock() build.Step {
	db := s.database()
	out := build.Ref{Root: rootResults, Path: lockFile}
	files := s.locked()
	inputs := s.readsDatabase()
	for _, file := range files {
		inputs = append(inputs, build.File(file.Root, file.Path))
	}
	return build.Step{
		Name:    stepLock,
		Doc:     "write the digests of all public outputs",
		Inputs:  inputs,
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Params:  map[string]any{"study": s.settings.Study, "platform": build.Platform()},
		Code:    []string{"internal/lock"},
		Run: func(_ context.Context, t *build.Task) error {
			doc := lock.Document{
				Study:     s.settings.Study,
				Platform:  build.Platform(),
				Contents:  map[string]string{db.Path: t.Digest(db)},
				Artifacts: map[string]string{},
			}
			for _, file := range files {
				doc.Artifacts[file.Path] = t.Digest(file)
			}
			return lock.Write(t.Out(out), doc)
		},
	}
}

// writeJSON writes a public document: indented, so that it can be read and
// compared line by line.
func writeJSON(name string, v any) error {
	encoded, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(encoded, '\n'), 0o644)
}
