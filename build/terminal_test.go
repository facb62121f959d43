package build

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// terminal is a window that obeys what a display sends. It knows no more than
// that: anything else is an error.
type terminal struct {
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

func newTerminal(t *testing.T, width, height int) *terminal {
	return &terminal{t: t, width: width, height: height, rows: [][]rune{nil}}
}

func (w *terminal) size() (width, height int) { return w.width, w.height }

func (w *terminal) Write(b []byte) (int, error) {
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

func (w *terminal) down() {
	w.y++
	w.full = false
	if w.y == len(w.rows) {
		w.rows = append(w.rows, nil)
	}
}

func (w *terminal) letter(r rune) {
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

func (w *terminal) obey(sequence string) {
	switch {
	case sequence == "[K":
		w.rows[w.y] = w.rows[w.y][:min(w.x, len(w.rows[w.y]))]
	case sequence == "[J":
		w.rows[w.y] = w.rows[w.y][:min(w.x, len(w.rows[w.y]))]
		w.rows = w.rows[:w.y+1]
	case sequence == "[?7l":
		w.nowrap = true
	case "\x1b"+sequence == beginFrame, "\x1b"+sequence == endFrame:
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

// resize makes the window narrower or wider, as most terminals do it: lines that
// do not fit any more are broken, and the cursor stays in its line.
func (w *terminal) resize(width, height int) {
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

// text is what stands on the screen and above it, without the space at the ends.
func (w *terminal) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	for _, row := range w.rows {
		fmt.Fprintln(&b, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// everything is all that was ever written.
func (w *terminal) everything() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all.String()
}
