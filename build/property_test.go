package build

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"pgregory.net/rapid"
)

// testGap lets the index of digests take part in tests that last milliseconds:
// it is some ticks of the file systems that tests run on.
const testGap = 20 * time.Millisecond

func init() {
	safetyGap = testGap
	// So that what is found out again, written in pieces or digested so is tested, too.
	manyInputs, wholeDecisions, pieceSize, wholeManifest, longPiece, briefRecord = 3, 2, 100, 900, 50, 200
}

// model is a random pipeline: what it declares is a function of its fields,
// and what its steps write a function of what they read.
type model struct {
	Steps []modelStep
	Code  int
}

type modelStep struct {
	Kind    string // "file", "two", "tree", "grow", "ledger"
	In      []Input
	Private bool
	Param   int
	Modulus int // 0: the outputs are a digest of all that is read; else only of its length by this modulus
	Fails   bool
}

func (m *model) name(i int) string { return fmt.Sprintf("s%d", i) }

func modelRoot(private bool) string {
	if private {
		return "private"
	}
	return "out"
}

// steps declares the pipeline.
func (m *model) steps() []Step {
	var steps []Step
	for i, ms := range m.Steps {
		root := modelRoot(ms.Private)
		at := m.name(i)
		s := Step{Name: at, Inputs: ms.In, Params: map[string]any{"p": ms.Param}, Code: []string{"code"}, Declassifies: true}
		switch ms.Kind {
		case "file":
			s.Outputs = []Output{Out(root, at)}
		case "two":
			s.Outputs = []Output{Out(root, at), Out("out", "d/"+at+"x")}
		case "tree":
			s.Outputs = []Output{OutTree(root, at+"t"), Out(root, at)}
		case "grow":
			s.Outputs = []Output{Out(root, at)}
			s.Grows = at + ":"
			s.Grow = func(_ context.Context, t *Task) ([]Step, error) {
				b, err := os.ReadFile(t.Out(Ref{root, at}))
				if err != nil {
					return nil, err
				}
				var grown []Step
				for k := range int(b[0]) % 4 {
					name := fmt.Sprintf("%s:%d", at, k)
					grown = append(grown, Step{
						Name: name, Inputs: []Input{Glob("src", fmt.Sprintf("%d*", k)), File(root, at)}, Outputs: []Output{Out(root, at+fmt.Sprint("g", k))}, Declassifies: true,
						Run: modelRun(modelStep{Modulus: 3}, 0),
					})
				}
				return grown, nil
			}
		case "ledger":
			s.Ledgers = []Ref{{root, at + "l"}}
			s.Outputs = []Output{Out(root, at)}
		}
		s.Run = modelRun(ms, m.Code)
		steps = append(steps, s)
	}
	return steps
}

