package latex

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// textWidth is the width of type that a table may take: A4 with margins of
// 2.5 cm, which is narrower than most journals' page.
const textWidth = 455.0 // points

// columnGap is \tabcolsep as the tables set it.
const columnGap = 3.5

// sizes are those of a document of 10 pt, largest first, with their em in
// points: Computer Modern's small sizes are cut wider than their names say.
var sizes = []struct {
	command string
	em      float64
}{{`\small`, 9.25}, {`\footnotesize`, 8.5}, {`\scriptsize`, 7.97}}

// layout is a table's size of type and its columns: their letters, and the
// width in em of those that must break into lines (0 for the others).
type layout struct {
	size   string
	breaks []float64
}

// fit chooses the largest size at which the widest row fits; where even the
// smallest does not, the widest text columns break into lines.
func fit(t *sidecar.Table) layout {
	widths := make([]float64, len(t.Columns))
	total := 0.0
	for j, c := range t.Columns {
		widths[j] = ems(c.Heading)
		for _, r := range t.Rows {
			widths[j] = max(widths[j], ems(cellWords(r.Cells[j], c.Decimals)))
		}
		total += widths[j]
	}
	gaps := 2 * columnGap * float64(len(t.Columns)-1)
	out := layout{breaks: make([]float64, len(t.Columns))}
	for _, s := range sizes {
		out.size = s.command
		if total*s.em+gaps <= textWidth {
			return out
		}
	}
	room := (textWidth - gaps) / sizes[len(sizes)-1].em
	// Lower one ceiling over all text columns until the row fits: it takes from
	// the widest first and never breaks a word. Not the last column: there \\
	// would end a line of the cell, not the row.
	const step = 0.5
	var text []int
	for j, c := range t.Columns[:len(t.Columns)-1] {
		if c.Align == "l" {
			text = append(text, j)
		}
	}
	ceiling := slices.Max(widths)
	for lowered := true; lowered && total > room; ceiling -= step {
		lowered = false
		for _, j := range text {
			if w := max(ceiling, longestWord(t, j)); w < widths[j] {
				total -= widths[j] - w
				widths[j], out.breaks[j], lowered = w, w, true
			}
		}
		// Columns that are narrower than the ceiling wait for it.
		lowered = lowered || slices.ContainsFunc(text, func(j int) bool { return widths[j] > longestWord(t, j) })
	}
	return out
}

// longestWord is the least width of a text column in em.
func longestWord(t *sidecar.Table, j int) float64 {
	w := 0.0
	for _, word := range strings.Fields(t.Columns[j].Heading) {
		w = max(w, ems(word))
	}
	for _, r := range t.Rows {
		for _, word := range strings.Fields(cellWords(r.Cells[j], 0)) {
			w = max(w, ems(word))
		}
	}
	return w
}

func (l layout) columns(t *sidecar.Table) string {
	spec := "@{}"
	for j, c := range t.Columns {
		if l.breaks[j] > 0 {
			spec += fmt.Sprintf("p{%.1fem}", l.breaks[j])
		} else {
			spec += c.Align
		}
	}
	return spec + "@{}"
}

// cellWords is a cell as it reads, for its width.
func cellWords(c sidecar.Cell, decimals int) string {
	if c.Value == nil {
		return c.Text
	}
	if c.Value.Estimate == nil {
		return "–"
	}
	s := fmt.Sprintf("%.*f", decimals, *c.Value.Estimate)
	if c.Value.CI != nil {
		s += fmt.Sprintf(" (%.*f–%.*f)", decimals, c.Value.CI[0], decimals, c.Value.CI[1])
	}
	return s
}

// ems estimates a text's width in Computer Modern, a little on the wide side.
func ems(s string) float64 {
	w := 0.0
	for _, r := range s {
		switch {
		case unicode.IsDigit(r):
			w += 0.53
		case unicode.IsUpper(r):
			w += 0.75
		case unicode.IsLower(r):
			w += 0.49
		case r == ' ' || unicode.IsPunct(r) && r != '–' && r != '-':
			w += 0.36
		default:
			w += 0.7
		}
	}
	return w
}
