package release

import (
	"archive/zip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
)

// Digest is what a bundle means, 64 hexadecimal digits of BLAKE3: its manifest and
// its text, with the contents of a database in the place of its bytes. Bundles of
// databases with equal contents are equal. A bundle whose files are not those of
// its manifest is an error. Contents gives the digest of what a file means that
// the manifest has one of.
func Digest(ctx context.Context, name string, contents func(context.Context, string) (string, error)) (digest string, err error) {
	packed, err := zip.OpenReader(name)
	if err != nil {
		return "", fmt.Errorf("release: %w", err)
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	members := map[string]*zip.File{}
	for _, f := range packed.File {
		if members[f.Name] != nil {
			return "", fmt.Errorf("release: it holds %q twice", f.Name)
		}
		members[f.Name] = f
	}
	text, err := whole(members, ManifestFile)
	if err != nil {
		return "", err
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil || m.Schema != Schema {
		return "", fmt.Errorf("release: its manifest is none of %s (%v)", Schema, err)
	}
	if want := len(m.Files) + 3; len(packed.File) != want {
		return "", fmt.Errorf("release: it holds %d files, its manifest and what goes with it are %d", len(packed.File), want)
	}
	scratch, err := os.MkdirTemp("", "plr-release-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for i := range m.Files {
		if err := m.Files[i].verify(ctx, members, scratch, contents); err != nil {
			return "", err
		}
	}
	readme, err := whole(members, ReadmeFile)
	if err != nil {
		return "", err
	}
	if text, err = json.Marshal(m); err != nil {
		return "", err
	}
	h := blake3.New()
	for _, part := range [][]byte{text, readme} {
		sum := blake3.Sum256(part)
		_, _ = h.Write(sum[:]) // never fails
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// verify compares a file with its entry and leaves of the entry what it means.
func (e *Entry) verify(ctx context.Context, members map[string]*zip.File, scratch string, contents func(context.Context, string) (string, error)) (err error) {
	f := members[e.Path]
	if f == nil {
		return fmt.Errorf("release: %s is in its manifest and not in it", e.Path)
	}
	in, err := f.Open()
	if err != nil {
		return fmt.Errorf("release: %s: %w", e.Path, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	h := blake3.New()
	var out io.Writer = h
	copied := filepath.Join(scratch, "file")
	if e.Contents != "" {
		file, err := os.Create(copied)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(copied)) }()
		defer func() { err = errors.Join(err, file.Close()) }()
		out = io.MultiWriter(h, file)
	}
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("release: %s: %w", e.Path, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != e.BLAKE3 {
		return fmt.Errorf("release: %s is not what its manifest says", e.Path)
	}
	if e.Contents == "" {
		return nil
	}
	e.Bytes, e.SHA256, e.BLAKE3 = 0, "", ""
	if e.Contents, err = contents(ctx, copied); err != nil {
		return fmt.Errorf("release: %s: %w", e.Path, err)
	}
	return nil
}

// maxText bounds what is read of the texts that Write adds: a manifest of ten
// thousand files has 3 MB.
const maxText = 1 << 24

func whole(members map[string]*zip.File, name string) (text []byte, err error) {
	f := members[name]
	if f == nil {
		return nil, fmt.Errorf("release: it holds no %s", name)
	}
	in, err := f.Open()
	if err != nil {
		return nil, fmt.Errorf("release: %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	text, err = io.ReadAll(io.LimitReader(in, maxText+1))
	if err == nil && len(text) > maxText {
		err = errors.New("it is too long")
	}
	if err != nil {
		return nil, fmt.Errorf("release: %s: %w", name, err)
	}
	return text, nil
}
