package metrics

import (
	"fmt"
	"math"
	"strconv"

	"github.com/foundation-plr/pipeline/metrics/resample"
)

// Tiers of measures: recommended, not_essential and inadvisable are those of Van
// Calster et al., Lancet Digital Health 2025, as the source of
// riccc-rush-lab/faircareai cites their table 2; descriptive measures are
// reported in pairs; supplementary ones are not among the 32 of the overview.
const (
	Recommended   = "recommended"
	NotEssential  = "not_essential"
	Inadvisable   = "inadvisable"
	Descriptive   = "descriptive"
	Supplementary = "supplementary"
)

// Domains of measures.
const (
	Discrimination = "discrimination"
	Calibration    = "calibration"
	Overall        = "overall"
	Classification = "classification"
	Utility        = "utility"
)

// DefaultThresholds are the risks at which classification and utility are
// measured where none are given.
var DefaultThresholds = []float64{0.05, 0.1, 0.15, 0.2, 0.5}

// Cost is the cost of a false negative and of a false positive.
type Cost struct{ FalseNegative, FalsePositive float64 }

// DefaultCosts are the costs at which the expected cost is measured where none
// are given.
var DefaultCosts = []Cost{{9, 1}, {4, 1}, {1, 1}, {1, 4}}

// Options are the choices of the table of measures.
type Options struct {
	Thresholds []float64 // in (0, 1); none: DefaultThresholds
	Costs      []Cost    // none: DefaultCosts
	// Replicates is the number of resamples of the intervals that need them; 0:
	// these intervals are not_available.
	Replicates int
	Seed       uint64
	// All adds to the measures of the STRATOS overview their variants, standard
	// errors and tests, and the classification at the prevalence.
	All bool
	// Wald replaces the default intervals of AUROC, offset intercept and slope by
	// normal ones.
	Wald bool
	// Exact replaces Wilson's intervals of proportions by Clopper and Pearson's.
	Exact bool
	// WithoutCurves leaves errors of smoothed calibration curves without an interval:
	// resampling them is more than half of the cost of a table.
	WithoutCurves bool
}

// Table returns the measures of s in fixed order, with their default intervals:
// all of the STRATOS overview, by the keys that the table of the package page
// lists. The Estimand of its rows is empty.
//
// Its cost is that of the sort, of the smoothed curve (rows times distinct risks;
// beyond 10^8 of these it is not made) and of the bootstrap (Replicates passes
// over the subjects). The error is of an option.
func Table(s *Sample, o Options) ([]Row, error) {
	if len(o.Thresholds) == 0 {
		o.Thresholds = DefaultThresholds
	}
	if len(o.Costs) == 0 {
		o.Costs = DefaultCosts
	}
	for _, t := range o.Thresholds {
		if !(t > 0 && t < 1) {
			return nil, fmt.Errorf("threshold %v is not in (0, 1)", t)
		}
	}
	for _, c := range o.Costs {
		if !(c.FalseNegative >= 0 && c.FalsePositive >= 0) || math.IsInf(c.FalseNegative+c.FalsePositive, 0) {
			return nil, fmt.Errorf("costs %v and %v: want finite ones of at least 0", c.FalseNegative, c.FalsePositive)
		}
	}
	if o.Replicates < 0 || o.Replicates == 1 {
		return nil, fmt.Errorf("%d replicates: want none, or two or more", o.Replicates)
	}
	t := &table{s: s, o: o}
	t.discrimination()
	t.calibration()
	t.overall()
	for _, at := range o.Thresholds {
		t.classification(short(at), at)
	}
	if o.All {
		t.classification("prev", s.prevalence())
	}
	t.utility()
	t.bootstrap()
	return t.rows, nil
}

// short is a threshold as keys have it: the shortest decimal.
func short(t float64) string { return strconv.FormatFloat(t, 'f', -1, 64) }

// table collects rows; resampled are the statistics whose intervals the
// bootstrap makes, with their rows.
type table struct {
	s         *Sample
	o         Options
	rows      []Row
	resampled []Statistic
	rowOf     []int
}

func (t *table) add(key, domain, tier string, r Result) {
	t.rows = append(t.rows, Row{Measure: key, Domain: domain, Tier: tier, Result: r})
}

// more adds a row of all measures.
func (t *table) more(key, domain string, r Result) {
	if t.o.All {
		t.add(key, domain, Supplementary, r)
	}
}