func modelRun(ms modelStep, code int) func(context.Context, *Task) error {
	return func(_ context.Context, t *Task) error {
		h := blake3.New()
		total := 0
		ins := slices.Clone(t.n.Inputs)
		slices.SortFunc(ins, func(a, b Input) int { return a.compare(b) })
		for _, in := range ins {
			fmt.Fprintf(h, "%s\n", in)
			for _, ref := range t.Files(in) {
				fmt.Fprintf(h, "%s\n", ref)
				path := t.Path(ref)
				err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
					if err != nil || d.IsDir() || in.kind == inNames {
						return err
					}
					b, err := os.ReadFile(p)
					fmt.Fprintf(h, "%s %d %s\n", relative(path, p), len(b), b)
					total += len(b)
					return err
				})
				if err != nil {
					return err
				}
			}
		}
		fmt.Fprintf(h, "%v %d", t.n.Params, code)
		text := fmt.Sprintf("%x", h.Sum(nil))
		if ms.Modulus > 0 {
			text = fmt.Sprint(total % ms.Modulus)
		}
		if ms.Fails && total%2 == 1 {
			return errors.New("odd")
		}
		for _, ref := range t.n.Ledgers {
			path := t.Path(ref)
			old, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if !bytes.Contains(old, []byte(text+"\n")) {
				if err := os.WriteFile(path, append(old, text+"\n"...), 0o600); err != nil {
					return err
				}
			}
		}
		for _, o := range t.n.Outputs {
			path := t.Out(o.Ref)
			if !o.Tree {
				if err := os.WriteFile(path, []byte(text+o.Ref.Path), 0o666); err != nil {
					return err
				}
				continue
			}
			for k := range 2 + total%3 {
				p := filepath.Join(path, fmt.Sprint(k%2), fmt.Sprint(k))
				if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
					return err
				}
				if err := os.WriteFile(p, fmt.Append(nil, text, k), 0o666); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func drawModel(t *rapid.T) *model {
	m := new(model)
	for i := range rapid.IntRange(1, 7).Draw(t, "steps") {
		ms := modelStep{
			Kind:    rapid.SampledFrom([]string{"file", "file", "file", "two", "tree", "grow", "ledger"}).Draw(t, "kind"),
			Private: rapid.IntRange(0, 3).Draw(t, "private") == 0,
			Modulus: rapid.SampledFrom([]int{0, 0, 2, 5}).Draw(t, "modulus"),
			Fails:   rapid.IntRange(0, 9).Draw(t, "fails") == 0,
		}
		for range rapid.IntRange(0, 3).Draw(t, "inputs") {
			ms.In = append(ms.In, m.drawInput(t, i, false))
		}
		m.Steps = append(m.Steps, ms)
	}
	return m
}

// drawInput draws an input of the i-th step: a source, or what an earlier step
// makes.
func (m *model) drawInput(t *rapid.T, i int, last bool) Input {
	sources := []Input{File("src", "0"), File("src", "1a"), Glob("src", "*"), Glob("src", "d/**"), Glob("src", "{0,1}*"), Names("src", "**"), Glob("src", "d/*/x")}
	k := rapid.IntRange(0, 3*i).Draw(t, "from")
	if k >= i {
		return rapid.SampledFrom(sources).Draw(t, "source")
	}
	of := m.Steps[k]
	root, name := modelRoot(of.Private), m.name(k)
	choices := []Input{File(root, name), OutputsOf(name), Glob(root, name)}
	switch of.Kind {
	case "tree":
		choices = append(choices, Glob(root, name+"t/**"), Glob(root, name+"t/0/*"), File(root, name+"t/0/0"), File(root, name+"t"), Names(root, name+"t/*/*"))
	case "grow":
		choices = append(choices, OutputsOf(name+":*"), OutputsOf(name+":*"))
		if last { // a later step could grow what matches, too
			choices = append(choices, OutputsOf("*:1"))
		}
	case "two":
		choices = append(choices, Glob("out", "d/"+name+"*"))
	case "ledger":
		choices = append(choices, File(root, name+"l"))
	}
	return rapid.SampledFrom(choices).Draw(t, "made")
}

// world is a workspace on disk.
type world struct {
	dir  string
	m    *model
	jobs int
}

func (w *world) options() Options {
	return Options{
		Workspace: w.dir,
		Roots: map[string]Root{
			"src":     {Path: w.dir + "/src"},
			"out":     {Path: w.dir},
			"private": {Path: w.dir + "/private", Private: true},
		},
		PublicCache:  w.dir + "/.cache",
		PrivateCache: w.dir + "/private/cache",
		Code:         func([]string) (string, error) { return fmt.Sprint("code ", w.m.Code), nil },
		Jobs:         w.jobs,
	}
}

func (w *world) graph() (*Graph, error) { return New(w.options(), w.m.steps()) }

// snapshot returns the contents of all that steps may make, by path.
func (w *world) snapshot() (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := relative(w.dir, path)
		if d.IsDir() {
			if slices.Contains([]string{".cache", "private/cache", "src"}, rel) {
				return fs.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path)
		files[rel] = string(b)
		return err
	})
	return files, err
}

