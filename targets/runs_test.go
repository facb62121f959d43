package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/magefile/mage/mg"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/history"
)

// workspace makes the directory of a project the current one.
func workspace(t *testing.T) (dir string) {
	t.Helper()
	repo, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "configs"), os.DirFS(filepath.Join(repo, "configs"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	t.Setenv("STUDY", "example")
	return dir
}

// says returns what a target prints on standard output, and its error.
func says(t *testing.T, target func() error) (string, error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	done := make(chan string)
	go func() {
		b, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		done <- string(b)
	}()
	err = target()
	os.Stdout = stdout
	if cerr := w.Close(); cerr != nil {
		t.Error(cerr)
	}
	return <-done, err
}

func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("it does not say %q:\n%s", word, text)
		}
	}
}

// smallBuild builds two steps, a private and a public one, in the workspace.
func smallBuild(ctx context.Context, target string, work func(context.Context, *build.Task) error) (*build.Summary, error) {
	s, err := openTo(io.Discard)
	if err != nil {
		return nil, err
	}
	public, private := s.caches()
	in, secret := build.Ref{Root: "work", Path: "in"}, build.Ref{Root: "secret", Path: "in"}
	out := build.Ref{Root: "work", Path: "out"}
	graph, err := build.New(build.Options{
		Workspace: s.workspace, PublicCache: public, PrivateCache: private, Target: target, Jobs: 1,
		Roots: map[string]build.Root{"work": {Path: s.workspace}, "secret": {Path: s.settings.PrivateDir, Private: true}},
	}, []build.Step{
		{Name: "run:1", Inputs: []build.Input{build.File("secret", "in")}, Run: func(_ context.Context, t *build.Task) error {
			data, err := os.ReadFile(t.Path(secret))
			t.Log.Warn("secret words", "read", string(data))
			return err
		}},
		{Name: "figure:x", Inputs: []build.Input{build.File("work", "in")}, Outputs: []build.Output{build.Out("work", "out")}, Run: func(ctx context.Context, t *build.Task) error {
			t.Log.Info("drawing")
			t.Log.Warn("thin line")
			if err := work(ctx, t); err != nil {
				return err
			}
			data, err := os.ReadFile(t.Path(in))
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(out), data, 0o666)
		}},
	})
	if err != nil {
		return nil, err
	}
	return graph.Build(ctx)
}

func easy(context.Context, *build.Task) error { return nil }

