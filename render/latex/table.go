package latex

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// table writes a float with booktabs rules, or a longtable.
func table(doc *sidecar.Document) (string, error) {
	t := doc.Table
	caption, err := captionText(doc)
	if err != nil {
		return "", fmt.Errorf("caption: %w", err)
	}
	title, err := Escape(strings.TrimRight(doc.Title, "."))
	if err != nil {
		return "", fmt.Errorf("title: %w", err)
	}
	if strings.ContainsAny(t.Label, `{}\%#~^&$_ `) {
		return "", fmt.Errorf("label %q holds characters that a LaTeX label cannot", t.Label)
	}
	head, err := headings(t.Columns)
	if err != nil {
		return "", err
	}
	shape := fit(t)
	body, missing, err := rows(t, shape)
	if err != nil {
		return "", err
	}
	notes, err := missing.text(t)
	if err != nil {
		return "", err
	}
	spec := shape.columns(t)
	var b strings.Builder
	line := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s)
		}
		b.WriteByte('\n')
	}
	b.WriteString(comment("Generated from the sidecar " + doc.ID + ".json; do not edit."))
	short := ""
	if title != "" {
		short = "[" + synthetic(doc) + title + "]"
	}
	if !t.Long {
		line(`\begin{table}[tbp]`)
		line(`\centering`)
		line(`\caption`, short, `{`, caption, `}`)
		line(`\label{`, t.Label, `}`)
		line(`\par\smallskip`) // classes leave no space between a caption above and its table
		line(shape.size)
		line(`\setlength{\tabcolsep}{3.5pt}`)
		line(`\begin{tabular}{`, spec, `}`)
		line(`\toprule`)
		b.WriteString(head)
		line(`\midrule`)
		b.WriteString(body)
		line(`\bottomrule`)
		line(`\end{tabular}`)
		if notes != "" {
			line(`\par\smallskip`)
			line(`\parbox{\linewidth}{\raggedright `, notes, `}`)
		}
		line(`\end{table}`)
		return b.String(), nil
	}
	line(`\begingroup`)
	line(shape.size)
	line(`\setlength{\tabcolsep}{3.5pt}`)
	line(`\setlength{\LTcapwidth}{\linewidth}`)
	line(`\begin{longtable}{`, spec, `}`)
	line(`\caption`, short, `{`, caption, `}\label{`, t.Label, `}\\`)
	line(`\toprule`)
	b.WriteString(head)
	line(`\midrule`)
	line(`\endfirsthead`)
	line(`\caption[]{`, synthetic(doc), title, ` (continued).}\\`)
	line(`\toprule`)
	b.WriteString(head)
	line(`\midrule`)
	line(`\endhead`)
	line(`\midrule`)
	line(fmt.Sprintf(`\multicolumn{%d}{r@{}}{Continued on the next page}\\`, len(t.Columns)))
	line(`\endfoot`)
	line(`\bottomrule`)
	line(`\endlastfoot`)
	b.WriteString(body)
	line(`\end{longtable}`)
	if notes != "" {
		line(`\noindent\parbox{\linewidth}{\raggedright `, notes, `}\par`)
	}
	line(`\endgroup`)
	return b.String(), nil
}

func synthetic(doc *sidecar.Document) string {
	if doc.Synthetic {
		return `\textbf{Synthetic data.} `
	}
	return ""
}

// captionText is the synthetic mark, the title as a sentence, and the caption.
func captionText(doc *sidecar.Document) (string, error) {
	s := strings.TrimSpace(doc.Caption)
	if title := strings.TrimRight(doc.Title, "."); title != "" && !strings.HasPrefix(s, title) {
		s = strings.TrimSpace(title + ". " + s)
	}
	if s == "" {
		return "", fmt.Errorf("neither a title nor a caption is given")
	}
	said := strings.HasPrefix(doc.Caption, "Synthetic")
	s, err := Escape(s)
	if !said {
		s = synthetic(doc) + s
	}
	return s, err
}

