package difference

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
)

// errNotJSON ends the comparison of what is not JSON.
var errNotJSON = errors.New("not JSON")

// compareJSON reads two documents side by side. The second result is false if
// one of them is not JSON as far as it was read; then nothing was found.
func compareJSON(was, now []byte, t Tolerance) (found *Found, whole bool) {
	w := pair{a: decoder(was), b: decoder(now), t: t}
	found, err := w.value("$")
	if err != nil {
		return nil, false
	}
	if found == nil && !(w.ended(w.a) && w.ended(w.b)) {
		return nil, false
	}
	return found, true
}

func decoder(data []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	return d
}

// pair is two documents that were equal so far.
type pair struct {
	a, b *json.Decoder
	t    Tolerance
}

func (w *pair) ended(d *json.Decoder) bool {
	_, err := d.Token()
	return errors.Is(err, io.EOF)
}

func (w *pair) value(at string) (*Found, error) {
	a, errA := w.a.Token()
	b, errB := w.b.Token()
	if errA != nil || errB != nil {
		return nil, errNotJSON
	}
	da, isA := a.(json.Delim)
	db, isB := b.(json.Delim)
	switch {
	case !isA && !isB:
		if w.equal(a, b) {
			return nil, nil
		}
	case isA && isB && da == db && da == '{':
		return w.object(at)
	case isA && isB && da == db && da == '[':
		return w.array(at)
	}
	return &Found{at, describe(a), describe(b)}, nil
}

// digest is how BLAKE3 and SHA-256 are written.
var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// equal compares two scalars. A digest of numbers that may differ a little says
// nothing about by how much, so with a tolerance it is passed over.
func (w *pair) equal(a, b json.Token) bool {
	if a == b {
		return true
	}
	if w.t.exact() {
		return false
	}
	na, isA := a.(json.Number)
	nb, isB := b.(json.Number)
	if isA && isB {
		x, errX := na.Float64()
		y, errY := nb.Float64()
		return errX == nil && errY == nil && w.t.Near(x, y)
	}
	sa, isA := a.(string)
	sb, isB := b.(string)
	return isA && isB && digest.MatchString(sa) && digest.MatchString(sb)
}

func (w *pair) object(at string) (*Found, error) {
	for w.a.More() && w.b.More() {
		a, errA := w.a.Token()
		b, errB := w.b.Token()
		if errA != nil || errB != nil {
			return nil, errNotJSON
		}
		key, _ := a.(string)
		if a != b {
			return &Found{at, "member " + describe(a), "member " + describe(b)}, nil
		}
		if f, err := w.value(at + member(key)); f != nil || err != nil {
			return f, err
		}
	}
	return w.end(at, "member")
}

func (w *pair) array(at string) (*Found, error) {
	for i := 0; w.a.More() && w.b.More(); i++ {
		if f, err := w.value(fmt.Sprintf("%s[%d]", at, i)); f != nil || err != nil {
			return f, err
		}
	}
	return w.end(at, "element")
}

// end takes the end of an object or array, which one of the two may not have
// reached.
func (w *pair) end(at, what string) (*Found, error) {
	moreA, moreB := w.a.More(), w.b.More()
	if moreA || moreB {
		text := func(more bool) string {
			if more {
				return "a further " + what
			}
			return "none"
		}
		return &Found{at, text(moreA), text(moreB)}, nil
	}
	_, errA := w.a.Token()
	_, errB := w.b.Token()
	if errA != nil || errB != nil {
		return nil, errNotJSON
	}
	return nil, nil
}

var plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// member is the step of a JSON path to a member.
func member(key string) string {
	if plainName.MatchString(key) {
		return "." + key
	}
	return "[" + strconv.Quote(key) + "]"
}

func describe(t json.Token) string {
	switch v := t.(type) {
	case nil:
		return "null"
	case json.Delim:
		if v == '{' {
			return "an object"
		}
		return "an array"
	case string:
		return strconv.Quote(shown(v))
	}
	return fmt.Sprint(t)
}
