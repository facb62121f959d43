package provenance

import (
	"context"
	"slices"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// Number is one macro of numbers.tex and where it comes from.
type Number struct {
	Macro   string         `json:"macro"`
	Number  sidecar.Number `json:"number"`
	Sidecar string         `json:"sidecar"`
	Query   *sidecar.Query `json:"query,omitempty"`
	// Runs are the runs of its configuration in the database as it stands.
	Runs []Run  `json:"runs,omitempty"`
	Note string `json:"note,omitempty"` // why there are no runs
}

// MacroPrefix begins the names of macros, and ciSuffix ends those of intervals.
const (
	MacroPrefix = "PLR"
	ciSuffix    = "CI"
)

// Number returns what a document of numbers says of a macro, whose name stands
// without its prefix, and the runs of its configuration; nil if the document has no
// such number. Path is that of the document.
func (s *Study) Number(ctx context.Context, doc *sidecar.Document, path, macro string) *Number {
	i := slices.IndexFunc(doc.Numbers, func(n sidecar.Number) bool {
		return n.Name == macro || n.Value != nil && n.Name+ciSuffix == macro
	})
	if i < 0 {
		return nil
	}
	n := &Number{Macro: MacroPrefix + macro, Number: doc.Numbers[i], Sidecar: path}
	if j := slices.IndexFunc(doc.Queries, func(q sidecar.Query) bool { return q.Panel == n.Number.Query }); j >= 0 {
		n.Query = &doc.Queries[j]
	}
	if n.Number.Configuration != nil {
		var err error
		if n.Runs, err = s.Runs(ctx, *n.Number.Configuration); err != nil {
			n.Note = s.Redact(err.Error())
		} else if len(n.Runs) == 0 {
			n.Note = "the database as it stands has no such configuration"
		}
	}
	return n
}

// Macros are the names of all macros of a document, behind a prefix.
func Macros(doc *sidecar.Document, prefix string) []string {
	var names []string
	for _, n := range doc.Numbers {
		names = append(names, prefix+MacroPrefix+n.Name)
		if n.Value != nil && (n.Value.CI != nil || n.Value.IntervalUndefined != "") {
			names = append(names, prefix+MacroPrefix+n.Name+ciSuffix)
		}
	}
	return names
}
