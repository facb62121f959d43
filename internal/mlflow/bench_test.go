package mlflow

import (
	"fmt"
	"path/filepath"
	"testing"
)

// BenchmarkRuns lists 2,000 runs of a file store with four of their params.
func BenchmarkRuns(b *testing.B) {
	root := b.TempDir()
	files := map[string]string{experiment + "/meta.yaml": experimentMeta}
	for i := range 2000 {
		id := fmt.Sprintf("%032x", i)
		for _, p := range []string{"model_name", "anomaly_source", "imputation_source", "feature_param"} {
			files[experiment+"/"+id+"/params/"+p] = "value"
		}
		files[experiment+"/"+id+"/meta.yaml"] = runMeta(id)
	}
	write(b, root, files)
	s, err := OpenFiles(filepath.Clean(root))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		runs, err := s.Runs(b.Context(), Experiment{ID: experiment, Dir: experiment})
		if err != nil || len(runs) != 2000 {
			b.Fatal(len(runs), err)
		}
		for _, r := range runs {
			if _, err := s.Params(b.Context(), r, "model_name", "anomaly_source", "imputation_source", "feature_param"); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkMeta parses one meta.yaml.
func BenchmarkMeta(b *testing.B) {
	data := []byte(runMeta(runID))
	for b.Loop() {
		if _, err := parseMeta(data); err != nil {
			b.Fatal(err)
		}
	}
}
