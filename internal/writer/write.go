// Package writer makes the file of the public database of coded rows. Another process
// does it, this program started anew, in whose memory nothing private has ever been:
// whatever DuckDB leaves of its heap in a file is of rows that are in it.
//
// It does not know where the rows come from, and sees to nothing of them but that they
// fit the schema.
package writer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/foundation-plr/pipeline/internal/duckfile"
)

// ChildEnv and ChildName tell a program that it was started as the writer: a
// program that calls [Write] must look at the variable before anything else,
// and then do nothing but
//
//	os.Exit(writer.RunChild(os.Stdin, os.Stderr))
const (
	ChildEnv  = "PLR_CHILD"
	ChildName = "checkpoint-writer"
)

// zeroedHeap makes DuckDB's allocator clear memory before it hands it out. Pages
// of the file are written as they are, unused bytes and all. Pages of memory that it
// frees go back at once: kept, they make a fifth of what the writer takes.
const zeroedHeap = "DUCKDB_JE_MALLOC_CONF=zero:true,dirty_decay_ms:0"

// passedOn are the variables that the writer may need from its parent: where
// the linker finds libraries, where coverage data go. It gets no other, for
// others may name what is private.
var passedOn = []string{"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GOCOVERDIR", "TMPDIR"}

// graceToStop is how long a cancelled writer may take to stop by itself. It has
// nothing worth keeping by then.
const graceToStop = 2 * time.Second

// Write makes the DuckDB file at path, in place of any that is there, whole or
// not at all. The contents are a function of the rows, the bytes are not: DuckDB
// leaves remnants of its heap in them. That is why they are written by a child
// process (this program started anew, see [ChildEnv]) whose heap has never held
// anything but the rows. The file is to be read back, see [duckfile.Written.Digest].
func Write(ctx context.Context, path string, rows Rows) (duckfile.Written, error) {
	w, err := write(ctx, path, rows)
	if err != nil {
		return nil, fmt.Errorf("write checkpoint %s: %w", filepath.Base(path), err)
	}
	return w, nil
}

func write(ctx context.Context, path string, rows Rows) (w duckfile.Written, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if strings.Contains(path, "?") {
		return nil, fmt.Errorf("the path %s has a question mark, before which DuckDB would put the ending of its write-ahead log: choose another folder", path)
	}
	// A folder of its own beside the target: DuckDB may leave a write-ahead log
	// next to the file when it is killed, and the file must be renamed within
	// one file system.
	dir, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".writing-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	draft := filepath.Join(dir, "draft.db")
	if w, err = runWriter(ctx, draft, rows); err != nil {
		return nil, err
	}
	if err := checkDraft(draft); err != nil {
		return nil, err
	}
	if err := os.Chmod(draft, 0o644); err != nil {
		return nil, err
	}
	return w, os.Rename(draft, path)
}

func runWriter(ctx context.Context, draft string, rows Rows) (duckfile.Written, error) {
	program, err := self()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = []string{ChildEnv + "=" + ChildName, zeroedHeap}
	for _, name := range passedOn {
		if value, ok := os.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Dir = filepath.Dir(draft)
	var complaint limitedBuffer
	cmd.Stderr = &complaint
	// A group of its own: an interrupt from the terminal reaches the parent,
	// which stops the child.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = graceToStop
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the writer: %w", err)
	}
	pipe := &sending{to: stdin}
	sent, sendErr := rows.stream(pipe, draft)
	sendErr = errors.Join(sendErr, stdin.Close())
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case sendErr != nil && pipe.err == nil:
		return nil, sendErr // the rows themselves are wrong
	case waitErr != nil:
		// Why it stopped reading matters more than that it did.
		if said := complaint.sentence(); said != "" {
			return nil, errors.New(said)
		}
		return nil, fmt.Errorf("the writer stopped: %w", waitErr)
	case sendErr != nil:
		return nil, fmt.Errorf("send rows to the writer: %w", sendErr)
	}
	return sent, nil
}

// sending remembers whether the writer took everything.
type sending struct {
	to  io.Writer
	err error
}

func (s *sending) Write(p []byte) (n int, err error) {
	n, s.err = s.to.Write(p)
	return n, s.err
}

// self names this program so that it can be started again. Its path may hold
// another by now, because somebody compiled it anew; Linux knows the running one
// by a name of its own.
func self() (string, error) {
	const running = "/proc/self/exe"
	if runtime.GOOS == "linux" {
		if _, err := os.Stat(running); err == nil {
			return running, nil
		}
	}
	return os.Executable()
}

// complaintPrefix marks the writer's own sentence among what a crash of the
// runtime or of DuckDB would print.
const complaintPrefix = ChildName + ": "

// limitedBuffer keeps the beginning of what the writer prints.
type limitedBuffer struct{ kept bytes.Buffer }

const keptComplaint = 1 << 16

// Write takes everything and keeps what there is room for.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.kept.Write(p[:min(len(p), keptComplaint-b.kept.Len())])
	return len(p), nil
}

func (b *limitedBuffer) sentence() string {
	for line := range strings.SplitSeq(b.kept.String(), "\n") {
		if said, ok := strings.CutPrefix(line, complaintPrefix); ok {
			return said
		}
	}
	return ""
}

// storageVersion is the version of DuckDB's format that we write, which DuckDB
// 0.10.2 to 2.0 read; storageName is what ATTACH calls it.
const (
	storageVersion = 64
	storageName    = "v0.10.2"
)

// checkDraft sees that the writer left one complete file of the right version.
func checkDraft(draft string) error {
	version, err := duckfile.StorageVersion(draft)
	if err != nil {
		return err
	}
	if version != storageVersion {
		return fmt.Errorf("the writer made a file of storage version %d, not %d", version, storageVersion)
	}
	if _, err := os.Stat(duckfile.LogPath(draft)); err == nil {
		return errors.New("the writer left a write-ahead log: the file is not complete")
	}
	return nil
}
