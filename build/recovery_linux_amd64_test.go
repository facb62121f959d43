package build

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/foundation-plr/pipeline/internal/racetest"
)

// long is the variable that asks for the long run, as bench/crash does: its
// value is how many random cases to try, and with any every call is swept.
const long = "PLR_LONG"

// shortCases are enough to notice gross damage, in the time that all tests share.
const shortCases = 25

func cases(t *testing.T) int {
	text := os.Getenv(long)
	if text == "" {
		return shortCases
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s is %q: it must be a number above zero", long, text)
	}
	return n
}

// modelFile says which pipeline a child builds, in a file beside the workspace.
const modelFile = "model.json"

type savedStep struct {
	Step modelStep
	In   [][4]string
}

type savedModel struct {
	Steps []savedStep
	Code  int
	Jobs  int
}

func (w *world) save() error {
	saved := savedModel{Code: w.m.Code, Jobs: w.jobs}
	for _, ms := range w.m.Steps {
		s := savedStep{Step: ms}
		s.Step.In = nil
		for _, in := range ms.In {
			s.In = append(s.In, [4]string{strconv.Itoa(int(in.kind)), in.root, in.pattern, in.as})
		}
		saved.Steps = append(saved.Steps, s)
	}
	b, err := json.Marshal(saved)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(w.dir), modelFile), b, 0o600)
}

func loadWorld(dir string) (*world, error) {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), modelFile))
	if err != nil {
		return nil, err
	}
	var saved savedModel
	if err := json.Unmarshal(b, &saved); err != nil {
		return nil, err
	}
	w := &world{dir: dir, m: &model{Code: saved.Code}, jobs: saved.Jobs}
	for _, s := range saved.Steps {
		for _, in := range s.In {
			kind, err := strconv.Atoi(in[0])
			if err != nil {
				return nil, err
			}
			s.Step.In = append(s.Step.In, Input{inputKind(kind), in[1], in[2], in[3]})
		}
		w.m.Steps = append(w.m.Steps, s.Step)
	}
	return w, nil
}

// Exit codes of a child beside 0, done, and 1, failed.
const (
	exitTwice  = 7 // a step ran twice in one build
	exitBroken = 8 // the test itself is wrong
)

// What a child does, and where.
const (
	childDir = "BUILD_TEST_DIR"
	childDo  = "BUILD_TEST_DO"
)

// doings are what a child may do beside building.
var doings = map[string]func(ctx context.Context, g *Graph, pack string) error{
	"clean": func(ctx context.Context, g *Graph, _ string) error { _, err := g.Clean(ctx); return err },
	"gc": func(ctx context.Context, g *Graph, _ string) error {
		_, err := g.CacheGC(ctx, CacheLimit{MaxSize: 1})
		return err
	},
	"rebuild": func(ctx context.Context, g *Graph, _ string) error { _, err := g.Rebuild(ctx); return err },
	"verify":  func(ctx context.Context, g *Graph, _ string) error { _, err := g.CacheVerify(ctx); return err },
	"clear":   func(ctx context.Context, g *Graph, _ string) error { _, err := g.CacheClear(ctx, true); return err },
	"export":  func(ctx context.Context, g *Graph, pack string) error { _, err := g.CacheExport(ctx, pack); return err },
	"import": func(ctx context.Context, g *Graph, pack string) error {
		_, err := g.CacheImport(ctx, pack, CacheImport{})
		return err
	},
}

func init() {
	children["faulty"] = func() int {
		err := obeyFaults()
		if err == nil {
			var w *world
			if w, err = loadWorld(os.Getenv(childDir)); err == nil {
				return w.doOnce(os.Getenv(childDo))
			}
		}
		fmt.Fprintln(os.Stderr, err)
		return exitBroken
	}
}

// packFile is where caches are exported to.
func (w *world) packFile() string { return filepath.Join(w.dir, "pack", "cache.tar.zst") }

