package recomputation

import "testing"

// Of so many configurations as there may be are curves computed again, the first among
// them.
func TestOfCurves(t *testing.T) {
	for n := range 600 {
		chosen := 0
		for k := range n {
			if ofCurves(k, n) {
				chosen++
			}
		}
		if chosen != min(n, curvesAgain) || n > 0 && !ofCurves(0, n) {
			t.Errorf("curves of %d of %d configurations", chosen, n)
		}
	}
}
