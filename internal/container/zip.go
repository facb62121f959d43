package container

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// encrypted is the flag of a zip entry that needs a password (APPNOTE 4.4.4).
const encrypted = 1

func (w *walker) zip(name string, _ io.Reader, f *os.File, size int64, depth int) error {
	z, err := zip.NewReader(f, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return w.broken(name, err)
	}
	var behind *bufio.Reader // what stands behind the end of an entry's data
	z.RegisterDecompressor(zip.Deflate, func(r io.Reader) io.ReadCloser {
		behind = bufio.NewReader(r) // so that the decompressor takes no more than its own
		return flate.NewReader(behind)
	})
	if err := w.said(name+", comment", []byte(z.Comment)); err != nil {
		return err
	}
	for _, e := range z.File {
		entry := name + ", entry " + e.Name
		if err := w.entry(entry); err != nil {
			return err
		}
		if err := w.said(entry+", header", []byte(e.Name+"\n"+e.Comment+"\n"+string(e.Extra))); err != nil {
			return err
		}
		switch {
		case e.Flags&encrypted != 0:
			return &Error{Name: entry, Why: "it is encrypted"}
		case e.Method != zip.Store && e.Method != zip.Deflate:
			return &Error{Name: entry, Why: fmt.Sprintf("it is compressed by method %d of zip; use deflate", e.Method)}
		}
		r, err := e.Open()
		if err != nil {
			return w.broken(entry, err)
		}
		err = w.inner(entry, r, depth)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
		if e.Method == zip.Deflate {
			if err := w.onlyZeros(entry, "the end of what is compressed", behind); err != nil {
				return err
			}
		}
	}
	return w.gaps(name, f, size, z)
}

// Marks and lengths of the parts of a zip archive (APPNOTE 4.3).
const (
	zipLocal      = "PK\x03\x04"
	zipDescriptor = "PK\x07\x08"
	zipCentral    = "PK\x01\x02"
	zipEnd64      = "PK\x06\x06"
	zipLocator64  = "PK\x06\x07"

	zipLocalSize     = 30
	zipCentralSize   = 46
	zipEnd64Size     = 56
	zipLocator64Size = 20
	zipEndSize       = 22
	// zipStreamed is the flag of an entry behind which its sum and sizes stand.
	zipStreamed = 1 << 3
)

// gaps refuses an archive in which bytes belong to no part of it, unless they are
// zeros: what stands there may be an entry that was taken out of the directory
// alone, and is packed. Names and extra fields that stand before entries are shown:
// they may differ from those of the directory.
func (w *walker) gaps(name string, f *os.File, size int64, z *zip.Reader) error {
	packed := make(map[int64]int64, len(z.File)) // where data begins → its length
	for _, e := range z.File {
		at, err := e.DataOffset()
		if err != nil {
			return w.broken(name, err)
		}
		packed[at] = int64(e.CompressedSize64)
	}
	entries, at := 0, int64(0)
	head := make([]byte, zipEnd64Size)
	for {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		var err error
		if at, err = skipZeros(f, at, size); err != nil {
			return err
		}
		n, err := f.ReadAt(head, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(head[n:])
		u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(head[at:])) }
		switch mark := string(head[:4]); {
		case mark == zipLocal:
			streamed, about := u16(6)&zipStreamed != 0, u16(26)+u16(28)
			at += zipLocalSize
			length, known := packed[at+about]
			if !known {
				return w.gap(name, at-zipLocalSize)
			}
			if err := w.read(name+", head of an entry", io.NewSectionReader(f, at, about)); err != nil {
				return err
			}
			at += about + length
			if streamed {
				at += descriptor(f, at)
			}
		case mark == zipCentral:
			entries++
			at += zipCentralSize + u16(28) + u16(30) + u16(32)
		case mark == zipEnd64 && binary.LittleEndian.Uint64(head[4:]) == zipEnd64Size-12:
			at += zipEnd64Size
		case mark == zipLocator64:
			at += zipLocator64Size
		case mark == endOfZip:
			at += zipEndSize + u16(20)
			if entries != len(z.File) {
				return &Error{Name: name, Why: "its directory has entries that programs do not show; write it anew"}
			}
			return w.onlyZeros(name, "the end of the archive", io.NewSectionReader(f, at, max(size-at, 0)))
		default:
			return w.gap(name, at)
		}
	}
}

func (w *walker) gap(name string, at int64) error {
	return &Error{Name: name, Why: fmt.Sprintf("the bytes at %d belong to no entry of the archive; write it anew", at)}
}

// descriptor is the length of what stands behind a streamed entry: with a mark or
// without, with sizes of 32 bits or of 64 (APPNOTE 4.3.9). What fits is followed by
// another part.
func descriptor(f io.ReaderAt, at int64) int64 {
	var b [28]byte
	n, _ := f.ReadAt(b[:], at) // an error is met again by whoever reads on
	lengths := []int{12, 20}
	if bytes.HasPrefix(b[:n], []byte(zipDescriptor)) {
		lengths = []int{16, 24}
	}
	for _, length := range lengths {
		for _, mark := range []string{zipLocal, zipCentral} {
			if string(b[length:length+4]) == mark {
				return int64(length)
			}
		}
	}
	return int64(lengths[0])
}

// skipZeros is the place of the next byte that is not zero. Some programs set
// entries off, so that they can be mapped into memory.
func skipZeros(f io.ReaderAt, at, size int64) (int64, error) {
	buffer := make([]byte, 512)
	for at < size {
		n, err := f.ReadAt(buffer, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := slices.IndexFunc(buffer[:n], func(c byte) bool { return c != 0 }); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(n)
	}
	return at, nil
}
