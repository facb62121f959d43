package history

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// LogName returns the file name of the log of an attempt of a step. No escaped
// name holds a "#", so that no two attempts of any steps share a file.
func LogName(step string, attempt int) string {
	if attempt <= 1 {
		return url.PathEscape(step) + ".log"
	}
	return fmt.Sprintf("%s#%d.log", url.PathEscape(step), attempt)
}

// ErrPrivateLog says that a log is in a private tier that is not here.
var ErrPrivateLog = errors.New("its log is private and not here")

// ReadLog returns the log of an attempt of a step. The error wraps
// ErrPrivateLog where it is in a private tier that is not here, and
// fs.ErrNotExist where a public one is missing.
func ReadLog(public, private, id string, step *Step, attempt int) ([]byte, error) {
	tier := public
	if step.Private {
		tier = private
	}
	if tier == "" {
		return nil, ErrPrivateLog
	}
	data, err := os.ReadFile(filepath.Join(tier, runsDir, id, logsDir, LogName(step.Name, attempt)))
	if step.Private && errors.Is(err, fs.ErrNotExist) {
		return nil, ErrPrivateLog
	}
	return data, err
}

// levelOf finds the level of a line that slog's text handler wrote.
var levelOf = regexp.MustCompile(`^time=\S+ level=([A-Z]+(?:[+-]\d+)?) `)

// Filter returns the lines of a log of at least a level. Lines that have none,
// such as those that a program wrote, count as slog.LevelInfo.
func Filter(log []byte, least slog.Level) []string {
	var lines []string
	for line := range bytes.Lines(log) {
		level := slog.LevelInfo
		if m := levelOf.FindSubmatch(line); m != nil {
			if err := level.UnmarshalText(m[1]); err != nil {
				level = slog.LevelInfo
			}
		}
		if level >= least {
			lines = append(lines, strings.TrimSuffix(string(line), "\n"))
		}
	}
	return lines
}
