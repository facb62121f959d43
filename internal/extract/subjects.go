package extract

import (
	"fmt"
	"slices"
	"strings"
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
	runs := strings.Join(e.Runs[:min(len(e.Runs), maxRuns)], ", ")
	if more := len(e.Runs) - maxRuns; more > 0 {
		runs += fmt.Sprintf(" and %d more", more)
	}
	return fmt.Sprintf("%d subjects of the pickles are not in the source database, in run %s; the private log names them; "+
		"configure the source database of this study (PLR_SOURCE_DB), or list the runs under EXTRACTION.exclude_runs with a reason",
		len(e.Originals), runs)
}

// unknown returns the subjects of records that the source lacks, nil if there
// are none.
func unknown(records []*Record, source *Source) error {
	known := map[string]bool{}
	for _, subject := range source.Subjects {
		known[subject.Original] = true
	}
	strangers := map[string]bool{}
	e := new(UnknownSubjects)
	for _, record := range records {
		met := false
		for _, original := range slices.Concat(record.Subjects, record.Train) {
			if !known[original] {
				strangers[original], met = true, true
			}
		}
		if met {
			e.Runs = append(e.Runs, record.RunID)
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	for original := range strangers {
		e.Originals = append(e.Originals, original)
	}
	slices.Sort(e.Originals)
	slices.Sort(e.Runs)
	return e
}

// Subjects merges the subjects of all run records, training and test set, with
// those of the source database (nil where there is none), by original code. A
// subject that two of them label differently makes a *LabelConflict, one of the
// records that a source lacks an *UnknownSubjects: its code would be for ever.
func Subjects(records []*Record, source *Source) ([]Subject, error) {
	if source != nil {
		if err := unknown(records, source); err != nil {
			return nil, err
		}
	}
	merged := map[string]*Subject{}
	conflicts := map[string]bool{}
	add := func(original string, outcome *int) {
		subject := merged[original]
		if subject == nil {
			subject = &Subject{Original: original}
			merged[original] = subject
		}
		switch {
		case outcome == nil:
		case subject.Outcome == nil:
			value := *outcome
			subject.Outcome = &value
		case *subject.Outcome != *outcome:
			conflicts[original] = true
		}
	}
	for _, record := range records {
		for i, original := range record.Subjects {
			add(original, &record.Outcomes[i])
		}
		for i, original := range record.Train {
			add(original, &record.TrainOutcomes[i])
		}
	}
	if source != nil {
		for _, subject := range source.Subjects {
			add(subject.Original, subject.Outcome)
		}
	}
	subjects := make([]Subject, 0, len(merged))
	for _, subject := range merged {
		subjects = append(subjects, *subject)
	}
	slices.SortFunc(subjects, func(a, b Subject) int { return strings.Compare(a.Original, b.Original) })
	if len(conflicts) > 0 {
		conflict := &LabelConflict{Labelled: len(subjects) - Unlabelled(subjects)}
		for original := range conflicts {
			conflict.Originals = append(conflict.Originals, original)
		}
		slices.Sort(conflict.Originals)
		return nil, conflict
	}
	return subjects, nil
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
