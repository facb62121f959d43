package checkpoint

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/rules"
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
		cells := []any{d.Scope, idCell(d.ID), optional(d.Factor), optional(d.Method), d.Estimand, d.Measure, d.Configurations}
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
		cells := []any{s.Scope, optional(s.Classifier), optional(s.Featurization), s.Estimand, s.Measure, s.Rank, s.Candidates, idCell(s.ID)}
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

func idCell(id int) any {
	if id == 0 {
		return nil
	}
	return id
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

// comparisons holds the tables of comparisons against those that they are made of:
// estimates, members and ranks against stratos_metrics, and where the file has exact
// risks, what is said of the mean risk with its intervals against the predictions.
func (v *validator) comparisons() error {
	grid, _, err := v.forms()
	if err != nil {
		return err
	}
	margin, err := v.margin()
	if err != nil || !(margin > 0) {
		return err // a finding of the table meta
	}
	all, common, err := v.registered()
	if err != nil || all == nil {
		return err
	}
	estimates := map[comparison.Measured]map[int]float64{}
	var m comparison.Measured
	var id int
	var x float64
	err = duckfile.Each(v.Ctx, v.DB, "SELECT estimand, measure, config_id, estimate FROM stratos_metrics WHERE estimand IS NOT NULL AND measure IS NOT NULL AND estimate IS NOT NULL AND "+ofRegistered,
		[]any{&m.Estimand, &m.Measure, &id, &x}, func() error {
			if estimates[m] == nil {
				estimates[m] = map[int]float64{}
			}
			estimates[m][id] = x
			return nil
		})
	if err != nil {
		return err
	}
	want, err := comparison.Outline(all, common, derivation.ComparisonOptions(grid, margin), func(id int, m comparison.Measured) (float64, bool) {
		x, ok := estimates[m][id]
		return x, ok
	})
	if err != nil {
		return fmt.Errorf("comparison of configurations: %w", err)
	}
	if err := v.sameComparisons(want, estimates); err != nil {
		return err
	}
	wrong := slices.ContainsFunc(v.Findings, func(f rules.Finding) bool { return !f.Warning })
	if wrong || !v.privacy.SubjectTables || v.privacy.RoundRisks > 0 {
		return nil // there is nothing to compute them of, or it is known to be wrong
	}
	if want, err = comparison.Compare(all, derivation.ComparisonOptions(grid, margin)); err != nil {
		return nil // predictions that cannot be compared are findings of their own
	}
	return v.sameComparisons(want, nil)
}

// every row, and those of registered configurations, as conditions in SQL: only these
// are compared, and there are as many as the registry has combinations.
const (
	every        = "true"
	ofRegistered = "config_id IN (SELECT config_id FROM essential_metrics WHERE registered)"
)

// margin is what meta says of the least difference that matters.
func (v *validator) margin() (float64, error) {
	meta, err := v.pairs("SELECT key, value FROM meta WHERE key = " + duckfile.QuoteText(disclosure.MarginKey))
	if err != nil {
		return 0, err
	}
	x, err := strconv.ParseFloat(meta[disclosure.MarginKey], 64)
	if err != nil || !(x > 0 && x < 1) {
		v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: disclosure.MarginKey + " is not a number between 0 and 1"})
		return 0, nil
	}
	return x, nil
}