// doOnce is a build in which no step may run twice, or something else.
func (w *world) doOnce(what string) int {
	var mu sync.Mutex
	ran, code := map[string]bool{}, 0
	var watch func(steps []Step) []Step
	watch = func(steps []Step) []Step {
		for i := range steps {
			name, run, grow := steps[i].Name, steps[i].Run, steps[i].Grow
			steps[i].Run = func(ctx context.Context, t *Task) error {
				mu.Lock()
				defer mu.Unlock()
				if ran[name] {
					fmt.Fprintf(os.Stderr, "step %s runs twice in one build\n", name)
					code = exitTwice
				}
				ran[name] = true
				return run(ctx, t)
			}
			if grow != nil {
				steps[i].Grow = func(ctx context.Context, t *Task) ([]Step, error) {
					grown, err := grow(ctx, t)
					return watch(grown), err
				}
			}
		}
		return steps
	}
	g, err := New(w.options(), watch(w.m.steps()))
	if err == nil {
		ctx, stop := Context(context.Background())
		defer stop()
		if do := doings[what]; do != nil {
			err = do(ctx, g, w.packFile())
		} else {
			_, err = g.Build(ctx)
		}
	}
	if code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

// mortal is a workspace that faults befall.
type mortal struct {
	*world
	disk *disk  // what a power cut would leave; nil: all
	do   string // of doings; "": build
}

// suffer builds in a child that a fault befalls, and judges how it ended.
func (w *mortal) suffer(t interface {
	Fatalf(string, ...any)
	Errorf(string, ...any)
}, tb testing.TB, f fault, r *rand.Rand) outcome {
	if err := w.save(); err != nil {
		t.Fatalf("%v", err)
	}
	if w.disk == nil {
		w.disk = readDisk(tb, w.dir)
	}
	out := runFaulty(tb, w.dir, []string{testChild + "=faulty", childDir + "=" + w.dir, childDo + "=" + w.do}, f, w.disk)
	switch {
	case out.killed && f.kind == "power":
		w.disk.cut(tb, r)
		w.disk.deceive(tb, w.options())
		w.disk = nil
	case out.killed:
	case signals[f.kind] != 0 && out.code <= 1:
		for _, dir := range []string{"", "private/"} {
			if left, err := filepath.Glob(filepath.Join(w.dir, dir+stagingDir+"*")); err != nil || len(left) > 0 {
				t.Errorf("%s (%s): staging is left: %v, %v\n%s", f, out.hit, left, err, out.said)
			}
		}
	case out.code == 0 && (out.hit == "" || w.do != "") || out.code == 1:
	case out.code == 0:
		// It says that all is well, so all must be, in spite of the error.
		g, err := w.graph()
		if err == nil {
			var rep *Report
			if rep, err = g.Status(context.Background()); err == nil && !rep.Fresh() {
				var b strings.Builder
				err = errors.Join(rep.Write(&b), errors.New(b.String()))
			}
		}
		if err != nil {
			t.Errorf("%s (%s): the build says that it is done, but %v\n%s", f, out.hit, err, out.said)
		}
	default:
		t.Fatalf("%s (%s): exit code %d\n%s", f, out.hit, out.code, out.said)
	}
	return out
}

func needInjection(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts and kills processes for some seconds")
	}
	if why := canInject(); why != "" {
		t.Skip("no faults can be injected here: ", why)
	}
}

// TestRecovery is the promise of the package after crashes: random pipelines
// are edited and built by processes that are killed at random instants, lose
// their power, are refused a write, a sync or a rename, or are told to stop.
// Whatever is left, the next build makes what a clean build makes.
func TestRecovery(t *testing.T) {
	needInjection(t)
	flag.Set("rapid.checks", strconv.Itoa(cases(t)))
	defer flag.Set("rapid.checks", flag.Lookup("rapid.checks").DefValue)
	base := memoryDir(t)
	count, kinds, hits := 0, map[string]int{}, 0
	rapid.Check(t, func(rt *rapid.T) {
		count++
		dir := filepath.Join(base, fmt.Sprint(count))
		defer removeAll(dir)
		w := &mortal{world: &world{dir: dir + "/w", m: drawModel(rt), jobs: rapid.IntRange(1, 3).Draw(rt, "jobs")}}
		for _, name := range []string{"0", "1a", "1b", "d/x", "d/e/x"} {
			if err := writeFile(filepath.Join(w.dir, "src", name), name); err != nil {
				rt.Fatal(err)
			}
		}
		calls := 100 // of a build, learned as we go
		for round := range rapid.IntRange(1, 3).Draw(rt, "rounds") {
			for range rapid.IntRange(1, 4).Draw(rt, "crashes") {
				f := fault{kind: rapid.SampledFrom([]string{"none", "none", "error", "full", "kill", "kill", "power", "power", "power", "timer", "SIGTERM"}).Draw(rt, "fault")}
				f.at = 1 + int(rapid.Float64Range(0, 1).Draw(rt, "when")*float64(calls))
				f.after = time.Duration(rapid.IntRange(0, 60).Draw(rt, "after")) * time.Millisecond
				r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "torn"), 0))
				out := w.suffer(rt, t, f, r)
				kinds[f.kind]++
				if out.hit != "" || out.killed {
					hits++
				} else {
					calls = max(20, out.calls)
				}
				if rapid.Bool().Draw(rt, "edited") {
					w.edit(rt)
				}
			}
			w.round(rt, filepath.Join(dir, fmt.Sprint("clean", round)))
			w.disk = nil // as good as synced
			w.edit(rt)
		}
	})
	if hits == 0 {
		t.Error("no fault struck")
	}
	t.Logf("%d cases, %d faults struck, of %v; %d files are not what the index of digests believes", count, hits, kinds, deceived)
}

