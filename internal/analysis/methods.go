package analysis

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// factor picks one of the two preprocessing steps of a configuration.
type factor struct {
	name  string // as table methods calls it
	title string
	of    func(configuration) string
}

var (
	outlierFactor    = factor{"outlier", "Outlier detection", func(c configuration) string { return c.outlier }}
	imputationFactor = factor{"imputation", "Imputation", func(c configuration) string { return c.imputation }}
)

// group is a method with its configurations, and the plain average of their
// AUROCs over those where it is defined.
type group struct {
	method string
	label  string
	of     method
	cs     []configuration // those with an AUROC, in the order they came in
	mean   float64
}

var errNoAUROC = errors.New("no configuration that passes the filter has a defined AUROC: each test set holds one outcome only; use a store whose test sets hold both outcomes; numbers and tab_all_configs need none")

// groups collects configurations by method: best mean first, equal means by
// name. A method without any AUROC is left out with a warning.
func (b *builder) groups(cs []configuration, f factor) ([]group, error) {
	var out []group
	missing := map[string]int{}
	var order []string
	for _, c := range cs {
		name := f.of(c)
		if _, ok := c.auroc(); !ok {
			if missing[name] == 0 {
				order = append(order, name)
			}
			missing[name]++
			continue
		}
		i := slices.IndexFunc(out, func(g group) bool { return g.method == name })
		if i < 0 {
			m, err := b.method(f.name, name)
			if err != nil {
				return nil, err
			}
			i = len(out)
			out = append(out, group{method: name, label: m.label, of: m})
		}
		out[i].cs = append(out[i].cs, c)
	}
	for _, name := range order {
		b.warn("%s %s: %s without an AUROC, left out", f.title, b.label(f.name, name), count(missing[name], "configuration", "configurations"))
	}
	if len(out) == 0 {
		return nil, errNoAUROC
	}
	for i := range out {
		// From the first value on, so that equal values have themselves as
		// mean and methods that tie do tie.
		first, _ := out[i].cs[0].auroc()
		sum := 0.0
		for _, c := range out[i].cs {
			x, _ := c.auroc()
			sum += x - first
		}
		out[i].mean = first + sum/float64(len(out[i].cs))
	}
	slices.SortFunc(out, func(x, y group) int {
		return cmp.Or(cmp.Compare(y.mean, x.mean), strings.Compare(x.method, y.method))
	})
	return out, nil
}

// meanValue has no interval: the configurations, which mostly share their test
// subjects, are no replicates of each other.
func (g group) meanValue() sidecar.Value {
	return sidecar.Value{Estimate: &g.mean, IntervalUndefined: notAvailable}
}

func (b *builder) forestPanel(id string, cs []configuration, rows, points factor, reference []sidecar.Reference) (sidecar.Panel, []group, error) {
	groups, err := b.groups(cs, rows)
	if err != nil {
		return sidecar.Panel{}, nil, fmt.Errorf("panel %s: %w", id, err)
	}
	forest := &sidecar.Forest{Reference: reference}
	for _, g := range groups {
		row := sidecar.ForestRow{
			Method: g.method, Label: g.label, Category: g.of.category, N: len(g.cs), Mean: g.meanValue(),
		}
		for i, c := range g.cs {
			x, _ := c.auroc()
			if i == 0 {
				row.Range = [2]float64{x, x}
			}
			row.Range = [2]float64{min(row.Range[0], x), max(row.Range[1], x)}
			row.Points = append(row.Points, sidecar.ForestPoint{
				Label: b.label(points.name, points.of(c)), Value: c.values[auroc],
			})
		}
		forest.Rows = append(forest.Rows, row)
	}
	return sidecar.Panel{
		ID: id, Kind: "forest", Title: rows.title, X: "AUROC", Y: "", Estimand: b.doc.Estimand, Forest: forest,
	}, groups, nil
}

// forestCombined shows the AUROC of every configuration by outlier method (a)
// and by imputation method (b).
func forestCombined(b *builder) error {
	cs, err := b.grid("a, b", auroc)
	if err != nil {
		return err
	}
	replicates := "because configurations share the test subjects and are not replicates"
	switch {
	case b.noCodes:
		replicates = "because configurations are not replicates"
	case b.differ:
		replicates = "because configurations are not replicates, and their test subjects differ"
	}
	reference, err := b.groundTruth(cs)
	if err != nil {
		return err
	}
	// Both panels leave out the same configurations: one warning is enough.
	warnings := len(b.doc.Warnings)
	a, byOutlier, err := b.forestPanel("a", cs, outlierFactor, imputationFactor, reference)
	if err != nil {
		return err
	}
	noted := b.doc.Warnings
	p, byImputation, err := b.forestPanel("b", cs, imputationFactor, outlierFactor, reference)
	if err != nil {
		return err
	}
	b.doc.Warnings = noted
	b.doc.Panels = []sidecar.Panel{a, p}
	b.doc.Params["metric"] = auroc

	b.doc.Caption = fmt.Sprintf(
		"AUROC by outlier detection (a) and imputation (b). Dots: configurations (%s), %s; %s; %s. "+
			"Marks: plain means of the dots, without interval, %s; "+
			"methods may have different partners. Ordered by these means of the test set. %s",
		b.fixedWords(), b.estimandWords(), b.intervals(cs, auroc), b.testSet(cs), replicates, noExternal)
	b.doc.Alt = fmt.Sprintf("Forest plot of AUROC for %s. %s %s",
		count(len(cs), "configuration", "configurations"), groupsAlt("Outlier methods", byOutlier), groupsAlt("Imputation methods", byImputation))
	if len(reference) > 0 {
		b.doc.Alt += " Line: " + reference[0].Label + "."
	}
	if len(noted) > warnings {
		b.doc.Alt += " Some configurations have no AUROC and are left out."
	}
	return nil
}

