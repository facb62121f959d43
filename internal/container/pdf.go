package container

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
)

// pdf is a file whose objects are read one after another, wherever they stand and
// whether or not anything refers to them: earlier versions are searched, too, and
// a damaged table of contents hides nothing.
type pdf struct {
	w     *walker
	name  string
	f     *os.File
	size  int64
	depth int

	lines   lines
	objects int
	streams []pdfStream
	refs    map[pdfName]map[int]bool // key → objects that it stands for anywhere
	fonts   map[int]*pdfFont
	direct  int                     // fonts that are no objects of their own: their numbers are negative
	differ  map[int]map[byte]string // encodings by object
	cmaps   map[int]*cmap
	entries int // of all cmaps
}

// Limits of a file, each far above what documents hold.
const (
	maxPDFObjects = 1 << 20
	maxPDFRefs    = 1 << 20
)

// pdfStream is where a stream stands and what it is.
type pdfStream struct {
	number   int
	at, size int64
	filters  []pdfFilter
	class    streamClass
}

type streamClass int

const (
	drawing  streamClass = iota // operators that may show text, and whatever is not known
	passed                      // pixels, cross-references, object streams that were read already
	raw                         // fonts, colour profiles, functions
	attached                    // a file or document of its own
)

func (w *walker) pdf(name string, _ io.Reader, f *os.File, size int64, depth int) error {
	p := &pdf{w: w, name: name, f: f, size: size, depth: depth,
		refs: map[pdfName]map[int]bool{}, fonts: map[int]*pdfFont{}, differ: map[int]map[byte]string{}, cmaps: map[int]*cmap{}}
	p.lines = lines{show: w.said, name: name + ", strings of objects"}
	var head [len("%PDF-")]byte
	if _, err := f.ReadAt(head[:], 0); err != nil || string(head[:]) != "%PDF-" {
		// It may be a text that speaks of PDF.
		if err := w.text(name, io.NewSectionReader(f, 0, size), depth); err != nil {
			return err
		}
	}
	scanned := p.scan()
	if p.objects == 0 && string(head[:]) != "%PDF-" && (scanned == nil || syntax(scanned)) {
		return nil
	}
	if scanned != nil {
		return w.broken(name, scanned)
	}
	if err := p.lines.flush(); err != nil {
		return err
	}
	if p.objects == 0 {
		return &Error{Name: name, Why: "it is a PDF without objects"}
	}
	if err := p.readFonts(); err != nil {
		return err
	}
	for _, s := range p.streams {
		if err := w.entry(name); err != nil {
			return err
		}
		if err := p.show(s); err != nil {
			return err
		}
	}
	return nil
}

// lexer reads from an offset.
func (p *pdf) lexer(at int64) *pdfLexer {
	l := newPDFLexer(io.NewSectionReader(p.f, at, p.size-at))
	l.at = at
	return l
}

// scan reads all objects and notes where streams stand.
func (p *pdf) scan() error {
	l := p.lexer(0)
	var before [2]float64 // numbers before a word
	for {
		l.room = maxPDFObject
		t, err := l.token()
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
		case pdfWord:
			switch t {
			case "obj":
				if err := p.object(l, int(before[0])); err != nil {
					return err
				}
			case "<<", "[": // a trailer, or an object whose head is damaged
				l.back = append(l.back, t)
				v, err := l.value(true)
				if err != nil {
					return endsWithin(err)
				}
				if err := p.note(0, v); err != nil {
					return err
				}
			}
		case pdfString:
			if err := p.note(0, t); err != nil {
				return err
			}
		}
		before = [2]float64{}
	}
}

// object reads an object behind its head, and leaves the lexer behind it.
func (p *pdf) object(l *pdfLexer, number int) error {
	if p.objects++; p.objects > maxPDFObjects {
		return fmt.Errorf("it has more than %d objects", maxPDFObjects)
	}
	if err := p.w.ctx.Err(); err != nil {
		return err
	}
	v, err := l.value(true)
	if err != nil {
		return endsWithin(err)
	}
	if v == pdfWord("endobj") {
		return nil
	}
	if err := p.note(number, v); err != nil {
		return err
	}
	dict, isDict := v.(pdfDict)
	if !isDict {
		return nil
	}
	t, err := l.token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if t != pdfWord("stream") {
		l.back = append(l.back, t)
		return nil
	}
	// One end of line belongs to the keyword (7.3.8.1).
	c, err := l.byte()
	if err == nil && c == '\r' {
		c, err = l.byte()
	}
	if err != nil {
		return endsWithin(err)
	}
	if c != '\n' {
		l.unread()
	}
	s := pdfStream{number: number, at: l.at}
	if s.size, err = p.extent(s.at, dict); err != nil {
		return err
	}
	if s.filters, err = p.filters(dict); err != nil {
		return fmt.Errorf("object %d: %w", number, err)
	}
	s.class = classOf(dict)
	if dict["Type"] == pdfName("ObjStm") {
		s.class = passed
		if err := p.objectStream(s, dict); err != nil {
			return fmt.Errorf("object %d: %w", number, err)
		}
	}
	p.streams = append(p.streams, s)
	*l = *p.lexer(s.at + s.size)
	return nil
}

