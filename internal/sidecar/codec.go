package sidecar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Encode gives a document's one canonical form: members in the order of the
// types, keys of maps sorted, shortest floats that read back the same, empty
// lists as [], no escaping of <, > and &, one newline at the end.
//
// NaN, infinities, text that is not UTF-8 and a document that Validate refuses
// are errors naming the place.
func Encode(doc *Document) ([]byte, error) {
	if doc == nil {
		return nil, errors.New("encode sidecar: no document")
	}
	if err := checkLeaves(reflect.ValueOf(doc), ""); err != nil {
		return nil, fmt.Errorf("encode sidecar %s: %w", doc.ID, err)
	}
	if err := Validate(doc); err != nil {
		return nil, fmt.Errorf("encode sidecar: %w", err)
	}
	// A copy, because nil lists become empty ones and the caller's document is
	// the caller's.
	raw, err := marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode sidecar %s: %w", doc.ID, err)
	}
	whole, err := unmarshal(raw)
	if err != nil {
		return nil, fmt.Errorf("encode sidecar %s: %w", doc.ID, err)
	}
	fillLists(reflect.ValueOf(whole).Elem())
	if whole.Params == nil {
		whole.Params = map[string]any{}
	}
	if raw, err = marshal(whole); err != nil {
		return nil, fmt.Errorf("encode sidecar %s: %w", doc.ID, err)
	}
	return raw, nil
}

// Decode reads what Encode wrote. Unknown members, a second value behind the
// first and documents that Validate refuses are errors. Numbers in Params and
// in a query's Args come as json.Number, so that encoding again gives the same
// bytes.
func Decode(data []byte) (*Document, error) {
	doc, err := unmarshal(data)
	if err != nil {
		return nil, fmt.Errorf("decode sidecar: %w", err)
	}
	if err := Validate(doc); err != nil {
		return nil, fmt.Errorf("decode sidecar: %w", err)
	}
	return doc, nil
}

func marshal(doc *Document) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func unmarshal(data []byte) (*Document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	d.UseNumber()
	doc := new(Document)
	if err := d.Decode(doc); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return doc, nil
}

// checkLeaves looks for what JSON cannot hold, and names its place, which
// encoding/json does not.
func checkLeaves(v reflect.Value, path string) error {
	switch v.Kind() {
	case reflect.Float64, reflect.Float32:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s is %v: a number without a value must be null with a reason", strings.TrimPrefix(path, "."), f)
		}
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return fmt.Errorf("%s is not UTF-8", strings.TrimPrefix(path, "."))
		}
	default:
		return eachChild(v, path, checkLeaves)
	}
	return nil
}

// eachChild calls visit for what v holds, with its path in JSON's names.
func eachChild(v reflect.Value, path string, visit func(reflect.Value, string) error) error {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			return visit(v.Elem(), path)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "" {
				name = "." + name
			}
			if err := visit(v.Field(i), path+name); err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := visit(v.Index(i), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			at := fmt.Sprintf("%s[%q]", path, it.Key().String())
			if err := visit(it.Key(), at); err != nil {
				return err
			}
			if err := visit(it.Value(), at); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillLists turns nil lists into empty ones: null would say "not known".
func fillLists(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.IsNil() && v.CanSet() {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	// The visitor never fails.
	_ = eachChild(v, "", func(c reflect.Value, _ string) error {
		fillLists(c)
		return nil
	})
}
