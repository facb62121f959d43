package pickle

import (
	"encoding/binary"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/foundation-plr/pipeline/internal/racetest"
)

// Pieces of pickles, in the spelling of protocol 4 and 5.
const (
	head    = "\x80\x05"
	ndarray = "cnumpy\nndarray\n"
	tail    = "."
)

func le32(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
func le64(n uint64) string { return string(binary.LittleEndian.AppendUint64(nil, n)) }

func text(s string) string    { return "\x8c" + string([]byte{byte(len(s))}) + s }
func binary1(s string) string { return "B" + le32(uint32(len(s))) + s }
func integer(n uint32) string { return "J" + le32(n) }

// newDtype is numpy.dtype(name, False, True).
func newDtype(name string) string { return "cnumpy\ndtype\n" + text(name) + "\x89\x88\x87R" }

// withState gives a dtype on the stack its state.
func withState(order string, size int32) string {
	return "(K\x03" + text(order) + "NNN" + integer(uint32(size)) + integer(0xffffffff) + "K\x00tb"
}

func shapeOf(dims ...uint32) string {
	s := "("
	for _, d := range dims {
		s += integer(d)
	}
	return s + "t"
}

func array(raw, dt, shape, order string) string {
	return "cnumpy.core.numeric\n_frombuffer\n(" + binary1(raw) + dt + shape + text(order) + "tR"
}

func reconstructed(state string) string {
	return "cnumpy.core.multiarray\n_reconstruct\n" + ndarray + shapeOf(0) + binary1("b") + "\x87R" + state
}

func scalar(dt, raw string) string {
	return "cnumpy.core.multiarray\nscalar\n" + dt + binary1(raw) + "\x86R"
}

func TestHostile(t *testing.T) {
	const gib32 = 32 << 30
	laughs := "N\x85" // a tuple in a tuple in a ...: each level holds the last twice
	for i := range 60 {
		laughs += "\x94h" + string([]byte{byte(i)}) + "\x86"
	}
	tests := []struct {
		name   string
		data   string
		kind   Kind
		detail string
	}{
		{"empty file", "", Damaged, "empty"},
		{"random bytes", "\x13\x37 this is not a pickle", Damaged, "does not begin"},
		{"protocol 0", "(lp0\n.", Damaged, "does not begin"},
		{"protocol 6", "\x80\x06N.", Refused, "protocol 6"},
		{"protocol 1", "\x80\x01N.", Refused, "protocol 1"},
		{"protocol twice", head + head + "N.", Damaged, "PROTO occurs again"},
		{"cut after protocol", head, Damaged, "ends before"},
		{"no STOP", head + "N", Damaged, "ends before"},
		{"STOP on nothing", head + ".", Damaged, "0 values"},
		{"STOP with two values", head + "NN.", Damaged, "2 values"},
		{"STOP with an open MARK", head + "N(.", Damaged, "MARK is open"},

		{"opcode 0xff", head + "\xff", Damaged, "0xff"},
		{"opcode 0x00", head + "\x00", Damaged, "0x00"},
		{"odd DICT", head + "(Nd.", Refused, "DICT"},
		{"odd SETITEMS", head + "}(NNNu.", Damaged, "key without a value"},
		{"SETITEMS to a list", head + "](NNu.", Damaged, "another kind"},
		{"APPENDS to a dict", head + "}(Ne.", Damaged, "another kind"},
		{"APPENDS to nothing", head + "(Ne.", Damaged, "no container"},
		{"APPEND across a MARK", head + "](Na.", Damaged, "no container"},
		{"ADDITEMS without MARK", head + "\x8f\x90.", Damaged, "finds no MARK"},
		{"TUPLE3 of two", head + "NN\x87.", Damaged, "too few values"},
		{"list in a set", head + "\x8f(]\x90.", Damaged, "cannot be hashed"},
		{"tuple of a list in a frozenset", head + "(]\x85\x91.", Damaged, "cannot be hashed"},
		{"dict as a key", head + "}}Ns.", Damaged, "cannot be hashed"},
		{"set as a key", head + "}\x8fNs.", Damaged, "cannot be hashed"},
		{"bytearray as a key", head + "}\x96" + le64(1) + "aNs.", Damaged, "cannot be hashed"},
		{"array as a key", head + "}" + array("", newDtype("f8"), shapeOf(0), "C") + "Ns.", Damaged, "cannot be hashed"},
		{"dtype in a tuple as a key", head + "}" + newDtype("f8") + "\x85Ns.", Damaged, "cannot be hashed"},
		{"deep tuple as a key", head + "}" + ")" + strings.Repeat("\x85", 1000) + "Ns.", TooLarge, "a key of more than"},
		{"wide tuple as a key", head + "}" + laughs + "Ns.", TooLarge, "a key of more than"},
		{"long string as a key", head + "}X" + le32(5000) + strings.Repeat("x", 5000) + "Ns.", TooLarge, "a key of more than"},
		{"long string in a tuple as a key", head + "}X" + le32(5000) + strings.Repeat("x", 5000) + "\x85Ns.", TooLarge, "a key of more than"},
		{"BINGET of a missing id", head + "h\x00.", Damaged, "never stored"},
		{"LONG_BINGET of a missing id", head + "j" + le32(4e9) + ".", Damaged, "never stored"},
		{"LONG_BINPUT of a huge id", head + "Nr" + le32(4e9) + ".", Damaged, "cannot have come up"},
		{"BINPUT twice", head + "Nq\x00q\x000.", Damaged, "in use"},
		{"MEMOIZE of nothing", head + "\x94.", Damaged, "nothing on the stack"},
		{"text that is not UTF-8", head + text("a\x80") + tail, Damaged, "not UTF-8"},

		{"BINBYTES8 of 32 GiB", head + "\x8e" + le64(gib32), Damaged, "BINBYTES8 does not end"},
		{"BYTEARRAY8 of 32 GiB", head + "\x96" + le64(gib32), Damaged, "BYTEARRAY8 does not end"},
		{"BINUNICODE8 of 32 GiB", head + "\x8d" + le64(gib32), Damaged, "BINUNICODE8 does not end"},
		{"FRAME of 32 GiB", head + "\x95" + le64(gib32), Damaged, "FRAME is longer"},
		{"BINBYTES8 of 2^63", head + "\x8e" + le64(1<<63), Damaged, "does not end"},
		{"BYTEARRAY8 of 2^64-1", head + "\x96" + le64(1<<64-1), Damaged, "does not end"},
		{"FRAME of 2^64-1", head + "\x95" + le64(1<<64-1), Damaged, "longer"},
		{"BINBYTES of 4 GiB", head + "B" + le32(1<<32-1), Damaged, "does not end"},
		{"BINUNICODE of 4 GiB", head + "X" + le32(1<<32-1), Damaged, "does not end"},
		{"LONG4 of -1", head + "\x8b" + le32(1<<32-1), Damaged, "does not end"},
		{"LONG4 of 300 kB", head + "\x8b" + le32(300_000) + strings.Repeat("\x01", 300_000) + ".", TooLarge, "integer of 300000 bytes"},
		{"length cut short", head + "\x8e\x01", Damaged, "does not end"},
		{"frame in a frame", head + "\x95" + le64(20) + "\x95" + le64(1) + "N" + strings.Repeat("0N", 10) + ".", Damaged, "begins before"},
		{"opcode across the end of its frame", head + "\x95" + le64(3) + "J" + le32(1) + ".", Damaged, "within its frame"},
		{"GLOBAL without an end", head + "cos" + strings.Repeat("x", 5000), Damaged, "GLOBAL does not end"},

		{"os.system", head + text("os") + text("system") + "\x93" + text("true") + "\x85R.", Refused, `names "os.system"`},
		{"os.system in protocol 2", "\x80\x02cposix\nsystem\nX" + le32(4) + "true\x85R.", Refused, `names "posix.system"`},
		{"eval", head + "cbuiltins\neval\n.", Refused, `names "builtins.eval"`},
		{"getattr", head + "cbuiltins\ngetattr\n.", Refused, `names "builtins.getattr"`},
		{"what gopickle resolves itself", head + "c__builtin__\nobject\n.", Refused, `names "__builtin__.object"`},
		{"the other that gopickle resolves", head + "ccopy_reg\n_reconstructor\n.", Refused, `names "copy_reg._reconstructor"`},
		{"a global by fetched strings", head + text("os") + "\x94" + text("system") + "\x9400h\x00h\x01\x93.", Refused, `names "os.system"`},
		{"a global by an int", head + "K\x01" + text("system") + "\x93.", Damaged, "needs two strings"},
		{"free text as a global", head + "cAnn was born\non 1970 in O'Hara\n.", Refused, `names "Ann?was?born.on?#?in?O?Hara"`},
		{"a long global", head + "c" + strings.Repeat("x", 500) + "\ny\n.", Refused, `x..."`},
		{"NEWOBJ", head + "N)\x81.", Refused, "NEWOBJ"},
		{"NEWOBJ_EX", head + "N)}\x92.", Refused, "NEWOBJ_EX"},
		{"OBJ", head + "(No.", Refused, "OBJ"},
		{"INST", head + "(ios\nsystem\n.", Refused, "INST"},
		{"PERSID", head + "Px\n.", Refused, "PERSID"},
		{"BINPERSID", head + "NQ.", Refused, "BINPERSID"},
		{"EXT1", head + "\x82\x01.", Refused, "EXT1"},
		{"EXT4", head + "\x84" + le32(1) + ".", Refused, "EXT4"},
		{"NEXT_BUFFER", head + "\x97.", Refused, "NEXT_BUFFER"},
		{"READONLY_BUFFER", head + "N\x98.", Refused, "READONLY_BUFFER"},
		{"REDUCE of a string", head + text("x") + ")R.", Refused, "no global"},
		{"REDUCE of a class", head + ndarray + ")R.", Refused, "calls numpy.ndarray"},
		{"REDUCE with a list", head + "ccollections\nOrderedDict\n]R.", Damaged, "no tuple"},
		{"OrderedDict with arguments", head + "ccollections\nOrderedDict\n]\x85R.", Refused, "with arguments"},
		{"BUILD of a dict", head + "}}b.", Refused, "BUILD"},
		{"a class as the value", head + ndarray + ".", Refused, "a type"},

		{"too many elements", head + array("12345678", newDtype("f8"), shapeOf(2), "C") + tail, Damaged, "do not fill"},
		{"too few elements", head + array(strings.Repeat("x", 16), newDtype("f8"), shapeOf(1), "C") + tail, Damaged, "do not fill"},
		{"half an element", head + array("1234", newDtype("f8"), shapeOf(1), "C") + tail, Damaged, "do not fill"},
		{"shape that overflows", head + array("12345678", newDtype("f8"), shapeOf(1<<31-1, 1<<31-1, 1<<31-1, 1<<31-1, 4), "C") + tail, Damaged, "do not fill"},
		{"negative length", head + array("12345678", newDtype("f8"), shapeOf(1<<32-1), "C") + tail, Damaged, "other than a length"},
		{"empty with a huge length", head + array("", newDtype("f8"), shapeOf(0, 1<<30), "C") + tail, TooLarge, "without elements"},
		{"65 dimensions", head + array("", newDtype("f8"), shapeOf(make([]uint32, 65)...), "C") + tail, Damaged, "up to 64"},
		{"elements of no size", head + array("", newDtype("U0"), shapeOf(1<<30), "C") + tail, Refused, "without a size"},
		{"order K", head + array("12345678", newDtype("f8"), shapeOf(1), "K") + tail, Damaged, "other types"},
		{"objects from a buffer", head + array("12345678", newDtype("O8"), shapeOf(1), "C") + tail, Refused, "objects from a buffer"},
		{"array of a subclass", head + "cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\n" + shapeOf(0) + binary1("b") + "\x87R.", Refused, "other than numpy.ndarray"},
		{"state of version 9", head + reconstructed("(K\x09"+shapeOf(0)+newDtype("f8")+"\x89"+binary1("")+"tb") + tail, Refused, "version 9"},
		{"state given twice", head + reconstructed(strings.Repeat("(K\x01"+shapeOf(0)+newDtype("f8")+"\x89"+binary1("")+"tb", 2)) + tail, Damaged, "second time"},
		{"objects as bytes", head + reconstructed("(K\x01"+shapeOf(1)+newDtype("O8")+"\x89"+binary1("12345678")+"tb") + tail, Damaged, "do not fit"},
		{"bytes as objects", head + reconstructed("(K\x01"+shapeOf(1)+newDtype("f8")+"\x89]N"+"atb") + tail, Damaged, "do not fit"},
		{"too few objects", head + reconstructed("(K\x01"+shapeOf(2)+newDtype("O8")+"\x89]N"+"atb") + tail, Damaged, "do not fill"},
		{"state that is no tuple", head + reconstructed("Nb") + tail, Damaged, "no tuple of 5"},

		{"dtype complex", head + scalar(newDtype("c16"), strings.Repeat("x", 16)) + tail, Refused, "dtype c16"},
		{"dtype datetime", head + scalar(newDtype("M8"), "12345678") + tail, Refused, "dtype M8"},
		{"dtype of free text", head + scalar(newDtype("born 1970"), "12345678") + tail, Refused, "another form"},
		{"dtype of a large size", head + scalar(newDtype("V19700101"), "12345678") + tail, Refused, "dtype V,"},
		{"dtype of no name", head + scalar("cnumpy\ndtype\nN\x89\x88\x87R", "12345678") + tail, Refused, "other than a name"},
		{"dtype state of another size", head + scalar(newDtype("U1")+"(K\x03"+text("<")+"NNN"+integer(400)+"K\x04K\x08tb", "1234") + tail, Damaged, "another size"},
		{"dtype state twice", head + scalar(newDtype("f8")+strings.Repeat("(K\x03"+text("<")+"NNN"+integer(1<<32-1)+integer(1<<32-1)+"K\x00tb", 2), "12345678") + tail, Damaged, "second time"},
		{"dtype state after use", head + "](" + newDtype("i4") + "\x940" + scalar("h\x00", "1234") + "h\x00" + withState(">", -1) + "0e" + tail, Damaged, "after it was used"},
		{"dtype state after use, literally", head + "](" + newDtype("i4") + "\x940" + scalar("h\x00", "1234") + "h\x00" + "(K\x03" + text(">") + "NNN" + integer(1<<32-1) + integer(1<<32-1) + "K\x00tNN00b0e" + tail, Damaged, "after it was used"},
		{"dtype that is no copy", head + scalar("cnumpy\ndtype\n"+text("f8")+"\x89\x89\x87R"+withState(">", -1), "12345678") + tail, Refused, "no copy"},
		{"dtype state without a size", head + scalar(newDtype("S2")+withState("|", -1), "a\x00") + tail, Damaged, "another size"},
		{"dtype state with flags of objects", head + scalar(newDtype("f8")+"(K\x03"+text("<")+"NNN"+integer(1<<32-1)+integer(1<<32-1)+"K\x3ftb", "12345678") + tail, Damaged, "flags of another"},
		{"dtype state with an alignment of 9 bytes", head + scalar(newDtype("f8")+"(K\x03"+text("<")+"NNN"+integer(1<<32-1)+"\x8a\x09"+strings.Repeat("\x01", 9)+"K\x00tb", "12345678") + tail, Damaged, "other types"},
		{"structured dtype", head + scalar(newDtype("f8")+"(K\x03"+text("|")+"N"+text("a")+"\x85}K\x08K\x01K\x00tb", "12345678") + tail, Refused, "structured"},
		{"scalar too short", head + scalar(newDtype("f8"), "1234") + tail, Damaged, "do not fit its dtype"},
		{"scalar object", head + scalar(newDtype("O8"), "12345678") + tail, Refused, "dtype O"},
		{"scalar of a list", head + "cnumpy.core.multiarray\nscalar\n" + newDtype("f8") + "]\x86R.", Damaged, "other types"},
		{"str_ of no character", head + scalar(newDtype("U1"), "\xff\xff\xff\xff") + tail, Damaged, "no character"},
		{"encode to utf-16", head + "c_codecs\nencode\n" + text("x") + text("utf-16") + "\x86R.", Refused, "another encoding"},
		{"encode beyond latin1", head + "c_codecs\nencode\n" + text("☃") + text("latin1") + "\x86R.", Damaged, "a character that it lacks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			v, err := Decode([]byte(tt.data), Limits{})
			runtime.ReadMemStats(&after)
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("got value %T and error %v, want an *Error", v, err)
			}
			if e.Kind != tt.kind || !strings.Contains(e.Detail, tt.detail) {
				t.Errorf("got %s: %s; want %s with %q", e.Kind, e.Detail, tt.kind, tt.detail)
			}
			if len(e.Error()) > 300 {
				t.Errorf("the error has %d bytes", len(e.Error()))
			}
			// 11 bytes that claim 32 GiB must not cost more than others.
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("%d bytes were allocated for a file of %d", used, len(tt.data))
			}
		})
	}
}

