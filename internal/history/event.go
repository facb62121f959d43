package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// Kinds of events.
const (
	EventBegin   = "begin"   // the build: Format, Target, Goals and Process are set
	EventAttempt = "attempt" // an attempt of a step begins
	EventRetry   = "retry"   // an attempt failed, and another will follow
	EventStep    = "step"    // a step ended
)

// Event is one line of events.jsonl.
type Event struct {
	Time  time.Time `json:"time"`
	At    float64   `json:"at"` // seconds since the build began, by a clock that does not jump
	Event string    `json:"event"`

	Format  int      `json:"format,omitempty"`
	Target  string   `json:"target,omitempty"`
	Goals   []string `json:"goals,omitempty"`
	Process *Process `json:"process,omitempty"`

	Step      string   `json:"step,omitempty"`
	Private   bool     `json:"private,omitempty"`
	State     string   `json:"state,omitempty"`
	Unchanged bool     `json:"unchanged,omitempty"` // it ran and gave what it had given before
	Reason    string   `json:"reason,omitempty"`    // why it ran, failed or was skipped
	Attempt   int      `json:"attempt,omitempty"`
	Begun     float64  `json:"begun,omitempty"`   // seconds since the build began
	Seconds   float64  `json:"seconds,omitempty"` // how long it took
	Error     string   `json:"error,omitempty"`
	Needs     []string `json:"needs,omitempty"` // steps of this build that it had to wait for, fresh ones left out
	Key       string   `json:"key,omitempty"`   // digest of all that it ran on
	Was       string   `json:"was,omitempty"`   // key of the step's last success before; "" if none is known
	Outputs   []Output `json:"outputs,omitempty"`
}

// Output is what a step made, as a digest, and what it had been before.
type Output struct {
	Name string `json:"name"`
	Now  string `json:"now,omitempty"`
	Was  string `json:"was,omitempty"`
}

// castagnoli is computed by an instruction of the processor.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A line is a JSON object whose last member is the checksum of all that stands
// before that member.
const (
	sumPrefix = `,"sum":"`
	sumSuffix = `"}`
	sumLength = len(sumPrefix) + 8 + len(sumSuffix)
)

func (e *Event) line() ([]byte, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	b = b[:len(b)-1]
	return fmt.Appendf(b, "%s%08x%s\n", sumPrefix, crc32.Checksum(b, castagnoli), sumSuffix), nil
}

var errDamaged = errors.New("the checksum of the line is wrong")

func parseEvent(line []byte) (Event, error) {
	var e Event
	head := len(line) - sumLength
	if head < 1 || !bytes.HasPrefix(line[head:], []byte(sumPrefix)) || !bytes.HasSuffix(line, []byte(sumSuffix)) {
		return e, errDamaged
	}
	// The text is compared, not its number: that has two spellings of a to f.
	if fmt.Sprintf("%08x", crc32.Checksum(line[:head], castagnoli)) != string(line[head+len(sumPrefix):len(line)-len(sumSuffix)]) {
		return e, errDamaged
	}
	return e, json.Unmarshal(line, &e)
}

// parseEvents returns the good events of a file and how many lines are
// damaged. A last line without an end is one that is being written.
func parseEvents(data []byte) (events []Event, damaged int) {
	for len(data) > 0 {
		line, rest, ended := bytes.Cut(data, []byte{'\n'})
		data = rest
		if !ended {
			break
		}
		if len(line) == 0 {
			continue
		}
		e, err := parseEvent(line)
		if err != nil {
			damaged++
			continue
		}
		events = append(events, e)
	}
	return events, damaged
}

// States of builds.
const (
	Done        = "done"
	Failed      = "failed"      // steps failed
	Stopped     = "stopped"     // it was cancelled
	Running     = "running"     // it has not ended
	Interrupted = "interrupted" // it ended without saying so
)

// Summary is summary.json: what a build did, written when it ended.
type Summary struct {
	Format    int       `json:"format"`
	ID        string    `json:"id"`
	Target    string    `json:"target"`
	Goals     []string  `json:"goals"`
	State     string    `json:"state"`
	Begun     time.Time `json:"begun"`
	Finished  time.Time `json:"finished"`
	Seconds   float64   `json:"seconds"`
	Fresh     int       `json:"fresh"`
	Restored  int       `json:"restored"`
	Ran       int       `json:"ran"`
	Unchanged int       `json:"unchanged"`
	Failed    int       `json:"failed"`
	Skipped   int       `json:"skipped"`
	Saved     float64   `json:"saved_seconds"`   // that fresh and restored steps took when they ran
	Steps     []Ended   `json:"steps,omitempty"` // that are not fresh
}

// Ended is how a step ended, as the summary has it.
type Ended struct {
	Name      string  `json:"name"`
	State     string  `json:"state"`
	Unchanged bool    `json:"unchanged,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
}
