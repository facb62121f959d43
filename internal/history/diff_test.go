package history

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A store of steps with keys and outputs is built again and again; what Compare
// says of any two builds is what a comparison of the whole states says, though
// fresh steps leave no events.
func TestCompareFollowsFreshSteps(t *testing.T) {
	type state struct{ key, out string }
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c"}
		now := map[string]state{}
		var builds []*Build
		var after []map[string]state
		for i := range rapid.IntRange(2, 8).Draw(t, "builds") {
			b := &Build{ID: fmt.Sprint(i)}
			for _, name := range names {
				was := now[name]
				s := Step{Name: name, State: rapid.SampledFrom([]string{"", "", "ran", "ran", "restored", "fresh", "failed", "skipped"}).Draw(t, "state"), Was: was.key}
				if s.State == "" {
					continue // fresh, and as it was
				}
				if s.State == "restored" || s.State == "ran" || s.State == "fresh" {
					next := state{fmt.Sprint("key", rapid.IntRange(0, 3).Draw(t, "key")), fmt.Sprint("out", rapid.IntRange(0, 2).Draw(t, "out"))}
					if s.State == "fresh" && next == was {
						continue
					}
					s.Key, s.Outputs = next.key, []Output{{Name: "o", Now: next.out, Was: was.out}}
					now[name] = next
				} else if s.State == "failed" {
					s.Key = "attempted"
				}
				b.Steps = append(b.Steps, s)
			}
			states := map[string]state{}
			for k, v := range now {
				states[k] = v
			}
			builds, after = append(builds, b), append(after, states)
		}
		from := rapid.IntRange(0, len(builds)-1).Draw(t, "from")
		to := rapid.IntRange(from, len(builds)-1).Draw(t, "to")
		d := compare(builds[from : to+1])
		for _, name := range names {
			was, is := after[from][name], after[to][name]
			i := slices.IndexFunc(d.Steps, func(s StepDiff) bool { return s.Step == name })
			if i < 0 {
				if was != is {
					t.Errorf("%s went from %v to %v, and is not in the difference", name, was, is)
				}
				continue
			}
			got := d.Steps[i]
			if got.Inputs != (was.key != is.key) || (len(got.Results) > 0) != (was.out != is.out) {
				t.Errorf("%s went from %v to %v: %+v", name, was, is, got)
			}
			if len(got.Results) == 1 && got.Results[0] != (Output{"o", is.out, was.out}) {
				t.Errorf("%s went from %v to %v: %+v", name, was, is, got.Results)
			}
			if got.Inputs && (got.A.Key != was.key || got.B.Key != is.key) {
				t.Errorf("%s went from %v to %v: %+v", name, was, is, got)
			}
		}
	})
}

func TestDiffText(t *testing.T) {
	b1 := &Build{ID: "1", Target: "reproduce", State: Done, Seconds: 10, Steps: []Step{
		{Name: "figure:a", State: "ran", Seconds: 1, Key: "1", Outputs: []Output{{Name: "o", Now: "x"}}},
		{Name: "run:1", State: "ran", Private: true, Seconds: 2},
		{Name: "slow", State: "ran", Seconds: 2, Key: "s"},
	}}
	b2 := &Build{ID: "2", Target: "figures", State: Failed, Seconds: 5, Steps: []Step{
		{Name: "figure:a", State: "ran", Seconds: 1.01, Key: "2", Was: "1", Outputs: []Output{{Name: "o", Now: "y", Was: "x"}, {Name: "p", Now: "z"}}},
		{Name: "run:1", State: "failed", Private: true},
		{Name: "slow", State: "ran", Seconds: 4, Key: "s", Was: "s"},
	}}
	d := compare([]*Build{b1, b2})
	d.Steps[0].Changes = []string{"parameter n changed"}
	var out bytes.Buffer
	if err := d.Write(&out); err != nil {
		t.Fatal(err)
	}
	want := `A  1  reproduce, done in 10.0 s
B  2  figures, failed in 5.0 s
input   figure:a: parameter n changed
result  figure:a: o changed
result  figure:a: p is new
state   run:1: ran, then failed
time    slow: 2.0 s, then 4.0 s
1 step on other inputs, 1 step with other results; of 1 step it is private what changed, and the private tier is not here; 10.0 s, then 5.0 s in all
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.turn()
	if d.A.ID != "2" || d.Steps[0].Results[0] != (Output{"o", "x", "y"}) || d.Steps[0].A.Key != "2" {
		t.Errorf("turned: %+v", d)
	}
}

// The critical path is a chain of steps that waited for one another, and no
// chain is longer.
func TestCriticalPath(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := &Build{ID: "x", Target: "t", State: Done}
		n := rapid.IntRange(0, 7).Draw(t, "steps")
		best := make([]float64, n)
		longest := 0.0
		for i := range n {
			s := Step{Name: fmt.Sprint("s", i), State: "ran", Seconds: float64(rapid.IntRange(0, 8).Draw(t, "seconds")) / 4}
			for j := range i {
				if rapid.Bool().Draw(t, "needs") {
					s.Needs = append(s.Needs, fmt.Sprint("s", j))
					best[i] = max(best[i], best[j])
					s.Begun = max(s.Begun, b.Steps[j].Begun+b.Steps[j].Seconds)
				}
			}
			best[i] += s.Seconds
			longest = max(longest, best[i])
			b.Steps = append(b.Steps, s)
		}
		slices.SortStableFunc(b.Steps, func(x, y Step) int { return stdcmp.Compare(x.Begun, y.Begun) }) // as Read does
		path, seconds := b.CriticalPath()
		sum := 0.0
		for i, name := range path {
			at := slices.IndexFunc(b.Steps, func(s Step) bool { return s.Name == name })
			sum += b.Steps[at].Seconds
			if i > 0 && !slices.Contains(b.Steps[at].Needs, path[i-1]) {
				t.Errorf("%s did not wait for %s", name, path[i-1])
			}
		}
		if math.Abs(seconds-longest) > 1e-9 || math.Abs(sum-longest) > 1e-9 {
			t.Errorf("path %v of %v s, said to be %v s; the longest takes %v s", path, sum, seconds, longest)
		}

		// In the trace no two steps of a row overlap, and all have their times.
		data, err := b.Trace()
		if err != nil {
			t.Fatal(err)
		}
		var trace struct {
			TraceEvents []struct {
				Name, Ph string
				TS, Dur  int64
				Tid      int
			}
			OtherData struct {
				Path []string `json:"critical_path"`
			}
		}
		if err := json.Unmarshal(data, &trace); err != nil {
			t.Fatal(err)
		}
		ends := map[int]int64{}
		count := map[bool]int{}
		for _, e := range trace.TraceEvents {
			if e.Ph != "X" {
				continue
			}
			count[e.Tid == 0]++
			if e.Tid > 0 && e.TS < ends[e.Tid] {
				t.Errorf("%s overlaps another step of its row\n%s", e.Name, data)
			}
			ends[e.Tid] = e.TS + e.Dur
		}
		if count[false] != n || count[true] != len(path) || len(trace.OtherData.Path) != len(path) {
			t.Errorf("%v events for %d steps, %d of them critical\n%s", count, n, len(path), data)
		}
	})
	// What is read may be damaged: a circle ends all the same.
	b := &Build{Steps: []Step{{Name: "a", Needs: []string{"b"}, Seconds: 1}, {Name: "b", Needs: []string{"a", "gone"}, Seconds: 1}}}
	if path, _ := b.CriticalPath(); len(path) == 0 || len(path) > 3 {
		t.Errorf("a circle: %v", path)
	}
}
