// Package checkpoint makes the rows of the public database, the one place
// where what is private becomes public: [Assemble] puts codes in the place of subjects.
//
// It does not compute measures, does not decide which runs are used and does not know
// how codes are assigned, nor how rows get into a file.
package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// AssembleOptions is what a checkpoint says beyond the runs themselves.
type AssembleOptions struct {
	// Published gives what stands for a name of a factor that the registry lacks:
	// unregistered-1, …, for ever the same. It is needed where there are such names.
	Published func(factor, name string) (string, bool)
	// KeyedDigest gives what is published in the place of an artifact's digest.
	KeyedDigest func(digest string) (string, error)
	Estimand    string  // that of figures and tables: over_models or mean_risk
	Margin      float64 // the least difference of the AUROC that matters, in (0, 1)
	Unlabelled  int     // subjects without a label, who have no code
	Privacy     disclosure.Privacy
	Upstream    *extract.Upstream // of the flows before classification that are on; nil: none
	Settings    map[string]string // published under settings.<key>; must hold nothing private
}

// Assemble makes the contents of a checkpoint from what the pickles gave. code
// maps original subject codes to published ones. The order of the records and
// that of the subjects within a record do not matter. An error may name runs
// and counts, never a subject.
//
// It goes over the heads of the records and refuses what they tell to be wrong: who is
// published under which code and name is known before there is any row. The records
// are read again, one after the other, when somebody asks for the rows.
//
// A name of a method that the registry does not list is free text of the store:
// what is published in its place is the options' to say.
func Assemble(records extract.Records, index *extract.Index, code func(original string) (string, bool), reg *config.Registry, o AssembleOptions) (*Content, error) {
	if o.Estimand != metrics.OverModels && o.Estimand != metrics.MeanRisk {
		return nil, fmt.Errorf("estimand %q is neither %s nor %s", o.Estimand, metrics.OverModels, metrics.MeanRisk)
	}
	a := &assembler{reg: reg, options: o, code: code, records: records, synthetic: index.Synthetic, subjects: map[string]struct{}{}}
	if err := a.readHeads(index); err != nil {
		return nil, err
	}
	if err := a.checkUpstream(index); err != nil {
		return nil, err
	}
	if err := a.publishNames(); err != nil {
		return nil, err
	}
	if err := a.uncoded.err(); err != nil {
		return nil, err
	}
	return &Content{a}, nil
}

// Content is what a checkpoint holds: the coded rows of every table. It has no
// original code, no clock, no path.
type Content struct{ assembler *assembler }

// Rows makes the rows of all tables, the same ones each time, and calls add with each:
// those of one configuration after the other, then those of all. Those of one table come
// in their order, with cells in the order of its columns. The first error of add is
// returned.
func (c *Content) Rows(add func(table string, cells ...any) error) error {
	now := *c.assembler
	now.content, now.verdicts = &rows{to: add, n: map[string]int{}}, map[string]int{}
	if err := now.addAll(); err != nil {
		return err
	}
	return now.content.err
}

// rows hand rows on until one is refused.
type rows struct {
	to  func(table string, cells ...any) error
	n   map[string]int // by table
	err error          // of the row that was refused
}

func (r *rows) add(table string, cells ...any) {
	if r.err == nil {
		r.err = r.to(table, cells...)
		r.n[table]++
	}
}

// assembler holds what is known when the heads have been read.
type assembler struct {
	reg     *config.Registry
	options AssembleOptions
	code    func(string) (string, bool)
	records extract.Records

	// Of the index, which holds names and places of all runs and is not kept.
	synthetic bool
	listed    []listed // in the order of the index

	unfinished map[string]string    // reasons by run id
	configs    []*configured        // in the order of config_id
	ids        map[string]int       // config_id by run id
	hidden     map[[2]string]string // factor, name → published name of what the registry lacks
	subjects   map[string]struct{}  // codes of all subjects, training and test
	uncoded    uncoded

	// Of the rows that are being made.
	content    *rows
	verdicts   map[string]int             // of those in the table runs
	comparable []comparison.Configuration // registered configurations
	thresholds []float64                  // of the first configuration
	compared   int                        // configurations
}

// listed is what is published of a run of the index.
type listed struct {
	id, reason string
	verdict    extract.Verdict
	open       bool
}

