package sidecar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Validate says whether a document is whole: schema and identity are given,
// every panel holds the content that its kind names and at least one row,
// lists that belong together are equally long, and every value is either a
// number or a reason. It does not know whether the numbers are right.
func Validate(doc *Document) error {
	if doc.ID == "" {
		return errors.New("document without id")
	}
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%s: %w", doc.ID, fmt.Errorf(format, args...))
	}
	switch doc.Schema {
	case FigureSchema:
		if len(doc.Panels) == 0 || doc.Table != nil || len(doc.Numbers) > 0 {
			return fail("a figure has panels and nothing else")
		}
		seen := map[string]bool{}
		for _, p := range doc.Panels {
			if seen[p.ID] {
				return fail("two panels are called %q", p.ID)
			}
			seen[p.ID] = true
			if err := p.validate(); err != nil {
				return fail("panel %s: %w", p.ID, err)
			}
		}
	case TableSchema:
		if len(doc.Panels) > 0 || (doc.Table == nil) == (len(doc.Numbers) == 0) {
			return fail("a table document has either a table or numbers")
		}
		if doc.Table != nil {
			if err := doc.Table.validate(); err != nil {
				return fail("table: %w", err)
			}
		}
		for _, n := range doc.Numbers {
			if err := n.validate(); err != nil {
				return fail("number %s: %w", n.Name, err)
			}
			if n.Query != "" && !slices.ContainsFunc(doc.Queries, func(q Query) bool { return q.Panel == n.Query }) {
				return fail("number %s: it comes from the query %q, and there is none", n.Name, n.Query)
			}
		}
	default:
		return fail("schema %q is neither %s nor %s", doc.Schema, FigureSchema, TableSchema)
	}
	return nil
}

func (v Value) validate() error {
	switch {
	case v.Estimate == nil && v.Undefined == "":
		return errors.New("neither a number nor a reason why there is none")
	case v.Estimate != nil && v.Undefined != "":
		return fmt.Errorf("a number and a reason (%s) why there is none", v.Undefined)
	case v.CI != nil && v.Undefined != "":
		return fmt.Errorf("an interval though it is undefined (%s)", v.Undefined)
	case v.CI != nil && v.IntervalUndefined != "":
		return fmt.Errorf("an interval and a reason (%s) why there is none", v.IntervalUndefined)
	case v.CI != nil && v.CI[0] > v.CI[1]:
		return errors.New("lower limit above the upper limit")
	}
	return nil
}

func (p Panel) validate() error {
	held := 0
	for _, set := range []bool{p.Forest != nil, p.Heatmap != nil, p.Lines != nil, p.Calibration != nil, p.Risk != nil} {
		if set {
			held++
		}
	}
	if held != 1 {
		return fmt.Errorf("%d contents instead of one", held)
	}
	switch {
	case p.Kind == "forest" && p.Forest != nil:
		return p.Forest.validate()
	case p.Kind == "heatmap" && p.Heatmap != nil:
		return p.Heatmap.validate()
	case p.Kind == "lines" && p.Lines != nil:
		return p.Lines.validate()
	case p.Kind == "calibration" && p.Calibration != nil:
		return p.Calibration.validate()
	case p.Kind == "risk" && p.Risk != nil:
		return p.Risk.validate()
	}
	return fmt.Errorf("kind %q does not name its content", p.Kind)
}

func (f *Forest) validate() error {
	if len(f.Rows) == 0 {
		return errors.New("no rows")
	}
	for _, r := range f.Rows {
		if len(r.Points) == 0 {
			return fmt.Errorf("row %s has no configuration", r.Label)
		}
		if r.N != len(r.Points) {
			return fmt.Errorf("row %s says n = %d and has %d points", r.Label, r.N, len(r.Points))
		}
		if err := r.Mean.validate(); err != nil {
			return fmt.Errorf("mean of %s: %w", r.Label, err)
		}
		for _, p := range r.Points {
			if err := p.Value.validate(); err != nil {
				return fmt.Errorf("point %s of %s: %w", p.Label, r.Label, err)
			}
		}
	}
	return nil
}

func (h *Heatmap) validate() error {
	if len(h.Rows) == 0 || len(h.Columns) == 0 {
		return errors.New("no rows or no columns")
	}
	if len(h.Cells) != len(h.Rows) {
		return fmt.Errorf("%d rows of cells for %d rows", len(h.Cells), len(h.Rows))
	}
	for i, cells := range h.Cells {
		if len(cells) != len(h.Columns) {
			return fmt.Errorf("row %s has %d cells for %d columns", h.Rows[i].Label, len(cells), len(h.Columns))
		}
		for j, c := range cells {
			if err := c.Value.validate(); err != nil {
				return fmt.Errorf("cell %s, %s: %w", h.Rows[i].Label, h.Columns[j].Label, err)
			}
		}
	}
	for _, axis := range [][]HeatmapAxis{h.Rows, h.Columns} {
		for _, a := range axis {
			if err := a.Mean.validate(); err != nil {
				return fmt.Errorf("mean of %s: %w", a.Label, err)
			}
		}
	}
	return nil
}

