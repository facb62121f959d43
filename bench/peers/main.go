// Peers builds the graph of a pipeline.json with this module's engine, so that
// the engine can be measured beside others on the same graph. See README.md.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/foundation-plr/pipeline/build"
)

// pipeline is the neutral description: steps in the order of their dependencies,
// each with one output.
type pipeline struct {
	Steps []struct {
		ID     string   `json:"id"`
		Inputs []string `json:"inputs"`
		Output string   `json:"output"`
		Argv   []string `json:"argv"`
	} `json:"steps"`
}

// gcPercent lets the heap grow to 16 MB before it is collected for the first
// time: a build of some hundred steps in which nothing changed needs half of
// that and is over in milliseconds, of which collecting would take a seventh.
// collectFrom is from how many steps on memory counts for more.
const (
	gcPercent   = 400
	collectFrom = 5000
)

func main() {
	debug.SetGCPercent(gcPercent)
	jobs := flag.Int("j", 1, "steps that run at once")
	verbose := flag.Bool("v", false, "a line for each step that did something")
	flag.Parse()
	ctx, stop := build.Context(context.Background())
	defer stop()
	if err := run(ctx, *jobs, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, jobs int, verbose bool) error {
	o, err := build.Workspace("")
	if err != nil {
		return err
	}
	o.Jobs = jobs
	if !verbose {
		o.Stdout = nil
	}
	text, err := os.ReadFile(filepath.Join(o.Workspace, "pipeline.json"))
	if err != nil {
		return err
	}
	var p pipeline
	if err := json.Unmarshal(text, &p); err != nil {
		return fmt.Errorf("pipeline.json: %w", err)
	}
	if len(p.Steps) >= collectFrom {
		debug.SetGCPercent(100)
	}
	steps := make([]build.Step, len(p.Steps))
	for i, s := range p.Steps {
		step := build.Step{Name: s.ID, Outputs: []build.Output{build.Out(build.Work, s.Output)}}
		for _, in := range s.Inputs {
			step.Inputs = append(step.Inputs, build.File(build.Work, in))
		}
		for _, arg := range s.Argv {
			if arg == s.Output {
				arg = "{out}" // outputs are staged, as for every step of this engine
			}
			step.Command = append(step.Command, arg)
		}
		steps[i] = step
	}
	g, err := build.New(o, steps)
	if err != nil {
		return err
	}
	_, err = g.Build(ctx)
	return err
}
