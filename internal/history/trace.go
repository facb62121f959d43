package history

import (
	"encoding/json"
	"slices"
	"strings"
)

// CriticalPath returns the steps of a build that no number of processors would
// have made faster: of all chains of steps that waited for one another the one
// that took longest, in order, and its seconds.
func (b *Build) CriticalPath() (names []string, seconds float64) {
	steps := make(map[string]*Step, len(b.Steps))
	for i := range b.Steps {
		steps[b.Steps[i].Name] = &b.Steps[i]
	}
	type chain struct {
		seconds float64
		via     string
		open    bool // being computed: what is read may be damaged, and go round
	}
	known := make(map[string]*chain, len(steps))
	var longest func(name string) *chain
	longest = func(name string) *chain {
		c := known[name]
		if c != nil {
			if c.open {
				return &chain{}
			}
			return c
		}
		c = &chain{open: true}
		known[name] = c
		s := steps[name]
		for _, need := range s.Needs {
			if steps[need] == nil {
				continue
			}
			if d := longest(need); d.seconds > c.seconds || d.seconds == c.seconds && d.seconds > 0 && need < c.via {
				c.seconds, c.via = d.seconds, need
			}
		}
		c.seconds += s.Seconds
		c.open = false
		return c
	}
	last := ""
	for i := range b.Steps {
		name := b.Steps[i].Name
		if c := longest(name); c.seconds > seconds || c.seconds == seconds && seconds > 0 && name < last {
			seconds, last = c.seconds, name
		}
	}
	for at := last; at != "" && len(names) <= len(steps); at = known[at].via {
		names = append(names, at)
	}
	slices.Reverse(names)
	return names, seconds
}

// traceEvent is an event of the Trace Event Format that Chrome, Perfetto and
// Speedscope read. Times are in microseconds.
type traceEvent struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"`
	Time  int64          `json:"ts"`
	Dur   *int64         `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Color string         `json:"cname,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// Trace returns the build as a Chrome trace: the critical path in the first
// row, then as many rows as steps ran at once.
func (b *Build) Trace() ([]byte, error) {
	path, pathSeconds := b.CriticalPath()
	us := func(seconds float64) int64 { return int64(seconds*1e6 + 0.5) }
	named := func(what string, row int, name string) traceEvent {
		return traceEvent{Name: what, Phase: "M", PID: 1, TID: row, Args: map[string]any{"name": name}}
	}
	events := []traceEvent{
		named("process_name", 0, strings.TrimSpace("build "+b.ID+" "+b.Target)),
		named("thread_name", 0, "critical path"),
	}
	var free []int64 // when each row is free again
	for i := range b.Steps {
		s := &b.Steps[i]
		if s.State == "skipped" || s.State == "fresh" {
			continue
		}
		begin, dur := us(s.Begun), us(s.Seconds)
		args := map[string]any{"state": s.State}
		if s.State == Running {
			dur = us(b.Seconds) - begin
		}
		if s.Reason != "" {
			args["reason"] = s.Reason
		}
		if s.Attempts > 1 {
			args["attempts"] = s.Attempts
		}
		if len(s.Needs) > 0 {
			args["needs"] = s.Needs
		}
		row := slices.IndexFunc(free, func(at int64) bool { return at <= begin })
		if row < 0 {
			row = len(free)
			free = append(free, 0)
			events = append(events, named("thread_name", row+1, "steps"))
		}
		free[row] = begin + dur
		category, _, _ := strings.Cut(s.Name, ":")
		e := traceEvent{Name: s.Name, Cat: category, Phase: "X", Time: begin, Dur: &dur, PID: 1, TID: row + 1, Args: args}
		if s.State == "failed" {
			e.Color = "terrible"
		}
		if slices.Contains(path, s.Name) {
			args["critical"] = true
			critical := e
			critical.TID = 0
			events = append(events, critical)
		}
		events = append(events, e)
	}
	if path == nil {
		path = []string{}
	}
	return json.MarshalIndent(struct {
		Events []traceEvent   `json:"traceEvents"`
		Unit   string         `json:"displayTimeUnit"`
		Other  map[string]any `json:"otherData"`
	}{events, "ms", map[string]any{
		"build": b.ID, "target": b.Target, "state": b.State, "seconds": b.Seconds,
		"critical_path": path, "critical_path_seconds": pathSeconds,
	}}, "", " ")
}
