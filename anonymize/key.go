package anonymize

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeySize is the length of a study's key in bytes: that of keyed BLAKE3.
const KeySize = 32

// ExampleKey is the key of the bundled synthetic example. It is published, so
// that everyone gets the same codes for subjects who do not exist.
const ExampleKey = "plr example: public, not secret!"

// CreateKey draws a key and writes it to path as 64 hexadecimal digits,
// readable by its owner alone. It never replaces a file: the error then wraps
// [fs.ErrExist].
func CreateKey(path string) ([]byte, error) {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the process instead
	if err := createKey(path, key); err != nil {
		return nil, fmt.Errorf("study key: %w", err)
	}
	return key, nil
}

// artifactContext keeps these digests apart from other uses of the key.
const artifactContext = "plr artifact 1\x00"

// KeyedDigest returns what stands in public for the digest of a private file: 64
// hexadecimal digits of BLAKE3 under the study's key. Whoever has the key can
// tell which file is meant; nobody else can try files out.
func KeyedDigest(key []byte, digest string) (string, error) {
	sum, err := keyedSum(key, artifactContext, digest)
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(sum[:]), nil
}

func createKey(path string, key []byte) (err error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// A link made of a complete file appears as a whole or not at all, and
	// fails where a rename would replace.
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = fmt.Fprintf(f, "%x\n", key)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// ReadKey reads a key that [CreateKey] wrote. An error for a missing file
// wraps [fs.ErrNotExist]; no error holds a part of the key.
func ReadKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("study key: %w", err)
	}
	key, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("study key %s: not %d hexadecimal digits; restore it from a backup, for without it "+
			"new subjects get their codes in another order: %w", path, 2*KeySize, fs.ErrInvalid)
	}
	return key, nil
}
