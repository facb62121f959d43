// Package predictions reads outcomes and predicted risks from one CSV or Parquet
// file, through DuckDB. It reaches no other file and no network.
package predictions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// Set is the rows of a file, in its order.
type Set struct {
	Outcomes []int // 0 or 1
	Risks    []float64
}

// RowError says which row of a file is no prediction.
type RowError struct {
	File, Column string
	Row          int // 1 is the first row of data
	Problem      string
	Others       int // further rows with faults
	N, Events    int // rows of the file; those whose outcome is 1
}

func (e *RowError) Error() string {
	text := fmt.Sprintf("%s: row %d, column %s: %s", e.File, e.Row, e.Column, e.Problem)
	switch {
	case e.Others == 1:
		text += "; 1 more row has a fault"
	case e.Others > 1:
		text += fmt.Sprintf("; %d more rows have faults", e.Others)
	}
	return text
}

// memoryDSN keeps DuckDB from spilling to disk, fetching extensions and giving
// rows in another order than the file's.
const memoryDSN = ":memory:?threads=1&temp_directory=&autoinstall_known_extensions=false&autoload_known_extensions=false"

// Read reads the columns outcome (0 or 1; BOOLEAN in Parquet too) and risk (in
// [0, 1]) of a CSV file with a header or of a Parquet file; which of the two it
// is, its first bytes say. A row that is no prediction is a [*RowError].
func Read(ctx context.Context, file, outcome, risk string) (_ *Set, err error) {
	source, err := tableOf(file)
	if err != nil {
		return nil, err
	}
	connector, err := duckdb.NewConnector(memoryDSN, nil)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, statement := range []string{
		// DuckDB asks for the pattern before it asks for the file that it means.
		"SET allowed_paths = [" + quoteText(source.path) + ", " + quoteText(escapeGlob.Replace(source.path)) + "]",
		"SET enable_external_access = false",
		"SET lock_configuration = true",
	} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return nil, fmt.Errorf("start DuckDB: %w", err)
		}
	}
	columns, err := findColumns(ctx, conn, file, source, outcome, risk)
	if err != nil {
		return nil, err
	}
	return readRows(ctx, conn, file, source.sql, columns)
}

// table is a file as DuckDB is to read it.
type table struct {
	path, sql string
	header    string // reads the header of a CSV file as a row
	schema    string // reads the schema of a Parquet file
}

// tableOf looks at the first bytes of a file. The path is absolute, so that none
// is taken for an address, and none of its characters for a pattern.
func tableOf(file string) (t table, err error) {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return table{}, err // names the file
	case !info.Mode().IsRegular():
		return table{}, fmt.Errorf("%s is not a regular file: give a CSV or Parquet file", file)
	case info.Size() == 0:
		return table{}, fmt.Errorf("%s is empty: a CSV file begins with a line of column names", file)
	}
	if t.path, err = filepath.Abs(file); err != nil {
		return table{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return table{}, err
	}
	defer f.Close() // only read
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return table{}, fmt.Errorf("read %s: %w", file, err)
	}
	pattern := quoteText(escapeGlob.Replace(t.path))
	// Folders called name=value would become columns.
	if string(magic[:]) == "PAR1" {
		t.sql, t.schema = "read_parquet("+pattern+", hive_partitioning = false)", "parquet_schema("+pattern+")"
	} else {
		// Texts become numbers where a fault can be named with its row; no line
		// may be skipped as a comment, or rows would be counted otherwise.
		csv := func(header string) string {
			return "read_csv(" + pattern + ", header = " + header + ", all_varchar = true, skip = 0, comment = '', hive_partitioning = false)"
		}
		t.sql, t.header = csv("true"), csv("false")
	}
	return t, nil
}

// escapeGlob makes a pattern of a path that matches nothing else.
var escapeGlob = strings.NewReplacer("*", "[*]", "?", "[?]", "[", "[[]")

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// column is one that was asked for: its name in the file, and DuckDB's, which gives
// another to names that differ in case alone.
type column struct{ name, sql string }

// findColumns says which columns there are where one is missing, and refuses a name
// that two have: DuckDB would call the second otherwise and take the first.
func findColumns(ctx context.Context, conn *sql.Conn, file string, source table, wanted ...string) ([]column, error) {
	known, err := namesOf(ctx, conn, file, source.sql)
	if err != nil {
		return nil, err
	}
	var names []string
	if source.schema != "" {
		names, err = schemaOf(ctx, conn, file, source.schema, known)
	} else {
		names, err = headerOf(ctx, conn, file, source.header, known)
	}
	if err != nil {
		return nil, err
	}
	var columns []column
	for _, name := range wanted {
		var at []int
		for i, n := range names {
			if n == name {
				at = append(at, i)
			}
		}
		switch len(at) {
		case 0:
			return nil, fmt.Errorf("%s has no column %q; there are %s", file, name, strings.Join(names, ", "))
		case 1:
			columns = append(columns, column{name, known[at[0]]})
		default:
			return nil, fmt.Errorf("%s has %d columns %q, number %d and number %d among them: rename all but the one that is meant", file, len(at), name, at[0]+1, at[1]+1)
		}
	}
	return columns, nil
}

