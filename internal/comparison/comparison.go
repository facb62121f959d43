// Package comparison compares configurations that were judged on the same test
// subjects: means of methods over the cells that all have, differences to the
// pipeline on ground-truth signals with equivalence, and the best of many with what
// its selection is worth. Inference is the paired bootstrap of subjects of
// metrics/compare: one set of resamples for all configurations and measures.
//
// It knows neither pickles nor the public database, and no subject by name: subjects
// are matched by whatever names they are given, and what is drawn does not depend on
// these or on their order.
package comparison

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/metrics"
	"github.com/foundation-plr/pipeline/metrics/compare"
)

// Configuration is one configuration with what its refits make of the test subjects.
type Configuration struct {
	ID      int               // positive, in ascending order
	Methods map[string]string // by factor
	// Truth says that both preprocessing methods are the ground truth: what others
	// of its classifier and featurization are compared with.
	Truth    bool
	Pairs    int      // events times controls
	Subjects []string // names that are the same in all configurations
	Outcomes []int    // 0 or 1, like Subjects
	Risks    []float64
	Refits   *Refits // nil: only the mean risk is compared
}

// Refits is what is known of single refits, by subject or pair of subjects, in the
// order of a configuration's subjects.
type Refits struct {
	N        int       // refits
	Ranks    []int     // order of the subjects that decides where mean risks do not
	Pairs    [][]int   // [event][control]: 2 for each refit with the event above the control, 1 where equal
	Squares  []float64 // mean squared error
	Positive [][]int   // [threshold][subject]: refits with the risk at or above it
}

// Options are the choices of a comparison.
type Options struct {
	Thresholds []float64 // of net benefit
	Margin     float64   // the least difference of the AUROC that matters, above 0
	Replicates int
	Seed       uint64
	// MaxPairs is the number of pairs of an event and a control beyond which the
	// AUROC is not compared.
	MaxPairs int
}

// Reasons beside those of package metrics why a number is undefined.
const (
	OtherSubjects = "other_subjects"  // the test subjects or outcomes are not those of the compared
	Itself        = "reference"       // it is what others are compared with
	NoReference   = "no_reference"    // no ground truth with this classifier and featurization, or two
	NoCommonCells = "no_common_cells" // too few cells that other methods have, too
)

// Reasons are those above.
func Reasons() []string { return []string{OtherSubjects, Itself, NoReference, NoCommonCells} }

// Verdicts on a difference of the AUROC to the reference.
const (
	Equivalent   = "equivalent"   // the 90 % interval lies within the margin
	Better       = "better"       // not equivalent, and the 95 % interval lies above 0
	Worse        = "worse"        // the same below 0
	Inconclusive = "inconclusive" // none of these
	NotJudged    = "not_judged"   // undefined, or a measure without a margin
)

// Verdicts are those above.
func Verdicts() []string { return []string{Equivalent, Better, Worse, Inconclusive, NotJudged} }

// EquivalenceLevel is that of the interval which decides on equivalence: two
// one-sided tests at 5 %.
const EquivalenceLevel = 0.90

// Ranks is how many of the best are selected among all configurations.
const Ranks = 10

// Value is an estimate with its interval, or why there is none.
type Value struct {
	Estimate  float64
	Undefined string
	Interval  metrics.Interval
	// Omitted counts the replicates in which it is undefined.
	Omitted int
}

// Measured says of what a value is.
type Measured struct{ Estimand, Measure string }

// Cell is a configuration of the complete block of a factor: every method in the
// block has the same cells of the other three factors.
type Cell struct {
	Factor string
	ID     int
}

// Mean is the mean of a method over the cells of the block.
type Mean struct {
	Factor, Method string
	Measured
	Configurations int // of the method that are compared at all
	Cells          int // in the block; 0 where the method is not in it
	Value
}

// Scopes of a difference.
const (
	OfConfiguration = "configuration"
	OfMethod        = "method"
)

// Difference is the measure of a configuration, or the mean of a method over the
// block, less that of the ground truth with the same classifier and featurization.
type Difference struct {
	Scope          string
	ID             int    // of the configuration; 0 of a method
	Factor, Method string // empty of a configuration
	Measured
	Configurations int // behind the estimate
	Value
	Margin      float64 // 0: the measure has none
	Equivalence metrics.Interval
	P           float64 // of the two one-sided tests, where Equivalence has limits
	Verdict     string
}

// Scopes of a selection.
const (
	OfAll        = "overall"    // among all configurations
	OfClassifier = "classifier" // among those with one classifier
	OfGrid       = "grid"       // among those with one classifier and featurization: the best cell of preprocessing
)

// Selection is the configuration with the best value, or the value of its rank, and
// what that is in subjects that did not select it.
type Selection struct {
	Scope                     string
	Classifier, Featurization string // empty where the scope has none
	Measured
	Rank       int
	ID         int // 0 where undefined
	Candidates int
	Naive      float64
	Corrected  Value   // its interval is that of the corrected value
	Share      float64 // of the resamples with a selection in which the same configuration was selected
}

// Result is all that is compared.
type Result struct {
	Compared    []int // IDs of the configurations on the common subjects
	Left        []int // IDs of those on others
	Cells       []Cell
	Means       []Mean
	Differences []Difference
	Selected    []Selection
}

