package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/processtest"
)

// left is the process that a program has left behind, by the file it wrote its
// number to.
func left(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func gone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		if !processtest.Alive(pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d runs on", pid)
}

func TestNothingIsLeftOfAProgram(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command("sh", "-c", `sleep 600 & echo $! >"$1"; exit 3`, "-", file)
	var exit *exec.ExitError
	if err := Run(t.Context(), cmd); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("error %v", err)
	}
	gone(t, left(t, file))
}

func TestProgramIsToldToStop(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("enough")
	// It is deaf, and so is what it has started.
	cmd := exec.Command("sh", "-c", `trap '' TERM; sleep 600 & echo $! >"$1.new"; mv "$1.new" "$1"; wait`, "-", file)
	cmd.WaitDelay = 100 * time.Millisecond
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(file); err == nil {
				cancel(why)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if err := Run(ctx, cmd); !errors.Is(err, why) {
		t.Errorf("error %v", err)
	}
	gone(t, left(t, file))
}
