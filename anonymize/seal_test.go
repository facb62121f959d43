package anonymize

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func mustNames(t testing.TB, l *Lookup, factor string, names []string, k []byte) int {
	t.Helper()
	added, err := l.AssignNames(factor, names, k)
	if err != nil {
		t.Fatal(err)
	}
	return added
}

// written is the text of a ledger and reread the ledger that a text holds.
func written(t testing.TB, l *Lookup) string {
	t.Helper()
	data, err := l.encode()
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func reread(t testing.TB, text string) *Lookup {
	t.Helper()
	l, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func replace(t *testing.T, text, pattern, with string) string {
	t.Helper()
	out := regexp.MustCompile(pattern).ReplaceAllString(text, with)
	if out == text {
		t.Fatalf("nothing to replace for %s", pattern)
	}
	return out
}

func TestEditsAreNoticed(t *testing.T) {
	l := NewLookup()
	mustAssign(t, l, append(cohort(10), Subject{"nobody", nil}), key(1))
	mustNames(t, l, "classifier", []string{"one", "two"}, key(1))
	whole := written(t, l)
	first, second := l.codes["H001"], l.codes["H002"]
	swapped := strings.NewReplacer("H001: "+first, "H001: "+second, "H002: "+second, "H002: "+first).Replace(whole)
	deleted := replace(t, replace(t, whole, "  G005: .*\n", ""), "entries: 13", "entries: 12")

	for name, text := range map[string]string{
		"swapped":          swapped,
		"deleted":          deleted,
		"deleted, lowered": replace(t, deleted, "G: 5}", "G: 4}"),
		"another original": replace(t, whole, "G005: .*\n", "G005: other1\n"),
		"unlabelled":       replace(t, whole, `"nobody"`, `"somebody"`),
		"names swapped":    strings.NewReplacer(`1: "one"`, `1: "two"`, `1: "two"`, `1: "one"`, `2: "one"`, `2: "two"`, `2: "two"`, `2: "one"`).Replace(whole),
		"name renumbered":  replace(t, whole, `    2: `, `    3: `),
		"said to be taken": replace(t, whole, "lookup:\n", "adopted: true\nlookup:\n"),
	} {
		if text == whole {
			t.Errorf("%s: nothing was edited", name)
		}
		edited := reread(t, text)
		err := edited.Verify(key(1))
		if !errors.Is(err, ErrEdited) || !strings.Contains(err.Error(), ".previous") || !strings.Contains(err.Error(), "backup") {
			t.Errorf("%s: error %v", name, err)
		}
		if _, _, err := edited.Assign([]Subject{{"late", outcome(0)}}, key(1)); !errors.Is(err, ErrEdited) {
			t.Errorf("%s: codes were given: %v", name, err)
		}
		if _, err := edited.AssignNames("imputation", []string{"x"}, key(1)); !errors.Is(err, ErrEdited) {
			t.Errorf("%s: names were numbered: %v", name, err)
		}
		if written(t, edited) != text {
			t.Errorf("%s: a refused change left a trace", name)
		}
	}
	back := reread(t, whole)
	if err := back.Verify(key(1)); err != nil {
		t.Error(err)
	}
	if err := back.Verify(key(2)); !errors.Is(err, ErrOtherKey) || !strings.Contains(err.Error(), "lookup.key") {
		t.Errorf("another key: %v", err)
	}
	if err := back.Verify([]byte("short")); err == nil {
		t.Error("a short key is accepted")
	}
	if strings.Contains(whole, string(key(1))) {
		t.Error("the file holds the key")
	}
}

// What has no seal passes, and has one after it was next written: a file of the
// format before, of another programme, or one whose key is lost.
func TestUnsealedIsSealed(t *testing.T) {
	l := NewLookup()
	mustAssign(t, l, cohort(4), key(1))
	for name, text := range map[string]string{
		"format 1":  fmt.Sprintf("format: 1\nentries: 1\nlookup: {H007: %s}\nunlabelled: []\n", original(1)),
		"reference": fmt.Sprintf("lookup: {H007: %[1]s}\nreverse_lookup: {%[1]s: H007}\n", original(1)),
		"lost key":  replace(t, written(t, l), "seal: .*", "seal: none"),
	} {
		old := reread(t, text)
		if old.Sealed() || old.Verify(key(2)) != nil {
			t.Errorf("%s: sealed %v, error %v", name, old.Sealed(), old.Verify(key(2)))
		}
		mustAssign(t, old, nil, key(2))
		sealed := reread(t, written(t, old))
		if !sealed.Sealed() || sealed.Verify(key(2)) != nil {
			t.Errorf("%s: sealed %v, error %v", name, sealed.Sealed(), sealed.Verify(key(2)))
		}
	}
}

// A number is never given twice, even where the subject that had it is gone.
func TestNumbersAreNotGivenAgain(t *testing.T) {
	l := NewLookup()
	mustAssign(t, l, cohort(6), key(1))
	text := replace(t, written(t, l), "  [HG]003: .*\n", "")
	text = replace(t, replace(t, text, "entries: 6", "entries: 4"), "seal: .*", "seal: none")
	cut := reread(t, text)
	mustAssign(t, cut, []Subject{{"late control", outcome(0)}, {"late event", outcome(1)}}, key(1))
	for original, want := range map[string]string{"late control": "H004", "late event": "G004"} {
		if code, _ := cut.Code(original); code != want {
			t.Errorf("%s has %s, want %s", original, code, want)
		}
	}
}

// The remedy of ErrEdited works: from the version before, later subjects get the
// codes that they had.
func TestPreviousLeadsToTheSameCodes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subject_lookup.yaml")
	l := NewLookup()
	for _, n := range []int{4, 20} {
		mustAssign(t, l, cohort(n), key(1))
		if err := l.WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(PreviousPath(path), path); err != nil {
		t.Fatal(err)
	}
	back, err := ReadLookup(path)
	if err != nil {
		t.Fatal(err)
	}
	mustAssign(t, back, cohort(20), key(1))
	if diff := cmp.Diff(l.codes, back.codes); diff != "" || back.seal != l.seal {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	l := NewLookup()
	if _, ok := l.Name("classifier", "free text"); ok {
		t.Error("a name that nobody assigned has a number")
	}
	if added := mustNames(t, l, "classifier", []string{"b", "a", "b"}, key(1)); added != 2 {
		t.Errorf("%d added, want 2", added)
	}
	mustNames(t, l, "imputation", []string{"b"}, key(1))
	if n, _ := l.Name("imputation", "b"); n != "unregistered-1" {
		t.Errorf("the first of another factor is %s", n)
	}
	a, _ := l.Name("classifier", "a")
	b, _ := l.Name("classifier", "b")
	if got := slices.Sorted(slices.Values([]string{a, b})); !slices.Equal(got, []string{"unregistered-1", "unregistered-2"}) {
		t.Errorf("numbers %v", got)
	}

	// More runs, fewer runs, a lost key: the same numbers.
	reborn := reread(t, replace(t, written(t, l), "seal: .*", "seal: none"))
	if added := mustNames(t, reborn, "classifier", []string{"c", "d", "e", "f", "b"}, key(2)); added != 4 {
		t.Errorf("%d added, want 4", added)
	}
	for name, want := range map[string]string{"a": a, "b": b} {
		if got, _ := reborn.Name("classifier", name); got != want {
			t.Errorf("%s became %s, was %s", name, got, want)
		}
	}
	path := filepath.Join(t.TempDir(), "lookup.yaml")
	if err := reborn.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	l.names["classifier"]["g"] = 3 // c, d, e or f has it
	if err := l.WriteFile(path); err == nil || !strings.Contains(err.Error(), "4 entries") {
		t.Errorf("names were lost: %v", err)
	}

	for factor, name := range map[string]string{"": "x", "Two words": "x", "a": "\xff", "b": "\x00"} {
		before := written(t, reborn)
		if _, err := reborn.AssignNames(factor, []string{"fine", name}, key(2)); err == nil || strings.Contains(err.Error(), name) && name != "x" {
			t.Errorf("factor %q: error %v", factor, err)
		}
		if written(t, reborn) != before {
			t.Errorf("factor %q: a refused change left a trace", factor)
		}
	}
}

// The order of names tells nothing of them, and does not depend on theirs.
func TestNamesFollowTheKey(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("name %03d", i))
	}
	a, b, c := NewLookup(), NewLookup(), NewLookup()
	mustNames(t, a, "classifier", names, key(1))
	mustNames(t, c, "classifier", names, key(2))
	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	mustNames(t, b, "classifier", reversed, key(1))
	if !cmp.Equal(a.names, b.names) || cmp.Equal(a.names, c.names) {
		t.Error("the order is not that of the key")
	}
	rising := 0
	for i := 1; i < len(names); i++ {
		if a.names["classifier"][names[i-1]] < a.names["classifier"][names[i]] {
			rising++
		}
	}
	if rising < 30 || rising > 69 { // 49.5 expected, sd about 3
		t.Errorf("%d of 99 neighbours follow the order of the names", rising)
	}
}

// Whatever text a name is, it is read as it was written.
func TestNamesSurviveTheFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLookup()
		var names []string
		for _, name := range rapid.SliceOfN(rapid.String(), 0, 6).Draw(t, "names") {
			names = append(names, strings.ReplaceAll(name, "\x00", ""))
		}
		if _, err := l.AssignNames("classifier", names, key(1)); err != nil {
			t.Fatal(err)
		}
		data, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if err := back.Verify(key(1)); err != nil {
			t.Fatal(err)
		}
	})
}
