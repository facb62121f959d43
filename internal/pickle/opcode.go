package pickle

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"
)

// The opcodes that are accepted: what Python 3 writes in protocols 2 to 5,
// and the few that the rewritten stream uses for its hooks.
const (
	opMark            = '('
	opStop            = '.'
	opPop             = '0'
	opPopMark         = '1'
	opBinFloat        = 'G'
	opBinInt          = 'J'
	opBinInt1         = 'K'
	opBinInt2         = 'M'
	opNone            = 'N'
	opBinPersID       = 'Q' // rewritten stream only
	opReduce          = 'R'
	opBinUnicode      = 'X'
	opAppend          = 'a'
	opBuild           = 'b'
	opGlobal          = 'c'
	opAppends         = 'e'
	opBinGet          = 'h'
	opLongBinGet      = 'j'
	opBinPut          = 'q'
	opLongBinPut      = 'r'
	opSetItem         = 's'
	opTuple           = 't'
	opSetItems        = 'u'
	opEmptyTuple      = ')'
	opEmptyList       = ']'
	opEmptyDict       = '}'
	opProto           = 0x80
	opExt1            = 0x82 // rewritten stream only
	opTuple1          = 0x85
	opTuple2          = 0x86
	opTuple3          = 0x87
	opNewTrue         = 0x88
	opNewFalse        = 0x89
	opLong1           = 0x8a
	opLong4           = 0x8b
	opBinBytes        = 'B'
	opShortBinBytes   = 'C'
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opBinBytes8       = 0x8e
	opEmptySet        = 0x8f
	opAddItems        = 0x90
	opFrozenSet       = 0x91
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95
	opByteArray8      = 0x96
	opNextBuffer      = 0x97 // rewritten stream only
)

// operand is the form of what follows an opcode.
type operand uint8

const (
	noOperand operand = iota
	fixed1            // a number of 1, 2, 4 or 8 bytes
	fixed2
	fixed4
	fixed8
	counted1 // a length of 1, 4 or 8 bytes and so many bytes
	counted4
	counted8
	twoLines // a module and a name, each ended by a newline
	refusedOp
)

type opcodeInfo struct {
	name    string // empty: no such opcode
	operand operand
	why     string // of a refusal
}

const (
	whyText     = "belongs to protocol 0 or 1, which is not supported"
	whyObject   = "would make an object of a class"
	whyExternal = "refers to data outside the file"
)

var opcodes = [256]opcodeInfo{
	opMark:            {name: "MARK"},
	opStop:            {name: "STOP"},
	opPop:             {name: "POP"},
	opPopMark:         {name: "POP_MARK"},
	opBinFloat:        {name: "BINFLOAT", operand: fixed8},
	opBinInt:          {name: "BININT", operand: fixed4},
	opBinInt1:         {name: "BININT1", operand: fixed1},
	opBinInt2:         {name: "BININT2", operand: fixed2},
	opNone:            {name: "NONE"},
	opReduce:          {name: "REDUCE"},
	opBinUnicode:      {name: "BINUNICODE", operand: counted4},
	opAppend:          {name: "APPEND"},
	opBuild:           {name: "BUILD"},
	opGlobal:          {name: "GLOBAL", operand: twoLines},
	opAppends:         {name: "APPENDS"},
	opBinGet:          {name: "BINGET", operand: fixed1},
	opLongBinGet:      {name: "LONG_BINGET", operand: fixed4},
	opBinPut:          {name: "BINPUT", operand: fixed1},
	opLongBinPut:      {name: "LONG_BINPUT", operand: fixed4},
	opSetItem:         {name: "SETITEM"},
	opTuple:           {name: "TUPLE"},
	opSetItems:        {name: "SETITEMS"},
	opEmptyTuple:      {name: "EMPTY_TUPLE"},
	opEmptyList:       {name: "EMPTY_LIST"},
	opEmptyDict:       {name: "EMPTY_DICT"},
	opProto:           {name: "PROTO", operand: fixed1},
	opTuple1:          {name: "TUPLE1"},
	opTuple2:          {name: "TUPLE2"},
	opTuple3:          {name: "TUPLE3"},
	opNewTrue:         {name: "NEWTRUE"},
	opNewFalse:        {name: "NEWFALSE"},
	opLong1:           {name: "LONG1", operand: counted1},
	opLong4:           {name: "LONG4", operand: counted4},
	opBinBytes:        {name: "BINBYTES", operand: counted4},
	opShortBinBytes:   {name: "SHORT_BINBYTES", operand: counted1},
	opShortBinUnicode: {name: "SHORT_BINUNICODE", operand: counted1},
	opBinUnicode8:     {name: "BINUNICODE8", operand: counted8},
	opBinBytes8:       {name: "BINBYTES8", operand: counted8},
	opEmptySet:        {name: "EMPTY_SET"},
	opAddItems:        {name: "ADDITEMS"},
	opFrozenSet:       {name: "FROZENSET"},
	opStackGlobal:     {name: "STACK_GLOBAL"},
	opMemoize:         {name: "MEMOIZE"},
	opFrame:           {name: "FRAME", operand: fixed8},
	opByteArray8:      {name: "BYTEARRAY8", operand: counted8},

	'2':          {name: "DUP", operand: refusedOp, why: whyText},
	'F':          {name: "FLOAT", operand: refusedOp, why: whyText},
	'I':          {name: "INT", operand: refusedOp, why: whyText},
	'L':          {name: "LONG", operand: refusedOp, why: whyText},
	'S':          {name: "STRING", operand: refusedOp, why: whyText},
	'T':          {name: "BINSTRING", operand: refusedOp, why: whyText},
	'U':          {name: "SHORT_BINSTRING", operand: refusedOp, why: whyText},
	'V':          {name: "UNICODE", operand: refusedOp, why: whyText},
	'd':          {name: "DICT", operand: refusedOp, why: whyText},
	'g':          {name: "GET", operand: refusedOp, why: whyText},
	'i':          {name: "INST", operand: refusedOp, why: whyObject},
	'l':          {name: "LIST", operand: refusedOp, why: whyText},
	'o':          {name: "OBJ", operand: refusedOp, why: whyObject},
	'p':          {name: "PUT", operand: refusedOp, why: whyText},
	0x81:         {name: "NEWOBJ", operand: refusedOp, why: whyObject},
	0x92:         {name: "NEWOBJ_EX", operand: refusedOp, why: whyObject},
	'P':          {name: "PERSID", operand: refusedOp, why: whyExternal},
	opBinPersID:  {name: "BINPERSID", operand: refusedOp, why: whyExternal},
	opExt1:       {name: "EXT1", operand: refusedOp, why: whyExternal},
	0x83:         {name: "EXT2", operand: refusedOp, why: whyExternal},
	0x84:         {name: "EXT4", operand: refusedOp, why: whyExternal},
	opNextBuffer: {name: "NEXT_BUFFER", operand: refusedOp, why: whyExternal},
	0x98:         {name: "READONLY_BUFFER", operand: refusedOp, why: whyExternal},
}

