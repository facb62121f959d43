package duckfile

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// scan is a database that all of is read of. The gate and the digest read the same file
// at the same time: one instance of DuckDB serves both, with one limit of memory, and
// what one has read of the file the other need not.
type scan struct {
	*sql.DB
	path  string
	info  os.FileInfo
	users int
	turns *sync.Mutex // nil, or held by the one that reads
}

var scans struct {
	sync.Mutex
	open []*scan
}

// How much memory, in megabytes, DuckDB may take for a scan, pages of the file that were
// read included, and how much more for each that shares the instance: one holds a page of
// 256 KB for each column of a table and what that takes unpacked.
const (
	scanMemory   = 32
	sharedMemory = 16
)

// turnsFrom is from how many bytes of a file on its users read it one after the other.
// What DuckDB takes beside its limit is then taken once (20 of 70 MB), when there are
// as many configurations as leave the least room; to search such a file takes a
// twentieth of the time of its digest. Less in tests.
var turnsFrom int64 = 64 << 20

// limit gives the instance memory for as many as use it at once.
func (s *scan) limit(ctx context.Context) error {
	if s.turns != nil {
		return nil
	}
	_, err := s.ExecContext(ctx, fmt.Sprintf("SET memory_limit = '%dMB'", scanMemory+sharedMemory*(s.users-1)))
	return err
}

// begin waits for its turn, where there are turns. It returns the end of it.
func (s *scan) begin() (end func()) {
	if s.turns == nil {
		return func() {}
	}
	s.turns.Lock()
	return s.turns.Unlock
}

// openScan opens a database to read all of it. It is to be closed by close.
func openScan(ctx context.Context, path string) (*scan, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	scans.Lock() // for as long as one is opened, so that the next finds it
	defer scans.Unlock()
	info, err := os.Stat(abs)
	if err == nil {
		for _, s := range scans.open {
			if s.path == abs && os.SameFile(s.info, info) && s.info.Size() == info.Size() && s.info.ModTime().Equal(info.ModTime()) {
				s.users++
				if err := s.limit(ctx); err != nil {
					s.users--
					return nil, fmt.Errorf("memory for database %s: %w", filepath.Base(path), err)
				}
				return s, nil
			}
		}
	}
	db, err := openWithin(ctx, path, fmt.Sprintf("%dMB", scanMemory)) // which says what is wrong with a file that is not there
	if err != nil {
		return nil, err
	}
	s := &scan{DB: db, path: abs, info: info, users: 1}
	if info != nil {
		if info.Size() >= turnsFrom {
			s.turns = new(sync.Mutex)
		}
		scans.open = append(scans.open, s)
	}
	return s, nil
}

// close gives the database back.
func (s *scan) close() error {
	scans.Lock()
	defer scans.Unlock()
	if s.users--; s.users > 0 {
		return nil
	}
	scans.open = slices.DeleteFunc(scans.open, func(o *scan) bool { return o == s })
	if err := s.Close(); err != nil {
		return fmt.Errorf("close database %s: %w", filepath.Base(s.path), err)
	}
	return nil
}
