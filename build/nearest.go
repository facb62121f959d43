package build

import "github.com/foundation-plr/pipeline/internal/nearest"

// Nearest returns the names, at most three, that a misspelt one most likely
// stands for, the likeliest first: those that the fewest letters inserted,
// removed or exchanged lead to. Names that share less
// than half of their letters with it are not offered.
func Nearest(name string, among []string) []string { return nearest.Names(name, among) }
