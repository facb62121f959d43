package latex

import (
	"fmt"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// numbers writes one macro a number, \PLR<Name>, and \PLR<Name>CI for the
// limits of its interval. \providecommand lets a document read the file twice.
// A number without a value says so where it is used; it never becomes 0.
func numbers(doc *sidecar.Document) (string, error) {
	var b strings.Builder
	b.WriteString(comment("Generated from the sidecar " + doc.ID + ".json; do not edit."))
	if doc.Synthetic {
		b.WriteString(comment("SYNTHETIC DATA: these numbers say nothing about people."))
	}
	defined := map[string]bool{}
	define := func(name, body, meaning string) error {
		if defined[name] {
			return fmt.Errorf("macro PLR%s would be defined twice", name)
		}
		defined[name] = true
		if meaning != "" {
			b.WriteString(comment(sentence(meaning)))
		}
		b.WriteString(`\providecommand{\PLR` + name + `}{` + body + "}\n")
		return nil
	}
	for _, n := range doc.Numbers {
		var body, meaning = "", n.Meaning
		switch {
		case n.Count != nil:
			body = number(float64(*n.Count), 0)
		case n.Text != "":
			s, err := Escape(n.Text)
			if err != nil {
				return "", fmt.Errorf("number %s: %w", n.Name, err)
			}
			body = s
		case n.Value.Estimate == nil:
			body = valueless(*n.Value, Undefined)
			if n.Value.Infinite() == 0 {
				meaning = strings.TrimSpace(sentence(meaning) + " Undefined: " + sidecar.ReasonText(n.Value.Undefined) + ".")
			}
		default:
			body = number(factor(n)**n.Value.Estimate, n.Decimals)
		}
		if err := define(n.Name, body, meaning); err != nil {
			return "", err
		}
		if n.Value == nil {
			continue
		}
		switch v := n.Value; {
		case v.CI != nil:
			ci := [2]float64{factor(n) * v.CI[0], factor(n) * v.CI[1]}
			if err := define(n.Name+"CI", interval(ci, n.Decimals), ""); err != nil {
				return "", err
			}
		case v.IntervalUndefined != "":
			if err := define(n.Name+"CI", Undefined, "Interval undefined: "+sidecar.ReasonText(v.IntervalUndefined)+"."); err != nil {
				return "", err
			}
		case v.Undefined != "" && v.CIMethod != "":
			if err := define(n.Name+"CI", Undefined, "Interval undefined: "+sidecar.ReasonText(v.Undefined)+"."); err != nil {
				return "", err
			}
		}
	}
	return b.String(), nil
}

// sentence ends a text with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func factor(n sidecar.Number) float64 {
	if n.Percent {
		return 100
	}
	return 1
}
