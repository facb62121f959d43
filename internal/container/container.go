// Package container takes apart files that hold others or hide what they say:
// archives, compressed files, PDFs, pictures, fonts. It is for searching, so it is
// complete where it can be and says so where it cannot: what it does not
// understand is an [Error], never passed over.
//
// It knows nothing of what is searched for. Memory is bounded, whatever a file
// unfolds to.
package container

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/pdf"
)

// Visitor is shown what a file holds. Names say where: the file, then the entry
// or object within it. Each function may leave its reader unread. An error ends
// the walk and is returned as it is.
type Visitor struct {
	// Text is shown what people read, or may be able to read, as a whole. It may be
	// called while an earlier call reads what lies around it.
	Text func(name string, r io.Reader) error
	// Guess is shown texts that something may stand for that looks like base64 or
	// hexadecimal digits. Most of it was never meant as text, and holds short words
	// by chance.
	Guess func(name string, r io.Reader) error
	// Raw is shown bytes of which only some can be text: those of containers
	// themselves, databases, pixels. It may run beside the others.
	Raw func(name string, r io.Reader) error
	// Database is shown a DuckDB file, which must be read by DuckDB. Its bytes
	// have been shown to Raw. A file that was within another is removed
	// afterwards.
	Database func(name, path string, cell Cell) error
	// Temp is the directory of such files.
	Temp string
}

// Cell shows what a cell of a database holds: a text in each way in which it may be
// read, and bytes as the file that they may be.
type Cell struct {
	Text  func(name, text string) error
	Bytes func(name string, data []byte) error
}

// Error says what cannot be searched, and why.
type Error struct {
	Name string // the file, and the entry or object within it
	Why  string
	Err  error // what a reader met, if that is why
}

func (e *Error) Error() string { return e.Name + " cannot be searched: " + e.Why }

func (e *Error) Unwrap() error { return e.Err }

// Limits of what a file may unfold to, far above anything that is published.
const (
	// maxDepth is how deep containers may lie in each other: a drawing's
	// attachment in a compressed drawing in an archive of a compressed archive.
	maxDepth = 6
	// What all parts together may unfold to: so many bytes, and so many times the
	// size of the file. Text shrinks to a twentieth at the best.
	maxUnfolded = 256 << 20
	maxRatio    = 50
	// entryCost is what an entry counts for at least, so that empty ones end, too.
	entryCost = 1 << 10
)

// walker is one walk through one file.
type walker struct {
	Visitor
	ctx         context.Context
	limit, left int64 // bytes that may be unfolded, in all and still
}

// Walk shows a visitor all that a file holds. The name stands for the file in
// names and errors.
func Walk(ctx context.Context, name, path string, v Visitor) error {
	return walk(ctx, name, path, v, maxUnfolded)
}

func walk(ctx context.Context, name, path string, v Visitor, limit int64) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &Error{Name: name, Why: "it is not a regular file"}
	}
	limit += maxRatio * info.Size()
	w := &walker{Visitor: v, ctx: ctx, limit: limit, left: limit}
	return w.open(name, f, f, 0)
}

// Text shows a visitor a text in each way in which it may be read.
func Text(ctx context.Context, name, text string, v Visitor) error {
	return (&walker{Visitor: v, ctx: ctx}).said(name, []byte(text))
}

// sniffed is how much of a file says what it is: the mark of a tar archive ends
// at 262, and that of a PDF may stand in the first 1,024 bytes.
const sniffed = 1 << 10

// open shows what is read, by what it begins with. The file is set if what is
// read is all of it.
func (w *walker) open(name string, r io.Reader, file *os.File, depth int) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if depth > maxDepth {
		return &Error{Name: name, Why: fmt.Sprintf("it lies %d containers deep; at most %d are opened", depth, maxDepth)}
	}
	br := bufio.NewReaderSize(r, 64<<10)
	head, err := br.Peek(sniffed)
	if err != nil && !errors.Is(err, io.EOF) {
		return w.broken(name, err)
	}
	k := kindOf(head)
	switch {
	case k.refused != "":
		return &Error{Name: name, Why: k.refused}
	case k.whole:
		return w.whole(name, br, file, func(f *os.File, size int64) error { return k.open(w, name, nil, f, size, depth) })
	case k.open == nil:
		return w.text(name, &concealed{r: br, name: name}, depth)
	}
	// The bytes of the container itself are looked at, too: comments, padding, what
	// stands behind its end.
	raw, finish := w.beside(name, w.Raw, br)
	return finish(k.open(w, name, raw, nil, 0, depth))
}

