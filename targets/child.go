package targets

import (
	"os"

	"github.com/foundation-plr/pipeline/internal/writer"
)

// The writer of the public database is this program started anew. It is looked
// for before main, because mage's main knows only targets.
func init() {
	if os.Getenv(writer.ChildEnv) == writer.ChildName {
		os.Exit(writer.RunChild(os.Stdin, os.Stderr))
	}
}
