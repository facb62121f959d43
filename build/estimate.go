package build

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/foundation-plr/pipeline/internal/console"
)

// Estimate is about how long a build would take, from how long the steps took
// when they last ran.
type Estimate struct {
	Will       time.Duration // the steps that will run
	AtMost     time.Duration // and all that may run
	Unrecorded int           // steps among them that have no recorded run; they count as nothing
}

// String returns "about 12 s", "between 3.0 s and 12 s", and how many steps it
// knows nothing about.
func (e Estimate) String() string {
	text := "about " + console.Seconds(e.AtMost)
	if low, high := console.Seconds(e.Will), console.Seconds(e.AtMost); low != high {
		text = "between " + low + " and " + high
	}
	if e.Unrecorded > 0 {
		text += fmt.Sprintf(", without %s that never ran", console.Plural(e.Unrecorded, "step"))
	}
	return text
}

// Estimate returns about how long a build would take: as long as its longest
// chain of steps, or as all its work shared by the jobs, whichever is more.
// Restoring outputs and looking at files is not in it.
func (r *Report) Estimate() Estimate {
	var e Estimate
	for i := range r.Steps {
		if d := &r.Steps[i]; (d.Verdict == WillRun || d.Verdict == MayRun) && d.Seconds == 0 {
			e.Unrecorded++
		}
	}
	e.Will = r.length(WillRun)
	e.AtMost = r.length(WillRun, MayRun)
	return e
}

func (r *Report) length(verdicts ...Verdict) time.Duration {
	byName := make(map[string]*Decision, len(r.Steps))
	for i := range r.Steps {
		byName[r.Steps[i].Name] = &r.Steps[i]
	}
	return length(maps.Keys(byName), r.jobs, func(name string) (took time.Duration, needs []string) {
		d := byName[name]
		if d == nil {
			return 0, nil
		}
		if slices.Contains(verdicts, d.Verdict) {
			took = time.Duration(d.Seconds * float64(time.Second))
		}
		return took, d.needs
	})
}

// length is how long steps take together: as long as their longest chain, or as
// all of them shared by the jobs, whichever is more.
func length[K comparable](steps iter.Seq[K], jobs int, of func(K) (took time.Duration, needs []K)) time.Duration {
	var work, chain time.Duration
	ends := map[K]time.Duration{}
	var end func(K) time.Duration
	end = func(step K) time.Duration {
		if at, ok := ends[step]; ok {
			return at
		}
		took, needs := of(step)
		var at time.Duration
		for _, need := range needs {
			at = max(at, end(need))
		}
		at += took
		work += took
		ends[step] = at
		return at
	}
	for step := range steps {
		chain = max(chain, end(step))
	}
	return max(chain, work/time.Duration(max(jobs, 1)))
}

// outlook estimates what is left from how long the steps took when they last
// ran. One that never ran is taken to be like those of this build that are of
// its kind, which is what its name says up to a colon.
func (q *scheduler) outlook() console.Outlook {
	now := time.Now()
	type mean struct {
		sum time.Duration
		n   time.Duration
	}
	kinds := map[string]*mean{}
	left := map[*node]time.Duration{}
	var never []*node
	for n, p := range q.steps {
		switch {
		case p.state == settled:
			if p.end.State != StateRan {
				continue
			}
			m := kinds[kind(n)]
			if m == nil {
				m = new(mean)
				kinds[kind(n)] = m
			}
			m.sum += p.end.Elapsed
			m.n++
		case p.dec.verdict == WillRestore || n.each != nil:
			left[n] = 0
		default:
			if p.cost == 0 {
				p.cost = q.s.lastElapsed(n)
			}
			if p.cost == 0 {
				never = append(never, n)
			}
			left[n] = p.cost
		}
	}
	var o console.Outlook
	for _, n := range never {
		if m := kinds[kind(n)]; m != nil {
			left[n] = m.sum / m.n
		} else {
			o.Unknown++
		}
	}
	for n := range left {
		if p := q.steps[n]; p.state == running {
			left[n] = max(0, left[n]-now.Sub(p.begun))
		}
	}
	o.Left = length(maps.Keys(left), q.s.opt.Jobs, func(n *node) (time.Duration, []*node) {
		took, open := left[n]
		if !open {
			return 0, nil // settled, and so is what it needed
		}
		return took, n.deps
	})
	return o
}

