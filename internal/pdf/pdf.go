// Package pdf takes PDFs and programs in PostScript apart for searching: it shows
// their strings, what their streams unpack to, and the texts that they draw, joined
// as a reader would join them. What it cannot unpack is an error, never passed over.
//
// It knows nothing of what is searched for, and holds little of a file in memory,
// whatever its size.
package pdf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/foundation-plr/pipeline/internal/encoding"
	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// Searcher is shown what a document holds. Names say where: the document, then the
// object within it. An error ends the reading and is returned as it is.
type Searcher interface {
	// Text is shown texts that people may read, or contents that are text.
	Text(name string, r io.Reader) error
	// Raw is shown bytes of which only some can be text.
	Raw(name string, r io.Reader) error
	// Open is shown a file or document of its own within the document.
	Open(name string, r io.Reader) error
	// Beside lets show read what is read from the reader that it returns. What else
	// it returns must be called when that is done, with the error that was met; it
	// reads the rest and says what either met.
	Beside(name string, show func(name string, r io.Reader) error, r io.Reader) (io.Reader, func(error) error)
	// Unfold counts what a decompressor gives, and ends it where that is too much.
	Unfold(name string, r io.Reader) io.Reader
	// Entry counts an object.
	Entry(name string) error
	// Broken is an error for a document that cannot be read, unless err says more.
	Broken(name string, err error) error
	// Refused is an error for a document that cannot be searched.
	Refused(name, why string) error
}

// document is a file whose objects are read one after another, wherever they stand and
// whether or not anything refers to them: earlier versions are searched, too, and
// a damaged table of contents hides nothing.
type document struct {
	s    Searcher
	ctx  context.Context
	name string
	f    io.ReaderAt
	size int64

	lines   lines
	objects int
	streams []stream
	refs    map[syntax.Name]map[int]bool // key → objects that it stands for anywhere
	fonts   map[int]*font
	direct  int                     // fonts that are no objects of their own: their numbers are negative
	differ  map[int]map[byte]string // encodings by object
	cmaps   map[int]*cmap
	pages   [][]int              // streams that are one page
	arrays  map[int]syntax.Array // objects that are arrays of references
	entries int                  // of all of these
}

// Limits of a file, each far above what documents hold.
const (
	maxObjects = 1 << 20
	maxRefs    = 1 << 20
)

var errTooMany = fmt.Errorf("it has more than %d references and characters of fonts", maxRefs)

// stream is where a stream stands and what it is.
type stream struct {
	number   int
	at, size int64
	filters  []filter
	class    streamClass
}

type streamClass int

const (
	drawing  streamClass = iota // operators that may show text, and whatever is not known
	passed                      // pixels, cross-references, object streams that were read already
	raw                         // fonts, colour profiles, functions
	attached                    // a file or document of its own
)

// Search shows a searcher what a PDF holds: a file of so many bytes, of which the
// name stands for it in names and errors.
func Search(ctx context.Context, name string, f io.ReaderAt, size int64, s Searcher) error {
	p := &document{s: s, ctx: ctx, name: name, f: f, size: size,
		refs: map[syntax.Name]map[int]bool{}, fonts: map[int]*font{}, differ: map[int]map[byte]string{}, cmaps: map[int]*cmap{}, arrays: map[int]syntax.Array{}}
	p.lines = lines{show: s.Text, name: name + ", strings of objects"}
	var head [len("%PDF-")]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:]) != "%PDF-" {
		// It may be a text that speaks of PDF.
		if err := s.Text(name, io.NewSectionReader(f, 0, size)); err != nil {
			return err
		}
	}
	scanned := p.scan()
	if p.objects == 0 && string(head[:]) != "%PDF-" && (scanned == nil || syntax.Fault(scanned)) {
		return nil
	}
	if scanned != nil {
		return s.Broken(name, scanned)
	}
	if err := p.lines.flush(); err != nil {
		return err
	}
	if p.objects == 0 {
		return s.Refused(name, "it is a PDF without objects")
	}
	if err := p.readFonts(); err != nil {
		return err
	}
	for _, each := range p.streams {
		if err := s.Entry(name); err != nil {
			return err
		}
		if err := p.show(each); err != nil {
			return err
		}
	}
	return p.showPages()
}

// lexer reads from an offset.
func (p *document) lexer(at int64) *syntax.Lexer {
	l := syntax.NewLexer(io.NewSectionReader(p.f, at, p.size-at))
	l.At = at
	return l
}

