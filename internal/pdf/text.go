package pdf

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/internal/encoding"
	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// drawn shows the texts that a stream of operators draws (ISO 32000-2, 9.4),
// joined as a reader would join them: whatever the operators between two strings
// are, they are one word where they touch.
func (p *document) drawn(name string, r io.Reader) error {
	d := &drawer{p: p, fonts: map[syntax.Name]readable{}, state: drawState{ctm: unitMatrix}, line: unitMatrix, out: lines{show: p.s.Text, name: name + ", text that is drawn"}}
	d.font("")
	l := syntax.NewLexer(r)
	l.Cut = true
	var args []any
	for {
		v, err := l.Value(false)
		switch {
		case errors.Is(err, io.EOF):
			if err := errors.Join(d.noted(syntax.Array(args)), d.end(), d.ordered()); err != nil {
				return err
			}
			return d.out.flush()
		case err != nil && syntax.Fault(err) && !d.texts:
			// No text has been drawn and this is no operator: the stream is something
			// else, and its bytes are seen beside.
			if err := l.Rest(); err != nil {
				return p.s.Broken(name, err)
			}
			return d.out.flush()
		case err != nil:
			return p.s.Broken(name, err)
		}
		word, isWord := v.(syntax.Keyword)
		if !isWord {
			if args = append(args, v); len(args) > maxOperands {
				args = args[1:]
			}
			continue
		}
		if word == "BI" {
			if err := l.SkipPicture(); err != nil && !errors.Is(err, io.EOF) {
				return p.s.Broken(name, err)
			}
		}
		if err := d.operator(word, args); err != nil {
			return err
		}
		args = args[:0]
	}
}

// maxOperands is how many values before an operator are kept: none takes more.
const maxOperands = 64

// drawer follows text operators.
type drawer struct {
	p    *document
	out  lines
	unit []piece // strings that were shown and not yet said
	held int     // bytes of them

	runs     []run // the same by their places, of the page so far
	runBytes int

	fonts map[syntax.Name]readable // that were used
	texts bool                     // a text began or was shown
	state drawState
	saved []drawState

	line    matrix  // where the line begins
	pen     matrix  // where the last string began, on the page
	placed  bool    // pen is known
	moved   bool    // since it was shown
	width   float64 // of what was shown from pen on, in sizes of the font, about
	unsure  float64 // by how much the width may be wrong
	shownAt float64 // the size of the font at pen
	single  bool    // the last string was one glyph
}

// piece is a string with what parts it from the one before.
type piece struct {
	before   string
	text     []byte
	readings []reading
}

// readable is a font by its name.
type readable struct {
	readings  []reading
	composite bool
}

// drawState is what q saves and Q restores.
type drawState struct {
	ctm          matrix // from where things are drawn to the page
	font         readable
	size         float64 // of the font
	letter, word float64 // what is added behind a glyph, and behind a space
}

// maxSaved bounds how deep states are saved: files must not go beyond 28 (annex C).
const maxSaved = 1 << 10

// matrix is a transformation (8.3.3).
type matrix [6]float64

var unitMatrix = matrix{1, 0, 0, 1, 0, 0}

// times is the transformation m and then n.
func (m matrix) times(n matrix) matrix {
	return matrix{
		m[0]*n[0] + m[1]*n[2], m[0]*n[1] + m[1]*n[3],
		m[2]*n[0] + m[3]*n[2], m[2]*n[1] + m[3]*n[3],
		m[4]*n[0] + m[5]*n[2] + n[4], m[4]*n[1] + m[5]*n[3] + n[5],
	}
}

// Distances in sizes of the font between two strings, up to which they belong to
// one word: a space is a quarter, letters that are set apart stand further. A
// doubtful case is one word.
const (
	gapOfWord    = 0.2
	gapOfLetters = 1.0
	// What is left of a space that is made narrow, where none is to be seen.
	gapOfNothing = 0.12
	// How far beside a line a text may stand: an index is still on it.
	level = 0.3
	// How wrong a width may be, which is a guess: by so much a glyph.
	unsureWidth = 0.06
)

func (d *drawer) operator(word syntax.Keyword, args []any) error {
	number := func(fromEnd int) float64 {
		if i := len(args) - fromEnd; i >= 0 {
			n, _ := args[i].(float64)
			return n
		}
		return 0
	}
	// Strings that are not drawn are read, too: what a picture stands for, notes.
	if word != "Tj" && word != "TJ" && word != "'" && word != `"` {
		for _, v := range args {
			if err := d.noted(v); err != nil {
				return err
			}
		}
	}
	switch word {
	case "BT":
		d.texts = true
		d.line, d.moved = unitMatrix, true
	case "q":
		if len(d.saved) < maxSaved {
			d.saved = append(d.saved, d.state)
		}
	case "Q":
		if n := len(d.saved); n > 0 {
			d.state, d.saved = d.saved[n-1], d.saved[:n-1]
		}
	case "cm":
		d.state.ctm = six(number).times(d.state.ctm)
		d.moved = true
	case "Tf":
		if len(args) >= 2 {
			name, _ := args[len(args)-2].(syntax.Name)
			d.font(name)
			d.state.size = number(1)
		}
	case "Tc":
		d.state.letter = number(1)
	case "Tw":
		d.state.word = number(1)
	case "Td", "TD":
		d.move(number(2), number(1))
	case "T*":
		d.move(0, -2*math.Abs(d.state.size))
	case "Tm":
		d.line, d.moved = six(number), true
	case "'", `"`:
		d.move(0, -2*math.Abs(d.state.size))
		fallthrough
	case "Tj":
		if s, ok := last(args).(syntax.String); ok {
			return d.shown(s, 0)
		}
	case "TJ":
		list, _ := last(args).(syntax.Array)
		gap := 0.0
		for _, v := range list {
			switch v := v.(type) {
			case float64:
				gap -= v / 1000
			case syntax.String:
				if err := d.shown(v, gap); err != nil {
					return err
				}
				gap = 0
			}
		}
		d.width += gap
	}
	return nil
}

