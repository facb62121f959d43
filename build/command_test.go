package build

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/processtest"
)

// script is a shell script as a program of the workspace.
func (s *space) script(name, text string) {
	s.t.Helper()
	s.write(name, "#!/bin/sh\n"+text+"\n")
	if err := os.Chmod(filepath.Join(s.dir, name), 0o755); err != nil {
		s.t.Fatal(err)
	}
}

func in(paths ...string) []Input {
	var ins []Input
	for _, p := range paths {
		ins = append(ins, File("work", p))
	}
	return ins
}

func TestCommand(t *testing.T) {
	s := newSpace(t)
	s.write("a", "2\n")
	s.write("b", "1\n")
	s.script("bin/tool", `cat "$@"; echo said >&2`)
	s.steps = []Step{
		{Name: "cat", Inputs: in("a", "b"), Outputs: []Output{Out("work", "cat")}, Command: []string{"bin/tool", "{in}"}, Stdout: "{out}"},
		{Name: "sort", Inputs: in("cat"), Outputs: []Output{Out("work", "sorted")}, Command: []string{"sort", "-o{out:0}", "{in:0}"}},
		{Name: "two", Inputs: in("a", "sorted"), Outputs: []Output{Out("work", "x"), Out("work", "y")}, Params: map[string]any{"n": 3},
			Command: []string{"sh", "-c", `cp "$1" "$3"; cp "$2" "$4"; printf %s "$5" >>"$4"; echo {print}`, "-", "{in:0}", "{in:1}", "{out}", "n={param:n}"}},
	}
	s.expect("ran cat; ran sort; ran two")
	s.expect("")
	if got := s.read("sorted") + s.read("x") + s.read("y"); got != "1\n2\n2\n1\n2\nn=3" {
		t.Errorf("the outputs hold %q", got)
	}
	logs, err := filepath.Glob(filepath.Join(s.dir, ".cache/runs/*/logs/*"))
	if err != nil {
		t.Fatal(err)
	}
	var text string
	for _, l := range logs {
		b, err := os.ReadFile(l)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	for _, want := range []string{`msg=said stream=stderr`, `msg={print} stream=stdout`, "cp"} {
		if !strings.Contains(text, want) {
			t.Errorf("no log says %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, s.dir) {
		t.Errorf("a log holds the place of the workspace:\n%s", text)
	}

	// Its arguments and its program are part of what a step is.
	s.steps[1].Command = []string{"sort", "-r", "-o{out:0}", "{in:0}"}
	s.says("sort will run: parameter command changed\ntwo may run: depends on sort")
	s.expect("ran sort; ran two")
	s.script("bin/tool", `cat "$@"`)
	if got := s.reasons("cat"); !strings.HasPrefix(got, "cat will run: tool bin/tool changed (") {
		t.Errorf("another program: %s", got)
	}
	s.expect("ran cat unchanged")
	// Where the step says which version of a program it is, its bytes are not.
	s.steps[0].Tools = map[string]string{"bin/tool": "1"}
	s.expect("ran cat unchanged")
	s.script("bin/tool", `cat "$@" `)
	s.expect("")
}

func TestCommandIsAnInput(t *testing.T) {
	s := newSpace(t)
	s.write("src", "#!/bin/sh\necho one\n")
	s.steps = []Step{
		{Name: "make", Inputs: in("src"), Outputs: []Output{Out("work", "prog")}, Command: []string{"sh", "-c", `cp "$1" "$2" && chmod +x "$2"`, "-", "{in}", "{out}"}},
		{Name: "run", Inputs: in("prog"), Outputs: []Output{Out("work", "said")}, Command: []string{"{in:0}"}, Stdout: "{out}"},
	}
	s.expect("ran make; ran run")
	s.write("src", "#!/bin/sh\necho two\n")
	s.expect("ran make; ran run")
	if got := s.read("said"); got != "two\n" {
		t.Errorf("it said %q", got)
	}
}

func TestCommandEnvironment(t *testing.T) {
	t.Setenv("BUILD_TEST_GIVEN", "yes")
	t.Setenv("BUILD_TEST_NOT_GIVEN", "no")
	t.Setenv("LC_ALL", "tr_TR")
	t.Setenv("TZ", "Asia/Tokyo")
	s := newSpace(t)
	step := Step{Name: "env", Outputs: []Output{Out("work", "env")}, Env: []string{"BUILD_TEST_GIVEN", "TZ"}, Command: []string{"env"}, Stdout: "{out}"}
	s.steps = []Step{step}
	s.expect("ran env")
	got := s.read("env")
	for _, want := range []string{"BUILD_TEST_GIVEN=yes\n", "LC_ALL=C.UTF-8\n", "TZ=Asia/Tokyo\n", "PATH=", "PWD=" + s.dir + "\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("the environment lacks %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "NOT_GIVEN") {
		t.Error("a program gets a variable that its step does not declare")
	}
}

func TestCommandFails(t *testing.T) {
	s := newSpace(t)
	s.write("a", "1")
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "out")}, Command: []string{"sh", "-c", `echo begun >"$0"; echo "no such luck" >&2; exit 3`, "{out}"}}}
	s.fails("failed a", "program sh: exit status 3: no such luck")
	if _, err := os.Stat(filepath.Join(s.dir, "out")); !errors.Is(err, os.ErrNotExist) {
		t.Error("half an output is in place")
	}
	// What is not there fails the steps that need it, and no others.
	s.steps = []Step{
		{Name: "a", Inputs: in("a"), Outputs: []Output{Out("work", "out")}, Command: []string{"no-such-program-here", "{in}", "{out}"}},
		{Name: "b", Inputs: in("a"), Outputs: []Output{Out("work", "b")}, Command: []string{"cp", "{in}", "{out}"}},
	}
	s.fails("failed a; ran b", "program no-such-program-here: executable file not found in $PATH")
	s.steps[0].Command[0] = "./a"
	s.fails("failed a", "program ./a: permission denied")
	// Files are counted when they are known.
	s.steps = []Step{{Name: "a", Inputs: []Input{Glob("work", "*.none")}, Outputs: []Output{Out("work", "c")}, Command: []string{"cp", "--from={in}", "{out}"}}}
	s.fails("failed a", "{in} stands for 0 files inside the argument")
}

