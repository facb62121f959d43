package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// Blob is what is known of a blob without reading it.
type Blob struct {
	Sum  Sum
	Size int64
	Used time.Time // to about an hour
}

// All returns the blobs by digest, and the names below the directory of blobs
// of what is none.
func (b *Blobs) All() (blobs []Blob, strays []string, err error) {
	dirs, err := readDir(b.dir)
	if err != nil {
		return nil, nil, err
	}
	for _, d := range dirs {
		if d.Name() == filepath.Base(b.unfinished()) {
			continue
		}
		if !d.IsDir() {
			strays = append(strays, d.Name())
			continue
		}
		entries, err := readDir(filepath.Join(b.dir, d.Name()))
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			sum, ok := ParseSum(e.Name())
			if !ok || !strings.HasPrefix(e.Name(), d.Name()) || len(d.Name()) != 2 || !e.Type().IsRegular() {
				strays = append(strays, d.Name()+"/"+e.Name())
				continue
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // collected meanwhile; readers do not wait
			}
			if err != nil {
				return nil, nil, err
			}
			blobs = append(blobs, Blob{sum, info.Size(), info.ModTime()})
		}
	}
	return blobs, strays, nil
}

// readDir lists a directory; what is none, or is not there, holds nothing.
func readDir(dir string) ([]fs.DirEntry, error) {
	if _, mode, err := FileStat(dir); errors.Is(err, fs.ErrNotExist) || err == nil && !mode.IsDir() {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// Damage is something that was found in a cache and moved out of it.
type Damage struct {
	Name string // the digest that a blob should have, or a name below blobs/
	Why  string
}

// Check reads all blobs and sets aside what is not what its name says. It
// returns how many blobs and bytes it has read.
func (b *Blobs) Check(ctx context.Context) (count int, size int64, damaged []Damage, err error) {
	blobs, strays, err := b.All()
	if err != nil {
		return 0, 0, nil, err
	}
	why := make([]string, len(blobs))
	errs := make([]error, len(blobs))
	next := make(chan int)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				sum, _, err := Hash(b.path(blobs[i].Sum))
				switch {
				case errors.Is(err, fs.ErrPermission):
					errs[i] = err
				case err != nil:
					why[i] = "it cannot be read: " + err.Error()
				case sum != blobs[i].Sum:
					why[i] = "its contents have the digest " + sum.String()
				}
			}
		})
	}
	for i := range blobs {
		if ctx.Err() != nil {
			break
		}
		next <- i
		size += blobs[i].Size
	}
	close(next)
	wg.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return 0, 0, nil, err
	}
	for i, w := range why {
		if w == "" {
			continue
		}
		if err := setAside(b.path(blobs[i].Sum), b.aside(), b.perm.Dir); err != nil {
			return 0, 0, damaged, err
		}
		damaged = append(damaged, Damage{blobs[i].Sum.String(), w})
	}
	for _, name := range strays {
		if err := setAside(filepath.Join(b.dir, filepath.FromSlash(name)), b.aside(), b.perm.Dir); err != nil {
			return 0, 0, damaged, err
		}
		damaged = append(damaged, Damage{name, "it is no blob"})
	}
	return len(blobs), size, damaged, nil
}

// Path returns where a blob is, if it is there and has the size.
func (b *Blobs) Path(sum Sum, size int64) (string, bool) {
	st, mode, err := Lstat(b.path(sum))
	return b.path(sum), err == nil && mode.IsRegular() && st.Size == size
}

// Remove removes blobs.
func (b *Blobs) Remove(sums []Sum) error {
	for _, sum := range sums {
		if err := removeIfThere(b.path(sum)); err != nil {
			return err
		}
	}
	return nil
}

// Usage is how much of a disk something takes.
type Usage struct {
	Files int
	Bytes int64
}

// UsageOf adds up the files of a store by the name that holds them: blobs,
// records, index, runs and so on.
func UsageOf(dir string) (map[string]Usage, error) {
	used := map[string]Usage{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile; readers do not wait
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		u := used[name]
		u.Files++
		u.Bytes += info.Size()
		used[name] = u
		return nil
	})
	return used, err
}

// cached are the names of a store that hold what can be made again. The rest
// stays when it is cleared: the lock, by which others wait, the run history,
// and edited outputs, which exist nowhere else.
var cached = []string{"records", "records.new", "index", "index.new", "clock", "blobs", "scratch", asideDir}

// Clear removes everything that can be made again. The caller holds the lock
// and has not opened the store. Records go first: a crash leaves blobs without
// records and not the reverse.
func Clear(dir string) (Usage, error) {
	var freed Usage
	used, err := UsageOf(dir)
	if err != nil {
		return freed, err
	}
	for _, name := range cached {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return freed, err
		}
		freed.Files += used[name].Files
		freed.Bytes += used[name].Bytes
	}
	return freed, nil
}

// DropDamaged removes what was set aside.
func (s *Store) DropDamaged() error { return os.RemoveAll(filepath.Join(s.dir, asideDir)) }

// DamagedDir is the directory of what was set aside.
func (s *Store) DamagedDir() string { return filepath.Join(s.dir, asideDir) }

// sortItems puts what a pack holds into its order.
func sortItems(items []Item) {
	slices.SortFunc(items, func(a, b Item) int { return slices.Compare(a.Sum[:], b.Sum[:]) })
}
