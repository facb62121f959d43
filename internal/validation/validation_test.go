package validation_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/racetest"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/internal/studytest"
	"github.com/foundation-plr/pipeline/internal/validation"
)

// Write starts this test binary again.
func TestMain(m *testing.M) { studytest.Main(m) }

// Every kind of damage that a database can have in its contents is found, and
// found where it is.
func TestValidate(t *testing.T) {
	racetest.Skip(t, "TestPrivacy of the checkpoint and TestValidatePrivacy validate good and damaged databases with it")
	code := studytest.Original(17)
	// Damages of some tables are done to one copy; those that would hide each other
	// have a copy each. None makes what is found of another.
	for _, batch := range [][]struct{ damage, want string }{
		{{`DROP TABLE checks`, "checks: the table is missing"}},
		{{`CREATE TABLE extra (a INTEGER)`, "schema: there is a table"}},
		{{`CREATE VIEW extra AS SELECT 1`, "schema: there are 1 views that are not"}},
		{{`DROP VIEW metrics_aggregate`, "metrics_aggregate: the view is missing"}},
		{{`CREATE INDEX i ON meta (key)`, "schema: there are 1 indexes"}},
		{{`CREATE MACRO m() AS 1`, "schema: there are 1 macros"}},
		{{`CREATE TYPE mood AS ENUM ('` + code + `')`, "schema: there are 1 types"}},
		{{`ALTER TABLE runs ADD COLUMN name VARCHAR`, "runs: 1 columns more"}},
		{{`ALTER TABLE runs DROP COLUMN reason`, "runs.reason: the column is missing"}},
		{{`ALTER TABLE runs RENAME COLUMN reason TO why`, "runs.reason: column 4 is another"}},
		{{`ALTER TABLE predictions ALTER y_prob TYPE FLOAT`, "predictions.y_prob: has the type FLOAT, not DOUBLE"}},
		{{`UPDATE essential_metrics SET config_id = 9 WHERE config_id = 6`, "supplementary_metrics.config_id config_id 6: is not in essential_metrics"}},
		{{`UPDATE essential_metrics SET outlier_method = 'zzz' WHERE config_id = 1`, "essential_metrics.config_id config_id 1: is not the place"}},
		{{`UPDATE essential_metrics SET outlier_method = 'pupil-gt', imputation_method = 'pupil-gt' WHERE config_id = 1`, "config_id 2: the configuration occurs more than once"}},
		{{`UPDATE stratos_metrics SET estimand = 'both' WHERE config_id = 1 AND measure = 'brier' AND estimand = 'mean_risk'`, "stratos_metrics.estimand config_id 1: is neither"}},
		{{`DELETE FROM essential_metrics`, "essential_metrics: there is no configuration"}},
		{{`UPDATE runs SET run_id = (SELECT min(run_id) FROM runs)`, "runs.run_id config_id"}},
		{
			{`UPDATE essential_metrics SET auroc = 1.1 WHERE config_id = 4`, "essential_metrics.auroc config_id 4: is not in [0, 1]"},
			{`UPDATE essential_metrics SET auroc = 'nan' WHERE config_id = 2`, "essential_metrics.auroc config_id 2: is NaN"},
			{`UPDATE essential_metrics SET calibration_slope = 'inf' WHERE config_id = 2`, "essential_metrics.calibration_slope config_id 2: is infinite"},
			{`UPDATE essential_metrics SET source_name = NULL WHERE config_id = 2`, "essential_metrics.source_name config_id 2: is NULL"},
			{`UPDATE essential_metrics SET source_name = 'about ` + strings.ToLower(code) + `' WHERE config_id = 1`, "essential_metrics.source_name config_id 1: holds what looks like"},
			{`UPDATE essential_metrics SET prevalence = 0.3 WHERE config_id = 1`, "essential_metrics.prevalence config_id 1: is not n_events"},
			{`UPDATE essential_metrics SET n_events = 40 WHERE config_id = 5`, "essential_metrics.n_events config_id 5: is more than n_test"},
			{`UPDATE essential_metrics SET auroc_ci_lower = NULL WHERE config_id = 1`, "config_id 1: the range is half given"},
			{`UPDATE essential_metrics SET run_id = 'x' WHERE config_id = 1`, "essential_metrics.run_id config_id 1: is not the run"},
			{`UPDATE essential_metrics SET outlier_method = 'AAA' WHERE config_id = 1`, "essential_metrics.outlier_method config_id 1: is not in the table methods"},
			{`UPDATE essential_metrics SET auroc = auroc + 0.01 WHERE config_id = 3`, "essential_metrics.auroc config_id 3: is not what the table checks says"},
			{`UPDATE essential_metrics SET brier = brier * 1.1 WHERE config_id = 3`, "essential_metrics.brier config_id 3: is not what the table checks says"},
			{`UPDATE essential_metrics SET auroc_ci_upper = 1 WHERE config_id = 3`, "essential_metrics.auroc_ci_upper config_id 3: is not what the table checks says"},
			{`UPDATE essential_metrics SET o_e_ratio = 1.1 * o_e_ratio WHERE config_id = 3`, "essential_metrics.o_e_ratio config_id 3: is not that of stratos_metrics"},
			{`UPDATE essential_metrics SET net_benefit_20pct = NULL WHERE config_id = 3`, "essential_metrics.net_benefit_20pct config_id 3: is not that of stratos_metrics"},
			{`UPDATE essential_metrics SET scaled_brier = scaled_brier - 0.1 WHERE config_id = 3`, "essential_metrics.scaled_brier config_id 3: is not that of stratos_metrics"},
			{`UPDATE essential_metrics SET calibration_slope = 1.1 * calibration_slope WHERE config_id = 1`, "essential_metrics.calibration_slope config_id 1: is not that of the predictions"},
			{`UPDATE essential_metrics SET calibration_intercept = NULL WHERE config_id = 1`, "essential_metrics.calibration_intercept config_id 1: is not that of the predictions"},
			{`UPDATE essential_metrics SET source_name = 'Jane Doe' WHERE config_id = 4`, "essential_metrics.source_name config_id 4: is not made of the four methods"},
			{`UPDATE essential_metrics SET registered = NOT registered WHERE config_id = 2`, "essential_metrics.registered config_id 2: does not agree"},
		},
		{
			{`UPDATE supplementary_metrics SET f1_score = -0.1 WHERE config_id = 1`, "supplementary_metrics.f1_score config_id 1: is not in [0, 1]"},
			{`INSERT INTO supplementary_metrics SELECT * FROM supplementary_metrics WHERE config_id = 1`, "supplementary_metrics.config_id config_id 1: occurs more than once"},
			{`UPDATE supplementary_metrics SET accuracy = 0.9, sensitivity = 0, specificity = 0 WHERE config_id = 2`, "warning: supplementary_metrics.accuracy config_id 2: does not follow"},
			{`UPDATE supplementary_metrics SET npv = NULL`, "warning: supplementary_metrics.npv: is NULL for all configurations"},
			{`DELETE FROM supplementary_metrics WHERE config_id = 3`, "supplementary_metrics.config_id config_id 3: the configuration has no row"},
			{`UPDATE provenance SET artifact_blake3_keyed = 'metrics of Jane Doe' WHERE config_id = 1`, "provenance.artifact_blake3_keyed config_id 1: is not a digest"},
			{`UPDATE provenance SET reader_version = 'Jane Doe' WHERE config_id = 2`, "provenance.reader_version config_id 2: is not of the published form"},
			{`UPDATE provenance SET bytes = -1 WHERE config_id = 3`, "provenance.bytes config_id 3: is below 0"},
			{`UPDATE provenance SET artifact_blake3_keyed = (SELECT artifact_blake3_keyed FROM provenance WHERE config_id = 6) WHERE config_id = 5`, "warning: provenance.artifact_blake3_keyed config_id 5: another configuration"},
			{`DELETE FROM provenance WHERE config_id = 4`, "provenance.config_id config_id 4: the configuration has no row"},
			{`UPDATE runs SET config_id = NULL WHERE config_id = 1`, "runs.config_id: a run has one without"},
			{`UPDATE runs SET verdict = 'lost' WHERE verdict = 'failed'`, "runs.verdict: is none"},
			{`UPDATE runs SET run_id = 'Jane Doe' WHERE verdict = 'excluded'`, "runs.run_id: is neither an id"},
			{`UPDATE runs SET reason = 'see the notes' WHERE verdict = 'no_artifact'`, "runs.reason: is not of the published list"},
			{`UPDATE methods SET name = 'invented' WHERE name = 'SubPCA'`, "methods.name: 1 methods of the factor outlier are not in the registry"},
			{`UPDATE methods SET label = 'Best' WHERE name = 'LOF'`, "methods.category, label, registered: 1 methods of the factor outlier are not described as in the registry"},
			{`UPDATE methods SET category = 'other' WHERE name = 'simple1.0'`, "1 methods of the factor featurization are not described"},
			{`UPDATE methods SET registered = false WHERE name = 'CatBoost'`, "1 methods of the factor classifier are not described"},
			{`UPDATE methods SET factor = 'colour' WHERE name = 'PROPHET'`, "methods.factor: is none"},
		},
		{
			{`UPDATE calibration_curves SET n_samples = n_samples + 1 WHERE config_id = 1 AND n_samples > 0 AND bin_index = 3`, "calibration_curves.n_samples config_id 1: is not that of the predictions"},
			{`UPDATE calibration_curves SET observed_proportion = 0.4321 WHERE config_id = 1 AND bin_index = 3`, "calibration_curves.observed_proportion config_id 1: is not that of the predictions"},
			{`UPDATE calibration_curves SET predicted_mean = NULL WHERE config_id = 1 AND bin_index = 3`, "calibration_curves.predicted_mean config_id 1: is not that of the predictions"},
			{`UPDATE calibration_curves SET bin_midpoint = 0.5 WHERE config_id = 1`, "calibration_curves.bin_midpoint config_id 1: is not that of the predictions (10 rows)"},
			{`DELETE FROM calibration_curves WHERE curve_id = 13`, "calibration_curves.curve_id: the numbers are not"},
			{`DELETE FROM calibration_curves WHERE curve_id = 13`, "calibration_curves.bin_index config_id 2: there are not ten bins"},
			{`UPDATE checks SET ok = false WHERE config_id = 5 AND "check" = 'auroc_mean'`, "warning: checks.ok config_id 5"},
			{`UPDATE checks SET ok = false WHERE config_id = 5 AND "check" = 'auroc_mean'`, "checks.ok config_id 5: does not follow"},
			{`UPDATE checks SET found = found + 1 WHERE config_id = 6 AND "check" = 'auroc_sd'`, "checks.ok config_id 6: does not follow"},
			{`UPDATE checks SET tolerance = 9 WHERE config_id = 4`, "checks.tolerance config_id 4: is neither"},
			{`UPDATE checks SET "check" = 'Jane Doe' WHERE config_id = 3 AND "check" = 'brier_lower'`, "checks.check config_id 3: is none that"},
			{`DELETE FROM checks WHERE config_id = 2`, "checks.check config_id 2: auroc_mean is missing"},
		},
		{
			{`UPDATE calibration_smooth SET observed = observed + 0.001 WHERE config_id = 1 AND point_index = 7`, "calibration_smooth.observed config_id 1: is not that of the predictions"},
			{`UPDATE calibration_smooth SET lower = upper + 0.1 WHERE config_id = 2 AND point_index = 7 AND upper < 0.9`, "calibration_smooth.lower, upper config_id 2: the band"},
			{`UPDATE calibration_smooth SET method = 'lowess' WHERE config_id = 3`, "calibration_smooth.method config_id 3: is none that this version knows (101 rows)"},
			{`DELETE FROM calibration_smooth WHERE config_id = 4 AND point_index = 100`, "calibration_smooth.point_index config_id 4: the points are not numbered"},
			{`UPDATE calibration_smooth SET undefined = 'bad luck' WHERE config_id = 5 AND point_index = 3`, "calibration_smooth.undefined config_id 5: is no reason"},
			{`UPDATE calibration_smooth SET risk = risk + 0.01 WHERE config_id = 6 AND point_index = 50`, "calibration_smooth.risk config_id 6: the risks do not ascend in equal steps"},
			{`UPDATE probability_distributions SET count = count + 1 WHERE config_id = 1 AND outcome = 1 AND bin_index = 4`, "probability_distributions.count config_id 1: is not that of the predictions"},
			{`UPDATE probability_distributions SET bin_end = 0.5 WHERE config_id = 2 AND bin_index = 0`, "probability_distributions.bin_end config_id 2: is not that of the predictions (2 rows)"},
			{`DELETE FROM probability_distributions WHERE config_id = 3 AND outcome = 0`, "probability_distributions.bin_index config_id 3: there are not ten bins of each outcome"},
			{`DELETE FROM probability_distributions WHERE config_id = 3 AND outcome = 0`, "probability_distributions.dist_id: the numbers are not"},
			{`UPDATE probability_distributions SET outcome = 0 WHERE config_id = 4 AND outcome = 1`, "config_id 4: occurs more than once"},
			{`UPDATE distribution_stats SET auroc = auroc - 0.001 WHERE config_id = 1`, "distribution_stats.auroc config_id 1: is not that of the predictions"},
			{`UPDATE distribution_stats SET median_cases = 1.5 WHERE config_id = 1`, "distribution_stats.median_cases config_id 1: is not in [0, 1]"},
			{`UPDATE distribution_stats SET median_controls = NULL WHERE config_id = 2`, "distribution_stats.median_controls config_id 2: is not that"},
			{`UPDATE distribution_stats SET mean_cases = mean_controls WHERE config_id = 3`, "distribution_stats.mean_cases config_id 3: is not that"},
			{`UPDATE distribution_stats SET n_controls = n_controls + 1 WHERE config_id = 4`, "distribution_stats.n_controls config_id 4: is not that"},
			{`DELETE FROM distribution_stats WHERE config_id = 5`, "distribution_stats.config_id config_id 5: the configuration has no row"},
			{`DELETE FROM meta WHERE key = 'n_subjects'`, "meta.key: n_subjects is missing"},
			{`UPDATE meta SET value = '7' WHERE key = 'n_configs'`, "meta.value: n_configs is 7, and the tables hold 6"},
			{`UPDATE meta SET value = '2' WHERE key = 'runs.failed'`, "meta.value: runs.failed is 2"},
			{`UPDATE meta SET value = '31' WHERE key = 'n_test'`, "meta.value: n_test is not what the tables hold"},
			{`DELETE FROM meta WHERE key = 'n_refits'`, "meta.value: n_refits is not what the tables hold"},
			{`UPDATE meta SET value = '5' WHERE key = 'n_unregistered'`, "meta.value: n_unregistered is 5, and the tables hold 2"},
			{`UPDATE meta SET key = 'Jane Doe' WHERE key = 'runs.deleted'`, "meta.key: 2 keys or settings"},
			{`UPDATE meta SET value = 'Jane Doe' WHERE key = 'settings.thresholds'`, "meta.key: 2 keys or settings"},
			{`UPDATE meta SET value = 'perhaps' WHERE key = 'synthetic'`, "meta.value: synthetic is not true or false"},
			{`UPDATE meta SET value = 'many' WHERE key = 'n_event'`, "meta.value: n_event is not a count"},
			{`UPDATE meta SET value = '40' WHERE key = 'n_subjects'`, "meta.value: n_control and n_event do not add up"},
			{`UPDATE meta SET value = '1' WHERE key = 'n_control'`, "meta.value: n_control is 1, and the predictions hold 20"},
			{`UPDATE meta SET value = '2' WHERE key = 'schema_version'`, "meta.value: schema_version is not 1"},
		},
		{
			{`UPDATE method_means SET n_cells = 7 WHERE factor = 'classifier'`, "method_means: n_cells is not what the configurations give (14 rows)"},
			{`UPDATE method_means SET undefined = 'bad luck' WHERE undefined = 'no_common_cells' AND measure = 'brier'`, "method_means.undefined: is no reason"},
			{`UPDATE paired_differences SET estimate = estimate + 0.01 WHERE config_id = 1 AND measure = 'nb@0.1'`, "paired_differences: estimate is not what the configurations give (2 rows)"},
			{`UPDATE paired_differences SET verdict = 'better' WHERE config_id = 1 AND measure = 'brier'`, "paired_differences.verdict config_id 1: does not follow from the intervals and the margin (2 rows)"},
			{`UPDATE paired_differences SET verdict = 'splendid' WHERE config_id = 2 AND measure = 'brier'`, "paired_differences.verdict config_id 2: is none that this version knows (2 rows)"},
			{`UPDATE paired_differences SET equivalence_lower = NULL WHERE config_id = 1 AND measure = 'auroc'`, "paired_differences.equivalence_lower, equivalence_upper config_id 1: the interval is half given"},
			{`UPDATE paired_differences SET note = 'Jane Doe' WHERE config_id = 2 AND measure = 'auroc'`, "paired_differences.note: is not of the published form"},
			{`UPDATE selected SET config_id = 3 - config_id WHERE measure = 'brier' AND rank = 1`, "selected: config_id is not what the configurations give"},
			{`UPDATE selected SET ci_method = 'guess' WHERE measure = 'brier'`, "selected.ci_method: is none that this version knows"},
			{`UPDATE selected SET scope = 'Jane Doe' WHERE measure = 'auroc'`, "selected.scope config_id 1: is none that this version knows"},
		},
		{{`UPDATE paired_differences SET ci_lower = ci_lower - 0.2 WHERE config_id = 1 AND estimand = 'mean_risk' AND measure = 'scaled_brier'`, "paired_differences: intervals of the mean risk are not those that the predictions give (1 rows)"}},
		{{`UPDATE selected SET corrected = corrected - 0.01 WHERE estimand = 'mean_risk' AND measure = 'auroc' AND scope = 'overall'`, "selected: corrected is not what the configurations give (2 rows)"}},
		{{`UPDATE meta SET value = '1.5' WHERE key = 'settings.mid'`, "meta.value: settings.mid is not a number between 0 and 1"}},
		{{`DELETE FROM paired_differences WHERE config_id = 2 AND measure = 'auroc'`, "paired_differences: there are"}},
		{
			{`UPDATE dca_curves SET net_benefit_all = greatest(0, net_benefit_all - 0.01) WHERE config_id = 1`, "dca_curves.net_benefit_all config_id 1: is not that of the predictions (50 rows)"},
			{`UPDATE dca_curves SET net_benefit_none = 0.1 WHERE config_id = 1`, "dca_curves.net_benefit_none config_id 1: is not 0"},
			{`UPDATE dca_curves SET net_benefit_model = 0.3 WHERE dca_id = 1`, "dca_curves.net_benefit_model config_id 1: is not that"},
			{`UPDATE dca_curves SET sensitivity = 0.1 WHERE config_id = 1`, "dca_curves.sensitivity config_id 1: is not that of the predictions"},
			{`UPDATE dca_curves SET specificity = NULL WHERE dca_id = 5`, "dca_curves.specificity config_id 1: is not that of the predictions"},
			{`UPDATE dca_curves SET threshold = 0.1 WHERE dca_id = 51`, "dca_curves.config_id, threshold config_id 2: occurs more than once"},
			{`UPDATE dca_curves SET threshold = 0.1 WHERE dca_id = 51`, "dca_curves.threshold config_id 2: the thresholds are not"},
			{`DELETE FROM dca_curves WHERE dca_id = 300`, "dca_curves.threshold config_id 6: the thresholds are not"},
			{`UPDATE risk_quantiles SET q25 = q75 + 0.01 WHERE config_id = 1 AND subject_code = 'H001'`, "risk_quantiles.q025, q25, q50, q75, q975 config_id 1: the quantiles do not ascend"},
			{`UPDATE risk_quantiles SET sd = 0.9 WHERE config_id = 2 AND subject_code = 'H001'`, "risk_quantiles.sd config_id 2: cannot be"},
			{`UPDATE risk_quantiles SET sd = sd + 0.2 WHERE config_id = 2 AND subject_code = (SELECT arg_min(subject_code, sd) FROM risk_quantiles WHERE config_id = 2)`, "retention_metrics.metric_value config_id 2: brier is not that"},
			{`DELETE FROM risk_quantiles WHERE config_id = 3 AND subject_code = 'H001'`, "risk_quantiles.subject_code config_id 3: is not among"},
			{`UPDATE risk_quantiles SET subject_code = 'H077' WHERE config_id = 4 AND subject_code = 'H001'`, "risk_quantiles.subject_code config_id 4: is not among the predictions, or one of these is missing ("},
			{`UPDATE risk_quantiles SET subject_code = 'Jane Doe' WHERE config_id = 4 AND subject_code = 'H002'`, "risk_quantiles.subject_code config_id 4: is not among"},
			{`UPDATE risk_quantiles SET q50 = NULL WHERE config_id = 5`, "risk_quantiles.q50 config_id 5: is NULL (30 rows)"},
			{`UPDATE retention_metrics SET metric_value = -metric_value WHERE config_id = 1 AND metric_name = 'brier'`, "retention_metrics.metric_value config_id 1: brier is not that"},
			{`UPDATE retention_metrics SET retention_rate = 0.35 WHERE config_id = 5 AND metric_name = 'auroc' AND retention_rate < 0.34`, "retention_metrics.retention_rate config_id 5: the rates are not"},
			{`UPDATE retention_metrics SET metric_name = 'Jane Doe' WHERE config_id = 6 AND metric_name = 'auroc'`, "retention_metrics.metric_name config_id 6: is none"},
		},
		{
			{`DELETE FROM roc_curves WHERE config_id = 1 AND point_index = 0`, "roc_curves.point_index config_id 1: the points"},
			{`UPDATE roc_curves SET threshold = 1 WHERE config_id = 2 AND point_index = 0`, "config_id 2: the curve is not that of the predictions"},
			{`UPDATE roc_curves SET tpr = tpr + 0.02 WHERE config_id = 3 AND point_index = 5`, "config_id 3: the curve is not that"},
			{`DELETE FROM roc_curves WHERE config_id = 4 AND point_index = 5`, "config_id 4: the curve is not that"},
			{`DELETE FROM roc_curves WHERE config_id = 5`, "roc_curves.config_id config_id 5: the configuration has no row"},
		},
		{
			{`UPDATE predictions SET y_prob = 1 - y_prob WHERE config_id = 4`, "stratos_metrics.estimate config_id 4: brier of the mean risk is not that of the predictions"},
			{`UPDATE predictions SET y_prob = 1 - y_prob WHERE config_id = 4`, "stratos_metrics.estimate config_id 4: oe_ratio of the mean risk is not"},
			{`UPDATE predictions SET y_prob = 1 - y_prob WHERE config_id = 4`, "stratos_metrics.estimate config_id 4: auroc of the mean risk is not"},
			{`UPDATE predictions SET y_true = 1 - y_true WHERE prediction_id = 1`, "predictions.y_true config_id 1: does not agree with the letter"},
			{`UPDATE predictions SET y_true = 2 WHERE prediction_id = 31`, "predictions.y_true config_id 2: is not in [0, 1]"},
			{`UPDATE predictions SET subject_code = 'S-1' WHERE prediction_id = 1`, "predictions.subject_code config_id 1: is not of the form"},
			{`UPDATE predictions SET subject_code = '` + code + `' WHERE prediction_id = 1`, "predictions.subject_code config_id 1: holds what looks like"},
			{`UPDATE predictions SET subject_code = 'H001' WHERE config_id = 2 AND subject_code = 'H002'`, "predictions.config_id, subject_code config_id 2: occurs more than once"},
			{`DELETE FROM predictions WHERE prediction_id = 180`, "predictions.y_true config_id 6: the subjects are not n_test"},
		},
		{
			{`UPDATE stratos_metrics SET estimate = NULL WHERE config_id = 2 AND measure = 'brier'`, "stratos_metrics.estimate config_id 2: is undefined without a reason, or has both a value and a reason (2 rows)"},
			{`UPDATE stratos_metrics SET estimate = NULL, undefined = 'bad luck' WHERE config_id = 1 AND measure = 'brier'`, "stratos_metrics.undefined config_id 1: is no reason"},
			{`UPDATE stratos_metrics SET estimate = 1.4, ci_upper = 1.5 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'auroc'`, "stratos_metrics.estimate config_id 4: auroc cannot be so"},
			{`UPDATE stratos_metrics SET estimate = 1.4, ci_upper = 1.5 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'auroc'`, "stratos_metrics.ci_upper config_id 4: auroc cannot be so"},
			{`UPDATE stratos_metrics SET estimate = -1 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'brier'`, "stratos_metrics.estimate config_id 4: brier cannot be so"},
			{`UPDATE stratos_metrics SET spread_upper = 1.1 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'scaled_brier'`, "stratos_metrics.spread_upper config_id 4: scaled_brier cannot be so"},
			{`UPDATE stratos_metrics SET spread_lower = -1 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'oe_ratio'`, "stratos_metrics.spread_lower config_id 4: oe_ratio cannot be so"},
			{`UPDATE stratos_metrics SET estimate = 0.9 WHERE config_id = 4 AND measure = 'nb@0.1'`, "stratos_metrics.estimate config_id 4: nb@0.1 cannot be so (2 rows)"},
			{`UPDATE stratos_metrics SET ci_level = 0.5 WHERE config_id = 4 AND ci_level IS NOT NULL`, "stratos_metrics.ci_level config_id 4: is not 0.95"},
			{`UPDATE stratos_metrics SET n_undefined = 9 WHERE config_id = 4 AND estimand = 'over_models' AND measure = 'nb@0.15'`, "stratos_metrics.n_undefined config_id 4: does not agree"},
			{`UPDATE stratos_metrics SET n_undefined = 1 WHERE config_id = 4 AND estimand = 'mean_risk' AND measure = 'nb@0.15'`, "stratos_metrics.n_undefined config_id 4: counts refits"},
			{`UPDATE stratos_metrics SET note = 'Jane Doe' WHERE config_id = 4 AND estimand = 'mean_risk' AND measure = 'nb@0.2'`, "stratos_metrics.note config_id 4: is not of the published form"},
			{`UPDATE stratos_metrics SET note = 'mean over 5 refits; interval undefined: jane' WHERE config_id = 6 AND estimand = 'over_models' AND measure = 'nb@0.2'`, "stratos_metrics.note config_id 6: is not of the published form"},
			{`UPDATE stratos_metrics SET tier = 'mandatory' WHERE config_id = 6`, "stratos_metrics.tier config_id 6: is not that of the measure"},
			{`UPDATE stratos_metrics SET domain = 'other' WHERE config_id = 6`, "stratos_metrics.domain config_id 6: is not that of the measure"},
			{`UPDATE stratos_metrics SET ci_method = 'bogus' WHERE config_id = 6 AND ci_lower IS NOT NULL`, "stratos_metrics.ci_method config_id 6: is not that of the measure"},
			{`UPDATE stratos_metrics SET estimate = estimate + 0.1 WHERE config_id = 6 AND estimand = 'mean_risk' AND measure = 'cal_intercept_offset'`, "config_id 6: cal_intercept_offset of the mean risk is not"},
			{`UPDATE stratos_metrics SET ci_lower = ci_lower - 0.01 WHERE config_id = 6 AND estimand = 'mean_risk' AND measure = 'oe_ratio'`, "config_id 6: oe_ratio of the mean risk has another interval"},
			{`UPDATE stratos_metrics SET spread_lower = 90, spread_upper = 91 WHERE config_id = 6 AND estimand = 'over_models' AND measure = 'cal_slope'`, "config_id 6: the spread does not hold the median"},
			{`UPDATE stratos_metrics SET spread_sd = NULL WHERE config_id = 6 AND estimand = 'over_models' AND measure = 'nb@0.05'`, "stratos_metrics.spread_sd config_id 6: the spread is half given, or"},
			{`UPDATE stratos_metrics SET estimate = estimate - 0.001 WHERE config_id = 6 AND estimand = 'over_models' AND measure = 'scaled_brier'`, "config_id 6: the scaled Brier score over models"},
			{`UPDATE stratos_metrics SET estimate = estimate + 0.001 WHERE config_id = 6 AND estimand = 'over_models' AND measure = 'auroc'`, "config_id 6: auroc over models is not what the table checks found"},
			{`UPDATE stratos_metrics SET ci_lower = ci_upper WHERE config_id = 1 AND measure = 'auroc' AND estimand = 'mean_risk'`, "config_id 1: the interval is half given"},
			{`UPDATE stratos_metrics SET ci_method = 'not_available' WHERE config_id = 1 AND measure = 'auroc' AND estimand = 'mean_risk'`, "stratos_metrics.ci_method config_id 1"},
			{`UPDATE stratos_metrics SET spread_lower = 9 WHERE config_id = 1 AND measure = 'auroc' AND estimand = 'over_models'`, "config_id 1: the spread"},
			{`UPDATE stratos_metrics SET n = 29 WHERE config_id = 1`, "stratos_metrics.n, n_events config_id 1"},
			{`DELETE FROM stratos_metrics WHERE config_id = 3 AND measure = 'nb@0.1'`, "stratos_metrics.measure config_id 3: measures are missing that other configurations have (2 rows)"},
			{`DELETE FROM stratos_metrics WHERE measure = 'cal_slope' AND estimand = 'mean_risk'`, "stratos_metrics.measure: mean_risk, cal_slope is missing"},
		},
	} {
		path := studytest.SharedDatabase(t)
		var damages []string
		for _, c := range batch {
			damages = append(damages, c.damage)
		}
		studytest.Change(t, path, damages...)
		findings, err := studytest.Findings(t, path)
		if err != nil {
			t.Errorf("%s: %v", batch[0].damage, err)
			continue
		}
		var lines []string
		for _, f := range findings {
			lines = append(lines, f.String())
		}
		all := strings.Join(lines, "\n")
		for _, c := range batch {
			if !strings.Contains(all, c.want) {
				t.Errorf("%s: findings\n%s\nlack %q", c.damage, all, c.want)
			}
		}
		if strings.Contains(all, "PLR") || strings.Contains(all, "notes") || strings.Contains(all, "invented") || strings.Contains(all, "Jane") {
			t.Errorf("%s: the findings quote the database", batch[0].damage)
		}
	}
}

