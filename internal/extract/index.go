package extract

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// Reasons that ReadIndex gives. They are published beside the verdicts, so the
// list is closed: no text of a store can get into it.
const (
	ReasonMeta          = "meta.yaml cannot be used"
	ReasonRunID         = "directory is not named by a run id"
	ReasonParams        = "params cannot be read"
	ReasonDisagree      = "run name and params disagree"
	ReasonName          = "name is not that of a classification run"
	ReasonExcluded      = "excluded by the settings"
	ReasonDeleted       = "deleted in MLflow"
	ReasonFailed        = "status FAILED"
	ReasonKilled        = "status KILLED"
	ReasonUnfinished    = "a finished run of the same configuration exists"
	ReasonOlder         = "a later run of the same configuration exists"
	ReasonSameTime      = "a run of the same configuration ended at the same time"
	ReasonNoPickle      = "no metrics pickle"
	ReasonManyPickles   = "several metrics pickles, none named after the run"
	ReasonArtifactLeave = "a link among the artifacts leaves the store"
	ReasonArtifacts     = "artifacts cannot be listed"
	ReasonFileName      = "the name of the metrics pickle is not UTF-8, or holds a backslash"
)

const (
	syntheticTag  = "plr.synthetic" // marks an experiment whose subjects are invented
	metricsDir    = "metrics"       // the artifact directory of the metrics pickle
	pickleSuffix  = ".pickle"
	runIDDigits   = 32 // MLflow's run ids are UUIDs in hexadecimal, without hyphens
	paramModel    = "model_name"
	paramOutlier  = "anomaly_source"
	paramImputed  = "imputation_source"
	paramFeatures = "feature_param"
)

// artifactPattern matches the metrics artifacts that ReadIndex may choose: of a
// run directory of an experiment. It is also what IndexInputs declares.
const artifactPattern = "[0-9]*/*/artifacts/" + metricsDir + "/*"

// placePattern matches them below a directory outside the store, where beside the
// directories of runs there may be anything.
var placePattern = placedRun + "/artifacts/" + metricsDir + "/*"

var placedRun = strings.Repeat("?", runIDDigits)

// IndexOptions say what of a store is wanted.
type IndexOptions struct {
	// Experiment is the id or the name of the classification experiment; ""
	// takes the only one that holds classification runs.
	Experiment string
	// Exclude lists runs by id or by name. An entry that matches no run is an
	// error: a misspelt one would let the run in.
	Exclude []config.ExcludedRun
	// Upstream are the stages whose runs the used runs are asked for, see
	// [Index.From].
	Upstream []config.UpstreamFlow
}

// IndexInputs returns what ReadIndex depends on when it asks for the runs of the
// upstream stages, as doublestar patterns below the store's root: files whose
// contents it reads, and files whose names alone it looks at.
func IndexInputs(upstream []string) (contents, names []string) {
	contents = []string{
		"[0-9]*/meta.yaml",
		"[0-9]*/tags/" + syntheticTag,
		"[0-9]*/*/meta.yaml",
		"[0-9]*/*/tags/mlflow.runName",
		// One pattern, because a build walks through all runs for each.
		"[0-9]*/*/params/{" + strings.Join(indexedParams(upstream), ",") + "}",
	}
	return contents, namesFor("[0-9]*/*", artifactPattern)
}

// namesFor are the names that it depends on which artifacts a run has: those of its
// metrics artifacts, and of the directories that lead to them. A link that leaves the
// store and stands for one of these makes a run unreadable, whatever is behind it.
func namesFor(run, artifacts string) []string {
	return []string{artifacts, run + "/artifacts", run + "/artifacts/" + metricsDir}
}

// PlaceInputs returns what ReadIndex depends on in each directory outside a file
// store that the store was opened with: patterns of names.
func PlaceInputs() []string { return append(namesFor(placedRun, placePattern), placedRun) }

