// Package console tells what a build does: to people in lines, on a terminal with a
// display of what runs below them; to GitHub Actions in lines that it folds and
// marks; to programs in JSON lines (docs/progress.md). Every text goes through
// [Settings.Redact].
//
// It knows steps by name and by how they ended, and nothing of why.
package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Settings are where and how a console prints.
type Settings struct {
	Out    io.Writer
	Redact func(string) string // what a text becomes before it is seen
	Now    func() time.Time    // of JSON lines

	JSON    bool // lines for programs
	NoColor bool
	Plain   bool // lines only, also on a terminal
	GitHub  bool // failures are workflow commands of GitHub Actions; not with JSON

	Root string // absolute: paths below it are printed as they are seen from there
}

// How a step can end.
const (
	Fresh    = "fresh"
	Restored = "restored" // outputs came out of the cache
	Ran      = "ran"
	Failed   = "failed"
	Skipped  = "skipped" // something that it needs failed, or the build was stopped
)

// End is how a step ended.
type End struct {
	Step, State string
	Unchanged   bool   // it ran, and its outputs are what they were
	Reason      string // why it failed
	Log         string // absolute path; "" if there is none
	Elapsed     time.Duration
}

// Outlook is what is ahead of a running build.
type Outlook struct {
	// Left is about how long the rest will take; an upper bound where what runs may
	// come out unchanged.
	Left    time.Duration
	Unknown int // steps that never ran, and none like them; they count as nothing
}

// Console prints what one build does. Its methods may be called by several
// goroutines at once.
//
// A build in which nothing runs costs it a counter for each step: the display
// and its goroutine come with the first step that runs.
type Console struct {
	set     Settings
	color   bool
	display *display // nil where lines are all there is
	now     func() time.Time
	stopped func() bool // the build has been told to stop

	mu      sync.Mutex
	begun   time.Time
	first   time.Time      // when the first step began to run
	printed time.Time      // when the last line was
	done    map[string]int // steps by state
	total   int            // steps, as far as is known
	outlook func() Outlook
	ahead   Outlook   // what it said last
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
	// minPaced is of how many steps on it is said how many a second they are.
	minPaced = 3
)

// New returns a console that has printed nothing yet.
func New(s Settings) *Console {
	s.Out = unprinted(s.Out)
	c := &Console{set: s, now: time.Now, stopped: func() bool { return false }, done: map[string]int{}}
	c.begun = c.now()
	if size := windowSize(s.Out); size != nil && !s.JSON {
		c.color = !s.NoColor
		if !s.Plain && !s.GitHub {
			c.display = &display{w: s.Out, size: size}
		}
	}
	return c
}

