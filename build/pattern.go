package build

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// pattern is a compiled glob over slash-separated paths. It is walked element
// by element with a set of positions, so that a directory tree need only be
// read where a match is still possible.
type pattern struct {
	text  string
	parts []part // nil where all are literal, as in those of thousands of steps: see part
	size  int    // how many parts there are
	base  string // the literal elements in front, "" if none
}

type part struct {
	text    string
	literal bool
	names   []string // of "{one,two}"
	any     bool     // "*"
	deep    bool     // "**"
}

// positions is the set of parts that may match next; the bit len(parts) says
// that all are matched.
type positions uint64

// special are the characters that make a pattern of a text.
const special = `*?[{\`

// maxAlternatives is up to how many names of a directory it is cheaper to ask for
// each of them than to read it.
const maxAlternatives = 16

// alternatives are the names of an element that is nothing but a choice of them;
// none where it is anything else.
func alternatives(text string) []string {
	if !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return nil
	}
	inner := text[1 : len(text)-1]
	if strings.ContainsAny(inner, special+"}") {
		return nil
	}
	names := strings.Split(inner, ",")
	for _, name := range names {
		if name == "" || name == "." || name == ".." {
			return nil
		}
	}
	return names
}

// maxParts keeps positions in one word.
const maxParts = 62

func compilePattern(s string) (*pattern, error) {
	if !doublestar.ValidatePattern(s) {
		return nil, fmt.Errorf("the pattern %q is not a valid glob", s)
	}
	if err := checkPath(strings.ReplaceAll(s, `\`, "")); err != nil {
		return nil, errors.New(strings.Replace(err.Error(), "the path", "the pattern", 1))
	}
	p := &pattern{text: s, size: strings.Count(s, "/") + 1}
	if p.size > maxParts {
		return nil, fmt.Errorf("the pattern %q has more than %d elements", s, maxParts)
	}
	if !strings.ContainsAny(s, special) {
		p.base = s[:max(0, strings.LastIndexByte(s, '/'))]
		return p, nil
	}
	p.parts = make([]part, 0, p.size)
	depth, at, literal := 0, 0, true
	for text := range strings.SplitSeq(s, "/") {
		depth += strings.Count(text, "{") - strings.Count(text, "}")
		if depth != 0 {
			return nil, fmt.Errorf("the pattern %q has a slash inside braces: write two patterns", s)
		}
		part := part{
			text:    text,
			literal: !strings.ContainsAny(text, special),
			names:   alternatives(text),
			any:     text == "*",
			deep:    text == "**",
		}
		if literal = literal && part.literal; literal {
			p.base = s[:at+len(text)]
		}
		at += len(text) + 1
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// part returns an element of the pattern.
func (p *pattern) part(i int) part {
	if p.parts != nil {
		return p.parts[i]
	}
	rest := p.text
	for range i {
		_, rest, _ = strings.Cut(rest, "/") // there is one: i is below p.size
	}
	text, _, _ := strings.Cut(rest, "/") // without one, it is the last element
	return part{text: text, literal: true}
}

func (p *pattern) close(at positions) positions {
	for i, part := range p.parts {
		if part.deep && at&(1<<i) != 0 {
			at |= 1 << (i + 1)
		}
	}
	return at
}

func (p *pattern) start() positions { return p.close(1) }

// step returns where the pattern stands after one more path element.
func (p *pattern) step(at positions, name string) positions {
	var next positions
	for rest := uint64(at) &^ (1 << p.size); rest != 0; rest &= rest - 1 {
		i := bits.TrailingZeros64(rest)
		if p.parts == nil {
			if p.part(i).text == name {
				next |= 1 << (i + 1)
			}
		} else if part := &p.parts[i]; part.deep {
			next |= 1 << i
		} else if part.matches(name) {
			next |= 1 << (i + 1)
		}
	}
	return p.close(next)
}

func (p part) matches(name string) bool {
	switch {
	case p.literal:
		return p.text == name
	case len(p.names) > 0:
		return slices.Contains(p.names, name)
	case p.any:
		return true
	}
	ok, err := doublestar.Match(p.text, name)
	return err == nil && ok // err: excluded by compilePattern
}

func (p *pattern) done(at positions) bool { return at&(1<<p.size) != 0 }

// deeper says whether anything below can still match.
func (p *pattern) deeper(at positions) bool { return at&^(1<<p.size) != 0 }

// literals appends the only names that can come next, or returns false if the
// directory has to be read.
func (p *pattern) literals(names []string, at positions) ([]string, bool) {
	for i := range p.size {
		if at&(1<<i) == 0 {
			continue
		}
		switch part := p.part(i); {
		case part.literal:
			names = append(names, part.text)
		case len(part.names) > 0 && len(part.names) <= maxAlternatives:
			names = append(names, part.names...)
		default:
			return nil, false
		}
	}
	return names, true
}

// walk returns where the pattern stands after a whole path; "." is no element.
func (p *pattern) walk(rel string) positions {
	at := p.start()
	if rel == "." {
		return at
	}
	for at != 0 {
		name, rest, more := strings.Cut(rel, "/")
		at = p.step(at, name)
		if !more {
			break
		}
		rel = rest
	}
	return at
}

func (p *pattern) match(rel string) bool { return p.done(p.walk(rel)) }

// dirMatch matches sorted paths: those of one directory share the way there.
type dirMatch struct {
	dir string // with a slash; of the last path
	at  positions
}

func (d *dirMatch) match(p *pattern, rel string) bool {
	cut := strings.LastIndexByte(rel, '/') + 1
	if dir := rel[:cut]; d.at == 0 && d.dir == "" || dir != d.dir {
		d.dir, d.at = dir, p.start()
		if cut > 0 {
			d.at = p.walk(dir[:cut-1])
		}
	}
	return d.at != 0 && p.done(p.step(d.at, rel[cut:]))
}

// matchName matches step names, which hold no slashes.
func matchName(pattern, name string) bool {
	ok, err := doublestar.Match(pattern, name)
	return err == nil && ok
}

func checkNamePattern(s string) error {
	if s == "" || !doublestar.ValidatePattern(s) {
		return fmt.Errorf("the pattern %q is not a valid glob", s)
	}
	return nil
}

// literalPrefix is what every name that matches begins with.
func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[{\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// mayGrow says whether names that begin with prefix can match the pattern. It
// may say yes where the answer is no.
func mayGrow(prefix, pattern string) bool {
	lit := literalPrefix(pattern)
	if lit == pattern {
		return strings.HasPrefix(pattern, prefix)
	}
	return strings.HasPrefix(lit, prefix) || strings.HasPrefix(prefix, lit)
}
