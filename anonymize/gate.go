package anonymize

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"regexp"
	"strings"
	"sync"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// Lengths in characters below which an original code is looked for in fewer
// places, because it turns up by chance.
const (
	// shortCode: on word boundaries only. Shorter ones turn up inside of words.
	shortCode = 5
	// rawCode: not in the bytes of a database, which are random to the eye: in
	// 100 MB of them one of 200 codes of 5 letters turns up as likely as not, one
	// of 8 with a chance of less than one in a million.
	rawCode = 8
	// hexCode: not within digests, which run to hexRun hexadecimal digits or more.
	hexCode = 16
	hexRun  = 32
)

// studyPrefix and studyDigits are the form of the study's original codes. They
// are looked for even where no lookup is at hand. Fewer digits pass: PLR1 may be
// the name of a label or macro.
const (
	studyPrefix = "PLR"
	studyDigits = 4
)

var studyForm = regexp.MustCompile(fmt.Sprintf("(?i)%s[0-9]{%d}", studyPrefix, studyDigits))

// redacted stands where a code was.
const redacted = "[subject]"

// LeakError says that an output holds original subject codes. It does not say
// which, and Name is already redacted.
type LeakError struct {
	Name   string // the file, or the table and column
	Count  int    // places
	Chance bool   // every place has a code so short or plain that it may be chance
}

// Error names the output and the count.
func (e *LeakError) Error() string {
	places := "places"
	if e.Count == 1 {
		places = "place"
	}
	if e.Chance {
		return fmt.Sprintf("leak gate: %s was not published: in %d %s it holds what is also an original subject code. "+
			"The codes concerned are short or mere numbers, so this may be chance: look at the values there; "+
			"if no step lets codes through, the study needs codes of %d characters or more with letters in its source", e.Name, e.Count, places, rawCode)
	}
	return fmt.Sprintf("leak gate: %s was not published: it holds original subject codes in %d %s; find the step that lets them through", e.Name, e.Count, places)
}

// Gate finds original subject codes in what is about to be published. Letters
// match in either case. It is safe for concurrent use.
type Gate struct {
	automaton *automaton
	patterns  []pattern
	behind    int // bytes before the end of a pattern that say whether it counts, with the pattern
	window    int // bytes that are read at once
	buffers   sync.Pool
}

// Bytes around a place that say whether it counts, and bytes that are read at
// once of what does not lie in memory.
const (
	surround = 2 * (hexRun + studyDigits) // in UTF-16
	window   = 256 << 10
)

// pattern is one spelling of a code in one encoding.
type pattern struct {
	length int // bytes
	unit   int // bytes a character: 1 UTF-8, 2 UTF-16
	low    int // index of the byte that holds ASCII in a unit
	form
}

// form says where a code counts.
type form struct {
	study  bool // when studyDigits digits follow
	short  bool // on word boundaries only
	number bool // digits: not as a part of a number
	hex    bool // hexadecimal digits: not as a part of a digest
	raw    bool // also in bytes that are no text
}

// chance reports whether text that nobody took from a subject may look so.
func (f form) chance() bool { return !f.study && (!f.raw || f.number) }

func formOf(original string) form {
	n := utf8.RuneCountInString(original)
	return form{
		short:  n < shortCode,
		number: strings.Trim(original, "0123456789") == "",
		hex:    n < hexCode && strings.Trim(original, "0123456789abcdefABCDEF") == "",
		raw:    n >= rawCode,
	}
}

// NewGate returns a gate for the original codes of a lookup, see
// [Lookup.Originals], and for the form of the study's codes. With no codes it
// looks for the form alone.
func NewGate(originals []string) *Gate {
	g := &Gate{}
	var texts [][]byte
	add := func(text string, f form) {
		for _, e := range []struct {
			bytes     []byte
			unit, low int
		}{
			{[]byte(text), 1, 0},
			{encodeUTF16(text, 0), 2, 0},
			{encodeUTF16(text, 1), 2, 1},
		} {
			texts = append(texts, e.bytes)
			g.patterns = append(g.patterns, pattern{len(e.bytes), e.unit, e.low, f})
		}
	}
	add(studyPrefix, form{study: true, raw: true})
	for _, original := range originals {
		if original == "" {
			continue
		}
		for _, spelling := range spellings(original) {
			add(spelling, formOf(original))
		}
	}
	g.automaton = newAutomaton(texts)
	g.behind = surround
	for _, text := range texts {
		g.behind = max(g.behind, len(text)+surround)
	}
	g.window = max(window, 4*g.behind)
	return g
}

