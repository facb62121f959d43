package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"time"

	"github.com/foundation-plr/pipeline/internal/store"
)

// CacheLimit says what CacheGC collects.
type CacheLimit struct {
	// MaxSize is how many bytes both tiers may take together; negative: any
	// number, and only what no record speaks of is collected.
	MaxSize int64
	// Keep are digests of public contents that stay in any case.
	Keep   []string
	DryRun bool // say what would be collected, and collect nothing
}

// CacheCollected is what was, or would be, collected.
type CacheCollected struct {
	Before  int64             `json:"before_bytes"` // that both tiers took
	After   int64             `json:"after_bytes"`  // that they take; of a dry run, without what records take less
	Needed  int64             `json:"needed_bytes"` // of blobs that the last builds need
	Orphans int64             `json:"orphan_bytes"` // of blobs that no record spoke of, and of what was set aside
	Blobs   int               `json:"blobs"`        // removed
	Results []CollectedResult `json:"results"`
}

// CollectedResult is one run of a step whose outputs are no longer in the
// cache.
type CollectedResult struct {
	Step    string  `json:"step"`
	Key     string  `json:"key"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"` // that it took
	Used    string  `json:"used"`    // when it was last used
}

// halfLife is after how long without a use a result is worth half as much to
// the cache: what was not asked for during a week of work is less likely to be
// asked for again.
const halfLife = 7 * 24 * time.Hour

// blobID is a blob of a tier.
type blobID struct {
	private bool
	sum     store.Sum
}

// result is a record with the blobs that it speaks of.
type result struct {
	private bool // where the record is
	stored  store.Record
	elapsed time.Duration
	blobs   []blobID
	bytes   int64 // of the blobs that are not pinned
	used    time.Time
	root    bool
}

// worth is what keeping a result saves: seconds per byte, less the longer it
// was not used.
func (r *result) worth(now time.Time) float64 {
	return r.elapsed.Seconds() / float64(r.bytes) * math.Exp2(-age(now, r.used).Hours()/halfLife.Hours())
}

