// Package consoletest has a terminal for tests: a window that obeys what a display
// sends, so that a test sees what a person would.
package consoletest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Terminal is a window that obeys what a display sends. It knows no more than
// that: anything else is an error.
type Terminal struct {
	t             *testing.T
	width, height int

	mu     sync.Mutex
	rows   [][]rune // from the first line ever to the bottom of the window
	x, y   int
	full   bool // the last column was written, and the next character wraps
	nowrap bool
	rest   string // of a sequence that is not whole
	all    strings.Builder
	writes int
}

// New returns an empty window of so many columns and rows.
func New(t *testing.T, width, height int) *Terminal {
	return &Terminal{t: t, width: width, height: height, rows: [][]rune{nil}}
}

// Size returns its columns and rows.
func (w *Terminal) Size() (width, height int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.width, w.height
}

// Write shows what a program prints; it never fails.
func (w *Terminal) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Write(b)
	w.writes++
	s := w.rest + string(b)
	for w.rest = ""; s != ""; {
		if s[0] == '\x1b' {
			end := strings.IndexFunc(s, func(r rune) bool { return r >= '@' && r <= '~' && r != '[' })
			if end < 0 {
				w.rest = s
				break
			}
			w.obey(s[1 : end+1])
			s = s[end+1:]
			continue
		}
		r, n := []rune(s)[0], len(string([]rune(s)[0]))
		s = s[n:]
		switch r {
		case '\r':
			w.x, w.full = 0, false
		case '\n':
			w.x = 0 // as the driver of a terminal does it
			w.down()
		default:
			w.letter(r)
		}
	}
	return len(b), nil
}

func (w *Terminal) down() {
	w.y++
	w.full = false
	if w.y == len(w.rows) {
		w.rows = append(w.rows, nil)
	}
}

func (w *Terminal) letter(r rune) {
	if r < ' ' {
		w.t.Errorf("the terminal got the control character %q", r)
		return
	}
	if w.full && !w.nowrap {
		w.down()
		w.x = 0
	}
	for len(w.rows[w.y]) <= w.x {
		w.rows[w.y] = append(w.rows[w.y], ' ')
	}
	w.rows[w.y][w.x] = r
	if w.full = w.x == w.width-1; !w.full {
		w.x++
	}
}

func (w *Terminal) obey(sequence string) {
	switch {
	case sequence == "[K":
		w.rows[w.y] = w.rows[w.y][:min(w.x, len(w.rows[w.y]))]
	case sequence == "[J":
		w.rows[w.y] = w.rows[w.y][:min(w.x, len(w.rows[w.y]))]
		w.rows = w.rows[:w.y+1]
	case sequence == "[?7l":
		w.nowrap = true
	case sequence == "[?2026h", sequence == "[?2026l": // a frame begins or ends
	case sequence == "[?7h":
		w.nowrap = false
	case strings.HasSuffix(sequence, "m"): // colours are not seen
	case strings.HasSuffix(sequence, "A"):
		n, err := strconv.Atoi(sequence[1 : len(sequence)-1])
		if err != nil || n < 1 || n > w.y || n >= w.height {
			w.t.Errorf("the cursor cannot go up %q", sequence)
			return
		}
		w.y -= n
		w.full = false
	default:
		w.t.Errorf("the terminal got %q", sequence)
	}
}

// Resize makes the window narrower or wider, as most terminals do it: lines that
// do not fit any more are broken, and the cursor stays in its line.
func (w *Terminal) Resize(width, height int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var rows [][]rune
	y := 0
	for i, row := range w.rows {
		if i == w.y {
			y = len(rows)
		}
		for len(row) > width {
			rows = append(rows, slices.Clone(row[:width]))
			row = row[width:]
		}
		rows = append(rows, row)
	}
	w.rows, w.y, w.width, w.height = rows, y, width, height
}

// Text is what stands on the screen and above it, without the space at the ends.
func (w *Terminal) Text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, row := range w.rows {
		fmt.Fprintln(&b, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// Everything is all that was ever written.
func (w *Terminal) Everything() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}

// Writes is how many times something was written.
func (w *Terminal) Writes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes
}

// Await waits until the window shows what a regular expression describes; if it
// does not within ten seconds, that is an error of the test.
func (w *Terminal) Await(what string) bool {
	re := regexp.MustCompile(what)
	for range 1000 {
		if re.MatchString(w.Text()) {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.t.Errorf("never shown: %s\n%s", what, w.Text())
	return false
}
