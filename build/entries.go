package build

import (
	"iter"
	"slices"
)

// entryList is what stands behind a declared input, sorted by ref, in the form that a
// manifest holds. As a list of entries a study of a hundred thousand runs would take
// three times the memory, and then the manifest beside it.
type entryList struct {
	text  []byte
	count int
	bytes int64 // that the files hold whose bytes count
}

// all returns the entries in their order.
func (l entryList) all() iter.Seq[entry] {
	return func(yield func(entry) bool) {
		r := reader{b: l.text}
		var e entry
		for range l.count {
			if e = r.entry(e.ref); !yield(e) {
				return
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

// entryWriter makes a list.
type entryWriter struct {
	w        writer
	count    int
	bytes    int64
	last     Ref
	unsorted bool
}

func (b *entryWriter) add(e entry) {
	if b.count > 0 && compareRefs(b.last, e.ref) > 0 {
		b.unsorted = true
	}
	b.w.entry(b.last, e)
	b.last = e.ref
	b.bytes += e.size
	b.count++
}

// append adds what another has written, and leaves nothing there.
func (b *entryWriter) append(more *entryWriter) {
	if more.count == 0 {
		return
	}
	// Only the first is written otherwise behind what is here already.
	r := reader{b: more.w.b}
	first := r.entry(Ref{})
	b.add(first)
	b.w.b = append(b.w.b, r.b...)
	b.last, b.unsorted = more.last, b.unsorted || more.unsorted
	b.bytes += more.bytes - first.size
	b.count += more.count - 1
	*more = entryWriter{}
}

// list returns what was written, sorted. What is found on disk is, as a rule.
func (b *entryWriter) list() entryList {
	l := entryList{b.w.b, b.count, b.bytes}
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
	w.b = append(w.b, l.text...)
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
	l := entryList{count: r.num(), text: r.b}
	var e entry
	for range l.count {
		if e = r.entry(e.ref); r.bad {
			return entryList{}
		}
		l.bytes += e.size
	}
	l.text = l.text[: len(l.text)-len(r.b) : len(l.text)-len(r.b)]
	return l
}
