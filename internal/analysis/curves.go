package analysis

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

const (
	// groundTruthPipeline is the registry's name of the reference pipeline.
	groundTruthPipeline = "ground_truth"
	// binLevel is the level of the intervals of calibration bins.
	binLevel = 0.95
	// riskBins is the number of equal bins in which risks are counted.
	riskBins = 20
	// The decision curve's thresholds: beyond even odds nobody would treat.
	lowestThreshold, highestThreshold = 0.01, 0.50
	// tolerance of numbers that are computed twice, on different ways.
	tolerance = 1e-9
)

// stratosCore shows the four things that a paper should show of a risk model,
// for the main named pipelines: ROC curve, calibration, decision curve and the
// distribution of risk. All of it is of the mean risk, and so are the numbers
// that stand beside the curves.
func stratosCore(b *builder) error {
	b.doc.Estimand = metrics.MeanRisk
	b.doc.Filter = "main named pipelines of the registry"
	ps := b.mainPipelines()
	ns, err := b.namedPipelines("a, b", ps, auroc, slope, intercept, oe)
	if err != nil {
		return err
	}
	if len(ns) == 0 {
		held, err := b.held()
		if err != nil {
			return err
		}
		var names []string
		for _, p := range ps {
			names = append(names, p.Name)
		}
		return fmt.Errorf("the database holds none of the main named pipelines (%s); %s; use a store that has one (target extract), or name under pipelines in configs/registry.yaml what tab_all_configs lists", strings.Join(names, ", "), held)
	}
	from, args := pipelineJoin(ps)
	if err := b.compareSubjects(from, "true", args); err != nil {
		return err
	}
	// A ROC curve and distributions by outcome need both outcomes.
	both := slices.DeleteFunc(slices.Clone(ns), func(n named) bool { return n.events == 0 || n.events == n.n })
	var oneClass []string
	for _, n := range ns {
		if n.events == 0 || n.events == n.n {
			oneClass = append(oneClass, n.Label)
			b.warn("the test set of the named pipeline %s (%s) holds one outcome class only; it is left out of panels a and d", n.Label, n.Name)
		}
	}
	if len(both) == 0 {
		return fmt.Errorf("the test sets of all named pipelines (%s) hold one outcome class only, so there is no ROC curve; use a store whose test sets hold both outcomes", list(oneClass))
	}
	sentence := b.testSet(configurationsOf(ns)) + ", " + b.prevalence(configurationsOf(ns))
	makers := []struct {
		make func(*builder, []named) (sidecar.Panel, error)
		of   []named
	}{{rocPanel, both}, {calibrationPanel, ns}, {decisionPanel, ns}, {riskPanel, both}}
	for _, m := range makers {
		p, err := m.make(b, m.of)
		if err != nil {
			return err
		}
		b.doc.Panels = append(b.doc.Panels, p)
	}

	cs := configurationsOf(ns)
	risks := "the mean risk over " + b.refitsWords() + " (a bagged model)"
	if b.oneRefit {
		risks = "the risks of " + b.refitsWords()
	}
	b.doc.Caption = fmt.Sprintf(
		"Named pipelines (%s), %s. Curves and the numbers beside them are of %s. "+
			"(a) AUROC with %s. "+
			"(b) Observed event rate in 10 equal bins of risk with Wilson %d%% intervals and counts; intercept: calibration in the large (slope fixed at 1); %s. "+
			"(c) Net benefit at thresholds %s–%s, no interval; it depends on the prevalence, which is the study's and not the clinic's. "+
			"(d) Subjects in %% of their outcome group, in %d equal bins of risk; discrimination slope. %s",
		b.pipelineWords(ns), sentence, risks, b.intervals(cs, auroc), int(math.Round(100*binLevel)),
		b.intervalsOf(cs, []worded{{slope, "slope"}, {intercept, "intercept"}, {oe, "O:E"}}),
		fixed(lowestThreshold, 2), fixed(highestThreshold, 2), len(b.doc.Panels[3].Risk.Edges)-1, noExternal)
	switch {
	case b.noCodes:
		b.doc.Caption += " The database holds no risks of single subjects, which d would show as strokes."
	case b.rounded != "":
		b.doc.Caption += fmt.Sprintf(" Of the risks in d and the bins of b, the database holds %s decimals.", b.rounded)
	}
	if oneClass != nil {
		b.doc.Caption += " Not in a and d, because the test set holds one outcome only: " + list(oneClass) + "."
	}
	discrimination := map[string]sidecar.Value{}
	for _, g := range b.doc.Panels[3].Risk.Groups {
		discrimination[g.Pipeline] = g.Discrimination
	}
	var parts []string
	for _, n := range ns {
		d, ok := discrimination[n.Name]
		if !ok {
			d = sidecar.Value{Undefined: string(metrics.OneClass)}
		}
		parts = append(parts, fmt.Sprintf("%s: AUROC %s, calibration slope %s, O:E %s, discrimination slope %s", n.Label,
			spoken(n.values[auroc], 3), spoken(n.values[slope], 2), spoken(n.values[oe], 2), spoken(d, 2)))
	}
	b.doc.Alt = fmt.Sprintf("Four panels for %s: ROC curves, calibration, decision curves and risk distributions. %s.",
		count(len(ns), "pipeline", "pipelines"), strings.Join(parts, "; "))
	return nil
}

