package recomputation

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// Checks of a pickle's summaries that every configuration has, and all that
// there are with the tolerances that they may state.
var (
	checkNames = func() []string {
		names := []string{"mean_risk_difference"}
		for _, measure := range []string{"auroc", "brier", "aupr", "f1", "sensitivity", "specificity", "ppv", "npv", "accuracy", "balanced_accuracy"} {
			for _, of := range []string{"_mean", "_sd", "_lower", "_upper"} {
				names = append(names, measure+of)
			}
		}
		return names
	}()
	checksNeeded    = []string{"auroc_mean", "auroc_sd", "brier_mean", "brier_sd"}
	checkTolerances = []float64{1e-9, 1e-6} // risks in float64, in float32
)

// noteForm is the note of a measure over refits.
var noteForm = regexp.MustCompile(`^(mean|median) over ([1-9][0-9]*) refits?(?:, undefined in ([1-9][0-9]*))?(?:; undefined in [1-9][0-9]* of [1-9][0-9]* resamples)?` +
	`(?:; ` + extract.IntervalUndefined + `([a-z_]+))?(?:; ` + extract.SpreadUndefined + `([a-z_]+))?$`)

// overModels looks at what cannot be computed again, because the file has no
// risks of single refits: ranges, and what one row says of another.
func (c *configuration) overModels() {
	over := map[string]row{}
	for _, m := range c.tables[schema.Stratos] {
		c.ranges(m)
		if m.text("estimand") == metrics.OverModels {
			over[m.text("measure")] = m
			c.refits(m)
		}
	}
	brier, haveBrier := over["brier"]
	scaled, haveScaled := over["scaled_brier"]
	essential := c.tables[schema.Essential][0]
	if p := essential.number("prevalence"); haveBrier && haveScaled && p != nil && *p > 0 && *p < 1 {
		// A linear function of the Brier score, and so are its mean and quantiles.
		unit := *p * (1 - *p)
		of := func(column string, f func(float64) float64) float64 {
			if b := brier.number(column); b != nil {
				return f(*b)
			}
			return math.NaN()
		}
		scale := func(b float64) float64 { return 1 - b/unit }
		for _, k := range []struct {
			column string
			want   float64
		}{
			{"estimate", of("estimate", scale)}, {"spread_lower", of("spread_upper", scale)}, {"spread_upper", of("spread_lower", scale)},
			{"spread_sd", of("spread_sd", func(b float64) float64 { return b / unit })},
		} {
			if !agree(scaled.number(k.column), k.want, rules.SummedTolerance) {
				c.found(schema.Stratos, k.column, "the scaled Brier score over models is not that of the Brier score", false)
			}
		}
	}
	for _, k := range checkColumns {
		check, checked := c.check(k.check)
		m, ok := over[k.measure]
		if checked && ok && !agreeCells(m.number(k.column), check.number("found"), 0) {
			c.found(schema.Stratos, k.column, k.measure+" over models is not what the table checks found", false)
		}
	}
}

// refits looks at what a row says of the refits behind it.
func (c *configuration) refits(m row) {
	note := noteForm.FindStringSubmatch(m.text("note"))
	reason := func(s string) bool { return s == "" || slices.Contains(metrics.Reasons(), metrics.Reason(s)) }
	if note == nil || !reason(note[4]) || !reason(note[5]) {
		c.found(schema.Stratos, "note", "is not of the published form, and so may be private", false)
		return
	}
	refits, _ := strconv.Atoi(note[2])    // digits, as the pattern says
	undefined, _ := strconv.Atoi(note[3]) // empty: 0
	n := m.number("n_undefined")
	switch {
	case n != nil && (int(*n) != undefined || undefined > refits):
		c.found(schema.Stratos, "n_undefined", "does not agree with the note, or is more than the refits", false)
	case (undefined == refits) != (m.number("estimate") == nil):
		c.found(schema.Stratos, "n_undefined", "is not all of the refits where the measure is undefined, or is where it is not", false)
	}
	known, ok := c.forms[metrics.OverModels][m.text("measure")]
	if method := m.text("ci_method"); ok && method != string(metrics.NotAvailable) && method != known.Interval.Method {
		c.found(schema.Stratos, "ci_method", "is not that of the measure", false)
	}
	if ok && !strings.HasPrefix(known.Note, note[1]) {
		c.found(schema.Stratos, "note", "speaks of a mean where the measure is a median, or of a median", false)
	}
	lower, upper, estimate := m.number("spread_lower"), m.number("spread_upper"), m.number("estimate")
	if note[1] == "median" && lower != nil && upper != nil && estimate != nil &&
		(*estimate < *lower-copiedTolerance || *estimate > *upper+copiedTolerance) {
		c.found(schema.Stratos, "spread_lower, spread_upper", "the spread does not hold the median", false)
	}
	if (lower == nil) != (m.number("spread_sd") == nil) || (lower == nil) != (note[5] != "" || estimate == nil) {
		c.found(schema.Stratos, "spread_sd", "the spread is half given, or the note says another thing", false)
	}
	c.refitted = max(c.refitted, refits)
}

