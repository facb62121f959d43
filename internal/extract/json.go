package extract

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// privateMode lets nobody but the owner read what holds original codes.
const privateMode fs.FileMode = 0o600

// WriteJSON puts an *Index or a *Record at path, whole or not at all, readable
// by its owner only. Equal values give equal bytes: struct fields keep their
// order, maps are sorted by key and numbers are the shortest text that reads
// back as the same float64. The folder must exist.
func WriteJSON(path string, v any) error {
	data, err := EncodeJSON(v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return writePrivate(path, data)
}

// EncodeJSON returns what WriteJSON writes.
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

// ReadJSON fills an *Index or a *Record from path. A file of another format, an
// unknown field or anything after the value is an error: a half-understood
// record would publish half a result.
func ReadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read extracted data: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: something follows the value", path)
	}
	if err := checkFormat(v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

func checkFormat(v any) error {
	var got, want string
	switch v := v.(type) {
	case *Index:
		got, want = v.Format, IndexFormat
	case *Record:
		got, want = v.Format, RecordFormat
	default:
		return fmt.Errorf("a %T is neither an index nor a run record", v)
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
