package history

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

// when is for people, who live somewhere.
func when(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

func seconds(s float64) string {
	switch {
	case s < 0.095:
		return fmt.Sprintf("%.2f s", s)
	case s < 99.5:
		return fmt.Sprintf("%.1f s", s)
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

func (b *Build) fresh() string {
	if b.Fresh == nil {
		return "?"
	}
	return fmt.Sprint(*b.Fresh)
}

// short returns the beginning of a text.
func short(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// maxTarget keeps a line of the list on a screen.
const maxTarget = 40

// WriteList prints one line per build.
func WriteList(w io.Writer, builds []*Build) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tWHEN\tTARGET\tSTATE\tRAN\tFRESH\tFAILED\tDURATION")
	for _, b := range builds {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%d\t%s\n", b.ID, when(b.Begun), short(b.Target, maxTarget), b.State, b.Ran, b.fresh(), b.Failed, seconds(b.Seconds))
	}
	return t.Flush()
}

// Write prints the build with its steps.
func (b *Build) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "build\t%s\n", b.ID)
	fmt.Fprintf(t, "target\t%s\n", b.Target)
	if len(b.Goals) > 0 {
		fmt.Fprintf(t, "steps\t%s\n", strings.Join(b.Goals, " "))
	}
	state := b.State
	if b.State == Running && b.Process != nil {
		state += fmt.Sprintf(", process %d", b.Process.PID)
	}
	fmt.Fprintf(t, "state\t%s\n", state)
	fmt.Fprintf(t, "began\t%s\n", when(b.Begun))
	fmt.Fprintf(t, "duration\t%s\n", seconds(b.Seconds))
	fmt.Fprintf(t, "steps\t%s fresh, %d ran (%d unchanged), %d restored, %d failed, %d skipped\n", b.fresh(), b.Ran, b.Unchanged, b.Restored, b.Failed, b.Skipped)
	if path, s := b.CriticalPath(); len(path) > 1 {
		fmt.Fprintf(t, "critical path\t%s: %s\n", seconds(s), chain(path))
	}
	if b.Damaged > 0 {
		fmt.Fprintf(t, "damaged\t%d lines of its events cannot be read\n", b.Damaged)
	}
	if err := t.Flush(); err != nil || len(b.Steps) == 0 {
		return err
	}
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nBEGAN\tDURATION\tSTATE\tSTEP\tWHY")
	for i := range b.Steps {
		s := &b.Steps[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", seconds(s.Begun), seconds(s.Seconds), s.state(), s.Name, s.why())
	}
	return t.Flush()
}

// maxChain is how many steps of a chain are named.
const maxChain = 10

func chain(names []string) string {
	if len(names) > maxChain {
		left := len(names) - maxChain
		names = append(append(append([]string{}, names[:maxChain/2]...), fmt.Sprintf("… %d more …", left)), names[len(names)-maxChain/2:]...)
	}
	return strings.Join(names, " → ")
}

func (s *Step) state() string {
	if s.Unchanged {
		return s.State + ", unchanged"
	}
	return s.State
}

func (s *Step) why() string {
	why := s.Reason
	switch {
	case s.State == "fresh":
		why = "on other inputs than last, which gave the same before"
	case why == "" && s.Private && s.State != Running:
		why = "(private)"
	}
	if s.Attempts > 1 {
		why = strings.TrimPrefix(fmt.Sprintf("%s; attempt %d", why, s.Attempts), "; ")
		if last := s.Errors; len(last) > 0 && last[len(last)-1] != "" {
			why += ", before: " + last[len(last)-1]
		}
	}
	return strings.Join(strings.Fields(why), " ")
}

// Write prints what differs: inputs, results, durations.
func (d *Diff) Write(w io.Writer) error {
	var b strings.Builder
	for _, e := range []struct {
		name string
		End
	}{{"A", d.A}, {"B", d.B}} {
		fmt.Fprintf(&b, "%s  %s  %s, %s in %s\n", e.name, e.ID, e.Target, e.State, seconds(e.Seconds))
	}
	inputs, results, unknown := 0, 0, 0
	for i := range d.Steps {
		s := &d.Steps[i]
		if !s.Known {
			unknown++
		}
		if s.Inputs {
			inputs++
			for _, what := range s.Changes {
				fmt.Fprintf(&b, "input   %s: %s\n", s.Step, what)
			}
		}
	}
	for i := range d.Steps {
		s := &d.Steps[i]
		if len(s.Results) > 0 {
			results++
		}
		for _, o := range s.Results {
			how := "changed"
			switch {
			case o.Was == "":
				how = "is new"
			case o.Now == "":
				how = "is no longer made"
			}
			fmt.Fprintf(&b, "result  %s: %s %s\n", s.Step, o.Name, how)
		}
	}
	for i := range d.Steps {
		s := &d.Steps[i]
		if s.A.State == "failed" || s.B.State == "failed" || s.A.State == "skipped" || s.B.State == "skipped" {
			fmt.Fprintf(&b, "state   %s: %s, then %s\n", s.Step, did(s.A), did(s.B))
		}
	}
	for i := range d.Steps {
		if s := &d.Steps[i]; s.A.State == "ran" && s.B.State == "ran" && notable(s.A.Seconds, s.B.Seconds) {
			fmt.Fprintf(&b, "time    %s: %s, then %s\n", s.Step, seconds(s.A.Seconds), seconds(s.B.Seconds))
		}
	}
	fmt.Fprintf(&b, "%s on other inputs, %s with other results", steps(inputs), steps(results))
	if unknown > 0 {
		fmt.Fprintf(&b, "; of %s it is private what changed, and the private tier is not here", steps(unknown))
	}
	fmt.Fprintf(&b, "; %s, then %s in all\n", seconds(d.A.Seconds), seconds(d.B.Seconds))
	_, err := io.WriteString(w, b.String())
	return err
}

func did(d Did) string {
	if d.State == "" {
		return "nothing to do"
	}
	return d.State
}

// notable leaves out what differs between two runs of the same thing.
func notable(a, b float64) bool {
	const least, share = 0.1, 0.25 // a tenth of a second, a quarter
	d := max(a, b) - min(a, b)
	return d >= least && d >= share*max(a, b)
}

func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", n)
}