// configured is a usable run with its published names. There is one for every run:
// it holds little.
type configured struct {
	RunID         string
	Configuration extract.Configuration
	record        int // place among the records
	tested        int // test subjects
	refits        int
	from          []string // what the run says of its origin in each stage of the options

	classifier, featurization, outlier, imputation string
	registered                                     bool
}

// coded is the record of a configuration with codes in the place of subjects. There
// are few at a time.
type coded struct {
	*configured
	*extract.Record
	predictions []derivation.Prediction // by code
	retention   []derivation.Retained
	curve       []metrics.CurvePoint // smoothed calibration
	noCurve     metrics.Reason
}

func (a *assembler) addAll() error {
	err := extract.Ahead(len(a.configs), func(i int) (*coded, error) {
		c, err := a.read(a.configs[i])
		if err != nil {
			return nil, fmt.Errorf("run %s: %w", a.configs[i].RunID, err)
		}
		return c, nil
	}, func(i int, c *coded) error {
		if err := a.addConfig(i+1, c); err != nil {
			return fmt.Errorf("run %s: %w", c.configured.RunID, err)
		}
		return a.content.err
	})
	if err != nil {
		return err
	}
	if err := a.addComparisons(); err != nil {
		return err
	}
	a.addRuns()
	if err := a.addUpstream(); err != nil {
		return err
	}
	a.addMethods()
	return a.addMeta()
}

// readHeads sees that there is one good record for every run that the index wants
// to use, and none for any other, and that every subject has a code.
func (a *assembler) readHeads(index *extract.Index) error {
	once := sayOnce()
	a.listed = make([]listed, 0, len(index.Runs))
	wanted := make(map[string]int, len(index.Runs))
	for i, run := range index.Runs {
		if _, ok := wanted[run.RunID]; ok {
			return fmt.Errorf("run %s occurs twice in the index", run.RunID)
		}
		if run.Reason != "" && !slices.Contains(disclosure.Reasons, run.Reason) {
			return fmt.Errorf("run %s has a reason for its verdict that is not of the published list", run.RunID)
		}
		wanted[run.RunID] = i
		a.listed = append(a.listed, listed{run.RunID, once(run.Reason), extract.Verdict(once(string(run.Verdict))), run.Open})
	}
	if err := index.Err(); err != nil { // nobody can tell what would be missing
		return err
	}
	found := make([]bool, len(index.Runs))
	byConfiguration := map[extract.Configuration]string{}
	a.unfinished = map[string]string{}
	err := extract.Heads(a.records, func(i int, r *extract.Head) error {
		place, ok := wanted[r.RunID]
		if !ok || index.Runs[place].Verdict != extract.Used {
			return fmt.Errorf("run %s has a record and is not among the runs that the index uses", r.RunID)
		}
		run := &index.Runs[place]
		if found[place] {
			return fmt.Errorf("run %s has two records", r.RunID)
		}
		found[place] = true
		switch {
		case r.Verdict == extract.Unfinished && run.Open && slices.Contains(disclosure.Reasons, r.Reason):
			a.unfinished[run.RunID] = r.Reason
			return nil
		case r.Verdict != extract.Used:
			return fmt.Errorf("run %s has a record with the verdict %s", r.RunID, r.Verdict)
		case r.Configuration != run.Configuration:
			return fmt.Errorf("run %s has another configuration in its record than in the index", r.RunID)
		}
		if other, ok := byConfiguration[run.Configuration]; ok {
			return fmt.Errorf("runs %s and %s have the same configuration and are both used", min(other, r.RunID), max(other, r.RunID))
		}
		byConfiguration[run.Configuration] = run.RunID
		if err := a.countSubjects(r); err != nil {
			return fmt.Errorf("run %s: %w", r.RunID, err)
		}
		c := &configured{RunID: run.RunID, record: i, tested: len(r.Subjects), refits: r.Refits, Configuration: extract.Configuration{
			Classifier: once(run.Configuration.Classifier), Featurization: once(run.Configuration.Featurization),
			Outlier: once(run.Configuration.Outlier), Imputation: once(run.Configuration.Imputation),
		}}
		if a.options.Upstream != nil {
			for _, s := range a.options.Upstream.Stages {
				c.from = append(c.from, once(index.From[run.RunID][s.Stage]))
			}
		}
		a.configs = append(a.configs, c)
		return nil
	})
	if err != nil {
		return err
	}
	for i, run := range index.Runs {
		if run.Verdict == extract.Used && !found[i] {
			return fmt.Errorf("run %s is to be used and has no record", run.RunID)
		}
	}
	if len(a.configs) == 0 {
		return fmt.Errorf("none of the %d runs of the experiment can be used: the index says why for each", len(index.Runs))
	}
	return nil
}

