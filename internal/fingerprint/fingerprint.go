// Package fingerprint digests the code that a step runs: the sources of the
// packages it names and of every package of the module that they import, and
// the sums of the modules outside.
//
// It reads sources from a file system, usually the one the compiler embedded,
// and knows nothing of steps.
package fingerprint

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/zeebo/blake3"
)

// Code is the sources of one module.
type Code struct {
	module   string
	modules  *modules            // outside
	needs    map[string][]string // by import path: modules outside
	packages map[string]*sources // by import path
}

// sources are the files of a package, without tests.
type sources struct {
	imports []string
	digest  [32]byte // of all files by name
}

// Read parses the module in fsys, which holds go.mod, go.sum, the table of
// modules and the Go files of all packages. It fails on a file that does not
// parse.
func Read(fsys fs.FS) (*Code, error) {
	mod, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return nil, err
	}
	sum, err := fs.ReadFile(fsys, "go.sum")
	if err != nil {
		return nil, err
	}
	c := &Code{packages: map[string]*sources{}}
	if c.module, err = moduleName(mod); err != nil {
		return nil, err
	}
	c.modules = readModules(mod, sum)
	table, err := fs.ReadFile(fsys, Table)
	if err != nil {
		return nil, err
	}
	if c.needs, err = readTable(table); err != nil {
		return nil, err
	}
	var buffer []byte // for one file after the other: a megabyte of text need not be kept
	err = fs.WalkDir(fsys, ".", func(dir string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		buffer, err = c.add(fsys, dir, buffer)
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

func moduleName(mod []byte) (string, error) {
	for line := range strings.Lines(string(mod)) {
		if rest, ok := strings.CutPrefix(strings.TrimSpace(line), "module "); ok {
			return strings.TrimSpace(rest), nil
		}
	}
	return "", fmt.Errorf("go.mod names no module")
}

// add takes the package of a directory, if there is one. The buffer is given back,
// perhaps a larger one.
func (c *Code) add(fsys fs.FS, dir string, buffer []byte) ([]byte, error) {
	entries, err := fs.ReadDir(fsys, dir) // by name
	if err != nil {
		return buffer, err
	}
	p := &sources{}
	h := blake3.New()
	files := 0
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		if buffer, err = readInto(buffer[:0], fsys, name); err != nil {
			return buffer, err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, buffer, parser.ImportsOnly)
		if err != nil {
			return buffer, err
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return buffer, fmt.Errorf("%s: %w", name, err)
			}
			if imported == c.module || strings.HasPrefix(imported, c.module+"/") {
				p.imports = append(p.imports, imported)
			}
		}
		field(h, []byte(e.Name()))
		field(h, buffer)
		files++
	}
	if files > 0 {
		h.Sum(p.digest[:0])
		c.packages[path.Join(c.module, dir)] = p
	}
	return buffer, nil
}

// readInto appends the text of a file to a buffer.
func readInto(buffer []byte, fsys fs.FS, name string) (_ []byte, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return buffer, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return buffer, err
	}
	from := len(buffer)
	buffer = slices.Grow(buffer, int(info.Size()))[:from+int(info.Size())]
	_, err = io.ReadFull(f, buffer[from:])
	return buffer, err
}

// Digest is the hexadecimal BLAKE3 of the named packages, of all that they
// import inside the module, with the sums of the modules outside that these
// need. A package named in alone counts without the packages of the module that
// it imports: it calls into the others, and a step uses only those that it
// names. It fails for a package that the module or the table does not have.
func (c *Code) Digest(packages []string, alone ...string) (string, error) {
	closure := map[string]bool{}
	var visit func(string) error
	visit = func(name string) error {
		if closure[name] {
			return nil
		}
		p, ok := c.packages[name]
		if !ok {
			return fmt.Errorf("package %s is not among the module's sources", name)
		}
		closure[name] = true
		for _, imported := range p.imports {
			if err := visit(imported); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range packages {
		if err := visit(name); err != nil {
			return "", err
		}
	}
	for _, name := range alone {
		if _, ok := c.packages[name]; !ok {
			return "", fmt.Errorf("package %s is not among the module's sources", name)
		}
		closure[name] = true
	}
	names := make([]string, 0, len(closure))
	for name := range closure {
		names = append(names, name)
	}
	slices.Sort(names)

	var needs []string
	for _, name := range names {
		modules, known := c.needs[name]
		if !known {
			return "", fmt.Errorf("package %s is not in %s: generate the table anew", name, Table)
		}
		needs = append(needs, modules...)
	}
	slices.Sort(needs)
	lines, err := c.modules.identify(slices.Compact(needs))
	if err != nil {
		return "", err
	}

	h := blake3.New()
	for _, line := range lines {
		field(h, []byte(line))
	}
	for _, name := range names {
		field(h, []byte(name))
		field(h, c.packages[name].digest[:])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Packages are the import paths of all packages, sorted.
func (c *Code) Packages() []string {
	names := make([]string, 0, len(c.packages))
	for name := range c.packages {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Imports are the packages of the module that the named one imports, sorted.
func (c *Code) Imports(name string) []string {
	p := c.packages[name]
	if p == nil {
		return nil
	}
	imports := slices.Clone(p.imports)
	slices.Sort(imports)
	return slices.Compact(imports)
}

// field writes one length-prefixed field, so that no two lists of fields have
// the same bytes.
func field(h *blake3.Hasher, b []byte) {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(len(b)))
	// A hash never fails to write.
	_, _ = h.Write(n[:])
	_, _ = h.Write(b)
}
