package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foundation-plr/pipeline/internal/store"
)

// sizeStep writes an output of so many KiB of the digit in a file.
func sizeStep(name string, kib int) Step {
	return Step{Name: name, Inputs: []Input{File("work", "digit")}, Outputs: []Output{Out("work", name)}, Params: map[string]any{"kib": kib},
		Run: func(_ context.Context, t *Task) error {
			digit, err := os.ReadFile(t.Path(Ref{"work", "digit"}))
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(Ref{"work", name}), []byte(strings.Repeat(string(digit[:1]), kib<<10)), 0o644)
		}}
}

// get is a value that can be had.
func get[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A directory whose name a file has fails the step that writes below it.
func TestOutputBelowAFile(t *testing.T) {
	s := newSpace(t)
	s.write("digit", "1")
	s.write("out", "a file")
	s.steps = []Step{copyStep("a", "digit", "out/a"), copyStep("b", "digit", "b")}
	s.fails("failed a; ran b", "not a directory")
	if s.read("out") != "a file" {
		t.Error("the file is gone")
	}
	s.remove("out")
	s.expect("ran a")
}

// The cache may be on another file system than the outputs, by its path or by a
// link: outputs are copied back, and edited ones are kept.
func TestCacheOnAnotherDisk(t *testing.T) {
	other := memoryDir(t)
	s := newSpace(t)
	if get(os.Stat(other)).Sys().(*syscall.Stat_t).Dev == get(os.Stat(s.dir)).Sys().(*syscall.Stat_t).Dev {
		t.Skip("there is one file system only")
	}
	for name, prepare := range map[string]func(cache string) error{
		"path": func(cache string) error { s.opt.PublicCache = cache; return nil },
		"link": func(cache string) error {
			s.opt.PublicCache = filepath.Join(s.dir, ".cache")
			return errors.Join(os.RemoveAll(s.opt.PublicCache), os.Mkdir(cache, 0o755), os.Symlink(cache, s.opt.PublicCache))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s.remove("a")
			if err := prepare(filepath.Join(other, name)); err != nil {
				t.Fatal(err)
			}
			s.opt.PrivateCache = filepath.Join(other, name+"-private")
			s.write("digit", "1")
			s.steps = []Step{sizeStep("a", 1), {Name: "t", Inputs: []Input{File("work", "digit")}, Outputs: []Output{OutTree("private", "t")}, Run: func(_ context.Context, t *Task) error {
				return os.WriteFile(filepath.Join(t.Out(Ref{"private", "t"}), "x"), []byte("x"), 0o600)
			}}}
			if got, err := s.build(); err != nil || !strings.HasPrefix(got, "ran a") {
				t.Fatal(got, err)
			}
			s.remove("a")
			s.expect("restored a")
			s.write("a", "edited")
			s.expect("restored a")
			kept := get(filepath.Glob(filepath.Join(other, name+"*", "rescued", "*-a")))
			if len(kept) != 1 || string(get(os.ReadFile(kept[0]))) != "edited" {
				t.Errorf("the edited output is kept as %v", kept)
			}
			s.expect("")
		})
	}
}

// What was a file and is a directory now, or the other way round, is told by
// its name; and nothing else suffers.
func TestFileBecomesDirectory(t *testing.T) {
	s := newSpace(t)
	s.write("in", "x")
	s.write("dir/a", "y")
	glob := Step{Name: "g", Inputs: []Input{Glob("work", "dir/*")}, Outputs: []Output{Out("work", "g")}, Run: concat}
	s.steps = []Step{copyStep("a", "in", "a"), glob}
	s.expect("ran a; ran g")
	s.remove("in")
	s.write("in/file", "x")
	s.fails("failed a", "input work:in: it is a directory")
	s.remove("in")
	s.write("in", "x")
	s.remove("dir")
	s.write("dir", "now a file")
	// The pattern matches nothing any more.
	s.expect("ran g")
	// An output that somebody has made a directory is kept aside.
	s.remove("a")
	s.write("a/notes", "mine")
	s.expect("restored a")
	if kept := get(filepath.Glob(filepath.Join(s.dir, "private/cache/rescued/other-a/notes"))); len(kept) != 1 {
		if kept = get(filepath.Glob(filepath.Join(s.dir, ".cache/rescued/other-a/notes"))); len(kept) != 1 {
			t.Error("what was in the place of the output is gone")
		}
	}
}