// scan reads all objects and notes where streams stand.
func (p *document) scan() error {
	l := p.lexer(0)
	// No reader shows what stands in comments or between objects; people who open the
	// file as a text see it.
	l.Comment = func(text []byte) error { return p.lines.add(text, encoding.Latin1(text)) }
	var before [2]float64 // numbers before a word
	for {
		l.Begin()
		t, err := l.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case float64:
			before = [2]float64{before[1], t}
			continue
		case syntax.Keyword:
			switch t {
			case "obj":
				if err := p.object(l, int(before[0])); err != nil {
					return err
				}
			case "<<", "[": // a trailer, or an object whose head is damaged
				l.Return(t)
				v, err := l.Value(true)
				if err != nil {
					return syntax.EndsWithin(err)
				}
				if err := p.note(0, v); err != nil {
					return err
				}
			case "endobj", "xref", "trailer", "startxref", "n", "f", "stream", "endstream":
			default:
				if err := p.note(0, syntax.String(t)); err != nil {
					return err
				}
			}
		case syntax.Name:
			if err := p.note(0, syntax.String(t)); err != nil {
				return err
			}
		case syntax.String:
			if err := p.note(0, t); err != nil {
				return err
			}
		}
		before = [2]float64{}
	}
}

// object reads an object behind its head, and leaves the lexer behind it.
func (p *document) object(l *syntax.Lexer, number int) error {
	if p.objects++; p.objects > maxObjects {
		return fmt.Errorf("it has more than %d objects", maxObjects)
	}
	if err := p.ctx.Err(); err != nil {
		return err
	}
	v, err := l.Value(true)
	if err != nil {
		return syntax.EndsWithin(err)
	}
	if v == syntax.Keyword("endobj") {
		return nil
	}
	if err := p.note(number, v); err != nil {
		return err
	}
	dict, isDict := v.(syntax.Dictionary)
	if !isDict {
		return nil
	}
	t, err := l.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if t != syntax.Keyword("stream") {
		l.Return(t)
		return nil
	}
	// One end of line belongs to the keyword (7.3.8.1).
	c, err := l.Byte()
	if err == nil && c == '\r' {
		c, err = l.Byte()
	}
	if err != nil {
		return syntax.EndsWithin(err)
	}
	if c != '\n' {
		l.Unread()
	}
	s := stream{number: number, at: l.At}
	if s.size, err = p.extent(s.at, dict); err != nil {
		return err
	}
	if s.filters, err = p.filters(dict); err != nil {
		return fmt.Errorf("object %d: %w", number, err)
	}
	s.class = classOf(dict)
	if dict["Type"] == syntax.Name("ObjStm") {
		s.class = passed
		if err := p.objectStream(s, dict); err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
	}
	p.streams = append(p.streams, s)
	*l = *p.lexer(s.at + s.size)
	return nil
}

func classOf(dict syntax.Dictionary) streamClass {
	kind, _ := dict["Type"].(syntax.Name)
	sub, _ := dict["Subtype"].(syntax.Name)
	has := func(keys ...syntax.Name) bool {
		return slices.ContainsFunc(keys, func(key syntax.Name) bool { _, ok := dict[key]; return ok })
	}
	switch {
	case kind == "XRef", sub == "Image":
		return passed
	case kind == "EmbeddedFile", kind == "Metadata", sub == "XML":
		return attached
	case kind == "" && isNumber(dict["S"]): // hints of where pages stand (annex F)
		return raw
	case sub == "Type1C", sub == "CIDFontType0C", sub == "OpenType",
		has("Length1", "Length2", "Length3", "FunctionType", "ShadingType"), has("N") && !has("Resources"), kind == "CMap", has("CMapName"):
		return raw
	}
	return drawing
}

func isNumber(v any) bool { _, ok := v.(float64); return ok }

// extent is the length of a stream: what its dictionary says, where the stream
// ends there, or up to the keyword that ends it.
func (p *document) extent(at int64, dict syntax.Dictionary) (int64, error) {
	const end = "endstream"
	if n, direct := dict["Length"].(float64); direct && n >= 0 && n <= float64(p.size-at) {
		after := make([]byte, len(end)+4)
		got, err := p.f.ReadAt(after, at+int64(n))
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if bytes.HasPrefix(bytes.TrimLeft(after[:got], "\r\n \t"), []byte(end)) {
			return int64(n), nil
		}
	}
	buffer := make([]byte, 64<<10)
	for from := at; from < p.size; from += int64(len(buffer) - len(end)) {
		n, err := p.f.ReadAt(buffer, from)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.Index(buffer[:n], []byte(end)); i >= 0 {
			return from - at + int64(i), nil
		}
	}
	return 0, errors.New("a stream has no end")
}

// objectStream reads objects that are packed together (7.5.7).
func (p *document) objectStream(s stream, dict syntax.Dictionary) error {
	r, err := p.decoded(s)
	if err != nil {
		return err
	}
	shown, finish := p.s.Beside(fmt.Sprintf("%s, object %d", p.name, s.number), p.s.Raw, r)
	return finish(p.packedObjects(shown, dict))
}

