// Package pickle reads Python pickles that nobody vouches for, within bounds.
//
// A preflight interprets every opcode on kinds instead of values: which
// opcodes and globals occur, whether each operand ends inside the file, what
// lies on the stack and in the memo, and how much memory the values would
// take. On its way it keeps, rewritten, what makes the values that are wanted,
// and drops the rest. Only after the whole file passed, gopickle makes the
// values of what was kept, with hooks for the few numpy types that measures are
// written with. Memo entries that nobody fetches, frames and whatever would
// make gopickle fail on valid input are gone by then, and no name of a global
// is left to look up.
//
// What is not wanted is checked like the rest but for two things that show only
// when a value is made: that an array's bytes fill its shape and its state is
// complete, and that a scalar's bytes have the size of its dtype.
//
// The package knows no layout of any file, no subject and no path of a store.
// Its errors say where and what, and hold nothing of a pickle's contents but
// the cleaned name of a refused global or dtype.
package pickle

import (
	"errors"
	"fmt"
	"strings"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// Limits bounds what reading one pickle may cost. A field that is zero or
// negative takes its value from DefaultLimits.
type Limits struct {
	MaxFileBytes int64 // size of the file
	MaxMemory    int64 // estimate, in bytes, of the file together with all its values, wanted or not
	MaxHeld      int64 // estimate, in bytes, of what reading takes: the values that are wanted and the notes on all others
	MaxDepth     int   // opened and not yet closed lists, tuples, dicts at any moment
}

// DefaultLimits leaves room for the largest pickles of a study, about 42 MB
// for 1,000 refits of a single model and 100 MB for an ensemble of four, whose
// estimates are near 200 and 500 MB. Python's own pickler gives up long before
// a depth of 1,000.
var DefaultLimits = Limits{
	MaxFileBytes: 512 << 20,
	MaxMemory:    2 << 30,
	MaxHeld:      2 << 30,
	MaxDepth:     1000,
}

func (l Limits) orDefault() Limits {
	if l.MaxFileBytes <= 0 {
		l.MaxFileBytes = DefaultLimits.MaxFileBytes
	}
	if l.MaxMemory <= 0 {
		l.MaxMemory = DefaultLimits.MaxMemory
	}
	if l.MaxHeld <= 0 {
		l.MaxHeld = DefaultLimits.MaxHeld
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = DefaultLimits.MaxDepth
	}
	return l
}

// Paths says which parts of a pickle are wanted: keys of dicts, from the root
// down. A nil *Paths wants everything.
type Paths struct {
	nodes []pathNode // the first stands for the root
}

// pathNode is a dict of which some entries are wanted.
type pathNode struct {
	names map[string]int // of the entry with that key: wantWhole, or the place of its node
	other int            // of every other entry; also unwanted
}

const (
	unwanted  = -1
	wantWhole = 0
)

// NewPaths makes a set of slash paths such as "metrics/*/mean". Each part is
// the key of a dict, which must be a string, or * for every such key. What lies
// at the end of a path is wanted with all that is in it. On the way to there,
// an entry whose key is no string and a value that is no dict are wanted, too:
// no path can tell what is in them.
func NewPaths(patterns ...string) *Paths {
	tails := make([][]string, len(patterns))
	for i, pattern := range patterns {
		if pattern != "" {
			tails[i] = strings.Split(pattern, "/")
		}
	}
	p := new(Paths)
	if p.add(tails) == wantWhole && len(p.nodes) == 0 {
		return nil
	}
	return p
}

// add makes the node of what is left of some paths, and all nodes below it.
func (p *Paths) add(tails [][]string) int {
	heads := make(map[string]bool)
	for _, tail := range tails {
		if len(tail) == 0 {
			return wantWhole
		}
		heads[tail[0]] = true
	}
	at := len(p.nodes)
	p.nodes = append(p.nodes, pathNode{})
	below := func(head string) int {
		var next [][]string
		for _, tail := range tails {
			if tail[0] == head || tail[0] == "*" {
				next = append(next, tail[1:])
			}
		}
		if next == nil {
			return unwanted
		}
		return p.add(next)
	}
	node := pathNode{names: make(map[string]int)}
	for head := range heads {
		if head != "*" {
			node.names[head] = below(head)
		}
	}
	node.other = below("*")
	p.nodes[at] = node
	return at
}

// child says what is wanted of the entry key of a node.
func (p *Paths) child(node int, key []byte) int {
	if n, ok := p.nodes[node].names[string(key)]; ok {
		return n
	}
	return p.nodes[node].other
}

// skipped stands where a value was not wanted.
type skipped struct{}

// Kind says why a pickle was not read.
type Kind string

const (
	Refused    Kind = "refused"    // well-formed as far as read, but holds something that is not allowed
	Damaged    Kind = "damaged"    // cut short, overwritten or never a pickle
	TooLarge   Kind = "too_large"  // over one of the Limits
	Unreadable Kind = "unreadable" // the file could not be read, or changed meanwhile
	Unexpected Kind = "unexpected" // read well, but not the value that an accessor was asked for
)

// Error is the only type of error that ReadFile and Decode return; accessors
// return or wrap it. It holds no part of the pickle's contents and no path of
// a file.
type Error struct {
	Kind   Kind
	Offset int64  // of the opcode from the start of the file; -1 where none applies
	Detail string // what is wrong, in a few words
	Err    error  // the operating system's cause of Unreadable, else nil
}

func (e *Error) Error() string {
	what := map[Kind]string{
		Refused:    "pickle refused",
		Damaged:    "pickle damaged",
		TooLarge:   "pickle too large",
		Unreadable: "pickle not readable",
		Unexpected: "pickle holds other values than expected",
	}[e.Kind]
	if e.Offset < 0 {
		return what + ": " + e.Detail
	}
	return fmt.Sprintf("%s at byte %d: %s", what, e.Offset, e.Detail)
}

// Unwrap gives the operating system's cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// errorf makes an error whose offset Decode fills in.
func errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Offset: -1, Detail: fmt.Sprintf(format, args...)}
}

