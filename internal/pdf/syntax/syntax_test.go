package syntax

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// values reads all values of a text, up to the first error.
func values(text string, refs, cut bool) (all []any, err error) {
	l := NewLexer(strings.NewReader(text))
	l.Cut = cut
	for {
		v, err := l.Value(refs)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
}

func TestValues(t *testing.T) {
	for text, want := range map[string][]any{
		"":                            nil,
		"12 -.5 +3. 1e3":              {12.0, -0.5, 3.0, 1000.0},
		"% a comment\n/Name /A#42#4":  {Name("Name"), Name("AB#4")},
		`(a(b)c) (\053\n\)` + "\\\n)": {String("a(b)c"), String("+\n)")},
		"<48 65 6C6c 6> <>":           {String("Hell`"), String{}},
		"[1 [/A (b)] null]":           {Array{1.0, Array{Name("A"), String("b")}, Keyword("null")}},
		"<</A 1 /B <</C [2]>>>>":      {Dictionary{"A": 1.0, "B": Dictionary{"C": Array{2.0}}}},
		"<</A 1 /A 2>>":               {Dictionary{"A": 2.0, "A\x00": 1.0}},
		"<</A>>":                      {Dictionary{}},
		"12 0 R":                      {Reference(12)},
		"12 0 obj 7 8":                {12.0, 0.0, Keyword("obj"), 7.0, 8.0},
		"BT (x) Tj ET":                {Keyword("BT"), String("x"), Keyword("Tj"), Keyword("ET")},
	} {
		got, err := values(text, true, false)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if got, err := values("12 0 R", false, false); err != nil || len(got) != 3 {
		t.Errorf("operators have a reference: %v, %v", got, err)
	}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]error{
		"(never ends": errEnd, "[1 2": errEnd, "<</A 1": errEnd, "<4": errEnd,
		"[1 >>":                               errArray,
		"<<1 2>>":                             errKey,
		strings.Repeat("[", maxNesting+2):     errNesting,
		"/" + strings.Repeat("a", MaxToken+1): errToken,
		"[%" + strings.Repeat("a", maxObject) + "\n1]": errObject,
	} {
		_, err := values(text, true, false)
		if !errors.Is(err, want) || !Fault(err) {
			t.Errorf("%.20q: %v, want %v", text, err, want)
		}
	}
	if Fault(io.ErrClosedPipe) {
		t.Error("an error of reading is one of syntax")
	}
}

// The operators of a page may go on in another stream.
func TestCut(t *testing.T) {
	got, err := values("[(a) <</B 1", false, true)
	if diff := cmp.Diff([]any{Array{String("a"), Dictionary{"B": 1.0}}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestSkipPicture(t *testing.T) {
	l := NewLexer(strings.NewReader("/W 1 ID \x00(EI(<< \nEI (text) Tj"))
	if err := l.SkipPicture(); err != nil {
		t.Fatal(err)
	}
	if v, err := l.Value(false); err != nil || !cmp.Equal(v, String("text")) {
		t.Errorf("behind the picture is %v, %v", v, err)
	}
}

func TestReturn(t *testing.T) {
	l := NewLexer(strings.NewReader("1 2 3"))
	first, _ := l.Token()
	second, _ := l.Token()
	l.Return(second)
	l.Return(first)
	for want := 1.0; want <= 3; want++ {
		if got, err := l.Token(); err != nil || got != want {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
}
