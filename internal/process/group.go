// Package process runs programs so that nothing of them is left: each in a process
// group of its own, which ends with the work it was started for and, on Linux, with
// this process. It also says when this process itself is told to stop.
//
// It does not know what programs are for.
package process

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Run runs a program in a process group of its own, which has WaitDelay to
// end when ctx does.
func Run(ctx context.Context, cmd *exec.Cmd) error {
	cmd.SysProcAttr = ownGroup()
	// The kernel's signal at the parent's death is sent when the thread dies
	// that started the program.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, err := allGroups.start(func() (*processes, error) {
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		return &processes{pid: cmd.Process.Pid}, nil
	})
	if err != nil {
		return err
	}
	defer allGroups.ended(g)
	listen := context.AfterFunc(ctx, func() {
		g.signal(syscall.SIGTERM)
		time.AfterFunc(cmd.WaitDelay, func() { g.signal(syscall.SIGKILL) })
	})
	err = g.wait(cmd)
	if !listen() { // it was told to stop: what it made is not to be trusted
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}

// processes is a process group. Its number is its own until its first process
// has been waited for.
type processes struct {
	pid int

	mu   sync.Mutex
	gone bool
}

func (g *processes) signal(sig syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.gone {
		// It may have ended by itself: that is what is wanted.
		_ = syscall.Kill(-g.pid, sig)
	}
}

// end kills what is left of the group.
func (g *processes) end() {
	g.signal(syscall.SIGKILL)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
}

// groups are the process groups of programs that run. Go kills none of them when
// the process ends.
type groups struct {
	mu   sync.RWMutex
	all  map[*processes]bool
	list sync.Mutex // of all
}

var allGroups = groups{all: map[*processes]bool{}}

// start starts a program and notes its group: a program that is started while
// all are killed is killed, too, or is not started any more.
func (g *groups) start(start func() (*processes, error)) (*processes, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	p, err := start()
	if err == nil {
		g.list.Lock()
		g.all[p] = true
		g.list.Unlock()
	}
	return p, err
}

func (g *groups) ended(p *processes) {
	g.list.Lock()
	defer g.list.Unlock()
	delete(g.all, p)
}

// kill kills what runs and lets nothing be started from now on.
func (g *groups) kill() {
	g.mu.Lock()
	g.list.Lock()
	defer g.list.Unlock()
	for p := range g.all {
		p.signal(syscall.SIGKILL)
	}
}
