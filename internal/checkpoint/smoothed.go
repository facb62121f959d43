package checkpoint

import (
	"math"

	"github.com/foundation-plr/pipeline/internal/derivation"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

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

// smoothed compares the smoothed curve with that of the predictions.
func (c *configuration) smoothed() {
	points, why, err := derivation.Smoothed(c.predictions, disclosure.Privacy{})
	if err != nil {
		return // a finding of its own
	}
	rows := c.tables[schema.Smooth]
	if why != "" {
		points = []metrics.CurvePoint{{Risk: math.NaN(), Observed: math.NaN(), Lower: math.NaN(), Upper: math.NaN()}}
	}
	if len(rows) != len(points) {
		c.found(schema.Smooth, "point_index", "there are not 101 points, or one that says why there is no curve", false)
		return
	}
	for i, p := range points {
		if rows[i].text("undefined") != string(why) {
			c.found(schema.Smooth, "undefined", "is not why the predictions have no curve", false)
		}
		for _, k := range []struct {
			column string
			want   float64
		}{{"risk", p.Risk}, {"observed", p.Observed}, {"lower", p.Lower}, {"upper", p.Upper}} {
			if !agree(rows[i].number(k.column), k.want, fittedTolerance) {
				c.found(schema.Smooth, k.column, "is not that of the predictions", false)
			}
		}
	}
}
