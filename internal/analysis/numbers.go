package analysis

import (
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// verdicts of runs with the end of their macros' names. A verdict that no run
// has counts 0, so that a text can use its macro.
var verdicts = []struct{ verdict, name string }{
	{"used", "Used"},
	{"failed", "Failed"},
	{"unfinished", "Unfinished"},
	{"deleted", "Deleted"},
	{"superseded", "Superseded"},
	{"not_classification", "NotClassification"},
	{"no_artifact", "NoArtifact"},
	{"ambiguous_artifact", "AmbiguousArtifact"},
	{"unreadable", "Unreadable"},
	{"bad_meta", "BadMeta"},
	{"excluded", "Excluded"},
}

// reported is what numbers says of a configuration.
var reported = []struct {
	measure, name, what string
	decimals            int
}{
	{auroc, "AUROC", "AUROC", 3},
	{slope, "Slope", "calibration slope", 2},
	{oe, "OE", "ratio of observed to expected events", 2},
	{brier, "Brier", "Brier score", 3},
	{scaledBrier, "ScaledBrier", "scaled Brier score (IPA)", 3},
	{nb5, "NBFive", "net benefit at a threshold of 5%", 3},
	{nb10, "NBTen", "net benefit at a threshold of 10%", 3},
	{nb15, "NBFifteen", "net benefit at a threshold of 15%", 3},
	{nb20, "NBTwenty", "net benefit at a threshold of 20%", 3},
}

// numbers lists what a text quotes: counts, prevalence, the best
// configuration and the named pipelines. A pipeline that the database lacks
// keeps its macros, undefined.
func numbers(b *builder) error {
	var measures []string
	for _, r := range reported {
		measures = append(measures, r.measure)
	}
	cs, err := b.gridIfAny("best", measures...)
	if err != nil {
		return err
	}
	if err := b.counts(len(cs)); err != nil {
		return err
	}
	if err := b.comparePipelines(); err != nil {
		return err
	}
	tested := cs // those whose test set is described
	if len(cs) == 0 {
		if tested, err = b.configurations("test set", "true", nil, measures); err != nil {
			return err
		}
		if len(tested) == 0 {
			return fmt.Errorf("the database holds no configuration; extract a store that has classification runs (target extract)")
		}
		if err := b.compareSubjects("essential_metrics e", "true", nil); err != nil {
			return err
		}
		b.warn("no configuration passes the filter (%s); what is best is undefined, and the test set is that of all configurations", b.doc.Filter)
	}
	if err := b.subjects(tested); err != nil {
		return err
	}
	best := b.best(cs)
	if err := b.corrected(cs, best); err != nil {
		return err
	}

	ns, err := b.namedPipelines("pipelines", b.pipelines, measures...)
	if err != nil {
		return err
	}
	for _, p := range b.pipelines {
		prefix, err := macroName(p.Name)
		if err != nil {
			return err
		}
		var c *configuration
		if i := slices.IndexFunc(ns, func(n named) bool { return n.Name == p.Name }); i >= 0 {
			c = &ns[i].configuration
		}
		b.add(sidecar.Number{Name: prefix + "Name", Text: p.Label, Meaning: "named pipeline " + p.Name, Query: "pipelines", Configuration: c.factors()})
		b.measured("pipelines", prefix, "named pipeline "+p.Label, c, notInStore)
	}

	taken := map[string]bool{}
	for _, n := range b.doc.Numbers {
		// A value with an interval gives a second macro.
		for _, name := range []string{n.Name, n.Name + "CI"} {
			if taken[name] {
				return fmt.Errorf("two numbers would give the macro %s; rename a pipeline in configs/registry.yaml", name)
			}
			taken[name] = true
		}
	}

	all := append(slices.Clone(tested), configurationsOf(ns)...)
	var words []worded
	for _, r := range reported {
		words = append(words, worded{r.measure, r.what})
	}
	b.doc.Caption = fmt.Sprintf("Measures %s. %s, %s. %s. The best configuration is %s; bestAUROCCorrected is what its AUROC is worth. Net benefit depends on the prevalence. %s",
		b.measureWords(true), b.testSet(all), b.prevalence(all), upperFirst(b.intervalsOf(all, words)), selectedMark, noExternal)
	b.doc.Alt = fmt.Sprintf("%s for the text. Best configuration, %s: AUROC %s.", count(len(b.doc.Numbers), "number", "numbers"), selectedMark, spoken(best, 3))
	return nil
}

// best adds the configuration with the highest AUROC and returns that AUROC. Its
// macros are there even if no configuration has one, undefined.
func (b *builder) best(cs []configuration) sidecar.Value {
	meaning := fmt.Sprintf("configuration with the highest AUROC among %d (%s), %s", len(cs), b.doc.Filter, selectedMark)
	reason := notInStore
	if len(cs) > 0 {
		first := rank(cs)[0]
		if v := first.values[auroc]; v.Estimate != nil {
			b.add(sidecar.Number{Name: "bestName", Text: strings.Join([]string{
				b.label("outlier", first.outlier), b.label("imputation", first.imputation), b.label("classifier", first.classifier),
			}, " + "), Meaning: meaning, Query: "best", Configuration: first.factors()})
			b.measured("best", "best", "best configuration, "+selectedMark, &first, "")
			return v
		}
		reason = first.values[auroc].Undefined
	}
	none := sidecar.Value{Undefined: reason}
	b.add(sidecar.Number{Name: "bestName", Value: &none, Meaning: meaning, Query: "best"})
	b.measured("best", "best", "best configuration, "+selectedMark, nil, reason)
	return none
}

func (b *builder) add(n sidecar.Number) {
	b.doc.Numbers = append(b.doc.Numbers, n)
}

func (b *builder) count(query, name string, n int, meaning string) {
	b.add(sidecar.Number{Name: name, Count: &n, Meaning: meaning, Query: query})
}

// counts adds how many configurations and runs there are.
func (b *builder) counts(inFigures int) error {
	all, err := ask(b, "configurations", `SELECT count(*) FROM essential_metrics ORDER BY 1`, nil,
		func(rows *sql.Rows) (n int, err error) {
			err = rows.Scan(&n)
			return n, err
		})
	if err != nil {
		return err
	}
	b.count("configurations", "nConfigs", all[0], "configurations in the database")
	b.count("best", "nConfigsInFigures", inFigures, "configurations in the figures: "+b.doc.Filter)

	type verdict struct {
		name string
		n    int
	}
	found, err := ask(b, "runs", `SELECT verdict, count(*) FROM runs GROUP BY verdict ORDER BY verdict`, nil,
		func(rows *sql.Rows) (v verdict, err error) {
			err = rows.Scan(&v.name, &v.n)
			return v, err
		})
	if err != nil {
		return err
	}
	n := map[string]int{}
	total := 0
	for _, v := range found {
		n[v.name] = v.n
		total += v.n
	}
	b.count("runs", "nRuns", total, "run directories of the classification experiment")
	for _, v := range verdicts {
		b.count("runs", "nRuns"+v.name, n[v.verdict], "run directories with the verdict "+v.verdict)
		delete(n, v.verdict)
	}
	for _, v := range found {
		if _, left := n[v.name]; left {
			return fmt.Errorf("table runs has the verdict %q, which this version does not know; make the checkpoint anew with the target extract", v.name)
		}
	}
	return nil
}

// subjects adds how many subjects there are and how many of them are in the
// test set of the configurations that figures show.
func (b *builder) subjects(cs []configuration) error {
	counts, err := ask(b, "subjects", `SELECT key, value FROM meta WHERE key IN (?, ?, ?) ORDER BY key`,
		[]any{"n_control", "n_event", "n_subjects"}, keyValue)
	if err != nil {
		return err
	}
	n := map[string]int{}
	for _, kv := range counts {
		if n[kv[0]], err = strconv.Atoi(kv[1]); err != nil {
			return fmt.Errorf("table meta: %s is %q, not a number; make the checkpoint anew with the target extract", kv[0], kv[1])
		}
	}
	for _, x := range []struct{ key, name, meaning string }{
		{"n_subjects", "nSubjects", "subjects with a code, training and test"},
		{"n_control", "nControl", "control subjects, training and test"},
		{"n_event", "nEvents", "subjects with glaucoma, training and test"},
	} {
		k, ok := n[x.key]
		if !ok {
			return fmt.Errorf("table meta has no %s; make the checkpoint anew with the target extract", x.key)
		}
		b.count("subjects", x.name, k, x.meaning)
	}
	b.share("subjects", "prevalencePct", n["n_event"], n["n_subjects"], "share of subjects with glaucoma, training and test, in percent")

	same := !slices.ContainsFunc(cs, func(c configuration) bool { return c.n != cs[0].n || c.events != cs[0].events })
	if !same {
		b.warn("configurations stand on test sets of different size; the counts of the test set are undefined")
		for _, x := range []struct{ name, meaning string }{
			{"nTest", "test subjects"}, {"nTestEvents", "test subjects with glaucoma"}, {"testPrevalencePct", "share of test subjects with glaucoma, in percent"},
		} {
			b.add(sidecar.Number{Name: x.name, Value: &sidecar.Value{Undefined: varies}, Meaning: x.meaning, Query: cs[0].query})
		}
		return nil
	}
	b.count(cs[0].query, "nTest", cs[0].n, "test subjects")
	b.count(cs[0].query, "nTestEvents", cs[0].events, "test subjects with glaucoma")
	b.share(cs[0].query, "testPrevalencePct", cs[0].events, cs[0].n, "share of test subjects with glaucoma, in percent; the study's, not the clinic's")
	return nil
}

func (b *builder) share(query, name string, part, whole int, meaning string) {
	v := sidecar.Value{Undefined: string(metrics.Empty)}
	if whole > 0 {
		x := float64(part) / float64(whole)
		v = sidecar.Value{Estimate: &x}
	}
	b.add(sidecar.Number{Name: name, Value: &v, Decimals: 1, Percent: true, Meaning: meaning, Query: query})
}

// measured adds the measures of one configuration; nil stands for one that
// there is not, for the given reason. All come from the query.
func (b *builder) measured(query, prefix, whose string, c *configuration, reason string) {
	for _, r := range reported {
		v := sidecar.Value{Undefined: reason}
		meaning := fmt.Sprintf("%s of the %s, %s", r.what, whose, b.measureMeaning(r.measure))
		if c != nil {
			v = c.values[r.measure]
			if k := c.undefined[r.measure]; k > 0 {
				meaning += fmt.Sprintf("; undefined in %s", count(k, "refit", "refits"))
			}
		}
		if v.Estimate == nil {
			// The macro of the interval must not go with the number, or a text
			// that uses it would not compile.
			v.IntervalUndefined = v.Undefined
			if v.Infinite() != 0 {
				v.IntervalUndefined = infiniteLimit
			}
		}
		b.add(sidecar.Number{Name: prefix + r.name, Value: &v, Decimals: r.decimals, Meaning: meaning, Query: query, Configuration: c.factors()})
	}
}

// measureMeaning says what one number of the document's estimand is.
func (b *builder) measureMeaning(measure string) string {
	switch {
	case b.oneRefit:
		return "of the one refit"
	case b.doc.Estimand == metrics.MeanRisk:
		return "of the mean risk over refits"
	case measure == slope || measure == intercept || measure == oe:
		return "median over refits"
	}
	return "mean over refits"
}

// macroName turns the registry's name of a pipeline into the beginning of a
// macro's name, of letters only: ground_truth becomes groundTruth.
func macroName(pipeline string) (string, error) {
	var s strings.Builder
	upper := false
	for _, r := range pipeline {
		switch {
		case r == '_' || r == '-':
			upper = s.Len() > 0
			continue
		case r > unicode.MaxASCII || !unicode.IsLetter(r):
			return "", fmt.Errorf("the name %q of a pipeline cannot name a macro, which takes letters only; rename it in configs/registry.yaml", pipeline)
		case upper:
			r = unicode.ToUpper(r)
		}
		s.WriteRune(r)
		upper = false
	}
	if s.Len() == 0 {
		return "", fmt.Errorf("the name %q of a pipeline has no letter to name a macro with; rename it in configs/registry.yaml", pipeline)
	}
	return s.String(), nil
}
