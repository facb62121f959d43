package duckfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Visitor is shown what people can read in a database. An error ends the reading and
// is returned as it is.
type Visitor struct {
	// Text is shown a cell, or a name, comment or definition (with the column "name",
	// "comment" or "definition").
	Text func(table, column, text string) error
	// Bytes is shown a cell that is a BLOB.
	Bytes func(table, column string, data []byte) error
}

// Cells shows every distinct cell of a database, but for those of columns of numbers and
// truth values, and the names, comments and definitions of what it holds. A database
// that holds more than its tables show, which DuckDB leaves behind and compresses, is an
// [*UnseenError].
func Cells(ctx context.Context, path string, v Visitor) error {
	db, err := openScan(ctx, path)
	if err != nil {
		return err
	}
	defer db.close() //nolint:errcheck // read only: nothing can be lost
	defer db.begin()()
	found, err := Tables(ctx, db.DB)
	if err != nil {
		return fmt.Errorf("cells of %s: %w", filepath.Base(path), err)
	}
	for _, t := range found {
		for _, c := range t.Columns {
			if err := v.Text(t.Name, "name", c.Name); err != nil {
				return err
			}
		}
		if err := cellsOf(ctx, db.DB, t, v); err != nil {
			return within(path, "table "+t.Name, err)
		}
	}
	err = each(ctx, db.DB, CatalogQuery, func(kind string, text []byte) error { return v.Text("catalogue", kind, string(text)) })
	if err != nil {
		return within(path, "catalogue", err)
	}
	return unseen(ctx, db.DB, found)
}

// cellsOf shows the distinct cells of a table, the texts of all its columns by one
// query: to plan one for each column takes longer than to run it.
func cellsOf(ctx context.Context, db *sql.DB, t Table, v Visitor) error {
	var ofText []string
	for i, c := range t.Columns {
		name := Quote(c.Name)
		switch {
		case numeric(c.Kind):
		case c.Kind == "BLOB":
			query := fmt.Sprintf("SELECT DISTINCT %s, %s FROM %s WHERE %[2]s IS NOT NULL ORDER BY 2", QuoteText(c.Name), name, from(t.Name))
			if err := each(ctx, db, query, func(column string, cell []byte) error { return v.Bytes(t.Name, column, cell) }); err != nil {
				return err
			}
		default:
			ofText = append(ofText, fmt.Sprintf("SELECT DISTINCT %d AS place, %s AS name, CAST(%s AS VARCHAR) AS cell FROM %s WHERE %[3]s IS NOT NULL", i, QuoteText(c.Name), name, from(t.Name)))
		}
	}
	if len(ofText) == 0 {
		return nil
	}
	query := "SELECT name, cell FROM (" + strings.Join(ofText, " UNION ALL ") + ") ORDER BY place, cell"
	return each(ctx, db, query, func(column string, cell []byte) error { return v.Text(t.Name, column, string(cell)) })
}

// UnseenError says that a database holds what none of its tables shows. Its text goes
// behind the name of the file.
type UnseenError struct{ What string }

func (e *UnseenError) Error() string {
	return e.What + "; write it anew: ATTACH 'new.db' AS fresh, then COPY FROM DATABASE … TO fresh"
}

// unseen looks for rows that were deleted and for blocks that no table uses any more,
// such as those of a dropped table. DuckDB keeps both, compressed.
func unseen(ctx context.Context, db *sql.DB, found []Table) error {
	var kept, shown []string
	for i, t := range found {
		schema, name, ok := strings.Cut(t.Name, ".")
		if !ok {
			schema, name = "main", t.Name
		}
		kept = append(kept, fmt.Sprintf("(%d, %s, %s)", i, QuoteText(schema), QuoteText(name)))
		shown = append(shown, fmt.Sprintf("SELECT %d AS place, count(*) AS rows FROM %s", i, from(t.Name)))
	}
	if len(found) > 0 {
		rows, err := db.QueryContext(ctx, "SELECT place, estimated_size, rows FROM (VALUES "+strings.Join(kept, ", ")+") AS names(place, schema_name, table_name) "+
			"LEFT JOIN (SELECT * FROM duckdb_tables() WHERE database_name = current_database()) USING (schema_name, table_name) "+
			"LEFT JOIN ("+strings.Join(shown, " UNION ALL ")+") USING (place) ORDER BY place")
		if err != nil {
			return fmt.Errorf("rows of the tables: %w", err)
		}
		defer rows.Close() //nolint:errcheck // its error is that of Err
		looked := 0
		for ; rows.Next(); looked++ {
			var place int
			var kept, shown int64
			if err := rows.Scan(&place, &kept, &shown); err != nil {
				return fmt.Errorf("rows of the tables: %w", err)
			}
			if kept != shown {
				return &UnseenError{fmt.Sprintf("table %s holds %d rows that were deleted", found[place].Name, kept-shown)}
			}
		}
		if err := rows.Err(); err != nil {
			return fmt.Errorf("rows of the tables: %w", err)
		}
		if looked != len(found) {
			return fmt.Errorf("rows of the tables: counted those of %d of %d tables", looked, len(found))
		}
	}
	var free int64
	if err := db.QueryRowContext(ctx, "SELECT free_blocks FROM pragma_database_size() WHERE database_name = current_database()").Scan(&free); err != nil {
		return fmt.Errorf("blocks of the database: %w", err)
	}
	if free > 0 {
		return &UnseenError{fmt.Sprintf("it holds %d blocks that no table uses any more, with what stood there before", free)}
	}
	return nil
}

// visitError is an error of a visitor among those of the database.
type visitError struct{ err error }

func (e visitError) Error() string { return e.err.Error() }

func within(path, what string, err error) error {
	var own visitError
	if errors.As(err, &own) {
		return own.err
	}
	return fmt.Errorf("cells of %s, %s: %w", filepath.Base(path), what, err)
}

// CatalogQuery finds what people can write into a database beside its rows, with its
// kind. DuckDB lists its thousands of functions once.
const CatalogQuery = `WITH functions AS MATERIALIZED (
SELECT function_name, macro_definition, parameters, comment FROM duckdb_functions() WHERE NOT internal AND database_name = current_database())
SELECT kind, text FROM (
SELECT DISTINCT 'name' AS kind, schema_name AS text FROM duckdb_schemas() WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT 'definition', sql FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL SELECT 'definition', sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT 'definition', sql FROM duckdb_indexes() WHERE database_name = current_database()
UNION ALL SELECT 'definition', sql FROM duckdb_sequences() WHERE database_name = current_database()
UNION ALL SELECT 'definition', function_name || ': ' || macro_definition || ' ' || coalesce(CAST(parameters AS VARCHAR), '') FROM functions WHERE macro_definition IS NOT NULL
UNION ALL SELECT 'definition', type_name || ': ' || coalesce(CAST(labels AS VARCHAR), '') FROM duckdb_types() WHERE NOT internal AND database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_tables() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_columns() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_views() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_schemas() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_indexes() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_sequences() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM duckdb_types() WHERE database_name = current_database()
UNION ALL SELECT 'comment', comment FROM functions) WHERE text IS NOT NULL ORDER BY ALL`

// each shows the rows of a query of names and cells, but for cells that are NULL.
func each(ctx context.Context, db *sql.DB, query string, show func(name string, cell []byte) error) (err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		var cell []byte
		if err := rows.Scan(&name, &cell); err != nil {
			return err
		}
		if cell == nil {
			continue
		}
		if err := show(name, cell); err != nil {
			return visitError{err}
		}
	}
	return rows.Err()
}
