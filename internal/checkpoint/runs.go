package checkpoint

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"

	"github.com/foundation-plr/pipeline/internal/config"
	"github.com/foundation-plr/pipeline/internal/disclosure"
	"github.com/foundation-plr/pipeline/internal/extract"
	"github.com/foundation-plr/pipeline/internal/schema"
)

func (a *assembler) addRuns() {
	type row struct {
		run, verdict, reason string
		config               any
	}
	rows := make([]row, 0, len(a.listed))
	for _, run := range a.listed {
		r := row{a.publishedRun(run.id), string(run.verdict), run.reason, nil}
		if reason, ok := a.unfinished[run.id]; ok {
			r.verdict, r.reason = string(extract.Unfinished), reason
		}
		if id, ok := a.ids[run.id]; ok {
			r.config = id
			if run.open {
				r.reason = disclosure.ReasonOpen
			}
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(x, y row) int {
		return cmp.Or(cmp.Compare(x.run, y.run), cmp.Compare(x.verdict, y.verdict), cmp.Compare(x.reason, y.reason))
	})
	nameless := len(a.configs) // numbers above those of configurations
	for i := range rows {
		if rows[i].run == "" {
			nameless++
			rows[i].run = disclosure.OtherRun(nameless)
		}
	}
	slices.SortStableFunc(rows, func(x, y row) int { return cmp.Compare(x.run, y.run) })
	for _, r := range rows {
		a.content.add(schema.Runs, r.run, r.config, r.verdict, schema.Optional(r.reason))
		a.verdicts[r.verdict]++
	}
}

// addMethods lists what the registry lists and what was used besides, by factor
// and name.
func (a *assembler) addMethods() {
	for _, factor := range config.Factors() {
		methods := a.reg.Methods(factor)
		for _, c := range a.configs {
			method, ok := a.reg.Method(factor, c.Configuration.Of(factor))
			if ok && !slices.ContainsFunc(methods, func(m config.Method) bool { return m.Name == method.Name }) {
				methods = append(methods, method)
			}
		}
		for key, published := range a.hidden {
			if key[0] == factor {
				methods = append(methods, disclosure.UnregisteredMethod(factor, published))
			}
		}
		slices.SortFunc(methods, func(x, y config.Method) int { return cmp.Compare(x.Name, y.Name) })
		for _, m := range methods {
			a.content.add(schema.Methods, m.Name, factor, m.Category, m.Label, m.Registered)
		}
	}
}

func (a *assembler) addMeta() error {
	meta := map[string]string{
		"schema_version":     schema.Version,
		"synthetic":          strconv.FormatBool(a.synthetic),
		"estimand":           a.options.Estimand,
		"n_configs":          strconv.Itoa(len(a.configs)),
		"n_runs":             strconv.Itoa(len(a.listed)),
		"n_subjects":         strconv.Itoa(len(a.subjects)),
		"n_unlabelled":       strconv.Itoa(a.options.Unlabelled),
		"n_unregistered":     strconv.Itoa(len(a.hidden)),
		"n_compared":         strconv.Itoa(a.compared),
		disclosure.MarginKey: strconv.FormatFloat(a.options.Margin, 'f', -1, 64),
	}
	maps.Copy(meta, a.options.Privacy.Meta())
	maps.Copy(meta, a.flows())
	controls := 0
	for code := range a.subjects {
		if code[0] == 'H' {
			controls++
		}
	}
	meta["n_control"], meta["n_event"] = strconv.Itoa(controls), strconv.Itoa(len(a.subjects)-controls)

	counts := maps.Clone(a.verdicts)
	for _, v := range disclosure.Verdicts {
		meta["runs."+string(v)] = strconv.Itoa(counts[string(v)])
		delete(counts, string(v))
	}
	if len(counts) > 0 {
		return errors.New("the index has a verdict that this version does not know")
	}

	// What holds for all configurations or is not said.
	sizes, refits := map[int]struct{}{}, map[int]struct{}{}
	for _, c := range a.configs {
		sizes[c.tested] = struct{}{}
		refits[c.refits] = struct{}{}
	}
	if len(sizes) == 1 {
		meta["n_test"] = strconv.Itoa(a.configs[0].tested)
	}
	if len(refits) == 1 {
		meta["n_refits"] = strconv.Itoa(a.configs[0].refits)
	}
	for key, value := range a.options.Settings {
		if _, taken := meta["settings."+key]; taken || !disclosure.PublishedSetting(key, value) {
			return errors.New("a setting to be published has a key or value that does not consist of lower-case letters, digits, underscores and points, words of a value apart by a space")
		}
		meta["settings."+key] = value
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		a.content.add(schema.Meta, key, meta[key])
	}
	return nil
}