// Line is a line for programs (docs/progress.md). Time and, where a text for people
// is all there is to say, Text are filled in when it is printed.
type Line struct {
	Time      string         `json:"time"`
	Event     string         `json:"event"`
	Target    string         `json:"target,omitempty"`
	Steps     int            `json:"steps,omitempty"`
	Step      string         `json:"step,omitempty"`
	State     string         `json:"state,omitempty"`
	Unchanged bool           `json:"unchanged,omitempty"`
	Verdict   string         `json:"verdict,omitempty"`
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

func (c *Console) paint(color, text string) string {
	if !c.color || text == "" {
		return text
	}
	return color + text + normal
}

// Print prints a text for people, or a line for programs. A line without a text
// is for programs only.
func (c *Console) Print(text string, line Line) {
	if c.set.JSON {
		line.Text, line.Error = c.set.redacted(line.Text), c.set.redacted(line.Error)
		line.Time = c.set.Now().UTC().Format(time.RFC3339Nano)
		b, err := json.Marshal(line)
		if err != nil { // no field can fail
			panic(err)
		}
		c.put(Visible(c.set.Redact(string(b))))
	} else if text != "" {
		c.put(c.text(text))
	}
}

// put prints text that is ready to be seen, above the display if there is one.
func (c *Console) put(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.printed = c.now()
	if c.display != nil && c.display.shown {
		c.display.above = append(c.display.above, text)
		return
	}
	// A console that has gone away is no reason to stop a build.
	_, _ = fmt.Fprintln(c.set.Out, text)
}

// text makes a text fit to be seen: names and what comes from programs can hold
// control characters, and secrets.
func (c *Console) text(s string) string {
	return c.set.shown(strings.ReplaceAll(s, "\t", " "))
}

// Note prints a line that no step says.
func (c *Console) Note(text string) { c.Print(text, Line{Event: "note", Text: text}) }

// Began says that a step starts to run, or its outputs to be restored, as one
// of so many. The outlook is asked for by the goroutine that calls Began and Ended.
func (c *Console) Began(step string, total int, o func() Outlook) {
	c.Print("", Line{Event: "start", Step: step})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = append(c.running, &voice{name: step, begun: c.now()})
	c.total, c.outlook = total, o
	if c.first.IsZero() {
		c.first = c.now()
	}
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

// look works out how long the rest will take.
func (c *Console) look() {
	if c.over || c.outlook == nil {
		return
	}
	if now := c.now(); c.asked.IsZero() || now.Sub(c.asked) >= rethink {
		c.ahead, c.asked = c.outlook(), now
	}
}

// tick draws the display anew, or breaks a long silence.
func (c *Console) tick() {
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
		text := "running  " + c.names(true) + "; " + c.progress()
		c.mu.Unlock()
		c.Print(text, Line{Event: "running", Text: text})
		return
	}
	c.mu.Unlock()
}

// progress is how far the build is.
func (c *Console) progress() string {
	return fmt.Sprintf("%d of %d steps%s%s", c.ended(), max(c.total, 1), c.pace(), c.left())
}

// ended is how many steps have ended.
func (c *Console) ended() (n int) {
	for _, of := range c.done {
		n += of
	}
	return n
}

// pace is how many steps a build does in a second or a minute: of those that had
// something to do, since the first of them began. There is none before it means
// something.
func (c *Console) pace() string {
	n, took := c.done[Ran]+c.done[Restored]+c.done[Failed], c.now().Sub(c.first)
	if n < minPaced || took < time.Second {
		return ""
	}
	if rate := float64(n) / took.Seconds(); rate >= 1 {
		return fmt.Sprintf(", %.1f a second", rate)
	}
	return fmt.Sprintf(", %.1f a minute", float64(n)/took.Minutes())
}

// left is about how long the rest will take.
func (c *Console) left() string {
	left := c.ahead.Left - c.now().Sub(c.asked)
	if left <= 0 {
		return ""
	}
	if c.ahead.Unknown > 0 {
		return ", about " + brief(left) + " or more left"
	}
	return ", about " + brief(left) + " left"
}

// latest is when something was last heard.
func (c *Console) latest() time.Time {
	if c.printed.After(c.running[0].begun) {
		return c.printed
	}
	return c.running[0].begun
}

// names lists the running steps.
func (c *Console) names(times bool) string {
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

// Follow makes the console hear that the build is told to stop, until the
// function that it returns is called.
func (c *Console) Follow(ctx context.Context) (leave func() bool) {
	c.stopped = func() bool { return ctx.Err() != nil }
	return context.AfterFunc(ctx, c.interrupted)
}

// interrupted takes the display away at once, because a second signal ends the
// program without asking, and says what the build still waits for.
func (c *Console) interrupted() {
	c.mu.Lock()
	over := c.over
	c.takeAway()
	running, names := len(c.running), c.names(false)
	c.mu.Unlock()
	if !over && running > 0 {
		c.Note(fmt.Sprintf("stopping: waiting for %s to end: %s", Plural(running, "step"), names))
	}
}

// Stop takes the display away.
func (c *Console) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeAway()
}

func (c *Console) takeAway() {
	c.over = true
	if c.quit != nil {
		close(c.quit)
		c.quit = nil
	}
	if c.display != nil {
		c.display.erase()
	}
}

// Ended says how a step ended; fresh and skipped ones are only counted.
func (c *Console) Ended(e End) {
	c.mu.Lock()
	c.done[e.State]++
	var said []string
	if i := slices.IndexFunc(c.running, func(v *voice) bool { return v.name == e.Step }); i >= 0 {
		said = slices.Clone(c.running[i].said)
		c.running = slices.Delete(c.running, i, i+1)
	}
	c.look()
	c.mu.Unlock()
	stopped := c.stopped()
	if stopped {
		said = nil // what it was told to stop at explains nothing
	}

	line := Line{Event: "step", Step: e.Step, State: e.State, Unchanged: e.Unchanged, Seconds: e.Elapsed.Seconds()}
	switch e.State {
	case Ran, Restored:
		c.Print(fmt.Sprintf("%-8s %s %s", e.State, e.Step, Seconds(e.Elapsed)), line)
	case Failed:
		line.Error, line.Log = e.Reason, c.Path(e.Log)
		switch {
		case c.set.JSON:
			c.Print("", line)
		case c.set.GitHub && !stopped:
			c.put(c.annotation(line, said))
		default:
			c.put(c.failure(line, said))
		}
	}
}

// failure is what people get to see of a failed step.
func (c *Console) failure(line Line, said []string) string {
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

// Path shortens a path below the root.
func (c *Console) Path(abs string) string {
	if rel, err := filepath.Rel(c.set.Root, abs); abs != "" && err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return abs
}