func (p *document) packedObjects(r io.Reader, dict syntax.Dictionary) error {
	count, _ := dict["N"].(float64)
	first, known := dict["First"].(float64)
	if !known || count < 0 || count > maxObjects || first < 0 {
		return errors.New("it does not say where its objects begin")
	}
	l := syntax.NewLexer(r)
	type place struct{ number, at int }
	var places []place
	for range int(count) {
		number, err := l.Token()
		if err != nil {
			return syntax.EndsWithin(err)
		}
		at, err := l.Token()
		if err != nil {
			return syntax.EndsWithin(err)
		}
		n, ok := number.(float64)
		a, ok2 := at.(float64)
		if !ok || !ok2 {
			return errors.New("its list of objects is damaged")
		}
		places = append(places, place{int(n), int(a)})
	}
	sort.Slice(places, func(i, j int) bool { return places[i].at < places[j].at })
	for l.At < int64(first) {
		if _, err := l.Byte(); err != nil {
			return syntax.EndsWithin(err)
		}
	}
	// All of it is read, also what the list does not name.
	for i := 0; ; i++ {
		v, err := l.Value(true)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		number := 0
		if i < len(places) {
			number = places[i].number
		}
		if p.objects++; p.objects > maxObjects {
			return fmt.Errorf("the file has more than %d objects", maxObjects)
		}
		if err := p.note(number, v); err != nil {
			return err
		}
	}
}

// note takes from an object what searching needs: its strings, what keys stand
// for, fonts and their encodings.
func (p *document) note(number int, v any) error {
	switch v := v.(type) {
	case syntax.String:
		return p.lines.add(v, encoding.Latin1(v))
	case syntax.Array:
		if len(v) > 1 && number != 0 {
			if _, refers := v[0].(syntax.Reference); refers {
				if p.entries += len(v); p.entries > maxRefs {
					return errTooMany
				}
				p.arrays[number] = v
			}
		}
		for _, each := range v {
			if err := p.note(0, each); err != nil {
				return err
			}
		}
	case syntax.Dictionary:
		if e, ok := v["Encrypt"]; ok && e != nil && e != syntax.Keyword("null") {
			return p.s.Refused(p.name, "it is an encrypted PDF")
		}
		if v["Type"] == syntax.Name("Font") {
			if number == 0 {
				p.direct--
				number = p.direct
			}
			p.fonts[number] = p.font(v)
		}
		if list, ok := v["Differences"].(syntax.Array); ok {
			p.differ[number] = differences(list)
		}
		for _, key := range sortedKeys(v) {
			each, inner := v[key], 0
			switch each := each.(type) {
			case syntax.Array:
				if key == "Contents" {
					if err := p.pageOf(each); err != nil {
						return err
					}
				}
			case syntax.Reference:
				if err := p.refer(key, int(each)); err != nil {
					return err
				}
				continue
			case syntax.Dictionary:
				if each["Type"] == syntax.Name("Font") {
					p.direct--
					inner = p.direct
					if err := p.refer(key, inner); err != nil {
						return err
					}
				}
			}
			if err := p.note(inner, each); err != nil {
				return err
			}
		}
	}
	return nil
}

func sortedKeys(dict syntax.Dictionary) []syntax.Name {
	keys := make([]syntax.Name, 0, len(dict))
	for key := range dict {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (p *document) refer(key syntax.Name, to int) error {
	if p.refs[key] == nil {
		p.refs[key] = map[int]bool{}
	}
	if !p.refs[key][to] {
		if p.entries++; p.entries > maxRefs {
			return errTooMany
		}
		p.refs[key][to] = true
	}
	return nil
}

// show shows what a stream holds.
func (p *document) show(s stream) error {
	if s.class == passed {
		return nil
	}
	name := fmt.Sprintf("%s, object %d", p.name, s.number)
	r, err := p.decoded(s)
	if err != nil {
		return p.s.Broken(name, err)
	}
	switch s.class {
	case attached:
		return p.s.Open(name, r)
	case raw:
		return p.s.Raw(name, r)
	}
	shown, finish := p.s.Beside(name, p.s.Raw, r)
	return finish(p.drawn(name, shown))
}

// lines gathers texts, one a line, and shows many at once.
type lines struct {
	show func(name string, r io.Reader) error
	name string
	text []byte
}

// linesAtOnce is how many bytes of lines are gathered.
const linesAtOnce = 64 << 10

func (l *lines) add(texts ...[]byte) error {
	for _, text := range texts {
		if len(text) > 0 {
			l.text = append(append(l.text, text...), '\n', '\n') // an even number for texts in UTF-16
		}
	}
	if len(l.text) < linesAtOnce {
		return nil
	}
	return l.flush()
}

func (l *lines) flush() error {
	if len(l.text) == 0 {
		return nil
	}
	text := bytes.NewReader(l.text)
	l.text = l.text[:0]
	return l.show(l.name, text)
}
