package container

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/foundation-plr/pipeline/internal/packtest"
)

// seen is what a visitor was shown.
type seen struct {
	text, raw string
	databases int
}

// walked walks through contents.
func walked(t testing.TB, data []byte) (s seen, err error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // texts lie in each other
	all := func(into *string) func(string, io.Reader) error {
		return func(name string, r io.Reader) error {
			b, err := io.ReadAll(r)
			mu.Lock()
			defer mu.Unlock()
			*into += string(b) + "\n"
			return err
		}
	}
	err = walk(context.Background(), "f", path, Visitor{
		Text: all(&s.text), Raw: all(&s.raw), Temp: temp,
		Guess: all(&s.text),
		Database: func(name, path string, cell Cell) error {
			s.databases++
			_, err := os.Stat(path)
			return errors.Join(err, cell.Text("cell", `of a cell \u0061nd`), cell.Bytes("blob", gzipped(t, []byte("packed in a cell"))))
		},
	}, limitOfTests)
	if left, rerr := os.ReadDir(temp); rerr != nil || len(left) > 0 {
		t.Errorf("%d files were left behind; error %v", len(left), rerr)
	}
	return s, err
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func gzipped(t testing.TB, data []byte) []byte {
	return packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) {
		z := gzip.NewWriter(w)
		z.Name = "name of gzip"
		return z, nil
	}, data)
}

func zstded(t testing.TB, data []byte) []byte {
	return packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, data)
}

