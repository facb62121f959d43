package duckfile

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math"
	"path/filepath"

	"github.com/zeebo/blake3"
)

// Digest returns the digest of a database's contents, 64 hexadecimal digits of
// BLAKE3: tables with their columns and rows, and views. Files with equal
// contents have equal digests, whatever their bytes and the order of their
// rows; numbers count by their bits.
func Digest(ctx context.Context, path string) (string, error) {
	return contents(ctx, path, nil)
}

// Written is what a file was written with: of each table the BLAKE3 hash of its rows,
// cells as [AppendCell] has them, in the order in which they were written.
type Written map[string][]byte

// Digest is [Digest] of the file that was written, and an error if its rows are not
// those that were sent, in their order. It reads what is on disk: what the writer's
// process believes to have written does not count.
func (w Written) Digest(ctx context.Context, path string) (string, error) {
	return contents(ctx, path, w)
}

// contents returns the digest of a database; written is what it must
// hold, nil for anything.
func contents(ctx context.Context, path string, written Written) (string, error) {
	db, err := openScan(ctx, path)
	if err != nil {
		return "", err
	}
	defer db.close() //nolint:errcheck // read only: nothing can be lost
	defer db.begin()()
	digest, err := readContents(ctx, db.DB, written)
	if err != nil {
		return "", fmt.Errorf("digest of %s: %w", filepath.Base(path), err)
	}
	return digest, nil
}

func readContents(ctx context.Context, db *sql.DB, written Written) (string, error) {
	found, err := Tables(ctx, db)
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
		if written != nil && !bytes.Equal(d.ordered.Sum(nil), written[t.Name]) {
			return "", fmt.Errorf("table %s does not read back as it was written", t.Name)
		}
	}
	views, err := Texts(ctx, db, viewsOf)
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

// AppendCell encodes a cell so that different cells have different bytes: a
// mark, then the exact bits. It is the form in which rows are hashed, and in which they
// may travel. A cell is nil, an int32, int64, float64, string or bool; it panics with any
// other.
func AppendCell(b []byte, cell any) []byte {
	switch v := cell.(type) {
	case nil:
		return append(b, 0)
	case int32:
		return binary.LittleEndian.AppendUint32(append(b, 1), uint32(v))
	case int64:
		return binary.LittleEndian.AppendUint64(append(b, 6), uint64(v))
	case float64:
		return binary.LittleEndian.AppendUint64(append(b, 2), math.Float64bits(v))
	case string:
		b = binary.LittleEndian.AppendUint32(append(b, 3), uint32(len(v)))
		return append(b, v...)
	case bool:
		if v {
			return append(b, 5)
		}
		return append(b, 4)
	}
	panic(fmt.Sprintf("duckfile: a cell is a %T", cell))
}
