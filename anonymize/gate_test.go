package anonymize

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestGate(t *testing.T) {
	gate := NewGate([]string{"S-001", "A7", "Ä-1234", "x_y&z<1", original(1002)})
	code := original(1234) // of the form, not in the lookup
	cases := []struct {
		text string
		n    int
	}{
		{"", 0},
		{"nothing here, H001 and G012", 0},
		{`\PLRbestAUROC{} PLR1 PLR12 PLR123 PLR 1234 plr.figure/1`, 0},
		{"PLR", 0},
		{"PLR12a4", 0},
		{code, 1},
		{"x" + code + "5", 1},
		{strings.ToLower(code), 1},
		{code + code, 2},
		{"PLR" + code, 1},
		{original(1002), 1},
		{"S-001", 1},
		{"xS-0012", 1}, // five characters: anywhere
		{"s-001", 1},
		{"S-00", 0},
		{"A7", 1},
		{"(A7)", 1},
		{"A70 BA7 A7a 7A7", 0}, // two characters: as a word
		{"A7_x x_A7 _A7_", 3},  // which an underscore ends
		{"é A7é", 1},           // no ASCII word character beside it: doubtful, so a leak
		{"A7 A7", 2},
		{"Ä-1234", 1},
		{"ä-1234", 1},
		{`{"s":"\u00c4-1234"}`, 1},
		{`{"s":"\u00C4-1234"}`, 1},
		{`{"s":"\u00e4-1234"}`, 1},
		{`{"s":"\u00d4-1234"}`, 0},
		{`{"s":"x_y\u0026z\u003c1"}`, 1},
		{"<td>x_y&amp;z&lt;1</td>", 1},
		{`x\_y\&z<1`, 1},
	}
	for _, c := range cases {
		forms := map[string][]byte{
			"UTF-8":     []byte(c.text),
			"UTF-16 LE": encodeUTF16(c.text, 0),
			"UTF-16 BE": encodeUTF16(c.text, 1),
			"shifted":   append([]byte{0}, encodeUTF16(c.text, 0)...),
		}
		for form, data := range forms {
			err := gate.Check("figures:f.json", data)
			var leak *LeakError
			n, want := 0, c.n
			if errors.As(err, &leak) {
				n = leak.Count
			}
			if form != "UTF-8" { // neighbours may merge: each matches in both byte orders
				n, want = min(n, 1), min(want, 1)
			}
			if n != want {
				t.Errorf("%s: %q: %d places, want %d", form, c.text, n, want)
			}
			if err != nil && gate.CheckText("", err.Error()) != nil {
				t.Errorf("%s: %q: the error itself leaks", form, c.text)
			}
		}
	}
}

func TestGateWithoutLookup(t *testing.T) {
	gate := NewGate(nil)
	if err := gate.CheckText("table.column", "a "+original(4018)+" b"); err == nil || !strings.Contains(err.Error(), "table.column") || strings.Contains(err.Error(), "4018") {
		t.Errorf("error %v", err)
	}
	if err := gate.CheckText("f", "H001"); err != nil {
		t.Error(err)
	}
	name := "out/" + original(1) + ".json"
	if err := gate.Check(name, nil); err == nil || strings.Contains(err.Error(), original(1)) {
		t.Errorf("name: error %v", err)
	}
}

func TestRedact(t *testing.T) {
	gate := NewGate([]string{"S-001", "01"})
	for text, want := range map[string]string{
		"run S-001 failed: no " + original(77) + "!": "run [subject] failed: no [subject]!",
		"clean":  "clean",
		"S-001":  "[subject]",
		"01":     "[subject]",
		"S-0012": "[subject]2",
	} {
		if got := gate.Redact(text); got != want {
			t.Errorf("Redact(%q) = %q, want %q", text, got, want)
		}
	}
}

