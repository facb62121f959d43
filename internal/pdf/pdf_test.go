package pdf_test

import (
	"bytes"
	"compress/gzip"
	stdlzw "compress/lzw"
	"context"
	"encoding/ascii85"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/foundation-plr/pipeline/internal/container"
	"github.com/foundation-plr/pipeline/internal/packtest"
)

// seen is what a file in a container is shown as.
type seen struct{ text, raw string }

// walked walks through contents as whoever searches does.
func walked(t testing.TB, data []byte) (s seen, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // texts lie in each other
	all := func(into *string) func(string, io.Reader) error {
		return func(_ string, r io.Reader) error {
			b, err := io.ReadAll(r)
			mu.Lock()
			defer mu.Unlock()
			*into += string(b) + "\n"
			return err
		}
	}
	err = container.Walk(context.Background(), "f", path, container.Visitor{
		Text: all(&s.text), Guess: func(string, io.Reader) error { return nil }, Raw: all(&s.raw), Temp: dir,
	})
	return s, err
}

func gzipped(t testing.TB, data []byte) []byte {
	return packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, data)
}

// document is a PDF of objects.
func document(objects ...string) []byte {
	return []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + strings.Join(objects, "\n") + "\ntrailer <</Root 1 0 R>>\nstartxref\n0\n%%EOF\n")
}

func streamed(number int, dict, data string) string {
	return fmt.Sprintf("%d 0 obj\n<<%s /Length %d>>\nstream\n%s\nendstream\nendobj", number, dict, len(data), data)
}

// fontsOf are a page's fonts: F1 as it is, F2 with names of glyphs, F3 and F4 with
// tables of characters, of one and of two bytes.
func fontsOf(t testing.TB) []string {
	table := "/CMapName /x def 1 begincodespacerange <00> <ff> endcodespacerange " +
		"2 beginbfchar <01> <0073> <02> <00750062> endbfchar 1 beginbfrange <10> <19> <0030> <20> <22> [<006a> <0065> <0063>] endbfrange"
	wide := "1 beginbfrange <0000> <ffff> <0000> endbfrange 1 beginbfchar <0007> <0073> endbfchar"
	return []string{
		"10 0 obj <</Font <</F1 11 0 R /F2 12 0 R /F3 13 0 R /F4 14 0 R /F5 <</Type /Font /Subtype /Type1 /Encoding 17 0 R>>>>>> endobj",
		"11 0 obj <</Type /Font /Subtype /Type1 /BaseFont /Helvetica>> endobj",
		"12 0 obj <</Type /Font /Subtype /Type3 /Encoding <</Differences [1 /s /u /b /j /e /c /t /hyphen /one /two.oldstyle /uni00C4]>>>> endobj",
		"13 0 obj <</Type /Font /Subtype /TrueType /ToUnicode 15 0 R>> endobj",
		"14 0 obj <</Type /Font /Subtype /Type0 /ToUnicode 16 0 R>> endobj",
		streamed(15, "", table),
		streamed(16, "/Filter /FlateDecode", string(packtest.Zlib(t, []byte(wide)))),
		"18 0 obj <</Font <</F6 <</Type /Font /Subtype /Type1 /Encoding <</Differences [1 /fi /ff /f_i]>>>>>>>> endobj",
		"17 0 obj <</Differences [65 /s /u /b /j /e /c /t]>> endobj",
	}
}

