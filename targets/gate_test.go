package targets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/anonymize"
	"github.com/foundation-plr/pipeline/build"
)

// original makes a code of the study's form. The sources hold none.
func original(i int) string { return fmt.Sprintf("%s%04d", "PLR", i) }

// guarded is the gate of a lookup with some originals.
func guarded(t *testing.T, originals ...string) *gate {
	t.Helper()
	l := anonymize.NewLookup()
	var subjects []anonymize.Subject
	for _, o := range originals {
		control := 0
		subjects = append(subjects, anonymize.Subject{Original: o, Outcome: &control})
	}
	if _, _, err := l.Assign(subjects, []byte(anonymize.ExampleKey)); err != nil {
		t.Fatal(err)
	}
	g := &gate{lookup: filepath.Join(t.TempDir(), lookupFile)}
	if err := l.WriteFile(g.lookup); err != nil {
		t.Fatal(err)
	}
	return g
}

// gated says what the gate makes of a file with this content.
func gated(t *testing.T, g *gate, ref build.Ref, data []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), filepath.Base(ref.Path))
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return g.file(ref, path)
}

func chunk(kind string, body []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func folded(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGatePassesPixels(t *testing.T) {
	g := guarded(t, "A7", "S-00012")
	noise := image.NewNRGBA(image.Rect(0, 0, 300, 300))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise.Pix {
		noise.Pix[i] = byte(random.Uint32())
	}
	noise.Set(0, 0, color.NRGBA{'A', '7', ' ', 255})
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, noise); err != nil {
		t.Fatal(err)
	}
	picture := b.Bytes()
	if anonymize.NewGate([]string{"A7"}).Check("f", picture) == nil {
		t.Fatal("the pixels do not spell the code by chance: the test shows nothing")
	}
	ref := build.Ref{Root: rootResults, Path: "figures/f.png"}
	if err := gated(t, g, ref, picture); err != nil {
		t.Errorf("pixels: %v", err)
	}

	// But what a picture says in text is searched, wherever it stands.
	end := len(picture) - len(chunk("IEND", nil))
	with := func(c []byte) []byte { return bytes.Join([][]byte{picture[:end], c, picture[end:]}, nil) }
	for name, data := range map[string][]byte{
		"tEXt":          with(chunk("tEXt", []byte("Title\x00of A7"))),
		"keyword":       with(chunk("tEXt", []byte("A7\x00x"))),
		"no keyword":    with(chunk("tEXt", []byte("A7"))),
		"zTXt":          with(chunk("zTXt", append([]byte("Title\x00\x00"), folded(t, "of A7")...))),
		"iTXt":          with(chunk("iTXt", []byte("Title\x00\x00\x00en\x00Titel\x00A7"))),
		"iTXt, folded":  with(chunk("iTXt", append([]byte("Title\x00\x01\x00en\x00Titel\x00"), folded(t, "A7")...))),
		"iTXt, keyword": with(chunk("iTXt", []byte("Title\x00\x00\x00en\x00A7\x00x"))),
		"other chunk":   with(chunk("prVt", []byte(original(12)))),
		"short, other":  with(chunk("prVt", []byte("of A7"))),
		"eXIf":          with(chunk("eXIf", []byte("II*\x00 A7"))),
	} {
		var leak *anonymize.LeakError
		if err := gated(t, g, ref, data); !errors.As(err, &leak) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"cut":           picture[:len(picture)-len(chunk("IEND", nil))-10],
		"behind":        append(bytes.Clone(picture), folded(t, "of A7")...),
		"damaged zlib":  with(chunk("zTXt", []byte("Title\x00\x00not zlib"))),
		"beyond bounds": with(chunk("zTXt", append([]byte("Title\x00\x00"), folded(t, strings.Repeat(" ", 1<<24+1))...))),
	} {
		if gated(t, g, ref, data) == nil {
			t.Errorf("%s: passed", name)
		}
	}
	if err := gated(t, g, ref, with(chunk("zTXt", append([]byte("Title\x00\x00"), folded(t, "of A8")...)))); err != nil {
		t.Errorf("a harmless text: %v", err)
	}
}

// Pictures stand in pages as long random texts, which hold codes by chance, and
// hide those that a picture carries.
func TestGateOfPage(t *testing.T) {
	g := guarded(t, "A7", "S-00012")
	ref := build.Ref{Root: rootResults, Path: "outputs/report.html"}
	picture := func(chunks ...[]byte) []byte {
		var b bytes.Buffer
		if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
			t.Fatal(err)
		}
		end := b.Len() - len(chunk("IEND", nil))
		return slices.Concat(b.Bytes()[:end], slices.Concat(chunks...), b.Bytes()[end:])
	}
	page := func(before string, picture []byte, after string) []byte {
		return slices.Concat([]byte(before), []byte(`<img src="data:image/png;base64,`), []byte(base64.StdEncoding.EncodeToString(picture)), []byte(`" alt="x">`), []byte(after))
	}
	// Numbers of which the base64 spells the code, whatever stands before it.
	var spells []byte
	for i := range 3 {
		bytes, err := base64.StdEncoding.DecodeString("/A7/"[i:] + "/A7/"[:i])
		if err != nil {
			t.Fatal(err)
		}
		spells = append(spells, bytes...)
	}
	chance := page("<p>", picture(chunk("hIST", spells), chunk("hIST", spells[1:]), chunk("hIST", spells[2:])), "</p>")
	if anonymize.NewGate([]string{"A7"}).Check("f", chance) == nil {
		t.Fatal("the page does not spell the code by chance: the test shows nothing")
	}
	if err := gated(t, g, ref, chance); err != nil {
		t.Errorf("by chance: %v", err)
	}
	for name, data := range map[string][]byte{
		"before":             page("<p>A7</p>", picture(), ""),
		"behind":             page("", picture(), "<p>of S-00012</p>"),
		"beside the picture": page("", picture(), `<img alt="A7">`),
		"in the picture":     page("", picture(chunk("tEXt", []byte("Title\x00of A7"))), ""),
		"folded":             page("", picture(chunk("zTXt", append([]byte("Title\x00\x00"), folded(t, "of A7")...))), ""),
		"other chunk":        page("", picture(chunk("prVt", []byte(original(12)))), ""),
		"second picture":     page("", picture(), string(page("", picture(chunk("tEXt", []byte("A7"))), ""))),
	} {
		var leak *anonymize.LeakError
		if err := gated(t, g, ref, data); !errors.As(err, &leak) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"no picture":    []byte(`<img src="data:image/png;base64,` + base64.StdEncoding.EncodeToString([]byte("of A7")) + `">`),
		"cut off":       page("", picture()[:60], ""),
		"whole no more": []byte(`<img src="data:image/png;base64,iVBORw0KGgoAA">`),
	} {
		if gated(t, g, ref, data) == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

// Packed, codes are not found, and short ones turn up by chance: so each file of
// an archive is searched as what it is.
func TestGateOfArchive(t *testing.T) {
	g := guarded(t, "A7", "S-00012")
	ref := build.Ref{Root: rootResults, Path: "outputs/release/study.zip"}
	database := func(statement string) []byte {
		path := filepath.Join(t.TempDir(), "study.db")
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(statement)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	packed := func(name string, data []byte) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create(name)
		if err == nil {
			_, err = f.Write(data)
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for name, c := range map[string]struct {
		data []byte
		leak bool
	}{
		"text":          {packed("README.txt", []byte("of A7")), true},
		"long text":     {packed("README.txt", bytes.Repeat([]byte("of A7\n"), 1000)), true},
		"name":          {packed("of/S-00012/x", nil), true},
		"database":      {packed("data/study.db", database("CREATE TABLE t AS SELECT 'see A7' AS note")), true},
		"page":          {packed("report.html", []byte("<p>S-00012</p>")), true},
		"within":        {packed("more.zip", packed("README.txt", []byte("of A7"))), true},
		"good text":     {packed("README.txt", []byte("of A8")), false},
		"good database": {packed("data/study.db", database("CREATE TABLE t AS SELECT 'see A8' AS note")), false},
	} {
		var leak *anonymize.LeakError
		if err := gated(t, g, ref, c.data); errors.As(err, &leak) != c.leak || err != nil && !c.leak {
			t.Errorf("%s: error %v, want a leak: %v", name, err, c.leak)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(g.lookup), ".search-*"))
	if err != nil || left != nil {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// Whatever notation a code is written in, and in whatever kind of file, the gate
// finds it; a text that only looks like it passes.
func TestGateReadsNotations(t *testing.T) {
	g := guarded(t, "subject-41", "ABC1234")
	each := func(code string, form func(c byte) string) string {
		var b strings.Builder
		for _, c := range []byte(code) {
			b.WriteString(form(c))
		}
		return b.String()
	}
	printed := func(format string) func(string) string {
		return func(code string) string { return each(code, func(c byte) string { return fmt.Sprintf(format, c) }) }
	}
	parted := func(with string) func(string) string {
		return func(code string) string { return code[:3] + with + code[3:] }
	}
	notations := map[string]func(code string) string{
		"as it is":           func(code string) string { return code },
		"upper case":         strings.ToUpper,
		"JSON":               printed(`\u%04x`),
		"JavaScript":         printed(`\x%02x`),
		"JavaScript, braces": printed(`\u{%x}`),
		"JSON in JSON":       printed(`\\u%04x`),
		"octal":              printed(`\%03o`),
		"decimal":            printed("&#%d;"),
		"hexadecimal":        printed("&#x%X;"),
		"page in a page":     printed("&amp;#%d;"),
		"percent":            printed("%%%02X"),
		"CSS":                printed(`\%x `),
		"quoted-printable":   printed("=%02X"),
		"base64":             func(code string) string { return base64.StdEncoding.EncodeToString([]byte("id=" + code)) },
		"digits":             printed("%02x"),
		"UTF-16 LE":          printed("%c\x00"),
		"UTF-16 BE":          printed("\x00%c"),
		"UTF-32 LE":          printed("%c\x00\x00\x00"),
		"UTF-32 BE":          printed("\x00\x00\x00%c"),
		"soft hyphen":        parted("\u00ad"),
		"no space":           parted("&ZeroWidthSpace;"),
		"elements":           parted("</tspan><tspan>"),
		"spans":              parted(`</b><span class="x">`),
		"TeX, hyphen":        parted(`\-`),
		"TeX, group":         parted(`{}`),
		"TeX, break":         parted(`\allowbreak `),
		"TeX, line":          parted("%\n  "),
		"TeX, carets":        printed("^^%02x"),
		"TeX, numbers":       printed(`\char%d{}`),
	}
	zipped := func(text string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create("e.txt")
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	picture := func(chunks ...[]byte) []byte {
		return slices.Concat([]byte("\x89PNG\r\n\x1a\n"), slices.Concat(chunks...), chunk("IDAT", folded(t, "\x00")), chunk("IEND", nil))
	}
	files := map[string]func(text string) []byte{
		"f.json": func(text string) []byte { return []byte(`{"a": "` + text + `"}`) },
		"f.tex":  func(text string) []byte { return []byte(`\textbf{` + text + `} & 0.9 \\`) },
		"f.html": func(text string) []byte { return []byte("<!DOCTYPE html><p><b>" + text + "</b></p>") },
		"f.svg":  func(text string) []byte { return []byte("<svg><text><tspan>" + text + "</tspan></text></svg>") },
		"f.csv":  func(text string) []byte { return []byte("a,b\n" + text + ",2\n") },
		"f.gz": func(text string) []byte {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, err := w.Write([]byte(text))
			if err := errors.Join(err, w.Close()); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		},
		"f.zip": zipped,
		"f.png": func(text string) []byte { return picture(chunk("tEXt", []byte("Title\x00"+text))) },
		"packed.png": func(text string) []byte {
			return picture(chunk("zTXt", append([]byte("T\x00\x00"), folded(t, text)...)))
		},
		"metadata.pdf": func(text string) []byte { return pdfOf("/Type /Metadata /Subtype /XML", "<x>"+text+"</x>") },
		"drawn.pdf":    func(text string) []byte { return pdfOf("", fmt.Sprintf("BT <%x> Tj ET", text)) },
		"author.pdf": func(text string) []byte {
			return []byte(fmt.Sprintf("%%PDF-1.7\n1 0 obj <</Author <%x>>> endobj\ntrailer <<>>", text))
		},
		"uri.html": func(text string) []byte {
			return []byte(`<img src="data:text/plain;base64,` + base64.StdEncoding.EncodeToString([]byte(text)) + `">`)
		},
		"f.eps": func(text string) []byte { return []byte("%!PS-Adobe-3.0\n" + fmt.Sprintf("<%x> show", text)) },
	}
	path := filepath.Join(t.TempDir(), "f")
	for file, write := range files {
		for notation, form := range notations {
			ref := build.Ref{Root: rootResults, Path: file}
			for code, leaks := range map[string]bool{"subject-41": true, "ABC1234": true, "subject-14": false} {
				if err := os.WriteFile(path, write(form(code)), 0o600); err != nil {
					t.Fatal(err)
				}
				err := g.file(ref, path)
				var leak *anonymize.LeakError
				if errors.As(err, &leak) != leaks || err != nil && (!leaks || strings.Contains(err.Error(), code)) {
					t.Errorf("%s, %s of %s: error %v, want a leak: %v", file, notation, code, err, leaks)
				}
			}
		}
	}
	// Cells of a database, of texts and of bytes.
	for notation, kind := range map[string]string{"JSON": "VARCHAR", "decimal": "VARCHAR", "elements": "VARCHAR", "base64": "VARCHAR", "UTF-16 LE": "BLOB", "percent": "BLOB"} {
		path := filepath.Join(t.TempDir(), "study.db")
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		var value any = notations[notation]("subject-41")
		if kind == "BLOB" {
			value = []byte(value.(string))
		}
		_, err = db.Exec("CREATE TABLE t (a " + kind + ")")
		if err == nil {
			_, err = db.Exec("INSERT INTO t VALUES (?)", value)
		}
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		var leak *anonymize.LeakError
		if err := g.file(build.Ref{Root: rootDatabase, Path: "study.db"}, path); !errors.As(err, &leak) || kind == "VARCHAR" && !strings.Contains(err.Error(), "column t.a") {
			t.Errorf("%s in a cell: error %v", notation, err)
		}
	}
}

// pdfOf is a PDF of one stream.
func pdfOf(dict, data string) []byte {
	return []byte(fmt.Sprintf("%%PDF-1.7\n1 0 obj\n<<%s /Length %d>>\nstream\n%s\nendstream\nendobj\ntrailer <<>>", dict, len(data), data))
}

// The bytes of a database hold short codes by chance; its cells are searched for
// all codes.
func TestGateOfDatabase(t *testing.T) {
	g := guarded(t, "A7", "S-0012", "12345", "subject-1")
	ref := build.Ref{Root: rootDatabase, Path: "study.db"}
	for _, c := range []struct {
		name, statements, where string
	}{
		{"numbers", "CREATE TABLE t AS SELECT i AS n, random() AS x FROM range(12000, 13000) r(i)", ""},
		{"cell", "CREATE TABLE t AS SELECT 'see A7' AS note", "column t.note"},
		{"cell of digits", "CREATE TABLE t AS SELECT '12345' AS note", "column t.note"},
		{"catalogue", "CREATE TABLE t (n INTEGER); COMMENT ON TABLE t IS 'of S-0012'", "column catalogue.comment"},
		{"default", "CREATE TABLE t (n VARCHAR DEFAULT 'A7')", "column catalogue.definition"},
		{"constraint", "CREATE TABLE t (n VARCHAR CHECK (n <> 'A7'))", "column catalogue.definition"},
		{"view", "CREATE VIEW v AS SELECT 'S-0012' AS n", "column catalogue.definition"},
		{"column", `CREATE TABLE t ("of A7" INTEGER)`, "column t.name"},
		{"table", `CREATE TABLE "of A7" (n INTEGER)`, "column of [subject].name"},
		{"schema", `CREATE SCHEMA "of A7"`, "column catalogue.name"},
		{"macro", `CREATE MACRO m(a) AS a || 'S-0012'`, "column catalogue.definition"},
		{"type", "CREATE TYPE e AS ENUM ('A7')", "column catalogue.definition"},
		{"list", "CREATE TABLE t AS SELECT ['x', 'see A7'] AS notes", "column t.notes"},
		{"struct", "CREATE TABLE t AS SELECT {'a': 'A7'} AS s", "column t.s"},
		{"packed", "CREATE TABLE t AS SELECT from_base64('" + base64.StdEncoding.EncodeToString(folded(t, "of A7")) + "') AS b", "column t.b"},
	} {
		path := filepath.Join(t.TempDir(), "study.db")
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(c.statements)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if c.where == "" { // bytes in the free space of a page
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString("\x01 A7 \x02 S-0012 \x03 12345 \x04")
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		err = g.file(ref, path)
		var leak *anonymize.LeakError
		if errors.As(err, &leak) != (c.where != "") || (err != nil && !strings.Contains(err.Error(), c.where)) {
			t.Errorf("%s: error %v, want one in %q", c.name, err, c.where)
		}
	}
	// DuckDB keeps what was deleted, compressed, where nobody can look.
	for name, statements := range map[string]string{
		"dropped table":  "CREATE TABLE t AS SELECT 'see subject-1 of ' || i AS s FROM range(30000) r(i); CHECKPOINT; DROP TABLE t; CREATE TABLE u (n INTEGER)",
		"dropped column": "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS s FROM range(30000) r(i); CHECKPOINT; CREATE TABLE u AS SELECT random() AS x FROM range(90000); CHECKPOINT; ALTER TABLE t DROP COLUMN s",
		"deleted rows":   "CREATE TABLE t AS SELECT i, 'see subject-1 of ' || i AS s FROM range(30000) r(i); CHECKPOINT; DELETE FROM t WHERE i % 2 = 0",
		"updated rows":   "CREATE TABLE t AS SELECT i, md5(i::VARCHAR) AS s FROM range(30000) r(i); CHECKPOINT; CREATE TABLE u AS SELECT random() AS x FROM range(90000); CHECKPOINT; UPDATE t SET s = ''",
	} {
		path := filepath.Join(t.TempDir(), "study.db")
		db, err := sql.Open("duckdb", path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = db.Exec(statements + "; CHECKPOINT")
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatal(err)
		}
		if err := guarded(t, "not-in-it").file(ref, path); err == nil || !strings.Contains(err.Error(), "write it anew") {
			t.Errorf("%s: error %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "study.db")
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec("CREATE TABLE t (n INTEGER)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for text, leaks := range map[string]bool{" A7 ": false, " 12345 ": false, original(7): true, "xsubject-1x": true} {
		err := gated(t, g, ref, append(bytes.Clone(whole), "\x01"+text+"\x02"...))
		var leak *anonymize.LeakError
		if errors.As(err, &leak) != leaks || (err != nil) != leaks {
			t.Errorf("%q: error %v, want a leak: %v", text, err, leaks)
		}
	}
}

// A bundle is searched to the bottom: its drawings, pictures and database.
func TestGateOfBundles(t *testing.T) {
	g := guarded(t, "A7", "S-00012")
	dir := t.TempDir()
	path := filepath.Join(dir, "study.db")
	db, err := sql.Open("duckdb", path)
	if err != nil {
		t.Fatal(err)
	}
	// Long enough that DuckDB keeps none of the texts as they are.
	_, err = db.Exec("CREATE TABLE t AS SELECT concat('note ', i, CASE i WHEN 4999 THEN ' of A7' ELSE '' END) AS note FROM range(5000) r(i)")
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	database, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	drawing := func(text string) []byte {
		return []byte("%PDF-1.4\n1 0 obj <</Filter /FlateDecode>> stream\n" + string(folded(t, "BT /F1 9 Tf "+text+" ET")) + "\nendstream endobj")
	}
	bundle := func(name string, data []byte) []byte {
		var packed, zipped bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write(data)
		if err := errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		w := zip.NewWriter(&zipped)
		e, err := w.Create(name + ".gz")
		if err == nil {
			_, err = e.Write(packed.Bytes())
		}
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		return zipped.Bytes()
	}
	ref := build.Ref{Root: rootResults, Path: "outputs/bundle.zip"}
	for name, c := range map[string]struct {
		data  []byte
		where string // "" where nothing is found
	}{
		"harmless":        {bundle("a.pdf", drawing("(of A8)Tj")), ""},
		"drawing":         {bundle("a.pdf", drawing("[(o)3(f )(A)20(7)]TJ")), "results:outputs/bundle.zip, entry a.pdf.gz, unpacked, object 1"},
		"database":        {bundle("study.db", database), "entry study.db.gz, unpacked, column t.note"},
		"text":            {bundle("a.csv", []byte("n,code\n1,A7\n")), "entry a.csv.gz"},
		"name":            {bundle("S-00012.csv", nil), "entry [subject].csv.gz"},
		"drawing, hidden": {bundle("a.pdf", bytes.Replace(drawing("x"), []byte("FlateDecode"), []byte("StrangeOne!"), 1)), "entry a.pdf.gz, unpacked cannot be searched"},
		"named, hidden":   {bundle("S-00012", []byte("PAR1\x15")), "entry [subject].gz"},
	} {
		err := gated(t, g, ref, c.data)
		if (err != nil) != (c.where != "") || err != nil && !strings.Contains(err.Error(), c.where) {
			t.Errorf("%s: error %v, want one in %q", name, err, c.where)
		}
		if err != nil && (strings.Contains(err.Error(), "A7") || strings.Contains(err.Error(), "S-00012")) {
			t.Errorf("%s: the error holds the code: %v", name, err)
		}
	}
	if left, err := os.ReadDir(filepath.Dir(g.lookup)); err != nil || len(left) != 1 {
		t.Errorf("%d files beside the lookup; error %v", len(left), err)
	}
}

func TestGateWithDamagedLookup(t *testing.T) {
	g := guarded(t, "subject-1")
	if err := g.check(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.lookup, []byte("format: 1\nlookup: ["+original(3)), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := &gate{lookup: g.lookup}
	err := fresh.check()
	if err == nil || !strings.Contains(err.Error(), g.lookup) || !strings.Contains(err.Error(), "line ") ||
		!strings.Contains(err.Error(), ".previous") || strings.Contains(err.Error(), original(3)) {
		t.Errorf("error %v", err)
	}
	// Texts are still readable, and files are not let through.
	if got, want := fresh.redact("run failed for "+original(4)), "run failed for [subject]"; got != want {
		t.Errorf("redacted to %q, want %q", got, want)
	}
	if got, want := g.redact("subject-1 failed"), "[subject] failed"; got != want {
		t.Errorf("with the codes read before: %q, want %q", got, want)
	}
	if gated(t, g, build.Ref{Root: rootResults, Path: "f.json"}, []byte("{}")) == nil {
		t.Error("a file passed without a lookup to compare with")
	}
	if err := (&gate{lookup: filepath.Join(t.TempDir(), "none.yaml")}).check(); err != nil {
		t.Errorf("no lookup yet: %v", err)
	}
}
