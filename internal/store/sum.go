package store

import "encoding/hex"

// Sum is a BLAKE3 digest of 256 bits.
type Sum [32]byte

// String returns the digest in hexadecimal.
func (s Sum) String() string { return hex.EncodeToString(s[:]) }

// ParseSum reads what String prints, and nothing else.
func ParseSum(text string) (s Sum, ok bool) {
	if len(text) != hex.EncodedLen(len(s)) {
		return Sum{}, false
	}
	if _, err := hex.Decode(s[:], []byte(text)); err != nil || s.String() != text {
		return Sum{}, false
	}
	return s, true
}
