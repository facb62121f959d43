package pipeline_test

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	pipeline "github.com/foundation-plr/pipeline"
)

// otherPipeline compiles the second pipeline as somebody else's module, as
// docs/own-pipeline.md tells, and returns the program and its workspace. A
// replace stands for the released version that they would name.
func otherPipeline(t *testing.T) (program, dir string) {
	t.Helper()
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "own")
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(repo, "examples/temperatures"))); err != nil {
		t.Fatal(err)
	}
	for _, made := range []string{"out", ".cache"} { // by whoever tried the example in the checkout
		if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := os.ReadFile(filepath.Join(repo, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	mod := fmt.Sprintf("module example.org/own\n\ngo 1.26.0\n\nrequire %[1]s v0.0.0\n\nreplace %[1]s => %[2]s\n", pipeline.Module, repo)
	for name, text := range map[string]string{"go.mod": mod, "go.sum": string(sums)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(dir, "own")
	cmd := exec.Command("go", "tool", "mage", "-d", dir, "-compile", program)
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("compile: %v\n%s", err, out)
	}
	list := exec.Command("go", "list", "-tags", "mage", "-deps", "magefile.go")
	list.Dir, list.Env = dir, cmd.Env
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for name := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(name), pipeline.Module); ok {
			ours = append(ours, rest)
		}
	}
	slices.Sort(ours)
	if diff := cmp.Diff([]string{"/build", "/internal/access", "/internal/console", "/internal/difference", "/internal/history", "/internal/nearest", "/internal/process", "/internal/store"}, ours); diff != "" {
		t.Errorf("packages of this module that it uses (-want +got):\n%s", diff)
	}
	return program, dir
}

// TestSecondPipeline holds that the engine serves a pipeline that has nothing to
// do with this study.
func TestSecondPipeline(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a program")
	}
	t.Parallel()
	program, dir := otherPipeline(t)
	run := func(target string) []string {
		t.Helper()
		cmd := exec.Command(program, target)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", target, err, out)
		}
		var did []string
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			words := strings.Fields(s.Text())
			if words[0] == "ran" || words[0] == "restored" {
				did = append(did, words[0]+" "+words[1])
			}
		}
		slices.Sort(did)
		return did
	}
	expect := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, run("build")); diff != "" {
			t.Errorf("build did (-want +got):\n%s", diff)
		}
	}
	edit := func(name, was, is string) {
		t.Helper()
		name = filepath.Join(dir, name)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte(was)) {
			t.Fatalf("%s does not hold %q", name, was)
		}
		if err := os.WriteFile(name, bytes.Replace(text, []byte(was), []byte(is), 1), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	expect("ran mean:coast.csv", "ran mean:desert.csv", "ran mean:mountain.csv", "ran mean:plain.csv", "ran plot", "ran table")
	table := read("out/table.txt")
	if want := "mountain 2.0\nplain 9.0\ncoast 11.0\ndesert 23.0\n"; table != want {
		t.Errorf("the table is %q, want %q", table, want)
	}
	if n := strings.Count(read("out/plot.svg"), "<rect"); n != 4 {
		t.Errorf("the plot has %d bars, want 4", n)
	}
	expect()

	// What depends on a file, and no more.
	edit("data/plain.csv", "\n7,1", "\n7,2")
	expect("ran mean:plain.csv", "ran plot", "ran table")
	if read("out/table.txt") == table {
		t.Error("the table does not show the change")
	}
	// A change that does not reach the mean as it is written ends there.
	edit("data/coast.csv", "\n1,5.7", "\n1,5.71")
	expect("ran mean:coast.csv")
	// A command changes the plot alone; it comes back from the cache.
	edit("plot.awk", "#006bb2", "#b26b00")
	expect("ran plot")
	edit("plot.awk", "#b26b00", "#006bb2")
	expect("restored plot")
	// Files come and go.
	if err := os.Rename(filepath.Join(dir, "data/desert.csv"), filepath.Join(dir, "data/sands.csv")); err != nil {
		t.Fatal(err)
	}
	expect("ran mean:sands.csv", "ran plot", "ran table")
	if err := os.Remove(filepath.Join(dir, "out/plot.svg")); err != nil {
		t.Fatal(err)
	}
	expect("restored plot")
	expect()
}
