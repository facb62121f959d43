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

// smoothRules are what a smoothed curve must be whatever the predictions are.
var smoothRules = []rule{
	{table: schema.Smooth, column: "point_index", message: "the points are not numbered from 0 to 100, or there are more than the one that says why there is no curve",
		query: "SELECT config_id FROM calibration_smooth GROUP BY config_id HAVING min(point_index) <> 0 OR max(point_index) <> count(*) - 1 OR count(*) <> CASE WHEN count(undefined) > 0 THEN 1 ELSE 101 END"},
	{table: schema.Smooth, column: "undefined", message: "there is neither a curve nor a reason, or both",
		query: "SELECT config_id FROM calibration_smooth WHERE (undefined IS NULL) <> (risk IS NOT NULL) OR (risk IS NULL) <> (observed IS NULL)"},
	{table: schema.Smooth, column: "undefined", message: "is no reason that this version knows",
		query: "SELECT config_id FROM calibration_smooth WHERE undefined NOT IN (" + quotedList(metrics.Reasons()) + ")"},
	{table: schema.Smooth, column: "lower, upper", message: "the band is half given, upside down, has no level or does not hold the curve",
		query: "SELECT config_id FROM calibration_smooth WHERE (lower IS NULL) <> (upper IS NULL) OR (lower IS NULL) <> (level IS NULL) OR lower > upper OR lower > greatest(observed, 0) OR upper < least(observed, 1) OR level <> 0.95 OR (lower IS NOT NULL AND observed IS NULL)"},
	{table: schema.Smooth, column: "method", message: "is none that this version knows",
		query: "SELECT config_id FROM calibration_smooth WHERE method <> '" + string(derivation.Smoother) + "'"},
	{table: schema.Smooth, column: "risk", message: "the risks do not ascend in equal steps",
		query: "SELECT config_id FROM (SELECT config_id, risk, point_index, first_value(risk) OVER w AS low, last_value(risk) OVER w AS high FROM calibration_smooth WHERE risk IS NOT NULL " +
			"WINDOW w AS (PARTITION BY config_id ORDER BY point_index ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) WHERE low > high OR abs(risk - low - (high - low) * point_index / 100) > 1e-9"},
}
