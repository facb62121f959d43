package disclosure

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/foundation-plr/pipeline/internal/config"
)

// Forms of texts that are published.
var (
	CodeForm      = regexp.MustCompile(`^[HG][0-9]{3,}$`) // of subjects
	RunIDForm     = regexp.MustCompile(`^[0-9a-f]{32}$`)  // as MLflow draws them
	PublicRunForm = regexp.MustCompile(RunIDForm.String() + "|^" + otherRunPrefix + "[1-9][0-9]*$")
	DigestForm    = regexp.MustCompile(`^[0-9a-f]{64}$`)
	ReaderForm    = regexp.MustCompile(`^plr\.run/[1-9][0-9]*$`) // what a pickle was read with
)

// otherRunPrefix begins what stands for a run whose id is a name that somebody gave
// to a folder.
const otherRunPrefix = "other-"

// OtherRun is the n-th text that stands for such a run.
func OtherRun(n int) string { return otherRunPrefix + strconv.Itoa(n) }

// Unregistered begins what stands for a name of a method that the registry lacks.
const Unregistered = "unregistered-"

// IsUnregistered reports whether a published name stands for such a name.
func IsUnregistered(name string) bool {
	number, ok := strings.CutPrefix(name, Unregistered)
	n, err := strconv.Atoi(number)
	return ok && err == nil && n > 0
}

// UnregisteredMethod describes what the registry lacks by its published name.
func UnregisteredMethod(factor, published string) config.Method {
	return config.Method{Name: published, Factor: factor, Category: "unregistered", Label: published}
}

// SourceName is a run's name as the study's training code spells it, made of
// published names: the store's own is free text.
func SourceName(classifier, featurization, outlier, imputation string) string {
	head := classifier
	if !strings.HasPrefix(head, config.EnsemblePrefix) {
		metric := "auc"
		switch head {
		case "CatBoost", "XGBoost":
			head = strings.ToUpper(head)
		case "LogisticRegression":
			metric = "roc_auc"
		}
		head += "_eval-" + metric
	}
	return strings.Join([]string{head, featurization, imputation, outlier}, "__")
}
