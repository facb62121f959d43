package pipeline_test

import (
	"slices"
	"strings"
	"testing"

	pipeline "github.com/foundation-plr/pipeline"
	"github.com/foundation-plr/pipeline/internal/fingerprint"
)

// allowed says which packages of the module each package may import: arrows run
// downwards only (docs/architecture.md). A new package must be added here, which
// is the moment to ask where it belongs.
var allowed = map[string][]string{
	"":                      nil,
	"targets":               {"*"},
	"metrics":               {"metrics/logistic", "metrics/resample", "metrics/smooth"},
	"metrics/logistic":      nil,
	"metrics/resample":      nil,
	"metrics/stability":     {"metrics", "metrics/resample"},
	"metrics/anova":         {"metrics/resample"},
	"metrics/ranks":         {"metrics"},
	"metrics/compare":       {"metrics", "metrics/resample"},
	"metrics/smooth":        {"metrics/resample"},
	"anonymize":             nil,
	"render":                {"internal/sidecar", "render/canvas", "render/house", "render/latex"},
	"render/house":          {"internal/sidecar", "render/canvas"},
	"render/canvas":         nil,
	"render/latex":          {"internal/sidecar"},
	"build":                 {"internal/access", "internal/console", "internal/difference", "internal/history", "internal/nearest", "internal/process", "internal/store"},
	"internal/store":        nil,
	"internal/console":      nil,
	"internal/consoletest":  nil,
	"internal/packtest":     nil,
	"internal/processtest":  nil,
	"internal/racetest":     nil,
	"internal/nearest":      nil,
	"internal/access":       nil,
	"internal/process":      nil,
	"internal/history":      nil,
	"internal/archive":      nil,
	"internal/container":    {"internal/encoding", "internal/pdf"},
	"internal/encoding":     nil,
	"internal/pdf":          {"internal/encoding", "internal/pdf/syntax"},
	"internal/pdf/syntax":   {"internal/encoding"},
	"internal/difference":   nil,
	"internal/fingerprint":  nil,
	"internal/sidecar":      nil,
	"internal/lock":         nil,
	"internal/verification": {"internal/difference", "internal/duckfile", "internal/lock", "internal/schema"},
	"internal/predictions":  nil,
	"internal/score":        {"internal/predictions", "metrics"},
	"internal/pickle":       nil,
	"internal/mlflow":       nil,
	"internal/config":       {"internal/mlflow", "internal/nearest"},
	"internal/sourcedb":     nil,
	"internal/extract":      {"internal/config", "internal/mlflow", "internal/pickle", "internal/sourcedb", "metrics", "metrics/resample"},
	"internal/comparison":   {"internal/config", "metrics", "metrics/compare", "metrics/resample"},
	"internal/duckfile":     nil,
	"internal/provenance":   {"anonymize", "internal/duckfile", "internal/extract", "internal/sidecar"},
	"internal/release":      nil,
	"internal/report":       {"internal/sidecar"},
	"internal/analysis":     {"internal/config", "internal/sidecar", "metrics"},

	// The public database: what it is, what makes it, and what checks it.
	"internal/schema":        {"internal/duckfile"},
	"internal/disclosure":    {"internal/config", "internal/extract", "internal/schema"},
	"internal/derivation":    {"internal/comparison", "internal/disclosure", "internal/extract", "metrics", "metrics/resample"},
	"internal/checkpoint":    {"internal/comparison", "internal/config", "internal/derivation", "internal/disclosure", "internal/extract", "internal/schema", "metrics"},
	"internal/writer":        {"internal/duckfile", "internal/schema"},
	"internal/rules":         {"internal/comparison", "internal/config", "internal/derivation", "internal/disclosure", "internal/duckfile", "internal/extract", "internal/schema", "metrics", "metrics/compare"},
	"internal/recomputation": {"internal/comparison", "internal/config", "internal/derivation", "internal/disclosure", "internal/duckfile", "internal/extract", "internal/rules", "internal/schema", "metrics", "metrics/resample"},
	"internal/validation":    {"internal/comparison", "internal/config", "internal/disclosure", "internal/duckfile", "internal/recomputation", "internal/rules", "internal/schema", "metrics"},
	"internal/studytest":     {"internal/checkpoint", "internal/config", "internal/disclosure", "internal/duckfile", "internal/extract", "internal/rules", "internal/schema", "internal/validation", "internal/writer", "metrics"},
}

func TestArrowsRunDownwards(t *testing.T) {
	code, err := fingerprint.Read(pipeline.Sources)
	if err != nil {
		t.Fatal(err)
	}
	short := func(importPath string) string {
		return strings.TrimPrefix(strings.TrimPrefix(importPath, pipeline.Module), "/")
	}
	for _, name := range code.Packages() {
		may, known := allowed[short(name)]
		if !known {
			t.Errorf("package %q has no place in the house yet", short(name))
			continue
		}
		for _, imported := range code.Imports(name) {
			// The magefile shares the root's directory and is its own package.
			if short(name) == "" && short(imported) == "targets" {
				continue
			}
			if !slices.Contains(may, "*") && !slices.Contains(may, short(imported)) {
				t.Errorf("%s imports %s, which its place in the house does not allow", short(name), short(imported))
			}
		}
	}
}
