package analysis

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// Sentences that stand in more than one caption.
const (
	syntheticMark = "Synthetic example data, not results of a study."
	selectedMark  = "selected on the test set, not corrected"
	noExternal    = "No external validation."
)

// intervalMethods says the methods of ci_method in words that fit before
// "interval"; documents hold the words.
var intervalMethods = map[string]string{
	metrics.DeLongLogit:         "logit DeLong",
	metrics.LogScale:            "log-scale normal",
	metrics.ProfileLikelihood:   "profile likelihood",
	metrics.WilsonScore:         "Wilson",
	metrics.BootstrapBCa:        "BCa bootstrap",
	metrics.BootstrapPercentile: "percentile bootstrap",
	"bootstrap_recentred":       "recentred bootstrap", // of the best of many, in table selected
}

// fixed prints x with the given decimals and a true minus sign.
func fixed(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}

// thousands groups the digits of large counts.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// spoken says a value as text: "0.911 (0.903–0.918)", or why there is none. An
// interval that nothing computes is not missed.
func spoken(v sidecar.Value, decimals int) string {
	switch v.Infinite() {
	case 1:
		return "infinite"
	case -1:
		return "minus infinite"
	}
	if v.Estimate == nil {
		return "undefined (" + sidecar.ReasonText(v.Undefined) + ")"
	}
	s := fixed(*v.Estimate, decimals)
	if v.CI != nil {
		s += fmt.Sprintf(" (%s–%s)", fixed(v.CI[0], decimals), fixed(v.CI[1], decimals))
	} else if v.IntervalUndefined != "" && v.IntervalUndefined != notAvailable && v.IntervalUndefined != notShown {
		s += ", no interval: " + sidecar.ReasonText(v.IntervalUndefined)
	}
	return s
}

// count says a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + many
}

// list joins words as a sentence does.
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// testSet says on how many subjects the configurations stand, and notes it in
// the parameters where it is the same for all. It also says where they are not
// the same subjects.
func (b *builder) testSet(cs []configuration) string {
	n, nMax, events, eventsMax := cs[0].n, cs[0].n, cs[0].events, cs[0].events
	for _, c := range cs {
		n, nMax = min(n, c.n), max(nMax, c.n)
		events, eventsMax = min(events, c.events), max(eventsMax, c.events)
	}
	if n == nMax && events == eventsMax {
		b.doc.Params["n_test"] = n
		b.doc.Params["n_events"] = events
		s := fmt.Sprintf("%s, %s", count(n, "test subject", "test subjects"), count(events, "event", "events"))
		return s + b.differWords()
	}
	return fmt.Sprintf("%d to %d test subjects, %d to %d events", n, nMax, events, eventsMax) + b.differWords()
}

func (b *builder) differWords() string {
	if b.noCodes {
		return " (whether they are the same for all configurations is not known: the database has no codes of subjects)"
	}
	if b.differ {
		return " (not the same subjects for all configurations)"
	}
	return ""
}

// prevalence says the share of events in the test set. Net benefit depends on
// it, so it stands wherever net benefit is shown.
func (b *builder) prevalence(cs []configuration) string {
	lo, hi := 1.0, 0.0
	for _, c := range cs {
		p := float64(c.events) / float64(c.n)
		lo, hi = min(lo, p), max(hi, p)
	}
	if lo == hi {
		b.doc.Params["prevalence"] = lo
		return fmt.Sprintf("prevalence %s%%", fixed(100*lo, 1))
	}
	return fmt.Sprintf("prevalence %s%% to %s%%", fixed(100*lo, 1), fixed(100*hi, 1))
}

// intervals says how the intervals of a measure were made, and notes it in the
// parameters.
func (b *builder) intervals(cs []configuration, measure string) string {
	methods := methodsOf(cs, measure)
	if len(methods) == 0 {
		return "no interval"
	}
	b.doc.Params["interval"] = strings.Join(methods, ", ")
	return fmt.Sprintf("%s (%s)", b.levelWords(), list(methods))
}

// methodsOf are the methods by which intervals of a measure were made, in order.
func methodsOf(cs []configuration, measure string) []string {
	var methods []string
	for _, c := range cs {
		if m := c.values[measure].CIMethod; m != "" && !slices.Contains(methods, m) {
			methods = append(methods, m)
		}
	}
	slices.Sort(methods)
	return methods
}

// worded is a measure with its name in a sentence.
type worded struct{ measure, word string }

