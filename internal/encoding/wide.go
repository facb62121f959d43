package encoding

import (
	"bytes"
	"unicode/utf8"
)

// fromUTF32 reads text of four bytes a character in either order, wherever it begins;
// nothing where there is none. Each stretch of it is a line.
func fromUTF32(text []byte) []byte {
	// Characters of UTF-32 have two zeros at one of their ends.
	if !bytes.Contains(text, []byte{0, 0}) {
		return nil
	}
	var out []byte
	for start := range 4 {
		for order := range 2 {
			count := 0
			for i := start; i+4 <= len(text); i += 4 {
				b := text[i : i+4]
				r := rune(b[0]) | rune(b[1])<<8 | rune(b[2])<<16 | rune(b[3]&0x7f)<<24
				if order == 1 {
					r = rune(b[3]) | rune(b[2])<<8 | rune(b[1])<<16 | rune(b[0]&0x7f)<<24
				}
				if r >= ' ' && r <= utf8.MaxRune && utf8.ValidRune(r) {
					out = utf8.AppendRune(out, r)
					count++
				} else if count > 0 {
					out = append(out, '\n')
					count = 0
				}
			}
			if count > 0 {
				out = append(out, '\n')
			}
		}
	}
	return out
}