// ranges holds the estimate, the interval and the spread of a measure within
// what the measure can be.
func (c *configuration) ranges(m row) {
	measure := m.text("measure")
	low, high := rangeOf(measure, c.tables[schema.Essential][0].number("prevalence"))
	for _, column := range []string{"estimate", "ci_lower", "ci_upper", "spread_lower", "spread_upper"} {
		if x := m.number(column); x != nil && (*x < low || *x > high) {
			c.found(schema.Stratos, column, measure+" cannot be so", false)
		}
	}
	if level := m.number("ci_level"); level != nil && *level != metrics.Level {
		c.found(schema.Stratos, "ci_level", "is not 0.95", false)
	}
}

// bounded are the keys of measures, whole or what they begin or, after a slash,
// end with, by what they can be; keys of a threshold are cut before it.
var bounded = []struct {
	low, high float64
	keys      []string
}{
	{0, 1, []string{"auroc", "average_precision", "auprc_", "pauroc_", "brier", "mape",
		"/sensitivity", "/specificity", "/ppv", "/npv", "/accuracy", "/balanced_accuracy", "/f1"}},
	{-1, 1, []string{"discrimination_slope", "/youden", "/kappa", "/mcc"}},
	{math.Inf(-1), 1, []string{"scaled_brier", "r2_", "snb@"}},
	{0, math.Inf(1), []string{"oe_ratio", "logloss_mean", "expected_cost@", "/dor"}},
	{math.Inf(-1), 0, []string{"loglik"}},
}

// rangeOf is what a measure can be at a prevalence. Errors of calibration curves are
// not bounded here: a correction of their bias may lead below 0.
func rangeOf(measure string, prevalence *float64) (low, high float64) {
	for _, b := range bounded {
		for _, key := range b.keys {
			if measure == key || strings.HasPrefix(key, "/") && strings.HasSuffix(measure, key) ||
				strings.ContainsAny(key[len(key)-1:], "_@") && strings.HasPrefix(measure, key) {
				return b.low, b.high
			}
		}
	}
	if (strings.HasPrefix(measure, "nb@") || strings.HasPrefix(measure, "nb_all@")) && prevalence != nil {
		return math.Inf(-1), *prevalence + copiedTolerance
	}
	return math.Inf(-1), math.Inf(1)
}

// essential holds the columns for old scripts against the tables that they are
// copies of.
func (c *configuration) essential() {
	e := c.tables[schema.Essential][0]
	if e.text("source_name") != disclosure.SourceName(e.text("classifier"), e.text("featurization"), e.text("outlier_method"), e.text("imputation_method")) {
		c.found(schema.Essential, "source_name", "is not made of the four methods, and so may be private", false)
	}
	for _, k := range []struct{ column, estimand, measure string }{
		{"o_e_ratio", metrics.MeanRisk, "oe_ratio"}, {"scaled_brier", metrics.OverModels, "scaled_brier"},
		{"net_benefit_5pct", metrics.MeanRisk, "nb@0.05"}, {"net_benefit_10pct", metrics.MeanRisk, "nb@0.1"},
		{"net_benefit_15pct", metrics.MeanRisk, "nb@0.15"}, {"net_benefit_20pct", metrics.MeanRisk, "nb@0.2"},
	} {
		var want *float64
		for _, m := range c.tables[schema.Stratos] {
			if m.text("estimand") == k.estimand && m.text("measure") == k.measure {
				want = m.number("estimate")
			}
		}
		if !agreeCells(e.number(k.column), want, copiedTolerance) {
			c.found(schema.Essential, k.column, "is not that of stratos_metrics", false)
		}
	}
	if c.mean != nil && c.exact {
		slope, intercept := c.joint[0].Number(), c.joint[1].Number()
		if math.IsNaN(slope) || math.IsNaN(intercept) {
			slope, intercept = math.NaN(), math.NaN()
		}
		for i, column := range []string{"calibration_slope", "calibration_intercept"} {
			if c.joint[0].Undefined == metrics.NotAvailable {
				break // whether such a fit converges depends on the last bits
			}
			if !agree(e.number(column), []float64{slope, intercept}[i], fittedTolerance) {
				c.found(schema.Essential, column, "is not that of the predictions", false)
			}
		}
	}
	if len(c.tables[schema.Supplementary]) != 1 {
		return
	}
	s := c.tables[schema.Supplementary][0]
	p, sensitivity, specificity, accuracy := e.number("prevalence"), s.number("sensitivity"), s.number("specificity"), s.number("accuracy")
	if p != nil && sensitivity != nil && specificity != nil && accuracy != nil &&
		!agree(accuracy, *p**sensitivity+(1-*p)**specificity, fittedTolerance) {
		c.found(schema.Supplementary, "accuracy", "does not follow from sensitivity, specificity and prevalence: mistrust the run", true)
	}
}