// curveRows asks for rows of the pipelines' configurations and hands them back
// by pipeline, in the order of ns. table must have a config_id; the rows of a
// pipeline come ordered by order. A pipeline without rows is an error.
func curveRows[T any](b *builder, panel string, ns []named, table, columns, where, order string, args []any, scan func(*sql.Rows, *int, *T) error) ([][]T, error) {
	ps := slices.Clone(b.pipelines[:0:0])
	for _, n := range ns {
		ps = append(ps, n.Pipeline)
	}
	from, pipelineArgs := pipelineJoin(ps)
	type placed struct {
		position int
		row      T
	}
	rows, err := ask(b, panel, `SELECT p.position, `+columns+` FROM `+from+` JOIN `+table+` t ON t.config_id = e.config_id
		WHERE `+where+` ORDER BY p.position, `+order,
		append(pipelineArgs, args...),
		func(rows *sql.Rows) (p placed, err error) {
			err = scan(rows, &p.position, &p.row)
			return p, err
		})
	if err != nil {
		return nil, err
	}
	out := make([][]T, len(ns))
	for _, r := range rows {
		out[r.position-1] = append(out[r.position-1], r.row)
	}
	for i, n := range ns {
		if len(out[i]) == 0 {
			return nil, fmt.Errorf("panel %s: table %s has no rows for the pipeline %s; make the checkpoint anew with the target extract", panel, table, n.Name)
		}
	}
	return out, nil
}

func rocPanel(b *builder, ns []named) (sidecar.Panel, error) {
	type point struct{ x, y float64 }
	all, err := curveRows(b, "a", ns, "roc_curves", "t.fpr, t.tpr", "true", "t.point_index, t.fpr, t.tpr", nil,
		func(rows *sql.Rows, position *int, p *point) error { return rows.Scan(position, &p.x, &p.y) })
	if err != nil {
		return sidecar.Panel{}, err
	}
	lines := &sidecar.Lines{
		Step: true, XRange: [2]float64{0, 1}, YRange: [2]float64{0, 1},
		Guides:    []sidecar.Curve{guide("chance", "Chance", []float64{0, 1}, []float64{0, 1})},
		Verticals: []sidecar.Reference{}, ValueLabel: "AUROC",
	}
	if slices.ContainsFunc(ns, func(n named) bool { return n.values[auroc].CI != nil }) {
		lines.ValueLabel = fmt.Sprintf("AUROC (%s CI)", strings.Fields(b.levelWords())[0])
	}
	for i, n := range ns {
		c := sidecar.Curve{Series: n.series()}
		area := 0.0
		for j, p := range all[i] {
			c.X = append(c.X, p.x)
			c.Y = append(c.Y, p.y)
			if j == 0 {
				continue
			}
			was := all[i][j-1]
			if p.x < was.x || p.y < was.y {
				return sidecar.Panel{}, fmt.Errorf("panel a: the ROC curve of %s turns back; make the checkpoint anew with the target extract", n.Name)
			}
			// Equal risks of a control and an event make a slanted piece,
			// which steps would draw too high or too low.
			if p.x != was.x && p.y != was.y {
				lines.Step = false
			}
			area += (p.x - was.x) * (p.y + was.y) / 2
		}
		v := n.values[auroc]
		if v.Estimate != nil && math.Abs(area-*v.Estimate) > tolerance {
			return sidecar.Panel{}, fmt.Errorf("panel a: the area under the ROC curve of %s is %g, but stratos_metrics says %g of the mean risk; make the checkpoint anew with the target extract",
				n.Name, area, *v.Estimate)
		}
		c.Value = &v
		lines.Curves = append(lines.Curves, c)
	}
	return sidecar.Panel{
		ID: "a", Kind: "lines", Title: "ROC (AUROC of the mean risk)", X: "1 − specificity", Y: "Sensitivity",
		Estimand: metrics.MeanRisk, Lines: lines,
	}, nil
}

