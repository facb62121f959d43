package archive

import (
	"archive/tar"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

type entry struct {
	name string
	kind byte
	body string
	link string
}

func write(t *testing.T, entries ...entry) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "a.tar.zst")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewWriter(f)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Size: int64(len(e.body)), Mode: 0o4777, Linkname: e.link}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.body)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []interface{ Close() error }{w, z, f} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return name
}

func TestUnpack(t *testing.T) {
	src := write(t,
		entry{name: "store/", kind: tar.TypeDir},
		entry{name: "store/a/b.txt", kind: tar.TypeReg, body: "hello"},
		entry{name: "./c", kind: tar.TypeReg, body: ""})
	dst := filepath.Join(t.TempDir(), "out")
	if err := Unpack(context.Background(), src, dst, DefaultLimits, nil); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(dst, "store/a/b.txt"))
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(dst, "c"))
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Fatalf("mode of c: %v, %v", info, err)
	}
}

func TestUnpackRefuses(t *testing.T) {
	file := entry{name: "a", kind: tar.TypeReg, body: "12345"}
	for name, c := range map[string]struct {
		entries []entry
		limits  Limits
		want    string
	}{
		"parent":            {[]entry{{name: "../a", kind: tar.TypeReg}}, DefaultLimits, "not below"},
		"inner parent":      {[]entry{{name: "x/../../a", kind: tar.TypeReg}}, DefaultLimits, "not below"},
		"absolute":          {[]entry{{name: "/etc/a", kind: tar.TypeReg}}, DefaultLimits, "not below"},
		"backslash":         {[]entry{{name: `..\a`, kind: tar.TypeReg}}, DefaultLimits, "not below"},
		"symbolic link":     {[]entry{{name: "a", kind: tar.TypeSymlink, link: "/etc/passwd"}}, DefaultLimits, "neither a file"},
		"hard link":         {[]entry{file, {name: "b", kind: tar.TypeLink, link: "a"}}, DefaultLimits, "neither a file"},
		"fifo":              {[]entry{{name: "a", kind: tar.TypeFifo}}, DefaultLimits, "neither a file"},
		"file as directory": {[]entry{file, {name: "a/b", kind: tar.TypeReg}}, DefaultLimits, "exists"},
		"twice":             {[]entry{file, file}, DefaultLimits, "exists"},
		"too many":          {[]entry{file, {name: "b", kind: tar.TypeReg}}, Limits{Files: 1, Bytes: 100}, "more than 1 entries"},
		"too large":         {[]entry{file}, Limits{Files: 9, Bytes: 4}, "more than 4 bytes"},
		"empty":             {nil, DefaultLimits, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			err := Unpack(context.Background(), write(t, c.entries...), filepath.Join(parent, "out"), c.limits, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an error with %q", err, c.want)
			}
			beside, err := os.ReadDir(parent)
			if err != nil || len(beside) > 1 {
				t.Fatalf("files outside the directory: %v, %v", beside, err)
			}
		})
	}
}

func TestUnpackKeeps(t *testing.T) {
	src := write(t,
		entry{name: "a", kind: tar.TypeReg, body: "1"},
		entry{name: "b/", kind: tar.TypeDir},
		entry{name: "b/c", kind: tar.TypeReg, body: "2"})
	dst := t.TempDir()
	if err := Unpack(context.Background(), src, dst, DefaultLimits, func(name string) bool { return name == "a" }); err != nil {
		t.Fatal(err)
	}
	there, err := os.ReadDir(dst)
	if err != nil || len(there) != 1 || there[0].Name() != "a" {
		t.Fatalf("got %v, %v", there, err)
	}
	// What is left out is checked all the same.
	src = write(t, entry{name: "a", kind: tar.TypeReg}, entry{name: "../b", kind: tar.TypeReg})
	if err := Unpack(context.Background(), src, t.TempDir(), DefaultLimits, func(name string) bool { return name == "a" }); err == nil {
		t.Fatal("a hostile entry was passed over")
	}
}

func TestUnpackNeedsAnEmptyDirectory(t *testing.T) {
	dst := t.TempDir()
	// Through such a link a plain name would leave the directory.
	if err := os.Symlink(t.TempDir(), filepath.Join(dst, "store")); err != nil {
		t.Fatal(err)
	}
	src := write(t, entry{name: "store/a", kind: tar.TypeReg})
	if err := Unpack(context.Background(), src, dst, DefaultLimits, nil); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Fatalf("got %v", err)
	}
}

func TestUnpackTruncated(t *testing.T) {
	src := write(t, entry{name: "a", kind: tar.TypeReg, body: strings.Repeat("x", 1000)})
	data, err := os.ReadFile(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(src, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Unpack(context.Background(), src, t.TempDir(), DefaultLimits, nil); err == nil {
		t.Fatal("half an archive was accepted")
	}
}

func TestUnpackStops(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	src := write(t, entry{name: "a", kind: tar.TypeReg})
	if err := Unpack(ctx, src, t.TempDir(), DefaultLimits, nil); err == nil {
		t.Fatal("went on after the context was cancelled")
	}
}
