package build

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// wait waits for the program and kills what it left running. It is asked
// whether it has ended before it is taken from the process table, so that
// meanwhile the number of its group cannot be that of another one.
func (g *processes) wait(cmd *exec.Cmd) error {
	for unix.Waitid(unix.P_PID, g.pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	g.end()
	return cmd.Wait()
}
