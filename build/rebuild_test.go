package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// state is every file of a workspace with its contents and mode, but for what
// looking leaves: the index, and the times of the last use of blobs.
func (s *space) state() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(s.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), "index") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(name)
		files[name] = fmt.Sprintf("%s %s", info.Mode(), text)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return files
}

// rebuilds runs steps again, holds that nothing but that has happened, and
// compares what is said.
func (s *space) rebuilds(want string, goals ...string) *Rebuilt {
	s.t.Helper()
	before := s.state()
	done, err := s.graph().Rebuild(s.t.Context(), goals...)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.state()); diff != "" {
		s.t.Errorf("rebuilding changed files:\n%s", diff)
	}
	for _, dir := range []string{".cache", "private/cache"} {
		if _, err := os.Stat(filepath.Join(s.dir, dir, scratchDir)); err == nil {
			s.t.Errorf("the scratch directory of %s stayed", dir)
		}
	}
	var b strings.Builder
	if err := done.Write(&b); err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		s.t.Errorf("-want +got:\n%s", diff)
	}
	return done
}

// unsteady is a step that makes its outputs by calling write for each with its path and with how
// often the step has run before.
func (s *space) unsteady(name string, write func(run int, path string) error, outs ...Output) Step {
	var runs atomic.Int32
	return Step{
		Name:    name,
		Inputs:  []Input{File("work", "in")},
		Outputs: outs,
		Run: func(_ context.Context, t *Task) error {
			run := int(runs.Add(1)) - 1
			var err error
			for _, o := range outs {
				err = errors.Join(err, write(run, t.Out(o.Ref)))
			}
			return err
		},
	}
}

func writes(texts ...string) func(int, string) error {
	return func(run int, path string) error { return os.WriteFile(path, []byte(texts[run%len(texts)]), 0o644) }
}

func TestRebuildNamesTheFirstDifference(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	picture := func(run int, path string) error {
		img := image.NewGray(image.Rect(0, 0, 4, 3))
		img.SetGray(3, 1, color.Gray{uint8(run)})
		var b bytes.Buffer
		return errors.Join(png.Encode(&b, img), os.WriteFile(path, b.Bytes(), 0o644))
	}
	tree := func(run int, path string) error {
		return errors.Join(writes("same")(run, filepath.Join(path, "a")), writes("1", "2")(run, filepath.Join(path, "b.txt")))
	}
	grown := func(run int, path string) error {
		return writes("same")(run, filepath.Join(path, fmt.Sprint(run)))
	}
	executed := func(run int, path string) error { return os.WriteFile(path, nil, fs.FileMode(0o600|run<<6)) }
	s.steps = []Step{
		s.unsteady("bytes", writes("a\x00b", "a\x00c"), Out("work", "out/x.bin")),
		s.unsteady("exec", executed, Out("work", "out/run")),
		s.unsteady("grown", grown, OutTree("work", "out/grown")),
		s.unsteady("json", writes(`{"rows": [{"mean": 1}]}`, `{"rows": [{"mean": 2}]}`), Out("work", "out/x.json")),
		s.unsteady("picture", picture, Out("work", "out/x.png")),
		s.unsteady("private", writes(`{"age": 61}`, `{"age": 62}`), Out("private", "x.json")),
		s.unsteady("same", writes("same"), Out("work", "out/same"), Out("work", "out/same2")),
		s.unsteady("second", writes("same"), Out("work", "out/first"), Out("work", "out/second")),
		s.unsteady("text", writes("one\ntwo\n", "one\ntoo\n"), Out("work", "out/x.tex")),
		s.unsteady("tree", tree, OutTree("work", "out/tree")),
	}
	if _, err := s.build(); err != nil {
		t.Fatal(err, s.out.String())
	}
	done := s.rebuilds(`not deterministic: bytes makes another work:out/x.bin: byte 2: 0x62, now 0x63
not deterministic: exec makes another work:out/run: it may be executed or not
not deterministic: grown makes another work:out/grown/: 0 files changed, 1 added, 1 missing
not deterministic: json makes another work:out/x.json: $.rows[0].mean: 1, now 2
not deterministic: picture makes another work:out/x.png: pixel (3, 1): #000000, now #010101
not deterministic: private makes another private:x.json: $.age
not deterministic: text makes another work:out/x.tex: line 2, column 2: "wo", now "oo"
not deterministic: tree makes another work:out/tree/b.txt: line 1, column 1: "1", now "2"
10 steps rebuilt: 2 as recorded, 8 not, 0 failed
`)
	if n := done.Count(RebuiltOther); n != 8 {
		t.Errorf("%d are not deterministic", n)
	}
	s.rebuilds("1 step rebuilt: 1 as recorded, 0 not, 0 failed\n", "same")
	if _, err := s.graph().Rebuild(t.Context(), "none"); err == nil {
		t.Error("no step has that name, and that is no error")
	}
}

