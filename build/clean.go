package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/foundation-plr/pipeline/internal/store"
)

// Cleaned is what Clean did.
type Cleaned struct {
	Removed []Ref
	Kept    []Ref // not as they were made; files of trees one by one
}

// Clean removes the public outputs of the graph's steps that are as some build
// made them: the cache can bring back all but trees. What differs is left and
// named. Private files, ledgers, sources and the cache are not touched, nor is
// anything that no step of this graph makes. With Options.DryRun nothing is
// removed, and Removed is what would be.
func (g *Graph) Clean(ctx context.Context) (c *Cleaned, err error) {
	s, err := g.open(ctx, nil, true, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := os.Lstat(g.opt.PrivateCache); err == nil {
		// What declassifying steps made is recorded there.
		if err := s.openTier(ctx, true); err != nil {
			return nil, err
		}
	}
	byRef := map[Ref][]made{}
	for i := range s.tiers {
		st := s.tiers[i].Load()
		if st == nil {
			continue
		}
		for _, stored := range st.Records.All() {
			rec, err := decodeRecord(stored)
			if err != nil {
				continue // it says nothing
			}
			for _, m := range rec.outs {
				byRef[m.ref] = append(byRef[m.ref], m)
			}
		}
	}
	var refs []Ref
	for _, n := range s.plan.nodes {
		for i, out := range n.Outputs {
			if !g.opt.private(n.outs[i]) && byRef[out.Ref] != nil {
				refs = append(refs, out.Ref)
			}
		}
	}
	slices.SortFunc(refs, compareRefs)
	c = new(Cleaned)
	for _, ref := range refs {
		if err := s.cleanOutput(c, ref, byRef[ref]); err != nil {
			return c, fmt.Errorf("clean %s: %w", ref, plainError(err))
		}
	}
	return c, nil
}

func (s *session) cleanOutput(c *Cleaned, ref Ref, known []made) error {
	abs := s.opt.abs(ref)
	_, mode, err := store.Lstat(abs)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	files, sums := []string{abs}, map[string][]store.Sum{}
	for _, m := range known {
		if !m.tree {
			sums[abs] = append(sums[abs], m.sum)
		}
		for _, f := range m.files {
			path := filepath.Join(abs, filepath.FromSlash(f.path))
			sums[path] = append(sums[path], f.sum)
		}
	}
	var dirs []string
	if mode.IsDir() {
		files = files[:0]
		err := filepath.WalkDir(abs, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			} else if err == nil {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	kept := len(c.Kept)
	for _, path := range files {
		sum, err := sumOf(path)
		if err != nil {
			return err
		}
		if sum == nil || !slices.Contains(sums[path], *sum) {
			at := ref
			if path != abs {
				at.Path += "/" + relative(abs, path)
			}
			c.Kept = append(c.Kept, at)
			continue
		}
		if s.opt.DryRun {
			continue
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	if len(c.Kept) == kept {
		c.Removed = append(c.Removed, ref)
	}
	if s.opt.DryRun {
		return nil
	}
	for _, dir := range slices.Backward(dirs) {
		// A directory that still holds something stays.
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// sumOf returns the digest of a regular file, nil if it is something else.
func sumOf(path string) (*store.Sum, error) {
	_, mode, err := store.Lstat(path)
	if err != nil || !mode.IsRegular() {
		return nil, err
	}
	sum, _, err := store.Hash(path)
	return &sum, err
}
