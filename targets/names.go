package targets

import (
	"path"
	"regexp"
	"strings"

	"github.com/foundation-plr/pipeline/internal/extract"
)

// itsName stands for a name that is free text of a store.
const itsName = "[its name]"

// unnamed takes the free text of a store out of what the console says of a run: its
// name, and with it the names of its files, unless the name is made of method names
// that the registry lists. The private log keeps all of it.
func unnamed(text string, run *extract.IndexedRun) string {
	if run.Registered {
		return text
	}
	for _, name := range []string{path.Base(run.Artifact), path.Base(extract.CodesArtifact(run.Artifact)), run.Name} {
		if name != "" && name != "." {
			text = strings.ReplaceAll(text, name, itsName)
		}
	}
	return text
}

// fileOfStore ends with a file by its root and its path. "tracking store: " in an error is
// no root.
const fileOfStore = `(.*?\b(?:` + rootStore + `|` + rootArtifacts + `(?:-[0-9]+)?):)([^ ].*)`

// inStore is a reason or an error about a file of a store: its root, the file, and what is
// said of it.
var inStore = []*regexp.Regexp{
	regexp.MustCompile(`(?s)^` + fileOfStore + `( (?:added|removed|changed)(?:: it is [a-z ]+ now)?)$`),
	regexp.MustCompile(`(?s)^` + fileOfStore + `(: .*)$`),
}

// nameOfStore is what a directory of an experiment or a run, and what stands in one, is
// called where it is not called by somebody.
var nameOfStore = regexp.MustCompile(`^(?:[0-9]+|[0-9a-f]{32}|meta\.yaml|tags|params|metrics|artifacts)$`)

var namedRun = regexp.MustCompile(`^[0-9a-f]{32}$`)

// unnamedFiles takes names that are free text out of what the console says of a step that
// lists a store: of its pickles, and of directories where those of runs should be. Which
// run a file is of stays, and so do patterns. Params, tags and metrics are declared by
// their names.
func unnamedFiles(text string) string {
	for _, about := range inStore {
		m := about.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		parts := strings.Split(m[2], "/")
		for i, part := range parts {
			if !nameOfStore.MatchString(part) {
				parts = append(parts[:i], itsName)
				break
			}
			if i == 2 && part != "artifacts" && namedRun.MatchString(parts[1]) || i == 1 && part == "tags" {
				break
			}
		}
		return m[1] + strings.Join(parts, "/") + m[3]
	}
	return text
}