func kind(n *node) string {
	name, _, _ := strings.Cut(n.Name, ":")
	return name
}

// IfChanged is Status as it would be if the files at the paths had other
// contents. A path is a ref ("root:path"), absolute, or relative to the
// workspace or to a root; that of a directory stands for all files in it. A
// path where nothing is, is an *Unknown error.
func (g *Graph) IfChanged(ctx context.Context, paths ...string) (*Report, error) {
	before := new(Report)
	var dirs []string
	err := g.survey(ctx, survey{}, func(s *session, q *scheduler) error {
		before.fill(s, q)
		for _, what := range paths {
			found := false
			for _, abs := range g.opt.places(what) {
				_, err := os.Lstat(abs)
				if err != nil && !os.IsNotExist(err) {
					return err
				}
				if err == nil {
					dirs = append(dirs, abs)
					found = true
					break
				}
			}
			if !found {
				return s.unknown(q, what)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	was := make(map[string]Decision, len(before.Steps))
	for _, d := range before.Steps {
		was[d.Name] = d
	}
	rep := new(Report)
	changed := func(abs string) bool {
		return slices.ContainsFunc(dirs, func(dir string) bool { return inside(abs, dir) })
	}
	err = g.survey(ctx, survey{changed: changed}, func(s *session, q *scheduler) error {
		rep.fill(s, q)
		for i := range rep.Steps {
			d := &rep.Steps[i]
			then, known := was[d.Name]
			d.Anyway = known && then.Verdict == d.Verdict && slices.Equal(then.Reasons, d.Reasons)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rep, nil
}

// places returns where a path that a person has written may be.
func (o *Options) places(what string) []string {
	if filepath.IsAbs(what) {
		return []string{filepath.Clean(what)}
	}
	names := make([]string, 0, len(o.Roots))
	for name := range o.Roots {
		names = append(names, name)
	}
	slices.Sort(names)
	var all []string
	for _, name := range names {
		if n := len(name); len(what) > n && what[:n] == name && what[n] == ':' && fs.ValidPath(what[n+1:]) {
			all = append(all, filepath.Join(o.Roots[name].Path, filepath.FromSlash(what[n+1:])))
		}
	}
	if clean := filepath.Clean(what); filepath.IsLocal(clean) {
		all = append(all, filepath.Join(o.Workspace, clean))
		for _, name := range names {
			all = append(all, filepath.Join(o.Roots[name].Path, clean))
		}
	} else {
		all = append(all, filepath.Join(o.Workspace, clean))
	}
	return slices.Compact(all)
}

// WriteJSON writes the report as one JSON document.
func (r *Report) WriteJSON(w io.Writer) error {
	e := r.Estimate()
	count := map[Verdict]int{}
	for _, v := range []Verdict{Fresh, WillRestore, WillRun, MayRun, CannotRun} {
		count[v] = r.Count(v)
	}
	return writeJSON(w, struct {
		Schema     string          `json:"schema"`
		Fresh      bool            `json:"fresh"`
		Count      map[Verdict]int `json:"count"`
		Seconds    [2]float64      `json:"seconds"` // what will run, and with what may run
		Unrecorded int             `json:"unrecorded"`
		Steps      []Decision      `json:"steps"`
		Unknown    []string        `json:"unknown,omitempty"`
	}{"build.status/1", r.Fresh(), count, [2]float64{e.Will.Seconds(), e.AtMost.Seconds()}, e.Unrecorded, r.Steps, r.Unknown})
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
