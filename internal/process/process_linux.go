package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
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

// parentOf returns the parent of a process, and the process's own name.
func parentOf(pid int) (parent int, name string, err error) {
	// 4242 (name) S 4241 …; the name may hold anything.
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", err
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return 0, "", errUnknownParent
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 {
		return 0, "", errUnknownParent
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, string(stat[open+1 : end]), err
}
