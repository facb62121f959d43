package extract

import (
	"maps"
	"slices"

	"github.com/foundation-plr/pipeline/internal/config"
)

// Of is the configuration's name of a factor, see [config.Factors].
func (c Configuration) Of(factor string) string {
	switch factor {
	case config.Classifier:
		return c.Classifier
	case config.Featurization:
		return c.Featurization
	case config.Outlier:
		return c.Outlier
	default:
		return c.Imputation
	}
}

// UnregisteredNames are the names of methods, by factor and in byte order, that
// the registry lacks and the configurations of usable runs or upstream runs (nil:
// none) have. They are free text of the store, and private.
func UnregisteredNames(used []Configuration, upstream *Upstream, reg *config.Registry) map[string][]string {
	used = slices.Clone(used)
	if upstream != nil {
		for _, stage := range upstream.Stages {
			for _, r := range stage.Runs {
				used = append(used, r.Methods)
			}
		}
	}
	names := map[string][]string{}
	for _, factor := range config.Factors() {
		seen := map[string]struct{}{}
		for _, c := range used {
			name := c.Of(factor)
			if _, ok := reg.Method(factor, name); !ok && name != "" {
				seen[name] = struct{}{}
			}
		}
		if len(seen) > 0 {
			names[factor] = slices.Sorted(maps.Keys(seen))
		}
	}
	return names
}

// Named reports whether the registry has a name for the configuration as a
// pipeline.
func (c Configuration) Named(reg *config.Registry) bool {
	return slices.ContainsFunc(reg.Pipelines(), func(p config.Pipeline) bool {
		return c == Configuration{Classifier: p.Classifier, Featurization: p.Featurization, Outlier: p.Outlier, Imputation: p.Imputation}
	})
}
