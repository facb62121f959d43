package encoding

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// withoutTags is what a page or drawing of HTML, XML or SVG reads as: letters that
// tags part from each other are one word, unless the element begins a line of its own.
// It returns nothing where there are no tags.
func withoutTags(text []byte) []byte {
	var out []byte
	var place drawing
	done, tags := 0, 0
	for {
		at := bytes.IndexByte(text[done:], '<')
		if at < 0 || done+at+1 >= len(text) {
			break
		}
		at += done
		end := tagEnd(text[at:])
		if end == 0 {
			out = append(out, text[done:at+1]...)
			done = at + 1
			continue
		}
		if out == nil {
			out = make([]byte, 0, len(text))
		}
		// The end of a section of CDATA is no text either.
		out = append(out, bytes.TrimSuffix(text[done:at], []byte("]]>"))...)
		out = append(out, place.between(text[at:at+end], out)...)
		done = at + end
		tags++
	}
	if tags == 0 {
		return nil
	}
	return append(out, text[done:]...)
}

// tagEnd is the length of the tag, comment or instruction that a text begins with; 0
// if it begins with none. Of a section of CDATA only the marks count.
func tagEnd(text []byte) int {
	upTo := func(mark string) int {
		if end := bytes.Index(text, []byte(mark)); end >= 0 {
			return end + len(mark)
		}
		return 0
	}
	switch c := text[1]; {
	case bytes.HasPrefix(text, []byte("<!--")):
		return upTo("-->")
	case bytes.HasPrefix(text, []byte("<![CDATA[")):
		return len("<![CDATA[")
	case c == '?':
		return upTo("?>")
	case c != '/' && c != '!' && !(c|0x20 >= 'a' && c|0x20 <= 'z'):
		return 0
	}
	var quote byte
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case (c == '"' || c == '\'') && text[i-1] == '=':
			quote = c
		case c == '>':
			return i + 1
		case c == '<':
			return 0
		}
	}
	return 0
}

// inline are the elements that part no words (phrasing content of HTML, MathML, SVG;
// the runs of texts of a spreadsheet).
var inline = func() map[string]bool {
	set := map[string]bool{}
	for _, name := range strings.Fields(`a abbr acronym altglyph b bdi bdo big cite code data del dfn em font i ins kbd label mark nobr
		q r rb rpr ruby s samp small span strike strong sub sup t time tt u var wbr tspan textpath tref mi mn mo ms mtext mrow mstyle`) {
		set[name] = true
	}
	return set
}()

// drawing follows where the texts of an SVG stand.
type drawing struct {
	x, y, size float64 // of the text that was placed last; its size is 0 where unknown
	placed     bool
	from       int // where it begins in what was read
}

// Widths in sizes of the font, as usual fonts have them, and what may part two letters
// of a word that are placed one by one.
const (
	usualSize    = 16 // pixels, of a font where nothing says it (CSS: medium)
	level        = 0.5
	gapOfWord    = 0.1
	gapOfLetters = 0.6
)

// between is what stands in the place of a tag behind what was read: nothing, or
// the end of a line. A text that is placed begins a line, unless it is placed where
// the one before ends.
func (d *drawing) between(tag, before []byte) string {
	if tag[1] == '!' || tag[1] == '?' {
		return ""
	}
	closes := tag[1] == '/'
	prefix, element := elementOf(tag)
	switch {
	case element == "text" || element == "tspan":
	case office[prefix] && element == "nobreakhyphen":
		if closes {
			return ""
		}
		return "-"
	case inline[element], office[prefix] && !parts[element]:
		return ""
	default:
		return "\n"
	}
	if closes {
		return ""
	}
	x, hasX := attribute(tag, "x")
	y, hasY := attribute(tag, "y")
	dy, moves := attribute(tag, "dy")
	size, sized := attribute(tag, "font-size")
	_, turned := attribute(tag, "transform")
	if element == "tspan" && !hasX && !hasY && !moves {
		return "" // it goes on where the last one ends
	}
	last := *d
	if !hasY {
		y = last.y
	}
	if !sized {
		size = last.size
	}
	*d = drawing{x, y + dy, size, hasX && !turned, len(before)}
	if size == 0 {
		size = usualSize
	}
	switch {
	case math.Abs(d.y-last.y) > level*size:
		return "\n"
	case element == "tspan" && !hasX:
		return ""
	case !last.placed || !d.placed:
		return "\n"
	}
	letters := bytes.TrimSpace(before[min(last.from, len(before)):])
	width := gapOfWord
	if len(letters) == 1 {
		width = gapOfLetters
	}
	for _, c := range letters {
		switch {
		case c == 'M' || c == 'W':
			width += 0.95
		case c >= 'A' && c <= 'Z':
			width += 0.7
		default:
			width += 0.56
		}
	}
	if gap := d.x - last.x; gap >= 0 && gap <= width*size {
		return ""
	}
	return " "
}

// office are the prefixes of texts in documents of Word and PowerPoint, where a change
// of style, a bookmark or a mark of the spelling may stand within a word; parts are the
// elements there that do begin another.
var (
	office = map[string]bool{"w": true, "a": true}
	parts  = map[string]bool{"p": true, "tab": true, "br": true, "cr": true, "tr": true, "tc": true, "tbl": true, "body": true}
)

// elementOf is the name of an element in lower case, and the prefix of its namespace.
func elementOf(tag []byte) (prefix, name string) {
	text := bytes.TrimLeft(tag[1:], "/")
	if end := bytes.IndexAny(text, " \t\r\n\f/>"); end >= 0 {
		text = text[:end]
	}
	if before, local, found := bytes.Cut(text, []byte{':'}); found {
		return strings.ToLower(string(before)), strings.ToLower(string(local))
	}
	return "", strings.ToLower(string(text))
}

// attribute is the first number of an attribute, or of a property of its style; 0
// where it begins with none.
func attribute(tag []byte, name string) (value float64, known bool) {
	for from := 0; ; {
		at := bytes.Index(tag[from:], []byte(name))
		if at < 0 {
			return 0, false
		}
		at += from
		from = at + len(name)
		if before := tag[at-1]; before > ' ' && before != '"' && before != '\'' && before != ';' {
			continue // the end of another name; a tag begins with its own
		}
		text := bytes.TrimLeft(tag[from:], " \t\r\n")
		if len(text) == 0 || text[0] != '=' && text[0] != ':' {
			continue
		}
		text = bytes.TrimLeft(text[1:], "\"' \t\r\n")
		end := 0
		for end < len(text) && bytes.IndexByte([]byte("0123456789.+-"), text[end]) >= 0 {
			end++
		}
		value, _ = strconv.ParseFloat(string(text[:end]), 64) // 0 where it is none
		return value, true
	}
}
