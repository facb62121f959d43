package pdf

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// font is how a font's strings are read.
type font struct {
	composite bool
	unicode   any // of ToUnicode: a reference, or something else
	encoding  any // a reference, nameObject or nothing
	differ    map[byte]string
}

func (p *document) font(dict syntax.Dictionary) *font {
	f := &font{composite: dict["Subtype"] == syntax.Name("Type0"), unicode: dict["ToUnicode"], encoding: dict["Encoding"]}
	if own, ok := dict["Encoding"].(syntax.Dictionary); ok {
		if list, ok := own["Differences"].(syntax.Array); ok {
			f.differ = differences(list)
		}
	}
	return f
}

// differences are the characters that an encoding gives to bytes by the names of
// glyphs (9.6.5.1). Names that say nothing are left out.
func differences(list syntax.Array) map[byte]string {
	chars := map[byte]string{}
	code := 0
	for _, v := range list {
		switch v := v.(type) {
		case float64:
			code = int(v)
		case syntax.Name:
			if char := glyphChar(string(v)); char != "" && code >= 0 && code < 256 {
				chars[byte(code)] = char
			}
			code++
		}
	}
	return chars
}

// asciiGlyphs are the names of the characters from space to tilde that are not
// letters (Adobe Glyph List); letters are their own names.
var asciiGlyphs = strings.Fields(`space exclam quotedbl numbersign dollar percent ampersand quotesingle parenleft
	parenright asterisk plus comma hyphen period slash zero one two three four five six seven eight nine colon semicolon
	less equal greater question at bracketleft backslash bracketright asciicircum underscore grave braceleft bar braceright asciitilde`)

// asciiNotLetters are the characters in the order of asciiGlyphs.
const asciiNotLetters = " !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~"

func glyphChar(name string) string {
	if base, _, varied := strings.Cut(name, "."); varied && base != "" { // one.oldstyle
		name = base
	}
	if parts := strings.Split(name, "_"); len(parts) > 1 { // f_i
		text := ""
		for _, part := range parts {
			text += glyphChar(part)
		}
		return text
	}
	if len(name) == 1 {
		return name
	}
	switch name {
	case "ff", "fi", "fl", "ffi", "ffl":
		return name
	}
	if i := slices.Index(asciiGlyphs, name); i >= 0 {
		return asciiNotLetters[i : i+1]
	}
	for _, prefix := range []string{"uni", "u"} {
		if digits, ok := strings.CutPrefix(name, prefix); ok && len(digits) >= 4 && len(digits) <= 6 {
			if n, err := strconv.ParseUint(digits, 16, 32); err == nil {
				return string(rune(n))
			}
		}
	}
	return ""
}

// cmap gives characters to codes of one to four bytes (9.10.3).
type cmap struct {
	lengths [5]bool
	chars   map[uint64]string
	ranges  []cmapRange
}

// cmapRange is too long to be written out.
type cmapRange struct {
	length   int
	low, top uint32
	to       []uint16
}

// expanded is how long a range may be to be written out; long ones are few.
const (
	expanded  = 256
	maxRanges = 1 << 12
)

// identity takes codes for UTF-16, as some fonts and encodings say.
func identity() *cmap {
	c := &cmap{ranges: []cmapRange{{2, 0, 0xffff, []uint16{0}}}}
	c.lengths[2] = true
	return c
}

func cmapKey(code []byte) (key uint64, n uint32) {
	for _, c := range code {
		n = n<<8 | uint32(c)
	}
	return uint64(len(code))<<32 | uint64(n), n
}

func (c *cmap) lookup(code []byte) (string, bool) {
	key, n := cmapKey(code)
	if text, ok := c.chars[key]; ok {
		return text, true
	}
	for _, r := range c.ranges {
		if r.length == len(code) && n >= r.low && n <= r.top {
			return moved(r.to, n-r.low), true
		}
	}
	return "", false
}

// moved is the text that stands n places behind another.
func moved(to []uint16, n uint32) string {
	units := slices.Clone(to)
	if len(units) > 0 {
		units[len(units)-1] += uint16(n)
	}
	return string(utf16.Decode(units))
}

// text reads a string. A code without a character is a gap.
func (c *cmap) text(s []byte) []byte {
	var out []byte
	for i := 0; i < len(s); {
		next := 0
		for length := 1; length <= 4 && i+length <= len(s); length++ {
			if c.lengths[length] {
				if text, ok := c.lookup(s[i : i+length]); ok {
					out, next = append(out, text...), length
					break
				}
			}
		}
		if next == 0 {
			out = append(out, "\ufffd"...)
			for next = 1; next < 4 && !c.lengths[next]; next++ {
			}
		}
		i += next
	}
	return out
}

func units(text []byte) []uint16 {
	var all []uint16
	if len(text) == 1 {
		return []uint16{uint16(text[0])}
	}
	for i := 0; i+1 < len(text); i += 2 {
		all = append(all, uint16(text[i])<<8|uint16(text[i+1]))
	}
	return all
}

