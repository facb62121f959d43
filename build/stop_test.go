package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/process"
	"github.com/foundation-plr/pipeline/internal/processtest"
)

// A child of TestSignals builds stopDir until stopPhase, and stays there.
const (
	stopDir   = "BUILD_TEST_STOP_DIR"
	stopPhase = "BUILD_TEST_STOP_PHASE"
)

func init() { children["stop"] = stopChild }

// stopSteps is a pipeline with a step for each phase in which a build can be
// told to stop. The file "at" says that it is there.
func stopSteps(dir, phase string) (Options, []Step) {
	arrived := func(name string) {
		if name == phase {
			if err := os.WriteFile(filepath.Join(dir, "at"), fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
				panic(err)
			}
		}
	}
	o := Options{
		Workspace: dir, Roots: map[string]Root{"work": {Path: dir}}, PublicCache: filepath.Join(dir, ".cache"), Jobs: 2, Stdout: os.Stdout,
		Digests: map[string]func(context.Context, string) (string, error){"slow": func(ctx context.Context, _ string) (string, error) {
			if phase == "deciding" {
				arrived(phase)
				<-ctx.Done()
			}
			return "meaning", nil
		}},
		Gate: func(ref Ref, _ string) error {
			if ref.Path == "first" && phase == "restoring" {
				arrived(phase)
				time.Sleep(300 * time.Millisecond) // a restore is not given up half way
			}
			return nil
		},
	}
	work := func(ctx context.Context, t *Task) error {
		arrived(t.n.Name)
		switch phase {
		case t.n.Name:
			<-ctx.Done()
			return ctx.Err()
		case "deaf " + t.n.Name:
			arrived("deaf " + t.n.Name)
			time.Sleep(time.Minute)
		}
		return concat(ctx, t)
	}
	script := `cat "$1" >"$2"`
	if phase == "command" || phase == "deaf command" {
		script = `echo $$ >pids; (trap '' TERM; exec sleep 600) & echo $! >>pids; echo x >at; sleep 600`
		if phase == "deaf command" {
			script = `trap '' TERM INT HUP; ` + script
		}
	}
	return o, []Step{
		{Name: "first", Inputs: []Input{File("work", "src")}, Outputs: []Output{Out("work", "first")}, Run: concat},
		{Name: "go", Inputs: []Input{File("work", "first")}, Outputs: []Output{Out("work", "go")}, Run: work},
		{Name: "command", Inputs: []Input{File("work", "go")}, Outputs: []Output{Out("work", "command")}, Command: []string{"sh", "-c", script, "-", "{in}", "{out}"}},
		{Name: "last", Inputs: []Input{File("work", "command"), File("work", "src").As("slow")}, Outputs: []Output{Out("work", "last")}, Run: concat},
	}
}

func stopChild() int {
	dir, phase := os.Getenv(stopDir), os.Getenv(stopPhase)
	ctx, stop := Context(context.Background())
	defer stop()
	g, err := New(stopSteps(dir, phase))
	if err == nil {
		_, err = g.Build(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// stopping is a child that has come to a phase.
type stopping struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	said bytes.Buffer
}

func startStopping(t *testing.T, dir, phase string, argv ...string) *stopping {
	t.Helper()
	if err := writeFile(filepath.Join(dir, "src"), "x"); err != nil {
		t.Fatal(err)
	}
	s := &stopping{t: t, dir: dir}
	argv = append(argv, os.Args[0])
	s.cmd = exec.Command(argv[0], argv[1:]...)
	s.cmd.Env = append(os.Environ(), testChild+"=stop", stopDir+"="+dir, stopPhase+"="+phase)
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() }) // it has ended, unless the test failed
	waitFor(t, "phase "+phase, func() bool {
		b, err := os.ReadFile(filepath.Join(dir, "at"))
		return err == nil && len(b) > 0
	})
	return s
}

func (s *stopping) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Fatal(err)
	}
}

// ends waits for the end and returns the exit code.
func (s *stopping) ends() int {
	s.t.Helper()
	err := s.cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.Exited():
		return exit.ExitCode()
	}
	s.t.Fatalf("%v\n%s", err, s.said.String())
	return 0
}

// orphans returns programs that a step had started and that run still.
func (s *stopping) orphans() []int {
	b, err := os.ReadFile(filepath.Join(s.dir, "pids"))
	if err != nil {
		return nil
	}
	var left []int
	for line := range strings.Lines(string(b)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err != nil {
			s.t.Fatal(err)
		}
		if processtest.Alive(pid) {
			left = append(left, pid)
		}
	}
	return left
}

// goesOn holds that a build takes up where the stopped one ended.
func (s *stopping) goesOn(fresh ...string) {
	s.t.Helper()
	if left, err := filepath.Glob(filepath.Join(s.dir, stagingDir+"*")); err != nil || len(left) > 0 {
		s.t.Errorf("staging is left: %v %v", left, err)
	}
	g, err := New(stopSteps(s.dir, ""))
	if err != nil {
		s.t.Fatal(err)
	}
	sum, err := g.Build(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, r := range sum.Steps {
		if (r.State == StateFresh) != slices.Contains(fresh, r.Name) {
			s.t.Errorf("afterwards step %s: %s", r.Name, r.State)
		}
	}
	if b, err := os.ReadFile(filepath.Join(s.dir, "last")); err != nil || !strings.HasPrefix(string(b), "x") {
		s.t.Errorf("the last output holds %q: %v", b, err)
	}
}

func needProc(t *testing.T) {
	t.Helper()
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("starts processes and looks at them under /proc")
	}
}

