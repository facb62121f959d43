package encoding

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// typeset is what TeX sets of a text, as far as can be said without running it: letters
// that braces, commands, comments and soft hyphens part are one word, and characters
// stand in the place of their numbers. It returns nothing where there is nothing of TeX.
// What macros of the text's own stand for is not known.
func typeset(text []byte) []byte {
	if !bytes.ContainsAny(text, `\{}^%$`) {
		return nil
	}
	out := make([]byte, 0, len(text))
	found := false
	for i := 0; i < len(text); {
		c := text[i]
		if !setsOther[c] {
			out = append(out, c)
			i++
			continue
		}
		switch c {
		case '\\':
			n, chars := command(text[i:])
			out = append(out, chars...)
			i += n
			found = true
			continue
		case '{', '}':
			// What braces part is one word; those of JSON stand beside quotes.
			if i > 0 && letter(text[i-1]) || i+1 < len(text) && letter(text[i+1]) {
				found = true
			}
			i++
			continue
		case '^':
			if r, n := carets(text[i:]); n > 0 {
				out = utf8.AppendRune(out, r)
				i += n
				found = true
				continue
			}
		case '%':
			// The end of the line and what the next is indented by are not read.
			end := bytes.IndexByte(text[i:], '\n')
			if end < 0 {
				i = len(text)
				continue
			}
			i += end + 1
			for i < len(text) && (text[i] == ' ' || text[i] == '\t') {
				i++
			}
			found = true
			continue
		case '~':
			out = append(out, ' ')
			i++
			continue
		case '-': // two are the dash of ranges, three that of sentences
			out = append(out, '-')
			for n := 0; n < 3 && i < len(text) && text[i] == '-'; n++ {
				i++
			}
			continue
		case '$': // $1234$ stands beside the text around it
			found = found || i+1 < len(text) && letter(text[i+1])
			i++
			continue
		}
		out = append(out, c)
		i++
	}
	if !found {
		return nil
	}
	return out
}

// setsOther are the characters that TeX does not set as they are.
var setsOther = [256]bool{'\\': true, '{': true, '}': true, '^': true, '%': true, '~': true, '$': true, '-': true}

func letter(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80
}

// dropped are commands whose arguments in braces are not set as text, and how many.
var dropped = map[string]int{
	"hspace": 1, "vspace": 1, "color": 1, "textcolor": 1, "colorbox": 1, "label": 1, "href": 1, "fontsize": 2,
	"discretionary": 2, "raisebox": 1, "scalebox": 1, "resizebox": 2, "rotatebox": 1, "phantom": 1, "hphantom": 1, "vphantom": 1, "index": 1,
}

// command reads a command of TeX: how much of the text it takes, and what it sets.
func command(text []byte) (n int, chars []byte) {
	if len(text) < 2 {
		return 1, nil
	}
	if c := text[1]; !(c|0x20 >= 'a' && c|0x20 <= 'z') {
		switch c {
		case '-', '/', '!', ',', ';', ':', '>', '(', ')', '[', ']', '@':
			return 2, nil // soft hyphen, thin spaces, mathematics
		case '\\':
			return 2, []byte{'\n'}
		case '"', '\'', '`', '^', '~', '=', '.': // an accent
			return 2, nil
		}
		_, size := utf8.DecodeRune(text[1:])
		return 1 + size, text[1 : 1+size]
	}
	end := 2
	for end < len(text) && text[end]|0x20 >= 'a' && text[end]|0x20 <= 'z' {
		end++
	}
	name := string(text[1:end])
	if end < len(text) && text[end] == '*' {
		end++
	}
	switch name {
	case "char", "symbol", "Uchar", "unichar":
		if r, n := charNumber(text[end:]); n > 0 {
			return end + n, utf8.AppendRune(nil, r)
		}
	case "n", "r", "t": // no command of TeX that is used, but ends of lines in other formats
		return 2, []byte{'\n'}
	case "textunderscore":
		chars = []byte{'_'}
	case "textendash", "texthyphen", "textminus":
		chars = []byte{'-'}
	case "kern", "hskip", "mkern", "mskip", "penalty", "vskip":
		for end < len(text) && bytes.IndexByte([]byte("0123456789.,+-= "), text[end]) >= 0 {
			end++
		}
		for _, unit := range []string{"pt", "em", "ex", "mm", "cm", "in", "sp", "mu", "bp", "pc", "dd", "cc"} {
			if bytes.HasPrefix(text[end:], []byte(unit)) {
				end += len(unit)
				break
			}
		}
	}
	if bytes.HasPrefix(text[end:], []byte("[")) { // an option
		if close := bytes.IndexByte(text[end:min(end+maxOption, len(text))], ']'); close >= 0 {
			end += close + 1
		}
	}
	for range dropped[name] {
		end = afterGroup(text, end)
	}
	// Spaces behind the name belong to it.
	for end < len(text) && (text[end] == ' ' || text[end] == '\t') {
		end++
	}
	return end, chars
}

// maxOption is how long an argument may be that is passed over; what is longer is text.
const maxOption = 256

// afterGroup is the place behind an argument in braces.
func afterGroup(text []byte, at int) int {
	if at >= len(text) || text[at] != '{' {
		return at
	}
	depth := 0
	for i := at; i < min(at+maxOption, len(text)); i++ {
		switch text[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return at
}

// charNumber reads the number of a character as TeX does: 80, "50, '120, `P or `\P,
// in braces or not.
func charNumber(text []byte) (r rune, n int) {
	braces := false
	for n < len(text) && (text[n] == ' ' || text[n] == '{') {
		braces = braces || text[n] == '{'
		n++
	}
	if n == len(text) {
		return 0, 0
	}
	base := 10
	switch text[n] {
	case '"':
		base = 16
		n++
	case '\'':
		base = 8
		n++
	case '`':
		n++
		if n < len(text) && text[n] == '\\' {
			n++
		}
		if n == len(text) {
			return 0, 0
		}
		r, size := utf8.DecodeRune(text[n:])
		return r, closed(text, n+size, braces)
	}
	end := n
	for end < len(text) && end < n+8 {
		if d := HexDigit(text[end]); d < 0 || d >= base || base == 16 && text[end] >= 'a' {
			break
		}
		end++
	}
	value, err := strconv.ParseInt(string(text[n:end]), base, 32)
	if err != nil || value > utf8.MaxRune {
		return 0, 0
	}
	return rune(value), closed(text, end, braces)
}

// closed is the place behind what ends a number: a brace, or one space.
func closed(text []byte, n int, braces bool) int {
	if n < len(text) && (text[n] == ' ' || braces && text[n] == '}') {
		n++
	}
	return n
}

// carets reads ^^50, ^^^^0050, and ^^c for the character 64 away (TeXbook, chapter 8).
func carets(text []byte) (r rune, n int) {
	count := 0
	for count < len(text) && count < 6 && text[count] == '^' {
		count++
	}
	if count < 2 {
		return 0, 0
	}
	for _, digits := range []int{6, 4, 2} {
		if count < digits || digits == 2 && count > 3 {
			continue
		}
		if r, n := hexRune(text[digits:], digits, digits); n > 0 && string(bytes.ToLower(text[digits:digits+n])) == string(text[digits:digits+n]) {
			return r, 2 * digits
		}
	}
	if len(text) > 2 && text[2] < 0x80 && text[2] != '^' {
		return rune(text[2] ^ 0x40), 3
	}
	return 0, 0
}