func six(number func(fromEnd int) float64) (m matrix) {
	for i := range m {
		m[i] = number(6 - i)
	}
	return m
}

func last(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[len(args)-1]
}

func (d *drawer) noted(v any) error {
	switch v := v.(type) {
	case syntax.String:
		return d.out.add(v, encoding.Latin1(v))
	case syntax.Array:
		for _, each := range v {
			if err := d.noted(each); err != nil {
				return err
			}
		}
	case syntax.Dictionary:
		for _, key := range sortedKeys(v) {
			if err := d.noted(v[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *drawer) font(name syntax.Name) {
	f, known := d.fonts[name]
	if !known {
		f.readings, f.composite = d.p.readings(name)
		d.fonts[name] = f
	}
	d.state.font = f
}

func (d *drawer) move(x, y float64) {
	m := d.line
	d.line[4] += x*m[0] + y*m[2]
	d.line[5] += x*m[1] + y*m[3]
	d.moved = true
}

// shown takes a string that stands a gap, in sizes of the font, behind what was
// shown before, if nothing moved in between.
func (d *drawer) shown(s syntax.String, gap float64) error {
	if len(s) == 0 {
		d.width += gap
		return nil
	}
	d.texts = true
	glyphs := len(s)
	if d.state.font.composite {
		glyphs = (len(s) + 1) / 2
	}
	before := "\n"
	switch {
	case !d.placed:
	case !d.moved:
		before = d.between(gap, glyphs == 1)
	default:
		if along, same := d.along(); same {
			before = d.between(along-d.width-min(d.unsure, gapOfLetters)+gap, glyphs == 1)
		}
	}
	if d.moved || !d.placed {
		d.pen, d.width, d.unsure, d.shownAt = d.line.times(d.state.ctm), 0, 0, d.state.size
		if err := d.begin(); err != nil {
			return err
		}
	}
	d.placed, d.moved, d.single = true, false, glyphs == 1
	letter, word := 0.0, 0.0
	if size := math.Abs(d.state.size); size > 0 {
		letter, word = d.state.letter/size, d.state.word/size
	}
	d.width += gap
	d.unsure += unsureWidth * float64(glyphs)
	for _, c := range s[:min(glyphs, len(s))] {
		if d.width += about(c, d.state.font.composite) + letter; c == ' ' && !d.state.font.composite {
			d.width += word
		}
	}
	if !d.state.font.composite && about(' ', false)+letter+word < gapOfNothing {
		s = bytes.ReplaceAll(s, []byte{' '}, nil)
	}
	if before == "\n" && d.held > linesAtOnce/2 {
		if err := d.end(); err != nil {
			return err
		}
	}
	d.unit = append(d.unit, piece{before, s, d.state.font.readings})
	d.follow(d.unit[len(d.unit)-1])
	if d.held += len(s); d.held > linesAtOnce {
		// One long word: said in parts that overlap.
		keep, n := len(d.unit), 0
		for keep > 1 && n < linesAtOnce/16 {
			keep--
			n += len(d.unit[keep].text)
		}
		rest := append([]piece(nil), d.unit[keep:]...)
		if err := d.end(); err != nil {
			return err
		}
		if n < linesAtOnce {
			d.unit, d.held = rest, n
		}
	}
	return nil
}

// between is what parts two strings on one line.
func (d *drawer) between(gap float64, single bool) string {
	if math.IsNaN(gap) || gap <= gapOfWord || d.single && single && gap <= gapOfLetters {
		return ""
	}
	return " "
}

// along is how far the line begins behind the pen, in sizes of the font, if it is
// on the same line.
func (d *drawer) along() (float64, bool) {
	m, now, size := d.pen, d.line.times(d.state.ctm), math.Abs(d.shownAt)
	det := m[0]*m[3] - m[1]*m[2]
	if det == 0 || size == 0 {
		return 0, false
	}
	dx, dy := now[4]-m[4], now[5]-m[5]
	x := (dx*m[3] - dy*m[2]) / det / size
	y := (dy*m[0] - dx*m[1]) / det / size
	return x, math.Abs(y) < level && x > -gapOfWord
}

// about is the width of a glyph in sizes of the font, as it is in usual ones.
func about(c byte, composite bool) float64 {
	switch {
	case composite, c >= '0' && c <= '9':
		return 0.6
	case c >= 'A' && c <= 'Z':
		return 0.7
	case c == ' ':
		return 0.25
	}
	return 0.55
}

// end says what was shown.
func (d *drawer) end() error {
	err := d.say(d.unit)
	d.unit, d.held = d.unit[:0], 0
	return err
}

// say says texts in each way in which they may be read.
func (d *drawer) say(pieces []piece) error {
	ways := 1
	for _, each := range pieces {
		ways = max(ways, len(each.readings))
	}
	var said [][]byte
	for way := range ways {
		var text []byte
		for _, each := range pieces {
			text = append(text, each.before...)
			text = append(text, each.readings[min(way, len(each.readings)-1)](each.text)...)
		}
		if !slices.ContainsFunc(said, func(other []byte) bool { return bytes.Equal(other, text) }) {
			said = append(said, text)
			if err := d.out.add(text, encoding.Latin1(text)); err != nil {
				return err
			}
		}
	}
	return nil
}
