package container

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/foundation-plr/pipeline/internal/packtest"
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

// What programs pack and put into a text in base64 is opened, wherever it stands and
// in whatever alphabet.
func TestPackedInBase64(t *testing.T) {
	const secret = "the word that is looked for"
	content := []byte(strings.Repeat("all kinds of text, ", 20) + secret)
	lines := func(digits string, n int, indent string) string {
		var b strings.Builder
		for len(digits) > n {
			b.WriteString(indent + digits[:n] + "\n")
			digits = digits[n:]
		}
		return b.String() + indent + digits + "\n"
	}
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 300)
	_, _ = random.Read(noise) // never fails
	packs := map[string][]byte{
		"gzip": gzipped(t, append(noise, content...)), "zlib": packtest.Zlib(t, append(noise, content...)),
		"zip": zipped(t, "a.txt", content),
		"few": packtest.Zlib(t, []byte(secret)),
	}
	for kind, data := range packs {
		page, err := json.Marshal(map[string]string{"a": b64(data)})
		if err != nil {
			t.Fatal(err)
		}
		for how, text := range map[string]string{
			"alone":       b64(data),
			"string":      `<script>var a="` + b64(data) + `", b=1</script>`,
			"JSON":        string(page),
			"of URLs":     "https://pako.example/#pako:" + base64.RawURLEncoding.EncodeToString(data) + " and prose",
			"MIME":        "a\n\n" + lines(b64(data), 76, "") + "\nprose",
			"PEM":         "-----BEGIN X-----\n" + lines(b64(data), 64, "") + "-----END X-----",
			"YAML":        "data: |\n" + lines(b64(data), 76, "    ") + "next: prose\n",
			"one line":    "data: " + b64(data) + "\nprose that goes on\n",
			"far behind":  strings.Repeat("prose ", 30_000) + b64(data),
			"at a border": strings.Repeat(" ", 64<<10-20) + b64(data),
			"two":         b64(packtest.Zlib(t, noise)) + " " + b64(data),
			"after a URI": `;base64,AAAA" ` + b64(data),
		} {
			if s, err := walked(t, []byte(text)); err != nil || !strings.Contains(s.text, secret) {
				t.Errorf("%s, %s: not seen; error %v", kind, how, err)
			}
		}
	}
	// Part of a word is none, nor is what only looks like one; of what can be nothing
	// else the damage is said.
	for i := range 300 {
		_, _ = random.Read(noise)
		text := fmt.Sprintf("%s%s eJ%s eN%s", "x", b64(packs["gzip"]), b64(noise[:100+i%200]), b64(noise))
		if s, err := walked(t, []byte(text)); err != nil || strings.Contains(s.text, secret) {
			t.Fatalf("%.80s…: error %v", text, err)
		}
	}
	cut := b64(packs["gzip"][:len(packs["gzip"])-9])
	var refused *Error
	if _, err := walked(t, []byte("a: "+cut+"\nb")); !errors.As(err, &refused) {
		t.Errorf("a damaged gzip file: %v", err)
	}
	if _, err := walked(t, []byte("such files begin with H4sI or UEsDB, and H4sIAAAAAAAA is one; eJournal")); err != nil {
		t.Errorf("prose: %v", err)
	}
}
