// Package lock writes pipeline.lock, which says what a build gave: the digest
// of every public output, one line each, so that two builds can be compared and
// a change can be reviewed. It does not know how the outputs are made.
package lock

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"
)

// Name is how the file is called.
const Name = "pipeline.lock"

// Schema is the version of the format.
const Schema = "plr.lock/1"

// Document is the content of pipeline.lock.
type Document struct {
	Schema string `json:"schema"`
	Study  string `json:"study"`
	// Platform is where the outputs were made, such as "linux/amd64 v1 fma": the
	// last bits of numbers and pictures may differ on another.
	Platform string `json:"platform"`
	// Contents are digests of what a file means, where its bytes do not say it:
	// schema and ordered rows of the database.
	Contents map[string]string `json:"contents"`
	// Artifacts are BLAKE3 digests of bytes, by path below the results.
	Artifacts map[string]string `json:"artifacts"`
}

// Write writes the document to the file name, a line an entry, keys in order.
func Write(name string, d Document) error {
	d.Schema = Schema
	encoded, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(encoded, '\n'), 0o644)
}

// Digest is what Artifacts holds of the file name, as it is now.
func Digest(name string) (digest string, err error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := blake3.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Read reads a document that Write wrote. A file that is none, of another version
// of the format, or names what is not a path below the results or not a digest
// is an error with the name of the file.
func Read(name string) (Document, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return Document{}, err
	}
	var d Document
	if err := d.decode(text); err != nil {
		return Document{}, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return d, nil
}

func (d *Document) decode(text []byte) error {
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(d); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("it cannot be read: something follows the document")
	}
	if d.Schema != Schema {
		return fmt.Errorf("its schema is %q; this program reads %s", d.Schema, Schema)
	}
	for path, digest := range d.Artifacts {
		if err := checkEntry(path, digest); err != nil {
			return err
		}
	}
	for path, meaning := range d.Contents {
		// What it is a digest of, and the digest.
		kind, digest, found := strings.Cut(meaning, " ")
		if !found || kind == "" {
			return fmt.Errorf("%s: %q does not say what it is a digest of", path, meaning)
		}
		if err := checkEntry(path, digest); err != nil {
			return err
		}
	}
	return nil
}

// digestSize is that of BLAKE3, in bytes.
const digestSize = 32

func checkEntry(path, digest string) error {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return fmt.Errorf("%q is no path below the results", path)
	}
	if sum, err := hex.DecodeString(digest); err != nil || len(sum) != digestSize {
		return fmt.Errorf("%s: %q is no digest", path, digest)
	}
	return nil
}
