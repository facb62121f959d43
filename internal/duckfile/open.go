// Package duckfile reads DuckDB files, whatever their schema: it opens them for reading,
// shows all that people can read in them, gives a digest of what they hold and compares
// two of them.
//
// It does not write and knows no table: what the tables of a file mean is its caller's
// to know.
package duckfile

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"

	"github.com/duckdb/duckdb-go/v2"
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
	version, err := StorageVersion(path)
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
			fmt.Sprintf("ATTACH IF NOT EXISTS %s AS %s (READ_ONLY)", QuoteText(path), catalog),
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
	if log, werr := os.Stat(LogPath(path)); werr == nil && log.Size() > 0 && !errors.Is(err, ErrInUse) {
		err = fmt.Errorf("has a write-ahead log (%s): a program that wrote to it was interrupted, or is about to close it; "+
			"open the file once with DuckDB and close it again", filepath.Base(LogPath(path)))
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

// LogPath is where DuckDB puts the write-ahead log of a file.
func LogPath(path string) string { return path + ".wal" }

// errNotDuckDB is what every file without DuckDB's mark is.
var errNotDuckDB = errors.New("is not a DuckDB database")

// StorageVersion reads the header of a DuckDB file: a checksum of eight
// bytes, the letters DUCK, the version.
func StorageVersion(path string) (uint64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // read only: nothing can be lost
	var head [20]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[8:12]) != "DUCK" {
		return 0, errNotDuckDB
	}
	return binary.LittleEndian.Uint64(head[12:]), nil
}

// Quote makes an SQL identifier of a name.
func Quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// QuoteText makes an SQL string of a text.
func QuoteText(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
