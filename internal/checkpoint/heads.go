package checkpoint

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
)

// readHeads sees that there is one good record for every run that the index wants
// to use, and none for any other, and that every subject has a code.
func (a *assembler) readHeads(index *extract.Index) error {
	once := sayOnce()
	a.listed = make([]listed, 0, len(index.Runs))
	wanted := make(map[string]int, len(index.Runs))
	for i, run := range index.Runs {
		if _, ok := wanted[run.RunID]; ok {
			return fmt.Errorf("run %s occurs twice in the index", run.RunID)
		}
		if run.Reason != "" && !slices.Contains(disclosure.Reasons, run.Reason) {
			return fmt.Errorf("run %s has a reason for its verdict that is not of the published list", run.RunID)
		}
		wanted[run.RunID] = i
		a.listed = append(a.listed, listed{run.RunID, once(run.Reason), extract.Verdict(once(string(run.Verdict))), run.Open})
	}
	if err := index.Err(); err != nil { // nobody can tell what would be missing
		return err
	}
	found := make([]bool, len(index.Runs))
	byConfiguration := map[extract.Configuration]string{}
	a.unfinished = map[string]string{}
	err := extract.Heads(a.records, func(i int, r *extract.Head) error {
		place, ok := wanted[r.RunID]
		if !ok || index.Runs[place].Verdict != extract.Used {
			return fmt.Errorf("run %s has a record and is not among the runs that the index uses", r.RunID)
		}
		run := &index.Runs[place]
		if found[place] {
			return fmt.Errorf("run %s has two records", r.RunID)
		}
		found[place] = true
		switch {
		case r.Verdict == extract.Unfinished && run.Open && slices.Contains(disclosure.Reasons, r.Reason):
			a.unfinished[run.RunID] = r.Reason
			return nil
		case r.Verdict != extract.Used:
			return fmt.Errorf("run %s has a record with the verdict %s", r.RunID, r.Verdict)
		case r.Configuration != run.Configuration:
			return fmt.Errorf("run %s has another configuration in its record than in the index", r.RunID)
		}
		if other, ok := byConfiguration[run.Configuration]; ok {
			return fmt.Errorf("runs %s and %s have the same configuration and are both used", min(other, r.RunID), max(other, r.RunID))
		}
		byConfiguration[run.Configuration] = run.RunID
		if err := a.countSubjects(r); err != nil {
			return fmt.Errorf("run %s: %w", r.RunID, err)
		}
		c := &configured{RunID: run.RunID, record: i, tested: len(r.Subjects), refits: r.Refits, Configuration: extract.Configuration{
			Classifier: once(run.Configuration.Classifier), Featurization: once(run.Configuration.Featurization),
			Outlier: once(run.Configuration.Outlier), Imputation: once(run.Configuration.Imputation),
		}}
		if a.options.Upstream != nil {
			for _, s := range a.options.Upstream.Stages {
				c.from = append(c.from, once(index.From[run.RunID][s.Stage]))
			}
		}
		a.configs = append(a.configs, c)
		return nil
	})
	if err != nil {
		return err
	}
	for i, run := range index.Runs {
		if run.Verdict == extract.Used && !found[i] {
			return fmt.Errorf("run %s is to be used and has no record", run.RunID)
		}
	}
	if len(a.configs) == 0 {
		return fmt.Errorf("none of the %d runs of the experiment can be used: the index says why for each", len(index.Runs))
	}
	return nil
}

// sayOnce returns a function that gives equal texts the same memory: there are few
// names, and many runs that are called by them.
func sayOnce() func(string) string {
	known := map[string]string{}
	return func(text string) string {
		if was, ok := known[text]; ok {
			return was
		}
		known[text] = text
		return text
	}
}

// checkSets sees that every subject of a record has an outcome.
func checkSets(subjects, train []string, outcomes, trainOutcomes []int) error {
	if len(subjects) == 0 || len(outcomes) != len(subjects) {
		return fmt.Errorf("%d subjects and %d outcomes in the test set", len(subjects), len(outcomes))
	}
	if len(trainOutcomes) != len(train) {
		return fmt.Errorf("%d subjects and %d outcomes in the training set", len(train), len(trainOutcomes))
	}
	for i, y := range slices.Concat(outcomes, trainOutcomes) {
		if y != 0 && y != 1 {
			return fmt.Errorf("outcome %d of subject %d is neither 0 nor 1", y, i+1)
		}
	}
	return nil
}

