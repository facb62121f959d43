package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/foundation-plr/pipeline/internal/store"
)

// Verdict is what is to be done about a step.
type Verdict string

const (
	Fresh       Verdict = "fresh"        // everything is as it was recorded
	WillRestore Verdict = "will restore" // outputs are missing or changed; the cache has them
	WillRun     Verdict = "will run"
	MayRun      Verdict = "may run"    // depends on what steps that will run make
	CannotRun   Verdict = "cannot run" // an input is missing or cannot be read
)

// decision is the one answer that build, dry run and status act on.
type decision struct {
	verdict Verdict
	reasons []string
	err     error // why it cannot run

	groups   []group
	manifest *manifest
	key      store.Sum
	rec      *record // of the key; for Fresh and WillRestore
	redo     []int   // for WillRestore: which outputs
	inputs   int64   // bytes of the files, for a step that weighs itself by them
	was      *record // the newest of the step until now, if rec takes its place; for Fresh
	isBrief  bool    // see brief
}

// encodings are for decisions, each of which needs the encoding of a manifest only
// until it has been held against the recorded one.
var encodings = sync.Pool{New: func() any { return new(writer) }}

// giveBack lets others use the room, unless it is more than hardly any of them needs.
func (w *writer) giveBack() {
	const most = 1 << 20
	if w.b = w.b[:0]; cap(w.b) <= most {
		encodings.Put(w)
	}
}

// decide looks at a step whose dependencies are settled. It changes nothing.
func (s *session) decide(ctx context.Context, n *node) decision {
	var d decision
	var err error
	if n.broken != nil {
		return cannot(n.broken)
	}
	w := encodings.Get().(*writer)
	defer w.giveBack()
	err = s.state(ctx, n, &d, w)
	if errors.Is(err, errNotYet) {
		d.verdict, d.reasons = MayRun, []string{err.Error()}
		return d
	}
	if err != nil {
		return cannot(err)
	}
	if n.each != nil { // there is nothing to run, and nothing to remember
		d.verdict, d.rec = Fresh, &record{key: d.key, manifest: d.manifest.encode()}
		return d
	}
	if s.forced(n) {
		d.verdict, d.reasons = WillRun, []string{"forced"}
		return d
	}
	s.shed(n, &d)
	d.rec = s.recordOf(n, d.key, w.b)
	if d.rec == nil {
		last := s.lastManifest(n)
		if last != nil {
			if err := s.recall(ctx, n, &d); err != nil {
				return cannot(err)
			}
		}
		d.verdict, d.reasons = WillRun, reasons(last, d.manifest)
		s.shed(n, &d)
		return d
	}
	return s.compare(ctx, n, d)
}

// state fills in what a step depends on as it is now: its inputs, the manifest and
// the digest of that. The writer gets the encoding, unless that is long.
func (s *session) state(ctx context.Context, n *node, d *decision, w *writer) error {
	var err error
	if d.groups, err = (resolver{s: s, v: s.view}).resolve(ctx, n); err != nil {
		return err
	}
	ledgers, err := s.ledgers(s.view, n)
	if err != nil {
		return err
	}
	if n.Weigh != nil {
		d.inputs = 0
		for _, g := range d.groups {
			d.inputs += g.entries.bytes
		}
	}
	if d.manifest, err = n.manifest(d.groups, ledgers); err != nil {
		return err
	}
	d.key = d.manifest.key(w)
	return nil
}

// brief is a decision without what was found out about the inputs of its step: of
// thousands that wait for their turn that would be most of what a build has in memory.
func (d *decision) brief() *decision {
	b := *d
	b.groups, b.rec, b.isBrief = nil, nil, true
	if d.manifest != nil {
		m := *d.manifest
		m.inputs = nil
		b.manifest = &m
	}
	return &b
}

// manyInputs is from how many files on inputs are not held while their step is decided
// or runs: those of a step that lists a large store take more than all else. To find
// them again takes a microsecond for each. Less in tests.
var manyInputs = 1 << 14

// shed makes the decision of a build about a step with many inputs a brief one. Those
// of a step with ledgers could not be recalled after it has run.
func (s *session) shed(n *node, d *decision) {
	if !s.write || n.each != nil || len(n.Ledgers) > 0 {
		return
	}
	inputs := 0
	for _, g := range d.groups {
		inputs += g.entries.count
	}
	if inputs >= manyInputs {
		rec := d.rec
		*d = *d.brief()
		d.rec = rec
	}
}

// recall makes a brief decision whole again. The view has seen all files already, so
// what has changed since is what it does not remember.
func (s *session) recall(ctx context.Context, n *node, d *decision) error {
	if !d.isBrief {
		return nil
	}
	key := d.key
	w := encodings.Get().(*writer)
	defer w.giveBack()
	if err := s.state(ctx, n, d, w); err != nil {
		return err
	}
	if d.key != key {
		return errors.New("its inputs changed after they were looked at; nothing was run, build again")
	}
	if d.verdict == WillRestore {
		if d.rec = s.recordOf(n, key, w.b); d.rec == nil {
			return errors.New("its record can no longer be read; build again")
		}
	}
	d.isBrief = false
	return nil
}

func cannot(err error) decision {
	return decision{verdict: CannotRun, err: err, reasons: []string{err.Error()}}
}

