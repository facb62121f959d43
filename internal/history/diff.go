package history

import (
	"fmt"
	"slices"
	"strings"
)

// Diff is how two builds differ: what steps ran on, what they made, and how
// long they took.
type Diff struct {
	A     End        `json:"a"`
	B     End        `json:"b"`
	Steps []StepDiff `json:"steps"` // that differ or ran in either, sorted by name
}

// End is one of the two builds.
type End struct {
	ID      string  `json:"id"`
	Target  string  `json:"target"`
	State   string  `json:"state"`
	Seconds float64 `json:"seconds"`
}

// StepDiff is how a step differs between two builds. Where it is private and
// the private tier is not here, Known is false.
type StepDiff struct {
	Step    string `json:"step"`
	Private bool   `json:"private,omitempty"`
	Known   bool   `json:"known"`
	A       Did    `json:"a"`
	B       Did    `json:"b"`
	// Inputs says that it ran on something else. What that is, only the
	// engine can tell, from the two keys; Changes is for its words.
	Inputs  bool     `json:"inputs"`
	Changes []string `json:"changes,omitempty"`
	// Results are the outputs that came out differently.
	Results []Output `json:"results,omitempty"`
}

// Did is what one of the builds did about a step, and the key under which the
// step's outputs stood when it ended. State is "" if it did nothing: the step
// was fresh, or not asked for.
type Did struct {
	State   string  `json:"state,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Key     string  `json:"key,omitempty"`
}

// Same says that inputs and results are the same.
func (d *StepDiff) Same() bool { return !d.Inputs && len(d.Results) == 0 }

// Compare tells how build B differs from build A. It follows what each step
// was made from through all builds in between: a build says nothing of steps
// that were fresh. The ids are those of builds of the tier.
func Compare(public, private, a, b string) (*Diff, error) {
	if a > b {
		d, err := Compare(public, private, b, a)
		if err != nil {
			return nil, err
		}
		d.turn()
		return d, nil
	}
	ids, err := IDs(public)
	if err != nil {
		return nil, err
	}
	from, to := slices.Index(ids, a), slices.Index(ids, b)
	if from < 0 || to < 0 {
		return nil, fmt.Errorf("the history no longer holds %s and %s", a, b)
	}
	builds := make([]*Build, 0, to-from+1)
	for _, id := range ids[from : to+1] {
		build, err := Read(public, private, id)
		if err != nil {
			return nil, err
		}
		builds = append(builds, build)
	}
	return compare(builds), nil
}

// compare takes all builds from A to B.
func compare(builds []*Build) *Diff {
	a, b := builds[0], builds[len(builds)-1]
	d := &Diff{A: a.asEnd(), B: b.asEnd(), Steps: []StepDiff{}}
	steps := map[string]*way{}
	for i, build := range builds {
		for j := range build.Steps {
			s := &build.Steps[j]
			w := steps[s.Name]
			if w == nil {
				w = &way{diff: StepDiff{Step: s.Name, Private: s.Private, Known: true}, outputs: map[string]*Output{}}
				steps[s.Name] = w
			}
			if i == 0 {
				w.diff.A.State, w.diff.A.Seconds = s.State, s.Seconds
			}
			if i == len(builds)-1 {
				w.diff.B.State, w.diff.B.Seconds = s.State, s.Seconds
			}
			w.step(s, i == 0)
		}
	}
	for _, w := range steps {
		if w.end(); !w.diff.Same() || w.diff.A.State != "" || w.diff.B.State != "" || !w.diff.Known {
			d.Steps = append(d.Steps, w.diff)
		}
	}
	slices.SortFunc(d.Steps, func(x, y StepDiff) int { return strings.Compare(x.Step, y.Step) })
	return d
}

// way is what became of one step from A to B.
type way struct {
	diff    StepDiff
	begun   bool // the key of A is known, even if it is that there was none
	outputs map[string]*Output
}

// step follows the step through one build; first says that it is A.
func (w *way) step(s *Step, first bool) {
	if s.Private && s.Key == "" && (s.State == "ran" || s.State == "restored") {
		w.diff.Known = false
	}
	if s.Key == "" || s.State != "ran" && s.State != "restored" && s.State != "fresh" {
		return // what failed changed nothing
	}
	if !w.begun {
		w.begun = true
		if first {
			w.diff.A.Key = s.Key
		} else {
			w.diff.A.Key = s.Was
		}
		w.diff.B.Key = w.diff.A.Key
		for _, o := range s.Outputs {
			was := o.Was
			if first {
				was = o.Now
			}
			w.outputs[o.Name] = &Output{Name: o.Name, Was: was, Now: was}
		}
	}
	w.diff.B.Key = s.Key
	for _, o := range s.Outputs {
		if w.outputs[o.Name] == nil {
			w.outputs[o.Name] = &Output{Name: o.Name}
		}
		w.outputs[o.Name].Now = o.Now
	}
}

func (w *way) end() {
	w.diff.Inputs = w.diff.A.Key != w.diff.B.Key
	for _, o := range w.outputs {
		if o.Was != o.Now {
			w.diff.Results = append(w.diff.Results, *o)
		}
	}
	slices.SortFunc(w.diff.Results, func(x, y Output) int { return strings.Compare(x.Name, y.Name) })
}

func (b *Build) asEnd() End { return End{b.ID, b.Target, b.State, b.Seconds} }

// turn makes it how A differs from B.
func (d *Diff) turn() {
	d.A, d.B = d.B, d.A
	for i := range d.Steps {
		s := &d.Steps[i]
		s.A, s.B = s.B, s.A
		for j := range s.Results {
			s.Results[j].Was, s.Results[j].Now = s.Results[j].Now, s.Results[j].Was
		}
	}
}
