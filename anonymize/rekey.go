package anonymize

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// Files are the two files of a ledger. They change together: a key is written
// beside the one in place first, as a draft; the lookup that is sealed with it
// takes the place of the old one, which is the moment that counts; then the draft
// takes the key's place. Whatever is interrupted, [Files.Settle] leaves a lookup
// with its key.
type Files struct {
	Lookup, Key string
}

// Draft is where a key stands until the lookup that is sealed with it is written.
func (f Files) Draft() string { return f.Key + ".new" }

// formerDir holds ledgers that others took the place of, each in a directory with
// its number, from 1 on.
const formerDir = "former"

// ReadKey returns the key that a lookup was sealed with: the one in place, or the
// draft that is about to take its place. For a lookup without a seal it is the one
// in place. An error for a missing key wraps [fs.ErrNotExist].
func (f Files) ReadKey(l *Lookup) ([]byte, error) {
	key, err := ReadKey(f.Key)
	if !l.Sealed() || err == nil && !errors.Is(l.Verify(key), ErrOtherKey) {
		return key, err
	}
	if draft, derr := ReadKey(f.Draft()); derr == nil && !errors.Is(l.Verify(draft), ErrOtherKey) {
		return draft, nil
	}
	return key, err
}

// Settle puts the key of the lookup in place where that was interrupted. There may
// be no ledger yet.
func (f Files) Settle() error {
	draft, err := ReadKey(f.Draft())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	l, err := ReadLookup(f.Lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	key, err := f.ReadKey(l)
	if err != nil || !l.Sealed() || !bytes.Equal(key, draft) {
		return nil // a draft that no lookup was written with, or no key at all: who needs it says so
	}
	if err := os.Rename(f.Draft(), f.Key); err != nil && !errors.Is(err, fs.ErrNotExist) { // else another did it
		return fmt.Errorf("study key: %w", err)
	}
	return syncDir(filepath.Dir(f.Key))
}

// Rekeyed returns a ledger of the same subjects, who all have new codes: from
// number 1 on in each class, in the order of a hash under another key, so that
// the new numbers tell nothing of the old ones. Names that are not published keep
// their numbers, which stand for no subject.
func (l *Lookup) Rekeyed(key []byte) (*Lookup, error) {
	fresh := NewLookup()
	zero, one := 0, 1
	var subjects []Subject
	for original, code := range l.originals {
		outcome := &zero
		if letter, _ := split(code); letter == eventLetter {
			outcome = &one
		}
		subjects = append(subjects, Subject{original, outcome})
	}
	for original := range l.unlabelled {
		subjects = append(subjects, Subject{original, nil})
	}
	for factor, names := range l.names {
		fresh.names[factor] = map[string]int{}
		for name, number := range names {
			fresh.names[factor][name] = number
		}
	}
	if _, _, err := fresh.Assign(subjects, key); err != nil {
		return nil, err
	}
	return fresh, nil
}

// Rekey draws a key and new codes for all subjects of the ledger, and keeps the
// ledger as it is in a directory of its own, whose path it returns. Every file is
// readable by its owner alone. Nobody may use the ledger meanwhile.
func (f Files) Rekey() (former string, err error) {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	steps, former, err := f.rekeying(key)
	for _, step := range steps {
		if err == nil {
			err = step()
		}
	}
	if err != nil {
		return "", fmt.Errorf("new codes: %w", err)
	}
	return former, nil
}

// rekeying are the steps of Rekey. After each of them the files are those of the
// old ledger or, once settled, those of the new one.
func (f Files) rekeying(key []byte) (steps []func() error, former string, err error) {
	if err := f.Settle(); err != nil {
		return nil, "", err
	}
	old, err := ReadLookup(f.Lookup)
	if err != nil {
		return nil, "", err
	}
	oldKey, err := f.ReadKey(old)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !old.Sealed():
	case err != nil:
		return nil, "", err
	default:
		if err := old.Verify(oldKey); err != nil {
			return nil, "", err
		}
	}
	fresh, err := old.Rekeyed(key)
	if err != nil {
		return nil, "", err
	}
	data, err := fresh.encode()
	if err != nil {
		return nil, "", err
	}
	// A ledger may be a link to where it is kept.
	lookup, err := filepath.EvalSymlinks(f.Lookup)
	if err != nil {
		return nil, "", err
	}
	dir := filepath.Dir(f.Lookup)
	parent := filepath.Join(dir, formerDir)
	former, kept, err := f.former(parent)
	if err != nil {
		return nil, "", err
	}
	draft := filepath.Join(parent, ".draft")
	return []func() error{
		func() error {
			if kept {
				return nil
			}
			if err := errors.Join(os.RemoveAll(draft), os.MkdirAll(draft, 0o700)); err != nil {
				return err
			}
			for _, name := range []string{f.Lookup, PreviousPath(lookup), f.Key} {
				text, err := os.ReadFile(name)
				if errors.Is(err, fs.ErrNotExist) && name != f.Lookup {
					continue
				}
				if err == nil {
					err = writePrivate(filepath.Join(draft, filepath.Base(name)), text)
				}
				if err != nil {
					return err
				}
			}
			return syncDir(draft)
		},
		func() error {
			if kept {
				return nil
			}
			return errors.Join(os.Rename(draft, former), syncDir(parent), syncDir(dir))
		},
		func() error {
			return errors.Join(writePrivate(f.Draft(), []byte(hex.EncodeToString(key)+"\n")), syncDir(filepath.Dir(f.Key)))
		},
		func() error { return errors.Join(writePrivate(lookup, data), syncDir(filepath.Dir(lookup))) },
		f.Settle,
		func() error { // its codes are those of the former ledger, which has it
			if err := os.Remove(PreviousPath(lookup)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		},
	}, former, nil
}

// former is the directory that the present ledger is kept in. It is there already
// where it was made by a call that was interrupted.
func (f Files) former(parent string) (dir string, kept bool, err error) {
	entries, err := os.ReadDir(parent)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	var numbers []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) == 0 {
		return filepath.Join(parent, "1"), false, nil
	}
	last := slices.Max(numbers)
	dir = filepath.Join(parent, strconv.Itoa(last))
	now, err := os.ReadFile(f.Lookup)
	if err != nil {
		return "", false, err
	}
	then, err := os.ReadFile(filepath.Join(dir, filepath.Base(f.Lookup)))
	if err == nil && bytes.Equal(now, then) {
		return dir, true, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", false, err
	}
	return filepath.Join(parent, strconv.Itoa(last+1)), false, nil
}

// syncDir makes what was renamed in a directory outlast a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