// compare holds the outputs on disk against the record.
func (s *session) compare(ctx context.Context, n *node, d decision) decision {
	d.verdict = Fresh
	for i := range n.Outputs {
		out, want := &n.Outputs[i], &d.rec.outs[i]
		var wrong string
		now, err := s.view.output(ctx, *out, n.outs[i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			wrong = "is missing"
		case err != nil:
			wrong = "is not as it was made: " + plainError(err).Error()
		case now.sum != want.sum || now.size != want.size:
			wrong = "is not as it was made"
			if out.Tree {
				wrong += ": " + treeDifference(want.files, now.files)
			}
		case now.exec != want.exec:
			wrong = "is not as it was made: it may be executed or not"
		default:
			continue
		}
		d.reasons = append(d.reasons, fmt.Sprintf("output %s %s", out, wrong))
		if d.verdict == Fresh {
			d.verdict = WillRestore
		}
		d.redo = append(d.redo, i)
		if out.Tree || !s.blobs(n.outs[i]).Verify(want.sum, want.size) {
			d.verdict = WillRun
		}
	}
	if ctx.Err() != nil {
		return cannot(ctx.Err())
	}
	if d.verdict == WillRun {
		d.rec = nil
	}
	return d
}

func treeDifference(want, now []treeFile) string {
	old := make(map[string]treeFile, len(want))
	for _, f := range want {
		old[f.path] = f
	}
	changed, added := 0, 0
	for _, f := range now {
		was, ok := old[f.path]
		switch {
		case !ok:
			added++
		case was != f:
			changed++
		}
		delete(old, f.path)
	}
	return fmt.Sprintf("%d files changed, %d added, %d missing", changed, added, len(old))
}

// ledgers returns the present state of a node's ledgers.
func (s *session) ledgers(v *view, n *node) (entryList, error) {
	var found entryWriter
	for i, ref := range n.Ledgers {
		f, err := v.digest(ref, n.ledgers[i])
		switch {
		case errors.Is(err, fs.ErrNotExist):
			found.add(entry{kind: kindAbsent, ref: ref})
		case err != nil:
			return entryList{}, fmt.Errorf("ledger %s: %w", ref, plainError(err))
		default:
			found.add(entry{kind: kindFile, ref: ref, size: f.stat.Size, sum: f.sum})
		}
	}
	return found.list(), nil
}

func (s *session) forced(n *node) bool {
	return s.force && slices.ContainsFunc(s.opt.Force, func(f string) bool { return matchName(f, n.Name) })
}

// recordOf returns the record of a key, nil if there is none that can be read
// and speaks of just the outputs that the step declares. The key is the digest
// of the manifest, whose encoding is empty where it would be long.
func (s *session) recordOf(n *node, key store.Sum, encoded []byte) *record {
	st := s.tier(n.secret)
	if st == nil {
		return nil
	}
	stored, ok := st.Records.ByKey(key)
	if !ok || stored.Step != n.Name {
		return nil
	}
	var rec *record
	var err error
	if len(encoded) == 0 {
		rec, err = decodeRecord(stored)
	} else if rec, err = readRecord(stored); err == nil && !bytes.Equal(rec.manifest.joined(), encoded) { // which spares a second digest
		err = errDamaged
	}
	if err != nil {
		return nil // damaged is as good as not there
	}
	return n.order(rec)
}

// order sorts the outputs of a record as the step declares them, nil if they
// are not the same ones.
func (n *node) order(rec *record) *record {
	if len(rec.outs) != len(n.Outputs) {
		return nil
	}
	recorded := func(m *made, o Output) bool { return m.ref == o.Ref && m.tree == o.Tree && m.kind == o.Kind }
	inOrder := true
	for i := range rec.outs {
		if inOrder = inOrder && recorded(&rec.outs[i], n.Outputs[i]); inOrder {
			rec.outs[i].ref = n.Outputs[i].Ref // which is in memory for good
		}
	}
	if inOrder {
		return rec
	}
	outs := make([]made, len(n.Outputs))
	for i, o := range n.Outputs {
		j := slices.IndexFunc(rec.outs, func(m made) bool { return recorded(&m, o) })
		if j < 0 {
			return nil
		}
		outs[i] = rec.outs[j]
	}
	rec.outs = outs
	return rec
}

// briefRecord is how much of a record is read for what its step has made: nearly always
// it is that, and the manifest of a step that lists a large store is a thousand times as
// long. Less in tests.
var briefRecord = 32 << 10

// last returns the newest readable record of a step without its manifest, nil if there is
// none.
func (s *session) last(n *node) *record {
	st := s.tier(n.secret)
	if st == nil {
		return nil
	}
	stored, size, ok := st.Records.LastBrief(n.Name, briefRecord)
	if !ok {
		return nil
	}
	var rec *record
	var err error
	if len(stored.Body) < size {
		if rec, err = (&reader{b: stored.Body}).madeBy(stored.Key); err != nil {
			rec = s.lastWhole(n)
		}
	} else if rec, err = decodeRecord(stored); err != nil {
		return nil
	}
	if rec != nil {
		rec.manifest = nil
	}
	return rec
}

// lastWhole is last with the manifest.
func (s *session) lastWhole(n *node) *record {
	if st := s.tier(n.secret); st != nil {
		if stored, ok := st.Records.Last(n.Name); ok {
			if rec, err := decodeRecord(stored); err == nil {
				return rec
			}
		}
	}
	return nil
}

func (s *session) lastManifest(n *node) []byte {
	if rec := s.lastWhole(n); rec != nil {
		return rec.manifest.joined()
	}
	return nil
}