// What a reader would read is shown as a word, however it is drawn.
func TestTextOfPDF(t *testing.T) {
	for name, c := range map[string]struct{ draws, shows string }{
		"plain":              {"BT /F1 12 Tf 72 700 Td (of subject-12) Tj ET", "of subject-12"},
		"hexadecimal":        {"BT /F1 12 Tf <7375626A 6563742d31 32> Tj ET", "subject-12"},
		"odd digits":         {"BT <7375626a6563743> Tj ET", "subject0"},
		"octal":              {`BT (\163u\142ject\0551\` + "\n" + `2) Tj ET`, "subject-12"},
		"kerned":             {"BT /F1 12 Tf [(s)-20(ub)120.5(ject)15<2d31>3(2)] TJ ET", "subject-12"},
		"each its own":       {"BT (s) Tj (ub) Tj (ject-) Tj (12) Tj ET", "subject-12"},
		"moved":              {"BT /F1 10 Tf (s) Tj 5.2 0 Td (u) Tj 6 0 Td (b) Tj 6 0 Td (ject-12) Tj ET", "subject-12"},
		"placed":             {"BT /F1 1 Tf 12 0 0 12 72 700 Tm (sub) Tj 12 0 0 12 92 700 Tm (ject-12) Tj ET", "subject-12"},
		"placed, turned":     {"BT /F1 12 Tf 0 1 -1 0 72 700 Tm (sub) Tj 0 1 -1 0 72 720 Tm (ject-12) Tj ET", "subject-12"},
		"objects of text":    {"BT /F1 12 Tf 1 0 0 1 72 700 Tm (sub) Tj ET BT 1 0 0 1 92 700 Tm (ject-12) Tj ET", "subject-12"},
		"spaced letters":     {"BT /F1 10 Tf [(s)-600(u)-600(b)-600(j)] TJ ET", "subj"},
		"lines":              {`BT (one) Tj T* (two) Tj (three) ' 1 2 (four) " ET`, "one\ntwo\nthree\nfour"},
		"words":              {"BT /F1 10 Tf [(PLR)-333(2019)] TJ ET", "PLR 2019"},
		"cells":              {"BT /F1 10 Tf (PLR) Tj 90 0 Td (2019) Tj ET", "PLR 2019"},
		"below":              {"BT /F1 10 Tf (PLR) Tj 0 -12 Td (2019) Tj ET", "PLR\n2019"},
		"elsewhere":          {"BT /F1 9 Tf 9 90 Td (PLR) Tj ET q 1 0 0 1 300 0 cm BT 9 90 Td (2019) Tj ET Q", "PLR 2019"},
		"in other frames":    {"q 1 0 0 1 100 100 cm BT /F1 10 Tf (sub) Tj ET Q q 2 0 0 2 118 100 cm BT /F1 5 Tf (ject-12) Tj ET Q", "subject-12"},
		"small capitals":     {"BT /F1 1 Tf 22 0 0 22 72 700 Tm (S) Tj 17 0 0 17 87 700 Tm (UBJECT-12) Tj ET", "SUBJECT-12"},
		"narrow spaces":      {"BT /F1 14 Tf -2.45 Tw (sub j) Tj (ect-12) Tj ET", "subject-12"},
		"wide font":          {"BT /F1 10 Tf 1 0 0 1 72 700 Tm (subject) Tj 1 0 0 1 114 700 Tm (-12) Tj ET", "subject-12"},
		"font restored":      {"BT /F2 1 Tf q /F1 1 Tf Q <0102> Tj ET", "su"},
		"cut off":            {"[(a) (subject-12)", "subject-12"},
		"cut off in names":   {"/Span <</ActualText (subject-12) /B [", "subject-12"},
		"begun elsewhere":    {"(subject-12)] TJ", "subject-12"},
		"ligatures":          {`BT /F6 1 Tf (\001n-\002-\003) Tj ET`, "fin-ff-fi"},
		"glyph names":        {`BT /F2 1 Tf <01020304> Tj (\005\006\007\010\011\012\013) Tj ET`, "subject-12Ä"},
		"encoding elsewhere": {"BT /F5 1 Tf (ABCDEFG) Tj ET", "subject"},
		"table":              {"BT /F3 1 Tf <0102202122> Tj [<11>-3<12>] TJ ET", "subjec12"},
		"wide table":         {"BT /F4 1 Tf <0007> Tj [<00750062>5<006a00650063>] TJ <0074002d00310032> Tj ET", "subject-12"},
		"Latin-1":            {"BT /F1 1 Tf (\xc4-1) Tj ET", "Ä-1"},
		"stands for":         {"/Span <</ActualText (subject-12)>> BDC EMC", "subject-12"},
		"behind a picture":   {"BI /W 1 /H 1 ID (((<< EI BT (subject-12) Tj ET", "subject-12"},
		"backwards":          {"BT /F1 10 Tf 30 0 Td (ject-12) Tj -18 0 Td (sub) Tj ET", "subject-12"},
		"scattered":          {"BT /F1 10 Tf 1 0 0 1 36 9 Tm (-12) Tj 1 0 0 1 72 9 Tm (behind) Tj 1 0 0 1 0 9 Tm (sub) Tj 1 0 0 1 90 90 Tm (above) Tj 1 0 0 1 18 9 Tm (ject) Tj ET", "\nsubject-12 behind\n"},
		"scattered, turned":  {"BT /F1 10 Tf 0 1 -1 0 9 18 Tm (ject-12) Tj 0 1 -1 0 9 0 Tm (sub) Tj ET", "subject-12"},
		"letters scattered":  {"BT /F1 10 Tf 1 0 0 1 12 9 Tm (b) Tj 1 0 0 1 0 9 Tm (s) Tj 1 0 0 1 6 9 Tm (u) Tj ET q 1 0 0 1 18 9 cm BT (ject-12) Tj ET Q", "subject-12"},
		"words in order":     {"BT /F1 10 Tf 1 0 0 1 90 9 Tm (2019) Tj 1 0 0 1 9 9 Tm (PLR) Tj ET", "PLR 2019"},
		"lines in order":     {"BT /F1 10 Tf 1 0 0 1 30 9 Tm (2019) Tj 1 0 0 1 9 21 Tm (PLR) Tj ET", "PLR\n\n2019"},
		"long":               {"BT " + strings.Repeat("(x) Tj ", 200_000) + "(subject-12) Tj ET", "subject-12"},
	} {
		for packed, object := range map[string]string{
			"as it is": streamed(20, "", c.draws),
			"Flate":    streamed(20, "/Filter /FlateDecode", string(packtest.Zlib(t, []byte(c.draws)))),
		} {
			s, err := walked(t, document(append(fontsOf(t), object)...))
			if err != nil || !strings.Contains(s.text, c.shows) {
				t.Errorf("%s, %s: %q was not shown; error %v", name, packed, c.shows, err)
			}
		}
	}
}

