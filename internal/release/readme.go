package release

import (
	"fmt"
	"strings"
)

// readme is README.txt: it holds nothing that the bytes of a database decide.
func readme(m Manifest) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("Public results of a study, made by the Foundation PLR pipeline")
	line("")
	if m.Synthetic {
		line("SYNTHETIC EXAMPLE DATA. The subjects are invented: no number here says anything")
		line("about people.")
		line("")
	}
	if m.Report != "" {
		line("Begin with the report: open %s in a browser.", m.Report)
		line("")
	}
	line("What is here")
	line("")
	for _, e := range m.Files {
		line("  %s", e.Path)
		line("      %s", e.Kind)
	}
	line("  %s", ManifestFile)
	line("      every file with its size, SHA-256 and BLAKE3 sums, for programs")
	line("  %s", SumsFile)
	line("      the sums for: sha256sum -c %s", SumsFile)
	line("")
	line("The database is a DuckDB file with tables of version %s (key schema_version of its", m.DatabaseSchema)
	line("table meta). Subjects stand in it under codes. What that hides and what not says")
	line("docs/privacy.md of the pipeline.")
	line("")
	line("Verify")
	line("")
	line("  sha256sum -c %s        are the files those that were packed?", SumsFile)
	line("")
	line("With the pipeline (Go and a C/C++ compiler), in a clean checkout of the version that")
	line("made this release, unpacked over it:")
	line("")
	if m.Commit != "" {
		line("  git checkout %s", m.Commit)
	}
	line("  unzip PATH/TO/THIS.zip")
	line("  export PLR_CONFIG=%s", m.Settings)
	line("  go tool mage verify")
	line("")
	line("compares every result with pipeline.lock. Of the database the contents are compared,")
	line("table by table and row by row, because the bytes of a DuckDB file are not a function")
	line("of them: a database that was built again has other bytes and another SHA-256, and is")
	line("the same to verify. The results were made on %s; on another", m.Platform)
	line("platform verify compares by tolerance, and says so. Results of one's own, built in")
	line("another directory, are compared with this release by")
	line("  go tool mage verify -against=DIRECTORY_OF_THIS_RELEASE")
	line("")
	line("Rebuild")
	line("")
	line("  go tool mage reproduceFromCheckpoint")
	line("")
	line("makes every figure, table and sidecar (and the report, if there is one) again, from the database alone and")
	line("without anything private. With FROZEN=1 it fails if one of them is not the one here.")
	line("")
	line("Licence: see LICENSE.")
	return []byte(b.String())
}