// FindClassification returns the experiment whose runs ReadIndex lists, if it is among
// those that are asked about, and false if it is not, or if there is none or several: what
// is wrong then is for ReadIndex to say. Of runs it reads as many as it takes to find one
// of classification, and none where it is told the experiment or asked about none.
func FindClassification(ctx context.Context, store *mlflow.Files, o IndexOptions, among func(mlflow.Experiment) bool) (mlflow.Experiment, bool, error) {
	active, _, err := experiments(ctx, store)
	if err != nil {
		return mlflow.Experiment{}, false, err
	}
	candidates := active
	if o.Experiment != "" {
		if candidates = named(active, o.Experiment); len(candidates) != 1 {
			return mlflow.Experiment{}, false, nil
		}
	}
	for _, e := range candidates {
		if e.Err != nil || !among(e) || o.flowOf(e, active) != "" {
			continue
		}
		// Were there runs of classification in another one, too, ReadIndex would fail.
		found := o.Experiment != ""
		if !found {
			if found, err = store.AnyRun(e, isClassification); err != nil {
				return mlflow.Experiment{}, false, err
			}
		}
		if found {
			return e, true, nil
		}
	}
	return mlflow.Experiment{}, false, nil
}

// indexedParams are the params that ReadIndex reads.
func indexedParams(upstream []string) []string {
	names := []string{paramModel, paramOutlier, paramImputed, paramFeatures}
	for _, stage := range upstream {
		names = append(names, classificationReference(stage))
	}
	return names
}

// Artifacts returns the patterns, below the store's root, of what a run step may
// read: the metrics pickle and the file that names its subjects where it does
// not (see [CodesArtifact]).
func Artifacts() []string {
	return []string{artifactPattern, "[0-9]*/*/artifacts/" + codesDir + "/*"}
}

