package container

import (
	"bytes"
	"io"
)

// concealed passes text on and notices in it what begins, or ends, a container that
// programs look for anywhere in a file: the directory of a zip archive, a PDF.
type concealed struct {
	r    io.Reader
	name string
	tail []byte // of what was passed on
}

// endOfZip begins the end of a zip archive's directory, which programs look for from
// the end of a file. It is no text.
const endOfZip = "PK\x05\x06"

// pdfLine is longer than the line that begins a PDF: %PDF-1.7 and its end.
const pdfLine = len("%PDF-1.7\n")

func (c *concealed) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	seen := append(c.tail, p[:n]...)
	switch {
	case bytes.Contains(seen, []byte(endOfZip)):
		return 0, &Error{Name: c.name, Why: "it holds a zip archive behind or within something else; publish the archive by itself"}
	case holdsPDF(seen):
		return 0, &Error{Name: c.name, Why: "it holds a PDF behind or within something else; publish the PDF by itself"}
	}
	c.tail = append([]byte(nil), seen[max(0, len(seen)-pdfLine+1):]...)
	return n, err
}

// holdsPDF finds the first line of a PDF. Prose that speaks of one does not end its
// line there.
func holdsPDF(text []byte) bool {
	for {
		at := bytes.Index(text, []byte("%PDF-"))
		if at < 0 || len(text) < at+pdfLine {
			return false
		}
		line := text[at:]
		if digit(line[5]) && line[6] == '.' && digit(line[7]) && (line[8] == '\n' || line[8] == '\r') {
			return true
		}
		text = line[1:]
	}
}

func digit(b byte) bool { return b >= '0' && b <= '9' }
