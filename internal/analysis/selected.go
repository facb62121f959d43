package analysis

import (
	"database/sql"
	"fmt"
	"math"

	"github.com/foundation-plr/pipeline/internal/sidecar"
)

// otherBest is why the best configuration has no corrected value: the database
// selected among others than the document shows, because some have other test
// subjects.
const otherBest = "selected_among_others"

// corrected adds what the selection of the best configuration is worth: its AUROC in
// subjects that did not select it, as the checkpoint has it.
func (b *builder) corrected(cs []configuration, naive sidecar.Value) error {
	type row struct {
		naive, corrected, lower, upper, level sql.NullFloat64
		undefined, method                     sql.NullString
		candidates                            int
	}
	rows, err := ask(b, "selected", `
		SELECT naive, corrected, ci_lower, ci_upper, ci_level, undefined, ci_method, n_candidates FROM selected
		WHERE scope = 'grid' AND classifier = ? AND featurization = ? AND estimand = ? AND measure = ? AND rank = 1 ORDER BY ALL`,
		[]any{fixedClassifier, fixedFeaturization, b.doc.Estimand, auroc},
		func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.naive, &r.corrected, &r.lower, &r.upper, &r.level, &r.undefined, &r.method, &r.candidates)
			return r, err
		})
	if err != nil {
		return err
	}
	if len(rows) > 1 {
		return fmt.Errorf("table selected has %d best configurations of the grid; make the checkpoint anew with the target extract", len(rows))
	}
	meaning := "AUROC of the best configuration, corrected for the selection: selected in resamples of the test subjects, scored in the subjects that these did not draw"
	v := sidecar.Value{Undefined: notInStore}
	if naive.Estimate == nil {
		v.Undefined = naive.Undefined
	}
	if len(rows) == 1 {
		r := rows[0]
		switch {
		case r.undefined.String != "":
			v.Undefined = r.undefined.String
		case !r.corrected.Valid || !r.naive.Valid:
			return fmt.Errorf("table selected: neither a number nor a reason why there is none; make the checkpoint anew with the target extract")
		case naive.Estimate == nil || r.candidates != len(cs) || math.Abs(r.naive.Float64-*naive.Estimate) > tolerance:
			v.Undefined = otherBest
		default:
			v = sidecar.Value{Estimate: &r.corrected.Float64}
			if r.lower.Valid && r.upper.Valid {
				v.CI, v.CIMethod = &[2]float64{r.lower.Float64, r.upper.Float64}, methodWords(r.method.String)
				meaning += fmt.Sprintf("; %s%% interval by the %s", fixed(100*r.level.Float64, 0), v.CIMethod)
			} else {
				v.IntervalUndefined = notAvailable
			}
		}
	}
	if v.Estimate == nil {
		v.IntervalUndefined = v.Undefined
	}
	b.add(sidecar.Number{Name: "bestAUROCCorrected", Value: &v, Decimals: 3, Meaning: meaning, Query: "selected"})
	return nil
}