// number adds a number that has no interval of its own and is undefined where of
// is.
func (t *table) number(key, domain string, v float64, of Result) {
	r := of
	r.Interval = Interval{Undefined: NotAvailable}
	if of.Defined() {
		r.Value = v
	} else {
		r.Interval.Undefined = of.Undefined
	}
	t.more(key, domain, r)
}

// test adds a test's statistic, and its degrees of freedom and p-value where they
// have keys.
func (t *table) test(test Test, domain, statistic, df, p string) {
	r := newResult(t.s, value{undefined: test.Undefined})
	r.Note = test.Note
	for _, part := range []struct {
		key string
		v   float64
	}{{statistic, test.Statistic}, {df, test.DF}, {p, test.P}} {
		if part.key != "" {
			t.number(part.key, domain, part.v, r)
		}
	}
}

// resample adds a row whose interval the bootstrap makes.
func (t *table) resample(st Statistic, domain, tier string, r Result) {
	t.resampled = append(t.resampled, st)
	t.rowOf = append(t.rowOf, len(t.rows))
	t.add(st.Key, domain, tier, r)
}

func (t *table) discrimination() {
	const domain = Discrimination
	a := AUROC(t.s)
	if t.o.Wald && a.Defined() {
		a.Interval = AUROCInterval(t.s, DeLongWald, Level)
	}
	t.add("auroc", domain, Recommended, a)
	t.more("auroc_delong_var", domain, DeLongVariance(t.s))
	t.more("auroc_hanley_mcneil_se", domain, HanleyMcNeilSE(t.s))
	t.more("somers_dxy", domain, SomersD(t.s))
	t.resample(StatisticAveragePrecision, domain, Inadvisable, AveragePrecision(t.s))
	t.add("auprc_davis_goadrich", domain, Inadvisable, AUPRC(t.s))
	t.more("auprc_integral_keilwagen", domain, AUPRCContinuous(t.s))
	t.more("auprc_trapezoid", domain, AUPRCTrapezoid(t.s))
	const from = 0.8 // the part of the curve that the overview's example takes
	t.add("pauroc_sens_0.8_1", domain, Inadvisable, PartialAUROC(t.s, HighSensitivity, from, false))
	t.add("pauroc_spec_0.8_1", domain, Inadvisable, PartialAUROC(t.s, HighSpecificity, from, false))
	t.more("pauroc_spec_0.8_1_mcclish", domain, PartialAUROC(t.s, HighSpecificity, from, true))
	best := YoudenOptimum(t.s)
	r := newResult(t.s, undefined(best.Undefined))
	t.number("youden_best_threshold", domain, best.Threshold, r)
	t.number("youden_best_sensitivity", domain, best.Sensitivity, r)
	t.number("youden_best_specificity", domain, best.Specificity, r)
}