func classOf(dict pdfDict) streamClass {
	kind, _ := dict["Type"].(pdfName)
	sub, _ := dict["Subtype"].(pdfName)
	has := func(keys ...pdfName) bool {
		return slices.ContainsFunc(keys, func(key pdfName) bool { _, ok := dict[key]; return ok })
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
func (p *pdf) extent(at int64, dict pdfDict) (int64, error) {
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
func (p *pdf) objectStream(s pdfStream, dict pdfDict) error {
	r, err := p.decoded(s)
	if err != nil {
		return err
	}
	shown, finish := p.w.beside(fmt.Sprintf("%s, object %d", p.name, s.number), p.w.Raw, r)
	return finish(p.packedObjects(shown, dict))
}

func (p *pdf) packedObjects(r io.Reader, dict pdfDict) error {
	count, _ := dict["N"].(float64)
	first, known := dict["First"].(float64)
	if !known || count < 0 || count > maxPDFObjects || first < 0 {
		return errors.New("it does not say where its objects begin")
	}
	l := newPDFLexer(r)
	type place struct{ number, at int }
	var places []place
	for range int(count) {
		number, err := l.token()
		if err != nil {
			return endsWithin(err)
		}
		at, err := l.token()
		if err != nil {
			return endsWithin(err)
		}
		n, ok := number.(float64)
		a, ok2 := at.(float64)
		if !ok || !ok2 {
			return errors.New("its list of objects is damaged")
		}
		places = append(places, place{int(n), int(a)})
	}
	sort.Slice(places, func(i, j int) bool { return places[i].at < places[j].at })
	for l.at < int64(first) {
		if _, err := l.byte(); err != nil {
			return endsWithin(err)
		}
	}
	// All of it is read, also what the list does not name.
	for i := 0; ; i++ {
		v, err := l.value(true)
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
		if p.objects++; p.objects > maxPDFObjects {
			return fmt.Errorf("the file has more than %d objects", maxPDFObjects)
		}
		if err := p.note(number, v); err != nil {
			return err
		}
	}
}

// note takes from an object what searching needs: its strings, what keys stand
// for, fonts and their encodings.
func (p *pdf) note(number int, v any) error {
	switch v := v.(type) {
	case pdfString:
		return p.lines.add(v, latin1(v))
	case pdfArray:
		for _, each := range v {
			if err := p.note(0, each); err != nil {
				return err
			}
		}
	case pdfDict:
		if e, ok := v["Encrypt"]; ok && e != nil && e != pdfWord("null") {
			return &Error{Name: p.name, Why: "it is an encrypted PDF"}
		}
		if v["Type"] == pdfName("Font") {
			if number == 0 {
				p.direct--
				number = p.direct
			}
			p.fonts[number] = p.font(v)
		}
		if list, ok := v["Differences"].(pdfArray); ok {
			p.differ[number] = differences(list)
		}
		for _, key := range sortedKeys(v) {
			each, inner := v[key], 0
			switch each := each.(type) {
			case pdfRef:
				if err := p.refer(key, int(each)); err != nil {
					return err
				}
				continue
			case pdfDict:
				if each["Type"] == pdfName("Font") {
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

func sortedKeys(dict pdfDict) []pdfName {
	keys := make([]pdfName, 0, len(dict))
	for key := range dict {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (p *pdf) refer(key pdfName, to int) error {
	if p.refs[key] == nil {
		p.refs[key] = map[int]bool{}
	}
	if !p.refs[key][to] {
		if p.entries++; p.entries > maxPDFRefs {
			return fmt.Errorf("it has more than %d references and characters of fonts", maxPDFRefs)
		}
		p.refs[key][to] = true
	}
	return nil
}

// show shows what a stream holds.
func (p *pdf) show(s pdfStream) error {
	if s.class == passed {
		return nil
	}
	name := fmt.Sprintf("%s, object %d", p.name, s.number)
	r, err := p.decoded(s)
	if err != nil {
		return p.w.broken(name, err)
	}
	switch s.class {
	case attached:
		return p.w.open(name, r, nil, p.depth+1)
	case raw:
		return p.w.Raw(name, r)
	}
	shown, finish := p.w.beside(name, p.w.Raw, r)
	return finish(p.drawn(name, shown))
}

// lines gathers texts, one a line, and shows many at once.
type lines struct {
	show func(name string, text []byte) error
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
	text := l.text
	l.text = l.text[:0]
	return l.show(l.name, text)
}
