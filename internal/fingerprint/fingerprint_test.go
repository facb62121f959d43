package fingerprint

import (
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	pipeline "github.com/foundation-plr/pipeline"
)

func module(changes map[string]string) fstest.MapFS {
	files := map[string]string{
		"go.mod":      "module example.org/m\n",
		"go.sum":      "a v1 h1:x\n",
		"a/a.go":      "package a\n\nimport _ \"example.org/m/b\"\n",
		"b/b.go":      "package b\n",
		"c/c.go":      "package c\n",
		"a/a_test.go": "package a\n\nimport _ \"example.org/m/c\"\n",
	}
	maps.Copy(files, changes)
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func digest(t *testing.T, fsys fstest.MapFS, packages ...string) string {
	t.Helper()
	c, err := Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.Digest(packages)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDigestFollowsImports(t *testing.T) {
	before := digest(t, module(nil), "example.org/m/a")
	for name, c := range map[string]struct {
		change map[string]string
		moves  bool
	}{
		"own file":          {map[string]string{"a/a.go": "package a\n\nimport _ \"example.org/m/b\"\n// x\n"}, true},
		"imported package":  {map[string]string{"b/b.go": "package b\n\nvar X = 1\n"}, true},
		"new file":          {map[string]string{"a/z.go": "package a\n"}, true},
		"module sums":       {map[string]string{"go.sum": "a v2 h1:y\n"}, true},
		"package elsewhere": {map[string]string{"c/c.go": "package c\n\nvar X = 1\n"}, false},
		"test file":         {map[string]string{"a/a_test.go": "package a\n"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			after := digest(t, module(c.change), "example.org/m/a")
			if (after != before) != c.moves {
				t.Errorf("digest moved: %v, want %v", after != before, c.moves)
			}
		})
	}
}

func TestDigestOfPackageAlone(t *testing.T) {
	alone := func(changes map[string]string) string {
		c, err := Read(module(changes))
		if err != nil {
			t.Fatal(err)
		}
		d, err := c.Digest([]string{"example.org/m/c"}, "example.org/m/a")
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	before := alone(nil)
	if alone(map[string]string{"b/b.go": "package b\n\nvar X = 1\n"}) != before {
		t.Error("a package counted that is only imported by one named alone")
	}
	if alone(map[string]string{"a/z.go": "package a\n"}) == before {
		t.Error("the files of the package named alone do not count")
	}
}

func TestDigestRefusesUnknownPackage(t *testing.T) {
	c, err := Read(module(nil))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Digest([]string{"example.org/m/nowhere"}); err == nil {
		t.Fatal("no error")
	}
}

// Every package of the module that a step can run is embedded: one that lies
// deeper than the patterns of sources.go reach would be missing from every
// digest. Programs (package main) cannot be imported, so no step runs them.
func TestSourcesAreComplete(t *testing.T) {
	c, err := Read(pipeline.Sources)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-e", "-f", "{{if and .GoFiles (ne .Name \"main\")}}{{.ImportPath}}{{end}}", pipeline.Module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(string(out))
	slices.Sort(want)
	if diff := cmp.Diff(want, c.Packages()); diff != "" {
		t.Errorf("packages of the module (-) and of the embedded sources (+):\n%s", diff)
	}
}
