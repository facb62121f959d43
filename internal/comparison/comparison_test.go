package comparison

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/metrics"
)

var options = Options{Thresholds: []float64{0.2, 0.5}, Margin: 0.05, Replicates: 200, Seed: 1, MaxPairs: 10_000}

const (
	events, subjectsInAll, refitsOfAll = 12, 40, 6
)

// made is a configuration of drawn risks whose events are higher by shift; name gives
// the subjects' names, and order the places in which they come.
func made(random *rand.Rand, id int, methods [4]string, shift float64, name func(i int) string, order []int) Configuration {
	risks := make([][]float64, refitsOfAll)
	for m := range risks {
		for i := range order {
			x := random.NormFloat64() - 1
			if i < events {
				x += shift
			}
			// Few decimals, so that there are ties.
			risks[m] = append(risks[m], math.Round(50/(1+math.Exp(-x)))/50)
		}
	}
	c := Configuration{ID: id, Methods: map[string]string{}, Truth: methods[2] == "gt" && methods[3] == "gt"}
	for k, f := range config.Factors() {
		c.Methods[f] = methods[k]
	}
	f := &Refits{N: refitsOfAll, Positive: make([][]int, len(options.Thresholds))}
	for _, i := range order {
		c.Subjects = append(c.Subjects, name(i))
		y, sum, square := 0, 0.0, 0.0
		if i < events {
			y = 1
		}
		for m := range risks {
			sum += risks[m][i]
			square += (float64(y) - risks[m][i]) * (float64(y) - risks[m][i])
		}
		c.Outcomes = append(c.Outcomes, y)
		c.Risks = append(c.Risks, sum/refitsOfAll)
		f.Squares = append(f.Squares, square/refitsOfAll)
		f.Ranks = append(f.Ranks, i)
		for k, t := range options.Thresholds {
			n := 0
			for m := range risks {
				if risks[m][i] >= t {
					n++
				}
			}
			f.Positive[k] = append(f.Positive[k], n)
		}
		if y == 1 {
			var row []int
			for _, j := range order {
				if j >= events {
					n := 0
					for m := range risks {
						switch {
						case risks[m][i] > risks[m][j]:
							n += 2
						case risks[m][i] == risks[m][j]:
							n++
						}
					}
					row = append(row, n)
				}
			}
			f.Pairs = append(f.Pairs, row)
		}
	}
	c.Refits, c.Pairs = f, events*(len(order)-events)
	return c
}

// study is a grid of two outlier methods and two imputations of one classifier, the
// ground truth alone, and one configuration of another classifier.
func someStudy(name func(i int) string, order []int) []Configuration {
	random := rand.New(rand.NewPCG(3, 4))
	var all []Configuration
	for k, methods := range [][4]string{
		{"A", "x", "LOF", "CSDI"}, {"A", "x", "LOF", "SAITS"}, {"A", "x", "gt", "CSDI"}, {"A", "x", "gt", "SAITS"}, {"A", "x", "gt", "gt"},
		{"B", "x", "LOF", "SAITS"},
	} {
		all = append(all, made(random, k+1, methods, []float64{0.3, 0.4, 0.5, 0.6, 0.8, 0.1}[k], name, order))
	}
	return all
}

func inOrder() []int {
	order := make([]int, subjectsInAll)
	for i := range order {
		order[i] = i
	}
	return order
}

