// Package lock writes pipeline.lock, which says what a build gave: the digest
// of every public output, one line each, so that two builds can be compared and
// a change can be reviewed. It does not know how the outputs are made.
package lock

import (
	"encoding/json"
	"os"
)

// Schema is the version of the format.
const Schema = "plr.lock/1"

// Document is the content of pipeline.lock.
type Document struct {
	Schema string `json:"schema"`
	Study  string `json:"study"`
	// Platform is where the outputs were made, such as "linux/amd64 v1 fma": the
	// last bits of numbers and pictures may differ on another.
	Platform string `json:"platform"`
	// Contents are digests of what a file means, where its bytes do not say it:
	// schema and ordered rows of the database.
	Contents map[string]string `json:"contents"`
	// Artifacts are BLAKE3 digests of bytes, by path below the results.
	Artifacts map[string]string `json:"artifacts"`
}

// Write writes the document to the file name, a line an entry, keys in order.
func Write(name string, d Document) error {
	d.Schema = Schema
	encoded, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(encoded, '\n'), 0o644)
}
