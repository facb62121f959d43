package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// packFormat is the version of what CacheExport writes.
const packFormat = "build-cache/1"

// Heads of a pack.
const (
	packManifest = "manifest.json"
	packRecords  = "records"
)

// Limits of a pack that is imported. Its own list of contents is far below the
// first; the second is what a disk is expected to have room for, and can be
// chosen.
const (
	maxPackHead      = 64 << 20
	DefaultPackLimit = 4 << 30
)

// packed is the list of a pack. Its digest is the root: it stands for all
// results and for the keys of the steps that made them, and not for how long
// these took.
type packed struct {
	Format  string         `json:"format"`
	Records []packedRecord `json:"records"` // by step
	Sources []packedFile   `json:"sources"` // by path
}

type packedRecord struct {
	Step    string       `json:"step"`
	Key     string       `json:"key"`
	Outputs []packedFile `json:"outputs"`
}

type packedFile struct {
	Path    string `json:"path"`
	Digest  string `json:"digest"`
	Size    int64  `json:"size"`
	Exec    bool   `json:"executable,omitempty"`
	Kind    string `json:"kind,omitempty"`
	Meaning string `json:"meaning,omitempty"` // digest of meaning
}

// source is a public file that steps read and none of them makes, whose
// contents the public cache holds: a step that declassifies made it, or it came
// with a pack.
type source struct {
	ref  Ref
	abs  string
	sum  store.Sum
	size int64
}

// packList returns the list of a pack, as bytes that are the same for the same
// contents.
func packList(recs []*record, sources []source) ([]byte, error) {
	p := packed{Format: packFormat, Records: []packedRecord{}, Sources: []packedFile{}}
	for _, rec := range recs {
		m, err := decodeManifest(rec.manifest.joined())
		if err != nil {
			return nil, err
		}
		r := packedRecord{Step: m.step, Key: rec.key.String(), Outputs: []packedFile{}}
		for _, out := range rec.outs {
			r.Outputs = append(r.Outputs, packedFile{out.ref.String(), out.sum.String(), out.size, out.exec, out.kind, out.meaning})
		}
		p.Records = append(p.Records, r)
	}
	for _, src := range sources {
		p.Sources = append(p.Sources, packedFile{Path: src.ref.String(), Digest: src.sum.String(), Size: src.size})
	}
	b, err := json.MarshalIndent(p, "", "  ")
	return append(b, '\n'), err
}

// sources finds the sources of records.
func (s *session) sources(ctx context.Context, recs []*record) ([]source, error) {
	st := s.tier(false)
	if st == nil {
		return nil, nil
	}
	madeHere, read := map[Ref]bool{}, map[Ref][]entry{}
	for _, rec := range recs {
		m, err := decodeManifest(rec.manifest.joined())
		if err != nil {
			continue
		}
		for _, out := range rec.outs {
			madeHere[out.ref] = true
		}
		for _, g := range m.inputs {
			for e := range g.entries.all() {
				if (e.kind.isFile() || e.kind == kindMeaning) && !slices.Contains(read[e.ref], e) {
					read[e.ref] = append(read[e.ref], e)
				}
			}
		}
	}
	var found []source
	for ref, entries := range read {
		root, known := s.opt.Roots[ref.Root]
		if !known || root.Private || s.opt.private(s.opt.abs(ref)) || madeHere[ref] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		src := source{ref: ref, abs: s.opt.abs(ref)}
		f, err := s.view.digest(ref, src.abs)
		if err != nil {
			continue // not there, or no file: then it is no source of a pack
		}
		src.sum, src.size = f.sum, f.stat.Size
		if _, held := st.Blobs.Path(src.sum, src.size); !held {
			continue
		}
		for _, e := range entries {
			same, err := s.stillRead(ctx, src, e)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", ref, plainError(err))
			}
			if same {
				found = append(found, src)
				break
			}
		}
	}
	slices.SortFunc(found, func(a, b source) int { return compareRefs(a.ref, b.ref) })
	return found, nil
}

// stillRead says that a file is what a step read.
func (s *session) stillRead(ctx context.Context, src source, e entry) (bool, error) {
	if e.kind.isFile() {
		return e.sum == src.sum && e.size == src.size, nil
	}
	kind, digest, _ := strings.Cut(e.meaning, " ")
	if s.opt.Digests[kind] == nil {
		return false, nil
	}
	now, err := s.view.meaning(ctx, kind, place{ref: src.ref, abs: src.abs}, src.sum, src.size)
	return now == digest, err
}

