package build

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// TestSettledAgain looks at settled files again: what a view tells of them from the index
// is what it has told before, until their tree is forgotten, or the index is lost.
func TestSettledAgain(t *testing.T) {
	for _, secret := range []bool{false, true} {
		for _, perm := range []os.FileMode{0o644, 0o755} {
			t.Run(fmt.Sprint(secret, perm), func(t *testing.T) {
				dir := t.TempDir()
				tree, caches := filepath.Join(dir, "tree"), filepath.Join(dir, "caches")
				abs := filepath.Join(tree, "file")
				write := func(text string) store.Sum {
					t.Helper()
					if err := writeFile(abs, text); err != nil {
						t.Fatal(err)
					}
					if err := os.Chmod(abs, perm); err != nil {
						t.Fatal(err)
					}
					return blake3.Sum256([]byte(text))
				}
				first := write("first")
				time.Sleep(testGap + testGap/2) // nothing is remembered of what is young
				indexes := map[bool]*store.Index{}
				for _, private := range []bool{false, true} {
					at := filepath.Join(caches, fmt.Sprint(private))
					if err := store.Create(at, store.Private); err != nil {
						t.Fatal(err)
					}
					st, err := store.Open(at, store.Private, testGap)
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if err := st.Close(); err != nil {
							t.Error(err)
						}
					})
					indexes[private] = st.Index
				}
				v := newView(&Options{Roots: map[string]Root{"r": {Path: tree, Private: secret}}}, func(private bool) *store.Index { return indexes[private] })
				is := func(what string, want store.Sum) {
					t.Helper()
					f, err := v.digest(Ref{"r", "file"}, abs)
					if err != nil || f.sum != want || f.mode&0o100 != perm&0o100 {
						t.Errorf("%s: %v with mode %v and %v, want %v", what, f.sum, f.mode, err, want)
					}
				}
				is("at first", first)
				if v.settled.find(keyOfPath(abs)) == nil {
					t.Fatal("it is not settled")
				}
				is("again", first)
				if err := indexes[secret].Flush(); err != nil {
					t.Fatal(err)
				}
				is("from the index", first)
				if err := os.Truncate(filepath.Join(caches, fmt.Sprint(secret), "index"), 0); err != nil {
					t.Fatal(err)
				}
				runtime.GC()
				runtime.GC() // with what was read of the index
				is("without the index", first)
				second := write("second")
				v.forget(tree, true)
				is("once its tree is forgotten", second)
			})
		}
	}
}
