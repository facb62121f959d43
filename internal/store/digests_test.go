package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// numbered is what tests put of a file.
func numbered(i int) ([]byte, Indexed) {
	return fmt.Appendf(nil, "store:1/%032x/params/%d", i*7919, i%3), Indexed{Stat{Ino: uint64(i), Size: 7, Mtime: 1}, Sum{byte(i), byte(i >> 8)}}
}

// has says that an index has a file, by its name and by an entry.
func has(t *testing.T, ix *Index, e Entry, name []byte, want Indexed) {
	t.Helper()
	if found, sum := ix.Get(name, want.Stat); found == 0 || sum != want.Sum {
		t.Fatalf("%.40q: entry %d with %v", name, found, sum)
	}
	if in, ok := ix.At(e); !ok || in != want {
		t.Fatalf("%.40q: entry %d is %v, %v", name, e, in, ok)
	}
}

// TestIndexBesideAnother lets two processes add to one index in turns, as a build does and
// a question about its state: each finds what it has put, wherever that came to lie.
func TestIndexBesideAnother(t *testing.T) {
	dir := t.TempDir()
	const files = 300
	first := must(openIndex(dir, Private, 0, true))(t)
	var indexes []*Index
	entries := map[*Index][files]Entry{}
	for _, ix := range []*Index{first, nil, nil} {
		if ix == nil {
			ix = must(openIndex(dir, Private, 0, false))(t)
		}
		indexes = append(indexes, ix)
	}
	for i := range files {
		for k, ix := range indexes {
			name, in := numbered(i*len(indexes) + k)
			all := entries[ix]
			all[i] = ix.Put(name, in.Stat, in.Sum)
			entries[ix] = all
			if i%50 == 49-k {
				if err := ix.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for k, ix := range indexes {
		for i := range files {
			name, in := numbered(i*len(indexes) + k)
			has(t, ix, entries[ix][i], name, in)
		}
		if err := errors.Join(ix.Flush(), ix.log.close()); err != nil {
			t.Fatal(err)
		}
	}
	all := must(openIndex(dir, Private, 0, false))(t)
	defer all.log.close() //nolint:errcheck // read only
	if all.Lost() != 0 {
		t.Errorf("%d bytes are lost", all.Lost())
	}
	for i := range files * len(indexes) {
		name, in := numbered(i)
		if e, sum := all.Get(name, in.Stat); e == 0 || sum != in.Sum {
			t.Fatalf("file %d is lost", i)
		}
	}
}

// TestIndexWithoutRoom has what was put though it could not be written, and says so.
func TestIndexWithoutRoom(t *testing.T) {
	ix := must(openIndex(t.TempDir(), Private, 0, true))(t)
	defer ix.log.close() //nolint:errcheck // it is closed already
	const files = 200
	var entries [files]Entry
	for i := range files {
		if i == 70 {
			if err := ix.log.f.Close(); err != nil { // every write fails from now on
				t.Fatal(err)
			}
			ix.log.f = must(os.Open(ix.log.path))(t)
		}
		name, in := numbered(i)
		entries[i] = ix.Put(name, in.Stat, in.Sum)
	}
	if err := ix.Flush(); err == nil {
		t.Error("that nothing could be written is not said")
	}
	for i := range files {
		name, in := numbered(i)
		has(t, ix, entries[i], name, in)
	}
}

// TestIndexWrittenOver believes nothing that is not there as it was found.
func TestIndexWrittenOver(t *testing.T) {
	dir := t.TempDir()
	ix := must(openIndex(dir, Private, 0, true))(t)
	const files = 400
	var entries [files]Entry
	for i := range files {
		name, in := numbered(i)
		entries[i] = ix.Put(name, in.Stat, in.Sum)
	}
	if err := ix.Flush(); err != nil {
		t.Fatal(err)
	}
	text := must(os.ReadFile(ix.log.path))(t)
	spoilt := bytes.Clone(text)
	for i := headerSize + entryHead; i < len(spoilt); i++ {
		if spoilt[i] == 7 { // of the size of a file
			spoilt[i] = 8
		}
	}
	for what, now := range map[string][]byte{"written over": spoilt, "cut": text[:headerSize]} {
		if err := os.WriteFile(filepath.Join(dir, "index"), now, 0o600); err != nil {
			t.Fatal(err)
		}
		ix.files.windows = sync.Pool{New: func() any { return new(window) }} // they have what was there
		for i := range files {
			if in, ok := ix.At(entries[i]); ok || in != (Indexed{}) {
				t.Fatalf("%s: entry %d is believed: %v, %v", what, i, in, ok)
			}
			name, in := numbered(i)
			if e, _ := ix.Get(name, in.Stat); e != 0 {
				t.Fatalf("%s: file %d is believed", what, i)
			}
		}
	}
	if err := ix.log.close(); err != nil {
		t.Fatal(err)
	}
}

// TestEntryOfAnother believes no entry of another file that stands where one stood, though
// its check happens to be the same: of a million entries one might.
func TestEntryOfAnother(t *testing.T) {
	ix := must(openIndex(t.TempDir(), Private, 0, true))(t)
	defer ix.log.close() //nolint:errcheck // it was written over
	name, in := numbered(1)
	e := ix.Put(name, in.Stat, in.Sum)
	if err := ix.Flush(); err != nil {
		t.Fatal(err)
	}
	has(t, ix, e, name, in)
	name, in = numbered(2)
	other := encodeFile(nil, name, in)
	text := must(os.ReadFile(ix.log.path))(t)
	at := ix.files.position(e).offset() // the first stretch begins where the log ended
	if err := os.WriteFile(ix.log.path, append(text[:at+entryHead], other...), 0o600); err != nil {
		t.Fatal(err)
	}
	ix.files.windows = sync.Pool{New: func() any { return new(window) }}
	var sum [8]byte
	binary.LittleEndian.PutUint64(sum[:], maphash.Bytes(seed, other))
	copy(ix.files.position(e).check[:], sum[:])
	if in, ok := ix.At(e); ok {
		t.Errorf("the entry is believed, which says %v", in)
	}
}

// TestDamagedName makes no room for a name because of its length: where the index was
// written over that is any number.
func TestDamagedName(t *testing.T) {
	ix := must(openIndex(t.TempDir(), Private, 0, true))(t)
	defer ix.log.close() //nolint:errcheck // it was written over
	name, in := numbered(1)
	e := ix.Put(name, in.Stat, in.Sum)
	if err := ix.Flush(); err != nil {
		t.Fatal(err)
	}
	text := must(os.ReadFile(ix.log.path))(t)
	at := ix.files.position(e).offset() + entryHead
	if err := os.WriteFile(ix.log.path, binary.AppendUvarint(text[:at], maxEntry-1), 0o600); err != nil {
		t.Fatal(err)
	}
	w := new(window)
	if _, _, ok := ix.files.read(e, w); ok || cap(w.b) > 2*wholeEntry {
		t.Errorf("an entry without a name: %v, with room for %d bytes", ok, cap(w.b))
	}
}

// TestIndexCompaction leaves one entry of each file, the newest.
func TestIndexCompaction(t *testing.T) {
	dir := t.TempDir()
	const files, times = 1500, 5
	fill := must(openIndex(dir, Private, 0, true))(t)
	for k := range times {
		for i := range files {
			name, in := numbered(i)
			in.Stat.Ctime = int64(k)
			fill.Put(name, in.Stat, in.Sum)
		}
	}
	if err := errors.Join(fill.Flush(), fill.log.close()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ix := must(openIndex(dir, Private, 0, true))(t)
		if size := ix.log.size; size*(times-1) > fill.log.size {
			t.Errorf("%d bytes are left of %d", size, fill.log.size)
		}
		for i := range files {
			name, in := numbered(i)
			if e, _ := ix.Get(name, in.Stat); e != 0 {
				t.Fatalf("file %d is as it was first", i)
			}
			in.Stat.Ctime = times - 1
			e, _ := ix.Get(name, in.Stat)
			has(t, ix, e, name, in)
		}
		if err := ix.log.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLongNames reads entries that are longer than what is read at once.
func TestLongNames(t *testing.T) {
	dir := t.TempDir()
	ix := must(openIndex(dir, Private, 0, true))(t)
	want := map[string]Indexed{}
	for i, size := range []int{1, 127, 128, typicalEntry, windowSize - fixedSize - 2, windowSize, 3 * windowSize, 2} {
		name := strings.Repeat(fmt.Sprint(i), size)
		want[name] = Indexed{Stat{Ino: uint64(i), Mtime: 1}, Sum{byte(i)}}
	}
	for range 2 {
		for name, in := range want {
			has(t, ix, ix.Put([]byte(name), in.Stat, in.Sum), []byte(name), in)
		}
		if err := errors.Join(ix.Flush(), ix.log.close()); err != nil {
			t.Fatal(err)
		}
		ix = must(openIndex(dir, Private, 0, true))(t)
		for name, in := range want {
			e, _ := ix.Get([]byte(name), in.Stat)
			has(t, ix, e, []byte(name), in)
		}
	}
	if err := ix.log.close(); err != nil {
		t.Fatal(err)
	}
}

// TestIndexIsSmall holds what the index has in memory of each file, whatever its name, to
// a fifth of what there is to know: a large store has a million.
func TestIndexIsSmall(t *testing.T) {
	defer func(size int) { flushChunk = size }(flushChunk)
	flushChunk = 256 << 10
	dir := t.TempDir()
	const files, most = 100_000, 30
	fill := must(openIndex(dir, Private, 0, true))(t)
	before := allocated()
	for i := range files {
		name, in := numbered(i)
		fill.Put(name, in.Stat, in.Sum)
	}
	if each := (allocated() - before) / files; each > most {
		t.Errorf("%d bytes of each file that was put, want at most %d", each, most)
	}
	if err := errors.Join(fill.Flush(), fill.log.close()); err != nil {
		t.Fatal(err)
	}
	before = allocated()
	read := must(openIndex(dir, Private, 0, true))(t)
	if each := (allocated() - before) / files; each > most {
		t.Errorf("%d bytes of each file that was read, want at most %d", each, most)
	}
	name, in := numbered(files - 1)
	e, _ := read.Get(name, in.Stat)
	has(t, read, e, name, in)
	if err := read.log.close(); err != nil {
		t.Fatal(err)
	}
	runtime.KeepAlive(fill)
}

// allocated returns how many bytes are in use after a collection.
func allocated() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLastBrief reads the beginning of a record and still sees damage behind it.
func TestLastBrief(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	r := must(openRecords(path, Private, true))(t)
	body := bytes.Repeat([]byte("body "), 1000)
	if err := r.Append([]Record{{Step: "s", Key: Sum{1}, Body: body[:10], Tail: [][]byte{body[10:]}}}); err != nil {
		t.Fatal(err)
	}
	for _, brief := range []int{0, 1, 10, 11, len(body) - 1, len(body), len(body) + 1, 1 << 20} {
		rec, size, ok := r.LastBrief("s", brief)
		if !ok || size != len(body) || rec.Step != "s" || rec.Key != (Sum{1}) || !bytes.Equal(rec.Body, body[:min(brief, len(body))]) {
			t.Errorf("%d bytes of a body: %d of %d, %v", brief, len(rec.Body), size, ok)
		}
	}
	if _, _, ok := r.LastBrief("no", 1); ok {
		t.Error("a step that has no record has one")
	}
	text := must(os.ReadFile(path))(t)
	text[len(text)-1] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := r.LastBrief("s", 10); ok {
		t.Error("a record that is damaged behind its beginning is believed")
	}
	if err := r.log.close(); err != nil {
		t.Fatal(err)
	}
}
