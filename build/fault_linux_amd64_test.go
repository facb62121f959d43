package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Faults are injected where the kernel is asked: the child of a test has a
// seccomp filter that hands every call which changes a file system to the test,
// and the test lets it go on, answers it with an error, or kills the child
// before it is done. So nothing in the engine, the store or the history has to
// know of it, and nothing of theirs can be forgotten.

// handed are the system calls that change a file system, beside those that
// open a file in order to write.
var handed = []uint32{
	unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_COPY_FILE_RANGE, unix.SYS_SENDFILE,
	unix.SYS_FTRUNCATE, unix.SYS_TRUNCATE, unix.SYS_FALLOCATE,
	unix.SYS_RENAME, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT, unix.SYS_SYMLINKAT,
	unix.SYS_UNLINK, unix.SYS_UNLINKAT, unix.SYS_RMDIR, unix.SYS_MKDIR, unix.SYS_MKDIRAT,
	unix.SYS_FSYNC, unix.SYS_FDATASYNC, unix.SYS_SYNCFS, unix.SYS_SYNC,
	unix.SYS_CHMOD, unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_UTIMENSAT,
}

// openToWrite are the flags of open that may change something.
const openToWrite = unix.O_WRONLY | unix.O_RDWR | unix.O_CREAT | unix.O_TRUNC

// handOver puts the filter on all threads of this process and returns the
// descriptor that its parent listens at.
func handOver() (int, error) {
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		eq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		set  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K

		number, arch, flags, request = 0, 4, 16 + 2*8, 16 + 1*8 // offsets in seccomp_data
	)
	allow, hand := unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF}
	prog := []unix.SockFilter{
		{Code: load, K: arch}, {Code: eq, K: unix.AUDIT_ARCH_X86_64, Jt: 1}, allow,
		{Code: load, K: number},
		{Code: eq, K: unix.SYS_OPENAT, Jf: 4}, {Code: load, K: flags}, {Code: set, K: openToWrite, Jf: 1}, hand, allow,
		{Code: eq, K: unix.SYS_IOCTL, Jf: 4}, {Code: load, K: request}, {Code: eq, K: unix.FICLONE, Jf: 1}, hand, allow,
	}
	for _, nr := range handed {
		prog = append(prog, unix.SockFilter{Code: eq, K: nr, Jf: 1}, hand)
	}
	prog = append(prog, allow)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return -1, err
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER|unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH,
		uintptr(unsafe.Pointer(&fprog)))
	if errno != 0 {
		return -1, fmt.Errorf("seccomp: %w", errno)
	}
	return int(fd), nil
}

// obeyFaults is what a child does before it builds.
func obeyFaults() error {
	const socket = 3
	fd, err := handOver()
	if err != nil {
		return err
	}
	return errors.Join(unix.Sendmsg(socket, []byte{0}, unix.UnixRights(fd), nil, 0), unix.Close(fd), unix.Close(socket))
}

// request is a system call of the child that waits for an answer.
type request struct {
	id    uint64
	pid   uint32
	flags uint32
	nr    int32
	arch  uint32
	ip    uint64
	args  [6]uint64
}

type answer struct {
	id    uint64
	val   int64
	errno int32
	flags uint32
}

// what says what a call does to which file, "" if to none below the directory:
// a pipe, say.
func (c *request) what(dir string) (op, path string) {
	at := func(i int) string { return c.resolve(unix.AT_FDCWD, c.args[i]) }
	from := func(i int) string { return c.resolve(int32(c.args[i]), c.args[i+1]) }
	open := func(i int) string { return c.descriptor(int32(c.args[i])) }
	switch c.nr {
	case unix.SYS_OPENAT:
		op, path = "open", from(0)
	case unix.SYS_WRITE, unix.SYS_PWRITE64, unix.SYS_WRITEV, unix.SYS_SENDFILE, unix.SYS_FALLOCATE:
		op, path = "write", open(0)
	case unix.SYS_COPY_FILE_RANGE:
		op, path = "write", open(2)
	case unix.SYS_IOCTL:
		op, path = "clone", open(0)
	case unix.SYS_FTRUNCATE:
		op, path = "truncate", open(0)
	case unix.SYS_TRUNCATE:
		op, path = "truncate", at(0)
	case unix.SYS_RENAME:
		op, path = "rename", at(1)
	case unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_LINKAT:
		op, path = "rename", from(2)
	case unix.SYS_SYMLINKAT:
		op, path = "rename", from(1)
	case unix.SYS_UNLINK, unix.SYS_RMDIR:
		op, path = "remove", at(0)
	case unix.SYS_UNLINKAT:
		op, path = "remove", from(0)
	case unix.SYS_MKDIR:
		op, path = "mkdir", at(0)
	case unix.SYS_MKDIRAT:
		op, path = "mkdir", from(0)
	case unix.SYS_FSYNC, unix.SYS_FDATASYNC:
		op, path = "sync", open(0)
	case unix.SYS_SYNCFS:
		op, path = "sync all", open(0)
	case unix.SYS_SYNC:
		op, path = "sync all", dir
	case unix.SYS_CHMOD:
		op, path = "chmod", at(0)
	case unix.SYS_FCHMOD:
		op, path = "chmod", open(0)
	case unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2:
		op, path = "chmod", from(0)
	case unix.SYS_UTIMENSAT:
		if op, path = "set time of", from(0); c.args[1] == 0 {
			path = open(0)
		}
	}
	if !inside(path, dir) {
		return "", ""
	}
	return op, path
}

func (c *request) descriptor(fd int32) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.pid, fd))
	if err != nil {
		return ""
	}
	return path
}

