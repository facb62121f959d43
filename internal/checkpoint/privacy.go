package checkpoint

import (
	"fmt"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/schema"
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

// subjectTables have rows of single subjects.
var subjectTables = []string{schema.Predictions, schema.Quantiles, schema.Bootstrap}

// perhapsOneSubject are the columns that hold what is, or may be, the risk of one
// subject: the thresholds of a ROC curve are risks, and so are a median and the
// mean of a bin of one.
var perhapsOneSubject = []struct{ table, column string }{
	{schema.Predictions, "y_prob"},
	{schema.Quantiles, "q025"}, {schema.Quantiles, "q25"}, {schema.Quantiles, "q50"}, {schema.Quantiles, "q75"}, {schema.Quantiles, "q975"}, {schema.Quantiles, "sd"},
	{schema.Bootstrap, "risk"}, {schema.ROC, "threshold"}, {schema.Calibration, "predicted_mean"},
	{schema.Distribution, "median_cases"}, {schema.Distribution, "median_controls"},
}

// privacyRules hold a database to what it says of its privacy.
func privacyRules(p disclosure.Privacy) []rule {
	var all []rule
	for _, t := range subjectTables {
		if on := p.SubjectTables && (t != schema.Bootstrap || p.BootstrapRisks); !on {
			all = append(all, rule{table: t, message: "has rows, which " + schema.Meta + " says are switched off",
				query: "SELECT config_id FROM " + t})
			continue
		}
		if t != schema.Bootstrap { // that has the named pipelines only
			all = append(all, rule{table: t, column: "config_id", message: "the configuration has no row",
				query: "SELECT config_id FROM essential_metrics WHERE config_id NOT IN (SELECT config_id FROM " + t + ")"})
		}
	}
	if p.RoundRisks > 0 {
		for _, c := range perhapsOneSubject {
			all = append(all, rule{table: c.table, column: c.column, message: "is not rounded as " + schema.Meta + " says",
				query: fmt.Sprintf("SELECT config_id FROM %s WHERE round(%s, %d) <> %[2]s", c.table, c.column, p.RoundRisks)})
		}
		all = append(all, rule{table: schema.Smooth, column: "risk", message: "the ends of the curve are not rounded as " + schema.Meta + " says",
			query: fmt.Sprintf("SELECT config_id FROM calibration_smooth WHERE point_index IN (0, 100) AND abs(risk - round(risk, %d)) > %s", p.RoundRisks, copied)})
	}
	// Each number may be half a unit off; a mean is within one standard deviation
	// of the median, and risks that differ cannot deviate by more than their mean
	// allows.
	air := strconv.FormatFloat(4*p.HalfUnit()+summedTolerance, 'g', -1, 64)
	return append(all,
		rule{table: schema.Quantiles, column: "subject_code", message: "is not among the predictions, or one of these is missing",
			query: "SELECT coalesce(p.config_id, q.config_id) FROM predictions p FULL JOIN risk_quantiles q ON p.config_id = q.config_id AND p.subject_code = q.subject_code WHERE p.config_id IS NULL OR q.config_id IS NULL"},
		rule{table: schema.Quantiles, column: "q025, q25, q50, q75, q975", message: "the quantiles do not ascend",
			query: "SELECT config_id FROM risk_quantiles WHERE q025 > q25 OR q25 > q50 OR q50 > q75 OR q75 > q975"},
		rule{table: schema.Quantiles, column: "sd", message: "cannot be that of risks with this mean and these quantiles",
			query: "SELECT config_id FROM risk_quantiles JOIN predictions USING (config_id, subject_code) WHERE abs(y_prob - q50) > sd + " + air + " OR sd * sd > y_prob * (1 - y_prob) + " + air +
				" OR (sd = 0 AND q975 - q025 > 40 * " + air + ")"},
		// DuckDB's quantile_cont is of type 7, as ours.
		rule{table: schema.Bootstrap, column: "risk", message: "the mean, the median or the deviation of a subject's risks is not what predictions and risk_quantiles say",
			query: "SELECT config_id FROM (SELECT config_id, subject_code, avg(risk) AS mean, quantile_cont(risk, 0.5) AS median, stddev_pop(risk) AS deviation, count(*) AS n FROM bootstrap_risks GROUP BY ALL) " +
				"LEFT JOIN risk_quantiles USING (config_id, subject_code) LEFT JOIN predictions USING (config_id, subject_code) " +
				"WHERE y_prob IS NULL OR abs(mean - y_prob) > " + air + " OR abs(median - q50) > " + air + " OR abs(deviation - sd) > " + air + " OR (sd IS NULL AND n > 1)"},
		rule{table: schema.Bootstrap, column: "replicate", message: "the replicates are not numbered from 1, or not each of them has all test subjects",
			query: "SELECT config_id FROM (SELECT config_id, min(replicate) AS first, max(replicate) AS last, count(*) AS n FROM bootstrap_risks GROUP BY ALL) JOIN essential_metrics USING (config_id) WHERE first <> 1 OR n <> last * n_test"},
	)
}
