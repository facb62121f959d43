package encoding

import (
	"bytes"
	"html"
	"strconv"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// base says what digits behind a backslash mean, which is the one thing in which the
// escapes of formats contradict each other.
type base int

const (
	hexadecimal base = 16 // CSS: \50
	octal       base = 8  // C, JavaScript, PostScript: \120; with it, MIME's =50
)

// unescaped puts characters in the place of what stands for them: \u0050, \x50 and
// the like, character references of HTML and XML, %50, and characters that do not
// show or only look like others, such as a soft hyphen. It returns nothing where
// there are none.
func unescaped(text []byte, digits base) []byte {
	if digits == octal && !hasOctal(text) {
		return nil // it would be read as the other does
	}
	var out []byte
	done := 0
	beyond := false // ASCII
	const unknown, kept, passed = 0, 1, 2
	controls := unknown
	take := func(i int) {
		if out == nil {
			out = make([]byte, 0, len(text))
		}
		out = append(out, text[done:i]...)
	}
	for i := 0; i < len(text); {
		for i < len(text) && !begins[text[i]] {
			i++
		}
		if i == len(text) {
			break
		}
		char, n := rune(-1), 0
		switch c := text[i]; {
		case c == '\\':
			char, n = backslash(text[i:], digits)
		case c == '&':
			reference, n := reference(text[i:])
			if n > 0 {
				take(i)
				out = append(out, reference...)
				i += n
				done = i
				continue
			}
		case c == '%':
			char, n = percent(text[i:])
		case c == '=' && digits == octal:
			char, n = quotedPrintable(text[i:])
		case c < ' ' || c == 0x7f:
			if controls == unknown {
				controls = passed
				if !isText(text) {
					controls = kept
				}
			}
			if controls == kept {
				break
			}
			char, n = -1, sequence(text[i:])
		case c >= 0x80:
			beyond = true
			if char, n = lookalike(text[i:]); n == 0 {
				_, size := utf8.DecodeRune(text[i:])
				i += size
				continue
			}
		}
		if n == 0 {
			i++
			continue
		}
		take(i)
		switch {
		case char < 0: // nothing
		case char < 0x100 && text[i] != '\\' && text[i] < 0x80: // a byte of whatever encoding
			out = append(out, byte(char))
		default:
			out = utf8.AppendRune(out, char)
		}
		i += n
		done = i
	}
	if done > 0 {
		out = append(out, text[done:]...)
	}
	if !beyond {
		return out
	}
	return composed(text, out)
}

// composed has letters and their accents in one character (Unicode, NFC). Out is what
// was made of the text so far, nothing if that is the same.
func composed(text, out []byte) []byte {
	read := out
	if read == nil {
		read = text
	}
	if !isText(text) || norm.NFC.IsNormal(read) {
		return out
	}
	return norm.NFC.Bytes(read)
}

// isText says whether so few bytes are control characters that a reader would pass over
// them. Those of random bytes, one in nine, say nothing.
func isText(text []byte) bool {
	const few, share = 64, 16
	count := 0
	for i, c := range text {
		if c < ' ' && c != '\n' && c != '\t' && c != '\r' && sequence(text[i:]) == 1 || c == 0x7f {
			if count++; count > few+len(text)/share {
				return false
			}
		}
	}
	return true
}

const escape = 0x1b

// sequence is the length of a control sequence of a terminal, such as one that changes
// the colour (ECMA-48, 5.4); 1 where there is none.
func sequence(text []byte) int {
	if len(text) < 2 || text[0] != escape || text[1] != '[' {
		return 1
	}
	n := 2
	for n < len(text) && text[n] >= 0x20 && text[n] < 0x40 {
		n++
	}
	if n == len(text) || text[n] < 0x40 || text[n] > 0x7e {
		return 1
	}
	return n + 1
}

// begins are the bytes that an escape may begin with.
var begins = func() (b [256]bool) {
	for c := range b {
		b[c] = c >= 0x80 || c < ' ' && c != '\n' && c != '\t' && c != '\r' || c == 0x7f
	}
	b['\\'], b['&'], b['%'], b['='] = true, true, true, true
	return b
}()

// hasOctal reports whether some escape is one in octal digits, or of MIME.
func hasOctal(text []byte) bool {
	for at := 0; ; at++ {
		next := bytes.IndexByte(text[at:], '\\')
		if next < 0 {
			break
		}
		at += next
		if at+1 < len(text) && text[at+1] >= '0' && text[at+1] <= '7' {
			return true
		}
	}
	for at := 0; ; at++ {
		next := bytes.IndexByte(text[at:], '=')
		if next < 0 {
			return false
		}
		at += next
		if _, n := quotedPrintable(text[at:]); n > 0 {
			return true
		}
	}
}

// backslash reads an escape: the character, or -1 for one that stands for nothing, and
// how many bytes it takes.
func backslash(text []byte, digits base) (char rune, n int) {
	if len(text) < 2 {
		return 0, 0
	}
	switch c := text[1]; c {
	case 'u':
		if unit, n := hexRune(text[2:], 4, 4); n > 0 {
			if utf16.IsSurrogate(unit) && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
				if low, m := hexRune(text[8:], 4, 4); m > 0 {
					if both := utf16.DecodeRune(unit, low); both != utf8.RuneError {
						return both, 12
					}
				}
			}
			return unit, 6
		}
		return braced(text)
	case 'U':
		if r, n := hexRune(text[2:], 8, 8); n > 0 {
			return r, 10
		}
		return braced(text)
	case 'x':
		if r, n := hexRune(text[2:], 2, 2); n > 0 {
			return r, 4
		}
		return braced(text)
	case '\n':
		return -1, 2
	case '\r':
		if len(text) > 2 && text[2] == '\n' {
			return -1, 3
		}
		return -1, 2
	case 'n', 'r', 'v':
		return '\n', 2
	case 't':
		return '\t', 2
	default:
		if digits == octal {
			n := 0
			for n < 3 && n+1 < len(text) && text[n+1] >= '0' && text[n+1] <= '7' {
				char = char*8 + rune(text[n+1]-'0')
				n++
			}
			if n > 0 {
				return char, n + 1
			}
		} else if r, m := hexRune(text[1:], 1, 6); m > 0 && (m > 1 || c >= '0' && c <= '9') {
			n := 1 + m
			// One space belongs to the escape (CSS Syntax 3, 4.3.7).
			switch {
			case bytes.HasPrefix(text[n:], []byte("\r\n")):
				n += 2
			case n < len(text) && (text[n] == ' ' || text[n] == '\n' || text[n] == '\t' || text[n] == '\r' || text[n] == '\f'):
				n++
			}
			return r, n
		}
		if c == 'b' || c == 'f' { // of JSON; no letter
			return -1, 2
		}
		if c < 0x80 {
			return rune(c), 2
		}
	}
	return 0, 0
}