// groundTruth is a line at the AUROC of the pipeline on ground-truth signals.
func (b *builder) groundTruth(cs []configuration) ([]sidecar.Reference, error) {
	out := []sidecar.Reference{}
	for _, p := range b.mainPipelines() {
		if p.Name != groundTruthPipeline {
			continue
		}
		for _, c := range cs {
			if x, ok := c.auroc(); ok && c.outlier == p.Outlier && c.imputation == p.Imputation &&
				c.classifier == p.Classifier && c.featurization == p.Featurization {
				return append(out, sidecar.Reference{Value: x, Label: fmt.Sprintf("%s preprocessing, %s", p.Label, fixed(x, 3))}), nil
			}
		}
		b.warn("the database has no AUROC for the named pipeline %s (%s); the reference line is left out", p.Label, p.Name)
	}
	return out, nil
}

func groupsAlt(what string, gs []group) string {
	var parts []string
	for _, g := range gs {
		parts = append(parts, fmt.Sprintf("%s %s (n = %d)", g.label, fixed(g.mean, 3), len(g.cs)))
	}
	return what + " by mean AUROC: " + strings.Join(parts, ", ") + "."
}

// heatmapPreprocessing shows the AUROC of each pair of methods. Rows and
// columns are the registered methods that have a configuration.
func heatmapPreprocessing(b *builder) error {
	cs, err := b.grid("a", auroc)
	if err != nil {
		return err
	}
	rows, err := b.groups(cs, outlierFactor)
	if err != nil {
		return err
	}
	noted := b.doc.Warnings
	columns, err := b.groups(cs, imputationFactor)
	if err != nil {
		return err
	}
	b.doc.Warnings = noted
	best := rank(cs)[0]

	h := &sidecar.Heatmap{Rows: axis(rows), Columns: axis(columns), Label: "AUROC"}
	cells := 0
	for _, r := range rows {
		line := make([]sidecar.HeatmapCell, len(columns))
		for j, col := range columns {
			line[j].Value = sidecar.Value{Undefined: notInStore}
			for _, c := range cs {
				if c.outlier == r.method && c.imputation == col.method {
					line[j] = sidecar.HeatmapCell{N: 1, Value: c.values[auroc], Best: compareTuple(c, best) == 0}
					cells++
				}
			}
		}
		h.Cells = append(h.Cells, line)
	}
	b.doc.Panels = []sidecar.Panel{{
		ID: "a", Kind: "heatmap", Title: "AUROC; box: best cell, " + selectedMark, X: imputationFactor.title, Y: outlierFactor.title, Estimand: b.doc.Estimand, Heatmap: h,
	}}
	b.doc.Params["metric"] = auroc

	bestName := b.label("outlier", best.outlier) + " with " + b.label("imputation", best.imputation)
	b.doc.Caption = fmt.Sprintf(
		"AUROC of outlier detection (rows) with imputation (columns), %s, %s; %s. "+
			"Box: the best cell, %s, %s; %s. Margins: plain means over the cells that exist (%d of %d); "+
			"they are not comparable between methods with different cells. Grey: no such configuration. %s",
		b.fixedWords(), b.estimandWords(), b.testSet(cs),
		bestName, selectedMark, spokenWith(b, best, cs), cells, len(rows)*len(columns), noExternal)
	b.doc.Alt = fmt.Sprintf("Heat map of AUROC for %s by %s, %d of %d cells filled. Best cell, %s: %s, %s. %s %s",
		count(len(rows), "outlier method", "outlier methods"), count(len(columns), "imputation method", "imputation methods"),
		cells, len(rows)*len(columns), selectedMark, bestName, spoken(best.values[auroc], 3),
		groupsAlt("Rows", rows), groupsAlt("Columns", columns))
	return nil
}

// spokenWith says a configuration's AUROC and what its interval is.
func spokenWith(b *builder, c configuration, all []configuration) string {
	s := "AUROC " + spoken(c.values[auroc], 3)
	if c.values[auroc].CI != nil {
		s += " with " + b.intervals(all, auroc)
	}
	return s
}

func axis(gs []group) []sidecar.HeatmapAxis {
	out := make([]sidecar.HeatmapAxis, len(gs))
	for i, g := range gs {
		out[i] = sidecar.HeatmapAxis{Method: g.method, Label: g.label, Category: g.of.category, N: len(g.cs), Mean: g.meanValue()}
	}
	return out
}
