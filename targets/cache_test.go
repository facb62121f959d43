package targets

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/foundation-plr/pipeline/internal/lock"
)

func TestBytesText(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 KB", 2_500_000: "2.5 MB", 3e12: "3.0 TB", 3e15: "3000.0 TB"} {
		if got := bytesText(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestLockedDigests(t *testing.T) {
	one, two, three := strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("3", 64)
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.lock"), filepath.Join(dir, "b.lock")
	if err := errors.Join(
		lock.Write(a, lock.Document{Artifacts: map[string]string{"x": two, "y": one}}),
		lock.Write(b, lock.Document{Artifacts: map[string]string{"x": two, "z": three}}),
	); err != nil {
		t.Fatal(err)
	}
	got, err := lockedDigests(b, a, a, filepath.Join(dir, "none"))
	if want := []string{one, two, three}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if err := os.WriteFile(a, []byte("<<<<<<< ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := lockedDigests(a); err == nil || !strings.Contains(err.Error(), "a.lock") || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a lock with a conflict in it: %v", err)
	}
}

// TestWorkflowKeepsTheCache holds what makes the cache of CI work: that what is
// saved is what is restored, that every run has a key of its own and finds those
// of earlier ones, and that it is collected and saved after a failure, too.
func TestWorkflowKeepsTheCache(t *testing.T) {
	text, err := os.ReadFile("../.github/workflows/ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Permissions map[string]string
		Jobs        map[string]struct {
			Steps []struct {
				Uses, Run, If string
				With          struct {
					Path, Key   string
					RestoreKeys string `yaml:"restore-keys"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	steps := doc.Jobs["ci"].Steps
	find := func(use, run string) int {
		t.Helper()
		for i, s := range steps {
			if use != "" && strings.HasPrefix(s.Uses, use) || run != "" && strings.Contains(s.Run, run) {
				return i
			}
		}
		t.Fatalf("no step %s%s", use, run)
		return -1
	}
	restore, ci, gc, save := find("actions/cache/restore@", ""), find("", ".ci/run"), find("", "cache:gc -maxsize="), find("actions/cache/save@", "")
	if !(restore < ci && ci < gc && gc < save) {
		t.Errorf("the order is restore %d, check %d, collect %d, save %d", restore, ci, gc, save)
	}
	from, to := steps[restore].With, steps[save].With
	if from.Path != to.Path || from.Key != to.Key {
		t.Errorf("restored is %+v, saved %+v", from, to)
	}
	if !strings.Contains(to.Key, "github.run_id") || !strings.HasPrefix(to.Key, strings.TrimSpace(from.RestoreKeys)) {
		t.Errorf("the key %q is not new for each run, or not found by %q", to.Key, from.RestoreKeys)
	}
	for _, i := range []int{gc, save} {
		if steps[i].If != "${{ !cancelled() }}" && steps[i].If != "always()" {
			t.Errorf("step %d runs only %q", i, steps[i].If)
		}
	}
	for _, path := range strings.Fields(to.Path) {
		if path != ".cache" && !strings.HasPrefix(path, "data/synthetic/") {
			t.Errorf("%s is saved, where every branch can read it", path)
		}
	}
	if doc.Permissions["contents"] != "read" || len(doc.Permissions) != 1 {
		t.Errorf("permissions: %v", doc.Permissions)
	}
}
