package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

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
