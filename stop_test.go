package pipeline_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stopMagefile is a magefile with one long step, whose program has started
// another. The file says which process has run the target.
const stopMagefile = `//go:build mage

package main

import (
	"context"

	"github.com/foundation-plr/pipeline/build"
)

var Default = Build

func Build(ctx context.Context) error {
	ctx, stop := build.Context(ctx)
	defer stop()
	o, err := build.Workspace("")
	if err != nil {
		return err
	}
	g, err := build.New(o, []build.Step{{Name: "long", Outputs: []build.Output{build.Out(build.Work, "out")},
		Command: []string{"sh", "-c", "sleep 600 & echo $PPID $$ $! >pids; wait", "{out}"}}})
	if err == nil {
		_, err = g.Build(ctx)
	}
	return err
}
`

// TestMageDies stops what started a build. Mage hands on no signal, so the
// program that it has compiled must see for itself that it is alone.
func TestMageDies(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("compiles programs and looks at processes under /proc")
	}
	t.Parallel()
	repo, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	base := t.TempDir()
	mage := filepath.Join(base, "mage")
	if out, err := exec.Command("go", "build", "-o", mage, "github.com/magefile/mage").CombinedOutput(); err != nil {
		t.Fatalf("compile mage: %v\n%s", err, out)
	}
	for _, tt := range []struct {
		name  string
		argv  []string
		sigs  []syscall.Signal // to what was started, one after the other
		group bool             // as a terminal sends them: to mage and the program alike
		want  string
	}{
		{name: "mage is killed", argv: []string{mage}, sigs: []syscall.Signal{syscall.SIGKILL}, want: "mage, which had started it, is gone"},
		{name: "mage is terminated", argv: []string{mage}, sigs: []syscall.Signal{syscall.SIGTERM}, want: "mage, which had started it, is gone"},
		{name: "go tool mage is terminated", argv: []string{"go", "tool", "mage"}, sigs: []syscall.Signal{syscall.SIGTERM}, want: "mage, which had started it, is gone"},
		{name: "go tool mage is killed", argv: []string{"go", "tool", "mage"}, sigs: []syscall.Signal{syscall.SIGKILL}, want: "mage, which had started it, is gone"},
		{name: "interrupt at the terminal", argv: []string{mage}, sigs: []syscall.Signal{syscall.SIGINT}, group: true, want: "the build was stopped, 0 steps not done: it "},
		{name: "two interrupts at the terminal", argv: []string{mage}, sigs: []syscall.Signal{syscall.SIGINT, syscall.SIGINT}, group: true, want: "stopped"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "own")
			sums, err := os.ReadFile(filepath.Join(repo, "go.sum"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			mod := fmt.Sprintf("module example.org/own\n\ngo 1.26.0\n\nrequire github.com/foundation-plr/pipeline v0.0.0\n\nreplace github.com/foundation-plr/pipeline => %s\n", repo)
			for name, text := range map[string]string{"go.mod": mod, "go.sum": string(sums), "magefile.go": stopMagefile} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			argv := append(tt.argv, "-d", dir, "build")
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "MAGEFILE_CACHE="+filepath.Join(base, "cache"))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			said, err := os.Create(filepath.Join(dir, "said"))
			if err != nil {
				t.Fatal(err)
			}
			defer said.Close()
			// A file and no pipe, whose end would be waited for.
			cmd.Stdout, cmd.Stderr = said, said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var program, shell, sleep int
			read := func() bool {
				b, err := os.ReadFile(filepath.Join(dir, "pids"))
				n, _ := fmt.Sscan(string(b), &program, &shell, &sleep)
				return err == nil && n == 3
			}
			t.Cleanup(func() {
				for _, pid := range []int{cmd.Process.Pid, program, shell, sleep} {
					if pid > 0 && runs(pid) {
						t.Errorf("process %d is left", pid)
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
			within(t, time.Minute, "the step to run", read)
			for _, sig := range tt.sigs {
				pid := cmd.Process.Pid
				if tt.group {
					pid = -pid
				}
				if err := syscall.Kill(pid, sig); err != nil && err != syscall.ESRCH {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			// Of a SIGTERM, which the go command hands on, it makes exit code 0.
			if err := cmd.Wait(); err == nil && tt.argv[0] != "go" {
				t.Error("it ended well")
			}
			for _, pid := range []int{program, shell, sleep} {
				within(t, 10*time.Second, "the end of all that was started", func() bool { return !runs(pid) })
			}
			text, err := os.ReadFile(filepath.Join(dir, "said"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(text, []byte(tt.want)) {
				t.Errorf("it did not say %q:\n%s", tt.want, text)
			}
			if _, err := os.Stat(filepath.Join(dir, "out")); err == nil {
				t.Error("there is an output")
			}
		})
	}
}

// runs says whether a process exists and has not ended.
func runs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z")
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
