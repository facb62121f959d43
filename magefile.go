//go:build mage

// Rebuilds a study's public database, figures and LaTeX tables from its MLflow
// tracking store; only what is stale is run.
package main

import (
	"context"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/targets"
)

// Default is what a bare mage does.
var Default = Reproduce

// Aliases are other spellings of targets.
var Aliases = map[string]interface{}{
	"reproduce-from-checkpoint": ReproduceFromCheckpoint,
}

// Reproduce builds everything: the public database, figures, tables and pipeline.lock.
func Reproduce(ctx context.Context) error { return visible(targets.Reproduce(ctx)) }

// ReproduceFromCheckpoint rebuilds figures and tables from an existing public database; needs nothing private.
func ReproduceFromCheckpoint(ctx context.Context) error {
	return visible(targets.ReproduceFromCheckpoint(ctx))
}

// Extract runs block 1: from the tracking store to the public database.
func Extract(ctx context.Context) error { return visible(targets.Extract(ctx)) }

// Analyze runs block 2: from the public database, as it stands, to figures and tables.
func Analyze(ctx context.Context) error { return visible(targets.Analyze(ctx)) }

// Validate checks the public database: schema, ranges, counts, references, no original code.
func Validate(ctx context.Context) error { return visible(targets.Validate(ctx)) }

// Status says what is fresh and what is stale, and why; exits with 3 when anything is stale.
// With -json for programs; with -ifchanged=PATH it says what a change of that file would rebuild.
func Status(ctx context.Context, json *bool, ifchanged *string) error {
	return visible(targets.Status(ctx, json, ifchanged))
}

// Explain tells where a figure, table, file, step or number (numbers.tex:PLRbestAUROC) comes from.
func Explain(ctx context.Context, what string, json *bool) error {
	return visible(targets.Explain(ctx, what, json))
}

// Graph prints the steps as a Mermaid drawing with their states; -uses=PATH and -makes=PATH ask for one file.
func Graph(ctx context.Context, json *bool, uses, makes *string) error {
	return visible(targets.Graph(ctx, json, uses, makes))
}

// Figure draws one figure by its name, such as fig_forest_combined.
func Figure(ctx context.Context, name string) error { return visible(targets.Figure(ctx, name)) }

// Figures draws all figures.
func Figures(ctx context.Context) error { return visible(targets.Figures(ctx)) }

// Table writes one table by its name, such as tab_stratos_top10 or numbers.
func Table(ctx context.Context, name string) error { return visible(targets.Table(ctx, name)) }

// Tables writes all LaTeX tables and numbers.tex.
func Tables(ctx context.Context) error { return visible(targets.Tables(ctx)) }

// Report writes the report, as an HTML file and as JSON, with all that it shows.
func Report(ctx context.Context) error { return visible(targets.Report(ctx)) }

// Release packs the public results, as they stand, into a zip file below outputs/release; refuses stale ones.
func Release(ctx context.Context) error { return visible(targets.Release(ctx)) }

// Verify compares the public results with pipeline.lock; -rebuild runs the steps again and names what is not deterministic.
// Exits with 3 when anything differs. -step=GLOB chooses what to rebuild; -against=DIR holds the results of the lock.
func Verify(ctx context.Context, rebuild *bool, step, against *string) error {
	return visible(targets.Verify(ctx, rebuild, step, against))
}

// Score prints the STRATOS measures of any CSV or Parquet file of predictions: score FILE -outcome=y -risk=p.
// Needs no study. -json for programs; -thresholds=0.05,0.1, -all measures, -bootstrap=N resamples, -seed=S.
func Score(ctx context.Context, file string, outcome, risk *string, json *bool, thresholds *string, all *bool, bootstrap, seed *int) error {
	return visible(targets.Score(ctx, file, targets.ScoreFlags{
		Outcome: outcome, Risk: risk, Thresholds: thresholds, JSON: json, All: all, Bootstrap: bootstrap, Seed: seed,
	}))
}

// Clean removes the public outputs that are as they were built; private data and the cache stay, but for files of earlier versions.
func Clean(ctx context.Context) error { return visible(targets.Clean(ctx)) }

// Test runs the tests of this module.
func Test(ctx context.Context) error { return visible(targets.Test(ctx)) }

// Cache looks after what builds remember; nothing in it is needed for a right result.
type Cache mg.Namespace

// Stat says how large the cache is and what it saves.
func (Cache) Stat(ctx context.Context, json *bool) error {
	return visible(targets.CacheStat(ctx, json))
}

// Verify reads everything in the cache again; what is damaged is named, set aside and rebuilt when needed.
func (Cache) Verify(ctx context.Context) error { return visible(targets.CacheVerify(ctx)) }

// Gc removes what saves the least time per byte until the cache is below -maxsize=2GB; -dryrun only says what.
func (Cache) Gc(ctx context.Context, maxsize *string, dryrun *bool) error {
	return visible(targets.CacheGC(ctx, maxsize, dryrun))
}

// Clear empties the public cache; -private the private one, too. Ledgers stay.
func (Cache) Clear(ctx context.Context, private *bool) error {
	return visible(targets.CacheClear(ctx, private))
}

// Export packs the public cache into a .tar.zst file and prints its root digest.
func (Cache) Export(ctx context.Context, file string) error {
	return visible(targets.CacheExport(ctx, file))
}

// Import takes over a file that export made, checked entry by entry; -root=DIGEST must be its digest.
func (Cache) Import(ctx context.Context, file string, root, maxsize *string) error {
	return visible(targets.CacheImport(ctx, file, root, maxsize))
}

// Runs is the history of builds.
type Runs mg.Namespace

// Ls lists the builds: id, when, target, state, steps, duration.
func (Runs) Ls(ctx context.Context, json *bool) error { return visible(targets.RunsLs(ctx, json)) }

// Inspect shows one build step by step; an ID may be shortened, or be last.
func (Runs) Inspect(ctx context.Context, id string, json *bool) error {
	return visible(targets.RunsInspect(ctx, id, json))
}

// Logs prints the logs of a build's steps; -step=GLOB and -level=warn choose.
func (Runs) Logs(ctx context.Context, id string, step, level *string) error {
	return visible(targets.RunsLogs(ctx, id, step, level))
}

// Diff compares two builds: inputs, results, durations.
func (Runs) Diff(ctx context.Context, a, b string, json *bool) error {
	return visible(targets.RunsDiff(ctx, a, b, json))
}

// Trace prints a build as a Chrome trace, with its critical path.
func (Runs) Trace(ctx context.Context, id string) error { return visible(targets.RunsTrace(ctx, id)) }

// Cancel stops the running build of this workspace from another terminal.
func (Runs) Cancel(ctx context.Context, id string) error { return visible(targets.RunsCancel(ctx, id)) }

// Subjects are the codes that stand for subjects in everything public.
type Subjects mg.Namespace

// Rekey says what new codes for all subjects would mean, for a new release, and with -yes draws them and a new key.
func (Subjects) Rekey(ctx context.Context, yes *bool) error {
	return visible(targets.SubjectsRekey(ctx, yes))
}

// visible makes an error fit to be printed: mage prints what it is given.
func visible(err error) error { return targets.Visible(err) }
