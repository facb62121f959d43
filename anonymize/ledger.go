package anonymize

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/zeebo/blake3"
)

// ContradictionError says that labels of subjects contradict the codes that
// they have. Its text has the count alone; the originals are for a private log.
type ContradictionError struct {
	originals []string
}

// Error gives the count.
func (e *ContradictionError) Error() string {
	return fmt.Sprintf("%d subjects have a label that contradicts their code in the lookup or another source; "+
		"the private log names them. Where the new label is wrong, correct it, or list the runs that hold it under EXTRACTION.exclude_runs. "+
		"Where the new label is right and the published one was wrong, the code stays what it is, for it has been published: "+
		"begin a new release, with new codes for all, in a new private directory (PLR_PRIVATE_DIR) and a new database (PLR_PUBLIC_DB)", len(e.originals))
}

// Originals returns the original codes concerned, in byte order. They are private.
func (e *ContradictionError) Originals() []string { return slices.Clone(e.originals) }

// Assign gives codes to the subjects that have none yet and keeps all others as
// they are. A new subject gets the next number of its class; several get theirs
// in the order of a keyed hash, so that numbers tell nothing of the originals to
// whoever lacks the key (32 bytes, see [ReadKey]). A subject without a label
// gets no code, is counted in skipped and remembered, until a label turns up.
// A subject may be listed more than once. A ledger that does not pass
// [Lookup.Verify] is refused, one without a seal gets it. On an error nothing has
// changed.
func (l *Lookup) Assign(subjects []Subject, key []byte) (added, skipped int, err error) {
	if err := l.Verify(key); err != nil {
		return 0, 0, err
	}
	labels := make(map[string]*int, len(subjects))
	contradicted := map[string]struct{}{}
	for i, s := range subjects {
		if err := checkOriginal(s.Original); err != nil {
			return 0, 0, fmt.Errorf("subject %d of %d: %w", i+1, len(subjects), err)
		}
		if s.Outcome != nil && *s.Outcome != 0 && *s.Outcome != 1 {
			return 0, 0, fmt.Errorf("subject %d of %d: outcome %d is neither 0 (control) nor 1 (event)", i+1, len(subjects), *s.Outcome)
		}
		known, listed := labels[s.Original]
		switch {
		case !listed || known == nil:
			labels[s.Original] = s.Outcome
		case s.Outcome != nil && *s.Outcome != *known:
			contradicted[s.Original] = struct{}{}
		}
	}

	type newcomer struct {
		original string
		letter   string
		order    [32]byte
	}
	var newcomers []newcomer
	var unlabelled []string
	for original, outcome := range labels {
		code, known := l.originals[original]
		switch {
		case known && outcome != nil && !strings.HasPrefix(code, letter(*outcome)):
			contradicted[original] = struct{}{}
		case known:
		case outcome == nil:
			unlabelled = append(unlabelled, original)
		default:
			order, err := keyedSum(key, orderContext, original)
			if err != nil {
				return 0, 0, err
			}
			newcomers = append(newcomers, newcomer{original, letter(*outcome), order})
		}
	}
	if len(contradicted) > 0 {
		e := &ContradictionError{}
		for original := range contradicted {
			e.originals = append(e.originals, original)
		}
		slices.Sort(e.originals)
		return 0, 0, e
	}

	slices.SortFunc(newcomers, func(a, b newcomer) int { return bytes.Compare(a.order[:], b.order[:]) })
	for letter, number := range l.highest {
		if number >= maxNumber {
			return 0, 0, fmt.Errorf("the numbers of codes with %s are used up: the lookup has one above %d", letter, maxNumber)
		}
	}
	for _, n := range newcomers {
		l.highest[n.letter]++
		code := fmt.Sprintf("%s%03d", n.letter, l.highest[n.letter])
		l.codes[code] = n.original
		l.originals[n.original] = code
		delete(l.unlabelled, n.original)
	}
	for _, original := range unlabelled {
		l.unlabelled[original] = struct{}{}
	}
	return len(newcomers), len(unlabelled), l.sealWith(key)
}

func letter(outcome int) string {
	if outcome == 1 {
		return eventLetter
	}
	return controlLetter
}

// orderContext keeps the hash of the order apart from other uses of the key.
const orderContext = "plr subject order 1\x00"

func keyedSum(key []byte, context, text string) (sum [32]byte, err error) {
	h, err := blake3.NewKeyed(key)
	if err != nil {
		return sum, fmt.Errorf("hash under the study's key: %w", err)
	}
	_, _ = h.WriteString(context) // a hash takes every byte
	_, _ = h.WriteString(text)
	h.Sum(sum[:0])
	return sum, nil
}

// header is the warning that everyone who opens the file must meet first.
const header = `# WARNING: PRIVATE. This file links the published codes to the subjects' original
# codes. Never publish it, mail it or add it to git. It is a ledger: a subject
# keeps its code for ever, so keep a backup, and do not edit or delete entries.
# lookup: published code: original code (H control, G event).
# unlabelled: original codes without a label; they have no published code.
# names: what is published as unregistered-1, ... because no registry lists it.
# seal: shows edits by hand. A wrong label is corrected in the source, not here.
`

