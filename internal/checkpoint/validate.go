package checkpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/recomputation"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// Verdict is what Validate found, and how far it looked.
type Verdict struct {
	Findings []rules.Finding
	// Recomputed counts the configurations whose measures of the mean risk, intervals
	// of resamples included, were computed again from the predictions; Curves counts
	// those among them of which intervals of errors of the smoothed calibration curve
	// were, too. Without exact predictions there are none.
	Recomputed, Curves int
}

// Validate holds a database against the schema, the rules that keys and checks
// of a database would keep, what one table says of another, and the registry
// (nil: not that). No findings means that figures and tables can be made of it.
// An error means that it could not be looked at.
func Validate(ctx context.Context, path string, reg *config.Registry) (*Verdict, error) {
	db, err := duckfile.Open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer db.Close() //nolint:errcheck // read only: nothing can be lost
	v := &validator{Check: &rules.Check{Ctx: ctx, DB: db}}
	if err := v.schema(); err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	if len(v.Findings) > 0 { // the other rules would trip over what is missing
		return &Verdict{Findings: v.Findings}, nil
	}
	if v.said, err = v.pairs("SELECT key, value FROM meta"); err != nil {
		return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
	}
	contents := func() error { return v.Contents(disclosure.PrivacyOf(v.said)) }
	v.again = recomputation.New(v.Check, v.said)
	for _, step := range []func() error{v.Columns, contents, v.again.Measures, v.again.Configurations, v.methods(reg), v.meta, v.again.Comparisons} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("validate %s: %w", filepath.Base(path), err)
		}
	}
	return &Verdict{Findings: v.Findings, Recomputed: v.again.Recomputed, Curves: v.again.Curves}, nil
}

type validator struct {
	*rules.Check
	said  map[string]string // the table meta
	again *recomputation.Recomputation
}

// schema wants exactly our tables and views, and nothing beside them.
func (v *validator) schema() error {
	found, err := duckfile.Tables(v.Ctx, v.DB)
	if err != nil {
		return err
	}
	for _, want := range schema.Tables {
		i := slices.IndexFunc(found, func(t duckfile.Table) bool { return t.Name == want.Name })
		if i < 0 {
			v.Add(rules.Finding{Table: want.Name, Message: "the table is missing"})
			continue
		}
		v.sameColumns(want, found[i])
	}
	for _, t := range found {
		if !slices.ContainsFunc(schema.Tables, func(want schema.Table) bool { return want.Name == t.Name }) {
			v.Add(rules.Finding{Table: "schema", Message: "there is a table that is not of this schema"})
		}
	}
	return v.catalogue()
}

// catalogue wants of what people can write into a database beside its rows
// nothing but the definitions of our tables and views.
func (v *validator) catalogue() error {
	for _, o := range []struct{ what, query string }{
		{"schemas", `SELECT schema_name FROM duckdb_schemas() WHERE NOT internal AND schema_name <> 'main' AND database_name = current_database()`},
		{"indexes", `SELECT index_name FROM duckdb_indexes() WHERE database_name = current_database()`},
		{"constraints", `SELECT constraint_type FROM duckdb_constraints() WHERE database_name = current_database()`},
		{"sequences", `SELECT sequence_name FROM duckdb_sequences() WHERE database_name = current_database()`},
		{"macros", `SELECT function_name FROM duckdb_functions() WHERE NOT internal AND database_name = current_database()`},
		{"types", `SELECT type_name FROM duckdb_types() WHERE NOT internal AND database_name = current_database()`},
		{"comments", "SELECT text FROM (" + duckfile.CatalogQuery + ") WHERE kind = 'comment'"},
	} {
		all, err := duckfile.Texts(v.Ctx, v.DB, o.query)
		if err != nil {
			return err
		}
		if len(all) > 0 {
			v.Add(rules.Finding{Table: "schema", Message: fmt.Sprintf("there are %d %s, which this schema has none of", len(all), o.what)})
		}
	}
	found, err := duckfile.Texts(v.Ctx, v.DB, `SELECT view_name FROM duckdb_views() WHERE NOT internal AND database_name = current_database()`)
	if err != nil {
		return err
	}
	ours := 0
	for _, want := range schema.Views {
		if slices.Contains(found, want.Name) {
			ours++
		} else {
			v.Add(rules.Finding{Table: want.Name, Message: "the view is missing"})
		}
	}
	if n := len(found) - ours; n > 0 {
		v.Add(rules.Finding{Table: "schema", Message: fmt.Sprintf("there are %d views that are not of this schema", n)})
	}
	if len(v.Findings) > 0 { // the definitions would say it again
		return nil
	}
	want, err := ownDefinitions()
	if err != nil {
		return err
	}
	if found, err = duckfile.Texts(v.Ctx, v.DB, definitionsQuery); err != nil {
		return err
	}
	if !slices.Equal(found, want) {
		v.Add(rules.Finding{Table: "schema", Message: "a table or a view is defined in another way: a default, a literal or a computed column may hold what is private"})
	}
	return nil
}

const definitionsQuery = `SELECT sql FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL SELECT sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database() ORDER BY 1`

// ownDefinitions is what an empty database of this schema says of itself: DuckDB
// words the definitions anew, so they can only be compared with its own words. They
// are the same for all databases, so one validation makes them for all.
var ownDefinitions = sync.OnceValues(func() (all []string, err error) {
	ctx := context.Background() // the next validation wants them, too
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	for _, t := range schema.Tables {
		if _, err := db.ExecContext(ctx, t.DDL()); err != nil {
			return nil, err
		}
	}
	for _, v := range schema.Views {
		if _, err := db.ExecContext(ctx, v.DDL); err != nil {
			return nil, err
		}
	}
	return duckfile.Texts(ctx, db, definitionsQuery)
})

