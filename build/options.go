package build

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
)

// Options is what a graph is built with. Nothing here is part of a key, except
// that Code and Digests give digests that are.
type Options struct {
	// Workspace is the absolute path of the directory of the project.
	Workspace string
	// Roots are the directories that steps read and write, by name.
	Roots map[string]Root
	// PublicCache and PrivateCache hold blobs, records, indexes and the run
	// history of the two tiers: <Workspace>/.cache and a directory inside a
	// private root. A graph without private files needs no PrivateCache.
	PublicCache, PrivateCache string

	// Code returns a digest of the sources of packages and of all they
	// import.
	Code func(packages []string) (string, error)
	// CodeOfAll makes Code count for steps with Go functions that name no
	// packages, too; it is then called without any.
	CodeOfAll bool
	// Digests are functions from a file to a digest of what it means.
	Digests map[string]func(ctx context.Context, path string) (string, error)
	// Compare returns the first difference of two versions of an output, nil if
	// it finds none; see Rebuild. Nil: what the ending of the name tells of the
	// kind decides, JSON, PNG, text or bytes.
	Compare func(ctx context.Context, ref Ref, was, now string) (*Difference, error)
	// Gate refuses a public file that must not become public. It sees every
	// public output, at a path where it is not in place yet, after a run and
	// when it comes out of the cache.
	Gate func(ref Ref, path string) error
	// Redact is applied to every text on its way to the console or into the
	// history.
	Redact func(string) string

	Jobs  int              // how many steps run at once; below one: one per processor
	Pools map[string]int64 // capacities of pools

	Force    []string // globs of steps that run though they are fresh
	DryRun   bool     // Build prints what it would do and does nothing
	FailFast bool     // start nothing after the first failure
	NoWait   bool     // fail when another build holds the lock
	// Audit notes, on Linux, which files below the roots a step opens while it
	// runs. A step that opens, lists or writes what it does not declare fails;
	// an input that none of is opened is reported. Steps run one at a time.
	Audit bool

	// Target is what the user asked for, as the history shall call the build.
	Target string

	Stdout    io.Writer // one line per step that did something, and a last one; nil: nowhere
	LogFormat string    // "json" for JSON lines; else text
	NoColor   bool
	Plain     bool             // lines only, also on a terminal, which else shows what runs below them
	GitHub    bool             // failures are workflow commands of GitHub Actions, unless LogFormat is "json"
	Now       func() time.Time // for the history and JSON lines only; nil: time.Now
}

func (o *Options) fill() {
	if o.Jobs < 1 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Audit {
		o.Jobs = 1
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Redact == nil {
		o.Redact = func(s string) string { return s }
	}
}

// console is where a build says what it does.
func (o *Options) console() *console.Console {
	return console.New(console.Settings{
		Out: o.Stdout, Redact: o.Redact, Now: o.Now, Root: o.Workspace,
		JSON: o.LogFormat == "json", NoColor: o.NoColor, Plain: o.Plain, GitHub: o.GitHub,
	})
}

// Note prints a line of the caller's own as a build prints its: redacted, and as
// a JSON line where those are wanted.
func (o Options) Note(text string) {
	o.fill()
	o.console().Note(text)
}

func (o *Options) check() error {
	if !filepath.IsAbs(o.Workspace) {
		return fmt.Errorf("the workspace %q is not an absolute path", o.Workspace)
	}
	if !filepath.IsAbs(o.PublicCache) {
		return fmt.Errorf("the public cache %q is not an absolute path", o.PublicCache)
	}
	if o.PrivateCache != "" {
		if !filepath.IsAbs(o.PrivateCache) {
			return fmt.Errorf("the private cache %q is not an absolute path", o.PrivateCache)
		}
		if inside(o.PrivateCache, o.PublicCache) || inside(o.PublicCache, o.PrivateCache) {
			return errors.New("the public and the private cache are one inside the other: private files would be shared with the public cache")
		}
	}
	names := make([]string, 0, len(o.Roots))
	for name := range o.Roots {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		r := o.Roots[name]
		if name == "" || strings.ContainsAny(name, ":/\\\x00 ") {
			return fmt.Errorf("root %q: the name is empty or holds a colon, slash or space", name)
		}
		if !filepath.IsAbs(r.Path) || filepath.Clean(r.Path) != r.Path {
			return fmt.Errorf("root %q: %q is not a clean absolute path", name, r.Path)
		}
		for _, file := range r.Only {
			if file == "" || file != filepath.Base(file) {
				return fmt.Errorf("root %q: %q is not the name of a file in it", name, file)
			}
		}
		if r.Private && len(r.Only) == 0 && inside(o.PublicCache, r.Path) {
			return fmt.Errorf("root %q is private and holds the public cache", name)
		}
	}
	for _, f := range o.Force {
		if err := checkNamePattern(f); err != nil {
			return fmt.Errorf("force: %w", err)
		}
	}
	for name, capacity := range o.Pools {
		if capacity < 1 {
			return fmt.Errorf("pool %q: the capacity %d is below one", name, capacity)
		}
	}
	return nil
}

// abs returns where a ref is.
func (o *Options) abs(r Ref) string {
	return filepath.Join(o.Roots[r.Root].Path, filepath.FromSlash(r.Path))
}

// private says whether a path lies under a private root or in the private
// cache, whichever root it was named by.
func (o *Options) private(abs string) bool {
	for _, r := range o.Roots {
		if r.Private && r.holds(abs) {
			return true
		}
	}
	return o.PrivateCache != "" && inside(abs, o.PrivateCache)
}

// holds says whether a path belongs to a root.
func (r Root) holds(abs string) bool {
	if len(r.Only) == 0 {
		return inside(abs, r.Path)
	}
	return slices.ContainsFunc(r.Only, func(file string) bool { return abs == filepath.Join(r.Path, file) })
}

// inside says whether path is dir or lies below it; both are clean.
func inside(path, dir string) bool {
	return strings.HasPrefix(path, dir) &&
		(len(path) == len(dir) || path[len(dir)] == filepath.Separator || dir == string(filepath.Separator))
}