func (t *table) calibration() {
	const domain = Calibration
	s := t.s
	oe := OE(s)
	t.add("oe_ratio", domain, NotEssential, oe)
	if t.o.All {
		log := oe
		if log.Defined() && log.Value > 0 && !math.IsInf(log.Value, 0) {
			log.Value = math.Log(log.Value)
		} else if log.Defined() {
			log = newResult(s, undefined(ZeroDenominator))
		}
		t.number("oe_log", domain, log.Value, log)
		t.number("oe_log_se", domain, oeLogSE(s), log)
	}
	r := Recalibrate(s)
	if t.o.Wald {
		if r.Intercept.Defined() {
			r.Intercept.Interval = WaldInterval(r.Intercept.Value, r.InterceptSE, Level)
		}
		if r.Slope.Defined() {
			r.Slope.Interval = WaldInterval(r.Slope.Value, r.SlopeSE, Level)
		}
	}
	t.add("cal_intercept_offset", domain, NotEssential, r.Intercept)
	t.number("cal_intercept_offset_se", domain, r.InterceptSE, r.Intercept)
	t.add("cal_slope", domain, NotEssential, r.Slope)
	t.number("cal_slope_se", domain, r.SlopeSE, r.Slope)
	t.more("cal_joint_intercept", domain, r.JointIntercept)
	t.number("cal_joint_intercept_se", domain, r.JointInterceptSE, r.JointIntercept)
	t.test(r.Weak, domain, "lrt_weak_calibration", "", "lrt_weak_calibration_p")
	t.test(r.InTheLarge, domain, "lrt_in_the_large", "", "lrt_in_the_large_p")
	t.test(r.SlopeTest, domain, "lrt_slope", "", "lrt_slope_p")

	for _, how := range []Smoother{LoessDirect, LowessIter0, Spline3, Spline5} {
		if how != LoessDirect && !t.o.All {
			break
		}
		e := CalibrationErrors(s, how)
		row := func(name, tier string, r Result) {
			if tier == Supplementary && !t.o.All {
				return
			}
			if st, is := ofLoess[name]; is && how == LoessDirect && !t.o.WithoutCurves {
				t.resample(st, domain, tier, r)
				return
			}
			t.add(string(how)+"_"+name, domain, tier, r)
		}
		main := NotEssential
		if how != LoessDirect {
			main = Supplementary
		}
		row("ici", main, e.ICI)
		row("eci_stratos", main, e.ECI)
		row("e50", Supplementary, e.E50)
		row("e90", Supplementary, e.E90)
		row("emax", Supplementary, e.Emax)
		row("eci_x100", Supplementary, e.ECI100)
	}
	for _, g := range []int{10, 5} {
		tier := NotEssential
		if g != 10 {
			tier = Supplementary
		}
		if tier != Supplementary || t.o.All {
			t.resample(StatisticECEQuantile(g), domain, tier, t.binned(ExpectedCalibrationError(s, QuantileBins(s, g)), g))
		}
	}
	if !t.o.All {
		return
	}
	for _, g := range []int{5, 10} {
		t.test(HosmerLemeshow(s, g), domain, fmt.Sprintf("hl_chisq_g%d", g), fmt.Sprintf("hl_df_g%d", g), fmt.Sprintf("hl_p_g%d", g))
	}
	for _, b := range []int{3, 10, 15} {
		bins := CalibrationBins(s, b)
		t.resample(StatisticECEWidth(b), domain, Supplementary, t.binned(ExpectedCalibrationError(s, bins), b))
		t.resample(StatisticMCEWidth(b), domain, Supplementary, t.binned(MaximumCalibrationError(s, bins), b))
	}
	t.test(Spiegelhalter(s), domain, "spiegelhalter_z", "", "spiegelhalter_p")
}

// smallGroup is the number of subjects a group below which a binned calibration error
// is mostly chance: with six its interval held the truth in 71 to 79 of 100 simulated
// samples, with forty in about 90.
const smallGroup = 20

// binned adds a note to an error of few subjects in each of its groups.
func (t *table) binned(r Result, groups int) Result {
	if r.Defined() && t.s.N() < smallGroup*groups {
		r.Note = groupsNote
	}
	return r
}

func (t *table) overall() {
	const domain = Overall
	s := t.s
	l := LogLikelihood(s)
	t.add("loglik", domain, NotEssential, l)
	t.more("loglik_null", domain, NullLogLikelihood(s))
	t.resample(StatisticLogLoss, domain, NotEssential, LogLoss(s))
	t.number("logloss_sum", domain, -l.Value, l)
	t.resample(StatisticBrier, domain, NotEssential, Brier(s))
	t.resample(StatisticScaledBrier, domain, NotEssential, ScaledBrier(s))
	t.resample(StatisticMcFadden, domain, NotEssential, McFadden(s))
	t.resample(StatisticCoxSnell, domain, NotEssential, CoxSnell(s))
	t.resample(StatisticNagelkerke, domain, NotEssential, Nagelkerke(s))
	t.resample(StatisticDiscrimination, domain, NotEssential, DiscriminationSlope(s))
	t.resample(StatisticMeanAbsoluteError, domain, Inadvisable, MeanAbsoluteError(s))
	if !t.o.All {
		return
	}
	d := DecomposeBrier(s, 10)
	r := newResult(s, undefined(d.Undefined))
	t.number("murphy10_reliability", domain, d.Reliability, r)
	t.number("murphy10_resolution", domain, d.Resolution, r)
	t.number("murphy10_uncertainty", domain, d.Uncertainty, r)
	t.number("murphy10_within_bin_variance", domain, d.WithinVariance, r)
	t.number("murphy10_within_bin_covariance_x2", domain, 2*d.WithinCovariance, r)
	q := QualityIndexes(s)
	t.more("val.prob[D]", domain, q.Discrimination)
	t.more("val.prob[U]", domain, q.Unreliability)
	t.more("val.prob[Q]", domain, q.Quality)
}