// sayOnce returns a function that gives equal texts the same memory: there are few
// names, and many runs that are called by them.
func sayOnce() func(string) string {
	known := map[string]string{}
	return func(text string) string {
		if was, ok := known[text]; ok {
			return was
		}
		known[text] = text
		return text
	}
}

// checkSets sees that every subject of a record has an outcome.
func checkSets(subjects, train []string, outcomes, trainOutcomes []int) error {
	if len(subjects) == 0 || len(outcomes) != len(subjects) {
		return fmt.Errorf("%d subjects and %d outcomes in the test set", len(subjects), len(outcomes))
	}
	if len(trainOutcomes) != len(train) {
		return fmt.Errorf("%d subjects and %d outcomes in the training set", len(train), len(trainOutcomes))
	}
	for i, y := range slices.Concat(outcomes, trainOutcomes) {
		if y != 0 && y != 1 {
			return fmt.Errorf("outcome %d of subject %d is neither 0 nor 1", y, i+1)
		}
	}
	return nil
}

func checkRecord(r *extract.Record) error {
	if r.Format != extract.RecordFormat {
		return fmt.Errorf("the record has format %q, not %q", r.Format, extract.RecordFormat)
	}
	if err := checkSets(r.Subjects, r.Train, r.Outcomes, r.TrainOutcomes); err != nil {
		return err
	}
	if len(r.Risks) != len(r.Subjects) {
		return fmt.Errorf("%d subjects and %d risks in the test set", len(r.Subjects), len(r.Risks))
	}
	for i, p := range r.Risks {
		if !(p >= 0 && p <= 1) {
			return fmt.Errorf("risk %v of subject %d is not in [0, 1]", p, i+1)
		}
	}
	if !disclosure.DigestForm.MatchString(r.Artifact.BLAKE3) || r.Artifact.Bytes <= 0 {
		return errors.New("the record does not say which file it was read from")
	}
	if len(r.Spreads) != len(r.Subjects) {
		return fmt.Errorf("%d subjects in the test set, and the spread of risks of %d", len(r.Subjects), len(r.Spreads))
	}
	for i, s := range r.Spreads {
		if len(s.Quantiles) != len(extract.RiskQuantiles) {
			return fmt.Errorf("%d quantiles of the risks of subject %d, not %d", len(s.Quantiles), i+1, len(extract.RiskQuantiles))
		}
	}
	return nil
}

