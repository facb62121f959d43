// Package sourcedb reads the private source database of a study: its subjects,
// their labels and their traces, of which it writes a few to a private pickle. It
// changes nothing in the database and knows neither runs nor pickles of a tracking
// store, nor public codes beyond a function that gives them.
package sourcedb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/duckdb/duckdb-go/v2"
)

// Contents is what the private source database says of its subjects.
type Contents struct {
	Subjects []Subject // by original code
}

// Subject is one subject of the table train or test.
type Subject struct {
	Original string
	Table    string // train or test
	Outcome  *int   // 0 control, 1 glaucoma, nil where the database has no label
	Points   int    // time points with an outlier mask
	Masked   int    // those of them that are masked
}

// OutlierFraction is the mean of the outlier mask, in [0, 1], and false where
// the subject has no masked or unmasked point at all.
func (s Subject) OutlierFraction() (float64, bool) {
	if s.Points == 0 {
		return 0, false
	}
	return float64(s.Masked) / float64(s.Points), true
}

// Unlabelled counts the subjects without a label.
func (s *Contents) Unlabelled() int {
	n := 0
	for _, subject := range s.Subjects {
		if subject.Outcome == nil {
			n++
		}
	}
	return n
}

// tables are the two halves of the study's split.
var tables = []string{"train", "test"}

// columns are the columns that subjects and traces need.
var columns = []string{"subject_code", "class_label", "outlier_mask", "time", "pupil_gt", "pupil_raw", "Red", "Blue"}

// outcomeOfLabel reads the source database's class labels.
var outcomeOfLabel = map[string]int{"control": 0, "glaucoma": 1}

// labelOfOutcome is the reverse of outcomeOfLabel.
var labelOfOutcome = [2]string{"control", "glaucoma"}

// Read reads the subjects of a source database without changing the
// database or anything beside it. Both tables with all their columns must be
// there. Contradictions (two labels for one subject, an unknown label, a mask
// other than 0 and 1, a subject in both tables) are errors that count subjects
// and name none.
func Read(ctx context.Context, path string) (*Contents, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer db.close()
	source, err := db.subjects(ctx)
	if err != nil {
		return nil, fmt.Errorf("source database %s: %w", path, err)
	}
	return source, nil
}

// connection is an open source database: an empty in-memory database to which the
// file is attached read-only. A connection string would give the characters
// ?, # and % of a path a meaning of their own, and with it could lose the
// read-only mode.
type connection struct {
	db   *sql.DB
	conn *sql.Conn
}

// close ends a connection that wrote nothing: what it could report has no
// bearing on what was read.
func (s *connection) close() {
	_ = s.conn.Close()
	_ = s.db.Close()
}

// memoryDSN keeps DuckDB from spilling to disk, fetching extensions and summing
// in an order that depends on threads.
const memoryDSN = ":memory:?threads=1&temp_directory=&autoinstall_known_extensions=false&autoload_known_extensions=false"

func open(ctx context.Context, path string) (*connection, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("source database %s: %w; correct PLR_SOURCE_DB, or unset it to do without the source database", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("source database: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("source database %s is not a regular file; point PLR_SOURCE_DB to the DuckDB file", path)
	}
	connector, err := duckdb.NewConnector(memoryDSN, nil)
	if err != nil {
		return nil, fmt.Errorf("start DuckDB: %w", err)
	}
	s := &connection{db: sql.OpenDB(connector)}
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start DuckDB: %w", err), s.db.Close())
	}
	if err := s.attach(ctx, path); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *connection) attach(ctx context.Context, path string) error {
	statement := "ATTACH " + quoteSQL(path) + " AS source (TYPE duckdb, READ_ONLY)"
	if _, err := s.conn.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("source database %s: %w", path, explainOpen(err))
	}
	// DuckDB would replay the log in memory: numbers would then depend on a
	// file that no step declares as its input.
	if info, err := os.Stat(path + ".wal"); err == nil && info.Size() > 0 {
		return fmt.Errorf("source database %s: changes that are not yet in the file stand in %s.wal; open it once with DuckDB and run CHECKPOINT", path, path)
	}
	// A view of the file must not reach other files.
	for _, statement := range []string{"SET enable_external_access = false", "SET lock_configuration = true"} {
		if _, err := s.conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("source database %s: %w", path, err)
		}
	}
	if err := s.checkColumns(ctx); err != nil {
		return fmt.Errorf("source database %s: %w", path, err)
	}
	return nil
}

// ErrInUse is wrapped by errors about a source database that another program
// has open for writing: it may be closed there any moment.
var ErrInUse = errors.New("close it there, or work on a copy")

// lockHolder finds the process in DuckDB's message about a conflicting lock.
var lockHolder = regexp.MustCompile(`Conflicting lock is held in (.*?\(PID \d+\))`)

// storageVersion finds the version of a file in DuckDB's message that it cannot
// read it.
var storageVersion = regexp.MustCompile(`file with version number (\d+)`)

// oldestStorage is the storage version of DuckDB 0.10, the first that later
// ones read.
const oldestStorage = 64

// developmentStorage is what DuckDB 1.5 reports for the 999 that development
// builds of DuckDB 2 write. The true version 1 is of 2020.
const developmentStorage = 1

