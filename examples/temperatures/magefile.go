//go:build mage

// Yearly means of monthly temperatures: CSV files, a table, a plot.
package main

import (
	"context"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/build"
)

var Default = Build

// Build brings the table and the plot up to date.
func Build(ctx context.Context) error {
	ctx, stop := build.Context(ctx)
	defer stop()
	g, err := graph()
	if err == nil {
		_, err = g.Build(ctx)
	}
	return err
}

// Status says what is stale, and why.
func Status(ctx context.Context) error {
	g, err := graph()
	if err != nil {
		return err
	}
	report, err := g.Status(ctx)
	if err == nil {
		err = report.Write(os.Stdout)
	}
	return err
}

func graph() (*build.Graph, error) {
	o, err := build.Workspace("")
	if err != nil {
		return nil, err
	}
	return build.New(o, []build.Step{
		build.Map("mean", build.Glob(build.Work, "data/*.csv"), func(f build.Ref) build.Step {
			out := build.Ref{Root: build.Work, Path: "out/means/" + path.Base(f.Path) + ".txt"}
			return build.Step{Inputs: []build.Input{build.File(f.Root, f.Path)}, Outputs: []build.Output{{Ref: out}}, Run: func(_ context.Context, t *build.Task) error { return mean(t.Path(f), t.Out(out)) }}
		}),
		{Name: "table", Inputs: []build.Input{build.OutputsOf("mean:*")}, Outputs: []build.Output{build.Out(build.Work, "out/table.txt")}, Command: []string{"sort", "-k2n", "{in}"}, Stdout: "{out}"},
		{Name: "plot", Inputs: []build.Input{build.File(build.Work, "plot.awk"), build.File(build.Work, "out/table.txt")}, Outputs: []build.Output{build.Out(build.Work, "out/plot.svg")},
			Params: map[string]any{"width": 480}, Command: []string{"awk", "-v", "width={param:width}", "-f", "{in:0}", "{in:1}"}, Stdout: "{out}"},
	})
}

// mean writes the mean of the second column of a CSV file with a heading.
func mean(in, out string) error {
	text, err := os.ReadFile(in)
	if err != nil {
		return err
	}
	lines := strings.Fields(string(text))
	if len(lines) < 2 {
		return fmt.Errorf("%s has no rows", path.Base(in))
	}
	sum := 0.0
	for _, line := range lines[1:] {
		_, celsius, _ := strings.Cut(line, ",")
		v, err := strconv.ParseFloat(celsius, 64)
		if err != nil {
			return err
		}
		sum += v
	}
	return os.WriteFile(out, fmt.Appendf(nil, "%s %.1f\n", strings.TrimSuffix(path.Base(in), ".csv"), sum/float64(len(lines)-1)), 0o644)
}