func guide(name, label string, x, y []float64) sidecar.Curve {
	return sidecar.Curve{Series: sidecar.Series{Pipeline: name, Label: label, Category: "guide"}, X: x, Y: y}
}

func calibrationPanel(b *builder, ns []named) (sidecar.Panel, error) {
	type bin struct {
		predicted, observed sql.NullFloat64
		n                   int
	}
	all, err := curveRows(b, "b", ns, "calibration_curves", "t.predicted_mean, t.observed_proportion, t.n_samples", "t.n_samples > 0", "t.bin_index, t.predicted_mean, t.observed_proportion, t.n_samples", nil,
		func(rows *sql.Rows, position *int, x *bin) error {
			return rows.Scan(position, &x.predicted, &x.observed, &x.n)
		})
	if err != nil {
		return sidecar.Panel{}, err
	}
	cal := &sidecar.Calibration{}
	for i, n := range ns {
		g := sidecar.CalibrationGroup{
			Series: n.series(), Slope: n.values[slope], Intercept: n.values[intercept], OE: n.values[oe],
		}
		total := 0
		for _, x := range all[i] {
			events := math.Round(x.observed.Float64 * float64(x.n))
			if !x.predicted.Valid || !x.observed.Valid || math.Abs(events-x.observed.Float64*float64(x.n)) > tolerance*float64(x.n) {
				return sidecar.Panel{}, fmt.Errorf("panel b: a bin of %s with %d subjects has no whole number of events; make the checkpoint anew with the target extract", n.Name, x.n)
			}
			lo, hi := metrics.Wilson(int(events), x.n, binLevel)
			g.Points = append(g.Points, sidecar.CalibrationPoint{
				Predicted: x.predicted.Float64, Observed: x.observed.Float64, Lower: lo, Upper: hi, N: x.n,
			})
			total += x.n
		}
		if total != n.n {
			return sidecar.Panel{}, fmt.Errorf("panel b: the bins of %s hold %d subjects, its measures stand on %d; make the checkpoint anew with the target extract", n.Name, total, n.n)
		}
		cal.Groups = append(cal.Groups, g)
	}
	return sidecar.Panel{
		ID: "b", Kind: "calibration", Title: "Calibration", X: "Predicted risk", Y: "Observed event rate",
		Estimand: metrics.MeanRisk, Calibration: cal,
	}, nil
}

