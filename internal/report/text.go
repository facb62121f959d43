package report

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// none stands where a number is undefined: the reason stands beside it or below.
const none = "–"

// fixed prints x with the given decimals, a true minus sign and none before zero.
func fixed(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// exact prints all digits of a number that may be undefined.
func exact(x *float64) string {
	if x == nil {
		return "undefined"
	}
	return strings.Replace(strconv.FormatFloat(*x, 'g', -1, 64), "-", "−", 1)
}

// thousands groups the digits of large counts.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// count says a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// words is a name of the database as a text says it.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// value prints an estimate with its interval.
func value(v sidecar.Value, decimals int, percent bool) string {
	scale := 1.0
	if percent {
		scale = 100
	}
	switch {
	case v.Infinite() > 0:
		return "∞"
	case v.Infinite() < 0:
		return "−∞"
	case v.Estimate == nil:
		return none
	}
	s := fixed(scale**v.Estimate, decimals)
	if v.CI != nil {
		lo, hi := fixed(scale*v.CI[0], decimals), fixed(scale*v.CI[1], decimals)
		between := "–"
		if strings.HasPrefix(lo+hi, "−") || strings.HasPrefix(hi, "−") {
			between = " to "
		}
		s += " (" + lo + between + hi + ")"
	}
	return s
}

// number prints one number of numbers.tex.
func number(n sidecar.Number) string {
	switch {
	case n.Value != nil:
		return value(*n.Value, n.Decimals, n.Percent)
	case n.Count != nil:
		return thousands(*n.Count)
	}
	return n.Text
}

// remark says of a number how its interval was made, or why there is none, or why
// there is no number.
func remark(n sidecar.Number) string {
	v := n.Value
	switch {
	case v == nil, v.Infinite() != 0:
		return ""
	case v.Estimate == nil:
		return "undefined: " + sidecar.ReasonText(v.Undefined)
	case v.CI != nil:
		return v.CIMethod + " interval"
	case v.IntervalUndefined != "" && v.IntervalUndefined != notAvailable:
		return "no interval: " + sidecar.ReasonText(v.IntervalUndefined)
	}
	return ""
}

// cell prints one cell of a table.
func cell(c sidecar.Cell, column sidecar.Column) string {
	if c.Value == nil {
		return c.Text
	}
	return value(*c.Value, column.Decimals, false)
}

// group is a heading over neighbouring columns; Text is "" over those without.
type group struct {
	Text string
	Span int
}

// groups are the headings of a table's columns; none if no column has one.
func groups(t *sidecar.Table) []group {
	var all []group
	for _, c := range t.Columns {
		if n := len(all); n > 0 && all[n-1].Text == c.Group {
			all[n-1].Span++
			continue
		}
		all = append(all, group{c.Group, 1})
	}
	if len(all) == 1 && all[0].Text == "" {
		return nil
	}
	return all
}

// absences says why cells of a table have no value, or no interval where others
// of their column have one: a sentence a reason.
func absences(t *sidecar.Table) []string {
	var all []string
	say := func(lead string, reason func(sidecar.Value) string) {
		headings := map[string][]string{}
		var order []string
		for j, column := range t.Columns {
			counts := map[string]int{}
			for _, row := range t.Rows {
				if v := row.Cells[j].Value; v != nil {
					if why := reason(*v); why != "" {
						counts[why]++
					}
				}
			}
			for why, n := range counts {
				if headings[why] == nil {
					order = append(order, why)
				}
				headings[why] = append(headings[why], fmt.Sprintf("%s (%d)", column.Heading, n))
			}
		}
		slices.Sort(order)
		for _, why := range order {
			all = append(all, fmt.Sprintf("%s: %s, in %s.", lead, sidecar.ReasonText(why), strings.Join(headings[why], ", ")))
		}
	}
	say(none+", undefined", func(v sidecar.Value) string {
		if v.Infinite() != 0 {
			return ""
		}
		return v.Undefined
	})
	// That a measure has no interval says the caption.
	say("No interval", func(v sidecar.Value) string {
		if v.Estimate == nil || v.IntervalUndefined == notAvailable {
			return ""
		}
		return v.IntervalUndefined
	})
	return all
}

// notAvailable is the reason of a measure that nothing computes an interval of.
const notAvailable = "not_available"

// functions are what the template calls.
var functions = template.FuncMap{
	"absences": absences, "cell": cell, "count": count, "exact": exact, "groups": groups, "meaning": meaning,
	"number": number, "remark": remark, "thousands": thousands, "words": words,
}
