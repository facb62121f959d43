package analysis

import (
	"cmp"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// The classifier and the features of the figures about preprocessing (the
// design's filter F0): preprocessing is what they compare, so the rest is held
// fixed, at what the study calls its reference.
const (
	fixedClassifier    = "CatBoost"
	fixedFeaturization = "simple1.0"
)

// Measures of stratos_metrics.
const (
	auroc       = "auroc"
	brier       = "brier"
	scaledBrier = "scaled_brier"
	intercept   = "cal_intercept_offset"
	slope       = "cal_slope"
	oe          = "oe_ratio"
	nb5         = "nb@0.05"
	nb10        = "nb@0.1"
	nb15        = "nb@0.15"
	nb20        = "nb@0.2"
)

// Why a number is undefined, beyond the reasons of package metrics.
const (
	notAvailable     = "not_available"                  // nothing computes it
	notInStore       = "not_in_store"                   // the named pipeline has no configuration
	positiveInfinity = sidecar.PositiveInfinity         // a true limit; JSON has no number for it
	negativeInfinity = sidecar.NegativeInfinity         //
	infiniteLimit    = "infinite_limit"                 // an interval without an end
	notShown         = sidecar.NotShown                 // an interval that the database has
	varies           = "differs_between_configurations" // there is no one number for all
)

type methodKey struct{ factor, name string }

// method is what the published table of methods says of one.
type method struct {
	category   string
	label      string
	registered bool
}

// configuration is one row of the grid: its factor tuple and what
// stratos_metrics says of it in one estimand. It has no number: config_id is
// the database's own.
type configuration struct {
	classifier, featurization, outlier, imputation string

	values    map[string]sidecar.Value
	undefined map[string]int // refits in which a measure was undefined
	n, events int            // test subjects
	query     string         // panel of the query that gave it
}

// factors are the methods of a configuration; nil of none.
func (c *configuration) factors() *sidecar.Configuration {
	if c == nil {
		return nil
	}
	return &sidecar.Configuration{Outlier: c.outlier, Imputation: c.imputation, Classifier: c.classifier, Featurization: c.featurization}
}

// compareTuple orders configurations as config_id does.
func compareTuple(a, b configuration) int {
	return cmp.Or(
		strings.Compare(a.classifier, b.classifier),
		strings.Compare(a.featurization, b.featurization),
		strings.Compare(a.outlier, b.outlier),
		strings.Compare(a.imputation, b.imputation),
	)
}

func (c configuration) auroc() (float64, bool) {
	v := c.values[auroc]
	if v.Estimate == nil {
		return 0, false
	}
	return *v.Estimate, true
}

// rank sorts by AUROC, best first; equal ones by factor tuple, and those
// without an AUROC last.
func rank(cs []configuration) []configuration {
	sorted := slices.Clone(cs)
	slices.SortFunc(sorted, func(a, b configuration) int {
		x, okX := a.auroc()
		y, okY := b.auroc()
		switch {
		case okX && okY && x != y:
			return cmp.Compare(y, x)
		case okX != okY && okX:
			return -1
		case okX != okY:
			return 1
		}
		return compareTuple(a, b)
	})
	return sorted
}

func keyValue(rows *sql.Rows) (kv [2]string, err error) {
	err = rows.Scan(&kv[0], &kv[1])
	return kv, err
}

// readStudy reads what every document needs: whether the data are synthetic,
// how many refits there were, and the published names of methods. The names are
// not noted as a question, because those that are shown stand in the document
// and the others must not touch its digests.
func (b *builder) readStudy() error {
	meta, err := ask(b, "study", `
		SELECT key, value FROM meta WHERE key IN (?, ?, ?, ?) ORDER BY key`,
		[]any{"n_refits", "synthetic", "settings.subject_tables", "settings.round_risks"}, keyValue)
	if err != nil {
		return err
	}
	b.refits = "refits"
	marked := false
	for _, kv := range meta {
		switch kv[0] {
		case "n_refits":
			n, err := strconv.Atoi(kv[1])
			if err != nil {
				// The checkpoint leaves it out where runs differ; any other
				// text is damage.
				return fmt.Errorf("table meta: n_refits is %q, not a number", kv[1])
			}
			b.refits, b.oneRefit = count(n, "refit", "refits"), n == 1
			b.doc.Params["refits"] = n
		case "synthetic":
			if b.doc.Synthetic, err = strconv.ParseBool(kv[1]); err != nil {
				return fmt.Errorf("table meta: synthetic is %q, neither true nor false", kv[1])
			}
			marked = true
		case "settings.subject_tables":
			b.noCodes = kv[1] == "off"
		case "settings.round_risks":
			if kv[1] != "none" {
				b.rounded = kv[1]
			}
		}
	}
	if !marked {
		return fmt.Errorf("table meta does not say whether the data are synthetic; make the checkpoint anew with the target extract")
	}

	rows, err := b.db.QueryContext(b.ctx, `SELECT factor, name, category, label, registered FROM methods ORDER BY factor, name`)
	if err != nil {
		return fmt.Errorf("table methods: %w", err)
	}
	defer rows.Close()
	b.methods = map[methodKey]method{}
	for rows.Next() {
		var k methodKey
		var m method
		if err := rows.Scan(&k.factor, &k.name, &m.category, &m.label, &m.registered); err != nil {
			return fmt.Errorf("table methods: %w", err)
		}
		b.methods[k] = m
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("table methods: %w", err)
	}
	if len(b.methods) == 0 {
		return fmt.Errorf("table methods is empty; make the checkpoint anew with the target extract")
	}
	return nil
}

func (b *builder) method(factor, name string) (method, error) {
	m, ok := b.methods[methodKey{factor, name}]
	if !ok {
		return method{}, fmt.Errorf("table methods does not list the %s %q that a configuration uses; make the checkpoint anew with the target extract", factor, name)
	}
	return m, nil
}

// reading is one row of the join of configurations with their measures.
type reading struct {
	position                                       int // of the named pipeline; 0 elsewhere
	classifier, featurization, outlier, imputation string
	measure, undefined, ciMethod, noInterval       sql.NullString
	estimate, lower, upper, level                  sql.NullFloat64
	nUndefined, n, events                          sql.NullInt64
}

const readingColumns = `
	e.classifier, e.featurization, e.outlier_method, e.imputation_method, s.measure, s.estimate, s.undefined,
	s.ci_lower, s.ci_upper, s.ci_method, s.ci_level, s.n_undefined, s.n, s.n_events,
	regexp_extract(s.note, 'interval undefined: ([a-z_]+)', 1) AS no_interval`

func (r *reading) targets() []any {
	return []any{
		&r.classifier, &r.featurization, &r.outlier, &r.imputation, &r.measure, &r.estimate, &r.undefined,
		&r.lower, &r.upper, &r.ciMethod, &r.level, &r.nUndefined, &r.n, &r.events, &r.noInterval,
	}
}

const tupleOrder = `e.classifier, e.featurization, e.outlier_method, e.imputation_method`

// registeredPair is true where both preprocessing methods are registered.
const registeredPair = `
	EXISTS (SELECT 1 FROM methods m WHERE m.factor = 'outlier' AND m.name = e.outlier_method AND m.registered)
	AND EXISTS (SELECT 1 FROM methods m WHERE m.factor = 'imputation' AND m.name = e.imputation_method AND m.registered)`

// inGrid is the filter F0, with its arguments.
const inGrid = "e.classifier = ? AND e.featurization = ? AND " + registeredPair

func inGridArgs() []any { return []any{fixedClassifier, fixedFeaturization} }

// grid reads measures of the configurations that the filter F0 keeps, in the
// order of factor tuples, and counts what it leaves out. That it keeps none is
// an error.
func (b *builder) grid(panel string, measures ...string) ([]configuration, error) {
	cs, err := b.gridIfAny(panel, measures...)
	if err != nil || len(cs) > 0 {
		return cs, err
	}
	held, err := b.held()
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("panel %s: no configuration passes the filter (%s), which holds all but preprocessing fixed; %s; "+
		"use a store with such runs (target extract; target status says what became of each run), or set registered for their methods in configs/registry.yaml; "+
		"numbers and tab_all_configs need no such runs", panel, b.doc.Filter, held)
}

// held says for an error what the database has instead of what was asked for.
func (b *builder) held() (string, error) {
	type kind struct {
		classifier, featurization string
		n                         int
	}
	kinds, err := ask(b, "held", `SELECT classifier, featurization, count(*) FROM essential_metrics
		GROUP BY classifier, featurization ORDER BY classifier, featurization`, nil,
		func(rows *sql.Rows) (k kind, err error) {
			err = rows.Scan(&k.classifier, &k.featurization, &k.n)
			return k, err
		})
	if err != nil {
		return "", err
	}
	if kinds == nil {
		return "the database holds no configuration", nil
	}
	var parts []string
	for _, k := range kinds {
		parts = append(parts, fmt.Sprintf("%d of %s on %s", k.n, k.classifier, k.featurization))
	}
	s := "the database has " + strings.Join(parts, ", ")
	for _, x := range b.doc.Excluded {
		s += fmt.Sprintf("; left out: %d with %s", x.N, x.Reason)
	}
	return s, nil
}

// gridIfAny is grid where the filter may keep nothing. It also finds out
// whether the configurations share their test subjects.
func (b *builder) gridIfAny(panel string, measures ...string) ([]configuration, error) {
	b.doc.Filter = fmt.Sprintf("classifier %s, featurization %s, registered outlier and imputation methods", fixedClassifier, fixedFeaturization)
	if err := b.countExcluded(); err != nil {
		return nil, err
	}
	cs, err := b.configurations(panel, inGrid, inGridArgs(), measures)
	if err != nil {
		return nil, err
	}
	return cs, b.compareSubjects("essential_metrics e", inGrid, inGridArgs())
}

// compareSubjects finds out whether the configurations of from, for which where
// holds, stand on one set of test subjects. Equal numbers do not say it. What
// was found of other configurations of the document stays.
func (b *builder) compareSubjects(from, where string, args []any) error {
	if b.noCodes {
		return nil // nobody can tell, and the words say so
	}
	sets, err := ask(b, "test subjects", `
		SELECT count(DISTINCT codes) AS subject_sets FROM (
			SELECT list(t.subject_code ORDER BY t.subject_code) AS codes
			FROM `+from+` LEFT JOIN predictions t ON t.config_id = e.config_id
			WHERE `+where+` GROUP BY e.config_id)
		ORDER BY 1`, args,
		func(rows *sql.Rows) (n int, err error) {
			err = rows.Scan(&n)
			return n, err
		})
	if err != nil {
		return err
	}
	b.differ = b.differ || sets[0] > 1
	return nil
}

// countExcluded counts what F0 leaves out. A configuration that fails several
// conditions is counted under the first.
func (b *builder) countExcluded() error {
	excluded, err := ask(b, "excluded", `
		SELECT reason, count(*) FROM (
			SELECT CASE
				WHEN e.featurization <> ? THEN 'other features'
				WHEN e.classifier <> ? THEN 'other classifier'
				WHEN NOT (`+registeredPair+`) THEN 'method not registered'
			END AS reason
			FROM essential_metrics e)
		WHERE reason IS NOT NULL GROUP BY reason ORDER BY reason`,
		[]any{fixedFeaturization, fixedClassifier},
		func(rows *sql.Rows) (x sidecar.Excluded, err error) {
			err = rows.Scan(&x.Reason, &x.N)
			return x, err
		})
	if err != nil {
		return err
	}
	b.doc.Excluded = append(b.doc.Excluded, excluded...)
	return nil
}

// configurations reads measures, in the document's estimand, of those
// configurations for which where holds.
func (b *builder) configurations(panel, where string, args []any, measures []string) ([]configuration, error) {
	join, joinArgs := measureJoin(b.doc.Estimand, measures)
	rows, err := ask(b, panel, `
		SELECT `+readingColumns+` FROM essential_metrics e `+join+`
		WHERE `+where+` ORDER BY `+tupleOrder+`, s.measure`,
		append(joinArgs, args...),
		func(rows *sql.Rows) (r reading, err error) {
			err = rows.Scan(r.targets()...)
			return r, err
		})
	if err != nil {
		return nil, err
	}
	return b.gather(panel, rows, measures)
}

// measureJoin is a left join, so that a configuration without its measures is
// noticed instead of missing.
func measureJoin(estimand string, measures []string) (string, []any) {
	args := []any{estimand}
	for _, m := range measures {
		args = append(args, m)
	}
	marks := strings.TrimSuffix(strings.Repeat("?, ", len(measures)), ", ")
	return `LEFT JOIN stratos_metrics s ON s.config_id = e.config_id AND s.estimand = ? AND s.measure IN (` + marks + `)`, args
}

// gather puts the rows of each configuration together; rows are in the order
// of configurations. Two configurations of the same factor tuple show as a
// measure read twice.
func (b *builder) gather(panel string, rows []reading, measures []string) ([]configuration, error) {
	var out []configuration
	for _, r := range rows {
		c := configuration{classifier: r.classifier, featurization: r.featurization, outlier: r.outlier, imputation: r.imputation}
		if len(out) == 0 || compareTuple(out[len(out)-1], c) != 0 {
			c.values = map[string]sidecar.Value{}
			c.undefined = map[string]int{}
			c.n, c.events = int(r.n.Int64), int(r.events.Int64)
			c.query = panel
			out = append(out, c)
		}
		last := &out[len(out)-1]
		if !r.measure.Valid {
			continue
		}
		m := r.measure.String
		if _, twice := last.values[m]; twice {
			return nil, fmt.Errorf("panel %s: %s has more than one %s in %s; make the checkpoint anew with the target extract",
				panel, b.name(*last), m, b.doc.Estimand)
		}
		v, err := b.value(r)
		if err != nil {
			return nil, fmt.Errorf("panel %s: %s of %s: %w", panel, m, b.name(*last), err)
		}
		last.values[m] = v
		last.undefined[m] = int(r.nUndefined.Int64)
		if r.n.Int64 < 1 {
			return nil, fmt.Errorf("panel %s: %s of %s stands on no test subject; make the checkpoint anew with the target extract", panel, m, b.name(*last))
		}
		if last.n != int(r.n.Int64) || last.events != int(r.events.Int64) {
			return nil, fmt.Errorf("panel %s: measures of %s stand on different numbers of test subjects; make the checkpoint anew with the target extract", panel, b.name(*last))
		}
	}
	for _, c := range out {
		for _, m := range measures {
			if _, ok := c.values[m]; !ok {
				return nil, fmt.Errorf("panel %s: stratos_metrics has no %s in %s for %s; make the checkpoint anew with the target extract",
					panel, m, b.doc.Estimand, b.name(c))
			}
		}
	}
	return out, nil
}

// value is one measure as documents hold it.
func (b *builder) value(r reading) (sidecar.Value, error) {
	if r.undefined.String != "" {
		return sidecar.Value{Undefined: r.undefined.String}, nil
	}
	x := r.estimate.Float64
	switch {
	case !r.estimate.Valid || math.IsNaN(x):
		return sidecar.Value{}, fmt.Errorf("neither a number nor a reason why there is none")
	case math.IsInf(x, 1):
		return sidecar.Value{Undefined: positiveInfinity}, nil
	case math.IsInf(x, -1):
		return sidecar.Value{Undefined: negativeInfinity}, nil
	}
	v := sidecar.Value{Estimate: &x}
	if !r.lower.Valid || !r.upper.Valid {
		_, named := intervalMethods[r.ciMethod.String]
		switch {
		case r.noInterval.String != "":
			v.IntervalUndefined = r.noInterval.String
		case named:
			v.IntervalUndefined = infiniteLimit
		default:
			v.IntervalUndefined = notAvailable
		}
		return v, nil
	}
	lo, hi := r.lower.Float64, r.upper.Float64
	if math.IsNaN(lo) || math.IsNaN(hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0) {
		v.IntervalUndefined = infiniteLimit
		return v, nil
	}
	// Where resamples are biased an interval of them may lie beside the estimate.
	if (lo > x || hi < x) && !strings.HasPrefix(r.ciMethod.String, "bootstrap_") {
		return sidecar.Value{}, fmt.Errorf("the interval from %g to %g does not hold the estimate %g", lo, hi, x)
	}
	level := r.level.Float64
	if seen, ok := b.doc.Params["level"]; ok && seen != level {
		return sidecar.Value{}, fmt.Errorf("an interval of level %g beside others of level %v", level, seen)
	}
	b.doc.Params["level"] = level
	v.CI = &[2]float64{lo, hi}
	v.CIMethod = methodWords(r.ciMethod.String)
	return v, nil
}

// methodWords says how an interval was made. A method without words of its own
// is named as the checkpoint names it.
func methodWords(method string) string {
	if words, ok := intervalMethods[method]; ok {
		return words
	}
	return strings.ReplaceAll(method, "_", " ")
}

// name says a configuration in published words.
func (b *builder) name(c configuration) string {
	return strings.Join([]string{
		b.label("outlier", c.outlier), b.label("imputation", c.imputation),
		b.label("classifier", c.classifier), b.label("featurization", c.featurization),
	}, " + ")
}

// label is a method's published name. One without an entry in methods is named
// as it stands: validation, not naming, is the place to refuse it.
func (b *builder) label(factor, name string) string {
	if m, ok := b.methods[methodKey{factor, name}]; ok && m.label != "" {
		return m.label
	}
	return name
}

// named is a pipeline of the registry that the database holds.
type named struct {
	config.Pipeline
	configuration
}

func (n named) series() sidecar.Series {
	return sidecar.Series{Pipeline: n.Name, Label: n.Label, Category: n.Category}
}

// pipelineJoin is a table of the pipelines ps to join configurations with;
// its column position counts from 1.
func pipelineJoin(ps []config.Pipeline) (string, []any) {
	rows := make([]string, len(ps))
	var args []any
	for i, p := range ps {
		rows[i] = fmt.Sprintf("(%d, ?, ?, ?, ?)", i+1)
		args = append(args, p.Classifier, p.Featurization, p.Outlier, p.Imputation)
	}
	return `(VALUES ` + strings.Join(rows, ", ") + `) AS p(position, classifier, featurization, outlier_method, imputation_method)
		JOIN essential_metrics e USING (classifier, featurization, outlier_method, imputation_method)`, args
}

// namedPipelines reads measures of those pipelines of ps that the database
// holds, in the order of ps, and warns of each that it lacks.
func (b *builder) namedPipelines(panel string, ps []config.Pipeline, measures ...string) ([]named, error) {
	if len(ps) == 0 {
		return nil, nil
	}
	from, args := pipelineJoin(ps)
	join, joinArgs := measureJoin(b.doc.Estimand, measures)
	rows, err := ask(b, panel, `
		SELECT p.position, `+readingColumns+` FROM `+from+` `+join+`
		ORDER BY p.position, s.measure`,
		append(args, joinArgs...),
		func(rows *sql.Rows) (r reading, err error) {
			err = rows.Scan(append([]any{&r.position}, r.targets()...)...)
			return r, err
		})
	if err != nil {
		return nil, err
	}
	var out []named
	for i, p := range ps {
		mine := slices.DeleteFunc(slices.Clone(rows), func(r reading) bool { return r.position != i+1 })
		if len(mine) == 0 {
			b.warn("the database has no configuration for the named pipeline %s (%s); it is left out", p.Label, p.Name)
			continue
		}
		cs, err := b.gather(panel, mine, measures)
		if err != nil {
			return nil, err
		}
		out = append(out, named{Pipeline: p, configuration: cs[0]})
	}
	return out, nil
}

// comparePipelines looks at the test subjects of the grid's configurations and
// of the named pipelines, as one.
func (b *builder) comparePipelines() error {
	if len(b.pipelines) == 0 {
		return nil
	}
	marks := strings.TrimSuffix(strings.Repeat("(?, ?, ?, ?), ", len(b.pipelines)), ", ")
	args := inGridArgs()
	for _, p := range b.pipelines {
		args = append(args, p.Classifier, p.Featurization, p.Outlier, p.Imputation)
	}
	return b.compareSubjects("essential_metrics e",
		"("+inGrid+`) OR (e.classifier, e.featurization, e.outlier_method, e.imputation_method) IN (`+marks+`)`, args)
}

func (b *builder) warn(format string, args ...any) {
	b.doc.Warnings = append(b.doc.Warnings, fmt.Sprintf(format, args...))
}

// mainPipelines are those that figures show; the others stand in tables.
func (b *builder) mainPipelines() []config.Pipeline {
	return slices.DeleteFunc(slices.Clone(b.pipelines), func(p config.Pipeline) bool { return p.Extended })
}