func (c *request) resolve(dirfd int32, at uint64) string {
	f, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.pid))
	if err != nil {
		return ""
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, int64(at))
	if n == 0 && err != nil {
		return ""
	}
	name, _, _ := bytes.Cut(b[:n], []byte{0})
	path := string(name)
	if filepath.IsAbs(path) {
		return path
	}
	dir := c.descriptor(dirfd)
	if dirfd == unix.AT_FDCWD {
		if dir, err = os.Readlink(fmt.Sprintf("/proc/%d/cwd", c.pid)); err != nil {
			return ""
		}
	}
	return filepath.Join(dir, path)
}

// needsSpace are the calls that a full disk refuses.
func needsSpace(op string) bool {
	switch op {
	case "open", "write", "mkdir", "rename", "clone":
		return true
	}
	return false
}

// fault is what befalls a child.
type fault struct {
	kind  string // "none", "error", "full", "kill", "power", "timer", or a signal
	at    int    // the number of the call at which, or from which on, counted from 1
	after time.Duration
}

func (f fault) String() string {
	if f.kind == "timer" {
		return fmt.Sprintf("kill after %s", f.after)
	}
	return fmt.Sprintf("%s at call %d", f.kind, f.at)
}

var signals = map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP}

// outcome is how a child ended.
type outcome struct {
	killed bool
	code   int
	said   string
	calls  int // how many were seen
	ops    []string
	hit    string // the call at which the fault struck first, "" if none did
}

// runFaulty runs a child of this test binary that builds below dir, with a
// fault, and notes what reaches the disk.
func runFaulty(t testing.TB, dir string, env []string, f fault, d *disk) (out outcome) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := pair[0]
	defer unix.Close(ours)
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.Command(exe)
	// Preemption by signals would interrupt calls that wait for an answer, which
	// are then made, and counted, again. The race detector waits for a second
	// before a process ends, which thousands of processes have no time for.
	cmd.Env = append(append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GORACE=atexit_sleep_ms=0"), env...)
	cmd.Stderr = &said
	cmd.ExtraFiles = []*os.File{theirs}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if f.kind == "timer" {
		timer := time.AfterFunc(f.after, func() { _ = cmd.Process.Kill() }) // it may have ended
		defer timer.Stop()
	}
	ended := make(chan struct{})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		listener, err := receive(ours)
		if err == io.EOF { // it ended before
			return
		}
		if err != nil {
			t.Errorf("the child hands over nothing: %v", err)
			return
		}
		defer unix.Close(listener)
		struck := false
		for {
			c, err := next(listener, ended)
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				return
			}
			op, path := c.what(dir)
			reply := answer{id: c.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
			if op != "" && !struck {
				out.calls++
				out.ops = append(out.ops, op)
				now := out.calls >= f.at
				var errno unix.Errno
				switch {
				case !now:
				case f.kind == "error":
					if errno = unix.EIO; needsSpace(op) {
						errno = unix.ENOSPC
					}
					struck = true
				case f.kind == "full" && needsSpace(op):
					errno = unix.ENOSPC
				case signals[f.kind] != 0:
					struck, out.hit = true, op+" "+relative(dir, path)
					_ = cmd.Process.Signal(signals[f.kind]) // it waits for an answer
				case f.kind == "kill" || f.kind == "power":
					out.hit = op + " " + relative(dir, path)
					// Unanswered, the call is never done. What other threads have
					// been allowed to do may still be under way.
					_ = cmd.Process.Kill()
					return
				}
				if errno != 0 {
					reply = answer{id: c.id, errno: -int32(errno)}
					if out.hit == "" {
						out.hit = op + " " + relative(dir, path)
					}
				}
			}
			d.note(t, op, path)
			_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_SEND, uintptr(unsafe.Pointer(&reply)))
			if e != 0 && e != unix.ENOENT { // it was interrupted or has died
				t.Errorf("answer %s: %v", op, e)
				return
			}
		}
	})
	err = cmd.Wait()
	close(ended)
	waiting.Wait()
	out.said = said.String()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		out.killed = true
	case errors.As(err, &exit) && exit.Exited():
		out.code = exit.ExitCode()
	default:
		t.Fatalf("the child: %v\n%s", err, out.said)
	}
	return out
}

// receive takes the listener from the child, io.EOF if it ends before.
func receive(socket int) (int, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, oobn, _, _, err = unix.Recvmsg(socket, b, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	if n == 0 {
		return -1, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return -1, fmt.Errorf("%d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return -1, fmt.Errorf("%d descriptors, %w", len(fds), err)
	}
	return fds[0], nil
}

// next waits for a call, io.EOF if the child has ended.
func next(listener int, ended <-chan struct{}) (*request, error) {
	for {
		fds := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		const look = 100 // ms; kernels before 5.8 do not say that the child is gone
		n, err := unix.Poll(fds, look)
		if err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("poll: %w", err)
		}
		select {
		case <-ended:
			return nil, io.EOF
		default:
		}
		if n < 1 || fds[0].Revents&unix.POLLIN == 0 {
			if n == 1 && fds[0].Revents&unix.POLLHUP != 0 {
				return nil, io.EOF
			}
			continue
		}
		c := new(request)
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(listener), unix.SECCOMP_IOCTL_NOTIF_RECV, uintptr(unsafe.Pointer(c)))
		switch e {
		case 0:
			return c, nil
		case unix.ENOENT, unix.EINTR: // it has gone
		default:
			return nil, fmt.Errorf("receive a call: %w", e)
		}
	}
}

// canInject says why calls of a child cannot be handed over here, "" if they
// can.
var canInject = sync.OnceValue(func() string {
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil {
		return err.Error()
	}
	if !strings.Contains(string(actions), "user_notif") {
		return "the kernel has no seccomp notifications (Linux 5.0)"
	}
	return ""
})
