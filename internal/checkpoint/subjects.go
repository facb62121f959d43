package checkpoint

import (
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

func (a *assembler) rounded(risk float64) float64 { return a.options.Privacy.Rounded(risk) }

func (a *assembler) roundedCell(risk *float64) any {
	if risk == nil {
		return nil
	}
	return a.rounded(*risk)
}

// addSubjects adds what is known of single subjects, as far as it is published.
func (a *assembler) addSubjects(id int, c *coded) error {
	if !a.options.Privacy.SubjectTables {
		return nil
	}
	for _, p := range c.predictions {
		a.content.add(schema.Predictions, a.next(schema.Predictions), id, p.Code, p.Outcome, a.rounded(p.Risk))
		cells := []any{id, p.Code}
		for _, q := range p.Quantiles {
			cells = append(cells, a.rounded(q))
		}
		a.content.add(schema.Quantiles, append(cells, a.roundedCell(p.SD))...)
	}
	if !a.options.Privacy.BootstrapRisks || !c.configured.Configuration.Named(a.reg) {
		return nil
	}
	if len(c.RefitRisks) != c.Refits {
		return fmt.Errorf("the record holds the risks of %d refits, not of all %d", len(c.RefitRisks), c.Refits)
	}
	for m, risks := range c.RefitRisks {
		if len(risks) != len(c.Subjects) {
			return fmt.Errorf("refit %d has the risks of %d subjects, not %d", m+1, len(risks), len(c.Subjects))
		}
		for _, p := range c.predictions {
			a.content.add(schema.Bootstrap, id, m+1, p.Code, a.rounded(risks[p.Place]))
		}
	}
	return nil
}

// addSmoothed adds the smoothed calibration curve, or why there is none.
func (a *assembler) addSmoothed(id int, c *coded) {
	if c.noCurve != "" {
		a.content.add(schema.Smooth, id, 0, nil, nil, nil, nil, nil, string(derivation.Smoother), string(c.noCurve))
		return
	}
	for i, p := range c.curve {
		var level any
		if !math.IsNaN(p.Lower) {
			level = metrics.Level
		}
		a.content.add(schema.Smooth, id, i, p.Risk, p.Observed, defined(p.Lower), defined(p.Upper), level, string(derivation.Smoother), nil)
	}
}
