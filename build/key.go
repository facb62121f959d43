package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/zeebo/blake3"

	"github.com/foundation-plr/pipeline/internal/store"
)

// manifestFormat changes whenever the same step with the same inputs shall get
// another key, such as when the engine itself computed something wrongly.
const manifestFormat = "step manifest 2"

// manifest is everything that the outcome of a step depends on. Its encoding
// is what the key is the digest of; records hold the encoding, so that the
// reason why a step is stale is the difference of two manifests. Every string
// and list is preceded by its length: different manifests never have one
// encoding, which the tests hold by decoding it again.
type manifest struct {
	format    string
	step      string
	code      string
	toolchain string
	params    []param
	env       []variable
	tools     []param // name, version
	inputs    []group
	outputs   []string
	ledgers   entryList
}

// variable is an environment variable. The value itself may be a secret and
// stands in no record; its digest does.
type variable struct {
	name  string
	set   bool
	value store.Sum
}

// group is one declared input with what it stands for.
type group struct {
	input   Input
	entries entryList
}

// entry is one file of a group. Where a kind of meaning counts, meaning is its
// digest, and sum and size are zero.
type entry struct {
	kind    entryKind
	ref     Ref
	size    int64
	sum     store.Sum
	meaning string
}

type entryKind byte

const (
	kindFile entryKind = iota + 1
	kindTree
	kindMeaning
	kindAbsent // also a ledger that does not exist yet
	kindNamedFile
	kindNamedDir
	kindNamedOther
	// What is reached through a link that is absolute or leaves its root: whoever
	// reads within the root, as os.Root does, cannot have it.
	kindFileOutside
	kindNamedOutside
	kindLast = kindNamedOutside
)

// isFile says that the contents of a file count.
func (k entryKind) isFile() bool { return k == kindFile || k == kindFileOutside }

// isName says that nothing but the name and what stands there counts.
func (k entryKind) isName() bool {
	switch k {
	case kindNamedFile, kindNamedDir, kindNamedOther, kindNamedOutside:
		return true
	}
	return false
}

func (e entry) text() string {
	switch e.kind {
	case kindFile, kindFileOutside, kindTree:
		return e.sum.String()
	case kindMeaning:
		return e.meaning
	}
	return ""
}

// toolchain is what turns sources into results: floating point differs
// between architectures and their levels.
func toolchain() string { return toolchainName() }

var toolchainName = sync.OnceValue(func() string { return runtime.Version() + " " + Platform() })

// manifest returns the manifest of a node over resolved inputs and the present
// state of its ledgers.
func (n *node) manifest(groups []group, ledgers entryList) (*manifest, error) {
	m := &manifest{
		format:    manifestFormat,
		step:      n.Name,
		code:      n.code,
		toolchain: toolchain(),
		params:    n.params,
		inputs:    groups,
		ledgers:   ledgers,
	}
	if n.MakeParams != nil {
		var err error
		if m.params, err = encodeParams(n.MakeParams()); err != nil {
			return nil, err
		}
	}
	for name, version := range n.Tools {
		m.tools = append(m.tools, param{name, version})
	}
	if n.command != nil && n.command.digest != "" {
		m.tools = append(m.tools, param{n.Command[0], n.command.digest})
	}
	slices.SortFunc(m.tools, func(a, b param) int { return compare(a.name, b.name) })
	for _, name := range n.Env {
		v, set := os.LookupEnv(name)
		m.env = append(m.env, variable{name, set, blake3.Sum256([]byte(v))})
	}
	slices.SortFunc(m.env, func(a, b variable) int { return compare(a.name, b.name) })
	m.env = slices.Compact(m.env)
	for _, o := range n.Outputs {
		m.outputs = append(m.outputs, o.String()+"\x00"+o.Kind)
	}
	slices.Sort(m.outputs)
	return m, nil
}

// encode returns the encoding, of which the lists of entries are parts as they are: that
// of a step which lists a large store would be in memory twice.
func (m *manifest) encode() pieces {
	w := writer{whole: true}
	m.write(&w)
	return w.pieces()
}

// pieces are bytes that follow each other.
type pieces [][]byte

// joined returns the bytes in one piece.
func (p pieces) joined() []byte {
	if len(p) == 1 {
		return p[0]
	}
	return bytes.Join(p, nil)
}

func (p pieces) size() int {
	size := 0
	for _, piece := range p {
		size += len(piece)
	}
	return size
}

// wholeManifest is up to what length a manifest is encoded to compute its key. Longer
// ones, which are those of steps that list a large store, are digested in pieces. Less
// in tests.
var wholeManifest = 1 << 20

// key returns the digest of the encoding, and the encoding in the writer's bytes unless
// that is too long: then there are none.
func (m *manifest) key(w *writer) store.Sum {
	if m.room() <= wholeManifest {
		w.b = slices.Grow(w.b, m.room())
		m.write(w)
		return keyOf(w.b)
	}
	w.hash = blake3.New()
	m.write(w)
	_, _ = w.hash.Write(w.b) // a hash does not fail
	w.b = w.b[:0]
	sum := store.Sum(w.hash.Sum(nil))
	w.hash = nil
	return sum
}

