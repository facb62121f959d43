"""Queries as scripts of the reference put them, on the database of the example.

usage: duckdb_queries.py DATABASE
"""

import math
import sys

import duckdb

con = duckdb.connect(sys.argv[1], read_only=True)
asked = 0


def rows(query, n=None):
    """The rows of a query, of which there must be n, or at least one."""
    global asked
    asked += 1
    found = con.execute(query).fetchall()
    if (len(found) != n) if n is not None else not found:
        sys.exit(f"{len(found)} rows, not {'any' if n is None else n}: {query}")
    return found


def same(what, got, want, tolerance=0.0):
    if not (got == want or abs(got - want) <= tolerance):
        sys.exit(f"{what} is {got!r}, not {want!r}")


CONFIGS, SUBJECTS, EVENTS = 52, 63, 17
# Every name that the reference's schema has, but for its clock and its log.
REFERENCE = {
    "essential_metrics": "config_id outlier_method imputation_method classifier featurization source_name run_id mlflow_run_id auroc auroc_ci_lower auroc_ci_upper calibration_slope calibration_intercept o_e_ratio brier net_benefit_5pct net_benefit_10pct net_benefit_15pct net_benefit_20pct n_test n_events prevalence",
    "supplementary_metrics": "config_id f1_score accuracy aupr sensitivity specificity ppv npv",
    "calibration_curves": "curve_id config_id bin_index bin_midpoint observed_proportion predicted_mean n_samples",
    "probability_distributions": "dist_id config_id outcome bin_index bin_start bin_end count",
    "dca_curves": "dca_id config_id threshold net_benefit_model net_benefit_all net_benefit_none sensitivity specificity",
    "predictions": "prediction_id config_id subject_code y_true y_prob",
    "retention_metrics": "retention_id config_id retention_rate metric_name metric_value",
    "cohort_metrics": "cohort_id config_id cohort_fraction metric_name metric_value",
    "distribution_stats": "config_id auroc median_cases median_controls mean_cases mean_controls n_cases n_controls",
    "metrics_aggregate": "run_id source_name split classifier featurization imputation_method outlier_method AUROC_mean AUROC_std AUROC_ci_lo AUROC_ci_hi Brier_mean Brier_std sensitivity_mean specificity_mean",
}
for table, columns in REFERENCE.items():
    rows(f"SELECT {', '.join(columns.split())} FROM {table}")
    # Sequences of ids, and NaN nowhere.
    for column, kind in rows(f"SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{table}'"):
        if kind == "DOUBLE":
            rows(f'SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE isnan("{column}"))', 1)

# Forest plots and heat map: methods by AUROC, best first.
for factor in "outlier_method", "imputation_method":
    rows(f"SELECT {factor}, AVG(auroc), MIN(auroc_ci_lower), MAX(auroc_ci_upper), COUNT(*) FROM essential_metrics WHERE classifier = 'CatBoost' AND auroc IS NOT NULL GROUP BY {factor} ORDER BY AVG(auroc) DESC")
rows("SELECT outlier_method, imputation_method, auroc FROM essential_metrics WHERE classifier = 'CatBoost' AND featurization LIKE '%simple%' ORDER BY auroc DESC")
rows("PIVOT (SELECT outlier_method, imputation_method, auroc FROM essential_metrics WHERE classifier = 'CatBoost' AND featurization = 'simple1.0') ON imputation_method USING avg(auroc) GROUP BY outlier_method")
rows("SELECT classifier, AVG(auroc), STDDEV(auroc), COUNT(*) FROM essential_metrics GROUP BY classifier ORDER BY 2 DESC")
same("configurations", rows("SELECT COUNT(*) FROM essential_metrics")[0][0], CONFIGS)

# What a configuration came from: the quality of its outlier detection beside its own.
for table, n in ("outlier_runs", 11), ("imputation_runs", 42), ("featurization_runs", 46):
    same(table, rows(f"SELECT COUNT(*) FROM {table} WHERE verdict = 'used'")[0][0], n)
