package build

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/internal/store"
)

// export returns what was exported, and the file.
func (s *space) export() (*CacheExported, string) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "cache.tar.zst")
	done, err := s.graph().CacheExport(s.t.Context(), path)
	if err != nil {
		s.t.Fatal(err)
	}
	return done, path
}

// reviewer is a workspace that has nothing but the analysis.
func newReviewer(t *testing.T, like *space) *space {
	s := newSpace(t)
	s.opt.Digests, s.opt.Gate = like.opt.Digests, like.opt.Gate
	s.opt.PrivateCache = ""
	s.steps = s.analysis()
	return s
}

func TestCacheExportAndImport(t *testing.T) {
	s := newStudy(t)
	done, path := s.export()
	// The three public steps; four contents, of which the database is a source.
	if done.Records != 3 || done.Blobs != 4 || len(done.Sources) != 1 || done.Sources[0] != (Ref{"work", "data/public.db"}) || len(done.Left) != 0 {
		t.Errorf("exported: %+v", done)
	}
	r := newReviewer(t, s)
	got, err := r.graph().CacheImport(t.Context(), path, CacheImport{Root: done.Root})
	if err != nil {
		t.Fatal(err)
	}
	if got.Root != done.Root || got.Records != 3 || got.Known != 0 || got.Blobs != 4 || len(got.Placed) != 1 || len(got.Kept) != 0 {
		t.Errorf("imported: %+v", got)
	}
	r.expect("restored all; restored figure:a; restored figure:b")
	if diff := cmp.Diff(s.outputs(), r.outputs()); diff != "" {
		t.Error(diff)
	}
	if again, _ := r.export(); again.Root != done.Root {
		t.Errorf("exported again the root is %s, was %s", again.Root, done.Root)
	}
	if got, err = r.graph().CacheImport(t.Context(), path, CacheImport{}); err != nil || got.Known != 3 || got.Records != 0 || got.Blobs != 0 || len(got.Placed) != 0 {
		t.Errorf("imported twice: %+v, %v", got, err)
	}
	r.expect("")
}

// TestCacheRootStandsForResults holds that the root says what was made from
// what, and not when or how fast.
func TestCacheRootStandsForResults(t *testing.T) {
	one := newStudy(t)
	root, _ := one.export()
	two := newSpace(t)
	two.study()
	figure := two.steps[2].Run
	two.steps[2].Run = func(ctx context.Context, t *Task) error { time.Sleep(20 * time.Millisecond); return figure(ctx, t) }
	two.write("private/secret", "other words\n")
	if _, err := two.build(); err != nil {
		t.Fatal(err)
	}
	if other, _ := two.export(); other.Root == root.Root {
		t.Error("other results have the same root")
	}
	two.write("private/secret", "some words\n")
	if _, err := two.build(); err != nil {
		t.Fatal(err)
	}
	if same, _ := two.export(); same.Root != root.Root {
		t.Errorf("the same results have the roots %s and %s", root.Root, same.Root)
	}
}

