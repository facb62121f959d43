// Package anonymize stands between the subjects of a study and everything
// that is published: it gives subjects new codes, remembers them in a private
// ledger, and stops an output that still holds an original code.
//
// It knows nothing of tracking stores, databases or figures. Original codes
// are any strings; the only form it assumes is that of the new codes.
package anonymize

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Format is the version of the lookup file that this package writes. It also
// reads version 1, which had no seal, highest numbers or names.
const (
	Format     = 2
	formatBare = 1
)

// CodePattern is the form of a new code: the letter of the class and a number
// of three digits or more.
const CodePattern = `^[HG][0-9]{3,}$`

var codeForm = regexp.MustCompile(CodePattern)

// Letters of the two classes, fixed by the published names of the study's
// subjects: H for a healthy control (outcome 0), G for an event (outcome 1).
const (
	controlLetter = "H"
	eventLetter   = "G"
)

// Subject is one subject under its original code. Outcome is 0 for a control,
// 1 for an event, and nil where no source gives a label.
type Subject struct {
	Original string
	Outcome  *int
}

// String keeps the original code out of printed values.
func (Subject) String() string { return "[subject]" }

// GoString keeps the original code out of printed values.
func (Subject) GoString() string { return "[subject]" }

// Lookup is the ledger of a study: which code each subject has, for ever. It
// is private. The zero value is not usable; see [NewLookup] and [ReadLookup].
type Lookup struct {
	codes      map[string]string         // new code → original
	originals  map[string]string         // original → new code
	unlabelled map[string]struct{}       // originals that have no code because they have no label
	highest    map[string]int            // letter → highest number ever given
	names      map[string]map[string]int // factor → name that is not published → its number
	seal       string                    // as in the file; "" where there is none
	foreign    bool                      // read from another programme's file and not written since
	adopted    bool                      // some numbers were given by another programme, in the order of the originals
}

// NewLookup returns a ledger without subjects.
func NewLookup() *Lookup {
	return &Lookup{
		codes:      map[string]string{},
		originals:  map[string]string{},
		unlabelled: map[string]struct{}{},
		highest:    map[string]int{controlLetter: 0, eventLetter: 0},
		names:      map[string]map[string]int{},
	}
}

// String gives the size alone.
func (l *Lookup) String() string { return fmt.Sprintf("lookup of %d subjects", len(l.codes)) }

// GoString gives the size alone.
func (l *Lookup) GoString() string { return l.String() }

// Code returns the new code of a subject. There is none for a subject that the
// ledger does not know or that has no label.
func (l *Lookup) Code(original string) (string, bool) {
	code, ok := l.originals[original]
	return code, ok
}

// Original returns the original code of a new one.
func (l *Lookup) Original(code string) (string, bool) {
	original, ok := l.codes[code]
	return original, ok
}

// Originals returns every original code that the ledger remembers, in byte
// order, with those of unlabelled subjects: the list of the leak gate.
func (l *Lookup) Originals() []string {
	all := slices.Collect(maps.Keys(l.originals))
	all = slices.AppendSeq(all, maps.Keys(l.unlabelled))
	slices.Sort(all)
	return all
}

// Codes returns every new code, controls and events each by number.
func (l *Lookup) Codes() []string {
	codes := slices.Collect(maps.Keys(l.codes))
	slices.SortFunc(codes, compareCodes)
	return codes
}

// Len is the number of subjects that have a code.
func (l *Lookup) Len() int { return len(l.codes) }

// Unlabelled is the number of subjects that are remembered without a code.
func (l *Lookup) Unlabelled() int { return len(l.unlabelled) }

// entries is what the file counts, so that a cut one is noticed.
func (l *Lookup) entries() int { return len(l.codes) + len(l.unlabelled) + l.nameCount() }

// Adopted reports whether the ledger was read from another programme's file and
// has not been written in our form yet: no number in it came from a key, so that
// a key need not exist.
func (l *Lookup) Adopted() bool { return l.foreign }

