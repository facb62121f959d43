package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
)

// appendLog is a file of check-summed entries that grows at its end. After a
// header of headerSize bytes, which says kind and version, each entry is its
// length, a checksum and its bytes. What follows the first bad entry is lost
// and cut off by the next writer; a file of another version is an empty one.
type appendLog struct {
	path   string
	header string
	perm   fs.FileMode

	f     *os.File // nil: not writable
	owner bool     // may be rewritten
	size  int64    // of the good part
	lost  int64    // what was there beside the good part when the log was opened
}

const (
	headerSize = 16
	entryHead  = 8
	// maxEntry is far above any entry; a length beyond it is damage.
	maxEntry = 1 << 30
)

// castagnoli is computed by an instruction of the processor. The length is
// part of the sum: otherwise a run of zeros, which is what a file system may
// leave after a power cut, would be a sequence of good empty entries.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(head, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, payload)
}

// span is where an entry is in the text of a log.
type span struct{ from, to int }

// readLog returns the text of a log, where the good entries are in it, how large
// the good part is and how large the rest. Something that is no file has no good
// part.
func readLog(path, header string) (data []byte, entries []span, size, lost int64, err error) {
	if noFile(path) {
		return nil, nil, 0, 1, nil
	}
	data, err = os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, 0, 0, nil
	}
	if err != nil {
		return nil, nil, 0, 0, err
	}
	if len(data) < headerSize || string(data[:headerSize]) != header {
		return nil, nil, 0, int64(len(data)), nil
	}
	rest := data[headerSize:]
	for len(rest) >= entryHead {
		n := binary.LittleEndian.Uint32(rest)
		if n > maxEntry || int64(n) > int64(len(rest)-entryHead) {
			break
		}
		payload := rest[entryHead:][:n]
		if checksum(rest[:4], payload) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		from := len(data) - len(rest) + entryHead
		entries = append(entries, span{from, from + len(payload)})
		rest = rest[entryHead+n:]
	}
	return data, entries, int64(len(data) - len(rest)), int64(len(rest)), nil
}

// openLog reads a log. With write it is cut to its good part and can be
// appended to; without it can be appended to if it exists and is all good. Its
// text is returned, and where in it the entries are.
func openLog(path, header string, perm fs.FileMode, write bool) (*appendLog, []byte, []span, error) {
	if len(header) != headerSize {
		return nil, nil, nil, fmt.Errorf("log header %q is not of %d bytes", header, headerSize)
	}
	l := &appendLog{path: path, header: header, perm: perm, owner: write}
	text, entries, size, lost, err := readLog(path, header)
	if err != nil {
		return nil, nil, nil, err
	}
	l.size, l.lost = size, lost
	good := lost == 0
	switch {
	case write:
		if noFile(path) {
			dir := filepath.Dir(path)
			if err := setAside(path, filepath.Join(dir, asideDir), dirPerm(perm)); err != nil {
				return nil, nil, nil, err
			}
		}
		l.f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, perm)
		if err == nil && !good {
			err = l.f.Truncate(size)
		}
		if err == nil && size == 0 {
			err = l.write([]byte(header))
		}
		if err != nil {
			return nil, nil, nil, errors.Join(err, l.close())
		}
	case good && size > 0:
		// A cache that may not be written to is still good for reading.
		if f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			l.f = f
		}
	}
	return l, text, entries, nil
}

func appendEntry(b, payload []byte) ([]byte, error) {
	if len(payload) > maxEntry {
		return b, fmt.Errorf("an entry of %d bytes is too long for a log", len(payload))
	}
	var head [entryHead]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[4:], checksum(head[:4], payload))
	return append(append(b, head[:]...), payload...), nil
}

// append adds entries by one write.
func (l *appendLog) append(payloads ...[]byte) error {
	if l.f == nil || len(payloads) == 0 {
		return nil
	}
	var b []byte
	var err error
	for _, p := range payloads {
		if b, err = appendEntry(b, p); err != nil {
			return err
		}
	}
	return l.write(b)
}

func (l *appendLog) write(b []byte) error {
	n, err := l.f.Write(b)
	if err == nil {
		l.size += int64(n)
	}
	return err
}

// sync makes sure that what was appended survives a power cut.
func (l *appendLog) sync() error {
	if l.f == nil {
		return nil
	}
	return l.f.Sync()
}

// rewrite replaces the log by one with these entries.
func (l *appendLog) rewrite(entries [][]byte) error {
	b := []byte(l.header)
	var err error
	for _, e := range entries {
		if b, err = appendEntry(b, e); err != nil {
			return err
		}
	}
	tmp, err := os.OpenFile(l.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, l.perm)
	if err != nil {
		return err
	}
	if _, err = tmp.Write(b); err == nil {
		err = tmp.Sync()
	}
	if err == nil {
		err = os.Rename(tmp.Name(), l.path)
	}
	if err != nil {
		return errors.Join(err, tmp.Close())
	}
	old := l.f
	l.f, l.size = tmp, int64(len(b))
	return closeFile(old)
}

func (l *appendLog) close() error {
	f := l.f
	l.f = nil
	return closeFile(f)
}

func closeFile(f *os.File) error {
	if f == nil {
		return nil
	}
	return f.Close()
}

// compactAbove is the size below which a log is never worth rewriting.
const compactAbove = 256 << 10

// wasteful says that a log is three times as large as what is alive in it.
func wasteful(size, live int64) bool { return size > compactAbove && size > 3*live }
