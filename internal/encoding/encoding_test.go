package encoding

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"html"
	"io"
	"math/rand/v2"
	"mime/quotedprintable"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
)

// all is what a text is read as, in one.
func all(t testing.TB, text []byte) (read string, guesses string) {
	t.Helper()
	err := Read(bytes.NewReader(text), func(r Reading, text []byte) error {
		if r.How == "" {
			t.Error("a reading that does not say what it is")
		}
		if r.Guess {
			guesses += string(text) + "\n"
		} else {
			read += string(text) + "\n"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return read, guesses
}

func TestRead(t *testing.T) {
	const code = "subject-41"
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	if _, err := w.Write([]byte(strings.Repeat("é", 11) + code)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	each := func(form func(c byte) string) string {
		var b strings.Builder
		for _, c := range []byte(code) {
			b.WriteString(form(c))
		}
		return b.String()
	}
	in := func(base, width int, prefix, suffix string) string {
		return each(func(c byte) string {
			digits := strconv.FormatInt(int64(c), base)
			return prefix + strings.Repeat("0", max(0, width-len(digits))) + digits + suffix
		})
	}
	for name, text := range map[string]string{
		"JSON":                      `{"a": "` + in(16, 4, `\u`, "") + `"}`,
		"JSON, partly":              `"sub\u006aect\u002D41"`,
		"JSON, twice":               in(16, 4, `\\u`, ""),
		"JavaScript":                in(16, 2, `\x`, ""),
		"JavaScript, braces":        in(16, 1, `\u{`, "}"),
		"Perl":                      in(16, 1, `\x{`, "}"),
		"Python":                    in(16, 8, `\U`, ""),
		"octal":                     in(8, 3, `\`, ""),
		"line that goes on":         "sub\\\nject\\\r\n-41",
		"decimal":                   in(10, 1, "&#", ";"),
		"hexadecimal":               in(16, 1, "&#x", ";"),
		"hexadecimal, zeros":        in(16, 6, "&#X", ";"),
		"no semicolon":              "&#115ubject-41",
		"named":                     "subject&hyphen;41",
		"soft hyphens":              "sub&shy;ject&#173;-\u00ad41",
		"nothing between":           "sub\u200bject&#8203;-&zwnj;4\ufeff1",
		"other hyphen":              "subject\u201141",
		"dash of ranges":            "subject\u201341",
		"full width":                "ｓｕｂｊｅｃｔ－４１",
		"percent":                   in(16, 2, "%", ""),
		"percent, partly":           "?of=subject%2d41",
		"percent, u":                in(16, 4, "%u", ""),
		"CSS":                       in(16, 1, `\`, " "),
		"CSS, six digits":           in(16, 6, `\`, ""),
		"quoted-printable":          quoted.String(),
		"quoted-printable, letters": in(16, 2, "=", ""),
		"base64":                    base64.StdEncoding.EncodeToString([]byte("of " + code)),
		"base64, lines":             "x " + base64.StdEncoding.EncodeToString([]byte("of subject-"))[:13] + "\r\n" + base64.StdEncoding.EncodeToString([]byte("of subject-41"))[13:],
		"base64, behind a word":     "some/" + base64.RawURLEncoding.EncodeToString([]byte(code)),
		"base64, from JSON":         strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte("??>"+code)), "/", `\/`),
		"base64 of UTF-16":          base64.StdEncoding.EncodeToString([]byte("s\x00u\x00b\x00j\x00e\x00c\x00t\x00-\x004\x001\x00")),
		"hexadecimal digits":        "0x" + hex.EncodeToString([]byte(code)),
		"hexadecimal, lines":        "a" + hex.EncodeToString([]byte(code))[:9] + "\n" + hex.EncodeToString([]byte(code))[9:],
		"elements":                  "<text>sub<tspan>ject</tspan><!-- x -->-<tspan dx='1'>4</tspan>1</text>",
		"spans":                     `<p>see <b>sub</b><span title="a>b">ject</span>-<I>41</I></p>`,
		"placed":                    `<text x="0" y="9" font-size="10">sub</text><text x="17" y="9">ject-41</text>`,
		"letters placed":            `<tspan x="0" y="9">s</tspan><tspan x="8" y="9">u</tspan><tspan x="16" y="9">bject-41</tspan>`,
		"raised":                    `<text x="0" y="9">subject<tspan dy="-2">-41</tspan></text>`,
		"CDATA":                     "<a><![CDATA[sub]]><i>ject-41</i></a>",
		"Word":                      `<w:t>sub</w:t></w:r><w:proofErr w:type="x"/><w:r><w:rPr><w:b/></w:rPr><w:t>ject-41</w:t>`,
		"spreadsheet":               `<si><r><t>sub</t></r><r><rPr/><t>ject-41</t></r></si>`,
		"page in JSON":              `"\u003cb\u003esub\u003c/b\u003eject-41"`,
		"page in a page":            html.EscapeString(html.EscapeString("<b>sub</b>ject-41")),
		"address in a page":         "?of=" + url.QueryEscape(html.EscapeString("sub<i>ject-41")),
		"TeX, broken":               `sub\-ject\allowbreak -{}4\/1`,
		"TeX, groups":               `{\bfseries sub}\textit{ject}{-}41`,
		"TeX, numbers":              `\char115 \char"75 \char'142{}\symbol{106}\char` + "`e" + `\char` + "`\\c" + `t-41`,
		"TeX, carets":               `^^73^^75b^^^^006aect-41`,
		"TeX, 64 away":              "^^3ubject-41",
		"TeX, comment":              "sub% a comment\n   ject-41",
		"TeX, spaces":               `sub\hspace{0pt}ject\kern-1pt-\discretionary{-}{}{}4\textcolor[rgb]{red}1`,
		"TeX, mathematics":          `subject-$41$`,
		"TeX, underscore":           `sub\hskip 0pt{}ject\texthyphen 41`,
		"UTF-16 LE, escaped":        strings.Join(strings.Split("sub&#106;ect-41", ""), "\x00") + "\x00",
		"UTF-16 BE, escaped":        "x\x00" + strings.Join(strings.Split(`sub\u006aect-41`, ""), "\x00"),
		"UTF-16 LE, elements":       strings.Join(strings.Split("<b>sub</b>ject-41", ""), "\x00") + "\x00",
		"UTF-32 LE":                 each(func(c byte) string { return string([]byte{c, 0, 0, 0}) }),
		"UTF-32 BE, shifted":        "x" + each(func(c byte) string { return string([]byte{0, 0, 0, c}) }),
	} {
		read, guesses := all(t, []byte(text))
		want := []string{code}
		if name == "base64 of UTF-16" {
			want = []string{"s\x00u\x00b\x00j\x00e\x00c\x00t\x00-\x004\x001"}
		}
		for _, w := range want {
			if !strings.Contains(read+guesses, w) {
				t.Errorf("%s: %q is read as %q and %q", name, text, read, guesses)
			}
		}
		if strings.Contains(text, code) {
			t.Errorf("%s: the text holds the code as it is", name)
		}
	}
}

// What stands apart for a reader stays apart.
func TestReadApart(t *testing.T) {
	for _, text := range []string{
		"<td>ABC</td><td>2019</td>", "ABC<br>2019", "<li>ABC<li>2019", `<text x="0" y="9">ABC</text><text x="99" y="9">2019</text>`,
		`<text x="0" y="9">ABC</text><text x="0" y="29">2019</text>`, `<text x="0" y="9">ABC<tspan x="0" dy="16">2019</tspan></text>`,
		`<w:p><w:t>ABC</w:t></w:p><w:p><w:t>2019</w:t></w:p>`, `<si><t>ABC</t></si><si><t>2019</t></si>`,
		`ABC \textit{2019}`, `ABC & 2019 \\`, "ABC\n% comment\n2019", `"ABC\n2019"`, "ABC&nbsp;2019", "ABC%202019", "ABC&#10;2019",
		`<g transform="translate(1)"><text>ABC</text></g><g><text>2019</text></g>`,
	} {
		if read, _ := all(t, []byte(text)); strings.Contains(read, "ABC2019") {
			t.Errorf("%q is read as one word", text)
		}
	}
}

// What has no notation costs nothing and is shown in no other way.
func TestReadNothing(t *testing.T) {
	for _, text := range []string{"", "a, b", "0.123456789,1.5e-07\n-3,4", `{"a":1,"b":[2,3]}`, "a < b > c && d", "100 % of 5 & 6", "é ö \u2026 \u4e2d", "\xff\xfe\x80"} {
		read, guesses := all(t, []byte(text))
		if read != "" || guesses != "" {
			t.Errorf("%q is read as %q and %q", text, read, guesses)
		}
	}
}

// A text is read as a whole, however long it is and wherever a window ends.
func TestReadLong(t *testing.T) {
	const escaped = `\u0073\u0075\u0062ject`
	for _, before := range []int{0, window - 1, window - 9, window - len(escaped), window, 2*window - overlap - 3, 3 * window} {
		text := strings.Repeat(".", before) + escaped + strings.Repeat(".", window)
		found := false
		err := Read(iotest.HalfReader(strings.NewReader(text)), func(_ Reading, read []byte) error {
			found = found || bytes.Contains(read, []byte("subject"))
			return nil
		})
		if err != nil || !found {
			t.Errorf("behind %d bytes: found %v, error %v", before, found, err)
		}
	}
	stop := errors.New("stop")
	if err := Read(strings.NewReader(escaped), func(Reading, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	if err := Read(iotest.ErrReader(stop), func(Reading, []byte) error { return nil }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

// A text that is random, and one that is made to be read in as many ways as can be.
func TestReadBounds(t *testing.T) {
	random := make([]byte, 3*window/2)
	r := rand.NewChaCha8([32]byte{1})
	if _, err := r.Read(random); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"random": random, "base64": []byte(base64.StdEncoding.EncodeToString(random)), "hexadecimal": []byte(hex.EncodeToString(random)),
		"dense": bytes.Repeat([]byte(`<b x="1">a &amp;\u0041 \101 =41 %41</b>{"b"}\-`), 8_000),
	} {
		if err := Read(bytes.NewReader(text), func(Reading, []byte) error { return nil }); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a text is, its readings end: in number, and in size beside it.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"a": "\u0070\ud83d\ude00\x41\101\u{41}\U00000041 \41 "}`, "&amp;&#80;&#x50;&nope;&shy;%50%u0050=50=\r\n", "UExSMTIzNA==", "504c52313233340a", "<text x='1' y=\"2\"><tspan dy='1'>a</tspan></text><!-- --><?x?><![CDATA[",
		`\char80\char"50{}\symbol{80}^^50^^^^0050\hspace{1pt}\-\discretionary{-}{}{}$a$%c`, "P\x00\x00\x00L\x00\x00\x00", "\x00\x00\x00P", "\\", "&", "%", "=", "<", "^^", "<a", "\\u{", "&#",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var first [][]byte
		err := Each(slices.Clone(text), func(_ Reading, read []byte) error {
			if len(read) > 40*len(text)+100 {
				t.Fatalf("%d bytes are read as %d", len(text), len(read))
			}
			first = append(first, slices.Clone(read))
			return nil
		})
		if err != nil && !errors.Is(err, ErrNested) {
			t.Fatal(err)
		}
		again := 0
		err = Each(text, func(_ Reading, read []byte) error {
			if !bytes.Equal(read, first[again]) {
				t.Fatal("a second time it is read in another way")
			}
			again++
			return nil
		})
		if err != nil && !errors.Is(err, ErrNested) || again != len(first) {
			t.Fatal(err)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for name, text := range map[string]string{
		"CSV":  strings.Repeat("0.123456789012345,17,H001,probability_distributions,-1.5e-07\n", 1<<14),
		"JSON": strings.Repeat(`{"config_id": 12, "auroc": 0.123456789012345, "method": "outlier\u002dfree"},`+"\n", 1<<14),
		"HTML": strings.Repeat(`<tr class="used"><td>RUN &amp; name</td><td>0.123456789</td></tr>`+"\n", 1<<14),
		"TeX":  strings.Repeat(`\textbf{CatBoost} & 0.911 (0.88--0.94) & $-0.02$ \\ % comment`+"\n", 1<<14),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			n := 0
			for b.Loop() {
				n = 0
				if err := Read(strings.NewReader(text), func(_ Reading, read []byte) error { n += len(read); _, err := io.Discard.Write(read); return err }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/float64(len(text)), "read/text")
		})
	}
}

// What does not show parts no letters, and what looks like a letter is one.
func TestReadWhatDoesNotShow(t *testing.T) {
	const code = "subject-41"
	between := func(s string) string { return strings.Join(strings.Split(code, ""), s) }
	variant := func(letters, digits rune) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return letters + r - 'a'
			case r >= '0' && r <= '9':
				return digits + r - '0'
			}
			return r
		}, code)
	}
	for name, text := range map[string]string{
		"isolates":          between("\u2068") + "\u2069",
		"Arabic mark":       between("\u061c"),
		"Mongolian":         between("\u180e"),
		"shaping":           between("\u206a"),
		"variations":        between("\U000e0100"),
		"tags":              between("\U000e0020"),
		"fillers":           between("\u3164"),
		"control":           between("\x01"),
		"backspace":         between("\b"),
		"C1":                between("\u0080"),
		"NUL":               "a text that is long enough for one to be no other encoding: subject-\x0041",
		"colours":           between("\x1b[1;31m"),
		"keys":              "subject-4\ufe0f\u20e31\ufe0f\u20e3",
		"bold":              variant(0x1d41a, 0x1d7ce),
		"typewriter":        variant(0x1d68a, 0x1d7f6),
		"raised":            "subject-⁴¹",
		"in circles":        "subject-④①",
		"dash of sentences": "subject\u201441",
		"bullet":            "subject\u204341",
		"small hyphen":      "subject\ufe6341",
		"reference":         "subject&mdash;41",
		"Word's hyphen":     "<w:t>subject</w:t><w:noBreakHyphen/><w:t>41</w:t>",
		"TeX":               `\textbf{subject}--41`,
	} {
		if read, _ := all(t, []byte(text)); !strings.Contains(read, code) {
			t.Errorf("%s: %q is read as %q", name, text, read)
		}
	}
	if read, _ := all(t, []byte("re\u0301sume\u0301")); !strings.Contains(read, "résumé") {
		t.Errorf("accents that stand apart are read as %q", read)
	}
}
