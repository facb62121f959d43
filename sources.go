// Package pipeline holds the sources of the module it is the root of.
//
// A step's key contains a digest of the code that it runs. The digest is taken
// from the sources embedded here by the compiler, so that it can be neither
// forgotten nor stale: a program always carries the text it was built from.
package pipeline

import "embed"

// Sources are go.mod, go.sum, the table of the modules that each package needs,
// and the Go files of every package of the module.
// The magefile is left out: it holds no logic, and mage writes a file of its own
// beside it while it compiles.
//
//go:embed go.mod go.sum sources.go */*.go internal/*/*.go internal/*/*/*.go render/*/*.go metrics/*/*.go internal/fingerprint/modules.txt
var Sources embed.FS

// Module is the module's path.
const Module = "github.com/foundation-plr/pipeline"