// CacheGC makes the caches smaller. It removes what no record speaks of, and
// then, until both tiers together are small enough, the results that save the
// fewest seconds per byte and were not used for long. What the newest records
// of the steps need, which is the state of the last builds, stays, even if that
// is more than the limit.
func (g *Graph) CacheGC(ctx context.Context, limit CacheLimit) (c *CacheCollected, err error) {
	s, err := g.openCache(ctx, !limit.DryRun, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	q := &collector{s: s, sizes: map[blobID]store.Blob{}, refs: map[blobID]int{}, pinned: map[blobID]bool{}, now: g.opt.Now(), done: &CacheCollected{}}
	if err := q.look(ctx, limit.Keep); err != nil {
		return nil, err
	}
	q.choose(limit.MaxSize)
	if limit.DryRun {
		return q.done, nil
	}
	if err := q.remove(); err != nil {
		return nil, err
	}
	q.done.After, err = s.cacheBytes()
	return q.done, err
}

func (s *session) cacheBytes() (int64, error) {
	var bytes int64
	for i := range s.tiers {
		st := s.tiers[i].Load()
		if st == nil {
			continue
		}
		used, err := store.UsageOf(st.Dir())
		if err != nil {
			return 0, err
		}
		for _, u := range used {
			bytes += u.Bytes
		}
	}
	return bytes, nil
}

type collector struct {
	s       *session
	now     time.Time
	sizes   map[blobID]store.Blob // that are there
	refs    map[blobID]int        // how many results need it
	pinned  map[blobID]bool
	results []*result
	drop    map[*result]bool
	gone    []blobID
	done    *CacheCollected
}

// look takes stock of both tiers.
func (q *collector) look(ctx context.Context, keep []string) error {
	var err error
	if q.done.Before, err = q.s.cacheBytes(); err != nil {
		return err
	}
	for _, private := range []bool{false, true} {
		st := q.s.tier(private)
		if st == nil {
			continue
		}
		blobs, _, err := st.Blobs.All()
		if err != nil {
			return err
		}
		for _, b := range blobs {
			q.sizes[blobID{private, b.Sum}] = b
		}
		used, err := store.UsageOf(st.Dir())
		if err != nil {
			return err
		}
		q.done.Orphans += used[filepath.Base(st.DamagedDir())].Bytes
	}
	for _, text := range keep {
		sum, ok := store.ParseSum(text)
		if !ok {
			return fmt.Errorf("%q is not a digest", text)
		}
		q.pinned[blobID{false, sum}] = true
	}
	var roots []*record
	for _, private := range []bool{false, true} {
		if st := q.s.tier(private); st != nil {
			roots = append(roots, q.lookAt(st, private)...)
		}
	}
	sources, err := q.s.sources(ctx, roots)
	if err != nil {
		return err
	}
	for _, src := range sources {
		q.pinned[blobID{false, src.sum}] = true
	}
	for id, b := range q.sizes {
		if q.pinned[id] {
			q.done.Needed += b.Size
		}
	}
	return nil
}

// lookAt takes stock of the records of a tier, and returns those that the last
// builds left.
func (q *collector) lookAt(st *store.Store, private bool) (roots []*record) {
	last, seen := map[string]bool{}, map[store.Sum]bool{}
	for _, stored := range slices.Backward(st.Records.All()) {
		rec, err := decodeRecord(stored)
		if err != nil || seen[stored.Key] {
			continue
		}
		seen[stored.Key] = true
		r := &result{private: private, stored: stored, elapsed: rec.elapsed}
		if !last[stored.Step] {
			last[stored.Step] = true
			r.root = q.s.plan.exists(stored.Step) || private && !q.knowsPrivate()
		}
		for i := range rec.outs {
			m := &rec.outs[i]
			if m.tree {
				continue
			}
			id := blobID{private, m.sum}
			if _, known := q.s.opt.Roots[m.ref.Root]; known {
				id.private = q.s.opt.private(q.s.opt.abs(m.ref))
			}
			b, there := q.sizes[id]
			if !there || slices.Contains(r.blobs, id) {
				continue
			}
			r.blobs = append(r.blobs, id)
			if b.Used.After(r.used) {
				r.used = b.Used
			}
			q.refs[id]++
			if r.root {
				q.pinned[id] = true
			}
		}
		if r.root {
			roots = append(roots, rec)
		}
		q.results = append(q.results, r)
	}
	slices.Reverse(q.results[len(q.results)-len(seen):])
	return roots
}

// knowsPrivate says that the graph declares private steps. One that does not,
// such as that of a study whose store is not at hand, cannot say which of them
// there are no longer.
func (q *collector) knowsPrivate() bool {
	return slices.ContainsFunc(q.s.plan.nodes, func(n *node) bool { return n.secret })
}

// choose decides what goes.
func (q *collector) choose(limit int64) {
	total := q.done.Before - q.done.Orphans
	for id, b := range q.sizes {
		if q.refs[id] == 0 && !q.pinned[id] {
			q.gone = append(q.gone, id)
			q.done.Orphans += b.Size
			total -= b.Size
		}
	}
	q.drop = map[*result]bool{}
	var candidates []*result
	for _, r := range q.results {
		// What is pinned stays, whoever else speaks of it.
		r.blobs = slices.DeleteFunc(r.blobs, func(id blobID) bool { return q.pinned[id] })
		for _, id := range r.blobs {
			r.bytes += q.sizes[id].Size
		}
		if r.bytes > 0 {
			candidates = append(candidates, r)
		}
	}
	slices.SortFunc(candidates, func(a, b *result) int {
		return cmp.Or(cmp.Compare(a.worth(q.now), b.worth(q.now)), a.used.Compare(b.used), compare(a.stored.Step, b.stored.Step), slices.Compare(a.stored.Key[:], b.stored.Key[:]))
	})
	for _, r := range candidates {
		if limit < 0 || total <= limit {
			break
		}
		q.drop[r] = true
		var freed int64
		for _, id := range r.blobs {
			if q.refs[id]--; q.refs[id] == 0 {
				q.gone = append(q.gone, id)
				freed += q.sizes[id].Size
			}
		}
		total -= freed
		q.done.Results = append(q.done.Results, CollectedResult{
			Step: r.stored.Step, Key: r.stored.Key.String(), Bytes: freed,
			Seconds: r.elapsed.Seconds(), Used: r.used.UTC().Format(time.RFC3339),
		})
	}
	q.done.Blobs = len(q.gone)
	q.done.After = total
}

// remove does what was chosen: records first, so that a crash leaves blobs
// without records, which the next collection finds.
func (q *collector) remove() error {
	for _, private := range []bool{false, true} {
		st := q.s.tier(private)
		if st == nil {
			continue
		}
		var keep []store.Record
		for _, r := range q.results {
			if r.private == private && !q.drop[r] {
				keep = append(keep, r.stored)
			}
		}
		if len(keep) < len(st.Records.All()) {
			if err := st.Records.Replace(keep); err != nil {
				return err
			}
		}
		var sums []store.Sum
		for _, id := range q.gone {
			if id.private == private {
				sums = append(sums, id.sum)
			}
		}
		if err := errors.Join(st.Blobs.Remove(sums), st.DropDamaged()); err != nil {
			return err
		}
	}
	return nil
}
