package pdf

import (
	"errors"
	"io"

	"github.com/foundation-plr/pipeline/internal/encoding"
	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// SearchPostScript shows a searcher a program in PostScript as the text that it is, the strings in
// it, and glyphs that it draws one by one by their names, as matplotlib does.
// Another program may spell a text in any way: nobody can tell but by running it.
func SearchPostScript(name string, r io.Reader, s Searcher) error {
	text, finish := s.Beside(name, s.Text, r)
	return finish(glyphs(name, text, s))
}

func glyphs(name string, r io.Reader, s Searcher) error {
	out := lines{show: s.Text, name: name + ", text that is drawn"}
	l := syntax.NewLexer(r) // the syntax of PDF comes from PostScript
	var before any
	var word []byte
	for {
		l.Begin()
		t, err := l.Token()
		if errors.Is(err, io.EOF) || err != nil && syntax.Fault(err) {
			// Data that a program reads from itself is not written in tokens.
			return errors.Join(out.add(word), out.flush())
		}
		if err != nil {
			return s.Broken(name, err)
		}
		switch t := t.(type) {
		case syntax.String:
			if err := out.add(t, encoding.Latin1(t)); err != nil {
				return err
			}
		case syntax.Keyword:
			glyph, isName := before.(syntax.Name)
			switch {
			case t == "glyphshow" && isName:
				word = append(word, glyphChar(string(glyph))...)
			case t == "gsave", t == "grestore", t == "showpage", len(word) > syntax.MaxToken:
				if err := out.add(word); err != nil {
					return err
				}
				word = word[:0]
			}
		}
		before = t
	}
}
