package extract

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/mlflow"
)

// UpstreamFormat versions the file of what was read of the stages before
// classification.
const UpstreamFormat = "plr.upstream/2"

// Reasons that ReadUpstream gives beside those of ReadIndex.
const (
	ReasonRunning = "status RUNNING or SCHEDULED"
	ReasonMetrics = "metrics cannot be read"
)

// Upstream is what the experiments of the stages before classification hold. It
// is private: names of methods and references are text of the store.
type Upstream struct {
	Format string          `json:"format"`
	Stages []UpstreamStage `json:"stages"` // those that were asked for, in their order
}

// UpstreamStage is one experiment.
type UpstreamStage struct {
	Stage      string        `json:"stage"`      // see [config.UpstreamFlow]
	Experiment string        `json:"experiment"` // id; "" if the store has no such experiment
	Runs       []UpstreamRun `json:"runs"`       // by run id
}

// UpstreamRun is one run of them. What it did is said where its verdict is Used or
// Unfinished.
type UpstreamRun struct {
	RunID   string  `json:"run_id"`
	Verdict Verdict `json:"verdict"` // Used, BadMeta, Deleted, Failed, Unfinished or Unreadable
	Reason  string  `json:"reason"`  // from a closed list
	Detail  string  `json:"detail"`  // free text for the private log
	// Methods are the run's own and those of the stages before it, as the store
	// spells them; "" where it does not say. There is no classifier.
	Methods Configuration    `json:"methods"`
	From    References       `json:"from,omitempty"`
	Metrics []UpstreamMetric `json:"metrics,omitempty"` // by split and name
}

// References say, by stage, which run a run took its data from: the text of a
// param. "None" is what Python writes for no run; a stage that the run says
// nothing of is not there.
type References map[string]string

// UpstreamMetric is one of the metrics that are published.
type UpstreamMetric struct {
	Split string   `json:"split"` // train or test; "" if the store does not say
	Name  string   `json:"name"`  // such as outlier_f1
	Value float64  `json:"value"` // NaN is undefined
	Lower *float64 `json:"lower,omitempty"`
	Upper *float64 `json:"upper,omitempty"`
}

// referenceParams say where a run's data came from: as classification logs it, and
// as the stages before it do.
var referenceParams = map[string][]string{
	config.OutlierDetection: {"mlflow_run_outlier_detection", "Outlier_run_id"},
	config.Imputing:         {"mlflow_run_imputation", "Imputation_run_id"},
	config.Featurizing:      {"mlflow_run_featurization"},
}

// classificationReference is the param of a classification run.
func classificationReference(stage string) string { return referenceParams[stage][0] }

const (
	paramUpstreamModel = "model"                // the method of an outlier or imputation run, by another name than its own
	paramMethod        = "featurization_method" // the features, or only what kind they are
)

// featureKinds are values of featurization_method that name no features.
var featureKinds = []string{"handcrafted_features", "embeddings"}

// metric is a metric that is published, with the keys that it may stand under in
// the store, best first.
type metric struct {
	split, name string
	keys        []string
	bounded     bool // its interval stands under the same keys with an ending
}

// boundEndings are those of the interval of a metric.
var boundEndings = [][2]string{{"_CI_lo", "_CI_hi"}, {"_lo", "_hi"}}

// What a stage measures, all of it in each variant: an outlier run of all samples,
// and of the easy and the medium ones alone.
var measured = map[string]struct {
	prefix               string // where another stage, or no split, repeats it
	quantities, variants []string
}{
	config.OutlierDetection: {"Outlier_", []string{"accuracy", "f1", "fp", "precision"}, []string{"", "__easy", "__medium"}},
	config.Imputing:         {"Imputation_", []string{"mae", "missing_rate", "mre", "mse"}, []string{""}},
}

// splits are the splits that are published, with the directories of metrics that
// stand for them, best first.
var splits = []struct {
	name string
	dirs []string
}{{"test", []string{"test/", "outlier_test/"}}, {"train", []string{"train/", "outlier_train/"}}}