// headings writes shared headings with their rules, and the columns' own.
func headings(columns []sidecar.Column) (string, error) {
	var groups, rules []string
	grouped := false
	for i := 0; i < len(columns); {
		j := i + 1
		for j < len(columns) && columns[i].Group != "" && columns[j].Group == columns[i].Group {
			j++
		}
		if columns[i].Group == "" {
			groups = append(groups, "")
		} else {
			grouped = true
			text, err := Escape(columns[i].Group)
			if err != nil {
				return "", fmt.Errorf("heading of column %s: %w", columns[i].ID, err)
			}
			groups = append(groups, fmt.Sprintf(`\multicolumn{%d}{c}{%s}`, j-i, text))
			trim := "lr"
			switch {
			case i == 0 && j == len(columns):
				trim = ""
			case i == 0:
				trim = "r"
			case j == len(columns):
				trim = "l"
			}
			if trim != "" {
				trim = "(" + trim + ")"
			}
			rules = append(rules, fmt.Sprintf(`\cmidrule%s{%d-%d}`, trim, i+1, j))
		}
		i = j
	}
	own := make([]string, len(columns))
	for i, c := range columns {
		text, err := Escape(c.Heading)
		if err != nil {
			return "", fmt.Errorf("heading of column %s: %w", c.ID, err)
		}
		own[i] = text
	}
	out := strings.Join(own, " & ") + ` \\` + "\n"
	if grouped {
		out = strings.Join(groups, " & ") + ` \\` + "\n" + strings.Join(rules, "") + "\n" + out
	}
	return out, nil
}

// absent counts, by column and reason, cells without a value and, where others
// of the column have one, without an interval.
type absent struct {
	values, intervals []map[string]int
}

func rows(t *sidecar.Table, shape layout) (string, absent, error) {
	n := len(t.Columns)
	miss := absent{make([]map[string]int, n), make([]map[string]int, n)}
	for j := range n {
		miss.values[j], miss.intervals[j] = map[string]int{}, map[string]int{}
	}
	var b strings.Builder
	for i, r := range t.Rows {
		if r.SpaceBefore && i > 0 {
			b.WriteString(`\addlinespace` + "\n")
		}
		// A row that stands in the table twice, as one of the best and as a
		// named pipeline, lacks its values once.
		shown := slices.ContainsFunc(t.Rows[:i], func(other sidecar.Row) bool { return reflect.DeepEqual(other.Cells, r.Cells) })
		cells := make([]string, n)
		for j, c := range r.Cells {
			s, err := cell(c, t.Columns[j].Decimals)
			if err != nil {
				return "", miss, fmt.Errorf("row %d, %s: %w", i+1, t.Columns[j].ID, err)
			}
			if shape.breaks[j] > 0 && s != "" {
				s = `\raggedright ` + s
			}
			cells[j] = s
			if c.Value == nil || shown || c.Value.Infinite() != 0 {
				continue
			}
			if c.Value.Undefined != "" {
				miss.values[j][c.Value.Undefined]++
			} else if c.Value.IntervalUndefined != "" {
				miss.intervals[j][c.Value.IntervalUndefined]++
			}
		}
		b.WriteString(strings.Join(cells, " & ") + ` \\` + "\n")
	}
	return b.String(), miss, nil
}

func cell(c sidecar.Cell, decimals int) (string, error) {
	if c.Value == nil {
		s, err := Escape(c.Text)
		if err == nil && c.Strong && s != "" {
			s = `\textbf{` + s + `}`
		}
		return s, err
	}
	if c.Value.Estimate == nil {
		return valueless(*c.Value, "--"), nil
	}
	s := number(*c.Value.Estimate, decimals)
	if c.Strong {
		s = `\textbf{` + s + `}`
	}
	if c.Value.CI != nil {
		s += " (" + interval(*c.Value.CI, decimals) + ")"
	}
	return s, nil
}

// text says why cells are empty: one sentence a reason, columns named.
func (a absent) text(t *sidecar.Table) (string, error) {
	var sentences []string
	add := func(lead string, counts []map[string]int) error {
		var order []string
		columns := map[string][]string{}
		for j, byReason := range counts {
			heading := t.Columns[j].Heading
			if heading == "" {
				heading = t.Columns[j].ID
			}
			reasons := make([]string, 0, len(byReason))
			for r := range byReason {
				reasons = append(reasons, r)
			}
			slices.Sort(reasons)
			for _, r := range reasons {
				if columns[r] == nil {
					order = append(order, r)
				}
				columns[r] = append(columns[r], fmt.Sprintf("%s (%d)", heading, byReason[r]))
			}
		}
		slices.Sort(order)
		for _, r := range order {
			s, err := Escape(fmt.Sprintf("%s: %s in %s.", lead, sidecar.ReasonText(r), strings.Join(columns[r], ", ")))
			if err != nil {
				return fmt.Errorf("note: %w", err)
			}
			sentences = append(sentences, s)
		}
		return nil
	}
	if err := add("–, undefined", a.values); err != nil {
		return "", err
	}
	// A column in which nothing has an interval has none to miss.
	for j := range a.intervals {
		if !slices.ContainsFunc(t.Rows, func(r sidecar.Row) bool { return r.Cells[j].Value != nil && r.Cells[j].Value.CI != nil }) {
			a.intervals[j] = nil
		}
	}
	if err := add("No interval", a.intervals); err != nil {
		return "", err
	}
	return strings.Join(sentences, " "), nil
}