func TestCacheExportIsPublic(t *testing.T) {
	s := newStudy(t)
	_, path := s.export()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := store.Open(t.TempDir(), store.Public, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	_, err = st.Blobs.ReadPack(t.Context(), f, []string{packManifest, packRecords}, store.PackLimits{Head: maxPackHead, Blobs: 1 << 20}, func(heads [][]byte) ([]store.Item, error) {
		p, err := readPack(heads[0], heads[1])
		if err != nil {
			return nil, err
		}
		for _, head := range heads {
			for _, word := range []string{"secret", "coded", "private:", s.dir} {
				if bytes.Contains(head, []byte(word)) {
					t.Errorf("the pack speaks of %q", word)
				}
			}
		}
		_, coded := s.blob("private/coded")
		for _, item := range p.items() {
			if item.Sum.String() == coded {
				t.Error("it holds private contents")
			}
		}
		return p.items(), nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// A gate that has learnt something since is asked again.
	gate := s.opt.Gate
	s.opt.Gate = func(ref Ref, path string) error {
		if ref.Path == "out/b.txt" {
			return errors.New("it holds a code")
		}
		return gate(ref, path)
	}
	path = filepath.Join(t.TempDir(), "pack")
	if _, err := s.graph().CacheExport(t.Context(), path); err == nil || !strings.Contains(err.Error(), "out/b.txt may not become public: it holds a code") {
		t.Error(err)
	}
	// So is what was recorded before anybody knew that it would have to be redacted.
	s.opt.Gate, s.opt.Redact = gate, func(text string) string { return strings.ReplaceAll(text, "out/b", "[name]") }
	if _, err := s.graph().CacheExport(t.Context(), path); err == nil || !strings.Contains(err.Error(), "may not become public: its parameters or the names") || strings.Contains(err.Error(), "out/b") {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused export left a file:", err)
	}
}

func TestCacheExportNeedsContents(t *testing.T) {
	s := newStudy(t)
	root, _ := s.export()
	path, _ := s.blob("out/a.txt")
	s.overwrite(path, []byte("rotten"))
	if again, _ := s.export(); again.Root != root.Root {
		t.Error("damage in the cache changed the root")
	}
	s.remove("out/a.txt")
	if _, err := s.graph().CacheExport(t.Context(), filepath.Join(t.TempDir(), "pack")); err == nil || !strings.Contains(err.Error(), "work:out/a.txt is neither in the cache nor in place") {
		t.Error(err)
	}
	if _, err := newSpace(t).graph().CacheExport(t.Context(), filepath.Join(t.TempDir(), "pack")); err == nil || !strings.Contains(err.Error(), "build first") {
		t.Error(err)
	}
}

// TestCacheImportOverwritesNothing holds that what the workspace has is newer.
func TestCacheImportOverwritesNothing(t *testing.T) {
	s := newStudy(t)
	_, path := s.export()
	s.write("private/secret", "newer words\n")
	s.expect("ran all; ran checkpoint; ran code; ran figure:a; ran figure:b")
	want := s.outputs()
	if _, err := s.graph().CacheClear(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	s.expect("ran all; ran figure:a; ran figure:b")
	got, err := s.graph().CacheImport(t.Context(), path, CacheImport{})
	if err != nil || got.Records != 3 || len(got.Placed) != 0 || len(got.Kept) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if diff := cmp.Diff(want, s.outputs()); diff != "" {
		t.Error(diff)
	}
	s.expect("")
	last, ok := publicRecords(t, s).Last("figure:a")
	if rec, err := decodeRecord(last); !ok || err != nil || rec.outs[0].size != int64(len(want["out/a.txt"])) {
		t.Error("an imported record counts as the newest")
	}
	// And going back is restored, with the imported records.
	s.write("private/secret", "some words\n")
	s.expect("restored all; restored checkpoint; restored code; restored figure:a; restored figure:b")
}

func publicRecords(t *testing.T, s *space) *store.Records {
	t.Helper()
	st, err := store.OpenReader(s.opt.PublicCache, store.Public, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return st.Records
}

// repack writes a pack with other heads.
func (s *space) repack(path string, change func(manifest, records []byte) ([]byte, []byte)) string {
	s.t.Helper()
	f, err := os.Open(path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer f.Close()
	st, err := store.Open(s.t.TempDir(), store.Public, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer st.Close()
	var heads [][]byte
	var items []store.Item
	staged, err := st.Blobs.ReadPack(s.t.Context(), f, []string{packManifest, packRecords}, store.PackLimits{Head: maxPackHead, Blobs: 1 << 20}, func(h [][]byte) ([]store.Item, error) {
		heads = h
		p, err := readPack(h[0], h[1])
		if err == nil {
			items = p.items()
		}
		return items, err
	})
	if err == nil {
		err = staged.Keep()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range items {
		items[i].Path, _ = st.Blobs.Path(items[i].Sum, items[i].Size)
	}
	manifest, records := change(heads[0], heads[1])
	var b bytes.Buffer
	if err := store.WritePack(s.t.Context(), &b, []store.Head{{Name: packManifest, Data: manifest}, {Name: packRecords, Data: records}}, items); err != nil {
		s.t.Fatal(err)
	}
	out := filepath.Join(s.t.TempDir(), "other.tar.zst")
	if err := os.WriteFile(out, b.Bytes(), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return out
}

func TestCacheImportRefuses(t *testing.T) {
	s := newStudy(t)
	done, path := s.export()
	replace := func(old, new string) func(m, r []byte) ([]byte, []byte) {
		return func(m, r []byte) ([]byte, []byte) {
			if !bytes.Contains(m, []byte(old)) {
				t.Fatalf("the manifest does not say %q:\n%s", old, m)
			}
			return bytes.Replace(m, []byte(old), []byte(new), 1), r
		}
	}
	// rewritten changes a record and lets the manifest say so, too.
	rewritten := func(change func(recs []*record, src []source) ([]*record, []source)) func(m, r []byte) ([]byte, []byte) {
		return func(m, r []byte) ([]byte, []byte) {
			p, err := readPack(m, r)
			if err != nil {
				t.Fatal(err)
			}
			recs, src := change(p.recs, p.sources)
			var stored []store.Record
			for _, rec := range recs {
				man, err := decodeManifest(rec.manifest.joined())
				if err != nil {
					t.Fatal(err)
				}
				stored = append(stored, rec.stored(man.step))
			}
			if m, err = packList(recs, src); err != nil {
				t.Fatal(err)
			}
			return m, encodeRecords(stored)
		}
	}
	output := func(change func(m *made)) func(m, r []byte) ([]byte, []byte) {
		return rewritten(func(recs []*record, src []source) ([]*record, []source) {
			change(&recs[0].outs[0])
			return recs, src
		})
	}
	for _, tt := range []struct {
		name   string
		change func(m, r []byte) ([]byte, []byte)
		want   string
	}{
		{"no JSON", replace("{", "["), packManifest},
		{"other format", replace(packFormat, "build-cache/2"), `"build-cache/2"`},
		{"output renamed in the manifest", replace("work:out/a.txt", "work:out/c.txt"), "does not say what its records say"},
		{"step added to the manifest", replace(`"records": [`, `"records": [{"step": "x", "key": "", "outputs": []},`), "does not say what its records say"},
		{"unknown field", replace(`"sources"`, `"more": 1, "sources"`), "does not say what its records say"},
		{"records cut", func(m, r []byte) ([]byte, []byte) { return m, r[:len(r)-1] }, "records are damaged"},
		{"more records", func(m, r []byte) ([]byte, []byte) { return m, append(r, 0) }, "records are damaged"},
		{"another key", func(m, r []byte) ([]byte, []byte) {
			stored, err := decodeRecords(r)
			if err != nil {
				t.Fatal(err)
			}
			stored[0].Key[0] ^= 1
			return m, encodeRecords(stored)
		}, "record 0: the record is damaged"},
		{"record of another step", func(m, r []byte) ([]byte, []byte) {
			stored, err := decodeRecords(r)
			if err != nil {
				t.Fatal(err)
			}
			stored[0].Step = "aaa"
			return m, encodeRecords(stored)
		}, "not that of its step"},
		{"a record twice", rewritten(func(recs []*record, src []source) ([]*record, []source) {
			return append(recs[:1:1], recs...), src
		}), "not in order"},
		{"output above its root", output(func(m *made) { m.ref.Path = "../../evil" }), "cannot be in a pack"},
		{"absolute output", output(func(m *made) { m.ref.Path = "/etc/passwd" }), "cannot be in a pack"},
		{"tree", output(func(m *made) { m.tree = true }), "cannot be in a pack"},
		{"negative size", output(func(m *made) { m.size = -1 }), "cannot be in a pack"},
		{"huge output", output(func(m *made) { m.sum[0], m.size = 0, 1<<50 }), "more than the"},
		{"contents that are not in it", output(func(m *made) { m.sum[0] ^= 1 }), "should be"},
		{"source above its root", rewritten(func(recs []*record, src []source) ([]*record, []source) {
			src[0].ref.Path = "../evil"
			return recs, src
		}), "source 0 is not one"},
		{"source without a root", rewritten(func(recs []*record, src []source) ([]*record, []source) {
			src[0].ref.Root = ""
			return recs, src
		}), "source 0 is not one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReviewer(t, s)
			s.t = t
			_, err := r.graph().CacheImport(t.Context(), s.repack(path, tt.change), CacheImport{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "nothing was imported") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if recs := publicRecords(t, r).All(); len(recs) > 0 {
				t.Errorf("%d records were taken over", len(recs))
			}
			stat, err := r.graph().CacheStat(t.Context())
			if err != nil || stat.Tiers[0].Blobs > 0 {
				t.Errorf("%+v, %v", stat, err)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "data")); err == nil {
				t.Error("a source was put in place")
			}
		})
	}
	r := newReviewer(t, s)
	if _, err := r.graph().CacheImport(t.Context(), path, CacheImport{Root: strings.Repeat("0", 64)}); err == nil || !strings.Contains(err.Error(), "its root digest is "+done.Root) {
		t.Error(err)
	}
	if _, err := r.graph().CacheImport(t.Context(), path, CacheImport{MaxBytes: 10}); err == nil || !strings.Contains(err.Error(), "more than the 10 bytes") {
		t.Error(err)
	}
	if _, err := r.graph().CacheImport(t.Context(), r.dir, CacheImport{}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Error(err)
	}
	if _, err := r.graph().CacheImport(t.Context(), filepath.Join(r.dir, "none"), CacheImport{}); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if got, err := r.graph().CacheImport(t.Context(), path, CacheImport{Root: done.Root, MaxBytes: 1 << 20}); err != nil || got.Records != 3 {
		t.Errorf("after all that it does not work: %+v, %v", got, err)
	}
}

// TestCacheImportPlacesDeclaredSourcesOnly holds that a pack cannot choose
// where a file lands.
func TestCacheImportPlacesDeclaredSourcesOnly(t *testing.T) {
	s := newStudy(t)
	_, path := s.export()
	for _, evil := range []Ref{{"work", "all.lock"}, {"work", ".bashrc"}, {"private", "lookup"}, {"work", "private/lookup"}, {"elsewhere", "x"}} {
		moved := s.repack(path, func(m, r []byte) ([]byte, []byte) {
			p, err := readPack(m, r)
			if err != nil {
				t.Fatal(err)
			}
			p.sources[0].ref = evil
			if m, err = packList(p.recs, p.sources); err != nil {
				t.Fatal(err)
			}
			return m, r
		})
		r := newReviewer(t, s)
		got, err := r.graph().CacheImport(t.Context(), moved, CacheImport{})
		if err != nil || len(got.Placed)+len(got.Kept) != 0 {
			t.Errorf("%s: %+v, %v", evil, got, err)
		}
		entries, err := os.ReadDir(r.dir)
		if err != nil || len(entries) != 1 || entries[0].Name() != ".cache" {
			t.Errorf("%s: the workspace holds %v, %v", evil, entries, err)
		}
	}
	// The gate sees what is put in place.
	r := newReviewer(t, s)
	r.opt.Gate = func(Ref, string) error { return errors.New("it holds a code") }
	if _, err := r.graph().CacheImport(t.Context(), path, CacheImport{}); err == nil || !strings.Contains(err.Error(), "may not become public") {
		t.Error(err)
	}
	if got := r.outputs()["data/public.db"]; got != "" {
		t.Error("it was put in place nevertheless")
	}
}

// TestDamagedPack holds that of a pack with any byte changed, missing or added
// nothing is taken over, except that it may turn out to be the same pack.
func TestDamagedPack(t *testing.T) {
	s := newStudy(t)
	done, path := s.export()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := newReviewer(t, s)
	rapid.Check(t, func(t *rapid.T) {
		bad := bytes.Clone(b)
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		switch rapid.IntRange(0, 2).Draw(t, "damage") {
		case 0:
			bad = bad[:at]
		case 1:
			bad[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case 2:
			bad = append(bad[:at:at], append([]byte{byte(at)}, b[at:]...)...)
		}
		path := filepath.Join(r.dir, "bad")
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := r.graph().CacheImport(r.t.Context(), path, CacheImport{})
		if err == nil && got.Root != done.Root {
			t.Fatalf("accepted: %+v", got)
		}
	})
	if _, err := r.graph().CacheImport(t.Context(), path, CacheImport{}); err != nil {
		t.Fatal(err)
	}
	r.expect("restored all; restored figure:a; restored figure:b")
	if diff := cmp.Diff(s.outputs(), r.outputs()); diff != "" {
		t.Error(diff)
	}
}