// Compare compares configurations, which come in the order of their IDs. Those on
// other subjects than most, or with other outcomes, are left out and counted. The
// result depends on neither the names nor the order of subjects.
func Compare(all []Configuration, o Options) (*Result, error) {
	for _, c := range all {
		if err := c.check(o); err != nil {
			return nil, fmt.Errorf("configuration %d: %w", c.ID, err)
		}
	}
	r, s, err := begin(all, Common(all), o)
	if err != nil || len(s.all) == 0 {
		return r, err
	}
	s.meet()
	for _, estimand := range s.estimands() {
		for _, g := range groups(o.Thresholds) {
			defined := len(g.measures)
			for defined > 0 && s.undefined(g.measures[defined-1]) != "" {
				defined--
			}
			var paired []*compare.Paired
			if defined > 0 {
				if paired, err = s.resample(estimand, g, defined); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", estimand, g.measures[0].key, err)
				}
			}
			for k, m := range g.measures {
				var p *compare.Paired
				if k < defined {
					p = paired[k]
				}
				if err := s.judge(r, Measured{estimand, m.key}, m.lowest, p, s.undefined(m)); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", estimand, m.key, err)
				}
			}
		}
	}
	return r, nil
}

// Outline is what Compare returns, both estimands, but for all that needs resamples:
// only the IDs, methods and pairs of the configurations are asked for, common says which are
// compared, and estimate gives the measures of each; it is false where one has no
// value.
func Outline(all []Configuration, common []bool, o Options, estimate func(id int, m Measured) (float64, bool)) (*Result, error) {
	r, s, err := begin(all, common, o)
	if err != nil || len(s.all) == 0 {
		return r, err
	}
	for _, estimand := range []string{metrics.OverModels, metrics.MeanRisk} {
		var all []measure
		for _, g := range groups(o.Thresholds) {
			all = append(all, g.measures...)
		}
		for _, how := range all {
			m := Measured{estimand, how.key}
			var results []float64
			for _, c := range s.all {
				if v, ok := estimate(c.ID, m); ok {
					results = append(results, v)
				}
			}
			var p *compare.Paired
			why := s.undefined(how)
			if why == "" && len(results) < len(s.all) {
				why = metrics.OneClass
			}
			if why == "" {
				p = compare.Estimated(results)
			}
			if err := s.judge(r, m, how.lowest, p, why); err != nil {
				return nil, fmt.Errorf("%s, %s: %w", estimand, how.key, err)
			}
		}
	}
	return r, nil
}

// begin says which configurations are compared and which are in the blocks.
func begin(all []Configuration, common []bool, o Options) (*Result, *study, error) {
	r := &Result{}
	var compared []Configuration
	for i, c := range all {
		if i > 0 && c.ID <= all[i-1].ID || c.ID < 1 {
			return nil, nil, fmt.Errorf("configuration %d comes after configuration %d", c.ID, all[max(i-1, 0)].ID)
		}
		if common[i] {
			compared = append(compared, c)
			r.Compared = append(r.Compared, c.ID)
		} else {
			r.Left = append(r.Left, c.ID)
		}
	}
	s, err := newStudy(compared, o)
	if err != nil {
		return nil, nil, err
	}
	for _, factor := range config.Factors() {
		for _, k := range s.blocks[factor].members {
			r.Cells = append(r.Cells, Cell{factor, compared[k].ID})
		}
	}
	return r, s, nil
}

func (c Configuration) check(o Options) error {
	n, events := len(c.Subjects), 0
	if n == 0 || len(c.Outcomes) != n || len(c.Risks) != n {
		return fmt.Errorf("%d subjects, %d outcomes and %d risks", n, len(c.Outcomes), len(c.Risks))
	}
	for _, y := range c.Outcomes {
		if y != 0 && y != 1 {
			return fmt.Errorf("an outcome is %d", y)
		}
		events += y
	}
	if len(slices.Compact(slices.Sorted(slices.Values(c.Subjects)))) != n {
		return fmt.Errorf("a subject occurs twice")
	}
	if pairs := events * (n - events); c.Pairs != pairs {
		return fmt.Errorf("%d pairs of an event and a control, not %d", pairs, c.Pairs)
	}
	f := c.Refits
	if f == nil {
		return nil
	}
	rows := events
	if c.Pairs > o.MaxPairs {
		rows = 0
	}
	if f.N < 1 || len(f.Ranks) != n || len(f.Squares) != n || len(f.Pairs) != rows || len(f.Positive) != len(o.Thresholds) {
		return fmt.Errorf("what is known of %d refits is not of %d subjects, %d events and %d thresholds", f.N, n, events, len(o.Thresholds))
	}
	for i, square := range f.Squares {
		if math.IsNaN(square) || math.IsInf(square, 0) { // it would count in resamples that do not hold its subject
			return fmt.Errorf("the mean squared error of subject %d is %v", i+1, square)
		}
	}
	for _, row := range f.Pairs {
		if len(row) != n-events {
			return fmt.Errorf("an event is paired with %d of %d controls", len(row), n-events)
		}
	}
	for _, row := range f.Positive {
		if len(row) != n {
			return fmt.Errorf("positives are counted of %d of %d subjects", len(row), n)
		}
	}
	return nil
}

// Common says which configurations share the test subjects and outcomes that
// most have; of equally many, those of the first configuration.
func Common(all []Configuration) []bool {
	sets, count := make([]string, len(all)), map[string]int{}
	for i, c := range all {
		members := make([]string, len(c.Subjects))
		for k, subject := range c.Subjects {
			members[k] = fmt.Sprintf("%q=%d", subject, c.Outcomes[k])
		}
		slices.Sort(members)
		sets[i] = strings.Join(members, ",")
		count[sets[i]]++
	}
	most := ""
	for _, set := range sets {
		if count[set] > count[most] {
			most = set
		}
	}
	common := make([]bool, len(all))
	for i, set := range sets {
		common[i] = set == most
	}
	return common
}
