package build

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// console tells what a build does: to people in lines, on a terminal with a
// display of what runs below them; to GitHub Actions in lines that it folds and
// marks; to programs in JSON lines. Every text goes through Options.Redact.
//
// A build in which nothing runs costs it a counter for each step: the display
// and its goroutine come with the first step that runs.
type console struct {
	opt     *Options
	color   bool
	display *display // nil where lines are all there is
	now     func() time.Time
	stopped func() bool // the build has been told to stop

	mu      sync.Mutex
	begun   time.Time
	printed time.Time // when the last line was
	done    Summary   // its counts only
	total   int       // steps, as far as is known
	outlook func() outlook
	ahead   outlook   // what it said last
	asked   time.Time // when that was
	running []*voice  // the first to start first
	quit    chan struct{}
	over    bool // the display has been taken away
}

const (
	// refresh is how often a display changes at most: often enough for an eye,
	// seldom enough to cost nothing.
	refresh = 100 * time.Millisecond
	// silence is how long nothing may be printed where there is no display,
	// before a line says what runs: CI systems take a silent job for a dead one
	// after ten minutes, people sooner.
	silence  = time.Minute
	patience = time.Second // how often that is looked at
	// rethink is how often it is worked out how long the rest will take.
	rethink = 500 * time.Millisecond
	// maxTail is how many of the last lines that a failed step has said are
	// printed with the failure.
	maxTail = 20
	// maxNamed is how many running steps a line or a display names.
	maxNamed = 8
)

func newConsole(o *Options) *console {
	c := &console{opt: o, now: time.Now, stopped: func() bool { return false }}
	c.begun = c.now()
	if size := windowSize(o.Stdout); size != nil && o.LogFormat != "json" {
		c.color = !o.NoColor
		if !o.Plain && !o.GitHub {
			c.display = &display{w: o.Stdout, size: size}
		}
	}
	return c
}

// consoleLine is a line with LOG_FORMAT=json (docs/progress.md).
type consoleLine struct {
	Time      string         `json:"time"`
	Event     string         `json:"event"`
	Target    string         `json:"target,omitempty"`
	Steps     int            `json:"steps,omitempty"`
	Step      string         `json:"step,omitempty"`
	State     State          `json:"state,omitempty"`
	Unchanged bool           `json:"unchanged,omitempty"`
	Verdict   Verdict        `json:"verdict,omitempty"`
	Reasons   []string       `json:"reasons,omitempty"`
	Seconds   float64        `json:"seconds,omitempty"`
	Error     string         `json:"error,omitempty"`
	Log       string         `json:"log,omitempty"`
	Text      string         `json:"text,omitempty"`
	Counts    map[string]int `json:"counts,omitempty"`
}

const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	dim    = "\x1b[2m"
	normal = "\x1b[0m"
)

func (c *console) paint(color, text string) string {
	if !c.color || text == "" {
		return text
	}
	return color + text + normal
}

// print prints a text for people, or a line for programs. A line without a text
// is for programs only.
func (c *console) print(text string, line consoleLine) {
	if c.opt.LogFormat == "json" {
		line.Text, line.Error = withoutControls(line.Text), withoutControls(line.Error)
		line.Time = c.opt.Now().UTC().Format(time.RFC3339Nano)
		b, err := json.Marshal(line)
		if err != nil { // no field can fail
			panic(err)
		}
		c.put(c.opt.Redact(string(b)))
	} else if text != "" {
		c.put(c.text(text))
	}
}

// put prints text that is ready to be seen, above the display if there is one.
func (c *console) put(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printed = c.now()
	if c.display != nil && c.display.shown {
		c.display.above = append(c.display.above, text)
		return
	}
	// A console that has gone away is no reason to stop a build.
	_, _ = fmt.Fprintln(c.opt.Stdout, text)
}

// text makes a text fit to be seen: what comes from programs can hold control
// sequences, and secrets.
func (c *console) text(s string) string {
	s = c.opt.Redact(withoutControls(s))
	if c.opt.GitHub {
		s = withoutCommands(s)
	}
	return s
}

// controls are the sequences by which programs colour their text and move the
// cursor (ECMA-48 5.4, and operating system commands).
var controls = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]")

// withoutControls takes control characters out of a text, but for ends of lines.
func withoutControls(s string) string {
	if !strings.ContainsFunc(s, unicode.IsControl) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, controls.ReplaceAllString(strings.ReplaceAll(s, "\r\n", "\n"), ""))
}

// Note prints a line of the caller's own as a build prints its: redacted, and as
// a JSON line where those are wanted.
func (o Options) Note(text string) {
	o.fill()
	newConsole(&o).note(text)
}

func (c *console) note(text string) { c.print(text, consoleLine{Event: "note", Text: text}) }

