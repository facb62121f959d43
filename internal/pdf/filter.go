package pdf

import (
	"bufio"
	stdlzw "compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"errors"
	"fmt"
	"io"

	"golang.org/x/image/tiff/lzw"

	"github.com/foundation-plr/pipeline/internal/encoding"
	"github.com/foundation-plr/pipeline/internal/pdf/syntax"
)

// filter is one step of unpacking a stream (ISO 32000-2, 7.4).
type filter struct {
	name      syntax.Name
	predictor float64
	early     bool // of LZW: codes grow one early
	elsewhere bool // its parameters are another object
}

// Filters by what they do. Those of pictures leave pixels, which are not searched.
var (
	unpacks  = map[syntax.Name]bool{"FlateDecode": true, "LZWDecode": true, "ASCII85Decode": true, "ASCIIHexDecode": true, "RunLengthDecode": true}
	pictures = map[syntax.Name]bool{"DCTDecode": true, "JPXDecode": true, "CCITTFaxDecode": true, "JBIG2Decode": true}
)

// filters are those of a stream, in their order.
func (p *document) filters(dict syntax.Dictionary) ([]filter, error) {
	if _, outside := dict["F"].(syntax.Dictionary); outside {
		return nil, errors.New("its contents are in another file")
	}
	each := func(v any) syntax.Array {
		switch v := v.(type) {
		case nil:
			return nil
		case syntax.Array:
			return v
		}
		return syntax.Array{v}
	}
	names, parms := each(dict["Filter"]), each(dict["DecodeParms"])
	var filters []filter
	for i, v := range names {
		name, ok := v.(syntax.Name)
		if v == syntax.Keyword("null") {
			continue
		}
		if !ok {
			return nil, errors.New("the names of its filters stand elsewhere in the file")
		}
		f := filter{name: name, predictor: 1, early: true}
		if i < len(parms) {
			switch parm := parms[i].(type) {
			case syntax.Reference:
				f.elsewhere = true
			case syntax.Dictionary:
				if n, ok := parm["Predictor"].(float64); ok {
					f.predictor = n
				}
				if n, ok := parm["EarlyChange"].(float64); ok {
					f.early = n != 0
				}
			}
		}
		if !unpacks[name] && (!pictures[name] || dict["Subtype"] != syntax.Name("Image")) {
			return nil, fmt.Errorf("it is packed by the filter %q, which is not known here", name)
		}
		filters = append(filters, f)
	}
	return filters, nil
}

// decoded is what a stream holds.
func (p *document) decoded(s stream) (io.Reader, error) {
	name := fmt.Sprintf("%s, object %d", p.name, s.number)
	var r io.Reader = io.NewSectionReader(p.f, s.at, s.size)
	for _, f := range s.filters {
		if f.predictor > 1 {
			return nil, errors.New("it is packed with a predictor, which is meant for pictures")
		}
		if f.elsewhere {
			return nil, errors.New("the parameters of its filters stand elsewhere in the file")
		}
		br := bufio.NewReader(r)
		switch f.name {
		case "FlateDecode":
			if _, err := br.Peek(1); errors.Is(err, io.EOF) {
				return br, nil // nothing, which some do not pack
			}
			z, err := zlib.NewReader(br)
			if err != nil {
				return nil, err
			}
			r = z
		case "LZWDecode":
			if f.early {
				r = lzw.NewReader(br, lzw.MSB, 8)
			} else {
				r = stdlzw.NewReader(br, stdlzw.MSB, 8)
			}
		case "ASCII85Decode":
			r = ascii85.NewDecoder(&upTo{r: br, end: '~'})
		case "ASCIIHexDecode":
			r = &hexReader{&upTo{r: br, end: '>'}}
		case "RunLengthDecode":
			r = &runLengths{r: br}
		default:
			return nil, fmt.Errorf("it is packed by the filter %q of pictures", f.name)
		}
		r = p.s.Unfold(name, r)
	}
	return r, nil
}

// upTo reads up to a byte.
type upTo struct {
	r    io.ByteReader
	end  byte
	done bool
}

func (u *upTo) Read(p []byte) (int, error) {
	for n := range p {
		c, err := u.ReadByte()
		if err != nil {
			return n, err
		}
		p[n] = c
	}
	return len(p), nil
}

func (u *upTo) ReadByte() (byte, error) {
	if u.done {
		return 0, io.EOF
	}
	c, err := u.r.ReadByte()
	if err == nil && c == u.end {
		u.done, err = true, io.EOF
	}
	return c, err
}

// hexReader reads pairs of hexadecimal digits.
type hexReader struct{ r io.ByteReader }

func (h *hexReader) Read(p []byte) (int, error) {
	for n := range p {
		var pair [2]int
		for i := range pair {
			pair[i] = -1
			for pair[i] < 0 {
				c, err := h.r.ReadByte()
				if errors.Is(err, io.EOF) && i == 1 {
					pair[1] = 0
					break
				}
				if err != nil {
					return n, err
				}
				if pair[i] = encoding.HexDigit(c); pair[i] < 0 && !syntax.IsSpace(c) {
					return n, errors.New("it holds what is no hexadecimal digit")
				}
			}
		}
		p[n] = byte(pair[0]<<4 | pair[1])
	}
	return len(p), nil
}

// runLengths unpacks runs of equal bytes (7.4.5).
type runLengths struct {
	r    *bufio.Reader
	left int
	same int // the byte that is repeated, or -1
	done bool
}

func (l *runLengths) Read(p []byte) (n int, err error) {
	for n < len(p) && !l.done {
		if l.left == 0 {
			length, err := l.r.ReadByte()
			if err != nil {
				return n, err
			}
			switch l.same = -1; {
			case length == 128:
				l.done = true
				continue
			case length < 128:
				l.left = int(length) + 1
			default:
				c, err := l.r.ReadByte()
				if err != nil {
					return n, syntax.EndsWithin(err)
				}
				l.left, l.same = 257-int(length), int(c)
			}
		}
		c := byte(l.same)
		if l.same < 0 {
			if c, err = l.r.ReadByte(); err != nil {
				return n, syntax.EndsWithin(err)
			}
		}
		p[n] = c
		n++
		l.left--
	}
	if n == 0 && l.done {
		return 0, io.EOF
	}
	return n, nil
}
