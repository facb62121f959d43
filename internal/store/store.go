// Package store keeps what a build must remember between runs: contents by
// their digest, records of successful steps, and which files are known to have
// which digest. Everything in it can be deleted at any time: that costs time,
// never correctness.
//
// It does not know what a step is; records are bytes to it.
//
// # Who may write
//
// Records and blobs are written by the holder of the [Lock] of the directory
// only. The index is also appended to by readers; an append is one write to a
// file opened for appending, and every entry carries its checksum.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Store is one cache directory.
type Store struct {
	Blobs   *Blobs
	Records *Records
	Index   *Index

	dir  string
	perm Perm
}

// Perm is what files and directories of a tier may be accessed by.
type Perm struct{ Dir, File, Blob fs.FileMode }

// Public and Private are the two tiers. Blobs are read-only, so that nobody
// changes one by mistake through a link or an editor.
var (
	Public  = Perm{Dir: 0o755, File: 0o644, Blob: 0o444}
	Private = Perm{Dir: 0o700, File: 0o600, Blob: 0o400}
)

const readme = `This directory is a cache of build results and the history of builds.
It can be deleted at any time: what is missing is built again.

blobs/    contents of outputs, named by their BLAKE3 digest
records   what successful steps read and wrote
index     digests of files that have not changed since they were hashed
runs/     one directory per build
scratch/  where steps run again to be compared; only while they do
damaged/  what was found here and is not as it was written
rescued/  outputs that somebody had edited, kept aside before they were rebuilt;
          they exist nowhere else
`

// cacheTag marks the directory for backup programs: https://bford.info/cachedir/
const cacheTag = `Signature: 8a477f597d28d172789f06886806bc55
# This file is a cache directory tag: backup programs may leave this directory out.
# See https://bford.info/cachedir/
`

// Create makes the directory of a store with what explains it.
func Create(dir string, perm Perm) error {
	if err := os.MkdirAll(dir, perm.Dir); err != nil {
		return err
	}
	for name, text := range map[string]string{"README": readme, "CACHEDIR.TAG": cacheTag} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			continue
		}
		if err := os.WriteFile(path, []byte(text), perm.File); err != nil {
			return err
		}
	}
	return nil
}

// Open opens a store for its only writer, who holds the lock. The gap is
// SafetyGap, except in tests, which cannot wait that long.
func Open(dir string, perm Perm, gap time.Duration) (*Store, error) {
	return open(dir, perm, gap, true)
}

// OpenReader opens a store without changing it, except that digests may be
// added to its index. A directory that does not exist is an empty store.
func OpenReader(dir string, perm Perm, gap time.Duration) (*Store, error) {
	return open(dir, perm, gap, false)
}

func open(dir string, perm Perm, gap time.Duration, write bool) (*Store, error) {
	s := &Store{dir: dir, perm: perm, Blobs: &Blobs{dir: filepath.Join(dir, "blobs"), perm: perm}}
	var err error
	if write {
		if err := makeDir(s.Blobs.dir, perm.Dir, s.Blobs.aside()); err != nil {
			return nil, err
		}
		if err := os.RemoveAll(s.Blobs.unfinished()); err != nil {
			return nil, err
		}
	}
	if s.Records, err = openRecords(filepath.Join(dir, "records"), perm, write); err != nil {
		return nil, fmt.Errorf("cache records: %w", err)
	}
	if s.Index, err = openIndex(dir, perm, gap, write); err != nil {
		return nil, errors.Join(fmt.Errorf("cache index: %w", err), s.Records.log.close())
	}
	return s, nil
}

// Dir returns the directory of the store.
func (s *Store) Dir() string { return s.dir }

// Close writes what is left of the index and closes the files.
func (s *Store) Close() error {
	return errors.Join(s.Index.Flush(), s.Index.log.close(), s.Records.log.close())
}
