package rules

import (
	"database/sql"
	"testing"
)

// A rule that most configurations break is reported without burying the rest.
func TestReportIsBrief(t *testing.T) {
	check := &Check{Ctx: t.Context()}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // in memory
	check.DB = db
	if err := check.Hold(Rule{Table: "t", Column: "c", Message: "wrong", Query: "SELECT i // 2 FROM range(80) r(i)"}); err != nil {
		t.Fatal(err)
	}
	if n := len(check.Findings); n != maxFindings+1 {
		t.Fatalf("%d findings", n)
	}
	if last := check.Findings[maxFindings].String(); last != "t.c: wrong: the same for 30 more configurations" {
		t.Error(last)
	}
	if second := check.Findings[1].String(); second != "t.c config_id 1: wrong (2 rows)" {
		t.Error(second)
	}
}