// TestSignals stops builds in each phase by each signal: what was done is
// recorded, what was begun is removed, and nothing runs on.
func TestSignals(t *testing.T) {
	needProc(t)
	// Children hear a SIGHUP that these tests were started without, as by nohup.
	heard := make(chan os.Signal, 1)
	signal.Notify(heard, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(heard) })
	for phase, fresh := range map[string][]string{
		"go":        {"first"},
		"command":   {"first", "go"},
		"deciding":  {"first", "go", "command"},
		"restoring": {"first", "go", "command", "last"},
	} {
		for name, sig := range map[string]os.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP} {
			t.Run(phase+" "+name, func(t *testing.T) {
				t.Parallel()
				dir, fresh := t.TempDir(), fresh
				if phase == "restoring" {
					if err := writeFile(filepath.Join(dir, "src"), "x"); err != nil {
						t.Fatal(err)
					}
					g, err := New(stopSteps(dir, ""))
					if err == nil {
						_, err = g.Build(t.Context())
					}
					if err == nil {
						err = errors.Join(os.Remove(filepath.Join(dir, "first")), os.Remove(filepath.Join(dir, "last")))
					}
					if err != nil {
						t.Fatal(err)
					}
					fresh = []string{"first", "go", "command"}
				}
				s := startStopping(t, dir, phase)
				s.signal(sig)
				if code := s.ends(); code != 1 {
					t.Errorf("exit code %d", code)
				}
				if !strings.Contains(s.said.String(), "the build was stopped") || !strings.Contains(s.said.String(), "it got "+name) {
					t.Errorf("it said:\n%s", s.said.String())
				}
				if left := s.orphans(); len(left) > 0 {
					t.Errorf("processes %v run on", left)
				}
				s.goesOn(fresh...)
			})
		}
	}
}

// TestSecondSignal holds that a build that does not end when it is told to ends
// at once when it is told again, with all that it has started.
func TestSecondSignal(t *testing.T) {
	needProc(t)
	for phase, fresh := range map[string][]string{"deaf go": {"first"}, "deaf command": {"first", "go"}} {
		for name, sigs := range map[string][2]os.Signal{
			"SIGINT":              {syscall.SIGINT, syscall.SIGINT},
			"SIGTERM and SIGHUP":  {syscall.SIGTERM, syscall.SIGHUP},
			"SIGHUP, then SIGINT": {syscall.SIGHUP, syscall.SIGINT},
		} {
			t.Run(phase+" "+name, func(t *testing.T) {
				t.Parallel()
				s := startStopping(t, t.TempDir(), phase)
				// What ended is recorded before long, whatever runs.
				time.Sleep(batchAge + 300*time.Millisecond)
				s.signal(sigs[0])
				s.signal(sigs[0]) // as timeout(1) does: it counts once
				time.Sleep(process.SameSignal + 200*time.Millisecond)
				if !processtest.Alive(s.cmd.Process.Pid) {
					t.Fatalf("it did not wait:\n%s", s.said.String())
				}
				begin := time.Now()
				s.signal(sigs[1])
				if code := s.ends(); code != 1 {
					t.Errorf("exit code %d", code)
				}
				if took := time.Since(begin); took > grace/2 {
					t.Errorf("it took %s", took)
				}
				if !strings.Contains(s.said.String(), "stopped at once: a second signal") {
					t.Errorf("it said:\n%s", s.said.String())
				}
				waitFor(t, "the end of what a step had started", func() bool { return len(s.orphans()) == 0 })
				for _, left := range s.staging() { // the next build removes it; this one had no time
					if err := removeAll(left); err != nil {
						t.Error(err)
					}
				}
				s.goesOn(fresh...)
			})
		}
	}
}

func (s *stopping) staging() []string {
	left, err := filepath.Glob(filepath.Join(s.dir, stagingDir+"*"))
	if err != nil {
		s.t.Fatal(err)
	}
	return left
}

// TestNohup holds that a build that was started so as to survive its terminal
// does.
func TestNohup(t *testing.T) {
	needProc(t)
	s := startStopping(t, t.TempDir(), "go", "sh", "-c", `trap '' HUP; exec "$0"`)
	s.signal(syscall.SIGHUP)
	time.Sleep(200 * time.Millisecond)
	if !processtest.Alive(s.cmd.Process.Pid) {
		t.Fatalf("it ended:\n%s", s.said.String())
	}
	s.signal(syscall.SIGTERM)
	if code := s.ends(); code != 1 || !strings.Contains(s.said.String(), "it got SIGTERM") {
		t.Errorf("exit code %d\n%s", code, s.said.String())
	}
}
