package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/render/house"
)

// notAvailable is the reason of an interval that nothing computes.
const notAvailable = "not_available"

// measured is one measure of a panel's series, as the panel prints it.
type measured struct {
	name   string // in a sentence, such as calibration slope
	series []string
	values []sidecar.Value
	digits int
}

func (m *measured) add(series string, v sidecar.Value) {
	m.series, m.values = append(m.series, series), append(m.values, v)
}

// printed are the measures whose numbers a panel prints beside its plot.
func printed(panel sidecar.Panel) []measured {
	switch {
	case panel.Lines != nil:
		name, _, _ := strings.Cut(panel.Lines.ValueLabel, " (")
		if name == "" {
			name = panel.Title
		}
		m := measured{name: name, digits: forestDecimals}
		for _, c := range panel.Lines.Curves {
			if c.Value != nil {
				m.add(c.Label, *c.Value)
			}
		}
		return []measured{m}
	case panel.Calibration != nil:
		out := []measured{{name: "slope"}, {name: "intercept"}, {name: "O:E"}}
		for _, g := range panel.Calibration.Groups {
			for i, v := range []sidecar.Value{g.Slope, g.Intercept, g.OE} {
				out[i].digits = calibrationDecimals
				out[i].add(g.Label, v)
			}
		}
		return out
	case panel.Risk != nil:
		m := measured{name: "discrimination slope", digits: calibrationDecimals}
		for _, g := range panel.Risk.Groups {
			m.add(g.Label, g.Discrimination)
		}
		return []measured{m}
	}
	return nil
}

// movedNote is a panel's numbers in a sentence, for which the column beside the
// plot had no room.
func movedNote(panel sidecar.Panel) string {
	measures := printed(panel)
	var names, parts []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	for i, series := range measures[0].series {
		var numbers []string
		for _, m := range measures {
			numbers = append(numbers, house.ValueText(m.values[i], m.digits))
		}
		part := series + " " + strings.Join(numbers, ", ")
		if panel.Risk != nil {
			part += " (" + subjects(panel.Risk.Groups[i]) + ")"
		}
		parts = append(parts, part)
	}
	return fmt.Sprintf("Panel %s, %s: %s.", panel.ID, strings.Join(names, ", "), strings.Join(parts, "; "))
}

// undefinedNotes says what a figure leaves out because it has no value: a
// missing mark must not pass for a missing configuration, nor a dash or a
// missing interval for an oversight.
func undefinedNotes(doc *sidecar.Document) []string {
	var out []string
	for _, panel := range doc.Panels {
		if panel.Forest != nil || panel.Heatmap != nil {
			out = append(out, countedNotes(panel)...)
		} else if s := seriesNote(panel); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// seriesNote names the series of a panel that lack a number or an interval.
func seriesNote(panel sidecar.Panel) string {
	var parts []string
	for _, m := range printed(panel) {
		type kind struct{ what, reason string }
		var kinds []kind
		series := map[kind][]string{}
		anyCI := slices.ContainsFunc(m.values, func(v sidecar.Value) bool { return v.CI != nil })
		for i, v := range m.values {
			var k kind
			switch {
			case v.Infinite() != 0:
				continue
			case v.Undefined != "":
				k = kind{"undefined", v.Undefined}
			case v.IntervalUndefined == "" || v.IntervalUndefined == sidecar.NotShown || v.IntervalUndefined == notAvailable && !anyCI:
				continue // a measure that never has an interval has none to miss
			default:
				k = kind{"without interval", v.IntervalUndefined}
			}
			if series[k] == nil {
				kinds = append(kinds, k)
			}
			series[k] = append(series[k], m.series[i])
		}
		for _, k := range kinds {
			who := strings.Join(series[k], ", ")
			if len(series[k]) == len(m.series) && len(m.series) > 1 {
				who = "all"
			}
			parts = append(parts, fmt.Sprintf("%s of %s %s (%s)", m.name, who, k.what, sidecar.ReasonText(k.reason)))
		}
	}
	if parts == nil {
		return ""
	}
	return fmt.Sprintf("Panel %s: %s.", panel.ID, strings.Join(parts, "; "))
}

// countedNotes counts what a panel of many marks leaves out, by reason.
func countedNotes(panel sidecar.Panel) []string {
	type kind struct{ what, reason string }
	counts := map[kind]int{}
	note := func(v sidecar.Value) {
		if v.Undefined != "" {
			counts[kind{"not drawn", v.Undefined}]++
		} else if v.IntervalUndefined != "" {
			counts[kind{"without interval", v.IntervalUndefined}]++
		}
	}
	switch {
	case panel.Forest != nil:
		for _, r := range panel.Forest.Rows {
			if r.Mean.Undefined != "" {
				note(r.Mean)
			}
			for _, q := range r.Points {
				note(q.Value)
			}
		}
	case panel.Heatmap != nil:
		for _, axis := range [][]sidecar.HeatmapAxis{panel.Heatmap.Rows, panel.Heatmap.Columns} {
			for _, a := range axis {
				if a.Mean.Undefined != "" {
					note(a.Mean)
				}
			}
		}
		for _, cells := range panel.Heatmap.Cells {
			for _, c := range cells {
				if c.N > 0 && c.Value.Undefined != "" {
					note(c.Value)
				}
			}
		}
	}
	kinds := make([]kind, 0, len(counts))
	for k := range counts {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return strings.Compare(a.what+a.reason, b.what+b.reason)
	})
	var out []string
	for _, k := range kinds {
		out = append(out, fmt.Sprintf("Panel %s: %d of its values %s: %s.", panel.ID, counts[k], k.what, sidecar.ReasonText(k.reason)))
	}
	return out
}
