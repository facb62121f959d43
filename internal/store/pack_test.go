package store

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/zeebo/blake3"
)

// packOf returns a pack with the head "list" and these contents.
func packOf(t testing.TB, head string, contents ...string) []byte {
	t.Helper()
	var items []Item
	for _, c := range contents {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(c), 0o600); err != nil {
			t.Fatal(err)
		}
		items = append(items, Item{Sum: blake3.Sum256([]byte(c)), Size: int64(len(c)), Path: path})
	}
	var b bytes.Buffer
	if err := WritePack(t.Context(), &b, []Head{{"list", []byte(head)}}, items); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// expecting is a plan of these contents.
func expecting(contents ...string) func([][]byte) ([]Item, error) {
	return func([][]byte) ([]Item, error) {
		var items []Item
		for _, c := range contents {
			items = append(items, Item{Sum: blake3.Sum256([]byte(c)), Size: int64(len(c))})
		}
		sortItems(items)
		return items, nil
	}
}

var testLimits = PackLimits{Head: 100, Blobs: 100}

func filesBelow(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return names
}

func TestPack(t *testing.T) {
	b := packOf(t, "what", "one", "two", "three")
	if again := packOf(t, "what", "three", "two", "one"); !bytes.Equal(b, again) {
		t.Error("equal contents give other bytes")
	}
	s := newStore(t, t.TempDir())
	defer closeStore(t, s)
	for range 2 { // the second time everything is there already
		plan := func(heads [][]byte) ([]Item, error) {
			if string(heads[0]) != "what" {
				t.Errorf("head: %q", heads[0])
			}
			return expecting("one", "two", "three")(heads)
		}
		staged, err := s.Blobs.ReadPack(t.Context(), bytes.NewReader(b), []string{"list"}, testLimits, plan)
		if err != nil {
			t.Fatal(err)
		}
		if err := staged.Keep(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []string{"one", "two", "three"} {
		if !s.Blobs.Verify(blake3.Sum256([]byte(c)), int64(len(c))) {
			t.Errorf("%q is not there", c)
		}
	}
	if left := filesBelow(t, s.Blobs.unfinished()); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// hostileTar writes a pack entry by entry.
func hostileTar(t *testing.T, write func(w *tar.Writer)) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	write(w)
	// A writer that was lied to about a size cannot close; its bytes count.
	_ = w.Close()
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPackRefuses(t *testing.T) {
	blob := func(c string) string { return packBlobs + Sum(blake3.Sum256([]byte(c))).String() }
	entry := func(w *tar.Writer, h tar.Header, text string) {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Size == 0 && h.Typeflag == tar.TypeReg {
			h.Size = int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	head := func(w *tar.Writer) { entry(w, tar.Header{Name: "list"}, "x") }
	good := packOf(t, "x", "one")
	compressed := func(b []byte) []byte { return hostile(t, b) }
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "not complete"},
		{"not compressed", []byte("PK\x03\x04 something else"), "magic number mismatch"},
		{"nothing in it", compressed(nil), "not complete"},
		{"cut", good[:len(good)-9], ""},
		{"cut within contents", compressed(uncompressed(t, good)[:1024+512+1]), "not complete"},
		{"bits of it changed", func() []byte { b := bytes.Clone(good); b[len(b)-6] ^= 4; return b }(), ""},
		{"more after its end", compressed(append(uncompressed(t, good), make([]byte, 512)...)), "something follows"},
		{"more entries", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one")}, "one")
			entry(w, tar.Header{Name: blob("two")}, "two")
		}), "not in its manifest"},
		{"an entry twice", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one")}, "one")
			entry(w, tar.Header{Name: blob("one")}, "one")
		}), "not in its manifest"},
		{"no head", hostileTar(t, func(w *tar.Writer) { entry(w, tar.Header{Name: blob("one")}, "one") }), "where list should be"},
		{"large head", hostileTar(t, func(w *tar.Writer) { entry(w, tar.Header{Name: "list"}, strings.Repeat("x", 101)) }), "more than the 100"},
		{"path above", hostileTar(t, func(w *tar.Writer) { head(w); entry(w, tar.Header{Name: "../../" + blob("one")}, "one") }), "should be"},
		{"absolute path", hostileTar(t, func(w *tar.Writer) { head(w); entry(w, tar.Header{Name: "/" + blob("one")}, "one") }), "should be"},
		{"symbolic link", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}, "")
		}), "not a plain file"},
		{"hard link", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Typeflag: tar.TypeLink, Linkname: "list"}, "")
		}), "not a plain file"},
		{"device", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Typeflag: tar.TypeChar}, "")
		}), "not a plain file"},
		{"directory", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Typeflag: tar.TypeDir}, "")
		}), "not a plain file"},
		{"extended header", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Format: tar.FormatPAX, PAXRecords: map[string]string{"A.b": "c"}}, "one")
		}), "not a plain file"},
		{"other size", hostileTar(t, func(w *tar.Writer) { head(w); entry(w, tar.Header{Name: blob("one")}, "longer") }), "has 6 bytes, and 3"},
		{"huge size", hostileTar(t, func(w *tar.Writer) {
			head(w)
			entry(w, tar.Header{Name: blob("one"), Size: 1 << 60, Format: tar.FormatGNU}, "one")
		}), "in its manifest"},
		{"other contents", hostileTar(t, func(w *tar.Writer) { head(w); entry(w, tar.Header{Name: blob("one")}, "owe") }), "another digest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := newStore(t, filepath.Join(dir, "store"))
			before := filesBelow(t, dir)
			staged, err := s.Blobs.ReadPack(t.Context(), bytes.NewReader(tt.data), []string{"list"}, testLimits, expecting("one"))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if staged != nil {
				t.Error("something is staged")
			}
			if after := filesBelow(t, dir); len(after) != len(before) {
				t.Errorf("it left %q", after)
			}
			closeStore(t, s)
		})
	}
	t.Run("too much", func(t *testing.T) {
		s := newStore(t, t.TempDir())
		defer closeStore(t, s)
		_, err := s.Blobs.ReadPack(t.Context(), bytes.NewReader(good), []string{"list"}, PackLimits{Head: 100, Blobs: 2}, expecting("one"))
		if err == nil || !strings.Contains(err.Error(), "more than the 2 bytes") {
			t.Error(err)
		}
	})
}

func uncompressed(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return must(z.DecodeAll(b, nil))(t)
}

func hostile(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return z.EncodeAll(b, nil)
}

// FuzzReadPack holds that whatever a file says, reading it ends, writes nothing
// but contents of the digests that were asked for, and leaves nothing when it
// fails.
func FuzzReadPack(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(uncompressed(f, packOf(f, "x", "one")))
	f.Add(uncompressed(f, packOf(f, "x", "one", "two")))
	f.Fuzz(func(t *testing.T, b []byte) {
		dir := t.TempDir()
		s := &Blobs{dir: filepath.Join(dir, "blobs"), perm: Private}
		staged, err := s.ReadPack(t.Context(), bytes.NewReader(hostile(t, b)), []string{"list"}, testLimits, expecting("one"))
		if err != nil {
			if left := filesBelow(t, dir); len(left) > 0 {
				t.Fatalf("left behind: %q", left)
			}
			return
		}
		if err := staged.Keep(); err != nil || !s.Verify(blake3.Sum256([]byte("one")), 3) {
			t.Fatal("it was accepted and is not what it says", err)
		}
	})
}