// Nothing that people can write into a database beside its rows passes.
func TestValidateLooksAtTheCatalogue(t *testing.T) {
	racetest.Skip(t, "one goroutine asks DuckDB")
	for damage, want := range map[string]string{
		`COMMENT ON TABLE runs IS 'Jane Doe'`:                             "1 comments",
		`COMMENT ON COLUMN runs.reason IS 'Jane Doe'`:                     "1 comments",
		`COMMENT ON VIEW metrics_aggregate IS 'Jane Doe'`:                 "1 comments",
		`CREATE SCHEMA "Jane Doe"`:                                        "1 schemas",
		`CREATE MACRO jane(x) AS x + 1`:                                   "1 macros",
		`CREATE SEQUENCE jane`:                                            "1 sequences",
		`CREATE TYPE jane AS ENUM ('Doe')`:                                "1 types",
		`CREATE INDEX jane ON runs (run_id)`:                              "1 indexes",
		`CREATE VIEW jane AS SELECT 1`:                                    "there are 1 views that are not",
		`ALTER TABLE runs ALTER COLUMN reason SET DEFAULT 'Jane Doe'`:     "is defined in another way",
		`CREATE OR REPLACE VIEW metrics_aggregate AS SELECT 'Jane Doe' x`: "is defined in another way",
		`ALTER TABLE runs ALTER COLUMN verdict SET NOT NULL`:              "1 constraints",
	} {
		path := studytest.SharedDatabase(t)
		studytest.Change(t, path, damage)
		findings, err := studytest.Findings(t, path)
		if err != nil || len(findings) != 1 || !strings.Contains(findings[0].String(), want) || strings.Contains(findings[0].String(), "Jane") {
			t.Errorf("%s: findings %v, error %v, want %q", damage, findings, err, want)
		}
	}
}

