// Package schema is that of the public database: its tables with their columns and
// keys, and its views. What makes, writes and checks the database stands on it.
//
// It does not know where rows come from, which words and texts may stand in them, nor
// how files are written or read.
package schema

import (
	"math"
	"strings"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// Version is the value of schema_version in the table meta. It is raised
// when a reader of the old tables would misread the new ones.
const Version = "1"

// Table is one table of the file. The key is what a primary key would be; the
// file has none, because DuckDB's indexes make it 2.8 times larger.
type Table struct {
	Name    string
	Key     []string
	Columns []Column
}

// Column is a column of a table.
type Column struct {
	Name   string
	Kind   duckfile.Kind
	Traits Trait
}

// Trait is what is asked of a column beyond its type.
type Trait uint8

// Traits of columns. Without [Nullable] there is a value in every row.
const (
	Nullable Trait = 1 << iota // may be NULL: undefined, or not applicable
	Unit                       // in [0, 1]
	Natural                    // 0 or more
	Infinite                   // may be ±Inf: a true limit
)

// Place is the place of a table in [Tables] by its name.
func Place(name string) (place int, known bool) {
	place, known = places[name]
	return place, known
}

var places = func() map[string]int {
	places := map[string]int{}
	for i, t := range Tables {
		places[t.Name] = i
	}
	return places
}()

// Named finds a table by one of the names that this package has.
func Named(name string) Table { return Tables[places[name]] }

// Key names the columns that tell the rows of a table apart, nil for a table that is not
// of this schema.
func Key(name string) []string {
	if place, known := Place(name); known {
		return Tables[place].Key
	}
	return nil
}

// DDL is the statement that makes the table.
func (t Table) DDL() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + duckfile.Quote(t.Name) + " (")
	for i, c := range t.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(duckfile.Quote(c.Name) + " " + string(c.Kind))
	}
	b.WriteString(")")
	return b.String()
}

// Cell is what stands in the column for a value: an int is an INTEGER, a pointer to a
// number NULL or the number. It is false for what the column cannot hold; of numbers
// only NaN, which is NULL, is looked at.
func (c Column) Cell(value any) (cell any, ok bool) {
	switch v := value.(type) {
	case int:
		value = int32(v)
	case *float64:
		if value = nil; v != nil {
			value = *v
		}
	}
	return value, c.holds(value)
}

// Optional is the value of a cell that is NULL where there would be the zero of its type,
// as an empty text.
func Optional[T comparable](value T) any {
	var none T
	if value == none {
		return nil
	}
	return value
}

func (c Column) holds(cell any) bool {
	switch v := cell.(type) {
	case nil:
		return c.Traits&Nullable != 0
	case int32:
		return c.Kind == integer
	case int64:
		return c.Kind == bigint
	case float64:
		return c.Kind == double && !math.IsNaN(v)
	case string:
		return c.Kind == varchar
	case bool:
		return c.Kind == boolean
	}
	return false
}
