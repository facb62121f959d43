// Package pickle reads Python pickles that nobody vouches for, within bounds.
//
// A preflight interprets every opcode on kinds instead of values: which
// opcodes and globals occur, whether each operand ends inside the file, what
// lies on the stack and in the memo, and how much memory the values would
// take. Only a stream that passes it is decoded, by gopickle, with hooks for
// the few numpy types that measures are written with. The stream that gopickle
// sees is rewritten on the way: memo entries that nobody fetches, frames and
// whatever would make gopickle fail on valid input are gone, and no name of a
// global is left to look up.
//
// The package knows no layout of any file, no subject and no path of a store.
// Its errors say where and what, and hold nothing of a pickle's contents but
// the cleaned name of a refused global or dtype.
package pickle

import (
	"errors"
	"fmt"

	gopickle "github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// Limits bounds what reading one pickle may cost. A field that is zero or
// negative takes its value from DefaultLimits.
type Limits struct {
	MaxFileBytes int64 // size of the file
	MaxMemory    int64 // estimate, in bytes, of the file together with all decoded values
	MaxDepth     int   // opened and not yet closed lists, tuples, dicts at any moment
}

// DefaultLimits leaves room for the largest pickles of a study, about 42 MB
// for 1,000 refits of a single model and 100 MB for an ensemble of four, whose
// estimates are near 200 and 500 MB. Python's own pickler gives up long before
// a depth of 1,000.
var DefaultLimits = Limits{
	MaxFileBytes: 512 << 20,
	MaxMemory:    2 << 30,
	MaxDepth:     1000,
}

func (l Limits) orDefault() Limits {
	if l.MaxFileBytes <= 0 {
		l.MaxFileBytes = DefaultLimits.MaxFileBytes
	}
	if l.MaxMemory <= 0 {
		l.MaxMemory = DefaultLimits.MaxMemory
	}
	if l.MaxDepth <= 0 {
		l.MaxDepth = DefaultLimits.MaxDepth
	}
	return l
}

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
func Decode(data []byte, l Limits) (any, error) {
	l = l.orDefault()
	if int64(len(data)) > l.MaxFileBytes {
		return nil, errorf(TooLarge, "%d bytes, the limit is %d", len(data), l.MaxFileBytes)
	}
	plan, err := preflight(data, l)
	if err != nil {
		return nil, err
	}
	v, failure := replay(data, plan)
	if failure != nil {
		return nil, failure
	}
	return v, nil
}

// replay lets gopickle build the values of a stream that passed the preflight.
func replay(data []byte, p *plan) (v any, failure *Error) {
	s := newStream(data, p)
	// The preflight is meant to leave no way to panic; should it be wrong, one
	// file must not take the whole build down. The panic's text is dropped
	// because it can hold the pickle's contents.
	defer func() {
		if recover() != nil {
			v, failure = nil, &Error{Kind: Damaged, Offset: int64(s.op), Detail: detailPanic}
		}
	}()
	u := gopickle.NewUnpickler(s)
	u.GetExtension = extension
	u.NextBuffer = s.buffer
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
		failure.Offset = int64(s.op)
		return nil, failure
	}
	// gopickle's own text is dropped: it prints values.
	return nil, &Error{Kind: Damaged, Offset: int64(s.op), Detail: detailDisagree}
}
