package container

import (
	"archive/tar"
	"bufio"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the largest window accepted, since the decoder allocates it
// before it has seen contents: what `zstd -19 --long` uses.
const zstdWindow = 128 << 20

func (w *walker) gzip(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	br := bufio.NewReader(r) // so that the decompressor takes no more than a member
	z, err := gzip.NewReader(br)
	for err == nil {
		z.Multistream(false)
		if err := w.said(name+", header", []byte(z.Name+"\n"+z.Comment+"\n"+string(z.Extra))); err != nil {
			return err
		}
		if err := w.entry(name); err != nil {
			return err
		}
		if err := w.inner(name+", unpacked", z, depth); err != nil {
			return err
		}
		err = z.Reset(br)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return w.broken(name, err)
}

func (w *walker) zlib(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	br := bufio.NewReader(r) // so that the decompressor takes no more than its own
	z, err := zlib.NewReader(br)
	if err != nil {
		return w.broken(name, err)
	}
	if err := w.inner(name+", unpacked", z, depth); err != nil {
		return err
	}
	return w.onlyZeros(name, "the end of what is compressed", br)
}

func (w *walker) zstd(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return w.broken(name, err)
	}
	defer z.Close()
	return w.inner(name+", unpacked", z, depth)
}

func (w *walker) bzip2(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	return w.inner(name+", unpacked", bzip2.NewReader(r), depth)
}

// inner shows what a decompressor gives, to its end, so that damage anywhere is
// noticed.
func (w *walker) inner(name string, r io.Reader, depth int) error {
	u := w.unfold(name, r)
	if err := w.open(name, u, nil, depth+1); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, u); err != nil {
		return w.broken(name, err)
	}
	return nil
}

func (w *walker) tar(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	t := tar.NewReader(r)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return w.onlyZeros(name, "the end of the archive", r)
		}
		if err != nil {
			return w.broken(name, err)
		}
		entry := name + ", entry " + h.Name
		if err := w.entry(entry); err != nil {
			return err
		}
		about := []string{h.Name, h.Linkname, h.Uname, h.Gname}
		for _, key := range slices.Sorted(maps.Keys(h.PAXRecords)) {
			about = append(about, key, h.PAXRecords[key])
		}
		if err := w.said(entry+", header", []byte(strings.Join(about, "\n"))); err != nil {
			return err
		}
		if err := w.open(entry, t, nil, depth+1); err != nil {
			return err
		}
	}
}
