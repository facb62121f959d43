package access

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestLog(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "old")
	if err := os.WriteFile(old, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	log, err := Open(func(name string) bool { return strings.HasPrefix(name, ".ours") })
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := log.Watch(dir); err != nil {
		t.Fatal(err)
	}
	expect := func(what string, do func() error, want ...Event) {
		t.Helper()
		if err := do(); err != nil {
			t.Fatal(err)
		}
		got, err := log.Take()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range want {
			if !slices.Contains(got, e) {
				t.Errorf("%s: %v is not among %v", what, e, got)
			}
		}
		if len(want) == 0 && len(got) > 0 {
			t.Errorf("%s: noted %v", what, got)
		}
	}
	expect("nothing", func() error { return nil })
	expect("a look at the size", func() error { _, err := os.Stat(old); return err })
	expect("reading", func() error { _, err := os.ReadFile(old); return err }, Event{old, Opened})
	expect("listing", func() error { _, err := os.ReadDir(dir); return err }, Event{dir, Listed})
	fresh := filepath.Join(dir, "fresh")
	expect("writing", func() error { return os.WriteFile(fresh, []byte("y"), 0o644) }, Event{fresh, Created}, Event{fresh, Written})
	expect("what is ours", func() error { return os.Mkdir(filepath.Join(dir, ".ours1"), 0o755) })
}
