package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// topRows is how many of the ranking tab_stratos_top10 shows.
const topRows = 10

// unregisteredMark stands behind the name of a method that figures leave out.
const unregisteredMark = "*"

// measureColumn is a column of values. better says which of two estimates is
// the better one; nil where there is no such order (calibration).
type measureColumn struct {
	sidecar.Column
	measure string
	better  func(x, y float64) bool
}

func higher(x, y float64) bool { return x > y }
func lower(x, y float64) bool  { return x < y }

var (
	aurocColumn       = measureColumn{sidecar.Column{ID: auroc, Heading: "AUROC", Group: "Discrimination", Align: "r", Decimals: 3}, auroc, higher}
	slopeColumn       = measureColumn{sidecar.Column{ID: slope, Heading: "Slope", Group: "Calibration", Align: "r", Decimals: 2}, slope, nil}
	interceptColumn   = measureColumn{sidecar.Column{ID: intercept, Heading: "Int.", Group: "Calibration", Align: "r", Decimals: 2}, intercept, nil}
	oeColumn          = measureColumn{sidecar.Column{ID: oe, Heading: "O:E", Group: "Calibration", Align: "r", Decimals: 2}, oe, nil}
	brierColumn       = measureColumn{sidecar.Column{ID: brier, Heading: "Brier", Group: "Overall", Align: "r", Decimals: 3}, brier, lower}
	scaledBrierColumn = measureColumn{sidecar.Column{ID: scaledBrier, Heading: "IPA", Group: "Overall", Align: "r", Decimals: 3}, scaledBrier, higher}
	nb15Column        = measureColumn{sidecar.Column{ID: nb15, Heading: "NB 15%", Group: "Utility", Align: "r", Decimals: 3}, nb15, higher}
)

func text(id, heading, align string) sidecar.Column {
	return sidecar.Column{ID: id, Heading: heading, Align: align}
}

// tabTop shows all measures of the best configurations by AUROC and, set off
// below, of the named pipelines with their place in the ranking.
func tabTop(b *builder) error {
	columns := []measureColumn{aurocColumn, slopeColumn, interceptColumn, oeColumn, brierColumn, scaledBrierColumn, nb15Column}
	measures := measuresOf(columns)
	cs, err := b.grid("ranking", measures...)
	if err != nil {
		return err
	}
	ns, err := b.namedPipelines("pipelines", b.pipelines, measures...)
	if err != nil {
		return err
	}
	hideIntervals(append(slices.Clone(cs), configurationsOf(ns)...), columns)
	ranked := rank(cs)
	// One without an AUROC has no place among the highest.
	top := slices.DeleteFunc(slices.Clone(ranked), func(c configuration) bool { _, ok := c.auroc(); return !ok })
	if len(top) == 0 {
		return errNoAUROC
	}
	top = top[:min(topRows, len(top))]
	if err := b.comparePipelines(); err != nil {
		return err
	}
	shown := append(slices.Clone(top), configurationsOf(ns)...)

	t := &sidecar.Table{Label: "tab:plr-stratos-top"}
	t.Columns = append([]sidecar.Column{text("rank", "#", "r"), text("outlier", "Outlier", "l"), text("imputation", "Imputation", "l")},
		b.valueColumns(columns, shown)...)
	for i, c := range top {
		t.Rows = append(t.Rows, sidecar.Row{Cells: b.row(strconv.Itoa(i+1), c, columns)})
	}
	for i, n := range ns {
		place := "–" // of another classifier or other features: not in this ranking
		if j := slices.IndexFunc(ranked, func(c configuration) bool { return compareTuple(c, n.configuration) == 0 }); j >= 0 {
			place = strconv.Itoa(j + 1)
		}
		t.Rows = append(t.Rows, sidecar.Row{SpaceBefore: i == 0, Cells: b.row(place, n.configuration, columns)})
	}
	markBest(t, columns)
	b.doc.Table = t

	first := "The " + strconv.Itoa(len(top)) + " configurations with the highest AUROC"
	b.doc.Title = fmt.Sprintf("STRATOS measures of the %d best configurations", len(top))
	switch len(top) {
	case 1:
		first = "The configuration with the highest AUROC"
		b.doc.Title = "STRATOS measures of the best configuration"
	case topRows:
		b.doc.Title = "STRATOS measures of the ten best configurations"
	}
	b.doc.Caption = fmt.Sprintf(
		"%s of %d (%s), %s; %s, %s. Measures %s.%s %s. "+
			"Bold: best of the column among the rows shown; calibration has no order. "+
			"Int., calibration in the large (slope fixed at 1); O:E, observed to expected events; IPA, index of prediction accuracy (scaled Brier score); "+
			"NB, net benefit at a threshold of 15%%, which depends on the prevalence. %s",
		first, len(ranked), b.fixedWords(), selectedMark, b.testSet(shown), b.prevalence(shown), b.measureWords(true),
		undefinedRefits(shown, map[string]string{slope: "slope", intercept: "intercept", oe: "O:E"}), b.intervalsOf(shown, wordedColumns(columns)), noExternal)
	if len(ns) > 0 {
		var labels []string
		for _, n := range ns {
			labels = append(labels, n.Label)
		}
		b.doc.Caption += " Below, with their places in the ranking, the named pipelines in this order: " + list(labels) + "."
	}
	best := top[0]
	b.doc.Alt = fmt.Sprintf("Table of the %s by AUROC and %s. First is %s with %s: AUROC %s, calibration slope %s, O:E %s, Brier score %s, IPA %s.",
		strings.TrimPrefix(count(len(top), "best configuration", "best configurations"), "1 "), count(len(ns), "named pipeline", "named pipelines"), b.label("outlier", best.outlier), b.label("imputation", best.imputation),
		spoken(best.values[auroc], 3), spoken(best.values[slope], 2), spoken(best.values[oe], 2), spoken(best.values[brier], 3), spoken(best.values[scaledBrier], 3))
	return nil
}

