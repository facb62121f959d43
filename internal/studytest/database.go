package studytest

import (
	"database/sql"
	"os"
	"path/filepath"
	"testing"

	"github.com/duckdb/duckdb-go/v2"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/validation"
	"github.com/foundation-plr/pipeline/internal/writer"
)

// Main runs the tests of a package that writes databases: to write one starts the test
// binary again.
func Main(m *testing.M) {
	if os.Getenv(writer.ChildEnv) == writer.ChildName {
		os.Exit(writer.RunChild(os.Stdin, os.Stderr))
	}
	os.Exit(m.Run())
}

// Written is the name of a new database.
func Written(t testing.TB, c Rows) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.db")
	if _, err := writer.Write(t.Context(), path, c.Each); err != nil {
		t.Fatal(err)
	}
	return path
}

// shared is the study of New with its rows and the bytes of its database,
// each made once for all tests that change nothing of it. What a test changes it
// makes anew or copies.
var shared struct {
	study    *Study
	rows     Rows
	database []byte
}

// Shared is the study of [New].
func Shared(t testing.TB) *Study {
	t.Helper()
	if shared.study == nil {
		shared.study = New(t, Original)
	}
	return shared.study
}

// SharedRows are its rows.
func SharedRows(t testing.TB) Rows {
	t.Helper()
	if shared.rows == nil {
		shared.rows = Assemble(t, Shared(t), Options())
	}
	return shared.rows
}

// SharedDatabase is the name of a copy of its database, which the test may change.
func SharedDatabase(t testing.TB) string {
	t.Helper()
	if shared.database == nil {
		data, err := os.ReadFile(Written(t, SharedRows(t)))
		if err != nil {
			t.Fatal(err)
		}
		shared.database = data
	}
	return DatabaseOf(t, shared.database)
}

// DatabaseOf is the name of a database of these bytes.
func DatabaseOf(t testing.TB, database []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "results.db")
	if err := os.WriteFile(path, database, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Query are the cells of a query of one column.
func Query[T any](t testing.TB, path, q string) (all []T) {
	t.Helper()
	db, err := duckfile.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // read only
	rows, err := db.QueryContext(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() //nolint:errcheck // read only
	for rows.Next() {
		var v T
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		all = append(all, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// Change runs statements on a database and closes it.
func Change(t testing.TB, path string, statements ...string) {
	t.Helper()
	connector, err := duckdb.NewConnector(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Findings are what validation finds in a database.
func Findings(t testing.TB, path string) ([]rules.Finding, error) {
	t.Helper()
	verdict, err := validation.Validate(t.Context(), path, Registry(t))
	if err != nil {
		return nil, err
	}
	return verdict.Findings, nil
}