// spellings are the forms in which our own writers and usual libraries would put
// a code into what is printed, which is redacted as it stands: as it is, and escaped for JSON (with or without letters beyond ASCII),
// for HTML and SVG, and for TeX; each in either case, and in each way in which letters
// beyond ASCII are written.
func spellings(original string) []string {
	var distinct []string
	seen := map[string]bool{}
	for _, text := range variants(original) {
		all := []string{text}
		if quoted, err := json.Marshal(text); err == nil { // fails for no string
			escaped := string(quoted[1 : len(quoted)-1])
			all = append(all, escaped, asciiJSON(escaped), asciiJSON(text))
		}
		all = append(all, html.EscapeString(text), texEscapes.Replace(text))
		for _, s := range all {
			if !seen[s] {
				seen[s] = true
				distinct = append(distinct, s)
			}
		}
	}
	return distinct
}

// variants are the ways in which a code is written in either case: its letters beyond
// ASCII with accents apart (as names of files are on a Mac) or not, without accents (as
// programs transliterate them, and as TeX reads where its accents are left out), in
// encodings of one byte a character, and as UTF-8 looks that was taken for one of these.
func variants(original string) []string {
	all := cases(original)
	if strings.IndexFunc(original, func(r rune) bool { return r > unicode.MaxASCII }) < 0 {
		return all
	}
	for _, text := range cases(norm.NFC.String(original)) {
		all = append(all, text, norm.NFD.String(text), norm.NFKC.String(text))
		if plain := withoutAccents(text); utf8.RuneCountInString(plain) >= shortCode {
			all = append(all, plain)
		}
		for _, page := range []*charmap.Charmap{charmap.Windows1252, charmap.ISO8859_15, charmap.ISO8859_2, charmap.CodePage850, charmap.Macintosh} {
			if bytes, err := page.NewEncoder().String(text); err == nil { // else it has not all of the letters
				all = append(all, bytes)
			}
		}
		for _, page := range []*charmap.Charmap{charmap.Windows1252, charmap.ISO8859_1} {
			if taken, err := page.NewDecoder().String(text); err == nil && !strings.ContainsRune(taken, utf8.RuneError) {
				all = append(all, taken)
			}
		}
	}
	return all
}

// withoutAccents is a text with its letters alone.
func withoutAccents(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(text))
}

// maxCases bounds the mixtures of upper and lower case that are looked for.
const maxCases = 64

// cases are the mixtures of case of the letters beyond ASCII: all of them, or,
// where there are more than maxCases, the usual ones. The automaton itself sees
// to ASCII.
func cases(original string) []string {
	mixtures := []string{""}
	for _, r := range original {
		variants := []rune{r}
		if r > unicode.MaxASCII {
			for v := unicode.SimpleFold(r); v != r; v = unicode.SimpleFold(v) {
				if v > unicode.MaxASCII {
					variants = append(variants, v)
				}
			}
		}
		if len(mixtures)*len(variants) > maxCases {
			first, size := utf8.DecodeRuneInString(original)
			return []string{original, strings.ToUpper(original), strings.ToLower(original),
				string(unicode.ToUpper(first)) + strings.ToLower(original[size:])}
		}
		next := make([]string, 0, len(mixtures)*len(variants))
		for _, m := range mixtures {
			for _, v := range variants {
				next = append(next, m+string(v))
			}
		}
		mixtures = next
	}
	return mixtures
}

// asciiJSON escapes what is beyond ASCII, as many JSON writers do.
func asciiJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r <= unicode.MaxASCII {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

var texEscapes = strings.NewReplacer("_", `\_`, "#", `\#`, "%", `\%`, "&", `\&`, "$", `\$`, "{", `\{`, "}", `\}`)

func encodeUTF16(text string, low int) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		if low == 0 {
			b = append(b, byte(unit), byte(unit>>8))
		} else {
			b = append(b, byte(unit>>8), byte(unit))
		}
	}
	return b
}

