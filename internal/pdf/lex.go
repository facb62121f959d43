package pdf

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/encoding"
)

// Objects of a PDF (ISO 32000-2, 7.3).
type (
	nameObject   string
	stringObject []byte
	reference    int // the number of an object
	dictionary   map[nameObject]any
	arrayObject  []any
	keyword      string // an operator or keyword
)

// Limits of one object. What is published holds page trees and texts far below.
const (
	maxObject  = 32 << 20 // bytes that a value is written in
	maxToken   = 1 << 20  // bytes of a string or name
	maxNesting = 64
)

var (
	errObject  = fmt.Errorf("an object is longer than %d MB", maxObject>>20)
	errToken   = fmt.Errorf("a string is longer than %d bytes", maxToken)
	errNesting = fmt.Errorf("objects lie more than %d deep in each other", maxNesting)
	errEnd     = errors.New("it ends within an object")
	errArray   = errors.New("an array is not closed")
	errKey     = errors.New("a dictionary has a key that is no name")
)

// lexer reads tokens and values, of a file or of a stream in it.
type lexer struct {
	r    *bufio.Reader
	at   int64 // bytes read
	room int64 // bytes that the present value may still take
	back []any // tokens that were read too far, the last first
	// cut lets a value end with the text, between tokens: the operators of a page
	// may go on in another stream.
	cut bool
}

func newLexer(r io.Reader) *lexer {
	return &lexer{r: bufio.NewReaderSize(r, 32<<10), room: maxObject}
}

func (l *lexer) byte() (byte, error) {
	c, err := l.r.ReadByte()
	if err == nil {
		l.at++
		l.room--
	}
	return c, err
}

func (l *lexer) unread() {
	_ = l.r.UnreadByte() // it follows a byte that was read
	l.at--
	l.room++
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool { return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0 }

// token returns a number (float64), a name, a string, or a word, which "[", "]",
// "<<", ">>", "{" and "}" are, too. The error at the end is io.EOF.
func (l *lexer) token() (any, error) {
	if n := len(l.back); n > 0 {
		t := l.back[n-1]
		l.back = l.back[:n-1]
		return t, nil
	}
	for {
		c, err := l.byte()
		if err != nil {
			return nil, err
		}
		switch {
		case isSpace(c):
		case c == '%':
			for c != '\n' && c != '\r' {
				if c, err = l.byte(); err != nil {
					return nil, err
				}
			}
		case c == '(':
			return l.literal()
		case c == '<':
			if c, err = l.byte(); err != nil {
				return nil, err
			}
			if c == '<' {
				return keyword("<<"), nil
			}
			l.unread()
			return l.hexadecimal()
		case c == '>':
			if c, err = l.byte(); err == nil && c != '>' {
				l.unread()
			}
			return keyword(">>"), nil
		case c == '/':
			text, err := l.run(nil)
			return nameObject(unescapedName(text)), err
		case isDelimiter(c):
			return keyword([]byte{c}), nil
		default:
			text, err := l.run([]byte{c})
			if err != nil {
				return nil, err
			}
			if n, err := strconv.ParseFloat(string(text), 64); err == nil && bytes.IndexByte([]byte("+-.0123456789"), text[0]) >= 0 {
				return n, nil
			}
			return keyword(text), nil
		}
	}
}

// run reads up to a space or delimiter.
func (l *lexer) run(text []byte) ([]byte, error) {
	for {
		c, err := l.byte()
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		if isSpace(c) || isDelimiter(c) {
			l.unread()
			return text, nil
		}
		if text = append(text, c); len(text) > maxToken {
			return nil, errToken
		}
	}
}

// unescapedName puts bytes in the place of #41 (7.3.5).
func unescapedName(text []byte) []byte {
	if bytes.IndexByte(text, '#') < 0 {
		return text
	}
	var out []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '#' && i+2 < len(text) {
			if n, err := strconv.ParseUint(string(text[i+1:i+3]), 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, text[i])
	}
	return out
}

// literal reads a string in parentheses (7.3.4.2) behind the first one.
func (l *lexer) literal() (any, error) {
	text, depth := stringObject{}, 1
	for {
		c, err := l.byte()
		if err != nil {
			return text, endsWithin(err)
		}
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return text, nil
			}
		case '\\':
			var skip bool
			if c, skip, err = l.escape(); err != nil {
				return text, endsWithin(err)
			}
			if skip {
				continue
			}
		}
		if text = append(text, c); len(text) > maxToken {
			return text, errToken
		}
	}
}

