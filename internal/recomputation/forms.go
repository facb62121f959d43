package recomputation

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/metrics"
)

// forms are the measures, by estimand and key, of risks that nobody has: their
// numbers are others, and the keys, domains, tiers and methods those that there are.
type forms map[string]map[string]metrics.Row

// forms returns the thresholds that the database has net benefit at, and the forms
// of measures at these.
func (a *Recomputation) forms() ([]float64, forms, error) {
	measures, err := duckfile.Texts(a.check.Ctx, a.check.DB, "SELECT DISTINCT measure FROM stratos_metrics")
	if err != nil {
		return nil, nil, err
	}
	var grid []float64
	for _, m := range measures {
		if t, ok := thresholdOf(m); ok && !slices.Contains(grid, t) {
			grid = append(grid, t)
		}
	}
	slices.Sort(grid)
	made, _ := formsAt.LoadOrStore(fmt.Sprint(grid), sync.OnceValues(func() (forms, error) { return newForms(grid) }))
	byKey, err := made.(func() (forms, error))()
	return grid, byKey, err
}

// formsAt keeps the forms that were made, by their thresholds: they depend on nothing
// else, take a thousand resamples, and one validation asks for them three times.
var formsAt sync.Map // thresholds as text → func() (forms, error)

// newForms measures at thresholds.
func newForms(grid []float64) (forms, error) {
	// As many events as controls between neighbouring thresholds, so many that no
	// resample lacks them: every measure has a value, and an interval if it ever has.
	const between, refits = 40, 3
	var outcomes []int
	risks := make([][]float64, refits)
	edges := slices.Concat([]float64{0}, grid, []float64{1})
	for k, from := range edges[:len(edges)-1] {
		for i := range between {
			outcomes = append(outcomes, i%2)
			for m := range risks {
				part := (float64((i+7*m)%between) + 0.5) / between
				risks[m] = append(risks[m], from+part*(edges[k+1]-from))
			}
		}
	}
	all, err := metrics.NewRefits(outcomes, risks)
	if err != nil {
		return nil, err
	}
	rows, err := metrics.RefitTable(all, extract.MeasureOptions(grid))
	if err != nil {
		return nil, err
	}
	byKey := forms{metrics.OverModels: {}, metrics.MeanRisk: {}}
	for _, row := range rows {
		byKey[row.Estimand][row.Measure] = row
	}
	return byKey, nil
}

func thresholdOf(measure string) (float64, bool) {
	text, ok := strings.CutPrefix(measure, "nb@")
	t, err := strconv.ParseFloat(text, 64)
	return t, ok && err == nil && t > 0 && t < 1
}
