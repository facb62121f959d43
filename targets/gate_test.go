package targets

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"database/sql"
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
		"behind":        append(bytes.Clone(picture), original(12)...),
	} {
		var leak *anonymize.LeakError
		if err := gated(t, g, ref, data); !errors.As(err, &leak) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"cut":           picture[:len(picture)-len(chunk("IEND", nil))-10],
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
