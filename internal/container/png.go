package container

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// maxPNGText bounds a text of a picture, packed and unpacked.
	maxPNGText = 1 << 24
)

// png takes a picture apart (ISO/IEC 15948, 5.3 and 11.3): its texts, and the
// profile that it may hold. Its pixels spell nothing as bytes: what is drawn must
// be searched before it becomes pixels.
func (w *walker) png(name string, r io.Reader, _ *os.File, _ int64, _ int) error {
	if _, err := io.CopyN(io.Discard, r, int64(len(pngMagic))); err != nil {
		return w.broken(name, err)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return w.broken(name, errors.New("it is cut off within a chunk"))
		}
		size, kind := int64(binary.BigEndian.Uint32(head[:])), string(head[4:])
		switch kind {
		case "tEXt", "zTXt", "iTXt", "iCCP":
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
		case "IEND":
			// What stands behind is no chunk; as raw bytes it is seen.
			_, err := io.Copy(io.Discard, r)
			return err
		}
		const sum = 4
		if _, err := io.CopyN(io.Discard, r, size+sum); err != nil {
			return w.broken(name, errors.New("it is cut off within a chunk"))
		}
	}
}

// pngText is the keyword and text of a chunk, unpacked.
func (w *walker) pngText(name, kind string, body []byte) ([]byte, error) {
	keyword, after, found := bytes.Cut(body, []byte{0})
	if !found {
		return slices.Concat(body, []byte{'\n'}, latin1(body)), nil
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
		text = slices.Concat(text, []byte{'\n'}, latin1(text))
	}
	return text, nil
}

// latin1 is text of ISO 8859-1 in UTF-8; nothing if the bytes are all ASCII.
func latin1(text []byte) []byte {
	if !slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 }) {
		return nil
	}
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return []byte(string(runes))
}
