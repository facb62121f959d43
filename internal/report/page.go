package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image/png"
	"slices"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Shown is a figure or table as the page shows it.
type Shown struct {
	Kind   string // of Source
	Doc    *sidecar.Document
	Digest string // of the file, as pipeline.lock has it
	PNG    []byte // a figure's picture
}

// Page sets a report as one HTML file that needs nothing else: style and pictures
// are in it, nothing is loaded and nothing runs. The figures and tables are those
// of r.Documents, in that order.
func Page(r *Report, shown []Shown) ([]byte, error) {
	same := slices.EqualFunc(r.Documents, shown, func(d Document, s Shown) bool { return d.ID == s.Doc.ID && d.Kind == s.Kind })
	if !same {
		return nil, fmt.Errorf("the report speaks of other figures and tables than it is given")
	}
	v := view{Report: r}
	for i, s := range shown {
		p := part{Document: r.Documents[i], Digest: s.Digest, Alt: s.Doc.Alt, Table: s.Doc.Table}
		if s.Kind == KindFigure {
			config, err := png.DecodeConfig(bytes.NewReader(s.PNG))
			if err != nil {
				return nil, fmt.Errorf("picture of %s: %w", s.Doc.ID, err)
			}
			p.Width, p.Height = config.Width, config.Height
			// Base64 of a picture that was just looked at. A whole attribute, because
			// the template would spell each plus as a reference, and no program that
			// looks for pictures in the page would know them again.
			p.Picture = template.HTMLAttr(`src="data:image/png;base64,` + base64.StdEncoding.EncodeToString(s.PNG) + `"`)
		}
		v.Parts = append(v.Parts, p)
	}
	var b bytes.Buffer
	if err := page.Execute(&b, v); err != nil {
		return nil, fmt.Errorf("set the report: %w", err)
	}
	return b.Bytes(), nil
}

var page = template.Must(template.New("report").Funcs(functions).Parse(source))

// view is what the template sees.
type view struct {
	*Report
	Parts []part
}

// part is one figure or table.
type part struct {
	Document
	Digest        string
	Alt           string
	Table         *sidecar.Table
	Picture       template.HTMLAttr
	Width, Height int
}

// Style is the page's own; it holds no text of anybody.
func (v view) Style() template.CSS { return template.CSS(style) }

// Of are the parts of a kind and section, the order kept.
func (v view) Of(kind, section string) []part {
	return slices.DeleteFunc(slices.Clone(v.Parts), func(p part) bool { return p.Kind != kind || p.Section != section })
}

// Figures are all pictures, those of the main text first.
func (v view) Figures() []part {
	return append(v.Of(KindFigure, "main"), slices.DeleteFunc(slices.Clone(v.Parts), func(p part) bool { return p.Kind != KindFigure || p.Section == "main" })...)
}

// Supplement are the tables that are not of the main text.
func (v view) Supplement() []part {
	return slices.DeleteFunc(slices.Clone(v.Parts), func(p part) bool { return p.Kind != KindTable || p.Section == "main" })
}

// leftOut is what figures and tables leave out alike.
type leftOut struct {
	Titles []string
	Document
}

// LeftOut are the figures and tables that leave something out or warn, those
// together that do alike.
func (v view) LeftOut() []leftOut {
	var all []leftOut
	for _, d := range v.Documents {
		if len(d.Excluded) == 0 && len(d.Warnings) == 0 {
			continue
		}
		i := slices.IndexFunc(all, func(o leftOut) bool {
			return o.Filter == d.Filter && slices.Equal(o.Excluded, d.Excluded) && slices.Equal(o.Warnings, d.Warnings)
		})
		if i < 0 {
			i = len(all)
			all = append(all, leftOut{Document: d})
		}
		all[i].Titles = append(all[i].Titles, d.Title)
	}
	return all
}

// Found are the verdicts that some run has.
func (r *Report) Found() []Verdict {
	return slices.DeleteFunc(slices.Clone(r.Runs.ByVerdict), func(v Verdict) bool { return v.N == 0 })
}

// Used are the runs in the database, in the order of their names in print; Unused
// are the others, by verdict.
func (r *Report) Used() []Run {
	used := slices.DeleteFunc(slices.Clone(r.Runs.List), func(run Run) bool { return run.Verdict != "used" })
	slices.SortStableFunc(used, func(a, b Run) int { return bytes.Compare([]byte(a.Label), []byte(b.Label)) })
	return used
}

// Unused are the runs that are not in the database, by verdict.
func (r *Report) Unused() []Run {
	var unused []Run
	for _, v := range r.Runs.ByVerdict {
		for _, run := range r.Runs.List {
			if run.Verdict == v.Verdict && run.Verdict != "used" {
				unused = append(unused, run)
			}
		}
	}
	return unused
}

// Remarks are the runs that are used although something is to be said of them.
func (r *Report) Remarks() []Run {
	return slices.DeleteFunc(r.Used(), func(run Run) bool { return run.Reason == "" })
}

// Agreeing counts the checks that agree.
func (r *Report) Agreeing() int {
	n := 0
	for _, c := range r.Checks.Counts {
		n += c.Agree
	}
	return n
}

// Total counts configurations.
func (r *Report) Total() int {
	n := 0
	for _, g := range r.Configurations {
		n += g.N
	}
	return n
}

// Number is the number of that name, nil if there is none.
func (r *Report) Number(name string) *sidecar.Number {
	i := slices.IndexFunc(r.Numbers, func(n sidecar.Number) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return &r.Numbers[i]
}
