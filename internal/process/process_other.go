//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// wait waits for the program and kills what it left running.
func (g *processes) wait(cmd *exec.Cmd) error {
	err := cmd.Wait()
	g.end()
	return err
}

func parentOf(int) (parent int, name string, err error) { return 0, "", errUnknownParent }