// ReadIndex lists the runs of the classification experiment and gives each a
// verdict with its reason, in the order of the data model: bad_meta,
// not_classification, excluded, deleted, failed, then within a configuration
// superseded, then no_artifact and ambiguous_artifact. Pickles are not opened.
//
// A run whose meta.yaml is damaged is excluded when its id is listed: that is
// one of the two remedies that Err offers. A run whose name and params disagree
// is bad_meta unless it is out for another reason anyway.
//
// Where the artifacts of a store lie anywhere on this machine, [Index.Base] is
// the directory that those of the used runs share. Those of a file store lie below it
// or in the places that it was opened with.
func ReadIndex(ctx context.Context, store mlflow.Store, reg *config.Registry, o IndexOptions) (*Index, error) {
	experiment, runs, err := chooseExperiment(ctx, store, o)
	if err != nil {
		return nil, err
	}
	synthetic, _, err := store.ExperimentTag(ctx, experiment, syntheticTag)
	if err != nil {
		return nil, err
	}
	x := &Index{
		Format:     IndexFormat,
		Experiment: experiment.ID,
		Synthetic:  strings.EqualFold(strings.TrimSpace(synthetic), "true"),
		Runs:       make([]IndexedRun, 0, len(runs)),
		From:       map[string]References{},
	}
	for _, e := range o.Exclude {
		if !slices.ContainsFunc(runs, func(r mlflow.Run) bool { return e.Run == r.ID || e.Run == r.Name }) {
			return nil, fmt.Errorf("EXTRACTION.exclude_runs lists %q, but experiment %s has no run of that id or name: correct or remove the entry", e.Run, experiment.ID)
		}
	}
	var rivals []rival
	for i := range runs {
		run := runs[i]
		r := IndexedRun{RunID: spelled(run.ID), Name: run.Name}
		if judge(ctx, store, reg, run, o.Exclude, &r) {
			rivals = append(rivals, rival{i, &runs[i]})
		}
		x.Runs = append(x.Runs, r)
	}
	supersede(x.Runs, rivals)
	places := make([]string, len(x.Runs))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(listings)
	for _, v := range rivals {
		if r := &x.Runs[v.at]; r.Verdict == "" {
			group.Go(func() error {
				var err error
				places[v.at], err = chooseArtifact(within, store, *v.run, r)
				if r.Verdict == NoArtifact { // as nearly all may be, and nobody asks for more of it
					v.run.Name, v.run.ArtifactURI, v.run.Dir = "", "", ""
				}
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if err := x.findFlaws(ctx, store, rivals); err != nil {
		return nil, err
	}
	for _, v := range rivals {
		if x.Runs[v.at].Verdict == Used && !x.refer(ctx, store, *v.run, v.at, stagesOf(o.Upstream)) {
			places[v.at] = ""
		}
	}
	x.place(store, places)
	return x, nil
}

// refer says which runs of the stages before it a used run names. Where it cannot, the
// run is not used, and false is returned.
func (x *Index) refer(ctx context.Context, store mlflow.Store, run mlflow.Run, at int, stages []string) bool {
	if len(stages) == 0 {
		return true // no name of a param would be all of them
	}
	names := make([]string, len(stages))
	for i, stage := range stages {
		names[i] = classificationReference(stage)
	}
	params, err := store.Params(ctx, run, names...)
	if err != nil {
		r := &x.Runs[at]
		r.Verdict, r.Reason, r.Detail = BadMeta, ReasonParams, printable(err.Error())
		r.Artifact, r.Remote = "", nil
		return false
	}
	from := References{}
	for i, stage := range stages {
		if value := params[names[i]]; value != "" {
			from[stage] = value
		}
	}
	if len(from) > 0 {
		x.From[run.ID] = from
	}
	return true
}

// listings is how many artifact directories are listed at once: a tracking
// server takes milliseconds for each, most of them waiting.
const listings = 8

// place names the artifacts by their paths below a directory: the store's own, one
// outside it, or the one that all share. Those on a server have names of their own.
func (x *Index) place(store mlflow.Store, places []string) {
	dirs := store.Dirs()
	if len(dirs) == 0 {
		dirs = []string{""}
		for i, r := range x.Runs {
			if places[i] == "" {
				continue
			}
			// PLACE/RUN/artifacts/metrics/FILE, or PLACE/metrics/FILE.
			dir := filepath.Dir(filepath.Dir(places[i]))
			if above := filepath.Dir(dir); filepath.Base(dir) == "artifacts" && filepath.Base(above) == r.RunID {
				dir = filepath.Dir(above)
			}
			dirs[0] = shared(dirs[0], dir)
		}
	}
	x.Base = dirs[0]
	for i := range x.Runs {
		if places[i] != "" {
			x.Runs[i].Place, x.Runs[i].Artifact = below(dirs, places[i])
		}
	}
}

// below returns the first of some directories that holds a file, and the file's slash
// path there. That of a store may lie in a later one; those do not hold each other.
func below(dirs []string, name string) (at int, rel string) {
	for i, dir := range dirs {
		if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
			return i, filepath.ToSlash(rel)
		}
	}
	return 0, ""
}

// shared is the deepest directory that holds both; "" is none.
func shared(a, b string) string {
	if a == "" {
		return b
	}
	for {
		if rel, err := filepath.Rel(a, b); err == nil && filepath.IsLocal(rel) || a == filepath.Dir(a) {
			return a
		}
		a = filepath.Dir(a)
	}
}

// maxNamed bounds how many runs Err names: a store that was copied badly has
// hundreds, for one reason.
const maxNamed = 10

// Err returns nil, or an error that stops a checkpoint: it names the runs (the
// first ten) that can neither be used nor be left out without a decision, the
// file, the reason and the two remedies. It holds no text of the store.
func (x *Index) Err() error {
	var bad []string
	for _, r := range x.Runs {
		if r.Verdict != BadMeta && r.Verdict != Unreadable && r.Flaw == "" {
			continue
		}
		if !isRunID(r.RunID) {
			bad = append(bad, fmt.Sprintf("a directory of experiment %s: %s", x.Experiment, r.Reason))
			continue
		}
		file := path.Join(x.Experiment, r.RunID)
		if r.Reason == ReasonMeta {
			file += "/meta.yaml"
		}
		why := r.Reason
		if r.Flaw != "" {
			why = r.Flaw + " (and it is next when the run that superseded it is left out)"
		}
		bad = append(bad, fmt.Sprintf("run %s (%s): %s", r.RunID, file, why))
	}
	if len(bad) == 0 {
		return nil
	}
	count := len(bad)
	if count > maxNamed {
		bad = append(bad[:maxNamed], fmt.Sprintf("and %d more", count-maxNamed))
	}
	return fmt.Errorf("%d of %d runs cannot be judged: %s; the private log of the step index says more of each; repair them, or list them under EXTRACTION.exclude_runs with a reason",
		count, len(x.Runs), strings.Join(bad, "; "))
}

// chooseExperiment returns an experiment with its runs.
func chooseExperiment(ctx context.Context, store mlflow.Store, o IndexOptions) (mlflow.Experiment, []mlflow.Run, error) {
	wanted := o.Experiment
	fail := func(format string, args ...any) (mlflow.Experiment, []mlflow.Run, error) {
		return mlflow.Experiment{}, nil, fmt.Errorf("tracking store %s: %w", store, fmt.Errorf(format, args...))
	}
	active, deleted, err := experiments(ctx, store)
	if err != nil {
		return mlflow.Experiment{}, nil, err
	}
	var chosen []mlflow.Experiment
	var runs []mlflow.Run
	if wanted != "" {
		chosen = named(active, wanted)
		switch {
		case len(chosen) == 0 && len(named(deleted, wanted)) > 0:
			return fail("the experiment %q is deleted: restore it in MLflow or choose another", wanted)
		case len(chosen) == 0:
			return fail("no experiment has the id or name %q; there are %s", wanted, ids(active))
		case len(chosen) > 1:
			return fail("several experiments are called %q: %s; give the id in MLFLOW.EXPERIMENT", wanted, ids(chosen))
		}
	} else {
		for _, e := range active {
			found, err := store.Runs(ctx, e)
			if err != nil {
				return mlflow.Experiment{}, nil, err
			}
			if slices.ContainsFunc(found, isClassification) {
				chosen, runs = append(chosen, e), found
			}
		}
		switch {
		case len(chosen) == 0:
			return fail("no experiment holds classification runs; there are %s; name one in MLFLOW.EXPERIMENT", ids(active))
		case len(chosen) > 1:
			return fail("several experiments hold classification runs: %s; name one in MLFLOW.EXPERIMENT", ids(chosen))
		}
	}
	experiment := chosen[0]
	if experiment.Err != nil {
		return fail("%w", experiment.Err)
	}
	if stage := o.flowOf(experiment, active); stage != "" {
		return fail("experiment %s is the one of classification, and %s names it, too: name there the experiment of that stage, or switch the flow off in PREFECT.PROCESS_FLOWS",
			experiment.ID, flowSetting(stage))
	}
	if wanted != "" {
		if runs, err = store.Runs(ctx, experiment); err != nil {
			return mlflow.Experiment{}, nil, err
		}
	}
	return experiment, runs, nil
}

// flowOf is the stage that an experiment is named as the one of, "" if it is none's.
func (o IndexOptions) flowOf(experiment mlflow.Experiment, active []mlflow.Experiment) string {
	for _, flow := range o.Upstream {
		if e := named(active, flow.Experiment); len(e) == 1 && e[0].ID == experiment.ID {
			return flow.Stage
		}
	}
	return ""
}

// experiments lists the experiments of a store.
func experiments(ctx context.Context, store mlflow.Store) (active, deleted []mlflow.Experiment, err error) {
	all, err := store.Experiments(ctx)
	for _, e := range all {
		if e.Lifecycle == mlflow.Deleted {
			deleted = append(deleted, e)
		} else {
			active = append(active, e)
		}
	}
	return active, deleted, err
}

// named returns the experiment with an id, else all with a name.
func named(all []mlflow.Experiment, wanted string) []mlflow.Experiment {
	var found []mlflow.Experiment
	for _, e := range all {
		if e.ID == wanted {
			return []mlflow.Experiment{e}
		}
		if e.Err == nil && e.Name == wanted {
			found = append(found, e)
		}
	}
	return found
}

// ids lists experiments by id: their names are text of the store.
func ids(all []mlflow.Experiment) string {
	if len(all) == 0 {
		return "no active experiments"
	}
	var list []string
	for _, e := range all {
		list = append(list, e.ID)
	}
	return strings.Join(list, ", ")
}

func isClassification(r mlflow.Run) bool {
	_, ok := parseName(r.Name)
	return r.Err == nil && ok
}

// judge gives a verdict that needs no other run, or returns true.
func judge(ctx context.Context, store mlflow.Store, reg *config.Registry, run mlflow.Run, exclude []config.ExcludedRun, r *IndexedRun) bool {
	decide := func(v Verdict, reason, detail string) bool {
		r.Verdict, r.Reason, r.Detail = v, reason, printable(detail)
		return false
	}
	name, classification := parseName(run.Name)
	if classification {
		r.Configuration = name.configuration(reg)
		r.Registered = name.registered(reg)
	}
	at := slices.IndexFunc(exclude, func(e config.ExcludedRun) bool { return e.Run == run.ID || e.Run == run.Name })
	excluded := func(cause string) bool {
		if cause != "" {
			cause = "; " + cause
		}
		return decide(Excluded, ReasonExcluded, exclude[at].Reason+cause)
	}
	verdict, reason, detail := described(run)
	switch {
	case verdict == BadMeta && at >= 0:
		return excluded(detail)
	case verdict == BadMeta:
		return decide(verdict, reason, detail)
	case !classification:
		return decide(NotClassification, ReasonName, fmt.Sprintf("the run is called %q", run.Name))
	case at >= 0:
		return excluded("")
	case verdict != "":
		return decide(verdict, reason, detail)
	}
	r.Open = run.Status == mlflow.Running || run.Status == mlflow.Scheduled
	params, err := store.Params(ctx, run, indexedParams(nil)...)
	if err != nil {
		return decide(BadMeta, ReasonParams, err.Error())
	}
	if differ := disagreements(reg, r.Configuration, params); len(differ) > 0 {
		return decide(BadMeta, ReasonDisagree, strings.Join(differ, "; "))
	}
	return true
}

// printable is a text as the private log can hold it: names of files need not be
// UTF-8.
func printable(text string) string { return strings.ToValidUTF8(text, string(utf8.RuneError)) }

// spelled is a run's id, or what stands for the name of a directory that is no text.
func spelled(id string) string {
	if utf8.ValidString(id) {
		return id
	}
	return strings.Trim(strconv.Quote(id), `"`)
}

func stagesOf(flows []config.UpstreamFlow) []string { return config.Flows{Upstream: flows}.Stages() }

// described gives the verdict on a run, of whatever experiment, whose metadata
// suffice to leave it out; "" for others.
func described(run mlflow.Run) (v Verdict, reason, detail string) {
	switch {
	case !isRunID(run.ID):
		return BadMeta, ReasonRunID, fmt.Sprintf("%q is not a run id of %d hexadecimal digits", run.ID, runIDDigits)
	case run.Err != nil:
		return BadMeta, ReasonMeta, run.Err.Error()
	case run.Lifecycle == mlflow.Deleted:
		return Deleted, ReasonDeleted, ""
	case run.Status == mlflow.Failed:
		return Failed, ReasonFailed, ""
	case run.Status == mlflow.Killed:
		return Failed, ReasonKilled, ""
	}
	return "", "", ""
}

// disagreements compares the parts of a run's name with the params that repeat
// them. A param that is absent, empty or None says nothing.
func disagreements(reg *config.Registry, c Configuration, params map[string]string) []string {
	var differ []string
	for _, part := range []struct{ factor, name, param string }{
		{config.Classifier, c.Classifier, paramModel},
		{config.Featurization, c.Featurization, paramFeatures},
		{config.Imputation, c.Imputation, paramImputed},
		{config.Outlier, c.Outlier, paramOutlier},
	} {
		value := params[part.param]
		if value == "" || value == "None" {
			continue
		}
		if part.factor == config.Classifier {
			value = classifierName(reg, value)
		}
		if value != part.name {
			differ = append(differ, fmt.Sprintf("the run name says %s %q, the param %s %q", part.factor, part.name, part.param, value))
		}
	}
	return differ
}

// rival is a run that may stand for its configuration.
type rival struct {
	at  int // in Index.Runs
	run *mlflow.Run
}

// rank puts the better of two runs of a configuration first: finished before
// unfinished, then the later end, then the smaller run id.
func rank(runs []IndexedRun, a, b rival) int {
	return cmp.Or(
		cmp.Compare(openness(runs[a.at]), openness(runs[b.at])),
		cmp.Compare(b.run.End, a.run.End),
		cmp.Compare(a.run.ID, b.run.ID),
	)
}

// findFlaws looks at the runs behind one that cannot be used: whoever leaves that
// one out shall not meet the next only then.
func (x *Index) findFlaws(ctx context.Context, store mlflow.Store, rivals []rival) error {
	broken := map[Configuration]bool{}
	for _, v := range rivals {
		if r := x.Runs[v.at]; r.Verdict == Unreadable {
			broken[r.Configuration] = true
		}
	}
	behind := slices.DeleteFunc(slices.Clone(rivals), func(v rival) bool {
		return x.Runs[v.at].Verdict != Superseded || !broken[x.Runs[v.at].Configuration]
	})
	slices.SortFunc(behind, func(a, b rival) int { return rank(x.Runs, a, b) })
	for _, v := range behind {
		r := x.Runs[v.at]
		if !broken[r.Configuration] {
			continue // one before it could be used
		}
		if _, err := chooseArtifact(ctx, store, *v.run, &r); err != nil {
			return err
		}
		if broken[r.Configuration] = r.Verdict == Unreadable; r.Verdict == Unreadable {
			x.Runs[v.at].Flaw = r.Reason
		}
	}
	return nil
}

// supersede leaves the first by rank of each configuration without a verdict.
func supersede(runs []IndexedRun, rivals []rival) {
	best := map[Configuration]rival{}
	for _, v := range rivals {
		c := runs[v.at].Configuration
		if b, ok := best[c]; !ok || rank(runs, v, b) < 0 {
			best[c] = v
		}
	}
	for _, v := range rivals {
		r := &runs[v.at]
		b := best[r.Configuration]
		if b.at == v.at {
			continue
		}
		r.Verdict, r.Detail = Superseded, "by run "+b.run.ID
		switch {
		case r.Open && !runs[b.at].Open:
			r.Reason = ReasonUnfinished
		case b.run.End > v.run.End:
			r.Reason = ReasonOlder
		default:
			r.Reason = ReasonSameTime
		}
	}
}

func openness(r IndexedRun) int {
	if r.Open {
		return 1
	}
	return 0
}

// chooseArtifact finds the metrics pickle of a run and gives the verdict. It
// returns where the pickle lies on this machine, "" if it is on a server or there
// is none. A server that fails is an error: its runs are not judged by it.
func chooseArtifact(ctx context.Context, store mlflow.Store, run mlflow.Run, r *IndexedRun) (string, error) {
	decide := func(v Verdict, reason, detail string) (string, error) {
		r.Verdict, r.Reason, r.Detail = v, reason, printable(detail)
		return "", nil
	}
	files, err := store.Artifacts(ctx, run, metricsDir)
	switch {
	case errors.Is(err, mlflow.ErrUnreachable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "", err
	case errors.Is(err, mlflow.ErrNoArtifacts):
		return decide(NoArtifact, ReasonNoPickle, err.Error())
	case errors.Is(err, mlflow.ErrLeaves):
		return decide(Unreadable, ReasonArtifactLeave, err.Error())
	case err != nil:
		return decide(Unreadable, ReasonArtifacts, err.Error())
	}
	pickles := slices.DeleteFunc(files, func(a mlflow.Artifact) bool { return !strings.HasSuffix(a.Name, pickleSuffix) })
	choice := slices.IndexFunc(pickles, func(a mlflow.Artifact) bool { return path.Base(a.Name) == "metrics_"+run.Name+pickleSuffix })
	switch {
	case len(pickles) == 0:
		return decide(NoArtifact, ReasonNoPickle, "")
	case len(pickles) == 1:
		choice = 0
	case choice < 0:
		var names []string
		for _, a := range pickles {
			names = append(names, a.Name)
		}
		return decide(AmbiguousArtifact, ReasonManyPickles, strings.Join(names, ", "))
	}
	pickle := pickles[choice]
	if !utf8.ValidString(pickle.Name) || strings.ContainsRune(pickle.Name, '\\') {
		return decide(Unreadable, ReasonFileName, fmt.Sprintf("%q", pickle.Name))
	}
	// A pickle elsewhere would be no input of the step that reads the index, and a
	// change of it would go unnoticed.
	if dirs := store.Dirs(); len(dirs) > 0 {
		at, rel := below(dirs, pickle.File)
		pattern := artifactPattern
		if at > 0 {
			pattern = placePattern
		}
		if ok, err := doublestar.Match(pattern, rel); err != nil || !ok {
			return "", fmt.Errorf("run %s: the store lists the artifact %s, where none should be looked for", run.ID, pickle.File)
		}
	}
	if pickle.File == "" {
		r.Artifact = path.Join(run.Experiment, run.ID, "artifacts", pickle.Name)
		if r.Remote, err = remote(ctx, store, run, pickle); err != nil {
			return "", err
		}
	}
	r.Verdict = Used
	r.Registered = r.Registered && path.Base(pickle.Name) == "metrics_"+run.Name+pickleSuffix
	return pickle.File, nil
}

// remote says what a run step needs from a server.
func remote(ctx context.Context, store mlflow.Store, run mlflow.Run, pickle mlflow.Artifact) (*Remote, error) {
	there := &Remote{End: run.End, ArtifactURI: run.ArtifactURI}
	var err error
	if there.Pickle, err = remoteFile(ctx, store, run, pickle); err != nil {
		return nil, err
	}
	codes := CodesArtifact(pickle.Name)
	files, err := store.Artifacts(ctx, run, path.Dir(codes))
	if err != nil {
		return nil, err
	}
	for _, a := range files {
		if a.Name == codes {
			file, err := remoteFile(ctx, store, run, a)
			if err != nil {
				return nil, err
			}
			there.Codes = &file
		}
	}
	return there, nil
}

func remoteFile(ctx context.Context, store mlflow.Store, run mlflow.Run, a mlflow.Artifact) (RemoteFile, error) {
	version, err := store.Version(ctx, run, a)
	return RemoteFile{a.Name, a.Size, version}, err
}

// Unversioned counts the used runs whose server says nothing by which a file
// that was replaced by one of the same size would be known.
func (x *Index) Unversioned() int {
	n := 0
	for _, r := range x.Runs {
		if r.Remote != nil && (r.Remote.Pickle.Version == "" || r.Remote.Codes != nil && r.Remote.Codes.Version == "") {
			n++
		}
	}
	return n
}

// Downloads are the files that the used runs have on a server.
func (x *Index) Downloads() []mlflow.Download {
	var all []mlflow.Download
	for _, r := range x.Runs {
		if r.Remote == nil {
			continue
		}
		all = append(all, mlflow.Download{Run: r.RunID, Artifact: r.Remote.Pickle.Name})
		if r.Remote.Codes != nil {
			all = append(all, mlflow.Download{Run: r.RunID, Artifact: r.Remote.Codes.Name})
		}
	}
	return all
}

// Fetch brings the files of a run from a server and returns where they are now;
// codes is "" if the run has no such file.
func (r IndexedRun) Fetch(ctx context.Context, store mlflow.Store) (pickle, codes string, err error) {
	if r.Remote == nil {
		return "", "", fmt.Errorf("run %s is not on a server", r.RunID)
	}
	run := mlflow.Run{ID: r.RunID, End: r.Remote.End, ArtifactURI: r.Remote.ArtifactURI}
	if pickle, err = store.Fetch(ctx, run, r.Remote.Pickle.artifact()); err == nil && r.Remote.Codes != nil {
		codes, err = store.Fetch(ctx, run, r.Remote.Codes.artifact())
	}
	return pickle, codes, err
}

func (f RemoteFile) artifact() mlflow.Artifact {
	return mlflow.Artifact{Name: f.Name, Size: f.Size, Version: f.Version}
}

func isRunID(id string) bool {
	return len(id) == runIDDigits && strings.Trim(id, "0123456789abcdef") == ""
}