// tabAll lists every configuration of the database, registered or not.
func tabAll(b *builder) error {
	columns := []measureColumn{aurocColumn, brierColumn, scaledBrierColumn}
	for i := range columns {
		columns[i].Group = ""
	}
	cs, err := b.configurations("all", "true", nil, measuresOf(columns))
	if err != nil {
		return err
	}
	if len(cs) == 0 {
		return fmt.Errorf("the database holds no configuration; extract a store that has classification runs (target extract)")
	}
	if err := b.compareSubjects("essential_metrics e", "true", nil); err != nil {
		return err
	}
	b.doc.Filter = "none: every configuration of the database"
	hideIntervals(cs, columns)

	t := &sidecar.Table{Label: "tab:plr-all", Long: true}
	t.Columns = append([]sidecar.Column{
		text("rank", "#", "r"), text("outlier", "Outlier", "l"), text("imputation", "Imputation", "l"),
		text("classifier", "Classifier", "l"), text("featurization", "Features", "l"),
	}, b.valueColumns(columns, cs)...)
	ranked := rank(cs)
	marked := 0
	for i, c := range ranked {
		cells := []sidecar.Cell{{Text: strconv.Itoa(i + 1)}}
		unregistered := false
		for _, f := range [][2]string{
			{"outlier", c.outlier}, {"imputation", c.imputation}, {"classifier", c.classifier}, {"featurization", c.featurization},
		} {
			m, err := b.method(f[0], f[1])
			if err != nil {
				return err
			}
			label := m.label
			if !m.registered {
				label += unregisteredMark
				unregistered = true
			}
			cells = append(cells, sidecar.Cell{Text: label})
		}
		if unregistered {
			marked++
		}
		t.Rows = append(t.Rows, sidecar.Row{Cells: append(cells, values(c, columns)...)})
	}
	b.doc.Table = t
	b.doc.Params["unregistered"] = marked

	b.doc.Caption = fmt.Sprintf("%s, ordered by AUROC; the order is that of the test set and not corrected for selection. Measures %s; %s; %s. IPA, index of prediction accuracy (scaled Brier score). %s",
		count(len(cs), "configuration", "configurations"), b.measureWords(false), b.intervalsOf(cs, wordedColumns(columns)), b.testSet(cs), noExternal)
	if marked > 0 {
		b.doc.Caption += fmt.Sprintf(" %s A method that the registry does not list as registered; %s with one, left out of figures.",
			unregisteredMark, count(marked, "configuration", "configurations"))
	}
	best, last := ranked[0], ranked[len(ranked)-1]
	b.doc.Alt = fmt.Sprintf("Table of %s ordered by AUROC, from %s with AUROC %s to %s with AUROC %s.",
		count(len(cs), "configuration", "configurations"), b.name(best), spoken(best.values[auroc], 3), b.name(last), spoken(last.values[auroc], 3))
	return nil
}