func tarred(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Uname: "user of tar", PAXRecords: map[string]string{"PLR.note": "record of tar"}})
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, name string, data []byte, change ...func(*zip.FileHeader)) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: name, Method: zip.Deflate, Comment: "comment of an entry"}
	for _, c := range change {
		c(h)
	}
	e, err := w.CreateHeader(h)
	if err == nil {
		_, err = e.Write(data)
	}
	if err := errors.Join(err, w.SetComment("comment of zip"), w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A one-line bzip2 file, which the standard library reads and does not write:
// printf 'packed by bzip2\n' | bzip2.
const bzipped = "BZh91AY&SYm\x8a\xbd\xdf\x00\x00\x06\xd9\x80\x00\x10@\x00\x10\x00>(@0 \x00!\xa8\x18\x87\xe9\x08\x06\x805 \xa1O\x861\xab\x17rE8P\x90m\x8a\xbd\xdf"

const duck = "\x00\x00\x00\x00\x00\x00\x00\x00DUCK and pages"

func TestArchives(t *testing.T) {
	secret := []byte("the secret " + strings.Repeat("and more ", 1000))
	for name, c := range map[string]struct {
		data  []byte
		texts []string
	}{
		"text":        {secret, []string{"the secret"}},
		"gzip":        {gzipped(t, secret), []string{"the secret", "name of gzip"}},
		"two members": {append(gzipped(t, []byte("first")), gzipped(t, secret)...), []string{"first", "the secret"}},
		"zstd":        {zstded(t, secret), []string{"the secret"}},
		"zstd, skips": {append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00skip"), zstded(t, secret)...), []string{"the secret"}},
		"split zstd":  {append(zstded(t, []byte("the sec")), zstded(t, []byte("ret"))...), []string{"the secret"}},
		"split gzip":  {append(gzipped(t, []byte("the sec")), gzipped(t, []byte("ret"))...), []string{"the secret"}},
		"zstd, packs": {append([]byte("\x50\x2a\x4d\x18"), append(binary.LittleEndian.AppendUint32(nil, uint32(len(gzipped(t, secret)))), gzipped(t, secret)...)...), []string{"the secret"}},
		"WOFF":        {woff(t, secret, nil), []string{"the secret", "of a font", "of its maker", "not packed"}},
		"like a font": {[]byte("wOFF,wOF2\nthe \\u0073ecret"), []string{"the secret"}},
		"like WOFF2":  {[]byte("wOF2 the \\u0073ecret"), []string{"the secret"}},
		"in base64":   {[]byte("x = '" + b64(woff(t, secret, nil)) + "'"), []string{"the secret"}},
		"tar":         {tarred(t, "entry of tar", secret), []string{"the secret", "entry of tar", "user of tar", "record of tar"}},
		"zip":         {zipped(t, "entry of zip", secret), []string{"the secret", "entry of zip", "comment of zip", "comment of an entry"}},
		"zip, stored": {zipped(t, "e", secret, func(h *zip.FileHeader) { h.Method = zip.Store }), []string{"the secret"}},
		"nested":      {zstded(t, tarred(t, "a", zipped(t, "b", gzipped(t, secret)))), []string{"the secret", "name of gzip"}},
		"no file":     {tarred(t, "only a name", nil), []string{"only a name"}},
		"data URI":    {[]byte("<img src='data:image/png;base64," + b64(gzipped(t, secret)) + "'>after"), []string{"the secret", "after"}},
		"URI, text":   {[]byte("url(data:text/plain;base64," + b64([]byte("the secret")) + ")"), []string{"the secret"}},
	} {
		s, err := walked(t, c.data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, text := range c.texts {
			if !strings.Contains(s.text, text) {
				t.Errorf("%s: %q was not shown", name, text)
			}
		}
	}
	for name, data := range map[string][]byte{"alone": []byte(duck), "in archives": gzipped(t, zipped(t, "b", []byte(duck)))} {
		if s, err := walked(t, data); err != nil || s.databases != 1 || !strings.Contains(s.raw, "and pages") {
			t.Errorf("database %s: %d, error %v", name, s.databases, err)
		}
	}
	if s, err := walked(t, append(zstded(t, secret), "\x50\x2a\x4d\x18\x06\x00\x00\x00behind"...)); err != nil || !strings.Contains(s.text, "behind") {
		t.Errorf("bytes that no reader gives are not shown: error %v", err)
	}
}

// woff is a font with a packed table and one that is not, metadata and a block of its
// maker.
func woff(t testing.TB, secret []byte, change func([]byte)) []byte {
	t.Helper()
	data := make([]byte, woffHead+2*woffTable)
	copy(data, "wOFF\x00\x01\x00\x00")
	put := func(at int, n int) { binary.BigEndian.PutUint32(data[at:], uint32(n)) }
	add := func(at int, part []byte) {
		put(at, len(data))
		put(at+4, len(part))
		data = append(data, part...)
		data = append(data, make([]byte, -len(data)&3)...)
	}
	binary.BigEndian.PutUint16(data[12:], 2)
	copy(data[woffHead:], "name")
	copy(data[woffHead+woffTable:], "glyf")
	add(woffHead+4, packtest.Zlib(t, secret))
	put(woffHead+12, len(secret))
	add(woffHead+woffTable+4, []byte("not packed"))
	put(woffHead+woffTable+12, len("not packed"))
	about := strings.Repeat("of a font ", 20)
	add(24, packtest.Zlib(t, []byte(about)))
	put(32, len(about))
	add(36, gzipped(t, []byte("of its maker")))
	put(8, len(data))
	if change != nil {
		change(data)
	}
	return data
}

// What cannot be searched says so, and names the entry.
func TestRefused(t *testing.T) {
	secret := []byte(strings.Repeat("secret ", 100))
	deep := []byte("deep")
	for range maxDepth + 1 {
		deep = gzipped(t, deep)
	}
	whole := zipped(t, "e", secret)
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"cut gzip":    {gzipped(t, secret)[:40], "damaged"},
		"bad gzip":    {append(gzipped(t, secret), "\x1f\x8b\x08 more"...), "damaged"},
		"cut zstd":    {zstded(t, secret)[:20], "damaged"},
		"cut tar":     {tarred(t, "e", secret)[:2100], "damaged"},
		"cut zip":     {whole[:len(whole)-10], "damaged"},
		"wrong zip":   {bytes.Replace(zipped(t, "e", secret, func(h *zip.FileHeader) { h.Method = zip.Store }), []byte("secret s"), []byte("sekret s"), 1), "f, entry e cannot be searched: it is damaged"},
		"encrypted":   {bytes.ReplaceAll(whole, []byte("PK\x01\x02\x14\x00\x14\x00\x08"), []byte("PK\x01\x02\x14\x00\x14\x00\x09")), "f, entry e cannot be searched: it is encrypted"},
		"deep":        {deep, "containers deep"},
		"xz":          {[]byte("\xfd7zXZ\x00rest"), "xz"},
		"7-Zip":       {zipped(t, "e", []byte("7z\xbc\xaf\x27\x1c rest")), "f, entry e cannot be searched: it is a 7-Zip"},
		"Parquet":     {[]byte("PAR1\x15rest"), "Parquet"},
		"MATLAB":      {[]byte("MATLAB 5.0 MAT-file, Platform: x"), "MATLAB"},
		"bad zlib":    {[]byte("x\x9crest"), "damaged"},
		"cut skip":    {[]byte("\x50\x2a\x4d\x18\x06\x00\x00\x00cut"), "damaged"},
		"zstd, more":  {append(zstded(t, secret), "more"...), "damaged"},
		"WOFF2":       {[]byte("wOF2\x00\x01\x00\x00rest"), "brotli"},
		"cut WOFF":    {woff(t, secret, nil)[:100], "damaged"},
		"WOFF, table": {woff(t, secret, func(b []byte) { binary.BigEndian.PutUint32(b[woffHead+8:], 1<<20) }), "behind the file"},
		"WOFF, gap":   {append(woff(t, secret, nil), "more"...), "behind the end of the font"},
		"animation":   {bytes.Join([][]byte{[]byte(pngMagic), chunk("fdAT", "0000"+string(packtest.Zlib(t, secret)))}, nil), "animated"},
		"HDF5":        {[]byte("\x89HDF\r\n\x1a\nrest"), "HDF5"},
		"bomb":        {gzipped(t, bomb(t)), "unfolds to more than"},
		"bomb in PDF": {bombOfStreams(t), "unfolds to more than"},
	} {
		_, err := walked(t, c.data)
		var refused *Error
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, c.says)
		}
	}
	if _, err := walked(t, bytes.ReplaceAll(whole, []byte("\x14\x00\x08\x00\x08\x00"), []byte("\x14\x00\x08\x00\x0e\x00"))); err == nil || !strings.Contains(err.Error(), "method 14") {
		t.Errorf("another method of zip: error %v", err)
	}
}

