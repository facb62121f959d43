package mlflow

import (
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// meta is a meta.yaml. Values are read as they are written, not as YAML would type
// them: a run id of digits around one e is a number to YAML, and its text would be
// lost.
type meta map[string]metaValue

type metaValue struct {
	text string
	kind metaKind
}

type metaKind uint8

const (
	single metaKind = iota // one value
	null
	several // a list or a mapping
)

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

// parseMeta reads a meta.yaml as MLflow writes it at once, and everything else as
// the YAML that it is: of the time to list a store the YAML parser would take most.
func parseMeta(data []byte) (meta, error) {
	if m, ok := plainMeta(data); ok {
		return m, nil
	}
	return yamlMeta(data)
}

// plainMeta reads lines of a key, a colon and a value that means to YAML what it
// spells: unquoted and of harmless characters, or in single quotes and without
// any inside. False means that there is something else.
func plainMeta(data []byte) (meta, bool) {
	m := make(meta, 16)
	for line := range strings.Lines(string(data)) {
		line, ended := strings.CutSuffix(line, "\n")
		key, text, ok := strings.Cut(line, ": ")
		if !ok || !ended || key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyz_") != "" || key[0] == '_' {
			return nil, false
		}
		if _, twice := m[key]; twice {
			return nil, false
		}
		var v metaValue
		switch n := len(text); {
		case text == "null":
			v.kind = null
		case text == "[]":
			v.kind = several
		case n >= 2 && text[0] == '\'' && text[n-1] == '\'' && harmless(text[1:n-1]):
			v.text = text[1 : n-1]
		case n > 0 && isLetterOrDigit(text[0]) && isLetterOrDigit(text[n-1]) && harmless(text) && !strings.Contains(text, ": ") && !strings.EqualFold(text, "null"),
			n > 1 && text[0] == '/' && isLetterOrDigit(text[n-1]) && harmless(text) && !strings.Contains(text, ": "):
			v.text = text
		default:
			return nil, false
		}
		m[key] = v
	}
	return m, len(m) > 0
}

func isLetterOrDigit(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// harmless says whether a text holds nothing that could mean something else to
// YAML within a value.
func harmless(text string) bool {
	for i := range len(text) {
		if c := text[i]; !isLetterOrDigit(c) && strings.IndexByte(" _-+./:", c) < 0 {
			return false
		}
	}
	return true
}

func yamlMeta(data []byte) (meta, error) {
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
		switch n := pairs[i+1]; {
		case n.Kind != yaml.ScalarNode:
			m[key] = metaValue{kind: several}
		case n.ShortTag() == "!!null":
			m[key] = metaValue{kind: null}
		default:
			m[key] = metaValue{text: n.Value}
		}
	}
	return m, nil
}

// text returns a value as it is written; "" if it is absent or null.
func (m meta) text(key string) (string, error) {
	v := m[key]
	if v.kind == several {
		return "", fmt.Errorf("meta.yaml has a %s that is no single value", key)
	}
	return v.text, nil
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