// A page may be drawn by several streams, of which the text goes on.
func TestPagesOfPDF(t *testing.T) {
	parts := []string{streamed(20, "", "BT /F1 10 Tf 9 9 Td (sub) Tj"), streamed(21, "/Filter /FlateDecode", string(packtest.Zlib(t, []byte("(ject) Tj")))), streamed(22, "", "(-12) Tj ET")}
	for name, page := range map[string][]string{
		"in the page": {"30 0 obj <</Type /Page /Contents [20 0 R 21 0 R 22 0 R]>> endobj"},
		"elsewhere":   {"30 0 obj <</Type /Page /Contents 31 0 R>> endobj", "31 0 obj [20 0 R 21 0 R 22 0 R] endobj"},
	} {
		s, err := walked(t, document(append(append(fontsOf(t), page...), parts...)...))
		if err != nil || !strings.Contains(s.text, "subject-12") {
			t.Errorf("%s: not shown; error %v", name, err)
		}
	}
}

// PDFs as usual libraries write them, each with the text "see subject-41 here" in
// embedded fonts: matplotlib (Type 3 glyph by glyph, repacked by pikepdf into
// object streams; Type 42), cairo and fpdf2 (glyph numbers with ToUnicode).
func TestRealPDFs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.pdf")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("subject-41")) {
			t.Errorf("%s: the text stands there as it is: the test shows nothing", name)
		}
		s, err := walked(t, data)
		if err != nil || !strings.Contains(s.text, "see subject-41 here") {
			t.Errorf("%s: the text was not shown; error %v", name, err)
		}
	}
}

func TestPostScript(t *testing.T) {
	file := "%!PS-Adobe-3.0 EPSF-3.0\ngsave /s glyphshow 5 0 moveto /u glyphshow /b glyphshow grestore (ject\\0551) show gsave /one glyphshow"
	s, err := walked(t, []byte(file))
	for _, want := range []string{"\nsub\n", "ject-1", "\n1\n", file} {
		if err != nil || !strings.Contains("\n"+s.text, want) {
			t.Errorf("%q was not shown; error %v", want, err)
		}
	}
}