func TestCommandRefused(t *testing.T) {
	s := newSpace(t)
	one := []Output{Out("work", "x")}
	for want, step := range map[string]Step{
		"names no program":                {Outputs: one, Command: []string{}},
		"both Run and Command":            {Outputs: one, Command: []string{"cp", "{out}"}, Run: nothing},
		"Stdout without Command":          {Outputs: one, Run: nothing, Stdout: "{out}"},
		"nothing tells the program where": {Outputs: append(one, Out("work", "y")), Command: []string{"cp", "{out:0}"}},
		"{out:1}: the step has 1 output":  {Outputs: one, Command: []string{"cp", "{out:1}"}},
		"{out}: the step has 0 outputs":   {Command: []string{"cp", "{out}"}},
		"{in}: the step has no inputs":    {Outputs: one, Command: []string{"cp", "{in}", "{out}"}},
		"{in:1}: the step has 1 input":    {Inputs: in("a"), Outputs: one, Command: []string{"cp", "{in:1}", "{out}"}},
		"{param:n}: the step has no such": {Outputs: one, Command: []string{"cp", "{param:n}", "{out}"}},
		"no parameter command of its own": {Outputs: one, Command: []string{"cp", "{out}"}, Params: map[string]any{"command": 1}},
		"must be {out} or {out:N} for":    {Outputs: []Output{OutTree("work", "d")}, Command: []string{"ls"}, Stdout: "{out}"},
		`stdout is "file"`:                {Outputs: one, Command: []string{"ls", "{out}"}, Stdout: "file"},
		"is not UTF-8":                    {Command: []string{"ls", "\xff"}},
		"cannot have ledgers":             {Ledgers: []Ref{{"work", "l"}}, Command: []string{"ls"}},
	} {
		step.Name = "a"
		if _, err := New(s.opt, []Step{step}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	s.opt.Roots["tools"] = Root{Path: filepath.Join(s.dir, "private"), Private: true}
	s.script("private/tool", "true")
	if _, err := New(s.opt, []Step{{Name: "a", Outputs: one, Command: []string{"private/tool", "{out}"}}}); err == nil || !strings.Contains(err.Error(), "is private") {
		t.Errorf("a private program: %v", err)
	}
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// pids reads process numbers that a script has written, one a line.
func (s *space) pids(name string, n int) []int {
	s.t.Helper()
	var pids []int
	waitFor(s.t, name, func() bool {
		pids = nil
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			return false
		}
		for line := range strings.Lines(string(b)) {
			pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
			if err != nil || !strings.HasSuffix(line, "\n") {
				return false
			}
			pids = append(pids, pid)
		}
		return len(pids) == n
	})
	return pids
}

func shortGrace(t *testing.T, d time.Duration) {
	old := grace
	grace = d
	t.Cleanup(func() { grace = old })
}

// A cancelled program gets time to tidy up; what does not listen is killed, and
// so is what the program started.
func TestCommandCancelled(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("looks at processes under /proc")
	}
	for name, tt := range map[string]struct {
		script string
		tidied bool
	}{
		"listens":    {`trap 'echo tidy >tidied; exit 0' TERM; sleep 600 & echo $$ >pid; echo $! >>pid; while :; do sleep 0.02; done`, true},
		"is deaf":    {`trap '' TERM; (trap '' TERM; exec sleep 600) & echo $$ >pid; echo $! >>pid; while :; do sleep 0.02; done`, false},
		"says a lot": {`trap 'echo tidy >tidied; exit 7' TERM; sleep 600 & echo $$ >pid; echo $! >>pid; while :; do echo long; done`, true},
	} {
		t.Run(name, func(t *testing.T) {
			shortGrace(t, 400*time.Millisecond)
			s := newSpace(t)
			s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "out")}, Command: []string{"sh", "-c", tt.script, "-", "{out}"}}}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := s.graph().Build(ctx)
				ended <- err
			}()
			pids := s.pids("pid", 2)
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("build: %v", err)
			}
			for _, pid := range pids {
				waitFor(t, "the end of a process", func() bool { return !processtest.Alive(pid) })
			}
			if _, err := os.Stat(filepath.Join(s.dir, "tidied")); (err == nil) != tt.tidied {
				t.Errorf("tidied up: %v, want %v", err == nil, tt.tidied)
			}
			left, err := filepath.Glob(filepath.Join(s.dir, stagingDir+"*/*"))
			if err != nil || len(left) > 0 {
				t.Errorf("staging is left: %v %v", left, err)
			}
		})
	}
}