// Test sets of one class have no ROC curve and no slope, which is no fault.
func TestValidateTakesTestSetsOfOneClass(t *testing.T) {
	for name, classes := range map[string][]int{"controls": {0}, "events": {1}, "both": {0, 1}} {
		s := studytest.New(t, studytest.Original)
		random := rand.New(rand.NewPCG(5, 6))
		for i, r := range s.Records[:len(studytest.Configurations)] {
			if name == "both" && i > 1 {
				break
			}
			class := classes[i%len(classes)]
			subjects, outcomes := r.Subjects, r.Outcomes
			r.Subjects, r.Outcomes = nil, nil
			r.Measures, r.ROC, r.Bins, r.Decision, r.Checks, r.Joint = nil, nil, nil, nil, nil, extract.Joint{}
			for k, outcome := range outcomes {
				if outcome == class {
					r.Subjects, r.Outcomes = append(r.Subjects, subjects[k]), append(r.Outcomes, outcome)
				}
			}
			risks := make([][]float64, studytest.Refits)
			for m := range risks {
				for range r.Outcomes {
					risks[m] = append(risks[m], random.Float64())
				}
			}
			studytest.Measure(t, r, risks)
			// Of one class there is no such share.
			missing := "sensitivity"
			if class == 1 {
				missing = "specificity"
			}
			r.Scalars[missing] = extract.Scalar{N: studytest.Refits}
		}
		path := studytest.Written(t, studytest.Assemble(t, s, studytest.Options()))
		findings, err := studytest.Findings(t, path)
		for _, f := range findings {
			if !f.Warning {
				t.Errorf("%s: %s", name, f)
			}
		}
		if err != nil {
			t.Error(name, err)
		}
		studytest.Change(t, path, `INSERT INTO roc_curves SELECT config_id, 0, NULL, 0, 0 FROM essential_metrics WHERE n_events = 0 OR n_events = n_test`)
		if findings, err = studytest.Findings(t, path); err != nil || !strings.Contains(fmt.Sprint(findings), "a test set of one class has no curve") {
			t.Errorf("%s: findings %v, error %v", name, findings, err)
		}
	}
}

// What validation says of itself: how many configurations it computed again, and of
// how many the intervals that take longest.
func TestVerdictSaysHowFarItLooked(t *testing.T) {
	content := studytest.SharedRows(t)
	verdict, err := validation.Validate(t.Context(), studytest.SharedDatabase(t), studytest.Registry(t))
	if want := len(content[schema.Essential]); err != nil || verdict.Recomputed != want || verdict.Curves != want {
		t.Errorf("%d configurations and curves of %d, error %v, want %d", verdict.Recomputed, verdict.Curves, err, want)
	}
}
