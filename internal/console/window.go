package console

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// windowSize returns how to learn the size of the window of a terminal in
// columns and rows; nil if w is none. A build in the background of its terminal
// has no window: what it draws would land in what somebody types.
func windowSize(w io.Writer) func() (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	look := func() (width, height int, terminal bool) {
		err := conn.Control(func(fd uintptr) {
			size, err := unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ)
			if err != nil {
				return
			}
			terminal = true
			// A terminal that is not the one of this process has no foreground.
			if group, err := unix.IoctlGetInt(int(fd), unix.TIOCGPGRP); err == nil && group != unix.Getpgrp() {
				return
			}
			width, height = int(size.Col), int(size.Row)
			if width == 0 || height == 0 {
				width, height = 80, 24 // serial lines and some programs do not say
			}
		})
		return width, height, terminal && err == nil
	}
	if _, _, terminal := look(); !terminal {
		return nil
	}
	return func() (width, height int) {
		width, height, _ = look()
		return width, height
	}
}
