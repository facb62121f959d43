// Package packtest packs data for tests of what unpacks it.
package packtest

import (
	"bytes"
	"compress/zlib"
	"io"
	"testing"
)

// Packed is what a writer made of data.
func Packed(t testing.TB, open func(io.Writer) (io.WriteCloser, error), data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := open(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Zlib is data in zlib's format.
func Zlib(t testing.TB, data []byte) []byte {
	t.Helper()
	return Packed(t, func(w io.Writer) (io.WriteCloser, error) { return zlib.NewWriter(w), nil }, data)
}
