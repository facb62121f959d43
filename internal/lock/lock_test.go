package lock

import (
	"os"
	"path/filepath"
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