func (v *validator) sameColumns(want schema.Table, got duckfile.Table) {
	for i, c := range want.Columns {
		switch {
		case i >= len(got.Columns):
			v.Add(rules.Finding{Table: want.Name, Column: c.Name, Message: "the column is missing"})
		case got.Columns[i].Name != c.Name:
			v.Add(rules.Finding{Table: want.Name, Column: c.Name, Message: fmt.Sprintf("column %d is another", i+1)})
			return // all that follow would be off by one
		case got.Columns[i].Kind != c.Kind:
			v.Add(rules.Finding{Table: want.Name, Column: c.Name, Message: fmt.Sprintf("has the type %s, not %s", got.Columns[i].Kind, c.Kind)})
		}
	}
	if n := len(got.Columns) - len(want.Columns); n > 0 {
		v.Add(rules.Finding{Table: want.Name, Message: fmt.Sprintf("%d columns more than the schema has", n)})
	}
}

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

// commonCounts are said where they are the same for all configurations. How many
// refits there were stands in the notes.
var commonCounts = []struct{ key, query string }{
	{"n_test", "SELECT DISTINCT CAST(n_test AS VARCHAR) FROM essential_metrics"},
	{"n_refits", "SELECT DISTINCT regexp_extract(note, ' over ([0-9]+) refits?', 1) FROM stratos_metrics WHERE estimand = '" + metrics.OverModels + "'"},
}

// meta compares what the file says of itself with what it holds.
func (v *validator) meta() error {
	counts := map[string]string{
		"n_configs":      "SELECT count(*) FROM essential_metrics",
		"n_runs":         "SELECT count(*) FROM runs",
		"n_unregistered": "SELECT count(*) FROM methods WHERE starts_with(name, " + duckfile.QuoteText(disclosure.Unregistered) + ")",
		"n_compared":     "SELECT count(*) FROM essential_metrics WHERE registered AND config_id NOT IN (SELECT config_id FROM paired_differences WHERE config_id IS NOT NULL AND undefined = " + duckfile.QuoteText(comparison.OtherSubjects) + ")",
	}
	for _, verdict := range disclosure.Verdicts {
		counts["runs."+string(verdict)] = "SELECT count(*) FROM runs WHERE verdict = " + duckfile.QuoteText(string(verdict))
	}
	closed := map[string][]string{
		"schema_version": {schema.Version},
		"synthetic":      {"true", "false"},
		"estimand":       {metrics.OverModels, metrics.MeanRisk},
	}
	maps.Copy(closed, disclosure.PrivacyValues())
	for _, stage := range config.Stages() {
		closed[disclosure.FlowKey(stage)] = disclosure.FlowValues()
	}
	keys := []string{"n_subjects", "n_control", "n_event", "n_unlabelled"}
	for key := range counts {
		keys = append(keys, key)
	}
	for key := range closed {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	number := map[string]int{}
	for _, key := range keys {
		value, ok := v.said[key]
		n, err := strconv.Atoi(value)
		number[key] = n
		_, isClosed := closed[key]
		switch {
		case !ok:
			v.Add(rules.Finding{Table: schema.Meta, Column: "key", Message: key + " is missing"})
		case isClosed && !slices.Contains(closed[key], value):
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is not %s", key, strings.Join(closed[key], " or "))})
		case !isClosed && (err != nil || n < 0):
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: key + " is not a count"})
		case counts[key] != "":
			var held int
			if err := v.DB.QueryRowContext(v.Ctx, counts[key]).Scan(&held); err != nil {
				return err
			}
			if held != n {
				v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the tables hold %d", key, n, held)})
			}
		}
	}
	for _, c := range commonCounts {
		held, err := duckfile.Texts(v.Ctx, v.DB, c.query)
		if err != nil {
			return err
		}
		if value, ok := v.said[c.key]; ok != (len(held) == 1) || ok && value != held[0] {
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: c.key + " is not what the tables hold, or is said although configurations differ"})
		}
		keys = append(keys, c.key)
	}
	strange := 0
	for key, value := range v.said {
		setting, isSetting := strings.CutPrefix(key, "settings.")
		if !slices.Contains(keys, key) && !(isSetting && disclosure.PublishedSetting(setting, value)) {
			strange++
		}
	}
	if strange > 0 {
		v.Add(rules.Finding{Table: schema.Meta, Column: "key", Message: fmt.Sprintf("%d keys or settings are not of the published form, and so may be private", strange)})
	}
	if number["n_control"]+number["n_event"] != number["n_subjects"] {
		v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: "n_control and n_event do not add up to n_subjects"})
	}
	for _, c := range []struct{ key, letter string }{{"n_control", "H"}, {"n_event", "G"}} {
		var held int
		if err := v.DB.QueryRowContext(v.Ctx, "SELECT count(DISTINCT subject_code) FROM predictions WHERE starts_with(subject_code, ?)", c.letter).Scan(&held); err != nil {
			return err
		}
		if held > number[c.key] {
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the predictions hold %d", c.key, number[c.key], held)})
		}
	}
	return nil
}

func (v *validator) pairs(query string) (all map[string]string, err error) {
	rows, err := v.DB.QueryContext(v.Ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	all = map[string]string{}
	for rows.Next() {
		var key, value sql.NullString // NULL is a finding of its own
		if err := rows.Scan(&key, &value); err != nil {
			return nil, err
		}
		all[key.String] = value.String
	}
	return all, rows.Err()
}