func (t *table) classification(at string, threshold float64) {
	const domain = Classification
	c := Classify(t.s, threshold)
	key := func(name string) string { return "class@" + at + "/" + name }
	exact := func(r Result, x, n int) Result {
		if t.o.Exact && r.Defined() {
			r.Interval = Interval{Method: ExactBinomial, Level: Level}
			r.Interval.Lower, r.Interval.Upper = ClopperPearson(x, n, Level)
		}
		return r
	}
	composite := func(name string, r Result) {
		st, err := StatisticClass(name, threshold)
		if err != nil || math.IsNaN(threshold) {
			t.add(key(name), domain, Inadvisable, r)
			return
		}
		st.Key = key(name)
		t.resample(st, domain, Inadvisable, r)
	}
	if t.o.All {
		whole := Result{N: c.N(), Events: c.Events(), Undefined: c.why}
		if at == "prev" {
			t.number(key("threshold"), domain, threshold, whole)
		}
		t.number(key("tp"), domain, float64(c.TP), whole)
		t.number(key("fp"), domain, float64(c.FP), whole)
		t.number(key("tn"), domain, float64(c.TN), whole)
		t.number(key("fn"), domain, float64(c.FN), whole)
	}
	t.add(key("sensitivity"), domain, Descriptive, exact(c.Sensitivity(), c.TP, c.Events()))
	t.add(key("specificity"), domain, Descriptive, exact(c.Specificity(), c.TN, c.controls()))
	t.add(key("ppv"), domain, Descriptive, exact(c.PPV(), c.TP, c.TP+c.FP))
	t.add(key("npv"), domain, Descriptive, exact(c.NPV(), c.TN, c.TN+c.FN))
	t.add(key("accuracy"), domain, Inadvisable, exact(c.Accuracy(), c.TP+c.TN, c.N()))
	composite("balanced_accuracy", c.BalancedAccuracy())
	composite("youden", c.Youden())
	t.add(key("dor"), domain, Inadvisable, c.DiagnosticOddsRatio())
	composite("kappa", c.Kappa())
	composite("f1", c.F1())
	composite("mcc", c.MCC())
	t.more(key("lr_pos"), domain, c.LRPositive())
	t.more(key("lr_neg"), domain, c.LRNegative())
	if t.o.All && at == "prev" {
		t.more(key("nb"), Utility, NetBenefit(t.s, threshold))
		t.more(key("nb_all"), Utility, NetBenefitAll(t.s, threshold))
		t.more(key("snb"), Utility, StandardisedNetBenefit(t.s, threshold))
	}
	t.more(key("net_intervention_avoided"), Utility, InterventionsAvoided(t.s, threshold))
}

func (t *table) utility() {
	const domain = Utility
	for _, at := range t.o.Thresholds {
		t.resample(StatisticNetBenefit(at), domain, Recommended, NetBenefit(t.s, at))
		t.add("nb_all@"+short(at), domain, Recommended, NetBenefitAll(t.s, at))
		t.resample(StatisticStandardisedNetBenefit(at), domain, Recommended, StandardisedNetBenefit(t.s, at))
	}
	for _, c := range t.o.Costs {
		t.add("expected_cost@"+short(c.FalseNegative)+":"+short(c.FalsePositive), domain, NotEssential,
			ExpectedCost(t.s, c.FalseNegative, c.FalsePositive))
	}
	if t.o.All {
		for _, share := range []float64{0.05, 0.1, 0.2, 0.5, 0.8, 0.9} {
			t.more("ec_norm@cfp"+short(share), domain, ExpectedCost(t.s, 1-share, share))
		}
	}
}

// bootstrap gives the resampled rows their intervals. Rows without a value keep
// the reason.
func (t *table) bootstrap() {
	if t.o.Replicates == 0 || t.s.N() == 0 {
		return
	}
	b, err := NewBootstrap(t.s, t.resampled...)
	if err != nil {
		return // only of a sample without subjects
	}
	replicates := b.Draw(t.o.Replicates, resample.Seed(t.o.Seed, "table"), Stratified)
	jackknife := b.jackknife(Stratified, true)
	for k, row := range t.rowOf {
		r := &t.rows[row].Result
		if r.Defined() {
			r.Interval = replicates.Interval(k, jackknife, resample.Options{Method: t.resampled[k].Method(), Level: Level})
			if n := replicates.Undefined(k); n > 0 {
				if r.Note != "" {
					r.Note += "; "
				}
				r.Note += fmt.Sprintf("undefined in %d of %d resamples", n, t.o.Replicates)
			}
		}
	}
}
