package difference

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestBytes(t *testing.T) {
	const (
		hash  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		other = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	)
	for _, c := range []struct {
		name, file, was, now string
		exact, near          string // "": no difference
	}{
		{"equal", "a.json", `{"a": 1}`, `{"a": 1}`, "", ""},
		{"number", "a.json", `{"a": {"b c": [1, 2.5]}}`, `{"a": {"b c": [1, 2.75]}}`,
			`$.a["b c"][1]: 2.5, now 2.75`, `$.a["b c"][1]: 2.5, now 2.75`},
		{"last bits", "a.json", `{"a": 0.8477948515872703}`, `{"a": 0.8477948515872705}`,
			`$.a: 0.8477948515872703, now 0.8477948515872705`, ""},
		{"near zero", "a.json", `[0]`, `[1e-17]`, `$[0]: 0, now 1e-17`, ""},
		{"digests", "a.json", `["` + hash + `", "x"]`, `["` + other + `", "x"]`,
			`$[0]: "0123456789abcdef0123456789abcdef01234567…", now "1123456789abcdef0123456789abcdef01234567…"`, ""},
		{"type", "a.json", `{"a": null}`, `{"a": "x"}`, `$.a: null, now "x"`, `$.a: null, now "x"`},
		{"shape", "a.json", `{"a": [1]}`, `{"a": {}}`, `$.a: an array, now an object`, `$.a: an array, now an object`},
		{"member", "a.json", `{"a": 1, "b": 2}`, `{"a": 1, "c": 2}`, `$: member "b", now member "c"`, `$: member "b", now member "c"`},
		{"more", "a.json", `{"a": [1, 2]}`, `{"a": [1]}`, `$.a: a further element, now none`, `$.a: a further element, now none`},
		{"spelling", "a.json", "{\"a\": 1}", "{\"a\":\n1}", `line 1, column 6: " 1}", now the end of the line`, ""},
		{"number of another form", "a.json", `[1]`, `[1.0]`, `$[0]: 1, now 1.0`, ""},
		{"no JSON", "a.json", "{1", "{2", `line 1, column 2: "1", now "2"`, `line 1, column 2: "1", now "2"`},
		{"something behind", "a.json", "[1]", "[1] x", `line 1, column 4: the end of the file, now " x"`, `line 1, column 4: the end of the file, now " x"`},

		{"text", "a.tex", "one\ntwö 0.81\n", "one\ntwö 0.83\n", `line 2, column 8: "1", now "3"`, `line 2, column 5: "0.81", now "0.83"`},
		{"rounding", "a.tex", "x 0.12 & 12.5", "x 0.13 & 12.4", `line 1, column 6: "2 & 12.5", now "3 & 12.4"`, ""},
		{"count", "a.tex", "n = 62", "n = 63", `line 1, column 6: "2", now "3"`, `line 1, column 5: "62", now "63"`},
		{"words", "a.tex", "a 1.0 b", "a 1.0 c", `line 1, column 7: "b", now "c"`, `line 1, column 7: "b", now "c"`},
		{"sign", "a.tex", "-1.0", "1.0", `line 1, column 1: "-1.0", now "1.0"`, `line 1, column 1: "-1.0", now "1.0"`},
		{"shorter", "a.tex", "a\n1.0\n", "a\n", `line 2, column 1: "1.0", now the end of the file`, `line 2, column 1: "1.0", now the end of the file`},
		{"within a character", "a.txt", "é", "è", `line 1, column 1: "é", now "è"`, `line 1, column 1: "é", now "è"`},

		{"bytes", "a.bin", "a\x00b", "a\x00c", "byte 2: 0x62, now 0x63", "byte 2: 0x62, now 0x63"},
		{"cut", "a.bin", "a\x00b", "a\x00", "byte 2: 0x62, now the end of the file", "byte 2: 0x62, now the end of the file"},
		{"no picture", "a.png", "a\x00b", "a\x00c", "byte 2: 0x62, now 0x63", "byte 2: 0x62, now 0x63"},
	} {
		for _, how := range []struct {
			t    Tolerance
			want string
		}{{Tolerance{}, c.exact}, {Platforms, c.near}} {
			got := ""
			if f := Bytes(c.file, []byte(c.was), []byte(c.now), how.t); f != nil {
				got = f.String()
			}
			if diff := cmp.Diff(how.want, got); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", c.name, how.t, diff)
			}
		}
	}
}

// picture is 3 by 2 pixels, all white but one.
func picture(t *testing.T, level png.CompressionLevel, c color.Color, width int) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, width, 2))
	for i := range img.Pix {
		img.Pix[i] = 0xff
	}
	img.Set(2, 1, c)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: level}).Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPNG(t *testing.T) {
	grey := func(v uint8) color.Color { return color.NRGBA{v, v, v, 0xff} }
	was := picture(t, png.BestSpeed, grey(100), 3)
	for _, c := range []struct {
		name        string
		now         []byte
		exact, near string
	}{
		{"a little darker", picture(t, png.BestSpeed, grey(92), 3), "pixel (2, 1): #646464, now #5c5c5c", ""},
		{"darker", picture(t, png.BestSpeed, grey(91), 3), "pixel (2, 1): #646464, now #5b5b5b", "pixel (2, 1): #646464, now #5b5b5b"},
		{"transparent", picture(t, png.BestSpeed, color.NRGBA{100, 100, 100, 0x80}, 3), "pixel (2, 1): #646464, now #64646480", "pixel (2, 1): #646464, now #64646480"},
		{"wider", picture(t, png.BestSpeed, grey(100), 4), "size: 3 by 2 pixels, now 4 by 2 pixels", "size: 3 by 2 pixels, now 4 by 2 pixels"},
	} {
		for _, how := range []struct {
			t    Tolerance
			want string
		}{{Tolerance{}, c.exact}, {Platforms, c.near}} {
			got := ""
			if f := Bytes("x.png", was, c.now, how.t); f != nil {
				got = f.String()
			}
			if got != how.want {
				t.Errorf("%s, %+v: %q, want %q", c.name, how.t, got, how.want)
			}
		}
	}
	again := picture(t, png.NoCompression, grey(100), 3)
	if f := Bytes("x.png", was, again, Tolerance{}); f == nil || filepath.Ext(f.Where) != "" || !bytes.Contains([]byte(f.Where), []byte("(all pixels are equal)")) {
		t.Errorf("other bytes of the same picture: %v", f)
	}
	if f := Bytes("x.png", was, again, Platforms); f != nil {
		t.Errorf("other bytes of the same picture, with a tolerance: %v", f)
	}
}