// Check looks through an output that is text, whatever its encoding, and
// through its name. The error is a [*LeakError].
func (g *Gate) Check(name string, data []byte) error {
	return g.check(name, tally{}.with(g.find(data, asText)))
}

// CheckReader is [Gate.Check] of what is read, in bounded memory. An error of the
// reader is returned as it is.
func (g *Gate) CheckReader(name string, r io.Reader) error { return g.checkReader(name, r, asText) }

// CheckRawReader looks through bytes that are not text as a whole, such as those
// of a database, and through their name. Codes of fewer than eight characters,
// unless of the study's form, turn up there by chance and are passed over:
// whatever text the bytes stand for goes through the other checks. The error is
// a [*LeakError].
func (g *Gate) CheckRawReader(name string, r io.Reader) error { return g.checkReader(name, r, asRaw) }

// CheckGuessReader looks through text that may never have been meant as such, as what
// words that look like base64 stand for. Codes of fewer than five characters turn up
// there by chance and are passed over. The error is a [*LeakError].
func (g *Gate) CheckGuessReader(name string, r io.Reader) error {
	return g.checkReader(name, r, asGuess)
}

// what says what bytes are, and so which codes count in them.
type what int

const (
	asText what = iota
	asGuess
	asRaw
)

func (g *Gate) checkReader(name string, r io.Reader, w what) error {
	found, err := g.read(r, w)
	if err != nil {
		return err
	}
	return g.check(name, found)
}

// tally is what was found of codes.
type tally struct {
	count int
	sure  bool // some place is no chance
}

func (t tally) with(spans []span) tally {
	for _, s := range spans {
		t.count++
		t.sure = t.sure || !s.chance
	}
	return t
}

func (g *Gate) check(name string, found tally) error {
	if found = found.with(g.find([]byte(name), asText)); found.count == 0 {
		return nil
	}
	return &LeakError{Name: g.Redact(name), Count: found.count, Chance: !found.sure}
}

// CheckText looks through one text, such as a string that a figure draws or a
// cell of a table. The error is a [*LeakError].
func (g *Gate) CheckText(name, text string) error { return g.Check(name, []byte(text)) }

// Redact puts a fixed word in the place of every original code.
func (g *Gate) Redact(text string) string {
	spans := g.find([]byte(text), asText)
	if len(spans) == 0 {
		return text
	}
	var b bytes.Buffer
	from := 0
	for _, s := range spans {
		b.WriteString(text[from:s.start])
		b.WriteString(redacted)
		from = s.end
	}
	b.WriteString(text[from:])
	return b.String()
}

type span struct {
	start, end int
	chance     bool
}

// find returns the places of codes in order.
func (g *Gate) find(data []byte, w what) []span {
	return g.within(nil, data, 0, len(data), w)
}

// within adds the places whose patterns end in data[after:upto], beyond its first
// byte. Overlapping ones, such as one code within another or the two byte orders
// of one text, are one place.
func (g *Gate) within(spans []span, data []byte, after, upto int, w what) []span {
	g.automaton.scan(data[:upto], func(id, end int) {
		if end <= after {
			return
		}
		p := g.patterns[id]
		s := span{end - p.length, end, p.chance()}
		if p.study {
			s.end += studyDigits * p.unit
		}
		if !p.counts(data, s, w) {
			return
		}
		for len(spans) > 0 && s.start < spans[len(spans)-1].end {
			last := spans[len(spans)-1]
			s = span{min(s.start, last.start), max(s.end, last.end), s.chance && last.chance}
			spans = spans[:len(spans)-1]
		}
		spans = append(spans, s)
	})
	return spans
}