// limitOfTests is instead of maxUnfolded, which takes seconds to unfold.
const limitOfTests = 8 << 20

// bombs unfold to more than is allowed, a MB in each of a few hundred bytes.
const bombs = limitOfTests>>20 + 2

func bomb(t testing.TB) []byte {
	return bytes.Repeat(gzipped(t, make([]byte, 1<<20)), bombs)
}

func bombOfStreams(t testing.TB) []byte {
	return document(strings.Repeat(streamed(5, "/Filter /FlateDecode", string(packtest.Zlib(t, make([]byte, 1<<20))))+"\n", bombs))
}

// An error of whoever searches ends the walk and comes back as it is.
func TestErrorOfVisitor(t *testing.T) {
	found := errors.New("found")
	data := zstded(t, tarred(t, "a", gzipped(t, []byte(strings.Repeat("secret ", 100_000)))))
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	nothing := func(string, io.Reader) error { return nil }
	find := func(_ string, r io.Reader) error {
		if _, err := io.CopyN(io.Discard, r, 20); err != nil {
			return nil
		}
		return found
	}
	for name, v := range map[string]Visitor{"text": {Text: find, Raw: nothing}, "raw": {Text: nothing, Raw: find}} {
		if err := Walk(context.Background(), "f", path, v); !errors.Is(err, found) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if err := Walk(ctx, "f", path, Visitor{Text: nothing, Raw: nothing}); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: error %v", err)
	}
}

func chunk(kind, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

func TestPicture(t *testing.T) {
	pixels := packtest.Zlib(t, []byte(strings.Repeat("\x00", 3000)+"pixels"))
	data := bytes.Join([][]byte{
		[]byte(pngMagic), chunk("IHDR", strings.Repeat("\x00", 13)), chunk("sPLT", "of a palette\x00\x08"), chunk("tEXt", "Title\x00of \xc4"),
		chunk("zTXt", "Note\x00\x00"+string(packtest.Zlib(t, []byte("folded note")))),
		chunk("iTXt", "Author\x00\x01\x00en\x00Autor\x00"+string(packtest.Zlib(t, []byte("folded name")))),
		chunk("iCCP", "profile\x00\x00"+string(packtest.Zlib(t, []byte("folded colours")))),
		chunk("eXIf", "MM\x00*\x00\x00\x00\x08of a camera"), chunk("prVt", string(packtest.Zlib(t, []byte("of a program")))),
		chunk("tEXt", "Raw profile type exif\x00\nexif\n   14\n"+hex.EncodeToString([]byte("in digits"))[:10]+"\n"+hex.EncodeToString([]byte("in digits"))[10:]),
		chunk("IDAT", string(pixels[:7])), chunk("IDAT", ""), chunk("IDAT", string(pixels[7:])), chunk("IEND", ""), make([]byte, 5000),
	}, nil)
	s, err := walked(t, data)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"Title", "of Ä", "folded note", "Author", "Autor", "folded name", "folded colours", "of a camera", "of a palette", "of a program", "in digits"} {
		if !strings.Contains(s.text, text) {
			t.Errorf("%q was not shown", text)
		}
	}
	if strings.Contains(s.text, "pixels") || !strings.Contains(s.raw, "pixels") {
		t.Error("pixels are text, or are not seen")
	}
}

