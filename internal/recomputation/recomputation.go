// Package recomputation computes the numbers of the public database again: those of each
// configuration from its predictions, those that stand in more than one place from each
// other, and comparisons of configurations from these. What is wrong is reported by
// [rules.Check].
//
// It does not know how the rows were made, nor any name that the database lacks.
package recomputation

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Recomputation computes numbers of one database again, and has what is wrong reported.
type Recomputation struct {
	check   *rules.Check
	meta    map[string]string  // what the database says of itself
	privacy disclosure.Privacy // as it says
	Extent
}

// Extent is how far a recomputation went.
type Extent struct {
	// Recomputed counts the configurations whose measures of the mean risk, intervals
	// of resamples included, were computed again from the predictions; Curves counts
	// those among them of which intervals of errors of the smoothed calibration curve
	// were, too. Without exact predictions there are none.
	Recomputed, Curves int
}

// New begins one. The table meta of the database says meta.
func New(check *rules.Check, meta map[string]string) *Recomputation {
	return &Recomputation{check: check, meta: meta, privacy: disclosure.PrivacyOf(meta)}
}

// configuration is what the tables say of one.
type configuration struct {
	id     int
	tables map[string][]row
	// What is computed again, of the predictions.
	predictions []derivation.Prediction
	exact       bool // they are those that the tables were made of
	curves      bool // intervals of errors of the smoothed curve are computed, too
	sample      *metrics.Sample
	joint       [2]metrics.Result      // slope, intercept
	mean        map[string]metrics.Row // measures of the mean risk
	forms       forms                  // of measures, whatever their values
	refitted    int                    // how many refits the notes speak of
	computed    bool                   // there are predictions that can be measured
	broken      []rules.Rule
}

// Measures wants of every configuration all measures of this version, under both
// estimands.
func (a *Recomputation) Measures() error {
	_, forms, err := a.forms()
	if err != nil {
		return err
	}
	for _, estimand := range []string{metrics.OverModels, metrics.MeanRisk} {
		present, err := duckfile.Texts(a.check.Ctx, a.check.DB, "SELECT DISTINCT measure FROM stratos_metrics WHERE estimand = "+duckfile.QuoteText(estimand)+" ORDER BY 1")
		if err != nil {
			return err
		}
		for _, m := range slices.Sorted(maps.Keys(forms[estimand])) {
			if !slices.Contains(present, m) {
				a.check.Add(rules.Finding{Table: schema.Stratos, Column: "measure", Message: fmt.Sprintf("%s, %s is missing for all configurations", estimand, m)})
			}
		}
	}
	return a.check.Hold(rules.Rule{Table: schema.Stratos, Column: "measure", Message: "measures are missing that other configurations have",
		Query: "SELECT config_id FROM (SELECT config_id, estimand, measure FROM essential_metrics, (SELECT DISTINCT estimand, measure FROM stratos_metrics) EXCEPT SELECT config_id, estimand, measure FROM stratos_metrics)"})
}

// Configurations computes from the predictions what can be computed from them, and
// compares every number that stands in more than one place.
func (a *Recomputation) Configurations() error {
	grid, forms, err := a.forms()
	if err != nil {
		return err
	}
	var order []rules.Rule
	broken := map[rules.Rule][]rules.Breach{}
	err = a.each(func(some []*configuration, first, total int) {
		a.examine(some, first, total, grid, forms)
		for _, c := range some {
			for _, r := range c.broken {
				if broken[r] == nil {
					order = append(order, r)
				}
				if n := len(broken[r]); n > 0 && broken[r][n-1].Config == c.id {
					broken[r][n-1].Rows++
					continue
				}
				broken[r] = append(broken[r], rules.Breach{Config: c.id, Rows: 1})
			}
		}
	})
	if err != nil {
		return err
	}
	slices.SortStableFunc(order, func(x, y rules.Rule) int {
		first, _ := schema.Place(x.Table)
		second, _ := schema.Place(y.Table)
		return cmp.Compare(first, second)
	})
	for _, r := range order {
		a.check.Report(r, broken[r])
	}
	return nil
}

