package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"iter"
	"slices"
	"sync"
)

// Record is what a successful step left: the key that it ran under, and a body
// that only the engine understands.
type Record struct {
	Step string
	Key  Sum
	Body []byte
	// Tail is more of the body, for who writes records: that of a step which lists a
	// large study need not be copied. A record that was read has none.
	Tail [][]byte
}

// Records finds the newest record of a step and of a key. Bodies stay on disk until
// they are asked for: that of a step which lists a large study is as large as all
// others. It is safe for concurrent use.
type Records struct {
	mu      sync.RWMutex
	log     *appendLog
	entries []place // in the order of the log; good ones only
	steps   Table   // of the newest of each step, by index of entries
	keys    Table   // and of each key
	newest  int64   // about how large the newest of all steps are
	room    []byte  // for the heads of further entries
}

// place is an entry of the log: where it is, and what it begins with, the step and
// the key.
type place struct {
	span
	head []byte
}

// The last digits are the version of the entries.
const recordsHeader = "step-records  1\n"

// keepPerStep is how many keys of a step survive a compaction: enough to go
// back and forth between a few settings without building again.
const keepPerStep = 8

func openRecords(path string, perm Perm, write bool) (*Records, error) {
	r := &Records{log: newLog(path, recordsHeader, perm.File)}
	r.forget(0)
	if err := r.log.open(write, r.remember); err != nil {
		return nil, err
	}
	// What is kept is at least the newest: what is not wasteful measured by that
	// need not be counted.
	if write && wasteful(r.log.size, r.newest) {
		if keep, live := r.live(); wasteful(r.log.size, live) {
			return r, r.keep(keep)
		}
	}
	return r, nil
}

// keep writes a log of some of the entries only.
func (r *Records) keep(places []place) error {
	return r.rewrite(len(places), func(yield func(payload, error) bool) {
		for _, p := range places { // one after another: they may be large
			entry, err := r.log.read(p.span, maxEntry)
			if !yield(payload{entry}, err) {
				return
			}
		}
	})
}

// rewrite makes these the entries of the log.
func (r *Records) rewrite(count int, entries iter.Seq2[payload, error]) error {
	now := &Records{log: r.log}
	now.forget(count)
	if err := r.log.rewrite(entries, func(s span, p payload) { now.remember(s, p[0]) }); err != nil {
		return err
	}
	r.entries, r.steps, r.keys, r.newest, r.room = now.entries, now.steps, now.keys, now.newest, now.room
	return nil
}

// rememberAll takes entries that were written to the log from a place on. What they
// hold step and key in is their first part.
func (r *Records) rememberAll(at int64, entries []payload) {
	for _, e := range entries {
		at += entryHead
		r.remember(span{at, uint32(e.len())}, e[0])
		at += int64(e.len())
	}
}

// forget empties the tables and makes room.
func (r *Records) forget(room int) {
	r.entries = make([]place, 0, room)
	r.steps, r.keys, r.newest = NewTable(room), NewTable(room), 0
}

// remember takes an entry of the log. What holds no step and key is left out.
func (r *Records) remember(s span, payload []byte) {
	n, k := binary.Uvarint(payload)
	if k <= 0 || n > uint64(len(payload)-k) || len(payload)-k-int(n) < len(Sum{}) {
		return
	}
	head := r.head(payload[:k+int(n)+len(Sum{})])
	at := uint32(len(r.entries))
	r.entries = append(r.entries, place{s, head})
	step, key := stepIn(head), keyIn(head)
	is := func(at uint32) bool { return bytes.Equal(stepIn(r.entries[at].head), step) }
	was, again := r.steps.Put(maphash.Bytes(seed, step), at, is, func(at uint32) uint64 { return maphash.Bytes(seed, stepIn(r.entries[at].head)) })
	if again {
		r.newest -= int64(r.entries[was].size) + 64
	}
	r.newest += int64(s.size) + 64
	r.keys.Put(hashKey(key), at, r.ofKey(key), func(at uint32) uint64 { return hashKey(keyIn(r.entries[at].head)) })
}

// headRoom is how many bytes of heads are made at once.
const headRoom = 32 << 10

// head keeps a copy.
func (r *Records) head(b []byte) []byte {
	if len(b) > cap(r.room)-len(r.room) {
		r.room = make([]byte, 0, max(headRoom, len(b)))
	}
	from := len(r.room)
	r.room = append(r.room, b...)
	return r.room[from:len(r.room):len(r.room)]
}

