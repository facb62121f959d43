package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Build is the history of one build as it can be read, also while the build is
// running.
type Build struct {
	ID      string    `json:"id"`
	Target  string    `json:"target"`
	Goals   []string  `json:"goals,omitempty"`
	State   string    `json:"state"`
	Begun   time.Time `json:"begun"`
	Seconds float64   `json:"seconds"` // so far, if it has not ended

	Fresh     *int `json:"fresh"` // nil until the build has ended: fresh steps leave no event
	Restored  int  `json:"restored"`
	Ran       int  `json:"ran"`
	Unchanged int  `json:"unchanged"`
	Failed    int  `json:"failed"`
	Skipped   int  `json:"skipped"`

	Process *Process `json:"process,omitempty"` // of the build, unless it has ended
	Damaged int      `json:"damaged,omitempty"` // lines of events that cannot be read
	Steps   []Step   `json:"steps,omitempty"`   // that did anything, in the order in which they began
}

// Step is what a build did about one step.
type Step struct {
	Name      string   `json:"name"`
	Private   bool     `json:"private,omitempty"`
	State     string   `json:"state"` // Running if it has not ended
	Unchanged bool     `json:"unchanged,omitempty"`
	Reason    string   `json:"reason,omitempty"`
	Attempts  int      `json:"attempts,omitempty"`
	Errors    []string `json:"errors,omitempty"` // of the attempts that another followed
	Begun     float64  `json:"begun"`            // seconds since the build began
	Seconds   float64  `json:"seconds"`
	Needs     []string `json:"needs,omitempty"`
	Key       string   `json:"key,omitempty"`
	Was       string   `json:"was,omitempty"`
	Outputs   []Output `json:"outputs,omitempty"`
}

// isID says whether the name of a directory is the id of a build.
var isID = regexp.MustCompile(`^\d{8}T\d{6}\.\d{3}Z-[0-9a-f]{6}$`).MatchString

