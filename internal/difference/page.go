package difference

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"regexp"
)

// embedded is a picture that stands inside of a page.
var embedded = regexp.MustCompile(`data:image/png;base64,([A-Za-z0-9+/]+=*)`)

// longDigest is a digest: it differs wherever what it is of does, by however
// little. That is compared itself.
var longDigest = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// comparePage returns the first difference of two HTML pages: in their text, or in
// the pixels of the pictures inside. Equal says that there is none beyond the
// tolerance; without a tolerance pages that are not equal always have one.
func comparePage(was, now []byte, t Tolerance) *Found {
	a, b := embedded.FindAllSubmatch(was, -1), embedded.FindAllSubmatch(now, -1)
	if len(a) == len(b) {
		for i := range a {
			if bytes.Equal(a[i][1], b[i][1]) {
				continue
			}
			if f := comparePictures(a[i][1], b[i][1], t); f != nil {
				f.Where = fmt.Sprintf("picture %d, %s", i+1, f.Where)
				return f
			}
		}
	}
	// A picture leaves its line: what follows keeps its place.
	text := func(page []byte) []byte {
		page = embedded.ReplaceAll(page, []byte("data:image/png"))
		if !t.exact() {
			page = longDigest.ReplaceAll(page, []byte("[digest]"))
		}
		return page
	}
	wasText, nowText := text(was), text(now)
	if !bytes.Equal(wasText, nowText) {
		return compareText(wasText, nowText, t)
	}
	if t.exact() {
		return compareText(was, now, t)
	}
	return nil
}

// comparePictures compares two embedded pictures by their pixels, or as they are
// written where they are none.
func comparePictures(was, now []byte, t Tolerance) *Found {
	a, errA := base64.StdEncoding.DecodeString(string(was))
	b, errB := base64.StdEncoding.DecodeString(string(now))
	if errA != nil || errB != nil {
		return compareBytes(was, now)
	}
	return Bytes("picture.png", a, b, t)
}