// CacheExported is what was written.
type CacheExported struct {
	Root    string   `json:"root"` // digest that stands for all of it
	Records int      `json:"records"`
	Blobs   int      `json:"blobs"`
	Bytes   int64    `json:"bytes"` // of the blobs
	Sources []Ref    `json:"sources"`
	Left    []string `json:"left"` // steps that are not in it, as their outputs are trees
}

// CacheExport writes the state of the last builds to one file, as far as it is
// public: the newest record of every public step, what these steps made, and
// the public sources that private steps made. Everything passes the gate once
// more, and what the records say of steps must need no redaction. Equal results
// give an equal root, whoever built them and when, as far as they have equal
// bytes. It reads only and waits for nobody.
func (g *Graph) CacheExport(ctx context.Context, path string) (done *CacheExported, err error) {
	s, err := g.openCache(ctx, false, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	done = &CacheExported{}
	recs, stored := s.lastPublic(done)
	if len(recs) == 0 {
		return nil, errors.New("the public cache holds no results yet: build first")
	}
	if err := s.sayNothing(recs); err != nil {
		return nil, err
	}
	sources, err := s.sources(ctx, recs)
	if err != nil {
		return nil, err
	}
	manifest, err := packList(recs, sources)
	if err != nil {
		return nil, err
	}
	items, err := s.items(recs, sources)
	if err != nil {
		return nil, err
	}
	for _, src := range sources {
		done.Sources = append(done.Sources, src.ref)
	}
	root := blake3.Sum256(manifest)
	done.Root, done.Records, done.Blobs = store.Sum(root).String(), len(recs), len(items)
	for _, item := range items {
		done.Bytes += item.Size
	}
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(store.Public.File))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Cleanup()) }()
	heads := []store.Head{{Name: packManifest, Data: manifest}, {Name: packRecords, Data: encodeRecords(stored)}}
	if err := store.WritePack(ctx, f, heads, items); err != nil {
		return nil, fmt.Errorf("export to %s: %w", filepath.Base(path), err)
	}
	return done, f.CloseAtomicallyReplace()
}

// lastPublic returns the newest records of the public steps, by step.
func (s *session) lastPublic(done *CacheExported) (recs []*record, stored []store.Record) {
	st := s.tier(false)
	if st == nil {
		return nil, nil
	}
	last := map[string]store.Record{}
	for _, r := range st.Records.All() {
		if n := s.plan.byName[r.Step]; s.plan.exists(r.Step) && (n == nil || !n.secret) {
			last[r.Step] = r
		}
	}
	names := make([]string, 0, len(last))
	for name := range last {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		rec, err := decodeRecord(last[name])
		if err != nil {
			continue // as good as not there
		}
		if slices.ContainsFunc(rec.outs, func(m made) bool { return m.tree }) {
			done.Left = append(done.Left, name)
			continue
		}
		recs, stored = append(recs, rec), append(stored, last[name])
	}
	return recs, stored
}

// sayNothing refuses records whose words would be redacted where people read
// them: parameters, names and paths.
func (s *session) sayNothing(recs []*record) error {
	for _, rec := range recs {
		m, err := decodeManifest(rec.manifest.joined())
		if err != nil {
			return err
		}
		words := []string{m.step}
		for _, p := range slices.Concat(m.params, m.tools) {
			words = append(words, p.name, p.value)
		}
		for _, v := range m.env {
			words = append(words, v.name)
		}
		for _, g := range m.inputs {
			words = append(words, g.input.String())
			for e := range g.entries.all() {
				words = append(words, e.ref.String(), e.meaning)
			}
		}
		words = append(words, m.outputs...)
		if all := strings.Join(words, "\n"); s.opt.Redact(all) != all {
			return fmt.Errorf("the record of step %s may not become public: its parameters or the names of its files hold what is private", s.opt.Redact(m.step))
		}
	}
	return nil
}