// readCMap reads the mappings of a ToUnicode stream; room bounds their number.
func readCMap(r io.Reader, room *int) (*cmap, error) {
	c := &cmap{chars: map[uint64]string{}}
	l := syntax.NewLexer(r)
	add := func(code []byte, text string) error {
		if *room--; *room < 0 {
			return errTooMany
		}
		if len(code) == 0 || len(code) > 4 {
			return errors.New("a code of a font has not one to four bytes")
		}
		key, _ := cmapKey(code)
		c.lengths[len(code)], c.chars[key] = true, text
		return nil
	}
	var args []any
	for {
		v, err := l.Value(false)
		if errors.Is(err, io.EOF) {
			return c, nil
		}
		if err != nil {
			return nil, err
		}
		word, isWord := v.(syntax.Keyword)
		switch {
		case !isWord:
			if args = append(args, v); len(args) > expanded*expanded {
				return nil, errors.New("a list of characters of a font is too long")
			}
			continue
		case word == "endbfchar":
			for i := 0; i+1 < len(args); i += 2 {
				code, _ := args[i].(syntax.String)
				to, _ := args[i+1].(syntax.String)
				if err := add(code, moved(units(to), 0)); err != nil {
					return nil, err
				}
			}
		case word == "endbfrange":
			for i := 0; i+2 < len(args); i += 3 {
				if err := c.addRange(args[i:i+3], add); err != nil {
					return nil, err
				}
			}
		}
		args = args[:0]
	}
}

func (c *cmap) addRange(args []any, add func([]byte, string) error) error {
	low, _ := args[0].(syntax.String)
	top, _ := args[1].(syntax.String)
	_, from := cmapKey(low)
	_, to := cmapKey(top)
	if len(low) == 0 || len(low) > 4 || len(top) != len(low) || to < from {
		return errors.New("a range of characters of a font is damaged")
	}
	code := func(n uint32) []byte {
		all := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		return all[4-len(low):]
	}
	switch texts := args[2].(type) {
	case syntax.Array:
		for i, text := range texts {
			s, _ := text.(syntax.String)
			if err := add(code(from+uint32(i)), moved(units(s), 0)); err != nil {
				return err
			}
		}
	case syntax.String:
		if to-from < expanded {
			for n := from; ; n++ {
				if err := add(code(n), moved(units(texts), n-from)); err != nil || n == to {
					return err
				}
			}
		}
		if len(c.ranges) == maxRanges {
			return errors.New("a font has too many ranges of characters")
		}
		c.lengths[len(low)] = true
		c.ranges = append(c.ranges, cmapRange{len(low), from, to, units(texts)})
	}
	return nil
}

// readFonts reads how the strings of fonts are to be read. A font whose strings
// are numbers of glyphs and nothing else cannot be searched.
func (p *document) readFonts() error {
	streams := map[int]stream{} // the last of a number counts
	for _, s := range p.streams {
		streams[s.number] = s
	}
	numbers := make([]int, 0, len(p.fonts))
	for number := range p.fonts {
		numbers = append(numbers, number)
	}
	slices.Sort(numbers)
	room := maxRefs - p.entries
	for _, number := range numbers {
		f := p.fonts[number]
		name := fmt.Sprintf("%s, font %d", p.name, max(number, 0))
		encoding, _ := f.encoding.(syntax.Name)
		switch ref := f.unicode.(type) {
		case syntax.Reference:
			s, ok := streams[int(ref)]
			if !ok {
				return p.s.Refused(name, "its table of characters is missing")
			}
			if p.cmaps[int(ref)] != nil {
				continue
			}
			r, err := p.decoded(s)
			if err != nil {
				return p.s.Broken(name, err)
			}
			if p.cmaps[int(ref)], err = readCMap(r, &room); err != nil {
				return p.s.Broken(name, err)
			}
		case syntax.Name: // Identity-H
			f.unicode = identity()
		default:
			switch {
			case !f.composite:
			case strings.Contains(string(encoding), "UCS2"), strings.Contains(string(encoding), "UTF16"):
				f.unicode = identity()
			default:
				return p.s.Refused(name, "its texts are written as numbers of glyphs, without a table that says which characters they are; embed fonts with such a table (ToUnicode)")
			}
		}
	}
	return nil
}

// reading is one way in which strings of a font may be read.
type reading func([]byte) []byte

func asIs(s []byte) []byte { return s }

// readings are the ways in which strings under a font's name may be read: pages
// can give one name to several fonts.
func (p *document) readings(name syntax.Name) (all []reading, composite bool) {
	var numbers []int
	for number := range p.refs[name] {
		if p.fonts[number] != nil {
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	for _, number := range numbers {
		f := p.fonts[number]
		switch to := f.unicode.(type) {
		case syntax.Reference:
			all = append(all, p.cmaps[int(to)].text)
		case *cmap:
			all = append(all, to.text)
		}
		composite = composite || f.composite
		if f.composite {
			continue
		}
		differ := f.differ
		if ref, ok := f.encoding.(syntax.Reference); ok {
			differ = p.differ[int(ref)]
		}
		if len(differ) > 0 {
			all = append(all, func(s []byte) []byte {
				var out []byte
				for _, c := range s {
					if char, ok := differ[c]; ok {
						out = append(out, char...)
					} else {
						out = append(out, c)
					}
				}
				return out
			})
		}
		all = append(all, asIs)
	}
	if len(all) == 0 {
		all = []reading{asIs}
	}
	return all, composite
}