func namesOf(ctx context.Context, conn *sql.Conn, file, source string) (_ []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM "+source+" LIMIT 0")
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return names, nil
}

// headerOf returns the names as the file spells them; known are DuckDB's, which a
// column without a name keeps.
func headerOf(ctx context.Context, conn *sql.Conn, file, header string, known []string) (_ []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT * FROM "+header+" LIMIT 1")
	if err != nil {
		return nil, fmt.Errorf("read the header of %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return nil, fmt.Errorf("read the header of %s: %w", file, err)
	}
	if len(columns) != len(known) || !rows.Next() {
		return known, rows.Err()
	}
	cells, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
	for i := range cells {
		into[i] = &cells[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, fmt.Errorf("read the header of %s: %w", file, err)
	}
	names := slices.Clone(known)
	for i, c := range cells {
		if c.Valid && c.String != "" {
			names[i] = c.String
		}
	}
	return names, rows.Err()
}

// schemaOf returns the names of the columns of a Parquet file as it spells them.
// The schema is a tree, of which DuckDB lists each node before its children.
func schemaOf(ctx context.Context, conn *sql.Conn, file, schema string, known []string) (names []string, err error) {
	rows, err := conn.QueryContext(ctx, "SELECT name, coalesce(num_children, 0) FROM "+schema)
	if err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", file, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	left := []int64{1} // nodes to come at each depth, of which the first is the root
	for rows.Next() {
		var name sql.NullString
		var children int64
		if err := rows.Scan(&name, &children); err != nil {
			return nil, fmt.Errorf("read the schema of %s: %w", file, err)
		}
		for len(left) > 1 && left[len(left)-1] == 0 {
			left = left[:len(left)-1]
		}
		if len(left) == 2 {
			names = append(names, name.String)
		}
		left[len(left)-1]--
		left = append(left, children)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the schema of %s: %w", file, err)
	}
	if len(names) != len(known) {
		return nil, fmt.Errorf("read the schema of %s: it has %d columns, of which DuckDB reads %d", file, len(names), len(known))
	}
	return names, nil
}

// cell is a value of a column: a number, or the text that is none.
type cell struct {
	number sql.NullFloat64
	text   sql.NullString
}

func (c cell) problem(want string) string {
	switch {
	case c.number.Valid:
		return fmt.Sprintf("%v is %s", c.number.Float64, want)
	case c.text.Valid:
		return fmt.Sprintf("%q is not a number", c.text.String)
	}
	return "there is no value"
}

func readRows(ctx context.Context, conn *sql.Conn, file, source string, of []column) (_ *Set, err error) {
	outcome, risk := of[0].name, of[1].name
	columns := make([]string, 0, 2)
	for _, c := range of {
		column := quoteName(c.sql)
		columns = append(columns, fmt.Sprintf("TRY_CAST(%[1]s AS DOUBLE), CASE WHEN TRY_CAST(%[1]s AS DOUBLE) IS NULL THEN CAST(%[1]s AS VARCHAR) END", column))
	}
	rows, err := conn.QueryContext(ctx, "SELECT "+strings.Join(columns, ", ")+" FROM "+source)
	if err != nil {
		return nil, fmt.Errorf("read columns %s and %s of %s: %w", outcome, risk, file, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	set := &Set{}
	var first *RowError
	events := 0
	for n := 1; rows.Next(); n++ {
		var y, p cell
		if err := rows.Scan(&y.number, &y.text, &p.number, &p.text); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		fault := RowError{File: file, Row: n}
		switch v := p.number.Float64; {
		case !y.number.Valid || y.number.Float64 != 0 && y.number.Float64 != 1:
			fault.Column, fault.Problem = outcome, y.problem("neither 0 nor 1")
		case !p.number.Valid || !(v >= 0 && v <= 1): // NaN too
			fault.Column, fault.Problem = risk, p.problem("not in [0, 1]")
		}
		switch {
		case fault.Problem == "":
		case first == nil:
			first = &fault
		default:
			first.Others++
		}
		if y.number.Float64 == 1 {
			events++
		}
		set.Outcomes = append(set.Outcomes, int(y.number.Float64))
		set.Risks = append(set.Risks, p.number.Float64)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if first != nil {
		first.N, first.Events = len(set.Outcomes), events
		return nil, first
	}
	return set, nil
}
