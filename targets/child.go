package targets

import (
	"os"

	"github.com/foundation-plr/pipeline/internal/checkpoint"
)

// The writer of the public database is this program started anew. It is looked
// for before main, because mage's main knows only targets.
func init() {
	if os.Getenv(checkpoint.ChildEnv) == checkpoint.ChildName {
		os.Exit(checkpoint.RunChild(os.Stdin, os.Stderr))
	}
}
