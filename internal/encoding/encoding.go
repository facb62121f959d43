// Package encoding takes back the notations in which formats write text: escapes of
// JSON, HTML, URLs, CSS, MIME and TeX, base64, UTF-32, and letters that tags part
// from each other. It is for searching: a text is shown in each way in which some
// program would read it, and nobody is asked which one will.
//
// Each reading is made of the text as it is, or of another reading, since HTML stands
// in JSON and URLs in HTML. Memory is bounded by the size of a window.
package encoding

import (
	"bytes"
	"errors"
	"hash/maphash"
	"io"
	"slices"
	"unicode/utf8"
)

// Reading is one way in which a text is read.
type Reading struct {
	// How says what was undone, for whoever looks for it: "with its escapes undone".
	How string
	// Guess says that the text may never have been meant to be read so: any word of
	// eight letters is base64. It holds short words by chance.
	Guess bool
}

const (
	// window is what is read at once, overlap how much of it is read again with the
	// next: what is written in one place may be cut in two by as much.
	window  = 256 << 10
	overlap = 16 << 10
	// maxDepth is how many notations may lie in each other: an address in an attribute
	// in a page in a text of JSON.
	maxDepth = 4
	// All readings of a window together may be so many times as long as it is, and a
	// little more. What is published stays below a half of that.
	maxRatio, moreRoom = 32, 64 << 10
)

// notation is a decoder. It returns nothing where a text is not written in it.
type notation struct {
	Reading
	undo func(text []byte) []byte
	// within are the notations in which the result is read in turn: those that other
	// programs put into this one.
	within []int
}

// Notations. Ways in which a text may be read that exclude each other are two.
const (
	markup = iota
	escapes
	octals
	tex
	wide16
	wide32
	digits
)

var notations = [...]notation{
	markup:  {Reading{How: "without its tags"}, withoutTags, []int{escapes, octals}},
	escapes: {Reading{How: "with its escapes undone"}, func(text []byte) []byte { return unescaped(text, hexadecimal) }, []int{markup, escapes, octals, tex, digits}},
	octals:  {Reading{How: "with octal escapes and quoted-printable undone"}, func(text []byte) []byte { return unescaped(text, octal) }, []int{markup, escapes, digits}},
	tex:     {Reading{How: "as TeX sets it"}, typeset, nil},
	wide16:  {Reading{How: "read as UTF-16"}, fromUTF16, []int{markup, escapes, octals, tex, digits}},
	wide32:  {Reading{How: "read as UTF-32"}, fromUTF32, []int{markup, escapes, octals, tex, digits}},
	digits:  {Reading{How: "with base64 or hexadecimal digits undone", Guess: true}, unpacked, []int{markup, escapes, octals, digits}},
}

// Read shows each reading of a text but the text itself. An error of show ends it and
// is returned as it is, as is one of the reader.
func Read(r io.Reader, show func(Reading, []byte) error) error {
	var text []byte
	held := 0
	for {
		if held == len(text) { // grown as needed: most texts are short
			text = append(text, make([]byte, min(max(4<<10, len(text)), window-len(text)))...)
		}
		n, err := io.ReadFull(r, text[held:])
		held += n
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		if !ended && held < window {
			continue
		}
		if err := whole(text[:held], show); err != nil || ended {
			return err
		}
		held = copy(text, text[held-overlap:held])
	}
}

// Each is [Read] of a text in memory.
func Each(text []byte, show func(Reading, []byte) error) error {
	for len(text) > window {
		if err := whole(text[:window], show); err != nil {
			return err
		}
		text = text[window-overlap:]
	}
	return whole(text, show)
}

func whole(text []byte, show func(Reading, []byte) error) error {
	if !slices.ContainsFunc(text, func(c byte) bool { return !plain[c] }) && len(text) < shortest {
		return nil
	}
	readings := &readings{seed: maphash.MakeSeed(), left: maxRatio*len(text) + moreRoom, show: show}
	return readings.of(text, []int{markup, escapes, octals, tex, wide16, wide32, digits}, false, 0)
}

// plain are the bytes that belong to no notation but base64 and its like.
var plain = func() (p [256]bool) {
	for c := range p {
		p[c] = c >= ' ' && c < 0x7f && c != '<' && c != '&' && c != '\\' && c != '%' && c != '=' && c != '{' && c != '}' && c != '^' || c == '\n' || c == '\t' || c == '\r'
	}
	return p
}()

type readings struct {
	seed maphash.Seed
	seen map[uint64]bool // digests of readings: two ways often end in one
	left int             // bytes
	show func(Reading, []byte) error
}

func (r *readings) of(text []byte, in []int, guess bool, depth int) error {
	for _, i := range in {
		n := &notations[i]
		read := n.undo(text)
		if len(read) == 0 {
			continue
		}
		digest := maphash.Bytes(r.seed, read)
		if r.seen[digest] {
			continue
		}
		if r.seen == nil {
			r.seen = map[uint64]bool{}
		}
		r.seen[digest] = true
		if r.left -= len(read); r.left < 0 {
			return ErrNested
		}
		how := Reading{n.How, n.Guess || guess}
		if err := r.show(how, read); err != nil {
			return err
		}
		if depth+1 < maxDepth {
			if err := r.of(read, n.within, how.Guess, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// ErrNested says that a text is written in too many notations within each other.
var ErrNested = errors.New("it is written in too many notations that lie in each other")

// Latin1 is text of ISO 8859-1 in UTF-8; nothing if the bytes are all ASCII.
func Latin1(text []byte) []byte {
	if !slices.ContainsFunc(text, func(c byte) bool { return c >= 0x80 }) {
		return nil
	}
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return []byte(string(runes))
}

// fromUTF16 and fromUTF32 read text of two or four bytes a character in either order,
// wherever it begins; nothing where there is none. Each stretch of it is a line.
func fromUTF16(text []byte) []byte {
	if bytes.IndexByte(text, 0) < 0 { // every letter of ASCII has one
		return nil
	}
	return wide(text, 2)
}

func fromUTF32(text []byte) []byte {
	if !bytes.Contains(text, []byte{0, 0}) {
		return nil
	}
	return wide(text, 4)
}

// lastLetter is beyond the alphabets of Europe. In the other order, letters of ASCII
// are characters of Chinese.
const lastLetter = 0x58f

func wide(text []byte, width int) []byte {
	var out []byte
	for start := range width {
		for _, bigEndian := range []bool{false, true} {
			from, count := len(out), 0
			for i := start; i+width <= len(text); i += width {
				var r uint32
				for j, b := range text[i : i+width] {
					if bigEndian {
						r = r<<8 | uint32(b)
					} else {
						r |= uint32(b) << (8 * j)
					}
				}
				if r >= ' ' && r <= lastLetter || r == '\n' || r == '\t' || r == '\r' {
					out = utf8.AppendRune(out, rune(r))
					count++
					continue
				}
				if count < leastWide {
					out = out[:from]
				} else {
					out = append(out, '\n')
				}
				from, count = len(out), 0
			}
			if count < leastWide {
				out = out[:from]
			} else {
				out = append(out, '\n')
			}
		}
	}
	return out
}

// leastWide is how many characters are a text: two turn up within bytes of other
// contents all the time.
const leastWide = 3
