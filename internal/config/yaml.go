package config

import (
	"fmt"
	"os"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/foundation-plr/pipeline/internal/nearest"
)

// readStrict decodes the YAML file at path into out, a pointer to a struct.
// A key that out does not know is an error that names the key, its line and
// the nearest known key: a misspelt setting must not be a silent default.
func readStrict(path string, out any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	var documents []yaml.Node
	if err := yaml.Load(data, &documents, yaml.WithAllDocuments()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if len(documents) == 0 {
		return nil // nothing but comments: out stays as it was
	}
	if err := unknownKey(&documents[0], reflect.TypeOf(out).Elem(), ""); err != nil {
		return fmt.Errorf("%s:%w", path, err)
	}
	if err := yaml.Load(data, out, yaml.WithKnownFields()); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// unknownKey looks for a mapping key below n that t has no field for, and for a value
// of another kind than its field is.
func unknownKey(n *yaml.Node, t reflect.Type, above string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case n.Kind == yaml.DocumentNode:
		return unknownKey(n.Content[0], t, above)
	case n.Kind == yaml.SequenceNode && t.Kind() == reflect.Slice:
		for _, item := range n.Content {
			if err := unknownKey(item, t.Elem(), above); err != nil {
				return err
			}
		}
	case n.Kind == yaml.MappingNode && t.Kind() == reflect.Struct:
		fields := map[string]reflect.Type{}
		var names []string
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			fields[name] = t.Field(i).Type
			names = append(names, name)
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			field, ok := fields[key.Value]
			if !ok {
				return fmt.Errorf("%d: unknown key %s; the nearest known key is %s",
					key.Line, above+key.Value, above+likeliest(key.Value, names))
			}
			if err := unknownKey(n.Content[i+1], field, above+key.Value+"."); err != nil {
				return err
			}
		}
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("%d: aliases are not read here; write the value out", n.Line)
	default:
		if err := n.Decode(reflect.New(t).Interface()); err != nil {
			return fmt.Errorf("%d: %s must be %s, and is %s", n.Line, strings.TrimSuffix(above, "."), kindOfField(t), kindOfValue(n, t))
		}
	}
	return nil
}

// kindOfField says in words what a field takes.
func kindOfField(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "keys with values"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a text"
}

// kindOfValue says in words what stands there, and what it is only where numbers and
// switches belong: what is meant for a text or a list may be private.
func kindOfValue(n *yaml.Node, t reflect.Type) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "keys with values"
	}
	if t.Kind() != reflect.String && t.Kind() != reflect.Slice && t.Kind() != reflect.Map && t.Kind() != reflect.Struct {
		return fmt.Sprintf("%q", n.Value)
	}
	return "a text"
}

// likeliest returns the name with the smallest edit distance to s; upper and
// lower case count as the same, because the groups are written in upper case.
func likeliest(s string, names []string) string {
	best, distance := "", -1
	for _, name := range names {
		d := nearest.Distance(strings.ToLower(s), strings.ToLower(name))
		if distance < 0 || d < distance {
			best, distance = name, d
		}
	}
	return best
}