// hideIntervals takes intervals of the measures of whole risks and of decisions out of
// a table: one of seven intervals a row does not fit on a page.
func hideIntervals(cs []configuration, columns []measureColumn) {
	for _, c := range cs {
		for _, col := range columns {
			v := c.values[col.measure]
			if (col.better != nil && col.measure != auroc) && v.CI != nil {
				v.CI, v.CIMethod, v.IntervalUndefined = nil, "", notShown
				c.values[col.measure] = v
			}
		}
	}
}

// measureWords says how a table's measures are made: in the estimand
// over_models those of calibration are medians over refits and all others means.
func (b *builder) measureWords(calibration bool) string {
	switch {
	case b.oneRefit:
		return "are of " + b.refitsWords()
	case b.doc.Estimand == metrics.OverModels && calibration:
		return fmt.Sprintf("are means over %s; those of calibration (slope, intercept, O:E) are medians over them", b.refitsWords())
	case b.doc.Estimand == metrics.OverModels:
		return "are means over " + b.refitsWords()
	}
	return "are of the mean risk over " + b.refitsWords()
}

// wordedColumns names columns in a sentence as their headings do.
func wordedColumns(columns []measureColumn) []worded {
	words := map[string]string{slope: "slope", intercept: "intercept", nb15: "NB"}
	var out []worded
	for _, c := range columns {
		word := words[c.measure]
		if word == "" {
			word = c.Heading
		}
		out = append(out, worded{c.measure, word})
	}
	return out
}

func measuresOf(columns []measureColumn) []string {
	var out []string
	for _, c := range columns {
		out = append(out, c.measure)
	}
	return out
}

// valueColumns adds to the heading of a column with intervals what they are.
func (b *builder) valueColumns(columns []measureColumn, cs []configuration) []sidecar.Column {
	out := make([]sidecar.Column, len(columns))
	for i, c := range columns {
		out[i] = c.Column
		hasCI := slices.ContainsFunc(cs, func(x configuration) bool { return x.values[c.measure].CI != nil })
		if level, ok := b.doc.Params["level"].(float64); ok && hasCI {
			out[i].Heading += fmt.Sprintf(" (%s%% CI)", strconv.FormatFloat(100*level, 'g', 4, 64))
		}
	}
	return out
}

func (b *builder) row(place string, c configuration, columns []measureColumn) []sidecar.Cell {
	return append([]sidecar.Cell{
		{Text: place}, {Text: b.label("outlier", c.outlier)}, {Text: b.label("imputation", c.imputation)},
	}, values(c, columns)...)
}

func values(c configuration, columns []measureColumn) []sidecar.Cell {
	var out []sidecar.Cell
	for _, col := range columns {
		v := c.values[col.measure]
		out = append(out, sidecar.Cell{Value: &v})
	}
	return out
}

// markBest marks the best estimate of each column that has an order, and all
// that equal it.
func markBest(t *sidecar.Table, columns []measureColumn) {
	first := len(t.Columns) - len(columns)
	for i, col := range columns {
		if col.better == nil {
			continue
		}
		var best *float64
		for _, r := range t.Rows {
			if x := r.Cells[first+i].Value.Estimate; x != nil && (best == nil || col.better(*x, *best)) {
				best = x
			}
		}
		for _, r := range t.Rows {
			cell := &r.Cells[first+i]
			cell.Strong = best != nil && cell.Value.Estimate != nil && *cell.Value.Estimate == *best
		}
	}
}
