package console

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// display is what a terminal shows below the lines that stay: an empty line, the
// steps that run, and a bar.
//
// The cursor rests at the beginning of the empty line. From there everything
// below can be drawn over without knowing how many rows it takes, which a
// terminal may have changed when it was made narrower; and a line that something
// else prints, such as mage at an interrupt, lands on the empty line and stays.
// A frame is one write that overwrites the last, so that nothing flickers; when
// lines stay above it the last is erased first, in the same write, because they
// can take any number of rows.
type display struct {
	w    io.Writer
	size func() (width, height int) // 0 where the terminal is another's

	shown bool
	above []string // lines to print above it
	last  string   // the frame that is shown
}

const (
	// minWidth is what a name and a time need to be of use. minHeight is room
	// for a line above the display, the empty line, two steps and the bar.
	minWidth, minHeight = 16, 5
	// maxBar is how wide a bar is at most, in columns; minBar at least, or there
	// is none.
	maxBar, minBar = 30, 8
)

// Between these a terminal that knows them shows nothing half done; others
// ignore them.
const beginFrame, endFrame = "\x1b[?2026h", "\x1b[?2026l"

// draw shows a frame, below what is to be printed above it.
func (d *display) draw(frame []string) {
	var f strings.Builder
	f.WriteString("\x1b[K\x1b[?7l") // what is too long all the same is not wrapped
	for _, line := range frame {
		f.WriteString("\r\n" + line + "\x1b[K")
	}
	fmt.Fprintf(&f, "\x1b[J\x1b[?7h\x1b[%dA\r", len(frame))
	if d.shown && len(d.above) == 0 && f.String() == d.last {
		return
	}
	d.shown, d.last = true, f.String()
	d.write(beginFrame + "\r" + d.takeAbove() + d.last + endFrame)
}

// erase leaves nothing but the lines above. In a terminal that is another's for
// now, it erases nothing.
func (d *display) erase() {
	if !d.shown {
		return
	}
	d.shown = false
	if width, _ := d.size(); width > 0 {
		d.write("\r\x1b[J")
	}
	d.write(d.takeAbove())
}

func (d *display) takeAbove() string {
	var b strings.Builder
	if d.shown && len(d.above) > 0 {
		b.WriteString("\x1b[J")
	}
	for _, text := range d.above {
		b.WriteString(strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	}
	d.above = nil
	return b.String()
}

func (d *display) write(s string) {
	if s == "" {
		return
	}
	// A terminal that has gone away is no reason to stop a build.
	_, _ = io.WriteString(d.w, s)
}

// frame is what the display shows now, cut to the window.
func (c *Console) frame(width, height int) []string {
	width-- // the last column stays free: some terminals wrap when it is filled
	rows := min(maxNamed, height-minHeight+2)
	running := c.running
	more := 0
	if len(running) > rows {
		more = len(running) - rows + 1
		running = running[:rows-1]
	}
	names := 0
	for _, v := range running {
		names = min(max(names, len(v.name)), width/2)
	}
	var frame []string
	for _, v := range running {
		head := fmt.Sprintf("  %-*s %6s", names, cut(v.name, names), brief(c.now().Sub(v.begun)))
		room := width - utf8.RuneCountInString(head) - 2
		if now := v.now(); now != "" && room > 0 {
			head += "  " + c.paint(dim, cut(c.said(now), room))
		}
		frame = append(frame, head)
	}
	if more > 0 {
		frame = append(frame, fmt.Sprintf("  and %d more", more))
	}
	return append(frame, c.bar(width))
}

// bar is the last line of the display.
func (c *Console) bar(width int) string {
	ended, total := c.ended(), max(c.total, 1)
	text := fmt.Sprintf("%d of %d: %d fresh, %d ran, %d failed", ended, total, c.done[Fresh], c.done[Ran], c.done[Failed])
	for _, state := range []string{Restored, Skipped} {
		if n := c.done[state]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, state)
		}
	}
	text += "; " + brief(c.now().Sub(c.begun)) + c.pace() + c.left()
	room := min(maxBar, width-utf8.RuneCountInString(text)-len("[] "))
	if room < minBar {
		return cut(text, width)
	}
	color := green
	if c.done[Failed] > 0 {
		color = red
	}
	full := min(room*ended/total, room)
	line := strings.Repeat("=", full)
	if full < room {
		line += ">"
	}
	return "[" + c.paint(color, line) + strings.Repeat(" ", room-len(line)) + "] " + text
}