// intervalsOf says of each measure how its intervals were made, or that it has
// none, and notes the methods in the parameters.
func (b *builder) intervalsOf(cs []configuration, measures []worded) string {
	type group struct{ words, methods []string }
	var groups []group
	var without, hidden, all []string
	for _, m := range measures {
		methods := methodsOf(cs, m.measure)
		if len(methods) == 0 && slices.ContainsFunc(cs, func(c configuration) bool { return c.values[m.measure].IntervalUndefined == notShown }) {
			hidden = append(hidden, m.word)
			continue
		}
		if len(methods) == 0 {
			without = append(without, m.word)
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return slices.Equal(g.methods, methods) })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{methods: methods})
			all = append(all, methods...)
		}
		groups[i].words = append(groups[i].words, m.word)
	}
	elsewhere := ""
	if hidden != nil {
		elsewhere = "; those of " + list(hidden) + " are in the database"
	}
	if groups == nil {
		return list(append(without, hidden...)) + " without intervals"
	}
	slices.Sort(all)
	b.doc.Params["interval"] = strings.Join(slices.Compact(all), ", ")
	if len(groups) == 1 {
		s := fmt.Sprintf("%s with %s (%s)", list(groups[0].words), b.levelWords(), list(groups[0].methods))
		switch {
		case without != nil && hidden != nil:
			s += "; none for " + list(without)
		case without != nil:
			s += "; the other measures have none here"
		}
		return s + elsewhere
	}
	var parts []string
	for _, g := range groups {
		parts = append(parts, fmt.Sprintf("%s (%s)", list(g.words), list(g.methods)))
	}
	s := b.levelWords() + ": " + strings.Join(parts, ", ")
	if without != nil {
		s += "; none for " + list(without)
	}
	return s + elsewhere
}

// levelWords is "95% intervals over test subjects".
func (b *builder) levelWords() string {
	level, ok := b.doc.Params["level"].(float64)
	if !ok {
		return "intervals over test subjects"
	}
	return fmt.Sprintf("%s%% intervals over test subjects", strconv.FormatFloat(100*level, 'g', 4, 64))
}

// refitsWords is "1,000 refits on half-size resamples": each refit has seen
// fewer subjects than the training set holds.
func (b *builder) refitsWords() string {
	if b.oneRefit {
		return b.refits + " on a half-size resample"
	}
	return b.refits + " on half-size resamples"
}

// estimandWords says what an average of the document's estimand is.
func (b *builder) estimandWords() string {
	switch {
	case b.oneRefit:
		return "of " + b.refitsWords()
	case b.doc.Estimand == metrics.MeanRisk:
		return "of the mean risk over " + b.refitsWords()
	}
	return "averaged over " + b.refitsWords()
}

// undefinedRefits says in how many refits measures had no value; "" where every
// refit had one. A configuration that stands in cs twice counts once.
func undefinedRefits(cs []configuration, measures map[string]string) string {
	var parts []string
	for _, m := range []string{slope, intercept, oe} {
		word, shown := measures[m]
		if !shown {
			continue
		}
		refits, configurations := 0, 0
		for i, c := range cs {
			same := func(other configuration) bool { return compareTuple(c, other) == 0 }
			if k := c.undefined[m]; k > 0 && !slices.ContainsFunc(cs[:i], same) {
				refits += k
				configurations++
			}
		}
		if refits > 0 {
			parts = append(parts, fmt.Sprintf("%s in %s of %s", word, count(refits, "refit", "refits"), count(configurations, "configuration", "configurations")))
		}
	}
	if parts == nil {
		return ""
	}
	return " Undefined and left out of the medians: " + list(parts) + "."
}

// configurationsOf strips named pipelines to their configurations.
func configurationsOf(ns []named) []configuration {
	out := make([]configuration, len(ns))
	for i, n := range ns {
		out[i] = n.configuration
	}
	return out
}

// pipelineWords says what the named pipelines have in common: "CatBoost on
// handcrafted features", or each such pair where they differ.
func (b *builder) pipelineWords(ns []named) string {
	var words []string
	for _, n := range ns {
		w := b.label("classifier", n.classifier) + " on " + lowerFirst(b.label("featurization", n.featurization))
		if !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return list(words)
}

// fixedWords says what the filter F0 holds fixed: "CatBoost on handcrafted features".
func (b *builder) fixedWords() string {
	return b.label("classifier", fixedClassifier) + " on " + lowerFirst(b.label("featurization", fixedFeaturization))
}

// upperFirst begins a sentence.
func upperFirst(s string) string {
	r := []rune(s)
	if len(r) > 0 {
		r[0] = unicode.ToUpper(r[0])
	}
	return string(r)
}

// lowerFirst begins a label in lower case unless it is a name in capitals.
func lowerFirst(s string) string {
	r := []rune(s)
	if len(r) > 1 && unicode.IsUpper(r[0]) && unicode.IsLower(r[1]) {
		r[0] = unicode.ToLower(r[0])
	}
	return string(r)
}
