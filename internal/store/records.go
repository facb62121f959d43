package store

import (
	"encoding/binary"
	"errors"
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
	mu   sync.RWMutex
	log  *appendLog
	last map[string]Record
	keys map[Sum]Record
	all  []Record // in the order of the log
}

// The last digits are the version of the entries.
const recordsHeader = "step-records  1\n"

// keepPerStep is how many keys of a step survive a compaction: enough to go
// back and forth between a few settings without building again.
const keepPerStep = 8

func openRecords(path string, perm Perm, write bool) (*Records, error) {
	l, entries, err := openLog(path, recordsHeader, perm.File, write)
	if err != nil {
		return nil, err
	}
	r := &Records{log: l, last: make(map[string]Record, len(entries)), keys: make(map[Sum]Record, len(entries))}
	for _, e := range entries {
		if rec, ok := decodeRecord(e); ok {
			r.remember(rec)
		}
	}
	if write {
		if keep, live := r.live(); wasteful(l.size, live) {
			entries = entries[:0]
			for _, rec := range keep {
				entries = append(entries, encodeRecord(rec))
			}
			return r, l.rewrite(entries)
		}
	}
	return r, nil
}

func (r *Records) remember(rec Record) {
	r.last[rec.Step] = rec
	r.keys[rec.Key] = rec
	r.all = append(r.all, rec)
}

// live returns the records that a compaction keeps, in their order, and about
// how large they are.
func (r *Records) live() (keep []Record, size int64) {
	seen := make(map[Sum]bool, len(r.keys))
	count := make(map[string]int, len(r.last))
	for i := len(r.all) - 1; i >= 0; i-- {
		rec := r.all[i]
		if seen[rec.Key] || count[rec.Step] == keepPerStep {
			continue
		}
		seen[rec.Key] = true
		count[rec.Step]++
		keep = append(keep, rec)
		size += int64(len(rec.Body)+len(rec.Step)) + 64
	}
	slices.Reverse(keep)
	return keep, size
}

// Last returns the newest record of a step.
func (r *Records) Last(step string) (Record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rec, ok := r.last[step]
	return rec, ok
}

// ByKey returns the newest record of a key.
func (r *Records) ByKey(key Sum) (Record, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	rec, ok := r.keys[key]
	return rec, ok
}

// All returns every record, the oldest first.
func (r *Records) All() []Record {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.all[:len(r.all):len(r.all)]
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
	for _, rec := range recs {
		r.remember(rec)
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
	r.last, r.keys, r.all = make(map[string]Record, len(recs)), make(map[Sum]Record, len(recs)), nil
	for _, rec := range recs {
		r.remember(rec)
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

func decodeRecord(b []byte) (Record, bool) {
	n, k := binary.Uvarint(b)
	if k <= 0 || n > uint64(len(b)-k) {
		return Record{}, false
	}
	var r Record
	b = b[k:]
	r.Step, b = string(b[:n]), b[n:]
	if len(b) < len(r.Key) {
		return Record{}, false
	}
	r.Body = b[copy(r.Key[:], b):]
	return r, true
}
