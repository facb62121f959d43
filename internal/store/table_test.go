package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestIndexIsAMap holds the index, closed and opened again every now and then,
// against a map, with enough entries for its table to grow and its log to be
// compacted.
func TestIndexIsAMap(t *testing.T) {
	dir := t.TempDir()
	n, compacted := 0, false
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := filepath.Join(dir, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		want := map[string]Indexed{}
		ix, err := openIndex(dir, Private, 0, true)
		if err != nil {
			t.Fatal(err)
		}
		reopen := func() {
			size := ix.log.size
			if err := ix.Flush(); err != nil {
				t.Fatal(err)
			}
			size = max(size, ix.log.size)
			if err := ix.log.close(); err != nil {
				t.Fatal(err)
			}
			if ix, err = openIndex(dir, Private, 0, true); err != nil {
				t.Fatal(err)
			}
			compacted = compacted || ix.log.size < size
		}
		names := rapid.IntRange(1, 600).Draw(t, "names")
		rounds := rapid.IntRange(1, 12).Draw(t, "rounds")
		form := rapid.SampledFrom([]string{"root:%d/a name that makes the log grow %d", "%d:%d"}).Draw(t, "names like")
		for round := range rounds {
			for i := range names {
				name := fmt.Sprintf(form, i%17, i)
				e := Indexed{Stat{Ino: uint64(i), Size: int64(round), Mtime: 1}, Sum{byte(i), byte(round)}}
				if (i+round)%3 > 0 {
					at := ix.Put([]byte(name), e.Stat, e.Sum)
					if in, ok := ix.At(at); !ok || in != e {
						t.Fatalf("%s was put as %v (%v), want %v", name, in, ok, e)
					}
					want[name] = e
				}
			}
			ix.PutMeaning("kind", Sum{byte(round)}, 1, fmt.Sprint(round))
			if rapid.Bool().Draw(t, "reopen") || round == rounds-1 {
				reopen()
			}
			for name, e := range want {
				at, sum := ix.Get([]byte(name), e.Stat)
				if at == 0 || sum != e.Sum {
					t.Fatalf("round %d: %s: %v, want %v", round, name, sum, e)
				}
				if in, ok := ix.At(at); !ok || in != e {
					t.Fatalf("round %d: the entry of %s: %v (%v), want %v", round, name, in, ok, e)
				}
				e.Stat.Size++
				if at, _ := ix.Get([]byte(name), e.Stat); at != 0 {
					t.Fatalf("round %d: %s is known with another size", round, name)
				}
			}
			if at, _ := ix.Get([]byte("root:no"), Stat{}); at != 0 {
				t.Fatal("a file that was never put is known")
			}
		}
		for round := range rounds {
			if m, ok := ix.Meaning("kind", Sum{byte(round)}, 1); !ok || m != fmt.Sprint(round) {
				t.Fatalf("meaning of round %d: %q %v", round, m, ok)
			}
		}
		if err := ix.log.close(); err != nil {
			t.Fatal(err)
		}
	})
	if !compacted && !testing.Short() {
		t.Error("no index was compacted")
	}
}

