package score

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/foundation-plr/pipeline/metrics"
)

// inWords says for a reader why there is no number.
var inWords = map[metrics.Reason]string{
	metrics.Empty:                      "there are no rows",
	metrics.InvalidInput:               "the input is not valid",
	metrics.OneClass:                   "all outcomes are the same",
	metrics.TooFew:                     "fewer than two events or two controls",
	metrics.ExtremeRisk:                "a risk of exactly 0 or 1 has no logit",
	metrics.ConstantRisk:               "all risks are equal",
	metrics.Separated:                  "risks separate the classes: there is no finite fit",
	metrics.ZeroVariance:               "there is no variation",
	metrics.ZeroDenominator:            "0 divided by 0",
	metrics.TooManyUndefinedReplicates: "undefined in more than 1 % of resamples",
	metrics.NotAvailable:               "not available",
}

var domains = []struct{ domain, title string }{
	{metrics.Discrimination, "Discrimination"}, {metrics.Calibration, "Calibration"}, {metrics.Overall, "Overall performance"},
	{metrics.Classification, "Classification"}, {metrics.Utility, "Clinical utility"},
}

// Write writes the scores for people.
func (s *Scores) Write(out io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "n %d, events %d", s.N, s.Events)
	if s.N > 0 {
		fmt.Fprintf(&b, ", prevalence %s", short(float64(s.Events)/float64(s.N)))
	}
	b.WriteByte('\n')
	var notes []string
	var aligned bytes.Buffer
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, d := range domains {
		fmt.Fprintf(table, "\n%s\ttier\testimate\t95 %% interval\tmethod\n", d.title)
		for _, row := range s.Rows {
			if row.Domain == d.domain {
				fmt.Fprintf(table, "  %s\t%s\n", row.Measure, strings.Join(cells(row, &notes), "\t"))
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(aligned.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	b.WriteString("\nNotes\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "  [%d] %s\n", i+1, note)
	}
	b.WriteString("  PPV, NPV and net benefit depend on the prevalence; a subject is positive where risk >= threshold.\n")
	if s.Options.Replicates > 0 {
		fmt.Fprintf(&b, "  Bootstrap: %d stratified resamples of subjects, seed %d.\n", s.Options.Replicates, s.Options.Seed)
	}
	b.WriteString("  Calibration plot and risk distribution, which are recommended too, are figures and not in this table.\n")
	_, err := out.Write(b.Bytes())
	return err
}

// cells are the columns of a row after its key; a note gets a number at its
// first use.
func cells(row metrics.Row, notes *[]string) []string {
	tier := strings.ReplaceAll(row.Tier, "_", " ")
	if !row.Defined() {
		return []string{tier, "undefined", "-", inWords[row.Undefined]}
	}
	c := []string{tier, short(row.Value), "-", ""}
	if i := row.Interval; i.Defined() {
		c[2], c[3] = short(i.Lower)+" to "+short(i.Upper), strings.ReplaceAll(i.Method, "_", " ")
	} else if i.Undefined != metrics.NotAvailable {
		c[3] = "none: " + inWords[i.Undefined]
	}
	if row.Note != "" {
		at := slices.Index(*notes, row.Note)
		if at < 0 {
			at = len(*notes)
			*notes = append(*notes, row.Note)
		}
		c[3] = strings.TrimSpace(fmt.Sprintf("%s [%d]", c[3], at+1))
	}
	return c
}

// short has four decimals, or three digits of what these would round away.
func short(v float64) string {
	switch a := math.Abs(v); {
	case math.IsInf(v, 0):
		return map[bool]string{true: "Infinity", false: "-Infinity"}[v > 0]
	case v == math.Trunc(v) && a < 1e9:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a < 0.001 || a >= 1e9:
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 4, 64)
}
