package build

import (
	"cmp"
	"strings"
)

// Input is something that a step reads. Inputs are values: equal declarations
// compare equal, and Task.Files takes the same value that the step declared.
type Input struct {
	kind    inputKind
	root    string
	pattern string
	as      string
}

type inputKind uint8

const (
	inFile inputKind = iota + 1
	inGlob
	inNames
	inAbsent
	inOutputsOf
)

// File is the contents of one file. It must exist when the step is decided.
// The path of a tree that another step makes stands for the whole tree.
func File(root, path string) Input { return Input{kind: inFile, root: root, pattern: path} }

// Glob is the contents of every regular file that matches the pattern, and
// that these and no others do. "*" and "?" match within one path element, "**"
// any number of elements, [ab], [a-z] and {one,two} as usual; names that begin
// with a dot are matched like others. Symbolic links are followed. A pattern
// that matches nothing is not an error. Private roots and caches nested below
// a root are no part of what its patterns match.
//
// Outputs of other steps that match are inputs, too. To depend on the outputs
// of steps whatever they are called, use OutputsOf: a file left behind by a
// step that no longer exists is matched by Glob.
func Glob(root, pattern string) Input { return Input{kind: inGlob, root: root, pattern: pattern} }

// Names is which files, directories and links match the pattern, whatever is
// in them.
func Names(root, pattern string) Input { return Input{kind: inNames, root: root, pattern: pattern} }

// Absent is that nothing exists at the path; while something does the step
// fails.
func Absent(root, path string) Input { return Input{kind: inAbsent, root: root, pattern: path} }

// OutputsOf is all outputs of the other steps whose names match, grown ones
// included. A pattern that matches no step is not an error.
func OutputsOf(steps string) Input { return Input{kind: inOutputsOf, pattern: steps} }

// As makes the input depend on what a file means rather than on its bytes:
// what counts is Options.Digests[kind]. Digests are remembered by the bytes of
// the file, so a kind whose function changes needs a new name.
func (in Input) As(kind string) Input { in.as = kind; return in }

// String returns the input as it stands in reports: "study:a.csv",
// "study:*.csv", "names of study:*", "absence of study:x",
// "outputs of run:*".
func (in Input) String() string {
	var b strings.Builder
	switch in.kind {
	case inNames:
		b.WriteString("names of ")
	case inAbsent:
		b.WriteString("absence of ")
	case inOutputsOf:
		b.WriteString("outputs of ")
	}
	if in.kind != inOutputsOf {
		b.WriteString(in.root + ":")
	}
	b.WriteString(in.pattern)
	if in.as != "" {
		b.WriteString(" as " + in.as)
	}
	return b.String()
}

// compare orders inputs by all that tells them apart: String is made for reading,
// and a file and a glob without special characters print alike.
func (in Input) compare(b Input) int {
	return cmp.Or(cmp.Compare(in.kind, b.kind), compare(in.root, b.root), compare(in.pattern, b.pattern), compare(in.as, b.as))
}