// Text is found wherever else it stands in a file, and however that is packed.
func TestStringsOfPDF(t *testing.T) {
	const secret = "subject-12"
	packed := "1 0 2 30 <</Title (a note)>>     <</Contents (" + secret + ")>>"
	objects := fmt.Sprintf("/Type /ObjStm /N 2 /First %d /Filter /FlateDecode", len("1 0 2 30 "))
	for name, file := range map[string][]byte{
		"information":    document("1 0 obj <</Author (by " + secret + ")>> endobj"),
		"wide":           document("1 0 obj <</Author <" + hex.EncodeToString([]byte("\xfe\xff\x00s\x00u\x00b")) + ">>> endobj"),
		"trailer":        []byte("%PDF-1.4\n1 0 obj [] endobj trailer <</Info (" + secret + ")>>"),
		"object stream":  document(streamed(3, objects, string(packtest.Zlib(t, []byte(packed))))),
		"metadata":       document(streamed(3, "/Type /Metadata /Subtype /XML", "<x>"+secret+"</x>")),
		"attachment":     document(streamed(3, "/Type /EmbeddedFile /Filter /FlateDecode", string(packtest.Zlib(t, gzipped(t, []byte(secret)))))),
		"attached PDF":   document(streamed(3, "/Type /EmbeddedFile", string(document(streamed(1, "", "("+secret+") Tj"))))),
		"length wrong":   document("3 0 obj <</Length 3>> stream\r\n(" + secret + ") Tj\nendstream endobj"),
		"length away":    document("3 0 obj <</Length 4 0 R>> stream\n("+secret+") Tj\nendstream endobj", "4 0 obj 15 endobj"),
		"old version":    append(document(streamed(3, "", "("+secret+") Tj")), document(streamed(3, "", "(new) Tj"))...),
		"ASCII85":        document(streamed(3, "/Filter [/ASCII85Decode /FlateDecode]", a85(packtest.Zlib(t, []byte("("+secret+") Tj"))))),
		"ASCIIHex":       document(streamed(3, "/Filter /ASCIIHexDecode", hex.EncodeToString([]byte("("+secret+") Tj "))+"2>")),
		"run lengths":    document(streamed(3, "/Filter /RunLengthDecode", "\x01(s\x00u\x00b\x0bject-12) Tj \x80")),
		"LZW, not early": document(streamed(3, "/Filter /LZWDecode /DecodeParms <</EarlyChange 0>>", lzwed(t, "("+secret+") Tj"))),
		"LZW":            document(streamed(3, "/Filter /LZWDecode", lzwed(t, "("+secret+") Tj"))), // alike while short
		"junk before":    append([]byte("mail header\n"), document(streamed(3, "/Filter /FlateDecode", string(packtest.Zlib(t, []byte("("+secret+") Tj")))))...),
		"text about PDF": []byte("the mark %PDF- begins a file :( " + secret),
	} {
		s, err := walked(t, file)
		want := secret
		if name == "wide" {
			want = "\x00s\x00u\x00b"
		}
		if err != nil || !strings.Contains(s.text, want) {
			t.Errorf("%s: not shown; error %v", name, err)
		}
	}
}

func a85(data []byte) string {
	b := make([]byte, ascii85.MaxEncodedLen(len(data)))
	return string(b[:ascii85.Encode(b, data)]) + "~>"
}

func lzwed(t testing.TB, text string) string {
	return string(packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) { return stdlzw.NewWriter(w, stdlzw.MSB, 8), nil }, []byte(text)))
}

// What stands in comments or between objects is text to whoever opens the file as one.
func TestBetweenObjectsOfPDF(t *testing.T) {
	data := append(document("% in a \\u0063omment", "1 0 obj <</Type /Catalog % within one\n>> endobj between /named"), "% at the end"...)
	s, err := walked(t, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"in a comment", "within one", "between", "named", "at the end"} {
		if !strings.Contains(s.text, text) {
			t.Errorf("%q was not shown in %q", text, s.text)
		}
	}
}

