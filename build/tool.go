package build

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// probeTimeout bounds how long a program may think about its version.
const probeTimeout = 10 * time.Second

// probed remembers versions: a program is asked once.
var probed sync.Map // arguments → func() (string, error)

// Version asks a program for its version, for Step.Tools: it runs it with the
// arguments, --version if there are none, and returns the first line that it
// prints. That costs a process each time the pipeline is declared. A step with
// a Command needs it only where the digest of the program's file would say too
// little, as for a script that starts an interpreter, or too much.
func Version(program string, args ...string) (string, error) {
	if len(args) == 0 {
		args = []string{"--version"}
	}
	argv := append([]string{program}, args...)
	probe, _ := probed.LoadOrStore(strings.Join(argv, "\x00"), sync.OnceValues(func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("%s: %w; give arguments that make it say its version", strings.Join(argv, " "), err)
		}
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" {
				return line, nil
			}
		}
		return "", fmt.Errorf("%s prints nothing", strings.Join(argv, " "))
	}))
	return probe.(func() (string, error))()
}

// program is a program that commands name.
type program struct {
	digest  string
	private bool
	err     error // why it cannot run
}

// program looks a program up.
func (g *Graph) program(name string) program {
	path, err := g.opt.program(name)
	if err == nil && g.opt.private(path) {
		return program{private: true}
	}
	var p program
	if err == nil {
		p.digest, err = g.programs.digest(path)
	}
	if err != nil {
		p.err = fmt.Errorf("program %s: %w", name, plainError(err))
	}
	return p
}

// programDigests spares reading the files of programs for every build of a graph.
type programDigests struct {
	mu    sync.Mutex
	known map[string]programDigest
}

type programDigest struct {
	stat   store.Stat
	digest string
}

func (p *programDigests) digest(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return "", err
	}
	st, _, err := store.FileStat(real)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if was, ok := p.known[real]; ok && was.stat == st {
		return was.digest, nil
	}
	sum, st, err := store.Hash(real)
	if err != nil {
		return "", err
	}
	if p.known == nil {
		p.known = map[string]programDigest{}
	}
	p.known[real] = programDigest{st, sum.String()}
	return sum.String(), nil
}

// Executable returns the digest of the program that is running, to stand for
// the code of all its steps: it changes with every change of the sources, of a
// module or of the compiler, and also with the place and name of the program
// where those are compiled in. Nothing is ever falsely fresh by it; what is
// rebuilt for no reason is the price of not naming packages.
func Executable() (string, error) { return executable() }

var executable = sync.OnceValues(func() (string, error) {
	// The link leads to the file that runs even when it has been replaced.
	const self = "/proc/self/exe"
	name := self
	if _, err := os.Stat(self); err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		if name, err = os.Executable(); err != nil {
			return "", err
		}
	}
	f, err := os.Open(name)
	if err != nil {
		return "", fmt.Errorf("digest of the running program: %w", err)
	}
	defer f.Close()
	h := blake3.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("digest of the running program: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
})
