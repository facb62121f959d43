package extract

import (
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
)

// runName is a classification run's name, taken apart:
// CLASSIFIER_eval-METRIC__FEATURIZATION__IMPUTATION__OUTLIER. Ensembles of
// classifiers begin with ensemble- and may lack _eval-METRIC.
type runName struct {
	Classifier    string // as it is written; not yet mapped to the registry
	Metric        string // what the hyperparameters were chosen by; "" if the name does not say
	Featurization string
	Imputation    string
	Outlier       string
}

const (
	nameSeparator = "__"
	nameMetric    = "_eval-"
)

// parseName takes a run name apart. False means that it is no classification
// run's: older names with fewer parts, runs of other stages, and names with a
// mark in front such as __SYNTHETIC_.
func parseName(name string) (runName, bool) {
	parts := strings.Split(name, nameSeparator)
	if len(parts) != 4 {
		return runName{}, false
	}
	n := runName{Featurization: parts[1], Imputation: parts[2], Outlier: parts[3]}
	var ok bool
	n.Classifier, n.Metric, ok = strings.Cut(parts[0], nameMetric)
	if ok == (n.Metric == "") || (!ok && !strings.HasPrefix(n.Classifier, config.EnsemblePrefix)) {
		return runName{}, false
	}
	for _, part := range []string{n.Classifier, n.Featurization, n.Imputation, n.Outlier} {
		// A part that begins or ends with an underscore would read differently
		// when split from the other side: CATBOOST_eval-auc___a__b__c.
		if part == "" || strings.Trim(part, "_") != part || strings.ContainsFunc(part, unprintable) {
			return runName{}, false
		}
	}
	return n, true
}

// unprintable reports control characters and what is no UTF-8: no method is
// called so.
func unprintable(r rune) bool { return r < ' ' || r == 0x7f || r == '\uFFFD' }

// String puts the name together again.
func (n runName) String() string {
	first := n.Classifier
	if n.Metric != "" {
		first += nameMetric + n.Metric
	}
	return strings.Join([]string{first, n.Featurization, n.Imputation, n.Outlier}, nameSeparator)
}

// configuration maps the name to the registry's spelling. A classifier that
// the registry does not know keeps its own.
func (n runName) configuration(reg *config.Registry) Configuration {
	return Configuration{
		Classifier:    classifierName(reg, n.Classifier),
		Featurization: n.Featurization,
		Outlier:       n.Outlier,
		Imputation:    n.Imputation,
	}
}

// registered says whether nothing in the name is free text: every part is listed
// in the registry, as a registered method or not.
func (n runName) registered(reg *config.Registry) bool {
	c := n.configuration(reg)
	for _, part := range []struct{ factor, name string }{
		{config.Classifier, c.Classifier}, {config.Featurization, c.Featurization}, {config.Imputation, c.Imputation}, {config.Outlier, c.Outlier},
	} {
		if _, listed := reg.Method(part.factor, part.name); !listed {
			return false
		}
	}
	return n.Metric == "" || n.Metric == "auc" || n.Metric == "roc_auc" // those that the study chose by
}

func classifierName(reg *config.Registry, written string) string {
	if name, ok := reg.Classifier(written); ok {
		return name
	}
	return written
}
