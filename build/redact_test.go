package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a step hides is shown by neither console nor decisions, and is in its log and
// in the private history.
func TestRedactOfStep(t *testing.T) {
	s := newSpace(t)
	secret := filepath.Join(s.dir, "secret")
	s.opt.Roots["secret"] = Root{Path: secret, Private: true}
	s.opt.PrivateCache = filepath.Join(secret, "cache")
	s.steps = []Step{{
		Name: "a", Inputs: []Input{File("secret", "of ada.pickle")}, Outputs: []Output{Out("secret", "out")},
		Redact: func(text string) string { return strings.ReplaceAll(text, "ada", "[its name]") },
		Run: func(_ context.Context, t *Task) error {
			if text, err := os.ReadFile(t.Path(Ref{"secret", "of ada.pickle"})); err != nil || string(text) != "good" {
				return errors.Join(err, errors.New("the pickle of ada is bad"))
			}
			return os.WriteFile(t.Out(Ref{"secret", "out"}), nil, 0o600)
		},
	}}
	kept := func(where string) {
		t.Helper()
		found := false
		err := filepath.WalkDir(s.opt.PrivateCache, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			found = found || strings.Contains(string(text), where)
			return err
		})
		if err != nil || !found {
			t.Errorf("nothing private says %q: error %v", where, err)
		}
	}
	if got := s.reasons(); !strings.Contains(got, "cannot run: input secret:of [its name].pickle") {
		t.Errorf("a dry run says %q", got)
	}
	s.fails("failed a", "input secret:of [its name].pickle")
	kept("input secret:of ada.pickle")
	s.write("secret/of ada.pickle", "bad")
	s.fails("failed a", "the pickle of [its name] is bad")
	kept("the pickle of ada is bad")
	s.write("secret/of ada.pickle", "good")
	if got, err := s.build(); err != nil || got != "ran a" {
		t.Errorf("%q, error %v", got, err)
	}
	s.write("secret/of ada.pickle", "other")
	if got := s.reasons(); !strings.Contains(got, "input secret:of [its name].pickle changed") {
		t.Errorf("a dry run says %q", got)
	}
	if strings.Contains(s.out.String(), "ada") {
		t.Errorf("the console says\n%s", s.out.String())
	}
}
