package extract

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/foundation-plr/pipeline/internal/sourcedb"
)

// Subject is one person of the study under the original code.
type Subject struct {
	Original string
	Outcome  *int // 0 control, 1 event; nil where nothing gives a label
}

// LabelConflict says that sources disagree on the label of some subjects. Its
// text counts them; Originals is for the private log alone.
type LabelConflict struct {
	Originals []string // in ascending order
	Labelled  int      // subjects with a label from any source
}

// Error counts the subjects and names none.
func (e *LabelConflict) Error() string {
	return fmt.Sprintf("%d of %d labelled subjects have one label in one pickle or the source database "+
		"and the other label elsewhere; the private log names them; correct the source, "+
		"or list the runs that are wrong under EXTRACTION.exclude_runs with a reason", len(e.Originals), e.Labelled)
}

// UnknownSubjects says that pickles hold subjects that the source database does
// not know: one of the two is not this study's. Its text counts them and names
// the runs; Originals is for the private log alone.
type UnknownSubjects struct {
	Originals []string // in ascending order
	Runs      []string // ids of the runs that hold one, in ascending order
}

// maxRuns bounds how many runs an error names.
const maxRuns = 5

// Error counts the subjects and names none.
func (e *UnknownSubjects) Error() string {
	return fmt.Sprintf("%d subjects of the pickles are not in the source database, in run %s; the private log names them; "+
		"configure the source database of this study (PLR_SOURCE_DB), or list the runs under EXTRACTION.exclude_runs with a reason",
		len(e.Originals), listed(e.Runs))
}

// AlikeSubjects says that codes may be spellings of one, and no source database says
// that they are several. Its text counts them and names runs; Originals is for the
// private log alone.
type AlikeSubjects struct {
	Originals []string // in ascending order
	Runs      []string // ids of runs that hold one each, in ascending order; none: only the source database does
	Lookup    bool     // they are new, and spellings of codes that the lookup has
}

// Error counts the codes and names none.
func (e *AlikeSubjects) Error() string {
	const form = "only in case, in blanks and hyphens or in forms of the same letters, "
	if !e.Lookup {
		return fmt.Sprintf("%d subject codes of the pickles differ from another one "+form+"among others in run %s; "+
			"the private log names them; if they are one subject each, write them in one way; if not, configure the source database that has them (PLR_SOURCE_DB); "+
			"or list the runs under EXTRACTION.exclude_runs with a reason", len(e.Originals), listed(e.Runs))
	}
	where := "of the source database"
	if len(e.Runs) > 0 {
		where = "in run " + listed(e.Runs)
	}
	return fmt.Sprintf("%d new subject codes, %s, differ from one that the lookup has "+form+"and would get a second public code; "+
		"the private log names them; if they are the same subjects, write them as the lookup does; if not, configure the source database that has both spellings (PLR_SOURCE_DB); "+
		"or list the runs under EXTRACTION.exclude_runs with a reason", len(e.Originals), where)
}

// listed names the first of so many runs.
func listed(ids []string) string {
	runs := strings.Join(ids[:min(len(ids), maxRuns)], ", ")
	if more := len(ids) - maxRuns; more > 0 {
		runs += fmt.Sprintf(" and %d more", more)
	}
	return runs
}

// alike is the same for codes that people would take for one.
func alike(original string) string {
	folded := norm.NFKC.String(strings.ToLower(strings.ToUpper(norm.NFKC.String(original))))
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || unicode.Is(unicode.Pd, r) {
			return '-'
		}
		return r
	}, folded)
}

// Census is who is in the records of a study and in its source database, and of which
// configurations the usable records are. It grows with the number of people and of
// configurations, not with that of records.
type Census struct {
	known          map[string]bool // to the source database; nil: there is none
	merged         map[string]*Subject
	runs           map[string]string // original → a run that holds it
	conflicts      map[string]bool
	strangers      map[string]bool
	strange        []string // runs that hold one
	configurations map[Configuration]struct{}
}

// NewCensus begins with the subjects of the source database, nil where there is none.
func NewCensus(source *sourcedb.Contents) *Census {
	c := &Census{merged: map[string]*Subject{}, runs: map[string]string{}, conflicts: map[string]bool{}, strangers: map[string]bool{}, configurations: map[Configuration]struct{}{}}
	if source != nil {
		c.known = map[string]bool{}
		for _, subject := range source.Subjects {
			c.known[subject.Original] = true
			c.add(subject.Original, subject.Outcome)
		}
	}
	return c
}

