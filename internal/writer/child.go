package writer

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// Limits of the writer. One thread: the order of rows in the file is that of
// the stream. A table's pages go to the file when a row group of 122,880 rows is
// full, so that what is in memory is one row group a table, some 100 MB, whatever
// the number of runs, and pages that have been written. Nothing may be spilled to a
// folder that nobody cleans.
var writerSettings = []string{
	"SET threads = 1",
	"SET memory_limit = '160MB'",
	"SET write_buffer_row_group_count = 1",
	"SET temp_directory = ''",
	"SET preserve_insertion_order = true",
	"SET checkpoint_threshold = '1KB'", // a commit then writes the file and no log of all rows before it
	"SET autoinstall_known_extensions = false",
	"SET autoload_known_extensions = false",
}

// RunChild is the writer: it reads coded rows and the path of the file to make
// from stdin and returns the exit code of the process. What it prints is one
// sentence. It is only of use to [Write], see [ChildEnv].
func RunChild(stdin io.Reader, stderr io.Writer) (code int) {
	var path string
	fail := func(reason string) int {
		if path != "" {
			reason = strings.NewReplacer(path, "the file", filepath.Dir(path), "the folder").Replace(reason)
		}
		reason, _, _ = strings.Cut(reason, "\n")
		_, _ = fmt.Fprintf(stderr, "%s%s\n", complaintPrefix, reason) // the exit code tells it as well
		return 1
	}
	defer func() {
		if r := recover(); r != nil {
			code = fail(fmt.Sprintf("panic: %v", r))
		}
	}()
	in := &rowReader{r: bufio.NewReaderSize(stdin, 1<<16), h: blake3.New()}
	path, err := in.begin()
	if err != nil {
		return fail(err.Error())
	}
	if err := writeFile(path, in); err != nil {
		return fail(err.Error())
	}
	return 0
}

// rowReader reads what Rows.stream writes.
type rowReader struct {
	r     *bufio.Reader
	h     *blake3.Hasher
	row   []byte // the length and the cells of the last one, as they came
	cells cells
}

var errCut = errors.New("the rows from the parent process are cut or damaged")

func (in *rowReader) begin() (path string, err error) {
	magic := make([]byte, len(streamMagic))
	if _, err := io.ReadFull(in.r, magic); err != nil || string(magic) != streamMagic {
		return "", errors.New("started without rows: only a build starts it")
	}
	_, _ = in.h.Write(magic) // a hash takes every byte
	place, _, err := in.table()
	if err != nil || place != noTable {
		return "", errCut
	}
	var cell [1]any
	if err := in.read(cell[:]); err != nil {
		return "", err
	}
	path, ok := cell[0].(string)
	if !ok || !filepath.IsAbs(path) {
		return "", errCut
	}
	return path, nil
}

// table is the place in the schema of the table that has the next row; it is false
// at the end of all.
func (in *rowReader) table() (place int, more bool, err error) {
	mark, err := in.r.ReadByte()
	if err != nil || int(mark) > len(schema.Tables) {
		return 0, false, errCut
	}
	_, _ = in.h.Write([]byte{mark}) // a hash takes every byte
	return int(mark) - 1, mark != endOfRows, nil
}

// next reads the next row of a table into cells, which hold the one before it.
func (in *rowReader) next(t schema.Table, cells []any) error {
	if err := in.read(cells); err != nil {
		return err
	}
	for i, c := range t.Columns {
		if _, ok := c.Cell(cells[i]); !ok {
			return fmt.Errorf("%s: %w", c.Name, errCut)
		}
	}
	return nil
}

// read reads as many cells as there are.
func (in *rowReader) read(cells []any) error {
	in.row = slices.Grow(in.row[:0], 4)[:4]
	if _, err := io.ReadFull(in.r, in.row); err != nil {
		return errCut
	}
	n := int(binary.LittleEndian.Uint32(in.row))
	if n > maxRow {
		return errCut
	}
	in.row = slices.Grow(in.row, n)[:4+n]
	if _, err := io.ReadFull(in.r, in.row[4:]); err != nil {
		return errCut
	}
	_, _ = in.h.Write(in.row) // a hash takes every byte
	rest := in.row[4:]
	for i := range cells {
		var err error
		if cells[i], rest, err = in.cells.next(rest, cells[i]); err != nil {
			return errCut
		}
	}
	if len(rest) > 0 {
		return errCut
	}
	return nil
}

// end compares the digest that follows the rows with theirs.
func (in *rowReader) end() error {
	sum := make([]byte, 32)
	if _, err := io.ReadFull(in.r, sum); err != nil || !bytes.Equal(sum, in.h.Sum(nil)) {
		return errCut
	}
	return nil
}

// writeFile makes the file in one transaction, which is rolled back with the
// process if the stream turns out to be cut.
func writeFile(path string, in *rowReader) error {
	if err := writeTables(context.Background(), path, in); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func writeTables(ctx context.Context, path string, in *rowReader) (err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1) // one connection: settings and the transaction are its own
	defer func() { err = errors.Join(err, db.Close()) }()
	exec := func(statements ...string) error {
		for _, s := range statements {
			if _, err := db.ExecContext(ctx, s); err != nil {
				return err
			}
		}
		return nil
	}
	attach := fmt.Sprintf("ATTACH %s AS plr (STORAGE_VERSION %s)", duckfile.QuoteText(path), duckfile.QuoteText(storageName))
	if err := exec(append(writerSettings, attach, "USE plr", "BEGIN TRANSACTION")...); err != nil {
		return err
	}
	for _, t := range schema.Tables {
		if err := exec(t.DDL()); err != nil {
			return err
		}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	err = conn.Raw(func(driverConn any) error {
		return appendRows(driverConn.(driver.Conn), in)
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	for _, v := range schema.Views {
		if err := exec(v.DDL); err != nil {
			return err
		}
	}
	return exec("COMMIT", "CHECKPOINT plr", "USE memory", "DETACH plr")
}

// tableAppender adds rows to one table.
type tableAppender struct {
	to     *duckdb.Appender
	cells  []any
	values []driver.Value
	n      int
}

// flushedRows is after how many rows DuckDB takes what it holds of a table into row
// groups. By itself it holds two hundred thousand rows of every table.
const flushedRows = 1 << 12

// appendRows adds all rows, those of one table in the order in which they come.
func appendRows(conn driver.Conn, in *rowReader) (err error) {
	appenders := make([]tableAppender, len(schema.Tables))
	defer func() {
		for _, a := range appenders {
			if a.to != nil {
				err = errors.Join(err, a.to.Close())
			}
		}
	}()
	for i, t := range schema.Tables {
		appenders[i] = tableAppender{cells: make([]any, len(t.Columns)), values: make([]driver.Value, len(t.Columns))}
	}
	for {
		place, more, err := in.table()
		if err != nil {
			return err
		}
		if !more {
			break
		}
		if err := appenders[place].add(conn, schema.Tables[place], in); err != nil {
			return fmt.Errorf("%s: %w", schema.Tables[place].Name, err)
		}
	}
	return in.end()
}

func (a *tableAppender) add(conn driver.Conn, t schema.Table, in *rowReader) (err error) {
	if a.to == nil {
		if a.to, err = duckdb.NewAppender(conn, "plr", "main", t.Name); err != nil {
			return err
		}
	}
	if err := in.next(t, a.cells); err != nil {
		return err
	}
	for i, cell := range a.cells {
		a.values[i] = cell
	}
	if err := a.to.AppendRow(a.values...); err != nil {
		return err
	}
	if a.n++; a.n%flushedRows == 0 {
		return a.to.Flush()
	}
	return nil
}
