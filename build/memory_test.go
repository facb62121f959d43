package build

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/foundation-plr/pipeline/internal/store"
)

// What a build holds of each file of a large store decides how large a store it can
// build (docs/performance.md): a run has ten files, and there may be tens of thousands.

// TestListsAreSmall holds what stands behind an input to the room of its digests and a
// part of its names.
func TestListsAreSmall(t *testing.T) {
	defer func(size int) { pieceSize = size }(pieceSize)
	pieceSize = 64 << 10
	const runs = 2000
	names := []string{"meta.yaml", "params/anomaly_source", "params/feature_param", "params/imputation_source", "tags/mlflow.runName"}
	var w entryWriter
	for i := range runs {
		run := store.Sum{byte(i), byte(i >> 8)}.String()[:32] // of as many digits as an id has, in no order
		for _, name := range names {
			w.add(entry{kind: kindFile, ref: Ref{"store", "100000000000000001/" + run + "/" + name}, size: 300, sum: store.Sum{1}})
		}
	}
	const most = 64 // 32 of a digest, some 22 of a name, the rest of kind, size and lengths
	files := runs * len(names)
	if l := w.list(); l.count != files || l.text.size() > most*files {
		t.Errorf("%d bytes each for %d files, want at most %d", l.text.size()/files, l.count, most)
	}
}

// TestSettledFilesAreSmall holds what the view keeps of a file that the index has to
// half of what a map would take.
func TestSettledFilesAreSmall(t *testing.T) {
	const files, most = 100_000, 40
	before := allocated()
	s := newSettledFiles(0)
	for i := range files {
		s.put(settledFile{path: keyOfPath(fmt.Sprint(i)), in: store.Entry(i + 1)})
	}
	if each := (allocated() - before) / files; each > most {
		t.Errorf("%d bytes for each file, want at most %d", each, most)
	}
	for i := range files {
		if f := s.find(keyOfPath(fmt.Sprint(i))); f == nil || f.in != store.Entry(i+1) {
			t.Fatalf("file %d is not found", i)
		}
	}
	if s.find(keyOfPath("another")) != nil {
		t.Error("a file that nobody put is found")
	}
}

// allocated returns how many bytes are in use after a collection.
func allocated() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
