package targets

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/history"
)

// runs is the history of the builds of a workspace.
type runs struct {
	public, private string // directories of the two tiers
	redact          func(string) string
}

// openRuns begins with what open prints, but not on standard output, which is
// for the answer alone.
func openRuns() (*runs, error) {
	s, err := openTo(os.Stderr)
	if err != nil {
		return nil, err
	}
	public, private := s.caches()
	return &runs{public, private, s.gate.redact}, nil
}

// RunsLs lists the builds of this workspace, the newest last.
func RunsLs(_ context.Context, asJSON *bool) error {
	r, err := openRuns()
	if err != nil {
		return err
	}
	ids, err := history.IDs(r.public)
	if err != nil {
		return err
	}
	running, err := r.running()
	if err != nil {
		return err
	}
	builds := []*history.Build{}
	for _, id := range ids {
		b, err := r.read(id, running)
		if err != nil {
			return err
		}
		b.Steps = nil
		builds = append(builds, b)
	}
	switch {
	case wanted(asJSON):
		return printJSON(builds)
	case len(builds) == 0:
		_, err := fmt.Fprintln(screen(), "no builds yet")
		return err
	}
	return history.WriteList(screen(), builds)
}

// RunsInspect shows a build with its steps.
func RunsInspect(_ context.Context, name string, asJSON *bool) error {
	r, err := openRuns()
	if err != nil {
		return err
	}
	b, err := r.find(name)
	if err != nil {
		return err
	}
	if wanted(asJSON) {
		return printJSON(b)
	}
	return b.Write(screen())
}

// RunsLogs prints the logs of a build: of the steps that match a glob, and the
// lines of at least a level.
func RunsLogs(_ context.Context, name string, step, level *string) error {
	glob, least := "*", slog.LevelDebug
	if step != nil {
		glob = *step
	}
	if !doublestar.ValidatePattern(glob) {
		return usage("-step=%s is not a glob such as figure:*", glob)
	}
	if level != nil {
		if err := least.UnmarshalText([]byte(*level)); err != nil {
			return usage("-level=%s is none of debug, info, warn and error", *level)
		}
	}
	r, err := openRuns()
	if err != nil {
		return err
	}
	b, err := r.find(name)
	if err != nil {
		return err
	}
	matched := false
	for i := range b.Steps {
		s := &b.Steps[i]
		if !doublestar.MatchUnvalidated(glob, s.Name) {
			continue
		}
		matched = true
		for attempt := range s.Attempts {
			if err := r.printLog(b, s, attempt+1, least); err != nil {
				return err
			}
		}
	}
	if !matched && step != nil {
		return usage("no step of build %s that did anything matches %s; mage runs:inspect %s lists them", b.ID, glob, name)
	}
	return nil
}

func (r *runs) printLog(b *history.Build, s *history.Step, attempt int, least slog.Level) error {
	title := "== " + s.Name
	if s.Attempts > 1 {
		title += fmt.Sprintf(", attempt %d of %d", attempt, s.Attempts)
	}
	log, err := history.ReadLog(r.public, r.private, b.ID, s, attempt)
	var lines []string
	switch {
	case errors.Is(err, history.ErrPrivateLog):
		lines = []string{"(" + err.Error() + ")"}
	case errors.Is(err, fs.ErrNotExist):
		lines = []string{"(its log is gone)"}
	case err != nil:
		return fmt.Errorf("log of %s: %w", s.Name, err)
	default:
		lines = history.Filter(log, least)
	}
	if len(lines) == 0 {
		return nil
	}
	_, err = fmt.Fprintln(screen(), r.redact(title+"\n"+strings.Join(lines, "\n")))
	return err
}

// RunsDiff compares two builds: what steps ran on, what they made, how long
// they took.
func RunsDiff(_ context.Context, a, b string, asJSON *bool) error {
	r, err := openRuns()
	if err != nil {
		return err
	}
	var ids [2]string
	for i, name := range []string{a, b} {
		if ids[i], err = r.id(name); err != nil {
			return err
		}
	}
	diff, err := history.Compare(r.public, r.private, ids[0], ids[1])
	if err != nil {
		return err
	}
	if err := r.explain(diff); err != nil {
		return err
	}
	if wanted(asJSON) {
		return printJSON(diff)
	}
	return diff.Write(screen())
}