// A step runs on what is in place, not on what another one made just now: so the
// one that is not deterministic is named, and none of those behind it.
func TestRebuildNamesTheStepAndNotThoseBehindIt(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.steps = []Step{
		s.unsteady("first", writes("1", "2"), Out("work", "a")),
		{
			Name: "second", Inputs: []Input{File("work", "a")}, Outputs: []Output{Out("work", "b")},
			Run: func(_ context.Context, t *Task) error {
				text, err := os.ReadFile(t.Path(Ref{"work", "a"}))
				return errors.Join(err, os.WriteFile(t.Out(Ref{"work", "b"}), text, 0o644))
			},
		},
	}
	s.expect("ran first; ran second")
	s.rebuilds(`not deterministic: first makes another work:a: line 1, column 1: "1", now "2"
2 steps rebuilt: 1 as recorded, 1 not, 0 failed
`)
	s.rebuilds("1 step rebuilt: 1 as recorded, 0 not, 0 failed\n", "sec*")
}

func TestRebuildOfWhatIsStale(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	failing := false
	s.steps = []Step{
		s.unsteady("edited", writes("1"), Out("work", "edited")),
		s.unsteady("changing", writes("1", "2"), Out("work", "changing")),
		{
			Name: "reader", Inputs: []Input{File("work", "edited")}, Outputs: []Output{Out("work", "b")},
			Run: func(_ context.Context, t *Task) error {
				if failing {
					return errors.New("no more paper")
				}
				return os.WriteFile(t.Out(Ref{"work", "b"}), nil, 0o644)
			},
		},
	}
	s.rebuilds(`stale: changing: never built
stale: edited: never built
stale: reader: depends on edited
0 steps rebuilt: 0 as recorded, 0 not, 0 failed; 3 stale, which a build brings up to date
`)
	s.expect("ran changing; ran edited; ran reader")

	// What was recorded comes out of the cache where it is no longer in place.
	s.write("edited", "by hand")
	s.write("changing", "by hand")
	s.rebuilds(`not deterministic: changing makes another work:changing: line 1, column 1: "1", now "2"
stale: edited: output work:edited is not as it was made; rebuilt, it comes out as it was recorded
stale: reader: input work:edited changed
1 step rebuilt: 0 as recorded, 1 not, 0 failed; 2 stale, which a build brings up to date
`)
	if s.read("edited") != "by hand" {
		t.Error("what was edited is lost")
	}
	s.write("edited", "1")
	s.write("changing", "1")
	failing = true
	s.rebuilds(`failed: reader: no more paper
3 steps rebuilt: 2 as recorded, 0 not, 1 failed
`)
	s.write("in", "y")
	s.rebuilds(`stale: changing: input work:in changed
stale: edited: input work:in changed
stale: reader: depends on edited
0 steps rebuilt: 0 as recorded, 0 not, 0 failed; 3 stale, which a build brings up to date
`)
}

// A step with a ledger gets a copy of it.
func TestRebuildKeepsLedgers(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	ledger := Ref{"private", "ledger"}
	add, direct := "", false
	s.steps = []Step{{
		Name: "remember", Inputs: []Input{File("work", "in")}, Ledgers: []Ref{ledger},
		Run: func(_ context.Context, t *Task) error {
			if s.exists("private/ledger") && !t.RanBefore() {
				return errors.New("this is a first run to it")
			}
			path := t.Path(ledger)
			if direct {
				path = filepath.Join(s.dir, "private/ledger")
			}
			text, err := os.ReadFile(path)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			if len(text) == 0 || add != "" {
				text = append(text, "A1\n"+add...)
			}
			return os.WriteFile(path, text, 0o600)
		},
	}}
	s.expect("ran remember")
	s.rebuilds("1 step rebuilt: 1 as recorded, 0 not, 0 failed\n")
	add = "A2\n"
	s.rebuilds(`not deterministic: remember makes another private:ledger (a ledger): line 2, column 1
1 step rebuilt: 0 as recorded, 1 not, 0 failed
`)
	// One that goes to its ledger behind the engine's back has changed it.
	direct = true
	done, err := s.graph().Rebuild(t.Context())
	if err != nil || done.Count(RebuiltFailed) != 1 || !strings.Contains(done.Steps[0].Reason, "it must ask for the path") {
		t.Errorf("%+v, %v", done, err)
	}
}

func (s *space) exists(path string) bool {
	_, err := os.Stat(filepath.Join(s.dir, path))
	return err == nil
}

