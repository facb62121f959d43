package container

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// Lengths of the parts of a WOFF file (W3C, WOFF File Format 1.0, 3 and 4).
const (
	woffHead  = 44
	woffTable = 20
)

// woff2 says why a WOFF 2.0 file is refused.
const woff2 = "it is a WOFF2 font, whose tables are compressed by brotli; embed it as WOFF"

// isFont says whether what begins with the mark of a packed font goes on as one: with
// the kind of the font that it packs. A text may begin with the same letters.
func isFont(head []byte, mark string) bool {
	if !bytes.HasPrefix(head, []byte(mark)) || len(head) < 8 {
		return false
	}
	return slices.Contains([]string{"\x00\x01\x00\x00", "OTTO", "true", "typ1", "ttcf"}, string(head[4:8]))
}

// block is a part of a packed font.
type block struct {
	what             string
	at, size, unfold int64 // bytes in the file, and unpacked: more, if it is packed
}

// font shows the bytes of a WOFF file as a text, as those of a font that is not packed
// are, and what each table and each of the blocks behind them unpacks to.
func (w *walker) font(name string, _ io.Reader, f *os.File, size int64, depth int) error {
	whole := io.NewSectionReader(f, 0, size)
	if err := w.text(name, &concealed{r: whole, name: name}, depth); err != nil {
		return err
	}
	blocks, end, err := woffBlocks(f, size)
	if err != nil {
		return w.broken(name, err)
	}
	slices.SortFunc(blocks, func(a, b block) int { return cmp.Compare(a.at, b.at) })
	for _, b := range blocks {
		if b.size > size-b.at {
			return w.broken(name, fmt.Errorf("%s ends behind the file", b.what))
		}
		if b.at > end {
			if err := w.onlyZeros(name, "the end of a table", io.NewSectionReader(f, end, b.at-end)); err != nil {
				return err
			}
		}
		end = max(end, b.at+b.size)
		if err := w.woffBlock(name+", "+b.what, io.NewSectionReader(f, b.at, b.size), b.size < b.unfold, depth); err != nil {
			return err
		}
	}
	return w.onlyZeros(name, "the end of the font", io.NewSectionReader(f, end, size-end))
}

func (w *walker) woffBlock(name string, r io.Reader, packed bool, depth int) error {
	if err := w.entry(name); err != nil {
		return err
	}
	if !packed {
		return w.open(name, r, nil, depth+1)
	}
	br := bufio.NewReader(r)
	z, err := zlib.NewReader(br)
	if err != nil {
		return w.broken(name, err)
	}
	if err := w.inner(name, z, depth); err != nil {
		return err
	}
	return w.onlyZeros(name, "the end of what is compressed", br)
}

// woffBlocks are the parts that the head of a file and its directory name, and where
// these two end.
func woffBlocks(f io.ReaderAt, size int64) ([]block, int64, error) {
	head := make([]byte, woffHead)
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, 0, errors.New("it is cut off within its head")
	}
	u32 := func(b []byte, at int) int64 { return int64(binary.BigEndian.Uint32(b[at:])) }
	tables := int64(binary.BigEndian.Uint16(head[12:]))
	if u32(head, 8) > size {
		return nil, 0, errors.New("it is cut off")
	}
	directory := make([]byte, tables*woffTable)
	if _, err := f.ReadAt(directory, woffHead); err != nil && len(directory) > 0 {
		return nil, 0, errors.New("it is cut off within its directory")
	}
	blocks := []block{
		{"metadata", u32(head, 24), u32(head, 28), u32(head, 32)},
		{"private block", u32(head, 36), u32(head, 40), 0},
	}
	for entry := range slices.Chunk(directory, woffTable) {
		blocks = append(blocks, block{fmt.Sprintf("table %q", entry[:4]), u32(entry, 4), u32(entry, 8), u32(entry, 12)})
	}
	// The metadata is always packed.
	if blocks[0].size > 0 {
		blocks[0].unfold = max(blocks[0].unfold, blocks[0].size+1)
	}
	blocks = slices.DeleteFunc(blocks, func(b block) bool { return b.size == 0 && b.unfold == 0 })
	end := woffHead + tables*woffTable
	if slices.ContainsFunc(blocks, func(b block) bool { return b.at < end }) {
		return nil, 0, errors.New("a table lies in its head")
	}
	return blocks, end, nil
}
