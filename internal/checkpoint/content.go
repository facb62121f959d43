package checkpoint

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/zeebo/blake3"
)

// Content is what a checkpoint holds: the coded rows of every table. It has no
// original code, no clock, no path.
type Content struct {
	tables map[string]*packedRows
	err    error // the first row that is none of the schema
}

// packedRows are the rows of a table, encoded as they travel to the child: as
// values of their own, those of a large study take a gigabyte.
type packedRows struct {
	n      int
	chunks [][]byte // each begins with a row and ends with one
}

// chunkSize is what a chunk is made for. Growing one piece would copy it again
// and again and hold twice what is needed.
const chunkSize = 1 << 16

// Rows returns the rows of a table in their order, each with one cell a column:
// nil, int32, int64, float64, string or bool.
func (c *Content) Rows(table string) [][]any {
	packed := c.tables[table]
	if packed == nil {
		return nil
	}
	rows := make([][]any, 0, packed.n)
	width := len(tableNamed(table).columns)
	for _, chunk := range packed.chunks {
		for r := bufio.NewReader(bytes.NewReader(chunk)); ; {
			row := make([]any, width)
			var err error
			for i := range row {
				if row[i], err = readCell(r); err != nil {
					break
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				panic(fmt.Sprintf("checkpoint: rows of %s that were packed here: %v", table, err))
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// count returns the number of rows of a table.
func (c *Content) count(table string) int {
	if packed := c.tables[table]; packed != nil {
		return packed.n
	}
	return 0
}

// add appends a row. Cells are given in the order of the schema; optional
// numbers as pointers. A row that does not fit the table is kept as an error,
// see check.
func (c *Content) add(t string, cells ...any) {
	if c.tables == nil {
		c.tables = map[string]*packedRows{}
	}
	packed := c.tables[t]
	if packed == nil {
		packed = new(packedRows)
		c.tables[t] = packed
	}
	columns := tableNamed(t).columns
	if len(cells) != len(columns) {
		c.fail(fmt.Errorf("%s: row %d has %d cells, the table %d columns", t, packed.n+1, len(cells), len(columns)))
		return
	}
	last := len(packed.chunks) - 1
	if last < 0 || len(packed.chunks[last]) >= chunkSize {
		packed.chunks, last = append(packed.chunks, make([]byte, 0, chunkSize+chunkSize/8)), last+1
	}
	b := packed.chunks[last]
	for i, cell := range cells {
		switch v := cell.(type) {
		case int:
			cell = int32(v)
		case *float64:
			if cell = nil; v != nil {
				cell = *v
			}
		}
		if !columns[i].holds(cell) {
			c.fail(fmt.Errorf("%s.%s: row %d holds a %T", t, columns[i].name, packed.n+1, cell))
			return
		}
		b = appendCell(b, cell)
	}
	packed.chunks[last] = b
	packed.n++
}

func (c *Content) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// check says whether every row fits the schema.
func (c *Content) check() error { return c.err }

func (c column) holds(cell any) bool {
	switch v := cell.(type) {
	case nil:
		return c.traits&nullable != 0
	case int32:
		return c.kind == integer
	case int64:
		return c.kind == bigint
	case float64:
		return c.kind == double && !math.IsNaN(v)
	case string:
		return c.kind == varchar
	case bool:
		return c.kind == boolean
	}
	return false
}

// appendCell encodes a cell so that different cells have different bytes: a
// mark, then the exact bits. It is the form in which rows travel to the child
// and in which they are hashed.
func appendCell(b []byte, cell any) []byte {
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
	panic(fmt.Sprintf("checkpoint: a cell is a %T", cell))
}

// maxText bounds a cell, so that a damaged stream cannot ask for memory without
// end. The longest text of a checkpoint is a note of a line.
const maxText = 1 << 20

func readCell(r *bufio.Reader) (any, error) {
	mark, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	var buf [8]byte
	switch mark {
	case 0:
		return nil, nil
	case 1:
		_, err = io.ReadFull(r, buf[:4])
		return int32(binary.LittleEndian.Uint32(buf[:4])), err
	case 2:
		_, err = io.ReadFull(r, buf[:])
		return math.Float64frombits(binary.LittleEndian.Uint64(buf[:])), err
	case 3:
		return readText(r)
	case 4, 5:
		return mark == 5, nil
	case 6:
		_, err = io.ReadFull(r, buf[:])
		return int64(binary.LittleEndian.Uint64(buf[:])), err
	}
	return nil, errors.New("unknown mark")
}

func readText(r *bufio.Reader) (string, error) {
	var buf [4]byte
	if _, err := io.ReadFull(r, buf[:]); err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint32(buf[:])
	if n > maxText {
		return "", errors.New("text too long")
	}
	text := make([]byte, n)
	_, err := io.ReadFull(r, text)
	return string(text), err
}

// streamMagic begins what the child reads: then the path of the file to make,
// then each table of the schema as a count of rows and the cells, then the
// BLAKE3 digest of all that, by which a cut stream is told from a whole one.
const streamMagic = "plr.checkpoint.rows/1\n"

func (c *Content) stream(w io.Writer, path string) error {
	h := blake3.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<16)
	if _, err := buffered.Write(appendCell([]byte(streamMagic), path)); err != nil {
		return err
	}
	for _, t := range tables {
		packed := c.tables[t.name]
		if packed == nil {
			packed = new(packedRows)
		}
		if _, err := buffered.Write(binary.LittleEndian.AppendUint64(nil, uint64(packed.n))); err != nil {
			return err
		}
		for _, chunk := range packed.chunks {
			if _, err := buffered.Write(chunk); err != nil {
				return err
			}
		}
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	_, err := w.Write(h.Sum(nil))
	return err
}

// digester hashes contents: for each table its name, its columns with types and
// the hashes of its rows in ascending order. The order of rows in a file is no
// part of its contents; every bit of a number is.
type digester struct {
	h    *blake3.Hasher
	rows []byte // 32 bytes a row
	cell []byte
}

func newDigester() *digester {
	d := &digester{h: blake3.New()}
	_, _ = d.h.WriteString("plr.contents/1\n") // a hash takes every byte
	return d
}

func (d *digester) text(texts ...string) {
	for _, s := range texts {
		d.cell = appendCell(d.cell[:0], s)
		_, _ = d.h.Write(d.cell)
	}
}

func (d *digester) row(cells []any) {
	d.cell = d.cell[:0]
	for _, cell := range cells {
		d.cell = appendCell(d.cell, cell)
	}
	sum := blake3.Sum256(d.cell)
	d.rows = append(d.rows, sum[:]...)
}

// endTable takes in the rows since the last table.
func (d *digester) endTable(name string, columns []column) {
	d.text("table", name)
	for _, c := range columns {
		d.text("column", c.name, string(c.kind))
	}
	sums := slices.Collect(slices.Chunk(d.rows, 32))
	slices.SortFunc(sums, bytes.Compare)
	d.text("rows", fmt.Sprint(len(sums)))
	for _, sum := range sums {
		_, _ = d.h.Write(sum)
	}
	d.rows = d.rows[:0]
}

func (d *digester) sum() string { return hex.EncodeToString(d.h.Sum(nil)) }
