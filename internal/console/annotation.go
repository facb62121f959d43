package console

import "strings"

// annotation is a failed step in workflow commands of GitHub Actions: an error,
// which is shown above the log of the job, too, and a group that holds what the
// step said last.
func (c *Console) annotation(line Line, said []string) string {
	reason := c.set.Redact(Visible(c.set.redacted(line.Step + ": " + line.Error)))
	text := "::error title=" + property("step "+line.Step+" failed") + "::" + data(reason)
	if len(said) > 0 {
		text += "\n::group::" + data("what "+line.Step+" said last")
		for _, s := range said {
			text += "\n" + c.said(s)
		}
		text += "\n::endgroup::"
	}
	if line.Log != "" {
		text += "\n" + c.text("log: "+line.Log)
	}
	return text
}

// data escapes the message of a workflow command, as actions/toolkit does
// (packages/core/src/command.ts).
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes the value of a property of a workflow command.
func property(s string) string {
	return strings.NewReplacer(":", "%3A", ",", "%2C").Replace(data(s))
}
