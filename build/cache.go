package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foundation-plr/pipeline/internal/history"
	"github.com/foundation-plr/pipeline/internal/store"
)

// CacheStat is what the caches hold and what they are good for.
type CacheStat struct {
	Tiers []CacheTier `json:"tiers"`
	// Work is how long the newest recorded runs took together: what it would
	// take, on one processor, to build without a cache.
	Work float64 `json:"work_seconds"`
	// Recent adds up the newest builds of the history.
	Recent CacheHits `json:"recent"`
}

// CacheTier is one of the two tiers.
type CacheTier struct {
	Name    string `json:"name"` // public or private
	Bytes   int64  `json:"bytes"`
	Blobs   int    `json:"blobs"`
	Stored  int64  `json:"blob_bytes"`
	Records int    `json:"records"`
	Steps   int    `json:"steps"`   // with a record
	Damaged int    `json:"damaged"` // set aside so far
}

// CacheHits says how often builds found what they needed.
type CacheHits struct {
	Builds   int     `json:"builds"`
	Fresh    int     `json:"fresh"`
	Restored int     `json:"restored"`
	Ran      int     `json:"ran"`
	Saved    float64 `json:"saved_seconds"` // that fresh and restored steps had taken when they ran
}

// Rate is the part of the steps that did not have to run, and whether there
// were any steps.
func (h CacheHits) Rate() (rate float64, known bool) {
	all := h.Fresh + h.Restored + h.Ran
	if all == 0 {
		return 0, false
	}
	return float64(h.Fresh+h.Restored) / float64(all), true
}

// recentBuilds is over how many builds hits are counted: about a day of work.
const recentBuilds = 20

