package container

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"io"
)

// uriMark ends the head of a data URI (RFC 2397) whose contents are written in
// base64: pictures and fonts in HTML, SVG and CSS.
const uriMark = ";base64,"

// text shows a text, and what it embeds as data URIs.
func (w *walker) text(name string, r io.Reader, depth int) error {
	text, finish := w.beside(name, w.Text, r)
	return finish(w.embedded(name, text, depth))
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
		uri := w.unfold(name, base64.NewDecoder(base64.RawStdEncoding, &base64Digits{r: br}))
		err = w.open(name+", data URI", uri, nil, depth+1)
		var other base64.CorruptInputError
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
