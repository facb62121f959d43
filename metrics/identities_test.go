package metrics

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// The terms of the decomposition sum to the Brier score.
func TestDecompositionSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, rapid.Float64Range(0, 1), 1)
		d := DecomposeBrier(s, rapid.IntRange(1, 15).Draw(t, "groups"))
		sum := d.Reliability - d.Resolution + d.Uncertainty + d.WithinVariance - 2*d.WithinCovariance
		if b := Brier(s).Value; !agree(sum, b, 1e-11) {
			t.Fatalf("sum %v of %+v, Brier %v", sum, d, b)
		}
	})
}

// Quantities that are defined apart and are related.
func TestRelations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 1)
		at := float64(rapid.IntRange(1, 99).Draw(t, "threshold")) / 100
		c := Classify(s, at)
		same := func(what string, a, b Result) {
			t.Helper()
			if a.Undefined != b.Undefined || a.Defined() && !agree(a.Value, b.Value, 1e-10) {
				t.Fatalf("%s: %+v and %+v", what, a, b)
			}
		}
		adjusted := c.AtPrevalence(s.prevalence())
		if s.bothClasses() == "" {
			same("PPV at the sample's prevalence", adjusted.PPV, c.PPV())
			same("NPV at the sample's prevalence", adjusted.NPV, c.NPV())
			same("net benefit at the sample's prevalence", adjusted.NetBenefit, NetBenefit(s, at))
			same("treat-all at the sample's prevalence", adjusted.NetBenefitAll, NetBenefitAll(s, at))
			same("standardised", adjusted.StandardisedNetBenefit, StandardisedNetBenefit(s, at))
			same("partial AUROC over all", PartialAUROC(s, HighSpecificity, 0, false), AUROC(s))
			same("partial AUROC over all", PartialAUROC(s, HighSensitivity, 0, false), AUROC(s))
			// Both areas interpolate alike; AP is below the straight lines' by steps only.
			if a, b := AUPRC(s), AUPRCContinuous(s); math.Abs(a.Value-b.Value) > 0.5 || a.Value < 0 || a.Value > 1 {
				t.Fatalf("areas %v, %v", a.Value, b.Value)
			}
		}
		for _, r := range []Result{c.Sensitivity(), c.Specificity(), c.PPV(), c.NPV(), c.Accuracy(), c.DiagnosticOddsRatio(), c.LRPositive(), c.LRNegative()} {
			if i := r.Interval; i.Defined() && !(i.Lower <= r.Value && r.Value <= i.Upper) {
				t.Fatalf("%v is outside %+v", r.Value, i)
			}
			if !r.Defined() && r.Interval.Undefined != r.Undefined {
				t.Fatalf("interval %+v of an undefined %+v", r.Interval, r)
			}
		}
		// No threshold costs less than the least.
		cost := ExpectedCost(s, 3, 1)
		if here := (3*float64(c.FN) + float64(c.FP)) / float64(c.N()); cost.Value > here+1e-12 {
			t.Fatalf("least cost %v, at %v it is %v", cost.Value, at, here)
		}
		if m := c.MCC(); m.Defined() && !(m.Value >= -1-1e-12 && m.Value <= 1+1e-12) {
			t.Fatalf("MCC %v", m.Value)
		}
	})
}

// Every undefined result has a reason of the list, and no defined one is NaN.
func TestResultsAreNumbersOrReasons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t, gridRisks, 0)
		rows, err := Table(s, Options{All: true, Replicates: 20})
		if err != nil {
			t.Fatal(err)
		}
		known := map[Reason]bool{}
		for _, r := range reasons {
			known[r] = true
		}
		for _, r := range rows {
			if r.Defined() && math.IsNaN(r.Value) || !r.Defined() && !known[r.Undefined] {
				t.Fatalf("%s: %+v", r.Measure, r.Result)
			}
			if i := r.Interval; i.Defined() == (i.Undefined != "") || i.Defined() && !(i.Lower <= i.Upper) {
				t.Fatalf("%s: interval %+v", r.Measure, i)
			}
		}
	})
}

// Rows are in order whatever their risks have in common: sorted by comparing, by
// digits, and where leading digits do not tell the risks apart.
func TestRowsAreRanked(t *testing.T) {
	state := uint64(1)
	next := func() uint64 {
		state = state*6364136223846793005 + 1442695040888963407
		return state >> 12
	}
	for name, risk := range map[string]func(i int) float64{
		"distinct": func(int) float64 { return float64(next()) / (1 << 52) },
		"ties":     func(int) float64 { return float64(next()>>40) / (1 << 12) },
		"constant": func(int) float64 { return 0.5 },
		"tiny and not": func(i int) float64 {
			return math.Ldexp(float64(next()>>40)/(1<<12), -300*(i%7/6))
		},
		"close": func(i int) float64 { return float64(i%2) * math.Float64frombits(math.Float64bits(0.5)+next()%1000) },
		"-0":    func(i int) float64 { return math.Copysign(0, float64(i%3)-1) },
	} {
		for _, n := range []int{1, 2, 63, radixFrom - 1, radixFrom, 3 * radixFrom} {
			outcomes, risks := make([]int, n), make([]float64, n)
			events := map[float64]int{}
			for i := range risks {
				outcomes[i], risks[i] = int(next()%3/2), risk(i)
				events[risks[i]] += outcomes[i] // 0 and -0 are one key
			}
			order, ties := ranked(outcomes, risks, nil, nil)
			seen := make([]bool, n)
			for k, row := range order {
				if seen[row] {
					t.Fatalf("%s, %d: row %d twice", name, n, row)
				}
				seen[row] = true
				if k > 0 {
					before := order[k-1]
					if risks[before] > risks[row] || risks[before] == risks[row] && before > row {
						t.Fatalf("%s, %d: rows %d, %d: %v, %v", name, n, before, row, risks[before], risks[row])
					}
				}
			}
			rows := 0
			for k, at := range ties {
				rows += at.events + at.controls
				if at.events != events[at.risk] || k > 0 && ties[k-1].risk >= at.risk {
					t.Fatalf("%s, %d: %+v after %+v, want %d events", name, n, at, ties[max(k-1, 0)], events[at.risk])
				}
			}
			if rows != n || len(ties) != len(events) {
				t.Fatalf("%s: %d rows of %d at %d risks of %d", name, rows, n, len(ties), len(events))
			}
		}
	}
}