// A loop of links ends in an error about the input that leads into it. Patterns
// do not follow it.
func TestSymlinkLoop(t *testing.T) {
	s := newSpace(t)
	s.write("src/a", "x")
	link := func(to, name string) {
		if err := os.Symlink(to, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("two", "one")
	link("one", "two")
	s.steps = []Step{copyStep("a", "one", "a"), copyStep("b", "src/a", "b")}
	s.fails("failed a; ran b", "input work:one: too many levels of symbolic links")
	link("..", "src/up")
	link("up", "src/again")
	s.steps = []Step{{Name: "all", Inputs: []Input{Glob("work", "src/**")}, Outputs: []Output{Out("work", "all")}, Run: concat}}
	s.expect("ran all") // and that it ends
	s.expect("")
}

// Clocks decide nothing: neither one that was set back between builds, nor files
// from the future or the past.
func TestClocks(t *testing.T) {
	s := newSpace(t)
	now := time.Date(2040, 1, 1, 0, 0, 0, 0, time.UTC)
	s.opt.Now = func() time.Time { return now }
	s.write("in", "one")
	s.steps = []Step{copyStep("a", "in", "a"), copyStep("b", "a", "b")}
	s.expect("ran a; ran b")
	now = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
	s.expect("")
	for i, at := range []time.Time{time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), time.Now()} {
		was := s.read("a")
		text := fmt.Sprintf("%03d", i) // of one size
		s.write("in", text)
		if err := os.Chtimes(filepath.Join(s.dir, "in"), at, at); err != nil {
			t.Fatal(err)
		}
		s.expect("ran a; ran b")
		if s.read("b") != text || was == text {
			t.Errorf("with a file of %s: b holds %q", at, s.read("b"))
		}
		// Old or new by its time stamp, an output is judged by what it holds.
		if err := os.Chtimes(filepath.Join(s.dir, "a"), at, at); err != nil {
			t.Fatal(err)
		}
		s.expect("")
	}
	runs := get(os.ReadDir(filepath.Join(s.dir, ".cache/runs")))
	if len(runs) < 5 {
		t.Errorf("%d builds are in the history", len(runs))
	}
}

// An input that is written to all the time is not hashed to something that it
// never was: the step fails, or it runs on one state and says so if that moved.
func TestInputIsEditedWhileHashed(t *testing.T) {
	s := newSpace(t)
	path := filepath.Join(s.dir, "in")
	fill := func(digit byte) {
		if err := os.WriteFile(path, []byte(strings.Repeat(string(digit), 4<<20)), 0o644); err != nil {
			t.Error(err)
		}
	}
	fill('0')
	s.steps = []Step{copyStep("a", "in", "a")}
	stop := make(chan bool)
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				fill(byte('1' + i%9))
			}
		}
	})
	failed := 0
	for range 8 {
		did, err := s.build()
		if err == nil {
			continue
		}
		failed++
		if text := s.out.String(); did != "failed a" || !strings.Contains(text, store.ErrMoved.Error()) && !strings.Contains(text, "tainted") {
			t.Errorf("%s: %v\n%s", did, err, text)
		}
	}
	close(stop)
	writer.Wait()
	if failed == 0 {
		t.Error("that the input moved was never noticed")
	}
	fill('x')
	s.expect("ran a")
	if got := s.read("a"); got != strings.Repeat("x", 4<<20) {
		t.Errorf("a is %d bytes that begin with %.9q", len(got), got)
	}
}
