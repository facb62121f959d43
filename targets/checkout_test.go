package targets

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	pipeline "github.com/foundation-plr/pipeline"
)

// A commit is named where whoever takes it has what made the results.
func TestCommit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		// Tests need nothing but Go and a compiler; .ci/run installs git.
		t.Skip("git is not installed")
	}
	// Of the person who runs the tests nothing counts.
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	dir := t.TempDir()
	s := &study{workspace: dir}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@b"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	none := func(want string) {
		t.Helper()
		if id, why := s.commit(); id != "" || !strings.Contains(why, want) {
			t.Errorf("commit %q, %q; want none, because %q", id, why, want)
		}
	}
	none("not compiled from the sources")
	if err := os.CopyFS(dir, pipeline.Sources); err != nil {
		t.Fatal(err)
	}
	none("git cannot tell it")
	git("init", "-q")
	none("by git status")
	write(".gitignore", "/outputs/\n")
	git("add", ".")
	none("by git status")
	git("commit", "-q", "-m", "first")
	want := git("rev-parse", "HEAD")
	check := func() {
		t.Helper()
		if id, why := s.commit(); id != want || why != "" {
			t.Errorf("commit %q, %q; want %s", id, why, want)
		}
	}
	check()
	if err := os.Mkdir(filepath.Join(dir, "outputs"), 0o755); err != nil {
		t.Fatal(err)
	}
	write("outputs/report.html", "results")
	check()
	write("new.go", "package pipeline")
	none("1 file of the checkout")
	if err := os.Remove(filepath.Join(dir, "new.go")); err != nil {
		t.Fatal(err)
	}
	check()
	// Code that the program does not run, although it is committed.
	name := "go.mod"
	if _, err := fs.Stat(pipeline.Sources, name); err != nil {
		t.Fatal(err)
	}
	write(name, "module other\n")
	git("commit", "-q", "-a", "-m", "second")
	none("not compiled from the sources")
}
