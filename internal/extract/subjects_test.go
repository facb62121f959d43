package extract

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/sourcedb"
)

// madeCode is an original code as the study writes them, made up at run time.
func madeCode(i int) string { return fmt.Sprintf("PLR%04d", 7000+i) }

func ptr[T any](v T) *T { return &v }

// subjects counts those of the heads of records.
func subjects(records []*Head, source *sourcedb.Contents) ([]Subject, error) {
	census := NewCensus(source)
	for _, r := range records {
		err := census.Count(r)
		if err != nil {
			return nil, err
		}
	}
	return census.Subjects()
}

func TestSubjects(t *testing.T) {
	records := []*Head{
		{Subjects: []string{madeCode(5), madeCode(1)}, Outcomes: []int{1, 0}, Train: []string{madeCode(2)}, TrainOutcomes: []int{0}},
		{Subjects: []string{madeCode(1)}, Outcomes: []int{0}, Train: []string{madeCode(2), madeCode(6)}, TrainOutcomes: []int{0, 1}},
		{Verdict: Unfinished},
	}
	source := &sourcedb.Contents{Subjects: []sourcedb.Subject{
		{Original: madeCode(1)}, // the pickles know its label
		{Original: madeCode(2)},
		{Original: madeCode(3)},
		{Original: madeCode(4), Outcome: ptr(1)},
		{Original: madeCode(5), Outcome: ptr(1)},
		{Original: madeCode(6)},
	}}
	got, err := subjects(records, source)
	if err != nil {
		t.Fatal(err)
	}
	want := []Subject{
		{madeCode(1), ptr(0)}, {madeCode(2), ptr(0)}, {madeCode(3), nil},
		{madeCode(4), ptr(1)}, {madeCode(5), ptr(1)}, {madeCode(6), ptr(1)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("subjects (-want +got):\n%s", diff)
	}
	if n := Unlabelled(got); n != 1 {
		t.Errorf("unlabelled: %d, want 1", n)
	}
	without, err := subjects(records, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(without) != 4 {
		t.Errorf("without a source database: %d subjects, want 4", len(without))
	}
}

func TestSubjectsUnknownToTheSource(t *testing.T) {
	records := []*Head{
		{RunID: "b", Subjects: []string{madeCode(1), madeCode(2)}, Outcomes: []int{1, 0}},
		{RunID: "a", Subjects: []string{madeCode(1)}, Outcomes: []int{1}, Train: []string{madeCode(2)}, TrainOutcomes: []int{0}},
		{RunID: "c", Subjects: []string{madeCode(1)}, Outcomes: []int{1}},
	}
	_, err := subjects(records, &sourcedb.Contents{Subjects: []sourcedb.Subject{{Original: madeCode(1)}}})
	var unknown *UnknownSubjects
	if !errors.As(err, &unknown) {
		t.Fatalf("got %v", err)
	}
	want := &UnknownSubjects{Originals: []string{madeCode(2)}, Runs: []string{"a", "b"}}
	if diff := cmp.Diff(want, unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
	if text := err.Error(); strings.Contains(text, madeCode(2)) || !strings.Contains(text, "1 subjects of the pickles") || !strings.Contains(text, "run a, b") {
		t.Errorf("the error says %q", text)
	}
}

func TestSubjectsContradicting(t *testing.T) {
	records := []*Head{
		{Subjects: []string{madeCode(1), madeCode(2)}, Outcomes: []int{0, 1}},
		{Train: []string{madeCode(2), madeCode(3)}, TrainOutcomes: []int{0, 0}},
	}
	source := &sourcedb.Contents{Subjects: []sourcedb.Subject{
		{Original: madeCode(1)}, {Original: madeCode(2)}, {Original: madeCode(3), Outcome: ptr(1)}, {Original: madeCode(4)},
	}}
	_, err := subjects(records, source)
	var conflict *LabelConflict
	if !errors.As(err, &conflict) {
		t.Fatalf("got %v, want a *LabelConflict", err)
	}
	if diff := cmp.Diff([]string{madeCode(2), madeCode(3)}, conflict.Originals); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	if text := err.Error(); !strings.Contains(text, "2 of 3 labelled subjects") || strings.Contains(text, "PLR7") {
		t.Errorf("error %q does not count, or names a subject", text)
	}
}

func TestSubjectsAlike(t *testing.T) {
	a, b, c := "Eye-é1", "eye_e\u03011", "Eye-é11"
	records := []*Head{
		{RunID: "b", Subjects: []string{a, c}, Outcomes: []int{0, 1}},
		{RunID: "a", Train: []string{b}, TrainOutcomes: []int{0}},
		{RunID: "c", Train: []string{c}, TrainOutcomes: []int{1}},
	}
	_, err := subjects(records, nil)
	var alike *AlikeSubjects
	if !errors.As(err, &alike) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(&AlikeSubjects{Originals: []string{a, b}, Runs: []string{"a", "b"}}, alike); diff != "" {
		t.Errorf("alike (-want +got):\n%s", diff)
	}
	if text := err.Error(); !strings.Contains(text, "2 subject codes") || !strings.Contains(text, "run a, b") || strings.Contains(strings.ToLower(text), "eye") {
		t.Errorf("the error says %q", text)
	}
	// A source database knows whom it has.
	got, err := subjects(records, &sourcedb.Contents{Subjects: []sourcedb.Subject{{Original: a}, {Original: b}, {Original: c}}})
	if err != nil || len(got) != 3 {
		t.Errorf("with a source database: %d subjects, error %v", len(got), err)
	}
}

// A spelling of a code that the lookup has would get a second code for one person.
func TestSubjectsAlikeToTheLookup(t *testing.T) {
	a, b, c := "Eye-é1", "eye_e\u03011", "Eye-é11"
	census := func(source *sourcedb.Contents) *Census {
		census := NewCensus(source)
		for _, head := range []*Head{{RunID: "b", Subjects: []string{b}, Outcomes: []int{0}}, {RunID: "a", Train: []string{b, c}, TrainOutcomes: []int{0, 1}}} {
			if err := census.Count(head); err != nil {
				t.Fatal(err)
			}
		}
		return census
	}
	lists := func(originals ...string) *sourcedb.Contents {
		contents := &sourcedb.Contents{}
		for _, original := range originals {
			contents.Subjects = append(contents.Subjects, sourcedb.Subject{Original: original})
		}
		return contents
	}
	for name, test := range map[string]struct {
		source *sourcedb.Contents
		lookup []string
		runs   []string
		fine   bool
	}{
		"a spelling":                         {nil, []string{a, c}, []string{"b"}, false},
		"the same code":                      {nil, []string{b}, nil, true},
		"both have codes":                    {nil, []string{a, b}, nil, true},
		"a lookup without any":               {nil, nil, nil, true},
		"the source lists both":              {lists(a, b, c), []string{a}, nil, true},
		"the source spells it in a new way":  {lists(b, c), []string{a}, []string{"b"}, false},
		"the source lists both, and one new": {lists(a, b, c), []string{a, c}, nil, true},
	} {
		err := census(test.source).AlikeTo(test.lookup)
		if test.fine {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var alike *AlikeSubjects
		if !errors.As(err, &alike) {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		if diff := cmp.Diff(&AlikeSubjects{Originals: []string{b}, Runs: test.runs, Lookup: true}, alike); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if text := err.Error(); !strings.Contains(text, "1 new subject codes, in run b,") || strings.Contains(strings.ToLower(text), "eye") {
			t.Errorf("%s: the error says %q", name, text)
		}
	}
	err := NewCensus(lists(b)).AlikeTo([]string{a})
	if err == nil || !strings.Contains(err.Error(), "1 new subject codes, of the source database,") {
		t.Errorf("a code that only the source database has: %v", err)
	}
}

func TestCensusRefuses(t *testing.T) {
	err := NewCensus(nil).Count(&Head{RunID: "a", Subjects: []string{madeCode(1)}})
	if err == nil || !strings.Contains(err.Error(), "run a: ") || strings.Contains(err.Error(), madeCode(1)) {
		t.Errorf("a subject without an outcome: %v", err)
	}
}
