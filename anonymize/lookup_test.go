package anonymize

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// original makes an original code of the study's form. The sources hold none.
func original(i int) string { return fmt.Sprintf("%s%04d", "PLR", i) }

func outcome(v int) *int { return &v }

func key(b byte) []byte { return []byte(strings.Repeat(string(rune('a'+b)), KeySize)) }

func cohort(n int) []Subject {
	var all []Subject
	for i := range n {
		all = append(all, Subject{original(1000 + 7*i), outcome(i % 2)})
	}
	return all
}

func mustAssign(t testing.TB, l *Lookup, s []Subject, k []byte) (added, skipped int) {
	t.Helper()
	added, skipped, err := l.Assign(s, k)
	if err != nil {
		t.Fatal(err)
	}
	return added, skipped
}

func TestAssign(t *testing.T) {
	l := NewLookup()
	subjects := append(cohort(40), Subject{"unlabelled-1", nil}, Subject{original(1000), nil})
	added, skipped := mustAssign(t, l, subjects, key(1))
	if added != 40 || skipped != 1 || l.Len() != 40 || l.Unlabelled() != 1 {
		t.Errorf("added %d, skipped %d, len %d, unlabelled %d; want 40, 1, 40, 1", added, skipped, l.Len(), l.Unlabelled())
	}
	var want []string
	for _, letter := range []string{"H", "G"} {
		for i := range 20 {
			want = append(want, fmt.Sprintf("%s%03d", letter, i+1))
		}
	}
	if diff := cmp.Diff(want, l.Codes()); diff != "" {
		t.Error(diff)
	}
	for i, s := range cohort(40) {
		code, ok := l.Code(s.Original)
		if !ok || !regexp.MustCompile(CodePattern).MatchString(code) || (code[0] == 'G') != (i%2 == 1) {
			t.Errorf("subject %d has code %q", i, code)
		}
		if back, _ := l.Original(code); back != s.Original {
			t.Errorf("%s leads to another subject", code)
		}
	}
	if _, ok := l.Code("unlabelled-1"); ok {
		t.Error("a subject without label has a code")
	}
	if !slices.Contains(l.Originals(), "unlabelled-1") || len(l.Originals()) != 41 {
		t.Errorf("%d originals, want 41 with the unlabelled one", len(l.Originals()))
	}

	// A label turns up.
	added, skipped = mustAssign(t, l, []Subject{{"unlabelled-1", outcome(1)}}, key(1))
	if code, _ := l.Code("unlabelled-1"); code != "G021" || added != 1 || skipped != 0 || l.Unlabelled() != 0 {
		t.Errorf("late label: code %q, added %d, skipped %d", code, added, skipped)
	}
	// And a label that goes missing changes nothing.
	if added, skipped = mustAssign(t, l, []Subject{{"unlabelled-1", nil}}, key(1)); added != 0 || skipped != 0 {
		t.Errorf("missing label: added %d, skipped %d", added, skipped)
	}
}

func TestNumbersTellNothingOfTheOrder(t *testing.T) {
	subjects := cohort(200)
	a, b, c := NewLookup(), NewLookup(), NewLookup()
	mustAssign(t, a, subjects, key(1))
	mustAssign(t, b, subjects, key(2))
	slices.Reverse(subjects)
	mustAssign(t, c, subjects, key(1))
	if !cmp.Equal(a.codes, c.codes) {
		t.Error("codes depend on the order of the subjects")
	}
	inOrder := func(l *Lookup) int {
		n := 0
		codes := l.Codes()
		for i := 1; i < len(codes); i++ {
			if l.codes[codes[i-1]] < l.codes[codes[i]] {
				n++
			}
		}
		return n
	}
	for _, l := range []*Lookup{a, b} {
		// Of 199 neighbours, half rise in a random order: sd about 4.
		if n := inOrder(l); n < 75 || n > 125 {
			t.Errorf("%d of 199 neighbours follow the original order", n)
		}
	}
	same := 0
	for code, original := range a.codes {
		if b.codes[code] == original {
			same++
		}
	}
	if same > 20 {
		t.Errorf("%d of 200 codes do not depend on the key", same)
	}
}

func TestAssignProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLookup()
		seen := map[string]string{}
		labels := map[string]int{}
		for range rapid.IntRange(1, 5).Draw(t, "rounds") {
			var batch []Subject
			for _, i := range rapid.SliceOfN(rapid.IntRange(0, 60), 0, 20).Draw(t, "subjects") {
				batch = append(batch, Subject{original(i), outcome(i % 2)})
				labels[original(i)] = i % 2
			}
			if _, _, err := l.Assign(batch, key(3)); err != nil {
				t.Fatal(err)
			}
			for o, code := range seen {
				if now, _ := l.Code(o); now != code {
					t.Fatalf("a code changed from %s to %s", code, now)
				}
			}
			for o := range labels {
				seen[o], _ = l.Code(o)
			}
		}
		if l.Len() != len(labels) {
			t.Fatalf("%d codes for %d subjects", l.Len(), len(labels))
		}
		data, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, back, cmp.AllowUnexported(Lookup{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestContradiction(t *testing.T) {
	l := NewLookup()
	mustAssign(t, l, cohort(10), key(1))
	before, _ := l.encode()
	for name, subjects := range map[string][]Subject{
		"with the ledger":     {{original(1000), outcome(1)}, {original(1007), outcome(0)}, {"new", outcome(1)}},
		"among the subjects":  {{"a", outcome(1)}, {"a", outcome(0)}, {"b", outcome(0)}, {"b", nil}, {"b", outcome(1)}, {"b", outcome(1)}},
		"both, none counted":  {{original(1000), outcome(1)}, {"a", outcome(1)}, {"a", outcome(0)}, {"new", nil}},
		"one subject, thrice": {{original(1000), outcome(1)}, {original(1000), outcome(0)}, {original(1000), outcome(1)}, {"a", outcome(0)}, {"a", outcome(1)}},
	} {
		_, _, err := l.Assign(subjects, key(1))
		var contradiction *ContradictionError
		if !errors.As(err, &contradiction) {
			t.Errorf("%s: error %v", name, err)
			continue
		}
		if len(contradiction.Originals()) != 2 || !strings.Contains(err.Error(), "2 subjects") {
			t.Errorf("%s: %d subjects, text %q", name, len(contradiction.Originals()), err)
		}
		if regexp.MustCompile("PLR[0-9]").MatchString(fmt.Sprintf("%v %+v %s", err, err, err)) {
			t.Errorf("%s: the text holds an original code", name)
		}
	}
	after, _ := l.encode()
	if string(before) != string(after) {
		t.Error("a refused assignment changed the ledger")
	}
}

func TestAssignRefuses(t *testing.T) {
	for name, s := range map[string]Subject{
		"empty":          {"", outcome(0)},
		"a new code":     {"H001", outcome(0)},
		"not UTF-8":      {"a\xff", outcome(0)},
		"outcome beyond": {"a", outcome(2)},
	} {
		l := NewLookup()
		if _, _, err := l.Assign([]Subject{{"fine", outcome(0)}, s}, key(1)); err == nil {
			t.Errorf("%s: no error", name)
		}
		if l.Len() != 0 {
			t.Errorf("%s: codes were given", name)
		}
	}
	if _, _, err := NewLookup().Assign(nil, []byte("short")); err == nil {
		t.Error("a short key is accepted")
	}
}

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private", "subject_lookup.yaml")
	l := NewLookup()
	odd := []string{"S-001", "042", "null", "a: b #c", "Ä 7", "1e5", "yes", `q"uote`, "<&>", "- x"}
	for i, o := range odd {
		mustAssign(t, l, []Subject{{o, outcome(i % 2)}}, key(1))
	}
	mustAssign(t, l, []Subject{{"nobody", nil}}, key(1))
	if err := l.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if !strings.HasPrefix(string(first), "# WARNING") || !strings.Contains(string(first), "\nformat: 2\n") {
		t.Errorf("header: %.60q", first)
	}
	back, err := ReadLookup(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(l, back, cmp.AllowUnexported(Lookup{})); diff != "" {
		t.Error(diff)
	}

	// Unchanged: not written, though a mode that is too wide is.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := back.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	again, _ := os.Stat(path)
	if !os.SameFile(info, again) || !again.ModTime().Equal(info.ModTime()) {
		t.Error("an unchanged ledger was written again")
	}
	if again.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", again.Mode())
	}
	if _, err := os.Stat(PreviousPath(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a previous version of the first")
	}

	// Grown: the version before it is kept.
	mustAssign(t, back, []Subject{{"late", outcome(0)}, {"nobody", outcome(0)}}, key(1))
	if err := back.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	previous, err := os.ReadFile(PreviousPath(path))
	if err != nil || string(previous) != string(first) {
		t.Errorf("previous version: %v", err)
	}
	// Shrunk: refused, by codes and by unlabelled subjects alike.
	if err := l.WriteFile(path); err == nil || !strings.Contains(err.Error(), "2 entries") { // late and nobody
		t.Errorf("a smaller ledger replaced a larger one: %v", err)
	}
}

// Where TMPDIR names a directory on the same file system, drafts would be made
// there: outside the private directory.
func TestWriteFileDraftsBesideItsFile(t *testing.T) {
	elsewhere, past := t.TempDir(), time.Unix(1e9, 0)
	if err := os.Chtimes(elsewhere, past, past); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", elsewhere)
	path := filepath.Join(t.TempDir(), "subject_lookup.yaml")
	l := NewLookup()
	for i := range 2 { // the second writes the version before it, too
		mustAssign(t, l, cohort(4+i), key(1))
		if err := l.WriteFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if after, err := os.Stat(elsewhere); err != nil || !after.ModTime().Equal(past) {
		t.Errorf("something was made in the directory that TMPDIR names; error %v", err)
	}
}

func TestWriteFileThroughLink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "vault.yaml"), filepath.Join(dir, "subject_lookup.yaml")
	if err := NewLookup().WriteFile(target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	l := NewLookup()
	mustAssign(t, l, cohort(4), key(1))
	if err := l.WriteFile(link); err != nil {
		t.Fatal(err)
	}
	if back, err := ReadLookup(target); err != nil || back.Len() != 4 {
		t.Errorf("the file behind the link: %v, %v", back, err)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().Perm()
}

func TestProtect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lookup.key")
	if err := Protect(path); err != nil {
		t.Errorf("missing file: %v", err)
	}
	for given, want := range map[fs.FileMode]fs.FileMode{0o644: 0o600, 0o660: 0o600, 0o600: 0o600, 0o400: 0o400} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chmod(path, given)); err != nil {
			t.Fatal(err)
		}
		if err := Protect(path); err != nil {
			t.Error(err)
		}
		if got := mode(t, path); got != want {
			t.Errorf("mode %v became %v, want %v", given, got, want)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// The Python reference writes lookup, reverse_lookup and metadata.
func TestReferenceLookup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subject_lookup.yaml")
	text := fmt.Sprintf("lookup:\n  G001: %[1]s\n  H001: %[2]s\n  H002: %[3]s\nmetadata:\n  created: '2026-01-01'\n  n_subjects: 3\nreverse_lookup:\n  %[1]s: G001\n  %[2]s: H001\n  %[3]s: H002\n",
		original(4018), original(1002), original(1009))
	if err := errors.Join(os.WriteFile(path, []byte(text), 0o644), os.Chmod(path, 0o644)); err != nil {
		t.Fatal(err)
	}
	l, err := ReadLookup(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := mode(t, path); got != 0o644 {
		t.Errorf("reading changed the mode to %v", got)
	}
	if !l.Adopted() || NewLookup().Adopted() {
		t.Error("the reference's lookup is not told from one of ours")
	}
	if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], "order of the original codes") {
		t.Errorf("warnings %q", w)
	}
	added, _ := mustAssign(t, l, []Subject{{original(1002), outcome(0)}, {original(1003), outcome(0)}}, key(1))
	if code, _ := l.Code(original(1003)); added != 1 || code != "H003" {
		t.Errorf("added %d, code %q", added, code)
	}
	if err := l.WriteFile(path); err != nil {
		t.Fatal(err)
	}
	back, err := ReadLookup(path)
	if err != nil {
		t.Fatal(err)
	}
	if l.Adopted() || back.Adopted() {
		t.Error("a converted lookup passes for the reference's")
	}
	if code, _ := back.Code(original(4018)); code != "G001" || len(back.Warnings()) != 1 {
		t.Errorf("after writing: code %q, warnings %q", code, back.Warnings())
	}
	if kept, err := os.ReadFile(PreviousPath(path)); err != nil || string(kept) != text {
		t.Errorf("the reference's file was not kept: %v", err)
	}
	for _, name := range []string{path, PreviousPath(path)} {
		if got := mode(t, name); got != 0o600 {
			t.Errorf("%s has mode %v after it was taken over", filepath.Base(name), got)
		}
	}
}

func TestReadLookupRefuses(t *testing.T) {
	if _, err := ReadLookup(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	l := NewLookup()
	mustAssign(t, l, append(cohort(9), Subject{"zero", nil}), key(1))
	whole, err := l.encode()
	if err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		"empty":            "",
		"not YAML":         "lookup: [" + original(1),
		"a list":           "- " + original(1),
		"type":             "lookup: " + original(1),
		"nested":           "lookup: {H001: {x: " + original(1) + "}}",
		"twice":            "lookup:\n  H001: " + original(1) + "\n  H001: " + original(2),
		"form":             "lookup: {X001: " + original(1) + "}",
		"same subject":     "lookup: {H001: " + original(1) + ", G001: " + original(1) + "}",
		"no original":      "lookup: {H001: ''}",
		"new format":       "format: 3\nlookup: {H001: " + original(1) + "}",
		"older than it is": strings.Replace(string(whole), "format: 2", "format: 1", 1),
		"no seal":          regexp.MustCompile("seal: .*\n").ReplaceAllString(string(whole), ""),
		"half a seal":      regexp.MustCompile("seal: .{20}").ReplaceAllString(string(whole), "seal: "),
		"no highest":       regexp.MustCompile("highest: .*\n").ReplaceAllString(string(whole), ""),
		"lower highest":    regexp.MustCompile("highest: .*\n").ReplaceAllString(string(whole), "highest: {H: 5, G: 3}\n"),
		"other highest":    regexp.MustCompile("highest: .*\n").ReplaceAllString(string(whole), "highest: {H: 5, X: 9}\n"),
		"factor":           strings.Replace(string(whole), "names: {}", "names: {'a b': {1: x}}", 1),
		"name below 1":     strings.Replace(string(whole), "names: {}", "names: {a: {0: x}}", 1),
		"name twice":       strings.Replace(string(whole), "names: {}", "names: {a: {1: x, 2: x}}", 1),
		"name uncounted":   strings.Replace(string(whole), "names: {}", "names: {a: {1: x}}", 1),
		"no count":         "format: 1\nlookup: {H001: " + original(1) + "}",
		"also unlabelled":  "format: 1\nentries: 2\nlookup: {H001: " + original(1) + "}\nunlabelled: [" + original(1) + "]",
		"unlabelled x 2":   "format: 1\nentries: 2\nlookup: {}\nunlabelled: [" + original(1) + "," + original(1) + "]",
	}
	// What another programme wrote counts nothing: it says everything twice.
	foreign := fmt.Sprintf("lookup:\n  H001: %[1]s\n  H002: %[2]s\nmetadata: {n: 2}\nreverse_lookup:\n  %[1]s: H001\n  %[2]s: H002\n", original(1), original(2))
	if _, err := parse([]byte(foreign)); err != nil {
		t.Errorf("another programme's: %v", err)
	}
	cases["other direction differs"] = strings.Replace(foreign, ": H001\n", ": H002\n", 1)
	cases["blank around"] = strings.ReplaceAll(strings.Replace(foreign, original(1)+"\n", "'"+original(1)+" '\n", 1), "  "+original(1)+":", "  '"+original(1)+" ':")
	for i, line := range strings.SplitAfter(foreign, "\n") {
		if !strings.HasPrefix(line, "metadata") && line != "" {
			cases[fmt.Sprintf("another programme's without line %d", i+1)] = strings.Replace(foreign, line, "", 1)
		}
	}
	lines := strings.SplitAfter(string(whole), "\n")
	for n := range len(lines) - 1 {
		cases[fmt.Sprintf("cut after line %d", n)] = strings.Join(lines[:n], "")
	}
	for name, text := range cases {
		_, err := parse([]byte(text))
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), "PLR") {
			t.Errorf("%s: the error quotes the file", name)
		}
	}
}

