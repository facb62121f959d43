package build

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/store"
)

// disk knows which contents of a directory would survive a power cut: those
// that were there at the last sync of the file system, and of single files
// those that were there when they were synced.
type disk struct {
	dir    string
	names  map[string]stored // by path
	inodes map[uint64][]byte // contents of files, whatever their name has become

	zeroed map[string]store.Stat // what files were before a cut made zeros of them
}

// stored is a file, or a directory.
type stored struct {
	ino  uint64
	mode fs.FileMode
	data []byte
	to   string // of a link
	stat store.Stat
}

// readDisk takes all that is there as durable.
func readDisk(t testing.TB, dir string) *disk {
	d := &disk{dir: dir}
	d.sync(t)
	return d
}

func (d *disk) sync(t testing.TB) {
	d.names = readNames(t, d.dir)
	d.inodes = map[uint64][]byte{}
	for _, s := range d.names {
		if s.mode.IsRegular() {
			d.inodes[s.ino] = s.data
		}
	}
}

// readNames reads a directory that others write to: what vanishes is not there.
func readNames(t testing.TB, dir string) map[string]stored {
	names := map[string]stored{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it has vanished
		}
		s := stored{ino: info.Sys().(*syscall.Stat_t).Ino, mode: info.Mode()}
		switch {
		case info.Mode().IsRegular():
			if s.data, err = os.ReadFile(path); err != nil {
				return nil //nolint:nilerr // it has vanished
			}
			if s.stat, _, err = store.Lstat(path); err != nil {
				return nil //nolint:nilerr // it has vanished
			}
		case info.Mode()&fs.ModeSymlink != 0:
			if s.to, err = os.Readlink(path); err != nil {
				return nil //nolint:nilerr // it has vanished
			}
		}
		names[relative(dir, path)] = s
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return names
}

// note is told of a call before it is done. That a sync makes durable what is
// there when it begins is all that one may rely on.
func (d *disk) note(t testing.TB, op, path string) {
	switch op {
	case "sync all":
		d.sync(t)
	case "sync":
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		d.inodes[info.Sys().(*syscall.Stat_t).Ino] = data
	}
}