func (l *Lines) validate() error {
	if len(l.Curves) == 0 {
		return errors.New("no curves")
	}
	if l.XRange[0] >= l.XRange[1] || l.YRange[0] >= l.YRange[1] {
		return errors.New("an axis whose range is empty")
	}
	for _, c := range slices.Concat(l.Curves, l.Guides) {
		if len(c.X) != len(c.Y) {
			return fmt.Errorf("curve %s has %d x and %d y", c.Label, len(c.X), len(c.Y))
		}
		if len(c.X) < 2 {
			return fmt.Errorf("curve %s has %d points", c.Label, len(c.X))
		}
		if c.Value != nil {
			if err := c.Value.validate(); err != nil {
				return fmt.Errorf("value of curve %s: %w", c.Label, err)
			}
		}
	}
	return nil
}

func (c *Calibration) validate() error {
	if len(c.Groups) == 0 {
		return errors.New("no groups")
	}
	for _, g := range c.Groups {
		if len(g.Points) == 0 {
			return fmt.Errorf("%s has no bins", g.Label)
		}
		for _, p := range g.Points {
			if p.N < 1 {
				return fmt.Errorf("%s has a bin of %d rows", g.Label, p.N)
			}
		}
		for _, m := range []struct {
			name string
			v    Value
		}{{"slope", g.Slope}, {"intercept", g.Intercept}, {"O:E", g.OE}} {
			if err := m.v.validate(); err != nil {
				return fmt.Errorf("%s of %s: %w", m.name, g.Label, err)
			}
		}
	}
	return nil
}

func (r *Risk) validate() error {
	if len(r.Groups) == 0 {
		return errors.New("no groups")
	}
	if len(r.Edges) < 2 || !slices.IsSorted(r.Edges) || len(slices.Compact(slices.Clone(r.Edges))) != len(r.Edges) {
		return errors.New("bin edges do not ascend")
	}
	for _, g := range r.Groups {
		if len(g.Control) != len(r.Edges)-1 || len(g.Event) != len(r.Edges)-1 {
			return fmt.Errorf("%s has %d and %d counts for %d bins", g.Label, len(g.Control), len(g.Event), len(r.Edges)-1)
		}
		if err := g.Discrimination.validate(); err != nil {
			return fmt.Errorf("discrimination slope of %s: %w", g.Label, err)
		}
	}
	return nil
}

func (t *Table) validate() error {
	if len(t.Columns) == 0 || len(t.Rows) == 0 {
		return errors.New("no columns or no rows")
	}
	for _, c := range t.Columns {
		if c.Align != "l" && c.Align != "r" {
			return fmt.Errorf("column %s is aligned %q, which is neither l nor r", c.ID, c.Align)
		}
		if c.Decimals < 0 {
			return fmt.Errorf("column %s has %d decimals", c.ID, c.Decimals)
		}
	}
	for i, r := range t.Rows {
		if len(r.Cells) != len(t.Columns) {
			return fmt.Errorf("row %d has %d cells for %d columns", i+1, len(r.Cells), len(t.Columns))
		}
		for j, c := range r.Cells {
			if c.Value == nil {
				continue
			}
			if c.Text != "" {
				return fmt.Errorf("row %d, %s: a text and a value", i+1, t.Columns[j].ID)
			}
			if err := c.Value.validate(); err != nil {
				return fmt.Errorf("row %d, %s: %w", i+1, t.Columns[j].ID, err)
			}
		}
	}
	return nil
}

func (n Number) validate() error {
	letters := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	if n.Name == "" || strings.ContainsFunc(n.Name, func(r rune) bool { return !letters(r) }) {
		return errors.New("a name has letters only, because TeX allows no other in a macro")
	}
	held := 0
	for _, set := range []bool{n.Text != "", n.Count != nil, n.Value != nil} {
		if set {
			held++
		}
	}
	if held != 1 {
		return fmt.Errorf("%d of text, count and value are set instead of one", held)
	}
	if n.Value != nil {
		return n.Value.validate()
	}
	return nil
}

// reasons are the words for what the measures give as reasons.
var reasons = map[string]string{
	"empty":                         "no subjects",
	"invalid_input":                 "invalid input",
	"one_class":                     "one outcome class only",
	"too_few":                       "too few subjects",
	"constant_risk":                 "constant risk",
	"separated":                     "outcomes perfectly separated",
	"extreme_risk":                  "risks of exactly 0 or 1",
	"zero_variance":                 "zero variance",
	"zero_denominator":              "zero denominator",
	"too_many_undefined_replicates": "too many undefined replicates",
	"not_available":                 "not available",
	"not_in_store":                  "not in the store",
	"infinite_limit":                "a limit is infinite",
	NotShown:                        "not shown",
	PositiveInfinity:                "infinite",
	NegativeInfinity:                "minus infinite",
}

// Infinite is 1 or -1 where a value is a true limit for which JSON has no
// number, such as O:E where no event was expected, and 0 elsewhere. Such a value
// is shown as what it is and never as undefined.
func (v Value) Infinite() int {
	switch {
	case v.Estimate == nil && v.Undefined == PositiveInfinity:
		return 1
	case v.Estimate == nil && v.Undefined == NegativeInfinity:
		return -1
	}
	return 0
}

// ReasonText is a reason in words, to be read by people. A reason that is not
// known is given with spaces for underscores.
func ReasonText(reason string) string {
	if s, ok := reasons[reason]; ok {
		return s
	}
	return strings.ReplaceAll(reason, "_", " ")
}