// read looks through windows that overlap, so that a place is seen with all that
// says whether it counts, and is counted once.
func (g *Gate) read(r io.Reader, w what) (found tally, err error) {
	buffer, _ := g.buffers.Get().(*[]byte)
	if buffer == nil {
		b := make([]byte, g.window)
		buffer = &b
	}
	defer g.buffers.Put(buffer)
	var spans []span
	data, held, after := *buffer, 0, 0
	for {
		n, err := io.ReadFull(r, data[held:])
		held += n
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return found.with(g.within(spans, data[:held], after, held, w)), nil
		}
		if err != nil {
			return found, err
		}
		upto := held - surround
		spans = g.within(spans, data, after, upto, w)
		// What ends in the next window begins within it.
		drop := upto - g.behind
		for len(spans) > 0 && spans[0].end <= drop {
			found, spans = found.with(spans[:1]), spans[1:]
		}
		for i := range spans {
			spans[i].start -= drop
			spans[i].end -= drop
		}
		copy(data, data[drop:])
		held, after = held-drop, upto-drop
	}
}

// counts reports whether a place is a code and not a part of something else.
func (p pattern) counts(data []byte, s span, w what) bool {
	switch {
	case w == asRaw && !p.raw, w == asGuess && p.short:
		return false
	case p.study:
		return p.digits(data, s.end-studyDigits*p.unit)
	case p.short && (p.word(data, s.start-p.unit) || p.word(data, s.end)):
		return false
	case p.number && p.inNumber(data, s):
		return false
	case p.hex && p.inDigest(data, s):
		return false
	}
	return true
}

// ascii returns the character at a place, 0 where there is none or where it is
// not ASCII. A high byte beyond an end counts as 0: UTF-16 text of the one byte
// order, cut at a byte, looks like text of the other.
func (p pattern) ascii(data []byte, at int) byte {
	low, high := at+p.low, at+1-p.low
	if low < 0 || low >= len(data) {
		return 0
	}
	if p.unit == 2 && high >= 0 && high < len(data) && data[high] != 0 {
		return 0
	}
	return data[low]
}

func (p pattern) digits(data []byte, at int) bool {
	for i := range studyDigits {
		if !digit(p.ascii(data, at+i*p.unit)) {
			return false
		}
	}
	return true
}

// word reports whether the character at a place is part of a word: an ASCII
// letter or digit. All else is a boundary, the underscore that joins a code to
// other words too, so that a doubtful case is a leak.
func (p pattern) word(data []byte, at int) bool {
	c := p.ascii(data, at)
	return digit(c) || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

// inNumber reports whether digits are a part of a longer number: more digits
// touch them, a decimal point with digits beyond it, or an exponent.
func (p pattern) inNumber(data []byte, s span) bool {
	// The characters before and after, the nearest first.
	var before, after [3]byte
	for i := range before {
		before[i] = p.ascii(data, s.start-(i+1)*p.unit)
		after[i] = p.ascii(data, s.end+i*p.unit)
	}
	exponent := func(c byte) bool { return c == 'e' || c == 'E' }
	sign := func(c byte) bool { return c == '+' || c == '-' }
	switch {
	case digit(before[0]), digit(after[0]):
	case before[0] == '.' && digit(before[1]), after[0] == '.' && digit(after[1]) && !p.whole(data, s):
	case sign(before[0]) && exponent(before[1]) && (digit(before[2]) || before[2] == '.'):
	case exponent(after[0]) && sign(after[1]) && digit(after[2]):
	default:
		return false
	}
	return true
}

// whole reports whether a code of four digits or more stands before a point and zeros
// alone, as programs write whole numbers of a column that has gaps. Shorter ones are
// numbers of other things.
func (p pattern) whole(data []byte, s span) bool {
	const least = 4
	at := s.end + p.unit
	for p.ascii(data, at) == '0' {
		at += p.unit
	}
	next := p.ascii(data, at)
	return (s.end-s.start)/p.unit >= least && !digit(next) && next != 'e' && next != 'E'
}

// inDigest reports whether a place lies within so many hexadecimal digits that
// they are a digest or the id of a run.
func (p pattern) inDigest(data []byte, s span) bool {
	hexadecimal := func(at int) bool {
		c := p.ascii(data, at)
		return digit(c) || c >= 'A' && c <= 'F' || c >= 'a' && c <= 'f'
	}
	n := (s.end - s.start) / p.unit
	for at := s.start - p.unit; n < hexRun && hexadecimal(at); at -= p.unit {
		n++
	}
	for at := s.end; n < hexRun && hexadecimal(at); at += p.unit {
		n++
	}
	return n >= hexRun
}