func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// edit changes something that a user, a disk or a colleague could change.
func (w *world) edit(t *rapid.T) {
	sources := []string{"0", "1a", "1b", "2", "d/x", "d/e/x", "d/e/y", "3z"}
	check := func(err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	some := func(dir string, keep func(rel string, d fs.DirEntry) bool) string {
		var paths []string
		check(filepath.WalkDir(filepath.Join(w.dir, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && keep(relative(w.dir, path), d) {
				paths = append(paths, path)
			}
			return err
		}))
		slices.Sort(paths)
		if len(paths) == 0 {
			return ""
		}
		return paths[rapid.IntRange(0, len(paths)-1).Draw(t, "path")]
	}
	file := func(_ string, d fs.DirEntry) bool { return d.Type().IsRegular() }
	output := func(rel string, d fs.DirEntry) bool {
		return rel != "." && rel != "private" && !strings.HasPrefix(rel, "src") && !strings.Contains(rel, "cache") && !strings.HasSuffix(rel, "l")
	}
	kind := rapid.SampledFrom([]string{"source", "source", "source", "new source", "remove source", "touch", "param", "code", "delete output", "delete output", "edit output", "forge output", "output to directory", "blob away", "blob damaged", "cut log", "flip log", "cache away", "ledger away", "sleep", "sleep", "step"}).Draw(t, "edit")
	switch kind {
	case "source", "new source":
		path := filepath.Join(w.dir, "src", rapid.SampledFrom(sources).Draw(t, "source"))
		text := fmt.Sprint(rapid.IntRange(0, 12).Draw(t, "text"))
		info, err := os.Stat(path)
		if err != nil && kind == "source" {
			return
		}
		check(writeFile(path, text))
		if info != nil && rapid.Bool().Draw(t, "old time") {
			check(os.Chtimes(path, info.ModTime(), info.ModTime()))
		}
	case "remove source":
		check(os.Remove(filepath.Join(w.dir, "src", rapid.SampledFrom(sources[2:]).Draw(t, "source"))))
	case "touch":
		if path := some("src", file); path != "" {
			check(os.Chtimes(path, time.Now(), time.Now()))
		}
	case "param":
		w.m.Steps[rapid.IntRange(0, len(w.m.Steps)-1).Draw(t, "of")].Param = rapid.IntRange(0, 2).Draw(t, "param")
	case "code":
		w.m.Code = rapid.IntRange(0, 2).Draw(t, "code")
	case "delete output":
		if path := some("", output); path != "" {
			check(os.RemoveAll(path))
		}
	case "edit output", "forge output":
		path := some("", func(rel string, d fs.DirEntry) bool { return output(rel, d) && d.Type().IsRegular() })
		if path == "" {
			return
		}
		info, err := os.Stat(path)
		check(err)
		b, err := os.ReadFile(path)
		check(err)
		if kind == "edit output" || len(b) == 0 {
			b = append(b, '!')
		} else {
			b[0] ^= 1
		}
		check(os.WriteFile(path, b, 0o644))
		check(os.Chtimes(path, info.ModTime(), info.ModTime()))
	case "output to directory":
		if path := some("", func(rel string, d fs.DirEntry) bool { return output(rel, d) && d.Type().IsRegular() }); path != "" {
			check(os.Remove(path))
			check(os.Mkdir(path, 0o755))
		}
	case "blob away", "blob damaged":
		path := some(rapid.SampledFrom([]string{".cache/blobs", "private/cache/blobs"}).Draw(t, "tier"), file)
		if path == "" {
			return
		}
		check(os.Chmod(path, 0o600))
		if kind == "blob away" {
			check(os.Remove(path))
			return
		}
		b, err := os.ReadFile(path)
		check(err)
		if len(b) > 0 {
			b[len(b)-1] ^= 1
		}
		check(os.WriteFile(path, b, 0o600))
	case "cut log", "flip log":
		path := filepath.Join(w.dir, rapid.SampledFrom([]string{".cache", "private/cache"}).Draw(t, "tier"), rapid.SampledFrom([]string{"records", "index"}).Draw(t, "log"))
		info, err := os.Stat(path)
		if err != nil {
			return
		}
		at := rapid.Int64Range(0, info.Size()).Draw(t, "at")
		if kind == "cut log" {
			check(os.Truncate(path, at))
			return
		}
		b, err := os.ReadFile(path)
		check(err)
		if at < int64(len(b)) {
			b[at] ^= 0x40
			check(os.WriteFile(path, b, 0o600))
		}
	case "cache away":
		check(os.RemoveAll(filepath.Join(w.dir, rapid.SampledFrom([]string{".cache", "private/cache"}).Draw(t, "tier"))))
	case "ledger away":
		if path := some("", func(rel string, d fs.DirEntry) bool {
			return !strings.Contains(rel, "cache") && !strings.HasPrefix(rel, "src") && strings.HasSuffix(rel, "l") && d.Type().IsRegular()
		}); path != "" {
			check(os.Remove(path))
		}
	case "sleep":
		time.Sleep(testGap + testGap/2)
	case "step":
		w.m.Steps = append(w.m.Steps, modelStep{Kind: "file", In: []Input{w.m.drawInput(t, len(w.m.Steps), true)}})
	}
}

// clean builds the same sources, ledgers and declarations in a new place.
func (w *world) clean(t *rapid.T, dir string) (map[string]string, *Summary) {
	c := &world{dir: dir, m: w.m, jobs: 2}
	if err := os.CopyFS(dir+"/src", os.DirFS(w.dir+"/src")); err != nil {
		t.Fatal(err)
	}
	for i, ms := range w.m.Steps {
		if ms.Kind != "ledger" {
			continue
		}
		rel := w.m.name(i) + "l"
		if ms.Private {
			rel = "private/" + rel
		}
		b, err := os.ReadFile(filepath.Join(w.dir, rel))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeFile(filepath.Join(dir, rel), string(b))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	g, err := c.graph()
	if err != nil {
		t.Fatal(err)
	}
	sum, err := g.Build(context.Background())
	var failed *Failed
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("clean build: %v", err)
	}
	files, err := c.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return files, sum
}

// why returns the reason of how a step ended.
func why(sum *Summary, name string) string {
	for _, r := range sum.Steps {
		if r.Name == name {
			return r.Reason
		}
	}
	return ""
}

func states(sum *Summary) map[string]State {
	m := map[string]State{}
	for _, r := range sum.Steps {
		m[r.Name] = r.State
	}
	return m
}

// memoryDir returns a directory that is quick to sync, where there is one: a
// case makes some dozen builds, and each of them syncs.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "build-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestIncrementalEqualsClean is the promise of the package: whatever has
// happened to sources, outputs, declarations and cache, a build leaves what a
// clean build makes; the next one does nothing; and a dry run before it says
// what it will do.
func TestIncrementalEqualsClean(t *testing.T) {
	base := memoryDir(t)
	cases := 0
	rapid.Check(t, func(t *rapid.T) {
		cases++
		dir := filepath.Join(base, fmt.Sprint(cases))
		defer os.RemoveAll(dir)
		w := &world{dir: dir + "/w", m: drawModel(t), jobs: rapid.IntRange(1, 3).Draw(t, "jobs")}
		for _, name := range []string{"0", "1a", "1b", "d/x", "d/e/x"} {
			if err := writeFile(filepath.Join(w.dir, "src", name), name); err != nil {
				t.Fatal(err)
			}
		}
		for round := range rapid.IntRange(1, 5).Draw(t, "rounds") {
			w.round(t, filepath.Join(dir, fmt.Sprint("clean", round)))
			for range rapid.IntRange(1, 3).Draw(t, "edits") {
				w.edit(t)
			}
		}
	})
}

func (w *world) round(t *rapid.T, cleanDir string) {
	g, err := w.graph()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	dry, err := g.DryRun(ctx)
	if err != nil {
		t.Fatalf("dry run: %v", err)
	}
	sum, err := g.Build(ctx)
	var failed *Failed
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("build: %v", err)
	}
	verdicts := map[string]Verdict{}
	certain := true // nothing upstream is stale
	for _, d := range dry.Steps {
		verdicts[d.Name] = d.Verdict
		certain = certain && d.Verdict != MayRun
	}
	for _, r := range sum.Steps {
		v, known := verdicts[r.Name]
		if !known {
			by, _, _ := strings.Cut(r.Name, ":")
			if !slices.Contains(dry.Unknown, by) {
				t.Errorf("step %s %s, and the dry run knew nothing of it", r.Name, r.State)
			}
			continue
		}
		ok := false
		switch r.State {
		case StateFresh:
			ok = v == Fresh || v == MayRun
		case StateRan:
			ok = v == WillRun || v == MayRun
		case StateRestored:
			ok = v == WillRestore || v == MayRun
		case StateFailed:
			ok = v == WillRun || v == MayRun || v == CannotRun
		case StateSkipped:
			ok = v == MayRun
		}
		if !ok {
			t.Errorf("step %s: dry run said %s, build %s (%s)", r.Name, v, r.State, r.Reason)
		}
	}
	w.upstream(t, g, dry)
	if certain && len(dry.Unknown) == 0 && sum.Ran+sum.Failed != dry.Count(WillRun)+dry.Count(CannotRun) {
		t.Errorf("nothing was uncertain, but the dry run said %s and the build did %s", dry.Summary(), sum)
	}
	got, err := w.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want, clean := w.clean(t, cleanDir)
	ends, cleanEnds := states(sum), states(clean)
	for name, state := range cleanEnds {
		if bad := state == StateFailed || state == StateSkipped; bad != (ends[name] == StateFailed || ends[name] == StateSkipped) {
			t.Errorf("step %s: %s, in a clean build %s; the reasons: %q, in a clean build %q", name, ends[name], state, why(sum, name), why(clean, name))
		}
	}
	for path, text := range want {
		if now, ok := got[path]; !ok || now != text {
			t.Errorf("%s holds %q, in a clean build %q", path, now, text)
		}
	}
	if len(ends) != len(cleanEnds) {
		t.Errorf("%d steps, in a clean build %d", len(ends), len(cleanEnds))
	}
	again, err := g.Build(ctx)
	if err != nil && !errors.As(err, &failed) {
		t.Fatalf("second build: %v", err)
	}
	if again.Ran+again.Restored > 0 || again.Fresh != sum.Fresh+sum.Ran+sum.Restored {
		b, err := json.Marshal(again.Steps)
		t.Errorf("second build did something: %s %s %v", again, b, err)
	}
	for _, dir := range []string{"", "private/"} {
		if left, err := filepath.Glob(filepath.Join(w.dir, dir+stagingDir+"*")); err != nil || len(left) > 0 {
			t.Errorf("staging is left in %q: %v, %v", dir, left, err)
		}
	}
	w.whatIf(t, g)
}

