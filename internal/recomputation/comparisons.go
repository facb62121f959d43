package recomputation

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
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// Comparisons holds the tables of comparisons against those that they are made of:
// estimates, members and ranks against stratos_metrics, and where the file has exact
// risks, what is said of the mean risk with its intervals against the predictions.
func (a *Recomputation) Comparisons() error {
	grid, _, err := a.forms()
	if err != nil {
		return err
	}
	margin := a.margin()
	if margin == 0 {
		return nil
	}
	all, common, err := a.registered()
	if err != nil || all == nil {
		return err
	}
	estimates := map[comparison.Measured]map[int]float64{}
	var m comparison.Measured
	var id int
	var x float64
	err = duckfile.Each(a.check.Ctx, a.check.DB, "SELECT estimand, measure, config_id, estimate FROM stratos_metrics WHERE estimand IS NOT NULL AND measure IS NOT NULL AND estimate IS NOT NULL AND "+ofRegistered,
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
	if err := a.sameComparisons(want, estimates); err != nil {
		return err
	}
	wrong := slices.ContainsFunc(a.check.Findings, func(f rules.Finding) bool { return !f.Warning })
	if wrong || !a.privacy.SubjectTables || a.privacy.RoundRisks > 0 {
		return nil // there is nothing to compute them of, or it is known to be wrong
	}
	if want, err = comparison.Compare(all, derivation.ComparisonOptions(grid, margin)); err != nil {
		return nil // predictions that cannot be compared are findings of their own
	}
	return a.sameComparisons(want, nil)
}

// every row, and those of registered configurations, as conditions in SQL: only these
// are compared, and there are as many as the registry has combinations.
const (
	every        = "true"
	ofRegistered = "config_id IN (SELECT config_id FROM essential_metrics WHERE registered)"
)

// margin is what meta says of the least difference that matters; 0 is a finding.
func (a *Recomputation) margin() float64 {
	x, err := strconv.ParseFloat(a.meta[disclosure.MarginKey], 64)
	if err != nil || !(x > 0 && x < 1) {
		a.check.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: disclosure.MarginKey + " is not a number between 0 and 1"})
		return 0
	}
	return x
}

// registered are the registered configurations with their predictions, and which of
// them the file says to be compared.
func (a *Recomputation) registered() (all []comparison.Configuration, common []bool, err error) {
	methods, err := readRows(a.check.Ctx, a.check.DB, schema.Named(schema.Methods), every)
	if err != nil {
		return nil, nil, err
	}
	truth := map[[2]string]bool{}
	for _, m := range methods {
		truth[[2]string{m.text("factor"), m.text("name")}] = m.text("category") == config.GroundTruth
	}
	essential, err := readRows(a.check.Ctx, a.check.DB, schema.Named(schema.Essential), "registered")
	if err != nil {
		return nil, nil, err
	}
	predictions, err := readRows(a.check.Ctx, a.check.DB, schema.Named(schema.Predictions), ofRegistered)
	if err != nil {
		return nil, nil, err
	}
	differences, err := readRows(a.check.Ctx, a.check.DB, schema.Named(schema.Differences), every)
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
	if a.privacy.SubjectTables && !slices.Equal(common, comparison.Common(all)) {
		a.check.Add(rules.Finding{Table: schema.Differences, Column: "undefined", Message: "the configurations on other subjects are not those that the predictions say"})
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
func (a *Recomputation) sameComparisons(want *comparison.Result, estimates map[comparison.Measured]map[int]float64) error {
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
			key:  keyOf(d.Scope, schema.Optional(float64(d.ID)), schema.Optional(d.Factor), schema.Optional(d.Method), d.Estimand, d.Measure),
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
			key:  keyOf(s.Scope, schema.Optional(s.Classifier), schema.Optional(s.Featurization), s.Estimand, s.Measure, number(s.Rank)),
			same: map[string]any{"n_candidates": number(s.Candidates), "config_id": schema.Optional(float64(s.ID))}, value: s.Corrected, of: "corrected",
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
		if err := a.sameRows(t.table, t.rows, intervals); err != nil {
			return err
		}
	}
	return nil
}

func keyOf(cells ...any) string { return fmt.Sprintf("%#v", cells) }

// sameRows compares the rows of a table; a finding names no text of the table.
func (a *Recomputation) sameRows(name string, want []expected, intervals bool) error {
	t := schema.Named(name)
	rows, err := readRows(a.check.Ctx, a.check.DB, t, every)
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
				key = append(key, schema.Optional(r.text(k)))
			}
		}
		byKey[keyOf(key...)] = r
	}
	if missing := len(want) - len(byKey); !intervals && missing != 0 {
		a.check.Add(rules.Finding{Table: name, Message: fmt.Sprintf("there are %d rows, not the %d that the configurations give", len(byKey), len(want))})
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
		a.check.Add(rules.Finding{Table: name, Message: fmt.Sprintf("%s (%d rows)", message, wrong[message])})
	}
	return nil
}
