package duckfile

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Difference is the first place where two databases differ.
type Difference struct {
	Where    string // such as "table runs, row run_id=ab12, column verdict"
	Was, Now string // what stands there
}

// Compare returns the first difference between the contents of two databases, nil
// if there is none: of tables and columns, of rows, of cells, of views. Rows are
// matched by the key of their table, which names columns, or by all columns where it
// names none or others than there are; the order in which they are stored does not
// count. Numbers that are near count as equal.
func Compare(ctx context.Context, was, now string, key func(table string) []string, near func(a, b float64) bool) (*Difference, error) {
	a, err := Open(ctx, was)
	if err != nil {
		return nil, err
	}
	defer a.Close() //nolint:errcheck // read only: nothing can be lost
	b, err := Open(ctx, now)
	if err != nil {
		return nil, err
	}
	defer b.Close() //nolint:errcheck // read only: nothing can be lost
	tablesA, err := Tables(ctx, a)
	if err != nil {
		return nil, err
	}
	tablesB, err := Tables(ctx, b)
	if err != nil {
		return nil, err
	}
	if d := compareLists("tables", names(tablesA), names(tablesB)); d != nil {
		return d, nil
	}
	for i, t := range tablesA {
		if d := compareLists("table "+t.Name+", columns", t.columnTypes(), tablesB[i].columnTypes()); d != nil {
			return d, nil
		}
	}
	for _, t := range tablesA {
		d, err := compareTable(ctx, a, b, t, t.keyColumns(key(t.Name)), near)
		if d != nil || err != nil {
			return d, err
		}
	}
	viewsA, err := Texts(ctx, a, viewsOf)
	if err != nil {
		return nil, err
	}
	viewsB, err := Texts(ctx, b, viewsOf)
	if err != nil {
		return nil, err
	}
	return compareLists("views", viewsA, viewsB), nil
}

func names(found []Table) []string {
	var all []string
	for _, t := range found {
		all = append(all, t.Name)
	}
	return all
}

func (t Table) columnTypes() []string {
	var all []string
	for _, c := range t.Columns {
		all = append(all, c.Name+" "+string(c.Kind))
	}
	return all
}

func compareLists(what string, was, now []string) *Difference {
	for i := range max(len(was), len(now)) {
		a, b := "none", "none"
		if i < len(was) {
			a = was[i]
		}
		if i < len(now) {
			b = now[i]
		}
		if a != b {
			return &Difference{fmt.Sprintf("%s, the %d.", what, i+1), a, b}
		}
	}
	return nil
}

// keyColumns is where the columns are that name a row: all, if one of the names is not
// that of a column, or there is none.
func (t Table) keyColumns(names []string) []int {
	var key, all []int
	for j, c := range t.Columns {
		all = append(all, j)
		if slices.Contains(names, c.Name) {
			key = append(key, j)
		}
	}
	if len(key) == 0 || len(key) != len(names) {
		return all
	}
	return key
}

func compareTable(ctx context.Context, a, b *sql.DB, t Table, key []int, near func(a, b float64) bool) (d *Difference, err error) {
	was, err := readTable(ctx, a, t, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, was.rows.Close()) }()
	now, err := readTable(ctx, b, t, key)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, now.rows.Close()) }()
	for {
		moreA, errA := was.next()
		moreB, errB := now.next()
		if err := errors.Join(errA, errB); err != nil || !moreA && !moreB {
			return nil, err
		}
		order := 0
		switch {
		case !moreB:
			order = -1
		case !moreA:
			order = 1
		default:
			order = compareKeys(was.cells, now.cells, key)
		}
		where := "table " + t.Name + ", row "
		if order < 0 {
			return &Difference{where + t.rowName(was.cells, key), "there", "missing"}, nil
		}
		if order > 0 {
			return &Difference{where + t.rowName(now.cells, key), "missing", "there"}, nil
		}
		for i, c := range t.Columns {
			if !sameCell(was.cells[i], now.cells[i], near) {
				return &Difference{where + t.rowName(was.cells, key) + ", column " + c.Name, cellText(was.cells[i]), cellText(now.cells[i])}, nil
			}
		}
	}
}

// reading is a table row by row.
type reading struct {
	rows  *sql.Rows
	cells []any
	into  []any
}

// readTable reads the rows of a table in the order of its key, columns after it
// deciding where that is not unique.
func readTable(ctx context.Context, db *sql.DB, t Table, key []int) (*reading, error) {
	var order []string
	for _, i := range key {
		order = append(order, strconv.Itoa(i+1))
	}
	for i := range t.Columns {
		if !slices.Contains(key, i) {
			order = append(order, strconv.Itoa(i+1))
		}
	}
	rows, err := db.QueryContext(ctx, "SELECT "+strings.Join(t.readable(), ", ")+" FROM "+from(t.Name)+" ORDER BY "+strings.Join(order, " NULLS FIRST, ")+" NULLS FIRST")
	if err != nil {
		return nil, err
	}
	r := &reading{rows: rows, cells: make([]any, len(t.Columns)), into: make([]any, len(t.Columns))}
	for i := range r.cells {
		r.into[i] = &r.cells[i]
	}
	return r, nil
}

func (r *reading) next() (more bool, err error) {
	if !r.rows.Next() {
		return false, r.rows.Err()
	}
	return true, r.rows.Scan(r.into...)
}

// compareKeys says which of two rows comes first, as the database sorts them.
func compareKeys(a, b []any, key []int) int {
	for _, i := range key {
		if order := compareCells(a[i], b[i]); order != 0 {
			return order
		}
	}
	return 0
}

func compareCells(a, b any) int {
	switch x := a.(type) {
	case int32:
		if y, ok := b.(int32); ok {
			return int(max(-1, min(1, int64(x)-int64(y))))
		}
	case int64:
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	case float64:
		if y, ok := b.(float64); ok {
			return compareFloats(x, y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok && x != y {
			if y {
				return -1
			}
			return 1
		}
		return 0
	}
	switch { // of a column with one type one of them is NULL, or both
	case a == nil && b != nil:
		return -1
	case a != nil && b == nil:
		return 1
	}
	return 0
}

// compareFloats sorts NaN last, as the database does.
func compareFloats(a, b float64) int {
	switch {
	case a < b || a == a && b != b:
		return -1
	case a > b || a != a && b == b:
		return 1
	}
	return 0
}

func sameCell(a, b any, near func(a, b float64) bool) bool {
	x, isX := a.(float64)
	y, isY := b.(float64)
	if isX && isY {
		return near(x, y)
	}
	return a == b
}

// rowName names a row by its key.
func (t Table) rowName(cells []any, key []int) string {
	var parts []string
	for _, i := range key {
		parts = append(parts, t.Columns[i].Name+"="+cellText(cells[i]))
	}
	return strings.Join(parts, " ")
}

func cellText(cell any) string {
	switch v := cell.(type) {
	case nil:
		return "NULL"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(cell)
}