func TestPage(t *testing.T) {
	page := func(text string, shade uint8) []byte {
		return fmt.Appendf(nil, "<p>%s</p>\n<img src=\"data:image/png;base64,%s\" alt=\"x\">\n<p>end</p>", text,
			base64.StdEncoding.EncodeToString(picture(t, png.BestSpeed, color.NRGBA{shade, shade, shade, 0xff}, 3)))
	}
	const (
		hash  = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		other = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	)
	was := page("0.81 "+hash, 100)
	for _, c := range []struct {
		name        string
		now         []byte
		exact, near string
	}{
		{"pixel", page("0.81 "+hash, 50), "picture 1, pixel (2, 1): #646464, now #323232", "picture 1, pixel (2, 1): #646464, now #323232"},
		{"a little darker", page("0.81 "+hash, 99), "picture 1, pixel (2, 1): #646464, now #636363", ""},
		{"number", page("0.83 "+hash, 100), `line 1, column 7: "1 0123456789abcdef0123456789abcdef012345…", now "3 0123456789abcdef0123456789abcdef012345…"`,
			`line 1, column 4: "0.81 [digest]</p>", now "0.83 [digest]</p>"`},
		{"rounding", page("0.82 "+hash, 100), `line 1, column 7: "1 0123456789abcdef0123456789abcdef012345…", now "2 0123456789abcdef0123456789abcdef012345…"`, ""},
		{"digest", page("0.81 "+other, 100), `line 1, column 9: "0123456789abcdef0123456789abcdef01234567…", now "1123456789abcdef0123456789abcdef01234567…"`, ""},
		{"no picture", []byte("<p>0.81 " + hash + "</p>\n"), `line 2, column 1: "<img src=\"data:image/png\" alt=\"x\">", now the end of the file`,
			`line 2, column 1: "<img src=\"data:image/png\" alt=\"x\">", now the end of the file`},
	} {
		for _, how := range []struct {
			t    Tolerance
			want string
		}{{Tolerance{}, c.exact}, {Platforms, c.near}} {
			got := ""
			if f := Bytes("x.html", was, c.now, how.t); f != nil {
				got = f.String()
			}
			if diff := cmp.Diff(how.want, got); diff != "" {
				t.Errorf("%s, %+v (-want +got):\n%s", c.name, how.t, diff)
			}
		}
	}
	damaged := bytes.Replace(was, []byte("base64,iVBOR"), []byte("base64,AAAAA"), 1)
	if f := Bytes("x.html", was, damaged, Platforms); f == nil {
		t.Error("a damaged picture goes unnoticed")
	}
}

// What is not equal differs somewhere, whatever kind its name says it is of.
func TestEveryDifferenceIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
			rapid.StringMatching(`\{"a": \[[0-9]{1,2}(, [0-9.]{1,3})?\]\}`),
			rapid.StringMatching(`([a-z] [0-9]\.[0-9]{1,2}\n){0,2}`),
		)
		was, now := text.Draw(t, "was"), text.Draw(t, "now")
		name := "x" + rapid.SampledFrom([]string{".json", ".png", ".tex", ".html", ".bin"}).Draw(t, "ending")
		if f := Bytes(name, []byte(was), []byte(now), Tolerance{}); (f == nil) != (was == now) {
			t.Errorf("%q and %q: %v", was, now, f)
		}
		if f := Bytes(name, []byte(was), []byte(now), Platforms); f != nil && was == now {
			t.Errorf("%q twice: %v", was, f)
		}
	})
}

func TestNear(t *testing.T) {
	for _, c := range []struct {
		a, b        float64
		exact, near bool
	}{
		{1, 1, true, true},
		{1, 1 + 1e-10, false, true},
		{1, 1 + 1e-8, false, false},
		{1e-13, -1e-13, false, true},
		{0, math.Copysign(0, -1), false, true},
		{math.NaN(), math.NaN(), true, true},
		{math.Inf(1), math.Inf(1), true, true},
		{math.Inf(1), math.Inf(-1), false, false},
		{math.Inf(1), math.MaxFloat64, false, false},
		{math.NaN(), 1, false, false},
	} {
		if got := (Tolerance{}).Near(c.a, c.b); got != c.exact {
			t.Errorf("%v and %v, exactly: %v", c.a, c.b, got)
		}
		if got := Platforms.Near(c.a, c.b); got != c.near {
			t.Errorf("%v and %v, nearly: %v", c.a, c.b, got)
		}
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	a, b := write("a", "[1]"), write("b", "[2]")
	if f, err := Files("x.json", a, b, Tolerance{}); err != nil || f == nil || f.Where != "$[0]" {
		t.Errorf("%v, %v", f, err)
	}
	if _, err := Files("x.json", a, filepath.Join(dir, "none"), Tolerance{}); err == nil {
		t.Error("a missing file is no error")
	}
}
