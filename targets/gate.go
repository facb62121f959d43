package targets

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/checkpoint"
)

// gate guards public files and texts with the codes that the lookup holds at
// the moment, and with the pattern of codes when there is none.
type gate struct {
	lookup string

	mu    sync.Mutex
	state os.FileInfo
	gate  *anonymize.Gate
}

// check reads the lookup, if there is one, so that a command that finds it
// damaged says so before it begins. The error names the file, the line and the
// version before it, and nothing that it holds.
func (g *gate) check() error {
	_, err := g.current()
	return err
}

// current reads the lookup anew when it has changed since it was last read.
func (g *gate) current() (*anonymize.Gate, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := os.Stat(g.lookup)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		g.gate, g.state = anonymize.NewGate(nil), nil
		return g.gate, nil
	case err != nil:
		return nil, err
	case g.gate != nil && g.state != nil && os.SameFile(info, g.state) && info.ModTime().Equal(g.state.ModTime()) && info.Size() == g.state.Size():
		return g.gate, nil
	}
	lookup, err := anonymize.ReadLookup(g.lookup)
	if err != nil {
		return nil, err
	}
	g.gate, g.state = anonymize.NewGate(lookup.Originals()), info
	return g.gate, nil
}

// file refuses a file that holds an original code. A database is searched cell
// by cell, because DuckDB compresses strings; its bytes, and those of a picture
// that are not texts, hold short codes by chance and are searched for others.
func (g *gate) file(ref build.Ref, path string) error {
	if isArchive(ref) {
		return g.archive(ref, path)
	}
	current, err := g.current()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	name := ref.String()
	switch {
	case ref.Root == rootDatabase:
		if err := current.CheckRaw(name, data); err != nil {
			return err
		}
		return checkpoint.Cells(context.Background(), path, func(table, column, text string) error {
			return current.CheckText(fmt.Sprintf("%s, column %s.%s", ref, table, column), text)
		})
	case isPage(ref):
		return g.page(ref, data)
	case bytes.HasPrefix(data, []byte(pngMagic)):
		texts, rest, err := pngTexts(data)
		if err != nil {
			return fmt.Errorf("leak gate: %s: %w", name, err)
		}
		return errors.Join(current.Check(name, texts), current.CheckRaw(name, rest))
	}
	return current.Check(name, data)
}

const (
	pngMagic = "\x89PNG\r\n\x1a\n"
	// maxPNGText bounds what a compressed text may unfold to.
	maxPNGText = 1 << 24
)

// pngTexts takes a PNG file apart (ISO/IEC 15948, 5.3 and 11.3.4): the texts that
// it carries, one a line, and everything else but the pixels, which spell nothing
// as bytes: what is drawn passes the gate before it becomes pixels.
func pngTexts(data []byte) (texts, rest []byte, err error) {
	const around = 12 // bytes of length, type and sum
	for data = data[len(pngMagic):]; len(data) >= around; {
		size := binary.BigEndian.Uint32(data)
		if uint64(size)+around > uint64(len(data)) {
			return nil, nil, errors.New("the picture is cut off within a chunk")
		}
		kind, body := string(data[4:8]), data[8:8+size]
		data = data[around+size:]
		switch kind {
		case "IDAT":
			continue
		case "tEXt", "zTXt", "iTXt":
			text, err := pngText(kind, body)
			if err != nil {
				return nil, nil, err
			}
			texts = append(append(texts, text...), '\n')
		default:
			rest = append(append(rest, kind...), body...)
		}
	}
	return texts, append(rest, data...), nil
}

// pngText is the keyword and text of a chunk, unfolded.
func pngText(kind string, body []byte) ([]byte, error) {
	keyword, after, found := bytes.Cut(body, []byte{0})
	if !found {
		return body, nil
	}
	before, folded := keyword, false
	switch {
	case kind == "zTXt" && len(after) >= 1: // method, text
		folded, after = true, after[1:]
	case kind == "iTXt" && len(after) >= 2: // flag, method, language, keyword, text
		folded = after[0] == 1
		parts := bytes.SplitN(after[2:], []byte{0}, 3)
		after = parts[len(parts)-1]
		before = slices.Concat(before, []byte{'\n'}, bytes.Join(parts[:len(parts)-1], []byte{'\n'}))
	}
	if folded {
		r, err := zlib.NewReader(bytes.NewReader(after))
		if err == nil {
			after, err = io.ReadAll(io.LimitReader(r, maxPNGText+1))
		}
		if err != nil {
			return nil, fmt.Errorf("a text within the picture cannot be unfolded: %w", err)
		}
		if len(after) > maxPNGText {
			return nil, fmt.Errorf("a text within the picture is longer than %d bytes", maxPNGText)
		}
	}
	return slices.Concat(before, []byte{'\n'}, after), nil
}

// redact takes original codes out of a text that someone will read. Should the
// lookup become unreadable while a command runs, the codes that were last read
// are looked for, and the pattern of the study's codes if none were.
func (g *gate) redact(text string) string {
	current, err := g.current()
	if err != nil {
		current = g.last()
	}
	return current.Redact(text)
}

// last is the gate of the lookup as it was last read.
func (g *gate) last() *anonymize.Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gate == nil {
		return anonymize.NewGate(nil)
	}
	return g.gate
}

// texts refuses a picture that spells an original code.
func (g *gate) texts(ref build.Ref, texts []string) error {
	current, err := g.current()
	if err != nil {
		return err
	}
	for _, text := range texts {
		if err := current.CheckText(ref.String()+", text", text); err != nil {
			return err
		}
	}
	return nil
}
