package targets

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	pipeline "github.com/foundation-plr/pipeline"
	"github.com/foundation-plr/pipeline/internal/fingerprint"
)

// neverInKey are packages that a step's function may touch without its result
// depending on their code: the engine itself, and the gate, which refuses files
// and never changes one.
var neverInKey = []string{pipeline.Module, pipeline.Module + "/build"}

// A step that forgets to name a package stays fresh when that package changes.
// So the functions that steps run are read: every package of the module that
// one, or a function of this package that it calls, refers to must be among the
// packages in Code or imported by one of them. What is computed while a step is
// declared stands in its parameters, inputs or outputs.
func TestStepsNameTheirCode(t *testing.T) {
	code, err := fingerprint.Read(pipeline.Sources)
	if err != nil {
		t.Fatal(err)
	}
	functions, imports := parseTargets(t)
	steps := 0
	for name, fn := range functions {
		named, ok := stepCode(fn)
		if !ok {
			continue
		}
		steps++
		if len(named) == 0 {
			t.Errorf("%s declares a step without Code", name)
			continue
		}
		for _, p := range named {
			if !slices.Contains(code.Packages(), pipeline.Module+"/"+p) {
				t.Errorf("%s names the package %s, which does not exist", name, p)
			}
		}
		covered := coveredBy(named, code)
		for p, by := range used(fn, functions, imports) {
			if !covered[p] && !slices.Contains(neverInKey, p) {
				t.Errorf("the step of %s uses %s (in %s), which its Code neither names nor imports", name, p, by)
			}
		}
	}
	if steps < 10 {
		t.Errorf("found %d functions that declare steps; the test has lost sight of them", steps)
	}
}

// A change of what makes the database must not have it validated by code that stayed
// the same, nor the other way round, and figures wait for neither: that is why these are
// packages of their own.
func TestStepsDoNotWaitForOthersCode(t *testing.T) {
	code, err := fingerprint.Read(pipeline.Sources)
	if err != nil {
		t.Fatal(err)
	}
	functions, _ := parseTargets(t)
	made := []string{"internal/checkpoint", "internal/writer"}
	checked := []string{"internal/validation", "internal/rules", "internal/recomputation"}
	read := []string{"internal/extract", "internal/pickle", "internal/disclosure", "internal/derivation"}
	for name, without := range map[string][]string{
		".checkpoint":        slices.Concat(checked, []string{"internal/analysis"}),
		".partialCheckpoint": checked,
		".validate":          made,
		".data":              slices.Concat(made, checked, read),
		".reportSummary":     slices.Concat(made, checked, read),
		".release":           slices.Concat(made, checked, read),
	} {
		fn := functions[name]
		if fn == nil {
			t.Errorf("there is no function %s", name)
			continue
		}
		named, ok := stepCode(fn)
		if !ok || len(named) == 0 {
			t.Errorf("%s declares no step with Code", name)
		}
		covered := coveredBy(named, code)
		for _, p := range without {
			if !slices.Contains(code.Packages(), pipeline.Module+"/"+p) {
				t.Errorf("there is no package %s", p)
			}
			if covered[pipeline.Module+"/"+p] {
				t.Errorf("the step of %s is stale when %s changes, of which it needs nothing", name, p)
			}
		}
	}
}

// coveredBy are the packages named in Code and all that they import.
func coveredBy(named []string, code *fingerprint.Code) map[string]bool {
	covered := map[string]bool{}
	var cover func(string)
	cover = func(p string) {
		if !covered[p] {
			covered[p] = true
			for _, imported := range code.Imports(p) {
				cover(imported)
			}
		}
	}
	for _, p := range named {
		cover(pipeline.Module + "/" + p)
	}
	return covered
}

// parseTargets returns the functions of this package by name, its methods by
// ".name", and
// the packages of the module by the names that its files import them under.
func parseTargets(t *testing.T) (map[string]*ast.FuncDecl, map[string]string) {
	t.Helper()
	functions, imports := map[string]*ast.FuncDecl{}, map[string]string{}
	names, err := fs.Glob(pipeline.Sources, "targets/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || name == "targets/gate.go" {
			continue
		}
		text, err := fs.ReadFile(pipeline.Sources, name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if p != pipeline.Module && !strings.HasPrefix(p, pipeline.Module+"/") {
				continue
			}
			local := path.Base(p)
			if spec.Name != nil {
				local = spec.Name.Name
			}
			imports[local] = p
		}
		for _, decl := range file.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				name := fn.Name.Name
				if fn.Recv != nil {
					name = "." + name
				}
				functions[name] = fn
			}
		}
	}
	return functions, imports
}

// stepCode returns the Code of the step that a function declares.
func stepCode(fn *ast.FuncDecl) (packages []string, ok bool) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		lit, isLit := n.(*ast.CompositeLit)
		if !isLit || !isSelector(lit.Type, "build", "Step") {
			return true
		}
		ok = true
		for _, element := range lit.Elts {
			field, isField := element.(*ast.KeyValueExpr)
			if !isField || field.Key.(*ast.Ident).Name != "Code" {
				continue
			}
			for _, value := range field.Value.(*ast.CompositeLit).Elts {
				p, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				if err == nil {
					packages = append(packages, p)
				}
			}
		}
		return true
	})
	return packages, ok
}

// used returns the packages of the module that the Run and Grow of a step refer
// to, with those that functions of this package refer to which they call, and by
// which. Steps that Grow declares are their own affair.
func used(declares *ast.FuncDecl, functions map[string]*ast.FuncDecl, imports map[string]string) map[string]string {
	found, seen := map[string]string{}, map[string]bool{}
	var visit func(name string, body ast.Node)
	call := func(name string) {
		if fn := functions[name]; fn != nil && !seen[name] {
			seen[name] = true
			if _, step := stepCode(fn); !step {
				visit(name, fn.Body)
			}
		}
	}
	visit = func(name string, body ast.Node) {
		ast.Inspect(body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				switch {
				case !ok:
				case imports[x.Name] != "":
					found[imports[x.Name]] = name
				case x.Name == "s": // the receiver of every method here
					call("." + n.Sel.Name)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok {
					call(f.Name)
				}
			}
			return true
		})
	}
	ast.Inspect(declares.Body, func(n ast.Node) bool {
		field, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return true
		}
		key, ok := field.Key.(*ast.Ident)
		if !ok || key.Name != "Run" && key.Name != "Grow" {
			return true
		}
		visit(key.Name+" of "+declares.Name.Name, field.Value)
		return false
	})
	return found
}

func isSelector(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}
