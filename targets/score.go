package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/foundation-plr/pipeline/internal/predictions"
	"github.com/foundation-plr/pipeline/metrics"
)

// Defaults of score.
const (
	scoreOutcome   = "y_true"
	scoreRisk      = "y_prob"
	scoreBootstrap = 1000 // replicates: what the study uses
	scoreSeed      = 1
)

// ScoreFlags are what score can be told; nil is the default of each.
type ScoreFlags struct {
	Outcome, Risk   *string // columns: y_true and y_prob
	Thresholds      *string // separated by commas
	Bootstrap, Seed *int    // replicates: 1000; 0: no intervals by bootstrap
	All, JSON       *bool
}

// Score prints the measures of the predictions in a CSV or Parquet file. It
// needs no study and no workspace.
func Score(ctx context.Context, file string, flags ScoreFlags) error {
	return score(ctx, os.Stdout, file, flags)
}

func score(ctx context.Context, w io.Writer, file string, flags ScoreFlags) error {
	options, err := flags.options()
	if err != nil {
		return err
	}
	outcome, risk := scoreOutcome, scoreRisk
	if flags.Outcome != nil {
		outcome = *flags.Outcome
	}
	if flags.Risk != nil {
		risk = *flags.Risk
	}
	set, err := predictions.Read(ctx, file, outcome, risk)
	var column *predictions.ColumnError
	var row *predictions.RowError
	switch {
	case errors.As(err, &column):
		return usage("%v: name it with -outcome=COLUMN or -risk=COLUMN", err)
	case errors.As(err, &row) && wanted(flags.JSON):
		// A program that reads the document learns the same as who reads the error.
		return errors.Join(refused(w, row.Rows, options), err)
	case err != nil:
		return err
	}
	sample, err := metrics.NewSample(set.Outcomes, set.Risks)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	rows, err := metrics.Table(sample, options)
	if err != nil {
		return usage("%v", err)
	}
	if wanted(flags.JSON) {
		return scoreJSON(w, sample.N(), sample.Events(), rows)
	}
	return scoreText(w, sample, rows)
}

func (f *ScoreFlags) options() (metrics.Options, error) {
	o := metrics.Options{Replicates: scoreBootstrap, Seed: scoreSeed, All: wanted(f.All)}
	if f.Thresholds != nil {
		for part := range strings.SplitSeq(*f.Thresholds, ",") {
			t, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
			if err != nil || !(t > 0 && t < 1) {
				return o, usage("-thresholds=%s: write numbers above 0 and below 1, separated by commas", *f.Thresholds)
			}
			o.Thresholds = append(o.Thresholds, t)
		}
	}
	if f.Bootstrap != nil {
		if *f.Bootstrap < 0 {
			return o, usage("-bootstrap=%d: the number of replicates may not be negative", *f.Bootstrap)
		}
		o.Replicates = *f.Bootstrap
	}
	if f.Seed != nil {
		o.Seed = uint64(*f.Seed)
	}
	return o, nil
}

// scored is one measure in the document for programs.
type scored struct {
	Estimate    any    `json:"estimate,omitempty"` // a number, or "Infinity" or "-Infinity", which JSON lacks
	Lower       any    `json:"ci_lower,omitempty"`
	Upper       any    `json:"ci_upper,omitempty"`
	Method      string `json:"ci_method,omitempty"`
	CIUndefined string `json:"ci_undefined,omitempty"` // why there is no interval, where there could be one
	Undefined   string `json:"undefined,omitempty"`
}

func scoreJSON(w io.Writer, n, events int, rows []metrics.Row) error {
	measures := make(map[string]scored, len(rows))
	for _, r := range rows {
		s := scored{Undefined: string(r.Undefined)}
		if r.Defined() {
			s.Estimate = jsonNumber(r.Value)
			switch {
			case r.Interval.Defined():
				s.Lower, s.Upper, s.Method = jsonNumber(r.Interval.Lower), jsonNumber(r.Interval.Upper), r.Interval.Method
			case r.Interval.Undefined != metrics.NotAvailable:
				s.CIUndefined = string(r.Interval.Undefined)
			}
		}
		measures[r.Measure] = s
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		N        int               `json:"n"`
		Events   int               `json:"events"`
		Measures map[string]scored `json:"measures"`
	}{n, events, measures})
}

func jsonNumber(v float64) any {
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return v
}

// refused is the document of an input that cannot be measured: every measure is
// undefined.
func refused(w io.Writer, n int, o metrics.Options) error {
	// The keys are those of any sample.
	any, err := metrics.NewSample([]int{0, 1}, []float64{0.25, 0.75})
	if err != nil {
		return err
	}
	o.Replicates = 0
	rows, err := metrics.Table(any, o)
	if err != nil {
		return err
	}
	for i := range rows {
		rows[i].Undefined = metrics.InvalidInput
	}
	return scoreJSON(w, n, 0, rows)
}

func scoreText(w io.Writer, sample *metrics.Sample, rows []metrics.Row) error {
	prevalence := "undefined"
	if sample.N() > 0 {
		prevalence = digits(float64(sample.Events()) / float64(sample.N()))
	}
	fmt.Fprintf(w, "%d subjects, %d events, prevalence %s\n", sample.N(), sample.Events(), prevalence)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, domain := range []string{metrics.Discrimination, metrics.Calibration, metrics.Overall, metrics.Classification, metrics.Utility} {
		// Without tabs: a heading does not widen a column.
		fmt.Fprintf(tw, "\n%s\n", strings.ToUpper(domain))
		for _, r := range rows {
			if r.Domain != domain {
				continue
			}
			value, interval := digits(r.Value), ""
			switch {
			case !r.Defined():
				value = "undefined: " + words(string(r.Undefined))
			case r.Interval.Defined():
				interval = fmt.Sprintf("%s to %s (%g %%, %s)", digits(r.Interval.Lower), digits(r.Interval.Upper), 100*r.Interval.Level, words(r.Interval.Method))
			case r.Interval.Undefined != metrics.NotAvailable:
				interval = "no interval: " + words(string(r.Interval.Undefined))
			}
			fmt.Fprintf(tw, "  %s\t%s\t%s\t%s\t%s\n", r.Measure, words(r.Tier), value, interval, r.Note)
		}
	}
	return tw.Flush()
}

// digits is a number as people read it; the document for programs has all of it.
func digits(v float64) string { return strconv.FormatFloat(v, 'g', 5, 64) }

func words(name string) string { return strings.ReplaceAll(name, "_", " ") }
