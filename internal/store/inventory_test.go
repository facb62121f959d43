package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zeebo/blake3"
)

// put adds contents and returns their digest.
func put(t *testing.T, s *Store, text string) Sum {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sum := Sum(blake3.Sum256([]byte(text)))
	if err := s.Blobs.Put(path, sum, int64(len(text))); err != nil {
		t.Fatal(err)
	}
	return sum
}

// change writes other contents into a blob, which is read-only.
func change(t *testing.T, path, text string) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestCheckSetsDamageAside(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	defer closeStore(t, s)
	good, flipped, cut, linked := put(t, s, "good"), put(t, s, "flipped"), put(t, s, "cut off"), put(t, s, "linked")
	change(t, s.Blobs.path(flipped), "fl1pped")
	change(t, s.Blobs.path(cut), "cut")
	target := filepath.Join(t.TempDir(), "target")
	if err := os.Rename(s.Blobs.path(linked), target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, s.Blobs.path(linked)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.Blobs.dir, "notes.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	count, size, damaged, err := s.Blobs.Check(t.Context())
	if err != nil || count != 3 || size != 4+7+3 {
		t.Errorf("%d blobs, %d bytes: %v", count, size, err)
	}
	var names []string
	for _, d := range damaged {
		names = append(names, d.Name)
	}
	want := []string{flipped.String(), cut.String(), linked.String()[:2] + "/" + linked.String(), "notes.txt"}
	if len(names) != 4 {
		t.Errorf("damaged: %q, want %q", names, want)
	}
	for _, w := range want {
		if !strings.Contains(strings.Join(names, "\n"), w) {
			t.Errorf("%s is not named in %q", w, names)
		}
		if _, err := os.Lstat(filepath.Join(dir, asideDir, filepath.Base(w))); err != nil {
			t.Error("not set aside:", err)
		}
	}
	if !s.Blobs.Verify(good, 4) {
		t.Error("the good blob is gone")
	}
	if _, _, damaged, err := s.Blobs.Check(t.Context()); err != nil || len(damaged) > 0 {
		t.Errorf("a second check finds %v, %v", damaged, err)
	}
	put(t, s, "flipped")
	if !s.Blobs.Verify(flipped, 7) {
		t.Error("it cannot be put again")
	}
}

// TestWrongTypes holds that a store whose files were replaced by something else
// is as good as an empty one.
func TestWrongTypes(t *testing.T) {
	file := func(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }
	full := func(path string) error { return os.MkdirAll(filepath.Join(path, "sub"), 0o700) }
	link := func(path string) error { return os.Symlink("nowhere", path) }
	for name, replace := range map[string]func(path string) error{"file": file, "directory": full, "dangling link": link} {
		for _, part := range []string{"blobs", "blobs/unfinished", "blobs/xx", "blobs/xx/sum", "records", "index", "clock", asideDir} {
			t.Run(part+" as "+name, func(t *testing.T) {
				dir := t.TempDir()
				s := newStore(t, dir)
				sum := put(t, s, "text")
				if err := s.Records.Append([]Record{{Step: "a", Key: Sum{1}}}); err != nil {
					t.Fatal(err)
				}
				closeStore(t, s)
				path := filepath.Join(dir, strings.NewReplacer("xx", sum.String()[:2], "sum", sum.String()).Replace(part))
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := replace(path); err != nil {
					t.Fatal(err)
				}
				r, err := OpenReader(dir, Private, SafetyGap)
				if err != nil {
					t.Fatal("reader:", err)
				}
				if _, _, err := r.Blobs.All(); err != nil {
					t.Error("reader:", err)
				}
				closeStore(t, r)
				if s, err = Open(dir, Private, SafetyGap); err != nil {
					t.Fatal(err)
				}
				put(t, s, "text")
				if !s.Blobs.Verify(sum, 4) {
					t.Error("a blob cannot be put")
				}
				if err := s.Records.Append([]Record{{Step: "b", Key: Sum{2}}}); err != nil {
					t.Error(err)
				}
				closeStore(t, s)
				s = must(OpenReader(dir, Private, SafetyGap))(t)
				if _, ok := s.Records.Last("b"); !ok {
					t.Error("a record was not kept")
				}
				closeStore(t, s)
			})
		}
	}
}

func TestUseIsNoted(t *testing.T) {
	s := newStore(t, t.TempDir())
	defer closeStore(t, s)
	sum := put(t, s, "text")
	old := time.Now().Add(-30 * 24 * time.Hour)
	used := func() time.Time {
		blobs, _, err := s.Blobs.All()
		if err != nil || len(blobs) != 1 {
			t.Fatal(blobs, err)
		}
		return blobs[0].Used
	}
	for name, use := range map[string]func(){
		"put":     func() { put(t, s, "text") },
		"restore": func() { must(0, s.Blobs.Restore(sum, filepath.Join(t.TempDir(), "r"), 0o600))(t) },
	} {
		if err := os.Chtimes(s.Blobs.path(sum), old, old); err != nil {
			t.Fatal(err)
		}
		if since := time.Since(used()); since < 24*time.Hour {
			t.Fatal(since)
		}
		use()
		if since := time.Since(used()); since > time.Hour {
			t.Errorf("%s: last used %s ago", name, since)
		}
	}
}

func TestReplaceRecords(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	recs := []Record{{Step: "a", Key: Sum{1}, Body: []byte{}}, {Step: "a", Key: Sum{2}, Body: []byte{7}}, {Step: "b", Key: Sum{3}, Body: []byte{}}}
	if err := s.Records.Append(recs); err != nil {
		t.Fatal(err)
	}
	reader := must(OpenReader(dir, Private, SafetyGap))(t)
	if err := reader.Records.Replace(nil); err == nil {
		t.Error("a reader may replace records")
	}
	if err := s.Records.Replace(recs[:2]); err != nil {
		t.Fatal(err)
	}
	if err := s.Records.Append(recs[2:]); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(recs, s.Records.All()); diff != "" {
		t.Error(diff)
	}
	if len(reader.Records.All()) != 3 {
		t.Error("a reader lost what it had read")
	}
	closeStore(t, reader)
	closeStore(t, s)
	s = must(Open(dir, Private, SafetyGap))(t)
	defer closeStore(t, s)
	if diff := cmp.Diff(recs, s.Records.All()); diff != "" {
		t.Error(diff)
	}
}

func TestClearKeepsWhatIsNoCache(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	put(t, s, "text")
	if err := s.Records.Append([]Record{{Step: "a"}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	for _, name := range []string{"lock", "runs/1/events.jsonl", "rescued/edited.txt", asideDir + "/x", "subject_lookup.yaml"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	freed, err := Clear(dir)
	if err != nil || freed.Bytes < 4 {
		t.Error(freed, err)
	}
	var left []string
	for _, path := range filesBelow(t, dir) {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			t.Fatal(err)
		}
		left = append(left, filepath.ToSlash(rel))
	}
	if diff := cmp.Diff([]string{"CACHEDIR.TAG", "README", "lock", "rescued/edited.txt", "runs/1/events.jsonl", "subject_lookup.yaml"}, left); diff != "" {
		t.Error(diff)
	}
}

func TestParseSum(t *testing.T) {
	sum := Sum(blake3.Sum256(nil))
	if got, ok := ParseSum(sum.String()); !ok || got != sum {
		t.Error(got, ok)
	}
	for _, bad := range []string{"", "ab", strings.ToUpper(sum.String()), sum.String() + "00", strings.Repeat("g", 64), "../" + sum.String()[3:]} {
		if _, ok := ParseSum(bad); ok {
			t.Errorf("%q is a digest", bad)
		}
	}
}