// began says that a step starts to run, or its outputs to be restored, as one
// of so many. The outlook is asked for by the goroutine that calls began and step.
func (c *console) began(n *node, total int, o func() outlook) {
	c.print("", consoleLine{Event: "start", Step: n.Name})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = append(c.running, &voice{name: n.Name, begun: c.now()})
	c.total, c.outlook = total, o
	c.look()
	if c.quit != nil || c.over {
		return
	}
	c.quit = make(chan struct{})
	every := refresh
	if c.display == nil {
		every = patience
	}
	go func(quit chan struct{}) {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				c.tick()
			case <-quit:
				return
			}
		}
	}(c.quit)
}

// look works out how long the rest will take, if somebody is to see it.
func (c *console) look() {
	if c.display == nil || c.over || c.outlook == nil {
		return
	}
	if now := c.now(); c.asked.IsZero() || now.Sub(c.asked) >= rethink {
		c.ahead, c.asked = c.outlook(), now
	}
}

// tick draws the display anew, or breaks a long silence.
func (c *console) tick() {
	c.mu.Lock()
	switch {
	case c.over:
	case c.display != nil:
		if width, height := c.display.size(); width < minWidth || height < minHeight {
			c.display.erase()
		} else {
			c.display.draw(c.frame(width, height))
		}
	case len(c.running) > 0 && c.now().Sub(c.latest()) >= silence:
		text := "running  " + c.names(true)
		c.mu.Unlock()
		c.print(text, consoleLine{Event: "running", Text: text})
		return
	}
	c.mu.Unlock()
}

// latest is when something was last heard.
func (c *console) latest() time.Time {
	if c.printed.After(c.running[0].begun) {
		return c.printed
	}
	return c.running[0].begun
}

// names lists the running steps.
func (c *console) names(times bool) string {
	var names []string
	for i, v := range c.running {
		if i == maxNamed {
			names = append(names, fmt.Sprintf("and %d more", len(c.running)-i))
			break
		}
		name := v.name
		if times {
			name += " " + brief(c.now().Sub(v.begun))
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// follow makes the console hear that the build is told to stop, until the
// function that it returns is called.
func (c *console) follow(ctx context.Context) (leave func() bool) {
	c.stopped = func() bool { return ctx.Err() != nil }
	return context.AfterFunc(ctx, c.interrupted)
}

// interrupted takes the display away at once, because a second signal ends the
// program without asking, and says what the build still waits for.
func (c *console) interrupted() {
	c.mu.Lock()
	over := c.over
	c.takeAway()
	running, names := len(c.running), c.names(false)
	c.mu.Unlock()
	if !over && running > 0 {
		c.note(fmt.Sprintf("stopping: waiting for %s to end: %s", plural(running, "step"), names))
	}
}

// end takes the display away.
func (c *console) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeAway()
}

func (c *console) takeAway() {
	c.over = true
	if c.quit != nil {
		close(c.quit)
		c.quit = nil
	}
	if c.display != nil {
		c.display.erase()
	}
}

// step reports the end of a step; fresh and skipped ones are only counted.
func (c *console) step(r *StepResult) {
	c.mu.Lock()
	c.done.count(r)
	var said []string
	if i := slices.IndexFunc(c.running, func(v *voice) bool { return v.name == r.Name }); i >= 0 {
		said = slices.Clone(c.running[i].said)
		c.running = slices.Delete(c.running, i, i+1)
	}
	c.look()
	c.mu.Unlock()
	stopped := c.stopped()
	if stopped {
		said = nil // what it was told to stop at explains nothing
	}

	line := consoleLine{Event: "step", Step: r.Name, State: r.State, Unchanged: r.Unchanged, Seconds: r.Elapsed.Seconds()}
	switch r.State {
	case StateRan, StateRestored:
		c.print(fmt.Sprintf("%-8s %s %s", r.State, r.Name, seconds(r.Elapsed)), line)
	case StateFailed:
		line.Error, line.Log = r.Reason, c.path(r.LogPath)
		switch {
		case c.opt.LogFormat == "json":
			c.print("", line)
		case c.opt.GitHub && !stopped:
			c.put(c.annotation(line, said))
		default:
			c.put(c.failure(line, said))
		}
	}
}

// failure is what people get to see of a failed step.
func (c *console) failure(line consoleLine, said []string) string {
	const indent = "         " // below the name
	text := c.paint(red, c.text(fmt.Sprintf("%-8s %s: %s", line.State, line.Step, line.Error)))
	for _, s := range said {
		text += "\n" + indent + "| " + c.said(s)
	}
	if line.Log != "" {
		text += "\n" + indent + "log: " + c.text(line.Log)
	}
	return text
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

// brief is a duration that changes once a second.
func brief(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 100*time.Second {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}
