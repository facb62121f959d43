package checkpoint

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/zeebo/blake3"
)

// catalog is the name under which a file is attached, whatever it is called.
const catalog = "checkpoint"

// Open opens a DuckDB file for reading, by this and any number of other
// programs at once. Unqualified names are those of its tables. Nothing is
// written, loaded from the network or read from other files. Errors say what to
// do about a file that is missing, not DuckDB's, too new or in use.
func Open(ctx context.Context, path string) (*sql.DB, error) {
	return openWithin(ctx, path, queryMemory)
}

// How much memory DuckDB may take for a file, pages of it that were read included.
// What does not fit goes to a temporary directory: sorts and groups of the millions
// of rows of a large study do not, and all rows in turn do.
const queryMemory = "128MB"

// opened counts the databases that were opened: each has a temporary directory of its
// own, which DuckDB makes when it needs it and removes.
var opened atomic.Int64

func openWithin(ctx context.Context, path, memory string) (*sql.DB, error) {
	db, err := open(ctx, path, memory)
	if err != nil {
		return nil, fmt.Errorf("open database %s: %w", path, err)
	}
	return db, nil
}

func open(ctx context.Context, path, memory string) (*sql.DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no such file: %w", fs.ErrNotExist)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("is not a file")
	}
	version, err := readStorageVersion(path)
	if err != nil {
		return nil, err
	}
	// Limits can only be set before the first connection forbids access to files. The
	// file is attached, not opened by name: a path may hold what the driver takes for
	// options.
	limits := url.Values{
		"memory_limit":   {memory},
		"temp_directory": {filepath.Join(os.TempDir(), fmt.Sprintf("plr-duckdb-%d-%d", os.Getpid(), opened.Add(1)))},
	}
	connector, err := duckdb.NewConnector("?"+limits.Encode(), func(exec driver.ExecerContext) error {
		for _, s := range []string{
			"SET threads = 1", // the last bit of a sum depends on the order of its terms
			"SET autoinstall_known_extensions = false",
			"SET autoload_known_extensions = false",
			fmt.Sprintf("ATTACH IF NOT EXISTS %s AS %s (READ_ONLY)", quoteText(path), catalog),
			"USE " + catalog,
			"SET enable_external_access = false",
		} {
			if _, err := exec.ExecContext(context.Background(), s, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	err = db.PingContext(ctx)
	if err != nil {
		err = explain(err, version)
	}
	// A log beside the file is replayed in memory: what would be read is not what
	// the file holds. Who keeps it open is the better answer.
	if log, werr := os.Stat(walPath(path)); werr == nil && log.Size() > 0 && !errors.Is(err, ErrInUse) {
		err = fmt.Errorf("has a write-ahead log (%s): a program that wrote to it was interrupted, or is about to close it; "+
			"open the file once with DuckDB and close it again", filepath.Base(walPath(path)))
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// ErrInUse is wrapped by errors about a file that another program has open for
// writing: it may be closed there any moment.
var ErrInUse = errors.New("close it there and try again")

var (
	lockedBy  = regexp.MustCompile(`(?:held in ([^\n]*?) ?\()?PID ([0-9]+)`)
	noVersion = regexp.MustCompile(`version number|older version of DuckDB|newer version of DuckDB`)
)

// explain turns DuckDB's words about a file that it cannot open into what to do.
func explain(err error, version uint64) error {
	text := err.Error()
	switch {
	case strings.Contains(text, "Could not set lock") || strings.Contains(text, "Conflicting lock"):
		who := "another program"
		if m := lockedBy.FindStringSubmatch(text); m != nil {
			who = "process " + m[2]
			if m[1] != "" { // of its path the last part, which names no place
				who = fmt.Sprintf("%s (process %s)", filepath.Base(m[1]), m[2])
			}
		}
		return fmt.Errorf("is in use by %s, which has it open for writing: %w", who, ErrInUse)
	case noVersion.MatchString(text):
		return fmt.Errorf("has storage version %d, which DuckDB 1.x cannot read (DuckDB 2.0 writes such files by default): in the DuckDB that wrote it, run "+
			"ATTACH 'copy.db' (STORAGE_VERSION 'v1.0.0'); COPY FROM DATABASE the_file TO copy; and use the copy", version)
	case strings.Contains(text, "Corrupt database file") || strings.Contains(text, "not a valid DuckDB"):
		return errors.New("is damaged: DuckDB finds a wrong checksum; restore it from a copy or build it again")
	}
	return err
}

// Digest returns the digest of a database's contents, 64 hexadecimal digits of
// BLAKE3: tables with their columns and rows, and views. Files with equal
// contents have equal digests, whatever their bytes and the order of their
// rows; numbers count by their bits.
func Digest(ctx context.Context, path string) (string, error) {
	return contents(ctx, path, nil)
}

// Digest is [Digest] of the file that was written, and an error if its rows are not
// those that were sent, in their order. It reads what is on disk: what the writer's
// process believes to have written does not count.
func (w *Written) Digest(ctx context.Context, path string) (string, error) {
	return contents(ctx, path, w.rows)
}

// contents returns the digest of a database; written are the hashes of the rows that
// its tables must have, nil for any.
func contents(ctx context.Context, path string, written map[string][]byte) (string, error) {
	db, err := openScan(ctx, path)
	if err != nil {
		return "", err
	}
	defer db.close() //nolint:errcheck // read only: nothing can be lost
	digest, err := readContents(ctx, db.DB, written)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", filepath.Base(path), err)
	}
	return digest, nil
}

func readContents(ctx context.Context, db *sql.DB, written map[string][]byte) (string, error) {
	found, err := schemaOf(ctx, db)
	if err != nil {
		return "", err
	}
	if n := len(found); written != nil && n != len(written) {
		return "", fmt.Errorf("it has %d tables, and %d were written", n, len(written))
	}
	d := newDigester()
	defer d.close() //nolint:errcheck // a temporary file without a name
	for _, t := range found {
		if written != nil {
			d.ordered = blake3.New()
		}
		if err := digestTable(ctx, db, d, t); err != nil {
			return "", err
		}
		if written != nil && !bytes.Equal(d.ordered.Sum(nil), written[t.name]) {
			return "", fmt.Errorf("table %s does not read back as it was written", t.name)
		}
	}
	views, err := texts(ctx, db, viewsOf)
	if err != nil {
		return "", err
	}
	for _, v := range views {
		d.text("view", v)
	}
	return d.sum(), nil
}

// viewsOf lists the views of a database with what they are.
const viewsOf = `SELECT schema_name || '.' || view_name || ': ' || sql FROM duckdb_views() WHERE NOT internal AND database_name = current_database() ORDER BY ALL`

// schemaOf lists the tables of a database by name. Tables outside the schema
// main bear its name in front.
func schemaOf(ctx context.Context, db *sql.DB) (found []table, err error) {
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
		if len(found) == 0 || found[len(found)-1].name != name {
			found = append(found, table{name: name})
		}
		t := &found[len(found)-1]
		t.columns = append(t.columns, column{name: col, kind: kind(typ)})
	}
	return found, rows.Err()
}

// from names a table of schemaOf in SQL.
func from(name string) string {
	schema, rest, ok := strings.Cut(name, ".")
	if !ok {
		return "main." + quote(name)
	}
	return quote(schema) + "." + quote(rest)
}

// native kinds are hashed by value; any other type by DuckDB's text of it.
var native = []kind{integer, bigint, double, varchar, boolean}

// readable are a table's columns as they are read in SQL.
func (t table) readable() []string {
	exprs := make([]string, len(t.columns))
	for i, c := range t.columns {
		exprs[i] = quote(c.name)
		if !slices.Contains(native, c.kind) {
			exprs[i] = "CAST(" + exprs[i] + " AS VARCHAR)"
		}
	}
	return exprs
}

func digestTable(ctx context.Context, db *sql.DB, d *digester, t table) error {
	if err := eachRow(ctx, db, t, d.row); err != nil {
		return err
	}
	return d.endTable(t.name, t.columns)
}

// rowsAtOnce is how many rows are read by one query: the driver holds all that a query
// gives.
const rowsAtOnce = 1 << 13

// eachRow calls use with the cells of every row of a table, in the order in which it
// has them; they are overwritten by the next. It asks the driver and not database/sql,
// which looks at each cell again.
func eachRow(ctx context.Context, db *sql.DB, t table, use func(cells []driver.Value) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	var last sql.NullInt64
	if err := conn.QueryRowContext(ctx, "SELECT max(rowid) FROM "+from(t.name)).Scan(&last); err != nil {
		return err
	}
	cells := make([]driver.Value, len(t.columns))
	some := "SELECT " + strings.Join(t.readable(), ", ") + " FROM " + from(t.name) + " WHERE rowid >= %d AND rowid < %d"
	return conn.Raw(func(driverConn any) error {
		for first := int64(0); last.Valid && first <= last.Int64; first += rowsAtOnce {
			if err := eachOfDriver(ctx, driverConn, fmt.Sprintf(some, first, first+rowsAtOnce), cells, use); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachOfDriver is eachOf for a connection of the driver.
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

// eachOf reads the rows of a query one after the other into the same cells.
func eachOf(ctx context.Context, db *sql.DB, query string, into []any, use func() error) (err error) {
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
	found, err := schemaOf(ctx, db.DB)
	if err != nil {
		return fmt.Errorf("cells of %s: %w", filepath.Base(path), err)
	}
	for _, t := range found {
		for _, c := range t.columns {
			if err := v.Text(t.name, "name", c.name); err != nil {
				return err
			}
		}
		if err := cellsOf(ctx, db.DB, t, v); err != nil {
			return within(path, "table "+t.name, err)
		}
	}
	err = each(ctx, db.DB, catalogQuery, func(kind string, text []byte) error { return v.Text("catalogue", kind, string(text)) })
	if err != nil {
		return within(path, "catalogue", err)
	}
	return unseen(ctx, db.DB, found)
}

// cellsOf shows the distinct cells of a table, the texts of all its columns by one
// query: to plan one for each column takes longer than to run it.
func cellsOf(ctx context.Context, db *sql.DB, t table, v Visitor) error {
	var ofText []string
	for i, c := range t.columns {
		name := quote(c.name)
		switch {
		case numeric(c.kind):
		case c.kind == "BLOB":
			query := fmt.Sprintf("SELECT DISTINCT %s, %s FROM %s WHERE %[2]s IS NOT NULL ORDER BY 2", quoteText(c.name), name, from(t.name))
			if err := each(ctx, db, query, func(column string, cell []byte) error { return v.Bytes(t.name, column, cell) }); err != nil {
				return err
			}
		default:
			ofText = append(ofText, fmt.Sprintf("SELECT DISTINCT %d AS place, %s AS name, CAST(%s AS VARCHAR) AS cell FROM %s WHERE %[3]s IS NOT NULL", i, quoteText(c.name), name, from(t.name)))
		}
	}
	if len(ofText) == 0 {
		return nil
	}
	query := "SELECT name, cell FROM (" + strings.Join(ofText, " UNION ALL ") + ") ORDER BY place, cell"
	return each(ctx, db, query, func(column string, cell []byte) error { return v.Text(t.name, column, string(cell)) })
}

// UnseenError says that a database holds what none of its tables shows. Its text goes
// behind the name of the file.
type UnseenError struct{ What string }

func (e *UnseenError) Error() string {
	return e.What + "; write it anew: ATTACH 'new.db' AS fresh, then COPY FROM DATABASE … TO fresh"
}

// unseen looks for rows that were deleted and for blocks that no table uses any more,
// such as those of a dropped table. DuckDB keeps both, compressed.
func unseen(ctx context.Context, db *sql.DB, found []table) error {
	var kept, shown []string
	for i, t := range found {
		schema, name, ok := strings.Cut(t.name, ".")
		if !ok {
			schema, name = "main", t.name
		}
		kept = append(kept, fmt.Sprintf("(%d, %s, %s)", i, quoteText(schema), quoteText(name)))
		shown = append(shown, fmt.Sprintf("SELECT %d AS place, count(*) AS rows FROM %s", i, from(t.name)))
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
				return &UnseenError{fmt.Sprintf("table %s holds %d rows that were deleted", found[place].name, kept-shown)}
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

// catalogQuery finds what people can write into a database beside its rows, with its
// kind. DuckDB lists its thousands of functions once.
const catalogQuery = `WITH functions AS MATERIALIZED (
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

func numeric(k kind) bool {
	switch k {
	case "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE":
		return true
	}
	return strings.HasPrefix(string(k), "DECIMAL(")
}

// texts returns the one text column of a query; NULL is empty.
func texts(ctx context.Context, db *sql.DB, query string) (all []string, err error) {
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
