package rules

import (
	"fmt"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/schema"
)

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
func privacyRules(p disclosure.Privacy) []Rule {
	var all []Rule
	for _, t := range subjectTables {
		if on := p.SubjectTables && (t != schema.Bootstrap || p.BootstrapRisks); !on {
			all = append(all, Rule{Table: t, Message: "has rows, which " + schema.Meta + " says are switched off",
				Query: "SELECT config_id FROM " + t})
			continue
		}
		if t != schema.Bootstrap { // that has the named pipelines only
			all = append(all, Rule{Table: t, Column: "config_id", Message: "the configuration has no row",
				Query: "SELECT config_id FROM essential_metrics WHERE config_id NOT IN (SELECT config_id FROM " + t + ")"})
		}
	}
	if p.RoundRisks > 0 {
		for _, c := range perhapsOneSubject {
			all = append(all, Rule{Table: c.table, Column: c.column, Message: "is not rounded as " + schema.Meta + " says",
				Query: fmt.Sprintf("SELECT config_id FROM %s WHERE round(%s, %d) <> %[2]s", c.table, c.column, p.RoundRisks)})
		}
		all = append(all, Rule{Table: schema.Smooth, Column: "risk", Message: "the ends of the curve are not rounded as " + schema.Meta + " says",
			Query: fmt.Sprintf("SELECT config_id FROM calibration_smooth WHERE point_index IN (0, 100) AND abs(risk - round(risk, %d)) > %s", p.RoundRisks, copied)})
	}
	// Each number may be half a unit off; a mean is within one standard deviation
	// of the median, and risks that differ cannot deviate by more than their mean
	// allows.
	air := strconv.FormatFloat(4*p.HalfUnit()+SummedTolerance, 'g', -1, 64)
	return append(all,
		Rule{Table: schema.Quantiles, Column: "subject_code", Message: "is not among the predictions, or one of these is missing",
			Query: "SELECT coalesce(p.config_id, q.config_id) FROM predictions p FULL JOIN risk_quantiles q ON p.config_id = q.config_id AND p.subject_code = q.subject_code WHERE p.config_id IS NULL OR q.config_id IS NULL"},
		Rule{Table: schema.Quantiles, Column: "q025, q25, q50, q75, q975", Message: "the quantiles do not ascend",
			Query: "SELECT config_id FROM risk_quantiles WHERE q025 > q25 OR q25 > q50 OR q50 > q75 OR q75 > q975"},
		Rule{Table: schema.Quantiles, Column: "sd", Message: "cannot be that of risks with this mean and these quantiles",
			Query: "SELECT config_id FROM risk_quantiles JOIN predictions USING (config_id, subject_code) WHERE abs(y_prob - q50) > sd + " + air + " OR sd * sd > y_prob * (1 - y_prob) + " + air +
				" OR (sd = 0 AND q975 - q025 > 40 * " + air + ")"},
		// DuckDB's quantile_cont is of type 7, as ours.
		Rule{Table: schema.Bootstrap, Column: "risk", Message: "the mean, the median or the deviation of a subject's risks is not what predictions and risk_quantiles say",
			Query: "SELECT config_id FROM (SELECT config_id, subject_code, avg(risk) AS mean, quantile_cont(risk, 0.5) AS median, stddev_pop(risk) AS deviation, count(*) AS n FROM bootstrap_risks GROUP BY ALL) " +
				"LEFT JOIN risk_quantiles USING (config_id, subject_code) LEFT JOIN predictions USING (config_id, subject_code) " +
				"WHERE y_prob IS NULL OR abs(mean - y_prob) > " + air + " OR abs(median - q50) > " + air + " OR abs(deviation - sd) > " + air + " OR (sd IS NULL AND n > 1)"},
		Rule{Table: schema.Bootstrap, Column: "replicate", Message: "the replicates are not numbered from 1, or not each of them has all test subjects",
			Query: "SELECT config_id FROM (SELECT config_id, min(replicate) AS first, max(replicate) AS last, count(*) AS n FROM bootstrap_risks GROUP BY ALL) JOIN essential_metrics USING (config_id) WHERE first <> 1 OR n <> last * n_test"},
	)
}
