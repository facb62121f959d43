// Package access notes what happens to files: which are opened, listed, made and
// written to. The file system itself is asked, so that it does not matter how, or by
// which process.
//
// It does not know who may do what.
package access

// Event is something that happened to a file or directory.
type Event struct {
	Path string
	Kind Kind
}

// Kind is what happened.
type Kind uint8

const (
	Opened Kind = iota + 1 // a file
	Listed                 // a directory
	Created
	Written
)
