package duckfile

import (
	"bufio"
	"bytes"
	"container/heap"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/zeebo/blake3"
)

// digester hashes contents: for each table its name, its columns with types and
// the hashes of its rows in ascending order. The order of rows in a file is no
// part of its contents; every bit of a number is.
type digester struct {
	h       *blake3.Hasher
	rows    sorter
	cell    []byte
	ordered *blake3.Hasher // of the rows of a table as they come, if that is asked for
}

func newDigester() *digester {
	d := &digester{h: blake3.New()}
	_, _ = d.h.WriteString("plr.contents/1\n") // a hash takes every byte
	return d
}

func (d *digester) text(texts ...string) {
	for _, s := range texts {
		d.cell = AppendCell(d.cell[:0], s)
		_, _ = d.h.Write(d.cell)
	}
}

func (d *digester) row(cells []driver.Value) error {
	d.cell = d.cell[:0]
	for _, cell := range cells {
		d.cell = AppendCell(d.cell, cell)
	}
	if d.ordered != nil {
		_, _ = d.ordered.Write(d.cell)
	}
	return d.rows.add(blake3.Sum256(d.cell))
}

// endTable takes in the rows since the last table.
func (d *digester) endTable(name string, columns []Column) error {
	d.text("table", name)
	for _, c := range columns {
		d.text("column", c.Name, string(c.Kind))
	}
	d.text("rows", fmt.Sprint(d.rows.n))
	return d.rows.drain(func(sum *rowSum) { _, _ = d.h.Write(sum[:]) })
}

func (d *digester) sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// close removes what was put aside.
func (d *digester) close() error { return d.rows.close() }

// rowSum is the hash of a row.
type rowSum [32]byte

func compareSums(a, b rowSum) int { return bytes.Compare(a[:], b[:]) }

// sortedAtOnce is how many hashes are sorted in memory, 8 MB of them. A table of
// more is sorted in pieces of so many, which lie in a temporary file meanwhile:
// that of the measures of 20,000 runs has millions of rows.
var sortedAtOnce = 1 << 18

// sorter puts hashes into ascending order.
type sorter struct {
	n     int // since the last drain
	held  []rowSum
	aside *os.File // of pieces of sortedAtOnce, without a name
}

func (s *sorter) add(sum rowSum) error {
	if len(s.held) == sortedAtOnce {
		if err := s.putAside(); err != nil {
			return fmt.Errorf("put hashes of rows aside: %w", err)
		}
	}
	s.held = append(s.held, sum)
	s.n++
	return nil
}

func (s *sorter) putAside() (err error) {
	if s.aside == nil {
		if s.aside, err = os.CreateTemp("", "plr-digest-"); err != nil {
			return err
		}
		// Nobody else needs its name, and a killed process leaves nothing.
		if err := os.Remove(s.aside.Name()); err != nil {
			return err
		}
	}
	slices.SortFunc(s.held, compareSums)
	w := bufio.NewWriterSize(s.aside, 1<<16)
	for i := range s.held {
		if _, err := w.Write(s.held[i][:]); err != nil {
			return err
		}
	}
	s.held = s.held[:0]
	return w.Flush()
}

// drain gives all hashes in ascending order and forgets them.
func (s *sorter) drain(use func(*rowSum)) error {
	slices.SortFunc(s.held, compareSums)
	var pieces pieces
	piece := int64(sortedAtOnce) * int64(len(rowSum{}))
	for i := range int64((s.n - len(s.held)) / sortedAtOnce) {
		p := &sortedPiece{r: bufio.NewReaderSize(io.NewSectionReader(s.aside, i*piece, piece), 1<<15)}
		if err := p.next(); err != nil {
			return err
		}
		pieces = append(pieces, p)
	}
	heap.Init(&pieces)
	least := func(upto *rowSum) error {
		for len(pieces) > 0 && (upto == nil || compareSums(pieces[0].first, *upto) <= 0) {
			use(&pieces[0].first)
			switch err := pieces[0].next(); {
			case errors.Is(err, io.EOF):
				heap.Pop(&pieces)
			case err != nil:
				return fmt.Errorf("read hashes of rows that were put aside: %w", err)
			default:
				heap.Fix(&pieces, 0)
			}
		}
		return nil
	}
	for i := range s.held {
		if err := least(&s.held[i]); err != nil {
			return err
		}
		use(&s.held[i])
	}
	if err := least(nil); err != nil {
		return err
	}
	s.n, s.held = 0, s.held[:0]
	if s.aside == nil {
		return nil
	}
	_, err := s.aside.Seek(0, io.SeekStart)
	return err
}

func (s *sorter) close() error {
	if s.aside == nil {
		return nil
	}
	return s.aside.Close()
}

// sortedPiece is what is left of a piece.
type sortedPiece struct {
	first rowSum
	r     *bufio.Reader
}

func (p *sortedPiece) next() error {
	_, err := io.ReadFull(p.r, p.first[:])
	return err
}

// pieces is a heap by first hash.
type pieces []*sortedPiece

func (p pieces) Len() int           { return len(p) }
func (p pieces) Less(i, j int) bool { return compareSums(p[i].first, p[j].first) < 0 }
func (p pieces) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }
func (p *pieces) Push(x any)        { *p = append(*p, x.(*sortedPiece)) }
func (p *pieces) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}
