package pickle

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// snippets are opcodes, and groups of them that random choice would hardly put
// together.
var snippets = []string{
	"N", "\x88", "\x89", "K\x01", "M\x00\x01", integer(1<<32 - 1), "G\x3f\xf8\x00\x00\x00\x00\x00\x00", "\x8a\x00", "\x8a\x01\xff",
	"\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x80\x00", "\x8b" + le32(0),
	text(""), text("a"), text("f8"), text("U1"), text("C"), text("F"), text("<"), text("latin1"),
	text("numpy"), text("dtype"), text("ndarray"), text("collections"), text("OrderedDict"),
	"C\x00", "C\x0812345678", binary1("1234"), "\x96" + le64(8) + "12345678", "\x8e" + le64(1) + "x",
	")", "]", "}", "\x8f", "(", "(", "(", "0", "1", "\x85", "\x86", "\x87", "t", "t", "\x91", "a", "e", "s", "u", "\x90",
	"\x94", "\x94", "q\x05", "r" + le32(7), "h\x00", "h\x01", "h\x02", "h\x05", "j" + le32(7), "\x93", "R", "R", "b",
	ndarray, "cnumpy\ndtype\n", "cnumpy.core.numeric\n_frombuffer\n", "cnumpy._core.multiarray\n_reconstruct\n",
	"cnumpy.core.multiarray\nscalar\n", "c_codecs\nencode\n", "ccollections\nOrderedDict\n", "ccollections\nOrderedDict\n)R",
	newDtype("f8"), newDtype("U1"), newDtype("O8"), newDtype("b1"), withState(">", -1), withState("|", 4), shapeOf(1), shapeOf(0, 3),
	reconstructed(""), "(K\x01" + shapeOf(1) + newDtype("O8") + "\x89]Natb", scalar(newDtype("f8"), "12345678"),
	array("12345678", newDtype("f8"), shapeOf(1, 1), "F"), "\x95" + le64(0),
}

// TestRandomPrograms puts snippets together so that the preflight has nothing
// to say, and sees whether the decoder can carry all of it out: it may find a
// value wrong, but neither panic nor lack an operand.
func TestRandomPrograms(t *testing.T) {
	limits := Limits{}.orDefault()
	read, wrong := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		program, open := head+"(", 1
		for _, i := range rapid.SliceOfN(rapid.IntRange(0, len(snippets)-1), 30, 150).Draw(t, "snippets") {
			longer := program + snippets[i]
			c := newChecker(fromMemory([]byte(longer)), nil, literally, limits)
			// The first mark stays open, to take what is left over at the end.
			if c.walk() == nil && len(c.marks) > 0 {
				program, open = longer, len(c.marks)
			}
		}
		program += strings.Repeat("t", open)
		v, err := Decode([]byte(program+tail), Limits{})
		if err == nil {
			read++
			budget := 10_000
			walk(v, &budget)
			return
		}
		wrong++
		var e *Error
		if !errors.As(err, &e) || e.Detail == detailPanic || e.Detail == detailDisagree {
			t.Fatalf("%q: %v", program, err)
		}
	})
	t.Logf("%d programs were read, %d held a wrong value", read, wrong)
	if read == 0 {
		t.Error("no program was read")
	}
}