// room is about how long the encoding is. Too little costs a copy; see also key.
func (m *manifest) room() int {
	const short = 512 // what is nowhere long
	size := short + m.ledgers.text.size()
	for _, p := range m.params {
		size += len(p.name) + len(p.value) + 4
	}
	for _, g := range m.inputs {
		size += len(g.input.pattern) + g.entries.text.size() + 16
	}
	return size
}

func (m *manifest) write(w *writer) {
	w.str(m.format)
	w.str(m.step)
	w.str(m.code)
	w.str(m.toolchain)
	w.pairs(m.params)
	w.num(len(m.env))
	for _, v := range m.env {
		w.str(v.name)
		w.bool(v.set)
		w.sum(v.value)
	}
	w.pairs(m.tools)
	w.num(len(m.inputs))
	for _, g := range m.inputs {
		w.byte(byte(g.input.kind))
		w.str(g.input.root)
		w.str(g.input.pattern)
		w.str(g.input.as)
		w.list(g.entries)
	}
	w.num(len(m.outputs))
	for _, o := range m.outputs {
		w.str(o)
	}
	w.list(m.ledgers)
}

func decodeManifest(b []byte) (*manifest, error) {
	r := reader{b: b}
	m := new(manifest)
	m.format = r.str()
	m.step = r.str()
	m.code = r.str()
	m.toolchain = r.str()
	m.params = r.pairs()
	for range r.num() {
		m.env = append(m.env, variable{r.str(), r.bool(), r.sum()})
	}
	m.tools = r.pairs()
	for range r.num() {
		var g group
		g.input = Input{kind: inputKind(r.byte()), root: r.str(), pattern: r.str(), as: r.str()}
		if g.input.kind < inFile || g.input.kind > inOutputsOf {
			r.bad = true
		}
		g.entries = r.list()
		m.inputs = append(m.inputs, g)
	}
	for range r.num() {
		m.outputs = append(m.outputs, r.str())
	}
	m.ledgers = r.list()
	return m, r.end()
}

func keyOf(encoded ...[]byte) store.Sum {
	if len(encoded) == 1 {
		return blake3.Sum256(encoded[0])
	}
	hash := blake3.New()
	for _, piece := range encoded {
		_, _ = hash.Write(piece) // a hash does not fail
	}
	return store.Sum(hash.Sum(nil))
}

// writer and reader are the one binary form of manifests and records: numbers
// as unsigned varints, strings with their length in front.
type writer struct {
	b     []byte
	hash  *blake3.Hasher // nil, or where b goes before what is long
	whole bool           // what is long becomes a piece as it is
	full  pieces         // before b
}

// pieces returns what was written.
func (w *writer) pieces() pieces { return append(w.full, w.b) }

func (w *writer) byte(c byte)   { w.b = append(w.b, c) }
func (w *writer) num(n int)     { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) int64(n int64) { w.b = binary.AppendUvarint(w.b, uint64(n)) }
func (w *writer) str(s string)  { w.num(len(s)); w.b = append(w.b, s...) }
func (w *writer) raw(b []byte) {
	switch {
	case w.hash != nil:
		_, _ = w.hash.Write(w.b) // a hash does not fail
		_, _ = w.hash.Write(b)
		w.b = w.b[:0]
	case w.whole && len(b) >= longPiece:
		w.full = append(w.full, w.b, b)
		w.b = nil
	default:
		w.b = append(w.b, b...)
	}
}

// longPiece is from what length on it pays not to copy. Less in tests.
var longPiece = 4 << 10

func (w *writer) sum(s store.Sum) { w.b = append(w.b, s[:]...) }
func (w *writer) bool(v bool) {
	if v {
		w.byte(1)
	} else {
		w.byte(0)
	}
}

func (w *writer) pairs(ps []param) {
	w.num(len(ps))
	for _, p := range ps {
		w.str(p.name)
		w.str(p.value)
	}
}

// front writes how much of a string is as in the one before it, and the rest: of the
// files of a large store that is a quarter of their paths.
func (w *writer) front(before, s string) {
	n := 0
	for n < len(before) && n < len(s) && before[n] == s[n] {
		n++
	}
	w.num(n)
	w.str(s[n:])
}

type reader struct {
	b   []byte
	bad bool
}

var errDamaged = errors.New("the record is damaged")

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) int64() int64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || n != (bits.Len64(v|1)+6)/7 { // longer than it has to be
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int64(v)
}

// num reads a length; nothing is longer than what is left to read.
func (r *reader) num() int {
	n := r.int64()
	if n < 0 || n > int64(len(r.b)) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) str() string { return string(r.take(r.num())) }
func (r *reader) sum() (s store.Sum) {
	copy(s[:], r.take(len(s)))
	return s
}

func (r *reader) bool() bool {
	c := r.byte()
	r.bad = r.bad || c > 1
	return c == 1
}

func (r *reader) pairs() []param {
	var ps []param
	for range r.num() {
		ps = append(ps, param{r.str(), r.str()})
	}
	return ps
}

// front reads what the writer's front has written, and nothing else: a string has
// one form only.
func (r *reader) front(before string) string {
	n := r.int64()
	rest := r.str()
	if n < 0 || n > int64(len(before)) || int(n) < len(before) && rest != "" && rest[0] == before[n] {
		r.bad = true
		return ""
	}
	if rest == "" && int(n) == len(before) {
		return before
	}
	return before[:n] + rest
}

func (r *reader) end() error {
	if r.bad || len(r.b) > 0 {
		return errDamaged
	}
	return nil
}