// items finds the contents of outputs and sources: in the cache, or in place.
func (s *session) items(recs []*record, sources []source) ([]store.Item, error) {
	var items []store.Item
	have := map[store.Sum]bool{}
	add := func(ref Ref, sum store.Sum, size int64, what string) error {
		abs := s.opt.abs(ref)
		if _, known := s.opt.Roots[ref.Root]; !known || s.opt.private(abs) {
			return fmt.Errorf("%s is not under a public root of this graph", what)
		}
		path, held := s.tier(false).Blobs.Path(sum, size)
		if got, _, err := store.Hash(path); !held || err != nil || got != sum {
			if got, _, err := store.Hash(abs); err != nil || got != sum {
				return fmt.Errorf("%s is neither in the cache nor in place as it was made: build again, then export", what)
			}
			path = abs
		}
		if s.opt.Gate != nil {
			if err := s.opt.Gate(ref, path); err != nil {
				return fmt.Errorf("%s may not become public: %w", what, err)
			}
		}
		if !have[sum] {
			have[sum] = true
			items = append(items, store.Item{Sum: sum, Size: size, Path: path})
		}
		return nil
	}
	for _, rec := range recs {
		for _, m := range rec.outs {
			if err := add(m.ref, m.sum, m.size, "output "+m.ref.String()); err != nil {
				return nil, err
			}
		}
	}
	for _, src := range sources {
		if err := add(src.ref, src.sum, src.size, src.ref.String()); err != nil {
			return nil, err
		}
	}
	return items, nil
}

func encodeRecords(recs []store.Record) []byte {
	var w writer
	w.num(len(recs))
	for _, r := range recs {
		w.str(r.Step)
		w.sum(r.Key)
		w.num(len(r.Body) + pieces(r.Tail).size())
		w.b = append(w.b, r.Body...)
		for _, part := range r.Tail {
			w.b = append(w.b, part...)
		}
	}
	return w.b
}

func decodeRecords(b []byte) ([]store.Record, error) {
	r := reader{b: b}
	var recs []store.Record
	for range r.num() {
		recs = append(recs, store.Record{Step: r.str(), Key: r.sum(), Body: r.take(r.num())})
		if r.bad {
			break
		}
	}
	if r.end() != nil {
		return nil, errors.New("its records are damaged")
	}
	return recs, nil
}

// CacheImport says what to accept.
type CacheImport struct {
	Root     string // the root digest that the file must have; "" for any
	MaxBytes int64  // of all contents together; 0: DefaultPackLimit
}

// CacheImported is what was taken over.
type CacheImported struct {
	Root    string `json:"root"`
	Records int    `json:"records"` // new here
	Known   int    `json:"known"`   // that were here already
	Blobs   int    `json:"blobs"`   // new here
	Placed  []Ref  `json:"placed"`  // sources that were put in place
	Kept    []Ref  `json:"kept"`    // sources of other contents that were here already
}