// PreviousPath is where [Lookup.WriteFile] keeps the version before the last.
func PreviousPath(path string) string { return path + ".previous" }

// WriteFile puts the ledger in place, readable by its owner alone. The bytes
// are a function of the entries. A file that has them already is left
// untouched; one that has others is kept at [PreviousPath]. It is an error if
// the file in place has an entry that this ledger lacks.
func (l *Lookup) WriteFile(path string) error {
	if err := l.writeFile(path); err != nil {
		return fmt.Errorf("subject lookup %s: %w", path, err)
	}
	l.foreign = false
	return nil
}

func (l *Lookup) writeFile(path string) error {
	target, err := filepath.EvalSymlinks(path) // a rename onto a link would part the ledger from its backup
	if errors.Is(err, fs.ErrNotExist) {
		target = path
	} else if err != nil {
		return err
	}
	data, err := l.encode()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
	case err != nil:
		return err
	case bytes.Equal(old, data):
		return Protect(target)
	default:
		before, err := parse(old)
		if err != nil {
			return fmt.Errorf("the file in place %w: restore or remove it first", err)
		}
		if n := l.lost(before); n > 0 {
			return fmt.Errorf("%d entries of the file in place would be lost or changed; nothing was written", n)
		}
		if err := writePrivate(PreviousPath(target), old); err != nil {
			return err
		}
	}
	return writePrivate(target, data)
}

// writePrivate makes its draft beside path, whatever TMPDIR says: a ledger must
// never lie outside the private directory, not for a moment. It does not use
// renameio's WriteFile, which keeps the mode of the file in place: one that was
// copied from elsewhere is often open to all.
func writePrivate(path string, data []byte) (err error) {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}

// lost counts the entries of before that the ledger no longer has as they were.
// An unlabelled subject that got a code is not lost.
func (l *Lookup) lost(before *Lookup) int {
	n := 0
	for code, original := range before.codes {
		if l.codes[code] != original {
			n++
		}
	}
	for original := range before.unlabelled {
		_, remembered := l.unlabelled[original]
		if _, coded := l.originals[original]; !remembered && !coded {
			n++
		}
	}
	for factor, names := range before.names {
		for name, number := range names {
			if l.names[factor][name] != number {
				n++
			}
		}
	}
	return n
}

// Protect takes from everyone but the owner what they may do with a lookup or key
// file that was copied here with a wider mode. A file that does not exist is no
// error. A build calls it before it reads; what only looks does not.
func Protect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && info.Mode().Perm()&0o077 != 0:
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		return fmt.Errorf("private file %s is open to other users, or may be: %w", path, err)
	}
	return nil
}

// encode writes the YAML itself: an encoder's choice of quotes may change with
// its version, and the ledger's bytes must not.
func (l *Lookup) encode() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(header)
	fmt.Fprintf(&b, "format: %d\nentries: %d\nseal: %s\n", Format, l.entries(), cmp.Or(l.seal, unsealed))
	fmt.Fprintf(&b, "highest: {%s: %d, %s: %d}\n", controlLetter, l.highest[controlLetter], eventLetter, l.highest[eventLetter])
	if l.adopted {
		b.WriteString("adopted: true\n")
	}
	b.WriteString("lookup:")
	if len(l.codes) == 0 {
		b.WriteString(" {}")
	}
	b.WriteByte('\n')
	for _, code := range l.Codes() {
		text, err := scalar(l.codes[code])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  %s: %s\n", code, text)
	}
	b.WriteString("unlabelled:")
	if len(l.unlabelled) == 0 {
		b.WriteString(" []")
	}
	b.WriteByte('\n')
	for _, original := range l.Originals() {
		if _, ok := l.unlabelled[original]; !ok {
			continue
		}
		text, err := scalar(original)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "  - %s\n", text)
	}
	b.WriteString("names:")
	if len(l.names) == 0 {
		b.WriteString(" {}")
	}
	b.WriteByte('\n')
	for _, factor := range slices.Sorted(maps.Keys(l.names)) {
		fmt.Fprintf(&b, "  %s:\n", factor)
		for _, n := range l.numbered(factor) {
			text, err := scalar(n.name)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(&b, "    %d: %s\n", n.number, text)
		}
	}
	return b.Bytes(), nil
}

// plainScalar is text that every YAML version reads as a string without
// quotes: it ends in a digit, as no word for a truth value or null does, and
// begins with a letter, as no number does.
var plainScalar = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*[0-9]$`)

func scalar(s string) (string, error) {
	if plainScalar.MatchString(s) {
		return s, nil
	}
	quoted, err := json.Marshal(s) // a JSON string is a YAML string
	if err != nil {
		return "", errors.New("an original code or a name cannot be written as text")
	}
	// But for what JSON writes as it is and YAML takes for a break or refuses.
	var b strings.Builder
	for _, r := range string(quoted) {
		if r >= 0x7f && r <= 0x9f || r == 0xfeff || r >= 0xfffe && r <= 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String(), nil
}
