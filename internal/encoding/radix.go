package encoding

import "unicode/utf8"

// What is written in base64 or in hexadecimal digits may be anything, and anything may
// look like it. So only what reads as text is taken of it.
const (
	// shortest is how many characters of base64 or hexadecimal digits are read at
	// least: those of five bytes. Shorter texts turn up within other words.
	shortest  = 7
	leastText = 5
)

// sextets are the values of the digits of base64, in both alphabets (RFC 4648), or -1.
var sextets = func() (values [256]int8) {
	for i := range values {
		values[i] = -1
	}
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		values[c] = int8(i)
	}
	values['-'], values['_'] = values['+'], values['/']
	return values
}()

// unpacked are the texts that base64 and hexadecimal digits stand for, one a line.
// Nobody says where they begin, so each place is tried.
func unpacked(text []byte) []byte {
	var out, buffer []byte
	var run []byte // digits, without the ends of lines among them
	for i := 0; i < len(text); {
		if sextets[text[i]] < 0 {
			i++
			continue
		}
		run = run[:0]
		from := i
		digits := true
		for i < len(text) {
			c := text[i]
			if sextets[c] >= 0 {
				digits = digits && c >= '0' && c <= '9'
				i++
				continue
			}
			// Long ones are broken into lines.
			n := i
			for n < len(text) && (text[n] == '\n' || text[n] == '\r') {
				n++
			}
			if n == i || n == len(text) || sextets[text[n]] < 0 {
				break
			}
			run = append(run, text[from:i]...)
			i, from = n, n
		}
		whole := text[from:i]
		if len(run) > 0 {
			run = append(run, whole...)
			whole = run
		}
		if len(whole) < shortest {
			continue
		}
		out, buffer = fromHex(out, whole, buffer)
		if !digits { // digits alone are no text in base64: every third byte is 0xd0 or more
			out, buffer = fromBase64(out, whole, buffer)
		}
	}
	return out
}

// fromBase64 uses a buffer, which it returns.
func fromBase64(out, run, buffer []byte) (texts, rest []byte) {
	for start := range 4 {
		buffer = buffer[:0]
		i := start
		for ; i+4 <= len(run); i += 4 {
			bits := uint32(sextets[run[i]])<<18 | uint32(sextets[run[i+1]])<<12 | uint32(sextets[run[i+2]])<<6 | uint32(sextets[run[i+3]])
			buffer = append(buffer, byte(bits>>16), byte(bits>>8), byte(bits))
		}
		if left := len(run) - i; left >= 2 {
			buffer = append(buffer, byte(sextets[run[i]])<<2|byte(sextets[run[i+1]])>>4)
			if left == 3 {
				buffer = append(buffer, byte(sextets[run[i+1]])<<4|byte(sextets[run[i+2]])>>2)
			}
		}
		out = legible(out, buffer)
	}
	return out, buffer
}

// fromHex takes the stretches of hexadecimal digits of a run, in which they may stand
// behind 0x.
func fromHex(out, run, buffer []byte) (texts, rest []byte) {
	for from := 0; from < len(run); {
		to := from
		for to < len(run) && HexDigit(run[to]) >= 0 {
			to++
		}
		for start := from; start < from+2 && to-start >= 2*leastText; start++ {
			buffer = buffer[:0]
			for i := start; i+1 < to; i += 2 {
				buffer = append(buffer, byte(HexDigit(run[i])<<4|HexDigit(run[i+1])))
			}
			out = legible(out, buffer)
		}
		from = to + 1
	}
	return out, buffer
}

// mayBegin are the bytes that a text may begin with.
var mayBegin = func() (b [256]bool) {
	for c := range b {
		b[c] = c >= ' ' && c < 0x7f || c == '\n' || c == '\t' || c == '\r' || c == 0 || c >= 0xc2 && c < 0xf5
	}
	return b
}()

// legible adds what of some bytes reads as text, in UTF-8 or, of the ASCII in it, in
// UTF-16, each on a line.
func legible(out, data []byte) []byte {
	from, count := 0, 0
	for i := 0; i <= len(data); {
		if count == 0 { // most of what is no text
			for i < len(data) && !mayBegin[data[i]] {
				i++
				from = i
			}
			if len(data)-i < leastText {
				return out
			}
		}
		n := 0
		if i < len(data) {
			switch c := data[i]; {
			case c >= ' ' && c < 0x7f, c == '\n', c == '\t', c == '\r':
				n = 1
				count++
			case c == 0:
				n = 1
			case c >= 0xc2:
				if r, size := utf8.DecodeRune(data[i:]); r != utf8.RuneError {
					n = size
					count++
				}
			}
		}
		if n == 0 {
			if count >= leastText {
				out = append(append(out, data[from:i]...), '\n', '\n')
			}
			n = 1
			from, count = i+1, 0
		}
		i += n
	}
	return out
}