// kind is a kind of file. One without open is text, unless it is refused.
type kind struct {
	open    func(w *walker, name string, r io.Reader, f *os.File, size int64, depth int) error
	whole   bool // open takes a file
	refused string
}

func kindOf(head []byte) kind {
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("\x1f\x8b\x08"):
		return kind{open: (*walker).gzip}
	case starts("\x28\xb5\x2f\xfd"), len(head) > 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return kind{open: (*walker).zstd}
	case isZlib(head):
		return kind{open: (*walker).zlib}
	case starts("BZh") && len(head) > 10 && string(head[4:10]) == "1AY&SY":
		return kind{open: (*walker).bzip2}
	case isTar(head):
		return kind{open: (*walker).tar}
	case starts("PK\x03\x04"), starts("PK\x05\x06"):
		return kind{open: (*walker).zip, whole: true}
	case starts(pngMagic):
		return kind{open: (*walker).png}
	case bytes.Contains(head, []byte("%PDF-")) && !starts("%!PS"):
		return kind{open: (*walker).pdf, whole: true}
	case starts("%!PS"):
		return kind{open: (*walker).postScript}
	case starts("\xc5\xd0\xd3\xc6"):
		return kind{refused: "it is an EPS file with a preview; write it without one"}
	case isFont(head, "wOFF"):
		return kind{open: (*walker).font, whole: true}
	case isFont(head, "wOF2"):
		return kind{refused: woff2}
	case isArrowStream(head):
		return kind{refused: "it is a stream of Arrow, whose columns may be compressed; publish CSV, or a table of the database"}
	case isORC(head):
		return kind{refused: "it is an ORC file, whose columns may be compressed; publish CSV, or a table of the database"}
	case len(head) > 12 && string(head[8:12]) == "DUCK":
		return kind{open: (*walker).database, whole: true}
	}
	for magic, what := range unsearchable {
		if starts(magic) {
			return kind{refused: what}
		}
	}
	return kind{}
}

// unsearchable are formats whose contents are compressed in a way that is not
// undone here.
var unsearchable = map[string]string{
	"\xfd7zXZ\x00":           "it is compressed by xz; use gzip or zstd",
	"\x5d\x00\x00":           "it is compressed by lzma; use gzip or zstd", // then the size of its dictionary
	"LZIP\x01":               "it is compressed by lzip; use gzip or zstd",
	"\x04\x22\x4d\x18":       "it is compressed by lz4; use gzip or zstd",
	"\x1f\x9d":               "it is compressed by compress; use gzip or zstd",
	"\xff\x06\x00\x00sNaPpY": "it is compressed by snappy; use gzip or zstd",
	"7z\xbc\xaf\x27\x1c":     "it is a 7-Zip archive; use zip, or tar with gzip or zstd",
	"Rar!\x1a\x07":           "it is a RAR archive; use zip, or tar with gzip or zstd",
	"PK\x07\x08":             "it is a part of a split zip archive; write it in one piece",
	"PAR1\x15":               "it is a Parquet file, whose columns are compressed; publish CSV, or a table of the database",
	"FEA1\x00\x00\x00\x00":   "it is a Feather file, whose columns may be compressed; publish CSV, or a table of the database",
	"\x89LZO\x00\r\n\x1a\n":  "it is compressed by lzop; use gzip or zstd",
	"Obj\x01":                "it is an Avro file, whose blocks may be compressed; publish CSV, or a table of the database",
	"MATLAB 5.0 MAT-file":    "it is a MATLAB file, whose variables may be compressed; publish CSV, or a table of the database",
	"MATLAB 7.3 MAT-file":    "it is a MATLAB file, whose variables may be compressed; publish CSV, or a table of the database",
	"ARROW1\x00\x00":         "it is an Arrow file, whose columns may be compressed; publish CSV, or a table of the database",
	"\x89HDF\r\n\x1a\n":      "it is an HDF5 file, whose contents may be compressed; publish CSV, or a table of the database",
}