// braced reads \u{50}.
func braced(text []byte) (char rune, n int) {
	if len(text) < 5 || text[2] != '{' {
		return 0, 0
	}
	char, n = hexRune(text[3:], 1, 8)
	if n == 0 || 3+n >= len(text) || text[3+n] != '}' {
		return 0, 0
	}
	return char, n + 4
}

// hexRune reads at least and at most so many hexadecimal digits.
func hexRune(text []byte, least, most int) (r rune, n int) {
	for n < most && n < len(text) {
		d := HexDigit(text[n])
		if d < 0 {
			break
		}
		r = r<<4 | rune(d)
		n++
	}
	if n < least || r < 0 || r > utf8.MaxRune {
		return 0, 0
	}
	return r, n
}

// HexDigit is the value of a hexadecimal digit, -1 if it is none.
func HexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// percent reads %50, and %u0050 as JavaScript once wrote it.
func percent(text []byte) (char rune, n int) {
	if len(text) > 1 && (text[1] == 'u' || text[1] == 'U') {
		if r, n := hexRune(text[2:], 4, 4); n > 0 && r < 0x100 {
			return r, 6
		}
		return 0, 0
	}
	if r, n := hexRune(text[1:], 2, 2); n > 0 {
		return r, 3
	}
	return 0, 0
}