// explainOpen turns DuckDB's reasons for not opening a file into what to do.
func explainOpen(err error) error {
	text := err.Error()
	if holder := lockHolder.FindStringSubmatch(text); holder != nil {
		return fmt.Errorf("it is open for writing in %s; %w", holder[1], ErrInUse)
	}
	if version := storageVersion.FindStringSubmatch(text); version != nil {
		if n, err := strconv.Atoi(version[1]); err == nil && n < oldestStorage && n != developmentStorage {
			return errors.New("it was written by a DuckDB before 0.10, in a storage format that DuckDB 1 cannot read; " +
				"in that DuckDB: EXPORT DATABASE, then IMPORT DATABASE in a current one")
		}
		return errors.New("it was written by a newer DuckDB, in a storage format that DuckDB 1 cannot read; " +
			"in that DuckDB: ATTACH 'new.db' AS new (STORAGE_VERSION 'v1.0.0'), then COPY FROM DATABASE the old one TO new, and use new.db")
	}
	switch {
	case strings.Contains(text, "Could not set lock"):
		return fmt.Errorf("another process has it open for writing; %w", ErrInUse)
	case strings.Contains(text, "not a valid DuckDB database"):
		return errors.New("it is not a DuckDB database")
	case strings.Contains(text, "Corrupt database file"), strings.Contains(text, "Could not read enough bytes"):
		return errors.New("it is a damaged DuckDB database; restore it from a backup")
	}
	return err
}

func (s *connection) checkColumns(ctx context.Context) error {
	rows, err := s.conn.QueryContext(ctx,
		"SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'source' AND schema_name = 'main'")
	if err != nil {
		return err
	}
	defer rows.Close()
	found := map[string]map[string]bool{}
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			return err
		}
		if found[table] == nil {
			found[table] = map[string]bool{}
		}
		found[table][strings.ToLower(column)] = true
	}
	if err := rows.Err(); err != nil {
		return err
	}
	for _, table := range tables {
		if found[table] == nil {
			return fmt.Errorf("it has no table %s; a source database has the tables %s", table, strings.Join(tables, " and "))
		}
		var missing []string
		for _, column := range columns {
			if !found[table][strings.ToLower(column)] {
				missing = append(missing, column)
			}
		}
		if missing != nil {
			return fmt.Errorf("its table %s lacks the columns %s", table, strings.Join(missing, ", "))
		}
	}
	return nil
}

// subjectsQuery counts what can be wrong beside what is wanted. Sums of the
// mask are of zeros and ones, so no order of summation can change them.
const subjectsQuery = `SELECT CAST(subject_code AS VARCHAR) AS code,
  min(class_label), count(DISTINCT class_label),
  count(outlier_mask), coalesce(sum(CAST(outlier_mask AS DOUBLE)), 0),
  count(*) FILTER (CAST(outlier_mask AS DOUBLE) NOT IN (0, 1))
FROM source.main.%s GROUP BY code ORDER BY code`

func (s *connection) subjects(ctx context.Context) (*Contents, error) {
	source := &Contents{}
	var wrong faults
	tableOf := map[string]string{}
	for _, table := range tables {
		rows, err := s.conn.QueryContext(ctx, fmt.Sprintf(subjectsQuery, table))
		if err != nil {
			return nil, fmt.Errorf("table %s: %w", table, redactQuery(err))
		}
		for rows.Next() {
			var code, label sql.NullString
			var labels, points, badMask int
			var masked float64
			if err := rows.Scan(&code, &label, &labels, &points, &masked, &badMask); err != nil {
				return nil, errors.Join(fmt.Errorf("table %s: %w", table, err), rows.Close())
			}
			subject := Subject{Original: code.String, Table: table, Points: points, Masked: int(masked)}
			switch outcome, known := outcomeOfLabel[label.String]; {
			case labels > 1:
				wrong.twoLabels++
			case known:
				subject.Outcome = &outcome
			case label.Valid:
				wrong.unknownLabel++
			}
			switch {
			case code.String == "":
				wrong.noCode++
			case !Readable(code.String):
				wrong.unreadable++
			}
			if badMask > 0 {
				wrong.badMask++
			}
			if _, twice := tableOf[code.String]; twice {
				wrong.twoTables++
			}
			tableOf[code.String] = table
			source.Subjects = append(source.Subjects, subject)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("table %s: %w", table, redactQuery(err))
		}
	}
	if err := wrong.err(); err != nil {
		return nil, err
	}
	slices.SortFunc(source.Subjects, func(a, b Subject) int { return strings.Compare(a.Original, b.Original) })
	return source, nil
}

// Readable says whether an original code is what people read of it: with blanks around
// it, or with characters that do not show, it would be a person of its own beside the
// one without.
func Readable(original string) bool {
	return utf8.ValidString(original) && strings.TrimSpace(original) == original &&
		!strings.ContainsFunc(original, func(r rune) bool { return !unicode.IsPrint(r) })
}

// redactQuery keeps the kind of DuckDB's error: its text may quote a cell.
func redactQuery(err error) error {
	var failure *duckdb.Error
	if errors.As(err, &failure) {
		kind, _, _ := strings.Cut(failure.Msg, ":")
		return fmt.Errorf("a column has values of another type than expected (%s)", kind)
	}
	return err
}

// faults counts subjects by what is wrong with them.
type faults struct {
	noCode, unreadable, twoLabels, unknownLabel, badMask, twoTables int
}

func (f faults) err() error {
	var parts []string
	for _, fault := range []struct {
		n    int
		what string
	}{
		{f.noCode, "rows without a subject_code"},
		{f.unreadable, "with blanks around the subject_code, or characters in it that do not show"},
		{f.twoLabels, "with more than one class_label"},
		{f.unknownLabel, "with a class_label other than control and glaucoma"},
		{f.badMask, "with an outlier_mask other than 0 and 1"},
		{f.twoTables, "in both train and test"},
	} {
		if fault.n > 0 {
			parts = append(parts, fmt.Sprintf("%s: %d", fault.what, fault.n))
		}
	}
	if parts == nil {
		return nil
	}
	return fmt.Errorf("subjects that contradict themselves (%s); correct the database", strings.Join(parts, "; "))
}

func quoteSQL(text string) string {
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}