// Warnings says, in sentences without any code, what the ledger gives away or
// makes harder.
func (l *Lookup) Warnings() []string {
	var warnings []string
	if l.adopted {
		warnings = append(warnings, "the lookup was taken over from another programme, whose numbers follow the order of the original codes: "+
			"whoever knows the list of original codes can tell which subject a number stands for; mage subjects:rekey draws new codes before a new release")
	}
	var short, numbers, raw, letters int
	for _, original := range l.Originals() {
		switch f := formOf(original); {
		case f.short:
			short++
		case !f.raw && !studyForm.MatchString(original):
			raw++
		}
		if formOf(original).number {
			numbers++
		}
		if strings.ContainsFunc(original, func(r rune) bool { return r > unicode.MaxASCII }) {
			letters++
		}
	}
	for _, w := range []struct {
		n    int
		text string
	}{
		{short, fmt.Sprintf("have fewer than %d characters: the leak gate finds them only where they stand as a word of their own, "+
			"not in the bytes of a database, and takes any such word for a leak; give the source longer codes", shortCode)},
		{numbers, "are mere numbers: the leak gate does not find them as a part of a longer number, and takes any such number in an output for a leak; " +
			"give the source codes with letters"},
		{raw, fmt.Sprintf("have fewer than %d characters: the leak gate looks for them in the cells of a database, but not in its bytes", rawCode)},
		{letters, "have letters beyond ASCII: the leak gate finds them in UTF-8, UTF-16 and JSON's escapes, but not composed of letter and accent in another way"},
	} {
		if w.n > 0 {
			warnings = append(warnings, fmt.Sprintf("%d original subject codes %s", w.n, w.text))
		}
	}
	return warnings
}

// ledger is the file. The reference's file has the keys lookup,
// reverse_lookup and metadata, and no format.
type ledger struct {
	Format     *int                      `yaml:"format"`
	Entries    *int                      `yaml:"entries"`
	Seal       string                    `yaml:"seal"`
	Highest    map[string]int            `yaml:"highest"`
	Adopted    bool                      `yaml:"adopted"`
	Lookup     map[string]string         `yaml:"lookup"`
	Unlabelled []string                  `yaml:"unlabelled"`
	Names      map[string]map[int]string `yaml:"names"`

	Reverse map[string]string `yaml:"reverse_lookup"`
}

// ReadLookup reads a ledger, or a lookup made by the Python reference. An
// error for a missing file wraps [fs.ErrNotExist]. No error holds a part of
// the file: its text is private.
func ReadLookup(path string) (*Lookup, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("subject lookup: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("subject lookup: %w", err)
	}
	l, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("subject lookup %s: %w; put a backup or the version before it, %s, in its place", path, err, PreviousPath(path))
	}
	return l, nil
}

// yamlLine finds the position in a message of the YAML reader. The rest of the
// message may quote the file.
var yamlLine = regexp.MustCompile(`line [0-9]+`)

