// Package history keeps what builds did: one directory per build, with events
// as they happened, a log per attempt of a step and a summary at the end. It is
// written for people and read by no decision: unlike everything else that the
// engine writes it holds times.
//
// There are two tiers. What is said of a private step in the public one is its
// name, its state, what it waited for and how long it took; why it ran, what it
// ran on and its log are in the private tier, under the id of the same build.
// The package relies on its caller for that.
//
// Events can be read while a build writes them. The package does not know what
// a step does, nor what a key is a digest of.
package history

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Run is the history of one build while it is written. It is safe for
// concurrent use. Nothing is on disk before the first event.
type Run struct {
	id    string
	tiers [2]tier // public, private
}

// tier is one of the two directories of a build.
type tier struct {
	dir               string // "" if there is no such tier
	dirPerm, filePerm fs.FileMode

	mu     sync.Mutex
	events *os.File
	torn   bool // the last line may be incomplete
}

// Files and directories of a tier.
const (
	runsDir     = "runs" // holds one directory per build
	eventsFile  = "events.jsonl"
	summaryFile = "summary.json"
	logsDir     = "logs"
)

// Format is the version of events and summaries. What has another is not read.
const Format = 1

// idTime sorts as time does.
const idTime = "20060102T150405.000Z"

// New begins the history of a build in the directories of the two tiers. The
// id is the time in UTC and some random letters, so that ids of concurrent
// builds differ and all sort by time.
func New(public, private string, now time.Time) (*Run, error) {
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	r := &Run{id: now.UTC().Format(idTime) + "-" + hex.EncodeToString(random[:])}
	r.tiers[0].dir, r.tiers[0].dirPerm, r.tiers[0].filePerm = filepath.Join(public, runsDir, r.id), 0o755, 0o644
	if private != "" {
		r.tiers[1].dir, r.tiers[1].dirPerm, r.tiers[1].filePerm = filepath.Join(private, runsDir, r.id), 0o700, 0o600
	}
	return r, nil
}

// ID returns the id of the build.
func (r *Run) ID() string { return r.id }

// Dir returns the directory of the build in the public tier.
func (r *Run) Dir() string { return r.tiers[0].dir }

func (r *Run) tier(private bool) *tier {
	if private {
		return &r.tiers[1]
	}
	return &r.tiers[0]
}

var errNoTier = errors.New("there is no private tier")

// Add appends an event to a tier.
func (r *Run) Add(e Event, private bool) error {
	line, err := e.line()
	if err != nil {
		return err
	}
	t := r.tier(private)
	if t.dir == "" {
		return errNoTier
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.events == nil {
		if err := os.MkdirAll(t.dir, t.dirPerm); err != nil {
			return err
		}
		if t.events, err = os.OpenFile(filepath.Join(t.dir, eventsFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND, t.filePerm); err != nil {
			return err
		}
	}
	if t.torn {
		line = append([]byte{'\n'}, line...)
	}
	_, err = t.events.Write(line)
	t.torn = err != nil
	return err
}

// Log creates the log of an attempt of a step; attempts count from one.
func (r *Run) Log(step string, attempt int, private bool) (*os.File, error) {
	t := r.tier(private)
	if t.dir == "" {
		return nil, errNoTier
	}
	dir := filepath.Join(t.dir, logsDir)
	if err := os.MkdirAll(dir, t.dirPerm); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, LogName(step, attempt)), os.O_WRONLY|os.O_CREATE|os.O_APPEND, t.filePerm)
}

// Finish writes the summary and closes the events. The summary is renamed into
// place: a reader sees all of it or none.
func (r *Run) Finish(s Summary) error {
	s.Format, s.ID = Format, r.id
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	t := &r.tiers[0]
	if err := os.MkdirAll(t.dir, t.dirPerm); err != nil {
		return err
	}
	path := filepath.Join(t.dir, summaryFile)
	if err = os.WriteFile(path+".new", append(b, '\n'), t.filePerm); err == nil {
		err = os.Rename(path+".new", path)
	}
	for i := range r.tiers {
		err = errors.Join(err, r.tiers[i].close())
	}
	return err
}

func (t *tier) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.events
	t.events = nil
	if f == nil {
		return nil
	}
	return f.Close()
}
