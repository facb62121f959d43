// Package targets declares the pipeline: which step reads, writes and runs
// what, and which steps each target of the magefile asks for. It holds no
// arithmetic and reads no format of its own; step functions live in the packages
// that it wires together.
package targets
