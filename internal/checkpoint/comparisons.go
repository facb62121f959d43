package checkpoint

import (
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// addComparable keeps what comparisons ask of a configuration, if it is registered.
func (a *assembler) addComparable(id int, c *coded) error {
	p := c.Paired
	if id == 1 {
		a.thresholds = p.Thresholds
	}
	if !slices.Equal(a.thresholds, p.Thresholds) {
		return fmt.Errorf("it and run %s were measured at different thresholds: extract them again", a.configs[0].RunID)
	}
	if !c.registered {
		return nil
	}
	codes := make([]string, len(c.predictions))
	for _, p := range c.predictions {
		codes[p.Place] = p.Code
	}
	events := 0
	for _, y := range c.Outcomes {
		events += y
	}
	methods := map[string]string{config.Classifier: c.classifier, config.Featurization: c.featurization, config.Outlier: c.outlier, config.Imputation: c.imputation}
	a.comparable = append(a.comparable, comparison.Configuration{
		ID: id, Methods: methods, Truth: a.isTruth(config.Outlier, c.outlier) && a.isTruth(config.Imputation, c.imputation),
		Pairs: events * (len(c.Outcomes) - events), Subjects: codes, Outcomes: c.Outcomes, Risks: c.Risks,
		Refits: &comparison.Refits{N: c.Refits, Ranks: p.Ranks, Pairs: p.Pairs, Squares: p.Squares, Positive: p.Positive},
	})
	return nil
}

// addComparisons compares the registered configurations.
func (a *assembler) addComparisons() error {
	r, err := comparison.Compare(a.comparable, derivation.ComparisonOptions(a.thresholds, a.options.Margin))
	if err != nil {
		return fmt.Errorf("comparison of configurations: %w", err)
	}
	a.comparable = nil // the most that all runs take, and nobody needs it any more
	a.compared = len(r.Compared)
	for _, c := range r.Cells {
		a.content.add(schema.Cells, c.Factor, c.ID)
	}
	for _, m := range r.Means {
		cells := []any{m.Factor, m.Method, m.Estimand, m.Measure, m.Configurations, m.Cells}
		a.content.add(schema.Means, append(cells, valueCells(m.Value)...)...)
	}
	for _, d := range r.Differences {
		cells := []any{d.Scope, schema.Optional(d.ID), schema.Optional(d.Factor), schema.Optional(d.Method), d.Estimand, d.Measure, d.Configurations}
		cells = append(cells, valueCells(d.Value)...)
		var margin, lower, upper, level, p any
		if d.Margin > 0 {
			margin = d.Margin
		}
		if e := d.Equivalence; e.Defined() {
			lower, upper, level, p = e.Lower, e.Upper, e.Level, d.P
		}
		a.content.add(schema.Differences, append(cells, margin, lower, upper, level, p, d.Verdict)...)
	}
	for _, s := range r.Selected {
		cells := []any{s.Scope, schema.Optional(s.Classifier), schema.Optional(s.Featurization), s.Estimand, s.Measure, s.Rank, s.Candidates, schema.Optional(s.ID)}
		var naive, share any
		if s.ID > 0 {
			naive, share = s.Naive, s.Share
		}
		a.content.add(schema.Selected, append(append(cells, naive), append(valueCells(s.Corrected), share)...)...)
	}
	return nil
}

func (a *assembler) isTruth(factor, name string) bool {
	m, ok := a.reg.Method(factor, name)
	return ok && m.Category == config.GroundTruth
}

// valueCells are the cells estimate, undefined, ci_lower, ci_upper, ci_method,
// ci_level, n_undefined and note.
func valueCells(v comparison.Value) []any {
	if v.Undefined != "" {
		return []any{nil, v.Undefined, nil, nil, string(metrics.NotAvailable), nil, v.Omitted, nil}
	}
	i := v.Interval
	if !i.Defined() {
		return []any{v.Estimate, nil, nil, nil, string(metrics.NotAvailable), nil, v.Omitted, extract.IntervalUndefined + string(i.Undefined)}
	}
	return []any{v.Estimate, nil, i.Lower, i.Upper, i.Method, i.Level, v.Omitted, nil}
}