func (c *Census) add(original string, outcome *int) {
	subject := c.merged[original]
	if subject == nil {
		subject = &Subject{Original: original}
		c.merged[original] = subject
	}
	switch {
	case outcome == nil:
	case subject.Outcome == nil:
		value := *outcome
		subject.Outcome = &value
	case *subject.Outcome != *outcome:
		c.conflicts[original] = true
	}
}

// Count takes in the test and training subjects of a record.
func (c *Census) Count(head *Head) error {
	if len(head.Outcomes) != len(head.Subjects) || len(head.TrainOutcomes) != len(head.Train) {
		return fmt.Errorf("run %s: the record has not one outcome for each subject: extract the run again", head.RunID)
	}
	if head.Verdict == Used {
		c.configurations[head.Configuration] = struct{}{}
	}
	strange := false
	count := func(originals []string, outcomes []int) {
		for i, original := range originals {
			if c.known != nil && !c.known[original] {
				c.strangers[original], strange = true, true
			}
			c.add(original, &outcomes[i])
			if _, known := c.runs[original]; !known {
				c.runs[original] = head.RunID
			}
		}
	}
	count(head.Subjects, head.Outcomes)
	count(head.Train, head.TrainOutcomes)
	if strange {
		c.strange = append(c.strange, head.RunID)
	}
	return nil
}

// Configurations are those of the usable records, in no order.
func (c *Census) Configurations() []Configuration {
	return slices.Collect(maps.Keys(c.configurations))
}

// Subjects are all, by original code. A subject that two sources label differently
// makes a *LabelConflict, one of the records that the source database lacks an
// *UnknownSubjects: its code would be for ever. Without a source database spellings of
// one code make an *AlikeSubjects.
func (c *Census) Subjects() ([]Subject, error) {
	if len(c.strangers) > 0 {
		return nil, &UnknownSubjects{Originals: slices.Sorted(maps.Keys(c.strangers)), Runs: slices.Sorted(slices.Values(c.strange))}
	}
	if c.known == nil {
		if err := c.alike(); err != nil {
			return nil, err
		}
	}
	subjects := make([]Subject, 0, len(c.merged))
	for _, original := range slices.Sorted(maps.Keys(c.merged)) {
		subjects = append(subjects, *c.merged[original])
	}
	if len(c.conflicts) > 0 {
		return nil, &LabelConflict{Originals: slices.Sorted(maps.Keys(c.conflicts)), Labelled: len(subjects) - Unlabelled(subjects)}
	}
	return subjects, nil
}

// alike is a *AlikeSubjects if there are any.
func (c *Census) alike() error {
	spellings := map[string][]string{}
	for original := range c.merged {
		key := alike(original)
		spellings[key] = append(spellings[key], original)
	}
	e := &AlikeSubjects{}
	for _, originals := range spellings {
		if len(originals) < 2 {
			continue
		}
		e.Originals = append(e.Originals, originals...)
		for _, original := range originals {
			e.Runs = append(e.Runs, c.runs[original])
		}
	}
	if e.Originals == nil {
		return nil
	}
	slices.Sort(e.Originals)
	slices.Sort(e.Runs)
	e.Runs = slices.Compact(e.Runs)
	return e
}

// AlikeTo is a *AlikeSubjects if a subject that the lookup does not have is a spelling
// of one that it has and that the source database, if there is any, does not list: a
// person would have two codes for ever.
func (c *Census) AlikeTo(lookup []string) error {
	had, spellings := map[string]bool{}, map[string]bool{}
	for _, original := range lookup {
		had[original] = true
		if !c.known[original] {
			spellings[alike(original)] = true
		}
	}
	e := &AlikeSubjects{Lookup: true}
	for original := range c.merged {
		if had[original] || !spellings[alike(original)] {
			continue
		}
		e.Originals = append(e.Originals, original)
		if run, ok := c.runs[original]; ok {
			e.Runs = append(e.Runs, run)
		}
	}
	if e.Originals == nil {
		return nil
	}
	slices.Sort(e.Originals)
	slices.Sort(e.Runs)
	e.Runs = slices.Compact(e.Runs)
	return e
}

// Unlabelled counts the subjects that get no code because nothing labels them.
func Unlabelled(subjects []Subject) int {
	n := 0
	for _, subject := range subjects {
		if subject.Outcome == nil {
			n++
		}
	}
	return n
}
