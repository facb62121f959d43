package pipeline_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/foundation-plr/pipeline/internal/archive"
)

// sharedDir holds what is made once for all tests of this package: the compiled
// program, the unpacked example and built workspaces.
var sharedDir string

func TestMain(m *testing.M) {
	if file := os.Getenv(holder); file != "" {
		if err := hold(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	var err error
	if sharedDir, err = os.MkdirTemp("", "plr-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(sharedDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// program compiles the program, as the README tells a user to.
var program = sync.OnceValues(func() (string, error) {
	name := filepath.Join(sharedDir, "bin", "plr")
	if err := os.Mkdir(filepath.Dir(name), 0o755); err != nil {
		return "", err
	}
	if out, err := exec.Command("go", "tool", "mage", "-compile", name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the program: %w\n%s", err, out)
	}
	return name, nil
})

func compiled(t *testing.T) string {
	t.Helper()
	name, err := program()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// unpackOnce unpacks the bundled example. Nobody writes to it.
var unpackOnce = sync.OnceValues(func() (string, error) {
	dir := filepath.Join(sharedDir, "example")
	return dir, archive.Unpack(context.Background(), exampleArchive, dir, archive.DefaultLimits, nil)
})

// The workspaces that buildOnce makes. Their store is mlruns, their source database
// source.db.
const (
	withFlows  = "flows"  // the store has the example's experiments before classification
	withSource = "source" // the source database is configured
)

// buildOnce makes a workspace and reproduces it, for scripts that begin where a first
// build has ended. A build is half of what such a script takes, and what it does the
// first time is for the scripts that begin with store: of an own study, with flows
// and with a source database, and of the example.
var buildOnce = func() map[string]func() (string, error) {
	made := map[string]func() (string, error){}
	for _, with := range [][]string{nil, {withFlows}, {withSource}} {
		name := strings.Join(append([]string{"built"}, with...), " ")
		made[name] = sync.OnceValues(func() (string, error) { return buildWorkspace(filepath.Join(sharedDir, name), with) })
	}
	return made
}()

func buildWorkspace(dir string, with []string) (string, error) {
	example, err := unpackOnce()
	if err != nil {
		return "", err
	}
	plr, err := program()
	if err != nil {
		return "", err
	}
	if err := os.CopyFS(filepath.Join(dir, "configs"), os.DirFS("configs")); err != nil {
		return "", err
	}
	store := filepath.Join(dir, "mlruns")
	if err := writeStore(example, store, nil); err != nil {
		return "", err
	}
	// No setting of whoever runs the tests counts, as in a script.
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=/no-home", "NO_COLOR=1", "MLFLOW_TRACKING_URI=" + store}
	if slices.Contains(with, withFlows) {
		if err := writeFlows(example, store); err != nil {
			return "", err
		}
	}
	if slices.Contains(with, withSource) {
		source := filepath.Join(dir, "source.db")
		if err := copyTree(filepath.Join(example, "SERI_PLR_GLAUCOMA.db"), source); err != nil {
			return "", err
		}
		env = append(env, "PLR_SOURCE_DB="+source)
	}
	build := exec.Command(plr, "reproduce")
	build.Dir, build.Env = dir, env
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("reproduce: %w\n%s", err, out)
	}
	return dir, nil
}

// copyBuilt is the command
//
//	built [flows|source]
//
// It puts a workspace that was built elsewhere in place of the script's, which holds
// configurations alone, and says in $BUILT where that was.
func copyBuilt(ts *testscript.TestScript, neg bool, args []string) {
	made := buildOnce[strings.Join(append([]string{"built"}, args...), " ")]
	if neg || made == nil {
		ts.Fatalf("usage: one of %q", slices.Sorted(maps.Keys(buildOnce)))
	}
	dir, err := made()
	ts.Check(err)
	for _, name := range []string{".cache", "data", "figures", "outputs", "pipeline.lock"} {
		if _, err := os.Lstat(ts.MkAbs(name)); err == nil {
			ts.Fatalf("there is %s already", name)
		}
	}
	ts.Check(copyExactly(dir, ts.MkAbs(".")))
	ts.Setenv("BUILT", dir)
}

// copyExactly copies a tree with permissions and times.
func copyExactly(src, dst string) error {
	return filepath.WalkDir(src, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		to := filepath.Join(dst, rel)
		switch {
		case d.IsDir():
			if err := os.MkdirAll(to, 0o755); err != nil {
				return err
			}
			return os.Chmod(to, info.Mode().Perm())
		case !d.Type().IsRegular():
			return fmt.Errorf("%s is no file", name)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
		if err := os.Chmod(to, info.Mode().Perm()); err != nil {
			return err
		}
		return os.Chtimes(to, info.ModTime(), info.ModTime())
	})
}