// IDs returns the ids of the builds of a tier, the newest last.
func IDs(tier string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(tier, runsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run history: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && isID(e.Name()) {
			ids = append(ids, e.Name())
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// Unfinished returns the ids of the builds of a tier that run or were
// interrupted, the newest last.
func Unfinished(tier string) ([]string, error) {
	ids, err := IDs(tier)
	return slices.DeleteFunc(ids, func(id string) bool {
		_, err := os.Stat(filepath.Join(tier, runsDir, id, summaryFile))
		return err == nil
	}), err
}

// Last is the newest build; "last~2" is the one two before it.
const Last = "last"

// UnknownError says that a name is not that of one build.
type UnknownError struct{ text string }

func (e *UnknownError) Error() string { return e.text }

// Find returns the id that a name stands for: Last, the beginning of an id, or
// the beginning of its random letters. The error is an *UnknownError if there
// is no such build, or more than one.
func Find(tier, name string) (string, error) {
	ids, err := IDs(tier)
	if err != nil {
		return "", err
	}
	if len(ids) == 0 {
		return "", &UnknownError{"there is no build in the history yet"}
	}
	if back, ok := strings.CutPrefix(name, Last); ok {
		n := 0
		if back != "" {
			if n, err = strconv.Atoi(strings.TrimPrefix(back, "~")); err != nil || back[0] != '~' || n < 0 {
				return "", &UnknownError{fmt.Sprintf("%q is no build: write %s, or %s~1 for the one before", name, Last, Last)}
			}
		}
		if n >= len(ids) {
			return "", &UnknownError{fmt.Sprintf("%s: the history holds %d builds", name, len(ids))}
		}
		return ids[len(ids)-1-n], nil
	}
	var found []string
	for _, id := range ids {
		_, letters, _ := strings.Cut(id, "-")
		if name != "" && (strings.HasPrefix(id, name) || strings.HasPrefix(letters, name)) {
			found = append(found, id)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &UnknownError{fmt.Sprintf("there is no build %q; mage runs:ls lists them, the newest is %s", name, ids[len(ids)-1])}
	}
	const most = 5
	more := ""
	if len(found) > most {
		found, more = found[len(found)-most:], ", …"
	}
	return "", &UnknownError{fmt.Sprintf("%q may be %s%s: write more of it", name, strings.Join(found, ", "), more)}
}

// Read returns the history of a build. The private tier, if it has a part of
// it, adds what the public one does not say of private steps; it may be "". A
// build that has not ended has the state Running: whether it still does
// anything is not known here.
func Read(public, private, id string) (*Build, error) {
	if !isID(id) {
		return nil, fmt.Errorf("%q is not the id of a build", id)
	}
	b := &Build{ID: id, State: Running}
	// The summary first: events read after it are complete if it is there.
	sum, err := ReadSummary(public, id)
	if err != nil {
		return nil, err
	}
	data, err := readIfThere(filepath.Join(public, runsDir, id, eventsFile))
	if err != nil {
		return nil, err
	}
	events, damaged := parseEvents(data)
	b.Damaged = damaged
	b.take(events)
	if private != "" {
		if data, err = readIfThere(filepath.Join(private, runsDir, id, eventsFile)); err != nil {
			return nil, err
		}
		events, damaged = parseEvents(data)
		b.Damaged += damaged
		b.overlay(events)
	}
	if sum != nil {
		b.end(sum)
	}
	if b.Begun.IsZero() {
		if b.Begun, err = time.Parse(idTime, id[:len(idTime)]); err != nil {
			return nil, fmt.Errorf("build %s: %w", id, err)
		}
	}
	slices.SortStableFunc(b.Steps, func(x, y Step) int {
		switch {
		case x.Begun < y.Begun:
			return -1
		case x.Begun > y.Begun:
			return 1
		}
		return strings.Compare(x.Name, y.Name)
	})
	return b, nil
}

// ReadSummary returns the summary of a build; nil if there is none, or one that
// is damaged or of another format.
func ReadSummary(public, id string) (*Summary, error) {
	data, err := readIfThere(filepath.Join(public, runsDir, id, summaryFile))
	if err != nil || data == nil {
		return nil, err
	}
	var s Summary
	if json.Unmarshal(data, &s) != nil || s.Format != Format {
		return nil, nil
	}
	return &s, nil
}

func readIfThere(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("run history: %w", err)
	}
	return data, nil
}

// step returns the step of a name, which it adds if need be.
func (b *Build) step(at map[string]int, e *Event) *Step {
	i, ok := at[e.Step]
	if !ok {
		i = len(b.Steps)
		at[e.Step] = i
		b.Steps = append(b.Steps, Step{Name: e.Step, Private: e.Private, State: Running, Begun: e.At})
	}
	return &b.Steps[i]
}

// take reads public events.
func (b *Build) take(events []Event) {
	at := map[string]int{}
	for i := range events {
		e := &events[i]
		b.Seconds = max(b.Seconds, e.At)
		switch e.Event {
		case EventBegin:
			if e.Format != Format {
				return
			}
			b.Begun, b.Target, b.Goals, b.Process = e.Time, e.Target, e.Goals, e.Process
		case EventAttempt:
			b.step(at, e).Attempts = e.Attempt
		case EventRetry:
			s := b.step(at, e)
			s.Errors = append(s.Errors, e.Error)
		case EventStep:
			s := b.step(at, e)
			s.State, s.Unchanged, s.Reason, s.Seconds, s.Needs = e.State, e.Unchanged, e.Reason, e.Seconds, e.Needs
			s.Key, s.Was, s.Outputs = e.Key, e.Was, e.Outputs
			s.Begun = e.Begun
			b.count(e)
		}
	}
}

// count counts a step of a build that has not ended yet.
func (b *Build) count(e *Event) {
	switch e.State {
	case "ran":
		b.Ran++
		if e.Unchanged {
			b.Unchanged++
		}
	case "restored":
		b.Restored++
	case "failed":
		b.Failed++
	case "skipped":
		b.Skipped++
	}
}

// overlay adds what the private tier says.
func (b *Build) overlay(events []Event) {
	at := make(map[string]int, len(b.Steps))
	for i := range b.Steps {
		at[b.Steps[i].Name] = i
		if b.Steps[i].Private {
			b.Steps[i].Errors = nil // they stand in the private tier
		}
	}
	for i := range events {
		e := &events[i]
		j, ok := at[e.Step]
		if !ok {
			continue
		}
		s := &b.Steps[j]
		switch e.Event {
		case EventRetry:
			s.Errors = append(s.Errors, e.Error)
		case EventStep:
			s.Reason, s.Key, s.Was, s.Outputs = e.Reason, e.Key, e.Was, e.Outputs
		}
	}
}

// end takes the summary, which is right where events are damaged.
func (b *Build) end(s *Summary) {
	b.Target, b.Goals, b.State, b.Begun, b.Seconds = s.Target, s.Goals, s.State, s.Begun, s.Seconds
	fresh := s.Fresh
	b.Fresh, b.Restored, b.Ran, b.Unchanged, b.Failed, b.Skipped = &fresh, s.Restored, s.Ran, s.Unchanged, s.Failed, s.Skipped
	b.Process = nil
	known := make(map[string]bool, len(b.Steps))
	for i := range b.Steps {
		known[b.Steps[i].Name] = true
	}
	for _, e := range s.Steps {
		if !known[e.Name] {
			b.Steps = append(b.Steps, Step{Name: e.Name, State: e.State, Unchanged: e.Unchanged, Seconds: e.Seconds, Begun: s.Seconds})
		}
	}
}