// Details of errors that would be a fault of this package: the preflight let
// something pass that gopickle cannot do.
const (
	detailPanic    = "the decoder gave up"
	detailDisagree = "the decoder could not carry out an opcode that the preflight allowed"
)

// Decode reads one pickle of protocol 2 to 5. None becomes nil, a bool, int
// (or *big.Int), float64, string or []byte itself; lists, tuples, dicts, sets,
// numpy arrays and numpy scalars come as opaque values for List, Dict, AsArray,
// Float and their like. Values share memory with data and with each other, may
// contain themselves, and must not be changed. Errors are of type *Error.
func Decode(data []byte, l Limits) (any, error) { return DecodePaths(data, nil, l) }

// DecodePaths is Decode for what want names. In place of what it does not name
// stands a value that no accessor takes.
func DecodePaths(data []byte, want *Paths, l Limits) (any, error) {
	l = l.orDefault()
	if int64(len(data)) > l.MaxFileBytes {
		return nil, errorf(TooLarge, "%d bytes, the limit is %d", len(data), l.MaxFileBytes)
	}
	v, failure := decodeSource(fromMemory(data), want, l)
	if failure != nil {
		return nil, failure
	}
	return v, nil
}

// decodeSource reads src again where the first reading dropped what was needed.
func decodeSource(src *source, want *Paths, l Limits) (any, *Error) {
	m := wantedOnly
	if want == nil {
		m = everything
	}
	for ; m < modes; m++ {
		c, err := preflight(src, want, m, l)
		if err == nil {
			return play(c)
		}
		if err != errNotTrue {
			return nil, err
		}
	}
	return nil, errNotTrue
}

// play lets gopickle make the values of a tape.
func play(c *checker) (v any, failure *Error) {
	p := &player{tape: &c.tape, fetched: &c.fetched}
	// The preflight is meant to leave no way to panic; should it be wrong, one
	// file must not take the whole build down. The panic's text is dropped
	// because it can hold the pickle's contents.
	defer func() {
		if recover() != nil {
			v, failure = nil, errorf(Damaged, detailPanic)
		}
	}()
	u := gopickle.NewUnpickler(p)
	u.GetExtension = extension
	u.NextBuffer = p.buffer
	u.PersistentLoad = func(items any) (any, error) {
		t, ok := items.(*types.Tuple)
		if !ok {
			return nil, errorf(Damaged, detailDisagree)
		}
		set := new(Set)
		for _, item := range *t {
			set.Add(item)
		}
		return set, nil
	}
	u.FindClass = func(string, string) (any, error) {
		return nil, errorf(Refused, "a global by name")
	}
	v, err := u.Load()
	if err == nil {
		return v, nil
	}
	if errors.As(err, &failure) {
		return nil, failure
	}
	// gopickle's own text is dropped: it prints values.
	return nil, errorf(Damaged, detailDisagree)
}
