package verification

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/foundation-plr/pipeline/internal/difference"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/lock"
	"github.com/foundation-plr/pipeline/internal/schema"
)

// Result is one that a lock speaks of.
type Result struct {
	Path     string // as the lock has it
	Database bool   // it counts by its contents
}

// Contents is the kind of digest that a lock has of a database.
const Contents = "duckdb-contents/1"

// Digest is what a lock holds of a result: the digest of the contents of a
// database, that of the bytes of all else. Errors name no path.
func (r Result) Digest(ctx context.Context, name string) (string, error) {
	if r.Database {
		digest, err := duckfile.Digest(ctx, name)
		return Contents + " " + digest, err
	}
	digest, err := lock.Digest(name)
	var inPath *fs.PathError
	if errors.As(err, &inPath) && !errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("it cannot be read: %w", inPath.Err)
	}
	return digest, err
}

// Difference is the first place where two versions of a result differ; nil if there
// is none.
func (r Result) Difference(ctx context.Context, was, now string, t difference.Tolerance) (*difference.Found, error) {
	if r.Database {
		found, err := duckfile.Compare(ctx, was, now, schema.Key, t.Near)
		return (*difference.Found)(found), err
	}
	return difference.Files(path.Base(r.Path), was, now, t)
}

// all are the results that a lock speaks of.
func all(doc lock.Document) map[Result]string {
	want := make(map[Result]string, len(doc.Contents)+len(doc.Artifacts))
	for path, digest := range doc.Contents {
		want[Result{path, true}] = digest
	}
	for path, digest := range doc.Artifacts {
		want[Result{path, false}] = digest
	}
	return want
}

// Keep copies into dir those results that are in place as the lock speaks of them.
func Keep(ctx context.Context, doc lock.Document, place func(Result) string, dir string) error {
	for r, want := range all(doc) {
		// What cannot be read is not what the lock speaks of; whoever compares deals
		// with it.
		if got, err := r.Digest(ctx, place(r)); err != nil || got != want {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		data, err := os.ReadFile(place(r))
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(r.Path))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return err
		}
	}
	return nil
}
