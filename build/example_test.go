package build_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/foundation-plr/pipeline/build"
)

// project makes a directory with some files, as a project would be.
func project(files map[string]string) (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "project-")
	if err != nil {
		log.Fatal(err)
	}
	for name, text := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			log.Fatal(err)
		}
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// show builds and prints what was done.
func show(dir string, steps ...build.Step) {
	o, err := build.Workspace(dir)
	if err != nil {
		log.Fatal(err)
	}
	o.Stdout = nil // without times, for the example
	g, err := build.New(o, steps)
	if err != nil {
		log.Fatal(err)
	}
	sum, err := g.Build(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range sum.Steps {
		fmt.Println(s.State, s.Name)
	}
}

// A step with a Go function: it reads and writes at the places that the task
// names.
func Example() {
	dir, remove := project(map[string]string{"data/words.txt": "b\na\n"})
	defer remove()

	words, count := build.Ref{Root: build.Work, Path: "data/words.txt"}, build.Ref{Root: build.Work, Path: "count.txt"}
	step := build.Step{
		Name:    "count",
		Inputs:  []build.Input{build.File(words.Root, words.Path)},
		Outputs: []build.Output{build.Out(count.Root, count.Path)},
		Run: func(_ context.Context, t *build.Task) error {
			text, err := os.ReadFile(t.Path(words))
			if err != nil {
				return err
			}
			return os.WriteFile(t.Out(count), fmt.Appendln(nil, bytes.Count(text, []byte("\n"))), 0o644)
		},
	}
	show(dir, step)
	show(dir, step)
	// Output:
	// ran count
	// fresh count
}

// A step that runs a program. What it prints becomes the output.
func ExampleStep_command() {
	dir, remove := project(map[string]string{"data/words.txt": "b\na\n"})
	defer remove()

	show(dir, build.Step{
		Name:    "sort",
		Inputs:  []build.Input{build.File(build.Work, "data/words.txt")},
		Outputs: []build.Output{build.Out(build.Work, "sorted.txt")},
		Command: []string{"sort", "{in}"},
		Stdout:  "{out}",
	})
	text, err := os.ReadFile(filepath.Join(dir, "sorted.txt"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	// Output:
	// ran sort
	// a
	// b
}

// One step for each file of a directory, and one for all that they make.
func ExampleMap() {
	dir, remove := project(map[string]string{"data/a.txt": "1\n", "data/b.txt": "2\n"})
	defer remove()

	show(dir,
		build.Map("copy", build.Glob(build.Work, "data/*.txt"), func(file build.Ref) build.Step {
			return build.Step{
				Inputs:  []build.Input{build.File(file.Root, file.Path)},
				Outputs: []build.Output{build.Out(build.Work, "out/"+strings.TrimPrefix(file.Path, "data/"))},
				Command: []string{"cp", "{in}", "{out}"},
			}
		}),
		build.Step{
			Name:    "all",
			Inputs:  []build.Input{build.OutputsOf("copy:*")},
			Outputs: []build.Output{build.Out(build.Work, "all.txt")},
			Command: []string{"cat", "{in}"},
			Stdout:  "{out}",
		})
	// Output:
	// ran all
	// fresh copy
	// ran copy:a.txt
	// ran copy:b.txt
}

// Status says what a build would do, and why, and does nothing.
func ExampleGraph_Status() {
	dir, remove := project(map[string]string{"in": "x"})
	defer remove()
	o, err := build.Workspace(dir)
	if err != nil {
		log.Fatal(err)
	}
	g, err := build.New(o, []build.Step{{
		Name:    "copy",
		Inputs:  []build.Input{build.File(build.Work, "in")},
		Outputs: []build.Output{build.Out(build.Work, "out")},
		Command: []string{"cp", "{in}", "{out}"},
	}})
	if err != nil {
		log.Fatal(err)
	}
	report, err := g.Status(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	if err := report.Write(os.Stdout); err != nil {
		log.Fatal(err)
	}
	// Output:
	// will run     copy: never built
	// 0 fresh, 1 will run
}
