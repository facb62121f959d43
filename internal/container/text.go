package container

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/flate"
	"compress/zlib"
	"encoding/base64"
	"errors"
	"io"

	"github.com/foundation-plr/pipeline/internal/encoding"
)

// uriMark ends the head of a data URI (RFC 2397) whose contents are written in
// base64: pictures and fonts in HTML, SVG and CSS.
const uriMark = ";base64,"

// pngInBase64 begins a PNG file in base64: the characters that its mark decides
// alone.
const pngInBase64 = "iVBORw0KGg"

// withoutPictures is a text without the base64 of the PNG pictures within it. As
// text it is long and random, and spells short codes by chance; what the pictures
// carry is shown by itself.
func withoutPictures(r io.Reader) io.Reader {
	return &withoutBase64{br: bufio.NewReaderSize(r, 64<<10)}
}

type withoutBase64 struct {
	br      *bufio.Reader
	sure    int  // bytes that may be given before the next look
	picture bool // behind them stands a picture
}

func (t *withoutBase64) Read(p []byte) (int, error) {
	const mark = uriMark + pngInBase64
	for t.sure == 0 {
		if t.picture {
			if err := t.skip(); err != nil {
				return 0, err
			}
			t.picture = false
		}
		text, err := t.br.Peek(t.br.Size())
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return 0, err
		}
		switch at := bytes.Index(text, []byte(mark)); {
		case at >= 0:
			t.sure, t.picture = at+len(mark), true
		case !ended:
			t.sure = len(text) - len(mark) + 1 // of which the rest may be to come
		case len(text) == 0:
			return 0, io.EOF
		default:
			t.sure = len(text)
		}
	}
	n, err := t.br.Read(p[:min(len(p), t.sure)])
	t.sure -= n
	return n, err
}

// skip passes over base64. No blanks, as base64Digits has them: what stands behind
// one may be prose.
func (t *withoutBase64) skip() error {
	for {
		c, err := t.br.ReadByte()
		if err != nil {
			return err
		}
		if !(c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/') {
			return t.br.UnreadByte()
		}
	}
}

// text shows a text, in each way in which it may be read, and what it embeds as data
// URIs.
func (w *walker) text(name string, r io.Reader, depth int) error {
	text, finish := w.beside(name, func(name string, r io.Reader) error { return w.read(name, withoutPictures(r)) }, r)
	return finish(w.embedded(name, &joined{br: bufio.NewReaderSize(text, 64<<10)}, depth))
}

// broken64 are the ways in which the characters of base64, and the ends of its lines,
// are written within strings of JSON and the like, addresses, and attributes.
var broken64 = []struct{ escape, char string }{
	{`\n`, "\n"}, {`\r`, "\r"}, {`\/`, "/"},
	{`\u002b`, "+"}, {`\u002f`, "/"}, {`\u003d`, "="}, {`\u000a`, "\n"}, {`\u000d`, "\r"}, {`\x2b`, "+"}, {`\x2f`, "/"}, {`\x3d`, "="},
	{"%2b", "+"}, {"%2f", "/"}, {"%3d", "="}, {"%0a", "\n"}, {"%0d", "\r"},
	{"&#10;", "\n"}, {"&#13;", "\r"}, {"&#xa;", "\n"}, {"&#xd;", "\r"}, {"&#43;", "+"}, {"&#47;", "/"}, {"&#61;", "="},
	{"&#x2b;", "+"}, {"&#x2f;", "/"}, {"&#x3d;", "="}, {"&plus;", "+"}, {"&sol;", "/"}, {"&equals;", "="},
}

const longestEscape = len("&equals;")

// joined is a text in which base64 is written in itself. It looks for nothing else, so
// that a file that is packed in base64 is read in one piece whatever its size.
type joined struct {
	br   *bufio.Reader
	sure int // bytes that may be given before the next look
}

