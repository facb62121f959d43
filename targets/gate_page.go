package targets

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"

	"github.com/foundation-plr/pipeline/build"
)

// pictureURI begins a picture that stands inside of a page.
const pictureURI = "data:image/png;base64,"

// isPage says whether a file is a page that may have pictures inside.
func isPage(ref build.Ref) bool { return path.Ext(ref.Path) == ".html" }

// pagePictures takes a page apart: what it spells, and the pictures that stand in
// it. In their text a code turns up by chance, as in any long random text, and
// one that a picture carries would not be found; so they are decoded, and what is
// left of the page has a mark in their place. What calls itself a picture and is
// none is an error, because nobody would have looked at it.
func pagePictures(page []byte) (text []byte, pictures [][]byte, err error) {
	for {
		before, rest, found := bytes.Cut(page, []byte(pictureURI))
		text = append(text, before...)
		if !found {
			return text, pictures, nil
		}
		text = append(text, "[picture]"...)
		end := bytes.IndexFunc(rest, func(r rune) bool { return !base64Letter(r) })
		if end < 0 {
			end = len(rest)
		}
		picture, err := base64.StdEncoding.DecodeString(string(rest[:end]))
		switch {
		case err != nil:
			return nil, nil, fmt.Errorf("picture %d in the page cannot be decoded: %w", len(pictures)+1, err)
		case !bytes.HasPrefix(picture, []byte(pngMagic)):
			return nil, nil, fmt.Errorf("picture %d in the page is no PNG file", len(pictures)+1)
		}
		pictures = append(pictures, picture)
		page = rest[end:]
	}
}

// base64Letter says whether a character is of base64.
func base64Letter(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '/' || r == '='
}

// page refuses a page that holds an original code, in what it spells or in the
// pictures inside.
func (g *gate) page(ref build.Ref, data []byte) error {
	current, err := g.current()
	if err != nil {
		return err
	}
	text, pictures, err := pagePictures(data)
	if err != nil {
		return fmt.Errorf("leak gate: %s: %w", ref, err)
	}
	problems := []error{current.Check(ref.String(), text)}
	for i, picture := range pictures {
		name := fmt.Sprintf("%s, picture %d", ref, i+1)
		spelt, rest, err := pngTexts(picture)
		if err != nil {
			return fmt.Errorf("leak gate: %s: %w", name, err)
		}
		problems = append(problems, current.Check(name, spelt), current.CheckRaw(name, rest))
	}
	return errors.Join(problems...)
}

// isArchive says whether a file holds others.
func isArchive(ref build.Ref) bool { return path.Ext(ref.Path) == ".zip" }

// archive refuses an archive of which a file holds an original code. Each is
// searched as what it is: packed, codes are neither found nor, where they are
// short, absent.
func (g *gate) archive(ref build.Ref, name string) (err error) {
	packed, err := zip.OpenReader(name)
	if err != nil {
		return fmt.Errorf("leak gate: %s: %w", ref, err)
	}
	defer func() { err = errors.Join(err, packed.Close()) }()
	// Beside the lookup, where there is one: what is looked at here nobody has
	// looked at yet.
	beside := filepath.Dir(g.lookup)
	if info, err := os.Stat(beside); err != nil || !info.IsDir() {
		beside = ""
	}
	dir, err := os.MkdirTemp(beside, "gate-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	current, err := g.current()
	if err != nil {
		return err
	}
	for i, f := range packed.File {
		inside := build.Ref{Root: ref.Root, Path: ref.Path + "/" + f.Name}
		// A name may be a code, and so may what is said of the file otherwise.
		if err := current.CheckText(fmt.Sprintf("%s, name %d", ref, i+1), f.Name+"\n"+f.Comment+"\n"+string(f.Extra)+"\n"+packed.Comment); err != nil {
			return err
		}
		unpacked := filepath.Join(dir, "file")
		if err := unpackTo(unpacked, f); err != nil {
			return fmt.Errorf("leak gate: %s: %w", inside, err)
		}
		if database, err := isDatabase(unpacked); err != nil {
			return err
		} else if database {
			inside.Root = rootDatabase
		}
		if err := g.file(inside, unpacked); err != nil {
			return err
		}
	}
	return nil
}

// maxUnpacked bounds what one file of an archive may unpack to: ten times the
// database of the largest study known.
const maxUnpacked = 4 << 30

func unpackTo(name string, f *zip.File) (err error) {
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	n, err := io.Copy(out, io.LimitReader(in, maxUnpacked+1))
	if err == nil && n > maxUnpacked {
		err = fmt.Errorf("it unpacks to more than %d bytes", int64(maxUnpacked))
	}
	return err
}

// isDatabase says whether a file is one of DuckDB, which have its name behind the
// checksum of the first block.
func isDatabase(name string) (is bool, err error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	head := make([]byte, 12)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n == len(head) && string(head[8:]) == "DUCK", err
}
