package build

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// Ref names a file: a named root and a slash-separated path below it. Keys and
// records hold refs and never absolute paths, so that they mean the same in
// every checkout.
type Ref struct{ Root, Path string }

// String returns "root:path".
func (r Ref) String() string { return r.Root + ":" + r.Path }

// appendTo appends the text of the ref.
func (r Ref) appendTo(b []byte) []byte { return append(append(append(b, r.Root...), ':'), r.Path...) }

// Root is a directory that refs are relative to.
type Root struct {
	Path    string // absolute
	Private bool   // whatever lies below is private
	// Only, where it is not empty, are the files of the root: names directly
	// below Path. Nothing else there belongs to it, so that one private file
	// can lie beside files that are not. Steps cannot write to such a root.
	Only []string
}

// Step is one unit of work, declared as a value: nothing runs until a build
// decides that it must.
//
// Every field belongs to the key of the step unless its comment says that it
// does not.
type Step struct {
	// Name identifies the step; groups are separated by colons, as in
	// "figure:roc". No spaces, slashes or glob characters.
	Name string
	// Doc is one sentence for people. Not in the key.
	Doc string

	Inputs  []Input
	Outputs []Output
	// Ledgers are files that the step reads and may append to while it runs.
	// The key holds their state after the run, so a step must be idempotent
	// over its ledgers: run again, it changes nothing. Readers of a ledger
	// wait for the step as for an output. A ledger is memory, not a result:
	// it is never restored, removed, rescued or cached. One step writes it.
	Ledgers []Ref
	// Params are values that the step depends on; they must be plain data
	// (whatever encoding/json writes in full).
	Params map[string]any
	// MakeParams, in the place of Params, makes them whenever they are asked for, the
	// same each time: a graph of tens of thousands of steps need not hold them. What
	// is wrong with them shows when the step is decided, and not by New.
	MakeParams func() map[string]any
	// Env names the environment variables that the step reads.
	Env []string
	// Code names the packages whose sources make the step what it is;
	// Options.Code turns them into a digest. See also Options.CodeOfAll.
	Code []string
	// Probed are files and directories, by their absolute paths, that the step
	// may look at and work in although they are no inputs, because what they
	// hold stands in its parameters: a database that is asked when the step is
	// declared, like the version of a tool. Only Options.Audit heeds it. Not in
	// the key.
	Probed []string
	// Tools maps programs that the step calls to their probed versions.
	Tools map[string]string

	// Pool and Weight bound what runs at once: the weights of the running
	// steps of a pool never exceed Options.Pools[Pool]. A weight below one
	// counts as one, a weight above the capacity as the capacity. Not in the
	// key.
	Pool   string
	Weight int64
	// Weigh, in the place of Weight, is asked for the weight when the step is
	// about to run. It gets how many bytes the files among its inputs hold, those
	// with a kind left out. Not in the key.
	Weigh func(inputs int64) int64
	// Timeout bounds one attempt; 0 is no bound. Not in the key.
	Timeout time.Duration
	// Retries is how many further attempts follow an error wrapped by
	// Transient. Not in the key.
	Retries int
	// Declassifies allows public outputs to a step that reads private files.
	// Not in the key.
	Declassifies bool

	// Redact takes out of what is shown of the step, of its errors and of the reasons
	// why it has to run, what only its log and the history in the private tier may
	// say: names of files that are free text. Options.Redact comes on top. Not in the
	// key.
	Redact func(text string) string

	// Grow returns further steps once the outputs of this one are in place.
	// It must be a function of those outputs, the parameters and the code;
	// it reads and writes nothing else. In the Task that it gets, Out is the
	// place of an output. Not in the key: the steps have keys of their own.
	Grow func(ctx context.Context, t *Task) ([]Step, error)
	// Grows is what the names of grown steps begin with ("run:"). A step that
	// depends on OutputsOf a pattern that such names may match waits for this
	// one. Empty: any name, so that every such step waits, and this one itself
	// can have no such input. Not in the key.
	Grows string

	// Run does the work. Its code is in the key through Code.
	Run func(ctx context.Context, t *Task) error

	// Command is a program with its arguments that does the work in place of
	// Run. No shell reads it, and the program runs in Options.Workspace. In the
	// arguments
	//
	//	{in}, {in:N}      stand for the files of all inputs, of the input N (from 0),
	//	{out}, {out:N}    for where to write all outputs, the output N,
	//	{param:NAME}      for a parameter.
	//
	// {in} and {out} become as many arguments as there are files where they
	// stand alone; inside a longer argument there must be one file. Paths are
	// relative to the workspace where they lie in it. Other braces stay as they
	// are. Every output must be named, here or in Stdout.
	//
	// What the program prints goes into the step's log. Of the environment it
	// gets PATH, HOME, USER, LOGNAME and TMPDIR, the variables of Env, and
	// LC_ALL=C.UTF-8 and TZ=UTC unless Env names those. If Tools says nothing
	// about the program, the digest of its file counts as its version, unless
	// it is an input ({in:0} as the first argument).
	Command []string
	// Stdout sends what Command prints to an output: {out} or {out:N}.
	Stdout string

	each *each // of Map
}

// Output is a file or a directory that a step makes.
type Output struct {
	Ref  Ref
	Tree bool   // a directory with all that is in it
	Kind string // see Output.As
}

// Out declares a file.
func Out(root, path string) Output { return Output{Ref: Ref{root, path}} }

// OutTree declares a directory. The listing of its files with sizes and
// digests is recorded; the files are not copied into the cache, so a damaged
// tree is made again by its step.
func OutTree(root, path string) Output { return Output{Ref: Ref{root, path}, Tree: true} }

// As says that the meaning of the file is Options.Digests[kind] of it. Steps
// that read it through OutputsOf depend on that, and a run that gives other
// bytes of the same meaning counts as unchanged. Whether the file is as it was
// recorded is still a question of its bytes.
func (o Output) As(kind string) Output { o.Kind = kind; return o }

// String returns the ref; that of a tree ends in a slash.
func (o Output) String() string {
	if o.Tree {
		return o.Ref.String() + "/"
	}
	return o.Ref.String()
}

// Transient marks an error that may go away by itself, such as a database
// locked by another process. Steps with Retries are then tried again.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transientError{err}
}

type transientError struct{ err error }

func (e *transientError) Error() string { return e.err.Error() }
func (e *transientError) Unwrap() error { return e.err }

func isTransient(err error) bool {
	var t *transientError
	return errors.As(err, &t)
}

// maxName bounds step names: they become file names of logs, escaped, and
// 255 bytes is what file systems allow.
const maxName = 80

func checkName(name string) error {
	if name == "" {
		return errors.New("a step has no name")
	}
	if len(name) > maxName {
		return fmt.Errorf("step %q: the name is longer than %d bytes", name, maxName)
	}
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`/\*?[]{}"'`, r) {
			return fmt.Errorf("step %q: the name may not hold %q", name, r)
		}
	}
	if name[0] == '.' || name[0] == '-' {
		return fmt.Errorf("step %q: the name may not begin with %q", name, name[0])
	}
	return nil
}

// checkPath accepts clean slash-separated paths below a root.
func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case strings.ContainsAny(p, "\\\x00"):
		return fmt.Errorf("the path %q holds a backslash or a zero byte", p)
	case path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../"):
		return fmt.Errorf("the path %q leaves its root", p)
	case path.Clean(p) != p:
		return fmt.Errorf("the path %q is not clean: write %q", p, path.Clean(p))
	}
	return nil
}