func (j *joined) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for j.sure == 0 {
		// Filled only when an escape may be cut: filling moves what is held.
		look := j.br.Buffered()
		if look < longestEscape {
			look = j.br.Size()
		}
		text, err := j.br.Peek(look)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if len(text) == 0 {
			return 0, io.EOF
		}
		at := bytes.IndexAny(text, `\%&`)
		switch {
		case at < 0:
			j.sure = len(text)
			continue
		case at > 0:
			j.sure = at
			continue
		}
		j.sure = 1 // unless an escape begins here
		for _, b := range broken64 {
			n := len(b.escape)
			if text[0] != b.escape[0] || n > len(text) || !bytes.EqualFold(text[:n], []byte(b.escape)) {
				continue
			}
			if _, err := j.br.Discard(n); err != nil {
				return 0, err
			}
			j.sure = 0
			p[0] = b.char[0]
			return 1, nil
		}
	}
	n, err := j.br.Read(p[:min(len(p), j.sure)])
	j.sure -= n
	return n, err
}

// read shows a text as it is and in each way in which it may be read.
func (w *walker) read(name string, r io.Reader) error {
	text, finish := w.beside(name, w.Text, r)
	var shown error
	err := encoding.Read(text, func(how encoding.Reading, read []byte) error {
		shown = w.reading(name, how, read)
		return shown
	})
	if shown != nil {
		// What stands in the text as it is, is said of the text.
		if _, err := io.Copy(io.Discard, text); err != nil {
			return finish(w.broken(name, err))
		}
		return cmp.Or(finish(nil), shown)
	}
	if err != nil {
		err = w.unread(name, err)
	}
	return finish(err)
}

func (w *walker) reading(name string, how encoding.Reading, read []byte) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	name, r := name+", "+how.How, bytes.NewReader(read)
	if how.Guess {
		return w.Guess(name, r)
	}
	return w.Text(name, r)
}

// said shows a short text in each way in which it may be read.
func (w *walker) said(name string, text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if err := w.Text(name, bytes.NewReader(text)); err != nil {
		return err
	}
	var shown error
	err := encoding.Each(text, func(how encoding.Reading, read []byte) error {
		shown = w.reading(name, how, read)
		return shown
	})
	if err != nil && shown == nil {
		err = w.unread(name, err)
	}
	return err
}

func (w *walker) unread(name string, err error) error {
	if errors.Is(err, encoding.ErrNested) {
		return &Error{name, err.Error(), err}
	}
	return w.broken(name, err)
}

// packedInBase64 are the characters that begin, in base64, files whose contents do
// not show as text: what other programs put into strings of pages, notebooks and
// JSON. Of zlib's streams they decide so little that words begin with them.
var packedInBase64 = []struct {
	begin string
	sure  bool
}{
	{"H4sI", true},      // gzip
	{"KLUv/", true},     // zstd
	{"QlpoO", true},     // bzip2
	{"/Td6WFo", true},   // xz
	{"UEsDB", true},     // zip
	{"N3q8ry", true},    // 7-Zip
	{"JVBERi0", true},   // PDF
	{"UEFSMR", true},    // Parquet
	{"QVJST1cx", true},  // Arrow
	{"d09GRg", true},    // WOFF
	{"d09GMg", true},    // WOFF2
	{"iUhERg0K", true},  // HDF5
	{pngInBase64, true}, // of a notebook
	// zlib, by how hard it tries
	{"eJ", false}, {"eN", false}, {"eAE", false}, {"eAF", false}, {"eAG", false}, {"eAH", false}, {"eF", false},
}

// leastPacked is how many characters of base64 a word has for it to be taken for a
// file. A code of eight characters takes more of any of them.
const leastPacked = 40

// packed finds the first word of a text that may be such a file, and says whether
// it can be nothing else. It looks at words of which it sees leastPacked characters.
// The byte before the text says whether the text begins in a word.
func packed(before byte, text []byte) (at int, sure bool) {
	for i, c := range text {
		if !inBase64(before) && inBase64(c) && i+leastPacked <= len(text) {
			for _, p := range packedInBase64 {
				if bytes.HasPrefix(text[i:], []byte(p.begin)) && !bytes.ContainsFunc(text[i:i+leastPacked], func(r rune) bool { return r > 'z' || !inBase64(byte(r)) }) {
					return i, p.sure
				}
			}
		}
		before = c
	}
	return -1, false
}

// inBase64 reports whether a character is a digit in either alphabet.
func inBase64(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '+' || c == '/' || c == '-' || c == '_'
}

