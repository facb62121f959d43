package pdf

import (
	"cmp"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// Limits of what is held of a page to be read in the order of places: so many texts,
// and bytes of them. A page of a book has a few thousand; what has more is read in parts.
const (
	maxRuns     = 1 << 15
	maxRunBytes = 1 << 20
)

// run is what is drawn from one place on.
type run struct {
	pieces        []piece
	along, across float64 // where it begins, in the direction of the text and beside it
	turned        int     // direction of the text in degrees
	size          float64 // of the font on the page
	width, unsure float64 // in sizes of the font
	single        bool    // it is one glyph
}

// begin starts a run where the pen is.
func (d *drawer) begin() error {
	if len(d.runs) >= maxRuns || d.runBytes > maxRunBytes {
		if err := d.ordered(); err != nil {
			return err
		}
	}
	m := d.pen
	scale := math.Hypot(m[0], m[1])
	r := run{size: math.Abs(d.state.size) * scale}
	if scale > 0 {
		x, y := m[0]/scale, m[1]/scale
		r.along, r.across = m[4]*x+m[5]*y, m[5]*x-m[4]*y
		r.turned = int(math.Round(math.Atan2(y, x) * 180 / math.Pi))
	}
	d.runs = append(d.runs, r)
	return nil
}

// follow notes in the last run what was shown of it.
func (d *drawer) follow(p piece) {
	r := &d.runs[len(d.runs)-1]
	if len(r.pieces) == 0 {
		p.before = ""
	}
	r.pieces = append(r.pieces, p)
	d.runBytes += len(p.text)
	r.width, r.unsure, r.single = d.width, d.unsure, len(r.pieces) == 1 && d.single
}

// ordered says what stands on each line of the page from its beginning to its end, in
// whatever order it was drawn.
func (d *drawer) ordered() error {
	runs := slices.DeleteFunc(d.runs, func(r run) bool {
		return !(r.size > 0) || math.IsInf(r.size+r.along+r.across, 0) || math.IsNaN(r.along+r.across) || len(r.pieces) == 0
	})
	slices.SortStableFunc(runs, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.turned, b.turned), cmp.Compare(b.across, a.across))
	})
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].turned == runs[0].turned && runs[0].across-runs[n].across < level*runs[0].size {
			n++
		}
		line := runs[:n]
		runs = runs[n:]
		slices.SortStableFunc(line, func(a, b run) int { return cmp.Compare(a.along, b.along) })
		var pieces []piece
		for i, r := range line {
			before := ""
			if i > 0 {
				last := line[i-1]
				gap := (r.along-last.along)/last.size - last.width - min(last.unsure, gapOfLetters)
				before = " "
				if gap <= gapOfWord || last.single && r.single && gap <= gapOfLetters {
					before = ""
				}
			}
			for j, p := range r.pieces {
				if j == 0 {
					p.before = before
				}
				pieces = append(pieces, p)
			}
		}
		if err := d.say(pieces); err != nil {
			return err
		}
	}
	d.runs, d.runBytes = d.runs[:0], 0
	return nil
}

// pageOf notes that several streams are the contents of one page: text goes on from one
// to the next (7.8.2).
func (p *document) pageOf(list syntax.Array) error {
	var numbers []int
	for _, v := range list {
		if ref, ok := v.(syntax.Reference); ok {
			numbers = append(numbers, int(ref))
		}
	}
	if len(numbers) < 2 {
		return nil
	}
	if p.entries += len(numbers); p.entries > maxRefs {
		return errTooMany
	}
	p.pages = append(p.pages, numbers)
	return nil
}

// showPages draws each page of several streams as one.
func (p *document) showPages() error {
	for number := range p.refs["Contents"] {
		if list, ok := p.arrays[number]; ok {
			if err := p.pageOf(list); err != nil {
				return p.s.Broken(p.name, err)
			}
		}
	}
	if len(p.pages) == 0 {
		return nil
	}
	streams := map[int]stream{} // the last of a number counts
	for _, s := range p.streams {
		streams[s.number] = s
	}
	slices.SortFunc(p.pages, func(a, b []int) int { return slices.Compare(a, b) })
	for _, numbers := range p.pages {
		c := &contents{p: p}
		for _, number := range numbers {
			if s, ok := streams[number]; ok && s.class == drawing {
				c.left = append(c.left, s)
			}
		}
		if err := p.s.Entry(p.name); err != nil {
			return err
		}
		if err := p.drawn(p.name+", a page", c); err != nil {
			return err
		}
	}
	return nil
}

// contents are streams one behind the other, opened when they are read.
type contents struct {
	p    *document
	now  io.Reader
	left []stream
}

func (c *contents) Read(b []byte) (int, error) {
	for {
		if c.now == nil {
			if len(c.left) == 0 {
				return 0, io.EOF
			}
			r, err := c.p.decoded(c.left[0])
			if err != nil {
				return 0, err
			}
			c.now, c.left = r, c.left[1:]
		}
		n, err := c.now.Read(b)
		if errors.Is(err, io.EOF) {
			c.now = nil
			if n == 0 { // tokens do not go on beyond a stream
				b[0] = '\n'
				return 1, nil
			}
			err = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}
