package container

import (
	"bufio"
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/foundation-plr/pipeline/internal/encoding"
)

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// maxPNGText bounds a text of a picture, packed and unpacked.
	maxPNGText = 1 << 24
	// maxPixels is what the pixels of one picture may take: a poster of two metres by
	// one at 300 dots per inch takes 900 MB.
	maxPixels = 1 << 30
	// sum is the length of the check sum behind a chunk.
	sum = 4
)

// pngNumbers are the chunks that hold numbers, or should (third edition, 5.6): no
// program opens them as files. Chunks that programs have made up may hold anything.
var pngNumbers = map[string]bool{
	"IHDR": true, "PLTE": true, "tRNS": true, "cHRM": true, "gAMA": true, "sBIT": true, "sRGB": true, "cICP": true, "mDCV": true, "cLLI": true,
	"bKGD": true, "hIST": true, "pHYs": true, "sPLT": true, "tIME": true, "acTL": true, "fcTL": true, "oFFs": true, "sTER": true, "vpAg": true,
}

// png takes a picture apart (ISO/IEC 15948, 5.3 and 11.3): its texts, and the
// profile that it may hold. What is drawn must be searched before it becomes pixels;
// these are unpacked and shown as raw bytes, which a script may have put anything into.
func (w *walker) png(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	if _, err := io.CopyN(io.Discard, r, int64(len(pngMagic))); err != nil {
		return w.broken(name, err)
	}
	var head [8]byte
	for again := false; ; {
		if !again {
			if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
				return nil
			} else if err != nil {
				return w.broken(name, errors.New("it is cut off within a chunk"))
			}
		}
		again = false
		size, kind := int64(binary.BigEndian.Uint32(head[:])), string(head[4:])
		switch kind {
		case "tEXt", "zTXt", "iTXt", "iCCP", "eXIf":
			if size > maxPNGText {
				return &Error{Name: name, Why: fmt.Sprintf("a text of the picture is longer than %d bytes", maxPNGText)}
			}
			body := make([]byte, size)
			if _, err := io.ReadFull(r, body); err != nil {
				return w.broken(name, errors.New("it is cut off within a chunk"))
			}
			text, err := w.pngText(name, kind, body)
			if err != nil {
				return err
			}
			if err := w.said(name+", text of the picture", text); err != nil {
				return err
			}
			size = 0
		case "IDAT":
			data := &pixelData{r: r, left: size}
			if err := w.pixels(name, data); err != nil {
				return err
			}
			head, again = data.next, true
			continue
		case "IEND":
			if _, err := io.CopyN(io.Discard, r, sum); err != nil {
				return w.broken(name, errors.New("it is cut off within a chunk"))
			}
			return w.onlyZeros(name, "the end of the picture", r)
		case "fdAT":
			return &Error{Name: name, Why: "it is an animated picture, whose frames are not unpacked; publish a still one"}
		default:
			chunk := &io.LimitedReader{R: r, N: size}
			where := fmt.Sprintf("%s, chunk %q", name, kind)
			var err error
			if pngNumbers[kind] {
				err = w.text(where, chunk, depth)
			} else {
				err = w.open(where, chunk, nil, depth+1)
			}
			if err != nil {
				return err
			}
			size = chunk.N
		}
		if _, err := io.CopyN(io.Discard, r, size+sum); err != nil {
			return w.broken(name, errors.New("it is cut off within a chunk"))
		}
	}
}

// pixels shows what the data of a picture unpack to. How much that is does not count
// for what a file may unfold to: a page of one colour shrinks to a thousandth.
func (w *walker) pixels(name string, data *pixelData) error {
	where := name + ", pixels"
	packed := bufio.NewReader(data)
	z, err := zlib.NewReader(packed)
	if err != nil {
		return w.broken(where, err)
	}
	unpacked := &counted{r: z, left: maxPixels}
	if err := w.Raw(where, unpacked); err != nil {
		return err
	}
	// What was left unread is unpacked, too: its check sum says whether it is whole.
	if _, err := io.Copy(io.Discard, unpacked); err != nil {
		return w.broken(where, err)
	}
	if unpacked.left < 0 {
		return &Error{Name: where, Why: fmt.Sprintf("they unpack to more than %d MB", maxPixels>>20)}
	}
	if n, err := io.Copy(io.Discard, packed); err != nil || n > 0 {
		return &Error{Name: where, Why: "there are bytes behind their end", Err: err}
	}
	return nil
}

// counted ends a reader that gives more than it may.
type counted struct {
	r    io.Reader
	left int64
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, io.EOF
	}
	n, err := c.r.Read(p)
	c.left -= int64(n)
	return n, err
}

// pixelData are the bodies of chunks IDAT that follow each other. At their end next is
// the head of the chunk behind them.
type pixelData struct {
	r    io.Reader
	left int64 // of this chunk
	next [8]byte
	err  error
}

func (d *pixelData) Read(p []byte) (int, error) {
	for d.left == 0 && d.err == nil {
		var behind [sum + 8]byte
		if _, err := io.ReadFull(d.r, behind[:]); err != nil {
			d.err = errors.New("it is cut off within a chunk")
			break
		}
		copy(d.next[:], behind[sum:])
		if d.left = int64(binary.BigEndian.Uint32(d.next[:])); string(d.next[4:]) != "IDAT" {
			d.left, d.err = 0, io.EOF
		}
	}
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.r.Read(p[:min(int64(len(p)), d.left)])
	if d.left -= int64(n); errors.Is(err, io.EOF) {
		err = nil
		if n == 0 {
			d.err = errors.New("it is cut off within a chunk")
		}
	}
	return n, err
}

// pngText is the keyword and text of a chunk, unpacked.
func (w *walker) pngText(name, kind string, body []byte) ([]byte, error) {
	if kind == "eXIf" { // what a camera or program says of the picture, as in TIFF
		return body, nil
	}
	keyword, after, found := bytes.Cut(body, []byte{0})
	if !found {
		return slices.Concat(body, []byte{'\n'}, encoding.Latin1(body)), nil
	}
	before, packed := keyword, false
	switch {
	case kind != "tEXt" && kind != "iTXt" && len(after) >= 1: // method, text
		packed, after = true, after[1:]
	case kind == "iTXt" && len(after) >= 2: // flag, method, language, keyword, text
		packed = after[0] == 1
		parts := bytes.SplitN(after[2:], []byte{0}, 3)
		after = parts[len(parts)-1]
		before = slices.Concat(before, []byte{'\n'}, bytes.Join(parts[:len(parts)-1], []byte{'\n'}))
	}
	if packed {
		z, err := zlib.NewReader(bytes.NewReader(after))
		if err == nil {
			after, err = io.ReadAll(io.LimitReader(w.unfold(name, z), maxPNGText+1))
		}
		if err != nil {
			return nil, w.broken(name, fmt.Errorf("a text of the picture cannot be unpacked: %w", err))
		}
		if len(after) > maxPNGText {
			return nil, &Error{Name: name, Why: fmt.Sprintf("a text of the picture is longer than %d bytes", maxPNGText)}
		}
	}
	text := slices.Concat(before, []byte{'\n'}, after)
	if kind != "iTXt" { // the others are in Latin-1
		text = slices.Concat(text, []byte{'\n'}, encoding.Latin1(text))
	}
	return text, nil
}