// metricsOf is the allow-list of a stage. Any stage may repeat the metrics of the
// one before it without a split; its own it logs by split.
func metricsOf(stage string) []metric {
	var all []metric
	for of, m := range measured {
		for _, quantity := range m.quantities {
			for _, variant := range m.variants {
				name := strings.ToLower(m.prefix) + quantity + strings.ReplaceAll(variant, "__", "_")
				all = append(all, metric{name: name, keys: []string{m.prefix + quantity + variant}})
				for _, split := range splits {
					if of != stage {
						continue
					}
					var keys []string
					for _, dir := range split.dirs {
						keys = append(keys, dir+quantity+variant)
					}
					all = append(all, metric{split: split.name, name: name, keys: keys, bounded: true})
				}
			}
		}
	}
	slices.SortFunc(all, func(a, b metric) int {
		return strings.Compare(a.split+"/"+a.name, b.split+"/"+b.name)
	})
	return all
}

// metricPatterns match the keys of metricsOf and no others.
func metricPatterns(stage string) []string {
	choice := func(of []string) string {
		if len(of) == 1 {
			return of[0]
		}
		return "{" + strings.Join(of, ",") + "}"
	}
	var patterns, dirs []string
	for _, m := range measured {
		patterns = append(patterns, m.prefix+choice(m.quantities)+choice(m.variants))
	}
	own, ok := measured[stage]
	if !ok {
		return patterns
	}
	for _, split := range splits {
		for _, dir := range split.dirs {
			dirs = append(dirs, strings.TrimSuffix(dir, "/"))
		}
	}
	endings := []string{""}
	for _, pair := range boundEndings {
		endings = append(endings, pair[0], pair[1])
	}
	return append(patterns, choice(dirs)+"/"+choice(own.quantities)+choice(own.variants)+choice(endings))
}

// UpstreamMetrics are the names and the splits ("" is none) of all metrics that are
// published.
func UpstreamMetrics() (names, of []string) {
	for _, stage := range config.Stages() {
		for _, m := range metricsOf(stage) {
			names, of = append(names, m.name), append(of, m.split)
		}
	}
	slices.Sort(names)
	slices.Sort(of)
	return slices.Compact(names), slices.Compact(of)
}

// names are all keys of the metric in the store.
func (m metric) names() []string {
	names := slices.Clone(m.keys)
	for _, key := range m.keys {
		for _, ending := range boundEndings {
			if m.bounded {
				names = append(names, key+ending[0], key+ending[1])
			}
		}
	}
	return names
}

func upstreamKeys(stage string) (params, metrics []string) {
	params = []string{paramOutlier, paramImputed, paramFeatures, paramMethod, paramUpstreamModel}
	for _, s := range config.Stages() {
		params = append(params, referenceParams[s]...)
	}
	for _, m := range metricsOf(stage) {
		metrics = append(metrics, m.names()...)
	}
	return params, metrics
}

// ExperimentInputs are what ReadUpstream depends on to find the experiments, as
// IndexInputs says it.
func ExperimentInputs() []string { return []string{"[0-9]*/meta.yaml"} }

// UpstreamInputs are what ReadUpstream depends on of a stage whose experiment has
// this id, which may be a pattern.
func UpstreamInputs(stage, experiment string) []string {
	run := experiment + "/*/"
	params, _ := upstreamKeys(stage)
	patterns := []string{run + "meta.yaml", run + "tags/mlflow.runName", run + "params/{" + strings.Join(params, ",") + "}"}
	for _, pattern := range metricPatterns(stage) {
		patterns = append(patterns, run+"metrics/"+pattern)
	}
	slices.Sort(patterns)
	return patterns
}

// FindUpstream returns the ids of the experiments of flows, "" where the store has
// none.
func FindUpstream(ctx context.Context, store mlflow.Store, flows []config.UpstreamFlow) ([]string, error) {
	found, err := findUpstream(ctx, store, flows)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(found))
	for i, e := range found {
		if e != nil {
			ids[i] = e.ID
		}
	}
	return ids, nil
}

