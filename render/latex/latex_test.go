package latex

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write the golden files")

func ptr[T any](v T) *T { return &v }

// wellFormed reads TeX as far as can be done without TeX: braces and
// environments are balanced, mathematics is closed, a row has as many cells as
// the table has columns, and no character that is a command stands bare.
func wellFormed(tex string) error {
	if err := balanced(tex); err != nil {
		return err
	}
	var open []string
	for _, m := range regexp.MustCompile(`\\(begin|end)\{(\w+)\}`).FindAllStringSubmatch(tex, -1) {
		if m[1] == "begin" {
			open = append(open, m[2])
			continue
		}
		if len(open) == 0 || open[len(open)-1] != m[2] {
			return fmt.Errorf("\\end{%s} without its beginning", m[2])
		}
		open = open[:len(open)-1]
	}
	if len(open) > 0 {
		return fmt.Errorf("%q never ends", open)
	}
	columns := 0
	for i, line := range strings.Split(tex, "\n") {
		if strings.HasPrefix(line, "%") || line == "" {
			continue
		}
		if m := regexp.MustCompile(`\\begin\{(?:tabular|longtable)\}\{@\{\}((?:[lr]|p\{[\d.]+em\})+)@\{\}\}`).FindStringSubmatch(line); m != nil {
			columns = len(regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(m[1], ""))
			continue
		}
		if regexp.MustCompile(`(^|[^\\])%`).MatchString(line) {
			return fmt.Errorf("line %d has a bare %%", i+1)
		}
		if regexp.MustCompile(`(^|[^\\])#`).MatchString(line) {
			return fmt.Errorf("line %d has a bare #", i+1)
		}
		math := false
		for j, r := range line {
			escaped := j > 0 && line[j-1] == '\\' && (j < 2 || line[j-2] != '\\')
			switch {
			case r == '$' && !escaped:
				math = !math
			case (r == '_' || r == '^') && !escaped && !math:
				return fmt.Errorf("line %d has a bare %c", i+1, r)
			}
		}
		if math {
			return fmt.Errorf("line %d leaves mathematics open", i+1)
		}
		if row, ok := strings.CutSuffix(line, `\\`); ok && columns > 0 && !strings.HasPrefix(line, `\caption`) {
			cells := 0
			for _, c := range regexp.MustCompile(`(?:[^&\\]|\\.)*`).FindAllString(row, -1) {
				width := 1
				if m := regexp.MustCompile(`^ ?\\multicolumn\{(\d+)\}`).FindStringSubmatch(c); m != nil {
					if _, err := fmt.Sscan(m[1], &width); err != nil {
						return err
					}
				}
				cells += width
			}
			if cells != columns {
				return fmt.Errorf("line %d has %d cells for %d columns: %s", i+1, cells, columns, line)
			}
		} else if columns > 0 && regexp.MustCompile(`[^\\]&`).MatchString(line) {
			return fmt.Errorf("line %d has a bare &", i+1)
		}
	}
	return nil
}

func balanced(tex string) error {
	depth := 0
	for i := 0; i < len(tex); i++ {
		switch tex[i] {
		case '\\':
			i++
		case '%':
			for i < len(tex) && tex[i] != '\n' {
				i++
			}
		case '{':
			depth++
		case '}':
			if depth--; depth < 0 {
				return fmt.Errorf("byte %d closes a brace that was not open", i)
			}
		}
	}
	if depth != 0 {
		return fmt.Errorf("%d braces stay open", depth)
	}
	return nil
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (-want +got); -update accepts it:\n%s", name, d)
	}
}

