package console

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// cut shortens a text to a number of characters.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	if most < 1 {
		return ""
	}
	return string([]rune(s)[:most-1]) + "…"
}

// overwritten is what a terminal would show of a line in which carriage returns
// go back to its beginning.
func overwritten(s string) string {
	s = strings.TrimRight(s, "\r\n")
	return s[strings.LastIndexByte(s, '\r')+1:]
}

// Plural returns "1 step", "2 steps".
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Seconds is a duration with as many digits as mean something.
func Seconds(d time.Duration) string {
	s := d.Seconds()
	switch {
	case s < 0.095:
		return fmt.Sprintf("%.2f s", s)
	case s < 99.5:
		return fmt.Sprintf("%.1f s", s)
	}
	return d.Round(time.Second).String()
}

// brief is a duration that changes once a second.
func brief(d time.Duration) string {
	d = d.Round(time.Second)
	if d < 100*time.Second {
		return fmt.Sprintf("%d s", d/time.Second)
	}
	return d.String()
}
