// Package metrics computes performance measures of predicted risks: the measures of
// the STRATOS overview (Van Calster et al., Lancet Digital Health 2025) by their
// definitions, with sampling intervals, for one set of risks and over the refits of
// a model.
//
// It is made of pure functions of outcomes and risks. It knows nothing of files,
// configurations, databases or figures, holds no state, and imports nothing of the
// module but its own parts: resample (draws and intervals), smooth (curves), logistic
// (fits), stability (what refits make of one subject), compare, ranks and anova
// (statistics on configurations).
//
// # Results
//
// A [Result] is a finite number, ±Inf where that is the true limit, or undefined with
// a [Reason]. Nothing is clipped and nothing undefined is reported as zero: a net
// benefit and a scaled Brier score may be negative, a log-likelihood is -Inf where a
// certain risk was wrong. Bad input is an [*InputError] that names the row.
//
// # Conventions
//
// Outcomes are 0 (control) or 1 (event); risks lie in [0, 1]; a subject is positive at
// threshold t when risk >= t. Higher risks mean events: the direction of the AUROC is
// never chosen from the data. Intervals are 95 % and describe the sampling of
// subjects; a [Spread] describes refits and is never a confidence interval.
//
// # Measures
//
// [Table] computes all of them by the keys below, [RefitTable] under the two estimands
// of a refitted model. Each function's own page has its definition, source and range.
//
//	key                       function                  in       is not
//	auroc                     AUROC                     [0,1]    accuracy; it ignores calibration
//	average_precision         AveragePrecision          (0,1]    comparable between prevalences
//	auprc_davis_goadrich      AUPRC                     [0,1]    the trapezoid, which is too large
//	pauroc_*                  PartialAUROC              [0,1-c]  the performance at a threshold
//	oe_ratio                  OE                        [0,∞]    calibration at any one risk
//	cal_intercept_offset      Recalibrate: Intercept    ±∞       the joint intercept
//	cal_slope                 Recalibrate: Slope        ±∞       defined where the classes are separated
//	*_ici, _e50, _e90, _emax  CalibrationErrors         [0,1]    unbiased: small samples look worse
//	*_eci_stratos, _eci_x100  CalibrationErrors         [0,∞)    one definition; two share the name
//	ece_*, mce_*              ExpectedCalibrationError  [0,1]    independent of the bins
//	loglik, logloss_mean      LogLikelihood, LogLoss    ±[0,∞]   clipped near 0 and 1
//	brier, scaled_brier       Brier, ScaledBrier        <= 1     calibration alone
//	r2_*                      McFadden, CoxSnell, …     <= 1     of refitted risks
//	discrimination_slope      DiscriminationSlope       [-1,1]   proper
//	mape                      MeanAbsoluteError         [0,1]    proper; nor Riley's MAPE
//	class@T/*                 Classify                           proper: reports in pairs only
//	nb@T, nb_all@T, snb@T     NetBenefit, …             <= π, 1  capped at 0; independent of prevalence
//	expected_cost@FN:FP       ExpectedCost              [0,∞)    at a threshold chosen before
//
// # Intervals
//
//	AUROC                                     DeLong on the logit scale
//	proportions at a threshold                Wilson
//	O:E, odds and likelihood ratios           normal on the log scale
//	offset intercept, slope                   profile likelihood
//	Brier, R², AP, net benefit and the like   stratified subject bootstrap, BCa
//	ICI, E50, E90, Emax, ECI, ECE, MCE        stratified subject bootstrap, bias-corrected normal
//	curves                                    the same bootstrap, pointwise percentiles
//
// How often they hold the truth in samples of 63 subjects stands in docs/measures.md.
//
// # Cost
//
// The risks of a [Sample] are sorted once, by digits, and measures then cost the
// number of distinct risks. DeLong's variance and BCa's jackknife need no pairs. A
// bootstrap replicate is one weighted pass, without a sort or an allocation; the
// recalibration of a replicate takes three steps, the first without an exp. A direct
// loess costs rows times distinct risks, that of a replicate 101 points times the
// distinct risks in a neighbourhood.
package metrics