func decisionPanel(b *builder, ns []named) (sidecar.Panel, error) {
	type point struct{ t, model, all float64 }
	// Half a step wider than the grid, so that a threshold's rounding cannot
	// decide whether it is shown.
	const half = 0.005
	all, err := curveRows(b, "c", ns, "dca_curves", "t.threshold, t.net_benefit_model, t.net_benefit_all",
		"t.threshold BETWEEN ? AND ?", "t.threshold, t.net_benefit_model, t.net_benefit_all", []any{lowestThreshold - half, highestThreshold + half},
		func(rows *sql.Rows, position *int, p *point) error {
			return rows.Scan(position, &p.t, &p.model, &p.all)
		})
	if err != nil {
		return sidecar.Panel{}, err
	}
	lines := &sidecar.Lines{XRange: [2]float64{0, highestThreshold}, Verticals: []sidecar.Reference{}}
	// The lowest line that must stay in sight is a little below treating
	// nobody; treating everybody may leave the panel.
	low, high := -0.05, 0.0
	var prevalences []float64
	for i, n := range ns {
		c := sidecar.Curve{Series: n.series()}
		var everybody []float64
		for _, p := range all[i] {
			c.X = append(c.X, p.t)
			c.Y = append(c.Y, p.model)
			everybody = append(everybody, p.all)
			low, high = min(low, p.model), max(high, p.model, p.all)
		}
		lines.Curves = append(lines.Curves, c)
		// One line stands for all pipelines whose prevalence is the same.
		all := guide("treat_all", "Treat all", c.X, everybody)
		same := func(other sidecar.Curve) bool {
			return slices.Equal(all.X, other.X) && slices.EqualFunc(all.Y, other.Y, func(a, b float64) bool { return math.Abs(a-b) <= tolerance })
		}
		if !slices.ContainsFunc(lines.Guides, same) {
			lines.Guides = append(lines.Guides, all)
		}
		if p := float64(n.events) / float64(n.n); !slices.Contains(prevalences, p) {
			prevalences = append(prevalences, p)
		}
	}
	// Several prevalences, or one beyond the axis, stand in the caption alone.
	if p := prevalences[0]; len(prevalences) == 1 && p <= highestThreshold {
		lines.Verticals = append(lines.Verticals, sidecar.Reference{Value: p, Label: fmt.Sprintf("Prevalence %s%%", fixed(100*p, 1))})
	}
	lines.Guides = append(lines.Guides, guide("treat_none", "Treat none", []float64{0, highestThreshold}, []float64{0, 0}))
	// Ends of the axis on multiples of 0.05.
	lines.YRange = [2]float64{math.Floor(low*20) / 20, math.Ceil(high*20) / 20}
	return sidecar.Panel{
		ID: "c", Kind: "lines", Title: "Decision curve", X: "Threshold probability", Y: "Net benefit",
		Estimand: metrics.MeanRisk, Lines: lines,
	}, nil
}

// binsWithoutSubjects is the number of bins of the table probability_distributions.
const binsWithoutSubjects = 10

// countedRisks is the panel of a database without risks of single subjects: what
// it counted itself, in wider bins and without a stroke a subject.
func countedRisks(b *builder, ns []named) (sidecar.Panel, error) {
	type bin struct{ outcome, index, n int }
	all, err := curveRows(b, "d", ns, "probability_distributions", `t.outcome, t.bin_index, t."count"`, "true", "t.outcome, t.bin_index", nil,
		func(rows *sql.Rows, position *int, x *bin) error {
			return rows.Scan(position, &x.outcome, &x.index, &x.n)
		})
	if err != nil {
		return sidecar.Panel{}, err
	}
	type means struct{ events, controls sql.NullFloat64 }
	stats, err := curveRows(b, "d", ns, "distribution_stats", "t.mean_cases, t.mean_controls", "true", "t.mean_cases", nil,
		func(rows *sql.Rows, position *int, m *means) error {
			return rows.Scan(position, &m.events, &m.controls)
		})
	if err != nil {
		return sidecar.Panel{}, err
	}
	risk := &sidecar.Risk{}
	for i := range binsWithoutSubjects + 1 {
		risk.Edges = append(risk.Edges, float64(i)/binsWithoutSubjects)
	}
	for i, n := range ns {
		g := sidecar.RiskGroup{
			Series: n.series(), Control: make([]int, binsWithoutSubjects), Event: make([]int, binsWithoutSubjects),
			ControlRisks: []float64{}, EventRisks: []float64{}, Discrimination: sidecar.Value{Undefined: string(metrics.OneClass)},
		}
		events, subjects := 0, 0
		for _, x := range all[i] {
			counts := g.Control
			if x.outcome == 1 {
				counts = g.Event
				events += x.n
			}
			if x.index < 0 || x.index >= len(counts) {
				return sidecar.Panel{}, fmt.Errorf("panel d: probability_distributions of %s has a bin %d; make the checkpoint anew with the target extract", n.Name, x.index)
			}
			counts[x.index] += x.n
			subjects += x.n
		}
		if subjects != n.n || events != n.events {
			return sidecar.Panel{}, fmt.Errorf("panel d: probability_distributions of %s count %d subjects with %d events, its measures stand on %d with %d; make the checkpoint anew with the target extract",
				n.Name, subjects, events, n.n, n.events)
		}
		if m := stats[i][0]; m.events.Valid && m.controls.Valid {
			slope := m.events.Float64 - m.controls.Float64
			g.Discrimination = sidecar.Value{Estimate: &slope, IntervalUndefined: notAvailable}
		}
		risk.Groups = append(risk.Groups, g)
	}
	return sidecar.Panel{
		ID: "d", Kind: "risk", Title: "Predicted risk by outcome", X: "Predicted risk", Y: "Subjects",
		Estimand: metrics.MeanRisk, Risk: risk,
	}, nil
}