// everyKind is a pipeline of every kind of step, with sources.
func everyKind(t *testing.T, dir string) *mortal {
	w := &mortal{world: &world{dir: dir + "/w", jobs: 1, m: &model{Steps: []modelStep{
		{Kind: "tree", In: []Input{Glob("src", "**")}},
		{Kind: "grow", In: []Input{Glob("out", "s0t/**")}},
		{Kind: "ledger", In: []Input{Glob("src", "*")}, Private: true},
		{Kind: "two", In: []Input{OutputsOf("s1:*"), File("private", "s2l")}},
	}}}}
	for _, name := range []string{"0", "1a", "d/x"} {
		if err := writeFile(filepath.Join(w.dir, "src", name), name); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// sweep does the same again and again with a fault at the first call, at the
// second, and so on up to the last, and checks what is left. It returns how many
// faults of which kind struck which calls.
func sweep(t *testing.T, kinds []string, prepare func(dir string) *mortal, check func(w *mortal)) (count int, struck map[string]int) {
	base := memoryDir(t)
	dry := prepare(filepath.Join(base, "dry"))
	all := dry.suffer(t, t, fault{kind: "none"}, nil)
	if all.code != 0 || all.calls < 10 {
		t.Fatalf("without a fault: code %d after %d calls\n%s", all.code, all.calls, all.said)
	}
	step := 1
	if os.Getenv(long) == "" {
		step = 37 // no divisor of how many calls a step makes, so that all kinds are hit
	}
	struck = map[string]int{}
	for k, kind := range kinds {
		for at := 1; at <= all.calls; at++ {
			// On these rests what a crash leaves.
			vital := strings.HasPrefix(all.ops[at-1], "sync") || all.ops[at-1] == "rename" && at%len(kinds) == k
			if at%step != k%step && !vital {
				continue
			}
			count++
			dir := filepath.Join(base, fmt.Sprint(count))
			w := prepare(dir)
			out := w.suffer(t, t, fault{kind: kind, at: at}, rand.New(rand.NewPCG(uint64(count), 1)))
			if op, _, hit := strings.Cut(out.hit, " "); hit {
				struck[kind+" "+op]++
			}
			check(w)
			w.compareCrash(t, filepath.Join(dir, "clean"))
			if t.Failed() {
				t.Fatalf("%s at call %d (%s): %s", kind, at, out.hit, out.said)
			}
			if err := removeAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}
	return count, struck
}

// TestEveryCall builds a pipeline with a fault at every call that changes a file
// system, from nothing and over an older build.
func TestEveryCall(t *testing.T) {
	racetest.Skip(t, "TestRecovery builds with the same faults and with more steps at once with it")
	needInjection(t)
	kinds := []string{"error", "full", "kill", "power", "SIGINT", "SIGTERM", "SIGHUP"}
	for name, older := range map[string]bool{"first build": false, "second build": true} {
		t.Run(name, func(t *testing.T) {
			count, struck := sweep(t, kinds, func(dir string) *mortal {
				w := everyKind(t, dir)
				if older {
					w.suffer(t, t, fault{kind: "none"}, nil)
					if err := writeFile(filepath.Join(w.dir, "src/0"), "edited"); err != nil {
						t.Fatal(err)
					}
				}
				return w
			}, func(*mortal) {})
			for _, hit := range []string{"kill rename", "kill sync", "error rename", "error sync", "power rename", "power sync", "SIGINT sync", "SIGTERM sync", "SIGHUP sync"} {
				if struck[hit] == 0 {
					t.Errorf("no %s", hit)
				}
			}
			t.Logf("%d cases: %v", count, struck)
		})
	}
}

// TestEveryCallOfTheCache does the same to what else changes the cache and the
// outputs.
func TestEveryCallOfTheCache(t *testing.T) {
	needInjection(t)
	for do := range doings {
		t.Run(do, func(t *testing.T) {
			count, struck := sweep(t, []string{"error", "full", "kill", "power"}, func(dir string) *mortal {
				w := everyKind(t, dir)
				for i := range 2 {
					if err := writeFile(filepath.Join(w.dir, "src/0"), fmt.Sprint("edited", i)); err != nil {
						t.Fatal(err)
					}
					w.suffer(t, t, fault{kind: "none"}, nil)
				}
				if err := os.Mkdir(filepath.Dir(w.packFile()), 0o755); err != nil {
					t.Fatal(err)
				}
				if do == "import" {
					w.do = "export"
					w.suffer(t, t, fault{kind: "none"}, nil)
					w.do = "clear"
					w.suffer(t, t, fault{kind: "none"}, nil)
				}
				w.do = do
				return w
			}, func(w *mortal) {
				// A pack is whole or not there.
				if _, err := os.Stat(w.packFile()); err == nil {
					g, err := w.graph()
					if err == nil {
						_, err = g.CacheImport(t.Context(), w.packFile(), CacheImport{})
					}
					if err != nil {
						t.Errorf("what was exported: %v", err)
					}
				}
				if err := os.RemoveAll(filepath.Dir(w.packFile())); err != nil {
					t.Fatal(err)
				}
			})
			t.Logf("%d cases: %v", count, struck)
		})
	}
}
