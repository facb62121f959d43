package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newStore(t *testing.T, dir string) *Store {
	t.Helper()
	if err := Create(dir, Private); err != nil {
		t.Fatal(err)
	}
	return must(Open(dir, Private, SafetyGap))(t)
}

func closeStore(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestRecords(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	for i := range 3 {
		if err := s.Records.Append([]Record{{Step: "a", Key: Sum{byte(i)}, Body: []byte{byte(i)}}, {Step: "b", Key: Sum{9}, Body: []byte{byte(i)}}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(s *Store) {
		t.Helper()
		if r, ok := s.Records.Last("a"); !ok || r.Key != (Sum{2}) {
			t.Errorf("last of a: %v %v", r, ok)
		}
		if r, ok := s.Records.ByKey(Sum{1}); !ok || r.Step != "a" || !bytes.Equal(r.Body, []byte{1}) {
			t.Errorf("by key: %v %v", r, ok)
		}
		if r, ok := s.Records.ByKey(Sum{9}); !ok || !bytes.Equal(r.Body, []byte{2}) {
			t.Errorf("the newest of a key: %v %v", r, ok)
		}
		if _, ok := s.Records.Last("c"); ok {
			t.Error("a step that never ran has a record")
		}
	}
	check(s)
	closeStore(t, s)
	s = must(OpenReader(dir, Private, SafetyGap))(t)
	check(s)
	closeStore(t, s)
}

// openEntries opens a log and returns its entries.
func openEntries(path, header string, perm fs.FileMode, write bool) (*appendLog, [][]byte, error) {
	var entries [][]byte
	l := newLog(path, header, perm)
	err := l.open(write, func(_ span, payload []byte) { entries = append(entries, bytes.Clone(payload)) })
	return l, entries, err
}

func init() { oneWrite, flushChunk = 16, 3000 } // so that entries of all tests are written in several ways

// TestLogPrefix holds that whatever happens to a log, what is read is a prefix
// of what was written, and that it can be appended to after that.
func TestLogPrefix(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		want := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 40), 1, 6).Draw(t, "entries")
		l, _, err := openEntries(path, recordsHeader, 0o600, true)
		if err == nil {
			payloads := make([]payload, len(want))
			for i, e := range want {
				cut := rapid.IntRange(0, len(e)).Draw(t, "cut")
				payloads[i] = payload{e[:cut], e[cut:]}
			}
			err = errors.Join(l.append(payloads...), l.close())
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
		damage := rapid.SampledFrom([]string{"cut", "flip", "zeros", "none"}).Draw(t, "damage")
		switch damage {
		case "cut":
			b = b[:at]
		case "flip":
			b[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		case "zeros":
			b = append(b[:at], make([]byte, len(b)-at+20)...)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		reader, read, err := openEntries(path, recordsHeader, 0o600, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.close(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, b) {
			t.Fatalf("a reader changed the log: %v", err)
		}
		l, entries, err := openEntries(path, recordsHeader, 0o600, true)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(read) || len(entries) > len(want) || damage == "none" && len(entries) != len(want) {
			t.Fatalf("%d of %d entries read, %d by a reader", len(entries), len(want), len(read))
		}
		for i := range entries {
			if !bytes.Equal(entries[i], want[i]) {
				t.Fatalf("entry %d is %q, was written as %q", i, entries[i], want[i])
			}
		}
		if err := errors.Join(l.append(payload{[]byte("more")}), l.close()); err != nil {
			t.Fatal(err)
		}
		_, more, err := openEntries(path, recordsHeader, 0o600, false)
		if err != nil || len(more) != len(entries)+1 || string(more[len(entries)]) != "more" {
			t.Fatalf("after appending: %d entries, %v", len(more), err)
		}
	})
}

func TestOtherVersionIsEmpty(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	if err := s.Records.Append([]Record{{Step: "a"}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	path := filepath.Join(dir, "records")
	b := must(os.ReadFile(path))(t)
	b[len(recordsHeader)-2]++ // the last digit of the version
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s = newStore(t, dir)
	if got := s.Records.All(); len(got) > 0 {
		t.Errorf("records of another version were read: %v", got)
	}
	if err := s.Records.Append([]Record{{Step: "b"}}); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = newStore(t, dir)
	if got := s.Records.All(); len(got) != 1 || got[0].Step != "b" {
		t.Errorf("records after that: %v", got)
	}
	closeStore(t, s)
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	body := make([]byte, 8<<10)
	for i := range 100 {
		if err := s.Records.Append([]Record{{Step: "a", Key: Sum{byte(i)}, Body: body}}); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	s = newStore(t, dir)
	defer closeStore(t, s)
	if info := must(os.Stat(filepath.Join(dir, "records")))(t); info.Size() > 100<<10 {
		t.Errorf("the log was not compacted: %d bytes", info.Size())
	}
	if err := s.Records.Append([]Record{{Step: "a", Key: Sum{200}}}); err != nil {
		t.Fatal(err)
	}
	again := must(OpenReader(dir, Private, SafetyGap))(t)
	defer closeStore(t, again)
	if got := len(again.Records.All()); got != keepPerStep+1 {
		t.Errorf("%d records are left", got)
	}
	if r, ok := again.Records.Last("a"); !ok || r.Key != (Sum{200}) {
		t.Errorf("the newest is %v", r.Key)
	}
}

func TestIndex(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	old := Stat{Dev: 1, Ino: 2, Size: 3, Mtime: 4, Ctime: s.Index.clock - int64(3*time.Second)}
	young := old
	young.Ctime = s.Index.clock - int64(time.Second)
	future := old
	future.Mtime = s.Index.clock + int64(time.Hour)
	s.Index.Put([]byte("old"), old, Sum{1})
	s.Index.Put([]byte("young"), young, Sum{1})
	s.Index.Put([]byte("future"), future, Sum{1})
	s.Index.PutMeaning("k", Sum{1}, 3, "meaning")
	check := func(s *Store) {
		t.Helper()
		e, sum := s.Index.Get([]byte("old"), old)
		if e == 0 || sum != (Sum{1}) {
			t.Fatalf("an old file: %v %v", e, sum)
		}
		if in, ok := s.Index.At(e); !ok || in != (Indexed{old, Sum{1}}) {
			t.Errorf("its entry: %v %v", in, ok)
		}
		for name, st := range map[string]Stat{"young": young, "future": future} {
			if e, _ := s.Index.Get([]byte(name), st); e != 0 {
				t.Errorf("a %s file is trusted", name)
			}
		}
		for i := range 5 {
			other := old
			switch i {
			case 0:
				other.Dev++
			case 1:
				other.Ino++
			case 2:
				other.Size++
			case 3:
				other.Mtime++
			case 4:
				other.Ctime++
			}
			if e, _ := s.Index.Get([]byte("old"), other); e != 0 {
				t.Errorf("a file whose stat has changed (%d) is trusted", i)
			}
		}
		if m, ok := s.Index.Meaning("k", Sum{1}, 3); !ok || m != "meaning" {
			t.Errorf("meaning: %q %v", m, ok)
		}
		if _, ok := s.Index.Meaning("other", Sum{1}, 3); ok {
			t.Error("a meaning of another kind is given")
		}
	}
	check(s)
	closeStore(t, s)
	s = must(OpenReader(dir, Private, SafetyGap))(t)
	check(s)
	closeStore(t, s)
}

func TestBlobs(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, dir)
	defer closeStore(t, s)
	src := filepath.Join(dir, "src")
	data := bytes.Repeat([]byte("contents "), 1<<16)
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum, st, err := Hash(src)
	if err != nil || sum != blake3.Sum256(data) || st.Size != int64(len(data)) {
		t.Fatalf("hash: %v %v", sum, err)
	}
	if s.Blobs.Verify(sum, st.Size) {
		t.Error("a blob is there before it was put")
	}
	if err := s.Blobs.Put(src, Sum{1}, st.Size); err == nil {
		t.Error("a blob was put under a digest that is not its own")
	}
	if err := s.Blobs.Put(src, sum, st.Size); err != nil {
		t.Fatal(err)
	}
	dst := filepath.Join(dir, "dst")
	if err := s.Blobs.Restore(sum, dst, 0o640); err != nil {
		t.Fatal(err)
	}
	if got := must(os.ReadFile(dst))(t); !bytes.Equal(got, data) {
		t.Error("restored contents differ")
	}
	blob := must(os.Stat(s.Blobs.path(sum)))(t)
	if blob.Mode().Perm() != 0o400 || os.SameFile(blob, must(os.Stat(dst))(t)) || os.SameFile(blob, must(os.Stat(src))(t)) {
		t.Errorf("the blob is a link or can be written: %v", blob.Mode())
	}
	if err := os.Chmod(s.Blobs.path(sum), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Blobs.path(sum), bytes.Repeat([]byte("x"), len(data)), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.Blobs.Verify(sum, st.Size) {
		t.Error("a damaged blob is good")
	}
	if err := s.Blobs.Restore(sum, filepath.Join(dir, "bad"), 0o600); err == nil {
		t.Error("a damaged blob was restored")
	}
	if _, err := os.Stat(filepath.Join(dir, "bad")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("and is there: %v", err)
	}
	if err := s.Blobs.Put(src, sum, st.Size); err != nil || !s.Blobs.Verify(sum, st.Size) {
		t.Errorf("a damaged blob was not replaced: %v", err)
	}
}

func TestHashRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := Hash(dir); !errors.Is(err, errNotRegular) {
		t.Errorf("a directory: %v", err)
	}
	if _, _, err := Hash(filepath.Join(dir, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
}

// TestHashMoves replaces a file all the time that it is hashed: the answer is
// an error or the digest of contents that the file had.
func TestHashMoves(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	contents := [][]byte{bytes.Repeat([]byte("a"), 1<<20), bytes.Repeat([]byte("b"), 1<<20)}
	sums := map[Sum]bool{blake3.Sum256(contents[0]): true, blake3.Sum256(contents[1]): true}
	replace := func(i int) error {
		tmp := filepath.Join(dir, "new")
		if err := os.WriteFile(tmp, contents[i%2], 0o600); err != nil {
			return err
		}
		return os.Rename(tmp, path)
	}
	if err := replace(0); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan bool), make(chan error)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				if err := replace(i); err != nil {
					stopped <- err
					return
				}
			}
		}
	}()
	for range 100 {
		if sum, _, err := Hash(path); err == nil && !sums[sum] {
			t.Errorf("a digest of contents that the file never had: %v", sum)
		} else if err != nil && !errors.Is(err, ErrMoved) {
			t.Error(err)
		}
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// TestLogOfAFullDisk holds that entries which were written in part are no part of a log,
// and that what others have appended and what is appended once there is room is found.
func TestLogOfAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _, err := openEntries(path, recordsHeader, 0o600, true)
	if err == nil {
		err = l.append(payload{[]byte("before")})
	}
	if err != nil {
		t.Fatal(err)
	}
	beside, _, err := openEntries(path, recordsHeader, 0o600, false)
	if err == nil {
		err = errors.Join(beside.append(payload{[]byte("beside")}), beside.close())
	}
	if err != nil {
		t.Fatal(err)
	}
	known, size := l.size, l.size+entryHead+int64(len("beside"))
	// Without it the signal would end the process, and the kernel's error is asked for.
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var room syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		t.Fatal(err)
	}
	full := room
	full.Cur = uint64(size) + 30
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	err = l.append(payload{[]byte("part of"), bytes.Repeat([]byte("x"), 100)})
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &room); err != nil {
		t.Fatal(err)
	}
	if info, serr := os.Stat(path); !errors.Is(err, syscall.EFBIG) || serr != nil || info.Size() != size || l.size != known {
		t.Errorf("a write that does not fit: %v; the file has %d bytes, want %d, the log %d, want %d", err, info.Size(), size, l.size, known)
	}
	if err := errors.Join(l.append(payload{[]byte("after")}), l.close()); err != nil {
		t.Fatal(err)
	}
	_, entries, err := openEntries(path, recordsHeader, 0o600, false)
	if err != nil || fmt.Sprintf("%s", entries) != "[before beside after]" {
		t.Errorf("%q, %v", entries, err)
	}
}

// TestLogReplacedMeanwhile adds nothing to a log that another has put in the place of the
// one that was read: where it would lie there it would not be found here.
func TestLogReplacedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _, err := openEntries(path, indexHeader, 0o600, true)
	if err == nil {
		err = errors.Join(l.append(payload{[]byte("old")}), l.close())
	}
	if err != nil {
		t.Fatal(err)
	}
	text := must(os.ReadFile(path))(t)
	reader := newLog(path, indexHeader, 0o600)
	err = reader.open(false, func(s span, _ []byte) {
		if err := errors.Join(os.Rename(path, path+".old"), os.WriteFile(path, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	})
	if err == nil {
		err = errors.Join(reader.append(payload{[]byte("more")}), reader.close())
	}
	if now := must(os.ReadFile(path))(t); err != nil || !bytes.Equal(now, text) {
		t.Errorf("%q, %v", now, err)
	}
}

// TestLogRefusesTooLong holds that an entry which no reader would take is refused before
// any of those with it is written.
func TestLogRefusesTooLong(t *testing.T) {
	l, _, err := openEntries(filepath.Join(t.TempDir(), "log"), recordsHeader, 0o600, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close() //nolint:errcheck // what it holds is of no use any more
	size := l.size
	err = l.append(payload{bytes.Repeat([]byte("x"), 100)}, payload{make([]byte, maxEntry+1)}) // memory that nobody touches
	info, serr := os.Stat(l.path)
	if err == nil || !strings.Contains(err.Error(), "too long") || serr != nil || info.Size() != size || l.size != size {
		t.Errorf("%v, %v: the file has %d bytes, the log %d, want %d", err, serr, info.Size(), l.size, size)
	}
}
