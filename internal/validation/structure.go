package validation

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
)

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