// Pixels and fonts are no text.
func TestPassedOverInPDF(t *testing.T) {
	s, err := walked(t, document(
		streamed(1, "/Subtype /Image /Filter /DCTDecode", "(pixels) Tj"),
		streamed(2, "/Subtype /Image /Filter /FlateDecode /DecodeParms <</Predictor 15>>", "(damaged) Tj"),
		streamed(3, "/Length1 10", "(outlines) Tj"),
		streamed(4, "/FunctionType 4", "{ (function) }"),
		streamed(5, "", "\x00\x01 binary (not closed << [ /"),
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"pixels", "damaged", "outlines", "function"} {
		if strings.Contains(s.text, text) || !strings.Contains(s.raw, text) {
			t.Errorf("%q is text, or is not seen as bytes", text)
		}
	}
}

func TestRefusedPDF(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"encrypted":        {[]byte("%PDF-1.7\n1 0 obj [] endobj trailer <</Encrypt 5 0 R>>"), "encrypted"},
		"encrypted stream": {document(streamed(1, "/Type /XRef /Encrypt <<>>", "")), "encrypted"},
		"unknown filter":   {document(streamed(7, "/Filter /Secret", "x")), `object 7: it is packed by the filter "Secret"`},
		"crypt":            {document(streamed(7, "/Filter [/Crypt /FlateDecode]", "x")), `"Crypt"`},
		"picture's":        {document(streamed(7, "/Filter /DCTDecode", "x")), `"DCTDecode"`},
		"filter elsewhere": {document(streamed(7, "/Filter 8 0 R", "x")), "elsewhere"},
		"predictor":        {document(streamed(7, "/Filter /FlateDecode /DecodeParms <</Predictor 12>>", "x")), "predictor"},
		"another file":     {document(streamed(7, "/F <</F (x)>>", "x")), "another file"},
		"damaged stream":   {document(streamed(7, "/Filter /FlateDecode", "no zlib")), "object 7 cannot be searched: it is damaged"},
		"cut stream":       {document(streamed(7, "/Filter /FlateDecode", string(packtest.Zlib(t, []byte("(some text) Tj"))[:12]))), "damaged"},
		"no end":           {[]byte("%PDF-1.7\n7 0 obj <<>> stream\nBT"), "no end"},
		"cut object":       {[]byte("%PDF-1.7\n7 0 obj <</A (x"), "ends within"},
		"no objects":       {[]byte("%PDF-1.7\n%%EOF"), "without objects"},
		"glyphs":           {document("1 0 obj <</Type /Font /Subtype /Type0 /Encoding /Identity-H>> endobj"), "ToUnicode"},
		"no table":         {document("1 0 obj <</Type /Font /ToUnicode 3 0 R>> endobj"), "table of characters is missing"},
		"bad table":        {document("1 0 obj <</Type /Font /ToUnicode 3 0 R>> endobj", streamed(3, "", "1 beginbfrange <02> <01> <00> endbfrange")), "damaged"},
		"nested":           {document("1 0 obj " + strings.Repeat("[", 100) + " endobj"), "deep in each other"},
		"text, damaged":    {document(streamed(1, "", "BT (some) Tj (open")), "ends within"},
	} {
		_, err := walked(t, c.file)
		var refused *container.Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
}

// FuzzPDFText draws any operators.
func FuzzPDFText(f *testing.F) {
	for _, draws := range []string{"BT /F1 12 Tf (x) Tj ET", "[(a)-5(b)] TJ", "BI ID x EI (y) '", "/F4 1 Tf <0007> Tj 1 0 0 1 5 5 Tm <0007> Tj", "q [ << /A (b) >> ] BDC"} {
		f.Add([]byte(draws))
	}
	f.Fuzz(func(t *testing.T, draws []byte) {
		file := document(append(fontsOf(t), "20 0 obj <</Length "+fmt.Sprint(len(draws))+">> stream\n"+string(draws)+"\nendstream endobj")...)
		_, err := walked(t, file)
		var refused *container.Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("error %v is none of a file", err)
		}
	})
}
