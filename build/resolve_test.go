package build

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"
)

// Of a pattern that thousands of files match the error names the one that cannot be
// read, as its ref does: without the place of the root on this machine.
func TestErrorOfPatternNamesTheFile(t *testing.T) {
	root := t.TempDir()
	denied := func(path string) error { return &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES} }
	file, many := &input{top: root, Input: Input{pattern: "f"}}, &input{top: root, glob: new(pattern)}
	for _, c := range []struct {
		in   *input
		err  error
		want string
	}{
		{many, denied(filepath.Join(root, "1", "meta.yaml")), "1/meta.yaml: permission denied"},
		{many, denied("1/meta.yaml"), "1/meta.yaml: permission denied"},
		{many, denied(filepath.Dir(root)), "permission denied"},
		{many, errors.New("other"), "other"},
		{file, denied(file.abs()), "permission denied"},
	} {
		got := c.in.plainError(c.err)
		if got.Error() != c.want || errors.Is(c.err, syscall.EACCES) != errors.Is(got, syscall.EACCES) {
			t.Errorf("%v: %q, want %q", c.err, got, c.want)
		}
	}
}
