package console

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible puts escapes such as \u001b in the place of what a terminal obeys and does
// not show: control characters, marks that turn the direction of text, and bytes that
// are no text. Ends of lines and tabs stay. The names and texts that a program prints
// come from elsewhere: a file's name can move the cursor, or give itself another name.
// In JSON the escapes are JSON's own.
func Visible(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] < 0x7f || s[i] == '\n' || s[i] == '\t'
	}
	if clean {
		return s
	}
	var b strings.Builder
	s = strings.ReplaceAll(s, "\r\n", "\n")
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case r != '\n' && r != '\t' && obeyed(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// VisibleLine is [Visible] of what has to stay one line.
func VisibleLine(s string) string {
	return strings.ReplaceAll(Visible(s), "\n", `\u000a`)
}

// obeyed reports whether terminals and browsers obey a character: controls of both
// sets, ends of lines and paragraphs, and marks of direction (Unicode TR 36, 2.4).
func obeyed(r rune) bool {
	return unicode.IsControl(r) || r == 0x2028 || r == 0x2029 || r == 0x61c || r == 0x200e || r == 0x200f ||
		r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// sequences are those by which programs colour their text and move the cursor
// (ECMA-48 5.4, and operating system commands).
var sequences = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|\x1b[ -/]*[0-~]")

// withoutControls takes control characters out of a text, but for ends of lines.
func withoutControls(s string) string {
	if !strings.ContainsFunc(s, obeyed) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t' || r == '\r':
			return ' '
		case obeyed(r):
			return -1
		}
		return r
	}, sequences.ReplaceAllString(strings.ReplaceAll(s, "\r\n", "\n"), ""))
}

// redacted is a text without secrets. One that control characters part is none for a
// search, and still one for a reader: then they are taken out.
func (s *Settings) redacted(text string) string {
	if plain := withoutControls(text); plain != text {
		if without := s.Redact(plain); without != plain {
			return without
		}
	}
	return s.Redact(text)
}

// shown is a text fit to be seen, on whatever console.
func (s *Settings) shown(text string) string {
	text = s.Redact(Visible(s.redacted(text)))
	if s.GitHub {
		text = withoutCommands(text)
	}
	return text
}

// withoutCommands keeps text from being taken for workflow commands of GitHub
// Actions: those begin a line with two colons, after any space; older ones stand
// anywhere.
func withoutCommands(s string) string {
	s = strings.ReplaceAll(s, "##[", "## [")
	if !strings.Contains(s, "::") {
		return s
	}
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimLeftFunc(line, unicode.IsSpace), "::") {
			lines[i] = "| " + line
		}
	}
	return strings.Join(lines, "\n")
}

// Printer returns a writer that makes what it is given visible, as [Visible] does,
// and in the log of a job of GitHub Actions keeps it from being taken for commands.
// A [Console] that is given one prints on what is behind it.
func Printer(w io.Writer, getenv func(string) string) io.Writer {
	if p, ok := w.(*printer); ok {
		return p
	}
	return &printer{w: w, github: getenv("GITHUB_ACTIONS") == "true"}
}

type printer struct {
	w      io.Writer
	github bool
	within bool // a line that has begun with something else than space
}

func (p *printer) Write(text []byte) (int, error) {
	s := Visible(string(text))
	if p.github && s != "" {
		lead := ""
		if p.within { // what goes on in a line begins none
			lead = "."
		}
		s = strings.TrimPrefix(withoutCommands(lead+s), lead)
		line := s[strings.LastIndexByte(s, '\n')+1:]
		p.within = strings.TrimSpace(line) != "" || p.within && !strings.Contains(s, "\n")
	}
	if _, err := io.WriteString(p.w, s); err != nil {
		return 0, err
	}
	return len(text), nil
}

// unprinted is what a console prints on: what is behind a printer, since it sees to this
// itself and has to know whether it is a terminal.
func unprinted(w io.Writer) io.Writer {
	if p, ok := w.(*printer); ok {
		return p.w
	}
	return w
}

// VisibleError is an error whose text is fit to be printed by whoever gets it, as
// [Printer] prints it; the error itself if it is.
func VisibleError(err error) error {
	if err == nil {
		return nil
	}
	var b strings.Builder
	// It stands behind a word.
	p := Printer(&b, os.Getenv).(*printer)
	p.within = true
	if _, werr := io.WriteString(p, err.Error()); werr != nil || b.String() == err.Error() {
		return err // nothing fails to be written to a string
	}
	return &visibleError{b.String(), err}
}

type visibleError struct {
	text string
	err  error
}

func (e *visibleError) Error() string { return e.text }
func (e *visibleError) Unwrap() error { return e.err }