// publishNames puts registered names, and what stands for others, into the
// configurations and brings these into their order.
func (a *assembler) publishNames() error {
	a.hidden = map[[2]string]string{}
	used := make([]extract.Configuration, len(a.configs))
	for i, c := range a.configs {
		used[i] = c.Configuration
	}
	missing := 0
	for factor, names := range extract.UnregisteredNames(used, a.options.Upstream, a.reg) {
		taken := map[string]struct{}{}
		for _, name := range names {
			published, ok := "", false
			if a.options.Published != nil {
				published, ok = a.options.Published(factor, name)
			}
			if !ok {
				missing++
				continue
			}
			if _, ok := taken[published]; ok || !disclosure.IsUnregistered(published) {
				return fmt.Errorf("a name of factor %s would be published in another form than %s and a number of its own", factor, disclosure.Unregistered)
			}
			taken[published] = struct{}{}
			a.hidden[[2]string{factor, name}] = published
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d names of methods are neither in the registry nor have a number in the lookup: run the step subjects again", missing)
	}
	for _, c := range a.configs {
		c.registered = true
		for factor, into := range map[string]*string{
			config.Classifier: &c.classifier, config.Featurization: &c.featurization,
			config.Outlier: &c.outlier, config.Imputation: &c.imputation,
		} {
			name := c.Configuration.Of(factor)
			method, ok := a.reg.Method(factor, name)
			*into = method.Name
			if !ok {
				*into = a.hidden[[2]string{factor, name}]
			}
			c.registered = c.registered && ok && method.Registered
		}
	}
	slices.SortFunc(a.configs, func(x, y *configured) int {
		return cmp.Or(
			cmp.Compare(x.classifier, y.classifier), cmp.Compare(x.featurization, y.featurization),
			cmp.Compare(x.outlier, y.outlier), cmp.Compare(x.imputation, y.imputation),
		)
	})
	a.ids = make(map[string]int, len(a.configs))
	for i, c := range a.configs {
		a.ids[c.RunID] = i + 1
	}
	return nil
}

// uncoded are the originals that cannot be published. All that is wrong is counted
// before it is reported: one subject would be a hint of who it is.
type uncoded struct{ missing, contradicting map[string]struct{} }

func (u *uncoded) err() error {
	if n := len(u.missing); n > 0 {
		return fmt.Errorf("%d subjects of the runs have no code in the lookup: run the step subjects again", n)
	}
	if n := len(u.contradicting); n > 0 {
		return fmt.Errorf("%d subjects have a label in a run that contradicts their code in the lookup: correct the label, or list the runs under EXTRACTION.exclude_runs with a reason; "+
			"if the published label was wrong, begin a new release with a new private directory and a new database", n)
	}
	return nil
}

// coded is the code of a subject; it is false without one, or when one contradicts
// the outcome.
func (a *assembler) coded(original string, outcome int) (code string, ok, agrees bool) {
	code, ok = a.code(original)
	if !ok || !disclosure.CodeForm.MatchString(code) {
		return "", false, true
	}
	return code, true, (code[0] == 'G') == (outcome == 1)
}

// countSubjects looks at the subjects of one record, training and test.
func (a *assembler) countSubjects(r *extract.Head) error {
	if err := checkSets(r.Subjects, r.Train, r.Outcomes, r.TrainOutcomes); err != nil {
		return err
	}
	count := func(originals []string, outcomes []int) {
		for i, original := range originals {
			code, ok, agrees := a.coded(original, outcomes[i])
			if ok {
				a.subjects[code] = struct{}{}
			} else {
				note(&a.uncoded.missing, original)
			}
			if !agrees {
				note(&a.uncoded.contradicting, original)
			}
		}
	}
	count(r.Subjects, r.Outcomes)
	count(r.Train, r.TrainOutcomes)
	return nil
}

func note(set *map[string]struct{}, member string) {
	if *set == nil {
		*set = map[string]struct{}{}
	}
	(*set)[member] = struct{}{}
}

var errAnother = errors.New("the record is another than a moment ago: do not change the private directory while a build runs")

// read reads the record of a configuration, puts codes in the place of originals and
// computes what its rows need. It is called by several goroutines.
func (a *assembler) read(c *configured) (*coded, error) {
	r, err := a.records.Record(c.record)
	if err != nil {
		return nil, err
	}
	if err := checkRecord(r); err != nil {
		return nil, err
	}
	if r.RunID != c.RunID || r.Configuration != c.Configuration || r.Verdict != extract.Used || len(r.Subjects) != c.tested || r.Refits != c.refits {
		return nil, errAnother
	}
	one := &coded{configured: c, Record: r}
	seen := make(map[string]struct{}, len(r.Subjects))
	for i, original := range r.Subjects {
		code, ok, agrees := a.coded(original, r.Outcomes[i])
		if !ok || !agrees {
			return nil, errAnother // all had one when the heads were read
		}
		if _, ok := seen[original]; ok {
			return nil, errors.New("a subject occurs twice in the test set")
		}
		seen[original] = struct{}{}
		one.predictions = append(one.predictions, derivation.Prediction{
			Code: code, Outcome: r.Outcomes[i], Risk: r.Risks[i], Quantiles: r.Spreads[i].Quantiles, SD: r.Spreads[i].SD, Place: i,
		})
	}
	slices.SortFunc(one.predictions, func(x, y derivation.Prediction) int { return compareCodes(x.Code, y.Code) })
	if one.retention, err = derivation.Retention(one.predictions); err != nil {
		return nil, err
	}
	one.curve, one.noCurve, err = derivation.Smoothed(one.predictions, a.options.Privacy)
	return one, err
}

// compareCodes orders controls before events, each by number.
func compareCodes(a, b string) int {
	return cmp.Or(-cmp.Compare(a[:min(1, len(a))], b[:min(1, len(b))]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func (a *assembler) addConfig(id int, c *coded) error {
	n, events := len(c.Outcomes), 0
	for _, y := range c.Outcomes {
		events += y
	}
	auroc, brier := c.Scalars["AUROC"], c.Scalars["Brier"]
	if c.Refits < 2 { // one number has no range, whatever a program made of it
		auroc.Lower, auroc.Upper = nil, nil
	}
	nb := func(threshold string) any { return measured(c.Record, metrics.MeanRisk, "nb@"+threshold) }
	run := a.publishedRun(c.configured.RunID)
	a.content.add(schema.Essential,
		id, c.outlier, c.imputation, c.classifier, c.featurization, disclosure.SourceName(c.classifier, c.featurization, c.outlier, c.imputation), run, run,
		auroc.Mean, auroc.Lower, auroc.Upper, c.Joint.Slope, c.Joint.Intercept,
		measured(c.Record, metrics.MeanRisk, "oe_ratio"), brier.Mean,
		nb("0.05"), nb("0.1"), nb("0.15"), nb("0.2"),
		n, events, float64(events)/float64(n),
		measured(c.Record, metrics.OverModels, "scaled_brier"), c.registered)

	mean := func(name string) *float64 { return c.Scalars[name].Mean }
	a.content.add(schema.Supplementary, id, mean("F1"), mean("accuracy"), mean("AUPR"),
		mean("sensitivity"), mean("specificity"), mean("PPV"), mean("NPV"))

	for i, b := range c.Bins {
		a.content.add(schema.Calibration, a.next(schema.Calibration), id, i, (b.Lower+b.Upper)/2, b.Observed, a.roundedCell(b.Predicted), b.N)
	}
	for outcome := range 2 {
		for i, b := range c.Bins {
			count := b.Events
			if outcome == 0 {
				count = b.N - b.Events
			}
			a.content.add(schema.Histogram, a.next(schema.Histogram), id, outcome, i, b.Lower, b.Upper, count)
		}
	}
	for _, d := range c.Decision {
		a.content.add(schema.Decision, a.next(schema.Decision), id, d.Threshold, d.Model, d.All, 0.0, d.Sensitivity, d.Specificity)
	}
	for i, p := range c.ROC {
		a.content.add(schema.ROC, id, i, a.roundedCell(p.Threshold), p.FPR, p.TPR)
	}
	a.addSmoothed(id, c)
	if err := a.addSubjects(id, c); err != nil {
		return err
	}
	for _, point := range c.retention {
		for i, name := range derivation.RetentionMeasures {
			a.content.add(schema.Retention, a.next(schema.Retention), id, point.Rate, name, defined(point.Values[i]))
		}
	}
	cases, controls := derivation.DistributionOf(c.predictions, 1), derivation.DistributionOf(c.predictions, 0)
	a.content.add(schema.Distribution, id, measured(c.Record, metrics.MeanRisk, "auroc"),
		defined(a.rounded(cases.Median)), defined(a.rounded(controls.Median)), defined(cases.Mean), defined(controls.Mean), cases.N, controls.N)
	for _, m := range c.Measures {
		var level any
		if m.Lower != nil {
			level = m.Level
		}
		a.content.add(schema.Stratos, id, m.Estimand, m.Measure, estimate(m), schema.Optional(m.Undefined),
			m.Lower, m.Upper, m.Method, level, m.SpreadLower, m.SpreadUpper, m.SpreadSD, m.NUndefined,
			m.Domain, m.Tier, m.N, m.Events, schema.Optional(m.Note))
	}
	for _, k := range c.Checks {
		a.content.add(schema.Checks, id, k.Name, k.Expected, k.Found, k.Tolerance, k.OK)
	}
	digest, err := a.options.KeyedDigest(c.Artifact.BLAKE3)
	if err != nil {
		return err
	}
	a.content.add(schema.Provenance, id, digest, c.Artifact.Bytes, c.Format)
	return a.addComparable(id, c)
}

// next is the number of the row about to be added, from 1.
func (a *assembler) next(table string) int { return a.content.n[table] + 1 }

func measured(r *extract.Record, estimand, measure string) any {
	for _, m := range r.Measures {
		if m.Estimand == estimand && m.Measure == measure {
			return estimate(m)
		}
	}
	return nil
}

func estimate(m extract.Measure) any {
	switch {
	case m.Infinite != 0:
		return math.Inf(m.Infinite)
	case m.Estimate != nil:
		return *m.Estimate
	}
	return nil
}

// defined is a cell: NULL for NaN.
func defined(x float64) any {
	if math.IsNaN(x) {
		return nil
	}
	return x
}

// publishedRun is the run's id, which MLflow draws at random. Anything else is a
// name that somebody gave to a folder.
func (a *assembler) publishedRun(id string) string {
	if disclosure.RunIDForm.MatchString(id) {
		return id
	}
	if n, ok := a.ids[id]; ok {
		return disclosure.OtherRun(n)
	}
	return ""
}

func (a *assembler) addRuns() {
	type row struct {
		run, verdict, reason string
		config               any
	}
	rows := make([]row, 0, len(a.listed))
	for _, run := range a.listed {
		r := row{a.publishedRun(run.id), string(run.verdict), run.reason, nil}
		if reason, ok := a.unfinished[run.id]; ok {
			r.verdict, r.reason = string(extract.Unfinished), reason
		}
		if id, ok := a.ids[run.id]; ok {
			r.config = id
			if run.open {
				r.reason = disclosure.ReasonOpen
			}
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.run, y.run), cmp.Compare(x.verdict, y.verdict), cmp.Compare(x.reason, y.reason))
	})
	nameless := len(a.configs) // numbers above those of configurations
	for i := range rows {
		if rows[i].run == "" {
			nameless++
			rows[i].run = disclosure.OtherRun(nameless)
		}
	}
	slices.SortStableFunc(rows, func(x, y row) int { return cmp.Compare(x.run, y.run) })
	for _, r := range rows {
		a.content.add(schema.Runs, r.run, r.config, r.verdict, schema.Optional(r.reason))
		a.verdicts[r.verdict]++
	}
}

// addMethods lists what the registry lists and what was used besides, by factor
// and name.
func (a *assembler) addMethods() {
	for _, factor := range config.Factors() {
		methods := a.reg.Methods(factor)
		for _, c := range a.configs {
			method, ok := a.reg.Method(factor, c.Configuration.Of(factor))
			if ok && !slices.ContainsFunc(methods, func(m config.Method) bool { return m.Name == method.Name }) {
				methods = append(methods, method)
			}
		}
		for key, published := range a.hidden {
			if key[0] == factor {
				methods = append(methods, disclosure.UnregisteredMethod(factor, published))
			}
		}
		slices.SortFunc(methods, func(x, y config.Method) int { return cmp.Compare(x.Name, y.Name) })
		for _, m := range methods {
			a.content.add(schema.Methods, m.Name, factor, m.Category, m.Label, m.Registered)
		}
	}
}

func (a *assembler) addMeta() error {
	meta := map[string]string{
		"schema_version":     schema.Version,
		"synthetic":          strconv.FormatBool(a.synthetic),
		"estimand":           a.options.Estimand,
		"n_configs":          strconv.Itoa(len(a.configs)),
		"n_runs":             strconv.Itoa(len(a.listed)),
		"n_subjects":         strconv.Itoa(len(a.subjects)),
		"n_unlabelled":       strconv.Itoa(a.options.Unlabelled),
		"n_unregistered":     strconv.Itoa(len(a.hidden)),
		"n_compared":         strconv.Itoa(a.compared),
		disclosure.MarginKey: strconv.FormatFloat(a.options.Margin, 'f', -1, 64),
	}
	maps.Copy(meta, a.options.Privacy.Meta())
	maps.Copy(meta, a.flows())
	controls := 0
	for code := range a.subjects {
		if code[0] == 'H' {
			controls++
		}
	}
	meta["n_control"], meta["n_event"] = strconv.Itoa(controls), strconv.Itoa(len(a.subjects)-controls)

	counts := maps.Clone(a.verdicts)
	for _, v := range disclosure.Verdicts {
		meta["runs."+string(v)] = strconv.Itoa(counts[string(v)])
		delete(counts, string(v))
	}
	if len(counts) > 0 {
		return errors.New("the index has a verdict that this version does not know")
	}

	// What holds for all configurations or is not said.
	sizes, refits := map[int]struct{}{}, map[int]struct{}{}
	for _, c := range a.configs {
		sizes[c.tested] = struct{}{}
		refits[c.refits] = struct{}{}
	}
	if len(sizes) == 1 {
		meta["n_test"] = strconv.Itoa(a.configs[0].tested)
	}
	if len(refits) == 1 {
		meta["n_refits"] = strconv.Itoa(a.configs[0].refits)
	}
	for key, value := range a.options.Settings {
		if _, taken := meta["settings."+key]; taken || !disclosure.PublishedSetting(key, value) {
			return errors.New("a setting to be published has a key or value that does not consist of lower-case letters, digits, underscores and points, words of a value apart by a space")
		}
		meta["settings."+key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		a.content.add(schema.Meta, key, meta[key])
	}
	return nil
}