func TestCommandTimesOut(t *testing.T) {
	shortGrace(t, 200*time.Millisecond)
	s := newSpace(t)
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "out")}, Timeout: 50 * time.Millisecond, Command: []string{"sleep", "600", "{out}"}}}
	s.steps[0].Command = []string{"sh", "-c", "sleep 600", "{out}"}
	s.fails("failed a", "it took longer than 50ms: program sh was stopped")
}

// What a program leaves running does not outlive its step.
func TestCommandLeavesNothingRunning(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("looks at processes under /proc")
	}
	s := newSpace(t)
	s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "out")}, Command: []string{"sh", "-c", `sleep 600 & echo $! >pid; echo x >"$0"`, "{out}"}}}
	s.expect("ran a")
	pid := s.pids("pid", 1)[0]
	waitFor(t, "the end of what was left running", func() bool { return !processtest.Alive(pid) })
}

// TestCommandDiesWithItsParent kills a build as the kernel would. The program of
// its step must not go on writing into the workspace.
func TestCommandDiesWithItsParent(t *testing.T) {
	const child = "BUILD_TEST_PARENT"
	if dir := os.Getenv(child); dir != "" {
		s := newSpace(t)
		s.opt.Workspace, s.opt.Roots, s.opt.PublicCache, s.opt.PrivateCache = dir, map[string]Root{"work": {Path: dir}}, dir+"/.cache", ""
		s.steps = []Step{{Name: "a", Outputs: []Output{Out("work", "out")}, Command: []string{"sh", "-c", `echo $$ >pid; while :; do sleep 0.02; done`, "{out}"}}}
		_, err := s.build()
		t.Fatal(err) // it is killed before
	}
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux tells a process of its parent's death")
	}
	s := newSpace(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestCommandDiesWithItsParent$")
	cmd.Env = append(os.Environ(), child+"="+s.dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := s.pids("pid", 1)[0]
	if !processtest.Alive(pid) {
		t.Fatal("the program has ended by itself")
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("the build was not killed")
	}
	waitFor(t, "the death of the program", func() bool { return !processtest.Alive(pid) })
}

func TestExec(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.steps = []Step{{Name: "a", Inputs: in("in"), Outputs: []Output{Out("work", "out")}, Run: func(ctx context.Context, t *Task) error {
		return t.Exec(ctx, "cp", t.Path(Ref{"work", "in"}), t.Out(Ref{"work", "out"}))
	}}}
	s.expect("ran a")
	if s.read("out") != "x" {
		t.Error("nothing was copied")
	}
}

func TestVersion(t *testing.T) {
	v, err := Version("go", "version")
	if err != nil || !strings.HasPrefix(v, "go version go") {
		t.Errorf("%q %v", v, err)
	}
	if _, err := Version("false"); err == nil || !strings.Contains(err.Error(), "give arguments that make it say its version") {
		t.Errorf("a program that fails: %v", err)
	}
	if _, err := Version("true", "quiet"); err == nil || !strings.Contains(err.Error(), "prints nothing") {
		t.Errorf("a program that says nothing: %v", err)
	}
	if _, err := Version("no-such-program-here"); err == nil {
		t.Error("no error for a program that is not there")
	}
}
