package container

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/packtest"
)

// filler keeps what stands behind it from being written as it is.
var filler = func() string {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "row %d of %d\n", i, i*i)
	}
	return b.String()
}()

const packedText = "row 17 hidden within of 289"

func zlibbed(t testing.TB, level int) []byte {
	return packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriterLevel(w, level) }, []byte(filler+packedText))
}

// The head of zlib says how hard it tried and how far it looks back.
func TestZlibOfAllKinds(t *testing.T) {
	for level := 0; level <= 9; level++ {
		s, err := walked(t, zlibbed(t, level))
		if err != nil || !strings.Contains(s.text, packedText) {
			t.Errorf("level %d: error %v", level, err)
		}
	}
	for window := 0; window <= 7; window++ {
		data := zlibbed(t, 9)
		data[0] = byte(window<<4 | 8)
		for data[1] = 0; (int(data[0])<<8|int(data[1]))%31 != 0; data[1]++ {
		}
		s, err := walked(t, data)
		if err != nil || !strings.Contains(s.text, packedText) {
			t.Errorf("window %d (%x): error %v", window, data[:2], err)
		}
	}
	short := zlibbed(t, 9)
	copy(short, "x^")
	s, err := walked(t, short)
	if err != nil || !strings.Contains(s.text, packedText) {
		t.Errorf("x^: error %v", err)
	}
	for _, text := range []string{"x^2 + y^2 = 1", "x^", "XG", "HC and others, in prose that goes on " + filler, "x^2" + filler} {
		if s, err := walked(t, []byte(text)); err != nil || !strings.Contains(s.text, text) {
			t.Errorf("%.20q: error %v", text, err)
		}
	}
}

func TestFormatsBySomeOfTheirHeads(t *testing.T) {
	for name, head := range map[string]string{
		"lzma, 64 MB":  "\x5d\x00\x00\x00\x04\xff\xff\xff\xff\xff\xff\xff\xff\x00",
		"lzma, 256 KB": "\x5d\x00\x00\x04\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00",
		"Arrow stream": "\xff\xff\xff\xff\x78\x00\x00\x00\x10\x00\x00\x00\x00\x00\x0a\x00",
		"ORC":          "ORC\x0a\x13\x0a\x03\x00\x00\x00\x12\x0c\x08\x02",
		"lzop":         "\x89LZO\x00\r\n\x1a\n\x10\x30",
	} {
		var refused *Error
		if _, err := walked(t, []byte(head+filler)); !errors.As(err, &refused) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, text := range []string{"ORCID 0000-0002", "ORC and others\n"} {
		if _, err := walked(t, []byte(text)); err != nil {
			t.Errorf("%q: error %v", text, err)
		}
	}
}

// Tar had no mark before POSIX, and some programs write that form still.
func TestTarWithoutMark(t *testing.T) {
	data := gzipped(t, []byte(filler+packedText))
	head := make([]byte, 512)
	copy(head, "f.gz")
	copy(head[100:], "0000644\x00")
	copy(head[108:], "0000000\x00")
	copy(head[116:], "0000000\x00")
	copy(head[124:], fmt.Sprintf("%011o\x00", len(data)))
	copy(head[136:], "00000000000\x00")
	copy(head[148:], "        0")
	sum := 0
	for _, c := range head {
		sum += int(c)
	}
	copy(head[148:], fmt.Sprintf("%06o\x00 ", sum))
	archive := append(append(head, data...), make([]byte, 512-len(data)%512+1024)...)
	s, err := walked(t, archive)
	if err != nil || !strings.Contains(s.text, packedText) {
		t.Errorf("error %v", err)
	}
}

// Strings of JSON and other languages, addresses and attributes write ends of lines and
// some characters of base64 in their own ways.
func TestBase64WithinStrings(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
		t.Fatal(err)
	}
	end := picture.Len() - len(chunk("IEND", ""))
	text := chunk("zTXt", "Comment\x00\x00"+string(zlibbed(t, 6)))
	withText := append(append(bytes.Clone(picture.Bytes()[:end]), text...), picture.Bytes()[end:]...)

	packed := map[string][]byte{"gzip": gzipped(t, []byte(filler+packedText)), "picture": withText}
	for level := range 10 {
		if level > 0 { // what is stored only is no text in base64 either, but not packed
			packed[fmt.Sprint("zlib ", level)] = zlibbed(t, level)
		}
	}
	for name, data := range packed {
		plain := base64.StdEncoding.EncodeToString(data)
		var lines strings.Builder
		for rest := plain; rest != ""; {
			n := min(76, len(rest))
			lines.WriteString(rest[:n] + "\n")
			rest = rest[n:]
		}
		inJSON, err := json.Marshal(map[string]string{"data": lines.String()})
		if err != nil {
			t.Fatal(err)
		}
		replaced := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(lines.String()) }
		for how, text := range map[string]string{
			"lines":             lines.String(),
			"lines in JSON":     string(inJSON),
			"lines of Windows":  `"` + replaced("\n", `\r\n`) + `"`,
			"slashes":           `"` + strings.ReplaceAll(plain, "/", `\/`) + `"`,
			"JSON for pages":    `"` + replaced("\n", `\n`, "+", `\u002b`, "/", `\u002F`) + `"`,
			"address":           "?d=" + replaced("\n", "%0A", "+", "%2B", "/", "%2f", "=", "%3D"),
			"data URI, address": "data:x/y;base64," + replaced("\n", "", "+", "%2B", "/", "%2F"),
			"attribute":         `<a d="` + replaced("\n", "&#10;", "+", "&#43;", "/", "&#x2F;") + `">`,
		} {
			s, err := walked(t, []byte(text))
			if err != nil || !strings.Contains(s.text, packedText) {
				t.Errorf("%s, %s: error %v", name, how, err)
			}
		}
	}
}