// TestRecordsAreAMap does the same for records.
func TestRecordsAreAMap(t *testing.T) {
	dir := t.TempDir()
	n, compacted := 0, false
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, fmt.Sprint(n))
		r, err := openRecords(path, Private, true)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, rapid.IntRange(0, 3000).Draw(t, "body"))
		last, keys := map[string]Record{}, map[Sum]Record{}
		steps := rapid.IntRange(1, 60).Draw(t, "steps")
		rounds := rapid.IntRange(1, 40).Draw(t, "rounds")
		if n == 1 { // what is drawn may all be too little to be worth it
			body, steps, rounds = make([]byte, 3000), 60, 40
		}
		for round := range rounds {
			var recs []Record
			for i := range steps {
				// Two settings after another, as a user would try them.
				key := Sum{byte(i), byte(i >> 8), byte(round / 4 * 2), byte(round % 2)}
				recs = append(recs, Record{fmt.Sprint("step ", i), key, []byte{byte(round)}, [][]byte{body, {byte(i)}}})
			}
			if err := r.Append(recs); err != nil {
				t.Fatal(err)
			}
			for _, rec := range recs {
				rec.Body, rec.Tail = append(rec.Body, bytes.Join(rec.Tail, nil)...), nil // as it is read
				last[rec.Step], keys[rec.Key] = rec, rec
			}
		}
		size := r.log.size
		if err := r.log.close(); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the first may compact
			if r, err = openRecords(path, Private, true); err != nil {
				t.Fatal(err)
			}
			compacted = compacted || r.log.size < size
			for step, want := range last {
				got, ok := r.Last(step)
				if !ok || got.Key != want.Key || string(got.Body) != string(want.Body) || !r.IsLast(step, want.Key) || r.IsLast(step, Sum{255}) {
					t.Fatalf("last of %s: %v", step, ok)
				}
				if got, ok := r.ByKey(want.Key); !ok || got.Step != step || string(got.Body) != string(want.Body) {
					t.Fatalf("by the key of %s: %v", step, ok)
				}
			}
			for key, want := range keys {
				if got, ok := r.ByKey(key); ok && (got.Step != want.Step || string(got.Body) != string(want.Body)) || !ok && r.log.size == size {
					t.Fatalf("by key: %v", ok)
				}
			}
			if _, ok := r.Last("no"); ok {
				t.Fatal("a step that has no record has one")
			}
			if err := r.log.close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !compacted {
		t.Error("no records were compacted")
	}
}

// BenchmarkOpen opens a cache that knows 20,000 steps and twice as many files.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, Private, 0)
	if err != nil {
		b.Fatal(err)
	}
	var recs []Record
	for i := range 20_000 {
		recs = append(recs, Record{Step: fmt.Sprintf("run:r%05d", i), Key: Sum{byte(i), byte(i >> 8), byte(i >> 16)}, Body: make([]byte, 500)})
		for _, name := range []string{"work:in/r%05d.bin", "work:rec/r%05d.json"} {
			s.Index.Put(fmt.Appendf(nil, name, i), Stat{Ino: uint64(i), Mtime: 1}, Sum{byte(i)})
		}
	}
	if err := s.Records.Append(recs); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		s, err := Open(dir, Private, 2*time.Second)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestLargeRecords reads entries of all sizes that a log is read differently by,
// and finds what somebody has written over since it was opened.
func TestLargeRecords(t *testing.T) {
	path := filepath.Join(t.TempDir(), "records")
	r, err := openRecords(path, Private, true)
	if err != nil {
		t.Fatal(err)
	}
	var want []Record
	for i, size := range []int{0, scanBuffer - 40, scanBuffer, scanBuffer + 1, wholeEntry - 36, wholeEntry, wholeEntry + 3*scanBuffer, 7} {
		body := bytes.Repeat([]byte{byte(i), byte(size)}, size/2+1)[:size]
		want = append(want, Record{Step: fmt.Sprint("s", i), Key: Sum{byte(i)}, Body: body})
	}
	if err := errors.Join(r.Append(want), r.log.close()); err != nil {
		t.Fatal(err)
	}
	for _, write := range []bool{false, true} {
		if r, err = openRecords(path, Private, write); err != nil {
			t.Fatal(err)
		}
		if got := r.All(); !slices.EqualFunc(got, want, func(a, b Record) bool {
			return a.Step == b.Step && a.Key == b.Key && bytes.Equal(a.Body, b.Body)
		}) {
			t.Errorf("read %d of %d records as they were written", len(got), len(want))
		}
		if r.Lost() != 0 {
			t.Errorf("%d bytes lost", r.Lost())
		}
		if !write {
			if err := r.log.close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] ^= 1 // in the body of the last
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Last("s7"); ok {
		t.Error("a record that was written over is believed")
	}
	if _, ok := r.Last("s6"); !ok {
		t.Error("a whole record is not believed")
	}
	if err := r.log.close(); err != nil {
		t.Fatal(err)
	}
	if r, err = openRecords(path, Private, true); err != nil {
		t.Fatal(err)
	}
	if got := len(r.All()); got != len(want)-1 || r.Lost() == 0 {
		t.Errorf("%d records after the last was damaged, %d bytes lost", got, r.Lost())
	}
	if err := r.log.close(); err != nil {
		t.Fatal(err)
	}
}
