package history

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// startOf asks the kernel when a process started.
func startOf(pid int) (string, error) {
	info, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EIO) { // an empty answer is EIO
		return "", errGone
	}
	if err != nil {
		return "", err
	}
	const zombie = 5 // SZOMB in sys/proc.h
	if info.Proc.P_stat == zombie {
		return "", errGone
	}
	// A time of day to the microsecond; kern.boottime moves with the clock and
	// adds nothing to it.
	at := info.Proc.P_starttime
	return digestStart("", fmt.Sprintf("%d.%06d", at.Sec, at.Usec)), nil
}
