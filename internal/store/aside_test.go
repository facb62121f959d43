package store

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Many goroutines that make one directory at once get that directory, and what
// one of them has put into it stays: whether nothing was there before, or a file
// that has to go.
func TestMakeDirAtOnce(t *testing.T) {
	for round := range 200 {
		base := t.TempDir()
		dir := filepath.Join(base, "blobs", "ab")
		if round%2 == 1 {
			if err := os.WriteFile(filepath.Join(base, "blobs"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if err := makeDir(dir, 0o700, filepath.Join(base, "damaged")); err != nil {
					t.Error(err)
					return
				}
				name := filepath.Join(dir, string(rune('a'+i)))
				if err := os.WriteFile(name, nil, 0o600); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 8 {
			t.Fatalf("round %d: %d files are there, %v", round, len(entries), err)
		}
	}
}
