package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"
)

// Content is what a checkpoint holds: the coded rows of every table. It has no
// original code, no clock, no path. The rows are made when they are sent, because
// those of a large study take more memory than there may be: the same ones each time.
type Content struct {
	make func(to *rows) error
}

// rows take the rows of all tables and send them on, those of one table in their
// order, between those of others.
type rows struct {
	to  io.Writer
	n   []int // by table
	row []byte
	err error // the first row that is none of the schema, or that could not be sent
}

func newRows(to io.Writer) *rows { return &rows{to: to, n: make([]int, len(tables))} }

// count returns the number of rows of a table so far.
func (r *rows) count(t string) int { return r.n[tablePlaces[t]] }

// add sends a row. Cells are given in the order of the schema; optional numbers as
// pointers. A row that does not fit the table is kept as an error, see check.
func (r *rows) add(t string, cells ...any) {
	if r.err != nil {
		return
	}
	place := tablePlaces[t]
	columns := tables[place].columns
	if len(cells) != len(columns) {
		r.err = fmt.Errorf("%s: row %d has %d cells, the table %d columns", t, r.n[place]+1, len(cells), len(columns))
		return
	}
	r.row = append(r.row[:0], byte(place+1))
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
			r.err = fmt.Errorf("%s.%s: row %d holds a %T", t, columns[i].name, r.n[place]+1, cell)
			return
		}
		r.row = appendCell(r.row, cell)
	}
	r.n[place]++
	_, r.err = r.to.Write(r.row)
}

// check says whether every row fits the schema and was sent.
func (r *rows) check() error { return r.err }

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

// streamMagic begins what the child reads: then the path of the file to make, then
// rows, each as the place of its table in the schema, from 1, and its cells; then
// endOfRows and the BLAKE3 digest of all that, by which a cut stream is told from a
// whole one.
const (
	streamMagic = "plr.checkpoint.rows/2\n"
	endOfRows   = 0
)

func (c *Content) stream(w io.Writer, path string) error {
	h := blake3.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<16)
	if _, err := buffered.Write(appendCell([]byte(streamMagic), path)); err != nil {
		return err
	}
	to := newRows(buffered)
	if err := c.make(to); err != nil {
		return err
	}
	if err := to.check(); err != nil {
		return err
	}
	if err := errors.Join(buffered.WriteByte(endOfRows), buffered.Flush()); err != nil {
		return err
	}
	_, err := w.Write(h.Sum(nil))
	return err
}
