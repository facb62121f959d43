package recomputation

import (
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// calibrationBins and decisionThresholds are how finely the study's curves are
// tabulated: ten groups of equal width, and thresholds 0.01 to 0.50 by 0.01.
const (
	calibrationBins    = 10
	decisionThresholds = 50
)

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

// smoothed compares the smoothed curve with that of the predictions.
func (c *configuration) smoothed() {
	points, why, err := derivation.Smoothed(c.predictions, disclosure.Privacy{})
	if err != nil {
		return // a finding of its own
	}
	rows := c.tables[schema.Smooth]
	if why != "" {
		points = []metrics.CurvePoint{{Risk: math.NaN(), Observed: math.NaN(), Lower: math.NaN(), Upper: math.NaN()}}
	}
	if len(rows) != len(points) {
		c.found(schema.Smooth, "point_index", "there are not 101 points, or one that says why there is no curve", false)
		return
	}
	for i, p := range points {
		if rows[i].text("undefined") != string(why) {
			c.found(schema.Smooth, "undefined", "is not why the predictions have no curve", false)
		}
		for _, k := range []struct {
			column string
			want   float64
		}{{"risk", p.Risk}, {"observed", p.Observed}, {"lower", p.Lower}, {"upper", p.Upper}} {
			if !agree(rows[i].number(k.column), k.want, fittedTolerance) {
				c.found(schema.Smooth, k.column, "is not that of the predictions", false)
			}
		}
	}
}
