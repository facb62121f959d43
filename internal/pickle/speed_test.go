package pickle

import (
	"os"
	"testing"
)

// benchFile is a pickle of a thousand refits, as bench/pickles makes it; the
// benchmarks need its path.
var benchFile = os.Getenv("PICKLE_BENCH")

func benchPaths() *Paths {
	return NewPaths("metrics_stats", "subjectwise_stats", "metrics_iter/test/preds", "metrics_iter/test/metrics/scalars")
}

func BenchmarkReadFile(b *testing.B) {
	if benchFile == "" {
		b.Skip("PICKLE_BENCH names no file")
	}
	for name, want := range map[string]*Paths{"wanted": benchPaths(), "everything": nil} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f, err := ReadFile(benchFile, want, Limits{})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(f.Size)
			}
		})
	}
}
