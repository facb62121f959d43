package build

import (
	"iter"
	"slices"
)

// entryList is what stands behind a declared input, sorted by ref, in the form that a
// manifest holds. As a list of entries a study of a hundred thousand runs would take
// three times the memory, and then the manifest beside it.
type entryList struct {
	text  pieces // no entry begins in one and ends in another
	count int
	bytes int64 // that the files hold whose bytes count
}

// all returns the entries in their order.
func (l entryList) all() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		var e entry
		for _, piece := range l.text {
			for r := (reader{b: piece}); len(r.b) > 0; {
				if e = r.entry(e.ref); r.bad {
					panic("build: a list of entries that neither add nor list has made") // fewer inputs must not pass for all
				}
				if !yield(e) {
					return
				}
			}
		}
	}
}

// entries returns the entries for whoever needs more than to go through them once.
func (l entryList) entries() []entry {
	return slices.AppendSeq(make([]entry, 0, l.count), l.all())
}

// listOf returns a list of some entries, in any order.
func listOf(entries ...entry) entryList {
	var b entryWriter
	for _, e := range entries {
		b.add(e)
	}
	return b.list()
}

// pieceSize is how long a piece of text becomes, about: a text of many megabytes that
// grows would be in memory twice. Less in tests.
var pieceSize = 64 << 10

// entryWriter makes a list.
type entryWriter struct {
	full     [][]byte
	w        writer // the last piece
	count    int
	bytes    int64
	last     Ref
	unsorted bool
}

func (b *entryWriter) add(e entry) {
	if b.count > 0 && compareRefs(b.last, e.ref) > 0 {
		b.unsorted = true
	}
	if len(b.w.b) >= pieceSize-len(e.ref.Path)-len(e.meaning)-spare {
		b.close()
		b.begin()
	}
	b.w.entry(b.last, e)
	b.last = e.ref
	b.bytes += e.size
	b.count++
}

// spare is what an entry takes beside its path and meaning, with the name of its root.
const spare = 128

// begin makes room for a whole piece behind others. Of one that grows a part is in vain.
func (b *entryWriter) begin() {
	if len(b.full) > 0 {
		b.w.b = make([]byte, 0, pieceSize)
	}
}

// close ends the last piece.
func (b *entryWriter) close() {
	if len(b.w.b) > 0 {
		b.full, b.w.b = append(b.full, b.w.b), nil
	}
}

// append adds what another has written, and leaves nothing there.
func (b *entryWriter) append(more *entryWriter) {
	defer func() { *more = entryWriter{} }()
	switch {
	case more.count == 0:
		return
	case b.count == 0:
		*b = *more
		return
	}
	more.close()
	// Only the first is written otherwise behind what is here already.
	r := reader{b: more.full[0]}
	first := r.entry(Ref{})
	b.add(first)
	if len(b.w.b)+len(r.b) > pieceSize {
		b.close()
		b.begin()
	}
	b.w.b = append(b.w.b, r.b...)
	if len(more.full) > 1 {
		b.close()
		b.full = append(b.full, more.full[1:]...)
	}
	b.last, b.unsorted = more.last, b.unsorted || more.unsorted
	b.bytes += more.bytes - first.size
	b.count += more.count - 1
}

// list returns what was written, sorted. What is found on disk is, as a rule.
func (b *entryWriter) list() entryList {
	b.close()
	l := entryList{b.full, b.count, b.bytes}
	if !b.unsorted {
		return l
	}
	entries := l.entries()
	slices.SortStableFunc(entries, func(a, b entry) int { return compareRefs(a.ref, b.ref) })
	return listOf(entries...)
}

// entry writes an entry behind one with a ref.
func (w *writer) entry(last Ref, e entry) {
	w.byte(byte(e.kind))
	w.front(last.Root, e.ref.Root)
	w.front(last.Path, e.ref.Path)
	switch e.kind {
	case kindFile, kindFileOutside, kindTree:
		w.int64(e.size)
		w.sum(e.sum)
	case kindMeaning:
		w.str(e.meaning)
	}
}

func (w *writer) list(l entryList) {
	w.num(l.count)
	for _, piece := range l.text {
		w.raw(piece)
	}
}

// entry reads an entry behind one with a ref.
func (r *reader) entry(last Ref) entry {
	e := entry{kind: entryKind(r.byte()), ref: Ref{r.front(last.Root), r.front(last.Path)}}
	switch e.kind {
	case kindFile, kindFileOutside, kindTree:
		e.size = r.int64()
		e.sum = r.sum()
	case kindMeaning:
		e.meaning = r.str()
	}
	if e.kind < kindFile || e.kind > kindLast {
		r.bad = true
	}
	return e
}

// list reads a list. What it returns is a part of what it reads.
func (r *reader) list() entryList {
	l, text := entryList{count: r.num()}, r.b
	var e entry
	for range l.count {
		if e = r.entry(e.ref); r.bad {
			return entryList{}
		}
		l.bytes += e.size
	}
	if n := len(text) - len(r.b); n > 0 {
		l.text = [][]byte{text[:n:n]}
	}
	return l
}
