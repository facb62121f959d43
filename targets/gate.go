package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/container"
	"github.com/foundation-plr/pipeline/internal/duckfile"
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

// file refuses a file that holds an original code, or that may hold one where
// nobody can look. Archives, compressed files, PDFs and pictures are taken apart.
// A database is searched cell by cell, because DuckDB compresses strings; its
// bytes, and those of a picture that are not texts, hold short codes by chance
// and are searched for others. It takes little memory, whatever the file's size.
func (g *gate) file(ref build.Ref, path string) error {
	current, err := g.current()
	if err != nil {
		return err
	}
	ctx := context.Background()
	cells := func(name, path string, cell container.Cell) error {
		err := duckfile.Cells(ctx, path, duckfile.Visitor{
			Text: func(table, column, text string) error {
				return cell.Text(fmt.Sprintf("%s, column %s.%s", name, table, column), text)
			},
			Bytes: func(table, column string, data []byte) error {
				return cell.Bytes(fmt.Sprintf("%s, column %s.%s", name, table, column), data)
			},
		})
		var unseen *duckfile.UnseenError
		if errors.As(err, &unseen) {
			return &container.Error{Name: name, Why: err.Error(), Err: err}
		}
		return err
	}
	err = container.Walk(ctx, ref.String(), path, container.Visitor{
		Text: current.CheckReader, Guess: current.CheckGuessReader, Raw: current.CheckRawReader, Database: cells, Temp: g.temp(),
	})
	return withoutCodes(current, err)
}

// withoutCodes is an error about what cannot be searched, without the codes that the names
// of entries may hold.
func withoutCodes(current *anonymize.Gate, err error) error {
	var refused *container.Error
	if errors.As(err, &refused) {
		return &unnamedError{"leak gate: " + current.Redact(err.Error()), err}
	}
	return err
}

// unnamedError is an error in other words.
type unnamedError struct {
	text string
	err  error
}

func (e *unnamedError) Error() string { return e.text }
func (e *unnamedError) Unwrap() error { return e.err }

// temp is where a file is put for a moment that lies in another and that has to be
// read as one: beside the lookup, so that nobody else sees it, where there is one.
func (g *gate) temp() string {
	dir := filepath.Dir(g.lookup)
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return os.TempDir()
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
		err := container.Text(context.Background(), ref.String()+", text", text, container.Visitor{Text: current.CheckReader, Guess: current.CheckGuessReader})
		if err != nil {
			return withoutCodes(current, err)
		}
	}
	return nil
}
