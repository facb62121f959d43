package analysis

import (
	"database/sql/driver"
	"strings"
	"testing"

	"github.com/foundation-plr/pipeline/internal/sidecar"
	"github.com/foundation-plr/pipeline/metrics"
)

// The corrected AUROC of the best configuration stands beside the naive one, where
// the database selected among the same configurations.
func TestCorrectedBest(t *testing.T) {
	c := fixture(t)
	number := func(name string) sidecar.Number {
		t.Helper()
		for _, n := range mustBuild(t, c.open(t), "numbers", Options{}).Numbers {
			if n.Name == name {
				return n
			}
		}
		t.Fatalf("no number %s", name)
		return sidecar.Number{}
	}
	if n := number("bestAUROCCorrected"); n.Value.Undefined != notInStore {
		t.Errorf("without a row: %+v", n.Value)
	}
	naive := *number("bestAUROC").Value.Estimate
	row := func(candidates int, naive float64) {
		c["selected"] = [][]driver.Value{{"grid", fixedClassifier, fixedFeaturization, metrics.OverModels, "auroc", int32(1), int32(candidates),
			naive, naive - 0.05, nil, naive - 0.1, naive, "bootstrap_recentred", 0.95}}
	}
	row(inFigures(t), naive)
	if n := number("bestAUROCCorrected"); n.Value.Estimate == nil || *n.Value.Estimate != naive-0.05 || n.Value.CIMethod != "recentred bootstrap" ||
		!strings.Contains(n.Meaning, "95% interval by the recentred bootstrap") {
		t.Errorf("%+v: %s", n.Value, n.Meaning)
	}
	row(inFigures(t)-1, naive)
	if n := number("bestAUROCCorrected"); n.Value.Undefined != otherBest {
		t.Errorf("of other candidates: %+v", n.Value)
	}
	row(inFigures(t), naive-0.01)
	if n := number("bestAUROCCorrected"); n.Value.Undefined != otherBest {
		t.Errorf("of another best: %+v", n.Value)
	}
}
