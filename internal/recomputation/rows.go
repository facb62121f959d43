package recomputation

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"strings"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// row is one row of a table.
type row struct {
	columns map[string]int
	cells   []any
}

// number is a cell of numbers, nil where it is NULL.
func (r row) number(column string) *float64 {
	switch v := r.cells[r.columns[column]].(type) {
	case float64:
		return &v
	case int32:
		x := float64(v)
		return &x
	case int64:
		x := float64(v)
		return &x
	}
	return nil
}

// text is a cell of text, empty where it is NULL.
func (r row) text(column string) string {
	text, _ := r.cells[r.columns[column]].(string)
	return text
}

// readRows reads the rows of a table of which an SQL condition is true, by its key.
func readRows(ctx context.Context, db *sql.DB, t schema.Table, condition string) (all []row, err error) {
	columns, key := map[string]int{}, make([]string, len(t.Key))
	for i, c := range t.Columns {
		columns[c.Name] = i
	}
	for i, k := range t.Key {
		key[i] = duckfile.Quote(k)
	}
	rows, err := db.QueryContext(ctx, "SELECT * FROM "+t.Name+" WHERE "+condition+" ORDER BY "+strings.Join(key, ", "))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		r := row{columns, make([]any, len(t.Columns))}
		into := make([]any, len(t.Columns))
		for i := range into {
			into[i] = &r.cells[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

// copiedTolerance is for numbers that were copied or divided once.
const copiedTolerance = 1e-12

// fittedTolerance is that of fits, which end where a step is small.
const fittedTolerance = 1e-6

// resampledTolerance is by what share of its width an interval of resamples may
// differ: a replicate that equals the estimate on one kind of processor can miss it
// by a bit on another, and BCa's correction counts them.
const resampledTolerance = 0.1

// agree compares two numbers, of which NULL, NaN for one that was computed,
// agrees with itself alone.
func agree(found *float64, want, tolerance float64) bool {
	switch {
	case found == nil || math.IsNaN(want):
		return found == nil && math.IsNaN(want)
	case math.IsInf(*found, 0) || math.IsInf(want, 0):
		return *found == want
	}
	return math.Abs(*found-want) <= tolerance*(1+math.Abs(want))
}

func agreeCells(a, b *float64, tolerance float64) bool {
	if b == nil {
		return a == nil
	}
	return agree(a, *b, tolerance)
}
