package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const registryPath = "../../configs/registry.yaml"

func loadRegistry(t *testing.T) *Registry {
	t.Helper()
	r, err := LoadRegistry(registryPath)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistryOfTheStudy(t *testing.T) {
	r := loadRegistry(t)
	registered := map[string]int{}
	all := map[string]int{}
	for _, factor := range Factors() {
		for _, m := range r.Methods(factor) {
			all[factor]++
			if m.Registered {
				registered[factor]++
			}
			if m.Factor != factor {
				t.Errorf("%s has factor %q", m.Name, m.Factor)
			}
			if got, ok := r.Method(factor, m.Name); !ok || got != m {
				t.Errorf("Method(%s, %s) = %v, %v", factor, m.Name, got, ok)
			}
		}
	}
	if diff := cmp.Diff(map[string]int{Classifier: 5, Featurization: 2, Outlier: 11, Imputation: 8}, registered); diff != "" {
		t.Errorf("registered methods (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{Classifier: 5, Featurization: 2, Outlier: 17, Imputation: 8}, all); diff != "" {
		t.Errorf("all methods (-want +got):\n%s", diff)
	}
	if got := r.Methods(Outlier)[0].Name; got != "pupil-gt" {
		t.Errorf("first outlier method %q: not in file order", got)
	}
	main, extended := 0, 0
	for _, p := range r.Pipelines() {
		if p.Extended {
			extended++
		} else {
			main++
		}
	}
	if main != 5 || extended != 4 {
		t.Errorf("%d named and %d extended pipelines, want 5 and 4", main, extended)
	}
}

func TestLabels(t *testing.T) {
	r := loadRegistry(t)
	for _, c := range []struct{ factor, name, label, category string }{
		{Outlier, "pupil-gt", "Ground truth", "ground truth"},
		{Outlier, "MOMENT-gt-finetune", "MOMENT (fine-tuned)", "foundation model"},
		{Outlier, "OneClassSVM", "One-class SVM", "traditional"},
		{Outlier, "ensemble-LOF-MOMENT-OneClassSVM-PROPHET-SubPCA-TimesNet-UniTS-gt-finetune", "Ensemble (full)", "ensemble"},
		{Imputation, "CSDI", "CSDI", "deep learning"},
		{Classifier, "ensemble-CatBoost-LogisticRegression", "Ensemble (CatBoost, Logistic regression)", "ensemble"},
	} {
		m, ok := r.Method(c.factor, c.name)
		if !ok || m.Label != c.label || m.Category != c.category {
			t.Errorf("Method(%s, %s) = %+v, %v; want label %q, category %q", c.factor, c.name, m, ok, c.label, c.category)
		}
	}
	if got := r.CategoryLabel("foundation model"); got != "Foundation model" {
		t.Errorf("CategoryLabel = %q", got)
	}
	if got := r.CategoryLabel("no such"); got != "no such" {
		t.Errorf("CategoryLabel of an unlisted name = %q", got)
	}
}

func TestClassifier(t *testing.T) {
	r := loadRegistry(t)
	for _, c := range []struct {
		prefix, want string
		ok           bool
	}{
		{"CATBOOST", "CatBoost", true},
		{"catboost", "CatBoost", true},
		{"XGBoost", "XGBoost", true},
		{"TabPFN", "TabPFN", true},
		{"TABM", "TabM", true},
		{"LOGISTICREGRESSION", "LogisticRegression", true},
		{"ensemble-CATBOOST-TabM-TabPFN-XGBoost", "ensemble-CatBoost-TabM-TabPFN-XGBoost", true},
		{"ensemble-CatBoost", "", false},
		{"ensemble-CatBoost-CATBOOST", "", false},
		{"ensemble-CatBoost-Forest", "", false},
		{"ensemble-", "", false},
		{"RANDOMFOREST", "", false},
		{"", "", false},
	} {
		got, ok := r.Classifier(c.prefix)
		if got != c.want || ok != c.ok {
			t.Errorf("Classifier(%q) = %q, %v; want %q, %v", c.prefix, got, ok, c.want, c.ok)
		}
		if !ok {
			continue
		}
		if m, known := r.Method(Classifier, got); !known || m.Registered == strings.HasPrefix(got, EnsemblePrefix) {
			t.Errorf("Method(classifier, %q) = %+v, %v", got, m, known)
		}
	}
	if m, ok := r.Method(Classifier, "ensemble-CATBOOST-TabM"); ok {
		t.Errorf("a spelling that is not canonical is known: %+v", m)
	}
	if m, ok := r.Method(Outlier, "ensemble-CatBoost-TabM"); ok {
		t.Errorf("an ensemble of classifiers is known as an outlier method: %+v", m)
	}
}

func TestRegistryErrors(t *testing.T) {
	good, err := os.ReadFile(registryPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"misspelt key", "registered: false}", "registerd: false}", "nearest known key is methods.outlier.registered"},
		{"unlisted category", "category: embedding}", "category: vision}", `category "vision" is not listed`},
		{"pipeline of an ablation", "outlier: LOF, imputation: SAITS", "outlier: anomaly, imputation: SAITS", `outlier "anomaly" is not a registered method`},
		{"name twice", "{name: SubPCA, label: SubPCA,", "{name: LOF, label: SubPCA,", "has the name or the label of"},
		{"label twice", "{name: SubPCA, label: SubPCA,", "{name: SubPCA, label: LOF,", "has the name or the label of"},
		{"prefix shared", "prefix: TABM,", "prefix: XGBOOST,", "share the prefix"},
		{"prefix on a method", "{name: LOF, label", "{name: LOF, prefix: LOF, label", "only classifiers do"},
		{"separator in a name", "{name: SubPCA,", "{name: Sub__PCA,", "two underscores"},
		{"category twice", "{name: other, label: Other}", "{name: ensemble, label: Other}", "stands there twice"},
		{"no ensemble category", "{name: ensemble, label: Ensemble}", "{name: mixture, label: Mixture}", "not listed"},
		{"key twice", "label: LOF,", "label: LOF, label: LOF2,", "label"},
		{"alias", "{name: LOF, label: LOF,", "{name: &x LOF, label: *x,", "aliases"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(string(good), c.old, c.new, 1)
			if changed == string(good) {
				t.Fatalf("%q does not occur", c.old)
			}
			path := filepath.Join(t.TempDir(), "registry.yaml")
			if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadRegistry(path)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v; want it to name the file and say %q", err, c.want)
			}
		})
	}
}
