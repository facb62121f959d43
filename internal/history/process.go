package history

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
)

// Process names a process for good: numbers are used again, also by other
// machines that share a directory, so it says when the process started, too.
type Process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // a digest of the boot and of the time within it
}

// Here returns the process that runs this.
func Here() (*Process, error) {
	pid := os.Getpid()
	start, err := startOf(pid)
	if err != nil {
		return nil, fmt.Errorf("when process %d started: %w", pid, err)
	}
	return &Process{pid, start}, nil
}

// errGone says that there is no such process.
var errGone = errors.New("there is no such process")

// Alive says whether the process is there still, and is the same.
func (p *Process) Alive() (bool, error) {
	start, err := startOf(p.PID)
	if errors.Is(err, errGone) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("when process %d started: %w", p.PID, err)
	}
	return start == p.Start, nil
}

// Interrupt sends SIGINT to the process, if it is there still. The process is
// held on to before it is looked at, so that where the kernel can do so the
// signal cannot reach another one that has got its number since.
func (p *Process) Interrupt() error {
	if p.PID <= 1 {
		return fmt.Errorf("process %d cannot be a build", p.PID)
	}
	held, err := os.FindProcess(p.PID)
	if err != nil {
		return err
	}
	defer held.Release() //nolint:errcheck // nothing is lost
	alive, err := p.Alive()
	if err != nil {
		return err
	}
	if !alive {
		return os.ErrProcessDone
	}
	return held.Signal(os.Interrupt)
}

// digestStart makes one word of what tells starts of processes apart, without
// telling the boot, which would tell machines apart.
func digestStart(boot, start string) string {
	sum := sha256.Sum256([]byte(boot + "\x00" + start))
	return hex.EncodeToString(sum[:8])
}