func (r *Records) ofKey(key Sum) func(at uint32) bool {
	return func(at uint32) bool { return keyIn(r.entries[at].head) == key }
}

// hashKey takes a part of a key, which is a digest already.
func hashKey(key Sum) uint64 { return binary.LittleEndian.Uint64(key[:]) }

// live returns the entries that a compaction keeps, in their order, and about
// how large they are.
func (r *Records) live() (keep []place, size int64) {
	seen := map[Sum]bool{}
	count := map[string]int{}
	for _, e := range slices.Backward(r.entries) {
		if key := keyIn(e.head); !seen[key] && count[string(stepIn(e.head))] < keepPerStep {
			seen[key] = true
			count[string(stepIn(e.head))]++
			keep = append(keep, e)
			size += int64(e.size) + 64
		}
	}
	slices.Reverse(keep)
	return keep, size
}

// Last returns the newest record of a step.
func (r *Records) Last(step string) (Record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.last(step)
	if !ok {
		return Record{}, false
	}
	return r.record(at, maxEntry)
}

// LastBrief returns the newest record of a step with the first brief bytes of its body, and
// how long that is.
func (r *Records) LastBrief(step string, brief int) (rec Record, size int, ok bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.last(step)
	if !ok {
		return Record{}, 0, false
	}
	e := r.entries[at]
	rec, ok = r.record(at, len(e.head)+brief)
	return rec, int(e.size) - len(e.head), ok
}

func (r *Records) last(step string) (at uint32, ok bool) {
	return r.steps.Find(maphash.String(seed, step), func(at uint32) bool { return string(stepIn(r.entries[at].head)) == step })
}

// IsLast says whether the newest record of a step is that of a key.
func (r *Records) IsLast(step string, key Sum) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.last(step)
	return ok && keyIn(r.entries[at].head) == key
}

// ByKey returns the newest record of a key.
func (r *Records) ByKey(key Sum) (Record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.keys.Find(hashKey(key), r.ofKey(key))
	if !ok {
		return Record{}, false
	}
	return r.record(at, maxEntry)
}

// All returns every record, the oldest first.
func (r *Records) All() []Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Record, 0, len(r.entries))
	for at := range r.entries {
		if rec, ok := r.record(uint32(at), maxEntry); ok {
			all = append(all, rec)
		}
	}
	return all
}

// record reads an entry, or so many bytes of it. One that cannot be read any more is as
// good as not there.
func (r *Records) record(at uint32, most int) (Record, bool) {
	entry, err := r.log.read(r.entries[at].span, most)
	head := r.entries[at].head
	if err != nil || !bytes.HasPrefix(entry, head) {
		return Record{}, false
	}
	return Record{Step: string(stepIn(head)), Key: keyIn(head), Body: entry[len(head):]}, true
}

// Append adds records for good: when it returns they survive a power cut. The
// caller has seen to it that what they speak of does, too.
func (r *Records) Append(recs []Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	payloads := make([]payload, len(recs))
	for i, rec := range recs {
		payloads[i] = encodeRecord(rec)
	}
	at := r.log.size
	if err := r.log.append(payloads...); err != nil {
		return err
	}
	if err := r.log.sync(); err != nil {
		return err
	}
	r.rememberAll(at, payloads)
	return nil
}

// Replace makes these the records, the oldest first. A reader has the old ones
// or the new ones, and so has whoever comes after a crash.
func (r *Records) Replace(recs []Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.log.owner {
		return errors.New("the records are open for reading only")
	}
	return r.rewrite(len(recs), func(yield func(payload, error) bool) {
		for _, rec := range recs {
			if !yield(encodeRecord(rec), nil) {
				return
			}
		}
	})
}

// Lost returns how many bytes of the file could not be read when it was
// opened.
func (r *Records) Lost() int64 { return r.log.lost }

func encodeRecord(r Record) payload {
	b := make([]byte, 0, len(r.Step)+len(r.Key)+len(r.Body)+8)
	b = binary.AppendUvarint(b, uint64(len(r.Step)))
	b = append(b, r.Step...)
	b = append(b, r.Key[:]...)
	return append(payload{append(b, r.Body...)}, r.Tail...)
}

func stepIn(entry []byte) []byte {
	n, k := binary.Uvarint(entry)
	return entry[k:][:n]
}

func keyIn(entry []byte) Sum {
	n, k := binary.Uvarint(entry)
	return Sum(entry[k+int(n):])
}
