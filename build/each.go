package build

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/zeebo/blake3"
)

// each is what a step of Map makes of a file.
type each struct{}

// Map returns a step that grows one step per file of an input: a Glob, or
// OutputsOf other steps. It has nothing to run itself, so what grows is known
// to Status and DryRun at once, unless the files are still to be made.
//
// The function gets a file and returns the step for it, which names the file
// among its inputs if it reads it. A step that gets no name is called after
// the file: name, a colon, and its path below the literal part of the glob with
// colons for slashes. Other names must begin with name and a colon too. Later
// steps get all results by OutputsOf(name + ":*").
func Map(name string, over Input, step func(file Ref) Step) Step {
	base := ""
	if over.kind == inGlob {
		if p, err := compilePattern(over.pattern); err == nil { // else New says so
			base = p.base
		}
	}
	return Step{
		Name:   name,
		Inputs: []Input{over},
		Grows:  name + ":",
		each:   &each{},
		Grow: func(_ context.Context, t *Task) ([]Step, error) {
			files := t.Files(over)
			steps := make([]Step, len(files))
			for i, file := range files {
				steps[i] = step(file)
				if steps[i].Name == "" {
					steps[i].Name = nameAfter(name, base, file.Path)
				}
				if steps[i].Doc == "" {
					steps[i].Doc = fmt.Sprintf("%s of %s", name, file.Path)
				}
			}
			return steps, nil
		},
	}
}

// nameAfter names a step after a file. Names that are too long end in a digest.
func nameAfter(name, base, path string) string {
	rest := path
	if base != "" {
		rest = strings.TrimPrefix(path, base+"/")
	}
	elements := strings.Split(rest, "/")
	for i, e := range elements {
		elements[i] = strings.ReplaceAll(url.PathEscape(e), ":", "%3A")
	}
	full := name + ":" + strings.Join(elements, ":")
	if len(full) <= maxName {
		return full
	}
	const digits = 12
	sum := blake3.Sum256([]byte(path))
	return fmt.Sprintf("%s~%x", full[:max(len(name)+1, maxName-1-digits)], sum[:digits/2])
}
