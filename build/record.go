package build

import (
	"math"
	"path"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// record is what stays of a successful run: what was made, and the manifest
// that it was made under.
type record struct {
	key      store.Sum
	elapsed  time.Duration
	outs     []made // in the order of their refs
	manifest pieces
}

// made is an output as it was left.
type made struct {
	ref     Ref
	tree    bool
	exec    bool // may be executed
	kind    string
	meaning string // digest of meaning, if there is a kind
	size    int64
	sum     store.Sum
	files   []treeFile
}

// entry returns the output as others depend on it when they do not name a
// kind themselves.
func (m *made) entry() entry {
	switch {
	case m.tree:
		return entry{kind: kindTree, ref: m.ref, size: m.size, sum: m.sum}
	case m.kind != "":
		return entry{kind: kindMeaning, ref: m.ref, meaning: m.kind + " " + m.meaning}
	}
	return entry{kind: kindFile, ref: m.ref, size: m.size, sum: m.sum}
}

// same says that nobody who depends on the output can tell the difference.
func (m *made) same(o *made) bool {
	return m.ref == o.ref && m.tree == o.tree && m.exec == o.exec && m.kind == o.kind && m.entry() == o.entry()
}

// sumTree fills in what stands for the whole of a tree.
func (m *made) sumTree() {
	var w writer
	m.size = 0
	w.files(m.files)
	for _, f := range m.files {
		m.size += f.size
	}
	m.sum = blake3.Sum256(w.b)
}

// under returns the files of a tree below a directory of it; "." is all.
func (m *made) under(dir string) []treeFile {
	if dir == "." || dir == "" {
		return m.files
	}
	prefix := path.Clean(dir) + "/"
	i := sort.Search(len(m.files), func(i int) bool { return m.files[i].path >= prefix })
	j := i
	for j < len(m.files) && strings.HasPrefix(m.files[j].path, prefix) {
		j++
	}
	return m.files[i:j]
}

// find returns one file of a tree.
func (m *made) find(p string) (treeFile, bool) {
	i, ok := slices.BinarySearchFunc(m.files, p, func(f treeFile, p string) int { return compare(f.path, p) })
	if !ok {
		return treeFile{}, false
	}
	return m.files[i], true
}

func (w *writer) files(files []treeFile) {
	w.num(len(files))
	for i := range files {
		w.str(files[i].path)
		w.int64(files[i].size)
		w.sum(files[i].sum)
	}
}

// stored returns the record as it is kept.
func (r *record) stored(step string) store.Record {
	var w writer
	w.int64(int64(math.Float64bits(r.elapsed.Seconds())))
	w.num(len(r.outs))
	for i := range r.outs {
		m := &r.outs[i]
		w.str(m.ref.Root)
		w.str(m.ref.Path)
		w.bool(m.tree)
		w.bool(m.exec)
		w.str(m.kind)
		w.str(m.meaning)
		w.int64(m.size)
		w.sum(m.sum)
		w.files(m.files)
	}
	w.num(r.manifest.size())
	return store.Record{Step: step, Key: r.key, Body: w.b, Tail: r.manifest}
}

// decodeRecord reads a record and checks that it is the one of its key.
func decodeRecord(rec store.Record) (*record, error) {
	out, err := readRecord(rec)
	if err == nil && keyOf(out.manifest...) != rec.Key {
		return nil, errDamaged
	}
	return out, err
}

// readRecord reads a record. That its manifest is the one of its key is for the
// caller to check.
func readRecord(rec store.Record) (*record, error) {
	r := reader{b: rec.Body}
	out, err := r.madeBy(rec.Key)
	if err != nil {
		return nil, err
	}
	out.manifest = pieces{r.take(r.num())}
	if r.end() != nil {
		return nil, errDamaged
	}
	return out, nil
}

// madeBy reads what was made, which comes before the manifest.
func (r *reader) madeBy(key store.Sum) (*record, error) {
	out := &record{key: key}
	seconds := math.Float64frombits(uint64(r.int64()))
	if !(seconds >= 0 && seconds < math.MaxInt32) {
		r.bad = true
	}
	out.elapsed = time.Duration(seconds * float64(time.Second))
	for range r.num() {
		m := made{ref: Ref{r.str(), r.str()}, tree: r.bool(), exec: r.bool(), kind: r.str(), meaning: r.str(), size: r.int64(), sum: r.sum()}
		m.files = r.files()
		if r.bad {
			return nil, errDamaged
		}
		out.outs = append(out.outs, m)
	}
	if r.bad {
		return nil, errDamaged
	}
	return out, nil
}

func (r *reader) files() []treeFile {
	n := r.num()
	if r.bad || n == 0 {
		return nil
	}
	// One string for all paths: a tree has thousands.
	text := string(r.b)
	all := len(r.b)
	files := make([]treeFile, 0, min(n, len(r.b)/34))
	for range n {
		k := r.num()
		at := all - len(r.b)
		if r.take(k) == nil {
			r.bad = true
			return nil
		}
		files = append(files, treeFile{path: text[at : at+k], size: r.int64(), sum: r.sum()})
		if r.bad {
			return nil
		}
	}
	return files
}