// Bytes that no program shows may be anything, packed in any way.
func TestBehindTheEnd(t *testing.T) {
	secret := []byte(strings.Repeat("secret ", 100))
	picture := bytes.Join([][]byte{[]byte(pngMagic), chunk("IDAT", string(packtest.Zlib(t, []byte("pixels")))), chunk("IEND", "")}, nil)
	one, two := zipped(t, "one", secret), zipped(t, "two", []byte("more"))
	// An entry that was taken out of the directory and is still there.
	entry := two[:bytes.Index(two, []byte("PK\x01\x02"))]
	directory := bytes.Index(one, []byte("PK\x01\x02"))
	offset := func(z []byte, by int) []byte {
		z = bytes.Clone(z)
		end := bytes.LastIndex(z, []byte("PK\x05\x06"))
		binary.LittleEndian.PutUint32(z[end+16:], binary.LittleEndian.Uint32(z[end+16:])+uint32(by))
		return z
	}
	for name, data := range map[string][]byte{
		"picture":          append(bytes.Clone(picture), packtest.Zlib(t, secret)...),
		"pixels":           bytes.Replace(picture, chunk("IDAT", string(packtest.Zlib(t, []byte("pixels")))), chunk("IDAT", string(packtest.Zlib(t, []byte("pixels")))+"more"), 1),
		"no pixels":        bytes.Replace(picture, chunk("IDAT", string(packtest.Zlib(t, []byte("pixels")))), chunk("IDAT", "pixels"), 1),
		"zlib":             append(packtest.Zlib(t, secret), "more"...),
		"tar":              append(tarred(t, "e", secret), "more"...),
		"zip, between":     offset(slices.Concat(one[:directory], entry, one[directory:]), len(entry)),
		"zip, other bytes": offset(slices.Concat(one[:directory], []byte("more"), one[directory:]), 4),
		"zip, behind":      append(bytes.Clone(one), "more"...),
		"within an entry":  zippedRaw(t, append(deflated(t, secret), "more"...), secret),
		"zip, before":      slices.Concat(entry, one),
		"in another":       gzipped(t, append(bytes.Clone(picture), 1)),
		"zip, cut":         one[:len(one)-1],
	} {
		_, err := walked(t, data)
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for name, data := range map[string][]byte{
		"picture":      append(bytes.Clone(picture), make([]byte, 9)...),
		"tar":          append(tarred(t, "e", secret), make([]byte, 10<<10)...),
		"zip, aligned": offset(slices.Concat(one[:directory], make([]byte, 100), one[directory:]), 100),
		"zip, empty":   []byte("PK\x05\x06" + strings.Repeat("\x00", 18)),
		"zip, sizes":   zippedRaw(t, deflated(t, secret), secret),
		"zip, no data": zipped(t, "e/", nil, func(h *zip.FileHeader) { h.Method = zip.Store }),
	} {
		if _, err := walked(t, data); err != nil {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func deflated(t testing.TB, data []byte) []byte {
	return packtest.Packed(t, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.DefaultCompression) }, data)
}

// zippedRaw is an archive of one entry whose packed data are given, with their sizes
// before them.
func zippedRaw(t testing.TB, packed, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	e, err := w.CreateRaw(&zip.FileHeader{Name: "e", Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(data), CompressedSize64: uint64(len(packed)), UncompressedSize64: uint64(len(data))})
	if err == nil {
		_, err = e.Write(packed)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBzip2(t *testing.T) {
	if s, err := walked(t, []byte(bzipped)); err == nil && !strings.Contains(s.text, "packed by bzip2") {
		t.Error("the text was not shown")
	} else if err != nil {
		t.Error(err)
	}
}

// document is a PDF of objects.
func document(objects ...string) []byte {
	return []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + strings.Join(objects, "\n") + "\ntrailer <</Root 1 0 R>>\nstartxref\n0\n%%EOF\n")
}

// streamed is an object with a stream.
func streamed(number int, dict, data string) string {
	return fmt.Sprintf("%d 0 obj\n<<%s /Length %d>>\nstream\n%s\nendstream\nendobj", number, dict, len(data), data)
}

// FuzzWalk looks for panics, for a walk that does not end, and for files that are
// left behind. Text that is given as it is, is always shown.
func FuzzWalk(f *testing.F) {
	for _, data := range [][]byte{
		gzipped(f, []byte("text")), zstded(f, []byte("text")), tarred(f, "e", []byte("text")), zipped(f, "e", []byte("text")), []byte(bzipped), []byte(duck),
		bytes.Join([][]byte{[]byte(pngMagic), chunk("zTXt", "k\x00\x00"+string(packtest.Zlib(f, []byte("t")))), chunk("IEND", "")}, nil),
		document(streamed(20, "", "BT /F4 1 Tf [<0007> 3 <00750062>] TJ /F2 2 Tf (\\001) ' ET")),
		document(streamed(3, "/Type /ObjStm /N 1 /First 4", "1 0 <</A (x)>>")), []byte("a;base64,QUJD=b"),
	} {
		f.Add(data)
	}
	seeds, err := filepath.Glob("../pdf/testdata/*.pdf")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := walked(t, data)
		var refused *Error
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("error %v is none of a file", err)
		}
		if err == nil && !strings.Contains(s.text+s.raw, string(data)) {
			t.Fatal("the bytes themselves were not shown")
		}
	})
}