// upstream holds that a dry run is unsure of a step only where something that
// the step needs is not fresh: of all others it says just what happens.
func (w *world) upstream(t *rapid.T, g *Graph, dry *Report) {
	stale := map[string]bool{}
	for _, d := range dry.Steps {
		stale[d.Name] = d.Verdict != Fresh
	}
	for _, d := range dry.Steps {
		if d.Verdict == MayRun && !slices.ContainsFunc(d.needs, func(need string) bool { return stale[need] }) {
			t.Errorf("step %s may run (%s), but all that it needs is fresh: %s", d.Name, strings.Join(d.Reasons, "; "), d.needs)
		}
	}
}

// whatIf holds that IfChanged says what Status says once a file has changed,
// and that asking leaves nothing behind.
func (w *world) whatIf(t *rapid.T, g *Graph) {
	ctx := context.Background()
	verdicts := func(r *Report, err error) map[string]Verdict {
		if err != nil {
			t.Fatal(err)
		}
		m := map[string]Verdict{}
		for _, d := range r.Steps {
			m[d.Name] = d.Verdict
		}
		return m
	}
	path := filepath.Join(w.dir, "src", rapid.SampledFrom([]string{"0", "1a", "d/x"}).Draw(t, "if changed"))
	old, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	before := verdicts(g.Status(ctx))
	said := verdicts(g.IfChanged(ctx, path))
	if after := verdicts(g.Status(ctx)); !maps.Equal(before, after) {
		t.Errorf("asking what if changed the answer: %v, was %v", after, before)
	}
	if err := writeFile(path, "never seen before"); err != nil {
		t.Fatal(err)
	}
	if now := verdicts(g.Status(ctx)); !maps.Equal(said, now) {
		t.Errorf("if %s changed: %v, and when it has: %v", path, said, now)
	}
	if err := writeFile(path, string(old)); err != nil {
		t.Fatal(err)
	}
}

