package console

import (
	"bytes"
	"log/slog"
	"strings"
)

// maxLine bounds a line of a log.
const maxLine = 16 << 10

// Lines writes what a program prints into a log, line by line. A console that
// listens to the log also sees how a line changes that the program writes over and
// over.
type Lines struct {
	Log    *slog.Logger
	Stream string // the value of attribute "stream"

	rest []byte
	last string // that is not empty, cut
}

// Last is the last line that is not empty, cut to what fits into an error.
func (l *Lines) Last() string { return l.last }

// Write never fails.
func (l *Lines) Write(b []byte) (int, error) {
	n := len(b)
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 && len(l.rest)+len(b) < maxLine {
			l.rest = append(l.rest, b...)
			if bytes.IndexByte(b, '\r') >= 0 {
				l.glimpse()
			}
			return n, nil
		}
		if i < 0 || len(l.rest)+i > maxLine {
			i = max(0, min(len(b), maxLine-len(l.rest)))
			l.rest = append(l.rest, b[:i]...)
			b = b[i:]
		} else {
			l.rest = append(l.rest, b[:i]...)
			b = b[i+1:]
		}
		l.Flush()
	}
}

// glimpse shows whoever reads along how far a line is that is written over and
// over, such as a progress bar: the log gets it when it ends.
func (l *Lines) glimpse() {
	h, ok := l.Log.Handler().(listener)
	if !ok {
		return
	}
	// What follows the last carriage return may not be whole.
	whole := l.rest[:bytes.LastIndexByte(l.rest, '\r')]
	if text := overwritten(string(whole)); text != "" {
		h.glimpse(text)
	}
}

// Flush logs the last line, which has no end.
func (l *Lines) Flush() {
	text := strings.TrimRight(strings.ToValidUTF8(string(l.rest), "�"), "\r \t")
	l.rest = l.rest[:0]
	if text == "" {
		return
	}
	l.last = text
	if len(l.last) > maxSaid {
		l.last = strings.ToValidUTF8(l.last[:maxSaid], "") + "…"
	}
	l.Log.Info(text, attrStream, l.Stream)
}