// registered are the registered configurations with their predictions, and which of
// them the file says to be compared.
func (v *validator) registered() (all []comparison.Configuration, common []bool, err error) {
	methods, err := readRows(v.Ctx, v.DB, schema.Named(schema.Methods), every)
	if err != nil {
		return nil, nil, err
	}
	truth := map[[2]string]bool{}
	for _, m := range methods {
		truth[[2]string{m.text("factor"), m.text("name")}] = m.text("category") == config.GroundTruth
	}
	essential, err := readRows(v.Ctx, v.DB, schema.Named(schema.Essential), "registered")
	if err != nil {
		return nil, nil, err
	}
	predictions, err := readRows(v.Ctx, v.DB, schema.Named(schema.Predictions), ofRegistered)
	if err != nil {
		return nil, nil, err
	}
	differences, err := readRows(v.Ctx, v.DB, schema.Named(schema.Differences), every)
	if err != nil {
		return nil, nil, err
	}
	left := map[int]bool{}
	for _, d := range differences {
		if id := d.number("config_id"); id != nil && d.text("undefined") == comparison.OtherSubjects {
			left[int(*id)] = true
		}
	}
	place := map[int]int{}
	for _, e := range essential {
		id := e.number("config_id")
		if registered, _ := e.cells[e.columns["registered"]].(bool); !registered || id == nil {
			continue
		}
		if n := len(all); *id < 1 || n > 0 && all[n-1].ID >= int(*id) {
			return nil, nil, nil // a finding of its own
		}
		place[int(*id)] = len(all)
		c := comparison.Configuration{ID: int(*id), Methods: map[string]string{}}
		if n, events := e.number("n_test"), e.number("n_events"); n != nil && events != nil {
			c.Pairs = int(*events * (*n - *events))
		}
		for _, f := range rules.FactorColumns {
			c.Methods[f.Factor] = e.text(f.Column)
		}
		c.Truth = truth[[2]string{config.Outlier, c.Methods[config.Outlier]}] && truth[[2]string{config.Imputation, c.Methods[config.Imputation]}]
		all, common = append(all, c), append(common, !left[int(*id)])
	}
	for _, p := range predictions {
		id, y, risk := p.number("config_id"), p.number("y_true"), p.number("y_prob")
		if id == nil || y == nil || risk == nil {
			return nil, nil, nil // a finding of its own
		}
		if k, ok := place[int(*id)]; ok {
			all[k].Subjects = append(all[k].Subjects, p.text("subject_code"))
			all[k].Outcomes, all[k].Risks = append(all[k].Outcomes, int(*y)), append(all[k].Risks, *risk)
		}
	}
	if v.privacy.SubjectTables && !slices.Equal(common, comparison.Common(all)) {
		v.Add(rules.Finding{Table: schema.Differences, Column: "undefined", Message: "the configurations on other subjects are not those that the predictions say"})
	}
	return all, common, nil
}

// expected is a row as it should be: what names it, what it says, and its value.
type expected struct {
	key   string
	same  map[string]any // columns: number as float64, text, nil
	value comparison.Value
	of    string          // the column of the value's estimate
	by    map[int]float64 // estimates by config_id: which of equal ones is selected depends on last bits
}

// sameComparisons compares rows with those that estimates give, or, where there are
// none, with those of the mean risk and everything that resamples give.
func (v *validator) sameComparisons(want *comparison.Result, estimates map[comparison.Measured]map[int]float64) error {
	intervals := estimates == nil
	number := func(x int) any { return float64(x) }
	var cells, means, differences, selected []expected
	for _, c := range want.Cells {
		cells = append(cells, expected{key: keyOf(c.Factor, number(c.ID))})
	}
	for _, m := range want.Means {
		means = append(means, expected{
			key:  keyOf(m.Factor, m.Method, m.Estimand, m.Measure),
			same: map[string]any{"n_configs": number(m.Configurations), "n_cells": number(m.Cells)}, value: m.Value, of: "estimate",
		})
	}
	for _, d := range want.Differences {
		e := expected{
			key:  keyOf(d.Scope, zeroNil(d.ID), optional(d.Factor), optional(d.Method), d.Estimand, d.Measure),
			same: map[string]any{"n_configs": number(d.Configurations), "margin": nil}, value: d.Value, of: "estimate",
		}
		if d.Margin > 0 {
			e.same["margin"] = d.Margin
		}
		if intervals {
			e.same["verdict"] = d.Verdict
		}
		differences = append(differences, e)
	}
	for _, s := range want.Selected {
		e := expected{
			key:  keyOf(s.Scope, optional(s.Classifier), optional(s.Featurization), s.Estimand, s.Measure, number(s.Rank)),
			same: map[string]any{"n_candidates": number(s.Candidates), "config_id": zeroNil(s.ID)}, value: s.Corrected, of: "corrected",
		}
		if !intervals {
			e.of, e.value.Estimate, e.value.Undefined = "naive", s.Naive, ""
			if s.ID == 0 {
				e.value.Undefined = s.Corrected.Undefined
			} else {
				delete(e.same, "config_id")
				e.by = estimates[s.Measured]
			}
		}
		selected = append(selected, e)
	}
	for _, t := range []struct {
		table string
		rows  []expected
	}{{schema.Cells, cells}, {schema.Means, means}, {schema.Differences, differences}, {schema.Selected, selected}} {
		if err := v.sameRows(t.table, t.rows, intervals); err != nil {
			return err
		}
	}
	return nil
}

