// Package syntax reads the tokens and objects that PDFs, and PostScript before them,
// are written in, within bounds. It knows no document: not where objects stand, what
// their keys mean or what streams unpack to.
package syntax

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/encoding"
)

// Objects of a PDF (ISO 32000-2, 7.3).
type (
	Name       string
	String     []byte
	Reference  int // the number of an object
	Dictionary map[Name]any
	Array      []any
	Keyword    string // an operator or keyword
)

// Limits of one object. What is published holds page trees and texts far below.
const (
	maxObject  = 32 << 20 // bytes that a value is written in
	MaxToken   = 1 << 20  // bytes of a string or name
	maxNesting = 64
)

var (
	errObject  = fmt.Errorf("an object is longer than %d MB", maxObject>>20)
	errToken   = fmt.Errorf("a string is longer than %d bytes", MaxToken)
	errNesting = fmt.Errorf("objects lie more than %d deep in each other", maxNesting)
	errEnd     = errors.New("it ends within an object")
	errArray   = errors.New("an array is not closed")
	errKey     = errors.New("a dictionary has a key that is no name")
)

// Fault reports whether an error is about what was read, and not about reading.
func Fault(err error) bool {
	return slices.ContainsFunc([]error{errObject, errToken, errNesting, errEnd, errArray, errKey},
		func(known error) bool { return errors.Is(err, known) })
}

// Lexer reads tokens and values, of a file or of a stream in it.
type Lexer struct {
	r    *bufio.Reader
	At   int64 // bytes read
	room int64 // bytes that the present value may still take
	back []any // tokens that were read too far, the last first
	// Cut lets a value end with the text, between tokens: the operators of a page
	// may go on in another stream.
	Cut bool
	// Comment is called with each comment, if it is set.
	Comment func(text []byte) error
}

// NewLexer reads from the beginning of r.
func NewLexer(r io.Reader) *Lexer {
	return &Lexer{r: bufio.NewReaderSize(r, 32<<10), room: maxObject}
}

// Byte is the next byte, for what is no token.
func (l *Lexer) Byte() (byte, error) {
	c, err := l.r.ReadByte()
	if err == nil {
		l.At++
		l.room--
	}
	return c, err
}

// Begin says that a value begins: it may be as long as the last.
func (l *Lexer) Begin() { l.room = maxObject }

// Return gives a token back, to be read again.
func (l *Lexer) Return(token any) { l.back = append(l.back, token) }

// Rest passes over all that is left.
func (l *Lexer) Rest() error {
	_, err := io.Copy(io.Discard, l.r)
	return err
}

// Unread gives the byte back that was read last.
func (l *Lexer) Unread() {
	_ = l.r.UnreadByte() // it follows a byte that was read
	l.At--
	l.room++
}

func IsSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' || c == 0
}

func isDelimiter(c byte) bool { return bytes.IndexByte([]byte("()<>[]{}/%"), c) >= 0 }

// comment reads to the end of the line.
func (l *Lexer) comment() error {
	var text []byte
	for {
		c, err := l.Byte()
		if err == nil && c != '\n' && c != '\r' {
			if l.Comment == nil {
				continue
			}
			if text = append(text, c); len(text) > MaxToken {
				return errToken
			}
			continue
		}
		if l.Comment != nil && (err == nil || errors.Is(err, io.EOF)) {
			if err := l.Comment(text); err != nil {
				return err
			}
		}
		return err
	}
}

// Token returns a number (float64), a name, a string, or a word, which "[", "]",
// "<<", ">>", "{" and "}" are, too. The error at the end is io.EOF.
func (l *Lexer) Token() (any, error) {
	if n := len(l.back); n > 0 {
		t := l.back[n-1]
		l.back = l.back[:n-1]
		return t, nil
	}
	for {
		c, err := l.Byte()
		if err != nil {
			return nil, err
		}
		switch {
		case IsSpace(c):
		case c == '%':
			if err := l.comment(); err != nil {
				return nil, err
			}
		case c == '(':
			return l.literal()
		case c == '<':
			if c, err = l.Byte(); err != nil {
				return nil, err
			}
			if c == '<' {
				return Keyword("<<"), nil
			}
			l.Unread()
			return l.hexadecimal()
		case c == '>':
			if c, err = l.Byte(); err == nil && c != '>' {
				l.Unread()
			}
			return Keyword(">>"), nil
		case c == '/':
			text, err := l.run(nil)
			return Name(unescapedName(text)), err
		case isDelimiter(c):
			return Keyword([]byte{c}), nil
		default:
			text, err := l.run([]byte{c})
			if err != nil {
				return nil, err
			}
			if n, err := strconv.ParseFloat(string(text), 64); err == nil && bytes.IndexByte([]byte("+-.0123456789"), text[0]) >= 0 {
				return n, nil
			}
			return Keyword(text), nil
		}
	}
}

