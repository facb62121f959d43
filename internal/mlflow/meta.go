package mlflow

import (
	"errors"
	"fmt"
	"path"
	"strconv"

	"go.yaml.in/yaml/v4"
)

// meta is a meta.yaml: its keys with their nodes. Values are read as they are
// written, not as YAML would type them: a run id of digits around one e is a
// number to YAML, and its text would be lost.
type meta map[string]*yaml.Node

// meta reads the meta.yaml in dir. The error satisfies absent when there is
// none.
func (s *Files) meta(dir string) (meta, error) {
	data, err := s.read(path.Join(dir, "meta.yaml"), maxMeta)
	if err != nil {
		return nil, err
	}
	m, err := parseMeta(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path.Join(dir, "meta.yaml"), err)
	}
	return m, nil
}

func parseMeta(data []byte) (meta, error) {
	if len(data) == 0 {
		return nil, errors.New("empty")
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return nil, fmt.Errorf("not YAML: %w", err)
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("not a YAML mapping")
	}
	m := meta{}
	pairs := document.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key := pairs[i].Value
		if _, twice := m[key]; twice {
			return nil, fmt.Errorf("the key %q stands there twice", key)
		}
		m[key] = pairs[i+1]
	}
	return m, nil
}

// text returns a value as it is written; "" if it is absent or null.
func (m meta) text(key string) (string, error) {
	n, ok := m[key]
	if !ok {
		return "", nil
	}
	if n.Kind != yaml.ScalarNode {
		return "", fmt.Errorf("meta.yaml has a %s that is no single value", key)
	}
	if n.ShortTag() == "!!null" {
		return "", nil
	}
	return n.Value, nil
}

// integer returns a whole number; missing if it is absent or null.
func (m meta) integer(key string, missing int64) (int64, error) {
	text, err := m.text(key)
	if err != nil || text == "" {
		return missing, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("meta.yaml has the %s %q, which is no whole number", key, text)
	}
	return n, nil
}

// lifecycle returns the lifecycle stage; before there were any, all was active.
func (m meta) lifecycle() (Lifecycle, error) {
	text, err := m.text("lifecycle_stage")
	if err != nil {
		return "", err
	}
	stage, err := parseLifecycle(text)
	if err != nil {
		return "", fmt.Errorf("meta.yaml %w", err)
	}
	return stage, nil
}
