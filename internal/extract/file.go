package extract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/renameio/v2"
)

// privateMode lets nobody but the owner read what holds original codes.
const privateMode fs.FileMode = 0o600

// Write puts an *Index, an *Upstream or a *Record at path, whole or not at all,
// readable by its owner only. The first two are JSON; a record is CBOR (RFC 8949), because a
// checkpoint reads hundreds of thousands of numbers of them. Equal values give
// equal bytes: struct fields keep their order, maps are sorted by key and no
// number is rounded. The folder must exist.
func Write(path string, v any) error {
	data, err := encode(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writePrivate(path, data)
}

func encode(v any) ([]byte, error) {
	if record, ok := v.(*Record); ok {
		if err := checkFormat(record); err != nil {
			return nil, err
		}
		return recordEncoding.Marshal(record)
	}
	return EncodeJSON(v)
}

// EncodeJSON returns what Write writes of an *Index or an *Upstream.
func EncodeJSON(v any) ([]byte, error) {
	if err := checkFormat(v); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	err := encoder.Encode(v)
	return text.Bytes(), err
}

// Read fills an *Index, an *Upstream or a *Record from path. A file of another format, an
// unknown field or anything after the value is an error: a half-understood
// record would publish half a result.
func Read(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	if record, ok := v.(*Record); ok {
		err = recordDecoding.Unmarshal(data, record)
	} else {
		err = decodeJSON(data, v)
	}
	if err == nil {
		err = checkFormat(v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func decodeJSON(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

// recordEncoding and recordDecoding are how a record is kept: fields by name and
// numbers that are finite, as in JSON.
var (
	recordEncoding = mode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		NaNConvert:    cbor.NaNConvertReject,
		InfConvert:    cbor.InfConvertReject,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	recordDecoding = mode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		NaN:               cbor.NaNDecodeForbidden,
		Inf:               cbor.InfDecodeForbidden,
		MaxArrayElements:  math.MaxInt32, // a test set, or refits, of any size
	}.DecMode())
)

// mode is of options that are constants: an error is one of this file.
func mode[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func checkFormat(v any) error {
	var got, want string
	switch v := v.(type) {
	case *Index:
		got, want = v.Format, IndexFormat
	case *Record:
		got, want = v.Format, RecordFormat
	case *Upstream:
		got, want = v.Format, UpstreamFormat
	default:
		return fmt.Errorf("a %T is neither an index, nor a run record, nor what upstream runs hold", v)
	}
	if got != want {
		return fmt.Errorf("its format is %q, not %q: extract again with this version", got, want)
	}
	return nil
}

// writePrivate makes its draft beside path, whatever TMPDIR says: nothing private
// may ever lie outside the private directory.
func writePrivate(path string, data []byte) error {
	if err := renameio.WriteFile(path, data, privateMode, renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
