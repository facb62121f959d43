package container

import (
	"errors"
	"io"
	"os"
)

// postScript shows a program in PostScript as the text that it is, the strings in
// it, and glyphs that it draws one by one by their names, as matplotlib does.
// Another program may spell a text in any way: nobody can tell but by running it.
func (w *walker) postScript(name string, r io.Reader, _ *os.File, _ int64, _ int) error {
	text, finish := w.beside(name, w.Text, r)
	return finish(w.glyphs(name, text))
}

func (w *walker) glyphs(name string, r io.Reader) error {
	out := lines{show: w.said, name: name + ", text that is drawn"}
	l := newPDFLexer(r) // the syntax of PDF comes from PostScript
	var before any
	var word []byte
	for {
		l.room = maxPDFObject
		t, err := l.token()
		if errors.Is(err, io.EOF) || err != nil && syntax(err) {
			// Data that a program reads from itself is not written in tokens.
			return errors.Join(out.add(word), out.flush())
		}
		if err != nil {
			return w.broken(name, err)
		}
		switch t := t.(type) {
		case pdfString:
			if err := out.add(t, latin1(t)); err != nil {
				return err
			}
		case pdfWord:
			glyph, isName := before.(pdfName)
			switch {
			case t == "glyphshow" && isName:
				word = append(word, glyphChar(string(glyph))...)
			case t == "gsave", t == "grestore", t == "showpage", len(word) > maxPDFToken:
				if err := out.add(word); err != nil {
					return err
				}
				word = word[:0]
			}
		}
		before = t
	}
}