// examine looks at some configurations, those from the first on of n in all, on all
// processors.
func (a *Recomputation) examine(some []*configuration, first, n int, grid []float64, forms forms) {
	resample.Each(len(some), func() struct{} { return struct{}{} }, func(_ struct{}, k int) {
		c := some[k]
		c.forms = forms
		c.exact = a.privacy.SubjectTables && a.privacy.RoundRisks == 0
		c.curves = ofCurves(first+k, n)
		c.predictions = c.publishedPredictions()
		if !c.exact {
			if a.privacy.SubjectTables {
				c.nearly(a.privacy.HalfUnit())
			}
		}
		c.computed = c.exact && c.compute(grid)
		if c.computed {
			c.roc()
			c.calibration()
			c.smoothed()
			c.histogram()
			c.decision()
			c.retention()
			c.distribution()
		}
		if c.computed || !c.exact {
			c.meanRisk()
		}
		c.overModels()
		c.essential()
		c.checks()
	})
	for _, c := range some {
		if c.computed {
			a.Recomputed++
			if c.curves {
				a.Curves++
			}
		}
	}
}

// found notes what is wrong with the configuration.
func (c *configuration) found(table, column, message string, warning bool) {
	c.broken = append(c.broken, rules.Rule{Table: table, Column: column, Message: message, Warning: warning})
}

// curvesAgain is of how many configurations, evenly spaced among all, intervals of
// errors of the smoothed calibration curve are computed again. They take as long as
// everything else together, and are made by the same code and of the same resamples as
// the other intervals, which are computed again of every configuration.
const curvesAgain = 16

// ofCurves says whether the k-th of n configurations is one of them.
func ofCurves(k, n int) bool {
	return n <= curvesAgain || k*curvesAgain/n != (k-1)*curvesAgain/n || k == 0
}

// configurationsAtOnce is how many configurations are read before they are looked at.
// One has some 800 rows, which take half a megabyte.
const configurationsAtOnce = 32

// each reads the tables that have rows of configurations, of some of these
// after the other, and calls use with them, the place of the first of them and how many
// there are in all.
func (a *Recomputation) each(use func(some []*configuration, first, total int)) (err error) {
	var ids []int32
	var id int32
	err = duckfile.Each(a.check.Ctx, a.check.DB, "SELECT DISTINCT config_id FROM essential_metrics WHERE config_id IS NOT NULL ORDER BY 1", []any{&id}, func() error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return err
	}
	first := 0
	for some := range slices.Chunk(ids, configurationsAtOnce) {
		all, err := a.someConfigurations(some)
		if err != nil {
			return err
		}
		use(all, first, len(ids))
		first += len(all)
	}
	return nil
}

// someConfigurations reads the rows of configurations with neighbouring numbers.
func (a *Recomputation) someConfigurations(ids []int32) ([]*configuration, error) {
	byID := map[int32]*configuration{}
	var all []*configuration
	for _, id := range ids {
		c := &configuration{id: int(id), tables: map[string][]row{}}
		byID[id] = c
		all = append(all, c)
	}
	among := fmt.Sprintf("config_id BETWEEN %d AND %d", ids[0], ids[len(ids)-1])
	for _, t := range schema.Tables {
		if slices.Contains([]string{schema.Runs, schema.Bootstrap, schema.Cells, schema.Differences, schema.Selected}, t.Name) || t.Columns[0].Name != "config_id" && t.Columns[1].Name != "config_id" {
			continue
		}
		rows, err := readRows(a.check.Ctx, a.check.DB, t, among)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			id, _ := r.cells[r.columns["config_id"]].(int32)
			if c := byID[id]; c != nil { // else a finding of its own
				c.tables[t.Name] = append(c.tables[t.Name], r)
			}
		}
	}
	return all, nil
}
