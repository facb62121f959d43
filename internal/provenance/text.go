package provenance

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// write prints a run that a configuration stands on.
func (run Run) write(b *strings.Builder) {
	fmt.Fprintf(b, "  run      %s, configuration %d of the database\n", run.Run, run.Configuration)
	fmt.Fprintf(b, "  artifact %d bytes, read by %s; keyed digest %.12s\n", run.Bytes, run.Reader, run.ArtifactKeyed)
	switch {
	case run.Published == nil:
	case *run.Published:
		fmt.Fprintf(b, "           of the file with the digest %.12s\n", run.Artifact)
	default:
		fmt.Fprintf(b, "           not of the file with the digest %.12s, which was read since, or codes were drawn anew: mage extract brings the database up to date\n", run.Artifact)
	}
	switch {
	case run.File == "":
	case run.Outside:
		fmt.Fprintf(b, "           %s, outside the tracking store\n", run.File)
	default:
		fmt.Fprintf(b, "           %s of the tracking store\n", run.File)
	}
	if run.Version != "" {
		fmt.Fprintf(b, "           which the server calls %s\n", run.Version)
	}
	if run.Untold != "" {
		fmt.Fprintf(b, "           more is not known: %s\n", run.Untold)
	}
	for _, from := range run.Origins {
		fmt.Fprintf(b, "  from     %s\n", from)
	}
}

// Write prints a row for people.
func (r *Row) Write(w io.Writer, redact func(string) string) error {
	var b strings.Builder
	verdict := r.Verdict
	if r.Reason != "" {
		verdict += ", because: " + r.Reason
	}
	switch {
	case r.Stage != "":
		fmt.Fprintf(&b, "run %s of the stage %s: %s\n", r.Run, strings.ReplaceAll(r.Stage, "_", " "), verdict)
		for _, id := range r.UsedBy {
			fmt.Fprintf(&b, "  origin of run %s\n", id)
		}
	case r.Run != "":
		fmt.Fprintf(&b, "run %s: %s\n", r.Run, verdict)
	default:
		fmt.Fprintf(&b, "configuration %d\n", r.ConfigID)
	}
	if c := r.Configuration; c != nil {
		fmt.Fprintf(&b, "  of       outlier %s, imputation %s, classifier %s, featurization %s\n", c.Outlier, c.Imputation, c.Classifier, c.Featurization)
	}
	for _, run := range r.Runs {
		run.write(&b)
	}
	if r.Configuration != nil && len(r.Runs) == 0 {
		b.WriteString("  run      not known: the database does not say what it was read from; mage validate\n")
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, redact(b.String()))
	return err
}

// Write prints a number for people.
func (n *Number) Write(w io.Writer, redact func(string) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s = %s\n", n.Macro, valueOf(n.Number))
	fmt.Fprintf(&b, "  %s\n", n.Number.Meaning)
	fmt.Fprintf(&b, "  sidecar  %s\n", n.Sidecar)
	if q := n.Query; q != nil {
		fmt.Fprintf(&b, "  query    %s: %d rows with the digest %.12s\n", q.Panel, q.Rows, q.BLAKE3)
		fmt.Fprintf(&b, "           %s\n", q.SQL)
		if len(q.Args) > 0 {
			args, err := json.Marshal(q.Args)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "           with %s\n", args)
		}
	}
	if c := n.Number.Configuration; c != nil {
		fmt.Fprintf(&b, "  of       outlier %s, imputation %s, classifier %s, featurization %s\n", c.Outlier, c.Imputation, c.Classifier, c.Featurization)
	}
	for _, run := range n.Runs {
		run.write(&b)
	}
	if n.Note != "" {
		fmt.Fprintf(&b, "  run      not known: %s\n", n.Note)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, redact(b.String()))
	return err
}

// valueOf is a number with all its digits, as the sidecar has it.
func valueOf(n sidecar.Number) string {
	exact := func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }
	switch {
	case n.Text != "":
		return strconv.Quote(n.Text)
	case n.Count != nil:
		return strconv.Itoa(*n.Count)
	case n.Value.Estimate == nil:
		return "undefined: " + sidecar.ReasonText(n.Value.Undefined)
	}
	text := exact(*n.Value.Estimate)
	if ci := n.Value.CI; ci != nil {
		text += fmt.Sprintf(", interval %s to %s (%s)", exact(ci[0]), exact(ci[1]), n.Value.CIMethod)
	}
	return text
}