// The automaton finds exactly what looking for each string in turn finds.
func TestAutomaton(t *testing.T) {
	letters := rapid.SliceOfN(rapid.SampledFrom([]byte("abAB\x00")), 0, 5)
	rapid.Check(t, func(t *rapid.T) {
		texts := rapid.SliceOfN(letters, 0, 8).Draw(t, "texts")
		data := rapid.SliceOfN(rapid.SampledFrom([]byte("abAB\x00z")), 0, 60).Draw(t, "data")
		type place struct{ ID, End int }
		got, want := map[place]int{}, map[place]int{}
		newAutomaton(texts).scan(data, func(id, end int) { got[place{id, end}]++ })
		for id, text := range texts {
			for end := len(text); end <= len(data) && len(text) > 0; end++ {
				if bytes.EqualFold(text, data[end-len(text):end]) {
					want[place{id, end}] = 1
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Whatever stands around a code of the lookup, and wherever it stands, it is found.
func TestGateFindsEveryCode(t *testing.T) {
	var codes []string
	for i := range 213 {
		codes = append(codes, fmt.Sprintf("subj%d", 10000+i*31))
	}
	gate := NewGate(codes)
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom(codes).Draw(t, "code")
		before := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "before")
		after := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "after")
		form := rapid.SampledFrom([][]byte{[]byte(code), encodeUTF16(code, 0), encodeUTF16(code, 1)}).Draw(t, "form")
		if gate.Check("f", bytes.Join([][]byte{before, form, after}, nil)) == nil {
			t.Fatal("not found")
		}
	})
}

// A database of tens of megabytes must not hold up a build.
func TestGateIsFast(t *testing.T) {
	var codes []string
	for i := range 213 {
		codes = append(codes, original(1000+i*17))
	}
	data := bytes.Repeat([]byte("0.123456789,PLx G012\x00\x01\x02 estimate P PL PLR bestAUROC 17\n"), 1<<19)
	start := time.Now()
	if err := NewGate(codes).Check("db", data); err != nil {
		t.Fatal(err)
	}
	elapsed := time.Since(start)
	t.Logf("%d MB in %v", len(data)>>20, elapsed)
	if elapsed > 5*time.Second { // about 0.1 s is usual: only a wrong order of growth is caught
		t.Errorf("%d MB took %v", len(data)>>20, elapsed)
	}
}

// Codes that are numbers or short are told from what only looks like them, as
// far as that can be done; else the study could never be published.
func TestGateByChance(t *testing.T) {
	gate := NewGate([]string{"12345", "07", "ab123", "123456789"})
	digest := strings.Repeat("f", 20) + "ab123" + "c12345d" + strings.Repeat("0", 10)
	cases := []struct {
		text string
		n    int
	}{
		{"0.12345 0.712345 12345.5 212345 123456 1.12345e-07 -0.1234567890123", 0},
		{"1e-07 2.5E+07 07e-12 x=1.e-07 0.07 3.07", 0},
		{digest, 0},
		{"12345 (12345) S12345 x_12345.json 12345. subject.12345.x", 6},
		{`{"n":12345}`, 1},
		{"2026-07-01 e-07", 2},
		{"ab123 xab123y ab123" + strings.Repeat("0", 20), 3},
		{"123456789", 1},
	}
	for _, c := range cases {
		for form, data := range map[string][]byte{"UTF-8": []byte(c.text), "UTF-16": encodeUTF16(c.text, 0)} {
			n := 0
			var leak *LeakError
			if errors.As(gate.Check("f", data), &leak) {
				n = leak.Count
			}
			if form == "UTF-16" {
				n = min(n, 1)
			}
			if want := c.n; n != want && (form == "UTF-8" || n != min(want, 1)) {
				t.Errorf("%s: %q: %d places, want %d", form, c.text, n, want)
			}
			if leak != nil && (!leak.Chance || strings.Contains(leak.Error(), "find the step") || !strings.Contains(leak.Error(), "may be chance")) {
				t.Errorf("%s: %q: a text that may be chance is called a leak: %v", form, c.text, leak)
			}
		}
	}
	err := NewGate([]string{"12345"}).CheckText("f", "12345 and "+original(12))
	var leak *LeakError
	if !errors.As(err, &leak) || leak.Chance || !strings.Contains(err.Error(), "find the step") {
		t.Errorf("a sure leak is called chance: %v", err)
	}
}

func TestGateInRawBytes(t *testing.T) {
	gate := NewGate([]string{"A7", "S-0012", "SUBJ-001", "12345678"})
	for text, want := range map[string]bool{
		"A7": false, "S-0012": false, "SUBJ-001": true, "xsubj-0012": true, original(7): true, "\x0012345678\x00": true, "912345678": false,
	} {
		if got := gate.CheckRawReader("f", strings.NewReader("\x01 "+text+" \x02")) != nil; got != want {
			t.Errorf("%q: found %v, want %v", text, got, want)
		}
	}
	if gate.CheckRawReader("out/A7.db", strings.NewReader("")) == nil {
		t.Error("a short code in a name is not found")
	}
}

// Letters match in either case, whatever their script.
func TestGateFoldsCase(t *testing.T) {
	many := "СУБЪЕКТ-Ж12"
	gate := NewGate([]string{"ÄÖx-12", "straße9", many})
	for _, text := range []string{
		"äöX-12", "ÄöX-12", "äÖx-12", "STRAẞE9", "Straße9", many, strings.ToLower(many), "Субъект-ж12",
		`"\u00e4\u00d6x-12"`,
	} {
		for form, data := range map[string][]byte{"UTF-8": []byte(text), "UTF-16 LE": encodeUTF16(text, 0), "UTF-16 BE": encodeUTF16(text, 1)} {
			if gate.Check("f", data) == nil {
				t.Errorf("%s: %q is not found", form, text)
			}
		}
	}
	if gate.CheckText("f", "ÄÜx-12 strasse9") != nil {
		t.Error("another letter is taken for it")
	}
}

// What is read in windows is what is found in the whole, wherever they begin.
func TestGateReadsInWindows(t *testing.T) {
	codes := []string{"A7", "12345", "ab123", "S-00012", "Ä-1234", "1234567890123"}
	gate := NewGate(codes)
	words := append([]string{original(12), "PLR", "1", "PLR1", ".", "e-", "é", "\x00", strings.Repeat("0f", 20), " "}, codes...)
	rapid.Check(t, func(t *rapid.T) {
		gate.window = rapid.IntRange(gate.behind+surround+1, 2*(gate.behind+surround)).Draw(t, "window")
		gate.buffers = sync.Pool{}
		var data []byte
		for _, word := range rapid.SliceOfN(rapid.SampledFrom(words), 0, 400).Draw(t, "words") {
			form := rapid.IntRange(-1, 1).Draw(t, "form")
			if form < 0 {
				data = append(data, word...)
			} else {
				data = append(data, encodeUTF16(word, form)...)
			}
		}
		for _, raw := range []what{asText, asGuess, asRaw} {
			want := tally{}.with(gate.find(data, raw))
			got, err := gate.read(iotest.HalfReader(bytes.NewReader(data)), raw)
			if err != nil || got != want {
				t.Fatalf("raw %v: %+v, want %+v; error %v", raw, got, want, err)
			}
		}
	})
	broken := errors.New("broken disk")
	if err := gate.CheckReader("f", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

// Letters beyond ASCII are written in more ways than one, and so are whole numbers.
func TestGateFindsOtherSpellings(t *testing.T) {
	const code = "Müller-07"
	g := NewGate([]string{code, "70412"})
	for name, text := range map[string]string{
		"accents apart":          "x Mu\u0308ller-07 y",
		"Latin-1":                "x M\xfcller-07 y",
		"Latin-1, upper case":    "x M\xdcLLER-07 y",
		"code page 850":          "x M\x81ller-07 y",
		"Mac Roman":              "x M\x9fller-07 y",
		"UTF-8 taken for others": "x MÃ¼ller-07 y",
		"without accents":        "x Muller-07 y",
		"with zeros":             "id,70412.0,3",
		"with more zeros":        "70412.000",
	} {
		if g.Check("f", []byte(text)) == nil {
			t.Errorf("%s: %q passes", name, text)
		}
	}
	for _, text := range []string{"x Mxller-07", "70412.5", "70412.05", "1.70412", "70412.0e3"} {
		if err := g.Check("f", []byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := NewGate([]string{"47"}).Check("f", []byte("47.0 %")); err != nil {
		t.Errorf("a number of two digits: %v", err)
	}
	// The lookup has the accents apart, the file has not.
	if NewGate([]string{"Mu\u0308ller-07"}).Check("f", []byte("x Müller-07")) == nil {
		t.Error("a code whose accents the lookup has apart passes")
	}
}
