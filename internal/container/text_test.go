package container

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// The base64 of a picture is no text, wherever it stands and however it is read;
// all that is not of it is.
func TestWithoutPictures(t *testing.T) {
	long := strings.Repeat("prose ", 30_000) // more than one buffer
	for _, c := range []struct{ text, want string }{
		{"", ""},
		{"prose", "prose"},
		{`a;base64,iVBORw0KGgoAAAA+/9==" b`, `a;base64,iVBORw0KGg==" b`},
		{`a;base64,iVBORw0KGgo of b`, `a;base64,iVBORw0KGg of b`},
		{`a;base64,iVBORw0KGgoAAA`, `a;base64,iVBORw0KGg`},
		{`a;base64,AAAA`, `a;base64,AAAA`},
		{`a;base64,iVBORw0KG`, `a;base64,iVBORw0KG`},
		{`;base64,iVBORw0KGgA";base64,iVBORw0KGgB"`, `;base64,iVBORw0KGg";base64,iVBORw0KGg"`},
		{long + `;base64,iVBORw0KGg` + strings.Repeat("A", 200_000) + `"` + long, long + `;base64,iVBORw0KGg"` + long},
	} {
		for name, r := range map[string]io.Reader{
			"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)), "with the end": iotest.DataErrReader(strings.NewReader(c.text)),
		} {
			got, err := io.ReadAll(withoutPictures(r))
			if err != nil || !bytes.Equal(got, []byte(c.want)) {
				t.Errorf("%.60q, %s: %.60q, %v", c.text, name, got, err)
			}
		}
	}
	if _, err := io.ReadAll(withoutPictures(iotest.ErrReader(io.ErrUnexpectedEOF))); err == nil {
		t.Error("an error of the reader is lost")
	}
}
