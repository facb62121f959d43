package recomputation

import (
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

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
