package fingerprint

import (
	"flag"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	pipeline "github.com/foundation-plr/pipeline"
)

func module(changes map[string]string) fstest.MapFS {
	files := map[string]string{
		"go.mod": "module example.org/m\n\ngo 1.26\n\nrequire (\n\texample.org/x v1.0.0\n\texample.org/y v1.0.0 // indirect\n)\n",
		"go.sum": "example.org/x v1.0.0 h1:x\nexample.org/x v1.0.0/go.mod h1:xm\n" +
			"example.org/x/lib v1.0.0 h1:xl\nexample.org/y v1.0.0 h1:y\n",
		Table:         "# made\nexample.org/m/a\nexample.org/m/b example.org/x\nexample.org/m/c example.org/y\n",
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
	gomod, sums := string(module(nil)["go.mod"].Data), string(module(nil)["go.sum"].Data)
	for name, c := range map[string]struct {
		change map[string]string
		moves  bool
	}{
		"own file":                    {map[string]string{"a/a.go": "package a\n\nimport _ \"example.org/m/b\"\n// x\n"}, true},
		"imported package":            {map[string]string{"b/b.go": "package b\n\nvar X = 1\n"}, true},
		"new file":                    {map[string]string{"a/z.go": "package a\n"}, true},
		"module that an import needs": {map[string]string{"go.sum": strings.Replace(sums, "h1:x\n", "h1:z\n", 1)}, true},
		"module below that one":       {map[string]string{"go.sum": strings.Replace(sums, "h1:xl\n", "h1:z\n", 1)}, true},
		"version of a module":         {map[string]string{"go.mod": strings.Replace(gomod, "x v1.0.0", "x v1.0.1", 1)}, true},
		"module of others":            {map[string]string{"go.sum": strings.Replace(sums, "h1:y\n", "h1:z\n", 1)}, false},
		"version of others":           {map[string]string{"go.mod": strings.Replace(gomod, "y v1.0.0", "y v1.0.1", 1)}, false},
		"sum of a go.mod":             {map[string]string{"go.sum": strings.Replace(sums, "h1:xm\n", "h1:z\n", 1)}, false},
		"language version":            {map[string]string{"go.mod": strings.Replace(gomod, "go 1.26", "go 1.27", 1)}, true},
		"replaced module":             {map[string]string{"go.mod": gomod + "replace example.org/y => ../y\n"}, true},
		"package elsewhere":           {map[string]string{"c/c.go": "package c\n\nvar X = 1\n"}, false},
		"test file":                   {map[string]string{"a/a_test.go": "package a\n"}, false},
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

func TestDigestRefusesWhatTheTableLacks(t *testing.T) {
	for name, change := range map[string]map[string]string{
		"package": {Table: "example.org/m/b example.org/x\n"},
		"module":  {"go.sum": ""},
	} {
		c, err := Read(module(change))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Digest([]string{"example.org/m/a"}); err == nil || !strings.Contains(err.Error(), "generate the table anew") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

var update = flag.Bool("update", false, "write the table of modules")

// The table says what the go command says.
func TestTableIsTrue(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f",
		`{{if not .Standard}}{{.ImportPath}} {{with .Module}}{{.Path}}{{end}} {{.Name}}{{range .Imports}} {{.}}{{end}}{{end}}`,
		pipeline.Module+"/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		module  string
		imports []string
	}
	packages := map[string]listed{}
	var own []string
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		packages[f[0]] = listed{f[1], f[3:]}
		if f[1] == pipeline.Module && f[2] != "main" {
			own = append(own, f[0])
		}
	}
	slices.Sort(own)
	var table strings.Builder
	table.WriteString("# Which modules outside each package needs. Generated: see modules.go.\n")
	for _, name := range own {
		needs := map[string]bool{}
		seen := map[string]bool{}
		var visit func(string)
		visit = func(name string) {
			p, outside := packages[name]
			if !outside || p.module == pipeline.Module || seen[name] {
				return // of the standard library, or counted by itself
			}
			seen[name] = true
			needs[p.module] = true
			for _, imported := range p.imports {
				visit(imported)
			}
		}
		for _, imported := range packages[name].imports {
			visit(imported)
		}
		for module := range needs {
			for other := range needs { // see modules.identify
				if strings.HasPrefix(module, other+"/") {
					delete(needs, module)
				}
			}
		}
		table.WriteString(strings.Join(append([]string{name}, slices.Sorted(maps.Keys(needs))...), " ") + "\n")
	}
	if *update {
		if err := os.WriteFile("modules.txt", []byte(table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := fs.ReadFile(pipeline.Sources, Table)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS+"/"+runtime.GOARCH != "linux/amd64" {
		// The table is made on Linux; elsewhere nothing may be missing from it.
		covered, err := readTable(have)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(table.String()) {
			f := strings.Fields(line)
			for _, module := range f[1:] {
				if f[0] != "#" && !slices.ContainsFunc(covered[f[0]], func(c string) bool { return c == module || strings.HasPrefix(module, c+"/") }) {
					t.Errorf("%s needs %s, which its line of the table does not have", f[0], module)
				}
			}
		}
		return
	}
	if diff := cmp.Diff(table.String(), string(have)); diff != "" {
		t.Errorf("go test ./internal/fingerprint -run TestTableIsTrue -update mends the table; what the go command says (-), what it holds (+):\n%s", diff)
	}
}

// Upgrading a module moves the code of the packages that use it and of no
// others.
func TestUpgradeOfOneModule(t *testing.T) {
	upgraded := fstest.MapFS{}
	err := fs.WalkDir(pipeline.Sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(pipeline.Sources, name)
		if name == "go.mod" || name == "go.sum" {
			text = []byte(strings.ReplaceAll(string(text), "gonum.org/v1/gonum v0.17.0", "gonum.org/v1/gonum v0.17.1"))
		}
		upgraded[name] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	before, err := Read(pipeline.Sources)
	if err != nil {
		t.Fatal(err)
	}
	after, err := Read(upgraded)
	if err != nil {
		t.Fatal(err)
	}
	moved := func(name string) bool {
		t.Helper()
		name = pipeline.Module + "/" + name
		a, err := before.Digest([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		b, err := after.Digest([]string{name})
		if err != nil {
			t.Fatal(err)
		}
		return a != b
	}
	for _, name := range []string{"metrics", "internal/extract", "internal/checkpoint"} {
		if !moved(name) {
			t.Errorf("%s uses the module and stayed", name)
		}
	}
	for _, name := range []string{"internal/archive", "internal/lock", "internal/pickle", "internal/sidecar", "anonymize"} {
		if moved(name) {
			t.Errorf("%s does not use the module and moved", name)
		}
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
