package build

import (
	"errors"
	"fmt"

	"github.com/foundation-plr/pipeline/internal/store"
)

// Past looks up what steps were made from, by the keys that the history holds.
type Past struct{ tiers []*store.Store }

// OpenPast reads the records of the two caches; a directory that does not
// exist has none, and privateCache may be "". It waits for nobody.
func OpenPast(publicCache, privateCache string) (*Past, error) {
	p := new(Past)
	for i, dir := range []string{publicCache, privateCache} {
		if dir == "" {
			continue
		}
		perm := store.Public
		if i == 1 {
			perm = store.Private
		}
		st, err := store.OpenReader(dir, perm, safetyGap)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.tiers = append(p.tiers, st)
	}
	return p, nil
}

// Changes tells how what a step ran on differs between two keys. It is false if
// the record of either is gone: only the last few of each step are kept.
func (p *Past) Changes(then, now string) ([]Change, bool) {
	a, b := p.manifest(then), p.manifest(now)
	if a == nil || b == nil {
		return nil, false
	}
	return changes(a, b), true
}

func (p *Past) manifest(key string) *manifest {
	sum, ok := store.ParseSum(key)
	if !ok {
		return nil
	}
	for _, st := range p.tiers {
		stored, ok := st.Records.ByKey(sum)
		if !ok {
			continue
		}
		rec, err := decodeRecord(stored)
		if err != nil {
			continue // damaged is as good as not there
		}
		if m, err := decodeManifest(rec.manifest.joined()); err == nil {
			return m
		}
	}
	return nil
}

// Close closes the records.
func (p *Past) Close() error {
	var err error
	for _, st := range p.tiers {
		if cerr := st.Close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("cache: %w", cerr))
		}
	}
	return err
}

// Running says which process builds with a public cache now, by the kernel's
// lock. The number is 0 if it has not said yet who it is.
func Running(publicCache string) (pid int, running bool, err error) {
	h, held, err := store.Holding(publicCache)
	return h.PID, held, err
}