// explain says of each step that ran on something else what that is.
func (r *runs) explain(diff *history.Diff) (err error) {
	past, err := build.OpenPast(r.public, r.private)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, past.Close()) }()
	for i := range diff.Steps {
		s := &diff.Steps[i]
		if !s.Inputs {
			continue
		}
		changes, known := past.Changes(s.A.Key, s.B.Key)
		switch {
		case s.A.Key == "":
			s.Changes = []string{"built for the first time"}
		case s.B.Key == "":
			s.Changes = []string{"not built yet"}
		case !known:
			s.Changes = []string{"changed; the record of what it was is gone"}
		}
		for _, c := range changes {
			s.Changes = append(s.Changes, r.redact(c.String()))
		}
		s.Changes = slices.Compact(s.Changes)
	}
	return nil
}

// RunsTrace prints a build as a Chrome trace.
func RunsTrace(_ context.Context, name string) error {
	r, err := openRuns()
	if err != nil {
		return err
	}
	b, err := r.find(name)
	if err != nil {
		return err
	}
	trace, err := b.Trace()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(screen(), string(trace))
	return err
}

// How long a cancelled build is watched: mage gives the targets five seconds
// to clean up.
const (
	cancelWait = 15 * time.Second
	cancelPoll = 50 * time.Millisecond
)

// RunsCancel stops the running build of this workspace, whose id is asked for
// so that it is not another one that has begun meanwhile.
func RunsCancel(ctx context.Context, name string) error {
	r, err := openRuns()
	if err != nil {
		return err
	}
	b, err := r.find(name)
	if err != nil {
		return err
	}
	if b.State != history.Running {
		return fmt.Errorf("build %s does not run: it is %s", b.ID, b.State)
	}
	switch err := b.Process.Interrupt(); {
	case errors.Is(err, os.ErrProcessDone):
		_, err = fmt.Fprintf(screen(), "build %s has just ended\n", b.ID)
		return err
	case err != nil:
		return fmt.Errorf("build %s cannot be cancelled: process %d: %w", b.ID, b.Process.PID, err)
	}
	fmt.Fprintf(screen(), "build %s is asked to stop (process %d)\n", b.ID, b.Process.PID)
	for end := time.Now().Add(cancelWait); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cancelPoll):
		}
		if b, err = r.find(b.ID); err != nil {
			return err
		}
		if b.State != history.Running {
			_, err = fmt.Fprintf(screen(), "build %s is %s after %.1f s\n", b.ID, b.State, b.Seconds)
			return err
		}
	}
	return fmt.Errorf("build %s still runs after %s; to end it at once, cancel it again", b.ID, cancelWait)
}

// id returns the id that a name stands for.
func (r *runs) id(name string) (string, error) {
	id, err := history.Find(r.public, name)
	var unknown *history.UnknownError
	if errors.As(err, &unknown) {
		return "", usage("%s", unknown)
	}
	return id, err
}

func (r *runs) find(name string) (*history.Build, error) {
	id, err := r.id(name)
	if err != nil {
		return nil, err
	}
	running, err := r.running()
	if err != nil {
		return nil, err
	}
	return r.read(id, running)
}

// read reads a build and says whether one that has not ended still runs.
// Whatever stands in the history is redacted once more on its way out: the
// lookup may know more than when it was written.
func (r *runs) read(id, running string) (*history.Build, error) {
	b, err := history.Read(r.public, r.private, id)
	if err != nil {
		return nil, err
	}
	if b.State == history.Running && id != running {
		b.State, b.Process = history.Interrupted, nil
	}
	b.Target = r.redact(b.Target)
	for i := range b.Steps {
		s := &b.Steps[i]
		s.Reason = r.redact(s.Reason)
		for j := range s.Errors {
			s.Errors[j] = r.redact(s.Errors[j])
		}
	}
	return b, nil
}

// running returns the id of the build that runs in this workspace, "" if none
// does: the kernel says that the lock is held, the holder says which process
// that is, the newest unfinished build is of that process, and the process of
// that number began when the one of the build did.
func (r *runs) running() (string, error) {
	pid, held, err := build.Running(r.public)
	if err != nil || !held {
		return "", err
	}
	ids, err := history.Unfinished(r.public)
	if err != nil {
		return "", err
	}
	for _, id := range slices.Backward(ids) {
		b, err := history.Read(r.public, "", id)
		if err != nil {
			return "", err
		}
		if b.Process == nil || b.Process.PID != pid {
			continue
		}
		alive, err := b.Process.Alive()
		if err != nil {
			return "", err
		}
		if alive {
			return id, nil
		}
	}
	return "", nil
}

// asked is what the user asked for, in the words of the command line. Without
// any it is the magefile's default.
func asked() string {
	if len(os.Args) > 1 {
		return strings.Join(os.Args[1:], " ")
	}
	return "reproduce"
}

// caches are the directories of the two tiers.
func (s *study) caches() (public, private string) {
	return filepath.Join(s.workspace, ".cache"), filepath.Join(s.settings.PrivateDir, "cache")
}
