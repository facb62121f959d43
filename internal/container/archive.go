package container

import (
	"archive/tar"
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// zstdWindow is the largest window accepted, since the decoder allocates it
// before it has seen contents: what `zstd -19 --long` uses.
const zstdWindow = 128 << 20

// gzip shows what all members unpack to, one behind the other, as programs give it.
func (w *walker) gzip(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	br := bufio.NewReader(r) // so that the decompressor takes no more than a member
	z, err := gzip.NewReader(br)
	if err != nil {
		return w.broken(name, err)
	}
	m := &members{z: z, r: br}
	m.begin = func() error {
		z.Multistream(false)
		if err := w.said(name+", header", []byte(z.Name+"\n"+z.Comment+"\n"+string(z.Extra))); err != nil {
			return err
		}
		return w.entry(name)
	}
	if err := m.begin(); err != nil {
		return err
	}
	err = w.inner(name+", unpacked", m, depth)
	return cmp.Or(m.shown, err)
}

// members reads those of a gzip file.
type members struct {
	z     *gzip.Reader
	r     *bufio.Reader
	begin func() error // is called for each
	shown error        // what it met
}

func (m *members) Read(p []byte) (int, error) {
	n, err := m.z.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	if err = m.z.Reset(m.r); err == nil {
		m.shown = m.begin()
		err = m.shown
	}
	return n, err
}

// isZlib says whether bytes begin a stream of zlib (RFC 1950, 2.2). Two characters of
// text may look like its head, so what could be text must unpack as far as it is seen.
func isZlib(head []byte) bool {
	const deflate, mostWindow, dictionary = 8, 7, 1 << 5
	if len(head) < 3 || head[0]&0xf != deflate || head[0]>>4 > mostWindow || (int(head[0])<<8|int(head[1]))%31 != 0 || head[1]&dictionary != 0 {
		return false
	}
	if head[0] == 'x' && (head[1] < ' ' || head[1] >= 0x7f) {
		return true // as programs write it, and no text
	}
	z, err := zlib.NewReader(bytes.NewReader(head))
	if err != nil {
		return false
	}
	n, err := io.Copy(io.Discard, z)
	return err == nil || errors.Is(err, io.ErrUnexpectedEOF) && len(head) == sniffed && n > 0
}

// isTar says whether bytes begin a tar archive: one of POSIX or GNU by its mark, one of
// earlier programs by the sum of its head.
func isTar(head []byte) bool {
	const block, sumAt, sumSize = 512, 148, 8
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return true
	}
	if len(head) < block || head[0] == 0 {
		return false
	}
	digits := string(bytes.Trim(head[sumAt:sumAt+sumSize], " \x00"))
	want, err := strconv.ParseInt(digits, 8, 32)
	got := int64(sumSize * ' ')
	for i, c := range head[:block] {
		if i < sumAt || i >= sumAt+sumSize {
			got += int64(c)
		}
	}
	return err == nil && got == want
}

// isArrowStream says whether bytes begin a stream of Arrow: the mark of a message, its
// length, and the place of its root (Arrow columnar format, IPC streaming).
func isArrowStream(head []byte) bool {
	if len(head) < 12 || string(head[:4]) != "\xff\xff\xff\xff" {
		return false
	}
	length, root := binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[8:])
	return length > 0 && length%8 == 0 && root > 0 && root < min(length, 1<<10)
}

// isORC says whether bytes begin an ORC file. A text may begin with the same letters.
func isORC(head []byte) bool {
	const seen = 64
	return bytes.HasPrefix(head, []byte("ORC")) && slices.ContainsFunc(head[:min(seen, len(head))], func(c byte) bool { return c < '\t' })
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

// zstd shows what all frames unpack to, one behind the other, as programs give it, and
// what stands in those that programs skip as the files that they may be.
func (w *walker) zstd(name string, r io.Reader, _ *os.File, _ int64, depth int) error {
	f := &frames{r: bufio.NewReader(r)}
	f.skipped = func(r *io.LimitedReader) error {
		if err := w.open(name+", frame to skip", r, nil, depth+1); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			return w.broken(name, err)
		}
		if r.N > 0 { // the decompressor takes this for the end
			return w.broken(name, io.ErrUnexpectedEOF)
		}
		return nil
	}
	f.begin = func() error { return w.entry(name) }
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
	if err != nil {
		return w.broken(name, err)
	}
	defer z.Close()
	err = w.inner(name+", unpacked", z, depth)
	return cmp.Or(f.shown, err)
}

// frames reads those of a zstd file that hold data (RFC 8878, 3.1): a head, blocks, each
// of which says how long it is and whether it is the last, and a check sum. The others
// it shows and leaves out.
type frames struct {
	r       *bufio.Reader
	begin   func() error // is called for each
	skipped func(*io.LimitedReader) error
	shown   error // what either met

	left   int64 // of the part that is being read
	within bool  // a frame
	last   bool  // the part is of its last block
	sum    bool  // behind it stands a check sum
}

func (f *frames) Read(p []byte) (int, error) {
	for f.left == 0 {
		if err := f.part(); err != nil {
			return 0, err
		}
	}
	n, err := f.r.Read(p[:min(int64(len(p)), f.left)])
	f.left -= int64(n)
	return n, whole(err)
}

// whole is an error of reading where a file must not end.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// part begins the next part of a frame.
func (f *frames) part() error {
	const blockHead, checkSum, typeRLE = 3, 4, 1
	switch {
	case !f.within:
		return f.frame()
	case f.last && f.sum:
		f.left, f.sum = checkSum, false
	case f.last:
		f.within = false
	default:
		head, err := f.r.Peek(blockHead)
		if err != nil {
			return whole(err)
		}
		block := int64(head[0]) | int64(head[1])<<8 | int64(head[2])<<16
		f.last, f.left = block&1 != 0, blockHead+block>>3
		if block>>1&3 == typeRLE {
			f.left = blockHead + 1
		}
	}
	return nil
}

// frame begins the next frame, or shows one that is skipped.
func (f *frames) frame() error {
	head, err := f.r.Peek(zstd.HeaderMaxSize)
	if len(head) == 0 || err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	var h zstd.Header
	if err := h.Decode(head); err != nil {
		return whole(err)
	}
	if f.shown = f.begin(); f.shown != nil {
		return f.shown
	}
	if !h.Skippable {
		f.within, f.last, f.sum, f.left = true, false, h.HasCheckSum, int64(h.HeaderSize)
		return nil
	}
	if _, err := f.r.Discard(h.HeaderSize); err != nil {
		return whole(err)
	}
	f.shown = f.skipped(&io.LimitedReader{R: f.r, N: int64(h.SkippableSize)})
	return f.shown
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
