// Package build is an incremental build engine: steps say which files they
// read and write, and a step runs only when the contents of what it reads,
// its parameters, its code, its tools or its environment are not those of a
// recorded successful run, or when what it wrote is neither in place as it was
// recorded nor in the cache.
//
// The decision rests on contents alone. The key of a step is a digest over its
// whole declaration and the digests of its inputs; time stamps only spare
// re-reading files that cannot have changed since they were last hashed. A
// record is written after success only, when everything it speaks of is on
// disk, so that a crash leaves a step stale and never falsely fresh.
//
// Privacy is part of the graph: a file under a private root makes the steps
// that read it private, a private step may write public files only when it is
// declared to declassify, and every public file passes [Options.Gate] before
// it is put in place.
//
// # A pipeline
//
// [Workspace] gives the options of a project in one directory, [New] checks the
// steps, and a [Graph] builds them ([Graph.Build]), says what a build would do
// ([Graph.Status], [Graph.DryRun]) or why ([Graph.Explain]), and whether steps
// give the same when they run again ([Graph.Rebuild]). A [Step] does its work by
// a Go function, which gets a [Task], or by a program ([Step.Command]). [Map]
// makes a step for each file. Paths are named by [Ref]: a root and a path below
// it.
//
// Steps write outputs to places that the task gives them. When a step has
// ended well these are put in place, so that a failure or a crash leaves what
// was there. A step that writes elsewhere gets no protection, and one that
// reads what it does not declare is not rebuilt when that changes.
//
// Names of a Go step's packages ([Step.Code]) say which sources make it what
// it is, if Options.Code can turn them into a digest. [Workspace] takes the
// whole running program instead ([Executable]).
//
// # What is promised
//
// Exported names keep their meaning; keys and records may change between
// versions, which costs one rebuild and never correctness.
//
// The package knows nothing about what steps compute, and nothing of any
// particular study.
package build

import (
	"context"

	"github.com/foundation-plr/pipeline/internal/process"
)

// Context returns the context to build with in a program: it ends when the
// program is told to stop by SIGINT, SIGTERM or SIGHUP. Then nothing more is
// started, programs of steps are told to end, what has been done is recorded,
// and Build returns. A second signal kills these programs and ends the process
// at once, with exit code 1; nothing that was recorded is lost by that, either.
//
// A program that was started by mage as its magefile is also told to stop by the
// death of mage, or of the go command that had started that: mage hands on no
// signal, so that to stop it would otherwise leave the build running.
//
// A SIGHUP that was ignored when the program began stays ignored, so that nohup
// works. Call stop when the build is done; until then the signals are handled
// here alone.
func Context(parent context.Context) (ctx context.Context, stop context.CancelFunc) {
	return process.Context(parent)
}
