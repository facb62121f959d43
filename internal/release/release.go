// Package release packs the public results of a study into one zip file for
// those who have nothing else: with a manifest, sums of every file, and a text
// that says how to verify and rebuild.
//
// The bytes of a bundle are a function of its files: names in order, one time,
// one mode. It does not know which files belong into it, nor whether they may be
// published.
package release

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zeebo/blake3"
)

// Schema is the version of the manifest's form.
const Schema = "plr.release/1"

// The files that Write adds.
const (
	ManifestFile = "manifest.json"
	SumsFile     = "SHA256SUMS"
	ReadmeFile   = "README.txt"
)

// File is one file of a bundle: what stands at Source, or Text where that is "".
type File struct {
	Path   string // in the bundle, with slashes
	Kind   string // what it is, in a word or two
	Source string
	Text   []byte
	// Contents is a digest of what the file means, where its bytes do not say it;
	// "" of all others.
	Contents string
}

// Bundle is what a release says of itself, and its files in any order.
type Bundle struct {
	Study     string
	Synthetic bool   // of the bundled example
	Report    string // path of the report in the bundle, "" if there is none
	Database  string // path of the database
	Schema    string // version of the database's tables
	Settings  string // path of the settings file that a rebuild takes
	Platform  string // where the results were made
	Commit    string // of the code and the settings that made them, "" if none can be named
	Files     []File
}

// Manifest is manifest.json.
type Manifest struct {
	Schema         string  `json:"schema"`
	Study          string  `json:"study"`
	Synthetic      bool    `json:"synthetic"`
	Report         string  `json:"report,omitempty"`
	Database       string  `json:"database"`
	DatabaseSchema string  `json:"database_schema"`
	Settings       string  `json:"settings"`
	Platform       string  `json:"platform"`
	Commit         string  `json:"commit,omitempty"`
	Files          []Entry `json:"files"` // by path
}

// Entry is one file of the manifest.
type Entry struct {
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`
	BLAKE3   string `json:"blake3"`
	Contents string `json:"contents,omitempty"`
}

// fixed is the time of every file: the first that a zip file can say.
var fixed = time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC)

// Write writes a bundle. Two files of one name, a name that leads out of the
// directory that a bundle is unpacked into, and a file that is none are errors.
func Write(w io.Writer, b Bundle) error {
	files := slices.SortedFunc(slices.Values(b.Files), func(x, y File) int { return strings.Compare(x.Path, y.Path) })
	m := Manifest{
		Schema: Schema, Study: b.Study, Synthetic: b.Synthetic, Report: b.Report, Database: b.Database, DatabaseSchema: b.Schema,
		Settings: b.Settings, Platform: b.Platform, Commit: b.Commit, Files: []Entry{},
	}
	taken := map[string]bool{ManifestFile: true, SumsFile: true, ReadmeFile: true}
	packed := zip.NewWriter(w)
	for _, f := range files {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) || taken[f.Path] {
			return fmt.Errorf("pack %q: it is no name for a file of a release, or there are two of it", f.Path)
		}
		taken[f.Path] = true
		entry, err := pack(packed, f)
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
		m.Files = append(m.Files, entry)
	}
	// The sums are of these two as well: a reader who checks them has checked all.
	var sums strings.Builder
	for _, e := range m.Files {
		fmt.Fprintf(&sums, "%s  %s\n", e.SHA256, e.Path)
	}
	manifest, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	for _, f := range []File{
		{Path: ReadmeFile, Text: readme(m)},
		{Path: ManifestFile, Text: append(manifest, '\n')},
	} {
		entry, err := pack(packed, f)
		if err != nil {
			return fmt.Errorf("pack %s: %w", f.Path, err)
		}
		fmt.Fprintf(&sums, "%s  %s\n", entry.SHA256, entry.Path)
	}
	if _, err := pack(packed, File{Path: SumsFile, Text: []byte(sums.String())}); err != nil {
		return fmt.Errorf("pack %s: %w", SumsFile, err)
	}
	return packed.Close()
}

// pack adds one file and says what it is.
func pack(to *zip.Writer, f File) (Entry, error) {
	var in io.Reader = strings.NewReader(string(f.Text))
	if f.Source != "" {
		source, err := os.Open(f.Source)
		if err != nil {
			return Entry{}, err
		}
		defer source.Close() //nolint:errcheck // read only
		if info, err := source.Stat(); err != nil || !info.Mode().IsRegular() {
			return Entry{}, fmt.Errorf("it is not a file (%v)", err)
		}
		in = source
	}
	header := &zip.FileHeader{Name: f.Path, Method: zip.Deflate, Modified: fixed}
	header.SetMode(0o644)
	out, err := to.CreateHeader(header)
	if err != nil {
		return Entry{}, err
	}
	sha, blake := sha256.New(), blake3.New()
	n, err := io.Copy(io.MultiWriter(out, sha, blake), in)
	if err != nil {
		return Entry{}, err
	}
	return Entry{
		Path: f.Path, Kind: f.Kind, Bytes: n, Contents: f.Contents,
		SHA256: hex.EncodeToString(sha.Sum(nil)), BLAKE3: hex.EncodeToString(blake.Sum(nil)),
	}, nil
}
