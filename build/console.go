package build

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// console prints one line per thing that people want to know. Every text goes
// through Options.Redact.
type console struct {
	opt   *Options
	color bool

	mu sync.Mutex
}

func newConsole(o *Options) *console {
	return &console{opt: o, color: !o.NoColor && o.LogFormat != "json" && terminal(o.Stdout)}
}

func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// consoleLine is a line with LOG_FORMAT=json.
type consoleLine struct {
	Event   string  `json:"event"`
	Step    string  `json:"step,omitempty"`
	State   State   `json:"state,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Error   string  `json:"error,omitempty"`
	Log     string  `json:"log,omitempty"`
	Text    string  `json:"text,omitempty"`
}

const (
	red    = "\x1b[31m"
	normal = "\x1b[0m"
)

func (c *console) print(text string, line consoleLine) {
	if c.opt.LogFormat == "json" {
		b, err := json.Marshal(line)
		if err != nil {
			b = []byte(fmt.Sprintf("%q", err.Error()))
		}
		text = string(b)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	// A console that has gone away is no reason to stop a build.
	_, _ = fmt.Fprintln(c.opt.Stdout, c.opt.Redact(text))
}

func (c *console) note(text string) { c.print(text, consoleLine{Event: "note", Text: text}) }

// step reports the end of a step; fresh and skipped ones are only counted.
func (c *console) step(r *StepResult) {
	line := consoleLine{Event: "step", Step: r.Name, State: r.State, Seconds: r.Elapsed.Seconds()}
	switch r.State {
	case StateRan, StateRestored:
		c.print(fmt.Sprintf("%-8s %s %s", r.State, r.Name, seconds(r.Elapsed)), line)
	case StateFailed:
		line.Error, line.Log = r.Reason, c.path(r.LogPath)
		text := fmt.Sprintf("%-8s %s: %s", r.State, r.Name, r.Reason)
		if c.color {
			text = red + text + normal
		}
		if r.LogPath != "" {
			text += "\n         log: " + line.Log
		}
		c.print(text, line)
	}
}

// path shortens a path below the workspace.
func (c *console) path(abs string) string {
	if abs == "" || !inside(abs, c.opt.Workspace) {
		return abs
	}
	rel, err := filepath.Rel(c.opt.Workspace, abs)
	if err != nil {
		return abs
	}
	return rel
}