func findUpstream(ctx context.Context, store mlflow.Store, flows []config.UpstreamFlow) ([]*mlflow.Experiment, error) {
	active, deleted, err := experiments(ctx, store)
	if err != nil {
		return nil, err
	}
	found := make([]*mlflow.Experiment, len(flows))
	for i, flow := range flows {
		if found[i], err = flowExperiment(active, deleted, flow); err != nil {
			return nil, fmt.Errorf("tracking store %s: %w", store, err)
		}
	}
	return found, nil
}

func flowSetting(stage string) string { return "PREFECT.FLOW_NAMES." + strings.ToUpper(stage) }

// flowExperiment finds the experiment of a flow; nil is that the store has none
// and need not have one.
func flowExperiment(active, deleted []mlflow.Experiment, flow config.UpstreamFlow) (*mlflow.Experiment, error) {
	setting := flowSetting(flow.Stage)
	chosen := named(active, flow.Experiment)
	switch {
	case len(chosen) > 1:
		return nil, fmt.Errorf("several experiments are called %q: %s; give the id in %s", flow.Experiment, ids(chosen), setting)
	case len(chosen) == 1 && chosen[0].Err != nil:
		return nil, fmt.Errorf("experiment %s of %s cannot be read: %s, or switch the flow off", chosen[0].ID, setting, mending(chosen[0]))
	case len(chosen) == 1:
		return &chosen[0], nil
	case flow.Named && len(named(deleted, flow.Experiment)) > 0:
		return nil, fmt.Errorf("the experiment %q of %s is deleted: restore it in MLflow, choose another, or switch the flow off", flow.Experiment, setting)
	case flow.Named:
		return nil, fmt.Errorf("no experiment has the id or name %q of %s; there are %s", flow.Experiment, setting, ids(active))
	}
	// It might be one whose name cannot be read.
	for _, e := range active {
		if e.Err != nil {
			return nil, fmt.Errorf("experiment %s cannot be read and may be %s: %s, name the right one in %s, or switch the flow off", e.ID, flow.Experiment, mending(e), setting)
		}
	}
	return nil, nil
}

// mending says what to do about an experiment that cannot be read. What is wrong with
// a meta.yaml may repeat what stands in it.
func mending(e mlflow.Experiment) string {
	switch {
	case errors.Is(e.Err, mlflow.ErrLeaves):
		return "it is a link that leaves the store, or its meta.yaml is one: put what it leads to in its place"
	case errors.Is(e.Err, fs.ErrPermission):
		return "you lack the permission to read its meta.yaml: get it"
	}
	return "repair its meta.yaml"
}

// ReadUpstream reads the runs of the stages before classification, each with a
// verdict: bad_meta, deleted, failed, unreadable, unfinished, else used. Of params
// and metrics it reads an allow-list and nothing else.
func ReadUpstream(ctx context.Context, store mlflow.Store, reg *config.Registry, flows []config.UpstreamFlow) (*Upstream, error) {
	found, err := findUpstream(ctx, store, flows)
	if err != nil {
		return nil, err
	}
	u := &Upstream{Format: UpstreamFormat, Stages: []UpstreamStage{}}
	for i, flow := range flows {
		stage := UpstreamStage{Stage: flow.Stage, Runs: []UpstreamRun{}}
		if found[i] != nil {
			stage.Experiment = found[i].ID
			runs, err := store.Runs(ctx, *found[i])
			if err != nil {
				return nil, err
			}
			for _, run := range runs {
				r, err := readUpstreamRun(ctx, store, reg, flow.Stage, run)
				if err != nil {
					return nil, err
				}
				stage.Runs = append(stage.Runs, r)
			}
		}
		u.Stages = append(u.Stages, stage)
	}
	return u, nil
}

