package console

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// voice is a step that runs, and what it has said of late.
type voice struct {
	name  string
	begun time.Time
	said  []string // as it was said, the last line last; of a private step nothing
	bar   string   // what it says after that, in a line that it writes over and over
}

// now is what a step says now.
func (v *voice) now() string {
	if v.bar == "" && len(v.said) > 0 {
		return v.said[len(v.said)-1]
	}
	return v.bar
}

// Listen returns a handler that lets the console hear what a running step logs and
// what its programs print through [Lines]. What a private step says stays in its log.
func (c *Console) Listen(step string, private bool, h slog.Handler) slog.Handler {
	if private || c.set.JSON {
		return h
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.running, func(v *voice) bool { return v.name == step })
	if i < 0 {
		return h
	}
	v := c.running[i]
	v.said, v.bar = nil, "" // by an attempt that failed
	return listener{
		Handler: h,
		hear: func(text string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if len(v.said) == maxTail {
				v.said = slices.Delete(v.said, 0, 1)
			}
			v.said, v.bar = append(v.said, text), ""
		},
		glimpse: func(text string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			v.bar = text
		},
	}
}

// listener passes records on and hears them.
type listener struct {
	slog.Handler
	hear, glimpse func(text string)

	attrs string // of the logger, as they are written
	group string // of the logger, with a dot at its end
}

func (l listener) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelInfo {
		var b strings.Builder
		if r.Level >= slog.LevelWarn {
			b.WriteString(strings.ToLower(r.Level.String()) + ": ")
		}
		b.WriteString(r.Message)
		b.WriteString(l.attrs)
		r.Attrs(func(a slog.Attr) bool {
			b.WriteString(l.written(a))
			return true
		})
		l.hear(b.String())
	}
	return l.Handler.Handle(ctx, r)
}

func (l listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		l.attrs += l.written(a)
	}
	l.Handler = l.Handler.WithAttrs(attrs)
	return l
}

func (l listener) WithGroup(name string) slog.Handler {
	if name != "" {
		l.group += name + "."
	}
	l.Handler = l.Handler.WithGroup(name)
	return l
}

// attrStream is the attribute that says which of its streams a program wrote a line to.
const attrStream = "stream"

// written is an attribute for somebody who reads along: without values of
// several lines, such as stacks, and without the stream, which makes no
// difference on a console.
func (l listener) written(a slog.Attr) string {
	value := a.Value.Resolve().String()
	if a.Key == "" || a.Key == attrStream || strings.Contains(value, "\n") {
		return ""
	}
	return " " + l.group + a.Key + "=" + value
}

// maxSaid is how much of a line that a step has said is shown.
const maxSaid = 300

// said is a line that a step has said, fit to be seen: one line, not too long, and
// without the colours that programs give their text.
func (c *Console) said(s string) string {
	return cut(strings.ReplaceAll(c.text(sequences.ReplaceAllString(overwritten(s), "")), "\n", " "), maxSaid)
}