// CacheStat looks at both tiers. It reads only and waits for nobody.
func (g *Graph) CacheStat(ctx context.Context) (stat *CacheStat, err error) {
	s, err := g.openCache(ctx, false, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	stat = &CacheStat{}
	for _, private := range []bool{false, true} {
		st := s.tier(private)
		if st == nil {
			continue
		}
		tier := CacheTier{Name: tierName(private)}
		used, err := store.UsageOf(st.Dir())
		if err != nil {
			return nil, err
		}
		for _, u := range used {
			tier.Bytes += u.Bytes
		}
		tier.Damaged = used[filepath.Base(st.DamagedDir())].Files
		blobs, _, err := st.Blobs.All()
		if err != nil {
			return nil, err
		}
		for _, b := range blobs {
			tier.Blobs++
			tier.Stored += b.Size
		}
		tier.Records, tier.Steps, err = s.countRecords(st, &stat.Work)
		if err != nil {
			return nil, err
		}
		stat.Tiers = append(stat.Tiers, tier)
	}
	stat.Recent, err = recentHits(g.opt.PublicCache)
	return stat, err
}

func (s *session) countRecords(st *store.Store, work *float64) (records, steps int, err error) {
	seen := map[string]bool{}
	for _, stored := range slices.Backward(st.Records.All()) {
		rec, err := decodeRecord(stored)
		if err != nil {
			continue // it counts for nothing in a build, either
		}
		records++
		if !seen[stored.Step] {
			seen[stored.Step] = true
			*work += rec.elapsed.Seconds()
		}
	}
	return records, len(seen), nil
}

// recentHits reads the summaries of the newest builds.
func recentHits(cache string) (CacheHits, error) {
	var hits CacheHits
	ids, err := history.IDs(cache)
	if err != nil {
		return hits, err
	}
	for _, id := range slices.Backward(ids) {
		if hits.Builds == recentBuilds {
			break
		}
		sum, err := history.ReadSummary(cache, id)
		if err != nil {
			return hits, err
		}
		if sum == nil {
			continue // still building, or it did not get so far
		}
		hits.Builds++
		hits.Fresh += sum.Fresh
		hits.Restored += sum.Restored
		hits.Ran += sum.Ran
		hits.Saved += sum.Saved
	}
	return hits, nil
}

func tierName(private bool) string {
	if private {
		return "private"
	}
	return "public"
}

// openCache is a session over the tiers that exist, without steps to decide
// about. With create the public one is made.
func (g *Graph) openCache(ctx context.Context, write, create bool) (*session, error) {
	s := &session{
		opt: &g.opt, write: write,
		results: map[*node][]made{}, staged: map[string]bool{},
		con: g.opt.console(),
	}
	s.view = newView(&g.opt, s.index)
	var err error
	if s.plan, err = g.plan(); err != nil {
		return nil, err
	}
	for _, private := range []bool{false, true} {
		dir := g.tierDir(private)
		if dir == "" {
			continue
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !(create && !private) {
			continue
		}
		if err := s.openTier(ctx, private); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

func (g *Graph) tierDir(private bool) string {
	if private {
		return g.opt.PrivateCache
	}
	return g.opt.PublicCache
}

// CacheVerified is what a check of the caches found.
type CacheVerified struct {
	Blobs   int           `json:"blobs"` // read
	Bytes   int64         `json:"bytes"`
	Damaged []CacheDamage `json:"damaged"`
}

// CacheDamage is something that is not as it was written. It is no longer in
// the cache.
type CacheDamage struct {
	Tier   string `json:"tier"`
	Name   string `json:"name"` // a digest, or a name in the cache
	Why    string `json:"why"`
	Mended bool   `json:"mended"` // the output it is of is in place, and was put into the cache again
}

// CacheVerify reads all blobs and records of both tiers and sets aside what is
// damaged, so that it is built again when it is needed. A blob whose output is
// still in place is mended from it. Builds do not rely on this: they verify
// every blob that they use.
func (g *Graph) CacheVerify(ctx context.Context) (found *CacheVerified, err error) {
	s, err := g.openCache(ctx, true, false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	found = &CacheVerified{}
	for _, private := range []bool{false, true} {
		st := s.tier(private)
		if st == nil {
			continue
		}
		add := func(name, why string) {
			found.Damaged = append(found.Damaged, CacheDamage{Tier: tierName(private), Name: name, Why: why})
		}
		if n := st.Records.Lost(); n > 0 {
			add("records", fmt.Sprintf("the last %d bytes could not be read; the steps that they spoke of are stale", n))
		}
		if n := st.Index.Lost(); n > 0 {
			add("index", fmt.Sprintf("the last %d bytes could not be read; the files that they spoke of are read again", n))
		}
		if err := s.verifyRecords(st, add); err != nil {
			return nil, err
		}
		count, size, damaged, err := st.Blobs.Check(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s cache: %w", tierName(private), err)
		}
		found.Blobs += count
		found.Bytes += size
		from := len(found.Damaged)
		for _, d := range damaged {
			add(d.Name, d.Why)
		}
		if err := s.mend(found.Damaged[from:], private); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// verifyRecords drops records that cannot be read.
func (s *session) verifyRecords(st *store.Store, add func(name, why string)) error {
	all := st.Records.All()
	good := make([]store.Record, 0, len(all))
	for _, stored := range all {
		if rec, err := decodeRecord(stored); err != nil {
			add("record of "+stored.Step, err.Error())
		} else if _, err := decodeManifest(rec.manifest.joined()); err != nil {
			add("record of "+stored.Step, err.Error())
		} else {
			good = append(good, stored)
		}
	}
	if len(good) == len(all) {
		return nil
	}
	return st.Records.Replace(good)
}

// mend puts blobs back from outputs that are in place and have the digest.
func (s *session) mend(damaged []CacheDamage, private bool) error {
	for _, m := range s.allMade() {
		i := slices.IndexFunc(damaged, func(d CacheDamage) bool { return !d.Mended && d.Name == m.sum.String() })
		if i < 0 || m.tree || s.opt.Roots[m.ref.Root].Path == "" {
			continue
		}
		abs := s.opt.abs(m.ref)
		if s.opt.private(abs) != private {
			continue
		}
		sum, st, err := store.Hash(abs)
		if err != nil || sum != m.sum || st.Size != m.size {
			continue // it is not there as it was made: it will be built again
		}
		if err := s.tier(private).Blobs.Put(abs, sum, st.Size); err != nil {
			return err
		}
		damaged[i].Mended = true
	}
	return nil
}

// allMade returns all outputs that records of both tiers speak of.
func (s *session) allMade() []made {
	var all []made
	for i := range s.tiers {
		st := s.tiers[i].Load()
		if st == nil {
			continue
		}
		for _, stored := range st.Records.All() {
			if rec, err := decodeRecord(stored); err == nil {
				all = append(all, rec.outs...)
			}
		}
	}
	return all
}

// CacheClear removes from the public tier, and with private from the private
// one, everything that can be built again, and returns how many bytes that
// were. The run history and rescued outputs stay; ledgers are no part of a
// cache.
func (g *Graph) CacheClear(ctx context.Context, private bool) (freed int64, err error) {
	s := &session{opt: &g.opt, con: g.opt.console()}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, tier := range []bool{false, true} {
		dir := g.tierDir(tier)
		if tier && !private || dir == "" {
			continue
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		perm := store.Public
		if tier {
			perm = store.Private
		}
		lock, err := store.Acquire(ctx, dir, perm, s.me(), s.waiting)
		if err != nil {
			return freed, err
		}
		s.locks = append(s.locks, lock)
		used, err := store.Clear(dir)
		freed += used.Bytes
		if err != nil {
			return freed, fmt.Errorf("clear the %s cache: %w", tierName(tier), err)
		}
	}
	return freed, nil
}

// exists says that a step of this name is declared, or may still grow.
func (p *plan) exists(name string) bool {
	if p.byName[name] != nil {
		return true
	}
	return slices.ContainsFunc(p.nodes, func(n *node) bool { return n.Grow != nil && strings.HasPrefix(name, n.Grows) })
}

// age is how long ago something was used; times of the future are now.
func age(now, used time.Time) time.Duration { return max(now.Sub(used), 0) }
