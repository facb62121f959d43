// Package score measures the predictions of one file and sets the measures as a
// table for people or as JSON for programs. It knows no study, no command line and
// no cache, and what a measure is only by its key.
package score

import (
	"context"
	"errors"
	"fmt"

	"github.com/foundation-plr/pipeline/internal/predictions"
	"github.com/foundation-plr/pipeline/metrics"
)

// Scores are the measures of the predictions of a file.
type Scores struct {
	N, Events int
	Rows      []metrics.Row
	Options   metrics.Options // that they were made with
}

// Of measures the predictions in two columns of a file. Where a row is refused,
// there are scores beside the *predictions.RowError: every measure that there would
// be, undefined.
func Of(ctx context.Context, file, outcome, risk string, o metrics.Options) (*Scores, error) {
	set, err := predictions.Read(ctx, file, outcome, risk)
	var refused *predictions.RowError
	if errors.As(err, &refused) {
		rows, terr := invalid(o)
		if terr != nil {
			return nil, terr
		}
		return &Scores{N: refused.N, Events: refused.Events, Rows: rows, Options: o}, err
	}
	if err != nil {
		return nil, err
	}
	sample, err := metrics.NewSample(set.Outcomes, set.Risks)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	rows, err := metrics.Table(sample, o)
	if err != nil {
		return nil, err
	}
	return &Scores{N: sample.N(), Events: sample.Events(), Rows: rows, Options: o}, nil
}

// invalid is the table of a refused file: the measures there would be.
func invalid(o metrics.Options) ([]metrics.Row, error) {
	rows, err := metrics.Table(&metrics.Sample{}, o)
	for i := range rows {
		rows[i].Undefined = metrics.InvalidInput
	}
	return rows, err
}
