package build

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// param is one parameter as it stands in the key: canonical JSON.
type param struct{ name, value string }

// encodeParams turns parameters into canonical JSON: encoding/json sorts map
// keys and writes the shortest form of floats. Values that it would write in
// part only are refused, since a change in the other part would go unnoticed.
func encodeParams(params map[string]any) ([]param, error) {
	out := make([]param, 0, len(params))
	for name, v := range params {
		if err := plain(reflect.ValueOf(v), 0); err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", name, err)
		}
		out = append(out, param{name, string(b)})
	}
	slices.SortFunc(out, func(a, b param) int { return compare(a.name, b.name) })
	return out, nil
}

// maxParamDepth stops at values that contain themselves.
const maxParamDepth = 32

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
)

func plain(v reflect.Value, depth int) error {
	if depth > maxParamDepth {
		return fmt.Errorf("nested deeper than %d", maxParamDepth)
	}
	if !v.IsValid() {
		return nil
	}
	t := v.Type()
	if t.Implements(jsonMarshaler) || t.Implements(textMarshaler) {
		return nil
	}
	switch v.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return nil
	case reflect.Interface, reflect.Pointer:
		return plain(v.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			if err := plain(v.Index(i), depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			if err := plain(it.Value(), depth+1); err != nil {
				return err
			}
		}
		return nil
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() || f.Tag.Get("json") == "-" {
				return fmt.Errorf("the field %s of %s would not be in the key: use a struct of exported fields, or plain values", f.Name, t)
			}
			if err := plain(v.Field(i), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	return fmt.Errorf("%s is not plain data", t)
}
