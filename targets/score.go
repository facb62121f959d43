package targets

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/internal/predictions"
	"github.com/foundation-plr/pipeline/metrics"
)

// ScoreFlags are the flags of the target score; nil where one is not given.
type ScoreFlags struct {
	Outcome, Risk, Thresholds *string
	JSON, All                 *bool
	Bootstrap, Seed           *int
}

// scoreReplicates is the number of resamples where none is given: limits of
// 95 % intervals need about as many.
const scoreReplicates = 1000

// Score prints the measures of the predictions of a file. It needs no study, but
// where there is one, no error quotes a subject's code from a column or cell.
func Score(ctx context.Context, file string, flags ScoreFlags) error {
	err := score(ctx, screen(), file, flags)
	if err == nil {
		return nil
	}
	guard := new(gate) // of the study's form alone
	if s, oerr := openPart(io.Discard); oerr == nil {
		guard = s.gate
	}
	if text := guard.redact(err.Error()); text != err.Error() {
		return mg.Fatal(mg.ExitStatus(err), text)
	}
	return err
}

func score(ctx context.Context, out io.Writer, file string, flags ScoreFlags) error {
	if flags.Outcome == nil || flags.Risk == nil {
		return usage("say which columns hold outcome (0 or 1) and risk: score FILE -outcome=NAME -risk=NAME")
	}
	o, err := flags.options()
	if err != nil {
		return err
	}
	set, err := predictions.Read(ctx, file, *flags.Outcome, *flags.Risk)
	var refused *predictions.RowError
	if errors.As(err, &refused) && wanted(flags.JSON) {
		rows, terr := invalid(o)
		if terr != nil {
			return terr
		}
		return errors.Join(writeScoreJSON(out, refused.N, refused.Events, rows), err)
	}
	if err != nil {
		return err
	}
	sample, err := metrics.NewSample(set.Outcomes, set.Risks)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	rows, err := metrics.Table(sample, o)
	if err != nil {
		return usage("%v", err)
	}
	if wanted(flags.JSON) {
		return writeScoreJSON(out, sample.N(), sample.Events(), rows)
	}
	return writeScore(out, sample.N(), sample.Events(), rows, o)
}

// options checks what was given before a file is read.
func (f ScoreFlags) options() (metrics.Options, error) {
	o := metrics.Options{Replicates: scoreReplicates, Seed: 1, All: wanted(f.All)}
	if f.Bootstrap != nil {
		if o.Replicates = *f.Bootstrap; o.Replicates < 0 || o.Replicates == 1 {
			return o, usage("-bootstrap=%d: want 0 for no bootstrap intervals, or two or more resamples", o.Replicates)
		}
	}
	if f.Seed != nil {
		if *f.Seed < 0 {
			return o, usage("-seed=%d is negative", *f.Seed)
		}
		o.Seed = uint64(*f.Seed)
	}
	if f.Thresholds != nil {
		for text := range strings.SplitSeq(*f.Thresholds, ",") {
			t, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil || !(t > 0 && t < 1) {
				return o, usage("-thresholds=%s: %q is not a number between 0 and 1", *f.Thresholds, text)
			}
			if slices.Contains(o.Thresholds, t) {
				return o, usage("-thresholds=%s: %s stands there twice", *f.Thresholds, text)
			}
			o.Thresholds = append(o.Thresholds, t)
		}
	}
	return o, nil
}

// invalid is the table of a refused file: the measures there would be.
func invalid(o metrics.Options) ([]metrics.Row, error) {
	rows, err := metrics.Table(&metrics.Sample{}, o)
	for i := range rows {
		rows[i].Undefined = metrics.InvalidInput
	}
	return rows, err
}

// extended is a number of JSON, or an infinity as text.
type extended float64

func (n extended) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(n), 0) {
		return json.Marshal(short(float64(n)))
	}
	return json.Marshal(float64(n))
}

// scored is a measure in JSON: an estimate or the reason why there is none.
type scored struct {
	Undefined   metrics.Reason `json:"undefined,omitempty"`
	Estimate    *extended      `json:"estimate,omitempty"`
	Lower       *extended      `json:"ci_lower,omitempty"`
	Upper       *extended      `json:"ci_upper,omitempty"`
	Method      string         `json:"ci_method,omitempty"`
	NoInterval  metrics.Reason `json:"ci_undefined,omitempty"`
	Explanation string         `json:"note,omitempty"`
}

func scoredOf(r metrics.Result) scored {
	if !r.Defined() {
		return scored{Undefined: r.Undefined}
	}
	pointer := func(v float64) *extended { n := extended(v); return &n }
	s := scored{Estimate: pointer(r.Value), Explanation: r.Note}
	if i := r.Interval; i.Defined() {
		s.Lower, s.Upper, s.Method = pointer(i.Lower), pointer(i.Upper), i.Method
	} else {
		s.NoInterval = i.Undefined
	}
	return s
}

// measures keeps the order of the table, which a map would lose.
type measures []metrics.Row

func (m measures) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, row := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(row.Measure)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(scoredOf(row.Result))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", row.Measure, err)
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func writeScoreJSON(out io.Writer, n, events int, rows []metrics.Row) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		N        int      `json:"n"`
		Events   int      `json:"events"`
		Measures measures `json:"measures"`
	}{n, events, rows})
}

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

var scoreDomains = []struct{ domain, title string }{
	{metrics.Discrimination, "Discrimination"}, {metrics.Calibration, "Calibration"}, {metrics.Overall, "Overall performance"},
	{metrics.Classification, "Classification"}, {metrics.Utility, "Clinical utility"},
}

func writeScore(out io.Writer, n, events int, rows []metrics.Row, o metrics.Options) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "n %d, events %d", n, events)
	if n > 0 {
		fmt.Fprintf(&b, ", prevalence %s", short(float64(events)/float64(n)))
	}
	b.WriteByte('\n')
	var notes []string
	var aligned bytes.Buffer
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, d := range scoreDomains {
		fmt.Fprintf(table, "\n%s\ttier\testimate\t95 %% interval\tmethod\n", d.title)
		for _, row := range rows {
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
	if o.Replicates > 0 {
		fmt.Fprintf(&b, "  Bootstrap: %d stratified resamples of subjects, seed %d.\n", o.Replicates, o.Seed)
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
