package targets

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	pipeline "github.com/foundation-plr/pipeline"
	"github.com/foundation-plr/pipeline/internal/console"
)

// commit is the git commit that the workspace is a checkout of, or why none can be
// named: whoever takes that commit must have the code that this program runs and
// the settings that it reads. Equal checkouts give equal commits; no clock and no
// name of a branch, tag or place has a part in it.
func (s *study) commit() (id, why string) {
	// A compiled program may be of another version than the checkout.
	same, err := sourcesIn(s.workspace)
	switch {
	case err != nil:
		return "", err.Error()
	case !same:
		return "", "this program was not compiled from the sources of the checkout"
	}
	var out, failed bytes.Buffer
	cmd := exec.Command("git", "status", "--porcelain=v2", "--branch", "--untracked-files=normal")
	cmd.Dir = s.workspace
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C") // nothing is written, and words are English
	cmd.Stdout, cmd.Stderr = &out, &failed
	if err := cmd.Run(); err != nil {
		first, _, _ := strings.Cut(strings.TrimSpace(failed.String()), "\n")
		return "", fmt.Sprintf("git cannot tell it: %v %s", err, first)
	}
	changed := 0
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		if oid, ok := strings.CutPrefix(line, "# branch.oid "); ok {
			id = oid
		} else if !strings.HasPrefix(line, "#") {
			changed++
		}
	}
	switch {
	case changed > 0:
		return "", fmt.Sprintf("by git status %s of the checkout differ from it or are not in it", console.Plural(changed, "file"))
	case strings.Trim(id, "0123456789abcdef") != "" || id == "":
		return "", "the checkout has no commit yet"
	}
	return id, ""
}

// sourcesIn says whether a directory holds the sources of this program.
func sourcesIn(dir string) (same bool, err error) {
	same = true
	err = fs.WalkDir(pipeline.Sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		ours, err := fs.ReadFile(pipeline.Sources, name)
		if err != nil {
			return err
		}
		theirs, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil || !bytes.Equal(ours, theirs) {
			same = false
			return fs.SkipAll
		}
		return nil
	})
	return same, err
}