// readUpstreamRun reads one run. A store that fails as a whole is an error.
func readUpstreamRun(ctx context.Context, store mlflow.Store, reg *config.Registry, stage string, run mlflow.Run) (UpstreamRun, error) {
	r := UpstreamRun{RunID: spelled(run.ID), Verdict: Used}
	decide := func(v Verdict, reason, detail string) (UpstreamRun, error) {
		return UpstreamRun{RunID: r.RunID, Verdict: v, Reason: reason, Detail: printable(detail)}, nil
	}
	if v, reason, detail := described(run); v != "" {
		return decide(v, reason, detail)
	}
	if run.Status == mlflow.Running || run.Status == mlflow.Scheduled {
		r.Verdict, r.Reason = Unfinished, ReasonRunning
	}
	wanted, keys := upstreamKeys(stage)
	params, err := store.Params(ctx, run, wanted...)
	switch {
	case whole(err):
		return UpstreamRun{}, err
	case err != nil:
		return decide(Unreadable, ReasonParams, err.Error())
	}
	for key, value := range params {
		if strings.ContainsFunc(value, unprintable) {
			return decide(Unreadable, ReasonParams, fmt.Sprintf("the param %s holds what cannot be printed", key))
		}
		if value == "None" && !isReference(key) {
			params[key] = ""
		}
	}
	r.Methods = upstreamMethods(reg, stage, params)
	for _, of := range config.Stages() {
		for _, key := range referenceParams[of] {
			if value := params[key]; value != "" && r.From[of] == "" && of != stage {
				if r.From == nil {
					r.From = References{}
				}
				r.From[of] = value
			}
		}
	}
	metrics, err := store.Metrics(ctx, run, keys...)
	switch {
	case whole(err):
		return UpstreamRun{}, err
	case err != nil:
		return decide(Unreadable, ReasonMetrics, err.Error())
	}
	for _, m := range metricsOf(stage) {
		if value, ok := m.of(metrics); ok {
			r.Metrics = append(r.Metrics, value)
		}
	}
	return r, nil
}

// whole reports an error that says nothing of one run.
func whole(err error) bool {
	return errors.Is(err, mlflow.ErrUnreachable) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func isReference(param string) bool {
	for _, params := range referenceParams {
		if slices.Contains(params, param) {
			return true
		}
	}
	return false
}

// upstreamMethods are the methods that the params name. The param model stands for
// the method only where the registry lists it: it may name the software alone.
func upstreamMethods(reg *config.Registry, stage string, params map[string]string) Configuration {
	c := Configuration{Outlier: params[paramOutlier]}
	model := func(factor string) string {
		if _, ok := reg.Method(factor, params[paramUpstreamModel]); ok {
			return params[paramUpstreamModel]
		}
		return ""
	}
	switch stage {
	case config.OutlierDetection:
		if c.Outlier == "" {
			c.Outlier = model(config.Outlier)
		}
	case config.Imputing:
		if c.Imputation = params[paramImputed]; c.Imputation == "" {
			c.Imputation = model(config.Imputation)
		}
	case config.Featurizing:
		c.Imputation, c.Featurization = params[paramImputed], params[paramFeatures]
		if method := params[paramMethod]; c.Featurization == "" && !slices.Contains(featureKinds, method) {
			c.Featurization = method
		}
	}
	return c
}

// of takes the metric out of those of a run.
func (m metric) of(metrics map[string]mlflow.Metric) (UpstreamMetric, bool) {
	for _, key := range m.keys {
		value, ok := metrics[key]
		if !ok {
			continue
		}
		published := UpstreamMetric{Split: m.split, Name: m.name, Value: value.Value}
		for _, ending := range boundEndings {
			lower, haveLower := metrics[key+ending[0]]
			upper, haveUpper := metrics[key+ending[1]]
			if m.bounded && haveLower && haveUpper {
				published.Lower, published.Upper = &lower.Value, &upper.Value
				break
			}
		}
		return published, true
	}
	return UpstreamMetric{}, false
}