// CacheImport takes over what CacheExport wrote. All of it is verified before
// anything is kept: that the list of contents has the digest that it shall
// have, that the records say what the list says and have the keys that they
// claim, and that every content has its digest. No path of the file is used but
// that of a source that this graph declares, and where a file is already it is
// left alone. Records of the workspace count as newer than imported ones.
//
// What a record says, that a step gave this from that, is believed as far as
// the maker of the file is: the root digest says who that is.
func (g *Graph) CacheImport(ctx context.Context, path string, accept CacheImport) (done *CacheImported, err error) {
	if accept.MaxBytes == 0 {
		accept.MaxBytes = DefaultPackLimit
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", path), err)
	}
	s, err := g.openCache(ctx, true, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	st := s.tier(false)
	done = &CacheImported{}
	var p *pack
	staged, err := st.Blobs.ReadPack(ctx, f, []string{packManifest, packRecords}, store.PackLimits{Head: maxPackHead, Blobs: accept.MaxBytes}, func(heads [][]byte) (items []store.Item, err error) {
		sum := blake3.Sum256(heads[0])
		if done.Root = store.Sum(sum).String(); accept.Root != "" && done.Root != accept.Root {
			return nil, fmt.Errorf("its root digest is %s and not %s", done.Root, accept.Root)
		}
		if p, err = readPack(heads[0], heads[1]); err != nil {
			return nil, err
		}
		return p.items(), nil
	})
	if err != nil {
		return nil, fmt.Errorf("import of %s: %w; nothing was imported", filepath.Base(path), err)
	}
	done.Blobs = staged.Len()
	if err := staged.Keep(); err != nil {
		return nil, err
	}
	if err := store.SyncDisks(st.Dir()); err != nil {
		return nil, err
	}
	older := make([]store.Record, 0, len(p.stored))
	for _, r := range p.stored {
		if _, known := st.Records.ByKey(r.Key); known {
			done.Known++
			continue
		}
		older = append(older, r)
	}
	if done.Records = len(older); done.Records > 0 {
		if err := st.Records.Replace(append(older, st.Records.All()...)); err != nil {
			return nil, err
		}
	}
	return done, s.placeSources(p.sources, done)
}

// pack is a verified list with its records.
type pack struct {
	recs    []*record
	stored  []store.Record
	sources []source
}

// readPack reads the heads of a pack and makes sure that they agree.
func readPack(manifest, records []byte) (*pack, error) {
	var said packed
	if err := json.Unmarshal(manifest, &said); err != nil {
		return nil, fmt.Errorf("%s: %w", packManifest, err)
	}
	if said.Format != packFormat {
		return nil, fmt.Errorf("its format is %q; this program reads %q", said.Format, packFormat)
	}
	stored, err := decodeRecords(records)
	if err != nil {
		return nil, err
	}
	p := &pack{stored: stored}
	for i, r := range stored {
		rec, err := decodeRecord(r)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		m, err := decodeManifest(rec.manifest.joined())
		if err != nil || m.step != r.Step || checkName(r.Step) != nil {
			return nil, fmt.Errorf("record %d is not that of its step", i)
		}
		if i > 0 && stored[i-1].Step >= r.Step {
			return nil, errors.New("its records are not in order")
		}
		for _, out := range rec.outs {
			if out.tree || out.size < 0 || out.ref.Root == "" || checkPath(out.ref.Path) != nil {
				return nil, fmt.Errorf("record %d names an output that cannot be in a pack", i)
			}
		}
		p.recs = append(p.recs, rec)
	}
	for i, src := range said.Sources {
		root, path, _ := strings.Cut(src.Path, ":")
		ref := Ref{root, path}
		sum, isSum := store.ParseSum(src.Digest)
		if root == "" || checkPath(path) != nil || !isSum || src.Size < 0 || i > 0 && said.Sources[i-1].Path >= src.Path {
			return nil, fmt.Errorf("source %d is not one", i)
		}
		p.sources = append(p.sources, source{ref: ref, sum: sum, size: src.Size})
	}
	again, err := packList(p.recs, p.sources)
	if err != nil || !bytes.Equal(again, manifest) {
		return nil, errors.Join(errors.New("its manifest does not say what its records say"), err)
	}
	return p, nil
}

// items are the contents that belong to a pack, each once.
func (p *pack) items() []store.Item {
	sizes := map[store.Sum]int64{}
	for _, rec := range p.recs {
		for _, m := range rec.outs {
			sizes[m.sum] = m.size
		}
	}
	for _, src := range p.sources {
		sizes[src.sum] = src.size
	}
	items := make([]store.Item, 0, len(sizes))
	for sum, size := range sizes {
		items = append(items, store.Item{Sum: sum, Size: size})
	}
	slices.SortFunc(items, func(a, b store.Item) int { return slices.Compare(a.Sum[:], b.Sum[:]) })
	return items
}

// placeSources puts sources in place that this graph reads and that are not
// there. They pass the gate like any output.
func (s *session) placeSources(sources []source, done *CacheImported) error {
	wanted := map[string]bool{}
	for _, n := range s.plan.nodes {
		for i := range n.ins {
			if n.ins[i].kind == inFile {
				wanted[n.ins[i].abs()] = true
			}
		}
	}
	for _, src := range sources {
		if _, known := s.opt.Roots[src.ref.Root]; !known {
			continue
		}
		abs := s.opt.abs(src.ref)
		if !wanted[abs] || s.opt.private(abs) {
			continue
		}
		if _, _, err := store.Lstat(abs); err == nil {
			if sum, _, err := store.Hash(abs); err != nil || sum != src.sum {
				done.Kept = append(done.Kept, src.ref)
			}
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s: %w", src.ref, plainError(err))
		}
		if err := s.placeSource(src, abs); err != nil {
			return fmt.Errorf("%s: %w", src.ref, err)
		}
		done.Placed = append(done.Placed, src.ref)
	}
	return nil
}

func (s *session) placeSource(src source, abs string) (err error) {
	if err := s.opt.mkdir(filepath.Dir(abs)); err != nil {
		return err
	}
	if err := s.clearStaging(abs); err != nil {
		return err
	}
	dir := filepath.Join(s.opt.staging(s.opt.home(abs)), "import")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp := filepath.Join(dir, filepath.Base(abs))
	if err := s.tier(false).Blobs.Restore(src.sum, tmp, s.filePerm(abs, false)); err != nil {
		return err
	}
	if s.opt.Gate != nil {
		if err := s.opt.Gate(src.ref, tmp); err != nil {
			return fmt.Errorf("it may not become public: %w", err)
		}
	}
	return s.rename(tmp, abs)
}