func TestPrintedLookupIsPrivate(t *testing.T) {
	l := NewLookup()
	mustAssign(t, l, cohort(3), key(1))
	s := Subject{original(1), outcome(1)}
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s", l, l, l, l), fmt.Sprintf("%v %+v %#v %v", s, s, s, []Subject{s})} {
		if strings.Contains(text, "PLR") {
			t.Error("a printed value holds an original code")
		}
	}
}

func TestWarningsNameDoubtfulCodes(t *testing.T) {
	for name, c := range map[string]struct {
		originals []string
		want      []string // how each warning begins
	}{
		"the study's": {[]string{original(1), original(2)}, nil},
		"long":        {[]string{"SUBJ-0001", "subject 2"}, nil},
		"short":       {[]string{"101", "102", "S-1"}, []string{"3 original subject codes have fewer than 5", "2 original subject codes are mere numbers"}},
		"numbers":     {[]string{"10000001", "10000002"}, []string{"2 original subject codes are mere numbers"}},
		"middling":    {[]string{"S-0001", original(3)}, []string{"1 original subject codes have fewer than 8"}},
		"letters":     {[]string{"Ä-000001"}, []string{"1 original subject codes have letters beyond ASCII"}},
	} {
		l := NewLookup()
		for _, o := range c.originals {
			mustAssign(t, l, []Subject{{o, outcome(0)}}, key(1))
		}
		got := l.Warnings()
		if len(got) != len(c.want) {
			t.Errorf("%s: warnings %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s: warning %q, want %q", name, got[i], want)
			}
		}
	}
}

func TestKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private", "study.key")
	if _, err := ReadKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing key: %v", err)
	}
	made, err := CreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadKey(path)
	if err != nil || !slices.Equal(made, read) || len(read) != KeySize {
		t.Errorf("read back %d bytes, error %v", len(read), err)
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	if _, err := CreateKey(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("second key: %v", err)
	}
	if again, _ := ReadKey(path); !slices.Equal(made, again) {
		t.Error("the key was replaced")
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("%d files beside the key", len(entries))
	}
	for _, text := range []string{"", "abc", strings.Repeat("g", 64), strings.Repeat("a", 62)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKey(path); err == nil || (text != "" && strings.Contains(err.Error(), text)) {
			t.Errorf("key %q: error %v", text, err)
		}
	}
	if len(ExampleKey) != KeySize {
		t.Errorf("the example's key has %d bytes", len(ExampleKey))
	}
}

// What is published for a digest depends on the key, tells nothing of the digest
// and is not what the key makes of the same text elsewhere.
func TestKeyedDigest(t *testing.T) {
	digest := strings.Repeat("0123456789abcdef", 4)
	sum, err := KeyedDigest(key(1), digest)
	if err != nil || len(sum) != 64 || sum == digest {
		t.Errorf("%q, error %v", sum, err)
	}
	if again, _ := KeyedDigest(key(1), digest); again != sum {
		t.Error("the same key gives another")
	}
	other, err := KeyedDigest(key(2), digest)
	if err != nil || other == sum {
		t.Errorf("another key gives %q, error %v", other, err)
	}
	if order, _ := keyedSum(key(1), orderContext, digest); fmt.Sprintf("%x", order) == sum {
		t.Error("it is the order of a subject, too")
	}
	if _, err := KeyedDigest([]byte("short"), digest); err == nil {
		t.Error("a short key is accepted")
	}
}