func read(t *testing.T, id string) *sidecar.Document {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", id+".json"))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := sidecar.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// awkward has what the example's tables lack.
func awkward(long bool) *sidecar.Document {
	v := func(x float64) *sidecar.Value { return &sidecar.Value{Estimate: &x} }
	return &sidecar.Document{
		Schema: sidecar.TableSchema, ID: "tab_awkward", Title: "50% of A_B & C", Caption: "Rows [sic] of #1; p < 0.05, η² ≥ 0.1, a–b, −1.",
		Table: &sidecar.Table{Label: "tab:awkward", Long: long,
			Columns: []sidecar.Column{
				{ID: "m", Heading: "Method", Align: "l"},
				{ID: "n", Heading: "n", Align: "r", Group: "Size"},
				{ID: "a", Heading: "AUROC (95% CI)", Align: "r", Decimals: 3, Group: "Both {measures}"},
				{ID: "s", Heading: "Slope", Align: "r", Decimals: 2, Group: "Both {measures}"},
			},
			Rows: []sidecar.Row{
				{Cells: []sidecar.Cell{{Text: "[x] *_$\\~^"}, {Value: v(1234567)}, {Value: &sidecar.Value{Estimate: ptr(0.9), CI: &[2]float64{0.85, 0.95}}, Strong: true}, {Value: v(-0.3), Strong: true}}},
				{SpaceBefore: true, Cells: []sidecar.Cell{{Text: "“q” 'r' \"s\" Müller", Strong: true}, {Value: v(9999)}, {Value: &sidecar.Value{Undefined: "one_class"}}, {Value: v(-0.001)}}},
				{Cells: []sidecar.Cell{{}, {Value: v(10000)}, {Value: &sidecar.Value{Estimate: ptr(0.5), IntervalUndefined: "zero_variance"}}, {Value: &sidecar.Value{Undefined: "separated"}}}},
				{Cells: []sidecar.Cell{{Text: "*"}, {Value: v(-12345)}, {Value: &sidecar.Value{Estimate: ptr(0.01), CI: &[2]float64{-0.2, 0.2}}}, {Value: &sidecar.Value{Undefined: "one_class"}}}},
			}},
	}
}

func someNumbers() *sidecar.Document {
	return &sidecar.Document{Schema: sidecar.TableSchema, ID: "numbers", Synthetic: true, Numbers: []sidecar.Number{
		{Name: "nConfigs", Count: ptr(316), Meaning: "configurations"},
		{Name: "nRows", Count: ptr(12345)},
		{Name: "bestName", Text: "Ensemble_full & CSDI", Meaning: "the best\nof 50% {all}"},
		{Name: "bestAUROC", Value: &sidecar.Value{Estimate: ptr(0.9134), CI: &[2]float64{0.9041, 0.9196}}, Decimals: 3},
		{Name: "slope", Value: &sidecar.Value{Estimate: ptr(-0.304), CI: &[2]float64{-0.7, 0.1}}, Decimals: 2},
		{Name: "prevalencePct", Value: &sidecar.Value{Estimate: ptr(0.2692), CI: &[2]float64{0.2, 0.35}}, Decimals: 1, Percent: true},
		{Name: "lost", Value: &sidecar.Value{Undefined: "one_class"}, Decimals: 3, Meaning: "what cannot be said"},
		{Name: "brier", Value: &sidecar.Value{Estimate: ptr(0.1), IntervalUndefined: "not_available"}, Decimals: 3},
	}}
}

func TestGolden(t *testing.T) {
	for name, doc := range map[string]*sidecar.Document{
		"tab_stratos_top10.tex": read(t, "tab_stratos_top10"),
		"tab_all_configs.tex":   read(t, "tab_all_configs"),
		"tab_awkward.tex":       awkward(false),
		"tab_awkward_long.tex":  awkward(true),
		"numbers.tex":           someNumbers(),
	} {
		t.Run(name, func(t *testing.T) {
			tex, err := Write(doc)
			if err != nil {
				t.Fatal(err)
			}
			if err := wellFormed(string(tex)); err != nil {
				t.Error(err)
			}
			again, err := Write(doc)
			if err != nil || string(again) != string(tex) {
				t.Errorf("a second writing differs (%v)", err)
			}
			golden(t, name, tex)
		})
	}
}

func TestSyntheticMark(t *testing.T) {
	for _, long := range []bool{false, true} {
		doc := awkward(long)
		plain, err := Write(doc)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(plain)), "synthetic") {
			t.Error("a study's table is marked as synthetic")
		}
		doc.Synthetic = true
		marked, err := Write(doc)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`\\caption\[.*\]\{\\textbf\{Synthetic data\.\}`).Match(marked) {
			t.Errorf("the caption has no mark:\n%s", marked)
		}
		doc.Caption = "Synthetic example data. " + doc.Caption
		if marked, err = Write(doc); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(marked), "Synthetic example data"); n != 1 {
			t.Errorf("the caption's own mark stands %d times", n)
		}
	}
}

func TestUndefinedIsNeverZero(t *testing.T) {
	tex, err := Write(someNumbers())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`\providecommand{\PLRlost}{\textit{undefined}}`,
		`\providecommand{\PLRbrierCI}{\textit{undefined}}`,
		`\providecommand{\PLRnRows}{12\,345}`,
		`\providecommand{\PLRslopeCI}{\ensuremath{-}0.70 to 0.10}`,
		`\providecommand{\PLRprevalencePctCI}{20.0--35.0}`,
		"one outcome class only",
	} {
		if !strings.Contains(string(tex), want) {
			t.Errorf("no %s in\n%s", want, tex)
		}
	}
}