// TestManifestInjective holds that a manifest can be read back from its
// encoding, so that two manifests never share one.
func TestManifestInjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab:\x00\x01/ ")))
		pairs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) param {
			return param{text.Draw(t, "name"), text.Draw(t, "value")}
		}), 0, 3)
		sum := func() (s [32]byte) {
			s[0] = byte(rapid.IntRange(0, 3).Draw(t, "sum"))
			return s
		}
		entries := func(t *rapid.T) entryList {
			var es []entry
			for range rapid.IntRange(0, 3).Draw(t, "entries") {
				e := entry{kind: entryKind(rapid.IntRange(1, int(kindLast)).Draw(t, "kind")), ref: Ref{text.Draw(t, "root"), text.Draw(t, "path")}}
				switch e.kind {
				case kindFile, kindFileOutside, kindTree:
					e.size, e.sum = rapid.Int64Range(0, 1<<40).Draw(t, "size"), sum()
				case kindMeaning:
					e.meaning = text.Draw(t, "meaning")
				}
				es = append(es, e)
			}
			return listOf(es...)
		}
		m := &manifest{format: text.Draw(t, "format"), step: text.Draw(t, "step"), code: text.Draw(t, "code"), toolchain: text.Draw(t, "toolchain"),
			params: pairs.Draw(t, "params"), tools: pairs.Draw(t, "tools"), outputs: rapid.SliceOfN(text, 0, 3).Draw(t, "outputs"), ledgers: entries(t)}
		for range rapid.IntRange(0, 2).Draw(t, "env") {
			m.env = append(m.env, variable{text.Draw(t, "name"), rapid.Bool().Draw(t, "set"), sum()})
		}
		for range rapid.IntRange(0, 3).Draw(t, "groups") {
			kind := inputKind(rapid.IntRange(int(inFile), int(inOutputsOf)).Draw(t, "input"))
			m.inputs = append(m.inputs, group{Input{kind, text.Draw(t, "root"), text.Draw(t, "pattern"), text.Draw(t, "as")}, entries(t)})
		}
		b := m.encode().joined()
		back, err := decodeManifest(b)
		if err != nil {
			t.Fatalf("%+v does not decode: %v", m, err)
		}
		plain := func(m *manifest) string { // whatever pieces its lists are in
			lists := fmt.Sprintf("%+v", m.ledgers.entries())
			for _, g := range m.inputs {
				lists += fmt.Sprintf("%+v %+v", g.input, g.entries.entries())
			}
			rest := *m
			rest.inputs, rest.ledgers = nil, entryList{}
			return fmt.Sprintf("%+v %s", rest, lists)
		}
		if got := plain(back); got != plain(m) {
			t.Fatalf("encoded %s\ndecoded %s", plain(m), got)
		}
		// Damage is an error or another manifest, never a panic.
		b[rand.IntN(len(b))] ^= 1 << rand.IntN(8)
		if back, err = decodeManifest(b); err == nil && !bytes.Equal(back.encode().joined(), b) {
			t.Fatalf("two encodings of %+v", back)
		}
	})
}

// TestEntryLists holds lists that are written in pieces against sorted entries: what is
// found by many and in whatever order is one list.
func TestEntryLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.SampledFrom([]rune("ab/-")))
		var want []entry
		var all entryWriter
		for range rapid.IntRange(0, 4).Draw(t, "pieces") {
			var piece entryWriter
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				e := entry{kind: kindFile, ref: Ref{text.Draw(t, "root"), text.Draw(t, "path")}, size: int64(len(want))}
				want = append(want, e)
				piece.add(e)
			}
			all.append(&piece)
		}
		slices.SortStableFunc(want, func(a, b entry) int { return compareRefs(a.ref, b.ref) })
		got := all.list()
		if !slices.Equal(got.entries(), want) || got.count != len(want) {
			t.Fatalf("got  %+v\nwant %+v", got.entries(), want)
		}
		var bytes int64
		for _, e := range want {
			bytes += e.size
		}
		var once, pieces writer
		once.list(listOf(want...))
		if pieces.list(got); !slices.Equal(once.b, pieces.b) || got.bytes != bytes {
			t.Fatalf("written at once %q, in pieces %q, of %d bytes", once.b, pieces.b, bytes)
		}
	})
}