// whole gives an opener a file that holds all of what is read, and the size of it.
func (w *walker) whole(name string, r io.Reader, file *os.File, use func(f *os.File, size int64) error) (err error) {
	if file == nil {
		// Not below what is searched: it may be a directory of outputs.
		file, err = os.CreateTemp(w.Temp, ".search-") // mode 0600
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
		if _, err := io.Copy(file, r); err != nil {
			return w.broken(name, err)
		}
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if err := w.Raw(name, io.NewSectionReader(file, 0, info.Size())); err != nil {
		return err
	}
	return use(file, info.Size())
}

func (w *walker) database(name string, _ io.Reader, f *os.File, _ int64, depth int) error {
	path, err := filepath.Abs(f.Name())
	if err != nil {
		return err
	}
	return w.Database(name, path, Cell{
		Text: func(name, text string) error {
			if embeds([]byte(text)) {
				return w.text(name, strings.NewReader(text), depth)
			}
			return w.said(name, []byte(text))
		},
		Bytes: func(name string, data []byte) error { return w.open(name, bytes.NewReader(data), nil, depth+1) },
	})
}

func (w *walker) pdf(name string, _ io.Reader, f *os.File, size int64, depth int) error {
	return pdf.Search(w.ctx, name, f, size, within{w, depth})
}

func (w *walker) postScript(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	return pdf.SearchPostScript(name, r, within{w, depth})
}

// within shows what a document at some depth holds.
type within struct {
	w     *walker
	depth int
}

func (in within) Text(name string, r io.Reader) error { return in.w.text(name, r, in.depth) }
func (in within) Raw(name string, r io.Reader) error  { return in.w.Raw(name, r) }
func (in within) Open(name string, r io.Reader) error { return in.w.open(name, r, nil, in.depth+1) }
func (in within) Unfold(name string, r io.Reader) io.Reader {
	return in.w.unfold(name, r)
}
func (in within) Entry(name string) error             { return in.w.entry(name) }
func (in within) Broken(name string, err error) error { return in.w.broken(name, err) }
func (in within) Refused(name, why string) error      { return &Error{Name: name, Why: why} }
func (in within) Beside(name string, show func(string, io.Reader) error, r io.Reader) (io.Reader, func(error) error) {
	return in.w.beside(name, show, r)
}

// onlyZeros refuses bytes that stand behind what a file is, unless they are padding.
// No program shows them, and nobody can say how they would be read.
func (w *walker) onlyZeros(name, behind string, r io.Reader) error {
	buffer := make([]byte, 4<<10)
	for {
		n, err := r.Read(buffer)
		if slices.ContainsFunc(buffer[:n], func(c byte) bool { return c != 0 }) {
			return &Error{Name: name, Why: "it holds bytes behind " + behind + ", which no program shows; write it without them"}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return w.broken(name, err)
		}
	}
}

// beside shows what is read by another. What it returns must be called when that
// one is done: it reads the rest and says what either met.
func (w *walker) beside(name string, show func(string, io.Reader) error, r io.Reader) (io.Reader, func(error) error) {
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := show(name, pr)
		if err == nil {
			_, err = io.Copy(io.Discard, pr)
		}
		_ = pr.CloseWithError(err) // always nil
		done <- err
	}()
	tee := io.TeeReader(r, pw)
	return tee, func(err error) error {
		if err == nil {
			if _, cerr := io.Copy(io.Discard, tee); cerr != nil {
				err = w.broken(name, cerr)
			}
		}
		_ = pw.CloseWithError(err) // nil is the end of what was read
		if rerr := <-done; rerr != nil && (err == nil || !errors.Is(rerr, err)) {
			return rerr // what is read beside it met this, too
		}
		return err
	}
}

// unfold counts what a decompressor gives, and refuses what never ends.
func (w *walker) unfold(name string, r io.Reader) io.Reader { return &unfolding{w, name, r} }

type unfolding struct {
	w    *walker
	name string
	r    io.Reader
}

func (u *unfolding) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	if u.w.left -= int64(n); u.w.left < 0 {
		return 0, u.w.tooLarge(u.name)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = u.w.broken(u.name, err)
	}
	return n, err
}

func (w *walker) tooLarge(name string) error {
	return &Error{Name: name, Why: fmt.Sprintf("what is packed unfolds to more than %d MB, which is too much for a file of its size", w.limit>>20)}
}

// entry counts an entry of a container.
func (w *walker) entry(name string) error {
	if w.left -= entryCost; w.left < 0 {
		return w.tooLarge(name)
	}
	return w.ctx.Err()
}

// broken is what is said of a container that cannot be read, unless the error
// says it better.
func (w *walker) broken(name string, err error) error {
	var known *Error
	if errors.As(err, &known) || w.ctx.Err() != nil {
		return err
	}
	return &Error{name, fmt.Sprintf("it is damaged: %v", err), err}
}
