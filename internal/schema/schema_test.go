package schema

import (
	"database/sql"
	"math"
	"slices"
	"testing"

	_ "github.com/duckdb/duckdb-go/v2" // the driver
	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// DuckDB makes the tables and views as they are described here, and keys are of
// columns that there are.
func TestTables(t *testing.T) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // in memory
	db.SetMaxOpenConns(1)
	want := map[string][]duckfile.Column{}
	for i, table := range Tables {
		if place, known := Place(table.Name); place != i || !known {
			t.Errorf("%s is at %d, not %d: a name occurs twice", table.Name, place, i)
		}
		for _, c := range table.Columns {
			want[table.Name] = append(want[table.Name], duckfile.Column{Name: c.Name, Kind: c.Kind})
		}
		for _, key := range Key(table.Name) {
			if !slices.ContainsFunc(table.Columns, func(c Column) bool { return c.Name == key }) {
				t.Errorf("%s has no column %s, which is of its key", table.Name, key)
			}
		}
		if _, err := db.Exec(table.DDL()); err != nil {
			t.Fatal(err)
		}
	}
	for _, view := range Views {
		if _, err := db.Exec(view.DDL); err != nil {
			t.Fatal(view.Name, err)
		}
		if _, err := db.Exec("SELECT * FROM " + view.Name); err != nil {
			t.Error(view.Name, err)
		}
	}
	found, err := duckfile.Tables(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]duckfile.Column{}
	for _, table := range found {
		got[table.Name] = table.Columns
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tables (-want +got):\n%s", diff)
	}
	if Key("no table") != nil {
		t.Error("a table that is not of the schema has a key")
	}
}

func TestCell(t *testing.T) {
	half := 0.5
	for _, c := range []struct {
		column      Column
		value, cell any
		ok          bool
	}{
		{Column{"n", integer, 0}, 3, int32(3), true},
		{Column{"n", integer, 0}, int32(3), int32(3), true},
		{Column{"n", integer, 0}, 3.0, 3.0, false},
		{Column{"n", integer, 0}, nil, nil, false},
		{Column{"n", bigint, 0}, int64(3), int64(3), true},
		{Column{"n", bigint, 0}, 3, int32(3), false},
		{Column{"x", double, Nullable}, &half, 0.5, true},
		{Column{"x", double, Nullable}, (*float64)(nil), nil, true},
		{Column{"x", double, 0}, (*float64)(nil), nil, false},
		{Column{"x", double, Infinite}, math.Inf(1), math.Inf(1), true},
		{Column{"t", varchar, 0}, "a", "a", true},
		{Column{"t", varchar, 0}, []byte("a"), []byte("a"), false},
		{Column{"b", boolean, 0}, true, true, true},
		{Column{"b", boolean, 0}, "true", "true", false},
	} {
		cell, ok := c.column.Cell(c.value)
		if diff := cmp.Diff(c.cell, cell); diff != "" || ok != c.ok {
			t.Errorf("%v of %s: %v, %v, want %v, %v", c.value, c.column.Kind, cell, ok, c.cell, c.ok)
		}
	}
	if _, ok := (Column{"x", double, Nullable}).Cell(math.NaN()); ok {
		t.Error("NaN is a cell; what is undefined is NULL")
	}
}