func parse(data []byte) (*Lookup, error) {
	var file ledger
	if err := yaml.Unmarshal(data, &file); err != nil {
		where := yamlLine.FindString(err.Error())
		if where == "" {
			where = "some line"
		}
		return nil, fmt.Errorf("not a lookup in YAML: %s cannot be read", where)
	}
	switch {
	case file.Format == nil && file.Lookup == nil:
		return nil, errors.New("has neither a format nor a lookup")
	case file.Format != nil && *file.Format != Format && *file.Format != formatBare:
		return nil, fmt.Errorf("has format %d, and this version reads formats %d and %d: use the version that wrote it", *file.Format, formatBare, Format)
	case file.Format != nil && file.Entries == nil:
		return nil, errors.New("does not say how many entries it has")
	}
	sealed := file.Format != nil && *file.Format == Format
	switch {
	case sealed && file.Seal != unsealed && !sealForm.MatchString(file.Seal):
		return nil, errors.New("has no seal, or a damaged one")
	case sealed && len(file.Highest) != 2:
		return nil, errors.New("does not say which numbers were given")
	case sealed && file.Names == nil:
		return nil, errors.New("has no names: it was cut or edited")
	case !sealed && (file.Seal != "" || file.Highest != nil || file.Names != nil):
		return nil, errors.New("says that it is older than what it holds: its format was edited")
	}

	l := NewLookup()
	l.foreign = file.Format == nil && len(file.Lookup) > 0
	l.adopted = file.Adopted || l.foreign
	if l.foreign && !inverse(file.Lookup, file.Reverse) {
		return nil, errors.New("has no reverse_lookup that says the same as its lookup: it was cut or edited; put the whole file back, or write under reverse_lookup each original code with its public one")
	}
	for _, code := range slices.Sorted(maps.Keys(file.Lookup)) {
		original := file.Lookup[code]
		if !codeForm.MatchString(code) {
			return nil, errors.New("has a code that is not H or G and three digits or more")
		}
		if err := checkOriginal(original); err != nil {
			return nil, fmt.Errorf("subject %s: %w", code, err)
		}
		// No source may have such a code, so its subject would get another one.
		if l.foreign && !readable(original) {
			return nil, fmt.Errorf("subject %s: the original code has blanks around it, or characters that do not show", code)
		}
		if other, ok := l.originals[original]; ok {
			return nil, fmt.Errorf("%s and %s are the same subject", other, code)
		}
		l.codes[code] = original
		l.originals[original] = code
		letter, number := split(code)
		l.highest[letter] = max(l.highest[letter], number)
	}
	for letter := range l.highest {
		if !sealed {
			break
		}
		given, ok := file.Highest[letter]
		if !ok || given < l.highest[letter] {
			return nil, fmt.Errorf("has a code with %s above the highest number that it says was given", letter)
		}
		l.highest[letter] = given
	}
	for i, original := range file.Unlabelled {
		if err := checkOriginal(original); err != nil {
			return nil, fmt.Errorf("unlabelled subject %d: %w", i+1, err)
		}
		if code, ok := l.originals[original]; ok {
			return nil, fmt.Errorf("unlabelled subject %d has the code %s", i+1, code)
		}
		if _, ok := l.unlabelled[original]; ok {
			return nil, fmt.Errorf("unlabelled subject %d is listed twice", i+1)
		}
		l.unlabelled[original] = struct{}{}
	}
	if err := l.parseNames(file.Names); err != nil {
		return nil, err
	}
	if sealed && file.Seal != unsealed {
		l.seal = file.Seal
	}
	if n := l.entries(); file.Entries != nil && *file.Entries != n {
		return nil, fmt.Errorf("says that it has %d entries and has %d: it was cut or edited", *file.Entries, n)
	}
	return l, nil
}

// inverse tells whether reverse is the other direction of lookup. The reference
// writes both and counts neither, so that is what shows that its file is whole.
func inverse(lookup, reverse map[string]string) bool {
	if len(lookup) != len(reverse) {
		return false
	}
	for code, original := range lookup {
		if back, ok := reverse[original]; !ok || back != code {
			return false
		}
	}
	return true
}

// readable is what sourcedb.Readable says, which this package does not know: a code that
// no source may have would leave its subject with another one. A test of targets holds
// the two together.
func readable(original string) bool {
	return strings.TrimSpace(original) == original && !strings.ContainsFunc(original, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkOriginal refuses originals that could be neither written down nor told
// apart from a new code in an output.
func checkOriginal(original string) error {
	switch {
	case strings.TrimSpace(original) == "":
		return errors.New("the original code is empty")
	case !utf8.ValidString(original) || strings.ContainsRune(original, 0):
		return errors.New("the original code is not text in UTF-8")
	case codeForm.MatchString(original):
		return errors.New("the original code has the form of a new code (H or G and digits), so that no output could be told from a leak; rename it in the source")
	}
	return nil
}

// split takes a code apart. It may be called with codes of the right form only.
func split(code string) (letter string, number int) {
	number, err := strconv.Atoi(code[1:])
	if err != nil { // more digits than an int has: sorts last, and the next number is refused
		return code[:1], maxNumber + 1
	}
	return code[:1], number
}

// maxNumber bounds the numbers of codes, far above any cohort, so that the next
// number always exists as an int.
const maxNumber = 1 << 40

func compareCodes(a, b string) int {
	letterA, numberA := split(a)
	letterB, numberB := split(b)
	return cmp.Or(
		-cmp.Compare(letterA, letterB), // H before G: controls first, as everywhere
		cmp.Compare(numberA, numberB),
		cmp.Compare(a, b),
	)
}
