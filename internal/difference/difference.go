// Package difference names the first place where two versions of a file differ,
// as precisely as the kind of the file allows: a path in JSON, a pixel of a
// picture, also of one inside a page, a line and column of a text, else a byte. With a [Tolerance] numbers
// and colours may differ a little.
//
// It does not know what the files are for, nor which of two versions is right.
package difference

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path"
	"strings"
	"unicode/utf8"
)

// Found is a difference. Where can be told to those who may not see the file:
// it holds no value, though names of members of a JSON document.
type Found struct {
	Where string // such as "$.rows[3].mean", "pixel (10, 4)", "line 7, column 1", "byte 42"
	Was   string // what stands there in the first version
	Now   string // and in the second
}

func (f *Found) String() string {
	if f.Was == "" && f.Now == "" {
		return f.Where
	}
	return fmt.Sprintf("%s: %s, now %s", f.Where, f.Was, f.Now)
}

// Tolerance is how far apart what counts as equal may be. The zero value
// compares bytes.
type Tolerance struct {
	Relative float64 // of the larger of two numbers
	Absolute float64 // of two numbers, whatever their size
	Channel  uint8   // of 255, of each of red, green, blue and opacity of a pixel
}

// Platforms is what results of one program may differ by between processors.
//
// Numbers: fused multiplications move the last bits of sums, and fits carry that
// on. With and without them numbers of the bundled example differ by 3e-15 at
// most (a calibration slope); 1e-9 leaves room for fits that are worse
// conditioned and lies far below the three decimals that tables show. Absolute
// is for differences of nearly equal numbers, whose relative error has no bound.
//
// Pixels: coordinates are rounded to 1/64 of a pixel, and a number that moves by
// a bit can fall to the other side. That changes what an edge covers by 1/64,
// which is 4 of 255; a stroke has two edges.
var Platforms = Tolerance{Relative: 1e-9, Absolute: 1e-12, Channel: 8}

func (t Tolerance) exact() bool { return t == Tolerance{} }

// Near says whether two numbers count as equal; without a tolerance their bits
// must be.
func (t Tolerance) Near(a, b float64) bool {
	if t.exact() {
		return math.Float64bits(a) == math.Float64bits(b)
	}
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	d := math.Abs(a - b)
	return !math.IsInf(d, 0) && d <= math.Max(t.Absolute, t.Relative*math.Max(math.Abs(a), math.Abs(b)))
}

// Files compares two files, whose kind the ending of name tells, and returns the
// first difference, or nil if there is none that exceeds the tolerance. A file
// that is not of the kind that its name says is compared as text, or as bytes.
func Files(name, was, now string, t Tolerance) (*Found, error) {
	a, err := os.ReadFile(was)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(now)
	if err != nil {
		return nil, err
	}
	return Bytes(name, a, b, t), nil
}

// Bytes is Files of contents.
func Bytes(name string, was, now []byte, t Tolerance) *Found {
	if bytes.Equal(was, now) {
		return nil
	}
	ext := strings.ToLower(path.Ext(name))
	if ext == ".json" {
		if f, whole := compareJSON(was, now, t); f != nil || whole && !t.exact() {
			return f
		}
	}
	if ext == ".png" {
		f, whole := comparePNG(was, now, t)
		switch {
		case f != nil || whole && !t.exact():
			return f
		case whole:
			f = compareBytes(was, now)
			f.Where += " (all pixels are equal)"
			return f
		}
	}
	if ext == ".html" && isText(was) && isText(now) {
		return comparePage(was, now, t)
	}
	if isText(was) && isText(now) {
		return compareText(was, now, t)
	}
	return compareBytes(was, now)
}

func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// compareBytes returns the first difference of contents that are not equal.
func compareBytes(was, now []byte) *Found {
	at := common(was, now)
	text := func(b []byte) string {
		if at == len(b) {
			return "the end of the file"
		}
		return fmt.Sprintf("0x%02x", b[at])
	}
	return &Found{fmt.Sprintf("byte %d", at), text(was), text(now)}
}

// common is the length of what two contents begin with.
func common(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// maxShown is how many characters of a value are shown: enough to recognise it
// on one line of a terminal.
const maxShown = 40

func shown(s string) string {
	if r := []rune(s); len(r) > maxShown {
		return string(r[:maxShown]) + "…"
	}
	return s
}
