package writer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// Rows calls add with each row of a database: those of one table in their order, between
// those of others. Cells are given in the order of the schema, as [schema.Column.Cell]
// takes them. It returns the first error of add, or its own. Rows are made when they are
// sent, because those of a large study take more memory than there may be.
type Rows func(add func(table string, cells ...any) error) error

// sender sends the rows of all tables on.
type sender struct {
	to   io.Writer
	n    []int            // by table
	sums []*blake3.Hasher // of the rows of each table, see duckfile.Written
	row  []byte
	err  error // the first row that is none of the schema, or that could not be sent
}

func newSender(to io.Writer) *sender {
	s := &sender{to: to, n: make([]int, len(schema.Tables)), sums: make([]*blake3.Hasher, len(schema.Tables))}
	for i := range s.sums {
		s.sums[i] = blake3.New()
	}
	return s
}

// add sends a row. After a row that does not fit its table nothing is sent.
func (s *sender) add(t string, cells ...any) error {
	if s.err == nil {
		s.err = s.send(t, cells)
	}
	return s.err
}

func (s *sender) send(t string, cells []any) error {
	place, known := schema.Place(t)
	if !known {
		return fmt.Errorf("%s: the table is not of the schema", t)
	}
	columns := schema.Tables[place].Columns
	if len(cells) != len(columns) {
		return fmt.Errorf("%s: row %d has %d cells, the table %d columns", t, s.n[place]+1, len(cells), len(columns))
	}
	s.row = beginRow(s.row, place)
	for i, value := range cells {
		cell, ok := columns[i].Cell(value)
		if !ok {
			return fmt.Errorf("%s.%s: row %d holds a %T", t, columns[i].Name, s.n[place]+1, cell)
		}
		s.row = duckfile.AppendCell(s.row, cell)
	}
	s.n[place]++
	_, _ = s.sums[place].Write(s.row[rowHead:]) // a hash takes every byte
	_, err := s.to.Write(endRow(s.row))
	return err
}

// written tells the rows that were sent.
func (s *sender) written() duckfile.Written {
	w := duckfile.Written{}
	for i, t := range schema.Tables {
		w[t.Name] = s.sums[i].Sum(nil)
	}
	return w
}

// beginRow begins a row of a table in the form in which rows travel; cells are appended
// to it. endRow says how long they are.
func beginRow(b []byte, place int) []byte { return append(b[:0], byte(place+1), 0, 0, 0, 0) }

func endRow(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[1:], uint32(len(b)-rowHead))
	return b
}

// rowHead is how many bytes stand before the cells of a row.
const rowHead = 5

// maxRow bounds the cells of a row, so that a damaged stream cannot ask for memory
// without end. The longest text of a checkpoint is a note of a line.
const maxRow = 1 << 20

// cells takes cells apart.
type cells struct {
	// texts are some that have occurred: those of a table are few, and each is to be
	// made once.
	texts map[string]any
}

// How many texts are kept, and how long they are at most.
const (
	keptTexts    = 1 << 12
	keptTextSize = 64
)

var errCell = errors.New("not a cell")

// next reads the first cell of b; the one before it in its column is used again where
// it is the same.
func (c *cells) next(b []byte, before any) (cell any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errCell
	}
	mark, b := b[0], b[1:]
	if int(mark) >= len(cellSizes) || len(b) < cellSizes[mark] {
		return nil, nil, errCell
	}
	size := cellSizes[mark]
	body, rest := b[:size], b[size:]
	switch mark {
	case 1:
		v := int32(binary.LittleEndian.Uint32(body))
		if last, ok := before.(int32); ok && last == v {
			return before, rest, nil
		}
		return v, rest, nil
	case 2:
		v := binary.LittleEndian.Uint64(body)
		if last, ok := before.(float64); ok && math.Float64bits(last) == v {
			return before, rest, nil
		}
		return math.Float64frombits(v), rest, nil
	case 3:
		n := uint64(binary.LittleEndian.Uint32(body))
		if uint64(len(rest)) < n {
			return nil, nil, errCell
		}
		return c.text(rest[:n]), rest[n:], nil
	case 4, 5:
		return mark == 5, rest, nil
	case 6:
		return int64(binary.LittleEndian.Uint64(body)), rest, nil
	}
	return nil, rest, nil
}

// cellSizes is how many bytes follow each mark, before those of a text.
var cellSizes = [...]int{0, 4, 8, 4, 0, 0, 8}

func (c *cells) text(b []byte) any {
	if known, ok := c.texts[string(b)]; ok {
		return known
	}
	text := string(b)
	var cell any = text
	if len(text) <= keptTextSize && len(c.texts) < keptTexts {
		if c.texts == nil {
			c.texts = map[string]any{}
		}
		c.texts[text] = cell
	}
	return cell
}

// streamMagic begins what the child reads: then the path of the file to make, as a row
// of no table, then rows, each as the place of its table in the schema, from 1, the
// length of its cells in bytes, and these; then endOfRows and the BLAKE3 digest of all
// that, by which a cut stream is told from a whole one.
const (
	streamMagic = "plr.checkpoint.rows/3\n"
	endOfRows   = 0
	noTable     = -1 // the place of the path
)

func (rows Rows) stream(w io.Writer, path string) (duckfile.Written, error) {
	h := blake3.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(w, h), 1<<16)
	if _, err := buffered.WriteString(streamMagic); err != nil {
		return nil, err
	}
	if _, err := buffered.Write(endRow(duckfile.AppendCell(beginRow(nil, noTable), path))); err != nil {
		return nil, err
	}
	to := newSender(buffered)
	if err := rows(to.add); err != nil {
		return nil, err
	}
	if to.err != nil { // whoever made the rows went on
		return nil, to.err
	}
	if err := errors.Join(buffered.WriteByte(endOfRows), buffered.Flush()); err != nil {
		return nil, err
	}
	_, err := w.Write(h.Sum(nil))
	return to.written(), err
}