// cut makes the directory what a power cut may leave: each name that was not
// durable is there or is not, each content that was not is there, cut off, or
// zeros. No file system does all of that at once; none does worse.
func (d *disk) cut(t testing.TB, r *rand.Rand) {
	d.zeroed = map[string]store.Stat{}
	now := readNames(t, d.dir)
	paths := slices.Collect(maps.Keys(now))
	for path := range d.names {
		if _, there := now[path]; !there {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	after := map[string]stored{}
	for _, path := range paths {
		was, durable := d.names[path]
		is, there := now[path]
		switch {
		case durable && there && was.mode.Type() == is.mode.Type() && (is.mode.IsDir() || was.ino == is.ino):
			after[path] = d.torn(is, r)
		case r.IntN(2) == 0:
			if there {
				after[path] = d.torn(is, r)
			}
		case durable:
			if was.mode.IsRegular() {
				was.data = d.inodes[was.ino]
			}
			after[path] = was
		}
	}
	// A file cannot be without its directory.
	for path := range after {
		for up := filepath.Dir(path); up != "."; up = filepath.Dir(up) {
			if s, there := after[up]; !there || !s.mode.IsDir() {
				after[up] = stored{mode: fs.ModeDir | 0o755}
				if s, there := now[up]; there && s.mode.IsDir() {
					after[up] = s
				}
			}
		}
	}
	for _, path := range slices.Backward(paths) {
		s, keep := after[path]
		if was, there := now[path]; there && (!keep || was.mode.Type() != s.mode.Type()) {
			must(removeAll(filepath.Join(d.dir, path)))
		}
	}
	for _, path := range slices.Sorted(maps.Keys(after)) {
		s, abs := after[path], filepath.Join(d.dir, path)
		was, there := now[path]
		switch {
		case s.mode.IsDir():
			must(os.MkdirAll(abs, 0o755))
		case s.mode&fs.ModeSymlink != 0:
			if !there || was.to != s.to {
				must(os.RemoveAll(abs))
				must(os.Symlink(s.to, abs))
			}
		case there && was.ino == s.ino && bytes.Equal(was.data, s.data):
		default:
			must(os.RemoveAll(abs))
			must(os.MkdirAll(filepath.Dir(abs), 0o755))
			must(os.WriteFile(abs, s.data, 0o600))
			must(os.Chmod(abs, s.mode.Perm()))
			if there && len(s.data) == len(was.data) {
				d.zeroed[abs] = was.stat
			}
		}
	}
}

// deceive makes the index of digests believe in what became zeros: on a disk that
// kept the inode of a file but not its contents, size and times are those of
// before. A test cannot set them, but can say that the new ones are the old.
func (d *disk) deceive(t testing.TB, o Options) {
	if len(d.zeroed) == 0 {
		return
	}
	time.Sleep(testGap + testGap/2) // nothing is believed of what is young
	for _, private := range []bool{false, true} {
		dir, perm := o.PublicCache, store.Public
		if private {
			dir, perm = o.PrivateCache, store.Private
		}
		st, err := store.OpenReader(dir, perm, testGap)
		if err != nil {
			t.Fatal(err)
		}
		for abs, was := range d.zeroed {
			for name, root := range o.Roots {
				if !inside(abs, root.Path) || o.private(abs) != private {
					continue
				}
				ref := Ref{name, relative(root.Path, abs)}.String()
				if e, sum := st.Index.Get([]byte(ref), was); e != 0 {
					now, _, err := store.Lstat(abs)
					if err != nil {
						t.Fatal(err)
					}
					st.Index.Put([]byte(ref), now, sum)
					deceived++
				}
			}
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// deceived counts, so that a test can see that there is something to be deceived
// about.
var deceived int

// torn returns a file with what may be left of its contents.
func (d *disk) torn(s stored, r *rand.Rand) stored {
	if !s.mode.IsRegular() {
		return s
	}
	safe, known := d.inodes[s.ino]
	if known && bytes.Equal(safe, s.data) {
		return s
	}
	kept := 0 // bytes that are durable whatever happens
	if known && bytes.HasPrefix(s.data, safe) {
		kept = len(safe)
	}
	rest := len(s.data) - kept
	switch r.IntN(4) {
	case 0: // all of it was written
	case 1:
		if known {
			s.data = safe
		} else {
			s.data = nil
		}
	case 2:
		s.data = s.data[:kept+r.IntN(rest+1)]
	case 3:
		s.data = append(slices.Clone(s.data[:kept]), make([]byte, rest)...)
	}
	return s
}

// TestPowerCutIsOne holds that the model of a power cut loses what was not
// synced and nothing else.
func TestPowerCutIsOne(t *testing.T) {
	lost, torn := 0, 0
	for seed := range uint64(40) {
		dir := t.TempDir()
		write := func(name, text string) {
			if err := writeFile(filepath.Join(dir, name), text); err != nil {
				t.Fatal(err)
			}
		}
		write("a", "synced")
		write("log", "one\n")
		d := readDisk(t, dir)
		write("new", "synced alone")
		d.note(t, "sync", filepath.Join(dir, "new"))
		write("log", "one\ntwo\n")
		write("d/young", "not synced")
		d.cut(t, rand.New(rand.NewPCG(seed, 0)))
		got := readNames(t, dir)
		if string(got["a"].data) != "synced" || !bytes.HasPrefix(got["log"].data, []byte("one\n")) {
			t.Fatalf("what was synced is lost: %q, %q", got["a"].data, got["log"].data)
		}
		if s, there := got["new"]; there && string(s.data) != "synced alone" {
			t.Fatalf("a synced file is torn: %q", s.data)
		}
		if s, there := got["d/young"]; !there {
			lost++
		} else if string(s.data) != "not synced" {
			torn++
		}
	}
	if lost == 0 || torn == 0 {
		t.Error("nothing is ever lost or torn: ", fmt.Sprint(lost, torn))
	}
}