// run reads up to a space or delimiter.
func (l *Lexer) run(text []byte) ([]byte, error) {
	for {
		c, err := l.Byte()
		if errors.Is(err, io.EOF) {
			return text, nil
		}
		if err != nil {
			return nil, err
		}
		if IsSpace(c) || isDelimiter(c) {
			l.Unread()
			return text, nil
		}
		if text = append(text, c); len(text) > MaxToken {
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
func (l *Lexer) literal() (any, error) {
	text, depth := String{}, 1
	for {
		c, err := l.Byte()
		if err != nil {
			return text, EndsWithin(err)
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
				return text, EndsWithin(err)
			}
			if skip {
				continue
			}
		}
		if text = append(text, c); len(text) > MaxToken {
			return text, errToken
		}
	}
}

// escape reads what stands behind a backslash; a broken line is to be skipped.
func (l *Lexer) escape() (c byte, skip bool, err error) {
	if c, err = l.Byte(); err != nil {
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
		if c, err = l.Byte(); err == nil && c != '\n' {
			l.Unread()
		}
		return 0, true, nil
	}
	if c < '0' || c > '7' {
		return c, false, nil
	}
	code := int(c - '0')
	for range 2 {
		if c, err = l.Byte(); err != nil {
			break
		}
		if c < '0' || c > '7' {
			l.Unread()
			break
		}
		code = code*8 + int(c-'0')
	}
	return byte(code), false, nil
}

func EndsWithin(err error) error {
	if errors.Is(err, io.EOF) {
		return errEnd
	}
	return err
}

// hexadecimal reads a string of hexadecimal digits (7.3.4.3) behind its "<".
// What is no digit is passed over, as other readers do.
func (l *Lexer) hexadecimal() (any, error) {
	text, high := String{}, -1
	for {
		c, err := l.Byte()
		if err != nil {
			return text, EndsWithin(err)
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
		if len(text) > MaxToken {
			return text, errToken
		}
	}
}

// Value reads an object, which may be an operator: a keyword. References are
// seen where refs is set; a content stream has none.
func (l *Lexer) Value(refs bool) (any, error) {
	l.Begin()
	return l.nested(refs, 0)
}

func (l *Lexer) nested(refs bool, depth int) (any, error) {
	if l.room < 0 {
		return nil, errObject
	}
	if depth > maxNesting {
		return nil, errNesting
	}
	t, err := l.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case float64:
		if refs && t >= 0 && t < 1<<31 && t == float64(int(t)) {
			return l.reference(int(t))
		}
	case Keyword:
		switch t {
		case "[":
			array := Array{}
			for {
				v, err := l.nested(refs, depth+1)
				if l.Cut && errors.Is(err, io.EOF) {
					return array, nil
				}
				if err != nil {
					return nil, EndsWithin(err)
				}
				if v == Keyword("]") {
					return array, nil
				}
				if v == Keyword(">>") || v == Keyword("endobj") {
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

func (l *Lexer) dict(refs bool, depth int) (any, error) {
	dict := Dictionary{}
	for {
		t, err := l.Token()
		if l.Cut && errors.Is(err, io.EOF) {
			return dict, nil
		}
		if err != nil {
			return nil, EndsWithin(err)
		}
		key, isName := t.(Name)
		switch {
		case t == Keyword(">>"):
			return dict, nil
		case !isName:
			return nil, errKey
		}
		v, err := l.nested(refs, depth+1)
		if l.Cut && errors.Is(err, io.EOF) {
			return dict, nil
		}
		if err != nil {
			return nil, EndsWithin(err)
		}
		if v == Keyword(">>") { // a key without a value, as some write
			return dict, nil
		}
		if earlier, twice := dict[key]; twice { // the later one counts, and both are searched
			dict[key+"\x00"] = earlier
		}
		dict[key] = v
	}
}

// SkipPicture passes over the pixels of a picture within the operators (8.9.7).
func (l *Lexer) SkipPicture() error {
	for {
		t, err := l.Token()
		if err != nil {
			return err
		}
		if t == Keyword("ID") {
			break
		}
	}
	window := []byte("xxxx")
	for {
		c, err := l.Byte()
		if err != nil {
			return err
		}
		l.Begin()
		copy(window, window[1:])
		window[3] = c
		if IsSpace(window[0]) && string(window[1:3]) == "EI" && IsSpace(window[3]) {
			return nil
		}
	}
}

// reference is the rest of "12 0 R" behind its first number, or that number.
func (l *Lexer) reference(n int) (any, error) {
	second, err := l.Token()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return float64(n), nil
		}
		return nil, err
	}
	if _, isNumber := second.(float64); !isNumber {
		l.Return(second)
		return float64(n), nil
	}
	third, err := l.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if third == Keyword("R") {
		return Reference(n), nil
	}
	if err == nil {
		l.Return(third)
	}
	l.Return(second)
	return float64(n), nil
}