// Bytes that mean the same are the same; what the kinds are is for the options to
// say, as is how files of them are compared.
func TestRebuildComparesMeanings(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.opt.Digests = map[string]func(context.Context, string) (string, error){
		"letters": func(_ context.Context, path string) (string, error) {
			text, err := os.ReadFile(path)
			return strings.Trim(string(text), "0123456789"), err
		},
	}
	s.opt.Compare = func(_ context.Context, ref Ref, was, now string) (*Difference, error) {
		if strings.HasSuffix(ref.Path, "unseen") {
			return nil, nil
		}
		a, errA := os.ReadFile(was)
		b, errB := os.ReadFile(now)
		return &Difference{Where: "letters of " + ref.Path, Was: string(a), Now: string(b)}, errors.Join(errA, errB)
	}
	s.opt.Redact = func(text string) string { return strings.ReplaceAll(text, "secret", "[redacted]") }
	s.steps = []Step{
		s.unsteady("other", writes("a1", "secret2"), Out("work", "other").As("letters")),
		s.unsteady("same", writes("a1", "a2"), Out("work", "same").As("letters")),
		s.unsteady("unseen", writes("1", "2"), Out("work", "unseen")),
	}
	s.expect("ran other; ran same; ran unseen")
	s.rebuilds(`not deterministic: other makes another work:other: letters of other: a1, now [redacted]2
not deterministic: unseen makes another work:unseen: its contents have another digest, in a way that the comparison does not see
3 steps rebuilt: 1 as recorded, 2 not, 0 failed
`)
}

// A build that runs meanwhile would change what the steps read.
func TestRebuildWaitsForBuilds(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.opt.NoWait = true
	var inner error
	s.steps = []Step{s.unsteady("a", func(run int, path string) error {
		if run == 0 {
			_, inner = s.graph().Rebuild(context.Background())
		}
		return writes("1")(run, path)
	}, Out("work", "a"))}
	s.expect("ran a")
	if inner == nil || !strings.Contains(inner.Error(), "another build is running here") {
		t.Errorf("while a build ran: %v", inner)
	}
	s.rebuilds("1 step rebuilt: 1 as recorded, 0 not, 0 failed\n")
}

// What a killed Rebuild left behind is removed by the next writer.
func TestScratchIsRemovedByBuilds(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.write(".cache/scratch/a/0/a", "left")
	s.steps = []Step{s.unsteady("a", writes("1"), Out("work", "a"))}
	s.expect("ran a")
	if s.exists(".cache/scratch") {
		t.Error("the scratch directory stayed")
	}
	s.write(".cache/scratch/a/0/a", "left")
	if done, err := s.graph().Rebuild(t.Context()); err != nil || done.Count(RebuiltSame) != 1 || s.exists(".cache/scratch") {
		t.Errorf("%+v, %v", done, err)
	}
}

func TestRebuildIsStopped(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	ctx, cancel := context.WithCancel(t.Context())
	s.steps = []Step{s.unsteady("a", func(run int, path string) error {
		if run == 1 {
			cancel()
		}
		return writes("1")(run, path)
	}, Out("work", "a"))}
	s.expect("ran a")
	before := s.state()
	if done, err := s.graph().Rebuild(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%+v, %v", done, err)
	}
	if diff := cmp.Diff(before, s.state()); diff != "" {
		t.Error(diff)
	}
}

// Steps that grew and steps that are commands run again like others.
func TestRebuildOfMapsAndCommands(t *testing.T) {
	s := newSpace(t)
	s.write("in/a", "1")
	s.write("in/b", "2")
	s.steps = []Step{
		Map("copy", Glob("work", "in/*"), func(file Ref) Step {
			return Step{Inputs: []Input{File(file.Root, file.Path)}, Outputs: []Output{Out("work", "out/"+filepath.Base(file.Path))}, Command: []string{"cp", "{in}", "{out}"}}
		}),
		{Name: "drawn", Inputs: []Input{OutputsOf("copy:*")}, Outputs: []Output{Out("work", "lots")}, Command: []string{"sh", "-c", "od -An -tx8 -N8 /dev/urandom"}, Stdout: "{out}"},
	}
	s.expect("ran copy:a; ran copy:b; ran drawn")
	before := s.read("lots")
	done, err := s.graph().Rebuild(t.Context())
	if err != nil || len(done.Steps) != 3 || done.Count(RebuiltSame) != 2 || done.Steps[2].Found == nil {
		t.Errorf("%+v, %v", done, err)
	}
	if s.read("lots") != before {
		t.Error("the output was replaced")
	}
}

func TestCached(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.steps = []Step{s.unsteady("a", writes("text"), Out("work", "a"))}
	s.expect("ran a")
	e, err := s.graph().Explain(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	digest := e.Steps[0].Makes[0].Digest
	s.remove("a")
	if found, err := s.graph().Cached(digest, filepath.Join(s.dir, "back")); !found || err != nil || s.read("back") != "text" {
		t.Errorf("%v, %v", found, err)
	}
	if found, err := s.graph().Cached(strings.Repeat("0", 64), filepath.Join(s.dir, "none")); found || err != nil || s.exists("none") {
		t.Errorf("of what is not there: %v, %v", found, err)
	}
	if _, err := s.graph().Cached("text", filepath.Join(s.dir, "none")); err == nil {
		t.Error("what is no digest is no error")
	}
}