// escape reads what stands behind a backslash; a broken line is to be skipped.
func (l *lexer) escape() (c byte, skip bool, err error) {
	if c, err = l.byte(); err != nil {
		return c, false, err
	}
	switch c {
	case 'n':
		return '\n', false, nil
	case 'r':
		return '\r', false, nil
	case 't':
		return '\t', false, nil
	case 'b':
		return '\b', false, nil
	case 'f':
		return '\f', false, nil
	case '\n':
		return 0, true, nil
	case '\r':
		if c, err = l.byte(); err == nil && c != '\n' {
			l.unread()
		}
		return 0, true, nil
	}
	if c < '0' || c > '7' {
		return c, false, nil
	}
	code := int(c - '0')
	for range 2 {
		if c, err = l.byte(); err != nil {
			break
		}
		if c < '0' || c > '7' {
			l.unread()
			break
		}
		code = code*8 + int(c-'0')
	}
	return byte(code), false, nil
}

func endsWithin(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnd
	}
	return err
}

// hexadecimal reads a string of hexadecimal digits (7.3.4.3) behind its "<".
// What is no digit is passed over, as other readers do.
func (l *lexer) hexadecimal() (any, error) {
	text, high := stringObject{}, -1
	for {
		c, err := l.byte()
		if err != nil {
			return text, endsWithin(err)
		}
		if c == '>' {
			if high >= 0 {
				text = append(text, byte(high<<4))
			}
			return text, nil
		}
		digit := encoding.HexDigit(c)
		switch {
		case digit < 0:
		case high < 0:
			high = digit
		default:
			text, high = append(text, byte(high<<4|digit)), -1
		}
		if len(text) > maxToken {
			return text, errToken
		}
	}
}

// value reads an object, which may be an operator: a keyword. References are
// seen where refs is set; a content stream has none.
func (l *lexer) value(refs bool) (any, error) {
	l.room = maxObject
	return l.nested(refs, 0)
}

func (l *lexer) nested(refs bool, depth int) (any, error) {
	if l.room < 0 {
		return nil, errObject
	}
	if depth > maxNesting {
		return nil, errNesting
	}
	t, err := l.token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case float64:
		if refs && t >= 0 && t < 1<<31 && t == float64(int(t)) {
			return l.reference(int(t))
		}
	case keyword:
		switch t {
		case "[":
			array := arrayObject{}
			for {
				v, err := l.nested(refs, depth+1)
				if l.cut && errors.Is(err, io.EOF) {
					return array, nil
				}
				if err != nil {
					return nil, endsWithin(err)
				}
				if v == keyword("]") {
					return array, nil
				}
				if v == keyword(">>") || v == keyword("endobj") {
					return nil, errArray
				}
				array = append(array, v)
			}
		case "<<":
			return l.dict(refs, depth)
		}
	}
	return t, nil
}

func (l *lexer) dict(refs bool, depth int) (any, error) {
	dict := dictionary{}
	for {
		t, err := l.token()
		if l.cut && errors.Is(err, io.EOF) {
			return dict, nil
		}
		if err != nil {
			return nil, endsWithin(err)
		}
		key, isName := t.(nameObject)
		switch {
		case t == keyword(">>"):
			return dict, nil
		case !isName:
			return nil, errKey
		}
		v, err := l.nested(refs, depth+1)
		if l.cut && errors.Is(err, io.EOF) {
			return dict, nil
		}
		if err != nil {
			return nil, endsWithin(err)
		}
		if v == keyword(">>") { // a key without a value, as some write
			return dict, nil
		}
		if earlier, twice := dict[key]; twice { // the later one counts, and both are searched
			dict[key+"\x00"] = earlier
		}
		dict[key] = v
	}
}

// reference is the rest of "12 0 R" behind its first number, or that number.
func (l *lexer) reference(n int) (any, error) {
	second, err := l.token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return float64(n), nil
		}
		return nil, err
	}
	if _, isNumber := second.(float64); !isNumber {
		l.back = append(l.back, second)
		return float64(n), nil
	}
	third, err := l.token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if third == keyword("R") {
		return reference(n), nil
	}
	if err == nil {
		l.back = append(l.back, third)
	}
	l.back = append(l.back, second)
	return float64(n), nil
}
