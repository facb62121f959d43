package schema

// View is a query that the file holds under a name.
type View struct{ Name, DDL string }

// Views are tables of the reference that say nothing of their own. The standard
// deviations of metrics_aggregate are those over refits, as there.
var Views = []View{
	{"cohort_metrics", `CREATE VIEW cohort_metrics AS
SELECT CAST(row_number() OVER (ORDER BY retention_id) AS INTEGER) AS cohort_id, config_id,
  retention_rate AS cohort_fraction, metric_name, metric_value
FROM retention_metrics WHERE metric_name <> 'net_benefit'
ORDER BY retention_id`},
	{"metrics_aggregate", `CREATE VIEW metrics_aggregate AS
SELECT e.run_id, e.source_name, 'test' AS split, e.classifier, e.featurization, e.imputation_method, e.outlier_method,
  e.auroc AS AUROC_mean, a.spread_sd AS AUROC_std, e.auroc_ci_lower AS AUROC_ci_lo, e.auroc_ci_upper AS AUROC_ci_hi,
  e.brier AS Brier_mean, b.spread_sd AS Brier_std, s.sensitivity AS sensitivity_mean, s.specificity AS specificity_mean
FROM essential_metrics e
LEFT JOIN supplementary_metrics s ON s.config_id = e.config_id
LEFT JOIN stratos_metrics a ON a.config_id = e.config_id AND a.estimand = 'over_models' AND a.measure = 'auroc'
LEFT JOIN stratos_metrics b ON b.config_id = e.config_id AND b.estimand = 'over_models' AND b.measure = 'brier'
ORDER BY e.config_id`},
}
