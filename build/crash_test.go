package build

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// crashChild makes the test binary a build of the given workspace.
const crashChild = "BUILD_TEST_CRASH"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashChild); dir != "" {
		g, err := crashWorld(dir).graph()
		if err == nil {
			_, err = g.Build(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if child := children[os.Getenv(testChild)]; child != nil {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// testChild makes the test binary one of the children, by name. Files that are
// compiled on some systems only add theirs.
const testChild = "BUILD_TEST_CHILD"

var children = map[string]func() int{}

// crashWorld is a pipeline of some dozen small steps of every kind, whose
// parameter is the content of src/seed.
func crashWorld(dir string) *world {
	m := &model{Steps: []modelStep{
		{Kind: "tree", In: []Input{Glob("src", "**")}},
		{Kind: "grow", In: []Input{Glob("out", "s0t/**"), File("src", "seed")}},
		{Kind: "ledger", In: []Input{Glob("src", "*")}, Private: true},
	}}
	for i := range 30 {
		m.Steps = append(m.Steps, modelStep{Kind: []string{"file", "two"}[i%2], Private: i%3 == 0, In: []Input{
			File("src", "seed"), OutputsOf(fmt.Sprintf("s%d", i)), Glob("out", "s0t/0/*")}})
	}
	m.Steps = append(m.Steps, modelStep{Kind: "file", In: []Input{OutputsOf("s*"), File("private", "s2l")}})
	return &world{dir: dir, m: m, jobs: 3}
}

// TestCrash kills builds at random instants. Whatever state they leave, the
// next build makes what a clean build makes.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("starts and kills processes for some seconds")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	w := crashWorld(filepath.Join(base, "w"))
	for _, name := range []string{"1", "2", "d/x"} {
		if err := writeFile(filepath.Join(w.dir, "src", name), name); err != nil {
			t.Fatal(err)
		}
	}
	killed, finished := 0, 0
	full := 300 * time.Millisecond // about what a build takes, learned as we go
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		round := killed + finished
		if err := writeFile(filepath.Join(w.dir, "src/seed"), fmt.Sprint(round/3)); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), crashChild+"="+w.dir)
		var said strings.Builder
		cmd.Stderr = &said
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(rand.N(full), func() {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Error(err)
			}
		})
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		switch {
		case err == nil:
			finished++
			full = time.Since(begin) * 5 / 4
		case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
			killed++
			full += full / 20
		default:
			t.Fatalf("the build failed after a crash: %v\n%s", err, said.String())
		}
		if round%8 == 7 {
			w.compareCrash(t, filepath.Join(base, fmt.Sprint("clean", round)))
		}
	}
	w.compareCrash(t, filepath.Join(base, "clean"))
	if killed == 0 {
		t.Error("no build was killed")
	}
	t.Logf("%d builds killed, %d finished", killed, finished)
}

func (w *world) compareCrash(t *testing.T, cleanDir string) {
	t.Helper()
	g, err := w.graph()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Build(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "private/"} {
		if left, err := filepath.Glob(filepath.Join(w.dir, dir+stagingDir+"*")); err != nil || len(left) > 0 {
			t.Errorf("staging is left in %q: %v, %v", dir, left, err)
		}
	}
	got, err := w.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	c := &world{dir: cleanDir, m: w.m, jobs: 1}
	if err := os.CopyFS(filepath.Join(c.dir, "src"), os.DirFS(filepath.Join(w.dir, "src"))); err != nil {
		t.Fatal(err)
	}
	const ledger = "private/s2l"
	if err := writeFile(filepath.Join(c.dir, ledger), got[ledger]); err != nil {
		t.Fatal(err)
	}
	if g, err = c.graph(); err == nil {
		_, err = g.Build(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	want, err := c.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range want {
		if got[path] != text {
			t.Errorf("after crashes %s holds %q, in a clean build %q", path, got[path], text)
		}
	}
	again, err := w.graph()
	if err != nil {
		t.Fatal(err)
	}
	if sum, err := again.Build(t.Context()); err != nil || sum.Ran > 0 || sum.Restored > 0 {
		t.Errorf("the build after that: %v, %v", sum, err)
	}
}
