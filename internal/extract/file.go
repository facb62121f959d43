package extract

import (
	"fmt"
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
// readable by its owner only. All are CBOR (RFC 8949): every build reads the index,
// and a checkpoint hundreds of thousands of numbers of records. Equal values give
// equal bytes: struct fields keep their order, maps are sorted by key and no
// number is rounded. The folder must exist.
func Write(path string, v any) error {
	data, err := Encode(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writePrivate(path, data)
}

// Encode returns what Write writes.
func Encode(v any) ([]byte, error) {
	if err := checkFormat(v); err != nil {
		return nil, err
	}
	record, ok := v.(*Record)
	if !ok {
		return storeEncoding.Marshal(v)
	}
	head, err := recordEncoding.Marshal(&record.Head)
	if err != nil {
		return nil, err
	}
	rest, err := recordEncoding.Marshal(record)
	return append(head, rest...), err
}

// Read fills an *Index, an *Upstream, a *Record or its *Head from path. A file of
// another format, an unknown field or anything after the value is an error: a
// half-understood record would publish half a result. Of a file of which a Head is
// wanted no more is read.
func Read(path string, v any) error {
	if head, ok := v.(*Head); ok {
		return readHead(path, head)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	return read(path, v, decode(data, v))
}

// read says of a file that was decoded, or not, whether it may be used.
func read(path string, v any, err error) error {
	if err != nil {
		err = fmt.Errorf("another version of this program wrote it, or it is damaged; extract again with this version, which writes it anew (%w)", err)
	} else {
		err = checkFormat(v)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func decode(data []byte, v any) error {
	record, ok := v.(*Record)
	if !ok {
		return storeDecoding.Unmarshal(data, v)
	}
	rest, err := recordDecoding.UnmarshalFirst(data, &record.Head)
	if err != nil {
		return err
	}
	return recordDecoding.Unmarshal(rest, record)
}

func readHead(path string, head *Head) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only: nothing can be lost
	return read(path, head, recordDecoding.NewDecoder(f).Decode(head))
}

// Fields go by name. Numbers of a record are finite; what a store says of metrics
// need not be.
var (
	storeEncoding = mode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	recordEncoding = mode(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		ShortestFloat: cbor.ShortestFloatNone,
		NaNConvert:    cbor.NaNConvertReject,
		InfConvert:    cbor.InfConvertReject,
		IndefLength:   cbor.IndefLengthForbidden,
	}.EncMode())
	storeDecoding = mode(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		IndefLength:       cbor.IndefLengthForbidden,
		MaxArrayElements:  math.MaxInt32, // a store of any size
		MaxMapPairs:       math.MaxInt32,
	}.DecMode())
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
	case *Head:
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
		return fmt.Errorf("write extracted data: %w", err)
	}
	return nil
}
