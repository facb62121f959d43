package anonymize

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ledgered writes a ledger of a cohort with its key.
func ledgered(t *testing.T) Files {
	t.Helper()
	dir := t.TempDir()
	f := Files{filepath.Join(dir, "subject_lookup.yaml"), filepath.Join(dir, "lookup.key")}
	k, err := CreateKey(f.Key)
	if err != nil {
		t.Fatal(err)
	}
	l := NewLookup()
	for _, n := range []int{12, 60} { // the second time there is a version before
		mustAssign(t, l, append(cohort(n), Subject{"nobody", nil}), k)
		mustNames(t, l, "classifier", []string{"one", "two"}, k)
		if err := l.WriteFile(f.Lookup); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// opened reads a ledger, whose key must fit.
func opened(t *testing.T, f Files) (*Lookup, []byte) {
	t.Helper()
	l, err := ReadLookup(f.Lookup)
	if err != nil {
		t.Fatal(err)
	}
	k, err := f.ReadKey(l)
	if err == nil {
		err = l.Verify(k)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l, k
}

func TestRekey(t *testing.T) {
	f := ledgered(t)
	old, oldKey := opened(t, f)
	oldText := written(t, old)
	former, err := f.Rekey()
	if err != nil {
		t.Fatal(err)
	}
	fresh, freshKey := opened(t, f)
	if bytes.Equal(oldKey, freshKey) {
		t.Error("the key is the same")
	}
	if diff := cmp.Diff(old.Originals(), fresh.Originals()); diff != "" {
		t.Error("other subjects:", diff)
	}
	if diff := cmp.Diff(old.names, fresh.names); diff != "" {
		t.Error("names have other numbers:", diff)
	}
	if cmp.Equal(old.codes, fresh.codes) {
		t.Error("the codes are the same")
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(old.codes)), slices.Sorted(maps.Keys(fresh.codes))); diff != "" {
		t.Error("the numbers are not those from 1 on:", diff)
	}
	for original, code := range old.originals {
		if fresh.originals[original][:1] != code[:1] {
			t.Error("a subject changed its class")
		}
	}

	// The former ledger is whole, and fits its key.
	before, beforeKey := opened(t, Files{filepath.Join(former, "subject_lookup.yaml"), filepath.Join(former, "lookup.key")})
	if written(t, before) != oldText || !bytes.Equal(beforeKey, oldKey) {
		t.Error("the former ledger is not what it was")
	}
	if _, err := ReadLookup(PreviousPath(filepath.Join(former, "subject_lookup.yaml"))); err != nil {
		t.Error(err)
	}
	for _, name := range []string{PreviousPath(f.Lookup), f.Draft()} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", filepath.Base(name), err)
		}
	}
	if err := filepath.WalkDir(filepath.Dir(f.Lookup), func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == filepath.Dir(f.Lookup) {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is open to others", name)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}

	// Again: the second former ledger stands beside the first.
	second, err := f.Rekey()
	if err != nil || second == former || filepath.Dir(second) != filepath.Dir(former) {
		t.Errorf("%s after %s, error %v", second, former, err)
	}
}

// Wherever it is interrupted, the files are those of the old ledger or of the new
// one, and trying again works and keeps no ledger twice.
func TestRekeyInterrupted(t *testing.T) {
	for n := 0; ; n++ {
		f := ledgered(t)
		old, oldKey := opened(t, f)
		steps, former, err := f.rekeying(key(7))
		if err != nil {
			t.Fatal(err)
		}
		if n > len(steps) {
			break
		}
		for _, step := range steps[:n] {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		// Who only looks finds a lookup with its key, and so does a build.
		for range 2 {
			now, nowKey := opened(t, f)
			switch {
			case bytes.Equal(nowKey, oldKey) && written(t, now) == written(t, old):
			case bytes.Equal(nowKey, key(7)) && !cmp.Equal(now.codes, old.codes):
				if kept, _ := opened(t, Files{filepath.Join(former, "subject_lookup.yaml"), filepath.Join(former, "lookup.key")}); written(t, kept) != written(t, old) {
					t.Errorf("after %d steps: the former ledger is not what it was", n)
				}
			default:
				t.Errorf("after %d steps: neither the old ledger nor the new one", n)
			}
			if err := f.Settle(); err != nil {
				t.Fatal(err)
			}
			if onDisk, err := ReadKey(f.Key); err != nil || !bytes.Equal(onDisk, nowKey) {
				t.Errorf("after %d steps: another key is in place: %v", n, err)
			}
		}
		before, _ := opened(t, f)
		again, err := f.Rekey()
		if err != nil {
			t.Fatal(err)
		}
		if kept, _ := opened(t, Files{filepath.Join(again, "subject_lookup.yaml"), filepath.Join(again, "lookup.key")}); written(t, kept) != written(t, before) {
			t.Errorf("after %d steps: trying again lost the ledger before", n)
		}
		want := 1
		if !cmp.Equal(before.codes, old.codes) {
			want = 2
		}
		if entries, err := os.ReadDir(filepath.Dir(again)); err != nil || len(entries) != want {
			t.Errorf("after %d steps: %d former ledgers, want %d; error %v", n, len(entries), want, err)
		}
	}
}

func TestRekeyRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f Files) error
		want  error
	}{
		"no lookup":   {func(f Files) error { return os.Remove(f.Lookup) }, fs.ErrNotExist},
		"no key":      {func(f Files) error { return os.Remove(f.Key) }, fs.ErrNotExist},
		"another key": {func(f Files) error { return os.WriteFile(f.Key, fmt.Appendf(nil, "%x", key(9)), 0o600) }, ErrOtherKey},
		"edited": {func(f Files) error {
			text, err := os.ReadFile(f.Lookup)
			return errors.Join(err, os.WriteFile(f.Lookup, bytes.Replace(text, []byte("highest: {H: "), []byte("highest: {H: 1"), 1), 0o600))
		}, ErrEdited},
	} {
		f := ledgered(t)
		if err := c.spoil(f); err != nil {
			t.Fatal(err)
		}
		before, _ := os.ReadFile(f.Lookup)
		if _, err := f.Rekey(); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v", name, err)
		}
		if after, _ := os.ReadFile(f.Lookup); !bytes.Equal(before, after) {
			t.Errorf("%s: the lookup was changed", name)
		}
	}

	// One that another programme made has no key and needs none.
	f := ledgered(t)
	if err := errors.Join(os.Remove(f.Key), os.WriteFile(f.Lookup, []byte("lookup: {H001: a1, H002: a2, G001: b1}\nreverse_lookup: {a1: H001, a2: H002, b1: G001}\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if l, err := ReadLookup(f.Lookup); err != nil || !strings.Contains(strings.Join(l.Warnings(), " "), "subjects:rekey") {
		t.Errorf("the warning does not name the remedy; error %v", err)
	}
	if _, err := f.Rekey(); err != nil {
		t.Fatal(err)
	}
	if l, _ := opened(t, f); l.Adopted() || len(l.Warnings()) > 1 || l.Len() != 3 {
		t.Errorf("warnings %v", l.Warnings())
	}
}

// New numbers tell nothing of old ones: over many keys their ranks do not
// correlate.
func TestRekeyedOrder(t *testing.T) {
	old := NewLookup()
	mustAssign(t, old, cohort(120), key(1))
	const keys = 200
	sum, highest := 0.0, 0.0
	for i := range keys {
		fresh, err := old.Rekeyed(fmt.Appendf(nil, "%0*d", KeySize, i))
		if err != nil {
			t.Fatal(err)
		}
		var d2, n float64
		for original, code := range old.originals {
			if letter, number := split(code); letter == controlLetter {
				_, now := split(fresh.originals[original])
				d2 += float64((number - now) * (number - now))
				n++
			}
		}
		rho := 1 - 6*d2/(n*(n*n-1)) // Spearman
		sum += rho
		highest = max(highest, math.Abs(rho))
	}
	// The standard deviation of one is 1/sqrt(59).
	if mean := sum / keys; math.Abs(mean) > 5/math.Sqrt(59*keys) || highest > 5/math.Sqrt(59) {
		t.Errorf("ranks correlate: %.3f on average, %.3f at most", mean, highest)
	}
}
