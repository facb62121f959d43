// Package predictions reads outcomes and predicted risks from a table in a CSV
// or Parquet file. It does not know what is measured of them, and nothing of any
// study.
package predictions

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
)

// Set is the rows of a table.
type Set struct {
	Outcomes []int     // 0 or 1
	Risks    []float64 // in [0, 1]
}

// RowError says which row and column hold what cannot be measured. It never
// quotes a cell: a column named by mistake may hold what is private.
type RowError struct {
	Row     int // from 1, the header not counted
	Column  string
	Problem string
	Rows    int // of the table
}

// Error names the row, the column and what is accepted.
func (e *RowError) Error() string {
	return fmt.Sprintf("row %d, column %q: %s", e.Row, e.Column, e.Problem)
}

// ColumnError says that a table lacks a column.
type ColumnError struct {
	Column  string
	Columns []string // that it has
}

// Error lists the columns that there are, or the first of many.
func (e *ColumnError) Error() string {
	const most = 20
	names := make([]string, 0, most+1)
	for i, name := range e.Columns {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, strconv.Quote(name))
	}
	return fmt.Sprintf("there is no column %q; there are %s", e.Column, strings.Join(names, ", "))
}

// Read reads two columns of a file: outcomes, which are 0 or 1, and risks in
// [0, 1]. A file that begins with Parquet's mark is read as Parquet, any other as
// CSV, whose first line names the columns. Errors about what is in the table are
// a *ColumnError or a *RowError for the first bad row.
func Read(ctx context.Context, path, outcome, risk string) (set *Set, err error) {
	fail := func(err error) (*Set, error) { return nil, fmt.Errorf("%s: %w", path, err) }
	source, err := source(path)
	if err != nil {
		return fail(err)
	}
	db, err := open(ctx, path)
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+source+" LIMIT 0")
	if err != nil {
		return fail(plain(err))
	}
	columns, err := rows.Columns()
	if err = errors.Join(err, rows.Close()); err != nil {
		return fail(err)
	}
	for _, name := range []string{outcome, risk} {
		if !slices.Contains(columns, name) {
			return fail(&ColumnError{name, columns})
		}
	}
	rows, err = db.QueryContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s", quote(outcome), quote(risk), source))
	if err != nil {
		return fail(plain(err))
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	set, n, bad := &Set{}, 0, (*RowError)(nil)
	var y, p any
	for rows.Next() {
		if err := rows.Scan(&y, &p); err != nil {
			return fail(err)
		}
		n++
		if bad != nil {
			continue // only counted
		}
		outcomeIs, problem := asOutcome(y)
		if problem != "" {
			bad = &RowError{Row: n, Column: outcome, Problem: problem}
			continue
		}
		riskIs, problem := asRisk(p)
		if problem != "" {
			bad = &RowError{Row: n, Column: risk, Problem: problem}
			continue
		}
		set.Outcomes = append(set.Outcomes, outcomeIs)
		set.Risks = append(set.Risks, riskIs)
	}
	if err := rows.Err(); err != nil {
		return fail(plain(err))
	}
	if bad != nil {
		bad.Rows = n
		return fail(bad)
	}
	return set, nil
}

// parquetMark begins every Parquet file.
const parquetMark = "PAR1"

// source is the table of a file in DuckDB's words. The cells of a CSV file come
// as they stand: what DuckDB takes for a number, a date or nothing is not asked.
func source(path string) (string, error) {
	if strings.ContainsAny(path, "*?[") {
		return "", errors.New("the path holds *, ? or [, by which DuckDB means several files: rename it")
	}
	info, err := os.Stat(path)
	if err != nil {
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	begin := make([]byte, len(parquetMark))
	_, err = io.ReadFull(f, begin)
	if err = errors.Join(notShort(err), f.Close()); err != nil {
		return "", err
	}
	if info.Size() == 0 {
		return "", errors.New("it is empty: a CSV file begins with a line that names the columns")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if string(begin) == parquetMark {
		return "read_parquet(" + text(abs) + ")", nil
	}
	return "read_csv(" + text(abs) + ", header = true, all_varchar = true)", nil
}

// notShort takes a file that is too short for a mark for one without it.
func notShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// open starts a DuckDB that can read this one file and nothing else.
func open(ctx context.Context, path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	connector, err := duckdb.NewConnector("", func(exec driver.ExecerContext) error {
		for _, s := range []string{
			"SET autoinstall_known_extensions = false",
			"SET autoload_known_extensions = false",
			"SET allowed_paths = [" + text(abs) + "]",
			"SET enable_external_access = false",
			"SET lock_configuration = true",
		} {
			if _, err := exec.ExecContext(ctx, s, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	return db, nil
}

// plain is the first line of DuckDB's words: the others may quote the file.
func plain(err error) error {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("cannot be read as a table: %s", first)
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func text(s string) string     { return `'` + strings.ReplaceAll(s, `'`, `''`) + `'` }

// asOutcome returns why a cell is no outcome, if it is none.
func asOutcome(cell any) (outcome int, problem string) {
	const want = "an outcome must be 0 or 1"
	if b, ok := cell.(bool); ok {
		if b {
			return 1, ""
		}
		return 0, ""
	}
	v, problem := number(cell)
	switch {
	case problem != "":
		return 0, problem + "; " + want
	case v != 0 && v != 1: // NaN, too
		return 0, want
	}
	return int(v), ""
}

func asRisk(cell any) (risk float64, problem string) {
	const want = "a risk must be in [0, 1]"
	v, problem := number(cell)
	switch {
	case problem != "":
		return 0, problem + "; " + want
	case math.IsNaN(v):
		return 0, "it is NaN; " + want
	case !(v >= 0 && v <= 1):
		return 0, fmt.Sprintf("it is %v; %s", v, want)
	}
	return v, ""
}

// number is a cell of a CSV file, or of a column of numbers.
func number(cell any) (v float64, problem string) {
	switch c := cell.(type) {
	case nil:
		return 0, "it is empty"
	case float64:
		return c, ""
	case float32:
		return float64(c), ""
	case int8:
		return float64(c), ""
	case int16:
		return float64(c), ""
	case int32:
		return float64(c), ""
	case int64:
		return float64(c), ""
	case uint8:
		return float64(c), ""
	case uint16:
		return float64(c), ""
	case uint32:
		return float64(c), ""
	case uint64:
		return float64(c), ""
	case duckdb.Decimal:
		return c.Float64(), ""
	case string:
		v, err := strconv.ParseFloat(strings.TrimSpace(c), 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return 0, "it is not a number"
		}
		return v, ""
	}
	return 0, "it is not a number"
}
