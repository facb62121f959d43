package store

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// A pack is a .tar.zst file that carries a part of a store to another machine:
// some heads, which say what it holds, and then blobs in the order of their
// digests. Equal contents are equal bytes: no time, owner or mode is in it.

// Head is a part of a pack whose meaning the store does not know.
type Head struct {
	Name string
	Data []byte
}

// Item is contents in a pack.
type Item struct {
	Sum  Sum
	Size int64
	Path string // of a file that has these contents; for writing only
}

// PackLimits bound what a pack may ask for before anything in it is believed.
type PackLimits struct {
	Head  int64 // bytes of one head
	Blobs int64 // bytes of all blobs together
}

const (
	packBlobs = "blobs/"
	// packWindow is the largest zstd window accepted, since the decoder
	// allocates it before it has seen contents. It is what `zstd -19 --long`
	// uses; packs written here have smaller ones.
	packWindow = 128 << 20
)

// WritePack writes a pack. The items may be in any order.
func WritePack(ctx context.Context, w io.Writer, heads []Head, items []Item) error {
	// One goroutine: what is written must not depend on how many there are.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, h := range heads {
		if err := writeHeader(t, h.Name, int64(len(h.Data))); err != nil {
			return errors.Join(err, z.Close())
		}
		if _, err := t.Write(h.Data); err != nil {
			return errors.Join(err, z.Close())
		}
	}
	items = slices.Clone(items)
	sortItems(items)
	for _, item := range items {
		err := ctx.Err()
		if err == nil {
			err = writeItem(t, item)
		}
		if err != nil {
			return errors.Join(err, z.Close())
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func writeHeader(t *tar.Writer, name string, size int64) error {
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatGNU})
}

func writeItem(t *tar.Writer, item Item) (err error) {
	f, err := os.Open(item.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := writeHeader(t, packBlobs+item.Sum.String(), item.Size); err != nil {
		return err
	}
	sum, n, err := copyHash(t, f)
	if err != nil {
		return fmt.Errorf("%s: %w", item.Path, err)
	}
	if sum != item.Sum || n != item.Size {
		return fmt.Errorf("%s does not have the contents that it should have", item.Path)
	}
	return nil
}

// Staged are blobs of a pack that are whole and have no names yet.
type Staged struct {
	b     *Blobs
	paths []string
	sums  []Sum
}

// ReadPack reads a pack whose heads have these names. When they are read, plan
// says which blobs must follow; anything else in the pack, in another order, of
// another kind, size or digest, is an error, and then nothing stays. No path is
// taken from the pack.
func (b *Blobs) ReadPack(ctx context.Context, r io.Reader, heads []string, limits PackLimits, plan func(heads [][]byte) ([]Item, error)) (staged *Staged, err error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(packWindow), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	t := tar.NewReader(z)
	var data [][]byte
	for _, name := range heads {
		size, err := nextEntry(t, name)
		if err != nil {
			return nil, err
		}
		if size > limits.Head {
			return nil, fmt.Errorf("its %s has %d bytes, more than the %d that are accepted", name, size, limits.Head)
		}
		text, err := io.ReadAll(t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		data = append(data, text)
	}
	items, err := plan(data)
	if err != nil {
		return nil, err
	}
	left := limits.Blobs
	for i, item := range items {
		if i > 0 && slices.Compare(items[i-1].Sum[:], item.Sum[:]) >= 0 {
			return nil, errors.New("its blobs are not in order")
		}
		if item.Size < 0 || item.Size > left {
			return nil, fmt.Errorf("it holds more than the %d bytes that are accepted", limits.Blobs)
		}
		left -= item.Size
	}
	staged = &Staged{b: b}
	defer func() {
		if err != nil {
			err = errors.Join(err, staged.Drop())
			staged = nil
		}
	}()
	for _, item := range items {
		if err := ctx.Err(); err != nil {
			return staged, err
		}
		if err := staged.read(t, item); err != nil {
			return staged, err
		}
	}
	if h, err := t.Next(); err == nil {
		return staged, fmt.Errorf("entry %q is not in its manifest", h.Name)
	} else if !errors.Is(err, io.EOF) {
		return staged, fmt.Errorf("after its last blob: %w", err)
	}
	if n, err := z.Read(make([]byte, 1)); n > 0 {
		return staged, errors.New("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return staged, fmt.Errorf("after its end: %w", err)
	}
	return staged, nil
}

// nextEntry goes to the next entry, which must be a plain file of this name.
func nextEntry(t *tar.Reader, want string) (size int64, err error) {
	h, err := t.Next()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return 0, fmt.Errorf("it ends before %s: the file is not complete", want)
	}
	if err != nil {
		return 0, fmt.Errorf("before %s: %w", want, err)
	}
	switch {
	case h.Name != want:
		return 0, fmt.Errorf("entry %q where %s should be", h.Name, want)
	case h.Typeflag != tar.TypeReg, h.Linkname != "", len(h.PAXRecords) > 0:
		return 0, fmt.Errorf("entry %s is not a plain file", want)
	}
	return h.Size, nil
}

// read takes one blob from a pack. One that the store has, too, is compared and
// not kept twice.
func (s *Staged) read(t *tar.Reader, item Item) (err error) {
	name := packBlobs + item.Sum.String()
	size, err := nextEntry(t, name)
	if err != nil {
		return err
	}
	if size != item.Size {
		return fmt.Errorf("%s has %d bytes, and %d in its manifest", name, size, item.Size)
	}
	var w io.Writer
	if !s.b.Verify(item.Sum, item.Size) {
		tmp, terr := s.b.temporary()
		if terr != nil {
			return terr
		}
		f, terr := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if terr != nil {
			return terr
		}
		s.paths, s.sums = append(s.paths, tmp), append(s.sums, item.Sum)
		defer func() { err = errors.Join(err, f.Chmod(s.b.perm.Blob), f.Close()) }()
		w = f
	}
	sum, _, err := copyHash(w, t)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it ends within %s: the file is not complete", name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if sum != item.Sum {
		return fmt.Errorf("%s has contents of another digest", name)
	}
	return nil
}

// Len returns how many blobs are new to the store.
func (s *Staged) Len() int { return len(s.sums) }

// Keep gives the blobs their names.
func (s *Staged) Keep() error {
	for len(s.paths) > 0 {
		if err := s.b.name(s.paths[0], s.sums[0]); err != nil {
			return errors.Join(err, s.Drop())
		}
		s.paths, s.sums = s.paths[1:], s.sums[1:]
	}
	return nil
}

// Drop removes the blobs.
func (s *Staged) Drop() error {
	var err error
	for _, path := range s.paths {
		err = errors.Join(err, removeIfThere(path))
	}
	s.paths, s.sums = nil, nil
	return err
}
