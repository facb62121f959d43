package nearest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0},
		{"kitten", "sitting", 3}, {"flaw", "lawn", 2}, {"abc", "acb", 2}, {"forrest", "forest", 1},
	} {
		if got := Distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	among := []string{"validate", "verify", "tables", "table", "figure", "figures", "table"}
	for name, want := range map[string][]string{
		"tabel":   {"table", "tables"}, // each once
		"figurs":  {"figure", "figures"},
		"velify":  {"verify"},
		"explain": nil,
	} {
		if diff := cmp.Diff(want, Names(name, among)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := Names("aa", []string{"ab", "ac", "ad", "ae"}); !cmp.Equal(got, []string{"ab", "ac", "ad"}) {
		t.Errorf("of four that are as near: %v", got)
	}
}
