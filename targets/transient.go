package targets

import (
	"context"
	"errors"
	"slices"
	"syscall"

	"github.com/foundation-plr/pipeline/build"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/sourcedb"
)

// retries is how often a step that met a passing trouble is tried again: with
// the engine's pauses for two to three seconds in all, enough for a notebook
// that closes a database and for a network file system that stumbled.
const retries = 5

// passing are errors that may go away by themselves: a database that another
// program has open, and what the disk or a network file system says when it
// could not answer now.
var passing = []error{
	duckfile.ErrInUse, sourcedb.ErrInUse,
	syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.EAGAIN, syscall.EBUSY, syscall.EINTR,
	syscall.EMFILE, syscall.ENFILE,
}

// retried is the step, tried again after passing trouble.
func retried(step build.Step) build.Step {
	try := step.Run
	step.Retries = retries
	step.Run = func(ctx context.Context, t *build.Task) error {
		err := try(ctx, t)
		if slices.ContainsFunc(passing, func(p error) bool { return errors.Is(err, p) }) {
			return build.Transient(err)
		}
		return err
	}
	return step
}

// allRetried is retried for each.
func allRetried(steps []build.Step) []build.Step {
	for i := range steps {
		steps[i] = retried(steps[i])
	}
	return steps
}
