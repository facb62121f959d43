package build

import (
	"io/fs"

	"github.com/foundation-plr/pipeline/internal/store"
)

// settledFile is a regular file, no link, that was looked at.
type settledFile struct {
	path    pathKey
	in      store.Entry // of the index of its tier; 0: it was forgotten
	forgets uint32      // of the view, when it was looked at, and the marks
}

// Marks of a settled file: of its mode nothing else is asked for. A build forgets far
// fewer trees than there is room for beside them.
const (
	markPrivate = 1 << iota // by where it is, see Options.private
	markExec                // its owner may execute it
	markBits    = iota
)

func settledAs(path pathKey, in store.Entry, mode fs.FileMode, private bool, forgets uint32) settledFile {
	f := settledFile{path, in, forgets << markBits}
	if private {
		f.forgets |= markPrivate
	}
	if mode&0o100 != 0 {
		f.forgets |= markExec
	}
	return f
}

func (f *settledFile) private() bool { return f.forgets&markPrivate != 0 }

func (f *settledFile) since() uint32 { return f.forgets >> markBits }

// mode is that of a regular file that may be executed or not.
func (f *settledFile) mode() fs.FileMode {
	if f.forgets&markExec != 0 {
		return 0o100
	}
	return 0
}

// settledFiles finds files by their paths. A map would take twice the memory, and there
// are ten of them for each run of a store.
type settledFiles struct {
	places store.Table
	files  [][]settledFile // settledChunk in each but the last; they stay where they are
}

// settledChunk is for how many files room is made at once: to grow as slices do would
// take more than twice the memory for a while.
const settledChunk = 1 << 10

func newSettledFiles(room int) settledFiles { return settledFiles{places: store.NewTable(room)} }

func (s *settledFiles) at(i uint32) *settledFile { return &s.files[i/settledChunk][i%settledChunk] }

func (s *settledFiles) is(path pathKey) func(at uint32) bool {
	return func(at uint32) bool { return s.at(at).path == path }
}

// find returns what is known of a path, nil if nothing is.
func (s *settledFiles) find(path pathKey) *settledFile {
	if at, ok := s.places.Find(path[0], s.is(path)); ok && s.at(at).in != 0 {
		return s.at(at)
	}
	return nil
}

// put keeps what is known of a file in the place of what was.
func (s *settledFiles) put(f settledFile) {
	if at, ok := s.places.Find(f.path[0], s.is(f.path)); ok {
		*s.at(at) = f
		return
	}
	last := len(s.files) - 1
	if last < 0 || len(s.files[last]) == settledChunk {
		s.files = append(s.files, make([]settledFile, 0, settledChunk))
		last++
	}
	s.files[last] = append(s.files[last], f)
	at := uint32(last*settledChunk + len(s.files[last]) - 1)
	s.places.Put(f.path[0], at, s.is(f.path), func(at uint32) uint64 { return s.at(at).path[0] })
}

// forget drops what is known of a path.
func (s *settledFiles) forget(path pathKey) {
	if f := s.find(path); f != nil {
		f.in = 0
	}
}