func TestNotesNameReasonsAndColumns(t *testing.T) {
	tex, err := Write(awkward(false))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"--, undefined: one outcome class only in AUROC (95\\% CI) (1), Slope (1).",
		"--, undefined: outcomes perfectly separated in Slope (1).",
		"No interval: zero variance in AUROC (95\\% CI) (1).",
	} {
		if !strings.Contains(string(tex), want) {
			t.Errorf("no %q in\n%s", want, tex)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*sidecar.Document)
		want  string
	}{
		"zero rows":       {func(d *sidecar.Document) { d.Table.Rows = nil }, "no rows"},
		"no caption":      {func(d *sidecar.Document) { d.Title, d.Caption = "", "" }, "neither a title nor a caption"},
		"label":           {func(d *sidecar.Document) { d.Table.Label = "a b" }, "label"},
		"odd character":   {func(d *sidecar.Document) { d.Table.Rows[0].Cells[0].Text = "✓" }, "U+2713"},
		"control":         {func(d *sidecar.Document) { d.Caption = "\x01" }, "control"},
		"defined twice":   {func(d *sidecar.Document) { *d = *someNumbers(); d.Numbers[0].Name = "bestAUROCCI" }, "twice"},
		"a figure, empty": {func(d *sidecar.Document) { d.Schema, d.Table = sidecar.FigureSchema, nil }, "panels"},
	} {
		t.Run(name, func(t *testing.T) {
			d := awkward(false)
			c.spoil(d)
			_, err := Write(d)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestAnyTextIsSafe(t *testing.T) {
	const alphabet = `abc \{}$&#^_~%<>|"'*[]` + "–—−×≤²ηé\n\t"
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune(alphabet))).Draw(t, "text")
		d := awkward(rapid.Bool().Draw(t, "long"))
		d.Caption = text
		d.Table.Rows[0].Cells[0].Text = text
		d.Table.Columns[1].Group, d.Table.Columns[0].Heading = text, text
		tex, err := Write(d)
		if err != nil {
			t.Fatal(err)
		}
		if err := wellFormed(string(tex)); err != nil {
			t.Fatalf("%v\n%s", err, tex)
		}
		if regexp.MustCompile(`(?m)^(\[|\*)`).Match(tex) {
			t.Fatalf("a row begins with what \\\\ would read as its argument:\n%s", tex)
		}
	})
}

// The checker itself must be able to fail.
func TestWellFormedFails(t *testing.T) {
	for name, tex := range map[string]string{
		"brace":       `\textbf{a`,
		"environment": "\\begin{table}\n\\end{tabular}\n",
		"cells":       "\\begin{tabular}{@{}ll@{}}\na \\\\\n\\end{tabular}\n",
		"underscore":  "a_b\n",
		"percent":     "5% \n",
		"math":        "$a\n",
	} {
		if wellFormed(tex) == nil {
			t.Errorf("%s was not found", name)
		}
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		v        float64
		decimals int
		want     string
	}{
		{0.9134, 3, "0.913"}, {-0.304, 2, `\ensuremath{-}0.30`}, {-0.001, 2, "0.00"}, {9999, 0, "9999"}, {10000, 0, `10\,000`},
		{-1234567, 1, `\ensuremath{-}1\,234\,567.0`}, {123456, 0, `123\,456`}, {0, 0, "0"},
	} {
		if got := number(c.v, c.decimals); got != c.want {
			t.Errorf("number(%v, %d) = %s, want %s", c.v, c.decimals, got, c.want)
		}
	}
}

// A limit is printed as what it is, in text and in mathematics.
func TestInfinite(t *testing.T) {
	doc := &sidecar.Document{Schema: sidecar.TableSchema, ID: "numbers", Numbers: []sidecar.Number{
		{Name: "up", Value: &sidecar.Value{Undefined: sidecar.PositiveInfinity, IntervalUndefined: "infinite_limit"}, Meaning: "O:E"},
		{Name: "down", Value: &sidecar.Value{Undefined: sidecar.NegativeInfinity}, Meaning: "a fall."},
	}}
	raw, err := Write(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"% O:E.\n" + `\providecommand{\PLRup}{\ensuremath{\infty}}`,
		"% Interval undefined: a limit is infinite.\n" + `\providecommand{\PLRupCI}{\textit{undefined}}`,
		"% a fall.\n" + `\providecommand{\PLRdown}{\ensuremath{-}\ensuremath{\infty}}`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in\n%s", want, raw)
		}
	}
}

// A row that is shown twice lacks its values once; an infinite value is none
// that lacks.
func TestNotesCountARowOnce(t *testing.T) {
	v := 0.5
	row := sidecar.Row{Cells: []sidecar.Cell{{Text: "LOF"}, {Value: &sidecar.Value{Undefined: "one_class"}}}}
	again := sidecar.Row{SpaceBefore: true, Cells: []sidecar.Cell{{Text: "LOF"}, {Value: &sidecar.Value{Undefined: "one_class"}}}}
	doc := &sidecar.Document{Schema: sidecar.TableSchema, ID: "t", Title: "T", Table: &sidecar.Table{
		Columns: []sidecar.Column{{ID: "a", Heading: "Method", Align: "l"}, {ID: "b", Heading: "AUROC", Align: "r", Decimals: 2}},
		Rows: []sidecar.Row{row, again,
			{Cells: []sidecar.Cell{{Text: "SAITS"}, {Value: &sidecar.Value{Undefined: sidecar.PositiveInfinity}}}},
			{Cells: []sidecar.Cell{{Text: "CSDI"}, {Value: &sidecar.Value{Estimate: &v}}}}},
	}}
	raw, err := Write(doc)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(raw); !strings.Contains(s, "one outcome class only in AUROC (1).") || strings.Contains(s, "infinite in") || !strings.Contains(s, `SAITS & \ensuremath{\infty} \\`) {
		t.Error(s)
	}
}
