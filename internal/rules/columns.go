package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// condition is what no row of a table may be.
type condition struct{ column, message, sql string }

func conditions(c schema.Column) (all []condition) {
	add := func(message, sql string) {
		all = append(all, condition{c.Name, message, strings.ReplaceAll(sql, "@", duckfile.Quote(c.Name))})
	}
	if c.Traits&schema.Nullable == 0 {
		add("is NULL", "@ IS NULL")
	}
	if c.Kind == duckfile.Double {
		add("is NaN; what is undefined is NULL", "isnan(@)")
		if c.Traits&(schema.Infinite|schema.Unit) == 0 {
			add("is infinite", "isinf(@)")
		}
	}
	switch {
	case c.Traits&schema.Unit != 0:
		add("is not in [0, 1]", "NOT isnan(CAST(@ AS DOUBLE)) AND @ NOT BETWEEN 0 AND 1")
	case c.Traits&schema.Natural != 0:
		add("is below 0", "@ < 0")
	}
	if c.Kind == duckfile.Varchar {
		add("is empty text; what is absent is NULL", "@ = ''")
		add("holds what looks like an original subject code", "regexp_matches(@, '(?i)plr[0-9]{4}')")
	}
	return all
}

// Columns holds every table against what the schema says of its columns: one
// pass a table, for a query each would take most of the time of a build.
func (c *Check) Columns() error {
	for _, t := range schema.Tables {
		id := "NULL"
		if slices.ContainsFunc(t.Columns, func(c schema.Column) bool { return c.Name == "config_id" }) {
			id = "config_id"
		}
		var all []condition
		for _, column := range t.Columns {
			all = append(all, conditions(column)...)
		}
		if err := c.holdAll(t.Name, id, all); err != nil {
			return err
		}
		key := make([]string, len(t.Key))
		for i, k := range t.Key {
			key[i] = duckfile.Quote(k)
		}
		if err := c.Hold(Rule{Table: t.Name, Column: strings.Join(t.Key, ", "), Message: "occurs more than once",
			Query: fmt.Sprintf("SELECT any_value(%s) FROM %s GROUP BY %s HAVING count(*) > 1", id, t.Name, strings.Join(key, ", "))}); err != nil {
			return err
		}
	}
	return nil
}

func (c *Check) holdAll(table, id string, all []condition) error {
	counts := make([]string, len(all))
	for i, forbidden := range all {
		counts[i] = "count(*) FILTER (WHERE " + forbidden.sql + ")" // count_if is NULL where all are
	}
	broken, err := c.counts(fmt.Sprintf("SELECT %s AS config_id, NULL, %s FROM %s GROUP BY ALL ORDER BY config_id NULLS FIRST", id, strings.Join(counts, ", "), table), len(all))
	if err != nil {
		return fmt.Errorf("columns of %s: %w", table, err)
	}
	for i, forbidden := range all {
		c.Report(Rule{Table: table, Column: forbidden.column, Message: forbidden.message}, broken[i])
	}
	return nil
}
