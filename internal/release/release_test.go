package release

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bundle is a small release; its database is a text whose contents are its words.
func bundle(t *testing.T, database string) Bundle {
	t.Helper()
	source := filepath.Join(t.TempDir(), "db")
	if err := os.WriteFile(source, []byte(database), 0o600); err != nil {
		t.Fatal(err)
	}
	return Bundle{
		Study: "own", Report: "outputs/report.html", Database: "data/public/study.db", Schema: "1", Settings: "configs/release.yaml", Platform: "linux/amd64",
		Files: []File{
			{Path: "pipeline.lock", Kind: "digests", Text: []byte("{}\n")},
			{Path: "data/public/study.db", Kind: "the public database", Source: source, Contents: "words/1 a"},
			{Path: "LICENSE", Kind: "licence", Text: []byte("do as you like\n")},
		},
	}
}

// contents are the words of a file, whatever is between them.
func contents(_ context.Context, name string) (string, error) {
	text, err := os.ReadFile(name)
	return strings.Join(strings.Fields(string(text)), " "), err
}

func written(t *testing.T, b Bundle) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := Write(&out, b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpacked(t *testing.T, packed []byte) map[string][]byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if files[f.Name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
		if !f.Modified.Equal(fixed) || f.Mode() != 0o644 {
			t.Errorf("%s: %v, %v", f.Name, f.Modified, f.Mode())
		}
	}
	return files
}

func TestWrite(t *testing.T) {
	b := bundle(t, "a  b")
	packed := written(t, b)
	slices.Reverse(b.Files)
	if !bytes.Equal(packed, written(t, b)) {
		t.Error("the order of files shows in the bytes")
	}
	files := unpacked(t, packed)
	if len(files) != 6 || string(files["data/public/study.db"]) != "a  b" {
		t.Fatalf("%q", files)
	}
	var m Manifest
	if err := json.Unmarshal(files[ManifestFile], &m); err != nil {
		t.Fatal(err)
	}
	if m.Schema != Schema || m.Database != "data/public/study.db" || len(m.Files) != 3 || m.Files[1].Contents != "words/1 a" || m.Files[1].Bytes != 4 {
		t.Errorf("%+v", m)
	}
	// What sha256sum -c would find.
	lines := strings.Split(strings.TrimSpace(string(files[SumsFile])), "\n")
	if len(lines) != len(files)-1 {
		t.Errorf("sums of %d files of %d", len(lines), len(files))
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		if sum != fmt.Sprintf("%x", sha256.Sum256(files[name])) {
			t.Errorf("sum of %q", name)
		}
	}
	for _, want := range []string{"data/public/study.db", "open outputs/report.html", "export PLR_CONFIG=configs/release.yaml", "reproduceFromCheckpoint", "version 1", "linux/amd64"} {
		if !strings.Contains(string(files[ReadmeFile]), want) {
			t.Errorf("%s lacks %q", ReadmeFile, want)
		}
	}
	if strings.Contains(string(files[ReadmeFile]), "SYNTHETIC") {
		t.Error("a study is called synthetic")
	}
	b.Synthetic = true
	if !strings.Contains(string(unpacked(t, written(t, b))[ReadmeFile]), "SYNTHETIC") {
		t.Error("the example is not called synthetic")
	}
}

func TestWriteRefuses(t *testing.T) {
	for name, f := range map[string]File{
		"twice":     {Path: "LICENSE"},
		"outside":   {Path: "../LICENSE"},
		"absolute":  {Path: "/LICENSE"},
		"reserved":  {Path: ManifestFile},
		"missing":   {Path: "x", Source: filepath.Join(t.TempDir(), "none")},
		"directory": {Path: "x", Source: t.TempDir()},
	} {
		b := bundle(t, "a")
		b.Files = append(b.Files, f)
		if err := Write(io.Discard, b); err == nil || !strings.Contains(err.Error(), "pack ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := errors.New("disk full")
	if err := Write(&fails{full}, bundle(t, "a")); !errors.Is(err, full) {
		t.Errorf("a disk that is full: %v", err)
	}
}

type fails struct{ err error }

func (f *fails) Write([]byte) (int, error) { return 0, f.err }

func TestDigest(t *testing.T) {
	of := func(packed []byte) (string, error) {
		name := filepath.Join(t.TempDir(), "r.zip")
		if err := os.WriteFile(name, packed, 0o600); err != nil {
			t.Fatal(err)
		}
		return Digest(t.Context(), name, contents)
	}
	must := func(b Bundle) string {
		t.Helper()
		digest, err := of(written(t, b))
		if err != nil {
			t.Fatal(err)
		}
		return digest
	}
	first := must(bundle(t, "a b"))
	if got := must(bundle(t, "a \n b")); got != first {
		t.Error("other bytes of the same contents are another release")
	}
	if got := must(bundle(t, "a c")); got == first {
		t.Error("other contents are the same release")
	}
	other := bundle(t, "a b")
	other.Files[0].Text = []byte("{ }\n")
	if got := must(other); got == first {
		t.Error("another file is the same release")
	}

	// A release that is not what it says of itself has no digest.
	whole := unpacked(t, written(t, bundle(t, "a b")))
	for name, change := range map[string]func(map[string][]byte){
		"another file":       func(m map[string][]byte) { m["LICENSE"] = []byte("do nothing\n") },
		"another database":   func(m map[string][]byte) { m["data/public/study.db"] = []byte("a c") },
		"a file more":        func(m map[string][]byte) { m["more"] = nil },
		"a file less":        func(m map[string][]byte) { delete(m, "LICENSE") },
		"no manifest":        func(m map[string][]byte) { delete(m, ManifestFile); m["x"] = nil },
		"a damaged manifest": func(m map[string][]byte) { m[ManifestFile] = []byte("{") },
		"another manifest form": func(m map[string][]byte) {
			m[ManifestFile] = bytes.Replace(m[ManifestFile], []byte(Schema), []byte("x/1"), 1)
		},
		"no text": func(m map[string][]byte) { delete(m, ReadmeFile); m["x"] = nil },
	} {
		changed := map[string][]byte{}
		for path, text := range whole {
			changed[path] = text
		}
		change(changed)
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for path, text := range changed {
			f, err := w.Create(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(text); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if digest, err := of(b.Bytes()); err == nil {
			t.Errorf("%s: %s", name, digest)
		}
	}
	if _, err := of([]byte("no zip")); err == nil {
		t.Error("what is no zip file has a digest")
	}
}