rows("SELECT e.outlier_method, m.value, e.auroc FROM essential_metrics e JOIN lineage l USING (config_id) JOIN upstream_metrics m ON m.run_id = l.from_run_id WHERE l.stage = 'outlier_detection' AND m.metric = 'outlier_f1' AND l.agrees", 41)

# One pipeline's curves.
one = "SELECT config_id FROM essential_metrics WHERE outlier_method = 'pupil-gt' AND imputation_method = 'pupil-gt' AND classifier = 'CatBoost' AND featurization = 'simple1.0'"
(config,) = rows(one, 1)[0]
points = rows(f"SELECT bin_midpoint, observed_proportion, predicted_mean, n_samples FROM calibration_curves WHERE config_id = {config} ORDER BY bin_index", 10)
same("subjects in bins", sum(p[3] for p in points), SUBJECTS)
rows(f"SELECT threshold, net_benefit_model, net_benefit_all, net_benefit_none FROM dca_curves WHERE config_id = {config} ORDER BY threshold", 50)
bins = rows(f"SELECT outcome, bin_start, bin_end, count FROM probability_distributions WHERE config_id = {config} ORDER BY outcome, bin_index", 20)
same("events in bins", sum(b[3] for b in bins if b[0] == 1), EVENTS)

# What a script would compute itself from the predictions.
p = rows(f"SELECT y_true, y_prob FROM predictions WHERE config_id = {config} ORDER BY subject_code", SUBJECTS)
cases, controls = [r[1] for r in p if r[0] == 1], [r[1] for r in p if r[0] == 0]
auroc = sum((a > b) + (a == b) / 2 for a in cases for b in controls) / len(cases) / len(controls)
stats = rows(f"SELECT auroc, mean_cases, mean_controls, n_cases, n_controls FROM distribution_stats WHERE config_id = {config}", 1)[0]
for what, got, want in ("AUROC", stats[0], auroc), ("mean of cases", stats[1], math.fsum(cases) / EVENTS), ("mean of controls", stats[2], math.fsum(controls) / (SUBJECTS - EVENTS)):
    same(what, got, want, 1e-12)
brier = math.fsum((y - q) ** 2 for y, q in p) / SUBJECTS
same("cases and controls", stats[3:], (EVENTS, SUBJECTS - EVENTS))

# Retention: all subjects at the end, and the cohort's curve the same.
kept = rows(f"SELECT retention_rate, metric_value FROM retention_metrics WHERE config_id = {config} AND metric_name = 'brier' ORDER BY retention_rate", 18)
same("last rate", kept[-1][0], 1.0)
same("Brier score of all", kept[-1][1], brier, 1e-12)
cohort = rows(f"SELECT cohort_fraction, metric_value FROM cohort_metrics WHERE config_id = {config} AND metric_name = 'brier' ORDER BY cohort_fraction", 18)
same("cohort", cohort, kept)

# The other exporter's names, and subjects over configurations.
rows("SELECT classifier, AVG(AUROC_mean), AVG(AUROC_std), MIN(AUROC_ci_lo), MAX(AUROC_ci_hi) FROM metrics_aggregate WHERE split = 'test' GROUP BY classifier", None)
rows("SELECT e.outlier_method, e.auroc, s.f1_score, s.sensitivity FROM essential_metrics e JOIN supplementary_metrics s USING (config_id) ORDER BY e.auroc DESC LIMIT 10", 10)
rows("SELECT subject_code, AVG(y_prob), STDDEV(y_prob), COUNT(*) FROM predictions GROUP BY subject_code HAVING COUNT(*) > 1", SUBJECTS)
rows("SELECT * FROM stratos_metrics WHERE estimand = 'over_models' AND measure = 'auroc'", CONFIGS)
rows("SELECT q.* FROM risk_quantiles q JOIN predictions p USING (config_id, subject_code)", CONFIGS * SUBJECTS)
rows("SELECT * FROM provenance", CONFIGS)
try:
    con.execute("DELETE FROM predictions")
    sys.exit("a read-only connection takes a DELETE")
except duckdb.Error:
    pass
print(f"DuckDB {duckdb.__version__}: {asked} queries")
