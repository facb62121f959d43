// Package archive unpacks a .tar.zst file into a directory that does not exist
// yet. It trusts nothing in the archive: names, links, kinds and sizes are
// checked before anything is written. It does not know what the files mean.
package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// Limits bound what an archive may unpack to, so that a small hostile file
// cannot fill the disk.
type Limits struct {
	Files int   // regular files and directories
	Bytes int64 // of all regular files together
}

// DefaultLimits leave an order of magnitude above the bundled example (13,700
// entries, 29 MB).
var DefaultLimits = Limits{Files: 200_000, Bytes: 1 << 30}

// window is the largest zstd window accepted: the decoder allocates it before
// it has seen a byte of content, and 128 MiB is what `zstd --ultra` uses.
const window = 128 << 20

// Unpack writes the files of the archive at src that keep accepts by name (nil:
// all) below the directory dst, which must be empty or absent. What is not kept
// is checked and counted like the rest. Files get mode 0644 and directories 0755; owners and
// times are not restored, because nothing may depend on them.
//
// An entry that is neither a regular file nor a directory (a link, a device), an
// absolute name, a name that leaves dst or occurs twice, and an archive above
// the limits are errors; dst is then left as far as it got and is the caller's
// to remove.
func Unpack(ctx context.Context, src, dst string, limits Limits, keep func(name string) bool) error {
	f, err := os.Open(src)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := zstd.NewReader(f, zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(src), err)
	}
	defer z.Close()
	if err := unpackTar(ctx, tar.NewReader(z), dst, limits, keep); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(src), err)
	}
	return nil
}

func unpackTar(ctx context.Context, t *tar.Reader, dst string, limits Limits, keep func(name string) bool) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	// Nothing but plain files and directories is ever made below a directory
	// that was empty, so no path below it can lead through a link out of it:
	// checking names is enough, and one system call a file is spared for each
	// element of its path.
	there, err := os.ReadDir(dst)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("the directory %s is not empty", dst)
	}

	made := map[string]bool{".": true}
	var entries int
	left := limits.Bytes
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			if entries == 0 {
				return errors.New("the archive is empty")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("after %d entries: %w (is the file complete?)", entries, err)
		}
		if entries++; entries > limits.Files {
			return fmt.Errorf("more than %d entries", limits.Files)
		}
		name, err := entryName(h.Name)
		if err != nil {
			return err
		}
		switch h.Typeflag {
		case tar.TypeDir:
			if keep != nil {
				continue // made with the first file in it
			}
			if err := makeDir(dst, name, made); err != nil {
				return err
			}
		case tar.TypeReg:
			if h.Size > left {
				return fmt.Errorf("more than %d bytes unpacked", limits.Bytes)
			}
			left -= h.Size
			if keep != nil && !keep(name) {
				continue
			}
			if err := makeDir(dst, path.Dir(name), made); err != nil {
				return err
			}
			if err := writeFile(filepath.Join(dst, filepath.FromSlash(name)), name, t); err != nil {
				return err
			}
		default:
			return fmt.Errorf("entry %q is neither a file nor a directory (type %q)", name, h.Typeflag)
		}
	}
}

// entryName cleans the name of an entry and refuses one that could leave the
// directory.
func entryName(name string) (string, error) {
	clean := path.Clean(name)
	switch {
	case name == "", strings.ContainsAny(name, "\\\x00"), path.IsAbs(name), !filepath.IsLocal(clean):
		return "", fmt.Errorf("entry %q has a name that is not below the archive's root", name)
	}
	return clean, nil
}

// makeDir makes a directory with its parents, each once.
func makeDir(dst, name string, made map[string]bool) error {
	if made[name] {
		return nil
	}
	if err := makeDir(dst, path.Dir(name), made); err != nil {
		return err
	}
	made[name] = true
	return os.Mkdir(filepath.Join(dst, filepath.FromSlash(name)), 0o755)
}

func writeFile(file, name string, r io.Reader) error {
	// O_EXCL: an archive that holds a name twice says two things about one file.
	w, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("entry %q: %w", name, err)
	}
	if _, err := io.Copy(w, r); err != nil {
		return errors.Join(fmt.Errorf("entry %q: %w", name, err), w.Close())
	}
	return w.Close()
}