// checkColumns say which numbers a check compared: that of the pickle, which
// essential_metrics has, and ours.
var checkColumns = []struct{ check, essential, measure, column string }{
	{"auroc_mean", "auroc", "auroc", "estimate"},
	{"auroc_sd", "", "auroc", "spread_sd"},
	{"auroc_lower", "auroc_ci_lower", "auroc", "spread_lower"},
	{"auroc_upper", "auroc_ci_upper", "auroc", "spread_upper"},
	{"brier_mean", "brier", "brier", "estimate"},
	{"brier_sd", "", "brier", "spread_sd"},
	{"brier_lower", "", "brier", "spread_lower"},
	{"brier_upper", "", "brier", "spread_upper"},
}

func (c *configuration) check(name string) (row, bool) {
	for _, r := range c.tables[schema.Checks] {
		if r.text("check") == name {
			return r, true
		}
	}
	return row{}, false
}

// checks sees that what the pickle was compared with is there, that the verdict
// follows, and that the pickle's numbers are those published.
func (c *configuration) checks() {
	for _, name := range checksNeeded {
		if strings.HasSuffix(name, "_sd") && c.refitted < 2 {
			continue // one refit has no deviation to compare
		}
		if _, ok := c.check(name); !ok {
			c.found(schema.Checks, "check", name+" is missing", false)
		}
	}
	for _, r := range c.tables[schema.Checks] {
		expected, found, tolerance := r.number("expected"), r.number("found"), r.number("tolerance")
		ok, _ := r.cells[r.columns["ok"]].(bool)
		if !slices.Contains(checkNames, r.text("check")) {
			c.found(schema.Checks, "check", "is none that this version knows", false)
		}
		if tolerance == nil {
			continue // a finding of its own
		}
		if !slices.Contains(checkTolerances, *tolerance) {
			c.found(schema.Checks, "tolerance", "is neither 1e-9 nor 1e-6", false)
		}
		agreed := expected == nil && found == nil
		if expected != nil && found != nil {
			agreed = math.Abs(*expected-*found) <= *tolerance
		}
		if ok != agreed {
			c.found(schema.Checks, "ok", "does not follow from expected, found and tolerance", false)
		}
	}
	if rows := c.tables[schema.Supplementary]; len(rows) == 1 {
		for _, column := range []string{"f1_score", "accuracy", "aupr", "sensitivity", "specificity", "ppv", "npv"} {
			if check, checked := c.check(strings.TrimSuffix(column, "_score") + "_mean"); checked && !agreeCells(rows[0].number(column), check.number("expected"), 0) {
				c.found(schema.Supplementary, column, "is not what the table checks says of the pickle", false)
			}
		}
	}
	e := c.tables[schema.Essential][0]
	for _, k := range checkColumns {
		if k.essential == "" {
			continue
		}
		check, checked := c.check(k.check)
		published := e.number(k.essential)
		if checked && !agreeCells(published, check.number("expected"), 0) || !checked && published != nil {
			c.found(schema.Essential, k.essential, "is not what the table checks says of the pickle", false)
		}
	}
}