func zeroNil(id int) any {
	if id == 0 {
		return nil
	}
	return float64(id)
}

func keyOf(cells ...any) string { return fmt.Sprintf("%#v", cells) }

// sameRows compares the rows of a table; a finding names no text of the table.
func (v *validator) sameRows(name string, want []expected, intervals bool) error {
	t := schema.Named(name)
	rows, err := readRows(v.Ctx, v.DB, t, every)
	if err != nil {
		return err
	}
	byKey := map[string]row{}
	for _, r := range rows {
		var key []any
		for _, k := range t.Key {
			if x := r.number(k); x != nil {
				key = append(key, *x)
			} else {
				key = append(key, optional(r.text(k)))
			}
		}
		byKey[keyOf(key...)] = r
	}
	if missing := len(want) - len(byKey); !intervals && missing != 0 {
		v.Add(rules.Finding{Table: name, Message: fmt.Sprintf("there are %d rows, not the %d that the configurations give", len(byKey), len(want))})
		return nil
	}
	wrong := map[string]int{}
	for _, e := range want {
		r, ok := byKey[e.key]
		if !ok {
			wrong["rows are not those that the configurations give"]++
			continue
		}
		for _, column := range slices.Sorted(maps.Keys(e.same)) {
			var got any
			if x := r.number(column); x != nil {
				got = *x
			} else if text := r.text(column); text != "" {
				got = text
			}
			if got != e.same[column] {
				wrong[column+" is not what the configurations give"]++
			}
		}
		if e.by != nil {
			id := r.number("config_id")
			if id == nil || math.Abs(e.by[int(*id)]-e.value.Estimate) > rules.SummedTolerance {
				wrong["config_id is not what the configurations give"]++
			}
		}
		if e.of == "" {
			continue
		}
		estimate := e.value.Estimate
		if e.value.Undefined != "" {
			estimate = math.NaN()
		}
		if !agree(r.number(e.of), estimate, rules.SummedTolerance) || (e.of != "naive" && r.text("undefined") != e.value.Undefined) {
			wrong[e.of+" is not what the configurations give"]++
		}
		if !intervals {
			continue
		}
		lower, upper, method, tolerance := math.NaN(), math.NaN(), string(metrics.NotAvailable), rules.SummedTolerance
		if i := e.value.Interval; e.value.Undefined == "" && i.Defined() {
			lower, upper, method = i.Lower, i.Upper, i.Method
			tolerance = max(tolerance, resampledTolerance*(upper-lower))
		}
		if r.text("ci_method") != method || !agree(r.number("ci_lower"), lower, tolerance) || !agree(r.number("ci_upper"), upper, tolerance) {
			wrong["intervals of the mean risk are not those that the predictions give"]++
		}
	}
	for _, message := range slices.Sorted(maps.Keys(wrong)) {
		v.Add(rules.Finding{Table: name, Message: fmt.Sprintf("%s (%d rows)", message, wrong[message])})
	}
	return nil
}
