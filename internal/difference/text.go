package difference

import (
	"bytes"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// compareText returns the first difference of two texts: of their characters, or
// with a tolerance of their numerals and of what stands between these.
func compareText(was, now []byte, t Tolerance) *Found {
	at, there := common(was, now), -1
	if t.exact() {
		there = at
	} else if at, there = firstApart(was, now, t); at < 0 {
		return nil
	}
	// The beginning of the character.
	for at > 0 && there > 0 && at < len(was) && !utf8.RuneStart(was[at]) {
		at, there = at-1, there-1
	}
	line := bytes.Count(was[:at], []byte{'\n'}) + 1
	column := utf8.RuneCount(was[bytes.LastIndexByte(was[:at], '\n')+1:at]) + 1
	return &Found{fmt.Sprintf("line %d, column %d", line, column), rest(was, at), rest(now, there)}
}

// rest is what stands on a line from a place on.
func rest(b []byte, at int) string {
	if at >= len(b) {
		return "the end of the file"
	}
	line, _, ended := bytes.Cut(b[at:], []byte{'\n'})
	if len(line) == 0 && ended {
		return "the end of the line"
	}
	return strconv.Quote(shown(string(line)))
}

// numeral is a number without its sign, as programs and LaTeX tables write it.
var numeral = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`)

// firstApart returns where two texts differ by more than the tolerance, in the
// one and in the other, -1 if nowhere. Texts are compared piece by piece:
// numerals, and what stands between them.
func firstApart(was, now []byte, t Tolerance) (at, there int) {
	a, b := numeral.FindAllIndex(was, -1), numeral.FindAllIndex(now, -1)
	var fromA, fromB int
	for i := 0; ; i++ {
		endA, endB := len(was), len(now)
		if i < len(a) {
			endA = a[i][0]
		}
		if i < len(b) {
			endB = b[i][0]
		}
		between, other := was[fromA:endA], now[fromB:endB]
		if !bytes.Equal(between, other) {
			n := common(between, other)
			return fromA + n, fromB + n
		}
		if i >= len(a) || i >= len(b) {
			if i < len(a) || i < len(b) {
				return endA, endB
			}
			return -1, -1
		}
		if !t.nearNumerals(string(was[a[i][0]:a[i][1]]), string(now[b[i][0]:b[i][1]])) {
			return endA, endB
		}
		fromA, fromB = a[i][1], b[i][1]
	}
}

// nearNumerals compares two printed numbers. They have been rounded, and numbers
// that differ by a bit may be rounded to either side: so the last printed digit
// may differ by one. Whole numbers are counts, which must be the same.
func (t Tolerance) nearNumerals(a, b string) bool {
	if a == b {
		return true
	}
	if !strings.ContainsAny(a+b, ".eE") {
		return false
	}
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return false
	}
	// A hundredth more, because decimal fractions are not exact.
	unit := 1.01 * math.Max(lastDigit(a), lastDigit(b))
	return t.Near(x, y) || math.Abs(x-y) <= unit
}

// lastDigit is what the last digit of a numeral is worth.
func lastDigit(s string) float64 {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	_, decimals, _ := strings.Cut(mantissa, ".")
	e, err := strconv.Atoi(exponent)
	if err != nil {
		e = 0 // there is none
	}
	return math.Pow10(e - len(decimals))
}
