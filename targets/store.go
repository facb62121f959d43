package targets

import (
	"context"
	"errors"
	"log/slog"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// listing is a step that writes down what the tracking store says of runs, each
// with a verdict.
type listing[T any] struct {
	name, doc string
	file      string // in the private directory
	params    map[string]any
	// contents and names are the files of a store on this machine whose contents,
	// or whose names alone, are read: patterns below the store.
	contents, names []string
	// others are the inputs beside those below the store.
	others []build.Input
	// found is what a probe of another store found, see [probe].
	found func(*probe) string
	read  func(context.Context, mlflow.Store, *config.Registry) (T, error)
	// runs are those that were read.
	runs func(T, *slog.Logger) []judged
	// after is done when the store is known to be what it was; nil: nothing.
	after func(T, *slog.Logger) error
}

// judged is a run with what was decided of it, as the step's private log tells it.
type judged struct {
	flow    string // "" in the step that lists those of classification
	run     string
	verdict extract.Verdict
	reason  string
	detail  string
}

// step is the listing as a step. Its inputs are files of the store, or, where that
// is none, a parameter stands for what a probe found there; then the step reads the
// store again and fails if it has moved on.
func (l listing[T]) step(s *study) build.Step {
	out := build.Ref{Root: rootPrivate, Path: l.file}
	inputs := []build.Input{build.File(rootWorkspace, registryFile)}
	if s.probe != nil {
		l.params["listing"] = l.found(s.probe)
	} else {
		for _, pattern := range l.contents {
			inputs = append(inputs, build.Glob(rootStore, s.inStore(pattern)))
		}
		for _, pattern := range l.names {
			inputs = append(inputs, build.Names(rootStore, s.inStore(pattern)))
		}
	}
	inputs = append(inputs, l.others...)
	return build.Step{
		Name:    l.name,
		Doc:     l.doc,
		Inputs:  inputs,
		Outputs: []build.Output{build.Out(out.Root, out.Path)},
		Params:  l.params,
		Probed:  s.probed(),
		Code:    []string{"internal/extract"},
		Redact: func(text string) string {
			if s.example() { // whose names are made up
				return text
			}
			return unnamedFiles(text)
		},
		Run: func(ctx context.Context, t *build.Task) error {
			registry, err := readRegistry(t)
			if err != nil {
				return err
			}
			var read T
			err = s.withStore(ctx, func(store mlflow.Store) error {
				read, err = l.read(ctx, store, registry)
				return err
			})
			if err != nil {
				return err
			}
			if s.probe != nil {
				now, err := encoded(read)
				if err != nil {
					return err
				}
				if now != l.found(s.probe) {
					return errChanged
				}
			}
			for _, one := range l.runs(read, t.Log) {
				about := []any{"run", one.run, "verdict", one.verdict, "reason", one.reason, "detail", one.detail}
				if one.flow != "" {
					about = append([]any{"flow", one.flow}, about...)
				}
				t.Log.Info("run", about...)
			}
			if l.after != nil {
				if err := l.after(read, t.Log); err != nil {
					return err
				}
			}
			return extract.Write(t.Out(out), read)
		},
	}
}

// errChanged is the error of a step that finds another store than the build found
// when it began.
var errChanged = errors.New("the tracking store changed while the build began; run it again")

// index lists the runs of the store. It reads metadata and listings only, so a
// pickle that changes does not make it stale; it yields one step a run.
func (s *study) index() build.Step {
	contents, names := extract.IndexInputs(s.settings.Flows.Stages())
	params := map[string]any{
		"experiment": s.settings.Experiment,
		"exclude":    s.settings.Exclude,
		"flows":      s.settings.Flows.Upstream,
	}
	if s.places != nil {
		params["places"] = s.places.said
	}
	step := listing[*extract.Index]{
		name:     "index",
		doc:      "list the runs of the tracking store, with a verdict for each",
		file:     indexFile,
		params:   params,
		contents: contents,
		names:    names,
		others:   s.placeInputs(),
		found:    func(p *probe) string { return p.digest },
		read: func(ctx context.Context, store mlflow.Store, registry *config.Registry) (*extract.Index, error) {
			index, err := s.indexOf(ctx, store, registry)
			if err == nil && s.probe != nil && index.Base != s.probe.base {
				err = errChanged
			}
			if err == nil {
				err = s.checkPlaces(ctx, store, index.Experiment)
			}
			return index, err
		},
		runs: func(index *extract.Index, log *slog.Logger) []judged {
			s.tellPlaces(log)
			runs := make([]judged, len(index.Runs))
			for i, one := range index.Runs {
				runs[i] = judged{"", one.RunID, one.Verdict, one.Reason, one.Detail}
			}
			return runs
		},
		after: func(index *extract.Index, log *slog.Logger) error {
			// No step reads a download before this one has run.
			pruned, err := s.prune(index.Downloads(), false)
			if err == nil {
				log.Info("downloads of runs that are not used any more", "removed", pruned.Files, "bytes", pruned.Bytes)
			}
			return err
		},
	}.step(s)
	step.Grows = "run:"
	step.Grow = s.runs
	return step
}

// runs are the steps of the runs that are used.
func (s *study) runs(_ context.Context, t *build.Task) ([]build.Step, error) {
	named := func(extract.IndexedRun) bool { return false }
	if s.settings.BootstrapRisks {
		registry, err := readRegistry(t)
		if err != nil {
			return nil, err
		}
		named = func(run extract.IndexedRun) bool { return run.Configuration.Named(registry) }
	}
	var runs []extract.IndexedRun
	placed := true
	err := extract.EachRun(t.Out(build.Ref{Root: rootPrivate, Path: indexFile}), func(run extract.IndexedRun) {
		placed = placed && run.Place <= len(s.outside())
		if run.Verdict == extract.Used && s.chosen(run) {
			runs = append(runs, run)
		}
	})
	if err == nil && !placed {
		err = errChanged
	}
	if err != nil {
		return nil, err
	}
	steps := make([]build.Step, len(runs))
	for i := range runs {
		run := &runs[i]
		steps[i] = retried(s.run(run, named(*run)))
	}
	return steps, nil
}

// upstream reads the runs of the flows before classification: of params and metrics
// those on a list, and no artifacts. It keeps no name.
func (s *study) upstream() build.Step {
	flows := s.settings.Flows.Upstream
	var places, contents []string
	if s.probe == nil {
		places = s.flowPlaces()
		contents = flowPatterns(flows, places)
	}
	return listing[*extract.Upstream]{
		name:     "upstream",
		doc:      "read the runs of outlier detection, imputation and featurization",
		file:     upstreamFile,
		params:   map[string]any{"flows": flows},
		contents: contents,
		found:    func(p *probe) string { return p.upstream },
		read: func(ctx context.Context, store mlflow.Store, registry *config.Registry) (*extract.Upstream, error) {
			read, err := extract.ReadUpstream(ctx, store, registry, flows)
			if err != nil || s.probe != nil {
				return read, err
			}
			for i, stage := range read.Stages {
				// What was declared is what there was as the build began.
				if places[i] != anyExperiment && places[i] != stage.Experiment {
					return nil, errChanged
				}
			}
			return read, nil
		},
		runs: func(read *extract.Upstream, log *slog.Logger) []judged {
			var runs []judged
			for i, stage := range read.Stages {
				if stage.Experiment == "" {
					log.Warn("the store has no experiment of this flow", "flow", stage.Stage, "experiment", flows[i].Experiment)
				}
				for _, one := range stage.Runs {
					runs = append(runs, judged{stage.Stage, one.RunID, one.Verdict, one.Reason, one.Detail})
				}
			}
			return runs
		},
	}.step(s)
}
