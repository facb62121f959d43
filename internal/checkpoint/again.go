package checkpoint

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/resample"
)

// fittedTolerance is that of fits, which end where a step is small.
const fittedTolerance = 1e-6

// calibrationBins and decisionThresholds are how finely the study's curves are
// tabulated: ten groups of equal width, and thresholds 0.01 to 0.50 by 0.01.
const (
	calibrationBins    = 10
	decisionThresholds = 50
)

// row is one row of a table.
type row struct {
	columns map[string]int
	cells   []any
}

// number is a cell of numbers, nil where it is NULL.
func (r row) number(column string) *float64 {
	switch v := r.cells[r.columns[column]].(type) {
	case float64:
		return &v
	case int32:
		x := float64(v)
		return &x
	case int64:
		x := float64(v)
		return &x
	}
	return nil
}

// text is a cell of text, empty where it is NULL.
func (r row) text(column string) string {
	text, _ := r.cells[r.columns[column]].(string)
	return text
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

// again computes from the predictions what can be computed from them, and
// compares every number that stands in more than one place.
func (v *validator) again() error {
	grid, forms, err := v.forms()
	if err != nil {
		return err
	}
	var order []rules.Rule
	broken := map[rules.Rule][]rules.Breach{}
	err = v.configurations(func(some []*configuration, first, total int) {
		v.examine(some, first, total, grid, forms)
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
		place := func(r rules.Rule) int {
			return slices.IndexFunc(schema.Tables, func(t schema.Table) bool { return t.Name == r.Table })
		}
		return cmp.Compare(place(x), place(y))
	})
	for _, r := range order {
		v.Report(r, broken[r])
	}
	return nil
}

// examine looks at some configurations, those from the first on of n in all, on all
// processors.
func (v *validator) examine(some []*configuration, first, n int, grid []float64, forms forms) {
	resample.Each(len(some), func() struct{} { return struct{}{} }, func(_ struct{}, k int) {
		c := some[k]
		c.forms = forms
		c.exact = v.privacy.SubjectTables && v.privacy.RoundRisks == 0
		c.curves = ofCurves(first+k, n)
		c.predictions = c.publishedPredictions()
		if !c.exact {
			if v.privacy.SubjectTables {
				c.nearly(v.privacy.HalfUnit())
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
			v.recomputed++
			if c.curves {
				v.curves++
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

func thresholdOf(measure string) (float64, bool) {
	text, ok := strings.CutPrefix(measure, "nb@")
	t, err := strconv.ParseFloat(text, 64)
	return t, ok && err == nil && t > 0 && t < 1
}

// configurationsAtOnce is how many configurations are read before they are looked at.
// One has some 800 rows, which take half a megabyte.
const configurationsAtOnce = 32

// configurations reads the tables that have rows of configurations, of some of these
// after the other, and calls use with them, the place of the first of them and how many
// there are in all.
func (v *validator) configurations(use func(some []*configuration, first, total int)) (err error) {
	var ids []int32
	var id int32
	err = duckfile.Each(v.Ctx, v.DB, "SELECT DISTINCT config_id FROM essential_metrics WHERE config_id IS NOT NULL ORDER BY 1", []any{&id}, func() error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		return err
	}
	first := 0
	for some := range slices.Chunk(ids, configurationsAtOnce) {
		all, err := v.someConfigurations(some)
		if err != nil {
			return err
		}
		use(all, first, len(ids))
		first += len(all)
	}
	return nil
}

// someConfigurations reads the rows of configurations with neighbouring numbers.
func (v *validator) someConfigurations(ids []int32) ([]*configuration, error) {
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
		rows, err := readRows(v.Ctx, v.DB, t, among)
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

// readRows reads the rows of a table of which an SQL condition is true, by its key.
func readRows(ctx context.Context, db *sql.DB, t schema.Table, condition string) (all []row, err error) {
	columns, key := map[string]int{}, make([]string, len(t.Key))
	for i, c := range t.Columns {
		columns[c.Name] = i
	}
	for i, k := range t.Key {
		key[i] = duckfile.Quote(k)
	}
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+t.Name+" WHERE "+condition+" ORDER BY "+strings.Join(key, ", "))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r := row{columns, make([]any, len(t.Columns))}
		into := make([]any, len(t.Columns))
		for i := range into {
			into[i] = &r.cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// publishedPredictions are those of the table: none where one is not complete,
// which is a finding of its own.
func (c *configuration) publishedPredictions() (all []derivation.Prediction) {
	for _, p := range c.tables[schema.Predictions] {
		outcome, risk := p.number("y_true"), p.number("y_prob")
		if outcome == nil || risk == nil {
			return nil
		}
		all = append(all, derivation.Prediction{Code: p.text("subject_code"), Outcome: int(*outcome), Risk: *risk})
	}
	return all
}

// forms are the measures, by estimand and key, of risks that nobody has: their
// numbers are others, and the keys, domains, tiers and methods those that there are.
type forms map[string]map[string]metrics.Row

// forms returns the thresholds that the database has net benefit at, and the forms
// of measures at these.
func (v *validator) forms() ([]float64, forms, error) {
	measures, err := duckfile.Texts(v.Ctx, v.DB, "SELECT DISTINCT measure FROM stratos_metrics")
	if err != nil {
		return nil, nil, err
	}
	var grid []float64
	for _, m := range measures {
		if t, ok := thresholdOf(m); ok && !slices.Contains(grid, t) {
			grid = append(grid, t)
		}
	}
	slices.Sort(grid)
	made, _ := formsAt.LoadOrStore(fmt.Sprint(grid), sync.OnceValues(func() (forms, error) { return newForms(grid) }))
	byKey, err := made.(func() (forms, error))()
	return grid, byKey, err
}

// formsAt keeps the forms that were made, by their thresholds: they depend on nothing
// else, take a thousand resamples, and one validation asks for them three times.
var formsAt sync.Map // thresholds as text → func() (forms, error)

// newForms measures at thresholds.
func newForms(grid []float64) (forms, error) {
	// As many events as controls between neighbouring thresholds, so many that no
	// resample lacks them: every measure has a value, and an interval if it ever has.
	const between, refits = 40, 3
	var outcomes []int
	risks := make([][]float64, refits)
	edges := slices.Concat([]float64{0}, grid, []float64{1})
	for k, from := range edges[:len(edges)-1] {
		for i := range between {
			outcomes = append(outcomes, i%2)
			for m := range risks {
				part := (float64((i+7*m)%between) + 0.5) / between
				risks[m] = append(risks[m], from+part*(edges[k+1]-from))
			}
		}
	}
	all, err := metrics.NewRefits(outcomes, risks)
	if err != nil {
		return nil, err
	}
	rows, err := metrics.RefitTable(all, extract.MeasureOptions(grid))
	if err != nil {
		return nil, err
	}
	byKey := forms{metrics.OverModels: {}, metrics.MeanRisk: {}}
	for _, row := range rows {
		byKey[row.Estimand][row.Measure] = row
	}
	return byKey, nil
}

// nearly compares what rounding moves by no more than it moves a risk.
func (c *configuration) nearly(halfUnit float64) {
	sample, err := derivation.Sample(c.predictions)
	if err != nil || sample.N() == 0 {
		return // findings of their own
	}
	tolerance := rules.SummedTolerance + 2*halfUnit
	brier := metrics.Brier(sample).Number()
	for _, m := range c.tables[schema.Stratos] {
		if m.text("estimand") == metrics.MeanRisk && m.text("measure") == "brier" && !agree(m.number("estimate"), brier, tolerance) {
			c.found(schema.Stratos, "estimate", "brier of the mean risk is not that of the predictions, rounding allowed for", false)
		}
	}
	rows := c.tables[schema.Distribution]
	if len(rows) != 1 {
		return // a finding of its own
	}
	cases, controls := derivation.DistributionOf(c.predictions, 1), derivation.DistributionOf(c.predictions, 0)
	for _, k := range []struct {
		column string
		want   float64
	}{
		{"median_cases", cases.Median}, {"median_controls", controls.Median}, {"mean_cases", cases.Mean}, {"mean_controls", controls.Mean},
	} {
		if !agree(rows[0].number(k.column), k.want, tolerance) {
			c.found(schema.Distribution, k.column, "is not that of the predictions, rounding allowed for", false)
		}
	}
}

// compute measures the predictions. It is false where there are none that can
// be measured, which is a finding of its own.
func (c *configuration) compute(thresholds []float64) bool {
	// In the order in which the run was measured, which resamples depend on.
	var err error
	if c.sample, err = derivation.Sample(c.predictions); err != nil || c.sample.N() == 0 {
		return false
	}
	options := extract.MeasureOptions(thresholds)
	options.WithoutCurves = !c.curves
	rows, err := metrics.Table(c.sample, options)
	if err != nil {
		return false
	}
	c.joint[0], c.joint[1] = metrics.JointCalibration(c.sample)
	c.mean = map[string]metrics.Row{}
	for _, m := range rows {
		c.mean[m.Measure] = m
	}
	return true
}

// agree compares two numbers, of which NULL, NaN for one that was computed,
// agrees with itself alone.
func agree(found *float64, want, tolerance float64) bool {
	switch {
	case found == nil || math.IsNaN(want):
		return found == nil && math.IsNaN(want)
	case math.IsInf(*found, 0) || math.IsInf(want, 0):
		return *found == want
	}
	return math.Abs(*found-want) <= tolerance*(1+math.Abs(want))
}

func agreeCells(a, b *float64, tolerance float64) bool {
	if b == nil {
		return a == nil
	}
	return agree(a, *b, tolerance)
}

func (c *configuration) roc() {
	rows, want := c.tables[schema.ROC], metrics.ROC(c.sample)
	switch {
	case len(want) == 0 && len(rows) > 0:
		c.found(schema.ROC, "", "a test set of one class has no curve", false)
		return
	case len(want) > 0 && len(rows) == 0:
		c.found(schema.ROC, "config_id", "the configuration has no row", false)
		return
	case len(rows) != len(want):
		c.found(schema.ROC, "fpr, tpr", "the curve is not that of the predictions", false)
		return
	}
	for i, p := range want {
		threshold := p.Threshold
		if math.IsInf(threshold, 1) {
			threshold = math.NaN()
		}
		r := rows[i]
		if !agree(r.number("threshold"), threshold, 0) || !agree(r.number("fpr"), p.FPR, rules.SummedTolerance) || !agree(r.number("tpr"), p.TPR, rules.SummedTolerance) {
			c.found(schema.ROC, "fpr, tpr", "the curve is not that of the predictions", false)
			return
		}
	}
}

func (c *configuration) calibration() {
	rows, want := c.tables[schema.Calibration], metrics.CalibrationBins(c.sample, calibrationBins)
	if len(rows) != len(want) {
		c.found(schema.Calibration, "bin_index", "there are not ten bins", false)
		return
	}
	for i, b := range want {
		for _, k := range []struct {
			column string
			want   float64
		}{
			{"bin_index", float64(i)}, {"bin_midpoint", (b.Lower + b.Upper) / 2}, {"observed_proportion", b.Observed},
			{"predicted_mean", b.Predicted}, {"n_samples", float64(b.N)},
		} {
			if !agree(rows[i].number(k.column), k.want, rules.SummedTolerance) {
				c.found(schema.Calibration, k.column, "is not that of the predictions", false)
			}
		}
	}
}

func (c *configuration) histogram() {
	rows, bins := c.tables[schema.Histogram], metrics.CalibrationBins(c.sample, calibrationBins)
	if len(rows) != 2*len(bins) {
		c.found(schema.Histogram, "bin_index", "there are not ten bins of each outcome", false)
		return
	}
	for i, r := range rows {
		outcome, b := i/len(bins), bins[i%len(bins)]
		count := b.Events
		if outcome == 0 {
			count = b.N - b.Events
		}
		for _, k := range []struct {
			column string
			want   float64
		}{
			{"outcome", float64(outcome)}, {"bin_index", float64(i % len(bins))}, {"bin_start", b.Lower}, {"bin_end", b.Upper}, {"count", float64(count)},
		} {
			if !agree(r.number(k.column), k.want, copiedTolerance) {
				c.found(schema.Histogram, k.column, "is not that of the predictions", false)
			}
		}
	}
}

// retention takes the order of the subjects from their quantiles' table.
func (c *configuration) retention() {
	deviations := map[string]*float64{}
	for _, r := range c.tables[schema.Quantiles] {
		deviations[r.text("subject_code")] = r.number("sd")
	}
	for i, p := range c.predictions {
		sd, ok := deviations[p.Code]
		if !ok {
			return // a finding of its own
		}
		c.predictions[i].SD = sd
	}
	curve, err := derivation.Retention(c.predictions)
	if err != nil {
		return // findings of their own
	}
	rows := c.tables[schema.Retention]
	if len(rows) != len(curve)*len(derivation.RetentionMeasures) {
		c.found(schema.Retention, "retention_rate", "the rates are not those at which another number of subjects is kept", false)
		return
	}
	for _, point := range curve {
		for i, name := range derivation.RetentionMeasures {
			at := slices.IndexFunc(rows, func(r row) bool {
				return r.text("metric_name") == name && agree(r.number("retention_rate"), point.Rate, copiedTolerance)
			})
			if at < 0 {
				c.found(schema.Retention, "retention_rate", "the rates are not those at which another number of subjects is kept", false)
				return
			}
			if !agree(rows[at].number("metric_value"), point.Values[i], rules.SummedTolerance) {
				c.found(schema.Retention, "metric_value", name+" is not that of the predictions, ordered by the deviations in "+schema.Quantiles, false)
			}
		}
	}
}

func (c *configuration) distribution() {
	rows := c.tables[schema.Distribution]
	if len(rows) != 1 {
		return // a finding of its own
	}
	cases, controls := derivation.DistributionOf(c.predictions, 1), derivation.DistributionOf(c.predictions, 0)
	for _, k := range []struct {
		column string
		want   float64
	}{
		{"auroc", metrics.AUROC(c.sample).Number()}, {"median_cases", cases.Median}, {"median_controls", controls.Median},
		{"mean_cases", cases.Mean}, {"mean_controls", controls.Mean}, {"n_cases", float64(cases.N)}, {"n_controls", float64(controls.N)},
	} {
		if !agree(rows[0].number(k.column), k.want, rules.SummedTolerance) {
			c.found(schema.Distribution, k.column, "is not that of the predictions", false)
		}
	}
}

func (c *configuration) decision() {
	grid := make([]float64, decisionThresholds)
	for i := range grid {
		grid[i] = float64(i+1) / 100
	}
	rows := c.tables[schema.Decision]
	sameGrid := len(rows) == len(grid)
	for i := 0; sameGrid && i < len(grid); i++ {
		sameGrid = agree(rows[i].number("threshold"), grid[i], 0)
	}
	if !sameGrid {
		c.found(schema.Decision, "threshold", "the thresholds are not 0.01 to 0.50 by 0.01", false)
		return
	}
	for i, p := range metrics.DecisionCurve(c.sample, grid) {
		for _, k := range []struct {
			column string
			want   float64
		}{
			{"net_benefit_model", p.Model}, {"net_benefit_all", p.All}, {"sensitivity", p.Sensitivity}, {"specificity", p.Specificity},
		} {
			if !agree(rows[i].number(k.column), k.want, rules.SummedTolerance) {
				c.found(schema.Decision, k.column, "is not that of the predictions", false)
			}
		}
	}
}

// meanRisk compares the rows of the mean risk with the same measures of the
// predictions.
func (c *configuration) meanRisk() {
	for _, m := range c.tables[schema.Stratos] {
		estimand, measure := m.text("estimand"), m.text("measure")
		known, ok := c.forms[estimand][measure]
		if !ok {
			c.found(schema.Stratos, "measure", "is none that this version knows", false)
			continue
		}
		if m.text("domain") != known.Domain {
			c.found(schema.Stratos, "domain", "is not that of the measure", false)
		}
		if m.text("tier") != known.Tier {
			c.found(schema.Stratos, "tier", "is not that of the measure", false)
		}
		if estimand != metrics.MeanRisk {
			continue
		}
		want, ok := c.mean[measure]
		if !ok || !c.exact {
			c.form(m, known)
			continue
		}
		// Whether a fit of almost equal risks converges depends on the last bits.
		if want.Undefined == metrics.NotAvailable || m.text("undefined") == string(metrics.NotAvailable) {
			c.form(m, known)
			continue
		}
		tolerance := rules.SummedTolerance
		if want.Domain == metrics.Calibration {
			tolerance = fittedTolerance
		}
		if m.text("undefined") != string(want.Undefined) || !agree(m.number("estimate"), want.Number(), tolerance) {
			c.found(schema.Stratos, "estimate", want.Measure+" of the mean risk is not that of the predictions", false)
		}
		if n := m.number("n_undefined"); n != nil && *n != 0 {
			c.found(schema.Stratos, "n_undefined", "counts refits, which the mean risk has none of", false)
		}
		if !c.curves && metrics.OfSmoothedCurve(measure) {
			c.form(m, known)
			continue
		}
		lower, upper, method, note := math.NaN(), math.NaN(), string(metrics.NotAvailable), want.Note
		if i := want.Interval; i.Defined() {
			lower, upper, method = i.Lower, i.Upper, i.Method
			if resampled(method) {
				tolerance = max(tolerance, resampledTolerance*(upper-lower))
			}
		} else if want.Defined() && i.Undefined != metrics.NotAvailable {
			note = strings.TrimPrefix(note+"; "+extract.IntervalUndefined+string(i.Undefined), "; ")
		}
		if !agree(m.number("ci_lower"), lower, tolerance) || !agree(m.number("ci_upper"), upper, tolerance) {
			c.found(schema.Stratos, "ci_lower, ci_upper", want.Measure+" of the mean risk has another interval than the predictions give", false)
		}
		if m.text("ci_method") != method {
			c.found(schema.Stratos, "ci_method", "is not that of the measure", false)
		}
		if m.text("note") != note {
			c.found(schema.Stratos, "note", "is not of the published form, and so may be private", false)
		}
	}
}

// resampledTolerance is by what share of its width an interval of resamples may
// differ: a replicate that equals the estimate on one kind of processor can miss it
// by a bit on another, and BCa's correction counts them.
const resampledTolerance = 0.1

// resampled reports whether a method of intervals resamples subjects.
func resampled(method string) bool { return strings.HasPrefix(method, "bootstrap_") }

// form looks at the words of a measure of the mean risk whose value cannot be
// computed again: known is the same measure of other risks.
func (c *configuration) form(m row, known metrics.Row) {
	note, why, cut := strings.Cut(m.text("note"), extract.IntervalUndefined)
	note = strings.TrimSuffix(note, "; ")
	if !metrics.KnownNote(note) || cut && !slices.Contains(metrics.Reasons(), metrics.Reason(why)) {
		c.found(schema.Stratos, "note", "is not of the published form, and so may be private", false)
	}
	method := m.text("ci_method")
	if method != string(metrics.NotAvailable) && method != known.Interval.Method {
		c.found(schema.Stratos, "ci_method", "is not that of the measure", false)
	}
}
