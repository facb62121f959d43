package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestVisible(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext\nlines é 中 \u00a0": "plain\ttext\nlines é 中 \u00a0",
		"a\x1b[31mb\a\x7f":              `a\u001b[31mb\u0007\u007f`,
		"a\u009b2Jb":                    `a\u009b2Jb`,
		"10%\r20%\r\nend":               `10%\u000d20%` + "\nend",
		"fdp\u202eexe.txt \u2066x":      `fdp\u202eexe.txt \u2066x`,
		"\xff\xc3(":                     `\xff\xc3(`,
		"a\u2028b":                      `a\u2028b`,
		"\x00":                          `\u0000`,
	} {
		if got := Visible(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := VisibleLine("a\n::error::b\tc"); got != `a\u000a::error::b`+"\tc" {
		t.Errorf("in a line: %q", got)
	}
	// In JSON the escapes mean what stood there.
	text := "a\x1b\u009b\x7f\u202e\u2028"
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var back string
	if err := json.Unmarshal([]byte(Visible(string(encoded))), &back); err != nil || back != text {
		t.Errorf("%q is %q again, error %v", text, back, err)
	}
}

func FuzzVisible(f *testing.F) {
	for _, seed := range []string{"", "a\x1b]0;t\ab", "\x1b[", "\u009b", "\xff", "\u202e", "::error::\r\n::x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := Visible(s)
		if !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r != '\n' && r != '\t' && obeyed(r) }) || Visible(v) != v {
			t.Fatalf("%q became %q", s, v)
		}
		for _, line := range strings.Split(withoutCommands(v), "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
				t.Fatalf("%q became a command: %q", s, line)
			}
		}
	})
}

// A secret stays redacted, however control characters part it.
func TestShownIsRedacted(t *testing.T) {
	for _, github := range []bool{false, true} {
		o := Settings{GitHub: github, Redact: func(s string) string { return strings.ReplaceAll(s, "secret", "[…]") }}
		for _, in := range []string{"secret", "sec\x1b[0mret", "s\x00e\x00c\x00r\x00e\x00t\x00", "sec\u202eret", "\x1b[1msecret\a"} {
			got := o.shown(in)
			if plain := withoutControls(strings.ReplaceAll(got, `\u`, "")); strings.Contains(plain, "secret") || !strings.Contains(got, "[…]") {
				t.Errorf("%q is shown as %q", in, got)
			}
		}
	}
}

func TestPrinter(t *testing.T) {
	github := func(string) string { return "true" }
	elsewhere := func(string) string { return "" }
	for _, c := range []struct {
		getenv func(string) string
		write  []string
		want   string
	}{
		{elsewhere, []string{"::error::x\n", "a\x1b[2J\n"}, "::error::x\na\\u001b[2J\n"},
		{github, []string{"::error::x\n"}, "| ::error::x\n"},
		{github, []string{"step ", "::error::x\n", "  ::warning::y\n"}, "step ::error::x\n|   ::warning::y\n"},
		{github, []string{"a\n  ", "::error::x"}, "a\n  | ::error::x"},
		{github, []string{"a\r\n::error::x\r::y", "\n::z"}, "a\n| ::error::x\\u000d::y\n| ::z"},
		{github, []string{"why: ##[error]x"}, "why: ## [error]x"},
	} {
		var b bytes.Buffer
		p := Printer(&b, c.getenv)
		for _, text := range c.write {
			if n, err := io.WriteString(p, text); err != nil || n != len(text) {
				t.Errorf("%q: %d bytes, error %v", text, n, err)
			}
		}
		if b.String() != c.want {
			t.Errorf("%q became %q, want %q", c.write, b.String(), c.want)
		}
		if Printer(p, c.getenv) != p || unprinted(p) != &b {
			t.Error("a printer of a printer")
		}
	}
}

func TestVisibleError(t *testing.T) {
	t.Setenv("GITHUB_ACTIONS", "true")
	plain := errors.New("plain")
	if VisibleError(nil) != nil || VisibleError(plain) != plain {
		t.Error("an error that is fit to be printed becomes another")
	}
	bad := errors.New("::file \x1b[2Jx\n::error::y")
	if got := VisibleError(bad); got.Error() != `::file \u001b[2Jx`+"\n| ::error::y" || !errors.Is(got, bad) {
		t.Errorf("it says %q", got)
	}
}
