package validation

import (
	"database/sql"
	"fmt"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
)

func (v *validator) methods(reg *config.Registry) func() error {
	return func() error {
		var listed []config.Method
		var name, factor, category, label sql.NullString // NULL is a finding of its own
		var registered sql.NullBool
		err := duckfile.Each(v.Ctx, v.DB, "SELECT name, factor, category, label, registered FROM methods", []any{&name, &factor, &category, &label, &registered}, func() error {
			listed = append(listed, config.Method{Name: name.String, Factor: factor.String, Category: category.String, Label: label.String, Registered: registered.Bool})
			return nil
		})
		if err != nil {
			return err
		}
		var agreed []string
		for _, f := range rules.FactorColumns {
			if err := v.Hold(rules.Rule{Table: schema.Essential, Column: f.Column, Message: "is not in the table methods",
				Query: fmt.Sprintf("SELECT config_id FROM essential_metrics WHERE %s NOT IN (SELECT name FROM methods WHERE factor = %s)", f.Column, duckfile.QuoteText(f.Factor))}); err != nil {
				return err
			}
			agreed = append(agreed, fmt.Sprintf("(SELECT bool_and(registered) FROM methods WHERE factor = %s AND name = %s)", duckfile.QuoteText(f.Factor), f.Column))
			if reg == nil {
				continue
			}
			unknown, different := 0, 0
			for _, m := range listed {
				if m.Factor != f.Factor {
					continue
				}
				method, ok := reg.Method(f.Factor, m.Name)
				if !ok && !disclosure.IsUnregistered(m.Name) {
					unknown++
					continue
				}
				if !ok {
					method = disclosure.UnregisteredMethod(f.Factor, m.Name)
				}
				if m.Category != method.Category || m.Label != method.Label || m.Registered != method.Registered {
					different++
				}
			}
			if different > 0 {
				v.Add(rules.Finding{Table: schema.Methods, Column: "category, label, registered", Message: fmt.Sprintf("%d methods of the factor %s are not described as in the registry: build the database again, or take the registry that it was built with", different, f.Factor)})
			}
			if unknown > 0 {
				v.Add(rules.Finding{Table: schema.Methods, Column: "name", Message: fmt.Sprintf("%d methods of the factor %s are not in the registry: such a name is private; add it to the registry or build the database again", unknown, f.Factor)})
			}
		}
		if err := v.Hold(rules.Rule{Table: schema.Essential, Column: "registered", Message: "does not agree with the table methods",
			Query: "SELECT config_id FROM essential_metrics WHERE registered <> (" + strings.Join(agreed, " AND ") + ")"}); err != nil {
			return err
		}
		return v.Hold(rules.Rule{Table: schema.Methods, Column: "factor", Message: "is none of the four factors",
			Query: "SELECT NULL FROM methods WHERE factor NOT IN ('classifier', 'featurization', 'outlier', 'imputation')"})
	}
}
