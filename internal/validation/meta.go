package validation

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/comparison"
	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/duckfile"
	"github.com/foundation-plr/pipeline/internal/rules"
	"github.com/foundation-plr/pipeline/internal/schema"
	"github.com/foundation-plr/pipeline/metrics"
)

// commonCounts are said where they are the same for all configurations. How many
// refits there were stands in the notes.
var commonCounts = []struct{ key, query string }{
	{"n_test", "SELECT DISTINCT CAST(n_test AS VARCHAR) FROM essential_metrics"},
	{"n_refits", "SELECT DISTINCT regexp_extract(note, ' over ([0-9]+) refits?', 1) FROM stratos_metrics WHERE estimand = '" + metrics.OverModels + "'"},
}

// meta compares what the file says of itself with what it holds.
func (v *validator) meta() error {
	counts := map[string]string{
		"n_configs":      "SELECT count(*) FROM essential_metrics",
		"n_runs":         "SELECT count(*) FROM runs",
		"n_unregistered": "SELECT count(*) FROM methods WHERE starts_with(name, " + duckfile.QuoteText(disclosure.Unregistered) + ")",
		"n_compared":     "SELECT count(*) FROM essential_metrics WHERE registered AND config_id NOT IN (SELECT config_id FROM paired_differences WHERE config_id IS NOT NULL AND undefined = " + duckfile.QuoteText(comparison.OtherSubjects) + ")",
	}
	for _, verdict := range disclosure.Verdicts {
		counts["runs."+string(verdict)] = "SELECT count(*) FROM runs WHERE verdict = " + duckfile.QuoteText(string(verdict))
	}
	closed := map[string][]string{
		"schema_version": {schema.Version},
		"synthetic":      {"true", "false"},
		"estimand":       {metrics.OverModels, metrics.MeanRisk},
	}
	maps.Copy(closed, disclosure.PrivacyValues())
	for _, stage := range config.Stages() {
		closed[disclosure.FlowKey(stage)] = disclosure.FlowValues()
	}
	keys := []string{"n_subjects", "n_control", "n_event", "n_unlabelled"}
	for key := range counts {
		keys = append(keys, key)
	}
	for key := range closed {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	number := map[string]int{}
	for _, key := range keys {
		value, ok := v.said[key]
		n, err := strconv.Atoi(value)
		number[key] = n
		_, isClosed := closed[key]
		switch {
		case !ok:
			v.Add(rules.Finding{Table: schema.Meta, Column: "key", Message: key + " is missing"})
		case isClosed && !slices.Contains(closed[key], value):
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is not %s", key, strings.Join(closed[key], " or "))})
		case !isClosed && (err != nil || n < 0):
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: key + " is not a count"})
		case counts[key] != "":
			var held int
			if err := v.DB.QueryRowContext(v.Ctx, counts[key]).Scan(&held); err != nil {
				return err
			}
			if held != n {
				v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the tables hold %d", key, n, held)})
			}
		}
	}
	for _, c := range commonCounts {
		held, err := duckfile.Texts(v.Ctx, v.DB, c.query)
		if err != nil {
			return err
		}
		if value, ok := v.said[c.key]; ok != (len(held) == 1) || ok && value != held[0] {
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: c.key + " is not what the tables hold, or is said although configurations differ"})
		}
		keys = append(keys, c.key)
	}
	strange := 0
	for key, value := range v.said {
		setting, isSetting := strings.CutPrefix(key, "settings.")
		if !slices.Contains(keys, key) && !(isSetting && disclosure.PublishedSetting(setting, value)) {
			strange++
		}
	}
	if strange > 0 {
		v.Add(rules.Finding{Table: schema.Meta, Column: "key", Message: fmt.Sprintf("%d keys or settings are not of the published form, and so may be private", strange)})
	}
	if number["n_control"]+number["n_event"] != number["n_subjects"] {
		v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: "n_control and n_event do not add up to n_subjects"})
	}
	for _, c := range []struct{ key, letter string }{{"n_control", "H"}, {"n_event", "G"}} {
		var held int
		if err := v.DB.QueryRowContext(v.Ctx, "SELECT count(DISTINCT subject_code) FROM predictions WHERE starts_with(subject_code, ?)", c.letter).Scan(&held); err != nil {
			return err
		}
		if held > number[c.key] {
			v.Add(rules.Finding{Table: schema.Meta, Column: "value", Message: fmt.Sprintf("%s is %d, and the predictions hold %d", c.key, number[c.key], held)})
		}
	}
	return nil
}
