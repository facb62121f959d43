package extract

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		name string
		want runName
	}{
		{"CATBOOST_eval-auc__simple1.0__SAITS__LOF", runName{"CATBOOST", "auc", "simple1.0", "SAITS", "LOF"}},
		{"LogisticRegression_eval-roc_auc__simple1.0__pupil-gt__pupil-gt", runName{"LogisticRegression", "roc_auc", "simple1.0", "pupil-gt", "pupil-gt"}},
		{"XGBOOST_eval-auc__MOMENT-embedding__ensemble-CSDI-MOMENT-SAITS__UniTS-gt-finetune",
			runName{"XGBOOST", "auc", "MOMENT-embedding", "ensemble-CSDI-MOMENT-SAITS", "UniTS-gt-finetune"}},
		{"ensemble-CatBoost-TabM__simple1.0__SAITS__LOF", runName{"ensemble-CatBoost-TabM", "", "simple1.0", "SAITS", "LOF"}},
		{"ensemble-CatBoost-TabM_eval-auc__simple1.0__SAITS__LOF", runName{"ensemble-CatBoost-TabM", "auc", "simple1.0", "SAITS", "LOF"}},
		{"RANDOMFOREST_eval-auc__a__b__c", runName{"RANDOMFOREST", "auc", "a", "b", "c"}},
		{"X_eval-a_eval-b__a__b__c", runName{"X", "a_eval-b", "a", "b", "c"}},
	} {
		got, ok := parseName(c.name)
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("parseName(%q): %v (-want +got):\n%s", c.name, ok, diff)
		}
		if got.String() != c.name {
			t.Errorf("parseName(%q).String() = %q", c.name, got)
		}
	}
	for _, name := range []string{
		"", "__", "______", "CATBOOST__SAITS", "CATBOOST_eval-auc__simple1.0__SAITS",
		"CATBOOST_eval-auc__simple1.0__SAITS__LOF__more",
		"__SYNTHETIC_CATBOOST_eval-auc__simple1.0__SAITS__LOF",
		"CATBOOST__simple1.0__SAITS__LOF",
		"CATBOOST_eval-__simple1.0__SAITS__LOF",
		"_eval-auc__simple1.0__SAITS__LOF",
		"ensemble-A-B_eval-__simple1.0__SAITS__LOF",
		"CATBOOST_eval-auc___simple1.0__SAITS__LOF",
		"CATBOOST_eval-auc__simple1.0__SAITS__LOF\n",
		"CATBOOST_eval-auc__simple1.0__\xff__LOF",
		"MOMENT_finetune_MOMENT-1-large_pupil_gt",
		"SAITS_saits__LOF_impPLR_v0.1",
	} {
		if got, ok := parseName(name); ok {
			t.Errorf("parseName(%q) = %+v, want none", name, got)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{
		"CATBOOST_eval-auc__simple1.0__SAITS__LOF", "ensemble-CatBoost-TabM__simple1.0__SAITS__LOF",
		"__SYNTHETIC_CATBOOST_eval-auc__simple1.0__SAITS__LOF", "CATBOOST__SAITS", "a_eval-b_eval-c__d__e__f", "_______", "a_eval-b__c__d__e_\x00",
	} {
		f.Add(seed)
	}
	reg := testRegistry(f)
	f.Fuzz(func(t *testing.T, name string) {
		n, ok := parseName(name)
		if !ok {
			if n != (runName{}) {
				t.Errorf("parseName(%q) fails with %+v", name, n)
			}
			return
		}
		if n.String() != name {
			t.Errorf("parseName(%q) puts together %q", name, n)
		}
		c := n.configuration(reg)
		for _, part := range []string{c.Classifier, c.Featurization, c.Imputation, c.Outlier} {
			if part == "" || strings.Contains(part, nameSeparator) {
				t.Errorf("parseName(%q) has the part %q", name, part)
			}
		}
		if again, ok := reg.Classifier(c.Classifier); ok && again != c.Classifier {
			t.Errorf("classifier %q of %q maps on to %q", c.Classifier, name, again)
		}
	})
}