// quotedPrintable reads =50, and the end of a line that goes on (RFC 2045, 6.7).
func quotedPrintable(text []byte) (char rune, n int) {
	switch {
	case bytes.HasPrefix(text, []byte("=\n")):
		return -1, 2
	case bytes.HasPrefix(text, []byte("=\r\n")):
		return -1, 3
	}
	if r, n := hexRune(text[1:], 2, 2); n > 0 {
		return r, 3
	}
	return 0, 0
}

// usualReferences are those that nearly all are.
var usualReferences = []struct {
	name string
	char []byte
}{{"&amp;", []byte{'&'}}, {"&lt;", []byte{'<'}}, {"&gt;", []byte{'>'}}, {"&quot;", []byte{'"'}}}

// maxReference is longer than the longest name of a character in HTML.
const maxReference = 40

// reference reads a character reference of HTML or XML (HTML, 13.5).
func reference(text []byte) (chars []byte, n int) {
	if len(text) > 2 && text[1] == '#' {
		from, digits := 2, 10
		if text[2] == 'x' || text[2] == 'X' {
			from, digits = 3, 16
		}
		end := from
		for end < len(text) && end < maxReference && (text[end] >= '0' && text[end] <= '9' || digits == 16 && HexDigit(text[end]) >= 0) {
			end++
		}
		code, err := strconv.ParseInt(string(text[from:end]), digits, 32)
		if err != nil {
			return nil, 0
		}
		if end < len(text) && text[end] == ';' {
			end++
		}
		if r := seen(rune(code)); r >= 0 {
			chars = utf8.AppendRune(nil, r)
		}
		return chars, end
	}
	end := 1
	for end < len(text) && end < maxReference && (text[end] >= '0' && text[end] <= '9' || text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z') {
		end++
	}
	if end == 1 {
		return nil, 0
	}
	if end < len(text) && text[end] == ';' {
		end++
	}
	for _, usual := range usualReferences {
		if string(text[:end]) == usual.name {
			return usual.char, end
		}
	}
	name := string(text[:end])
	read := html.UnescapeString(name)
	if read == name {
		return nil, 0
	}
	for _, r := range read {
		if r = seen(r); r >= 0 {
			chars = utf8.AppendRune(chars, r)
		}
	}
	return chars, end
}

// lookalike reads a character beyond ASCII that does not show, or that looks like one
// of ASCII. The character stands for itself where n is 0.
func lookalike(text []byte) (char rune, n int) {
	r, size := utf8.DecodeRune(text)
	if r == utf8.RuneError {
		return 0, 0
	}
	if s := seen(r); s != r {
		return s, size
	}
	return 0, 0
}

// seen is what a reader sees of a character: -1 where that is nothing.
func seen(r rune) rune {
	switch {
	case r < ' ' && r != '\n' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0:
		return -1 // control characters
	case r == 0xad, r >= 0x34f && (unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == 0x20e3):
		return -1 // soft hyphen, joiners, marks of direction and of form, fillers, the frame of a key
	case r >= 0x2010 && r <= 0x2015, r == 0x2043, r == 0x2212, r == 0xfe58, r == 0xfe63:
		return '-' // hyphens that do not break, dashes, the bullet of lists, minus, small ones
	case r == 0xa0, r >= 0x2000 && r <= 0x200a, r == 0x202f, r == 0x205f, r == 0x3000:
		return ' '
	case r >= 0xff01 && r <= 0xff5e:
		return r - 0xff01 + '!' // of full width
	case r >= 0xaa: // bold, raised, in a circle
		var b [utf8.UTFMax]byte
		like := norm.NFKC.Properties(b[:utf8.EncodeRune(b[:], r)]).Decomposition()
		if len(like) == 1 && (like[0] >= '0' && like[0] <= '9' || like[0]|0x20 >= 'a' && like[0]|0x20 <= 'z') {
			return rune(like[0])
		}
	}
	return r
}