func riskPanel(b *builder, ns []named) (sidecar.Panel, error) {
	if b.noCodes {
		return countedRisks(b, ns)
	}
	type prediction struct {
		outcome int
		risk    float64
	}
	// By outcome and risk, not by subject: the codes play no part, and rows
	// that are equal in both can change places.
	all, err := curveRows(b, "d", ns, "predictions", "t.y_true, t.y_prob", "true", "t.y_true, t.y_prob", nil,
		func(rows *sql.Rows, position *int, p *prediction) error {
			return rows.Scan(position, &p.outcome, &p.risk)
		})
	if err != nil {
		return sidecar.Panel{}, err
	}
	risk := &sidecar.Risk{}
	for i := range riskBins + 1 {
		risk.Edges = append(risk.Edges, float64(i)/riskBins)
	}
	for i, n := range ns {
		var outcomes []int
		var risks []float64
		g := sidecar.RiskGroup{Series: n.series(), ControlRisks: []float64{}, EventRisks: []float64{}}
		for _, p := range all[i] {
			outcomes = append(outcomes, p.outcome)
			risks = append(risks, p.risk)
			if p.outcome == 1 {
				g.EventRisks = append(g.EventRisks, p.risk)
			} else {
				g.ControlRisks = append(g.ControlRisks, p.risk)
			}
		}
		sample, err := metrics.NewSample(outcomes, risks)
		if err != nil {
			return sidecar.Panel{}, fmt.Errorf("panel d: table predictions, pipeline %s: %w", n.Name, err)
		}
		if sample.N() != n.n || sample.Events() != n.events {
			return sidecar.Panel{}, fmt.Errorf("panel d: predictions of %s hold %d subjects with %d events, its measures stand on %d with %d; make the checkpoint anew with the target extract",
				n.Name, sample.N(), sample.Events(), n.n, n.events)
		}
		for _, bin := range metrics.CalibrationBins(sample, riskBins) {
			g.Control = append(g.Control, bin.N-bin.Events)
			g.Event = append(g.Event, bin.Events)
		}
		g.Discrimination = fromResult(metrics.DiscriminationSlope(sample))
		risk.Groups = append(risk.Groups, g)
	}
	return sidecar.Panel{
		ID: "d", Kind: "risk", Title: "Predicted risk by outcome", X: "Predicted risk", Y: "Subjects",
		Estimand: metrics.MeanRisk, Risk: risk,
	}, nil
}

// fromResult is a measure computed here as documents hold it.
func fromResult(r metrics.Result) sidecar.Value {
	switch {
	case r.Undefined != "":
		return sidecar.Value{Undefined: string(r.Undefined)}
	case math.IsInf(r.Value, 1):
		return sidecar.Value{Undefined: positiveInfinity}
	case math.IsInf(r.Value, -1):
		return sidecar.Value{Undefined: negativeInfinity}
	}
	v := sidecar.Value{Estimate: &r.Value}
	switch {
	case r.Interval.Undefined != "":
		v.IntervalUndefined = string(r.Interval.Undefined)
	case r.Interval.Method == "":
		v.IntervalUndefined = notAvailable
	default:
		v.CI, v.CIMethod = &[2]float64{r.Interval.Lower, r.Interval.Upper}, methodWords(r.Interval.Method)
	}
	return v
}