// publishNames puts registered names, and what stands for others, into the
// configurations and brings these into their order.
func (a *assembler) publishNames() error {
	a.hidden = map[[2]string]string{}
	used := make([]extract.Configuration, len(a.configs))
	for i, c := range a.configs {
		used[i] = c.Configuration
	}
	missing := 0
	for factor, names := range extract.UnregisteredNames(used, a.options.Upstream, a.reg) {
		taken := map[string]struct{}{}
		for _, name := range names {
			published, ok := "", false
			if a.options.Published != nil {
				published, ok = a.options.Published(factor, name)
			}
			if !ok {
				missing++
				continue
			}
			if _, ok := taken[published]; ok || !disclosure.IsUnregistered(published) {
				return fmt.Errorf("a name of factor %s would be published in another form than %s and a number of its own", factor, disclosure.Unregistered)
			}
			taken[published] = struct{}{}
			a.hidden[[2]string{factor, name}] = published
		}
	}
	if missing > 0 {
		return fmt.Errorf("%d names of methods are neither in the registry nor have a number in the lookup: run the step subjects again", missing)
	}
	for _, c := range a.configs {
		c.registered = true
		for factor, into := range map[string]*string{
			config.Classifier: &c.classifier, config.Featurization: &c.featurization,
			config.Outlier: &c.outlier, config.Imputation: &c.imputation,
		} {
			name := c.Configuration.Of(factor)
			method, ok := a.reg.Method(factor, name)
			*into = method.Name
			if !ok {
				*into = a.hidden[[2]string{factor, name}]
			}
			c.registered = c.registered && ok && method.Registered
		}
	}
	slices.SortFunc(a.configs, func(x, y *configured) int {
		return cmp.Or(
			cmp.Compare(x.classifier, y.classifier), cmp.Compare(x.featurization, y.featurization),
			cmp.Compare(x.outlier, y.outlier), cmp.Compare(x.imputation, y.imputation),
		)
	})
	a.ids = make(map[string]int, len(a.configs))
	for i, c := range a.configs {
		a.ids[c.RunID] = i + 1
	}
	return nil
}

// uncoded are the originals that cannot be published. All that is wrong is counted
// before it is reported: one subject would be a hint of who it is.
type uncoded struct{ missing, contradicting map[string]struct{} }

func (u *uncoded) err() error {
	if n := len(u.missing); n > 0 {
		return fmt.Errorf("%d subjects of the runs have no code in the lookup: run the step subjects again", n)
	}
	if n := len(u.contradicting); n > 0 {
		return fmt.Errorf("%d subjects have a label in a run that contradicts their code in the lookup: correct the label, or list the runs under EXTRACTION.exclude_runs with a reason; "+
			"if the published label was wrong, begin a new release with a new private directory and a new database", n)
	}
	return nil
}

// coded is the code of a subject; it is false without one, or when one contradicts
// the outcome.
func (a *assembler) coded(original string, outcome int) (code string, ok, agrees bool) {
	code, ok = a.code(original)
	if !ok || !disclosure.CodeForm.MatchString(code) {
		return "", false, true
	}
	return code, true, (code[0] == 'G') == (outcome == 1)
}

// countSubjects looks at the subjects of one record, training and test.
func (a *assembler) countSubjects(r *extract.Head) error {
	if err := checkSets(r.Subjects, r.Train, r.Outcomes, r.TrainOutcomes); err != nil {
		return err
	}
	count := func(originals []string, outcomes []int) {
		for i, original := range originals {
			code, ok, agrees := a.coded(original, outcomes[i])
			if ok {
				a.subjects[code] = struct{}{}
			} else {
				note(&a.uncoded.missing, original)
			}
			if !agrees {
				note(&a.uncoded.contradicting, original)
			}
		}
	}
	count(r.Subjects, r.Outcomes)
	count(r.Train, r.TrainOutcomes)
	return nil
}

func note(set *map[string]struct{}, member string) {
	if *set == nil {
		*set = map[string]struct{}{}
	}
	(*set)[member] = struct{}{}
}