func put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestRuns(t *testing.T) {
	dir := workspace(t)
	s, err := openTo(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, private := s.caches()
	put(t, filepath.Join(s.settings.PrivateDir, "in"), "1")
	put(t, filepath.Join(dir, "in"), "1")
	yes, ctx := true, t.Context()
	if out, err := says(t, func() error { return RunsLs(ctx, nil) }); err != nil || out != "no builds yet\n" {
		t.Errorf("without a history: %q, %v", out, err)
	}
	// An original code gets into no answer, whoever wrote it where.
	code := fmt.Sprintf("PLR%04d", 1)
	for i, target := range []string{"first", "second", "figures " + code} {
		put(t, filepath.Join(dir, "in"), fmt.Sprint(i))
		if _, err := smallBuild(ctx, target, easy); err != nil {
			t.Fatal(err)
		}
	}

	out, err := says(t, func() error { return RunsLs(ctx, nil) })
	if err != nil || strings.Count(out, "\n") != 4 || strings.Contains(out, code) {
		t.Errorf("list: %v\n%s", err, out)
	}
	contains(t, out, "first", "second", "figures", "done")
	if out, err = says(t, func() error { return RunsLs(ctx, &yes) }); err != nil {
		t.Error(err)
	}
	var builds []history.Build
	if err := json.Unmarshal([]byte(out), &builds); err != nil || len(builds) != 3 || builds[0].Ran != 2 || *builds[1].Fresh != 1 {
		t.Fatalf("list: %v\n%s", err, out)
	}

	if out, err = says(t, func() error { return RunsInspect(ctx, "last~1", nil) }); err != nil {
		t.Error(err)
	}
	contains(t, out, builds[1].ID, "figure:x", "input work:in changed", "1 fresh, 1 ran")
	if out, err = says(t, func() error { return RunsInspect(ctx, builds[0].ID[21:], &yes) }); err != nil {
		t.Error(err)
	}
	var b history.Build
	if err := json.Unmarshal([]byte(out), &b); err != nil || len(b.Steps) != 2 || b.Steps[0].Reason != "never built" || b.Steps[1].Reason != "never built" {
		t.Errorf("inspect: %v\n%s", err, out)
	}

	for name, c := range map[string]struct {
		step, level string
		want, not   []string
	}{
		"all":      {"", "", []string{"== run:1", "secret words", "== figure:x", "drawing", "thin line"}, nil},
		"warnings": {"", "warn", []string{"secret words", "thin line"}, []string{"drawing"}},
		"a step":   {"figure:*", "", []string{"drawing"}, []string{"secret", "run:1"}},
		"errors":   {"", "error", nil, []string{"=="}},
	} {
		var step, level *string
		if c.step != "" {
			step = &c.step
		}
		if c.level != "" {
			level = &c.level
		}
		out, err := says(t, func() error { return RunsLogs(ctx, builds[0].ID, step, level) })
		if err != nil {
			t.Errorf("logs, %s: %v", name, err)
		}
		contains(t, out, c.want...)
		for _, word := range c.not {
			if strings.Contains(out, word) {
				t.Errorf("logs, %s, say %q:\n%s", name, word, out)
			}
		}
	}

	if out, err = says(t, func() error { return RunsDiff(ctx, builds[0].ID, "last", nil) }); err != nil {
		t.Error(err)
	}
	contains(t, out, "input   figure:x: input work:in changed", "result  figure:x: work:out changed", "1 step on other inputs, 1 step with other results")
	if out, err = says(t, func() error { return RunsDiff(ctx, "last", "last", &yes) }); err != nil {
		t.Error(err)
	}
	var d history.Diff
	if err := json.Unmarshal([]byte(out), &d); err != nil || len(d.Steps) != 1 || !d.Steps[0].Same() {
		t.Errorf("a build against itself: %v\n%s", err, out)
	}

	if out, err = says(t, func() error { return RunsTrace(ctx, builds[0].ID) }); err != nil {
		t.Error(err)
	}
	var trace map[string]any
	if err := json.Unmarshal([]byte(out), &trace); err != nil || trace["traceEvents"] == nil {
		t.Errorf("trace: %v\n%s", err, out)
	}

	// What only the private tier says.
	put(t, filepath.Join(s.settings.PrivateDir, "in"), "2"+code)
	if _, err := smallBuild(ctx, "fourth", easy); err != nil {
		t.Fatal(err)
	}
	out, err = says(t, func() error { return RunsDiff(ctx, "last~1", "last", nil) })
	contains(t, out, "input   run:1: input secret:in changed")
	if err != nil {
		t.Error(err)
	}
	out, err = says(t, func() error { return RunsLogs(ctx, "last", nil, nil) })
	if contains(t, out, "secret words"); err != nil || strings.Contains(out, code) {
		t.Errorf("a log with a code: %v\n%s", err, out)
	}
	if err := os.RemoveAll(private); err != nil {
		t.Fatal(err)
	}
	out, err = says(t, func() error { return RunsDiff(ctx, "last~1", "last", nil) })
	if contains(t, out, "of 1 step it is private what changed"); err != nil || strings.Contains(out, "secret:in") {
		t.Errorf("without the private tier: %v\n%s", err, out)
	}
	out, err = says(t, func() error { return RunsLogs(ctx, "last", nil, nil) })
	if contains(t, out, "== run:1\n(its log is private and not here)"); err != nil {
		t.Error(err)
	}
	out, err = says(t, func() error { return RunsInspect(ctx, "last", nil) })
	if contains(t, out, "run:1", "(private)"); err != nil {
		t.Error(err)
	}

	none, odd := "nothing*", "loud"
	for name, call := range map[string]func() error{
		"inspect": func() error { return RunsInspect(ctx, "2019", nil) },
		"logs":    func() error { return RunsLogs(ctx, "last~99", nil, nil) },
		"step":    func() error { return RunsLogs(ctx, "last", &none, nil) },
		"level":   func() error { return RunsLogs(ctx, "last", nil, &odd) },
		"diff":    func() error { return RunsDiff(ctx, "last", "../x", nil) },
		"trace":   func() error { return RunsTrace(ctx, "") },
		"cancel":  func() error { return RunsCancel(ctx, "zzz") },
	} {
		if out, err := says(t, call); err == nil || mg.ExitStatus(err) != exitUsage || out != "" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	if _, err := says(t, func() error { return RunsCancel(ctx, "last") }); err == nil || mg.ExitStatus(err) != 1 {
		t.Errorf("cancelling what has ended: %v", err)
	}
}

// longBuild says that this process is the build of TestRunsCancel.
const longBuild = "PLR_TEST_LONG_BUILD"

// TestRunsLongBuild is no test but what TestRunsCancel cancels.
func TestRunsLongBuild(t *testing.T) {
	if os.Getenv(longBuild) == "" {
		t.Skip("only as a child of TestRunsCancel")
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	_, err := smallBuild(ctx, "long", func(ctx context.Context, _ *build.Task) error {
		fmt.Println("running")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			return nil
		}
	})
	fmt.Println("ended:", err)
}

func TestRunsCancel(t *testing.T) {
	dir := workspace(t)
	ctx := t.Context()
	s, err := openTo(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	public, _ := s.caches()
	put(t, filepath.Join(s.settings.PrivateDir, "in"), "1")
	put(t, filepath.Join(dir, "in"), "1")

	cmd := exec.Command(os.Args[0], "-test.run=^TestRunsLongBuild$", "-test.v")
	cmd.Env = append(os.Environ(), longBuild+"=1")
	cmd.Stderr = os.Stderr
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill() //nolint:errcheck // it has ended if all is well
	buffer, output := make([]byte, 1<<12), ""
	for !strings.Contains(output, "running") {
		n, err := pipe.Read(buffer)
		if output += string(buffer[:n]); err != nil {
			t.Fatalf("the build: %v\n%s", err, output)
		}
	}

	out, err := says(t, func() error { return RunsInspect(ctx, "last", nil) })
	if contains(t, out, fmt.Sprintf("running, process %d", cmd.Process.Pid), "figure:x"); err != nil {
		t.Error(err)
	}
	// What speaks of another process, or of an earlier one of this number, is not sent a signal.
	forge := func(p history.Process) string {
		r, err := history.New(public, "", time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Add(history.Event{Event: history.EventBegin, Format: history.Format, Process: &p}, false); err != nil {
			t.Fatal(err)
		}
		return r.ID()
	}
	victim := exec.Command("sleep", "60")
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(victim.Process.Kill(), ignoreExit(victim.Wait())); err != nil {
			t.Errorf("the bystander: %v", err)
		}
	}()
	running, err := history.Find(public, history.Last)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []history.Process{{PID: victim.Process.Pid, Start: "x"}, {PID: cmd.Process.Pid, Start: "x"}} {
		id := forge(p)
		if _, err := says(t, func() error { return RunsCancel(ctx, id) }); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("process %+v: %v", p, err)
		}
	}

	out, err = says(t, func() error { return RunsCancel(ctx, running) })
	if err != nil {
		t.Errorf("cancel: %v", err)
	}
	contains(t, out, "is asked to stop", "is stopped after")
	rest, err := io.ReadAll(pipe)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, output+string(rest), "ended: the build was stopped")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the build: %v", err)
	}
	if _, err := says(t, func() error { return RunsCancel(ctx, running) }); err == nil || !strings.Contains(err.Error(), "it is stopped") {
		t.Errorf("cancelled once more: %v", err)
	}
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}
