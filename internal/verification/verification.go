// Package verification holds results against pipeline.lock: which are as it says,
// which are near, which differ, and where first, as far as it is known what they
// were. It knows neither the steps that make results nor where a study keeps them.
package verification

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/lock"
)

// Check is a comparison of results with a lock.
type Check struct {
	Lock     lock.Document
	Platform string   // this one
	Made     []Result // by some step
	// Only says which results to compare; nil: all, and those that the lock lacks or
	// no step makes any longer.
	Only  func(Result) bool
	Place func(Result) string // where a result is

	// What the results of the lock were is looked for in these places.
	Against string                              // a directory that is said to hold them, or ""
	Kept    string                              // one that holds them as far as they were known, or ""
	Copies  func(dir string, r Result) []string // where a directory may hold a result
	Cached  func(digest, to string) (bool, error)

	Out    io.Writer
	Redact func(string) string // what files say is printed through it
}

// Counts are how many results were found to be what.
type Counts struct {
	Same    int // as the lock says
	Near    int // within the tolerance between platforms
	Other   int // different or missing
	Unknown int // of the different ones those of which only a digest is known
}

// checking is a check on its way.
type checking struct {
	*Check
	tolerance difference.Tolerance
	scratch   string // for contents out of the cache
	found     Counts
}

// Run compares everything and says what it has found.
func (c *Check) Run(ctx context.Context) (found Counts, err error) {
	v := &checking{Check: c}
	if c.Lock.Platform != c.Platform {
		v.tolerance = difference.Platforms
		fmt.Fprintf(c.Out, "platform: %s was written on %s, this is %s; numbers may differ by %g of their size, colours by %d of 255\n",
			lock.Name, c.Lock.Platform, c.Platform, v.tolerance.Relative, v.tolerance.Channel)
	}
	if v.scratch, err = os.MkdirTemp("", "plr-verify-"); err != nil {
		return v.found, err
	}
	defer func() {
		if rerr := os.RemoveAll(v.scratch); err == nil {
			err = rerr
		}
	}()
	locked := all(c.Lock)
	for _, r := range slices.SortedFunc(maps.Keys(locked), inOrder) {
		if err := v.result(ctx, r, locked[r]); err != nil {
			return v.found, err
		}
	}
	for _, r := range c.Made {
		if locked[r] == "" && (c.Only == nil || c.Only(r)) {
			v.say(r, "differs", "it is not in "+lock.Name)
		}
	}
	return v.found, nil
}

// inOrder has databases first, then paths.
func inOrder(a, b Result) int {
	if a.Database != b.Database {
		return map[bool]int{true: -1, false: 1}[a.Database]
	}
	return cmp.Compare(a.Path, b.Path)
}

// say reports a result that is not as the lock says.
func (v *checking) say(r Result, what, why string) {
	v.found.Other++
	fmt.Fprintf(v.Out, "%-8s %s: %s\n", what, r.Path, v.Redact(why))
}

// result compares one result with what the lock says of it.
func (v *checking) result(ctx context.Context, r Result, want string) error {
	if v.Only != nil && !v.Only(r) {
		return nil
	}
	name := v.Place(r)
	got, err := r.Digest(ctx, name)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, fs.ErrNotExist):
		v.say(r, "missing", "mage reproduce brings it back")
		return nil
	case errors.Is(err, duckfile.ErrInUse):
		return fmt.Errorf("%s cannot be compared: %w", r.Path, err)
	case err != nil:
		v.say(r, "differs", err.Error())
		return nil
	case !slices.Contains(v.Made, r):
		v.say(r, "differs", "it is in "+lock.Name+" and no step makes it")
		return nil
	case got == want:
		v.found.Same++
		return nil
	}
	original, why, err := v.original(ctx, r, want)
	if err != nil {
		return err
	}
	if original == "" {
		v.found.Unknown++
		v.say(r, "differs", why)
		return nil
	}
	found, err := r.Difference(ctx, original, name, v.tolerance)
	switch {
	case err != nil:
		v.say(r, "differs", "where cannot be told: "+err.Error())
	case found != nil:
		v.say(r, "differs", found.String())
	case v.tolerance == difference.Tolerance{}:
		v.say(r, "differs", "its contents have another digest, in a way that the comparison does not see")
	default:
		v.found.Near++
		fmt.Fprintf(v.Out, "%-8s %s\n", "near", r.Path)
	}
	return nil
}

// original returns where a result is as the lock speaks of it, or why it is not
// known.
func (v *checking) original(ctx context.Context, r Result, want string) (name, why string, err error) {
	why = "it has another digest"
	for _, dir := range []string{v.Kept, v.Against} {
		if dir == "" {
			continue
		}
		not := "there is no copy in " + dir
		for _, candidate := range v.Copies(dir, r) {
			got, err := r.Digest(ctx, candidate)
			switch {
			case ctx.Err() != nil:
				return "", "", ctx.Err()
			case err == nil && got == want:
				return candidate, "", nil
			case err == nil:
				not = fmt.Sprintf("%s is not what %s speaks of, either", candidate, lock.Name)
			case !errors.Is(err, fs.ErrNotExist):
				not = fmt.Sprintf("%s: %v", candidate, err)
			}
		}
		if dir == v.Against {
			why += ", and " + not
		}
	}
	// The cache knows contents by the digest of their bytes.
	if r.Database {
		return "", why, nil
	}
	name = filepath.Join(v.scratch, strconv.Itoa(v.found.Same+v.found.Near+v.found.Other))
	there, err := v.Cached(want, name)
	if err != nil || !there {
		return "", why, err
	}
	return name, "", nil
}