// TestOddButValid holds what gopickle alone would panic on, or read wrongly,
// though Python reads it.
func TestOddButValid(t *testing.T) {
	huge := new(big.Int).Lsh(big.NewInt(1), 70)
	tests := []struct {
		name string
		data string
		want string
	}{
		{"LONG1 of no bytes", "\x8a\x00", "int 0"},
		{"LONG4 of no bytes", "\x8b" + le32(0), "int 0"},
		{"LONG1 of a small number in many bytes", "\x8a\x0a\x05" + strings.Repeat("\x00", 9), "int 5"},
		{"LONG1 of -2^63", "\x8a\x08" + strings.Repeat("\x00", 7) + "\x80", "int -9223372036854775808"},
		{"LONG1 of 2^70", "\x8a\x09" + strings.Repeat("\x00", 8) + "\x40", "int " + huge.String()},
		{"the later of two equal keys", "}(" + text("a") + "K\x01" + text("b") + "K\x02" + text("a") + "K\x03u", "dict 2\n str 61\n int 3\n str 62\n int 2"},
		{"1, 1.0, True and numpy's 1 as keys", "}(K\x01K\x0aG\x3f\xf0\x00\x00\x00\x00\x00\x00K\x0b\x88K\x0c" + scalar(newDtype("i4"), "\x01\x00\x00\x00") + "K\x0du", "dict 1\n int 1\n int 13"},
		{"2^63 as int and as uint64", "}(\x8a\x09" + strings.Repeat("\x00", 7) + "\x80\x00K\x01" + scalar(newDtype("u8"), strings.Repeat("\x00", 7)+"\x80") + "K\x02u", "dict 1\n int 9223372036854775808\n int 2"},
		{"keys of bytes and of text", "}(" + text("a") + "K\x01" + binary1("a") + "K\x02u", "dict 2\n str 61\n int 1\n bytes 61\n int 2"},
		{"tuples as keys", "}(" + text("a") + text("b") + "\x86K\x01" + text("ab") + "\x85K\x02" + text("a") + text("b") + "\x86K\x03u", "dict 2\n tuple 2\n  str 61\n  str 62\n int 3\n tuple 1\n  str 6162\n int 2"},
		{"None as a key", "}NNs", "dict 1\n none\n none"},
		{"NaN twice as a key", "}(G\x7f\xf8\x00\x00\x00\x00\x00\x00K\x01G\x7f\xf8\x00\x00\x00\x00\x00\x00K\x02u", "dict 2\n f8 7ff8000000000000\n int 1\n f8 7ff8000000000000\n int 2"},
		{"a set of bytes", "\x8f(" + binary1("b") + binary1("a") + binary1("b") + "\x90", "set 2\n bytes 61\n bytes 62"},
		{"a frozenset of tuples", "(N\x85N\x85\x91", "set 1\n tuple 1\n  none"},
		{"an OrderedDict with bytes as keys", "ccollections\nOrderedDict\n)R(" + binary1("k") + "K\x01u", "dict 1\n bytes 6b\n int 1"},
		{"a memo with a gap", "Nq\x020K\x07\x94h\x01h\x02\x87", "tuple 3\n int 7\n int 7\n none"},
		{"POP of a mark", "N(0", "none"},
		{"POP_MARK", "N(NN1", "none"},
		{"a list that grew after it was fetched", "]\x94h\x00K\x01a\x86", "tuple 2\n list 1\n  int 1\n list 1\n  int 1"},
		{"a bool of 2", scalar(newDtype("b1"), "\x02"), "bool 1"},
		{"U with a lone surrogate", scalar(newDtype("U1"), "\x00\xd8\x00\x00"), "str eda080"},
		{"a dtype with its order in the name", scalar(newDtype(">i2"), "\x01\x02"), "int 258"},
		{"int8 below zero", scalar(newDtype("i1"), "\xff"), "int -1"},
		{"bytes after STOP", "N.garbage", "none"},
		{"a second pickle", "N." + head + "K\x01", "none"},
		{"empty frames", "\x95" + le64(0) + "\x95" + le64(0) + "N", "none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := Decode([]byte(head+tt.data+tail), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			lines, err := canon(v, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCutAnywhere cuts every feature at every byte, or at 500 places of a long
// one: what is left is always an error.
func TestCutAnywhere(t *testing.T) {
	paths, err := filepath.Glob("testdata/features/*.pkl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no features: %v", err)
	}
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(data); n += 1 + len(data)/500 {
			for _, want := range []*Paths{nil, NewPaths("nothing")} {
				v, err := DecodePaths(data[:n:n], want, Limits{})
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("%s cut to %d bytes: got value %T and error %v", path, n, v, err)
				}
			}
		}
	}
}