// embeds says whether there is something in a text for embedded to open.
func embeds(text []byte) bool {
	if bytes.Contains(text, []byte(uriMark)) {
		return true
	}
	if bytes.ContainsAny(text, `\%&`) {
		var err error
		if text, err = io.ReadAll(&joined{br: bufio.NewReader(bytes.NewReader(text))}); err != nil {
			return true // what reads it again says so
		}
	}
	at, _ := packed(0, text)
	return at >= 0
}

func (w *walker) embedded(name string, r io.Reader, depth int) error {
	br := bufio.NewReaderSize(r, 64<<10)
	var before byte // the one that was read last
	skip := func(n int) error {
		text, err := br.Peek(n)
		if err != nil || n == 0 {
			return err
		}
		before = text[n-1]
		_, err = br.Discard(n)
		return err
	}
	for {
		text, err := br.Peek(br.Size())
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		uri := bytes.Index(text, []byte(uriMark))
		at, sure := packed(before, text)
		switch {
		case uri >= 0 && (at < 0 || uri < at):
			if err = skip(uri + len(uriMark)); err == nil {
				err = w.dataURI(name, br, depth)
			}
		case at >= 0:
			if err = skip(at); err == nil {
				err = w.packed(name, br, sure, depth)
			}
			before = 'A' // what is left of the word is no beginning of one
		case ended:
			return nil
		default:
			err = skip(len(text) - leastPacked + 1) // of which the rest may be to come
		}
		if err != nil {
			return err
		}
	}
}

// dataURI opens what follows the head of a data URI.
func (w *walker) dataURI(name string, br *bufio.Reader, depth int) error {
	if err := w.entry(name); err != nil {
		return err
	}
	picture, err := br.Peek(len(pngInBase64))
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	isPicture := string(picture) == pngInBase64
	uri := w.unfold(name, base64.NewDecoder(base64.RawStdEncoding, &base64Digits{r: br}))
	err = w.open(name+", data URI", uri, nil, depth+1)
	var other base64.CorruptInputError
	switch {
	case errors.As(err, &other) && isPicture:
		return &Error{Name: name, Why: "a picture within it is not whole base64"}
	case errors.As(err, &other):
		return nil // prose that looks like one: the text itself has been shown
	}
	return err
}

// packed opens a word that may be a file. One that is none after all has been shown
// as a text.
func (w *walker) packed(name string, br *bufio.Reader, sure bool, depth int) error {
	word := w.unfold(name, base64.NewDecoder(base64.RawStdEncoding, &base64Digits{r: br, word: true}))
	if sure {
		if err := w.entry(name); err != nil {
			return err
		}
		return w.open(name+", base64", word, nil, depth+1)
	}
	err := w.open(name+", base64", word, nil, depth+1)
	var stream flate.CorruptInputError
	var digits base64.CorruptInputError
	if errors.As(err, &stream) || errors.As(err, &digits) || errors.Is(err, zlib.ErrHeader) || errors.Is(err, zlib.ErrChecksum) ||
		errors.Is(err, zlib.ErrDictionary) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil // a word
	}
	return err
}

// base64Digits reads up to what belongs to no base64, without the padding. It does
// not take what is behind.
type base64Digits struct {
	r    *bufio.Reader
	word bool // what stands by itself in a text, of either alphabet: it ends with its line, unless that is full
	line int  // digits of the line
	done bool
}

// A line of base64 that goes on is full: 64 digits of PEM, 76 of MIME, or what a
// program made of these for an indentation.
const (
	leastLine = 60
	mostLine  = 76
)

func (b *base64Digits) Read(p []byte) (n int, err error) {
	for n < len(p) && !b.done {
		c, err := b.r.ReadByte()
		if errors.Is(err, io.EOF) {
			b.done = true
			break
		}
		if err != nil {
			return n, err
		}
		if b.word {
			switch c {
			case '-':
				c = '+'
			case '_':
				c = '/'
			case ' ', '\t':
				if b.line > 0 { // else an indentation
					b.done = true
				}
			case '\n':
				b.done = b.line < leastLine || b.line > mostLine
				b.line = 0
			}
		}
		switch {
		case b.done:
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			p[n] = c
			n++
			b.line++
		case c == '\n', c == '\r', c == ' ', c == '\t': // long ones are broken into lines
		default:
			b.done = true
			if c != '=' {
				err = b.r.UnreadByte()
			}
			if err != nil {
				return n, err
			}
		}
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
