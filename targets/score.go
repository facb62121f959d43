package targets

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/score"
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
	err := printScores(ctx, screen(), file, flags)
	if err != nil {
		// Visible then knows the study's codes. Without a study there are none to know.
		_, _ = openPart(io.Discard)
	}
	return err
}

func printScores(ctx context.Context, out io.Writer, file string, flags ScoreFlags) error {
	if flags.Outcome == nil || flags.Risk == nil {
		return usage("say which columns hold outcome (0 or 1) and risk: score FILE -outcome=NAME -risk=NAME")
	}
	o, err := flags.options()
	if err != nil {
		return err
	}
	scores, err := score.Of(ctx, file, *flags.Outcome, *flags.Risk, o)
	switch {
	case scores == nil:
		return err
	case wanted(flags.JSON):
		return errors.Join(scores.WriteJSON(out), err)
	case err != nil:
		return err
	}
	return scores.Write(out)
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