// maxLine bounds a line of GLOBAL. The longest allowed name has 30 bytes.
const maxLine = 1024

// longestHead is the longest run of bytes that operandSize may look at.
const longestHead = 1 + 2*maxLine

// operandSize gives the bytes of the opcode that data begins with, its length
// field included, and of the operand that follows. It is false if data ends
// within the length or, for a line, before its end.
func operandSize(data []byte) (head int, size uint64, ok bool) {
	switch opcodes[data[0]].operand {
	case noOperand, refusedOp:
		return 1, 0, true
	case fixed1:
		return 1, 1, true
	case fixed2:
		return 1, 2, true
	case fixed4:
		return 1, 4, true
	case fixed8:
		return 1, 8, true
	case counted1:
		if len(data) < 2 {
			return 0, 0, false
		}
		return 2, uint64(data[1]), true
	case counted4:
		if len(data) < 5 {
			return 0, 0, false
		}
		return 5, uint64(binary.LittleEndian.Uint32(data[1:])), true
	case counted8:
		if len(data) < 9 {
			return 0, 0, false
		}
		return 9, binary.LittleEndian.Uint64(data[1:]), true
	}
	// twoLines
	end := 1
	for range 2 {
		n := bytes.IndexByte(data[end:min(end+maxLine, len(data))], '\n')
		if n < 0 {
			return 0, 0, false
		}
		end += n + 1
	}
	return 1, uint64(end - 1), true
}

// validText tells whether b is UTF-8 as Python's "surrogatepass" reads it:
// strings may hold lone surrogates.
func validText(b []byte) bool {
	if utf8.Valid(b) {
		return true
	}
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			if len(b) < 3 || b[0] != 0xed || b[1] < 0xa0 || b[1] > 0xbf || b[2] < 0x80 || b[2] > 0xbf {
				return false
			}
			n = 3
		}
		b = b[n:]
	}
	return true
}

// wholeRunes leaves out the bytes of a character that b ends within.
func wholeRunes(b []byte) []byte {
	for i := len(b) - 1; i >= max(0, len(b)-utf8.UTFMax+1); i-- {
		if b[i] < utf8.RuneSelf {
			break
		}
		if utf8.RuneStart(b[i]) {
			return b[:i]
		}
	}
	return b
}

func splitLines(b []byte) (module, name string) {
	for i, x := range b {
		if x == '\n' {
			return string(b[:i]), string(b[i+1 : len(b)-1])
		}
	}
	return "", ""
}
