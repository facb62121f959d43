package checkpoint

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
	"strings"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/zeebo/blake3"
)

// Limits of the writer. One thread: the order of rows in the file is that of
// the stream. The memory is many times what a study needs; nothing may be
// spilled to a folder that nobody cleans.
var writerSettings = []string{
	"SET threads = 1",
	"SET memory_limit = '1GB'",
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

// rowReader reads what Content.stream writes.
type rowReader struct {
	r *bufio.Reader
	h *blake3.Hasher
	b []byte
}

var errCut = errors.New("the rows from the parent process are cut or damaged")

func (in *rowReader) begin() (path string, err error) {
	magic := make([]byte, len(streamMagic))
	if _, err := io.ReadFull(in.r, magic); err != nil || string(magic) != streamMagic {
		return "", errors.New("started without rows: only a build starts it")
	}
	_, _ = in.h.Write(magic) // a hash takes every byte
	cell, err := in.cell()
	if err != nil {
		return "", err
	}
	path, ok := cell.(string)
	if !ok || !filepath.IsAbs(path) {
		return "", errCut
	}
	return path, nil
}

func (in *rowReader) cell() (any, error) {
	cell, err := readCell(in.r)
	if err != nil {
		return nil, errCut
	}
	in.b = appendCell(in.b[:0], cell)
	_, _ = in.h.Write(in.b)
	return cell, nil
}

func (in *rowReader) count() (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(in.r, b[:]); err != nil {
		return 0, errCut
	}
	_, _ = in.h.Write(b[:])
	return binary.LittleEndian.Uint64(b[:]), nil
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
// process if the stream turns out to be cut, then reads it again.
func writeFile(path string, in *rowReader) error {
	ctx := context.Background()
	sent, err := writeTables(ctx, path, in)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	db, err := Open(ctx, path)
	if err != nil {
		return err
	}
	defer db.Close() //nolint:errcheck // read only: nothing can be lost
	d := newDigester()
	for _, t := range tables {
		if err := digestTable(ctx, db, d, t); err != nil {
			return err
		}
	}
	if d.sum() != sent {
		return errors.New("the file does not read back as it was written")
	}
	return nil
}

func writeTables(ctx context.Context, path string, in *rowReader) (sent string, err error) {
	connector, err := duckdb.NewConnector("", nil)
	if err != nil {
		return "", err
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
	attach := fmt.Sprintf("ATTACH %s AS plr (STORAGE_VERSION %s)", quoteText(path), quoteText(storageName))
	if err := exec(append(writerSettings, attach, "USE plr", "BEGIN TRANSACTION")...); err != nil {
		return "", err
	}
	for _, t := range tables {
		if err := exec(t.ddl()); err != nil {
			return "", err
		}
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	d := newDigester()
	err = conn.Raw(func(driverConn any) error {
		for _, t := range tables {
			if err := appendTable(driverConn.(driver.Conn), t, in, d); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
		return in.end()
	})
	if err := errors.Join(err, conn.Close()); err != nil {
		return "", err
	}
	for _, v := range views {
		if err := exec(v.ddl); err != nil {
			return "", err
		}
	}
	return d.sum(), exec("COMMIT", "CHECKPOINT plr", "USE memory", "DETACH plr")
}

func appendTable(conn driver.Conn, t table, in *rowReader, d *digester) (err error) {
	n, err := in.count()
	if err != nil {
		return err
	}
	appender, err := duckdb.NewAppender(conn, "plr", "main", t.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, appender.Close()) }()
	row := make([]any, len(t.columns))
	values := make([]driver.Value, len(t.columns))
	for range n {
		for i, c := range t.columns {
			if row[i], err = in.cell(); err != nil {
				return err
			}
			if !c.holds(row[i]) {
				return fmt.Errorf("%s: %w", c.name, errCut)
			}
			values[i] = row[i]
		}
		d.row(row)
		if err := appender.AppendRow(values...); err != nil {
			return err
		}
	}
	d.endTable(t.name, t.columns)
	return nil
}