// Neither names nor order of the subjects change a bit.
func TestSubjectsOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	want, err := Compare(someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder()), options)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Compare(someStudy(func(i int) string { return fmt.Sprint("t", 100-i) }, random.Perm(subjectsInAll)), options)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestCompare(t *testing.T) {
	all := someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder())
	r, err := Compare(all, options)
	if err != nil {
		t.Fatal(err)
	}
	// The mean risk's AUROCs are those of the measures, and so are their differences.
	estimate := map[int]float64{}
	for _, c := range all {
		s, err := metrics.NewSample(c.Outcomes, c.Risks)
		if err != nil {
			t.Fatal(err)
		}
		estimate[c.ID] = metrics.AUROC(s).Value
	}
	m := Measured{metrics.MeanRisk, "auroc"}
	if diff := cmp.Diff([]Cell{
		{config.Outlier, 1}, {config.Outlier, 2}, {config.Outlier, 3}, {config.Outlier, 4},
		{config.Imputation, 1}, {config.Imputation, 2}, {config.Imputation, 3}, {config.Imputation, 4},
	}, slices.DeleteFunc(slices.Clone(r.Cells), func(c Cell) bool { return c.Factor == config.Classifier })); diff != "" {
		t.Errorf("blocks: %s", diff)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	found := 0
	for _, mean := range r.Means {
		if mean.Measured == m && mean.Factor == config.Outlier {
			found++
			want := (estimate[1] + estimate[2]) / 2
			if mean.Method == "gt" {
				want = (estimate[3] + estimate[4]) / 2
			}
			near(mean.Method, mean.Estimate, want)
			if i := mean.Interval; mean.Cells != 2 || i.Method != metrics.BootstrapBCa || !(i.Lower < want && want < i.Upper) {
				t.Errorf("%+v", mean)
			}
		}
	}
	for _, d := range r.Differences {
		if d.Measured != m {
			continue
		}
		switch {
		case d.ID == 5 && d.Undefined != Itself, d.ID == 6 && d.Undefined != NoReference:
			t.Errorf("%+v", d)
		case d.ID > 0 && d.ID < 5:
			found++
			near("difference", d.Estimate, estimate[d.ID]-estimate[5])
			if d.Verdict == NotJudged || !d.Equivalence.Defined() || d.Equivalence.Lower < d.Interval.Lower-0.05 {
				t.Errorf("%+v", d)
			}
		case d.Scope == OfMethod && d.Method == "LOF":
			found++
			near("difference of LOF", d.Estimate, (estimate[1]+estimate[2])/2-estimate[5])
		case d.Scope == OfMethod && d.Factor == config.Imputation && d.Method == "gt" && d.Undefined != NoCommonCells:
			t.Errorf("%+v", d)
		}
	}
	best := 1
	for id, a := range estimate {
		if a > estimate[best] {
			best = id
		}
	}
	for _, s := range r.Selected {
		if s.Measured != m {
			continue
		}
		if s.Scope == OfAll && s.Rank == 1 || s.Scope == OfClassifier && s.Classifier == "A" {
			found++
			if s.ID != best || s.Naive != estimate[best] || !s.Corrected.Interval.Defined() || s.Corrected.Interval.Upper > 1 {
				t.Errorf("%+v", s)
			}
		}
		if s.Scope == OfClassifier && s.Classifier == "B" && (s.ID != 6 || s.Candidates != 1 || s.Share != 1) {
			t.Errorf("%+v", s)
		}
	}
	if found != 2+4+1+2 {
		t.Errorf("%d rows found", found)
	}

	// Of the same estimates the outline is the same but for what resamples give.
	values := map[Measured]map[int]float64{}
	for _, s := range r.Selected {
		if s.Scope == OfAll {
			if values[s.Measured] == nil {
				values[s.Measured] = map[int]float64{}
			}
			values[s.Measured][s.ID] = s.Naive
		}
	}
	outline, err := Outline(all, Common(all), options, func(id int, m Measured) (float64, bool) { v, ok := values[m][id]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, outline, cmpopts.EquateApprox(0, 1e-12), cmpopts.IgnoreTypes(metrics.Interval{}),
		cmpopts.IgnoreFields(Selection{}, "Corrected", "Share"), cmpopts.IgnoreFields(Difference{}, "Verdict", "P")); diff != "" {
		t.Errorf("outline: %s", diff)
	}
}

// Configurations on other subjects are left out and said.
func TestOtherSubjects(t *testing.T) {
	all := someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder())
	all[1].Subjects[3] = "somebody else"
	all[3].Outcomes = slices.Clone(all[3].Outcomes)
	all[3].Outcomes[0], all[3].Outcomes[39] = 0, 1
	r, err := Compare(all, options)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.Left, []int{2, 4}) || !slices.Equal(r.Compared, []int{1, 3, 5, 6}) {
		t.Errorf("compared %v, left out %v", r.Compared, r.Left)
	}
	n := 0
	for _, d := range r.Differences {
		if d.Undefined == OtherSubjects {
			n++
		}
	}
	if n != 2*2*5 {
		t.Errorf("%d differences of other subjects", n)
	}
}

// One outcome: what needs both is undefined, what does not is there.
func TestOneClass(t *testing.T) {
	all := someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder())
	for k := range all {
		c := &all[k]
		c.Outcomes = make([]int, subjectsInAll)
		c.Refits.Pairs, c.Pairs = nil, 0
	}
	r, err := Compare(all, options)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Selected {
		both := s.Measure == "auroc" || s.Measure == "scaled_brier"
		if (s.Corrected.Undefined == string(metrics.OneClass)) != both || both && s.ID != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// Too many pairs: the AUROC is not compared, the rest is.
func TestManyPairs(t *testing.T) {
	all := someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder())
	for k := range all {
		all[k].Refits.Pairs = nil
	}
	o := options
	o.MaxPairs = 300 // there are 12 times 28
	r, err := Compare(all, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Selected {
		if (s.Corrected.Undefined == string(metrics.NotAvailable)) != (s.Measure == "auroc") {
			t.Errorf("%+v", s)
		}
	}
}

func TestVerdictOf(t *testing.T) {
	i := func(lower, upper float64) metrics.Interval {
		return metrics.Interval{Lower: lower, Upper: upper, Method: metrics.BootstrapBCa, Level: 0.95}
	}
	none := metrics.Interval{Undefined: metrics.ZeroVariance}
	for _, c := range []struct {
		equivalence, interval metrics.Interval
		want                  string
	}{
		{i(-0.04, 0.03), i(-0.045, 0.04), Equivalent},
		{i(0.01, 0.04), i(0.005, 0.045), Equivalent}, // clear, and too small to matter
		{i(0.01, 0.06), i(0.005, 0.07), Better},
		{i(-0.2, -0.06), i(-0.3, -0.05), Worse},
		{i(-0.05, 0.01), i(-0.06, 0.02), Inconclusive}, // at the margin is not within it
		{i(0, 0), none, Equivalent},
		{none, none, Inconclusive},
	} {
		if got := VerdictOf(c.equivalence, c.interval, 0.05); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	all := someStudy(func(i int) string { return fmt.Sprint("s", i) }, inOrder())
	for name, spoil := range map[string]func(c *Configuration){
		"subject twice": func(c *Configuration) { c.Subjects = slices.Clone(c.Subjects); c.Subjects[0] = c.Subjects[1] },
		"outcome":       func(c *Configuration) { c.Outcomes = slices.Clone(c.Outcomes); c.Outcomes[0] = 2 },
		"pairs":         func(c *Configuration) { f := *c.Refits; f.Pairs = f.Pairs[1:]; c.Refits = &f },
		"order":         func(c *Configuration) { c.ID = 9 },
	} {
		bad := slices.Clone(all)
		spoil(&bad[2])
		if _, err := Compare(bad, options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := Compare(all, Options{Replicates: 100}); err == nil {
		t.Error("no error without a margin")
	}
}