// TestFlood feeds opcodes that cost far more than their one or two bytes. Over
// the limit they are an error before much is allocated; under it, what is
// allocated stays near the estimate.
func TestFlood(t *testing.T) {
	racetest.Skip(t, "one goroutine decodes, as in TestHostile, and what it allocates is counted")
	const n = 1 << 18
	floods := map[string]string{
		"MARK":             strings.Repeat("(", n),
		"EMPTY_LIST":       "](" + strings.Repeat("]", n) + "e",
		"EMPTY_DICT":       "](" + strings.Repeat("}", n) + "e",
		"EMPTY_SET":        "](" + strings.Repeat("\x8f", n) + "e",
		"EMPTY_TUPLE":      "](" + strings.Repeat(")", n) + "e",
		"MEMOIZE":          "N" + strings.Repeat("\x94", n),
		"MEMOIZE, kept":    "](" + strings.Repeat("N\x94", n) + fetches(n) + "e",
		"TUPLE":            "](" + strings.Repeat("(t", n) + "e",
		"TUPLE1":           "N" + strings.Repeat("\x85", n),
		"FROZENSET":        "](" + strings.Repeat("(N\x91", n) + "e",
		"deep list":        strings.Repeat("]", n) + strings.Repeat("a", n-1),
		"BININT1":          "](" + strings.Repeat("K\xff", n) + "e",
		"SHORT_BINBYTES":   "](" + strings.Repeat("C\x00", n) + "e",
		"SHORT_BINUNICODE": "](" + strings.Repeat("\x8c\x01a", n) + "e",
		"SETITEM":          "}" + numbered(n, "s"),
		"MARK POP":         "N" + strings.Repeat("(0", n),
		"dtype":            "cnumpy\ndtype\n\x94" + text("f8") + "\x89\x88\x87\x94" + "00](" + strings.Repeat("h\x00h\x01R", n/8) + "e",
		"array":            arrays(n / 8),
		"encode":           encodings(2000),
		"GET":              "N\x940](" + strings.Repeat("h\x00", n) + "e",
	}
	for name, flood := range floods {
		t.Run(name, func(t *testing.T) {
			data := []byte(head + flood + tail)
			for _, limit := range []int64{4 << 20, 8 << 30} {
				var before, after, live runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				v, err := Decode(data, Limits{MaxMemory: limit})
				runtime.ReadMemStats(&after)
				used := int64(after.TotalAlloc - before.TotalAlloc)
				var e *Error
				if errors.As(err, &e) {
					if e.Kind != TooLarge {
						t.Errorf("got %v, want too large", err)
					}
					if used > 4*4<<20 {
						t.Errorf("limit %d: %d bytes were allocated before it was refused", limit, used)
					}
					continue
				}
				memory := estimate(t, data, limit)
				runtime.GC()
				runtime.ReadMemStats(&live)
				held := int64(live.HeapAlloc) - int64(before.HeapAlloc)
				if held > memory {
					t.Errorf("%d bytes are held, the estimate is %d", held, memory)
				}
				if used > 5*memory { // slices that grow by a quarter are made five times
					t.Errorf("%d bytes were allocated in all, the estimate is %d", used, memory)
				}
				if limit == 4<<20 && memory > limit {
					t.Errorf("passed with an estimate of %d", memory)
				}
				runtime.KeepAlive(v)
			}
		})
	}
}

func fetches(n uint32) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("j" + le32(i))
	}
	return b.String()
}

func numbered(n uint32, after string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(integer(i) + "N" + after)
	}
	return b.String()
}

func arrays(n int) string {
	return "cnumpy.core.numeric\n_frombuffer\n\x94(" + binary1("") + newDtype("f8") + shapeOf(make([]uint32, 64)...) + text("C") + "t\x9400](" +
		strings.Repeat("h\x00h\x01R", n) + "e"
}

func encodings(n int) string {
	return "c_codecs\nencode\n\x94X" + le32(20_000) + strings.Repeat("x", 20_000) + text("latin1") + "\x86\x9400](" +
		strings.Repeat("h\x00h\x01R", n) + "e"
}

// estimate is what the preflight says of the memory that all values take.
func estimate(t *testing.T, data []byte, limit int64) int64 {
	t.Helper()
	for m := everything; m < modes; m++ {
		c, err := preflight(fromMemory(data), nil, m, Limits{MaxMemory: limit}.orDefault())
		if err == nil {
			return c.total()
		}
		if err != errNotTrue {
			t.Fatal(err)
		}
	}
	t.Fatal(errNotTrue)
	return 0
}
