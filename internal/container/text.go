package container

import (
	"bufio"
	"bytes"
	"cmp"
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
	return finish(w.embedded(name, text, depth))
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

func (w *walker) embedded(name string, r io.Reader, depth int) error {
	br := bufio.NewReaderSize(r, 64<<10)
	for {
		text, err := br.Peek(br.Size())
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return err
		}
		at := bytes.Index(text, []byte(uriMark))
		if at < 0 && ended {
			return nil
		}
		if at < 0 {
			if _, err := br.Discard(len(text) - len(uriMark) + 1); err != nil {
				return err
			}
			continue
		}
		if _, err := br.Discard(at + len(uriMark)); err != nil {
			return err
		}
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
		if errors.As(err, &other) && isPicture {
			return &Error{Name: name, Why: "a picture within it is not whole base64"}
		}
		if errors.As(err, &other) {
			continue // prose that looks like one: the text itself has been shown
		}
		if err != nil {
			return err
		}
	}
}

// base64Digits reads up to what belongs to no base64, without the padding. It does
// not take what is behind.
type base64Digits struct {
	r    *bufio.Reader
	done bool
}

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
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '+', c == '/':
			p[n] = c
			n++
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
