package sidecar

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
)

var forbidden = []struct {
	what    string
	pattern *regexp.Regexp
}{
	{"an original subject code", regexp.MustCompile(`(?i)PLR\d{4}`)},
	{"an absolute path", regexp.MustCompile(`(?:^|[\s"'(=,;:\[])/(?:[\w.+-]+/)+|^/[\w.+-]+$|(?i:file:/)|(?:^|[\s"'(=])[A-Za-z]:\\|(?:^|[\s"'(=])~/`)},
	// Colours belong to the style; one in a sidecar would redraw a figure
	// without a number having changed.
	{"a colour", regexp.MustCompile(`#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3})\b`)},
}

// Lint refuses what no published document may say in any of its texts, keys of
// maps included: `PLR` before four digits, an absolute path, a hex colour, and
// a method's raw name standing where its label belongs. The error names the
// place and never repeats the text.
func Lint(doc *Document) error {
	if doc == nil {
		return errors.New("lint sidecar: no document")
	}
	if err := lintText(reflect.ValueOf(doc), ""); err != nil {
		return fmt.Errorf("lint sidecar: %w", err)
	}
	for _, p := range doc.Panels {
		if p.Forest != nil {
			for _, r := range p.Forest.Rows {
				if err := lintLabel(r.Method, r.Label); err != nil {
					return fmt.Errorf("lint sidecar %s: panel %s: %w", doc.ID, p.ID, err)
				}
			}
		}
		if p.Heatmap != nil {
			for _, axis := range [][]HeatmapAxis{p.Heatmap.Rows, p.Heatmap.Columns} {
				for _, a := range axis {
					if err := lintLabel(a.Method, a.Label); err != nil {
						return fmt.Errorf("lint sidecar %s: panel %s: %w", doc.ID, p.ID, err)
					}
				}
			}
		}
	}
	return nil
}

func lintText(v reflect.Value, path string) error {
	if v.Kind() != reflect.String {
		return eachChild(v, path, lintText)
	}
	for _, f := range forbidden {
		if f.pattern.MatchString(v.String()) {
			if f.pattern.MatchString(path) {
				path = "a key of a map" // the path would repeat it
			}
			return fmt.Errorf("%s holds %s", strings.TrimPrefix(path, "."), f.what)
		}
	}
	return nil
}

// A raw name has a hyphen or an underscore; a name without one, such as LOF or
// SAITS, may be its own label.
func lintLabel(method, label string) error {
	if label == method && strings.ContainsAny(method, "-_") {
		return fmt.Errorf("method %s is labelled with its raw name: give it a label in the registry", method)
	}
	return nil
}
