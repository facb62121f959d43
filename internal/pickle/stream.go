package pickle

import (
	"encoding/binary"
	"io"
)

// stream is what gopickle reads in place of the file: the same pickle,
// rewritten opcode by opcode while it is read, so that no second copy exists.
//
//   - PROTO and FRAME are left out: nothing depends on them once checked.
//   - Storing into the memo is left out unless the entry is fetched: gopickle's
//     memo is a map, pickles fetch 210 of 1.5 million entries, and filling it
//     took two thirds of the time. MEMOIZE counts its entries, so those that
//     stay become BINPUT or LONG_BINPUT with the id written out.
//   - Globals become extension codes of this package's own table: gopickle
//     resolves some names before it asks any hook.
//   - Dicts and sets become this package's: gopickle's keep duplicate keys and
//     panic on bytes as members.
//   - Bytes are handed over as a part of the file instead of copied.
//   - An integer of no bytes, which is a valid zero, becomes BININT1 0.
type stream struct {
	data []byte
	plan *plan

	op, pos, next int // the opcode at hand, what to read now, the next opcode

	pending []byte // of the rewritten opcode, to be read before data[pos:next]
	room    [6]byte
	bytes   []byte // what NEXT_BUFFER stands for

	memos   int // ids given out
	globals int // globals passed
}

func newStream(data []byte, p *plan) *stream {
	return &stream{data: data, plan: p}
}

// ReadByte implements io.ByteReader.
func (s *stream) ReadByte() (byte, error) {
	if len(s.pending) == 0 && s.pos == s.next && !s.advance() {
		return 0, io.EOF
	}
	if len(s.pending) > 0 {
		b := s.pending[0]
		s.pending = s.pending[1:]
		return b, nil
	}
	b := s.data[s.pos]
	s.pos++
	return b, nil
}

// Read implements io.Reader. It does not read past an opcode and its operand.
func (s *stream) Read(p []byte) (int, error) {
	if len(s.pending) == 0 && s.pos == s.next && !s.advance() {
		return 0, io.EOF
	}
	if len(s.pending) > 0 {
		n := copy(p, s.pending)
		s.pending = s.pending[n:]
		return n, nil
	}
	n := copy(p, s.data[s.pos:s.next])
	s.pos += n
	return n, nil
}

// buffer is gopickle's NextBuffer: it gives the bytes that the opcode at hand
// was rewritten from. Their capacity ends with them.
func (s *stream) buffer() (any, error) {
	b := s.bytes
	s.bytes = nil
	return b, nil
}

// advance goes to the next opcode that gopickle is to see.
func (s *stream) advance() bool {
	for s.next < len(s.data) {
		s.op = s.next
		body, next, ok := measure(s.data, s.op)
		if !ok { // cannot be after the preflight
			return false
		}
		s.next = next
		s.pos = next // unless the opcode stays as it is
		switch s.data[s.op] {
		case opProto, opFrame:
			continue
		case opMemoize, opBinPut, opLongBinPut:
			id := s.memos
			s.memos++
			switch s.data[s.op] {
			case opBinPut:
				id = int(s.data[body])
			case opLongBinPut:
				id = int(binary.LittleEndian.Uint32(s.data[body:]))
			}
			if !s.plan.keep(id) {
				continue
			}
			if id < 256 {
				s.write(opBinPut, byte(id))
			} else {
				s.write(opLongBinPut, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
			}
		case opLong1, opLong4:
			if body == next {
				s.write(opBinInt1, 0)
			} else {
				s.pos = s.op
			}
		case opEmptyDict:
			s.write(opExt1, byte(codeEmptyDict))
		case opEmptySet:
			s.write(opExt1, byte(codeEmptySet))
		case opFrozenSet:
			s.write(opTuple, opBinPersID)
		case opGlobal:
			s.write(opExt1, s.globalCode())
		case opStackGlobal:
			s.write(opPop, opPop, opExt1, s.globalCode())
		case opShortBinBytes, opBinBytes, opBinBytes8, opByteArray8:
			s.bytes = s.data[body:next:next]
			s.write(opNextBuffer)
		default:
			s.pos = s.op
		}
		return true
	}
	return false
}

func (s *stream) write(b ...byte) {
	s.pending = s.room[:copy(s.room[:], b)]
}

func (s *stream) globalCode() byte {
	s.globals++
	return s.plan.globals[s.globals-1]
}
