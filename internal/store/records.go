package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
)

// Record is what a successful step left: the key that it ran under, and a body
// that only the engine understands.
type Record struct {
	Step string
	Key  Sum
	Body []byte
}

// Records finds the newest record of a step and of a key. It is safe for
// concurrent use.
type Records struct {
	mu      sync.RWMutex
	log     *appendLog
	entries [][]byte // as in the log, in its order; good ones only
	steps   table    // places of the newest of each step
	keys    table    // and of each key
	newest  int64    // about how large the newest of all steps are
}

// The last digits are the version of the entries.
const recordsHeader = "step-records  1\n"

// keepPerStep is how many keys of a step survive a compaction: enough to go
// back and forth between a few settings without building again.
const keepPerStep = 8

func openRecords(path string, perm Perm, write bool) (*Records, error) {
	l, text, entries, err := openLog(path, recordsHeader, perm.File, write)
	if err != nil {
		return nil, err
	}
	r := &Records{log: l}
	r.forget(len(entries))
	for _, e := range entries {
		if b := text[e.from:e.to:e.to]; wellFormed(b) {
			r.remember(b)
		}
	}
	// What is kept is at least the newest: what is not wasteful measured by that
	// need not be counted.
	if write && wasteful(l.size, r.newest) {
		if keep, live := r.live(); wasteful(l.size, live) {
			return r, l.rewrite(keep)
		}
	}
	return r, nil
}

// forget empties the tables and makes room.
func (r *Records) forget(room int) {
	r.entries = make([][]byte, 0, room)
	r.steps, r.keys, r.newest = newTable(room), newTable(room), 0
}

func (r *Records) remember(entry []byte) {
	at := uint32(len(r.entries))
	r.entries = append(r.entries, entry)
	step, key := stepIn(entry), keyIn(entry)
	is := func(at uint32) bool { return bytes.Equal(stepIn(r.entries[at]), step) }
	was, again := r.steps.put(maphash.Bytes(seed, step), at, is, func(at uint32) uint64 { return maphash.Bytes(seed, stepIn(r.entries[at])) })
	if again {
		r.newest -= int64(len(r.entries[was])) + 64
	}
	r.newest += int64(len(entry)) + 64
	r.keys.put(hashKey(key), at, r.ofKey(key), func(at uint32) uint64 { return hashKey(keyIn(r.entries[at])) })
}

func (r *Records) ofKey(key Sum) func(at uint32) bool {
	return func(at uint32) bool { return keyIn(r.entries[at]) == key }
}

// hashKey takes a part of a key, which is a digest already.
func hashKey(key Sum) uint64 { return binary.LittleEndian.Uint64(key[:]) }

// live returns the entries that a compaction keeps, in their order, and about
// how large they are.
func (r *Records) live() (keep [][]byte, size int64) {
	seen := map[Sum]bool{}
	count := map[string]int{}
	for _, e := range slices.Backward(r.entries) {
		if key := keyIn(e); !seen[key] && count[string(stepIn(e))] < keepPerStep {
			seen[key] = true
			count[string(stepIn(e))]++
			keep = append(keep, e)
			size += int64(len(e)) + 64
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
	return record(r.entries[at]), true
}

func (r *Records) last(step string) (at uint32, ok bool) {
	return r.steps.find(maphash.String(seed, step), func(at uint32) bool { return string(stepIn(r.entries[at])) == step })
}

// IsLast says whether the newest record of a step is that of a key.
func (r *Records) IsLast(step string, key Sum) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.last(step)
	return ok && keyIn(r.entries[at]) == key
}

// ByKey returns the newest record of a key.
func (r *Records) ByKey(key Sum) (Record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	at, ok := r.keys.find(hashKey(key), r.ofKey(key))
	if !ok {
		return Record{}, false
	}
	return record(r.entries[at]), true
}

// All returns every record, the oldest first.
func (r *Records) All() []Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Record, len(r.entries))
	for i, e := range r.entries {
		all[i] = record(e)
	}
	return all
}

// Append adds records for good: when it returns they survive a power cut. The
// caller has seen to it that what they speak of does, too.
func (r *Records) Append(recs []Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	payloads := make([][]byte, len(recs))
	for i, rec := range recs {
		payloads[i] = encodeRecord(rec)
	}
	if err := r.log.append(payloads...); err != nil {
		return err
	}
	if err := r.log.sync(); err != nil {
		return err
	}
	for _, p := range payloads {
		r.remember(p)
	}
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
	entries := make([][]byte, len(recs))
	for i, rec := range recs {
		entries[i] = encodeRecord(rec)
	}
	if err := r.log.rewrite(entries); err != nil {
		return err
	}
	r.forget(len(entries))
	for _, e := range entries {
		r.remember(e)
	}
	return nil
}

// Lost returns how many bytes of the file could not be read when it was
// opened.
func (r *Records) Lost() int64 { return r.log.lost }

func encodeRecord(r Record) []byte {
	b := make([]byte, 0, len(r.Step)+len(r.Key)+len(r.Body)+8)
	b = binary.AppendUvarint(b, uint64(len(r.Step)))
	b = append(b, r.Step...)
	b = append(b, r.Key[:]...)
	return append(b, r.Body...)
}

// wellFormed says that an entry holds a step and a key, so that they can be
// asked for.
func wellFormed(entry []byte) bool {
	n, k := binary.Uvarint(entry)
	return k > 0 && n <= uint64(len(entry)-k) && len(entry)-k-int(n) >= len(Sum{})
}

func stepIn(entry []byte) []byte {
	n, k := binary.Uvarint(entry)
	return entry[k:][:n]
}

func keyIn(entry []byte) Sum {
	n, k := binary.Uvarint(entry)
	return Sum(entry[k+int(n):])
}

func record(entry []byte) Record {
	n, k := binary.Uvarint(entry)
	at := k + int(n)
	key := Sum(entry[at:])
	return Record{Step: string(entry[k:at]), Key: key, Body: entry[at+len(key):]}
}
