package lock

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipeline.lock")
	err := Write(name, Document{
		Study:     "own",
		Platform:  "linux/amd64 v1 fma",
		Contents:  map[string]string{"x.db": "00"},
		Artifacts: map[string]string{"b.png": "22", "a.tex": "11"},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := `{
  "schema": "plr.lock/1",
  "study": "own",
  "platform": "linux/amd64 v1 fma",
  "contents": {
    "x.db": "00"
  },
  "artifacts": {
    "a.tex": "11",
    "b.png": "22"
  }
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pipeline.lock")
	if _, err := Read(name); !os.IsNotExist(err) {
		t.Errorf("of no file: %v", err)
	}
	digest := strings.Repeat("ab", 32)
	want := Document{
		Schema: Schema, Study: "own", Platform: "linux/amd64 v1",
		Contents:  map[string]string{"x.db": "rows/1 " + digest},
		Artifacts: map[string]string{"figures/b.png": digest},
	}
	if err := Write(name, want); err != nil {
		t.Fatal(err)
	}
	got, err := Read(name)
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(err, diff)
	}
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`{`, "<<<<<<< ours\n{", "it cannot be read"},
		{Schema, "plr.lock/9", `its schema is "plr.lock/9"`},
		{`"study"`, `"stuby"`, "it cannot be read"},
		{"figures/b.png", "../b.png", "no path below the results"},
		{"figures/b.png", "/etc/passwd", "no path below the results"},
		{`"figures/b.png": "ab`, `"figures/b.png": "`, "is no digest"},
		{`"figures/b.png": "ab`, `"figures/b.png": "xy`, "is no digest"},
		{"rows/1 ", "", "does not say what it is a digest of"},
	} {
		broken := strings.Replace(string(whole), c.old, c.new, 1)
		if err := os.WriteFile(name, []byte(broken), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(name); err == nil || !strings.Contains(err.Error(), "pipeline.lock: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, want %q", c.new, c.old, err, c.want)
		}
	}
	if err := os.WriteFile(name, append(whole, '{'), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name); err == nil {
		t.Error("something follows, and that is no error")
	}
}

func TestDigest(t *testing.T) {
	name := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// The first of BLAKE3's published test vectors.
	const want = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
	if got, err := Digest(name); got != want || err != nil {
		t.Errorf("of nothing: %s, %v", got, err)
	}
	if _, err := Digest(filepath.Dir(name)); err == nil {
		t.Error("a directory has a digest")
	}
}
