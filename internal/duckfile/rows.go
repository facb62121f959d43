package duckfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Kind is the type of a column, by its name in DuckDB.
type Kind string

// Kinds whose cells are read as they are; those of any other are read as DuckDB's text.
const (
	Integer Kind = "INTEGER"
	Bigint  Kind = "BIGINT"
	Double  Kind = "DOUBLE"
	Varchar Kind = "VARCHAR"
	Boolean Kind = "BOOLEAN"
)

// Table is a table with its columns in their order.
type Table struct {
	Name    string
	Columns []Column
}

// Column is a column of a table.
type Column struct {
	Name string
	Kind Kind
}

// Tables lists the tables of a database by name. Tables outside the schema
// main bear its name in front.
func Tables(ctx context.Context, db *sql.DB) (found []Table, err error) {
	rows, err := db.QueryContext(ctx, `SELECT CASE schema_name WHEN 'main' THEN '' ELSE schema_name || '.' END || table_name, column_name, data_type
FROM duckdb_columns() JOIN duckdb_tables() USING (database_name, schema_name, table_name)
WHERE database_name = current_database() ORDER BY schema_name, table_name, column_index`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name, col, typ string
		if err := rows.Scan(&name, &col, &typ); err != nil {
			return nil, err
		}
		if len(found) == 0 || found[len(found)-1].Name != name {
			found = append(found, Table{Name: name})
		}
		t := &found[len(found)-1]
		t.Columns = append(t.Columns, Column{Name: col, Kind: Kind(typ)})
	}
	return found, rows.Err()
}

// from names a table of Tables in SQL.
func from(name string) string {
	schema, rest, ok := strings.Cut(name, ".")
	if !ok {
		return "main." + Quote(name)
	}
	return Quote(schema) + "." + Quote(rest)
}

// native kinds are hashed by value; any other type by DuckDB's text of it.
var native = []Kind{Integer, Bigint, Double, Varchar, Boolean}

// readable are a table's columns as they are read in SQL.
func (t Table) readable() []string {
	exprs := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		exprs[i] = Quote(c.Name)
		if !slices.Contains(native, c.Kind) {
			exprs[i] = "CAST(" + exprs[i] + " AS VARCHAR)"
		}
	}
	return exprs
}

func digestTable(ctx context.Context, db *sql.DB, d *digester, t Table) error {
	if err := eachRow(ctx, db, t, d.row); err != nil {
		return err
	}
	return d.endTable(t.Name, t.Columns)
}

// rowsAtOnce is how many rows are read by one query: the driver holds all that a query
// gives.
const rowsAtOnce = 1 << 13

// eachRow calls use with the cells of every row of a table, in the order in which it
// has them; they are overwritten by the next. It asks the driver and not database/sql,
// which looks at each cell again.
func eachRow(ctx context.Context, db *sql.DB, t Table, use func(cells []driver.Value) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var last sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(rowid) FROM "+from(t.Name)).Scan(&last); err != nil {
		return err
	}
	cells := make([]driver.Value, len(t.Columns))
	some := "SELECT " + strings.Join(t.readable(), ", ") + " FROM " + from(t.Name) + " WHERE rowid >= %d AND rowid < %d"
	return conn.Raw(func(driverConn any) error {
		for first := int64(0); last.Valid && first <= last.Int64; first += rowsAtOnce {
			if err := eachOfDriver(ctx, driverConn, fmt.Sprintf(some, first, first+rowsAtOnce), cells, use); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachOfDriver is Each for a connection of the driver.
func eachOfDriver(ctx context.Context, driverConn any, query string, cells []driver.Value, use func(cells []driver.Value) error) (err error) {
	asked, ok := driverConn.(driver.QueryerContext)
	if !ok {
		return fmt.Errorf("the driver's connection is a %T", driverConn)
	}
	rows, err := asked.QueryContext(ctx, query, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for {
		switch err := rows.Next(cells); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := use(cells); err != nil {
			return err
		}
	}
}

// Each reads the rows of a query one after the other into the same cells.
func Each(ctx context.Context, db *sql.DB, query string, into []any, use func() error) (err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := use(); err != nil {
			return err
		}
	}
	return rows.Err()
}

func numeric(k Kind) bool {
	switch k {
	case "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE":
		return true
	}
	return strings.HasPrefix(string(k), "DECIMAL(")
}

// Texts returns the one text column of a query; NULL is empty.
func Texts(ctx context.Context, db *sql.DB, query string) (all []string, err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text.String)
	}
	return all, rows.Err()
}
