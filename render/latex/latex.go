// Package latex writes tables and macros of numbers for LaTeX from sidecars.
//
// It needs booktabs, longtable and nothing that is not in every TeX
// installation: columns are plain l and r, and decimals are fixed by the
// sidecar. It knows no figure and computes nothing.
package latex

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Undefined is what a macro says that has no number.
const Undefined = `\textit{undefined}`

// Write gives the source of a table document: a table, or the macros of
// numbers. A document that sidecar.Validate refuses, a figure, and text that
// LaTeX cannot set are errors.
func Write(doc *sidecar.Document) ([]byte, error) {
	if err := sidecar.Validate(doc); err != nil {
		return nil, fmt.Errorf("write tex: %w", err)
	}
	var out string
	var err error
	switch {
	case doc.Table != nil:
		out, err = table(doc)
	case len(doc.Numbers) > 0:
		out, err = numbers(doc)
	default:
		err = fmt.Errorf("it is neither a table nor numbers")
	}
	if err != nil {
		return nil, fmt.Errorf("write tex of %s: %w", doc.ID, err)
	}
	return []byte(out), nil
}

// specials are the characters that TeX reads as commands, and those beyond
// ASCII that a label may have. Brackets are braced because a row that begins
// with one would be read as the argument of the \\ before it.
var specials = map[rune]string{
	'\\': `\textbackslash{}`, '{': `\{`, '}': `\}`, '$': `\$`, '&': `\&`, '#': `\#`, '_': `\_`, '%': `\%`,
	'~': `\textasciitilde{}`, '^': `\textasciicircum{}`, '[': `{[}`, ']': `{]}`, '"': `''`,
	'<': `$<$`, '>': `$>$`, '|': `$|$`, '*': `{*}`,
	'–': `--`, '—': `---`, '−': minus, '∞': infinity, '×': `$\times$`, '±': `$\pm$`, '≤': `$\leq$`, '≥': `$\geq$`, '≈': `$\approx$`,
	'·': `$\cdot$`, '→': `$\to$`, '…': `\ldots{}`, '°': `$^\circ$`, '\u00a0': `~`, '\u2009': `\,`,
	'‘': "`", '’': `'`, '“': "``", '”': `''`,
	'²': `$^2$`, '³': `$^3$`, 'α': `$\alpha$`, 'β': `$\beta$`, 'Δ': `$\Delta$`, 'δ': `$\delta$`, 'η': `$\eta$`,
	'κ': `$\kappa$`, 'λ': `$\lambda$`, 'μ': `$\mu$`, 'µ': `$\mu$`, 'ρ': `$\rho$`, 'σ': `$\sigma$`, 'χ': `$\chi$`, 'ω': `$\omega$`,
}

// Escape turns plain text into LaTeX that prints it. A character that plain
// LaTeX has no font for is an error.
func Escape(s string) (string, error) {
	var b strings.Builder
	for _, r := range s {
		switch e, special := specials[r]; {
		case special:
			b.WriteString(e)
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r < ' ' || r == 0x7f:
			return "", fmt.Errorf("control character %U", r)
		case r < 0x7f, 'À' <= r && r <= 'ÿ': // letters with accents, which utf8 input knows
			b.WriteRune(r)
		default:
			return "", fmt.Errorf("character %q (%U) has no LaTeX form here: use another", r, r)
		}
	}
	return b.String(), nil
}

// comment puts a text behind % in one line.
func comment(s string) string {
	return "% " + strings.Join(strings.Fields(s), " ") + "\n"
}

// A minus and an infinity that print in text and in mathematics: a macro of
// numbers may stand in either.
const (
	minus    = `\ensuremath{-}`
	infinity = `\ensuremath{\infty}`
)

// valueless is what stands for a value without an estimate: its limit where it
// is infinite, else the given mark.
func valueless(v sidecar.Value, mark string) string {
	switch v.Infinite() {
	case 1:
		return infinity
	case -1:
		return minus + infinity
	}
	return mark
}

// number prints with fixed decimals, thin spaces between thousands from 10 000
// on, a minus that mathematics takes too, and no minus before zero.
func number(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	digits, negative := strings.CutPrefix(s, "-")
	if strings.Trim(digits, "0.") == "" {
		negative = false
	}
	whole, rest, _ := strings.Cut(digits, ".")
	whole = group(whole)
	if rest != "" {
		whole += "." + rest
	}
	if negative {
		return minus + whole
	}
	return whole
}

func group(digits string) string {
	if len(digits) < 5 {
		return digits
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + `\,` + digits[i:]
	}
	return digits
}

// interval joins limits with an en dash, or with "to" where a minus stands.
func interval(ci [2]float64, decimals int) string {
	lo, hi := number(ci[0], decimals), number(ci[1], decimals)
	if strings.HasPrefix(lo, minus) || strings.HasPrefix(hi, minus) {
		return lo + " to " + hi
	}
	return lo + "--" + hi
}
