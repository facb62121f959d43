// Package racetest lets tests stay out of the run with the race detector, which
// takes ten times as long and sees only what several goroutines do.
package racetest

import "testing"

// Skip skips the test in the run with the race detector. Why says what of it the
// detector could see, and which test shows it that. The same tests run without
// the detector in go test ./..., so that nothing is left untested.
func Skip(t testing.TB, why string) {
	t.Helper()
	if enabled {
		t.Skip("not with the race detector: " + why)
	}
}
