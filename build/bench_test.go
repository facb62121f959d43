package build

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchGraph declares runs that each read a file of their own, one step that
// reads all of their results, and as many figures of it as bench/peers has.
func benchGraph(b *testing.B, runs int) (Options, []Step) {
	const figures = 40
	o := testOptions(b)
	if err := os.Mkdir(filepath.Join(o.Workspace, "in"), 0o755); err != nil {
		b.Fatal(err)
	}
	write := func(_ context.Context, t *Task) error {
		return os.WriteFile(t.Out(t.n.Outputs[0].Ref), []byte(t.Step()), 0o644)
	}
	var steps []Step
	all := Step{Name: "all", Outputs: []Output{Out("work", "all")}, Run: write}
	for i := range runs {
		name := fmt.Sprintf("r%05d", i)
		if err := os.WriteFile(filepath.Join(o.Workspace, "in", name), []byte(name), 0o644); err != nil {
			b.Fatal(err)
		}
		steps = append(steps, Step{Name: "run:" + name, Inputs: []Input{File("work", "in/"+name)}, Outputs: []Output{Out("work", "rec/"+name)}, Run: write})
		all.Inputs = append(all.Inputs, File("work", "rec/"+name))
	}
	steps = append(steps, all)
	for i := range figures {
		name := fmt.Sprintf("f%02d", i)
		steps = append(steps,
			Step{Name: "data:" + name, Inputs: []Input{File("work", "all")}, Outputs: []Output{Out("work", "data/"+name)}, Run: write},
			Step{Name: "figure:" + name, Inputs: []Input{File("work", "data/"+name)}, Outputs: []Output{Out("work", "figure/"+name)}, Run: write})
	}
	return o, steps
}

// benchBuild declares and builds the graph, as a new process would.
func benchBuild(b *testing.B, o Options, steps []Step) *Summary {
	g, err := New(o, steps)
	if err != nil {
		b.Fatal(err)
	}
	sum, err := g.Build(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

// BenchmarkNothingChanged is a build that finds everything as it was.
func BenchmarkNothingChanged(b *testing.B) {
	for _, runs := range []int{542, 5420} {
		b.Run(fmt.Sprint(runs), func(b *testing.B) {
			o, steps := benchGraph(b, runs)
			benchBuild(b, o, steps)
			time.Sleep(2 * safetyGap)
			benchBuild(b, o, steps) // now no file is young any more
			b.ReportAllocs()
			for b.Loop() {
				if sum := benchBuild(b, o, steps); sum.Fresh != len(steps) {
					b.Fatal(sum)
				}
			}
		})
	}
}

// BenchmarkStep is what the engine costs per step that runs, in a batch of steps
// that do next to nothing: staging, digests, the cache, a log, history, records
// and the syncs of the batch.
func BenchmarkStep(b *testing.B) {
	for _, jobs := range []int{1, 2} {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			o, steps := benchGraph(b, 542)
			o.Jobs, o.Force = jobs, []string{"*"}
			benchBuild(b, o, steps)
			ran := 0
			for b.Loop() {
				sum := benchBuild(b, o, steps)
				if sum.Ran != len(steps) {
					b.Fatal(sum)
				}
				ran += sum.Ran
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(ran), "µs/step")
			b.ReportMetric(0, "ns/op") // of the whole batch: says nothing
		})
	}
}
